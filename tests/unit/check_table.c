/* SPDX-License-Identifier: MIT */
/*
 * check_table.c - rows of embedding tables: sizes, both encodings, and odd values.
 */
#include "config.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/quant.h"
#include "model/table.h"
#include "unit.h"

static uint64_t seed;

/* In [-1, 1]. */
static float random_float(void)
{
    return (float)((double)(int64_t)unit_random(&seed) * 0x1p-63);
}

START_TEST(shapes)
{
    static const struct {
        uint32_t rows, cols, stride, stride_q8;
    } want[] = {{1, 1, 64, 128},
                {3, 64, 64, 128},
                {3, 65, 128, 128},
                {3, 129, 192, 256},
                {128256, 2560, 2560, 2560},
                {7, TABLE_COLS_MAX, TABLE_COLS_MAX, TABLE_COLS_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct table t;
        size_t values = (size_t)want[i].rows * want[i].stride;
        memset(&t, 0xff, sizeof t);
        table_shape(&t, TABLE_F16, want[i].rows, want[i].cols);
        ck_assert_uint_eq(t.type, TABLE_F16);
        ck_assert_uint_eq(t.rows, want[i].rows);
        ck_assert_uint_eq(t.cols, want[i].cols);
        ck_assert_uint_eq(t.stride, want[i].stride);
        ck_assert_ptr_null(t.data);
        ck_assert_ptr_null(t.scales);
        ck_assert_uint_eq(table_data_bytes(&t), 2 * values);
        ck_assert_uint_eq(table_scale_bytes(&t), 0);
        table_shape(&t, TABLE_Q8, want[i].rows, want[i].cols);
        ck_assert_uint_eq(t.stride, want[i].stride_q8);
        ck_assert_uint_eq(table_data_bytes(&t), (size_t)want[i].rows * want[i].stride_q8);
        ck_assert_uint_eq(table_scale_bytes(&t), 4 * (size_t)want[i].rows);
    }
}
END_TEST

/* Bytes [from, to) are as they were before packing. */
static void untouched(const uint8_t *data, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        ck_assert_uint_eq(data[i], 0xa5);
}

/* Pack all rows of a table, in order; nothing behind a row may be touched. */
static void pack(struct table *t, const float *x, void **data, float **scales)
{
    size_t total = table_data_bytes(t), planes = t->type == TABLE_Q8 ? 2 : 1,
           plane = total / planes;
    *data = mem_zalloc_line(total, 1);
    *scales = mem_zalloc(t->rows, sizeof **scales);
    ck_assert(*data && *scales);
    memset(*data, 0xa5, total);
    for (uint32_t r = 0; r < t->rows; r++) {
        table_pack_row(t, r, x + (size_t)r * t->cols, *data, *scales);
        for (size_t p = 0; p < planes; p++)
            untouched(*data, p * plane + (r + 1) * (plane / t->rows), (p + 1) * plane);
    }
    t->data = *data;
    t->scales = t->type == TABLE_Q8 ? *scales : NULL;
}

/* Row r of a q8 table as bytes; the padding is zero. */
static void join(const struct table *t, uint32_t r, int8_t *q)
{
    table_join_row(t, r, q);
    for (uint32_t i = t->cols; i < t->stride; i++)
        ck_assert_int_eq(q[i], 0);
}

START_TEST(f16_rows)
{
    for (uint32_t cols = 1; cols <= 130; cols += 43) {
        struct table t;
        void *data;
        float x[3 * 130], y[130], *scales;
        table_shape(&t, TABLE_F16, 3, cols);
        for (size_t i = 0; i < 3 * cols; i++)
            x[i] = ldexpf(random_float(), (int)(unit_random(&seed) % 30) - 20);
        pack(&t, x, &data, &scales);
        for (uint32_t r = 0; r < 3; r++) {
            table_row(&t, r, y);
            for (uint32_t c = 0; c < cols; c++)
                ck_assert_float_eq(y[c], quant_f16_to_f32(quant_f32_to_f16(x[r * cols + c])));
        }
        mem_free(data);
        mem_free(scales);
    }
}
END_TEST

START_TEST(q8_rows_are_within_half_a_step)
{
    for (uint32_t cols = 1; cols <= 130; cols += 43) {
        struct table t;
        void *data;
        float x[5 * 130], y[130], *scales;
        table_shape(&t, TABLE_Q8, 5, cols);
        for (uint32_t r = 0; r < 5; r++) {
            float size = ldexpf(1, (int)(unit_random(&seed) % 60) - 30);
            for (size_t c = 0; c < cols; c++)
                x[r * cols + c] = random_float() * size;
        }
        pack(&t, x, &data, &scales);
        for (uint32_t r = 0; r < 5; r++) {
            float max = 0;
            for (uint32_t c = 0; c < cols; c++)
                max = fmaxf(max, fabsf(x[r * cols + c]));
            ck_assert_float_eq(scales[r], max / 127);
            table_row(&t, r, y);
            int8_t q[256];
            join(&t, r, q);
            for (uint32_t c = 0; c < cols; c++) {
                ck_assert_float_eq(y[c], (float)q[c] * scales[r]);
                ck_assert_float_le(fabsf(y[c] - x[r * cols + c]), scales[r] * 0.5001f);
                if (fabsf(x[r * cols + c]) == max)
                    ck_assert_int_eq(q[c], x[r * cols + c] < 0 ? -127 : 127);
            }
        }
        mem_free(data);
        mem_free(scales);
    }
}
END_TEST

/* With a maximum of 127 the scale is 1 and ties are seen as they are: to even. */
START_TEST(q8_ties_go_to_even)
{
    static const float x[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, -0.0f};
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, -2, 126, 0};
    struct table t;
    uint8_t data[128];
    int8_t q[128];
    float scale;
    table_shape(&t, TABLE_Q8, 1, ARRAY_LEN(x));
    table_pack_row(&t, 0, x, data, &scale);
    t.data = data;
    join(&t, 0, q);
    ck_assert_float_eq(scale, 1);
    ck_assert_mem_eq(q, want, ARRAY_LEN(want));
}
END_TEST

