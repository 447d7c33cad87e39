/* SPDX-License-Identifier: MIT */
/*
 * hf-layers.c - how far the layers of Gemma 3 see, which of Qwen3.5 attend, and what the embeddings
 * of a folder are made of.
 *
 * Sources: transformers (configuration_gemma3.py), whose names have changed over time: layer_types,
 * or a pattern; sentence-transformers (1_Pooling/config.json).
 */
#include "config.h"
#include "model/hf-parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/base.h"
#include "model/model.h"

static const char *key_of(const char *arch, const char *name, char key[96])
{
    snprintf(key, 96, "%s.%s", arch, name);
    return key;
}

/* layer_types as a period: every so manieth layer sees all, the others their window. */
static int read_period(const struct hf *h, struct jsontext list, uint64_t *period)
{
    static const char NAME[] = "layer_types";
    struct jsontext none, type;
    uint64_t i = 0;
    *period = 0;
    for (struct jsontext_walk w = jsontext_begin(list); jsontext_next(&w, &none, &type); i++) {
        bool text = jsontext_kind(type) == JSONTEXT_STRING;
        bool full = text && jsontext_is(type, "full_attention");
        if (!full && !(text && jsontext_is(type, "sliding_attention")))
            return hf_refuse(h, &h->config, TRIT_EUNSUPP, NAME, type,
                             "\"full_attention\" or \"sliding_attention\"");
        if (full && *period == 0)
            *period = i + 1;
        if (full != (*period && (i + 1) % *period == 0))
            return hf_refuse(h, &h->config, TRIT_EUNSUPP, NAME, list,
                             "full attention in every so manieth layer");
    }
    return 0;
}

int hf_windows(struct hf *h, const char *arch, uint64_t head_dim)
{
    const struct hf_text *t = &h->config;
    static const char *const names[] = {"sliding_window_pattern", "_sliding_window_pattern"};
    char key[96];
    bool found;
    uint64_t window = 4096, period = 6; /* of the class */
    double scalar = 256;
    struct jsontext list;
    int rc = hf_uint(h, t, t->doc, "sliding_window", false, &found, &window);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(names); i++)
        rc = hf_uint(h, t, t->doc, names[i], false, &found, &period);
    if (rc == 0)
        rc = hf_value(h, t, t->doc, "layer_types", JSONTEXT_ARRAY, false, &found, &list);
    if (rc == 0 && found)
        rc = read_period(h, list, &period);
    if (rc || (rc = hf_float(h, t, t->doc, "query_pre_attn_scalar", false, &found, &scalar)) ||
        (rc = hf_uint(h, t, t->doc, "head_dim", false, &found, &head_dim)))
        return rc;
    if (!(scalar > 0))
        return gguf_fail_at(t->path, h->err, TRIT_EFORMAT,
                            "query_pre_attn_scalar is %g, expected more than 0", scalar);
    gguf_make_uint(h->g, key_of(arch, "attention.sliding_window", key), window);
    gguf_make_uint(h->g, key_of(arch, "attention.sliding_window_pattern", key), period);
    if (scalar != (double)head_dim) /* else it is what all do */
        gguf_make_float(h->g, key_of(arch, "attention.scale", key), 1 / sqrt(scalar));
    return 0;
}

/* layer_types says what the interval says. */
static int check_types(const struct hf *h, struct jsontext doc, uint64_t interval)
{
    static const char NAME[] = "layer_types";
    struct jsontext list, none, type;
    uint64_t i = 0;
    bool found;
    int rc = hf_value(h, &h->config, doc, NAME, JSONTEXT_ARRAY, false, &found, &list);
    if (rc || !found)
        return rc;
    for (struct jsontext_walk w = jsontext_begin(list); jsontext_next(&w, &none, &type); i++) {
        const char *expected = (i + 1) % interval ? "linear_attention" : "full_attention";
        if (jsontext_kind(type) != JSONTEXT_STRING || !jsontext_is(type, expected))
            return hf_refuse(h, &h->config, TRIT_EUNSUPP, NAME, list,
                             "full_attention in every full_attention_interval-th layer, and "
                             "linear_attention in the others");
    }
    return 0;
}

