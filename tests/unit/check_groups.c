/* SPDX-License-Identifier: MIT */
/*
 * check_groups.c - weights with a scale for each group of inputs, from the file to the layout.
 *
 * The models are those of `trit-model synth --shape bonsai-tiny`, whose groups all have scales of
 * their own; what the loader made of them is held against the file, block by block, and against the
 * same model in other encodings.  Runs where the tool was built.
 */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/gguf.h"
#include "model/model.h"
#include "model/quant.h"
#include "unit.h"

static char path[] = "/tmp/check_groups.XXXXXX";

static void synth(const char *shape, const char *type, const char *head)
{
    char command[200];
    snprintf(command, sizeof command, "./trit-model synth --shape %s --type %s --head %s -o %s",
             shape, type, head, path);
    ck_assert_int_eq(system(command), 0);
}

static struct model *load_tables(enum layout_id layout, enum table_type tables,
                                 struct trit_error *err)
{
    struct model_options o = {.layout = layout, .tables = tables};
    struct model *m;
    return model_load(path, &o, &m, err) == 0 ? m : NULL;
}

static struct model *load(enum layout_id layout, struct trit_error *err)
{
    return load_tables(layout, TABLE_Q8, err);
}

static const struct gguf_tensor *find(const struct gguf *g, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor(g, name);
    ck_assert_ptr_nonnull(t);
    return t;
}

/* Every trit and every scale of the layer is that of the file. */
static void compare(const struct gguf *g, const char *name, const struct linear *w, uint32_t group)
{
    const struct gguf_tensor *t = find(g, name);
    struct trit_error err;
    size_t values = t->quant->block_values, blocks = w->cols / values;
    size_t row_bytes = blocks * t->quant->block_bytes;
    uint8_t *raw = mem_zalloc(row_bytes, 1);
    int8_t *trits = mem_zalloc(w->cols, 1), *tile = mem_zalloc(LAYOUT_TILE * (size_t)w->cols, 1);
    float *scales = mem_zalloc(blocks, sizeof *scales);
    ck_assert(raw && trits && tile && scales);
    ck_assert_uint_eq(w->group, group);
    for (uint32_t row = 0; row < w->rows; row++) {
        size_t n = row / LAYOUT_TILE, r = row % LAYOUT_TILE;
        if (r == 0)
            layout_unpack_tile(w, w->codes + n * w->tile_bytes, tile);
        ck_assert_int_eq(gguf_read(g, t, row * row_bytes, raw, row_bytes, &err), 0);
        ck_assert_int_eq(quant_trits(t->quant, raw, trits, scales, w->cols), 0);
        ck_assert_mem_eq(tile + r * w->cols, trits, w->cols);
        for (size_t k = 0; k < blocks; k++) {
            size_t at = (n * w->n_groups + k * values / group) * LAYOUT_TILE + r;
            float got = w->scales ? w->scales[at] : quant_f16_to_f32(w->group_scales[at]);
            ck_assert_float_eq(got, scales[k]);
        }
    }
    mem_free(raw);
    mem_free(trits);
    mem_free(tile);
    mem_free(scales);
}

/* A group is a block where blocks are large enough, and 128 values where two blocks share a
 * scale. */
START_TEST(blocks_with_scales_of_their_own_are_groups)
{
    static const struct {
        const char *type, *encoding;
        uint32_t group;
    } cases[] = {
        {"tq1_0", "TQ1_0", 256}, {"tq2_0", "TQ2_0", 256},     {"q2_0", "Q2_0", 128},
        {"pq2_0", "PQ2_0", 128}, {"q2_0_g128", "PQ2_0", 128}, {"ptq1_0", "PTQ1_0", 128},
        {"q1_0", "Q1_0", 128},
    };
    static const enum layout_id layouts[] = {LAYOUT_T2, LAYOUT_T5};
    struct trit_error err;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        uint32_t group = cases[i / 2].group;
        synth("bonsai-tiny", cases[i / 2].type, "f16");
        struct model *m = load(layouts[i % 2], &err);
        struct gguf *g;
        ck_assert_msg(m != NULL, "%s", err.text);
        ck_assert_str_eq(m->arch->name, "qwen3");
        ck_assert_str_eq(m->encoding, cases[i / 2].encoding);
        ck_assert_int_eq(gguf_open(path, &g, &err), 0);
        compare(g, "blk.0.attn_q.weight", &m->layers[0].q, group);
        compare(g, "blk.0.ffn_down.weight", &m->layers[0].down, group);
        compare(g, "blk.3.ffn_down.weight", &m->layers[3].down, group);
        gguf_close(&g);
        model_close(&m);
    }
}
END_TEST

/* An embedding that is ternary stays as the file has it, is the head where that is tied, and is
 * looked up without loss; of a file whose embedding is not, nothing is ternary but the layers. */
