/* SPDX-License-Identifier: MIT */
/*
 * gguf-write.c - the GGUF writer.
 */
#include "config.h"
#include "gguf-write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"

#define OUT_BYTES (1u << 20) /* written at a time */

/* The file that a signal would leave behind; "": none.  It stays in its place, whoever reads it. */
static char unfinished[PATH_MAX];

void gguf_put_u32(struct buf *b, uint32_t v)
{
    unsigned char le[4];
    for (int i = 0; i < 4; i++)
        le[i] = (unsigned char)(v >> (8 * i));
    buf_add(b, le, sizeof le);
}

void gguf_put_u64(struct buf *b, uint64_t v)
{
    gguf_put_u32(b, (uint32_t)v);
    gguf_put_u32(b, (uint32_t)(v >> 32));
}

void gguf_put_text(struct buf *b, const void *bytes, size_t len)
{
    gguf_put_u64(b, len);
    buf_add(b, bytes, len);
}

void gguf_put_head(struct buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_pairs)
{
    buf_adds(b, "GGUF");
    gguf_put_u32(b, version);
    gguf_put_u64(b, n_tensors);
    gguf_put_u64(b, n_pairs);
}

void gguf_put_key(struct buf *b, const char *key, enum gguf_type type)
{
    gguf_put_text(b, key, strlen(key));
    gguf_put_u32(b, type);
}

void gguf_put_array(struct buf *b, const char *key, enum gguf_type elem, uint64_t count)
{
    gguf_put_key(b, key, GGUF_ARRAY);
    gguf_put_u32(b, elem);
    gguf_put_u64(b, count);
}

void gguf_put_tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *ne,
                     uint32_t type, uint64_t offset)
{
    gguf_put_text(b, name, strlen(name));
    gguf_put_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        gguf_put_u64(b, ne[i]);
    gguf_put_u32(b, type);
    gguf_put_u64(b, offset);
}

