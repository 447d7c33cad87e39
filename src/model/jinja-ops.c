/* SPDX-License-Identifier: MIT */
/*
 * jinja-ops.c - truth, comparison and arithmetic, with Python's meaning.
 *
 * Integers have 64 bits; what would need more is an error.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

bool jinja_truth(struct jinja_value v)
{
    switch (v.type) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v.yes;
    case JINJA_INT:
        return v.number != 0;
    case JINJA_FLOAT:
        return v.real != 0;
    case JINJA_STRING:
        return v.string->len > 0;
    case JINJA_LIST:
        return v.list->n > 0;
    case JINJA_DICT:
        return v.dict->n > 0 || v.dict->name_space;
    case JINJA_FUNCTION:
    case JINJA_LOOP:
        return true;
    }
    return false;
}

bool jinja_is_number(struct jinja_value v)
{
    return v.type == JINJA_BOOL || v.type == JINJA_INT || v.type == JINJA_FLOAT;
}

int64_t jinja_whole(struct jinja_value v)
{
    return v.type == JINJA_BOOL ? v.yes : v.number;
}

double jinja_real(struct jinja_value v)
{
    return v.type == JINJA_FLOAT ? v.real : (double)jinja_whole(v);
}

/* ------------------------------------------------------------------ comparison */

bool jinja_same_string(const struct jinja_string *a, const struct jinja_string *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool same_list(struct jinja_run *r, const struct jinja_list *a, const struct jinja_list *b)
{
    bool same = a->n == b->n && a->tuple == b->tuple;
    for (size_t i = 0; i < a->n && same; i++)
        same = jinja_same(r, a->v[i], b->v[i]);
    return same;
}

static bool same_dict(struct jinja_run *r, const struct jinja_dict *a, const struct jinja_dict *b)
{
    struct jinja_value other;
    bool same = a->n == b->n;
    for (size_t i = 0; i < a->n && same; i++)
        same =
            jinja_dict_find(r, b, a->pair[i].key, &other) && jinja_same(r, a->pair[i].value, other);
    return same;
}

bool jinja_same(struct jinja_run *r, struct jinja_value a, struct jinja_value b)
{
    bool same = false;
    if (jinja_is_number(a) && jinja_is_number(b))
        return a.type == JINJA_FLOAT || b.type == JINJA_FLOAT ? jinja_real(a) == jinja_real(b)
                                                              : jinja_whole(a) == jinja_whole(b);
    if (a.type != b.type || !jinja_descend(r))
        return false;
    switch (a.type) {
    case JINJA_STRING:
        same = jinja_same_string(a.string, b.string);
        break;
    case JINJA_LIST:
        same = same_list(r, a.list, b.list);
        break;
    case JINJA_DICT:
        same = a.dict == b.dict || same_dict(r, a.dict, b.dict);
        break;
    case JINJA_FUNCTION:
        same = a.function == b.function;
        break;
    case JINJA_LOOP:
        same = a.loop == b.loop;
        break;
    default: /* undefined and none are each one value */
        same = true;
    }
    jinja_ascend(r);
    return same;
}

int jinja_order(struct jinja_run *r, struct jinja_value a, struct jinja_value b)
{
    int order = 0;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a.type == JINJA_FLOAT || b.type == JINJA_FLOAT)
            return (jinja_real(a) > jinja_real(b)) - (jinja_real(a) < jinja_real(b));
        return (jinja_whole(a) > jinja_whole(b)) - (jinja_whole(a) < jinja_whole(b));
    }
    if (a.type == JINJA_STRING && b.type == JINJA_STRING) {
        /* The order of UTF-8's bytes is that of code points. */
        size_t n = MIN(a.string->len, b.string->len);
        jinja_charge_bytes(r, n);
        order = memcmp(a.string->data, b.string->data, n);
        return order ? order : (a.string->len > b.string->len) - (a.string->len < b.string->len);
    }
    if (a.type == JINJA_LIST && b.type == JINJA_LIST) {
        if (!jinja_descend(r))
            return 0;
        size_t n = MIN(a.list->n, b.list->n);
        for (size_t i = 0; i < n && order == 0; i++)
            order = jinja_order(r, a.list->v[i], b.list->v[i]);
        jinja_ascend(r);
        return order ? order : (a.list->n > b.list->n) - (a.list->n < b.list->n);
    }
    jinja_fail(r, "%s and %s have no order", jinja_type_name(a), jinja_type_name(b));
    return 0;
}

