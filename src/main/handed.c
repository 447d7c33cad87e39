/* SPDX-License-Identifier: MIT */
/*
 * handed.c - LISTEN_FDS and its names.
 */
#include "config.h"
#include "main/handed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"

/* That name, or one that goes on with a number. */
static bool is_numbered(const char *name, const char *ours)
{
    size_t len = strlen(ours);
    return strncmp(name, ours, len) == 0 && (name[len] == '\0' || name[len] == '-');
}

static bool is_ours(const char *name)
{
    return is_numbered(name, HANDED_WEIGHTS) || is_numbered(name, HANDED_KV) ||
           strcmp(name, HANDED_MODELS) == 0 ||
           strncmp(name, HANDED_LISTEN, strlen(HANDED_LISTEN)) == 0;
}

/* Cut the next name off; too long ones are cut short, which none of ours is. */
static const char *next_name(const char *names, char *name, size_t cap)
{
    size_t len = strcspn(names, ":");
    snprintf(name, cap, "%.*s", (int)MIN(len, cap - 1), names);
    return names + len + (names[len] == ':');
}

void handed_open(struct handed *h, bool from_parent)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    pid_t meant = from_parent ? getppid() : getpid();
    h->n = 0;
    if (pid && fds && strtol(pid, NULL, 10) == (long)meant) {
        char *end;
        errno = 0;
        long n = strtol(fds, &end, 10);
        if (errno || end == fds || *end || n < 0 || n > HANDED_MAX)
            log_warn("handed listen_fds=\"%.32s\" expected=\"a number up to %d\"", fds, HANDED_MAX);
        else
            h->n = (size_t)n;
    }
    for (size_t i = 0; i < h->n; i++) {
        h->at[i].fd = HANDED_FIRST + (int)i;
        h->at[i].name[0] = '\0';
        names = next_name(names ? names : "", h->at[i].name, sizeof h->at[i].name);
        (void)fcntl(h->at[i].fd, F_SETFD, FD_CLOEXEC);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static int take_at(struct handed *h, size_t i)
{
    int fd = h->at[i].fd;
    h->n--;
    memmove(&h->at[i], &h->at[i + 1], (h->n - i) * sizeof h->at[0]);
    return fd;
}

int handed_look(const struct handed *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->at[i].name, name) == 0)
            return h->at[i].fd;
    return -1;
}

int handed_take(struct handed *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->at[i].name, name) == 0)
            return take_at(h, i);
    return -1;
}

size_t handed_sockets(const struct handed *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        n += !is_ours(h->at[i].name);
    return n;
}

int handed_take_socket(struct handed *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (!is_ours(h->at[i].name))
            return take_at(h, i);
    return -1;
}

bool handed_drop(struct handed *h, const char *name, struct notify *n)
{
    bool any = false;
    for (int fd; (fd = handed_take(h, name)) >= 0; any = true)
        close(fd);
    if (any && n)
        (void)notify_unstore(n, name);
    return any;
}

void handed_drop_kind(struct handed *h, const char *kind, struct notify *n)
{
    char name[HANDED_NAME];
    for (size_t i = 0; i < h->n;) {
        memcpy(name, h->at[i].name, sizeof name);
        if (is_numbered(name, kind))
            (void)handed_drop(h, name, n); /* at[i] among them */
        else
            i++;
    }
}

void handed_drop_models(struct handed *h, struct notify *n)
{
    char pool[HANDED_NAME];
    for (size_t i = 0; i < h->n && n; i++)
        if (is_numbered(h->at[i].name, HANDED_WEIGHTS)) {
            (void)snprintf(pool, sizeof pool, HANDED_KV "%s",
                           h->at[i].name + strlen(HANDED_WEIGHTS));
            if (handed_look(h, pool) < 0)
                (void)notify_unstore(n, pool);
        }
    handed_drop_kind(h, HANDED_WEIGHTS, n);
    handed_drop_kind(h, HANDED_KV, n);
}

void handed_close(struct handed *h)
{
    while (h->n)
        close(take_at(h, h->n - 1));
}
