/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_signs.c - the products of signs for AVX-512 with VNNI: scalar_signs.c says what they
 * compute.
 *
 * A bit is a code of 0 or 1 in one byte of 64, as in x86_avx512.h, and vpdpbusd does the rest.
 */
#include "config.h"
#include "kernels/x86_avx512.h"

enum {
    PLANE = 64,
    BLOCK_COLS = 32,
    BILLM_TOKENS = 4, /* 8 were a tenth faster, and four times the code */
    GROUP_BLOCKS = BILLM_BLOCK / BLOCK_COLS,
};

/* `tiles` tiles from `tile` on (those at or behind tile_end compute the last one again and are not
 * stored), tokens [token, token + tokens). */
INLINE void signs_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        size_t tile_end, const struct acts *a, size_t token, const unsigned tiles,
                        const unsigned tokens)
{
    const __m512i one = _mm512_set1_epi8(1);
    const uint8_t *codes[DIRECT_TILES];
    const int8_t *q[DIRECT_TOKENS];
    avx512_sum sum[DIRECT_TILES][DIRECT_TOKENS];
    foreach (r, tiles)
        codes[r] = w->codes + MIN(tile + r, tile_end - 1) * w->tile_bytes;
    foreach (t, tokens)
        q[t] = a->q + (token + t) * a->q_stride;
    foreach (i, tiles * tokens)
        sum[i / tokens][i % tokens] = (avx512_sum){0};
    for (size_t at = 0; at < w->tile_bytes; at += PLANE) {
        const size_t col = at / PLANE * BLOCK_COLS;
        size_t ahead = at + PREFETCH_BYTES;
        ahead += ahead >= w->tile_bytes ? (tiles - 1) * w->tile_bytes : 0;
        __m512i v[DIRECT_TILES];
        foreach (r, tiles) {
            _mm_prefetch((const char *)codes[r] + ahead, _MM_HINT_T0);
            v[r] = _mm512_loadu_si512(codes[r] + at);
        }
        foreach (f, 8) {
            __m512i bit[DIRECT_TILES];
            foreach (r, tiles) {
                bit[r] = _mm512_and_si512(v[r], one);
                v[r] = _mm512_srli_epi16(v[r], 1);
            }
            foreach (t, tokens) {
                __m512i x = avx512_acts4(q[t] + col + 4 * f);
                foreach (r, tiles)
                    sum[r][t] = avx512_dot(sum[r][t], bit[r], x);
            }
        }
    }
    for (unsigned r = 0; r < tiles && tile + r < tile_end; r++) {
        __m512 scales = avx512_scales(w, tile + r);
        __mmask16 rows = avx512_rows(w, tile + r);
        float *dst = out + token * out_stride + (tile + r) * LAYOUT_TILE;
        foreach (t, tokens) {
            __m512i dot = _mm512_slli_epi32((__m512i)sum[r][t], 1);
            dot = _mm512_sub_epi32(dot, _mm512_set1_epi32(a->sum[token + t]));
            __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(a->step[token + t]));
            _mm512_mask_storeu_ps(dst + t * out_stride, rows,
                                  _mm512_mul_ps(_mm512_cvtepi32_ps(dot), factor));
        }
    }
}

void avx512_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens)
{
    for (size_t token = 0, n; token < n_tokens; token += n) {
        n = even_share(n_tokens - token, DIRECT_TOKENS);
        switch (n) {
#define STRIPE(tiles, tokens)                                                                      \
    case tokens:                                                                                   \
        for (size_t tile = tile0; tile < tile1; tile += (tiles))                                   \
            signs_block(out, out_stride, w, tile, tile1, a, token, tiles, tokens);                 \
        break
            AVX512_STRIPES(STRIPE);
#undef STRIPE
        }
    }
}

