/* SPDX-License-Identifier: MIT */
/*
 * main.c - the daemon's life: start-up in order, the loop, and the exact reverse.
 *
 *     configuration - kernels - listening socket - sandbox - loop and signals
 *         - server (answers "loading") - on a thread: model, engine - server serves - ... - drain
 *         - engine closed - server closed - model closed - loop - socket - configuration
 *
 * The socket is opened first, so that a port in use is known in milliseconds and clients of a
 * restart wait in its backlog.  The state moves one way: LOADING, SERVING, STOPPING.
 *
 * Two kinds of successors: the next process that the service manager starts, for which it may keep
 * sockets, weights and KV pages (handed.h), and one that we start ourselves (upgrade.h).
 *
 * Only this file ends the process: 0 after a stop that was asked for, 1 with an error on stderr.
 */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/slice.h"
#include "model/chat.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/engine.h"
#include "engine/pool.h"
#include "engine/stats.h"
#include "server/keys.h"
#include "server/server.h"
#include "server/tls.h"
#include "main/conf.h"
#include "main/handed.h"
#include "main/listen.h"
#include "main/notify.h"
#include "main/plan.h"
#include "main/sandbox.h"
#include "main/upgrade.h"
#include "main/version.h"

/* How often the service manager hears from us, and how much time each request for more asks for. */
#define NOTIFY_SECONDS 5.0
#define EXTEND_SECONDS 30

/* Who connects to a socket that was there before us may wait in its queue while we load, which
 * takes milliseconds when the weights are packed.  After so long he is told that we are loading. */
#define WAIT_SECONDS 5

/* For the last lines to be written, if anybody reads them. */
#define LOG_LAST_SECONDS 1.0

enum state { LOADING, SERVING, STOPPING };

