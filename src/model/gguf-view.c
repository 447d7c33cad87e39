/* SPDX-License-Identifier: MIT */
/*
 * gguf-view.c - a view of a model as bytes, so that one process can read the files and another one
 * use what they say.
 *
 * A head, a record for each pair, a record for each tensor, then what they point to, by its place
 * from the beginning; numbers as the machine has them, at multiples of eight.  Both ends are the
 * same program, so there is one version.
 *
 * Whoever reads it does not believe the writer, which may have been taken over by the file that it
 * read: every place, length, type, name and size is checked again here, as gguf.c does for a file.
 * What the values mean is checked by those who use them, as ever.  Where pairs lie in the file,
 * which only tools want to know, is left out.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/quant.h"

static const char magic[8] = "TRITVUE";

enum { COUNT_MAX = 65536, KEY_MAX = 65535, NO_QUANT = 0xffffffff };

struct head {
    char magic[8];
    uint32_t version; /* of GGUF; 0: a folder */
    uint32_t n_files;
    uint32_t n_pairs, n_tensors;
};

/* A run of bytes; a NUL stands behind it. */
struct span {
    uint64_t at, len;
};

struct pair {
    struct span key, bytes, ends;
    uint64_t count, scalar;
    uint32_t type, array;
};

struct tensor {
    struct span name, origin;
    uint64_t ne[4], offset, bytes, start;
    uint32_t n_dims, type, quant, file;
};

/* ------------------------------------------------------------------ writing */

/* Where the next run of bytes goes; dst NULL: nowhere, they are only counted. */
struct pen {
    uint8_t *dst;
    size_t at;
};

static struct span put(struct pen *p, const void *bytes, size_t len)
{
    struct span s = {p->at, len};
    if (p->dst && len)
        memcpy(p->dst + p->at, bytes, len); /* What follows is zero, as new files are. */
    p->at = round_up(p->at + len + 1, 8);
    return s;
}

static size_t value_bytes(const struct gguf_pair *p)
{
    if (!p->bytes)
        return 0;
    if (p->ends)
        return p->count ? p->ends[p->count - 1] : 0;
    return p->array ? p->count * gguf_type_bytes(p->type) : p->count;
}

static uint32_t file_of(const struct gguf *g, int fd)
{
    for (size_t i = 0; i < g->n_files; i++)
        if (g->files[i].fd == fd)
            return (uint32_t)i;
    return 0;
}

static size_t write_view(const struct gguf *g, uint8_t *dst)
{
    size_t pairs = sizeof(struct head), tensors = pairs + g->n_pairs * sizeof(struct pair);
    struct pen p = {dst, tensors + g->n_tensors * sizeof(struct tensor)};
    for (size_t i = 0; i < g->n_pairs; i++) {
        const struct gguf_pair *from = &g->pairs[i];
        struct pair to = {
            .count = from->count, .scalar = from->scalar, .type = from->type, .array = from->array};
        to.key = put(&p, from->key, strlen(from->key));
        to.bytes = put(&p, from->bytes, value_bytes(from));
        if (from->ends)
            to.ends = put(&p, from->ends, from->count * sizeof *from->ends);
        if (dst)
            memcpy(dst + pairs + i * sizeof to, &to, sizeof to);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_entry *from = &g->tensors[i];
        const struct gguf_tensor *t = &from->t;
        struct tensor to = {.offset = t->offset,
                            .bytes = t->bytes,
                            .start = from->start,
                            .n_dims = t->n_dims,
                            .type = t->type,
                            .quant = t->quant ? t->quant->type : NO_QUANT,
                            .file = file_of(g, from->fd)};
        memcpy(to.ne, t->ne, sizeof to.ne);
        to.name = put(&p, t->name, strlen(t->name));
        to.origin = put(&p, t->origin, strlen(t->origin));
        if (dst)
            memcpy(dst + tensors + i * sizeof to, &to, sizeof to);
    }
    struct head h = {.version = g->version,
                     .n_files = (uint32_t)gguf_n_files(g),
                     .n_pairs = (uint32_t)g->n_pairs,
                     .n_tensors = (uint32_t)g->n_tensors};
    memcpy(h.magic, magic, sizeof magic);
    if (dst)
        memcpy(dst, &h, sizeof h);
    return p.at;
}

