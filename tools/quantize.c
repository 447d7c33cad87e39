/* SPDX-License-Identifier: MIT */
/*
 * quantize.c - the ternary linears of a GGUF file, or of a folder that is like one, in another
 * encoding, and its embedding and head where that is asked for.
 *
 * From one ternary encoding to another the trits stay what they are.  A matrix of floats that holds
 * only -s, 0 and s is taken as it is; any other is master weights and goes through absmean.  All
 * else in the file, metadata and tensors, is copied byte for byte, but for the number that says
 * which encoding the linears have.  Of a folder norms become F32, as GGUF's readers have them.
 *
 * Not here: the metadata (quantize-keys.c), the command line (quantize-options.c), methods that are
 * not ternary (method.c).
 */
#include "config.h"
#include "quantize.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/arch.h"
#include "model/quant.h"
#include "tool.h"

static void write_q2(const int8_t *trits, float scale, void *dst, size_t n)
{
    quant_write_q2(quant_find(QUANT_Q2_0), trits, scale, dst, n);
}

static void write_pq2(const int8_t *trits, float scale, void *dst, size_t n)
{
    quant_write_q2(quant_find(QUANT_PQ2_0), trits, scale, dst, n);
}

// clang-format off
static const struct quantize_target {
    const char *name;
    uint32_t type, file_type; /* file_type: llama.cpp's and bitnet.cpp's number; 0: it is left out */
    void (*write)(const int8_t *trits, float scale, void *dst, size_t n); /* blocks, or a tensor */
} types[] = {
    {"tq1_0",  QUANT_TQ1_0,  36, quant_write_tq1},
    {"tq2_0",  QUANT_TQ2_0,  37, quant_write_tq2},
    {"i2_s",   QUANT_I2_S,   40, quant_write_i2s},
    {"q2_0",   QUANT_Q2_0,    0, write_q2},
    {"pq2_0",  QUANT_PQ2_0,   0, write_pq2},
    {"ptq1_0", QUANT_PTQ1_0,  0, quant_write_ptq1},
};

/* What --embedding may say beside "keep".  A value as large as `limit` would come back infinite. */
static const struct quantize_embedding {
    const char *name;
    uint32_t type;
    float limit;
    void (*write)(const float *x, void *dst, size_t n);
} embeddings[] = {
    {"f32",  QUANT_F32,  INFINITY,    quant_write_f32},
    {"f16",  QUANT_F16,  65520,       quant_write_f16},
    {"q8_0", QUANT_Q8_0, 127 * 65520, quant_write_q8_0},
};
// clang-format on

const struct quantize_target *quantize_target(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const struct quantize_embedding *quantize_embedding(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++)
        if (strcmp(embeddings[i].name, name) == 0)
            return &embeddings[i];
    return NULL;
}

struct job {
    const struct gguf *g;
    struct gguf_writer *w;
    const struct quantize_target *target;
    const struct quant_info *to;                /* its encoding */
    const struct quantize_embedding *embedding; /* NULL: it stays what it is */
    bool master; /* floats that are not ternary may be master weights */
    struct trit_error *err;
    unsigned char *bytes; /* one piece, encoded */
    int8_t *trits;        /* and as trits, where the source has floats */
    unsigned linears, absmean, rounded, tables, likewise;
    const struct gguf_tensor *rounded_last;
    double worst; /* relative error of a scale that binary16 could not hold */
    uint64_t done;
};

/* How the floats of a tensor become trits. */
struct plan {
    float scale;
    bool exact; /* they are -scale, 0, scale already */
};

/* The token embedding, and the output head of a file that has one of its own. */
static bool is_table(const struct gguf_tensor *t)
{
    return t->n_dims == 2 &&
           (strcmp(t->name, "token_embd.weight") == 0 || strcmp(t->name, "output.weight") == 0);
}

/* Who writes a tensor as floats, or something like it; NULL: nobody.  Norms of folders are what
 * GGUF's readers expect of them. */
static const struct quantize_embedding *writer(const struct job *j, const struct gguf_tensor *t)
{
    if (is_table(t))
        return j->embedding;
    return !gguf_version(j->g) && t->n_dims == 1 ? quantize_embedding("f32") : NULL;
}

