/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - parts of a file over several connections, with libcurl's multi interface.
 *
 * First one byte is asked for: the answer tells whether the server serves ranges, how long the file
 * is and which version it has.  Then each connection takes the next part that is missing.  A part
 * that is cut goes on where it stopped; what comes is only taken when it is the range that was
 * asked for, of the version that was seen first, which its ETag or else its date tells.  A server
 * without ranges is read from the front, on one connection, and a cut there means to begin again;
 * so does another call where nothing tells the version and no digest will.
 *
 * Not here: where files come from and go to (pull.c).
 */
#include "config.h"
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <curl/curl.h>
#include <nettle/sha2.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "fetch-map.h"
#include "trit-http.h"

enum {
    CONNECTIONS_MAX = 16,
    TRIES = 8,            /* of a part without a byte of progress */
    STALL_SECONDS = 30,   /* a connection that brings nothing for so long is cut by us */
    HASH_BYTES = 1 << 20, /* read at a time to check the digest */
};

/* What the server says of a file, in the headers of one answer. */
struct headline {
    long status;
    char etag[200], date[64]; /* Last-Modified */
    uint64_t first, size;     /* of Content-Range; size 0: it is not told */
};

struct link {
    struct fetch *f;
    CURL *easy;
    struct headline head;
    bool busy;
    uint32_t part;
    uint64_t at, end; /* the byte that comes next, the first that is not wanted */
    uint64_t began;   /* at, when this request was sent */
    unsigned tries;
    double not_before;
    char range[64];
    char problem[300]; /* why what came was not taken */
};

struct fetch {
    const struct fetch_job *job;
    struct trit_error *err;
    struct headline head; /* of the first answer: what all others must be of */
    bool ranges;
    int fd;
    char *part_path, *map_path;
    struct fetch_map map;
    CURLM *multi;
    struct link link[CONNECTIONS_MAX];
    uint64_t done, from;
    double shown;
};

/* ------------------------------------------------------------------ headers and bytes */

static bool is_header(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);
    return len > n && strncasecmp(line, name, n) == 0;
}

/* What tells one version of the file from another; "": nothing does. */
static const char *version_of(const struct headline *h)
{
    return *h->etag ? h->etag : h->date;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct headline *h = arg;
    size_t len = size * n;
    char text[300];
    unsigned long long first, last, all;
    snprintf(text, sizeof text, "%.*s", (int)MIN(len, sizeof text - 1), line);
    text[strcspn(text, "\r\n")] = '\0';
    if (is_header(line, len, "HTTP/")) /* Also behind a redirection: what counts is the last. */
        *h = (struct headline){.status = strtol(text + strcspn(text, " "), NULL, 10)};
    else if (is_header(line, len, "etag:"))
        snprintf(h->etag, sizeof h->etag, "%s", text + 5 + strspn(text + 5, " "));
    else if (is_header(line, len, "last-modified:"))
        snprintf(h->date, sizeof h->date, "%s", text + 14 + strspn(text + 14, " "));
    else if (is_header(line, len, "content-range:") &&
             sscanf(text + 14, " bytes %llu-%llu/%llu", &first, &last, &all) == 3)
        h->first = first, h->size = all;
    else if (is_header(line, len, "content-length:") && h->status == 200)
        h->size = strtoull(text + 15, NULL, 10);
    return len;
}

/* Nothing of the body is wanted but that it begins. */
static size_t ignore_body(char *bytes, size_t size, size_t n, void *arg)
{
    const struct headline *h = arg;
    (void)bytes;
    return h->status == 206 ? size * n : 0;
}

