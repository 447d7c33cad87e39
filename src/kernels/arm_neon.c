/* SPDX-License-Identifier: MIT */
/*
 * arm_neon.c - the integer kernels for 64-bit ARM with the dot-product instructions (ARMv8.2, every
 * server core since Neoverse N1): the 2-bit product, the q8 head, and the quantisations before
 * them.
 *
 * Not here: floats (arm_neon_float.c), signs (arm_neon_signs.c).
 */
#include "config.h"
#include "kernels/arm_neon.h"

#include "kernels/numbers.h"
#include "kernels/variants.h"

/* max(floor, max |x|) as scalar.c has it: in the order of the bits, where NaN is above infinity. */
static float max_abs(const float *x, size_t n, float floor)
{
    uint32x4_t max = vreinterpretq_u32_f32(vdupq_n_f32(floor));
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    for (size_t i = 0; i < n; i += 4) {
        uint32x4_t v = vreinterpretq_u32_f32(neon_load(x + i, n - i));
        max = vmaxq_u32(max, vandq_u32(v, magnitude));
    }
    uint32_t bits = vmaxvq_u32(max);
    float m;
    __builtin_memcpy(&m, &bits, sizeof m);
    return m;
}

/* Sixteen nearest even integers of x * scale, the first n of them; the others are zero. */
struct sixteen {
    int32x4_t v[4];
};

/* Comparisons, not vmax and vmin: a NaN becomes `low`. */
INLINE struct sixteen round_clamped(const float *x, size_t n, float32x4_t scale, float low,
                                    float high)
{
    struct sixteen s;
    foreach (k, 4) {
        size_t rest = neon_rest(n, 4 * k);
        float32x4_t v = vmulq_f32(neon_load(rest ? x + 4 * k : x, rest), scale);
        v = vbslq_f32(vcgtq_f32(v, vdupq_n_f32(low)), v, vdupq_n_f32(low));
        v = vbslq_f32(vcltq_f32(v, vdupq_n_f32(high)), v, vdupq_n_f32(high));
        s.v[k] = vandq_s32(vcvtnq_s32_f32(v), vreinterpretq_s32_u32(neon_lanes(rest)));
    }
    return s;
}

INLINE void store_bytes(int8_t *q, size_t n, struct sixteen s)
{
    int16x8_t a = vcombine_s16(vmovn_s32(s.v[0]), vmovn_s32(s.v[1]));
    int16x8_t b = vcombine_s16(vmovn_s32(s.v[2]), vmovn_s32(s.v[3]));
    int8x16_t bytes = vcombine_s8(vmovn_s16(a), vmovn_s16(b));
    if (n >= 16)
        vst1q_s8(q, bytes);
    else
        __builtin_memcpy(q, &bytes, n);
}

INLINE int32x4_t add_sixteen(int32x4_t sum, struct sixteen s)
{
    foreach (k, 4)
        sum = vaddq_s32(sum, s.v[k]);
    return sum;
}

static void quantise(const struct linear *w, struct acts *a, size_t token, const float *x)
{
    int8_t *q = a->q + token * a->q_stride;
    size_t group = w->group;
    for (size_t g = 0; g < w->n_groups; g++, x += group) {
        float m = max_abs(x, group, ACT_FLOOR);
        float32x4_t scale = vdupq_n_f32(ACT_TOP / m);
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t i = 0; i < group; i += 16) {
            struct sixteen v = round_clamped(x + i, group - i, scale, ACT_BOTTOM, ACT_TOP);
            store_bytes(q + i, group - i, v);
            sum = add_sixteen(sum, v);
        }
        q += group;
        a->step[token * a->n_groups + g] = m / ACT_TOP;
        a->sum[token * a->n_groups + g] = vaddvq_s32(sum);
    }
    __builtin_memset(q, 0, a->q_stride - w->cols);
}

