/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the engine thread: take in, admit, run a batch, publish; or sleep.
 *
 * The thread owns the queue, the running sequences, the KV pool and the batch.  Other threads reach
 * it through the inbox, the cancel flag of a sequence and a semaphore that wakes it; they are
 * reached through the events mailbox.  Sampling runs on the workers, one slot each, right after the
 * head.
 */
#include "config.h"
#include "engine/engine.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/team.h"
#include "engine/batch.h"
#include "engine/seq.h"
#include "engine/stats.h"
#include "model/model.h"
#include "model/tokenizer.h"

/* Tags of a sequence's messages in the events mailbox. */
enum { EVENT_NEWS, EVENT_DONE };

struct engine {
    struct engine_options opt;
    struct engine_stats stats;
    struct mailbox inbox;
    sem_t bell;
    pthread_t thread;
    atomic_bool closing;
    atomic_uint in_flight;                     /* submitted and not ended: bounds the queue */
    _Atomic double token_seconds, seq_seconds; /* smoothed; for engine_wait_estimate */

    /* Opened and used by the engine thread only. */
    struct team *team;
    struct kv kv;
    struct forward *forward;
    struct seq *waiting, **waiting_end;
    struct seq **running; /* [max_batch], in order of admission */
    uint32_t n_running;
    struct batch batch;

    /* How opening went; read after `opened` was posted. */
    sem_t opened;
    int open_rc;
    struct trit_error *open_err;
};

/* ------------------------------------------------------------------ other threads' side */

static void ring(void *arg)
{
    struct engine *e = arg;
    trit_assert(sem_post(&e->bell) == 0);
}

int engine_submit(struct engine *e, struct seq *s, struct trit_error *err)
{
    const struct engine_options *o = &e->opt;
    const struct seq_wish *w = &s->wish;
    if ((uint64_t)w->n_prompt + w->max_new > o->n_ctx)
        return trit_fail(err, TRIT_ECONTEXT, "%u prompt tokens and %u to generate exceed %u",
                         w->n_prompt, w->max_new, o->n_ctx);
    if (s->lease.cap > atomic_load(&e->stats.kv_pages))
        return trit_fail(err, TRIT_ECONTEXT,
                         "%u prompt tokens and %u to generate exceed the KV pool of %u tokens",
                         w->n_prompt, w->max_new, atomic_load(&e->stats.kv_pages) * KV_PAGE_TOKENS);
    if (atomic_load(&e->closing))
        return trit_fail(err, TRIT_EDRAINING, "the engine is shutting down");

    uint32_t room = o->max_batch + o->queue_requests;
    if (atomic_fetch_add(&e->in_flight, 1) >= room) {
        atomic_fetch_sub(&e->in_flight, 1);
        return trit_fail(err, TRIT_EBUSY, "the queue holds %u requests, its limit",
                         o->queue_requests);
    }
    /* A single prompt longer than the whole allowance must still be served, so it may enter an
     * empty queue. */
    uint64_t before = atomic_fetch_add(&e->stats.waiting_tokens, w->n_prompt);
    if (before && before + w->n_prompt > o->queue_tokens) {
        atomic_fetch_sub(&e->stats.waiting_tokens, w->n_prompt);
        atomic_fetch_sub(&e->in_flight, 1);
        return trit_fail(err, TRIT_EBUSY, "the queue holds %llu prompt tokens, its limit is %llu",
                         (unsigned long long)before, (unsigned long long)o->queue_tokens);
    }
    atomic_fetch_add(&e->stats.waiting, 1);
    s->t_submit = trit_now();
    s->news.tag = EVENT_NEWS;
    s->done.tag = EVENT_DONE;
    mailbox_post(&e->inbox, &s->submit);
    return 0;
}

void engine_cancel(struct engine *e, struct seq *s)
{
    if (!atomic_exchange(&s->cancel, true))
        ring(e);
}

struct event_reader {
    void (*fn)(struct seq *s, void *arg);
    void *arg;
};

