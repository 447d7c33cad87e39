/* SPDX-License-Identifier: MIT */
/*
 * params-shape.c - the many fields that bind the answer's text to something, OpenAI's, llama.cpp's
 * and vLLM's.  They all come through one door, which lets in one.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/json.h"
#include "server/params-readers.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/regex.h"

enum { SCHEMA_VALUES = 50000 };

/* The door.  `field` is static and names v in problems. */
static int take(const struct field_input *in, enum shape_kind kind, const char *field,
                const cJSON *v)
{
    struct shape *s = &((struct params *)in->dst)->shape;
    if (s->kind != SHAPE_FREE)
        return problem_set(in->problem, TRIT_EINVAL, in->name,
                           "%s: an answer can be bound to one thing only, and %s is there already",
                           field, s->field);
    s->kind = kind;
    s->field = field;
    if (kind == SHAPE_REGEX || kind == SHAPE_GRAMMAR) {
        s->text = mem_strdup(v->valuestring);
        return s->text ? 0 : fields_no_memory(in);
    }
    if (kind != SHAPE_OBJECT) {
        s->tree = cJSON_Duplicate(v, true);
        return s->tree ? 0 : fields_no_memory(in);
    }
    return 0;
}

/* How many values there are in a tree, as deep as JSON may be. */
static size_t count_values(const cJSON *v)
{
    size_t n = 1;
    for (const cJSON *of = v->child; of; of = of->next)
        n += count_values(of);
    return n;
}

static int take_schema(const struct field_input *in, const char *field, const cJSON *v)
{
    if (!cJSON_IsObject(v) && !cJSON_IsBool(v))
        return fields_refuse(in->problem, field, v, "a JSON schema: an object, true or false");
    /* This is the loop thread, where copying and looking it up must not take long. */
    if (count_values(v) > SCHEMA_VALUES)
        return problem_set(in->problem, TRIT_EINVAL, field, "%s: a schema of more than %d values",
                           field, SCHEMA_VALUES);
    return take(in, SHAPE_SCHEMA, field, v);
}

/* vLLM takes the schema's text as well. */
static int take_schema_or_text(const struct field_input *in, const char *field, const cJSON *v)
{
    struct trit_error err;
    cJSON *tree;
    if (!cJSON_IsString(v))
        return take_schema(in, field, v);
    int rc = json_parse(v->valuestring, strlen(v->valuestring), &tree, &err);
    if (rc)
        return problem_set(in->problem, -rc, field, "%s: %s", field, err.text);
    rc = take_schema(in, field, tree);
    cJSON_Delete(tree);
    return rc;
}

static int take_regex(const struct field_input *in, const char *field, const cJSON *v)
{
    if (!cJSON_IsString(v) || strlen(v->valuestring) > REGEX_BYTES)
        return fields_refuse(in->problem, field, v, "a string of at most %d bytes", REGEX_BYTES);
    return take(in, SHAPE_REGEX, field, v);
}

static int take_grammar(const struct field_input *in, const char *field, const cJSON *v)
{
    if (!cJSON_IsString(v) || !v->valuestring[0])
        return fields_refuse(in->problem, field, v, "a grammar: a string that is not empty");
    return take(in, SHAPE_GRAMMAR, field, v);
}

static int take_choice(const struct field_input *in, const char *field, const cJSON *v)
{
    int n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 0, i = 0;
    if (n == 0 || n > SHAPE_CHOICES)
        return fields_refuse(in->problem, field, v, "an array of 1 to %d strings", SHAPE_CHOICES);
    for (const cJSON *s = v->child; s; s = s->next, i++)
        if (!cJSON_IsString(s) || !s->valuestring[0]) {
            char param[96];
            snprintf(param, sizeof param, "%s[%d]", field, i);
            return fields_refuse(in->problem, param, s, "a string that is not empty");
        }
    return take(in, SHAPE_CHOICE, field, v);
}

/* ------------------------------------------------------------------ fields of one value */

int params_read_grammar(const struct field_input *in)
{
    return take_grammar(in, "grammar", in->value);
}

int params_read_regex(const struct field_input *in)
{
    return take_regex(in, "regex", in->value);
}

int params_read_json_schema(const struct field_input *in)
{
    return take_schema(in, "json_schema", in->value);
}

int params_read_guided_json(const struct field_input *in)
{
    return take_schema_or_text(in, "guided_json", in->value);
}

int params_read_guided_regex(const struct field_input *in)
{
    return take_regex(in, "guided_regex", in->value);
}

int params_read_guided_choice(const struct field_input *in)
{
    return take_choice(in, "guided_choice", in->value);
}

