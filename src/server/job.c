/* SPDX-License-Identifier: MIT */
/*
 * job.c - a job's life: made, handed to the pool; tokens arrive, answers end, the whole ends once.
 *
 * A stop string is looked for as soon as its token is there, whether or not the client reads; what
 * is sent is decided when the socket asks for more (job-out.c).
 */
#include "config.h"
#include "server/job.h"

#include <math.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/seq.h"

/* ------------------------------------------------------------------ making and freeing */

struct job *job_new(struct exchange *x, struct params *params)
{
    struct server *s = x->s;
    struct job *j = mem_zalloc(1, sizeof *j);
    if (!j) {
        params_fini(params);
        exchange_fail(x, TRIT_ENOMEM);
        return NULL;
    }
    j->s = s;
    j->x = x;
    j->m = models_hold(x->model);
    j->chat = models_hold_chat(j->m);
    j->tenant = x->tenant;
    admit_hold(j->tenant);
    j->params = *params;
    *params = (struct params){0};
    j->t_start = x->t_start;
    j->deadline = j->ping_at = INFINITY;
    j->next = s->jobs;
    if (j->next)
        j->next->prev = j;
    s->jobs = j;
    s->n_jobs++;
    x->job = j;
    return j;
}

static void job_free(struct job *j)
{
    struct server *s = j->s;
    trit_assert(!j->ticket.tenant);
    admit_let_go(&s->admit, j->tenant);
    for (uint32_t i = 0; i < j->n_choices; i++) {
        struct choice *c = &j->choice[i];
        seq_free(c->seq);
        calls_fini(&c->calls);
        buf_free(&c->said);
        thought_fini(&c->thought);
        buf_free(&c->thoughts);
        buf_free(&c->aloud);
        text_fini(&c->text);
        buf_free(&c->out);
        buf_free(&c->scratch);
        mem_free(c->shown);
        mem_free(c->is_text);
    }
    for (size_t i = 0; i < j->n_prompts; i++)
        tok_ids_free(&j->prompt[i].ids);
    buf_free(&j->embed.answer);
    mem_free(j->choice);
    mem_free(j->prompt);
    grammar_unref(j->grammar);
    buf_free(&j->shape_key);
    params_fini(&j->params);
    if (j->prev)
        j->prev->next = j->next;
    else
        s->jobs = j->next;
    if (j->next)
        j->next->prev = j->prev;
    s->n_jobs--;
    models_let_go_chat(j->chat);
    models_let_go(&s->models, j->m);
    mem_free(j);
    server_check_drained(s);
}

void job_free_if_over(struct job *j)
{
    job_settle(j);
    if (!j->x && !j->in_pool && j->n_live == 0)
        job_free(j);
}

void job_leave(struct job *j)
{
    trit_assert(j->x);
    j->x->job = NULL;
    j->x = NULL;
    job_free_if_over(j);
}

/* ------------------------------------------------------------------ the pool */

static void in_pool(uv_work_t *work)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    j->pool_work(j);
    uv_sem_post(&j->worked);
}

static void after_pool(uv_work_t *work, int status)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    struct server *s = j->s;
    (void)status;
    j->in_pool = false;
    uv_sem_destroy(&j->worked);
    j->pool_then(j);
    job_free_if_over(j);
    server_release(s);
}

void job_work(struct job *j, bool is_long, void (*work)(struct job *j), void (*then)(struct job *j))
{
    if (!is_long || uv_sem_init(&j->worked, 0) != 0) {
        work(j);
        then(j);
        return;
    }
    j->in_pool = true;
    j->pool_work = work;
    j->pool_then = then;
    server_hold(j->s);
    trit_assert(uv_queue_work(j->s->opt.loop, &j->work, in_pool, after_pool) == 0);
}

void job_wait_pool(struct server *s)
{
    for (struct job *j = s->jobs; j; j = j->next)
        if (j->in_pool)
            uv_sem_wait(&j->worked);
}

/* ------------------------------------------------------------------ endings */

static void cancel_rest(struct job *j)
{
    for (uint32_t i = 0; i < j->n_choices; i++)
        if (j->choice[i].live)
            engine_cancel(j->m->opt.engine, j->choice[i].seq);
}

static void count_cancel(struct job *j, enum metrics_cancelled why)
{
    if (!j->cancel_counted)
        j->s->metrics.cancelled[why]++;
    j->cancel_counted = true;
}

static void end_failed(struct job *j, const struct problem *p)
{
    j->state = JOB_FINISHED;
    j->failed = true;
    j->problem = *p;
    energy_end(j);
    j->deadline = j->ping_at = INFINITY;
    cancel_rest(j);
    job_settle(j);
}

