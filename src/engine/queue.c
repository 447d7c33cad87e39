/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a table of tenants with three lists each.
 *
 * Lists are short (the queue's limit is some hundred requests) and walked once a step, so they are
 * singly linked and searched.
 */
#include "config.h"
#include "engine/queue.h"

#include "base/base.h"

static bool is_active(const struct queue_tenant *t)
{
    return t->n_running + t->n_waiting > 0;
}

/* The tenant's entry; or one that nobody needs now; or, of too many tenants, one to share. */
static struct queue_tenant *find_tenant(struct queue *q, uint64_t id)
{
    struct queue_tenant *spare = NULL;
    for (unsigned i = 0; i < SCHED_TENANTS; i++) {
        struct queue_tenant *t = &q->tenant[i];
        if (t->id == id && (is_active(t) || t->served))
            return t;
        if (!is_active(t) && (!spare || t->served < spare->served))
            spare = t;
    }
    if (!spare)
        return &q->tenant[id % SCHED_TENANTS];
    *spare = (struct queue_tenant){.id = id};
    return spare;
}

/* Where a tenant begins who was idle: level with the least served of those who are not.  One who
 * asks for one thing after the other has his share soon, and with a debt of it would wait a step
 * more each time.  When all are idle the past is forgotten: who had the machine to himself owes
 * nobody for that. */
static uint64_t served_to_join(const struct queue *q)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < SCHED_TENANTS; i++) {
        most = MAX(most, q->tenant[i].served);
        if (is_active(&q->tenant[i]))
            least = MIN(least, q->tenant[i].served);
    }
    return least == UINT64_MAX ? most : least;
}

void queue_join(struct queue *q, struct seq *s)
{
    struct queue_tenant *t = find_tenant(q, s->wish.tenant);
    if (!is_active(t))
        t->served = served_to_join(q);
    s->tenant = t;
}

void queue_push(struct queue *q, struct seq *s, bool front)
{
    struct seq **link = &s->tenant->first[s->wish.priority];
    while (!front && *link)
        link = &(*link)->next;
    s->next = *link;
    *link = s;
    if (s->tenant->first[s->wish.priority] == s && !s->next)
        s->tenant->since[s->wish.priority] = 0;
    s->tenant->n_waiting++;
    q->n_waiting++;
}

void queue_remove(struct queue *q, struct seq *s)
{
    struct seq **link = &s->tenant->first[s->wish.priority];
    while (*link != s) {
        trit_assert(*link);
        link = &(*link)->next;
    }
    *link = s->next;
    s->tenant->n_waiting--;
    q->n_waiting--;
}

void queue_begin(struct queue *q, struct seq *s, double now)
{
    queue_remove(q, s);
    s->tenant->since[s->wish.priority] = 0;
    for (unsigned i = 0; i < SCHED_TENANTS; i++)
        for (unsigned p = s->wish.priority + 1u; p < SEQ_PRIORITIES; p++) {
            struct queue_tenant *t = &q->tenant[i];
            if (t->first[p] && t->since[p] == 0)
                t->since[p] = now;
        }
}

/* Not by how long s has waited: a tenant who asks for more than his share waits long, and is passed
 * over by nobody of a better priority. */
enum seq_priority queue_level(const struct seq *s, double now)
{
    double since = s->tenant->since[s->wish.priority];
    unsigned aged = since > 0 ? (unsigned)((now - since) / SCHED_AGEING) : 0;
    return s->wish.priority > aged ? s->wish.priority - aged : SEQ_HIGH;
}

static bool goes_before(const struct seq *a, const struct seq *b, double now)
{
    enum seq_priority x = queue_level(a, now), y = queue_level(b, now);
    if (x != y)
        return x < y;
    if (a->tenant->served != b->tenant->served)
        return a->tenant->served < b->tenant->served;
    /* Who was idle joins level with the least served, and goes first if he has less running. */
    if (a->tenant->n_running != b->tenant->n_running)
        return a->tenant->n_running < b->tenant->n_running;
    return a->t_submit < b->t_submit;
}

struct seq *queue_next(const struct queue *q, double now,
                       bool (*held)(const struct seq *s, const void *arg), const void *arg)
{
    struct seq *best = NULL;
    for (unsigned i = 0; i < SCHED_TENANTS; i++)
        for (unsigned p = 0; q->tenant[i].n_waiting && p < SEQ_PRIORITIES; p++) {
            struct seq *s = q->tenant[i].first[p];
            while (s && held(s, arg))
                s = s->next;
            if (s && (!best || goes_before(s, best, now)))
                best = s;
        }
    return best;
}

unsigned queue_active(const struct queue *q)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SCHED_TENANTS; i++)
        n += is_active(&q->tenant[i]);
    return n;
}

void queue_each(const struct queue *q, void (*fn)(struct seq *s, void *arg), void *arg)
{
    for (unsigned i = 0; i < SCHED_TENANTS; i++)
        for (unsigned p = 0; p < SEQ_PRIORITIES; p++)
            for (struct seq *s = q->tenant[i].first[p], *next; s; s = next) {
                next = s->next;
                fn(s, arg);
            }
}