static float to_q8(int8_t *q, const float *x, size_t n)
{
    float m = max_abs(x, n, KV_FLOOR);
    float32x4_t scale = vdupq_n_f32(KV_TOP / m);
    for (size_t i = 0; i < n; i += 16)
        store_bytes(q + i, n - i, round_clamped(x + i, n - i, scale, -KV_TOP, KV_TOP));
    return m / KV_TOP;
}

static void head_split(struct planes *p, size_t token, const float *x, size_t n)
{
    int8_t *hi = p->hi + token * p->stride, *lo = p->lo + token * p->stride;
    float m = max_abs(x, n, HEAD_FLOOR);
    float32x4_t scale = vdupq_n_f32(HEAD_TOP / m);
    int32x4_t sum_hi = vdupq_n_s32(0), sum_lo = sum_hi;
    for (size_t i = 0; i < n; i += 16) {
        struct sixteen h, l = round_clamped(x + i, n - i, scale, -HEAD_TOP, HEAD_TOP);
        foreach (k, 4) {
            h.v[k] = vshrq_n_s32(vaddq_s32(l.v[k], vdupq_n_s32(64)), 7);
            l.v[k] = vsubq_s32(l.v[k], vshlq_n_s32(h.v[k], 7));
        }
        store_bytes(hi + i, n - i, h);
        store_bytes(lo + i, n - i, l);
        sum_hi = add_sixteen(sum_hi, h);
        sum_lo = add_sixteen(sum_lo, l);
    }
    __builtin_memset(hi + n, 0, p->stride - n);
    __builtin_memset(lo + n, 0, p->stride - n);
    p->step[token] = m / HEAD_TOP;
    p->sum_hi[token] = vaddvq_s32(sum_hi);
    p->sum_lo[token] = vaddvq_s32(sum_lo);
}

enum {
    TERNARY_TOKENS = 4, /* 4 tokens x 16 rows are 16 of the 32 registers */
    Q8_ROWS = 4,
    Q8_TOKENS = 2, /* 4 rows x 2 tokens x 2 planes: 16 sums */
    PREFETCH_BYTES = 1024,
};

/*
 * A register holds the codes of four rows by four columns, so four registers are a tile.  Each of
 * the two-bit fields meets its own four activations, which are a lane of the token's register.
 */
INLINE void add_field(int32x4_t sum[TERNARY_TOKENS][4], const uint8x16_t codes[4],
                      const int8x16_t q[TERNARY_TOKENS], const int shift, const unsigned tokens)
{
    const uint8x16_t three = vdupq_n_u8(3);
    const int8x16_t down = vdupq_n_s8((int8_t)-shift); /* a negative left shift */
    foreach (r, 4) {
        int8x16_t c = vreinterpretq_s8_u8(vandq_u8(vshlq_u8(codes[r], down), three));
        foreach (t, tokens) {
            if (shift == 0)
                sum[t][r] = vdotq_laneq_s32(sum[t][r], c, q[t], 0);
            else if (shift == 2)
                sum[t][r] = vdotq_laneq_s32(sum[t][r], c, q[t], 1);
            else if (shift == 4)
                sum[t][r] = vdotq_laneq_s32(sum[t][r], c, q[t], 2);
            else
                sum[t][r] = vdotq_laneq_s32(sum[t][r], c, q[t], 3);
        }
    }
}

/* Four scales of a tile for one group. */
INLINE float32x4_t scales4(const struct linear *w, size_t first, const bool grouped)
{
    if (!grouped)
        return vld1q_f32(w->scales + first);
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(w->group_scales + first)));
}

