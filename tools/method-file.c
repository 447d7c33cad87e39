/* SPDX-License-Identifier: MIT */
/*
 * method-file.c - what `trit-model quantize` writes for a method: what the source says of itself,
 * its tensors but the linears, and the parts of those.
 */
#include "config.h"
#include "method-parts.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/quant.h"
#include "tool.h"

/* ------------------------------------------------------------------ the head of the file */

/* Not those that say how the source was stored.  What tritd.tokenizer.* says of the text side of a
 * folder is kept: without it the tokens would be others. */
static bool is_kept(const char *key)
{
    static const char *const not [] = {"general.file_type", "general.master_weights",
                                       "general.alignment"};
    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        if (strcmp(key, not [i]) == 0)
            return false;
    if (strncmp(key, "tritd.tokenizer.", 16) == 0)
        return true;
    return strncmp(key, "tritd.", 6) != 0 && strncmp(key, "split.", 6) != 0;
}

/* Of a folder, whose values have no bytes to copy. */
static int write_array(struct method_job *j, const char *key, enum gguf_type elem)
{
    struct gguf_strs texts;
    const int32_t *ints;
    const float *floats;
    size_t n;
    int rc;
    if (elem == GGUF_STRING) {
        if ((rc = gguf_strings(j->g, key, &texts, j->err)))
            return rc;
        gguf_write_strings(j->w, key, texts.n);
        for (size_t i = 0; i < texts.n; i++) {
            struct gguf_str s = gguf_str_at(&texts, i);
            gguf_write_element(j->w, s.data, s.len);
        }
    } else if (elem == GGUF_F32) {
        if ((rc = gguf_floats(j->g, key, &floats, &n, j->err)))
            return rc;
        gguf_write_f32s(j->w, key, floats, n);
    } else {
        if ((rc = gguf_ints(j->g, key, &ints, &n, j->err)))
            return rc;
        gguf_write_i32s(j->w, key, ints, n);
    }
    return 0;
}

static int write_text(struct method_job *j, const char *key)
{
    struct gguf_str text;
    struct buf pair = {0};
    int rc = gguf_string(j->g, key, &text, j->err);
    if (rc)
        return rc;
    gguf_put_key(&pair, key, GGUF_STRING);
    gguf_put_text(&pair, text.data, text.len);
    gguf_write_pair(j->w, pair.data, pair.len);
    rc = pair.failed ? trit_fail(j->err, TRIT_ENOMEM, "out of memory") : 0;
    buf_free(&pair);
    return rc;
}

static int write_value(struct method_job *j, size_t i)
{
    const struct gguf *g = j->g;
    const char *key = gguf_key_at(g, i);
    enum gguf_type elem, type = gguf_type_at(g, i, &elem, &(size_t){0});
    uint64_t v;
    double d;
    bool b;
    int rc;
    switch (type) {
    case GGUF_ARRAY:
        return write_array(j, key, elem);
    case GGUF_STRING:
        return write_text(j, key);
    case GGUF_BOOL:
        if ((rc = gguf_bool(g, key, &b, j->err)) == 0)
            gguf_write_bool(j->w, key, b);
        return rc;
    case GGUF_F32:
    case GGUF_F64:
        if ((rc = gguf_float(g, key, &d, j->err)) == 0)
            gguf_write_f32(j->w, key, (float)d);
        return rc;
    default:
        if ((rc = gguf_uint(g, key, &v, j->err)) == 0)
            gguf_write_u32(j->w, key, (uint32_t)MIN(v, (uint64_t)UINT32_MAX));
        return rc;
    }
}

static int write_pair(struct method_job *j, size_t i)
{
    if (gguf_version(j->g) == 0)
        return write_value(j, i);
    size_t len = gguf_pair_bytes(j->g, i);
    uint8_t *bytes = mem_zalloc(len, 1);
    int rc = bytes ? gguf_read_pair(j->g, i, bytes, j->err)
                   : trit_fail(j->err, TRIT_ENOMEM, "out of memory");
    if (rc == 0)
        gguf_write_pair(j->w, bytes, len);
    mem_free(bytes);
    return rc;
}

int method_write_head(struct method_job *j)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < gguf_n_keys(j->g); i++)
        if (is_kept(gguf_key_at(j->g, i)))
            rc = write_pair(j, i);
    gguf_write_u32(j->w, "general.alignment", GGUF_WRITE_ALIGNMENT);
    gguf_write_string(j->w, "tritd.method", method_name(j->wish->method));
    if (j->wish->method == METHOD_ONEBIT)
        gguf_write_bool(j->w, "tritd.onebit.output_norm", j->wish->output_norm);
    return rc;
}

