/* SPDX-License-Identifier: MIT */
/*
 * scalar.c - the specification of every kernel, in plain C, and what runs where nothing faster
 * does.
 *
 * It says what each operation computes and in which order the floats are rounded; kernels.h says it
 * in words.  It is built with -ffp-contract=off, so a fused multiply-add happens where fmaf stands
 * and nowhere else.  It checks what its callers owe it; the other variants trust that they were
 * compared with this one.
 *
 * It reads either layout of weights, to be the reference for all.
 *
 * Not here: speed.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"
#include "kernels/numbers.h"
#include "kernels/variants.h"

enum {
    LANES = 16,
    TOKEN_BLOCK = 16, /* tokens that share the unpacking of a block of weights */
};

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The tree that ends every sum. */
static float sum_lanes(float lane[LANES])
{
    for (unsigned half = LANES / 2; half > 0; half /= 2)
        for (unsigned l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static float dot(const float *a, const float *b, size_t n)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] = fmaf(a[i], b[i], lane[i % LANES]);
    return sum_lanes(lane);
}

/* See numbers.h.  A NaN stays one. */
static float exp_f32(float x)
{
    if (x < EXP_MIN)
        return 0;
    float t = fmaf(x, EXP_LOG2E, EXP_MAGIC);
    float n = t - EXP_MAGIC;
    float r = fmaf(n, -EXP_LN2_LO, fmaf(n, -EXP_LN2_HI, x));
    float p = EXP_C6;
    p = fmaf(p, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return p * float_of((bits_of(t) << 23) + bits_of(1.0f));
}

/*
 * max(floor, max |x|), compared as bits without the sign: for numbers that is their order, and a
 * NaN stands above infinity, so that one bad input shows in the step and in every product.
 */
static float max_abs(const float *x, size_t n, float floor)
{
    uint32_t max = bits_of(floor);
    for (size_t i = 0; i < n; i++)
        max = MAX(max, bits_of(x[i]) & 0x7fffffff);
    return float_of(max);
}

/* Nearest even integer in [low, high], both integers; low for a NaN. */
static int32_t round_clamped(float v, float low, float high)
{
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (int32_t)rintf(v);
}

static void quantise(const struct linear *w, struct acts *a, size_t token, const float *x)
{
    trit_assert(a->n_groups == w->n_groups);
    trit_assert(a->q_stride % 64 == 0 && a->q_stride >= layout_acts(w));
    int8_t *q = a->q + token * a->q_stride;
    memset(q, 0, a->q_stride);
    for (size_t g = 0; g < w->n_groups; g++) {
        const float *src = x + g * w->group;
        int8_t *dst = q + g * w->group;
        float m = max_abs(src, w->group, ACT_FLOOR);
        float scale = ACT_TOP / m;
        int32_t sum = 0;
        for (size_t i = 0; i < w->group; i++) {
            dst[i] = (int8_t)round_clamped(src[i] * scale, ACT_BOTTOM, ACT_TOP);
            sum += dst[i];
        }
        a->step[token * a->n_groups + g] = m / ACT_TOP;
        a->sum[token * a->n_groups + g] = sum;
    }
}

/* One block of codes, rows by columns, from either layout (layout.h draws them). */
static void unpack(enum layout_id layout, const uint8_t *block, uint8_t codes[LAYOUT_TILE][16])
{
    for (unsigned r = 0; r < LAYOUT_TILE; r++)
        for (unsigned j = 0; j < 4; j++) {
            unsigned lane = 4 * r + j;
            if (layout == LAYOUT_T2) {
                for (unsigned f = 0; f < 4; f++)
                    codes[r][4 * f + j] = block[lane] >> 2 * f & 3;
                continue;
            }
            /* Five bits that may straddle two bytes; the last field of a word does not. */
            const uint8_t *word = block + lane / 8 * 5;
            unsigned bit = lane % 8 * 5, at = bit / 8;
            unsigned pair = word[at] | (at < 4 ? word[at + 1] << 8 : 0);
            unsigned field = pair >> bit % 8 & 31;
            codes[r][j] = (uint8_t)(field % 3);
            codes[r][4 + j] = (uint8_t)(field / 3 % 3);
            codes[r][8 + j] = (uint8_t)(field / 9 % 3);
        }
}

/* What group g of a tile adds to out[token][row]. */
static void add_group(float out[TOKEN_BLOCK][LAYOUT_TILE], int32_t sum[TOKEN_BLOCK][LAYOUT_TILE],
                      const struct linear *w, size_t tile, size_t g, const struct acts *a,
                      size_t token0, size_t n_tokens)
{
    size_t first = (tile * w->n_groups + g) * LAYOUT_TILE;
    for (size_t t = 0; t < n_tokens; t++) {
        size_t at = (token0 + t) * a->n_groups + g;
        for (size_t r = 0; r < LAYOUT_TILE; r++) {
            float value = (float)(sum[t][r] - a->sum[at]);
            if (w->n_groups == 1) {
                out[t][r] = value * (w->scales[first + r] * a->step[at]);
            } else {
                float scale = quant_f16_to_f32(w->group_scales[first + r]);
                /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): group 0 has written it. */
                out[t][r] = fmaf(value, scale * a->step[at], g == 0 ? 0.0f : out[t][r]);
            }
        }
    }
}

