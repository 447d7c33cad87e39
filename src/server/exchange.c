/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - one request's answer: what is decided, how it is sent, what is logged and counted.
 *
 * Every body goes out through a reader that libmicrohttpd calls when the socket takes more.  Each
 * call is a sign that the client reads; without one for limits.stall_seconds it is cut off.
 */
#include "config.h"
#include "server/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "server/job.h"
#include "server/names.h"
#include "server/problem.h"

enum { BLOCK = 16 * 1024 }; /* asked for at once by libmicrohttpd */

/* The client's own id if it is one that can stand in a header and a log line; else a new one. */
static void choose_id(struct exchange *x)
{
    const char *theirs = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "x-request-id");
    size_t len = theirs ? strlen(theirs) : 0;
    if (len >= 1 && len <= 128 && strspn(theirs, NAMES_SANE) == len)
        memcpy(x->id, theirs, len + 1);
    else
        names_random(x->id, sizeof x->id, "req-");
}

struct exchange *exchange_new(struct conn *c, struct MHD_Connection *mhd, const char *path)
{
    struct exchange *x = mem_zalloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->path = mem_strdup(path);
    if (!x->path) {
        mem_free(x);
        return NULL;
    }
    x->s = c->s;
    x->conn = c;
    x->mhd = mhd;
    x->route = ROUTE_OTHER;
    x->t_start = trit_now();
    choose_id(x);
    trace_read(&x->trace, MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "traceparent"));
    x->tenant = &c->s->admit.nobody;
    admit_hold(x->tenant);
    c->x = x;
    c->nudged = false;
    c->s->n_exchanges++;
    return x;
}

/* ------------------------------------------------------------------ deciding */

void exchange_whole(struct exchange *x, int status, const char *content_type)
{
    if (x->answer == ANSWER_ABORTED)
        return;
    trit_assert(x->answer == ANSWER_NONE);
    if (x->out.failed) {
        exchange_fail(x, TRIT_ENOMEM);
        return;
    }
    x->answer = ANSWER_WHOLE;
    x->status = status;
    x->content_type = content_type;
    exchange_wake(x);
}

/* Seconds until it is worth coming back. */
static double retry_seconds(const struct exchange *x, const struct problem *p)
{
    const struct served *m = x->model ? x->model : x->s->models.first;
    double estimate = p->wait > 0             ? p->wait
                      : p->status == 429 && m ? engine_estimate(m->opt.engine, NULL, 0, 0).start
                                              : 2;
    return admit_retry(estimate, (double)(uint32_t)names_random_u64() / UINT32_MAX);
}

void exchange_problem(struct exchange *x, const struct problem *p)
{
    if (x->answer == ANSWER_ABORTED)
        return;
    trit_assert(x->answer == ANSWER_NONE);
    buf_reset(&x->out);
    problem_write(p, &x->out);
    if (x->out.failed) {
        exchange_abort(x); /* Not even memory to say so. */
        return;
    }
    if (p->status == 429 || p->status == 503)
        x->retry_after = retry_seconds(x, p);
    if (p->status == 503) {
        x->should_retry = "true";
        x->close = true;
    }
    if (p->final)
        x->should_retry = "false";
    x->challenge = p->status == 401;
    exchange_whole(x, p->status, "application/json");
}

void exchange_fail(struct exchange *x, int code)
{
    struct problem p;
    problem_set(&p, code, NULL, "%s", trit_err_text(code));
    exchange_problem(x, &p);
}

void exchange_stream(struct exchange *x)
{
    if (x->answer != ANSWER_NONE)
        return;
    x->answer = ANSWER_STREAM;
    x->status = 200;
    x->content_type = "text/event-stream; charset=utf-8";
    exchange_wake(x);
}

void exchange_abort(struct exchange *x)
{
    if (x->answer == ANSWER_ABORTED)
        return;
    x->answer = ANSWER_ABORTED;
    if (x->job)
        job_abandon(x->job, x->why);
    /*
     * A response in the middle of being written is ended by its socket.  libmicrohttpd closes a
     * connection whose reader fails, but comes to clear it away only when every connection with an
     * older last word is gone, which one idle client puts off as long as it likes; those with a
     * time-out of their own it looks at each time.
     */
    if (x->queued) {
        (void)shutdown(x->conn->fd, SHUT_RDWR);
        (void)MHD_set_connection_option(x->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
    }
    exchange_wake(x);
}

/* ------------------------------------------------------------------ sending */

void exchange_wait(struct exchange *x)
{
    trit_assert(!x->suspended);
    x->suspended = true;
    MHD_suspend_connection(x->mhd);
}

void exchange_wake(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->mhd);
    http_run_soon(x->s);
}

