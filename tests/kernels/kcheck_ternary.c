/* SPDX-License-Identifier: MIT */
/*
 * kcheck_ternary.c - the ternary product and the quantisation of its inputs.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

/* A layer with its trits in the open, and activations for it. */
struct setting {
    struct linear w;
    int8_t *trits; /* [tiles * 16][cols] */
    struct acts a;
    size_t n_tokens;
};

static void new_acts(struct acts *a, const struct linear *w, size_t n_tokens)
{
    a->q_stride = round_up(layout_acts(w), 64) + 64 * kc_below(2);
    a->n_groups = w->n_groups;
    a->q = kc_new(n_tokens * a->q_stride, KC_LINE);
    a->step = kc_new(n_tokens * w->n_groups * sizeof(float), 4);
    a->sum = kc_new(n_tokens * w->n_groups * sizeof(int32_t), 4);
}

/* What the data are like: random, or the vectors that overflow what is too narrow. */
enum fill {
    FILL_RANDOM,
    FILL_TOP,    /* code 2 times 127 */
    FILL_BOTTOM, /* code 2 times -128 */
    FILL_MIXED,  /* codes 0 or 2 times 127 or -128 */
    FILL_SCALES, /* random, scales and steps of every size */
    FILL_KINDS,
};

static int8_t make_trit(enum fill fill)
{
    if (fill == FILL_TOP || fill == FILL_BOTTOM)
        return 1;
    if (fill == FILL_MIXED)
        return kc_below(2) ? 1 : -1;
    return (int8_t)((int)kc_below(3) - 1);
}

static int8_t make_act(enum fill fill)
{
    if (fill == FILL_TOP || (fill == FILL_MIXED && kc_below(2)))
        return 127;
    if (fill == FILL_BOTTOM || fill == FILL_MIXED)
        return -128;
    return (int8_t)((int)kc_below(256) - 128);
}

static struct setting new_setting(enum layout_id layout, uint32_t rows, uint32_t cols,
                                  uint32_t group, size_t n_tokens, enum fill fill)
{
    struct setting s = {.n_tokens = n_tokens};
    struct linear *w = &s.w;
    layout_shape(w, layout, rows, cols, group);
    size_t tiles = layout_tiles(w);
    uint8_t *codes = kc_new(layout_code_bytes(w), KC_LINE);
    void *scales = kc_new(layout_scale_bytes(w), KC_LINE);
    s.trits = kc_new(tiles * LAYOUT_TILE * cols, 1);
    memset(s.trits, 0, tiles * LAYOUT_TILE * cols);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        s.trits[i] = make_trit(fill);
    for (size_t t = 0; t < tiles; t++)
        layout_pack_tile(w, s.trits + t * LAYOUT_TILE * cols, codes + t * w->tile_bytes);
    for (size_t i = 0; i < tiles * LAYOUT_TILE * w->n_groups; i++) {
        float scale = fill == FILL_SCALES ? kc_wild() : 0.01f + fabsf(kc_unit());
        if (w->n_groups == 1)
            ((float *)scales)[i] = scale;
        else
            ((uint16_t *)scales)[i] = quant_f32_to_f16(scale);
    }
    w->codes = codes;
    w->scales = w->n_groups == 1 ? scales : NULL;
    w->group_scales = w->n_groups == 1 ? NULL : scales;

    new_acts(&s.a, w, n_tokens);
    memset(s.a.q, 0, n_tokens * s.a.q_stride);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t g = 0; g < w->n_groups; g++) {
            int32_t sum = 0;
            int8_t *q = s.a.q + t * s.a.q_stride + g * group;
            for (size_t i = 0; i < group; i++)
                sum += q[i] = make_act(fill);
            s.a.step[t * w->n_groups + g] = fill == FILL_SCALES ? kc_wild() : fabsf(kc_unit());
            s.a.sum[t * w->n_groups + g] = sum;
        }
    return s;
}

/* Row by row in 64-bit integers and double, from the trits; within the roundings that are allowed.
 */
static void compare_with_truth(const struct setting *s, const float *out, size_t stride,
                               size_t row0, size_t row1)
{
    const struct linear *w = &s->w;
    for (size_t t = 0; t < s->n_tokens; t++)
        for (size_t row = row0; row < row1; row++) {
            double want = 0, size = 0;
            for (size_t g = 0; g < w->n_groups; g++) {
                int64_t dot = 0;
                const int8_t *q = s->a.q + t * s->a.q_stride + g * w->group;
                for (size_t i = 0; i < w->group; i++)
                    dot += s->trits[row * w->cols + g * w->group + i] * q[i];
                size_t at = (row / LAYOUT_TILE * w->n_groups + g) * LAYOUT_TILE + row % LAYOUT_TILE;
                float scale =
                    w->n_groups == 1 ? w->scales[at] : quant_f16_to_f32(w->group_scales[at]);
                double term = (double)dot * (double)scale * (double)s->a.step[t * w->n_groups + g];
                want += term;
                size += fabs(term);
            }
            kc_near("out", t * stride + row, (double)out[t * stride + row], want,
                    size * (double)(w->n_groups + 3) * 0x1p-24 + 1e-40);
        }
}

