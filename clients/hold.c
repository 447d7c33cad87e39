/* SPDX-License-Identifier: MIT */
/*
 * hold.c - non-blocking sockets in somebody else's epoll set.
 */
#include "config.h"
#include "hold.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/base.h"
#include "base/mem.h"

struct held {
    enum hold_kind kind;
    int fd;                   /* -1: none now */
    bool connected, answered; /* of an idle one: with status 200 */
    char *request;
    size_t sent, request_bytes;
};

struct hold {
    struct sockaddr_storage to;
    socklen_t to_len;
    int epoll_fd;
    uint64_t mark;
    uint32_t n, cap;
    struct hold_tally tally[N_HOLD_KINDS];
    struct held conn[];
};

/* ------------------------------------------------------------------ where */

static int find_unix(struct hold *h, const char *path, struct trit_error *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path)
        return trit_fail(err, TRIT_EINVAL, "url: the path of the socket is too long");
    memcpy(to.sun_path, path, strlen(path) + 1);
    memcpy(&h->to, &to, sizeof to);
    h->to_len = sizeof to;
    return 0;
}

/* The first address of host and port.  libcurl takes the URL apart, as it does for requests. */
static int find_tcp(struct hold *h, const char *url, struct trit_error *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    CURLU *parts = curl_url();
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = 0;
    if (!parts || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        strcmp(scheme, "http") != 0) {
        rc = trit_fail(err, TRIT_EINVAL,
                       "url: \"%.200s\", idle and stuck connections need http://host:port or "
                       "unix:/path",
                       url);
        goto out;
    }
    size_t len = strlen(host);
    if (host[0] == '[' && host[len - 1] == ']') { /* getaddrinfo has no brackets */
        memmove(host, host + 1, len - 2);
        host[len - 2] = '\0';
    }
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        rc = trit_fail(err, TRIT_ENOENT, "%s: %s", host, gai_strerror(code));
        goto out;
    }
    memcpy(&h->to, found->ai_addr, found->ai_addrlen);
    h->to_len = found->ai_addrlen;
    freeaddrinfo(found);
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return rc;
}

int hold_open(const char *url, uint32_t cap, int epoll_fd, uint64_t mark, struct hold **out,
              struct trit_error *err)
{
    struct hold *h = mem_zalloc(1, sizeof *h + cap * sizeof *h->conn);
    if (!h)
        return trit_fail(err, TRIT_ENOMEM, "no memory for %u connections", cap);
    h->epoll_fd = epoll_fd;
    h->mark = mark;
    h->cap = cap;
    int rc = strncmp(url, "unix:", 5) == 0 ? find_unix(h, url + 5, err) : find_tcp(h, url, err);
    if (rc != 0)
        hold_close(&h);
    *out = h;
    return rc;
}

/* ------------------------------------------------------------------ one connection */

static void leave(struct hold *h, struct held *c)
{
    if (c->connected)
        h->tally[c->kind].closed++;
    else
        h->tally[c->kind].refused++;
    close(c->fd); /* epoll forgets it by itself */
    c->fd = -1;
    c->connected = c->answered = false;
    c->sent = 0;
}

static void start(struct hold *h, struct held *c)
{
    c->fd = socket(h->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        h->tally[c->kind].refused++;
        return;
    }
    if (c->kind == HOLD_STUCK) /* The kernel makes its least of it. */
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int));
    struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                               .data.u64 = h->mark | (uint64_t)(c - h->conn)};
    if ((connect(c->fd, (struct sockaddr *)&h->to, h->to_len) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, c->fd, &want) != 0)
        leave(h, c);
}

void hold_add(struct hold *h, enum hold_kind kind, char *request)
{
    trit_assert(h->n < h->cap);
    struct held *c = &h->conn[h->n++];
    *c =
        (struct held){.kind = kind, .fd = -1, .request = request, .request_bytes = strlen(request)};
    h->tally[kind].wanted++;
    start(h, c);
}

static bool is_good(const char *answer, ssize_t n)
{
    static const char begin[] = "HTTP/1.1 200";
    return n >= (ssize_t)sizeof begin - 1 && memcmp(answer, begin, sizeof begin - 1) == 0;
}

/* Read what there is.  false: the server has closed, or the connection is broken. */
static bool drain(struct held *c)
{
    char piece[4096];
    ssize_t n;
    while ((n = recv(c->fd, piece, sizeof piece, 0)) > 0)
        c->answered = c->answered || is_good(piece, n);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* The answer of a reader that does not read stays in its socket, and is looked at there. */
static bool is_answered(const struct held *c)
{
    char begin[16];
    if (c->kind == HOLD_IDLE)
        return c->answered;
    return c->fd >= 0 && is_good(begin, recv(c->fd, begin, sizeof begin, MSG_PEEK | MSG_DONTWAIT));
}

void hold_event(struct hold *h, uint32_t number, uint32_t events)
{
    trit_assert(number < h->n);
    struct held *c = &h->conn[number];
    if (c->fd < 0)
        return; /* An event from before it was closed. */
    if (events & (EPOLLERR | EPOLLHUP)) {
        leave(h, c);
        return;
    }
    c->connected = true;
    while (c->sent < c->request_bytes) {
        ssize_t n = send(c->fd, c->request + c->sent, c->request_bytes - c->sent, MSG_NOSIGNAL);
        if (n < 0)
            break; /* Full: epoll tells when it is not.  Broken: it tells that too. */
        c->sent += (size_t)n;
    }
    if ((events & EPOLLRDHUP) || (c->kind == HOLD_IDLE && (events & EPOLLIN) && !drain(c)))
        leave(h, c);
}

void hold_tick(struct hold *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->conn[i].fd < 0 && h->conn[i].kind == HOLD_IDLE)
            start(h, &h->conn[i]);
}

void hold_tally(const struct hold *h, enum hold_kind kind, struct hold_tally *t)
{
    *t = h->tally[kind];
    for (uint32_t i = 0; i < h->n; i++) {
        const struct held *c = &h->conn[i];
        if (c->kind != kind)
            continue;
        t->open += c->connected;
        t->answered += is_answered(c);
    }
}

void hold_close(struct hold **out)
{
    struct hold *h = *out;
    for (uint32_t i = 0; h && i < h->n; i++) {
        if (h->conn[i].fd >= 0)
            close(h->conn[i].fd);
        mem_free(h->conn[i].request);
    }
    mem_free(h);
    *out = NULL;
}
