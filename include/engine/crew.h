/* SPDX-License-Identifier: MIT */
/*
 * crew.h - the workers that several engines share: one team, and the turn at it.
 *
 * Each engine has a thread of its own, which is worker 0 while it has the turn.  It takes the turn
 * for one step and gives it back; an engine without work never asks for it.  Time is shared fairly
 * between those who have work (base/turn.h).
 */
#ifndef TRIT_CREW_H
#define TRIT_CREW_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/turn.h"

struct team;
struct trit_error;

struct crew {
    struct turn turn;
    struct team *team; /* used by who has the turn; its size by nobody else */
    bool pin;
    unsigned size;      /* workers there are, read and written by who has the turn */
    unsigned asked;     /* for how many they stand, likewise */
    atomic_uint wanted; /* workers there shall be */
};

/* n workers, at most `room` later.  -TRIT_ENOMEM, -TRIT_EINVAL as team_open_room. */
int crew_open(struct crew **c, unsigned n, unsigned room, bool pin, struct trit_error *err);

/* No engine uses it any more. */
void crew_close(struct crew **c);

/* So many workers from the next step on, of whichever engine.  Any thread; who has no work has to
 * be woken to see it. */
void crew_set_threads(struct crew *c, unsigned n);

/*
 * Engine threads, with the turn: bring the team to the wanted size, and bind this thread where
 * workers are bound.  *seen is the caller's, 0 at first: what it was bound for.  Returns how many
 * there are.
 */
unsigned crew_settle(struct crew *c, unsigned *seen);

/* Whether crew_settle has something to do for a thread that has seen that. */
bool crew_unsettled(const struct crew *c, unsigned seen);

#endif
