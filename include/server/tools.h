/* SPDX-License-Identifier: MIT */
/*
 * tools.h - the functions that an answer may call, and the grammar of its calls.
 *
 * A call that must come is bound from the answer's first token on.  One that may come is bound from
 * the text that opens calls in the model's form, so that a call that was begun is always valid;
 * only where calls have no such opening (chat_calls.bare) it is read as it comes.  Arguments follow
 * the schema of their function.  Where a call may come, and its function is not `strict`, a schema
 * that cannot be enforced is any object.
 *
 * Not here: the fields of requests (src/server/params-tools.c), reading answers (server/calls.h).
 */
#ifndef TRIT_TOOLS_H
#define TRIT_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

#include "server/shape.h"

struct buf;
struct cJSON;
struct chat_calls;
struct problem;

enum {
    TOOLS_MAX = 128, /* functions in a request */
    TOOLS_NAME = 64, /* bytes of a name */
    TOOLS_CALLS = 16 /* calls in an answer that must have one */
};

struct tool {
    char name[TOOLS_NAME + 1]; /* letters, digits, '_' and '-' */
    char path[64];             /* of its schema in the request */
    struct cJSON *schema;      /* owned, an object; NULL: it takes no arguments */
    bool strict;
    bool allowed; /* to be called */
};

struct tools {
    const struct chat_calls *form;
    struct tool *tool; /* owned */
    size_t n;
    bool must; /* the answer is calls and nothing else; else it may have some */
    bool many; /* more than one */
    struct shape
        content;   /* what an answer that calls nothing is bound to; SHAPE_OBJECT or SCHEMA */
    char *opening; /* owned: what stands at the prompt's end if it must; or NULL */
};

/* The grammar has to wait for the text form->open (grammar_state_wait). */
bool tools_wait(const struct tools *t);

/* What a call consists of cannot be wrong. */
bool tools_bound(const struct tools *t);

/* The function that may be called by that name, or NULL. */
const struct tool *tools_find(const struct tools *t, const char *name, size_t len);

/*
 * Append the grammar.  loose: no schema but of strict functions.  Negative with *problem.  Any
 * thread.
 */
int tools_to_grammar(const struct tools *t, bool loose, struct buf *text, struct problem *problem);
bool tools_may_be_loose(const struct tools *t);

/* Append a text that is the same for tools with the same grammar. */
void tools_key(const struct tools *t, struct buf *key);

void tools_free(struct tools *t); /* loop thread; NULL is allowed */

#endif
