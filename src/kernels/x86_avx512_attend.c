/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_attend.c - attention for AVX-512: blocks of 4 queries by 4 positions, or by 64 that
 * are turned, and of 4 queries by 64 values.  attend.h walks over the range.
 */
#include "config.h"
#include "kernels/attend.h"
#include "kernels/x86_avx512.h"

enum {
    QUERIES = 4,
    POSITIONS = 4,
    CHUNKS = 4,                    /* registers of a row that are mixed together */
    VECTORS = ATTEND_COLUMNS / 16, /* registers of a column */
};

/* Sixteen values of the cache, or fewer and zeros. */
INLINE __m512 load_kv(const uint8_t *p, __mmask16 lanes, const enum kv_type type)
{
    if (type == KV_F32)
        return _mm512_maskz_loadu_ps(lanes, p);
    if (type == KV_F16)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, p)));
}

/* Sixteen of them: without a mask a load is part of what uses it. */
INLINE __m512 load_kv16(const uint8_t *p, const enum kv_type type)
{
    if (type == KV_F32)
        return _mm512_loadu_ps(p);
    if (type == KV_F16)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

INLINE void widen_typed(float *dst, const uint8_t *src, size_t n, const enum kv_type type)
{
    for (size_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(dst + i, load_kv(src + i * type, avx512_lanes(n - i), type));
}

static void widen(float *dst, const uint8_t *src, size_t n, enum kv_type type)
{
    ATTEND_TYPED(widen_typed, type, dst, src, n);
}

/* The trees of four sums down to four lanes each, a quarter of the register for each sum. */
INLINE __m512 quarters(const __m512 v[4])
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x44),
                              _mm512_shuffle_f32x4(v[0], v[1], 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(v[2], v[3], 0x44),
                              _mm512_shuffle_f32x4(v[2], v[3], 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}

/* The rest of the tree: quarter q of the result holds quarter q's sums of the four registers. */
INLINE __m512 sums_of_quarters(const __m512 v[4])
{
    __m512 ab =
        _mm512_add_ps(_mm512_shuffle_ps(v[0], v[1], 0x44), _mm512_shuffle_ps(v[0], v[1], 0xee));
    __m512 cd =
        _mm512_add_ps(_mm512_shuffle_ps(v[2], v[3], 0x44), _mm512_shuffle_ps(v[2], v[3], 0xee));
    return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x88), _mm512_shuffle_ps(ab, cd, 0xdd));
}

/* Scores of `queries` queries at four positions, whose keys k points at. */
INLINE void score_block(float *score, const float *q, size_t width,
                        const uint8_t *const k[POSITIONS], __m128 factor, const unsigned queries,
                        const enum kv_type type)
{
    __m512 sum[POSITIONS][QUERIES], four[POSITIONS];
    foreach (i, POSITIONS * QUERIES)
        sum[i / QUERIES][i % QUERIES] = _mm512_setzero_ps();
    for (size_t d = 0; d < width; d += 16) {
        __m512 v[POSITIONS];
        foreach (i, POSITIONS)
            v[i] = load_kv16(k[i] + d * type, type);
        foreach (j, queries) {
            __m512 x = _mm512_loadu_ps(q + j * width + d);
            foreach (i, POSITIONS)
                sum[i][j] = _mm512_fmadd_ps(x, v[i], sum[i][j]);
        }
    }
    foreach (i, POSITIONS)
        four[i] = quarters(sum[i]);
    __m512 all = _mm512_mul_ps(sums_of_quarters(four), _mm512_broadcast_f32x4(factor));
    _mm_storeu_ps(score, _mm512_castps512_ps128(all));
    if (queries > 1)
        _mm_storeu_ps(score + ATTEND_STRIDE, _mm512_extractf32x4_ps(all, 1));
    if (queries > 2) {
        _mm_storeu_ps(score + 2 * ATTEND_STRIDE, _mm512_extractf32x4_ps(all, 2));
        _mm_storeu_ps(score + 3 * ATTEND_STRIDE, _mm512_extractf32x4_ps(all, 3));
    }
}

