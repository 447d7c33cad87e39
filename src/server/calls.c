/* SPDX-License-Identifier: MIT */
/*
 * calls.c - five states, each of which takes from the front of what is held until it has to wait.
 */
#include "config.h"
#include "server/calls.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/chat.h"
#include "server/json.h"
#include "server/names.h"
#include "server/text.h"
#include "server/tools.h"

enum { FIRST_CALLS = 4 };

/* The table has white space around words; here it does not matter. */
static const char *word(const char *s, size_t *len)
{
    size_t n = strlen(s), skip = text_spaces(s, n);
    while (n > skip && text_is_space(s[n - 1]))
        n--;
    *len = n - skip;
    return s + skip;
}

enum match { NO, MAYBE, YES };

/* s[0, len) begins with the word; or it ends within it. */
static enum match begins(const char *s, size_t len, const char *what, size_t n)
{
    if (n == 0 || memcmp(s, what, MIN(len, n)) != 0)
        return NO;
    return len >= n ? YES : MAYBE;
}

/* The next byte of a value that began with a bracket; true: that was its last. */
static bool walk(struct calls_walk *w, char ch)
{
    if (w->in_string) {
        if (w->escaped)
            w->escaped = false;
        else if (ch == '\\')
            w->escaped = true;
        else if (ch == '"')
            w->in_string = false;
        return false;
    }
    if (ch == '"')
        w->in_string = true;
    else if (ch == '{' || ch == '[')
        w->depth++;
    else if (ch == '}' || ch == ']')
        return --w->depth == 0;
    return false;
}

/* ------------------------------------------------------------------ calls */

static struct call *add_call(struct calls *c, const struct tool *tool)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : FIRST_CALLS;
        struct call *more = mem_resize(c->call, cap, sizeof *more);
        if (!more) {
            c->failed = true;
            return NULL;
        }
        c->call = more;
        c->cap = cap;
    }
    struct call *call = &c->call[c->n++];
    *call = (struct call){.tool = tool};
    names_random(call->id, sizeof call->id, "call_");
    if (c->tools->form->short_ids) /* The last letters are as random as all others. */
        memmove(call->id, call->id + strlen(call->id) - 9, 10);
    return call;
}

static bool may_call(const struct calls *c)
{
    return c->n == 0 || c->tools->many;
}

/* What looked like a call is none. */
static void give_back(struct calls *c, struct buf *text)
{
    buf_add(text, c->opening.data, c->opening.len);
    buf_reset(&c->opening);
    c->begun = true;
    c->at = CALLS_TEXT;
}

/* Let go n bytes that belong to a call if it is one. */
static void open_with(struct calls *c, size_t n)
{
    buf_add(&c->opening, c->held.data, n);
    buf_consume(&c->held, n);
}

static void begin_object(struct calls *c)
{
    c->at = CALLS_OBJECT;
    c->walked = 0;
    c->walk = (struct calls_walk){0};
}

/* The whole object of a call. */
static bool take_object(struct calls *c, const char *s, size_t len)
{
    struct trit_error err;
    size_t n_name, n_args = 2;
    if (!may_call(c) || json_check(s, len, &err) != 0)
        return false;
    const char *name = json_member_text(s, len, "name", &n_name);
    const char *args = json_member_text(s, len, c->tools->form->arguments, &n_args);
    if (!args)
        args = json_member_text(s, len, "arguments", &n_args);
    if (!args)
        args = json_member_text(s, len, "parameters", &n_args);
    if (!args) {
        args = "{}";
        n_args = 2;
    }
    if (!name || *name != '"' || *args != '{')
        return false;
    const struct tool *tool = tools_find(c->tools, name + 1, n_name - 2);
    struct call *call = tool ? add_call(c, tool) : NULL;
    if (!call)
        return false;
    buf_add(&call->arguments, args, n_args);
    call->whole = true;
    return true;
}

/* ------------------------------------------------------------------ states: true, as long as there
 * is more to do */

