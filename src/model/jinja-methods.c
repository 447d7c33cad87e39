/* SPDX-License-Identifier: MIT */
/*
 * jinja-methods.c - the methods of Python's str that templates call.
 *
 * Positions are in code points where a template sees them and in bytes where we work.  The client's
 * ranges go with the bytes wherever these go.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

static const struct jinja_string *text_arg(struct jinja_run *r, const struct jinja_args *a,
                                           size_t i, const char *name)
{
    static const struct jinja_string empty = {"", 0, NULL, 0};
    const struct jinja_value *v = jinja_arg(a, i, name);
    if (v && v->type == JINJA_STRING)
        return v->string;
    jinja_fail(r, "%s: found %s, expected a string", name, v ? jinja_type_name(*v) : "nothing");
    return &empty;
}

static struct jinja_value method_strip(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    return jinja_stripped(r, self.string, jinja_arg(a, 0, "chars"), true, true);
}

static struct jinja_value method_lstrip(struct jinja_run *r, struct jinja_value self,
                                        const struct jinja_args *a)
{
    return jinja_stripped(r, self.string, jinja_arg(a, 0, "chars"), true, false);
}

static struct jinja_value method_rstrip(struct jinja_run *r, struct jinja_value self,
                                        const struct jinja_args *a)
{
    return jinja_stripped(r, self.string, jinja_arg(a, 0, "chars"), false, true);
}

/* Runs of white space between words. */
static void split_words(struct jinja_run *r, const struct jinja_string *s, int64_t times,
                        struct jinja_value l)
{
    size_t at = jinja_space_before(s->data, s->len), end;
    while (at < s->len && jinja_charge(r, 1)) {
        uint32_t cp;
        unsigned n;
        for (end = at; (n = utf8_decode(s->data + end, s->len - end, &cp)) > 0;)
            if (jinja_is_space(cp))
                break;
            else
                end += n;
        if (times-- == 0)
            end = s->len; /* the rest, with the blanks behind it */
        jinja_push(&r->pool, l, jinja_part(&r->pool, s, at, end - at));
        at = end + jinja_space_before(s->data + end, s->len - end);
    }
}

static struct jinja_value method_split(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    const struct jinja_string *s = self.string;
    const struct jinja_value *sep = jinja_arg(a, 0, "sep");
    int64_t times = jinja_arg_int(r, a, 1, "maxsplit", -1);
    struct jinja_value l = jinja_list(&r->pool);
    if (!jinja_charge_bytes(r, s->len))
        return l;
    if (!sep || sep->type == JINJA_NONE) {
        split_words(r, s, times, l);
        return l;
    }
    const struct jinja_string *by = text_arg(r, a, 0, "sep");
    if (by->len == 0)
        return jinja_fail(r, "split: found an empty separator");
    size_t from = 0;
    for (const char *at; times != 0 && jinja_charge(r, 1) &&
                         (at = memmem(s->data + from, s->len - from, by->data, by->len));
         times -= times > 0) {
        size_t end = (size_t)(at - s->data);
        jinja_push(&r->pool, l, jinja_part(&r->pool, s, from, end - from));
        from = end + by->len;
    }
    jinja_push(&r->pool, l, jinja_part(&r->pool, s, from, s->len - from));
    return l;
}

static const char *last_in(const char *s, size_t len, const struct jinja_string *what)
{
    for (size_t n = len < what->len ? 0 : len - what->len + 1; n > 0; n--)
        if (memcmp(s + n - 1, what->data, what->len) == 0)
            return s + n - 1;
    return NULL;
}

static struct jinja_value method_rsplit(struct jinja_run *r, struct jinja_value self,
                                        const struct jinja_args *a)
{
    const struct jinja_string *s = self.string;
    int64_t times = jinja_arg_int(r, a, 1, "maxsplit", -1);
    const struct jinja_value *sep = jinja_arg(a, 0, "sep");
    if (times < 0 || !sep || sep->type == JINJA_NONE)
        return times < 0 ? method_split(r, self, a)
                         : jinja_fail(r, "rsplit at white space is not supported");
    const struct jinja_string *by = text_arg(r, a, 0, "sep");
    struct jinja_value back = jinja_list(&r->pool);
    if (by->len == 0)
        return jinja_fail(r, "rsplit: found an empty separator");
    size_t end = s->len;
    for (const char *at;
         times > 0 && jinja_charge(r, 1 + end / 32) && (at = last_in(s->data, end, by)); times--) {
        size_t from = (size_t)(at - s->data) + by->len;
        jinja_push(&r->pool, back, jinja_part(&r->pool, s, from, end - from));
        end = from - by->len;
    }
    jinja_push(&r->pool, back, jinja_part(&r->pool, s, 0, end));
    return jinja_slice(r, back, jinja_none(), jinja_none(), jinja_int(-1));
}

