/* SPDX-License-Identifier: MIT */
/*
 * rotation.h - linears that read their inputs in a rotated basis (Bonsai 2).
 *
 * Of a rotated matrix W a file has W' = W (H diag(s))^-1, so that W x = W' H (s * x): inputs are
 * multiplied by signs s, which all linears of the same width share, and then transformed by H, the
 * Walsh-Hadamard matrix of Sylvester, divided by the root of its size, for each block of so many
 * inputs.  Of a rotated embedding a row is z = H (s * e), so e = s * H z.
 */
#ifndef TRIT_ROTATION_H
#define TRIT_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct trit_error;

enum { ROTATION_WIDTHS = 16, ROTATION_BLOCK_MAX = 1 << 15, ROTATION_NAMES = 1 << 14 };

struct rotation {
    uint32_t block; /* a power of two; 0: nothing is rotated */
    bool grouped;   /* the inputs of delta.out lie by key heads: value head h of k_heads * n is
                     * number h % k_heads * n + h / k_heads */
    uint32_t n_widths, width[ROTATION_WIDTHS];
    float *signs;   /* of all widths, one after another */
    size_t n_found; /* names that were asked for, see rotation_check */
};

/* What the file says; nothing: .block is 0.  -TRIT_EFORMAT, -TRIT_EUNSUPP, -TRIT_ENOMEM. */
int rotation_read(const struct gguf *g, struct rotation *r, struct trit_error *err);
void rotation_free(struct rotation *r);

/* The signs [cols] of the linear that is tensor `name`, borrowed from *r; NULL: it is not rotated.
 */
int rotation_linear(const struct gguf *g, struct rotation *r, const char *name, uint32_t cols,
                    const float **signs, struct trit_error *err);

/* The same of the embedding. */
int rotation_embedding(const struct gguf *g, struct rotation *r, uint32_t cols, const float **signs,
                       struct trit_error *err);

/* When all have been asked for: every name of the file was among them. */
int rotation_check(const struct gguf *g, const struct rotation *r, struct trit_error *err);

#endif
