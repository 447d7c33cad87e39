/* SPDX-License-Identifier: MIT */
/*
 * tokenizer-tables.c - what a tokenizer looks up, as bytes that lie in a segment.
 *
 * Of a published vocabulary the pieces and merges take a tenth of a second to be checked and put
 * into tables by their hashes, and 11 MiB.  Who packs the weights writes these tables behind them;
 * who attaches uses them where they are.  They hold offsets and ids, no addresses.  Rules that take
 * no time (special tokens, pre-tokenizer, normal form) are read from the metadata each time.
 *
 * The layout of the structures below is part of the segment's format: change one, and
 * SEGMENT_VERSION in segment-file.h must go up.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <string.h>

#include "base/base.h"
#include "model/gguf-private.h"

enum part { PIECES, STARTS, KINDS, SLOTS, MERGES, ORDER, PARTS };

/* At offset 0; each part begins at a multiple of 64. */
struct tables {
    uint64_t head_bytes; /* of this structure */
    uint64_t bytes;      /* of all */
    uint64_t made_from;  /* sum of the metadata */
    uint64_t at[PARTS], len[PARTS];
    struct vocab vocab; /* these two without their pointers */
    struct bpe_tables bpe;
};

/* ------------------------------------------------------------------ what they are made from */

static uint64_t add(uint64_t sum, const void *bytes, size_t len)
{
    return XXH3_64bits_withSeed(bytes, len, sum);
}

/* All that vocab_read and bpe_open look at for the sake of tables.  A key that is missing counts as
 * none; one of the wrong type was refused when they were made. */
static uint64_t sum_of(const struct gguf *g, enum vocab_model model)
{
    static const char *const strings[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"};
    static const char *const ids[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"};
    uint64_t sum = (uint64_t)model + 1;
    struct gguf_strs s;
    const int32_t *types;
    const float *scores;
    uint64_t id;
    size_t n;
    bool by_rank = false;
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        if (gguf_has(g, strings[i]) && gguf_strings(g, strings[i], &s, NULL) == 0 && s.n) {
            sum = add(sum + i, s.ends, s.n * sizeof *s.ends);
            sum = add(sum, s.bytes, s.ends[s.n - 1]);
        }
    if (gguf_has(g, "tokenizer.ggml.token_type") &&
        gguf_ints(g, "tokenizer.ggml.token_type", &types, &n, NULL) == 0)
        sum = add(sum, types, n * sizeof *types);
    if (gguf_has(g, "tokenizer.ggml.scores") &&
        gguf_floats(g, "tokenizer.ggml.scores", &scores, &n, NULL) == 0)
        sum = add(sum, scores, n * sizeof *scores);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        id = UINT64_MAX;
        if (gguf_has(g, ids[i]))
            (void)gguf_uint(g, ids[i], &id, NULL);
        sum = add(sum, &id, sizeof id);
    }
    if (gguf_has(g, VOCAB_BY_RANK))
        (void)gguf_bool(g, VOCAB_BY_RANK, &by_rank, NULL);
    return add(sum, &by_rank, sizeof by_rank);
}

/* ------------------------------------------------------------------ writing */

/* Sizes and places for this vocabulary and these merges; the parts themselves to part[]. */
static void arrange(const struct vocab *v, const struct bpe *b, struct tables *t,
                    const void *part[PARTS])
{
    memset(t, 0, sizeof *t); /* padding too: these bytes are summed up */
    t->head_bytes = t->bytes = sizeof *t;
    t->vocab = *v;
    bpe_tables(b, &t->bpe);
    const void *const parts[PARTS] = {v->bytes, v->start,    v->kind,
                                      v->slot,  t->bpe.slot, t->bpe.order};
    const size_t len[PARTS] = {v->start[v->n],
                               (v->n + (size_t)1) * sizeof *v->start,
                               v->n,
                               ((size_t)v->mask + 1) * sizeof *v->slot,
                               t->bpe.slot ? t->bpe.slot_bytes : 0,
                               t->bpe.order ? v->n * sizeof *t->bpe.order : 0};
    for (size_t i = 0; i < PARTS; i++) {
        t->at[i] = round_up(t->bytes, 64);
        t->len[i] = len[i];
        t->bytes = t->at[i] + len[i];
        part[i] = parts[i];
    }
    t->vocab.bytes = NULL;
    t->vocab.start = t->vocab.slot = t->bpe.order = NULL;
    t->vocab.kind = NULL;
    t->bpe.slot = NULL;
}

size_t tables_bytes(const struct vocab *v, const struct bpe *b)
{
    struct tables t;
    const void *part[PARTS];
    arrange(v, b, &t, part);
    return t.bytes;
}

void tables_write(const struct gguf *g, const struct vocab *v, const struct bpe *b, void *dst)
{
    struct tables t;
    const void *part[PARTS];
    arrange(v, b, &t, part);
    t.vocab.borrowed = true;
    t.made_from = sum_of(g, v->model);
    memcpy(dst, &t, sizeof t);
    for (size_t i = 0; i < PARTS; i++)
        if (t.len[i])
            memcpy((uint8_t *)dst + t.at[i], part[i], t.len[i]);
}

/* ------------------------------------------------------------------ using */

static const void *at(const struct tables *t, enum part i)
{
    return t->len[i] ? (const uint8_t *)t + t->at[i] : NULL;
}

static bool is_mask(uint32_t mask)
{
    return mask && (mask & (mask + 1)) == 0;
}

/*
 * The checksums of the segment have seen every byte, and the daemon wrote them, not a reader of
 * files: what is left to be told is whether they are tables of this program, and of this
 * vocabulary.
 */
const struct tables *tables_fit(const struct gguf *g, enum vocab_model model, uint32_t rows,
                                const void *bytes, size_t len)
{
    const struct tables *t = bytes;
    if (len < sizeof *t || t->head_bytes != sizeof *t || t->bytes != len)
        return NULL;
    const struct vocab *v = &t->vocab;
    for (size_t i = 0; i < PARTS; i++)
        if (t->at[i] > len || t->len[i] > len - t->at[i] || t->at[i] % 64)
            return NULL;
    bool fits = v->model == model && v->n >= 1 && v->n <= rows && is_mask(v->mask) &&
                t->len[STARTS] == (v->n + (uint64_t)1) * sizeof *v->start &&
                t->len[KINDS] == v->n &&
                t->len[SLOTS] == ((uint64_t)v->mask + 1) * sizeof *v->slot &&
                t->len[MERGES] == t->bpe.slot_bytes &&
                (t->len[ORDER] == 0 || t->len[ORDER] == v->n * sizeof *t->bpe.order);
    return fits && t->made_from == sum_of(g, model) ? t : NULL;
}

/* The mapping is for reading; nobody writes to a vocabulary that is borrowed. */
static void *borrow(const void *p)
{
    union {
        const void *in;
        void *out;
    } u = {p};
    return u.out;
}

void tables_vocab(const struct tables *t, struct vocab *v)
{
    *v = t->vocab;
    v->bytes = borrow(at(t, PIECES));
    v->start = borrow(at(t, STARTS));
    v->kind = borrow(at(t, KINDS));
    v->slot = borrow(at(t, SLOTS));
}

void tables_bpe(const struct tables *t, struct bpe_tables *b)
{
    *b = t->bpe;
    b->slot = borrow(at(t, MERGES));
    b->order = borrow(at(t, ORDER));
}
