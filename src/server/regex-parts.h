/* SPDX-License-Identifier: MIT */
/*
 * regex-parts.h - a pattern between its reading (regex.c) and its writing (regex-out.c): a tree of
 * nodes in one array, and sets of characters in another.
 */
#ifndef TRIT_REGEX_PARTS_H
#define TRIT_REGEX_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/regex.h"

#define REGEX_ENDLESS UINT64_MAX

enum regex_kind { REGEX_SET, REGEX_SEQUENCE, REGEX_CHOICE, REGEX_REPEATED };

/* Node 0 stands for "none". */
struct regex_node {
    enum regex_kind kind;
    uint32_t child, next;       /* the first child; the next one of the same parent */
    uint32_t range, n;          /* of a set: its ranges */
    uint64_t least, most;       /* of a repeat */
    uint64_t shortest, longest; /* texts it matches, in characters; longest may be REGEX_ENDLESS */
    bool begins, ends;          /* an alternative of the whole: anchored there */
};

/* Code points from lo to hi. */
struct regex_range {
    uint32_t lo, hi;
};

struct regex {
    const char *s;
    size_t len, at;
    unsigned depth;
    struct regex_node *node;
    uint32_t n_nodes, cap_nodes;
    struct regex_range *range;
    uint32_t n_ranges, cap_ranges;
    struct trit_error *err;
};

/* ---- regex-set.c */

/* All characters there are: no U+0000, no surrogates. */
extern const struct regex_range regex_all[2];

/* A set of the ranges from `from` on, in order and merged; less what is not in regex_all.  Negative
 * when it is empty. */
int regex_set(struct regex *r, uint32_t from, bool negated, uint32_t *node);
int regex_add_range(struct regex *r, uint32_t lo, uint32_t hi);

/* The n ranges of v, or all code points but those, behind the ranges there are. */
int regex_add_class(struct regex *r, const struct regex_range *v, size_t n, bool negated);

int regex_add_node(struct regex *r, enum regex_kind kind, uint32_t *node);

static inline uint64_t regex_plus(uint64_t a, uint64_t b)
{
    return a > REGEX_ENDLESS - b ? REGEX_ENDLESS : a + b;
}

/* ---- regex-out.c */

/* Write the choice `top`. */
int regex_write(struct regex *r, uint32_t top, const struct regex_want *want, struct buf *rules,
                struct buf *expr);

#endif
