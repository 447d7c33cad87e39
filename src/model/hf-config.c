/* SPDX-License-Identifier: MIT */
/*
 * hf-config.c - config.json and generation_config.json to GGUF's keys.
 *
 * A member that is absent has the default that its class of transformers gives it
 * (configuration_llama.py, configuration_qwen3.py, configuration_gemma3.py,
 * configuration_bitnet.py; 1bitLLM's configuration_bitnet.py).  Embedding models may name a class
 * of their own: then "model_type" tells the graph.  Members of training, of caches and of number
 * types are passed over; those that change the graph are followed or refused.
 */
#include "config.h"
#include "model/hf-parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* A class of transformers, one row for each activation that tritd has for it. */
static const struct family {
    const char *architecture, *act, *arch; /* the first row of a class has its default */
    double rope_theta;
    uint32_t head_dim; /* 0: the width over the heads */
    enum method_id method;
} families[] = {
    {"BitNetForCausalLM", "relu2", "bitnet-b1.58", 500000, 0, METHOD_TERNARY},
    {"BitNetForCausalLM", "silu", "bitnet-silu", 500000, 0, METHOD_TERNARY},
    {"BitnetForCausalLM", "silu", "bitnet-silu", 10000, 0, METHOD_TERNARY}, /* 1bitLLM */
    {"BitnetForCausalLM", "relu2", "bitnet-b1.58", 10000, 0, METHOD_TERNARY},
    {"LlamaForCausalLM", "silu", "llama-neox", 10000, 0, METHOD_TERNARY},
    {"BitLlamaForCausalLM", "silu", "llama-neox", 10000, 0, METHOD_ONEBIT},    /* in training */
    {"BitLlamaForCausalLMInf", "silu", "llama-neox", 10000, 0, METHOD_ONEBIT}, /* packed */
    {"Qwen3ForCausalLM", "silu", "qwen3", 10000, 128, METHOD_TERNARY},
    {"Qwen3_5ForCausalLM", "silu", "qwen35-grouped", 1e7, 256, METHOD_TERNARY},
    {"Gemma3ForCausalLM", "gelu_pytorch_tanh", "gemma3-offset", 1e6, 256, METHOD_TERNARY},
};

/* model_type leads to these from any architecture. */
static const struct {
    const char *type, *architecture;
} types[] = {{"qwen3", "Qwen3ForCausalLM"},
             {"gemma3_text", "Gemma3ForCausalLM"},
             {"qwen3_5", "Qwen3_5ForCausalLM"}, /* with pictures, which are not looked at */
             {"qwen3_5_text", "Qwen3_5ForCausalLM"}};

struct config {
    struct hf *h;
    const struct hf_text *t;
    struct jsontext doc;
    const struct family *f;
};

static const char *key_of(const struct config *c, const char *name, char key[96])
{
    snprintf(key, 96, "%s.%s", c->f->arch, name);
    return key;
}

/* ------------------------------------------------------------------ which graph */

/* Whether a family is the one for this class and this model_type, null where there is none. */
static bool is_family(const struct family *f, struct jsontext name, struct jsontext type)
{
    if (jsontext_is(name, f->architecture))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (jsontext_kind(type) == JSONTEXT_STRING && jsontext_is(type, types[i].type) &&
            strcmp(f->architecture, types[i].architecture) == 0)
            return true;
    return false;
}

