/* SPDX-License-Identifier: MIT */
/*
 * schema-flat.c - keywords, references, allOf: from schemas as they are written to the list of
 * those that count.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/schema-parts.h"

enum {
    MAX_NESTED = 64,    /* references and allOf within each other, with nothing between */
    MAX_POINTER = 1024, /* bytes of one token of a $ref */
};

/* ------------------------------------------------------------------ keywords */

enum shape {
    NOTE, /* says nothing about values */
    TYPE,
    ANYTHING,
    BOOLEAN,
    COUNT,
    NUMBER,
    STRING,
    LIST,    /* an array with something in it */
    NAMES,   /* an array of strings */
    SCHEMA,  /* an object, or true or false */
    SCHEMAS, /* an array of such, not empty */
    MEMBERS, /* an object of such */
    FALSE,   /* only false, which says nothing */
    ANY_NAME /* a schema that every name of a member is valid under */
};

static const struct keyword {
    const char *name;
    enum shape shape;
    unsigned types; /* about values of these types */
} keywords[] = {
    {"type", TYPE, 0},
    {"properties", MEMBERS, IS_OBJECT},
    {"required", NAMES, IS_OBJECT},
    {"additionalProperties", SCHEMA, IS_OBJECT},
    {"items", SCHEMA, IS_ARRAY},
    {"description", NOTE, 0},
    {"title", NOTE, 0},
    {"enum", LIST, 0},
    {"const", ANYTHING, 0},
    {"$ref", STRING, 0},
    {"anyOf", SCHEMAS, 0},
    {"oneOf", SCHEMAS, 0},
    {"allOf", SCHEMAS, 0},
    {"nullable", BOOLEAN, 0},
    {"prefixItems", SCHEMAS, IS_ARRAY},
    {"minItems", COUNT, IS_ARRAY},
    {"maxItems", COUNT, IS_ARRAY},
    {"uniqueItems", FALSE, IS_ARRAY},
    {"minLength", COUNT, IS_STRING},
    {"maxLength", COUNT, IS_STRING},
    {"pattern", STRING, IS_STRING},
    {"format", STRING, IS_STRING},
    {"minimum", NUMBER, IS_NUMBER},
    {"maximum", NUMBER, IS_NUMBER},
    {"exclusiveMinimum", NUMBER, IS_NUMBER},
    {"exclusiveMaximum", NUMBER, IS_NUMBER},
    {"multipleOf", NUMBER, IS_NUMBER},
    {"minProperties", COUNT, IS_OBJECT},
    {"maxProperties", COUNT, IS_OBJECT},
    {"propertyNames", ANY_NAME, IS_OBJECT},
    {"default", NOTE, 0},
    {"example", NOTE, 0},
    {"examples", NOTE, 0},
    {"deprecated", NOTE, 0},
    {"readOnly", NOTE, 0},
    {"writeOnly", NOTE, 0},
    {"$schema", NOTE, 0},
    {"$id", NOTE, 0},
    {"$comment", NOTE, 0},
    {"$defs", NOTE, 0},
    {"definitions", NOTE, 0},
    {"discriminator", NOTE, 0},
    {"contentEncoding", NOTE, 0},
    {"contentMediaType", NOTE, 0},
};

/* NULL: not known. */
static const struct keyword *find_keyword(const char *name)
{
    static const struct keyword extension = {"x-", NOTE, 0};
    if (strncmp(name, "x-", 2) == 0)
        return &extension;
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (strcmp(keywords[i].name, name) == 0)
            return &keywords[i];
    return NULL;
}

const cJSON *schema_get(const cJSON *schema, const char *keyword)
{
    return cJSON_IsObject(schema) ? cJSON_GetObjectItemCaseSensitive(schema, keyword) : NULL;
}

static bool is_schema(const cJSON *v)
{
    return cJSON_IsObject(v) || cJSON_IsBool(v);
}

static const struct {
    const char *name;
    unsigned bits;
} type_names[] = {{"null", IS_NULL},     {"boolean", IS_BOOL},  {"integer", IS_INTEGER},
                  {"number", IS_NUMBER}, {"string", IS_STRING}, {"array", IS_ARRAY},
                  {"object", IS_OBJECT}};

/* 0: no such type. */
static unsigned read_type(const cJSON *v)
{
    unsigned bits = 0;
    if (cJSON_IsString(v)) {
        for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
            if (strcmp(v->valuestring, type_names[i].name) == 0)
                return type_names[i].bits;
        return 0;
    }
    if (!cJSON_IsArray(v))
        return 0;
    for (const cJSON *t = v->child; t; t = t->next) {
        unsigned one = cJSON_IsString(t) ? read_type(t) : 0;
        if (!one)
            return 0;
        bits |= one;
    }
    return bits;
}

