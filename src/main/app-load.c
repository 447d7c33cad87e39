/* SPDX-License-Identifier: MIT */
/*
 * app-load.c - from the configuration to a model that is served.
 *
 * Model and engine are opened on a thread of libuv's pool, while the loop answers "loading".  Then
 * clients are served: at once, or, where we replace a process that still runs, when it has stepped
 * down.
 */
#include "config.h"
#include "main/app.h"

#include <stdlib.h>

#include "base/base.h"
#include "base/log.h"
#include "model/chat.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/engine.h"
#include "engine/pool.h"
#include "server/server.h"

/* Loading takes milliseconds when the weights are packed.  Who has waited for so long is told that
 * we are loading. */
enum { WAIT_SECONDS = 5 };

static enum seq_pool pooling_of(const struct conf *c)
{
    return strcmp(c->pooling, "mean") == 0   ? SEQ_POOL_MEAN
           : strcmp(c->pooling, "last") == 0 ? SEQ_POOL_LAST
                                             : SEQ_POOL_NONE;
}

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

static void give_up(struct app *app, const char *why)
{
    log_error("%s", why);
    app->exit_code = EXIT_FAILURE;
    app->state = STOPPING;
    notify_status(&app->notify, "%s", why);
    uv_stop(&app->loop);
}

static void serve_clients(struct app *app)
{
    const struct conf *c = &app->conf;
    struct trit_error err;
    app->state = SERVING;
    app_store(app);
    const struct server_model sm = {.model = app->model,
                                    .engine = app->engine,
                                    .alias = *c->alias ? c->alias : NULL,
                                    .path = c->model,
                                    .pooling = pooling_of(c)};
    struct served *served;
    if (server_add(app->server, &sm, NULL, &served, &err)) {
        give_up(app, err.text);
        return;
    }
    server_serve(app->server);
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
        give_up(app, app->load_err.text);
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

void app_wait(struct app *app)
{
    trit_assert(uv_timer_start(&app->accept, stop_waiting, WAIT_SECONDS * 1000, 0) == 0);
}

void app_load(struct app *app)
{
    app->loading.data = app;
    app->is_loading = true;
    trit_assert(uv_queue_work(&app->loop, &app->loading, load, loaded) == 0);
}
