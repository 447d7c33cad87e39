/* SPDX-License-Identifier: MIT */
/*
 * grammar-make.h - random grammars, and a matcher that shares nothing with the engine's.
 *
 * The matcher works on code points and by definition: which positions of the text can a thing that
 * begins here end at?  A set of positions is a word of bits, so texts have at most 30 characters.
 */
#ifndef TRIT_GRAMMAR_MAKE_H
#define TRIT_GRAMMAR_MAKE_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "unit/unit.h"

enum { MAKE_NODES = 400, MAKE_RULES = 5, MAKE_TEXT = 30, MAKE_LETTERS = 6 };

/* ASCII and every length of UTF-8, with common beginnings. */
static const uint32_t make_letter[MAKE_LETTERS] = {'a', 'b', 0xe9, 0xea, 0x20ac, 0x1f600};

struct make_node {
    enum { MAKE_CHARS, MAKE_ANY_OF, MAKE_RULE, MAKE_SEQ, MAKE_ALT, MAKE_TIMES } kind;
    unsigned set;       /* MAKE_ANY_OF: bit i for letter i */
    unsigned n, kid[3]; /* MAKE_CHARS: n letters */
    unsigned min, max;  /* MAKE_TIMES; max 99: without end */
};

struct make {
    uint64_t *seed;
    struct make_node node[MAKE_NODES];
    unsigned n;
    unsigned rule[MAKE_RULES];
    struct buf text; /* GBNF */

    /* Of the text at hand, number `match`: what make_ends has found already. */
    unsigned match, known[MAKE_NODES][MAKE_TEXT + 2];
    uint32_t ends[MAKE_NODES][MAKE_TEXT + 2];
};

static inline unsigned make_pick(struct make *m, unsigned n)
{
    return (unsigned)(unit_random(m->seed) >> 33) % n;
}

static inline void make_put(struct buf *out, uint32_t cp)
{
    char bytes[4];
    buf_add(out, bytes, utf8_encode(bytes, cp));
}

/* A thing of rule r; `read` says that a character came before it for sure, so that any rule may
 * follow without being left-recursive. */
static inline unsigned make_thing(struct make *m, unsigned r, unsigned depth, bool read)
{
    unsigned id = m->n++;
    struct make_node *node = &m->node[id];
    unsigned what = make_pick(m, depth < 4 && m->n < MAKE_NODES - 40 ? 12 : 4);
    *node = (struct make_node){.kind = MAKE_CHARS};
    if (what < 2) {
        node->n = make_pick(m, 3) + (what == 0);
        buf_addc(&m->text, '"');
        for (unsigned i = 0; i < node->n; i++)
            make_put(&m->text, make_letter[node->kid[i] = make_pick(m, MAKE_LETTERS)]);
        buf_addc(&m->text, '"');
    } else if (what < 4) {
        node->kind = MAKE_ANY_OF;
        node->set = 1 + make_pick(m, (1 << MAKE_LETTERS) - 2);
        bool negated = make_pick(m, 2);
        buf_adds(&m->text, negated ? "[^" : "[");
        for (unsigned i = 0; i < MAKE_LETTERS; i++)
            if ((node->set >> i & 1) != negated)
                make_put(&m->text, make_letter[i]);
        buf_addc(&m->text, ']');
    } else if (what < 6 && (read || r + 1 < MAKE_RULES)) {
        node->kind = MAKE_RULE;
        node->n = read ? make_pick(m, MAKE_RULES) : r + 1 + make_pick(m, MAKE_RULES - r - 1);
        buf_addf(&m->text, "%s%u", node->n ? "r-" : "root", node->n);
        if (node->n == 0)
            m->text.len--, m->text.data[m->text.len] = '\0'; /* "root" */
    } else if (what < 8) {
        static const struct {
            const char *text;
            unsigned min, max;
        } times[] = {{"*", 0, 99},  {"+", 1, 99},    {"?", 0, 1},     {"{2}", 2, 2},
                     {"{0}", 0, 0}, {"{1,}", 1, 99}, {"{1,3}", 1, 3}, {"{0,2}", 0, 2}};
        unsigned t = make_pick(m, sizeof times / sizeof times[0]);
        node->kind = MAKE_TIMES;
        node->min = times[t].min;
        node->max = times[t].max;
        buf_addc(&m->text, '(');
        node->kid[0] = make_thing(m, r, depth + 1, read);
        buf_addf(&m->text, ")%s", times[t].text);
    } else {
        node->kind = what < 10 ? MAKE_SEQ : MAKE_ALT;
        node->n = 2 + make_pick(m, 2);
        buf_addc(&m->text, '(');
        for (unsigned i = 0; i < node->n; i++) {
            if (i)
                buf_adds(&m->text, node->kind == MAKE_SEQ ? " " : " | ");
            node->kid[i] = make_thing(m, r, depth + 1, read);
            const struct make_node *kid = &m->node[node->kid[i]];
            if (node->kind == MAKE_SEQ)
                read = read || (kid->kind == MAKE_CHARS && kid->n) || kid->kind == MAKE_ANY_OF;
        }
        buf_addc(&m->text, ')');
    }
    return id;
}

