/* SPDX-License-Identifier: MIT */
/*
 * weights.c - from the tensors of a file to the payload of a segment.
 *
 * A plan: which tensor plays which role, and where its packed form lies.  pack.c carries it out.
 *
 * The arrangement of the payload is part of the segment's format: change it, and SEGMENT_VERSION in
 * segment-file.h must go up.
 */
#include "config.h"
#include "model/load-parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/gguf-private.h"
#include "model/quant.h"

/* ------------------------------------------------------------------ the graph's tensors, as data
 */

/* Of a tensor, before its shape in memory is settled.  The rows of an embedding are less alike: some
 * belong to no token and are zero. */
enum {
    ROWS_SEEN = 4,
    VOCAB_ROWS_SEEN = 256,
    VOCAB_GROUP = 128, /* the most inputs of an embedding that share a scale, if a block has no more */
};

enum width { DIM, FFN, Q_DIM, KV_DIM, HEAD_DIM, QUERY_DIM, VALUE_DIM, CONV_DIM, CONV, STATES, STATE_DIM };
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

/* "blk.N.<name>.weight", rows x cols; rows is unused for vectors.  Those of attention are for layers that
 * attend, those with DELTA for the others. */
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

struct planner {
    const struct gguf *g;
    const struct model_options *opt;
    struct model *m;
    struct weights_plan *plan;
    struct trit_error *err;
    size_t n_used; /* tensors of the file that have found a role */
};

static int find(struct planner *p, const char *name, uint64_t rows, uint64_t cols, bool required,
                const struct gguf_tensor **out)
{
    const struct gguf_tensor *t = gguf_tensor(p->g, name);
    *out = t;
    if (!t)
        return required ? gguf_fail(p->g, p->err, TRIT_EFORMAT, "tensor %s is missing", name) : 0;
    p->n_used++;
    uint64_t got_rows = t->n_dims > 1 ? t->ne[1] : 1;
    if (t->n_dims > 2 || t->ne[0] != cols || got_rows != rows)
        return gguf_fail(p->g, p->err, TRIT_EFORMAT,
                         "tensor %s is [%" PRIu64 ", %" PRIu64 "], expected [%" PRIu64 ", %" PRIu64
                         "]",
                         t->origin, t->ne[0], got_rows, cols, rows);
    if (!t->quant)
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP, "tensor %s has encoding %u, which is unknown",
                         t->origin, t->type);
    return 0;
}

/* The levels of a linear of METHOD_BILLM, F16 {7, cols / 128, rows}. */
static int find_levels(struct planner *p, const char *name, uint64_t rows, uint64_t cols,
                       const struct gguf_tensor **out)
{
    const struct gguf_tensor *t = *out = gguf_tensor(p->g, name);
    if (!t)
        return gguf_fail(p->g, p->err, TRIT_EFORMAT, "tensor %s is missing", name);
    p->n_used++;
    if (t->ne[0] != BILLM_LEVELS || t->ne[1] != cols / BILLM_BLOCK || t->ne[2] != rows ||
        t->ne[3] != 1 || t->type != QUANT_F16)
        return gguf_fail(p->g, p->err, TRIT_EFORMAT,
                         "tensor %s is type %u [%" PRIu64 ", %" PRIu64 ", %" PRIu64
                         "], expected F16 [%d, %" PRIu64 ", %" PRIu64 "]",
                         t->origin, t->type, t->ne[0], t->ne[1], t->ne[2], BILLM_LEVELS,
                         cols / BILLM_BLOCK, rows);
    return 0;
}

/* Reserve room in the payload. */
static size_t place(struct planner *p, size_t bytes)
{
    size_t at = round_up(p->plan->payload_bytes, 64);
    p->plan->payload_bytes = at + bytes;
    return at;
}

