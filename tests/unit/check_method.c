/* SPDX-License-Identifier: MIT */
/*
 * check_method.c - files of the other methods: names, planes of bits, and what a broken file is
 * told.
 *
 * That their answers are right is for golden.c, and for kcheck that kernels agree.
 */
#include "config.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "model/layout.h"
#include "model/method.h"
#include "model/model.h"
#include "model/quant.h"
#include "unit.h"

static uint64_t seed;

START_TEST(names)
{
    for (size_t i = 0; i < METHODS; i++) {
        const char *name = method_name((enum method_id)i);
        ck_assert_int_eq(method_find(name, strlen(name)), i);
        ck_assert_int_eq(method_find(name, strlen(name) - 1), METHODS);
    }
    ck_assert_int_eq(method_find("", 0), METHODS);
}
END_TEST

static int8_t sign(void)
{
    return unit_random(&seed) >> 63 ? 1 : -1;
}

/* Eight a byte, a set bit is -1. */
START_TEST(signs_in_files)
{
    int8_t trits[64], back[64];
    uint8_t bytes[8];
    float scales[8];
    const struct quant_info *q = quant_find(QUANT_SIGNS);
    for (size_t i = 0; i < ARRAY_LEN(trits); i++)
        trits[i] = sign();
    quant_write_signs(trits, bytes, ARRAY_LEN(trits));
    for (size_t i = 0; i < ARRAY_LEN(trits); i++)
        ck_assert_int_eq(bytes[i / 8] >> i % 8 & 1, trits[i] < 0);
    ck_assert_int_eq(quant_trits(q, bytes, back, scales, ARRAY_LEN(back)), 0);
    ck_assert_mem_eq(trits, back, sizeof back);
    ck_assert(scales[0] == 1 && scales[7] == 1 && quant_block_scale(q, bytes) == 1);
}
END_TEST

/* Bit f of byte 4 r + j is row r, column 4 f + j of 32, in one plane and in both of two. */
START_TEST(signs_in_tiles)
{
    enum { COLS = 384 };
    static int8_t first[LAYOUT_TILE * COLS], second[LAYOUT_TILE * COLS], back[LAYOUT_TILE * COLS];
    static uint8_t tile[COLS / 32 * 128];
    struct linear w;
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        first[i] = sign();
        second[i] = sign();
    }
    for (unsigned planes = 1; planes <= 2; planes++) {
        layout_shape(&w, planes == 1 ? LAYOUT_S1 : LAYOUT_S2, 16, COLS,
                     planes == 1 ? COLS : BILLM_BLOCK);
        ck_assert_uint_eq(w.tile_bytes, COLS / 32 * 64 * planes);
        ck_assert_uint_eq(layout_scale_bytes(&w), planes == 1 ? 16 * 4 : 16 * 3 * 7 * 2);
        if (planes == 1)
            layout_pack_tile(&w, first, tile);
        else
            layout_pack_planes(&w, first, second, tile);
        for (unsigned r = 0; r < LAYOUT_TILE; r++)
            for (unsigned c = 0; c < COLS; c++) {
                const uint8_t *at = tile + c / 32 * 64 * planes + 4 * r + c % 4;
                ck_assert_int_eq(at[0] >> c % 32 / 4 & 1, first[r * COLS + c] > 0);
                if (planes == 2)
                    ck_assert_int_eq(at[64] >> c % 32 / 4 & 1, second[r * COLS + c] > 0);
            }
        layout_unpack_tile(&w, tile, back);
        ck_assert_mem_eq(back, first, sizeof back);
    }
}
END_TEST

/* ------------------------------------------------------------------ files */

static char path[] = "/tmp/check_method.XXXXXX";

/* The made model `name`, with the first `from` in it replaced by `to`, of the same length. */
static void copy_with(const char *name, const char *from, const char *to)
{
    static char bytes[1 << 20];
    char source[4096];
    const char *srcdir = getenv("srcdir");
    snprintf(source, sizeof source, "%s/tests/golden/models/%s", srcdir ? srcdir : ".", name);
    FILE *f = fopen(source, "re");
    ck_assert_msg(f != NULL, "%s", source);
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    ck_assert_uint_eq(strlen(from), strlen(to));
    char *at = memmem(bytes, len, from, strlen(from));
    ck_assert(at != NULL);
    memcpy(at, to, strlen(to));
    f = fopen(path, "we");
    ck_assert(f && fwrite(bytes, 1, len, f) == len);
    fclose(f);
}

static void refused(const char *expected)
{
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_Q8};
    struct trit_error err = {0};
    struct model *m;
    ck_assert_int_lt(model_load(path, &o, &m, &err), 0);
    ck_assert_msg(strstr(err.text, expected) != NULL, "\"%s\" has no \"%s\"", err.text, expected);
}

