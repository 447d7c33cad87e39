/* SPDX-License-Identifier: MIT */
/*
 * responses.c - the Response object and its events, written straight into the output buffer.
 */
#include "config.h"
#include "server/responses.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "engine/kv.h"
#include "server/format.h"
#include "server/json.h"
#include "server/problem.h"

static const struct {
    const char *name, *absent;
} echoes[] = {
    {"instructions", "null"},           {"metadata", "{}"},
    {"parallel_tool_calls", "true"},    {"prompt_cache_key", "null"},
    {"prompt_cache_retention", "null"}, {"reasoning", "{\"effort\":null,\"summary\":null}"},
    {"safety_identifier", "null"},      {"text", "{\"format\":{\"type\":\"text\"}}"},
    {"tool_choice", "\"auto\""},        {"tools", "[]"},
    {"truncation", "\"disabled\""},     {"user", "null"},
};
_Static_assert(ARRAY_LEN(echoes) == RESPONSES_ECHOES, "one place for each");

int responses_echo(const char *name)
{
    for (int i = 0; i < RESPONSES_ECHOES; i++)
        if (strcmp(echoes[i].name, name) == 0)
            return i;
    return -1;
}

/* ------------------------------------------------------------------ the object */

static const char *status_name(enum responses_status s)
{
    static const char *const names[] = {[RESPONSES_IN_PROGRESS] = "in_progress",
                                        [RESPONSES_COMPLETED] = "completed",
                                        [RESPONSES_INCOMPLETE] = "incomplete",
                                        [RESPONSES_FAILED] = "failed"};
    return names[s];
}

/* A part of a message. */
static void put_part(struct json_out *o, const char *text, size_t len,
                     const struct format_logprobs *logprobs)
{
    json_open(o, '{');
    json_key(o, "type");
    json_str(o, "output_text");
    json_key(o, "text");
    json_strn(o, text ? text : "", len);
    json_key(o, "annotations");
    json_open(o, '[');
    json_close(o, ']');
    json_key(o, "logprobs");
    format_token_list(o, logprobs);
    json_close(o, '}');
}

static void put_item(struct json_out *o, const struct responses_head *h,
                     const struct responses_body *b)
{
    json_open(o, '{');
    json_key(o, "id");
    json_str(o, h->item_id);
    json_key(o, "type");
    json_str(o, "message");
    json_key(o, "role");
    json_str(o, "assistant");
    json_key(o, "status");
    json_str(o, status_name(b->status == RESPONSES_FAILED ? RESPONSES_INCOMPLETE : b->status));
    json_key(o, "content");
    json_open(o, '[');
    if (b->status != RESPONSES_IN_PROGRESS)
        put_part(o, b->text, b->len, b->logprobs);
    json_close(o, ']');
    json_close(o, '}');
}

/* Of an id "msg_X" the thought in front is "rs_X". */
static void put_thought_id(struct json_out *o, const char *key, const struct responses_head *h)
{
    char id[48] = "rs_";
    const char *tail = strchr(h->item_id, '_');
    strncat(id, tail ? tail + 1 : h->item_id, sizeof id - 4);
    json_key(o, key);
    json_str(o, id);
}

static void put_thought_part(struct json_out *o, const char *text, size_t len)
{
    json_open(o, '{');
    json_key(o, "type");
    json_str(o, "reasoning_text");
    json_key(o, "text");
    json_strn(o, text ? text : "", len);
    json_close(o, '}');
}

/* b NULL: it has only just begun. */
static void put_thought(struct json_out *o, const struct responses_head *h,
                        const struct responses_body *b)
{
    json_open(o, '{');
    put_thought_id(o, "id", h);
    json_key(o, "type");
    json_str(o, "reasoning");
    json_key(o, "summary");
    json_open(o, '[');
    json_close(o, ']');
    json_key(o, "content");
    json_open(o, '[');
    if (b)
        put_thought_part(o, b->thought, b->thought_len);
    json_close(o, ']');
    json_key(o, "status");
    json_str(o, !b ? "in_progress" : b->thought_cut ? "incomplete" : "completed");
    json_close(o, '}');
}

/* Of an id "call_X" the item is "fc_X". */
static void put_call_id(struct json_out *o, const char *key, const struct format_call *c)
{
    char id[48] = "fc_";
    const char *tail = strchr(c->id, '_');
    strncat(id, tail ? tail + 1 : c->id, sizeof id - 4);
    json_key(o, key);
    json_str(o, id);
}

