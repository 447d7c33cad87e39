/* SPDX-License-Identifier: MIT */
/*
 * queue.h - those who wait, by tenant and priority, and who of them is next.
 *
 * Private to the scheduler (engine/sched.h says by which rules).
 */
#ifndef TRIT_QUEUE_H
#define TRIT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/sched.h"

struct queue_tenant {
    uint64_t id;
    uint64_t served; /* tokens computed for it */
    uint32_t n_running, n_waiting;
    struct seq *first[SEQ_PRIORITIES];
    double since[SEQ_PRIORITIES]; /* that queue is passed over by a better priority; 0: it is not */
};

/* Whether t has so few running places beside u that others make way for it: two less. */
static inline bool queue_is_behind(const struct queue_tenant *t, const struct queue_tenant *u)
{
    return t->n_running + 1 < u->n_running;
}

/* Zeroed: empty. */
struct queue {
    struct queue_tenant tenant[SCHED_TENANTS];
    uint32_t n_waiting;
};

/* Who s belongs to: sets s->tenant.  Before its first push. */
void queue_join(struct queue *q, struct seq *s);

/* s waits from now on, behind the others of its tenant and priority or before them. */
void queue_push(struct queue *q, struct seq *s, bool front);

/* s, which waits, waits no more: it is gone, or begins to run. */
void queue_remove(struct queue *q, struct seq *s);
void queue_begin(struct queue *q, struct seq *s, double now);

/* The next to run, of those that are not held back; NULL: nobody.  It stays in the queue. */
struct seq *queue_next(const struct queue *q, double now,
                       bool (*held)(const struct seq *s, const void *arg), const void *arg);

/* The priority with which s, which waits, would begin now: it ages with its queue. */
enum seq_priority queue_level(const struct seq *s, double now);

/* Tenants who run or wait. */
unsigned queue_active(const struct queue *q);

/* fn(s, arg) for everyone; fn may remove that one. */
void queue_each(const struct queue *q, void (*fn)(struct seq *s, void *arg), void *arg);

#endif
