/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_float.c - the float kernels for AVX-512.
 *
 * The 16 lanes of the specification are one register here.  Where a row ends inside a register, the
 * lanes beyond it are masked; adding zeros to them instead could change a lane from -0 to +0.
 */
#include "config.h"
#include "kernels/x86_avx512.h"

#include "kernels/delta.h"
#include "kernels/numbers.h"

#define ROUND_NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/*
 * The sums of four vectors, in order, each by the tree of kernels.h: + 8 and + 4 while two and then
 * four vectors share a register, + 2 and + 1 inside the quarters.
 *
 * The last step makes a new register of four on purpose.  GCC 12 turns a masked store of the lower
 * part of a wide register into a masked vextractf32x4, which, unlike a masked move, faults on the
 * lanes that are not stored.
 */
INLINE __m128 sum4(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 q =
        _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    __m256 x = _mm512_castps512_ps256(q), y = _mm512_extractf32x8_ps(q, 1);
    __m256 s = _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x44), _mm256_shuffle_ps(x, y, 0xee));
    s = _mm256_add_ps(_mm256_permute_ps(s, 0x88), _mm256_permute_ps(s, 0xdd)); /* ac ac, bd bd */
    return _mm_unpacklo_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

INLINE float sum1(__m512 v)
{
    return _mm_cvtss_f32(sum4(v, v, v, v));
}

/* x as scalar.c's exp_f32 has it. */
INLINE __m512 exp_ps(__m512 x)
{
    __mmask16 tiny = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_MIN), _CMP_LT_OQ);
    __m512 t = _mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E), _mm512_set1_ps(EXP_MAGIC));
    __m512 n = _mm512_sub_ps(t, _mm512_set1_ps(EXP_MAGIC));
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_HI), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_LO), r);
    __m512 p = _mm512_set1_ps(EXP_C6);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    __m512i power = _mm512_add_epi32(exponent, _mm512_castps_si512(_mm512_set1_ps(1.0f)));
    return _mm512_mask_mul_ps(_mm512_setzero_ps(), _knot_mask16(tiny), p,
                              _mm512_castsi512_ps(power));
}

enum {
    F16_ROWS = 4,
    F16_TOKENS = 4,
};

INLINE void head_f16_block(float *out, size_t out_stride, const struct table *t, size_t row,
                           size_t row_end, const float *x, size_t x_stride, size_t token,
                           const unsigned tokens)
{
    const uint16_t *w[F16_ROWS], *first = t->data;
    __m512 sum[F16_TOKENS][F16_ROWS];
    foreach (r, F16_ROWS)
        w[r] = first + MIN(row + r, row_end - 1) * t->stride;
    foreach (i, F16_ROWS * tokens)
        sum[i / 4][i % 4] = _mm512_setzero_ps();
    x += token * x_stride;
    size_t ahead = (size_t)F16_ROWS * t->stride;
    for (size_t i = 0; i < t->stride; i += 16) {
        __m512 v[F16_ROWS];
        foreach (r, F16_ROWS) {
            _mm_prefetch((const char *)(w[r] + i + ahead), _MM_HINT_T0);
            v[r] = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)(w[r] + i)));
        }
        foreach (k, tokens) {
            __m512 xk = _mm512_load_ps(x + k * x_stride + i);
            foreach (r, F16_ROWS)
                sum[k][r] = _mm512_fmadd_ps(v[r], xk, sum[k][r]);
        }
    }
    __mmask8 rows = (__mmask8)(avx512_lanes(row_end - row) & 15);
    foreach (k, tokens)
        _mm_mask_storeu_ps(out + (token + k) * out_stride + row, rows,
                           sum4(sum[k][0], sum[k][1], sum[k][2], sum[k][3]));
}

void avx512_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                     const float *x, size_t x_stride, size_t n_tokens)
{
    for (size_t row = row0; row < row1; row += F16_ROWS)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, F16_TOKENS);
            if (n == 1)
                head_f16_block(out, out_stride, t, row, row1, x, x_stride, token, 1);
            else if (n == 2)
                head_f16_block(out, out_stride, t, row, row1, x, x_stride, token, 2);
            else if (n == 3)
                head_f16_block(out, out_stride, t, row, row1, x, x_stride, token, 3);
            else
                head_f16_block(out, out_stride, t, row, row1, x, x_stride, token, 4);
        }
}

void avx512_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
        sum = _mm512_mask3_fmadd_ps(v, v, sum, lanes);
    }
    float mean = sum1(sum) / (float)n;
    __m512 r = _mm512_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps))));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), r);
        _mm512_mask_storeu_ps(y + i, lanes, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(lanes, w + i)));
    }
}

INLINE __m512 silu_ps(__m512 g)
{
    const __m512 sign = _mm512_set1_ps(-0.0f), one = _mm512_set1_ps(1.0f);
    __m512 t = _mm512_min_ps(_mm512_xor_ps(g, sign), _mm512_set1_ps(EXP_MAX));
    return _mm512_div_ps(g, _mm512_add_ps(one, exp_ps(t)));
}

