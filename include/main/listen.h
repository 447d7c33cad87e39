/* SPDX-License-Identifier: MIT */
/*
 * listen.h - the listening socket: opened by us, or handed over by systemd.
 *
 * A host is an IP address, "localhost" (127.0.0.1) or "unix:PATH".  Names are not looked up: what a
 * daemon listens on should not depend on somebody else's answer.
 */
#ifndef TRIT_LISTEN_H
#define TRIT_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct trit_error;

struct listener {
    int fd;            /* -1: none; non-blocking, close-on-exec */
    bool activated;    /* from systemd */
    bool remote;       /* other machines can reach it */
    uint16_t port;     /* 0 for a unix socket */
    char url[160];     /* "http://127.0.0.1:8080" or "unix:PATH", for logs */
    char path[108];    /* of a unix socket that we made, else "" */
    struct stat inode; /* of that, so that only our own is removed */
};

bool listen_is_unix(const char *host);

/*
 * Whether `host` can be listened on: well-formed, and not reachable from other machines unless
 * allow_remote, which API keys or the operator's word give.  -TRIT_EINVAL naming the key and what
 * to do.
 */
int listen_check_host(const char *host, bool allow_remote, struct trit_error *err);

/*
 * Take the socket of LISTEN_FDS if systemd's activation handed one to this process, checking that
 * it is one listening stream socket and obeys allow_remote; otherwise open host:port.  The
 * variables are unset.  Gives *l.  A stale unix socket, one that nobody listens on, is replaced.
 */
int listen_open(const char *host, uint16_t port, bool allow_remote, struct listener *l,
                struct trit_error *err);

/* Write the port and a newline to `path`, at once and whole, for scripts that wait for it. */
int listen_write_port(const struct listener *l, const char *path, struct trit_error *err);

/* Close the socket, remove a unix socket that is still ours. */
void listen_close(struct listener *l);

#endif
