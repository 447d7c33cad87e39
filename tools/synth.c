/* SPDX-License-Identifier: MIT */
/*
 * synth.c - `trit-model synth`: a model of any size with random weights.
 *
 * It has the shape, the encodings and the metadata of a real model and nothing to say: for tests,
 * for measuring speed and memory, for trying tritd without a download.  Trits and scales depend on
 * shape and seed only, so files of different --type hold the same model.
 */
#include "config.h"
#include "synth.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/arch.h"
#include "model/quant.h"
#include "tool.h"

enum {
    PRISM_GROUP = 128,       /* values that share a scale in the encodings of Bonsai models */
    UNNUMBERED = UINT32_MAX, /* general.file_type is left out */
    SAME = UINT32_MAX,       /* embedding and head in the encoding of the linears */
};

struct shape {
    const char *name, *arch;
    uint32_t layers, dim, ffn, heads, kv_heads, vocab, context;
    float rope_base, norm_eps;
    bool tied;    /* the head is the embedding */
    bool grouped; /* every block of a row has a scale of its own */
};

/* The larger ones are those of bitnet_b1_58-large, -3B, BitNet b1.58 2B-4T and Llama3-8B-1.58, and
 * of Ternary Bonsai, which are those of Qwen3-1.7B and -8B. */
// clang-format off
static const struct shape shapes[] = {
    {"tiny",  "bitnet-b1.58",  4,  256,   768,  4,  2,    512, 2048, 500000, 1e-5f, true,  false},
    {"small", "bitnet-b1.58",  8,  512,  1536,  8,  2,   2048, 2048, 500000, 1e-5f, true,  false},
    {"700m",  "bitnet",       24, 1536,  4096, 16, 16,  32002, 2048,  10000, 1e-5f, true,  false},
    {"2b",    "bitnet-b1.58", 30, 2560,  6912, 20,  5, 128256, 4096, 500000, 1e-5f, true,  false},
    {"3b",    "bitnet",       26, 3200,  8640, 32, 32,  32002, 2048,  10000, 1e-5f, true,  false},
    {"8b",    "llama",        32, 4096, 14336, 32,  8, 128256, 8192, 500000, 1e-5f, false, false},
    {"bonsai-tiny", "qwen3",   4,  256,   768,  4,  2,    512, 2048,    1e6, 1e-6f, true,  true},
    {"bonsai-1.7b", "qwen3",  28, 2048,  6144, 16,  8, 151936, 32768,   1e6, 1e-6f, true,  true},
    {"bonsai-8b",   "qwen3",  36, 4096, 12288, 32,  8, 151936, 32768,   1e6, 1e-6f, false, true},
};

/* What --type and --head may say; the id that is written for it, and the number llama.cpp's
 * general.file_type has. */
static const struct {
    const char *name;
    uint32_t type, id, file_type;
} types[] = {
    {"tq1_0",     QUANT_TQ1_0,  QUANT_TQ1_0,  36},
    {"tq2_0",     QUANT_TQ2_0,  QUANT_TQ2_0,  37},
    {"i2_s",      QUANT_I2_S,   QUANT_I2_S,   40},
    {"f16",       QUANT_F16,    QUANT_F16,     1},
    {"q2_0",      QUANT_Q2_0,   QUANT_Q2_0,   UNNUMBERED},
    {"q2_0_g128", QUANT_PQ2_0,  QUANT_Q2_0,   UNNUMBERED}, /* as PrismML had it at first */
    {"pq2_0",     QUANT_PQ2_0,  QUANT_PQ2_0,  UNNUMBERED},
    {"ptq1_0",    QUANT_PTQ1_0, QUANT_PTQ1_0, UNNUMBERED},
    {"q1_0",      QUANT_Q1_0,   QUANT_Q1_0,   UNNUMBERED},
}, heads[] = {
    {"f16",   QUANT_F16,  QUANT_F16,  1},
    {"q8_0",  QUANT_Q8_0, QUANT_Q8_0, 7},
    {"f32",   QUANT_F32,  QUANT_F32,  0},
    {"same",  SAME,       SAME,       0},
};
// clang-format on

struct synth {
    struct shape shape;
    const struct arch *arch;
    enum method_id method; /* METHOD_TERNARY: linears are of `type` */
    uint32_t type, id, file_type, head;
    uint64_t seed;
    const char *path;
    struct gguf_writer *w;
    struct trit_error *err;
    uint64_t total, done; /* values, for the progress line */
    int8_t *trits;        /* one piece */
    float *values;
    unsigned char *bytes;
    int8_t byte_to_trit[256];
};

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

