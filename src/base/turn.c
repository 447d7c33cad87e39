/* SPDX-License-Identifier: MIT */
/*
 * turn.c - one mutex, held for a few instructions, and a condition for each place, so that only who
 * has the turn wakes up.
 */
#include "config.h"
#include "base/turn.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#include "base/base.h"

void turn_init(struct turn *t)
{
    *t = (struct turn){0};
    trit_assert(pthread_mutex_init(&t->lock, NULL) == 0);
}

void turn_fini(struct turn *t)
{
    trit_assert(!t->holder && !t->first);
    trit_assert(pthread_mutex_destroy(&t->lock) == 0);
}

void turn_place_init(struct turn_place *p)
{
    pthread_condattr_t attr;
    *p = (struct turn_place){0};
    trit_assert(pthread_condattr_init(&attr) == 0);
    trit_assert(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    trit_assert(pthread_cond_init(&p->go, &attr) == 0);
    trit_assert(pthread_condattr_destroy(&attr) == 0);
}

void turn_place_fini(struct turn_place *p)
{
    trit_assert(!p->waits && !p->has);
    trit_assert(pthread_cond_destroy(&p->go) == 0);
}

/* ------------------------------------------------------------------ with the lock held */

static void leave_queue(struct turn *t, struct turn_place *p)
{
    struct turn_place **link = &t->first;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    p->waits = false;
}

static void grant(struct turn *t, struct turn_place *p)
{
    t->holder = p;
    t->clock = fmax(t->clock, p->used);
    p->has = true;
}

/* Of those who wait. */
static struct turn_place *least(const struct turn *t)
{
    struct turn_place *best = t->first;
    for (struct turn_place *p = best; p; p = p->next)
        if (p->used < best->used)
            best = p;
    return best;
}

static struct timespec until(double seconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    double whole = floor(seconds);
    at.tv_sec += (time_t)whole;
    at.tv_nsec += (long)((seconds - whole) * 1e9);
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

/* ------------------------------------------------------------------ for everybody */

bool turn_take(struct turn *t, struct turn_place *p, double seconds)
{
    if (p->has) /* kept */
        return true;
    pthread_mutex_lock(&t->lock);
    if (!p->busy) /* Who was only slow to come back keeps what he is owed. */
        p->used = fmax(p->used, t->clock);
    if (!t->holder) {
        grant(t, p);
        pthread_mutex_unlock(&t->lock);
        return true;
    }
    struct timespec end = until(seconds);
    p->waits = true;
    p->next = t->first;
    t->first = p;
    while (!p->has && pthread_cond_timedwait(&p->go, &t->lock, &end) != ETIMEDOUT)
        ;
    if (p->waits)
        leave_queue(t, p);
    bool has = p->has;
    pthread_mutex_unlock(&t->lock);
    return has;
}

void turn_give(struct turn *t, struct turn_place *p, double seconds, bool again)
{
    pthread_mutex_lock(&t->lock);
    trit_assert(p->has ? t->holder == p : seconds == 0 && !again);
    p->used += seconds;
    p->busy = again;
    if (!p->has) {
        pthread_mutex_unlock(&t->lock);
        return;
    }
    struct turn_place *best = least(t);
    if (best && again && p->used <= best->used + TURN_QUANTUM) {
        pthread_mutex_unlock(&t->lock);
        return;
    }
    p->has = false;
    t->holder = NULL;
    if (best) {
        leave_queue(t, best);
        grant(t, best);
        pthread_cond_signal(&best->go);
    }
    pthread_mutex_unlock(&t->lock);
}

bool turn_has(const struct turn_place *p)
{
    return p->has;
}
