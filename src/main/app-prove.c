/* SPDX-License-Identifier: MIT */
/*
 * app-prove.c - weights that are proved when clients are served already.
 *
 * Where weights were found packed, the first step proves them, and at the start clients need not
 * wait for that: it is theirs if they are there (engine.h).  Weights that turn out to be damaged
 * are packed anew on a thread of the pool, and clients wait so long.  What the model has of its
 * segment is the loop's, so the new ones take their place here, where the engine computes nothing.
 *
 * What cannot be packed anew ends the daemon, as at any other start.
 */
#include "config.h"
#include "main/app.h"

#include "base/base.h"
#include "model/model.h"
#include "engine/engine.h"

static void prove_in_pool(uv_work_t *work)
{
    app_prove_model(work->data);
}

/* They are mended; whoever waits is computed with them, which proves them. */
static int mend(struct app_model *m)
{
    int rc = model_take_weights(m->model, &m->fresh, &m->err);
    if (rc)
        return rc;
    app_store(m);
    engine_mended(m->engine);
    app_prove(m);
    return 0;
}

static void proved(uv_work_t *work, int status)
{
    struct app_model *m = work->data;
    struct app *app = m->app;
    int rc = m->rc;
    (void)status;
    app->n_works--;
    app->loading = NULL;
    if (rc == 0 && m->fresh)
        rc = mend(m); /* and a thread has it again */
    if (rc == 0)
        app_load_next(app);
    else if (app->state == STOPPING)
        uv_stop(&app->loop); /* Nobody who waits will be answered. */
    else
        app_give_up(app, m->err.text);
}

void app_prove(struct app_model *m)
{
    struct app *app = m->app;
    m->work.data = m;
    app->loading = m;
    app->n_works++;
    trit_assert(uv_queue_work(&app->loop, &m->work, prove_in_pool, proved) == 0);
}
