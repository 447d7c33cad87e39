/* SPDX-License-Identifier: MIT */
/*
 * jinja-parse.c - tokens to tree: statements; and a template as a whole.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"

/* Which tags end a body: a list like "elif else endif"; "": the end of the template. */
static struct jinja_node *body(struct jinja_parser *p, const char *ends, size_t opened);

static void close_tag(struct jinja_parser *p)
{
    const struct jinja_token *k = p->tok;
    if (k->type == T_BLOCK_CLOSE)
        p->tok++;
    else if (k->type == T_NAME)
        jinja_parse_fail(p, k->at, "found \"%.*s\", expected \"%%}\"", (int)MIN(k->text->len, 40u),
                         k->text->data);
    else
        jinja_parse_fail(p, k->at, "expected \"%%}\" here");
}

/* The end of a body, "{% endfor %}", of which "{%" was taken with the body. */
static void end_tag(struct jinja_parser *p, const char *name)
{
    jinja_skip_name(p, name);
    close_tag(p);
}

/* All of a block behind what is special of its tag: the tag's end, what it holds, and the tag that
 * ends it. */
static struct jinja_node *block_body(struct jinja_parser *p, const char *end, size_t at)
{
    close_tag(p);
    struct jinja_node *n = body(p, end, at);
    end_tag(p, end);
    return n;
}

static struct jinja_node *target(struct jinja_parser *p, bool attribute);

/* A name, targets in brackets, or an attribute. */
static struct jinja_node *single_target(struct jinja_parser *p, bool attribute)
{
    struct jinja_node *n, *of;
    if (jinja_skip_op(p, '(')) {
        if (!jinja_enter(p))
            return NULL;
        n = target(p, false);
        p->depth--;
        jinja_expect_op(p, ')');
        return n;
    }
    if (!(n = jinja_node(p, N_NAME, p->tok->at)))
        return NULL;
    n->name = jinja_expect_name(p);
    if (!attribute || !jinja_skip_op(p, '.'))
        return n;
    of = n;
    if (!(n = jinja_node(p, N_ATTR, of->at)))
        return NULL;
    n->a = of;
    n->name = jinja_expect_name(p);
    return n;
}

/* What may be assigned to: names, tuples of them within one another, and an attribute of a
 * namespace in a set. */
static struct jinja_node *target(struct jinja_parser *p, bool attribute)
{
    size_t at = p->tok->at;
    struct jinja_node *first = NULL, **last = &first, *n;
    bool tuple = false;
    do {
        if (first && p->tok->type != T_NAME && !jinja_is_op(p, '('))
            break;
        *last = n = single_target(p, attribute && !first);
        if (!n || n->kind == N_ATTR)
            return n;
        last = &n->next;
        tuple = tuple || jinja_is_op(p, ',');
    } while (jinja_skip_op(p, ','));
    if (!tuple)
        return first;
    if ((n = jinja_node(p, N_TUPLE, at)))
        n->a = first;
    return n;
}

static struct jinja_node *parse_if(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_IF, at);
    if (!n || !jinja_enter(p))
        return NULL;
    n->a = jinja_tuple(p);
    close_tag(p);
    p->optional++;
    n->b = body(p, "elif else endif", at);
    if (jinja_skip_name(p, "elif")) {
        /* The chain is ended by the one endif, which the innermost takes. */
        n->c = parse_if(p, p->tok->at);
    } else if (jinja_skip_name(p, "else")) {
        close_tag(p);
        n->c = body(p, "endif", at);
        end_tag(p, "endif");
    } else {
        end_tag(p, "endif");
    }
    p->optional--;
    p->depth--;
    return n;
}

static struct jinja_node *parse_for(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_FOR, at);
    if (!n)
        return NULL;
    n->a = target(p, false);
    if (!jinja_skip_name(p, "in"))
        jinja_parse_fail(p, p->tok->at, "expected \"in\" behind the loop's variable");
    /* "if" begins the filter of the loop and not a condition. */
    n->b = jinja_expression_uncond(p);
    if (n->b && jinja_is_op(p, ',')) {
        struct jinja_node *tuple = jinja_node(p, N_TUPLE, n->b->at), **last = &n->b->next;
        while (jinja_skip_op(p, ','))
            if ((*last = jinja_expression_uncond(p)))
                last = &(*last)->next;
        if (tuple)
            tuple->a = n->b;
        n->b = tuple;
    }
    if (jinja_skip_name(p, "if"))
        n->e = jinja_expression(p);
    if (jinja_is_name(p, "recursive"))
        jinja_parse_fail(p, p->tok->at, "recursive loops are not supported");
    close_tag(p);
    p->loops++;
    n->c = body(p, "else endfor", at);
    p->loops--;
    if (jinja_skip_name(p, "else")) {
        close_tag(p);
        n->d = body(p, "endfor", at);
    }
    end_tag(p, "endfor");
    return n;
}