START_TEST(broken_files)
{
    static const struct {
        const char *file, *from, *to, *error;
    } cases[] = {
        {"onebit.gguf", "blk.0.attn_q.input_factor", "blk.0.attn_q.input_faktor",
         "tensor blk.0.attn_q.input_factor is missing"},
        {"onebit.gguf", "blk.1.attn_v.scale", "blk.1.attn_v.skale",
         "tensor blk.1.attn_v.scale is missing"},
        {"onebit.gguf", "blk.0.attn_norm.weight", "blk.0.attn_morn.weight",
         "tensor blk.0.attn_norm.weight is missing"},
        {"b1.gguf", "blk.0.ffn_up.norm.bias", "blk.0.ffn_up.norm.bios",
         "tensor blk.0.ffn_up.norm.bias is missing"},
        {"b1.gguf", "blk.0.attn_q.scale", "blk.0.attn_q.skale",
         "tensor blk.0.attn_q.scale is missing"},
        {"billm.gguf", "blk.0.ffn_down.second", "blk.0.ffn_down.sekond",
         "tensor blk.0.ffn_down.second is missing"},
        {"billm.gguf", "blk.0.ffn_down.salient", "blk.0.ffn_down.saliant",
         "tensor blk.0.ffn_down.salient is missing"},
        {"billm.gguf", "blk.0.ffn_down.levels", "blk.0.ffn_down.lewels",
         "tensor blk.0.ffn_down.levels is missing"},
        {"billm.gguf", "tritd.method", "tritt.method", "blk.0.attn_q.weight is [16, 128]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        copy_with(cases[i].file, cases[i].from, cases[i].to);
        refused(cases[i].error);
    }
}
END_TEST

/* Of tensor `name`, byte `at` of the file is set. */
static void poke(const char *name, uint64_t at, const void *bytes, size_t len)
{
    struct gguf *g;
    struct trit_error err;
    ck_assert_int_eq(gguf_open(path, &g, &err), 0);
    const struct gguf_entry *e = (const void *)gguf_tensor(g, name);
    ck_assert(e != NULL);
    FILE *f = fopen(path, "r+e");
    ck_assert(f && fseek(f, (long)(e->start + at), SEEK_SET) == 0 &&
              fwrite(bytes, 1, len, f) == len);
    fclose(f);
    gguf_close(&g);
}

START_TEST(numbers_that_are_none)
{
    const uint16_t inf = 0x7c00;
    copy_with("billm.gguf", "billm", "billm");
    poke("blk.1.ffn_up.levels", 2 * (7 * 5 + 3), &inf, sizeof inf);
    refused("tensor blk.1.ffn_up.weight, row 5: a level that is not finite");
    copy_with("onebit.gguf", "onebit", "onebit");
    poke("blk.1.ffn_up.scale", 2 * 9, &inf, sizeof inf);
    refused("tensor blk.1.ffn_up.scale is not finite");
    copy_with("onebit.gguf", "onebit", "onebit");
    const float nan = NAN;
    poke("blk.1.ffn_up.input_factor", 4 * 9, &nan, sizeof nan);
    refused("tensor blk.1.ffn_up.input_factor, row 0: a value that is not finite");
}
END_TEST

/* b1 of weights in training: centred, -1 for what equals the mean, beta their mean size. */
START_TEST(signs_of_masters)
{
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_Q8};
    struct trit_error err = {0};
    struct model *m;
    struct gguf *g;
    enum { ROWS = 64, COLS = 128 };
    static float w[ROWS * COLS];
    static uint16_t raw[ROWS * COLS];
    static int8_t tile[LAYOUT_TILE * COLS];
    copy_with("b1.gguf", "blk.1.attn_k.weight", "blk.1.attn_k.weight");
    ck_assert_int_eq(gguf_open(path, &g, &err), 0);
    ck_assert_int_eq(gguf_read(g, gguf_tensor(g, "blk.1.attn_k.weight"), 0, raw, sizeof raw, &err),
                     0);
    gguf_close(&g);
    double mean = 0, size = 0;
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        w[i] = quant_f16_to_f32(raw[i]);
        mean += (double)w[i] / (ROWS * COLS);
        size += fabs((double)w[i]) / (ROWS * COLS);
    }
    ck_assert_double_gt(fabs(mean), 0.01); /* else centring would not show */
    ck_assert_msg(model_load(path, &o, &m, &err) == 0, "%s", err.text);
    const struct linear *k = &m->layers[1].k;
    ck_assert_ptr_nonnull(k->in_norm);
    ck_assert_ptr_null(m->layers[1].attn_norm);
    for (size_t r = 0; r < ROWS; r++) {
        if (r % LAYOUT_TILE == 0)
            layout_unpack_tile(k, k->codes + r / LAYOUT_TILE * k->tile_bytes, tile);
        ck_assert_double_eq_tol((double)k->scales[r], size, 1e-6);
        for (size_t c = 0; c < COLS; c++)
            ck_assert_int_eq(tile[r % LAYOUT_TILE * COLS + c],
                             (double)w[r * COLS + c] > mean ? 1 : -1);
    }
    model_close(&m);
}
END_TEST

int main(void)
{
    log_open(LOG_ERROR, 0);
    seed = unit_seed();
    int fd = mkstemp(path);
    trit_assert(fd >= 0);
    close(fd);
    Suite *s = suite_create("method");
    TCase *c = tcase_create("method");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, names);
    tcase_add_test(c, signs_in_files);
    tcase_add_test(c, signs_in_tiles);
    tcase_add_test(c, broken_files);
    tcase_add_test(c, numbers_that_are_none);
    tcase_add_test(c, signs_of_masters);
    suite_add_tcase(s, c);
    int rc = unit_run(s);
    unlink(path);
    return rc;
}