/* One tile for up to TOKEN_BLOCK tokens: out[token][row].  Four columns at a time: so much of a
 * block belongs to one group. */
static void ternary_tile(float out[TOKEN_BLOCK][LAYOUT_TILE], const struct linear *w, size_t tile,
                         const struct acts *a, size_t token0, size_t n_tokens)
{
    unsigned cols = layout_block_cols(w->layout);
    const uint8_t *block = w->codes + tile * w->tile_bytes;
    size_t end = layout_acts(w), group = w->n_groups == 1 ? end : w->group;
    int32_t sum[TOKEN_BLOCK][LAYOUT_TILE] = {{0}};
    uint8_t codes[LAYOUT_TILE][16];

    for (size_t c = 0; c < end; c += 4) {
        if (c % cols == 0) {
            unpack(w->layout, block, codes);
            block += layout_block_bytes(w->layout);
        }
        for (size_t t = 0; t < n_tokens; t++) {
            const int8_t *q = a->q + (token0 + t) * a->q_stride + c;
            for (unsigned r = 0; r < LAYOUT_TILE; r++)
                for (unsigned i = 0; i < 4; i++)
                    sum[t][r] += codes[r][c % cols + i] * q[i];
        }
        if ((c + 4) % group == 0) {
            add_group(out, sum, w, tile, c / group, a, token0, n_tokens);
            memset(sum, 0, sizeof sum);
        }
    }
}

static void ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens)
{
    trit_assert(tile0 <= tile1 && tile1 <= layout_tiles(w));
    trit_assert(a->n_groups == w->n_groups && w->group <= LAYOUT_COLS_MAX);
    trit_assert(a->q_stride >= layout_acts(w) && out_stride >= w->rows);
    for (size_t tile = tile0; tile < tile1; tile++)
        for (size_t token = 0; token < n_tokens; token += TOKEN_BLOCK) {
            size_t n = MIN(n_tokens - token, (size_t)TOKEN_BLOCK), row = tile * LAYOUT_TILE;
            float y[TOKEN_BLOCK][LAYOUT_TILE];
            ternary_tile(y, w, tile, a, token, n);
            for (size_t t = 0; t < n; t++)
                memcpy(out + (token + t) * out_stride + row, y[t],
                       MIN(w->rows - row, (size_t)LAYOUT_TILE) * sizeof(float));
        }
}