void job_abandon(struct job *j, enum metrics_cancelled why)
{
    struct problem p;
    if (j->state == JOB_FINISHED)
        return;
    if (j->kind == JOB_GENERATES)
        count_cancel(j, why);
    problem_set(&p, TRIT_ECANCELLED, NULL, "cancelled");
    end_failed(j, &p);
}

void job_fail(struct job *j, const struct problem *p)
{
    if (j->state == JOB_FINISHED)
        return;
    end_failed(j, p);
    if (j->x && j->x->answer == ANSWER_STREAM)
        exchange_wake(j->x); /* The problem is the last event of the stream. */
    else if (j->x)
        exchange_problem(j->x, p);
}

void job_fail_code(struct job *j, int code)
{
    struct problem p;
    problem_set(&p, code, NULL, "%s", trit_err_text(code));
    job_fail(j, &p);
}

void job_cancel(struct job *j)
{
    struct problem p;
    count_cancel(j, CANCELLED_API);
    problem_set(&p, TRIT_ECANCELLED, NULL, "the request was ended through the API");
    job_fail(j, &p);
}

static void finish_if_complete(struct job *j)
{
    /* From the last, which begins last: embeddings have thousands. */
    for (uint32_t i = j->n_choices; i > 0; i--)
        if (!j->choice[i - 1].reason)
            return;
    j->state = JOB_FINISHED;
    energy_end(j);
    j->deadline = j->ping_at = INFINITY;
    if (j->params.endpoint == FOR_EMBEDDINGS) {
        job_embed_answer(j);
    } else if (j->x && !j->params.stream) {
        job_write_whole(j, &j->x->out);
        exchange_whole(j->x, 200, "application/json");
    }
}

/* ------------------------------------------------------------------ tokens arrive */

/* The bytes of a token that are text, as far as that is known. */
static const char *text_of(struct choice *c, int32_t id, size_t *len)
{
    const struct tok *tok = c->job->m->opt.model->tok;
    const char *piece = format_answer_piece(tok, id, len);
    if (tok_is_control(tok, id)) {
        piece = tok_piece(tok, id, len);
        if (!(c->calls.tools && calls_name(&c->calls, piece, *len)) &&
            !thought_name(&c->thought, piece, *len))
            *len = 0;
    }
    if (thought_goes_on(&c->thought)) {
        buf_reset(&c->aloud);
        thought_push(&c->thought, piece, *len, &c->thoughts, &c->aloud);
        piece = c->aloud.data;
        *len = c->aloud.len;
    }
    if (!c->calls.tools)
        return piece;
    buf_reset(&c->said);
    calls_push(&c->calls, piece, *len, &c->said);
    *len = c->said.len;
    return c->said.data;
}

/* Tokens that were not sorted yet, up to `end`. */
static void mark_tokens(struct choice *c, uint32_t end, bool is_text)
{
    for (uint32_t i = c->known; c->is_text && i < end; i++)
        c->is_text[i] = is_text;
    c->known = end;
}

/* Sort the last token, and those that waited for it.  `says`: text came out; n_calls: of before. */
static void sort_tokens(struct choice *c, bool says, size_t n_calls)
{
    enum thought_at at = c->thought.at;
    bool thinks = at == THOUGHT_INSIDE || at == THOUGHT_BEHIND;
    if (c->calls.n > n_calls)
        mark_tokens(c, c->taken - 1, false); /* They led to the call. */
    if (thinks)
        c->thinking_tokens += c->taken - c->known;
    else if (at == THOUGHT_BEGIN || (c->calls.tools && !says && calls_wait(&c->calls)))
        return;
    mark_tokens(c, c->taken, !thinks && (says || !c->calls.tools));
}

/* An answer that ended by itself, why. */
static const char *stopped(const struct choice *c)
{
    return c->calls.n ? "tool_calls" : "stop";
}

/* No more tokens: what was held back comes out.  true: the text ends with a stop string. */
static bool end_text(struct choice *c)
{
    const struct text_stops *stops = &c->job->params.stops;
    const struct buf *last = &c->aloud;
    size_t n_calls = c->calls.n, before = c->out.len;
    buf_reset(&c->aloud);
    if (thought_goes_on(&c->thought))
        thought_end(&c->thought, &c->thoughts, &c->aloud);
    if (c->calls.tools) {
        buf_reset(&c->said);
        calls_push(&c->calls, c->aloud.data, c->aloud.len, &c->said);
        calls_end(&c->calls, &c->said);
        last = &c->said;
    }
    mark_tokens(c, c->taken, last->len > 0 && c->calls.n == n_calls);
    bool stop = text_push(&c->text, stops, last->data, last->len, &c->out) ||
                text_end(&c->text, stops, &c->out);
    if (before == 0 && c->out.len > 0)
        c->text_at = n_calls;
    return stop;
}

