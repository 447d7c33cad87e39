/* SPDX-License-Identifier: MIT */
/*
 * shape.h - what the text of an answer is bound to: JSON, a schema, a regular expression, a choice
 * or a grammar.  However it was asked for, it becomes one grammar (engine/grammar.h).
 *
 * Not here: the fields that ask for it (src/server/params-shape.c).
 */
#ifndef TRIT_SHAPE_H
#define TRIT_SHAPE_H

#include <stddef.h>

struct buf;
struct cJSON;
struct grammar;
struct problem;
struct tools;

enum shape_kind {
    SHAPE_FREE, /* bound to nothing */
    SHAPE_OBJECT,
    SHAPE_SCHEMA,
    SHAPE_REGEX,  /* which the whole answer matches */
    SHAPE_CHOICE, /* one of several texts */
    SHAPE_GRAMMAR,
    SHAPE_CALLS, /* calls of functions, see server/tools.h */
};

enum { SHAPE_CHOICES = 4096 };

struct shape {
    enum shape_kind kind;
    const char *field;  /* static: the path that problems name */
    char *text;         /* owned: regular expression, grammar */
    struct cJSON *tree; /* owned: schema, array of strings */
    const struct tools *tools;
};

/* Append its grammar; of SHAPE_FREE there is none.  Negative with *problem.  Any thread. */
int shape_to_text(const struct shape *s, struct buf *text, struct problem *problem);

/* The same, compiled: gives *g with one reference; NULL for SHAPE_FREE. */
int shape_compile(const struct shape *s, struct grammar **g, struct problem *problem);

/* Append a text that is the same for shapes with the same grammar. */
void shape_key(const struct shape *s, struct buf *key);

void shape_fini(struct shape *s); /* loop thread */

#endif
