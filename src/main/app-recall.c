/* SPDX-License-Identifier: MIT */
/*
 * app-recall.c - what the API has changed about the models outlives the process.
 *
 * Each model of the configuration is a place.  That of the keys outside of sections is marked
 * (m->first), since it may have no name before it is loaded; a section's goes by its name, and that
 * of a further model of the command line without a name by its file.  A model of the API has the
 * place that is called like it, whether it has replaced who was there or found the place empty; if
 * there is none, it is beside them.  What was asked for last counts:
 *
 *     SIGHUP, section is new    the configuration's has the place.  Until it is ready, who is there
 *             or has changed    serves; if it cannot be loaded it has failed, and is tried again at
 *                               each SIGHUP
 *     SIGHUP, section is as     nothing changes, but for one that has failed
 *             it was
 *     SIGHUP, section is gone   so is the place: whoever had it goes
 *     POST, once it is ready    the API's has the place; one that has failed is forgotten
 *     DELETE                    nobody has it: who serves goes, who has failed is forgotten, and
 *                               the configuration's that is to come is not served; what a POST
 *                               has sent for is, once it is ready
 *
 * After each change the differences between the configuration and what is served are written down
 * (recall.h) and given to the manager, or to a successor: which places the API's have, which are
 * nobody's, who is beside.  A place whose own model is still to come, or has failed, is the
 * configuration's.  The next process begins with the configuration as it is by then, in its order,
 * changed likewise where that says of a model what it said before.  It is there to serve: a model
 * of the list that cannot be had any more is given up, and the configuration's is served in its
 * place.
 */
#include "config.h"
#include "main/app.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "model/model.h"
#include "engine/engine.h"

/* ------------------------------------------------------------------ places */

bool app_is_first(const struct app *app, const char *name)
{
    return conf_model(&app->conf, 0) == &app->conf && *app->conf.alias &&
           strcmp(app->conf.alias, name) == 0;
}

/* The model of the configuration whose place it has; NULL: none's, it came beside them. */
static const struct conf *place_of(const struct app *app, const struct app_model *m)
{
    for (size_t i = 0; i < conf_n_models(&app->conf); i++) {
        const struct conf *c = conf_model(&app->conf, i);
        bool same = strcmp(m->conf.alias, c->alias) == 0 &&
                    (*c->alias || strcmp(m->conf.model, c->model) == 0);
        if (c == &app->conf ? m->first : same)
            return c;
    }
    return NULL;
}

/* ------------------------------------------------------------------ remembering */

/* Not one that is over, or will be as soon as may be. */
static bool counts(const struct app_model *m)
{
    return !m->unwanted && m->state != MODEL_ENDS && m->state != MODEL_CLOSES;
}

static bool is_of_api(const struct app_model *m)
{
    return !m->configured && m->state == MODEL_READY;
}

/* Whose that place will be: the configuration's own, even if it still comes or has failed, or else
 * one of the API.  NULL: nobody's. */
static const struct app_model *who_has(const struct app *app, const struct conf *place)
{
    const struct app_model *api = NULL;
    for (const struct app_model *m = app->models; m; m = m->next) {
        if (!counts(m) || place_of(app, m) != place)
            continue;
        if (m->configured)
            return m;
        if (is_of_api(m))
            api = m;
    }
    return api;
}

static void list_changes(const struct app *app, struct buf *list)
{
    for (size_t i = 0; i < conf_n_models(&app->conf); i++) {
        const struct conf *c = conf_model(&app->conf, i);
        const struct app_model *m = who_has(app, c);
        if (!m)
            recall_add(list, c, NULL);
        else if (!m->configured && !conf_same_model(&m->conf, c))
            recall_add(list, c, &m->conf);
    }
    for (const struct app_model *m = app->models; m; m = m->next)
        if (counts(m) && is_of_api(m) && !place_of(app, m))
            recall_add(list, NULL, &m->conf);
}

int app_save_changes(const struct app *app)
{
    struct buf list = {0};
    list_changes(app, &list);
    int fd = list.len ? recall_save(&list) : -1;
    if (list.len && fd < 0)
        log_warn("model-list kept=no error=\"%s\"", strerror(errno));
    buf_free(&list);
    return fd;
}

