/* SPDX-License-Identifier: MIT */
/*
 * grammar-build.c - the tree of a grammar to an automaton over bytes.
 *
 * First every rule becomes a network with empty steps (Thompson, "Regular expression search
 * algorithm", 1968), repetitions written out, characters as the ranges of bytes that UTF-8 makes of
 * them.  Then the empty steps are taken out: a state of the result has the edges and calls of all
 * that its network state reaches without a byte.  Alternatives that begin with literals share what
 * their beginnings have in common, so that a choice of a thousand words is one way to go until they
 * differ.
 *
 * What is written out is bounded by the limits on states and edges, and so is the time: every piece
 * of work makes a state or counts as one.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/grammar-parts.h"

/* One way on in the network: without a byte, with one, or through a rule. */
struct way {
    enum { WAY_EMPTY, WAY_BYTE, WAY_RULE } kind;
    uint8_t lo, hi;
    uint32_t rule, to;
    uint32_t next; /* of the same state; 0: none */
};

struct build {
    struct grammar_tree *t;
    struct grammar *g;
    uint32_t place; /* of what is being written out, for errors */
    uint32_t work, max_work;

    struct way *way; /* the 0th is none */
    uint32_t n_ways, cap_ways;
    uint32_t *first; /* [states]: ways of a state of the network; the 0th is none */
    uint32_t n, cap;

    uint32_t *final_of; /* [states]: 1: a rule's network ends there */
    uint32_t *name;     /* [states]: its number in the automaton + 1, 0: none yet */
    uint32_t *origin;   /* [states of the automaton]: in the network */
    uint32_t *stack;
    uint32_t *seen; /* [states]: the latest closure that met it */
};

static int too_big(const struct build *b)
{
    return grammar_fail(b->t, TRIT_ETOOBIG, b->place,
                        "the grammar is too large: with its repetitions written out it has more "
                        "than %u states or %u edges",
                        b->t->limits->states, b->t->limits->edges);
}

/* A new state of the network; 0: too many. */
static uint32_t new_state(struct build *b)
{
    return b->n < b->cap && b->work++ < b->max_work ? b->n++ : 0;
}

static bool add_way(struct build *b, uint32_t from, struct way w)
{
    if (b->n_ways == b->cap_ways || b->work++ >= b->max_work)
        return false;
    w.next = b->first[from];
    b->way[b->n_ways] = w;
    b->first[from] = b->n_ways++;
    return true;
}

static bool add_empty(struct build *b, uint32_t from, uint32_t to)
{
    return add_way(b, from, (struct way){.kind = WAY_EMPTY, .to = to});
}

static bool add_bytes(struct build *b, uint32_t from, uint8_t lo, uint8_t hi, uint32_t to)
{
    return add_way(b, from, (struct way){.kind = WAY_BYTE, .lo = lo, .hi = hi, .to = to});
}

/* ------------------------------------------------------------------ characters as bytes */

/* States of one class that lead to its end: bytes that go on alike are one state. */
struct tails {
    struct {
        uint8_t lo, hi;
        uint32_t to, state;
    } known[32];
    uint32_t n, end;
};

static uint32_t tail_state(struct build *b, struct tails *tails, uint8_t lo, uint8_t hi,
                           uint32_t to)
{
    uint32_t n = MIN(tails->n, (uint32_t)ARRAY_LEN(tails->known));
    for (uint32_t i = 0; i < n; i++)
        if (tails->known[i].lo == lo && tails->known[i].hi == hi && tails->known[i].to == to)
            return tails->known[i].state;
    uint32_t state = new_state(b);
    if (!state || !add_bytes(b, state, lo, hi, to))
        return 0;
    uint32_t i = tails->n++ % ARRAY_LEN(tails->known);
    tails->known[i].lo = lo;
    tails->known[i].hi = hi;
    tails->known[i].to = to;
    tails->known[i].state = state;
    return state;
}

/*
 * Sequences of len bytes from lo to hi, where all but the leading bytes that both have in common
 * run over all that may follow: cut until that is so.
 */
