/* SPDX-License-Identifier: MIT */
/*
 * kernels.h - the arithmetic of tritd: one vtable, one specification, several instruction sets.
 *
 * scalar.c is the specification.  Every other variant gives the same bits, in the integers and in
 * the floats: the integer sums are exact and so do not depend on order, and every float operation
 * below has one defined order of operations that vector units can follow.  The conformance program
 * tests/kernels/kcheck holds every variant to it.
 *
 * The rules that make floats reproducible on every machine:
 *  - a * b + c is a fused multiply-add wherever "fma" is written, and never elsewhere
 *    (-ffp-contract=off); +, -, *, /, sqrt and fma round to nearest even as IEEE 754 says;
 *  - a sum over n values uses 16 lanes: lane l takes the elements l, l + 16, ... in order, starting
 *    from +0; then lanes are added in a tree, l += l + 8, then + 4, + 2, + 1;
 *  - exp is the polynomial in scalar.c, not libm's.
 *
 * A NaN among the inputs of an operation gives a NaN in every output that depends on it: quantise
 * and head_split put it into `step`, argmax reports it.  Its sign and payload are not specified.
 *
 * A result for one token never depends on which other tokens are in the same call, so answers do
 * not depend on the batch.
 *
 * Kernels do not allocate, lock, or keep state.  Pointers that a caller passes for activations and
 * outputs are 64-byte aligned where a comment says "line"; sizes are checked by the caller once.
 */
#ifndef TRIT_KERNELS_H
#define TRIT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "model/arch.h"
#include "model/layout.h"
#include "model/method.h"
#include "model/table.h"

/* CPU features as bits, for detection and for the --cpu mask. */
enum kernels_cpu {
    CPU_AVX2 = 1 << 0,   /* with FMA and F16C */
    CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL */
    CPU_AVX512_VNNI = 1 << 2,
    CPU_AVX512_VBMI = 1 << 3,
    CPU_AMX_INT8 = 1 << 4,     /* matrix tiles that the kernel lets this process use */
    CPU_NEON_DOTPROD = 1 << 5, /* with FP16 conversions */
};

/* Tiles that `ternary` takes at a time, at most; a call for a multiple of it wastes nothing. */
enum { KERNELS_TILES = 4 };

/*
 * Activations quantised to int8, W1.58A8: for each token and each group of the layer they feed
 * (one group over all inputs for per-tensor weights),
 *
 *     m = max(max |x|, 1e-5),  q = clamp(round_half_even(x * (127 / m)), -128, 127),
 *     step = m / 127.
 *
 * q is laid out as the linear layer's columns, zeros from the last one to q_stride.
 */
struct acts {
    int8_t *q;    /* [n_tokens][q_stride], line; q_stride a multiple of 64 */
    float *step;  /* [n_tokens][n_groups] */
    int32_t *sum; /* [n_tokens][n_groups]: sum of q, as y = sum(code * q) - sum(q) */
    size_t q_stride;
    uint32_t n_groups;
};

/*
 * Inputs of a q8 head: 15-bit integers as two int8 planes, so that the head's own 8 bits are the
 * only rounding that shows.  Fields as in struct acts, one group.
 */
struct planes {
    int8_t *hi, *lo;          /* [n_tokens][stride], line; stride >= that of the table */
    float *step;              /* [n_tokens] */
    int32_t *sum_hi, *sum_lo; /* [n_tokens], for kernels that offset one side to unsigned */
    size_t stride;
};

/* How keys and values are kept; the value is the size of one number in bytes. */
enum kv_type {
    KV_Q8 = 1, /* int8, with a float step for each position; see to_q8 */
    KV_F16 = 2,
    KV_F32 = 4,
};

/* Keys and values of one sequence, one layer, one KV head, in pages. */
struct kv_span {
    enum kv_type type;
    const uint8_t *pool;   /* page p is at pool + pages[p] * page_bytes */
    const uint32_t *pages; /* [n / page_tokens, rounded up] */
    size_t page_bytes;
    size_t k_offset;         /* inside a page: K[page_tokens][head_dim] of this layer and head */
    size_t v_offset;         /* and V alike */
    size_t k_steps, v_steps; /* KV_Q8: float[page_tokens], the steps of K and of V */
    uint32_t page_tokens;    /* a power of two, at most ATTEND_RANGE */
};

