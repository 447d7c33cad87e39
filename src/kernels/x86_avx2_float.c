/* SPDX-License-Identifier: MIT */
/*
 * x86_avx2_float.c - the float kernels for AVX2 with FMA and F16C.
 *
 * The 16 lanes of a sum are two registers, the elements 0-7 and 8-15 of each stretch of 16.  Where
 * a row ends inside a stretch, lanes without an element keep their value.
 */
#include "config.h"
#include "kernels/x86_avx2.h"

#include "kernels/numbers.h"

/* Sixteen lanes of a sum. */
struct lanes {
    __m256 low, high;
};

INLINE struct lanes zero_lanes(void)
{
    return (struct lanes){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

INLINE struct lanes fma_lanes(__m256 a0, __m256 a1, __m256 b0, __m256 b1, struct lanes s)
{
    return (struct lanes){_mm256_fmadd_ps(a0, b0, s.low), _mm256_fmadd_ps(a1, b1, s.high)};
}

/* The sums of four by the tree of kernels.h: + 8, then + 4, + 2 and + 1 while they share registers.
 */
INLINE __m128 sum4(const struct lanes v[4])
{
    __m256 a = _mm256_add_ps(v[0].low, v[0].high), b = _mm256_add_ps(v[1].low, v[1].high);
    __m256 c = _mm256_add_ps(v[2].low, v[2].high), d = _mm256_add_ps(v[3].low, v[3].high);
    __m256 ab =
        _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    __m256 cd =
        _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
    __m256 s = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    s = _mm256_add_ps(_mm256_permute_ps(s, 0x88), _mm256_permute_ps(s, 0xdd)); /* ac ac, bd bd */
    return _mm_unpacklo_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

static float sum1(struct lanes v)
{
    return _mm_cvtss_f32(sum4((struct lanes[4]){v, v, v, v}));
}

/* x as scalar.c's exp_f32 has it. */
INLINE __m256 exp_ps(__m256 x)
{
    __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_MIN), _CMP_LT_OQ);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), _mm256_set1_ps(EXP_MAGIC));
    __m256 n = _mm256_sub_ps(t, _mm256_set1_ps(EXP_MAGIC));
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_HI), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_LO), r);
    __m256 p = _mm256_set1_ps(EXP_C6);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    __m256i power = _mm256_add_epi32(exponent, _mm256_castps_si256(_mm256_set1_ps(1.0f)));
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

/* Eight binary16 values, or the first n and zeros. */
INLINE __m256 load_f16(const uint16_t *p, size_t n)
{
    __m128i h = _mm_setzero_si128();
    if (n >= 8)
        h = _mm_loadu_si128((const __m128i *)(const void *)p);
    else
        __builtin_memcpy(&h, p, MIN(n, (size_t)7) * sizeof *p);
    return _mm256_cvtph_ps(h);
}

enum {
    F16_ROWS = 4,
};

void avx2_head_f16(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                   const float *x, size_t x_stride, size_t n_tokens)
{
    const uint16_t *first = t->data;
    for (size_t row = row0; row < row1; row += F16_ROWS)
        for (size_t token = 0; token < n_tokens; token++) {
            const float *xk = x + token * x_stride;
            const uint16_t *w[F16_ROWS];
            struct lanes sum[F16_ROWS];
            foreach (r, F16_ROWS) {
                w[r] = first + MIN(row + r, row1 - 1) * t->stride;
                sum[r] = zero_lanes();
            }
            for (size_t i = 0; i < t->stride; i += 16) {
                __m256 x0 = _mm256_loadu_ps(xk + i), x1 = _mm256_loadu_ps(xk + i + 8);
                foreach (r, F16_ROWS)
                    sum[r] =
                        fma_lanes(load_f16(w[r] + i, 8), load_f16(w[r] + i + 8, 8), x0, x1, sum[r]);
            }
            __m128i rows = _mm256_castsi256_si128(avx2_lanes(MIN(row1 - row, (size_t)F16_ROWS)));
            _mm_maskstore_ps(out + token * out_stride + row, rows, sum4(sum));
        }
}