static int find_family(struct config *c, struct jsontext text)
{
    static const char NAME[] = "architectures", TYPE[] = "model_type";
    const char *ACT = "hidden_act";
    bool found;
    struct jsontext list = {"[]", 2}, none, name, act, type = {"null", 4};
    int rc = hf_value(c->h, c->t, c->doc, NAME, JSONTEXT_ARRAY, true, &found, &list);
    if (rc)
        return rc;
    struct jsontext_walk w = jsontext_begin(list);
    if (!jsontext_next(&w, &none, &name) || jsontext_kind(name) != JSONTEXT_STRING)
        return hf_refuse(c->h, c->t, TRIT_EFORMAT, NAME, list, "an array of names");
    if ((rc = hf_value(c->h, c->t, c->doc, TYPE, JSONTEXT_STRING, false, &found, &type)) ||
        (rc = hf_value(c->h, c->t, text, ACT, JSONTEXT_STRING, false, &found, &act)))
        return rc;
    if (!found) { /* Gemma's name for it */
        ACT = "hidden_activation";
        if ((rc = hf_value(c->h, c->t, text, ACT, JSONTEXT_STRING, false, &found, &act)))
            return rc;
    }
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        const struct family *f = &families[i];
        if (!is_family(f, name, type))
            continue;
        known = true;
        if (!found || jsontext_is(act, families[i].act)) {
            c->f = &families[i];
            return 0;
        }
    }
    if (known)
        return hf_refuse(c->h, c->t, TRIT_EUNSUPP, ACT, act,
                         "\"silu\", of BitNet also \"relu2\", of Gemma \"gelu_pytorch_tanh\"");
    return hf_refuse(c->h, c->t, TRIT_EUNSUPP, NAME, list,
                     "BitNetForCausalLM, BitnetForCausalLM, LlamaForCausalLM, "
                     "BitLlamaForCausalLM, BitLlamaForCausalLMInf, Qwen3ForCausalLM, "
                     "Qwen3_5ForCausalLM or Gemma3ForCausalLM");
}

/* ------------------------------------------------------------------ sizes */

static int put_uint(const struct config *c, const char *member, const char *name, bool required)
{
    char key[96];
    uint64_t v;
    bool found;
    int rc = hf_uint(c->h, c->t, c->doc, member, required, &found, &v);
    if (rc == 0 && found)
        gguf_make_uint(c->h->g, key_of(c, name, key), v);
    return rc;
}

static int read_sizes(const struct config *c)
{
    static const struct {
        const char *member, *name;
        bool required;
    } sizes[] = {
        {"hidden_size", "embedding_length", true},
        {"intermediate_size", "feed_forward_length", true},
        {"num_hidden_layers", "block_count", true},
        {"num_attention_heads", "attention.head_count", true},
        {"num_key_value_heads", "attention.head_count_kv", false},
        {"max_position_embeddings", "context_length", true},
        {"vocab_size", "vocab_size", false},
    };
    char key[96];
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes) && rc == 0; i++)
        rc = put_uint(c, sizes[i].member, sizes[i].name, sizes[i].required);
    uint64_t head_dim = c->f->head_dim;
    double eps = 0;
    bool found;
    if (rc || (rc = hf_uint(c->h, c->t, c->doc, "vocab_size", false, &found, &c->h->facts.rows)) ||
        (rc = hf_uint(c->h, c->t, c->doc, "head_dim", false, &found, &head_dim)) ||
        (rc = hf_float(c->h, c->t, c->doc, "rms_norm_eps", true, &found, &eps)))
        return rc;
    if (head_dim) {
        gguf_make_uint(c->h->g, key_of(c, "attention.key_length", key), head_dim);
        gguf_make_uint(c->h->g, key_of(c, "attention.value_length", key), head_dim);
    }
    gguf_make_float(c->h->g, key_of(c, "attention.layer_norm_rms_epsilon", key), eps);
    return 0;
}