/*
 * Attention goes over the positions in ranges of ATTEND_RANGE, counted from position 0, so that a
 * long context can be shared out.  What one range says to a query is a part; parts are merged in
 * the order of their ranges.  The length belongs to the arithmetic: another one gives other bits.
 *
 * Why 256: merging costs one operation in 256.  The scores of 128 queries take 152 KiB, which the
 * second cache holds beside the keys that pass by.  A longer range would leave contexts of a few
 * thousand positions with fewer ranges than a machine has threads; a shorter one would make the
 * parts of a long context many.
 */
enum {
    ATTEND_RANGE = 256,
    ATTEND_QUERIES = 128, /* of a call, that they may share the reading; any number is right */

    /* Of scratch: floats between the scores of two queries, so that they do not all lie in the same
     * set of a cache; positions that are made floats together, and of those that are turned. */
    ATTEND_STRIDE = ATTEND_RANGE + 48,
    ATTEND_BLOCK = 16,
    ATTEND_COLUMNS = 64,
};

/* Floats of a row in a part: head_dim, padded. */
static inline size_t attend_width(size_t head_dim)
{
    return round_up(head_dim, 16);
}

/* Queries of consecutive rows of one sequence for one KV head. */
struct attend_tile {
    const float *q; /* [n_rows][q_stride]; the first n_q * head_dim of each */
    size_t q_stride;
    size_t n_rows, n_q, head_dim;
    size_t window; /* positions that a row sees, its own the last of them; 0: all there are */
    float scale;
};

/* Parts of n queries; query j is head j % n_q of row j / n_q. */
struct attend_part {
    float *mix; /* [n][attend_width], line; what is behind head_dim is not specified */
    float *max; /* [n] */
    float *sum; /* [n] */
};

/* Scratch for attend(), in floats, for so many queries of a tile. */
static inline size_t attend_scratch(size_t n_queries, size_t head_dim)
{
    return n_queries * (ATTEND_STRIDE + attend_width(head_dim)) +
           2 * ATTEND_COLUMNS * attend_width(head_dim);
}

/*
 * Consecutive tokens of one sequence for one head of a gated delta rule (model/model.h: struct
 * hparams_delta).  The state S[key][value] is dim * dim floats, kept as [dim / 16][dim][16]:
 * columns of sixteen values.
 */
struct delta_rows {
    float *state;
    const float *q, *k; /* [n_rows][stride], dim of each */
    float *v;           /* likewise; the outputs take their place */
    size_t stride;
    const float *decay, *rate; /* [n_rows] */
    size_t n_rows, dim;        /* dim a multiple of 16 */
};

struct kernels {
    const char *name;      /* "scalar", "avx2", "avx512", "avx512vbmi", "amx", "neon" */
    enum layout_id layout; /* the layout its `ternary` reads fastest; it reads only this one */
    uint32_t cpu;          /* features it needs */

    /*
     * Quantise x[cols] for a layer of w's shape into row `token` of *a.  Padding is written too.
     */
    void (*quantise)(const struct linear *w, struct acts *a, size_t token, const float *x);

    /*
     * out[token][row] = sum over groups g of  (float)(dot_g - sum_g) * (scale[row, g] * step_g)
     * for the rows of tiles [tile0, tile1) that exist and all n_tokens; out_stride floats from
     * token to token.  One group: the product itself.  Several: acc = fma((float)(dot_g - sum_g),
     * scale * step, acc) for g ascending from acc = +0.  dot_g: int32 sum of code * q over the
     * group; cannot overflow for group < 2^22.  Writes nothing else.
     */
    void (*ternary)(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens);

    /*
     * The same for signs, LAYOUT_S1: out[token][row] = (float)(2 dot - sum) * (scale[row] * step),
     * dot the int32 sum of q where the bit is set.
     */
    void (*signs)(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens);

    /*
     * The same for LAYOUT_S2, q in the order of its columns.  Of a group of a row: m1 to b3 are its
     * levels; U, E, F the int32 sums of q over columns that are salient, all of them, those with
     * the first bit set, the second bit; T, A, B, AB of those that are not, all of them, the first
     * bit, the second bit, both.
     *
     *     v = ((m3 - a3) - b3) * U;  v = fma(2 a3, E, v);  v = fma(2 b3, F, v)
     *     small = m1 - a1;  large = m2 - a2;  v = fma(small, T, v)
     *     v = fma(2 a1, A, v);  v = fma(large - small, B, v);  v = fma(2 (a2 - a1), AB, v)
     *     acc = fma(v, step, acc), groups ascending, from +0
     */
    void (*billm)(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens);

