/* SPDX-License-Identifier: MIT */
/*
 * synth.c - a model of any size with random weights, for `trit-model synth`.
 *
 * It has the shape, the encodings and the metadata of a real model and nothing to say: for tests,
 * for measuring speed and memory, for trying tritd without a download.  Trits and scales depend on
 * shape and seed only, so files of different --type hold the same model.
 *
 * Not here: the command line (synth-options.c), the tokenizer (synth-vocab.c), other methods than
 * ternary (synth-method.c), folders (synth-hf.c).
 */
#include "config.h"
#include "synth.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/arch.h"
#include "model/model.h"
#include "model/quant.h"
#include "tool.h"

enum { PRISM_GROUP = 128 }; /* values that share a scale in the encodings of Bonsai models */

/* splitmix64: every seed gives a different stream, and it is fast. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* The sum of four uniform numbers, close enough to a normal one; mean 0, variance 1. */
static float normal(uint64_t *state)
{
    uint64_t z = next(state);
    int sum =
        (int)(z & 0xffff) + (int)(z >> 16 & 0xffff) + (int)(z >> 32 & 0xffff) + (int)(z >> 48);
    return (float)(sum - 131070) / 37837.2f;
}

static float to_f16(float x)
{
    return quant_f16_to_f32(quant_f32_to_f16(x));
}

/* A stream for each tensor, so that none depends on those before it. */
static uint64_t stream(const struct synth *s, const char *name)
{
    uint64_t h = 0xcbf29ce484222325 ^ s->seed * 0x9e3779b97f4a7c15;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3;
    return h;
}

static void progress(struct synth *s, size_t n)
{
    s->done += n;
    log_progress("writing %s  %.0f %%", s->path, 100.0 * (double)s->done / (double)s->total);
}

uint32_t synth_group(const struct quant_info *q)
{
    return MAX(q->block_values, (uint32_t)PRISM_GROUP);
}

static void write_trits(const struct quant_info *q, int8_t *trits, float scale, unsigned char *to,
                        size_t n)
{
    switch (q->type) {
    case QUANT_TQ1_0:
        quant_write_tq1(trits, scale, to, n);
        break;
    case QUANT_TQ2_0:
        quant_write_tq2(trits, scale, to, n);
        break;
    case QUANT_PTQ1_0:
        quant_write_ptq1(trits, scale, to, n);
        break;
    case QUANT_Q1_0: /* What is zero in the other encodings is half of it +1, half -1. */
        for (size_t i = 0; i < n; i++)
            trits[i] = trits[i] != 0 ? trits[i] : i % 2 ? 1 : -1;
        quant_write_q1(trits, scale, to, n);
        break;
    default:
        quant_write_q2(q, trits, scale, to, n);
    }
}

/* n trits by blocks; with groups the scale of each varies by a quarter. */
static void write_blocks(struct synth *s, float scale, size_t n, uint64_t *state)
{
    const struct quant_info *q = quant_find(s->type);
    size_t run = s->shape.grouped ? synth_group(q) : n;
    for (size_t at = 0; at < n; at += run) {
        float own = scale;
        if (s->shape.grouped)
            own = to_f16(scale * (0.75f + 0.5f * (float)(next(state) >> 40) * 0x1p-24f));
        unsigned char *to = s->bytes + at / q->block_values * q->block_bytes;
        write_trits(q, s->trits + at, own, to, run);
    }
}

/* 42 of 100 weights are zero, as in trained models.  Products of a normed input keep about its
 * size, times gain. */
static int write_linear(struct synth *s, const char *name, uint32_t rows, uint32_t cols, float gain)
{
    const struct quant_info *q = quant_find(s->type);
    uint64_t state = stream(s, name), total = (uint64_t)rows * cols;
    float spread = 0.9f + 0.2f * (float)(next(&state) >> 40) * 0x1p-24f;
    float scale = to_f16(gain * spread / sqrtf(0.578f * (float)cols)); /* binary16 holds it */
    const uint16_t f16[3] = {quant_f32_to_f16(-scale), 0, quant_f32_to_f16(scale)};
    for (uint64_t at = 0; at < total; at += TENSOR_PIECE) {
        size_t n = MIN(total - at, (uint64_t)TENSOR_PIECE), len = 0;
        for (size_t i = 0; i < n; i += 8) {
            uint64_t z = next(&state);
            for (size_t k = 0; k < 8; k++)
                s->trits[i + k] = s->byte_to_trit[z >> (8 * k) & 255];
        }
        if (s->type == QUANT_I2_S)
            quant_write_i2s(s->trits, scale, s->bytes, n);
        else if (q->ternary)
            write_blocks(s, scale, n, &state);
        for (size_t i = 0; i < n && !q->ternary; i++)
            memcpy(s->bytes + 2 * i, &f16[s->trits[i] + 1], 2);
        if (q->block_bytes)
            len = n / q->block_values * q->block_bytes;
        else /* The writer puts the tensor's scale behind every piece; only the last may have it. */
            len = n / 4 + (at + n == total ? 32 : 0);
        int rc = gguf_write_data(s->w, s->bytes, len, s->err);
        if (rc)
            return rc;
        progress(s, n);
    }
    return 0;
}