static void head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                     const float *x, size_t x_stride, size_t n_tokens)
{
    trit_assert(t->type == TABLE_F16 && row0 <= row1 && row1 <= t->rows);
    trit_assert(x_stride >= t->stride && out_stride >= t->rows);
    const uint16_t *data = t->data;
    for (size_t row = row0; row < row1; row++)
        for (size_t token = 0; token < n_tokens; token++) {
            const uint16_t *w = data + row * t->stride;
            float lane[LANES] = {0};
            for (size_t i = 0; i < t->stride; i++)
                lane[i % LANES] =
                    fmaf(quant_f16_to_f32(w[i]), x[token * x_stride + i], lane[i % LANES]);
            out[token * out_stride + row] = sum_lanes(lane);
        }
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void head_q8(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                    const struct planes *x, size_t n_tokens)
{
    trit_assert(t->type == TABLE_BYTES && row0 <= row1 && row1 <= t->rows);
    trit_assert(x->stride >= t->stride && t->stride <= TABLE_COLS_MAX && out_stride >= t->rows);
    const int8_t *data = t->data;
    for (size_t row = row0; row < row1; row++)
        for (size_t token = 0; token < n_tokens; token++) {
            const int8_t *w = data + row * t->stride;
            int32_t hi = dot_i8(x->hi + token * x->stride, w, t->stride);
            int32_t lo = dot_i8(x->lo + token * x->stride, w, t->stride);
            out[token * out_stride + row] =
                fmaf(128.0f, (float)hi, (float)lo) * (t->scales[row] * x->step[token]);
        }
}

static void head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens)
{
    trit_assert(t->type == TABLE_Q8 && row0 <= row1 && row1 <= t->rows);
    trit_assert(x->stride >= t->stride && t->stride <= TABLE_COLS_MAX && out_stride >= t->rows);
    for (size_t row = row0; row < row1; row++) {
        const uint8_t *high = table_high(t) + row * table_nibble_stride(t);
        for (size_t token = 0; token < n_tokens; token++) {
            const int8_t *hi = x->hi + token * x->stride;
            int32_t dot = 0, sum = x->sum_hi[token];
            for (size_t i = 0; i < t->stride; i++) {
                uint8_t byte = high[i / 128 * 64 + i % 64];
                dot += (i % 128 < 64 ? byte & 15 : byte >> 4) * hi[i];
            }
            int32_t value = (int32_t)(16u * (uint32_t)dot - 120u * (uint32_t)sum);
            float y = fmaf(-64.0f, (float)sum, 128.0f * (float)value);
            out[token * out_stride + row] = y * (t->scales[row] * x->step[token]);
        }
    }
}

static void head_split(struct planes *p, size_t token, const float *x, size_t n)
{
    trit_assert(p->stride % 64 == 0 && n <= p->stride);
    int8_t *hi = p->hi + token * p->stride, *lo = p->lo + token * p->stride;
    float m = max_abs(x, n, HEAD_FLOOR);
    float scale = HEAD_TOP / m;
    int32_t sum_hi = 0, sum_lo = 0;
    memset(hi, 0, p->stride);
    memset(lo, 0, p->stride);
    for (size_t i = 0; i < n; i++) {
        int32_t v = round_clamped(x[i] * scale, -HEAD_TOP, HEAD_TOP);
        int32_t h = (v + 64) >> 7;
        hi[i] = (int8_t)h;
        lo[i] = (int8_t)(v - 128 * h);
        sum_hi += hi[i];
        sum_lo += lo[i];
    }
    p->step[token] = m / HEAD_TOP;
    p->sum_hi[token] = sum_hi;
    p->sum_lo[token] = sum_lo;
}

static void rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
    float r = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}

/*
 * g / (1 + exp(-g)).  Below g = -EXP_MAX the true value is less than 1e-36 away from zero; exp is
 * held at its value there, so that the quotient stays finite for finite g and small.
 */
static float silu(float g)
{
    float t = -g;
    t = t < EXP_MAX ? t : EXP_MAX;
    return g / (1.0f + exp_f32(t));
}

