/* SPDX-License-Identifier: MIT */
/*
 * jinja-filters.c - filters that make one value of one value; the functions of the program; methods
 * of lists and dicts.  Filters that go through elements are in jinja-lists.c.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

const struct jinja_builtin *jinja_builtin_in(const struct jinja_builtin *table, size_t n,
                                             const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    return NULL;
}

/* ------------------------------------------------------------------ text */

FILTER(filter_trim)
{
    return jinja_stripped(r, jinja_str(r, self), jinja_arg(a, 0, "chars"), true, true);
}

FILTER(filter_upper)
{
    return jinja_cased(r, jinja_str(r, self), CASE_UPPER);
}

FILTER(filter_lower)
{
    return jinja_cased(r, jinja_str(r, self), CASE_LOWER);
}

FILTER(filter_capitalize)
{
    return jinja_cased(r, jinja_str(r, self), CASE_CAPITAL);
}

FILTER(filter_title)
{
    return jinja_cased(r, jinja_str(r, self), CASE_TITLE_FILTER);
}

FILTER(filter_string)
{
    return jinja_of_string(jinja_str(r, self));
}

FILTER(filter_replace)
{
    const struct jinja_value *old = jinja_arg(a, 0, "old"), *with = jinja_arg(a, 1, "new");
    if (!old || !with)
        return jinja_fail(r, "replace takes what to replace, and with what");
    return jinja_replaced(r, jinja_str(r, self), jinja_str(r, *old), jinja_str(r, *with),
                          jinja_arg_int(r, a, 2, "count", -1));
}

FILTER(filter_format)
{
    return jinja_percent(r, jinja_str(r, self), a->v, a->n_positional);
}