void avx2_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
    /* Squares are never negative: no lane is -0. */
    struct lanes sum = zero_lanes();
    for (size_t i = 0; i < n; i += 16) {
        size_t rest = avx2_rest(n - i);
        __m256 v0 = avx2_load(x + i, n - i), v1 = avx2_load(x + i + (rest ? 8 : 0), rest);
        sum = fma_lanes(v0, v1, v0, v1, sum);
    }
    float mean = sum1(sum) / (float)n;
    __m256 r = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps))));
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(avx2_load(x + i, n - i), r);
        avx2_store(y + i, n - i, _mm256_mul_ps(v, avx2_load(w + i, n - i)));
    }
}

INLINE __m256 silu_ps(__m256 g)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    __m256 t = _mm256_min_ps(_mm256_xor_ps(g, sign), _mm256_set1_ps(EXP_MAX));
    return _mm256_div_ps(g, _mm256_add_ps(one, exp_ps(t)));
}

/* max takes its second operand when one is a NaN, which is where the NaN would be. */
INLINE __m256 relu2_ps(__m256 g)
{
    __m256 v = _mm256_max_ps(_mm256_setzero_ps(), g);
    return _mm256_mul_ps(v, v);
}

void avx2_glu(float *y, const float *gate, const float *up, enum act_fn act, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        __m256 g = avx2_load(gate + i, n - i), u = avx2_load(up + i, n - i);
        g = act == ACT_SILU ? silu_ps(g) : relu2_ps(g);
        avx2_store(y + i, n - i, _mm256_mul_ps(g, u));
    }
}

void avx2_add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 8)
        avx2_store(x + i, n - i, _mm256_add_ps(avx2_load(x + i, n - i), avx2_load(y + i, n - i)));
}

/* (a c - b s, a s + b c) */
INLINE void rotate(__m256 *a, __m256 *b, __m256 c, __m256 s)
{
    __m256 a0 = *a, b0 = *b;
    *a = _mm256_fmsub_ps(a0, c, _mm256_mul_ps(b0, s));
    *b = _mm256_fmadd_ps(a0, s, _mm256_mul_ps(b0, c));
}

/* Pairs lie side by side: eight of them are parted into a and b, and joined again. */
static void rope_norm(float *x, const float *cs, size_t half)
{
    for (size_t i = 0; i < half; i += 8) {
        size_t n = 2 * (half - i), rest = avx2_rest(n);
        float *p0 = x + 2 * i, *p1 = p0 + (rest ? 8 : 0);
        __m256 x0 = avx2_load(p0, n), x1 = avx2_load(p1, rest);
        __m256 even = _mm256_shuffle_ps(x0, x1, 0x88), odd = _mm256_shuffle_ps(x0, x1, 0xdd);
        __m256 a = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
        __m256 b = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
        rotate(&a, &b, avx2_load(cs + i, half - i), avx2_load(cs + half + i, half - i));
        __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
        avx2_store(p0, n, _mm256_permute2f128_ps(low, high, 0x20));
        avx2_store(p1, rest, _mm256_permute2f128_ps(low, high, 0x31));
    }
}

void avx2_rope(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
               size_t half)
{
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        if (style == ROPE_NORM) {
            rope_norm(x, cs, half);
            continue;
        }
        for (size_t i = 0; i < half; i += 8) {
            size_t n = half - i;
            __m256 a = avx2_load(x + i, n), b = avx2_load(x + half + i, n);
            rotate(&a, &b, avx2_load(cs + i, n), avx2_load(cs + half + i, n));
            avx2_store(x + i, n, a);
            avx2_store(x + half + i, n, b);
        }
    }
}

void avx2_to_f16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        __m128i h = _mm256_cvtps_ph(avx2_load(src + i, n - i),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        if (n - i >= 8)
            _mm_storeu_si128((__m128i *)(void *)(dst + i), h);
        else
            __builtin_memcpy(dst + i, &h, (n - i) * sizeof *dst);
    }
}

float avx2_exp_shift(float *y, const float *x, float shift, size_t n)
{
    /* Exponentials are never negative: no lane is -0. */
    struct lanes sum = zero_lanes();
    for (size_t i = 0; i < n; i += 16) {
        foreach (k, 2) {
            size_t left = k ? avx2_rest(n - i) : n - i;
            if (left == 0)
                break;
            __m256 v = avx2_load(x + i + 8 * k, left);
            v = exp_ps(_mm256_sub_ps(v, _mm256_set1_ps(shift)));
            avx2_store(y + i + 8 * k, left, v);
            v = _mm256_and_ps(v, _mm256_castsi256_ps(avx2_lanes(left)));
            if (k == 0)
                sum.low = _mm256_add_ps(sum.low, v);
            else
                sum.high = _mm256_add_ps(sum.high, v);
        }
    }
    return sum1(sum);
}

