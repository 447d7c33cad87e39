/* SPDX-License-Identifier: MIT */
/*
 * hf-names.c - the names of tensors in Hugging Face folders, and GGUF's for them.
 *
 * The two BitNet generations differ in the names of their sub-norms.  post_attention_layernorm
 * stands before the feed-forward network in all of these models but Gemma 3, where it norms what
 * attention gives.  A linear may have a norm of its own.  Folders of models without a head leave
 * out "model.", and lm_head, where there is one, is last: hf.c leaves it out where the head is
 * tied.
 */
#include "config.h"
#include "model/hf-parts.h"

#include <stdio.h>
#include <string.h>

/* In Gemma 3 and Qwen3.5: post_attention_norm, which are two things. */
static const char POST_ATTENTION[] = "post_attention_layernorm";

static const struct {
    const char *hf, *gguf;
    enum hf_role role;
} in_layer[] =
    {
        {"input_layernorm", "attn_norm", HF_OTHER},
        {"self_attn.q_proj", "attn_q", HF_LINEAR},
        {"self_attn.k_proj", "attn_k", HF_LINEAR},
        {"self_attn.v_proj", "attn_v", HF_LINEAR},
        {"self_attn.o_proj", "attn_output", HF_LINEAR},
        {"self_attn.q_norm", "attn_q_norm", HF_OTHER},
        {"self_attn.k_norm", "attn_k_norm", HF_OTHER},
        {"self_attn.attn_sub_norm", "attn_sub_norm", HF_OTHER}, /* microsoft */
        {"self_attn.inner_attn_ln", "attn_sub_norm", HF_OTHER}, /* 1bitLLM */
        {"self_attn.rotary_emb.inv_freq", NULL, HF_IGNORED},    /* of older writers */
        {POST_ATTENTION, "ffn_norm", HF_OTHER},
        {"pre_feedforward_layernorm", "ffn_norm", HF_OTHER},
        {"post_feedforward_layernorm", "post_ffw_norm", HF_OTHER},
        {"linear_attn.in_proj_qkv", "attn_qkv", HF_LINEAR},
        {"linear_attn.in_proj_z", "attn_gate", HF_LINEAR},
        {"linear_attn.out_proj", "ssm_out", HF_LINEAR},
        {"linear_attn.in_proj_a", "ssm_alpha", HF_OTHER},
        {"linear_attn.in_proj_b", "ssm_beta", HF_OTHER},
        {"linear_attn.conv1d", "ssm_conv1d", HF_OTHER},
        {"linear_attn.norm", "ssm_norm", HF_OTHER},
        {"mlp.gate_proj", "ffn_gate", HF_LINEAR},
        {"mlp.up_proj", "ffn_up", HF_LINEAR},
        {"mlp.down_proj", "ffn_down", HF_LINEAR},
        {"mlp.ffn_sub_norm", "ffn_sub_norm", HF_OTHER},
        {"mlp.ffn_layernorm", "ffn_sub_norm", HF_OTHER},
},
  /* They have no ".weight". */
  bare[] =
      {
          {"linear_attn.A_log", "ssm_a", HF_OTHER},
          {"linear_attn.dt_bias", "ssm_dt.bias", HF_OTHER},
},
  on_top[] = {
      {"embed_tokens.weight", "token_embd.weight", HF_OTHER},
      {"norm.weight", "output_norm.weight", HF_OTHER},
      {"lm_head.weight", "output.weight", HF_OTHER},
      {"rotary_emb.inv_freq", NULL, HF_IGNORED},
};

/* "N." with N as numbers are written; the bytes of both, or 0. */
static size_t layer_digits(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n == 0 || n > 4 || (n > 1 && *s == '0') || s[n] != '.' ? 0 : n + 1;
}

/* What stands behind "model.layers.N.". */
static enum hf_role name_in_layer(const char *layer, size_t digits, const char *rest,
                                  const struct hf_facts *facts, char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(bare); i++)
        if (strcmp(rest, bare[i].hf) == 0) {
            snprintf(name, GGUF_NAME_MAX + 1, "blk.%.*s%s", (int)digits, layer, bare[i].gguf);
            return bare[i].role;
        }
    for (size_t i = 0; i < ARRAY_LEN(in_layer); i++) {
        size_t len = strlen(in_layer[i].hf);
        const char *end = rest + len;
        if (strncmp(rest, in_layer[i].hf, len) != 0)
            continue;
        if (in_layer[i].role == HF_IGNORED && *end == '\0')
            return HF_IGNORED;
        bool factor = strcmp(end, ".input_factor") == 0; /* OneBit's */
        bool scale = factor || strcmp(end, ".weight_scale") == 0;
        const char *stem = in_layer[i].gguf;
        if ((facts->gemma || facts->hybrid) && strcmp(in_layer[i].hf, POST_ATTENTION) == 0)
            stem = "post_attention_norm";
        if (in_layer[i].role == HF_LINEAR && strcmp(end, ".norm.weight") == 0) {
            snprintf(name, GGUF_NAME_MAX + 1, "blk.%.*s%s_norm_in.weight", (int)digits, layer,
                     stem);
            return HF_OTHER;
        }
        if (in_layer[i].role == HF_IGNORED || (!scale && strcmp(end, ".weight") != 0) ||
            (scale && in_layer[i].role != HF_LINEAR))
            continue;
        snprintf(name, GGUF_NAME_MAX + 1, "blk.%.*s%s.%s", (int)digits, layer, stem,
                 !scale           ? "weight"
                 : factor         ? "input_factor"
                 : facts->divides ? "divisor"
                                  : "scale");
        return scale ? HF_SCALE : in_layer[i].role;
    }
    return HF_UNKNOWN;
}

/* In Qwen3.5 the text's part is one of several. */
static const char TEXT[] = "language_model.";

/* What looks at pictures, and what guesses ahead. */
static bool is_aside(const char *name)
{
    return strncmp(name, "visual.", 7) == 0 || strncmp(name, "mtp.", 4) == 0;
}

enum hf_role hf_name(const char *origin, const struct hf_facts *facts, char name[GGUF_NAME_MAX + 1])
{
    static const char MODEL[] = "model.", LAYERS[] = "layers.";
    if (strncmp(origin, MODEL, sizeof MODEL - 1) == 0)
        origin += sizeof MODEL - 1;
    if (facts->hybrid && is_aside(origin))
        return HF_IGNORED;
    if (facts->hybrid && strncmp(origin, TEXT, sizeof TEXT - 1) == 0)
        origin += sizeof TEXT - 1;
    for (size_t i = 0; i < ARRAY_LEN(on_top); i++)
        if (strcmp(origin, on_top[i].hf) == 0) {
            if (on_top[i].gguf)
                strcpy(name, on_top[i].gguf);
            return on_top[i].role;
        }
    if (strncmp(origin, LAYERS, sizeof LAYERS - 1) != 0)
        return HF_UNKNOWN;
    const char *layer = origin + sizeof LAYERS - 1;
    size_t digits = layer_digits(layer);
    return digits ? name_in_layer(layer, digits, layer + digits, facts, name) : HF_UNKNOWN;
}
