/* SPDX-License-Identifier: MIT */
/*
 * stats.c - which histogram has which buckets.
 */
#include "config.h"
#include "engine/stats.h"

#include "base/base.h"

static const double ttft[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
                              5,    10,    20,   40,  80,   160, 320, 640};
static const double inter_token[] = {0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075,
                                     0.1,   0.15, 0.2,   0.3,  0.5,  1,    2.5,  5};
static const double spans[] = {0.05, 0.1, 0.25, 0.5, 1,   2.5, 5,    10,
                               20,   40,  80,   160, 320, 640, 1280, 2560};
static const double steps[] = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075,
                               0.1,   0.2,    0.3,   0.5,  1,    2,    5};
static const double sequences[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};
static const double tokens[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};
static const double lengths[] = {1,   2,    5,    10,   20,    50,    100,  200,
                                 500, 1000, 2000, 5000, 10000, 20000, 32768};

#define BOUNDS(array) (*n = ARRAY_LEN(array), (array))

const double *stats_bounds(const struct engine_stats *s, const struct stats_histogram *h, size_t *n)
{
    if (h == &s->ttft)
        return BOUNDS(ttft);
    if (h == &s->inter_token)
        return BOUNDS(inter_token);
    if (h == &s->step_prefill || h == &s->step_decode || h == &s->step_mixed)
        return BOUNDS(steps);
    if (h == &s->batch_sequences)
        return BOUNDS(sequences);
    if (h == &s->batch_tokens)
        return BOUNDS(tokens);
    if (h == &s->prompt_length || h == &s->generated_length)
        return BOUNDS(lengths);
    trit_assert(h == &s->queue || h == &s->e2e || h == &s->prefill || h == &s->decode);
    return BOUNDS(spans);
}

void stats_observe(struct engine_stats *s, struct stats_histogram *h, double value)
{
    size_t n;
    const double *bound = stats_bounds(s, h, &n);
    stats_add(h, bound, n, value);
}

void stats_add(struct stats_histogram *h, const double *bound, size_t n, double value)
{
    size_t i = 0;
    trit_assert(n < STATS_BUCKETS);
    while (i < n && value > bound[i])
        i++;
    /* The sum has one writer, so load and store need not be one operation. */
    double sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    atomic_store_explicit(&h->sum, sum + value, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
}
