/* SPDX-License-Identifier: MIT */
/*
 * regex-out.c - writing a pattern as grammar text.
 *
 * What is repeated becomes a rule of its own, so that writing the repeat out costs one state for
 * each time; so do sets that take many states, once each.
 */
#include "config.h"
#include "server/regex-parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "server/gbnf.h"

struct writer {
    struct regex *r;
    const struct regex_want *want;
    struct buf *rules;
    unsigned n_rules;
    struct {
        uint32_t node; /* a set that has its rule */
        unsigned rule;
    } set[64];
    unsigned n_sets;
};

static void write_node(struct writer *w, uint32_t node, struct buf *out);

static unsigned open_rule(struct writer *w, struct buf *text)
{
    unsigned n = w->n_rules++;
    *text = (struct buf){0};
    buf_addf(text, "%s%u ::= ", w->want->prefix, n);
    return n;
}

static void close_rule(struct writer *w, struct buf *text)
{
    buf_addc(text, '\n');
    buf_add(w->rules, text->data, text->len);
    w->rules->failed |= text->failed;
    buf_free(text);
}

/* ------------------------------------------------------------------ sets */

static bool needs_escape(const struct writer *w, uint32_t cp)
{
    return w->want->into == REGEX_STRING && (cp < 0x20 || cp == '"' || cp == '\\');
}

static bool has(const struct regex *r, const struct regex_node *n, uint32_t cp)
{
    for (uint32_t i = 0; i < n->n; i++)
        if (cp >= r->range[n->range + i].lo && cp <= r->range[n->range + i].hi)
            return true;
    return false;
}

/* The ranges without what must be escaped; false when nothing is left. */
static bool write_raw(const struct writer *w, const struct regex_node *n, struct buf *out)
{
    size_t start = out->len;
    buf_addc(out, '[');
    for (uint32_t i = 0; i < n->n; i++) {
        struct regex_range v = w->r->range[n->range + i];
        while (v.lo <= v.hi) {
            uint32_t hi = v.lo;
            /* Up to the next that is escaped; there are none beyond the backslash. */
            while (hi <= v.hi && hi <= '\\' && !needs_escape(w, hi))
                hi++;
            hi = hi > '\\' ? v.hi + 1 : hi;
            if (hi > v.lo)
                gbnf_class_range(out, v.lo, hi - 1);
            v.lo = hi + 1;
        }
    }
    if (!out->failed && out->len == start + 1) {
        out->len = start;
        return false;
    }
    buf_addc(out, ']');
    return true;
}

/* Those that are written \n and the like, then those that are written \u00xx. */
static void write_escaped(const struct writer *w, const struct regex_node *n, bool first,
                          struct buf *out)
{
    char shorts[16], text[8], hex[2][17] = {{0}};
    size_t n_shorts = 0, n_hex[2] = {0};
    for (uint32_t cp = 1; cp <= '\\'; cp++) {
        if (!needs_escape(w, cp) || !has(w->r, n, cp))
            continue;
        if (gbnf_json_char(text, cp) == 2)
            shorts[n_shorts++] = text[1];
        else
            hex[cp >> 4][n_hex[cp >> 4]++] = text[5];
    }
    if (n_shorts) {
        buf_adds(out, first ? "\"\\\\\" [" : " | \"\\\\\" [");
        first = false;
        for (size_t i = 0; i < n_shorts; i++)
            gbnf_class_char(out, (unsigned char)shorts[i]);
        buf_addc(out, ']');
    }
    for (unsigned k = 0; k < 2; k++)
        if (n_hex[k]) {
            buf_addf(out, "%s\"\\\\u00%u\" [%s]", first ? "" : " | ", k, hex[k]);
            first = false;
        }
}

static void write_whole_set(const struct writer *w, const struct regex_node *n, struct buf *out)
{
    bool some = write_raw(w, n, out);
    if (w->want->into == REGEX_STRING)
        write_escaped(w, n, !some, out);
}

static bool is_simple(const struct writer *w, const struct regex_node *n)
{
    for (uint32_t i = 0; i < n->n; i++) {
        struct regex_range v = w->r->range[n->range + i];
        if (v.hi >= 0x80)
            return false;
        for (uint32_t cp = v.lo; cp <= v.hi; cp++)
            if (needs_escape(w, cp))
                return false;
    }
    return true;
}

static bool same_set(const struct regex *r, const struct regex_node *a, const struct regex_node *b)
{
    return a->n == b->n &&
           memcmp(r->range + a->range, r->range + b->range, a->n * sizeof *r->range) == 0;
}

