/* SPDX-License-Identifier: MIT */
/*
 * upgrade.c - starting the successor, and the two letters that are exchanged.
 */
#include "config.h"
#include "main/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "main/handed.h"
#include "main/listen.h"
#include "main/notify.h"

#define VARIABLE "TRITD_UPGRADE" /* the number of the new process's end */

enum {
    EXTRA = 6,                           /* variables that we add */
    FDS = HANDED_FIRST + HANDED_MAX + 1, /* stdio, sockets and weights, our pair */
    NAMES = HANDED_MAX * HANDED_NAME
};

/* ------------------------------------------------------------------ the old process */

/* What the new process is given, before it is there. */
struct dowry {
    uv_stdio_container_t fd[FDS];
    int n;
    char names[NAMES];
    char text[EXTRA][NAMES + 64];
    char **env; /* ours, and the texts */
};

static void give(struct dowry *d, int fd, const char *name)
{
    size_t used = strlen(d->names);
    trit_assert(d->n < FDS);
    d->fd[d->n++] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
    if (name)
        snprintf(d->names + used, sizeof d->names - used, "%s%s", used ? ":" : "", name);
}

static bool fill(struct dowry *d, const struct listeners *l, const struct upgrade_gift *gift,
                 size_t n_gifts, int pair, const struct notify *n)
{
    for (int fd = 0; fd < HANDED_FIRST; fd++)
        give(d, fd, NULL);
    for (size_t i = 0; i < l->n; i++)
        give(d, l->at[i].fd, l->at[i].activated ? "socket" : l->at[i].name);
    for (size_t i = 0; i < n_gifts && i + l->n < HANDED_MAX; i++)
        give(d, gift[i].fd, gift[i].name);
    int n_handed = d->n - HANDED_FIRST;
    give(d, pair, NULL);

    int k = 0;
    snprintf(d->text[k++], sizeof d->text[0], "LISTEN_PID=%ld", (long)getpid());
    snprintf(d->text[k++], sizeof d->text[0], "LISTEN_FDS=%d", n_handed);
    snprintf(d->text[k++], sizeof d->text[0], "LISTEN_FDNAMES=%s", d->names);
    snprintf(d->text[k++], sizeof d->text[0], VARIABLE "=%d", d->n - 1);
    if (n->fd >= 0)
        snprintf(d->text[k++], sizeof d->text[0], "NOTIFY_SOCKET=%s", n->address);
    if (n->watchdog_seconds > 0)
        snprintf(d->text[k++], sizeof d->text[0], "WATCHDOG_USEC=%.0f", n->watchdog_seconds * 1e6);

    size_t ours = 0;
    while (environ[ours])
        ours++;
    d->env = mem_zalloc(ours + EXTRA + 1, sizeof *d->env);
    if (!d->env)
        return false;
    memcpy(d->env, environ, ours * sizeof *d->env);
    for (int i = 0; i < k; i++)
        d->env[ours + (size_t)i] = d->text[i];
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct upgrade *u = handle->data;
    if (--u->n_handles == 0 && u->ended)
        u->ended(u, u->arg);
}

static void end_talk(struct upgrade *u)
{
    if (!u->talks)
        return;
    u->talks = false;
    uv_close((uv_handle_t *)&u->poll, on_closed);
    close(u->fd);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signo)
{
    struct upgrade *u = process->data;
    if (!u->given_up)
        log_error("upgrade failed pid=%d exit=%d signal=%d", process->pid, (int)status, signo);
    end_talk(u);
    uv_close((uv_handle_t *)process, on_closed);
}

static void on_word(uv_poll_t *poll, int status, int events)
{
    struct upgrade *u = poll->data;
    char word = 0;
    (void)events;
    ssize_t n = status == 0 ? recv(u->fd, &word, 1, MSG_DONTWAIT) : 0;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n == 1 && word == 'R')
        u->ready(u, u->arg);
    else
        end_talk(u); /* on_process_exit says why. */
}

bool upgrade_goes_on(const struct upgrade *u)
{
    return u->n_handles > 0;
}

