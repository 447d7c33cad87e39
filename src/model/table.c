/* SPDX-License-Identifier: MIT */
/*
 * table.c - rows of the embedding and of the head: their sizes, writing one, reading one.
 *
 * Not here: products with a table; those are kernels.
 */
#include "config.h"
#include "model/table.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

enum {
    STRIDE_VALUES = 64, /* a row begins on a line of 64 bytes with one byte a value, and with two */
    Q8_MAX = 127,
};

void table_shape(struct table *t, enum table_type type, uint32_t rows, uint32_t cols)
{
    trit_assert(type == TABLE_F16 || type == TABLE_Q8);
    trit_assert(rows >= 1 && cols >= 1 && cols <= TABLE_COLS_MAX);
    *t = (struct table){
        .type = type,
        .rows = rows,
        .cols = cols,
        .stride = (uint32_t)round_up(cols, STRIDE_VALUES),
    };
}

static size_t value_bytes(const struct table *t)
{
    return t->type == TABLE_F16 ? sizeof(uint16_t) : sizeof(int8_t);
}

size_t table_data_bytes(const struct table *t)
{
    return (size_t)t->rows * t->stride * value_bytes(t);
}

size_t table_scale_bytes(const struct table *t)
{
    return t->type == TABLE_Q8 ? t->rows * sizeof(float) : 0;
}

static float pack_q8(const float *x, int8_t *q, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    float scale = max / Q8_MAX;
    for (size_t i = 0; i < n; i++) {
        /* Denormal scales are coarse and infinite ones give NaN: hold every value in range. */
        float v = scale > 0 ? x[i] / scale : 0;
        v = v > -Q8_MAX ? v : -Q8_MAX;
        v = v < Q8_MAX ? v : Q8_MAX;
        q[i] = (int8_t)rintf(v);
    }
    return scale;
}

void table_pack_row(const struct table *t, const float *x, void *data, float *scale)
{
    memset(data, 0, t->stride * value_bytes(t));
    if (t->type == TABLE_Q8) {
        *scale = pack_q8(x, data, t->cols);
        return;
    }
    uint16_t *h = data;
    for (uint32_t i = 0; i < t->cols; i++)
        h[i] = quant_f32_to_f16(x[i]);
}

void table_row(const struct table *t, uint32_t row, float *dst)
{
    trit_assert(row < t->rows);
    size_t at = (size_t)row * t->stride;
    if (t->type == TABLE_F16) {
        const uint16_t *h = (const uint16_t *)t->data + at;
        for (uint32_t i = 0; i < t->cols; i++)
            dst[i] = quant_f16_to_f32(h[i]);
    } else {
        const int8_t *q = (const int8_t *)t->data + at;
        for (uint32_t i = 0; i < t->cols; i++)
            dst[i] = (float)q[i] * t->scales[row];
    }
}
