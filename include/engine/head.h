/* SPDX-License-Identifier: MIT */
/*
 * head.h - the output head: from the last hidden states to logits, reading no more than it must.
 *
 * A step's slots each hold one hidden state.  For a q8 table there are two kinds of logits:
 *
 *  - exact ones, as kernels.h defines head_q8; they read 8 bits a weight;
 *  - those to choose a token from, which read little more than 4.  First every row gets its coarse
 *    logit (head_coarse), which differs from the exact one by what the low nibbles and the lower
 *    plane would add: values that have nothing to do with one another, so the difference has a
 *    deviation that is known,
 *
 *        s[row] = scale[row] * step * sqrt((128 * 4.61)^2 * |hi|^2 + 127^2 * |lo|^2)
 *
 *    (4.61: of 16 equally likely nibbles; 127: the most that a weight can be).  Then every row
 *    whose coarse logit + 6 s is at least the largest coarse logit - 6 s gets its exact one.  So
 *    the likeliest token is found unless two differences conspire by 8.5 of their deviations, once
 *    in 10^17; all other tokens that are within 12 s of it are exact too, and those further away
 *    keep a logit that is off by about s, a twentieth of a typical logit.
 *
 * Both depend on the hidden state alone, not on what else is in the batch or on who computes what.
 * An f16 table has exact logits only.  So has a head that is ternary as the layers are: its inputs
 * stand in two planes of int8 (engine/acts.h), and its products are those of any linear layer.
 *
 * The functions marked "team" are called by every worker of a run; they end with a barrier.
 */
#ifndef TRIT_HEAD_H
#define TRIT_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct head;
struct kernels;
struct model;
struct team;
struct trit_error;

/* What a slot is for; both is possible. */
enum head_use {
    HEAD_CHOOSE = 1, /* head_choose fills it */
    HEAD_EXACT = 2,  /* head_exact does */
};

/* Room for max_slots hidden states and their logits.  Model, kernels and team are borrowed. */
int head_open(const struct model *m, const struct kernels *k, struct team *team, uint32_t max_slots,
              struct head **h, struct trit_error *err);
void head_close(struct head **h);
size_t head_bytes(const struct head *h); /* scratch held */

/* Put the normed hidden state x[dim] into a slot.  Any worker, one a slot; a barrier follows. */
void head_set(struct head *h, uint32_t slot, const float *x);

/*
 * Before head_choose: of this slot only rows are to be chosen whose bit is set; all others get -inf
 * where its logits are not exact ones.  NULL: all rows.  Borrowed for the step.
 */
void head_allow(struct head *h, uint32_t slot, const uint64_t *allowed);

/* From now on the head's rows are proved before they are read (model/model.h), or with NULL no
 * more. */
void head_prove(struct head *h, const struct model *m);

/* Team: logits to choose from, for those of the slots [0, n) whose use says so. */
void head_choose(struct head *h, const uint8_t *use, uint32_t n, unsigned worker);

/* Team: exact logits, which take the place of the others. */
void head_exact(struct head *h, const uint8_t *use, uint32_t n, unsigned worker);

/* Whether logits to choose from are exact ones, so that after head_choose there is nothing left for
 * head_exact to do. */
bool head_is_exact(const struct head *h);

/* The logits [vocab] of a slot; valid until they are computed anew. */
const float *head_logits(const struct head *h, uint32_t slot);

#endif
