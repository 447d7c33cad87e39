/* SPDX-License-Identifier: MIT */
/*
 * grammar-parse.c - GBNF text to a tree.
 *
 * Recursive descent, as deep as groups are nested, which is limited.  Every node of the tree stands
 * for at least one byte of the text, so the text's length bounds its memory, which is taken at
 * once.
 *
 * Not here: sets of characters (grammar-ranges.c); whether the rules make sense together
 * (grammar-check.c).
 */
#include "config.h"

#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "base/base.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/grammar-parts.h"

enum { BUCKETS = 1024 };

struct parser {
    struct grammar_tree *t;
    size_t at;
    uint32_t depth;
    uint8_t secret[XXH3_SECRET_SIZE_MIN];
};

static int bad(const struct parser *p, size_t place, const char *expected)
{
    const struct grammar_tree *t = p->t;
    if (place >= t->len)
        return grammar_fail(t, TRIT_EINVAL, place, "found the end, expected %s", expected);
    uint32_t cp;
    unsigned n = utf8_decode(t->text + place, t->len - place, &cp);
    if (cp < ' ' || cp == 0x7f)
        return grammar_fail(t, TRIT_EINVAL, place,
                            "found the control character 0x%02x, expected %s", cp, expected);
    return grammar_fail(t, TRIT_EINVAL, place, "found '%.*s', expected %s", (int)n, t->text + place,
                        expected);
}

static char look(const struct parser *p)
{
    return p->at < p->t->len ? p->t->text[p->at] : '\0';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void skip_space(struct parser *p)
{
    while (p->at < p->t->len) {
        char c = look(p);
        if (c == '#')
            while (p->at < p->t->len && look(p) != '\n')
                p->at++;
        else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            p->at++;
        else
            return;
    }
}

/* Behind a name: "::=" follows, so that it is a rule's beginning and not a reference. */
static bool defines(struct parser *p)
{
    size_t before = p->at;
    skip_space(p);
    bool yes = p->t->len - p->at >= 3 && memcmp(p->t->text + p->at, "::=", 3) == 0;
    p->at = before;
    return yes;
}

static size_t name_end(const struct parser *p)
{
    size_t end = p->at;
    while (end < p->t->len && is_name(p->t->text[end]))
        end++;
    return end;
}

static uint32_t new_node(struct parser *p, enum grammar_kind kind, size_t place)
{
    struct grammar_tree *t = p->t;
    trit_assert(t->n_nodes < t->cap_nodes);
    t->node[t->n_nodes] = (struct grammar_node){.kind = kind, .place = (uint32_t)place};
    return t->n_nodes++;
}

/* ------------------------------------------------------------------ characters */

static int read_hex(struct parser *p, unsigned digits, uint32_t *cp)
{
    size_t place = p->at - 2;
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++, p->at++) {
        int digit = hex_digit(look(p));
        if (digit < 0)
            return bad(p, p->at, "a hexadecimal digit");
        value = value << 4 | (uint32_t)digit;
    }
    if (value > GRAMMAR_LAST_CP || (value >= GRAMMAR_SURROGATE && value <= GRAMMAR_SURROGATE_END))
        return grammar_fail(p->t, TRIT_EINVAL, place,
                            "found U+%04X, expected a code point that is a character", value);
    *cp = value;
    return 0;
}

/* One character of a literal or class, at p->at, which is not its end. */
static int read_char(struct parser *p, uint32_t *cp)
{
    const struct grammar_tree *t = p->t;
    if (p->at >= t->len)
        return bad(p, p->at, "the closing quote or bracket");
    if (look(p) != '\\') {
        p->at += utf8_decode(t->text + p->at, t->len - p->at, cp);
        return 0;
    }
    p->at += 2;
    char c = p->at - 1 < t->len ? t->text[p->at - 1] : '\0';
    switch (c) {
    case 'n':
        *cp = '\n';
        return 0;
    case 't':
        *cp = '\t';
        return 0;
    case 'r':
        *cp = '\r';
        return 0;
    case 'x':
        return read_hex(p, 2, cp);
    case 'u':
        return read_hex(p, 4, cp);
    case 'U':
        return read_hex(p, 8, cp);
    default:
        break;
    }
    if (c == '\0' || !strchr("\"'\\[]-^/", c))
        return bad(p, p->at - 1, "one of n t r \" ' \\ [ ] - ^ / x u U behind the backslash");
    *cp = (unsigned char)c;
    return 0;
}