static float max_of_eight(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_permute_ps(m, 0x4e));
    return _mm_cvtss_f32(_mm_max_ps(m, _mm_permute_ps(m, 0xb1)));
}

/* Eight values of x from i on, those behind the end replaced by `fill`. */
INLINE __m256 load_filled(const float *x, size_t n, __m256 fill)
{
    return n >= 8 ? _mm256_loadu_ps(x)
                  : _mm256_blendv_ps(fill, avx2_load(x, n), _mm256_castsi256_ps(avx2_lanes(n)));
}

/* Two passes: the second stops early and needs no bookkeeping of indices. */
size_t avx2_argmax(const float *x, size_t n, float *max)
{
    __m256 first = _mm256_set1_ps(x[0]), best = first, nan = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = load_filled(x + i, n - i, first);
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        best = _mm256_max_ps(v, best);
    }
    if (_mm256_movemask_ps(nan)) {
        *max = __builtin_nanf("");
        return SIZE_MAX;
    }
    best = _mm256_set1_ps(max_of_eight(best));
    for (size_t i = 0;; i += 8) {
        __m256 v = load_filled(x + i, n - i, first);
        int hits = _mm256_movemask_ps(_mm256_cmp_ps(v, best, _CMP_EQ_OQ));
        if (hits) {
            i += (size_t)__builtin_ctz((unsigned)hits);
            *max = x[i];
            return i;
        }
    }
}

enum {
    HEADS = 2,     /* query heads that share each load of K or V */
    POSITIONS = 2, /* whose scores are computed together */
    CHUNKS = 4,    /* registers of an output row, 32 values */
};

/* Values of the cache, `type` bytes each: a register's worth, or the first n and zeros. */
INLINE __m256 load_kv(const uint8_t *p, size_t n, const enum kv_type type)
{
    return type == KV_F32 ? avx2_load((const float *)(const void *)p, n)
                          : load_f16((const uint16_t *)(const void *)p, n);
}

/* One step of 16 dimensions of a score block. */
INLINE void score_step(struct lanes sum[HEADS * POSITIONS], const float *q, size_t q_stride,
                       const uint8_t *const k[POSITIONS], const enum kv_type type,
                       const unsigned heads)
{
    foreach (j, POSITIONS) {
        __m256 k0 = load_kv(k[j], 8, type), k1 = load_kv(k[j] + type * 8, 8, type);
        foreach (h, heads) {
            const float *x = q + h * q_stride;
            struct lanes *s = &sum[h * POSITIONS + j];
            *s = fma_lanes(_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), k0, k1, *s);
        }
    }
}

/* The last step of a head_dim that is no multiple of 16.  exp takes -0 and +0 for the same. */
INLINE void score_rest(struct lanes sum[HEADS * POSITIONS], const float *q, size_t q_stride,
                       const uint8_t *const k[POSITIONS], size_t n, const enum kv_type type,
                       const unsigned heads)
{
    float q_copy[HEADS * 16] = {0};
    uint8_t k_copy[POSITIONS][16 * KV_F32] = {{0}};
    for (unsigned h = 0; h < heads; h++)
        __builtin_memcpy(q_copy + 16 * h, q + h * q_stride, n * sizeof *q);
    for (unsigned j = 0; j < POSITIONS; j++)
        __builtin_memcpy(k_copy[j], k[j], n * type);
    score_step(sum, q_copy, 16, (const uint8_t *const[POSITIONS]){k_copy[0], k_copy[1]}, type,
               heads);
}

