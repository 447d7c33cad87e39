/* SPDX-License-Identifier: MIT */
/*
 * kcheck_delta.c - the gated delta rule, and the convolution before it.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

enum { MOST_ROWS = 5 };

static float *copy_of(const float *x, size_t n)
{
    float *copy = kc_new(n * sizeof *copy, 4);
    memcpy(copy, x, n * sizeof *copy);
    return copy;
}

/* S[i][j] of a state. */
static size_t place(size_t dim, size_t i, size_t j)
{
    return (j / DELTA_LANES * dim + i) * DELTA_LANES + j % DELTA_LANES;
}

/* The rule as it is told, in double, against what scalar has made of the same. */
static void compare_with_double(const struct delta_rows *t, const float *state, const float *v,
                                const struct delta_rows *done)
{
    static double s[128][128];
    size_t dim = t->dim;
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < dim; j++)
            s[i][j] = (double)state[place(dim, i, j)];
    for (size_t r = 0; r < t->n_rows; r++)
        for (size_t j = 0; j < dim; j++) {
            const float *q = t->q + r * t->stride, *k = t->k + r * t->stride;
            double told = 0, out = 0;
            for (size_t i = 0; i < dim; i++)
                told += s[i][j] * (double)t->decay[r] * (double)k[i];
            double d = ((double)v[r * t->stride + j] - told) * (double)t->rate[r];
            for (size_t i = 0; i < dim; i++) {
                s[i][j] = s[i][j] * (double)t->decay[r] + d * (double)k[i];
                out += s[i][j] * (double)q[i];
            }
            kc_near("v", j, (double)done->v[r * t->stride + j], out, 1e-3 * (double)dim);
        }
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < dim; j++)
            kc_near("state", place(dim, i, j), (double)done->state[place(dim, i, j)], s[i][j],
                    1e-4 * (double)dim);
}

void kc_delta(const struct kernels *k)
{
    static const size_t dims[] = {16, 32, 48, 64, 128};
    for (unsigned c = 0; c < 60; c++) {
        size_t dim = dims[c % ARRAY_LEN(dims)], rows = 1 + kc_below(MOST_ROWS);
        size_t stride = 3 * dim + kc_below(5);
        bool wild = c >= 40 && k != kc_scalar;
        kc_case("%zu rows of %zu%s", rows, dim, wild ? ", wild" : "");
        float *x = kc_new(rows * stride * sizeof *x, 4);
        float *gates = kc_new(2 * rows * sizeof *gates, 4);
        float *state = kc_new(dim * dim * sizeof *state, 4);
        for (size_t i = 0; i < rows * stride; i++)
            x[i] = wild ? kc_wild() : kc_unit();
        for (size_t i = 0; i < dim * dim; i++)
            state[i] = wild ? kc_wild() : kc_unit();
        for (size_t i = 0; i < 2 * rows; i++)
            gates[i] = fabsf(kc_unit());
        for (size_t r = 0; r < rows; r++) /* keys are of length 1, or states would grow */
            for (size_t i = 0; i < 2 * dim && !wild; i++)
                x[r * stride + i] /= sqrtf((float)dim);
        float *other = copy_of(x, rows * stride), *other_state = copy_of(state, dim * dim);
        struct delta_rows t = {.state = state,
                               .q = x,
                               .k = x + dim,
                               .v = x + 2 * dim,
                               .stride = stride,
                               .decay = gates,
                               .rate = gates + rows,
                               .n_rows = rows,
                               .dim = dim};
        struct delta_rows u = t;
        u.state = other_state;
        u.q = other;
        u.k = other + dim;
        u.v = other + 2 * dim;
        k->delta(&t);
        if (k == kc_scalar) {
            compare_with_double(&u, other_state, u.v, &t);
        } else { /* scalar takes the rows one by one */
            for (size_t r = 0; r < rows; r++) {
                struct delta_rows one = u;
                one.n_rows = 1;
                one.q += r * stride;
                one.k += r * stride;
                one.v += r * stride;
                one.decay += r;
                one.rate += r;
                kc_scalar->delta(&one);
            }
            kc_same_floats("rows", x, other, rows * stride);
            kc_same_floats("state", state, other_state, dim * dim);
        }
        kc_end();
    }
}

