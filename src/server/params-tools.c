/* SPDX-License-Identifier: MIT */
/*
 * params-tools.c - readers of what a request has about functions: which there are, and whether the
 * model has to call one.
 *
 * In a response the members of a function lie flat beside its type; in a chat they are wrapped.
 * Templates get them wrapped.  A model without a word about tools in its template is told of them
 * in the system message.
 *
 * Not here: what the messages say of earlier calls (params-history.c).
 */
#include "config.h"
#include "server/params-readers.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/chat.h"
#include "server/json.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/tools.h"
#include "server/values.h"

static bool is_flat(const struct params *p)
{
    return p->endpoint == FOR_RESPONSES;
}

/* ------------------------------------------------------------------ tools */

int params_check_name(const struct field_input *in, const char *path, const cJSON *v)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = cJSON_IsString(v) ? strlen(v->valuestring) : 0;
    if (len > 0 && len <= TOOLS_NAME && strspn(v->valuestring, letters) == len)
        return 0;
    if (!v)
        return problem_set(in->problem, TRIT_EINVAL, path, "%s is required", path);
    return fields_refuse(in->problem, path, v, "1 to %d letters, digits, '_' and '-'", TOOLS_NAME);
}

/* A schema of arguments, which are always an object. */
static int read_schema(const struct field_input *in, struct tool *tool, const cJSON *v)
{
    char param[96];
    const cJSON *type = fields_member(v, "type");
    if (!v)
        return 0;
    if (!cJSON_IsObject(v))
        return fields_refuse(in->problem, tool->path, v, "a JSON schema: an object");
    snprintf(param, sizeof param, "%s.type", tool->path);
    if (type && !fields_is_text(type, "object"))
        return fields_refuse(in->problem, param, type, "\"object\"");
    tool->schema = cJSON_Duplicate(v, true);
    if (!tool->schema || (!type && !cJSON_AddStringToObject(tool->schema, "type", "object")))
        return fields_no_memory(in);
    return 0;
}

/* "Has no effect" is not for `strict`, so it is read whatever the form. */
static int read_function(const struct field_input *in, const char *path, const cJSON *f,
                         struct tools *t)
{
    char param[96];
    struct tool *tool = &t->tool[t->n];
    const cJSON *name = fields_member(f, "name"), *strict = fields_member(f, "strict");
    const cJSON *description = fields_member(f, "description");
    snprintf(param, sizeof param, "%.40s.name", path);
    int rc = params_check_name(in, param, name);
    if (rc)
        return rc;
    for (size_t k = 0; k < t->n; k++)
        if (strcmp(t->tool[k].name, name->valuestring) == 0)
            return problem_set(in->problem, TRIT_EINVAL, param,
                               "%s: another function is called \"%s\" already", param,
                               name->valuestring);
    snprintf(param, sizeof param, "%.40s.description", path);
    if (description && !cJSON_IsString(description))
        return fields_refuse(in->problem, param, description, "a string");
    snprintf(param, sizeof param, "%.40s.strict", path);
    if (strict && !cJSON_IsBool(strict))
        return fields_refuse(in->problem, param, strict, "true or false");
    t->n++;
    tool->strict = cJSON_IsTrue(strict);
    snprintf(tool->name, sizeof tool->name, "%s", name->valuestring);
    snprintf(tool->path, sizeof tool->path, "%.40s.parameters", path);
    return read_schema(in, tool, fields_member(f, "parameters"));
}

/* Remember what the template gets, and what a model that has none is told. */
static int keep_tool(const struct field_input *in, const cJSON *v)
{
    struct params *p = in->dst;
    cJSON *own = NULL;
    if (is_flat(p)) {
        cJSON *f = cJSON_Duplicate(v, true);
        own = cJSON_CreateObject();
        cJSON_DeleteItemFromObjectCaseSensitive(f, "type");
        if (!f || !own || !cJSON_AddStringToObject(own, "type", "function") ||
            !cJSON_AddItemToObject(own, "function", f)) {
            cJSON_Delete(f);
            cJSON_Delete(own);
            return fields_no_memory(in);
        }
        v = own;
    }
    char *text = cJSON_PrintUnformatted(v);
    jinja_push(&p->values, p->tool_list, values_from_json(&p->values, v));
    if (text) {
        buf_adds(&p->tool_text, text);
        buf_addc(&p->tool_text, '\n');
    }
    bool failed = !text || p->values.failed || p->tool_text.failed;
    cJSON_free(text);
    cJSON_Delete(own);
    return failed ? fields_no_memory(in) : 0;
}

