/* SPDX-License-Identifier: MIT */
/*
 * gguf.c - reads and checks the head of a GGUF file.
 *
 * Nothing in the file is believed.  A count is first capped, then multiplied by the fewest bytes an
 * element can take and compared with the bytes that are left, and only then is memory asked for: a
 * file of n bytes makes us allocate a small multiple of n, whatever it claims.  Bytes come through
 * a cursor that knows where the file ends and what it is reading, so that every refusal can say so.
 *
 * Not here: the pairs of keys and values (gguf-pairs.c), the getters (gguf-get.c), models in
 * several files (gguf-split.c).
 */
#include "config.h"
#include "model/gguf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/files.h"
#include "model/gguf-private.h"
#include "model/quant.h"

#define MAX_COUNT        65536u /* pairs, and tensors */
#define MIN_PAIR_BYTES   13u    /* length, type, one byte */
#define MIN_TENSOR_BYTES 33u    /* length, one character, count, one dimension, type, offset */

static const char *key_of(const struct gguf *g, uint32_t i)
{
    return g->pairs[i].key;
}

static const char *name_of(const struct gguf *g, uint32_t i)
{
    return g->tensors[i].name;
}

static int compare_keys(const void *a, const void *b, void *g)
{
    return strcmp(key_of(g, *(const uint32_t *)a), key_of(g, *(const uint32_t *)b));
}

static int compare_names(const void *a, const void *b, void *g)
{
    return strcmp(name_of(g, *(const uint32_t *)a), name_of(g, *(const uint32_t *)b));
}

/* By offset; of tensors that begin together the longest comes first. */
static int compare_places(const void *a, const void *b, void *g)
{
    const struct gguf_tensor *s = &((struct gguf *)g)->tensors[*(const uint32_t *)a].t;
    const struct gguf_tensor *t = &((struct gguf *)g)->tensors[*(const uint32_t *)b].t;
    if (s->offset != t->offset)
        return s->offset < t->offset ? -1 : 1;
    return s->bytes == t->bytes ? 0 : s->bytes > t->bytes ? -1 : 1;
}

/* 0 .. n-1 in the order of `compare`. */
static uint32_t *sorted_index(struct gguf *g, size_t n,
                              int (*compare)(const void *, const void *, void *))
{
    uint32_t *index = mem_zalloc(n, sizeof *index);
    if (index) {
        for (uint32_t i = 0; i < n; i++)
            index[i] = i;
        qsort_r(index, n, sizeof *index, compare, g);
    }
    return index;
}

/* Sort and refuse what is there twice; equal ones are neighbours then. */
static int index_unique(struct cursor *c, size_t n,
                        int (*compare)(const void *, const void *, void *),
                        const char *(*name)(const struct gguf *, uint32_t), uint32_t **index)
{
    *index = sorted_index(c->g, n, compare);
    if (!*index)
        return cursor_no_memory(c);
    for (size_t i = 1; i < n; i++)
        if (compare(&(*index)[i - 1], &(*index)[i], c->g) == 0) {
            c->name = name(c->g, (*index)[i]);
            return cursor_bad(c, TRIT_EFORMAT, "found twice, expected once");
        }
    return 0;
}

int gguf_index_keys(struct cursor *c)
{
    c->what = "key";
    return index_unique(c, c->g->n_pairs, compare_keys, key_of, &c->g->by_key);
}

int gguf_index_tensors(struct cursor *c)
{
    c->what = "tensor";
    return index_unique(c, c->g->n_tensors, compare_names, name_of, &c->g->by_name);
}

static int take_name(struct cursor *c, struct gguf_entry *e)
{
    uint64_t len;
    int rc = cursor_length(c, GGUF_NAME_MAX, &len);
    if (rc == 0)
        rc = cursor_take(c, e->name, len);
    if (rc)
        return rc;
    if (len == 0)
        return cursor_bad(c, TRIT_EFORMAT, "empty name, expected one or more characters");
    for (uint64_t i = 0; i < len; i++)
        if ((unsigned char)e->name[i] < 0x20 || e->name[i] == 0x7f)
            return cursor_bad(c, TRIT_EFORMAT,
                              "control character 0x%02x in the name, expected text",
                              (unsigned char)e->name[i]);
    if (!utf8_valid(e->name, len))
        return cursor_bad(c, TRIT_EFORMAT, "the name is not valid UTF-8");
    c->name = e->t.name = e->t.origin = e->name;
    return 0;
}

