/* SPDX-License-Identifier: MIT */
/*
 * listen.c - opening, taking over and closing the listening sockets.
 */
#include "config.h"
#include "main/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "main/handed.h"

/* The kernel cuts it to net.core.somaxconn. */
#define BACKLOG 4096

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
static int describe(struct listener *l, const struct listen_wish *w, union address *a,
                    struct trit_error *err)
{
    const char *scheme = w->tls ? "https" : "http";
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
        snprintf(l->url, sizeof l->url, "%s://%s:%u", scheme, text, l->port);
        return 0;
    case AF_INET6:
        l->port = ntohs(a->v6.sin6_port);
        inet_ntop(AF_INET6, &a->v6.sin6_addr, text, sizeof text);
        snprintf(l->url, sizeof l->url, "%s://[%s]:%u", scheme, text, l->port);
        return 0;
    case AF_UNIX:
        l->local = true;
        snprintf(l->url, sizeof l->url, "unix:%s%.107s", a->local.sun_path[0] ? "" : "@",
                 a->local.sun_path + !a->local.sun_path[0]);
        return 0;
    default:
        return trit_fail(err, TRIT_EUNSUPP, "socket: address family %d, expected IP or unix",
                         a->any.sa_family);
    }
}

/* One of a socket unit's. */
static int take(int fd, const struct listen_wish *w, struct listener *l, struct trit_error *err)
{
    *l = (struct listener){.fd = fd, .activated = true};
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
    int rc = describe(l, w, &a, err);
    return rc == 0 && !w->allow_remote && l->remote ? refuse_remote(l->url, err) : rc;
}

/* ------------------------------------------------------------------ unix sockets */

bool listen_read_mode(const char *text, mode_t *mode)
{
    size_t len = strlen(text);
    if (len < 3 || len > 4 || strspn(text, "01234567") != len)
        return false;
    *mode = (mode_t)strtoul(text, NULL, 8);
    return *mode <= 0777;
}

/* "USER", "USER:GROUP" or ":GROUP", each cut into its own array; "" for what is not said. */
static bool split_owner(const char *text, char user[64], char group[64])
{
    size_t len = strcspn(text, ":");
    const char *rest = text[len] ? text + len + 1 : "";
    if (len >= 64 || strlen(rest) >= 64 || strchr(rest, ':') || (text[len] && !*rest))
        return false;
    memcpy(user, text, len);
    user[len] = '\0';
    memcpy(group, rest, strlen(rest) + 1);
    return true;
}

bool listen_is_owner(const char *text)
{
    char user[64], group[64];
    return split_owner(text, user, group);
}

/* The number of a user or group; (uid_t)-1, which is nobody's, means "leave it" to chown(2). */
static bool find_id(const char *name, bool is_group, unsigned *id)
{
    *id = (unsigned)-1;
    if (!*name)
        return true;
    if (strspn(name, "0123456789") == strlen(name)) {
        unsigned long long n = strtoull(name, NULL, 10); /* ULLONG_MAX if there are more digits */
        *id = (unsigned)n;
        return n < (unsigned)-1;
    }
    const struct passwd *user = is_group ? NULL : getpwnam(name);
    const struct group *group = is_group ? getgrnam(name) : NULL;
    if (user)
        *id = user->pw_uid;
    else if (group)
        *id = group->gr_gid;
    return user || group;
}

