/* SPDX-License-Identifier: MIT */
/*
 * kcheck_attend.c - attention over paged keys and values: one range, several, and their merging.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

/* A case: so many queries over so many positions, kept in this way. */
struct shape {
    enum kv_type type;
    size_t n_rows, n_q, head_dim;
    size_t n;      /* positions of the first row */
    size_t window; /* 0: none */
    uint32_t page_tokens;
    float size; /* of queries */
    bool nan;
};

static void put(enum kv_type type, void *base, size_t i, float x)
{
    if (type == KV_F32)
        ((float *)base)[i] = x;
    else if (type == KV_F16)
        ((uint16_t *)base)[i] = quant_f32_to_f16(x);
    else
        ((int8_t *)base)[i] = (int8_t)lrintf(127 * x);
}

/* Pages in scattered order, with other layers' data around K and V. */
static struct kv_span new_span(const struct shape *s, size_t positions)
{
    size_t n_pages = (positions + s->page_tokens - 1) / s->page_tokens, all = n_pages + kc_below(3);
    size_t numbers = s->page_tokens * s->head_dim * s->type, gap = 32 * kc_below(3);
    size_t half = round_up(numbers, 4) + (s->type == KV_Q8 ? 4 * s->page_tokens : 0);
    struct kv_span kv = {.type = s->type,
                         .page_tokens = s->page_tokens,
                         .page_bytes = round_up(2 * half + 3 * gap, 64),
                         .k_offset = gap,
                         .v_offset = 2 * gap + half};
    kv.k_steps = kv.k_offset + round_up(numbers, 4);
    kv.v_steps = kv.v_offset + round_up(numbers, 4);
    /* The last page ends with the last value that exists, if it comes last in the pool. */
    uint8_t *pool = kc_new(all * kv.page_bytes, 64);
    for (size_t i = 0; i < all * kv.page_bytes / s->type; i++)
        put(s->type, pool, i, kc_unit());
    for (size_t i = 0; s->type == KV_Q8 && i < all * s->page_tokens; i++) {
        uint8_t *page = pool + i / s->page_tokens * kv.page_bytes;
        ((float *)(void *)(page + kv.k_steps))[i % s->page_tokens] = kc_unit() / 127;
        ((float *)(void *)(page + kv.v_steps))[i % s->page_tokens] = kc_unit() / 127;
    }
    if (s->nan)
        put(s->type == KV_Q8 ? KV_F32 : s->type,
            pool + (s->type == KV_Q8 ? kv.k_steps : kv.k_offset), 0, NAN);
    uint32_t *pages = kc_new(n_pages * sizeof *pages, 4);
    for (size_t i = 0; i < n_pages; i++)
        pages[i] = (uint32_t)i;
    for (size_t i = n_pages; i > 1; i--) {
        uint32_t j = kc_below((uint32_t)i), page = pages[j];
        pages[j] = pages[i - 1];
        pages[i - 1] = page;
    }
    kv.pool = pool;
    kv.pages = pages;
    return kv;
}

static double value_at(const struct kv_span *kv, size_t offset, size_t steps, size_t p,
                       size_t head_dim, size_t d)
{
    const uint8_t *page = kv->pool + kv->pages[p / kv->page_tokens] * kv->page_bytes;
    const void *base = page + offset;
    size_t in_page = p % kv->page_tokens, at = in_page * head_dim + d;
    if (kv->type == KV_F32)
        return (double)((const float *)base)[at];
    if (kv->type == KV_F16)
        return (double)quant_f16_to_f32(((const uint16_t *)base)[at]);
    double step = (double)((const float *)(const void *)(page + steps))[in_page];
    return ((const int8_t *)base)[at] * step;
}

