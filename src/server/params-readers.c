/* SPDX-License-Identifier: MIT */
/*
 * params-readers.c - prompts, messages, stop strings, biases: fields with a shape of their own.
 *
 * Every element is checked before room for it is taken, and the whole is copied out of the tree.
 */
#include "config.h"
#include "server/params-readers.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/values.h"

static double max_id(const struct field_input *in)
{
    const struct params_model *model = in->arg;
    return model->vocab - 1;
}

/* An array of token ids; `path` names it in messages. */
static int read_ids(const struct field_input *in, const char *path, const cJSON *list,
                    int32_t **ids, size_t *n)
{
    char param[96];
    size_t count = (size_t)cJSON_GetArraySize(list), i = 0;
    *n = 0;
    *ids = mem_zalloc(count, sizeof **ids);
    if (!*ids)
        return fields_no_memory(in);
    for (const cJSON *v = list->child; v; v = v->next, i++) {
        if (!fields_is_int(v, 0, max_id(in))) {
            snprintf(param, sizeof param, "%s[%zu]", path, i);
            return fields_refuse(in->problem, param, v, "a token id from 0 to %.0f", max_id(in));
        }
        (*ids)[i] = v->valueint;
    }
    *n = count;
    return 0;
}

static int copy_text(const struct field_input *in, const cJSON *v, struct params_prompt *to)
{
    to->len = strlen(v->valuestring);
    to->text = mem_strndup(v->valuestring, to->len);
    return to->text ? 0 : fields_no_memory(in);
}

int params_read_model(const struct field_input *in)
{
    struct params *p = in->dst;
    const cJSON *v = in->value;
    if (!cJSON_IsString(v) || v->valuestring[0] == '\0' || strlen(v->valuestring) > 256)
        return fields_refuse(in->problem, in->name, v, "a string of 1 to 256 bytes");
    p->model = mem_strdup(v->valuestring);
    return p->model ? 0 : fields_no_memory(in);
}

/* A text, ids, or an array of either. */
int params_read_prompt(const struct field_input *in)
{
    static const char expected[] =
        "a string, an array of 1 to %d strings, an array of token ids, or an array of 1 to %d such "
        "arrays";
    struct params *p = in->dst;
    const cJSON *v = in->value;
    const cJSON *first = cJSON_IsArray(v) ? v->child : NULL;
    bool single = cJSON_IsString(v) || cJSON_IsNumber(first);
    size_t n = single ? 1 : cJSON_IsArray(v) ? (size_t)cJSON_GetArraySize(v) : 0;
    int most = p->endpoint == FOR_EMBEDDINGS ? PARAMS_INPUTS : PARAMS_PROMPTS;
    if (n == 0 || n > (size_t)most)
        return fields_refuse(in->problem, in->name, v, expected, most, most);
    p->one_prompt = single;
    p->prompt = mem_zalloc(n, sizeof *p->prompt);
    if (!p->prompt)
        return fields_no_memory(in);
    p->n_prompts = n;
    if (cJSON_IsString(v))
        return copy_text(in, v, &p->prompt[0]);
    if (single)
        return read_ids(in, in->name, v, &p->prompt[0].ids, &p->prompt[0].n_ids);

    size_t i = 0;
    for (const cJSON *e = first; e; e = e->next, i++) {
        char param[96];
        int rc;
        snprintf(param, sizeof param, "%s[%zu]", in->name, i);
        if (cJSON_IsString(first) && cJSON_IsString(e))
            rc = copy_text(in, e, &p->prompt[i]);
        else if (cJSON_IsArray(first) && cJSON_IsArray(e))
            rc = read_ids(in, param, e, &p->prompt[i].ids, &p->prompt[i].n_ids);
        else
            rc = fields_refuse(in->problem, param, e, "%s",
                               cJSON_IsString(first)  ? "a string like the first"
                               : cJSON_IsArray(first) ? "an array of token ids like the first"
                                                      : "a string, a token id or an array of them");
        if (rc)
            return rc;
    }
    return 0;
}

