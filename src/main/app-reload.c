/* SPDX-License-Identifier: MIT */
/*
 * app-reload.c - what is read at the start and again after SIGHUP: keys, certificate, limits.
 *
 * A new configuration is taken over as a whole or not at all.
 */
#include "config.h"
#include "main/app.h"

#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "engine/engine.h"
#include "server/keys.h"
#include "server/server.h"
#include "server/tls.h"

int app_load_keys(const struct conf *c, struct keys *keys, struct trit_error *err)
{
    *keys = (struct keys){0};
    return *c->api_keys ? keys_load(c->api_keys, keys, err) : 0;
}

int app_load_cert(const struct conf *c, struct tls_cert **cert, struct trit_error *err)
{
    *cert = NULL;
    return *c->tls_cert ? tls_load(c->tls_cert, c->tls_key, cert, err) : 0;
}

struct server_limits app_limits(const struct conf *c, const struct listeners *l)
{
    bool asks = strcmp(c->metrics_key, "auto") == 0 ? listen_is_remote(l)
                                                    : strcmp(c->metrics_key, "yes") == 0;
    return (struct server_limits){
        .default_max_tokens = c->default_max_tokens,
        .first_seconds = c->ttft_target,
        .ping_seconds = c->ping_seconds,
        .header_seconds = c->header_seconds,
        .body_seconds = c->body_seconds,
        .idle_seconds = c->idle_seconds,
        .stall_seconds = c->stall_seconds,
        .half_close_aborts = c->half_close_aborts,
        .metrics_need_key = asks,
        .cors_origins = c->cors_origins,
        .allowed_hosts = c->allowed_hosts,
        .metrics_vllm = strcmp(c->metrics_compat, "vllm") == 0,
        .page = c->page,
    };
}

/* ------------------------------------------------------------------ SIGHUP */

/* What the process may use may have changed: its affinity mask or its group's quota. */
static void reload_threads(struct app *app)
{
    unsigned now = MIN(plan_threads(&app->conf), plan_max_threads(app->threads));
    if (now == app->threads)
        return;
    log_notice("reloaded threads from=%u to=%u", app->threads, now);
    app->threads = now;
    for (struct app_model *m = app->models; m; m = m->next)
        if (m->state == MODEL_READY || m->state == MODEL_ENDS || m->state == MODEL_LOADED)
            engine_set_threads(m->engine, now);
}

static void log_change(const char *key, const char *from, const char *to, bool reloadable,
                       void *arg)
{
    (void)arg;
    if (reloadable)
        log_notice("reloaded key=%s from=\"%s\" to=\"%s\"", key, from, to);
    else
        log_warn("not-reloaded key=%s from=\"%s\" to=\"%s\" needs=restart", key, from, to);
}

/* The socket may be systemd's and not the one that the file names. */
static int check_remote(const struct app *app, const struct conf *c, struct trit_error *err)
{
    if (!listen_is_remote(&app->sockets) || conf_allows_remote(c))
        return 0;
    return trit_fail(err, TRIT_EINVAL,
                     "api-keys: found nothing, but %s can be reached from other machines",
                     app->sockets.at[0].url);
}

static int adopt(struct app *app, struct conf *fresh, struct trit_error *err)
{
    struct keys keys = {0};
    struct tls_cert *cert = NULL;
    struct app_chats chats = {0};
    int rc = check_remote(app, fresh, err);
    if (rc == 0 && !*app->conf.tls_cert != !*fresh->tls_cert)
        rc = trit_fail(err, TRIT_EINVAL, "tls-cert: to switch TLS on or off needs a restart");
    if (rc == 0)
        rc = app_load_cert(fresh, &cert, err);
    if (rc == 0)
        rc = app_check_models(app, fresh, err);
    if (rc == 0)
        rc = app_load_chats(app, &chats, err);
    if (rc == 0)
        rc = app_load_keys(fresh, &keys, err);
    size_t n = keys.n;
    if (rc == 0)
        rc = server_set_keys(app->server, &keys, err);
    if (rc) {
        app_free_chats(&chats);
        tls_let_go(&cert);
        return rc;
    }
    app_use_chats(app, &chats);
    if (cert) {
        log_notice("tls loaded cert=\"%s\" expires=%s", fresh->tls_cert, tls_expires(cert));
        server_set_cert(app->server, cert);
        tls_let_go(&cert);
    }
    app->changed = true; /* as far as that, whatever follows */
    conf_changes(&app->conf, fresh, log_change, NULL);
    if (app->state == SERVING)
        app_change_models(app, fresh);
    if (conf_adopt(&app->conf, fresh) != 0)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the configuration");
    if (n)
        log_notice("api-keys loaded=%zu file=\"%s\"", n, app->conf.api_keys);
    struct server_limits limits = app_limits(&app->conf, &app->sockets);
    server_set_limits(app->server, &limits);
    log_set_level((enum log_level)log_level_parse(app->conf.log_level));
    log_set_json(strcmp(app->conf.log_format, "json") == 0);
    if (app->state != STOPPING)
        reload_threads(app);
    if (app->state == SERVING) {
        app_remember(app);
        app_load_next(app);
    }
    return 0;
}

void app_reload(struct app *app)
{
    struct trit_error err;
    struct conf fresh;
    enum conf_action action;
    if (app->state == SERVING)
        notify_reloading(&app->notify);
    /* The end is told when the models that it brings are there, or have failed. */
    app->reloading = app->state == SERVING;
    int rc = conf_load(app->argc, app->argv, &fresh, &action, &err);
    if (rc == 0) {
        rc = adopt(app, &fresh, &err);
        conf_fini(&fresh);
    }
    if (rc)
        log_error("not-reloaded error=\"%s\"", err.text);
    if (app->state == SERVING && app->reloading && !app->loading) {
        app->reloading = false;
        notify_send(&app->notify, "READY=1");
    }
}
