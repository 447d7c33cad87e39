/* SPDX-License-Identifier: MIT */
/*
 * app-models.c - the daemon's models: loaded one after the other, served, replaced, taken out.
 *
 * At the start all of them have to be there, and in the table of the server, before clients are
 * served: at once, or, where we replace a process that still runs, when it has stepped down.  It
 * does so only for one that cannot fail any more.  Later one more is loaded beside
 * those that serve; if it has the name of another it takes its place when it is ready, and the
 * other goes when its last request is over.
 */
#include "config.h"
#include "main/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/model.h"
#include "model/segment.h"
#include "kernels/kernels.h"
#include "engine/crew.h"
#include "engine/engine.h"
#include "main/conf-key.h"

/* Loading takes milliseconds when the weights are packed.  Who has waited for so long is told that
 * we are loading. */
enum { WAIT_SECONDS = 5 };

/* ------------------------------------------------------------------ the list */

const char *app_model_name(const struct app_model *m)
{
    return *m->conf.alias ? m->conf.alias : m->model ? m->model->name : m->conf.model;
}

struct app_model *app_add_model(struct app *app, const struct conf *c, const char *name,
                                const char *path, struct trit_error *err)
{
    struct app_model *m = mem_zalloc(1, sizeof *m), **last = &app->models;
    if (!m) {
        trit_fail(err, TRIT_ENOMEM, "no memory for a model");
        return NULL;
    }
    if (conf_copy_model(c, name, path, &m->conf, err)) {
        mem_free(m);
        return NULL;
    }
    m->app = app;
    while (*last)
        last = &(*last)->next;
    *last = m;
    return m;
}

void app_drop_model(struct app_model *m)
{
    struct app_model **link = &m->app->models;
    trit_assert(!m->model && !m->engine);
    while (*link != m)
        link = &(*link)->next;
    *link = m->next;
    conf_fini(&m->conf);
    mem_free(m);
}

static struct app_model *find_ready(struct app *app, const char *name)
{
    for (struct app_model *m = app->models; m; m = m->next)
        if (m->state == MODEL_READY && strcmp(app_model_name(m), name) == 0)
            return m;
    return NULL;
}

static unsigned count(const struct app *app, enum app_model_state state)
{
    unsigned n = 0;
    for (const struct app_model *m = app->models; m; m = m->next)
        n += m->state == state;
    return n;
}

/* ------------------------------------------------------------------ the end of one */

static void close_in_pool(uv_work_t *work)
{
    struct app_model *m = work->data;
    engine_close(&m->engine);
    model_close(&m->model);
}

static void closed(uv_work_t *work, int status)
{
    struct app_model *m = work->data;
    (void)status;
    m->app->n_works--;
    app_drop_model(m);
}

/* Nobody uses it any more, and it is not short to close. */
static void close_model(struct app_model *m)
{
    trit_assert(m->app->loading != m);
    m->state = MODEL_CLOSES;
    m->work.data = m;
    m->app->n_works++;
    trit_assert(uv_queue_work(&m->app->loop, &m->work, close_in_pool, closed) == 0);
}

/* Its last request is over. */
static void gone(void *arg)
{
    struct app_model *m = arg;
    log_notice("model-unloaded name=\"%s\"", app_model_name(m));
    if (!m->app->works_ended) /* else app_close_models closes it with the rest */
        close_model(m);
}

static void take_out(struct app_model *m)
{
    log_notice("model-leaves name=\"%s\" requests=%u", app_model_name(m),
               server_model_users(m->served));
    m->state = MODEL_ENDS;
    app_unstore(m);
    server_remove(m->app->server, m->served);
    app_remember(m->app);
}

/* ------------------------------------------------------------------ ready to serve */

static enum seq_pool pooling_of(const struct conf *c)
{
    return strcmp(c->pooling, "mean") == 0   ? SEQ_POOL_MEAN
           : strcmp(c->pooling, "last") == 0 ? SEQ_POOL_LAST
                                             : SEQ_POOL_NONE;
}

/* What the manager keeps under old's names is m's from now on. */
static void take_names(struct app_model *m, const struct app_model *old)
{
    memcpy(m->weights, old->weights, sizeof m->weights);
    memcpy(m->kv, old->kv, sizeof m->kv);
}

