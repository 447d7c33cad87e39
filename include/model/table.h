/* SPDX-License-Identifier: MIT */
/*
 * table.h - the embedding table and the output head: one row of `cols` values for each token.
 *
 * TABLE_F16 keeps binary16 values.  TABLE_Q8 keeps int8 values and one f32 scale a row
 * (scale = max|x| / 127, q = round_half_even(x / scale)).  Rows are padded with zeros to `stride`
 * values, a multiple of 64, and start at a multiple of 64 bytes.
 */
#ifndef TRIT_TABLE_H
#define TRIT_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum {
    TABLE_COLS_MAX = (1 << 17) - 64, /* so that no int32 dot of a q8 row can overflow */
};

enum table_type {
    TABLE_F16 = 1,
    TABLE_Q8 = 2,
};

/* data and scales are borrowed from the segment. */
struct table {
    enum table_type type;
    uint32_t rows, cols;
    uint32_t stride;     /* values from row to row */
    const void *data;    /* uint16_t or int8_t [rows][stride] */
    const float *scales; /* [rows]; NULL for f16 */
};

/*
 * Fill the shape fields of *t (data and scales NULL).  Asserted, so a loader checks before: rows and
 * cols are at least 1, cols is at most TABLE_COLS_MAX.
 */
void table_shape(struct table *t, enum table_type type, uint32_t rows, uint32_t cols);
size_t table_data_bytes(const struct table *t);
size_t table_scale_bytes(const struct table *t); /* 0 for f16 */

/*
 * Encode one row of cols floats at data (stride values); *scale is written for q8.  A q8 row whose
 * scale would be zero (all values below 1e-43) is stored as zeros.  x should be finite: nothing
 * breaks if it is not, but the row then stands for no useful numbers.
 */
void table_pack_row(const struct table *t, const float *x, void *data, float *scale);

/* dst[cols] = row `row` as floats; the embedding look-up. */
void table_row(const struct table *t, uint32_t row, float *dst);

#endif
