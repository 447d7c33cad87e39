/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growable run of bytes, for texts that are built piece by piece.
 *
 * A buffer that could not grow remembers it in `failed` and ignores what follows, so a writer makes
 * twenty calls and asks once.  data is always NUL-terminated when it is not NULL; embedded NULs are
 * allowed, len tells the truth.  A zeroed struct is an empty buffer.
 */
#ifndef TRIT_BUF_H
#define TRIT_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Make room for `extra` bytes beyond len; false (and failed) when there is no memory. */
bool buf_reserve(struct buf *b, size_t extra);

/* Drop the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

/* Forget the contents, keep the memory. */
void buf_reset(struct buf *b);

/* Gives the bytes to the caller (mem_free) and leaves *b empty.  NULL if the buffer failed. */
char *buf_take(struct buf *b, size_t *len);

void buf_free(struct buf *b);

#endif