/* begun: it has only just begun. */
static void put_call(struct json_out *o, const struct format_call *c, bool begun)
{
    json_open(o, '{');
    put_call_id(o, "id", c);
    json_key(o, "type");
    json_str(o, "function_call");
    json_key(o, "call_id");
    json_str(o, c->id);
    json_key(o, "name");
    json_str(o, c->name);
    json_key(o, "arguments");
    json_strn(o, c->arguments, begun ? 0 : c->len);
    json_key(o, "status");
    json_str(o, begun ? "in_progress" : c->whole ? "completed" : "incomplete");
    json_close(o, '}');
}

static void put_usage(struct json_out *o, const struct format_usage *u)
{
    uint64_t page = KV_PAGE_TOKENS, whole = u->prompt / page * page;
    json_open(o, '{');
    json_key(o, "input_tokens");
    json_int(o, (int64_t)u->prompt);
    json_key(o, "input_tokens_details");
    json_open(o, '{');
    json_key(o, "cached_tokens");
    json_int(o, (int64_t)u->cached);
    /* A prompt is kept page by page, and only whole pages are. */
    json_key(o, "cache_write_tokens");
    json_int(o, u->cached < whole ? (int64_t)(whole - u->cached) : 0);
    json_close(o, '}');
    json_key(o, "output_tokens");
    json_int(o, (int64_t)u->completion);
    json_key(o, "output_tokens_details");
    json_open(o, '{');
    json_key(o, "reasoning_tokens");
    json_int(o, (int64_t)u->thinking);
    json_close(o, '}');
    json_key(o, "total_tokens");
    json_int(o, (int64_t)(u->prompt + u->completion));
    format_energy(o, u);
    json_close(o, '}');
}

/*
 * The words the SDKs know for it: their type has an enumeration of codes here, where an error has
 * tritd's own.
 */
static void put_error(struct json_out *o, const struct problem *p)
{
    json_open(o, '{');
    json_key(o, "code");
    json_str(o, p->status == 429   ? "rate_limit_exceeded"
                : p->status == 400 ? "invalid_prompt"
                                   : "server_error");
    json_key(o, "message");
    json_str(o, p->text);
    json_close(o, '}');
}

static void put_settings(struct json_out *o, const struct responses_head *h)
{
    static const char *const nulls[] = {"conversation", "previous_response_id", "prompt"};
    for (size_t i = 0; i < RESPONSES_ECHOES; i++) {
        json_key(o, echoes[i].name);
        json_raw(o, h->echo[i] ? h->echo[i] : echoes[i].absent);
    }
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++) {
        json_key(o, nulls[i]);
        json_null(o);
    }
    json_key(o, "background");
    json_bool(o, false);
    json_key(o, "store");
    json_bool(o, false);
    json_key(o, "temperature");
    json_double(o, h->temperature);
    json_key(o, "top_p");
    json_double(o, h->top_p);
    json_key(o, "presence_penalty");
    json_double(o, h->presence_penalty);
    json_key(o, "frequency_penalty");
    json_double(o, h->frequency_penalty);
    json_key(o, "top_logprobs");
    json_int(o, h->top_logprobs);
    json_key(o, "max_output_tokens");
    if (h->max_output_tokens >= 0)
        json_int(o, h->max_output_tokens);
    else
        json_null(o);
    json_key(o, "service_tier");
    json_str_or_null(o, h->service_tier);
}

void responses_object(struct json_out *o, const struct responses_head *h,
                      const struct responses_body *b)
{
    json_open(o, '{');
    json_key(o, "id");
    json_str(o, h->id);
    json_key(o, "object");
    json_str(o, "response");
    json_key(o, "created_at");
    json_int(o, h->created);
    json_key(o, "completed_at");
    if (b->status == RESPONSES_COMPLETED)
        json_int(o, b->completed);
    else
        json_null(o);
    json_key(o, "status");
    json_str(o, status_name(b->status));
    json_key(o, "error");
    if (b->problem)
        put_error(o, b->problem);
    else
        json_null(o);
    json_key(o, "incomplete_details");
    if (b->status == RESPONSES_INCOMPLETE) {
        json_open(o, '{');
        json_key(o, "reason");
        json_str(o, "max_output_tokens");
        json_close(o, '}');
    } else {
        json_null(o);
    }
    json_key(o, "model");
    json_str(o, h->model);
    json_key(o, "output");
    json_open(o, '[');
    if (h->thought && b->status != RESPONSES_IN_PROGRESS)
        put_thought(o, h, b);
    for (size_t i = 0; i <= b->n_calls; i++) {
        if (b->begun && i == MIN(h->message_at, b->n_calls))
            put_item(o, h, b);
        if (i < b->n_calls)
            put_call(o, &b->call[i], false);
    }
    json_close(o, ']');
    put_settings(o, h);
    json_key(o, "usage");
    if (b->usage)
        put_usage(o, b->usage);
    else
        json_null(o);
    json_close(o, '}');
}

