/* SPDX-License-Identifier: MIT */
/*
 * loader.c - the daemon's side of reading a model: the loader process, from its start to its end,
 * and a reader for each model.
 *
 * Not here: what daemon and reader say to each other (loader-talk.c).
 */
#include "config.h"
#include "model/loader-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/files.h"
#include "model/gguf-private.h"

static struct {
    pid_t pid;  /* of the loader process that we have forked; 0: it has ended */
    int socket; /* to the one that is asked; -1: loader_start has not been called */
    int spare;  /* to the one that waits to take its place; -1: there is none */
    struct loader_options options;
    _Atomic(struct loader *) expected; /* has been asked to read; whoever exchanges it has it */
} host = {.socket = -1, .spare = -1};

/* ------------------------------------------------------------------ asking the loader process */

/*
 * Ask the loader process for a twin of itself, which will take its place should it end.  It is as
 * clean as the first: nothing of what we have got since has ever been in either of them.
 */
static void ask_for_spare(void)
{
    const struct loader_note note = {.kind = LOADER_TWIN};
    int ends[2];
    host.spare = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return;
    if (loader_send(host.socket, &note, &ends[1], 1))
        host.spare = ends[0];
    else
        close(ends[0]);
    close(ends[1]);
}

/* Where the loader process has ended and another waits, ask that one from now on. */
static bool take_spare(void)
{
    struct pollfd p = {.fd = host.socket};
    if (host.spare < 0 || poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP))
        return false;
    close(host.socket);
    while (host.pid > 0 && waitpid(host.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    host.pid = 0;
    host.socket = host.spare;
    ask_for_spare();
    log_warn("loader ended=yes effect=\"another takes its place\"");
    return true;
}

static int fork_reader(struct loader *l, struct trit_error *err)
{
    const struct loader_note note = {.kind = LOADER_FORK};
    int a[2], b[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a) != 0)
        return trit_fail(err, TRIT_EIO, "loader: %s", strerror(errno));
    /* Who asks and does not listen must not hold us up. */
    if (fcntl(a[0], F_SETFL, O_NONBLOCK) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b) != 0) {
        close(a[0]);
        close(a[1]);
        return trit_fail(err, TRIT_EIO, "loader: %s", strerror(errno));
    }
    bool sent;
    do
        sent = loader_send(host.socket, &note, (int[]){a[1], b[1]}, 2);
    while (!sent && take_spare());
    close(a[1]);
    close(b[1]);
    l->talk = a[0];
    l->status = b[0];
    return sent ? 0 : loader_no_host(l, err);
}

/* ------------------------------------------------------------------ opening */

/* Time for so many bytes of files. */
static void grant(struct loader *l, uint64_t bytes)
{
    uint64_t seconds = host.options.cpu_seconds + (bytes >> 20);
    l->cpu_seconds = (unsigned)MIN(seconds, (uint64_t)INT_MAX);
    l->deadline = trit_now() + host.options.most_silence + 4.0 * l->cpu_seconds;
}

/* Of a model in parts the bytes of the others, as far as there are any. */
static uint64_t more_bytes(const char *first)
{
    uint64_t sum = 0, n = 1;
    bool folder;
    for (unsigned no = 2; n; no++) {
        char *path = mem_strdup(first);
        n = path && gguf_name_part(path, no) ? files_bytes(path, &folder) : 0;
        sum += n;
        mem_free(path);
    }
    return sum;
}

/* A reader for this model, which has been asked to read it. */
static int begin(const char *path, struct loader **out, struct trit_error *err)
{
    struct loader *l = mem_zalloc(1, sizeof *l);
    struct loader_note wish = {.kind = LOADER_READ};
    bool folder;
    *out = NULL;
    if (!l)
        return trit_fail(err, TRIT_ENOMEM, "%.200s: out of memory", path);
    l->talk = l->status = -1;
    l->limits = &host.options;
    l->path = mem_strdup(path);
    l->files = mem_zalloc(LOADER_FILES_MOST, sizeof *l->files);
    int rc = 0;
    if (!l->path || !l->files)
        rc = trit_fail(err, TRIT_ENOMEM, "%.200s: out of memory", path);
    else if (strlen(path) >= PATH_MAX)
        rc = trit_fail(err, TRIT_EIO, "%.200s...: the path is too long", path);
    if (rc == 0) {
        grant(l, files_bytes(path, &folder) + more_bytes(path));
        rc = fork_reader(l, err);
    }
    if (rc == 0) {
        /* A file is given with the wish, so that nobody waits for the other; one that cannot be
         * opened is asked for like those of a folder, and refused then. */
        snprintf(wish.text, sizeof wish.text, "%s", path);
        bool opened = !folder && loader_open_for(l, path, &wish.n[3], NULL) == 0;
        wish.n[0] = folder;
        wish.n[1] = l->cpu_seconds;
        wish.n[2] = host.options.most_memory;
        l->sent = loader_send(l->talk, &wish, opened ? &l->files[0].fd : NULL, opened);
        *out = l;
    } else {
        loader_close(&l);
    }
    return rc;
}

