/* SPDX-License-Identifier: MIT */
/*
 * kcheck_signs.c - the products of signs, and what stands around them.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

/* A layer with its planes in the open, and activations for it. */
struct setting {
    struct linear w;
    int8_t *first, *second; /* [tiles * 16][cols], -1 or +1 */
    struct acts a;
    size_t n_tokens;
};

/* What the data are like: random, or what overflows where something is too narrow. */
enum fill {
    FILL_RANDOM,
    FILL_TOP,    /* bits set, times 127 */
    FILL_BOTTOM, /* bits set, times -128 */
    FILL_SCALES, /* random, scales, levels and steps of every size */
    FILL_KINDS,
};

static int8_t *new_plane(const struct linear *w, enum fill fill)
{
    size_t n = (size_t)layout_tiles(w) * LAYOUT_TILE * w->cols;
    int8_t *signs = kc_new(n, 1);
    for (size_t i = 0; i < n; i++)
        signs[i] = fill == FILL_TOP || fill == FILL_BOTTOM || kc_below(2) ? 1 : -1;
    return signs;
}

static void fill_acts(struct setting *s, enum fill fill)
{
    const struct linear *w = &s->w;
    struct acts *a = &s->a;
    a->q_stride = round_up(layout_acts(w), 64) + 64 * kc_below(2);
    a->n_groups = w->n_groups;
    a->q = kc_new(s->n_tokens * a->q_stride, KC_LINE);
    a->step = kc_new(s->n_tokens * w->n_groups * sizeof(float), 4);
    a->sum = kc_new(s->n_tokens * w->n_groups * sizeof(int32_t), 4);
    memset(a->q, 0, s->n_tokens * a->q_stride);
    for (size_t i = 0; i < s->n_tokens * w->n_groups; i++) {
        int8_t *q = a->q + i / w->n_groups * a->q_stride + i % w->n_groups * w->group;
        int32_t sum = 0;
        for (size_t c = 0; c < w->group; c++)
            sum += q[c] = (int8_t)(fill == FILL_TOP      ? 127
                                   : fill == FILL_BOTTOM ? -128
                                                         : (int)kc_below(256) - 128);
        a->step[i] = fill == FILL_SCALES ? kc_wild() : fabsf(kc_unit());
        a->sum[i] = sum;
    }
}

static struct setting new_setting(enum layout_id layout, uint32_t rows, uint32_t cols,
                                  size_t n_tokens, enum fill fill)
{
    struct setting s = {.n_tokens = n_tokens};
    struct linear *w = &s.w;
    bool billm = layout == LAYOUT_S2;
    layout_shape(w, layout, rows, cols, billm ? BILLM_BLOCK : cols);
    size_t tile = (size_t)LAYOUT_TILE * cols;
    uint8_t *codes = kc_new(layout_code_bytes(w), KC_LINE);
    void *scales = kc_new(layout_scale_bytes(w), KC_LINE);
    s.first = new_plane(w, fill);
    s.second = new_plane(w, fill);
    for (size_t t = 0; t < layout_tiles(w); t++)
        if (billm)
            layout_pack_planes(w, s.first + t * tile, s.second + t * tile,
                               codes + t * w->tile_bytes);
        else
            layout_pack_tile(w, s.first + t * tile, codes + t * w->tile_bytes);
    size_t n = layout_scale_bytes(w) / (billm ? sizeof(uint16_t) : sizeof(float));
    for (size_t i = 0; i < n; i++) {
        float scale = fill == FILL_SCALES ? kc_wild() : kc_unit();
        if (billm)
            ((uint16_t *)scales)[i] = quant_f32_to_f16(scale);
        else
            ((float *)scales)[i] = scale;
    }
    w->codes = codes;
    w->scales = billm ? NULL : scales;
    w->group_scales = billm ? scales : NULL;
    if (billm) {
        uint8_t *n_salient = kc_new(w->n_groups, 1);
        uint32_t most = kc_below(3) ? BILLM_BLOCK : 20; /* of a group; none and all are possible */
        for (size_t g = 0; g < w->n_groups; g++)
            n_salient[g] = (uint8_t)(kc_below(8) ? kc_below(most + 1) : kc_below(2) * BILLM_BLOCK);
        w->n_salient = n_salient;
    }
    fill_acts(&s, fill);
    return s;
}

