/* SPDX-License-Identifier: MIT */
/*
 * json.c - the strict scan of base/jsontext.h, and cJSON behind it.
 *
 * The scan decides what is JSON; cJSON afterwards only builds the tree.
 */
#include "config.h"
#include "server/json.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/jsontext.h"
#include "base/mem.h"

_Static_assert(JSON_MAX_DEPTH == (int)JSONTEXT_MAX_DEPTH, "the scan's limit is the one we state");

int json_check(const char *text, size_t len, struct trit_error *err)
{
    return jsontext_check(text, len, JSON_MAX_NODES, err);
}

const char *json_member_text(const char *text, size_t len, const char *name, size_t *value_len)
{
    struct jsontext doc = jsontext_document(text, len), key, value;
    if (jsontext_kind(doc) != JSONTEXT_OBJECT)
        return NULL;
    for (struct jsontext_walk w = jsontext_begin(doc); jsontext_next(&w, &key, &value);)
        if (jsontext_is(key, name)) {
            *value_len = value.len;
            return value.at;
        }
    return NULL;
}

/* ------------------------------------------------------------------ the tree */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A member's name that occurs twice in this object, or NULL.  Names are sorted, because an object
 * of a hundred thousand members may come from anyone. */
static int find_twice(const cJSON *object, const char **twice)
{
    size_t n = 0, i = 0;
    *twice = NULL;
    for (const cJSON *m = object->child; m; m = m->next)
        n++;
    if (n < 2)
        return 0;
    const char **names = mem_zalloc(n, sizeof *names);
    if (!names)
        return -TRIT_ENOMEM;
    for (const cJSON *m = object->child; m; m = m->next)
        names[i++] = m->string;
    qsort(names, n, sizeof *names, by_name);
    for (i = 1; i < n && !*twice; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            *twice = names[i];
    mem_free(names);
    return 0;
}

/* Depth is bounded by the scan. */
static int check_members(const cJSON *v, struct trit_error *err)
{
    const char *twice = NULL;
    int rc = cJSON_IsObject(v) ? find_twice(v, &twice) : 0;
    if (rc)
        return trit_fail(err, TRIT_ENOMEM, "no memory to read the request");
    if (twice)
        return trit_fail(err, TRIT_EFORMAT, "the member \"%.60s\" stands twice in one object",
                         twice);
    for (const cJSON *m = v->child; m && rc == 0; m = m->next)
        if (m->child)
            rc = check_members(m, err);
    return rc;
}

static void *tree_alloc(size_t bytes)
{
    return mem_zalloc(1, bytes);
}

/* Whether a double does not tell what was written: more digits than it can hold for sure, or a
 * fraction, which 1.0 has and 1 has not. */
static bool says_more(const char *number, size_t len)
{
    enum { EXACT_DIGITS = 15 };
    for (size_t i = 0; i < len; i++)
        if (strchr(".eE", number[i]))
            return true;
    return len > EXACT_DIGITS;
}

/* Past the next number of a text that has passed the scan and has one: its first byte. */
static const char *next_number(const char **at, const char *end, size_t *len)
{
    const char *s = *at, *from;
    for (; *s != '-' && (*s < '0' || *s > '9'); s++)
        if (*s == '"')
            while (*++s != '"')
                s += *s == '\\';
    for (from = s; s < end && *s && strchr("+-.0123456789eE", *s);)
        s++;
    *at = s;
    *len = (size_t)(s - from);
    return from;
}

/* The numbers of a tree come in the order of the text. */
static int keep_numbers(cJSON *v, const char **at, const char *end)
{
    int rc = 0;
    for (cJSON *m = v->child; m && rc == 0; m = m->next)
        rc = keep_numbers(m, at, end);
    if (!cJSON_IsNumber(v))
        return rc;
    size_t len;
    const char *number = next_number(at, end, &len);
    if (!says_more(number, len))
        return 0;
    v->valuestring = tree_alloc(len + 1);
    if (!v->valuestring)
        return -TRIT_ENOMEM;
    memcpy(v->valuestring, number, len);
    return 0;
}

int json_parse(const char *text, size_t len, struct cJSON **doc, struct trit_error *err)
{
    *doc = NULL;
    int rc = json_check(text, len, err);
    if (rc)
        return rc;
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = tree_alloc, .free_fn = mem_free});
    cJSON *tree = cJSON_ParseWithLength(text, len);
    /* What the scan lets through is JSON, so only memory can be missing. */
    if (!tree)
        return trit_fail(err, TRIT_ENOMEM, "no memory to read the request");
    rc = check_members(tree, err);
    const char *numbers = text;
    if (rc == 0 && keep_numbers(tree, &numbers, text + len) != 0)
        rc = trit_fail(err, TRIT_ENOMEM, "no memory to read the request");
    if (rc) {
        cJSON_Delete(tree);
        return rc;
    }
    *doc = tree;
    return 0;
}