static void ternary_case(const struct kernels *k, enum layout_id layout, uint32_t rows,
                         uint32_t cols, uint32_t group, size_t n_tokens, enum fill fill)
{
    kc_case("%s, %u rows, %u columns, groups of %u, %zu tokens, fill %d", layout_name(layout), rows,
            cols, group, n_tokens, fill);
    struct setting s = new_setting(layout, rows, cols, group, n_tokens, fill);
    size_t tiles = layout_tiles(&s.w), stride = rows + kc_below(5);
    size_t tile0 = kc_below(3) ? 0 : kc_below((uint32_t)tiles);
    size_t tile1 = kc_below(3) ? tiles : tile0 + kc_below((uint32_t)(tiles - tile0 + 1));
    /* The last token ends with the last row. */
    size_t n = (n_tokens - 1) * stride + rows;
    float *out = kc_new(n * sizeof *out, 4);
    k->ternary(out, stride, &s.w, tile0, tile1, &s.a, n_tokens);
    if (k == kc_scalar) {
        size_t row1 = MIN(tile1 * LAYOUT_TILE, (size_t)rows);
        if (fill != FILL_SCALES)
            compare_with_truth(&s, out, stride, MIN(tile0 * LAYOUT_TILE, row1), row1);
    } else {
        float *want = kc_new(n * sizeof *want, 4);
        kc_scalar->ternary(want, stride, &s.w, tile0, tile1, &s.a, n_tokens);
        kc_same_floats("out", out, want, n);
    }
    kc_end();
}

static void ternary_cases(const struct kernels *k, enum layout_id layout)
{
    for (uint32_t cols = 1; cols <= 70; cols++)
        ternary_case(k, layout, 1 + kc_below(40), cols, cols, 1 + kc_below(10), FILL_RANDOM);
    for (uint32_t tokens = 1; tokens <= 33; tokens++) {
        ternary_case(k, layout, 33, 396, 396, tokens, FILL_RANDOM);
        ternary_case(k, layout, 50, 384, 128, tokens, FILL_RANDOM);
        ternary_case(k, layout, 37, 64 * 11, 64, tokens, FILL_RANDOM);
        ternary_case(k, layout, 70, 256 * 7, 256, tokens, FILL_RANDOM);
    }
    /* Groups of every length that meets blocks, units and stretches differently; then some so long
     * that none of these holds a whole one. */
    for (uint32_t group = 64; group <= 1024; group += 64)
        for (uint32_t n = 2; n <= 5; n++)
            ternary_case(k, layout, 20 + 16 * kc_below(4), group * n, group, 1 + kc_below(70),
                         FILL_RANDOM);
    /* Every way a kernel may cut the work: many tokens, long groups, short ones, long rows. */
    static const struct {
        uint32_t rows, cols, group, tokens;
    } shapes[] = {
        {48, 2560, 2560, 1}, {48, 2560, 2560, 6},   {64, 2560, 128, 3},   {80, 2560, 64, 8},
        {48, 2560, 64, 13},  {33, 2176, 2176, 12},  {17, 2560, 128, 65},  {33, 800, 800, 130},
        {48, 2048, 1024, 9}, {40, 3072, 1536, 2},   {16, 5460, 5460, 5},  {32, 6912, 6912, 1},
        {47, 6912, 6912, 9}, {16, 8640, 8640, 4},   {20, 8640, 8640, 17}, {100, 64, 64, 7},
        {96, 6912, 64, 2},   {64, 1600, 1600, 128}, {35, 780, 780, 24},   {200, 128, 128, 1},
        {50, 300, 300, 257}, {33, 2560, 2560, 300}, {90, 6912, 6912, 16}, {90, 2688, 128, 300},
        {33, 1920, 128, 64}, {49, 2304, 256, 129},  {33, 6912, 6912, 70}, {20, 3520, 3520, 40},
        {17, 1344, 64, 257}, {40, 6144, 2048, 70}, {20, 6528, 128, 70},   {33, 10752, 384, 65},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        ternary_case(k, layout, shapes[i].rows, shapes[i].cols, shapes[i].group, shapes[i].tokens,
                     FILL_RANDOM);
    for (enum fill fill = FILL_TOP; fill < FILL_KINDS; fill++)
        for (uint32_t tokens = 1; tokens <= 21; tokens += 5) {
            ternary_case(k, layout, 20, 8640, 8640, tokens, fill);
            ternary_case(k, layout, 20, 1280, 128, tokens, fill);
        }
}

void kc_ternary(const struct kernels *k)
{
    ternary_cases(k, k->layout);
    if (k == kc_scalar) /* It reads the other one too, as the reference for those who do. */
        ternary_cases(k, LAYOUT_T5);
}

/* Quantisation from its definition, with the slack of one rounding more or less. */
static void compare_quantised(const struct linear *w, const struct acts *a, size_t token,
                              const float *x)
{
    const int8_t *q = a->q + token * a->q_stride;
    for (size_t g = 0; g < w->n_groups; g++) {
        double max = 1e-5;
        int64_t sum = 0;
        for (size_t i = 0; i < w->group; i++)
            max = fmax(max, fabs((double)x[g * w->group + i]));
        for (size_t i = g * w->group; i < (g + 1) * w->group; i++) {
            kc_near("q", i, q[i], (double)x[i] * 127 / max, 0.5 + 3e-5);
            sum += q[i];
        }
        kc_near("step", g, (double)a->step[token * a->n_groups + g], max / 127,
                max / 127 * 0x1p-23);
        kc_near("sum", g, a->sum[token * a->n_groups + g], (double)sum, 0);
    }
    for (size_t i = w->cols; i < a->q_stride; i++)
        kc_near("padding", i, q[i], 0, 0);
}

static void quantise_case(const struct kernels *k, enum layout_id layout, uint32_t cols,
                          uint32_t group, const float *given)
{
    kc_case("%s, %u columns in groups of %u%s", layout_name(layout), cols, group,
            given ? ", given" : "");
    struct linear w;
    struct acts got, want;
    size_t n_tokens = 3, token = kc_below(3);
    layout_shape(&w, layout, 16, cols, group);
    new_acts(&got, &w, n_tokens);
    float *x = kc_new(cols * sizeof *x, 4);
    if (given) {
        memcpy(x, given, cols * sizeof *x);
    } else {
        kc_fill_unit(x, cols, ldexpf(1, (int)kc_below(60) - 30));
        if (kc_below(8) == 0)
            memset(x, 0, cols * sizeof *x);
        if (kc_below(4) == 0)
            x[kc_below(cols)] = kc_wild();
    }
    k->quantise(&w, &got, token, x);
    if (k == kc_scalar) {
        bool finite = true;
        for (size_t i = 0; i < cols; i++)
            finite &= isfinite(x[i]);
        if (finite)
            compare_quantised(&w, &got, token, x);
    } else {
        new_acts(&want, &w, n_tokens);
        want.q_stride = got.q_stride;
        want.q = kc_new(n_tokens * want.q_stride, KC_LINE);
        kc_scalar->quantise(&w, &want, token, x);
        kc_same_bytes("q", got.q, want.q, n_tokens * want.q_stride);
        kc_same_floats("step", got.step, want.step, n_tokens * w.n_groups);
        kc_same_bytes("sum", got.sum, want.sum, n_tokens * w.n_groups * sizeof(int32_t));
    }
    kc_end();
}

/* With a maximum of 127 the factor is 1, and ties are seen as they are. */
static void quantise_ties(const struct kernels *k)
{
    static const float x[] = {127.0f, 0.5f,  1.5f,  2.5f, -0.5f,  -1.5f,  -2.5f,
                              126.5f, 0.49f, 0.51f, 3.0f, -127.f, -126.5f};
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, -2, 126, 0, 1, 3, -127, -126};
    kc_case("ties");
    struct linear w;
    struct acts a;
    layout_shape(&w, k->layout, 16, ARRAY_LEN(x), ARRAY_LEN(x));
    new_acts(&a, &w, 1);
    k->quantise(&w, &a, 0, x);
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        kc_near("q", i, a.q[i], want[i], 0);
    kc_end();
}

