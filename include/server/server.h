/* SPDX-License-Identifier: MIT */
/*
 * server.h - HTTP on the loop: connections, limits, routes, drain.
 *
 * Everything here runs on the libuv loop thread; every function asserts it.  The server is opened
 * before the model is loaded and answers 503 (code "loading") on everything but /healthz and
 * /metrics until server_serve is called.
 */
#ifndef TRIT_SERVER_H
#define TRIT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h" /* before uv.h, whose sys/param.h has a MIN and MAX of its own */

#include <uv.h>

#include "engine/seq.h"

struct chat;
struct engine;
struct keys;
struct tls_cert;
struct mailbox;
struct model;
struct served;
struct server;
struct trit_error;

/* What can be changed while running (SIGHUP). */
struct server_limits {
    uint32_t default_max_tokens; /* of an answer when the request names none */
    double first_seconds;        /* a first token that is expected later gets 429; 0: no limit */
    double ping_seconds;         /* ": ping" on silent streams; also how long headers are held */
    double header_seconds;       /* from accept, or from the first byte, to the end of the header */
    double body_seconds;         /* from there to the end of the body */
    double idle_seconds;         /* a kept-alive connection without a request */
    double stall_seconds;        /* a stream whose client does not read, then it is cut */
    bool half_close_aborts;      /* a client that shuts down its sending side has left */
    bool metrics_need_key;       /* /metrics too, where there are keys */
    bool metrics_vllm;           /* vLLM's names on that page as well */
    bool page;                   /* the page for people, at / */
    const char *cors_origins;    /* lists, see origin.h; borrowed as long as they are in force */
    const char *allowed_hosts;
};

/* Told how loading went: m, or NULL with *err.  Loop thread. */
typedef void (*server_loaded_fn)(void *arg, const struct served *m, const struct trit_error *err);

/* A model that is not served, or not yet. */
struct server_absent {
    const char *name, *path;
    const char *state; /* "waiting", "loading", "failed" */
    const char *error; /* of one that failed, or NULL */
};

/* Who has the models: what administrators ask for is carried out there. */
struct server_wish {
    const char *name, *path;
    const char *order, *tiles; /* NULL: not said */
    bool unchecked;
};

struct server_admin {
    /* Begin to load; done is called once, later, unless this fails.  One of that name is replaced
     * when the new one is ready. */
    int (*load)(void *arg, const struct server_wish *wish, server_loaded_fn done, void *done_arg,
                struct trit_error *err);
    /* Take out.  -TRIT_ENOENT; -TRIT_EINVAL: it is the last. */
    int (*unload)(void *arg, const char *name, struct trit_error *err);
    size_t (*list)(void *arg, struct server_absent *list, size_t cap);
    void *arg;
};

enum {
    SERVER_SOCKETS = 4,
    SERVER_MODELS = 16, /* served at a time */
};

/* Where clients come in. */
struct server_socket {
    int fd;        /* bound and listening, non-blocking; borrowed */
    bool tls;      /* needs a certificate */
    bool loopback; /* an IP address that only this machine reaches, and every browser on it */
};

struct server_options {
    uv_loop_t *loop;
    struct server_socket socket[SERVER_SOCKETS];
    size_t n_sockets;
    bool agent;               /* there is a port for load balancers, see agent.h */
    int agent_fd;             /* listening, non-blocking; borrowed while it is opened */
    struct tls_cert *cert;    /* NULL: no socket has TLS */
    const char *powercap_dir; /* where the machine tells of its energy; "": nowhere */
    const char *kernels;      /* name of the variant in use, for system_fingerprint */
    size_t max_body;          /* bytes */
    uint32_t max_connections; /* on each socket */
    bool hold;                /* until server_accept who connects waits in the sockets' queues */
    struct server_limits limits;
    struct server_admin admin;
};

/* Holds the certificate. */
int server_open(const struct server_options *opt, struct server **s, struct trit_error *err);

/* The mailbox for engine_options.events. */
struct mailbox *server_events(struct server *s);

/* Take connections from now on, where that was held back. */
void server_accept(struct server *s);

/* A model and its engine, borrowed until `gone` is called, or server_close. */
struct server_model {
    const struct model *model;
    struct engine *engine;
    const char *alias;      /* its name in the API; NULL: the model's own; copied */
    const char *path;       /* where it came from, for who may know; copied */
    enum seq_pool pooling;  /* of embeddings; SEQ_POOL_NONE: as the model's file says, else mean */
    void (*gone)(void *arg); /* it was taken out, and its last request is over; may be NULL */
    void *arg;
};

/*
 * From now on requests that name this model are answered by it; the first of all is the one for
 * those that name none.  replaces: one that leaves at the same moment, whose name and place it may
 * have; or NULL.  Errors of models_add: nothing was changed.  Gives *m, which server_remove takes.
 */
int server_add(struct server *s, const struct server_model *opt, struct served *replaces,
               struct served **m, struct trit_error *err);

/* Not found by new requests any more; those that have it are served to their end. */
void server_remove(struct server *s, struct served *m);

/* Its name in the API; the requests that have it. */
const char *server_model_name(const struct served *m);
unsigned server_model_users(const struct served *m);

/* The template of its conversations from now on; those that have begun keep theirs.  Takes it.
 * -TRIT_ENOMEM: it is still the caller's. */
int server_set_chat(struct server *s, struct served *m, struct chat *chat);

/* All that were configured are there: from now on requests are answered.  Whoever still waits to be
 * accepted is. */
void server_serve(struct server *s);

void server_set_limits(struct server *s, const struct server_limits *limits);

/*
 * From now on every route but /healthz, /readyz, the page and, as limits have it, /metrics needs
 * one of these keys; none: nobody needs one.  Takes their memory, also on failure: -TRIT_ENOMEM,
 * and the old keys hold.  Requests that are being served are not asked again.
 */
int server_set_keys(struct server *s, struct keys *keys, struct trit_error *err);

/* Connections that are accepted from now on have this certificate; only where TLS is in use. */
void server_set_cert(struct server *s, struct tls_cert *cert);

/*
 * Stop accepting; /readyz says 503; new requests on open connections get 503 "draining", but for
 * the first request of a connection that was accepted just before: its client could not know.
 * done(arg) is called once, when no request is left, or after `seconds`, when the rest has been
 * cancelled.
 */
void server_drain(struct server *s, double seconds, void (*done)(void *arg), void *arg);

/*
 * The same where another process has begun to accept on these sockets, the agent's among them:
 * whoever has a connection is served to the end, once more, and told to close it.  done(arg) is
 * called when no connection is left, or after `seconds`, when the rest has been cancelled.
 */
void server_leave(struct server *s, double seconds, void (*done)(void *arg), void *arg);

/*
 * Close every connection.  No sequence may be with an engine any more: engine_stop() them first,
 * their last events are looked at in here.  Models and engines are not touched after this; the
 * handles and the structure itself go when the loop runs next.
 */
void server_close(struct server **s);

#endif
