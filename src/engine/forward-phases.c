/* SPDX-License-Identifier: MIT */
/*
 * forward-phases.c - what is done between two barriers: products, norms, embedding, rotary angles.
 *
 * Inside a phase the workers deal rows or tiles of 16 outputs among themselves.  Every item writes
 * its own outputs and reads only what earlier phases wrote, so who does it never matters.
 *
 * Not here: in which order (forward.c); how attention and the gated delta rule are dealt
 * (attention.c, recurrence.c).
 */
#include "config.h"
#include "engine/forward-parts.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/team.h"
#include "kernels/kernels.h"
#include "engine/attention.h"
#include "engine/recurrence.h"

/* ------------------------------------------------------------------ products */

static float *row_of(float *base, size_t row, size_t stride)
{
    return base + row * stride;
}

/* Activation buffer i of f, cut for the layer that reads it.  All read the first one, but where
 * there are several. */
static struct acts acts_for(const struct forward *f, const struct linear *w, unsigned i)
{
    struct acts a = f->acts[MIN(i, f->n_acts - 1)];
    a.n_groups = w->n_groups;
    a.q_stride = round_up(layout_acts(w), 64);
    return a;
}

/* Tiles of linears that read the same rows, counted through all of them. */
struct share {
    size_t first, end;
};

/*
 * Share i of `total` tiles for n workers.  There are rounds of n shares, each of half of what is
 * left for a worker: few calls, which are long streams, and a slow worker delays little.  A share
 * is of as many tiles as kernels take at a time or a multiple of that, since what it lacks is
 * computed for nothing; but the last round comes out even.
 */
static struct share share_of(size_t total, size_t n, size_t i)
{
    size_t round = n * GRAIN, full = total > 2 * round ? (total - round - 1) / round : 0;
    size_t first = MIN(i / n, full) * round, size = GRAIN;
    for (i -= MIN(i / n, full) * n; first < total; first += n * size, i -= n) {
        size_t rest = total - first;
        if (rest <= 2 * round)
            size = round_up((rest + 2 * n - 1) / (2 * n), KERNELS_TILES);
        if (rest <= n * KERNELS_TILES)
            size = (rest + n - 1) / n;
        if (i < n)
            break;
    }
    first = MIN(first + i * size, total);
    return (struct share){first, MIN(first + size, total)};
}

/* The part of a share that lies in the linear whose first tile is number `base`. */
static struct share part_of(struct share s, const struct linear *w, size_t base)
{
    size_t end = base + layout_tiles(w);
    return (struct share){MAX(s.first, base) - base, MAX(MIN(s.end, end), base) - base};
}

/* A worker's first share is its own, so that it can be fetched before (await_rows). */
void forward_multiply(struct forward *f, const struct product *p, unsigned n, unsigned worker)
{
    const size_t workers = team_size(f->team);
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += layout_tiles(p[i].w);
    float *sums = row_of(f->sums, worker, f->sums_stride);
    struct share s = share_of(total, workers, worker);
    while (s.first < s.end) {
        size_t base = 0;
        for (unsigned i = 0; i < n; base += layout_tiles(p[i++].w)) {
            struct share t = part_of(s, p[i].w, base);
            if (t.first >= t.end)
                continue;
            struct acts a = acts_for(f, p[i].w, i);
            acts_multiply(f->k, p[i].out, p[i].stride, p[i].w, t.first, t.end, &a, f->planes,
                          f->n_rows, sums);
            if (f->proves)
                model_prove(f->m, p[i].w->codes + t.first * p[i].w->tile_bytes,
                            (t.end - t.first) * p[i].w->tile_bytes);
        }
        s = share_of(total, workers, workers + team_take(f->team, 1));
    }
    team_barrier(f->team);
}

/* Weights on their way to the second cache. */
struct fetch {
    const uint8_t *at, *end;
};

static bool fetch_some(void *ctx)
{
    struct fetch *t = ctx;
    for (unsigned i = 0; i < 8 && t->at < t->end; i++, t->at += 64)
        __builtin_prefetch(t->at, 0, 2);
    return t->at < t->end;
}

/*
 * The barrier behind a phase that deals rows.  Few rows leave most of the team without work and the
 * memory idle, so who waits fetches weights: of the products that follow, what it will begin with.
 */
