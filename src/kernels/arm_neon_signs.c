/* SPDX-License-Identifier: MIT */
/*
 * arm_neon_signs.c - the products of signs for NEON with dot products: scalar_signs.c says what
 * they compute.
 *
 * A register holds the bits of four rows by 4 x 8 columns, so four registers are the plane of a
 * tile. A bit is a code of 0 or 1, and sdot does the rest.
 */
#include "config.h"
#include "kernels/arm_neon.h"

enum {
    SIGN_TOKENS = 4,  /* 4 tokens x 16 rows are 16 of the 32 registers */
    BILLM_TOKENS = 2, /* 2 tokens x 3 sums, of 8 rows: 12 registers */
    HALF_ROWS = 8,
    BLOCK_COLS = 32,
    GROUP_BLOCKS = BILLM_BLOCK / BLOCK_COLS,
    PLANE = 64,
    PREFETCH_BYTES = 1024,
};

/* Four activations of a token, in every lane. */
INLINE int8x16_t acts4(const int8_t *q)
{
    int32_t four;
    __builtin_memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

INLINE int8x16_t lowest(uint8x16_t bits)
{
    return vreinterpretq_s8_u8(vandq_u8(bits, vdupq_n_u8(1)));
}

/* One tile, tokens [token, token + tokens). */
INLINE void signs_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const struct acts *a, size_t token, const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const int8_t *q[SIGN_TOKENS];
    int32x4_t sum[SIGN_TOKENS][4];
    foreach (t, tokens)
        q[t] = a->q + (token + t) * a->q_stride;
    foreach (i, 4 * tokens)
        sum[i / 4][i % 4] = vdupq_n_s32(0);
    for (size_t at = 0; at < w->tile_bytes; at += PLANE) {
        const size_t col = at / PLANE * BLOCK_COLS;
        uint8x16_t v[4];
        __builtin_prefetch(codes + at + PREFETCH_BYTES);
        foreach (r, 4)
            v[r] = vld1q_u8(codes + at + 16 * r);
        foreach (f, 8) {
            int8x16_t x[SIGN_TOKENS];
            foreach (t, tokens)
                x[t] = acts4(q[t] + col + 4 * f);
            foreach (r, 4) {
                int8x16_t bit = lowest(v[r]);
                v[r] = vshrq_n_u8(v[r], 1);
                foreach (t, tokens)
                    sum[t][r] = vdotq_s32(sum[t][r], bit, x[t]);
            }
        }
    }
    size_t row = tile * LAYOUT_TILE, rows = w->rows - row;
    foreach (i, 4 * tokens) {
        size_t t = token + i / 4, first = i % 4 * 4;
        int32x4_t dot = vsubq_s32(vshlq_n_s32(sum[i / 4][i % 4], 1), vdupq_n_s32(a->sum[t]));
        float32x4_t factor = vmulq_f32(vld1q_f32(w->scales + row + first), vdupq_n_f32(a->step[t]));
        if (first < rows)
            neon_store(out + t * out_stride + row + first, rows - first,
                       vmulq_f32(vcvtq_f32_s32(dot), factor));
    }
}

void neon_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, SIGN_TOKENS);
            SIZED(signs_block, n, SIGN_TOKENS, out, out_stride, w, tile, a, token);
        }
}

/* ------------------------------------------------------------------ BiLLM */

typedef float32x4_t billm_floats;

INLINE billm_floats billm_fma(billm_floats a, billm_floats b, billm_floats c)
{
    return vfmaq_f32(c, a, b);
}

#include "kernels/billm.inc"

enum { SUMS = BILLM_SUMS, QUADS = HALF_ROWS / 4 };

/* The sums of a token, of eight rows. */
struct sums {
    int32x4_t v[SUMS][QUADS];
};

/* The bits of eight rows in both planes, those of the next four columns lowest. */
struct bits {
    uint8x16_t first[QUADS], second[QUADS];
};

INLINE struct bits load_bits(const uint8_t *block, unsigned shift)
{
    const int8x16_t down = vdupq_n_s8((int8_t) - (int)shift); /* a negative left shift */
    struct bits b;
    foreach (r, QUADS) {
        b.first[r] = vshlq_u8(vld1q_u8(block + 16 * r), down);
        b.second[r] = vshlq_u8(vld1q_u8(block + PLANE + 16 * r), down);
    }
    return b;
}

