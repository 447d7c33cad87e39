/* SPDX-License-Identifier: MIT */
/*
 * watch.c - noticing that a client has left, also while libmicrohttpd does not look.
 *
 * A suspended connection is in no set of libmicrohttpd's, and a busy one is only found dead at the
 * next write.  So every connection is also in an epoll set of our own, edge-triggered, that asks
 * for nothing but hang-ups.  It hangs in the loop as one descriptor.
 *
 * A client that shuts down only its sending side looks the same as one that has left, until
 * something is written to it.  limits.half_close_aborts decides what is assumed.
 */
#include "config.h"
#include "server/parts.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"

bool watch_has_left(const struct conn *c)
{
    return c->broken || (c->half_closed && c->s->opt.limits.half_close_aborts);
}

/*
 * A client that has shut down its sending side has sent all that it ever will.  Where libmicrohttpd
 * expects more of it, the rest of a request or the next one, it is to find the end; but where the
 * last bytes and the FIN came together it has read the bytes, and its edge-triggered set says
 * nothing of the rest.
 */
void watch_idle(struct conn *c)
{
    if (!c->half_closed || c->nudged)
        return;
    c->s->nudges = true;
    http_run_soon(c->s);
}

/* Once for each request: our own set hears of it too, and would have us do it for ever. */
void watch_nudge(struct server *s)
{
    if (!s->nudges)
        return;
    s->nudges = false;
    for (struct conn *c = s->conns; c; c = c->next) {
        bool is_read = !c->x || !(c->x->handled || c->x->queued);
        if (!c->half_closed || c->nudged || !is_read)
            continue;
        c->nudged = true;
        (void)shutdown(c->fd, SHUT_RD);
    }
}

/* Some of those who have left; while there are more the loop comes back, after everybody else. */
static void on_hangup(uv_poll_t *handle, int status, int events)
{
    struct server *s = CONTAINER_OF(handle, struct server, watch_poll);
    struct epoll_event seen[64];
    (void)status;
    (void)events;
    int n = epoll_wait(s->watch_fd, seen, (int)ARRAY_LEN(seen), 0);
    for (int i = 0; i < n; i++) {
        struct conn *c = seen[i].data.ptr;
        c->half_closed = true;
        if (seen[i].events & (EPOLLHUP | EPOLLERR))
            c->broken = true;
        if (c->x && c->x->job && watch_has_left(c))
            exchange_abort(c->x);
        else
            watch_idle(c);
    }
}

int watch_open(struct server *s, struct trit_error *err)
{
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->watch_fd < 0)
        return trit_fail(err, TRIT_EIO, "cannot watch connections: %s", strerror(errno));
    int rc = uv_poll_init(s->opt.loop, &s->watch_poll, s->watch_fd);
    if (rc) {
        close(s->watch_fd);
        return trit_fail(err, TRIT_EIO, "cannot watch connections: %s", uv_strerror(rc));
    }
    server_hold(s);
    trit_assert(uv_poll_start(&s->watch_poll, UV_READABLE, on_hangup) == 0);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct server *s = CONTAINER_OF((uv_poll_t *)(void *)handle, struct server, watch_poll);
    close(s->watch_fd);
    server_release(s);
}

void watch_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->watch_poll, on_closed);
}

void watch_add(struct conn *c)
{
    struct epoll_event want = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = c};
    /* Out of kernel memory: this client's leaving will be noticed at a write. */
    if (epoll_ctl(c->s->watch_fd, EPOLL_CTL_ADD, c->fd, &want) != 0)
        log_limited(LOG_WARN, "watch failed", "watch failed error=\"%s\"", strerror(errno));
}

void watch_remove(struct conn *c)
{
    struct epoll_event unused = {0};
    (void)epoll_ctl(c->s->watch_fd, EPOLL_CTL_DEL, c->fd, &unused);
}
