/* SPDX-License-Identifier: MIT */
/*
 * gguf-private.h - a GGUF file in memory, shared by the bodies of model/gguf.h: the checks of the
 * head (gguf.c), the cursor that feeds them (gguf-cursor.c) and the views (gguf-get.c).
 */
#ifndef TRIT_GGUF_PRIVATE_H
#define TRIT_GGUF_PRIVATE_H

#include "model/gguf.h"

#include "base/base.h"

enum {
    GGUF_NAME_MAX = 127,        /* bytes of a tensor's name */
    GGUF_STRING_MAX = 16 << 20, /* bytes of a string in the metadata */
    GGUF_WINDOW_BYTES = 65536,  /* read from the file at a time */
};

/* One key and its value. */
struct gguf_pair {
    char *key;
    uint64_t offset;     /* in the file */
    enum gguf_type type; /* of the value; of the elements where `array` */
    bool array;
    uint64_t count;  /* elements of an array, bytes of a string */
    uint64_t scalar; /* the value's bits, zero-extended */
    char *bytes;     /* a string, an array's numbers, or the texts of its strings end to end */
    uint32_t *ends;  /* arrays of strings: where the i-th text ends in bytes */
};

struct gguf_entry {
    struct gguf_tensor t; /* t.name points at name */
    char name[GGUF_NAME_MAX + 1];
};

struct gguf {
    char *path;
    int fd;
    uint64_t file_bytes;
    uint32_t version;
    size_t n_pairs, n_tensors;
    struct gguf_pair *pairs;
    struct gguf_entry *tensors;
    uint32_t *by_key, *by_name; /* indices in order of strcmp, for binary search */
    uint64_t pairs_end;         /* file offset behind the last pair */
    uint64_t data_start;
};

/* Like trit_fail, with the file's name in front; of a long path the end is shown. */
int gguf_fail(const struct gguf *g, struct trit_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key);

/* "u8", "string"; bytes of a number, 0 for strings and arrays. */
const char *gguf_type_name(enum gguf_type type);
size_t gguf_type_bytes(enum gguf_type type);

/* pread until all is there.  -TRIT_EIO, also at the end of the file, with errno 0 then. */
int gguf_pread(const struct gguf *g, uint64_t offset, void *dst, size_t len);

/* The bytes of the head, in order.  what, index and name say what is being read. */
struct cursor {
    struct gguf *g;
    struct trit_error *err;
    uint64_t pos;
    const char *what; /* "key", "tensor", or NULL in the header */
    size_t index;
    const char *name; /* once it is known and checked */
    uint64_t window_pos;
    size_t window_len;
    uint8_t window[GGUF_WINDOW_BYTES];
};

/* gguf_fail with the place in front. */
int cursor_bad(const struct cursor *c, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int cursor_no_memory(const struct cursor *c);

uint64_t cursor_left(const struct cursor *c);

/* The next n bytes; refused, like all that follows, when the file ends before. */
int cursor_take(struct cursor *c, void *dst, uint64_t n);
int cursor_u32(struct cursor *c, uint32_t *v);
int cursor_u64(struct cursor *c, uint64_t *v);

/* The length of a string, at most max, and that so many bytes are there. */
int cursor_length(struct cursor *c, uint64_t max, uint64_t *len);

/* A string with a NUL behind it, for the caller to free. */
int cursor_string(struct cursor *c, uint64_t max, char **s, uint64_t *len);

/* Once all tensors are known, and where the data begins: which of the two encodings with the id of
 * Q2_0 this file has. */
int gguf_settle_widths(struct cursor *c, uint32_t alignment);

#endif