/* Dimensions: one to four, none zero, and their product a number. */
static int take_shape(struct cursor *c, struct gguf_tensor *t, uint64_t *rows)
{
    uint64_t total = 1;
    int rc = cursor_u32(c, &t->n_dims);
    if (rc)
        return rc;
    if (t->n_dims < 1 || t->n_dims > 4)
        return cursor_bad(c, TRIT_EFORMAT, "%" PRIu32 " dimensions, expected 1 to 4", t->n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = 1;
        if (i >= t->n_dims)
            continue;
        rc = cursor_u64(c, &t->ne[i]);
        if (rc)
            return rc;
        if (t->ne[i] == 0)
            return cursor_bad(c, TRIT_EFORMAT, "dimension %" PRIu32 " is 0, expected 1 or more", i);
        if (__builtin_mul_overflow(total, t->ne[i], &total) || total > INT64_MAX)
            return cursor_bad(c, TRIT_EFORMAT, "more values than a 64-bit number counts");
    }
    *rows = total / t->ne[0];
    return 0;
}

static int take_tensor(struct cursor *c, struct gguf_entry *e)
{
    struct gguf_tensor *t = &e->t;
    uint64_t rows = 0;
    int rc = take_name(c, e);
    if (rc == 0)
        rc = take_shape(c, t, &rows);
    if (rc == 0)
        rc = cursor_u32(c, &t->type);
    if (rc == 0)
        rc = cursor_u64(c, &t->offset);
    if (rc)
        return rc;
    t->quant = t->type < QUANT_INNER ? quant_find(t->type) : NULL;
    if (!t->quant)
        return 0; /* Whoever needs the tensor refuses it; inspect still shows it. */
    rc = quant_tensor_bytes(t->quant, rows, t->ne[0], &t->bytes);
    if (rc == -TRIT_ETOOBIG)
        return cursor_bad(c, TRIT_EFORMAT, "more bytes than a 64-bit number counts");
    if (rc && t->quant->type == QUANT_TL2) {
        t->quant = NULL; /* MXFP4 has the same id; see gguf_settle_widths. */
        return 0;
    }
    if (rc && quant_by_rows(t->quant) && t->ne[0] % t->quant->block_values == 0)
        return cursor_bad(c, TRIT_EFORMAT, "%" PRIu64 " rows, expected a multiple of %u for %s",
                          rows, t->quant->row_run, t->quant->name);
    if (rc && t->quant->block_values > 1)
        return cursor_bad(c, TRIT_EFORMAT,
                          "rows of %" PRIu64 " values, expected a multiple of %" PRIu32
                          ", the block of %s",
                          t->ne[0], t->quant->block_values, t->quant->name);
    if (rc)
        return cursor_bad(c, TRIT_EFORMAT, "%" PRIu64 " values, expected a multiple of 128 for %s",
                          rows * t->ne[0], t->quant->name);
    return 0;
}

static int read_tensors(struct cursor *c)
{
    struct gguf *g = c->g;
    c->what = "tensor";
    for (c->index = 0; c->index < g->n_tensors; c->index++) {
        c->name = NULL;
        int rc = take_tensor(c, &g->tensors[c->index]);
        if (rc)
            return rc;
    }
    c->name = NULL;
    return gguf_index_tensors(c);
}

