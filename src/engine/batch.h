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
struct seq;
struct team;
struct trit_error;

/* What a slot of logits is for. */
struct batch_slot {
    struct seq *s;
    uint32_t prompt_at; /* 0: choose the next token; else the logprob of prompt[prompt_at] */
    int32_t token;      /* what was chosen */
    int rc;             /* of sampler_pick */
};

struct batch {
    const struct kernels *kernels;
    struct kv *kv;
    struct forward *forward;
    uint32_t n_vocab; /* tokens that can be chosen; rows of the head above are padding */
    uint32_t max_rows, max_slots;
    struct forward_row *rows;
    struct batch_slot *slots;
    uint8_t *scratch; /* [workers][scratch_stride] for the sampler */
    size_t scratch_stride, scratch_bytes;

    /* The step at hand. */
    uint32_t n_rows, n_slots;
    uint32_t n_decode; /* rows that continue an answer; the rest are of prompts */
};

int batch_open(struct batch *b, const struct engine_options *opt, struct team *team, struct kv *kv,
               struct trit_error *err);
void batch_close(struct batch *b);
size_t batch_bytes(const struct batch *b);

/*
 * Fill the batch from running[0, n), which are at most max_slots: a decode row for everyone who is
 * talking, then chunks of prompts in the order given.  Advances n_done and takes KV pages.
 */
void batch_plan(struct batch *b, struct seq **running, uint32_t n);

/* One forward pass; afterwards slots[] hold the chosen tokens, and logprobs stand in the sequences.
 */
void batch_run(struct batch *b);

#endif