bool jinja_contains(struct jinja_run *r, struct jinja_value all, struct jinja_value one)
{
    struct jinja_value ignored;
    switch (all.type) {
    case JINJA_STRING:
        if (one.type != JINJA_STRING) {
            jinja_fail(r, "\"in\" looks for %s in a string", jinja_type_name(one));
            return false;
        }
        jinja_charge_bytes(r, all.string->len);
        return memmem(all.string->data, all.string->len, one.string->data, one.string->len) != NULL;
    case JINJA_LIST:
        for (size_t i = 0; i < all.list->n && r->rc == 0; i++)
            if (jinja_charge(r, 1) && jinja_same(r, all.list->v[i], one))
                return true;
        return false;
    case JINJA_DICT:
        return jinja_dict_find(r, all.dict, one, &ignored);
    case JINJA_UNDEFINED:
        return false;
    default:
        jinja_fail(r, "\"in\" looks into %s", jinja_type_name(all));
        return false;
    }
}

/* ------------------------------------------------------------------ arithmetic */

static struct jinja_value overflow(struct jinja_run *r)
{
    return jinja_fail(r, "the result is no integer of 64 bits");
}

/* As Python rounds: towards minus infinity. */
static struct jinja_value divide(struct jinja_run *r, unsigned op, int64_t a, int64_t b)
{
    if (b == 0)
        return jinja_fail(r, "division by zero");
    if (b == -1)
        return op == '%' ? jinja_int(0) : a == INT64_MIN ? overflow(r) : jinja_int(-a);
    int64_t quotient = a / b, rest = a % b;
    bool down = rest != 0 && (rest < 0) != (b < 0);
    return jinja_int(op == '%' ? rest + (down ? b : 0) : quotient - down);
}

static struct jinja_value power(struct jinja_run *r, int64_t a, int64_t b)
{
    int64_t result = 1;
    bool over = false;
    if (b < 0)
        return a == 0 ? jinja_fail(r, "division by zero") : jinja_float(pow((double)a, (double)b));
    for (; b > 0 && !over; b >>= 1) {
        if (b & 1)
            over = __builtin_mul_overflow(result, a, &result);
        if (b > 1 && !over)
            over = __builtin_mul_overflow(a, a, &a);
    }
    return over ? overflow(r) : jinja_int(result);
}

static struct jinja_value whole_numbers(struct jinja_run *r, unsigned op, int64_t a, int64_t b)
{
    int64_t result;
    bool over;
    switch (op) {
    case '+':
        over = __builtin_add_overflow(a, b, &result);
        break;
    case '-':
        over = __builtin_sub_overflow(a, b, &result);
        break;
    case '*':
        over = __builtin_mul_overflow(a, b, &result);
        break;
    case '/':
        return b == 0 ? jinja_fail(r, "division by zero") : jinja_float((double)a / (double)b);
    case OP2('*', '*'):
        return power(r, a, b);
    default:
        return divide(r, op, a, b);
    }
    return over ? overflow(r) : jinja_int(result);
}

static struct jinja_value real_numbers(struct jinja_run *r, unsigned op, double a, double b)
{
    double rest;
    switch (op) {
    case '+':
        return jinja_float(a + b);
    case '-':
        return jinja_float(a - b);
    case '*':
        return jinja_float(a * b);
    case OP2('*', '*'):
        return a == 0 && b < 0 ? jinja_fail(r, "division by zero") : jinja_float(pow(a, b));
    default:
        break;
    }
    if (b == 0)
        return jinja_fail(r, "division by zero");
    if (op == '/')
        return jinja_float(a / b);
    rest = fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0))
        rest += b;
    return jinja_float(op == '%' ? rest : round((a - rest) / b));
}

