/* SPDX-License-Identifier: MIT */
/*
 * samples.c - a growing array that at some size begins to forget at random.
 */
#include "config.h"
#include "samples.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/mem.h"

void samples_add(struct samples *s, double value)
{
    s->seen++;
    if (s->n == SAMPLES_MAX) {
        s->random = s->random * 6364136223846793005u + 1442695040888963407u;
        uint64_t at = (s->random >> 11) % s->seen;
        if (at < s->n)
            s->value[at] = value;
        return;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        double *grown = mem_resize(s->value, cap, sizeof *grown);
        if (!grown)
            return;
        s->value = grown;
        s->cap = cap;
    }
    s->value[s->n++] = value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_percentile(struct samples *s, double p)
{
    trit_assert(p > 0 && p <= 100);
    if (s->n == 0)
        return 0;
    qsort(s->value, s->n, sizeof *s->value, ascending);
    size_t rank = (size_t)ceil(p / 100 * (double)s->n);
    return s->value[MIN(MAX(rank, 1), s->n) - 1];
}

void samples_fini(struct samples *s)
{
    mem_free(s->value);
    *s = (struct samples){0};
}