int params_read_guided_grammar(const struct field_input *in)
{
    return take_grammar(in, "guided_grammar", in->value);
}

int params_read_structured_outputs(const struct field_input *in)
{
    for (const cJSON *v = in->value->child; v; v = v->next) {
        int rc = 0;
        if (cJSON_IsNull(v) || (strcmp(v->string, "json_object") == 0 && cJSON_IsFalse(v)))
            continue;
        if (strcmp(v->string, "json") == 0)
            rc = take_schema_or_text(in, "structured_outputs.json", v);
        else if (strcmp(v->string, "regex") == 0)
            rc = take_regex(in, "structured_outputs.regex", v);
        else if (strcmp(v->string, "choice") == 0)
            rc = take_choice(in, "structured_outputs.choice", v);
        else if (strcmp(v->string, "grammar") == 0)
            rc = take_grammar(in, "structured_outputs.grammar", v);
        else if (strcmp(v->string, "json_object") == 0)
            rc = cJSON_IsTrue(v)
                     ? take(in, SHAPE_OBJECT, "structured_outputs.json_object", v)
                     : fields_refuse(in->problem, "structured_outputs.json_object", v,
                                     "true or false");
        else
            rc = problem_set(in->problem, TRIT_EUNSUPP, in->name,
                             "%s.%.40s is not supported; json, regex, choice, grammar and "
                             "json_object are",
                             in->name, v->string);
        if (rc)
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------ response_format */

/* Where the parts of a format stand: in response_format of a chat, in text.format of a response. */
struct format_paths {
    const char *self, *type, *parent, *name, *strict, *schema, *flat;
};
static const struct format_paths of_chat = {
    .self = "response_format",
    .type = "response_format.type",
    .parent = "response_format.json_schema",
    .name = "response_format.json_schema.name",
    .strict = "response_format.json_schema.strict",
    .schema = "response_format.json_schema.schema",
    .flat = "response_format.schema",
};
static const struct format_paths of_response = {
    .self = "text.format",
    .type = "text.format.type",
    .parent = "text.format",
    .name = "text.format.name",
    .strict = "text.format.strict",
    .schema = "text.format.schema",
    .flat = "text.format.schema",
};

/* OpenAI's {name, strict, schema, description}.  What does not hold is never given, so `strict`
 * changes nothing. */
static int read_json_schema(const struct field_input *in, const struct format_paths *at,
                            const cJSON *v)
{
    if (!cJSON_IsObject(v))
        return v ? fields_refuse(in->problem, at->parent, v, "an object")
                 : problem_set(in->problem, TRIT_EINVAL, at->parent, "%s is required", at->parent);
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(v, "name");
    const cJSON *strict = cJSON_GetObjectItemCaseSensitive(v, "strict");
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(v, "schema");
    int rc = name ? params_check_name(in, at->name, name) : 0;
    if (rc)
        return rc;
    if (strict && !cJSON_IsNull(strict) && !cJSON_IsBool(strict))
        return fields_refuse(in->problem, at->strict, strict, "true or false");
    if (!schema || cJSON_IsNull(schema))
        return problem_set(in->problem, TRIT_EINVAL, at->schema, "%s is required", at->schema);
    return take_schema(in, at->schema, schema);
}

static int read_format(const struct field_input *in, const struct format_paths *at, const cJSON *v)
{
    static const char expected[] = "\"text\", \"json_object\" or \"json_schema\"";
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(v, "type");
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(v, "schema");
    if (!type)
        return problem_set(in->problem, TRIT_EINVAL, at->type, "%s is required: %s", at->type,
                           expected);
    if (!cJSON_IsString(type))
        return fields_refuse(in->problem, at->type, type, "%s", expected);
    if (strcmp(type->valuestring, "text") == 0)
        return 0;
    if (strcmp(type->valuestring, "json_schema") == 0) /* In a response it is not wrapped. */
        return read_json_schema(
            in, at, at == &of_chat ? cJSON_GetObjectItemCaseSensitive(v, "json_schema") : v);
    if (strcmp(type->valuestring, "json_object") != 0)
        return problem_set(in->problem, TRIT_EUNSUPP, at->type, "%s: only %s are supported",
                           at->type, expected);
    /* llama.cpp's way to give a schema. */
    if (schema && !cJSON_IsNull(schema))
        return take_schema(in, at->flat, schema);
    return take(in, SHAPE_OBJECT, at->self, v);
}

int params_read_response_format(const struct field_input *in)
{
    return read_format(in, &of_chat, in->value);
}

int params_read_text_format(const struct field_input *in, const struct cJSON *format)
{
    return read_format(in, &of_response, format);
}
