/* SPDX-License-Identifier: MIT */
/*
 * check_rows.c - encodings that are read by rows: against golden/rows.gguf, which others wrote (see
 * make-rows.py), as whole models, broken, and in an order that is not the file's.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/gguf.h"
#include "model/model.h"
#include "model/plausible.h"
#include "model/quant.h"
#include "model/reading.h"
#include "model/rows.h"
#include "unit/unit.h"

static uint64_t seed;

static const struct quant_tiles tiles[] = {
    {128, 128, 64, 64, 32}, {128, 192, 128, 64, 64}, {128, 256, 64, 96, 32}, {64, 288, 32, 96, 32}};

static const char *in_source(const char *name)
{
    const char *srcdir = getenv("srcdir");
    static char path[2048];
    snprintf(path, sizeof path, "%s/%s", srcdir ? srcdir : ".", name);
    return path;
}

/* A file of our own, from bytes or to be written by others. */
static char made[] = "/tmp/check-rows.XXXXXX";

static void setup(void)
{
    log_open(LOG_ERROR, 0);
    strcpy(made + sizeof made - 7, "XXXXXX");
    int fd = mkstemp(made);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(made);
}

static char *golden_bytes(size_t *len)
{
    FILE *f = fopen(in_source("tests/golden/rows.gguf"), "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    *len = (size_t)ftell(f);
    rewind(f);
    char *bytes = mem_zalloc(*len, 1);
    ck_assert_uint_eq(fread(bytes, 1, *len, f), *len);
    fclose(f);
    return bytes;
}

static void put_bytes(const char *bytes, size_t len)
{
    FILE *f = fopen(made, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static struct gguf *open_golden(const char *path)
{
    struct gguf *g = NULL;
    struct trit_error err;
    const struct gguf_reading how = {.tiles = tiles, .n_tiles = ARRAY_LEN(tiles)};
    ck_assert_msg(gguf_open(path, &g, &err) == 0, "%s", err.text);
    ck_assert_msg(gguf_read_as(g, &how, &err) == 0, "%s", err.text);
    return g;
}

/* All rows of a tensor, by runs of every length that is allowed. */
static int read_all(const struct gguf *g, const char *name, int8_t **trits, float **scales,
                    struct trit_error *err)
{
    const struct gguf_tensor *t = gguf_tensor(g, name);
    struct rows r;
    ck_assert_ptr_nonnull(t);
    ck_assert_ptr_nonnull(t->quant);
    *trits = NULL;
    *scales = NULL;
    int rc = rows_open(g, t, &r, err);
    if (rc)
        return rc;
    uint64_t rows = t->ne[1], cols = t->ne[0];
    *trits = mem_zalloc(rows * cols, 1);
    *scales = mem_zalloc(rows, sizeof(float));
    uint32_t n;
    for (uint64_t row = 0; rc == 0 && row < rows; row += n) {
        uint64_t some = (unit_random(&seed) >> 40) % 5 * ROWS_RUN + ROWS_RUN;
        n = (uint32_t)MIN(some, rows - row);
        uint8_t *raw = mem_zalloc(rows_raw_bytes(t, n), 1);
        rc = rows_read(&r, row, n, raw, *trits + row * cols, *scales + row, err);
        mem_free(raw);
    }
    rows_close(&r);
    return rc;
}

START_TEST(golden)
{
    static const char *const pairs[][2] = {
        {"iq1_bn", "ik.expected"},        {"iq2_bn", "ik.expected"},
        {"iq2_bn_r4", "ik.expected"},     {"tl1_32", "tl1_32.expected"},
        {"tl1_64", "tl1_64.expected"},    {"tl2", "tl2.expected"},
        {"tl2_even", "tl2_even.expected"}};
    struct gguf *g = open_golden(in_source("tests/golden/rows.gguf"));
    const struct gguf_tensor *t = gguf_tensor(g, pairs[_i][0]), *e = gguf_tensor(g, pairs[_i][1]);
    int8_t *found, *expected;
    float *scales, *scale;
    struct trit_error err;
    ck_assert_msg(read_all(g, t->name, &found, &scales, &err) == 0, "%s", err.text);
    ck_assert_msg(read_all(g, e->name, &expected, &scale, &err) == 0, "%s", err.text);
    ck_assert_mem_eq(found, expected, t->ne[0] * t->ne[1]);
    ck_assert_mem_eq(scales, scale, t->ne[1] * sizeof *scale);
    ck_assert(scale[0] != 0);
    mem_free(found);
    mem_free(expected);
    mem_free(scales);
    mem_free(scale);
    gguf_close(&g);
}
END_TEST

/* --- broken ---------------------------------------------------------------------------------- */

/* Byte `at` of a tensor's becomes `value`; what the reader then says. */
static const struct {
    const char *tensor;
    long at;
    int value;
    const char *says;
} broken[] = {
    /* Row 3 of iq2_bn begins behind three of 68 bytes with its scale; byte 5 has columns 5, 21, ...
     */
    {"iq2_bn", 3 * 68 + 4 + 5, 0xff, "tensor iq2_bn, row 3, column 5: a code that is no trit (3)"},
    {"iq2_bn", 2 * 68 + 3, 0x7f, NULL},
    {"iq2_bn_r4", 272 + 16 + 64 + 16 + 4, 0x30, "tensor iq2_bn_r4, row 5, column 88: a code"},
    {"iq1_bn", 3 * 54 + 10, 0, NULL},
    {"tl1_32", 0, 0x90, "tensor tl1_32, row 0, column 0: a code that TL1 does not have"},
    {"tl1_32", 1, 0x0f, "tensor tl1_32, row 1, column 2: a code that TL1 does not have"},
    {"tl2", 9, 0xe0, "tensor tl2, row 17, column 0: a code that TL2 does not have"},
    {"ik.expected", 64 + 1, 0xc0, "tensor ik.expected, row 1, column 1: a code that is no trit"},
};

START_TEST(broken_codes_are_named)
{
    size_t len;
    char *bytes = golden_bytes(&len);
    struct gguf *g = open_golden(in_source("tests/golden/rows.gguf"));
    const struct gguf_tensor *t = gguf_tensor(g, broken[_i].tensor);
    int8_t *trits;
    float *scales;
    struct trit_error err = {0};
    const struct gguf_tensor *last = gguf_tensor_at(g, gguf_n_tensors(g) - 1);
    size_t start = len - round_up(last->bytes, 32) - last->offset + t->offset;
    bytes[start + (size_t)broken[_i].at] = (char)broken[_i].value;
    if (broken[_i].value == 0x7f) { /* and the byte below: a scale that is no number */
        bytes[start + (size_t)broken[_i].at - 1] = (char)0xc0;
    }
    gguf_close(&g);
    put_bytes(bytes, len);
    g = open_golden(made);
    int rc = read_all(g, broken[_i].tensor, &trits, &scales, &err);
    const char *says = broken[_i].value == 0x7f ? "tensor iq2_bn, row 2: a scale that is not finite"
                                                : broken[_i].says;
    if (says) {
        ck_assert_int_eq(rc, -TRIT_EFORMAT);
        ck_assert_msg(strstr(err.text, says), "\"%s\" lacks \"%s\"", err.text, says);
    } else {
        ck_assert_int_eq(rc, 0); /* every byte of IQ1_BN is five trits */
    }
    mem_free(trits);
    mem_free(scales);
    mem_free(bytes);
    gguf_close(&g);
}
END_TEST

/* Any bit, anywhere: read or refused in words, and never a value that is no trit. */
START_TEST(flipped_bits)
{
    size_t len;
    char *bytes = golden_bytes(&len);
    for (int i = 0; i < 300; i++) {
        size_t at = unit_random(&seed) % (i % 2 ? len : 900);
        char bit = (char)(1 << (unit_random(&seed) >> 32) % 8);
        const struct gguf_reading how = {.tiles = tiles, .n_tiles = ARRAY_LEN(tiles)};
        struct gguf *g = NULL;
        struct trit_error err = {0};
        bytes[at] ^= bit;
        put_bytes(bytes, len);
        int rc = gguf_open(made, &g, &err);
        if (rc == 0)
            rc = gguf_read_as(g, &how, &err);
        for (size_t k = 0; rc == 0 && k < gguf_n_tensors(g); k++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, k);
            int8_t *trits;
            float *scales;
            if (!t->quant || !rows_needed(t->quant) || t->ne[2] * t->ne[3] > 1)
                continue;
            int bad = read_all(g, t->name, &trits, &scales, &err);
            if (bad)
                ck_assert_msg(strstr(err.text, t->name), "byte %zu: \"%s\"", at, err.text);
            unsigned odd = 0;
            for (uint64_t v = 0; bad == 0 && v < t->ne[0] * t->ne[1]; v++)
                odd += trits[v] < -1 || trits[v] > 1;
            ck_assert_uint_eq(odd, 0);
            mem_free(trits);
            mem_free(scales);
        }
        if (rc)
            ck_assert_msg(strncmp(err.text, made, strlen(made)) == 0, "byte %zu: \"%s\"", at,
                          err.text);
        gguf_close(&g);
        bytes[at] ^= bit;
    }
    mem_free(bytes);
}
END_TEST

START_TEST(cut_short)
{
    size_t len;
    char *bytes = golden_bytes(&len);
    for (int i = 0; i < 100; i++) {
        struct gguf *g = NULL;
        struct trit_error err = {0};
        size_t at = i < 50 ? unit_random(&seed) % 1200 : unit_random(&seed) % (len - 32);
        put_bytes(bytes, at);
        ck_assert_int_eq(gguf_open(made, &g, &err), -TRIT_EFORMAT);
        ck_assert_msg(at < 900 || strstr(err.text, "tensor "), "cut at %zu: %s", at, err.text);
    }
    mem_free(bytes);
}
END_TEST

START_TEST(what_is_told_must_fit)
{
    const struct {
        struct gguf_reading how;
        const char *says;
    } cases[] = {
        {{.tiles = tiles, .n_tiles = 2}, "tensor tl2: no tiles were given for TL2 of 128 x 256"},
        {{.tiles = &(struct quant_tiles){0, 0, 96, 64, 32}, .n_tiles = 1},
         "tensor tl1_32: TL1 of 128 x 128 cannot have tiles of BM=96, BK=64, BMM=32: the rows are "
         "no"},
        {{.tiles = &(struct quant_tiles){0, 0, 64, 96, 32}, .n_tiles = 1}, "the columns are no"},
        {{.tiles = &(struct quant_tiles){0, 0, 64, 64, 16}, .n_tiles = 1}, "BMM is neither"},
        {{.tiles = &(struct quant_tiles){0, 0, 0, 0, 0}, .n_tiles = 1}, "tl1_32: TL1 of"},
        {{.tiles = &(struct quant_tiles){0, 0, 64, 64, 32}, .n_tiles = 1},
         "tensor tl2: TL2 of 128 x 256 cannot have tiles of BM=64, BK=64, BMM=32: BMM is not 32"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gguf *g = NULL;
        struct trit_error err = {0};
        ck_assert_int_eq(gguf_open(in_source("tests/golden/rows.gguf"), &g, &err), 0);
        ck_assert_int_lt(gguf_read_as(g, &cases[i].how, &err), 0);
        ck_assert_msg(strstr(err.text, cases[i].says), "\"%s\" lacks \"%s\"", err.text,
                      cases[i].says);
        gguf_close(&g);
    }
    struct gguf *g = NULL;
    struct rows r;
    struct trit_error err = {0};
    const struct gguf_reading arm = {.i2s = QUANT_I2_S_ARM};
    ck_assert_int_eq(gguf_open(in_source("tests/golden/rows.gguf"), &g, &err), 0);
    ck_assert_int_eq(rows_open(g, gguf_tensor(g, "tl1_64"), &r, &err), -TRIT_EUNSUPP);
    ck_assert_msg(strstr(err.text, "tensor tl1_64 is TL1, whose codes lie in tiles"), "%s",
                  err.text);
    gguf_close(&g);
    ck_assert_int_eq(gguf_open(in_source("tests/golden/models/b158.tq1_0.gguf"), &g, &err), 0);
    ck_assert_int_eq(gguf_read_as(g, &arm, &err), -TRIT_EINVAL);
    ck_assert_msg(strstr(err.text, "there is no I2_S"), "%s", err.text);
    gguf_close(&g);
}
END_TEST

START_TEST(memory_runs_out)
{
    for (unsigned n = 1;; n++) {
        const struct gguf_reading how = {.tiles = tiles, .n_tiles = ARRAY_LEN(tiles)};
        struct gguf *g = NULL;
        struct rows r = {.g = NULL};
        struct plausible p;
        struct trit_error err = {0};
        mem_fail_at(n);
        int rc = gguf_open(in_source("tests/golden/rows.gguf"), &g, &err);
        rc = rc ? rc : gguf_read_as(g, &how, &err);
        rc = rc ? rc : rows_open(g, gguf_tensor(g, "tl2"), &r, &err);
        rc = rc ? rc : plausible_look(g, 0, 1, &p, &err);
        bool done = mem_fail_pending();
        mem_fail_at(0);
        rows_close(&r);
        gguf_close(&g);
        if (done)
            break;
        ck_assert_msg(rc == -TRIT_ENOMEM, "allocation %u: %d: %s", n, rc, err.text);
    }
}
END_TEST

/* --- whole models in another encoding -------------------------------------------------------- */

enum order { IQ1, IQ2, R4, PUBLISHED, ARM, FOUR };

static const uint32_t id_of[] = {QUANT_IQ1_BN, QUANT_IQ2_BN, QUANT_IQ2_BN_R4,
                                 QUANT_I2_S,   QUANT_I2_S,   QUANT_I2_S};

/* Where value (r, c) has its code: a byte, and a shift; or for IQ1 a byte and a power of three. */
static size_t place(enum order o, size_t cols, size_t r, size_t c, unsigned *shift)
{
    static const unsigned power[] = {1, 3, 9, 27, 81};
    size_t f = r * cols + c, in = c % 64, group = in / 16, row = cols / 64 * 13 + 2;
    switch (o) {
    case IQ1:
        *shift = power[in % 16 == 15 ? group : in % 16 % 5];
        return r * row + 2 + c / 64 * 13 + (in % 16 == 15 ? 12 : 3 * group + in % 16 / 5);
    case IQ2:
        *shift = (unsigned)(2 * group);
        return r * (4 + cols / 4) + 4 + c / 64 * 16 + in % 16;
    case R4:
        *shift = (unsigned)(2 * (in % 16 / 4));
        return r / 4 * (16 + cols) + 16 + c / 64 * 64 + 16 * group + 4 * (r % 4) + in % 4;
    case PUBLISHED:
        *shift = (unsigned)(6 - 2 * (f % 128 / 32));
        return f / 128 * 32 + f % 32;
    case ARM:
        *shift = (unsigned)(6 - 2 * (f % 64 / 16));
        return f / 64 * 16 + f % 16;
    default:
        *shift = (unsigned)(6 - 2 * (r % 4));
        return r / 4 * cols + c;
    }
}

static void put_scale(enum order o, uint8_t *dst, size_t rows, size_t cols, float scale)
{
    uint16_t half = quant_f32_to_f16(scale);
    if (o >= PUBLISHED)
        memcpy(dst + rows * cols / 4, &scale, sizeof scale);
    for (size_t r = 0; o < PUBLISHED && r < rows; r++)
        if (o == IQ1)
            memcpy(dst + r * (2 + cols / 64 * 13), &half, sizeof half);
        else if (o == IQ2)
            memcpy(dst + r * (4 + cols / 4), &scale, sizeof scale);
        else
            memcpy(dst + r / 4 * (16 + cols) + 4 * (r % 4), &scale, sizeof scale);
}

static void encode(enum order o, const int8_t *trits, float scale, size_t rows, size_t cols,
                   uint8_t *dst)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            unsigned shift, code = (unsigned)(trits[r * cols + c] + 1);
            size_t at = place(o, cols, r, c, &shift);
            dst[at] = (uint8_t)(dst[at] + (o == IQ1 ? code * shift : code << shift));
        }
    for (size_t r = 0; o == IQ1 && r < rows; r++) /* numbers below 243 to fractions of 256 */
        for (size_t i = 0; i < cols / 64 * 13; i++) {
            uint8_t *b = dst + r * (2 + cols / 64 * 13) + 2 + i;
            *b = (uint8_t)((*b * 256u + 242) / 243);
        }
    put_scale(o, dst, rows, cols, scale);
}

/* A model of TQ1_0 with its linears in another encoding. */
static void translate(const char *source, enum order o)
{
    struct gguf *g = NULL;
    struct gguf_writer *w = NULL;
    struct trit_error err;
    const struct quant_info *q = quant_find(id_of[o]);
    ck_assert_msg(gguf_open(source, &g, &err) == 0, "%s", err.text);
    ck_assert_int_eq(gguf_write_open(made, &w, &err), 0);
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        size_t len = gguf_pair_bytes(g, i);
        char *pair = mem_zalloc(len, 1);
        ck_assert_int_eq(gguf_read_pair(g, i, pair, &err), 0);
        gguf_write_pair(w, pair, len);
        mem_free(pair);
    }
    for (int write = 0; write < 2; write++) {
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            bool linear = t->quant->ternary;
            uint64_t bytes = t->bytes;
            if (linear)
                ck_assert_int_eq(quant_tensor_bytes(q, t->ne[1], t->ne[0], &bytes), 0);
            if (!write) {
                gguf_write_tensor(w, t->name, t->n_dims, t->ne, linear ? q->type : t->type, bytes);
                continue;
            }
            uint8_t *raw = mem_zalloc(t->bytes, 1), *to = mem_zalloc(bytes, 1);
            ck_assert_int_eq(gguf_read(g, t, 0, raw, t->bytes, &err), 0);
            if (linear) {
                size_t n = t->ne[0] * t->ne[1];
                int8_t *trits = mem_zalloc(n, 1);
                float *scales = mem_zalloc(n / 256, sizeof *scales);
                ck_assert_int_eq(quant_trits(t->quant, raw, trits, scales, n), 0);
                encode(o, trits, scales[0], t->ne[1], t->ne[0], to);
                mem_free(trits);
                mem_free(scales);
            } else {
                memcpy(to, raw, bytes);
            }
            ck_assert_int_eq(gguf_write_data(w, to, bytes, &err), 0);
            mem_free(raw);
            mem_free(to);
        }
        if (!write)
            ck_assert_int_eq(gguf_write_begin(w, &err), 0);
    }
    ck_assert_msg(gguf_write_finish(w, &err) == 0, "%s", err.text);
    gguf_write_close(&w);
    gguf_close(&g);
}

