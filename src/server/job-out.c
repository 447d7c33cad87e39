/* SPDX-License-Identifier: MIT */
/*
 * job-out.c - what of a job's answers goes to the client, whole or as a stream.
 *
 * A stream is written when the socket asks for more, from what the sequences hold at that moment,
 * and never more than a few kilobytes at once: a slow reader gets fewer and larger pieces, and no
 * queue grows on his account.
 */
#include "config.h"
#include "server/job.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/model.h"
#include "engine/seq.h"
#include "server/json.h"
#include "server/tools.h"

enum {
    FILL_BYTES = 16 * 1024, /* enough for one call */
    BATCH = 16,             /* tokens with logprobs in one event */
    ECHO_BATCH = 1024,      /* tokens of an echo without logprobs */
};

static const struct tok *tok_of(const struct choice *c)
{
    return c->job->m->opt.model->tok;
}

static uint32_t n_prompt(const struct choice *c)
{
    return c->job->params.echo ? (uint32_t)c->prompt->ids.n : 0;
}

/* ------------------------------------------------------------------ tokens with logprobs */

/* The next token of the prompt.  All its logprobs were there before the first token was. */
static struct format_token prompt_token(struct choice *c, uint32_t i)
{
    size_t len;
    const char *piece = format_prompt_piece(tok_of(c), c->prompt->ids.id, i, &len);
    struct format_token t = {.id = c->prompt->ids.id[i], .offset = c->n_chars};
    if (i > 0)
        t.logprob = seq_prompt_logprob_at(c->seq, i);
    c->n_chars += format_count_chars(&c->chars, piece, len, &c->scratch);
    if (i + 1 == n_prompt(c)) {
        /* The answer begins a text of its own; half a character left over is shown as one. */
        c->n_chars += c->chars.n_held > 0;
        c->chars = (struct tok_stream){0};
    }
    return t;
}

static struct format_token answer_token(struct choice *c, uint32_t i)
{
    size_t len;
    const char *piece = format_answer_piece(tok_of(c), c->seq->token[i], &len);
    struct format_token t = {
        .id = c->seq->token[i], .logprob = seq_logprob_at(c->seq, i), .offset = c->n_chars};
    c->n_chars += format_count_chars(&c->chars, piece, len, &c->scratch);
    return t;
}

struct format_logprobs job_logprobs(const struct choice *c, const struct format_token *t, size_t n)
{
    const struct params *p = &c->job->params;
    return (struct format_logprobs){.tok = tok_of(c),
                                    .as_ids = p->as_token_ids,
                                    .n_top = (uint32_t)p->top_logprobs,
                                    .token = t,
                                    .n = n};
}

struct format_token *job_tokens(struct choice *c, size_t n)
{
    struct format_token *token = mem_zalloc(n, sizeof *token);
    for (uint32_t i = 0; token && i < n; i++)
        token[i] =
            (struct format_token){.id = c->seq->token[i], .logprob = seq_logprob_at(c->seq, i)};
    return token;
}

/* Append the text of the prompt's tokens [from, to). */
static void echo_text(struct choice *c, uint32_t from, uint32_t to, struct buf *out)
{
    for (uint32_t i = from; i < to; i++) {
        size_t len;
        const char *piece = format_prompt_piece(tok_of(c), c->prompt->ids.id, i, &len);
        tok_stream_push(&c->echo_utf8, piece, len, out);
    }
    if (to == n_prompt(c))
        tok_stream_end(&c->echo_utf8, out);
}

/* ------------------------------------------------------------------ whole answers */

void job_usage(const struct job *j, struct format_usage *u)
{
    *u = (struct format_usage){.prompt = j->prompt_tokens,
                               .joules = j->energy.known ? j->energy.joules : -1};
    for (uint32_t i = 0; i < j->n_choices; i++) {
        const struct choice *c = &j->choice[i];
        u->completion += c->taken;
        u->thinking += c->thinking_tokens;
        /* The choices of one prompt read it once, so the first tells. */
        if (i % params_tries(&j->params) == 0 && c->begun &&
            (c->taken || c->seq->end != SEQ_RUNNING))
            u->cached += c->seq->n_cached;
    }
}

struct format_call job_call(const struct call *c)
{
    return (struct format_call){.id = c->id,
                                .name = c->tool->name,
                                .arguments = c->arguments.data ? c->arguments.data : "",
                                .len = c->arguments.len,
                                .whole = c->whole};
}

struct format_call *job_calls(const struct choice *c)
{
    struct format_call *call = c->calls.n ? mem_zalloc(c->calls.n, sizeof *call) : NULL;
    for (size_t i = 0; call && i < c->calls.n; i++)
        call[i] = job_call(&c->calls.call[i]);
    return call;
}

