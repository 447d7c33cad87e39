/* SPDX-License-Identifier: MIT */
/*
 * gguf-split.c - a model in several GGUF files, as large ones are published.
 *
 * Parts are called NAME-00001-of-00003.gguf and so on.  The first one has the metadata; each has
 * the keys split.no (from 0), split.count and split.tensors.count (of all parts together), and
 * tensors of its own, at offsets of its own.  Given the first, the others are opened by their
 * names, checked as any file is, and their tensors put behind those of the first.
 *
 * What is no part of this model is told by what it says: its number, how many there are, how many
 * tensors they have together, and any other key, which has to say the same as in the first.
 *
 * Source: llama.cpp (examples/gguf-split, llama_split_path).
 */
#include "config.h"
#include "model/gguf-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
    PARTS_MAX = 512, /* each is an open file */
    SUFFIX_BYTES = sizeof "-00001-of-00003.gguf" - 1,
};

static const char NO[] = "split.no", COUNT[] = "split.count", TENSORS[] = "split.tensors.count";

struct joint {
    struct gguf *g; /* the first part, which becomes the whole */
    uint64_t n_parts;
    uint64_t n_tensors; /* of all */
    bool says_tensors;
    struct gguf **part; /* [n_parts]; the first is NULL */
    struct trit_error *err;
};

static void name_suffix(char dst[SUFFIX_BYTES + 1], uint64_t no, uint64_t count)
{
    snprintf(dst, SUFFIX_BYTES + 1, "-%05u-of-%05u.gguf", (unsigned)no + 1, (unsigned)count);
}

enum { NUMBER_END = sizeof "-00001" - 1 };

/* Where the suffix of a first part begins; NULL: it has none. */
static const char *first_suffix(const char *path)
{
    static const char one[] = "-00001-of-";
    size_t len = strlen(path);
    const char *suffix = path + len - MIN(len, (size_t)SUFFIX_BYTES);
    return strncmp(suffix, one, sizeof one - 1) == 0 ? suffix : NULL;
}

bool gguf_is_part(const char *first, const char *path)
{
    const char *suffix = first_suffix(first);
    size_t stem = suffix ? (size_t)(suffix - first) : 0;
    return suffix && strlen(path) == strlen(first) && memcmp(first, path, stem) == 0 &&
           path[stem] == '-' && strspn(path + stem + 1, "0123456789") == NUMBER_END - 1 &&
           strcmp(suffix + NUMBER_END, path + stem + NUMBER_END) == 0;
}

bool gguf_name_part(char *path, unsigned no)
{
    const char *suffix = first_suffix(path);
    char digits[8];
    if (!suffix || no > PARTS_MAX)
        return false;
    snprintf(digits, sizeof digits, "-%05u", no % 100000);
    memcpy(path + (suffix - path), digits, NUMBER_END);
    return true;
}

/* That this is the first part and is called so. */
static int check_first(struct joint *j)
{
    uint64_t no = 0;
    char suffix[SUFFIX_BYTES + 1];
    int rc = gguf_uint(j->g, COUNT, &j->n_parts, j->err);
    if (rc == 0 && gguf_has(j->g, NO))
        rc = gguf_uint(j->g, NO, &no, j->err);
    j->says_tensors = gguf_has(j->g, TENSORS);
    if (rc == 0 && j->says_tensors)
        rc = gguf_uint(j->g, TENSORS, &j->n_tensors, j->err);
    if (rc)
        return rc;
    if (j->n_parts > PARTS_MAX)
        return gguf_fail(j->g, j->err, TRIT_EUNSUPP,
                         "key %s: found %" PRIu64 ", expected at most %d", COUNT, j->n_parts,
                         PARTS_MAX);
    if (no >= j->n_parts)
        return gguf_fail(j->g, j->err, TRIT_EFORMAT,
                         "key %s: found %" PRIu64 ", expected less than %s, which is %" PRIu64, NO,
                         no, COUNT, j->n_parts);
    if (no != 0) {
        name_suffix(suffix, 0, j->n_parts);
        return gguf_fail(j->g, j->err, TRIT_EUNSUPP,
                         "part %" PRIu64 " of %" PRIu64 " of a split model; name the first one, "
                         "which ends in %s",
                         no + 1, j->n_parts, suffix);
    }
    name_suffix(suffix, 0, j->n_parts);
    size_t len = strlen(j->g->path);
    if (len < SUFFIX_BYTES || strcmp(j->g->path + len - SUFFIX_BYTES, suffix) != 0)
        return gguf_fail(j->g, j->err, TRIT_EFORMAT,
                         "the first of %" PRIu64
                         " parts of a split model; its name has to end in %s "
                         "for the others to be found",
                         j->n_parts, suffix);
    return 0;
}

