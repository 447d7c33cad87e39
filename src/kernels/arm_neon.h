/* SPDX-License-Identifier: MIT */
/*
 * arm_neon.h - what the NEON files share.  The 16 lanes of the specification are four registers.
 */
#ifndef TRIT_KERNELS_ARM_NEON_H
#define TRIT_KERNELS_ARM_NEON_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "kernels/inline.h"
#include "kernels/kernels.h"

/* arm_neon_float.c */
void neon_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                   const float *x, size_t x_stride, size_t n_tokens);
void neon_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n);
void neon_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n);
void neon_add(float *x, const float *y, size_t n);
void neon_delta(const struct delta_rows *t);
void neon_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half);
void neon_to_f16(uint16_t *dst, const float *src, size_t n);
float neon_exp_shift(float *y, const float *x, float shift, size_t n);
size_t neon_argmax(const float *x, size_t n, float *max);

/* arm_neon_signs.c */
void neon_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens);
void neon_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens);

/* arm_neon_attend.c */
void neon_attend(const struct attend_part *part, const struct attend_tile *t,
                 const struct kv_span *kv, size_t n, float *scratch);
void neon_attend_merge(const struct attend_part *to, const struct attend_part *from, size_t n,
                       size_t head_dim);
void neon_attend_finish(float *out, const struct attend_part *part, size_t n, size_t head_dim);

/* How many of n elements are left behind the first `skip`. */
INLINE size_t neon_rest(size_t n, size_t skip)
{
    return n > skip ? n - skip : 0;
}

/* The first min(n, 4) floats at p, zeros behind them; nothing else is touched. */
INLINE float32x4_t neon_load(const float *p, size_t n)
{
    float32x4_t v = vdupq_n_f32(0);
    if (n >= 4)
        return vld1q_f32(p);
    __builtin_memcpy(&v, p, n * sizeof *p);
    return v;
}

INLINE void neon_store(float *p, size_t n, float32x4_t v)
{
    if (n >= 4)
        vst1q_f32(p, v);
    else
        __builtin_memcpy(p, &v, n * sizeof *p);
}

/* A mask of the first min(n, 4) lanes. */
INLINE uint32x4_t neon_lanes(size_t n)
{
    static const uint32_t number[4] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(number), vdupq_n_u32((uint32_t)MIN(n, (size_t)4)));
}

/* Sixteen lanes of a sum: 0-3, 4-7, 8-11, 12-15. */
struct neon_lanes16 {
    float32x4_t v[4];
};

INLINE struct neon_lanes16 neon_zero(void)
{
    float32x4_t zero = vdupq_n_f32(0);
    return (struct neon_lanes16){{zero, zero, zero, zero}};
}

/* The tree of kernels.h down to four lanes: + 8, + 4. */
INLINE float32x4_t neon_fold(struct neon_lanes16 s)
{
    return vaddq_f32(vaddq_f32(s.v[0], s.v[2]), vaddq_f32(s.v[1], s.v[3]));
}

/* The rest of the tree for two sums: + 2, leaving two lanes of each. */
INLINE float32x4_t neon_fold_pair(float32x4_t a, float32x4_t b)
{
    float64x2_t x = vreinterpretq_f64_f32(a), y = vreinterpretq_f64_f32(b);
    return vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(x, y)),
                     vreinterpretq_f32_f64(vzip2q_f64(x, y)));
}

/* The sums of four, in order. */
INLINE float32x4_t neon_sum4(const struct neon_lanes16 s[4])
{
    return vpaddq_f32(neon_fold_pair(neon_fold(s[0]), neon_fold(s[1])),
                      neon_fold_pair(neon_fold(s[2]), neon_fold(s[3])));
}

/* Four binary16 values, or the first n and zeros. */
INLINE float32x4_t neon_load_f16(const uint16_t *p, size_t n)
{
    uint16x4_t h = vdup_n_u16(0);
    if (n >= 4)
        h = vld1_u16(p);
    else
        __builtin_memcpy(&h, p, n * sizeof *p);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

/* The first min(n, 4) values of x, the others replaced by `fill`. */
INLINE float32x4_t neon_load_filled(const float *x, size_t n, float32x4_t fill)
{
    return vbslq_f32(neon_lanes(n), neon_load(x, n), fill);
}

#endif
