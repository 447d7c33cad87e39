/* SPDX-License-Identifier: MIT */
/*
 * gguf.h - the GGUF container, versions 2 and 3: metadata and a directory of tensors.
 *
 * The file is hostile until proven otherwise.  gguf_open checks everything that can be checked
 * without knowing the model: bounds and overflow of every count and length before any allocation,
 * duplicate keys and names, types, alignment, that every tensor lies inside the file and that no
 * two overlap.  Afterwards every view handed out is in bounds.
 *
 * The file is read with pread, never mapped: one that is truncated or replaced while we read gives
 * an error, not SIGBUS.
 *
 * Its keys and tensor names are also the vocabulary in which tritd speaks of models: a folder of
 * Hugging Face files is opened as the same struct (model/hf.h), with several files behind it.
 *
 * Not here: what the keys mean (model/model.h), how values are encoded (model/quant.h).
 * A model in several files (NAME-00001-of-00003.gguf) is opened by its first one and is one view.
 *
 * Format: ggml docs/gguf.md; big-endian files are refused by name.
 */
#ifndef TRIT_GGUF_H
#define TRIT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

struct gguf;
struct trit_error;
struct quant_info;
struct quant_tiles;

enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

/* Borrowed bytes inside the gguf object; valid until gguf_close.  Not NUL-terminated. */
struct gguf_str {
    const char *data;
    size_t len;
};

/* An array of strings, borrowed likewise. */
struct gguf_strs {
    const char *bytes;    /* end to end */
    const uint32_t *ends; /* [n]; string i ends before bytes + ends[i] */
    size_t n;
};

struct gguf_tensor {
    const char *name;               /* NUL-terminated, no control characters, <= 127 bytes */
    const char *origin;             /* its name in the file, where that is not GGUF; else name */
    const struct quant_info *quant; /* NULL for a type tritd does not know */
    uint32_t type;                  /* as in the file */
    uint32_t n_dims;
    uint64_t ne[4]; /* ne[0] = row length (inputs); all >= 1 */
    uint64_t offset;
    uint64_t bytes; /* 0 when the type is unknown */
    const struct quant_tiles *tiles; /* of TL1 and TL2, once gguf_read_as has been told; or NULL */
};

/* Gives *g.  -TRIT_ENOENT, -TRIT_EIO, -TRIT_EFORMAT, -TRIT_EUNSUPP or -TRIT_ENOMEM with *err. */
int gguf_open(const char *path, struct gguf **g, struct trit_error *err);
void gguf_close(struct gguf **g);

/*
 * What some files leave open and their owner knows: which arrangement their I2_S has (a type of
 * quant.h; 0: that of all published files), and the tiles of TL1 and TL2.  To be said while no
 * tensor is being read; said again, it replaces what it says something about.  -TRIT_EINVAL where
 * the file has nothing that it concerns, -TRIT_EFORMAT where a tensor cannot be what it says.
 */
struct gguf_reading {
    uint32_t i2s;
    const struct quant_tiles *tiles; /* of shapes of their own before those of any; copied */
    size_t n_tiles;
};
int gguf_read_as(struct gguf *g, const struct gguf_reading *r, struct trit_error *err);

/* A sum over what was said and over which tensors it is true of, equal for two views of a file
 * exactly when these are; 0: the file itself tells how it is read. */
uint64_t gguf_reading_sum(const struct gguf *g);

const char *gguf_path(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g);
int gguf_fd(const struct gguf *g); /* borrowed, read-only; -1: there are several */
uint32_t gguf_version(const struct gguf *g); /* 0: not from a GGUF file */

/* The files that were read, at least one: a borrowed, read-only descriptor, and *path. */
size_t gguf_n_files(const struct gguf *g);
int gguf_file_at(const struct gguf *g, size_t i, const char **path);

/*
 * Typed getters.  Absent key: -TRIT_ENOENT, *out untouched and, when err is not NULL, the key
 * named.  Present with another type: -TRIT_EFORMAT, naming key, found and expected type.  gguf_uint
 * accepts every integer type that holds a value >= 0; gguf_float accepts f32 and f64 and refuses
 * NaN and infinity; gguf_string refuses invalid UTF-8.
 */
bool gguf_has(const struct gguf *g, const char *key);
int gguf_uint(const struct gguf *g, const char *key, uint64_t *out, struct trit_error *err);
int gguf_float(const struct gguf *g, const char *key, double *out, struct trit_error *err);
int gguf_bool(const struct gguf *g, const char *key, bool *out, struct trit_error *err);
int gguf_string(const struct gguf *g, const char *key, struct gguf_str *out,
                struct trit_error *err);

/* Arrays. */
int gguf_strings(const struct gguf *g, const char *key, struct gguf_strs *out,
                 struct trit_error *err);

/* i < s->n, asserted */
static inline struct gguf_str gguf_str_at(const struct gguf_strs *s, size_t i)
{
    trit_assert(i < s->n);
    uint32_t start = i ? s->ends[i - 1] : 0;
    return (struct gguf_str){s->bytes + start, s->ends[i] - start};
}

int gguf_ints(const struct gguf *g, const char *key, const int32_t **out, size_t *count,
              struct trit_error *err); /* i32 or u32 elements */
int gguf_floats(const struct gguf *g, const char *key, const float **out, size_t *count,
                struct trit_error *err);

/* Keys in file order, for trit-model inspect.  value is printed, arrays and long strings cut
 * short. */
size_t gguf_n_keys(const struct gguf *g);
const char *gguf_key_at(const struct gguf *g, size_t i);
void gguf_print_value(const struct gguf *g, size_t i, char *dst, size_t cap);

/*
 * For tools that translate or copy a file.  type_at: the type of pair i; for GGUF_ARRAY *elem and
 * *count tell what it holds.  pair_bytes and read_pair: key, type and value as they lie in the
 * file.
 */
enum gguf_type gguf_type_at(const struct gguf *g, size_t i, enum gguf_type *elem, size_t *count);
size_t gguf_pair_bytes(const struct gguf *g, size_t i);
int gguf_read_pair(const struct gguf *g, size_t i, void *dst, struct trit_error *err);

/* Tensors in file order, and by name (NULL when absent). */
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name);

/* Read [offset, offset + len) of a tensor's bytes.  The range must lie inside (asserted). */
int gguf_read(const struct gguf *g, const struct gguf_tensor *t, uint64_t offset, void *dst,
              size_t len, struct trit_error *err);

#endif
