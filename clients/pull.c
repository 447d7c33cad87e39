/* SPDX-License-Identifier: MIT */
/*
 * pull.c - what is asked for, which files that is, where they go.
 *
 * The hub's interface is that of Hugging Face: /api/models/OWNER/NAME/tree/REVISION lists files
 * with their sizes and, for large ones, SHA-256; /OWNER/NAME/resolve/REVISION/FILE is the file.
 */
#include "config.h"
#include "pull.h"

#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "fetch.h"
#include "shelf.h"
#include "trit-http.h"

#define HUB "https://huggingface.co"

enum { FILES_MAX = 2000 };

/* One file of a model on the hub. */
struct remote {
    const char *path; /* of the listing */
    uint64_t size;
    const char *sha256; /* NULL: the hub does not tell */
    bool wanted;
};

struct listing {
    cJSON *tree;
    struct remote *file;
    size_t n;
    char *owner_name, *revision, *pattern; /* pattern: NULL where no file was named */
};

/* ------------------------------------------------------------------ progress */

struct line {
    const char *name;
    double began, said;
    bool people;
};

static void print_amount(char *text, size_t bytes, double amount)
{
    snprintf(text, bytes, amount >= 1e9 ? "%.2f GB" : "%.0f MB",
             amount / (amount >= 1e9 ? 1e9 : 1e6));
}

static void show(enum fetch_phase phase, uint64_t done, uint64_t all, uint64_t from, void *arg)
{
    struct line *l = arg;
    double now = trit_now(), percent = all ? 100.0 * (double)done / (double)all : 0;
    char has[32], of[32], rest[80] = "";
    if (!l->people && done < all &&
        now - l->said < 10) /* A log wants no line every fifth second. */
        return;
    l->said = now;
    if (phase == FETCH_CHECKING) {
        fprintf(stderr, "%s%s: checking, %.0f %%%s", l->people ? "\r" : "", l->name, percent,
                l->people ? "\033[K" : "\n");
        return;
    }
    double seconds = now - l->began,
           rate = seconds > 0.5 ? (double)(done - MIN(from, done)) / seconds : 0;
    if (rate > 0 && done < all) {
        unsigned long left = (unsigned long)((double)(all - done) / rate);
        snprintf(rest, sizeof rest, ", %.1f MB/s, %lu:%02lu left", rate / 1e6, left / 60,
                 left % 60);
    }
    print_amount(has, sizeof has, (double)done);
    print_amount(of, sizeof of, (double)all);
    fprintf(stderr, "%s%s: %.0f %%, %s of %s%s%s", l->people ? "\r" : "", l->name, percent, has, of,
            rest, l->people ? "\033[K" : "\n");
}

/* ------------------------------------------------------------------ one file */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether it is there already and what it should be: 1 yes, 0 no, negative with *err. */
static int is_there(const struct fetch_job *job, bool of_hub, struct trit_error *err)
{
    const struct line *line = job->arg;
    char hex[FETCH_HEX];
    struct stat st;
    if (stat(job->path, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode))
        return trit_fail(err, TRIT_EINVAL, "%s is there already, and no file", job->path);
    if (job->size && (uint64_t)st.st_size != job->size)
        return 0;
    if (!job->sha256) {
        fprintf(stderr, "%s: is there already; nobody told a checksum\n", line->name);
        return 1;
    }
    int rc = fetch_digest(job, hex, err);
    if (line->people && line->said > 0)
        fputc('\n', stderr);
    if (rc)
        return rc;
    bool same = strcasecmp(hex, job->sha256) == 0;
    if (!same && !of_hub) /* Who is right is not ours to say. */
        return trit_fail(err, TRIT_EFORMAT,
                         "%s is there already, and its SHA-256 is %s, expected %s; --force loads "
                         "it again",
                         job->path, hex, job->sha256);
    fprintf(stderr, "%s: is there already, %s\n", line->name,
            same ? "SHA-256 as expected" : "but another version");
    return same;
}