static int read_literal(struct parser *p, uint32_t *node)
{
    struct grammar_tree *t = p->t;
    *node = new_node(p, GRAMMAR_EMPTY, p->at++);
    uint32_t first = t->n_cp;
    while (look(p) != '"') {
        uint32_t cp;
        int rc = read_char(p, &cp);
        if (rc)
            return rc;
        grammar_add_cp(t, cp);
    }
    p->at++;
    t->node[*node].at = first;
    t->node[*node].n = t->n_cp - first;
    if (t->n_cp > first)
        t->node[*node].kind = GRAMMAR_LITERAL;
    return 0;
}

static int read_class(struct parser *p, uint32_t *node)
{
    struct grammar_tree *t = p->t;
    size_t place = p->at++;
    *node = new_node(p, GRAMMAR_CLASS, place);
    uint32_t first = t->n_cp;
    bool negated = look(p) == '^';
    p->at += negated;
    while (look(p) != ']') {
        uint32_t lo, hi;
        size_t from = p->at;
        int rc = read_char(p, &lo);
        if (rc)
            return rc;
        hi = lo;
        if (look(p) == '-' && p->at + 1 < t->len && t->text[p->at + 1] != ']') {
            p->at++;
            if ((rc = read_char(p, &hi)))
                return rc;
        }
        if (lo > hi)
            return grammar_fail(t, TRIT_EINVAL, from,
                                "the range from U+%04X to U+%04X is the wrong way round", lo, hi);
        grammar_add_range(t, lo, hi);
    }
    p->at++;
    uint32_t n = grammar_join_ranges(t->cp + first, (t->n_cp - first) / 2);
    t->n_cp = first + 2 * n;
    if (negated)
        grammar_negate(t, first, n);
    t->node[*node].at = first;
    t->node[*node].n = (t->n_cp - first) / 2;
    if (t->node[*node].n == 0)
        return grammar_fail(t, TRIT_EINVAL, place, "the class matches no character");
    return 0;
}

/* ------------------------------------------------------------------ rules and references */

/* With a key of this parse, so that no text can aim its names at one bucket. */
static uint32_t *bucket_of(const struct parser *p, const char *name, size_t len)
{
    return &p->t->bucket[XXH3_64bits_withSecret(name, len, p->secret, sizeof p->secret) % BUCKETS];
}

/* The rule of this name, made if there is none yet. */
static int rule_of(struct parser *p, size_t end, uint32_t *rule)
{
    struct grammar_tree *t = p->t;
    const char *name = t->text + p->at;
    size_t len = end - p->at;
    uint32_t *bucket = bucket_of(p, name, len);
    for (uint32_t r = *bucket; r; r = t->rule[r - 1].next)
        if (t->rule[r - 1].name_len == len && memcmp(t->rule[r - 1].name, name, len) == 0) {
            *rule = r - 1;
            return 0;
        }
    if (t->n_rules == t->limits->rules)
        return grammar_fail(t, TRIT_ETOOBIG, p->at, "more than %u rules", t->limits->rules);
    t->rule[t->n_rules] = (struct grammar_rule){
        .name = name, .name_len = (uint32_t)len, .place = (uint32_t)p->at, .next = *bucket};
    *rule = t->n_rules++;
    *bucket = t->n_rules;
    return 0;
}

static int read_ref(struct parser *p, uint32_t *node)
{
    struct grammar_tree *t = p->t;
    uint32_t rule;
    size_t end = name_end(p);
    int rc = rule_of(p, end, &rule);
    if (rc)
        return rc;
    *node = new_node(p, GRAMMAR_REF, p->at);
    t->node[*node].at = rule;
    t->node[*node].same = t->rule[rule].refs;
    t->rule[rule].refs = *node;
    p->at = end;
    return 0;
}

/* ------------------------------------------------------------------ what is made of them */

