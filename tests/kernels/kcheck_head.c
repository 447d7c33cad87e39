/* SPDX-License-Identifier: MIT */
/*
 * kcheck_head.c - the output head in both table types, and the splitting of its input.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

/* Sizes that leave every kind of remainder, and the real ones. */
static const struct {
    uint32_t rows, cols, tokens;
} shapes[] = {
    {1, 1, 1},      {3, 16, 1},   {4, 63, 2},   {5, 64, 3},    {7, 65, 4},
    {16, 100, 5},   {33, 192, 6}, {50, 320, 7}, {18, 2560, 8}, {40, 2560, 1},
    {21, 2560, 17}, {9, 8640, 3}, {6, 5460, 2}, {17, 128, 33},
    {70, 2560, 16}, {300, 1100, 20}, {129, 64, 3},
};

/* A part of the rows, sometimes all. */
static void choose_rows(uint32_t rows, size_t *row0, size_t *row1)
{
    *row0 = kc_below(2) ? 0 : kc_below(rows);
    *row1 = kc_below(2) ? rows : *row0 + kc_below((uint32_t)(rows - *row0 + 1));
}

static struct table new_table(enum table_type type, uint32_t rows, uint32_t cols)
{
    struct table t;
    table_shape(&t, type, rows, cols);
    uint8_t *data = kc_new(table_data_bytes(&t), KC_LINE);
    float *scales = kc_new(table_scale_bytes(&t), KC_LINE);
    float *row = kc_new(cols * sizeof *row, 4);
    for (uint32_t r = 0; r < rows; r++) {
        kc_fill_unit(row, cols, ldexpf(1, (int)kc_below(20) - 10));
        table_pack_row(&t, r, row, data, scales);
    }
    t.data = data;
    t.scales = type == TABLE_Q8 ? scales : NULL;
    return t;
}

/* All rows of a q8 table as bytes. */
static struct table bytes_of(const struct table *t)
{
    struct table bytes = *t;
    int8_t *data = kc_new((size_t)t->rows * t->stride, KC_LINE);
    for (uint32_t r = 0; r < t->rows; r++)
        table_join_row(t, r, data + (size_t)r * t->stride);
    bytes.type = TABLE_BYTES;
    bytes.data = data;
    return bytes;
}

static void head_f16_case(const struct kernels *k, uint32_t rows, uint32_t cols, size_t n_tokens)
{
    kc_case("%u rows, %u columns, %zu tokens", rows, cols, n_tokens);
    struct table t = new_table(TABLE_F16, rows, cols);
    size_t row0, row1, x_stride = t.stride + 16 * kc_below(3), out_stride = rows + kc_below(4);
    choose_rows(rows, &row0, &row1);
    float *x = kc_new(n_tokens * x_stride * sizeof *x, KC_LINE);
    memset(x, 0, n_tokens * x_stride * sizeof *x);
    for (size_t i = 0; i < n_tokens; i++)
        kc_fill_unit(x + i * x_stride, cols, 3);
    if (kc_below(4) == 0)
        x[kc_below(cols)] = kc_wild();
    size_t n = (n_tokens - 1) * out_stride + rows;
    float *out = kc_new(n * sizeof *out, 4);
    k->head_f16(out, out_stride, &t, row0, row1, x, x_stride, n_tokens);
    if (k == kc_scalar) {
        const uint16_t *data = t.data;
        for (size_t i = 0; i < n_tokens; i++)
            for (size_t row = row0; row < row1; row++) {
                double want = 0, size = 0;
                for (size_t c = 0; c < cols; c++) {
                    double term = (double)quant_f16_to_f32(data[row * t.stride + c]) *
                                  (double)x[i * x_stride + c];
                    want += term;
                    size += fabs(term);
                }
                kc_near("out", i * out_stride + row, (double)out[i * out_stride + row], want,
                        size * (t.stride / 16 + 5) * 0x1p-24 + 1e-37);
            }
    } else {
        float *want = kc_new(n * sizeof *want, 4);
        kc_scalar->head_f16(want, out_stride, &t, row0, row1, x, x_stride, n_tokens);
        kc_same_floats("out", out, want, n);
    }
    kc_end();
}

void kc_head_f16(const struct kernels *k)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        head_f16_case(k, shapes[i].rows, shapes[i].cols, shapes[i].tokens);
    for (unsigned i = 0; i < 40; i++)
        head_f16_case(k, 1 + kc_below(40), 1 + kc_below(300), 1 + kc_below(9));
}

static void new_planes(struct planes *p, size_t stride, size_t n_tokens)
{
    p->stride = stride;
    p->hi = kc_new(n_tokens * stride, KC_LINE);
    p->lo = kc_new(n_tokens * stride, KC_LINE);
    p->step = kc_new(n_tokens * sizeof(float), 4);
    p->sum_hi = kc_new(n_tokens * sizeof(int32_t), 4);
    p->sum_lo = kc_new(n_tokens * sizeof(int32_t), 4);
}

