/* SPDX-License-Identifier: MIT */
/*
 * team.h - a fixed team of worker threads that run one function together.
 *
 * The caller of team_run is worker 0; the others sleep on a futex between runs and cost nothing.
 * Inside a run, work is cut in phases by barriers.  Within a phase the workers deal the items among
 * themselves with team_take: whoever is free takes the next, so a worker that is slowed down by a
 * neighbour holds nobody up for long.  Which worker does which item must never matter to the
 * result.
 *
 *     static void run(void *ctx, unsigned worker) {
 *         for (size_t i; (i = team_take(team, 1)) < n_rows;) ...;
 *         team_barrier(team);
 *         for (size_t i; (i = team_take(team, 4)) < n_tiles; ) ... up to MIN(i + 4, n_tiles)
 *     }
 *
 * Not here: tasks, queues, futures, nesting.  One run at a time; different threads may start them
 * where something else orders those (base/turn.h).
 */
#ifndef TRIT_TEAM_H
#define TRIT_TEAM_H

#include <stdbool.h>
#include <stddef.h>

struct team;
struct trit_error;

typedef void (*team_fn)(void *ctx, unsigned worker);

/* Some hundred nanoseconds of what is of use but may be left undone; false: no more of it. */
typedef bool (*team_idle_fn)(void *ctx);

/*
 * Start n - 1 threads (n >= 1).  `pin` binds worker i to the i-th processor this process may use;
 * worker 0 is the calling thread.
 * -TRIT_ENOMEM with *err when a thread cannot be had; nothing is left behind then.
 */
int team_open(struct team **team, unsigned n, bool pin, struct trit_error *err);

/* The same, with room for team_resize() to ask for more later; and the calling thread is not bound:
 * whoever calls team_run() calls team_bind() first, where that is wanted. */
int team_open_room(struct team **team, unsigned n, unsigned room, bool pin, struct trit_error *err);

void team_close(struct team **team);

unsigned team_size(const struct team *team);

/*
 * Between runs, by the thread that starts them: n workers from now on, at most team_room().  When
 * fewer threads can be had there are fewer; returns how many.  Pinned workers are bound anew, to
 * the processors that the process may use now; the caller, by team_bind().
 */
unsigned team_resize(struct team *team, unsigned n);
unsigned team_room(const struct team *team);

/* Bind the calling thread as worker 0 is to be. */
void team_bind(const struct team *team);

/* Run fn(ctx, worker) on every worker; returns when all have returned. */
void team_run(struct team *team, team_fn fn, void *ctx);

/* Inside a run: wait until every worker is here.  Also starts the next dealing from zero. */
void team_barrier(struct team *team);

/* The same; a worker that has to wait calls `idle` meanwhile, until all are here or it says
 * false. */
void team_barrier_idle(struct team *team, team_idle_fn idle, void *ctx);

/* Inside a run: the first of `grain` consecutive items nobody else has in this phase. */
size_t team_take(struct team *team, size_t grain);

/*
 * What worker `worker` < team_room() has done since the team was opened: seconds of running, and of
 * waiting for the others at barriers.  Between runs it does neither.  Any thread.
 */
void team_seconds(const struct team *team, unsigned worker, double *busy, double *wait);

/*
 * Processors this process can really use: its affinity mask, or the cgroup's CPU quota rounded down
 * where that is less; at least 1.
 */
unsigned team_usable_cpus(void);

/* It is at most n from now on.  Before there are threads. */
void team_limit_cpus(unsigned n);

#endif
