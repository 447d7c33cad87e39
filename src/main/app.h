/* SPDX-License-Identifier: MIT */
/*
 * app.h - the running daemon, from the inside: what the bodies of its life share.
 *
 *     main.c         the chain: start-up and its exact reverse
 *     app-loop.c     the loop, and what signals do to it
 *     app-load.c     model and engine, on a thread of the pool; then clients are served
 *     app-reload.c   keys, certificate and limits, at the start and again after SIGHUP
 *     app-manager.c  what the service manager hears, and what it keeps
 *
 * The state moves one way: LOADING, SERVING, STOPPING.  All of it belongs to the loop thread, but
 * for what is said to be the loading thread's.
 */
#ifndef TRIT_APP_H
#define TRIT_APP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h" /* before uv.h */

#include <uv.h>

#include "main/conf.h"
#include "main/handed.h"
#include "main/listen.h"
#include "main/notify.h"
#include "main/plan.h"
#include "main/upgrade.h"

struct engine;
struct kernels;
struct keys;
struct model;
struct server;
struct server_limits;
struct tls_cert;

enum app_state { LOADING, SERVING, STOPPING };

enum { APP_SIGNALS = 4 };

struct app {
    int argc;
    char **argv;
    struct conf conf;
    struct listeners sockets;
    struct listener agent; /* for load balancers; fd -1: none */
    struct notify notify;
    struct handed handed;
    struct upgrade upgrade;        /* our successor, once it was asked for */
    struct upgrade_child replaces; /* our predecessor, if it still runs */
    bool replaced;                 /* the successor is the daemon now */
    bool stores;                   /* the manager keeps things for the next process */
    char program[4096];            /* what a successor is started from */
    const struct kernels *kernels;
    uv_loop_t loop;
    uv_signal_t on_signal[APP_SIGNALS];
    uv_timer_t tick;   /* towards the service manager; stopped without one */
    uv_timer_t accept; /* ends the wait of app_wait */
    uv_work_t loading;
    struct server *server;
    enum app_state state;
    int exit_code;

    /* Written by the loading thread, read by the loop after it has ended. */
    struct model *model;
    struct engine *engine;
    struct plan plan;
    int load_rc;
    struct trit_error load_err;
    double load_seconds;

    atomic_bool stop_loading; /* polled by model_load */
    bool is_loading;          /* loop: the thread has not ended yet */
};

/* ---- app-loop.c */

/* The loop, its signals and its timers; closed it has no handle left. */
int app_open_loop(struct app *app, struct trit_error *err);
void app_close_loop(struct app *app);

/* ---- app-load.c */

/* Let who connects to a socket that was there before us wait in its queue, for some seconds. */
void app_wait(struct app *app);

/* Begin to load; what follows, up to serving clients or ending the loop, happens on the loop. */
void app_load(struct app *app);

/* ---- app-reload.c */

int app_load_keys(const struct conf *c, struct keys *keys, struct trit_error *err);

/* *cert stays NULL without TLS. */
int app_load_cert(const struct conf *c, struct tls_cert **cert, struct trit_error *err);
struct server_limits app_limits(const struct conf *c, const struct listeners *l);

/* All or nothing: a file with one wrong line, of settings or of keys, changes nothing. */
void app_reload(struct app *app);

/* ---- app-manager.c; without a service manager they do nothing */

void app_begin_ticks(struct app *app);

/* Give it what it shall keep for the next process, and does not have yet. */
void app_store(struct app *app);

/* What it has kept for a process with other settings. */
void app_drop_unwanted(struct app *app);

#endif