static int add(struct planner *p, struct weights_item item)
{
    struct weights_plan *plan = p->plan;
    if (plan->n == plan->cap) {
        size_t cap = MAX(2 * plan->cap, (size_t)64);
        struct weights_item *items = mem_resize(plan->items, cap, sizeof *items);
        if (!items)
            return trit_fail(p->err, TRIT_ENOMEM, "no memory to plan the weights");
        plan->items = items;
        plan->cap = cap;
    }
    item.at = place(p, item.bytes);
    if (item.scale_bytes)
        item.scales_at = place(p, item.scale_bytes);
    plan->items[plan->n++] = item;
    if (!item.salient)
        p->m->n_params += item.t->ne[0] * (item.t->n_dims > 1 ? item.t->ne[1] : 1);
    return 0;
}

static bool is_float(const struct quant_info *q)
{
    return q->type == QUANT_F32 || q->type == QUANT_F16 || q->type == QUANT_BF16;
}

static int add_vector(struct planner *p, const char *name, uint32_t n, bool required,
                      const float **dst)
{
    const struct gguf_tensor *t;
    int rc = find(p, name, 1, n, required, &t);
    if (rc || !t)
        return rc;
    if (!is_float(t->quant))
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP, "tensor %s is %s, expected F32, F16 or BF16",
                         t->origin, t->quant->name);
    return add(p, (struct weights_item){.t = t, .vector = dst, .bytes = n * sizeof(float)});
}

/* A norm of the residual stream or of heads, which the file may have less one. */
static int add_norm(struct planner *p, const char *name, uint32_t n, const float **dst)
{
    int rc = add_vector(p, name, n, true, dst);
    if (rc == 0)
        p->plan->items[p->plan->n - 1].plus_one = p->m->arch->norms_less_one;
    return rc;
}

/* A matrix of floats, decoded from whatever encoding. */
static int add_matrix(struct planner *p, const char *name, uint32_t rows, uint32_t cols, const float **dst)
{
    const struct gguf_tensor *t;
    int rc = find(p, name, rows, cols, true, &t);
    if (rc)
        return rc;
    if (t->quant->ternary && !t->quant->block_bytes)
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                         "tensor %s is %s, expected floats or an encoding by blocks", t->origin,
                         t->quant->name);
    size_t bytes = (size_t)rows * cols * sizeof(float);
    return add(p, (struct weights_item){.t = t, .vector = dst, .bytes = bytes});
}

/* Whether of every `run` blocks of a row all have the same scale.  Blocks of zeros agree with any. */
static bool share_scales(const struct quant_info *q, const uint8_t *row, size_t blocks, size_t run)
{
    float shared = 0;
    for (size_t k = 0; k < blocks; k++) {
        float scale = quant_block_scale(q, row + k * q->block_bytes);
        shared = k % run ? shared : 0;
        if (scale != 0 && shared != 0 && scale != shared)
            return false;
        shared = scale != 0 ? scale : shared;
    }
    return true;
}

/*
 * How many inputs share a scale: all of a row, or a block where a row's blocks differ, as they do
 * in the Bonsai models, or two blocks, since files in Q2_0 repeat each of their scales.  A few rows
 * tell; when others contradict them, packing refuses the tensor.
 */
static int find_group(struct planner *p, const struct gguf_tensor *t, uint32_t rows, uint32_t cols,
                      uint32_t rows_seen, uint32_t *group)
{
    const struct quant_info *q = t->quant;
    *group = cols;
    if (!q->ternary || !q->block_bytes || cols == q->block_values)
        return 0;
    size_t blocks = cols / q->block_values, row_bytes = blocks * q->block_bytes, shared = blocks;
    uint8_t *raw = mem_zalloc(row_bytes, 1);
    if (!raw)
        return trit_fail(p->err, TRIT_ENOMEM, "no memory to look at %s", t->name);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < rows_seen; i++) {
        rc = gguf_read(p->g, t, i * rows / rows_seen * row_bytes, raw, row_bytes, p->err);
        while (rc == 0 && !share_scales(q, raw, blocks, shared))
            shared = shared > 2 && blocks % 2 == 0 ? 2 : 1;
    }
    *group = (uint32_t)shared * q->block_values;
    mem_free(raw);
    return rc;
}