START_TEST(a_ternary_embedding_stays_so)
{
    static const struct {
        const char *type;
        uint32_t group;
    } cases[] = {{"tq1_0", 256}, {"tq2_0", 256}, {"q2_0", 128}, {"pq2_0", 128}, {"ptq1_0", 128},
                 {"q1_0", 128}};
    static const enum layout_id layouts[] = {LAYOUT_T2, LAYOUT_T5};
    struct trit_error err;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        synth("bonsai-tiny", cases[i / 2].type, "same");
        struct model *m = load_tables(layouts[i % 2], TABLE_TERNARY, &err);
        struct model *f16 = load_tables(layouts[i % 2], TABLE_F16, &err);
        struct gguf *g;
        ck_assert_msg(m && f16, "%s", err.text);
        ck_assert_int_eq(gguf_open(path, &g, &err), 0);
        ck_assert_uint_eq(m->segment.source.tables, TABLE_TERNARY);
        ck_assert_ptr_null(m->embedding.data);
        ck_assert_ptr_eq(m->head_tiles.codes, m->embedding_tiles.codes);
        compare(g, "token_embd.weight", &m->embedding_tiles, cases[i / 2].group);
        float *x = mem_zalloc(m->hp.dim, sizeof *x), *y = mem_zalloc(m->hp.dim, sizeof *y);
        for (uint32_t token = 0; token < m->hp.vocab; token += 1 + token / 3) {
            model_embed(m, token, x);
            model_embed(f16, token, y);
            for (uint32_t k = 0; k < m->hp.dim; k++)
                ck_assert_float_eq(x[k], y[k]);
        }
        mem_free(x);
        mem_free(y);
        ck_assert_uint_lt(m->weight_bytes, f16->weight_bytes);
        gguf_close(&g);
        model_close(&m);
        model_close(&f16);
    }
    synth("bonsai-tiny", "q2_0", "f16");
    struct model *m = load_tables(LAYOUT_T2, TABLE_TERNARY, &err);
    ck_assert_msg(m != NULL, "%s", err.text);
    ck_assert_uint_eq(m->segment.source.tables, TABLE_Q8);
    ck_assert_uint_eq(m->head.type, TABLE_Q8);
    ck_assert_ptr_null(m->head_tiles.codes);
    model_close(&m);
}
END_TEST

/* One model in the four encodings that Bonsai models come in, embedding and all, is packed into the
 * same bytes. */
START_TEST(encodings_of_one_model_are_one_model)
{
    static const char *const types[] = {"q2_0", "q2_0_g128", "pq2_0", "ptq1_0"};
    struct trit_error err;
    struct model *first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        synth("bonsai-tiny", types[i], "same");
        struct model *m = load(LAYOUT_T2, &err);
        ck_assert_msg(m != NULL, "%s", err.text);
        if (first) {
            ck_assert_uint_eq(m->weight_bytes, first->weight_bytes);
            ck_assert_mem_eq(m->segment.payload, first->segment.payload, m->weight_bytes);
            model_close(&m);
        } else {
            first = m;
        }
    }
    /* And the embedding is what the file says: row 5, by hand. */
    struct gguf *g;
    ck_assert_int_eq(gguf_open(path, &g, &err), 0);
    const struct gguf_tensor *t = find(g, "token_embd.weight");
    uint8_t raw[2 * 28];
    int8_t trits[256];
    float scales[2], row[256];
    ck_assert_int_eq(gguf_read(g, t, 5 * sizeof raw, raw, sizeof raw, &err), 0);
    ck_assert_int_eq(quant_trits(t->quant, raw, trits, scales, 256), 0);
    table_row(&first->embedding, 5, row);
    float step = first->embedding.scales[5];
    for (int i = 0; i < 256; i++)
        ck_assert_float_eq_tol(row[i], (float)trits[i] * scales[i / 128], step * 0.501f);
    gguf_close(&g);
    model_close(&first);
}
END_TEST

/* One block that disagrees, in a row that is not among those looked at first. */
START_TEST(a_lone_scale_is_refused)
{
    struct trit_error err;
    struct gguf *g;
    synth("tiny", "tq2_0", "f16");
    ck_assert_int_eq(gguf_open(path, &g, &err), 0);
    const struct gguf_tensor *t = find(g, "blk.1.ffn_down.weight");
    const struct gguf_tensor *last = gguf_tensor_at(g, gguf_n_tensors(g) - 1);
    uint64_t data = gguf_file_bytes(g) - round_up(last->offset + last->bytes, 32);
    off_t at =
        (off_t)(data + t->offset + 5 * 3 * t->quant->block_bytes + t->quant->block_bytes - 2);
    gguf_close(&g);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, "\0\x3c", 2, at), 2); /* 1.0 */
    close(fd);
    ck_assert_ptr_null(load(LAYOUT_T2, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "blk.1.ffn_down.weight, row 5: scales differ"));
}
END_TEST

int main(void)
{
    log_open(LOG_WARN, 0);
    int fd = mkstemp(path);
    if (fd < 0)
        return EXIT_FAILURE;
    close(fd);
    Suite *s = suite_create("groups");
    TCase *c = tcase_create("groups");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, blocks_with_scales_of_their_own_are_groups);
    tcase_add_test(c, a_ternary_embedding_stays_so);
    tcase_add_test(c, encodings_of_one_model_are_one_model);
    tcase_add_test(c, a_lone_scale_is_refused);
    suite_add_tcase(s, c);
    int rc = unit_run(s);
    unlink(path);
    return rc;
}
