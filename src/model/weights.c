/* SPDX-License-Identifier: MIT */
/*
 * weights.c - from the tensors of a file to the payload of a segment.
 *
 * A plan: which tensor plays which role, in a table, and every layer gone through with it.
 *
 * The arrangement of the payload is part of the segment's format: change it, and SEGMENT_VERSION in
 * segment-file.h must go up.
 *
 * Not here: what a tensor of a role may be, and where its packed form lies (weights-items.c);
 * pack.c carries the plan out.
 */
#include "config.h"
#include "model/weights-parts.h"

#include <stdio.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/gguf-private.h"

/* ------------------------------------------------------------------ the graph's tensors */

enum width {
    DIM,
    FFN,
    Q_DIM,
    KV_DIM,
    HEAD_DIM,
    QUERY_DIM,
    VALUE_DIM,
    CONV_DIM,
    CONV,
    STATES,
    STATE_DIM
};
enum when {
    ALWAYS,
    WITH_SUB_NORMS,
    WITH_QK_NORMS,
    WITH_POST_NORMS,
    WITH_NORMS,
    WITH_FFN_NORM,
    HYBRID,
    DELTA
};

/* "blk.N.<name>.weight", rows x cols; rows is unused for vectors.  Those of attention are for
 * layers that attend, those with DELTA for the others. */
static const struct role {
    const char *name;
    enum width rows, cols;
    enum when when;
    size_t linear, vector; /* offset in struct layer of one of the two; the other is SIZE_MAX */
    bool matrix;           /* the vector is one, of floats whatever the file has: [rows][cols] */
    bool whole;            /* "blk.N.<name>" is all of it */
} roles[] = {
#define LINEAR(name, field, rows, cols)                                                            \
    {                                                                                              \
        name, rows, cols, ALWAYS, offsetof(struct layer, field), SIZE_MAX, false, false            \
    }
#define VECTOR(name, field, cols, when)                                                            \
    {                                                                                              \
        name, DIM, cols, when, SIZE_MAX, offsetof(struct layer, field), false, false               \
    }
#define DELTAS(name, linear, vector, rows, cols, ...)                                              \
    {                                                                                              \
        name, rows, cols, DELTA, linear, vector, __VA_ARGS__                                       \
    }
#define OF(field) offsetof(struct layer, delta.field)
    VECTOR("attn_norm", attn_norm, DIM, WITH_NORMS),
    LINEAR("attn_q", q, QUERY_DIM, DIM),
    LINEAR("attn_k", k, KV_DIM, DIM),
    LINEAR("attn_v", v, KV_DIM, DIM),
    VECTOR("attn_q_norm", attn_q_norm, HEAD_DIM, WITH_QK_NORMS),
    VECTOR("attn_k_norm", attn_k_norm, HEAD_DIM, WITH_QK_NORMS),
    VECTOR("attn_sub_norm", attn_sub_norm, Q_DIM, WITH_SUB_NORMS),
    LINEAR("attn_output", o, DIM, Q_DIM),
    VECTOR("post_attention_norm", attn_post_norm, DIM, WITH_POST_NORMS),
    VECTOR("ffn_norm", ffn_norm, DIM, WITH_FFN_NORM),
    LINEAR("ffn_gate", gate, FFN, DIM),
    LINEAR("ffn_up", up, FFN, DIM),
    VECTOR("ffn_sub_norm", ffn_sub_norm, FFN, WITH_SUB_NORMS),
    LINEAR("ffn_down", down, DIM, FFN),
    VECTOR("post_ffw_norm", ffn_post_norm, DIM, WITH_POST_NORMS),
    VECTOR("post_attention_norm", ffn_norm, DIM, HYBRID),
    DELTAS("attn_qkv", OF(qkv), SIZE_MAX, CONV_DIM, DIM, false, false),
    DELTAS("attn_gate", OF(z), SIZE_MAX, VALUE_DIM, DIM, false, false),
    DELTAS("ssm_out", OF(out), SIZE_MAX, DIM, VALUE_DIM, false, false),
    DELTAS("ssm_conv1d", SIZE_MAX, OF(conv), CONV_DIM, CONV, true, false),
    DELTAS("ssm_alpha", SIZE_MAX, OF(alpha), STATES, DIM, true, false),
    DELTAS("ssm_beta", SIZE_MAX, OF(beta), STATES, DIM, true, false),
    DELTAS("ssm_a", SIZE_MAX, OF(a), DIM, STATES, false, true),
    DELTAS("ssm_dt.bias", SIZE_MAX, OF(dt), DIM, STATES, false, true),
    DELTAS("ssm_norm", SIZE_MAX, OF(norm), DIM, STATE_DIM, false, false),
#undef LINEAR
#undef VECTOR
#undef DELTAS
#undef OF
};