/* One body for all: it is right, and cutting the rows in two changes nothing. */
void kc_convolve(const struct kernels *k)
{
    for (unsigned c = 0; k == kc_scalar && c < 100; c++) {
        size_t width = 2 + kc_below(DELTA_CONV_MAX - 1), rows = 1 + kc_below(2 * DELTA_CONV_MAX);
        size_t n = 1 + kc_below(50), stride = n + kc_below(3), before = width - 1;
        size_t cut = kc_below((uint32_t)rows + 1);
        kc_case("%zu rows of %zu, width %zu, cut at %zu", rows, n, width, cut);
        float *x = kc_new(rows * stride * sizeof *x, 4),
              *past = kc_new(before * stride * sizeof *past, 4);
        float *w = kc_new(n * width * sizeof *w, 4);
        kc_fill_unit(x, rows * stride, 1);
        kc_fill_unit(past, before * stride, 1);
        kc_fill_unit(w, n * width, 1);
        float *source = copy_of(x, rows * stride), *source_past = copy_of(past, before * stride);
        float *parts = copy_of(x, rows * stride), *parts_past = copy_of(past, before * stride);
        kernels_convolve(x, stride, rows, past, stride, w, width, n);
        if (cut)
            kernels_convolve(parts, stride, cut, parts_past, stride, w, width, n);
        if (cut < rows)
            kernels_convolve(parts + cut * stride, stride, rows - cut, parts_past, stride, w, width,
                             n);
        kc_same_floats("parts", parts, x, rows * stride);
        kc_same_floats("their past", parts_past, past, before * stride);
        for (size_t r = 0; r < rows + before; r++)
            for (size_t j = 0; j < n; j++) {
                double want = 0;
                for (size_t t = 0; r < rows && t < width; t++)
                    want += (double)w[j * width + t] *
                            (double)(r + t < before ? source_past[(r + t) * stride + j]
                                                    : source[(r + t - before) * stride + j]);
                size_t at = r + rows - rows; /* of past: the last inputs */
                if (r < rows)
                    kc_near("x", r * stride + j, (double)x[r * stride + j], want, 1e-5);
                else if ((at -= rows) < before)
                    kc_near("past", at, (double)past[at * stride + j],
                            (double)(rows + at < before
                                         ? source_past[(rows + at) * stride + j]
                                         : source[(rows + at - before) * stride + j]),
                            0);
            }
        kc_end();
    }
    kc_case("nothing");
    kc_end();
}

/* One body for all: H has the sign of how many bits row and column share, and is its own inverse.
 */
void kc_rotate(const struct kernels *k)
{
    for (unsigned c = 0; k == kc_scalar && c < 40; c++) {
        size_t block = (size_t)2 << c % 10, n = block * (1 + kc_below(3));
        kc_case("%zu values in blocks of %zu", n, block);
        float *x = kc_new(n * sizeof *x, 4), *y = kc_new(n * sizeof *y, 4);
        float *signs = kc_new(n * sizeof *signs, 4);
        kc_fill_unit(x, n, 1);
        for (size_t i = 0; i < n; i++)
            signs[i] = kc_below(2) ? 1.0f : -1.0f;
        kernels_rotate(y, x, signs, block, n);
        for (size_t i = 0; i < n; i++) {
            double want = 0;
            for (size_t j = i - i % block; j < i - i % block + block; j++)
                want += (__builtin_parityll((i & j) & (block - 1)) ? -1 : 1) * (double)signs[j] *
                        (double)x[j];
            kc_near("y", i, (double)y[i], want / sqrt((double)block), 1e-5);
        }
        kernels_rotate_back(y, signs, block, n);
        for (size_t i = 0; i < n; i++)
            kc_near("back", i, (double)y[i], (double)x[i], 1e-5);
        kc_end();
    }
    kc_case("nothing");
    kc_end();
}