/* Into the server's table, in the place of one of its name. */
static int add_to_server(struct app_model *m, struct trit_error *err)
{
    const struct server_model sm = {.model = m->model,
                                    .engine = m->engine,
                                    .alias = *m->conf.alias ? m->conf.alias : NULL,
                                    .path = m->conf.model,
                                    .pooling = pooling_of(&m->conf),
                                    .gone = gone,
                                    .arg = m};
    struct app_model *old = find_ready(m->app, app_model_name(m));
    int rc = server_add(m->app->server, &sm, old ? old->served : NULL, &m->served, err);
    if (rc)
        return rc;
    m->state = MODEL_READY;
    if (old) {
        /* Of the same name; what old is called may be gone, if a thread closes it already. */
        log_notice("model-leaves name=\"%s\" replaced=yes", app_model_name(m));
        if (old->state == MODEL_READY) /* else it is over already */
            old->state = MODEL_ENDS;
        m->first = old->first;
        take_names(m, old);
    }
    return 0;
}

void app_give_up(struct app *app, const char *why)
{
    log_error("%s", why);
    app->exit_code = EXIT_FAILURE;
    app->state = STOPPING;
    notify_status(&app->notify, "%s", why);
    uv_stop(&app->loop);
}

static void log_ready(const struct app_model *m)
{
    const struct app *app = m->app;
    log_notice("ready url=%s model=\"%s\" encoding=%s chat=%s kernels=%s threads=%u ctx=%u "
               "kv_bytes=%zu load_seconds=%.3f",
               app->sockets.at[0].url, app_model_name(m), m->model->encoding,
               chat_family(m->model->chat), app->kernels->name, m->plan.threads, m->plan.n_ctx,
               m->plan.kv_bytes, m->seconds);
}

/* All that may fail before clients are served: a predecessor that has stepped down is not there to
 * go on. */
static int add_all_to_server(struct app *app, struct trit_error *err)
{
    int rc = 0;
    app_drop_clashing(app);
    for (struct app_model *m = app->models; m && rc == 0; m = m->next)
        rc = find_ready(app, app_model_name(m))
                 ? trit_fail(err, TRIT_EINVAL,
                             "two models are called \"%.100s\": give one an alias, or a section",
                             app_model_name(m))
                 : add_to_server(m, err);
    return rc;
}

static void serve_clients(struct app *app)
{
    app->state = SERVING;
    for (struct app_model *m = app->models; m; m = m->next)
        app_store(m);
    app_drop_left_over(app);
    app_remember(app);
    server_serve(app->server);
    for (const struct app_model *m = app->models; m; m = m->next)
        log_ready(m);
    notify_send(&app->notify, "READY=1");
    notify_status(&app->notify, "Serving %.100s", app_model_name(app->models));
    if (app->models->early)
        app_prove(app->models);
}

/* The predecessor has answered that we are the daemon now; or it is gone. */
static void take_over(bool go, void *arg)
{
    struct app *app = arg;
    if (app->state == STOPPING)
        return;
    if (go) {
        notify_mute(&app->notify, false);
        app_take_ports(app);
        serve_clients(app);
        return;
    }
    app_give_up(app, "upgrade given_up reason=\"the process to replace goes on, or has ended\"");
}

/* ------------------------------------------------------------------ loading */

static void load_in_pool(uv_work_t *work)
{
    app_load_model(work->data);
}

/* While clients are served. */
static void finish_load(struct app_model *m)
{
    struct trit_error err = m->err;
    int rc = m->rc;
    if (rc == 0 && m->unwanted)
        rc = trit_fail(&err, TRIT_ECANCELLED, "%s: was taken out while it was loaded",
                       app_model_name(m));
    if (rc == 0)
        rc = add_to_server(m, &err);
    if (rc == 0) {
        app_store(m);
        log_ready(m);
        if (!m->configured)
            (void)app_drop_failed(m->app, app_model_name(m));
        app_remember(m->app);
    } else {
        log_error("model-failed name=\"%s\" path=\"%s\" error=\"%s\"", app_model_name(m),
                  m->conf.model, err.text);
    }
    if (m->done)
        m->done(m->done_arg, rc ? NULL : m->served, &err);
    m->done = NULL;
    if (rc == 0)
        return;
    if (m->configured && !m->unwanted) {
        /* It stays, to say so; what it has of memory does not. */
        engine_close(&m->engine);
        model_close(&m->model);
        m->err = err;
        m->state = MODEL_FAILED;
    } else {
        close_model(m);
    }
}

