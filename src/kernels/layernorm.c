/* SPDX-License-Identifier: MIT */
/*
 * layernorm.c - the LayerNorm that stands around the products of some methods (model/method.h).
 *
 * One body serves every machine, as in rest.c: the operations are rounded one by one, in vectors
 * that any processor has.  A sum has sixteen lanes, four vectors, and the tree of kernels.h, but no
 * fused operations.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#include "kernels/inline.h"

enum { WIDTH = 4, VECTORS = 4, LANES = WIDTH * VECTORS };

typedef float floats __attribute__((vector_size(WIDTH * sizeof(float))));

static inline floats load(const float *x)
{
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

/* Lane l of the tree takes in lane l + half, down to one. */
static float tree(const floats s[VECTORS])
{
    floats four = (s[0] + s[2]) + (s[1] + s[3]);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static float sum(const float *x, size_t n)
{
    floats s[VECTORS] = {{0}};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        foreach (v, VECTORS)
            s[v] += load(x + i + v * WIDTH);
    for (unsigned l = 0; i + l < n; l++)
        s[l / WIDTH][l % WIDTH] += x[i + l];
    return tree(s);
}

/* The sum of squares of x - mean, which becomes y. */
static float centre(float *y, const float *x, float mean, size_t n)
{
    floats s[VECTORS] = {{0}};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        foreach (v, VECTORS) {
            floats d = load(x + i + v * WIDTH) - mean;
            memcpy(y + i + v * WIDTH, &d, sizeof d);
            s[v] += d * d;
        }
    for (unsigned l = 0; i + l < n; l++) {
        y[i + l] = x[i + l] - mean;
        s[l / WIDTH][l % WIDTH] += y[i + l] * y[i + l];
    }
    return tree(s);
}

static void scale(float *y, float r, const float *w, const float *b, size_t n)
{
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        floats v = load(y + i) * r;
        if (w)
            v = v * load(w + i) + load(b + i);
        memcpy(y + i, &v, sizeof v);
    }
    for (; i < n; i++)
        y[i] = w ? y[i] * r * w[i] + b[i] : y[i] * r;
}

void kernels_layernorm(float *y, const float *x, const float *w, const float *b, float eps,
                       size_t n)
{
    float squares = centre(y, x, sum(x, n) / (float)n, n);
    scale(y, 1.0f / sqrtf(squares / (float)n + eps), w, b, n);
}

void kernels_multiply(float *y, const float *x, const float *by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * by[i];
}