static struct jinja_node *parse_set(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_SET, at);
    if (!n)
        return NULL;
    n->a = target(p, true);
    if (jinja_skip_op(p, '=')) {
        n->b = jinja_tuple(p);
        close_tag(p);
        return n;
    }
    n->kind = N_SET_BLOCK;
    if (jinja_skip_op(p, '|'))
        n->c = jinja_filters(p, jinja_node(p, N_HOLE, at));
    n->b = block_body(p, "endset", at);
    return n;
}

/* "(a, b=1)", of a macro or of the caller's block. */
static struct jinja_node *parameters(struct jinja_parser *p)
{
    struct jinja_node *first = NULL, **last = &first;
    jinja_expect_op(p, '(');
    while (p->rc == 0 && !jinja_is_op(p, ')')) {
        struct jinja_node *n = jinja_node(p, N_ARG, p->tok->at);
        if (!n)
            return NULL;
        n->name = jinja_expect_name(p);
        if (jinja_skip_op(p, '='))
            n->a = jinja_expression(p);
        *last = n;
        last = &n->next;
        if (!jinja_is_op(p, ')'))
            jinja_expect_op(p, ',');
    }
    jinja_expect_op(p, ')');
    return first;
}

/* A body that is a function: no loop outside of it can be left from within. */
static struct jinja_node *function_body(struct jinja_parser *p, const char *end, size_t at)
{
    unsigned loops = p->loops;
    p->loops = 0;
    p->optional++;
    struct jinja_node *n = block_body(p, end, at);
    p->optional--;
    p->loops = loops;
    return n;
}

static struct jinja_node *parse_macro(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_MACRO, at);
    if (!n)
        return NULL;
    n->name = jinja_expect_name(p);
    n->a = parameters(p);
    n->b = function_body(p, "endmacro", at);
    return n;
}

static struct jinja_node *parse_call(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_CALL_BLOCK, at);
    static const struct jinja_string caller = {"caller", 6, NULL, 0};
    if (!n)
        return NULL;
    n->name = jinja_intern(p, &caller);
    if (jinja_is_op(p, '('))
        n->a = parameters(p);
    n->c = jinja_expression(p);
    if (n->c && n->c->kind != N_CALL)
        jinja_parse_fail(p, n->c->at, "expected the call of a macro");
    n->b = function_body(p, "endcall", at);
    return n;
}

static struct jinja_node *parse_filter(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_FILTER_BLOCK, at);
    if (!n)
        return NULL;
    n->c = jinja_filters(p, jinja_node(p, N_HOLE, at));
    n->b = block_body(p, "endfilter", at);
    return n;
}

static struct jinja_node *parse_with(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_WITH, at);
    if (!n)
        return NULL;
    for (struct jinja_node **last = &n->a; p->rc == 0 && p->tok->type != T_BLOCK_CLOSE;) {
        struct jinja_node *set = jinja_node(p, N_SET, p->tok->at);
        if (!set)
            return NULL;
        if (n->a)
            jinja_expect_op(p, ',');
        if ((set->a = jinja_node(p, N_NAME, p->tok->at)))
            set->a->name = jinja_expect_name(p);
        jinja_expect_op(p, '=');
        set->b = jinja_expression(p);
        *last = set;
        last = &set->next;
    }
    n->b = block_body(p, "endwith", at);
    return n;
}

/* Marks what the assistant wrote, for training; here it is its body. */
static struct jinja_node *parse_generation(struct jinja_parser *p, size_t at)
{
    struct jinja_node *n = jinja_node(p, N_WITH, at);
    if (!n)
        return NULL;
    n->b = block_body(p, "endgeneration", at);
    return n;
}

static struct jinja_node *parse_jump(struct jinja_parser *p, enum jinja_kind kind, size_t at)
{
    if (p->loops == 0)
        jinja_parse_fail(p, at, "break and continue only stand in a loop");
    close_tag(p);
    return jinja_node(p, kind, at);
}

static struct jinja_node *parse_break(struct jinja_parser *p, size_t at)
{
    return parse_jump(p, N_BREAK, at);
}

static struct jinja_node *parse_continue(struct jinja_parser *p, size_t at)
{
    return parse_jump(p, N_CONTINUE, at);
}

