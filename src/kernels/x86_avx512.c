/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512.c - the integer kernels for AVX-512 with VNNI: the 2-bit product, the q8 head, and the
 * two quantisations that feed them.
 *
 * A CPU with AVX-512 but without VNNI takes the AVX2 variant: only vpdpbusd makes the wide
 * registers worth having here.
 *
 * Not here: floats (x86_avx512_float.c), the five-bit layout (x86_avx512_vbmi.c).
 */
#include "config.h"
#include "kernels/x86_avx512.h"

#include "kernels/numbers.h"
#include "kernels/variants.h"

static void zero_bytes(int8_t *p, size_t n)
{
    for (; n >= 64; n -= 64, p += 64)
        _mm512_storeu_si512(p, _mm512_setzero_si512());
    _mm512_mask_storeu_epi8(p, (1ull << n) - 1, _mm512_setzero_si512());
}

/* max(floor, max |x|) as scalar.c has it: in the order of the bits, where NaN is above infinity. */
static float max_abs(const float *x, size_t n, float floor)
{
    __m512i max = _mm512_castps_si512(_mm512_set1_ps(floor));
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    for (size_t i = 0; i < n; i += 16) {
        __m512i v = _mm512_castps_si512(_mm512_maskz_loadu_ps(avx512_lanes(n - i), x + i));
        max = _mm512_max_epu32(max, _mm512_and_si512(v, magnitude));
    }
    uint32_t bits = _mm512_reduce_max_epu32(max);
    float m;
    __builtin_memcpy(&m, &bits, sizeof m);
    return m;
}

/* The operands of max and min are in the order that sends a NaN to `low`. */
INLINE __m512i round_clamped(__m512 v, float low, float high)
{
    v = _mm512_max_ps(v, _mm512_set1_ps(low));
    v = _mm512_min_ps(v, _mm512_set1_ps(high));
    return _mm512_cvtps_epi32(v);
}

void avx512_quantise(const struct linear *w, struct acts *a, size_t token, const float *x)
{
    int8_t *q = a->q + token * a->q_stride;
    size_t group = w->group;
    for (size_t g = 0; g < w->n_groups; g++, x += group) {
        float m = max_abs(x, group, ACT_FLOOR);
        __m512 scale = _mm512_set1_ps(ACT_TOP / m);
        __m512i sum = _mm512_setzero_si512();
        for (size_t i = 0; i < group; i += 16) {
            __mmask16 lanes = avx512_lanes(group - i);
            __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), scale);
            __m512i n = round_clamped(v, ACT_BOTTOM, ACT_TOP);
            _mm512_mask_cvtepi32_storeu_epi8(q + i, lanes, n);
            sum = _mm512_mask_add_epi32(sum, lanes, sum, n);
        }
        q += group;
        a->step[token * a->n_groups + g] = m / ACT_TOP;
        a->sum[token * a->n_groups + g] = _mm512_reduce_add_epi32(sum);
    }
    zero_bytes(q, a->q_stride - w->cols);
}

float avx512_to_q8(int8_t *q, const float *x, size_t n)
{
    float m = max_abs(x, n, KV_FLOOR);
    __m512 scale = _mm512_set1_ps(KV_TOP / m);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), scale);
        _mm512_mask_cvtepi32_storeu_epi8(q + i, lanes, round_clamped(v, -KV_TOP, KV_TOP));
    }
    return m / KV_TOP;
}

void avx512_head_split(struct planes *p, size_t token, const float *x, size_t n)
{
    int8_t *hi = p->hi + token * p->stride, *lo = p->lo + token * p->stride;
    float m = max_abs(x, n, HEAD_FLOOR);
    __m512 scale = _mm512_set1_ps(HEAD_TOP / m);
    __m512i sum_hi = _mm512_setzero_si512(), sum_lo = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = avx512_lanes(n - i);
        __m512 f = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), scale);
        __m512i v = round_clamped(f, -HEAD_TOP, HEAD_TOP);
        __m512i h = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(64)), 7);
        __m512i l = _mm512_sub_epi32(v, _mm512_slli_epi32(h, 7));
        _mm512_mask_cvtepi32_storeu_epi8(hi + i, lanes, h);
        _mm512_mask_cvtepi32_storeu_epi8(lo + i, lanes, l);
        sum_hi = _mm512_mask_add_epi32(sum_hi, lanes, sum_hi, h);
        sum_lo = _mm512_mask_add_epi32(sum_lo, lanes, sum_lo, l);
    }
    zero_bytes(hi + n, p->stride - n);
    zero_bytes(lo + n, p->stride - n);
    p->step[token] = m / HEAD_TOP;
    p->sum_hi[token] = _mm512_reduce_add_epi32(sum_hi);
    p->sum_lo[token] = _mm512_reduce_add_epi32(sum_lo);
}

