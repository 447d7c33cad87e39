/* SPDX-License-Identifier: MIT */
/*
 * forward.h - one pass of the transformer over a ragged batch of rows.
 *
 * A row is one token of one sequence at one position; rows of a prompt chunk stand in order.  The
 * keys and values of every row are written to the sequence's pages before any row attends, so a row
 * sees exactly the positions up to its own: a chunk gives the same bits as token by token.
 */
#ifndef TRIT_FORWARD_H
#define TRIT_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/acts.h"
#include "engine/head.h"
#include "engine/kv.h"

struct forward;
struct kernels;
struct model;
struct team;
struct trit_error;

struct forward_row {
    int32_t token;
    uint32_t pos;
    const struct kv_lease *lease; /* holds pages for pos */
    int32_t logits;               /* slot for this row's logits, or -1; see forward_step */
    uint8_t use;                  /* of the slot: enum head_use */
    const uint64_t *allowed;      /* of the slot: see head_allow */
    bool keep;                    /* the final hidden state, for forward_hidden */
};

/*
 * Scratch for up to max_rows rows, max_logits slots and n_ctx positions.  The model, kernels, team
 * and KV pool are borrowed.  Linear layers take what `acts` says; the head is the model's.
 */
int forward_open(const struct model *m, const struct kernels *k, struct team *team, struct kv *kv,
                 enum acts_type acts, uint32_t max_rows, uint32_t max_logits, uint32_t n_ctx,
                 struct forward **f, struct trit_error *err);
void forward_close(struct forward **f);

/*
 * Run rows[0, n), n >= 1.  Allocates nothing.  Slots asked for in one step are 0, 1, 2 ... in the
 * order of their rows; only they cost a pass of the head.  `after` is then called once for each use
 * of a slot, HEAD_CHOOSE first, with the logits that this use has, spread over the team: that is
 * where sampling happens.
 */
typedef void (*forward_after_fn)(void *ctx, uint32_t slot, enum head_use use, const float *logits,
                                 unsigned worker);
void forward_step(struct forward *f, const struct forward_row *rows, uint32_t n,
                  forward_after_fn after, void *ctx);

/* The next step also proves the model's weights, each before it is multiplied with
 * (model/model.h). */
void forward_prove(struct forward *f);

/* The model has other weights now (model_take_weights): what was made from them is made anew. */
void forward_renew(struct forward *f);

/* The normed hidden state [dim] of row r of the last step, which was marked `keep`. */
const float *forward_hidden(const struct forward *f, uint32_t r);

/* How many seconds of the last step went into looking at positions. */
double forward_attended(const struct forward *f);

size_t forward_bytes(const struct forward *f); /* scratch held */

#endif
