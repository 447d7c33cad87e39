/* SPDX-License-Identifier: MIT */
/*
 * check_quant_trits.c - the decoders and writers of ternary encodings, against hand-made vectors,
 * against the formulas spelled out, and against each other; one model in four encodings.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "unit/quant-run.h"

static void random_trits(int8_t *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        t[i] = (int8_t)(rnd() % 3) - 1;
}

/* All numbers of five base-3 digits: the byte is ceil(v * 256 / 243), the first digit the most
 * significant.  The place of each digit is spelled out as the format has it. */
START_TEST(tq1_every_byte)
{
    for (int v = 0; v < 243; v++) {
        unsigned char b[54];
        int8_t t[256];
        float scale = 0;
        memset(b, (v * 256 + 242) / 243, 48);
        memset(b + 48, (v / 3 * 3 * 256 + 242) / 243, 4);
        b[52] = 0x00, b[53] = 0x3e; /* 1.5 */
        ck_assert_int_eq(quant_trits(info(QUANT_TQ1_0), b, t, &scale, 256), 0);
        ck_assert(scale == 1.5f);
        for (int i = 0; i < 256; i++) {
            int digit = i < 160 ? i / 32 : i < 240 ? (i - 160) / 16 : (i - 240) / 4, rest = v;
            for (int k = 4; k > digit; k--)
                rest /= 3;
            ck_assert_msg(t[i] == rest % 3 - 1, "value %d of number %d", i, v);
        }
    }
}
END_TEST

START_TEST(tq1_odd_bytes_are_safe)
{
    unsigned char b[54];
    int8_t t[256];
    float scale;
    for (int v = 0; v < 256; v++) {
        memset(b, v, sizeof b);
        ck_assert_int_eq(quant_trits(info(QUANT_TQ1_0), b, t, &scale, 256), 0);
        for (int i = 0; i < 256; i++)
            ck_assert(t[i] >= -1 && t[i] <= 1);
    }
}
END_TEST

START_TEST(tq2_by_hand)
{
    unsigned char b[66] = {0};
    int8_t t[256];
    float scale;
    b[64] = 0x00, b[65] = 0xb8; /* -0.5 */
    b[0] = 0x24;                /* fields 0, 1, 2, 0 */
    b[32 + 5] = 0x81;           /* fields 1, 0, 0, 2 */
    ck_assert_int_eq(quant_trits(info(QUANT_TQ2_0), b, t, &scale, 256), 0);
    ck_assert(scale == -0.5f);
    for (int i = 0; i < 256; i++) {
        int want = i == 32 || i == 128 + 5 ? 0 : i == 64 || i == 128 + 96 + 5 ? 1 : -1;
        ck_assert_msg(t[i] == want, "value %d is %d", i, t[i]);
    }
}
END_TEST

START_TEST(tq2_code_3_is_refused_everywhere)
{
    for (int at = 0; at < 256; at++) {
        unsigned char b[2 * 66];
        int8_t t[512];
        float scales[2];
        memset(b, 0x55, sizeof b);
        ck_assert_int_eq(quant_trits(info(QUANT_TQ2_0), b, t, scales, 512), 0);
        b[66 + at / 4] |= (unsigned char)(3 << (at % 4 * 2));
        ck_assert_int_eq(quant_trits(info(QUANT_TQ2_0), b, t, scales, 512), -TRIT_EFORMAT);
    }
}
END_TEST

START_TEST(tq_round_trips)
{
    enum { N = 256 * 40 };
    static int8_t t[N], back[N];
    static unsigned char b[66 * 40];
    float scales[40];
    for (int round = 0; round < 20; round++) {
        random_trits(t, N);
        float scale = quant_f16_to_f32((uint16_t)(rnd() % 0x7c00));
        memset(back, 9, N);
        quant_write_tq1(t, scale, b, N);
        ck_assert_int_eq(quant_trits(info(QUANT_TQ1_0), b, back, scales, N), 0);
        ck_assert_mem_eq(t, back, N);
        ck_assert(scales[0] == scale && scales[39] == scale);
        memset(back, 9, N);
        quant_write_tq2(t, scale, b, N);
        ck_assert_int_eq(quant_trits(info(QUANT_TQ2_0), b, back, scales, N), 0);
        ck_assert_mem_eq(t, back, N);
        ck_assert(scales[0] == scale && scales[39] == scale);
    }
}
END_TEST

