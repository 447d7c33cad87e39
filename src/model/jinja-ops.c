/* SPDX-License-Identifier: MIT */
/*
 * jinja-ops.c - operators, comparison, attributes and slices, with Python's meaning.
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

static bool same_string(const struct jinja_string *a, const struct jinja_string *b)
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
        same = same_string(a.string, b.string);
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
        return jinja_float(pow(a, b));
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

/* ------------------------------------------------------------------ inside of values */

bool jinja_dict_find(struct jinja_run *r, const struct jinja_dict *d, struct jinja_value key,
                     struct jinja_value *v)
{
    if (!jinja_charge(r, 1 + d->n / 8))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        const struct jinja_value have = d->pair[i].key;
        bool same = key.type == JINJA_STRING
                        ? have.type == JINJA_STRING && same_string(have.string, key.string)
                        : have.type != JINJA_STRING && jinja_same(r, have, key);
        if (same) {
            *v = d->pair[i].value;
            return true;
        }
    }
    return false;
}

struct jinja_value jinja_method(struct jinja_run *r, const struct jinja_builtin *b,
                                struct jinja_value self)
{
    struct jinja_function *f = jinja_alloc(&r->pool, 1, sizeof *f);
    if (!f)
        return (struct jinja_value){0};
    f->builtin = b;
    f->self = self;
    return (struct jinja_value){.type = JINJA_FUNCTION, .function = f};
}

static struct jinja_value loop_attr(struct jinja_run *r, struct jinja_value self,
                                    const struct jinja_string *name)
{
    const struct jinja_loop *l = self.loop;
    const struct jinja_value nothing = {0};
    const struct {
        const char *name;
        struct jinja_value value;
    } all[] = {
        {"index", jinja_int((int64_t)l->i + 1)},
        {"index0", jinja_int((int64_t)l->i)},
        {"first", jinja_bool(l->i == 0)},
        {"last", jinja_bool(l->i + 1 == l->n)},
        {"length", jinja_int((int64_t)l->n)},
        {"revindex", jinja_int((int64_t)(l->n - l->i))},
        {"revindex0", jinja_int((int64_t)(l->n - l->i) - 1)},
        {"previtem", l->i > 0 ? l->item[l->i - 1] : nothing},
        {"nextitem", l->i + 1 < l->n ? l->item[l->i + 1] : nothing},
        {"depth", jinja_int(l->depth)},
        {"depth0", jinja_int((int64_t)l->depth - 1)},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strlen(all[i].name) == name->len && memcmp(all[i].name, name->data, name->len) == 0)
            return all[i].value;
    const struct jinja_builtin *b = jinja_find_method(JINJA_LOOP, name);
    return b ? jinja_method(r, b, self) : nothing;
}

struct jinja_value jinja_attr(struct jinja_run *r, struct jinja_value v,
                              const struct jinja_string *name)
{
    struct jinja_value found = {0};
    const struct jinja_builtin *b;
    if (v.type == JINJA_LOOP)
        return loop_attr(r, v, name);
    if (v.type == JINJA_UNDEFINED)
        return jinja_fail(r, "what has no value is asked for its \"%.*s\"",
                          (int)MIN(name->len, 60u), name->data);
    /* A method comes before a member of this name, as in Jinja2. */
    if (!(v.type == JINJA_DICT && v.dict->name_space) && (b = jinja_find_method(v.type, name)))
        return jinja_method(r, b, v);
    if (v.type == JINJA_DICT)
        jinja_dict_find(r, v.dict, jinja_of_string(name), &found);
    return found;
}

/* Where code point `index` of s begins, counted from the end below 0; false beyond either end. */
static bool code_at(const struct jinja_string *s, int64_t index, size_t *at)
{
    size_t i = index < 0 ? s->len : 0;
    if (index >= 0) {
        for (; i < s->len; i++)
            if (((unsigned char)s->data[i] & 0xc0) != 0x80 && index-- == 0)
                break;
        *at = i;
        return i < s->len;
    }
    while (i > 0)
        if (((unsigned char)s->data[--i] & 0xc0) != 0x80 && ++index == 0) {
            *at = i;
            return true;
        }
    return false;
}

static size_t code_bytes(const struct jinja_string *s, size_t at)
{
    size_t n = 1;
    while (at + n < s->len && ((unsigned char)s->data[at + n] & 0xc0) == 0x80)
        n++;
    return n;
}

size_t jinja_codes(const struct jinja_string *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->len; i++)
        n += ((unsigned char)s->data[i] & 0xc0) != 0x80;
    return n;
}

struct jinja_value jinja_item(struct jinja_run *r, struct jinja_value v, struct jinja_value key)
{
    struct jinja_value found = {0};
    size_t at;
    if (v.type == JINJA_UNDEFINED)
        return jinja_fail(r, "what has no value is asked for one of its members");
    if (v.type == JINJA_DICT && jinja_dict_find(r, v.dict, key, &found))
        return found;
    if (key.type == JINJA_STRING)
        return jinja_attr(r, v, key.string);
    if (key.type != JINJA_INT && key.type != JINJA_BOOL)
        return found;
    int64_t i = jinja_whole(key);
    if (v.type == JINJA_LIST) {
        int64_t n = (int64_t)v.list->n;
        if (i >= -n && i < n)
            found = v.list->v[i < 0 ? i + n : i];
    } else if (v.type == JINJA_STRING && jinja_charge_bytes(r, v.string->len) &&
               code_at(v.string, i, &at)) {
        found = jinja_part(&r->pool, v.string, at, code_bytes(v.string, at));
    }
    return found;
}