static void loaded(uv_work_t *work, int status)
{
    struct app_model *m = work->data;
    struct app *app = m->app;
    (void)status; /* libuv never cancels this work; stop_loading ends it in order. */
    app->n_works--;
    app->loading = NULL;
    if (m->engine && m->threads != app->threads)
        engine_set_threads(m->engine, app->threads);
    if (app->state == STOPPING) {
        if (app->is_loading)
            uv_stop(&app->loop);
        app->is_loading = false;
        m->state = MODEL_LOADED; /* and is closed with the rest */
        app_refuse_waiting(app);
    } else if (app->state == SERVING) {
        finish_load(m);
        app_load_next(app);
    } else if (m->rc == 0) {
        m->state = MODEL_LOADED;
        app_load_next(app);
    } else if (app_fall_back(m)) {
        app_load_next(app);
    } else {
        app->is_loading = false;
        app_give_up(app, m->err.text);
    }
}

void app_refuse_waiting(struct app *app)
{
    struct trit_error err;
    trit_fail(&err, TRIT_EDRAINING, "%s", trit_err_text(TRIT_EDRAINING));
    for (struct app_model *m = app->models; m; m = m->next) {
        if (!m->done || m->state == MODEL_LOADS)
            continue;
        m->done(m->done_arg, NULL, &err);
        m->done = NULL;
    }
}

/* Who was taken out of the configuration goes when those that came have come. */
static void settle(struct app *app)
{
    for (struct app_model *m = app->models, *next; m; m = next) {
        next = m->next;
        if (m->unwanted && m->state == MODEL_FAILED)
            app_drop_model(m);
        else if (m->unwanted && m->state == MODEL_READY && count(app, MODEL_READY) > 1)
            take_out(m);
    }
    if (app->reloading) {
        app->reloading = false;
        notify_send(&app->notify, "READY=1");
    }
}

static void all_loaded(struct app *app)
{
    struct trit_error err;
    app->is_loading = false;
    if (add_all_to_server(app, &err) != 0)
        app_give_up(app, err.text);
    else if (app->replaces.fd >= 0)
        upgrade_child_ready(&app->replaces, &app->loop, take_over, app);
    else
        serve_clients(app);
}