INLINE __m512 gelu_ps(__m512 g)
{
    const __m512 sign = _mm512_set1_ps(-0.0f), one = _mm512_set1_ps(1.0f);
    __m512 u = _mm512_xor_ps(_mm512_mul_ps(g, _mm512_set1_ps(GELU_SCALE)), sign);
    __m512 cube = _mm512_fmadd_ps(_mm512_mul_ps(g, g), _mm512_set1_ps(GELU_CUBE), one);
    __m512 t = _mm512_min_ps(_mm512_mul_ps(u, cube), _mm512_set1_ps(EXP_MAX));
    return _mm512_div_ps(g, _mm512_add_ps(one, exp_ps(t)));
}

/* max takes its second operand when one is a NaN, which is where the NaN would be. */
INLINE __m512 relu2_ps(__m512 g)
{
    __m512 v = _mm512_max_ps(_mm512_setzero_ps(), g);
    return _mm512_mul_ps(v, v);
}

void avx512_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i);
        __m512 u = _mm512_maskz_loadu_ps(lanes, up + i);
        g = act == ACT_SILU ? silu_ps(g) : act == ACT_RELU2 ? relu2_ps(g) : gelu_ps(g);
        _mm512_mask_storeu_ps(y + i, lanes, _mm512_mul_ps(g, u));
    }
}

void avx512_delta(const struct delta_rows *t)
{
    delta_all(t);
}

void avx512_add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
        _mm512_mask_storeu_ps(x + i, lanes, _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, y + i)));
    }
}

/* (a c - b s, a s + b c) */
INLINE void rotate(__m512 *a, __m512 *b, __m512 c, __m512 s)
{
    __m512 a0 = *a, b0 = *b;
    *a = _mm512_fmsub_ps(a0, c, _mm512_mul_ps(b0, s));
    *b = _mm512_fmadd_ps(a0, s, _mm512_mul_ps(b0, c));
}

/* Pairs lie side by side: 16 of them are parted into a and b, and joined again. */
static void rope_norm(float *x, const float *cs, size_t half)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    for (size_t i = 0; i < half; i += 16) {
        __mmask16 lanes = avx512_lanes(half - i);
        __mmask16 lanes0 = avx512_lanes(2 * (half - i));
        __mmask16 lanes1 = half - i > 8 ? avx512_lanes(2 * (half - i) - 16) : 0;
        __m512 x0 = _mm512_maskz_loadu_ps(lanes0, x + 2 * i);
        __m512 x1 = _mm512_maskz_loadu_ps(lanes1, x + 2 * i + 16);
        __m512 a = _mm512_permutex2var_ps(x0, even, x1);
        __m512 b = _mm512_permutex2var_ps(x0, odd, x1);
        rotate(&a, &b, _mm512_maskz_loadu_ps(lanes, cs + i),
               _mm512_maskz_loadu_ps(lanes, cs + half + i));
        _mm512_mask_storeu_ps(x + 2 * i, lanes0, _mm512_permutex2var_ps(a, low, b));
        _mm512_mask_storeu_ps(x + 2 * i + 16, lanes1, _mm512_permutex2var_ps(a, high, b));
    }
}

void avx512_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
                 size_t half)
{
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        if (style == ROPE_NORM) {
            rope_norm(x, cs, half);
            continue;
        }
        for (size_t i = 0; i < half; i += 16) {
            __mmask16 lanes = avx512_lanes(half - i);
            __m512 a = _mm512_maskz_loadu_ps(lanes, x + i);
            __m512 b = _mm512_maskz_loadu_ps(lanes, x + half + i);
            rotate(&a, &b, _mm512_maskz_loadu_ps(lanes, cs + i),
                   _mm512_maskz_loadu_ps(lanes, cs + half + i));
            _mm512_mask_storeu_ps(x + i, lanes, a);
            _mm512_mask_storeu_ps(x + half + i, lanes, b);
        }
    }
}

void avx512_to_f16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 v = _mm512_maskz_loadu_ps(lanes, src + i);
        _mm256_mask_storeu_epi16(dst + i, lanes, _mm512_cvtps_ph(v, ROUND_NEAREST));
    }
}

float avx512_exp_shift(float *y, const float *x, float shift, size_t n)
{
    __m512 sum = _mm512_setzero_ps(), all = _mm512_set1_ps(shift);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512 v = exp_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), all));
        _mm512_storeu_ps(y + i, v);
        sum = _mm512_add_ps(sum, v);
    }
    if (i < n) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 v = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), all));
        _mm512_mask_storeu_ps(y + i, lanes, v);
        sum = _mm512_mask_add_ps(sum, lanes, sum, v);
    }
    return sum1(sum);
}

/* Two passes: the second stops early and needs no bookkeeping of indices. */
size_t avx512_argmax(const float *x, size_t n, float *max)
{
    __m512 best = _mm512_set1_ps(x[0]), first = best;
    __mmask16 nan = 0;
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_mask_loadu_ps(first, avx512_lanes(n - i), x + i);
        nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        best = _mm512_max_ps(v, best);
    }
    if (nan) {
        *max = __builtin_nanf("");
        return SIZE_MAX;
    }
    best = _mm512_set1_ps(_mm512_reduce_max_ps(best));
    for (size_t i = 0;; i += 16) {
        __m512 v = _mm512_mask_loadu_ps(first, avx512_lanes(n - i), x + i);
        unsigned hits = _mm512_cmp_ps_mask(v, best, _CMP_EQ_OQ);
        if (hits) {
            i += (size_t)__builtin_ctz(hits);
            *max = x[i];
            return i;
        }
    }
}
