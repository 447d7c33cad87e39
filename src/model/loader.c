/* SPDX-License-Identifier: MIT */
/*
 * loader.c - the daemon's side of reading a model: asking a reader, answering what it asks, and
 * deciding when it has failed.
 */
#include "config.h"
#include "model/loader-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/files.h"
#include "model/gguf-private.h"
#include "model/model.h"
#include "model/segment-file.h"

#define VIEW_MOST ((uint64_t)4 << 30) /* bytes */

enum {
    FILES_MOST = 1100, /* of one model: shards and a few more; see files_most() */
    FILES_LEAST = 16,
    LINES_MOST = 100, /* that a reader may log */
    TICK = 100,       /* ms between looks at the order to stop */
    END_SECONDS = 10, /* from its last word to its end */
};

static struct {
    pid_t pid;  /* of the loader process that we have forked; 0: it has ended */
    int socket; /* to the one that is asked; -1: loader_start has not been called */
    int spare;  /* to the one that waits to take its place; -1: there is none */
    struct loader_options options;
    _Atomic(struct loader *) expected; /* has been asked to read; whoever exchanges it has it */
} host = {.socket = -1, .spare = -1};

struct loader {
    char *path; /* of the model */
    const struct model_options *opt;
    int talk;   /* with the reader */
    int status; /* its end; closing it kills the reader.  -1: it has ended */
    struct gguf_view_file *files;
    size_t n_files;
    bool sent;     /* the last wish */
    bool orphaned; /* the loader process has ended before it told of the reader's end */
    unsigned lines;
    unsigned cpu_seconds; /* that the reader may use */
    double deadline;
    double answered; /* when it was last done; what we take from then on is not its time */
};

/* ------------------------------------------------------------------ its requests */

/* The model's own path, that of another part of it, or one of a file in that folder. */
static bool is_ours(const struct loader *l, const char *path)
{
    size_t len = strlen(l->path);
    if (gguf_is_part(l->path, path))
        return true;
    if (strncmp(path, l->path, len) != 0)
        return false;
    return !path[len] || (path[len] == '/' && path[len + 1] && path[len + 1] != '.' &&
                          !strchr(path + len + 1, '/'));
}

/* They are open as long as the model is read: clients shall have descriptors all the same. */
static size_t files_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return FILES_LEAST;
    return (size_t)MIN(MAX(limit.rlim_cur / 4, (rlim_t)FILES_LEAST), (rlim_t)FILES_MOST);
}

static bool has_opened(const struct loader *l, const char *path)
{
    for (size_t i = 0; i < l->n_files; i++)
        if (strcmp(l->files[i].path, path) == 0)
            return true;
    return false;
}

static int open_for(struct loader *l, const char *path, uint64_t *bytes, struct trit_error *err)
{
    struct gguf_view_file *f = &l->files[l->n_files];
    size_t most = files_most();
    if (!is_ours(l, path))
        return trit_fail(err, TRIT_EIO, "model rejected: %s: reading it asks for %.200s", l->path,
                         path);
    if (has_opened(l, path)) /* No reader of ours does. */
        return trit_fail(err, TRIT_EIO, "model rejected: %s: reading it asks for %.200s twice",
                         l->path, path);
    if (l->n_files >= most)
        return trit_fail(err, TRIT_EFORMAT,
                         "%s: more than %zu files, a quarter of the descriptors that there may be",
                         l->path, most);
    f->fd = -1;
    int rc = files_open(path, &f->fd, &f->bytes, err);
    if (rc == 0 && !(f->path = mem_strdup(path)))
        rc = trit_fail(err, TRIT_ENOMEM, "%s: out of memory", path);
    if (rc) {
        if (f->fd >= 0)
            close(f->fd);
        return rc;
    }
    *bytes = f->bytes;
    l->n_files++;
    return 0;
}

