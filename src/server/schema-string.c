/* SPDX-License-Identifier: MIT */
/*
 * schema-string.c - strings, their formats, values that are given, and the rules that all share.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "server/gbnf.h"
#include "server/json.h"
#include "server/regex.h"
#include "server/schema-parts.h"

/* ------------------------------------------------------------------ formats */

/* RFC 3339; the 29th of February is there in leap years. */
#define DATE                                                                                       \
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"                                \
    "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|"                          \
    "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define TIME                                                                                       \
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"                                 \
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define DURATION_TIME                                                                              \
    "T(?:[0-9]{1,6}H(?:[0-9]{1,6}M(?:[0-9]{1,6}S)?)?|[0-9]{1,6}M(?:[0-9]{1,6}S)?|[0-9]{1,6}S)"
#define DURATION_DATE                                                                              \
    "(?:[0-9]{1,6}Y(?:[0-9]{1,6}M(?:[0-9]{1,6}D)?)?|[0-9]{1,6}M(?:[0-9]{1,6}D)?|[0-9]{1,6}D)"
#define LABEL    "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
#define HOST     LABEL "(?:\\." LABEL "){0,2}"
#define MAIL     "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,30}"
#define OCTET    "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define H        "[0-9a-fA-F]{1,4}"
#define URI_CHAR "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})"

/* Narrower than their standards in places, never wider. */
static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration", "^P(?:" DURATION_DATE "(?:" DURATION_TIME ")?|" DURATION_TIME "|[0-9]{1,6}W)$"},
    {"uuid", "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    {"hostname", "^" HOST "$"},
    {"email", "^" MAIL "(?:\\." MAIL ")?@" LABEL "(?:\\." LABEL "){1,2}$"},
    {"ipv4", "^" OCTET "(?:\\." OCTET "){3}$"},
    {"ipv6", "^(?:(?:" H ":){7}" H "|(?:" H ":){1,7}:|(?:" H ":){1,6}:" H "|(?:" H ":){1,5}(?::" H
             "){1,2}|(?:" H ":){1,4}(?::" H "){1,3}|(?:" H ":){1,3}(?::" H "){1,4}|(?:" H
             ":){1,2}(?::" H "){1,5}|" H ":(?::" H "){1,6}|:(?::" H "){1,7}|::)$"},
    {"uri", "^https?://" HOST "(?::[1-9][0-9]{0,3})?(?:/" URI_CHAR "*)*(?:\\?(?:" URI_CHAR
            "|[/?])*)?(?:#(?:" URI_CHAR "|[/?])*)?$"},
};

static const char *find_format(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(formats[i].name, name) == 0)
            return formats[i].pattern;
    return NULL;
}

/* ------------------------------------------------------------------ strings */

/* The only pattern, or the pattern of the only format; NULL: none. */
static int find_pattern(struct work *w, const struct parts *p, const char **pattern,
                        const char **keyword, const cJSON **at)
{
    static const char *const words[] = {"pattern", "format"};
    const char *found = NULL;
    *pattern = NULL;
    for (unsigned i = 0; i < p->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(words); k++) {
            const cJSON *v = schema_get(p->part[i].schema, words[k]);
            if (!v || (found && *keyword == words[k] && strcmp(found, v->valuestring) == 0))
                continue;
            *keyword = words[k];
            *at = p->part[i].schema;
            if (found)
                return schema_refuse(w, *at, words[k],
                                     "the keyword \"%s\": only one pattern or format may hold for "
                                     "a string",
                                     words[k]);
            found = v->valuestring;
            *pattern = k == 0 ? found : find_format(found);
            if (!*pattern)
                return schema_refuse(w, *at, words[k],
                                     "the keyword \"format\": \"%.60s\" is not supported", found);
        }
    return 0;
}

static int write_pattern(struct work *w, const char *pattern, const char *keyword, const cJSON *at,
                         uint64_t least, uint64_t most, uint32_t number, struct buf *expr)
{
    struct trit_error err = {0};
    struct buf name = {0};
    schema_name(w, number, &name);
    buf_adds(&name, number ? "-" : "-s-"); /* "root-1" is another view */
    if (name.failed)
        return schema_no_memory(w);
    struct regex_want want = {
        .into = REGEX_STRING, .search = true, .prefix = name.data, .min = least, .max = most};
    buf_adds(expr, "\"\\\"\" ");
    int rc = regex_to_grammar(pattern, strlen(pattern), &want, w->out, expr, &err);
    buf_adds(expr, " \"\\\"\"");
    buf_free(&name);
    if (rc == -TRIT_ENOMEM)
        return schema_no_memory(w);
    if (rc)
        return schema_refuse(w, at, keyword, "the keyword \"%s\": %s", keyword, err.text);
    return schema_steps(w, strlen(pattern));
}

