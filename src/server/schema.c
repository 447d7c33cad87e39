/* SPDX-License-Identifier: MIT */
/*
 * schema.c - the list of views and the rule of each.
 *
 * The rule of a view is a choice between types, or between branches of anyOf; the bodies beside
 * this one write the types.
 */
#include "config.h"
#include "server/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/problem.h"
#include "server/schema-parts.h"

const struct schema_limits schema_limits = {
    .schemas = 12000, /* OpenAI allows 5000 properties, and 1000 values of enums */
    .values = 4096,
    .steps = 2 * 1000 * 1000,
    .text_bytes = 2 << 20,
};

/* ------------------------------------------------------------------ problems */

/* Whether `node` is at or below `at`; then its path, from there, is appended.  The depth is that of
 * JSON, which is bounded. */
static bool find_path(const cJSON *at, const cJSON *node, struct buf *path)
{
    if (at == node)
        return true;
    size_t len = path->len, i = 0;
    for (const cJSON *m = at->child; m; m = m->next, i++) {
        if (cJSON_IsArray(at))
            buf_addf(path, "[%zu]", i);
        else
            buf_addf(path, ".%.60s", m->string);
        if (find_path(m, node, path))
            return true;
        path->len = MIN(len, path->len);
    }
    return false;
}

int schema_refuse(struct work *w, const cJSON *schema, const char *keyword, const char *fmt, ...)
{
    struct buf path = {0};
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_adds(&path, w->path);
    if (schema)
        find_path(w->root, schema, &path);
    size_t len = path.len;
    if (keyword)
        buf_addf(&path, ".%.60s", keyword);
    const char *param = path.failed ? w->path : path.data;
    problem_set(w->problem, TRIT_EINVAL, param, "%.*s: %s", path.failed ? 0 : (int)len, param,
                text);
    w->problem->code = "invalid_schema";
    buf_free(&path);
    return -TRIT_EINVAL;
}

int schema_no_memory(struct work *w)
{
    return problem_set(w->problem, TRIT_ENOMEM, NULL, "no memory for the schema");
}

int schema_steps(struct work *w, uint64_t n)
{
    w->steps += n;
    if (w->steps > w->limits->steps)
        return schema_refuse(w, NULL, NULL, "the schema takes more than %llu steps to read",
                             (unsigned long long)w->limits->steps);
    if (w->out->len - w->start > w->limits->text_bytes)
        return schema_refuse(w, NULL, NULL, "the grammar of the schema is longer than %zu bytes",
                             w->limits->text_bytes);
    return 0;
}

/* ------------------------------------------------------------------ views */

void schema_name(const struct work *w, uint32_t number, struct buf *out)
{
    buf_adds(out, w->prefix);
    if (number)
        buf_addf(out, "-%u", number);
}

TRIT_WRAPS static uint64_t hash_parts(const struct parts *p)
{
    uint64_t h = p->n;
    for (unsigned i = 0; i < p->n; i++) {
        h = (h ^ (uintptr_t)p->part[i].schema ^ p->part[i].done) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return h;
}

static bool is_same(const struct work *w, const struct view *v, const struct parts *p)
{
    for (unsigned i = 0; i < p->n; i++)
        if (w->pool[v->part + i].schema != p->part[i].schema ||
            w->pool[v->part + i].done != p->part[i].done)
            return false;
    return true;
}

static bool make_room(void **array, size_t used, size_t extra, size_t *cap, size_t size)
{
    if (used + extra <= *cap)
        return true;
    size_t wanted = MAX(*cap * 2, used + extra + 64);
    void *grown = mem_resize(*array, wanted, size);
    if (!grown)
        return false;
    *array = grown;
    *cap = wanted;
    return true;
}

int schema_view(struct work *w, const struct parts *parts, uint32_t *number)
{
    uint64_t hash = hash_parts(parts);
    int rc = schema_steps(w, 1 + w->n_views / 32);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < w->n_views; i++)
        if (w->view[i].hash == hash && w->view[i].n == parts->n && is_same(w, &w->view[i], parts)) {
            *number = i;
            return 0;
        }
    if (w->n_views == w->limits->schemas)
        return schema_refuse(w, NULL, NULL, "there are more than %u different schemas in it",
                             w->limits->schemas);
    size_t cap = w->cap_views;
    if (!make_room((void **)&w->view, w->n_views, 1, &cap, sizeof *w->view) ||
        !make_room((void **)&w->pool, w->n_pool, parts->n, &w->cap_pool, sizeof *w->pool))
        return schema_no_memory(w);
    w->cap_views = (uint32_t)cap;
    *number = w->n_views++;
    w->view[*number] = (struct view){w->n_pool, parts->n, hash};
    if (parts->n)
        memcpy(w->pool + w->n_pool, parts->part, parts->n * sizeof *w->pool);
    w->n_pool += parts->n;
    return 0;
}

