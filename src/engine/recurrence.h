/* SPDX-License-Identifier: MIT */
/*
 * recurrence.h - a step's gated delta rules, dealt over the team.
 *
 * The rows of one sequence form a run.  Within it they are computed one after another, in the order
 * of their positions, each from the state that the one before has left; so a row's result depends
 * neither on how a text was cut into steps nor on who else is in one.  An item is a run and one
 * head.
 *
 * Private to the engine floor.
 */
#ifndef TRIT_RECURRENCE_H
#define TRIT_RECURRENCE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/forward.h"

struct hparams;
struct layer;
struct recurrence;

/* Channels of the convolution: queries, keys and values; numbers of the values alone. */
size_t recurrence_channels(const struct hparams *hp);
size_t recurrence_values(const struct hparams *hp);

/* Scratch for steps of up to max_rows rows; the rest is borrowed. */
int recurrence_open(const struct model *m, const struct kernels *k, struct team *team,
                    struct kv *kv, uint32_t max_rows, struct recurrence **rc,
                    struct trit_error *err);
void recurrence_close(struct recurrence **rc);
size_t recurrence_bytes(const struct recurrence *rc);

/* Before a step's run: cut rows[0, n) in runs, for all its layers.  Rows are borrowed. */
void recurrence_plan(struct recurrence *rc, const struct forward_row *rows, uint32_t n);

/*
 * Team: mixed[n][mixed_stride] are the products of l->delta.qkv, x[n][x_stride] what they were
 * products of.  What the heads say takes the place of the values; the states move on.  Ends with a
 * barrier.
 */
void recurrence_run(struct recurrence *rc, const struct layer *l, float *mixed, size_t mixed_stride,
                    const float *x, size_t x_stride, unsigned worker);

/* Any worker, once a row, after that barrier: norm and gate what the heads say, by its products z
 * of l->delta.z.  Returns where that is, the input of l->delta.out: in the row of either. */
const float *recurrence_gate(const struct recurrence *rc, const struct layer *l, float *mixed,
                             float *z);

#endif