/* What would change the graph in ways that tritd does not have. */
static int refuse_others(const struct config *c)
{
    static const char *const bools[] = {"attention_bias", "mlp_bias", "use_sliding_window",
                                        "use_rms_norm", "use_bidirectional_attention"};
    static const struct {
        const char *member;
        uint64_t least, most;
        const char *expected;
    } numbers[] = {
        {"input_bits", 8, 8, "8"},
        {"weight_bits", 1, 2, "1, which 1bitLLM writes for 1.58, or 2"},
    };
    bool found, yes;
    for (size_t i = 0; i < ARRAY_LEN(bools); i++) {
        int rc = hf_bool(c->h, c->t, c->doc, bools[i], &found, &yes);
        if (rc)
            return rc;
        if (found && yes)
            return hf_refuse(c->h, c->t, TRIT_EUNSUPP, bools[i], (struct jsontext){"true", 4},
                             "false");
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct jsontext v;
        uint64_t n = 0;
        int rc =
            hf_value(c->h, c->t, c->doc, numbers[i].member, JSONTEXT_NUMBER, false, &found, &v);
        if (rc)
            return rc;
        if (found && (!jsontext_uint(v, &n) || n < numbers[i].least || n > numbers[i].most))
            return hf_refuse(c->h, c->t, TRIT_EUNSUPP, numbers[i].member, v, numbers[i].expected);
    }
    static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        double cap;
        int rc = hf_float(c->h, c->t, c->doc, caps[i], false, &found, &cap);
        if (rc == 0 && found)
            rc = gguf_fail_at(c->t->path, c->h->err, TRIT_EUNSUPP, "%s is %g, expected null",
                              caps[i], cap);
        if (rc)
            return rc;
    }
    double rotated = 1;
    if (c->h->facts.hybrid) /* A part of a head is rotated, which hf_deltas reads. */
        return 0;
    int rc = hf_float(c->h, c->t, c->doc, "partial_rotary_factor", false, &found, &rotated);
    if (rc == 0 && rotated != 1)
        rc = gguf_fail_at(c->t->path, c->h->err, TRIT_EUNSUPP,
                          "partial_rotary_factor is %g, expected 1", rotated);
    return rc;
}

/* ------------------------------------------------------------------ rotary embedding */

/* A number of the object `rope`, under GGUF's name. */
static int put_factor(const struct config *c, struct jsontext rope, const char *member,
                      const char *name, bool required, double *out)
{
    char key[96];
    bool found;
    int rc = hf_float(c->h, c->t, rope, member, required, &found, out);
    if (rc == 0 && found && name)
        gguf_make_float(c->h->g, key_of(c, name, key), *out);
    return rc;
}

/* Where it is not stated the whole context is the original one. */
static int put_original(const struct config *c, struct jsontext rope)
{
    static const char NAME[] = "original_max_position_embeddings";
    char key[96];
    uint64_t n = 0;
    bool found;
    int rc = hf_uint(c->h, c->t, rope, NAME, false, &found, &n);
    if (rc == 0 && !found)
        rc = hf_uint(c->h, c->t, c->doc, NAME, false, &found, &n);
    if (rc == 0 && !found)
        rc = hf_uint(c->h, c->t, c->doc, "max_position_embeddings", true, &found, &n);
    if (rc == 0)
        gguf_make_uint(c->h->g, key_of(c, "rope.scaling.original_context_length", key), n);
    return rc;
}

static int read_yarn(const struct config *c, struct jsontext rope)
{
    char key[96];
    double factor = 1, size = 0, none = 0;
    bool found, whole = true;
    struct jsontext v;
    int rc;
    if ((rc = put_factor(c, rope, "factor", "rope.scaling.factor", true, &factor)) ||
        (rc = put_factor(c, rope, "beta_fast", "rope.scaling.yarn_beta_fast", false, &none)) ||
        (rc = put_factor(c, rope, "beta_slow", "rope.scaling.yarn_beta_slow", false, &none)) ||
        (rc = put_original(c, rope)) ||
        (rc = hf_float(c->h, c->t, rope, "attention_factor", false, &found, &size)))
        return rc;
    /* Ours multiplies what the paper says, theirs stands in its place. */
    if (found && factor >= 1)
        gguf_make_float(c->h->g, key_of(c, "rope.scaling.attn_factor", key),
                        size / (1 + 0.1 * log(factor)));
    static const char *const deepseek[] = {"mscale", "mscale_all_dim"};
    for (size_t i = 0; i < ARRAY_LEN(deepseek); i++)
        if (jsontext_member(rope, deepseek[i], &v) == 0 && jsontext_kind(v) != JSONTEXT_NULL)
            return hf_refuse(c->h, c->t, TRIT_EUNSUPP, deepseek[i], v, "none");
    rc = hf_bool(c->h, c->t, rope, "truncate", &found, &whole);
    if (rc == 0 && !whole)
        rc = hf_refuse(c->h, c->t, TRIT_EUNSUPP, "truncate", (struct jsontext){"false", 5}, "true");
    return rc;
}