static void write_choice(struct json_out *o, struct choice *c)
{
    const struct job *j = c->job;
    uint32_t n = n_prompt(c);
    struct buf text = {0};
    struct format_token *token = NULL;
    struct format_logprobs logprobs;
    if (n)
        echo_text(c, 0, n, &text);
    buf_add(&text, c->out.data, c->out.len);
    if (j->params.want_logprobs) {
        token = mem_zalloc(n + c->taken, sizeof *token);
        for (uint32_t i = 0; token && i < n; i++)
            token[i] = prompt_token(c, i);
        for (uint32_t i = 0; token && i < c->taken; i++)
            token[n + i] = answer_token(c, i);
        logprobs = job_logprobs(c, token, n + c->taken);
    }
    struct format_call *call = job_calls(c);
    if (text.failed || c->scratch.failed || (c->calls.n && !call) ||
        (j->params.want_logprobs && !token))
        o->buf->failed = true;
    else
        format_choice(o, &j->head,
                      &(struct format_choice){.index = c->index,
                                              .text = text.data,
                                              .len = text.len,
                                              .thought = c->thoughts.data,
                                              .thought_len = c->thoughts.len,
                                              .call = call,
                                              .n_calls = c->calls.n,
                                              .logprobs = token ? &logprobs : NULL,
                                              .finish_reason = c->reason});
    mem_free(call);
    mem_free(token);
    buf_free(&text);
}

/* Of its own distribution, per token; an answer without tokens is the last to be chosen. */
static double mean_logprob(const struct choice *c)
{
    double sum = 0;
    for (uint32_t i = 0; i < c->taken; i++)
        sum += (double)seq_logprob_at(c->seq, i)->logprob;
    return c->taken ? sum / c->taken : -INFINITY;
}

/* best_of: the n best of the tries of one prompt, the best first; of equals the earlier. */
static void write_best(struct json_out *o, struct choice *try, uint32_t n_tries, uint32_t n)
{
    double mean[PARAMS_BEST_OF];
    bool told[PARAMS_BEST_OF] = {false};
    uint32_t index = try->index / n_tries * n;
    trit_assert(n <= n_tries && n_tries <= PARAMS_BEST_OF);
    for (uint32_t i = 0; i < n_tries; i++)
        mean[i] = mean_logprob(&try[i]);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t best = n_tries;
        for (uint32_t i = 0; i < n_tries; i++)
            if (!told[i] && (best == n_tries || mean[i] > mean[best]))
                best = i;
        told[best] = true;
        try[best].index = index + k;
        write_choice(o, &try[best]);
    }
}

void job_write_whole(struct job *j, struct buf *out)
{
    struct json_out o = {.buf = out};
    struct format_usage usage;
    if (job_is_response(j)) {
        job_write_response(j, out);
        return;
    }
    job_usage(j, &usage);
    format_begin(&o, &j->head, false);
    uint32_t n_tries = params_tries(&j->params), n = (uint32_t)j->params.n;
    for (uint32_t i = 0; i < j->n_choices; i++)
        if (n_tries == n)
            write_choice(&o, &j->choice[i]);
        else if (i % n_tries == 0)
            write_best(&o, &j->choice[i], n_tries, n);
    format_end(&o, &usage);
}

/* The answer of /tokenize: ids, or {"id", "piece"} where a piece that is not UTF-8 is its bytes. */
void job_write_tokens(struct job *j, struct buf *out)
{
    const struct tok *tok = j->m->opt.model->tok;
    const struct tok_ids *ids = &j->prompt[0].ids;
    struct json_out o = {.buf = out};
    json_open(&o, '{');
    json_key(&o, "tokens");
    json_open(&o, '[');
    for (size_t i = 0; i < ids->n; i++) {
        if (!j->params.with_pieces) {
            json_int(&o, ids->id[i]);
            continue;
        }
        size_t len;
        const char *piece = tok_piece(tok, ids->id[i], &len);
        json_open(&o, '{');
        json_key(&o, "id");
        json_int(&o, ids->id[i]);
        json_key(&o, "piece");
        if (utf8_valid(piece, len)) {
            json_strn(&o, piece, len);
        } else {
            json_open(&o, '[');
            for (size_t k = 0; k < len; k++)
                json_int(&o, (unsigned char)piece[k]);
            json_close(&o, ']');
        }
        json_close(&o, '}');
    }
    json_close(&o, ']');
    json_close(&o, '}');
}

/* OpenAI has it for responses only; for chat it is the same, as llama.cpp has it. */
void job_write_count(struct job *j, struct buf *out)
{
    struct json_out o = {.buf = out};
    json_open(&o, '{');
    json_key(&o, "object");
    json_str(&o, "response.input_tokens");
    json_key(&o, "input_tokens");
    json_int(&o, (int64_t)j->prompt[0].ids.n);
    json_close(&o, '}');
}

