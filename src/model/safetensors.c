/* SPDX-License-Identifier: MIT */
/*
 * safetensors.c - reads and checks the directory of a safetensors file.
 *
 * File: u64 length of the directory, the directory, the tensors' bytes.  The directory is an object
 * of "name": {"dtype", "shape", "data_offsets"}, offsets counted from its own end, and a
 * "__metadata__" of texts that mean nothing to us.
 */
#include "config.h"
#include "model/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/jsontext.h"
#include "base/mem.h"
#include "model/gguf-private.h"

enum {
    LENGTH_BYTES = 8,
    VALUES_MAX = 16 * SAFETENSORS_MAX, /* of JSON: nine for a matrix, one for each metadatum */
};

static const struct {
    const char *name;
    unsigned bytes;
} dtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
    {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
    {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8},
};

struct reader {
    const char *path;
    struct trit_error *err;
    uint64_t data, data_bytes; /* where the tensors' bytes begin, and how many there are */
    struct safetensors_entry *list;
    size_t n, cap;
};

/* ------------------------------------------------------------------ one tensor */

static int bad(const struct reader *r, const struct safetensors_entry *e, const char *what)
{
    return gguf_fail_at(r->path, r->err, TRIT_EFORMAT, "tensor %s: %s", e->name, what);
}

static int take_name(const struct reader *r, struct jsontext key, struct safetensors_entry *e)
{
    struct buf name = {0};
    jsontext_string(key, &name);
    int rc = 0;
    if (name.failed)
        rc = gguf_fail_at(r->path, r->err, TRIT_ENOMEM, "out of memory");
    else if (name.len == 0 || name.len > SAFETENSORS_NAME_MAX)
        rc = gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                          "tensor %zu: a name of %zu bytes, expected 1 to %d", r->n, name.len,
                          SAFETENSORS_NAME_MAX);
    for (size_t i = 0; rc == 0 && i < name.len; i++)
        if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
            rc = gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                              "tensor %zu: control character 0x%02x in the name, expected text",
                              r->n, (unsigned char)name.data[i]);
    if (rc == 0)
        memcpy(e->name, name.data, name.len + 1);
    buf_free(&name);
    return rc;
}

static int take_dtype(const struct reader *r, struct jsontext v, struct safetensors_entry *e,
                      uint64_t *bytes)
{
    if (jsontext_kind(v) != JSONTEXT_STRING)
        return bad(r, e, "its dtype is missing or no string");
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
        if (jsontext_is(v, dtypes[i].name)) {
            e->dtype = dtypes[i].name;
            *bytes = dtypes[i].bytes;
            return 0;
        }
    return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                        "tensor %s: dtype %.*s, expected one of BOOL, U8, I8, F8_E4M3, F8_E5M2, "
                        "I16, U16, F16, BF16, I32, U32, F32, I64, U64, F64",
                        e->name, (int)MIN(v.len, (size_t)20), v.at);
}

/* Multiplies *bytes up to those of the tensor. */
static int take_shape(const struct reader *r, struct jsontext v, struct safetensors_entry *e,
                      uint64_t *bytes)
{
    struct jsontext none, ne;
    if (jsontext_kind(v) != JSONTEXT_ARRAY)
        return bad(r, e, "its shape is missing or no array");
    for (struct jsontext_walk w = jsontext_begin(v); jsontext_next(&w, &none, &ne);) {
        if (e->n_dims == SAFETENSORS_DIMS_MAX)
            return bad(r, e, "more than 4 dimensions");
        uint64_t *dim = &e->shape[e->n_dims++];
        if (!jsontext_uint(ne, dim) || *dim == 0)
            return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                                "tensor %s: dimension %.*s, expected a number of 1 or more",
                                e->name, (int)MIN(ne.len, (size_t)30), ne.at);
        if (__builtin_mul_overflow(*bytes, *dim, bytes) || *bytes > INT64_MAX)
            return bad(r, e, "more bytes than a 64-bit number counts");
    }
    return 0;
}