/* Value by value as the formats' descriptions read, over random bytes; codes of 3 are refused. */
START_TEST(bonsai_blocks)
{
    unsigned char b[34];
    int8_t t[128], want[128];
    float scale;
    for (int round = 0; round < 300; round++) {
        bool bad[2] = {false, false};
        for (size_t i = 0; i < sizeof b; i++)
            b[i] = (unsigned char)rnd();
        ck_assert_int_eq(quant_trits(info(QUANT_Q1_0), b, t, &scale, 128), 0);
        for (int i = 0; i < 128; i++)
            ck_assert_int_eq(t[i], b[2 + i / 8] >> i % 8 & 1 ? 1 : -1);
        for (int i = 0; i < 128; i++) {
            int code = b[2 + i / 4] >> 2 * (i % 4) & 3;
            if (code == 3 && round % 3) { /* Random bytes hardly ever lack one. */
                b[2 + i / 4] ^= (unsigned char)(1 << 2 * (i % 4));
                code = 2;
            }
            want[i] = (int8_t)(code - 1);
            bad[0] = bad[0] || (i < 64 && code == 3);
            bad[1] = bad[1] || code == 3;
        }
        ck_assert_int_eq(quant_trits(info(QUANT_Q2_0), b, t, &scale, 64),
                         bad[0] ? -TRIT_EFORMAT : 0);
        ck_assert(bad[0] || memcmp(t, want, 64) == 0);
        ck_assert_int_eq(quant_trits(info(QUANT_PQ2_0), b, t, &scale, 128),
                         bad[1] ? -TRIT_EFORMAT : 0);
        ck_assert(bad[1] || memcmp(t, want, 128) == 0);
        ck_assert_uint_eq(bits_of(scale), bits_of(quant_f16_to_f32((uint16_t)(b[0] | b[1] << 8))));
    }
    for (int v = 0; v < 243; v++) {
        memset(b, (v * 256 + 242) / 243, 24);
        memset(b + 24, (v / 3 * 3 * 256 + 242) / 243, 2);
        b[26] = 0x00, b[27] = 0x3e; /* 1.5 */
        ck_assert_int_eq(quant_trits(info(QUANT_PTQ1_0), b, t, &scale, 128), 0);
        ck_assert(scale == 1.5f);
        for (int i = 0; i < 128; i++) {
            int digit = i < 80 ? i / 16 : i < 120 ? (i - 80) / 8 : (i - 120) / 2, rest = v;
            for (int k = 4; k > digit; k--)
                rest /= 3;
            ck_assert_msg(t[i] == rest % 3 - 1, "value %d of number %d", i, v);
        }
    }
}
END_TEST

START_TEST(bonsai_round_trips)
{
    enum { N = 128 * 40 };
    static int8_t t[N], back[N];
    static unsigned char b[36 * 40];
    float scales[80];
    for (int round = 0; round < 20; round++) {
        float scale = quant_f16_to_f32((uint16_t)(rnd() % 0x7c00));
        for (size_t i = 0; i < 4; i++) {
            const struct quant_info *q =
                info((enum quant_type[]){QUANT_Q2_0, QUANT_PQ2_0, QUANT_PTQ1_0, QUANT_Q1_0}[i]);
            random_trits(t, N);
            for (size_t k = 0; q->type == QUANT_Q1_0 && k < N; k++)
                t[k] = t[k] ? t[k] : 1;
            if (q->type == QUANT_PTQ1_0)
                quant_write_ptq1(t, scale, b, N);
            else if (q->type == QUANT_Q1_0)
                quant_write_q1(t, scale, b, N);
            else
                quant_write_q2(q, t, scale, b, N);
            memset(back, 9, N);
            ck_assert_int_eq(quant_trits(q, b, back, scales, N), 0);
            ck_assert_mem_eq(t, back, N);
            ck_assert(scales[0] == scale && scales[N / q->block_values - 1] == scale);
        }
    }
}
END_TEST

START_TEST(i2s_by_hand)
{
    unsigned char codes[64];
    int8_t t[256];
    memset(codes, 0x55, sizeof codes);
    codes[0] = 0x91;       /* fields from the top: 2, 1, 0, 1 for values 0, 32, 64, 96 */
    codes[32 + 31] = 0x56; /* the last field of the last byte: value 255 */
    ck_assert_int_eq(quant_i2s_trits(codes, 256, 0, t, 256), 0);
    for (int i = 0; i < 256; i++)
        ck_assert_msg(t[i] == (i == 0 || i == 255 ? 1 : i == 64 ? -1 : 0), "value %d", i);
}
END_TEST

/* Rows of 100 and of 8640 / 128 = 67.5 blocks begin anywhere in a block; so does this. */
START_TEST(i2s_every_phase)
{
    enum { TOTAL = 128 * 6 };
    int8_t t[TOTAL], back[TOTAL + 1];
    unsigned char b[TOTAL / 4 + 32];
    random_trits(t, TOTAL);
    quant_write_i2s(t, 1.25f, b, TOTAL);
    for (size_t first = 0; first <= TOTAL; first++)
        for (size_t n = 0; n <= TOTAL - first; n += n < 130 ? 1 : 61) {
            memset(back, 9, sizeof back);
            ck_assert_int_eq(quant_i2s_trits(b, TOTAL, first, back, n), 0);
            ck_assert_msg(memcmp(back, t + first, n) == 0 && back[n] == 9, "%zu + %zu", first, n);
        }
    float scale;
    memcpy(&scale, b + TOTAL / 4, sizeof scale);
    ck_assert(scale == 1.25f);
    for (int i = 4; i < 32; i++)
        ck_assert_uint_eq(b[TOTAL / 4 + i], 0);
}
END_TEST