static void await_rows(struct forward *f, const struct readers *to, unsigned worker)
{
    size_t total = 0, base = 0;
    for (unsigned i = 0; i < to->n; i++)
        total += layout_tiles(to->w[i]);
    struct share s = share_of(total, team_size(f->team), worker);
    struct fetch fetch = {0};
    for (unsigned i = 0; i < to->n && !fetch.at; base += layout_tiles(to->w[i++])) {
        const struct linear *w = to->w[i];
        struct share t = part_of(s, w, base);
        if (t.first >= t.end)
            continue;
        fetch.at = w->codes + t.first * w->tile_bytes;
        fetch.end = fetch.at + MIN((t.end - t.first) * w->tile_bytes, (size_t)FETCH_BYTES);
    }
    team_barrier_idle(f->team, fetch_some, &fetch);
}

/* ------------------------------------------------------------------ rows */

void forward_phase_embed(struct forward *f)
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

/* TEMPS rows of this worker. */
static float *temp_of(const struct forward *f, unsigned worker)
{
    return row_of(f->temp, (size_t)TEMPS * worker, f->temp_stride);
}

/* Row r of the activations: x[w->cols], normed first where there is a norm, then as each reader
 * wants it. */
static void quantise_row(struct forward *f, const struct readers *to, size_t r, const float *x,
                         const float *norm, unsigned worker)
{
    const size_t n = to->w[0]->cols;
    float *temp = temp_of(f, worker);
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
        else if (w->order)
            kernels_arrange(input, x, w->order, n);
        bool own = w->in_factor || w->in_norm || w->in_rms || w->signs || w->order;
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

void forward_phase_norm(struct forward *f, const float *norm, const struct readers *to,
                        const struct linear *before, const float *post_norm, unsigned worker)
{
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;)
        quantise_row(f, to, r, take_in(f, r, before, post_norm), norm, worker);
    await_rows(f, to, worker);
}

void forward_phase_norm_kept(struct forward *f, const float *norm, const struct readers *to,
                             const struct linear *before, unsigned worker)
{
    const struct hparams *hp = &f->m->hp;
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        const float *x = take_in(f, r, before, NULL);
        float *y = row_of(f->y, r, hp->dim);
        f->k->rmsnorm(y, x, norm, hp->norm_eps, hp->dim);
        quantise_row(f, to, r, y, NULL, worker);
    }
    await_rows(f, to, worker);
}

/* ------------------------------------------------------------------ heads */

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

void forward_phase_rope(struct forward *f, uint32_t layer)
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

void forward_phase_attended(struct forward *f, uint32_t layer, unsigned worker)
{
    const struct layer *l = &f->m->layers[layer];
    const struct readers to = {{&l->o}, 1};
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        attention_join(f->attention, l->cache, (uint32_t)r, f->att);
        if (f->recurrence)
            gate_heads(f, r, temp_of(f, worker));
        quantise_row(f, &to, r, row_of(f->att, r, f->q_dim), l->attn_sub_norm, worker);
    }
    await_rows(f, &to, worker);
}

void forward_phase_recalled(struct forward *f, const struct layer *l, unsigned worker)
{
    const struct readers to = {{&l->delta.out}, 1};
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        float *mixed = row_of(f->mixed, r, f->mixed_stride);
        float *z = row_of(f->z, r, f->z_stride);
        quantise_row(f, &to, r, recurrence_gate(f->recurrence, l, mixed, z), NULL, worker);
    }
    await_rows(f, &to, worker);
}

/* ------------------------------------------------------------------ feed-forward and the end */

void forward_phase_glu(struct forward *f, const struct layer *l, unsigned worker)
{
    size_t ffn = f->m->hp.ffn;
    const struct readers to = {{&l->down}, 1};
    for (size_t r; (r = team_take(f->team, 1)) < f->n_rows;) {
        float *g = row_of(f->gate, r, ffn), *up = row_of(f->up, r, ffn);
        settle_row(&l->gate, g);
        settle_row(&l->up, up);
        f->k->glu(g, g, up, f->m->arch->act, ffn);
        quantise_row(f, &to, r, g, l->ffn_sub_norm, worker);
    }
    await_rows(f, &to, worker);
}

void forward_phase_final(struct forward *f, unsigned worker)
{
    float *temp = temp_of(f, worker);
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

void forward_phase_after(struct forward *f, enum head_use use, unsigned worker)
{
    for (size_t s; (s = team_take(f->team, 1)) < f->n_logits;)
        if (f->use[s] & use)
            f->after(f->after_ctx, (uint32_t)s, use, head_logits(f->head, (uint32_t)s), worker);
    team_barrier(f->team);
}
