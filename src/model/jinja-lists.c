/* SPDX-License-Identifier: MIT */
/*
 * jinja-lists.c - filters that go through the elements of a value; and tests, which some of them
 * apply.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"

static const struct jinja_value nothing;

FILTER(filter_first)
{
    const struct jinja_list *l = jinja_elements(r, self);
    return l->n ? l->v[0] : nothing;
}

FILTER(filter_last)
{
    const struct jinja_list *l = jinja_elements(r, self);
    return l->n ? l->v[l->n - 1] : nothing;
}

FILTER(filter_list)
{
    const struct jinja_list *l = jinja_elements(r, self);
    struct jinja_value copy = jinja_list_sized(&r->pool, l->n, false);
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++)
        jinja_push(&r->pool, copy, l->v[i]);
    return copy;
}

FILTER(filter_reverse)
{
    const struct jinja_list *l = jinja_elements(r, self);
    struct jinja_value copy = jinja_list_sized(&r->pool, l->n, false);
    struct jinja_out o = {.pool = &r->pool};
    for (size_t i = l->n; i-- > 0 && jinja_charge(r, 1);)
        if (self.type == JINJA_STRING && l->v[i].type == JINJA_STRING)
            jinja_add_string(&o, l->v[i].string);
        else
            jinja_push(&r->pool, copy, l->v[i]);
    return self.type == JINJA_STRING ? jinja_take(&o) : copy;
}

/* An element, or that attribute of it. */
static struct jinja_value aspect(struct jinja_run *r, struct jinja_value v,
                                 const struct jinja_value *attribute)
{
    return attribute && attribute->type != JINJA_NONE ? jinja_path(r, v, *attribute) : v;
}

FILTER(filter_join)
{
    const struct jinja_list *l = jinja_elements(r, self);
    const struct jinja_value *by = jinja_arg(a, 0, "d"), *attribute = jinja_arg(a, 1, "attribute");
    struct jinja_out o = {.pool = &r->pool};
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++) {
        if (i && by)
            jinja_print(r, &o, *by, false);
        jinja_print(r, &o, aspect(r, l->v[i], attribute), false);
    }
    return jinja_take(&o);
}

FILTER(filter_items)
{
    static const struct jinja_string name = {"items", 5, NULL, 0};
    const struct jinja_args none = {0};
    if (self.type == JINJA_UNDEFINED)
        return jinja_list(&r->pool);
    if (self.type != JINJA_DICT)
        return jinja_fail(r, "items of %s", jinja_type_name(self));
    return jinja_find_method(JINJA_DICT, &name)->call(r, self, &none);
}

/* ------------------------------------------------------------------ order */

struct sortable {
    struct jinja_value key, value;
};

static struct jinja_value sort_key(struct jinja_run *r, struct jinja_value v, bool by_case)
{
    return v.type == JINJA_STRING && !by_case ? jinja_cased(r, v.string, CASE_LOWER) : v;
}

/* A stable merge sort of v[0, n), with room for as many. */
static void sort(struct jinja_run *r, struct sortable *v, struct sortable *spare, size_t n,
                 bool down)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t from = 0; from < n; from += 2 * run) {
            size_t i = from, mid = MIN(from + run, n), k = mid, end = MIN(from + 2 * run, n);
            for (size_t to = from; to < end; to++) {
                if (!jinja_charge(r, 1))
                    return;
                bool left = k == end;
                if (!left && i < mid) {
                    int order = jinja_order(r, v[i].key, v[k].key);
                    left = down ? order >= 0 : order <= 0;
                }
                spare[to] = left ? v[i++] : v[k++];
            }
        }
        memcpy(v, spare, n * sizeof *v);
    }
}

/* The elements in order of their keys. */
static struct jinja_value sorted(struct jinja_run *r, struct sortable *v, size_t n, bool down)
{
    struct jinja_value l = jinja_list_sized(&r->pool, n, false);
    struct sortable *spare = jinja_alloc(&r->pool, n, sizeof *spare);
    if (!spare)
        return nothing;
    sort(r, v, spare, n, down);
    for (size_t i = 0; i < n; i++)
        jinja_push(&r->pool, l, v[i].value);
    return l;
}

