/* SPDX-License-Identifier: MIT */
/*
 * check_quant.c - the table of encodings, and the decoders and writers of floats, against hand-made
 * vectors, against the format's formulas spelled out value by value, and against each other.
 *
 * Not here: trits (check_quant_trits.c).
 */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "base/base.h"
#include "unit/quant-run.h"

START_TEST(table_of_types)
{
    static const struct {
        enum quant_type type;
        const char *name;
        unsigned values, bytes;
        bool ternary;
    } expected[] = {
        {QUANT_F32, "F32", 1, 4, false},       {QUANT_F16, "F16", 1, 2, false},
        {QUANT_BF16, "BF16", 1, 2, false},     {QUANT_Q4_0, "Q4_0", 32, 18, false},
        {QUANT_Q8_0, "Q8_0", 32, 34, false},   {QUANT_Q4_K, "Q4_K", 256, 144, false},
        {QUANT_Q6_K, "Q6_K", 256, 210, false}, {QUANT_TQ1_0, "TQ1_0", 256, 54, true},
        {QUANT_TQ2_0, "TQ2_0", 256, 66, true}, {QUANT_I2_S, "I2_S", 1, 0, true},
        {QUANT_Q1_0, "Q1_0", 128, 18, true},   {QUANT_Q2_0, "Q2_0", 64, 18, true},
        {QUANT_PQ2_0, "PQ2_0", 128, 34, true}, {QUANT_PTQ1_0, "PTQ1_0", 128, 28, true},
        {QUANT_F32_TERNARY, "F32 (ternary)", 128, 512, true},
        {QUANT_F16_TERNARY, "F16 (ternary)", 128, 256, true},
        {QUANT_BF16_TERNARY, "BF16 (ternary)", 128, 256, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct quant_info *q = info(expected[i].type);
        ck_assert_str_eq(q->name, expected[i].name);
        ck_assert_uint_eq(q->block_values, expected[i].values);
        ck_assert_uint_eq(q->block_bytes, expected[i].bytes);
        ck_assert(q->ternary == expected[i].ternary);
    }
    ck_assert_ptr_null(quant_find(3));
    ck_assert_ptr_null(quant_find(40));
    ck_assert_ptr_null(quant_find(UINT32_MAX));
}
END_TEST

START_TEST(tensor_bytes)
{
    uint64_t b = 0;
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_F32), 3, 5, &b), 0);
    ck_assert_uint_eq(b, 60);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_TQ1_0), 7, 512, &b), 0);
    ck_assert_uint_eq(b, 7 * 2 * 54);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_I2_S), 6912, 2560, &b), 0);
    ck_assert_uint_eq(b, 6912 * 2560 / 4 + 32);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_I2_S), 64, 100, &b), 0);
    ck_assert_uint_eq(b, 1632);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_I2_S), 1, 100, &b), -TRIT_EFORMAT);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_TQ2_0), 4, 8640, &b), -TRIT_EFORMAT);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_Q8_0), 4, 33, &b), -TRIT_EFORMAT);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_F32), 1ull << 62, 1, &b), -TRIT_ETOOBIG);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_F16), 1ull << 32, 1ull << 32, &b),
                     -TRIT_ETOOBIG);
    ck_assert_int_eq(quant_tensor_bytes(info(QUANT_I2_S), 1ull << 60, 128, &b), -TRIT_ETOOBIG);
}
END_TEST

/* By the definition of binary16 (IEEE 754-2008, 3.4), in double arithmetic. */
static double f16_by_definition(unsigned h)
{
    unsigned e = h >> 10 & 31, m = h & 1023;
    double v = e == 0 ? ldexp(m, -24) : e < 31 ? ldexp(1024 + m, (int)e - 25) : m ? NAN : INFINITY;
    return h & 0x8000 ? -v : v;
}

START_TEST(f16_every_value)
{
    for (unsigned h = 0; h < 65536; h++) {
        float f = quant_f16_to_f32((uint16_t)h);
        double want = f16_by_definition(h);
        if (isnan(want)) {
            ck_assert_msg(isnan(f), "%04x", h);
            ck_assert_msg(isnan(quant_f16_to_f32(quant_f32_to_f16(f))), "%04x", h);
            continue;
        }
        ck_assert_msg((double)f == want && !signbit(f) == !signbit(want), "%04x gave %g", h,
                      (double)f);
        ck_assert_uint_eq(quant_f32_to_f16(f), h);
    }
}
END_TEST

