/* SPDX-License-Identifier: MIT */
/*
 * daemon.c - fork, exec, a datagram that says READY=1, and a few requests.
 */
#include "config.h"
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "trit-http.h"

enum { EXTRA_MAX = 64, STOP_SECONDS = 60 };

/* ------------------------------------------------------------------ its home */

int daemon_home_open(const char *parent, struct daemon_home *h, struct trit_error *err)
{
    int n = snprintf(h->dir, sizeof h->dir, "%s/trit-bench.XXXXXX", parent);
    /* A socket lies in it, and its path must fit where sockets have theirs. */
    if (n < 0 || (size_t)n + sizeof "/notify" > sizeof((struct sockaddr_un *)NULL)->sun_path)
        return trit_fail(err, TRIT_EINVAL, "%s: the path is too long", parent);
    if (!mkdtemp(h->dir))
        return trit_fail(err, TRIT_EIO, "%s: %s", h->dir, strerror(errno));
    return 0;
}

static void remove_files(const char *dir, const char *prefix)
{
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

void daemon_home_forget(const struct daemon_home *h)
{
    remove_files(h->dir, "tritd-");
}

void daemon_home_close(struct daemon_home *h)
{
    remove_files(h->dir, "");
    rmdir(h->dir);
    h->dir[0] = '\0';
}

/* The end of what the daemons of this home have said. */
static void show_log(const struct daemon_home *h)
{
    char path[512], text[4096];
    snprintf(path, sizeof path, "%s/log", h->dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fseek(f, -(long)sizeof text, SEEK_END) != 0)
        rewind(f);
    size_t n = fread(text, 1, sizeof text, f);
    fwrite(text, 1, n, stderr);
    fclose(f);
}

/* ------------------------------------------------------------------ requests */

/* One request; 0 when the answer is a 200, which is added to *answer unless that is NULL. */
static int ask(const struct daemon *d, const char *path, const char *json, struct buf *answer,
               struct trit_error *err)
{
    struct server_address server = {.url = d->url};
    struct request r;
    char why[600];
    int rc = 0;
    cJSON *body = json ? cJSON_Parse(json) : NULL;
    if (!request_open(&r, &server, path, body, NULL, NULL)) {
        rc = trit_fail(err, TRIT_ENOMEM, "no memory for a request");
    } else {
        curl_easy_setopt(r.easy, CURLOPT_TIMEOUT, 300L);
        const char *problem = request_problem(&r, curl_easy_perform(r.easy), why, sizeof why);
        if (problem)
            rc = trit_fail(err, TRIT_EIO, "%s%s: %s", d->url, path, problem);
        else if (answer)
            buf_add(answer, r.answer.data, r.answer.len);
    }
    request_close(&r);
    cJSON_Delete(body);
    return rc;
}

int daemon_first_token(const struct daemon *d, struct trit_error *err)
{
    return ask(d, "/v1/completions",
               "{\"prompt\": \"a\", \"max_tokens\": 1, \"temperature\": 0, \"ignore_eos\": true}",
               NULL, err);
}

int daemon_metric(const struct daemon *d, const char *name, double *value, struct trit_error *err)
{
    struct buf page = {0};
    size_t len = strlen(name);
    int rc = ask(d, "/metrics", NULL, &page, err);
    const char *line = page.data;
    while (rc == 0 && line && !(strncmp(line, name, len) == 0 && line[len] == ' ')) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (rc == 0 && !line)
        rc = trit_fail(err, TRIT_ENOENT, "%s/metrics has no %s", d->url, name);
    if (rc == 0)
        *value = strtod(line + len, NULL);
    buf_free(&page);
    return rc;
}

/* ------------------------------------------------------------------ its life */

/* The socket that systemd would have; the child finds it in its environment. */
static int open_notify(struct daemon *d, struct trit_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%.90s/notify", d->home->dir);
    unlink(at.sun_path);
    d->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->notify_fd < 0 || bind(d->notify_fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        setenv("NOTIFY_SOCKET", at.sun_path, 1) != 0)
        return trit_fail(err, TRIT_EIO, "%s: %s", at.sun_path, strerror(errno));
    return 0;
}

/* In the child. */
static _Noreturn void become(const struct daemon_options *o, const char *log, char **argv)
{
    /* Whatever ends the measurement ends its daemons. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    execvp(o->tritd, argv);
    fprintf(stderr, "%s: %s\n", o->tritd, strerror(errno));
    _exit(127);
}

static bool is_gone(struct daemon *d)
{
    int status;
    if (waitpid(d->pid, &status, WNOHANG) != d->pid)
        return false;
    d->pid = 0;
    return true;
}

/* Has READY=1 come?  Other messages are dropped. */
static bool hears_ready(const struct daemon *d)
{
    char text[1024];
    ssize_t n;
    while ((n = recv(d->notify_fd, text, sizeof text - 1, 0)) >= 0) {
        text[n] = '\0';
        if (strncmp(text, "READY=1", 7) == 0 || strstr(text, "\nREADY=1"))
            return true;
    }
    return false;
}

static int await_ready(const struct daemon_options *o, struct daemon *d, struct trit_error *err)
{
    struct pollfd set = {.fd = d->notify_fd, .events = POLLIN};
    do {
        if (*o->stop)
            return trit_fail(err, TRIT_ECANCELLED, "interrupted");
        if (is_gone(d))
            return trit_fail(err, TRIT_EIO, "%s ended before it was ready", o->tritd);
        if (trit_now() - d->exec_at > o->ready_seconds)
            return trit_fail(err, TRIT_EDEADLINE, "%s was not ready in %.0f s", o->tritd,
                             o->ready_seconds);
        (void)poll(&set, 1, 100);
    } while (!hears_ready(d));
    return 0;
}

static int read_port(struct daemon *d, const char *path, struct trit_error *err)
{
    unsigned port = 0;
    FILE *f = fopen(path, "re");
    bool found = f && fscanf(f, "%u", &port) == 1;
    if (f)
        fclose(f);
    if (!found)
        return trit_fail(err, TRIT_EIO, "%s: no port in it", path);
    snprintf(d->url, sizeof d->url, "http://127.0.0.1:%u", port);
    return 0;
}

int daemon_start(const struct daemon_options *o, const struct daemon_home *h, struct daemon *d,
                 struct trit_error *err)
{
    char dir[sizeof h->dir], log[300], port_file[300];
    snprintf(dir, sizeof dir, "%s", h->dir);
    snprintf(log, sizeof log, "%s/log", h->dir);
    snprintf(port_file, sizeof port_file, "%s/port", h->dir);
    static char model[] = "--model", shm[] = "--shm-dir", port[] = "--port", any[] = "0",
                file[] = "--port-file", level[] = "--log-level", warn[] = "warn";
    char *argv[16 + EXTRA_MAX] = {o->tritd, model, o->model,  shm,   dir, port,
                                  any,      file,  port_file, level, warn};
    size_t n = 11;
    for (char *const *e = o->extra; *e; e++) {
        if (n + 1 == ARRAY_LEN(argv))
            return trit_fail(err, TRIT_EINVAL, "more than %d arguments for tritd", EXTRA_MAX);
        argv[n++] = *e;
    }
    *d = (struct daemon){.home = h, .notify_fd = -1};
    unlink(port_file);
    int rc = open_notify(d, err);
    if (rc == 0) {
        d->exec_at = trit_now();
        d->pid = fork();
        if (d->pid == 0)
            become(o, log, argv);
        if (d->pid < 0) {
            d->pid = 0;
            rc = trit_fail(err, TRIT_EIO, "fork: %s", strerror(errno));
        }
    }
    unsetenv("NOTIFY_SOCKET");
    if (rc == 0)
        rc = await_ready(o, d, err);
    if (rc == 0)
        rc = read_port(d, port_file, err);
    if (rc == 0)
        rc = ask(d, "/readyz", NULL, NULL, err);
    d->ready_at = trit_now();
    if (rc != 0) {
        show_log(h);
        daemon_stop(d);
    }
    return rc;
}

void daemon_stop(struct daemon *d)
{
    double end = trit_now() + STOP_SECONDS;
    if (d->pid > 0)
        kill(d->pid, SIGTERM);
    while (d->pid > 0 && !is_gone(d)) {
        if (trit_now() > end)
            kill(d->pid, SIGKILL);
        poll(NULL, 0, 5);
    }
    if (d->notify_fd >= 0 && d->home)
        close(d->notify_fd);
    *d = (struct daemon){0};
}
