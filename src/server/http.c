/* SPDX-License-Identifier: MIT */
/*
 * http.c - libmicrohttpd on the loop: connections, request bodies, deadlines.
 *
 * libmicrohttpd has no thread here.  It has a daemon for each listening socket, whose epoll
 * descriptor hangs in the loop; an event there means MHD_run.  Its own time-out is one of
 * inactivity, which a client that sends a byte a second never meets, so every connection has an
 * absolute deadline for what it is doing, and the clock shuts the sockets down that are late.
 *
 * MHD_run is never called from inside a callback: what is resumed there is looked at when the loop
 * comes round.  Without a thread of its own libmicrohttpd has no eventfd to tell itself, so a timer
 * of no duration does it.
 */
#include "config.h"
#include "server/parts.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/framing.h"
#include "server/problem.h"

enum {
    HEADER_BYTES = 32 * 1024,   /* of memory for a connection: header, and one chunk of answer */
    SEND_BUFFER = 32 * 1024,    /* so that a client that does not read is noticed ... */
    SEND_LOW_WATER = 16 * 1024, /* ... after kilobytes, not megabytes */
    DISCARD_MAX = 16 << 20,     /* of a refused body, read so that the answer arrives */
};

/* ------------------------------------------------------------------ connections */

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void conn_deadline(struct conn *c, double seconds)
{
    c->deadline = trit_now() + seconds;
    server_ring_by(c->s, c->deadline);
}

/* Who it is, for the log. */
static void name_peer(struct conn *c)
{
    struct sockaddr_storage from = {0};
    struct ucred who;
    socklen_t len = sizeof from, who_len = sizeof who;
    if (getpeername(c->fd, (struct sockaddr *)&from, &len) != 0)
        from.ss_family = AF_UNSPEC;
    if (from.ss_family == AF_UNIX &&
        getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &who, &who_len) == 0)
        snprintf(c->peer, sizeof c->peer, "uid:%u", (unsigned)who.uid);
    else if (getnameinfo((struct sockaddr *)&from, len, c->peer, sizeof c->peer, NULL, 0,
                         NI_NUMERICHOST) != 0)
        snprintf(c->peer, sizeof c->peer, "-");
}

static struct conn *conn_new(struct door *d, struct MHD_Connection *mhd)
{
    struct server *s = d->s;
    const union MHD_ConnectionInfo *session =
        d->tls ? MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION) : NULL;
    if (session)
        tls_choose(session->tls_session, s->cert);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    trit_assert(info);
    struct conn *c = mem_zalloc(1, sizeof *c);
    if (!c) {
        /* Nothing would watch over it. */
        if (session)
            tls_choose(session->tls_session, NULL);
        (void)shutdown(info->connect_fd, SHUT_RDWR);
        return NULL;
    }
    c->s = s;
    c->fd = info->connect_fd;
    c->loopback = d->loopback;
    c->cert = session ? tls_hold(s->cert) : NULL;
    name_peer(c);
    int send_buffer = SEND_BUFFER, low_water = SEND_LOW_WATER;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low_water, sizeof low_water);
    watch_add(c);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    s->n_conns++;
    conn_deadline(c, s->opt.limits.header_seconds);
    return c;
}

static void conn_free(struct conn *c)
{
    struct server *s = c->s;
    trit_assert(!c->x);
    watch_remove(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->n_conns--;
    s->conn_closed = true;
    tls_let_go(&c->cert);
    mem_free(c);
    server_check_drained(s);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = conn_new(cls, mhd);
    } else if (*context) {
        conn_free(*context);
        *context = NULL;
    }
}

/* The request line is here.  On a kept connection the time for the header begins now; on a new one
 * it began when it was accepted. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct conn *c = conn_of(mhd);
    (void)cls;
    (void)uri;
    if (c && c->served)
        conn_deadline(c, c->s->opt.limits.header_seconds);
    return NULL;
}

/*
 * Percent-decoding of a path, in place.  %00 stays as it is: decoded, it would cut the path short.
 */
