/* SPDX-License-Identifier: MIT */
/*
 * app-change.c - models and templates after SIGHUP.
 *
 * What has changed in the file is carried out: a section that came is loaded, one that went is
 * taken out, one that says something else is loaded anew and replaces the old when it is ready.
 * What the API has loaded or taken out meanwhile stays so where the file says what it said before.
 * The model of the keys outside of sections changes with a restart, as those keys always have.
 */
#include "config.h"
#include "main/app.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "model/chat.h"
#include "model/model.h"

/* ------------------------------------------------------------------ models */

static const struct conf *find_section(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_more; i++)
        if (strcmp(c->more[i].alias, name) == 0)
            return &c->more[i];
    return NULL;
}

static struct app_model *find(const struct app *app, const char *name, enum app_model_state state)
{
    for (struct app_model *m = app->models; m; m = m->next)
        if (m->state == state && strcmp(app_model_name(m), name) == 0)
            return m;
    return NULL;
}

/* What the file now says of a section is what it said. */
static bool is_new(const struct app *app, const struct conf *section)
{
    const struct conf *old = find_section(&app->conf, section->alias);
    return *section->alias && !(old && conf_same_model(old, section));
}

static int check_file(const struct app *app, const struct conf *section, struct trit_error *err)
{
    int fd = open(section->model, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return trit_fail(err, errno == ENOENT ? TRIT_ENOENT : TRIT_EIO,
                     "[model %.64s]: model: %.200s cannot be opened: %s%s", section->alias,
                     section->model, strerror(errno),
                     errno == EACCES && app->conf.sandbox
                         ? "; the sandbox lets us read the folders of the start's models"
                         : "");
}

/* The model outside of sections is in the configuration, or is the built-in one, which leaves that
 * with the first section and is served until a restart. */
static bool has_first(const struct app *app)
{
    bool first = conf_model(&app->conf, 0) == &app->conf;
    for (const struct app_model *m = app->models; m && !first; m = m->next)
        first = m->first && m->state == MODEL_READY;
    return first;
}

int app_check_models(const struct app *app, const struct conf *fresh, struct trit_error *err)
{
    int rc = 0;
    if (app->state != SERVING) /* A file that says the same is as good as any. */
        for (size_t i = 0; i < MAX(fresh->n_more, app->conf.n_more) && rc == 0; i++)
            if (fresh->n_more != app->conf.n_more || is_new(app, &fresh->more[i]))
                return trit_fail(err, TRIT_ELOADING, "models are still being loaded");
    if (fresh->n_more == 0 && !has_first(app))
        return trit_fail(err, TRIT_EINVAL,
                         "model: no section is left; the last model goes with a restart");
    for (size_t i = 0; i < fresh->n_more && rc == 0; i++) {
        const struct conf *section = &fresh->more[i];
        const struct app_model *m = find(app, section->alias, MODEL_READY);
        if (!is_new(app, section))
            continue;
        if (m && m->first)
            rc = trit_fail(err, TRIT_EINVAL,
                           "[model %.64s]: the model outside of sections is called so",
                           section->alias);
        else
            rc = check_file(app, section, err);
    }
    return rc;
}

bool app_drop_failed(struct app *app, const char *name)
{
    struct app_model *m = find(app, name, MODEL_FAILED);
    if (m)
        app_drop_model(m);
    return m;
}

/* Who waits under that name does so in vain, and who is being loaded likewise.  Whom the API has
 * sent for comes. */
bool app_drop_coming(struct app *app, const char *name)
{
    bool any = app_drop_failed(app, name);
    for (struct app_model *m = app->models, *next; m; m = next) {
        next = m->next;
        if (!m->configured || m->unwanted || strcmp(app_model_name(m), name) != 0)
            continue;
        any = any || m->state == MODEL_LOADS || m->state == MODEL_WAITS;
        if (m->state == MODEL_LOADS)
            m->unwanted = true;
        else if (m->state == MODEL_WAITS)
            app_drop_model(m);
    }
    return any;
}

static void change(struct app *app, const struct conf *section)
{
    struct trit_error err;
    const char *name = section->alias;
    struct app_model *loads = find(app, name, MODEL_LOADS);
    struct app_model *ready = find(app, name, MODEL_READY);
    if (loads && loads->configured && !loads->unwanted && conf_same_model(&loads->conf, section))
        return;
    (void)app_drop_coming(app, name);
    if (ready)
        ready->unwanted = false;
    if (ready && conf_same_model(&ready->conf, section))
        return;
    log_notice("model-load name=\"%s\" path=\"%s\"", name, section->model);
    if (!app_add_configured(app, section, &err))
        log_error("model-failed name=\"%s\" error=\"%s\"", name, err.text);
}

void app_change_models(struct app *app, const struct conf *fresh)
{
    for (size_t i = 0; i < fresh->n_more; i++)
        if (is_new(app, &fresh->more[i]) || find(app, fresh->more[i].alias, MODEL_FAILED))
            change(app, &fresh->more[i]);
    for (size_t i = 0; i < app->conf.n_more; i++) {
        const char *name = app->conf.more[i].alias;
        struct app_model *m = find(app, name, MODEL_READY);
        if (!*name || find_section(fresh, name))
            continue;
        (void)app_drop_coming(app, name);
        if (m)
            m->unwanted = true;
    }
}

/* ------------------------------------------------------------------ templates */

int app_load_chats(const struct app *app, struct app_chats *all, struct trit_error *err)
{
    *all = (struct app_chats){0};
    for (struct app_model *m = app->models; m && all->n < SERVER_MODELS; m = m->next) {
        const char *file = m->conf.chat_template;
        if (m->state != MODEL_READY || !chat_is_file(file))
            continue;
        int rc = chat_reopen(m->model->chat, m->model->tok, file, &all->chat[all->n], err);
        if (rc) {
            app_free_chats(all);
            return rc;
        }
        all->of[all->n++] = m;
    }
    return 0;
}

void app_use_chats(struct app *app, struct app_chats *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct app_model *m = all->of[i];
        if (server_set_chat(app->server, m->served, all->chat[i]) != 0) {
            log_error("not-reloaded chat-template=\"%s\" error=\"no memory\"",
                      m->conf.chat_template);
            continue;
        }
        log_notice("reloaded chat-template=\"%s\" model=\"%s\" family=%s", m->conf.chat_template,
                   app_model_name(m), chat_family(all->chat[i]));
        all->chat[i] = NULL;
    }
    app_free_chats(all);
}

void app_free_chats(struct app_chats *all)
{
    for (size_t i = 0; i < all->n; i++)
        chat_close(&all->chat[i]);
    all->n = 0;
}