/* The encoding that a tensor is to have; NULL: its own.  Ternary floats are so in the file too. */
static const struct quant_info *target(const struct job *j, const struct gguf_tensor *t)
{
    const struct quantize_embedding *e = writer(j, t);
    if (tool_is_linear(t) || (!e && t->quant && quant_of_floats(t->quant)))
        return j->to;
    return e ? quant_find(e->type) : NULL;
}

/* Can it be made from what is there?  Types without a decoder are an error, not a copy. */
static int check_source(const struct job *j, const struct gguf_tensor *t,
                        const struct quant_info *to)
{
    if (!to)
        return t->quant ? 0
                        : trit_fail(j->err, TRIT_EUNSUPP,
                                    "%s: tensor %s: type %" PRIu32 " is not supported",
                                    gguf_path(j->g), t->name, t->type);
    const char *found = t->quant ? t->quant->name : "an unknown type";
    if (to->ternary && (!t->quant || (!t->quant->ternary && t->quant->block_values > 1)))
        return trit_fail(j->err, TRIT_EUNSUPP,
                         "%s: tensor %s: found %s, expected floats or a ternary encoding",
                         gguf_path(j->g), t->name, found);
    if (!to->ternary && (!t->quant || t->quant->ternary))
        return trit_fail(j->err, TRIT_EUNSUPP,
                         "%s: tensor %s: found %s, expected F32, F16, BF16, Q8_0, Q6_K, Q4_0 or "
                         "Q4_K",
                         gguf_path(j->g), t->name, found);
    return 0;
}

/* Bytes of a tensor in its new encoding. */
static int sized(const struct job *j, const struct gguf_tensor *t, const struct quant_info *to,
                 uint64_t *bytes)
{
    int rc = quant_tensor_bytes(to, t->ne[1], t->ne[0], bytes);
    if (rc == 0)
        return 0;
    if (!to->ternary)
        return trit_fail(j->err, -rc,
                         "%s: tensor %s: found rows of %" PRIu64 " values, expected a multiple of "
                         "%" PRIu32 ", the block of %s; use --embedding f16 or keep",
                         gguf_path(j->g), t->name, t->ne[0], to->block_values, to->name);
    return trit_fail(j->err, -rc,
                     "%s: tensor %s: %" PRIu64 " rows of %" PRIu64
                     " values are not whole blocks of %s%s",
                     gguf_path(j->g), t->name, t->ne[1], t->ne[0], to->name,
                     to->block_bytes ? "; use --type i2_s" : "");
}

static int declare(struct job *j)
{
    int rc = 0;
    for (size_t i = 0; i < gguf_n_tensors(j->g) && rc == 0; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(j->g, i);
        const struct quant_info *to = target(j, t);
        uint64_t bytes = t->bytes;
        rc = check_source(j, t, to);
        if (rc == 0 && to)
            rc = sized(j, t, to, &bytes);
        if (rc == 0)
            gguf_write_tensor(j->w, t->name, t->n_dims, t->ne, to ? to->type : t->type, bytes);
        j->linears += tool_is_linear(t);
        j->tables += j->embedding && is_table(t);
        j->likewise += to == j->to && is_table(t);
    }
    if (rc == 0 && j->linears == 0)
        rc = trit_fail(j->err, TRIT_EFORMAT,
                       "%s: no layer found: expected tensors such as blk.0.attn_q.weight",
                       gguf_path(j->g));
    const struct gguf_tensor *embedding = gguf_tensor(j->g, "token_embd.weight");
    if (rc == 0 && j->embedding && !(embedding && is_table(embedding)))
        rc = trit_fail(j->err, TRIT_EFORMAT,
                       "%s: no embedding found: expected the matrix token_embd.weight; without "
                       "--embedding the rest can be written",
                       gguf_path(j->g));
    return rc;
}

static int copy_tensor(struct job *j, const struct gguf_tensor *t)
{
    for (uint64_t at = 0; at < t->bytes; at += TENSOR_PIECE) {
        size_t n = MIN(t->bytes - at, (uint64_t)TENSOR_PIECE);
        int rc = gguf_read(j->g, t, at, j->bytes, n, j->err);
        if (rc == 0)
            rc = gguf_write_data(j->w, j->bytes, n, j->err);
        if (rc)
            return rc;
    }
    return 0;
}

