/* SPDX-License-Identifier: MIT */
/*
 * jinja-text.c - text that is built piece by piece and keeps who wrote it; values as Python's str()
 * and repr() print them.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>

#include "base/base.h"
#include "base/utf8.h"

/* ------------------------------------------------------------------ white space */

bool jinja_is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

size_t jinja_space_before(const char *s, size_t len)
{
    uint32_t cp;
    size_t at = 0;
    for (unsigned n; (n = utf8_decode(s + at, len - at, &cp)) > 0 && jinja_is_space(cp);)
        at += n;
    return at;
}

size_t jinja_space_after(const char *s, size_t len)
{
    uint32_t cp;
    size_t end = len;
    while (end > 0) {
        size_t n = 1;
        while (n < 4 && n < end && ((unsigned char)s[end - n] & 0xc0) == 0x80)
            n++;
        if (utf8_decode(s + end - n, n, &cp) != n || !jinja_is_space(cp))
            break;
        end -= n;
    }
    return len - end;
}

/* Bytes of what ends a line here; 0: nothing does. */
static size_t line_break(const char *s, size_t len)
{
    unsigned char c = (unsigned char)s[0];
    if (c < 0x80) {
        bool ends = (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e);
        return c == '\r' && len > 1 && s[1] == '\n' ? 2 : ends;
    }
    static const char *const wide[] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(wide); i++)
        if (len >= strlen(wide[i]) && memcmp(s, wide[i], strlen(wide[i])) == 0)
            return strlen(wide[i]);
    return 0;
}

size_t jinja_line_end(const struct jinja_string *s, size_t from, size_t *next)
{
    size_t end = from, n = 0;
    while (end < s->len && !(n = line_break(s->data + end, s->len - end)))
        end++;
    *next = end + n;
    return end;
}

/* ------------------------------------------------------------------ writing */

/* A client's bytes [start, end) of the output; they follow all that are marked. */
static void mark(struct jinja_out *o, size_t start, size_t end)
{
    if (start == end)
        return;
    if (o->n_client && o->client[o->n_client - 1].end == start) {
        o->client[o->n_client - 1].end = end;
        return;
    }
    if (o->n_client == o->cap_client) {
        size_t cap = MAX(2 * o->cap_client, (size_t)4);
        struct tok_range *more = jinja_alloc(o->pool, cap, sizeof *more);
        if (!more)
            return;
        if (o->n_client)
            memcpy(more, o->client, o->n_client * sizeof *more);
        o->client = more;
        o->cap_client = cap;
    }
    o->client[o->n_client++] = (struct tok_range){start, end};
}

static bool reserve(struct jinja_out *o, size_t len)
{
    if (len <= o->cap - o->len)
        return true;
    size_t cap = MAX(MAX(2 * o->cap, o->len + len), (size_t)64);
    if (o->cap && jinja_extend(o->pool, o->data + o->cap, cap - o->cap)) {
        o->cap = cap;
        return true;
    }
    char *more = jinja_bytes(o->pool, cap);
    if (!more)
        return false;
    if (o->len)
        memcpy(more, o->data, o->len);
    o->data = more;
    o->cap = cap;
    return true;
}

void jinja_add(struct jinja_out *o, const char *bytes, size_t len, bool client)
{
    if (len == 0 || !reserve(o, len))
        return;
    memcpy(o->data + o->len, bytes, len);
    o->len += len;
    if (client)
        mark(o, o->len - len, o->len);
}

void jinja_adds(struct jinja_out *o, const char *s)
{
    jinja_add(o, s, strlen(s), false);
}

void jinja_add_part(struct jinja_out *o, const struct jinja_string *s, size_t from, size_t len)
{
    if (len == 0 || !reserve(o, len))
        return;
    memcpy(o->data + o->len, s->data + from, len);
    /* The first range that ends behind `from`; those before it end in front of it. */
    size_t lo = 0, hi = s->n_client;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->client[mid].end <= from)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < s->n_client && s->client[lo].start < from + len; lo++)
        mark(o, o->len + MAX(s->client[lo].start, from) - from,
             o->len + MIN(s->client[lo].end, from + len) - from);
    o->len += len;
}

void jinja_add_string(struct jinja_out *o, const struct jinja_string *s)
{
    jinja_add_part(o, s, 0, s->len);
}

struct jinja_value jinja_take(struct jinja_out *o)
{
    struct jinja_string *s = jinja_alloc(o->pool, 1, sizeof *s);
    if (!s || o->pool->failed)
        return (struct jinja_value){0};
    *s = (struct jinja_string){o->data ? o->data : "", o->len, o->client, o->n_client};
    return jinja_of_string(s);
}

struct jinja_value jinja_part(struct jinja_pool *p, const struct jinja_string *s, size_t from,
                              size_t len)
{
    if (len == s->len)
        return jinja_of_string(s);
    bool client = s->n_client == 1 && s->client[0].start <= from && s->client[0].end >= from + len;
    if (s->n_client == 0 || client)
        return jinja_view(p, s->data + from, len, client);
    struct jinja_out o = {.pool = p};
    jinja_add_part(&o, s, from, len);
    return jinja_take(&o);
}

