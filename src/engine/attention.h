/* SPDX-License-Identifier: MIT */
/*
 * attention.h - a step's attention, dealt over the team.
 *
 * The arithmetic is fixed by position: kernels.h cuts a context in ranges and merges them in order.
 * What is decided here is only who computes what.  Consecutive rows of a sequence form a tile,
 * whose rows share the reading of keys and values; an item is a tile and one KV head.  Where there
 * would be too few items for the team, or one far longer than the others, the ranges of a tile are
 * dealt one by one, and its rows are joined from their parts afterwards.
 *
 * Where a model has layers with a window there is a second plan for those, which leaves out the
 * ranges that no row of a tile sees.  All rows of a tile begin in the same range and end in the
 * same range, in both plans: no row has a part that is empty.
 *
 * Private to the engine floor.
 */
#ifndef TRIT_ATTENTION_H
#define TRIT_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "engine/forward.h"

struct attention;

/* Scratch for steps of up to max_rows rows at positions below n_ctx; the rest is borrowed. */
int attention_open(const struct model *m, const struct kernels *k, struct team *team, struct kv *kv,
                   uint32_t max_rows, uint32_t n_ctx, struct attention **a, struct trit_error *err);
void attention_close(struct attention **a);
size_t attention_bytes(const struct attention *a); /* scratch held; pages never used count too */

/* Before a step's run: cut rows[0, n) in tiles and items, for all its layers.  Rows are borrowed.
 */
void attention_plan(struct attention *a, const struct forward_row *rows, uint32_t n);

/* Team: q[n][n_heads * head_dim] of one layer to out, of the same shape, but for the rows that
 * attention_join has yet to write.  Ends with a barrier. */
void attention_run(struct attention *a, uint32_t layer, const float *q, float *out,
                   unsigned worker);

/* Any worker, once a row, after that barrier: write the row of `out` if its ranges were dealt. */
void attention_join(struct attention *a, uint32_t layer, uint32_t row, float *out);

#endif