static bool add_sequences(struct build *b, struct tails *tails, uint32_t from, uint32_t lo,
                          uint32_t hi)
{
    static const uint32_t last_of[] = {0x7f, 0x7ff, 0xffff, 0x10ffff};
    for (size_t i = 0; i < 3; i++)
        if (lo <= last_of[i] && hi > last_of[i])
            return add_sequences(b, tails, from, lo, last_of[i]) &&
                   add_sequences(b, tails, from, last_of[i] + 1, hi);
    if (hi > 0x7f)
        for (unsigned bits = 6; bits <= 18; bits += 6) {
            uint32_t m = (1u << bits) - 1;
            if ((lo & ~m) == (hi & ~m))
                break;
            if (lo & m)
                return add_sequences(b, tails, from, lo, lo | m) &&
                       add_sequences(b, tails, from, (lo | m) + 1, hi);
            if ((hi & m) != m)
                return add_sequences(b, tails, from, lo, (hi & ~m) - 1) &&
                       add_sequences(b, tails, from, hi & ~m, hi);
        }
    char first[4], last[4];
    unsigned n = utf8_encode(first, lo);
    trit_assert(utf8_encode(last, hi) == n);
    uint32_t to = tails->end;
    for (unsigned i = n - 1; i > 0 && to; i--)
        to = tail_state(b, tails, (uint8_t)first[i], (uint8_t)last[i], to);
    return to && add_bytes(b, from, (uint8_t)first[0], (uint8_t)last[0], to);
}

static uint32_t build_class(struct build *b, const struct grammar_node *n, uint32_t from)
{
    struct tails tails = {.end = new_state(b)};
    if (!tails.end)
        return 0;
    for (uint32_t i = 0; i < n->n; i++) {
        const uint32_t *range = &b->t->cp[n->at + 2 * i];
        if (!add_sequences(b, &tails, from, range[0], range[1]))
            return 0;
    }
    return tails.end;
}

/* With `shared`, a byte that leads on from here already is gone along with. */
static uint32_t build_byte(struct build *b, uint32_t from, uint8_t byte, bool shared)
{
    for (uint32_t w = shared ? b->first[from] : 0; w; w = b->way[w].next)
        if (b->way[w].kind == WAY_BYTE && b->way[w].lo == byte && b->way[w].hi == byte)
            return b->way[w].to;
    uint32_t to = new_state(b);
    return to && add_bytes(b, from, byte, byte, to) ? to : 0;
}

static uint32_t build_literal(struct build *b, const struct grammar_node *n, uint32_t from,
                              bool shared)
{
    for (uint32_t i = 0; i < n->n && from; i++) {
        char bytes[4];
        unsigned len = utf8_encode(bytes, b->t->cp[n->at + i]);
        for (unsigned k = 0; k < len && from; k++)
            from = build_byte(b, from, (uint8_t)bytes[k], shared);
    }
    return from;
}

/* ------------------------------------------------------------------ nodes */

/*
 * Everything that is built goes on from the state `from`, which may have ways already, and returns
 * the state where it ends, 0 when something is too large.  A state that is returned has no way back
 * into what was built, so that more can be put behind it, and beside it by others.
 */
static uint32_t build_node(struct build *b, uint32_t node, uint32_t from);

static uint32_t build_repeat(struct build *b, const struct grammar_node *n, uint32_t from)
{
    for (uint32_t i = 0; i < n->min && from; i++)
        from = b->work++ < b->max_work ? build_node(b, n->child, from) : 0;
    uint32_t end = from ? new_state(b) : 0;
    if (!end)
        return 0;
    if (n->max == GRAMMAR_ENDLESS) {
        uint32_t again = new_state(b);
        uint32_t last = again && add_empty(b, from, again) ? build_node(b, n->child, again) : 0;
        return last && add_empty(b, last, again) && add_empty(b, again, end) ? end : 0;
    }
    for (uint32_t i = n->min; i < n->max; i++) {
        uint32_t once = new_state(b);
        if (!once || !add_empty(b, from, end) || !add_empty(b, from, once))
            return 0;
        from = build_node(b, n->child, once);
        if (!from)
            return 0;
    }
    return add_empty(b, from, end) ? end : 0;
}

static uint32_t build_sequence(struct build *b, uint32_t child, uint32_t from)
{
    for (; child && from; child = b->t->node[child].next)
        from = build_node(b, child, from);
    return from;
}