static uint32_t width_of(const struct hparams *hp, enum width w)
{
    const struct hparams_delta *d = &hp->delta;
    switch (w) {
    case DIM:
        return hp->dim;
    case FFN:
        return hp->ffn;
    case Q_DIM:
        return hp->n_heads * hp->head_dim;
    case KV_DIM:
        return hp->n_kv_heads * hp->head_dim;
    case HEAD_DIM:
        return hp->head_dim;
    case QUERY_DIM: /* with the gates among them */
        return (d->interval ? 2 : 1) * hp->n_heads * hp->head_dim;
    case VALUE_DIM:
        return d->v_heads * d->head_dim;
    case CONV_DIM:
        return (2 * d->k_heads + d->v_heads) * d->head_dim;
    case CONV:
        return d->conv;
    case STATES:
        return d->v_heads;
    case STATE_DIM:
        return d->head_dim;
    }
    trit_unreachable("width");
}

static bool of_attention(const struct role *r)
{
    return r->linear == offsetof(struct layer, q) || r->linear == offsetof(struct layer, k) ||
           r->linear == offsetof(struct layer, v) || r->linear == offsetof(struct layer, o) ||
           r->when == WITH_QK_NORMS;
}

static bool applies(const struct model *m, const struct layer *l, const struct role *r)
{
    switch (r->when) {
    case ALWAYS:
        return l->attends || !of_attention(r);
    case WITH_NORMS:
        return m->hp.method != METHOD_B1;
    case WITH_SUB_NORMS:
        return m->arch->sub_norms;
    case WITH_QK_NORMS:
        return l->attends && m->arch->qk_norms;
    case WITH_POST_NORMS:
        return m->arch->post_norms;
    case WITH_FFN_NORM:
        return m->hp.method != METHOD_B1 && !m->arch->hybrid;
    case HYBRID:
        return m->arch->hybrid;
    case DELTA:
        return !l->attends;
    }
    trit_unreachable("when");
}

/* ------------------------------------------------------------------ planning */

/* Linears that read the same rows read them in the same basis. */
static int check_bases(struct planner *p, uint32_t i)
{
    const struct layer *l = &p->m->layers[i];
    const struct delta *d = &l->delta;
    const struct linear *same[][3] = {
        {&l->q, &l->k, &l->v}, {&l->gate, &l->up, &l->up}, {&d->qkv, &d->z, &d->z}};
    for (size_t k = 0; k < ARRAY_LEN(same); k++)
        if (same[k][0]->signs != same[k][1]->signs || same[k][0]->signs != same[k][2]->signs)
            return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                             "blk.%u: of linears that read the same only some are in "
                             "prism.hadamard.weight_names",
                             i);
    return 0;
}

/* What is rotated beside the linears of layers.  A head that is the embedding has none of it. */
static int plan_tables(struct planner *p)
{
    struct model *m = p->m;
    int rc = rotation_embedding(p->g, &m->rotation, m->hp.dim, &m->embedding_signs, p->err);
    if (rc == 0)
        rc =
            rotation_linear(p->g, &m->rotation, "output.weight", m->hp.dim, &m->head_signs, p->err);
    if (rc == 0 && m->embedding_signs && !gguf_tensor(p->g, "output.weight"))
        rc = gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                       "tensor output.weight is missing, and the embedding is rotated");
    return rc;
}

/* What kind of layer it is, and which one of its kind. */
static void begin_layer(const struct hparams *hp, uint32_t i, struct layer *l)
{
    uint32_t interval = hp->delta.interval, before = interval ? i / interval : i; /* that attend */
    l->attends = !interval || (i + 1) % interval == 0;
    l->cache = l->attends ? before : i - before;
}

