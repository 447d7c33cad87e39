/* SPDX-License-Identifier: MIT */
/*
 * weights-items.c - one item of the plan: its tensors found, checked, and given a place.
 *
 * What a tensor of each kind may be (vectors, matrices, tables, linears of each method), in which
 * encodings, with what beside it, and how its packed form is shaped.  Places are part of the
 * segment's format as their order is: see weights.c.
 *
 * Not here: which tensors there are (weights.c), how they are packed (pack.c).
 */
#include "config.h"
#include "model/weights-parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/gguf-private.h"
#include "model/quant.h"

/* Of a tensor, before its shape in memory is settled.  The rows of an embedding are less alike:
 * some belong to no token and are zero. */
enum {
    ROWS_SEEN = 4,
    VOCAB_ROWS_SEEN = 256,
    VOCAB_GROUP = 128, /* inputs that share a scale, at most, if a block has no more */
};

/* ------------------------------------------------------------------ a tensor and its place */

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
    if (!item.order)
        p->m->n_params += item.t->ne[0] * (item.t->n_dims > 1 ? item.t->ne[1] : 1);
    return 0;
}

static bool is_float(const struct quant_info *q)
{
    return q->type == QUANT_F32 || q->type == QUANT_F16 || q->type == QUANT_BF16;
}

/* ------------------------------------------------------------------ vectors and matrices */

int weights_add_vector(struct planner *p, const char *name, uint32_t n, bool required,
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

int weights_add_norm(struct planner *p, const char *name, uint32_t n, const float **dst)
{
    int rc = weights_add_vector(p, name, n, true, dst);
    if (rc == 0)
        p->plan->items[p->plan->n - 1].plus_one = p->m->arch->norms_less_one;
    return rc;
}

int weights_add_matrix(struct planner *p, const char *name, uint32_t rows, uint32_t cols,
                       const float **dst)
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

/* ------------------------------------------------------------------ scales */

/* Whether of every `run` blocks of a row all have the same scale.  Zeros agree with any. */
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

/* ------------------------------------------------------------------ embedding and head */

/* Embedding or head as tiles, as the file has it.  Its groups are blocks, whether or not more of
 * them agree: rows of tokens differ, and those that were looked at may be the ones that do not. */
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
enum table_type weights_plain_table(const struct model_options *opt, const struct model *m)
{
    if (opt->tables != TABLE_TERNARY)
        return opt->tables;
    return m->hp.embeds_only ? TABLE_F16 : TABLE_Q8;
}

int weights_add_table(struct planner *p, const char *name, bool required, struct table *table,
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
    table_shape(table, weights_plain_table(p->opt, p->m), hp->vocab, hp->dim);
    return add(p, (struct weights_item){.t = t,
                                        .table = table,
                                        .bytes = table_data_bytes(table),
                                        .scale_bytes = table_scale_bytes(table)});
}

/* ------------------------------------------------------------------ linears */

/* What a file has beside a linear: "<stem>.scale" multiplies its outputs, "<stem>.divisor" (ours,
 * of Hugging Face folders) divides them. */
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

/* A linear of METHOD_BILLM: two planes, the levels, and which columns are salient. */
static int add_billm(struct planner *p, const char *stem, const struct gguf_tensor *t,
                     struct linear *w)
{
    uint32_t rows = (uint32_t)t->ne[1], cols = (uint32_t)t->ne[0];
    char name[96];
    const struct gguf_tensor *second, *salient, *levels;
    if (cols % BILLM_BLOCK != 0)
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                         "tensor %s has %u columns, expected a multiple of %d", t->origin, cols,
                         BILLM_BLOCK);
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
    rc = add(p, (struct weights_item){.t = salient, .order = w, .bytes = cols + w->n_groups});
    return rc ? rc
              : add(p, (struct weights_item){.t = t,
                                             .second = second,
                                             .levels = levels,
                                             .linear = w,
                                             .bytes = layout_code_bytes(w),
                                             .scale_bytes = layout_scale_bytes(w),
                                             .order_at = p->plan->items[p->plan->n - 1].at});
}

/* A linear of METHOD_ONEBIT or METHOD_B1, and what stands around it. */
static int add_signs(struct planner *p, const char *stem, const struct gguf_tensor *t,
                     const struct gguf_tensor *multiplier, struct linear *w)
{
    bool onebit = p->m->hp.method == METHOD_ONEBIT;
    uint32_t cols = (uint32_t)t->ne[0];
    char name[96];
    if (t->type != QUANT_SIGNS && !is_float(t->quant))
        return gguf_fail(p->g, p->err, TRIT_EUNSUPP,
                         "tensor %s is %s, expected I8, F32, F16 or BF16", t->origin,
                         t->quant->name);
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
        return weights_add_vector(p, name, cols, true, &w->in_factor);
    }
    snprintf(name, sizeof name, "%s.norm.weight", stem);
    rc = weights_add_vector(p, name, cols, true, &w->in_norm);
    snprintf(name, sizeof name, "%s.norm.bias", stem);
    return rc ? rc : weights_add_vector(p, name, cols, true, &w->in_bias);
}

int weights_add_linear(struct planner *p, const char *stem, uint32_t rows, uint32_t cols,
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
                         "tensor %s is %s, expected a ternary encoding (TQ1_0, TQ2_0, I2_S, "
                         "IQ1_BN, IQ2_BN, Q2_0, PQ2_0, PTQ1_0, Q1_0, HF_U8) or floats that hold "
                         "ternary values",
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
    return weights_add_vector(p, name, cols, true, &w->in_rms);
}
