/* SPDX-License-Identifier: MIT */
/*
 * hparams.c - hyperparameters from metadata: every one present, in range, and fit for the others.
 *
 * Keys: ggml docs/gguf.md, "{arch}.embedding_length" and so on.
 */
#include "config.h"
#include "model/load-parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "model/arch.h"
#include "model/gguf-private.h"

/* Bounds far above any model that a CPU serves, and low enough that products of them fit. */
enum {
    MAX_LAYERS = 1024,
    MAX_DIM = 1 << 16, /* below TABLE_COLS_MAX */
    MAX_FFN = 1 << 19, /* and all widths below LAYOUT_COLS_MAX */
    MAX_HEADS = 1024,
    MAX_HEAD_DIM = 1024,
    MAX_CTX = 1 << 24,
    REQUIRED = 1,
};

struct reader {
    const struct gguf *g;
    const char *arch;
    struct trit_error *err;
};

static void key_of(const struct reader *r, const char *name, char key[160])
{
    snprintf(key, 160, "%s.%s", r->arch, name);
}

/* *out keeps its value when an optional key is absent. */
static int read_uint(const struct reader *r, const char *name, bool required, uint64_t min,
                     uint64_t max, uint32_t *out)
{
    char key[160];
    uint64_t value;
    key_of(r, name, key);
    if (!required && !gguf_has(r->g, key))
        return 0;
    int rc = gguf_uint(r->g, key, &value, r->err);
    if (rc == -TRIT_ENOENT)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT, "key %s is missing", key);
    if (rc)
        return rc;
    if (value < min || value > max)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT,
                         "%s is %" PRIu64 ", expected %" PRIu64 " to %" PRIu64, key, value, min,
                         max);
    *out = (uint32_t)value;
    return 0;
}

static int read_float(const struct reader *r, const char *name, double min, double max,
                      bool required, double *out)
{
    char key[160];
    key_of(r, name, key);
    if (!required && !gguf_has(r->g, key))
        return 0;
    int rc = gguf_float(r->g, key, out, r->err);
    if (rc == -TRIT_ENOENT)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT, "key %s is missing", key);
    if (rc)
        return rc;
    if (!(*out >= min && *out <= max))
        return gguf_fail(r->g, r->err, TRIT_EFORMAT, "%s is %g, expected %g to %g", key, *out, min,
                         max);
    return 0;
}

/* Keys as llama.cpp has them; the size of heads is that of the paper and of both implementations. */
static int read_yarn(const struct reader *r, struct hparams *hp)
{
    struct rope_yarn *y = &hp->yarn;
    double factor = 1;
    *y = (struct rope_yarn){.on = true, .n_ctx = hp->n_ctx, .beta_fast = 32, .beta_slow = 1};
    int rc = read_uint(r, "rope.scaling.original_context_length", REQUIRED, 1, MAX_CTX, &y->n_ctx);
    if (rc || (rc = read_float(r, "rope.scaling.factor", 1, 1e6, true, &hp->rope_scale)) ||
        (rc = read_float(r, "rope.scaling.attn_factor", 1e-3, 1e3, false, &factor)) ||
        (rc = read_float(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, false, &y->beta_fast)) ||
        (rc = read_float(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, false, &y->beta_slow)))
        return rc;
    y->size = factor * (1 + 0.1 * log(hp->rope_scale));
    return 0;
}

/* Ours, of Hugging Face folders; GGUF files have a tensor of divisors instead. */
static int read_bands(const struct reader *r, struct hparams *hp)
{
    struct rope_bands *b = &hp->bands;
    *b = (struct rope_bands){.on = true};
    int rc = read_uint(r, "rope.scaling.original_context_length", REQUIRED, 1, MAX_CTX, &b->n_ctx);
    if (rc || (rc = read_float(r, "rope.scaling.factor", 1, 1e6, true, &hp->rope_scale)) ||
        (rc = read_float(r, "rope.scaling.low_freq_factor", 1e-3, 1e3, true, &b->low)) ||
        (rc = read_float(r, "rope.scaling.high_freq_factor", 1e-3, 1e3, true, &b->high)))
        return rc;
    if (b->low >= b->high)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT,
                         "rope.scaling.low_freq_factor is %g, expected less than %g, the high one",
                         b->low, b->high);
    return 0;
}

