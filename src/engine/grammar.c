/* SPDX-License-Identifier: MIT */
/*
 * grammar.c - compiled grammars, and where an answer stands in one.
 *
 * A state keeps the stacks that can still be right.  Cells that none of them needs any more are
 * swept out when half of the room is used, so an answer may be of any length.
 */
#include "config.h"
#include "engine/grammar.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar-parts.h"

const struct grammar_limits grammar_limits = {
    .text_bytes = 256 << 10, .rules = 4096, .states = 64 << 10, .edges = 256 << 10, .nesting = 64};

enum {
    STATE_CELLS = 16384, /* of one answer: stacks and all that is below them */
    STATE_MET = 8192,    /* of one byte */
};

/* ------------------------------------------------------------------ grammars */

int grammar_fail(const struct grammar_tree *t, int code, size_t place, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t line = 1, column = 1;
    for (size_t i = 0; i < place && i < t->len; i++) {
        bool begins = ((unsigned char)t->text[i] & 0xc0) != 0x80; /* columns count characters */
        column = t->text[i] == '\n' ? 1 : column + begins;
        line += t->text[i] == '\n';
    }
    return trit_fail(t->err, code, "line %zu, column %zu: %s", line, column, text);
}

/* A grammar of which no answer could begin had better be refused now. */
static int check_beginning(const struct grammar_tree *t, struct grammar *g)
{
    struct grammar_state *st = grammar_state_new(g);
    if (!st)
        return trit_fail(t->err, TRIT_ENOMEM, "no memory for a grammar");
    bool begins = st->n_tops || st->may_end;
    grammar_state_free(st);
    return begins ? 0
                  : grammar_fail(t, TRIT_ETOOBIG, t->rule[t->root].place,
                                 "rule root begins in more than %d ways", STATE_MET);
}

int grammar_compile(const char *text, size_t len, const struct grammar_limits *limits,
                    struct grammar **out, struct trit_error *err)
{
    static atomic_ullong last_id;
    *out = NULL;
    struct grammar *g = mem_zalloc(1, sizeof *g);
    if (!g)
        return trit_fail(err, TRIT_ENOMEM, "no memory for a grammar");
    g->refs = 1;
    g->id = atomic_fetch_add(&last_id, 1) + 1;
    struct grammar_tree t = {
        .text = text, .len = len, .limits = limits ? limits : &grammar_limits, .err = err};
    int rc = grammar_parse(&t);
    if (rc == 0)
        rc = grammar_check(&t);
    if (rc == 0)
        rc = grammar_build(&t, g);
    if (rc == 0)
        rc = check_beginning(&t, g);
    grammar_tree_free(&t);
    if (rc)
        grammar_unref(g);
    else
        *out = g;
    return rc;
}

