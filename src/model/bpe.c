/* SPDX-License-Identifier: MIT */
/*
 * bpe.c - pieces to ids by byte pair encoding, in the three forms that files have.
 *
 *   "gpt2"                a symbol is a byte; merges by rank (bytes as in GPT-2)
 *   "llama"               SentencePiece: a symbol is a character; two may be joined when what they
 *                         make is a piece, the one with the highest score first
 *   "llama", by rank      as Hugging Face's tokenizer.json has the same vocabularies: characters,
 *                         but merges by rank
 *
 * In the latter two a character that has no piece is its bytes, each a token.
 *
 * Sources: google/sentencepiece (src/bpe_model.cc), huggingface/tokenizers (models/bpe), llama.cpp
 * (llama-vocab.cpp).  A piece of kind "unused" is no piece here, where SentencePiece would make it
 * and take it apart again.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf-private.h"

static const char KEY[] = "tokenizer.ggml.merges";

/* rank1 is the rank plus one; 0 marks an empty slot. */
struct merge {
    uint32_t left, right;
    uint32_t rank1;
    uint32_t id;
};

struct bpe {
    const struct vocab *vocab;
    struct pretok *pretok;
    struct merge *slot; /* by hash of (left, right) */
    uint32_t mask;
    uint32_t n;
    bool borrowed;        /* slot and order lie in a segment */
    uint32_t *order;      /* where scores count: of each token, lower for higher scores */
    int32_t byte_id[256]; /* -1 only for bytes that UTF-8 never has */
};

/* cppcheck-suppress integerOverflow ; it is UINT32_MAX */
enum { UNKNOWN = MERGER_NONE - 1 }; /* the symbol of a character that has no piece */

struct bpe_scratch {
    const struct bpe *b;
    struct pretok_cutter *cutter;
    struct merger merger;
};

static uint32_t hash(const struct bpe *b, uint32_t left, uint32_t right)
{
    const uint32_t pair[] = {left, right};
    return (uint32_t)vocab_hash(b->vocab, pair, sizeof pair);
}

/* The slot of a pair, or the empty one where it would go. */
static struct merge *merge_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    for (uint32_t at = hash(b, left, right);; at++) {
        struct merge *m = &b->slot[at & b->mask];
        if (m->rank1 == 0 || (m->left == left && m->right == right))
            return m;
    }
}

/* A line of the merges: the two parts and what they make. */
struct line {
    struct vocab_key left, right, whole;
    int32_t id[3];
};

/* The i-th line, "left right", as keys.  joined has room for the line. */
static int read_line(const struct gguf *g, const struct bpe *b, struct gguf_str s, size_t i,
                     char *joined, struct line *l, struct trit_error *err)
{
    enum vocab_model model = b->vocab->model;
    const char *space = s.len ? memchr(s.data, ' ', s.len) : NULL;
    size_t left_chars = space ? (size_t)(space - s.data) : 0;
    if (left_chars == 0 || left_chars + 1 == s.len)
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "key %s: element %zu is not two tokens with a space between", KEY, i);
    ptrdiff_t nl = vocab_unmap(model, s.data, left_chars, joined);
    ptrdiff_t nr = nl < 0 ? -1 : vocab_unmap(model, space + 1, s.len - left_chars - 1, joined + nl);
    *l = (struct line){0};
    if (nl >= 0)
        l->left = vocab_key(b->vocab, joined, (size_t)nl);
    if (nr >= 0) {
        l->right = vocab_key(b->vocab, joined + nl, (size_t)nr);
        l->whole = vocab_key(b->vocab, joined, (size_t)(nl + nr));
    }
    return 0;
}

static int find_line(const struct gguf *g, const struct bpe *b, size_t i, struct line *l,
                     struct trit_error *err)
{
    static const char *const parts[] = {"left part", "right part", "whole"};
    const struct vocab_key *keys[] = {&l->left, &l->right, &l->whole};
    for (int k = 0; k < 3; k++) {
        l->id[k] = vocab_look(b->vocab, keys[k]);
        if (l->id[k] < 0)
            return gguf_fail(
                g, err, TRIT_EFORMAT,
                "key %s: element %zu: the %s is not a token, expected all three to be", KEY, i,
                parts[k]);
    }
    __builtin_prefetch(&b->slot[hash(b, (uint32_t)l->id[0], (uint32_t)l->id[1]) & b->mask], 1);
    return 0;
}

