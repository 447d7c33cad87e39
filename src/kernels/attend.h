/* SPDX-License-Identifier: MIT */
/*
 * attend.h - how every vector variant attends: the walk over a range, written once.
 *
 * Positions are taken in blocks.  A block of keys is made floats once and then scored against all
 * queries of the tile; when all scores are there they become exponentials, and blocks of values are
 * added up in the same way.  Where the queries fit into one pass a number is used once, and is made
 * a float where it is used.  Rows of 16 numbers and zeros behind them are all that an instruction
 * set has to deal with.
 *
 * With many queries a block of keys is turned as well, so that a register holds one number of many
 * positions: then the lanes of a sum, which are added up in the end, lie in registers of their own,
 * and adding them up costs 15 operations for as many scores as a register holds.
 *
 * Adding those zeros may turn a score of -0 into +0, which the exponential does not see and the
 * largest score, reported without its sign when it is zero, does not show.
 */
#ifndef TRIT_KERNELS_ATTEND_H
#define TRIT_KERNELS_ATTEND_H

#include "base/base.h"
#include "kernels/inline.h"
#include "kernels/kernels.h"

enum {
    ATTEND_AHEAD = 48, /* positions to fetch ahead; a multiple of ATTEND_BLOCK */
    /* Positions of a block that is used once: the fetching of one ahead must not fill the core's
     * buffers before anything is computed. */
    ATTEND_SMALL_BLOCK = 4,
};

/* The lanes of a sum in an order in which the tree of dot16 adds what stands together: lane i and
 * the eighth from it, then the fourths, the second and the first. */
static const uint8_t attend_lane[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};

/* `count` rows of keys or of values, [width] numbers of this type each. */
struct attend_rows {
    const uint8_t *at;
    enum kv_type type;
};

/* f(..., type), with a type that the compiler knows. */
#define ATTEND_TYPED(f, kv_type, ...)                                                              \
    ((kv_type) == KV_F32   ? f(__VA_ARGS__, KV_F32)                                                \
     : (kv_type) == KV_F16 ? f(__VA_ARGS__, KV_F16)                                                \
                           : f(__VA_ARGS__, KV_Q8))

/* What an instruction set brings.  `width` is a multiple of 16, as is everything [width]. */
struct attend_isa {
    /* dst[round_up(n, 16)] = src[n] as floats, zeros behind them. */
    void (*widen)(float *dst, const uint8_t *src, size_t n, enum kv_type type);

    /* score[j][i] = dot16(q[j], k[i]) * factor[i] for i < count <= ATTEND_BLOCK; rows of score are
     * ATTEND_STRIDE apart, and up to three more behind `count` may be written. */
    void (*score)(float *score, const float *q, size_t n_queries, size_t width,
                  struct attend_rows k, size_t count, const float *factor);

    /*
     * The same for ATTEND_COLUMNS positions from keys that are turned: columns[c][s][i] is number
     * 16 s + c of position i, so that the terms of a lane of dot16 stand together.  `turn` fills
     * ATTEND_BLOCK of the positions from so many rows, the last of which stands for those that are
     * missing.  From `many` queries on this is faster; without `turn` there is none of it.
     */
    void (*turn)(float *columns, const float *rows, size_t count, size_t width);
    void (*score_turned)(float *score, const float *q, size_t n_queries, size_t width,
                         const float *columns, const float *factor);
    size_t many;

    /* The largest of x[n]; a NaN is passed over and comes out of the exponentials. */
    float (*max_of)(const float *x, size_t n);
    float (*exp_shift)(float *y, const float *x, float shift, size_t n);

    /* e[i] *= step[i] for i < n <= ATTEND_BLOCK. */
    void (*weigh)(float *e, const float *step, size_t n);

    /* mix[j][d] = fma over i < count of e[j][i] * v[i][d], for at most `most` queries; from +0, or
     * going on from what is there. */
    void (*mix)(float *mix, const float *e, size_t n_queries, size_t width, struct attend_rows v,
                size_t count, bool go_on);
    size_t most; /* queries that mix takes, and that one pass of score takes */

    /* y[i] = fma(x[i], b, y[i] * a) and y[i] = x[i] / s. */
    void (*blend)(float *y, float a, const float *x, float b, size_t n);
    void (*divide)(float *y, const float *x, float s, size_t n);
};

