/* SPDX-License-Identifier: MIT */
/*
 * shape.c - each kind of shape to a grammar.
 */
#include "config.h"
#include "server/shape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "engine/grammar.h"
#include "server/gbnf.h"
#include "server/problem.h"
#include "server/regex.h"
#include "server/schema.h"
#include "server/tools.h"

static int no_memory(const struct shape *s, struct problem *problem)
{
    return problem_set(problem, TRIT_ENOMEM, NULL, "no memory for %s", s->field);
}

static int refuse(const struct shape *s, int rc, const struct trit_error *err,
                  struct problem *problem)
{
    if (rc == -TRIT_ENOMEM)
        return no_memory(s, problem);
    const char *text = err->text;
    if (s->kind == SHAPE_SCHEMA && strncmp(text, "line ", 5) == 0 && strstr(text, ": "))
        text = strstr(text, ": ") + 2; /* Nobody has seen the lines of its grammar. */
    problem_set(problem, rc == -TRIT_EUNSUPP ? TRIT_EUNSUPP : TRIT_EINVAL, s->field, "%s: %s",
                s->field, text);
    if (s->kind == SHAPE_SCHEMA)
        problem->code = "invalid_schema";
    return -TRIT_EINVAL;
}

static int write_regex(const struct shape *s, struct buf *text, struct problem *problem)
{
    static const struct regex_want want = {
        .into = REGEX_TEXT, .prefix = "root-", .max = UINT64_MAX};
    struct trit_error err = {0};
    struct buf expr = {0};
    int rc = regex_to_grammar(s->text, strlen(s->text), &want, text, &expr, &err);
    if (rc)
        rc = refuse(s, rc, &err, problem);
    else
        buf_addf(text, "root ::= %s\n", expr.failed ? "" : expr.data);
    text->failed |= expr.failed;
    buf_free(&expr);
    return rc;
}

static void write_choice(const struct shape *s, struct buf *text)
{
    buf_adds(text, "root ::= ");
    for (const cJSON *v = s->tree->child; v; v = v->next) {
        gbnf_literal(text, v->valuestring, strlen(v->valuestring));
        buf_adds(text, v->next ? " | " : "\n");
    }
}

int shape_to_text(const struct shape *s, struct buf *text, struct problem *problem)
{
    int rc = 0;
    switch (s->kind) {
    case SHAPE_FREE:
        break;
    case SHAPE_OBJECT:
        rc = schema_any_object("root", text, problem);
        break;
    case SHAPE_SCHEMA:
        rc = schema_to_grammar(s->tree, s->field, "root", NULL, text, problem);
        break;
    case SHAPE_REGEX:
        rc = write_regex(s, text, problem);
        break;
    case SHAPE_CHOICE:
        write_choice(s, text);
        break;
    case SHAPE_GRAMMAR:
        buf_adds(text, s->text);
        break;
    case SHAPE_CALLS:
        rc = tools_to_grammar(s->tools, false, text, problem);
        break;
    }
    return rc == 0 && text->failed ? no_memory(s, problem) : rc;
}

/* A schema that contains itself without a way out makes a grammar without any text. */
static int refuse_endless(const struct shape *s, const struct trit_error *err,
                          struct problem *problem)
{
    char rule[64];
    if (s->kind != SHAPE_SCHEMA ||
        sscanf(err->text, "line %*u, column %*u: rule %63[a-z0-9-] never comes", rule) != 1)
        return refuse(s, -err->code, err, problem);
    return schema_refuse_rule(s->tree, s->field, "root", rule,
                              "every value contains another one of the same kind, without end",
                              problem);
}

/* Of the largest schemas, which are not written by hand. */
static const struct grammar_limits schema_grammar = {.text_bytes = 2 << 20,
                                                     .rules = 32 << 10,
                                                     .states = 256 << 10,
                                                     .edges = 512 << 10,
                                                     .nesting = 64};

int shape_compile(const struct shape *s, struct grammar **g, struct problem *problem)
{
    struct buf text = {0};
    struct trit_error err = {0};
    *g = NULL;
    if (s->kind == SHAPE_FREE)
        return 0;
    int rc = shape_to_text(s, &text, problem);
    if (rc == 0) {
        bool schemas = s->kind == SHAPE_SCHEMA || s->kind == SHAPE_CALLS;
        const struct grammar_limits *limits = schemas ? &schema_grammar : NULL;
        rc = grammar_compile(text.data, text.len, limits, g, &err);
        if (rc == -TRIT_ETOOBIG && s->kind == SHAPE_CALLS && tools_may_be_loose(s->tools)) {
            buf_reset(&text);
            rc = tools_to_grammar(s->tools, true, &text, problem);
            if (rc == 0)
                rc = text.failed ? trit_fail(&err, TRIT_ENOMEM, "no memory")
                                 : grammar_compile(text.data, text.len, limits, g, &err);
        }
        if (rc)
            rc = refuse_endless(s, &err, problem);
    }
    buf_free(&text);
    return rc;
}

void shape_key(const struct shape *s, struct buf *key)
{
    char *text = s->tree ? cJSON_PrintUnformatted(s->tree) : NULL;
    buf_addf(key, "%d", s->kind);
    if (s->kind == SHAPE_CALLS)
        tools_key(s->tools, key);
    if (s->text)
        buf_adds(key, s->text);
    else if (text)
        buf_adds(key, text);
    key->failed |= s->tree && !text;
    cJSON_free(text);
}

void shape_fini(struct shape *s)
{
    mem_free(s->text);
    cJSON_Delete(s->tree);
    *s = (struct shape){0};
}
