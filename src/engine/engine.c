/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the engine thread: take in, make a step, or sleep; and what other threads may call.
 *
 * The thread owns the scheduler, the KV pool and the batch.  Other threads reach it through the
 * inbox, the end that is asked of a sequence and a semaphore that wakes it; they are reached
 * through the events mailbox.
 *
 * Not here: what a step is (engine-step.c), and the proof of the weights (engine-proof.c).
 */
#include "config.h"
#include "engine/engine.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/team.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "engine/crew.h"
#include "engine/engine-parts.h"
#include "engine/grammar.h"
#include "engine/sched.h"
#include "engine/states.h"

enum { MASKS_BYTES = 64 << 20 }; /* of the cache; what is not used costs nothing */

/* How long the first client is waited for where his token can prove the weights: a dummy one that
 * he had to wait for takes him more than that. */
#define FIRST_SECONDS 0.1

/* Tags of a sequence's messages in the events mailbox. */
enum { EVENT_NEWS, EVENT_DONE };

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
    atomic_fetch_add(&e->stats.waiting_tokens, w->n_prompt);
    atomic_fetch_add(&e->stats.waiting, 1);
    s->t_submit = trit_now();
    s->news.tag = EVENT_NEWS;
    s->done.tag = EVENT_DONE;
    mailbox_post(&e->inbox, &s->submit);
    return 0;
}

static void ask_end(struct engine *e, struct seq *s, enum seq_end how)
{
    enum seq_end none = SEQ_RUNNING;
    if (atomic_compare_exchange_strong(&s->asked, &none, how))
        ring(e);
}

void engine_cancel(struct engine *e, struct seq *s)
{
    ask_end(e, s, SEQ_CANCELLED);
}

void engine_enough(struct engine *e, struct seq *s)
{
    ask_end(e, s, SEQ_STOP);
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
    if (l.ahead == 0)
        l.rest = trit_now() - atomic_load(&st->last_step);
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
    crew_set_threads(e->crew, n);
    ring(e);
}

