/* SPDX-License-Identifier: MIT */
/*
 * float-model.c - reading the weights of float-model.h from a file.
 *
 * Not here: running them (float-run.c).
 */
#include "config.h"
#include "float-model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/gguf.h"
#include "model/load-parts.h"
#include "model/quant.h"
#include "model/tokenizer.h"

static const char *const names[LINEARS] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                           "ffn_gate", "ffn_up", "ffn_down"};

const char *linear_name(unsigned i)
{
    return names[i];
}

/* One row of any encoding with whole blocks. */
static int decode(const struct gguf *g, const struct gguf_tensor *t, uint64_t row, uint8_t *raw,
                  int8_t *trits, float *scales, float *dst, struct trit_error *err)
{
    const struct quant_info *q = t->quant;
    size_t cols = t->ne[0], bytes = cols / q->block_values * q->block_bytes;
    int rc = gguf_read(g, t, row * bytes, raw, bytes, err);
    if (rc)
        return rc;
    if (!q->ternary)
        quant_floats(q, raw, dst, cols);
    else if (quant_trits(q, raw, trits, scales, cols) != 0)
        return trit_fail(err, TRIT_EFORMAT, "%s: tensor %s: a code that is no trit", gguf_path(g),
                         t->origin);
    for (size_t i = 0; i < cols; i++) {
        if (q->ternary)
            dst[i] = (float)trits[i] * scales[i / q->block_values];
        if (!isfinite(dst[i]))
            return trit_fail(err, TRIT_EFORMAT,
                             "%s: tensor %s, row %llu: a value that is not finite", gguf_path(g),
                             t->origin, (unsigned long long)row);
    }
    return 0;
}

static int find(const struct gguf *g, const char *name, uint64_t rows, uint64_t cols,
                const struct gguf_tensor **out, struct trit_error *err)
{
    const struct gguf_tensor *t = *out = gguf_tensor(g, name);
    if (!t)
        return trit_fail(err, TRIT_EFORMAT, "%s: tensor %s is missing", gguf_path(g), name);
    if (t->n_dims > 2 || t->ne[0] != cols || t->ne[1] != rows)
        return trit_fail(err, TRIT_EFORMAT, "%s: tensor %s is [%llu, %llu], expected [%llu, %llu]",
                         gguf_path(g), t->origin, (unsigned long long)t->ne[0],
                         (unsigned long long)t->ne[1], (unsigned long long)cols,
                         (unsigned long long)rows);
    if (!t->quant || !t->quant->block_bytes || t->type == QUANT_SIGNS)
        return trit_fail(err, TRIT_EUNSUPP, "%s: tensor %s is %s, expected F32, F16 or BF16",
                         gguf_path(g), t->origin, t->quant ? t->quant->name : "of an unknown type");
    return 0;
}

/* All rows of a matrix; dst [rows][cols]. */
static int read_matrix(const struct gguf *g, const char *name, uint64_t rows, uint64_t cols,
                       uint64_t first, uint64_t n, float *dst, struct trit_error *err)
{
    const struct gguf_tensor *t;
    int rc = find(g, name, rows, cols, &t, err);
    if (rc)
        return rc;
    uint8_t *raw = mem_zalloc(cols, sizeof(float));
    int8_t *trits = mem_zalloc(cols, 1);
    float *scales = mem_zalloc(cols, sizeof *scales);
    if (!raw || !trits || !scales)
        rc = trit_fail(err, TRIT_ENOMEM, "%s: out of memory", gguf_path(g));
    for (uint64_t r = 0; rc == 0 && r < n; r++)
        rc = decode(g, t, first + r, raw, trits, scales, dst + r * cols, err);
    mem_free(raw);
    mem_free(trits);
    mem_free(scales);
    return rc;
}

int float_row(const struct gguf *g, const char *name, uint64_t row, float *dst,
              struct trit_error *err)
{
    const struct gguf_tensor *t = gguf_tensor(g, name);
    if (!t)
        return trit_fail(err, TRIT_EFORMAT, "%s: tensor %s is missing", gguf_path(g), name);
    return read_matrix(g, name, t->ne[1], t->ne[0], row, 1, dst, err);
}

/* A vector of n floats into *dst, which is allocated once. */
static int read_vector(const struct float_model *f, const char *name, uint32_t n, float **dst,
                       struct trit_error *err)
{
    if (!*dst && !(*dst = mem_zalloc(n, sizeof **dst)))
        return trit_fail(err, TRIT_ENOMEM, "%s: out of memory", gguf_path(f->g));
    return read_matrix(f->g, name, 1, n, 0, 1, *dst, err);
}

/* Scales beside a matrix would change what it is. */
static int refuse_scales(const struct gguf *g, uint32_t layer, const char *linear,
                         struct trit_error *err)
{
    static const char *const ends[] = {"scale", "divisor"};
    char name[64];
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof name, "blk.%u.%s.%s", layer, linear, ends[i]);
        if (gguf_tensor(g, name))
            return trit_fail(err, TRIT_EUNSUPP,
                             "%s: tensor %s: found a quantised model, expected one in floats",
                             gguf_path(g), gguf_tensor(g, name)->origin);
    }
    return 0;
}

