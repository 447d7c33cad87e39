/* SPDX-License-Identifier: MIT */
/*
 * forward.c - the transformer, read from top to bottom.
 *
 * One step is one run of the team.  A layer is ten phases with a barrier after each; inside a phase
 * the workers deal rows, tiles of 16 outputs, or pieces of attention among themselves.  Every item
 * writes its own outputs and reads only what earlier phases wrote, so who does it never matters.
 *
 *   x      [rows, dim]                 residual stream
 *   q,k,v  [rows, heads * head_dim]
 *   att    [rows, n_heads * head_dim]  attention output
 *   gate   [rows, ffn], up alike       the product replaces gate
 *   y      [rows, dim]                 output of attn_output and ffn_down, which the next phase
 *                                      norms where the model wants that, and adds to x
 *   mixed  [rows, mixed_stride]        of hybrid models: queries with their gates, or queries, keys
 *                                      and values of a gated delta rule; z its gates
 *
 * Not here: which rows, whose pages, what to do with logits (engine-step.c); how attention is dealt
 * (attention.c).
 */
#include "config.h"
#include "engine/forward.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "engine/attention.h"
#include "engine/recurrence.h"

enum {
    GRAIN = 16, /* tiles dealt to a worker at a time, at most */
    INPUTS = 3, /* linears that read the same rows, at most: q, k and v */
};

struct forward {
    const struct model *m;
    const struct kernels *k;
    struct team *team;
    struct kv *kv;
    struct head *head;
    struct attention *attention;
    struct recurrence *recurrence; /* NULL: the model is no hybrid */
    uint32_t max_rows, max_logits, n_ctx;
    uint32_t q_dim, kv_dim; /* n_heads * head_dim, n_kv_heads * head_dim */

    uint8_t *memory; /* everything below, in one mapping */
    size_t memory_bytes;
    float *x, *q, *k_rows, *v, *att, *gate, *up, *y;
    float *mixed, *z;
    size_t mixed_stride, z_stride; /* 0: the model is no hybrid */
    unsigned n_turns;    /* 2 where local layers turn heads in a way of their own, else 1 */
    float *angles;       /* [max_rows][n_turns][rope_dims]: cosines, then sines */
    double *freq;        /* [n_turns][rope_dims / 2] radians a position */
    double rope_size[2]; /* what cosines and sines are multiplied by */
    unsigned planes;     /* of activations: engine/acts.h */
    unsigned n_acts;     /* INPUTS where linears that read the same rows make different inputs of them */
    struct acts acts[INPUTS]; /* room for the widest layer */
    size_t acts_cap;     /* its bytes a row */
    uint32_t groups_cap; /* its groups */
    float *temp;         /* [workers][TEMPS][temp_stride] one row on its way to quantisation */
    size_t temp_stride;
    float *sums; /* [workers][sums_stride] of two planes: products on their way to one */
    size_t sums_stride;

    /* The step under way. */
    const struct forward_row *rows;
    uint32_t n_rows, n_logits;
    bool any_kept;   /* hidden states */
    double attended; /* seconds, written by worker 0 */
    uint8_t *use;    /* [max_logits] of the slots */
    uint8_t any_use; /* of all slots together */
    forward_after_fn after;
    void *after_ctx;
};

/* Of temp: a row that was normed, the input that one linear makes of it, scratch of acts_put. */
enum { TEMP_NORMED, TEMP_INPUT, TEMP_REST, TEMPS };

/* A matrix product of a phase: the same rows read, one output array each. */
struct product {
    const struct linear *w;
    float *out;
    size_t stride;
};

static float *row_of(float *base, size_t row, size_t stride)
{
    return base + row * stride;
}

/* Activation buffer i of f, cut for the layer that reads it.  All read the first one, but where there
 * are several. */
static struct acts acts_for(const struct forward *f, const struct linear *w, unsigned i)
{
    struct acts a = f->acts[MIN(i, f->n_acts - 1)];
    a.n_groups = w->n_groups;
    a.q_stride = round_up(layout_acts(w), 64);
    return a;
}

/*
 * Run several products over all rows.  Tiles of all of them form one sequence that is dealt in
 * chunks: small enough that a slow worker delays little, large enough to stream, and of as many
 * tiles as kernels take at a time or a multiple of that: what they lack is computed for nothing.
 */