/* The values that share a scale in a shape with groups. */
static uint32_t group_of(const struct quant_info *q)
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
    size_t run = s->shape.grouped ? group_of(q) : n;
    for (size_t at = 0; at < n; at += run) {
        float own = scale;
        if (s->shape.grouped)
            own = to_f16(scale * (0.75f + 0.5f * (float)(next(state) >> 40) * 0x1p-24f));
        unsigned char *to = s->bytes + at / q->block_values * q->block_bytes;
        write_trits(q, s->trits + at, own, to, run);
    }
}

/* 42 of 100 weights are zero, as in trained models.  Products of a normed input keep about its size,
 * times gain. */
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
    bool linear = kind == LINEAR || (kind == TABLE && s->head == SAME);
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

static int layer(struct synth *s, bool write, uint32_t n)
{
    const struct shape *p = &s->shape;
    uint32_t kv = p->dim / p->heads * p->kv_heads;
    const struct {
        const char *name;
        enum kind kind;
        uint32_t rows, cols;
        bool there;
    } parts[] = {
        {"attn_norm", NORM, 1, p->dim, s->method != METHOD_B1},
        {"attn_q", LINEAR, p->dim, p->dim, true},
        {"attn_k", LINEAR, kv, p->dim, true},
        {"attn_v", LINEAR, kv, p->dim, true},
        {"attn_q_norm", NORM, 1, p->dim / p->heads, s->arch->qk_norms},
        {"attn_k_norm", NORM, 1, p->dim / p->heads, s->arch->qk_norms},
        {"attn_sub_norm", NORM, 1, p->dim, s->arch->sub_norms},
        {"attn_output", LINEAR, p->dim, p->dim, true},
        {"ffn_norm", NORM, 1, p->dim, s->method != METHOD_B1},
        {"ffn_gate", LINEAR, p->ffn, p->dim, true},
        {"ffn_up", LINEAR, p->ffn, p->dim, true},
        {"ffn_sub_norm", NORM, 1, p->ffn, s->arch->sub_norms},
        {"ffn_down", LINEAR, p->dim, p->ffn, true},
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
    }
    return rc;
}

static int tensors(struct synth *s, bool write)
{
    const struct shape *p = &s->shape;
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
    const struct shape *p = &s->shape;
    const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {
        {"vocab_size", p->vocab},
        {"context_length", p->context},
        {"embedding_length", p->dim},
        {"block_count", p->layers},
        {"feed_forward_length", p->ffn},
        {"rope.dimension_count", p->dim / p->heads},
        {"attention.head_count", p->heads},
        {"attention.head_count_kv", p->kv_heads},
        {"attention.key_length", p->dim / p->heads},
    };
    char text[96];
    gguf_write_string(s->w, "general.architecture", p->arch);
    snprintf(text, sizeof text, "synth-%s", p->name);
    gguf_write_string(s->w, "general.name", text);
    gguf_write_string(s->w, "general.description",
                      "Random weights made by trit-model synth; it has nothing to say.");
    if (s->method != METHOD_TERNARY)
        gguf_write_string(s->w, "tritd.method", method_name(s->method));
    if (s->file_type != UNNUMBERED)
        gguf_write_u32(s->w, "general.file_type", s->file_type);
    gguf_write_u32(s->w, "general.quantization_version", 2);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        snprintf(text, sizeof text, "%s.%s", p->arch, sizes[i].key);
        gguf_write_u32(s->w, text, sizes[i].value);
    }
    snprintf(text, sizeof text, "%s.attention.layer_norm_rms_epsilon", p->arch);
    gguf_write_f32(s->w, text, p->norm_eps);
    snprintf(text, sizeof text, "%s.rope.freq_base", p->arch);
    gguf_write_f32(s->w, text, p->rope_base);
    return synth_vocab(s->w, p->vocab, s->err);
}

static int write_model(struct synth *s)
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

