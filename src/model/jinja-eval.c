/* SPDX-License-Identifier: MIT */
/*
 * jinja-eval.c - expressions, scopes, calls; and the bounds of a rendering.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* ------------------------------------------------------------------ failing, and bounds */

/* What failed for want of memory is not the values' fault, whatever came of it. */
static void check_pool(struct jinja_run *r)
{
    if (r->rc || !r->pool.failed)
        return;
    if (r->pool.full)
        r->rc = trit_fail(r->err, TRIT_EINVAL, "the template needs more than %d MiB of memory",
                          JINJA_POOL_BYTES >> 20);
    else
        r->rc = trit_fail(r->err, TRIT_ENOMEM, "no memory for the conversation");
}

struct jinja_value jinja_fail(struct jinja_run *r, const char *fmt, ...)
{
    char text[300];
    unsigned line, column;
    va_list ap;
    check_pool(r);
    if (r->rc == 0) {
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        jinja_place(r->t, r->at, &line, &column);
        r->rc = trit_fail(r->err, TRIT_EINVAL, "line %u: %s", line, text);
    }
    return (struct jinja_value){0};
}

bool jinja_charge(struct jinja_run *r, size_t steps)
{
    r->steps += MIN(steps, (size_t)JINJA_STEPS + 1);
    if (r->steps > JINJA_STEPS)
        jinja_fail(r, "the template takes more than %d steps", JINJA_STEPS);
    else if (r->out->len > JINJA_OUTPUT_BYTES)
        jinja_fail(r, "the template writes more than %d MiB", JINJA_OUTPUT_BYTES >> 20);
    check_pool(r);
    return r->rc == 0;
}

bool jinja_charge_bytes(struct jinja_run *r, size_t bytes)
{
    return jinja_charge(r, bytes / 32);
}

bool jinja_descend(struct jinja_run *r)
{
    if (r->depth >= JINJA_DEPTH)
        jinja_fail(r, "the template goes more than %d levels deep", JINJA_DEPTH);
    if (!jinja_charge(r, 1))
        return false;
    r->depth++;
    return true;
}

void jinja_ascend(struct jinja_run *r)
{
    r->depth--;
}

/* ------------------------------------------------------------------ scopes */

struct jinja_scope *jinja_scope_push(struct jinja_run *r, struct jinja_scope *parent)
{
    struct jinja_scope *s = jinja_alloc(&r->pool, 1, sizeof *s);
    if (!s)
        return r->scope; /* the rendering has failed */
    s->parent = parent;
    r->scope = s;
    return s;
}

void jinja_bind(struct jinja_run *r, struct jinja_scope *s, const struct jinja_string *name,
                struct jinja_value v)
{
    for (struct jinja_var *var = s->vars; var; var = var->next)
        if (var->name == name) {
            var->value = v;
            return;
        }
    struct jinja_var *var = jinja_alloc(&r->pool, 1, sizeof *var);
    if (!var)
        return;
    *var = (struct jinja_var){s->vars, name, v};
    s->vars = var;
}

static void set_member(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v)
{
    struct jinja_value of = jinja_eval(r, target->a);
    r->at = target->at;
    if (of.type != JINJA_DICT || !of.dict->name_space) {
        jinja_fail(r, "only members of a namespace can be set");
        return;
    }
    for (size_t i = 0; i < of.dict->n; i++) {
        const struct jinja_string *key = of.dict->pair[i].key.string;
        if (jinja_same_string(key, target->name)) {
            of.dict->pair[i].value = v;
            return;
        }
    }
    jinja_put(&r->pool, of, jinja_of_string(target->name), v);
}

void jinja_assign(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v)
{
    if (target->kind == N_NAME) {
        jinja_bind(r, r->scope, target->name, v);
    } else if (target->kind == N_ATTR) {
        set_member(r, target, v);
    } else {
        const struct jinja_list *l = jinja_elements(r, v);
        size_t i = 0;
        for (const struct jinja_node *n = target->a; n; n = n->next, i++)
            if (i < l->n)
                jinja_assign(r, n, l->v[i]);
        if (i != l->n)
            jinja_fail(r, "%zu values are given to %zu names", l->n, i);
    }
}

static struct jinja_value lookup(const struct jinja_run *r, const struct jinja_node *n)
{
    for (const struct jinja_scope *s = r->scope; s; s = s->parent)
        for (const struct jinja_var *var = s->vars; var; var = var->next)
            if (var->name == n->name)
                return var->value;
    return n->value; /* a function of this name, or undefined */
}

/* ------------------------------------------------------------------ calls */

