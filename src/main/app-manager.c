/* SPDX-License-Identifier: MIT */
/*
 * app-manager.c - what the service manager hears while the daemon lives, and what it keeps for the
 * next process.
 *
 * Not here: how it is told (notify.c), how the next process takes what was kept (handed.c).
 */
#include "config.h"
#include "main/app.h"

#include "base/base.h"
#include "base/log.h"
#include "model/model.h"
#include "engine/engine.h"
#include "engine/stats.h"

/* How often the manager hears from us, and how much time each request for more asks for. */
#define NOTIFY_SECONDS 5.0
#define EXTEND_SECONDS 30

/* How long the engine that has been silent for longest has been so; what all have to do. */
static double look_at_engines(const struct app *app, unsigned *running, unsigned *waiting)
{
    double silent = 0, now = trit_now();
    *running = *waiting = 0;
    for (const struct app_model *m = app->models; m; m = m->next) {
        if (m->state != MODEL_READY && m->state != MODEL_ENDS)
            continue;
        const struct engine_stats *st = engine_stats(m->engine);
        silent = MAX(silent, now - atomic_load(&st->heartbeat));
        *running += atomic_load(&st->running);
        *waiting += atomic_load(&st->waiting);
    }
    return silent;
}

static void tick_serving(struct app *app)
{
    struct notify *n = &app->notify;
    unsigned running, waiting, models = 0;
    double silent = look_at_engines(app, &running, &waiting);
    if (n->watchdog_seconds > 0 && silent < n->watchdog_seconds)
        notify_send(n, "WATCHDOG=1");
    else if (n->watchdog_seconds > 0)
        log_error("engine silent_seconds=%.1f", silent);
    const char *name = "";
    for (const struct app_model *m = app->models; m; m = m->next)
        if (m->state == MODEL_READY && models++ == 0)
            name = app_model_name(m);
    if (models == 1)
        notify_status(n, "Serving %.100s: %u running, %u waiting", name, running, waiting);
    else
        notify_status(n, "Serving %u models: %u running, %u waiting", models, running, waiting);
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
    case SERVING:
        tick_serving(app);
        break;
    case STOPPING: /* The drain has a deadline of its own, longer perhaps than systemd's. */
        notify_send(n, "EXTEND_TIMEOUT_USEC=%d", EXTEND_SECONDS * 1000000);
        break;
    }
}

void app_begin_ticks(struct app *app)
{
    double every = NOTIFY_SECONDS;
    if (app->notify.fd < 0)
        return;
    if (app->notify.watchdog_seconds > 0)
        every = MIN(every, app->notify.watchdog_seconds / 2);
    trit_assert(uv_timer_start(&app->tick, tick, 0, (uint64_t)MAX(every * 1e3, 1.0)) == 0);
}

void app_store(struct app_model *m)
{
    struct app *app = m->app;
    bool inherited;
    int kv = engine_kv_fd(m->engine, &inherited);
    const struct segment *weights = &m->model->segment;
    if (!app->stores || !*m->weights)
        return;
    if (!weights->adopted) {
        (void)notify_unstore(&app->notify, m->weights);
        (void)notify_store(&app->notify, m->weights, weights->fd);
    }
    if (!inherited) {
        (void)notify_unstore(&app->notify, m->kv);
        if (kv >= 0)
            (void)notify_store(&app->notify, m->kv, kv);
    }
    log_notice("fd-store weights=%s kv=%s warm_pages=%u", weights->adopted ? "kept" : "given",
               kv < 0      ? "none"
               : inherited ? "kept"
                           : "given",
               atomic_load(&engine_stats(m->engine)->kv_kept));
}

void app_unstore_weights(struct app_model *m)
{
    if (m->app->stores && *m->weights)
        (void)notify_unstore(&m->app->notify, m->weights);
}

void app_unstore(struct app_model *m)
{
    app_unstore_weights(m);
    if (m->app->stores && *m->weights)
        (void)notify_unstore(&m->app->notify, m->kv);
}

void app_drop_unwanted(struct app *app)
{
    if (!app->stores || !app->conf.prefix_cache)
        handed_drop_kind(&app->handed, HANDED_KV, &app->notify);
    if (!app->stores && app->replaces.fd < 0) {
        handed_drop_kind(&app->handed, HANDED_WEIGHTS, &app->notify);
        (void)handed_drop(&app->handed, HANDED_MODELS, &app->notify);
    }
}

void app_drop_left_over(struct app *app)
{
    handed_drop_models(&app->handed, &app->notify);
}