/* configuration_qwen3_5.py; the defaults are those of its Qwen3_5TextConfig. */
int hf_deltas(struct hf *h, struct jsontext doc, const char *arch, uint64_t head_dim)
{
    const struct hf_text *t = &h->config;
    enum { INTERVAL, KERNEL, K_DIM, V_DIM, K_HEADS, V_HEADS, N };
    static const char *const names[N] = {
        "full_attention_interval", "linear_conv_kernel_dim", "linear_key_head_dim",
        "linear_value_head_dim",   "linear_num_key_heads",   "linear_num_value_heads"};
    uint64_t v[N] = {4, 4, 128, 128, 16, 32}, inner;
    char key[96];
    bool found, gate = true;
    double rotated = 0.25;
    struct jsontext rope;
    int rc = 0;
    for (size_t i = 0; i < N && rc == 0; i++) {
        rc = hf_uint(h, t, doc, names[i], false, &found, &v[i]);
        if (rc == 0 && (v[i] < 1 || v[i] > 1 << 16))
            rc = gguf_fail_at(t->path, h->err, TRIT_EFORMAT,
                              "%s is %" PRIu64 ", expected 1 to 65536", names[i], v[i]);
    }
    if (rc || (rc = check_types(h, doc, v[INTERVAL])) ||
        (rc = hf_uint(h, t, doc, "head_dim", false, &found, &head_dim)) ||
        (rc = hf_bool(h, t, doc, "attn_output_gate", &found, &gate)) ||
        (rc = hf_float(h, t, doc, "partial_rotary_factor", false, &found, &rotated)) ||
        (rc = hf_value(h, t, doc, "rope_parameters", JSONTEXT_OBJECT, false, &found, &rope)) ||
        (found && (rc = hf_float(h, t, rope, "partial_rotary_factor", false, &found, &rotated))))
        return rc;
    if (!gate)
        return hf_refuse(h, t, TRIT_EUNSUPP, "attn_output_gate", (struct jsontext){"false", 5},
                         "true");
    if (v[K_DIM] != v[V_DIM])
        return gguf_fail_at(t->path, h->err, TRIT_EUNSUPP,
                            "linear_key_head_dim is %" PRIu64 ", expected linear_value_head_dim, "
                            "%" PRIu64,
                            v[K_DIM], v[V_DIM]);
    if (!(rotated > 0 && rotated <= 1))
        return gguf_fail_at(t->path, h->err, TRIT_EFORMAT,
                            "partial_rotary_factor is %g, expected more than 0, at most 1",
                            rotated);
    inner = v[V_HEADS] * v[V_DIM];
    gguf_make_uint(h->g, key_of(arch, "full_attention_interval", key), v[INTERVAL]);
    gguf_make_uint(h->g, key_of(arch, "ssm.conv_kernel", key), v[KERNEL]);
    gguf_make_uint(h->g, key_of(arch, "ssm.state_size", key), v[V_DIM]);
    gguf_make_uint(h->g, key_of(arch, "ssm.group_count", key), v[K_HEADS]);
    gguf_make_uint(h->g, key_of(arch, "ssm.time_step_rank", key), v[V_HEADS]);
    gguf_make_uint(h->g, key_of(arch, "ssm.inner_size", key), inner);
    gguf_make_uint(h->g, key_of(arch, "rope.dimension_count", key),
                   (uint64_t)((double)head_dim * rotated));
    return 0;
}

/* The first mode that is on, as BitNet's converter looks for it. */
int hf_pooling(struct hf *h, const char *arch)
{
    static const struct {
        const char *member;
        enum model_pooling pooling;
    } modes[] = {{"pooling_mode_mean_tokens", MODEL_POOLING_MEAN},
                 {"pooling_mode_cls_token", MODEL_POOLING_CLS},
                 {"pooling_mode_lasttoken", MODEL_POOLING_LAST}};
    const struct hf_text *t = &h->pooling;
    char key[96];
    for (size_t i = 0; t->path && i < ARRAY_LEN(modes); i++) {
        bool found, on = false;
        int rc = hf_bool(h, t, t->doc, modes[i].member, &found, &on);
        if (rc)
            return rc;
        if (!on)
            continue;
        gguf_make_uint(h->g, key_of(arch, "pooling_type", key), modes[i].pooling);
        return 0;
    }
    return 0;
}
