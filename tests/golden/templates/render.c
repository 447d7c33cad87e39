/* SPDX-License-Identifier: MIT */
/*
 * render.c - reads templates with their variables, prints what they make: our side of compare.mjs.
 *
 *     render < cases
 *
 * A case is a line of JSON, {"template": "...", "vars": {...}}; the answer is a line too, {"text":
 * "..."} or {"error": "..."}.  Strings of vars are a client's, those of "ours" are not; "marks":
 * true puts the client's parts of the text between U+0001 and U+0002.  The clock stands at noon
 * of 26 July 2024.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "model/tokenizer.h"

static struct jinja_value from_json(struct jinja_pool *p, const cJSON *v, bool client)
{
    struct jinja_value made;
    if (cJSON_IsNull(v))
        return jinja_none();
    if (cJSON_IsBool(v))
        return jinja_bool(cJSON_IsTrue(v));
    if (cJSON_IsNumber(v))
        return v->valuedouble == rint(v->valuedouble) && fabs(v->valuedouble) < 9e15
                   ? jinja_int((int64_t)v->valuedouble)
                   : jinja_float(v->valuedouble);
    if (cJSON_IsString(v))
        return jinja_view(p, v->valuestring, strlen(v->valuestring), client);
    made = cJSON_IsObject(v) ? jinja_dict(p) : jinja_list(p);
    for (const cJSON *e = v->child; e; e = e->next)
        if (cJSON_IsObject(v))
            jinja_put(p, made, jinja_view(p, e->string, strlen(e->string), client),
                      from_json(p, e, client));
        else
            jinja_push(p, made, from_json(p, e, client));
    return made;
}

/* The text with its client's parts between marks. */
static void mark(const struct buf *text, const struct tok_range *range, size_t n, struct buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; at = range[i++].end) {
        buf_add(out, text->data + at, range[i].start - at);
        buf_addc(out, 1);
        buf_add(out, text->data + range[i].start, range[i].end - range[i].start);
        buf_addc(out, 2);
    }
    buf_add(out, text->data + at, text->len - at);
}

static void render(const cJSON *c)
{
    struct tm now = {.tm_mday = 26, .tm_mon = 6, .tm_year = 124, .tm_hour = 12, .tm_wday = 5};
    struct jinja_pool pool = {0};
    struct jinja *t = NULL;
    struct trit_error err = {0};
    struct buf text = {0}, marked = {0};
    struct tok_range *range = NULL;
    size_t n = 0;
    const char *source = cJSON_GetStringValue(cJSON_GetObjectItem(c, "template"));
    struct jinja_value vars = from_json(&pool, cJSON_GetObjectItem(c, "vars"), true);
    cJSON *ours = cJSON_GetObjectItem(c, "ours"), *answer = cJSON_CreateObject(), *e;
    cJSON_ArrayForEach(e, ours)
    {
        jinja_put_name(&pool, vars, e->string, from_json(&pool, e, false));
    }
    int rc = source ? jinja_open(source, strlen(source), &t, &err) : -TRIT_EINVAL;
    if (rc == 0)
        rc = jinja_render(t, vars, &now, &text, &range, &n, &err);
    if (rc == 0) {
        buf_adds(&marked, "");
        mark(&text, range, cJSON_IsTrue(cJSON_GetObjectItem(c, "marks")) ? n : 0, &marked);
        cJSON_AddStringToObject(answer, "text", marked.data);
    } else {
        cJSON_AddStringToObject(answer, "error", err.text);
    }
    char *line = cJSON_PrintUnformatted(answer);
    puts(line);
    cJSON_free(line);
    cJSON_Delete(answer);
    mem_free(range);
    buf_free(&text);
    buf_free(&marked);
    jinja_close(&t);
    jinja_pool_free(&pool);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        cJSON *c = cJSON_Parse(line);
        if (!c) {
            fprintf(stderr, "render: a line is not JSON\n");
            return EXIT_FAILURE;
        }
        render(c);
        cJSON_Delete(c);
    }
    free(line);
    return EXIT_SUCCESS;
}