struct jinja_value jinja_concat(struct jinja_pool *p, const struct jinja_string *a,
                                const struct jinja_string *b)
{
    if (b->len == 0)
        return jinja_of_string(a);
    if (a->len == 0)
        return jinja_of_string(b);
    struct jinja_out o = {.pool = p, .cap = a->len, .len = a->len};
    if (jinja_extend(p, a->data + a->len, b->len)) {
        /* What lies in the pool was the pool's to write. */
        o.data = (char *)(uintptr_t)a->data;
        o.cap += b->len;
        for (size_t i = 0; i < a->n_client; i++)
            mark(&o, a->client[i].start, a->client[i].end);
    } else {
        o = (struct jinja_out){.pool = p};
        if (!reserve(&o, a->len + b->len))
            return (struct jinja_value){0};
        jinja_add_string(&o, a);
    }
    jinja_add_string(&o, b);
    return jinja_take(&o);
}

bool jinja_is_client(const struct jinja_string *s, size_t at, size_t *hint)
{
    while (*hint < s->n_client && s->client[*hint].end <= at)
        ++*hint;
    return *hint < s->n_client && s->client[*hint].start <= at;
}

/* ------------------------------------------------------------------ printing */

/* The shortest digits that read back as the same number, in the form that Python gives them. */
void jinja_float_text(char out[32], double v)
{
    if (!isfinite(v)) {
        strcpy(out, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    char digits[26];
    int precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, v);
    while (strtod(digits, NULL) != v && ++precision < 17);
    char *e = strchr(digits, 'e');
    trit_assert(e);
    int exponent = atoi(e + 1);
    if (exponent >= -4 && exponent < 16) {
        snprintf(out, 32, "%.*f", MAX(precision - exponent, 1), v);
        return;
    }
    *e = '\0';
    /* The mantissa, and the exponent with two digits at least. */
    size_t n = strlen(digits);
    memcpy(out, digits, n);
    snprintf(out + n, 32 - n, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent) % 1000);
}

/* Whether Python finds a character printable: of the separators only the space is. */
static bool prints(uint32_t cp)
{
    return cp == ' ' ||
           !uc_is_general_category_withtable(cp, UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Z);
}

/* repr() of a string: in single quotes unless only these are in it. */
static void quote(struct jinja_out *o, const struct jinja_string *s)
{
    char mark_char = memchr(s->data, '\'', s->len) && !memchr(s->data, '"', s->len) ? '"' : '\'';
    jinja_add(o, &mark_char, 1, false);
    size_t from = 0;
    for (size_t i = 0, n; i < s->len; i += n) {
        uint32_t c = (unsigned char)s->data[i];
        char escape[12];
        n = c < 0x80 ? 1 : MAX(utf8_decode(s->data + i, s->len - i, &c), 1u);
        if (c == '\\' || c == (unsigned char)mark_char)
            snprintf(escape, sizeof escape, "\\%c", (int)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!prints(c))
            snprintf(escape, sizeof escape,
                     c < 0x100     ? "\\x%02x"
                     : c < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                     c);
        else
            continue;
        jinja_add_part(o, s, from, i - from);
        jinja_adds(o, escape);
        from = i + n;
    }
    jinja_add_part(o, s, from, s->len - from);
    jinja_add(o, &mark_char, 1, false);
}

static void print_list(struct jinja_run *r, struct jinja_out *o, const struct jinja_list *l)
{
    jinja_adds(o, l->tuple ? "(" : "[");
    for (size_t i = 0; i < l->n && r->rc == 0; i++) {
        if (i)
            jinja_adds(o, ", ");
        jinja_print(r, o, l->v[i], true);
    }
    if (l->tuple && l->n == 1)
        jinja_adds(o, ",");
    jinja_adds(o, l->tuple ? ")" : "]");
}

static void print_dict(struct jinja_run *r, struct jinja_out *o, const struct jinja_dict *d)
{
    jinja_adds(o, d->name_space ? "<Namespace {" : "{");
    for (size_t i = 0; i < d->n && r->rc == 0; i++) {
        if (i)
            jinja_adds(o, ", ");
        jinja_print(r, o, d->pair[i].key, true);
        jinja_adds(o, ": ");
        jinja_print(r, o, d->pair[i].value, true);
    }
    jinja_adds(o, d->name_space ? "}>" : "}");
}

void jinja_print(struct jinja_run *r, struct jinja_out *o, struct jinja_value v, bool quoted)
{
    char text[32];
    if (!jinja_descend(r))
        return;
    switch (v.type) {
    case JINJA_UNDEFINED:
        jinja_adds(o, quoted ? "Undefined" : "");
        break;
    case JINJA_NONE:
        jinja_adds(o, "None");
        break;
    case JINJA_BOOL:
        jinja_adds(o, v.yes ? "True" : "False");
        break;
    case JINJA_INT:
        snprintf(text, sizeof text, "%lld", (long long)v.number);
        jinja_adds(o, text);
        break;
    case JINJA_FLOAT:
        jinja_float_text(text, v.real);
        jinja_adds(o, text);
        break;
    case JINJA_STRING:
        jinja_charge_bytes(r, v.string->len);
        if (quoted)
            quote(o, v.string);
        else
            jinja_add_string(o, v.string);
        break;
    case JINJA_LIST:
        print_list(r, o, v.list);
        break;
    case JINJA_DICT:
        print_dict(r, o, v.dict);
        break;
    case JINJA_FUNCTION:
        jinja_adds(o, "<function>");
        break;
    case JINJA_LOOP:
        jinja_adds(o, "<loop>");
        break;
    }
    jinja_ascend(r);
}

const struct jinja_string *jinja_str(struct jinja_run *r, struct jinja_value v)
{
    static const struct jinja_string empty = {"", 0, NULL, 0};
    if (v.type == JINJA_STRING)
        return v.string;
    struct jinja_out o = {.pool = &r->pool};
    jinja_print(r, &o, v, false);
    v = jinja_take(&o);
    return v.type == JINJA_STRING ? v.string : &empty;
}