/* size: 0 for a file of an address. */
static int bring(const struct pull_options *o, const char *url, const char *path, uint64_t size,
                 const char *sha256, struct trit_error *err)
{
    struct line line = {
        .name = name_of(path), .began = trit_now(), .people = isatty(STDERR_FILENO) == 1};
    struct fetch_job job = {.url = url,
                            .path = path,
                            .token = o->token,
                            .size = size,
                            .sha256 = sha256,
                            .connections = o->connections,
                            .stop = o->stop,
                            .progress = show,
                            .arg = &line};
    int rc = o->force ? 0 : is_there(&job, !o->sha256, err);
    if (rc)
        return MIN(rc, 0);
    rc = shelf_make_way(path, err);
    if (rc)
        return rc;
    line.began = trit_now();
    line.said = 0;
    rc = fetch_file(&job, err);
    if (line.people && line.said > 0)
        fputc('\n', stderr);
    if (rc == 0)
        fprintf(stderr, "%s: done%s\n", line.name,
                sha256 ? ", SHA-256 as expected" : "; nobody told a checksum");
    return rc;
}

static int pull_address(const struct pull_options *o, const char *url, struct trit_error *err)
{
    const char *end = url + strcspn(url, "?#"), *name = end;
    while (name > url && name[-1] != '/')
        name--;
    if (!shelf_is_name(name, (size_t)(end - name)))
        return trit_fail(err, TRIT_EINVAL, "%s: it does not end in the name of a file", url);
    if (o->sha256 && (strlen(o->sha256) != 64 || strspn(o->sha256, "0123456789abcdefABCDEF") != 64))
        return trit_fail(err, TRIT_EINVAL, "--sha256: \"%.80s\", expected 64 hex digits",
                         o->sha256);
    struct buf path = {0};
    buf_addf(&path, "%s/%.*s", o->directory, (int)(end - name), name);
    int rc = path.failed ? trit_fail(err, TRIT_ENOMEM, "no memory")
                         : bring(o, url, path.data, 0, o->sha256, err);
    if (rc == 0)
        printf("%s\n", path.data);
    buf_free(&path);
    return rc;
}

/* ------------------------------------------------------------------ a model of the hub */

/* OWNER/NAME[@REVISION][:FILE] */
static int read_name(struct listing *l, const char *what, struct trit_error *err)
{
    size_t owner = strcspn(what, "/"), len;
    const char *name = what + owner + (what[owner] == '/'), *at, *rest;
    len = strcspn(name, "@:");
    at = name + len;
    if (what[owner] != '/' || !shelf_is_name(what, owner) || !shelf_is_name(name, len))
        return trit_fail(err, TRIT_EINVAL,
                         "\"%.200s\": expected OWNER/NAME, OWNER/NAME:FILE or an address", what);
    l->owner_name = mem_strndup(what, owner + 1 + len);
    size_t revision = *at == '@' ? strcspn(at + 1, ":") : 0;
    l->revision = revision ? mem_strndup(at + 1, revision) : mem_strdup("main");
    rest = at + (*at == '@' ? 1 + revision : 0);
    if (*rest == ':' && rest[1])
        l->pattern = mem_strdup(rest + 1);
    if (!l->owner_name || !l->revision || (*rest == ':' && rest[1] && !l->pattern))
        return trit_fail(err, TRIT_ENOMEM, "no memory");
    if (!shelf_is_name(l->revision, strlen(l->revision)))
        return trit_fail(err, TRIT_EINVAL, "\"%.100s\" is no name of a revision", l->revision);
    return 0;
}

static void add_file(struct listing *l, const cJSON *entry)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "type"));
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "path"));
    const cJSON *lfs = cJSON_GetObjectItemCaseSensitive(entry, "lfs");
    const char *oid = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(lfs, "oid"));
    double size = number_at(lfs, "size", number_at(entry, "size", 0));
    if (!type || strcmp(type, "file") != 0 || !path || !shelf_is_path(path) ||
        !(size >= 0 && size < 1e15))
        return;
    if (oid && strncmp(oid, "sha256:", 7) == 0)
        oid += 7;
    l->file[l->n++] = (struct remote){
        .path = path, .size = (uint64_t)size, .sha256 = oid && strlen(oid) == 64 ? oid : NULL};
}

