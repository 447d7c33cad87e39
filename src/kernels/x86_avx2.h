/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2.h - what the AVX2 files share.  The 16 lanes of the specification are two registers.
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
void avx2_delta(const struct delta_rows *t);
void avx2_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half);
void avx2_to_f16(uint16_t *dst, const float *src, size_t n);
float avx2_exp_shift(float *y, const float *x, float shift, size_t n);
size_t avx2_argmax(const float *x, size_t n, float *max);

/* x86_avx2_signs.c */
void avx2_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens);
void avx2_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens);

/* x86_avx2_attend.c */
void avx2_attend(const struct attend_part *part, const struct attend_tile *t,
                 const struct kv_span *kv, size_t n, float *scratch);
void avx2_attend_merge(const struct attend_part *to, const struct attend_part *from, size_t n,
                       size_t head_dim);
void avx2_attend_finish(float *out, const struct attend_part *part, size_t n, size_t head_dim);

/* A mask of the first min(n, 8) lanes. */
INLINE __m256i avx2_lanes(size_t n)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(window + 8 - MIN(n, (size_t)8)));
}

INLINE __m256i avx2_line(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
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

/* Sixteen lanes of a sum. */
struct avx2_lanes16 {
    __m256 low, high;
};

INLINE struct avx2_lanes16 avx2_zero(void)
{
    return (struct avx2_lanes16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

INLINE struct avx2_lanes16 avx2_fma(__m256 a0, __m256 a1, __m256 b0, __m256 b1,
                                    struct avx2_lanes16 s)
{
    return (struct avx2_lanes16){_mm256_fmadd_ps(a0, b0, s.low), _mm256_fmadd_ps(a1, b1, s.high)};
}

/* The sums of four by the tree of kernels.h: + 8, then + 4, + 2 and + 1 while they share registers.
 */
INLINE __m128 avx2_sum4(const struct avx2_lanes16 v[4])
{
    __m256 a = _mm256_add_ps(v[0].low, v[0].high), b = _mm256_add_ps(v[1].low, v[1].high);
    __m256 c = _mm256_add_ps(v[2].low, v[2].high), d = _mm256_add_ps(v[3].low, v[3].high);
    __m256 ab =
        _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    __m256 cd =
        _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
    __m256 s = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    s = _mm256_add_ps(_mm256_permute_ps(s, 0x88), _mm256_permute_ps(s, 0xdd)); /* ac ac, bd bd */
    return _mm_unpacklo_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

/* Eight binary16 values, or the first n and zeros. */
INLINE __m256 avx2_load_f16(const uint16_t *p, size_t n)
{
    __m128i h = _mm_setzero_si128();
    if (n >= 8)
        h = _mm_loadu_si128((const __m128i *)(const void *)p);
    else
        __builtin_memcpy(&h, p, MIN(n, (size_t)7) * sizeof *p);
    return _mm256_cvtph_ps(h);
}

INLINE float avx2_max8(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_permute_ps(m, 0x4e));
    return _mm_cvtss_f32(_mm_max_ps(m, _mm_permute_ps(m, 0xb1)));
}

/* Eight values of x from i on, those behind the end replaced by `fill`. */
INLINE __m256 avx2_load_filled(const float *x, size_t n, __m256 fill)
{
    return n >= 8 ? _mm256_loadu_ps(x)
                  : _mm256_blendv_ps(fill, avx2_load(x, n), _mm256_castsi256_ps(avx2_lanes(n)));
}

#endif