static void read_event(struct mailbox_node *node, void *arg)
{
    struct event_reader *r = arg;
    struct seq *s;
    if (node->tag == EVENT_DONE) {
        s = CONTAINER_OF(node, struct seq, done);
        s->end = s->ending;
    } else {
        s = CONTAINER_OF(node, struct seq, news);
    }
    r->fn(s, r->arg);
}

void engine_events(struct mailbox *events, void (*fn)(struct seq *s, void *arg), void *arg)
{
    mailbox_drain(events, read_event, &(struct event_reader){fn, arg});
}

struct engine_estimate engine_estimate(const struct engine *e, uint32_t n_prompt, uint32_t max_new)
{
    double places = (double)atomic_load(&e->stats.waiting) * e->seq_seconds / e->opt.max_batch;
    double prompts = (double)(atomic_load(&e->stats.waiting_tokens) + n_prompt) * e->token_seconds;
    double first = places + prompts;
    return (struct engine_estimate){
        .start = places, .first = first, .end = first + e->seq_seconds * (max_new > 0)};
}

const struct engine_stats *engine_stats(const struct engine *e)
{
    return &e->stats;
}

const struct engine_options *engine_options(const struct engine *e)
{
    return &e->opt;
}

/* ------------------------------------------------------------------ lives of sequences */

static void smooth(_Atomic double *mean, double value)
{
    double old = *mean;
    *mean = old == 0 ? value : old + 0.1 * (value - old);
}

/* The last word on a sequence.  It must not be touched afterwards: the receiver may free it. */
static void finish(struct engine *e, struct seq *s, enum seq_end end)
{
    double now = trit_now();
    kv_release(&e->kv, &s->lease);
    atomic_store(&e->stats.kv_used, kv_used(&e->kv));
    s->total_seconds = now - s->t_submit;
    s->ending = end;
    stats_observe(&e->stats, &e->stats.e2e, s->total_seconds);
    stats_observe(&e->stats, &e->stats.generated_length, s->n_generated);
    if (s->n_generated)
        stats_observe(&e->stats, &e->stats.decode, now - s->t_submit - s->first_seconds);
    if (end == SEQ_STOP || end == SEQ_LENGTH)
        smooth(&e->seq_seconds, now - s->t_start);
    atomic_fetch_add(&e->stats.ended[end], 1);
    atomic_fetch_sub(&e->in_flight, 1);
    mailbox_post(e->opt.events, &s->done);
}

static void take_in(struct mailbox_node *node, void *arg)
{
    struct engine *e = arg;
    struct seq *s = CONTAINER_OF(node, struct seq, submit);
    s->next = NULL;
    *e->waiting_end = s;
    e->waiting_end = &s->next;
}

static void leave_queue(struct engine *e, struct seq **link)
{
    struct seq *s = *link;
    *link = s->next;
    if (!s->next)
        e->waiting_end = link;
    atomic_fetch_sub(&e->stats.waiting, 1);
    atomic_fetch_sub(&e->stats.waiting_tokens, s->wish.n_prompt);
    s->queue_seconds = trit_now() - s->t_submit;
}

static void remove_running(struct engine *e, uint32_t i)
{
    memmove(&e->running[i], &e->running[i + 1], (--e->n_running - i) * sizeof *e->running);
    atomic_store(&e->stats.running, e->n_running);
}

static void drop_cancelled(struct engine *e, bool all)
{
    for (struct seq **link = &e->waiting; *link;) {
        struct seq *s = *link;
        if (!all && !atomic_load(&s->cancel)) {
            link = &s->next;
            continue;
        }
        leave_queue(e, link);
        s->lease.cap = 0; /* Nothing was promised to it yet. */
        finish(e, s, SEQ_CANCELLED);
    }
    for (uint32_t i = 0; i < e->n_running;) {
        struct seq *s = e->running[i];
        if (!all && !atomic_load(&s->cancel)) {
            i++;
            continue;
        }
        remove_running(e, i);
        finish(e, s, SEQ_CANCELLED);
    }
}

/* Strictly in order of arrival: a large request at the head waits for its pages and is not
 * overtaken for ever by small ones. */
