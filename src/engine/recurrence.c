/* SPDX-License-Identifier: MIT */
/*
 * recurrence.c - runs of rows, and what is done with them: convolve, forget, learn, ask.
 *
 * Of a row's input x, with the products of its linears (transformers, modeling_qwen3_5.py; layout
 * of GGUF files as doc/hybrid.md has it):
 *
 *     queries | keys | values = silu(convolution(W_qkv x)),   q = query / |query| / sqrt(head_dim),
 *     decay = exp(a * log(1 + exp(alpha x + dt))),            k = key / |key|,
 *     rate = 1 / (1 + exp(-beta x)),                          v and S by kernels.h: delta.
 *
 * Not here: the arithmetic of sums (kernels.h), where states lie (states.c), the linears
 * (forward.c).
 */
#include "config.h"
#include "engine/recurrence.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/states.h"

#define NORM_EPS 1e-6 /* of |query| and |key|, whatever that of the model's norms is */

/* Rows [row, row + n_rows) are consecutive positions of one sequence. */
struct run {
    uint32_t row, n_rows, slot;
    bool fresh; /* from position 0: nothing is remembered */
};

struct recurrence {
    const struct kernels *k;
    struct team *team;
    const struct kv *kv;
    struct hparams_delta d;
    uint32_t dim, max_rows;
    float eps;    /* of the model's norms */
    bool grouped; /* see model/rotation.h */

    uint8_t *memory; /* everything below, in one mapping */
    size_t memory_bytes;
    struct run *runs;             /* [max_rows] */
    float *ones;                  /* [head_dim] */
    float *q_weights, *k_weights; /* [head_dim] with which an RMSNorm divides by the length */
    float *gates;                 /* [workers][2][max_rows]: decay and rate */

    /* The step under way. */
    uint32_t n_runs;
};

size_t recurrence_channels(const struct hparams *hp)
{
    return (size_t)(2 * hp->delta.k_heads + hp->delta.v_heads) * hp->delta.head_dim;
}

size_t recurrence_values(const struct hparams *hp)
{
    return (size_t)hp->delta.v_heads * hp->delta.head_dim;
}

void recurrence_plan(struct recurrence *rc, const struct forward_row *rows, uint32_t n)
{
    rc->n_runs = 0;
    for (uint32_t r = 0; r < n;) {
        struct run *run = &rc->runs[rc->n_runs++];
        *run = (struct run){.row = r, .slot = rows[r].lease->state, .fresh = rows[r].pos == 0};
        do
            r++;
        while (r < n && rows[r].lease == rows[r - 1].lease && rows[r].pos == rows[r - 1].pos + 1);
        run->n_rows = r - run->row;
    }
}

/* Head `head` of queries, keys and values together: what it reads of the positions before, and the
 * length of queries and keys. */
static void convolve_head(const struct recurrence *rc, const struct layer *l, const struct run *run,
                          uint32_t head, float *mixed, size_t stride)
{
    const struct hparams_delta *d = &rc->d;
    size_t channels = (size_t)(2 * d->k_heads + d->v_heads) * d->head_dim;
    size_t at = (size_t)head * d->head_dim;
    float *past = states_past(rc->kv->states, run->slot, l->cache) + at;
    float *x = mixed + run->row * stride + at;
    for (uint32_t t = 0; run->fresh && t + 1 < d->conv; t++)
        memset(past + t * channels, 0, d->head_dim * sizeof *past);
    kernels_convolve(x, stride, run->n_rows, past, channels, l->delta.conv + at * d->conv, d->conv,
                     d->head_dim);
    const float *w = head < d->k_heads       ? rc->q_weights
                     : head < 2 * d->k_heads ? rc->k_weights
                                             : NULL;
    for (uint32_t r = 0; r < run->n_rows; r++, x += stride) {
        rc->k->glu(x, x, rc->ones, ACT_SILU, d->head_dim);
        if (w)
            rc->k->rmsnorm(x, x, w, (float)(NORM_EPS / d->head_dim), d->head_dim);
    }
}

/* log(1 + exp(x)), without overflow. */
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static void run_head(const struct recurrence *rc, const struct layer *l, const struct run *run,
                     uint32_t head, float *mixed, size_t stride, const float *x, size_t x_stride,
                     float *gates)
{
    const struct hparams_delta *d = &rc->d;
    const float *alpha = l->delta.alpha + (size_t)head * rc->dim;
    const float *beta = l->delta.beta + (size_t)head * rc->dim;
    float *decay = gates, *rate = gates + rc->max_rows, *first = mixed + run->row * stride;
    x += run->row * x_stride;
    for (uint32_t r = 0; r < run->n_rows; r++, x += x_stride) {
        double time = (double)(kernels_dot(alpha, x, rc->dim) + l->delta.dt[head]);
        decay[r] = (float)exp((double)l->delta.a[head] * softplus(time));
        rate[r] = (float)(1 / (1 + exp(-(double)kernels_dot(beta, x, rc->dim))));
    }
    float *state = states_matrix(rc->kv->states, run->slot, l->cache, head);
    if (run->fresh)
        memset(state, 0, (size_t)d->head_dim * d->head_dim * sizeof *state);
    size_t keys = d->grouped ? head / (d->v_heads / d->k_heads) : head % d->k_heads;
    rc->k->delta(&(const struct delta_rows){
        .state = state,
        .q = first + keys * d->head_dim,
        .k = first + (d->k_heads + keys) * d->head_dim,
        .v = first + (2 * d->k_heads + (size_t)head) * d->head_dim,
        .stride = stride,
        .decay = decay,
        .rate = rate,
        .n_rows = run->n_rows,
        .dim = d->head_dim,
    });
}

