/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the engine thread: take in, plan, run a batch, publish; or sleep.
 *
 * The thread owns the scheduler, the KV pool and the batch.  Other threads reach it through the
 * inbox, the cancel flag of a sequence and a semaphore that wakes it; they are reached through the
 * events mailbox.  Sampling runs on the workers, one slot each, right after the head.
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
#include "engine/forecast.h"
#include "engine/grammar.h"
#include "engine/sched.h"
#include "engine/seq.h"
#include "engine/stats.h"
#include "model/model.h"
#include "model/tokenizer.h"

enum { MASKS_BYTES = 64 << 20 }; /* of the cache; what is not used costs nothing */

/* Tags of a sequence's messages in the events mailbox. */
enum { EVENT_NEWS, EVENT_DONE };

/* What sequences with a grammar need, made by whoever is first and then the engine thread's. */
struct masks {
    struct grammar_vocab *vocab;
    struct grammar_masks *masks;
    struct grammar_state *ahead;
};

struct engine {
    struct engine_options opt;
    struct engine_stats stats;
    struct mailbox inbox;
    sem_t bell;
    pthread_t thread;
    atomic_bool closing;
    atomic_uint threads;   /* wanted */
    atomic_uint in_flight; /* submitted and not ended: bounds the queue */

    struct forecast forecast;

    _Atomic(struct masks *) masks; /* once engine_prepare_grammars has been called */

