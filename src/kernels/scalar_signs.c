/* SPDX-License-Identifier: MIT */
/*
 * scalar_signs.c - the specification of the products of signs: scalar.c's part for the methods of
 * model/method.h.
 *
 * Not here: speed.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"
#include "kernels/variants.h"

enum { COLS = 32, PLANE = 64 }; /* columns and bytes of a block of one plane */

/* Bit of row r, column c of a block. */
static unsigned bit_at(const uint8_t *block, unsigned r, unsigned c)
{
    return block[4 * r + c % 4] >> c / 4 & 1;
}

static void check(const struct linear *w, size_t out_stride, size_t tile0, size_t tile1,
                  const struct acts *a)
{
    trit_assert(tile0 <= tile1 && tile1 <= layout_tiles(w));
    trit_assert(a->n_groups == w->n_groups);
    trit_assert(a->q_stride >= layout_acts(w) && out_stride >= w->rows);
}

void scalar_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens)
{
    trit_assert(w->layout == LAYOUT_S1 && w->n_groups == 1);
    check(w, out_stride, tile0, tile1, a);
    size_t end = MIN(tile1 * LAYOUT_TILE, (size_t)w->rows);
    for (size_t row = tile0 * LAYOUT_TILE; row < end; row++)
        for (size_t token = 0; token < n_tokens; token++) {
            const uint8_t *block = w->codes + row / LAYOUT_TILE * w->tile_bytes;
            const int8_t *q = a->q + token * a->q_stride;
            int32_t dot = 0;
            for (size_t c = 0; c < w->cols; c++)
                dot +=
                    (int32_t)bit_at(block + c / COLS * PLANE, row % LAYOUT_TILE, c % COLS) * q[c];
            float value = (float)(2 * dot - a->sum[token]);
            out[token * out_stride + row] = value * (w->scales[row] * a->step[token]);
        }
}

/* Sums of a group: over the salient columns U, E, F, over the others T, A, B, AB; see kernels.h. */
struct sums {
    int32_t u, e, f, t, a, b, ab;
};

/* What a group of a row adds to acc. */
static float add_group(float acc, const float m[BILLM_LEVELS], const struct sums *s, float step)
{
    float small = m[0] - m[1], large = m[2] - m[3];
    float v = ((m[4] - m[5]) - m[6]) * (float)s->u;
    v = fmaf(2 * m[5], (float)s->e, v);
    v = fmaf(2 * m[6], (float)s->f, v);
    v = fmaf(small, (float)s->t, v);
    v = fmaf(2 * m[1], (float)s->a, v);
    v = fmaf(large - small, (float)s->b, v);
    v = fmaf(2 * (m[3] - m[1]), (float)s->ab, v);
    return fmaf(v, step, acc);
}

void scalar_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *acts, size_t n_tokens)
{
    trit_assert(w->layout == LAYOUT_S2 && w->group == BILLM_BLOCK);
    check(w, out_stride, tile0, tile1, acts);
    size_t end = MIN(tile1 * LAYOUT_TILE, (size_t)w->rows);
    for (size_t row = tile0 * LAYOUT_TILE; row < end; row++)
        for (size_t token = 0; token < n_tokens; token++) {
            size_t tile = row / LAYOUT_TILE;
            unsigned r = row % LAYOUT_TILE;
            float acc = 0;
            for (size_t g = 0; g < w->n_groups; g++) {
                const int8_t *q = acts->q + token * acts->q_stride + g * BILLM_BLOCK;
                const uint8_t *block =
                    w->codes + tile * w->tile_bytes + g * BILLM_BLOCK / COLS * 2 * PLANE;
                const uint16_t *levels =
                    w->group_scales + (tile * w->n_groups + g) * BILLM_LEVELS * LAYOUT_TILE + r;
                float m[BILLM_LEVELS];
                struct sums s = {0};
                for (unsigned c = 0; c < BILLM_BLOCK; c++) {
                    const uint8_t *at = block + c / COLS * 2 * PLANE;
                    int32_t first = (int32_t)bit_at(at, r, c % COLS);
                    int32_t second = (int32_t)bit_at(at + PLANE, r, c % COLS);
                    if (c < w->n_salient[g]) {
                        s.u += q[c];
                        s.e += first * q[c];
                        s.f += second * q[c];
                    } else {
                        s.t += q[c];
                        s.a += first * q[c];
                        s.b += second * q[c];
                        s.ab += first * second * q[c];
                    }
                }
                for (unsigned i = 0; i < BILLM_LEVELS; i++)
                    m[i] = quant_f16_to_f32(levels[i * LAYOUT_TILE]);
                acc = add_group(acc, m, &s, acts->step[token * acts->n_groups + g]);
            }
            out[token * out_stride + row] = acc;
        }
}