/* Lines that are looked up together, so that they wait for memory together. */
enum { LINES = 32 };

/* The n <= LINES lines from `first` on.  joined has room for all of them. */
static int read_lines(const struct gguf *g, struct bpe *b, const struct gguf_strs *lines,
                      size_t first, size_t n, char *joined, struct trit_error *err)
{
    struct line line[LINES];
    int rc = 0;
    for (size_t k = 0; k < n && rc == 0; k++) {
        struct gguf_str s = gguf_str_at(lines, first + k);
        rc = read_line(g, b, s, first + k, joined, &line[k], err);
        joined += s.len;
    }
    for (size_t k = 0; k < n && rc == 0; k++) {
        vocab_fetch(b->vocab, &line[k].left);
        vocab_fetch(b->vocab, &line[k].right);
        vocab_fetch(b->vocab, &line[k].whole);
    }
    for (size_t k = 0; k < n && rc == 0; k++)
        rc = find_line(g, b, first + k, &line[k], err);
    /* Trainers may write a pair twice; as in Hugging Face tokenizers the last one counts. */
    for (size_t k = 0; k < n && rc == 0; k++) {
        uint32_t left = (uint32_t)line[k].id[0], right = (uint32_t)line[k].id[1];
        *merge_of(b, left, right) =
            (struct merge){left, right, (uint32_t)(first + k) + 1, (uint32_t)line[k].id[2]};
    }
    return rc;
}

static int read_merges(const struct gguf *g, struct bpe *b, struct trit_error *err)
{
    struct gguf_strs lines;
    size_t most = 0, bytes = 0;
    int rc = gguf_strings(g, KEY, &lines, err);
    if (rc)
        return rc;
    size_t count = lines.n;
    if (count > INT32_MAX / 4)
        return gguf_fail(g, err, TRIT_EFORMAT, "key %s: found %zu elements, expected at most %d",
                         KEY, count, INT32_MAX / 4);
    for (size_t i = 0; i < count; i++) {
        bytes = (i % LINES ? bytes : 0) + gguf_str_at(&lines, i).len;
        most = MAX(most, bytes);
    }
    b->n = (uint32_t)count;
    for (b->mask = 1; b->mask < b->n + b->n / 2; b->mask = 2 * b->mask + 1)
        ;
    b->slot = mem_zalloc((size_t)b->mask + 1, sizeof *b->slot);
    char *joined = mem_zalloc(most, 1);
    if (!b->slot || !joined)
        rc = gguf_fail(g, err, TRIT_ENOMEM, "no memory for %zu merges", count);
    for (size_t i = 0; i < count && rc == 0; i += LINES)
        rc = read_lines(g, b, &lines, i, MIN(count - i, (size_t)LINES), joined, err);
    mem_free(joined);
    return rc;
}

/* Scores as numbers that sort the other way round; equal scores stay equal. */
static int read_scores(const struct gguf *g, struct bpe *b, struct trit_error *err)
{
    static const char SCORES[] = "tokenizer.ggml.scores";
    const float *score;
    size_t count;
    int rc = gguf_floats(g, SCORES, &score, &count, err);
    if (rc)
        return rc;
    if (count != b->vocab->n)
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "key %s: found %zu elements, expected %u, one for each token", SCORES,
                         count, b->vocab->n);
    b->order = mem_zalloc(count, sizeof *b->order);
    if (!b->order)
        return gguf_fail(g, err, TRIT_ENOMEM, "no memory for %zu scores", count);
    for (size_t i = 0; i < count; i++) {
        float value = score[i] + 0.0f; /* no negative zero */
        uint32_t bits;
        if (!isfinite(value))
            return gguf_fail(g, err, TRIT_EFORMAT, "key %s: element %zu is not a finite number",
                             SCORES, i);
        memcpy(&bits, &value, sizeof bits);
        b->order[i] = bits >> 31 ? bits : ~bits & 0x7fffffff;
    }
    return 0;
}