/* What a file has beside a linear: "<stem>.scale" multiplies its outputs, "<stem>.divisor" (ours, of
 * Hugging Face folders) divides them. */
static int find_multiplier(struct planner *p, const char *stem, const struct gguf_tensor *linear,
                           const struct gguf_tensor **multiplier, bool *divides)
{
    enum method_id method = p->m->hp.method;
    bool each = method == METHOD_ONEBIT; /* an output has its own */
    bool required = each || (method == METHOD_B1 && linear->type == QUANT_SIGNS);
    char name[96];
    *multiplier = NULL;
    if (method == METHOD_B1 && !required)
        return 0; /* Beta is the mean of these floats; one beside them would count twice. */
    snprintf(name, sizeof name, "%s.scale", stem);
    int rc = find(p, name, 1, each ? linear->ne[1] : 1, required, multiplier);
    if (rc == 0 && !*multiplier) {
        snprintf(name, sizeof name, "%s.divisor", stem);
        rc = find(p, name, 1, 1, false, multiplier);
        *divides = *multiplier != NULL;
    }
    if (rc)
        return rc;
    if (*multiplier && !is_float((*multiplier)->quant))
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP, "tensor %s is %s, expected F32, F16 or BF16",
                         (*multiplier)->origin, (*multiplier)->quant->name);
    if (!*multiplier && linear->quant->type == QUANT_HF_U8)
        return gguf_fail(p->g, p->err, TRIT_EFORMAT, "tensor %s is packed, but has no weight_scale",
                         linear->origin);
    return 0;
}

/* Embedding or head as tiles, as the file has it.  Its groups are blocks, whether or not more of them
 * agree: rows of tokens differ, and those that were looked at may be the ones that do not. */
static int add_tiles(struct planner *p, const struct gguf_tensor *t, struct linear *w)
{
    const struct hparams *hp = &p->m->hp;
    uint32_t block = t->quant->block_values, group;
    int rc = find_group(p, t, hp->vocab, hp->dim, VOCAB_ROWS_SEEN, &group);
    if (rc)
        return rc;
    group = MIN(group, MAX(block, (uint32_t)VOCAB_GROUP));
    layout_shape(w, p->opt->layout, hp->vocab, hp->dim, hp->dim % group ? block : group);
    p->plan->tables = TABLE_TERNARY;
    return add(p, (struct weights_item){.t = t,
                                        .linear = w,
                                        .bytes = layout_code_bytes(w),
                                        .scale_bytes = layout_scale_bytes(w)});
}

/* Of a table that is not ternary.  Of a head, 8 bits choose the same tokens and are read in half
 * the time; where nothing but rows is read, and they are what the answer is made of, halves cost
 * nothing. */
static enum table_type plain_table(const struct model_options *opt, const struct model *m)
{
    if (opt->tables != TABLE_TERNARY)
        return opt->tables;
    return m->hp.embeds_only ? TABLE_F16 : TABLE_Q8;
}

static int add_table(struct planner *p, const char *name, bool required, struct table *table,
                     struct linear *tiles)
{
    const struct hparams *hp = &p->m->hp;
    const struct gguf_tensor *t;
    int rc = find(p, name, hp->vocab, hp->dim, required, &t);
    if (rc || !t)
        return rc;
    if (t->quant->ternary && !t->quant->block_bytes)
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                         "tensor %s is %s, expected floats or an encoding by blocks", t->origin,
                         t->quant->name);
    enum table_type type = p->opt->tables;
    if (type == TABLE_TERNARY && t->quant->ternary)
        return add_tiles(p, t, tiles);
    table_shape(table, plain_table(p->opt, p->m), hp->vocab, hp->dim);
    return add(p, (struct weights_item){.t = t,
                                        .table = table,
                                        .bytes = table_data_bytes(table),
                                        .scale_bytes = table_scale_bytes(table)});
}

