/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512.h - what the AVX-512 files share: the ternary product, written once for any layout.
 *
 * The shape of the work: a vector of 64 codes is 16 rows by 4 columns; vpdpbusd multiplies it with
 * four activations of one token, broadcast, and adds the products to 16 int32 sums, one a row.  No
 * sum ever crosses lanes, and one unpacked vector serves every token.
 *
 * Up to DIRECT_TOKENS tokens, avx512_direct() unpacks in registers and multiplies at once.  With
 * more, avx512_panel() unpacks a stretch of two tiles to the stack, where it stays in the nearest
 * cache, and lets all tokens pass over it, so that unpacking costs next to nothing.
 *
 * Both compute the same integers, and floats are per token, so the way chosen never shows.
 *
 * A layout is a function that unpacks one block to `vectors` registers; it is passed as a constant
 * and inlined.
 */
#ifndef TRIT_KERNELS_X86_AVX512_H
#define TRIT_KERNELS_X86_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "kernels/inline.h"
#include "kernels/kernels.h"

enum {
    DIRECT_TOKENS = 12,
    DIRECT_TILES = 4,
    PREFETCH_BYTES = 1536, /* how far ahead of a tile's stream; further than a cache miss takes */
    PANEL_AHEAD = 4096,    /* the same for panels: the next stretch */
};

/* Unpack a run of whole blocks to n vectors; where `soon` points, as much will be wanted next. */
typedef void avx512_unpack_run(const uint8_t *block, size_t n_vectors, __m512i *codes,
                               const uint8_t *soon);

/* How to read a layout; always a constant, so that the calls are inlined. */
struct avx512_layout {
    void (*unpack)(const uint8_t *block, __m512i *codes);
    avx512_unpack_run *unpack_run;
    unsigned vectors; /* of a block */
    size_t block_bytes;
};

/* x86_avx512.c: what every AVX-512 variant has in common. */
void avx512_quantise(const struct linear *w, struct acts *a, size_t token, const float *x);
void avx512_head_q8(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                    const struct planes *x, size_t n_tokens);
void avx512_head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens);
void avx512_head_split(struct planes *p, size_t token, const float *x, size_t n);
float avx512_to_q8(int8_t *q, const float *x, size_t n);

/* x86_avx512_vbmi.c: the five-bit layout. */
avx512_unpack_run avx512vbmi_unpack_run;
void avx512vbmi_ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                        size_t tile1, const struct acts *a, size_t n_tokens);

/* x86_avx512_float.c */
void avx512_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                     const float *x, size_t x_stride, size_t n_tokens);
void avx512_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n);
void avx512_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n);
void avx512_add(float *x, const float *y, size_t n);
void avx512_delta(const struct delta_rows *t);
void avx512_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
                 size_t half);
void avx512_to_f16(uint16_t *dst, const float *src, size_t n);
float avx512_exp_shift(float *y, const float *x, float shift, size_t n);
size_t avx512_argmax(const float *x, size_t n, float *max);

/* x86_avx512_signs.c */
void avx512_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens);
void avx512_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens);

/* x86_avx512_attend.c */
void avx512_attend(const struct attend_part *part, const struct attend_tile *t,
                   const struct kv_span *kv, size_t n, float *scratch);
void avx512_attend_merge(const struct attend_part *to, const struct attend_part *from, size_t n,
                         size_t head_dim);
void avx512_attend_finish(float *out, const struct attend_part *part, size_t n, size_t head_dim);

/* What the vtables of all AVX-512 variants have in common: everything but the products. */
// clang-format off
#define AVX512_SHARED                      \
    .quantise = avx512_quantise,           \
    .head_f16 = avx512_head_f16,           \
    .head_q8 = avx512_head_q8,             \
    .head_split = avx512_head_split,       \
    .rmsnorm = avx512_rmsnorm,             \
    .glu = avx512_glu,                     \
    .add = avx512_add,                     \
    .delta = avx512_delta,                 \
    .rope = avx512_rope,                   \
    .to_f16 = avx512_to_f16,               \
    .to_q8 = avx512_to_q8,                 \
    .attend = avx512_attend,               \
    .attend_merge = avx512_attend_merge,   \
    .attend_finish = avx512_attend_finish, \
    .exp_shift = avx512_exp_shift,         \
    .argmax = avx512_argmax
// clang-format on

/* x86_avx512_panel.c: tiles [tile0, tile1) for any number of tokens. */
bool avx512_panel_fits(const struct linear *w);
void avx512_panel(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens, avx512_unpack_run *unpack_run);

