/* SPDX-License-Identifier: MIT */
/*
 * arch.h - the transformer graph as data: one row of a table for each architecture.
 *
 * The engine has one forward pass.  What differs between families is said here, so that a new
 * architecture is a new row, not a new branch.
 */
#ifndef TRIT_ARCH_H
#define TRIT_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rope_style {
    ROPE_NEOX, /* rotates (x[i], x[i + n/2]) */
    ROPE_NORM, /* rotates (x[2i], x[2i + 1]) */
};

enum act_fn {
    ACT_SILU,  /* x / (1 + exp(-x)) */
    ACT_RELU2, /* max(x, 0)^2 */
    ACT_GELU,  /* x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the form with tanh */
};

/* Of gated delta rules (model/model.h): positions that a convolution sees, at most; what the width
 * of a head is a multiple of. */
enum { DELTA_CONV_MAX = 8, DELTA_LANES = 16 };

enum head_source {
    HEAD_TIED,     /* always the embedding table */
    HEAD_OPTIONAL, /* output.weight where the file has one, else the embedding table */
};

struct arch {
    const char *name; /* general.architecture */
    enum rope_style rope;
    enum act_fn act;
    enum head_source head;
    bool sub_norms; /* RMSNorm before attn_output and before ffn_down */
    bool qk_norms;  /* RMSNorm over each head of q and k before RoPE */
    bool hybrid;    /* most layers keep a state instead of keys and values, see struct delta */
    bool absmean;   /* float linears are master weights, to be quantised, unless the file says
                     * otherwise; else they must be ternary */
    bool post_norms;       /* RMSNorm of what attention and feed-forward give, before it is added */
    bool scaled_embedding; /* embeddings are multiplied by the root of their width */
    bool windows;          /* where the file has a window, most layers see no further back, and turn
                            * their heads by a base of their own */
    bool norms_less_one;   /* norms are stored less one, but those of linears and of deltas */
    bool grouped_values;   /* of a hybrid: value heads lie by the key head that they read, not dealt
                            * out, and a decay is stored as its logarithm */
    bool of_folders;       /* a name of ours, for what lies otherwise in GGUF files */
};

/* NULL when the architecture is not one tritd serves. */
const struct arch *arch_find(const char *name, size_t len);

/* All of them, for messages: "bitnet, bitnet-25, ...". */
const char *arch_names(void);

#endif