static int read_bands(const struct config *c, struct jsontext rope)
{
    double none;
    int rc;
    if ((rc = put_factor(c, rope, "factor", "rope.scaling.factor", true, &none)) ||
        (rc =
             put_factor(c, rope, "low_freq_factor", "rope.scaling.low_freq_factor", true, &none)) ||
        (rc =
             put_factor(c, rope, "high_freq_factor", "rope.scaling.high_freq_factor", true, &none)))
        return rc;
    return put_original(c, rope);
}

/* "rope_type", "type" in older files. */
static int read_scaling(const struct config *c, struct jsontext rope)
{
    char key[96];
    bool found;
    struct jsontext type = {"\"default\"", 9};
    double none;
    int rc = hf_value(c->h, c->t, rope, "rope_type", JSONTEXT_STRING, false, &found, &type);
    if (rc == 0 && !found)
        rc = hf_value(c->h, c->t, rope, "type", JSONTEXT_STRING, false, &found, &type);
    if (rc || jsontext_is(type, "default"))
        return rc;
    static const char *const names[] = {"linear", "yarn", "llama3"};
    size_t i = 0;
    while (i < ARRAY_LEN(names) && !jsontext_is(type, names[i]))
        i++;
    if (i == ARRAY_LEN(names))
        return hf_refuse(c->h, c->t, TRIT_EUNSUPP, "rope_type", type,
                         "default, linear, yarn or llama3");
    gguf_make_string(c->h->g, key_of(c, "rope.scaling.type", key), names[i], strlen(names[i]));
    if (i == 0)
        return put_factor(c, rope, "factor", "rope.scaling.factor", true, &none);
    return i == 1 ? read_yarn(c, rope) : read_bands(c, rope);
}

/* Newer files have all of it in rope_parameters, those of models with windows for each kind of
 * layer. */
static int read_rope(const struct config *c)
{
    char key[96];
    bool found, scaled, apart = false;
    struct jsontext rope, local = {0};
    double theta = c->f->rope_theta;
    int rc =
        hf_value(c->h, c->t, c->doc, "rope_parameters", JSONTEXT_OBJECT, false, &scaled, &rope);
    if (rc == 0 && !scaled)
        rc = hf_value(c->h, c->t, c->doc, "rope_scaling", JSONTEXT_OBJECT, false, &scaled, &rope);
    double theta_local = 10000;
    if (rc == 0 && scaled && c->h->facts.gemma)
        rc =
            hf_value(c->h, c->t, rope, "sliding_attention", JSONTEXT_OBJECT, false, &apart, &local);
    if (rc == 0 && apart &&
        (rc = hf_float(c->h, c->t, local, "rope_theta", false, &found, &theta_local)) == 0)
        rc = hf_value(c->h, c->t, rope, "full_attention", JSONTEXT_OBJECT, true, &scaled, &rope);
    if (rc || (rc = hf_float(c->h, c->t, c->doc, "rope_theta", false, &found, &theta)) ||
        (rc = hf_float(c->h, c->t, c->doc, "rope_local_base_freq", false, &found, &theta_local)))
        return rc;
    if (c->h->facts.gemma)
        gguf_make_float(c->h->g, key_of(c, "rope.freq_base_swa", key), theta_local);
    if (scaled && ((rc = hf_float(c->h, c->t, rope, "rope_theta", false, &found, &theta)) ||
                   (rc = read_scaling(c, rope))))
        return rc;
    gguf_make_float(c->h->g, key_of(c, "rope.freq_base", key), theta);
    return 0;
}

/* ------------------------------------------------------------------ quantisation */

