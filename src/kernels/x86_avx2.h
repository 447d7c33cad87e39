/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2.h - what the two AVX2 files share.  The 16 lanes of the specification are two registers.
 */
#ifndef TRIT_KERNELS_X86_AVX2_H
#define TRIT_KERNELS_X86_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "kernels/inline.h"
#include "kernels/kernels.h"

/* x86_avx2_float.c */
void avx2_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                   const float *x, size_t x_stride, size_t n_tokens);
void avx2_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n);
void avx2_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n);
void avx2_add(float *x, const float *y, size_t n);
void avx2_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half);
void avx2_to_f16(uint16_t *dst, const float *src, size_t n);
void avx2_attend(float *out, const float *q, size_t n_q, size_t head_dim, const struct kv_span *kv,
                 size_t n, float scale, float *scratch);
float avx2_exp_shift(float *y, const float *x, float shift, size_t n);
size_t avx2_argmax(const float *x, size_t n, float *max);

/* A mask of the first min(n, 8) lanes. */
INLINE __m256i avx2_lanes(size_t n)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(window + 8 - MIN(n, (size_t)8)));
}

/* How many of n elements are left behind the first 8. */
INLINE size_t avx2_rest(size_t n)
{
    return n > 8 ? n - 8 : 0;
}

/* The first min(n, 8) floats at p, zeros behind them; nothing else is touched. */
INLINE __m256 avx2_load(const float *p, size_t n)
{
    return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, avx2_lanes(n));
}

INLINE void avx2_store(float *p, size_t n, __m256 v)
{
    if (n >= 8)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, avx2_lanes(n), v);
}

#endif
