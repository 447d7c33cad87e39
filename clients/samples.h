/* SPDX-License-Identifier: MIT */
/*
 * samples.h - durations of one kind, and their percentiles.
 */
#ifndef TRIT_CLIENT_SAMPLES_H
#define TRIT_CLIENT_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/* As many are kept.  Of more, every one has the same chance to be among them (reservoir sampling),
 * so that the end of a long run counts as much as its beginning. */
enum { SAMPLES_MAX = 1 << 20 };

/* A zeroed struct is an empty collection. */
struct samples {
    double *value;
    size_t n, cap;
    uint64_t seen; /* n, and those that were not kept */
    uint64_t random;
};

/* Out of memory the sample is seen and not kept. */
void samples_add(struct samples *s, double value);

/*
 * The p-th percentile (0 < p <= 100) by nearest rank: the smallest sample that at least p % do not
 * exceed.  0 when there is none.  Sorts.
 */
double samples_percentile(struct samples *s, double p);

void samples_fini(struct samples *s);

#endif
