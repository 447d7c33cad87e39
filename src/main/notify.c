/* SPDX-License-Identifier: MIT */
/*
 * notify.c - the datagrams of sd_notify(3).
 */
#include "config.h"
#include "main/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"

/* "/run/..." is a path, "@..." a name in Linux's abstract namespace, where the first byte is NUL.
 */
static socklen_t read_address(const char *s, struct sockaddr_un *to)
{
    size_t len = strlen(s);
    if ((s[0] != '/' && s[0] != '@') || len < 2 || len >= sizeof to->sun_path)
        return 0;
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, s, len);
    if (s[0] == '@') {
        to->sun_path[0] = '\0';
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

/* The watchdog's interval if it is meant for this process, sd_watchdog_enabled(3). */
static double read_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(usec, &end, 10);
    if (errno || *end || end == usec || n == 0) {
        log_warn("notify watchdog_usec=\"%.32s\" expected=\"microseconds\"", usec);
        return 0;
    }
    return (double)n * 1e-6;
}

void notify_open(struct notify *n)
{
    memset(n, 0, sizeof *n);
    n->fd = -1;
    const char *address = getenv("NOTIFY_SOCKET");
    if (address) {
        n->to_len = read_address(address, &n->to);
        if (n->to_len == 0) {
            log_warn("notify socket=\"%.120s\" expected=\"/path or @name\"", address);
        } else {
            snprintf(n->address, sizeof n->address, "%s", address);
            n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        }
    }
    if (n->fd >= 0)
        n->watchdog_seconds = read_watchdog();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

bool notify_stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

static void send_text(struct notify *n, const char *text)
{
    if (n->fd < 0 || n->muted)
        return;
    ssize_t rc =
        sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&n->to, n->to_len);
    if (rc < 0)
        log_debug("notify error=\"%s\"", strerror(errno));
}

void notify_send(struct notify *n, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    trit_assert(len > 0 && (size_t)len < sizeof text);
    send_text(n, text);
}

void notify_status(struct notify *n, const char *fmt, ...)
{
    char status[sizeof n->status];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(status, sizeof status, fmt, ap);
    va_end(ap);
    /* The text becomes a line of its own in the protocol. */
    for (char *p = status; *p; p++)
        if (*p == '\n')
            *p = ' ';
    if (strcmp(status, n->status) == 0)
        return;
    memcpy(n->status, status, sizeof status);
    notify_send(n, "STATUS=%s", status);
}

void notify_mute(struct notify *n, bool muted)
{
    n->muted = muted;
    n->status[0] = '\0'; /* The manager has not heard it from us. */
}

/* Messages that matter, with a descriptor perhaps: a full queue is waited for. */
static bool send_with(struct notify *n, const char *text, int fd)
{
    enum { WAIT_MS = 500 };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof fd),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr m = {
        .msg_name = &n->to, .msg_namelen = n->to_len, .msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    for (int tries = 0;; tries++) {
        if (sendmsg(n->fd, &m, MSG_NOSIGNAL) >= 0)
            return true;
        /* An unconnected socket cannot be polled for its receiver's room. */
        if (errno != EAGAIN || tries == WAIT_MS / 10)
            return false;
        (void)poll(NULL, 0, 10);
    }
}

bool notify_store(struct notify *n, const char *name, int fd)
{
    char text[128];
    if (n->fd < 0 || n->muted)
        return false;
    /* Not to be watched: what becomes of a socket is not for the manager to conclude from it. */
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%.64s\nFDPOLL=0", name);
    bool sent = send_with(n, text, fd);
    if (!sent)
        log_warn("notify fdstore=%s error=\"%s\"", name, strerror(errno));
    return sent;
}

bool notify_unstore(struct notify *n, const char *name)
{
    char text[128];
    if (n->fd < 0 || n->muted)
        return false;
    snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%.64s", name);
    bool sent = send_with(n, text, -1);
    if (!sent)
        log_warn("notify fdstoreremove=%s error=\"%s\"", name, strerror(errno));
    return sent;
}

void notify_barrier(struct notify *n)
{
    int ends[2];
    if (n->fd < 0 || n->muted || pipe2(ends, O_CLOEXEC) != 0)
        return;
    bool sent = send_with(n, "BARRIER=1", ends[1]);
    close(ends[1]);
    /* Its end is closed when the message has had its turn, or when the manager does not know it. */
    struct pollfd p = {.fd = ends[0]};
    if (sent)
        (void)poll(&p, 1, 1000);
    close(ends[0]);
}

void notify_reloading(struct notify *n)
{
    notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(trit_now() * 1e6));
}
