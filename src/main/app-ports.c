/* SPDX-License-Identifier: MIT */
/*
 * app-ports.c - where clients and load balancers come in, and what lies about for them: files of
 * unix sockets, the port file, the manager's copies.
 *
 * All that lies about has one owner, who keeps it right and clears it away.  That is the daemon:
 * who starts without a predecessor, from the moment in which the sockets are open; a successor when
 * it has taken over, and until then it only listens; a predecessor until it steps down.  What the
 * manager keeps stays when we end.
 */
#include "config.h"
#include "main/app.h"

#include <unistd.h>

#include "base/base.h"
#include "base/log.h"

static int open_sockets(struct app *app, struct trit_error *err)
{
    const struct conf *c = &app->conf;
    struct listen_wish w = {
        .host = c->host,
        .port = (uint16_t)c->port,
        .socket = c->socket,
        .owner = c->socket_owner,
        .allow_remote = conf_allows_remote(c),
        .tls = *c->tls_cert,
    };
    trit_assert(listen_read_mode(c->socket_mode, &w.mode));
    int rc = listen_open(&w, &app->handed, &app->notify, &app->sockets, err);
    for (size_t i = 0; i < app->sockets.n; i++) {
        const struct listener *l = &app->sockets.at[i];
        log_notice("listening url=%s from=%s", l->url,
                   l->activated ? "systemd"
                   : l->kept    ? "predecessor"
                                : "configuration");
    }
    return rc;
}

static int open_agent(struct app *app, struct trit_error *err)
{
    const struct conf *c = &app->conf;
    int rc = c->agent_port
                 ? listen_open_agent(c->host, (uint16_t)c->agent_port, conf_allows_remote(c),
                                     &app->handed, &app->agent, err)
                 : 0;
    if (app->agent.fd >= 0)
        log_notice("agent port=%u", app->agent.port);
    /* One that was not wished for must not hold who connects to it. */
    (void)handed_drop(&app->handed, HANDED_AGENT, NULL);
    return rc;
}

/* A client of a restart waits in the queue of a socket that the manager keeps, like one of a socket
 * unit, and its file stays. */
static int own_ports(struct app *app, struct trit_error *err)
{
    const struct conf *c = &app->conf;
    struct listeners *l = &app->sockets;
    if (app->stores && !l->at[0].activated) {
        for (size_t i = 0; i < l->n; i++)
            if (!l->at[i].kept)
                (void)notify_store(&app->notify, l->at[i].name, l->at[i].fd);
        listen_leave(l);
    } else {
        listen_own(l);
    }
    int rc = *c->port_file ? listen_write_port(&l->at[0], c->port_file, err) : 0;
    app->has_port_file = *c->port_file && rc == 0;
    return rc;
}

int app_open_ports(struct app *app, struct trit_error *err)
{
    int rc = open_sockets(app, err);
    if (rc == 0)
        rc = open_agent(app, err);
    return rc == 0 && app->replaces.fd < 0 ? own_ports(app, err) : rc;
}

void app_take_ports(struct app *app)
{
    struct trit_error err;
    for (size_t i = 0; i < LISTEN_MAX; i++)
        if (app->sockets.at[i].left)
            (void)notify_unstore(&app->notify, app->sockets.at[i].name);
    if (own_ports(app, &err) != 0)
        log_error("%s", err.text); /* It serves all the same. */
}

void app_leave_ports(struct app *app)
{
    app->has_port_file = false;
    listen_leave(&app->sockets);
    app_close_ports(app);
}

void app_close_ports(struct app *app)
{
    if (app->has_port_file)
        unlink(app->conf.port_file);
    app->has_port_file = false;
    listen_close_one(&app->agent);
    listen_close(&app->sockets);
}