/* A linear of METHOD_BILLM: two planes, the levels, and which columns are salient. */
static int add_billm(struct planner *p, const char *stem, const struct gguf_tensor *t,
                     struct linear *w)
{
    uint32_t rows = (uint32_t)t->ne[1], cols = (uint32_t)t->ne[0];
    char name[96];
    const struct gguf_tensor *second, *salient, *levels;
    if (cols % BILLM_BLOCK != 0)
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP, "tensor %s has %u columns, expected a multiple of %d",
                         t->origin, cols, BILLM_BLOCK);
    snprintf(name, sizeof name, "%s.second", stem);
    int rc = find(p, name, rows, cols, true, &second);
    if (rc)
        return rc;
    snprintf(name, sizeof name, "%s.salient", stem);
    if ((rc = find(p, name, 1, cols, true, &salient)))
        return rc;
    snprintf(name, sizeof name, "%s.levels", stem);
    if ((rc = find_levels(p, name, rows, cols, &levels)))
        return rc;
    const struct gguf_tensor *planes[] = {t, second, salient};
    for (size_t i = 0; i < ARRAY_LEN(planes); i++)
        if (planes[i]->type != QUANT_SIGNS)
            return gguf_fail(p->g, p->err, TRIT_EUNSUPP, "tensor %s is %s, expected I8",
                             planes[i]->origin, planes[i]->quant->name);
    layout_shape(w, LAYOUT_S2, rows, cols, BILLM_BLOCK);
    rc = add(p, (struct weights_item){.t = t,
                                      .second = second,
                                      .levels = levels,
                                      .linear = w,
                                      .bytes = layout_code_bytes(w),
                                      .scale_bytes = layout_scale_bytes(w)});
    return rc ? rc
              : add(p, (struct weights_item){
                           .t = salient, .salient = &w->salient, .bytes = layout_acts(w)});
}

/* A linear of METHOD_ONEBIT or METHOD_B1, and what stands around it. */
static int add_signs(struct planner *p, const char *stem, const struct gguf_tensor *t,
                     const struct gguf_tensor *multiplier, struct linear *w)
{
    bool onebit = p->m->hp.method == METHOD_ONEBIT;
    uint32_t cols = (uint32_t)t->ne[0];
    char name[96];
    if (t->type != QUANT_SIGNS && !is_float(t->quant))
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP, "tensor %s is %s, expected I8, F32, F16 or BF16",
                         t->origin, t->quant->name);
    layout_shape(w, LAYOUT_S1, (uint32_t)t->ne[1], cols, cols);
    w->out_norm = onebit && p->m->hp.output_norm;
    int rc = add(p, (struct weights_item){.t = t,
                                          .multiplier = multiplier,
                                          .linear = w,
                                          .bytes = layout_code_bytes(w),
                                          .scale_bytes = layout_scale_bytes(w)});
    if (rc)
        return rc;
    if (onebit) {
        snprintf(name, sizeof name, "%s.input_factor", stem);
        return add_vector(p, name, cols, true, &w->in_factor);
    }
    snprintf(name, sizeof name, "%s.norm.weight", stem);
    rc = add_vector(p, name, cols, true, &w->in_norm);
    snprintf(name, sizeof name, "%s.norm.bias", stem);
    return rc ? rc : add_vector(p, name, cols, true, &w->in_bias);
}