/* Softmax in double.  V lies in [-1, 1], so the weights' errors add up to a small multiple of 1. */
static void compare_head(const float *out, const float *q, size_t head_dim,
                         const struct kv_span *kv, size_t first, size_t n, float scale,
                         double *score)
{
    double max = -INFINITY, sum = 0, largest = 0;
    for (size_t p = first; p < n; p++) {
        double dot = 0, size = 0;
        for (size_t d = 0; d < head_dim; d++) {
            double term = (double)q[d] * value_at(kv, kv->k_offset, kv->k_steps, p, head_dim, d);
            dot += term;
            size += fabs(term);
        }
        score[p] = dot * (double)scale;
        largest = fmax(largest, size * (double)scale);
        max = fmax(max, score[p]);
    }
    for (size_t p = first; p < n; p++)
        sum += score[p] = exp(score[p] - max);
    for (size_t d = 0; d < head_dim; d++) {
        double want = 0;
        for (size_t p = first; p < n; p++)
            want += score[p] / sum * value_at(kv, kv->v_offset, kv->v_steps, p, head_dim, d);
        kc_near("out", d, (double)out[d], want,
                (largest * ((double)head_dim / 16 + 8) + (double)n + 8) * 0x1p-23);
    }
}

static struct attend_part new_part(size_t queries, size_t head_dim)
{
    return (struct attend_part){
        .mix = kc_new(queries * attend_width(head_dim) * sizeof(float), KC_LINE),
        .max = kc_new(queries * sizeof(float), 4),
        .sum = kc_new(queries * sizeof(float), 4)};
}

/* Everything but the padding of rows. */
static void same_part(const struct attend_part *got, const struct attend_part *want, size_t queries,
                      size_t head_dim)
{
    kc_same_floats("max", got->max, want->max, queries);
    kc_same_floats("sum", got->sum, want->sum, queries);
    for (size_t j = 0; j < queries; j++)
        kc_same_floats("mix", got->mix + j * attend_width(head_dim),
                       want->mix + j * attend_width(head_dim), head_dim);
}

/* What a row with so many positions does not see of them. */
static size_t unseen(size_t window, size_t n)
{
    return window && n > window ? n - window : 0;
}

/* As the engine does it: range after range from the first that is seen, the last one with the
 * limits of the rows. */
static void attend_all(const struct kernels *k, const struct attend_part *sum,
                       const struct attend_part *part, const struct attend_tile *t,
                       const struct kv_span *kv, size_t n, float *scratch)
{
    size_t queries = t->n_rows * t->n_q;
    size_t begin = unseen(t->window, n) / ATTEND_RANGE * ATTEND_RANGE;
    for (size_t first = begin; first < n; first += ATTEND_RANGE) {
        struct kv_span range = *kv;
        range.pages += first / kv->page_tokens;
        k->attend(first > begin ? part : sum, t, &range, n - first, scratch);
        if (first > begin)
            k->attend_merge(sum, part, queries, t->head_dim);
    }
}

static void check_outputs(const struct shape *s, const struct attend_tile *t,
                          const struct kv_span *kv, const float *out)
{
    if (s->nan) {
        for (size_t i = 0; kv->pages[0] == 0 && i < s->n_rows * s->n_q * s->head_dim; i++)
            if (!isnan(out[i]))
                kc_fail("out[%zu] hides the NaN in K", i);
        return;
    }
    double *score = kc_new((s->n + s->n_rows) * sizeof *score, 8);
    for (size_t j = 0; j < s->n_rows * s->n_q; j++)
        compare_head(out + j * s->head_dim,
                     t->q + j / s->n_q * t->q_stride + j % s->n_q * s->head_dim, s->head_dim, kv,
                     unseen(s->window, s->n + j / s->n_q), s->n + j / s->n_q, t->scale, score);
}