FILTER(filter_escape)
{
    static const char *const with[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&#34;", ['\''] = "&#39;"};
    const struct jinja_string *s = jinja_str(r, self);
    struct jinja_out o = {.pool = &r->pool};
    size_t from = 0;
    for (size_t i = 0; i < s->len; i++) {
        unsigned char c = (unsigned char)s->data[i];
        if (c >= ARRAY_LEN(with) || !with[c])
            continue;
        jinja_add_part(&o, s, from, i - from);
        jinja_adds(&o, with[c]);
        from = i + 1;
    }
    jinja_charge_bytes(r, s->len);
    jinja_add_part(&o, s, from, s->len - from);
    return jinja_take(&o);
}

/* Lines but the first, and but empty ones, are moved to the right. */
FILTER(filter_indent)
{
    const struct jinja_string *s = jinja_str(r, self);
    const struct jinja_value *width = jinja_arg(a, 0, "width");
    bool first = jinja_arg_truth(a, 1, "first", false),
         blank = jinja_arg_truth(a, 2, "blank", false);
    struct jinja_out in = {.pool = &r->pool}, o = {.pool = &r->pool};
    if (width && width->type == JINJA_STRING)
        jinja_add_string(&in, width->string);
    else
        for (int64_t i = MIN(jinja_arg_int(r, a, 0, "width", 4), 1000); i > 0; i--)
            jinja_adds(&in, " ");
    struct jinja_value indent = jinja_take(&in);
    /* Jinja2 puts "\n" behind the text before it cuts it into lines: "\r" there is one with it. */
    size_t len = s->len - (s->len && s->data[s->len - 1] == '\r');
    for (size_t at = 0, next; indent.type == JINJA_STRING && jinja_charge(r, 1); at = next) {
        size_t end = jinja_line_end(s, at, &next);
        if (at && s->data[at - 1] == '\n')
            jinja_add_part(&o, s, at - 1, 1); /* It stays whose it is. */
        else if (at)
            jinja_adds(&o, "\n");
        if (at == 0 ? first : (blank || end > at))
            jinja_add_string(&o, indent.string);
        jinja_add_part(&o, s, at, end - at);
        if (end >= len)
            break;
    }
    return jinja_take(&o);
}

/* ------------------------------------------------------------------ numbers */

FILTER(filter_abs)
{
    if (self.type == JINJA_FLOAT)
        return jinja_float(fabs(self.real));
    if (!jinja_is_number(self))
        return jinja_fail(r, "abs of %s", jinja_type_name(self));
    int64_t v = jinja_whole(self);
    return v < 0 ? jinja_binary(r, '-', jinja_int(0), jinja_int(v)) : jinja_int(v);
}

/* The number that the whole of a text is. */
static bool read_number(const struct jinja_string *s, struct jinja_value *v, bool real, int base)
{
    char text[64], *end;
    size_t from = jinja_space_before(s->data, s->len);
    size_t len = s->len - from - jinja_space_after(s->data + from, s->len - from);
    if (len == 0 || len >= sizeof text || memchr(s->data + from, '\0', len))
        return false;
    memcpy(text, s->data + from, len);
    text[len] = '\0';
    errno = 0;
    if (real)
        *v = jinja_float(strtod(text, &end));
    else
        *v = jinja_int(strtoll(text, &end, base));
    return *end == '\0' && errno == 0 && (!real || !strpbrk(text, "xXpP("));
}

FILTER(filter_int)
{
    const struct jinja_value *otherwise = jinja_arg(a, 0, "default");
    int64_t base = jinja_arg_int(r, a, 1, "base", 10);
    struct jinja_value v = {0};
    if (base < 2 || base > 36)
        return jinja_fail(r, "int: found the base %lld", (long long)base);
    if (self.type == JINJA_BOOL || self.type == JINJA_INT)
        return jinja_int(jinja_whole(self));
    if (self.type == JINJA_STRING && read_number(self.string, &v, false, (int)base))
        return v;
    if (self.type == JINJA_STRING && read_number(self.string, &v, true, 10))
        self = v;
    if (self.type == JINJA_FLOAT && fabs(self.real) < 9.2e18)
        return jinja_int((int64_t)self.real);
    return otherwise ? *otherwise : jinja_int(0);
}

FILTER(filter_float)
{
    const struct jinja_value *otherwise = jinja_arg(a, 0, "default");
    struct jinja_value v = {0};
    if (jinja_is_number(self))
        return jinja_float(jinja_real(self));
    if (self.type == JINJA_STRING && read_number(self.string, &v, true, 10))
        return v;
    return otherwise ? *otherwise : jinja_float(0);
}

/* An integer to 10^-digits of them, digits < 0, half to even. */
static struct jinja_value round_whole(struct jinja_run *r, int64_t v, int64_t digits)
{
    int64_t unit = 1, rest, result;
    for (; digits < 0; digits++)
        if (__builtin_mul_overflow(unit, 10, &unit))
            return jinja_int(0); /* all integers are less than half of it */
    rest = v % unit;
    rest += rest < 0 ? unit : 0;
    int64_t less = unit - rest; /* to the next one above */
    bool up = rest > less || (rest == less && ((v - rest) / unit) % 2 != 0);
    if (rest == 0 || __builtin_sub_overflow(v, rest, &result) ||
        (up && __builtin_add_overflow(result, unit, &result)))
        return rest ? jinja_fail(r, "the result is no integer of 64 bits") : jinja_int(v);
    return jinja_int(result);
}

static bool is_text(const struct jinja_string *s, const char *text)
{
    return s->len == strlen(text) && memcmp(s->data, text, s->len) == 0;
}

FILTER(filter_round)
{
    const struct jinja_value *how = jinja_arg(a, 1, "method");
    int64_t digits = jinja_arg_int(r, a, 0, "precision", 0);
    const struct jinja_string *name = how && how->type == JINJA_STRING ? how->string : NULL;
    bool up = name && is_text(name, "ceil"), down = name && is_text(name, "floor");
    if (!jinja_is_number(self) || digits < -300 || digits > 300)
        return jinja_fail(r, "round takes a number, and digits from -300 to 300");
    if (how && !name)
        return jinja_fail(r, "round: found %s, expected common, ceil or floor",
                          jinja_type_name(*how));
    if (name && !up && !down && !is_text(name, "common"))
        return jinja_fail(r, "round: found \"%.*s\", expected common, ceil or floor",
                          (int)MIN(name->len, 40u), name->data);
    if (!up && !down && self.type != JINJA_FLOAT)
        return digits >= 0 ? jinja_int(jinja_whole(self))
                           : round_whole(r, jinja_whole(self), digits);
    double v = jinja_real(self), scale = pow(10, (double)digits);
    if (up || down)
        return jinja_float((up ? ceil(v * scale) : floor(v * scale)) / scale);
    if (digits < 0 || digits > 17)
        return jinja_float(rint(v * scale) / scale);
    /* Python rounds the decimal digits of the number, half to even. */
    char text[400];
    snprintf(text, sizeof text, "%.*f", (int)digits, v);
    return jinja_float(strtod(text, NULL));
}

/* ------------------------------------------------------------------ any value */

FILTER(filter_default)
{
    const struct jinja_value *otherwise = jinja_arg(a, 0, "default_value");
    bool wanting =
        jinja_arg_truth(a, 1, "boolean", false) ? !jinja_truth(self) : self.type == JINJA_UNDEFINED;
    if (!wanting)
        return self;
    return otherwise ? *otherwise : jinja_view(&r->pool, "", 0, false);
}

FILTER(filter_length)
{
    switch (self.type) {
    case JINJA_STRING:
        jinja_charge_bytes(r, self.string->len);
        return jinja_int((int64_t)jinja_codes(self.string));
    case JINJA_LIST:
        return jinja_int((int64_t)self.list->n);
    case JINJA_DICT:
        return jinja_int((int64_t)self.dict->n);
    case JINJA_UNDEFINED:
        return jinja_int(0);
    default:
        return jinja_fail(r, "%s has no length", jinja_type_name(self));
    }
}

FILTER(filter_safe)
{
    return self.type == JINJA_STRING ? self : jinja_of_string(jinja_str(r, self));
}

FILTER(filter_attr)
{
    return a->v[0].type == JINJA_STRING ? jinja_attr(r, self, a->v[0].string)
                                        : jinja_fail(r, "attr takes the name of an attribute");
}

FILTER(filter_tojson)
{
    return jinja_tojson(r, self, a);
}

const struct jinja_builtin *jinja_find_filter(const struct jinja_string *name)
{
    static const struct jinja_builtin all[] = {
        {"trim", filter_trim, 0, "chars"},
        {"upper", filter_upper, 0, ""},
        {"lower", filter_lower, 0, ""},
        {"capitalize", filter_capitalize, 0, ""},
        {"title", filter_title, 0, ""},
        {"string", filter_string, 0, ""},
        {"replace", filter_replace, 2, "old new count"},
        {"format", filter_format, 0, "..."},
        {"escape", filter_escape, 0, ""},
        {"e", filter_escape, 0, ""},
        {"indent", filter_indent, 0, "width first blank"},
        {"abs", filter_abs, 0, ""},
        {"int", filter_int, 0, "default base"},
        {"float", filter_float, 0, "default"},
        {"round", filter_round, 0, "precision method"},
        {"default", filter_default, 0, "default_value boolean"},
        {"d", filter_default, 0, "default_value boolean"},
        {"length", filter_length, 0, ""},
        {"count", filter_length, 0, ""},
        {"safe", filter_safe, 0, ""},
        {"attr", filter_attr, 1, "name"},
        {"tojson", filter_tojson, 0, "ensure_ascii indent separators sort_keys"},
    };
    const struct jinja_builtin *b = jinja_builtin_in(all, ARRAY_LEN(all), name->data, name->len);
    return b ? b : jinja_find_list_filter(name);
}

/* ------------------------------------------------------------------ functions */

FILTER(call_raise_exception)
{
    const struct jinja_string *why = jinja_str(r, a->v[0]);
    char text[200];
    size_t n = 0;
    /* The words may have come from a client. */
    for (size_t i = 0; i < why->len && n < sizeof text - 1; i++)
        if ((unsigned char)why->data[i] >= 0x20 && (unsigned char)why->data[i] < 0x7f)
            text[n++] = why->data[i];
    text[n] = '\0';
    return jinja_fail(r, "the template refuses the conversation: %s", text);
}

/* The format is the template's, and bounded. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
FILTER(call_strftime_now)
{
    char format[128], text[512];
    const struct jinja_string *s = jinja_str(r, a->v[0]);
    if (!r->now)
        return jinja_fail(r, "strftime_now: no time is given");
    if (s->len >= sizeof format || memchr(s->data, '\0', s->len))
        return jinja_fail(r, "strftime_now: found a format of %zu bytes, expected less than %zu",
                          s->len, sizeof format);
    memcpy(format, s->data, s->len);
    format[s->len] = '\0';
    size_t n = strftime(text, sizeof text, format, r->now);
    return jinja_text(&r->pool, text, n, s->n_client > 0);
}
#pragma GCC diagnostic pop

FILTER(call_range)
{
    int64_t part[3] = {0, 0, 1};
    if (a->n > a->n_positional)
        return jinja_fail(r, "range: found a value with a name, expected none");
    for (size_t i = 0; i < a->n_positional; i++) {
        if (a->v[i].type != JINJA_INT && a->v[i].type != JINJA_BOOL)
            return jinja_fail(r, "range: found %s, expected an integer", jinja_type_name(a->v[i]));
        part[a->n_positional == 1 ? 1 : i] = jinja_whole(a->v[i]);
    }
    struct jinja_value l = jinja_list(&r->pool);
    if (part[2] == 0)
        return jinja_fail(r, "range: found a step of 0");
    for (int64_t i = part[0];
         (part[2] > 0 ? i < part[1] : i > part[1]) && l.list && jinja_charge(r, 1);) {
        jinja_push(&r->pool, l, jinja_int(i));
        if (__builtin_add_overflow(i, part[2], &i))
            break;
    }
    return l;
}

/* Members of a dict that is given, then what has a name. */
FILTER(call_dict)
{
    struct jinja_value d = jinja_dict(&r->pool);
    if (d.type != JINJA_DICT)
        return d;
    if (a->n_positional > 0 && (a->n_positional > 1 || a->v[0].type != JINJA_DICT))
        return jinja_fail(r, "expected a dict, or names with values");
    for (size_t i = 0; a->n_positional && i < a->v[0].dict->n && jinja_charge(r, 1); i++)
        jinja_put(&r->pool, d, a->v[0].dict->pair[i].key, a->v[0].dict->pair[i].value);
    for (size_t i = a->n_positional; i < a->n && r->rc == 0; i++)
        jinja_dict_set(r, d, jinja_of_string(a->name[i]), a->v[i]);
    return d;
}

FILTER(call_namespace)
{
    struct jinja_value d = call_dict(r, self, a);
    if (d.type != JINJA_DICT)
        return d;
    for (size_t i = 0; i < d.dict->n; i++)
        if (d.dict->pair[i].key.type != JINJA_STRING)
            return jinja_fail(r, "namespace: found a member whose name is %s",
                              jinja_type_name(d.dict->pair[i].key));
    d.dict->name_space = true;
    return d;
}

const struct jinja_builtin *jinja_find_function(const struct jinja_string *name)
{
    static const struct jinja_builtin all[] = {
        {"raise_exception", call_raise_exception, 1, "message"},
        {"strftime_now", call_strftime_now, 1, "format"},
        {"range", call_range, 1, "start stop step"},
        {"dict", call_dict, 0, "..."},
        {"namespace", call_namespace, 0, "..."},
    };
    return jinja_builtin_in(all, ARRAY_LEN(all), name->data, name->len);
}

/* ------------------------------------------------------------------ methods */

FILTER(dict_get)
{
    struct jinja_value found;
    if (jinja_dict_find(r, self.dict, a->v[0], &found))
        return found;
    const struct jinja_value *otherwise = jinja_arg(a, 1, "default");
    return otherwise ? *otherwise : jinja_none();
}

FILTER(dict_items)
{
    struct jinja_value l = jinja_list(&r->pool);
    for (size_t i = 0; i < self.dict->n && jinja_charge(r, 1); i++) {
        struct jinja_value pair = jinja_list_sized(&r->pool, 2, true);
        jinja_push(&r->pool, pair, self.dict->pair[i].key);
        jinja_push(&r->pool, pair, self.dict->pair[i].value);
        jinja_push(&r->pool, l, pair);
    }
    return l;
}

FILTER(dict_keys)
{
    struct jinja_value l = jinja_list(&r->pool);
    for (size_t i = 0; i < self.dict->n && jinja_charge(r, 1); i++)
        jinja_push(&r->pool, l, self.dict->pair[i].key);
    return l;
}

FILTER(dict_values)
{
    struct jinja_value l = jinja_list(&r->pool);
    for (size_t i = 0; i < self.dict->n && jinja_charge(r, 1); i++)
        jinja_push(&r->pool, l, self.dict->pair[i].value);
    return l;
}

FILTER(list_index)
{
    for (size_t i = 0; i < self.list->n && jinja_charge(r, 1); i++)
        if (jinja_same(r, self.list->v[i], a->v[0]))
            return jinja_int((int64_t)i);
    return jinja_fail(r, "index: the value is not in the list");
}

FILTER(list_count)
{
    int64_t n = 0;
    for (size_t i = 0; i < self.list->n && jinja_charge(r, 1); i++)
        n += jinja_same(r, self.list->v[i], a->v[0]);
    return jinja_int(n);
}

FILTER(loop_cycle)
{
    return a->n_positional ? a->v[self.loop->i % a->n_positional]
                           : jinja_fail(r, "cycle takes at least one value");
}

const struct jinja_builtin *jinja_find_method(enum jinja_type type, const struct jinja_string *name)
{
    static const struct jinja_builtin of_dicts[] = {
        {"get", dict_get, 1, "key default"},
        {"items", dict_items, 0, ""},
        {"keys", dict_keys, 0, ""},
        {"values", dict_values, 0, ""},
    };
    static const struct jinja_builtin of_lists[] = {
        {"index", list_index, 1, "value"},
        {"count", list_count, 1, "value"},
    };
    static const struct jinja_builtin of_loops[] = {{"cycle", loop_cycle, 1, "..."}};
    if (type == JINJA_STRING)
        return jinja_find_string_method(name);
    if (type == JINJA_DICT)
        return jinja_builtin_in(of_dicts, ARRAY_LEN(of_dicts), name->data, name->len);
    if (type == JINJA_LIST)
        return jinja_builtin_in(of_lists, ARRAY_LEN(of_lists), name->data, name->len);
    if (type == JINJA_LOOP)
        return jinja_builtin_in(of_loops, ARRAY_LEN(of_loops), name->data, name->len);
    return NULL;
}
