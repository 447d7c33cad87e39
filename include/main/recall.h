/* SPDX-License-Identifier: MIT */
/*
 * recall.h - what the API has changed about the models, for the next process: a list of changes in
 * a sealed memfd that the service manager keeps, or that a successor is handed (handed.h).
 *
 * A change says what the configuration had, what there is instead, or both: a model that was
 * replaced, one that was taken out, one that came beside the others.  Models are compared by the
 * texts of their own keys, so a change is good for as long as the configuration says of the model
 * what it said.
 *
 * The list is text: NUL-terminated strings, RECALL_MAGIC, then for each change "file" and
 * "KEY=VALUE"s or nothing, "api" and the same or nothing, and "end".  It may be of another version:
 * a key that is not known is passed over, one that is missing has the value from outside of
 * sections.  A list that cannot be read is no list; it may not be what we wrote.
 */
#ifndef TRIT_RECALL_H
#define TRIT_RECALL_H

#include <stdbool.h>
#include <stddef.h>

#include "main/conf.h"

struct buf;

#define RECALL_MAGIC "tritd-models 1"

enum {
    RECALL_MAX = 2 * CONF_MODELS_MAX,
    RECALL_BYTES = 1 << 20, /* of a list */
};

struct recall_change {
    bool has_file, has_api; /* one of them at least */
    struct conf file, api;  /* a model each; zeroed where there is none */
};

struct recall {
    struct recall_change at[RECALL_MAX];
    size_t n;
};

/* Add a change to a list that is being written; file or api may be NULL.  An empty *list is begun.
 */
void recall_add(struct buf *list, const struct conf *file, const struct conf *api);

/* The list in a memfd that nobody can change any more; -1 with errno. */
int recall_save(const struct buf *list);

/*
 * Read it; rest: the configuration, for what is not told.  *list, which may be NULL, gets the text.
 * On failure there are no changes.
 * -TRIT_EFORMAT, -TRIT_ETOOBIG, -TRIT_EINVAL: a value is not one; -TRIT_EIO, -TRIT_ENOMEM.
 */
int recall_read(int fd, const struct conf *rest, struct recall *r, struct buf *list,
                struct trit_error *err);
void recall_free(struct recall *r);

/* What became of a model of the configuration; NULL: it is as the configuration says. */
const struct recall_change *recall_find(const struct recall *r, const struct conf *file);

#endif