FILTER(filter_sort)
{
    const struct jinja_list *l = jinja_elements(r, self);
    const struct jinja_value *attribute = jinja_arg(a, 2, "attribute");
    bool by_case = jinja_arg_truth(a, 1, "case_sensitive", false);
    struct sortable *v = jinja_alloc(&r->pool, l->n, sizeof *v);
    for (size_t i = 0; v && i < l->n && r->rc == 0; i++)
        v[i] = (struct sortable){sort_key(r, aspect(r, l->v[i], attribute), by_case), l->v[i]};
    return v && r->rc == 0 ? sorted(r, v, l->n, jinja_arg_truth(a, 0, "reverse", false)) : nothing;
}

FILTER(filter_dictsort)
{
    const struct jinja_value *by = jinja_arg(a, 1, "by");
    bool by_value = by && by->type == JINJA_STRING && by->string->len == 5;
    bool by_case = jinja_arg_truth(a, 0, "case_sensitive", false);
    struct jinja_value pairs = filter_items(r, self, a);
    struct sortable *v =
        pairs.type == JINJA_LIST ? jinja_alloc(&r->pool, pairs.list->n, sizeof *v) : NULL;
    for (size_t i = 0; v && i < pairs.list->n && r->rc == 0; i++) {
        const struct jinja_list *pair = pairs.list->v[i].list;
        if (pair && pair->n == 2)
            v[i] = (struct sortable){sort_key(r, pair->v[by_value], by_case), pairs.list->v[i]};
    }
    return v && r->rc == 0 ? sorted(r, v, pairs.list->n, jinja_arg_truth(a, 2, "reverse", false))
                           : nothing;
}

FILTER(filter_unique)
{
    const struct jinja_list *l = jinja_elements(r, self);
    const struct jinja_value *attribute = jinja_arg(a, 1, "attribute");
    bool by_case = jinja_arg_truth(a, 0, "case_sensitive", false);
    struct jinja_value once = jinja_list(&r->pool), keys = jinja_list(&r->pool);
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++) {
        struct jinja_value key = sort_key(r, aspect(r, l->v[i], attribute), by_case);
        if (jinja_contains(r, keys, key))
            continue;
        jinja_push(&r->pool, keys, key);
        jinja_push(&r->pool, once, l->v[i]);
    }
    return once;
}

/* The least or the greatest. */
static struct jinja_value extreme(struct jinja_run *r, struct jinja_value self,
                                  const struct jinja_args *a, int sign)
{
    const struct jinja_list *l = jinja_elements(r, self);
    const struct jinja_value *attribute = jinja_arg(a, 1, "attribute");
    bool by_case = jinja_arg_truth(a, 0, "case_sensitive", false);
    struct jinja_value best = nothing, best_key = nothing;
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++) {
        struct jinja_value key = sort_key(r, aspect(r, l->v[i], attribute), by_case);
        if (i > 0 && sign * jinja_order(r, key, best_key) <= 0)
            continue;
        best = l->v[i];
        best_key = key;
    }
    return best;
}

FILTER(filter_min)
{
    return extreme(r, self, a, -1);
}

FILTER(filter_max)
{
    return extreme(r, self, a, 1);
}

FILTER(filter_sum)
{
    const struct jinja_list *l = jinja_elements(r, self);
    const struct jinja_value *attribute = jinja_arg(a, 0, "attribute"),
                             *start = jinja_arg(a, 1, "start");
    struct jinja_value sum = start ? *start : jinja_int(0);
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++)
        sum = jinja_binary(r, '+', sum, aspect(r, l->v[i], attribute));
    return sum;
}

/* ------------------------------------------------------------------ filters of elements */

/* The arguments behind the first n. */
static struct jinja_args behind(const struct jinja_args *a, size_t n)
{
    n = MIN(n, a->n_positional);
    return (struct jinja_args){a->v + n, a->name + n, a->n - n, a->n_positional - n};
}

