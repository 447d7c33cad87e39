/* SPDX-License-Identifier: MIT */
/*
 * fields.c - walking a request body along a table.
 */
#include "config.h"
#include "server/fields.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/json.h"
#include "server/problem.h"

enum {
    MAX_ROWS = 128,
    IGNORED_NAME = 64,  /* bytes kept of one unknown name */
    IGNORED_ALL = 1000, /* and of all together */
};

/* What was found, short enough for a message.  Texts are not repeated: they may be anything. */
static void describe(const cJSON *v, char *dst, size_t cap)
{
    if (cJSON_IsNumber(v))
        snprintf(dst, cap, isfinite(v->valuedouble) ? "%.17g" : "a number beyond any range",
                 v->valuedouble);
    else if (cJSON_IsString(v))
        snprintf(dst, cap, "a string of %zu bytes", strlen(v->valuestring));
    else if (cJSON_IsArray(v))
        snprintf(dst, cap, "an array of %d", cJSON_GetArraySize(v));
    else
        snprintf(dst, cap, "%s",
                 cJSON_IsObject(v)  ? "an object"
                 : cJSON_IsTrue(v)  ? "true"
                 : cJSON_IsFalse(v) ? "false"
                                    : "null");
}

int fields_refuse(struct problem *p, const char *param, const cJSON *found, const char *expected,
                  ...)
{
    char what[64], want[256];
    va_list ap;
    describe(found, what, sizeof what);
    va_start(ap, expected);
    vsnprintf(want, sizeof want, expected, ap);
    va_end(ap);
    return problem_set(p, TRIT_EINVAL, param, "%s: found %s, expected %s", param, what, want);
}

bool fields_is_int(const cJSON *v, double min, double max)
{
    return cJSON_IsNumber(v) && v->valuedouble >= min && v->valuedouble <= max &&
           v->valuedouble == floor(v->valuedouble);
}

/* A 64-bit integer does not fit the tree's double, so it is read from the text again. */
static bool read_seed(const struct field *f, const char *text, size_t len, const cJSON *v,
                      struct field_seed *seed)
{
    const double two63 = 9223372036854775808.0;
    if (!fields_is_int(v, -two63, two63))
        return false;
    size_t n;
    const char *digits = json_member_text(text, len, f->name, &n);
    trit_assert(digits);
    seed->given = true;
    if (memchr(digits, '.', n) || memchr(digits, 'e', n) || memchr(digits, 'E', n)) {
        if (v->valuedouble == two63)
            return false;
        seed->value = (uint64_t)(int64_t)v->valuedouble;
        return true;
    }
    char copy[24];
    if (n >= sizeof copy)
        return false;
    memcpy(copy, digits, n);
    copy[n] = '\0';
    errno = 0;
    seed->value = (uint64_t)strtoll(copy, NULL, 10);
    return errno == 0;
}

static int refuse_range(const struct field *f, const cJSON *v, const char *kind, struct problem *p)
{
    if (f->above)
        return fields_refuse(p, f->name, v, "%s above %.15g and at most %.15g", kind, f->min,
                             f->max);
    return fields_refuse(p, f->name, v, "%s from %.15g to %.15g", kind, f->min, f->max);
}