/* ------------------------------------------------------------------ streams */

void job_open_stream(struct job *j)
{
    exchange_stream(j->x);
}

/*
 * Tokens whose logprobs may be told.  A response has those of its message alone, and that begins
 * with its text, or at the end.
 */
static uint32_t tellable(const struct choice *c)
{
    if (!job_is_response(c->job))
        return c->taken;
    return c->out.len > 0 || c->reason ? c->known : 0;
}

static bool choice_has_news(const struct choice *c)
{
    if (c->closed)
        return false;
    if (c->reason || (!c->opened && c->taken))
        return true;
    return c->opened &&
           (c->echoed < n_prompt(c) || c->out.len > c->sent || c->thoughts.len > c->thoughts_sent ||
            calls_have_news(&c->calls) || (c->job->params.want_logprobs && c->told < tellable(c)));
}

bool job_has_news(const struct job *j)
{
    if (j->state == JOB_FINISHED)
        return !j->told_end;
    for (uint32_t i = 0; i < j->n_choices; i++)
        if (choice_has_news(&j->choice[i]))
            return true;
    return false;
}

static void tell(struct choice *c, struct buf *out, const char *text, size_t len,
                 const struct format_token *token, size_t n)
{
    struct format_logprobs logprobs = job_logprobs(c, token, n);
    if (job_is_response(c->job)) {
        job_response_delta(c->job, text, len, n ? &logprobs : NULL, out);
        return;
    }
    /* Tokens of a call, or of a thought, bring no text. */
    if ((c->calls.tools || c->thought.at != THOUGHT_NONE) && len == 0)
        text = NULL;
    format_delta_event(
        out, &c->job->head,
        &(struct format_choice){
            .index = c->index, .text = text, .len = len, .logprobs = n ? &logprobs : NULL});
}

/* What is new of a thought; a character is not cut. */
static void tell_thought(struct choice *c, struct buf *out)
{
    const char *text = c->thoughts.data ? c->thoughts.data + c->thoughts_sent : "";
    size_t len = c->thoughts.len - c->thoughts_sent;
    if (job_is_response(c->job))
        job_response_thought(c->job, text, len, out);
    else if (len)
        format_delta_event(
            out, &c->job->head,
            &(struct format_choice){.index = c->index, .thought = text, .thought_len = len});
    c->thoughts_sent = c->thoughts.len;
}

/* For each of the first n_calls its name, then its arguments as they come. */
static void tell_calls(struct choice *c, size_t n_calls, struct buf *out)
{
    for (size_t i = 0; i < n_calls; i++) {
        struct call *call = &c->calls.call[i];
        struct format_call f = job_call(call);
        if (!call->opened && job_is_response(c->job))
            job_response_call(c->job, i, NULL, 0, out);
        else if (!call->opened)
            format_call_event(out, &c->job->head, c->index, i, &f, NULL, 0);
        call->opened = true;
        while (call->told < call->arguments.len && out->len < FILL_BYTES) {
            size_t n = call->arguments.len - call->told;
            if (n > FILL_BYTES) /* At the beginning of a character. */
                for (n = FILL_BYTES; (f.arguments[call->told + n] & 0xc0) == 0x80;)
                    n--;
            if (job_is_response(c->job))
                job_response_call(c->job, i, f.arguments + call->told, n, out);
            else
                format_call_event(out, &c->job->head, c->index, i, NULL, f.arguments + call->told,
                                  n);
            call->told += n;
        }
        if (call->told == call->arguments.len && (call->whole || c->reason) && !call->closed) {
            if (job_is_response(c->job))
                job_response_call_end(c->job, i, out);
            call->closed = true;
        }
        if (out->len >= FILL_BYTES)
            return;
    }
}

static void tell_echo(struct choice *c, struct buf *out)
{
    bool with = c->job->params.want_logprobs;
    struct format_token token[BATCH];
    uint32_t from = c->echoed;
    uint32_t to = MIN(n_prompt(c), from + (with ? BATCH : ECHO_BATCH));
    struct buf text = {0};
    echo_text(c, from, to, &text);
    for (uint32_t i = from; with && i < to; i++)
        token[i - from] = prompt_token(c, i);
    tell(c, out, text.data, text.len, token, with ? to - from : 0);
    out->failed = out->failed || text.failed || c->scratch.failed;
    buf_free(&text);
    c->echoed = to;
}

