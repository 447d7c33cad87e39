/* SPDX-License-Identifier: MIT */
/*
 * regex-set.c - nodes of a pattern's tree, and the sets of characters that stand in it.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/regex-parts.h"

enum { MAX_NODES = 20000, MAX_RANGES = 100000 };

const struct regex_range regex_all[2] = {{1, 0xd7ff}, {0xe000, 0x10ffff}};

int regex_add_node(struct regex *r, enum regex_kind kind, uint32_t *node)
{
    if (r->n_nodes == MAX_NODES)
        return trit_fail(r->err, TRIT_EINVAL, "the pattern has more than %d elements", MAX_NODES);
    if (r->n_nodes == r->cap_nodes) {
        uint32_t cap = r->cap_nodes ? r->cap_nodes * 2 : 64;
        void *grown = mem_resize(r->node, cap, sizeof *r->node);
        if (!grown)
            return trit_fail(r->err, TRIT_ENOMEM, "no memory for the pattern");
        r->node = grown;
        r->cap_nodes = cap;
    }
    *node = r->n_nodes++;
    r->node[*node] = (struct regex_node){.kind = kind};
    return 0;
}

int regex_add_range(struct regex *r, uint32_t lo, uint32_t hi)
{
    if (r->n_ranges == MAX_RANGES)
        return trit_fail(r->err, TRIT_EINVAL, "the pattern has more than %d ranges", MAX_RANGES);
    if (r->n_ranges == r->cap_ranges) {
        uint32_t cap = r->cap_ranges ? r->cap_ranges * 2 : 64;
        void *grown = mem_resize(r->range, cap, sizeof *r->range);
        if (!grown)
            return trit_fail(r->err, TRIT_ENOMEM, "no memory for the pattern");
        r->range = grown;
        r->cap_ranges = cap;
    }
    r->range[r->n_ranges++] = (struct regex_range){lo, hi};
    return 0;
}

static int by_lo(const void *a, const void *b)
{
    uint32_t x = ((const struct regex_range *)a)->lo, y = ((const struct regex_range *)b)->lo;
    return (x > y) - (x < y);
}

/* Sort and merge the ranges from `from` on. */
static void tidy(struct regex *r, uint32_t from)
{
    struct regex_range *v = r->range + from;
    uint32_t n = r->n_ranges - from, kept = 0;
    if (n == 0)
        return;
    qsort(v, n, sizeof *v, by_lo);
    for (uint32_t i = 1; i < n; i++)
        if (v[i].lo <= v[kept].hi + 1)
            v[kept].hi = MAX(v[kept].hi, v[i].hi);
        else
            v[++kept] = v[i];
    r->n_ranges = from + kept + 1;
}

/* The complement of n ranges in order, appended. */
static int add_others(struct regex *r, const struct regex_range *v, size_t n)
{
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        struct regex_range taken = v[i]; /* v may move */
        int rc = taken.lo > next ? regex_add_range(r, next, taken.lo - 1) : 0;
        if (rc)
            return rc;
        next = taken.hi + 1;
    }
    return next <= 0x10ffff ? regex_add_range(r, next, 0x10ffff) : 0;
}

int regex_add_class(struct regex *r, const struct regex_range *v, size_t n, bool negated)
{
    if (negated)
        return add_others(r, v, n);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = regex_add_range(r, v[i].lo, v[i].hi);
    return rc;
}

int regex_set(struct regex *r, uint32_t from, bool negated, uint32_t *node)
{
    int rc;
    tidy(r, from);
    if (negated) {
        uint32_t n = r->n_ranges - from;
        struct regex_range *copy = mem_zalloc(n, sizeof *copy);
        if (!copy)
            return trit_fail(r->err, TRIT_ENOMEM, "no memory for the pattern");
        if (n)
            memcpy(copy, r->range + from, n * sizeof *copy);
        r->n_ranges = from;
        rc = add_others(r, copy, n);
        mem_free(copy);
        if (rc)
            return rc;
    }
    /* What is left of it among the characters that there are. */
    uint32_t end = r->n_ranges;
    for (uint32_t i = from; i < end; i++)
        for (size_t k = 0; k < ARRAY_LEN(regex_all); k++) {
            uint32_t lo = MAX(r->range[i].lo, regex_all[k].lo);
            uint32_t hi = MIN(r->range[i].hi, regex_all[k].hi);
            if (lo <= hi && (rc = regex_add_range(r, lo, hi)))
                return rc;
        }
    if (r->n_ranges == end)
        return -TRIT_EINVAL;
    rc = regex_add_node(r, REGEX_SET, node);
    if (rc)
        return rc;
    struct regex_node *n = &r->node[*node];
    n->range = end;
    n->n = r->n_ranges - end;
    n->shortest = n->longest = 1;
    return 0;
}