/* The tree of common beginnings hangs from a state that nothing else leads on from. */
static uint32_t build_alternatives(struct build *b, const struct grammar_node *n, uint32_t from)
{
    const struct grammar_tree *t = b->t;
    uint32_t first = n->child;
    if (!t->node[first].next)
        return build_sequence(b, t->node[first].child, from);
    uint32_t words = new_state(b), end = new_state(b);
    if (!words || !end || !add_empty(b, from, words))
        return 0;
    for (uint32_t seq = first; seq; seq = t->node[seq].next) {
        uint32_t child = t->node[seq].child, at;
        b->place = t->node[seq].place;
        if (child && t->node[child].kind == GRAMMAR_LITERAL) {
            at = build_literal(b, &t->node[child], words, true);
            child = t->node[child].next;
        } else {
            at = new_state(b);
            if (at && !add_empty(b, from, at))
                at = 0;
        }
        /* What goes on behind a shared beginning must not share its first bytes by accident. */
        uint32_t own = at && child ? new_state(b) : at;
        if (own && own != at && !add_empty(b, at, own))
            own = 0;
        own = build_sequence(b, child, own);
        if (!own || !add_empty(b, own, end))
            return 0;
    }
    return end;
}

static uint32_t build_node(struct build *b, uint32_t node, uint32_t from)
{
    const struct grammar_node *n = &b->t->node[node];
    uint32_t to;
    switch (n->kind) {
    case GRAMMAR_EMPTY:
        return from;
    case GRAMMAR_LITERAL:
        return build_literal(b, n, from, false);
    case GRAMMAR_CLASS:
        return build_class(b, n, from);
    case GRAMMAR_REF:
        to = new_state(b);
        return to && add_way(b, from, (struct way){.kind = WAY_RULE, .rule = n->at, .to = to}) ? to
                                                                                               : 0;
    case GRAMMAR_REPEAT:
        b->place = n->place;
        return build_repeat(b, n, from);
    case GRAMMAR_SEQ:
        return build_sequence(b, n->child, from);
    case GRAMMAR_ALT:
        return build_alternatives(b, n, from);
    }
    trit_unreachable("a kind of node");
}

/* ------------------------------------------------------------------ without empty steps */

/* The state of the automaton for a state of the network. */
static uint32_t name_of(struct build *b, uint32_t state)
{
    if (!b->name[state]) {
        b->origin[b->g->n_states++] = state;
        b->name[state] = b->g->n_states;
    }
    return b->name[state] - 1;
}

static int add_edge(struct build *b, struct grammar_at *at, const struct way *w)
{
    struct grammar *g = b->g;
    if (g->n_edges + g->n_calls == b->t->limits->edges)
        return too_big(b);
    if (w->kind == WAY_BYTE) {
        uint32_t to = name_of(b, w->to);
        for (uint32_t i = at->edge; i < g->n_edges && i < at->edge + 8; i++)
            if (g->edge[i].lo == w->lo && g->edge[i].hi == w->hi && g->edge[i].to == to)
                return 0;
        g->edge[g->n_edges++] = (struct grammar_edge){.lo = w->lo, .hi = w->hi, .to = to};
        at->n_edges++;
    } else {
        g->call[g->n_calls++] = (struct grammar_call){
            .start = name_of(b, b->t->rule[w->rule].start), .back = name_of(b, w->to)};
        at->n_calls++;
    }
    return 0;
}

/* All that a state reaches without a byte gives its edges to it. */
static int close_state(struct build *b, uint32_t which)
{
    struct grammar *g = b->g;
    struct grammar_at *at = &g->state[which];
    uint32_t n = 0;
    *at = (struct grammar_at){.edge = g->n_edges, .call = g->n_calls};
    b->stack[n++] = b->origin[which];
    b->seen[b->origin[which]] = which + 1;
    while (n) {
        uint32_t state = b->stack[--n];
        at->final = at->final || b->final_of[state];
        for (uint32_t w = b->first[state]; w; w = b->way[w].next) {
            const struct way *way = &b->way[w];
            if (b->work++ >= 4 * (uint64_t)b->max_work)
                return too_big(b);
            if (way->kind != WAY_EMPTY) {
                int rc = add_edge(b, at, way);
                if (rc)
                    return rc;
            } else if (b->seen[way->to] != which + 1) {
                b->seen[way->to] = which + 1;
                b->stack[n++] = way->to;
            }
        }
    }
    return 0;
}

