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
    if (rc) {
        cJSON_Delete(tree);
        return rc;
    }
    *doc = tree;
    return 0;
}
