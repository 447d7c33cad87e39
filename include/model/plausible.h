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
#include <stdint.h>

struct gguf;
struct trit_error;

/* What is compared: rows of gate and up with columns of down, and the other way round; v with o. */
enum { PLAUSIBLE_HIDDEN, PLAUSIBLE_RESIDUAL, PLAUSIBLE_VALUES, PLAUSIBLE_KINDS };

struct plausible {
    double score;  /* squared correlations times their samples; 1 each where there is no order */
    unsigned sums; /* how many */
    double score_of[PLAUSIBLE_KINDS];
    unsigned sums_of[PLAUSIBLE_KINDS];
    uint32_t i2s; /* as asked for */
};

enum { PLAUSIBLE_LAYERS = 4 }; /* enough to tell */

/*
 * Read `layers` layers of the model, I2_S in an order of quant.h or, where that is 0, as the view
 * has it, and look.  -TRIT_E... where they cannot be read.  A model without such layers has 0 sums.
 */
int plausible_look(const struct gguf *g, uint32_t i2s, unsigned layers, struct plausible *p,
                   struct trit_error *err);

/* Whether another reading has something in order that this one has not; of the same layers. */
bool plausible_is_better(const struct plausible *other, const struct plausible *this);

/* The order of I2_S that is right rather than the one that was looked at, and *best of it; 0: none.
 */
uint32_t plausible_order(const struct gguf *g, unsigned layers, const struct plausible *seen,
                         struct plausible *best);

/* "published", "arm", "four": what trit-model calls an order of I2_S, by its number from 0 on, and
 * its type; NULL behind the last. */
const char *plausible_order_name(unsigned i, uint32_t *type);

/* Whether this much does not come by chance: far more than one for each sum. */
bool plausible_is_order(const struct plausible *p);

/* Whether that holds of all matrices: of the residual stream and of the values each, where they
 * are. */
bool plausible_is_whole(const struct plausible *p);

#endif