/* ------------------------------------------------------------------ events */

static void begin_event(struct json_out *o, const char *type, uint64_t *n)
{
    buf_addf(o->buf, "event: %s\ndata: ", type);
    json_open(o, '{');
    json_key(o, "type");
    json_str(o, type);
    json_key(o, "sequence_number");
    json_int(o, (int64_t)(*n)++);
}

static void end_event(struct json_out *o)
{
    json_close(o, '}');
    buf_adds(o->buf, "\n\n");
}

/* Of the message, or of its only part. */
static void put_place(struct json_out *o, const struct responses_head *h, bool part)
{
    if (part) {
        json_key(o, "item_id");
        json_str(o, h->item_id);
    }
    json_key(o, "output_index");
    json_int(o, (int64_t)h->message_at + h->thought);
    if (part) {
        json_key(o, "content_index");
        json_int(o, 0);
    }
}

void responses_created_events(struct buf *out, const struct responses_head *h, uint64_t *n)
{
    static const char *const types[] = {"response.created", "response.in_progress"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct json_out o = {.buf = out};
        begin_event(&o, types[i], n);
        json_key(&o, "response");
        responses_object(&o, h, &(struct responses_body){.status = RESPONSES_IN_PROGRESS});
        end_event(&o);
    }
}

void responses_added_events(struct buf *out, const struct responses_head *h, uint64_t *n)
{
    struct json_out o = {.buf = out};
    begin_event(&o, "response.output_item.added", n);
    put_place(&o, h, false);
    json_key(&o, "item");
    put_item(&o, h, &(struct responses_body){.status = RESPONSES_IN_PROGRESS});
    end_event(&o);

    o = (struct json_out){.buf = out};
    begin_event(&o, "response.content_part.added", n);
    put_place(&o, h, true);
    json_key(&o, "part");
    put_part(&o, "", 0, NULL);
    end_event(&o);
}

void responses_delta_event(struct buf *out, const struct responses_head *h, const char *text,
                           size_t len, const struct format_logprobs *logprobs, uint64_t *n)
{
    struct json_out o = {.buf = out};
    size_t start = out->len;
    begin_event(&o, "response.output_text.delta", n);
    put_place(&o, h, true);
    json_key(&o, "delta");
    json_strn(&o, text ? text : "", len);
    json_key(&o, "logprobs");
    format_token_list(&o, logprobs);
    if (h->obfuscate)
        format_obfuscation(&o, start);
    end_event(&o);
}

void responses_end_event(struct buf *out, const struct responses_head *h,
                         const struct responses_body *b, enum responses_end end, uint64_t *n)
{
    static const char *const ends[] = {[RESPONSES_COMPLETED] = "response.completed",
                                       [RESPONSES_INCOMPLETE] = "response.incomplete",
                                       [RESPONSES_FAILED] = "response.failed"};
    struct json_out o = {.buf = out};
    trit_assert(b->status != RESPONSES_IN_PROGRESS);
    switch (end) {
    case RESPONSES_TEXT_DONE:
        begin_event(&o, "response.output_text.done", n);
        put_place(&o, h, true);
        json_key(&o, "text");
        json_strn(&o, b->text ? b->text : "", b->len);
        json_key(&o, "logprobs");
        format_token_list(&o, b->logprobs);
        break;
    case RESPONSES_PART_DONE:
        begin_event(&o, "response.content_part.done", n);
        put_place(&o, h, true);
        json_key(&o, "part");
        put_part(&o, b->text, b->len, b->logprobs);
        break;
    case RESPONSES_ITEM_DONE:
        begin_event(&o, "response.output_item.done", n);
        put_place(&o, h, false);
        json_key(&o, "item");
        put_item(&o, h, b);
        break;
    case RESPONSES_DONE:
        begin_event(&o, ends[b->status], n);
        json_key(&o, "response");
        responses_object(&o, h, b);
        break;
    }
    end_event(&o);
}

