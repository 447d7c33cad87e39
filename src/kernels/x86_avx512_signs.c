/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_signs.c - the products of signs for AVX-512 with VNNI: scalar_signs.c says what they
 * compute.
 *
 * A bit is a code of 0 or 1 in one byte of 64, as in x86_avx512.h, and vpdpbusd does the rest.
 */
#include "config.h"
#include "kernels/x86_avx512.h"

enum { PLANE = 64, BLOCK_COLS = 32 };

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

/* ------------------------------------------------------------------ BiLLM */

enum {
    BILLM_TOKENS = 4, /* 8 were a tenth faster, and four times the code */
    BILLM_ROWS = 16,
};

typedef uint16_t billm_bits __attribute__((vector_size(4 * BILLM_ROWS)));
typedef avx512_sum billm_part;

INLINE billm_part billm_dot(billm_part part, billm_bits code, billm_bits x)
{
    return avx512_dot(part, (__m512i)code, (__m512i)x);
}

INLINE billm_floats billm_sum(billm_part part)
{
    return _mm512_cvtepi32_ps((__m512i)part);
}

INLINE billm_bits billm_acts(const int8_t *q, uint32_t mask)
{
    __m512i four = avx512_acts4(q);
    if (mask != UINT32_MAX)
        four = _mm512_and_si512(four, _mm512_set1_epi32((int32_t)mask));
    return (billm_bits)four;
}

INLINE billm_floats billm_each(float x)
{
    return _mm512_set1_ps(x);
}

INLINE void billm_store(float *out, size_t n, billm_floats v)
{
    _mm512_mask_storeu_ps(out, avx512_lanes(n), v);
}

INLINE void billm_prefetch(const void *p)
{
    _mm_prefetch((const char *)p + PREFETCH_BYTES, _MM_HINT_T0);
}

#include "kernels/x86_billm.inc"

void avx512_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens)
{
    billm_walk(out, out_stride, w, tile0, tile1, a, n_tokens);
}