/* Look at every value of a float matrix once. */
static int plan_floats(struct job *j, struct tensor_reader *w, struct plan *p)
{
    struct quant_absmean mean = {0};
    int rc;
    *p = (struct plan){0};
    while (rc = tensor_reader_next(w, j->err), rc == 0 && w->n) {
        for (size_t i = 0; i < w->n; i++) {
            if (!isfinite(w->floats[i]))
                return trit_fail(j->err, TRIT_EFORMAT,
                                 "%s: tensor %s: found %g, expected a finite number",
                                 gguf_path(j->g), w->t->name, (double)w->floats[i]);
        }
        quant_absmean_add(&mean, w->floats, w->n);
    }
    tensor_reader_rewind(w);
    p->exact = quant_absmean_exact(&mean, &p->scale);
    if (rc || p->exact)
        return rc;
    if (!j->master)
        return trit_fail(j->err, TRIT_EUNSUPP,
                         "%s: tensor %s: the values are not -s, 0 and s, so this is no ternary "
                         "model; with --absmean they are taken for the master weights of one",
                         gguf_path(j->g), w->t->name);
    p->scale = quant_absmean_scale(&mean);
    return 0;
}

static bool all_zero(const int8_t *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t[i])
            return false;
    return true;
}

/* I2_S has one scale for the tensor.  Blocks of zeros may say what they like. */
static int plan_i2s(struct job *j, struct tensor_reader *w, float *scale)
{
    int rc;
    *scale = 0;
    while (rc = tensor_reader_next(w, j->err), rc == 0 && w->n) {
        size_t block = w->n / w->n_scales;
        for (size_t i = 0; i < w->n_scales; i++) {
            if (all_zero(w->trits + i * block, block) || w->scales[i] == *scale)
                continue;
            if (*scale != 0)
                return trit_fail(j->err, TRIT_EUNSUPP,
                                 "%s: tensor %s: found the scales %g and %g, expected one for the "
                                 "whole tensor, as I2_S has it; use tq1_0 or tq2_0",
                                 gguf_path(j->g), w->t->name, (double)*scale, (double)w->scales[i]);
            *scale = w->scales[i];
        }
    }
    tensor_reader_rewind(w);
    return rc;
}

static int check_scale(struct job *j, const struct tensor_reader *w, float scale)
{
    if (!isfinite(scale))
        return trit_fail(j->err, TRIT_EFORMAT, "%s: tensor %s: scale %g, expected a finite number",
                         gguf_path(j->g), w->t->name, (double)scale);
    if (!j->to->block_bytes || scale == 0)
        return 0;
    float kept = quant_f16_to_f32(quant_f32_to_f16(scale));
    /* Below 2^-14 binary16 loses digits quickly, above 65504 it has none. */
    if (!isfinite(kept) || fabsf(scale) < 0x1p-14f)
        return trit_fail(j->err, TRIT_EUNSUPP,
                         "%s: tensor %s: scale %g does not fit the binary16 scale of %s; use i2_s",
                         gguf_path(j->g), w->t->name, (double)scale, j->to->name);
    double off = fabs((double)kept - (double)scale) / fabs((double)scale);
    j->worst = fmax(j->worst, off);
    j->rounded += off > 0 && j->rounded_last != w->t;
    j->rounded_last = off > 0 ? w->t : j->rounded_last;
    return 0;
}

/* The scale of the block [at, at + n) of a piece whose scales are for `run` values each: the one
 * that all of it shares.  Runs of zeros may say what they like. */
static int shared_scale(struct job *j, const struct tensor_reader *w, const int8_t *trits,
                        const float *scales, size_t run, size_t at, size_t n, float *scale)
{
    *scale = 0;
    for (size_t from = at; from < at + n;) {
        size_t k = from / run, to = MIN((k + 1) * run, at + n);
        bool counts = scales[k] != 0 && scales[k] != *scale && !all_zero(trits + from, to - from);
        if (counts && *scale != 0)
            return trit_fail(
                j->err, TRIT_EUNSUPP,
                "%s: tensor %s: found the scales %g and %g within %zu weights, of which "
                "%s has one; use pq2_0, ptq1_0 or q2_0",
                gguf_path(j->g), w->t->name, (double)*scale, (double)scales[k], n, j->to->name);
        *scale = counts ? scales[k] : *scale;
        from = to;
    }
    return 0;
}