int gguf_write_open(const char *path, struct gguf_writer **out, struct trit_error *err)
{
    struct gguf_writer *w = mem_zalloc(1, sizeof *w);
    struct buf partial = {0};
    struct stat st;
    if (!w)
        return trit_fail(err, TRIT_ENOMEM, "%.200s: out of memory", path);
    w->fd = -1;
    w->path = mem_strdup(path);
    buf_addf(&partial, "%s.XXXXXX", path);
    w->partial = buf_take(&partial, NULL);
    if (!w->path || !w->partial) {
        gguf_write_close(&w);
        return trit_fail(err, TRIT_ENOMEM, "%.200s: out of memory", path);
    }
    /* Renaming over a device, as /dev/null, would take it away from everybody. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        gguf_write_close(&w);
        return trit_fail(err, TRIT_EINVAL, "%.200s: exists and is not a regular file", path);
    }
    w->fd = mkostemp(w->partial, O_CLOEXEC);
    if (w->fd < 0) {
        int rc = trit_fail(err, TRIT_EIO, "%.200s: cannot create: %s", path, strerror(errno));
        gguf_write_close(&w);
        return rc;
    }
    snprintf(unfinished, sizeof unfinished, "%s", w->partial);
    *out = w;
    return 0;
}

void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    gguf_put_key(&w->pairs, key, GGUF_U32);
    gguf_put_u32(&w->pairs, v);
    w->n_pairs++;
}

void gguf_write_f32(struct gguf_writer *w, const char *key, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    gguf_put_key(&w->pairs, key, GGUF_F32);
    gguf_put_u32(&w->pairs, bits);
    w->n_pairs++;
}

void gguf_write_bool(struct gguf_writer *w, const char *key, bool v)
{
    gguf_put_key(&w->pairs, key, GGUF_BOOL);
    buf_addc(&w->pairs, v);
    w->n_pairs++;
}

void gguf_write_string(struct gguf_writer *w, const char *key, const char *s)
{
    gguf_put_key(&w->pairs, key, GGUF_STRING);
    gguf_put_text(&w->pairs, s, strlen(s));
    w->n_pairs++;
}

void gguf_write_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    gguf_put_array(&w->pairs, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        gguf_put_u32(&w->pairs, (uint32_t)v[i]);
    w->n_pairs++;
}

void gguf_write_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    gguf_put_array(&w->pairs, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        gguf_put_u32(&w->pairs, bits);
    }
    w->n_pairs++;
}

void gguf_write_strings(struct gguf_writer *w, const char *key, size_t n)
{
    gguf_put_array(&w->pairs, key, GGUF_STRING, n);
    w->n_pairs++;
}

void gguf_write_element(struct gguf_writer *w, const char *s, size_t len)
{
    gguf_put_text(&w->pairs, s, len);
}

void gguf_write_pair(struct gguf_writer *w, const void *bytes, size_t len)
{
    buf_add(&w->pairs, bytes, len);
    w->n_pairs++;
}

void gguf_write_tensor(struct gguf_writer *w, const char *name, uint32_t n_dims, const uint64_t *ne,
                       uint32_t type, uint64_t bytes)
{
    if (w->n_tensors == w->sizes_cap) {
        size_t cap = MAX(64, 2 * w->sizes_cap);
        uint64_t *sizes = mem_resize(w->sizes, cap, sizeof *sizes);
        if (!sizes) {
            w->infos.failed = true;
            return;
        }
        w->sizes = sizes;
        w->sizes_cap = cap;
    }
    gguf_put_tensor(&w->infos, name, n_dims, ne, type, w->next_offset);
    w->sizes[w->n_tensors++] = bytes;
    w->next_offset += round_up(bytes, GGUF_WRITE_ALIGNMENT);
}

static int failure(const struct gguf_writer *w, struct trit_error *err)
{
    return trit_fail(err, TRIT_EIO, "%.200s: cannot write: %s", w->path, strerror(w->failed));
}

static void write_all(struct gguf_writer *w, const char *p, size_t len)
{
    while (len && !w->failed) {
        ssize_t n = write(w->fd, p, len);
        if (n < 0 && errno != EINTR)
            w->failed = errno;
        if (n <= 0)
            continue;
        p += n;
        len -= (size_t)n;
    }
}

static void flush(struct gguf_writer *w)
{
    write_all(w, w->out.data, w->out.len);
    buf_reset(&w->out);
}

static void add(struct gguf_writer *w, const void *bytes, size_t len)
{
    if (w->out.len + len > OUT_BYTES)
        flush(w);
    if (len >= OUT_BYTES)
        write_all(w, bytes, len);
    else
        buf_add(&w->out, bytes, len);
}

static void pad(struct gguf_writer *w, uint64_t from)
{
    static const char zeros[GGUF_WRITE_ALIGNMENT];
    add(w, zeros, round_up(from, GGUF_WRITE_ALIGNMENT) - from);
}

/* Close tensors that have all their bytes; more than one when some have none. */
static void advance(struct gguf_writer *w)
{
    while (w->current < w->n_tensors && w->written == w->sizes[w->current]) {
        pad(w, w->written);
        w->written = 0;
        w->current++;
    }
}

int gguf_write_begin(struct gguf_writer *w, struct trit_error *err)
{
    struct buf head = {0};
    gguf_put_head(&head, 3, w->n_tensors, w->n_pairs);
    if (!buf_reserve(&w->out, OUT_BYTES) || head.failed || w->pairs.failed || w->infos.failed) {
        buf_free(&head);
        return trit_fail(err, TRIT_ENOMEM, "%.200s: out of memory", w->path);
    }
    add(w, head.data, head.len);
    add(w, w->pairs.data, w->pairs.len);
    add(w, w->infos.data, w->infos.len);
    pad(w, head.len + w->pairs.len + w->infos.len);
    buf_free(&head);
    advance(w);
    return w->failed ? failure(w, err) : 0;
}

int gguf_write_data(struct gguf_writer *w, const void *bytes, size_t len, struct trit_error *err)
{
    const char *p = bytes;
    while (len) {
        trit_assert(w->current < w->n_tensors);
        size_t part = MIN(len, w->sizes[w->current] - w->written);
        add(w, p, part);
        w->written += part;
        p += part;
        len -= part;
        advance(w);
    }
    return w->failed ? failure(w, err) : 0;
}

int gguf_write_finish(struct gguf_writer *w, struct trit_error *err)
{
    trit_assert(w->current == w->n_tensors);
    flush(w);
    /* The temporary file was private to us; a model is as public as the umask says. */
    mode_t mask = umask(0);
    umask(mask);
    if (!w->failed && (fchmod(w->fd, 0666 & ~mask) != 0 || fsync(w->fd) != 0))
        w->failed = errno;
    if (!w->failed && rename(w->partial, w->path) != 0)
        w->failed = errno;
    if (w->failed)
        return failure(w, err);
    unfinished[0] = '\0';
    mem_free(w->partial);
    w->partial = NULL;
    return 0;
}

void gguf_write_abandon(void)
{
    (void)unlink(unfinished);
}

void gguf_write_close(struct gguf_writer **wp)
{
    struct gguf_writer *w = *wp;
    if (!w)
        return;
    if (w->fd >= 0) {
        close(w->fd);
        if (w->partial)
            unlink(w->partial);
        unfinished[0] = '\0';
    }
    buf_free(&w->pairs);
    buf_free(&w->infos);
    buf_free(&w->out);
    mem_free(w->sizes);
    mem_free(w->path);
    mem_free(w->partial);
    mem_free(w);
    *wp = NULL;
}