    /*
     * Logits of rows [row0, row1) of a head table for n_tokens inputs x[token][x_stride] (line,
     * x_stride >= t->stride, zeros beyond cols):  out[token][row], out_stride floats between
     * tokens.
     *
     * f16: the 16-lane sum of fma(w, x, lane).
     * q8: reads TABLE_BYTES.  x is first put on a grid of 15 bits, see head_split; with its planes
     *     hi and lo,
     *     logit = fma(128, (float)dot(hi, q), (float)dot(lo, q)) * (scale[row] * step);
     *     both dots are exact in int32 for stride < 2^17.
     * coarse: the same logits roughly, from the high nibbles of a TABLE_Q8 and the plane hi alone,
     *     as if every low nibble were 7.5 and lo were zero:
     *     i = 16 * dot(high, hi) - 120 * sum_hi, exact in int32 (what wraps on the way wraps back);
     *     logit = fma(-64, (float)sum_hi, 128 * (float)i) * (scale[row] * step).
     */
    void (*head_f16)(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                     const float *x, size_t x_stride, size_t n_tokens);
    void (*head_q8)(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                    const struct planes *x, size_t n_tokens);
    void (*head_coarse)(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens);

    /*
     * Split x[n] into row `token` of *p:  m = max(max |x|, 1e-30),
     * v = round_half_even(x * (16256 / m)),  hi = (v + 64) >> 7 in [-127, 127],
     * lo = v - 128 hi in [-64, 63],  step = m / 16256.  Planes are zero from n to their stride.
     */
    void (*head_split)(struct planes *p, size_t token, const float *x, size_t n);

    /* y[i] = (x[i] * r) * w[i],  r = 1 / sqrt(sum(x[i]^2) / n + eps), sum in 16 lanes of fma. */
    void (*rmsnorm)(float *y, const float *x, const float *w, float eps, size_t n);

    /* y[i] = act(gate[i]) * up[i];  silu(g) = g / (1 + exp(-g)),  relu2(g) = max(g, 0)^2,
     * gelu(g) = g / (1 + exp(-(g * 2 sqrt(2 / pi)) * fma(g * g, 0.044715, 1))). */
    void (*glu)(float *y, const float *gate, const float *up, enum act_fn act, size_t n);

    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, size_t n);

    /*
     * Rotate the first 2 * half values of x[n_heads][head_dim] by angles whose cosine and sine are
     * cs[0, half) and cs[half, 2 half):  (a c - b s, a s + b c) as fma(a, c, -(b * s)) and
     * fma(a, s, b * c).
     */
    void (*rope)(float *x, const float *cs, enum rope_style style, size_t n_heads, size_t head_dim,
                 size_t half);

    /* Round to binary16, nearest even; beyond range: infinity. */
    void (*to_f16)(uint16_t *dst, const float *src, size_t n);

    /*
     * Round x[n] to a step of its own:  m = max(max |x|, 1e-30),
     * q = clamp(round_half_even(x * (127 / m)), -127, 127).  Returns the step, m / 127.
     */
    float (*to_q8)(int8_t *q, const float *x, size_t n);

    /*
     * What one range says to the queries of a tile.  n >= 1 is the number of positions from the
     * first of the range to that of row 0, that one counted; it may be more than the range has. Row
     * r sees positions [from, to) of the range, to = min(n + r, ATTEND_RANGE), from = 0, or with a
     * window max(0, n + r - window), which is less than `to`; kv->pages are those of the range, and
     * of positions below every row's `from` nothing is read but the number of the page.  For a
     * query q, p from `from` on,
     *
     *     score[p] = dot16(q, K[p]) * scale;  max = the largest, zeros as +0;
     *     e[p] = exp(score[p] - max);  sum = 16-lane sum of e, lanes counted from `from`;
     *     mix[d] = fma over p ascending of e[p] * V[p][d], from +0.
     *
     * KV_Q8: K and V are the integers as they stand, score[p] = dot16 * (scale * k_step[p]), and
     * (e[p] * v_step[p]) takes the place of e[p] in mix.  scratch: attend_scratch() floats, line.
     */
    void (*attend)(const struct attend_part *part, const struct attend_tile *t,
                   const struct kv_span *kv, size_t n, float *scratch);

    /*
     * Merge a later range into what the ranges before it said, for n queries:
     *
     *     max = max(to.max, from.max);  a = exp(to.max - max);  b = exp(from.max - max);
     *     to.sum = fma(from.sum, b, to.sum * a);  to.mix[d] = fma(from.mix[d], b, to.mix[d] * a).
     */
    void (*attend_merge)(const struct attend_part *to, const struct attend_part *from, size_t n,
                         size_t head_dim);

    /* out[n][head_dim] = mix / sum, attention's result when all ranges are merged. */
    void (*attend_finish)(float *out, const struct attend_part *part, size_t n, size_t head_dim);

    /*
     * y[i] = exp(x[i] - shift), x[i] <= shift; below exp(-87) it is +0.  Returns the 16-lane sum.
     */
    float (*exp_shift)(float *y, const float *x, float shift, size_t n);

    /*
     * For each row in order, with S as the rows before it have left it, i over keys ascending, j
     * over values, each operation rounded:
     *
     *     told[j] = sum of (S[i][j] * decay) * k[i], from +0;  d[j] = (v[j] - told[j]) * rate;
     *     S[i][j] = S[i][j] * decay + k[i] * d[j];             v[j] = sum of S[i][j] * q[i], from +0.
     */
    void (*delta)(const struct delta_rows *t);

    /* The largest of x[n], n >= 1, and its first index; a NaN anywhere gives index SIZE_MAX. */
    size_t (*argmax)(const float *x, size_t n, float *max);
};