enum { N_SIGNALS = 4 };
static const int signals[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

struct app {
    int argc;
    char **argv;
    struct conf conf;
    struct listeners sockets;
    struct listener agent; /* for load balancers; fd -1: none */
    struct notify notify;
    struct handed handed;
    struct upgrade upgrade;        /* our successor, once it was asked for */
    struct upgrade_child replaces; /* our predecessor, if it still runs */
    bool replaced;                 /* the successor is the daemon now */
    bool stores;                   /* the manager keeps things for the next process */
    char program[4096];            /* what a successor is started from */
    const struct kernels *kernels;
    uv_loop_t loop;
    uv_signal_t on_signal[N_SIGNALS];
    uv_timer_t tick;   /* towards the service manager; stopped without one */
    uv_timer_t accept; /* ends WAIT_SECONDS */
    uv_work_t loading;
    struct server *server;
    enum state state;
    int exit_code;

    /* Written by the loading thread, read by the loop after it has ended. */
    struct model *model;
    struct engine *engine;
    struct plan plan;
    int load_rc;
    struct trit_error load_err;
    double load_seconds;

    atomic_bool stop_loading; /* polled by model_load */
    bool is_loading;          /* loop: the thread has not ended yet */
};

/* ------------------------------------------------------------------ loading, on a pool thread */

static void load(uv_work_t *work)
{
    struct app *app = work->data;
    const struct conf *c = &app->conf;
    double start = trit_now();
    int weights = handed_take(&app->handed, HANDED_WEIGHTS);
    int kv = handed_take(&app->handed, HANDED_KV);
    plan_types(c, &app->plan);
    struct model_options mo = {
        .layout = app->kernels->layout,
        .tables = app->plan.tables,
        .shared = c->shared && !app->stores,
        .adopt = weights >= 0,
        .kept_fd = weights,
        .mlock = c->mlock,
        .chat_template = *c->chat_template ? c->chat_template : NULL,
        .stop = &app->stop_loading,
    };
    segment_set_dir(c->shm_dir);
    app->load_rc = model_load(c->model, &mo, &app->model, &app->load_err);
    if (app->load_rc != 0)
        return;
    plan_make(c, app->model, &app->plan);
    struct engine_options eo = {
        .model = app->model,
        .kernels = app->kernels,
        .threads = app->plan.threads,
        .max_threads = plan_max_threads(app->plan.threads),
        .pin = c->pin,
        .kv_type = app->plan.kv_type,
        .acts = app->plan.acts,
        .kv_bytes = app->plan.kv_bytes,
        .n_ctx = app->plan.n_ctx,
        .max_batch = c->max_batch,
        .step_tokens = c->step_tokens,
        .token_target = c->token_target,
        .draft_tokens = c->draft_tokens,
        .prefix_cache = c->prefix_cache,
        .lasting = app->stores,
        .kv_fd = kv >= 0 ? kv : POOL_NEW,
        .queue_requests = c->queue_requests,
        .queue_tokens = c->queue_tokens,
        .events = server_events(app->server),
    };
    app->load_rc = engine_open(&eo, &app->engine, &app->load_err);
    if (app->load_rc == 0)
        app->load_rc = model_publish(app->model, &app->load_err);
    app->load_seconds = trit_now() - start;
}

/* ------------------------------------------------------------------ the loop */

static struct server_limits limits_of(const struct conf *c, const struct listeners *l)
{
    bool asks = strcmp(c->metrics_key, "auto") == 0 ? listen_is_remote(l)
                                                    : strcmp(c->metrics_key, "yes") == 0;
    return (struct server_limits){
        .default_max_tokens = c->default_max_tokens,
        .first_seconds = c->ttft_target,
        .ping_seconds = c->ping_seconds,
        .header_seconds = c->header_seconds,
        .body_seconds = c->body_seconds,
        .idle_seconds = c->idle_seconds,
        .stall_seconds = c->stall_seconds,
        .half_close_aborts = c->half_close_aborts,
        .metrics_need_key = asks,
        .cors_origins = c->cors_origins,
        .allowed_hosts = c->allowed_hosts,
        .metrics_vllm = strcmp(c->metrics_compat, "vllm") == 0,
        .page = c->page,
    };
}

/* What the manager shall keep for the next process, and does not have yet. */
static void store(struct app *app)
{
    bool inherited;
    int kv = engine_kv_fd(app->engine, &inherited);
    const struct segment *weights = &app->model->segment;
    if (!app->stores)
        return;
    if (!weights->adopted) {
        (void)notify_unstore(&app->notify, HANDED_WEIGHTS);
        (void)notify_store(&app->notify, HANDED_WEIGHTS, weights->fd);
    }
    if (!inherited) {
        (void)notify_unstore(&app->notify, HANDED_KV);
        if (kv >= 0)
            (void)notify_store(&app->notify, HANDED_KV, kv);
    }
    log_notice("fd-store weights=%s kv=%s warm_pages=%u", weights->adopted ? "kept" : "given",
               kv < 0      ? "none"
               : inherited ? "kept"
                           : "given",
               atomic_load(&engine_stats(app->engine)->kv_kept));
}

static void serve_clients(struct app *app)
{
    app->state = SERVING;
    store(app);
    server_serve(app->server, app->model, app->engine);
    log_notice("ready url=%s model=\"%s\" encoding=%s chat=%s kernels=%s threads=%u ctx=%u "
               "kv_bytes=%zu load_seconds=%.3f",
               app->sockets.at[0].url, app->model->name, app->model->encoding,
               chat_family(app->model->chat), app->kernels->name, app->plan.threads,
               app->plan.n_ctx, app->plan.kv_bytes, app->load_seconds);
    notify_send(&app->notify, "READY=1");
    notify_status(&app->notify, "Serving %.100s", app->model->name);
}

/* The predecessor has answered that we are the daemon now; or it is gone. */
static void take_over(bool go, void *arg)
{
    struct app *app = arg;
    if (app->state == STOPPING)
        return;
    if (go) {
        notify_mute(&app->notify, false);
        serve_clients(app);
        return;
    }
    log_error("upgrade given_up reason=\"the process to replace has ended\"");
    app->exit_code = EXIT_FAILURE;
    app->state = STOPPING;
    uv_stop(&app->loop);
}

static void loaded(uv_work_t *work, int status)
{
    struct app *app = work->data;
    (void)status; /* libuv never cancels this work; stop_loading ends it in order. */
    app->is_loading = false;
    if (app->state == STOPPING) {
        uv_stop(&app->loop);
        return;
    }
    if (app->load_rc != 0) {
        log_error("%s", app->load_err.text);
        app->exit_code = EXIT_FAILURE;
        app->state = STOPPING;
        notify_status(&app->notify, "%s", app->load_err.text);
        uv_stop(&app->loop);
        return;
    }
    if (app->replaces.fd >= 0)
        upgrade_child_ready(&app->replaces, &app->loop, take_over, app);
    else
        serve_clients(app);
}

static void stop_waiting(uv_timer_t *timer)
{
    struct app *app = timer->data;
    if (app->state == LOADING)
        server_accept(app->server);
}

/* The watchdog is fed by the engine, not by this timer: no sign of life, no word to systemd. */
static void tick(uv_timer_t *timer)
{
    struct app *app = timer->data;
    struct notify *n = &app->notify;
    switch (app->state) {
    case LOADING: /* A large model may take minutes to be packed. */
        notify_send(n, "EXTEND_TIMEOUT_USEC=%d", EXTEND_SECONDS * 1000000);
        break;
    case SERVING: {
        const struct engine_stats *st = engine_stats(app->engine);
        double silent = trit_now() - atomic_load(&st->heartbeat);
        if (n->watchdog_seconds > 0 && silent < n->watchdog_seconds)
            notify_send(n, "WATCHDOG=1");
        else if (n->watchdog_seconds > 0)
            log_error("engine silent_seconds=%.1f", silent);
        notify_status(n, "Serving %.100s: %u running, %u waiting", app->model->name,
                      atomic_load(&st->running), atomic_load(&st->waiting));
        break;
    }
    case STOPPING: /* The drain has a deadline of its own, longer perhaps than systemd's. */
        notify_send(n, "EXTEND_TIMEOUT_USEC=%d", EXTEND_SECONDS * 1000000);
        break;
    }
}

static void drained(void *arg)
{
    struct app *app = arg;
    uv_stop(&app->loop);
}

static void stop(struct app *app, int signo)
{
    if (app->state == STOPPING && app->is_loading) {
        /* The loader has been told.  Who cannot wait for it leaves a half-built segment, which the
         * next start removes. */
        log_warn("killed signal=%s state=loading", strsignal(signo));
        _exit(EXIT_FAILURE);
    }
    if (app->state == STOPPING) {
        log_notice("stopping signal=%s drain=given_up", strsignal(signo));
        uv_stop(&app->loop);
        return;
    }
    log_notice("stopping signal=%s state=%s", strsignal(signo),
               app->is_loading ? "loading" : "serving");
    app->state = STOPPING;
    notify_send(&app->notify, "STOPPING=1");
    if (app->is_loading) {
        atomic_store(&app->stop_loading, true); /* loaded() ends the loop. */
        return;
    }
    server_drain(app->server, app->conf.drain_seconds, drained, app);
    /* Nobody accepts any more, so nobody shall wait in vain: connections are refused from now on,
     * or wait in systemd's copy of the socket for the next start.  The agent stays, to say so. */
    listen_close(&app->sockets);
}

/* A successor is ready to accept: it is the daemon from now on, and we finish what we have begun.
 */
static void step_down(struct upgrade *u, void *arg)
{
    struct app *app = arg;
    if (app->state != SERVING) {
        upgrade_give_up(u);
        return;
    }
    log_notice("upgrade done pid=%d drain_seconds=%g", upgrade_pid(u), app->conf.drain_seconds);
    app->state = STOPPING;
    app->replaced = true;
    notify_send(&app->notify, "MAINPID=%d", upgrade_pid(u));
    notify_mute(&app->notify, true);
    server_leave(app->server, app->conf.drain_seconds, drained, app);
    listen_leave(&app->sockets);
    listen_close(&app->sockets);
    upgrade_go(u);
}

static void upgrade(struct app *app)
{
    const struct segment *weights = &app->model->segment;
    if (app->state != SERVING || app->upgrade.going_on || app->upgrade.has_process) {
        log_warn("upgrade refused reason=\"%s\"",
                 app->state == SERVING ? "one is going on" : "not serving");
        return;
    }
    (void)upgrade_begin(&app->upgrade, &app->loop, app->program, app->argv, &app->sockets,
                        weights->shared ? -1 : weights->fd, &app->notify, step_down, app);
}

/* What the process may use may have changed: its affinity mask or its group's quota. */
static void reload_threads(struct app *app)
{
    unsigned now = MIN(plan_threads(&app->conf), plan_max_threads(app->plan.threads));
    if (now == app->plan.threads)
        return;
    log_notice("reloaded threads from=%u to=%u", app->plan.threads, now);
    app->plan.threads = now;
    engine_set_threads(app->engine, now);
}

static void log_change(const char *key, const char *from, const char *to, bool reloadable,
                       void *arg)
{
    (void)arg;
    if (reloadable)
        log_notice("reloaded key=%s from=\"%s\" to=\"%s\"", key, from, to);
    else
        log_warn("not-reloaded key=%s from=\"%s\" to=\"%s\" needs=restart", key, from, to);
}

static int load_keys(const struct conf *c, struct keys *keys, struct trit_error *err)
{
    *keys = (struct keys){0};
    return *c->api_keys ? keys_load(c->api_keys, keys, err) : 0;
}

/* The socket may be systemd's and not the one that the file names. */
static int check_remote(const struct app *app, const struct conf *c, struct trit_error *err)
{
    if (!listen_is_remote(&app->sockets) || conf_allows_remote(c))
        return 0;
    return trit_fail(err, TRIT_EINVAL,
                     "api-keys: found nothing, but %s can be reached from other machines",
                     app->sockets.at[0].url);
}

/* *cert stays NULL without TLS, which cannot be switched while sockets are open. */
static int load_cert(const struct conf *c, struct tls_cert **cert, struct trit_error *err)
{
    *cert = NULL;
    return *c->tls_cert ? tls_load(c->tls_cert, c->tls_key, cert, err) : 0;
}

static int adopt(struct app *app, struct conf *fresh, struct trit_error *err)
{
    struct keys keys = {0};
    struct tls_cert *cert = NULL;
    int rc = check_remote(app, fresh, err);
    if (rc == 0 && !*app->conf.tls_cert != !*fresh->tls_cert)
        rc = trit_fail(err, TRIT_EINVAL, "tls-cert: to switch TLS on or off needs a restart");
    if (rc == 0)
        rc = load_cert(fresh, &cert, err);
    if (rc == 0)
        rc = load_keys(fresh, &keys, err);
    size_t n = keys.n;
    if (rc == 0)
        rc = server_set_keys(app->server, &keys, err);
    if (rc) {
        tls_let_go(&cert);
        return rc;
    }
    if (cert) {
        log_notice("tls loaded cert=\"%s\" expires=%s", fresh->tls_cert, tls_expires(cert));
        server_set_cert(app->server, cert);
        tls_let_go(&cert);
    }
    conf_changes(&app->conf, fresh, log_change, NULL);
    if (conf_adopt(&app->conf, fresh) != 0)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the configuration");
    if (n)
        log_notice("api-keys loaded=%zu file=\"%s\"", n, app->conf.api_keys);
    struct server_limits limits = limits_of(&app->conf, &app->sockets);
    server_set_limits(app->server, &limits);
    log_set_level((enum log_level)log_level_parse(app->conf.log_level));
    log_set_json(strcmp(app->conf.log_format, "json") == 0);
    if (app->state == SERVING)
        reload_threads(app);
    return 0;
}

/* All or nothing: a file with one wrong line, of settings or of keys, changes nothing. */
static void reload(struct app *app)
{
    struct trit_error err;
    struct conf fresh;
    enum conf_action action;
    if (app->state == SERVING)
        notify_reloading(&app->notify);
    int rc = conf_load(app->argc, app->argv, &fresh, &action, &err);
    if (rc == 0) {
        rc = adopt(app, &fresh, &err);
        conf_fini(&fresh);
    }
    if (rc)
        log_error("not-reloaded error=\"%s\"", err.text);
    if (app->state == SERVING)
        notify_send(&app->notify, "READY=1");
}

static void signalled(uv_signal_t *handle, int signo)
{
    struct app *app = handle->data;
    if (signo == SIGUSR2)
        upgrade(app);
    else if (signo != SIGHUP)
        stop(app, signo);
    else if (app->state != STOPPING)
        reload(app);
}

/* ------------------------------------------------------------------ the chain */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_loop(struct app *app)
{
    uv_walk(&app->loop, close_handle, NULL);
    uv_run(&app->loop, UV_RUN_DEFAULT);
    trit_assert(uv_loop_close(&app->loop) == 0);
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* libuv calls abort() when its pool cannot start, so what that needs is tried first. */
static int try_threads(struct trit_error *err)
{
    enum { POOL = 4 }; /* libuv's default */
    pthread_t thread[POOL];
    unsigned n = 0;
    int rc = 0;
    while (n < POOL && rc == 0) {
        rc = pthread_create(&thread[n], NULL, end_at_once, NULL);
        n += rc == 0;
    }
    while (n)
        pthread_join(thread[--n], NULL);
    return rc ? trit_fail(err, TRIT_ENOMEM, "cannot start %d threads: %s", POOL, strerror(rc)) : 0;
}

/* The loop, its signals, and the timer that talks to the service manager if there is one. */
static int open_loop(struct app *app, struct trit_error *err)
{
    int rc = try_threads(err);
    if (rc)
        return rc;
    rc = uv_loop_init(&app->loop);
    if (rc != 0)
        return trit_fail(err, TRIT_EIO, "cannot open the event loop: %s", uv_strerror(rc));
    app->tick.data = app;
    trit_assert(uv_timer_init(&app->loop, &app->tick) == 0);
    app->accept.data = app;
    trit_assert(uv_timer_init(&app->loop, &app->accept) == 0);
    for (int i = 0; i < N_SIGNALS && rc == 0; i++) {
        app->on_signal[i].data = app;
        rc = uv_signal_init(&app->loop, &app->on_signal[i]);
        if (rc == 0)
            rc = uv_signal_start(&app->on_signal[i], signalled, signals[i]);
    }
    if (rc != 0) {
        close_loop(app);
        return trit_fail(err, TRIT_EIO, "cannot watch for signals: %s", uv_strerror(rc));
    }
    if (app->notify.fd >= 0) {
        double every = NOTIFY_SECONDS;
        if (app->notify.watchdog_seconds > 0)
            every = MIN(every, app->notify.watchdog_seconds / 2);
        trit_assert(uv_timer_start(&app->tick, tick, 0, (uint64_t)MAX(every * 1e3, 1.0)) == 0);
    }
    return 0;
}

static enum seq_pool pooling_of(const struct conf *c)
{
    return strcmp(c->pooling, "mean") == 0   ? SEQ_POOL_MEAN
           : strcmp(c->pooling, "last") == 0 ? SEQ_POOL_LAST
                                             : SEQ_POOL_NONE;
}

static int open_sockets(struct app *app, struct trit_error *err)
{
    const struct conf *c = &app->conf;
    struct listen_wish w = {
        .host = c->host,
        .port = (uint16_t)c->port,
        .socket = c->socket,
        .owner = c->socket_owner,
        .allow_remote = conf_allows_remote(c),
        .tls = *c->tls_cert,
    };
    trit_assert(listen_read_mode(c->socket_mode, &w.mode));
    int rc = listen_open(&w, &app->handed, &app->notify, &app->sockets, err);
    for (size_t i = 0; i < app->sockets.n; i++) {
        struct listener *l = &app->sockets.at[i];
        log_notice("listening url=%s from=%s", l->url,
                   l->activated ? "systemd"
                   : l->kept    ? "predecessor"
                                : "configuration");
        /* Ours: a client of the restart waits in its queue like one of a socket unit. */
        if (app->stores && !l->activated && !l->kept)
            (void)notify_store(&app->notify, l->name, l->fd);
    }
    if (rc == 0 && app->stores && !app->sockets.at[0].activated)
        listen_leave(&app->sockets);
    return rc;
}

/* Before there is another thread, and after everything that needs more than serving does. */
static void enter_sandbox(const struct conf *c)
{
    struct sandbox in;
    if (!c->sandbox) {
        log_notice("sandbox landlock=no seccomp=no reason=\"sandbox = no\"");
        return;
    }
    sandbox_enter(c, &in);
    log_notice("sandbox landlock=%d seccomp=%s%s%s%s", in.landlock, in.seccomp ? "yes" : "no",
               in.lacks ? " reason=\"" : "", in.lacks ? in.lacks : "", in.lacks ? "\"" : "");
}

/* Sockets that were there before us have clients in their queues. */
static bool has_waiting(const struct app *app)
{
    const struct listener *l = &app->sockets.at[0];
    return l->activated || l->kept;
}

/* Everything between a good configuration and the end.  Only what fails at once returns an error;
 * a model that cannot be loaded has logged its reason. */
static int serve(struct app *app, struct trit_error *err)
{
    const struct conf *c = &app->conf;
    uint32_t mask;
    struct keys keys = {0};
    struct tls_cert *cert = NULL;
    int rc = kernels_mask_parse(c->cpu, &mask, err);
    if (rc == 0)
        rc = conf_check_model(c, err);
    if (rc == 0)
        rc = load_cert(c, &cert, err);
    if (rc == 0)
        rc = load_keys(c, &keys, err);
    if (rc != 0) {
        tls_let_go(&cert);
        return rc;
    }
    app->kernels = kernels_pick(mask);
    rc = open_sockets(app, err);
    if (rc == 0 && *c->port_file)
        rc = listen_write_port(&app->sockets.at[0], c->port_file, err);
    if (rc != 0)
        goto no_socket;
    if (rc == 0 && c->agent_port) {
        rc = listen_open_agent(c->host, (uint16_t)c->agent_port, conf_allows_remote(c), &app->agent,
                               err);
        if (rc == 0)
            log_notice("agent port=%u", app->agent.port);
    }
    if (rc != 0)
        goto no_socket;
    enter_sandbox(c);
    if (!log_start())
        log_warn("log thread=none effect=\"a log that is not read stops the server\"");
    rc = open_loop(app, err);
    if (rc != 0)
        goto no_loop;

    uint32_t n_sockets = (uint32_t)app->sockets.n;
    struct server_options so = {
        .loop = &app->loop,
        .n_sockets = app->sockets.n,
        .cert = cert,
        .alias = *c->alias ? c->alias : NULL,
        .kernels = app->kernels->name,
        .powercap_dir = c->powercap_dir,
        .pooling = pooling_of(c),
        .max_body = (size_t)c->max_body,
        .hold = has_waiting(app),
        .max_connections = plan_connections(c->max_connections * n_sockets) / n_sockets,
        .agent = app->agent.fd >= 0,
        .agent_fd = app->agent.fd,
        .limits = limits_of(c, &app->sockets),
    };
    for (size_t i = 0; i < app->sockets.n; i++)
        so.socket[i] = (struct server_socket){.fd = app->sockets.at[i].fd,
                                              .tls = cert && !app->sockets.at[i].local,
                                              .loopback = !app->sockets.at[i].remote &&
                                                          !app->sockets.at[i].local};
    rc = server_open(&so, &app->server, err);
    if (rc == 0)
        rc = server_set_keys(app->server, &keys, err);
    if (rc != 0)
        goto no_server;
    if (has_waiting(app) && app->replaces.fd < 0)
        trit_assert(uv_timer_start(&app->accept, stop_waiting, WAIT_SECONDS * 1000, 0) == 0);
    notify_status(&app->notify, "Loading %.120s", c->model);
    app->loading.data = app;
    app->is_loading = true;
    trit_assert(uv_queue_work(&app->loop, &app->loading, load, loaded) == 0);

    slice_short(); /* The pool is there by now, and the engine's threads come from it. */
    uv_run(&app->loop, UV_RUN_DEFAULT);

    engine_close(&app->engine);
    server_close(&app->server);
    model_close(&app->model);
no_server:
    server_close(&app->server);
    close_loop(app);
no_loop:
    if (*c->port_file && !app->replaced)
        unlink(c->port_file);
no_socket:
    listen_close_one(&app->agent);
    listen_close(&app->sockets);
    tls_let_go(&cert);
    keys_free(&keys);
    return rc;
}

/* The path that we were started by, so that what lies there later is what is started later; where
 * that was looked up in PATH, what it has led to. */
static void find_program(struct app *app)
{
    ssize_t len = -1;
    if (strchr(app->argv[0], '/'))
        len = snprintf(app->program, sizeof app->program, "%s", app->argv[0]);
    else
        len = readlink("/proc/self/exe", app->program, sizeof app->program - 1);
    app->program[MAX(len, 0)] = '\0';
}

/* What the manager has kept for a process with other settings. */
static void drop_unwanted(struct app *app)
{
    if (!app->stores || !app->conf.prefix_cache)
        (void)handed_drop(&app->handed, HANDED_KV, &app->notify);
    if (!app->stores && app->replaces.fd < 0)
        (void)handed_drop(&app->handed, HANDED_WEIGHTS, &app->notify);
}

static void open_log(const struct conf *c)
{
    bool journal = notify_stderr_is_journal();
    log_open((enum log_level)log_level_parse(c->log_level), journal);
    log_set_json(strcmp(c->log_format, "json") == 0);
    if (journal)
        (void)log_to_journal(NULL); /* Without it the journal gets lines. */
}

int main(int argc, char **argv)
{
    struct app app = {.argc = argc, .argv = argv, .agent.fd = -1};
    struct trit_error err;
    struct keys keys;
    struct tls_cert *cert;
    enum conf_action action;
    if (conf_load(argc, argv, &app.conf, &action, &err) != 0) {
        fprintf(stderr, "tritd: %s\n", err.text);
        return EXIT_FAILURE;
    }
    switch (action) {
    case CONF_HELP:
        conf_help(stdout);
        break;
    case CONF_LIST:
        conf_list(stdout);
        break;
    case CONF_VERSION:
        version_print(stdout);
        break;
    case CONF_CHECK:
        if (load_cert(&app.conf, &cert, &err) != 0 || load_keys(&app.conf, &keys, &err) != 0) {
            fprintf(stderr, "tritd: %s\n", err.text);
            app.exit_code = EXIT_FAILURE;
            break;
        }
        tls_let_go(&cert);
        keys_free(&keys);
        conf_print(&app.conf, stdout);
        break;
    case CONF_RUN:
        /* A client that leaves in the middle of an answer is no reason to die. */
        signal(SIGPIPE, SIG_IGN);
        open_log(&app.conf);
        upgrade_child_open(&app.replaces);
        notify_open(&app.notify);
        notify_mute(&app.notify, app.replaces.fd >= 0);
        handed_open(&app.handed, app.replaces.fd >= 0);
        app.stores = app.conf.fd_store && app.notify.fd >= 0;
        drop_unwanted(&app);
        find_program(&app);
        if (serve(&app, &err) != 0) {
            log_error("%s", err.text);
            notify_status(&app.notify, "%s", err.text);
            app.exit_code = EXIT_FAILURE;
        }
        log_notice("stopped exit=%d", app.exit_code);
        handed_close(&app.handed);
        notify_close(&app.notify);
        log_stop(LOG_LAST_SECONDS);
        break;
    }
    conf_fini(&app.conf);
    /* --help | head, or a full disk: what could not be written was not said. */
    if (fflush(stdout) != 0)
        app.exit_code = EXIT_FAILURE;
    return app.exit_code;
}
