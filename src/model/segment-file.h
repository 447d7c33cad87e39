/* SPDX-License-Identifier: MIT */
/*
 * segment-file.h - the file format of a segment, shared by segment.c, segment-digest.c,
 * segment-list.c, segment-pages.c and segment-sum*.c.
 */
#ifndef TRIT_SEGMENT_FILE_H
#define TRIT_SEGMENT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/segment.h"

#define SEGMENT_MAGIC    "TRITSEG" /* with its NUL: eight bytes */
#define SEGMENT_PREFIX   "tritd-"
#define SEGMENT_BUILDING ".building"
/* Of memfds.  fcntl.h */
#define SEGMENT_SEALS    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

enum {
    SEGMENT_VERSION = 6, /* of the header and of the payload's arrangement in weights.c */
    SEGMENT_CHUNK = 64 << 10, /* what a worker sums up and then computes with stays in its cache */
    SEGMENT_PATH_BYTES = 512,
    SEGMENT_AHEAD = 4096, /* bytes that checksums fetch ahead of what they add up */
};

/* At offset 0, followed by one uint64_t checksum for each chunk of the payload.  The byte order is
 * the machine's: a segment never leaves it. */
struct segment_header {
    char magic[8];
    uint32_t version;
    uint32_t reserved;
    struct segment_source source;
    uint64_t payload_bytes;
    uint64_t file_bytes;
    uint64_t table_sum;  /* of the checksums behind this header */
    uint64_t header_sum; /* of everything above */
};

const char *segment_directory(void);
void segment_path(const char *name, const char *suffix, char path[SEGMENT_PATH_BYTES]);

/* XXH3, 64 bits, of anything in a segment. */
uint64_t segment_sum(const void *bytes, size_t len);
uint64_t segment_sum_avx2(const void *bytes, size_t len); /* its bodies where those can run */
uint64_t segment_sum_avx512(const void *bytes, size_t len);
uint64_t segment_header_sum(const struct segment_header *h);

/* How many chunks a payload has. */
uint64_t segment_chunks(uint64_t payload_bytes);

/* Those of a payload's chunks to sums[segment_chunks()]; what: for the log, or NULL. */
int segment_sum_payload(const struct segment *seg, uint64_t *sums, const char *what,
                        struct trit_error *err);

/* Read and check the header: ours, private to us, this version, whole, of the size it claims. */
bool segment_check_header(int fd, struct segment_header *h);

/* Of a memfd, the same but for owner and mode, which say nothing there: sealed instead. */
bool segment_check_sealed(int fd, struct segment_header *h);

/* Be counted by segment_count_users, until fd is closed; what cannot be locked is not counted. */
void segment_enrol(int fd);

/* How many descriptions but fd's own have enrolled. */
unsigned segment_count_users(int fd);

/* Map seg->map_bytes of the file at seg->map, where huge pages can be mapped as such. */
int segment_map(struct segment *seg, int prot, struct trit_error *err);
void segment_unmap(struct segment *seg);

/* Size the new file to seg->map_bytes, map it for writing and have every page of it, zeroed; in
 * huge pages as far as they are to be had.  `where` is for the error, which is clean: no signal. */
int segment_allocate(struct segment *seg, const char *where, struct trit_error *err);

#endif