size_t gguf_view_bytes(const struct gguf *g)
{
    return write_view(g, NULL);
}

void gguf_view_write(const struct gguf *g, uint8_t *dst)
{
    (void)write_view(g, dst);
}

/* ------------------------------------------------------------------ reading */

struct reading {
    uint8_t *at;
    size_t len;
    const struct gguf_view_file *files;
    size_t n_files;
    struct gguf *g;
};

/* The bytes of a run, with the NUL behind them; NULL: it is not inside. */
static void *take(const struct reading *r, struct span s)
{
    uint64_t end;
    bool inside = s.at % 8 == 0 && !__builtin_add_overflow(s.at, s.len, &end) && end < r->len &&
                  r->at[end] == 0;
    return inside ? r->at + s.at : NULL;
}

/* A text of 1 to `most` bytes without control characters. */
static char *take_name(const struct reading *r, struct span s, size_t most)
{
    char *name = take(r, s);
    if (!name || s.len == 0 || s.len > most || !utf8_valid(name, s.len))
        return NULL;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return NULL;
    return name;
}

static bool take_texts(const struct reading *r, const struct pair *from, struct gguf_pair *to)
{
    uint32_t last = 0;
    to->ends = take(r, from->ends);
    if (!to->ends || from->ends.len / sizeof *to->ends != from->count)
        return false;
    for (uint64_t i = 0; i < from->count; i++) {
        if (to->ends[i] < last)
            return false;
        last = to->ends[i];
    }
    return last <= from->bytes.len && last <= GGUF_TEXTS_MAX;
}

static bool take_value(const struct reading *r, const struct pair *from, struct gguf_pair *to)
{
    if (from->type > GGUF_F64 || from->type == GGUF_ARRAY || from->array > 1)
        return false;
    to->type = from->type;
    to->array = from->array;
    to->count = from->count;
    to->scalar = from->scalar;
    if (!to->array && to->type != GGUF_STRING)
        return to->type != GGUF_BOOL || to->scalar <= 1;
    to->bytes = take(r, from->bytes);
    if (!to->bytes)
        return false;
    if (!to->array)
        return to->count == from->bytes.len && to->count <= GGUF_STRING_MAX;
    if (to->count > GGUF_ELEMENTS_MAX)
        return false;
    if (to->type == GGUF_STRING)
        return take_texts(r, from, to);
    if (from->bytes.len / gguf_type_bytes(to->type) < to->count)
        return false;
    for (uint64_t i = 0; to->type == GGUF_BOOL && i < to->count; i++)
        if ((uint8_t)to->bytes[i] > 1)
            return false;
    return true;
}

static bool take_pair(const struct reading *r, const struct pair *from, struct gguf_pair *to)
{
    to->key = take_name(r, from->key, KEY_MAX);
    for (const char *p = to->key; p && *p; p++)
        if (*p <= 0x20 || *p > 0x7e)
            return false;
    return to->key && take_value(r, from, to);
}

/* As many bytes as its shape says, all of them in a file that was opened. */
static bool take_place(const struct reading *r, const struct tensor *from, struct gguf_entry *to)
{
    struct gguf_tensor *t = &to->t;
    uint64_t total = 1, bytes = 0, end;
    if (from->n_dims < 1 || from->n_dims > 4 || from->file >= r->n_files)
        return false;
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = from->ne[i];
        if (t->ne[i] == 0 || (i >= from->n_dims && t->ne[i] != 1) ||
            __builtin_mul_overflow(total, t->ne[i], &total) || total > INT64_MAX)
            return false;
    }
    t->n_dims = from->n_dims;
    t->type = from->type;
    t->quant = quant_find(from->quant);
    if (!t->quant && from->quant != NO_QUANT)
        return false;
    if (t->quant && quant_tensor_bytes(t->quant, total / t->ne[0], t->ne[0], &bytes) != 0)
        return false;
    t->offset = from->offset;
    t->bytes = bytes;
    to->start = from->start;
    to->fd = r->files[from->file].fd;
    return from->bytes == bytes && !__builtin_add_overflow(from->start, bytes, &end) &&
           end <= r->files[from->file].bytes;
}