static size_t on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    char *to = text;
    (void)cls;
    (void)mhd;
    for (const char *from = text; *from; from++, to++) {
        unsigned byte;
        *to = *from;
        if (*from == '%' && strspn(from + 1, "0123456789abcdefABCDEF") >= 2 &&
            sscanf(from + 1, "%2x", &byte) == 1 && byte != 0) {
            *to = (char)byte;
            from += 2;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

/*
 * The path of a request line in absolute-form, as clients write it for a proxy and as every server
 * is to take it (RFC 9112, 3.2.2): what is behind the authority.  Of any other form all.
 */
static const char *path_of(const char *uri)
{
    size_t scheme = strncasecmp(uri, "http://", 7) == 0    ? 7
                    : strncasecmp(uri, "https://", 8) == 0 ? 8
                                                           : 0;
    size_t authority = scheme ? strcspn(uri + scheme, "/") : 0;
    if (authority == 0)
        return uri;
    uri += scheme + authority;
    return *uri ? uri : "/";
}

/* ------------------------------------------------------------------ requests */

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind;
    framing_header(cls, name, value);
    return MHD_YES;
}

/* The header is complete.  Where it already decides the answer, a body of reasonable size is read
 * and thrown away first: an answer sent into a stream of data is lost when the socket is closed. */
static enum MHD_Result begin(struct conn *c, struct MHD_Connection *mhd, const char *path,
                             const char *method, const char *version, void **context)
{
    struct server *s = c->s;
    struct framing f = {0};
    struct problem problem;
    struct exchange *x = exchange_new(c, mhd, path);
    if (!x)
        return MHD_NO;
    *context = x;
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, on_header, &f);
    x->has_body = framing_has_body(&f);
    if (framing_check(&f, version, &problem)) {
        exchange_problem(x, &problem);
        x->close = true;
        return exchange_send(x);
    }
    routes_find(x, method, path);
    if (x->answer == ANSWER_NONE && f.length > s->opt.max_body) {
        problem_set(&problem, TRIT_ETOOBIG, NULL, "the body has %llu bytes, the limit is %zu",
                    (unsigned long long)f.length, s->opt.max_body);
        exchange_problem(x, &problem);
    }
    if (f.length > s->opt.max_body + DISCARD_MAX)
        return exchange_send(x);
    if (x->has_body)
        conn_deadline(c, s->opt.limits.body_seconds);
    else
        c->deadline = INFINITY;
    return MHD_YES;
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t len)
{
    struct problem problem;
    size_t limit = x->s->opt.max_body;
    if (x->answer == ANSWER_NONE && len > limit - x->body.len) {
        problem_set(&problem, TRIT_ETOOBIG, NULL, "the body has more than %zu bytes", limit);
        exchange_problem(x, &problem);
    }
    if (x->answer == ANSWER_NONE) {
        buf_add(&x->body, data, len);
        if (!x->body.failed)
            return MHD_YES;
        exchange_fail(x, TRIT_ENOMEM);
    }
    buf_free(&x->body);
    x->discarded += len;
    return x->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

/*
 * libmicrohttpd reads a connection that wakes as it fell asleep, expecting input, before it asks
 * for the answer; where the client shut down its sending side it reads the end and closes.  To have
 * no answer yet without being asleep makes it expect nothing; so where such a client is to be
 * answered, the connection goes to sleep at the second call only.
 */
static void wait_unread(struct exchange *x)
{
    if (x->s->opt.limits.half_close_aborts || x->unread) {
        exchange_wait(x);
        return;
    }
    x->unread = true;
    http_run_soon(x->s);
}

/* The request is complete, or its connection was woken. */
static enum MHD_Result answer(struct exchange *x)
{
    x->conn->deadline = INFINITY;
    if (x->answer == ANSWER_NONE && !x->handled) {
        x->handled = true;
        routes_handle(x);
        buf_free(&x->body);
    }
    if (x->answer == ANSWER_NONE && watch_has_left(x->conn))
        exchange_abort(x);
    if (x->answer != ANSWER_NONE)
        return exchange_send(x);
    wait_unread(x);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **context)
{
    struct exchange *x = *context;
    struct conn *c = conn_of(mhd);
    (void)cls;
    if (!c)
        return MHD_NO;
    if (!x)
        return begin(c, mhd, path_of(url), method, version, context);
    if (*data_len) {
        size_t len = *data_len;
        *data_len = 0;
        return take_body(x, data, len);
    }
    return answer(x);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *context;
    (void)cls;
    (void)mhd;
    if (!x)
        return;
    struct conn *c = x->conn;
    exchange_done(x, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *context = NULL;
    c->served = true;
    conn_deadline(c, c->s->opt.limits.idle_seconds);
    watch_idle(c);
}

/* ------------------------------------------------------------------ the loop */

static void on_again(uv_timer_t *timer);

/* One daemon's turn; true: it wants another at once. */
static bool run_door(struct door *d)
{
    MHD_UNSIGNED_LONG_LONG wait;
    (void)MHD_run(d->mhd);
    return MHD_get_timeout(d->mhd, &wait) == MHD_YES && wait == 0;
}

static void http_run(struct server *s)
{
    bool more = false;
    if (!s->accepting)
        return;
    trit_assert(!s->in_mhd);
    s->in_mhd = true;
    for (size_t i = 0; i < s->n_doors; i++)
        more = run_door(&s->door[i]) || more;
    s->in_mhd = false;
    /* The only time-outs are ours, so "0" means that it has more to do at once.  And if it had
     * stopped accepting, at the limit of connections or descriptors, it begins again only when it
     * runs the next time after one was closed. */
    if (s->conn_closed || more)
        http_run_soon(s);
    s->conn_closed = false;
    if (!more)
        watch_nudge(s);
}

void http_run_soon(struct server *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->http_again))
        trit_assert(uv_timer_start(&s->http_again, on_again, 0, 0) == 0);
}

