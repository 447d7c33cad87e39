/* SPDX-License-Identifier: MIT */
/*
 * jinja-exec.c - statements, and a rendering from its variables to its text.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"

struct jinja_value jinja_capture(struct jinja_run *r, const struct jinja_node *body)
{
    struct jinja_out here = {.pool = &r->pool}, *outer = r->out;
    r->out = &here;
    jinja_exec(r, body);
    r->out = outer;
    return jinja_take(&here);
}

/* A body that has its own variables. */
static struct jinja_value capture_scoped(struct jinja_run *r, const struct jinja_node *body)
{
    struct jinja_scope *outer = r->scope;
    jinja_scope_push(r, outer);
    struct jinja_value text = jinja_capture(r, body);
    r->scope = outer;
    return text;
}

/* Filters around a text that has no node: it is put in the place of the hole, in a copy of the way
 * there, because the tree belongs to every thread. */
static struct jinja_value filter_text(struct jinja_run *r, const struct jinja_node *filters,
                                      struct jinja_value text)
{
    if (filters->kind == N_HOLE)
        return text;
    struct jinja_node constant = {.kind = N_CONST, .at = filters->at};
    struct jinja_node last = *filters;
    constant.value = filter_text(r, filters->a, text);
    last.a = &constant;
    return jinja_eval(r, &last);
}

static void write_value(struct jinja_run *r, struct jinja_value v)
{
    if (r->rc == 0)
        jinja_print(r, r->out, v, false);
}

/* ------------------------------------------------------------------ loops */

/* The elements for which the loop's condition holds. */
static const struct jinja_list *selected(struct jinja_run *r, const struct jinja_node *n,
                                         const struct jinja_list *all)
{
    struct jinja_value l = jinja_list(&r->pool);
    struct jinja_scope *outer = r->scope;
    jinja_scope_push(r, outer);
    for (size_t i = 0; i < all->n && r->rc == 0; i++) {
        jinja_assign(r, n->a, all->v[i]);
        if (r->rc == 0 && jinja_truth(jinja_eval(r, n->e)))
            jinja_push(&r->pool, l, all->v[i]);
    }
    r->scope = outer;
    return l.type == JINJA_LIST ? l.list : all;
}

static const struct jinja_string *loop_name(const struct jinja *t)
{
    for (const struct jinja_name *n = t->names; n; n = n->next)
        if (n->text.len == 4 && memcmp(n->text.data, "loop", 4) == 0)
            return &n->text;
    return NULL; /* the template does not use it */
}

static void exec_for(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_scope *outer = r->scope;
    const struct jinja_string *name = loop_name(r->t);
    struct jinja_value v = jinja_eval(r, n->b);
    const struct jinja_list *items = r->rc ? NULL : jinja_elements(r, v);
    if (items && n->e)
        items = selected(r, n, items);
    struct jinja_loop *loop = jinja_alloc(&r->pool, 1, sizeof *loop);
    if (r->rc || !items || !loop)
        return;
    if (items->n == 0) {
        jinja_exec(r, n->d);
        return;
    }
    *loop = (struct jinja_loop){items->v, items->n, 0};
    struct jinja_scope *s = jinja_scope_push(r, outer);
    for (; loop->i < loop->n && jinja_charge(r, 1); loop->i++) {
        s->vars = NULL; /* what a turn sets, the next does not see */
        r->scope = s;
        if (name)
            jinja_bind(r, s, name, (struct jinja_value){.type = JINJA_LOOP, .loop = loop});
        jinja_assign(r, n->a, loop->item[loop->i]);
        jinja_exec(r, n->c);
        bool over = r->flow == FLOW_BREAK;
        r->flow = FLOW_ON;
        if (over)
            break;
    }
    r->scope = outer;
}

/* ------------------------------------------------------------------ statements */

static void bind_function(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_function *f = jinja_alloc(&r->pool, 1, sizeof *f);
    if (!f)
        return;
    *f = (struct jinja_function){.macro = n, .scope = r->scope};
    jinja_bind(r, r->scope, n->name, (struct jinja_value){.type = JINJA_FUNCTION, .function = f});
}

static void exec_with(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_scope *outer = r->scope, *s = jinja_scope_push(r, outer);
    for (const struct jinja_node *set = n->a; set && r->rc == 0; set = set->next) {
        /* The values do not see one another. */
        r->scope = outer;
        struct jinja_value v = jinja_eval(r, set->b);
        r->scope = s;
        jinja_assign(r, set->a, v);
    }
    r->scope = s;
    jinja_exec(r, n->b);
    r->scope = outer;
}

