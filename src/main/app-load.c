/* SPDX-License-Identifier: MIT */
/*
 * app-load.c - from a model's configuration to a model and its engine, on a thread of libuv's pool.
 */
#include "config.h"
#include "main/app.h"

#include "base/base.h"
#include "base/team.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/crew.h"
#include "engine/engine.h"
#include "engine/pool.h"

/* The first to be loaded brings the workers of all. */
static int open_crew(struct app_model *m, struct trit_error *err)
{
    struct app *app = m->app;
    return app->crew ? 0
                     : crew_open(&app->crew, m->threads, plan_max_threads(m->threads), m->conf.pin,
                                 err);
}

static int open_engine(struct app_model *m, int kv, struct trit_error *err)
{
    const struct conf *c = &m->conf;
    struct app *app = m->app;
    struct engine_options eo = {
        .model = m->model,
        .kernels = app->kernels,
        .crew = app->crew,
        .threads = m->threads,
        .kv_type = m->plan.kv_type,
        .acts = m->plan.acts,
        .kv_bytes = m->plan.kv_bytes,
        .n_ctx = m->plan.n_ctx,
        .max_batch = c->max_batch,
        .step_tokens = c->step_tokens,
        .token_target = c->token_target,
        .draft_tokens = c->draft_tokens,
        .prefix_cache = c->prefix_cache,
        .lasting = app->stores && *m->kv,
        .kv_fd = kv >= 0 ? kv : POOL_NEW,
        .queue_requests = c->queue_requests,
        .queue_tokens = c->queue_tokens,
        .events = server_events(app->server),
    };
    return engine_open(&eo, &m->engine, err);
}

/* Model, and engine with a token computed.  What the manager has kept of it, -1: nothing, is taken. */
static void load(struct app_model *m, int weights, int kv)
{
    const struct conf *c = &m->conf;
    struct app *app = m->app;
    plan_types(c, &m->plan);
    struct model_options mo = {
        .layout = app->kernels->layout,
        .tables = m->plan.tables,
        .shared = c->shared && !app->stores,
        .adopt = weights >= 0,
        .kept_fd = weights,
        .mlock = c->mlock,
        /* Within the first token, which takes longer then, so nobody else may wait for the crew; and
         * its threads should be all that could read memory. */
        .prove_later = m->alone && m->threads >= team_usable_cpus(),
        .chat_template = *c->chat_template ? c->chat_template : NULL,
        .stop = &app->stop_loading,
    };
    m->rc = model_load(c->model, &mo, &m->model, &m->err);
    if (m->rc != 0)
        return;
    plan_make(c, m->model, m->share, &m->plan);
    m->rc = open_crew(m, &m->err);
    if (m->rc == 0) {
        m->plan.threads = m->threads;
        m->rc = open_engine(m, kv, &m->err);
    }
}

void app_load_model(struct app_model *m)
{
    const struct conf *c = &m->conf;
    struct app *app = m->app;
    double start = trit_now();
    int weights = *m->weights ? handed_take(&app->handed, m->weights) : -1;
    /* What is not taken is given up when all are loaded. */
    bool lasting = app->stores && *m->kv && c->prefix_cache;
    load(m, weights, lasting ? handed_take(&app->handed, m->kv) : -1);
    if (m->rc != 0 && m->model && model_is_damaged(m->model)) { /* Pack them anew. */
        model_reject(&m->model);
        load(m, -1, -1);
    }
    if (m->rc == 0)
        m->rc = model_publish(m->model, &m->err);
    m->seconds = trit_now() - start;
}
