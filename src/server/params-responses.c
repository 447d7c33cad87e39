/* SPDX-License-Identifier: MIT */
/*
 * params-responses.c - readers of the fields that only the Responses API has.
 *
 * Its input and instructions become the messages of a conversation.  What the answer repeats is
 * kept as JSON, since it is nobody's business in between.
 */
#include "config.h"
#include "server/params-readers.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/json.h"
#include "server/names.h"
#include "server/params.h"
#include "server/problem.h"

enum { METADATA_PAIRS = 16, METADATA_KEY = 64, METADATA_VALUE = 512 }; /* OpenAI's, in characters */

/* ------------------------------------------------------------------ what the answer repeats */

/* Append the value as JSON without white space. */
static void print_value(const cJSON *v, struct buf *out)
{
    char *text = cJSON_PrintUnformatted(v);
    if (text)
        buf_adds(out, text);
    else
        out->failed = true;
    cJSON_free(text);
}

/* Takes the text. */
static int keep(const struct field_input *in, struct buf *text)
{
    struct params *p = in->dst;
    int at = responses_echo(in->name);
    trit_assert(at >= 0 && !p->echoes[at]);
    p->echoes[at] = buf_take(text, NULL);
    return p->echoes[at] ? 0 : fields_no_memory(in);
}

int params_read_echoed(const struct field_input *in)
{
    struct params *p = in->dst;
    struct buf text = {0};
    if (p->endpoint != FOR_RESPONSES)
        return 0;
    print_value(in->value, &text);
    return keep(in, &text);
}

int params_read_metadata(const struct field_input *in)
{
    int n = cJSON_GetArraySize(in->value);
    if (n > METADATA_PAIRS)
        return problem_set(in->problem, TRIT_EINVAL, in->name,
                           "%s: found %d pairs, expected at most %d", in->name, n, METADATA_PAIRS);
    for (const cJSON *v = in->value->child; v; v = v->next)
        if (strlen(v->string) > (size_t)METADATA_KEY * 4 || !cJSON_IsString(v) ||
            strlen(v->valuestring) > (size_t)METADATA_VALUE * 4)
            return problem_set(in->problem, TRIT_EINVAL, in->name,
                               "%s: expected names of at most %d characters with strings of at "
                               "most %d",
                               in->name, METADATA_KEY, METADATA_VALUE);
    return params_read_echoed(in);
}

/* How hard and how visibly the model thinks: ours have no such stages. */
int params_read_reasoning(const struct field_input *in)
{
    for (const cJSON *v = in->value->child; v; v = v->next)
        if (!cJSON_IsString(v) && !cJSON_IsNull(v))
            return problem_set(in->problem, TRIT_EINVAL, in->name,
                               "%s: expected strings for its members", in->name);
    return params_read_echoed(in);
}

/* ------------------------------------------------------------------ what to go on from */

int params_read_instructions(const struct field_input *in)
{
    struct params *p = in->dst;
    p->instructions = mem_strdup(in->value->valuestring);
    return p->instructions ? params_read_echoed(in) : fields_no_memory(in);
}

static int refuse_kind(const struct field_input *in, const char *path, const char *kind)
{
    char param[96];
    snprintf(param, sizeof param, "%s.type", path);
    if (strlen(kind) > 40 || strspn(kind, NAMES_SANE) != strlen(kind))
        kind = "this type";
    return problem_set(in->problem, TRIT_EUNSUPP, param,
                       "%s: only items of the types message, reasoning, function_call and "
                       "function_call_output are supported, not %s",
                       param, kind);
}

/* A message, in either of the forms in which it may be given.  Appends role and content, each with
 * its NUL. */
static int read_item(const struct field_input *in, size_t i, const cJSON *item, struct buf *words,
                     size_t *content_len)
{
    static const char *const roles[] = {"user", "assistant", "system", "developer"};
    static const char *const parts[] = {"input_text", "output_text", NULL};
    char path[64], param[96];
    snprintf(path, sizeof path, "%s[%zu]", in->name, i);
    if (!cJSON_IsObject(item))
        return fields_refuse(in->problem, path, item, "an object with role and content");
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(item, "type");
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(item, "role");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
    if (cJSON_IsString(type) && strcmp(type->valuestring, "message") != 0)
        return refuse_kind(in, path, type->valuestring);
    snprintf(param, sizeof param, "%s.type", path);
    if (type && !cJSON_IsNull(type) && !cJSON_IsString(type))
        return fields_refuse(in->problem, param, type, "\"message\"");
    snprintf(param, sizeof param, "%s.role", path);
    if (!role)
        return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    size_t k = 0;
    while (k < ARRAY_LEN(roles) && !fields_is_text(role, roles[k]))
        k++;
    if (k == ARRAY_LEN(roles))
        return fields_refuse(in->problem, param, role, "user, assistant, system or developer");
    buf_add(words, roles[k], strlen(roles[k]) + 1);
    size_t start = words->len;
    snprintf(param, sizeof param, "%s.content", path);
    if (!content)
        return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    int rc = params_add_content(in, path, content, parts, words);
    if (rc)
        return rc;
    *content_len = words->len - start;
    buf_addc(words, '\0');
    return 0;
}