/* A line that goes to a terminal as it is. */
static void show_progress(char *line)
{
    for (char *p = line; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    if (*line)
        log_progress("%s", line);
    else
        log_progress(NULL);
}

/* Answer, or note what it says.  An error here ends the reader. */
static int answer(struct loader *l, struct loader_note *asked, struct trit_error *err)
{
    struct loader_note a = {.kind = LOADER_ANSWER};
    struct trit_error why;
    char *real = NULL;
    int fd = -1, rc = 0;
    switch (asked->kind) {
    case LOADER_OPEN:
        rc = open_for(l, asked->text, &a.n[0], &why);
        if (rc == 0)
            fd = l->files[l->n_files - 1].fd;
        a.code = -rc;
        if (rc)
            snprintf(a.text, sizeof a.text, "%s", why.text);
        break;
    case LOADER_HAS:
        a.n[0] = !strchr(asked->text, '/') && files_has(l->path, asked->text);
        break;
    case LOADER_SUFFIX:
        a.n[0] = files_has_suffix(l->path, asked->text);
        break;
    case LOADER_REAL:
        real = files_real(l->path);
        snprintf(a.text, sizeof a.text, "%s", real ? real : "");
        mem_free(real);
        break;
    case LOADER_LOG:
        if (l->lines++ < LINES_MOST && asked->code >= LOG_ERROR && asked->code <= LOG_DEBUG)
            log_line((enum log_level)asked->code, "%s", asked->text);
        return 0;
    case LOADER_PROGRESS:
        show_progress(asked->text);
        return 0;
    default:
        return trit_fail(err, TRIT_EFORMAT, "model rejected: %s: reading it went astray", l->path);
    }
    (void)!loader_send(l->talk, &a, &fd, fd >= 0); /* Who is gone is noticed otherwise. */
    return 0;
}

/* ------------------------------------------------------------------ waiting */

static int no_host(const struct loader *l, struct trit_error *err)
{
    return trit_fail(
        err, TRIT_EIO,
        "%s: the process that starts readers of models has ended; a restart or SIGUSR2 "
        "brings another",
        l->path);
}

/* Wait until the reader has ended, which it is about to do; *status. */
static int take_end(struct loader *l, int *status, struct trit_error *err)
{
    struct pollfd p = {.fd = l->status, .events = POLLIN};
    for (double start = trit_now(); poll(&p, 1, TICK) <= 0;)
        if (trit_now() - start > MIN((unsigned)END_SECONDS, host.options.most_silence))
            return trit_fail(err, TRIT_EFORMAT, "model rejected: %s: its reader does not end",
                             l->path);
    ssize_t n = recv(l->status, status, sizeof *status, 0);
    close(l->status);
    l->status = -1;
    l->orphaned = n != (ssize_t)sizeof *status;
    return l->orphaned ? no_host(l, err) : 0;
}

/* Say how, and that it should not have. */
static int ended(struct loader *l, struct trit_error *err)
{
    int status = 0, rc = take_end(l, &status, err);
    if (rc)
        return rc;
    if (status == -1)
        return trit_fail(err, TRIT_ENOMEM, "%s: no process to read it", l->path);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return trit_fail(err, TRIT_EFORMAT,
                         "model rejected: %s: reading it takes more than %u s of processor time",
                         l->path, l->cpu_seconds);
    if (WIFSIGNALED(status))
        return trit_fail(err, TRIT_EFORMAT,
                         "model rejected: %s: reading it ended with signal %d (%s)", l->path,
                         WTERMSIG(status), strsignal(WTERMSIG(status)));
    return trit_fail(err, TRIT_EFORMAT, "model rejected: %s: reading it ended with status %d",
                     l->path, WEXITSTATUS(status));
}

/* Wait for what the reader has to say: 1, or 0 when it has ended.  Errors: it is too late. */
static int wait_note(struct loader *l, unsigned seconds, struct trit_error *err)
{
    double start = trit_now();
    for (;;) {
        struct pollfd p[] = {{.fd = l->talk, .events = POLLIN},
                             {.fd = l->status, .events = POLLIN}};
        int n = poll(p, 2, TICK);
        if (l->opt->stop && atomic_load(l->opt->stop))
            return trit_fail(err, TRIT_ECANCELLED, "loading was cancelled");
        if (trit_now() > l->deadline) /* also for one that always has something to say */
            return trit_fail(err, TRIT_EFORMAT, "model rejected: %s: reading it takes too long",
                             l->path);
        if (n > 0 && p[0].revents & POLLIN)
            return 1;
        if (n > 0)
            return 0;
        if (trit_now() - start > seconds)
            return trit_fail(err, TRIT_EFORMAT,
                             "model rejected: %s: reading it has stood still for %u s", l->path,
                             seconds);
    }
}

/* Until it is done with what it was asked; *fd as in loader_receive. */
static int hear(struct loader *l, struct loader_note *done, int *fd, struct trit_error *err)
{
    int rc = 0;
    *fd = -1;
    if (!l->sent)
        return ended(l, err);
    while (rc == 0) {
        rc = wait_note(l, host.options.most_silence, err);
        if (rc == 0 || (rc == 1 && !loader_receive(l->talk, done, fd, 1)))
            return ended(l, err);
        if (rc < 0 || done->kind == LOADER_DONE)
            return MIN(rc, 0);
        if (done->kind == LOADER_FAILED)
            return trit_fail(err,
                             done->code > 0 && done->code <= TRIT_EIO ? done->code : TRIT_EFORMAT,
                             "%s", done->text);
        /* Nothing but the view comes with a descriptor. */
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        rc = answer(l, done, err);
    }
    return rc;
}

/* ------------------------------------------------------------------ opening */

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
    return sent ? 0 : no_host(l, err);
}

