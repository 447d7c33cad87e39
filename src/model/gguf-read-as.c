/* SPDX-License-Identifier: MIT */
/*
 * gguf-read-as.c - what a file does not say about its weights, said by somebody who knows.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <inttypes.h>
#include <string.h>

#include <xxhash.h>

#include "base/mem.h"
#include "model/quant.h"

static uint64_t rows_of(const struct gguf_tensor *t)
{
    return t->ne[1] * t->ne[2] * t->ne[3];
}

static int read_i2s(struct gguf *g, uint32_t type, struct trit_error *err)
{
    const struct quant_info *q = quant_find(type);
    size_t n = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i].t;
        if (!t->quant || t->type != QUANT_I2_S)
            continue;
        uint64_t bytes;
        if (quant_tensor_bytes(q, rows_of(t), t->ne[0], &bytes) != 0)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "tensor %s: %" PRIu64 " rows of %" PRIu64 " values cannot be %s",
                             t->name, rows_of(t), t->ne[0], q->name);
        t->quant = q;
        n++;
    }
    return n ? 0 : gguf_fail(g, err, TRIT_EINVAL, "there is no I2_S to be read as %s", q->name);
}

static const struct quant_tiles *tiles_for(const struct gguf *g, size_t n,
                                           const struct gguf_tensor *t)
{
    const struct quant_tiles *any = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct quant_tiles *tiles = &g->tiles[i];
        if (tiles->rows == rows_of(t) && tiles->cols == t->ne[0])
            return tiles;
        any = tiles->rows == 0 ? tiles : any;
    }
    return any;
}

static int read_tiles(struct gguf *g, const struct gguf_reading *r, struct trit_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_tensors; i++)
        g->tensors[i].t.tiles = NULL;
    mem_free(g->tiles);
    g->tiles = mem_zalloc(r->n_tiles, sizeof *g->tiles);
    if (!g->tiles)
        return gguf_fail(g, err, TRIT_ENOMEM, "out of memory");
    memcpy(g->tiles, r->tiles, r->n_tiles * sizeof *g->tiles);
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i].t;
        if (!t->quant || (t->type != QUANT_TL1 && t->type != QUANT_TL2))
            continue;
        const struct quant_tiles *tiles = tiles_for(g, r->n_tiles, t);
        if (!tiles)
            return gguf_fail(g, err, TRIT_EINVAL,
                             "tensor %s: no tiles were given for %s of %" PRIu64 " x %" PRIu64,
                             t->name, t->quant->name, rows_of(t), t->ne[0]);
        const char *problem = quant_tiles_problem(t->quant, tiles, rows_of(t), t->ne[0]);
        if (problem)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "tensor %s: %s of %" PRIu64 " x %" PRIu64
                             " cannot have tiles of BM=%u, BK=%u, BMM=%u: %s",
                             t->name, t->quant->name, rows_of(t), t->ne[0], tiles->bm, tiles->bk,
                             tiles->band, problem);
        t->tiles = tiles;
        n++;
    }
    return n ? 0 : gguf_fail(g, err, TRIT_EINVAL, "there is no TL1 or TL2 to have tiles");
}

int gguf_read_as(struct gguf *g, const struct gguf_reading *r, struct trit_error *err)
{
    int rc = r->i2s ? read_i2s(g, r->i2s, err) : 0;
    return rc == 0 && r->n_tiles ? read_tiles(g, r, err) : rc;
}

uint64_t gguf_reading_sum(const struct gguf *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i].t;
        if (!t->quant || (!t->tiles && (t->type != QUANT_I2_S || t->quant->type == QUANT_I2_S)))
            continue;
        const uint64_t facts[] = {i, t->quant->type, t->tiles ? t->tiles->bm : 0,
                                  t->tiles ? t->tiles->bk : 0, t->tiles ? t->tiles->band : 0};
        sum = XXH3_64bits_withSeed(facts, sizeof facts, sum);
    }
    return sum;
}