const struct jinja_value *jinja_arg(const struct jinja_args *a, size_t i, const char *name)
{
    const size_t len = name ? strlen(name) : 0;
    if (i < a->n_positional)
        return &a->v[i];
    for (size_t k = a->n_positional; name && k < a->n; k++)
        if (a->name[k]->len == len && memcmp(a->name[k]->data, name, len) == 0)
            return &a->v[k];
    return NULL;
}

int64_t jinja_arg_int(struct jinja_run *r, const struct jinja_args *a, size_t i, const char *name,
                      int64_t otherwise)
{
    const struct jinja_value *v = jinja_arg(a, i, name);
    if (!v || v->type == JINJA_NONE)
        return otherwise;
    if (v->type == JINJA_INT || v->type == JINJA_BOOL)
        return jinja_whole(*v);
    jinja_fail(r, "%s: found %s, expected an integer", name, jinja_type_name(*v));
    return otherwise;
}

bool jinja_arg_truth(const struct jinja_args *a, size_t i, const char *name, bool otherwise)
{
    const struct jinja_value *v = jinja_arg(a, i, name);
    return v ? jinja_truth(*v) : otherwise;
}

/* The index of a parameter in "width first blank", or -1; *n receives how many there are. */
static int parameter(const char *params, const struct jinja_string *name, size_t *n)
{
    int found = -1;
    *n = 0;
    for (size_t len; *params; params += len + (params[len] == ' '), ++*n) {
        len = strcspn(params, " ");
        if (name && name->len == len && memcmp(name->data, params, len) == 0)
            found = (int)*n;
    }
    return found;
}

struct jinja_value jinja_call_builtin(struct jinja_run *r, const struct jinja_builtin *b,
                                      struct jinja_value self, const struct jinja_args *a)
{
    size_t n;
    bool any = strstr(b->params, "...") != NULL;
    parameter(b->params, NULL, &n);
    if (!any && a->n_positional > n)
        return jinja_fail(r, "%s takes at most %zu values, found %zu", b->name, n, a->n_positional);
    for (size_t i = a->n_positional; i < a->n && !any; i++) {
        int at = parameter(b->params, a->name[i], &n);
        if (at < 0 || (size_t)at < a->n_positional)
            return jinja_fail(r, "%s has no parameter %.*s, or has it twice", b->name,
                              (int)MIN(a->name[i]->len, 40u), a->name[i]->data);
    }
    if (a->n < b->least)
        return jinja_fail(r, "%s takes at least %u values, found %zu", b->name, b->least, a->n);
    return b->call(r, self, a);
}

/* Arguments of which some are lists and dicts whose members they mean. */
static bool spread_args(struct jinja_run *r, const struct jinja_node *n, struct jinja_args *a)
{
    struct jinja_value positional = jinja_list(&r->pool), named = jinja_dict(&r->pool);
    a->n = 0;
    for (; n && r->rc == 0; n = n->next) {
        struct jinja_value v = jinja_eval(r, n->a);
        r->at = n->at;
        const struct jinja_list *l = n->op == '*' ? jinja_elements(r, v) : NULL;
        for (size_t i = 0; l && i < l->n; i++)
            jinja_push(&r->pool, positional, l->v[i]);
        if (n->name)
            jinja_put(&r->pool, named, jinja_of_string(n->name), v);
        else if (n->op == 0)
            jinja_push(&r->pool, positional, v);
        else if (!l && v.type != JINJA_DICT)
            jinja_fail(r, "\"**\" stands before %s, expected a dict", jinja_type_name(v));
        for (size_t i = 0; !l && n->op && r->rc == 0 && i < v.dict->n; i++)
            if (v.dict->pair[i].key.type == JINJA_STRING)
                jinja_put(&r->pool, named, v.dict->pair[i].key, v.dict->pair[i].value);
    }
    if (!jinja_charge(r, 1))
        return false;
    a->n_positional = positional.list->n;
    a->n = a->n_positional + named.dict->n;
    a->v = jinja_alloc(&r->pool, a->n, sizeof *a->v);
    a->name = jinja_alloc(&r->pool, a->n, sizeof *a->name);
    if (!a->v || !a->name)
        return jinja_charge(r, 1);
    if (a->n_positional)
        memcpy(a->v, positional.list->v, a->n_positional * sizeof *a->v);
    for (size_t i = 0; i < named.dict->n; i++) {
        a->v[a->n_positional + i] = named.dict->pair[i].value;
        a->name[a->n_positional + i] = named.dict->pair[i].key.string;
    }
    return true;
}

