/* SPDX-License-Identifier: MIT */
/*
 * schema-object.c - objects: which members, in which order, how many, and what others are called.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "server/gbnf.h"
#include "server/schema-parts.h"

enum { MAX_KEY_NODES = 4096 }; /* of the tree of names that other members must not have */

/* ------------------------------------------------------------------ members */

struct member {
    const char *name;
    uint32_t view;
    bool required;
};

struct members {
    struct member *m;
    size_t n;
    const char **required; /* in order */
    size_t n_required;
    bool others; /* further members may follow */
    uint32_t others_view;
    uint64_t least_others, most_others;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int collect_required(struct work *w, const struct parts *p, struct members *ms)
{
    size_t n = 0;
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *list = schema_get(p->part[i].schema, "required");
        n += list ? (size_t)cJSON_GetArraySize(list) : 0;
    }
    ms->required = mem_zalloc(n, sizeof *ms->required);
    if (!ms->required)
        return schema_no_memory(w);
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *list = schema_get(p->part[i].schema, "required");
        for (const cJSON *v = list ? list->child : NULL; v; v = v->next)
            ms->required[ms->n_required++] = v->valuestring;
    }
    qsort(ms->required, n, sizeof *ms->required, by_name);
    /* Each once. */
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(ms->required[kept - 1], ms->required[i]) != 0)
            ms->required[kept++] = ms->required[i];
    ms->n_required = kept;
    return schema_steps(w, n);
}

/* What all parts say of a member: `properties`, or else additionalProperties.  *never: it may not
 * be there. */
static int member_view(struct work *w, const struct parts *p, unsigned at, const cJSON *property,
                       const char *name, bool *never, uint32_t *view)
{
    struct parts v = {0};
    int rc = 0;
    for (unsigned i = 0; i < p->n && rc == 0; i++) {
        const cJSON *schema = p->part[i].schema;
        const cJSON *own = schema_get(schema, "properties");
        const cJSON *of = i == at && property ? property : schema_get(own, name);
        if (!(i == at && property) && own)
            rc = schema_steps(w, (uint64_t)cJSON_GetArraySize(own));
        if (!of)
            of = schema_get(schema, "additionalProperties");
        if (of && rc == 0)
            rc = schema_add_part(w, &v, of, 0);
    }
    return rc ? rc : schema_view_or_never(w, &v, never, view);
}

static int add_member(struct work *w, const struct parts *p, unsigned at, const cJSON *property,
                      const char *name, struct members *ms)
{
    struct member m = {.name = name};
    bool never;
    m.required = bsearch(&name, ms->required, ms->n_required, sizeof *ms->required, by_name);
    int rc = member_view(w, p, at, property, name, &never, &m.view);
    if (rc)
        return rc;
    if (never && m.required)
        return schema_refuse(
            w, p->part[at].schema, "required",
            "the keyword \"required\": no value is allowed for the member \"%.60s\"", name);
    if (!never)
        ms->m[ms->n++] = m;
    return 0;
}

static int collect_members(struct work *w, const struct parts *p, struct members *ms)
{
    size_t n = ms->n_required;
    int rc = 0;
    for (unsigned i = 0; i < p->n; i++)
        n += (size_t)cJSON_GetArraySize(schema_get(p->part[i].schema, "properties"));
    ms->m = mem_zalloc(n, sizeof *ms->m);
    if (!ms->m)
        return schema_no_memory(w);
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *own = schema_get(p->part[i].schema, "properties");
        for (const cJSON *v = own ? own->child : NULL; v && rc == 0; v = v->next) {
            bool known = false;
            for (unsigned k = 0; k < i && !known; k++)
                known = schema_get(schema_get(p->part[k].schema, "properties"), v->string);
            rc = schema_steps(w, i * 16);
            if (!known && rc == 0)
                rc = add_member(w, p, i, v, v->string, ms);
        }
    }
    /* Required ones that nothing is said about. */
    size_t declared = ms->n;
    for (size_t i = 0; i < ms->n_required && rc == 0; i++) {
        bool known = false;
        for (size_t k = 0; k < declared && !known; k++)
            known = strcmp(ms->m[k].name, ms->required[i]) == 0;
        rc = schema_steps(w, declared);
        if (!known && rc == 0)
            rc = add_member(w, p, 0, NULL, ms->required[i], ms);
    }
    return rc;
}

