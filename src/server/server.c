/* SPDX-License-Identifier: MIT */
/*
 * server.c - opening, serving, draining and closing; the loop's handles and the one clock.
 *
 * The clock is a timer set to the earliest deadline there is, of connections, jobs and the drain;
 * when it rings, whatever is due is done and it is set again.  Without deadlines it does not run.
 * When it rings late, this process has stood still, and what came in time for a deadline lies in
 * the sockets unread: that is read first.
 */
#include "config.h"
#include "server/server.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/model.h"
#include "engine/engine.h"
#include "engine/pool.h"
#include "server/job.h"
#include "server/keys.h"
#include "server/names.h"
#include "server/parts.h"
#include "server/problem.h"

/* Seconds for what was cancelled at the end of a drain to be told; and at its beginning for the
 * first request of those who have a connection already. */
enum { LAST_WORDS = 2, FIRST_WORDS = 1 };

/* How late the clock rings where somebody has stood still, and the time to read what came then. */
#define STOOD_SECONDS    0.25
#define CATCH_UP_SECONDS 0.1

void server_assert_thread(const struct server *s)
{
    uv_thread_t self = uv_thread_self();
    trit_assert(uv_thread_equal(&self, &s->thread));
}

void server_hold(struct server *s)
{
    s->holds++;
}

void server_release(struct server *s)
{
    trit_assert(s->holds > 0);
    if (--s->holds)
        return;
    models_fini(&s->models);
    admit_fini(&s->admit);
    keys_free(&s->keys);
    tls_let_go(&s->cert);
    mem_free(s);
}

/* ------------------------------------------------------------------ the clock */

static void finish_drain(struct server *s)
{
    void (*drained)(void *arg) = s->drained;
    s->drained = NULL;
    s->drain_at = INFINITY;
    drained(s->drained_arg);
}

/* The time for a drain is over: first everything is cancelled, then, a little later, given up. */
static double drain_clock(struct server *s, double now)
{
    if (s->drained && !s->cancelled_all)
        server_check_drained(s);
    if (!s->drained || s->drain_at > now)
        return s->drained && !s->leaving && s->first_words_at > now
                   ? fmin(s->drain_at, s->first_words_at)
                   : s->drain_at;
    if (s->cancelled_all) {
        finish_drain(s);
        return INFINITY;
    }
    struct problem p;
    problem_set(&p, TRIT_EDRAINING, NULL, "%s", trit_err_text(TRIT_EDRAINING));
    s->cancelled_all = true;
    log_notice("drain over cancelled=%u", s->n_jobs);
    for (struct job *j = s->jobs; j; j = j->next) {
        if (j->state != JOB_FINISHED)
            s->metrics.cancelled[CANCELLED_SHUTDOWN]++;
        j->cancel_counted = true;
        job_fail(j, &p);
    }
    s->drain_at = now + LAST_WORDS;
    return s->drain_at;
}

static void on_clock(uv_timer_t *timer)
{
    struct server *s = CONTAINER_OF(timer, struct server, clock);
    double now = trit_now();
    bool late = now - s->clock_at > STOOD_SECONDS && !s->catching_up;
    s->clock_at = INFINITY;
    s->catching_up = late;
    if (late) {
        server_ring_by(s, now + CATCH_UP_SECONDS);
        return;
    }
    double next = fmin(fmin(http_clock(s, now), job_clock(s, now)), energy_clock(s, now));
    server_ring_by(s, fmin(next, drain_clock(s, now)));
}

void server_ring_by(struct server *s, double when)
{
    if (when >= s->clock_at || !isfinite(when))
        return;
    /* Rounded up, so that what it rings for is due; and deadlines a moment apart share a ring. */
    double ms = ceil((when - trit_now()) * 1e3) + 1;
    s->clock_at = when;
    uv_update_time(s->opt.loop);
    trit_assert(uv_timer_start(&s->clock, on_clock, (uint64_t)fmax(ms, 10), 0) == 0);
}

/* ------------------------------------------------------------------ opening */

static void on_bell(uv_async_t *bell)
{
    job_events(CONTAINER_OF(bell, struct server, bell));
}

/* Any thread. */
static void ring(void *arg)
{
    struct server *s = arg;
    trit_assert(uv_async_send(&s->bell) == 0);
}

static void on_bell_closed(uv_handle_t *handle)
{
    server_release(CONTAINER_OF((uv_async_t *)(void *)handle, struct server, bell));
}

static void on_clock_closed(uv_handle_t *handle)
{
    server_release(CONTAINER_OF((uv_timer_t *)(void *)handle, struct server, clock));
}

static void close_own_handles(struct server *s)
{
    uv_close((uv_handle_t *)&s->bell, on_bell_closed);
    uv_close((uv_handle_t *)&s->clock, on_clock_closed);
}

int server_open(const struct server_options *opt, struct server **out, struct trit_error *err)
{
    *out = NULL;
    struct server *s = mem_zalloc(1, sizeof *s);
    if (!s)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the server");
    s->opt = *opt;
    s->cert = tls_hold(opt->cert);
    s->thread = uv_thread_self();
    s->clock_at = s->drain_at = INFINITY;
    admit_init(&s->admit);
    mailbox_init(&s->events, ring, s);
    int rc = uv_async_init(opt->loop, &s->bell, on_bell);
    if (rc) {
        mailbox_fini(&s->events);
        tls_let_go(&s->cert);
        mem_free(s);
        return trit_fail(err, TRIT_EIO, "cannot open the server's wake-up: %s", uv_strerror(rc));
    }
    server_hold(s);
    trit_assert(uv_timer_init(opt->loop, &s->clock) == 0);
    server_hold(s);
    rc = watch_open(s, err);
    if (rc == 0) {
        rc = http_open(s, err);
        if (rc)
            watch_close(s);
    }
    if (rc == 0 && (rc = agent_open(s, err))) {
        http_close(s);
        watch_close(s);
    }
    if (rc) {
        mailbox_fini(&s->events);
        close_own_handles(s);
        return rc;
    }
    rapl_open(&s->rapl, opt->powercap_dir);
    server_ring_by(s, energy_clock(s, trit_now()));
    *out = s;
    return 0;
}