static int read_number(struct parser *p, uint32_t *n)
{
    uint64_t value = 0;
    size_t place = p->at;
    if (look(p) < '0' || look(p) > '9')
        return bad(p, p->at, "a number");
    for (; look(p) >= '0' && look(p) <= '9'; p->at++)
        value = MIN(value * 10 + (uint64_t)(look(p) - '0'), (uint64_t)UINT32_MAX);
    if (value > p->t->limits->states)
        return grammar_fail(p->t, TRIT_ETOOBIG, place, "a repetition of more than %u times",
                            p->t->limits->states);
    *n = (uint32_t)value;
    return 0;
}

/* Behind "{": the counts and "}". */
static int read_counts(struct parser *p, size_t place, uint32_t *min, uint32_t *max)
{
    skip_space(p);
    int rc = read_number(p, min);
    if (rc)
        return rc;
    *max = *min;
    skip_space(p);
    if (look(p) == ',') {
        p->at++;
        skip_space(p);
        *max = GRAMMAR_ENDLESS;
        if (look(p) != '}' && (rc = read_number(p, max)))
            return rc;
        skip_space(p);
    }
    if (look(p) != '}')
        return bad(p, p->at, "\"}\" behind the count");
    p->at++;
    if (*min > *max)
        return grammar_fail(p->t, TRIT_EINVAL, place, "at least %u times but at most %u", *min,
                            *max);
    return 0;
}

/* Repetitions behind an item; more than one is allowed, from the inside to the outside. */
static int read_repeats(struct parser *p, uint32_t *node)
{
    struct grammar_tree *t = p->t;
    for (uint32_t depth = 0;; depth++) {
        skip_space(p);
        size_t place = p->at;
        char c = look(p);
        uint32_t min = c == '+', max = c == '?' ? 1 : GRAMMAR_ENDLESS;
        if (c != '*' && c != '+' && c != '?' && c != '{')
            return 0;
        if (p->depth + depth == t->limits->nesting)
            return grammar_fail(t, TRIT_ETOOBIG, place, "nested more than %u deep",
                                t->limits->nesting);
        p->at++;
        int rc = c == '{' ? read_counts(p, place, &min, &max) : 0;
        if (rc)
            return rc;
        uint32_t outer = new_node(p, GRAMMAR_REPEAT, place);
        t->node[outer].min = min;
        t->node[outer].max = max;
        t->node[outer].child = *node;
        t->node[*node].parent = outer;
        *node = outer;
    }
}

static int read_alternatives(struct parser *p, size_t place, uint32_t *node);

static int read_item(struct parser *p, uint32_t *node)
{
    size_t place = p->at;
    char c = look(p);
    if (c == '"')
        return read_literal(p, node);
    if (c == '[')
        return read_class(p, node);
    if (is_name(c))
        return read_ref(p, node);
    if (c == '.') {
        *node = new_node(p, GRAMMAR_CLASS, p->at++);
        p->t->node[*node].at = p->t->n_cp;
        grammar_add_range(p->t, 0, GRAMMAR_LAST_CP);
        p->t->node[*node].n = 2;
        return 0;
    }
    if (p->depth++ == p->t->limits->nesting)
        return grammar_fail(p->t, TRIT_ETOOBIG, place, "nested more than %u deep",
                            p->t->limits->nesting);
    p->at++;
    int rc = read_alternatives(p, place, node);
    if (rc)
        return rc;
    if (look(p) != ')')
        return bad(p, p->at, "\")\" or more of the group");
    p->at++;
    p->depth--;
    return 0;
}

static bool item_begins(struct parser *p)
{
    char c = look(p);
    if (c == '"' || c == '[' || c == '.' || c == '(')
        return true;
    if (!is_name(c))
        return false;
    size_t at = p->at;
    p->at = name_end(p);
    bool reference = !defines(p);
    p->at = at;
    return reference;
}