/* How the queries of a tile meet keys and values. */
enum attend_way {
    ATTEND_IN_PLACE, /* queries are so few that numbers are read where they lie */
    ATTEND_ROWS,     /* a block is made floats */
    ATTEND_TURNED,   /* and keys are turned; blocks are longer, so that a sum stays in registers */
};

INLINE enum attend_way attend_way(const struct attend_isa *isa, const struct kv_span *kv,
                                  size_t queries, size_t head_dim)
{
    if (queries <= isa->most && attend_width(head_dim) == head_dim)
        return ATTEND_IN_PLACE;
    return isa->turn && queries >= isa->many && kv->page_tokens >= ATTEND_BLOCK ? ATTEND_TURNED
                                                                                : ATTEND_ROWS;
}

/* Positions that are read together; a page is a multiple of it. */
INLINE size_t attend_piece(const struct kv_span *kv, enum attend_way way)
{
    size_t piece = way == ATTEND_IN_PLACE ? ATTEND_SMALL_BLOCK : ATTEND_BLOCK;
    return MIN(piece, kv->page_tokens);
}

/* Positions of a block: a piece, or several, which may lie in several pages. */
INLINE size_t attend_block(const struct kv_span *kv, enum attend_way way)
{
    return way == ATTEND_TURNED ? ATTEND_COLUMNS : attend_piece(kv, way);
}

/* K or V (at `offset` in its page) of `count` positions of one page: as floats in `rows`, or there
 * if they are wanted as they are and one block is one piece. */
INLINE struct attend_rows attend_rows(const struct attend_isa *isa, const struct kv_span *kv,
                                      size_t offset, size_t p, size_t count, size_t head_dim,
                                      float *rows, enum attend_way way)
{
    size_t width = attend_width(head_dim), row_bytes = head_dim * kv->type;
    const uint8_t *src = kv_row(kv, offset, p, row_bytes);
    if (way == ATTEND_IN_PLACE || (way == ATTEND_ROWS && width == head_dim && kv->type == KV_F32))
        return (struct attend_rows){src, kv->type};
    if (width == head_dim)
        isa->widen(rows, src, count * width, kv->type);
    else
        for (size_t i = 0; i < count; i++)
            isa->widen(rows + i * width, src + i * row_bytes, head_dim, kv->type);
    return (struct attend_rows){(const uint8_t *)rows, KV_F32};
}

/*
 * Fetch `count` positions that will be wanted ATTEND_AHEAD positions later: keys, then values. Into
 * the second cache: the few buffers of the nearest one would be full at once, and loads would wait.
 */
INLINE void attend_prefetch(const struct kv_span *kv, size_t at, size_t count, size_t longest,
                            size_t head_dim)
{
    size_t row_bytes = head_dim * kv->type, offset = kv->k_offset;
    at += ATTEND_AHEAD;
    if (at >= longest) {
        at -= longest;
        offset = kv->v_offset;
    }
    if (at >= longest)
        return;
    const uint8_t *row = kv_row(kv, offset, at, row_bytes);
    for (size_t i = 0; i < count * row_bytes; i += 64)
        __builtin_prefetch(row + i, 0, 2);
}

/* The steps of the positions from p on, which lie in one page. */
INLINE const float *attend_steps(const struct kv_span *kv, size_t offset, size_t p)
{
    return (const float *)(const void *)kv_row(kv, offset, p, sizeof(float));
}

/* Where the positions of a range that query j sees end, and where they begin. */
INLINE size_t attend_seen(const struct attend_tile *t, size_t n, size_t j)
{
    return MIN(n + j / t->n_q, (size_t)ATTEND_RANGE);
}

INLINE size_t attend_from(const struct attend_tile *t, size_t n, size_t j)
{
    size_t end = n + j / t->n_q;
    return t->window && end > t->window ? end - t->window : 0;
}

/* What the scores of `count` positions of a page are multiplied by. */
INLINE void attend_factors(float *factor, const struct attend_tile *t, const struct kv_span *kv,
                           size_t p, size_t count)
{
    const float *step = kv->type == KV_Q8 ? attend_steps(kv, kv->k_steps, p) : NULL;
    for (size_t i = 0; i < count; i++)
        factor[i] = step ? t->scale * step[i] : t->scale;
}