/* Four columns; returns what is left of the bits. */
INLINE struct bits add_four(struct sums sum[BILLM_TOKENS], struct bits bits,
                            const int8_t *const q[BILLM_TOKENS], unsigned col, uint32_t mask,
                            const enum billm_kind kind, const unsigned tokens)
{
    int8x16_t x[BILLM_TOKENS];
    foreach (t, tokens) {
        x[t] = acts4(q[t] + col);
        if (mask != UINT32_MAX)
            x[t] = vandq_s8(x[t], vreinterpretq_s8_u32(vdupq_n_u32(mask)));
    }
    foreach (r, QUADS) {
        int8x16_t a = lowest(bits.first[r]), b = lowest(bits.second[r]);
        int8x16_t code[SUMS] = {kind == BILLM_SALIENT ? vdupq_n_s8(1) : a,
                                kind == BILLM_SALIENT ? a : b,
                                kind == BILLM_SALIENT ? b : vandq_s8(a, b)};
        foreach (i, SUMS * tokens)
            sum[i / SUMS].v[i % SUMS][r] =
                vdotq_s32(sum[i / SUMS].v[i % SUMS][r], code[i % SUMS], x[i / SUMS]);
        bits.first[r] = vshrq_n_u8(bits.first[r], 1);
        bits.second[r] = vshrq_n_u8(bits.second[r], 1);
    }
    return bits;
}

/* The sums of columns [from, to) of a group, the one or the other of them a multiple of 32; a
 * vector that is shared by both kinds is one of each. */
INLINE void add_columns(struct sums sum[BILLM_TOKENS], const uint8_t *codes,
                        const int8_t *const q[BILLM_TOKENS], unsigned from, unsigned to,
                        const enum billm_kind kind, const unsigned tokens)
{
    foreach (i, tokens * SUMS * QUADS)
        sum[i / (SUMS * QUADS)].v[i / QUADS % SUMS][i % QUADS] = vdupq_n_s32(0);
    for (unsigned col = from & ~3u; col < to;) {
        struct bits bits = load_bits(codes + col / BLOCK_COLS * 2 * PLANE, col % BLOCK_COLS / 4);
        unsigned stop = MIN(to, (col | (BLOCK_COLS - 1)) + 1);
        if (col < from) {
            bits = add_four(sum, bits, q, col, UINT32_MAX << 8 * (from % 4), kind, tokens);
            col += 4;
        }
        for (; col + 4 <= stop; col += 4)
            bits = add_four(sum, bits, q, col, UINT32_MAX, kind, tokens);
        if (col < stop) {
            add_four(sum, bits, q, col, ~(UINT32_MAX << 8 * (to % 4)), kind, tokens);
            col = stop;
        }
    }
}

INLINE float32x4_t level(const uint16_t *levels, unsigned i)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(levels + i * LAYOUT_TILE)));
}

/* Rows [half, half + 8) of one tile, tokens [token, token + tokens). */
INLINE void billm_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const unsigned half, const struct acts *acts, size_t token,
                        const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes + 4 * half;
    const uint16_t *levels =
        w->group_scales + tile * w->n_groups * BILLM_LEVELS * LAYOUT_TILE + half;
    float32x4_t acc[BILLM_TOKENS][QUADS];
    foreach (i, QUADS * tokens)
        acc[i / QUADS][i % QUADS] = vdupq_n_f32(0);
    for (size_t g = 0; g < w->n_groups; g++) {
        const unsigned n_salient = w->n_salient[g];
        const int8_t *q[BILLM_TOKENS];
        struct sums salient[BILLM_TOKENS], other[BILLM_TOKENS];
        foreach (i, GROUP_BLOCKS * 2)
            __builtin_prefetch(codes + PREFETCH_BYTES + i * PLANE);
        foreach (t, tokens)
            q[t] = acts->q + (token + t) * acts->q_stride + g * BILLM_BLOCK;
        add_columns(salient, codes, q, 0, n_salient, BILLM_SALIENT, tokens);
        add_columns(other, codes, q, n_salient, BILLM_BLOCK, BILLM_OTHERS, tokens);
        foreach (r, QUADS) {
            billm_floats m[BILLM_LEVELS];
            foreach (i, BILLM_LEVELS)
                m[i] = level(levels + 4 * r, i);
            foreach (t, tokens) {
                size_t at = (token + t) * acts->n_groups + g;
                billm_floats u[SUMS], o[SUMS], all = vcvtq_f32_s32(vdupq_n_s32(acts->sum[at]));
                foreach (i, SUMS) {
                    u[i] = vcvtq_f32_s32(salient[t].v[i][r]);
                    o[i] = vcvtq_f32_s32(other[t].v[i][r]);
                }
                billm_floats v = billm_others(billm_salient(m, u, all), m, o);
                acc[t][r] = billm_fma(v, vdupq_n_f32(acts->step[at]), acc[t][r]);
            }
        }
        codes += GROUP_BLOCKS * 2 * PLANE;
        levels += BILLM_LEVELS * LAYOUT_TILE;
    }
    size_t row = tile * LAYOUT_TILE + half;
    foreach (i, QUADS * tokens) {
        size_t first = row + i % QUADS * 4;
        if (first < w->rows)
            neon_store(out + (token + i / QUADS) * out_stride + first, w->rows - first,
                       acc[i / QUADS][i % QUADS]);
    }
}

void neon_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (unsigned half = 0; half < LAYOUT_TILE; half += HALF_ROWS)
            for (size_t token = 0, n; token < n_tokens; token += n) {
                n = even_share(n_tokens - token, BILLM_TOKENS);
                SIZED(billm_block, n, BILLM_TOKENS, out, out_stride, w, tile, half, a, token);
            }
}