static struct model *load(const char *path)
{
    struct model *m = NULL;
    struct trit_error err = {0};
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_Q8};
    ck_assert_msg(model_load(path, &o, &m, &err) == 0, "%s", err.text);
    return m;
}

/* Every way to write a model gives the same weights in memory. */
START_TEST(models_are_the_same)
{
    static const char source[] = "tests/golden/models/b158.tq1_0.gguf";
    translate(in_source(source), (enum order)_i);
    struct model *a = load(in_source(source)), *b = load(made);
    ck_assert_str_eq(b->encoding, quant_find(id_of[_i])->name);
    ck_assert_uint_eq(a->weight_bytes, b->weight_bytes);
    ck_assert_mem_eq(a->segment.payload, b->segment.payload, a->weight_bytes);
    model_close(&a);
    model_close(&b);
}
END_TEST

/* A trained model in the orders of I2_S: which one it is, its weights tell; tritd refuses the
 * others. */
START_TEST(order_of_a_trained_model)
{
    static const uint32_t type[] = {QUANT_I2_S, QUANT_I2_S_ARM, QUANT_I2_S_FOUR};
    translate(in_source("models/storyteller.gguf"), (enum order)(PUBLISHED + _i));
    struct gguf *g = NULL;
    struct plausible seen, best;
    struct trit_error err = {0};
    ck_assert_int_eq(gguf_open(made, &g, &err), 0);
    for (int as = 0; as < 3; as++) {
        ck_assert_int_eq(plausible_look(g, type[as], PLAUSIBLE_LAYERS, &seen, &err), 0);
        ck_assert_uint_eq(seen.sums, 12);
        uint32_t order = plausible_order(g, PLAUSIBLE_LAYERS, &seen, &best);
        ck_assert_uint_eq(order, as == _i ? 0 : type[_i]);
        struct plausible right;
        ck_assert_int_eq(plausible_look(g, type[_i], PLAUSIBLE_LAYERS, &right, &err), 0);
        ck_assert(plausible_is_better(&right, &seen) == (as != _i));
        ck_assert(!plausible_is_better(&seen, &right));
        if (as == _i)
            ck_assert(plausible_is_order(&seen) && plausible_is_whole(&seen));
    }
    gguf_close(&g);
    struct model *m = NULL;
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_Q8};
    int rc = model_load(made, &o, &m, &err);
    ck_assert_int_eq(rc, _i ? -TRIT_EINVAL : 0);
    if (_i)
        ck_assert_msg(strstr(err.text, "read so its weights are out of order, and with --order"),
                      "%s", err.text);
    model_close(&m);
    /* Told, it is the model that it was. */
    static struct reading told;
    told = (struct reading){.i2s = _i ? type[_i] : 0};
    o.reading = &told;
    ck_assert_msg(model_load(made, &o, &m, &err) == 0, "%s", err.text);
    ck_assert((m->segment.source.reading != 0) == (_i != 0));
    model_close(&m);
}
END_TEST