static int take_range(const struct reader *r, struct jsontext v, struct safetensors_entry *e)
{
    struct jsontext none, at[3];
    size_t n = 0;
    uint64_t begin, end;
    if (jsontext_kind(v) != JSONTEXT_ARRAY)
        return bad(r, e, "its data_offsets are missing or no array");
    for (struct jsontext_walk w = jsontext_begin(v); n < 3 && jsontext_next(&w, &none, &at[n]);)
        n++;
    if (n != 2 || !jsontext_uint(at[0], &begin) || !jsontext_uint(at[1], &end) || end < begin)
        return bad(r, e, "its data_offsets are not two numbers in order");
    if (end > r->data_bytes)
        return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                            "tensor %s: ends at byte %" PRIu64
                            " of the data, which has only %" PRIu64 " (a download cut short?)",
                            e->name, end, r->data_bytes);
    e->start = r->data + begin;
    e->bytes = end - begin;
    return 0;
}

/* The members of a tensor that there are, each once. */
static int split(const struct reader *r, struct jsontext v, const struct safetensors_entry *e,
                 struct jsontext part[3])
{
    static const char *const names[] = {"dtype", "shape", "data_offsets"};
    struct jsontext key, value;
    for (size_t i = 0; i < 3; i++)
        part[i] = (struct jsontext){"null", 4};
    if (jsontext_kind(v) != JSONTEXT_OBJECT)
        return bad(r, e, "no object");
    for (struct jsontext_walk w = jsontext_begin(v); jsontext_next(&w, &key, &value);) {
        size_t i = 0;
        while (i < 3 && !jsontext_is(key, names[i]))
            i++;
        if (i == 3)
            return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                                "tensor %s: member %.*s, expected dtype, shape and data_offsets",
                                e->name, (int)MIN(key.len, (size_t)40), key.at);
        if (*part[i].at != 'n')
            return gguf_fail_at(r->path, r->err, TRIT_EFORMAT, "tensor %s: %s stands twice",
                                e->name, names[i]);
        part[i] = value;
    }
    return 0;
}

static int take_tensor(struct reader *r, struct jsontext key, struct jsontext v)
{
    if (r->n == r->cap) {
        size_t cap = MAX(2 * r->cap, (size_t)64);
        void *list = r->n < SAFETENSORS_MAX ? mem_resize(r->list, cap, sizeof *r->list) : NULL;
        if (!list)
            return r->n < SAFETENSORS_MAX
                       ? gguf_fail_at(r->path, r->err, TRIT_ENOMEM, "out of memory")
                       : gguf_fail_at(r->path, r->err, TRIT_EFORMAT, "more than %d tensors",
                                      SAFETENSORS_MAX);
        r->list = list;
        r->cap = cap;
    }
    struct safetensors_entry *e = &r->list[r->n];
    struct jsontext part[3];
    uint64_t bytes = 0;
    *e = (struct safetensors_entry){.dtype = NULL};
    int rc = take_name(r, key, e);
    if (rc || (rc = split(r, v, e, part)) || (rc = take_dtype(r, part[0], e, &bytes)) ||
        (rc = take_shape(r, part[1], e, &bytes)) || (rc = take_range(r, part[2], e)))
        return rc;
    if (bytes != e->bytes)
        return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                            "tensor %s: its range has %" PRIu64 " bytes, expected %" PRIu64
                            " by its dtype and shape",
                            e->name, e->bytes, bytes);
    r->n++;
    return 0;
}

/* ------------------------------------------------------------------ all of them */

static int by_place(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const struct reader *r)
{
    const char **names = mem_zalloc(r->n, sizeof *names);
    if (!names)
        return gguf_fail_at(r->path, r->err, TRIT_ENOMEM, "out of memory");
    for (size_t i = 0; i < r->n; i++)
        names[i] = r->list[i].name;
    qsort(names, r->n, sizeof *names, by_name);
    int rc = 0;
    for (size_t i = 1; i < r->n && rc == 0; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                              "tensor %s: found twice, expected once", names[i]);
    mem_free(names);
    return rc;
}

/* End to end, nothing between, nothing behind. */
static int check_places(const struct reader *r)
{
    uint64_t end = r->data;
    for (size_t i = 0; i < r->n; i++) {
        const struct safetensors_entry *e = &r->list[i];
        if (e->start != end)
            return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                                "tensor %s: begins at byte %" PRIu64
                                " of the data, expected %" PRIu64 ", where the one before it ends",
                                e->name, e->start - r->data, end - r->data);
        end += e->bytes;
    }
    if (end != r->data + r->data_bytes)
        return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                            "%" PRIu64 " bytes of data, expected %" PRIu64
                            ", where the last tensor ends",
                            r->data_bytes, end - r->data);
    return 0;
}