/* Rows of every linear must be whole blocks, or groups; say which is not, and what would do instead. */
static int check_type(struct synth *s, bool asked)
{
    if (s->method != METHOD_TERNARY) {
        uint32_t block = s->method == METHOD_BILLM ? BILLM_BLOCK : 8;
        if (s->shape.dim % block == 0 && s->shape.ffn % block == 0 && s->head != SAME)
            return TOOL_OK;
        return tool_usage(&tool_synth, "--type %s: expected another --head than same, and rows that "
                          "are a multiple of %u", method_name(s->method), block);
    }
    const struct quant_info *q = quant_find(s->type);
    uint32_t whole = q->ternary && q->block_bytes ? group_of(q) : q->block_values;
    uint32_t odd = s->shape.dim % whole ? s->shape.dim : s->shape.ffn % whole ? s->shape.ffn : 0;
    if (s->head == SAME && s->type == QUANT_I2_S)
        return tool_usage(&tool_synth, "--head same: expected another --type than i2_s with it");
    if (!odd)
        return TOOL_OK;
    if (asked)
        return tool_usage(&tool_synth,
                          "%s wants rows that are a multiple of %u, shape %s has rows of %u; "
                          "use --type i2_s or f16",
                          q->name, whole, s->shape.name, odd);
    s->type = s->id = QUANT_I2_S;
    s->file_type = 40;
    return TOOL_OK;
}

/* The folder, by way of a GGUF file in it that goes again. */
static int write_folder(struct synth *s)
{
    const char *folder = s->path;
    struct buf path = {0};
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return trit_fail(s->err, TRIT_EIO, "%.200s: cannot make the folder: %s", folder,
                         strerror(errno));
    buf_addf(&path, "%s/.synth.gguf", folder);
    s->path = path.data;
    int rc = path.failed ? trit_fail(s->err, TRIT_ENOMEM, "out of memory") : write_model(s);
    if (rc == 0)
        rc = synth_folder(path.data, folder, s->err);
    if (!path.failed)
        unlink(path.data);
    buf_free(&path);
    return rc;
}

static bool number(const char *text, uint64_t max, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && *text != '-' && *v <= max;
}

static bool choose_shape(struct synth *s, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        if (strcmp(shapes[i].name, name) == 0) {
            s->shape = shapes[i];
            return true;
        }
    return false;
}

static bool choose_type(struct synth *s, const char *name)
{
    s->method = method_find(name, strlen(name));
    if (s->method != METHODS && s->method != METHOD_TERNARY) {
        s->file_type = UNNUMBERED;
        return true;
    }
    s->method = METHOD_TERNARY;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            s->type = types[i].type;
            s->id = types[i].id;
            s->file_type = types[i].file_type;
            return true;
        }
    return false;
}

static bool choose_head(struct synth *s, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (strcmp(heads[i].name, name) == 0) {
            s->head = heads[i].type;
            return true;
        }
    return false;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"shape", required_argument, NULL, 's'},
                                            {"type", required_argument, NULL, 't'},
                                            {"arch", required_argument, NULL, 'a'},
                                            {"head", required_argument, NULL, 'H'},
                                            {"vocab", required_argument, NULL, 'v'},
                                            {"ctx", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 'S'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"hf", no_argument, NULL, 'F'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct trit_error err = {0};
    struct synth s = {.type = QUANT_TQ2_0,
                      .id = QUANT_TQ2_0,
                      .file_type = 37,
                      .head = QUANT_F16,
                      .err = &err};
    const char *arch = NULL;
    uint64_t vocab = 0, ctx = 0;
    bool typed = false, folder = false;
    s.seed = 1;
    for (int c; (c = getopt_long(argc, argv, "s:t:o:h", options, NULL)) != -1;)
        switch (c) {
        case 's':
            if (!choose_shape(&s, optarg))
                return tool_usage(&tool_synth,
                                  "--shape %s: expected tiny, small, 700m, 2b, 3b, 8b, "
                                  "bonsai-tiny, bonsai-1.7b or bonsai-8b",
                                  optarg);
            break;
        case 't':
            typed = true;
            if (!choose_type(&s, optarg))
                return tool_usage(&tool_synth,
                                  "--type %s: expected tq1_0, tq2_0, i2_s, f16, q2_0, q2_0_g128, "
                                  "pq2_0, ptq1_0, q1_0, onebit, b1 or billm",
                                  optarg);
            break;
        case 'a':
            arch = optarg;
            if (!arch_find(optarg, strlen(optarg)))
                return tool_usage(&tool_synth, "--arch %s: expected one of: %s", optarg,
                                  arch_names());
            break;
        case 'H':
            if (!choose_head(&s, optarg))
                return tool_usage(&tool_synth, "--head %s: expected f16, q8_0, f32 or same", optarg);
            break;
        case 'v':
            if (!number(optarg, SYNTH_VOCAB_MAX, &vocab) || vocab < SYNTH_VOCAB_MIN)
                return tool_usage(&tool_synth, "--vocab %s: expected a number from %d to %d",
                                  optarg, SYNTH_VOCAB_MIN, SYNTH_VOCAB_MAX);
            break;
        case 'c':
            if (!number(optarg, SYNTH_CTX_MAX, &ctx) || ctx == 0)
                return tool_usage(&tool_synth, "--ctx %s: expected a number from 1 to %d", optarg,
                                  SYNTH_CTX_MAX);
            break;
        case 'S':
            if (!number(optarg, UINT64_MAX, &s.seed))
                return tool_usage(&tool_synth, "--seed %s: expected a number", optarg);
            break;
        case 'o':
            s.path = optarg;
            break;
        case 'F':
            folder = true;
            break;
        case 'h':
            return tool_help(&tool_synth);
        default:
            return tool_usage(&tool_synth, NULL);
        }
    if (optind != argc)
        return tool_usage(&tool_synth, "found '%s', expected options only", argv[optind]);
    if (!s.shape.name || !s.path)
        return tool_usage(&tool_synth, "%s is missing", s.path ? "--shape" : "-o FILE");
    s.shape.arch = arch ? arch : s.shape.arch;
    s.shape.vocab = vocab ? (uint32_t)vocab : s.shape.vocab;
    s.shape.context = ctx ? (uint32_t)ctx : s.shape.context;
    s.arch = arch_find(s.shape.arch, strlen(s.shape.arch));
    if (folder && typed)
        return tool_usage(&tool_synth, "--hf packs its linears in the one way there is; found --type");
    if (folder && s.head != QUANT_F16 && s.head != QUANT_F32)
        return tool_usage(&tool_synth, "--hf: expected --head f16 or f32 with it");
    if (folder)
        choose_type(&s, "i2_s");
    if (check_type(&s, typed) != TOOL_OK)
        return TOOL_USAGE;
    if (folder)
        return write_folder(&s) ? tool_failed(&err) : TOOL_OK;
    return write_model(&s) ? tool_failed(&err) : TOOL_OK;
}