/* Each tensor is aligned and ends before the file does. */
static int check_ranges(struct cursor *c, uint32_t alignment)
{
    struct gguf *g = c->g;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i].t;
        uint64_t end;
        c->name = t->name;
        if (t->offset % alignment != 0)
            return cursor_bad(c, TRIT_EFORMAT,
                              "offset %" PRIu64 ", expected a multiple of the alignment %" PRIu32,
                              t->offset, alignment);
        if (__builtin_add_overflow(t->offset, t->bytes, &end) ||
            __builtin_add_overflow(end, g->data_start, &end) || end > g->file_bytes)
            return cursor_bad(c, TRIT_EFORMAT,
                              "%" PRIu64 " bytes at offset %" PRIu64
                              " of the data, which starts at %" PRIu64
                              ", end beyond the file of %" PRIu64 " bytes (a download cut short?)",
                              t->bytes, t->offset, g->data_start, g->file_bytes);
        g->tensors[i].fd = g->fd;
        g->tensors[i].start = g->data_start + t->offset;
    }
    return 0;
}

/* No two share a byte.  The end reached so far belongs to `owner`. */
static int check_overlap(struct cursor *c)
{
    struct gguf *g = c->g;
    uint32_t *order = sorted_index(g, g->n_tensors, compare_places);
    const struct gguf_tensor *owner = NULL;
    int rc = 0;
    if (!order) {
        c->what = NULL;
        return cursor_no_memory(c);
    }
    for (size_t i = 0; i < g->n_tensors && rc == 0; i++) {
        const struct gguf_tensor *t = &g->tensors[order[i]].t;
        c->name = t->name;
        if (owner && t->offset < owner->offset + owner->bytes)
            rc = cursor_bad(c, TRIT_EFORMAT, "begins at offset %" PRIu64 ", inside tensor %.63s",
                            t->offset, owner->name);
        if (!owner || t->offset + t->bytes > owner->offset + owner->bytes)
            owner = t;
    }
    mem_free(order);
    return rc;
}

/* Not ours; say what it is where that is easy, since these are the files people have by accident.
 */
static int refuse_magic(const struct cursor *c, const uint8_t *m)
{
    const char *hint = "";
    if (memcmp(m, "vers", 4) == 0)
        hint = "; it looks like a git-lfs pointer: fetch the file itself";
    else if (m[0] == '<')
        hint = "; it looks like a web page: the download went wrong";
    else if (memcmp(m, "lmgg", 4) == 0 || memcmp(m, "fmgg", 4) == 0 || memcmp(m, "tjgg", 4) == 0)
        hint = "; it is a GGML file from before GGUF: convert it anew";
    return cursor_bad(c, TRIT_EFORMAT,
                      "begins with %02x %02x %02x %02x, expected 47 47 55 46 (\"GGUF\")%s", m[0],
                      m[1], m[2], m[3], hint);
}

static int read_header(struct cursor *c)
{
    struct gguf *g = c->g;
    uint8_t magic[4];
    uint64_t n_tensors = 0, n_pairs = 0;
    if (g->file_bytes < sizeof magic)
        return cursor_bad(c, TRIT_EFORMAT, "%" PRIu64 " bytes, expected a GGUF file",
                          g->file_bytes);
    int rc = cursor_take(c, magic, sizeof magic);
    if (rc)
        return rc;
    if (memcmp(magic, "GGUF", 4) != 0)
        return refuse_magic(c, magic);
    rc = cursor_u32(c, &g->version);
    if (rc)
        return rc;
    if (g->version && (g->version & 0xffff) == 0)
        return cursor_bad(c, TRIT_EUNSUPP, "a big-endian file, expected little-endian");
    if (g->version != 2 && g->version != 3)
        return cursor_bad(c, TRIT_EUNSUPP, "GGUF version %" PRIu32 ", expected 2 or 3", g->version);
    rc = cursor_u64(c, &n_tensors);
    if (rc == 0)
        rc = cursor_u64(c, &n_pairs);
    if (rc)
        return rc;
    if (n_tensors > MAX_COUNT)
        return cursor_bad(c, TRIT_EFORMAT, "%" PRIu64 " tensors, expected at most %u", n_tensors,
                          MAX_COUNT);
    if (n_pairs > MAX_COUNT)
        return cursor_bad(c, TRIT_EFORMAT, "%" PRIu64 " keys, expected at most %u", n_pairs,
                          MAX_COUNT);
    uint64_t least = n_tensors * MIN_TENSOR_BYTES + n_pairs * MIN_PAIR_BYTES;
    if (least > cursor_left(c))
        return cursor_bad(c, TRIT_EFORMAT,
                          "%" PRIu64 " tensors and %" PRIu64 " keys need %" PRIu64
                          " bytes, but only %" PRIu64 " are left",
                          n_tensors, n_pairs, least, cursor_left(c));
    g->n_pairs = n_pairs;
    g->n_tensors = n_tensors;
    g->pairs = mem_zalloc(n_pairs, sizeof *g->pairs);
    g->tensors = mem_zalloc(n_tensors, sizeof *g->tensors);
    if (!g->pairs || !g->tensors) {
        g->n_pairs = g->n_tensors = 0;
        return cursor_no_memory(c);
    }
    return 0;
}