/* The elements; none of what is false, None too, as Jinja2 has it for these filters. */
static const struct jinja_list *present(struct jinja_run *r, struct jinja_value v)
{
    return jinja_elements(r, jinja_truth(v) ? v : nothing);
}

FILTER(filter_map)
{
    const struct jinja_list *l = present(r, self);
    const struct jinja_value *attribute = jinja_arg(a, a->n, "attribute");
    const struct jinja_value *otherwise = jinja_arg(a, a->n, "default");
    const struct jinja_builtin *b = NULL;
    const struct jinja_args rest = behind(a, 1);
    struct jinja_value made = jinja_list_sized(&r->pool, l->n, false);
    if (!attribute) {
        if (a->n_positional == 0 || a->v[0].type != JINJA_STRING)
            return jinja_fail(r, "map takes attribute=... or the name of a filter");
        b = jinja_find_filter(a->v[0].string);
        if (!b)
            return jinja_fail(r, "there is no filter \"%.*s\" here",
                              (int)MIN(a->v[0].string->len, 40u), a->v[0].string->data);
    }
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++) {
        struct jinja_value v =
            b ? jinja_call_builtin(r, b, l->v[i], &rest) : jinja_path(r, l->v[i], *attribute);
        if (!b && v.type == JINJA_UNDEFINED && otherwise)
            v = *otherwise;
        jinja_push(&r->pool, made, v);
    }
    return made;
}

/* select, reject, and by an attribute.  A test is named in argument `at`; without one it is truth.
 */
static struct jinja_value choose(struct jinja_run *r, struct jinja_value self,
                                 const struct jinja_args *a, size_t at, bool wanted)
{
    const struct jinja_list *l = present(r, self);
    const struct jinja_args rest = behind(a, at + 1);
    const struct jinja_builtin *test = NULL;
    struct jinja_value made = jinja_list(&r->pool);
    if (a->n_positional > at) {
        const struct jinja_value name = a->v[at];
        if (name.type == JINJA_STRING)
            test = jinja_find_test(name.string->data, name.string->len);
        if (!test)
            return jinja_fail(r, "there is no test of this name here");
    }
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++) {
        struct jinja_value v = at ? jinja_path(r, l->v[i], a->v[0]) : l->v[i];
        if (jinja_truth(test ? jinja_call_builtin(r, test, v, &rest) : v) == wanted)
            jinja_push(&r->pool, made, l->v[i]);
    }
    return made;
}

FILTER(filter_select)
{
    return choose(r, self, a, 0, true);
}

FILTER(filter_reject)
{
    return choose(r, self, a, 0, false);
}

FILTER(filter_selectattr)
{
    return a->n_positional ? choose(r, self, a, 1, true)
                           : jinja_fail(r, "selectattr takes the name of an attribute");
}

FILTER(filter_rejectattr)
{
    return a->n_positional ? choose(r, self, a, 1, false)
                           : jinja_fail(r, "rejectattr takes the name of an attribute");
}

const struct jinja_builtin *jinja_find_list_filter(const struct jinja_string *name)
{
    static const struct jinja_builtin all[] = {
        {"first", filter_first, 0, ""},
        {"last", filter_last, 0, ""},
        {"list", filter_list, 0, ""},
        {"reverse", filter_reverse, 0, ""},
        {"join", filter_join, 0, "d attribute"},
        {"items", filter_items, 0, ""},
        {"sort", filter_sort, 0, "reverse case_sensitive attribute"},
        {"dictsort", filter_dictsort, 0, "case_sensitive by reverse"},
        {"unique", filter_unique, 0, "case_sensitive attribute"},
        {"min", filter_min, 0, "case_sensitive attribute"},
        {"max", filter_max, 0, "case_sensitive attribute"},
        {"sum", filter_sum, 0, "attribute start"},
        {"map", filter_map, 1, "..."},
        {"select", filter_select, 0, "..."},
        {"reject", filter_reject, 0, "..."},
        {"selectattr", filter_selectattr, 1, "..."},
        {"rejectattr", filter_rejectattr, 1, "..."},
    };
    return jinja_builtin_in(all, ARRAY_LEN(all), name->data, name->len);
}