static void multiply(struct forward *f, const struct product *p, unsigned n, unsigned worker)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += layout_tiles(p[i].w);
    size_t share = total / (16 * (size_t)team_size(f->team)) + 1;
    size_t grain = round_up(MIN(share, (size_t)GRAIN), KERNELS_TILES);
    float *sums = row_of(f->sums, worker, f->sums_stride);
    for (size_t first; (first = team_take(f->team, grain)) < total;) {
        size_t last = MIN(first + grain, total), base = 0;
        for (unsigned i = 0; i < n; i++) {
            size_t tiles = layout_tiles(p[i].w);
            size_t from = MAX(first, base), to = MIN(last, base + tiles);
            if (from < to) {
                struct acts a = acts_for(f, p[i].w, i);
                acts_multiply(f->k, p[i].out, p[i].stride, p[i].w, from - base, to - base, &a,
                              f->planes, f->n_rows, sums);
            }
            base += tiles;
        }
    }
    team_barrier(f->team);
}

/* Embedding look-up, and the angles of each row's position, which all layers share. */
static void phase_embed(struct forward *f)
{
    const struct hparams *hp = &f->m->hp;
    size_t half = hp->rope_dims / 2;
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        model_embed(f->m, (uint32_t)f->rows[r].token, row_of(f->x, r, hp->dim));
        if (f->m->embedding_signs)
            kernels_rotate_back(row_of(f->x, r, hp->dim), f->m->embedding_signs,
                                f->m->rotation.block, hp->dim);
        for (unsigned turn = 0; turn < f->n_turns; turn++) {
            float *cs = row_of(f->angles, r * f->n_turns + turn, hp->rope_dims);
            const double *freq = f->freq + turn * half;
            for (size_t i = 0; i < half; i++) {
                double angle = (double)f->rows[r].pos * freq[i];
                cs[i] = (float)(f->rope_size[turn] * cos(angle));
                cs[half + i] = (float)(f->rope_size[turn] * sin(angle));
            }
        }
    }
    team_barrier(f->team);
}

/* Linears that read the same rows. */
struct readers {
    const struct linear *w[INPUTS];
    unsigned n;
};

/* Row r of the activations: x[w->cols], normed first where there is a norm, then as each reader wants
 * it.  temp: TEMPS rows. */
static void quantise_row(struct forward *f, const struct readers *to, size_t r, const float *x,
                         const float *norm, float *temp)
{
    const size_t n = to->w[0]->cols;
    float *input = row_of(temp, TEMP_INPUT, f->temp_stride);
    float *rest = row_of(temp, TEMP_REST, f->temp_stride);
    if (norm) {
        f->k->rmsnorm(temp, x, norm, f->m->hp.norm_eps, n);
        x = temp;
    }
    for (unsigned i = 0; i < MIN(to->n, f->n_acts); i++) {
        const struct linear *w = to->w[i];
        struct acts a = acts_for(f, w, i);
        if (w->in_factor)
            kernels_multiply(input, x, w->in_factor, n);
        else if (w->in_norm)
            kernels_layernorm(input, x, w->in_norm, w->in_bias, f->m->hp.norm_eps, n);
        else if (w->in_rms)
            f->k->rmsnorm(input, x, w->in_rms, f->m->hp.norm_eps, n);
        else if (w->signs)
            kernels_rotate(input, x, w->signs, f->m->rotation.block, n);
        bool own = w->in_factor || w->in_norm || w->in_rms || w->signs;
        acts_put(f->k, w, &a, f->planes, r, own ? input : x, rest);
    }
}

/* What a linear does with a row of its outputs when all of it is there: it may be a norm. */
static void settle_row(const struct linear *w, float *y)
{
    if (w->out_norm)
        kernels_layernorm(y, y, NULL, NULL, ONEBIT_EPS, w->rows);
}

/* Take in the product of `before` if there is one, through its norm if there is one. */
static float *take_in(struct forward *f, size_t r, const struct linear *before,
                      const float *post_norm)
{
    float *x = row_of(f->x, r, f->m->hp.dim), *y = row_of(f->y, r, f->m->hp.dim);
    if (before) {
        settle_row(before, y);
        if (post_norm)
            f->k->rmsnorm(y, y, post_norm, f->m->hp.norm_eps, f->m->hp.dim);
        f->k->add(x, y, f->m->hp.dim);
    }
    return x;
}

