/* SPDX-License-Identifier: MIT */
/*
 * variants.h - the vtables that dispatch.c chooses from; each is the last thing in its file.
 */
#ifndef TRIT_KERNELS_VARIANTS_H
#define TRIT_KERNELS_VARIANTS_H

#include <stddef.h>

struct acts;
struct kernels;
struct linear;

extern const struct kernels kernels_scalar;
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512vbmi;
extern const struct kernels kernels_amx;
extern const struct kernels kernels_neon;

/* scalar_signs.c, of kernels_scalar. */
void scalar_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens);
void scalar_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens);

#endif
