/* SPDX-License-Identifier: MIT */
/*
 * params-history.c - readers of what the messages say of earlier calls of functions.
 *
 * Each result names a call before it, and each call has its result before the conversation goes on.
 * Templates get both as they are in a chat; a model without a word about tools in its template is
 * told of them in the words of that form.
 */
#include "config.h"
#include "server/params-readers.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/fields.h"
#include "server/json.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/values.h"

enum { CALL_ID = 256 /* bytes */ };

/* Calls that have no result yet are the end of a conversation only for whoever has to bring them.
 */
int params_end_history(const struct field_input *in, const struct params_history *h)
{
    size_t k = 0;
    char param[96];
    for (const cJSON *c = h->calls ? h->calls->child : NULL; c; c = c->next, k++) {
        if (h->answered[k])
            continue;
        if (h->flat)
            snprintf(param, sizeof param, "%s[%zu].call_id", in->name, h->at + k);
        else
            snprintf(param, sizeof param, "%s[%zu].tool_calls[%zu].id", in->name, h->at, k);
        return problem_set(in->problem, TRIT_EINVAL, param, "%s: no %s behind it has this %s",
                           param, h->flat ? "function_call_output" : "message of the role tool",
                           h->flat ? "call_id" : "tool_call_id");
    }
    return 0;
}

/* An element of tool_calls. */
static int check_call(const struct field_input *in, const char *path, const cJSON *c)
{
    char param[96];
    const cJSON *f = fields_member(c, "function"), *id = fields_member(c, "id"),
                *type = fields_member(c, "type");
    const cJSON *arguments = fields_member(f, "arguments");
    if (!cJSON_IsObject(c))
        return fields_refuse(in->problem, path, c, "an object with id and function");
    snprintf(param, sizeof param, "%s.id", path);
    if (!cJSON_IsString(id) || !id->valuestring[0] || strlen(id->valuestring) > CALL_ID)
        return id ? fields_refuse(in->problem, param, id, "a string of 1 to %d bytes", CALL_ID)
                  : problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    snprintf(param, sizeof param, "%s.type", path);
    if (type && !fields_is_text(type, "function"))
        return problem_set(in->problem, TRIT_EUNSUPP, param, "%s: only \"function\" is supported",
                           param);
    snprintf(param, sizeof param, "%s.function", path);
    if (!cJSON_IsObject(f))
        return f ? fields_refuse(in->problem, param, f, "an object")
                 : problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    snprintf(param, sizeof param, "%s.function.name", path);
    int rc = params_check_name(in, param, fields_member(f, "name"));
    if (rc)
        return rc;
    snprintf(param, sizeof param, "%s.function.arguments", path);
    if (arguments && !cJSON_IsString(arguments))
        return fields_refuse(in->problem, param, arguments, "a string");
    return 0;
}

static const char *arguments_of(const cJSON *call)
{
    const cJSON *a = fields_member(fields_member(call, "function"), "arguments");
    return a && a->valuestring[0] ? a->valuestring : "{}";
}

/* For templates, which write them as JSON themselves: an object, or else the text. */
static struct jinja_value arguments_value(struct params *p, const cJSON *call)
{
    const char *text = arguments_of(call);
    struct trit_error err;
    cJSON *tree;
    int rc = json_parse(text, strlen(text), &tree, &err);
    if (rc == -TRIT_ENOMEM) /* A text in place of the object would be another prompt. */
        p->values.failed = true;
    if (rc)
        return jinja_text(&p->values, text, strlen(text), true);
    struct jinja_value v = values_from_json(&p->values, tree);
    cJSON_Delete(tree);
    return v;
}

static void put_text(struct params *p, struct jinja_value dict, const char *name, const cJSON *v)
{
    jinja_put_name(&p->values, dict, name,
                   jinja_text(&p->values, v->valuestring, strlen(v->valuestring), true));
}

static struct jinja_value calls_value(struct params *p, const cJSON *calls)
{
    struct jinja_pool *pool = &p->values;
    struct jinja_value list = jinja_list(pool);
    for (const cJSON *c = calls->child; c; c = c->next) {
        struct jinja_value one = jinja_dict(pool), f = jinja_dict(pool);
        put_text(p, one, "id", fields_member(c, "id"));
        jinja_put_name(pool, one, "type", jinja_view(pool, "function", 8, false));
        put_text(p, f, "name", fields_member(fields_member(c, "function"), "name"));
        jinja_put_name(pool, f, "arguments", arguments_value(p, c));
        jinja_put_name(pool, one, "function", f);
        jinja_push(pool, list, one);
    }
    return list;
}