/* Level i of sixteen rows. */
INLINE __m512 level(const uint16_t *levels, unsigned i)
{
    return _mm512_cvtph_ps(
        _mm256_loadu_si256((const __m256i *)(const void *)(levels + i * LAYOUT_TILE)));
}

/* v + factor * sum */
INLINE __m512 add_product(__m512 v, __m512 factor, __m512i sum)
{
    return _mm512_fmadd_ps(factor, _mm512_cvtepi32_ps(sum), v);
}

/*
 * A kind of column, and the three sums that it has in a group: of the salient ones all of them, the
 * first bit, the second bit; of the others the first bit, the second bit, both.
 */
enum kind { SALIENT, OTHER };
enum { SUMS = 3 };

/* Columns [col, col + 4) of 16 rows, of which the bits are the lowest of each byte; of the
 * activations what the mask leaves. */
INLINE void add_four(avx512_sum sum[BILLM_TOKENS][SUMS], __m512i first, __m512i second,
                     const int8_t *const q[BILLM_TOKENS], size_t col, uint32_t mask,
                     const enum kind kind, const unsigned tokens)
{
    const __m512i one = _mm512_set1_epi8(1);
    __m512i a = _mm512_and_si512(first, one), b = _mm512_and_si512(second, one);
    __m512i code[SUMS] = {kind == SALIENT ? one : a, kind == SALIENT ? a : b,
                          kind == SALIENT ? b : _mm512_and_si512(a, b)};
    foreach (t, tokens) {
        __m512i x = avx512_acts4(q[t] + col);
        if (mask != UINT32_MAX)
            x = _mm512_and_si512(x, _mm512_set1_epi32((int32_t)mask));
        foreach (i, SUMS)
            sum[t][i] = avx512_dot(sum[t][i], code[i], x);
    }
}

/* Of a block the last n of its eight vectors of four columns, or of salient columns the first n.
 * One jump into a straight line: loops of so few turns are mispredicted at their ends. */