/* Encode one piece.  scales: one for each run of as many values, or one for all. */
static int write_piece(struct job *j, const struct tensor_reader *w, const int8_t *trits,
                       const float *scales, size_t n_scales)
{
    size_t block = j->to->block_values, len = 0;
    if (!j->to->block_bytes) {
        int rc = check_scale(j, w, scales[0]);
        if (rc)
            return rc;
        j->target->write(trits, scales[0], j->bytes, w->n);
        len = w->n / 4 + (w->at + w->n == w->total ? 32 : 0);
        return gguf_write_data(j->w, j->bytes, len, j->err);
    }
    for (size_t at = 0; at < w->n; at += block) {
        float scale;
        int rc = shared_scale(j, w, trits, scales, w->n / n_scales, at, block, &scale);
        if (rc == 0)
            rc = check_scale(j, w, scale);
        if (rc)
            return rc;
        j->target->write(trits + at, scale, j->bytes + len, block);
        len += j->to->block_bytes;
    }
    return gguf_write_data(j->w, j->bytes, len, j->err);
}

static int encode_linear(struct job *j, struct tensor_reader *w)
{
    bool floats = !w->t->quant->ternary, one = floats || !j->to->block_bytes;
    struct plan p = {0};
    int rc = 0;
    if (floats)
        rc = plan_floats(j, w, &p);
    else if (!j->to->block_bytes)
        rc = plan_i2s(j, w, &p.scale);
    if (rc)
        return rc;
    j->absmean += floats && !p.exact;
    while (rc == 0 && (rc = tensor_reader_next(w, j->err)) == 0 && w->n) {
        if (floats)
            quant_absmean_trits(p.scale, w->floats, j->trits, w->n);
        rc = write_piece(j, w, floats ? j->trits : w->trits, one ? &p.scale : w->scales,
                         one ? 1 : w->n_scales);
    }
    return rc;
}

/* Value i of the piece is no number, or larger than the new encoding can say. */
static int bad_value(struct job *j, const struct tensor_reader *w,
                     const struct quantize_embedding *e, size_t i)
{
    uint64_t row = (w->at + i) / w->t->ne[0], col = (w->at + i) % w->t->ne[0];
    double found = (double)w->floats[i];
    if (!isfinite(found))
        return trit_fail(j->err, TRIT_EFORMAT,
                         "%s: tensor %s: found %g at row %" PRIu64 ", column %" PRIu64
                         ", expected a finite number",
                         gguf_path(j->g), w->t->name, found, row, col);
    return trit_fail(j->err, TRIT_EUNSUPP,
                     "%s: tensor %s: found %g at row %" PRIu64 ", column %" PRIu64
                     ", expected a size below %.0f, which %s can hold; use --embedding f32",
                     gguf_path(j->g), w->t->name, found, row, col, (double)e->limit,
                     quant_find(e->type)->name);
}

/* Rows are whole blocks, and so are pieces: no block sees the values of two rows. */
static int encode_table(struct job *j, struct tensor_reader *w)
{
    const struct quantize_embedding *e = writer(j, w->t);
    const struct quant_info *to = quant_find(e->type);
    int rc = 0;
    while (rc == 0 && (rc = tensor_reader_next(w, j->err)) == 0 && w->n) {
        for (size_t i = 0; i < w->n; i++)
            if (!(fabsf(w->floats[i]) < e->limit))
                return bad_value(j, w, e, i);
        e->write(w->floats, j->bytes, w->n);
        rc = gguf_write_data(j->w, j->bytes, w->n / to->block_values * to->block_bytes, j->err);
    }
    return rc;
}

