/* SPDX-License-Identifier: MIT */
/*
 * app-prove.c - weights that are proved when clients are served already.
 *
 * Where weights were found packed, the first step proves them, and at the start clients need not
 * wait for that: it is theirs if they are there (engine.h).  Weights that turn out to be damaged
 * are packed anew on a thread of the pool, and clients wait so long.  What the model has of its
 * segment is the loop's, so the new ones take their place here, where the engine computes nothing.
 *
 * What cannot be packed anew ends the daemon, as at any other start; a daemon that stops meanwhile
 * packs no more, and who waits is told so.
 */
#include "config.h"
#include "main/app.h"

#include "base/base.h"
#include "model/model.h"
#include "engine/engine.h"

/* Whole weights will not be had. */
static void give_up(struct app_model *m)
{
    if (m->app->state != STOPPING)
        app_give_up(m->app, m->err.text);
    else if (model_is_damaged(m->model))
        engine_stop(m->engine); /* Who waits is told that, and so the drain ends. */
}

/* On a thread of the pool; until `after` nothing else is loaded. */
static void begin(struct app_model *m, uv_work_cb in_pool, uv_after_work_cb after)
{
    struct app *app = m->app;
    m->work.data = m;
    app->loading = m;
    app->n_works++;
    trit_assert(uv_queue_work(&app->loop, &m->work, in_pool, after) == 0);
}

/* What `after` begins with. */
static struct app_model *end(uv_work_t *work)
{
    struct app_model *m = work->data;
    m->app->n_works--;
    m->app->loading = NULL;
    return m;
}

/* ------------------------------------------------------------------ packing anew */

static void repack_in_pool(uv_work_t *work)
{
    app_repack_model(work->data);
}

/* They are mended, and whoever waits is computed with them, which proves them. */
static void repacked(uv_work_t *work, int status)
{
    struct app_model *m = end(work);
    (void)status;
    if (m->rc == 0)
        m->rc = model_take_weights(m->model, &m->fresh, &m->err);
    if (m->rc) {
        give_up(m);
        return;
    }
    app_store(m);
    engine_mended(m->engine);
    app_prove(m);
}

/* ------------------------------------------------------------------ the proof */

static void prove_in_pool(uv_work_t *work)
{
    app_prove_model(work->data);
}

static void proved(uv_work_t *work, int status)
{
    struct app_model *m = end(work);
    (void)status;
    if (m->rc == 0) {
        app_load_next(m->app);
    } else if (m->app->state != STOPPING && model_is_damaged(m->model)) {
        /* The next process is not to find them, should this one not mend them. */
        app_unstore_weights(m);
        begin(m, repack_in_pool, repacked);
    } else {
        give_up(m);
    }
}

void app_prove(struct app_model *m)
{
    begin(m, prove_in_pool, proved);
}