enum {
    Q8_ROWS = 4,       /* of the table, multiplied together */
    Q8_TOKENS = 3,     /* 4 rows x 3 tokens x 2 planes = 24 sums */
    Q8_CHUNK = 16,     /* rows that stay cached while all tokens pass */
    COARSE_TOKENS = 5, /* 4 rows x 5 tokens = 20 sums */
};

/* The sums of four vectors, in order. */
INLINE __m128i sum4(const avx512_sum v[4])
{
    __m512i a = (__m512i)v[0], b = (__m512i)v[1], c = (__m512i)v[2], d = (__m512i)v[3];
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

/*
 * Rows [row, row + 4) of those below row_end, tokens [token, token + tokens).  vpdpbusd wants one
 * side unsigned: the weights are offset by 128, and 128 times the sum of the other side comes off
 * again.  What may wrap in between wraps back.
 */
INLINE void head_q8_block(float *out, size_t out_stride, const struct table *t, size_t row,
                          size_t row_end, const struct planes *x, size_t token,
                          const unsigned tokens)
{
    const int8_t *w[Q8_ROWS], *first = t->data;
    avx512_sum hi[Q8_TOKENS][Q8_ROWS], lo[Q8_TOKENS][Q8_ROWS];
    foreach (r, Q8_ROWS)
        w[r] = first + MIN(row + r, row_end - 1) * t->stride;
    foreach (i, Q8_ROWS * tokens)
        hi[i / 4][i % 4] = lo[i / 4][i % 4] = (avx512_sum){0};

    const int8_t *xh = x->hi + token * x->stride, *xl = x->lo + token * x->stride;
    size_t ahead = (size_t)Q8_ROWS * t->stride; /* the rows that come next */
    for (size_t i = 0; i < t->stride; i += 64) {
        __m512i v[Q8_ROWS];
        foreach (r, Q8_ROWS) {
            _mm_prefetch((const char *)w[r] + i + ahead, _MM_HINT_T0);
            v[r] = _mm512_xor_si512(_mm512_load_si512(w[r] + i), _mm512_set1_epi8(-128));
        }
        foreach (k, tokens) {
            __m512i h = _mm512_load_si512(xh + k * x->stride + i);
            __m512i l = _mm512_load_si512(xl + k * x->stride + i);
            foreach (r, Q8_ROWS) {
                hi[k][r] = avx512_dot(hi[k][r], v[r], h);
                lo[k][r] = avx512_dot(lo[k][r], v[r], l);
            }
        }
    }
    __mmask8 rows = (__mmask8)(avx512_lanes(row_end - row) & 15);
    __m128 scales = _mm_maskz_loadu_ps(rows, t->scales + row);
    foreach (k, tokens) {
        uint32_t over_hi = 128u * (uint32_t)x->sum_hi[token + k];
        uint32_t over_lo = 128u * (uint32_t)x->sum_lo[token + k];
        __m128i h = sum4(hi[k]);
        __m128i l = sum4(lo[k]);
        h = _mm_sub_epi32(h, _mm_set1_epi32((int32_t)over_hi));
        l = _mm_sub_epi32(l, _mm_set1_epi32((int32_t)over_lo));
        __m128 y = _mm_fmadd_ps(_mm_set1_ps(128.0f), _mm_cvtepi32_ps(h), _mm_cvtepi32_ps(l));
        y = _mm_mul_ps(y, _mm_mul_ps(scales, _mm_set1_ps(x->step[token + k])));
        _mm_mask_storeu_ps(out + (token + k) * out_stride + row, rows, y);
    }
}

void avx512_head_q8(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                    const struct planes *x, size_t n_tokens)
{
    for (size_t row = row0, end; row < row1; row = end) {
        end = MIN(row + Q8_CHUNK, row1);
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, Q8_TOKENS);
            for (size_t r = row; r < end; r += Q8_ROWS) {
                if (n == 1)
                    head_q8_block(out, out_stride, t, r, end, x, token, 1);
                else if (n == 2)
                    head_q8_block(out, out_stride, t, r, end, x, token, 2);
                else
                    head_q8_block(out, out_stride, t, r, end, x, token, 3);
            }
        }
    }
}