static int write_tensors(struct job *j)
{
    int rc = 0;
    for (size_t i = 0; i < gguf_n_tensors(j->g) && rc == 0; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(j->g, i);
        log_progress("writing %s  %.0f %%", t->name,
                     100.0 * (double)j->done / (double)gguf_file_bytes(j->g));
        j->done += t->bytes;
        const struct quant_info *to = target(j, t);
        if (!to || t->quant == to) {
            rc = copy_tensor(j, t);
            continue;
        }
        struct tensor_reader w;
        rc = tensor_reader_open(&w, j->g, t, j->err);
        if (rc == 0) {
            rc = to->ternary ? encode_linear(j, &w) : encode_table(j, &w);
            tensor_reader_close(&w);
        }
    }
    log_progress(NULL);
    return rc;
}

static void report(const struct job *j, const char *out)
{
    printf("%s: %u linear layers as %s", out, j->linears, j->to->name);
    if (j->absmean)
        printf(", %u of them rounded from master weights by absmean", j->absmean);
    if (j->embedding)
        printf("; the embedding%s as %s", j->tables > 1 ? " and the head" : "",
               quant_find(j->embedding->type)->name);
    else if (j->likewise)
        printf(", the embedding%s likewise", j->likewise > 1 ? " and the head" : "");
    putchar('\n');
    if (j->worst > 0)
        printf("the binary16 scales of %s are off by at most %.2g of their value in %u layers; "
               "the trits are exact\n",
               j->to->name, j->worst, j->rounded);
}

/* Whether a folder is, but for names, what a GGUF file has: rows in the same order, norms alike. */
static int check_folder(const struct job *j, const struct arch *arch)
{
    if (arch && arch->of_folders)
        return trit_fail(j->err, TRIT_EUNSUPP,
                         "%s: a folder of architecture %s, whose matrices lie otherwise in GGUF; "
                         "expected one of qwen3 or bitnet",
                         gguf_path(j->g), arch->name);
    for (size_t i = 0; i < gguf_n_tensors(j->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(j->g, i);
        size_t len = strlen(t->name);
        if (len > 8 && strcmp(t->name + len - 8, ".divisor") == 0)
            return trit_fail(j->err, TRIT_EUNSUPP,
                             "%s: tensor %s divides a layer, which no GGUF file has",
                             gguf_path(j->g), t->origin);
    }
    return 0;
}

int quantize_run(const struct quantize_wish *wish, struct trit_error *err)
{
    struct job job = {.target = wish->target,
                      .to = quant_find(wish->target->type),
                      .embedding = wish->embedding,
                      .master = wish->master,
                      .err = err},
               *j = &job;
    const char *in = wish->in, *out = wish->out;
    char note[200] = "";
    struct gguf *g = NULL;
    int rc = reading_open(&wish->how, in, &g, note, j->err);
    if (*note)
        printf("%s: %s\n", in, note);
    j->g = g;
    if (rc == 0 && gguf_has(g, "tritd.method"))
        rc = trit_fail(j->err, TRIT_EUNSUPP,
                       "%s: tritd.method: found a model of another method, expected a ternary one",
                       in);
    if (rc == 0) {
        struct gguf_str name = {0};
        (void)gguf_string(g, "general.architecture", &name, NULL);
        const struct arch *arch = arch_find(name.data, name.len);
        if (!gguf_version(g))
            rc = check_folder(j, arch);
        j->master = j->master || (arch && arch->absmean);
        j->bytes = mem_zalloc(TENSOR_PIECE, sizeof(float)); /* a table may become F32 */
        j->trits = mem_zalloc(TENSOR_PIECE, 1);
        if (rc == 0 && (!j->bytes || !j->trits))
            rc = trit_fail(j->err, TRIT_ENOMEM, "out of memory");
    }
    if (rc == 0)
        rc = gguf_write_open(out, &j->w, j->err);
    if (rc == 0)
        rc = quantize_keys(g, j->w, j->target->file_type, j->err);
    if (rc == 0)
        rc = declare(j);
    if (rc == 0)
        rc = gguf_write_begin(j->w, j->err);
    if (rc == 0)
        rc = write_tensors(j);
    if (rc == 0)
        rc = gguf_write_finish(j->w, j->err);
    gguf_write_close(&j->w);
    mem_free(j->bytes);
    mem_free(j->trits);
    if (rc == 0)
        report(j, out);
    gguf_close(&g);
    return rc;
}