static bool take_args(struct jinja_run *r, const struct jinja_node *n, struct jinja_args *a)
{
    *a = (struct jinja_args){0};
    for (const struct jinja_node *arg = n; arg; arg = arg->next, a->n++)
        if (arg->op)
            return spread_args(r, n, a);
    if (a->n == 0)
        return true;
    a->v = jinja_alloc(&r->pool, a->n, sizeof *a->v);
    a->name = jinja_alloc(&r->pool, a->n, sizeof *a->name);
    if (!a->v || !a->name)
        return jinja_charge(r, 1);
    for (size_t i = 0; n; n = n->next, i++) {
        a->v[i] = jinja_eval(r, n->a);
        a->name[i] = n->name;
        a->n_positional += n->name == NULL;
    }
    return r->rc == 0;
}

/* Parameters of a macro, in the scope that is current: given, or their defaults. */
static void bind_parameters(struct jinja_run *r, const struct jinja_node *macro,
                            const struct jinja_args *a)
{
    size_t i = 0, used = 0;
    for (const struct jinja_node *p = macro->a; p; p = p->next, i++) {
        const struct jinja_value *v = i < a->n_positional ? &a->v[i] : NULL;
        for (size_t k = a->n_positional; k < a->n && !v; k++)
            if (jinja_same_string(a->name[k], p->name))
                v = &a->v[k];
        used += v != NULL;
        jinja_bind(r, r->scope, p->name,
                   v      ? *v
                   : p->a ? jinja_eval(r, p->a)
                          : (struct jinja_value){0});
    }
    if (used < a->n)
        jinja_fail(r, "the macro %.*s is given a value that it does not take",
                   (int)MIN(macro->name->len, 60u), macro->name->data);
}

static struct jinja_value call_macro(struct jinja_run *r, const struct jinja_function *f,
                                     const struct jinja_args *a,
                                     const struct jinja_function *caller)
{
    struct jinja_scope *outer = r->scope;
    struct jinja_value text = {0};
    if (!jinja_descend(r))
        return text;
    struct jinja_scope *s = jinja_scope_push(r, f->scope);
    bind_parameters(r, f->macro, a);
    if (caller && r->rc == 0)
        jinja_bind(r, s, caller->macro->name,
                   (struct jinja_value){.type = JINJA_FUNCTION, .function = caller});
    if (r->rc == 0)
        text = jinja_capture(r, f->macro->b);
    r->scope = outer;
    jinja_ascend(r);
    return text;
}

struct jinja_value jinja_call(struct jinja_run *r, const struct jinja_node *n,
                              const struct jinja_function *caller)
{
    struct jinja_args a;
    struct jinja_value f = jinja_eval(r, n->a);
    if (r->rc)
        return f;
    if (f.type != JINJA_FUNCTION) {
        const struct jinja_string *name = n->a->name;
        r->at = n->at;
        return jinja_fail(r, "%.*s is called, but is %s", name ? (int)MIN(name->len, 60u) : 5,
                          name ? name->data : "value", jinja_type_name(f));
    }
    if (!take_args(r, n->b, &a))
        return (struct jinja_value){0};
    r->at = n->at;
    if (f.function->builtin)
        return jinja_call_builtin(r, f.function->builtin, f.function->self, &a);
    return call_macro(r, f.function, &a, caller);
}

/* ------------------------------------------------------------------ expressions */

static struct jinja_value eval_list(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value l = jinja_list_sized(&r->pool, 0, n->kind == N_TUPLE);
    for (const struct jinja_node *e = n->a; e && r->rc == 0; e = e->next)
        jinja_push(&r->pool, l, jinja_eval(r, e));
    return l;
}

static struct jinja_value eval_dict(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value d = jinja_dict(&r->pool);
    for (const struct jinja_node *e = n->a; e && e->next && r->rc == 0; e = e->next->next) {
        struct jinja_value key = jinja_eval(r, e), value = jinja_eval(r, e->next);
        if (d.type != JINJA_DICT)
            break;
        if (key.type == JINJA_LIST || key.type == JINJA_DICT)
            return jinja_fail(r, "%s cannot be the key of a dict", jinja_type_name(key));
        jinja_dict_set(r, d, key, value);
    }
    return d;
}

