/* SPDX-License-Identifier: MIT */
/*
 * method.h - how the linear layers of a model became so small, where that is not BitNet b1.58.
 *
 * The graph is that of an architecture (model/arch.h); a method says what the product inside each
 * of its linear layers is.  S is a matrix of signs, LN a LayerNorm: mean off, over the deviation.
 *
 *   ternary   y = W x, W ternary with scales; x in 8 bits, or 16 where the file has several scales
 * a row onebit    y = LN(h * (S (g * x))), LN without weights, epsilon 1e-5; h [outputs], g
 * [inputs]. OneBit, arXiv 2402.11295; x is not quantised as published, and has 16 bits here. b1 y =
 * beta * (S q(LN(x))): S = sign(W - mean W) with -1 for zero, beta = mean |W|, LN with weight and
 * bias; q has 8 bits, 127 over the largest.  BitNet, arXiv 2310.11453: as this norm stands inside
 * every linear layer (SubLN), a block has none of its own. billm     columns in blocks of 128.  In
 * a block some columns are salient, the same for all rows; of each row, a salient weight is m3 + a3
 * s + b3 t, any other m1 + a1 s, or m2 + a2 s if it is one of the large ones, with s and t of its
 * own in {-1, +1}.  BiLLM, arXiv 2402.04291; x is not quantised as published, and has 16 bits here.
 *
 * A GGUF file names its method in the key "tritd.method".  These methods have no other container
 * that anybody publishes, but OneBit's folders of Hugging Face files, which model/hf.h reads.
 * Beside what the architecture asks for, a file has, for each linear layer "blk.N.attn_q" and so on
 * with `cols` inputs and `rows` outputs:
 *
 *   .weight        I8 {cols / 8, rows}: signs, column 8 j + i at bit i of byte j, set for -1.  For
 *                  onebit and b1 it may be F32, F16 or BF16 {cols, rows} instead: the weights that
 * are trained, of which the signs are taken (onebit: those of zeros are +1) .scale         onebit:
 * h, floats {rows}.  b1: beta, floats {1}, where weights are signs already .input_factor  onebit:
 * g, floats {cols} .norm.weight, .norm.bias b1: of LN, floats {cols} .second        billm: I8 {cols
 * / 8, rows}, bits as in .weight: of a salient column set where t is -1, of another where the
 * weight is none of the large ones .salient       billm: I8 {cols / 8}, likewise: set for salient
 * columns .levels        billm: F16 {7, cols / 128, rows}: m1 a1 m2 a2 m3 a3 b3 of a row and a
 * block
 *
 * b1 has neither attn_norm nor ffn_norm.  The key "tritd.onebit.output_norm", a bool, false: there
 * is no LN.  That is no published form: it is what decomposing W without any training after it
 * needs.
 */
#ifndef TRIT_METHOD_H
#define TRIT_METHOD_H

#include <stddef.h>

enum method_id {
    METHOD_TERNARY,
    METHOD_ONEBIT,
    METHOD_B1,
    METHOD_BILLM,
    METHODS,
};

enum {
    BILLM_BLOCK = 128, /* columns that share levels */
    BILLM_LEVELS = 7,
};

#define ONEBIT_EPS 1e-5f /* torch.nn.LayerNorm's own */

const char *method_name(enum method_id method); /* "onebit" */

/* METHODS for another name than those above. */
enum method_id method_find(const char *name, size_t len);

#endif