static int read_sequence(struct parser *p, uint32_t *node)
{
    struct grammar_tree *t = p->t;
    skip_space(p);
    uint32_t seq = *node = new_node(p, GRAMMAR_SEQ, p->at), last = GRAMMAR_NONE;
    for (; item_begins(p); skip_space(p)) {
        uint32_t item;
        int rc = read_item(p, &item);
        if (rc || (rc = read_repeats(p, &item)))
            return rc;
        t->node[item].parent = seq;
        *(last ? &t->node[last].next : &t->node[seq].child) = item;
        last = item;
        t->node[seq].n++;
    }
    return 0;
}

/* Up to what is no part of them; p->at stands there. */
static int read_alternatives(struct parser *p, size_t place, uint32_t *node)
{
    struct grammar_tree *t = p->t;
    uint32_t alt = *node = new_node(p, GRAMMAR_ALT, place), last = GRAMMAR_NONE;
    for (;; p->at++) {
        uint32_t seq;
        int rc = read_sequence(p, &seq);
        if (rc)
            return rc;
        t->node[seq].parent = alt;
        *(last ? &t->node[last].next : &t->node[alt].child) = seq;
        last = seq;
        if (look(p) != '|')
            return 0;
    }
}

static int read_rule(struct parser *p)
{
    struct grammar_tree *t = p->t;
    uint32_t rule;
    size_t place = p->at, end = name_end(p);
    if (end == place)
        return bad(p, place, "the name of a rule");
    int rc = rule_of(p, end, &rule);
    if (rc)
        return rc;
    p->at = end;
    if (t->rule[rule].body)
        return grammar_fail(t, TRIT_EINVAL, place, "rule %.*s is defined twice",
                            GRAMMAR_NAME(&t->rule[rule]));
    skip_space(p);
    if (t->len - p->at < 3 || memcmp(t->text + p->at, "::=", 3) != 0)
        return bad(p, p->at, "\"::=\" behind the name of a rule");
    p->at += 3;
    t->rule[rule].place = (uint32_t)place;
    rc = read_alternatives(p, place, &t->rule[rule].body);
    if (rc)
        return rc;
    if (p->at < t->len && !is_name(look(p)))
        return bad(p, p->at, "a literal, class, group, rule, \"|\" or the next rule");
    return 0;
}

int grammar_parse(struct grammar_tree *t)
{
    struct parser p = {.t = t};
    if (t->len > t->limits->text_bytes)
        return grammar_fail(t, TRIT_ETOOBIG, t->limits->text_bytes,
                            "the grammar has %zu bytes, at most %zu are allowed", t->len,
                            t->limits->text_bytes);
    for (size_t i = 0, n; i < t->len; i += n) {
        uint32_t cp;
        n = utf8_decode(t->text + i, t->len - i, &cp);
        if (n == 0)
            return grammar_fail(t, TRIT_EINVAL, i, "the text is not UTF-8");
    }
    /* An item is a node, and so is each sequence and each set of alternatives: two for "(" and one
     * for "|"; "::=" has room for its own.  A class may gain a range at either side of the
     * surrogates when it is negated, and "." is two. */
    t->cap_nodes = 2 * (uint32_t)t->len + 4;
    t->cap_cp = 6 * (uint32_t)t->len + 16;
    t->node = mem_zalloc(t->cap_nodes, sizeof *t->node);
    t->cp = mem_zalloc(t->cap_cp, sizeof *t->cp);
    t->rule = mem_zalloc(t->limits->rules, sizeof *t->rule);
    t->bucket = mem_zalloc(BUCKETS, sizeof *t->bucket);
    if (!t->node || !t->cp || !t->rule || !t->bucket)
        return trit_fail(t->err, TRIT_ENOMEM, "no memory for a grammar of %zu bytes", t->len);
    if (getrandom(p.secret, sizeof p.secret, 0) != (ssize_t)sizeof p.secret)
        return trit_fail(t->err, TRIT_EIO, "no random bytes for the names of a grammar");
    t->n_nodes = 1;
    for (skip_space(&p); p.at < t->len; skip_space(&p)) {
        int rc = read_rule(&p);
        if (rc)
            return rc;
    }
    return 0;
}

void grammar_tree_free(struct grammar_tree *t)
{
    mem_free(t->node);
    mem_free(t->cp);
    mem_free(t->rule);
    mem_free(t->bucket);
    *t = (struct grammar_tree){0};
}