static void on_again(uv_timer_t *timer)
{
    http_run(CONTAINER_OF(timer, struct server, http_again));
}

static void on_event(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    http_run(CONTAINER_OF(handle, struct door, poll)->s);
}

size_t http_bytes(const struct server *s)
{
    size_t sum = 0;
    for (const struct conn *c = s->conns; c; c = c->next) {
        sum += sizeof *c + HEADER_BYTES;
        if (c->x)
            sum += sizeof *c->x + c->x->body.cap + c->x->out.cap;
    }
    return sum;
}

double http_clock(struct server *s, double now)
{
    double next = INFINITY;
    for (struct conn *c = s->conns; c; c = c->next) {
        if (c->deadline > now) {
            next = fmin(next, c->deadline);
            continue;
        }
        c->deadline = INFINITY;
        if (c->x && c->x->queued) {
            log_limited(LOG_DEBUG, "slow_reader", "connection cut id=%s reason=slow_reader",
                        c->x->id);
            c->x->why = CANCELLED_SLOW_READER;
            exchange_abort(c->x);
        } else {
            if (c->x)
                c->x->status = 408;
            s->metrics.timed_out++;
        }
        /* libmicrohttpd sees the end of the connection and cleans up. */
        (void)shutdown(c->fd, SHUT_RDWR);
    }
    return next;
}

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
    char line[300];
    (void)cls;
    if (!log_enabled(LOG_DEBUG))
        return;
    vsnprintf(line, sizeof line, fmt, ap);
    log_limited(LOG_DEBUG, "libmicrohttpd", "libmicrohttpd %s", line);
}

static bool mhd_is_fixed(void)
{
    unsigned major = 0, minor = 0, patch = 0;
    sscanf(MHD_get_version(), "%u.%u.%u", &major, &minor, &patch);
    return major > 1 || (major == 1 && (minor > 0 || patch >= 10));
}

