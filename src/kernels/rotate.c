/* SPDX-License-Identifier: MIT */
/*
 * rotate.c - the fast Walsh-Hadamard transform.
 *
 * One body serves every machine, as in rest.c: sums and differences, each rounded, in an order that
 * is the same everywhere.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <math.h>

enum { RUN = 16 };

/* (a, b) becomes (a + b, a - b), for n of them side by side. */
static void butterflies(float *a, float *b, size_t n)
{
    size_t i = 0;
    for (; i + RUN <= n; i += RUN)
        for (size_t l = i; l < i + RUN; l++) {
            float sum = a[l] + b[l], difference = a[l] - b[l];
            a[l] = sum;
            b[l] = difference;
        }
    for (; i < n; i++) {
        float sum = a[i] + b[i], difference = a[i] - b[i];
        a[i] = sum;
        b[i] = difference;
    }
}

static void transform(float *x, size_t block, size_t n)
{
    trit_assert(block >= 2 && (block & (block - 1)) == 0 && n % block == 0);
    float size = 1.0f / sqrtf((float)block);
    for (size_t half = 1; half < block; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            butterflies(x + i, x + i + half, half);
    for (size_t i = 0; i < n; i++)
        x[i] *= size;
}

void kernels_rotate(float *y, const float *x, const float *signs, size_t block, size_t n)
{
    kernels_multiply(y, x, signs, n);
    transform(y, block, n);
}

void kernels_rotate_back(float *x, const float *signs, size_t block, size_t n)
{
    transform(x, block, n);
    kernels_multiply(x, x, signs, n);
}