/* Weights without order tell nothing, in whatever order they are read. */
START_TEST(random_weights_tell_nothing)
{
    translate(in_source("tests/golden/models/b158.tq1_0.gguf"), PUBLISHED);
    struct gguf *g = NULL;
    struct plausible seen, best;
    struct trit_error err = {0};
    ck_assert_int_eq(gguf_open(made, &g, &err), 0);
    ck_assert_int_eq(plausible_look(g, 0, PLAUSIBLE_LAYERS, &seen, &err), 0);
    ck_assert(!plausible_is_order(&seen));
    ck_assert_uint_eq(plausible_order(g, PLAUSIBLE_LAYERS, &seen, &best), 0);
    gguf_close(&g);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *s = suite_create("rows");
    TCase *c = tcase_create("rows");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, golden, 0, 7);
    tcase_add_loop_test(c, broken_codes_are_named, 0, ARRAY_LEN(broken));
    tcase_add_test(c, flipped_bits);
    tcase_add_test(c, cut_short);
    tcase_add_test(c, what_is_told_must_fit);
    tcase_add_test(c, memory_runs_out);
    tcase_add_loop_test(c, models_are_the_same, 0, PUBLISHED + 1);
    tcase_add_loop_test(c, order_of_a_trained_model, 0, 3);
    tcase_add_test(c, random_weights_tell_nothing);
    suite_add_tcase(s, c);
    return unit_run(s);
}
