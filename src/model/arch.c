/* SPDX-License-Identifier: MIT */
/*
 * arch.c - the table of architectures.
 *
 * Sources: llama.cpp (llama-model.cpp: `bitnet`, `llama`, `qwen3`, `qwen35`, `gemma3`) and
 * ik_llama.cpp (build_bitnet.cpp: `bitnet-25`, `bitnet-b1.58`).  The two BitNet generations share
 * every tensor name and differ in the activation, which nothing but the name of the architecture
 * tells.
 */
#include "config.h"
#include "model/arch.h"

#include <string.h>

#include "base/base.h"

// clang-format off
static const struct arch archs[] = {
    {"bitnet",       ROPE_NEOX, ACT_SILU,  HEAD_TIED,     .sub_norms = true, .absmean = true},
    {"bitnet-25",    ROPE_NEOX, ACT_RELU2, HEAD_OPTIONAL, .sub_norms = true, .absmean = true},
    {"bitnet-b1.58", ROPE_NEOX, ACT_RELU2, HEAD_OPTIONAL, .sub_norms = true, .absmean = true},
    /* Converters to GGUF permute the rows of q and k for this one, hence adjacent pairs. */
    {"llama",        ROPE_NORM, ACT_SILU,  HEAD_OPTIONAL, .sub_norms = false},
    {"qwen3",        ROPE_NEOX, ACT_SILU,  HEAD_OPTIONAL, .qk_norms = true},
    {"qwen35",       ROPE_NEOX, ACT_SILU,  HEAD_OPTIONAL, .qk_norms = true, .hybrid = true},
    {"gemma3",       ROPE_NEOX, ACT_GELU,  HEAD_OPTIONAL, .qk_norms = true, .post_norms = true,
     .scaled_embedding = true, .windows = true},
    /* Of Hugging Face folders: rows are not permuted there, a head of its own counts, and Gemma's
     * norms are what they add to one. */
    {"llama-neox",   ROPE_NEOX, ACT_SILU,  HEAD_OPTIONAL, .of_folders = true},
    {"bitnet-silu",  ROPE_NEOX, ACT_SILU,  HEAD_OPTIONAL, .sub_norms = true, .absmean = true,
     .of_folders = true},
    {"gemma3-offset", ROPE_NEOX, ACT_GELU, HEAD_OPTIONAL, .qk_norms = true, .post_norms = true,
     .scaled_embedding = true, .windows = true, .norms_less_one = true, .of_folders = true},
    {"qwen35-grouped", ROPE_NEOX, ACT_SILU, HEAD_OPTIONAL, .qk_norms = true, .hybrid = true,
     .norms_less_one = true, .grouped_values = true, .of_folders = true},
};
// clang-format on

const struct arch *arch_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(archs); i++)
        if (strlen(archs[i].name) == len && memcmp(archs[i].name, name, len) == 0)
            return &archs[i];
    return NULL;
}

/* Spelled out, because a list that is built would need a lock or a caller's buffer; check_arch
 * holds it against the table. */
const char *arch_names(void)
{
    return "bitnet, bitnet-25, bitnet-b1.58, llama, qwen3, qwen35, gemma3, llama-neox, bitnet-silu, "
           "gemma3-offset, qwen35-grouped";
}
