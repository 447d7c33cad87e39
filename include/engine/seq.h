/* SPDX-License-Identifier: MIT */
/*
 * seq.h - one sequence: a prompt, how to go on from it, and what came of it.
 *
 * A request with n = 3 or two prompts is several sequences.  The structure has three parts with
 * three owners, and that is the whole locking:
 *
 *   - the wish: written by the loop thread before engine_submit, read-only afterwards;
 *   - the state: the engine thread's own between engine_submit and the DONE event;
 *   - the result: written by the engine, published with `published` (release); the loop thread may
 *     read entries below it (acquire) at any time.
 *
 * All memory is allocated at creation: a decode step allocates nothing.
 */
#ifndef TRIT_SEQ_H
#define TRIT_SEQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "engine/draft.h"
#include "engine/kv.h"
#include "engine/sampler.h"

enum {
    SEQ_TOP_MAX = 20,   /* alternatives reported for a position */
    SEQ_DRAFT_MAX = 15, /* tokens guessed ahead in one step */
};

/* What becomes of the final hidden states of a prompt: nothing, or one vector for the whole. */
enum seq_pool {
    SEQ_POOL_NONE,
    SEQ_POOL_MEAN, /* of all positions */
    SEQ_POOL_LAST, /* that of the last position */
};

/* Who goes first when not all can. */
enum seq_priority { SEQ_HIGH, SEQ_NORMAL, SEQ_LOW, SEQ_PRIORITIES };

/* Why a sequence ended. */
enum seq_end {
    SEQ_RUNNING = 0,
    SEQ_STOP,      /* a stop token, engine_enough, or an embedding is complete */
    SEQ_LENGTH,    /* max_new, or the context is full */
    SEQ_CANCELLED, /* engine_cancel */
    SEQ_FAULT,     /* logits or hidden states were not finite */
    SEQ_STUCK,     /* no token of the vocabulary goes on with the grammar, or it is too deep in it */
};

/* The log-probability of one token and its alternatives. */
struct seq_logprob {
    float logprob;
    uint32_t n_top;
    struct sampler_top top[]; /* n_top_max entries of room */
};

struct seq_wish {
    uint64_t tenant; /* who asks: the queue is fair between tenants */
    uint64_t salt;   /* the cache is shared by sequences of the same salt; mix the tenant into it */
    uint64_t group;  /* sequences of one group, not 0, have the same prompt and share its pages */
    enum seq_priority priority;
    int32_t *prompt; /* owned by the seq, which puts its answer behind it; at least one id */
    uint32_t n_prompt;
    uint32_t max_new;  /* 0: only the prompt's logprobs */
    int32_t *stop_ids; /* owned; tokens that end it and are not part of the answer */
    uint32_t n_stop_ids;
    bool ignore_stop;   /* "ignore_eos": stop_ids are banned instead */
    bool want_logprobs; /* of generated tokens */
    bool want_prompt_logprobs;
    enum seq_pool pool; /* with max_new 0: an embedding is wanted, and no logits */
    uint32_t n_hidden;  /* with it: the model's dim */
    uint32_t n_top; /* <= SEQ_TOP_MAX */
    struct sampler_params sampler;
    struct sampler_bias *bias; /* owned; what sampler.bias points to */
    struct grammar *grammar;   /* owned, a reference; NULL: any text */
    char *marker;              /* owned; see grammar_state_wait; NULL: the grammar holds at once */
    void *owner;               /* the submitter's, never touched */
};

struct seq {
    struct mailbox_node submit; /* to the engine */
    struct mailbox_node news;   /* from the engine: look at published; see engine_events */
    struct mailbox_node done;   /* from the engine: the last word */

    struct seq_wish wish;

    /* State: engine thread only. */
    struct seq *next;            /* in its queue */
    enum seq_priority level;     /* with which it runs: its priority, or better after a long wait */
    struct queue_tenant *tenant; /* the scheduler's entry for wish.tenant */
    struct kv_lease lease;
    struct sampler_past past;
    uint32_t n_done; /* positions whose K and V are in the cache */
    uint32_t n_generated;
    struct draft draft;
    struct grammar_state *grammar; /* where the answer stands; NULL: any text */
    double t_submit, t_start, t_last;
    enum seq_end ending; /* what `end` will be */

    /* How it is to end at once: set by any thread, the first.  SEQ_RUNNING: it is not. */
    _Atomic enum seq_end asked;

    /* Result. */
    int32_t *token;          /* [max_new], behind wish.prompt in memory: one text */
    uint8_t *logprob;        /* [max_new] struct seq_logprob, logprob_stride bytes each */
    uint8_t *prompt_logprob; /* [n_prompt], the first entry unused */
    size_t logprob_stride;
    float *hidden;                /* [n_hidden] pooled; to be read after the end */
    atomic_uint published;        /* tokens the loop may read */
    atomic_uint prompt_published; /* prompt logprobs likewise */
    atomic_bool started;          /* it has begun to run; n_cached is valid */
    enum seq_end end;  /* set on the receiving thread, by engine_events, with the last event */
    uint32_t n_cached; /* positions of the prompt that were in the cache when it began */
    double queue_seconds, first_seconds; /* from submission; valid once a token is published */
    double total_seconds;                /* and this at the end */
};

/*
 * Gives a sequence for *wish, taking the memory that wish points to (also on failure, which returns
 * NULL: no memory).
 */
struct seq *seq_new(const struct seq_wish *wish);

/* After the end was seen, or if it was never submitted. */
void seq_free(struct seq *s);

/* Positions its cache may need: prompt and answer. */
uint64_t seq_positions(const struct seq *s);

/* Its text so far, prompt and answer: how long, and the token at a position. */
uint32_t seq_len(const struct seq *s);
int32_t seq_token_at(const struct seq *s, uint32_t pos);

const struct seq_logprob *seq_logprob_at(const struct seq *s, uint32_t i);
const struct seq_logprob *seq_prompt_logprob_at(const struct seq *s, uint32_t i);
const char *seq_end_name(enum seq_end end); /* "stop", "length", "cancelled", "fault", "stuck" */

#endif