static int add_linear(struct planner *p, const char *stem, uint32_t rows, uint32_t cols,
                      struct linear *w)
{
    enum method_id method = p->m->hp.method;
    char name[96];
    const struct gguf_tensor *t, *multiplier;
    snprintf(name, sizeof name, "%s.weight", stem);
    int rc = find(p, name, rows, cols, true, &t);
    if (rc)
        return rc;
    if (method == METHOD_BILLM)
        return add_billm(p, stem, t, w);
    if (!t->quant->ternary && !is_float(t->quant))
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                         "tensor %s is %s, expected a ternary encoding (TQ1_0, TQ2_0, I2_S, IQ1_BN, "
                         "IQ2_BN, Q2_0, PQ2_0, PTQ1_0, Q1_0, HF_U8) or floats that hold ternary "
                         "values",
                         t->origin, t->quant->name);
    bool divides = false;
    rc = find_multiplier(p, stem, t, &multiplier, &divides);
    if (rc)
        return rc;
    if (method != METHOD_TERNARY)
        return add_signs(p, stem, t, multiplier, w);
    uint32_t group;
    rc = find_group(p, t, rows, cols, ROWS_SEEN, &group);
    if (rc)
        return rc;
    if (multiplier && group != cols)
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                         "tensor %s multiplies weights that have several scales a row",
                         multiplier->origin);
    layout_shape(w, p->opt->layout, rows, cols, group);
    rc = rotation_linear(p->g, &p->m->rotation, name, cols, &w->signs, p->err);
    if (rc)
        return rc;
    rc = add(p, (struct weights_item){.t = t,
                                      .multiplier = multiplier,
                                      .divides = divides,
                                      .linear = w,
                                      .bytes = layout_code_bytes(w),
                                      .scale_bytes = layout_scale_bytes(w)});
    if (rc || !p->m->hp.in_norms)
        return rc;
    snprintf(name, sizeof name, "%s_norm_in.weight", stem);
    return add_vector(p, name, cols, true, &w->in_rms);
}

/* Linears that read the same rows read them in the same basis. */
static int check_bases(struct planner *p, uint32_t i)
{
    const struct layer *l = &p->m->layers[i];
    const struct delta *d = &l->delta;
    const struct linear *same[][3] = {{&l->q, &l->k, &l->v}, {&l->gate, &l->up, &l->up}, {&d->qkv, &d->z, &d->z}};
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
        rc = rotation_linear(p->g, &m->rotation, "output.weight", m->hp.dim, &m->head_signs, p->err);
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
            rc = add_linear(p, name, rows, cols, (void *)(layer + r->linear));
        } else {
            snprintf(name, sizeof name, "blk.%u.%s%s", i, r->name, r->whole ? "" : ".weight");
            rc = r->matrix  ? add_matrix(p, name, rows, cols, (void *)(layer + r->vector))
                 : r->whole ? add_vector(p, name, cols, true, (void *)(layer + r->vector))
                            : add_norm(p, name, cols, (void *)(layer + r->vector));
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
    plan->tables = plain_table(opt, m);
    struct planner p = {g, opt, m, plan, err, 0};
    m->layers = mem_zalloc(m->hp.n_layers, sizeof *m->layers);
    if (!m->layers)
        return trit_fail(err, TRIT_ENOMEM, "no memory for %u layers", m->hp.n_layers);
    int rc = rotation_read(g, &m->rotation, err);
    if (rc == 0)
        rc = add_table(&p, "token_embd.weight", true, &m->embedding, &m->embedding_tiles);
    if (rc == 0 && m->arch->head == HEAD_OPTIONAL)
        rc = add_table(&p, "output.weight", false, &m->head, &m->head_tiles);
    else if (rc == 0 && gguf_tensor(g, "output.weight"))
        log_warn("tensor-ignored name=output.weight reason=\"%s ties its head\"", m->arch->name);
    if (rc == 0)
        rc = add_norm(&p, "output_norm.weight", m->hp.dim, &m->output_norm);
    if (rc == 0)
        rc = add_vector(&p, "rope_freqs.weight", m->hp.rope_dims / 2, false, &m->rope_freqs);
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
        } else if (it->salient) {
            *it->salient = payload + it->at;
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
