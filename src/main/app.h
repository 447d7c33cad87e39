/* SPDX-License-Identifier: MIT */
/*
 * app.h - the running daemon, from the inside: what the bodies of its life share.
 *
 *     main.c         the chain: start-up and its exact reverse
 *     app-ports.c    where clients come in, and who owns what lies about for them
 *     app-loop.c     the loop, and what signals do to it
 *     app-load.c     a model and its engine, on a thread of the pool
 *     app-models.c   all of them: loaded one after the other, served, replaced, taken out
 *     app-prove.c    weights that are proved when clients are served already
 *     app-reload.c   keys, certificate and limits, at the start and again after SIGHUP
 *     app-change.c   models and templates after SIGHUP
 *     app-recall.c   what the API has changed about the models, for the next process
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

#include "base/buf.h"
#include "main/conf.h"
#include "main/handed.h"
#include "main/listen.h"
#include "main/notify.h"
#include "main/plan.h"
#include "main/recall.h"
#include "main/upgrade.h"
#include "server/server.h"

struct chat;
struct crew;
struct engine;
struct kernels;
struct keys;
struct model;
struct tls_cert;

enum app_state { LOADING, SERVING, STOPPING };

enum { APP_SIGNALS = 4 };

/*
 * A model's life.  One that replaces another is a second one of the same name until it is ready.
 */
enum app_model_state {
    MODEL_WAITS,  /* to be loaded */
    MODEL_LOADS,  /* a thread of the pool has it */
    MODEL_LOADED, /* only before clients are served */
    MODEL_READY,  /* requests are answered by it */
    MODEL_FAILED, /* could not be loaded after a SIGHUP, and is in the file */
    MODEL_ENDS,   /* taken out; its last requests have it */
    MODEL_CLOSES, /* a thread of the pool has it, for the last time */
};

struct app_model {
    struct app_model *next;
    struct app *app;
    struct conf conf; /* its own copy */
    enum app_model_state state;
    bool configured;          /* the command line or the file has it, and not the API */
    bool first;               /* its place is that of the keys outside of sections (app-recall.c) */
    bool unwanted;            /* goes when it is ready, or when nothing waits any more */
    char weights[32], kv[32]; /* under which names the manager keeps them; "": it does not */
    struct served *served;
    server_loaded_fn done; /* told how loading went; may be NULL */
    void *done_arg;
    unsigned share;   /* of so many models that memory is for */
    unsigned threads; /* that its engine begins with: the app's may change while it is loaded */
    bool alone;       /* no other serves while it is loaded */
    bool early;       /* and it may serve before its weights are proved */

    /* Written by the loading thread, read by the loop after it has ended. */
    uv_work_t work;
    struct model *model;
    struct model *fresh; /* the same packed anew, since its weights were damaged */
    struct engine *engine;
    struct plan plan;
    int rc;
    struct trit_error err;
    double seconds;
};

struct app {
    int argc;
    char **argv;
    struct conf conf;
    struct listeners sockets;
    struct listener agent; /* for load balancers; fd -1: none */
    bool has_port_file;    /* it was written, and is ours */
    struct notify notify;
    struct handed handed;
    struct upgrade upgrade;        /* our successor, once it was asked for */
    struct upgrade_child replaces; /* our predecessor, if it still runs */
    bool changed;                  /* keys, settings or models, since it was started */
    unsigned tries;                /* of successors, for one SIGUSR2 */
    bool replaced;                 /* the successor is the daemon now */
    bool stores;                   /* the manager keeps things for the next process */
    char program[4096];            /* what a successor is started from */
    const struct kernels *kernels;
    uv_loop_t loop;
    uv_signal_t on_signal[APP_SIGNALS];
    uv_timer_t tick;   /* towards the service manager; stopped without one */
    uv_timer_t accept; /* ends the wait of app_wait */
    struct server *server;
    enum app_state state;
    int exit_code;

    struct crew *crew;        /* workers of all engines; opened by the first loading thread */
    unsigned threads;         /* of them; the loop's */
    struct app_model *models; /* in the order in which they came */
    struct app_model *loading;
    unsigned n_works;         /* in the pool: loading and closing */
    bool reloading;           /* the manager waits for the end of a reload */
    atomic_bool stop_loading; /* polled by model_load */
    bool is_loading;          /* not all of the start's are loaded yet */
    bool works_ended;         /* the loop is over, and nothing goes to the pool any more */

    struct recall recall;  /* what the last process has left; until the models are listed */
    struct buf remembered; /* what the manager keeps for the next */
};

/* ---- app-ports.c */

/* Open the sockets of clients and of the agent, or take those of the process before us.  Without a
 * predecessor that runs, what lies about for them is ours. */
int app_open_ports(struct app *app, struct trit_error *err);

/* A successor has taken over, and it is ours; it steps down, and it is the successor's, who has
 * copies of the sockets. */
void app_take_ports(struct app *app);
void app_leave_ports(struct app *app);

/* Close the sockets and clear away what is ours.  After a failure of app_open_ports too. */
void app_close_ports(struct app *app);

