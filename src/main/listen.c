/* SPDX-License-Identifier: MIT */
/*
 * listen.c - opening, taking over and closing the listening socket.
 */
#include "config.h"
#include "main/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"

/* The kernel cuts it to net.core.somaxconn. */
#define BACKLOG 4096

/* Where systemd's protocol puts the first socket, sd_listen_fds(3). */
#define FIRST_FD 3

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage room;
};

bool listen_is_unix(const char *host)
{
    return strncmp(host, "unix:", 5) == 0;
}

/* Read a host; the length of the address, or 0. */
static socklen_t read_host(const char *host, uint16_t port, union address *a)
{
    memset(a, 0, sizeof *a);
    if (listen_is_unix(host)) {
        size_t len = strlen(host + 5);
        if (host[5] != '/' || len >= sizeof a->local.sun_path)
            return 0;
        a->local.sun_family = AF_UNIX;
        memcpy(a->local.sun_path, host + 5, len);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    }
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        return sizeof a->v4;
    }
    if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        return sizeof a->v6;
    }
    return 0;
}

static bool is_local(const union address *a)
{
    switch (a->any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr) && a->v6.sin6_addr.s6_addr[12] == 127);
    default:
        return false;
    }
}

static int refuse_remote(const char *what, struct trit_error *err)
{
    return trit_fail(
        err, TRIT_EINVAL,
        "%s can be reached from other machines, and there are no API keys; expected "
        "api-keys = FILE, a loopback address or unix:PATH. If a firewall or a proxy guards it, say "
        "allow-remote = yes",
        what);
}

int listen_check_host(const char *host, bool allow_remote, struct trit_error *err)
{
    union address a;
    if (read_host(host, 0, &a) == 0)
        return trit_fail(err, TRIT_EINVAL,
                         "host: found \"%.110s\", expected an IP address, localhost or "
                         "unix:/path of at most %zu bytes",
                         host, sizeof a.local.sun_path - 1);
    if (!allow_remote && !is_local(&a)) {
        char what[80];
        snprintf(what, sizeof what, "host: %.64s", host);
        return refuse_remote(what, err);
    }
    return 0;
}

/* Fill in port and url from what the kernel says the socket is bound to. */
static int describe(struct listener *l, union address *a, struct trit_error *err)
{
    socklen_t len = sizeof *a;
    char text[INET6_ADDRSTRLEN];
    memset(a, 0, sizeof *a);
    if (getsockname(l->fd, &a->any, &len) != 0)
        return trit_fail(err, TRIT_EIO, "socket: no address: %s", strerror(errno));
    l->remote = !is_local(a);
    switch (a->any.sa_family) {
    case AF_INET:
        l->port = ntohs(a->v4.sin_port);
        inet_ntop(AF_INET, &a->v4.sin_addr, text, sizeof text);
        snprintf(l->url, sizeof l->url, "http://%s:%u", text, l->port);
        return 0;
    case AF_INET6:
        l->port = ntohs(a->v6.sin6_port);
        inet_ntop(AF_INET6, &a->v6.sin6_addr, text, sizeof text);
        snprintf(l->url, sizeof l->url, "http://[%s]:%u", text, l->port);
        return 0;
    case AF_UNIX:
        l->port = 0;
        snprintf(l->url, sizeof l->url, "unix:%s%.107s", a->local.sun_path[0] ? "" : "@",
                 a->local.sun_path + !a->local.sun_path[0]);
        return 0;
    default:
        return trit_fail(err, TRIT_EUNSUPP, "socket: address family %d, expected IP or unix",
                         a->any.sa_family);
    }
}

/* How many sockets systemd has handed to this process; the variables are for nobody else. */
static long activated_sockets(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    long n = 0;
    if (pid && fds && strtol(pid, NULL, 10) == (long)getpid())
        n = strtol(fds, NULL, 10);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return n;
}

static int take(long n, bool allow_remote, struct listener *l, struct trit_error *err)
{
    if (n != 1)
        return trit_fail(err, TRIT_EINVAL,
                         "socket activation: found %ld sockets, expected one ListenStream= in the "
                         "socket unit",
                         n);
    l->fd = FIRST_FD;
    l->activated = true;
    int type = 0, listening = 0, flags;
    socklen_t len = sizeof type;
    if (getsockopt(l->fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
        return trit_fail(err, TRIT_EINVAL,
                         "socket activation: descriptor %d is no stream socket, expected "
                         "ListenStream= in the socket unit",
                         l->fd);
    len = sizeof listening;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || !listening)
        return trit_fail(err, TRIT_EINVAL,
                         "socket activation: the socket is not listening, expected Accept=no in "
                         "the socket unit");
    flags = fcntl(l->fd, F_GETFL);
    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(l->fd, F_SETFD, FD_CLOEXEC) != 0)
        return trit_fail(err, TRIT_EIO, "socket activation: fcntl: %s", strerror(errno));
    union address a;
    int rc = describe(l, &a, err);
    return rc == 0 && !allow_remote && l->remote ? refuse_remote(l->url, err) : rc;
}