static bool same_value(const struct gguf_pair *a, const struct gguf_pair *b)
{
    if (a->type != b->type || a->array != b->array || a->count != b->count ||
        a->scalar != b->scalar)
        return false;
    if (!a->array && a->type != GGUF_STRING)
        return true;
    if (a->array && a->type == GGUF_STRING) {
        if (memcmp(a->ends, b->ends, a->count * sizeof *a->ends) != 0)
            return false;
        return a->count == 0 || memcmp(a->bytes, b->bytes, a->ends[a->count - 1]) == 0;
    }
    return memcmp(a->bytes, b->bytes,
                  a->count * (a->type == GGUF_STRING ? 1 : gguf_type_bytes(a->type))) == 0;
}

static int check_number(const struct joint *j, const struct gguf *p, const char *key,
                        uint64_t expected)
{
    uint64_t found;
    if (!gguf_has(p, key))
        return gguf_fail(p, j->err, TRIT_EFORMAT,
                         "key %s is missing, expected %" PRIu64 ": no part of %s", key, expected,
                         j->g->path);
    int rc = gguf_uint(p, key, &found, j->err);
    if (rc == 0 && found != expected)
        rc = gguf_fail(p, j->err, TRIT_EFORMAT,
                       "key %s: found %" PRIu64 ", expected %" PRIu64
                       ": a part of another model, or under another's name",
                       key, found, expected);
    return rc;
}

/* Alignment is each file's own matter. */
static int check_part(const struct joint *j, const struct gguf *p, uint64_t no)
{
    int rc = check_number(j, p, NO, no);
    if (rc == 0)
        rc = check_number(j, p, COUNT, j->n_parts);
    if (rc == 0 && j->says_tensors)
        rc = check_number(j, p, TENSORS, j->n_tensors);
    for (size_t i = 0; rc == 0 && i < p->n_pairs; i++) {
        const struct gguf_pair *here = &p->pairs[i], *there = gguf_find(j->g, here->key);
        if (there && strcmp(here->key, NO) != 0 && strcmp(here->key, "general.alignment") != 0 &&
            !same_value(here, there))
            rc = gguf_fail(p, j->err, TRIT_EFORMAT,
                           "key %.127s says something else than in the first part: a part of "
                           "another model",
                           here->key);
    }
    return rc;
}

static int open_part(struct joint *j, uint64_t no)
{
    struct buf path = {0};
    struct trit_error why = {0};
    char suffix[SUFFIX_BYTES + 1];
    name_suffix(suffix, no, j->n_parts);
    buf_addf(&path, "%.*s%s", (int)(strlen(j->g->path) - SUFFIX_BYTES), j->g->path, suffix);
    int rc = path.failed ? gguf_fail(j->g, j->err, TRIT_ENOMEM, "out of memory")
                         : gguf_open_part(path.data, &j->part[no], &why);
    if (rc && !path.failed)
        rc = trit_fail(j->err, -rc, "part %" PRIu64 " of %" PRIu64 "%s: %s", no + 1, j->n_parts,
                       rc == -TRIT_ENOENT ? " is missing" : "", why.text);
    buf_free(&path);
    return rc ? rc : check_part(j, j->part[no], no);
}