static int read_head(struct cursor *c)
{
    struct gguf *g = c->g;
    uint32_t alignment;
    int rc = read_header(c);
    if (rc == 0)
        rc = gguf_read_pairs(c);
    if (rc == 0)
        rc = gguf_read_layout(c, &alignment);
    if (rc == 0)
        rc = read_tensors(c);
    if (rc)
        return rc;
    g->data_start = round_up(c->pos, alignment);
    rc = gguf_settle_widths(c, alignment);
    if (rc == 0)
        rc = check_ranges(c, alignment);
    return rc ? rc : check_overlap(c);
}

int gguf_open_part(const char *path, struct gguf **out, struct trit_error *err)
{
    struct cursor *c = mem_zalloc(1, sizeof *c);
    struct gguf *g = mem_zalloc(1, sizeof *g);
    char *copy = mem_strdup(path);
    int rc;
    if (!c || !g || !copy) {
        mem_free(c);
        mem_free(g);
        mem_free(copy);
        return trit_fail(err, TRIT_ENOMEM, "%.200s: out of memory", path);
    }
    g->path = copy;
    rc = files_open(g->path, &g->fd, &g->file_bytes, err);
    if (rc == 0) {
        c->g = g;
        c->err = err;
        rc = read_head(c);
    }
    mem_free(c);
    if (rc)
        gguf_close(&g);
    else
        *out = g;
    return rc;
}

int gguf_open(const char *path, struct gguf **out, struct trit_error *err)
{
    uint64_t parts = 0;
    *out = NULL;
    int rc = gguf_open_part(path, out, err);
    if (rc == 0 && gguf_has(*out, "split.count"))
        rc = gguf_uint(*out, "split.count", &parts, err);
    if (rc == 0 && parts > 1)
        rc = gguf_join_parts(*out, err);
    if (rc == 0)
        rc = gguf_settle_planes(*out, err);
    if (rc)
        gguf_close(out);
    return rc;
}

void gguf_close(struct gguf **gp)
{
    struct gguf *g = *gp;
    if (!g)
        return;
    for (size_t i = 0; i < g->n_pairs && !g->view; i++) {
        mem_free(g->pairs[i].key);
        mem_free(g->pairs[i].bytes);
        mem_free(g->pairs[i].ends);
    }
    for (size_t i = 0; i < g->n_tensors && !g->view; i++)
        mem_free(g->tensors[i].origin);
    if (g->view)
        trit_assert(munmap(g->view, g->view_bytes) == 0);
    for (size_t i = 0; i < g->n_files; i++) {
        mem_free(g->files[i].path);
        close(g->files[i].fd);
    }
    mem_free(g->files);
    mem_free(g->tiles);
    mem_free(g->pairs);
    mem_free(g->tensors);
    mem_free(g->by_key);
    mem_free(g->by_name);
    if (g->fd >= 0 && !g->n_files) /* otherwise it is the first of them */
        close(g->fd);
    mem_free(g->path);
    mem_free(g);
    *gp = NULL;
}