/* What a keyword's value should have been; NULL: it is that. */
static const char *check_shape(enum shape shape, const cJSON *v)
{
    const cJSON *of = cJSON_IsArray(v) || cJSON_IsObject(v) ? v->child : NULL;
    switch (shape) {
    case NOTE:
    case ANYTHING:
        return NULL;
    case TYPE:
        return read_type(v) ? NULL : "expected the name of a type, or an array of such names";
    case BOOLEAN:
        return cJSON_IsBool(v) ? NULL : "expected true or false";
    case FALSE:
        return cJSON_IsFalse(v) ? NULL : "only false is supported";
    case COUNT:
        return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 1e15 &&
                       v->valuedouble == floor(v->valuedouble)
                   ? NULL
                   : "expected an integer that is not negative";
    case NUMBER:
        return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? NULL : "expected a number";
    case STRING:
        return cJSON_IsString(v) ? NULL : "expected a string";
    case LIST:
        return cJSON_IsArray(v) && of ? NULL : "expected an array with at least one element";
    case NAMES:
        if (!cJSON_IsArray(v))
            return "expected an array of strings";
        for (; of; of = of->next)
            if (!cJSON_IsString(of))
                return "expected an array of strings";
        return NULL;
    case SCHEMA:
        return is_schema(v) ? NULL : "expected a schema: an object, true or false";
    case SCHEMAS:
        if (!cJSON_IsArray(v) || !of)
            return "expected an array of schemas, not empty";
        for (; of; of = of->next)
            if (!is_schema(of))
                return "expected an array of schemas: objects, true or false";
        return NULL;
    case MEMBERS:
        if (!cJSON_IsObject(v))
            return "expected an object of schemas";
        for (; of; of = of->next)
            if (!is_schema(of))
                return "expected an object of schemas: objects, true or false";
        return NULL;
    case ANY_NAME:
        if (cJSON_IsTrue(v) || (cJSON_IsObject(v) && !of))
            return NULL;
        return of && cJSON_IsObject(v) && !of->next && strcmp(of->string, "type") == 0 &&
                       (read_type(of) & IS_STRING)
                   ? NULL
                   : "only a schema that allows every string is supported";
    }
    trit_unreachable("the shapes are all listed");
}

static int check_keywords(struct work *w, const cJSON *schema)
{
    for (const cJSON *v = schema->child; v; v = v->next) {
        const struct keyword *k = find_keyword(v->string);
        int rc = schema_steps(w, 8 + (cJSON_IsArray(v) ? (uint64_t)cJSON_GetArraySize(v) : 0));
        if (rc)
            return rc;
        if (!k)
            return schema_refuse(w, schema, v->string, "the keyword \"%.60s\" is not supported",
                                 v->string);
        const char *wrong = check_shape(k->shape, v);
        if (wrong)
            return schema_refuse(w, schema, v->string, "the keyword \"%s\": %s", k->name, wrong);
        /* Which would change what references mean. */
        if (schema != w->root && strcmp(k->name, "$id") == 0)
            return schema_refuse(w, schema, v->string,
                                 "the keyword \"$id\" is only supported in the "
                                 "outermost schema");
    }
    return 0;
}

/* ------------------------------------------------------------------ references */

/* The next token of a pointer, decoded; *at moves behind it.  False: malformed or too long. */
static bool read_token(const char **at, char *token)
{
    size_t n = 0;
    const char *s = *at;
    while (*s && *s != '/') {
        unsigned char ch = (unsigned char)*s++;
        if (ch == '%') {
            int value = 0;
            for (int i = 0; i < 2; i++, s++) {
                const char *digits = "0123456789abcdef";
                const char *d = *s ? strchr(digits, *s >= 'A' && *s <= 'F' ? *s + 32 : *s) : NULL;
                if (!d)
                    return false;
                value = value * 16 + (int)(d - digits);
            }
            ch = (unsigned char)value;
        }
        if (n == MAX_POINTER || !ch)
            return false;
        token[n++] = (char)ch;
    }
    token[n] = '\0';
    *at = s;
    /* ~1 is '/', ~0 is '~' (RFC 6901). */
    size_t to = 0;
    for (size_t i = 0; i < n; i++, to++) {
        token[to] = token[i];
        if (token[i] != '~')
            continue;
        i++;
        if (token[i] != '0' && token[i] != '1')
            return false;
        token[to] = token[i] == '1' ? '/' : '~';
    }
    token[to] = '\0';
    return true;
}