INLINE void add_vectors(avx512_sum sum[BILLM_TOKENS][SUMS], const uint8_t *block,
                        const int8_t *const q[BILLM_TOKENS], size_t col, unsigned n,
                        const enum kind kind, const unsigned tokens)
{
    const __m512i first = _mm512_loadu_si512(block), second = _mm512_loadu_si512(block + PLANE);
    switch (n) {
#define VECTOR(left)                                                                               \
    case left: {                                                                                   \
        const unsigned f = kind == SALIENT ? (left)-1 : 8 - (left);                                \
        add_four(sum, _mm512_srli_epi16(first, f), _mm512_srli_epi16(second, f), q, col + 4 * f,   \
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
INLINE void add_shared(avx512_sum sum[BILLM_TOKENS][SUMS], const uint8_t *codes,
                       const int8_t *const q[BILLM_TOKENS], unsigned n, const enum kind kind,
                       const unsigned tokens)
{
    const uint8_t *block = codes + n / BLOCK_COLS * 2 * PLANE;
    const __m128i shift = _mm_cvtsi32_si128((int)(n % BLOCK_COLS / 4));
    const uint32_t others = UINT32_MAX << 8 * (n % 4);
    add_four(sum, _mm512_srl_epi16(_mm512_loadu_si512(block), shift),
             _mm512_srl_epi16(_mm512_loadu_si512(block + PLANE), shift), q, n & ~3u,
             kind == SALIENT ? ~others : others, kind, tokens);
}

/* The sums of the columns of one kind in a group, of which n are salient. */
INLINE void add_columns(avx512_sum sum[BILLM_TOKENS][SUMS], const uint8_t *codes,
                        const int8_t *const q[BILLM_TOKENS], unsigned n, const enum kind kind,
                        const unsigned tokens)
{
    foreach (i, tokens * SUMS)
        sum[i / SUMS][i % SUMS] = (avx512_sum){0};
    unsigned col = kind == SALIENT ? 0 : (n + 3) / 4 * 4;
    unsigned end = kind == SALIENT ? n / 4 * 4 : BILLM_BLOCK;
    while (col < end) {
        unsigned block = col / BLOCK_COLS, stop = MIN(end, (block + 1) * BLOCK_COLS);
        add_vectors(sum, codes + block * 2 * PLANE, q, block * BLOCK_COLS, (stop - col) / 4, kind,
                    tokens);
        col = stop;
    }
    if (n % 4 != 0)
        add_shared(sum, codes, q, n, kind, tokens);
}

/* One tile, tokens [token, token + tokens). */
INLINE void billm_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const struct acts *acts, size_t token, const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const uint16_t *levels = w->group_scales + tile * w->n_groups * BILLM_LEVELS * LAYOUT_TILE;
    __m512 acc[BILLM_TOKENS];
    foreach (t, tokens)
        acc[t] = _mm512_setzero_ps();
    for (size_t g = 0; g < w->n_groups; g++) {
        const int8_t *q[BILLM_TOKENS];
        avx512_sum sum[BILLM_TOKENS][SUMS];
        __m512 m[BILLM_LEVELS], v[BILLM_TOKENS];
        foreach (i, GROUP_BLOCKS * 2)
            _mm_prefetch((const char *)codes + PREFETCH_BYTES + i * PLANE, _MM_HINT_T0);
        foreach (i, BILLM_LEVELS * LAYOUT_TILE * sizeof *levels / PLANE)
            _mm_prefetch((const char *)levels + PREFETCH_BYTES + i * PLANE, _MM_HINT_T0);
        foreach (t, tokens)
            q[t] = acts->q + (token + t) * acts->q_stride + g * BILLM_BLOCK;

        add_columns(sum, codes, q, w->n_salient[g], SALIENT, tokens);
        foreach (i, BILLM_LEVELS)
            m[i] = level(levels, i);
        __m512 base = _mm512_sub_ps(_mm512_sub_ps(m[4], m[5]), m[6]);
        __m512 small = _mm512_sub_ps(m[0], m[1]), large = _mm512_sub_ps(m[2], m[3]);
        foreach (t, tokens) {
            __m512i all = _mm512_set1_epi32(acts->sum[(token + t) * acts->n_groups + g]);
            __m512i u = (__m512i)sum[t][0];
            v[t] = _mm512_mul_ps(base, _mm512_cvtepi32_ps(u));
            v[t] = add_product(v[t], _mm512_add_ps(m[5], m[5]), (__m512i)sum[t][1]);
            v[t] = add_product(v[t], _mm512_add_ps(m[6], m[6]), (__m512i)sum[t][2]);
            v[t] = add_product(v[t], small, _mm512_sub_epi32(all, u));
        }

        add_columns(sum, codes, q, w->n_salient[g], OTHER, tokens);
        __m512 wider = _mm512_sub_ps(m[3], m[1]);
        foreach (t, tokens) {
            __m512 step = _mm512_set1_ps(acts->step[(token + t) * acts->n_groups + g]);
            v[t] = add_product(v[t], _mm512_add_ps(m[1], m[1]), (__m512i)sum[t][0]);
            v[t] = add_product(v[t], _mm512_sub_ps(large, small), (__m512i)sum[t][1]);
            v[t] = add_product(v[t], _mm512_add_ps(wider, wider), (__m512i)sum[t][2]);
            acc[t] = _mm512_fmadd_ps(v[t], step, acc[t]);
        }
        codes += GROUP_BLOCKS * 2 * PLANE;
        levels += BILLM_LEVELS * LAYOUT_TILE;
    }
    foreach (t, tokens)
        _mm512_mask_storeu_ps(out + (token + t) * out_stride + tile * LAYOUT_TILE,
                              avx512_rows(w, tile), acc[t]);
}

void avx512_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, BILLM_TOKENS);
            SIZED(billm_block, n, BILLM_TOKENS, out, out_stride, w, tile, a, token);
        }
}