void app_remember(struct app *app)
{
    struct buf list = {0};
    app->changed = true;
    if (!app->stores || app->state != SERVING)
        return;
    list_changes(app, &list);
    bool same = !list.failed && list.len == app->remembered.len &&
                (list.len == 0 || memcmp(list.data, app->remembered.data, list.len) == 0);
    if (!same) {
        int fd = list.len ? recall_save(&list) : -1;
        if (app->remembered.len)
            (void)notify_unstore(&app->notify, HANDED_MODELS);
        if (fd >= 0 && notify_store(&app->notify, HANDED_MODELS, fd))
            log_info("model-list kept=yes bytes=%zu", list.len);
        else if (list.len)
            log_warn("model-list kept=no");
        if (fd >= 0)
            close(fd);
        buf_free(&app->remembered);
        app->remembered = list;
        return;
    }
    buf_free(&list);
}

/* ------------------------------------------------------------------ recalling */

void app_recall(struct app *app)
{
    struct trit_error err;
    int fd = handed_take(&app->handed, HANDED_MODELS);
    if (fd < 0)
        return;
    if (recall_read(fd, &app->conf, &app->recall, &app->remembered, &err) != 0)
        log_error("model-list kept=no error=\"%s\"", err.text);
    close(fd);
}

/* What is to be replaced is not in the configuration any more, or who came beside it is by now. */
static bool is_outdated(const struct app *app, const struct recall_change *change)
{
    bool any = false;
    for (size_t i = 0; i < conf_n_models(&app->conf) && !any; i++) {
        const struct conf *c = conf_model(&app->conf, i);
        any = change->has_file ? conf_same_model(&change->file, c)
                               : strcmp(change->api.alias, c->alias) == 0;
    }
    return any != change->has_file;
}

static int add_recalled(struct app *app, const struct conf *c, bool first, struct trit_error *err)
{
    struct app_model *m = app_add_model(app, c, NULL, NULL, err);
    if (!m)
        return -err->code;
    m->first = first;
    app_name_kept(m);
    log_notice("model-recalled name=\"%s\" path=\"%s\"", c->alias, c->model);
    return 0;
}

static int count(const struct app *app)
{
    int n = 0;
    for (const struct app_model *m = app->models; m; m = m->next)
        n++;
    return n;
}

int app_add_start(struct app *app, struct trit_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < conf_n_models(&app->conf) && rc == 0; i++) {
        const struct conf *c = conf_model(&app->conf, i);
        const struct recall_change *change = recall_find(&app->recall, c);
        if (!change)
            rc = app_add_configured(app, c, err) ? 0 : -err->code;
        else if (change->has_api)
            rc = add_recalled(app, &change->api, c == &app->conf, err);
        else
            log_notice("model-recalled name=\"%s\" path=\"%s\" state=taken_out", c->alias,
                       c->model);
    }
    for (size_t i = 0; i < app->recall.n && rc == 0; i++) {
        const struct recall_change *change = &app->recall.at[i];
        if (change->has_api && is_outdated(app, change))
            log_notice("model-recalled name=\"%s\" path=\"%s\" state=outdated", change->api.alias,
                       change->api.model);
        else if (change->has_file)
            continue; /* carried out above, or outdated */
        else if (count(app) < SERVER_MODELS)
            rc = add_recalled(app, &change->api, false, err);
        else
            log_error("model-failed name=\"%s\" recalled=yes error=\"more than %d models\"",
                      change->api.alias, SERVER_MODELS);
    }
    recall_free(&app->recall);
    return rc;
}

static void log_failed(const struct app_model *m, const char *why)
{
    log_error("model-failed name=\"%s\" path=\"%s\" recalled=yes error=\"%s\"", app_model_name(m),
              m->conf.model, why);
}

bool app_fall_back(struct app_model *m)
{
    struct app *app = m->app;
    struct trit_error err;
    struct conf c;
    if (m->configured)
        return false;
    log_failed(m, m->err.text);
    engine_close(&m->engine);
    model_close(&m->model);
    const struct conf *place = place_of(app, m);
    if (!place) {
        app_drop_model(m);
        return true;
    }
    if (conf_copy_model(place, NULL, NULL, &c, &err) != 0)
        return false;
    conf_fini(&m->conf);
    m->conf = c;
    m->configured = true;
    m->state = MODEL_WAITS;
    return true;
}

void app_drop_clashing(struct app *app)
{
    for (struct app_model *m = app->models, *next; m; m = next) {
        next = m->next;
        bool clashes = false;
        for (const struct app_model *o = app->models; o && !m->configured && !clashes; o = o->next)
            clashes = o->configured && strcmp(app_model_name(o), app_model_name(m)) == 0;
        if (!clashes)
            continue;
        log_failed(m, "a model of the configuration is called so");
        engine_close(&m->engine);
        model_close(&m->model);
        app_drop_model(m);
    }
}