bool engine_worker(const struct engine *e, unsigned i, double *busy, double *wait)
{
    if (i >= team_room(e->crew->team))
        return false;
    team_seconds(e->crew->team, i, busy, wait);
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

/* ------------------------------------------------------------------ the thread */

static void take_in(struct mailbox_node *node, void *arg)
{
    struct engine *e = arg;
    sched_add(e->sched, CONTAINER_OF(node, struct seq, submit));
}

static void drop_if_asked(struct seq *s, void *arg)
{
    enum seq_end how = atomic_load(&s->asked);
    if (how != SEQ_RUNNING)
        engine_finish(arg, s, how);
}

static void drop(struct seq *s, void *arg)
{
    engine_finish(arg, s, SEQ_CANCELLED);
}

/* Sleep until the bell rings; once a second for the heartbeat.  false: it did not ring. */
static bool wait_for_bell(struct engine *e, double seconds)
{
    struct timespec until;
    int rc;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(seconds * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    do
        rc = sem_clockwait(&e->bell, CLOCK_MONOTONIC, &until);
    while (rc != 0 && errno == EINTR);
    while (sem_trywait(&e->bell) == 0)
        ;
    e->stats.heartbeat = trit_now();
    return rc == 0;
}

/* Wait for the turn, however long others compute; the heart goes on beating. */
static void take_turn(struct engine *e)
{
    while (!turn_take(&e->crew->turn, &e->place, 1))
        e->stats.heartbeat = trit_now();
    atomic_store(&e->stats.threads, crew_settle(e->crew, &e->settled));
}

/* Nothing more is wanted; after a step that is to be said also where the turn went to others. */
static void give_turn(struct engine *e)
{
    turn_give(&e->crew->turn, &e->place, 0, false);
}

/* What a predecessor has left was given to us, and is of no use here. */
static void close_kept(const struct engine_options *o)
{
    if (o->lasting && o->kv_fd >= 0)
        close(o->kv_fd);
}

/* A state cannot be cut back to where another text parts from this one, or a guess was wrong. */
static int open_hybrid(struct engine *e, struct trit_error *err)
{
    struct engine_options *o = &e->opt;
    int rc = kv_open(o->model, o->kv_type, o->kv_bytes, false, &e->kv, err);
    if (rc == 0)
        rc = kv_open_states(&e->kv, o->model, o->max_batch, err);
    if (rc == 0)
        log_notice("hybrid-model states=%u state_kb=%zu prefix_cache=off drafts=off", o->max_batch,
                   states_slot_bytes(o->model) >> 10);
    return rc;
}

static int open_kv(struct engine *e, struct trit_error *err)
{
    const struct engine_options *o = &e->opt;
    bool hybrid = o->model->hp.delta.n_layers > 0;
    if (!hybrid && o->lasting && o->prefix_cache)
        return kv_open_lasting(o->model, acts_planes(o->model, o->acts), o->kv_type, o->kv_bytes,
                               o->kv_fd, &e->kv, err);
    close_kept(o);
    if (hybrid)
        return open_hybrid(e, err);
    return kv_open(o->model, o->kv_type, o->kv_bytes, o->prefix_cache, &e->kv, err);
}

static int open_on_thread(struct engine *e, struct trit_error *err)
{
    const struct engine_options *o = &e->opt;
    int rc = open_kv(e, err);
    if (rc == 0)
        rc = batch_open(&e->batch, o, e->crew->team, &e->kv, err);
    if (rc)
        return rc;
    struct sched_options so = {.kv = &e->kv,
                               .max_running = o->max_batch,
                               .max_rows = e->batch.max_rows,
                               .max_slots = e->batch.max_slots,
                               .draft_tokens = e->kv.states ? 0 : o->draft_tokens,
                               .token_target = o->token_target};
    rc = sched_open(&so, &e->sched, err);
    if (rc)
        return rc;
    e->stats.kv_pages = e->kv.n_pages;
    e->stats.kv_page_bytes = e->kv.page_bytes;
    e->stats.kv_pool_bytes = e->kv.pool_bytes;
    e->stats.scratch_bytes = batch_bytes(&e->batch);
    e->stats.states_bytes = e->kv.states ? states_bytes(e->kv.states) : 0;
    engine_count_pages(e);
    if (o->prove_later) {
        e->proof = PROOF_DUE;
        return 0;
    }
    take_turn(e);
    rc = engine_warm_up(e, err);
    give_turn(e);
    return rc;
}

static void close_on_thread(struct engine *e)
{
    sched_close(&e->sched);
    batch_close(&e->batch);
    kv_close(&e->kv);
}

/* Who has come, and who has gone. */
static void look_around(struct engine *e)
{
    mailbox_drain(&e->inbox, take_in, e);
    sched_each(e->sched, drop_if_asked, e);
}

/* There is nothing to compute.  Who comes soon proves the weights by his own token, else we do. */
static void idle(struct engine *e)
{
    bool due = e->proof == PROOF_DUE && sched_is_empty(e->sched);
    double left = due ? FIRST_SECONDS : 1;
    give_turn(e);
    engine_count(e);
    if (due)
        left -= engine_prove_ahead(e, left);
    if (wait_for_bell(e, MAX(left, 0)) || !due)
        return;
    take_turn(e);
    engine_prove_alone(e);
    give_turn(e);
}

/* One step, when it is our turn.  What has come until then is in it. */
static bool step(struct engine *e)
{
    double since = trit_now();
    if (!turn_has(&e->place)) {
        take_turn(e);
        look_around(e);
    }
    return engine_step(e, since);
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;
    (void)pthread_setname_np(pthread_self(), "tritd-engine");
    (void)slice_behind();
    e->opened.rc = open_on_thread(e, &e->opened.err);
    bool ok = e->opened.rc == 0;
    e->stats.last_step = e->stats.heartbeat = trit_now();
    trit_assert(sem_post(&e->opened.told) == 0);

    while (ok && !atomic_load(&e->closing)) {
        look_around(e);
        engine_look_mended(e);
        if (crew_unsettled(e->crew, e->settled))
            take_turn(e);
        if (e->proof == PROOF_FAILED || sched_is_empty(e->sched) || !step(e))
            idle(e);
    }
    give_turn(e);
    engine_give_up_proof(e);
    if (ok) {
        mailbox_drain(&e->inbox, take_in, e);
        sched_each(e->sched, drop, e);
    }
    close_on_thread(e);
    return NULL;
}

static void free_engine(struct engine *e)
{
    masks_close(atomic_load(&e->masks));
    mailbox_fini(&e->inbox);
    turn_place_fini(&e->place);
    crew_close(&e->own_crew);
    sem_destroy(&e->bell);
    sem_destroy(&e->opened.told);
    sem_destroy(&e->proved.told);
    mem_free(e);
}

/* Wait for it. */
static int hear(struct engine_word *w, struct trit_error *err)
{
    while (sem_wait(&w->told) != 0)
        trit_assert(errno == EINTR);
    if (w->rc && err)
        *err = w->err;
    return w->rc;
}

int engine_await_proof(struct engine *e, struct trit_error *err)
{
    return e->opt.prove_later ? hear(&e->proved, err) : 0;
}

void engine_mended(struct engine *e)
{
    atomic_store(&e->mended, true);
    ring(e);
}

int engine_open(const struct engine_options *opt, struct engine **out, struct trit_error *err)
{
    *out = NULL;
    trit_assert(opt->max_batch >= 1 && opt->n_ctx >= 1 && opt->threads >= 1);
    struct engine *e = mem_zalloc_line(1, sizeof *e);
    if (!e) {
        close_kept(opt);
        return trit_fail(err, TRIT_ENOMEM, "no memory for the engine");
    }
    e->opt = *opt;
    e->opt.prove_later = opt->prove_later && model_chunks(opt->model) > 0;
    e->crew = opt->crew;
    if (!e->crew) {
        int rc = crew_open(&e->own_crew, opt->threads, opt->max_threads, opt->pin, err);
        if (rc) {
            close_kept(opt);
            mem_free(e);
            return rc;
        }
        e->crew = e->own_crew;
    }
    turn_place_init(&e->place);
    mailbox_init(&e->inbox, ring, e);
    trit_assert(sem_init(&e->bell, 0, 0) == 0 && sem_init(&e->opened.told, 0, 0) == 0 &&
                sem_init(&e->proved.told, 0, 0) == 0);

    int rc = pthread_create(&e->thread, NULL, engine_main, e);
    if (rc) {
        close_kept(opt);
        rc = trit_fail(err, TRIT_ENOMEM, "cannot start the engine thread: %s", strerror(rc));
    } else {
        rc = hear(&e->opened, err);
        if (rc == 0) {
            *out = e;
            return 0;
        }
        trit_assert(pthread_join(e->thread, NULL) == 0);
    }
    free_engine(e);
    return rc;
}

void engine_stop(struct engine *e)
{
    if (e->stopped)
        return;
    atomic_store(&e->closing, true);
    ring(e);
    trit_assert(pthread_join(e->thread, NULL) == 0);
    e->stopped = true;
}

void engine_close(struct engine **engine)
{
    struct engine *e = *engine;
    if (!e)
        return;
    *engine = NULL;
    engine_stop(e);
    free_engine(e);
}