/* Bytes at the end of held that may begin a call, white space before it included. */
static size_t keep(const struct calls *c)
{
    const char *s = c->held.data, *open = c->tools->form->open;
    size_t len = c->held.len, n = MIN(len, strlen(open) - 1);
    while (n > 0 && memcmp(s + len - n, open, n) != 0)
        n--;
    while (n < len && text_is_space(s[len - n - 1]))
        n++;
    return n;
}

static bool in_text(struct calls *c, struct buf *text)
{
    const struct chat_calls *f = c->tools->form;
    const char *s = c->held.data;
    size_t len = c->held.len, first = text_spaces(s, len);
    if (first == len)
        return false;
    if (f->bare && !c->begun && s[first] == '{') {
        open_with(c, first);
        begin_object(c);
        return true;
    }
    const char *open = memmem(s, len, f->open, strlen(f->open));
    size_t out = open ? (size_t)(open - s) : len - keep(c);
    size_t end = open ? out + strlen(f->open) : out;
    while (open && out > 0 && text_is_space(s[out - 1]))
        out--;
    buf_add(text, s, out);
    c->begun = c->begun || out > 0;
    if (!open) {
        buf_consume(&c->held, out);
        return false;
    }
    buf_consume(&c->held, out);
    open_with(c, end - out);
    begin_object(c);
    return true;
}

/* {"name": "f", "arguments": in front of s, with white space or without. */
static enum match head(const struct calls *c, const char *s, size_t len, const struct tool **tool,
                       size_t *end)
{
    const char *const parts[] = {"{", "\"name\"", ":", "\"", "", ",", "\"", "", "\"", ":"};
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *what = parts[i];
        if (i == 4) {
            const char *quote = memchr(s + at, '"', len - at);
            if (!quote)
                return MAYBE;
            size_t n = (size_t)(quote - (s + at));
            *tool = tools_find(c->tools, s + at, n);
            if (!*tool)
                return NO;
            at += n + 1;
            continue;
        }
        if (i == 7)
            what = c->tools->form->arguments;
        else if (i != 8)
            at += text_spaces(s + at, len - at);
        enum match m = begins(s + at, len - at, what, strlen(what));
        if (m != YES)
            return m;
        at += strlen(what);
    }
    at += text_spaces(s + at, len - at);
    if (at == len)
        return MAYBE;
    *end = at;
    return s[at] == '{' ? YES : NO;
}

static bool in_object(struct calls *c, struct buf *text)
{
    size_t n_lead, end;
    const char *lead = word(c->tools->form->lead, &n_lead);
    open_with(c, text_spaces(c->held.data, c->held.len));
    if (c->held.len && begins(c->held.data, c->held.len, lead, n_lead) == YES) {
        open_with(c, n_lead);
        return true;
    }
    if (c->held.len == 0)
        return false;
    if (*c->held.data != '{') {
        give_back(c, text);
        return true;
    }
    if (tools_bound(c->tools) && may_call(c)) {
        const struct tool *tool;
        enum match m = head(c, c->held.data, c->held.len, &tool, &end);
        if (m == YES) {
            buf_consume(&c->held, end);
            buf_reset(&c->opening);
            c->walk = (struct calls_walk){0};
            c->at = CALLS_ARGUMENTS;
            return add_call(c, tool);
        }
        if (m == MAYBE)
            return false;
    }
    while (c->walked < c->held.len)
        if (walk(&c->walk, c->held.data[c->walked++])) {
            if (!take_object(c, c->held.data, c->walked)) {
                give_back(c, text);
                return true;
            }
            buf_consume(&c->held, c->walked);
            buf_reset(&c->opening);
            c->at = CALLS_AFTER;
            return true;
        }
    return false;
}

static bool in_arguments(struct calls *c)
{
    struct call *call = &c->call[c->n - 1];
    size_t n = 0;
    while (n < c->held.len && !call->whole)
        call->whole = walk(&c->walk, c->held.data[n++]);
    buf_add(&call->arguments, c->held.data, n);
    buf_consume(&c->held, n);
    if (call->whole)
        c->at = CALLS_TAIL;
    return call->whole;
}