/* That, then norm and quantise. */
static void phase_norm(struct forward *f, const float *norm, const struct readers *to,
                       const struct linear *before, const float *post_norm, float *temp)
{
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;)
        quantise_row(f, to, r, take_in(f, r, before, post_norm), norm, temp);
    team_barrier(f->team);
}

static void norm_heads(struct forward *f, float *x, const float *w, uint32_t heads)
{
    uint32_t hd = f->m->hp.head_dim;
    for (uint32_t h = 0; w && h < heads; h++)
        f->k->rmsnorm(x + h * hd, x + h * hd, w, f->m->hp.norm_eps, hd);
}

/* Queries from among the gates of their heads' outputs, which stay where they are. */
static void part_queries(struct forward *f, size_t r, float *q)
{
    const struct hparams *hp = &f->m->hp;
    const float *mixed = row_of(f->mixed, r, f->mixed_stride);
    for (uint32_t h = 0; h < hp->n_heads; h++)
        memcpy(q + (size_t)h * hp->head_dim, mixed + (size_t)2 * h * hp->head_dim,
               hp->head_dim * sizeof *q);
}

/* x[n] *= 1 / (1 + exp(-gate)), by an exponential that cannot overflow; temp[n]. */
static void open_gates(struct forward *f, float *x, const float *gate, size_t n, float *temp)
{
    for (size_t i = 0; i < n; i++)
        temp[i] = -fabsf(gate[i]);
    (void)f->k->exp_shift(temp, temp, 0, n);
    for (size_t i = 0; i < n; i++)
        x[i] *= (gate[i] < 0 ? temp[i] : 1.0f) / (1.0f + temp[i]);
}

static void gate_heads(struct forward *f, size_t r, float *temp)
{
    const struct hparams *hp = &f->m->hp;
    float *out = row_of(f->att, r, f->q_dim);
    const float *mixed = row_of(f->mixed, r, f->mixed_stride);
    for (uint32_t h = 0; h < hp->n_heads; h++)
        open_gates(f, out + (size_t)h * hp->head_dim, mixed + (size_t)(2 * h + 1) * hp->head_dim,
                   hp->head_dim, temp);
}

/* Norm and rotate q and k, and put k and v where attention will read them. */
static void phase_rope(struct forward *f, uint32_t layer)
{
    const struct hparams *hp = &f->m->hp;
    const struct layer *l = &f->m->layers[layer];
    size_t half = hp->rope_dims / 2, hd = hp->head_dim;
    unsigned turn = hparams_is_local(hp, layer) ? 1 : 0;
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        const struct forward_row *row = &f->rows[r];
        float *q = row_of(f->q, r, f->q_dim), *k = row_of(f->k_rows, r, f->kv_dim);
        float *v = row_of(f->v, r, f->kv_dim);
        const float *cs = row_of(f->angles, r * f->n_turns + turn, hp->rope_dims);
        if (f->recurrence)
            part_queries(f, r, q);
        settle_row(&l->q, q);
        settle_row(&l->k, k);
        settle_row(&l->v, v);
        norm_heads(f, q, l->attn_q_norm, hp->n_heads);
        norm_heads(f, k, l->attn_k_norm, hp->n_kv_heads);
        f->k->rope(q, cs, f->m->arch->rope, hp->n_heads, hd, half);
        f->k->rope(k, cs, f->m->arch->rope, hp->n_kv_heads, hd, half);
        for (uint32_t h = 0; h < hp->n_kv_heads; h++)
            kv_store(f->kv, f->k, row->lease, l->cache, h, row->pos, k + h * hd, v + h * hd);
    }
    team_barrier(f->team);
}

/* Quantise what attention found, through a sub-norm where the model has one. */
static void phase_attended(struct forward *f, uint32_t layer, float *temp)
{
    const struct layer *l = &f->m->layers[layer];
    const struct readers to = {{&l->o}, 1};
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        attention_join(f->attention, l->cache, (uint32_t)r, f->att);
        if (f->recurrence)
            gate_heads(f, r, temp);
        quantise_row(f, &to, r, row_of(f->att, r, f->q_dim), l->attn_sub_norm, temp);
    }
    team_barrier(f->team);
}

static void phase_glu(struct forward *f, const struct layer *l, float *temp)
{
    size_t ffn = f->m->hp.ffn;
    const struct readers to = {{&l->down}, 1};
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        float *g = row_of(f->gate, r, ffn), *up = row_of(f->up, r, ffn);
        settle_row(&l->gate, g);
        settle_row(&l->up, up);
        f->k->glu(g, g, up, f->m->arch->act, ffn);
        quantise_row(f, &to, r, g, l->ffn_sub_norm, temp);
    }
    team_barrier(f->team);
}

