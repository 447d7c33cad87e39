/* SPDX-License-Identifier: MIT */
/*
 * job-response.c - a job's one answer in the words of the Responses API.
 *
 * How much of it there is, and when it goes out, is decided in job-out.c, as for any answer.  The
 * events at the end each repeat the whole text, so they go out one at a time.
 */
#include "config.h"
#include "server/job.h"

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/json.h"
#include "server/responses.h"

bool job_is_response(const struct job *j)
{
    return j->params.endpoint == FOR_RESPONSES;
}

static struct responses_head head_of(const struct job *j)
{
    const struct params *p = &j->params;
    return (struct responses_head){.id = j->id,
                                   .item_id = j->response.item_id,
                                   .created = j->head.created,
                                   .model = j->head.model,
                                   .service_tier = j->head.service_tier,
                                   .echo = (const char *const *)p->echoes,
                                   .temperature = p->temperature,
                                   .top_p = p->top_p,
                                   .presence_penalty = p->presence_penalty,
                                   .frequency_penalty = p->frequency_penalty,
                                   .max_output_tokens = p->max_tokens,
                                   .top_logprobs = p->top_logprobs,
                                   .obfuscate = p->obfuscate,
                                   .thought = j->choice && j->choice->thoughts.len > 0,
                                   .message_at = j->choice ? j->choice->text_at : 0};
}

size_t job_response_tokens(const struct choice *c, uint32_t from, struct format_token *token,
                           size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (c->is_text[from + i])
            token[kept++] = token[i];
    return kept;
}

/* All that there is of the answer.  *usage and *logprobs are room for what it points to; token is
 * what job_tokens gave, or NULL. */
static struct responses_body body_of(const struct job *j, struct format_usage *usage,
                                     struct format_logprobs *logprobs, struct format_token *token)
{
    static const char length[] = "length";
    const struct choice *c = j->choice;
    struct responses_body b = {.text = c->out.data, .len = c->out.len};
    b.begun = j->response.message || c->out.len > 0 || c->calls.n == 0;
    b.thought = c->thoughts.data;
    b.thought_len = c->thoughts.len;
    job_usage(j, usage);
    b.usage = usage;
    b.status = j->failed                        ? RESPONSES_FAILED
               : strcmp(c->reason, length) == 0 ? RESPONSES_INCOMPLETE
                                                : RESPONSES_COMPLETED;
    b.thought_cut =
        b.status != RESPONSES_COMPLETED && (c->thought.cut || c->thought.at == THOUGHT_INSIDE);
    b.completed = time(NULL);
    if (j->failed)
        b.problem = &j->problem;
    if (token) {
        *logprobs = job_logprobs(c, token, job_response_tokens(c, 0, token, c->known));
        b.logprobs = logprobs;
    }
    return b;
}

/* Write with the whole answer at hand: the object, or what ends the stream. */
static void write_body(struct job *j, struct buf *out, bool event, enum responses_end end)
{
    struct responses_head h = head_of(j);
    struct format_usage usage;
    struct format_logprobs logprobs;
    struct format_token *token = NULL;
    if (j->params.want_logprobs) {
        token = job_tokens(j->choice, j->choice->taken);
        out->failed = out->failed || !token;
    }
    struct responses_body b = body_of(j, &usage, &logprobs, token);
    struct format_call *call = job_calls(j->choice);
    b.call = call;
    b.n_calls = call ? j->choice->calls.n : 0;
    out->failed = out->failed || (j->choice->calls.n && !call);
    if (event)
        responses_end_event(out, &h, &b, end, &j->response.n_events);
    else
        responses_object(&(struct json_out){.buf = out}, &h, &b);
    mem_free(call);
    mem_free(token);
}

void job_write_response(struct job *j, struct buf *out)
{
    write_body(j, out, false, RESPONSES_DONE);
}

/* The client knows of the calls in front of it. */
static void begin_message(struct job *j, struct buf *out)
{
    j->response.message = true;
    struct responses_head h = head_of(j);
    responses_added_events(out, &h, &j->response.n_events);
}

/* Where call i stands among the items. */
static size_t place_of(const struct job *j, size_t i)
{
    return i + j->response.thought + (j->response.message && j->choice->text_at <= i);
}

void job_response_call(struct job *j, size_t i, const char *text, size_t len, struct buf *out)
{
    struct responses_head h = head_of(j);
    struct format_call call = job_call(&j->choice->calls.call[i]);
    if (text)
        responses_call_delta_event(out, &h, &call, place_of(j, i), text, len,
                                   &j->response.n_events);
    else
        responses_call_event(out, &call, place_of(j, i), &j->response.n_events);
}

void job_response_call_end(struct job *j, size_t i, struct buf *out)
{
    struct format_call call = job_call(&j->choice->calls.call[i]);
    responses_call_end_events(out, &call, place_of(j, i), &j->response.n_events);
}

void job_response_open(struct job *j, struct buf *out)
{
    struct responses_head h = head_of(j);
    responses_created_events(out, &h, &j->response.n_events);
    if (!j->choice->calls.tools && j->choice->thought.at == THOUGHT_NONE)
        begin_message(j, out);
}

void job_response_thought(struct job *j, const char *text, size_t len, struct buf *out)
{
    const struct choice *c = j->choice;
    struct responses_head h = head_of(j);
    if (len && !j->response.thought)
        responses_thought_event(out, &h, &j->response.n_events);
    if (len)
        responses_thought_delta_event(out, &h, text, len, &j->response.n_events);
    j->response.thought = j->response.thought || len;
    bool over = c->thought.at != THOUGHT_BEGIN && c->thought.at != THOUGHT_INSIDE;
    if (!j->response.thought || j->response.thought_over || !over)
        return;
    j->response.thought_over = true;
    struct responses_body b = {
        .thought = c->thoughts.data,
        .thought_len = c->thoughts.len,
        .thought_cut = c->thought.cut && c->reason && strcmp(c->reason, "length") == 0,
    };
    responses_thought_end_events(out, &h, &b, &j->response.n_events);
}

void job_response_delta(struct job *j, const char *text, size_t len,
                        const struct format_logprobs *logprobs, struct buf *out)
{
    bool empty = !j->response.message && j->choice->out.len == 0 && j->choice->calls.n > 0;
    if (len == 0 && (!logprobs || empty)) /* There is, or will be, no text that they are of. */
        return;
    if (!j->response.message)
        begin_message(j, out);
    struct responses_head h = head_of(j);
    responses_delta_event(out, &h, text, len, logprobs, &j->response.n_events);
}

bool job_response_close(struct job *j, struct buf *out)
{
    if (!j->response.message && j->choice->calls.n)
        return true;
    if (!j->response.message)
        begin_message(j, out);
    write_body(j, out, true, j->response.ends++);
    return j->response.ends == RESPONSES_DONE;
}

/* A stream that has not begun with its response cannot end with it. */
void job_response_end(struct job *j, struct buf *out)
{
    if (j->failed && j->response.n_events == 0)
        responses_error_event(out, &j->problem, &j->response.n_events);
    else
        write_body(j, out, true, RESPONSES_DONE);
}
