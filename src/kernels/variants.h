/* SPDX-License-Identifier: MIT */
/*
 * variants.h - the vtables that dispatch.c chooses from; each is the last thing in its file.
 */
#ifndef TRIT_KERNELS_VARIANTS_H
#define TRIT_KERNELS_VARIANTS_H

struct kernels;

extern const struct kernels kernels_scalar;
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512vbmi;
extern const struct kernels kernels_amx;
extern const struct kernels kernels_neon;

#endif