static void admit(struct engine *e)
{
    while (e->waiting && e->n_running < e->opt.max_batch &&
           kv_reserve(&e->kv, &e->waiting->lease)) {
        struct seq *s = e->waiting;
        leave_queue(e, &e->waiting);
        s->t_start = s->t_last = trit_now();
        e->running[e->n_running++] = s;
        stats_observe(&e->stats, &e->stats.queue, s->queue_seconds);
        stats_observe(&e->stats, &e->stats.prompt_length, s->wish.n_prompt);
    }
    atomic_store(&e->stats.running, e->n_running);
}

/* ------------------------------------------------------------------ one step */

static bool is_stop(const struct seq *s, int32_t token)
{
    for (uint32_t i = 0; i < s->wish.n_stop_ids; i++)
        if (s->wish.stop_ids[i] == token)
            return true;
    return false;
}

/* A token was chosen: remember it, tell the receiver, and say whether the sequence is over. */
static enum seq_end accept_token(struct engine *e, struct seq *s, int32_t token, double now)
{
    if (is_stop(s, token))
        return SEQ_STOP;
    s->token[s->n_generated++] = token;
    sampler_past_add(&s->past, token, true);
    atomic_fetch_add(&e->stats.generated_tokens, 1);
    if (s->n_generated == 1) {
        s->first_seconds = now - s->t_submit;
        stats_observe(&e->stats, &e->stats.ttft, s->first_seconds);
        stats_observe(&e->stats, &e->stats.prefill, now - s->t_start);
    } else {
        stats_observe(&e->stats, &e->stats.inter_token, now - s->t_last);
    }
    s->t_last = now;
    atomic_store_explicit(&s->published, s->n_generated, memory_order_release);
    return s->n_generated == s->wish.max_new ? SEQ_LENGTH : SEQ_RUNNING;
}

static void publish(struct engine *e, double now)
{
    for (uint32_t i = 0; i < e->batch.n_slots; i++) {
        struct batch_slot *slot = &e->batch.slots[i];
        if (slot->prompt_at)
            continue;
        slot->s->ending = slot->rc ? SEQ_FAULT : accept_token(e, slot->s, slot->token, now);
        if (slot->s->ending == SEQ_RUNNING)
            mailbox_post(e->opt.events, &slot->s->news);
    }
    for (uint32_t i = 0; i < e->n_running;) {
        struct seq *s = e->running[i];
        if (s->wish.want_prompt_logprobs)
            atomic_store_explicit(&s->prompt_published, s->n_done, memory_order_release);
        if (s->wish.max_new == 0 && s->n_done == s->wish.n_prompt)
            s->ending = SEQ_LENGTH;
        if (s->ending == SEQ_RUNNING) {
            i++;
            continue;
        }
        remove_running(e, i);
        finish(e, s, s->ending);
    }
}

static void step(struct engine *e)
{
    struct batch *b = &e->batch;
    batch_plan(b, e->running, e->n_running);
    double start = trit_now();
    batch_run(b);
    double now = trit_now();

    struct engine_stats *st = &e->stats;
    uint32_t prompt_rows = b->n_rows - b->n_decode;
    stats_observe(st,
                  prompt_rows == 0   ? &st->step_decode
                  : b->n_decode == 0 ? &st->step_prefill
                                     : &st->step_mixed,
                  now - start);
    stats_observe(st, &st->batch_sequences, e->n_running);
    stats_observe(st, &st->batch_tokens, b->n_rows);
    if (prompt_rows)
        smooth(&e->token_seconds, (now - start) / b->n_rows);
    atomic_fetch_add(&st->steps, 1);
    atomic_fetch_add(&st->prompt_tokens, prompt_rows);
    atomic_store(&st->kv_used, kv_used(&e->kv));
    publish(e, now);
    st->last_step = st->heartbeat = now;
}

/* ------------------------------------------------------------------ the thread */

