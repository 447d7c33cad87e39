/* SPDX-License-Identifier: MIT */
/*
 * shelf.c - names and sizes of models on the disk.
 *
 * A GGUF file is a model of its own; a folder with a config.json is one as a whole.
 */
#include "config.h"
#include "shelf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"

enum { DEPTH = 4 }; /* below the directory: OWNER/NAME/folder/file */

char *shelf_directory(const char *asked)
{
    const char *own = getenv("TRIT_MODELS"), *data = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");
    struct buf path = {0};
    if (asked && *asked)
        buf_adds(&path, asked);
    else if (own && *own)
        buf_adds(&path, own);
    else if (data && *data)
        buf_addf(&path, "%s/tritd/models", data);
    else if (home && *home)
        buf_addf(&path, "%s/.local/share/tritd/models", home);
    else
        return NULL;
    while (path.len > 1 && path.data && path.data[path.len - 1] == '/')
        path.data[--path.len] = '\0';
    return buf_take(&path, NULL);
}

bool shelf_is_name(const char *name, size_t len)
{
    if (len == 0 || len > 200 || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-+=@ ()[],", name[i]))
            return false;
    return true;
}

int shelf_make_way(const char *path, struct trit_error *err)
{
    char *copy = mem_strdup(path);
    int rc = copy ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory");
    for (char *slash = copy; rc == 0 && (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            rc = trit_fail(err, TRIT_EIO, "%s: cannot make the directory: %s", copy,
                           strerror(errno));
    }
    mem_free(copy);
    return rc;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);
    return n > k && strcmp(name + n - k, end) == 0;
}

static const char part_form[] = "-ddddd-of-ddddd";

size_t shelf_stem(const char *name)
{
    const char *end = strrchr(name, '.');
    size_t len = end && !strchr(end, '/') ? (size_t)(end - name) : 0;
    return len > sizeof part_form - 1 ? len - (sizeof part_form - 1) : 0;
}

unsigned shelf_part(const char *name, unsigned *of)
{
    const char *part = name + shelf_stem(name);
    *of = 0;
    for (size_t i = 0; i < sizeof part_form - 1; i++)
        if (part_form[i] == 'd' ? !isdigit((unsigned char)part[i]) : part[i] != part_form[i])
            return 0;
    unsigned no = (unsigned)strtoul(part + 1, NULL, 10);
    *of = (unsigned)strtoul(part + strlen("-ddddd-of-"), NULL, 10);
    return part > name && no <= *of ? no : 0;
}

/* The path of another part of the model, with something behind it; false: no memory. */
static bool part_path(struct buf *dst, const char *path, unsigned no, unsigned of, const char *end)
{
    size_t stem = shelf_stem(path);
    buf_reset(dst);
    buf_addf(dst, "%.*s-%05u-of-%05u%s%s", (int)stem, path, no, of,
             path + stem + sizeof part_form - 1, end);
    return !dst->failed;
}

/* The parts of a model whose first one is at `path`: their sum, and how many are there. */
static uint64_t parts_bytes(const char *path, unsigned of, unsigned *there)
{
    struct buf part = {0};
    struct stat st;
    uint64_t bytes = 0;
    *there = 0;
    for (unsigned no = 1; no <= of && part_path(&part, path, no, of, ""); no++)
        if (stat(part.data, &st) == 0) {
            bytes += (uint64_t)st.st_size;
            ++*there;
        }
    buf_free(&part);
    return bytes;
}

/* fts_open wants paths that it might change. */
static FTS *open_tree(const char *path, int links, int (*order)(const FTSENT **, const FTSENT **))
{
    char *roots[] = {mem_strdup(path), NULL};
    FTS *fts = roots[0] ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | links, order) : NULL;
    mem_free(roots[0]);
    return fts;
}

static void print_size(uint64_t bytes)
{
    if (bytes >= 1000000000)
        printf("%8.2f GB", (double)bytes / 1e9);
    else
        printf("%8.1f MB", (double)bytes / 1e6);
}