/* ---- app-loop.c */

/* The loop, its signals and its timers; closed it has no handle left. */
int app_open_loop(struct app *app, struct trit_error *err);
void app_close_loop(struct app *app);

/* ---- app-load.c */

/* Any thread, one at a time: m->model and m->engine, or m->rc and m->err. */
void app_load_model(struct app_model *m);

/* The same for one that serves: wait until its weights are proved; and where they turned out to be
 * damaged, let m->fresh have whole ones, for which its files are read once more. */
void app_prove_model(struct app_model *m);
void app_repack_model(struct app_model *m);

/* ---- app-models.c */

/* Let who connects to a socket that was there before us wait in its queue, for some seconds. */
void app_wait(struct app *app);

/* Begin to load; what follows, up to serving clients or ending the loop, happens on the loop. */
void app_load(struct app *app);

/* One more model; it is loaded when its turn comes.  NULL with *err. */
struct app_model *app_add_model(struct app *app, const struct conf *c, const char *name,
                                const char *path, struct trit_error *err);

/* The same for one of the configuration. */
struct app_model *app_add_configured(struct app *app, const struct conf *c, struct trit_error *err);

/* Under which names the manager keeps what is to last of a model: plain ones for the first, the
 * others' have a number made of what they are called. */
void app_name_kept(struct app_model *m);

/* Load the next that waits; when none does, take out who is unwanted. */
void app_load_next(struct app *app);

/* Forget one that has no model and no engine. */
void app_drop_model(struct app_model *m);

/* A stop has begun: who waits for a model to be loaded is told that there will be none. */
void app_refuse_waiting(struct app *app);

/* By its name in the API: its alias, its model's name, or as long as that is not known its path. */
const char *app_model_name(const struct app_model *m);

/* For server_options. */
struct server_admin app_admin(struct app *app);

/* When the loop has ended: wait for the pool; stop the engines; and when the server is closed, the
 * rest. */
void app_end_works(struct app *app);
void app_stop_engines(struct app *app);
void app_close_models(struct app *app);

/* Log why, and end the loop. */
void app_give_up(struct app *app, const char *why);

/* ---- app-prove.c */

/* Clients are served: let its weights be proved, and replaced where they are damaged.  Until that
 * is over it counts as being loaded: no other is. */
void app_prove(struct app_model *m);

/* ---- app-reload.c */

int app_load_keys(const struct conf *c, struct keys *keys, struct trit_error *err);

/* *cert stays NULL without TLS. */
int app_load_cert(const struct conf *c, struct tls_cert **cert, struct trit_error *err);
struct server_limits app_limits(const struct conf *c, const struct listeners *l);

/* All or nothing: a file with one wrong line, of settings or of keys, changes nothing. */
void app_reload(struct app *app);

/* ---- app-change.c */

/* Whether the models of a new configuration can be had, as far as that can be said at once. */
int app_check_models(const struct app *app, const struct conf *fresh, struct trit_error *err);

/* Begin to load, replace and take out what makes the difference to those that are there. */
void app_change_models(struct app *app, const struct conf *fresh);

/* Forget the configuration's model of that name that has failed; and also who is to come.  false:
 * there was none. */
bool app_drop_failed(struct app *app, const char *name);
bool app_drop_coming(struct app *app, const char *name);

/* Templates in files, read anew: all of them, before any is used. */
struct app_chats {
    struct chat *chat[SERVER_MODELS];
    struct app_model *of[SERVER_MODELS];
    size_t n;
};
int app_load_chats(const struct app *app, struct app_chats *all, struct trit_error *err);
void app_use_chats(struct app *app, struct app_chats *all);
void app_free_chats(struct app_chats *all);

/* ---- app-recall.c */

/* Before the sandbox: what the last process has left. */
void app_recall(struct app *app);

/* The models of the start: those of the configuration, changed as the last process had it. */
int app_add_start(struct app *app, struct trit_error *err);

/* One that was recalled cannot be loaded: the configuration's waits in its place, or none does.
 * false: it is the configuration's own. */
bool app_fall_back(struct app_model *m);

/* Whether who is called so has the place of the keys outside of sections. */
bool app_is_first(const struct app *app, const char *name);

/* Recalled ones that are called like one of the configuration, whose name was not known before. */
void app_drop_clashing(struct app *app);

/* The models that are served have changed: a successor that loads is outdated, and the manager is
 * to keep what differs. */
void app_remember(struct app *app);

/* The same for a successor: a memfd; -1: nothing differs. */
int app_save_changes(const struct app *app);

/* ---- app-manager.c; without a service manager they do nothing */

void app_begin_ticks(struct app *app);

/* Give it what it shall keep of a model for the next process, and does not have yet; and take it
 * back. */
void app_store(struct app_model *m);
void app_unstore(struct app_model *m);
void app_unstore_weights(struct app_model *m); /* of the two only these */

/* What it has kept for a process with other settings; and, once all are loaded, other models. */
void app_drop_unwanted(struct app *app);
void app_drop_left_over(struct app *app);

#endif
