/* SPDX-License-Identifier: MIT */
/*
 * rows.c - where the bytes of some rows lie, and who decodes them.
 */
#include "config.h"
#include "model/rows.h"

#include <inttypes.h>
#include <math.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "model/quant.h"

static bool tiled(const struct quant_info *q)
{
    return q->type == QUANT_TL1 || q->type == QUANT_TL2;
}

bool rows_needed(const struct quant_info *q)
{
    return q->ternary && q->block_bytes == 0;
}

static uint64_t rows_of(const struct gguf_tensor *t)
{
    return t->ne[1] * t->ne[2] * t->ne[3];
}

/* Offset of the scale of a tensor that has one, which is where its codes end, or their padding. */
static uint64_t scale_offset(const struct gguf_tensor *t)
{
    uint64_t rows = rows_of(t);
    return t->quant->type == QUANT_TL2 ? round_up(quant_tl2_code_bytes(rows, t->ne[0]), 32)
                                       : rows * t->ne[0] / 4;
}

int rows_open(const struct gguf *g, const struct gguf_tensor *t, struct rows *r,
              struct trit_error *err)
{
    const struct quant_info *q = t->quant;
    trit_assert(rows_needed(q));
    *r = (struct rows){.g = g, .t = t, .scale = 1};
    if (tiled(q) && !t->tiles)
        return gguf_fail(
            g, err, TRIT_EUNSUPP,
            "tensor %s is %s, whose codes lie in tiles of sizes that the file does not "
            "tell; trit-model quantize --tiles, with those of the bitnet.cpp that made it, "
            "writes another encoding",
            t->name, q->name);
    if (quant_by_rows(q) || q->type == QUANT_HF_U8)
        return 0;
    uint64_t at = scale_offset(t);
    int rc = gguf_read(g, t, at, &r->scale, sizeof r->scale, err);
    if (rc == 0 && !isfinite(r->scale))
        return gguf_fail(g, err, TRIT_EFORMAT, "tensor %s: its scale is not finite", t->origin);
    if (rc || !tiled(q))
        return rc;
    r->whole = mem_zalloc(at, 1);
    if (!r->whole)
        return gguf_fail(g, err, TRIT_ENOMEM, "tensor %s: no memory for its %" PRIu64 " bytes",
                         t->name, at);
    rc = gguf_read(g, t, 0, r->whole, at, err);
    if (rc)
        rows_close(r);
    return rc;
}

void rows_close(struct rows *r)
{
    mem_free(r->whole);
    *r = (struct rows){.g = NULL};
}

size_t rows_raw_bytes(const struct gguf_tensor *t, uint64_t n)
{
    /* A byte a value is more than any has, and the ends may lie inside blocks of 128, or be scales.
     */
    return n * (t->ne[0] + 8) + 128;
}

/* I2_S runs over the flattened tensor, so rows may begin inside a block: of 128 values, or 64. */
static int read_flat(const struct rows *r, uint64_t row, uint32_t n, uint8_t *raw, int8_t *trits,
                     struct trit_error *err)
{
    const struct gguf_tensor *t = r->t;
    uint64_t cols = t->ne[0], total = cols * rows_of(t);
    uint64_t first = row * cols, last = first + n * cols, skip = first / 128 * 128;
    uint64_t from = skip / 4, to = MIN((last + 127) / 128 * 32, total / 4);
    int rc = gguf_read(r->g, t, from, raw, to - from, err);
    if (rc)
        return rc;
    return t->quant->type == QUANT_I2_S
               ? quant_i2s_trits(raw, total - skip, first - skip, trits, n * cols)
               : quant_i2s_arm_trits(raw, first - skip, trits, n * cols);
}

/* Of HF_U8 a row of the file holds a quarter of the codes of four rows; those of a run that lie in
 * one quarter follow each other. */
static int read_quarters(const struct rows *r, uint64_t row, uint32_t n, uint8_t *raw,
                         int8_t *trits, struct trit_error *err)
{
    uint64_t cols = r->t->ne[0], packed_rows = rows_of(r->t) / 4;
    int bad = 0;
    for (uint32_t done = 0, run; done < n; done += run) {
        uint64_t quarter = (row + done) / packed_rows, from = (row + done) % packed_rows;
        run = (uint32_t)MIN((uint64_t)(n - done), packed_rows - from);
        int rc = gguf_read(r->g, r->t, from * cols, raw, run * cols, err);
        if (rc)
            return rc;
        rc = quant_hf_u8_trits(raw, (unsigned)quarter, trits + done * cols, run * cols);
        bad = rc ? rc : bad;
    }
    return bad;
}

/* The bytes of whole runs lie together. */
static int read_run(const struct rows *r, uint64_t row, uint32_t n, uint8_t *raw, int8_t *trits,
                    float *scales, struct trit_error *err)
{
    const struct gguf_tensor *t = r->t;
    bool four = t->quant->type == QUANT_I2_S_FOUR;
    uint64_t cols = t->ne[0], bytes = four ? cols / 4 : quant_row_bytes(t->quant, cols);
    uint64_t from = four ? row / 4 * cols : row * bytes, len = four ? n / 4 * cols : n * bytes;
    int rc = gguf_read(r->g, t, from, raw, len, err);
    if (rc)
        return rc;
    return four ? quant_i2s_four_trits(raw, cols, n, trits)
                : quant_row_trits(t->quant, raw, cols, n, trits, scales);
}

/* Name the first code that is no trit. */
static int bad_code(const struct rows *r, uint64_t row, uint32_t n, const int8_t *trits,
                    struct trit_error *err)
{
    const struct gguf_tensor *t = r->t;
    uint64_t i = 0;
    while (trits[i] <= 1)
        trit_assert(++i < n * t->ne[0]);
    row += i / t->ne[0];
    if (tiled(t->quant))
        return gguf_fail(r->g, err, TRIT_EFORMAT,
                         "tensor %s, row %" PRIu64 ", column %" PRIu64
                         ": a code that %s does not have; are the tiles right?",
                         t->origin, row, i % t->ne[0], t->quant->name);
    return gguf_fail(r->g, err, TRIT_EFORMAT,
                     "tensor %s, row %" PRIu64 ", column %" PRIu64 ": a code that is no trit (3)",
                     t->origin, row, i % t->ne[0]);
}

int rows_read(const struct rows *r, uint64_t row, uint32_t n, uint8_t *raw, int8_t *trits,
              float *scales, struct trit_error *err)
{
    const struct gguf_tensor *t = r->t;
    trit_assert(row % ROWS_RUN == 0 && (n % ROWS_RUN == 0 || row + n == rows_of(t)));
    for (uint32_t i = 0; i < n; i++)
        scales[i] = r->scale;
    int rc;
    if (tiled(t->quant))
        rc = quant_tile_trits(t->quant, r->whole, t->tiles, rows_of(t), t->ne[0], row, n, trits);
    else if (t->quant->type == QUANT_HF_U8)
        rc = read_quarters(r, row, n, raw, trits, err);
    else if (t->quant->type == QUANT_I2_S || t->quant->type == QUANT_I2_S_ARM)
        rc = read_flat(r, row, n, raw, trits, err);
    else
        rc = read_run(r, row, n, raw, trits, scales, err);
    if (rc == -TRIT_EFORMAT)
        return bad_code(r, row, n, trits, err);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (!isfinite(scales[i]))
            rc = gguf_fail(r->g, err, TRIT_EFORMAT,
                           "tensor %s, row %" PRIu64 ": a scale that is not finite", t->origin,
                           row + i);
    return rc;
}