/* The rows of a tile end in the same range, and begin in the same one. */
static void attend_shape(const struct kernels *k, struct shape s)
{
    s.n_rows = MIN(s.n_rows, round_up(s.n, ATTEND_RANGE) - s.n + 1);
    size_t begin = unseen(s.window, s.n);
    while (unseen(s.window, s.n + s.n_rows - 1) / ATTEND_RANGE != begin / ATTEND_RANGE)
        s.n_rows--;
    kc_case("f%d, %zu rows of %zu heads of %zu, %zu positions, window %zu, pages of %u, size %g%s",
            8 * (int)s.type, s.n_rows, s.n_q, s.head_dim, s.n, s.window, s.page_tokens,
            (double)s.size, s.nan ? ", NaN" : "");
    size_t queries = s.n_rows * s.n_q, floats = attend_scratch(queries, s.head_dim);
    struct kv_span kv = new_span(&s, s.n + s.n_rows - 1);
    struct attend_tile t = {.n_rows = s.n_rows,
                            .n_q = s.n_q,
                            .head_dim = s.head_dim,
                            .window = s.window,
                            .q_stride = s.n_q * s.head_dim + kc_below(20),
                            .scale = 1.0f / sqrtf((float)s.head_dim)};
    /* The last row ends with its heads. */
    size_t n_floats = (s.n_rows - 1) * t.q_stride + s.n_q * s.head_dim;
    float *q = kc_new(n_floats * sizeof *q, 4);
    float *out = kc_new(queries * s.head_dim * sizeof *out, 4);
    float *scratch = kc_new(floats * sizeof *scratch, KC_LINE);
    kc_fill_unit(q, n_floats, s.size);
    t.q = q;
    struct attend_part sum = new_part(queries, s.head_dim), part = new_part(queries, s.head_dim);
    attend_all(k, &sum, &part, &t, &kv, s.n, scratch);
    k->attend_finish(out, &sum, queries, s.head_dim);
    if (k == kc_scalar) {
        check_outputs(&s, &t, &kv, out);
    } else {
        float *want = kc_new(queries * s.head_dim * sizeof *want, 4);
        struct attend_part right = new_part(queries, s.head_dim);
        struct attend_part last = new_part(queries, s.head_dim);
        attend_all(kc_scalar, &right, &last, &t, &kv, s.n, scratch);
        kc_scalar->attend_finish(want, &right, queries, s.head_dim);
        if ((s.n - 1) / ATTEND_RANGE > begin / ATTEND_RANGE)
            same_part(&part, &last, queries, s.head_dim);
        same_part(&sum, &right, queries, s.head_dim);
        kc_same_floats("out", out, want, queries * s.head_dim);
    }
    kc_end();
}

static void attend_types(const struct kernels *k, struct shape s)
{
    static const enum kv_type types[] = {KV_Q8, KV_F16, KV_F32};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        s.type = types[i];
        attend_shape(k, s);
    }
}

static struct shape shape(size_t rows, size_t n_q, size_t head_dim, size_t n, uint32_t page_tokens,
                          float size)
{
    return (struct shape){.n_rows = rows,
                          .n_q = n_q,
                          .head_dim = head_dim,
                          .n = n,
                          .page_tokens = page_tokens,
                          .size = size};
}

/* Windows that begin and end anywhere, among them of one position and of more than there are. */
static void attend_windows(const struct kernels *k)
{
    enum { R = ATTEND_RANGE };
    static const size_t windows[] = {1, 2, 15, 16, 17, 24, R - 1, R, R + 1, 2 * R};
    for (size_t i = 0; i < ARRAY_LEN(windows); i++)
        for (unsigned n_q = 1; n_q <= 5; n_q++) {
            struct shape s = shape(1 + kc_below(12), n_q, kc_below(2) ? 64 : 1 + kc_below(100),
                                   1 + kc_below(3 * R), 16, 5);
            s.window = windows[i];
            attend_types(k, s);
            s.n = s.window; /* some rows see their beginning, some do not */
            attend_types(k, s);
        }
    for (unsigned i = 0; i < 60; i++) {
        struct shape s = shape(1 + kc_below(32), 1 + kc_below(4), 16 * (1 + kc_below(16)),
                               1 + kc_below(2 * R), 1u << kc_below(8), 3);
        s.window = 1 + kc_below(2 * R);
        attend_types(k, s);
    }
}

void kc_attend(const struct kernels *k)
{
    enum { R = ATTEND_RANGE };
    static const size_t borders[] = {1, R - 9, R - 1, R, R + 1, 2 * R, 2 * R + 3};
    for (size_t n = 1; n <= 70; n++)
        attend_types(k, shape(1 + kc_below(9), 1 + kc_below(5), 16 * (1 + kc_below(8)), n, 16, 3));
    for (unsigned i = 0; i < 60; i++) {
        struct shape s = shape(1 + kc_below(6), 1 + kc_below(9), 1 + kc_below(140),
                               1 + kc_below(100), 1u << kc_below(6), kc_below(2) ? 1 : 100);
        s.nan = kc_below(6) == 0;
        attend_types(k, s);
    }
    for (size_t i = 0; i < ARRAY_LEN(borders); i++)
        for (unsigned n_q = 1; n_q <= 8; n_q++)
            attend_types(k, shape(1 + kc_below(12), n_q, 32 << kc_below(4), borders[i], 32, 5));
    /* Tiles of many queries, that do not come out even by any block. */
    for (unsigned i = 0; i < 40; i++)
        attend_types(k, shape(6 + kc_below(36), 1 + kc_below(6),
                              kc_below(3) ? 16 * (1 + kc_below(9)) : 1 + kc_below(140),
                              1 + kc_below(R + 60), 8u << kc_below(5), 4));
    attend_types(k, shape(1, 4, 128, 700, 16, 5));
    attend_types(k, shape(4, 1, 100, 333, 32, 5));
    attend_types(k, shape(3, 8, 64, 257, 64, 5));
    attend_types(k, shape(32, 1, 64, 3 * R - 31, R, 5));
    struct shape s = shape(2, 2, 128, 2 * R + 40, 16, 1);
    s.nan = true;
    attend_types(k, s);
    attend_windows(k);
}