int params_read_tools(const struct field_input *in)
{
    struct params *p = in->dst;
    int n = cJSON_GetArraySize(in->value);
    size_t i = 0;
    if (n > TOOLS_MAX)
        return problem_set(in->problem, TRIT_EINVAL, in->name, "%s: found %d, expected at most %d",
                           in->name, n, TOOLS_MAX);
    int rc = params_read_echoed(in);
    if (rc || n == 0)
        return rc;
    struct tools *t = p->tools = mem_zalloc(1, sizeof *t);
    if (!t || !(t->tool = mem_zalloc((size_t)n, sizeof *t->tool)))
        return fields_no_memory(in);
    p->tool_list = jinja_list(&p->values);
    for (const cJSON *v = in->value->child; v; v = v->next, i++) {
        char path[40], param[96];
        snprintf(path, sizeof path, "%s[%zu]", in->name, i);
        const cJSON *type = fields_member(v, "type");
        const cJSON *f = is_flat(p) ? v : fields_member(v, "function");
        if (!cJSON_IsObject(v))
            return fields_refuse(in->problem, path, v, "an object");
        snprintf(param, sizeof param, "%s.type", path);
        if (!type)
            return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
        if (!fields_is_text(type, "function"))
            return problem_set(in->problem, TRIT_EUNSUPP, param,
                               "%s: only \"function\" is supported", param);
        snprintf(param, sizeof param, "%s.function", path);
        if (!f)
            return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
        if (!cJSON_IsObject(f))
            return fields_refuse(in->problem, param, f, "an object");
        rc = read_function(in, is_flat(p) ? path : param, f, t);
        if (rc == 0)
            rc = keep_tool(in, v);
        if (rc)
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------ tool_choice */

/* Allow the function that v names, an object like those of `tools`. */
static int allow(const struct field_input *in, const char *path, const cJSON *v)
{
    struct params *p = in->dst;
    char param[96];
    bool flat = is_flat(p);
    const cJSON *f = flat ? v : fields_member(v, "function"), *name = fields_member(f, "name");
    snprintf(param, sizeof param, "%s.type", path);
    if (!fields_is_text(fields_member(v, "type"), "function"))
        return problem_set(in->problem, TRIT_EUNSUPP, param, "%s: only \"function\" is supported",
                           param);
    snprintf(param, sizeof param, flat ? "%s.name" : "%s.function.name", path);
    int rc = params_check_name(in, param, name);
    if (rc)
        return rc;
    for (size_t i = 0; i < p->tools->n; i++)
        if (strcmp(p->tools->tool[i].name, name->valuestring) == 0) {
            p->tools->tool[i].allowed = true;
            return 0;
        }
    return problem_set(in->problem, TRIT_EINVAL, param,
                       "%s: found \"%s\", expected the name of one of the tools", param,
                       name->valuestring);
}

/* {"mode", "tools"}, in a chat wrapped once more. */
static int read_allowed(const struct field_input *in, const cJSON *v)
{
    struct params *p = in->dst;
    const char *path = is_flat(p) ? "tool_choice" : "tool_choice.allowed_tools";
    char param[96];
    const cJSON *of = is_flat(p) ? v : fields_member(v, "allowed_tools");
    const cJSON *mode = fields_member(of, "mode"), *list = fields_member(of, "tools");
    size_t i = 0;
    snprintf(param, sizeof param, "%s.mode", path);
    if (!fields_is_text(mode, "auto") && !fields_is_text(mode, "required"))
        return mode ? fields_refuse(in->problem, param, mode, "\"auto\" or \"required\"")
                    : problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    p->tools->must = fields_is_text(mode, "required");
    snprintf(param, sizeof param, "%s.tools", path);
    if (!cJSON_IsArray(list) || !list->child)
        return list ? fields_refuse(in->problem, param, list, "an array of tools")
                    : problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    for (const cJSON *e = list->child; e; e = e->next, i++) {
        snprintf(param, sizeof param, "%s.tools[%zu]", path, i);
        int rc = allow(in, param, e);
        if (rc)
            return rc;
    }
    return 0;
}

static void allow_all(struct tools *t)
{
    for (size_t i = 0; i < t->n; i++)
        t->tool[i].allowed = true;
}

/* With all tools known; v NULL: not said. */
static int choose(const struct field_input *in, const cJSON *v)
{
    static const char expected[] = "\"none\", \"auto\", \"required\", or an object with the type "
                                   "\"function\" or \"allowed_tools\"";
    struct params *p = in->dst;
    bool none = fields_is_text(v, "none"), required = fields_is_text(v, "required");
    if (!v || fields_is_text(v, "auto") || none || (required && p->tools)) {
        if (p->tools) {
            p->tools->must = required;
            allow_all(p->tools);
        }
        p->no_calls = none;
        return 0;
    }
    const cJSON *type = fields_member(v, "type");
    if (!required && !fields_is_text(type, "function") && !fields_is_text(type, "allowed_tools"))
        return fields_refuse(in->problem, in->name, v, "%s", expected);
    if (!p->tools)
        return problem_set(in->problem, TRIT_EINVAL, in->name,
                           "%s: there are no tools to choose from", in->name);
    if (fields_is_text(type, "allowed_tools"))
        return read_allowed(in, v);
    p->tools->must = true;
    p->parallel = false; /* One function is named, and it is called once. */
    return allow(in, in->name, v);
}

int params_read_tool_choice(const struct field_input *in)
{
    struct params *p = in->dst;
    if (!cJSON_IsString(in->value) && !cJSON_IsObject(in->value))
        return fields_refuse(in->problem, in->name, in->value, "a string or an object");
    p->tool_choice = cJSON_Duplicate(in->value, true);
    return p->tool_choice ? params_read_echoed(in) : fields_no_memory(in);
}

/* ------------------------------------------------------------------ what it comes to */

static const char told_before[] =
    "You can call functions. These are the ones there are, each with a JSON schema of its "
    "arguments:\n<tools>\n";
static const char told_after[] =
    "</tools>\nTo call a function, answer with its name and its arguments as a JSON object between "
    "<tool_call> and </tool_call>, like this:\n<tool_call>\n{\"name\": \"the function's name\", "
    "\"arguments\": {\"an argument\": \"its value\"}}\n</tool_call>\nThe results come between "
    "<tool_response> and </tool_response>.";

/* In the system message, or in front of the others as one.  There is room for it. */
static int tell(struct params *p, struct problem *problem)
{
    struct chat_message *first = p->message;
    struct buf text = {0};
    bool has_system = strcmp(first->role, "system") == 0 || strcmp(first->role, "developer") == 0;
    if (has_system && first->content_len) {
        buf_add(&text, first->content, first->content_len);
        buf_adds(&text, "\n\n");
    }
    buf_adds(&text, told_before);
    buf_add(&text, p->tool_text.data, p->tool_text.len);
    buf_adds(&text, told_after);
    size_t len = text.len;
    p->told = buf_take(&text, NULL);
    if (!p->told)
        return problem_set(problem, TRIT_ENOMEM, NULL, "no memory for the tools");
    if (!has_system) {
        memmove(first + 1, first, p->n_messages * sizeof *first);
        *first = (struct chat_message){.role = "system"};
        p->n_messages++;
    }
    first->content = p->told;
    first->content_len = len;
    return 0;
}

/* What an answer without calls is bound to: as far as both can be told apart. */
static int take_shape(struct params *p, struct problem *problem)
{
    struct shape *s = &p->shape;
    if (p->tools->must)
        shape_fini(s);
    else if (s->kind == SHAPE_OBJECT || s->kind == SHAPE_SCHEMA)
        p->tools->content = *s;
    else if (s->kind != SHAPE_FREE)
        return problem_set(problem, TRIT_EINVAL, s->field,
                           "%s does not go together with tools that may be called", s->field);
    else if (!tools_bound(p->tools))
        return 0; /* It is read as it comes. */
    *s = (struct shape){.kind = SHAPE_CALLS, .field = "tools", .tools = p->tools};
    return 0;
}

int params_settle_tools(struct params *p, const struct params_model *model, struct problem *problem)
{
    struct field_input in = {.name = "tool_choice", .dst = p, .problem = problem};
    int rc = choose(&in, p->tool_choice);
    struct tools *t = p->tools;
    if (rc || !t || p->no_calls)
        return rc;
    t->form = model->calls;
    t->many = p->parallel && !t->form->single;
    if (t->must && !t->form->bare) {
        struct buf opening = {0};
        buf_adds(&opening, t->form->open);
        buf_adds(&opening, t->form->lead);
        t->opening = buf_take(&opening, NULL);
        if (!t->opening)
            return problem_set(problem, TRIT_ENOMEM, NULL, "no memory for the tools");
    }
    if (t->form->untold)
        rc = tell(p, problem);
    return rc ? rc : take_shape(p, problem);
}
