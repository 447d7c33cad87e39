/* SPDX-License-Identifier: MIT */
/*
 * loader-host.c - the loader process: it forks readers, waits for them, and kills them.
 *
 * The daemon holds the other end of a socket for each reader: closing it is the order to kill, and
 * the wait status is written to it.  A reader has no such socket, so that it cannot say that it has
 * ended while it has not.  The process dies with the daemon, and readers die with it.
 *
 * It reads nothing that a file has a hand in, and allocates nothing; so a twin that it forks is as
 * good as itself.
 */
#include "config.h"
#include "model/loader-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

enum { READERS_MOST = 16 };

struct host {
    const struct loader_options *options;
    int socket;
    size_t n;
    struct {
        pid_t pid;
        int status; /* the socket on which its end is told */
        bool killed;
    } reader[READERS_MOST];
};

bool loader_send(int socket, const struct loader_note *note, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)note, .iov_len = sizeof *note};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    trit_assert(n_fds <= 2);
    memset(&control, 0, sizeof control);
    if (n_fds) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *note;
}

bool loader_receive(int socket, struct loader_note *note, int *fds, size_t n_fds)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = note, .iov_len = sizeof *note};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = -1;
    ssize_t got;
    do
        got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    for (struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (i < n_fds && fds[i] < 0)
                fds[i] = fd;
            else
                close(fd);
        }
    }
    if (got == (ssize_t)sizeof *note) {
        note->text[sizeof note->text - 1] = '\0';
        return true;
    }
    for (size_t i = 0; i < n_fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    return false;
}

/* ------------------------------------------------------------------ one reader */

/* Where memory is short, a reader is what the kernel ends, and not the daemon. */
static void go_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "1000", 4);
    close(fd);
}

/* In the child: nothing but the socket and stderr is left. */
static _Noreturn void begin_reader(const struct host *h, int socket, pid_t host)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != host)
        _exit(1);
    go_first();
    (void)prctl(PR_SET_NAME, "tritd-reader");
    /* A stop is for the daemon; what a reader has done itself ends it. */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGXCPU};
    sigset_t open;
    sigemptyset(&open);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        (void)signal(own[i], SIG_DFL);
        sigaddset(&open, own[i]);
    }
    (void)sigprocmask(SIG_UNBLOCK, &open, NULL);
    if (dup2(socket, 3) != 3)
        _exit(1);
    (void)close_range(4, ~0u, 0);
    loader_reader(3, h->options->enter);
}

static void tell(int socket, int status)
{
    (void)!send(socket, &status, sizeof status, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(socket);
}

/* A loader process like this one, of which nothing is heard until this one has ended.  It outlives
 * its parent and ends when the daemon's end of its socket does. */
static void fork_twin(const struct host *h, int socket)
{
    if (socket >= 0 && fork() == 0) {
        if (dup2(socket, 3) != 3)
            _exit(1);
        (void)close_range(4, ~0u, 0);
        loader_host(3, h->options);
        _exit(0);
    }
    if (socket >= 0)
        close(socket);
}

static void obey(struct host *h)
{
    struct loader_note note;
    int fds[2];
    if (!loader_receive(h->socket, &note, fds, 2))
        _exit(0); /* The daemon is gone, and readers go with us. */
    pid_t self = getpid(), pid = -1;
    if (note.kind == LOADER_TWIN) {
        fork_twin(h, fds[0]);
        if (fds[1] >= 0)
            close(fds[1]);
        return;
    }
    if (note.kind == LOADER_FORK && fds[0] >= 0 && fds[1] >= 0 && h->n < READERS_MOST)
        pid = fork();
    if (pid == 0)
        begin_reader(h, fds[0], self);
    close(fds[0]);
    if (pid < 0) {
        tell(fds[1], -1);
        return;
    }
    h->reader[h->n].pid = pid;
    h->reader[h->n].status = fds[1];
    h->reader[h->n++].killed = false;
}

/* ------------------------------------------------------------------ all of them */

static void reap(struct host *h)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < h->n; i++)
            if (h->reader[i].pid == pid) {
                tell(h->reader[i].status, status);
                h->reader[i] = h->reader[--h->n];
                break;
            }
}

static void on_child(int signal)
{
    (void)signal; /* It ends ppoll. */
}

void loader_host(int socket, const struct loader_options *options)
{
    struct host h = {.options = options, .socket = socket};
    const struct sigaction act = {.sa_handler = on_child};
    sigset_t block, during;
    sigemptyset(&during);
    sigfillset(&block);
    (void)sigaction(SIGCHLD, &act, NULL);
    /* A stop is for the daemon, which then closes the socket; systemd tells all processes. */
    (void)sigprocmask(SIG_SETMASK, &block, NULL);
    sigfillset(&during);
    sigdelset(&during, SIGCHLD);
    for (;;) {
        struct pollfd p[READERS_MOST + 1] = {{.fd = socket, .events = POLLIN}};
        size_t n = h.n;
        for (size_t i = 0; i < n; i++)
            p[i + 1] = (struct pollfd){.fd = h.reader[i].killed ? -1 : h.reader[i].status,
                                       .events = POLLIN};
        int ready = ppoll(p, n + 1, NULL, &during);
        for (size_t i = 0; ready > 0 && i < n; i++)
            if (p[i + 1].revents) {
                (void)kill(h.reader[i].pid, SIGKILL);
                h.reader[i].killed = true;
            }
        if (ready > 0 && p[0].revents)
            obey(&h);
        reap(&h);
    }
}