static const cJSON *find_element(const cJSON *list, const char *token)
{
    size_t n = 0, len = strlen(token);
    if (len == 0 || len > 6 || strspn(token, "0123456789") != len)
        return NULL;
    for (; *token; token++)
        n = n * 10 + (size_t)(*token - '0');
    const cJSON *v = list->child;
    while (v && n--)
        v = v->next;
    return v;
}

static int resolve(struct work *w, const cJSON *schema, const cJSON **target)
{
    const cJSON *given = schema_get(schema, "$ref");
    trit_assert(given); /* and a string: its keyword has been checked */
    const char *ref = given->valuestring, *at = ref + 1;
    char token[MAX_POINTER + 1];
    if (ref[0] != '#')
        return schema_refuse(w, schema, "$ref",
                             "the keyword \"$ref\": only references into this "
                             "schema are supported, which begin with #");
    const cJSON *v = w->root;
    while (v && *at == '/') {
        at++;
        if (!read_token(&at, token)) {
            v = NULL;
        } else if (cJSON_IsArray(v)) {
            v = find_element(v, token);
        } else {
            int rc = schema_steps(w, (uint64_t)cJSON_GetArraySize(v));
            if (rc)
                return rc;
            v = schema_get(v, token);
        }
    }
    if (*at || !v)
        return schema_refuse(w, schema, "$ref", "the keyword \"$ref\": \"%.100s\" is not there",
                             ref);
    if (!is_schema(v))
        return schema_refuse(w, schema, "$ref", "the keyword \"$ref\": \"%.100s\" is no schema",
                             ref);
    *target = v;
    return 0;
}

/* ------------------------------------------------------------------ flattening */

/* Whether what is not done of a schema says anything. */
static bool says_something(const cJSON *schema, unsigned done)
{
    static const struct {
        const char *name;
        unsigned bit;
    } structure[] = {
        {"$ref", DONE_REF}, {"allOf", DONE_ALL}, {"anyOf", DONE_ANY}, {"oneOf", DONE_ONE}};
    if (!cJSON_IsObject(schema))
        return !cJSON_IsTrue(schema);
    for (const cJSON *v = schema->child; v; v = v->next) {
        const struct keyword *k = find_keyword(v->string);
        unsigned bit = 0;
        for (size_t i = 0; i < ARRAY_LEN(structure); i++)
            if (strcmp(v->string, structure[i].name) == 0)
                bit = structure[i].bit;
        if ((!k || k->shape != NOTE) && !(bit & done))
            return true;
    }
    return false;
}

/* Whether it is a reference and nothing more. */
static bool only_refers(const cJSON *schema)
{
    return cJSON_IsString(schema_get(schema, "$ref")) && !says_something(schema, DONE_REF);
}

int schema_add_part(struct work *w, struct parts *to, const cJSON *schema, unsigned done)
{
    int rc = schema_steps(w, 4);
    for (unsigned hops = 0; rc == 0 && done == 0 && only_refers(schema); hops++) {
        if (hops == MAX_NESTED)
            return schema_refuse(w, schema, "$ref",
                                 "the keyword \"$ref\" leads back to itself, or too far");
        rc = resolve(w, schema, &schema);
    }
    if (rc)
        return rc;
    for (unsigned i = 0; i < to->n; i++)
        if (to->part[i].schema == schema && to->part[i].done == done)
            return 0;
    if (!says_something(schema, done))
        return 0;
    if (to->n == VIEW_PARTS)
        return schema_refuse(w, schema, NULL, "more than %d schemas hold for one value",
                             VIEW_PARTS);
    to->part[to->n++] = (struct part){schema, done};
    return 0;
}

struct above {
    const struct above *up;
    const cJSON *schema;
    unsigned depth;
};

static int visit(struct work *w, const cJSON *schema, unsigned done, const struct above *up,
                 struct parts *to)
{
    struct above here = {up, schema, up ? up->depth + 1 : 0};
    const cJSON *target;
    if (!cJSON_IsObject(schema)) {
        if (cJSON_IsFalse(schema))
            to->never = true;
        else if (!cJSON_IsTrue(schema))
            return schema_refuse(w, schema, NULL, "expected a schema: an object, true or false");
        return 0;
    }
    for (const struct above *a = up; a; a = a->up)
        if (a->schema == schema && !(done & (DONE_REF | DONE_ALL)))
            return schema_refuse(w, schema, NULL,
                                 "the schema contains itself with nothing between");
    if (here.depth > MAX_NESTED)
        return schema_refuse(w, schema, NULL, "references lead deeper than %d levels", MAX_NESTED);
    int rc = check_keywords(w, schema);
    if (rc == 0 && !(done & DONE_REF) && schema_get(schema, "$ref")) {
        rc = resolve(w, schema, &target);
        if (rc == 0)
            rc = visit(w, target, 0, &here, to);
    }
    const cJSON *all = done & DONE_ALL ? NULL : schema_get(schema, "allOf");
    for (const cJSON *v = all ? all->child : NULL; v && rc == 0; v = v->next)
        rc = visit(w, v, 0, &here, to);
    return rc ? rc : schema_add_part(w, to, schema, done | DONE_REF | DONE_ALL);
}

