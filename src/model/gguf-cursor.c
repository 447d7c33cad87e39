/* SPDX-License-Identifier: MIT */
/*
 * gguf-cursor.c - the bytes of a GGUF file's head, one after the other, and how to refuse them.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

__attribute__((format(printf, 4, 0))) static int fail_at(const char *path, struct trit_error *err,
                                                         int code, const char *fmt, va_list ap)
{
    enum { SHOWN = 160 };
    char text[300];
    vsnprintf(text, sizeof text, fmt, ap);
    size_t len = strlen(path);
    const char *dots = len > SHOWN ? "..." : "";
    return trit_fail(err, code, "%s%s: %s", dots, path + (len > SHOWN ? len - SHOWN : 0), text);
}

int gguf_fail_at(const char *path, struct trit_error *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail_at(path, err, code, fmt, ap);
    va_end(ap);
    return rc;
}

int gguf_fail(const struct gguf *g, struct trit_error *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail_at(g->path, err, code, fmt, ap);
    va_end(ap);
    return rc;
}

int cursor_bad(const struct cursor *c, int code, const char *fmt, ...)
{
    char text[220];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!c->what)
        return gguf_fail(c->g, c->err, code, "%s", text);
    if (!c->name)
        return gguf_fail(c->g, c->err, code, "%s %zu: %s", c->what, c->index, text);
    return gguf_fail(c->g, c->err, code, "%s %.*s: %s", c->what, GGUF_NAME_MAX, c->name, text);
}

int cursor_no_memory(const struct cursor *c)
{
    return cursor_bad(c, TRIT_ENOMEM, "out of memory");
}

int gguf_pread(int fd, uint64_t offset, void *dst, size_t len)
{
    char *p = dst;
    while (len) {
        /* Linux moves at most 2 GiB at a time; a smaller request leaves nothing to chance. */
        ssize_t n = pread(fd, p, MIN(len, (size_t)1 << 30), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? 0 : errno;
            return -TRIT_EIO;
        }
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

uint64_t cursor_left(const struct cursor *c)
{
    return c->g->file_bytes - c->pos;
}

static int unreadable(const struct cursor *c)
{
    return cursor_bad(c, TRIT_EIO, "cannot read at byte %" PRIu64 ": %s", c->pos,
                      errno ? strerror(errno) : "the file became shorter");
}

/* Bytes that are all in the window, and so in the file, as nearly all of the 400,000 pieces are
 * that a vocabulary with its merges has. */
static inline bool take_near(struct cursor *c, void *dst, uint64_t n)
{
    uint64_t at = c->pos - c->window_pos;
    if (at >= c->window_len || n > c->window_len - at)
        return false;
    memcpy(dst, c->window + at, n);
    c->pos += n;
    return true;
}

/* Small pieces come through the window; a large one takes what the window still has and then goes
 * straight to its place. */
int cursor_take(struct cursor *c, void *dst, uint64_t n)
{
    if (take_near(c, dst, n))
        return 0;
    if (n > cursor_left(c))
        return cursor_bad(c, TRIT_EFORMAT,
                          "the file ends at byte %" PRIu64 ", but %" PRIu64
                          " bytes are expected at byte %" PRIu64,
                          c->g->file_bytes, n, c->pos);
    while (n) {
        size_t at = c->pos - c->window_pos;
        if (at >= c->window_len && n >= GGUF_WINDOW_BYTES) {
            if (gguf_pread(c->g->fd, c->pos, dst, n) != 0)
                return unreadable(c);
            c->pos += n;
            return 0;
        }
        if (at >= c->window_len) {
            c->window_len = 0;
            size_t len = MIN(cursor_left(c), (uint64_t)GGUF_WINDOW_BYTES);
            if (gguf_pread(c->g->fd, c->pos, c->window, len) != 0)
                return unreadable(c);
            c->window_pos = c->pos;
            c->window_len = len;
            at = 0;
        }
        size_t part = MIN(n, c->window_len - at);
        memcpy(dst, c->window + at, part);
        dst = (char *)dst + part;
        c->pos += part;
        n -= part;
    }
    return 0;
}

int cursor_u32(struct cursor *c, uint32_t *v)
{
    return cursor_take(c, v, sizeof *v);
}

int cursor_u64(struct cursor *c, uint64_t *v)
{
    return take_near(c, v, sizeof *v) ? 0 : cursor_take(c, v, sizeof *v);
}

int cursor_length(struct cursor *c, uint64_t max, uint64_t *len)
{
    int rc = cursor_u64(c, len);
    if (rc)
        return rc;
    if (*len > max)
        return cursor_bad(c, TRIT_EFORMAT, "string of %" PRIu64 " bytes, expected at most %" PRIu64,
                          *len, max);
    if (*len > cursor_left(c))
        return cursor_bad(c, TRIT_EFORMAT,
                          "string of %" PRIu64 " bytes, but only %" PRIu64 " are left", *len,
                          cursor_left(c));
    return 0;
}

int cursor_string(struct cursor *c, uint64_t max, char **s, uint64_t *len)
{
    int rc = cursor_length(c, max, len);
    if (rc)
        return rc;
    char *copy = mem_zalloc(*len + 1, 1);
    if (!copy)
        return cursor_no_memory(c);
    rc = cursor_take(c, copy, *len);
    if (rc)
        mem_free(copy);
    else
        *s = copy;
    return rc;
}
