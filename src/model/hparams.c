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
    const struct arch *whole;
    const char *arch; /* its name */
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

/* Keys as llama.cpp has them; the size of heads is that of the paper and of both
 * implementations. */
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

/* Keys as llama.cpp has them; so are the period and the base of Gemma 3 where they are absent. */
static int read_windows(const struct reader *r, struct hparams *hp)
{
    if (!r->whole->windows)
        return 0;
    hp->window_period = 6;
    hp->rope_base_local = 10000;
    int rc = read_uint(r, "attention.sliding_window", !REQUIRED, 0, MAX_CTX, &hp->window);
    if (rc || !hp->window)
        return rc;
    rc = read_uint(r, "attention.sliding_window_pattern", !REQUIRED, 0, MAX_LAYERS,
                   &hp->window_period);
    return rc ? rc : read_float(r, "rope.freq_base_swa", 1, 1e12, !REQUIRED, &hp->rope_base_local);
}

/* What the graph of Gemma 3 has beside that of others, and what embedding models of any have. */
static int read_extras(const struct reader *r, struct hparams *hp)
{
    static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    double scale = 0, cap = 0;
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        int rc = read_float(r, caps[i], 0, 1e6, !REQUIRED, &cap);
        if (rc)
            return rc;
        if (cap != 0)
            return gguf_fail(r->g, r->err, TRIT_EUNSUPP, "%s.%s is %g, expected none", r->arch,
                             caps[i], cap);
    }
    int rc = read_float(r, "attention.scale", 0, 1e6, !REQUIRED, &scale);
    if (rc || (rc = read_windows(r, hp)) ||
        (rc = read_uint(r, "pooling_type", !REQUIRED, 0, INT32_MAX, &hp->pooling)))
        return rc;
    hp->attn_scale = (float)scale;
    hp->embedding_scale = r->whole->scaled_embedding ? sqrtf((float)hp->dim) : 1;
    hp->in_norms = gguf_tensor(r->g, "blk.0.attn_q_norm_in.weight") != NULL;
    /* Only BitNet's embedding models have such norms, and those pool by the last token. */
    if (hp->in_norms && hp->pooling == MODEL_POOLING_NONE)
        hp->pooling = MODEL_POOLING_LAST;
    hp->embeds_only = hp->pooling != MODEL_POOLING_NONE && !gguf_tensor(r->g, "output.weight");
    return 0;
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

/*
 * Keys as llama.cpp has them for `qwen35`.  Its `rope.dimension_sections` part text from pictures:
 * all positions of a text are equal in them, so they change nothing here.
 */
static int read_delta(const struct reader *r, bool grouped, struct hparams *hp)
{
    struct hparams_delta *d = &hp->delta;
    char key[160];
    uint32_t inner = 0, extra = 0;
    d->interval = 4;
    int rc = read_uint(r, "full_attention_interval", !REQUIRED, 2, MAX_LAYERS, &d->interval);
    if (rc || (rc = read_uint(r, "ssm.conv_kernel", REQUIRED, 2, DELTA_CONV_MAX, &d->conv)) ||
        (rc = read_uint(r, "ssm.state_size", REQUIRED, 16, MAX_HEAD_DIM, &d->head_dim)) ||
        (rc = read_uint(r, "ssm.group_count", REQUIRED, 1, MAX_HEADS, &d->k_heads)) ||
        (rc = read_uint(r, "ssm.time_step_rank", REQUIRED, 1, MAX_HEADS, &d->v_heads)) ||
        (rc = read_uint(r, "ssm.inner_size", REQUIRED, 1, MAX_FFN, &inner)) ||
        (rc = read_uint(r, "nextn_predict_layers", !REQUIRED, 0, MAX_LAYERS, &extra)))
        return rc;
    key_of(r, "attention.recurrent_layers", key);
    if (gguf_has(r->g, key))
        return gguf_fail(r->g, r->err, TRIT_EUNSUPP,
                         "key %s: layers one by one are not supported, only "
                         "%s.full_attention_interval",
                         key, r->arch);
    if (extra)
        return gguf_fail(
            r->g, r->err, TRIT_EUNSUPP,
            "%s.nextn_predict_layers is %u, supported is 0: layers that guess ahead are "
            "to be left out of the file",
            r->arch, extra);
    if (d->v_heads % d->k_heads)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT,
                         "%s.ssm.time_step_rank %u is not a multiple of %s.ssm.group_count %u",
                         r->arch, d->v_heads, r->arch, d->k_heads);
    if (d->head_dim % DELTA_LANES)
        return gguf_fail(r->g, r->err, TRIT_EUNSUPP,
                         "%s.ssm.state_size is %u, expected a multiple of %d", r->arch, d->head_dim,
                         DELTA_LANES);
    if (inner != d->v_heads * d->head_dim)
        return gguf_fail(r->g, r->err, TRIT_EFORMAT,
                         "%s.ssm.inner_size is %u, expected %u, %u heads of %u", r->arch, inner,
                         d->v_heads * d->head_dim, d->v_heads, d->head_dim);
    if (hp->n_layers < d->interval)
        return gguf_fail(r->g, r->err, TRIT_EUNSUPP,
                         "%s.block_count is %u, expected at least %s.full_attention_interval, %u",
                         r->arch, hp->n_layers, r->arch, d->interval);
    d->n_layers = hp->n_layers - hp->n_layers / d->interval;
    d->grouped = grouped;
    return 0;
}

