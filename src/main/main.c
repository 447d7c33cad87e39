/* SPDX-License-Identifier: MIT */
/*
 * main.c - the daemon's life: start-up in order, the loop, and the exact reverse.
 *
 *     configuration - kernels - listening socket - loop and signals - server (answers "loading")
 *         - on a thread: model, engine - server serves - ... - drain
 *         - engine closed - server closed - model closed - loop - socket - configuration
 *
 * The socket is opened first, so that a port in use is known in milliseconds and clients of a
 * restart wait in its backlog.  The state moves one way: LOADING, SERVING, STOPPING.
 *
 * Only this file ends the process: 0 after a stop that was asked for, 1 with an error on stderr.
 */
#include "config.h"

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
#include "engine/stats.h"
#include "server/keys.h"
#include "server/server.h"
#include "server/tls.h"
#include "main/conf.h"
#include "main/listen.h"
#include "main/notify.h"
#include "main/plan.h"
#include "main/version.h"

/* How often the service manager hears from us, and how much time each request for more asks for. */
#define NOTIFY_SECONDS 5.0
#define EXTEND_SECONDS 30

enum state { LOADING, SERVING, STOPPING };

enum { N_SIGNALS = 3 };
static const int signals[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

struct app {
    int argc;
    char **argv;
    struct conf conf;
    struct listeners sockets;
    struct notify notify;
    const struct kernels *kernels;
    uv_loop_t loop;
    uv_signal_t on_signal[N_SIGNALS];
    uv_timer_t tick; /* towards the service manager; stopped without one */
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

    atomic_bool stop_loading; /* polled by model_load */
    bool is_loading;          /* loop: the thread has not ended yet */
};

/* ------------------------------------------------------------------ loading, on a pool thread */

static void load(uv_work_t *work)
{
    struct app *app = work->data;
    const struct conf *c = &app->conf;
    plan_types(c, &app->plan);
    struct model_options mo = {
        .layout = app->kernels->layout,
        .tables = app->plan.tables,
        .shared = c->shared,
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
        .queue_requests = c->queue_requests,
        .queue_tokens = c->queue_tokens,
        .events = server_events(app->server),
    };
    app->load_rc = engine_open(&eo, &app->engine, &app->load_err);
    if (app->load_rc == 0)
        app->load_rc = model_publish(app->model, &app->load_err);
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
    app->state = SERVING;
    server_serve(app->server, app->model, app->engine);
    log_notice("ready url=%s model=\"%s\" encoding=%s chat=%s kernels=%s threads=%u ctx=%u "
               "kv_bytes=%zu",
               app->sockets.at[0].url, app->model->name, app->model->encoding,
               chat_family(app->model->chat), app->kernels->name, app->plan.threads,
               app->plan.n_ctx, app->plan.kv_bytes);
    notify_send(&app->notify, "READY=1");
    notify_status(&app->notify, "Serving %.100s", app->model->name);
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
     * or wait in systemd's copy of the socket for the next start. */
    listen_close(&app->sockets);
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
    if (signo != SIGHUP)
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

/* The loop, its signals, and the timer that talks to the service manager if there is one. */
static int open_loop(struct app *app, struct trit_error *err)
{
    int rc = uv_loop_init(&app->loop);
    if (rc != 0)
        return trit_fail(err, TRIT_EIO, "cannot open the event loop: %s", uv_strerror(rc));
    app->tick.data = app;
    trit_assert(uv_timer_init(&app->loop, &app->tick) == 0);
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
    int rc = listen_open(&w, &app->sockets, err);
    for (size_t i = 0; i < app->sockets.n; i++)
        log_notice("listening url=%s from=%s", app->sockets.at[i].url,
                   app->sockets.at[i].activated ? "systemd" : "configuration");
    return rc;
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
        .max_connections = plan_connections(c->max_connections * n_sockets) / n_sockets,
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
    if (*c->port_file)
        unlink(c->port_file);
no_socket:
    listen_close(&app->sockets);
    tls_let_go(&cert);
    keys_free(&keys);
    return rc;
}

int main(int argc, char **argv)
{
    struct app app = {.argc = argc, .argv = argv};
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
        log_open((enum log_level)log_level_parse(app.conf.log_level), notify_stderr_is_journal());
        notify_open(&app.notify);
        if (serve(&app, &err) != 0) {
            log_error("%s", err.text);
            notify_status(&app.notify, "%s", err.text);
            app.exit_code = EXIT_FAILURE;
        }
        log_notice("stopped exit=%d", app.exit_code);
        notify_close(&app.notify);
        break;
    }
    conf_fini(&app.conf);
    /* --help | head, or a full disk: what could not be written was not said. */
    if (fflush(stdout) != 0)
        app.exit_code = EXIT_FAILURE;
    return app.exit_code;
}