static int list(const struct pull_options *o, struct listing *l, struct trit_error *err)
{
    const struct server_address hub = {.url = o->hub, .key = o->token};
    struct request r = {0};
    struct buf path = {0};
    char problem[600];
    int rc = 0;
    buf_addf(&path, "/api/models/%s/tree/%s?recursive=1", l->owner_name, l->revision);
    if (path.failed || !request_open(&r, &hub, path.data, NULL, NULL, NULL)) {
        rc = trit_fail(err, TRIT_ENOMEM, "no memory");
    } else {
        request_follow(r.easy, o->hub);
        const char *text = request_run(&r, o->stop, SILENT_SECONDS, problem, sizeof problem);
        l->tree = cJSON_ParseWithLength(r.answer.data ? r.answer.data : "", r.answer.len);
        int n = MIN(cJSON_GetArraySize(l->tree), FILES_MAX);
        l->file = mem_zalloc((size_t)n + 1, sizeof *l->file);
        if (text)
            rc = trit_fail(err, TRIT_EIO, "%s on %s: %s", l->owner_name, o->hub, text);
        else if (!cJSON_IsArray(l->tree) || !l->file)
            rc = trit_fail(err, TRIT_EFORMAT, "%s: the answer is no list of files", r.url);
        for (int i = 0; rc == 0 && i < n; i++)
            add_file(l, cJSON_GetArrayItem(l->tree, i));
    }
    request_close(&r);
    buf_free(&path);
    return rc;
}

static bool is_gguf(const struct remote *f)
{
    return fnmatch("*.gguf", f->path, 0) == 0;
}

/* Part 2 of 3 of a model means all of them. */
static int want(struct listing *l, struct remote *f, struct trit_error *err)
{
    unsigned of, of_this, n = 0;
    size_t len = strlen(f->path), stem = shelf_stem(f->path);
    f->wanted = true;
    if (shelf_part(f->path, &of) == 0)
        return 0;
    for (size_t i = 0; i < l->n; i++) {
        const char *path = l->file[i].path;
        if (strlen(path) == len && strncmp(path, f->path, stem) == 0 &&
            shelf_part(path, &of_this) && of_this == of &&
            strcmp(strrchr(path, '.'), strrchr(f->path, '.')) == 0) {
            l->file[i].wanted = true;
            n++;
        }
    }
    return n == of ? 0
                   : trit_fail(err, TRIT_ENOENT, "%s has %u of the %u parts of %s", l->owner_name,
                               n, of, f->path);
}

/* The one to be named to tritd: a GGUF file, of several parts the first; NULL: it is a folder. */
static const struct remote *leader(const struct listing *l)
{
    unsigned of;
    for (size_t i = 0; i < l->n; i++)
        if (l->file[i].wanted && is_gguf(&l->file[i]) && shelf_part(l->file[i].path, &of) <= 1)
            return &l->file[i];
    return NULL;
}

/* Several would do: say which there are. */
static int ask_which(const struct listing *l, const char *pattern, struct trit_error *err)
{
    fprintf(stderr, "%s has\n", l->owner_name);
    for (size_t i = 0; i < l->n; i++)
        if (pattern ? strcasestr(l->file[i].path, pattern) != NULL : is_gguf(&l->file[i]))
            fprintf(stderr, "  %8.2f GB  %s\n", (double)l->file[i].size / 1e9, l->file[i].path);
    return trit_fail(err, TRIT_EINVAL, "which one?  trit pull %s:FILE", l->owner_name);
}

/* A model of several files, as transformers has it. */
static int want_folder(struct listing *l, struct trit_error *err)
{
    static const char *const parts[] = {
        "config.json",           "generation_config.json",  "tokenizer.json",
        "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
        "tokenizer.model",       "added_tokens.json",       "model.safetensors.index.json",
        "1_Pooling/config.json", "*.safetensors",
    };
    bool config = false, weights = false;
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(parts); k++)
            if (fnmatch(parts[k], l->file[i].path, FNM_PATHNAME) == 0) {
                l->file[i].wanted = true;
                config = config || k == 0;
                weights = weights || k + 1 == ARRAY_LEN(parts);
            }
    return config && weights
               ? 0
               : trit_fail(err, TRIT_ENOENT,
                           "%s has neither a GGUF file nor a config.json with safetensors",
                           l->owner_name);
}