static unsigned part_of(const struct gguf *g, const struct gguf_entry *e)
{
    unsigned i = 0;
    while (g->files[i].fd != e->fd)
        i++;
    return i + 1;
}

/* The index that was refused has equal names beside each other. */
static int name_twice(const struct joint *j)
{
    const struct gguf *g = j->g;
    for (size_t i = 1; i < g->n_tensors; i++) {
        const struct gguf_entry *a = &g->tensors[g->by_name[i - 1]],
                                *b = &g->tensors[g->by_name[i]];
        unsigned one = part_of(g, a), other = part_of(g, b);
        if (strcmp(a->name, b->name) == 0)
            return gguf_fail(g, j->err, TRIT_EFORMAT,
                             "tensor %s: found in part %u and in part %u, expected once", a->name,
                             MIN(one, other), MAX(one, other));
    }
    trit_unreachable("an index refused without a reason");
}

/* All files and tensors of the parts become the first one's. */
static int take_parts(struct joint *j)
{
    struct gguf *g = j->g;
    size_t n = g->n_tensors;
    for (size_t i = 1; i < j->n_parts; i++)
        n += j->part[i]->n_tensors;
    if (j->says_tensors && n != j->n_tensors)
        return gguf_fail(g, j->err, TRIT_EFORMAT,
                         "the parts have %zu tensors, expected %" PRIu64 " as key %s says: one of "
                         "them is of another model",
                         n, j->n_tensors, TENSORS);
    struct gguf_file *files = mem_zalloc(j->n_parts, sizeof *files);
    struct gguf_entry *tensors = mem_zalloc(n, sizeof *tensors);
    char *own = mem_strdup(g->path);
    struct cursor *c = mem_zalloc(1, sizeof *c);
    if (!files || !tensors || !own || !c) {
        mem_free(files);
        mem_free(tensors);
        mem_free(own);
        mem_free(c);
        return gguf_fail(g, j->err, TRIT_ENOMEM, "out of memory");
    }
    struct gguf_entry *at = tensors;
    for (size_t i = 0; i < j->n_parts; i++) {
        struct gguf *p = i ? j->part[i] : g;
        memcpy(at, p->tensors, p->n_tensors * sizeof *at);
        at += p->n_tensors;
        files[i] = (struct gguf_file){i ? p->path : own, p->fd};
        if (i) {
            g->file_bytes += p->file_bytes;
            p->path = NULL;
            p->fd = -1;
        }
    }
    for (size_t i = 0; i < n; i++)
        tensors[i].t.name = tensors[i].t.origin = tensors[i].name;
    mem_free(g->tensors);
    mem_free(g->by_name);
    g->by_name = NULL;
    g->tensors = tensors;
    g->n_tensors = n;
    g->files = files;
    g->n_files = j->n_parts;
    struct trit_error why = {0};
    c->g = g;
    c->err = &why;
    int rc = gguf_index_tensors(c);
    mem_free(c);
    if (rc == -TRIT_EFORMAT)
        return name_twice(j);
    return rc ? gguf_fail(g, j->err, TRIT_ENOMEM, "out of memory") : 0;
}

int gguf_join_parts(struct gguf *g, struct trit_error *err)
{
    struct joint j = {.g = g, .err = err};
    int rc = check_first(&j);
    if (rc)
        return rc;
    j.part = mem_zalloc(j.n_parts, sizeof(struct gguf *));
    if (!j.part)
        return gguf_fail(g, err, TRIT_ENOMEM, "out of memory");
    for (uint64_t i = 1; rc == 0 && i < j.n_parts; i++)
        rc = open_part(&j, i);
    if (rc == 0)
        rc = take_parts(&j);
    for (uint64_t i = 1; i < j.n_parts; i++)
        gguf_close(&j.part[i]);
    mem_free(j.part);
    return rc;
}
