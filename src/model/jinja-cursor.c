/* SPDX-License-Identifier: MIT */
/*
 * jinja-cursor.c - what both halves of the parser do with the next token, and how they make nodes
 * and fail.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

void jinja_parse_fail(struct jinja_parser *p, size_t at, const char *fmt, ...)
{
    static const struct jinja_token over = {.type = T_END};
    char text[300];
    va_list ap;
    if (p->rc)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->rc = jinja_refuse(p->t, at, p->err, "%s", text);
    p->tok = &over;
}

void jinja_unexpected(struct jinja_parser *p, const char *expected)
{
    static const char *const kinds[] = {
        [T_END] = "the end of the template",
        [T_TEXT] = "text",
        [T_PRINT_OPEN] = "\"{{\"",
        [T_PRINT_CLOSE] = "\"}}\"",
        [T_BLOCK_OPEN] = "\"{%\"",
        [T_BLOCK_CLOSE] = "\"%}\"",
        [T_CONST] = "a constant",
    };
    const struct jinja_token *k = p->tok;
    char c = (char)(k->op & 0xff), first = (char)(k->op >> 8);
    if (k->type == T_NAME)
        jinja_parse_fail(p, k->at, "found \"%.*s\", expected %s", (int)MIN(k->text->len, 40u),
                         k->text->data, expected);
    else if (k->type == T_OP)
        jinja_parse_fail(p, k->at, "found \"%.*s%c\", expected %s", first ? 1 : 0, &first, c,
                         expected);
    else
        jinja_parse_fail(p, k->at, "found %s, expected %s", kinds[k->type], expected);
}

bool jinja_enter(struct jinja_parser *p)
{
    if (p->depth >= JINJA_PARSE_DEPTH)
        jinja_parse_fail(p, p->tok->at, "more than %d levels within one another",
                         JINJA_PARSE_DEPTH);
    if (p->rc)
        return false;
    p->depth++;
    return true;
}

struct jinja_node *jinja_node(struct jinja_parser *p, enum jinja_kind kind, size_t at)
{
    struct jinja_node *n = jinja_alloc(&p->t->pool, 1, sizeof *n);
    if (!n) {
        if (p->rc == 0)
            p->rc = trit_fail(p->err, TRIT_ENOMEM, "no memory for the template");
        return NULL;
    }
    n->kind = kind;
    n->at = (uint32_t)at;
    return n;
}

const struct jinja_string *jinja_intern(struct jinja_parser *p, const struct jinja_string *s)
{
    struct jinja_name *n;
    if (!s)
        return NULL;
    for (n = p->t->names; n; n = n->next)
        if (jinja_same_string(&n->text, s))
            return &n->text;
    n = jinja_alloc(&p->t->pool, 1, sizeof *n);
    if (!n)
        return NULL;
    n->text = *s;
    n->next = p->t->names;
    p->t->names = n;
    return &n->text;
}

bool jinja_is_word(const struct jinja_token *k, const char *name)
{
    return k->type == T_NAME && k->text && k->text->len == strlen(name) &&
           memcmp(k->text->data, name, k->text->len) == 0;
}

bool jinja_is_name(const struct jinja_parser *p, const char *name)
{
    return jinja_is_word(p->tok, name);
}

bool jinja_is_op(const struct jinja_parser *p, unsigned op)
{
    return p->tok->type == T_OP && p->tok->op == op;
}

bool jinja_skip_name(struct jinja_parser *p, const char *name)
{
    bool yes = jinja_is_name(p, name);
    p->tok += yes;
    return yes;
}

bool jinja_skip_op(struct jinja_parser *p, unsigned op)
{
    bool yes = jinja_is_op(p, op);
    p->tok += yes;
    return yes;
}

void jinja_expect_op(struct jinja_parser *p, unsigned op)
{
    char what[] = {'"', (char)op, '"', '\0'};
    if (!jinja_skip_op(p, op))
        jinja_unexpected(p, what);
}

const struct jinja_string *jinja_expect_name(struct jinja_parser *p)
{
    if (p->tok->type == T_NAME)
        return jinja_intern(p, p->tok++->text);
    jinja_unexpected(p, "a name");
    return NULL;
}
