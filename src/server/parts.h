/* SPDX-License-Identifier: MIT */
/*
 * parts.h - the server from the inside: what its bodies share.
 *
 *     server.c    opening, serving, draining, closing; the loop's handles and the clock
 *     http.c      libmicrohttpd: connections, request bodies, deadlines
 *     exchange.c  one request's answer: what is decided, how it is sent, what is logged
 *     agent.c     a word to load balancers
 *     watch.c     noticing that a client has left
 *     origin-check.c  what pages of other origins may do
 *     routes.c    which request means what; the small answers
 *     models.c    which model a name means, and who still uses it (models.h)
 *     requests.c  what is being worked on, and ending it
 *     admin.c     models: listed, loaded, taken out
 *     page.c      the page for people
 *     energy.c    whose joules were these
 *     job.c       the life of a generation (job.h); job-admit.c its way in, job-start.c from there
 *                 to the engine, job-out.c its answer, job-response.c the same for the Responses
 *                 API, job-embed.c what is different for embeddings
 *
 * Everything in here belongs to the loop thread.
 */
#ifndef TRIT_SERVER_PARTS_H
#define TRIT_SERVER_PARTS_H

#include "base/base.h" /* before uv.h, see server.h */

#include <microhttpd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mailbox.h"
#include "base/rapl.h"
#include "server/admit.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/server.h"
#include "server/tls.h"
#include "server/trace.h"

struct admin_wait;
struct job;
struct problem;

/* A listening socket: libmicrohttpd has one daemon for each. */
struct door {
    struct server *s;
    struct MHD_Daemon *mhd;
    uv_poll_t poll; /* of its epoll descriptor */
    bool tls, loopback;
};

/* The agent's port and the connections that were answered last. */
enum { AGENT_KEPT = 16 };
struct agent {
    uv_poll_t poll;
    int kept[AGENT_KEPT]; /* -1: none */
    size_t next;
    double mean_prompt; /* tokens, of the requests of late */
};

/* One TCP or UNIX connection, from accept to close. */
struct conn {
    struct server *s;
    struct tls_cert *cert; /* held; NULL without TLS */
    char peer[64];         /* "127.0.0.1", or "uid:1000" of a unix socket */
    struct conn *prev, *next;
    int fd;
    double deadline;    /* trit_now() at which it is cut; INFINITY: never */
    struct exchange *x; /* the request in progress, or NULL */
    bool loopback;      /* as its door */
    bool served;        /* this is not its first request */
    bool half_closed;   /* the client sends no more */
    bool nudged;        /* watch_nudge has done it since the last request */
    bool broken;        /* the client receives no more either */
};

/* Where the answer of an exchange stands. */
enum answer {
    ANSWER_NONE,    /* still reading, or a job works on it */
    ANSWER_WHOLE,   /* status, headers and out are complete */
    ANSWER_STREAM,  /* 200 is decided, the job fills out piece by piece */
    ANSWER_ABORTED, /* nobody is there to receive one */
};

/* One request and its answer. */
struct exchange {
    struct server *s;
    struct conn *conn;
    struct MHD_Connection *mhd;
    enum metrics_route route;
    char *path;
    const char *rest;      /* of the path, behind a prefix route */
    char id[132];          /* x-request-id */
    struct trace trace;    /* traceparent, if there was one */
    double t_start;        /* header complete */
    struct tenant *tenant; /* who asks; held */
    struct served *model;  /* whom; held; NULL: not known yet, or none */

    bool has_body, handled;
    struct buf body;
    size_t discarded; /* bytes of body that came after the answer was decided */

    enum answer answer;
    bool suspended, queued;     /* the connection sleeps; the response is with libmicrohttpd */
    bool unread;                /* libmicrohttpd expects nothing more of the client */
    enum metrics_cancelled why; /* if it is aborted */
    int status;
    const char *content_type;
    char etag[24];            /* of a file of the page; "": this is not one */
    const char *allow;        /* for 405 */
    double retry_after;       /* seconds, for 429 and 503; 0: not said */
    const char *should_retry; /* "true", "false", or NULL: the client's own rule */
    bool preflight;           /* of CORS */
    bool challenge, close;    /* WWW-Authenticate; Connection: close */
    struct buf out;           /* what is to be sent; out_at of it has been */
    size_t out_at;
    struct buf ignored; /* x-tritd-ignored-params */
    struct job *job;
    struct admin_wait *wait; /* for a model to be loaded; NULL: not for one */
    bool post;               /* of a route that has GET too */
};

struct server {
    struct server_options opt;
    uv_thread_t thread;
    struct models models;
    bool serving; /* server_serve was called */

    /* The loop's handles; the structure lives until the last one and the last work is gone. */
    uv_async_t bell;
    uv_poll_t watch_poll;
    uv_timer_t http_again, clock;
    unsigned holds;
    double clock_at;  /* when the clock rings next; INFINITY: it does not run */
    bool catching_up; /* it rang late, and rings again when what came meanwhile has been read */