static bool write_all(int fd, const char *bytes, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

/* A problem is one that another try would meet again; a status that is an error may be for now. */
static bool is_wanted(struct link *l)
{
    const struct headline *h = &l->head, *first = &l->f->head;
    if (h->status >= 400)
        return false;
    if (h->status != (l->f->ranges ? 206 : 200))
        snprintf(l->problem, sizeof l->problem, "the server answered %ld instead of a part",
                 h->status);
    else if (l->f->ranges && h->first != l->began)
        snprintf(l->problem, sizeof l->problem, "asked for byte %llu, it sent byte %llu",
                 (unsigned long long)l->began, (unsigned long long)h->first);
    else if (l->f->ranges && h->size != first->size)
        snprintf(l->problem, sizeof l->problem, "the file had %llu bytes, now it has %llu",
                 (unsigned long long)first->size, (unsigned long long)h->size);
    else if (strcmp(version_of(h), version_of(first)) != 0)
        snprintf(l->problem, sizeof l->problem, "the file has changed on the server");
    return !l->problem[0];
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    struct link *l = arg;
    size_t len = size * n;
    if (l->at == l->began && !is_wanted(l))
        return 0;
    if (len > l->end - l->at) {
        snprintf(l->problem, sizeof l->problem, "it sent more than the %llu bytes that it has",
                 (unsigned long long)l->f->head.size);
        return 0;
    }
    if (!write_all(l->f->fd, bytes, len, l->at)) {
        snprintf(l->problem, sizeof l->problem, "cannot write: %s", strerror(errno));
        return 0;
    }
    l->at += len;
    l->f->done += len;
    return len;
}

/* ------------------------------------------------------------------ requests */

static void prepare(const struct fetch_job *j, CURL *easy, struct headline *head)
{
    curl_easy_setopt(easy, CURLOPT_URL, j->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    request_follow(easy, j->url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 15L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "trit/" PACKAGE_VERSION);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, head);
    /* What a proxy says of its own is not said of the file. */
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (j->token) { /* Not sent on to another host. */
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, j->token);
    }
}

static int watch(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct fetch_job *j = arg;
    (void)a, (void)b, (void)c, (void)d;
    return j->stop && *j->stop;
}

static int refuse_status(struct fetch *f, long status)
{
    const char *hint = status == 401 || status == 403
                           ? ": it wants a token, or one with more rights "
                             "($TRIT_TOKEN)"
                       : status == 404 ? ": there is no such file"
                                       : "";
    return trit_fail(f->err, status == 404 ? TRIT_ENOENT : TRIT_EIO,
                     "%s: the server answered %ld%s", f->job->url, status, hint);
}

/* An error that is not only for now. */
static bool is_final(long status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

/* One byte: does it serve ranges, how long is the file, which version is it. */
static int look(struct fetch *f)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return trit_fail(f->err, TRIT_ENOMEM, "no memory");
    prepare(f->job, easy, &f->head);
    curl_easy_setopt(easy, CURLOPT_RANGE, "0-0");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &f->head);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, f->job);
    CURLcode code = CURLE_OK;
    for (unsigned i = 0; i < TRIES; i++) {
        f->head = (struct headline){0};
        code = curl_easy_perform(easy);
        if (code == CURLE_ABORTED_BY_CALLBACK || f->head.status == 200 || f->head.status == 206 ||
            is_final(f->head.status))
            break;
        usleep(100000u << MIN(i, 4u));
    }
    curl_easy_cleanup(easy);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return trit_fail(f->err, TRIT_ECANCELLED, "interrupted");
    if (f->head.status == 0 || (f->head.status < 400 && f->head.status / 100 != 2 && code))
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->job->url, curl_easy_strerror(code));
    if (f->head.status != 200 && f->head.status != 206)
        return refuse_status(f, f->head.status);
    f->ranges = f->head.status == 206 && f->head.size > 0;
    if (f->head.status == 206 && !f->ranges)
        return trit_fail(f->err, TRIT_EIO, "%s: a part of a file without its length", f->job->url);
    if (f->job->size && f->head.size && f->head.size != f->job->size)
        return trit_fail(
            f->err, TRIT_EFORMAT, "%s: the server has %llu bytes, expected %llu: another version?",
            f->job->url, (unsigned long long)f->head.size, (unsigned long long)f->job->size);
    if (f->head.size == 0)
        f->head.size = f->job->size;
    if (f->head.size == 0)
        return trit_fail(f->err, TRIT_EUNSUPP, "%s: the server does not say how long it is",
                         f->job->url);
    return 0;
}