/* The new tokens of an answer become text. */
static void take_tokens(struct choice *c)
{
    struct job *j = c->job;
    uint32_t n = atomic_load_explicit(&c->seq->published, memory_order_acquire);
    if (n > c->taken)
        j->t_last = trit_now();
    while (c->taken < n && !c->reason) {
        size_t len, n_calls = c->calls.n, before = c->out.len;
        const char *piece = text_of(c, c->seq->token[c->taken], &len);
        bool stop = text_push(&c->text, &j->params.stops, piece, len, &c->out);
        if (before == 0 && c->out.len > 0)
            c->text_at = n_calls;
        if (c->shown)
            c->shown[c->taken] = (uint32_t)c->out.len;
        c->taken++;
        sort_tokens(c, len > 0, n_calls);
        if (stop) {
            c->reason = stopped(c);
            if (c->live)
                engine_enough(j->m->opt.engine, c->seq);
        }
    }
    if (n && j->t_first == 0) {
        j->t_first = trit_now();
        admit_heard(&j->s->admit, &j->ticket, j->t_first);
    }
}

static void take_end(struct choice *c)
{
    struct job *j = c->job;
    enum seq_end end = c->seq->end;
    c->live = false;
    j->n_live--;
    if (j->params.endpoint == FOR_EMBEDDINGS)
        j->embed.tokens -= c->prompt->ids.n; /* Its place is for the next text. */
    else
        admit_sequence_over(&j->s->admit, &j->ticket);
    if (c->reason || j->state == JOB_FINISHED)
        return;
    if (end == SEQ_FAULT)
        job_fail_code(j, TRIT_EFAULT);
    else if (end == SEQ_STUCK) {
        struct problem p;
        problem_set(
            &p, TRIT_EFAULT, j->params.shape.field,
            "after %u tokens no token of the model's vocabulary goes on with the grammar, or "
            "the answer is nested too deep in it",
            c->taken);
        job_fail(j, &p);
    } else if (end == SEQ_CANCELLED)
        job_fail_code(j, TRIT_EDRAINING); /* Not by us: the engine is being closed. */
    else if (end_text(c) || end == SEQ_STOP)
        c->reason = stopped(c);
    else
        c->reason = "length";
}

static void on_seq(struct seq *s, void *arg)
{
    struct choice *c = s->wish.owner;
    struct job *j = c->job;
    (void)arg;
    if (j->state == JOB_RUNNING && !c->reason)
        take_tokens(c);
    if (c->waits && (c->taken || s->end != SEQ_RUNNING)) {
        c->waits = false;
        admit_begun(&j->ticket, c->prompt->ids.n);
    }
    if (s->end != SEQ_RUNNING)
        take_end(c);
    if (j->params.endpoint == FOR_EMBEDDINGS)
        job_embed_go_on(j);
    if (j->state == JOB_RUNNING) {
        if (c->out.failed || c->text.held.failed || c->said.failed || c->calls.failed ||
            c->thoughts.failed || c->thought.held.failed || c->aloud.failed)
            job_fail_code(j, TRIT_ENOMEM);
        else
            finish_if_complete(j);
        /* A stream is open from the first news on, and woken for each. */
        if (j->x && j->params.stream && !j->failed && job_has_news(j)) {
            job_open_stream(j);
            exchange_wake(j->x);
        }
    }
    job_free_if_over(j);
}

void job_events(struct server *s)
{
    engine_events(&s->events, on_seq, s);
}

/* ------------------------------------------------------------------ the clock */

double job_clock(struct server *s, double now)
{
    double next = INFINITY;
    for (struct job *j = s->jobs; j; j = j->next) {
        if (j->deadline <= now) {
            count_cancel(j, CANCELLED_DEADLINE);
            job_fail_code(j, TRIT_EDEADLINE);
        }
        if (j->ping_at <= now && j->x) {
            j->ping_at = now + s->opt.limits.ping_seconds;
            if (!job_has_news(j)) { /* else it is the client who is silent */
                buf_adds(&j->x->out, ": ping\n\n");
                job_open_stream(j);
                exchange_wake(j->x);
            }
        }
        next = fmin(next, fmin(j->deadline, j->ping_at));
    }
    return next;
}

double job_oldest(const struct server *s, const struct served *m, double now)
{
    double oldest = 0;
    for (const struct job *j = s->jobs; j; j = j->next)
        if (j->m == m && j->state != JOB_FINISHED && j->t_first == 0 && j->kind == JOB_GENERATES)
            oldest = fmax(oldest, now - j->t_start);
    return oldest;
}
