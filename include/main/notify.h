/* SPDX-License-Identifier: MIT */
/*
 * notify.h - the service manager's side door: sd_notify(3) without its library.
 *
 * Datagrams of VARIABLE=value lines to the socket that NOTIFY_SOCKET names.  Outside systemd the
 * variable is not set and every call does nothing.  A message that cannot be delivered is dropped:
 * the manager must never hold up the service.
 *
 * The manager can also keep descriptors for us (FileDescriptorStoreMax=): what is given to it comes
 * back at the next start, see handed.h.
 */
#ifndef TRIT_NOTIFY_H
#define TRIT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd;     /* -1: nobody listens */
    bool muted; /* it listens to another process: nothing is sent, see upgrade.h */
    struct sockaddr_un to;
    socklen_t to_len;
    double
        watchdog_seconds; /* the manager restarts us after such a silence; 0: it does not watch */
    char status[160];     /* the last one sent */
    char address[120];    /* as NOTIFY_SOCKET had it; "" for none */
};

/* Read and unset NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.  Never fails: a malformed
 * variable is logged and ignored. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* One datagram, "READY=1" or "RELOADING=1\nMONOTONIC_USEC=..." */
void notify_send(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* STATUS=..., if it differs from the last. */
void notify_status(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From now on this process is the one that is listened to; or is not any more. */
void notify_mute(struct notify *n, bool muted);

/*
 * FDSTORE=1: let the manager keep a descriptor of its own for `fd` under this name, of letters,
 * digits and -.  It may have several of a name.  FDSTOREREMOVE=1: let it close what it keeps under
 * that name. Waits up to a moment for room in the manager's queue; false: it was not told, and the
 * log says so.
 */
bool notify_store(struct notify *n, const char *name, int fd);
bool notify_unstore(struct notify *n, const char *name);

/* BARRIER=1: wait until the manager has dealt with all that was sent, a second at most. */
void notify_barrier(struct notify *n);

/* RELOADING=1 with the time that newer managers ask for. */
void notify_reloading(struct notify *n);

/* Whether stderr goes straight to the journal, which reads a <priority> before each line.  The
 * variable alone does not tell: it is also there when stderr has been sent elsewhere. */
bool notify_stderr_is_journal(void);

#endif