/* Every product is computed exactly in 64 bits; what is left are the last roundings. */
static void compare_q8(const struct table *t, const struct planes *p, const float *out,
                       size_t out_stride, size_t row0, size_t row1, size_t n_tokens)
{
    const int8_t *data = t->data;
    for (size_t i = 0; i < n_tokens; i++)
        for (size_t row = row0; row < row1; row++) {
            int64_t dot = 0;
            for (size_t c = 0; c < t->cols; c++)
                dot += (128 * (int64_t)p->hi[i * p->stride + c] + p->lo[i * p->stride + c]) *
                       data[row * t->stride + c];
            double want = (double)dot * (double)t->scales[row] * (double)p->step[i];
            kc_near("out", i * out_stride + row, (double)out[i * out_stride + row], want,
                    /* (float)hi may be off by half an ulp of a sum that lo then cancels. */
                    fabs(want) * 0x1p-22 +
                        (double)t->cols * 127 * 127 * 128 * 0x1p-24 * (double)t->scales[row] *
                            (double)p->step[i] * 0x1p-2 +
                        1e-37);
        }
}

/* saturated: weights and planes at their limits, of one sign or of both. */
static void head_q8_case(const struct kernels *k, uint32_t rows, uint32_t cols, size_t n_tokens,
                         unsigned saturated)
{
    kc_case("%u rows, %u columns, %zu tokens, saturated %u", rows, cols, n_tokens, saturated);
    struct table packed = new_table(TABLE_Q8, rows, cols), t = bytes_of(&packed);
    struct planes p;
    size_t row0, row1, out_stride = rows + kc_below(4);
    choose_rows(rows, &row0, &row1);
    new_planes(&p, t.stride + 64 * kc_below(2), n_tokens);
    float *x = kc_new(cols * sizeof *x, 4);
    for (size_t i = 0; i < n_tokens; i++) {
        kc_fill_unit(x, cols, ldexpf(1, (int)kc_below(20) - 10));
        for (size_t c = 0; saturated && c < cols; c++)
            x[c] = saturated > 1 && kc_below(2) ? -1.0f : 1.0f;
        kc_scalar->head_split(&p, i, x, cols);
    }
    if (saturated) {
        int8_t *q = kc_new(rows * (size_t)t.stride, KC_LINE);
        memset(q, 0, rows * (size_t)t.stride);
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t c = 0; c < cols; c++)
                q[r * t.stride + c] = saturated > 1 && kc_below(2) ? -127 : 127;
        t.data = q;
    }
    size_t n = (n_tokens - 1) * out_stride + rows;
    float *out = kc_new(n * sizeof *out, 4);
    k->head_q8(out, out_stride, &t, row0, row1, &p, n_tokens);
    if (k == kc_scalar) {
        compare_q8(&t, &p, out, out_stride, row0, row1, n_tokens);
    } else {
        float *want = kc_new(n * sizeof *want, 4);
        kc_scalar->head_q8(want, out_stride, &t, row0, row1, &p, n_tokens);
        kc_same_floats("out", out, want, n);
    }
    kc_end();
}

void kc_head_q8(const struct kernels *k)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        head_q8_case(k, shapes[i].rows, shapes[i].cols, shapes[i].tokens, 0);
    for (unsigned i = 0; i < 40; i++)
        head_q8_case(k, 1 + kc_below(40), 1 + kc_below(300), 1 + kc_below(9), kc_below(3));
    head_q8_case(k, 6, 8640, 3, 1);
    head_q8_case(k, 6, 8640, 2, 2);
    head_q8_case(k, 2, TABLE_COLS_MAX, 1, 1);
    head_q8_case(k, 2, TABLE_COLS_MAX, 1, 2);
}

/* Against exact integers, and against the exact logit, from which it may be as far as half a step
 * of the nibbles and all of the lower plane reach. */
static void compare_coarse(const struct table *packed, const struct planes *p, const float *out,
                           size_t out_stride, size_t row0, size_t row1, size_t n_tokens)
{
    struct table t = bytes_of(packed);
    const int8_t *data = t.data;
    for (size_t i = 0; i < n_tokens; i++)
        for (size_t row = row0; row < row1; row++) {
            int64_t coarse = 0, exact = 0, reach = 0;
            for (size_t c = 0; c < t.cols; c++) {
                int q = data[row * t.stride + c], high = (q + 128) / 16;
                int hi = p->hi[i * p->stride + c], lo = p->lo[i * p->stride + c];
                coarse += (int64_t)(128 * 16 * high - 15424) * hi; /* 128 * 120.5 */
                exact += (int64_t)(128 * hi + lo) * q;
                reach += 960 * abs(hi) + 127 * abs(lo);
            }
            double factor = (double)t.scales[row] * (double)p->step[i];
            kc_near("coarse", i * out_stride + row, (double)out[i * out_stride + row],
                    (double)coarse * factor,
                    fabs((double)coarse * factor) * 0x1p-22 +
                        (double)t.cols * 127 * 15424 * 0x1p-23 * factor + 1e-37);
            if (llabs(coarse - exact) > reach)
                kc_fail("coarse %lld is further than %lld from %lld", (long long)coarse,
                        (long long)reach, (long long)exact);
        }
}