static int read_directory(struct reader *r, const char *text, size_t len)
{
    struct trit_error why = {0};
    struct jsontext key, value;
    bool metadata = false;
    if (jsontext_check(text, len, VALUES_MAX, &why) != 0)
        return gguf_fail_at(r->path, r->err, TRIT_EFORMAT, "directory: %s", why.text);
    struct jsontext doc = jsontext_document(text, len);
    if (jsontext_kind(doc) != JSONTEXT_OBJECT)
        return gguf_fail_at(r->path, r->err, TRIT_EFORMAT,
                            "directory: found %s, expected an object",
                            jsontext_kind_name(jsontext_kind(doc)));
    for (struct jsontext_walk w = jsontext_begin(doc); jsontext_next(&w, &key, &value);) {
        bool is_metadata = jsontext_is(key, "__metadata__");
        int rc = is_metadata ? 0 : take_tensor(r, key, value);
        if (is_metadata && metadata)
            rc = gguf_fail_at(r->path, r->err, TRIT_EFORMAT, "__metadata__ stands twice");
        if (rc)
            return rc;
        metadata = metadata || is_metadata;
    }
    if (r->n == 0)
        return gguf_fail_at(r->path, r->err, TRIT_EFORMAT, "no tensors");
    qsort(r->list, r->n, sizeof *r->list, by_place);
    int rc = check_names(r);
    return rc ? rc : check_places(r);
}

/* These are the files people have by accident. */
static const char *hint(const uint8_t *head)
{
    if (memcmp(head, "version ", 8) == 0)
        return "; it looks like a git-lfs pointer: fetch the file itself";
    if (head[0] == '<')
        return "; it looks like a web page: the download went wrong";
    if (memcmp(head, "PK\003\004", 4) == 0 || head[0] == 0x80)
        return "; it looks like a file of PyTorch: convert it to safetensors";
    return "";
}

int safetensors_read(int fd, const char *path, uint64_t file_bytes, struct safetensors_entry **list,
                     size_t *n, struct trit_error *err)
{
    struct reader r = {.path = path, .err = err};
    uint8_t head[LENGTH_BYTES];
    uint64_t len = 0;
    int rc;
    *list = NULL;
    *n = 0;
    if (file_bytes < LENGTH_BYTES)
        return gguf_fail_at(path, err, TRIT_EFORMAT,
                            "%" PRIu64 " bytes, expected a safetensors file", file_bytes);
    if (gguf_pread(fd, 0, head, sizeof head) != 0)
        return gguf_fail_at(path, err, TRIT_EIO, "cannot read: %s",
                            errno ? strerror(errno) : "the file became shorter");
    for (int i = LENGTH_BYTES; i-- > 0;)
        len = len << 8 | head[i];
    if (len > SAFETENSORS_HEAD_MAX)
        return gguf_fail_at(path, err, TRIT_EFORMAT,
                            "a directory of %" PRIu64 " bytes, expected at most %d%s", len,
                            SAFETENSORS_HEAD_MAX, hint(head));
    if (len > file_bytes - LENGTH_BYTES)
        return gguf_fail_at(path, err, TRIT_EFORMAT,
                            "a directory of %" PRIu64 " bytes, but only %" PRIu64
                            " are left (a download cut short?)",
                            len, file_bytes - LENGTH_BYTES);
    r.data = LENGTH_BYTES + len;
    r.data_bytes = file_bytes - r.data;
    char *text = mem_zalloc(len + 1, 1);
    if (!text)
        return gguf_fail_at(path, err, TRIT_ENOMEM, "no memory for the directory");
    if (gguf_pread(fd, LENGTH_BYTES, text, len) != 0)
        rc = gguf_fail_at(path, err, TRIT_EIO, "cannot read the directory: %s",
                          errno ? strerror(errno) : "the file became shorter");
    else
        rc = read_directory(&r, text, len);
    mem_free(text);
    if (rc) {
        mem_free(r.list);
        return rc;
    }
    *list = r.list;
    *n = r.n;
    return 0;
}
