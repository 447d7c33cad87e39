/* SPDX-License-Identifier: MIT */
/*
 * app-recall.c - what the API has changed about the models outlives the process.
 *
 * After each change the differences between the configuration and what is served are written down
 * (recall.h) and given to the manager, or to a successor.  The next process begins with the
 * configuration as it is by then, changed likewise, where that says of a model what it said before.
 * It is there to serve: a model of the list that cannot be had any more is given up, and the
 * configuration's is served in its place.
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

/* ------------------------------------------------------------------ remembering */

/* Whether the API has put it in the place of one of the configuration. */
static bool stands_for(const struct app *app, const struct app_model *m, const struct conf *c)
{
    return m->state == MODEL_READY && !m->configured &&
           (c == &app->conf ? m->first : strcmp(app_model_name(m), c->alias) == 0);
}

/* It is served, or it comes, or it has failed, or it has failed to replace its like. */
static bool is_there(const struct app *app, const struct conf *c)
{
    for (const struct app_model *m = app->models; m; m = m->next)
        if (m->configured && m->state != MODEL_ENDS && m->state != MODEL_CLOSES &&
            (conf_same_model(&m->conf, c) ||
             (*c->alias && strcmp(app_model_name(m), c->alias) == 0)))
            return true;
    return false;
}

static void list_changes(const struct app *app, struct buf *list)
{
    size_t n = conf_n_models(&app->conf);
    for (size_t i = 0; i < n; i++) {
        const struct conf *c = conf_model(&app->conf, i);
        const struct app_model *m = app->models;
        while (m && !stands_for(app, m, c))
            m = m->next;
        if (m && !conf_same_model(&m->conf, c))
            recall_add(list, c, &m->conf);
        else if (!m && !is_there(app, c))
            recall_add(list, c, NULL);
    }
    for (const struct app_model *m = app->models; m; m = m->next) {
        bool beside = m->state == MODEL_READY && !m->configured;
        for (size_t i = 0; i < n && beside; i++)
            beside = !stands_for(app, m, conf_model(&app->conf, i));
        if (beside)
            recall_add(list, NULL, &m->conf);
    }
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

/* Whether a section of the configuration is called so by now. */
static bool has_section(const struct app *app, const char *name)
{
    for (size_t i = 0; i < conf_n_models(&app->conf); i++)
        if (strcmp(conf_model(&app->conf, i)->alias, name) == 0)
            return true;
    return false;
}

static int add_recalled(struct app *app, const struct conf *c, int instead, struct trit_error *err)
{
    struct app_model *m = app_add_model(app, c, NULL, NULL, err);
    if (!m)
        return -err->code;
    m->instead = instead;
    m->first = instead >= 0 && conf_model(&app->conf, (size_t)instead) == &app->conf;
    app_name_kept(m, instead == 0);
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
            rc = add_recalled(app, &change->api, (int)i, err);
        else
            log_notice("model-recalled name=\"%s\" path=\"%s\" state=taken_out", c->alias,
                       c->model);
    }
    for (size_t i = 0; i < app->recall.n && rc == 0; i++) {
        const struct recall_change *change = &app->recall.at[i];
        if (change->has_file || has_section(app, change->api.alias))
            continue;
        if (count(app) < SERVER_MODELS)
            rc = add_recalled(app, &change->api, -1, err);
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
    if (m->instead < 0) {
        app_drop_model(m);
        return true;
    }
    if (conf_copy_model(conf_model(&app->conf, (size_t)m->instead), NULL, NULL, &c, &err) != 0)
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
