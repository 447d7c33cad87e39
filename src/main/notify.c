/* SPDX-License-Identifier: MIT */
/*
 * notify.c - the datagrams of sd_notify(3).
 */
#include "config.h"
#include "main/notify.h"

#include <errno.h>
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
        if (n->to_len == 0)
            log_warn("notify socket=\"%.120s\" expected=\"/path or @name\"", address);
        else
            n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
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
    if (n->fd < 0)
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

void notify_reloading(struct notify *n)
{
    notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(trit_now() * 1e6));
}