int schema_flatten(struct work *w, const struct parts *from, struct parts *to)
{
    int rc = 0;
    *to = (struct parts){.never = from->never};
    for (unsigned i = 0; i < from->n && rc == 0; i++)
        rc = visit(w, from->part[i].schema, from->part[i].done, NULL, to);
    return rc;
}

/* ------------------------------------------------------------------ questions */

unsigned schema_types(const struct parts *parts, bool inferred)
{
    unsigned types = IS_ANY, about = 0;
    bool named = false;
    for (unsigned i = 0; i < parts->n; i++) {
        const cJSON *schema = parts->part[i].schema, *type = schema_get(schema, "type");
        if (type) {
            unsigned bits = read_type(type);
            if (cJSON_IsTrue(schema_get(schema, "nullable")))
                bits |= IS_NULL;
            types &= bits;
            named = true;
        }
        for (const cJSON *v = cJSON_IsObject(schema) ? schema->child : NULL; v; v = v->next) {
            const struct keyword *k = find_keyword(v->string);
            about |= k ? k->types : 0;
        }
    }
    return !named && inferred && about ? about : types;
}

const cJSON *schema_choice(const struct parts *parts, unsigned *part, unsigned *bit)
{
    static const struct {
        const char *name;
        unsigned bit;
    } choices[] = {{"anyOf", DONE_ANY}, {"oneOf", DONE_ONE}};
    for (unsigned i = 0; i < parts->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(choices); k++) {
            const cJSON *list = schema_get(parts->part[i].schema, choices[k].name);
            if (!list || (parts->part[i].done & choices[k].bit))
                continue;
            *part = i;
            *bit = choices[k].bit;
            return list;
        }
    return NULL;
}

const cJSON *schema_values(const struct parts *parts, bool *single, unsigned *part)
{
    for (unsigned i = 0; i < parts->n; i++) {
        const cJSON *one = schema_get(parts->part[i].schema, "const");
        const cJSON *list = schema_get(parts->part[i].schema, "enum");
        *single = one != NULL;
        *part = i;
        if (one || list)
            return one ? one : list;
    }
    return NULL;
}

const cJSON *schema_bound(const struct parts *p, const char *keyword, bool largest,
                          const cJSON **where)
{
    const cJSON *best = NULL;
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *v = schema_get(p->part[i].schema, keyword);
        if (!v || (best && (largest ? v->valuedouble <= best->valuedouble
                                    : v->valuedouble >= best->valuedouble)))
            continue;
        best = v;
        *where = p->part[i].schema;
    }
    return best;
}

unsigned schema_type_of(const cJSON *v)
{
    if (cJSON_IsNumber(v))
        return v->valuedouble == floor(v->valuedouble) ? IS_INTEGER : IS_FRACTION;
    return cJSON_IsNull(v)     ? IS_NULL
           : cJSON_IsBool(v)   ? IS_BOOL
           : cJSON_IsString(v) ? IS_STRING
           : cJSON_IsArray(v)  ? IS_ARRAY
                               : IS_OBJECT;
}

/* Arrays and objects count as the same: nobody is told that they differ. */
bool schema_same_value(const cJSON *a, const cJSON *b)
{
    if (schema_type_of(a) != schema_type_of(b))
        return false;
    if (cJSON_IsNumber(a))
        return a->valuedouble == b->valuedouble;
    if (cJSON_IsString(a))
        return strcmp(a->valuestring, b->valuestring) == 0;
    return !cJSON_IsBool(a) || cJSON_IsTrue(a) == cJSON_IsTrue(b);
}

bool schema_is_never(const struct parts *p)
{
    return p->never || schema_types(p, false) == 0;
}

int schema_view_or_never(struct work *w, const struct parts *parts, bool *never, uint32_t *number)
{
    struct parts flat;
    int rc = schema_flatten(w, parts, &flat);
    if (rc)
        return rc;
    *never = schema_is_never(&flat);
    return *never ? 0 : schema_view(w, parts, number);
}