INLINE void attend_scores(const struct attend_isa *isa, float *score, const float *q,
                          const struct attend_tile *t, const struct kv_span *kv, size_t shortest,
                          size_t longest, float *rows, enum attend_way way)
{
    size_t queries = t->n_rows * t->n_q, width = attend_width(t->head_dim);
    size_t piece = attend_piece(kv, way);
    float factor[ATTEND_BLOCK] = {0};
    for (size_t p = shortest, count; p < longest; p += count) {
        count = MIN(piece, longest - p);
        attend_prefetch(kv, p, count, longest, t->head_dim);
        struct attend_rows k = attend_rows(isa, kv, kv->k_offset, p, count, t->head_dim, rows, way);
        attend_factors(factor, t, kv, p, count);
        isa->score(score + p, q, queries, width, k, count, factor);
    }
}

/* The same by keys that are turned, behind the rows. */
INLINE void attend_scores_turned(const struct attend_isa *isa, float *score, const float *q,
                                 const struct attend_tile *t, const struct kv_span *kv,
                                 size_t shortest, size_t longest, float *rows)
{
    size_t queries = t->n_rows * t->n_q, width = attend_width(t->head_dim);
    float factor[ATTEND_COLUMNS] = {0}, *columns = rows + ATTEND_COLUMNS * width;
    for (size_t p = shortest; p < longest; p += ATTEND_COLUMNS) {
        size_t count = 0;
        for (size_t i = 0; i < ATTEND_COLUMNS; i += ATTEND_BLOCK) {
            size_t at = p + i;
            if (at < longest) { /* else once more what was read last */
                count = MIN((size_t)ATTEND_BLOCK, longest - at);
                attend_prefetch(kv, at, count, longest, t->head_dim);
                attend_rows(isa, kv, kv->k_offset, at, count, t->head_dim, rows, ATTEND_TURNED);
                attend_factors(factor + i, t, kv, at, count);
            }
            isa->turn(columns + i, rows, count, width);
        }
        isa->score_turned(score + p, q, queries, width, columns, factor);
    }
}

/* The rows from the i-th on. */
INLINE struct attend_rows attend_rows_at(struct attend_rows v, size_t i, size_t width)
{
    return (struct attend_rows){v.at + i * width * v.type, v.type};
}

/* One block of values for all queries, of which the first may not see all of it. */
INLINE void attend_mix(const struct attend_isa *isa, float *mix, const float *e,
                       const struct attend_tile *t, size_t n, size_t p, struct attend_rows v,
                       size_t count)
{
    size_t queries = t->n_rows * t->n_q, width = attend_width(t->head_dim);
    bool whole = p + count <= n;
    for (size_t j = 0, few; j < queries; j += few) {
        few = MIN(queries - j, isa->most);
        size_t first = whole ? p + count : attend_seen(t, n, j);
        size_t last = whole ? p + count : attend_seen(t, n, j + few - 1);
        if (first != last && first < p + count) {
            few = 1;
            last = first;
        }
        if (last > p)
            isa->mix(mix + j * width, e + j * ATTEND_STRIDE, few, width, v, MIN(count, first - p),
                     p > 0);
    }
}

/* The same for one block in which some queries begin. */
INLINE void attend_mix_window(const struct attend_isa *isa, float *mix, const float *e,
                              const struct attend_tile *t, size_t n, size_t p, struct attend_rows v,
                              size_t count)
{
    size_t queries = t->n_rows * t->n_q, width = attend_width(t->head_dim);
    for (size_t j = 0; j < queries; j++) {
        size_t from = attend_from(t, n, j), first = MAX(from, p);
        size_t end = MIN(attend_seen(t, n, j), p + count);
        if (first < end)
            isa->mix(mix + j * width, e + j * ATTEND_STRIDE + (first - p), 1, width,
                     attend_rows_at(v, first - p, width), end - first, first > from);
    }
}