/* Weight [row, col] of a layer as a number. */
static double weight(const struct setting *s, size_t row, size_t col)
{
    const struct linear *w = &s->w;
    double a = s->first[row * w->cols + col], b = s->second[row * w->cols + col], m[BILLM_LEVELS];
    if (w->layout == LAYOUT_S1)
        return a * (double)w->scales[row];
    size_t g = col / BILLM_BLOCK, tile = row / LAYOUT_TILE;
    for (size_t i = 0; i < BILLM_LEVELS; i++) {
        size_t at = ((tile * w->n_groups + g) * BILLM_LEVELS + i) * LAYOUT_TILE + row % LAYOUT_TILE;
        m[i] = (double)quant_f16_to_f32(w->group_scales[at]);
    }
    if (col % BILLM_BLOCK < w->n_salient[g])
        return m[4] + m[5] * a + m[6] * b;
    return b > 0 ? m[2] + m[3] * a : m[0] + m[1] * a;
}

static void compare_with_truth(const struct setting *s, const float *out, size_t stride,
                               size_t row0, size_t row1)
{
    const struct linear *w = &s->w;
    for (size_t t = 0; t < s->n_tokens; t++)
        for (size_t row = row0; row < row1; row++) {
            double want = 0, size = 0;
            for (size_t c = 0; c < w->cols; c++) {
                double x = s->a.q[t * s->a.q_stride + c] *
                           (double)s->a.step[t * w->n_groups + c / w->group];
                want += weight(s, row, c) * x;
                size += 8 * fabs(x); /* what the terms of a group are at most */
            }
            double slack = w->layout == LAYOUT_S1 ? fabs(want) * 4 * 0x1p-24 + size * 0x1p-48
                                                  : size * (double)(w->n_groups + 8) * 0x1p-24;
            kc_near("out", t * stride + row, (double)out[t * stride + row], want, slack + 1e-30);
        }
}

typedef void (*product_fn)(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                           size_t tile1, const struct acts *a, size_t n_tokens);

static product_fn product_of(const struct kernels *k, enum layout_id layout)
{
    return layout == LAYOUT_S1 ? k->signs : k->billm;
}

static void signs_case(const struct kernels *k, enum layout_id layout, uint32_t rows, uint32_t cols,
                       size_t n_tokens, enum fill fill)
{
    kc_case("%s, %u rows, %u columns, %zu tokens, fill %d", layout_name(layout), rows, cols,
            n_tokens, fill);
    struct setting s = new_setting(layout, rows, cols, n_tokens, fill);
    size_t tiles = layout_tiles(&s.w), stride = rows + kc_below(5);
    size_t tile0 = kc_below(3) ? 0 : kc_below((uint32_t)tiles);
    size_t tile1 = kc_below(3) ? tiles : tile0 + kc_below((uint32_t)(tiles - tile0 + 1));
    size_t n = (n_tokens - 1) * stride + rows;
    float *out = kc_new(n * sizeof *out, 4);
    product_of(k, layout)(out, stride, &s.w, tile0, tile1, &s.a, n_tokens);
    if (k == kc_scalar) {
        size_t row1 = MIN(tile1 * LAYOUT_TILE, (size_t)rows);
        if (fill != FILL_SCALES)
            compare_with_truth(&s, out, stride, MIN(tile0 * LAYOUT_TILE, row1), row1);
    } else {
        float *want = kc_new(n * sizeof *want, 4);
        product_of(kc_scalar, layout)(want, stride, &s.w, tile0, tile1, &s.a, n_tokens);
        kc_same_floats("out", out, want, n);
    }
    kc_end();
}

void kc_signs(const struct kernels *k)
{
    for (uint32_t cols = 1; cols <= 70; cols++)
        signs_case(k, LAYOUT_S1, 1 + kc_below(40), cols, 1 + kc_below(10), FILL_RANDOM);
    for (uint32_t tokens = 1; tokens <= 27; tokens++) {
        signs_case(k, LAYOUT_S1, 33, 396, tokens, FILL_RANDOM);
        signs_case(k, LAYOUT_S1, 150, 64 * 17, tokens, FILL_RANDOM);
    }
    for (uint32_t tokens = 30; tokens <= 560; tokens += 10 + kc_below(90))
        signs_case(k, LAYOUT_S1, 20, 64 * 3 + kc_below(64), tokens, FILL_RANDOM);
    /* Rows longer than what sixteen bits hold. */
    for (enum fill fill = FILL_RANDOM; fill < FILL_KINDS; fill++)
        for (uint32_t tokens = 1; tokens <= 13; tokens += 3)
            signs_case(k, LAYOUT_S1, 20, 5460, tokens, fill);
}