/* Only what the forward pass does. */
static int read_rope_scaling(const struct reader *r, struct hparams *hp)
{
    char key[160];
    struct gguf_str type = {"none", 4};
    key_of(r, "rope.scaling.type", key);
    int rc = gguf_has(r->g, key) ? gguf_string(r->g, key, &type, r->err) : 0;
    if (rc)
        return rc;
    hp->rope_scale = 1;
    if (type.len == 4 && memcmp(type.data, "none", 4) == 0)
        return 0;
    if (type.len == 6 && memcmp(type.data, "linear", 6) == 0)
        return read_float(r, "rope.scaling.factor", 1e-3, 1e6, false, &hp->rope_scale);
    if (type.len == 4 && memcmp(type.data, "yarn", 4) == 0)
        return read_yarn(r, hp);
    if (type.len == 6 && memcmp(type.data, "llama3", 6) == 0)
        return read_bands(r, hp);
    return gguf_fail(r->g, r->err, TRIT_EUNSUPP,
                     "%s is \"%.*s\", supported are none, linear, yarn and llama3", key,
                     (int)MIN(type.len, 40), type.data);
}

static int read_arch(const struct gguf *g, struct model *m, struct trit_error *err)
{
    struct gguf_str name;
    int rc = gguf_string(g, "general.architecture", &name, err);
    if (rc == -TRIT_ENOENT)
        return gguf_fail(g, err, TRIT_EFORMAT, "key general.architecture is missing");
    if (rc)
        return rc;
    m->arch = arch_find(name.data, name.len);
    if (!m->arch)
        return gguf_fail(g, err, TRIT_EUNSUPP, "general.architecture is \"%.*s\", supported are %s",
                         (int)MIN(name.len, 60), name.data, arch_names());
    return 0;
}

/* Heads: their width is stated or follows from the model's; queries share keys evenly. */
static int read_heads(const struct reader *r, struct hparams *hp)
{
    uint32_t value_length = 0;
    int rc = read_uint(r, "attention.head_count", REQUIRED, 1, MAX_HEADS, &hp->n_heads);
    if (rc)
        return rc;
    hp->n_kv_heads = hp->n_heads;
    if ((rc = read_uint(r, "attention.head_count_kv", !REQUIRED, 1, MAX_HEADS, &hp->n_kv_heads)) ||
        (rc = read_uint(r, "attention.key_length", !REQUIRED, 2, MAX_HEAD_DIM, &hp->head_dim)) ||
        (rc = read_uint(r, "attention.value_length", !REQUIRED, 2, MAX_HEAD_DIM, &value_length)))
        return rc;
    if (hp->n_heads % hp->n_kv_heads)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT,
                         "%u attention heads cannot share %u KV heads evenly", hp->n_heads,
                         hp->n_kv_heads);
    if (hp->head_dim == 0) {
        if (hp->dim % hp->n_heads || hp->dim / hp->n_heads > MAX_HEAD_DIM ||
            hp->dim / hp->n_heads < 2)
            return gguf_fail(r->g, r->err, TRIT_EFORMAT,
                             "embedding_length %u does not divide into %u heads of 2 to %d",
                             hp->dim, hp->n_heads, MAX_HEAD_DIM);
        hp->head_dim = hp->dim / hp->n_heads;
    }
    if (value_length && value_length != hp->head_dim)
        return gguf_fail(r->g, r->err, TRIT_EUNSUPP,
                         "attention.value_length is %u, expected %u as the keys", value_length,
                         hp->head_dim);
    hp->rope_dims = hp->head_dim;
    if ((rc = read_uint(r, "rope.dimension_count", !REQUIRED, 2, hp->head_dim, &hp->rope_dims)))
        return rc;
    if (hp->rope_dims % 2)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT, "%s.rope.dimension_count is %u, expected even",
                         r->arch, hp->rope_dims);
    return 0;
}

