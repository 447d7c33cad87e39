/* SPDX-License-Identifier: MIT */
/*
 * forward.c - the transformer, read from top to bottom.
 *
 * One step is one run of the team.  A layer is ten phases with a barrier after each.
 *
 * Not here: what happens in a phase (forward-phases.c); which rows, whose pages, what to do with
 * logits (engine-step.c); how attention is dealt (attention.c).
 */
#include "config.h"
#include "engine/forward-parts.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "kernels/kernels.h"
#include "engine/attention.h"
#include "engine/recurrence.h"

/* ------------------------------------------------------------------ a step */

static void run_attention(struct forward *f, uint32_t i, const struct layer *before,
                          unsigned worker)
{
    const struct layer *l = &f->m->layers[i];
    bool gated = f->recurrence != NULL;
    forward_phase_norm(f, l->attn_norm, &(const struct readers){{&l->q, &l->k, &l->v}, 3},
                       before ? &before->down : NULL, before ? before->ffn_post_norm : NULL,
                       worker);
    forward_multiply(f,
                     (const struct product[]){
                         {&l->q, gated ? f->mixed : f->q, gated ? f->mixed_stride : f->q_dim},
                         {&l->k, f->k_rows, f->kv_dim},
                         {&l->v, f->v, f->kv_dim}},
                     3, worker);
    forward_phase_rope(f, i);
    double start = worker == 0 ? trit_now() : 0;
    attention_run(f->attention, l->cache, f->q, f->att, worker);
    if (worker == 0)
        f->attended += trit_now() - start;
    forward_phase_attended(f, i, worker);
    forward_multiply(f, &(const struct product){&l->o, f->y, f->m->hp.dim}, 1, worker);
}

static void run_delta(struct forward *f, const struct layer *l, const struct layer *before,
                      unsigned worker)
{
    const struct delta *d = &l->delta;
    forward_phase_norm_kept(f, l->attn_norm, &(const struct readers){{&d->qkv, &d->z}, 2},
                            before ? &before->down : NULL, worker);
    forward_multiply(
        f,
        (const struct product[]){{&d->qkv, f->mixed, f->mixed_stride}, {&d->z, f->z, f->z_stride}},
        2, worker);
    recurrence_run(f->recurrence, l, f->mixed, f->mixed_stride, f->y, f->m->hp.dim, worker);
    forward_phase_recalled(f, l, worker);
    forward_multiply(f, &(const struct product){&d->out, f->y, f->m->hp.dim}, 1, worker);
}

static void run_layer(struct forward *f, uint32_t i, unsigned worker)
{
    const struct layer *l = &f->m->layers[i];
    const struct layer *before = i > 0 ? l - 1 : NULL;
    size_t dim = f->m->hp.dim, ffn = f->m->hp.ffn;

    if (l->attends)
        run_attention(f, i, before, worker);
    else
        run_delta(f, l, before, worker);

    forward_phase_norm(f, l->ffn_norm, &(const struct readers){{&l->gate, &l->up}, 2},
                       l->attends ? &l->o : &l->delta.out, l->attn_post_norm, worker);
    forward_multiply(f, (const struct product[]){{&l->gate, f->gate, ffn}, {&l->up, f->up, ffn}}, 2,
                     worker);
    forward_phase_glu(f, l, worker);
    forward_multiply(f, &(const struct product){&l->down, f->y, dim}, 1, worker);
}

/* What no product has read: vectors, scales, the lower half of a table. */
static void prove_rest(struct forward *f)
{
    enum { RUN = 16 };
    const size_t n = model_chunks(f->m);
    for (size_t i; (i = team_take(f->team, RUN)) < n;)
        for (size_t k = i; k < MIN(i + RUN, n); k++)
            model_prove_chunk(f->m, k);
    team_barrier(f->team);
}

static void run_step(void *ctx, unsigned worker)
{
    struct forward *f = ctx;

    forward_phase_embed(f);
    for (uint32_t i = 0; i < f->m->hp.n_layers; i++)
        run_layer(f, i, worker);
    if (f->n_logits == 0 && !f->any_kept)
        return;
    forward_phase_final(f, worker);
    bool exact = false;
    if (f->any_use & HEAD_CHOOSE) {
        head_choose(f->head, f->use, f->n_logits, worker);
        exact = head_is_exact(f->head);
        forward_phase_after(f, HEAD_CHOOSE, worker);
    }
    if (f->any_use & HEAD_EXACT) {
        if (!exact)
            head_exact(f->head, f->use, f->n_logits, worker);
        forward_phase_after(f, HEAD_EXACT, worker);
    }
}

static void run_proof(void *ctx, unsigned worker)
{
    run_step(ctx, worker);
    prove_rest(ctx);
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
    team_run(f->team, f->proves ? run_proof : run_step, f);
    f->proves = false;
    head_prove(f->head, NULL);
}

void forward_prove(struct forward *f)
{
    f->proves = true;
    head_prove(f->head, f->m);
}

void forward_renew(struct forward *f)
{
    for (unsigned i = 0; i < f->n_turns; i++)
        f->rope_size[i] = model_rope(f->m, i > 0, f->freq + i * (f->m->hp.rope_dims / 2));
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

/* ------------------------------------------------------------------ room and opening */

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
    const struct linear *w = &m->layers[0].q;
    return w->in_factor || w->in_norm || w->in_rms || w->order;
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
    forward_renew(f);
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