/* The first min(n, 16) lanes. */
INLINE __mmask16 avx512_lanes(size_t n)
{
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

/*
 * Sixteen int32 sums, and acc + u8 . s8.  The type is the one that GCC's builtin has inside: GCC 12
 * moves conversions from and to __m512i out of the loop, and then copies every sum in it.
 */
typedef int32_t avx512_sum __attribute__((vector_size(64)));

INLINE avx512_sum avx512_dot(avx512_sum acc, __m512i codes, __m512i acts)
{
    return (avx512_sum)_mm512_dpbusd_epi32((__m512i)acc, codes, acts);
}

/* Four activations of a token, in every lane. */
INLINE __m512i avx512_acts4(const int8_t *q)
{
    int32_t four;
    __builtin_memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* Transpose 16 x 16 words of 32 bits. */
INLINE void avx512_transpose(__m512i r[16])
{
    __m512i t[16];
    foreach (i, 8) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    foreach (i, 4) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    foreach (i, 4) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    foreach (i, 8) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

/* The rows of a tile that exist. */
INLINE __mmask16 avx512_rows(const struct linear *w, size_t tile)
{
    return avx512_lanes(w->rows - tile * LAYOUT_TILE);
}

/* Where the sums of a group begin: code = trit + 1, so the sum of the activations comes off. */
INLINE avx512_sum avx512_start(int32_t sum)
{
    return (avx512_sum)_mm512_sub_epi32(_mm512_setzero_si512(), _mm512_set1_epi32(sum));
}

/* The scales of a tile's rows: the only ones, or those of one group. */
INLINE __m512 avx512_scales(const struct linear *w, size_t tile)
{
    return _mm512_loadu_ps(w->scales + tile * LAYOUT_TILE);
}

INLINE __m512 avx512_group_scales(const struct linear *w, size_t tile, size_t group)
{
    const uint16_t *p = w->group_scales + (tile * w->n_groups + group) * LAYOUT_TILE;
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* What billm.inc and x86_billm.inc want of every file that includes them. */
typedef __m512 billm_floats;

INLINE billm_floats billm_fma(billm_floats a, billm_floats b, billm_floats c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE billm_floats billm_whole(int32_t i)
{
    return _mm512_cvtepi32_ps(_mm512_set1_epi32(i));
}

INLINE billm_floats billm_level(const uint16_t *levels)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)levels));
}

/* Vector i of a block of each tile by the four activations of each token that belong to it. */
INLINE void avx512_multiply(avx512_sum sum[DIRECT_TILES][DIRECT_TOKENS], __m512i v[DIRECT_TILES][4],
                            unsigned i, const int8_t *const q[DIRECT_TOKENS], size_t col,
                            const unsigned tiles, const unsigned tokens)
{
    foreach (t, tokens) {
        __m512i x = avx512_acts4(q[t] + col);
        foreach (r, tiles)
            sum[r][t] = avx512_dot(sum[r][t], v[r][i], x);
    }
}

/*
 * `tiles` tiles from `tile` on (those at or behind tile_end compute the last one again and are not
 * stored), tokens [token, token + tokens).
 */
INLINE void avx512_direct(float *out, size_t out_stride, const struct linear *w, size_t tile,
                          size_t tile_end, const struct acts *a, size_t token,
                          const struct avx512_layout layout, const unsigned tiles,
                          const unsigned tokens, const bool grouped)
{
    const uint8_t *codes[DIRECT_TILES];
    const int8_t *q[DIRECT_TOKENS];
    __m512 y[DIRECT_TILES][DIRECT_TOKENS];
    avx512_sum sum[DIRECT_TILES][DIRECT_TOKENS];
    foreach (r, tiles)
        codes[r] = w->codes + MIN(tile + r, tile_end - 1) * w->tile_bytes;
    foreach (t, tokens)
        q[t] = a->q + (token + t) * a->q_stride;
    foreach (i, tiles * tokens)
        y[i / tokens][i % tokens] = _mm512_setzero_ps();

    const size_t n_groups = grouped ? w->n_groups : 1, vectors = layout.vectors;
    const size_t blocks = w->tile_bytes / layout.block_bytes;
    const size_t group_vectors = grouped ? w->group / 4 : blocks * vectors;
    const bool split = LAYOUT_GROUP / 4 % layout.vectors != 0; /* a block may meet two groups */
    const float *steps = a->step + token * n_groups;
    const int32_t *sums = a->sum + token * n_groups;
    for (size_t g = 0; g < n_groups; g++) {
        const size_t first = g * group_vectors, end = first + group_vectors;
        foreach (t, tokens) {
            avx512_sum start = avx512_start(sums[t * n_groups + g]);
            foreach (r, tiles)
                sum[r][t] = start;
        }
        for (size_t block = first / vectors; block * vectors < end; block++) {
            __m512i v[DIRECT_TILES][4];
            const size_t at = block * vectors, offset = block * layout.block_bytes;
            /* Behind the end of these tiles come the same places of the next ones. */
            size_t ahead = offset + PREFETCH_BYTES;
            ahead += ahead >= w->tile_bytes ? (tiles - 1) * w->tile_bytes : 0;
            foreach (r, tiles) {
                _mm_prefetch((const char *)codes[r] + ahead, _MM_HINT_T0);
                layout.unpack(codes[r] + offset, v[r]);
            }
            if (grouped && split && __builtin_expect(at < first || at + vectors > end, 0)) {
                /* Two groups share the block: each takes what is its own. */
                foreach (i, layout.vectors)
                    if (at + i >= first && at + i < end)
                        avx512_multiply(sum, v, i, q, 4 * (at + i), tiles, tokens);
            } else {
                foreach (i, layout.vectors)
                    avx512_multiply(sum, v, i, q, 4 * (at + i), tiles, tokens);
            }
        }
        foreach (r, tiles) {
            size_t which = MIN(tile + r, tile_end - 1);
            __m512 scales = grouped ? avx512_group_scales(w, which, g) : avx512_scales(w, which);
            foreach (t, tokens) {
                __m512 value = _mm512_cvtepi32_ps((__m512i)sum[r][t]);
                __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(steps[t * n_groups + g]));
                y[r][t] = grouped ? _mm512_fmadd_ps(value, factor, y[r][t])
                                  : _mm512_mul_ps(value, factor);
            }
        }
    }
    for (unsigned r = 0; r < tiles && tile + r < tile_end; r++) {
        __mmask16 rows = avx512_rows(w, tile + r);
        float *dst = out + token * out_stride + (tile + r) * LAYOUT_TILE;
        foreach (t, tokens)
            _mm512_mask_storeu_ps(dst + t * out_stride, rows, y[r][t]);
    }
}

