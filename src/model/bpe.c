/* SPDX-License-Identifier: MIT */
/*
 * bpe.c - byte-level byte pair encoding (Sennrich et al., arXiv 1508.07909; bytes as in GPT-2).
 *
 * A piece starts as one symbol for each byte.  Of all neighbours that some merge joins, the pair
 * with the lowest rank is joined, the leftmost of equals, until none is left.  The order is kept by
 * a heap of (rank, position); an entry whose pair has changed meanwhile is recognised when it comes
 * up and dropped.  So a piece of n bytes costs O(n log n), also when a client sends four megabytes
 * without a space.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
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
    int32_t byte_id[256]; /* -1 only for bytes that UTF-8 never has */
};

#define NONE UINT32_MAX

/* One symbol of the piece at work; those joined to their left neighbour are gone (id NONE). */
struct symbol {
    uint32_t id, prev, next;
};

struct bpe_scratch {
    const struct bpe *b;
    const char *text;
    struct pretok_cutter *cutter;
    struct symbol *sym;
    uint64_t *heap; /* rank << 32 | position */
    size_t cap;     /* sym has room for cap, heap for 2 * cap */
    size_t n_heap;
};

/* The slot of a pair, or the empty one where it would go. */
static struct merge *merge_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    for (uint32_t at = (uint32_t)(h >> 32);; at++) {
        struct merge *m = &b->slot[at & b->mask];
        if (m->rank1 == 0 || (m->left == left && m->right == right))
            return m;
    }
}

/* The i-th line, "left right", as three ids.  joined has room for the line. */
static int read_merge(const struct gguf *g, struct bpe *b, const struct gguf_strs *lines, size_t i,
                      char *joined, struct trit_error *err)
{
    struct gguf_str s = gguf_str_at(lines, i);
    const char *space = s.len ? memchr(s.data, ' ', s.len) : NULL;
    size_t left_chars = space ? (size_t)(space - s.data) : 0;
    if (left_chars == 0 || left_chars + 1 == s.len)
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "key %s: element %zu is not two tokens with a space between", KEY, i);
    ptrdiff_t nl = vocab_unmap(s.data, left_chars, joined);
    ptrdiff_t nr = nl < 0 ? -1 : vocab_unmap(space + 1, s.len - left_chars - 1, joined + nl);
    int32_t left = nl < 0 ? -1 : vocab_find(b->vocab, joined, (size_t)nl);
    int32_t right = nr < 0 ? -1 : vocab_find(b->vocab, joined + nl, (size_t)nr);
    int32_t whole = left < 0 || right < 0 ? -1 : vocab_find(b->vocab, joined, (size_t)(nl + nr));
    if (whole < 0) {
        const char *part = left < 0 ? "left part" : right < 0 ? "right part" : "whole";
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "key %s: element %zu: the %s is not a token, expected all three to be",
                         KEY, i, part);
    }
    /* Trainers may write a pair twice; as in Hugging Face tokenizers the last one counts. */
    *merge_of(b, (uint32_t)left, (uint32_t)right) =
        (struct merge){(uint32_t)left, (uint32_t)right, (uint32_t)i + 1, (uint32_t)whole};
    return 0;
}

static int read_merges(const struct gguf *g, struct bpe *b, struct trit_error *err)
{
    struct gguf_strs lines;
    size_t longest = 0;
    int rc = gguf_strings(g, KEY, &lines, err);
    if (rc)
        return rc;
    size_t count = lines.n;
    if (count > INT32_MAX / 4)
        return gguf_fail(g, err, TRIT_EFORMAT, "key %s: found %zu elements, expected at most %d",
                         KEY, count, INT32_MAX / 4);
    for (size_t i = 0; i < count; i++)
        longest = MAX(longest, gguf_str_at(&lines, i).len);
    b->n = (uint32_t)count;
    for (b->mask = 1; b->mask < b->n + b->n / 2; b->mask = 2 * b->mask + 1)
        ;
    b->slot = mem_zalloc((size_t)b->mask + 1, sizeof *b->slot);
    char *joined = mem_zalloc(longest, 1);
    if (!b->slot || !joined)
        rc = gguf_fail(g, err, TRIT_ENOMEM, "no memory for %zu merges", count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = read_merge(g, b, &lines, i, joined, err);
    mem_free(joined);
    return rc;
}

/* 0xC0, 0xC1 and 0xF5 to 0xFF occur in no UTF-8 text; trained vocabularies may lack them. */
static int find_bytes(const struct gguf *g, struct bpe *b, struct trit_error *err)
{
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[i] = vocab_find(b->vocab, &byte, 1);
        if (b->byte_id[i] < 0 && i != 0xc0 && i != 0xc1 && i < 0xf5)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "key tokenizer.ggml.tokens: no token for byte 0x%02X, expected one "
                             "for each that UTF-8 has",
                             i);
    }
    return 0;
}

int bpe_open(const struct gguf *g, const struct vocab *v, struct bpe **out, struct trit_error *err)
{
    *out = NULL;
    struct bpe *b = mem_zalloc(1, sizeof *b);
    if (!b)
        return gguf_fail(g, err, TRIT_ENOMEM, "no memory");
    b->vocab = v;
    int rc = pretok_open(g, &b->pretok, err);
    if (rc || (rc = find_bytes(g, b, err)) || (rc = read_merges(g, b, err)))
        bpe_close(&b);
    *out = b;
    return rc;
}

void bpe_close(struct bpe **b)
{
    if (!*b)
        return;
    pretok_close(&(*b)->pretok);
    mem_free((*b)->slot);
    mem_free(*b);
    *b = NULL;
}

