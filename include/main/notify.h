/* SPDX-License-Identifier: MIT */
/*
 * notify.h - the service manager's side door: sd_notify(3) without its library.
 *
 * Datagrams of VARIABLE=value lines to the socket that NOTIFY_SOCKET names.  Outside systemd the
 * variable is not set and every call does nothing.  A message that cannot be delivered is dropped:
 * the manager must never hold up the service.
 */
#ifndef TRIT_NOTIFY_H
#define TRIT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    double
        watchdog_seconds; /* the manager restarts us after such a silence; 0: it does not watch */
    char status[160];     /* the last one sent */
};

/* Read and unset NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.  Never fails: a malformed
 * variable is logged and ignored. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* One datagram, "READY=1" or "RELOADING=1\nMONOTONIC_USEC=..." */
void notify_send(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* STATUS=..., if it differs from the last. */
void notify_status(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* RELOADING=1 with the time that newer managers ask for. */
void notify_reloading(struct notify *n);

/* Whether stderr goes straight to the journal, which reads a <priority> before each line.  The
 * variable alone does not tell: it is also there when stderr has been sent elsewhere. */
bool notify_stderr_is_journal(void);

#endif
