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
    BILLM_TOKENS = 2,   /* 2 tokens x 5 sums, of 8 rows */
    GROUP_BLOCKS = BILLM_BLOCK / 32,
    PLANE = 64,
};

INLINE __m256i load_line(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

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
            __m256i v0 = load_line(codes), v1 = load_line(codes + 32);
            _mm_prefetch((const char *)codes + 1536, _MM_HINT_T0);
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
            switch (n) {
#define BLOCK(tokens)                                                                              \
    case tokens:                                                                                   \
        signs_block(out, out_stride, w, tile, a, token, tokens);                                   \
        break
                BLOCK(1);
                BLOCK(2);
                BLOCK(3);
                BLOCK(4);
#undef BLOCK
            }
        }
}

/* Level i of eight rows. */
INLINE __m256 level(const uint16_t *levels, unsigned i)
{
    return _mm256_cvtph_ps(
        _mm_loadu_si128((const __m128i *)(const void *)(levels + i * LAYOUT_TILE)));
}

/* The sum of the salient ones of 128 activations. */
static int32_t sum_salient(const int8_t *q, const uint8_t *salient)
{
    __m256i sum = _mm256_setzero_si256();
    foreach (i, BILLM_BLOCK / 32) {
        __m256i x = _mm256_and_si256(load_line(q + 32 * i), load_line(salient + 32 * i));
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_set1_epi8(1), x));
    }
    sum = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* Rows [half, half + 8) of one tile, tokens [token, token + tokens). */
INLINE void billm_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const unsigned half, const struct acts *acts, size_t token,
                        const unsigned tokens)
{
    enum { A, B, AB, E, F, SUMS };
    const uint8_t *codes = w->codes + tile * w->tile_bytes + 4 * half;
    const __m256i one = _mm256_set1_epi8(1), zero = _mm256_setzero_si256();
    __m256 acc[BILLM_TOKENS];
    foreach (t, tokens)
        acc[t] = _mm256_setzero_ps();
    for (size_t g = 0; g < w->n_groups; g++) {
        __m256i part[BILLM_TOKENS][SUMS];
        const uint8_t *salient = w->salient + g * BILLM_BLOCK;
        const int8_t *q[BILLM_TOKENS];
        foreach (t, tokens) {
            q[t] = acts->q + (token + t) * acts->q_stride + g * BILLM_BLOCK;
            foreach (i, SUMS)
                part[t][i] = zero;
        }
        for (unsigned block = 0; block < GROUP_BLOCKS; block++, codes += 2 * PLANE) {
            __m256i first = load_line(codes), second = load_line(codes + PLANE);
            _mm_prefetch((const char *)codes + 1536, _MM_HINT_T0);
            foreach (f, 8) {
                __m256i a = _mm256_and_si256(first, one), b = _mm256_and_si256(second, one);
                __m256i ab = _mm256_and_si256(a, b);
                int32_t mask, four;
                first = _mm256_srli_epi16(first, 1);
                second = _mm256_srli_epi16(second, 1);
                __builtin_memcpy(&mask, salient + 32 * block + 4 * f, sizeof mask);
                foreach (t, tokens) {
                    __builtin_memcpy(&four, q[t] + 32 * block + 4 * f, sizeof four);
                    __m256i x = _mm256_set1_epi32(four & ~mask);
                    part[t][A] = _mm256_add_epi16(part[t][A], _mm256_maddubs_epi16(a, x));
                    part[t][B] = _mm256_add_epi16(part[t][B], _mm256_maddubs_epi16(b, x));
                    part[t][AB] = _mm256_add_epi16(part[t][AB], _mm256_maddubs_epi16(ab, x));
                }
                if (mask == 0)
                    continue;
                foreach (t, tokens) {
                    __builtin_memcpy(&four, q[t] + 32 * block + 4 * f, sizeof four);
                    __m256i x = _mm256_set1_epi32(four & mask);
                    part[t][E] = _mm256_add_epi16(part[t][E], _mm256_maddubs_epi16(a, x));
                    part[t][F] = _mm256_add_epi16(part[t][F], _mm256_maddubs_epi16(b, x));
                }
            }
        }
        const uint16_t *levels =
            w->group_scales + (tile * w->n_groups + g) * BILLM_LEVELS * LAYOUT_TILE + half;
        __m256 m[BILLM_LEVELS];
        foreach (i, BILLM_LEVELS)
            m[i] = level(levels, i);
        __m256 small = _mm256_sub_ps(m[0], m[1]), large = _mm256_sub_ps(m[2], m[3]);
        foreach (t, tokens) {
            size_t at = (token + t) * acts->n_groups + g;
            int32_t inside = sum_salient(q[t], salient);
            __m256 s[SUMS];
            foreach (i, SUMS)
                s[i] = _mm256_cvtepi32_ps(widened(zero, part[t][i]));
            __m256 v = _mm256_mul_ps(small, _mm256_set1_ps((float)(acts->sum[at] - inside)));
            v = _mm256_fmadd_ps(_mm256_add_ps(m[1], m[1]), s[A], v);
            v = _mm256_fmadd_ps(_mm256_sub_ps(large, small), s[B], v);
            __m256 wider = _mm256_sub_ps(m[3], m[1]);
            v = _mm256_fmadd_ps(_mm256_add_ps(wider, wider), s[AB], v);
            __m256 low = _mm256_sub_ps(_mm256_sub_ps(m[4], m[5]), m[6]);
            v = _mm256_fmadd_ps(low, _mm256_set1_ps((float)inside), v);
            v = _mm256_fmadd_ps(_mm256_add_ps(m[5], m[5]), s[E], v);
            v = _mm256_fmadd_ps(_mm256_add_ps(m[6], m[6]), s[F], v);
            acc[t] = _mm256_fmadd_ps(v, _mm256_set1_ps(acts->step[at]), acc[t]);
        }
    }
    size_t row = tile * LAYOUT_TILE + half;
    foreach (t, tokens)
        if (w->rows > row)
            avx2_store(out + (token + t) * out_stride + row, w->rows - row, acc[t]);
}

void avx2_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (unsigned half = 0; half < LAYOUT_TILE; half += 8) {
            size_t token = 0;
            for (; token + 2 <= n_tokens; token += 2)
                billm_block(out, out_stride, w, tile, half, a, token, 2);
            if (token < n_tokens)
                billm_block(out, out_stride, w, tile, half, a, token, 1);
        }
}
