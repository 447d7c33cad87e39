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
    BILLM_TOKENS = 4, /* 4 tokens x 5 sums */
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

/* The sum of the salient ones of 128 activations. */
static int32_t sum_salient(const int8_t *q, const uint8_t *salient)
{
    __m512i sum = _mm512_setzero_si512();
    foreach (i, BILLM_BLOCK / 64) {
        __m512i x =
            _mm512_and_si512(_mm512_loadu_si512(q + 64 * i), _mm512_loadu_si512(salient + 64 * i));
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), x);
    }
    return _mm512_reduce_add_epi32(sum);
}

/* One tile, tokens [token, token + tokens). */
INLINE void billm_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const struct acts *acts, size_t token, const unsigned tokens)
{
    enum { A, B, AB, E, F, SUMS };
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const __m512i one = _mm512_set1_epi8(1);
    __m512 acc[BILLM_TOKENS];
    foreach (t, tokens)
        acc[t] = _mm512_setzero_ps();
    for (size_t g = 0; g < w->n_groups; g++) {
        avx512_sum sum[BILLM_TOKENS][SUMS];
        const uint8_t *salient = w->salient + g * BILLM_BLOCK;
        const int8_t *q[BILLM_TOKENS];
        foreach (t, tokens) {
            q[t] = acts->q + (token + t) * acts->q_stride + g * BILLM_BLOCK;
            foreach (i, SUMS)
                sum[t][i] = (avx512_sum){0};
        }
        for (unsigned block = 0; block < GROUP_BLOCKS; block++, codes += 2 * PLANE) {
            __m512i first = _mm512_loadu_si512(codes), second = _mm512_loadu_si512(codes + PLANE);
            _mm_prefetch((const char *)codes + PREFETCH_BYTES, _MM_HINT_T0);
            _mm_prefetch((const char *)codes + PREFETCH_BYTES + PLANE, _MM_HINT_T0);
            foreach (f, 8) {
                __m512i a = _mm512_and_si512(first, one), b = _mm512_and_si512(second, one);
                __m512i ab = _mm512_and_si512(a, b);
                int32_t mask, four;
                first = _mm512_srli_epi16(first, 1);
                second = _mm512_srli_epi16(second, 1);
                __builtin_memcpy(&mask, salient + BLOCK_COLS * block + 4 * f, sizeof mask);
                foreach (t, tokens) {
                    __builtin_memcpy(&four, q[t] + BLOCK_COLS * block + 4 * f, sizeof four);
                    __m512i x = _mm512_set1_epi32(four & ~mask);
                    sum[t][A] = avx512_dot(sum[t][A], a, x);
                    sum[t][B] = avx512_dot(sum[t][B], b, x);
                    sum[t][AB] = avx512_dot(sum[t][AB], ab, x);
                }
                if (mask == 0) /* most columns are not salient */
                    continue;
                foreach (t, tokens) {
                    __builtin_memcpy(&four, q[t] + BLOCK_COLS * block + 4 * f, sizeof four);
                    __m512i x = _mm512_set1_epi32(four & mask);
                    sum[t][E] = avx512_dot(sum[t][E], a, x);
                    sum[t][F] = avx512_dot(sum[t][F], b, x);
                }
            }
        }
        const uint16_t *levels =
            w->group_scales + (tile * w->n_groups + g) * BILLM_LEVELS * LAYOUT_TILE;
        __m512 m[BILLM_LEVELS];
        foreach (i, BILLM_LEVELS)
            m[i] = level(levels, i);
        __m512 small = _mm512_sub_ps(m[0], m[1]), large = _mm512_sub_ps(m[2], m[3]);
        foreach (t, tokens) {
            size_t at = (token + t) * acts->n_groups + g;
            int32_t inside = sum_salient(q[t], salient);
            __m512 s[SUMS];
            foreach (i, SUMS)
                s[i] = _mm512_cvtepi32_ps((__m512i)sum[t][i]);
            __m512 v = _mm512_mul_ps(small, _mm512_set1_ps((float)(acts->sum[at] - inside)));
            v = _mm512_fmadd_ps(_mm512_add_ps(m[1], m[1]), s[A], v);
            v = _mm512_fmadd_ps(_mm512_sub_ps(large, small), s[B], v);
            __m512 wider = _mm512_sub_ps(m[3], m[1]);
            v = _mm512_fmadd_ps(_mm512_add_ps(wider, wider), s[AB], v);
            __m512 low = _mm512_sub_ps(_mm512_sub_ps(m[4], m[5]), m[6]);
            v = _mm512_fmadd_ps(low, _mm512_set1_ps((float)inside), v);
            v = _mm512_fmadd_ps(_mm512_add_ps(m[5], m[5]), s[E], v);
            v = _mm512_fmadd_ps(_mm512_add_ps(m[6], m[6]), s[F], v);
            acc[t] = _mm512_fmadd_ps(v, _mm512_set1_ps(acts->step[at]), acc[t]);
        }
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
            switch (n) {
#define BLOCK(tokens)                                                                              \
    case tokens:                                                                                   \
        billm_block(out, out_stride, w, tile, a, token, tokens);                                   \
        break
                BLOCK(1);
                BLOCK(2);
                BLOCK(3);
                BLOCK(4);
#undef BLOCK
            }
        }
}
