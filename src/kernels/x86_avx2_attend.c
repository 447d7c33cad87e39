/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2_attend.c - attention for AVX2: blocks of 2 queries by 2 positions, or of 4 by 16 that
 * are turned, and of 2 queries by 32 values.  attend.h walks over the range.
 */
#include "config.h"
#include "kernels/attend.h"
#include "kernels/x86_avx2.h"

enum {
    QUERIES = 2,
    POSITIONS = 2,
    TURNED = 4, /* queries by 16 positions that are turned */
    CHUNKS = 4, /* registers of a row that are mixed together */
};

/* Eight values of the cache, or the first n and zeros. */
INLINE __m256 load_kv(const uint8_t *p, size_t n, const enum kv_type type)
{
    if (type == KV_F32)
        return avx2_load((const float *)(const void *)p, n);
    if (type == KV_F16)
        return avx2_load_f16((const uint16_t *)(const void *)p, n);
    uint64_t bytes = 0;
    __builtin_memcpy(&bytes, p, MIN(n, sizeof bytes));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)bytes)));
}

INLINE void widen_typed(float *dst, const uint8_t *src, size_t n, const enum kv_type type)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(dst + i, load_kv(src + i * type, 8, type));
    for (; i < round_up(n, 16); i += 8)
        _mm256_storeu_ps(dst + i,
                         i < n ? load_kv(src + i * type, n - i, type) : _mm256_setzero_ps());
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
    struct avx2_lanes16 sum[QUERIES * POSITIONS];
    foreach (i, QUERIES * POSITIONS)
        sum[i] = avx2_zero();
    for (size_t d = 0; d < width; d += 16) {
        const uint8_t *a = k0 + d * type, *b = k1 + d * type;
        __m256 a0 = load_kv(a, 8, type), a1 = load_kv(a + 8 * type, 8, type);
        __m256 b0 = load_kv(b, 8, type), b1 = load_kv(b + 8 * type, 8, type);
        foreach (j, queries) {
            const float *x = q + j * width + d;
            __m256 x0 = _mm256_loadu_ps(x), x1 = _mm256_loadu_ps(x + 8);
            sum[2 * j] = avx2_fma(x0, x1, a0, a1, sum[2 * j]);
            sum[2 * j + 1] = avx2_fma(x0, x1, b0, b1, sum[2 * j + 1]);
        }
    }
    __m128 f = _mm_setr_ps(factor[0], factor[1], factor[0], factor[1]);
    __m128 s = _mm_mul_ps(avx2_sum4(sum), f);
    _mm_storel_pi((__m64 *)(void *)score, s);
    if (queries > 1)
        _mm_storeh_pi((__m64 *)(void *)(score + ATTEND_STRIDE), s);
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

/* Transpose 8 x 8 floats. */
INLINE void transpose(__m256 r[8])
{
    __m256 t[8];
    foreach (i, 4) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    foreach (i, 2) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    foreach (i, 4) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    foreach (i, 8)
        r[i] = t[i];
}

static void turn(float *columns, const float *rows, size_t count, size_t width)
{
    const size_t steps = width / 16;
    for (size_t p = 0; p < ATTEND_BLOCK; p += 8)
        for (size_t d = 0; d < width; d += 8) {
            __m256 r[8];
            foreach (i, 8)
                r[i] = _mm256_loadu_ps(rows + MIN(p + i, count - 1) * width + d);
            transpose(r);
            float *to = columns + (d % 16 * steps + d / 16) * ATTEND_COLUMNS + p;
            foreach (c, 8)
                _mm256_storeu_ps(to + c * steps * ATTEND_COLUMNS, r[c]);
        }
}

/* One of the sixteen lanes of `queries` queries at sixteen positions: what a column says. */
INLINE void one_lane(__m256 sum[TURNED][2], const float *q, size_t width, const float *column,
                     const unsigned queries)
{
    foreach (j, queries)
        sum[j][0] = sum[j][1] = _mm256_setzero_ps();
    for (const float *end = q + width; q < end; q += 16, column += ATTEND_COLUMNS) {
        __m256 low = _mm256_loadu_ps(column), high = _mm256_loadu_ps(column + 8);
        foreach (j, queries) {
            __m256 x = _mm256_set1_ps(q[j * width]);
            sum[j][0] = _mm256_fmadd_ps(x, low, sum[j][0]);
            sum[j][1] = _mm256_fmadd_ps(x, high, sum[j][1]);
        }
    }
}