int params_read_content(const struct field_input *in)
{
    struct params *p = in->dst;
    p->prompt = mem_zalloc(1, sizeof *p->prompt);
    if (!p->prompt)
        return fields_no_memory(in);
    p->n_prompts = 1;
    return copy_text(in, in->value, &p->prompt[0]);
}

int params_read_tokens(const struct field_input *in)
{
    struct params *p = in->dst;
    return read_ids(in, in->name, in->value, &p->tokens, &p->n_tokens);
}

/* ------------------------------------------------------------------ messages */

static bool is_one_of(const char *s, const char *const *list)
{
    while (*list && strcmp(s, *list) != 0)
        list++;
    return *list;
}

int params_add_content(const struct field_input *in, const char *path, const cJSON *v,
                       const char *const *kinds, struct buf *words)
{
    char param[96];
    if (cJSON_IsString(v)) {
        buf_adds(words, v->valuestring);
        return 0;
    }
    if (!cJSON_IsArray(v) || !v->child) {
        snprintf(param, sizeof param, "%s.content", path);
        return fields_refuse(in->problem, param, v, "a string or an array of text parts");
    }
    size_t i = 0;
    for (const cJSON *part = v->child; part; part = part->next, i++) {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(part, "type");
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(part, "text");
        snprintf(param, sizeof param, "%s.content[%zu]", path, i);
        if (cJSON_IsString(type) && !is_one_of(type->valuestring, kinds))
            return problem_set(in->problem, TRIT_EUNSUPP, param,
                               "%s: only parts of type \"%s\"%s%s%s are supported", param, kinds[0],
                               kinds[1] ? " and \"" : "", kinds[1] ? kinds[1] : "",
                               kinds[1] ? "\"" : "");
        if (!cJSON_IsString(type) || !cJSON_IsString(text))
            return fields_refuse(in->problem, param, part, "{\"type\": \"%s\", \"text\": \"...\"}",
                                 kinds[0]);
        buf_adds(words, text->valuestring);
    }
    return 0;
}

static bool is_absent(const cJSON *v)
{
    return !v || cJSON_IsNull(v) || (cJSON_IsArray(v) && !v->child);
}

/*
 * Appends role and content, each with its NUL, and sets the length of the content.  The result of a
 * call, for a template that knows of none, is the user's; of several in a row the others are part
 * of the first, and *n does not grow.
 */
int params_read_message(const struct field_input *in, size_t i, const cJSON *m,
                        struct params_history *h, size_t *n)
{
    struct params *p = in->dst;
    struct buf *words = &p->words;
    char path[64], param[96];
    snprintf(path, sizeof path, "%s[%zu]", in->name, i);
    if (!cJSON_IsObject(m))
        return fields_refuse(in->problem, path, m, "an object with role and content");
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(m, "role");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(m, "content");
    snprintf(param, sizeof param, "%s.role", path);
    if (!role)
        return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
    if (!cJSON_IsString(role) || strlen(role->valuestring) > 32)
        return fields_refuse(in->problem, param, role, "system, developer, user or assistant");

    const cJSON *name = cJSON_GetObjectItemCaseSensitive(m, "name");
    snprintf(param, sizeof param, "%s.name", path);
    if (name && !cJSON_IsNull(name) && !cJSON_IsString(name))
        return fields_refuse(in->problem, param, name, "a string");
    if (cJSON_IsString(name)) /* No chat format has a place for it. */
        fields_ignore(in, "name");

