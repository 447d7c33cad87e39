/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2.c - the integer kernels for AVX2 (with FMA and F16C): the 2-bit product, the q8 head,
 * and the two quantisations that feed them.
 *
 * Not here: floats (x86_avx2_float.c).
 */
#include "config.h"
#include "kernels/x86_avx2.h"

#include "kernels/numbers.h"
#include "kernels/variants.h"

INLINE int32_t sum_i32(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

/* max(floor, max |x|) as scalar.c has it: in the order of the bits, where NaN is above infinity. */
static float max_abs(const float *x, size_t n, float floor)
{
    __m256i max = _mm256_castps_si256(_mm256_set1_ps(floor));
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    for (size_t i = 0; i < n; i += 8) {
        __m256i v = _mm256_castps_si256(avx2_load(x + i, n - i));
        max = _mm256_max_epi32(max, _mm256_and_si256(v, magnitude));
    }
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

/*
 * Nearest even integers of the first n of eight x * scale, held in [low, high]; the others are
 * zero. The operands of max and min are in the order that sends a NaN to `low`.
 */
INLINE __m256i round_clamped(const float *x, size_t n, __m256 scale, float low, float high)
{
    __m256 v = _mm256_mul_ps(avx2_load(x, n), scale);
    v = _mm256_max_ps(v, _mm256_set1_ps(low));
    v = _mm256_min_ps(v, _mm256_set1_ps(high));
    return _mm256_and_si256(_mm256_cvtps_epi32(v), avx2_lanes(n));
}

/* Sixteen int32 that fit a byte to the first min(n, 16) bytes at q. */
INLINE void store_bytes(int8_t *q, size_t n, __m256i a, __m256i b)
{
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (n >= 16)
        _mm_storeu_si128((__m128i *)(void *)q, bytes);
    else
        __builtin_memcpy(q, &bytes, n);
}

static void quantise(const struct linear *w, struct acts *a, size_t token, const float *x)
{
    int8_t *q = a->q + token * a->q_stride;
    size_t group = w->group;
    for (size_t g = 0; g < w->n_groups; g++, x += group) {
        float m = max_abs(x, group, ACT_FLOOR);
        __m256 scale = _mm256_set1_ps(ACT_TOP / m);
        __m256i sum = _mm256_setzero_si256();
        for (size_t i = 0; i < group; i += 16) {
            size_t n = group - i, rest = avx2_rest(n);
            __m256i v0 = round_clamped(x + i, n, scale, ACT_BOTTOM, ACT_TOP);
            __m256i v1 = round_clamped(x + i + (rest ? 8 : 0), rest, scale, ACT_BOTTOM, ACT_TOP);
            store_bytes(q + i, n, v0, v1);
            sum = _mm256_add_epi32(sum, _mm256_add_epi32(v0, v1));
        }
        q += group;
        a->step[token * a->n_groups + g] = m / ACT_TOP;
        a->sum[token * a->n_groups + g] = sum_i32(sum);
    }
    __builtin_memset(q, 0, a->q_stride - w->cols);
}

static float to_q8(int8_t *q, const float *x, size_t n)
{
    float m = max_abs(x, n, KV_FLOOR);
    __m256 scale = _mm256_set1_ps(KV_TOP / m);
    for (size_t i = 0; i < n; i += 16) {
        size_t rest = avx2_rest(n - i);
        __m256i a = round_clamped(x + i, n - i, scale, -KV_TOP, KV_TOP);
        __m256i b = round_clamped(x + i + (rest ? 8 : 0), rest, scale, -KV_TOP, KV_TOP);
        store_bytes(q + i, n - i, a, b);
    }
    return m / KV_TOP;
}

static void head_split(struct planes *p, size_t token, const float *x, size_t n)
{
    int8_t *hi = p->hi + token * p->stride, *lo = p->lo + token * p->stride;
    float m = max_abs(x, n, HEAD_FLOOR);
    __m256 scale = _mm256_set1_ps(HEAD_TOP / m);
    __m256i sum_hi = _mm256_setzero_si256(), sum_lo = _mm256_setzero_si256();
    const __m256i half = _mm256_set1_epi32(64);
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i, rest = avx2_rest(left);
        __m256i h[2], l[2];
        h[0] = round_clamped(x + i, left, scale, -HEAD_TOP, HEAD_TOP);
        h[1] = round_clamped(x + i + (rest ? 8 : 0), rest, scale, -HEAD_TOP, HEAD_TOP);
        foreach (k, 2) {
            __m256i v = h[k];
            h[k] = _mm256_srai_epi32(_mm256_add_epi32(v, half), 7);
            l[k] = _mm256_sub_epi32(v, _mm256_slli_epi32(h[k], 7));
            sum_hi = _mm256_add_epi32(sum_hi, h[k]);
            sum_lo = _mm256_add_epi32(sum_lo, l[k]);
        }
        store_bytes(hi + i, left, h[0], h[1]);
        store_bytes(lo + i, left, l[0], l[1]);
    }
    __builtin_memset(hi + n, 0, p->stride - n);
    __builtin_memset(lo + n, 0, p->stride - n);
    p->step[token] = m / HEAD_TOP;
    p->sum_hi[token] = sum_i32(sum_hi);
    p->sum_lo[token] = sum_i32(sum_lo);
}

enum {
    TERNARY_TOKENS = 4, /* 4 tokens x 16 rows take eight of the 16 registers for sums */
    Q8_ROWS = 4,
    /*
     * vpmaddubsw adds two products to an int16: 2 * 2 * 128 = 512 at most.  63 of them fit, a block
     * gives four, so 15 blocks are summed in 16 bits before they are widened.
     */
    NARROW_COLS = 15 * 16,
};

/* Eight scales of a tile for one group. */
INLINE __m256 scales8(const struct linear *w, size_t first, const bool grouped)
{
    if (!grouped)
        return _mm256_loadu_ps(w->scales + first);
    return _mm256_cvtph_ps(
        _mm_loadu_si128((const __m128i *)(const void *)(w->group_scales + first)));
}

/* One tile, tokens [token, token + tokens). */
INLINE void ternary_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                          const struct acts *a, size_t token, const bool grouped,
                          const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const size_t n_groups = grouped ? w->n_groups : 1;
    const size_t group = grouped ? w->group : w->tile_bytes / 4; /* with the padding */
    const __m256i three = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
    __m256 y[TERNARY_TOKENS][2];
    const int8_t *q[TERNARY_TOKENS];
    foreach (t, tokens) {
        q[t] = a->q + (token + t) * a->q_stride;
        y[t][0] = y[t][1] = _mm256_setzero_ps();
    }

    for (size_t g = 0; g < n_groups; g++) {
        __m256i sum[TERNARY_TOKENS][2];
        foreach (t, tokens)
            sum[t][0] = sum[t][1] = _mm256_setzero_si256();
        for (size_t col = g * group, end = col + group; col < end;) {
            __m256i part[TERNARY_TOKENS][2];
            foreach (t, tokens)
                part[t][0] = part[t][1] = _mm256_setzero_si256();
            for (size_t stop = MIN(end, col + NARROW_COLS); col < stop; col += 16, codes += 64) {
                __m256i v0 = avx2_line(codes), v1 = avx2_line(codes + 32);
                _mm_prefetch((const char *)codes + 1536, _MM_HINT_T0);
                foreach (f, 4) {
                    __m256i c0 = _mm256_and_si256(v0, three), c1 = _mm256_and_si256(v1, three);
                    v0 = _mm256_srli_epi16(v0, 2);
                    v1 = _mm256_srli_epi16(v1, 2);
                    foreach (t, tokens) {
                        int32_t four;
                        __builtin_memcpy(&four, q[t] + col + 4 * f, sizeof four);
                        __m256i x = _mm256_set1_epi32(four);
                        part[t][0] = _mm256_add_epi16(part[t][0], _mm256_maddubs_epi16(c0, x));
                        part[t][1] = _mm256_add_epi16(part[t][1], _mm256_maddubs_epi16(c1, x));
                    }
                }
            }
            foreach (i, 2 * tokens)
                sum[i / 2][i % 2] = _mm256_add_epi32(sum[i / 2][i % 2],
                                                     _mm256_madd_epi16(part[i / 2][i % 2], ones));
        }
        foreach (i, 2 * tokens) {
            size_t at = (token + i / 2) * n_groups + g;
            size_t first = (tile * n_groups + g) * LAYOUT_TILE + i % 2 * 8;
            __m256i dot = _mm256_sub_epi32(sum[i / 2][i % 2], _mm256_set1_epi32(a->sum[at]));
            __m256 value = _mm256_cvtepi32_ps(dot);
            __m256 factor = _mm256_mul_ps(scales8(w, first, grouped), _mm256_set1_ps(a->step[at]));
            y[i / 2][i % 2] = grouped ? _mm256_fmadd_ps(value, factor, y[i / 2][i % 2])
                                      : _mm256_mul_ps(value, factor);
        }
    }
    size_t row = tile * LAYOUT_TILE, rows = w->rows - row;
    foreach (t, tokens) {
        float *dst = out + (token + t) * out_stride + row;
        avx2_store(dst, rows, y[t][0]);
        if (rows > 8)
            avx2_store(dst + 8, rows - 8, y[t][1]);
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
INLINE __m128i sum4(const __m256i v[4])
{
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

/* |w| . sign(x, w): two products of at most 128 * 127 fit int16, so nothing saturates. */
INLINE __m256i dot_i8(__m256i sum, __m256i w, __m256i size, __m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static void head_q8(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                    const struct planes *x, size_t n_tokens)
{
    const int8_t *first = t->data;
    for (size_t row = row0; row < row1; row += Q8_ROWS)
        for (size_t token = 0; token < n_tokens; token++) {
            const int8_t *xh = x->hi + token * x->stride, *xl = x->lo + token * x->stride;
            const int8_t *w[Q8_ROWS];
            __m256i hi[Q8_ROWS], lo[Q8_ROWS];
            foreach (r, Q8_ROWS) {
                w[r] = first + MIN(row + r, row1 - 1) * t->stride;
                hi[r] = lo[r] = _mm256_setzero_si256();
            }
            for (size_t i = 0; i < t->stride; i += 32) {
                __m256i h = avx2_line(xh + i), l = avx2_line(xl + i);
                foreach (r, Q8_ROWS) {
                    __m256i v = avx2_line(w[r] + i), size = _mm256_abs_epi8(v);
                    hi[r] = dot_i8(hi[r], v, size, h);
                    lo[r] = dot_i8(lo[r], v, size, l);
                }
            }
            __m128i rows = _mm256_castsi256_si128(avx2_lanes(MIN(row1 - row, (size_t)Q8_ROWS)));
            __m128 y = _mm_fmadd_ps(_mm_set1_ps(128.0f), _mm_cvtepi32_ps(sum4(hi)),
                                    _mm_cvtepi32_ps(sum4(lo)));
            __m128 factor =
                _mm_mul_ps(_mm_maskload_ps(t->scales + row, rows), _mm_set1_ps(x->step[token]));
            _mm_maskstore_ps(out + token * out_stride + row, rows, _mm_mul_ps(y, factor));
        }
}

enum {
    COARSE_ROWS = 4,   /* for one token */
    COARSE_TOKENS = 3, /* for two rows: six sums and six narrow ones */
    COARSE_BYTES = 64, /* of nibbles: a maddubs pair is at most 2 * 15 * 128, and 8 fit int16; a
                          step of 64 bytes adds four */
};

/* Bytes [at, end) of the rows' nibbles, at most 128 of them, for each token, to narrow sums. */
INLINE void coarse_narrow(__m256i *part, const uint8_t *const *w, const int8_t *hi, size_t stride,
                          size_t at, size_t end, const unsigned rows, const unsigned tokens)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    foreach (i, rows * tokens)
        part[i] = _mm256_setzero_si256();
    for (; at < end; at += 32) {
        /* 64 bytes hold 128 values: their first halves, then their second ones. */
        const int8_t *x = hi + at / 64 * 128 + at % 64;
        __m256i low[COARSE_ROWS], high[COARSE_ROWS];
        foreach (r, rows) {
            __m256i v = avx2_line(w[r] + at);
            low[r] = _mm256_and_si256(v, nibble);
            high[r] = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
        }
        foreach (k, tokens) {
            __m256i x0 = avx2_line(x + k * stride), x1 = avx2_line(x + k * stride + 64);
            foreach (r, rows) {
                __m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(low[r], x0),
                                               _mm256_maddubs_epi16(high[r], x1));
                part[k * rows + r] = _mm256_add_epi16(part[k * rows + r], sum);
            }
        }
    }
}

INLINE void coarse_block(float *out, size_t out_stride, const struct table *t, size_t row,
                         size_t row_end, const struct planes *x, size_t token, const unsigned rows,
                         const unsigned tokens)
{
    const size_t bytes = table_nibble_stride(t);
    const uint8_t *w[COARSE_ROWS];
    __m256i sum[2 * COARSE_TOKENS], part[2 * COARSE_TOKENS];
    foreach (r, rows)
        w[r] = table_high(t) + MIN(row + r, row_end - 1) * bytes;
    foreach (i, rows * tokens)
        sum[i] = _mm256_setzero_si256();
    for (size_t at = 0; at < bytes; at += 2 * COARSE_BYTES) {
        size_t end = MIN(at + 2 * COARSE_BYTES, bytes);
        coarse_narrow(part, w, x->hi + token * x->stride, x->stride, at, end, rows, tokens);
        foreach (i, rows * tokens)
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(part[i], _mm256_set1_epi16(1)));
    }
    foreach (k, tokens)
        foreach (r, rows) {
            if (row + r >= row_end)
                break;
            uint32_t dot = (uint32_t)sum_i32(sum[k * rows + r]);
            int32_t total = x->sum_hi[token + k];
            int32_t value = (int32_t)(16u * dot - 120u * (uint32_t)total);
            float y = __builtin_fmaf(-64.0f, (float)total, 128.0f * (float)value);
            out[(token + k) * out_stride + row + r] = y * (t->scales[row + r] * x->step[token + k]);
        }
}

static void head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens)
{
    if (n_tokens == 1) {
        for (size_t row = row0; row < row1; row += COARSE_ROWS)
            coarse_block(out, out_stride, t, row, row1, x, 0, COARSE_ROWS, 1);
        return;
    }
    for (size_t row = row0; row < row1; row += 2)
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, COARSE_TOKENS);
            SIZED(coarse_block, n, COARSE_TOKENS, out, out_stride, t, row, row1, x, token, 2);
        }
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .layout = LAYOUT_T2,
    .cpu = CPU_AVX2,
    .quantise = quantise,
    .ternary = ternary,
    .signs = avx2_signs,
    .billm = avx2_billm,
    .head_f16 = avx2_head_f16,
    .head_q8 = head_q8,
    .head_coarse = head_coarse,
    .head_split = head_split,
    .rmsnorm = avx2_rmsnorm,
    .glu = avx2_glu,
    .add = avx2_add,
    .delta = avx2_delta,
    .rope = avx2_rope,
    .to_f16 = avx2_to_f16,
    .to_q8 = to_q8,
    .attend = avx2_attend,
    .attend_merge = avx2_attend_merge,
    .attend_finish = avx2_attend_finish,
    .exp_shift = avx2_exp_shift,
    .argmax = avx2_argmax,
};
