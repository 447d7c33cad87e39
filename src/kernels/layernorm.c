/* SPDX-License-Identifier: MIT */
/*
 * layernorm.c - the LayerNorm that stands around the products of some methods (model/method.h).
 *
 * One body serves every machine, as in rest.c: the operations are rounded one by one, in runs of
 * sixteen of which compilers make the vectors that any processor has.  A sum has sixteen lanes and
 * the tree of kernels.h, but no fused operations.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <math.h>

enum { LANES = 16 };

static float tree(float lane[LANES])
{
    for (unsigned half = LANES / 2; half > 0; half /= 2)
        for (unsigned l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static float sum(const float *x, size_t n)
{
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += x[i + l];
    for (size_t l = 0; i + l < n; l++)
        lane[l] += x[i + l];
    return tree(lane);
}

/* The sum of squares of x - mean, which becomes y. */
static float centre(float *y, const float *x, float mean, size_t n)
{
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            y[i + l] = x[i + l] - mean;
            lane[l] += y[i + l] * y[i + l];
        }
    for (size_t l = 0; i + l < n; l++) {
        y[i + l] = x[i + l] - mean;
        lane[l] += y[i + l] * y[i + l];
    }
    return tree(lane);
}

void kernels_layernorm(float *y, const float *x, const float *w, const float *b, float eps,
                       size_t n)
{
    float squares = centre(y, x, sum(x, n) / (float)n, n);
    float r = 1.0f / sqrtf(squares / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] *= r;
    for (size_t i = 0; w && i < n; i++)
        y[i] = y[i] * w[i] + b[i];
}

void kernels_multiply(float *y, const float *x, const float *by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * by[i];
}