static int open_door(struct door *d, const struct server_socket *socket, struct trit_error *err)
{
    struct server *s = d->s;
    char priorities[] = TLS_PRIORITIES;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_callback()},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    d->tls = socket->tls;
    d->loopback = socket->loopback;
    if (d->tls && MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK) != MHD_YES)
        return trit_fail(err, TRIT_EUNSUPP, "tls-cert: this libmicrohttpd was built without TLS");
    d->mhd = MHD_start_daemon(
        flags | (d->tls ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request, s,
        MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, /* first, so that it hears of the others */
        MHD_OPTION_LISTEN_SOCKET, socket->fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->opt.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, d, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        s, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, s,
        MHD_OPTION_ARRAY, d->tls ? tls : &tls[ARRAY_LEN(tls) - 1], MHD_OPTION_END);
    if (!d->mhd)
        return trit_fail(err, TRIT_EIO, "libmicrohttpd does not start: %s", strerror(errno));
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    int rc = info ? uv_poll_init(s->opt.loop, &d->poll, info->epoll_fd) : UV_ENOTSUP;
    if (rc) {
        (void)MHD_quiesce_daemon(d->mhd);
        MHD_stop_daemon(d->mhd);
        d->mhd = NULL;
        return trit_fail(err, TRIT_EIO, "libmicrohttpd does not fit the loop: %s", uv_strerror(rc));
    }
    server_hold(s);
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    server_release(CONTAINER_OF((uv_poll_t *)(void *)handle, struct door, poll)->s);
}

static void close_doors(struct server *s)
{
    s->in_mhd = true;
    for (size_t i = 0; i < s->n_doors; i++) {
        struct door *d = &s->door[i];
        uv_close((uv_handle_t *)&d->poll, on_poll_closed);
        (void)MHD_quiesce_daemon(d->mhd);
        MHD_stop_daemon(d->mhd);
        d->mhd = NULL;
    }
    s->n_doors = 0;
}

int http_open(struct server *s, struct trit_error *err)
{
    s->body_closes = !mhd_is_fixed();
    trit_assert(s->opt.n_sockets >= 1 && s->opt.n_sockets <= SERVER_SOCKETS);
    for (size_t i = 0; i < s->opt.n_sockets; i++) {
        s->door[i].s = s;
        int rc = open_door(&s->door[i], &s->opt.socket[i], err);
        if (rc) {
            close_doors(s);
            return rc;
        }
        s->n_doors++;
    }
    trit_assert(uv_timer_init(s->opt.loop, &s->http_again) == 0);
    server_hold(s);
    if (!s->opt.hold)
        http_accept(s);
    return 0;
}

void http_accept(struct server *s)
{
    s->accepting = true;
    for (size_t i = 0; i < s->n_doors; i++)
        trit_assert(uv_poll_start(&s->door[i].poll, UV_READABLE, on_event) == 0);
    http_run(s); /* Only now the listening sockets enter their epoll sets. */
}

bool http_expects_first(const struct server *s)
{
    for (const struct conn *c = s->conns; c; c = c->next)
        if (!c->served)
            return true;
    return false;
}

/* The listening sockets are borrowed: libmicrohttpd gives them back instead of closing them. */
void http_quiesce(struct server *s)
{
    for (size_t i = 0; i < s->n_doors; i++)
        (void)MHD_quiesce_daemon(s->door[i].mhd);
}

static void on_again_closed(uv_handle_t *handle)
{
    server_release(CONTAINER_OF((uv_timer_t *)(void *)handle, struct server, http_again));
}

void http_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->http_again, on_again_closed);
    /* MHD_stop_daemon refuses to go while a connection is suspended. */
    for (struct conn *c = s->conns; c; c = c->next)
        if (c->x) {
            c->x->why = CANCELLED_SHUTDOWN;
            exchange_abort(c->x);
        }
    close_doors(s);
    trit_assert(!s->conns);
}