static void show(struct fetch *f, enum fetch_phase phase, uint64_t done, bool now)
{
    double t = trit_now();
    if (f->job->progress && (now || t - f->shown > 0.2)) {
        f->job->progress(phase, done, f->head.size, phase == FETCH_LOADING ? f->from : 0,
                         f->job->arg);
        f->shown = t;
    }
}

/* ------------------------------------------------------------------ the file on the disk */

/* Take over what is there of the same version.  Of another one, of a file that was cut since, or of
 * one that nobody tells from another, it is of no use, and the map must not outlive what it says is
 * there. */
static int take_over(struct fetch *f, uint64_t has_bytes)
{
    const char *version = version_of(&f->head);
    if (!fetch_map_new(&f->map, f->map_path, version, f->head.size))
        return trit_fail(f->err, TRIT_ENOMEM, "no memory");
    bool known = *version || f->job->sha256;
    if (!(f->ranges && known && has_bytes == f->head.size && fetch_map_read(&f->map)) &&
        unlink(f->map_path) != 0 && errno != ENOENT)
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->map_path, strerror(errno));
    f->done = f->from = fetch_map_done(&f->map);
    return 0;
}

static int open_part(struct fetch *f)
{
    struct statvfs room;
    struct stat st, named;
    f->fd = open(f->part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (f->fd < 0)
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->part_path, strerror(errno));
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        return trit_fail(f->err, TRIT_EBUSY, "%s: another process is loading it", f->part_path);
    if (fstat(f->fd, &st) != 0 || fstatvfs(f->fd, &room) != 0)
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->part_path, strerror(errno));
    /* Between open and flock it may have been given its name, and is to be written no more. */
    if (stat(f->part_path, &named) != 0 || named.st_ino != st.st_ino)
        return trit_fail(f->err, TRIT_EBUSY, "%s: another process has just loaded it",
                         f->job->path);
    uint64_t has = (uint64_t)st.st_blocks * 512, free_bytes = room.f_bavail * room.f_frsize;
    if (f->head.size > has && f->head.size - has > free_bytes)
        return trit_fail(f->err, TRIT_EIO, "%s needs %.2f GB more, but only %.2f GB are free there",
                         f->job->path, (double)(f->head.size - has) / 1e9,
                         (double)free_bytes / 1e9);
    int rc = take_over(f, (uint64_t)st.st_size);
    if (rc == 0 && st.st_size != (off_t)f->head.size && ftruncate(f->fd, (off_t)f->head.size) != 0)
        rc = trit_fail(f->err, TRIT_EIO, "%s: %s", f->part_path, strerror(errno));
    return rc;
}

static uint32_t next_missing(const struct fetch *f)
{
    for (uint32_t i = 0; i < f->map.n; i++) {
        bool taken = f->map.state[i] == '1';
        for (size_t k = 0; !taken && k < CONNECTIONS_MAX; k++)
            taken = f->link[k].easy && f->link[k].end && f->link[k].part == i;
        if (!taken)
            return i;
    }
    return UINT32_MAX;
}

/* Take the next part, if the link has none; false when there is none left. */
static bool take_part(struct link *l)
{
    struct fetch *f = l->f;
    if (l->end)
        return true;
    uint32_t part = f->ranges ? next_missing(f) : 0;
    if (part == UINT32_MAX || (!f->ranges && f->map.state[0] == '1'))
        return false;
    l->part = part;
    l->at = (uint64_t)part * FETCH_PART;
    l->end = f->ranges ? fetch_map_end(&f->map, part) : f->head.size;
    l->tries = 0;
    return true;
}