static int read_field(const struct field *f, const char *text, size_t len,
                      const struct field_input *in)
{
    const cJSON *v = in->value;
    struct problem *p = in->problem;
    char *to = f->at ? (char *)in->dst + f->at - 1 : NULL;
    double number = cJSON_IsNumber(v) ? v->valuedouble : NAN;
    bool in_range = number >= f->min && number <= f->max && !(f->above && number == f->min);

    switch (f->type) {
    case FIELD_BOOL:
        if (!cJSON_IsBool(v))
            return fields_refuse(p, f->name, v, "true or false");
        if (to)
            *(bool *)to = cJSON_IsTrue(v);
        break;
    case FIELD_INT:
        if (!in_range || number != floor(number))
            return refuse_range(f, v, "an integer", p);
        if (to)
            *(int64_t *)(void *)to = (int64_t)number;
        break;
    case FIELD_NUMBER:
        if (!in_range)
            return refuse_range(f, v, "a number", p);
        if (to)
            *(double *)(void *)to = number;
        break;
    case FIELD_SEED:
        if (!read_seed(f, text, len, v, (struct field_seed *)(void *)to))
            return fields_refuse(p, f->name, v, "an integer of 64 bits");
        break;
    case FIELD_STRING:
        if (!cJSON_IsString(v))
            return fields_refuse(p, f->name, v, "a string");
        if (f->max > 0 && strlen(v->valuestring) > (size_t)f->max)
            return fields_refuse(p, f->name, v, "at most %.0f bytes", f->max);
        if (to)
            *(const char **)(void *)to = v->valuestring;
        break;
    case FIELD_LIST:
        if (!cJSON_IsArray(v))
            return fields_refuse(p, f->name, v, "an array");
        break;
    case FIELD_OBJECT:
        if (!cJSON_IsObject(v))
            return fields_refuse(p, f->name, v, "an object");
        break;
    case FIELD_MIXED:
        break;
    case FIELD_REFUSE:
        return problem_set(p, TRIT_EUNSUPP, f->name, "%s: %s", f->name, f->why);
    }
    return f->read ? f->read(in) : 0;
}

static void note_ignored(struct buf *out, const char *name)
{
    if (out->len >= IGNORED_ALL)
        return;
    if (out->len)
        buf_addc(out, ',');
    for (size_t i = 0; i < IGNORED_NAME && name[i]; i++) {
        bool plain = (name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'z') ||
                     (name[i] >= 'A' && name[i] <= 'Z') || strchr("_.-", name[i]);
        buf_addc(out, plain ? name[i] : '?');
    }
}

/* Each path is noted once: messages have many names. */
void fields_ignore(const struct field_input *in, const char *name)
{
    struct buf path = {0};
    buf_addf(&path, "%s.%s", in->name, name);
    in->ignored->failed |= path.failed;
    if (!in->ignored->failed && !(in->ignored->len && strstr(in->ignored->data, path.data)))
        note_ignored(in->ignored, path.data);
    buf_free(&path);
}

int fields_read(const struct field_table *table, unsigned endpoint, const cJSON *body,
                const char *text, size_t len, void *dst, const void *arg, struct buf *ignored,
                struct problem *problem)
{
    bool seen[MAX_ROWS] = {false};
    trit_assert(table->n <= MAX_ROWS);
    if (!cJSON_IsObject(body))
        return problem_set(problem, TRIT_EFORMAT, NULL, "the body is not a JSON object");

    for (const cJSON *v = body->child; v; v = v->next) {
        size_t i = 0;
        while (i < table->n &&
               !((table->row[i].on & endpoint) && strcmp(table->row[i].name, v->string) == 0))
            i++;
        if (i == table->n) {
            note_ignored(ignored, v->string);
            continue;
        }
        if (cJSON_IsNull(v))
            continue;
        seen[i] = true;
        struct field_input in = {table->row[i].name, v, dst, arg, ignored, problem};
        int rc = read_field(&table->row[i], text, len, &in);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < table->n; i++)
        if (table->row[i].required && (table->row[i].on & endpoint) && !seen[i])
            return problem_set(problem, TRIT_EINVAL, table->row[i].name, "%s is required",
                               table->row[i].name);
    return 0;
}

int fields_no_memory(const struct field_input *in)
{
    return problem_set(in->problem, TRIT_ENOMEM, in->name, "no memory for %s", in->name);
}

const cJSON *fields_member(const cJSON *v, const char *name)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(v, name);
    return cJSON_IsNull(m) ? NULL : m;
}

bool fields_is_text(const cJSON *v, const char *text)
{
    return cJSON_IsString(v) && strcmp(v->valuestring, text) == 0;
}
