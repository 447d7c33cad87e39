/* SPDX-License-Identifier: MIT */
/*
 * listen.h - the listening sockets: opened by us, or handed over by systemd.
 *
 * A host is an IP address, "localhost" (127.0.0.1) or "unix:PATH".  Names are not looked up: what a
 * daemon listens on should not depend on somebody else's answer.
 *
 * The file of a unix socket has one owner, who removes it when he closes the socket: who has made
 * it, until he leaves it (listen_leave) to a process that takes it as its own (listen_own).  A
 * socket that was handed over is used meanwhile, and its file left alone.
 */
#ifndef TRIT_LISTEN_H
#define TRIT_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct handed;
struct notify;
struct trit_error;

enum { LISTEN_MAX = 4 }; /* sockets */

/* What the configuration says. */
struct listen_wish {
    const char *host;
    uint16_t port;
    const char *socket; /* path of a unix socket beside it; "": none */
    mode_t mode;        /* of unix sockets; connecting needs the right to write */
    const char *owner;  /* of them: "USER", "USER:GROUP" or ":GROUP", names or numbers; "": ours */
    bool allow_remote;
    bool tls; /* on all but unix sockets; only the url changes */
};

struct listener {
    int fd;            /* -1: none; non-blocking, close-on-exec */
    bool activated;    /* from a socket unit */
    bool kept;         /* our own, opened by a process before us */
    bool left;         /* that has another of this name, which the manager may keep too */
    char name[24];     /* of our own, for those who keep it; else "" */
    bool remote;       /* other machines can reach it */
    bool local;        /* a unix socket */
    uint16_t port;     /* 0 for a unix socket */
    char url[160];     /* "http://127.0.0.1:8080", "https://..." or "unix:PATH", for logs */
    char path[108];    /* of a unix socket whose file is ours, else "" */
    struct stat inode; /* of that, so that only our own is removed */
};

/* A zeroed struct holds none. */
struct listeners {
    struct listener at[LISTEN_MAX]; /* at least one when open; the first is the host's; behind the
                                     * last there may be names that were left */
    size_t n;
};

bool listen_is_unix(const char *host);

/* Permissions in octal, "0660"; who owns, without looking the names up.  false: they are not. */
bool listen_read_mode(const char *text, mode_t *mode);
bool listen_is_owner(const char *text);

/*
 * Whether `host` can be listened on: well-formed, and not reachable from other machines unless
 * allow_remote, which API keys or the operator's word give.  -TRIT_EINVAL naming the key and what
 * to do.
 */
int listen_check_host(const char *host, bool allow_remote, struct trit_error *err);

/*
 * Take the sockets of a socket unit if there are any among those that were handed to this process,
 * checking that they are listening stream sockets and obey allow_remote.  Otherwise those that a
 * process before us has opened, where they are what is wished; the manager, n, is told to drop the
 * others.  Otherwise open host:port and the socket beside it.  Gives *l.  A stale unix socket, one
 * that nobody listens on, is replaced.
 */
int listen_open(const struct listen_wish *w, struct handed *h, struct notify *n,
                struct listeners *l, struct trit_error *err);

/* The sockets live on elsewhere: from now on to close them removes no file. */
void listen_leave(struct listeners *l);

/* Nobody else has those that a process before us has opened: their files are ours now. */
void listen_own(struct listeners *l);

/*
 * Open the agent's port beside the host's, on 127.0.0.1 where the host is a unix socket; or take
 * the one that was handed over, if it is what is wished.  The same rules hold.  l->fd is -1 on
 * failure.
 */
int listen_open_agent(const char *host, uint16_t port, bool allow_remote, struct handed *h,
                      struct listener *l, struct trit_error *err);
void listen_close_one(struct listener *l);

/* Whether any of them can be reached by other machines. */
bool listen_is_remote(const struct listeners *l);

/* Write the port and a newline to `path`, at once and whole, for scripts that wait for it. */
int listen_write_port(const struct listener *l, const char *path, struct trit_error *err);

/* Close the sockets, remove unix sockets that are still ours. */
void listen_close(struct listeners *l);

#endif