/* A module that stays in floats may be one that is never quantised, no other. */
static int check_kept(const struct config *c, struct jsontext q)
{
    static const char NAME[] = "modules_to_not_convert";
    static const char *const fine[] = {"lm_head", "embed_tokens", "model.embed_tokens", "norm",
                                       "model.norm"};
    bool found;
    struct jsontext list, none, module;
    int rc = hf_value(c->h, c->t, q, NAME, JSONTEXT_ARRAY, false, &found, &list);
    if (rc || !found)
        return rc;
    for (struct jsontext_walk w = jsontext_begin(list); jsontext_next(&w, &none, &module);) {
        bool is_fine = false;
        for (size_t i = 0; i < ARRAY_LEN(fine) && !is_fine; i++)
            is_fine = jsontext_kind(module) == JSONTEXT_STRING && jsontext_is(module, fine[i]);
        if (!is_fine)
            return hf_refuse(c->h, c->t, TRIT_EUNSUPP, NAME, module, "lm_head or embed_tokens");
    }
    return 0;
}

/* One of two words of q. */
static int read_word(const struct config *c, struct jsontext q, const char *member,
                     const char *first, const char *second, bool *is_second)
{
    bool found;
    struct jsontext v;
    char expected[64];
    int rc = hf_value(c->h, c->t, q, member, JSONTEXT_STRING, false, &found, &v);
    *is_second = found && rc == 0 && jsontext_is(v, second);
    if (rc || !found || *is_second || jsontext_is(v, first))
        return rc;
    snprintf(expected, sizeof expected, "%s or %s", first, second);
    return hf_refuse(c->h, c->t, TRIT_EUNSUPP, member, v, expected);
}

/* Without it float linears are what the family has: master weights in BitNet, else ternary already.
 */
static int read_quantization(const struct config *c)
{
    static const char NAME[] = "quantization_config";
    bool found, has_method, yes = false, automatic = false, online = false;
    struct jsontext q, method = {"null", 4};
    int rc = hf_value(c->h, c->t, c->t->doc, NAME, JSONTEXT_OBJECT, false, &found, &q);
    if (rc || !found)
        return rc;
    if (c->f->method != METHOD_TERNARY)
        return hf_refuse(c->h, c->t, TRIT_EUNSUPP, NAME, q,
                         "none, as the architecture has its own method");
    if ((rc = hf_value(c->h, c->t, q, "quant_method", JSONTEXT_STRING, true, &has_method, &method)))
        return rc;
    if (!jsontext_is(method, "bitnet"))
        return hf_refuse(c->h, c->t, TRIT_EUNSUPP, "quant_method", method, "bitnet");
    if ((rc = read_word(c, q, "linear_class", "bitlinear", "autobitlinear", &automatic)) ||
        (rc = read_word(c, q, "quantization_mode", "offline", "online", &online)) ||
        (rc = check_kept(c, q)) || (rc = hf_bool(c->h, c->t, q, "use_rms_norm", &found, &yes)))
        return rc;
    if (found && yes)
        return hf_refuse(c->h, c->t, TRIT_EUNSUPP, "use_rms_norm", (struct jsontext){"true", 4},
                         "false");
    c->h->facts.divides = !automatic;
    gguf_make_bool(c->h->g, "general.master_weights", online);
    return 0;
}

/* ------------------------------------------------------------------ tokens */

static int take_eos(struct hf *h, const struct hf_text *t, struct jsontext v)
{
    uint64_t id;
    if (!jsontext_uint(v, &id) || id > INT32_MAX / 4)
        return hf_refuse(h, t, TRIT_EFORMAT, "eos_token_id", v, "a token's id");
    if (h->facts.n_eos == HF_EOS_MAX)
        return gguf_fail_at(t->path, h->err, TRIT_EUNSUPP, "eos_token_id has more than %d ids",
                            HF_EOS_MAX);
    h->facts.eos[h->facts.n_eos++] = (int32_t)id;
    return 0;
}

/* A number, or an array of them. */
static int read_eos(struct hf *h, const struct hf_text *t)
{
    struct jsontext v, none, id;
    int rc = jsontext_member(t->doc, "eos_token_id", &v);
    if (rc == -TRIT_EFORMAT)
        return gguf_fail_at(t->path, h->err, TRIT_EFORMAT, "eos_token_id stands twice");
    if (jsontext_kind(v) == JSONTEXT_NULL)
        return 0;
    if (jsontext_kind(v) != JSONTEXT_ARRAY)
        return take_eos(h, t, v);
    rc = 0;
    for (struct jsontext_walk w = jsontext_begin(v); rc == 0 && jsontext_next(&w, &none, &id);)
        rc = take_eos(h, t, id);
    return rc;
}

