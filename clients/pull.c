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

static int bring(const struct pull_options *o, const char *url, const char *path, uint64_t size,
                 const char *sha256, struct trit_error *err)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    struct line line = {.name = slash ? slash + 1 : path,
                        .began = trit_now(),
                        .people = isatty(STDERR_FILENO) == 1};
    if (!o->force && stat(path, &st) == 0 && (size == 0 || (uint64_t)st.st_size == size)) {
        fprintf(stderr, "%s: is there already\n", line.name);
        return 0;
    }
    int rc = shelf_make_way(path, err);
    if (rc)
        return rc;
    struct fetch_job job = {.url = url,
                            .path = path,
                            .token = o->token,
                            .size = size,
                            .sha256 = sha256,
                            .connections = o->connections,
                            .stop = o->stop,
                            .progress = show,
                            .arg = &line};
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
        curl_easy_setopt(r.easy, CURLOPT_FOLLOWLOCATION, 1L);
        const char *text = request_problem(&r, curl_easy_perform(r.easy), problem, sizeof problem);
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

/* Part 2 of 3 of a model means all of them. */
static void want_parts(struct listing *l, const char *path)
{
    const char *of = strstr(path, "-of-");
    if (!of || of - path < 6)
        return;
    for (size_t i = 0; i < l->n; i++)
        if (strlen(l->file[i].path) == strlen(path) &&
            strcmp(strstr(l->file[i].path, "-of-") ?: "", of) == 0 &&
            strncmp(l->file[i].path, path, (size_t)(of - path) - 5) == 0)
            l->file[i].wanted = true;
}

static void want(struct listing *l, struct remote *f)
{
    f->wanted = true;
    want_parts(l, f->path);
}

static bool is_gguf(const struct remote *f)
{
    return fnmatch("*.gguf", f->path, 0) == 0;
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
        "*.safetensors",
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
        if (l->pattern && strcmp(f->path, l->pattern) == 0) {
            want(l, f);
            return 0;
        }
        if (l->pattern ? strcasestr(f->path, l->pattern) != NULL : is_gguf(f)) {
            bool later = strstr(f->path, "-of-") && !strstr(f->path, "-00001-of-");
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
    want(l, found);
    return 0;
}

static int pull_model(const struct pull_options *o, const char *what, struct trit_error *err)
{
    struct listing l = {0};
    struct buf url = {0}, path = {0};
    size_t n = 0;
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
        buf_addf(&url, "%s/%s/resolve/%s/", o->hub, l.owner_name, l.revision);
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
        n += is_gguf(f);
        if (rc == 0 && n == 1 && is_gguf(f))
            printf("%s\n", path.data);
    }
    if (rc == 0 && n == 0)
        printf("%s/%s\n", o->directory, l.owner_name);
    buf_free(&url);
    buf_free(&path);
    cJSON_Delete(l.tree);
    mem_free(l.file);
    mem_free(l.owner_name);
    mem_free(l.revision);
    mem_free(l.pattern);
    return rc;
}

int pull(const struct pull_options *o, const char *what, struct trit_error *err)
{
    struct pull_options own = *o;
    const char *hub = getenv("TRIT_HUB");
    own.hub = o->hub ? o->hub : hub && *hub ? hub : HUB;
    own.token = o->token ? o->token : getenv("TRIT_TOKEN");
    bool address = strncmp(what, "https://", 8) == 0 || strncmp(what, "http://", 7) == 0;
    return address ? pull_address(&own, what, err) : pull_model(&own, what, err);
}
