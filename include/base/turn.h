/* SPDX-License-Identifier: MIT */
/*
 * turn.h - a turnstile: several threads share one thing that one of them has at a time, and who
 * wants it has his share of its time.
 *
 * Each has a place and an account of the seconds that it has used.  The turn goes to the waiting
 * place with the least on its account; a place that has not wanted anything for a while begins
 * where the others are, so idleness is no credit.  The thread that had the turn competes too if it
 * says that it will want it again: of two that always want it, one with steps of 1 ms has ten for
 * each of 10 ms of the other.  So that switching, which costs some ten microseconds, is not done
 * for less, a place may be TURN_QUANTUM ahead of who waits before it has to give way.
 *
 * Free, the turn is taken and given by one uncontended mutex.
 *
 * Seconds are the caller's word: nothing in here looks at a clock but to end a wait.
 */
#ifndef TRIT_TURN_H
#define TRIT_TURN_H

#include <pthread.h>
#include <stdbool.h>

#define TURN_QUANTUM 0.002 /* seconds */

struct turn_place {
    struct turn_place *next; /* in the queue */
    double used;             /* seconds on its account */
    bool waits, has, busy;   /* busy: it said that it wants more */
    pthread_cond_t go;
};

struct turn {
    pthread_mutex_t lock;
    struct turn_place *holder; /* NULL: free */
    struct turn_place *first;  /* those who wait, in no order */
    double clock;              /* the account of the latest holder when it got the turn */
};

void turn_init(struct turn *t);
void turn_fini(struct turn *t); /* free, and nobody waits */

void turn_place_init(struct turn_place *p);
void turn_place_fini(struct turn_place *p);

/*
 * Wait for the turn, `seconds` at most; true: this place has it, until turn_give.  At once where it
 * has kept it.  One thread for each place.
 */
bool turn_take(struct turn *t, struct turn_place *p, double seconds);

/*
 * So many seconds were used.  again: more is wanted at once; then, where others wait but have had
 * no less, the place keeps the turn, and the next turn_take returns at once.  Kept or lost, it is
 * owed what others use from now on.  A place that has said so and finds that it wants nothing after
 * all gives again, with 0 and false, also where it has not kept the turn; then it rests.
 */
void turn_give(struct turn *t, struct turn_place *p, double seconds, bool again);

/* Whether the place has the turn; its own thread. */
bool turn_has(const struct turn_place *p);

#endif
