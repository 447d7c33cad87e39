/* SPDX-License-Identifier: MIT */
/*
 * states.h - what layers with a gated delta rule remember of a sequence: a pool of slots of fixed
 * size.
 *
 * For each such layer a slot has the last inputs of its convolution, and a matrix for each value
 * head:
 *
 *     [layer] { past[conv - 1][channels], S[v_heads][head_dim * head_dim] }      floats
 *
 * A slot says nothing of the positions it stands for: it is the memory behind the last one that was
 * computed, and begins anew, from zeros, with position 0 (src/engine/recurrence.c).  Unlike pages
 * it can neither be shared nor cut back to an earlier position, so sequences of hybrid models
 * neither find beginnings that others have left nor guess ahead.
 *
 * A lease (engine/kv.h) has a slot as long as it is open.  Owned by the engine thread; workers
 * write what is in the slots of the step's rows.
 */
#ifndef TRIT_STATES_H
#define TRIT_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;
struct states;
struct trit_error;

/* Bytes of one slot; 0: the model needs none. */
size_t states_slot_bytes(const struct model *m);

/* n >= 1 slots, whose memory is taken when they are first used.  -TRIT_ENOMEM. */
int states_open(const struct model *m, uint32_t n, struct states **s, struct trit_error *err);
void states_close(struct states **s);
size_t states_bytes(const struct states *s);

/* A slot that nobody has; false: there is none. */
bool states_take(struct states *s, uint32_t *slot);
void states_give(struct states *s, uint32_t slot);
uint32_t states_free(const struct states *s); /* how many nobody has */

/* Everything that slot `from` remembers, for `to` as well. */
void states_copy(struct states *s, uint32_t to, uint32_t from);

/* Of the `layer`-th layer with a state: past[conv - 1][channels], and the matrix of a value head.
 */
float *states_past(const struct states *s, uint32_t slot, uint32_t layer);
float *states_matrix(const struct states *s, uint32_t slot, uint32_t layer, uint32_t head);

#endif