/* Scores of `heads` query heads at the positions p and p + 1, those below n. */
INLINE void score_block(float *score, size_t stride, const float *q, size_t head_dim,
                        const struct kv_span *kv, size_t p, size_t n, float scale,
                        const enum kv_type type, const unsigned heads)
{
    const uint8_t *k[POSITIONS];
    struct lanes sum[HEADS * POSITIONS];
    foreach (j, POSITIONS)
        k[j] = kv_row(kv, kv->k_offset, MIN(p + j, n - 1), type * head_dim);
    foreach (i, HEADS * POSITIONS)
        sum[i] = zero_lanes();
    for (size_t d = 0; d + 16 <= head_dim; d += 16) {
        score_step(sum, q, head_dim, k, type, heads);
        q += 16;
        foreach (j, POSITIONS)
            k[j] += type * 16;
    }
    if (head_dim % 16)
        score_rest(sum, q, head_dim, k, head_dim % 16, type, heads);

    float s[HEADS * POSITIONS];
    _mm_storeu_ps(s, _mm_mul_ps(sum4(sum), _mm_set1_ps(scale)));
    for (unsigned h = 0; h < heads; h++)
        for (unsigned j = 0; j < POSITIONS && p + j < n; j++)
            score[h * stride + p + j] = s[h * POSITIONS + j];
}

/* The largest score; a NaN is passed over here and comes out of the exponentials. */
static float max_of(const float *x, size_t n)
{
    __m256 max = _mm256_set1_ps(-__builtin_inff());
    for (size_t i = 0; i < n; i += 8)
        max = _mm256_max_ps(load_filled(x + i, n - i, max), max);
    return max_of_eight(max);
}

/* Values [d, d + 32) of the outputs of `heads` heads, those below head_dim. */
INLINE void mix_block(float *out, const float *e, size_t stride, const float *total,
                      size_t head_dim, const struct kv_span *kv, size_t n, size_t d,
                      const enum kv_type type, const unsigned heads)
{
    __m256 sum[HEADS][CHUNKS];
    size_t left[CHUNKS];
    foreach (c, CHUNKS)
        left[c] = d + 8 * c < head_dim ? head_dim - d - 8 * c : 0;
    foreach (i, heads * CHUNKS)
        sum[i / CHUNKS][i % CHUNKS] = _mm256_setzero_ps();
    for (size_t p = 0; p < n;) {
        const uint8_t *v = kv_row(kv, kv->v_offset, p, type * head_dim) + type * d;
        for (size_t end = MIN(n, p + kv->page_tokens); p < end; p++, v += type * head_dim) {
            __m256 w[HEADS];
            foreach (h, heads)
                w[h] = _mm256_set1_ps(e[h * stride + p]);
            foreach (c, CHUNKS) {
                __m256 x = load_kv(left[c] ? v + type * 8 * c : v, left[c], type);
                foreach (h, heads)
                    sum[h][c] = _mm256_fmadd_ps(w[h], x, sum[h][c]);
            }
        }
    }
    foreach (h, heads)
        foreach (c, CHUNKS)
            if (left[c])
                avx2_store(out + h * head_dim + d + 8 * c, left[c],
                           _mm256_div_ps(sum[h][c], _mm256_set1_ps(total[h])));
}

INLINE void attend_heads(float *out, const float *q, size_t head_dim, const struct kv_span *kv,
                         size_t n, float scale, float *score, const enum kv_type type,
                         const unsigned heads)
{
    size_t stride = round_up(n, 16);
    float total[HEADS];
    for (size_t p = 0; p < n; p += POSITIONS)
        score_block(score, stride, q, head_dim, kv, p, n, scale, type, heads);
    for (unsigned h = 0; h < heads; h++) {
        float *s = score + h * stride;
        total[h] = avx2_exp_shift(s, s, max_of(s, n), n);
    }
    for (size_t d = 0; d < head_dim; d += 8 * CHUNKS)
        mix_block(out, score, stride, total, head_dim, kv, n, d, type, heads);
}

INLINE void attend_all(float *out, const float *q, size_t n_q, size_t head_dim,
                       const struct kv_span *kv, size_t n, float scale, float *scratch,
                       const enum kv_type type)
{
    for (; n_q >= HEADS; n_q -= HEADS, q += HEADS * head_dim, out += HEADS * head_dim)
        attend_heads(out, q, head_dim, kv, n, scale, scratch, type, HEADS);
    if (n_q)
        attend_heads(out, q, head_dim, kv, n, scale, scratch, type, 1);
}

void avx2_attend(float *out, const float *q, size_t n_q, size_t head_dim, const struct kv_span *kv,
                 size_t n, float scale, float *scratch)
{
    if (kv->type == KV_F32)
        attend_all(out, q, n_q, head_dim, kv, n, scale, scratch, KV_F32);
    else
        attend_all(out, q, n_q, head_dim, kv, n, scale, scratch, KV_F16);
}