/* Parts as no softmax makes them: merging has its own rules. */
static struct attend_part wild_part(size_t queries, size_t head_dim)
{
    struct attend_part p = new_part(queries, head_dim);
    for (size_t j = 0; j < queries; j++) {
        p.max[j] = kc_below(8) ? 30 * kc_unit() : kc_wild();
        p.sum[j] = kc_below(8) ? 1 + 100 * fabsf(kc_unit()) : NAN;
    }
    kc_fill_unit(p.mix, queries * attend_width(head_dim), 50);
    return p;
}

void kc_attend_merge(const struct kernels *k)
{
    for (unsigned i = 0; i < 200; i++) {
        size_t queries = 1 + kc_below(9), head_dim = 1 + kc_below(256);
        size_t floats = queries * attend_width(head_dim);
        kc_case("%zu queries, heads of %zu", queries, head_dim);
        struct attend_part to = wild_part(queries, head_dim), from = wild_part(queries, head_dim);
        struct attend_part want = new_part(queries, head_dim);
        memcpy(want.mix, to.mix, floats * sizeof *to.mix);
        memcpy(want.max, to.max, queries * sizeof *to.max);
        memcpy(want.sum, to.sum, queries * sizeof *to.sum);
        k->attend_merge(&to, &from, queries, head_dim);
        for (size_t j = 0; k == kc_scalar && j < queries; j++) {
            double max = fmax((double)want.max[j], (double)from.max[j]);
            if (isinf(max))
                continue;
            double a = exp((double)want.max[j] - max), b = exp((double)from.max[j] - max);
            for (size_t d = j * attend_width(head_dim), end = d + head_dim; d < end; d++)
                kc_near("mix", d, (double)to.mix[d],
                        (double)want.mix[d] * a + (double)from.mix[d] * b, 200 * 0x1p-23);
        }
        if (k != kc_scalar) {
            kc_scalar->attend_merge(&want, &from, queries, head_dim);
            same_part(&to, &want, queries, head_dim);
        }
        kc_end();
    }
}

void kc_to_q8(const struct kernels *k)
{
    for (unsigned i = 0; i < 300; i++) {
        size_t n = 1 + kc_below(300);
        bool wild = i % 2;
        kc_case("%zu values%s", n, wild ? ", wild" : "");
        float *x = kc_new(n * sizeof *x, 4);
        int8_t *q = kc_new(n, 1);
        float size = ldexpf(1, (int)kc_below(60) - 30);
        for (size_t j = 0; j < n; j++)
            x[j] = wild ? kc_wild() : size * kc_unit();
        if (kc_below(10) == 0)
            x[kc_below((uint32_t)n)] = NAN;
        if (kc_below(10) == 0)
            memset(x, 0, n * sizeof *x);
        float step = k->to_q8(q, x, n);
        if (k == kc_scalar) {
            for (size_t j = 0; j < n && isfinite(step); j++)
                kc_near("q * step", j, (double)q[j] * (double)step, (double)x[j],
                        0.5001 * (double)step);
            for (size_t j = 0; j < n; j++)
                if (!isfinite(x[j]) && isfinite(step))
                    kc_fail("the step hides that x[%zu] is not finite", j);
        } else {
            int8_t *want = kc_new(n, 1);
            float want_step = kc_scalar->to_q8(want, x, n);
            kc_same_floats("step", &step, &want_step, 1);
            kc_same_bytes("q", q, want, n);
        }
        kc_end();
    }
}