/* Between every two neighbours: below, on and above the middle; on it the even one wins. */
START_TEST(f16_rounds_to_nearest_even)
{
    for (unsigned h = 0; h < 0x7c00; h++) {
        double a = f16_by_definition(h);
        double b = h == 0x7bff ? 65536 : f16_by_definition(h + 1);
        float middle = (float)((a + b) / 2);
        ck_assert_msg((double)middle == (a + b) / 2, "the middle is not a float");
        ck_assert_uint_eq(quant_f32_to_f16(middle), h & 1 ? h + 1 : h);
        ck_assert_uint_eq(quant_f32_to_f16(nextafterf(middle, 0)), h);
        ck_assert_uint_eq(quant_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        ck_assert_uint_eq(quant_f32_to_f16(-middle), 0x8000 | (h & 1 ? h + 1 : h));
    }
    ck_assert_uint_eq(quant_f32_to_f16(INFINITY), 0x7c00);
    ck_assert_uint_eq(quant_f32_to_f16(-1e30f), 0xfc00);
    ck_assert_uint_eq(quant_f32_to_f16(1e-30f), 0);
    ck_assert_uint_eq(quant_f32_to_f16(-0.0f), 0x8000);
}
END_TEST

START_TEST(plain_floats)
{
    static const unsigned char f32[] = {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc1};
    static const unsigned char f16[] = {0x00, 0x3c, 0x00, 0xc9, 0xff, 0x7b, 0x01, 0x00};
    static const unsigned char bf16[] = {0x80, 0x3f, 0x20, 0xc1, 0xc0, 0x7f};
    float x[4];
    quant_floats(info(QUANT_F32), f32, x, 2);
    ck_assert(x[0] == 1.0f && x[1] == -10.0f);
    quant_floats(info(QUANT_F16), f16, x, 4);
    ck_assert(x[0] == 1.0f && x[1] == -10.0f && x[2] == 65504.0f && x[3] == 0x1p-24f);
    quant_floats(info(QUANT_BF16), bf16, x, 3);
    ck_assert(x[0] == 1.0f && x[1] == -10.0f && isnan(x[2]));
}
END_TEST

START_TEST(q8_0_blocks)
{
    unsigned char b[2 * 34] = {0x00, 0x38}; /* 0.5 */
    float x[64];
    for (int i = 0; i < 32; i++)
        b[2 + i] = (unsigned char)(i * 8 - 128);
    b[34] = 0x00, b[35] = 0xbc; /* -1 */
    b[36 + 31] = 0x7f;
    quant_floats(info(QUANT_Q8_0), b, x, 64);
    for (int i = 0; i < 32; i++)
        ck_assert(x[i] == 0.5f * (float)(i * 8 - 128));
    ck_assert(x[63] == -127.0f && x[62] == 0.0f);
}
END_TEST

/* The step is 1, so the values are what is rounded: ties go away from zero.  A block of zeros has
 * the step 0, and a negative value may be the largest. */
START_TEST(q8_0_writer_by_hand)
{
    static const float x[96] = {127.0f,      0.5f,    -0.5f,      2.5f,           -2.5f,
                                0.49999997f, -126.5f, [64] = -64, [95] = 63.7465f};
    static const signed char want[7] = {127, 1, -1, 3, -3, 0, -127};
    unsigned char b[3 * 34];
    quant_write_q8_0(x, b, 96);
    ck_assert_uint_eq(b[0] | b[1] << 8, 0x3c00);
    for (int i = 0; i < 32; i++)
        ck_assert_int_eq((signed char)b[2 + i], i < 7 ? want[i] : 0);
    for (int i = 0; i < 34; i++)
        ck_assert_uint_eq(b[34 + i], 0);
    /* 64 / 127 as a binary16 is 0x1.02p-1.  63.7465 is 126.497 steps before that rounding, which
     * counts, and 126.505 behind it. */
    ck_assert_uint_eq(b[68] | b[69] << 8, 0x3808);
    ck_assert_int_eq((signed char)b[70], -127);
    ck_assert_int_eq((signed char)b[101], 126);
}
END_TEST

/*
 * Random blocks of every size that a binary16 step can have: each value comes back within half a
 * step and what rounding the step itself costs, which is next to nothing but for subnormal steps.
 */
START_TEST(q8_0_writer_stays_within_half_a_step)
{
    enum { BLOCKS = 2000 };
    for (int k = 0; k < BLOCKS; k++) {
        unsigned char b[34];
        float x[32], y[32];
        double max = 0;
        for (int i = 0; i < 32; i++) {
            x[i] = ldexpf((float)(int)rnd() - 0x1p30f, k % 46 - 53);
            max = fmax(max, fabs((double)x[i]));
        }
        quant_write_q8_0(x, b, 32);
        quant_floats(info(QUANT_Q8_0), b, y, 32);
        double step = max / 127, kept = (double)quant_f16_to_f32((uint16_t)(b[0] | b[1] << 8));
        ck_assert_msg(fabs(kept - step) <= fmax(step * 0x1.001p-11, 0x1p-25), "step %g of %g", kept,
                      step);
        for (int i = 0; i < 32; i++) {
            int q = (signed char)b[2 + i];
            double room = step * 0.5001 + abs(q) * fabs(kept - step);
            ck_assert_msg(fabs((double)x[i] - (double)y[i]) <= room, "block %d, value %d: %g is %g",
                          k, i, (double)x[i], (double)y[i]);
        }
    }
}
END_TEST

/* The writers of plain floats are the inverses of the readers, byte for byte. */
START_TEST(plain_float_writers)
{
    enum { N = 1000 };
    static unsigned char b[4 * N], back[4 * N];
    static float x[N];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)(rnd() & (i % 2 ? 0xbf : 0xff)); /* No infinities or NaN. */
    quant_floats(info(QUANT_F32), b, x, N);
    quant_write_f32(x, back, N);
    ck_assert_mem_eq(b, back, 4 * N);
    quant_floats(info(QUANT_F16), b, x, N);
    quant_write_f16(x, back, N);
    ck_assert_mem_eq(b, back, 2 * N);
}
END_TEST

