/* SPDX-License-Identifier: MIT */
/*
 * tools.c - calls of functions as a grammar:
 *
 *     root ::= call after (between call after){0,15} close
 *     call ::= c0 | c1
 *     c0   ::= "{\"name\": \"f\", \"arguments\": " t0 "}"
 *     t0   ::= the schema of f
 */
#include "config.h"
#include "server/tools.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/chat.h"
#include "server/gbnf.h"
#include "server/problem.h"
#include "server/schema.h"

bool tools_wait(const struct tools *t)
{
    return !t->must && !t->form->bare && t->content.kind == SHAPE_FREE;
}

bool tools_bound(const struct tools *t)
{
    return t->must || !t->form->bare || t->content.kind != SHAPE_FREE;
}

const struct tool *tools_find(const struct tools *t, const char *name, size_t len)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->tool[i].allowed && strlen(t->tool[i].name) == len &&
            memcmp(t->tool[i].name, name, len) == 0)
            return &t->tool[i];
    return NULL;
}

bool tools_may_be_loose(const struct tools *t)
{
    return !t->must;
}

/* ------------------------------------------------------------------ the grammar */

static void put_literal(struct buf *out, const char *s)
{
    if (*s) {
        gbnf_literal(out, s, strlen(s));
        buf_addc(out, ' ');
    }
}

/* What stands in front of the first call: nothing where it stands in the prompt. */
static void put_begin(const struct tools *t, struct buf *out)
{
    const struct chat_calls *f = t->form;
    const char *solid = f->lead + strspn(f->lead, " \n");
    if (t->must)
        return;
    if (!tools_wait(t)) { /* An answer that is bound from its first token on. */
        if (!f->bare) {
            put_literal(out, f->open);
            put_literal(out, f->lead);
        }
        return;
    }
    buf_adds(out, "[ \\n]{0,2} ");
    put_literal(out, solid);
    if (*solid)
        buf_adds(out, "[ \\n]{0,2} ");
}

static void put_calls(const struct tools *t, struct buf *out)
{
    const struct chat_calls *f = t->form;
    put_begin(t, out);
    buf_adds(out, "call ");
    put_literal(out, f->after);
    if (t->many) {
        buf_addc(out, '(');
        put_literal(out, f->between);
        buf_adds(out, "call ");
        put_literal(out, f->after);
        buf_addc(out, ')');
        gbnf_repeat(out, 0, TOOLS_CALLS - 1);
        buf_addc(out, ' ');
    }
    put_literal(out, f->close);
}

static int put_content(const struct shape *s, struct buf *out, struct problem *problem)
{
    return s->kind == SHAPE_OBJECT
               ? schema_any_object("content", out, problem)
               : schema_to_grammar(s->tree, s->field, "content", NULL, out, problem);
}

/* The rules of one function's arguments. */
static int put_arguments(const struct tool *tool, const char *rule, bool must, bool loose,
                         struct buf *out, struct problem *problem)
{
    struct buf own = {0};
    int rc = 0;
    if (!tool->schema) {
        buf_addf(out, "%s ::= \"{}\"\n", rule);
        return 0;
    }
    loose = loose && !tool->strict;
    if (!loose)
        rc = schema_to_grammar(tool->schema, tool->path, rule, NULL, &own, problem);
    if (rc && rc != -TRIT_ENOMEM && !must && !tool->strict)
        loose = true;
    if (loose) {
        buf_reset(&own);
        rc = schema_any_object(rule, &own, problem);
    }
    if (rc == 0 && own.data)
        buf_add(out, own.data, own.len);
    out->failed |= own.failed;
    buf_free(&own);
    return rc;
}

int tools_to_grammar(const struct tools *t, bool loose, struct buf *out, struct problem *problem)
{
    const char *bar = "";
    char rule[24];
    buf_adds(out, "root ::= ");
    if (t->content.kind != SHAPE_FREE)
        buf_adds(out, "content | ");
    put_calls(t, out);
    buf_adds(out, "\ncall ::= ");
    for (size_t i = 0; i < t->n; i++)
        if (t->tool[i].allowed) {
            buf_addf(out, "%sc%zu", bar, i);
            bar = " | ";
        }
    buf_addc(out, '\n');
    if (t->content.kind != SHAPE_FREE) {
        int rc = put_content(&t->content, out, problem);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < t->n; i++) {
        if (!t->tool[i].allowed)
            continue;
        snprintf(rule, sizeof rule, "t%zu", i);
        buf_addf(out, "c%zu ::= \"{\\\"name\\\": \\\"%s\\\", \\\"%s\\\": \" %s \"}\"\n", i,
                 t->tool[i].name, t->form->arguments, rule);
        int rc = put_arguments(&t->tool[i], rule, t->must, loose, out, problem);
        if (rc)
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------ keys and ends */

void tools_key(const struct tools *t, struct buf *key)
{
    buf_addf(key, "%s %d %d", t->form->name, t->must, t->many);
    for (size_t i = 0; i < t->n; i++) {
        if (!t->tool[i].allowed)
            continue;
        char *text = t->tool[i].schema ? cJSON_PrintUnformatted(t->tool[i].schema) : NULL;
        buf_addf(key, "\n%zu %d %s %s", i, t->tool[i].strict, t->tool[i].name, text ? text : "");
        key->failed |= t->tool[i].schema && !text;
        cJSON_free(text);
    }
    if (t->content.kind != SHAPE_FREE) {
        buf_addc(key, '\n');
        shape_key(&t->content, key);
    }
}

void tools_free(struct tools *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        cJSON_Delete(t->tool[i].schema);
    mem_free(t->tool);
    mem_free(t->opening);
    shape_fini(&t->content);
    mem_free(t);
}