/* Whether others may follow, and how many. */
static int collect_others(struct work *w, const struct parts *p, struct members *ms,
                          struct parts *others)
{
    struct parts v = {0}, flat;
    bool given = false, declared = false, closed = false;
    int rc = 0;
    for (unsigned i = 0; i < p->n && rc == 0; i++) {
        const cJSON *more = schema_get(p->part[i].schema, "additionalProperties");
        declared |= schema_get(p->part[i].schema, "properties") != NULL;
        given |= more != NULL;
        closed |= cJSON_IsFalse(more);
        if (more)
            rc = schema_add_part(w, &v, more, 0);
    }
    ms->most_others = UINT64_MAX;
    if (rc || closed || (!given && declared) || (!given && ms->n))
        return rc;
    rc = schema_flatten(w, &v, &flat);
    ms->others = !schema_is_never(&flat);
    *others = v;
    return rc;
}

/* minProperties and maxProperties, as far as the rest decides them. */
static int check_counts(struct work *w, const struct parts *p, struct members *ms)
{
    const cJSON *at = NULL, *to = NULL;
    const cJSON *min = schema_bound(p, "minProperties", true, &at);
    const cJSON *max = schema_bound(p, "maxProperties", false, &to);
    size_t n_must = 0;
    for (size_t i = 0; i < ms->n; i++)
        n_must += ms->m[i].required;
    if (min && min->valuedouble > (double)n_must) {
        /* Others may have the same name, so more than one cannot be counted on. */
        if (ms->n || !ms->others || min->valuedouble > 1)
            return schema_refuse(w, at, "minProperties",
                                 "the keyword \"minProperties\" is only supported up to the number "
                                 "of required properties, or as 1 where there are no properties");
        ms->least_others = 1;
    }
    if (max && max->valuedouble < (double)ms->n)
        return schema_refuse(w, to, "maxProperties",
                             "the keyword \"maxProperties\" is only supported from the number of "
                             "properties on");
    if (max)
        ms->most_others = (uint64_t)max->valuedouble - ms->n;
    if (ms->most_others == 0)
        ms->others = false;
    if (ms->least_others > ms->most_others)
        return schema_refuse(w, at, "minProperties",
                             "the keyword \"minProperties\" is more than maxProperties");
    return 0;
}

/* ------------------------------------------------------------------ names of others */

struct keys {
    struct work *w;
    const char *base; /* the object's rule */
    const char **name;
    unsigned n_nodes;
};

/*
 * The rule for the rest of a name, of which the first `skip` bytes are those of name[from, to).
 * It must not end where one of them ends.
 */
static int write_key_node(struct keys *k, size_t from, size_t to, size_t skip, unsigned number)
{
    struct buf rule = {0}, taken = {0};
    char escapes[] = "\"\\bfnrt"; /* those that no name goes on with */
    unsigned first_child = k->n_nodes;
    bool ends = false, some = false;
    int rc = 0;
    buf_addf(&rule, "%sk%u ::= ", k->base, number);
    for (size_t i = from; i < to && rc == 0;) {
        const char *s = k->name[i] + skip;
        uint32_t cp;
        unsigned len = *s ? utf8_decode(s, strlen(s), &cp) : 0;
        size_t end = i + 1;
        if (!len) {
            ends = true;
            i = end;
            continue;
        }
        while (end < to && strncmp(k->name[end] + skip, s, len) == 0)
            end++;
        char text[8];
        size_t n = gbnf_json_char(text, cp);
        if (n <= 2 && text[0] == '\\') {
            char *e = strchr(escapes, text[1]);
            memmove(e, e + 1, strlen(e));
        } else if (n != 6) {
            gbnf_class_char(&taken, cp);
        }
        /* Controls without a short escape are in no other member's name. */
        if (n != 6) {
            buf_adds(&rule, some ? " | " : "");
            gbnf_literal(&rule, text, n);
            buf_addf(&rule, " %sk%u", k->base, k->n_nodes++);
            some = true;
        }
        rc = schema_steps(k->w, end - i + 4);
        if (rc == 0 && k->n_nodes > MAX_KEY_NODES)
            rc = schema_refuse(k->w, NULL, NULL,
                               "the names of properties are too long to tell others from them; "
                               "set additionalProperties to false");
        i = end;
    }
    buf_adds(&rule, some ? " | " : "");
    buf_addf(&rule, "([^\\x22\\x5C\\x00-\\x1F%s]", taken.len ? taken.data : "");
    if (*escapes) {
        buf_adds(&rule, " | \"\\\\\" [");
        for (const char *e = escapes; *e; e++)
            gbnf_class_char(&rule, (unsigned char)*e);
        buf_addc(&rule, ']');
    }
    buf_addf(&rule, ") %s-keychar*%s\n", k->w->prefix, skip && !ends ? " | " : "");
    buf_add(k->w->out, rule.data, rule.len);
    k->w->out->failed |= rule.failed || taken.failed;
    buf_free(&rule);
    buf_free(&taken);

    /* The children, in the same order. */
    for (size_t i = from; i < to && rc == 0;) {
        const char *s = k->name[i] + skip;
        uint32_t cp;
        char text[8];
        size_t end = i + 1;
        unsigned len = *s ? utf8_decode(s, strlen(s), &cp) : 0;
        while (len && end < to && strncmp(k->name[end] + skip, s, len) == 0)
            end++;
        if (len && gbnf_json_char(text, cp) != 6)
            rc = write_key_node(k, i, end, skip + len, first_child++);
        i = end;
    }
    return rc;
}

