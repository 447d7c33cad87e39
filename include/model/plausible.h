/* SPDX-License-Identifier: MIT */
/*
 * plausible.h - whether weights were read in the order in which they were trained.
 *
 * Some encodings have arrangements that no file tells apart, and weights in a wrong order are still
 * weights, one in three zero.  But a trained network shows its order: what one matrix writes
 * another reads.  How many weights of a row of ffn_down are zero goes with how many are in the same
 * column of ffn_gate and ffn_up, since both are the same coordinate of the residual stream;
 * likewise the rows of gate and up with the columns of down, and the rows of attn_v with the
 * columns of attn_output.  In another order nothing goes with anything.
 */
#ifndef TRIT_PLAUSIBLE_H
#define TRIT_PLAUSIBLE_H

#include <stdbool.h>

struct gguf;
struct trit_error;

struct plausible {
    double score;  /* squared correlations times their samples; 1 each where there is no order */
    unsigned sums; /* how many */
};

/* Read some layers of the model and look, -TRIT_E... where they cannot be read.  A model without
 * such layers has 0 sums. */
int plausible_look(const struct gguf *g, struct plausible *p, struct trit_error *err);

/* Whether this much does not come by chance: far more than one for each sum. */
bool plausible_is_order(const struct plausible *p);

/* Whether another reading of the same file is the right one rather than this. */
bool plausible_is_better(const struct plausible *other, const struct plausible *this);

#endif
