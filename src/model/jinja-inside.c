/* SPDX-License-Identifier: MIT */
/*
 * jinja-inside.c - what is inside of values: attributes, elements, slices.
 *
 * What is not there is undefined, as in Jinja2; only what has no value at all may not be asked.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"

bool jinja_dict_find(struct jinja_run *r, const struct jinja_dict *d, struct jinja_value key,
                     struct jinja_value *v)
{
    if (!jinja_charge(r, 1 + d->n / 8))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        const struct jinja_value have = d->pair[i].key;
        bool same = key.type == JINJA_STRING
                        ? have.type == JINJA_STRING && jinja_same_string(have.string, key.string)
                        : have.type != JINJA_STRING && jinja_same(r, have, key);
        if (same) {
            *v = d->pair[i].value;
            return true;
        }
    }
    return false;
}

void jinja_dict_set(struct jinja_run *r, struct jinja_value dict, struct jinja_value key,
                    struct jinja_value value)
{
    struct jinja_value old;
    if (!jinja_dict_find(r, dict.dict, key, &old)) {
        jinja_put(&r->pool, dict, key, value);
        return;
    }
    for (size_t i = 0; i < dict.dict->n; i++)
        if (jinja_same(r, dict.dict->pair[i].key, key))
            dict.dict->pair[i].value = value;
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
        {"depth", jinja_int(1)}, /* more is only where loops are recursive */
        {"depth0", jinja_int(0)},
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
        /* cppcheck-suppress internalAstError ; it does not know literals of structs */
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