static void exec_one(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_function caller = {.macro = n, .scope = r->scope}, *kept;
    struct jinja_value v;
    switch (n->kind) {
    case N_TEXT:
        jinja_charge_bytes(r, n->value.string->len);
        jinja_add_string(r->out, n->value.string);
        break;
    case N_PRINT:
        write_value(r, jinja_eval(r, n->a));
        break;
    case N_IF:
        jinja_exec(r, jinja_truth(jinja_eval(r, n->a)) ? n->b : n->c);
        break;
    case N_FOR:
        exec_for(r, n);
        break;
    case N_SET:
        v = jinja_eval(r, n->b);
        if (r->rc == 0)
            jinja_assign(r, n->a, v);
        break;
    case N_SET_BLOCK:
        v = capture_scoped(r, n->b);
        if (n->c && r->rc == 0)
            v = filter_text(r, n->c, v);
        if (r->rc == 0)
            jinja_assign(r, n->a, v);
        break;
    case N_MACRO:
        bind_function(r, n);
        break;
    case N_CALL_BLOCK:
        kept = jinja_alloc(&r->pool, 1, sizeof *kept);
        if (kept) {
            *kept = caller;
            write_value(r, jinja_call(r, n->c, kept));
        }
        break;
    case N_FILTER_BLOCK:
        v = capture_scoped(r, n->b);
        if (r->rc == 0)
            write_value(r, filter_text(r, n->c, v));
        break;
    case N_WITH:
        exec_with(r, n);
        break;
    case N_BREAK:
        r->flow = FLOW_BREAK;
        break;
    case N_CONTINUE:
        r->flow = FLOW_CONTINUE;
        break;
    default:
        trit_unreachable("an expression among statements");
    }
}

void jinja_exec(struct jinja_run *r, const struct jinja_node *n)
{
    for (; n && r->rc == 0 && r->flow == FLOW_ON; n = n->next) {
        if (!jinja_descend(r))
            return;
        r->at = n->at;
        exec_one(r, n);
        jinja_ascend(r);
    }
}

/* ------------------------------------------------------------------ a rendering */

/* The variables that the template names, as far as they are given. */
static void bind_globals(struct jinja_run *r, struct jinja_value vars)
{
    for (const struct jinja_name *n = r->t->names; n; n = n->next)
        for (size_t i = 0; vars.type == JINJA_DICT && i < vars.dict->n; i++) {
            const struct jinja_pair *p = &vars.dict->pair[i];
            if (p->key.type == JINJA_STRING && jinja_same_string(p->key.string, &n->text))
                jinja_bind(r, r->scope, &n->text, p->value);
        }
}

/* The text and its ranges, out of the pool. */
static int give(struct jinja_run *r, const struct jinja_out *text, struct buf *out,
                struct tok_range **ranges, size_t *n_ranges)
{
    const size_t before = out->len;
    struct tok_range *copy = NULL;
    if (ranges && !(copy = mem_zalloc(text->n_client, sizeof *copy)))
        return trit_fail(r->err, TRIT_ENOMEM, "no memory for the conversation");
    buf_add(out, text->data, text->len);
    if (out->failed) {
        mem_free(copy);
        return trit_fail(r->err, TRIT_ENOMEM, "no memory for the conversation");
    }
    if (!ranges)
        return 0;
    for (size_t i = 0; i < text->n_client; i++)
        copy[i] = (struct tok_range){before + text->client[i].start, before + text->client[i].end};
    *ranges = copy;
    *n_ranges = text->n_client;
    return 0;
}

int jinja_render(const struct jinja *t, struct jinja_value vars, const struct tm *now,
                 struct buf *out, struct tok_range **ranges, size_t *n_ranges,
                 struct trit_error *err)
{
    struct jinja_run r = {.t = t, .now = now, .err = err};
    struct jinja_out text = {.pool = &r.pool};
    r.pool.max_bytes = JINJA_POOL_BYTES;
    r.out = &text;
    if (jinja_scope_push(&r, NULL)) {
        bind_globals(&r, vars);
        jinja_exec(&r, t->body);
    }
    jinja_charge(&r, 0); /* what failed at the very end */
    if (r.rc == 0)
        r.rc = give(&r, &text, out, ranges, n_ranges);
    jinja_pool_free(&r.pool);
    return r.rc;
}