    struct mailbox events;
    struct door door[SERVER_SOCKETS];
    size_t n_doors;
    struct tls_cert *cert; /* held; for connections to come */
    bool in_mhd;
    bool conn_closed; /* since MHD_run was called last */
    bool body_closes; /* a request with a body ends its connection */
    int watch_fd;
    bool nudges; /* some connection has ended and libmicrohttpd may not know */
    struct conn *conns;
    struct job *jobs;
    uint32_t n_conns, n_exchanges, n_jobs;

    bool accepting; /* connections are taken and served */
    bool draining, cancelled_all;
    bool leaving; /* draining, while a successor accepts: open connections are served */
    double
        first_words_at; /* so long those who came before the drain may bring their first request */
    double drain_at;
    void (*drained)(void *arg);
    void *drained_arg;

    struct agent agent;
    struct keys keys;         /* none: nobody is asked for one */
    struct admit admit;

    struct rapl rapl;
    double rapl_at; /* when it is read again, so that no wrap is missed */

    struct metrics metrics;
};

void server_assert_thread(const struct server *s);

/* Make sure the clock rings at `when` or earlier. */
void server_ring_by(struct server *s, double when);

/* Somebody ended; a drain may be over. */
void server_check_drained(struct server *s);

/* The handles and works that keep the structure alive. */
void server_hold(struct server *s);
void server_release(struct server *s);

/* http.c */
int http_open(struct server *s, struct trit_error *err);
void http_accept(struct server *s);              /* once */
bool http_expects_first(const struct server *s); /* of some connection, its first request */
void http_quiesce(struct server *s);
void http_close(struct server *s);
void http_run_soon(struct server *s);               /* in the next round of the loop */
double http_clock(struct server *s, double now);    /* cut what is late; when to look again */
size_t http_bytes(const struct server *s);          /* memory of connections and requests */
void conn_deadline(struct conn *c, double seconds); /* cut it then, counted from now */

/* exchange.c */
struct exchange *exchange_new(struct conn *c, struct MHD_Connection *mhd, const char *path);
void exchange_done(struct exchange *x, bool delivered); /* counts, logs, frees */

/* Hand the decided answer to libmicrohttpd.  MHD_NO: the connection is to end; also where the
 * answer was aborted, as one is that finds no memory. */
enum MHD_Result exchange_send(struct exchange *x);

/* Suspend the connection until exchange_wake. */
void exchange_wait(struct exchange *x);

/* The answer is decided: `out` holds the body. */
void exchange_whole(struct exchange *x, int status, const char *content_type);
void exchange_problem(struct exchange *x, const struct problem *p);
void exchange_fail(struct exchange *x, int code); /* with the table's own text */
void exchange_stream(struct exchange *x);

/* Something changed: let libmicrohttpd look at the connection again. */
void exchange_wake(struct exchange *x);

/* The client has left: end the work, answer nothing. */
void exchange_abort(struct exchange *x);

/* watch.c */
int watch_open(struct server *s, struct trit_error *err);
void watch_close(struct server *s);
void watch_add(struct conn *c);
void watch_remove(struct conn *c);
bool watch_has_left(const struct conn *c); /* as far as limits.half_close_aborts says */
void watch_idle(struct conn *c); /* its request is done: has it nothing more to ask? */
/* Let libmicrohttpd see who has ended; after it has read all that there is. */
void watch_nudge(struct server *s);

/* origin-check.c: before anything else is decided; true: the request has its answer */
bool origin_preflight(struct exchange *x, const char *method);
bool origin_refuse(struct exchange *x, const char *method);
void origin_put_headers(const struct exchange *x, struct MHD_Response *r);

/* agent.c */
int agent_open(struct server *s, struct trit_error *err);
void agent_accept(struct server *s); /* with the sockets of clients */
void agent_leave(struct server *s);  /* another process answers there */
void agent_close(struct server *s);
void agent_note(struct server *s, uint64_t prompt_tokens); /* of one that wants to come in */

/* requests.c */
void requests_list(struct exchange *x);
void requests_end(struct exchange *x);

/* admin.c */
void admin_list(struct exchange *x);
void admin_load(struct exchange *x);
void admin_unload(struct exchange *x);
void admin_left(struct exchange *x); /* it does not wait any more */

/* energy.c */
double energy_clock(struct server *s, double now);

/* routes.c */
struct route;
void routes_find(struct exchange *x, const char *method, const char *path);
void routes_handle(struct exchange *x);

/* job.c */
void job_events(struct server *s);
double job_clock(struct server *s, double now);
/* The longest wait for a first token of a model. */
double job_oldest(const struct server *s, const struct served *m, double now);

#endif
