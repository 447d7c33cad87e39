/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2_float.c - the float kernels for AVX2 with FMA and F16C.
 *
 * The 16 lanes of a sum are two registers, the elements 0-7 and 8-15 of each stretch of 16.  Where
 * a row ends inside a stretch, lanes without an element keep their value.
 */
#include "config.h"
#include "kernels/x86_avx2.h"

#include "kernels/delta.h"
#include "kernels/numbers.h"

static float sum1(struct avx2_lanes16 v)
{
    return _mm_cvtss_f32(avx2_sum4((struct avx2_lanes16[4]){v, v, v, v}));
}

/* x as scalar.c's exp_f32 has it. */
INLINE __m256 exp_ps(__m256 x)
{
    __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_MIN), _CMP_LT_OQ);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), _mm256_set1_ps(EXP_MAGIC));
    __m256 n = _mm256_sub_ps(t, _mm256_set1_ps(EXP_MAGIC));
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_HI), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_LO), r);
    __m256 p = _mm256_set1_ps(EXP_C6);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    __m256i power = _mm256_add_epi32(exponent, _mm256_castps_si256(_mm256_set1_ps(1.0f)));
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

enum {
    F16_ROWS = 4,
};

void avx2_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                   const float *x, size_t x_stride, size_t n_tokens)
{
    const uint16_t *first = t->data;
    for (size_t row = row0; row < row1; row += F16_ROWS)
        for (size_t token = 0; token < n_tokens; token++) {
            const float *xk = x + token * x_stride;
            const uint16_t *w[F16_ROWS];
            struct avx2_lanes16 sum[F16_ROWS];
            foreach (r, F16_ROWS) {
                w[r] = first + MIN(row + r, row1 - 1) * t->stride;
                sum[r] = avx2_zero();
            }
            for (size_t i = 0; i < t->stride; i += 16) {
                __m256 x0 = _mm256_loadu_ps(xk + i), x1 = _mm256_loadu_ps(xk + i + 8);
                foreach (r, F16_ROWS)
                    sum[r] = avx2_fma(avx2_load_f16(w[r] + i, 8), avx2_load_f16(w[r] + i + 8, 8),
                                      x0, x1, sum[r]);
            }
            __m128i rows = _mm256_castsi256_si128(avx2_lanes(MIN(row1 - row, (size_t)F16_ROWS)));
            _mm_maskstore_ps(out + token * out_stride + row, rows, avx2_sum4(sum));
        }
}

void avx2_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
    /* Squares are never negative: no lane is -0. */
    struct avx2_lanes16 sum = avx2_zero();
    for (size_t i = 0; i < n; i += 16) {
        size_t rest = avx2_rest(n - i);
        __m256 v0 = avx2_load(x + i, n - i), v1 = avx2_load(x + i + (rest ? 8 : 0), rest);
        sum = avx2_fma(v0, v1, v0, v1, sum);
    }
    float mean = sum1(sum) / (float)n;
    __m256 r = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps))));
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(avx2_load(x + i, n - i), r);
        avx2_store(y + i, n - i, _mm256_mul_ps(v, avx2_load(w + i, n - i)));
    }
}

INLINE __m256 silu_ps(__m256 g)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    __m256 t = _mm256_min_ps(_mm256_xor_ps(g, sign), _mm256_set1_ps(EXP_MAX));
    return _mm256_div_ps(g, _mm256_add_ps(one, exp_ps(t)));
}

INLINE __m256 gelu_ps(__m256 g)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    __m256 u = _mm256_xor_ps(_mm256_mul_ps(g, _mm256_set1_ps(GELU_SCALE)), sign);
    __m256 cube = _mm256_fmadd_ps(_mm256_mul_ps(g, g), _mm256_set1_ps(GELU_CUBE), one);
    __m256 t = _mm256_min_ps(_mm256_mul_ps(u, cube), _mm256_set1_ps(EXP_MAX));
    return _mm256_div_ps(g, _mm256_add_ps(one, exp_ps(t)));
}

/* max takes its second operand when one is a NaN, which is where the NaN would be. */
INLINE __m256 relu2_ps(__m256 g)
{
    __m256 v = _mm256_max_ps(_mm256_setzero_ps(), g);
    return _mm256_mul_ps(v, v);
}