void recurrence_run(struct recurrence *rc, const struct layer *l, float *mixed, size_t mixed_stride,
                    const float *x, size_t x_stride, unsigned worker)
{
    uint32_t v_heads = rc->d.v_heads, heads = 2 * rc->d.k_heads + v_heads;
    float *gates = rc->gates + (size_t)worker * 2 * rc->max_rows;
    for (size_t i; (i = team_take(rc->team, 1)) < (size_t)rc->n_runs * heads;)
        convolve_head(rc, l, &rc->runs[i / heads], (uint32_t)(i % heads), mixed, mixed_stride);
    team_barrier(rc->team);
    for (size_t i; (i = team_take(rc->team, 1)) < (size_t)rc->n_runs * v_heads;)
        run_head(rc, l, &rc->runs[i / v_heads], (uint32_t)(i % v_heads), mixed, mixed_stride, x,
                 x_stride, gates);
    team_barrier(rc->team);
}

const float *recurrence_gate(const struct recurrence *rc, const struct layer *l, float *mixed,
                             float *z)
{
    const struct hparams_delta *d = &rc->d;
    float *out = mixed + (size_t)2 * d->k_heads * d->head_dim;
    for (uint32_t h = 0; h < d->v_heads; h++) {
        float *o = out + (size_t)h * d->head_dim;
        rc->k->rmsnorm(o, o, l->delta.norm, rc->eps, d->head_dim);
        rc->k->glu(o, z + (size_t)h * d->head_dim, o, ACT_SILU, d->head_dim);
    }
    if (!rc->grouped || d->grouped || !l->delta.out.signs)
        return out;
    uint32_t each = d->v_heads / d->k_heads; /* value heads of a key head */
    for (uint32_t h = 0; h < d->v_heads; h++)
        memcpy(z + (size_t)(h % d->k_heads * each + h / d->k_heads) * d->head_dim,
               out + (size_t)h * d->head_dim, d->head_dim * sizeof *z);
    return z;
}

/* ---------------------------------------------------------------- room */

static size_t lay_out(struct recurrence *rc, uint8_t *base)
{
    size_t at = 0;
    rc->runs = mem_carve(base, &at, rc->max_rows, sizeof *rc->runs);
    rc->ones = mem_carve(base, &at, rc->d.head_dim, sizeof(float));
    rc->q_weights = mem_carve(base, &at, rc->d.head_dim, sizeof(float));
    rc->k_weights = mem_carve(base, &at, rc->d.head_dim, sizeof(float));
    rc->gates = mem_carve(base, &at, (size_t)team_room(rc->team) * 2 * rc->max_rows, sizeof(float));
    return at;
}

int recurrence_open(const struct model *m, const struct kernels *k, struct team *team,
                    struct kv *kv, uint32_t max_rows, struct recurrence **out,
                    struct trit_error *err)
{
    *out = NULL;
    trit_assert(kv->states);
    struct recurrence *rc = mem_zalloc(1, sizeof *rc);
    if (!rc)
        return trit_fail(err, TRIT_ENOMEM, "no memory for gated delta rules");
    *rc = (struct recurrence){.k = k,
                              .team = team,
                              .kv = kv,
                              .d = m->hp.delta,
                              .dim = m->hp.dim,
                              .max_rows = max_rows,
                              .eps = m->hp.norm_eps,
                              .grouped = m->rotation.grouped};
    rc->memory_bytes = lay_out(rc, NULL);
    rc->memory = mem_map(rc->memory_bytes);
    if (!rc->memory) {
        size_t bytes = rc->memory_bytes;
        recurrence_close(&rc);
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu bytes of scratch", bytes);
    }
    lay_out(rc, rc->memory);
    /* x / sqrt(sum(x^2) + eps) is what RMSNorm with eps / n makes of it, over sqrt(n). */
    double n = rc->d.head_dim;
    for (uint32_t i = 0; i < rc->d.head_dim; i++) {
        rc->ones[i] = 1;
        rc->k_weights[i] = (float)(1 / sqrt(n));
        rc->q_weights[i] = (float)(1 / n);
    }
    *out = rc;
    return 0;
}

void recurrence_close(struct recurrence **rc)
{
    if (!*rc)
        return;
    mem_unmap((*rc)->memory, (*rc)->memory_bytes);
    mem_free(*rc);
    *rc = NULL;
}

size_t recurrence_bytes(const struct recurrence *rc)
{
    return rc->memory_bytes;
}