/* Norm and quantise as phase_norm does; what was normed stays in y, for those who read it as floats. */
static void phase_norm_kept(struct forward *f, const float *norm, const struct readers *to,
                            const struct linear *before, float *temp)
{
    const struct hparams *hp = &f->m->hp;
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        const float *x = take_in(f, r, before, NULL);
        float *y = row_of(f->y, r, hp->dim);
        f->k->rmsnorm(y, x, norm, hp->norm_eps, hp->dim);
        quantise_row(f, to, r, y, NULL, temp);
    }
    team_barrier(f->team);
}

/* Norm, gate and quantise what the heads of a gated delta rule say. */
static void phase_recalled(struct forward *f, const struct layer *l, float *temp)
{
    const struct readers to = {{&l->delta.out}, 1};
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        float *mixed = row_of(f->mixed, r, f->mixed_stride);
        float *z = row_of(f->z, r, f->z_stride);
        quantise_row(f, &to, r, recurrence_gate(f->recurrence, l, mixed, z), NULL, temp);
    }
    team_barrier(f->team);
}

static void run_attention(struct forward *f, uint32_t i, const struct layer *before, float *temp,
                          unsigned worker)
{
    const struct layer *l = &f->m->layers[i];
    bool gated = f->recurrence != NULL;
    phase_norm(f, l->attn_norm, &(const struct readers){{&l->q, &l->k, &l->v}, 3},
               before ? &before->down : NULL, before ? before->ffn_post_norm : NULL, temp);
    multiply(f,
             (const struct product[]){
                 {&l->q, gated ? f->mixed : f->q, gated ? f->mixed_stride : f->q_dim},
                 {&l->k, f->k_rows, f->kv_dim},
                 {&l->v, f->v, f->kv_dim}},
             3, worker);
    phase_rope(f, i);
    double start = worker == 0 ? trit_now() : 0;
    attention_run(f->attention, l->cache, f->q, f->att, worker);
    if (worker == 0)
        f->attended += trit_now() - start;
    phase_attended(f, i, temp);
    multiply(f, &(const struct product){&l->o, f->y, f->m->hp.dim}, 1, worker);
}

static void run_delta(struct forward *f, const struct layer *l, const struct layer *before,
                      float *temp, unsigned worker)
{
    const struct delta *d = &l->delta;
    phase_norm_kept(f, l->attn_norm, &(const struct readers){{&d->qkv, &d->z}, 2},
                    before ? &before->down : NULL, temp);
    multiply(f,
             (const struct product[]){{&d->qkv, f->mixed, f->mixed_stride}, {&d->z, f->z, f->z_stride}},
             2, worker);
    recurrence_run(f->recurrence, l, f->mixed, f->mixed_stride, f->y, f->m->hp.dim, worker);
    phase_recalled(f, l, temp);
    multiply(f, &(const struct product){&d->out, f->y, f->m->hp.dim}, 1, worker);
}

static void run_layer(struct forward *f, uint32_t i, float *temp, unsigned worker)
{
    const struct layer *l = &f->m->layers[i];
    const struct layer *before = i > 0 ? l - 1 : NULL;
    size_t dim = f->m->hp.dim, ffn = f->m->hp.ffn;

    if (l->attends)
        run_attention(f, i, before, temp, worker);
    else
        run_delta(f, l, before, temp, worker);

    phase_norm(f, l->ffn_norm, &(const struct readers){{&l->gate, &l->up}, 2},
               l->attends ? &l->o : &l->delta.out, l->attn_post_norm, temp);
    multiply(f, (const struct product[]){{&l->gate, f->gate, ffn}, {&l->up, f->up, ffn}}, 2,
             worker);
    phase_glu(f, l, temp);
    multiply(f, &(const struct product){&l->down, f->y, dim}, 1, worker);
}