/* One tile, tokens [token, token + tokens). */
INLINE void ternary_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                          const struct acts *a, size_t token, const bool grouped,
                          const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const size_t n_groups = grouped ? w->n_groups : 1;
    const size_t group = grouped ? w->group : w->tile_bytes / 4; /* with the padding */
    const int8_t *acts[TERNARY_TOKENS];
    float32x4_t y[TERNARY_TOKENS][4];
    foreach (t, tokens)
        acts[t] = a->q + (token + t) * a->q_stride;
    foreach (i, 4 * tokens)
        y[i / 4][i % 4] = vdupq_n_f32(0);

    for (size_t g = 0; g < n_groups; g++) {
        int32x4_t sum[TERNARY_TOKENS][4];
        foreach (i, 4 * tokens)
            sum[i / 4][i % 4] = vdupq_n_s32(0);
        size_t col = g * group, end = col + group;
        for (; col < end; col += 16, codes += 64) {
            uint8x16_t v[4];
            int8x16_t q[TERNARY_TOKENS];
            __builtin_prefetch(codes + PREFETCH_BYTES);
            foreach (r, 4)
                v[r] = vld1q_u8(codes + 16 * r);
            foreach (t, tokens)
                q[t] = vld1q_s8(acts[t] + col);
            add_field(sum, v, q, 0, tokens);
            add_field(sum, v, q, 2, tokens);
            add_field(sum, v, q, 4, tokens);
            add_field(sum, v, q, 6, tokens);
        }
        foreach (i, 4 * tokens) {
            size_t at = (token + i / 4) * n_groups + g;
            size_t first = (tile * n_groups + g) * LAYOUT_TILE + i % 4 * 4;
            float32x4_t value =
                vcvtq_f32_s32(vsubq_s32(sum[i / 4][i % 4], vdupq_n_s32(a->sum[at])));
            float32x4_t factor = vmulq_f32(scales4(w, first, grouped), vdupq_n_f32(a->step[at]));
            y[i / 4][i % 4] = grouped ? vfmaq_f32(y[i / 4][i % 4], value, factor)
                                      : vmulq_f32(value, factor);
        }
    }
    size_t row = tile * LAYOUT_TILE, rows = w->rows - row;
    foreach (i, 4 * tokens) {
        size_t first = i % 4 * 4;
        if (first < rows)
            neon_store(out + (token + i / 4) * out_stride + row + first, rows - first,
                       y[i / 4][i % 4]);
    }
}

static void ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, TERNARY_TOKENS);
            if (w->n_groups == 1)
                SIZED(ternary_block, n, TERNARY_TOKENS, out, out_stride, w, tile, a, token, false);
            else
                SIZED(ternary_block, n, TERNARY_TOKENS, out, out_stride, w, tile, a, token, true);
        }
}

/* Sums of four vectors, in order. */
INLINE int32x4_t sum4(const int32x4_t v[4])
{
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

/* Rows [row, row + 4) of those below row_end, tokens [token, token + tokens). */
INLINE void head_q8_block(float *out, size_t out_stride, const struct table *t, size_t row,
                          size_t row_end, const struct planes *x, size_t token,
                          const unsigned tokens)
{
    const int8_t *w[Q8_ROWS], *first = t->data;
    const int8_t *xh = x->hi + token * x->stride, *xl = x->lo + token * x->stride;
    int32x4_t hi[Q8_TOKENS][Q8_ROWS], lo[Q8_TOKENS][Q8_ROWS];
    foreach (r, Q8_ROWS)
        w[r] = first + MIN(row + r, row_end - 1) * t->stride;
    foreach (i, Q8_ROWS * tokens)
        hi[i / 4][i % 4] = lo[i / 4][i % 4] = vdupq_n_s32(0);
    for (size_t i = 0; i < t->stride; i += 16) {
        int8x16_t v[Q8_ROWS];
        foreach (r, Q8_ROWS)
            v[r] = vld1q_s8(w[r] + i);
        foreach (k, tokens) {
            int8x16_t h = vld1q_s8(xh + k * x->stride + i), l = vld1q_s8(xl + k * x->stride + i);
            foreach (r, Q8_ROWS) {
                hi[k][r] = vdotq_s32(hi[k][r], v[r], h);
                lo[k][r] = vdotq_s32(lo[k][r], v[r], l);
            }
        }
    }
    size_t rows = MIN(row_end - row, (size_t)Q8_ROWS);
    float32x4_t scales = neon_load(t->scales + row, rows);
    foreach (k, tokens) {
        float32x4_t y =
            vfmaq_f32(vcvtq_f32_s32(sum4(lo[k])), vdupq_n_f32(128.0f), vcvtq_f32_s32(sum4(hi[k])));
        y = vmulq_f32(y, vmulq_f32(scales, vdupq_n_f32(x->step[token + k])));
        neon_store(out + (token + k) * out_stride + row, rows, y);
    }
}

static void head_q8(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                    const struct planes *x, size_t n_tokens)
{
    for (size_t row = row0; row < row1; row += Q8_ROWS)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, Q8_TOKENS);
            SIZED(head_q8_block, n, Q8_TOKENS, out, out_stride, t, row, row1, x, token);
        }
}

