/* SPDX-License-Identifier: MIT */
/*
 * gguf-private.h - a GGUF file in memory, shared by the bodies of model/gguf.h: the checks of the
 * head (gguf.c, gguf-pairs.c), the cursor that feeds them (gguf-cursor.c), the views (gguf-get.c).
 * A view need not be of a GGUF file: gguf_make begins an empty one, which hf.c fills with keys and
 * tensors under the names that GGUF has for them.
 */
#ifndef TRIT_GGUF_PRIVATE_H
#define TRIT_GGUF_PRIVATE_H

#include "model/gguf.h"

#include "base/base.h"

enum {
    GGUF_NAME_MAX = 127,        /* bytes of a tensor's name */
    GGUF_STRING_MAX = 16 << 20, /* bytes of a string in the metadata */
    GGUF_ELEMENTS_MAX = 1 << 24, /* of an array */
    GGUF_TEXTS_MAX = 1 << 30,    /* bytes of all strings of an array */
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
    struct gguf_tensor t; /* first; t.name points at name */
    char name[GGUF_NAME_MAX + 1];
    char *origin; /* t.origin, where that is another */
    int fd;
    uint64_t start; /* of its bytes in the file */
};

/* A file of a view of several. */
struct gguf_file {
    char *path;
    int fd;
};

struct gguf {
    char *path; /* of the file, or of the folder */
    int fd;     /* of several parts the first; -1 of a folder */
    uint64_t file_bytes;
    uint32_t version; /* 0 of a folder */
    struct gguf_file *files; /* of a folder, or of a model in parts; they own the descriptors */
    size_t n_files;
    size_t n_pairs, n_tensors;
    struct gguf_pair *pairs;
    struct gguf_entry *tensors;
    uint32_t *by_key, *by_name; /* indices in order of strcmp, for binary search */
    struct quant_tiles *tiles; /* that tensors point at */
    uint64_t pairs_end;         /* file offset behind the last pair */
    uint64_t data_start;
    size_t cap_pairs, cap_tensors; /* while gguf-make.c fills it */
    bool failed;                   /* it had no memory */
    uint8_t *view; /* gguf-view.c: where keys and values lie, in place of memory of their own */
    size_t view_bytes;
};

/* Like trit_fail, with the file's name in front; of a long path the end is shown. */
int gguf_fail(const struct gguf *g, struct trit_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with any file's name. */
int gguf_fail_at(const char *path, struct trit_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key);

/* "u8", "string"; bytes of a number, 0 for strings and arrays. */
const char *gguf_type_name(enum gguf_type type);
size_t gguf_type_bytes(enum gguf_type type);

/* pread until all is there.  -TRIT_EIO, also at the end of the file, with errno 0 then. */
int gguf_pread(int fd, uint64_t offset, void *dst, size_t len);

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

/* The pairs, of which there are g->n_pairs (gguf-pairs.c); and what the container itself means by
 * them: alignment. */
int gguf_read_pairs(struct cursor *c);
int gguf_read_layout(struct cursor *c, uint32_t *alignment);

/* Sort keys, or tensors, and refuse what is there twice. */
int gguf_index_keys(struct cursor *c);
int gguf_index_tensors(struct cursor *c);

/* One file, whether or not there are more of the model; and, of the first of several, to take the
 * others in (gguf-split.c).  After an error *g is to be closed. */
int gguf_open_part(const char *path, struct gguf **g, struct trit_error *err);
int gguf_join_parts(struct gguf *g, struct trit_error *err);

/* Whether a path is that of another part of the model whose first one is called so. */
bool gguf_is_part(const char *first, const char *path);

/* Make of the first part's path that of part `no`, from 2 on.  false: it is no first part's. */
bool gguf_name_part(char *path, unsigned no);

/* Once all tensors are known, and where the data begins: which of the two encodings with the id of
 * Q2_0 this file has. */
int gguf_settle_widths(struct cursor *c, uint32_t alignment);

/* Once all parts are there: planes of bits, which are stored as I8. */
int gguf_settle_planes(struct gguf *g, struct trit_error *err);

/*
 * Making a view of other files (gguf-make.c).  Values are copied.  What finds no memory is
 * remembered and ignores what follows; gguf_make_done tells.  Names are checked by the caller, but
 * may be there twice.
 */
int gguf_make(const char *path, struct gguf **g, struct trit_error *err);
void gguf_make_uint(struct gguf *g, const char *key, uint64_t v);
void gguf_make_float(struct gguf *g, const char *key, double v);
void gguf_make_bool(struct gguf *g, const char *key, bool v);
void gguf_make_string(struct gguf *g, const char *key, const char *s, size_t len);
void gguf_make_ints(struct gguf *g, const char *key, const int32_t *v, size_t n);
void gguf_make_floats(struct gguf *g, const char *key, const float *v, size_t n);

/* Strings end to end, at most UINT32_MAX bytes; *bytes and *ends are taken, also on failure. */
void gguf_make_strings(struct gguf *g, const char *key, char *bytes, uint32_t *ends, size_t n);

/* name and origin are at most GGUF_NAME_MAX bytes, asserted; the bytes begin at `start` of fd. */
void gguf_make_tensor(struct gguf *g, const struct gguf_tensor *t, const char *origin, int fd,
                      uint64_t start);

/* The view owns the file from now on; false (and it does not): no memory. */
bool gguf_make_file(struct gguf *g, const char *path, int fd, uint64_t bytes);

/* Sort and check.  -TRIT_ENOMEM; -TRIT_EFORMAT where a name stands twice. */
int gguf_make_done(struct gguf *g, struct trit_error *err);

/*
 * A view as bytes, from the process that has read the files to the one that uses them
 * (gguf-view.c).  bytes: how many there will be; write fills dst, which is at a multiple of 8.
 */
size_t gguf_view_bytes(const struct gguf *g);
void gguf_view_write(const struct gguf *g, uint8_t *dst);

/*
 * The way back, for bytes that are not to be believed: what gguf.h promises of an open file holds
 * of the result, or it is refused.  path: what was read, and files[n], taken when it succeeds, what
 * it was read from, with the bytes of each.  at[len] is a mapping, taken likewise.
 */
struct gguf_view_file {
    char *path;
    int fd;
    uint64_t bytes;
};
int gguf_view_read(uint8_t *at, size_t len, const char *path, struct gguf_view_file *files,
                   size_t n, struct gguf **g, struct trit_error *err);

#endif