START_TEST(q8_of_little_or_nothing)
{
    struct table t;
    uint8_t data[128];
    int8_t q[128];
    float scale, x[3] = {0, -0.0f, 0};
    table_shape(&t, TABLE_Q8, 1, 3);
    t.data = data;
    table_pack_row(&t, 0, x, data, &scale);
    join(&t, 0, q);
    ck_assert_float_eq(scale, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(q[i], 0);

    /* So small that the scale is zero; dividing by it must not show. */
    x[0] = 0x1p-149f;
    memset(data, 1, sizeof data);
    table_pack_row(&t, 0, x, data, &scale);
    join(&t, 0, q);
    ck_assert_float_eq(scale, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(q[i], 0);

    /* A denormal scale is coarse: values are held in the range of the codes. */
    x[0] = 100 * 0x1p-149f;
    x[1] = -200 * 0x1p-149f;
    table_pack_row(&t, 0, x, data, &scale);
    join(&t, 0, q);
    ck_assert_float_gt(scale, 0);
    ck_assert_int_eq(q[0], 50);
    ck_assert_int_eq(q[1], -100);
}
END_TEST

/* No result is promised; no code out of range, no undefined conversion (the sanitizer looks). */
START_TEST(q8_of_what_is_no_number)
{
    struct table t;
    uint8_t data[128];
    int8_t q[128];
    float scale, x[4] = {INFINITY, -INFINITY, NAN, 1};
    table_shape(&t, TABLE_Q8, 1, 4);
    table_pack_row(&t, 0, x, data, &scale);
    t.data = data;
    join(&t, 0, q);
    for (int i = 0; i < 4; i++)
        ck_assert_int_ge(q[i], -127);
}
END_TEST

START_TEST(a_row_that_is_not_there_asserts)
{
    static const uint16_t data[64];
    struct table t;
    float y[64];
    table_shape(&t, TABLE_F16, 1, 64);
    t.data = data;
    table_row(&t, 1, y);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *s = suite_create("table");
    TCase *c = tcase_create("table");
    tcase_add_test(c, shapes);
    tcase_add_test(c, f16_rows);
    tcase_add_test(c, q8_rows_are_within_half_a_step);
    tcase_add_test(c, q8_ties_go_to_even);
    tcase_add_test(c, q8_of_little_or_nothing);
    tcase_add_test(c, q8_of_what_is_no_number);
    unit_asserts(c, a_row_that_is_not_there_asserts);
    suite_add_tcase(s, c);
    return unit_run(s);
}