int schema_write_string(struct work *w, const struct parts *p, uint32_t number, struct buf *expr)
{
    const cJSON *at = NULL, *from = NULL, *to = NULL;
    const char *pattern, *keyword = NULL;
    const cJSON *min = schema_bound(p, "minLength", true, &from);
    const cJSON *max = schema_bound(p, "maxLength", false, &to);
    uint64_t least = min ? (uint64_t)min->valuedouble : 0;
    uint64_t most = max ? (uint64_t)max->valuedouble : UINT64_MAX;
    int rc = find_pattern(w, p, &pattern, &keyword, &at);
    if (rc)
        return rc;
    if (least > most)
        return schema_refuse(w, from, "minLength",
                             "the keyword \"minLength\": no string is as short as maxLength wants");
    if (pattern)
        return write_pattern(w, pattern, keyword, at, least, most, number, expr);
    if (!least && most == UINT64_MAX) {
        buf_addf(expr, "%s-string", w->prefix);
        w->string = true;
    } else if (most == 0) {
        buf_adds(expr, "\"\\\"\\\"\"");
    } else {
        buf_addf(expr, "\"\\\"\" %s-char", w->prefix);
        gbnf_repeat(expr, least, most);
        buf_adds(expr, " \"\\\"\"");
        w->ch = true;
    }
    return 0;
}

/* ------------------------------------------------------------------ values */

void schema_put_json_string(struct buf *literal, const char *s)
{
    size_t len = strlen(s), at = 0;
    char text[8];
    gbnf_bytes(literal, "\"", 1);
    while (at < len) {
        uint32_t cp;
        at += utf8_decode(s + at, len - at, &cp);
        gbnf_bytes(literal, text, gbnf_json_char(text, cp));
    }
    gbnf_bytes(literal, "\"", 1);
}

/* Inside a literal.  The depth is that of JSON, which is bounded. */
static int put_value(struct work *w, const cJSON *schema, const char *keyword, const cJSON *v,
                     struct buf *literal)
{
    bool object = cJSON_IsObject(v);
    int rc = schema_steps(w, 1);
    if (rc)
        return rc;
    if (cJSON_IsString(v)) {
        schema_put_json_string(literal, v->valuestring);
    } else if (cJSON_IsNumber(v)) {
        struct json_out number = {.buf = literal};
        /* Beyond it the tree has not kept what was written. */
        if (!(fabs(v->valuedouble) <= 9007199254740992.0))
            return schema_refuse(w, schema, keyword,
                                 "the keyword \"%s\": the number %.17g cannot be kept exactly",
                                 keyword, v->valuedouble);
        json_double(&number, v->valuedouble);
    } else if (object || cJSON_IsArray(v)) {
        buf_addc(literal, object ? '{' : '[');
        for (const cJSON *m = v->child; m && rc == 0; m = m->next) {
            if (object) {
                schema_put_json_string(literal, m->string);
                buf_adds(literal, ": ");
            }
            rc = put_value(w, schema, keyword, m, literal);
            buf_adds(literal, m->next ? ", " : "");
        }
        buf_addc(literal, object ? '}' : ']');
    } else {
        buf_adds(literal, cJSON_IsNull(v) ? "null" : cJSON_IsTrue(v) ? "true" : "false");
    }
    return rc;
}

/* Whether the other parts' const or enum have it too. */
static int is_elsewhere(struct work *w, const struct parts *p, unsigned at, const cJSON *v,
                        bool *yes)
{
    *yes = true;
    for (unsigned i = 0; i < p->n && *yes; i++) {
        struct parts one = {.part = {p->part[i]}, .n = 1};
        bool single;
        unsigned zero;
        const cJSON *list = i == at ? NULL : schema_values(&one, &single, &zero);
        if (!list)
            continue;
        *yes = false;
        for (const cJSON *x = single ? list : list->child; x && !*yes;
             x = single ? NULL : x->next) {
            int rc = schema_steps(w, 1);
            if (rc)
                return rc;
            *yes = schema_same_value(x, v);
        }
        if (*yes && (cJSON_IsArray(v) || cJSON_IsObject(v)))
            return schema_refuse(w, p->part[i].schema, single ? "const" : "enum",
                                 "arrays and objects in enum and const cannot be combined with "
                                 "another enum or const");
    }
    return 0;
}