/* mean + deviation * normal, in the head's type or in F32. */
static int write_floats(struct synth *s, const char *name, uint32_t type, uint64_t total,
                        float mean, float deviation)
{
    uint64_t state = stream(s, name);
    const struct quant_info *q = quant_find(type);
    for (uint64_t at = 0; at < total; at += TENSOR_PIECE) {
        size_t n = MIN(total - at, (uint64_t)TENSOR_PIECE);
        for (size_t i = 0; i < n; i++)
            s->values[i] = mean + deviation * normal(&state);
        if (type == QUANT_Q8_0)
            quant_write_q8_0(s->values, s->bytes, n);
        else if (type == QUANT_F32)
            memcpy(s->bytes, s->values, n * sizeof *s->values);
        for (size_t i = 0; type == QUANT_F16 && i < n; i++) {
            uint16_t h = quant_f32_to_f16(s->values[i]);
            memcpy(s->bytes + 2 * i, &h, sizeof h);
        }
        int rc = gguf_write_data(s->w, s->bytes, n / q->block_values * q->block_bytes, s->err);
        if (rc)
            return rc;
        progress(s, n);
    }
    return 0;
}

enum kind { LINEAR, NORM, TABLE };

/*
 * Every tensor in file order.  Called twice: first to declare them, with `write` false, then to
 * write their data.
 */
static int tensor(struct synth *s, bool write, enum kind kind, const char *name, uint32_t rows,
                  uint32_t cols)
{
    uint64_t ne[2] = {cols, rows}, bytes = 0;
    bool linear = kind == LINEAR || (kind == TABLE && s->head == SYNTH_SAME);
    uint32_t type = linear ? s->type : kind == TABLE ? s->head : QUANT_F32;
    if (!write) {
        int rc = quant_tensor_bytes(quant_find(type), rows, cols, &bytes);
        trit_assert(rc == 0);
        gguf_write_tensor(s->w, name, kind == NORM ? 1 : 2, ne, linear ? s->id : type, bytes);
        s->total += (uint64_t)rows * cols;
        return 0;
    }
    if (kind == NORM)
        return write_floats(s, name, type, cols, 1.0f, 0.1f);
    /* Such that logits spread by about three: neither flat nor a foregone conclusion. */
    if (linear)
        return write_linear(s, name, rows, cols, kind == TABLE ? 3 : 1);
    return write_floats(s, name, type, (uint64_t)rows * cols, 0.0f, 3.0f / sqrtf((float)cols));
}

static uint32_t head_dim(const struct synth_shape *p)
{
    return p->head_dim ? p->head_dim : p->dim / p->heads;
}

static int layer(struct synth *s, bool write, uint32_t n)
{
    const struct synth_shape *p = &s->shape;
    uint32_t hd = head_dim(p), q = hd * p->heads, kv = hd * p->kv_heads;
    const struct {
        const char *name;
        enum kind kind;
        uint32_t rows, cols;
        bool there;
    } parts[] = {
        {"attn_norm", NORM, 1, p->dim, s->method != METHOD_B1},
        {"attn_q", LINEAR, q, p->dim, true},
        {"attn_k", LINEAR, kv, p->dim, true},
        {"attn_v", LINEAR, kv, p->dim, true},
        {"attn_q_norm", NORM, 1, hd, s->arch->qk_norms},
        {"attn_k_norm", NORM, 1, hd, s->arch->qk_norms},
        {"attn_sub_norm", NORM, 1, q, s->arch->sub_norms},
        {"attn_output", LINEAR, p->dim, q, true},
        {"post_attention_norm", NORM, 1, p->dim, s->arch->post_norms},
        {"ffn_norm", NORM, 1, p->dim, s->method != METHOD_B1},
        {"ffn_gate", LINEAR, p->ffn, p->dim, true},
        {"ffn_up", LINEAR, p->ffn, p->dim, true},
        {"ffn_sub_norm", NORM, 1, p->ffn, s->arch->sub_norms},
        {"ffn_down", LINEAR, p->dim, p->ffn, true},
        {"post_ffw_norm", NORM, 1, p->dim, s->arch->post_norms},
    };
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts) && rc == 0; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", n, parts[i].name);
        if (s->method != METHOD_TERNARY && parts[i].kind == LINEAR) {
            uint64_t state = stream(s, name);
            name[strlen(name) - strlen(".weight")] = '\0';
            rc = synth_method(s->w, s->method, write, name, parts[i].rows, parts[i].cols, state,
                              s->err);
        } else if (parts[i].there)
            rc = tensor(s, write, parts[i].kind, name, parts[i].rows, parts[i].cols);
        if (rc == 0 && p->embeds && parts[i].kind == LINEAR) {
            snprintf(name, sizeof name, "blk.%u.%s_norm_in.weight", n, parts[i].name);
            rc = tensor(s, write, NORM, name, 1, parts[i].cols);
        }
    }
    return rc;
}