/* A bound of a slice over n elements, as Python has it; false: it is no integer. */
static bool bound(struct jinja_value v, int64_t n, int64_t otherwise, bool down, int64_t *at)
{
    if (v.type == JINJA_NONE || v.type == JINJA_UNDEFINED) {
        *at = otherwise;
        return v.type == JINJA_NONE;
    }
    if (v.type != JINJA_INT && v.type != JINJA_BOOL)
        return false;
    int64_t i = jinja_whole(v);
    if (i < 0)
        i = MAX(i + n, down ? -1 : 0);
    *at = MIN(i, down ? n - 1 : n);
    return true;
}

struct jinja_value jinja_slice(struct jinja_run *r, struct jinja_value v, struct jinja_value from,
                               struct jinja_value to, struct jinja_value step)
{
    const bool text = v.type == JINJA_STRING;
    int64_t start, stop, by = 1;
    if (!text && v.type != JINJA_LIST)
        return v.type == JINJA_UNDEFINED ? jinja_fail(r, "what has no value is cut into slices")
                                         : (struct jinja_value){0};
    if (!jinja_charge(r, text ? 1 + v.string->len / 8 : 1 + v.list->n))
        return (struct jinja_value){0};
    int64_t n = (int64_t)(text ? jinja_codes(v.string) : v.list->n);
    if (step.type != JINJA_NONE)
        by = step.type == JINJA_INT ? step.number : 0;
    bool down = by < 0;
    if (by == 0 || by == INT64_MIN || !bound(from, n, down ? n - 1 : 0, down, &start) ||
        !bound(to, n, down ? -1 : n, down, &stop))
        return jinja_fail(r, "a slice needs integers, and a step that is not 0");
    if (text && by == 1) {
        size_t a = v.string->len, b = v.string->len;
        if (start >= stop)
            return jinja_view(&r->pool, "", 0, false);
        code_at(v.string, start, &a);
        code_at(v.string, stop, &b);
        return jinja_part(&r->pool, v.string, a, b - a);
    }
    struct jinja_out o = {.pool = &r->pool};
    struct jinja_value l =
        text ? (struct jinja_value){0} : jinja_list_sized(&r->pool, 0, v.list->tuple);
    /* No element is walked twice, so the sums stay in range. */
    for (int64_t i = start; (down ? i > stop : i < stop) && r->rc == 0;) {
        size_t at;
        if (!text)
            jinja_push(&r->pool, l, v.list->v[i]);
        else if (jinja_charge_bytes(r, v.string->len) && code_at(v.string, i, &at))
            jinja_add_part(&o, v.string, at, code_bytes(v.string, at));
        if (__builtin_add_overflow(i, by, &i))
            break;
    }
    return text ? jinja_take(&o) : l;
}

struct jinja_value jinja_path(struct jinja_run *r, struct jinja_value v, struct jinja_value path)
{
    if (path.type != JINJA_STRING)
        return jinja_item(r, v, path);
    const struct jinja_string *s = path.string;
    for (size_t at = 0; at <= s->len && r->rc == 0;) {
        const char *dot = memchr(s->data + at, '.', s->len - at);
        size_t len = dot ? (size_t)(dot - s->data) - at : s->len - at;
        int64_t index = 0;
        bool number = len > 0 && len < 10;
        for (size_t i = at; i < at + len && number; i++) {
            number = s->data[i] >= '0' && s->data[i] <= '9';
            index = index * 10 + (s->data[i] - '0');
        }
        v = jinja_item(r, v, number ? jinja_int(index) : jinja_part(&r->pool, s, at, len));
        at += len + 1;
    }
    return v;
}

const struct jinja_list *jinja_elements(struct jinja_run *r, struct jinja_value v)
{
    static const struct jinja_list none = {0};
    struct jinja_value l;
    switch (v.type) {
    case JINJA_LIST:
        return jinja_charge(r, 1) ? v.list : &none;
    case JINJA_UNDEFINED:
        return &none;
    case JINJA_DICT:
        if (!jinja_charge(r, v.dict->n))
            return &none;
        l = jinja_list_sized(&r->pool, v.dict->n, false);
        for (size_t i = 0; i < v.dict->n; i++)
            jinja_push(&r->pool, l, v.dict->pair[i].key);
        break;
    case JINJA_STRING:
        if (!jinja_charge(r, v.string->len))
            return &none;
        l = jinja_list(&r->pool);
        for (size_t i = 0, n; i < v.string->len; i += n) {
            n = code_bytes(v.string, i);
            jinja_push(&r->pool, l, jinja_part(&r->pool, v.string, i, n));
        }
        break;
    default:
        jinja_fail(r, "%s has no elements to go through", jinja_type_name(v));
        return &none;
    }
    return l.type == JINJA_LIST ? l.list : &none;
}