START_TEST(q4_0_blocks)
{
    unsigned char b[18] = {0x00, 0x40}; /* 2.0 */
    float x[32];
    for (int i = 0; i < 16; i++)
        b[2 + i] = (unsigned char)(i | (15 - i) << 4);
    quant_floats(info(QUANT_Q4_0), b, x, 32);
    for (int i = 0; i < 16; i++) {
        ck_assert(x[i] == 2.0f * (float)(i - 8));
        ck_assert(x[i + 16] == 2.0f * (float)(7 - i));
    }
}
END_TEST

/* Value by value as the format's description reads, over random blocks. */
START_TEST(q6_k_blocks)
{
    unsigned char b[210];
    float x[256];
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof b; i++)
            b[i] = (unsigned char)rnd();
        b[208] = 0x00, b[209] = 0x34; /* 0.25 */
        quant_floats(info(QUANT_Q6_K), b, x, 256);
        for (int i = 0; i < 256; i++) {
            int h = i / 128, k = i % 128 / 32, l = i % 32;
            int low = b[64 * h + 32 * (k % 2) + l];
            low = k >= 2 ? low / 16 : low % 16;
            int high = b[128 + 32 * h + l] >> (2 * k) & 3;
            int scale = (signed char)b[192 + i / 16];
            ck_assert_msg(x[i] == 0.25f * (float)(scale * (low + 16 * high - 32)), "value %d", i);
        }
    }
}
END_TEST

START_TEST(q4_k_blocks)
{
    unsigned char b[144];
    float x[256];
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof b; i++)
            b[i] = (unsigned char)rnd();
        b[0] = 0x00, b[1] = 0x34; /* 0.25 */
        b[2] = 0x00, b[3] = 0x38; /* 0.5 */
        const unsigned char *s = b + 4;
        quant_floats(info(QUANT_Q4_K), b, x, 256);
        for (int i = 0; i < 256; i++) {
            int j = i / 32;
            int scale = j < 4 ? s[j] % 64 : s[j + 4] % 16 + s[j - 4] / 64 * 16;
            int min = j < 4 ? s[j + 4] % 64 : s[j + 4] / 16 + s[j] / 64 * 16;
            int q = b[16 + i / 64 * 32 + i % 32];
            q = i % 64 < 32 ? q % 16 : q / 16;
            ck_assert_msg(x[i] == 0.25f * (float)(scale * q) - 0.5f * (float)min, "value %d", i);
        }
    }
}
END_TEST

int main(void)
{
    quant_seed = unit_seed();
    Suite *suite = suite_create("quant");
    TCase *tc = tcase_create("quant");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, table_of_types);
    tcase_add_test(tc, tensor_bytes);
    tcase_add_test(tc, f16_every_value);
    tcase_add_test(tc, f16_rounds_to_nearest_even);
    tcase_add_test(tc, plain_floats);
    tcase_add_test(tc, q8_0_blocks);
    tcase_add_test(tc, q8_0_writer_by_hand);
    tcase_add_test(tc, q8_0_writer_stays_within_half_a_step);
    tcase_add_test(tc, plain_float_writers);
    tcase_add_test(tc, q4_0_blocks);
    tcase_add_test(tc, q6_k_blocks);
    tcase_add_test(tc, q4_k_blocks);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