/* The same of the coarse head; nibbles are small enough to be signed. */
INLINE void coarse_block(float *out, size_t out_stride, const struct table *t, size_t row,
                         size_t row_end, const struct planes *x, size_t token,
                         const unsigned tokens)
{
    const size_t bytes = table_nibble_stride(t);
    const uint8_t *w[Q8_ROWS];
    int32x4_t sum[Q8_TOKENS][Q8_ROWS];
    foreach (r, Q8_ROWS)
        w[r] = table_high(t) + MIN(row + r, row_end - 1) * bytes;
    foreach (i, Q8_ROWS * tokens)
        sum[i / 4][i % 4] = vdupq_n_s32(0);
    for (size_t i = 0; i < bytes; i += 16) {
        /* 64 bytes hold 128 values: their first halves, then their second ones. */
        const int8_t *hi = x->hi + token * x->stride + i / 64 * 128 + i % 64;
        int8x16_t low[Q8_ROWS], high[Q8_ROWS];
        foreach (r, Q8_ROWS) {
            uint8x16_t v = vld1q_u8(w[r] + i);
            low[r] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
            high[r] = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
        }
        foreach (k, tokens) {
            int8x16_t x0 = vld1q_s8(hi + k * x->stride), x1 = vld1q_s8(hi + k * x->stride + 64);
            foreach (r, Q8_ROWS)
                sum[k][r] = vdotq_s32(vdotq_s32(sum[k][r], low[r], x0), high[r], x1);
        }
    }
    size_t rows = MIN(row_end - row, (size_t)Q8_ROWS);
    float32x4_t scales = neon_load(t->scales + row, rows);
    foreach (k, tokens) {
        int32_t total = x->sum_hi[token + k];
        int32x4_t i = vsubq_s32(vshlq_n_s32(sum4(sum[k]), 4),
                                vdupq_n_s32((int32_t)(120u * (uint32_t)total)));
        float32x4_t y = vfmaq_f32(vmulq_f32(vdupq_n_f32(128.0f), vcvtq_f32_s32(i)),
                                  vdupq_n_f32(-64.0f), vdupq_n_f32((float)total));
        y = vmulq_f32(y, vmulq_f32(scales, vdupq_n_f32(x->step[token + k])));
        neon_store(out + (token + k) * out_stride + row, rows, y);
    }
}

static void head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens)
{
    for (size_t row = row0; row < row1; row += Q8_ROWS)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, Q8_TOKENS);
            SIZED(coarse_block, n, Q8_TOKENS, out, out_stride, t, row, row1, x, token);
        }
}

const struct kernels kernels_neon = {
    .name = "neon",
    .layout = LAYOUT_T2,
    .cpu = CPU_NEON_DOTPROD,
    .quantise = quantise,
    .ternary = ternary,
    .signs = neon_signs,
    .billm = neon_billm,
    .head_f16 = neon_head_f16,
    .head_q8 = head_q8,
    .head_coarse = head_coarse,
    .head_split = head_split,
    .rmsnorm = neon_rmsnorm,
    .glu = neon_glu,
    .add = neon_add,
    .delta = neon_delta,
    .rope = neon_rope,
    .to_f16 = neon_to_f16,
    .to_q8 = to_q8,
    .attend = neon_attend,
    .attend_merge = neon_attend_merge,
    .attend_finish = neon_attend_finish,
    .exp_shift = neon_exp_shift,
    .argmax = neon_argmax,
};