/* model/method.h */
static int read_method(const struct gguf *g, struct hparams *hp, struct trit_error *err)
{
    static const char KEY[] = "tritd.method", NORM[] = "tritd.onebit.output_norm";
    struct gguf_str name;
    hp->output_norm = true;
    if (!gguf_has(g, KEY))
        return 0;
    int rc = gguf_string(g, KEY, &name, err);
    if (rc)
        return rc;
    hp->method = method_find(name.data, name.len);
    if (hp->method == METHODS)
        return gguf_fail(g, err, TRIT_EUNSUPP,
                         "%s is \"%.*s\", supported are ternary, onebit, b1 and billm", KEY,
                         (int)MIN(name.len, 40), name.data);
    return gguf_has(g, NORM) ? gguf_bool(g, NORM, &hp->output_norm, err) : 0;
}

int hparams_read(const struct gguf *g, struct model *m, struct trit_error *err)
{
    int rc = read_arch(g, m, err);
    if (rc)
        return rc;
    struct hparams *hp = &m->hp;
    struct reader r = {g, m->arch, m->arch->name, err};
    double eps = 0;
    *hp = (struct hparams){.rope_base = 10000};
    if ((rc = read_uint(&r, "block_count", REQUIRED, 1, MAX_LAYERS, &hp->n_layers)) ||
        (rc = read_uint(&r, "embedding_length", REQUIRED, 1, MAX_DIM, &hp->dim)) ||
        (rc = read_uint(&r, "feed_forward_length", REQUIRED, 1, MAX_FFN, &hp->ffn)) ||
        (rc = read_uint(&r, "context_length", REQUIRED, 1, MAX_CTX, &hp->n_ctx)) ||
        (rc = read_heads(&r, hp)) ||
        (rc = read_float(&r, "attention.layer_norm_rms_epsilon", 1e-12, 1, REQUIRED, &eps)) ||
        (rc = read_float(&r, "rope.freq_base", 1, 1e12, !REQUIRED, &hp->rope_base)) ||
        (rc = read_rope_scaling(&r, hp)) || (rc = read_extras(&r, hp)) ||
        (m->arch->hybrid && (rc = read_delta(&r, m->arch->grouped_values, hp))))
        return rc;
    hp->norm_eps = (float)eps;
    hp->absmean = m->arch->absmean || hp->in_norms; /* only BitNet's linears have such */
    if (gguf_has(g, "general.master_weights") &&
        (rc = gguf_bool(g, "general.master_weights", &hp->absmean, err)))
        return rc;

    if ((rc = read_method(g, hp, err)))
        return rc;
    if (m->arch->hybrid && hp->method != METHOD_TERNARY)
        return gguf_fail(g, err, TRIT_EUNSUPP,
                         "tritd.method %s is not supported with architecture %s",
                         method_name(hp->method), m->arch->name);

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