/* The assistant of message i calls functions. */
static int take_calls(const struct field_input *in, size_t i, const cJSON *calls,
                      struct params_history *h)
{
    struct params *p = in->dst;
    char path[64];
    size_t k = 0;
    snprintf(path, sizeof path, "%s[%zu].tool_calls", in->name, i);
    if (!cJSON_IsArray(calls) || cJSON_GetArraySize(calls) > PARAMS_CALLS)
        return fields_refuse(in->problem, path, calls, "an array of at most %d calls",
                             PARAMS_CALLS);
    for (const cJSON *c = calls->child; c; c = c->next, k++) {
        snprintf(path, sizeof path, "%s[%zu].tool_calls[%zu]", in->name, i, k);
        int rc = check_call(in, path, c);
        if (rc)
            return rc;
    }
    h->calls = calls;
    h->at = i;
    memset(h->answered, 0, sizeof h->answered);
    if (!h->untold) {
        h->more = jinja_dict(&p->values);
        jinja_put_name(&p->values, h->more, "tool_calls", calls_value(p, calls));
    }
    return 0;
}

/* Message i is the result of a call. */
static int take_result(const struct field_input *in, size_t i, const cJSON *id,
                       struct params_history *h)
{
    struct params *p = in->dst;
    char param[64];
    size_t k = 0;
    snprintf(param, sizeof param, h->flat ? "%s[%zu].call_id" : "%s[%zu].tool_call_id", in->name,
             i);
    if (!id)
        return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    if (!cJSON_IsString(id))
        return fields_refuse(in->problem, param, id, "a string");
    const cJSON *c = h->calls ? h->calls->child : NULL;
    for (; c; c = c->next, k++)
        if (!h->answered[k] && fields_is_text(fields_member(c, "id"), id->valuestring))
            break;
    if (!c)
        return problem_set(in->problem, TRIT_EINVAL, param,
                           "%s: of the calls before it none has this id and no result yet", param);
    h->answered[k] = true;
    if (!h->untold) {
        h->more = jinja_dict(&p->values);
        put_text(p, h->more, "tool_call_id", id);
        put_text(p, h->more, "name", fields_member(fields_member(c, "function"), "name"));
    }
    return 0;
}

int params_take_history(const struct field_input *in, size_t i, const cJSON *m, const char *role,
                        struct params_history *h)
{
    const cJSON *calls = fields_member(m, "tool_calls");
    bool has_calls = calls && !(cJSON_IsArray(calls) && !calls->child);
    bool result = strcmp(role, "tool") == 0;
    char param[64];
    h->more = (struct jinja_value){0};
    h->has_calls = has_calls;
    if (result) {
        if (has_calls) {
            snprintf(param, sizeof param, "%s[%zu].tool_calls", in->name, i);
            return problem_set(in->problem, TRIT_EINVAL, param,
                               "%s: only an assistant calls functions", param);
        }
        return take_result(in, i, fields_member(m, "tool_call_id"), h);
    }
    int rc = params_end_history(in, h);
    if (rc)
        return rc;
    h->calls = NULL;
    if (!has_calls)
        return 0;
    if (strcmp(role, "assistant") != 0) {
        snprintf(param, sizeof param, "%s[%zu].tool_calls", in->name, i);
        return problem_set(in->problem, TRIT_EINVAL, param, "%s: only an assistant calls functions",
                           param);
    }
    return take_calls(in, i, calls, h);
}

void params_write_calls(const struct params_history *h, bool first, struct buf *words)
{
    const struct cJSON *c = h->calls->child;
    struct trit_error err;
    for (; c; c = c->next, first = false) {
        const char *arguments = arguments_of(c);
        struct json_out o = {.buf = words};
        buf_adds(words, first ? "<tool_call>\n{\"name\": " : "\n<tool_call>\n{\"name\": ");
        json_str(&o, fields_member(fields_member(c, "function"), "name")->valuestring);
        buf_adds(words, ", \"arguments\": ");
        o.comma = false;
        if (json_check(arguments, strlen(arguments), &err) == 0)
            json_raw(&o, arguments);
        else
            json_str(&o, arguments);
        buf_adds(words, "}\n</tool_call>");
    }
}