/* ------------------------------------------------------------------ the rule of a view */

/* Of oneOf: exactly one branch may hold. */
static int check_apart(struct work *w, const cJSON *schema, const struct parts *flat, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            bool apart;
            int rc = schema_told_apart(w, &flat[k], &flat[i], &apart);
            if (rc)
                return rc;
            if (!apart)
                return schema_refuse(w, schema, "oneOf",
                                     "the branches %zu and %zu of \"oneOf\" may hold both; only "
                                     "those that differ in type, in a required property's const or "
                                     "in what they require are supported: write anyOf",
                                     k, i);
        }
    return 0;
}

/* Branches of anyOf or oneOf, each together with all the rest. */
static int write_branches(struct work *w, const struct parts *p, unsigned at, unsigned bit,
                          const cJSON *list, struct buf *expr)
{
    const cJSON *schema = p->part[at].schema;
    size_t n = (size_t)cJSON_GetArraySize(list), i = 0;
    if (n > w->limits->values)
        return schema_refuse(w, schema, list->string,
                             "the keyword \"%s\" has %zu branches, at most "
                             "%u are supported",
                             list->string, n, w->limits->values);
    struct parts *flat = mem_zalloc(n, sizeof *flat);
    bool some = false;
    int rc = flat ? 0 : schema_no_memory(w);
    for (const cJSON *b = list->child; b && rc == 0; b = b->next, i++) {
        struct parts branch = {0};
        for (unsigned k = 0; k < p->n && rc == 0; k++)
            rc = schema_add_part(w, &branch, p->part[k].schema,
                                 p->part[k].done | (k == at ? bit : 0));
        if (rc == 0)
            rc = schema_add_part(w, &branch, b, 0);
        if (rc == 0)
            rc = schema_flatten(w, &branch, &flat[i]);
        if (rc || schema_is_never(&flat[i]))
            continue;
        uint32_t number = 0;
        rc = schema_view(w, &branch, &number);
        if (rc)
            continue;
        buf_adds(expr, some ? " | " : "");
        schema_name(w, number, expr);
        some = true;
    }
    if (rc == 0 && bit == DONE_ONE)
        rc = check_apart(w, schema, flat, n);
    mem_free(flat);
    if (rc == 0 && !some)
        rc = schema_refuse(w, schema, bit == DONE_ANY ? "anyOf" : "oneOf", "no branch can match");
    return rc;
}

static int write_types(struct work *w, const struct parts *p, uint32_t number, struct buf *expr)
{
    unsigned types = schema_types(p, true);
    static const struct {
        unsigned bits;
        const char *text;
    } plain[] = {{IS_NULL, "\"null\""}, {IS_BOOL, "\"true\" | \"false\""}};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (types & plain[i].bits)
            buf_addf(expr, "%s%s", expr->len ? " | " : "", plain[i].text);
    for (unsigned bit = IS_INTEGER; bit <= IS_OBJECT && rc == 0; bit <<= 1) {
        /* Fractions include the integers. */
        if (!(types & bit) || (bit == IS_INTEGER && (types & IS_FRACTION)))
            continue;
        buf_adds(expr, expr->len ? " | " : "");
        if (bit & IS_NUMBER)
            rc = schema_write_number(w, p, bit == IS_FRACTION, expr);
        else if (bit == IS_STRING)
            rc = schema_write_string(w, p, number, expr);
        else if (bit == IS_ARRAY)
            rc = schema_write_array(w, p, number, expr);
        else
            rc = schema_write_object(w, p, number, expr);
    }
    return rc;
}