INLINE void score_typed(float *score, const float *q, size_t n_queries, size_t width,
                        const uint8_t *k, size_t count, const float *factor,
                        const enum kv_type type)
{
    for (size_t j = 0; j < n_queries;) {
        size_t left = n_queries - j;
        for (size_t i = 0; i < count; i += POSITIONS) {
            const uint8_t *row[POSITIONS];
            foreach (p, POSITIONS)
                row[p] = k + MIN(i + p, count - 1) * width * type;
            __m128 f = _mm_loadu_ps(factor + i);
            float *to = score + j * ATTEND_STRIDE + i;
            if (left >= 4)
                score_block(to, q + j * width, width, row, f, 4, type);
            else if (left >= 2)
                score_block(to, q + j * width, width, row, f, 2, type);
            else
                score_block(to, q + j * width, width, row, f, 1, type);
        }
        j += left >= 4 ? 4 : left >= 2 ? 2 : 1;
    }
}

static void score(float *score, const float *q, size_t n_queries, size_t width,
                  struct attend_rows k, size_t count, const float *factor)
{
    ATTEND_TYPED(score_typed, k.type, score, q, n_queries, width, k.at, count, factor);
}

static void turn(float *columns, const float *rows, size_t count, size_t width)
{
    const size_t steps = width / 16;
    for (size_t s = 0; s < steps; s++, columns += ATTEND_COLUMNS) {
        __m512i r[16];
        foreach (i, 16)
            r[i] = _mm512_loadu_si512(rows + MIN(i, count - 1) * width + 16 * s);
        avx512_transpose(r);
        foreach (c, 16)
            _mm512_storeu_si512(columns + c * steps * ATTEND_COLUMNS, r[c]);
    }
}

/* One of the sixteen lanes of `queries` queries: what column c says. */
INLINE void one_lane(__m512 sum[QUERIES][VECTORS], const float *q, size_t width,
                     const float *column, const unsigned queries)
{
    foreach (j, queries)
        foreach (i, VECTORS)
            sum[j][i] = _mm512_setzero_ps();
    for (const float *end = q + width; q < end; q += 16, column += ATTEND_COLUMNS) {
        __m512 k[VECTORS];
        foreach (i, VECTORS)
            k[i] = _mm512_loadu_ps(column + 16 * i);
        foreach (j, queries) {
            __m512 x = _mm512_set1_ps(q[j * width]);
            foreach (i, VECTORS)
                sum[j][i] = _mm512_fmadd_ps(x, k[i], sum[j][i]);
        }
    }
}

/* The tree over the lanes, as attend_lane walks it; sums that wait for their other half lie in
 * `half`. */
INLINE void score_columns(float *score, const float *q, size_t width, const float *columns,
                          const float *factor, const unsigned queries)
{
    __m512 half[4][QUERIES][VECTORS];
    __m512 sum[QUERIES][VECTORS];
    for (unsigned n = 0; n < 16; n++) {
        size_t c = attend_lane[n];
        one_lane(sum, q + c, width, columns + c * (width / 16) * ATTEND_COLUMNS, queries);
        unsigned level = 0;
        for (; n >> level & 1; level++)
            foreach (j, queries)
                foreach (i, VECTORS)
                    sum[j][i] = _mm512_add_ps(half[level][j][i], sum[j][i]);
        if (level < 4)
            foreach (j, queries)
                foreach (i, VECTORS)
                    half[level][j][i] = sum[j][i];
    }
    foreach (j, queries)
        foreach (i, VECTORS)
            _mm512_storeu_ps(score + j * ATTEND_STRIDE + 16 * i,
                             _mm512_mul_ps(sum[j][i], _mm512_loadu_ps(factor + 16 * i)));
}

static void score_turned(float *score, const float *q, size_t n_queries, size_t width,
                         const float *columns, const float *factor)
{
    size_t j = 0;
    for (; j + QUERIES <= n_queries; j += QUERIES)
        score_columns(score + j * ATTEND_STRIDE, q + j * width, width, columns, factor, QUERIES);
    for (; j < n_queries; j++)
        score_columns(score + j * ATTEND_STRIDE, q + j * width, width, columns, factor, 1);
}