/* Names that are none of the properties'; appends the name of their rule. */
static int write_keys(struct work *w, const struct parts *p, const struct members *ms,
                      const char *base, struct buf *expr)
{
    struct keys k = {.w = w, .base = base, .n_nodes = 1};
    size_t n = ms->n, kept = 0;
    for (unsigned i = 0; i < p->n; i++)
        n += (size_t)cJSON_GetArraySize(schema_get(p->part[i].schema, "properties"));
    if (n == 0) {
        buf_addf(expr, "%s-keychar+", w->prefix);
        w->key = true;
        return 0;
    }
    k.name = mem_zalloc(n, sizeof *k.name);
    if (!k.name)
        return schema_no_memory(w);
    n = 0;
    for (size_t i = 0; i < ms->n; i++)
        k.name[n++] = ms->m[i].name;
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *own = schema_get(p->part[i].schema, "properties");
        for (const cJSON *v = own ? own->child : NULL; v; v = v->next)
            k.name[n++] = v->string;
    }
    qsort(k.name, n, sizeof *k.name, by_name);
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        if (strlen(k.name[i]) > 256)
            rc = schema_refuse(w, p->part[0].schema, "additionalProperties",
                               "the keyword \"additionalProperties\": supported where names of "
                               "properties have at most 256 bytes");
        if (i == 0 || strcmp(k.name[kept - 1], k.name[i]) != 0)
            k.name[kept++] = k.name[i];
    }
    if (rc == 0)
        rc = write_key_node(&k, 0, kept, 0, 0);
    mem_free(k.name);
    buf_addf(expr, "%sk0", base);
    w->key = true;
    return rc;
}

/* ------------------------------------------------------------------ objects */

static void put_member(struct work *w, const struct member *m, struct buf *out)
{
    buf_addc(out, '"');
    schema_put_json_string(out, m->name);
    buf_adds(out, ":\" \" \"? ");
    schema_name(w, m->view, out);
}

/*
 * Members that may be left out are a choice of the next one, again and again.  Rules:
 *
 *     r<i>  what may follow where all before i are done with: a comma and one of them, or nothing
 *     s<i>  one of the members from i on, up to the first that may not be left out, and its rest
 *     b<i>  the same, for i that begin a block
 *     t     other members
 *
 * The names in a block share their beginnings (engine/grammar-build.c), so that of n members hardly
 * more are in question at a time than a block has and blocks there are, and the text grows as n
 * does.
 */
enum { BLOCK = 64 };

struct object {
    struct work *w;
    const struct members *ms;
    const char *base;
    size_t n_must; /* behind the last member that may not be left out */
};

static bool any_from(const struct object *o, size_t i)
{
    return i < o->ms->n || o->ms->others;
}

static void put_choice(const struct object *o, size_t i, struct buf *out)
{
    if (i == o->ms->n)
        buf_addf(out, "%st", o->base);
    else
        buf_addf(out, "%s%c%zu", o->base, i % BLOCK ? 's' : 'b', i);
}

/* Members from i on, each with its comma. */
static void put_rest(const struct object *o, size_t i, struct buf *out)
{
    for (; i < o->ms->n && o->ms->m[i].required; i++) {
        buf_adds(out, SCHEMA_COMMA);
        put_member(o->w, &o->ms->m[i], out);
        buf_addc(out, ' ');
    }
    if (any_from(o, i))
        buf_addf(out, "%sr%zu", o->base, i);
    else
        buf_adds(out, "\"\"");
}