void app_load_next(struct app *app)
{
    struct app_model *m = app->models;
    if (app->loading || app->state == STOPPING)
        return;
    while (m && m->state != MODEL_WAITS)
        m = m->next;
    if (!m && app->state == LOADING) {
        if (app->models)
            all_loaded(app);
        else /* All were taken out but some that cannot be had any more. */
            app_load(app);
        return;
    }
    if (!m) {
        settle(app);
        return;
    }
    m->share = count(app, MODEL_READY) + count(app, MODEL_LOADED) + count(app, MODEL_WAITS);
    m->threads = app->threads;
    m->alone = count(app, MODEL_READY) == 0;
    /* A successor shows first that it can compute: its predecessor still serves. */
    m->early = m->alone && !app->models->next && app->replaces.fd < 0;
    m->state = MODEL_LOADS;
    m->work.data = m;
    app->loading = m;
    app->n_works++;
    trit_assert(uv_queue_work(&app->loop, &m->work, load_in_pool, loaded) == 0);
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

void app_name_kept(struct app_model *m)
{
    char tag[16] = "";
    const char *name = *m->conf.alias ? m->conf.alias : m->conf.model;
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    if (!m->first)
        snprintf(tag, sizeof tag, "-%08x", h);
    snprintf(m->weights, sizeof m->weights, HANDED_WEIGHTS "%s", tag);
    snprintf(m->kv, sizeof m->kv, HANDED_KV "%s", tag);
}

struct app_model *app_add_configured(struct app *app, const struct conf *c, struct trit_error *err)
{
    struct app_model *m = app_add_model(app, c, NULL, NULL, err);
    if (!m)
        return NULL;
    m->configured = true;
    m->first = c == &app->conf;
    app_name_kept(m);
    return m;
}

void app_load(struct app *app)
{
    struct trit_error err;
    app->is_loading = true;
    app->threads = plan_threads(&app->conf);
    segment_set_dir(app->conf.shm_dir); /* of all models, as long as we live */
    if (app_add_start(app, &err) != 0) {
        app->is_loading = false;
        app_give_up(app, err.text);
        return;
    }
    app_load_next(app);
}

/* ------------------------------------------------------------------ the API */

static int set_text(struct conf *c, const char *name, const char *text, struct trit_error *err)
{
    return text ? conf_set(c, conf_find(name, strlen(name)), text, CONF_COMMAND, name, err) : 0;
}

/* What is said of how the file is read, and nothing else: it replaces all that was said of it. */
static int set_reading(struct conf *c, const struct server_wish *wish, struct trit_error *err)
{
    if (!wish->order && !wish->tiles && !wish->unchecked)
        return 0;
    int rc = set_text(c, "order", wish->order ? wish->order : "published", err);
    if (rc == 0)
        rc = set_text(c, "tiles", wish->tiles ? wish->tiles : "", err);
    return rc ? rc : set_text(c, "unchecked", wish->unchecked ? "yes" : "no", err);
}

static int admin_load(void *arg, const struct server_wish *wish, server_loaded_fn done,
                      void *done_arg, struct trit_error *err)
{
    struct app *app = arg;
    if (app->state != SERVING)
        return trit_fail(err, TRIT_EDRAINING, "shutting down");
    unsigned coming = count(app, MODEL_WAITS) + count(app, MODEL_LOADS);
    if (coming >= SERVER_MODELS)
        return trit_fail(err, TRIT_EBUSY, "%u models are waiting to be loaded", coming);
    /* A model of that name has its own settings, which the new one goes on with. */
    const struct app_model *same = find_ready(app, wish->name);
    struct app_model *m = app_add_model(app, same ? &same->conf : &app->conf, wish->name,
                                        wish->path, err);
    if (!m)
        return -err->code;
    int rc = set_reading(&m->conf, wish, err);
    if (rc) {
        app_drop_model(m);
        return rc;
    }
    m->done = done;
    m->done_arg = done_arg;
    m->first = same ? same->first : app_is_first(app, wish->name);
    app_name_kept(m);
    app_load_next(app);
    return 0;
}

static int admin_unload(void *arg, const char *name, struct trit_error *err)
{
    struct app *app = arg;
    struct app_model *m = find_ready(app, name);
    if (app->state != SERVING)
        return trit_fail(err, TRIT_EDRAINING, "shutting down");
    if (m && count(app, MODEL_READY) == 1)
        return trit_fail(err, TRIT_EINVAL,
                         "\"%.100s\" is the last model: load another one first, or stop the server",
                         name);
    bool any = app_drop_coming(app, name);
    if (!m && !any)
        return trit_fail(err, TRIT_ENOENT, "there is no model \"%.100s\" to take out", name);
    if (m)
        take_out(m);
    else
        app_remember(app);
    return 0;
}

static size_t admin_list(void *arg, struct server_absent *list, size_t cap)
{
    const struct app *app = arg;
    size_t n = 0;
    for (const struct app_model *m = app->models; m && n < cap; m = m->next)
        if (m->state == MODEL_WAITS || m->state == MODEL_LOADS || m->state == MODEL_FAILED)
            list[n++] =
                (struct server_absent){.name = app_model_name(m),
                                       .path = m->conf.model,
                                       .state = m->state == MODEL_WAITS   ? "waiting"
                                                : m->state == MODEL_LOADS ? "loading"
                                                                          : "failed",
                                       .error = m->state == MODEL_FAILED ? m->err.text : NULL};
    return n;
}

struct server_admin app_admin(struct app *app)
{
    return (struct server_admin){
        .load = admin_load, .unload = admin_unload, .list = admin_list, .arg = app};
}

/* ------------------------------------------------------------------ the end of all */

void app_end_works(struct app *app)
{
    atomic_store(&app->stop_loading, true);
    while (app->n_works)
        uv_run(&app->loop, UV_RUN_ONCE);
    app->works_ended = true;
}

void app_stop_engines(struct app *app)
{
    for (struct app_model *m = app->models; m; m = m->next)
        if (m->engine)
            engine_stop(m->engine);
}

void app_close_models(struct app *app)
{
    while (app->models) {
        engine_close(&app->models->engine);
        model_close(&app->models->model);
        model_close(&app->models->fresh);
        app_drop_model(app->models);
    }
    crew_close(&app->crew);
}
