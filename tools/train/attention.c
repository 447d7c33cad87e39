/* SPDX-License-Identifier: MIT */
/*
 * attention.c - causal attention within documents, forward and back, on matrix tiles.
 *
 * Queries go QUERIES at a time over the keys from the beginning of their document on.  The forward
 * pass keeps only the logarithm of each sum of exponentials; the way back computes the scores again
 * (FlashAttention, arXiv 2205.14135, section 3.1).
 */
#include "cpu.h"

#include <omp.h>

/* One key-value head of one row of the batch: what the forward pass and the way back share. */
struct view {
    const bf16 *q, *k, *v; /* rows `ld` apart */
    size_t ld, first;      /* first: the row's first token */
    size_t head, head_end; /* the query heads that read it */
};

static const float scale = 0.125f; /* 1 / sqrt(HEAD) */

static struct view view_of(const struct cpu *c, const struct layer *y, size_t row, size_t kv_head)
{
    size_t d = (size_t)c->s.dim, first = row * (size_t)c->s.context;
    size_t group = (size_t)(c->s.heads / c->s.kv_heads);
    const bf16 *at = y->qkv_out + first * c->qkv_n;
    return (struct view){.q = at,
                         .k = at + d + kv_head * HEAD,
                         .v = at + d + c->kv + kv_head * HEAD,
                         .ld = c->qkv_n,
                         .first = first,
                         .head = kv_head * group,
                         .head_end = (kv_head + 1) * group};
}

static void turn_and_pack(const struct cpu *c, const bf16 *x, size_t ld, bf16 *turned, bf16 *to)
{
    size_t t = (size_t)c->s.context;
    amx_transpose(t, HEAD, x, ld, turned, t);
    amx_pack(HEAD, t, turned, t, NULL, to);
}

/* scores[i][j] = q[i] k[j] for j in [low, low + n), unscaled. */
static void scores(const bf16 *q, size_t ld, const bf16 *kt, size_t low, size_t n, size_t t,
                   float *to)
{
    amx_gemm(QUERIES, n, HEAD, q, ld, kt + low * HEAD, HEAD * 32,
             (struct amx_out){.f = to, .ld = t});
}

void attend(struct cpu *c, struct layer *y, const int32_t *begin, size_t row, size_t kv_head)
{
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    struct view w = view_of(c, y, row, kv_head);
    size_t t = (size_t)c->s.context, d = (size_t)c->s.dim, heads = (size_t)c->s.heads;
    turn_and_pack(c, w.k, w.ld, r->turned, r->kt);
    amx_pack(t, HEAD, w.v, w.ld, NULL, r->vn);
    for (size_t h = w.head; h < w.head_end; h++) {
        for (size_t i0 = 0; i0 < t; i0 += QUERIES) {
            size_t low = (size_t)begin[w.first + i0] / 32 * 32, n = i0 + QUERIES - low;
            float inverse[QUERIES];
            scores(w.q + i0 * w.ld + h * HEAD, w.ld, r->kt, low, n, t, r->s);
            for (size_t i = 0; i < QUERIES; i++) {
                float *s = r->s + i * t;
                bf16 *p = r->p + i * t;
                size_t from = (size_t)begin[w.first + i0 + i] - low, end = i0 + i + 1 - low;
                float most = -1e30f, sum = 0;
                for (size_t j = from; j < end; j++)
                    most = fmaxf(most, s[j]);
                memset(p, 0, n * sizeof *p);
                for (size_t j = from; j < end; j++) {
                    float e = expf((s[j] - most) * scale);
                    sum += e;
                    p[j] = narrow(e);
                }
                inverse[i] = 1 / sum;
                /* cppcheck-suppress invalidFunctionArg ; the largest adds 1 */
                y->lse[(w.first + i0 + i) * heads + h] = most * scale + logf(sum);
            }
            amx_gemm(QUERIES, HEAD, n, r->p, t, r->vn + low * 32, t * 32,
                     (struct amx_out){.h = y->heads_out + (w.first + i0) * d + h * HEAD,
                                      .ld = d,
                                      .row = inverse});
        }
    }
}

