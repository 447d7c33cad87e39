/* SPDX-License-Identifier: MIT */
/*
 * values.c - cJSON's tree to jinja's values, element by element.
 */
#include "config.h"
#include "server/values.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

static struct jinja_value text(struct jinja_pool *p, const char *s)
{
    return jinja_text(p, s, strlen(s), true);
}

struct jinja_value values_from_json(struct jinja_pool *p, const cJSON *v)
{
    const double exact = 9007199254740992; /* 2^53 */
    if (cJSON_IsBool(v))
        return jinja_bool(cJSON_IsTrue(v));
    if (cJSON_IsNumber(v))
        return v->valuedouble == rint(v->valuedouble) && fabs(v->valuedouble) <= exact
                   ? jinja_int((int64_t)v->valuedouble)
                   : jinja_float(v->valuedouble);
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