START_TEST(i2s_code_3_is_refused_where_it_counts)
{
    for (unsigned at = 0; at < 256; at++) {
        unsigned char b[64];
        int8_t t[256];
        memset(b, 0x55, sizeof b);
        b[at / 128 * 32 + at % 32] |= (unsigned char)(3 << (6 - at % 128 / 32 * 2));
        ck_assert_int_eq(quant_i2s_trits(b, 256, 0, t, 256), -TRIT_EFORMAT);
        ck_assert_int_eq(quant_i2s_trits(b, 256, at, t, 1), -TRIT_EFORMAT);
        ck_assert_int_eq(quant_i2s_trits(b, 256, 0, t, at), 0);
        ck_assert_int_eq(quant_i2s_trits(b, 256, at + 1, t, 255 - at), 0);
    }
}
END_TEST

START_TEST(absmean_by_hand)
{
    /* Mean 1: trits by half-even rounding of w itself. */
    static const float w[] = {0.5f, -0.5f, 0.50001f, -0.50001f, 1.5f, -2.0f, 2.49998f, 0.0f};
    static const int8_t want[] = {0, 0, 1, -1, 1, -1, 1, 0};
    struct quant_absmean a = {0};
    int8_t t[8];
    quant_absmean_add(&a, w, 3);
    quant_absmean_add(&a, w + 3, 5);
    float m = quant_absmean_scale(&a);
    ck_assert(fabsf(m - 1.0f) < 1e-6f);
    quant_absmean_trits(1.0f, w, t, 8);
    ck_assert_mem_eq(t, want, 8);
    struct quant_absmean tiny = {0};
    float zero[4] = {0};
    quant_absmean_add(&tiny, zero, 4);
    ck_assert_uint_eq(bits_of(quant_absmean_scale(&tiny)), bits_of(1e-5f));
    quant_absmean_trits(1e-5f, zero, t, 4);
    ck_assert_int_eq(t[0], 0);
}
END_TEST

/* The same model in four encodings: the trits and scales must be the same. */
struct decoded {
    int8_t *trits;
    float scale;
    size_t n;
};

static struct decoded decode_tensor(const struct gguf *g, const char *name)
{
    struct trit_error err = {0};
    const struct gguf_tensor *t = gguf_tensor(g, name);
    ck_assert_msg(t && t->quant, "%s", name);
    struct decoded d = {.n = t->ne[0] * t->ne[1]};
    d.trits = mem_zalloc(d.n, 1);
    unsigned char *bytes = mem_zalloc(t->bytes, 1);
    float *f = mem_zalloc(d.n, sizeof *f);
    ck_assert_int_eq(gguf_read(g, t, 0, bytes, t->bytes, &err), 0);
    if (t->type == QUANT_I2_S) {
        ck_assert_int_eq(quant_i2s_trits(bytes, d.n, 0, d.trits, d.n), 0);
        memcpy(&d.scale, bytes + d.n / 4, sizeof d.scale);
    } else if (t->quant->ternary) {
        ck_assert_int_eq(quant_trits(t->quant, bytes, d.trits, f, d.n), 0);
        d.scale = f[0];
        for (size_t i = 1; i < d.n / t->quant->block_values; i++)
            ck_assert(f[i] == d.scale);
    } else {
        quant_floats(t->quant, bytes, f, d.n);
        for (size_t i = 0; i < d.n; i++) {
            d.scale = d.scale == 0 ? fabsf(f[i]) : d.scale;
            ck_assert(f[i] == 0 || fabsf(f[i]) == d.scale);
            d.trits[i] = (int8_t)((f[i] > 0) - (f[i] < 0));
        }
    }
    mem_free(bytes);
    mem_free(f);
    return d;
}