    /* Opened and used by the engine thread only. */
    struct team *team;
    unsigned wanted; /* threads, when that was looked at */
    struct kv kv;
    struct sched *sched;
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

static void masks_close(struct masks *m)
{
    if (!m)
        return;
    grammar_masks_close(&m->masks);
    grammar_vocab_close(&m->vocab);
    grammar_state_free(m->ahead);
    mem_free(m);
}

int engine_prepare_grammars(struct engine *e, struct trit_error *err)
{
    const struct model *model = e->opt.model;
    struct masks *none = NULL, *m;
    if (atomic_load(&e->masks))
        return 0;
    int rc = -TRIT_ENOMEM;
    m = mem_zalloc(1, sizeof *m);
    if (m)
        rc = grammar_vocab_open(model->tok,
                                (uint32_t)MIN(tok_size(model->tok), (size_t)model->hp.vocab),
                                &m->vocab, err);
    if (rc == 0)
        rc = grammar_masks_open(m->vocab, MASKS_BYTES, &m->masks, err);
    if (rc == 0 && !(m->ahead = grammar_state_new(NULL)))
        rc = -TRIT_ENOMEM;
    if (rc == 0 && atomic_compare_exchange_strong(&e->masks, &none, m))
        return 0;
    masks_close(m); /* or another thread was faster */
    return rc ? trit_fail(err, TRIT_ENOMEM, "no memory for the masks of grammars") : 0;
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

    if (w->grammar) {
        int rc = engine_prepare_grammars(e, err);
        if (rc)
            return rc;
    }

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

struct engine_estimate engine_estimate(const struct engine *e, const struct engine_claim *own,
                                       uint32_t n_prompt, uint32_t max_new)
{
    const struct engine_stats *st = &e->stats;
    struct forecast_load l = {.places = e->opt.max_batch,
                              .ahead =
                                  (double)atomic_load(&st->running) + atomic_load(&st->waiting),
                              .reading = (double)atomic_load(&st->reading_tokens),
                              .waiting = (double)atomic_load(&st->waiting_tokens)};
    if (own) {
        double tokens = (double)own->tokens * own->tenants;
        l.places /= own->tenants;
        l.ahead = own->sequences;
        l.reading = fmin(l.reading, tokens);
        l.waiting = fmin(l.waiting, tokens - l.reading);
    }
    return forecast_request(&e->forecast, &l, n_prompt, max_new);
}

void engine_set_threads(struct engine *e, unsigned n)
{
    trit_assert(n >= 1 && n <= MAX(e->opt.max_threads, e->opt.threads));
    atomic_store(&e->threads, n);
    ring(e);
}

bool engine_worker(const struct engine *e, unsigned i, double *busy, double *wait)
{
    if (i >= team_room(e->team))
        return false;
    team_seconds(e->team, i, busy, wait);
    return true;
}

int engine_kv_fd(const struct engine *e, bool *inherited)
{
    *inherited = e->kv.memory.inherited;
    return e->kv.memory.fd;
}

const uint8_t *engine_kv_secret(const struct engine *e)
{
    return e->kv.memory.secret;
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

static void take_in(struct mailbox_node *node, void *arg)
{
    struct engine *e = arg;
    sched_add(e->sched, CONTAINER_OF(node, struct seq, submit));
}

/* s is not, or no longer, among those who wait for their first turn. */
static void leave_queue(struct engine *e, struct seq *s)
{
    atomic_fetch_sub(&e->stats.waiting, 1);
    atomic_fetch_sub(&e->stats.waiting_tokens, s->wish.n_prompt);
    s->queue_seconds = trit_now() - s->t_submit;
}

static void on_started(struct seq *s, void *arg)
{
    struct engine *e = arg;
    atomic_fetch_add(&e->stats.running, 1); /* at once, so that nobody is in neither count */
    leave_queue(e, s);
    stats_observe(&e->stats, &e->stats.queue, s->queue_seconds);
    stats_observe(&e->stats, &e->stats.prompt_length, s->wish.n_prompt);
    atomic_fetch_add(&e->stats.cached_tokens, s->n_cached);
    atomic_store_explicit(&s->started, true, memory_order_release);
}

static void count_pages(struct engine *e)
{
    atomic_store(&e->stats.kv_used, kv_used(&e->kv));
    atomic_store(&e->stats.kv_kept, e->kv.n_kept);
    atomic_store(&e->stats.cache_hits, e->kv.n_hits);
    atomic_store(&e->stats.cache_evicted, e->kv.n_evicted);
    atomic_store(&e->stats.cache_damaged, e->kv.n_damaged);
}

/* The last word on a sequence.  It must not be touched afterwards: the receiver may free it. */
static void finish(struct engine *e, struct seq *s, enum seq_end end)
{
    double now = trit_now();
    sched_leave(e->sched, s, end != SEQ_FAULT);
    count_pages(e);
    if (s->t_start == 0)
        leave_queue(e, s);
    s->total_seconds = now - s->t_submit;
    s->ending = end;
    stats_observe(&e->stats, &e->stats.e2e, s->total_seconds);
    if (!s->wish.pool)
        stats_observe(&e->stats, &e->stats.generated_length, s->n_generated);
    if (s->n_generated)
        stats_observe(&e->stats, &e->stats.decode, now - s->t_submit - s->first_seconds);
    if (end == SEQ_STOP || end == SEQ_LENGTH)
        forecast_end(&e->forecast, now - s->t_start, s->wish.pool ? -1 : (int64_t)s->n_generated);
    atomic_fetch_add(&e->stats.ended[end], 1);
    atomic_fetch_sub(&e->in_flight, 1);
    mailbox_post(e->opt.events, &s->done);
}

static void drop_if_cancelled(struct seq *s, void *arg)
{
    if (atomic_load(&s->cancel))
        finish(arg, s, SEQ_CANCELLED);
}

static void drop(struct seq *s, void *arg)
{
    finish(arg, s, SEQ_CANCELLED);
}

/* ------------------------------------------------------------------ one step */

static bool is_stop(const struct seq *s, int32_t token)
{
    for (uint32_t i = 0; i < s->wish.n_stop_ids; i++)
        if (s->wish.stop_ids[i] == token)
            return true;
    return false;
}

/* Where the answer stands in its grammar after a token, and whether that is all. */
static enum seq_end follow_grammar(struct engine *e, struct seq *s, int32_t token)
{
    size_t len;
    const char *piece = tok_piece(e->opt.model->tok, token, &len);
    if (grammar_accept(s->grammar, piece, len) != 0)
        return SEQ_STUCK; /* too deep */
    return grammar_may_go_on(s->grammar) ? SEQ_RUNNING : SEQ_STOP;
}

/* Why nothing was chosen. */
static enum seq_end no_choice(const struct seq *s, int rc)
{
    if (rc != -TRIT_EUNSUPP)
        return SEQ_FAULT;
    return grammar_may_end(s->grammar) ? SEQ_STOP : SEQ_STUCK;
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
    enum seq_end end = s->grammar ? follow_grammar(e, s, token) : SEQ_RUNNING;
    return end == SEQ_RUNNING && s->n_generated == s->wish.max_new ? SEQ_LENGTH : end;
}

/*
 * Take over what the slots of one sequence, from the i-th on, have chosen: the first, and the next
 * as long as each was what had been guessed.  Returns the slot behind its last.
 */
static uint32_t take_choices(struct engine *e, uint32_t i, double now)
{
    struct batch *b = &e->batch;
    struct seq *s = b->slots[i].s;
    uint32_t n_guesses = 0, n_right = 0;
    bool follow = true;
    for (; i < b->n_slots && b->slots[i].s == s; i++) {
        const struct batch_slot *slot = &b->slots[i];
        if (slot->prompt_at)
            continue;
        n_guesses += slot->guess >= 0;
        if (!follow)
            continue;
        s->ending = slot->rc ? no_choice(s, slot->rc) : accept_token(e, s, slot->token, now);
        follow = s->ending == SEQ_RUNNING && slot->token == slot->guess;
        n_right += follow;
    }
    draft_learn(&s->draft, n_guesses, n_right);
    atomic_fetch_add(&e->stats.guessed, n_guesses);
    atomic_fetch_add(&e->stats.guessed_right, n_right);
    return i;
}

/* The step is over: what it computed, what it chose, and who has ended with it. */
static void publish(struct engine *e, const struct sched_plan *plan, double now)
{
    for (uint32_t i = 0; i < e->batch.n_slots;)
        i = take_choices(e, i, now);
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const struct sched_item *item = &plan->item[i];
        struct seq *s = item->s;
        if (s->ending != SEQ_FAULT)
            /* Of the guesses those are computed whose tokens were right, and so became its text. */
            sched_computed(e->sched, s,
                           item->n_guesses ? seq_len(s) - 1 - s->n_done : item->n_rows);
        if (s->wish.want_prompt_logprobs)
            atomic_store_explicit(&s->prompt_published, MIN(s->n_done, s->wish.n_prompt),
                                  memory_order_release);
        if (s->wish.max_new == 0 && s->n_done == s->wish.n_prompt)
            s->ending = s->wish.pool ? SEQ_STOP : SEQ_LENGTH;
        if (s->ending != SEQ_RUNNING)
            finish(e, s, s->ending);
        else if (s->n_done + 1 == seq_len(s))
            mailbox_post(e->opt.events, &s->news);
    }
}

static void count(struct engine *e)
{
    struct engine_stats *st = &e->stats;
    struct sched_counts c;
    sched_count(e->sched, &c);
    atomic_store(&st->running, c.running);
    atomic_store(&st->reading_tokens, c.prompt_tokens);
    atomic_store(&st->preempted, c.preempted);
    if (e->batch.masks) {
        struct grammar_mask_counts m;
        grammar_masks_count(e->batch.masks, &m);
        atomic_store(&st->grammar_hits, m.hits);
        atomic_store(&st->grammar_misses, m.misses);
        atomic_store(&st->grammar_evicted, m.evicted);
        atomic_store(&st->grammar_bytes, m.bytes);
        atomic_store(&st->grammar_seconds, e->batch.mask_seconds);
    }
}

/* A prompt of which all but the last token was cached is among those who talk, but its row is one
 * of a prompt. */
static uint32_t count_prompt_rows(const struct sched_plan *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_items; i++) {
        const struct seq *s = p->item[i].s;
        n += MIN(p->item[i].n_rows, s->wish.n_prompt - MIN(s->n_done, s->wish.n_prompt));
    }
    return n;
}

static void observe_step(struct engine *e, const struct sched_plan *p, double seconds)
{
    struct engine_stats *st = &e->stats;
    uint32_t prompt_rows = count_prompt_rows(p);
    stats_observe(st,
                  prompt_rows == 0    ? &st->step_decode
                  : p->n_talking == 0 ? &st->step_prefill
                                      : &st->step_mixed,
                  seconds);
    stats_observe(st, &st->batch_sequences, p->n_items);
    stats_observe(st, &st->batch_tokens, p->n_rows);
    forecast_step(&e->forecast, prompt_rows, p->more, p->n_talking > 0, seconds);
    atomic_fetch_add(&st->steps, 1);
    atomic_fetch_add(&st->prompt_tokens, prompt_rows);
}

/* false: there was nothing to do. */
static bool step(struct engine *e)
{
    const struct sched_plan *p = sched_plan(e->sched, trit_now(), on_started, e);
    if (p->n_items == 0)
        return false;
    struct masks *masks = atomic_load(&e->masks);
    if (masks) {
        e->batch.masks = masks->masks;
        e->batch.ahead = masks->ahead;
    }
    double start = trit_now();
    batch_fill(&e->batch, p);
    batch_run(&e->batch, p);
    double now = trit_now();
    sched_learn(e->sched, now - start, forward_attended(e->batch.forward));
    observe_step(e, p, now - start);
    count_pages(e);
    publish(e, p, now);
    count(e);
    e->stats.last_step = e->stats.heartbeat = now;
    return true;
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

static void ignore(struct seq *s, void *arg)
{
    (void)s;
    (void)arg;
}

/* One token through the whole model: touches every page of the weights, proves them of use. */
static int warm_up(struct engine *e, struct trit_error *err)
{
    int32_t text[2] = {MAX(tok_bos(e->opt.model->tok), 0)};
    uint32_t page;
    struct seq probe = {.wish = {.prompt = text, .n_prompt = 1, .max_new = 1},
                        .lease = {.page = &page, .cap = 1},
                        .token = text + 1};
    probe.wish.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    sched_add(e->sched, &probe);
    const struct sched_plan *p = sched_plan(e->sched, trit_now(), ignore, NULL);
    batch_fill(&e->batch, p);
    batch_run(&e->batch, p);
    sched_leave(e->sched, &probe, true);
    if (e->batch.slots[0].rc)
        return trit_fail(err, TRIT_EFORMAT,
                         "%s: the first token gives logits that are not finite: the weights or "
                         "scales are damaged",
                         e->opt.model->name);
    return 0;
}

/* As many workers as are wanted; with fewer, because threads cannot be had, all goes on more
 * slowly. */
static void resize_team(struct engine *e)
{
    unsigned wanted = atomic_load(&e->threads);
    if (wanted == e->wanted)
        return;
    e->wanted = wanted;
    atomic_store(&e->stats.threads, team_resize(e->team, wanted));
}

static int open_kv(struct engine *e, struct trit_error *err)
{
    const struct engine_options *o = &e->opt;
    if (!o->lasting || !o->prefix_cache)
        return kv_open(o->model, o->kv_type, o->kv_bytes, o->prefix_cache, &e->kv, err);
    return kv_open_lasting(o->model, o->kv_type, o->kv_bytes, o->kv_fd, &e->kv, err);
}

static int open_on_thread(struct engine *e, struct trit_error *err)
{
    const struct engine_options *o = &e->opt;
    int rc = team_open_room(&e->team, o->threads, MAX(o->max_threads, o->threads), o->pin, err);
    if (rc == 0)
        rc = open_kv(e, err);
    if (rc == 0)
        rc = batch_open(&e->batch, o, e->team, &e->kv, err);
    if (rc)
        return rc;
    struct sched_options so = {.kv = &e->kv,
                               .max_running = o->max_batch,
                               .max_rows = e->batch.max_rows,
                               .max_slots = e->batch.max_slots,
                               .draft_tokens = o->draft_tokens,
                               .token_target = o->token_target};
    rc = sched_open(&so, &e->sched, err);
    if (rc)
        return rc;
    e->stats.threads = e->wanted = o->threads;
    e->stats.kv_pages = e->kv.n_pages;
    e->stats.kv_page_bytes = e->kv.page_bytes;
    e->stats.kv_pool_bytes = e->kv.pool_bytes;
    e->stats.scratch_bytes = batch_bytes(&e->batch);
    count_pages(e);
    /* Also for weights that others have proved: it is these kernels, threads and pages now. */
    return warm_up(e, err);
}

static void close_on_thread(struct engine *e)
{
    sched_close(&e->sched);
    batch_close(&e->batch);
    kv_close(&e->kv);
    team_close(&e->team);
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
        sched_each(e->sched, drop_if_cancelled, e);
        resize_team(e);
        if (!step(e)) {
            count(e);
            wait_for_bell(e);
        }
    }
    if (ok) {
        mailbox_drain(&e->inbox, take_in, e);
        sched_each(e->sched, drop, e);
    }
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
    e->threads = opt->threads;
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
    masks_close(atomic_load(&e->masks));
    mailbox_fini(&e->inbox);
    sem_destroy(&e->bell);
    sem_destroy(&e->opened);
    mem_free(e);
}
