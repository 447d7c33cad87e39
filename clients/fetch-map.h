/* SPDX-License-Identifier: MIT */
/*
 * fetch-map.h - which parts of a file are there already; kept beside it as PATH.part.map.
 */
#ifndef TRIT_CLIENT_FETCH_MAP_H
#define TRIT_CLIENT_FETCH_MAP_H

#include <stdbool.h>
#include <stdint.h>

enum { FETCH_PART = 8 << 20 }; /* bytes; what an interruption costs each connection at most */

struct fetch_map {
    char *path; /* of the map */
    char *etag; /* of the version these are parts of, or its date; "": the server names neither */
    uint64_t size;
    uint32_t n;  /* parts */
    char *state; /* [n + 1], for each part '1' where it is there, '0' where not */
};

/* An empty map.  false: no memory. */
bool fetch_map_new(struct fetch_map *m, const char *path, const char *etag, uint64_t size);

/* Take over what is known of the same version.  false: nothing is. */
bool fetch_map_read(struct fetch_map *m);

/* Replace what is on the disk, whole.  Negative errno. */
int fetch_map_write(const struct fetch_map *m);

uint64_t fetch_map_done(const struct fetch_map *m); /* bytes */
uint64_t fetch_map_end(const struct fetch_map *m, uint32_t part);
void fetch_map_free(struct fetch_map *m);

#endif