/* model/method.h */
static int read_method(const struct gguf *g, struct hparams *hp, struct trit_error *err)
{
    static const char KEY[] = "tritd.method", NORM[] = "tritd.onebit.output_norm";
    struct gguf_str name;
    hp->output_norm = true;
    int rc = gguf_has(g, KEY) ? gguf_string(g, KEY, &name, err) : 0;
    if (rc || !gguf_has(g, KEY))
        return rc;
    hp->method = method_find(name.data, name.len);
    if (hp->method == METHODS)
        return gguf_fail(g, err, TRIT_EUNSUPP, "%s is \"%.*s\", supported are ternary, onebit, b1 and billm",
                         KEY, (int)MIN(name.len, 40), name.data);
    return gguf_has(g, NORM) ? gguf_bool(g, NORM, &hp->output_norm, err) : 0;
}

int hparams_read(const struct gguf *g, struct model *m, struct trit_error *err)
{
    int rc = read_arch(g, m, err);
    if (rc)
        return rc;
    struct hparams *hp = &m->hp;
    struct reader r = {g, m->arch->name, err};
    double eps = 0;
    *hp = (struct hparams){.rope_base = 10000};
    if ((rc = read_uint(&r, "block_count", REQUIRED, 1, MAX_LAYERS, &hp->n_layers)) ||
        (rc = read_uint(&r, "embedding_length", REQUIRED, 1, MAX_DIM, &hp->dim)) ||
        (rc = read_uint(&r, "feed_forward_length", REQUIRED, 1, MAX_FFN, &hp->ffn)) ||
        (rc = read_uint(&r, "context_length", REQUIRED, 1, MAX_CTX, &hp->n_ctx)) ||
        (rc = read_heads(&r, hp)) ||
        (rc = read_float(&r, "attention.layer_norm_rms_epsilon", 1e-12, 1, REQUIRED, &eps)) ||
        (rc = read_float(&r, "rope.freq_base", 1, 1e12, !REQUIRED, &hp->rope_base)) ||
        (rc = read_uint(&r, "pooling_type", !REQUIRED, 0, INT32_MAX, &hp->pooling)) ||
        (rc = read_rope_scaling(&r, hp)))
        return rc;
    hp->norm_eps = (float)eps;
    hp->absmean = m->arch->absmean;
    if (gguf_has(g, "general.master_weights") &&
        (rc = gguf_bool(g, "general.master_weights", &hp->absmean, err)))
        return rc;

    if ((rc = read_method(g, hp, err)))
        return rc;

    /* The embedding says how large the vocabulary is; a key that says otherwise is a broken file.
     */
    const struct gguf_tensor *embd = gguf_tensor(g, "token_embd.weight");
    if (!embd || embd->n_dims != 2)
        return gguf_fail(g, err, TRIT_EFORMAT, "tensor token_embd.weight is %s",
                         embd ? "not a matrix" : "missing");
    if (embd->ne[1] > INT32_MAX / 4)
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "token_embd.weight has %" PRIu64 " rows, expected at most %d",
                         embd->ne[1], INT32_MAX / 4);
    hp->vocab = (uint32_t)embd->ne[1];
    uint32_t said = hp->vocab;
    rc = read_uint(&r, "vocab_size", !REQUIRED, 1, INT32_MAX, &said);
    if (rc == 0 && said != hp->vocab)
        rc = gguf_fail(g, err, TRIT_EFORMAT,
                       "%s.vocab_size is %u, but token_embd.weight has %u rows", m->arch->name,
                       said, hp->vocab);
    return rc;
}
