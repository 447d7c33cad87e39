/* SPDX-License-Identifier: MIT */
/*
 * loader-talk.c - the daemon's talk with a reader: answering what it asks, asking it for the next
 * step, and deciding when it has failed.
 *
 * Not here: how a reader comes to be (loader.c), and what it does (loader-reader.c).
 */
#include "config.h"
#include "model/loader-parts.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/files.h"
#include "model/gguf-private.h"
#include "model/hf.h"
#include "model/model.h"
#include "model/segment-file.h"

#define VIEW_MOST ((uint64_t)4 << 30) /* bytes */

enum {
    FILES_LEAST = 16,
    LINES_MOST = 100, /* that a reader may log */
    TICK = 100,       /* ms between looks at the order to stop */
    END_SECONDS = 10, /* from its last word to its end */
};

/* ------------------------------------------------------------------ what it asks */

/* Whether a name is that of a file in a model's folder: never one of another folder, but for the
 * one that models of embeddings have. */
static bool is_inside(const char *name)
{
    return *name && *name != '.' && (!strchr(name, '/') || strcmp(name, HF_POOLING) == 0);
}

/* The model's own path, that of another part of it, or one of a file in that folder. */
static bool is_ours(const struct loader *l, const char *path)
{
    size_t len = strlen(l->path);
    if (gguf_is_part(l->path, path))
        return true;
    if (strncmp(path, l->path, len) != 0)
        return false;
    return !path[len] || (path[len] == '/' && is_inside(path + len + 1));
}

/* They are open as long as the model is read: clients shall have descriptors all the same. */
static size_t files_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return FILES_LEAST;
    return (size_t)MIN(MAX(limit.rlim_cur / 4, (rlim_t)FILES_LEAST), (rlim_t)LOADER_FILES_MOST);
}

static bool has_opened(const struct loader *l, const char *path)
{
    for (size_t i = 0; i < l->n_files; i++)
        if (strcmp(l->files[i].path, path) == 0)
            return true;
    return false;
}

int loader_open_for(struct loader *l, const char *path, uint64_t *bytes, struct trit_error *err)
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
        rc = loader_open_for(l, asked->text, &a.n[0], &why);
        if (rc == 0)
            fd = l->files[l->n_files - 1].fd;
        a.code = -rc;
        if (rc)
            snprintf(a.text, sizeof a.text, "%s", why.text);
        break;
    case LOADER_HAS:
        a.n[0] = is_inside(asked->text) && files_has(l->path, asked->text);
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

int loader_no_host(const struct loader *l, struct trit_error *err)
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
        if (trit_now() - start > MIN((unsigned)END_SECONDS, l->limits->most_silence))
            return trit_fail(err, TRIT_EFORMAT, "model rejected: %s: its reader does not end",
                             l->path);
    ssize_t n = recv(l->status, status, sizeof *status, 0);
    close(l->status);
    l->status = -1;
    l->orphaned = n != (ssize_t)sizeof *status;
    return l->orphaned ? loader_no_host(l, err) : 0;
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

int loader_hear(struct loader *l, struct loader_note *done, int *fd, struct trit_error *err)
{
    int rc = 0;
    *fd = -1;
    if (!l->sent)
        return ended(l, err);
    while (rc == 0) {
        rc = wait_note(l, l->limits->most_silence, err);
        if (rc < 0)
            return rc;
        if (rc == 0 || !loader_receive(l->talk, done, fd, 1))
            return ended(l, err);
        if (done->kind == LOADER_DONE)
            return 0;
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

/* ------------------------------------------------------------------ what is asked of it */

int loader_take_view(struct loader *l, int fd, uint64_t bytes, struct gguf **g,
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

/* ------------------------------------------------------------------ what follows */

static int converse(struct loader *l, const struct loader_note *wish, const int *give,
                    struct trit_error *err)
{
    struct loader_note done;
    l->deadline += trit_now() - l->answered;
    l->sent = loader_send(l->talk, wish, give, give != NULL);
    int fd, rc = loader_hear(l, &done, &fd, err);
    l->answered = trit_now();
    if (fd >= 0)
        close(fd);
    return rc;
}

int loader_try_plan(struct loader *l, struct trit_error *err)
{
    struct loader_note wish = {.kind = LOADER_PLAN, .n = {l->opt->layout, l->opt->tables}};
    if (l->opt->reading)
        memcpy(wish.text, l->opt->reading, sizeof *l->opt->reading);
    return converse(l, &wish, NULL, err);
}

int loader_try_text(struct loader *l, struct trit_error *err)
{
    const struct loader_note wish = {.kind = LOADER_TEXT, .n = {!l->opt->chat_template}};
    return converse(l, &wish, NULL, err);
}

int loader_pack(struct loader *l, const struct segment *seg, size_t weight_bytes,
                struct trit_error *err)
{
    const struct loader_note wish = {.kind = LOADER_PACK, .n = {seg->payload_bytes, weight_bytes}};
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