struct mailbox *server_events(struct server *s)
{
    return &s->events;
}

/* What answers depend on.  The digits: planes of activations, enum kv_type, enum table_type of the
 * embedding and of the head. */
static void print_fingerprint(struct served *m, const char *kernels, const struct engine_options *o)
{
    const struct model *model = o->model;
    snprintf(m->fingerprint, sizeof m->fingerprint, "tritd-%s-%s-%.8s-%u%u%u%u", PACKAGE_VERSION,
             kernels, model->fingerprint, acts_planes(model, o->acts), (unsigned)o->kv_type,
             (unsigned)model->embedding.type, (unsigned)model->head.type);
}

int server_add(struct server *s, const struct server_model *opt, struct served *replaces,
               struct served **out, struct trit_error *err)
{
    server_assert_thread(s);
    int rc = models_add(&s->models, opt, replaces, out, err);
    if (rc)
        return rc;
    struct served *m = *out;
    const struct engine_options *o = engine_options(opt->engine);
    /* Salts must be what they were for the process before us, if its pages shall be found. */
    if (engine_kv_secret(opt->engine))
        memcpy(m->secret, engine_kv_secret(opt->engine), sizeof m->secret);
    admit_set_room(&s->admit, m->queue, o->max_batch, o->queue_requests, o->queue_tokens);
    print_fingerprint(m, s->opt.kernels, o);
    return 0;
}

void server_remove(struct server *s, struct served *m)
{
    server_assert_thread(s);
    models_remove(&s->models, m);
}

const char *server_model_name(const struct served *m)
{
    return m->name;
}

unsigned server_model_users(const struct served *m)
{
    return m->refs - 1; /* the table's */
}

int server_set_chat(struct server *s, struct served *m, struct chat *chat)
{
    server_assert_thread(s);
    return models_set_chat(m, chat);
}

void server_serve(struct server *s)
{
    server_assert_thread(s);
    trit_assert(s->models.first && !s->serving);
    s->serving = true;
    server_accept(s);
}

void server_accept(struct server *s)
{
    server_assert_thread(s);
    if (s->accepting || s->draining)
        return;
    http_accept(s);
    agent_accept(s);
}

void server_set_limits(struct server *s, const struct server_limits *limits)
{
    server_assert_thread(s);
    s->opt.limits = *limits;
}

int server_set_keys(struct server *s, struct keys *keys, struct trit_error *err)
{
    server_assert_thread(s);
    const struct admit_grant **grant = mem_zalloc(keys->n, sizeof(const struct admit_grant *));
    int rc = grant ? 0 : -TRIT_ENOMEM;
    for (size_t i = 0; rc == 0 && i < keys->n; i++)
        grant[i] = &keys->key[i].grant;
    if (rc == 0)
        rc = admit_set_tenants(&s->admit, grant, keys->n);
    mem_free(grant);
    if (rc) {
        keys_free(keys);
        return trit_fail(err, TRIT_ENOMEM, "no memory for the API keys");
    }
    keys_free(&s->keys);
    s->keys = *keys;
    *keys = (struct keys){0};
    return 0;
}

void server_set_cert(struct server *s, struct tls_cert *cert)
{
    server_assert_thread(s);
    tls_let_go(&s->cert);
    s->cert = tls_hold(cert);
}

/* ------------------------------------------------------------------ closing */

static bool is_drained(const struct server *s)
{
    if (s->n_jobs || s->n_exchanges)
        return false;
    if (s->leaving)
        return s->n_conns == 0;
    return !http_expects_first(s) || trit_now() >= s->first_words_at;
}

void server_check_drained(struct server *s)
{
    /* Told by the clock: whoever is told will close us, which must not happen in here. */
    if (s->drained && !s->cancelled_all && is_drained(s)) {
        s->cancelled_all = true;
        s->drain_at = trit_now();
        server_ring_by(s, s->drain_at);
    }
}

static void begin_drain(struct server *s, double seconds, void (*done)(void *arg), void *arg)
{
    server_assert_thread(s);
    trit_assert(!s->draining);
    s->draining = true;
    s->drained = done;
    s->drained_arg = arg;
    s->drain_at = trit_now() + seconds;
    s->first_words_at = fmin(s->drain_at, trit_now() + FIRST_WORDS);
    http_quiesce(s);
    server_ring_by(s, s->first_words_at);
    server_check_drained(s);
}

void server_drain(struct server *s, double seconds, void (*done)(void *arg), void *arg)
{
    begin_drain(s, seconds, done, arg);
}

void server_leave(struct server *s, double seconds, void (*done)(void *arg), void *arg)
{
    s->leaving = true;
    agent_leave(s);
    begin_drain(s, seconds, done, arg);
}

void server_close(struct server **server)
{
    struct server *s = *server;
    if (!s)
        return;
    server_assert_thread(s);
    *server = NULL;
    s->drained = NULL;
    s->draining = true;
    job_events(s); /* The last words of an engine that was closed. */
    http_close(s);
    job_wait_pool(s);
    for (const struct job *j = s->jobs; j; j = j->next)
        trit_assert(j->n_live == 0); /* Else the engine still writes into it. */
    models_close(&s->models);
    mailbox_fini(&s->events);
    watch_close(s);
    agent_close(s);
    close_own_handles(s);
}