void avx2_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        __m256 g = avx2_load(gate + i, n - i), u = avx2_load(up + i, n - i);
        g = act == ACT_SILU ? silu_ps(g) : act == ACT_RELU2 ? relu2_ps(g) : gelu_ps(g);
        avx2_store(y + i, n - i, _mm256_mul_ps(g, u));
    }
}

void avx2_delta(const struct delta_rows *t)
{
    delta_all(t);
}

void avx2_add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 8)
        avx2_store(x + i, n - i, _mm256_add_ps(avx2_load(x + i, n - i), avx2_load(y + i, n - i)));
}

/* (a c - b s, a s + b c) */
INLINE void rotate(__m256 *a, __m256 *b, __m256 c, __m256 s)
{
    __m256 a0 = *a, b0 = *b;
    *a = _mm256_fmsub_ps(a0, c, _mm256_mul_ps(b0, s));
    *b = _mm256_fmadd_ps(a0, s, _mm256_mul_ps(b0, c));
}

/* Pairs lie side by side: eight of them are parted into a and b, and joined again. */
static void rope_norm(float *x, const float *cs, size_t half)
{
    for (size_t i = 0; i < half; i += 8) {
        size_t n = 2 * (half - i), rest = avx2_rest(n);
        float *p0 = x + 2 * i, *p1 = p0 + (rest ? 8 : 0);
        __m256 x0 = avx2_load(p0, n), x1 = avx2_load(p1, rest);
        __m256 even = _mm256_shuffle_ps(x0, x1, 0x88), odd = _mm256_shuffle_ps(x0, x1, 0xdd);
        __m256 a = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
        __m256 b = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
        rotate(&a, &b, avx2_load(cs + i, half - i), avx2_load(cs + half + i, half - i));
        __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
        avx2_store(p0, n, _mm256_permute2f128_ps(low, high, 0x20));
        avx2_store(p1, rest, _mm256_permute2f128_ps(low, high, 0x31));
    }
}

void avx2_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half)
{
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        if (style == ROPE_NORM) {
            rope_norm(x, cs, half);
            continue;
        }
        for (size_t i = 0; i < half; i += 8) {
            size_t n = half - i;
            __m256 a = avx2_load(x + i, n), b = avx2_load(x + half + i, n);
            rotate(&a, &b, avx2_load(cs + i, n), avx2_load(cs + half + i, n));
            avx2_store(x + i, n, a);
            avx2_store(x + half + i, n, b);
        }
    }
}

void avx2_to_f16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        __m128i h = _mm256_cvtps_ph(avx2_load(src + i, n - i),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        if (n - i >= 8)
            _mm_storeu_si128((__m128i *)(void *)(dst + i), h);
        else
            __builtin_memcpy(dst + i, &h, (n - i) * sizeof *dst);
    }
}

float avx2_exp_shift(float *y, const float *x, float shift, size_t n)
{
    /* Exponentials are never negative: no lane is -0. */
    struct avx2_lanes16 sum = avx2_zero();
    for (size_t i = 0; i < n; i += 16) {
        foreach (k, 2) {
            size_t left = k ? avx2_rest(n - i) : n - i;
            if (left == 0)
                break;
            __m256 v = avx2_load(x + i + 8 * k, left);
            v = exp_ps(_mm256_sub_ps(v, _mm256_set1_ps(shift)));
            avx2_store(y + i + 8 * k, left, v);
            v = _mm256_and_ps(v, _mm256_castsi256_ps(avx2_lanes(left)));
            if (k == 0)
                sum.low = _mm256_add_ps(sum.low, v);
            else
                sum.high = _mm256_add_ps(sum.high, v);
        }
    }
    return sum1(sum);
}

/* Two passes: the second stops early and needs no bookkeeping of indices. */
size_t avx2_argmax(const float *x, size_t n, float *max)
{
    __m256 first = _mm256_set1_ps(x[0]), best = first, nan = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = avx2_load_filled(x + i, n - i, first);
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        best = _mm256_max_ps(v, best);
    }
    if (_mm256_movemask_ps(nan)) {
        *max = __builtin_nanf("");
        return SIZE_MAX;
    }
    best = _mm256_set1_ps(avx2_max8(best));
    for (size_t i = 0;; i += 8) {
        __m256 v = avx2_load_filled(x + i, n - i, first);
        int hits = _mm256_movemask_ps(_mm256_cmp_ps(v, best, _CMP_EQ_OQ));
        if (hits) {
            i += (size_t)__builtin_ctz((unsigned)hits);
            *max = x[i];
            return i;
        }
    }
}