static bool compare(struct jinja_run *r, unsigned op, struct jinja_value a, struct jinja_value b)
{
    switch (op) {
    case OP2('=', '='):
        return jinja_same(r, a, b);
    case OP2('!', '='):
        return !jinja_same(r, a, b);
    case '<':
        return jinja_order(r, a, b) < 0;
    case OP2('<', '='):
        return jinja_order(r, a, b) <= 0;
    case '>':
        return jinja_order(r, a, b) > 0;
    case OP2('>', '='):
        return jinja_order(r, a, b) >= 0;
    case OP_IN:
        return jinja_contains(r, b, a);
    default:
        return !jinja_contains(r, b, a);
    }
}

/* a < b < c: each pair, until one does not hold. */
static struct jinja_value eval_compare(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value left = jinja_eval(r, n->a);
    bool holds = true;
    for (const struct jinja_node *o = n->b; o && holds && r->rc == 0; o = o->next) {
        struct jinja_value right = jinja_eval(r, o->a);
        r->at = o->at;
        holds = r->rc == 0 && compare(r, o->op, left, right);
        left = right;
    }
    return jinja_bool(holds);
}

static struct jinja_value eval_sign(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value v = jinja_eval(r, n->a);
    if (!jinja_is_number(v))
        return jinja_fail(r, "a sign stands before %s", jinja_type_name(v));
    if (n->op == '+')
        return v.type == JINJA_BOOL ? jinja_int(v.yes) : v;
    return v.type == JINJA_FLOAT ? jinja_float(-v.real)
                                 : jinja_binary(r, '-', jinja_int(0), jinja_int(jinja_whole(v)));
}

static struct jinja_value eval_applied(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_args a;
    struct jinja_value input = jinja_eval(r, n->a);
    if (r->rc || !take_args(r, n->b, &a))
        return (struct jinja_value){0};
    r->at = n->at;
    if (!n->builtin)
        return jinja_fail(r, "there is no %s \"%.*s\" here", n->kind == N_TEST ? "test" : "filter",
                          (int)MIN(n->name->len, 40u), n->name->data);
    return jinja_call_builtin(r, n->builtin, input, &a);
}

static struct jinja_value eval_slice(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value v = jinja_eval(r, n->a), from = jinja_none(), to = from, step = from;
    if (n->b)
        from = jinja_eval(r, n->b);
    if (n->c)
        to = jinja_eval(r, n->c);
    if (n->d)
        step = jinja_eval(r, n->d);
    r->at = n->at;
    return r->rc ? v : jinja_slice(r, v, from, to, step);
}

static struct jinja_value evaluate(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value a, b;
    switch (n->kind) {
    case N_CONST:
        return n->value;
    case N_NAME:
        return lookup(r, n);
    case N_HOLE:
        return n->value;
    case N_LIST:
    case N_TUPLE:
        return eval_list(r, n);
    case N_DICT:
        return eval_dict(r, n);
    case N_ATTR:
        a = jinja_eval(r, n->a);
        r->at = n->at;
        return r->rc ? a : jinja_attr(r, a, n->name);
    case N_ITEM:
        a = jinja_eval(r, n->a);
        b = jinja_eval(r, n->b);
        r->at = n->at;
        return r->rc ? a : jinja_item(r, a, b);
    case N_SLICE:
        return eval_slice(r, n);
    case N_CALL:
        return jinja_call(r, n, NULL);
    case N_FILTER:
    case N_TEST:
        return eval_applied(r, n);
    case N_NOT:
        return jinja_bool(!jinja_truth(jinja_eval(r, n->a)));
    case N_SIGN:
        return eval_sign(r, n);
    case N_AND:
        a = jinja_eval(r, n->a);
        return jinja_truth(a) ? jinja_eval(r, n->b) : a;
    case N_OR:
        a = jinja_eval(r, n->a);
        return jinja_truth(a) ? a : jinja_eval(r, n->b);
    case N_COND:
        if (jinja_truth(jinja_eval(r, n->a)))
            return jinja_eval(r, n->b);
        return n->c ? jinja_eval(r, n->c) : (struct jinja_value){0};
    case N_BINARY:
        a = jinja_eval(r, n->a);
        b = jinja_eval(r, n->b);
        r->at = n->at;
        return r->rc ? a : jinja_binary(r, n->op, a, b);
    case N_COMPARE:
        return eval_compare(r, n);
    default:
        trit_unreachable("a statement among expressions");
    }
}

struct jinja_value jinja_eval(struct jinja_run *r, const struct jinja_node *n)
{
    if (!jinja_descend(r))
        return (struct jinja_value){0};
    r->at = n->at;
    struct jinja_value v = evaluate(r, n);
    jinja_ascend(r);
    /* cppcheck-suppress internalAstError ; it does not know literals of structs */
    return r->rc ? (struct jinja_value){0} : v;
}