static void send_request(struct link *l)
{
    struct fetch *f = l->f;
    l->head = (struct headline){0};
    l->problem[0] = '\0';
    if (f->ranges) {
        snprintf(l->range, sizeof l->range, "%llu-%llu", (unsigned long long)l->at,
                 (unsigned long long)l->end - 1);
        curl_easy_setopt(l->easy, CURLOPT_RANGE, l->range);
    } else {
        f->done -= l->at;
        l->at = 0;
    }
    l->began = l->at;
    l->busy = curl_multi_add_handle(f->multi, l->easy) == CURLM_OK;
}

/* A part is there: it counts from now on, also for a later call. */
static int complete(struct link *l)
{
    struct fetch *f = l->f;
    int rc;
    if (f->ranges)
        f->map.state[l->part] = '1';
    else
        memset(f->map.state, '1', f->map.n);
    l->end = 0;
    if (fdatasync(f->fd) != 0)
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->part_path, strerror(errno));
    if (f->ranges && (rc = fetch_map_write(&f->map)) != 0)
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->map_path, strerror(-rc));
    return 0;
}

static int on_end(struct link *l, CURLcode code)
{
    struct fetch *f = l->f;
    curl_multi_remove_handle(f->multi, l->easy);
    l->busy = false;
    if (code == CURLE_OK && l->at == l->end)
        return complete(l);
    if (l->problem[0])
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->job->url, l->problem);
    if (is_final(l->head.status))
        return refuse_status(f, l->head.status);
    l->tries = l->at > l->began && f->ranges ? 0 : l->tries + 1;
    if (l->tries >= TRIES)
        return trit_fail(f->err, TRIT_EIO,
                         "%s: %s, %d times in a row; what has come is kept, so try again later",
                         f->job->url,
                         l->head.status >= 400 ? "the server is not able to"
                         : code == CURLE_OK    ? "the connection ended early"
                                               : curl_easy_strerror(code),
                         TRIES);
    l->not_before = trit_now() + 0.1 * (1u << MIN(l->tries, 6u));
    return 0;
}

static int load(struct fetch *f)
{
    unsigned n = f->ranges ? f->job->connections : 1;
    f->multi = curl_multi_init();
    for (unsigned i = 0; f->multi && i < n; i++) {
        struct link *l = &f->link[i];
        l->f = f;
        l->easy = curl_easy_init();
        if (!l->easy)
            break;
        prepare(f->job, l->easy, &l->head);
        curl_easy_setopt(l->easy, CURLOPT_WRITEFUNCTION, on_bytes);
        curl_easy_setopt(l->easy, CURLOPT_WRITEDATA, l);
        curl_easy_setopt(l->easy, CURLOPT_PRIVATE, l);
    }
    if (!f->link[0].easy)
        return trit_fail(f->err, TRIT_ENOMEM, "no memory");
    for (;;) {
        int running, left, rc = 0;
        bool wanted = false;
        for (unsigned i = 0; i < n && f->link[i].easy; i++) {
            struct link *l = &f->link[i];
            if (!l->busy && take_part(l) && trit_now() >= l->not_before)
                send_request(l);
            wanted = wanted || l->busy || l->end;
        }
        if (!wanted)
            return 0;
        curl_multi_perform(f->multi, &running);
        for (const CURLMsg *m; rc == 0 && (m = curl_multi_info_read(f->multi, &left)) != NULL;) {
            void *l = NULL;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &l);
            rc = on_end(l, m->data.result);
        }
        if (rc)
            return rc;
        if (f->job->stop && *f->job->stop)
            return trit_fail(f->err, TRIT_ECANCELLED,
                             "interrupted; the same command goes on where it stopped");
        show(f, FETCH_LOADING, f->done, false);
        curl_multi_poll(f->multi, NULL, 0, 100, NULL);
    }
}