static int plan_layer(struct planner *p, uint32_t i)
{
    const struct hparams *hp = &p->m->hp;
    char *layer = (char *)&p->m->layers[i], name[64];
    int rc = 0;
    begin_layer(hp, i, &p->m->layers[i]);
    for (size_t k = 0; rc == 0 && k < ARRAY_LEN(roles); k++) {
        const struct role *r = &roles[k];
        uint32_t rows = width_of(hp, r->rows), cols = width_of(hp, r->cols);
        if (!applies(p->m, &p->m->layers[i], r))
            continue;
        if (r->linear != SIZE_MAX) {
            snprintf(name, sizeof name, "blk.%u.%s", i, r->name);
            rc = weights_add_linear(p, name, rows, cols, (void *)(layer + r->linear));
        } else {
            snprintf(name, sizeof name, "blk.%u.%s%s", i, r->name, r->whole ? "" : ".weight");
            bool plain = r->whole || r->vector == offsetof(struct layer, delta.norm);
            rc = r->matrix ? weights_add_matrix(p, name, rows, cols, (void *)(layer + r->vector))
                 : plain   ? weights_add_vector(p, name, cols, true, (void *)(layer + r->vector))
                           : weights_add_norm(p, name, cols, (void *)(layer + r->vector));
            if (rc == 0 && r->vector == offsetof(struct layer, delta.a))
                p->plan->items[p->plan->n - 1].decay = p->m->arch->grouped_values;
        }
    }
    return rc;
}

/* A tensor without a role would change the answers if it were ignored (a bias, say): refuse. */
static int refuse_leftover(struct planner *p)
{
    for (size_t i = 0; i < gguf_n_tensors(p->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(p->g, i);
        bool used = false;
        for (size_t k = 0; !used && k < p->plan->n; k++)
            used = p->plan->items[k].t == t || p->plan->items[k].multiplier == t ||
                   p->plan->items[k].second == t || p->plan->items[k].levels == t;
        if (!used)
            return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                             "tensor %s has no place in the %s architecture", t->origin,
                             p->m->arch->name);
    }
    return 0;
}

int weights_plan(const struct gguf *g, const struct model_options *opt, struct model *m,
                 struct weights_plan *plan, struct trit_error *err)
{
    *plan = (struct weights_plan){0};
    plan->tables = weights_plain_table(opt, m);
    struct planner p = {g, opt, m, plan, err, 0};
    m->layers = mem_zalloc(m->hp.n_layers, sizeof *m->layers);
    if (!m->layers)
        return trit_fail(err, TRIT_ENOMEM, "no memory for %u layers", m->hp.n_layers);
    int rc = rotation_read(g, &m->rotation, err);
    if (rc == 0)
        rc = weights_add_table(&p, "token_embd.weight", true, &m->embedding, &m->embedding_tiles);
    if (rc == 0 && m->arch->head == HEAD_OPTIONAL)
        rc = weights_add_table(&p, "output.weight", false, &m->head, &m->head_tiles);
    else if (rc == 0 && gguf_tensor(g, "output.weight"))
        log_warn("tensor-ignored name=output.weight reason=\"%s ties its head\"", m->arch->name);
    if (rc == 0)
        rc = weights_add_norm(&p, "output_norm.weight", m->hp.dim, &m->output_norm);
    if (rc == 0)
        rc =
            weights_add_vector(&p, "rope_freqs.weight", m->hp.rope_dims / 2, false, &m->rope_freqs);
    if (rc == 0)
        rc = plan_tables(&p);
    for (uint32_t i = 0; rc == 0 && i < m->hp.n_layers; i++) {
        rc = plan_layer(&p, i);
        rc = rc ? rc : check_bases(&p, i);
    }
    if (rc == 0)
        rc = rotation_check(g, &m->rotation, err);
    p.n_used += m->arch->head == HEAD_TIED && gguf_tensor(g, "output.weight") != NULL;
    if (rc == 0 && p.n_used != gguf_n_tensors(g))
        rc = refuse_leftover(&p);
    return rc;
}

void weights_plan_free(struct weights_plan *plan)
{
    mem_free(plan->items);
    *plan = (struct weights_plan){0};
}

void weights_point(const struct weights_plan *plan, struct model *m, const uint8_t *payload)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct weights_item *it = &plan->items[i];
        const void *scales = it->scale_bytes ? payload + it->scales_at : NULL;
        if (it->linear) {
            it->linear->codes = payload + it->at;
            bool one = layout_one_scale(it->linear);
            it->linear->scales = one ? scales : NULL;
            it->linear->group_scales = one ? NULL : scales;
        } else if (it->order) {
            it->order->order = payload + it->at;
            it->order->n_salient = it->order->order + it->order->cols;
        } else if (it->table) {
            it->table->data = payload + it->at;
            it->table->scales = scales;
        } else {
            *it->vector = (const void *)(payload + it->at);
        }
    }
    if (!m->head.data && !m->head_tiles.codes) {
        m->head = m->embedding;
        m->head_tiles = m->embedding_tiles;
    }
}
