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
    BILLM_TOKENS = 3,   /* 3 tokens x 3 sums, of 8 rows */
    BLOCK_COLS = 32,
    GROUP_BLOCKS = BILLM_BLOCK / BLOCK_COLS,
    PLANE = 64,
    PREFETCH_BYTES = 1536,
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

/* Level i of eight rows. */
INLINE __m256 level(const uint16_t *levels, unsigned i)
{
    return _mm256_cvtph_ps(
        _mm_loadu_si128((const __m128i *)(const void *)(levels + i * LAYOUT_TILE)));
}

/*
 * A kind of column, and the three sums that it has in a group: of the salient ones all of them, the
 * first bit, the second bit; of the others the first bit, the second bit, both.  They fit 16 bits.
 */
enum kind { SALIENT, OTHER };
enum { SUMS = 3 };

/* Columns [col, col + 4) of 8 rows, of which the bits are the lowest of each byte; of the
 * activations what the mask leaves. */
INLINE void add_four(__m256i part[BILLM_TOKENS][SUMS], __m256i first, __m256i second,
                     const int8_t *const q[BILLM_TOKENS], size_t col, uint32_t mask,
                     const enum kind kind, const unsigned tokens)
{
    const __m256i one = _mm256_set1_epi8(1);
    __m256i a = _mm256_and_si256(first, one), b = _mm256_and_si256(second, one);
    __m256i code[SUMS] = {kind == SALIENT ? one : a, kind == SALIENT ? a : b,
                          kind == SALIENT ? b : _mm256_and_si256(a, b)};
    foreach (t, tokens) {
        uint32_t four;
        __builtin_memcpy(&four, q[t] + col, sizeof four);
        __m256i x = _mm256_set1_epi32((int32_t)(four & mask));
        foreach (i, SUMS)
            part[t][i] = _mm256_add_epi16(part[t][i], _mm256_maddubs_epi16(code[i], x));
    }
}

/* Of a block the last n of its eight vectors of four columns, or of salient columns the first n.
 * One jump into a straight line: loops of so few turns are mispredicted at their ends. */
INLINE void add_vectors(__m256i part[BILLM_TOKENS][SUMS], const uint8_t *block,
                        const int8_t *const q[BILLM_TOKENS], size_t col, unsigned n,
                        const enum kind kind, const unsigned tokens)
{
    const __m256i first = load_line(block), second = load_line(block + PLANE);
    switch (n) {
#define VECTOR(left)                                                                               \
    case left: {                                                                                   \
        const unsigned f = kind == SALIENT ? (left)-1 : 8 - (left);                                \
        add_four(part, _mm256_srli_epi16(first, f), _mm256_srli_epi16(second, f), q, col + 4 * f,  \
                 UINT32_MAX, kind, tokens);                                                        \
    }                                                                                              \
        __attribute__((fallthrough))
        VECTOR(8);
        VECTOR(7);
        VECTOR(6);
        VECTOR(5);
        VECTOR(4);
        VECTOR(3);
        VECTOR(2);
        VECTOR(1);
#undef VECTOR
    case 0:
        break;
    }
}

/* The vector of four columns that n salient ones end in, n % 4 of it. */
INLINE void add_shared(__m256i part[BILLM_TOKENS][SUMS], const uint8_t *codes,
                       const int8_t *const q[BILLM_TOKENS], unsigned n, const enum kind kind,
                       const unsigned tokens)
{
    const uint8_t *block = codes + n / BLOCK_COLS * 2 * PLANE;
    const __m128i shift = _mm_cvtsi32_si128((int)(n % BLOCK_COLS / 4));
    const uint32_t others = UINT32_MAX << 8 * (n % 4);
    add_four(part, _mm256_srl_epi16(load_line(block), shift),
             _mm256_srl_epi16(load_line(block + PLANE), shift), q, n & ~3u,
             kind == SALIENT ? ~others : others, kind, tokens);
}