/* The same of the coarse head, whose nibbles are unsigned as they are. */
INLINE void coarse_block(float *out, size_t out_stride, const struct table *t, size_t row,
                         size_t row_end, const struct planes *x, size_t token,
                         const unsigned tokens)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    const size_t bytes = table_nibble_stride(t), ahead = Q8_ROWS * bytes;
    const uint8_t *w[Q8_ROWS], *first = table_high(t);
    const int8_t *hi = x->hi + token * x->stride;
    avx512_sum sum[COARSE_TOKENS][Q8_ROWS];
    foreach (r, Q8_ROWS)
        w[r] = first + MIN(row + r, row_end - 1) * bytes;
    foreach (i, Q8_ROWS * tokens)
        sum[i / 4][i % 4] = (avx512_sum){0};
    for (size_t i = 0; i < bytes; i += 64, hi += 128) {
        __m512i v[Q8_ROWS];
        foreach (r, Q8_ROWS) {
            _mm_prefetch((const char *)w[r] + i + ahead, _MM_HINT_T0);
            v[r] = _mm512_load_si512(w[r] + i);
        }
        foreach (k, tokens) {
            __m512i h = _mm512_load_si512(hi + k * x->stride);
            foreach (r, Q8_ROWS)
                sum[k][r] = avx512_dot(sum[k][r], _mm512_and_si512(v[r], nibble), h);
        }
        foreach (r, Q8_ROWS)
            v[r] = _mm512_and_si512(_mm512_srli_epi16(v[r], 4), nibble);
        foreach (k, tokens) {
            __m512i h = _mm512_load_si512(hi + k * x->stride + 64);
            foreach (r, Q8_ROWS)
                sum[k][r] = avx512_dot(sum[k][r], v[r], h);
        }
    }
    __mmask8 rows = (__mmask8)(avx512_lanes(row_end - row) & 15);
    __m128 scales = _mm_maskz_loadu_ps(rows, t->scales + row);
    foreach (k, tokens) {
        int32_t total = x->sum_hi[token + k];
        __m128i i = _mm_sub_epi32(_mm_slli_epi32(sum4(sum[k]), 4),
                                  _mm_set1_epi32((int32_t)(120u * (uint32_t)total)));
        __m128 y = _mm_fmadd_ps(_mm_set1_ps(-64.0f), _mm_set1_ps((float)total),
                                _mm_mul_ps(_mm_set1_ps(128.0f), _mm_cvtepi32_ps(i)));
        y = _mm_mul_ps(y, _mm_mul_ps(scales, _mm_set1_ps(x->step[token + k])));
        _mm_mask_storeu_ps(out + (token + k) * out_stride + row, rows, y);
    }
}

void avx512_head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens)
{
    for (size_t row = row0, end; row < row1; row = end) {
        end = MIN(row + Q8_CHUNK, row1);
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, COARSE_TOKENS);
            for (size_t r = row; r < end; r += Q8_ROWS)
                SIZED(coarse_block, n, COARSE_TOKENS, out, out_stride, t, r, end, x, token);
        }
    }
}

INLINE void unpack_t2(const uint8_t *block, __m512i *codes)
{
    __m512i x = _mm512_loadu_si512(block), mask = _mm512_set1_epi8(3);
    codes[0] = _mm512_and_si512(x, mask);
    codes[1] = _mm512_and_si512(_mm512_srli_epi16(x, 2), mask);
    codes[2] = _mm512_and_si512(_mm512_srli_epi16(x, 4), mask);
    codes[3] = _mm512_and_si512(_mm512_srli_epi16(x, 6), mask);
}

static void unpack_run_t2(const uint8_t *block, size_t n_vectors, __m512i *codes,
                          const uint8_t *soon)
{
    for (size_t i = 0; i < n_vectors; i += 4, block += 64, soon += 64) {
        _mm_prefetch((const char *)soon, _MM_HINT_T1);
        unpack_t2(block, codes + i);
    }
}

static void ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens)
{
    avx512_ternary(
        out, out_stride, w, tile0, tile1, a, n_tokens,
        (struct avx512_layout){
            .unpack = unpack_t2, .unpack_run = unpack_run_t2, .vectors = 4, .block_bytes = 64});
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .layout = LAYOUT_T2,
    .cpu = CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI,
    .ternary = ternary,
    .signs = avx512_signs,
    .billm = avx512_billm,
    .head_coarse = avx512_head_coarse,
    AVX512_SHARED,
};