/* The rows whose logits or hidden states are wanted: last residual, final norm. */
static void phase_final(struct forward *f, float *temp)
{
    const struct model *m = f->m;
    const struct layer *last = &m->layers[m->hp.n_layers - 1];
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        const struct forward_row *row = &f->rows[r];
        if (row->logits < 0 && !row->keep)
            continue;
        /* The last product. */
        float *x = take_in(f, r, &last->down, last->ffn_post_norm);
        float *normed = row->keep ? x : temp;
        f->k->rmsnorm(normed, x, m->output_norm, m->hp.norm_eps, m->hp.dim);
        if (row->logits < 0)
            continue;
        if (m->head_signs) {
            float *input = row_of(temp, TEMP_INPUT, f->temp_stride);
            kernels_rotate(input, normed, m->head_signs, m->rotation.block, m->hp.dim);
            normed = input;
        }
        head_set(f->head, (uint32_t)row->logits, normed);
    }
    team_barrier(f->team);
}

/* What the caller does with the logits of the slots that have this use. */
static void phase_after(struct forward *f, enum head_use use, unsigned worker)
{
    for (size_t s; (s = team_take(f->team, 1)) < f->n_logits;)
        if (f->use[s] & use)
            f->after(f->after_ctx, (uint32_t)s, use, head_logits(f->head, (uint32_t)s), worker);
    team_barrier(f->team);
}

static void run_step(void *ctx, unsigned worker)
{
    struct forward *f = ctx;
    float *temp = row_of(f->temp, TEMPS * worker, f->temp_stride);

    phase_embed(f);
    for (uint32_t i = 0; i < f->m->hp.n_layers; i++)
        run_layer(f, i, temp, worker);
    if (f->n_logits == 0 && !f->any_kept)
        return;
    phase_final(f, temp);
    bool exact = false;
    if (f->any_use & HEAD_CHOOSE) {
        head_choose(f->head, f->use, f->n_logits, worker);
        exact = head_is_exact(f->head);
        phase_after(f, HEAD_CHOOSE, worker);
    }
    if (f->any_use & HEAD_EXACT) {
        if (!exact)
            head_exact(f->head, f->use, f->n_logits, worker);
        phase_after(f, HEAD_EXACT, worker);
    }
}

void forward_step(struct forward *f, const struct forward_row *rows, uint32_t n,
                  forward_after_fn after, void *ctx)
{
    trit_assert(n >= 1 && n <= f->max_rows);
    f->rows = rows;
    f->n_rows = n;
    f->n_logits = 0;
    f->any_use = 0;
    f->any_kept = false;
    f->attended = 0;
    for (uint32_t r = 0; r < n; r++) {
        trit_assert(rows[r].token >= 0 && (uint32_t)rows[r].token < f->m->hp.vocab);
        trit_assert(rows[r].pos < f->n_ctx && kv_pages_for(rows[r].pos + 1ull) <= rows[r].lease->n);
        f->any_kept = f->any_kept || rows[r].keep;
        if (rows[r].logits < 0)
            continue;
        trit_assert((uint32_t)rows[r].logits == f->n_logits && f->n_logits < f->max_logits);
        trit_assert(rows[r].use != 0);
        head_allow(f->head, f->n_logits, rows[r].allowed);
        f->any_use |= f->use[f->n_logits++] = rows[r].use;
    }
    f->after = after;
    f->after_ctx = ctx;
    attention_plan(f->attention, rows, n);
    if (f->recurrence)
        recurrence_plan(f->recurrence, rows, n);
    team_run(f->team, run_step, f);
}

double forward_attended(const struct forward *f)
{
    return f->attended;
}

const float *forward_hidden(const struct forward *f, uint32_t r)
{
    trit_assert(r < f->n_rows && f->rows[r].keep);
    return f->x + (size_t)r * f->m->hp.dim;
}

/* Lay all scratch out behind `base`; called once to measure and once in earnest. */
static size_t lay_out(struct forward *f, uint8_t *base)
{
    const struct hparams *hp = &f->m->hp;
    size_t rows = f->max_rows, slots = f->max_logits, workers = team_room(f->team), at = 0;
    f->x = mem_carve(base, &at, rows * hp->dim, sizeof(float));
    f->y = mem_carve(base, &at, rows * hp->dim, sizeof(float));
    f->q = mem_carve(base, &at, rows * f->q_dim, sizeof(float));
    f->k_rows = mem_carve(base, &at, rows * f->kv_dim, sizeof(float));
    f->v = mem_carve(base, &at, rows * f->kv_dim, sizeof(float));
    f->att = mem_carve(base, &at, rows * f->q_dim, sizeof(float));
    f->gate = mem_carve(base, &at, rows * hp->ffn, sizeof(float));
    f->up = mem_carve(base, &at, rows * hp->ffn, sizeof(float));
    f->mixed = mem_carve(base, &at, rows * f->mixed_stride, sizeof(float));
    f->z = mem_carve(base, &at, rows * f->z_stride, sizeof(float));
    f->angles = mem_carve(base, &at, rows * f->n_turns * hp->rope_dims, sizeof(float));
    f->freq = mem_carve(base, &at, f->n_turns * (hp->rope_dims / 2), sizeof(double));
    for (unsigned i = 0; i < f->n_acts; i++)
        acts_carve(&f->acts[i], base, &at, f->planes, rows, f->acts_cap, f->groups_cap);
    f->use = mem_carve(base, &at, slots, 1);
    f->temp = mem_carve(base, &at, TEMPS * workers * f->temp_stride, sizeof(float));
    f->sums = mem_carve(base, &at, workers * f->sums_stride, sizeof(float));
    return at;
}