/* A NaN must be seen by every output: it is in the step. */
static void quantise_nan(const struct kernels *k)
{
    kc_case("NaN");
    struct linear w;
    struct acts a;
    float x[128];
    layout_shape(&w, k->layout, 16, 128, 64);
    for (size_t at = 0; at < ARRAY_LEN(x); at++) {
        new_acts(&a, &w, 1);
        kc_fill_unit(x, ARRAY_LEN(x), 1);
        x[at] = at % 2 ? NAN : -NAN;
        k->quantise(&w, &a, 0, x);
        if (!isnan(a.step[at / 64]) || isnan(a.step[1 - at / 64]))
            kc_fail("steps %g and %g with a NaN at %zu", (double)a.step[0], (double)a.step[1], at);
        kc_end();
    }
}

void kc_quantise(const struct kernels *k)
{
    quantise_ties(k);
    quantise_nan(k);
    for (uint32_t cols = 1; cols <= 70; cols++)
        quantise_case(k, k->layout, cols, cols, NULL);
    for (unsigned i = 0; i < 40; i++) {
        uint32_t group = 64 * (1 + kc_below(4));
        quantise_case(k, k->layout, group * (1 + kc_below(20)), group, NULL);
    }
    quantise_case(k, k->layout, 2560, 2560, NULL);
    quantise_case(k, k->layout, 6912, 128, NULL);
    float x[192];
    for (unsigned i = 0; i < 30; i++) {
        for (size_t j = 0; j < ARRAY_LEN(x); j++)
            x[j] = kc_wild();
        if (i % 3 == 0)
            x[kc_below(65)] = NAN;
        quantise_case(k, k->layout, i % 2 ? 65 : 192, i % 2 ? 65 : 64, x);
    }
}