/* 0xC0, 0xC1 and 0xF5 to 0xFF occur in no UTF-8 text; trained vocabularies may lack them. */
static int find_bytes(const struct gguf *g, struct bpe *b, struct trit_error *err)
{
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[i] =
            b->vocab->model == VOCAB_LLAMA ? b->vocab->byte_id[i] : vocab_find(b->vocab, &byte, 1);
        if (b->byte_id[i] < 0 && i != 0xc0 && i != 0xc1 && i < 0xf5)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "key tokenizer.ggml.tokens: no token for byte 0x%02X, expected one "
                             "for each that UTF-8 has",
                             i);
    }
    return 0;
}

static void take_tables(struct bpe *b, const struct bpe_tables *t)
{
    b->borrowed = true;
    b->slot = t->slot;
    b->order = t->order;
    b->mask = t->mask;
    b->n = t->n;
    memcpy(b->byte_id, t->byte_id, sizeof b->byte_id);
}

void bpe_tables(const struct bpe *b, struct bpe_tables *t)
{
    t->slot = b->slot;
    t->slot_bytes = b->slot ? ((uint64_t)b->mask + 1) * sizeof *b->slot : 0;
    t->order = b->order;
    t->mask = b->mask;
    t->n = b->n;
    memcpy(t->byte_id, b->byte_id, sizeof t->byte_id);
}

int bpe_open(const struct gguf *g, const struct vocab *v, const struct bpe_tables *made,
             struct bpe **out, struct trit_error *err)
{
    *out = NULL;
    struct bpe *b = mem_zalloc(1, sizeof *b);
    if (!b)
        return gguf_fail(g, err, TRIT_ENOMEM, "no memory");
    b->vocab = v;
    bool by_rank = v->model == VOCAB_GPT2;
    int rc = pretok_open(g, v, &b->pretok, err);
    if (made)
        take_tables(b, made);
    else if (rc == 0 && !by_rank && gguf_has(g, VOCAB_BY_RANK))
        rc = gguf_bool(g, VOCAB_BY_RANK, &by_rank, err);
    if (rc == 0 && !made)
        rc = find_bytes(g, b, err);
    if (rc == 0 && !made)
        rc = by_rank ? read_merges(g, b, err) : read_scores(g, b, err);
    if (rc)
        bpe_close(&b);
    *out = b;
    return rc;
}

void bpe_close(struct bpe **b)
{
    if (!*b)
        return;
    pretok_close(&(*b)->pretok);
    if (!(*b)->borrowed) {
        mem_free((*b)->slot);
        mem_free((*b)->order);
    }
    mem_free(*b);
    *b = NULL;
}

const struct pretok *bpe_pretok(const struct bpe *b)
{
    return b->pretok;
}

uint32_t bpe_n_merges(const struct bpe *b)
{
    return b->n;
}

size_t bpe_held(const struct bpe *b)
{
    if (b->borrowed)
        return sizeof *b + pretok_held(b->pretok);
    return sizeof *b + pretok_held(b->pretok) +
           (b->slot ? ((size_t)b->mask + 1) * sizeof *b->slot : 0) +
           (b->order ? b->vocab->n * sizeof *b->order : 0);
}

/* ------------------------------------------------------------------ encoding */

static bool pair_by_rank(const struct merger *m, uint32_t at, uint32_t *rank, uint32_t *id)
{
    const struct merge *found = merge_of(m->model, m->sym[at].id, m->sym[m->sym[at].next].id);
    *rank = found->rank1;
    *id = found->id;
    return found->rank1 != 0;
}

/* Where the symbol's bytes end. */
static uint32_t end_of(const struct merger *m, uint32_t at)
{
    uint32_t next = m->sym[at].next;
    return next == MERGER_NONE ? m->len : m->sym[next].start;
}

static bool pair_by_score(const struct merger *m, uint32_t at, uint32_t *rank, uint32_t *id)
{
    const struct bpe *b = m->model;
    uint32_t start = m->sym[at].start, len = end_of(m, m->sym[at].next) - start;
    int32_t found = len <= b->vocab->longest ? vocab_find(b->vocab, m->text + start, len) : -1;
    if (found < 0)
        return false;
    *id = (uint32_t)found;
    *rank = b->order[found];
    return true;
}

