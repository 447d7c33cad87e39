/* SPDX-License-Identifier: MIT */
/*
 * agent.c - the agent's port, on the loop: a line for each connection, and nothing is read.
 */
#include "config.h"
#include "server/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "server/parts.h"

/* Of the queue's tokens, since prompts differ; of those that run, since some of them will be over,
 * and replaced from the balancer's queue, before the engine has taken others in. */
#define QUEUE_SHARE   0.875
#define RUNNING_SHARE 0.75

/* How much the newest prompt counts for the mean. */
#define NEWEST_SHARE (1.0 / 16)

static double share(double part, double whole)
{
    return whole > 0 ? fmin(part / whole, 1) : 0;
}

size_t agent_line(const struct agent_load *l, char *dst)
{
    int n;
    if (l->draining) {
        n = snprintf(dst, AGENT_LINE_BYTES, "drain\n");
    } else if (!l->serving) {
        n = snprintf(dst, AGENT_LINE_BYTES, "down #loading\n");
    } else {
        double queue = fmax(share(l->waiting, l->queue_requests),
                            share((double)l->waiting_tokens, (double)l->queue_tokens));
        double kv = share(l->kv_used, l->kv_pages);
        double weight = fmax(round(100 * (1 - queue) * (1 - kv / 2)), 1);
        uint64_t most = (uint64_t)l->max_batch + MIN(l->queue_requests, l->max_batch);
        double mean = fmax(l->mean_prompt, l->waiting ? (double)l->waiting_tokens / l->waiting : 0);
        if (mean >= 1) {
            double fit = (double)l->queue_tokens / mean * QUEUE_SHARE + l->running * RUNNING_SHARE;
            most = (uint64_t)fmin((double)most, fmax(fit, 1));
        }
        n = snprintf(dst, AGENT_LINE_BYTES, "ready up %.0f%% maxconn:%llu\n", weight,
                     (unsigned long long)most);
    }
    trit_assert(n > 0 && n < AGENT_LINE_BYTES);
    return (size_t)n;
}

static void look(const struct server *s, struct agent_load *l)
{
    *l = (struct agent_load){
        .serving = s->serving, .draining = s->draining, .mean_prompt = s->agent.mean_prompt};
    for (const struct served *m = s->serving ? s->models.first : NULL; m; m = m->next) {
        const struct engine_stats *st = engine_stats(m->opt.engine);
        const struct engine_options *o = engine_options(m->opt.engine);
        l->running += atomic_load(&st->running);
        l->waiting += atomic_load(&st->waiting);
        l->queue_requests += o->queue_requests;
        l->waiting_tokens += atomic_load(&st->waiting_tokens);
        l->queue_tokens += o->queue_tokens;
        l->kv_used += atomic_load(&st->kv_used);
        l->kv_pages += atomic_load(&st->kv_pages);
        l->max_batch += o->max_batch;
    }
}

void agent_note(struct server *s, uint64_t prompt_tokens)
{
    double *mean = &s->agent.mean_prompt;
    *mean += ((double)prompt_tokens - *mean) * (*mean > 0 ? NEWEST_SHARE : 1);
}

/* ------------------------------------------------------------------ connections */

/* The line is sent and our side shut; the socket itself stays for a while, because to close one
 * with unread bytes of the other side could take our line away again. */
static void answer(struct server *s, int fd)
{
    struct agent *a = &s->agent;
    struct agent_load load;
    char line[AGENT_LINE_BYTES];
    look(s, &load);
    /* It always fits into a new socket, and who has left already does not matter. */
    (void)send(fd, line, agent_line(&load, line), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    if (a->kept[a->next] >= 0)
        close(a->kept[a->next]);
    a->kept[a->next] = fd;
    a->next = (a->next + 1) % AGENT_KEPT;
}

static void on_connections(uv_poll_t *poll, int status, int events)
{
    struct server *s = CONTAINER_OF(poll, struct server, agent.poll);
    (void)status, (void)events;
    for (int i = 0; i < AGENT_KEPT; i++) {
        int fd = accept4(s->opt.agent_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return; /* None is left, or no descriptor: then the next check finds one. */
        answer(s, fd);
    }
}

int agent_open(struct server *s, struct trit_error *err)
{
    for (size_t i = 0; i < AGENT_KEPT; i++)
        s->agent.kept[i] = -1;
    if (!s->opt.agent)
        return 0;
    /* The socket itself is main's, which closes it when the drain begins; the agent stays. */
    int fd = fcntl(s->opt.agent_fd, F_DUPFD_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : uv_poll_init(s->opt.loop, &s->agent.poll, fd);
    if (rc) {
        if (fd >= 0)
            close(fd);
        s->opt.agent = false;
        return trit_fail(err, TRIT_EIO, "agent-port: cannot be watched: %s", uv_strerror(rc));
    }
    s->opt.agent_fd = fd;
    server_hold(s);
    if (s->accepting)
        agent_accept(s);
    return 0;
}

void agent_accept(struct server *s)
{
    if (s->opt.agent)
        trit_assert(uv_poll_start(&s->agent.poll, UV_READABLE, on_connections) == 0);
}

static void on_closed(uv_handle_t *handle)
{
    server_release(CONTAINER_OF((uv_poll_t *)(void *)handle, struct server, agent.poll));
}

void agent_leave(struct server *s)
{
    if (!s->opt.agent)
        return;
    s->opt.agent = false;
    uv_poll_stop(&s->agent.poll);
    close(s->opt.agent_fd);
    uv_close((uv_handle_t *)&s->agent.poll, on_closed);
}

void agent_close(struct server *s)
{
    for (size_t i = 0; i < AGENT_KEPT; i++)
        if (s->agent.kept[i] >= 0)
            close(s->agent.kept[i]);
    agent_leave(s);
}
