/* SPDX-License-Identifier: MIT */
/*
 * app-load.c - from a model's configuration to a model and its engine, on a thread of libuv's pool.
 */
#include "config.h"
#include "main/app.h"

#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/team.h"
#include "model/model.h"
#include "model/reading.h"
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

/*
 * What the manager has kept of its pages; or POOL_NEW.  They are of use beside the weights that
 * they were computed with: where those were not taken, as they are not if they are damaged, these
 * are not either.
 */
static int take_pages(struct app_model *m)
{
    struct app *app = m->app;
    bool lasting = app->stores && *m->kv && m->conf.prefix_cache;
    int kv = lasting ? handed_take(&app->handed, m->kv) : -1;
    if (kv >= 0 && !m->model->segment.adopted) {
        log_notice("kv-pool kept=no reason=\"the weights that it was computed with are not\"");
        close(kv);
        kv = -1;
    }
    return kv >= 0 ? kv : POOL_NEW;
}

static int open_engine(struct app_model *m, struct trit_error *err)
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
        .max_batch = m->plan.max_batch,
        .step_tokens = c->step_tokens,
        .token_target = c->token_target,
        .draft_tokens = c->draft_tokens,
        .prefix_cache = c->prefix_cache,
        .lasting = app->stores && *m->kv,
        .kv_fd = take_pages(m),
        .queue_requests = c->queue_requests,
        .queue_tokens = c->queue_tokens,
        .prove_later = m->early,
        .events = server_events(app->server),
    };
    return engine_open(&eo, &m->engine, err);
}

/* What the configuration says about how the file is read. */
static int read_reading(const struct conf *c, struct reading *r, struct trit_error *err)
{
    *r = (struct reading){.as_it_is = c->unchecked};
    if (strcmp(c->order, "published") != 0)
        trit_assert(reading_order(r, c->order)); /* conf.c knows the words */
    return *c->tiles ? reading_tiles(r, c->tiles, err) : 0;
}

static struct model_options options_of(const struct app_model *m, const struct reading *reading)
{
    const struct conf *c = &m->conf;
    struct app *app = m->app;
    return (struct model_options){
        .layout = app->kernels->layout,
        .tables = m->plan.tables,
        .reading = reading,
        .shared = c->shared && !app->stores,
        .mlock = c->mlock,
        .chat_template = *c->chat_template ? c->chat_template : NULL,
        .stop = &app->stop_loading,
    };
}

/* Model, and engine, with a token computed unless it is early.  The weights that the manager has
 * kept of it, -1: none, are taken. */
static void load(struct app_model *m, const struct reading *reading, int weights)
{
    const struct conf *c = &m->conf;
    plan_types(c, &m->plan);
    struct model_options mo = options_of(m, reading);
    mo.adopt = weights >= 0;
    mo.kept_fd = weights;
    /* Within the first token, which takes longer then, so nobody else may wait for the crew; and
     * its threads should be all that could read memory. */
    mo.prove_later = m->alone && m->threads >= team_usable_cpus();
    m->rc = model_load(c->model, &mo, &m->model, &m->err);
    if (m->rc != 0)
        return;
    m->rc = plan_make(c, m->model, m->share, &m->plan, &m->err);
    if (m->rc == 0)
        m->rc = open_crew(m, &m->err);
    if (m->rc == 0) {
        m->plan.threads = m->threads;
        m->rc = open_engine(m, &m->err);
    }
}

void app_load_model(struct app_model *m)
{
    struct app *app = m->app;
    double start = trit_now();
    struct reading reading;
    m->rc = read_reading(&m->conf, &reading, &m->err);
    if (m->rc != 0)
        return;
    /* What is not taken is given up when all are loaded. */
    int weights = *m->weights ? handed_take(&app->handed, m->weights) : -1;
    load(m, &reading, weights);
    if (m->rc != 0 && m->model && model_is_damaged(m->model)) { /* Pack them anew. */
        model_reject(&m->model);
        load(m, &reading, -1);
    }
    if (m->rc == 0)
        m->rc = model_publish(m->model, &m->err);
    m->seconds = trit_now() - start;
}

void app_prove_model(struct app_model *m)
{
    m->rc = engine_await_proof(m->engine, &m->err);
    if (m->rc == 0)
        m->rc = model_publish(m->model, &m->err);
}

void app_repack_model(struct app_model *m)
{
    struct reading reading;
    m->rc = read_reading(&m->conf, &reading, &m->err);
    if (m->rc)
        return;
    struct model_options mo = options_of(m, &reading);
    m->rc = model_repack(m->model, m->conf.model, &mo, &m->fresh, &m->err);
}
