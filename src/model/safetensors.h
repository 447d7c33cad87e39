/* SPDX-License-Identifier: MIT */
/*
 * safetensors.h - the safetensors container: a directory of tensors, as JSON, and their bytes.
 *
 * The file is hostile until proven otherwise: the directory is capped and strictly JSON; every
 * tensor has a known type, a shape whose bytes are those of its range; the ranges lie end to end
 * from the first byte behind the directory to the last of the file, without a gap and without an
 * overlap.
 *
 * Source: huggingface/safetensors, README and safetensors/src/tensor.rs.
 */
#ifndef TRIT_SAFETENSORS_H
#define TRIT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

struct trit_error;

enum {
    SAFETENSORS_HEAD_MAX = 16 << 20, /* bytes of the directory */
    SAFETENSORS_MAX = 65536,         /* tensors */
    SAFETENSORS_NAME_MAX = 127,      /* bytes of a name */
    SAFETENSORS_DIMS_MAX = 4,
};

struct safetensors_entry {
    char name[SAFETENSORS_NAME_MAX + 1];  /* UTF-8 without control characters */
    const char *dtype;                    /* "BF16", one that the format knows */
    uint32_t n_dims;                      /* 0: a single value */
    uint64_t shape[SAFETENSORS_DIMS_MAX]; /* [n_dims], slowest first; all >= 1 */
    uint64_t start, bytes;                /* in the file */
};

/*
 * Read the directory of the file of `file_bytes` bytes behind fd.  Gives *list (mem_free), in order
 * of place.  path is for messages.  -TRIT_EIO, -TRIT_EFORMAT, -TRIT_ENOMEM with *err.
 */
int safetensors_read(int fd, const char *path, uint64_t file_bytes, struct safetensors_entry **list,
                     size_t *n, struct trit_error *err);

#endif