static int tensors(struct synth *s, bool write)
{
    const struct synth_shape *p = &s->shape;
    int rc = tensor(s, write, TABLE, "token_embd.weight", p->vocab, p->dim);
    if (rc == 0)
        rc = tensor(s, write, NORM, "output_norm.weight", 1, p->dim);
    if (rc == 0 && (!p->tied || strcmp(p->arch, "llama") == 0))
        rc = tensor(s, write, TABLE, "output.weight", p->vocab, p->dim);
    for (uint32_t i = 0; i < p->layers && rc == 0; i++)
        rc = layer(s, write, i);
    return rc;
}

static int metadata(struct synth *s)
{
    const struct synth_shape *p = &s->shape;
    const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {
        {"vocab_size", p->vocab},
        {"context_length", p->context},
        {"embedding_length", p->dim},
        {"block_count", p->layers},
        {"feed_forward_length", p->ffn},
        {"rope.dimension_count", head_dim(p)},
        {"attention.head_count", p->heads},
        {"attention.head_count_kv", p->kv_heads},
        {"attention.key_length", head_dim(p)},
        {"pooling_type", MODEL_POOLING_LAST},
    };
    char text[96];
    gguf_write_string(s->w, "general.architecture", p->arch);
    snprintf(text, sizeof text, "synth-%s", p->name);
    gguf_write_string(s->w, "general.name", text);
    gguf_write_string(s->w, "general.description",
                      "Random weights made by trit-model synth; it has nothing to say.");
    if (s->method != METHOD_TERNARY)
        gguf_write_string(s->w, "tritd.method", method_name(s->method));
    if (s->file_type != SYNTH_UNNUMBERED)
        gguf_write_u32(s->w, "general.file_type", s->file_type);
    gguf_write_u32(s->w, "general.quantization_version", 2);
    for (size_t i = 0; i < ARRAY_LEN(sizes) - !p->embeds; i++) {
        snprintf(text, sizeof text, "%s.%s", p->arch, sizes[i].key);
        gguf_write_u32(s->w, text, sizes[i].value);
    }
    snprintf(text, sizeof text, "%s.attention.layer_norm_rms_epsilon", p->arch);
    gguf_write_f32(s->w, text, p->norm_eps);
    snprintf(text, sizeof text, "%s.rope.freq_base", p->arch);
    gguf_write_f32(s->w, text, p->rope_base);
    return synth_vocab(s->w, p->vocab, s->err);
}

int synth_file(struct synth *s)
{
    s->trits = mem_zalloc(TENSOR_PIECE, sizeof *s->trits);
    s->values = mem_zalloc(TENSOR_PIECE, sizeof *s->values);
    s->bytes = mem_zalloc(TENSOR_PIECE, sizeof(float));
    for (int i = 0; i < 256; i++)
        s->byte_to_trit[i] = i < 74 ? -1 : i < 256 - 74 ? 0 : 1;
    int rc = 0;
    if (!s->trits || !s->values || !s->bytes)
        rc = trit_fail(s->err, TRIT_ENOMEM, "out of memory");
    if (rc == 0)
        rc = gguf_write_open(s->path, &s->w, s->err);
    if (rc == 0)
        rc = metadata(s);
    if (rc == 0)
        rc = tensors(s, false);
    if (rc == 0)
        rc = gguf_write_begin(s->w, s->err);
    if (rc == 0)
        rc = tensors(s, true);
    if (rc == 0)
        rc = gguf_write_finish(s->w, s->err);
    log_progress(NULL);
    gguf_write_close(&s->w);
    mem_free(s->trits);
    mem_free(s->values);
    mem_free(s->bytes);
    return rc;
}

/* By way of a GGUF file in it that goes again. */
int synth_in_folder(struct synth *s)
{
    const char *folder = s->path;
    struct buf path = {0};
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return trit_fail(s->err, TRIT_EIO, "%.200s: cannot make the folder: %s", folder,
                         strerror(errno));
    buf_addf(&path, "%s/.synth.gguf", folder);
    s->path = path.data;
    int rc = path.failed ? trit_fail(s->err, TRIT_ENOMEM, "out of memory") : synth_file(s);
    if (rc == 0)
        rc = synth_folder(path.data, folder, s->err);
    if (!path.failed)
        unlink(path.data);
    buf_free(&path);
    return rc;
}