struct grammar *grammar_ref(struct grammar *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void grammar_unref(struct grammar *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    mem_free(g->state);
    mem_free(g->edge);
    mem_free(g->call);
    mem_free(g);
}

size_t grammar_bytes(const struct grammar *g)
{
    return sizeof *g + g->n_states * sizeof *g->state + g->n_edges * sizeof *g->edge +
           g->n_calls * sizeof *g->call;
}

/* ------------------------------------------------------------------ states */

static void keep_tops(struct grammar_state *st)
{
    memcpy(st->top, st->stacks.top, st->stacks.n_tops * sizeof *st->top);
    st->n_tops = st->stacks.n_tops;
    st->may_end = st->stacks.grounded;
}

struct grammar_state *grammar_state_new(struct grammar *g)
{
    struct grammar_state *st = mem_zalloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->top = mem_zalloc(STATE_MET, sizeof *st->top);
    st->moved = mem_zalloc(STATE_CELLS, sizeof *st->moved);
    if (!grammar_stacks_init(&st->stacks, STATE_CELLS, STATE_MET) || !st->top || !st->moved) {
        grammar_state_free(st);
        return NULL;
    }
    if (g)
        st->g = grammar_ref(g);
    grammar_stacks_clear(&st->stacks, g);
    grammar_stacks_begin(&st->stacks);
    if (g && grammar_stacks_add(&st->stacks, g->start, 0))
        keep_tops(st); /* else nothing can follow: a grammar that begins in too many ways */
    return st;
}

void grammar_state_free(struct grammar_state *st)
{
    if (!st)
        return;
    grammar_unref(st->g);
    grammar_stacks_fini(&st->stacks);
    mem_free(st->top);
    mem_free(st->moved);
    mem_free(st);
}

void grammar_state_copy(struct grammar_state *to, const struct grammar_state *from)
{
    struct grammar_stacks *s = &to->stacks;
    struct grammar *before = to->g;
    to->g = grammar_ref(from->g);
    grammar_unref(before);
    grammar_stacks_clear(s, from->g);
    /* Made in the same order they get the same numbers. */
    for (uint32_t i = 1; i < from->stacks.n_cells; i++)
        trit_assert(
            grammar_stacks_cell(s, from->stacks.cell[i].state, from->stacks.cell[i].below) == i);
    memcpy(to->top, from->top, from->n_tops * sizeof *to->top);
    to->n_tops = from->n_tops;
    to->may_end = from->may_end;
    to->marker = from->marker;
    to->met = from->met;
}

/* Forget the cells that no stack needs.  What is below a cell was made before it. */
static void sweep(struct grammar_state *st)
{
    struct grammar_stacks *s = &st->stacks;
    uint32_t n = s->n_cells, *moved = st->moved;
    memset(moved, 0, n * sizeof *moved);
    for (uint32_t i = 0; i < st->n_tops; i++)
        moved[st->top[i]] = 1;
    for (uint32_t i = n; i-- > 1;)
        if (moved[i])
            moved[s->cell[i].below] = 1;
    moved[0] = 0;
    grammar_stacks_clear(s, st->g);
    for (uint32_t i = 1; i < n; i++)
        if (moved[i])
            moved[i] = grammar_stacks_cell(s, s->cell[i].state, moved[s->cell[i].below]);
    for (uint32_t i = 0; i < st->n_tops; i++)
        st->top[i] = moved[st->top[i]];
}

/* One byte further; the new tops stand in st->stacks. */
static int step(struct grammar_stacks *s, const uint32_t *top, uint32_t n, uint8_t byte)
{
    grammar_stacks_begin(s);
    for (uint32_t i = 0; i < n; i++)
        if (!grammar_stacks_step(s, top[i], byte))
            return -TRIT_ETOOBIG;
    return s->n_tops || s->grounded ? 0 : -TRIT_EINVAL;
}

static int follow(struct grammar_state *st, const char *bytes, size_t len)
{
    struct grammar_stacks *s = &st->stacks;
    uint32_t n = st->n_tops;
    if (s->n_cells > s->cap_cells / 2)
        sweep(st);
    if (len == 0)
        return 0;
    /* st->top stays until all bytes are read; between them the tops are in scratch. */
    uint32_t *now = st->moved;
    memcpy(now, st->top, n * sizeof *now);
    for (size_t i = 0; i < len; i++) {
        int rc = step(s, now, n, (uint8_t)bytes[i]);
        if (rc)
            return rc;
        n = s->n_tops;
        memcpy(now, s->top, n * sizeof *now);
    }
    keep_tops(st);
    return 0;
}

void grammar_state_wait(struct grammar_state *st, const char *marker)
{
    trit_assert(*marker);
    st->marker = marker;
    st->met = 0;
}

bool grammar_waits(const struct grammar_state *st)
{
    return st->marker;
}

/* One byte more; whether the text ends with the marker now.  Markers are short, so where they match
 * less than before is simply tried. */
static bool meets(struct grammar_state *st, char byte)
{
    const char *m = st->marker;
    size_t n = st->met;
    while (m[n] != byte && n > 0) {
        size_t shorter = n - 1;
        while (shorter > 0 && memcmp(m, m + n - shorter, shorter) != 0)
            shorter--;
        n = shorter;
    }
    st->met = n + (m[n] == byte);
    if (m[st->met])
        return false;
    st->met = 0;
    return true;
}

int grammar_accept(struct grammar_state *st, const char *bytes, size_t len)
{
    if (!st->marker)
        return follow(st, bytes, len);
    for (size_t i = 0; i < len; i++)
        if (meets(st, bytes[i]) && follow(st, bytes + i + 1, len - i - 1) == 0) {
            st->marker = NULL;
            break;
        }
    return 0;
}

bool grammar_may_end(const struct grammar_state *st)
{
    return st->marker || st->may_end;
}

bool grammar_may_go_on(const struct grammar_state *st)
{
    return st->marker || st->n_tops > 0;
}