static void write_set(struct writer *w, uint32_t node, struct buf *out)
{
    const struct regex *r = w->r;
    const struct regex_node *n = &r->node[node];
    if (is_simple(w, n)) {
        write_whole_set(w, n, out);
        return;
    }
    for (unsigned i = 0; i < w->n_sets; i++)
        if (same_set(r, n, &r->node[w->set[i].node])) {
            buf_addf(out, "%s%u", w->want->prefix, w->set[i].rule);
            return;
        }
    struct buf text;
    unsigned rule = open_rule(w, &text);
    write_whole_set(w, n, &text);
    close_rule(w, &text);
    buf_addf(out, "%s%u", w->want->prefix, rule);
    if (w->n_sets < ARRAY_LEN(w->set)) {
        w->set[w->n_sets].node = node;
        w->set[w->n_sets++].rule = rule;
    }
}

/* ------------------------------------------------------------------ nodes */

static bool is_char(const struct regex *r, const struct regex_node *n)
{
    return n->kind == REGEX_SET && n->n == 1 && r->range[n->range].lo == r->range[n->range].hi;
}

static void write_char(const struct writer *w, const struct regex_node *n, struct buf *out)
{
    char text[8];
    uint32_t cp = w->r->range[n->range].lo;
    char utf8[4];
    size_t len;
    if (w->want->into == REGEX_STRING) {
        len = gbnf_json_char(text, cp);
        gbnf_bytes(out, text, len);
    } else {
        len = utf8_encode(utf8, cp);
        gbnf_bytes(out, utf8, len);
    }
}

/* The children of a sequence; characters side by side are one literal. */
static void write_sequence(struct writer *w, uint32_t node, struct buf *out)
{
    const struct regex *r = w->r;
    bool first = true, literal = false;
    for (uint32_t at = r->node[node].child; at; at = r->node[at].next) {
        bool ch = is_char(r, &r->node[at]);
        if (literal && !ch)
            buf_addc(out, '"');
        if (!first && !(literal && ch))
            buf_addc(out, ' ');
        if (ch && !literal)
            buf_addc(out, '"');
        if (ch)
            write_char(w, &r->node[at], out);
        else
            write_node(w, at, out);
        literal = ch;
        first = false;
    }
    if (literal)
        buf_addc(out, '"');
}

static void write_choice(struct writer *w, uint32_t node, struct buf *out)
{
    const struct regex *r = w->r;
    uint32_t first = r->node[node].child;
    for (uint32_t at = first; at; at = r->node[at].next) {
        if (at != first)
            buf_adds(out, " | ");
        write_sequence(w, at, out);
    }
}

/* What a group holds that groups only one element. */
static uint32_t unwrap(const struct regex *r, uint32_t node)
{
    for (;;) {
        const struct regex_node *n = &r->node[node];
        if ((n->kind != REGEX_CHOICE && n->kind != REGEX_SEQUENCE) || !n->child ||
            r->node[n->child].next)
            return node;
        node = n->child;
    }
}

/* "x** " is x*: repeats without end of what may be empty are not wanted by grammars. */
static uint32_t strip(const struct regex *r, uint32_t node)
{
    for (;;) {
        node = unwrap(r, node);
        const struct regex_node *n = &r->node[node];
        if (n->kind != REGEX_REPEATED || n->least > 1 || n->most != REGEX_ENDLESS)
            return node;
        node = n->child;
    }
}

static void write_repeated(struct writer *w, uint32_t of, uint64_t least, uint64_t most,
                           struct buf *out)
{
    const struct regex *r = w->r;
    struct buf text;
    if (most == 0 || r->node[of].longest == 0)
        return;
    if (most == REGEX_ENDLESS && r->node[of].shortest == 0) {
        of = strip(r, of);
        least = 0;
    }
    if (r->node[of].kind == REGEX_SET) {
        write_set(w, of, out);
    } else if (most == 1) {
        buf_addc(out, '(');
        write_node(w, of, out);
        buf_addc(out, ')');
    } else {
        unsigned rule = open_rule(w, &text);
        write_node(w, of, &text);
        close_rule(w, &text);
        buf_addf(out, "%s%u", w->want->prefix, rule);
    }
    gbnf_repeat(out, least, most);
}

static void write_node(struct writer *w, uint32_t node, struct buf *out)
{
    const struct regex_node *n = &w->r->node[node];
    switch (n->kind) {
    case REGEX_SET:
        write_set(w, node, out);
        break;
    case REGEX_REPEATED:
        write_repeated(w, n->child, n->least, n->most, out);
        break;
    case REGEX_SEQUENCE:
        write_sequence(w, node, out);
        break;
    case REGEX_CHOICE:
        buf_addc(out, '(');
        write_choice(w, node, out);
        buf_addc(out, ')');
        break;
    }
}