/* A folder that is a model: the sum of its files, of which some may still be parts. */
static uint64_t folder_bytes(const char *path, bool *partial)
{
    uint64_t bytes = 0;
    FTS *fts = open_tree(path, 0, NULL);
    for (FTSENT *e; fts && (e = fts_read(fts)) != NULL;)
        if (e->fts_info == FTS_F) {
            bytes += (uint64_t)e->fts_statp->st_blocks * 512;
            *partial = *partial || ends_in(e->fts_name, ".part");
        }
    if (fts)
        fts_close(fts);
    return bytes;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* A GGUF file; of a model in parts the first stands for all.  Returns how many lines that made. */
static unsigned print_file(const FTSENT *e, const char *name)
{
    unsigned of, there = 1, no = shelf_part(e->fts_name, &of);
    uint64_t bytes = (uint64_t)e->fts_statp->st_size;
    if (no > 1) {
        struct buf first = {0};
        bool listed = part_path(&first, e->fts_path, 1, of, "") && access(first.data, F_OK) == 0;
        buf_free(&first);
        if (listed)
            return 0;
    }
    if (no == 1)
        bytes = parts_bytes(e->fts_path, of, &there);
    print_size(bytes);
    printf("  %s", name);
    if (no == 1 && there < of)
        printf("  (%u of %u parts: trit pull brings the others)", there, of);
    else if (no == 1)
        printf("  (%u parts)", of);
    else if (no > 1)
        printf("  (part %u of %u; the first is missing)", no, of);
    putchar('\n');
    return 1;
}

int shelf_list(const char *directory, struct trit_error *err)
{
    FTS *fts = open_tree(directory, FTS_COMFOLLOW, by_name);
    unsigned n = 0;
    int rc = 0;
    if (!fts)
        return trit_fail(err, TRIT_EIO, "%s: %s", directory, strerror(errno));
    for (FTSENT *e; (e = fts_read(fts)) != NULL;) {
        const char *name = e->fts_path + MIN(strlen(directory) + 1, strlen(e->fts_path));
        if (e->fts_info == FTS_D && e->fts_level > 0) {
            struct buf config = {0};
            bool partial = false;
            buf_addf(&config, "%s/config.json", e->fts_path);
            if (config.data && access(config.data, R_OK) == 0) {
                uint64_t bytes = folder_bytes(e->fts_path, &partial);
                print_size(bytes);
                printf("  %s/%s\n", name, partial ? "  (not whole yet)" : "");
                fts_set(fts, e, FTS_SKIP);
                n++;
            }
            buf_free(&config);
            if (e->fts_level >= DEPTH)
                fts_set(fts, e, FTS_SKIP);
        } else if (e->fts_info == FTS_F && ends_in(name, ".gguf")) {
            n += print_file(e, name);
        } else if (e->fts_info == FTS_F && ends_in(name, ".part")) {
            print_size((uint64_t)e->fts_statp->st_blocks * 512);
            printf("  %.*s  (not whole yet: trit pull goes on)\n", (int)(strlen(name) - 5), name);
            n++;
        } else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR ||
                   (e->fts_info == FTS_NS && e->fts_errno != ENOENT)) {
            rc = trit_fail(err, TRIT_EIO, "%s: %s", e->fts_path, strerror(e->fts_errno));
        }
    }
    fts_close(fts);
    if (n == 0 && rc == 0)
        printf("No models in %s; trit pull OWNER/NAME brings one.\n", directory);
    return rc;
}

bool shelf_is_path(const char *path)
{
    for (const char *part = path;;) {
        size_t len = strcspn(part, "/");
        if (!shelf_is_name(part, len))
            return false;
        if (!part[len])
            return true;
        part += len + 1;
    }
}

static int remove_tree(const char *path)
{
    FTS *fts = open_tree(path, 0, NULL);
    int rc = fts ? 0 : -errno;
    for (FTSENT *e; fts && rc == 0 && (e = fts_read(fts)) != NULL;)
        if (e->fts_info == FTS_DP ? rmdir(e->fts_accpath) != 0
                                  : e->fts_info != FTS_D && unlink(e->fts_accpath) != 0)
            rc = -errno;
    if (fts)
        fts_close(fts);
    return rc;
}

/* What is no longer needed on the way to it: directories that are empty now. */
static void remove_way(const char *directory, char *path)
{
    for (char *slash; (slash = strrchr(path, '/')) != NULL;) {
        *slash = '\0';
        if (strlen(path) <= strlen(directory) || rmdir(path) != 0)
            return;
    }
}

/* What a model's file is called, on its way too. */
static const char *const ends[] = {"", ".part", ".part.map", ".part.map.new"};

/* The other parts of a model whose first one goes. */
static int remove_parts(const char *path, struct trit_error *err)
{
    struct buf part = {0};
    unsigned of;
    int rc = 0;
    if (shelf_part(path, &of) == 1)
        for (unsigned i = 0; rc == 0 && i < (of - 1) * ARRAY_LEN(ends); i++)
            if (!part_path(&part, path, 2 + i / ARRAY_LEN(ends), of, ends[i % ARRAY_LEN(ends)]) ||
                (unlink(part.data) != 0 && errno != ENOENT))
                rc = trit_fail(err, TRIT_EIO, "%s: %s", path,
                               part.failed ? "no memory" : strerror(errno));
    buf_free(&part);
    return rc;
}

int shelf_remove(const char *directory, const char *name, struct trit_error *err)
{
    struct buf path = {0};
    char *plain = mem_strdup(name);
    int rc = -TRIT_ENOENT;
    while (plain && *plain && plain[strlen(plain) - 1] == '/')
        plain[strlen(plain) - 1] = '\0';
    if (!plain || !shelf_is_path(plain)) {
        rc = trit_fail(err, TRIT_EINVAL, "%s: expected a name as trit list prints it", name);
        goto out;
    }
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct stat st;
        buf_reset(&path);
        buf_addf(&path, "%s/%s%s", directory, plain, ends[i]);
        if (path.failed || lstat(path.data, &st) != 0)
            continue;
        rc = remove_tree(path.data);
        if (rc) {
            rc = trit_fail(err, TRIT_EIO, "%s: %s", path.data, strerror(-rc));
            goto out;
        }
        if (i == 0 && (rc = remove_parts(path.data, err)))
            goto out;
    }
    if (rc)
        trit_fail(err, TRIT_ENOENT, "%s/%s is not there; trit list shows what is", directory,
                  plain);
    else
        remove_way(directory, path.data);
out:
    buf_free(&path);
    mem_free(plain);
    return rc;
}