    static const char *const calls[] = {"function_call", "audio"};
    for (size_t k = 0; k < ARRAY_LEN(calls); k++)
        if (!is_absent(cJSON_GetObjectItemCaseSensitive(m, calls[k]))) {
            snprintf(param, sizeof param, "%s.%s", path, calls[k]);
            return problem_set(in->problem, TRIT_EUNSUPP, param, "%s is not supported", param);
        }
    int rc = params_take_history(in, i, m, role->valuestring, h);
    if (rc)
        return rc;
    bool result = h->untold && strcmp(role->valuestring, "tool") == 0;
    bool joins = result && h->after_result;
    const char *said = result ? "user" : role->valuestring;
    h->after_result = result;
    if (joins && !words->failed)
        words->data[words->len - 1] = '\n'; /* In place of the NUL. */
    else
        buf_add(words, said, strlen(said) + 1);
    size_t start = words->len;
    if (result)
        buf_adds(words, "<tool_response>\n");
    /* An assistant may have said nothing; for the others it is a mistake of the client's. */
    if (!is_absent(content) || strcmp(role->valuestring, "assistant") != 0) {
        snprintf(param, sizeof param, "%s.content", path);
        if (!content)
            return problem_set(in->problem, TRIT_EINVAL, param, "%s is required", param);
        static const char *const text[] = {"text", NULL};
        rc = params_add_content(in, path, content, text, words);
        if (rc)
            return rc;
    }
    p->message[*n].content = is_absent(content) ? NULL : "";
    p->more[*n] = h->more;
    p->message[*n].more = h->more.type == JINJA_DICT ? &p->more[*n] : NULL;
    if (result)
        buf_adds(words, "\n</tool_response>");
    if (h->untold && h->has_calls)
        params_write_calls(h, words->len == start, words);
    if (joins)
        p->message[*n - 1].content_len += words->len - start + 1;
    else
        p->message[(*n)++].content_len = words->len - start;
    buf_addc(words, '\0');
    return 0;
}

int params_place_messages(const struct field_input *in, size_t n)
{
    struct params *p = in->dst;
    const char *at = p->words.data;
    if (p->words.failed)
        return fields_no_memory(in);
    for (size_t i = 0; i < n; i++) {
        p->message[i].role = at;
        at += strlen(at) + 1;
        /* Who calls and says nothing has no content so far, and gets none. */
        if (p->message[i].content || !p->message[i].more || p->message[i].content_len)
            p->message[i].content = at;
        at += p->message[i].content_len + 1;
    }
    p->n_messages = n;
    return 0;
}

/* Room for one more is left, for what the server itself has to say. */
int params_read_messages(const struct field_input *in)
{
    struct params *p = in->dst;
    const struct params_model *model = in->arg;
    struct params_history h = {.untold = model->calls->untold};
    size_t size = (size_t)cJSON_GetArraySize(in->value), n = 0, i = 0;
    if (size == 0)
        return fields_refuse(in->problem, in->name, in->value, "at least one message");
    p->message = mem_zalloc(size + 1, sizeof *p->message);
    p->more = mem_zalloc(size, sizeof *p->more);
    if (!p->message || !p->more)
        return fields_no_memory(in);
    for (const cJSON *m = in->value->child; m; m = m->next, i++) {
        int rc = params_read_message(in, i, m, &h, &n);
        if (rc)
            return rc;
    }
    if (p->values.failed)
        return fields_no_memory(in);
    int rc = params_end_history(in, &h);
    return rc ? rc : params_place_messages(in, n); /* Only now, when the buffer moves no more. */
}

int params_read_kwargs(const struct field_input *in)
{
    struct params *p = in->dst;
    p->kwargs = values_from_json(&p->values, in->value);
    return p->values.failed ? fields_no_memory(in) : 0;
}

/* ------------------------------------------------------------------ stopping and choosing */

static int add_stop(const struct field_input *in, const char *param, const cJSON *v)
{
    struct params *p = in->dst;
    size_t len = cJSON_IsString(v) ? strlen(v->valuestring) : 0;
    if (len == 0 || len > TEXT_STOP_BYTES)
        return fields_refuse(in->problem, param, v, "a string of 1 to %d bytes", TEXT_STOP_BYTES);
    return text_stops_add(&p->stops, v->valuestring, len) ? 0 : fields_no_memory(in);
}

int params_read_stop(const struct field_input *in)
{
    const cJSON *v = in->value;
    if (cJSON_IsString(v))
        return add_stop(in, in->name, v);
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > TEXT_STOPS_MAX)
        return fields_refuse(in->problem, in->name, v, "a string or an array of at most %d strings",
                             TEXT_STOPS_MAX);
    size_t i = 0;
    for (const cJSON *s = v->child; s; s = s->next, i++) {
        char param[96];
        snprintf(param, sizeof param, "%s[%zu]", in->name, i);
        int rc = add_stop(in, param, s);
        if (rc)
            return rc;
    }
    return 0;
}