static void put_one(const struct object *o, size_t i, struct buf *out)
{
    put_member(o->w, &o->ms->m[i], out);
    buf_addc(out, ' ');
    put_rest(o, i + 1, out);
}

static void write_rest_rule(const struct object *o, size_t i)
{
    struct buf *out = o->w->out;
    buf_addf(out, "%sr%zu ::= (%s", o->base, i, SCHEMA_COMMA);
    put_choice(o, i, out);
    buf_adds(out, i < o->n_must ? ")\n" : ")?\n");
}

static void write_choice_rule(const struct object *o, size_t i)
{
    struct buf *out = o->w->out;
    size_t end = i % BLOCK ? i + 1 : MIN(i + BLOCK, o->ms->n);
    bool must = false;
    put_choice(o, i, out);
    buf_adds(out, " ::= ");
    for (size_t k = i; k < end && !must; k++) {
        buf_adds(out, k > i ? " | " : "");
        put_one(o, k, out);
        must = o->ms->m[k].required;
    }
    if (!must && any_from(o, end)) {
        buf_adds(out, " | ");
        put_choice(o, end, out);
    }
    buf_addc(out, '\n');
}

/* Rule o is one other member. */
static int write_others(const struct object *o, const struct parts *p)
{
    struct work *w = o->w;
    struct buf rule = {0};
    buf_addf(&rule, "%so ::= \"\\\"\" ", o->base);
    int rc = write_keys(w, p, o->ms, o->base, &rule);
    buf_adds(&rule, " \"\\\":\" \" \"? ");
    schema_name(w, o->ms->others_view, &rule);
    buf_addc(&rule, '\n');
    buf_add(w->out, rule.data, rule.len);
    w->out->failed |= rule.failed;
    buf_free(&rule);
    buf_addf(w->out, "%st ::= %so", o->base, o->base);
    uint64_t most = o->ms->most_others;
    if (most > 1) {
        buf_addf(w->out, " (%s%so)", SCHEMA_COMMA, o->base);
        gbnf_repeat(w->out, 0, most == UINT64_MAX ? most : most - 1);
    }
    buf_addc(w->out, '\n');
    return rc;
}

static int put_object(struct work *w, const struct parts *p, const struct members *ms,
                      const char *base, struct buf *expr)
{
    struct object o = {.w = w, .ms = ms, .base = base};
    int rc = ms->others ? write_others(&o, p) : 0;
    for (size_t i = 0; i < ms->n; i++)
        if (ms->m[i].required)
            o.n_must = i + 1;
    for (size_t i = 0; i <= ms->n && rc == 0; i++) {
        bool may = i < ms->n ? !ms->m[i].required : ms->others;
        if (may)
            write_rest_rule(&o, i);
        if (i < ms->n && (may || (i && !ms->m[i - 1].required)))
            write_choice_rule(&o, i);
        rc = schema_steps(w, 1);
    }
    buf_adds(expr, "\"{\" ");
    if (ms->n && ms->m[0].required) {
        put_one(&o, 0, expr);
    } else if (any_from(&o, 0)) {
        buf_addc(expr, '(');
        put_choice(&o, 0, expr);
        buf_adds(expr, o.n_must || ms->least_others ? ")" : ")?");
    }
    buf_adds(expr, " \"}\"");
    return rc;
}

int schema_write_object(struct work *w, const struct parts *p, uint32_t number, struct buf *expr)
{
    struct members ms = {0};
    struct parts others = {0};
    struct buf base = {0};
    schema_name(w, number, &base);
    if (number == 0) /* "root-1" is another rule */
        buf_addc(&base, '-');
    int rc = base.failed ? schema_no_memory(w) : collect_required(w, p, &ms);
    if (rc == 0)
        rc = collect_members(w, p, &ms);
    if (rc == 0)
        rc = collect_others(w, p, &ms, &others);
    if (rc == 0)
        rc = check_counts(w, p, &ms);
    if (rc == 0 && ms.others)
        rc = schema_view(w, &others, &ms.others_view);
    if (rc == 0)
        rc = put_object(w, p, &ms, base.data, expr);
    mem_free(ms.m);
    mem_free(ms.required);
    buf_free(&base);
    return rc;
}
