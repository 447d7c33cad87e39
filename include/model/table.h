/* SPDX-License-Identifier: MIT */
/*
 * table.h - the embedding table and the output head: one row of `cols` values for each token.
 *
 * TABLE_F16 keeps binary16 values.  TABLE_Q8 keeps 8 bits a value and one f32 scale a row
 * (scale = max|x| / 127, q = round_half_even(x / scale)), the upper four bits of all rows apart
 * from the lower ones, because most rows of a head can be ruled out by the upper ones alone and
 * need not be read further (engine/head.h).  TABLE_BYTES is a view of some of its rows put together
 * again.
 *
 * Rows are padded with zeros to `stride` values, a multiple of 64, of 128 in Q8, and start at a
 * multiple of 64 bytes.
 *
 * Q8 in memory: q + 128 = 16 high + low, both 0..15.  A plane of high nibbles, [rows][stride / 2]
 * bytes, then one of low nibbles alike.  64 bytes hold 128 values: byte j has value j in its lower
 * half and value 64 + j in its upper half.
 */
#ifndef TRIT_TABLE_H
#define TRIT_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum {
    TABLE_COLS_MAX = (1 << 17) - 128, /* so that no int32 dot of a q8 row can overflow */
};

enum table_type {
    TABLE_F16 = 1,
    TABLE_Q8 = 2,
    TABLE_BYTES = 3,   /* int8 q [rows][stride]; never in a segment */
    TABLE_TERNARY = 4, /* no table but tiles (model/layout.h), for a loader to choose */
};

/* data and scales are borrowed from the segment. */
struct table {
    enum table_type type;
    uint32_t rows, cols;
    uint32_t stride;     /* values from row to row */
    const void *data;    /* uint16_t or int8_t [rows][stride], or nibbles */
    const float *scales; /* [rows]; NULL for f16 */
};

/*
 * Fill the shape fields of *t (data and scales NULL).  Asserted, so a loader checks before: rows
 * and cols are at least 1, cols is at most TABLE_COLS_MAX.
 */
void table_shape(struct table *t, enum table_type type, uint32_t rows, uint32_t cols);
size_t table_data_bytes(const struct table *t);
size_t table_scale_bytes(const struct table *t); /* 0 for f16 */

/*
 * Encode cols floats as row `row` of the table whose data begins at `data`; scales[row] is written
 * for q8.  A q8 row whose scale would be zero (all values below 1e-43) is stored as zeros.  x
 * should be finite: nothing breaks if it is not, but the row then stands for no useful numbers.
 */
void table_pack_row(const struct table *t, uint32_t row, const float *x, void *data, float *scales);

/* dst[cols] = row `row` as floats; the embedding look-up. */
void table_row(const struct table *t, uint32_t row, float *dst);

/* Bytes from row to row of a plane of nibbles, and where they begin. */
static inline size_t table_nibble_stride(const struct table *t)
{
    return t->stride / 2;
}
static inline const uint8_t *table_high(const struct table *t)
{
    return t->data;
}
static inline const uint8_t *table_low(const struct table *t)
{
    return table_high(t) + (size_t)t->rows * table_nibble_stride(t);
}

/* bytes[stride], line-aligned: row `row` of a q8 table as TABLE_BYTES has it. */
void table_join_row(const struct table *t, uint32_t row, int8_t *bytes);

#endif
