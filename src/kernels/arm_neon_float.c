/* SPDX-License-Identifier: MIT */
/*
 * arm_neon_float.c - the float kernels for 64-bit ARM.
 *
 * The 16 lanes of a sum are four registers.  Where a row ends inside a stretch of 16, zeros are
 * added to the lanes behind it.  That could change a lane only from -0 to +0, and each use below
 * says why it does not matter there.
 */
#include "config.h"
#include "kernels/arm_neon.h"

#include "kernels/delta.h"
#include "kernels/numbers.h"

static float sum1(struct neon_lanes16 s)
{
    return vgetq_lane_f32(neon_sum4((struct neon_lanes16[4]){s, s, s, s}), 0);
}

/* x as scalar.c's exp_f32 has it. */
INLINE float32x4_t exp_ps(float32x4_t x)
{
    uint32x4_t tiny = vcltq_f32(x, vdupq_n_f32(EXP_MIN));
    float32x4_t t = vfmaq_f32(vdupq_n_f32(EXP_MAGIC), x, vdupq_n_f32(EXP_LOG2E));
    float32x4_t n = vsubq_f32(t, vdupq_n_f32(EXP_MAGIC));
    float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-EXP_LN2_HI));
    r = vfmaq_f32(r, n, vdupq_n_f32(-EXP_LN2_LO));
    float32x4_t p = vdupq_n_f32(EXP_C6);
    p = vfmaq_f32(vdupq_n_f32(EXP_C5), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C4), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C2), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    uint32x4_t power = vaddq_u32(exponent, vreinterpretq_u32_f32(vdupq_n_f32(1.0f)));
    uint32x4_t y = vreinterpretq_u32_f32(vmulq_f32(p, vreinterpretq_f32_u32(power)));
    return vreinterpretq_f32_u32(vbicq_u32(y, tiny));
}

enum {
    F16_ROWS = 4,
};

void neon_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                   const float *x, size_t x_stride, size_t n_tokens)
{
    const uint16_t *first = t->data;
    for (size_t row = row0; row < row1; row += F16_ROWS)
        for (size_t token = 0; token < n_tokens; token++) {
            const uint16_t *w[F16_ROWS];
            struct neon_lanes16 sum[F16_ROWS];
            foreach (r, F16_ROWS) {
                w[r] = first + MIN(row + r, row1 - 1) * t->stride;
                sum[r] = neon_zero();
            }
            for (size_t i = 0; i < t->stride; i += 16)
                foreach (k, 4) {
                    float32x4_t v = vld1q_f32(x + token * x_stride + i + 4 * k);
                    foreach (r, F16_ROWS)
                        sum[r].v[k] = vfmaq_f32(sum[r].v[k], neon_load_f16(w[r] + i + 4 * k, 4), v);
                }
            neon_store(out + token * out_stride + row, MIN(row1 - row, (size_t)F16_ROWS),
                       neon_sum4(sum));
        }
}

void neon_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
    /* Squares are never negative: no lane is -0. */
    struct neon_lanes16 sum = neon_zero();
    for (size_t i = 0; i < n; i += 16)
        foreach (k, 4) {
            size_t rest = neon_rest(n - i, 4 * k);
            float32x4_t v = neon_load(rest ? x + i + 4 * k : x, rest);
            sum.v[k] = vfmaq_f32(sum.v[k], v, v);
        }
    float mean = sum1(sum) / (float)n;
    float root = vget_lane_f32(vsqrt_f32(vdup_n_f32(mean + eps)), 0);
    float32x4_t r = vdupq_n_f32(1.0f / root);
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t v = vmulq_f32(neon_load(x + i, n - i), r);
        neon_store(y + i, n - i, vmulq_f32(v, neon_load(w + i, n - i)));
    }
}

INLINE float32x4_t silu_ps(float32x4_t g)
{
    float32x4_t t = vnegq_f32(g), top = vdupq_n_f32(EXP_MAX);
    t = vbslq_f32(vcltq_f32(t, top), t, top);
    return vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), exp_ps(t)));
}

INLINE float32x4_t gelu_ps(float32x4_t g)
{
    float32x4_t one = vdupq_n_f32(1.0f), top = vdupq_n_f32(EXP_MAX);
    float32x4_t u = vnegq_f32(vmulq_f32(g, vdupq_n_f32(GELU_SCALE)));
    float32x4_t t = vmulq_f32(u, vfmaq_f32(one, vmulq_f32(g, g), vdupq_n_f32(GELU_CUBE)));
    t = vbslq_f32(vcltq_f32(t, top), t, top);
    return vdivq_f32(g, vaddq_f32(one, exp_ps(t)));
}