static void begin_thought_event(struct json_out *o, const char *type,
                                const struct responses_head *h, bool part, uint64_t *n)
{
    begin_event(o, type, n);
    if (part)
        put_thought_id(o, "item_id", h);
    json_key(o, "output_index");
    json_int(o, 0);
    if (part) {
        json_key(o, "content_index");
        json_int(o, 0);
    }
}

void responses_thought_event(struct buf *out, const struct responses_head *h, uint64_t *n)
{
    struct json_out o = {.buf = out};
    begin_thought_event(&o, "response.output_item.added", h, false, n);
    json_key(&o, "item");
    put_thought(&o, h, NULL);
    end_event(&o);

    o = (struct json_out){.buf = out};
    begin_thought_event(&o, "response.content_part.added", h, true, n);
    json_key(&o, "part");
    put_thought_part(&o, "", 0);
    end_event(&o);
}

void responses_thought_delta_event(struct buf *out, const struct responses_head *h,
                                   const char *text, size_t len, uint64_t *n)
{
    struct json_out o = {.buf = out};
    size_t start = out->len;
    begin_thought_event(&o, "response.reasoning_text.delta", h, true, n);
    json_key(&o, "delta");
    json_strn(&o, text, len);
    if (h->obfuscate)
        format_obfuscation(&o, start);
    end_event(&o);
}

void responses_thought_end_events(struct buf *out, const struct responses_head *h,
                                  const struct responses_body *b, uint64_t *n)
{
    struct json_out o = {.buf = out};
    begin_thought_event(&o, "response.reasoning_text.done", h, true, n);
    json_key(&o, "text");
    json_strn(&o, b->thought, b->thought_len);
    end_event(&o);

    o = (struct json_out){.buf = out};
    begin_thought_event(&o, "response.content_part.done", h, true, n);
    json_key(&o, "part");
    put_thought_part(&o, b->thought, b->thought_len);
    end_event(&o);

    o = (struct json_out){.buf = out};
    begin_thought_event(&o, "response.output_item.done", h, false, n);
    json_key(&o, "item");
    put_thought(&o, h, b);
    end_event(&o);
}

static void put_call_place(struct json_out *o, size_t at)
{
    json_key(o, "output_index");
    json_int(o, (int64_t)at);
}

void responses_call_event(struct buf *out, const struct format_call *call, size_t at, uint64_t *n)
{
    struct json_out o = {.buf = out};
    begin_event(&o, "response.output_item.added", n);
    put_call_place(&o, at);
    json_key(&o, "item");
    put_call(&o, call, true);
    end_event(&o);
}

void responses_call_delta_event(struct buf *out, const struct responses_head *h,
                                const struct format_call *call, size_t at, const char *text,
                                size_t len, uint64_t *n)
{
    struct json_out o = {.buf = out};
    size_t start = out->len;
    begin_event(&o, "response.function_call_arguments.delta", n);
    put_call_id(&o, "item_id", call);
    put_call_place(&o, at);
    json_key(&o, "delta");
    json_strn(&o, text, len);
    if (h->obfuscate)
        format_obfuscation(&o, start);
    end_event(&o);
}

void responses_call_end_events(struct buf *out, const struct format_call *call, size_t at,
                               uint64_t *n)
{
    struct json_out o = {.buf = out};
    begin_event(&o, "response.function_call_arguments.done", n);
    put_call_id(&o, "item_id", call);
    put_call_place(&o, at);
    json_key(&o, "name");
    json_str(&o, call->name);
    json_key(&o, "arguments");
    json_strn(&o, call->arguments, call->len);
    end_event(&o);

    o = (struct json_out){.buf = out};
    begin_event(&o, "response.output_item.done", n);
    put_call_place(&o, at);
    json_key(&o, "item");
    put_call(&o, call, false);
    end_event(&o);
}

/*
 * The fields beside the type are what is documented; `error` is what the SDKs look for before they
 * raise an exception.
 */
void responses_error_event(struct buf *out, const struct problem *p, uint64_t *n)
{
    struct json_out o = {.buf = out};
    begin_event(&o, "error", n);
    json_key(&o, "code");
    json_str_or_null(&o, p->code);
    json_key(&o, "message");
    json_str(&o, p->text);
    json_key(&o, "param");
    json_str_or_null(&o, p->param[0] ? p->param : NULL);
    problem_put(p, &o);
    end_event(&o);
}
