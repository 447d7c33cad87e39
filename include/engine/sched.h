/* SPDX-License-Identifier: MIT */
/*
 * sched.h - who runs, and what of it in the next step.
 *
 * Waiting: every tenant has a queue for each priority.  The next to run is the first of a queue,
 * chosen by priority, then by the tenant who has been served the fewest tokens, then by arrival.
 *
 *  - Fair between tenants: tokens computed are charged to the tenant as they are computed, so that
 *    nothing has to be guessed beforehand; whoever comes back from idleness starts level with the
 *    least served, with neither credit nor debt.  (The virtual token counter of Sheng et al.,
 *    "Fairness in Serving Large Language Models", OSDI 2024, which is deficit round robin paid
 *    afterwards.)
 *  - Nobody starves: each SCHED_AGEING seconds in which others of better priority began and nobody
 *    of a queue did count as one priority more for it, and with what priority a sequence began it
 *    runs.
 *  - Running places are shared too: who waits while another tenant has two more places than his
 *    own, or while one of lower priority runs, takes a place from the latest of those (preemption).
 *    It goes back to the front of its queue and keeps its pages; only if those are needed are they
 *    given up, and then computed again before it goes on: with the same bits, since no result
 *    depends on how a text was cut into steps.
 *
 * Memory: a sequence begins to run when its worst case of pages is promised.
 *
 * Running: first a row for everyone who is talking, then prompts, as many rows as the time between
 * tokens allows: the step is to take token_target seconds, or 1.3 times as long as it would without
 * prompts if that is more.  When more are reading than talking it may take as many times that, up
 * to two: then most clients wait for their first word, and larger steps get more done; but not
 * where several tenants are, or were just now, who would wait for its end.  One step in 64 at least
 * goes without them, to see what that takes.  Prompts share the rest: first those of the least
 * served tenant, and of his the one that is the shortest or has waited long enough to make up for
 * its length, so that a long one is in nobody's way and none is passed over for ever by those that
 * are a little shorter; from a second on half is for the oldest, so that it gets through.  If that
 * is not enough for four of its rows, as it is where a prompt has become long, it saves it up and
 * has four in a later step: the others wait as long on average, but not in every step.
 *
 * Guests: who has two places less than another tenant, and waits for his first word, waits for the
 * end of the step already.  If his prompt takes no longer than some steps may, the next step is for
 * it and for those of his like alone; then it is everybody's turn again.
 *
 * No clock, no model, no thread: time is a parameter and computing is the caller's, so that a test
 * may drive it through anything.  One owner, the engine thread.
 */
#ifndef TRIT_SCHED_H
#define TRIT_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pace.h"
#include "engine/seq.h"

struct sched;
struct trit_error;

#define SCHED_AGEING 10.0    /* seconds */
enum { SCHED_TENANTS = 64 }; /* told apart at a time; more share their places */

struct sched_options {
    struct kv *kv;         /* borrowed */
    uint32_t max_running;  /* sequences running together */
    uint32_t max_rows;     /* of a step; at least max_running */
    uint32_t max_slots;    /* rows of a step whose logits are wanted; at least max_running */
    uint32_t draft_tokens; /* to guess ahead; 0: none */
    double token_target;   /* seconds */
};

/* What one sequence does in the planned step: rows for its positions [n_done, n_done + n_rows),
 * then rows for n_guesses tokens that are not of its text yet. */
struct sched_item {
    struct seq *s;
    uint32_t n_rows, n_guesses;
    int32_t guess[SEQ_DRAFT_MAX];
};

struct sched_plan {
    const struct sched_item *item; /* those who talk first */
    uint32_t n_items, n_talking;
    uint32_t n_rows;
    double positions; /* that all rows look at, for pace.h */
    bool more;        /* prompts want more rows than there was room for */
};

int sched_open(const struct sched_options *opt, struct sched **sc, struct trit_error *err);
void sched_close(struct sched **sc); /* nobody waits or runs */

/* A new sequence waits from now on. */
void sched_add(struct sched *sc, struct seq *s);

/*
 * Let begin who may, then plan a step; pages for its rows are taken.  started(s, arg) is called for
 * everyone who begins to run for the first time.  No items: nobody can run.
 */
typedef void (*sched_started_fn)(struct seq *s, void *arg);
const struct sched_plan *sched_plan(struct sched *sc, double now, sched_started_fn started,
                                    void *arg);

/*
 * After the step: the values of `n` further positions of s, which are its text now, are computed.
 * The seconds of the step are told by sched_learn, once, and how many of them went into attention.
 */
void sched_computed(struct sched *sc, struct seq *s, uint32_t n);
void sched_learn(struct sched *sc, double seconds, double attention);

/* s waits or runs, and is to be forgotten: its pages are given back, or if they are not to be
 * trusted thrown away. */
void sched_leave(struct sched *sc, struct seq *s, bool trusted);

/* What is computed and kept is not to be trusted: who runs waits again, first in his queue, and all
 * of everyone's text is to be computed. */
void sched_start_over(struct sched *sc);

/* fn(s, arg) for everyone; fn may let that one leave. */
void sched_each(struct sched *sc, void (*fn)(struct seq *s, void *arg), void *arg);

/* Nobody waits or runs. */
bool sched_is_empty(const struct sched *sc);

struct sched_counts {
    uint32_t running;
    uint64_t prompt_tokens; /* that those who run still read before they talk */
    uint64_t preempted;     /* since the beginning */
};
void sched_count(const struct sched *sc, struct sched_counts *c);

/* Everything agrees with everything, or it asserts.  For tests. */
void sched_check(const struct sched *sc);

#endif