/* What a run of transformers would use: generation_config.json where it has them. */
static int read_tokens(struct hf *h)
{
    uint64_t bos = 0;
    bool found;
    int rc = 0;
    if (h->generation.path)
        rc = read_eos(h, &h->generation);
    if (rc == 0 && h->facts.n_eos == 0)
        rc = read_eos(h, &h->config);
    if (rc == 0)
        rc = hf_uint(h, &h->config, h->config.doc, "bos_token_id", false, &found, &bos);
    if (rc == 0 && found)
        h->facts.bos = (int32_t)MIN(bos, (uint64_t)INT32_MAX);
    return rc;
}

/* sampling.c judges the values. */
static int read_sampling(struct hf *h)
{
    static const struct {
        const char *member, *key;
    } floats[] = {
        {"temperature", "general.sampling.temp"},
        {"top_p", "general.sampling.top_p"},
        {"min_p", "general.sampling.min_p"},
        {"repetition_penalty", "general.sampling.penalty_repeat"},
    };
    bool found;
    double v;
    double top_k;
    int rc = 0;
    if (!h->generation.path)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(floats) && rc == 0; i++) {
        rc = hf_float(h, &h->generation, h->generation.doc, floats[i].member, false, &found, &v);
        if (rc == 0 && found)
            gguf_make_float(h->g, floats[i].key, v);
    }
    if (rc == 0)
        rc = hf_float(h, &h->generation, h->generation.doc, "top_k", false, &found, &top_k);
    if (rc == 0 && found && top_k >= 0 && top_k <= INT32_MAX) /* -1 means "off", as nothing does */
        gguf_make_uint(h->g, "general.sampling.top_k", (uint64_t)top_k);
    return rc;
}

int hf_config(struct hf *h)
{
    struct config c = {.h = h, .t = &h->config, .doc = h->config.doc};
    bool found, tied = false, nested = false;
    struct jsontext text;
    int rc;
    /* Of a model that also sees: what is about texts; the class is named outside. */
    if ((rc = hf_value(h, c.t, c.doc, "text_config", JSONTEXT_OBJECT, false, &nested, &text)) ||
        (rc = find_family(&c, nested ? text : c.doc)))
        return rc;
    trit_assert(c.f);
    if (nested)
        c.doc = text;
    gguf_make_string(h->g, "general.architecture", c.f->arch, strlen(c.f->arch));
    h->facts.method = c.f->method;
    h->facts.gemma = strcmp(c.f->arch, "gemma3-offset") == 0;
    h->facts.hybrid = strcmp(c.f->arch, "qwen35-grouped") == 0;
    if (c.f->method != METHOD_TERNARY) {
        const char *name = method_name(c.f->method);
        gguf_make_string(h->g, "tritd.method", name, strlen(name));
    }
    if ((rc = read_sizes(&c)) || (rc = refuse_others(&c)) || (rc = read_rope(&c)) ||
        (h->facts.gemma && (rc = hf_windows(h, c.f->arch, c.f->head_dim))) ||
        (h->facts.hybrid && (rc = hf_deltas(h, c.doc, c.f->arch, c.f->head_dim))) ||
        (rc = hf_pooling(h, c.f->arch)) || (rc = read_quantization(&c)) || (rc = read_tokens(h)) ||
        (rc = read_sampling(h)) ||
        (rc = hf_bool(h, c.t, c.doc, "tie_word_embeddings", &found, &tied)))
        return rc;
    if (nested && !found &&
        (rc = hf_bool(h, c.t, h->config.doc, "tie_word_embeddings", &found, &tied)))
        return rc;
    h->facts.tied = found && tied;
    h->facts.untied = found && !tied;
    return 0;
}