/* Keywords about values of this type, besides type itself, do not go together with enum. */
static int check_alone(struct work *w, const struct parts *p, const cJSON *v)
{
    struct parts one = {.n = 1};
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *schema = p->part[i].schema;
        for (const cJSON *k = schema->child; k; k = k->next) {
            cJSON only = *k, holder = {.type = cJSON_Object, .child = &only};
            only.next = only.prev = NULL;
            one.part[0].schema = &holder;
            unsigned about = strcmp(k->string, "type") == 0 ? IS_ANY : schema_types(&one, true);
            if (about != IS_ANY && (about & schema_type_of(v)) &&
                strcmp(k->string, "uniqueItems") != 0)
                return schema_refuse(w, schema, k->string,
                                     "the keyword \"%.60s\" is not supported together with enum or "
                                     "const",
                                     k->string);
        }
    }
    return schema_steps(w, 8);
}

int schema_write_enum(struct work *w, const struct parts *p, unsigned types, struct buf *expr)
{
    bool single, some = false;
    unsigned at;
    const cJSON *values = schema_values(p, &single, &at), *schema = p->part[at].schema;
    const char *keyword = single ? "const" : "enum";
    if (!single && (uint32_t)cJSON_GetArraySize(values) > w->limits->values)
        return schema_refuse(w, schema, keyword,
                             "the keyword \"enum\" has %d values, at most %u are supported",
                             cJSON_GetArraySize(values), w->limits->values);
    int rc = 0;
    for (const cJSON *v = single ? values : values->child; v && rc == 0;
         v = single ? NULL : v->next) {
        bool yes;
        if (!(schema_type_of(v) & types))
            continue;
        rc = is_elsewhere(w, p, at, v, &yes);
        if (rc || !yes)
            continue;
        rc = check_alone(w, p, v);
        buf_adds(expr, some ? " | \"" : "\"");
        if (rc == 0)
            rc = put_value(w, schema, keyword, v, expr);
        buf_addc(expr, '"');
        some = true;
    }
    if (rc == 0 && !some)
        rc = schema_refuse(w, schema, keyword,
                           "the keyword \"%s\": no value fits the other keywords", keyword);
    return rc;
}

/* ------------------------------------------------------------------ common rules */

void schema_write_any(struct work *w, struct buf *expr)
{
    buf_addf(expr, "%s-any", w->prefix);
    w->any = true;
}

/* A line of a rule; # stands for the prefix and its '-'. */
static void put_rule(struct work *w, bool used, const char *text)
{
    if (!used)
        return;
    for (const char *s = text; *s; s++)
        if (*s == '#')
            buf_addf(w->out, "%s-", w->prefix);
        else
            buf_addc(w->out, *s);
    buf_addc(w->out, '\n');
}

void schema_common_rules(struct work *w)
{
    bool any = w->any, string = w->string || any, number = w->number || any;
    put_rule(w, any,
             "#any ::= #object | #array | #string | #number | \"true\" | \"false\" | \"null\"");
    put_rule(w, any,
             "#object ::= \"{\" (#member (\",\" \" \"? #member)*)? \"}\"\n"
             "#member ::= #string \":\" \" \"? #any\n"
             "#array ::= \"[\" (#any (\",\" \" \"? #any)*)? \"]\"");
    put_rule(w, string, "#string ::= \"\\\"\" #char* \"\\\"\"");
    /* RFC 8259; an escaped character is any but U+0000, a surrogate has its other half. */
    put_rule(
        w, string || w->ch,
        "#char ::= [^\\x22\\x5C\\x00-\\x1F] | \"\\\\\" ([\\x22\\x5C\\x2Fbfnrt] | \"u\" #unit)\n"
        "#unit ::= [1-9a-cA-CefEF] #hex{3} | \"0\" (\"00\" [1-9a-fA-F] | \"0\" [1-9a-fA-F] #hex"
        " | [1-9a-fA-F] #hex{2}) | [dD] [0-7] #hex{2} |"
        " [dD] [89abAB] #hex{2} \"\\\\u\" [dD] [c-fC-F] #hex{2}\n"
        "#hex ::= [0-9a-fA-F]");
    put_rule(w, w->key, "#keychar ::= [^\\x22\\x5C\\x00-\\x1F] | \"\\\\\" [\\x22\\x5Cbfnrt]");
    put_rule(w, w->integer, "#integer ::= \"0\" | \"-\"? [1-9] [0-9]{0,14}");
    put_rule(w, number,
             "#number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14}) (\".\" [0-9]{1,15})?"
             " ([eE] [+\\x2D]? [0-9]{1,2})?");
}