/* The sums of the columns of one kind in a group, of which n are salient. */
INLINE void add_columns(__m256 sum[BILLM_TOKENS][SUMS], const uint8_t *codes,
                        const int8_t *const q[BILLM_TOKENS], unsigned n, const enum kind kind,
                        const unsigned tokens)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i part[BILLM_TOKENS][SUMS];
    foreach (i, tokens * SUMS)
        part[i / SUMS][i % SUMS] = zero;
    unsigned col = kind == SALIENT ? 0 : (n + 3) / 4 * 4;
    unsigned end = kind == SALIENT ? n / 4 * 4 : BILLM_BLOCK;
    while (col < end) {
        unsigned block = col / BLOCK_COLS, stop = MIN(end, (block + 1) * BLOCK_COLS);
        add_vectors(part, codes + block * 2 * PLANE, q, block * BLOCK_COLS, (stop - col) / 4, kind,
                    tokens);
        col = stop;
    }
    if (n % 4 != 0)
        add_shared(part, codes, q, n, kind, tokens);
    foreach (i, tokens * SUMS)
        sum[i / SUMS][i % SUMS] = _mm256_cvtepi32_ps(widened(zero, part[i / SUMS][i % SUMS]));
}

/* Rows [half, half + 8) of one tile, tokens [token, token + tokens). */
INLINE void billm_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const unsigned half, const struct acts *acts, size_t token,
                        const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes + 4 * half;
    const uint16_t *levels =
        w->group_scales + tile * w->n_groups * BILLM_LEVELS * LAYOUT_TILE + half;
    __m256 acc[BILLM_TOKENS];
    foreach (t, tokens)
        acc[t] = _mm256_setzero_ps();
    for (size_t g = 0; g < w->n_groups; g++) {
        const int8_t *q[BILLM_TOKENS];
        __m256 sum[BILLM_TOKENS][SUMS], m[BILLM_LEVELS], v[BILLM_TOKENS];
        foreach (i, GROUP_BLOCKS * 2)
            _mm_prefetch((const char *)codes + PREFETCH_BYTES + i * PLANE, _MM_HINT_T0);
        foreach (i, BILLM_LEVELS * LAYOUT_TILE * sizeof *levels / PLANE)
            _mm_prefetch((const char *)levels + PREFETCH_BYTES + i * PLANE, _MM_HINT_T0);
        foreach (t, tokens)
            q[t] = acts->q + (token + t) * acts->q_stride + g * BILLM_BLOCK;

        add_columns(sum, codes, q, w->n_salient[g], SALIENT, tokens);
        foreach (i, BILLM_LEVELS)
            m[i] = level(levels, i);
        __m256 base = _mm256_sub_ps(_mm256_sub_ps(m[4], m[5]), m[6]);
        __m256 small = _mm256_sub_ps(m[0], m[1]), large = _mm256_sub_ps(m[2], m[3]);
        foreach (t, tokens) {
            /* Both are integers that a float has exactly, and so is their difference. */
            __m256 all = _mm256_set1_ps((float)acts->sum[(token + t) * acts->n_groups + g]);
            v[t] = _mm256_mul_ps(base, sum[t][0]);
            v[t] = _mm256_fmadd_ps(_mm256_add_ps(m[5], m[5]), sum[t][1], v[t]);
            v[t] = _mm256_fmadd_ps(_mm256_add_ps(m[6], m[6]), sum[t][2], v[t]);
            v[t] = _mm256_fmadd_ps(small, _mm256_sub_ps(all, sum[t][0]), v[t]);
        }

        add_columns(sum, codes, q, w->n_salient[g], OTHER, tokens);
        __m256 wider = _mm256_sub_ps(m[3], m[1]);
        foreach (t, tokens) {
            v[t] = _mm256_fmadd_ps(_mm256_add_ps(m[1], m[1]), sum[t][0], v[t]);
            v[t] = _mm256_fmadd_ps(_mm256_sub_ps(large, small), sum[t][1], v[t]);
            v[t] = _mm256_fmadd_ps(_mm256_add_ps(wider, wider), sum[t][2], v[t]);
            acc[t] = _mm256_fmadd_ps(
                v[t], _mm256_set1_ps(acts->step[(token + t) * acts->n_groups + g]), acc[t]);
        }
        codes += GROUP_BLOCKS * 2 * PLANE;
        levels += BILLM_LEVELS * LAYOUT_TILE;
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
        for (unsigned half = 0; half < LAYOUT_TILE; half += 8)
            for (size_t token = 0, n; token < n_tokens; token += n) {
                n = even_share(n_tokens - token, BILLM_TOKENS);
                SIZED(billm_block, n, BILLM_TOKENS, out, out_stride, w, tile, half, a, token);
            }
}