static int write_view(struct work *w, uint32_t number)
{
    struct view v = w->view[number];
    struct parts own = {.n = v.n}, p = {0};
    struct buf expr = {0};
    unsigned at, bit;
    if (v.n)
        memcpy(own.part, w->pool + v.part, v.n * sizeof *own.part);
    int rc = schema_steps(w, 1);
    if (rc == 0)
        rc = schema_flatten(w, &own, &p);
    const cJSON *list = schema_choice(&p, &at, &bit);
    bool single;
    unsigned values_at;
    if (rc == 0 && schema_is_never(&p))
        rc = schema_refuse(w, v.n ? own.part[0].schema : NULL, NULL,
                           "no value can match this schema, and it is needed");
    if (rc == 0 && list)
        rc = write_branches(w, &p, at, bit, list, &expr);
    else if (rc == 0 && schema_values(&p, &single, &values_at))
        rc = schema_write_enum(w, &p, schema_types(&p, false), &expr);
    else if (rc == 0 && p.n == 0)
        schema_write_any(w, &expr);
    else if (rc == 0)
        rc = write_types(w, &p, number, &expr);
    if (rc == 0) {
        schema_name(w, number, w->out);
        buf_adds(w->out, " ::= ");
        buf_add(w->out, expr.data, expr.len);
        buf_addc(w->out, '\n');
        w->out->failed |= expr.failed;
    }
    buf_free(&expr);
    return rc;
}

static int write_all(struct work *w)
{
    struct parts top = {0};
    uint32_t number;
    int rc = schema_add_part(w, &top, w->root, 0);
    if (rc == 0)
        rc = schema_view(w, &top, &number);
    for (uint32_t i = 0; i < w->n_views && rc == 0; i++)
        rc = write_view(w, i);
    return rc;
}

static void work_fini(struct work *w)
{
    mem_free(w->view);
    mem_free(w->pool);
}

int schema_to_grammar(const cJSON *schema, const char *path, const char *prefix,
                      const struct schema_limits *limits, struct buf *out, struct problem *problem)
{
    struct work w = {.root = schema,
                     .path = path,
                     .prefix = prefix,
                     .limits = limits ? limits : &schema_limits,
                     .problem = problem,
                     .out = out,
                     .start = out->len};
    int rc = write_all(&w);
    if (rc == 0)
        schema_common_rules(&w);
    if (rc == 0 && out->failed)
        rc = schema_no_memory(&w);
    if (rc == 0)
        rc = schema_steps(&w, 0);
    work_fini(&w);
    return rc;
}

int schema_refuse_rule(const cJSON *schema, const char *path, const char *prefix, const char *rule,
                       const char *why, struct problem *problem)
{
    struct buf out = {0};
    struct work w = {.root = schema,
                     .path = path,
                     .prefix = prefix,
                     .limits = &schema_limits,
                     .problem = problem,
                     .out = &out};
    size_t len = strlen(prefix);
    unsigned long number = 0;
    int rc = write_all(&w); /* As before, when it went well: the rules have the same numbers. */
    if (strncmp(rule, prefix, len) == 0 && rule[len] == '-')
        number = strtoul(rule + len + 1, NULL, 10);
    if (rc == 0) {
        const struct view *v = number < w.n_views ? &w.view[number] : NULL;
        rc = schema_refuse(&w, v && v->n ? w.pool[v->part].schema : NULL, NULL, "%s", why);
    }
    work_fini(&w);
    buf_free(&out);
    return rc;
}

int schema_any_object(const char *prefix, struct buf *out, struct problem *problem)
{
    struct work w = {
        .prefix = prefix, .limits = &schema_limits, .problem = problem, .out = out, .any = true};
    buf_addf(out, "%s ::= %s-object\n", prefix, prefix);
    schema_common_rules(&w);
    return out->failed ? schema_no_memory(&w) : 0;
}
