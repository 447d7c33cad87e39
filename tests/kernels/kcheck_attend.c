/* SPDX-License-Identifier: MIT */
/*
 * kcheck_attend.c - attention over paged keys and values.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

static void put(enum kv_type type, void *base, size_t i, float x)
{
    if (type == KV_F32)
        ((float *)base)[i] = x;
    else
        ((uint16_t *)base)[i] = quant_f32_to_f16(x);
}

/* Pages in scattered order, with other layers' data around K and V. */
static struct kv_span new_span(enum kv_type type, size_t n, size_t head_dim, uint32_t page_tokens,
                               bool nan)
{
    size_t n_pages = (n + page_tokens - 1) / page_tokens, all = n_pages + kc_below(3);
    size_t half = page_tokens * head_dim * type, gap = 32 * kc_below(3);
    struct kv_span kv = {.type = type,
                         .page_tokens = page_tokens,
                         .page_bytes = round_up(2 * half + 3 * gap, 64),
                         .k_offset = gap,
                         .v_offset = 2 * gap + half};
    /* The last page ends with the last value that exists, if it comes last in the pool. */
    uint8_t *pool = kc_new(all * kv.page_bytes, 64);
    for (size_t i = 0; i < all * kv.page_bytes / type; i++)
        put(type, pool, i, kc_unit());
    if (nan)
        put(type, pool + kv.k_offset, 0, NAN);
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

static double value_at(const struct kv_span *kv, size_t offset, size_t p, size_t head_dim, size_t d)
{
    const uint8_t *page = kv->pool + kv->pages[p / kv->page_tokens] * kv->page_bytes + offset;
    size_t at = p % kv->page_tokens * head_dim + d;
    if (kv->type == KV_F32)
        return (double)((const float *)(const void *)page)[at];
    return (double)quant_f16_to_f32(((const uint16_t *)(const void *)page)[at]);
}

/* Softmax in double.  V lies in [-1, 1], so the weights' errors add up to a small multiple of 1. */
static void compare_head(const float *out, const float *q, size_t head_dim,
                         const struct kv_span *kv, size_t n, float scale, double *score)
{
    double max = -INFINITY, sum = 0, largest = 0;
    for (size_t p = 0; p < n; p++) {
        double dot = 0, size = 0;
        for (size_t d = 0; d < head_dim; d++) {
            double term = (double)q[d] * value_at(kv, kv->k_offset, p, head_dim, d);
            dot += term;
            size += fabs(term);
        }
        score[p] = dot * (double)scale;
        largest = fmax(largest, size * (double)scale);
        max = fmax(max, score[p]);
    }
    for (size_t p = 0; p < n; p++)
        sum += score[p] = exp(score[p] - max);
    for (size_t d = 0; d < head_dim; d++) {
        double want = 0;
        for (size_t p = 0; p < n; p++)
            want += score[p] / sum * value_at(kv, kv->v_offset, p, head_dim, d);
        kc_near("out", d, (double)out[d], want,
                (largest * ((double)head_dim / 16 + 8) + (double)n + 8) * 0x1p-23);
    }
}

static void attend_typed(const struct kernels *k, enum kv_type type, size_t n_q, size_t head_dim,
                         size_t n, uint32_t page_tokens, float size, bool nan)
{
    kc_case("f%d, %zu heads of %zu, %zu positions, pages of %u, size %g%s", 8 * (int)type, n_q,
            head_dim, n, page_tokens, (double)size, nan ? ", NaN" : "");
    struct kv_span kv = new_span(type, n, head_dim, page_tokens, nan);
    float *q = kc_new(n_q * head_dim * sizeof *q, 4);
    float *out = kc_new(n_q * head_dim * sizeof *out, 4);
    float *scratch = kc_new(n_q * round_up(n, 16) * sizeof *scratch, KC_LINE);
    float scale = 1.0f / sqrtf((float)head_dim);
    kc_fill_unit(q, n_q * head_dim, size);
    k->attend(out, q, n_q, head_dim, &kv, n, scale, scratch);
    if (k != kc_scalar) {
        float *want = kc_new(n_q * head_dim * sizeof *want, 4);
        kc_scalar->attend(want, q, n_q, head_dim, &kv, n, scale, scratch);
        kc_same_floats("out", out, want, n_q * head_dim);
    } else if (!nan) {
        double *score = kc_new(n * sizeof *score, 8);
        for (size_t h = 0; h < n_q; h++)
            compare_head(out + h * head_dim, q + h * head_dim, head_dim, &kv, n, scale, score);
    } else if (kv.pages[0] == 0) {
        for (size_t i = 0; i < n_q * head_dim; i++)
            if (!isnan(out[i]))
                kc_fail("out[%zu] hides the NaN in K", i);
    }
    kc_end();
}

static void attend_case(const struct kernels *k, size_t n_q, size_t head_dim, size_t n,
                        uint32_t page_tokens, float size, bool nan)
{
    attend_typed(k, KV_F16, n_q, head_dim, n, page_tokens, size, nan);
    attend_typed(k, KV_F32, n_q, head_dim, n, page_tokens, size, nan);
}

void kc_attend(const struct kernels *k)
{
    for (size_t n = 1; n <= 70; n++)
        attend_case(k, 1 + kc_below(5), 16 * (1 + kc_below(8)), n, 16, 3, false);
    for (unsigned i = 0; i < 60; i++)
        attend_case(k, 1 + kc_below(9), 1 + kc_below(140), 1 + kc_below(100), 1u << kc_below(6),
                    kc_below(2) ? 1.0f : 100.0f, kc_below(6) == 0);
    attend_case(k, 4, 128, 700, 16, 5, false);
    attend_case(k, 1, 100, 333, 32, 5, false);
    attend_case(k, 8, 64, 257, 64, 5, false);
    attend_case(k, 2, 128, 40, 16, 1, true);
}