/* All tiles for one block of `tokens` tokens. */
INLINE void avx512_stripe(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                          size_t tile1, const struct acts *a, size_t token,
                          const struct avx512_layout layout, const unsigned tiles,
                          const unsigned tokens)
{
    for (size_t tile = tile0; tile < tile1; tile += tiles) {
        if (w->n_groups == 1)
            avx512_direct(out, out_stride, w, tile, tile1, a, token, layout, tiles, tokens, false);
        else
            avx512_direct(out, out_stride, w, tile, tile1, a, token, layout, tiles, tokens, true);
    }
}

/* A case for each number of tokens, with the tiles that go with it: few tokens take more tiles at
 * once, to have enough sums in flight. */
#define AVX512_STRIPES(STRIPE)                                                                     \
    STRIPE(4, 1);                                                                                  \
    STRIPE(4, 2);                                                                                  \
    STRIPE(4, 3);                                                                                  \
    STRIPE(4, 4);                                                                                  \
    STRIPE(2, 5);                                                                                  \
    STRIPE(2, 6);                                                                                  \
    STRIPE(2, 7);                                                                                  \
    STRIPE(2, 8);                                                                                  \
    STRIPE(1, 9);                                                                                  \
    STRIPE(1, 10);                                                                                 \
    STRIPE(1, 11);                                                                                 \
    STRIPE(1, 12)

/* The `ternary` of a layout. */
INLINE void avx512_ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                           size_t tile1, const struct acts *a, size_t n_tokens,
                           const struct avx512_layout layout)
{
    if (n_tokens > DIRECT_TOKENS && avx512_panel_fits(w)) {
        avx512_panel(out, out_stride, w, tile0, tile1, a, n_tokens, layout.unpack_run);
        return;
    }
    for (size_t token = 0, n; token < n_tokens; token += n) {
        n = even_share(n_tokens - token, DIRECT_TOKENS);
        switch (n) {
#define STRIPE(tiles, tokens)                                                                      \
    case tokens:                                                                                   \
        avx512_stripe(out, out_stride, w, tile0, tile1, a, token, layout, tiles, tokens);          \
        break
            AVX512_STRIPES(STRIPE);
#undef STRIPE
        }
    }
}

#endif