static struct jinja_node *statement(struct jinja_parser *p)
{
    static const struct {
        const char *name;
        struct jinja_node *(*parse)(struct jinja_parser *p, size_t at);
    } all[] = {
        {"if", parse_if},       {"for", parse_for},
        {"set", parse_set},     {"macro", parse_macro},
        {"call", parse_call},   {"filter", parse_filter},
        {"with", parse_with},   {"generation", parse_generation},
        {"break", parse_break}, {"continue", parse_continue},
    };
    const struct jinja_token *k = p->tok;
    struct jinja_node *n = NULL;
    if (k->type != T_NAME) {
        jinja_parse_fail(p, k->at, "expected the name of a statement");
        return NULL;
    }
    if (!jinja_enter(p))
        return NULL;
    size_t i = 0;
    while (i < ARRAY_LEN(all) && !jinja_is_name(p, all[i].name))
        i++;
    if (i < ARRAY_LEN(all)) {
        p->tok++;
        n = all[i].parse(p, k->at);
    } else {
        jinja_parse_fail(p, k->at, "found the statement \"%.*s\", which is not supported here",
                         (int)MIN(k->text->len, 40u), k->text->data);
    }
    p->depth--;
    return n;
}

static bool is_one_of(const struct jinja_parser *p, const char *ends)
{
    char word[16];
    for (size_t n; *ends; ends += n + (ends[n] == ' ')) {
        n = strcspn(ends, " ");
        memcpy(word, ends, n);
        word[n] = '\0';
        if (jinja_is_name(p, word))
            return true;
    }
    return false;
}

static struct jinja_node *body(struct jinja_parser *p, const char *ends, size_t opened)
{
    struct jinja_node *first = NULL, **last = &first;
    while (p->rc == 0) {
        const struct jinja_token *k = p->tok;
        if (k->type == T_END) {
            if (*ends)
                jinja_parse_fail(p, opened, "what begins here is not closed; expected \"%s\"",
                                 strrchr(ends, ' ') ? strrchr(ends, ' ') + 1 : ends);
            break;
        }
        p->tok++;
        if (k->type == T_TEXT) {
            if ((*last = jinja_node(p, N_TEXT, k->at)))
                (*last)->value = k->value;
        } else if (k->type == T_PRINT_OPEN) {
            if ((*last = jinja_node(p, N_PRINT, k->at)))
                (*last)->a = jinja_tuple(p);
            if (p->tok->type == T_PRINT_CLOSE)
                p->tok++;
            else
                jinja_parse_fail(p, p->tok->at, "expected \"}}\" or an operator here");
        } else if (is_one_of(p, ends)) {
            break;
        } else {
            *last = statement(p);
        }
        if (*last)
            last = &(*last)->next;
    }
    return first;
}

/* ------------------------------------------------------------------ a template */

/* Line ends become "\n", and the last one goes, as in Jinja2. */
static bool copy_source(struct jinja *t, const char *text, size_t len)
{
    char *to = jinja_bytes(&t->pool, len);
    size_t n = 0;
    if (!to)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
            continue;
        to[n++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (n && to[n - 1] == '\n')
        n--;
    t->source = (struct jinja_string){.data = to, .len = n};
    return true;
}

int jinja_open(const char *text, size_t len, struct jinja **out, struct trit_error *err)
{
    *out = NULL;
    if (len > JINJA_SOURCE_BYTES)
        return trit_fail(err, TRIT_EFORMAT, "found %zu bytes, expected at most %d", len,
                         JINJA_SOURCE_BYTES);
    if (!utf8_valid(text, len))
        return trit_fail(err, TRIT_EFORMAT, "found bytes that are not UTF-8");
    struct jinja *t = mem_zalloc(1, sizeof *t);
    if (!t)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the template");
    struct jinja_parser p = {.t = t, .err = err};
    if (!copy_source(t, text, len))
        p.rc = trit_fail(err, TRIT_ENOMEM, "no memory for the template");
    else if (!(p.tok = jinja_lex(t, err)))
        p.rc = t->pool.failed ? -TRIT_ENOMEM : -TRIT_EFORMAT;
    else
        t->body = body(&p, "", 0);
    if (t->pool.failed && p.rc != -TRIT_ENOMEM)
        p.rc = trit_fail(err, TRIT_ENOMEM, "no memory for the template");
    if (p.rc)
        jinja_close(&t);
    *out = t;
    return p.rc;
}

void jinja_close(struct jinja **t)
{
    if (!*t)
        return;
    jinja_pool_free(&(*t)->pool);
    mem_free(*t);
    *t = NULL;
}