static void coarse_case(const struct kernels *k, uint32_t rows, uint32_t cols, size_t n_tokens,
                        bool saturated)
{
    kc_case("%u rows, %u columns, %zu tokens, saturated %d", rows, cols, n_tokens, saturated);
    struct table t = new_table(TABLE_Q8, rows, cols);
    struct planes p;
    size_t row0, row1, out_stride = rows + kc_below(4);
    choose_rows(rows, &row0, &row1);
    new_planes(&p, t.stride + 64 * kc_below(2), n_tokens);
    float *x = kc_new(cols * sizeof *x, 4);
    for (size_t i = 0; i < n_tokens; i++) {
        kc_fill_unit(x, cols, ldexpf(1, (int)kc_below(20) - 10));
        for (size_t c = 0; saturated && c < cols; c++)
            x[c] = kc_below(2) ? -1.0f : 1.0f;
        if (saturated && kc_below(2))
            for (size_t c = 0; c < cols; c++)
                x[c] = 1.0f;
        kc_scalar->head_split(&p, i, x, cols);
    }
    size_t n = (n_tokens - 1) * out_stride + rows;
    float *out = kc_new(n * sizeof *out, 4);
    k->head_coarse(out, out_stride, &t, row0, row1, &p, n_tokens);
    if (k == kc_scalar) {
        compare_coarse(&t, &p, out, out_stride, row0, row1, n_tokens);
    } else {
        float *want = kc_new(n * sizeof *want, 4);
        kc_scalar->head_coarse(want, out_stride, &t, row0, row1, &p, n_tokens);
        kc_same_floats("out", out, want, n);
    }
    kc_end();
}

void kc_head_coarse(const struct kernels *k)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        coarse_case(k, shapes[i].rows, shapes[i].cols, shapes[i].tokens, false);
    for (unsigned i = 0; i < 40; i++)
        coarse_case(k, 1 + kc_below(80), 1 + kc_below(300), 1 + kc_below(40), kc_below(2));
    coarse_case(k, 6, 8640, 3, true);
    coarse_case(k, 40, 8640, 33, true);
    coarse_case(k, 2, TABLE_COLS_MAX, 1, true);
}

static void compare_split(const struct planes *p, size_t token, const float *x, size_t n)
{
    const int8_t *hi = p->hi + token * p->stride, *lo = p->lo + token * p->stride;
    double max = 1e-30;
    int64_t sum_hi = 0, sum_lo = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs((double)x[i]));
    for (size_t i = 0; i < p->stride; i++) {
        double want = i < n ? (double)x[i] * 16256 / max : 0;
        kc_near("hi * 128 + lo", i, 128 * hi[i] + lo[i], want, i < n ? 0.5 + 4e-3 : 0);
        if (lo[i] < -64 || lo[i] > 63 || hi[i] == -128)
            kc_fail("planes %d and %d at %zu are out of range", hi[i], lo[i], i);
        sum_hi += hi[i];
        sum_lo += lo[i];
    }
    kc_near("step", 0, (double)p->step[token], max / 16256, max / 16256 * 0x1p-23);
    kc_near("sum_hi", 0, p->sum_hi[token], (double)sum_hi, 0);
    kc_near("sum_lo", 0, p->sum_lo[token], (double)sum_lo, 0);
}

void kc_head_split(const struct kernels *k)
{
    for (uint32_t i = 1; i <= 200; i++) {
        size_t n = i <= 70 ? i : 1 + kc_below(3000), n_tokens = 2, token = kc_below(2);
        size_t stride = round_up(n, 64) + 64 * kc_below(2);
        unsigned kind = kc_below(4); /* 0: wild, 1: all zero, else plain */
        kc_case("%zu values, kind %u", n, kind);
        struct planes got, want;
        float *x = kc_new(n * sizeof *x, 4);
        kc_fill_unit(x, n, kind == 1 ? 0 : ldexpf(1, (int)kc_below(100) - 60));
        bool finite = true;
        for (size_t j = 0; kind == 0 && j < n; j++) {
            x[j] = kc_below(50) ? kc_wild() : NAN;
            finite &= isfinite(x[j]);
        }
        new_planes(&got, stride, n_tokens);
        k->head_split(&got, token, x, n);
        if (k == kc_scalar) {
            if (finite)
                compare_split(&got, token, x, n);
        } else {
            new_planes(&want, stride, n_tokens);
            kc_scalar->head_split(&want, token, x, n);
            kc_same_bytes("hi", got.hi, want.hi, n_tokens * stride);
            kc_same_bytes("lo", got.lo, want.lo, n_tokens * stride);
            kc_same_bytes("sum_hi", got.sum_hi, want.sum_hi, n_tokens * sizeof(int32_t));
            kc_same_bytes("sum_lo", got.sum_lo, want.sum_lo, n_tokens * sizeof(int32_t));
            kc_same_floats("step", got.step, want.step, n_tokens);
        }
        kc_end();
    }
}
