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
                                        "ffn_gate", "ffn_up", "ffn_down"};
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

/* Bytes of n values, whole blocks.  I2_S has four values in a byte; its scale lies elsewhere. */
static size_t piece_bytes(const struct quant_info *q, uint64_t n)
{
    return q->block_bytes ? n / q->block_values * q->block_bytes : n / 4;
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
    else if (t->type == QUANT_I2_S)
        rc = gguf_read(g, t, w->total / 4, &w->scale, sizeof w->scale, err);
    if (rc)
        tensor_reader_close(w);
    return rc;
}

/* Which value of the piece is the first that stands for no trit. */
static uint64_t first_bad(const struct tensor_reader *w)
{
    const struct quant_info *q = w->t->quant;
    size_t step = q->block_bytes ? q->block_values : 1;
    int8_t trits[256];
    float scale;
    for (size_t i = 0; i < w->n; i += step) {
        int rc = q->block_bytes ? quant_trits(q, w->raw + piece_bytes(q, i), trits, &scale, step)
                                : quant_i2s_trits(w->raw, w->n, i, trits, step);
        if (rc)
            return w->at + i;
    }
    trit_unreachable("a bad piece without a bad block");
}

/* Of HF_U8 a row of the file holds a quarter of the codes of four rows of the tensor. */
static int read_quarters(struct tensor_reader *w, struct trit_error *err)
{
    uint64_t cols = w->t->ne[0], packed_rows = w->t->ne[1] / 4;
    w->scales[0] = 1; /* the tensor that multiplies or divides has it */
    w->n_scales = 1;
    for (size_t done = 0, run; done < w->n; done += run) {
        uint64_t row = (w->at + done) / cols, col = (w->at + done) % cols;
        run = MIN(w->n - done, cols - col);
        int rc = gguf_read(w->g, w->t, row % packed_rows * cols + col, w->raw, run, err);
        if (rc)
            return rc;
        unsigned quarter = (unsigned)(row / packed_rows);
        size_t bad = 0;
        if (quant_hf_u8_trits(w->raw, quarter, w->trits + done, run) == 0)
            continue;
        while (quant_hf_u8_trits(w->raw + bad, quarter, w->trits + done, 1) == 0)
            bad++;
        return trit_fail(err, TRIT_EFORMAT,
                         "tensor %s: the value at row %" PRIu64 ", column %" PRIu64
                         " has code 3, expected 0, 1 or 2",
                         w->t->origin, row, col + bad);
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
    if (q->type == QUANT_HF_U8)
        return read_quarters(w, err);
    int rc = gguf_read(w->g, w->t, piece_bytes(q, w->at), w->raw, piece_bytes(q, w->n), err);
    if (rc)
        return rc;
    if (!q->ternary) {
        quant_floats(q, w->raw, w->floats, w->n);
        return 0;
    }
    if (q->type == QUANT_I2_S) {
        rc = quant_i2s_trits(w->raw, w->n, 0, w->trits, w->n);
        w->scales[0] = w->scale;
        w->n_scales = 1;
    } else {
        rc = quant_trits(q, w->raw, w->trits, w->scales, w->n);
        w->n_scales = w->n / q->block_values;
    }
    if (rc == 0)
        return 0;
    uint64_t bad = first_bad(w);
    return trit_fail(err, TRIT_EFORMAT,
                     "tensor %s: %s at row %" PRIu64 ", column %" PRIu64
                     " has code 3, expected 0, 1 or 2",
                     w->t->name, q->block_bytes ? "the block" : "the value", bad / w->t->ne[0],
                     bad % w->t->ne[0]);
}

void tensor_reader_rewind(struct tensor_reader *w)
{
    w->at = 0;
    w->n = 0;
}

void tensor_reader_close(struct tensor_reader *w)
{
    mem_free(w->raw);
    mem_free(w->trits);
    mem_free(w->floats);
    *w = (struct tensor_reader){0};
}