struct bpe_scratch *bpe_begin(const struct bpe *b)
{
    struct bpe_scratch *s = mem_zalloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->b = b;
    s->merger = (struct merger){.model = b, .pair = b->order ? pair_by_score : pair_by_rank};
    s->cutter = pretok_cutter_open(b->pretok);
    if (s->cutter)
        return s;
    bpe_end(s);
    return NULL;
}

void bpe_end(struct bpe_scratch *s)
{
    if (!s)
        return;
    pretok_cutter_close(s->cutter);
    merger_free(&s->merger);
    mem_free(s);
}

static uint32_t byte_symbol(const struct bpe *b, char byte)
{
    int32_t id = b->byte_id[(unsigned char)byte];
    trit_assert(id >= 0);
    return (uint32_t)id;
}

/* The symbols that a piece begins as; how many. */
static uint32_t split_to_bytes(struct bpe_scratch *s, const char *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        s->merger.sym[i] = (struct merger_symbol){.id = byte_symbol(s->b, bytes[i]), .start = i};
    return len;
}

static uint32_t split_to_characters(struct bpe_scratch *s, const char *bytes, uint32_t len)
{
    struct merger_symbol *sym = s->merger.sym;
    uint32_t n = 0, cp;
    for (uint32_t i = 0, step; i < len; i += step) {
        step = utf8_decode(bytes + i, len - i, &cp);
        int32_t id = vocab_find(s->b->vocab, bytes + i, step);
        if (id >= 0 || s->b->order) {
            sym[n++] = (struct merger_symbol){.id = id < 0 ? UNKNOWN : (uint32_t)id, .start = i};
            continue;
        }
        for (uint32_t k = 0; k < step; k++)
            sym[n++] =
                (struct merger_symbol){.id = byte_symbol(s->b, bytes[i + k]), .start = i + k};
    }
    return n;
}

static int add_within(struct tok_ids *ids, uint32_t id, size_t limit)
{
    return ids->n < limit ? tok_ids_add(ids, (int32_t)id) : -TRIT_ETOOBIG;
}

static int encode_piece(struct bpe_scratch *s, const char *bytes, size_t len, size_t limit,
                        struct tok_ids *ids)
{
    const struct vocab *v = s->b->vocab;
    struct merger *m = &s->merger;
    /* No piece becomes fewer tokens than this, so a hopeless one is refused before the work. */
    if ((len + v->longest - 1) / v->longest > limit - ids->n || len >= UNKNOWN)
        return -TRIT_ETOOBIG;
    int32_t id = -1;
    if (len == 1 && v->model == VOCAB_GPT2)
        id = s->b->byte_id[(unsigned char)bytes[0]];
    else if (pretok_takes_words(s->b->pretok))
        id = vocab_find(v, bytes, len);
    if (id >= 0)
        return tok_ids_add(ids, id);
    if (!merger_reserve(m, len))
        return -TRIT_ENOMEM;
    m->text = bytes;
    m->len = (uint32_t)len;
    merger_run(m, v->model == VOCAB_GPT2 ? split_to_bytes(s, bytes, m->len)
                                         : split_to_characters(s, bytes, m->len));
    int rc = 0;
    for (uint32_t i = 0; i != MERGER_NONE && rc == 0; i = m->sym[i].next) {
        if (m->sym[i].id != UNKNOWN)
            rc = add_within(ids, m->sym[i].id, limit);
        else
            for (uint32_t at = m->sym[i].start; at < end_of(m, i) && rc == 0; at++)
                rc = add_within(ids, byte_symbol(s->b, bytes[at]), limit);
    }
    return rc;
}

int bpe_encode(struct bpe_scratch *s, const char *text, size_t len, size_t limit,
               struct tok_ids *ids)
{
    size_t start, end;
    int rc;
    pretok_cutter_set(s->cutter, text, len);
    while ((rc = pretok_next(s->cutter, &start, &end)) > 0)
        if ((rc = encode_piece(s, text + start, end - start, limit, ids)))
            return rc;
    return rc;
}
