/* SPDX-License-Identifier: MIT */
/*
 * tensor-reader.c - reads the weights of one tensor piece by piece, whatever their encoding.
 */
#include "config.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/quant.h"

uint64_t tool_values(const struct gguf_tensor *t)
{
    return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

bool tool_is_linear(const struct gguf_tensor *t)
{
    static const char *const names[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                        "ffn_gate", "ffn_up", "ffn_down",
                                        /* of gated delta rules */
                                        "attn_qkv", "attn_gate", "ssm_out"};
    unsigned layer;
    int end = 0;
    if (t->n_dims != 2 || sscanf(t->name, "blk.%u.%n", &layer, &end) != 1 || end == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t len = strlen(names[i]);
        if (strncmp(t->name + end, names[i], len) == 0 &&
            strcmp(t->name + end + len, ".weight") == 0)
            return true;
    }
    return false;
}

/* Bytes of n values, whole blocks. */
static size_t piece_bytes(const struct quant_info *q, uint64_t n)
{
    return n / q->block_values * q->block_bytes;
}

/* What encodings without such blocks are read by: ROWS_RUN rows at a time. */
static int open_rows(struct tensor_reader *w, struct trit_error *err)
{
    uint64_t cols = w->t->ne[0];
    int rc = rows_open(w->g, w->t, &w->rows, err);
    if (rc)
        return rc;
    w->run_row = UINT64_MAX;
    w->run_raw = mem_zalloc(rows_raw_bytes(w->t, ROWS_RUN), 1);
    w->run = mem_zalloc(cols, ROWS_RUN);
    return w->run_raw && w->run
               ? 0
               : trit_fail(err, TRIT_ENOMEM, "tensor %s: out of memory", w->t->name);
}

int tensor_reader_open(struct tensor_reader *w, const struct gguf *g, const struct gguf_tensor *t,
                       struct trit_error *err)
{
    trit_assert(t->quant);
    *w = (struct tensor_reader){.g = g, .t = t, .total = tool_values(t)};
    w->raw = mem_zalloc(TENSOR_PIECE, sizeof(float));
    w->trits = mem_zalloc(TENSOR_PIECE, 1);
    w->floats = mem_zalloc(TENSOR_PIECE, sizeof(float));
    w->scales = w->floats;
    int rc = 0;
    if (!w->raw || !w->trits || !w->floats)
        rc = trit_fail(err, TRIT_ENOMEM, "tensor %s: out of memory", t->name);
    else if (rows_needed(t->quant))
        rc = open_rows(w, err);
    if (rc)
        tensor_reader_close(w);
    return rc;
}

/* Which value of the piece is the first that stands for no trit. */
static uint64_t first_bad(const struct tensor_reader *w)
{
    const struct quant_info *q = w->t->quant;
    int8_t trits[256];
    float scale;
    for (size_t i = 0; i < w->n; i += q->block_values)
        if (quant_trits(q, w->raw + piece_bytes(q, i), trits, &scale, q->block_values) != 0)
            return w->at + i;
    trit_unreachable("a bad piece without a bad block");
}

/* The piece from runs of rows, of which one is kept, since it may reach into the next piece.  Rows
 * may have scales of their own: where they do they are whole blocks, of which each gets its row's.
 */
static int read_rows(struct tensor_reader *w, struct trit_error *err)
{
    const uint64_t cols = w->t->ne[0], rows = w->total / cols;
    const size_t block = w->t->quant->block_values;
    bool by_rows = quant_by_rows(w->t->quant);
    w->n_scales = by_rows ? w->n / block : 1;
    for (size_t done = 0, part; done < w->n; done += part) {
        uint64_t row = (w->at + done) / cols, run = row / ROWS_RUN * ROWS_RUN;
        if (run != w->run_row) {
            w->run_row = UINT64_MAX;
            int rc = rows_read(&w->rows, run, (uint32_t)MIN((uint64_t)ROWS_RUN, rows - run),
                               w->run_raw, w->run, w->run_scales, err);
            if (rc)
                return rc;
            w->run_row = run;
        }
        uint64_t col = (w->at + done) % cols;
        part = MIN(w->n - done, cols - col);
        memcpy(w->trits + done, w->run + (row - run) * cols + col, part);
        for (size_t i = 0; by_rows && i < part; i += block)
            w->scales[(done + i) / block] = w->run_scales[row - run];
        w->scales[0] = by_rows ? w->scales[0] : w->run_scales[row - run];
    }
    return 0;
}

int tensor_reader_next(struct tensor_reader *w, struct trit_error *err)
{
    const struct quant_info *q = w->t->quant;
    w->at += w->n;
    w->n = MIN(w->total - w->at, (uint64_t)TENSOR_PIECE);
    if (w->n == 0)
        return 0;
    if (rows_needed(q))
        return read_rows(w, err);
    int rc = gguf_read(w->g, w->t, piece_bytes(q, w->at), w->raw, piece_bytes(q, w->n), err);
    if (rc)
        return rc;
    if (!q->ternary) {
        quant_floats(q, w->raw, w->floats, w->n);
        return 0;
    }
    rc = quant_trits(q, w->raw, w->trits, w->scales, w->n);
    w->n_scales = w->n / q->block_values;
    if (rc == 0)
        return 0;
    uint64_t bad = first_bad(w);
    if (quant_of_floats(q))
        return trit_fail(err, TRIT_EFORMAT,
                         "tensor %s: row %" PRIu64 ", columns %" PRIu64 " to %" PRIu64
                         ": expected -d, 0 and d alone, as in the rows that were looked at first",
                         w->t->origin, bad / w->t->ne[0], bad % w->t->ne[0],
                         bad % w->t->ne[0] + q->block_values - 1);
    return trit_fail(err, TRIT_EFORMAT,
                     "tensor %s: the block at row %" PRIu64 ", column %" PRIu64
                     " has code 3, expected 0, 1 or 2",
                     w->t->name, bad / w->t->ne[0], bad % w->t->ne[0]);
}

void tensor_reader_rewind(struct tensor_reader *w)
{
    w->at = 0;
    w->n = 0;
}

void tensor_reader_close(struct tensor_reader *w)
{
    rows_close(&w->rows);
    mem_free(w->run_raw);
    mem_free(w->run);
    mem_free(w->raw);
    mem_free(w->trits);
    mem_free(w->floats);
    *w = (struct tensor_reader){0};
}