/* Tokens with their logprobs and the text that they let out. */
static void tell_tokens(struct choice *c, struct buf *out)
{
    struct format_token token[BATCH];
    uint32_t n = MIN(tellable(c) - c->told, (uint32_t)BATCH);
    for (uint32_t i = 0; i < n; i++)
        token[i] = answer_token(c, c->told + i);
    out->failed = out->failed || c->scratch.failed;
    c->told += n;
    size_t to = c->shown[c->told - 1], kept = n;
    if (job_is_response(c->job))
        kept = job_response_tokens(c, c->told - n, token, n);
    tell(c, out, c->out.data ? c->out.data + c->sent : "", to - c->sent, token, kept);
    c->sent = to;
}

static void tell_choice(struct choice *c, struct buf *out)
{
    struct job *j = c->job;
    if (!choice_has_news(c))
        return;
    if (!c->opened && job_is_response(j))
        job_response_open(j, out);
    else if (!c->opened && j->head.chat)
        format_role_event(out, &j->head, c->index);
    c->opened = true;
    while (c->echoed < n_prompt(c) && out->len < FILL_BYTES)
        tell_echo(c, out);
    tell_thought(c, out);
    tell_calls(c, c->out.len > 0 ? c->text_at : 0, out);
    while (j->params.want_logprobs && c->told < tellable(c) && out->len < FILL_BYTES)
        tell_tokens(c, out);
    if (out->len >= FILL_BYTES)
        return;
    if (c->out.len > c->sent) {
        tell(c, out, c->out.data + c->sent, c->out.len - c->sent, NULL, 0);
        c->sent = c->out.len;
    }
    tell_calls(c, c->calls.n, out);
    if (calls_have_news(&c->calls))
        return;
    if (c->reason && job_is_response(j)) {
        c->closed = job_response_close(j, out);
    } else if (c->reason) {
        format_delta_event(
            out, &j->head,
            &(struct format_choice){.index = c->index, .text = "", .finish_reason = c->reason});
        c->closed = true;
    }
}

/* Called again after the end it says so again. */
enum job_more job_fill(struct job *j, struct buf *out)
{
    if (j->told_end)
        return JOB_END;
    if (j->failed) {
        if (job_is_response(j))
            job_response_end(j, out);
        else
            format_problem_event(out, &j->problem); /* and no [DONE] */
        j->told_end = true;
        return JOB_END;
    }
    for (uint32_t i = 0; i < j->n_choices && out->len < FILL_BYTES; i++)
        tell_choice(&j->choice[i], out);
    if (out->len && j->state != JOB_FINISHED)
        j->ping_at = trit_now() + j->s->opt.limits.ping_seconds;
    if (j->state != JOB_FINISHED)
        return JOB_WAIT;
    for (uint32_t i = 0; i < j->n_choices; i++)
        if (!j->choice[i].closed)
            return JOB_WAIT;
    if (job_is_response(j)) {
        job_response_end(j, out);
    } else {
        if (j->params.include_usage) {
            struct format_usage usage;
            job_usage(j, &usage);
            format_usage_event(out, &j->head, &usage);
        }
        format_done_event(out);
    }
    j->told_end = true;
    return JOB_END;
}

/* ------------------------------------------------------------------ for headers and the log */

/* The engine writes the time before it publishes the first token. */
bool job_queue_seconds(const struct job *j, double *seconds)
{
    const struct choice *c = j->choice;
    if (j->n_choices == 0 || !c->seq || (c->taken == 0 && c->seq->end == SEQ_RUNNING))
        return false;
    *seconds = c->seq->queue_seconds;
    return true;
}

static enum metrics_finish finish_of(const struct problem *p)
{
    switch (p->status) {
    case 499:
        return FINISH_CANCELLED;
    case 504:
        return FINISH_DEADLINE;
    case 400:
    case 429:
        return FINISH_REJECTED;
    case 503:
        return p->code == trit_err_api(TRIT_EDRAINING) ? FINISH_CANCELLED : FINISH_REJECTED;
    default:
        return FINISH_ERROR;
    }
}

void job_sum(const struct job *j, struct job_sum *sum)
{
    struct format_usage usage;
    job_usage(j, &usage);
    *sum = (struct job_sum){.prompt = usage.prompt,
                            .cached = usage.cached,
                            .completion = usage.completion,
                            .joules = usage.joules};
    (void)job_queue_seconds(j, &sum->queue_seconds);
    if (j->t_first > 0)
        sum->first_seconds = j->t_first - j->t_start;
    sum->finish = FINISH_STOP;
    for (uint32_t i = 0; i < j->n_choices; i++)
        if (j->choice[i].reason && strcmp(j->choice[i].reason, "length") == 0)
            sum->finish = FINISH_LENGTH;
    if (j->failed)
        sum->finish = finish_of(&j->problem);
}