/* A call behind which nothing but the end can come leaves nothing on the stack. */
static void find_tails(struct grammar *g)
{
    for (uint32_t i = 0; i < g->n_calls; i++) {
        const struct grammar_at *back = &g->state[g->call[i].back];
        if (back->final && back->n_edges == 0 && back->n_calls == 0)
            g->call[i].back = GRAMMAR_TAIL;
    }
}

/* Two bytes are of one class when every edge has both or none. */
static void find_classes(struct grammar *g)
{
    bool begins[257] = {true};
    for (uint32_t i = 0; i < g->n_edges; i++)
        begins[g->edge[i].lo] = begins[g->edge[i].hi + 1] = true;
    for (unsigned byte = 0; byte < 256; byte++) {
        g->n_classes += begins[byte];
        g->class_of[byte] = (uint8_t)(g->n_classes - 1);
        if (begins[byte])
            g->byte_of[g->n_classes - 1] = (uint8_t)byte;
    }
}

static int build_rules(struct build *b)
{
    struct grammar_tree *t = b->t;
    for (uint32_t r = 0; r < t->n_rules; r++) {
        struct grammar_rule *rule = &t->rule[r];
        if (!rule->used)
            continue;
        b->place = rule->place;
        rule->start = new_state(b);
        uint32_t end = rule->start ? build_node(b, rule->body, rule->start) : 0;
        if (!end)
            return too_big(b);
        b->final_of[end] = 1;
    }
    b->place = t->rule[t->root].place;
    b->g->start = name_of(b, t->rule[t->root].start);
    for (uint32_t i = 0; i < b->g->n_states; i++) {
        int rc = close_state(b, i);
        if (rc)
            return rc;
    }
    find_tails(b->g);
    find_classes(b->g);
    return 0;
}

/* Give back what is not needed of an array; where that fails it is larger than need be. */
static void *trim(void *array, uint32_t n, size_t size)
{
    void *less = mem_resize(array, MAX(n, 1), size);
    return less ? less : array;
}

int grammar_build(struct grammar_tree *t, struct grammar *g)
{
    size_t states = t->limits->states, edges = t->limits->edges;
    struct build b = {.t = t,
                      .g = g,
                      .max_work = 4 * (uint32_t)(states + edges),
                      .n_ways = 1,
                      .cap_ways = (uint32_t)edges,
                      .n = 1,
                      .cap = (uint32_t)states,
                      .way = mem_zalloc(edges, sizeof *b.way),
                      .first = mem_zalloc(states, sizeof *b.first),
                      .final_of = mem_zalloc(states, sizeof *b.final_of),
                      .name = mem_zalloc(states, sizeof *b.name),
                      .origin = mem_zalloc(states, sizeof *b.origin),
                      .stack = mem_zalloc(states, sizeof *b.stack),
                      .seen = mem_zalloc(states, sizeof *b.seen)};
    g->state = mem_zalloc(states, sizeof *g->state);
    g->edge = mem_zalloc(edges, sizeof *g->edge);
    g->call = mem_zalloc(edges, sizeof *g->call);
    int rc;
    if (b.way && b.first && b.final_of && b.name && b.origin && b.stack && b.seen && g->state &&
        g->edge && g->call)
        rc = build_rules(&b);
    else
        rc = trit_fail(t->err, TRIT_ENOMEM, "no memory for a grammar of %zu bytes", t->len);
    if (rc == 0) {
        g->state = trim(g->state, g->n_states, sizeof *g->state);
        g->edge = trim(g->edge, g->n_edges, sizeof *g->edge);
        g->call = trim(g->call, g->n_calls, sizeof *g->call);
    }
    mem_free(b.way);
    mem_free(b.first);
    mem_free(b.final_of);
    mem_free(b.name);
    mem_free(b.origin);
    mem_free(b.stack);
    mem_free(b.seen);
    return rc;
}