/* The form with tanh: (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)).  Ends as those of silu do. */
static float gelu(float g)
{
    float t = -(g * GELU_SCALE) * fmaf(g * g, GELU_CUBE, 1.0f);
    t = t < EXP_MAX ? t : EXP_MAX;
    return g / (1.0f + exp_f32(t));
}

/* The comparison is written so that a NaN passes. */
static float relu2(float g)
{
    float v = 0.0f > g ? 0.0f : g;
    return v * v;
}

static void glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n)
{
    trit_assert(act == ACT_SILU || act == ACT_RELU2 || act == ACT_GELU);
    for (size_t i = 0; i < n; i++)
        y[i] = (act == ACT_SILU    ? silu(gate[i])
                : act == ACT_RELU2 ? relu2(gate[i])
                                   : gelu(gate[i])) *
               up[i];
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
                 size_t half)
{
    trit_assert(style == ROPE_NEOX || style == ROPE_NORM);
    trit_assert(2 * half <= head_dim);
    for (size_t h = 0; h < n_heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i++) {
            float *a = style == ROPE_NEOX ? &x[i] : &x[2 * i];
            float *b = style == ROPE_NEOX ? &x[half + i] : &x[2 * i + 1];
            float c = cs[i], s = cs[half + i], a0 = *a, b0 = *b;
            *a = fmaf(a0, c, -(b0 * s));
            *b = fmaf(a0, s, b0 * c);
        }
}

static void to_f16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = quant_f32_to_f16(src[i]);
}

static float to_q8(int8_t *q, const float *x, size_t n)
{
    float m = max_abs(x, n, KV_FLOOR), scale = KV_TOP / m;
    for (size_t i = 0; i < n; i++)
        q[i] = (int8_t)round_clamped(x[i] * scale, -KV_TOP, KV_TOP);
    return m / KV_TOP;
}

static float exp_shift(float *y, const float *x, float shift, size_t n)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        trit_assert(!(x[i] > shift));
        y[i] = exp_f32(x[i] - shift);
        lane[i % LANES] += y[i];
    }
    return sum_lanes(lane);
}

static const uint8_t *kv_page(const struct kv_span *kv, size_t p)
{
    return kv->pool + kv->pages[p / kv->page_tokens] * kv->page_bytes;
}

/* Number i of K or V (at `offset` in its page) of position p. */
static float kv_value(const struct kv_span *kv, size_t offset, size_t p, size_t head_dim, size_t i)
{
    const uint8_t *base = kv_page(kv, p) + offset;
    size_t at = p % kv->page_tokens * head_dim + i;
    if (kv->type == KV_F32)
        return ((const float *)(const void *)base)[at];
    if (kv->type == KV_F16)
        return quant_f16_to_f32(((const uint16_t *)(const void *)base)[at]);
    return (float)((const int8_t *)base)[at];
}

/* x times the step of position p, where there are steps (at `offset` in their page). */
static float times_step(float x, const struct kv_span *kv, size_t offset, size_t p)
{
    if (kv->type != KV_Q8)
        return x;
    return x * ((const float *)(const void *)(kv_page(kv, p) + offset))[p % kv->page_tokens];
}

