/* SPDX-License-Identifier: MIT */
/*
 * delta.h - the gated delta rule, one body for all variants: each compiles it with its own flags.
 *
 * The operations are multiplications, additions and subtractions of sixteen values side by side,
 * rounded one by one, so every machine gives the same bits.  Two columns of sixteen are worked on
 * at once, because a sum over keys waits for the one before it.
 */
#ifndef TRIT_KERNELS_DELTA_H
#define TRIT_KERNELS_DELTA_H

#include "kernels/inline.h"

/* Memory behind it is that of floats, and aligned as they are. */
typedef float delta_lanes
    __attribute__((vector_size(DELTA_LANES * sizeof(float)), aligned(4), may_alias));

/* Columns [c, c + n) of sixteen values, for all rows. */
INLINE void delta_columns(const struct delta_rows *t, size_t c, const unsigned n)
{
    delta_lanes *state = (delta_lanes *)(void *)t->state + c * t->dim;
    for (size_t r = 0; r < t->n_rows; r++) {
        const float *q = t->q + r * t->stride, *k = t->k + r * t->stride;
        delta_lanes *v = (delta_lanes *)(void *)(t->v + r * t->stride) + c;
        delta_lanes told[2] = {{0}}, out[2] = {{0}}, d[2];
        float decay = t->decay[r], rate = t->rate[r];
        for (size_t i = 0; i < t->dim; i++)
            foreach (j, n)
                told[j] += (state[j * t->dim + i] * decay) * k[i];
        foreach (j, n)
            d[j] = (v[j] - told[j]) * rate;
        for (size_t i = 0; i < t->dim; i++)
            foreach (j, n) {
                delta_lanes s = state[j * t->dim + i] * decay + d[j] * k[i];
                state[j * t->dim + i] = s;
                out[j] += s * q[i];
            }
        foreach (j, n)
            v[j] = out[j];
    }
}

INLINE void delta_all(const struct delta_rows *t)
{
    size_t n = t->dim / DELTA_LANES, c = 0;
    for (; c + 2 <= n; c += 2)
        delta_columns(t, c, 2);
    if (c < n)
        delta_columns(t, c, 1);
}

#endif