/* Nobody can connect before it is given to its owner, and to its mode after that. */
static int give_away(const char *path, const struct listen_wish *w, struct trit_error *err)
{
    char user[64], group[64];
    unsigned uid, gid;
    /* The configuration has seen it. */
    trit_assert(w->owner && split_owner(w->owner, user, group));
    if (!find_id(user, false, &uid))
        return trit_fail(err, TRIT_EINVAL, "socket-owner: there is no user %s", user);
    if (!find_id(group, true, &gid))
        return trit_fail(err, TRIT_EINVAL, "socket-owner: there is no group %s", group);
    if ((*w->owner && lchown(path, uid, gid) != 0) || chmod(path, w->mode) != 0)
        return trit_fail(err, TRIT_EIO, "socket-owner: %s: cannot be given to \"%s\": %s", path,
                         w->owner, strerror(errno));
    return 0;
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

/* Its time tells it from another file that is given the same inode later. */
static void own_file(struct listener *l, const char *path)
{
    snprintf(l->path, sizeof l->path, "%s", path);
    (void)lstat(path, &l->inode);
}

static int bind_unix(int fd, const union address *a, socklen_t len)
{
    mode_t before = umask(0777); /* until give_away */
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

/* key: the setting that it comes from.  port 0: any, or of a unix socket. */
static int open_failed(const char *key, const char *host, uint16_t port, int why,
                       struct trit_error *err)
{
    if (listen_is_unix(host))
        return trit_fail(err, TRIT_EIO, "%s: %s: %s", key, host + 5,
                         why == EADDRINUSE ? "another process listens there" : strerror(why));
    if (why == EADDRINUSE)
        return trit_fail(err, TRIT_EIO,
                         "%s: %u on %s is in use. \"ss -ltnp sport = :%u\" shows by whom; "
                         "--%s N chooses another",
                         key, port, host, port, key);
    if (why == EACCES)
        return trit_fail(err, TRIT_EIO,
                         "%s: %u on %s: not permitted; expected a port from 1024 on, or a socket "
                         "unit of systemd",
                         key, port, host);
    if (why == EADDRNOTAVAIL)
        return trit_fail(err, TRIT_EIO, "host: %s is not an address of this machine", host);
    return trit_fail(err, TRIT_EIO, "%s: %u on %s: %s", key, port, host, strerror(why));
}

static int open_own(const char *key, const char *host, const struct listen_wish *w,
                    struct listener *l, struct trit_error *err)
{
    union address a;
    socklen_t len = read_host(host, w->port, &a);
    trit_assert(len > 0); /* listen_check_host has seen it. */
    l->fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return open_failed(key, host, w->port, errno, err);
    int rc, one = 1;
    if (a.any.sa_family == AF_UNIX) {
        rc = bind_unix(l->fd, &a, len);
        if (rc != 0)
            return open_failed(key, host, 0, errno, err);
        own_file(l, a.local.sun_path); /* So that it goes, whatever happens next. */
        rc = give_away(l->path, w, err);
        own_file(l, a.local.sun_path);
        if (rc)
            return rc;
    } else {
        /* Connections of the predecessor that linger in TIME_WAIT must not keep us out. */
        (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        rc = bind(l->fd, &a.any, len);
    }
    if (rc != 0 || listen(l->fd, BACKLOG) != 0)
        return open_failed(key, host, w->port, errno, err);
    return describe(l, w, &a, err);
}

static int take_all(struct handed *h, size_t n, const struct listen_wish *w, struct listeners *l,
                    struct trit_error *err)
{
    if (n > LISTEN_MAX)
        return trit_fail(err, TRIT_EINVAL,
                         "socket activation: found %zu sockets, expected at most %d ListenStream= "
                         "in the socket unit",
                         n, LISTEN_MAX);
    for (size_t i = 0; i < n; i++) {
        int rc = take(handed_take_socket(h), w, &l->at[l->n++], err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------ of a process before us */

/* Whether a socket is bound to what is wished; port 0 wishes for any. */
static bool is_bound_to(int fd, const char *host, uint16_t port)
{
    union address want, have;
    socklen_t len = sizeof have;
    struct stat st;
    memset(&have, 0, sizeof have);
    if (read_host(host, port, &want) == 0 || getsockname(fd, &have.any, &len) != 0 ||
        want.any.sa_family != have.any.sa_family)
        return false;
    switch (want.any.sa_family) {
    case AF_INET:
        return want.v4.sin_addr.s_addr == have.v4.sin_addr.s_addr &&
               (port == 0 || want.v4.sin_port == have.v4.sin_port);
    case AF_INET6:
        return IN6_ARE_ADDR_EQUAL(&want.v6.sin6_addr, &have.v6.sin6_addr) &&
               (port == 0 || want.v6.sin6_port == have.v6.sin6_port);
    default: /* A unix socket whose file is gone cannot be reached. */
        return strcmp(want.local.sun_path, have.local.sun_path) == 0 &&
               lstat(want.local.sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
    }
}

/* The socket of this name, if it is what is wished; *found tells. */
static int take_kept(const char *host, const struct listen_wish *w, struct handed *h,
                     struct listener *l, bool *found, struct trit_error *err)
{
    int fd = handed_look(h, l->name);
    *found = fd >= 0 && is_bound_to(fd, host, w->port);
    if (!*found)
        return 0;
    char name[sizeof l->name];
    memcpy(name, l->name, sizeof name);
    int rc = take(handed_take(h, name), w, l, err);
    memcpy(l->name, name, sizeof name);
    l->activated = false;
    l->kept = true;
    return rc;
}

/* All that is wished and kept, and the rest is closed, here and by the manager: an address is bound
 * once. */
static int take_all_kept(const char *const hosts[], size_t n_hosts, const struct listen_wish *w,
                         struct handed *h, struct notify *n, struct listeners *l,
                         struct trit_error *err)
{
    bool found, dropped = false;
    for (size_t i = 0; i < LISTEN_MAX; i++) {
        struct listener *at = &l->at[i];
        *at = (struct listener){.fd = -1};
        snprintf(at->name, sizeof at->name, HANDED_LISTEN "%zu", i);
        int rc = i < n_hosts ? take_kept(hosts[i], w, h, at, &found, err) : 0;
        if (rc) {
            l->n = i + 1;
            return rc;
        }
        at->left = handed_drop(h, at->name, n);
        dropped |= at->left;
    }
    if (dropped && n)
        notify_barrier(n);
    return 0;
}

static int open_all(const struct listen_wish *w, struct handed *h, struct notify *n,
                    struct listeners *l, struct trit_error *err)
{
    char beside[sizeof l->at[0].path + 8];
    const char *hosts[] = {w->host, beside};
    const char *keys[] = {listen_is_unix(w->host) ? "host" : "port", "socket"};
    size_t n_hosts = *w->socket ? 2 : 1;
    snprintf(beside, sizeof beside, "unix:%s", w->socket);
    int rc = take_all_kept(hosts, n_hosts, w, h, n, l, err);
    for (size_t i = 0; rc == 0 && i < n_hosts; i++) {
        struct listener *at = &l->at[i];
        l->n = i + 1;
        if (!at->kept)
            rc = open_own(keys[i], hosts[i], w, at, err);
    }
    return rc;
}

int listen_open(const struct listen_wish *w, struct handed *h, struct notify *n,
                struct listeners *l, struct trit_error *err)
{
    memset(l, 0, sizeof *l);
    size_t activated = handed_sockets(h);
    int rc = listen_check_host(w->host, w->allow_remote, err);
    if (rc == 0)
        rc = activated ? take_all(h, activated, w, l, err) : open_all(w, h, n, l, err);
    if (rc != 0)
        listen_close(l);
    return rc;
}

int listen_open_agent(const char *host, uint16_t port, bool allow_remote, struct handed *h,
                      struct listener *l, struct trit_error *err)
{
    struct listen_wish w = {.host = listen_is_unix(host) ? "127.0.0.1" : host,
                            .port = port,
                            .allow_remote = allow_remote};
    bool found = false;
    *l = (struct listener){.fd = -1, .name = HANDED_AGENT};
    int rc = listen_check_host(w.host, allow_remote, err);
    if (rc == 0)
        rc = take_kept(w.host, &w, h, l, &found, err);
    if (rc == 0 && !found)
        rc = open_own("agent-port", w.host, &w, l, err);
    if (rc)
        listen_close_one(l);
    return rc;
}

bool listen_is_remote(const struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].remote)
            return true;
    return false;
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

void listen_leave(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        l->at[i].path[0] = '\0';
}

void listen_own(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].kept && l->at[i].local)
            own_file(&l->at[i], l->at[i].url + strlen("unix:"));
}

void listen_close_one(struct listener *l)
{
    if (l->fd < 0)
        return;
    if (is_still_ours(l))
        unlink(l->path);
    close(l->fd);
    l->fd = -1;
}

void listen_close(struct listeners *l)
{
    for (; l->n > 0; l->n--)
        listen_close_one(&l->at[l->n - 1]);
}