/* Sleep until the bell rings; once a second for the heartbeat. */
static void wait_for_bell(struct engine *e)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    while (sem_clockwait(&e->bell, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
        ;
    while (sem_trywait(&e->bell) == 0)
        ;
    e->stats.heartbeat = trit_now();
}

/* One token through the whole model: touches every page of the weights, proves the kernels. */
static int warm_up(struct engine *e, struct trit_error *err)
{
    int32_t first = MAX(tok_bos(e->opt.model->tok), 0), answer;
    uint32_t page;
    struct seq probe = {.wish = {.prompt = &first, .n_prompt = 1, .max_new = 1},
                        .lease = {.page = &page, .cap = 1},
                        .token = &answer};
    probe.wish.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    struct seq *one = &probe;
    trit_assert(kv_reserve(&e->kv, &probe.lease));
    batch_plan(&e->batch, &one, 1);
    batch_run(&e->batch);
    kv_release(&e->kv, &probe.lease);
    if (e->batch.slots[0].rc)
        return trit_fail(err, TRIT_EFORMAT,
                         "%s: the first token gives logits that are not finite: the weights or "
                         "scales are damaged",
                         e->opt.model->name);
    return 0;
}

static int open_on_thread(struct engine *e, struct trit_error *err)
{
    const struct engine_options *o = &e->opt;
    int rc = team_open(&e->team, o->threads, o->pin, err);
    if (rc == 0)
        rc = kv_open(o->model, o->kv_type, o->kv_bytes, &e->kv, err);
    if (rc == 0)
        rc = batch_open(&e->batch, o, e->team, &e->kv, err);
    if (rc)
        return rc;
    e->running = mem_zalloc(o->max_batch, sizeof *e->running);
    if (!e->running)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the engine");
    e->stats.kv_pages = e->kv.n_pages;
    e->stats.kv_page_bytes = e->kv.page_bytes;
    e->stats.kv_pool_bytes = e->kv.pool_bytes;
    e->stats.scratch_bytes = batch_bytes(&e->batch);
    return warm_up(e, err);
}

static void close_on_thread(struct engine *e)
{
    batch_close(&e->batch);
    kv_close(&e->kv);
    team_close(&e->team);
    mem_free(e->running);
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;
    (void)pthread_setname_np(pthread_self(), "tritd-engine");
    e->open_rc = open_on_thread(e, e->open_err);
    bool ok = e->open_rc == 0;
    e->stats.last_step = e->stats.heartbeat = trit_now();
    trit_assert(sem_post(&e->opened) == 0);

    while (ok && !atomic_load(&e->closing)) {
        mailbox_drain(&e->inbox, take_in, e);
        drop_cancelled(e, false);
        admit(e);
        if (e->n_running)
            step(e);
        else
            wait_for_bell(e);
    }
    mailbox_drain(&e->inbox, take_in, e);
    drop_cancelled(e, true);
    close_on_thread(e);
    return NULL;
}

int engine_open(const struct engine_options *opt, struct engine **out, struct trit_error *err)
{
    *out = NULL;
    trit_assert(opt->max_batch >= 1 && opt->n_ctx >= 1 && opt->threads >= 1);
    struct engine *e = mem_zalloc_line(1, sizeof *e);
    if (!e)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the engine");
    e->opt = *opt;
    e->waiting_end = &e->waiting;
    e->open_err = err;
    mailbox_init(&e->inbox, ring, e);
    trit_assert(sem_init(&e->bell, 0, 0) == 0 && sem_init(&e->opened, 0, 0) == 0);

    int rc = pthread_create(&e->thread, NULL, engine_main, e);
    if (rc) {
        rc = trit_fail(err, TRIT_ENOMEM, "cannot start the engine thread: %s", strerror(rc));
    } else {
        while (sem_wait(&e->opened) != 0)
            trit_assert(errno == EINTR);
        rc = e->open_rc;
        if (rc == 0) {
            *out = e;
            return 0;
        }
        trit_assert(pthread_join(e->thread, NULL) == 0);
    }
    mailbox_fini(&e->inbox);
    sem_destroy(&e->bell);
    sem_destroy(&e->opened);
    mem_free(e);
    return rc;
}

void engine_close(struct engine **engine)
{
    struct engine *e = *engine;
    if (!e)
        return;
    *engine = NULL;
    atomic_store(&e->closing, true);
    ring(e);
    trit_assert(pthread_join(e->thread, NULL) == 0);
    mailbox_fini(&e->inbox);
    sem_destroy(&e->bell);
    sem_destroy(&e->opened);
    mem_free(e);
}
