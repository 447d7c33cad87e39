/* SPDX-License-Identifier: MIT */
/*
 * convolve.c - what stands around a gated delta rule: the convolution before it, the products with
 * the few rows of floats that say how much is forgotten and learnt.
 *
 * One body serves every machine, as in rest.c.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <string.h>

enum { LANES = 16 };

/* At most LANES channels.  From the last row to the first, so that what a row reads is still there.
 */
static void convolve(float *x, size_t stride, size_t n_rows, float *past, size_t past_stride,
                     const float *w, size_t width, size_t n)
{
    float before[DELTA_CONV_MAX - 1][LANES], taps[DELTA_CONV_MAX][LANES] = {{0}};
    size_t n_before = width - 1;
    memset(before, 0, sizeof before);
    for (size_t t = 0; t < n_before; t++)
        memcpy(before[t], past + t * past_stride, n * sizeof **before);
    for (size_t t = 0; t < n_before; t++) {
        size_t at = n_rows + t; /* in `before`, and then the rows */
        memcpy(past + t * past_stride, at < n_before ? before[at] : x + (at - n_before) * stride,
               n * sizeof *past);
    }
    for (size_t c = 0; c < n; c++)
        for (size_t t = 0; t < width; t++)
            taps[t][c] = w[c * width + t];
    for (size_t r = n_rows; r-- > 0;) {
        float sum[LANES];
        for (size_t t = 0; t < width; t++) {
            float in[LANES] = {0};
            memcpy(in, r + t < n_before ? before[r + t] : x + (r + t - n_before) * stride,
                   n * sizeof *in);
            for (size_t c = 0; c < LANES; c++)
                sum[c] = t ? sum[c] + taps[t][c] * in[c] : taps[t][c] * in[c];
        }
        memcpy(x + r * stride, sum, n * sizeof *sum);
    }
}

void kernels_convolve(float *x, size_t stride, size_t n_rows, float *past, size_t past_stride,
                      const float *w, size_t width, size_t n)
{
    trit_assert(width >= 2 && width <= DELTA_CONV_MAX);
    for (size_t c = 0; c < n; c += LANES)
        convolve(x + c, stride, n_rows, past + c, past_stride, w + c * width, width,
                 MIN(n - c, (size_t)LANES));
}

float kernels_dot(const float *x, const float *y, size_t n)
{
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i + l < n; l++)
        lane[l] += x[i + l] * y[i + l];
    for (unsigned half = LANES / 2; half > 0; half /= 2)
        for (unsigned l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}
