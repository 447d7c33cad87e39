/* SPDX-License-Identifier: MIT */
/*
 * arm_neon.h - what the two NEON files share.  The 16 lanes of the specification are four
 * registers.
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
void neon_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half);
void neon_to_f16(uint16_t *dst, const float *src, size_t n);
void neon_attend(float *out, const float *q, size_t n_q, size_t head_dim, const struct kv_span *kv,
                 size_t n, float scale, float *scratch);
float neon_exp_shift(float *y, const float *x, float shift, size_t n);
size_t neon_argmax(const float *x, size_t n, float *max);

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

#endif