const struct tool_command tool_synth = {
    "synth", "make a model with random weights, for tests and measurements",
    "Usage: trit-model synth --shape SHAPE [OPTIONS] -o FILE\n"
    "\n"
    "  -s, --shape SHAPE   tiny (1 MB), small (8 MB), 700m, 2b, 3b or 8b; the large ones have the\n"
    "                      shapes of bitnet_b1_58-large, BitNet b1.58 2B-4T, bitnet_b1_58-3B and\n"
    "                      Llama3-8B-1.58.  bonsai-tiny, bonsai-1.7b or bonsai-8b: a qwen3 graph\n"
    "                      in which 128 weights (256 in tq1_0 and tq2_0) share a scale, the last\n"
    "                      two with the shapes of Ternary Bonsai.  (With --type i2_s or f16 a\n"
    "                      tensor has one scale, to compare speeds.)\n"
    "  -t, --type TYPE     of the linear layers: tq1_0, tq2_0, i2_s or f16 (default tq2_0, or "
    "i2_s\n"
    "                      where the shape's rows are not a multiple of 256); or those in which\n"
    "                      Bonsai models come: q2_0, q2_0_g128, pq2_0, ptq1_0, and q1_0, whose\n"
    "                      weights are all -1 or +1; or onebit, b1 and billm, which are other\n"
    "                      methods than ternary\n"
    "      --arch ARCH     bitnet-b1.58, bitnet-25, bitnet, llama or qwen3 (default: the\n"
    "                      shape's)\n"
    "      --head TYPE     of the embedding and the head: f16, q8_0, f32 or same, which is the\n"
    "                      encoding of the linears, as Bonsai models have it (default f16)\n"
    "      --vocab N       tokens (default: the shape's)\n"
    "      --ctx N         positions it is said to be trained for (default: the shape's)\n"
    "      --seed N        other weights (default 1)\n"
    "      --hf            a folder of Hugging Face files instead: config.json, tokenizer.json,\n"
    "                      model.safetensors with packed linears; the same model as --type i2_s\n"
    "  -o, --output FILE   where it goes; written beside it first and renamed when whole\n"
    "  -h, --help          this text\n"
    "\n"
    "Files of the same shape and seed hold the same weights in every --type, but for those "
    "scales.\n"
    "\n"
    "Examples:\n"
    "  trit-model synth --shape tiny -o tiny.gguf\n"
    "  trit-model synth --shape 2b --type tq1_0 --head q8_0 -o 2b.gguf\n"
    "  trit-model synth --shape bonsai-1.7b --type q2_0_g128 --head same -o bonsai.gguf\n",
    run};
