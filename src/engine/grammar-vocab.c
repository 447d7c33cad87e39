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
#include "model/tokenizer.h"
#include "engine/grammar-parts.h"

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
    v->node[0] = (struct grammar_vocab_node){0};
    v->n_nodes = 1;
    open[0] = 0;
    uint32_t depth = 0; /* open[0..depth] is the way down to the latest node */
    for (size_t i = 0; i < n; i++) {
        /* The same text again is a second leaf beside the first. */
        uint32_t from = MIN(common(i ? &text[i - 1] : &none, &text[i]), text[i].len - 1);
        for (; depth > from; depth--)
            v->node[open[depth]].end = v->n_nodes;
        while (depth < text[i].len) {
            v->node[v->n_nodes] = (struct grammar_vocab_node){.first = (uint32_t)i,
                                                              .byte = (uint8_t)text[i].bytes[depth],
                                                              .depth = (uint16_t)(depth + 1)};
            open[++depth] = v->n_nodes++;
        }
        v->text[i] = text[i].id;
        v->deepest = MAX(v->deepest, depth);
    }
    for (uint32_t i = 0; i <= depth; i++)
        v->node[open[i]].end = v->n_nodes;
    v->n_texts = (uint32_t)n;
    v->node[v->n_nodes] = (struct grammar_vocab_node){.end = v->n_nodes, .first = v->n_texts};
}

/* ------------------------------------------------------------------ what is below a node */

uint16_t grammar_kind_of(uint8_t c)
{
    static const char *const groups[] = {" ", "\t\n\r", "\"", "\\", "{}[]", ":,", "-._", "/@+%"};
    if (c >= 'a' && c <= 'z')
        return GRAMMAR_LETTERS;
    if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return c >= 'A' ? 2 : 4;
    if (c < 0x20 && !(c && strchr(groups[1], c)))
        return 1 << 12;
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
        if (strchr(groups[i], c))
            return (uint16_t)(8u << i);
    return 1 << 11; /* other punctuation, and DEL */
}

/* Which bytes may come next in UTF-8: n more, the first of them from lo to hi. */
struct within {
    uint8_t n, lo, hi;
};

static bool follow_utf8(struct within *w, uint8_t byte)
{
    if (w->n) {
        bool good = byte >= w->lo && byte <= w->hi;
        *w = (struct within){.n = (uint8_t)(w->n - 1), .lo = 0x80, .hi = 0xbf};
        return good;
    }
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    *w = (struct within){.n = byte < 0xe0   ? 1
                              : byte < 0xf0 ? 2
                                            : 3,
                         .lo = byte == 0xe0   ? 0xa0
                               : byte == 0xf0 ? 0x90
                                              : 0x80,
                         .hi = byte == 0xed   ? 0x9f
                               : byte == 0xf4 ? 0x8f
                                              : 0xbf};
    return true;
}

/* Kinds and heights, from the leaves up; a node's own character is for the one above it. */
static void look_below(struct grammar_vocab *v, struct within *way, uint32_t *open)
{
    uint16_t *kind = (uint16_t *)(open + v->deepest + 1); /* [depth] */
    way[0] = (struct within){0};
    open[0] = 0;
    for (uint32_t i = 1, depth = 0; i <= v->n_nodes; i++) {
        const struct grammar_vocab_node *n = &v->node[i];
        uint32_t up = i == v->n_nodes ? 0 : n->depth - 1u;
        for (; depth > up; depth--) { /* Those that are closed tell the one above. */
            struct grammar_vocab_node *of = &v->node[open[depth]],
                                      *above = &v->node[open[depth - 1]];
            above->below |= of->below | kind[depth];
            above->height = MAX(above->height, (uint8_t)MIN(of->height + 1, 255));
            if (way[depth].n)
                of->below = UINT16_MAX;
        }
        if (i == v->n_nodes)
            break;
        struct within at = way[up];
        bool ascii = n->byte < 0x80 && at.n == 0;
        bool good = ascii || (!(n->byte < 0x80) && follow_utf8(&at, n->byte));
        if (!good)
            at = (struct within){0};
        depth = n->depth;
        open[depth] = i;
        way[depth] = at;
        kind[depth] = ascii ? grammar_kind_of(n->byte) : good ? GRAMMAR_BEYOND : GRAMMAR_BROKEN;
    }
}

int grammar_vocab_open(const struct tok *tok, uint32_t n, struct grammar_vocab **out,
                       struct trit_error *err)
{
    *out = NULL;
    trit_assert(n <= tok_size(tok));
    size_t total = 0, have = 0;
    struct grammar_vocab *v = mem_zalloc(1, sizeof *v);
    struct text *text = mem_zalloc(n, sizeof *text);
    /* A way down the tree: nodes, and behind them their kinds; and how UTF-8 goes on there. */
    uint32_t *open = mem_zalloc(2 * (UINT16_MAX + 1), sizeof *open);
    struct within *way = mem_zalloc(UINT16_MAX + 1, sizeof *way);
    if (v && text) {
        have = take_texts(tok, n, text, &total);
        v->n_tokens = n;
        v->node = mem_zalloc(total + 2, sizeof *v->node);
        v->text = mem_zalloc(have, sizeof *v->text);
    }
    bool whole = v && text && open && way && v->node && v->text;
    if (whole) {
        add_texts(v, text, have, open);
        look_below(v, way, open);
        void *less = mem_resize(v->node, v->n_nodes + 1, sizeof *v->node);
        v->node = less ? less : v->node;
        *out = v;
    } else {
        grammar_vocab_close(&v);
    }
    mem_free(text);
    mem_free(open);
    mem_free(way);
    return whole ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory for the texts of %u tokens", n);
}

void grammar_vocab_close(struct grammar_vocab **v)
{
    if (!*v)
        return;
    mem_free((*v)->node);
    mem_free((*v)->text);
    mem_free(*v);
    *v = NULL;
}

size_t grammar_vocab_bytes(const struct grammar_vocab *v)
{
    return sizeof *v + v->n_nodes * sizeof *v->node + v->n_texts * sizeof *v->text;
}
