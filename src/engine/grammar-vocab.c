/* SPDX-License-Identifier: MIT */
/*
 * grammar-vocab.c - the texts of a vocabulary as a tree of bytes.
 *
 * Texts are sorted; then neighbours share their common beginning, and the nodes come out in the
 * order of a walk down the tree.  A walk may so be a loop over an array, which jumps to the end of
 * a subtree where nothing in it can follow.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar-parts.h"
#include "model/tokenizer.h"

struct text {
    const char *bytes;
    uint32_t len;
    int32_t id;
};

static int by_bytes(const void *a, const void *b)
{
    const struct text *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, MIN(x->len, y->len));
    if (order == 0 && x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return order ? order : x->id < y->id ? -1 : 1;
}

static uint32_t common(const struct text *a, const struct text *b)
{
    uint32_t n = 0;
    while (n < a->len && n < b->len && a->bytes[n] == b->bytes[n])
        n++;
    return n;
}

/* The texts that take part, sorted; *total bytes of them. */
static size_t take_texts(const struct tok *tok, uint32_t n, struct text *text, size_t *total)
{
    size_t have = 0;
    *total = 0;
    for (uint32_t id = 0; id < n; id++) {
        size_t len;
        const char *bytes = tok_piece(tok, (int32_t)id, &len);
        if (len == 0 || len > UINT16_MAX - 1 || !tok_is_text(tok, (int32_t)id))
            continue;
        text[have++] = (struct text){.bytes = bytes, .len = (uint32_t)len, .id = (int32_t)id};
        *total += len;
    }
    qsort(text, have, sizeof *text, by_bytes);
    return have;
}

static void add_texts(struct grammar_vocab *v, const struct text *text, size_t n, uint32_t *open)
{
    static const struct text none = {.bytes = ""};
    v->node[0] = (struct grammar_vocab_node){.token = -1};
    v->n_nodes = 1;
    open[0] = 0;
    uint32_t depth = 0; /* open[0..depth] is the way down to the latest node */
    for (size_t i = 0; i < n; i++) {
        /* The same text again is a second leaf beside the first. */
        uint32_t from = MIN(common(i ? &text[i - 1] : &none, &text[i]), text[i].len - 1);
        for (; depth > from; depth--)
            v->node[open[depth]].end = v->n_nodes;
        while (depth < text[i].len) {
            v->node[v->n_nodes] = (struct grammar_vocab_node){
                .token = -1, .byte = (uint8_t)text[i].bytes[depth], .depth = (uint16_t)(depth + 1)};
            open[++depth] = v->n_nodes++;
        }
        v->node[open[depth]].token = text[i].id;
        v->deepest = MAX(v->deepest, depth);
    }
    for (depth++; depth-- > 0;)
        v->node[open[depth]].end = v->n_nodes;
}

int grammar_vocab_open(const struct tok *tok, uint32_t n, struct grammar_vocab **out,
                       struct trit_error *err)
{
    *out = NULL;
    trit_assert(n <= tok_size(tok));
    size_t total = 0, have = 0;
    struct grammar_vocab *v = mem_zalloc(1, sizeof *v);
    struct text *text = mem_zalloc(n, sizeof *text);
    uint32_t *open = mem_zalloc(UINT16_MAX + 1, sizeof *open);
    if (v && text) {
        have = take_texts(tok, n, text, &total);
        v->n_tokens = n;
        v->node = mem_zalloc(total + 1, sizeof *v->node);
    }
    bool whole = v && text && open && v->node;
    if (whole) {
        add_texts(v, text, have, open);
        void *less = mem_resize(v->node, v->n_nodes, sizeof *v->node);
        v->node = less ? less : v->node;
        *out = v;
    } else {
        grammar_vocab_close(&v);
    }
    mem_free(text);
    mem_free(open);
    return whole ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory for the texts of %u tokens", n);
}

void grammar_vocab_close(struct grammar_vocab **v)
{
    if (!*v)
        return;
    mem_free((*v)->node);
    mem_free(*v);
    *v = NULL;
}

size_t grammar_vocab_bytes(const struct grammar_vocab *v)
{
    return sizeof *v + v->n_nodes * sizeof *v->node;
}
