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
#include "model/wide.h"

enum {
    LINE_VALUES = 64, /* a row begins on a line of 64 bytes with one byte a value, and with two */
    Q8_MAX = 127,
    Q8_OFFSET = 128, /* of what is cut into nibbles */
    HALF = WIDE_CODES / 2, /* values from the lower to the upper half of a byte */
};

void table_shape(struct table *t, enum table_type type, uint32_t rows, uint32_t cols)
{
    trit_assert(type == TABLE_F16 || type == TABLE_Q8);
    trit_assert(rows >= 1 && cols >= 1 && cols <= TABLE_COLS_MAX);
    *t = (struct table){
        .type = type,
        .rows = rows,
        .cols = cols,
        .stride = (uint32_t)round_up(cols, type == TABLE_Q8 ? 2 * HALF : LINE_VALUES),
    };
}

size_t table_data_bytes(const struct table *t)
{
    return (size_t)t->rows * t->stride * (t->type == TABLE_F16 ? sizeof(uint16_t) : 1);
}

size_t table_scale_bytes(const struct table *t)
{
    return t->type == TABLE_Q8 ? t->rows * sizeof(float) : 0;
}

static float scale_q8(const float *x, size_t n)
{
    int32_t bits = wide_largest(x, n);
    float size;
    memcpy(&size, &bits, sizeof size);
    return size / Q8_MAX;
}

static void pack_q8(const struct table *t, uint32_t row, const float *x, uint8_t *data,
                    float *scale)
{
    size_t bytes = table_nibble_stride(t);
    uint8_t *high = data + row * bytes, *low = high + t->rows * bytes;
    *scale = scale_q8(x, t->cols);
    for (size_t i = 0; i < t->stride; i += 2 * HALF, high += HALF, low += HALF) {
        float part[2 * HALF] = {0};
        if (*scale > 0)
            memcpy(part, x + i, MIN(sizeof part, (t->cols - i) * sizeof *x));
        wide_codes(part, *scale > 0 ? *scale : 1, high, low);
    }
}

void table_pack_row(const struct table *t, uint32_t row, const float *x, void *data, float *scales)
{
    trit_assert(row < t->rows);
    if (t->type == TABLE_Q8) {
        pack_q8(t, row, x, data, &scales[row]);
        return;
    }
    uint16_t *h = (uint16_t *)data + (size_t)row * t->stride;
    memset(h, 0, t->stride * sizeof *h);
    for (uint32_t i = 0; i < t->cols; i++)
        h[i] = quant_f32_to_f16(x[i]);
}

/* Written for compilers that make vectors of it. */
void table_join_row(const struct table *t, uint32_t row, int8_t *bytes)
{
    size_t at = row * table_nibble_stride(t);
    const uint8_t *high = table_high(t) + at, *low = table_low(t) + at;
    for (size_t i = 0; i < t->stride; i += 2 * HALF, high += HALF, low += HALF)
        for (size_t j = 0; j < HALF; j++) {
            bytes[i + j] = (int8_t)(((high[j] & 15) << 4 | (low[j] & 15)) - Q8_OFFSET);
            bytes[i + HALF + j] = (int8_t)(((high[j] & 0xf0) | low[j] >> 4) - Q8_OFFSET);
        }
}

static int nibble_at(const uint8_t *plane, size_t i)
{
    uint8_t byte = plane[i / (2 * HALF) * HALF + i % HALF];
    return i / HALF % 2 ? byte >> 4 : byte & 15;
}

void table_row(const struct table *t, uint32_t row, float *dst)
{
    trit_assert(row < t->rows);
    if (t->type == TABLE_F16) {
        const uint16_t *h = (const uint16_t *)t->data + (size_t)row * t->stride;
        for (uint32_t i = 0; i < t->cols; i++)
            dst[i] = quant_f16_to_f32(h[i]);
        return;
    }
    size_t at = row * table_nibble_stride(t);
    const uint8_t *high = table_high(t) + at, *low = table_low(t) + at;
    for (uint32_t i = 0; i < t->cols; i++) {
        int q = 16 * nibble_at(high, i) + nibble_at(low, i) - Q8_OFFSET;
        dst[i] = (float)q * t->scales[row];
    }
}