/* What a call has as an item of its own, in the form of a chat. */
static int add_call(const struct field_input *in, size_t i, const cJSON *item, cJSON *calls)
{
    static const char *const members[] = {"call_id", "name", "arguments"};
    char param[96];
    for (size_t k = 0; k < ARRAY_LEN(members); k++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(item, members[k]);
        snprintf(param, sizeof param, "%s[%zu].%s", in->name, i, members[k]);
        if (!v)
            return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
        if (!cJSON_IsString(v) || (k < 2 && !v->valuestring[0]))
            return fields_refuse(in->problem, param, v,
                                 k < 2 ? "a string that is not empty" : "a string");
    }
    cJSON *call = cJSON_CreateObject(), *f;
    if (!call)
        return fields_no_memory(in);
    trit_assert(cJSON_AddItemToArray(calls, call)); /* It needs no memory. */
    if (!cJSON_AddStringToObject(
            call, "id", cJSON_GetObjectItemCaseSensitive(item, "call_id")->valuestring) ||
        !(f = cJSON_AddObjectToObject(call, "function")))
        return fields_no_memory(in);
    for (size_t k = 1; k < ARRAY_LEN(members); k++)
        if (!cJSON_AddStringToObject(
                f, members[k], cJSON_GetObjectItemCaseSensitive(item, members[k])->valuestring))
            return fields_no_memory(in);
    return 0;
}

/* {"type": "function_call_output", "call_id", "output"} as a message of the role tool. */
static int add_output(const struct field_input *in, size_t i, const cJSON *item,
                      struct params_history *h, size_t *n)
{
    char param[96];
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "call_id");
    const cJSON *output = cJSON_GetObjectItemCaseSensitive(item, "output");
    struct buf text = {0};
    size_t k = 0;
    snprintf(param, sizeof param, "%s[%zu].output", in->name, i);
    if (!cJSON_IsString(output) && !cJSON_IsArray(output))
        return output
                   ? fields_refuse(in->problem, param, output, "a string or an array of text parts")
                   : problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    buf_adds(&text, cJSON_IsString(output) ? output->valuestring : "");
    for (const cJSON *e = output->child; e; e = e->next, k++) {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(e, "type");
        const cJSON *part = cJSON_GetObjectItemCaseSensitive(e, "text");
        snprintf(param, sizeof param, "%s[%zu].output[%zu]", in->name, i, k);
        if (!fields_is_text(type, "input_text") || !cJSON_IsString(part)) {
            buf_free(&text);
            return fields_refuse(in->problem, param, e,
                                 "{\"type\": \"input_text\", \"text\": \"...\"}");
        }
        buf_adds(&text, part->valuestring);
    }
    cJSON *m = cJSON_CreateObject(), *copy = id ? cJSON_Duplicate(id, true) : NULL;
    bool whole = m && !text.failed && cJSON_AddStringToObject(m, "role", "tool") &&
                 cJSON_AddStringToObject(m, "content", text.data);
    if (whole && id) {
        whole = copy && cJSON_AddItemToObject(m, "tool_call_id", copy);
        copy = whole ? NULL : copy; /* It is m's now. */
    }
    int rc = whole ? params_read_message(in, i, m, h, n) : fields_no_memory(in);
    cJSON_Delete(copy);
    cJSON_Delete(m);
    buf_free(&text);
    return rc;
}

static bool is_kind(const cJSON *item, const char *kind)
{
    return fields_is_text(fields_member(item, "type"), kind);
}

/* A new assistant's message for calls, kept in `groups` until all is read. */
static cJSON *new_group(cJSON *groups)
{
    cJSON *group = cJSON_CreateObject();
    if (!group)
        return NULL;
    trit_assert(cJSON_AddItemToArray(groups, group));
    bool whole = cJSON_AddStringToObject(group, "role", "assistant") &&
                 cJSON_AddArrayToObject(group, "tool_calls");
    return whole ? group : NULL;
}

static int read_items(const struct field_input *in, cJSON *groups, size_t *n)
{
    struct params *p = in->dst;
    const struct params_model *model = in->arg;
    struct params_history h = {.untold = model->calls->untold, .flat = true};
    cJSON *group = NULL;
    size_t i = 0, at = 0;
    for (const cJSON *item = in->value->child; item; item = item->next, i++) {
        int rc = 0;
        if (is_kind(item, "reasoning")) /* of a turn that is over: no template repeats it */
            continue;
        if (is_kind(item, "function_call")) {
            at = group ? at : i;
            group = group ? group : new_group(groups);
            rc = group ? add_call(in, i, item, cJSON_GetObjectItem(group, "tool_calls"))
                       : fields_no_memory(in);
            if (rc)
                return rc;
            continue;
        }
        if (group)
            rc = params_read_message(in, at, group, &h, n);
        group = NULL;
        if (rc == 0 && is_kind(item, "function_call_output")) {
            rc = add_output(in, i, item, &h, n);
        } else if (rc == 0) {
            rc = params_take_history(in, i, item, "", &h);
            h.after_result = false;
            if (rc == 0)
                rc = read_item(in, i, item, &p->words, &p->message[*n].content_len);
            ++*n;
        }
        if (rc)
            return rc;
    }
    int rc = group ? params_read_message(in, at, group, &h, n) : 0;
    return rc ? rc : params_end_history(in, &h);
}