static bool take_tensor(const struct reading *r, const struct tensor *from, struct gguf_entry *to)
{
    const char *name = take_name(r, from->name, GGUF_NAME_MAX);
    to->origin = take_name(r, from->origin, GGUF_NAME_MAX);
    if (!name || !to->origin)
        return false;
    memcpy(to->name, name, from->name.len);
    to->t.name = to->name;
    to->t.origin = to->origin;
    return take_place(r, from, to);
}

static bool take_all(struct reading *r, const struct head *h)
{
    struct gguf *g = r->g;
    size_t pairs = sizeof *h, tensors = pairs + h->n_pairs * sizeof(struct pair);
    for (; g->n_pairs < h->n_pairs; g->n_pairs++) {
        struct pair from;
        memcpy(&from, r->at + pairs + g->n_pairs * sizeof from, sizeof from);
        if (!take_pair(r, &from, &g->pairs[g->n_pairs]))
            return false;
    }
    for (; g->n_tensors < h->n_tensors; g->n_tensors++) {
        struct tensor from;
        memcpy(&from, r->at + tensors + g->n_tensors * sizeof from, sizeof from);
        if (!take_tensor(r, &from, &g->tensors[g->n_tensors]))
            return false;
    }
    return true;
}

static bool check_head(const struct reading *r, struct head *h)
{
    if (r->len < sizeof *h)
        return false;
    memcpy(h, r->at, sizeof *h);
    return memcmp(h->magic, magic, sizeof magic) == 0 && h->n_pairs <= COUNT_MAX &&
           h->n_tensors <= COUNT_MAX && h->n_files == r->n_files && h->n_files &&
           h->n_pairs * sizeof(struct pair) + h->n_tensors * sizeof(struct tensor) <=
               r->len - sizeof *h;
}

/* The files are the view's from now on. */
static bool take_files(struct gguf *g, const struct gguf_view_file *files, size_t n)
{
    bool single = g->version && n == 1;
    if (!single && !(g->files = mem_zalloc(n, sizeof *g->files)))
        return false;
    for (size_t i = 0; i < n; i++) {
        g->file_bytes += files[i].bytes;
        if (!single)
            g->files[g->n_files++] = (struct gguf_file){files[i].path, files[i].fd};
    }
    if (g->version)
        g->fd = files[0].fd;
    if (single)
        mem_free(files[0].path);
    return true;
}

int gguf_view_read(uint8_t *at, size_t len, const char *path, struct gguf_view_file *files,
                   size_t n, struct gguf **out, struct trit_error *err)
{
    struct reading r = {.at = at, .len = len, .files = files, .n_files = n};
    struct head h;
    if (!check_head(&r, &h))
        return gguf_fail_at(path, err, TRIT_EFORMAT, "what was read of it has no valid head");
    int rc = gguf_make(path, &r.g, err);
    if (rc)
        return rc;
    struct gguf *g = r.g;
    g->view = at;
    g->view_bytes = len;
    g->version = h.version;
    g->pairs = mem_zalloc(h.n_pairs, sizeof *g->pairs);
    g->tensors = mem_zalloc(h.n_tensors, sizeof *g->tensors);
    if (!g->pairs || !g->tensors)
        rc = gguf_fail(g, err, TRIT_ENOMEM, "out of memory");
    else if (!take_all(&r, &h))
        rc = gguf_fail(g, err, TRIT_EFORMAT, "what was read of it is not valid at %s %zu",
                       g->n_pairs < h.n_pairs ? "pair" : "tensor",
                       g->n_pairs < h.n_pairs ? g->n_pairs : g->n_tensors);
    else
        rc = gguf_make_done(g, err);
    if (rc == 0 && !take_files(g, files, n))
        rc = gguf_fail(g, err, TRIT_ENOMEM, "out of memory");
    if (rc == 0) {
        *out = g;
        return 0;
    }
    /* Nothing was taken. */
    g->view = NULL;
    g->n_pairs = g->n_tensors = 0;
    gguf_close(&g);
    return rc;
}