static struct jinja_value method_splitlines(struct jinja_run *r, struct jinja_value self,
                                            const struct jinja_args *a)
{
    const struct jinja_string *s = self.string;
    struct jinja_value l = jinja_list(&r->pool);
    bool keep = jinja_arg_truth(a, 0, "keepends", false);
    for (size_t from = 0, next; from < s->len && jinja_charge(r, 1);) {
        size_t end = jinja_line_end(s, from, &next);
        jinja_push(&r->pool, l, jinja_part(&r->pool, s, from, (keep ? next : end) - from));
        from = next;
    }
    return l;
}

/* A string, or any of a tuple of them, stands at this end. */
static struct jinja_value ends(struct jinja_run *r, struct jinja_value self,
                               const struct jinja_args *a, bool begin)
{
    const struct jinja_string *s = self.string;
    const struct jinja_value *v = jinja_arg(a, 0, "prefix");
    bool tuple = v && v->type == JINJA_LIST && v->list->tuple, found = false;
    for (size_t i = 0; v && i < (tuple ? v->list->n : 1) && !found && r->rc == 0; i++) {
        struct jinja_value one = tuple ? v->list->v[i] : *v;
        if (one.type != JINJA_STRING)
            return jinja_fail(r, "found %s, expected a string", jinja_type_name(one));
        size_t n = one.string->len;
        found = n <= s->len && memcmp(s->data + (begin ? 0 : s->len - n), one.string->data, n) == 0;
    }
    return jinja_bool(found);
}

static struct jinja_value method_startswith(struct jinja_run *r, struct jinja_value self,
                                            const struct jinja_args *a)
{
    return ends(r, self, a, true);
}

static struct jinja_value method_endswith(struct jinja_run *r, struct jinja_value self,
                                          const struct jinja_args *a)
{
    return ends(r, self, a, false);
}

static struct jinja_value method_removeprefix(struct jinja_run *r, struct jinja_value self,
                                              const struct jinja_args *a)
{
    const struct jinja_string *s = self.string, *cut = text_arg(r, a, 0, "prefix");
    bool has = cut->len <= s->len && memcmp(s->data, cut->data, cut->len) == 0;
    return jinja_part(&r->pool, s, has ? cut->len : 0, s->len - (has ? cut->len : 0));
}

static struct jinja_value method_removesuffix(struct jinja_run *r, struct jinja_value self,
                                              const struct jinja_args *a)
{
    const struct jinja_string *s = self.string, *cut = text_arg(r, a, 0, "suffix");
    bool has = cut->len <= s->len && memcmp(s->data + s->len - cut->len, cut->data, cut->len) == 0;
    return jinja_part(&r->pool, s, 0, s->len - (has ? cut->len : 0));
}

static struct jinja_value method_upper(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    (void)a;
    return jinja_cased(r, self.string, CASE_UPPER);
}

static struct jinja_value method_lower(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    (void)a;
    return jinja_cased(r, self.string, CASE_LOWER);
}

static struct jinja_value method_title(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    (void)a;
    return jinja_cased(r, self.string, CASE_TITLE);
}

static struct jinja_value method_capitalize(struct jinja_run *r, struct jinja_value self,
                                            const struct jinja_args *a)
{
    (void)a;
    return jinja_cased(r, self.string, CASE_CAPITAL);
}

static struct jinja_value method_replace(struct jinja_run *r, struct jinja_value self,
                                         const struct jinja_args *a)
{
    return jinja_replaced(r, self.string, text_arg(r, a, 0, "old"), text_arg(r, a, 1, "new"),
                          jinja_arg_int(r, a, 2, "count", -1));
}

/* In code points from the beginning, or -1. */
static struct jinja_value position(struct jinja_run *r, const struct jinja_string *s,
                                   const char *at)
{
    const struct jinja_string before = {.data = s->data, .len = at ? (size_t)(at - s->data) : 0};
    jinja_charge_bytes(r, s->len);
    return jinja_int(at ? (int64_t)jinja_codes(&before) : -1);
}

static struct jinja_value method_find(struct jinja_run *r, struct jinja_value self,
                                      const struct jinja_args *a)
{
    const struct jinja_string *s = self.string, *what = text_arg(r, a, 0, "sub");
    return position(r, s, memmem(s->data, s->len, what->data, what->len));
}

static struct jinja_value method_rfind(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    const struct jinja_string *s = self.string, *what = text_arg(r, a, 0, "sub");
    return position(r, s, last_in(s->data, s->len, what));
}

static struct jinja_value method_index(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    struct jinja_value at = method_find(r, self, a);
    return at.number < 0 ? jinja_fail(r, "index: the string is not there") : at;
}

static struct jinja_value method_count(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a)
{
    const struct jinja_string *s = self.string, *what = text_arg(r, a, 0, "sub");
    int64_t n = 0;
    if (what->len == 0)
        return jinja_int((int64_t)jinja_codes(s) + 1);
    for (const char *at = s->data, *end = s->data + s->len;
         (at = memmem(at, (size_t)(end - at), what->data, what->len)) && jinja_charge(r, 1);
         at += what->len)
        n++;
    return jinja_int(n);
}

