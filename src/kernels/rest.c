/* SPDX-License-Identifier: MIT */
/*
 * rest.c - what rounding to int8 left, for those who quantise that as well.
 *
 * One body serves every machine: the operations are multiplications and subtractions, rounded one
 * by one, in runs of fixed length of which compilers make the vectors that any processor has.
 */
#include "config.h"
#include "kernels/kernels.h"

enum { RUN = 16 };

static inline float left(float x, int8_t q, float step)
{
    return (x - (float)q * step) * (float)KERNELS_REST;
}

void kernels_rest(const struct linear *w, const struct acts *a, size_t token, const float *x,
                  float *rest)
{
    trit_assert(a->n_groups == w->n_groups && a->q_stride >= w->cols);
    const int8_t *q = a->q + token * a->q_stride;
    const float *step = a->step + token * a->n_groups;
    for (uint32_t g = 0; g < w->n_groups; g++, x += w->group, q += w->group, rest += w->group) {
        size_t i = 0;
        for (; i + RUN <= w->group; i += RUN)
            for (size_t l = i; l < i + RUN; l++)
                rest[l] = left(x[l], q[l], step[g]);
        for (; i < w->group; i++)
            rest[i] = left(x[i], q[i], step[g]);
    }
}