static float max_of(const float *x, size_t n)
{
    __m512 max = _mm512_set1_ps(-__builtin_inff());
    for (size_t i = 0; i < n; i += 16)
        max = _mm512_max_ps(_mm512_mask_loadu_ps(max, avx512_lanes(n - i), x + i), max);
    return _mm512_reduce_max_ps(max);
}

static void weigh(float *e, const float *step, size_t n)
{
    __mmask16 lanes = avx512_lanes(n);
    _mm512_mask_storeu_ps(
        e, lanes,
        _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, e), _mm512_maskz_loadu_ps(lanes, step)));
}

/* `chunks` registers of the rows of `queries` queries. */
INLINE void mix_block(float *mix, const float *e, size_t width, const uint8_t *v, size_t count,
                      bool go_on, const unsigned queries, const unsigned chunks,
                      const enum kv_type type)
{
    __m512 sum[QUERIES][CHUNKS];
    foreach (j, queries)
        foreach (c, chunks)
            sum[j][c] = go_on ? _mm512_loadu_ps(mix + j * width + 16 * c) : _mm512_setzero_ps();
    for (size_t i = 0; i < count; i++, v += width * type) {
        __m512 x[CHUNKS];
        foreach (c, chunks)
            x[c] = load_kv16(v + 16 * c * type, type);
        foreach (j, queries) {
            __m512 w = _mm512_set1_ps(e[j * ATTEND_STRIDE + i]);
            foreach (c, chunks)
                sum[j][c] = _mm512_fmadd_ps(w, x[c], sum[j][c]);
        }
    }
    foreach (j, queries)
        foreach (c, chunks)
            _mm512_storeu_ps(mix + j * width + 16 * c, sum[j][c]);
}

INLINE void mix_queries(float *mix, const float *e, size_t width, const uint8_t *v, size_t count,
                        bool go_on, const unsigned queries, const enum kv_type type)
{
    size_t d = 0;
    for (; d + 64 <= width; d += 64)
        mix_block(mix + d, e, width, v + d * type, count, go_on, queries, 4, type);
    if (width - d >= 32) {
        mix_block(mix + d, e, width, v + d * type, count, go_on, queries, 2, type);
        d += 32;
    }
    if (d < width)
        mix_block(mix + d, e, width, v + d * type, count, go_on, queries, 1, type);
}

INLINE void mix_typed(float *mix, const float *e, size_t n_queries, size_t width, const uint8_t *v,
                      size_t count, bool go_on, const enum kv_type type)
{
    if (n_queries == QUERIES) {
        mix_queries(mix, e, width, v, count, go_on, QUERIES, type);
        return;
    }
    if (n_queries >= 2) {
        mix_queries(mix, e, width, v, count, go_on, 2, type);
        mix += 2 * width;
        e += 2 * ATTEND_STRIDE;
    }
    if (n_queries % 2)
        mix_queries(mix, e, width, v, count, go_on, 1, type);
}

static void mix(float *mix, const float *e, size_t n_queries, size_t width, struct attend_rows v,
                size_t count, bool go_on)
{
    ATTEND_TYPED(mix_typed, v.type, mix, e, n_queries, width, v.at, count, go_on);
}

static void blend(float *y, float a, const float *x, float b, size_t n)
{
    __m512 va = _mm512_set1_ps(a), vb = _mm512_set1_ps(b);
    for (size_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_fmadd_ps(_mm512_loadu_ps(x + i), vb,
                                                _mm512_mul_ps(_mm512_loadu_ps(y + i), va)));
}

static void divide(float *y, const float *x, float s, size_t n)
{
    __m512 all = _mm512_set1_ps(s);
    for (size_t i = 0; i < n; i += 16)
        _mm512_mask_storeu_ps(y + i, avx512_lanes(n - i),
                              _mm512_div_ps(_mm512_loadu_ps(x + i), all));
}

ATTEND_ENTRIES(avx512, QUERIES, .turn = turn, .score_turned = score_turned, .many = 48)