/* A comparison that a NaN fails, and so passes through. */
INLINE float32x4_t relu2_ps(float32x4_t g)
{
    float32x4_t zero = vdupq_n_f32(0), v = vbslq_f32(vcgtq_f32(zero, g), zero, g);
    return vmulq_f32(v, v);
}

void neon_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t g = neon_load(gate + i, n - i), u = neon_load(up + i, n - i);
        g = act == ACT_SILU ? silu_ps(g) : act == ACT_RELU2 ? relu2_ps(g) : gelu_ps(g);
        neon_store(y + i, n - i, vmulq_f32(g, u));
    }
}

void neon_delta(const struct delta_rows *t)
{
    delta_all(t);
}

void neon_add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        neon_store(x + i, n - i, vaddq_f32(neon_load(x + i, n - i), neon_load(y + i, n - i)));
}

/* (a c - b s, a s + b c) */
INLINE void rotate(float32x4_t *a, float32x4_t *b, float32x4_t c, float32x4_t s)
{
    float32x4_t a0 = *a, b0 = *b;
    *a = vfmaq_f32(vnegq_f32(vmulq_f32(b0, s)), a0, c);
    *b = vfmaq_f32(vmulq_f32(b0, c), a0, s);
}

/* Pairs lie side by side: four of them are parted into a and b, and joined again. */
static void rope_norm(float *x, const float *cs, size_t half)
{
    for (size_t i = 0; i < half; i += 4) {
        size_t n = 2 * (half - i), rest = neon_rest(n, 4);
        float *p0 = x + 2 * i, *p1 = rest ? p0 + 4 : p0;
        float32x4_t x0 = neon_load(p0, n), x1 = neon_load(p1, rest);
        float32x4_t a = vuzp1q_f32(x0, x1), b = vuzp2q_f32(x0, x1);
        rotate(&a, &b, neon_load(cs + i, half - i), neon_load(cs + half + i, half - i));
        neon_store(p0, n, vzip1q_f32(a, b));
        neon_store(p1, rest, vzip2q_f32(a, b));
    }
}

void neon_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half)
{
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        if (style == ROPE_NORM) {
            rope_norm(x, cs, half);
            continue;
        }
        for (size_t i = 0; i < half; i += 4) {
            size_t n = half - i;
            float32x4_t a = neon_load(x + i, n), b = neon_load(x + half + i, n);
            rotate(&a, &b, neon_load(cs + i, n), neon_load(cs + half + i, n));
            neon_store(x + i, n, a);
            neon_store(x + half + i, n, b);
        }
    }
}

void neon_to_f16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32(neon_load(src + i, n - i)));
        if (n - i >= 4)
            vst1_u16(dst + i, h);
        else
            __builtin_memcpy(dst + i, &h, (n - i) * sizeof *dst);
    }
}

float neon_exp_shift(float *y, const float *x, float shift, size_t n)
{
    /* Exponentials are never negative: no lane is -0. */
    struct neon_lanes16 sum = neon_zero();
    for (size_t i = 0; i < n; i += 16)
        foreach (k, 4) {
            size_t rest = neon_rest(n - i, 4 * k), at = rest ? i + 4 * k : i;
            float32x4_t v = vsubq_f32(neon_load(x + at, rest), vdupq_n_f32(shift));
            v = exp_ps(v);
            neon_store(y + at, rest, v);
            uint32x4_t kept = vandq_u32(vreinterpretq_u32_f32(v), neon_lanes(rest));
            sum.v[k] = vaddq_f32(sum.v[k], vreinterpretq_f32_u32(kept));
        }
    return sum1(sum);
}

/* Two passes: the second stops early and needs no bookkeeping of indices. */
size_t neon_argmax(const float *x, size_t n, float *max)
{
    float32x4_t first = vdupq_n_f32(x[0]), best = first;
    uint32x4_t numbers = vdupq_n_u32(UINT32_MAX);
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t v = neon_load_filled(x + i, n - i, first);
        numbers = vandq_u32(numbers, vceqq_f32(v, v));
        best = vmaxq_f32(best, v);
    }
    if (vminvq_u32(numbers) == 0) {
        *max = __builtin_nanf("");
        return SIZE_MAX;
    }
    float top = vmaxvq_f32(best);
    size_t i = 0;
    while (vmaxvq_u32(vceqq_f32(neon_load_filled(x + i, n - i, first), vdupq_n_f32(top))) == 0)
        i += 4;
    while (x[i] != top)
        i++;
    *max = x[i];
    return i;
}