int params_read_stop_ids(const struct field_input *in)
{
    struct params *p = in->dst;
    if (cJSON_GetArraySize(in->value) > PARAMS_STOP_IDS)
        return fields_refuse(in->problem, in->name, in->value, "at most %d token ids",
                             PARAMS_STOP_IDS);
    return read_ids(in, in->name, in->value, &p->stop_ids, &p->n_stop_ids);
}

int params_read_top_k(const struct field_input *in)
{
    struct params *p = in->dst;
    const cJSON *v = in->value;
    if (!fields_is_int(v, -1, max_id(in) + 1))
        return fields_refuse(in->problem, in->name, v, "an integer from -1 to %.0f",
                             max_id(in) + 1);
    p->top_k = MAX(v->valueint, 0);
    return 0;
}

/* Digits and nothing else; false also beyond INT32_MAX. */
static bool parse_id(const char *s, int64_t *id)
{
    *id = 0;
    for (; *s >= '0' && *s <= '9' && *id <= INT32_MAX; s++)
        *id = *id * 10 + (*s - '0');
    return *s == '\0' && *id <= INT32_MAX;
}

int params_read_logit_bias(const struct field_input *in)
{
    struct params *p = in->dst;
    size_t n = (size_t)cJSON_GetArraySize(in->value);
    if (n > PARAMS_BIASES)
        return problem_set(in->problem, TRIT_EINVAL, in->name,
                           "%s: found %zu entries, expected at most %d", in->name, n,
                           PARAMS_BIASES);
    p->bias = mem_zalloc(n, sizeof *p->bias);
    if (!p->bias)
        return fields_no_memory(in);
    for (const cJSON *v = in->value->child; v; v = v->next) {
        int64_t id;
        if (!v->string[0] || !parse_id(v->string, &id) || (double)id > max_id(in))
            return problem_set(in->problem, TRIT_EINVAL, in->name,
                               "%s: the name of entry %zu is not a token id from 0 to %.0f",
                               in->name, p->n_bias + 1, max_id(in));
        char param[96];
        snprintf(param, sizeof param, "%s.%d", in->name, (int)id);
        if (!cJSON_IsNumber(v) || !(v->valuedouble >= -100 && v->valuedouble <= 100))
            return fields_refuse(in->problem, param, v, "a number from -100 to 100");
        p->bias[p->n_bias++] =
            (struct sampler_bias){.id = (int32_t)id, .bias = (float)v->valuedouble};
    }
    return 0;
}

/* As vLLM has it: the lower, the sooner. */
int params_read_priority(const struct field_input *in)
{
    struct params *p = in->dst;
    double v = in->value->valuedouble;
    p->priority = v < 0 ? SEQ_HIGH : v > 0 ? SEQ_LOW : SEQ_NORMAL;
    p->has_priority = true;
    return 0;
}

/* As OpenAI has it; "scale" is a contract that nobody has here. */
int params_read_tier(const struct field_input *in)
{
    static const struct {
        const char *name;
        enum seq_priority priority;
    } tiers[] = {{"auto", SEQ_NORMAL},
                 {"default", SEQ_NORMAL},
                 {"scale", SEQ_NORMAL},
                 {"flex", SEQ_LOW},
                 {"priority", SEQ_HIGH}};
    struct params *p = in->dst;
    size_t i = 0;
    while (i < ARRAY_LEN(tiers) && strcmp(in->value->valuestring, tiers[i].name) != 0)
        i++;
    if (i == ARRAY_LEN(tiers))
        return fields_refuse(in->problem, in->name, in->value,
                             "\"auto\", \"default\", \"flex\" or \"priority\"");
    if (!p->has_priority)
        p->priority = tiers[i].priority;
    return 0;
}

int params_read_encoding(const struct field_input *in)
{
    struct params *p = in->dst;
    p->base64 = strcmp(in->value->valuestring, "base64") == 0;
    if (!p->base64 && strcmp(in->value->valuestring, "float") != 0)
        return fields_refuse(in->problem, in->name, in->value, "\"float\" or \"base64\"");
    return 0;
}