int float_model_layer(struct float_model *f, uint32_t i, struct trit_error *err)
{
    const struct hparams *hp = &f->m.hp;
    const struct arch *a = f->m.arch;
    struct float_layer *l = &f->layer;
    uint32_t q_dim = hp->n_heads * hp->head_dim;
    const struct {
        const char *name;
        float **dst;
        uint32_t n;
        bool there;
    } vectors[] = {
        {"attn_norm", &l->attn_norm, hp->dim, true},
        {"ffn_norm", &l->ffn_norm, hp->dim, true},
        {"attn_sub_norm", &l->attn_sub_norm, q_dim, a->sub_norms},
        {"ffn_sub_norm", &l->ffn_sub_norm, hp->ffn, a->sub_norms},
        {"attn_q_norm", &l->q_norm, hp->head_dim, a->qk_norms},
        {"attn_k_norm", &l->k_norm, hp->head_dim, a->qk_norms},
    };
    char name[64];
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < ARRAY_LEN(vectors); k++) {
        snprintf(name, sizeof name, "blk.%u.%s.weight", i, vectors[k].name);
        if (vectors[k].there)
            rc = read_vector(f, name, vectors[k].n, vectors[k].dst, err);
    }
    for (unsigned k = 0; rc == 0 && k < LINEARS; k++) {
        struct matrix *w = &l->linear[k];
        snprintf(name, sizeof name, "blk.%u.%s.weight", i, names[k]);
        rc = refuse_scales(f->g, i, names[k], err);
        if (rc == 0)
            rc = read_matrix(f->g, name, w->rows, w->cols, 0, w->rows, w->w, err);
    }
    return rc;
}

int float_model_open(struct float_model *f, const struct gguf *g, struct trit_error *err)
{
    *f = (struct float_model){.g = g};
    int rc = hparams_read(g, &f->m, err);
    const struct hparams *hp = &f->m.hp;
    if (rc == 0 && hp->method != METHOD_TERNARY)
        rc = trit_fail(err, TRIT_EUNSUPP, "%s: tritd.method is %s: it is quantised already",
                       gguf_path(g), method_name(hp->method));
    if (rc == 0 && (hp->in_norms || f->m.arch->post_norms))
        rc = trit_fail(err, TRIT_EUNSUPP, "%s: floats of %s are not run here, only by tritd",
                       gguf_path(g),
                       hp->in_norms ? "linears with norms of their own" : f->m.arch->name);
    if (rc == 0 && gguf_has(g, "prism.hadamard.version"))
        rc = trit_fail(err, TRIT_EUNSUPP, "%s: weights in a rotated basis are not run in floats",
                       gguf_path(g));
    if (rc == 0 && f->m.arch->hybrid)
        rc = trit_fail(err, TRIT_EUNSUPP, "%s: models of architecture %s are not run in floats",
                       gguf_path(g), f->m.arch->name);
    const struct gguf_tensor *q = gguf_tensor(g, "blk.0.attn_q.weight");
    if (rc == 0 && hp->absmean && q && q->quant && !q->quant->ternary)
        rc = trit_fail(err, TRIT_EUNSUPP,
                       "%s: floats of architecture %s are the master weights of a ternary model, "
                       "expected weights that are used as they are",
                       gguf_path(g), f->m.arch->name);
    if (rc)
        return rc;
    uint32_t q_dim = hp->n_heads * hp->head_dim, kv_dim = hp->n_kv_heads * hp->head_dim;
    if (MAX(MAX(hp->dim, hp->ffn), q_dim) > TABLE_COLS_MAX)
        return trit_fail(err, TRIT_EUNSUPP, "%s: rows of more than %d values", gguf_path(g),
                         TABLE_COLS_MAX);
    f->k = kernels_pick(kernels_cpu_detect());
    const uint32_t shapes[LINEARS][2] = {{q_dim, hp->dim},  {kv_dim, hp->dim},  {kv_dim, hp->dim},
                                         {hp->dim, q_dim},  {hp->ffn, hp->dim}, {hp->ffn, hp->dim},
                                         {hp->dim, hp->ffn}};
    f->freq = mem_zalloc(hp->rope_dims / 2, sizeof *f->freq);
    bool there = f->freq;
    for (unsigned k = 0; k < LINEARS; k++) {
        struct matrix *w = &f->layer.linear[k];
        *w = (struct matrix){.rows = shapes[k][0], .cols = shapes[k][1]};
        w->w = mem_zalloc((size_t)w->rows * w->cols, sizeof *w->w);
        there = there && w->w;
    }
    if (!there)
        return trit_fail(err, TRIT_ENOMEM, "%s: no memory for a layer in floats", gguf_path(g));
    if (gguf_tensor(g, "rope_freqs.weight") &&
        (rc = read_vector(f, "rope_freqs.weight", hp->rope_dims / 2, &f->rope_freqs, err)))
        return rc;
    f->m.rope_freqs = f->rope_freqs;
    f->rope_size = model_rope(&f->m, false, f->freq);
    rc = tok_open(g, hp->vocab, &f->tok, err);
    return rc ? rc : team_open(&f->team, team_usable_cpus(), false, err);
}

void float_model_close(struct float_model *f)
{
    struct float_layer *l = &f->layer;
    for (unsigned k = 0; k < LINEARS; k++)
        mem_free(l->linear[k].w);
    mem_free(l->attn_norm);
    mem_free(l->ffn_norm);
    mem_free(l->attn_sub_norm);
    mem_free(l->ffn_sub_norm);
    mem_free(l->q_norm);
    mem_free(l->k_norm);
    mem_free(f->halves);
    mem_free(f->padded);
    mem_free(f->rope_freqs);
    mem_free(f->freq);
    tok_close(&f->tok);
    if (f->team)
        team_close(&f->team);
    *f = (struct float_model){.team = NULL};
}