/* The `attend` of an instruction set. */
INLINE void attend_walk(const struct attend_isa *isa, const struct attend_part *part,
                        const struct attend_tile *t, const struct kv_span *kv, size_t n,
                        float *scratch)
{
    size_t queries = t->n_rows * t->n_q, head_dim = t->head_dim, width = attend_width(head_dim);
    size_t longest = MIN(n + t->n_rows - 1, (size_t)ATTEND_RANGE);
    enum attend_way way = attend_way(isa, kv, queries, head_dim);
    size_t piece = attend_piece(kv, way), block = attend_block(kv, way);
    /* From the piece in which the first row begins; where all have begun windows do not show. */
    size_t shortest = attend_from(t, n, 0) / piece * piece, begun = attend_from(t, n, queries - 1);
    float *score = scratch, *q = score + queries * ATTEND_STRIDE, *rows = q + queries * width;
    for (size_t j = 0; j < queries; j++)
        isa->widen(q + j * width,
                   (const uint8_t *)(t->q + j / t->n_q * t->q_stride + j % t->n_q * head_dim),
                   head_dim, KV_F32);

    if (way == ATTEND_TURNED)
        attend_scores_turned(isa, score, q, t, kv, shortest, longest, rows);
    else
        attend_scores(isa, score, q, t, kv, shortest, longest, rows, way);
    for (size_t j = 0; j < queries; j++) {
        size_t from = attend_from(t, n, j), seen = attend_seen(t, n, j) - from;
        float *e = score + j * ATTEND_STRIDE + from;
        float max = isa->max_of(e, seen);
        part->max[j] = max + 0.0f; /* +0 for -0 */
        part->sum[j] = isa->exp_shift(e, e, max, seen);
    }
    for (size_t p = shortest, count; p < longest; p += count) {
        count = MIN(block, longest - p);
        struct attend_rows v = {(const uint8_t *)rows, KV_F32};
        for (size_t i = 0, some; i < count; i += some) {
            some = MIN(piece, count - i);
            attend_prefetch(kv, longest + p + i, some, longest, head_dim);
            struct attend_rows read =
                attend_rows(isa, kv, kv->v_offset, p + i, some, head_dim, rows + i * width, way);
            if (i == 0)
                v = read;
            for (size_t j = 0; kv->type == KV_Q8 && j < queries; j++)
                isa->weigh(score + j * ATTEND_STRIDE + p + i, attend_steps(kv, kv->v_steps, p + i),
                           some);
        }
        if (p > begun || begun == 0)
            attend_mix(isa, part->mix, score + p, t, n, p, v, count);
        else
            attend_mix_window(isa, part->mix, score + p, t, n, p, v, count);
    }
}

INLINE void attend_merge_with(const struct attend_isa *isa, const struct attend_part *to,
                              const struct attend_part *from, size_t n, size_t head_dim)
{
    size_t width = attend_width(head_dim);
    for (size_t j = 0; j < n; j++) {
        float pair[2] = {to->max[j], from->max[j]};
        float max = pair[1] > pair[0] ? pair[1] : pair[0];
        isa->exp_shift(pair, pair, max, 2);
        to->max[j] = max;
        to->sum[j] = __builtin_fmaf(from->sum[j], pair[1], to->sum[j] * pair[0]);
        isa->blend(to->mix + j * width, pair[0], from->mix + j * width, pair[1], width);
    }
}

INLINE void attend_finish_with(const struct attend_isa *isa, float *out,
                               const struct attend_part *part, size_t n, size_t head_dim)
{
    for (size_t j = 0; j < n; j++)
        isa->divide(out + j * head_dim, part->mix + j * attend_width(head_dim), part->sum[j],
                    head_dim);
}

/* The three entries of an instruction set whose functions stand above, named as in struct
 * attend_isa; its exp_shift is isa_exp_shift, and `most` the queries that its `mix` takes;
 * behind that what it has beyond what all have. */
#define ATTEND_ENTRIES(isa, most_queries, ...)                                                     \
    static const struct attend_isa isa##_isa = {.widen = widen,                                    \
                                                .score = score,                                    \
                                                .max_of = max_of,                                  \
                                                .exp_shift = isa##_exp_shift,                      \
                                                .weigh = weigh,                                    \
                                                .mix = mix,                                        \
                                                .most = most_queries,                              \
                                                .blend = blend,                                    \
                                                .divide = divide,                                  \
                                                __VA_ARGS__};                                      \
    void isa##_attend(const struct attend_part *part, const struct attend_tile *t,                 \
                      const struct kv_span *kv, size_t n, float *scratch)                          \
    {                                                                                              \
        attend_walk(&isa##_isa, part, t, kv, n, scratch);                                          \
    }                                                                                              \
    void isa##_attend_merge(const struct attend_part *to, const struct attend_part *from,          \
                            size_t n, size_t head_dim)                                             \
    {                                                                                              \
        attend_merge_with(&isa##_isa, to, from, n, head_dim);                                      \
    }                                                                                              \
    void isa##_attend_finish(float *out, const struct attend_part *part, size_t n,                 \
                             size_t head_dim)                                                      \
    {                                                                                              \
        attend_finish_with(&isa##_isa, out, part, n, head_dim);                                    \
    }

#endif
