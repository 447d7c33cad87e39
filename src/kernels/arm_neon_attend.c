/* SPDX-License-Identifier: MIT */
/*
 * arm_neon_attend.c - attention for 64-bit ARM: blocks of 2 queries by 2 positions, and of 2
 * queries by 32 values.  attend.h walks over the range.
 */
#include "config.h"
#include "kernels/attend.h"
#include "kernels/arm_neon.h"

enum {
    QUERIES = 2,
    POSITIONS = 2,
    CHUNKS = 8, /* registers of a row that are mixed together */
};

/* Four values of the cache, or the first n and zeros. */
INLINE float32x4_t load_kv(const uint8_t *p, size_t n, const enum kv_type type)
{
    if (type == KV_F32)
        return neon_load((const float *)(const void *)p, n);
    if (type == KV_F16)
        return neon_load_f16((const uint16_t *)(const void *)p, n);
    uint64_t bytes = 0;
    __builtin_memcpy(&bytes, p, MIN(n, 4u));
    int16x8_t words = vmovl_s8(vcreate_s8(bytes));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}

INLINE void widen_typed(float *dst, const uint8_t *src, size_t n, const enum kv_type type)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(dst + i, load_kv(src + i * type, 4, type));
    for (; i < round_up(n, 16); i += 4)
        vst1q_f32(dst + i, i < n ? load_kv(src + i * type, n - i, type) : vdupq_n_f32(0));
}

static void widen(float *dst, const uint8_t *src, size_t n, enum kv_type type)
{
    ATTEND_TYPED(widen_typed, type, dst, src, n);
}

/* Scores of `queries` queries at two positions, whose keys k0 and k1 point at. */
INLINE void score_block(float *score, const float *q, size_t width, const uint8_t *k0,
                        const uint8_t *k1, const float *factor, const unsigned queries,
                        const enum kv_type type)
{
    struct neon_lanes16 sum[QUERIES * POSITIONS];
    foreach (i, QUERIES * POSITIONS)
        sum[i] = neon_zero();
    for (size_t d = 0; d < width; d += 16)
        foreach (c, 4) {
            const size_t at = (d + 4 * c) * type;
            float32x4_t a = load_kv(k0 + at, 4, type), b = load_kv(k1 + at, 4, type);
            foreach (j, queries) {
                float32x4_t x = vld1q_f32(q + j * width + d + 4 * c);
                sum[2 * j].v[c] = vfmaq_f32(sum[2 * j].v[c], x, a);
                sum[2 * j + 1].v[c] = vfmaq_f32(sum[2 * j + 1].v[c], x, b);
            }
        }
    float32x2_t f = vld1_f32(factor);
    float32x4_t s = vmulq_f32(neon_sum4(sum), vcombine_f32(f, f));
    vst1_f32(score, vget_low_f32(s));
    if (queries > 1)
        vst1_f32(score + ATTEND_STRIDE, vget_high_f32(s));
}

INLINE void score_typed(float *score, const float *q, size_t n_queries, size_t width,
                        const uint8_t *k, size_t count, const float *factor,
                        const enum kv_type type)
{
    const size_t row = width * type;
    for (size_t j = 0; j < n_queries; j += QUERIES)
        for (size_t i = 0; i < count; i += POSITIONS) {
            const uint8_t *k0 = k + i * row, *k1 = k + MIN(i + 1, count - 1) * row;
            float *to = score + j * ATTEND_STRIDE + i;
            if (n_queries - j >= QUERIES)
                score_block(to, q + j * width, width, k0, k1, factor + i, QUERIES, type);
            else
                score_block(to, q + j * width, width, k0, k1, factor + i, 1, type);
        }
}

static void score(float *score, const float *q, size_t n_queries, size_t width,
                  struct attend_rows k, size_t count, const float *factor)
{
    ATTEND_TYPED(score_typed, k.type, score, q, n_queries, width, k.at, count, factor);
}

static float max_of(const float *x, size_t n)
{
    float32x4_t max = vdupq_n_f32(-__builtin_inff());
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t v = neon_load_filled(x + i, n - i, max);
        max = vbslq_f32(vcgtq_f32(v, max), v, max);
    }
    return vmaxvq_f32(max);
}

static void weigh(float *e, const float *step, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        neon_store(e + i, n - i, vmulq_f32(neon_load(e + i, n - i), neon_load(step + i, n - i)));
}

/* `chunks` registers of the rows of `queries` queries. */
INLINE void mix_block(float *mix, const float *e, size_t width, const uint8_t *v, size_t count,
                      bool go_on, const unsigned queries, const unsigned chunks,
                      const enum kv_type type)
{
    float32x4_t sum[QUERIES][CHUNKS];
    foreach (j, queries)
        foreach (c, chunks)
            sum[j][c] = go_on ? vld1q_f32(mix + j * width + 4 * c) : vdupq_n_f32(0);
    for (size_t i = 0; i < count; i++, v += width * type)
        foreach (c, chunks) {
            float32x4_t x = load_kv(v + 4 * c * type, 4, type);
            foreach (j, queries)
                sum[j][c] = vfmaq_n_f32(sum[j][c], x, e[j * ATTEND_STRIDE + i]);
        }
    foreach (j, queries)
        foreach (c, chunks)
            vst1q_f32(mix + j * width + 4 * c, sum[j][c]);
}

INLINE void mix_queries(float *mix, const float *e, size_t width, const uint8_t *v, size_t count,
                        bool go_on, const unsigned queries, const enum kv_type type)
{
    size_t d = 0;
    for (; d + 32 <= width; d += 32)
        mix_block(mix + d, e, width, v + d * type, count, go_on, queries, CHUNKS, type);
    if (d < width)
        mix_block(mix + d, e, width, v + d * type, count, go_on, queries, CHUNKS / 2, type);
}

INLINE void mix_typed(float *mix, const float *e, size_t n_queries, size_t width, const uint8_t *v,
                      size_t count, bool go_on, const enum kv_type type)
{
    if (n_queries == QUERIES)
        mix_queries(mix, e, width, v, count, go_on, QUERIES, type);
    else
        mix_queries(mix, e, width, v, count, go_on, 1, type);
}

static void mix(float *mix, const float *e, size_t n_queries, size_t width, struct attend_rows v,
                size_t count, bool go_on)
{
    ATTEND_TYPED(mix_typed, v.type, mix, e, n_queries, width, v.at, count, go_on);
}

static void blend(float *y, float a, const float *x, float b, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        vst1q_f32(y + i, vfmaq_n_f32(vmulq_n_f32(vld1q_f32(y + i), a), vld1q_f32(x + i), b));
}

static void divide(float *y, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        neon_store(y + i, n - i, vdivq_f32(vld1q_f32(x + i), vdupq_n_f32(s)));
}

ATTEND_ENTRIES(neon, QUERIES)