int loader_open(const char *path, const struct model_options *opt, struct loader **out,
                struct gguf **g, struct trit_error *err)
{
    struct loader *l = atomic_exchange(&host.expected, NULL);
    struct loader_note done;
    int fd = -1, rc = 0;
    if (l && (strcmp(l->path, path) != 0 || take_spare()))
        loader_close(&l);
    /* Once more where the loader process has ended under it, which is not the model's doing. */
    for (int tries = 2; tries > 0; tries--) {
        if (!l)
            rc = begin(path, &l, err);
        if (rc)
            break;
        l->opt = opt;
        rc = loader_hear(l, &done, &fd, err);
        l->answered = trit_now();
        if (rc == 0 || tries == 1 || !l->orphaned || !take_spare())
            break;
        loader_close(&l);
    }
    if (rc == 0)
        rc = loader_take_view(l, fd, done.n[0], g, err);
    if (fd >= 0)
        close(fd);
    if (rc)
        loader_close(&l);
    *out = l;
    return rc;
}

void loader_close(struct loader **lp)
{
    struct loader *l = *lp;
    if (!l)
        return;
    if (l->talk >= 0)
        close(l->talk);
    if (l->status >= 0)
        close(l->status);
    for (size_t i = 0; i < l->n_files; i++) {
        mem_free(l->files[i].path);
        close(l->files[i].fd);
    }
    mem_free(l->files);
    mem_free(l->path);
    mem_free(l);
    *lp = NULL;
}

/* ------------------------------------------------------------------ from start to stop */

/* Input and output of the daemon are for nobody down here; stderr is, for an assertion's words. */
static void leave_stdio(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

int loader_start(const struct loader_options *options, struct trit_error *err)
{
    int ends[2];
    trit_assert(host.socket < 0);
    host.options = *options;
    struct loader_options *o = &host.options;
    o->most_silence = o->most_silence ? o->most_silence : 120;
    o->cpu_seconds = o->cpu_seconds ? o->cpu_seconds : 60;
    if (!o->most_memory)
        o->most_memory = ((uint64_t)1 << 30) + team_usable_cpus() * ((uint64_t)32 << 20);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return trit_fail(err, TRIT_EIO, "loader: %s", strerror(errno));
    pid_t parent = getpid();
    host.pid = fork();
    if (host.pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return trit_fail(err, TRIT_ENOMEM, "loader: %s", strerror(errno));
    }
    if (host.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)prctl(PR_SET_NAME, "tritd-loader");
        if (getppid() != parent || dup2(ends[1], 3) != 3)
            _exit(1);
        (void)close_range(4, ~0u, 0);
        leave_stdio();
        loader_host(3, o);
        _exit(0);
    }
    close(ends[1]);
    host.socket = ends[0];
    ask_for_spare();
    struct loader *l = NULL;
    int rc = o->expected ? begin(o->expected, &l, err) : 0;
    atomic_store(&host.expected, l);
    return rc;
}

bool loader_runs(void)
{
    return host.socket >= 0;
}

/* One that is not our child. */
static void end_other(int socket)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};
    (void)shutdown(socket, SHUT_WR);
    (void)poll(&p, 1, 1000);
    close(socket);
}

void loader_stop(void)
{
    if (host.socket < 0)
        return;
    struct loader *l = atomic_exchange(&host.expected, NULL);
    loader_close(&l);
    if (host.spare >= 0)
        end_other(host.spare);
    if (host.pid > 0)
        close(host.socket);
    else
        end_other(host.socket);
    host.socket = host.spare = -1;
    while (host.pid > 0 && waitpid(host.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    host.pid = 0;
}