/*
 * What `quantise` left of x[w->cols] when it wrote row `token` of *a, magnified:
 * rest[i] = (x[i] - (float)q[i] * step) * 256, rounded after each operation.  Quantised in its turn
 * it makes a second plane of activations, see engine/acts.h.  rest and x do not overlap.
 */
enum { KERNELS_REST = 256 };
void kernels_rest(const struct linear *w, const struct acts *a, size_t token, const float *x,
                  float *rest);

/*
 * y = (x - mean) / deviation [* w + b]: d = x - sum(x) / n;  r = 1 / sqrt(sum(d^2) / n + eps);
 * y = d * r, then where w is not NULL y * w + b, rounded after each operation; sums in 16 lanes
 * without fma.  y may be x.
 */
void kernels_layernorm(float *y, const float *x, const float *w, const float *b, float eps,
                       size_t n);

/*
 * A causal convolution over n channels of their own, for consecutive rows of one sequence, in
 * place:
 *
 *     x[r][c] = w[c][0] * x[r - width + 1][c] + ... + w[c][width - 1] * x[r][c],
 *
 * summed from the left, each operation rounded.  past[width - 1][past_stride] has what was in the
 * rows before x[0], oldest first, and then what was in the last ones.  2 <= width <=
 * DELTA_CONV_MAX.
 */
void kernels_convolve(float *x, size_t stride, size_t n_rows, float *past, size_t past_stride,
                      const float *w, size_t width, size_t n);

/* Sum of x[i] * y[i] in 16 lanes, without fma. */
float kernels_dot(const float *x, const float *y, size_t n);

/*
 * y = H (signs * x) in blocks of a power of two, H Sylvester's Hadamard matrix over the root of the
 * block (model/rotation.h): signs, then butterflies of distance 1, 2, 4 ... as sum and difference,
 * then the factor, each operation rounded.  y may be x.  Back: x = signs * (H x).
 */
void kernels_rotate(float *y, const float *x, const float *signs, size_t block, size_t n);
void kernels_rotate_back(float *x, const float *signs, size_t block, size_t n);

/* y[i] = x[order[i]], order counted from the first column of each BILLM_BLOCK; y is not x. */
void kernels_arrange(float *y, const float *x, const uint8_t *order, size_t n);

/* y[i] = x[i] * by[i]; y may be x. */
void kernels_multiply(float *y, const float *x, const float *by, size_t n);

/* What this CPU has.  Asks the operating system for the use of matrix tiles where there are any:
 * call it once before threads are started. */
uint32_t kernels_cpu_detect(void);

/*
 * The best variant that needs only the features in `mask`, which the caller has intersected with
 * kernels_cpu_detect().  Mask 0 gives scalar.
 */
const struct kernels *kernels_pick(uint32_t mask);

/* Variants built into this binary, best last; NULL beyond the end.  For tests and the bench. */
const struct kernels *kernels_at(size_t i);

/*
 * The mask that a --cpu word allows: "auto", "scalar", "avx2", "avx512" (with VNNI and VBMI where
 * there), "amx" (all that and matrix tiles), "neon".  -TRIT_EINVAL for another word, -TRIT_EUNSUPP
 * for a set this CPU lacks.
 */
struct trit_error;
int kernels_mask_parse(const char *word, uint32_t *mask, struct trit_error *err);

#endif