static void widen(struct forward *f, const struct linear *w)
{
    f->acts_cap = MAX(f->acts_cap, round_up(layout_acts(w), 64));
    f->groups_cap = MAX(f->groups_cap, w->n_groups);
}

/* Whether linears make something of what they read before they multiply it. */
static bool own_inputs(const struct model *m)
{
    return m->layers[0].q.in_factor || m->layers[0].q.in_norm || m->layers[0].q.in_rms;
}

int forward_open(const struct model *m, const struct kernels *k, struct team *team, struct kv *kv,
                 enum acts_type acts, uint32_t max_rows, uint32_t max_logits, uint32_t n_ctx,
                 struct forward **out, struct trit_error *err)
{
    const struct hparams *hp = &m->hp;
    *out = NULL;
    struct forward *f = mem_zalloc(1, sizeof *f);
    if (!f)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the forward pass");
    *f = (struct forward){.m = m,
                          .k = k,
                          .team = team,
                          .kv = kv,
                          .max_rows = max_rows,
                          .max_logits = max_logits,
                          .n_ctx = n_ctx,
                          .planes = acts_planes(m, acts),
                          .n_acts = own_inputs(m) ? INPUTS : 1,
                          .n_turns = hp->window ? 2 : 1,
                          .q_dim = hp->n_heads * hp->head_dim,
                          .kv_dim = hp->n_kv_heads * hp->head_dim};
    int rc = head_open(m, k, team, max_logits, &f->head, err);
    if (rc == 0)
        rc = attention_open(m, k, team, kv, max_rows, n_ctx, &f->attention, err);
    if (rc == 0 && hp->delta.n_layers)
        rc = recurrence_open(m, k, team, kv, max_rows, &f->recurrence, err);
    if (rc) {
        forward_close(&f);
        return rc;
    }
    if (f->recurrence) {
        f->mixed_stride = MAX(recurrence_channels(hp), 2 * (size_t)f->q_dim);
        f->z_stride = recurrence_values(hp);
    }
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        bool attends = m->layers[i].attends;
        widen(f, attends ? &m->layers[i].q : &m->layers[i].delta.qkv);
        widen(f, attends ? &m->layers[i].o : &m->layers[i].delta.out);
        widen(f, &m->layers[i].gate);
        widen(f, &m->layers[i].down);
    }
    f->temp_stride = round_up(MAX(MAX(hp->dim, f->q_dim), MAX(hp->ffn, (uint32_t)f->z_stride)), 16);
    f->sums_stride = round_up(acts_sums(f->planes, GRAIN, max_rows), 16);
    f->memory_bytes = lay_out(f, NULL);
    f->memory = mem_map(f->memory_bytes);
    if (!f->memory) {
        size_t bytes = f->memory_bytes;
        forward_close(&f);
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu bytes of scratch", bytes);
    }
    lay_out(f, f->memory);
    for (unsigned i = 0; i < f->n_turns; i++)
        f->rope_size[i] = model_rope(m, i > 0, f->freq + i * (hp->rope_dims / 2));
    *out = f;
    return 0;
}

void forward_close(struct forward **f)
{
    if (!*f)
        return;
    recurrence_close(&(*f)->recurrence);
    attention_close(&(*f)->attention);
    head_close(&(*f)->head);
    mem_unmap((*f)->memory, (*f)->memory_bytes);
    mem_free(*f);
    *f = NULL;
}

size_t forward_bytes(const struct forward *f)
{
    return f->memory_bytes + head_bytes(f->head) + attention_bytes(f->attention) +
           (f->recurrence ? recurrence_bytes(f->recurrence) : 0);
}
