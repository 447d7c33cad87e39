/* SPDX-License-Identifier: MIT */
/*
 * values.c - cJSON's tree to jinja's values, element by element.
 */
#include "config.h"
#include "server/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static struct jinja_value text(struct jinja_pool *p, const char *s)
{
    return jinja_text(p, s, strlen(s), true);
}

/* As Python reads it: an integer where it is written as one, and a float with a fraction, which is
 * written back with one.  Integers beyond 64 bits are floats (jinja.h). */
static struct jinja_value number(const cJSON *v)
{
    const char *written = v->valuestring; /* json.h */
    if (!written)
        return jinja_int((int64_t)v->valuedouble);
    errno = 0;
    long long n = strtoll(written, NULL, 10);
    return strpbrk(written, ".eE") || errno ? jinja_float(v->valuedouble) : jinja_int(n);
}

struct jinja_value values_from_json(struct jinja_pool *p, const cJSON *v)
{
    if (cJSON_IsBool(v))
        return jinja_bool(cJSON_IsTrue(v));
    if (cJSON_IsNumber(v))
        return number(v);
    if (cJSON_IsString(v))
        return text(p, v->valuestring);
    if (!cJSON_IsArray(v) && !cJSON_IsObject(v))
        return jinja_none();
    struct jinja_value made = cJSON_IsObject(v) ? jinja_dict(p) : jinja_list(p);
    for (const cJSON *e = v->child; e && !p->failed; e = e->next)
        if (cJSON_IsObject(v))
            jinja_put(p, made, text(p, e->string), values_from_json(p, e));
        else
            jinja_push(p, made, values_from_json(p, e));
    return made;
}