/* Every rule has an alternative that ends at once, so that each has a finite text. */
static inline void make_grammar(struct make *m, uint64_t *seed)
{
    buf_reset(&m->text);
    m->n = 0;
    m->seed = seed;
    for (unsigned r = 0; r < MAKE_RULES; r++) {
        unsigned id = m->n++, word = m->n++;
        buf_addf(&m->text, r ? "r-%u ::= " : "root ::= ", r);
        m->node[word] = (struct make_node){.kind = MAKE_CHARS, .n = 1, .kid = {r % 2}};
        m->node[id] = (struct make_node){.kind = MAKE_ALT, .n = 2};
        m->node[id].kid[0] = make_thing(m, r, 0, false);
        m->node[id].kid[1] = word;
        buf_addf(&m->text, " | \"%c\"\n", (int)make_letter[r % 2]);
        m->rule[r] = id;
    }
}

/* Where `node` can end when it begins at `at`, as bits; looked for once, since repetitions of
 * repetitions would ask for the same again and again. */
static inline uint32_t make_ends(struct make *m, unsigned id, const uint8_t *text, unsigned len,
                                 unsigned at);

static inline uint32_t make_ends_all(struct make *m, unsigned id, const uint8_t *text,
                                     unsigned len, uint32_t from)
{
    uint32_t ends = 0;
    for (unsigned at = 0; at <= len; at++)
        if (from >> at & 1)
            ends |= make_ends(m, id, text, len, at);
    return ends;
}

static inline uint32_t make_find_ends(struct make *m, unsigned id, const uint8_t *text,
                                      unsigned len, unsigned at)
{
    const struct make_node *n = &m->node[id];
    uint32_t ends = 0, now = (uint32_t)1 << at;
    switch (n->kind) {
    case MAKE_CHARS:
        for (unsigned i = 0; i < n->n; i++)
            if (at + i >= len || text[at + i] != n->kid[i])
                return 0;
        return now << n->n;
    case MAKE_ANY_OF:
        return at < len && (n->set >> text[at] & 1) ? now << 1 : 0;
    case MAKE_RULE:
        return make_ends(m, m->rule[n->n], text, len, at);
    case MAKE_SEQ:
        for (unsigned i = 0; i < n->n && now; i++)
            now = make_ends_all(m, n->kid[i], text, len, now);
        return now;
    case MAKE_ALT:
        for (unsigned i = 0; i < n->n; i++)
            ends |= make_ends(m, n->kid[i], text, len, at);
        return ends;
    case MAKE_TIMES:
        for (unsigned i = 0; i < n->min && now; i++)
            now = make_ends_all(m, n->kid[0], text, len, now);
        ends = now;
        for (unsigned i = n->min; i < n->max && now; i++) {
            now = make_ends_all(m, n->kid[0], text, len, now) & ~ends;
            ends |= now;
        }
        return ends;
    }
    return 0;
}

static inline uint32_t make_ends(struct make *m, unsigned id, const uint8_t *text, unsigned len,
                                 unsigned at)
{
    if (m->known[id][at] != m->match) {
        m->ends[id][at] = make_find_ends(m, id, text, len, at);
        m->known[id][at] = m->match;
    }
    return m->ends[id][at];
}

static inline bool make_matches(struct make *m, const uint8_t *text, unsigned len)
{
    m->match++;
    return make_ends(m, m->rule[0], text, len, 0) >> len & 1;
}

/* A text of the grammar, if it comes out short enough; letters by number. */
static inline bool make_text(struct make *m, unsigned id, uint8_t *text, unsigned *len,
                             unsigned depth)
{
    const struct make_node *n = &m->node[id];
    unsigned times;
    if (depth > 40 || *len > MAKE_TEXT - 4)
        return false;
    switch (n->kind) {
    case MAKE_CHARS:
        for (unsigned i = 0; i < n->n; i++)
            text[(*len)++] = (uint8_t)n->kid[i];
        return true;
    case MAKE_ANY_OF:
        do
            text[*len] = (uint8_t)make_pick(m, MAKE_LETTERS);
        while (!(n->set >> text[*len] & 1));
        ++*len;
        return true;
    case MAKE_RULE:
        return make_text(m, m->rule[n->n], text, len, depth + 1);
    case MAKE_ALT:
        return make_text(m, n->kid[make_pick(m, n->n)], text, len, depth + 1);
    case MAKE_SEQ:
        for (unsigned i = 0; i < n->n; i++)
            if (!make_text(m, n->kid[i], text, len, depth + 1))
                return false;
        return true;
    case MAKE_TIMES:
        times = n->min + make_pick(m, n->max == 99 ? 3 : n->max - n->min + 1);
        for (unsigned i = 0; i < times; i++)
            if (!make_text(m, n->kid[0], text, len, depth + 1))
                return false;
        return true;
    }
    return false;
}

#endif
