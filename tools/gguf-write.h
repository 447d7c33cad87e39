/* SPDX-License-Identifier: MIT */
/*
 * gguf-write.h - writes GGUF files, version 3: for trit-model, and for tests that need odd ones.
 *
 * Two layers.  The gguf_put_... functions append one element of the format to a buffer and check
 * nothing, so that a test can build any file it likes.  The writer on top of them makes valid
 * files: metadata first, then the directory, then the data of each tensor in the order declared, as
 * a stream; memory is needed for the head only.
 *
 * A file is written under a temporary name beside its place and renamed when it is whole.  Whoever
 * may be ended by a signal calls gguf_write_abandon then.
 */
#ifndef TRIT_GGUF_WRITE_H
#define TRIT_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/gguf.h"

struct trit_error;

enum { GGUF_WRITE_ALIGNMENT = 32 };

void gguf_put_u32(struct buf *b, uint32_t v);
void gguf_put_u64(struct buf *b, uint64_t v);
void gguf_put_text(struct buf *b, const void *bytes, size_t len); /* length, then bytes */
void gguf_put_head(struct buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_pairs);
void gguf_put_key(struct buf *b, const char *key, enum gguf_type type);
void gguf_put_array(struct buf *b, const char *key, enum gguf_type elem, uint64_t count);
void gguf_put_tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *ne,
                     uint32_t type, uint64_t offset);

struct gguf_writer {
    char *path, *partial; /* the file's name, and while it is not whole */
    int fd;
    struct buf pairs, infos;
    uint64_t n_pairs, n_tensors;
    uint64_t *sizes; /* bytes of each tensor */
    size_t sizes_cap;
    uint64_t next_offset; /* of the next tensor declared */
    size_t current;       /* the tensor that is being written, and how much of it was */
    uint64_t written;
    struct buf out; /* collects small writes */
    int failed;     /* the first error of a write, as errno */
};

/* Gives *w, which the caller closes.  The file appears only with gguf_write_finish. */
int gguf_write_open(const char *path, struct gguf_writer **w, struct trit_error *err);

/* Metadata, in any number, before gguf_write_begin.  A lack of memory is reported there. */
void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_write_f32(struct gguf_writer *w, const char *key, float v);
void gguf_write_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_write_string(struct gguf_writer *w, const char *key, const char *s);
void gguf_write_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_write_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
void gguf_write_strings(struct gguf_writer *w, const char *key, size_t n); /* then n elements: */
void gguf_write_element(struct gguf_writer *w, const char *s, size_t len);

/* A pair in the bytes of the format, as another file holds it. */
void gguf_write_pair(struct gguf_writer *w, const void *bytes, size_t len);

/* Declare the next tensor; its offset follows from those before. */
void gguf_write_tensor(struct gguf_writer *w, const char *name, uint32_t n_dims, const uint64_t *ne,
                       uint32_t type, uint64_t bytes);

/* Write the head; afterwards the bytes of every tensor in order, in pieces of any length. */
int gguf_write_begin(struct gguf_writer *w, struct trit_error *err);
int gguf_write_data(struct gguf_writer *w, const void *bytes, size_t len, struct trit_error *err);

/* Every tensor must be complete, asserted.  The file is flushed to disk and takes its name. */
int gguf_write_finish(struct gguf_writer *w, struct trit_error *err);

/* Takes NULL; an unfinished file is removed. */
void gguf_write_close(struct gguf_writer **w);

/* Remove the unfinished file of the writer that was opened last, if any.  For handlers of signals,
 * in any thread; no writer is of use afterwards. */
void gguf_write_abandon(void);

#endif