START_TEST(oracle_models_hold_the_same_trits)
{
    static const char *const encodings[] = {"tq1_0", "tq2_0", "i2_s", "f16"};
    struct gguf *g[4] = {0};
    struct trit_error err = {0};
    for (int e = 0; e < 4; e++) {
        char path[1100];
        snprintf(path, sizeof path, "%s/oracle/models/b158.%s.gguf", unit_shared(), encodings[e]);
        int rc = gguf_open(path, &g[e], &err);
        if (rc == -TRIT_ENOENT) {
            printf("skipped: no %s (set TRIT_SHARED)\n", path);
            return;
        }
        ck_assert_msg(rc == 0, "%s", err.text);
    }
    size_t seen = 0;
    for (size_t i = 0; i < gguf_n_tensors(g[0]); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g[0], i);
        if (!t->quant->ternary)
            continue;
        struct decoded a = decode_tensor(g[0], t->name);
        for (int e = 1; e < 4; e++) {
            struct decoded b = decode_tensor(g[e], t->name);
            ck_assert_uint_eq(a.n, b.n);
            ck_assert_msg(memcmp(a.trits, b.trits, a.n) == 0, "%s in %s", t->name, encodings[e]);
            ck_assert(a.scale == b.scale);
            mem_free(b.trits);
        }
        mem_free(a.trits);
        seen++;
    }
    ck_assert_uint_eq(seen, 4 * 7);
    for (int e = 0; e < 4; e++)
        gguf_close(&g[e]);
}
END_TEST

/* Floats in groups of 128: trits and the scale of each come back, and one value that is another is
 * found, whichever it is. */
START_TEST(floats_that_are_ternary_by_groups)
{
    static const enum quant_type types[] = {QUANT_F32, QUANT_F16, QUANT_BF16};
    enum { GROUPS = 3, N = GROUPS * 128 };
    static const float sizes[GROUPS] = {0.046875f, 0, 3};
    for (size_t k = 0; k < ARRAY_LEN(types); k++) {
        const struct quant_info *floats = info(types[k]), *q = quant_ternary_floats(floats);
        ck_assert_ptr_nonnull(q);
        ck_assert_ptr_eq(quant_of_floats(q), floats);
        float w[N], scales[GROUPS], size;
        int8_t trits[N];
        uint8_t raw[4 * N];
        for (int i = 0; i < N; i++)
            w[i] = (float)((i * 7 + i / 5) % 3 - 1) * sizes[i / 128];
        for (int bad = -1; bad < N; bad += 1 + bad / 40) {
            float kept = bad < 0 ? 0 : w[bad];
            if (bad >= 0)
                w[bad] = 0.75f;
            for (int i = 0; i < N; i++) {
                uint32_t bits;
                memcpy(&bits, &w[i], sizeof bits);
                uint16_t half = (uint16_t)(bits >> 16);
                half = types[k] == QUANT_F16 ? quant_f32_to_f16(w[i]) : half;
                if (types[k] == QUANT_F32)
                    memcpy(raw + 4 * i, &bits, 4);
                else
                    memcpy(raw + 2 * i, &half, 2);
            }
            int rc = quant_trits(q, raw, trits, scales, N);
            bool lone = bad >= 128 && bad < 256; /* in a group of zeros it is the scale */
            ck_assert_int_eq(rc, bad < 0 || lone ? 0 : -TRIT_EFORMAT);
            if (bad > 0) { /* Of the first of a group the next one is odd. */
                size_t odd = quant_odd_value(w + bad / 128 * 128, 128, &size);
                ck_assert(lone ? odd == 128 : odd == (size_t)bad % 128 || bad % 128 < 2);
            }
            for (int i = 0; bad < 0 && i < N; i++) {
                ck_assert_int_eq(trits[i], (w[i] > 0) - (w[i] < 0));
                ck_assert_float_eq(scales[i / 128], sizes[i / 128]);
                ck_assert_float_eq(quant_block_scale(q, raw + i / 128 * q->block_bytes),
                                   sizes[i / 128]);
            }
            if (bad >= 0)
                w[bad] = kept;
        }
        w[5] = NAN;
        ck_assert_uint_eq(quant_odd_value(w, 128, &size), 5);
    }
    ck_assert_ptr_null(quant_ternary_floats(info(QUANT_Q8_0)));
    ck_assert_ptr_null(quant_of_floats(info(QUANT_TQ1_0)));
    ck_assert_ptr_null(quant_of_floats(info(QUANT_F32)));
}
END_TEST

int main(void)
{
    quant_seed = unit_seed();
    Suite *suite = suite_create("quant-trits");
    TCase *tc = tcase_create("quant-trits");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, tq1_every_byte);
    tcase_add_test(tc, tq1_odd_bytes_are_safe);
    tcase_add_test(tc, tq2_by_hand);
    tcase_add_test(tc, tq2_code_3_is_refused_everywhere);
    tcase_add_test(tc, tq_round_trips);
    tcase_add_test(tc, bonsai_blocks);
    tcase_add_test(tc, bonsai_round_trips);
    tcase_add_test(tc, i2s_by_hand);
    tcase_add_test(tc, i2s_every_phase);
    tcase_add_test(tc, i2s_code_3_is_refused_where_it_counts);
    tcase_add_test(tc, absmean_by_hand);
    tcase_add_test(tc, oracle_models_hold_the_same_trits);
    tcase_add_test(tc, floats_that_are_ternary_by_groups);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