static ssize_t on_read(void *cls, uint64_t pos, char *dst, size_t max)
{
    struct exchange *x = cls;
    struct conn *c = x->conn;
    enum job_more more = JOB_WAIT;
    (void)pos;
    if (x->answer == ANSWER_ABORTED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (x->answer == ANSWER_STREAM && x->out_at == x->out.len) {
        buf_reset(&x->out);
        x->out_at = 0;
        more = job_fill(x->job, &x->out);
        if (x->out.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = MIN(x->out.len - x->out_at, max);
    if (n) {
        memcpy(dst, x->out.data + x->out_at, n);
        x->out_at += n;
        conn_deadline(c, c->s->opt.limits.stall_seconds);
        return (ssize_t)n;
    }
    if (more == JOB_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    /* All that there was is in the kernel; the client owes us nothing while we think. */
    c->deadline = INFINITY;
    exchange_wait(x);
    return 0;
}

/* As OpenAI writes it: "850ms", "12s", "1m5s"; rounded up. */
static void format_wait(double seconds, char *dst, size_t cap)
{
    unsigned ms = (unsigned)ceil(seconds * 1e3), s = (unsigned)ceil(seconds);
    if (ms < 1000)
        snprintf(dst, cap, "%ums", ms);
    else if (s < 60)
        snprintf(dst, cap, "%us", s);
    else
        snprintf(dst, cap, "%um%us", s / 60, s % 60);
}

/* false: no memory.  Most answers are still answers without one of their headers. */
static bool put(struct MHD_Response *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool put(struct MHD_Response *r, const char *name, const char *fmt, ...)
{
    char value[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    return MHD_add_response_header(r, name, value) == MHD_YES;
}

static void put_limit(struct MHD_Response *r, const char *what, struct admit_bucket *b)
{
    char name[48], wait[32];
    double now = trit_now();
    if (b->size == 0)
        return;
    snprintf(name, sizeof name, "x-ratelimit-limit-%s", what);
    put(r, name, "%.0f", b->size);
    snprintf(name, sizeof name, "x-ratelimit-remaining-%s", what);
    put(r, name, "%.0f", floor(fmax(0, admit_level(b, now))));
    snprintf(name, sizeof name, "x-ratelimit-reset-%s", what);
    format_wait(admit_full_in(b, now), wait, sizeof wait);
    put(r, name, "%s", wait);
}

/* The page runs what came with it, asks this server alone and is shown in no other page. */
static void put_page(struct MHD_Response *r, const char *etag)
{
    put(r, "ETag", "%s", etag);
    put(r, "Cache-Control", "no-cache"); /* ask whether it is still the same */
    put(r, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'");
    put(r, "X-Content-Type-Options", "nosniff");
    put(r, "Referrer-Policy", "no-referrer");
    put(r, "Cross-Origin-Resource-Policy", "same-origin");
}

static bool put_headers(struct exchange *x, struct MHD_Response *r)
{
    double queued;
    if (x->content_type)
        put(r, "Content-Type", "%s", x->content_type);
    origin_put_headers(x, r);
    put(r, "x-request-id", "%s", x->id);
    if (*x->trace.id)
        put(r, "traceresponse", "00-%s-%s-%s", x->trace.id, x->trace.span, x->trace.flags);
    put(r, "openai-processing-ms", "%.0f", (trit_now() - x->t_start) * 1e3);
    if (x->job && job_queue_seconds(x->job, &queued))
        put(r, "x-tritd-queue-ms", "%.0f", queued * 1e3);
    if (x->ignored.len && !x->ignored.failed)
        put(r, "x-tritd-ignored-params", "%s", x->ignored.data);
    put_limit(r, "requests", &x->tenant->requests);
    put_limit(r, "tokens", &x->tenant->tokens);
    if (x->answer == ANSWER_STREAM) {
        put(r, "Cache-Control", "no-cache");
        put(r, "X-Accel-Buffering", "no");
    }
    if (x->etag[0])
        put_page(r, x->etag);
    if (x->allow)
        put(r, "Allow", "%s", x->allow);
    if (x->retry_after > 0) {
        put(r, "Retry-After", "%.0f", ceil(x->retry_after));
        put(r, "retry-after-ms", "%.0f", x->retry_after * 1e3);
    }
    if (x->should_retry)
        put(r, "x-should-retry", "%s", x->should_retry);
    if (x->challenge)
        put(r, "WWW-Authenticate", "Bearer");
    /* A smuggled second request needs a connection that goes on, so this one must not be missing.
     */
    bool close = x->close || x->s->draining || (x->has_body && x->s->body_closes);
    return !close || put(r, "Connection", "close");
}

enum MHD_Result exchange_send(struct exchange *x)
{
    bool stream = x->answer == ANSWER_STREAM;
    if (x->answer == ANSWER_ABORTED)
        return MHD_NO; /* There was not even memory for a problem. */
    trit_assert((stream || x->answer == ANSWER_WHOLE) && !x->queued);
    uint64_t size = stream ? MHD_SIZE_UNKNOWN : x->out.len;
    size_t block = stream ? BLOCK : MIN(MAX(x->out.len, (size_t)1), (size_t)BLOCK);
    struct MHD_Response *r = MHD_create_response_from_callback(size, block, on_read, x, NULL);
    if (!r)
        return MHD_NO;
    if (!put_headers(x, r)) {
        MHD_destroy_response(r);
        return MHD_NO;
    }
    conn_deadline(x->conn, x->s->opt.limits.stall_seconds);
    enum MHD_Result rc = MHD_queue_response(x->mhd, (unsigned)x->status, r);
    MHD_destroy_response(r);
    x->queued = rc == MHD_YES;
    return rc;
}

/* ------------------------------------------------------------------ the end */

/* What is asked every few seconds and went well is of interest to nobody. */
static enum log_level level_of(const struct exchange *x, int status)
{
    bool routine = x->route == ROUTE_HEALTHZ || x->route == ROUTE_READYZ ||
                   x->route == ROUTE_METRICS || x->route == ROUTE_PAGE ||
                   x->route == ROUTE_PAGE_FILE;
    /* Load balancers close as soon as they have seen a status line. */
    return routine && (status < 400 || status == 499) ? LOG_DEBUG : LOG_INFO;
}

/* One line.  Those of requests that went well are all there; of each way to fail only so many. */
static void log_request(const struct exchange *x, const struct job_sum *sum, int status)
{
    enum log_level level = level_of(x, status);
    if (!log_enabled(level))
        return;
    char cause[64];
    const char *route = metrics_route_name(x->route), *key = x->tenant->grant.name;
    struct log_field f[16];
    size_t n = 0;
    bool generated = x->job && x->job->kind == JOB_GENERATES;
    snprintf(cause, sizeof cause, "%s %d", route, status);
    f[n++] = LOG_TEXT("id", x->id);
    f[n++] = LOG_TEXT("key", *key ? key : "-");
    f[n++] = LOG_TEXT("route", route);
    f[n++] = LOG_COUNT("status", (uint64_t)status);
    if (generated) {
        f[n++] = LOG_TEXT("model", x->job->m->name);
        f[n++] = LOG_COUNT("prompt_tokens", sum->prompt);
        f[n++] = LOG_COUNT("cached_tokens", sum->cached);
        f[n++] = LOG_COUNT("completion_tokens", sum->completion);
        f[n++] = LOG_NUMBER("queue_ms", sum->queue_seconds * 1e3, 1);
        f[n++] = LOG_NUMBER("ttft_ms", sum->first_seconds * 1e3, 1);
    }
    f[n++] = LOG_NUMBER("total_ms", (trit_now() - x->t_start) * 1e3, 1);
    if (generated) {
        f[n++] = LOG_TEXT("finish", metrics_finish_name(sum->finish));
        f[n++] = LOG_NUMBER("joules", sum->joules >= 0 ? sum->joules : NAN, 3);
    }
    f[n++] = LOG_TEXT("trace_id", *x->trace.id ? x->trace.id : NULL);
    f[n++] = LOG_TEXT("span_id", *x->trace.id ? x->trace.span : NULL);
    f[n++] = LOG_TEXT("peer", x->conn->peer);
    trit_assert(n <= ARRAY_LEN(f));
    log_fields(level, status >= 400 ? cause : NULL, "request", f, n);
}

void exchange_done(struct exchange *x, bool delivered)
{
    struct server *s = x->s;
    struct job_sum sum = {0};
    bool left = x->answer == ANSWER_ABORTED || (!delivered && x->status != 408);
    /* Without a status of ours libmicrohttpd found the body malformed and said so itself. */
    int status = left ? 499 : x->status ? x->status : 400;
    if (x->job) {
        if (left)
            job_abandon(x->job, x->why);
        job_sum(x->job, &sum);
        if (x->job->kind == JOB_GENERATES)
            s->metrics.finished[x->route][sum.finish]++;
    }
    log_request(x, &sum, status);
    if (status >= 0 && status < METRICS_STATUSES)
        s->metrics.http[x->route][status]++;
    if (x->job)
        job_leave(x->job);
    admin_left(x);
    admit_let_go(&s->admit, x->tenant);
    models_let_go(&s->models, x->model);
    x->conn->x = NULL;
    s->n_exchanges--;
    mem_free(x->path);
    buf_free(&x->body);
    buf_free(&x->out);
    buf_free(&x->ignored);
    mem_free(x);
    server_check_drained(s);
}