/* Whether *a is a unix socket on which nobody listens: a leftover of a daemon that was killed.  A
 * regular file refuses connections too, and is none of our business. */
static bool is_stale(const union address *a, socklen_t len)
{
    struct stat st;
    if (lstat(a->local.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, &a->any, len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int bind_unix(int fd, const union address *a, socklen_t len)
{
    /* The socket file is born with its permissions: owner and group may connect. */
    mode_t before = umask(0117);
    int rc = bind(fd, &a->any, len);
    if (rc != 0 && errno == EADDRINUSE && is_stale(a, len)) {
        unlink(a->local.sun_path);
        rc = bind(fd, &a->any, len);
    }
    int saved = errno;
    umask(before);
    errno = saved;
    return rc;
}

static int bind_failed(const char *host, uint16_t port, int why, struct trit_error *err)
{
    if (why == EADDRINUSE && listen_is_unix(host))
        return trit_fail(err, TRIT_EIO, "host: %s: another process listens there", host);
    if (why == EADDRINUSE)
        return trit_fail(err, TRIT_EIO,
                         "port: %u on %s is in use. \"ss -ltnp sport = :%u\" shows by whom; "
                         "--port N chooses another",
                         port, host, port);
    if (why == EACCES && !listen_is_unix(host))
        return trit_fail(err, TRIT_EIO,
                         "port: %u on %s: not permitted; expected a port from 1024 on, or a socket "
                         "unit of systemd",
                         port, host);
    if (why == EADDRNOTAVAIL)
        return trit_fail(err, TRIT_EIO, "host: %s is not an address of this machine", host);
    return trit_fail(err, TRIT_EIO, "host: %s port %u: %s", host, port, strerror(why));
}

static int open_own(const char *host, uint16_t port, struct listener *l, struct trit_error *err)
{
    union address a;
    socklen_t len = read_host(host, port, &a);
    trit_assert(len > 0); /* listen_check_host has seen it. */
    l->fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return trit_fail(err, TRIT_EIO, "host: %s: no socket: %s", host, strerror(errno));
    int rc, one = 1;
    if (a.any.sa_family == AF_UNIX) {
        rc = bind_unix(l->fd, &a, len);
        if (rc == 0 && lstat(a.local.sun_path, &l->inode) == 0)
            memcpy(l->path, a.local.sun_path, sizeof l->path);
    } else {
        /* Connections of the predecessor that linger in TIME_WAIT must not keep us out. */
        (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        rc = bind(l->fd, &a.any, len);
    }
    if (rc != 0 || listen(l->fd, BACKLOG) != 0)
        return bind_failed(host, port, errno, err);
    return describe(l, &a, err);
}

int listen_open(const char *host, uint16_t port, bool allow_remote, struct listener *l,
                struct trit_error *err)
{
    memset(l, 0, sizeof *l);
    l->fd = -1;
    long n = activated_sockets();
    int rc = listen_check_host(host, allow_remote, err);
    if (rc == 0)
        rc = n > 0 ? take(n, allow_remote, l, err) : open_own(host, port, l, err);
    if (rc != 0)
        listen_close(l);
    return rc;
}

int listen_write_port(const struct listener *l, const char *path, struct trit_error *err)
{
    char temporary[4096];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >=
        sizeof temporary)
        return trit_fail(err, TRIT_EINVAL, "port-file: the path is too long");
    /* Written aside and renamed: who sees the file sees the whole number. */
    FILE *f = fopen(temporary, "we");
    bool written = f && fprintf(f, "%u\n", l->port) > 0;
    if (f && fclose(f) != 0)
        written = false;
    if (!written || rename(temporary, path) != 0) {
        int saved = errno;
        if (f)
            unlink(temporary);
        return trit_fail(err, TRIT_EIO, "port-file: %.300s: %s", path, strerror(saved));
    }
    return 0;
}

/* A successor may have replaced our socket file, even under the same inode number. */
static bool is_still_ours(const struct listener *l)
{
    struct stat now;
    return *l->path && lstat(l->path, &now) == 0 && now.st_dev == l->inode.st_dev &&
           now.st_ino == l->inode.st_ino && now.st_ctim.tv_sec == l->inode.st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == l->inode.st_ctim.tv_nsec;
}

void listen_close(struct listener *l)
{
    if (l->fd < 0)
        return;
    if (is_still_ours(l))
        unlink(l->path);
    close(l->fd);
    l->fd = -1;
}
