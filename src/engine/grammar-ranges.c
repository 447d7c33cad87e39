/* SPDX-License-Identifier: MIT */
/*
 * grammar-ranges.c - sets of characters, as ranges of code points at the end of a tree's cp.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "engine/grammar-parts.h"

struct range {
    uint32_t lo, hi;
};

static int by_lo(const void *a, const void *b)
{
    uint32_t x = ((const struct range *)a)->lo, y = ((const struct range *)b)->lo;
    return x < y ? -1 : x > y;
}

void grammar_add_cp(struct grammar_tree *t, uint32_t cp)
{
    trit_assert(t->n_cp < t->cap_cp);
    t->cp[t->n_cp++] = cp;
}

void grammar_add_range(struct grammar_tree *t, uint32_t lo, uint32_t hi)
{
    if (lo < GRAMMAR_SURROGATE && hi > GRAMMAR_SURROGATE_END) {
        grammar_add_range(t, lo, GRAMMAR_SURROGATE - 1);
        grammar_add_range(t, GRAMMAR_SURROGATE_END + 1, hi);
        return;
    }
    if (lo >= GRAMMAR_SURROGATE && lo <= GRAMMAR_SURROGATE_END)
        lo = GRAMMAR_SURROGATE_END + 1;
    if (hi >= GRAMMAR_SURROGATE && hi <= GRAMMAR_SURROGATE_END)
        hi = GRAMMAR_SURROGATE - 1;
    if (lo > hi)
        return;
    grammar_add_cp(t, lo);
    grammar_add_cp(t, hi);
}

uint32_t grammar_join_ranges(uint32_t *cp, uint32_t n)
{
    struct range *r = (struct range *)(void *)cp;
    uint32_t out = 0;
    qsort(r, n, sizeof *r, by_lo);
    for (uint32_t i = 0; i < n; i++)
        if (out && r[i].lo <= r[out - 1].hi + 1)
            r[out - 1].hi = MAX(r[out - 1].hi, r[i].hi);
        else
            r[out++] = r[i];
    return out;
}

void grammar_negate(struct grammar_tree *t, uint32_t first, uint32_t n)
{
    uint32_t last = t->n_cp, from = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t lo = t->cp[first + 2 * i], hi = t->cp[first + 2 * i + 1];
        if (lo > from)
            grammar_add_range(t, from, lo - 1);
        from = hi + 1;
    }
    if (from <= GRAMMAR_LAST_CP)
        grammar_add_range(t, from, GRAMMAR_LAST_CP);
    memmove(t->cp + first, t->cp + last, (t->n_cp - last) * sizeof *t->cp);
    t->n_cp = first + (t->n_cp - last);
}
