/* SPDX-License-Identifier: MIT */
/*
 * engine.h - the engine thread: sequences in, tokens out, continuous batching in between.
 *
 * One step: take in what the mailbox holds, drop the cancelled, let the scheduler plan
 * (engine/sched.h), one forward pass over the ragged batch that it planned, sample, publish.
 * Without work the thread sleeps and costs nothing.
 *
 * For every successful engine_submit the submitter sees the sequence's end exactly once, through
 * the mailbox passed to engine_open, whatever happens.
 */
#ifndef TRIT_ENGINE_H
#define TRIT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/acts.h"
#include "kernels/kernels.h"

struct crew;
struct engine;
struct engine_stats;
struct mailbox;
struct model;
struct seq;
struct trit_error;

struct engine_options {
    const struct model *model; /* borrowed until engine_close */
    const struct kernels *kernels;
    struct crew *crew;    /* the workers, shared with others; NULL: its own, by what follows */
    unsigned threads;     /* worker team, the engine thread included */
    unsigned max_threads; /* that engine_set_threads may ask for; 0: as many as threads */
    bool pin;
    enum kv_type kv_type; /* how keys and values are kept */
    enum acts_type acts;  /* what linear layers take */
    size_t kv_bytes;
    uint32_t n_ctx;          /* longest prompt + answer of one sequence */
    uint32_t max_batch;      /* sequences running together */
    uint32_t step_tokens;    /* rows of a step */
    double token_target;     /* seconds between tokens to hold while prompts are read */
    uint32_t draft_tokens;   /* guessed ahead for each sequence, at most SEQ_DRAFT_MAX; 0: none */
    bool prefix_cache;       /* keep pages for texts that begin alike */
    bool lasting;            /* keep those for the next process too, see kv_open_lasting */
    int kv_fd;               /* with lasting: what the last one has left, or POOL_NEW */
    uint32_t queue_requests; /* sequences that may wait */
    uint64_t queue_tokens;   /* prompt tokens that may wait: for who lets requests in, as a whole */
    bool prove_later;        /* by the first step, whoever it is for: see engine_open */
    struct mailbox *events;  /* of struct seq.from_engine; drained by the loop thread */
};

/*
 * Starts the thread and runs one dummy token through the model before it returns: who is told that
 * the engine is open need not doubt that it can answer.  With prove_later, where the weights are
 * still to be proved (model_prove), it returns before that: the first step proves them, and
 * publishes nothing of what it has computed with damaged ones.  Gives *e.  Takes opt->kv_fd, also
 * on failure.
 */
int engine_open(const struct engine_options *opt, struct engine **e, struct trit_error *err);

/*
 * After engine_open, and again after engine_mended: wait for the proof, which a dummy token brings
 * if no client comes within a moment.  At once where there was nothing to prove later.
 * -TRIT_EFORMAT: they are damaged, if model_is_damaged, and nothing is computed from now on: who
 * has been submitted waits. -TRIT_ECANCELLED: the engine was stopped before.
 */
int engine_await_proof(struct engine *e, struct trit_error *err);

/* The model has whole weights now (model_take_weights): those who wait are computed with them. */
void engine_mended(struct engine *e);

/* Ends every sequence as cancelled, then the thread.  The events are posted before it returns.  The
 * functions for any thread may still be called. */
void engine_stop(struct engine *e);

/* The same, unless it was done, and forgets all. */
void engine_close(struct engine **e);

/*
 * Hand a sequence over.  Any thread.  On success the engine owns it until its end is posted.
 * -TRIT_EBUSY: max_batch + queue_requests are there; -TRIT_ECONTEXT: prompt + max_new exceed n_ctx,
 * or the whole pool.  The caller still owns *s then.  Tokens are counted (engine_stats), but refuse
 * nobody: of a request that was let in no part may be refused for those before it.
 */
int engine_submit(struct engine *e, struct seq *s, struct trit_error *err);

/*
 * Look at what the engine has sent: fn(s, arg) for every sequence with news, on the calling thread,
 * which is the mailbox's owner.  When s->end is no longer SEQ_RUNNING this was the last call for
 * it: the engine has forgotten it and fn may free it.
 */
void engine_events(struct mailbox *events, void (*fn)(struct seq *s, void *arg), void *arg);

/*
 * Make ready for sequences with a grammar: the vocabulary as a tree, the cache of masks.  Any
 * thread, any number of times; the first takes a tenth of a second, so not on one that others wait
 * for.  engine_submit does it where nobody has.  -TRIT_ENOMEM.
 */
int engine_prepare_grammars(struct engine *e, struct trit_error *err);

/*
 * Ask for the end of a submitted sequence: nobody wants it any more, SEQ_CANCELLED; or its answer
 * is complete, found by who reads it, which counts as SEQ_STOP.  Any thread, any time before its
 * end was seen; the first holds, and may lose the race against another end.
 */
void engine_cancel(struct engine *e, struct seq *s);
void engine_enough(struct engine *e, struct seq *s);

/*
 * What a sequence of n_prompt tokens and at most max_new to generate may expect if it is submitted
 * now, from what recent steps and answers took and what is ahead of it: seconds from now until it
 * begins to run, to its first token and to its end; and how many of those to the first token its
 * own prompt takes.  Its answer is taken to be twice as long as the recent ones on average, or
 * max_new if that is less.  Zeros while nothing is known, and where nothing is ahead and nothing
 * was computed for ten seconds (FORECAST_REST in forecast.h).  Any thread.
 *
 * The scheduler is fair, so of what others wait for no more is ahead of a tenant than his own share
 * makes it: he says how many sequences and prompt tokens of his own are not done yet, and how many
 * tenants there are.  NULL: all that is there is his.
 */
struct engine_estimate {
    double start, first, end;
    double read; /* of `first` */
};
struct engine_claim {
    uint32_t sequences;
    uint64_t tokens;
    uint32_t tenants; /* >= 1, himself included */
};
struct engine_estimate engine_estimate(const struct engine *e, const struct engine_claim *own,
                                       uint32_t n_prompt, uint32_t max_new);

/* Compute with n threads from the next step on, 1 <= n <= max_threads; a shared crew, all of its
 * engines, each of which is to be told.  Any thread. */
void engine_set_threads(struct engine *e, unsigned n);

/* What worker i has done so far, in seconds: computed, and waited for the others within steps.
 * false: there are not so many.  Any thread. */
bool engine_worker(const struct engine *e, unsigned i, double *busy, double *wait);

/* The KV pool's memfd, for whoever keeps it for the next process; -1: it is not lasting.
 * *inherited: it is the one that was given to engine_open. */
int engine_kv_fd(const struct engine *e, bool *inherited);

/* POOL_SECRET_BYTES that last as long as the memfd does, for the salts of sequences: with others
 * nothing of a predecessor's would be found.  NULL: it is not lasting. */
const uint8_t *engine_kv_secret(const struct engine *e);

const struct engine_stats *engine_stats(const struct engine *e);
const struct engine_options *engine_options(const struct engine *e);

#endif
