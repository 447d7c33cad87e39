/* SPDX-License-Identifier: MIT */
/*
 * quantize-keys.c - the metadata of what `trit-model quantize` writes: that of the file it read,
 * pair by pair as they lie there, but for what tells of encoding and container; or that of a
 * folder.
 */
#include "config.h"
#include "quantize.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "gguf-write.h"
#include "model/gguf.h"

struct job {
    const struct gguf *g;
    struct gguf_writer *w;
    uint32_t file_type;
    struct trit_error *err;
};

/* A string, which may have any bytes in it. */
static int write_text(struct job *j, const char *key, struct gguf_str s)
{
    struct buf pair = {0};
    gguf_put_key(&pair, key, GGUF_STRING);
    gguf_put_text(&pair, s.data, s.len);
    bool failed = pair.failed;
    if (!failed)
        gguf_write_pair(j->w, pair.data, pair.len);
    buf_free(&pair);
    return failed ? trit_fail(j->err, TRIT_ENOMEM, "%s: out of memory", gguf_path(j->g)) : 0;
}

static int write_texts(struct job *j, const char *key)
{
    struct gguf_strs strings = {0};
    int rc = gguf_strings(j->g, key, &strings, j->err);
    if (rc)
        return rc;
    gguf_write_strings(j->w, key, strings.n);
    for (size_t i = 0; i < strings.n; i++) {
        struct gguf_str s = gguf_str_at(&strings, i);
        gguf_write_element(j->w, s.data, s.len);
    }
    return 0;
}

static int write_numbers(struct job *j, const char *key, enum gguf_type type)
{
    const int32_t *ints;
    const float *floats;
    size_t n;
    int rc = type == GGUF_F32 ? gguf_floats(j->g, key, &floats, &n, j->err)
                              : gguf_ints(j->g, key, &ints, &n, j->err);
    if (rc == 0 && type == GGUF_F32)
        gguf_write_f32s(j->w, key, floats, n);
    else if (rc == 0)
        gguf_write_i32s(j->w, key, ints, n);
    return rc;
}

static int write_uint(struct job *j, const char *key)
{
    uint64_t v = 0;
    int rc = gguf_uint(j->g, key, &v, j->err);
    if (rc == 0 && v > UINT32_MAX)
        rc = trit_fail(j->err, TRIT_EUNSUPP, "%s: %s is %" PRIu64 ", expected at most %" PRIu32,
                       gguf_path(j->g), key, v, UINT32_MAX);
    if (rc == 0)
        gguf_write_u32(j->w, key, (uint32_t)v);
    return rc;
}

/* Of a folder, whose keys lie in no file: in the types that readers of GGUF expect. */
static int make_pair(struct job *j, const char *key, size_t i)
{
    enum gguf_type elem = GGUF_U8;
    size_t count = 0;
    double real = 0;
    bool yes = false;
    struct gguf_str s = {0};
    int rc;
    switch (gguf_type_at(j->g, i, &elem, &count)) {
    case GGUF_BOOL:
        if ((rc = gguf_bool(j->g, key, &yes, j->err)) == 0)
            gguf_write_bool(j->w, key, yes);
        return rc;
    case GGUF_F64:
        if ((rc = gguf_float(j->g, key, &real, j->err)) == 0)
            gguf_write_f32(j->w, key, (float)real);
        return rc;
    case GGUF_STRING:
        rc = gguf_string(j->g, key, &s, j->err);
        return rc ? rc : write_text(j, key, s);
    case GGUF_ARRAY:
        return elem == GGUF_STRING ? write_texts(j, key) : write_numbers(j, key, elem);
    default:
        return write_uint(j, key);
    }
}

static int make_pairs(struct job *j)
{
    int rc = 0;
    for (size_t i = 0; i < gguf_n_keys(j->g) && rc == 0; i++)
        rc = make_pair(j, gguf_key_at(j->g, i), i);
    if (j->file_type)
        gguf_write_u32(j->w, "general.file_type", j->file_type);
    return rc;
}

static int copy_pairs(struct job *j)
{
    struct buf pair = {0};
    int rc = 0;
    for (size_t i = 0; i < gguf_n_keys(j->g) && rc == 0; i++) {
        size_t len = gguf_pair_bytes(j->g, i);
        enum gguf_type elem;
        size_t count;
        const char *key = gguf_key_at(j->g, i);
        if (strcmp(key, "general.file_type") == 0 &&
            gguf_type_at(j->g, i, &elem, &count) == GGUF_U32) {
            if (j->file_type)
                gguf_write_u32(j->w, key, j->file_type);
            continue;
        }
        if (strncmp(key, "split.", 6) == 0) /* What is written is one file. */
            continue;
        /* The writer pads to its own alignment, which the file must then declare. */
        if (strcmp(key, "general.alignment") == 0) {
            gguf_write_u32(j->w, key, GGUF_WRITE_ALIGNMENT);
            continue;
        }
        buf_reset(&pair);
        if (!buf_reserve(&pair, len))
            rc = trit_fail(j->err, TRIT_ENOMEM, "%s: out of memory", gguf_path(j->g));
        else
            rc = gguf_read_pair(j->g, i, pair.data, j->err);
        if (rc == 0)
            gguf_write_pair(j->w, pair.data, len);
    }
    buf_free(&pair);
    return rc;
}

int quantize_keys(const struct gguf *g, struct gguf_writer *w, uint32_t file_type,
                  struct trit_error *err)
{
    struct job j = {g, w, file_type, err};
    return gguf_version(g) ? copy_pairs(&j) : make_pairs(&j);
}