static void attend(const struct attend_part *part, const struct attend_tile *t,
                   const struct kv_span *kv, size_t n, float *scratch)
{
    trit_assert(kv->page_tokens > 0 && (kv->page_tokens & (kv->page_tokens - 1)) == 0);
    trit_assert(kv->type == KV_Q8 || kv->type == KV_F16 || kv->type == KV_F32);
    trit_assert(n >= 1 && kv->page_tokens <= ATTEND_RANGE);
    size_t head_dim = t->head_dim;
    for (size_t j = 0; j < t->n_rows * t->n_q; j++) {
        const float *q = t->q + j / t->n_q * t->q_stride + j % t->n_q * head_dim;
        float *e = scratch, *mix = part->mix + j * attend_width(head_dim), max = -INFINITY;
        size_t end = n + j / t->n_q, seen = MIN(end, (size_t)ATTEND_RANGE);
        size_t from = t->window && end > t->window ? end - t->window : 0;
        trit_assert(from < seen);
        for (size_t p = from; p < seen; p++) {
            float lane[LANES] = {0};
            for (size_t i = 0; i < head_dim; i++)
                lane[i % LANES] =
                    fmaf(q[i], kv_value(kv, kv->k_offset, p, head_dim, i), lane[i % LANES]);
            e[p] = sum_lanes(lane) * times_step(t->scale, kv, kv->k_steps, p);
            max = e[p] > max ? e[p] : max;
        }
        part->max[j] = max + 0.0f;
        part->sum[j] = exp_shift(e + from, e + from, max, seen - from);
        memset(mix, 0, head_dim * sizeof *mix);
        for (size_t p = from; p < seen; p++) {
            float w = times_step(e[p], kv, kv->v_steps, p);
            for (size_t i = 0; i < head_dim; i++)
                mix[i] = fmaf(w, kv_value(kv, kv->v_offset, p, head_dim, i), mix[i]);
        }
    }
}

static void attend_merge(const struct attend_part *to, const struct attend_part *from, size_t n,
                         size_t head_dim)
{
    for (size_t j = 0; j < n; j++) {
        float max = from->max[j] > to->max[j] ? from->max[j] : to->max[j];
        float a = exp_f32(to->max[j] - max), b = exp_f32(from->max[j] - max);
        to->max[j] = max;
        to->sum[j] = fmaf(from->sum[j], b, to->sum[j] * a);
        for (size_t i = j * attend_width(head_dim), end = i + head_dim; i < end; i++)
            to->mix[i] = fmaf(from->mix[i], b, to->mix[i] * a);
    }
}

static void attend_finish(float *out, const struct attend_part *part, size_t n, size_t head_dim)
{
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < head_dim; i++)
            out[j * head_dim + i] = part->mix[j * attend_width(head_dim) + i] / part->sum[j];
}

static void delta(const struct delta_rows *t)
{
    for (size_t r = 0; r < t->n_rows; r++) {
        const float *q = t->q + r * t->stride, *k = t->k + r * t->stride;
        for (size_t j = 0; j < t->dim; j++) {
            float *s = t->state + j / LANES * LANES * t->dim + j % LANES; /* S[i][j] is s[LANES * i] */
            float *v = t->v + r * t->stride + j, told = 0, out = 0;
            for (size_t i = 0; i < t->dim; i++)
                told += (s[LANES * i] * t->decay[r]) * k[i];
            float d = (*v - told) * t->rate[r];
            for (size_t i = 0; i < t->dim; i++) {
                s[LANES * i] = s[LANES * i] * t->decay[r] + d * k[i];
                out += s[LANES * i] * q[i];
            }
            *v = out;
        }
    }
}

static size_t argmax(const float *x, size_t n, float *max)
{
    trit_assert(n >= 1);
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) {
            *max = NAN;
            return SIZE_MAX;
        }
        if (x[i] > x[best])
            best = i;
    }
    *max = x[best];
    return best;
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .layout = LAYOUT_T2,
    .cpu = 0,
    .quantise = quantise,
    .ternary = ternary,
    .signs = scalar_signs,
    .billm = scalar_billm,
    .head_f16 = head_f16,
    .head_q8 = head_q8,
    .head_coarse = head_coarse,
    .head_split = head_split,
    .rmsnorm = rmsnorm,
    .glu = glu,
    .add = add,
    .rope = rope,
    .to_f16 = to_f16,
    .to_q8 = to_q8,
    .attend = attend,
    .attend_merge = attend_merge,
    .attend_finish = attend_finish,
    .exp_shift = exp_shift,
    .delta = delta,
    .argmax = argmax,
};
