/* SPDX-License-Identifier: MIT */
/*
 * engine-parts.h - the engine from the inside: what its bodies share.
 *
 *     engine.c        the thread, from opening to closing, and what other threads may call
 *     engine-step.c   one step, and the ends of sequences
 *     engine-proof.c  the first token, which proves the weights
 */
#ifndef TRIT_ENGINE_PARTS_H
#define TRIT_ENGINE_PARTS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mailbox.h"
#include "base/turn.h"
#include "engine/batch.h"
#include "engine/engine.h"
#include "engine/forecast.h"
#include "engine/kv.h"
#include "engine/seq.h"
#include "engine/stats.h"

struct grammar_masks;
struct grammar_state;
struct grammar_vocab;
struct sched;

/* What sequences with a grammar need, made by whoever is first and then the engine thread's. */
struct masks {
    struct grammar_vocab *vocab;
    struct grammar_masks *masks;
    struct grammar_state *ahead;
};

/* Of the weights. */
enum engine_proof {
    PROOF_DONE,   /* or there is nothing to prove */
    PROOF_DUE,    /* by the next step */
    PROOF_FAILED, /* nothing is computed until they are mended */
};

/* How something went, from the thread to one who waits for it. */
struct engine_word {
    sem_t told;
    int rc; /* this and *err are read after `told` was posted */
    struct trit_error err;
};

struct engine {
    struct engine_options opt;
    struct engine_stats stats;
    struct mailbox inbox;
    sem_t bell;
    pthread_t thread;
    bool stopped; /* and joined */
    atomic_bool closing;
    atomic_uint in_flight; /* submitted and not ended: bounds the queue */

    struct forecast forecast;

    _Atomic(struct masks *) masks; /* once engine_prepare_grammars has been called */

    struct crew *crew, *own_crew; /* own_crew NULL: it is shared */

    /* Opened and used by the engine thread only. */
    struct turn_place place;
    unsigned settled; /* see crew_settle */
    struct kv kv;
    struct sched *sched;
    struct batch batch;
    enum engine_proof proof;
    size_t n_ahead; /* chunks of the weights that were proved before the first step */

    atomic_bool mended; /* set by engine_mended, taken by the thread */

    struct engine_word opened, proved;
};

/* ---- engine-step.c; engine thread only */

/*
 * Plan, run, publish; with the turn, which is given back as soon as the workers are done.  `since`
 * is when it was asked for.  false: there was nothing to do.
 */
bool engine_step(struct engine *e, double since);

/* The last word on a sequence.  It must not be touched afterwards: the receiver may free it. */
void engine_finish(struct engine *e, struct seq *s, enum seq_end end);

/* Bring the statistics up to date: what is in the queue, on the pages of the pool. */
void engine_count(struct engine *e);
void engine_count_pages(struct engine *e);

/* ---- engine-proof.c; engine thread only */

/* One token through the whole model, with the turn and without sequences: proves that what there
 * is can compute, and the weights if they are to be proved. */
int engine_warm_up(struct engine *e, struct trit_error *err);

/* A step begins: whether it is the one that proves.  That one has ended: whether what it computed
 * counts. */
bool engine_begin_proof(struct engine *e);
bool engine_end_proof(struct engine *e);

/* Until the bell rings, and at most for so many seconds, prove weights ahead of that step.
 * Returns how long that took. */
double engine_prove_ahead(struct engine *e, double seconds);

/* A dummy token is that step, since nobody has come; with the turn. */
void engine_prove_alone(struct engine *e);

/* What engine_mended has said, if it has; that there will be no proof any more. */
void engine_look_mended(struct engine *e);
void engine_give_up_proof(struct engine *e);

#endif