/* ------------------------------------------------------------------ tensors */

/* "blk.N." */
static bool in_layer(const char *name, uint32_t layer)
{
    char prefix[32];
    int n = snprintf(prefix, sizeof prefix, "blk.%u.", layer);
    return strncmp(name, prefix, (size_t)n) == 0;
}

/* Everything but linears, of one layer or outside of all. */
static bool is_copied(const struct gguf_tensor *t, const uint32_t *layer)
{
    return !tool_is_linear(t) &&
           (layer ? in_layer(t->name, *layer) : strncmp(t->name, "blk.", 4) != 0);
}

static int declare_copies(struct method_job *j, const uint32_t *layer)
{
    for (size_t i = 0; i < gguf_n_tensors(j->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(j->g, i);
        if (!is_copied(t, layer))
            continue;
        if (!t->quant || t->type >= QUANT_INNER)
            return trit_fail(j->err, TRIT_EUNSUPP,
                             "%s: tensor %s has an encoding that cannot be copied", gguf_path(j->g),
                             t->origin);
        gguf_write_tensor(j->w, t->name, t->n_dims, t->ne, t->type, t->bytes);
    }
    return 0;
}

int method_write_copies(struct method_job *j, const uint32_t *layer)
{
    uint8_t *piece = mem_zalloc(TENSOR_PIECE, 1);
    int rc = piece ? 0 : trit_fail(j->err, TRIT_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < gguf_n_tensors(j->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(j->g, i);
        for (uint64_t at = 0, n; is_copied(t, layer) && rc == 0 && at < t->bytes; at += n) {
            n = MIN(t->bytes - at, (uint64_t)TENSOR_PIECE);
            rc = gguf_read(j->g, t, at, piece, n, j->err);
            if (rc == 0)
                rc = gguf_write_data(j->w, piece, n, j->err);
        }
    }
    mem_free(piece);
    return rc;
}

/* What is written of a linear, in order: "<stem>.<end>". */
struct part {
    const char *end;
    uint32_t type, n_dims;
    uint64_t ne[3], bytes;
    const void *data;
};

static size_t parts_of(const struct method_job *j, const struct quantised *q, struct part part[4])
{
    uint64_t rows = q->rows, cols = q->cols, blocks = cols / BILLM_BLOCK;
    part[0] = (struct part){"weight", QUANT_I8, 2, {cols / 8, rows, 1}, rows * cols / 8, q->signs};
    if (j->wish->method == METHOD_ONEBIT) {
        part[1] = (struct part){"scale", QUANT_F32, 1, {rows, 1, 1}, 4 * rows, q->scale};
        part[2] = (struct part){"input_factor", QUANT_F32, 1, {cols, 1, 1}, 4 * cols, q->factor};
        return 3;
    }
    part[1] = (struct part){"second", QUANT_I8, 2, {cols / 8, rows, 1}, rows * cols / 8, q->second};
    part[2] = (struct part){"salient", QUANT_I8, 1, {cols / 8, 1, 1}, cols / 8, q->salient};
    part[3] = (struct part){
        "levels", QUANT_F16, 3, {BILLM_LEVELS, blocks, rows}, 2 * BILLM_LEVELS * blocks * rows,
        q->levels};
    return 4;
}

int method_declare(struct method_job *j)
{
    int rc = declare_copies(j, NULL);
    for (uint32_t i = 0; rc == 0 && i < j->f.m.hp.n_layers; i++) {
        rc = declare_copies(j, &i);
        for (unsigned k = 0; rc == 0 && k < LINEARS; k++) {
            struct part part[4];
            size_t n = parts_of(j, &j->q[k], part);
            for (size_t p = 0; p < n; p++) {
                char name[96];
                snprintf(name, sizeof name, "blk.%u.%s.%s", i, linear_name(k), part[p].end);
                gguf_write_tensor(j->w, name, part[p].n_dims, part[p].ne, part[p].type,
                                  part[p].bytes);
                j->bits += 8 * part[p].bytes;
            }
            j->weights += (uint64_t)j->q[k].rows * j->q[k].cols;
        }
    }
    return rc ? rc : gguf_write_begin(j->w, j->err);
}

int method_write_linear(struct method_job *j, const struct quantised *q)
{
    struct part part[4];
    size_t n = parts_of(j, q, part);
    int rc = 0;
    for (size_t p = 0; rc == 0 && p < n; p++)
        rc = gguf_write_data(j->w, part[p].data, part[p].bytes, j->err);
    return rc;
}