static struct jinja_value method_join(struct jinja_run *r, struct jinja_value self,
                                      const struct jinja_args *a)
{
    struct jinja_out o = {.pool = &r->pool};
    const struct jinja_list *l = jinja_elements(r, a->v[0]);
    for (size_t i = 0; i < l->n && jinja_charge(r, 1); i++) {
        if (l->v[i].type != JINJA_STRING)
            return jinja_fail(r, "join: found %s, expected strings", jinja_type_name(l->v[i]));
        if (i)
            jinja_add_string(&o, self.string);
        jinja_add_string(&o, l->v[i].string);
    }
    return jinja_take(&o);
}

/* "{} {0} {name}": places without a format of their own. */
static struct jinja_value method_format(struct jinja_run *r, struct jinja_value self,
                                        const struct jinja_args *a)
{
    const struct jinja_string *s = self.string;
    struct jinja_out o = {.pool = &r->pool};
    size_t next = 0, from = 0;
    for (size_t i = 0; i < s->len && jinja_charge(r, 1); i++) {
        char c = s->data[i];
        if (c != '{' && c != '}')
            continue;
        jinja_add_part(&o, s, from, i - from);
        if (i + 1 < s->len && s->data[i + 1] == c) {
            jinja_add(&o, &c, 1, false);
            from = ++i + 1;
            continue;
        }
        char name[64];
        const char *end = c == '{' ? memchr(s->data + i, '}', s->len - i) : NULL;
        size_t len = end ? (size_t)(end - s->data) - i - 1 : sizeof name;
        if (len >= sizeof name)
            return jinja_fail(r, "format: a bracket stands alone");
        memcpy(name, s->data + i + 1, len);
        name[len] = '\0';
        bool digits = len > 0 && len < 4 && strspn(name, "0123456789") == len;
        size_t index = 0;
        for (size_t k = 0; digits && k < len; k++)
            index = index * 10 + (size_t)(name[k] - '0');
        const struct jinja_value *v = jinja_arg(a,
                                                len == 0 ? next++
                                                : digits ? index
                                                         : a->n,
                                                len && !digits ? name : NULL);
        if (!v)
            return jinja_fail(r, "format: no value for the place {%s}", name);
        jinja_print(r, &o, *v, false);
        i += len + 1;
        from = i + 1;
    }
    jinja_add_part(&o, s, from, s->len - from);
    return jinja_take(&o);
}

static struct jinja_value every(const struct jinja_string *s, bool (*is)(uint32_t cp))
{
    uint32_t cp;
    for (size_t at = 0, n; at < s->len; at += n)
        if ((n = utf8_decode(s->data + at, s->len - at, &cp)) == 0 || !is(cp))
            return jinja_bool(false);
    return jinja_bool(s->len > 0);
}

static bool is_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

static struct jinja_value method_isdigit(struct jinja_run *r, struct jinja_value self,
                                         const struct jinja_args *a)
{
    (void)a;
    jinja_charge_bytes(r, self.string->len);
    return every(self.string, is_digit);
}

static struct jinja_value method_isalpha(struct jinja_run *r, struct jinja_value self,
                                         const struct jinja_args *a)
{
    (void)a;
    jinja_charge_bytes(r, self.string->len);
    return every(self.string, jinja_is_letter);
}

static struct jinja_value method_isspace(struct jinja_run *r, struct jinja_value self,
                                         const struct jinja_args *a)
{
    (void)a;
    jinja_charge_bytes(r, self.string->len);
    return every(self.string, jinja_is_space);
}

const struct jinja_builtin *jinja_find_string_method(const struct jinja_string *name)
{
    static const struct jinja_builtin all[] = {
        {"strip", method_strip, 0, "chars"},
        {"lstrip", method_lstrip, 0, "chars"},
        {"rstrip", method_rstrip, 0, "chars"},
        {"split", method_split, 0, "sep maxsplit"},
        {"rsplit", method_rsplit, 0, "sep maxsplit"},
        {"splitlines", method_splitlines, 0, "keepends"},
        {"startswith", method_startswith, 1, "prefix"},
        {"endswith", method_endswith, 1, "prefix"},
        {"removeprefix", method_removeprefix, 1, "prefix"},
        {"removesuffix", method_removesuffix, 1, "suffix"},
        {"upper", method_upper, 0, ""},
        {"lower", method_lower, 0, ""},
        {"title", method_title, 0, ""},
        {"capitalize", method_capitalize, 0, ""},
        {"replace", method_replace, 2, "old new count"},
        {"find", method_find, 1, "sub"},
        {"rfind", method_rfind, 1, "sub"},
        {"index", method_index, 1, "sub"},
        {"count", method_count, 1, "sub"},
        {"join", method_join, 1, "iterable"},
        {"format", method_format, 0, "..."},
        {"isdigit", method_isdigit, 0, ""},
        {"isalpha", method_isalpha, 0, ""},
        {"isspace", method_isspace, 0, ""},
    };
    return jinja_builtin_in(all, ARRAY_LEN(all), name->data, name->len);
}