/* Map what the reader has written, which it cannot change any more. */
static int take_view(struct loader *l, int fd, uint64_t bytes, struct gguf **g,
                     struct trit_error *err)
{
    struct stat st;
    int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEGMENT_SEALS) != SEGMENT_SEALS || fstat(fd, &st) != 0 ||
        (uint64_t)st.st_size != bytes || bytes == 0 || bytes > VIEW_MOST)
        return trit_fail(err, TRIT_EFORMAT, "model rejected: %s: reading it went astray", l->path);
    uint8_t *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        return trit_fail(err, TRIT_ENOMEM, "%s: out of memory", l->path);
    int rc = gguf_view_read(at, bytes, l->path, l->files, l->n_files, g, err);
    if (rc)
        munmap(at, bytes);
    else
        l->n_files = 0; /* They are the view's. */
    return rc;
}

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
    l->path = mem_strdup(path);
    l->files = mem_zalloc(FILES_MOST, sizeof *l->files);
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
        bool opened = !folder && open_for(l, path, &wish.n[3], NULL) == 0;
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
        rc = hear(l, &done, &fd, err);
        l->answered = trit_now();
        if (rc == 0 || tries == 1 || !l->orphaned || !take_spare())
            break;
        loader_close(&l);
    }
    if (rc == 0)
        rc = take_view(l, fd, done.n[0], g, err);
    if (fd >= 0)
        close(fd);
    if (rc)
        loader_close(&l);
    *out = l;
    return rc;
}

/* ------------------------------------------------------------------ what follows */

static int converse(struct loader *l, const struct loader_note *wish, const int *give,
                    struct trit_error *err)
{
    struct loader_note done;
    l->deadline += trit_now() - l->answered;
    l->sent = loader_send(l->talk, wish, give, give != NULL);
    int fd, rc = hear(l, &done, &fd, err);
    l->answered = trit_now();
    if (fd >= 0)
        close(fd);
    return rc;
}

int loader_try_plan(struct loader *l, struct trit_error *err)
{
    const struct loader_note wish = {.kind = LOADER_PLAN, .n = {l->opt->layout, l->opt->tables}};
    return converse(l, &wish, NULL, err);
}

int loader_try_text(struct loader *l, struct trit_error *err)
{
    const struct loader_note wish = {.kind = LOADER_TEXT, .n = {!l->opt->chat_template}};
    return converse(l, &wish, NULL, err);
}

int loader_pack(struct loader *l, const struct segment *seg, struct trit_error *err)
{
    const struct loader_note wish = {.kind = LOADER_PACK, .n = {seg->payload_bytes}};
    int lent = segment_lend(seg, err);
    if (lent < 0)
        return -TRIT_EIO;
    int rc = converse(l, &wish, &lent, err);
    close(lent);
    if (rc)
        return rc;
    /* Nobody but us may have the weights mapped when they are summed up. */
    (void)shutdown(l->talk, SHUT_RDWR);
    rc = take_end(l, &(int){0}, err);
    if (rc == 0 && !segment_is_whole(seg))
        rc = trit_fail(err, TRIT_EFORMAT,
                       "model rejected: %s: reading it has cut its weights short", l->path);
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

/* ------------------------------------------------------------------ the loader process */

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