static int spawn(struct upgrade *u, uv_loop_t *loop, const uv_process_options_t *o)
{
    int rc = uv_poll_init(loop, &u->poll, u->fd);
    if (rc)
        return rc;
    u->poll.data = u;
    u->n_handles++;
    u->talks = true;
    rc = uv_spawn(loop, &u->process, o);
    /* A process that could not be started leaves its handle to be closed. */
    u->process.data = u;
    u->n_handles++;
    if (rc)
        uv_close((uv_handle_t *)&u->process, on_closed);
    return rc;
}

void upgrade_begin(struct upgrade *u, uv_loop_t *loop, const char *program, char **argv,
                   const struct listeners *l, const struct upgrade_gift *gift, size_t n_gifts,
                   const struct notify *n, upgrade_fn ready, upgrade_fn ended, void *arg)
{
    struct dowry d = {0};
    int pair[2];
    trit_assert(!upgrade_goes_on(u));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        log_error("upgrade failed error=\"%s\"", strerror(errno));
        return;
    }
    *u = (struct upgrade){.fd = pair[0], .ready = ready, .ended = ended, .arg = arg};
    int rc = fill(&d, l, gift, n_gifts, pair[1], n) ? 0 : UV_ENOMEM;
    uv_process_options_t o = {.exit_cb = on_process_exit,
                              .file = program,
                              .args = argv,
                              .env = d.env,
                              .stdio_count = d.n,
                              .stdio = d.fd};
    if (rc == 0)
        rc = spawn(u, loop, &o);
    mem_free(d.env);
    close(pair[1]);
    if (rc) {
        log_error("upgrade failed program=\"%s\" error=\"%s\"", program, uv_strerror(rc));
        if (u->talks)
            end_talk(u);
        else
            close(u->fd);
        return;
    }
    trit_assert(uv_poll_start(&u->poll, UV_READABLE | UV_DISCONNECT, on_word) == 0);
    log_notice("upgrade started pid=%d program=\"%s\"", u->process.pid, program);
}

int upgrade_pid(const struct upgrade *u)
{
    return u->process.pid;
}

void upgrade_go(struct upgrade *u)
{
    (void)send(u->fd, "G", 1, MSG_NOSIGNAL);
    end_talk(u);
    /* It is on its own now, and its end none of our business. */
    u->ended = NULL;
    uv_close((uv_handle_t *)&u->process, on_closed);
}

void upgrade_give_up(struct upgrade *u)
{
    u->given_up = true;
    end_talk(u);
}

/* ------------------------------------------------------------------ the new process */

void upgrade_child_open(struct upgrade_child *c)
{
    const char *text = getenv(VARIABLE);
    *c = (struct upgrade_child){.fd = -1};
    if (!text)
        return;
    int type = 0;
    socklen_t len = sizeof type;
    int fd = (int)strtol(text, NULL, 10);
    if (fd >= HANDED_FIRST && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
        type == SOCK_STREAM && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        c->fd = fd;
    else
        log_warn("upgrade variable=" VARIABLE "=\"%.32s\" expected=\"a socket\"", text);
    unsetenv(VARIABLE);
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
    struct upgrade_child *c = CONTAINER_OF(poll, struct upgrade_child, poll);
    char word = 0;
    (void)events;
    ssize_t n = status == 0 ? recv(c->fd, &word, 1, MSG_DONTWAIT) : 0;
    if (n < 0 && errno == EAGAIN)
        return;
    uv_close((uv_handle_t *)&c->poll, NULL);
    close(c->fd);
    c->fd = -1;
    c->done(n == 1 && word == 'G', c->arg);
}

void upgrade_child_ready(struct upgrade_child *c, uv_loop_t *loop, void (*done)(bool go, void *arg),
                         void *arg)
{
    c->done = done;
    c->arg = arg;
    (void)send(c->fd, "R", 1, MSG_NOSIGNAL);
    trit_assert(uv_poll_init(loop, &c->poll, c->fd) == 0);
    trit_assert(uv_poll_start(&c->poll, UV_READABLE | UV_DISCONNECT, on_answer) == 0);
}