static struct jinja_value repeat(struct jinja_run *r, struct jinja_value v, int64_t times)
{
    size_t n = v.type == JINJA_STRING ? v.string->len : v.list->n, all;
    times = MAX(times, 0);
    if (__builtin_mul_overflow(n, (uint64_t)times, &all) || all > JINJA_POOL_BYTES)
        return jinja_fail(r, "%lld times %s is too large", (long long)times, jinja_type_name(v));
    if (!jinja_charge(r, v.type == JINJA_STRING ? (size_t)(n ? times : 0) : all))
        return (struct jinja_value){0};
    if (v.type == JINJA_LIST) {
        struct jinja_value l = jinja_list_sized(&r->pool, all, v.list->tuple);
        for (size_t i = 0; i < all; i++)
            jinja_push(&r->pool, l, v.list->v[i % n]);
        return l;
    }
    struct jinja_out o = {.pool = &r->pool};
    for (size_t i = 0; n && i < (size_t)times && r->rc == 0; i++)
        jinja_add_string(&o, v.string);
    return jinja_take(&o);
}

static struct jinja_value join_lists(struct jinja_run *r, const struct jinja_list *a,
                                     const struct jinja_list *b)
{
    if (!jinja_charge(r, a->n + b->n))
        return (struct jinja_value){0};
    struct jinja_value l = jinja_list_sized(&r->pool, a->n + b->n, a->tuple);
    for (size_t i = 0; i < a->n; i++)
        jinja_push(&r->pool, l, a->v[i]);
    for (size_t i = 0; i < b->n; i++)
        jinja_push(&r->pool, l, b->v[i]);
    return l;
}

static bool repeats(struct jinja_value v, struct jinja_value times)
{
    return (v.type == JINJA_STRING || v.type == JINJA_LIST) &&
           (times.type == JINJA_INT || times.type == JINJA_BOOL);
}

struct jinja_value jinja_binary(struct jinja_run *r, unsigned op, struct jinja_value a,
                                struct jinja_value b)
{
    if (op == '~') {
        const struct jinja_string *left = jinja_str(r, a), *right = jinja_str(r, b);
        jinja_charge_bytes(r, left->len + right->len);
        return jinja_concat(&r->pool, left, right);
    }
    if (jinja_is_number(a) && jinja_is_number(b))
        return a.type == JINJA_FLOAT || b.type == JINJA_FLOAT
                   ? real_numbers(r, op, jinja_real(a), jinja_real(b))
                   : whole_numbers(r, op, jinja_whole(a), jinja_whole(b));
    if (op == '+' && a.type == JINJA_STRING && b.type == JINJA_STRING) {
        jinja_charge_bytes(r, b.string->len);
        return jinja_concat(&r->pool, a.string, b.string);
    }
    if (op == '+' && a.type == JINJA_LIST && b.type == JINJA_LIST && a.list->tuple == b.list->tuple)
        return join_lists(r, a.list, b.list);
    if (op == '*' && repeats(a, b))
        return repeat(r, a, jinja_whole(b));
    if (op == '*' && repeats(b, a))
        return repeat(r, b, jinja_whole(a));
    if (op == '%' && a.type == JINJA_STRING) {
        bool many = b.type == JINJA_LIST && b.list->tuple;
        return jinja_percent(r, a.string, many ? b.list->v : &b, many ? b.list->n : 1);
    }
    return jinja_fail(r, "the operator \"%s%c\" does not take %s and %s",
                      op == OP2('/', '/')   ? "/"
                      : op == OP2('*', '*') ? "*"
                                            : "",
                      (int)(op & 0xff), jinja_type_name(a), jinja_type_name(b));
}