void kc_billm(const struct kernels *k)
{
    for (uint32_t tokens = 1; tokens <= 13; tokens++)
        for (uint32_t groups = 1; groups <= 5; groups++)
            signs_case(k, LAYOUT_S2, 1 + kc_below(60), BILLM_BLOCK * groups, tokens, FILL_RANDOM);
    for (uint32_t tokens = 30; tokens <= 560; tokens += 10 + kc_below(90))
        signs_case(k, LAYOUT_S2, 20, BILLM_BLOCK * 3, tokens, FILL_RANDOM);
    for (enum fill fill = FILL_RANDOM; fill < FILL_KINDS; fill++)
        for (uint32_t tokens = 1; tokens <= 17; tokens += 1 + tokens / 5 * 5)
            signs_case(k, LAYOUT_S2, 20, 2560, tokens, fill);
}

/* One body serves all. */
void kc_arrange(const struct kernels *k)
{
    for (size_t n = 0; k == kc_scalar && n <= 3 * BILLM_BLOCK; n += BILLM_BLOCK) {
        kc_case("%zu values", n);
        float *x = kc_new(n * sizeof *x, 4), *y = kc_new(n * sizeof *y, 4);
        float *want = kc_new(n * sizeof *want, 4);
        uint8_t *order = kc_new(n, 1);
        kc_fill_unit(x, n, 1);
        for (size_t i = 0; i < n; i++) {
            order[i] = (uint8_t)kc_below(BILLM_BLOCK);
            want[i] = x[i - i % BILLM_BLOCK + order[i]];
        }
        kernels_arrange(y, x, order, n);
        kc_same_floats("y", y, want, n);
        kc_end();
    }
    kc_case("nothing");
    kc_end();
}

/* A sum as kernels.h has it: x[i] in lane i % 16, then lanes by halves. */
static float lane_sum(const float *x, size_t n)
{
    float lane[16] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % 16] += x[i];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* One rounding after another, as kernels.h says. */
static void told_layernorm(float *y, const float *x, const float *w, const float *b, float eps,
                           size_t n)
{
    float mean = lane_sum(x, n) / (float)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * (x[i] - mean);
    float r = 1.0f / sqrtf(lane_sum(y, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = w ? (x[i] - mean) * r * w[i] + b[i] : (x[i] - mean) * r;
}

/* One body serves all; it is held to what is told of it, bit for bit, and to plain arithmetic. */
void kc_layernorm(const struct kernels *k)
{
    for (size_t n = 1; k == kc_scalar && n <= 70; n++) {
        kc_case("%zu values", n);
        float *x = kc_new(n * sizeof *x, 4), *y = kc_new(n * sizeof *y, 4);
        float *w = kc_new(n * sizeof *w, 4), *b = kc_new(n * sizeof *b, 4);
        float *told = kc_new(n * sizeof *told, 4);
        kc_fill_unit(x, n, ldexpf(1, (int)kc_below(20) - 10));
        kc_fill_unit(w, n, 2);
        kc_fill_unit(b, n, 2);
        bool affine = n % 2;
        double mean = 0, squares = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        memcpy(y, x, n * sizeof *y);
        told_layernorm(told, x, affine ? w : NULL, affine ? b : NULL, 1e-5f, n);
        kernels_layernorm(y, y, affine ? w : NULL, affine ? b : NULL, 1e-5f, n);
        kc_same_floats("y", y, told, n);
        for (size_t i = 0; i < n; i++) {
            double want = ((double)x[i] - mean) / sqrt(squares / (double)n + 1e-5);
            kc_near("y", i, (double)y[i], affine ? want * (double)w[i] + (double)b[i] : want, 4e-5);
        }
        kc_end();
    }
    kc_case("nothing");
    kc_end();
}