/* Room for two messages more is left, for the instructions and the tools. */
int params_read_input(const struct field_input *in)
{
    struct params *p = in->dst;
    const cJSON *v = in->value;
    bool single = cJSON_IsString(v);
    size_t n = single ? 1 : cJSON_IsArray(v) ? (size_t)cJSON_GetArraySize(v) : 0;
    if (n == 0)
        return fields_refuse(in->problem, in->name, v, "a string or an array of items");
    p->message = mem_zalloc(n + 2, sizeof *p->message);
    p->more = mem_zalloc(n, sizeof *p->more);
    if (!p->message || !p->more)
        return fields_no_memory(in);
    if (single) {
        buf_add(&p->words, "user", sizeof "user");
        p->message[0].content_len = strlen(v->valuestring);
        buf_add(&p->words, v->valuestring, p->message[0].content_len + 1);
        return params_place_messages(in, 1);
    }
    cJSON *groups = cJSON_CreateArray();
    size_t placed = 0;
    int rc = groups ? read_items(in, groups, &placed) : fields_no_memory(in);
    cJSON_Delete(groups);
    if (rc == 0 && placed == 0)
        rc = fields_refuse(in->problem, in->name, v, "a message among its items");
    if (rc == 0 && p->values.failed)
        rc = fields_no_memory(in);
    return rc ? rc : params_place_messages(in, placed);
}

void params_place_instructions(struct params *p)
{
    if (!p->instructions)
        return;
    memmove(p->message + 1, p->message, p->n_messages * sizeof *p->message);
    p->message[0] = (struct chat_message){
        .role = "system", .content = p->instructions, .content_len = strlen(p->instructions)};
    p->n_messages++;
}

/* ------------------------------------------------------------------ what to answer */

/* {"format": ..., "verbosity": ...} */
int params_read_text(const struct field_input *in)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(in->value, "format");
    const cJSON *verbosity = cJSON_GetObjectItemCaseSensitive(in->value, "verbosity");
    struct buf text = {0};
    buf_adds(&text, "{\"format\":");
    if (format && !cJSON_IsNull(format)) {
        int rc = cJSON_IsObject(format)
                     ? params_read_text_format(in, format)
                     : fields_refuse(in->problem, "text.format", format, "an object");
        if (rc) {
            buf_free(&text);
            return rc;
        }
        print_value(format, &text);
    } else {
        buf_adds(&text, "{\"type\":\"text\"}");
    }
    if (verbosity && !cJSON_IsNull(verbosity)) {
        if (!cJSON_IsString(verbosity)) {
            buf_free(&text);
            return fields_refuse(in->problem, "text.verbosity", verbosity, "a string");
        }
        buf_adds(&text, ",\"verbosity\":");
        print_value(verbosity, &text);
    }
    buf_addc(&text, '}');
    return keep(in, &text);
}

/* More about the output.  But for logprobs it is about items that no answer has. */
int params_read_include(const struct field_input *in)
{
    static const char *const known[] = {
        "message.output_text.logprobs",  "file_search_call.results",
        "web_search_call.results",       "web_search_call.action.sources",
        "code_interpreter_call.outputs", "computer_call_output.output.image_url",
        "message.input_image.image_url", "reasoning.encrypted_content",
    };
    struct params *p = in->dst;
    size_t i = 0;
    for (const cJSON *v = in->value->child; v; v = v->next, i++) {
        char param[96];
        size_t k = 0;
        while (k < ARRAY_LEN(known) && !fields_is_text(v, known[k]))
            k++;
        snprintf(param, sizeof param, "%s[%zu]", in->name, i);
        if (k == ARRAY_LEN(known))
            return fields_refuse(in->problem, param, v, "\"%s\"", known[0]);
        p->want_logprobs = p->want_logprobs || k == 0;
    }
    return 0;
}

int params_read_truncation(const struct field_input *in)
{
    const char *v = in->value->valuestring;
    if (strcmp(v, "auto") == 0)
        return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                           "%s: only \"disabled\" is supported; no part of a conversation is left "
                           "out",
                           in->name);
    if (strcmp(v, "disabled") != 0)
        return fields_refuse(in->problem, in->name, in->value, "\"disabled\"");
    return params_read_echoed(in);
}

int params_read_background(const struct field_input *in)
{
    if (cJSON_IsTrue(in->value))
        return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                           "%s: answers are not kept, so they cannot be fetched later; only false "
                           "is supported",
                           in->name);
    return 0;
}

int params_read_context_management(const struct field_input *in)
{
    if (in->value->child)
        return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                           "%s is not supported; leave the field out or empty", in->name);
    return 0;
}
