/* SPDX-License-Identifier: MIT */
/*
 * check_sampling.c - what a model file recommends for choosing tokens, and that a bad value is left
 * out and harms nothing else.
 */
#include "config.h"

#include <math.h>

#include "gguf-files.h"
#include "model/load-parts.h"

static struct model m = {.hp = {.vocab = 1000}};

/* The recommendation of a file with one key, whose bytes are given: four, of a bool the first. */
static void read_one(const char *key, enum gguf_type type, uint32_t bytes)
{
    struct buf pair = {0}, b = {0};
    struct trit_error err;
    struct gguf *g;
    gguf_put_key(&pair, key, type);
    if (type == GGUF_BOOL)
        buf_addc(&pair, (char)bytes);
    else
        gguf_put_u32(&pair, bytes);
    file_of_pair(&b, &pair);
    put_file(&b);
    ck_assert_int_eq(open_it(&g, &err), 0);
    m.sampling = (struct model_sampling){-1, -1, -1, -1, -1};
    sampling_read(g, &m);
    gguf_close(&g);
    buf_free(&pair);
    buf_free(&b);
}

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static void expect(double temperature, double top_p, double min_p, double penalty, int64_t top_k)
{
    ck_assert_double_eq_tol(m.sampling.temperature, temperature, 1e-6);
    ck_assert_double_eq_tol(m.sampling.top_p, top_p, 1e-6);
    ck_assert_double_eq_tol(m.sampling.min_p, min_p, 1e-6);
    ck_assert_double_eq_tol(m.sampling.repetition_penalty, penalty, 1e-6);
    ck_assert_int_eq(m.sampling.top_k, top_k);
}

START_TEST(nothing_is_recommended)
{
    read_one("general.sampling.xtc_threshold", GGUF_F32, bits(0.5f));
    expect(1, 1, 0, 1, 0);
}
END_TEST

START_TEST(each_key)
{
    read_one("general.sampling.temp", GGUF_F32, bits(0.7f));
    expect(0.7, 1, 0, 1, 0);
    read_one("general.sampling.temp", GGUF_F32, bits(0));
    expect(0, 1, 0, 1, 0);
    read_one("general.sampling.top_p", GGUF_F32, bits(0.95f));
    expect(1, 0.95, 0, 1, 0);
    read_one("general.sampling.min_p", GGUF_F32, bits(0.05f));
    expect(1, 1, 0.05, 1, 0);
    read_one("general.sampling.penalty_repeat", GGUF_F32, bits(1.1f));
    expect(1, 1, 0, 1.1, 0);
    read_one("general.sampling.top_k", GGUF_I32, 40);
    expect(1, 1, 0, 1, 40);
    read_one("general.sampling.top_k", GGUF_U32, 40);
    expect(1, 1, 0, 1, 40);
}
END_TEST

START_TEST(bad_values_are_left_out)
{
    static const float bad[] = {-0.5f, 2.5f, NAN, INFINITY, -INFINITY};
    static const char *const keys[] = {"general.sampling.temp", "general.sampling.top_p",
                                       "general.sampling.min_p", "general.sampling.penalty_repeat"};
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            read_one(keys[k], GGUF_F32, bits(bad[i]));
            expect(1, 1, 0, 1, 0);
        }
        read_one(keys[k], GGUF_BOOL, 1);
        expect(1, 1, 0, 1, 0);
    }
    read_one("general.sampling.top_p", GGUF_F32, bits(0));
    expect(1, 1, 0, 1, 0);
    read_one("general.sampling.top_k", GGUF_I32, (uint32_t)-1);
    expect(1, 1, 0, 1, 0);
    read_one("general.sampling.top_k", GGUF_U32, 4000000000u);
    expect(1, 1, 0, 1, 1000);
    read_one("general.sampling.top_k", GGUF_F32, bits(40));
    expect(1, 1, 0, 1, 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, nothing_is_recommended);
    tcase_add_test(c, each_key);
    tcase_add_test(c, bad_values_are_left_out);
}

int main(void)
{
    return run_gguf_tests("sampling", add);
}