int params_read_thoughts(const struct field_input *in)
{
    struct params *p = in->dst;
    const char *how = in->value->valuestring;
    p->thoughts_as_text = strcmp(how, "none") == 0;
    if (!p->thoughts_as_text && strcmp(how, "auto") != 0 && strcmp(how, "deepseek") != 0)
        return fields_refuse(in->problem, in->name, in->value,
                             "\"auto\", \"deepseek\" or \"none\"");
    return 0;
}

int params_read_dimensions(const struct field_input *in)
{
    struct params *p = in->dst;
    const struct params_model *model = in->arg;
    if (!fields_is_int(in->value, 1, model->n_hidden))
        return fields_refuse(in->problem, in->name, in->value, "an integer from 1 to %d",
                             (int)model->n_hidden);
    p->dimensions = in->value->valueint;
    return 0;
}

int params_read_salt(const struct field_input *in)
{
    struct params *p = in->dst;
    size_t len = strlen(in->value->valuestring);
    if (len == 0 || len > PARAMS_SALT)
        return fields_refuse(in->problem, in->name, in->value, "a string of 1 to %d bytes",
                             PARAMS_SALT);
    p->cache_salt = mem_strdup(in->value->valuestring);
    return p->cache_salt ? 0 : fields_no_memory(in);
}

/* Of a response the last event always tells its usage. */
int params_read_stream_options(const struct field_input *in)
{
    struct params *p = in->dst;
    p->has_stream_options = true;
    for (const cJSON *v = in->value->child; v; v = v->next) {
        bool *to = strcmp(v->string, "include_obfuscation") == 0 ? &p->obfuscate
                   : strcmp(v->string, "include_usage") == 0 && p->endpoint != FOR_RESPONSES
                       ? &p->include_usage
                       : NULL;
        char param[96];
        snprintf(param, sizeof param, "%s.%s", in->name, to ? v->string : "");
        if (!to)
            fields_ignore(in, v->string);
        else if (!cJSON_IsBool(v) && !cJSON_IsNull(v))
            return fields_refuse(in->problem, param, v, "true or false");
        else
            *to = cJSON_IsTrue(v);
    }
    return 0;
}

/* ------------------------------------------------------------------ only what happens anyway */

int params_read_empty_list(const struct field_input *in)
{
    if (in->value->child)
        return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                           "%s: its name here is tools; leave the field out or empty", in->name);
    return 0;
}

int params_read_function_call(const struct field_input *in)
{
    const cJSON *v = in->value;
    if (!cJSON_IsString(v) && !cJSON_IsObject(v))
        return fields_refuse(in->problem, in->name, v, "a string or an object");
    /* Without functions "auto" comes to the same as "none". */
    if (cJSON_IsString(v) &&
        (strcmp(v->valuestring, "none") == 0 || strcmp(v->valuestring, "auto") == 0))
        return 0;
    return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                       "%s: its name here is tool_choice; only \"none\" and \"auto\" are accepted",
                       in->name);
}

int params_read_modalities(const struct field_input *in)
{
    for (const cJSON *v = in->value->child; v; v = v->next)
        if (!cJSON_IsString(v) || strcmp(v->valuestring, "text") != 0)
            return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                               "%s: only [\"text\"] is supported", in->name);
    return 0;
}

int params_read_store(const struct field_input *in)
{
    if (cJSON_IsTrue(in->value))
        return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                           "%s: answers are not kept; only false is supported", in->name);
    return 0;
}

int params_read_suffix(const struct field_input *in)
{
    struct params *p = in->dst;
    const struct params_model *model = in->arg;
    if (!in->value->valuestring[0])
        return 0;
    if (!model->infills)
        return problem_set(in->problem, TRIT_EUNSUPP, in->name,
                           "%s: this model has no tokens to fill in the middle with", in->name);
    p->suffix = mem_strdup(in->value->valuestring);
    return p->suffix ? 0 : fields_no_memory(in);
}