/* ------------------------------------------------------------------ lengths of the whole */

static int refuse_length(const struct writer *w, const struct regex_node *n)
{
    if (n->longest == REGEX_ENDLESS)
        return trit_fail(w->r->err, TRIT_EUNSUPP,
                         "the pattern matches %" PRIu64 " characters and more, and is too "
                         "complicated to be bounded from outside: write the bounds into it",
                         n->shortest);
    return trit_fail(w->r->err, TRIT_EUNSUPP,
                     "the pattern matches %" PRIu64 " to %" PRIu64 " characters, and is too "
                     "complicated to be bounded from outside: write the bounds into it",
                     n->shortest, n->longest);
}

/* The only element whose length varies, if it is a repeated character; else 0. */
static uint32_t find_varying(const struct regex *r, uint32_t sequence)
{
    uint32_t varying = 0, only = unwrap(r, sequence);
    if (r->node[only].kind == REGEX_SEQUENCE)
        sequence = only;
    for (uint32_t at = r->node[sequence].child; at; at = r->node[at].next) {
        if (r->node[at].shortest == r->node[at].longest)
            continue;
        if (varying)
            return 0;
        varying = unwrap(r, at);
    }
    if (!varying || r->node[varying].kind != REGEX_REPEATED)
        return 0;
    return r->node[unwrap(r, r->node[varying].child)].kind == REGEX_SET ? varying : 0;
}

/* An alternative that is the whole text.  1: it has no text of the wanted length. */
static int write_anchored(struct writer *w, uint32_t sequence, struct buf *out)
{
    struct regex *r = w->r;
    const struct regex_want *want = w->want;
    const struct regex_node *n = &r->node[sequence];
    if (n->longest < want->min || n->shortest > want->max)
        return 1;
    if (n->shortest < want->min || n->longest > want->max) {
        uint32_t varying = find_varying(r, sequence);
        if (!varying)
            return refuse_length(w, n);
        struct regex_node *v = &r->node[varying];
        uint64_t fixed = n->shortest - v->least;
        v->least = MAX(v->least, want->min > fixed ? want->min - fixed : 0);
        if (want->max != REGEX_ENDLESS)
            v->most = MIN(v->most, want->max - fixed);
    }
    write_sequence(w, sequence, out);
    return 0;
}

/* An alternative with anything before or behind it. */
static int write_loose(struct writer *w, uint32_t sequence, uint32_t any, struct buf *out)
{
    const struct regex_want *want = w->want;
    const struct regex_node *n = &w->r->node[sequence];
    uint64_t need = want->min > n->shortest ? want->min - n->shortest : 0;
    uint64_t room = REGEX_ENDLESS, before = REGEX_ENDLESS, behind = REGEX_ENDLESS;
    if (n->shortest > want->max)
        return 1;
    if (want->max != REGEX_ENDLESS) {
        if (n->longest > want->max || need > want->max - n->longest)
            return refuse_length(w, n);
        room = want->max - n->longest;
        behind = n->begins ? room : MAX(need, room - room / 2);
        before = n->ends ? room : room - behind;
    }
    if (!n->begins) {
        write_repeated(w, any, n->ends ? need : 0, before, out);
        buf_addc(out, ' ');
    }
    write_sequence(w, sequence, out);
    if (!n->ends) {
        buf_addc(out, ' ');
        write_repeated(w, any, need, behind, out);
    }
    return 0;
}

int regex_write(struct regex *r, uint32_t top, const struct regex_want *want, struct buf *rules,
                struct buf *expr)
{
    struct writer w = {.r = r, .want = want, .rules = rules};
    uint32_t any;
    uint32_t from = r->n_ranges;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(regex_all) && rc == 0; i++)
        rc = regex_add_range(r, regex_all[i].lo, regex_all[i].hi);
    if (rc == 0)
        rc = regex_set(r, from, false, &any);
    if (rc)
        return rc;
    bool some = false;
    buf_addc(expr, '(');
    for (uint32_t at = r->node[top].child; at; at = r->node[at].next) {
        const struct regex_node *n = &r->node[at];
        bool loose = want->search && !(n->begins && n->ends);
        struct buf one = {0};
        rc = loose ? write_loose(&w, at, any, &one) : write_anchored(&w, at, &one);
        if (rc == 0) {
            if (some)
                buf_adds(expr, " | ");
            if (one.len)
                buf_add(expr, one.data, one.len);
            some = true;
        }
        expr->failed |= one.failed;
        buf_free(&one);
        if (rc < 0)
            return rc;
    }
    buf_addc(expr, ')');
    return some ? 0
                : trit_fail(r->err, TRIT_EINVAL,
                            "no text that the pattern matches has the wanted "
                            "length");
}