static int choose(struct listing *l, struct trit_error *err)
{
    struct remote *found = NULL;
    size_t n = 0, first_parts = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct remote *f = &l->file[i];
        if (l->pattern && strcmp(f->path, l->pattern) == 0)
            return want(l, f, err);
        if (l->pattern ? strcasestr(f->path, l->pattern) != NULL : is_gguf(f)) {
            unsigned of;
            bool later = shelf_part(f->path, &of) > 1;
            first_parts += !later;
            found = later && found ? found : f;
            n++;
        }
    }
    if (n == 0 && l->pattern)
        return trit_fail(err, TRIT_ENOENT, "%s has no file with \"%s\" in its name", l->owner_name,
                         l->pattern);
    if (n == 0)
        return want_folder(l, err);
    if (n > 1 && first_parts != 1)
        return ask_which(l, l->pattern, err);
    return want(l, found, err);
}

static int pull_model(const struct pull_options *o, const char *what, struct trit_error *err)
{
    struct listing l = {0};
    struct buf url = {0}, path = {0};
    int rc = read_name(&l, what, err);
    if (rc == 0)
        rc = list(o, &l, err);
    if (rc == 0)
        rc = choose(&l, err);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        const struct remote *f = &l.file[i];
        if (!f->wanted)
            continue;
        buf_reset(&url);
        buf_reset(&path);
        char *escaped = curl_easy_escape(NULL, f->path, 0);
        buf_adds(&url, o->hub);
        while (url.len && url.data[url.len - 1] == '/')
            url.data[--url.len] = '\0';
        buf_addf(&url, "/%s/resolve/%s/", l.owner_name, l.revision);
        for (const char *c = escaped; c && *c;) { /* Slashes stay. */
            bool slash = strncmp(c, "%2F", 3) == 0;
            buf_addc(&url, slash ? '/' : *c);
            c += slash ? 3 : 1;
        }
        buf_addf(&path, "%s/%s/%s", o->directory, l.owner_name, f->path);
        rc = !escaped || url.failed || path.failed
                 ? trit_fail(err, TRIT_ENOMEM, "no memory")
                 : bring(o, url.data, path.data, f->size, f->sha256, err);
        curl_free(escaped);
    }
    if (rc == 0) {
        const struct remote *first = leader(&l);
        printf("%s/%s%s%s\n", o->directory, l.owner_name, first ? "/" : "",
               first ? first->path : "");
    }
    buf_free(&url);
    buf_free(&path);
    cJSON_Delete(l.tree);
    mem_free(l.file);
    mem_free(l.owner_name);
    mem_free(l.revision);
    mem_free(l.pattern);
    return rc;
}

static bool is_address(const char *what)
{
    return strncmp(what, "https://", 8) == 0 || strncmp(what, "http://", 7) == 0;
}

static bool same_origin(const char *a, const char *b)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *x = curl_url(), *y = curl_url();
    bool same = x && y && curl_url_set(x, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(y, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (size_t i = 0; same && i < ARRAY_LEN(parts); i++) {
        char *of_a = NULL, *of_b = NULL;
        same = curl_url_get(x, parts[i], &of_a, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(y, parts[i], &of_b, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               strcasecmp(of_a, of_b) == 0;
        curl_free(of_a);
        curl_free(of_b);
    }
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

int pull(const struct pull_options *o, const char *what, struct trit_error *err)
{
    struct pull_options own = *o;
    const char *hub = getenv("TRIT_HUB");
    bool address = is_address(what);
    own.hub = o->hub ? o->hub : hub && *hub ? hub : HUB;
    if (!is_address(own.hub))
        return trit_fail(err, TRIT_EINVAL, "--hub: \"%.200s\", expected http:// or https://",
                         own.hub);
    if (!address && o->sha256)
        return trit_fail(err, TRIT_EINVAL, "--sha256 is for an address; of %.200s the hub tells it",
                         what);
    /* What stands in the environment is meant for the hub. */
    if (!own.token && (!address || same_origin(what, own.hub)))
        own.token = getenv("TRIT_TOKEN");
    if (own.token && !*own.token)
        own.token = NULL;
    return address ? pull_address(&own, what, err) : pull_model(&own, what, err);
}
