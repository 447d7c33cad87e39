/* SPDX-License-Identifier: MIT */
/*
 * batch.h - one step's work: which rows of which sequences, and what becomes of their logits.
 *
 * Private to the engine floor; engine thread only, but for sampling, which runs on the workers.
 */
#ifndef TRIT_BATCH_H
#define TRIT_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/forward.h"

struct engine_options;
struct grammar_masks;
struct grammar_state;
struct sched_plan;
struct seq;
struct team;
struct tok;
struct trit_error;

/* What a slot of logits is for. */
struct batch_slot {
    struct seq *s;
    uint32_t prompt_at; /* 0: choose a token; else the logprob of prompt[prompt_at] */
    uint32_t index;     /* of the chosen token in the answer */
    int32_t guess;      /* what was taken to be chosen here; -1: nothing is behind it */
    int32_t token;      /* what was chosen */
    int rc;             /* of sampler_pick; -TRIT_EUNSUPP: no token may follow */
    const uint64_t *allowed; /* by the grammar; NULL: all */
};

struct batch {
    const struct kernels *kernels;
    struct kv *kv;
    struct forward *forward;
    const struct tok *tok;
    uint32_t n_vocab; /* tokens that can be chosen; rows of the head above are padding */
    uint32_t max_rows, max_slots;
    struct forward_row *rows;
    struct batch_slot *slots;
    uint8_t *scratch; /* [workers][scratch_stride] for the sampler */
    size_t scratch_stride, scratch_bytes;

    /* For sequences with a grammar; set by the engine once there is one, before batch_fill. */
    struct grammar_masks *masks;
    struct grammar_state *ahead; /* where an answer would stand after guesses */
    uint64_t *allowed;           /* [slots][mask_words] */
    size_t mask_words, allowed_bytes;
    double mask_seconds; /* spent on masks since the beginning */

    /* The step at hand. */
    uint32_t n_rows, n_slots;
};

int batch_open(struct batch *b, const struct engine_options *opt, struct team *team, struct kv *kv,
               struct trit_error *err);
void batch_close(struct batch *b);
size_t batch_bytes(const struct batch *b);

/* Fill the batch with what was planned.  The slots of a sequence stand in the order of its text. */
void batch_fill(struct batch *b, const struct sched_plan *plan);

/* One forward pass; afterwards slots[] hold the chosen tokens, and logprobs stand in the sequences.
 */
void batch_run(struct batch *b);

#endif