void attend_back(struct cpu *c, struct layer *y, const int32_t *begin, size_t row, size_t kv_head)
{
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    struct view w = view_of(c, y, row, kv_head);
    size_t t = (size_t)c->s.context, d = (size_t)c->s.dim, heads = (size_t)c->s.heads;
    turn_and_pack(c, w.k, w.ld, r->turned, r->kt);
    turn_and_pack(c, w.v, w.ld, r->turned, r->vt);
    amx_pack(t, HEAD, w.k, w.ld, NULL, r->kn);
    memset(r->dk, 0, t * HEAD * sizeof(float));
    memset(r->dv, 0, t * HEAD * sizeof(float));
    for (size_t h = w.head; h < w.head_end; h++) {
        for (size_t i0 = 0; i0 < t; i0 += QUERIES) {
            size_t low = (size_t)begin[w.first + i0] / 32 * 32, n = i0 + QUERIES - low;
            const bf16 *q = w.q + i0 * w.ld + h * HEAD;
            const bf16 *o = y->heads_out + (w.first + i0) * d + h * HEAD;
            const bf16 *d_o = c->d_heads + (w.first + i0) * d + h * HEAD;
            bf16 *dq = c->d_qkv + (w.first + i0) * c->qkv_n + h * HEAD;
            scores(q, w.ld, r->kt, low, n, t, r->s);
            scores(d_o, d, r->vt, low, n, t, r->dp);
            for (size_t i = 0; i < QUERIES; i++) {
                const float *s = r->s + i * t, *dp = r->dp + i * t;
                bf16 *p = r->p + i * t, *ds = r->ds + i * t;
                size_t from = (size_t)begin[w.first + i0 + i] - low, end = i0 + i + 1 - low;
                float lse = y->lse[(w.first + i0 + i) * heads + h], delta = 0;
                for (size_t j = 0; j < HEAD; j++)
                    delta += widen(o[i * d + j]) * widen(d_o[i * d + j]);
                memset(p, 0, n * sizeof *p);
                memset(ds, 0, n * sizeof *ds);
                for (size_t j = from; j < end; j++) {
                    float e = expf(s[j] * scale - lse);
                    p[j] = narrow(e);
                    ds[j] = narrow(e * (dp[j] - delta) * scale);
                }
            }
            amx_gemm(QUERIES, HEAD, n, r->ds, t, r->kn + low * 32, t * 32,
                     (struct amx_out){.h = dq, .ld = c->qkv_n});
            for (size_t i = 0; i < QUERIES; i++)
                rotate(c, i0 + i, -1, dq + i * c->qkv_n);
            amx_transpose(QUERIES, n, r->p, t, r->turned, QUERIES);
            amx_pack(QUERIES, HEAD, d_o, d, NULL, r->side);
            amx_gemm(n, HEAD, QUERIES, r->turned, QUERIES, r->side, QUERIES * 32,
                     (struct amx_out){.f = r->dv + low * HEAD, .ld = HEAD, .add = true});
            amx_transpose(QUERIES, n, r->ds, t, r->turned, QUERIES);
            amx_pack(QUERIES, HEAD, q, w.ld, NULL, r->side);
            amx_gemm(n, HEAD, QUERIES, r->turned, QUERIES, r->side, QUERIES * 32,
                     (struct amx_out){.f = r->dk + low * HEAD, .ld = HEAD, .add = true});
        }
    }
    for (size_t p = 0; p < t; p++) {
        bf16 *dk = c->d_qkv + (w.first + p) * c->qkv_n + d + kv_head * HEAD;
        to_bf16(HEAD, r->dk + p * HEAD, dk);
        rotate(c, p, -1, dk);
        to_bf16(HEAD, r->dv + p * HEAD, dk + c->kv);
    }
}
