/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2_signs.c - the products of signs for AVX2: scalar_signs.c says what they compute.
 *
 * A bit is a code of 0 or 1, and vpmaddubsw adds two of them times int8 to an int16: 256 at most.
 * 127 of them fit; a block of 32 columns has eight.
 */
#include "config.h"
#include "kernels/x86_avx2.h"

enum {
    SIGN_TOKENS = 4,    /* 4 tokens x 16 rows take eight of the 16 registers for sums */
    NARROW_BLOCKS = 15, /* that are summed in 16 bits */
    PLANE = 64,
    PREFETCH_BYTES = 1536,
};

INLINE __m256i widened(__m256i sum, __m256i part)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(part, _mm256_set1_epi16(1)));
}

/* One tile, tokens [token, token + tokens). */
INLINE void signs_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const struct acts *a, size_t token, const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const size_t blocks = w->tile_bytes / PLANE;
    const __m256i one = _mm256_set1_epi8(1);
    const int8_t *q[SIGN_TOKENS];
    __m256i sum[SIGN_TOKENS][2];
    foreach (t, tokens) {
        q[t] = a->q + (token + t) * a->q_stride;
        sum[t][0] = sum[t][1] = _mm256_setzero_si256();
    }
    for (size_t block = 0; block < blocks;) {
        __m256i part[SIGN_TOKENS][2];
        foreach (t, tokens)
            part[t][0] = part[t][1] = _mm256_setzero_si256();
        for (size_t stop = MIN(blocks, block + NARROW_BLOCKS); block < stop;
             block++, codes += PLANE) {
            __m256i v0 = avx2_line(codes), v1 = avx2_line(codes + 32);
            _mm_prefetch((const char *)codes + PREFETCH_BYTES, _MM_HINT_T0);
            foreach (f, 8) {
                __m256i c0 = _mm256_and_si256(v0, one), c1 = _mm256_and_si256(v1, one);
                v0 = _mm256_srli_epi16(v0, 1);
                v1 = _mm256_srli_epi16(v1, 1);
                foreach (t, tokens) {
                    int32_t four;
                    __builtin_memcpy(&four, q[t] + 32 * block + 4 * f, sizeof four);
                    __m256i x = _mm256_set1_epi32(four);
                    part[t][0] = _mm256_add_epi16(part[t][0], _mm256_maddubs_epi16(c0, x));
                    part[t][1] = _mm256_add_epi16(part[t][1], _mm256_maddubs_epi16(c1, x));
                }
            }
        }
        foreach (i, 2 * tokens)
            sum[i / 2][i % 2] = widened(sum[i / 2][i % 2], part[i / 2][i % 2]);
    }
    size_t row = tile * LAYOUT_TILE, rows = w->rows - row;
    foreach (i, 2 * tokens) {
        size_t t = token + i / 2, half = i % 2 * 8;
        __m256i dot = _mm256_slli_epi32(sum[i / 2][i % 2], 1);
        __m256 value = _mm256_cvtepi32_ps(_mm256_sub_epi32(dot, _mm256_set1_epi32(a->sum[t])));
        __m256 scale = _mm256_loadu_ps(w->scales + row + half);
        __m256 y = _mm256_mul_ps(value, _mm256_mul_ps(scale, _mm256_set1_ps(a->step[t])));
        if (rows > half)
            avx2_store(out + t * out_stride + row + half, rows - half, y);
    }
}

void avx2_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, SIGN_TOKENS);
            SIZED(signs_block, n, SIGN_TOKENS, out, out_stride, w, tile, a, token);
        }
}

/* ------------------------------------------------------------------ BiLLM */

enum { BILLM_TOKENS = 3, BILLM_ROWS = 8 }; /* 3 tokens x 3 sums, of 8 rows */

typedef __m256 billm_floats;
typedef uint16_t billm_bits __attribute__((vector_size(4 * BILLM_ROWS)));
typedef __m256i billm_part; /* a group's sums fit 16 bits */

INLINE billm_floats billm_fma(billm_floats a, billm_floats b, billm_floats c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE billm_part billm_dot(billm_part part, billm_bits code, billm_bits x)
{
    return _mm256_add_epi16(part, _mm256_maddubs_epi16((__m256i)code, (__m256i)x));
}

INLINE billm_floats billm_sum(billm_part part)
{
    return _mm256_cvtepi32_ps(widened(_mm256_setzero_si256(), part));
}

INLINE billm_bits billm_acts(const int8_t *q, uint32_t mask)
{
    uint32_t four;
    __builtin_memcpy(&four, q, sizeof four);
    return (billm_bits)_mm256_set1_epi32((int32_t)(four & mask));
}

INLINE billm_floats billm_each(float x)
{
    return _mm256_set1_ps(x);
}

INLINE billm_floats billm_whole(int32_t i)
{
    return _mm256_cvtepi32_ps(_mm256_set1_epi32(i));
}

INLINE billm_floats billm_level(const uint16_t *levels)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)levels));
}

INLINE void billm_store(float *out, size_t n, billm_floats v)
{
    avx2_store(out, n, v);
}

INLINE void billm_prefetch(const void *p)
{
    _mm_prefetch((const char *)p + PREFETCH_BYTES, _MM_HINT_T0);
}

#include "kernels/x86_billm.inc"

void avx2_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens)
{
    billm_walk(out, out_stride, w, tile0, tile1, a, n_tokens);
}
