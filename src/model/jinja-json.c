/* SPDX-License-Identifier: MIT */
/*
 * jinja-json.c - the filter tojson, as transformers defines it: json.dumps of Python with
 * ensure_ascii=False, separators ", " and ": ", and the arguments that a template gives.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

enum { INDENT_MAX = 64 };

struct writer {
    struct jinja_run *r;
    struct jinja_out out;
    const struct jinja_string *item, *key; /* separators */
    const struct jinja_string *indent;     /* of one level; NULL: all in one line */
    bool ascii, sorted;
    unsigned level;
};

static void write_code(struct writer *w, uint32_t cp, bool client)
{
    char text[16];
    uint32_t high = 0xd800 + ((cp - 0x10000) >> 10), low = 0xdc00 + ((cp - 0x10000) & 0x3ff);
    int n = cp < 0x10000 ? snprintf(text, sizeof text, "\\u%04x", cp)
                         : snprintf(text, sizeof text, "\\u%04x\\u%04x", high, low);
    jinja_add(&w->out, text, (size_t)n, client);
}

static void write_string(struct writer *w, const struct jinja_string *s)
{
    static const char plain[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    size_t from = 0, n, hint = 0;
    jinja_charge_bytes(w->r, s->len);
    jinja_adds(&w->out, "\"");
    for (size_t at = 0; at < s->len; at += n) {
        unsigned char c = (unsigned char)s->data[at];
        const char *known = memchr(plain, c, sizeof plain - 1);
        uint32_t cp = c;
        n = 1;
        if (c >= 0x80 && w->ascii)
            n = MAX(utf8_decode(s->data + at, s->len - at, &cp), 1u);
        if (!known && c >= 0x20 && (c < 0x80 || !w->ascii))
            continue;
        jinja_add_part(&w->out, s, from, at - from);
        from = at + n;
        if (known) {
            char escape[2] = {'\\', letters[known - plain]};
            jinja_add(&w->out, escape, 2, jinja_is_client(s, at, &hint));
        } else {
            write_code(w, cp, jinja_is_client(s, at, &hint));
        }
    }
    jinja_add_part(&w->out, s, from, s->len - from);
    jinja_adds(&w->out, "\"");
}

static void line_break(struct writer *w)
{
    if (!w->indent)
        return;
    jinja_adds(&w->out, "\n");
    for (unsigned i = 0; i < w->level; i++)
        jinja_add_string(&w->out, w->indent);
}

static void write_value(struct writer *w, struct jinja_value v);

static void write_list(struct writer *w, const struct jinja_list *l)
{
    jinja_adds(&w->out, "[");
    w->level++;
    for (size_t i = 0; i < l->n && w->r->rc == 0; i++) {
        if (i)
            jinja_add_string(&w->out, w->item);
        line_break(w);
        write_value(w, l->v[i]);
    }
    w->level--;
    if (l->n)
        line_break(w);
    jinja_adds(&w->out, "]");
}

static void write_key(struct writer *w, struct jinja_value key)
{
    if (key.type == JINJA_STRING) {
        write_string(w, key.string);
        return;
    }
    /* Others are in quotes what they are without. */
    jinja_adds(&w->out, "\"");
    write_value(w, key);
    jinja_adds(&w->out, "\"");
}

/* The members in order of their names. */
static const struct jinja_pair *in_order(struct writer *w, const struct jinja_dict *d)
{
    struct jinja_pair *p = jinja_alloc(&w->r->pool, d->n, sizeof *p);
    if (!p)
        return d->pair;
    for (size_t i = 0; i < d->n && w->r->rc == 0; i++) {
        size_t k = i;
        for (;
             k > 0 && jinja_charge(w->r, 1) && jinja_order(w->r, p[k - 1].key, d->pair[i].key) > 0;
             k--)
            p[k] = p[k - 1];
        p[k] = d->pair[i];
    }
    return p;
}

static void write_dict(struct writer *w, const struct jinja_dict *d)
{
    const struct jinja_pair *pair = w->sorted && d->n ? in_order(w, d) : d->pair;
    jinja_adds(&w->out, "{");
    w->level++;
    for (size_t i = 0; i < d->n && w->r->rc == 0; i++) {
        if (i)
            jinja_add_string(&w->out, w->item);
        line_break(w);
        write_key(w, pair[i].key);
        jinja_add_string(&w->out, w->key);
        write_value(w, pair[i].value);
    }
    w->level--;
    if (d->n)
        line_break(w);
    jinja_adds(&w->out, "}");
}

static void write_value(struct writer *w, struct jinja_value v)
{
    char text[32];
    if (!jinja_descend(w->r))
        return;
    switch (v.type) {
    case JINJA_NONE:
        jinja_adds(&w->out, "null");
        break;
    case JINJA_BOOL:
        jinja_adds(&w->out, v.yes ? "true" : "false");
        break;
    case JINJA_FLOAT:
        jinja_float_text(text, v.real);
        jinja_adds(&w->out, isnan(v.real)   ? "NaN"
                            : isinf(v.real) ? v.real < 0 ? "-Infinity" : "Infinity"
                                            : text);
        break;
    case JINJA_INT:
        jinja_print(w->r, &w->out, v, false);
        break;
    case JINJA_STRING:
        write_string(w, v.string);
        break;
    case JINJA_LIST:
        write_list(w, v.list);
        break;
    case JINJA_DICT:
        if (!v.dict->name_space) {
            write_dict(w, v.dict);
            break;
        }
        __attribute__((fallthrough));
    default:
        jinja_fail(w->r, "%s has no form in JSON", jinja_type_name(v));
    }
    jinja_ascend(w->r);
}

/* So many blanks, or the string that is given. */
static const struct jinja_string *indentation(struct jinja_run *r, const struct jinja_args *a)
{
    static const char blanks[] = "                                                                ";
    const struct jinja_value *v = jinja_arg(a, 1, "indent");
    if (!v || v->type == JINJA_NONE)
        return NULL;
    if (v->type == JINJA_STRING)
        return v->string;
    int64_t n = jinja_arg_int(r, a, 1, "indent", 0);
    n = MIN(MAX(n, 0), INDENT_MAX);
    struct jinja_value text = jinja_view(&r->pool, blanks, (size_t)n, false);
    return text.type == JINJA_STRING ? text.string : NULL;
}

struct jinja_value jinja_tojson(struct jinja_run *r, struct jinja_value v,
                                const struct jinja_args *a)
{
    static const struct jinja_string comma = {", ", 2, NULL, 0}, only = {",", 1, NULL, 0},
                                     colon = {": ", 2, NULL, 0};
    const struct jinja_value *separators = jinja_arg(a, 2, "separators");
    struct writer w = {.r = r, .out = {.pool = &r->pool}, .key = &colon};
    w.ascii = jinja_arg_truth(a, 0, "ensure_ascii", false);
    w.sorted = jinja_arg_truth(a, 3, "sort_keys", false);
    w.indent = indentation(r, a);
    w.item = w.indent ? &only : &comma;
    if (separators && separators->type != JINJA_NONE) {
        const struct jinja_list *l = separators->type == JINJA_LIST ? separators->list : NULL;
        if (!l || l->n != 2 || l->v[0].type != JINJA_STRING || l->v[1].type != JINJA_STRING)
            return jinja_fail(r, "tojson: separators are two strings");
        w.item = l->v[0].string;
        w.key = l->v[1].string;
    }
    write_value(&w, v);
    return jinja_take(&w.out);
}