static bool in_tail(struct calls *c)
{
    size_t n = text_spaces(c->held.data, c->held.len);
    if (n == c->held.len)
        return false;
    buf_consume(&c->held, n + (c->held.data[n] == '}'));
    c->at = CALLS_AFTER;
    return true;
}

static bool in_after(struct calls *c)
{
    const struct chat_calls *f = c->tools->form;
    const char *const words[] = {f->after, f->between, f->close};
    size_t at = text_spaces(c->held.data, c->held.len);
    bool maybe = at == c->held.len;
    for (size_t i = 0; i < ARRAY_LEN(words) && !maybe; i++) {
        size_t n;
        const char *w = word(words[i], &n);
        enum match m = begins(c->held.data + at, c->held.len - at, w, n);
        maybe = m == MAYBE;
        if (m != YES)
            continue;
        if (i == 1) {
            open_with(c, at + n);
            begin_object(c);
        } else {
            buf_consume(&c->held, at + n);
            c->at = i == 0 ? CALLS_AFTER : CALLS_TEXT;
        }
        return true;
    }
    if (maybe)
        return false;
    if (!c->begun) /* else it stands between words */
        buf_consume(&c->held, at);
    c->at = CALLS_TEXT;
    return true;
}

static bool step(struct calls *c, struct buf *text)
{
    if (c->held.failed || c->opening.failed || c->failed || c->held.len == 0)
        return false;
    switch (c->at) {
    case CALLS_TEXT:
        return in_text(c, text);
    case CALLS_OBJECT:
        return in_object(c, text);
    case CALLS_ARGUMENTS:
        return in_arguments(c);
    case CALLS_TAIL:
        return in_tail(c);
    default:
        return in_after(c);
    }
}

/* ------------------------------------------------------------------ the whole */

void calls_begin(struct calls *c, const struct tools *tools)
{
    *c = (struct calls){.tools = tools};
    if (tools->must)
        begin_object(c);
}

static void run(struct calls *c, struct buf *text)
{
    while (step(c, text))
        ;
    c->failed = c->failed || c->held.failed || c->opening.failed;
    for (size_t i = 0; i < c->n; i++)
        c->failed = c->failed || c->call[i].arguments.failed;
}

void calls_push(struct calls *c, const char *bytes, size_t len, struct buf *text)
{
    tok_stream_push(&c->utf8, bytes, len, &c->held);
    run(c, text);
}

/* Behind calls a piece of the next opening, or white space, is not worth a word. */
void calls_end(struct calls *c, struct buf *text)
{
    tok_stream_end(&c->utf8, &c->held);
    run(c, text);
    if (c->failed)
        return;
    if (c->at == CALLS_OBJECT)
        give_back(c, text);
    if (c->at == CALLS_TEXT && !(c->n > 0 && text_spaces(c->held.data, c->held.len) == c->held.len))
        buf_add(text, c->held.data, c->held.len);
    buf_reset(&c->held);
}

bool calls_name(const struct calls *c, const char *name, size_t len)
{
    const struct chat_calls *f = c->tools->form;
    const char *const words[] = {f->open, f->after};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n;
        const char *w = word(words[i], &n);
        if (n == len && memcmp(w, name, n) == 0)
            return true;
    }
    return false;
}

bool calls_wait(const struct calls *c)
{
    bool between = c->at == CALLS_TEXT || c->at == CALLS_AFTER;
    return c->at == CALLS_OBJECT || (between && (c->held.len > 0 || c->utf8.n_held > 0));
}

bool calls_have_news(const struct calls *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->call[i].opened || c->call[i].told < c->call[i].arguments.len ||
            (c->call[i].whole && !c->call[i].closed))
            return true;
    return false;
}

void calls_fini(struct calls *c)
{
    for (size_t i = 0; i < c->n; i++)
        buf_free(&c->call[i].arguments);
    mem_free(c->call);
    buf_free(&c->held);
    buf_free(&c->opening);
    *c = (struct calls){0};
}