/* The digest of all of a file. */
static int digest(struct fetch *f, const char *path, char hex[FETCH_HEX])
{
    struct sha256_ctx ctx;
    uint8_t sum[SHA256_DIGEST_SIZE], *bytes = mem_zalloc(HASH_BYTES, 1);
    if (!bytes)
        return trit_fail(f->err, TRIT_ENOMEM, "no memory");
    sha256_init(&ctx);
    ssize_t n = 1;
    for (uint64_t at = 0; at < f->head.size; at += (uint64_t)n) {
        n = pread(f->fd, bytes, HASH_BYTES, (off_t)at);
        if (n <= 0 || (f->job->stop && *f->job->stop))
            break;
        sha256_update(&ctx, (size_t)n, bytes);
        show(f, FETCH_CHECKING, at, false);
    }
    mem_free(bytes);
    if (f->job->stop && *f->job->stop)
        return trit_fail(f->err, TRIT_ECANCELLED, "interrupted");
    if (n <= 0)
        return trit_fail(f->err, TRIT_EIO, "%s: cannot read it back", path);
    sha256_digest(&ctx, sizeof sum, sum);
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return 0;
}

/* Of what has come, and as the disk has it. */
static int check_digest(struct fetch *f)
{
    char hex[FETCH_HEX];
    int rc = digest(f, f->part_path, hex);
    if (rc || strcasecmp(hex, f->job->sha256) == 0)
        return rc;
    unlink(f->part_path);
    unlink(f->map_path);
    return trit_fail(f->err, TRIT_EFORMAT,
                     "%s: its SHA-256 is %s, expected %s; what was loaded is thrown away",
                     f->job->url, hex, f->job->sha256);
}

int fetch_digest(const struct fetch_job *j, char hex[FETCH_HEX], struct trit_error *err)
{
    struct fetch f = {.job = j, .err = err, .fd = open(j->path, O_RDONLY | O_CLOEXEC)};
    struct stat st = {0};
    int rc = f.fd < 0 || fstat(f.fd, &st) != 0
                 ? trit_fail(err, TRIT_EIO, "%s: %s", j->path, strerror(errno))
                 : 0;
    f.head.size = (uint64_t)st.st_size;
    rc = rc ? rc : digest(&f, j->path, hex);
    if (f.fd >= 0)
        close(f.fd);
    return rc;
}

static int give_name(struct fetch *f)
{
    if (fsync(f->fd) != 0 || rename(f->part_path, f->job->path) != 0)
        return trit_fail(f->err, TRIT_EIO, "%s: %s", f->job->path, strerror(errno));
    unlink(f->map_path);
    return 0;
}

int fetch_file(const struct fetch_job *j, struct trit_error *err)
{
    struct fetch f = {.job = j, .err = err, .fd = -1};
    struct buf part = {0}, map = {0};
    trit_assert(j->connections >= 1 && j->connections <= CONNECTIONS_MAX);
    buf_addf(&part, "%s.part", j->path);
    buf_addf(&map, "%s.part.map", j->path);
    f.part_path = buf_take(&part, NULL);
    f.map_path = buf_take(&map, NULL);
    int rc = f.part_path && f.map_path ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory");
    if (rc == 0)
        rc = look(&f);
    if (rc == 0)
        rc = open_part(&f);
    if (rc == 0)
        rc = load(&f);
    if (rc == 0) {
        show(&f, FETCH_LOADING, f.done, true);
        rc = j->sha256 ? check_digest(&f) : 0;
    }
    if (rc == 0)
        rc = give_name(&f);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (f.link[i].easy) {
            if (f.link[i].busy)
                curl_multi_remove_handle(f.multi, f.link[i].easy);
            curl_easy_cleanup(f.link[i].easy);
        }
    curl_multi_cleanup(f.multi);
    fetch_map_free(&f.map);
    if (f.fd >= 0)
        close(f.fd);
    mem_free(f.part_path);
    mem_free(f.map_path);
    return rc;
}