bool bpe_adds_bos(const struct bpe *b)
{
    return pretok_is_llama3(b->pretok);
}

const char *bpe_pre(const struct bpe *b)
{
    return pretok_name(b->pretok);
}

uint32_t bpe_n_merges(const struct bpe *b)
{
    return b->n;
}

size_t bpe_held(const struct bpe *b)
{
    return sizeof *b + pretok_held(b->pretok) + ((size_t)b->mask + 1) * sizeof *b->slot;
}

struct bpe_scratch *bpe_begin(const struct bpe *b, const char *text, size_t len)
{
    struct bpe_scratch *s = mem_zalloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->b = b;
    s->text = text;
    s->cutter = pretok_cutter_open(b->pretok, text, len);
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
    mem_free(s->sym);
    mem_free(s->heap);
    mem_free(s);
}

static bool make_room(struct bpe_scratch *s, size_t len)
{
    if (len <= s->cap)
        return true;
    size_t cap = MAX(MAX(len, 2 * s->cap), (size_t)64);
    mem_free(s->sym);
    mem_free(s->heap);
    s->cap = 0;
    s->sym = mem_resize(NULL, cap, sizeof *s->sym);
    s->heap = mem_resize(NULL, 2 * cap, sizeof *s->heap);
    if (!s->sym || !s->heap)
        return false;
    s->cap = cap;
    return true;
}

static void sift_down(struct bpe_scratch *s, size_t at)
{
    uint64_t entry = s->heap[at];
    for (size_t child; (child = 2 * at + 1) < s->n_heap; at = child) {
        if (child + 1 < s->n_heap && s->heap[child + 1] < s->heap[child])
            child++;
        if (s->heap[child] >= entry)
            break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = entry;
}

/* The entry for the symbol at `at` and its right neighbour, if a merge joins them. */
static bool entry_of(const struct bpe_scratch *s, uint32_t at, uint64_t *entry)
{
    if (at == NONE || s->sym[at].next == NONE)
        return false;
    const struct merge *m = merge_of(s->b, s->sym[at].id, s->sym[s->sym[at].next].id);
    *entry = (uint64_t)m->rank1 << 32 | at;
    return m->rank1 != 0;
}

/*
 * A join takes one entry and adds at most two, and there are fewer joins than symbols: twice the
 * symbols is room enough.
 */
static void push(struct bpe_scratch *s, uint32_t at)
{
    uint64_t entry;
    if (!entry_of(s, at, &entry))
        return;
    size_t i = s->n_heap++;
    for (size_t up; i > 0 && s->heap[up = (i - 1) / 2] > entry; i = up)
        s->heap[i] = s->heap[up];
    s->heap[i] = entry;
}

/* Join the symbol at `at` with its right neighbour. */
static void join(struct bpe_scratch *s, uint32_t at)
{
    struct symbol *left = &s->sym[at], *right = &s->sym[left->next];
    left->id = merge_of(s->b, left->id, right->id)->id;
    left->next = right->next;
    right->id = NONE;
    if (left->next != NONE)
        s->sym[left->next].prev = at;
    push(s, left->prev);
    push(s, at);
}

static void merge_piece(struct bpe_scratch *s, const char *bytes, uint32_t len)
{
    s->n_heap = 0;
    for (uint32_t i = 0; i < len; i++) {
        int32_t id = s->b->byte_id[(unsigned char)bytes[i]];
        trit_assert(id >= 0);
        s->sym[i] = (struct symbol){(uint32_t)id, i - 1, i + 1 < len ? i + 1 : NONE};
    }
    for (uint32_t i = 0; i < len; i++)
        s->n_heap += entry_of(s, i, &s->heap[s->n_heap]);
    for (size_t i = s->n_heap / 2; i-- > 0;)
        sift_down(s, i);
    while (s->n_heap > 0) {
        uint64_t top = s->heap[0], now;
        uint32_t at = (uint32_t)top;
        s->heap[0] = s->heap[--s->n_heap];
        if (s->n_heap > 0)
            sift_down(s, 0);
        if (s->sym[at].id != NONE && entry_of(s, at, &now) && now == top)
            join(s, at);
    }
}

static int encode_piece(struct bpe_scratch *s, const char *bytes, size_t len, size_t limit,
                        struct tok_ids *ids)
{
    const struct vocab *v = s->b->vocab;
    /* No piece becomes fewer tokens than this, so a hopeless one is refused before the work. */
    if ((len + v->longest - 1) / v->longest > limit - ids->n || len >= NONE)
        return -TRIT_ETOOBIG;
    int32_t id = -1;
    if (len == 1)
        id = s->b->byte_id[(unsigned char)bytes[0]];
    else if (pretok_takes_words(s->b->pretok))
        id = vocab_find(v, bytes, len);
    if (id >= 0)
        return tok_ids_add(ids, id);
    if (!make_room(s, len))
        return -TRIT_ENOMEM;
    merge_piece(s, bytes, (uint32_t)len);
    for (uint32_t i = 0; i != NONE; i = s->sym[i].next) {
        if (ids->n == limit)
            return -TRIT_ETOOBIG;
        int rc = tok_ids_add(ids, (int32_t)s->sym[i].id);
        if (rc)
            return rc;
    }
    return 0;
}

int bpe_encode(struct bpe_scratch *s, size_t from, size_t to, size_t limit, struct tok_ids *ids)
{
    size_t start, end;
    int rc;
    pretok_cutter_set(s->cutter, from, to);
    while ((rc = pretok_next(s->cutter, &start, &end)) > 0)
        if ((rc = encode_piece(s, s->text + start, end - start, limit, ids)))
            return rc;
    return rc;
}