/* The tree over the lanes, as attend_lane walks it; sums that wait for their other half lie in
 * `half`. */
INLINE void score_columns(float *score, const float *q, size_t width, const float *columns,
                          const float *factor, const unsigned queries)
{
    __m256 half[4][TURNED][2];
    __m256 sum[TURNED][2];
    for (unsigned n = 0; n < 16; n++) {
        size_t c = attend_lane[n];
        one_lane(sum, q + c, width, columns + c * (width / 16) * ATTEND_COLUMNS, queries);
        unsigned level = 0;
        for (; n >> level & 1; level++)
            foreach (i, 2 * queries)
                sum[i / 2][i % 2] = _mm256_add_ps(half[level][i / 2][i % 2], sum[i / 2][i % 2]);
        if (level < 4)
            foreach (i, 2 * queries)
                half[level][i / 2][i % 2] = sum[i / 2][i % 2];
    }
    foreach (i, 2 * queries)
        _mm256_storeu_ps(score + i / 2 * ATTEND_STRIDE + i % 2 * 8,
                         _mm256_mul_ps(sum[i / 2][i % 2], _mm256_loadu_ps(factor + i % 2 * 8)));
}

static void score_turned(float *score, const float *q, size_t n_queries, size_t width,
                         const float *columns, const float *factor)
{
    for (size_t p = 0; p < ATTEND_COLUMNS; p += 16) {
        size_t j = 0;
        for (; j + TURNED <= n_queries; j += TURNED)
            score_columns(score + j * ATTEND_STRIDE + p, q + j * width, width, columns + p,
                          factor + p, TURNED);
        for (; j < n_queries; j++)
            score_columns(score + j * ATTEND_STRIDE + p, q + j * width, width, columns + p,
                          factor + p, 1);
    }
}

static float max_of(const float *x, size_t n)
{
    __m256 max = _mm256_set1_ps(-__builtin_inff());
    for (size_t i = 0; i < n; i += 8)
        max = _mm256_max_ps(avx2_load_filled(x + i, n - i, max), max);
    return avx2_max8(max);
}

static void weigh(float *e, const float *step, size_t n)
{
    for (size_t i = 0; i < n; i += 8)
        avx2_store(e + i, n - i,
                   _mm256_mul_ps(avx2_load(e + i, n - i), avx2_load(step + i, n - i)));
}

/* `chunks` registers of the rows of `queries` queries. */
INLINE void mix_block(float *mix, const float *e, size_t width, const uint8_t *v, size_t count,
                      bool go_on, const unsigned queries, const unsigned chunks,
                      const enum kv_type type)
{
    __m256 sum[QUERIES][CHUNKS];
    foreach (j, queries)
        foreach (c, chunks)
            sum[j][c] = go_on ? _mm256_loadu_ps(mix + j * width + 8 * c) : _mm256_setzero_ps();
    for (size_t i = 0; i < count; i++, v += width * type) {
        __m256 w[QUERIES];
        foreach (j, queries)
            w[j] = _mm256_set1_ps(e[j * ATTEND_STRIDE + i]);
        foreach (c, chunks) {
            __m256 x = load_kv(v + 8 * c * type, 8, type);
            foreach (j, queries)
                sum[j][c] = _mm256_fmadd_ps(w[j], x, sum[j][c]);
        }
    }
    foreach (j, queries)
        foreach (c, chunks)
            _mm256_storeu_ps(mix + j * width + 8 * c, sum[j][c]);
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
    __m256 va = _mm256_set1_ps(a), vb = _mm256_set1_ps(b);
    for (size_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(_mm256_loadu_ps(x + i), vb,
                                                _mm256_mul_ps(_mm256_loadu_ps(y + i), va)));
}

static void divide(float *y, const float *x, float s, size_t n)
{
    __m256 all = _mm256_set1_ps(s);
    for (size_t i = 0; i < n; i += 8)
        avx2_store(y + i, n - i, _mm256_div_ps(_mm256_loadu_ps(x + i), all));
}

ATTEND_ENTRIES(avx2, QUERIES, .turn = turn, .score_turned = score_turned, .many = 64)
