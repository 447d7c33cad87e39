/* SPDX-License-Identifier: MIT */
/*
 * admit.c - counts, buckets and shares.  Nothing in here waits, allocates for a request, or looks
 * at a clock.
 */
#include "config.h"
#include "server/admit.h"

#include <math.h>
#include <string.h>

#include <nettle/sha2.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/engine.h"

#define MINUTE 60.0

/* Of an estimate, see admit_first(): at first, at least and at most, and how far one that was late
 * moves it up; 24 in time move it down as far. */
#define MARGIN       1.3
#define MARGIN_LEAST 1.1
#define MARGIN_MOST  3.0
#define MARGIN_STEP  0.05
#define IN_TIME      24
#define TELLING      0.25 /* seconds of waiting; less is mostly the step that runs just now */

/* ------------------------------------------------------------------ buckets */

double admit_level(struct admit_bucket *b, double now)
{
    if (now > b->at) {
        b->level = fmin(b->size, b->level + (now - b->at) * b->size / MINUTE);
        b->at = now;
    }
    return b->level;
}

double admit_full_in(struct admit_bucket *b, double now)
{
    return b->size > 0 ? (b->size - admit_level(b, now)) * MINUTE / b->size : 0;
}

/* Whether `cost` is there; else *wait says in how many seconds it will be. */
static bool holds(struct admit_bucket *b, double cost, double now, double *wait)
{
    if (b->size == 0 || admit_level(b, now) >= cost)
        return true;
    *wait = (cost - b->level) * MINUTE / b->size;
    return false;
}

static void take(struct admit_bucket *b, double cost)
{
    if (b->size > 0)
        b->level -= cost;
}

static void give_back(struct admit_bucket *b, double cost, double now)
{
    if (b->size > 0)
        b->level = fmin(b->size, admit_level(b, now) + cost);
}

/* A new size keeps what is in the bucket; one that had none begins full. */
static void resize(struct admit_bucket *b, double size)
{
    b->level = b->size > 0 ? fmin(b->level, size) : size;
    b->size = size;
}

/* ------------------------------------------------------------------ tenants */

void admit_init(struct admit *a)
{
    *a = (struct admit){.nobody = {.grant = {.highest = SEQ_HIGH}, .listed = true}};
}

void admit_fini(struct admit *a)
{
    for (unsigned q = 0; q < ADMIT_QUEUES; q++)
        trit_assert(a->queue[q].held == 0);
    trit_assert(a->nobody.in_flight == 0);
    for (struct tenant *t = a->tenants, *next; t; t = next) {
        next = t->next;
        trit_assert(t->refs == 0 && t->in_flight == 0);
        mem_free(t);
    }
    a->tenants = NULL;
}

void admit_set_room(struct admit *a, unsigned q, uint32_t running, uint32_t queue,
                    uint64_t queue_tokens)
{
    trit_assert(q < ADMIT_QUEUES && a->queue[q].held == 0);
    a->queue[q] =
        (struct admit_queue){.running = running, .queue = queue, .queue_tokens = queue_tokens};
}

struct tenant *admit_find(struct admit *a, const char *name)
{
    for (struct tenant *t = a->tenants; t; t = t->next)
        if (strcmp(t->grant.name, name) == 0)
            return t;
    return NULL;
}

/* The same number for the same name, in every process. */
static uint64_t id_of(const char *name)
{
    struct sha256_ctx ctx;
    uint64_t id;
    sha256_init(&ctx);
    sha256_update(&ctx, strlen(name), (const uint8_t *)name);
    sha256_digest(&ctx, sizeof id, (uint8_t *)&id);
    return id ? id : 1;
}

static void sweep(struct admit *a)
{
    for (struct tenant **link = &a->tenants; *link;) {
        struct tenant *t = *link;
        if (t->listed || t->refs) {
            link = &t->next;
            continue;
        }
        trit_assert(t->in_flight == 0);
        *link = t->next;
        mem_free(t);
    }
}

static struct tenant *add(struct admit *a, const char *name)
{
    struct tenant *t = mem_zalloc(1, sizeof *t);
    if (!t)
        return NULL;
    memcpy(t->grant.name, name, sizeof t->grant.name);
    struct tenant **last = &a->tenants;
    while (*last)
        last = &(*last)->next;
    *last = t;
    return t;
}

int admit_set_tenants(struct admit *a, const struct admit_grant *const *grant, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!admit_find(a, grant[i]->name) && !add(a, grant[i]->name)) {
            sweep(a); /* The new ones are not listed yet. */
            return -TRIT_ENOMEM;
        }
    }
    for (struct tenant *t = a->tenants; t; t = t->next)
        t->listed = false;
    a->n_listed = 0;
    for (size_t i = 0; i < n; i++) {
        struct tenant *t = admit_find(a, grant[i]->name);
        a->n_listed += !t->listed;
        t->listed = true;
        t->grant = *grant[i];
        t->id = id_of(admit_tenant(grant[i]));
        resize(&t->requests, grant[i]->requests);
        resize(&t->tokens, grant[i]->tokens);
    }
    sweep(a);
    return 0;
}

void admit_hold(struct tenant *t)
{
    t->refs++;
}

void admit_let_go(struct admit *a, struct tenant *t)
{
    trit_assert(t->refs > 0);
    if (--t->refs == 0 && !t->listed)
        sweep(a);
}

/* ------------------------------------------------------------------ the queue */

/* More than half of the room is always more than a share. */
uint64_t admit_largest(const struct admit *a, unsigned q)
{
    const struct admit_queue *all = &a->queue[q];
    return (uint64_t)all->running + all->queue - (a->n_listed > 1 ? all->queue / 4 : 0);
}

/*
 * Whether there is place for `more` where `all` of `room` are taken, `own` of them by the one who
 * asks, who shares with so many others.  Alone among several it is already one of two: the others
 * are to find the reserve open when they come.
 */
static bool has_place(const struct admit *a, uint64_t room, uint64_t reserve, uint64_t all,
                      uint64_t own, uint64_t others, uint64_t more)
{
    if (a->n_listed > 1 && own + more > room / (MAX(others, 1) + 1))
        room -= reserve;
    return all + more <= room;
}

static bool holds_any(const struct tenant *t, unsigned q, enum seq_priority priority)
{
    for (unsigned p = 0; p <= priority; p++)
        if (t->seat[q].of[p].held > 0)
            return true;
    return false;
}

/* Other tenants who have something of that priority or a better one in the engine. */
static uint32_t count_others(const struct admit *a, unsigned q, const struct tenant *t,
                             enum seq_priority priority)
{
    uint32_t others = t != &a->nobody && holds_any(&a->nobody, q, priority);
    for (const struct tenant *o = a->tenants; o; o = o->next)
        others += o != t && holds_any(o, q, priority);
    return others;
}

static bool fits(const struct admit *a, unsigned q, const struct tenant *t, uint32_t sequences)
{
    const struct admit_queue *all = &a->queue[q];
    uint64_t room = (uint64_t)all->running + all->queue, others = count_others(a, q, t, SEQ_LOW);
    return room == 0 ||
           has_place(a, room, all->queue / 4, all->held, t->seat[q].held, others, sequences);
}

/* A single prompt longer than the whole allowance must still be served, so it may enter an empty
 * queue. */
static bool fits_tokens(const struct admit *a, unsigned q, const struct tenant *t, uint64_t tokens,
                        uint64_t waiting)
{
    uint64_t room = a->queue[q].queue_tokens;
    uint64_t others = a->nobody.seat[q].waiting_tokens > 0 && t != &a->nobody;
    for (const struct tenant *o = a->tenants; o; o = o->next)
        others += o != t && o->seat[q].waiting_tokens > 0;
    return room == 0 || waiting == 0 ||
           has_place(a, room, room / 4, waiting, t->seat[q].waiting_tokens, others, tokens);
}

/* ------------------------------------------------------------------ requests */

static enum admit_verdict judge(struct admit *a, unsigned q, struct tenant *t, uint32_t sequences,
                                uint64_t waiting, double now, double *wait)
{
    *wait = 0;
    if (t->grant.concurrency && t->in_flight >= t->grant.concurrency)
        return ADMIT_CONCURRENCY;
    if (!holds(&t->requests, 1, now, wait))
        return ADMIT_RATE_REQUESTS;
    if (!holds(&t->tokens, 1, now, wait))
        return ADMIT_RATE_TOKENS;
    if (!fits(a, q, t, sequences))
        return ADMIT_QUEUE_REQUESTS;
    if (!fits_tokens(a, q, t, 1, waiting))
        return ADMIT_QUEUE_TOKENS;
    return ADMIT_YES;
}

enum admit_verdict admit_look(struct admit *a, unsigned q, struct tenant *t, uint64_t waiting,
                              double now, double *wait)
{
    return judge(a, q, t, 1, waiting, now, wait);
}

enum admit_verdict admit_ask(struct admit *a, unsigned q, struct tenant *t, uint32_t sequences,
                             enum seq_priority priority, uint64_t waiting, double now,
                             struct admit_ticket *ticket, double *wait)
{
    trit_assert(!ticket->tenant && sequences > 0);
    enum admit_verdict verdict = judge(a, q, t, sequences, waiting, now, wait);
    if (verdict != ADMIT_YES)
        return verdict;
    take(&t->requests, 1);
    t->in_flight++;
    t->seat[q].held += sequences;
    t->seat[q].of[priority].held += sequences;
    a->queue[q].held += sequences;
    *ticket = (struct admit_ticket){
        .tenant = t, .queue = q, .priority = priority, .sequences = sequences};
    return ADMIT_YES;
}

enum admit_verdict admit_charge(struct admit *a, struct admit_ticket *ticket, uint64_t prompt,
                                uint64_t cost, uint64_t waiting, double now, double *wait)
{
    struct tenant *t = ticket->tenant;
    trit_assert(t && ticket->charged == 0 && ticket->waiting == 0);
    *wait = 0;
    /* cppcheck-suppress nullPointerRedundantCheck ; the assertion does not return */
    if (t->tokens.size > 0 && (double)cost > t->tokens.size)
        return ADMIT_TOO_LARGE;
    if (!holds(&t->tokens, (double)cost, now, wait))
        return ADMIT_RATE_TOKENS;
    if (!fits_tokens(a, ticket->queue, t, prompt, waiting))
        return ADMIT_QUEUE_TOKENS;
    take(&t->tokens, (double)cost);
    t->seat[ticket->queue].waiting_tokens += prompt;
    t->seat[ticket->queue].of[ticket->priority].waiting_tokens += prompt;
    ticket->charged = cost;
    ticket->waiting = prompt;
    return ADMIT_YES;
}

struct engine_claim admit_claim(const struct admit *a, unsigned q, const struct tenant *t,
                                enum seq_priority priority, const struct admit_ticket *ticket)
{
    struct engine_claim c = {.tenants = 1 + count_others(a, q, t, priority)};
    for (unsigned p = 0; p <= priority; p++) {
        c.sequences += t->seat[q].of[p].held;
        c.tokens += t->seat[q].of[p].waiting_tokens;
    }
    if (ticket) {
        trit_assert(ticket->queue == q && ticket->priority <= priority);
        c.sequences -= ticket->sequences;
        c.tokens -= ticket->waiting;
    }
    return c;
}

enum admit_verdict admit_deadline(const struct engine_estimate *e, double left, double *wait)
{
    *wait = e->end - left;
    return e->end <= left ? ADMIT_YES : ADMIT_DEADLINE;
}

static double margin_of(const struct admit *a, unsigned q)
{
    return a->queue[q].margin > 0 ? a->queue[q].margin : MARGIN;
}

enum admit_verdict admit_first(const struct admit *a, unsigned q, const struct engine_estimate *e,
                               double target, double *wait)
{
    double limit = target > 0 ? fmax(target, e->read + target / 2) : INFINITY;
    double first = e->read + (e->first - e->read) * margin_of(a, q);
    *wait = first - limit;
    return first <= limit ? ADMIT_YES : ADMIT_LATE;
}

void admit_expect(struct admit_ticket *ticket, const struct engine_estimate *e, double now)
{
    ticket->asked = now;
    ticket->read = e->read;
    ticket->expected = e->first - e->read;
}

void admit_heard(struct admit *a, struct admit_ticket *ticket, double now)
{
    double waited = now - ticket->asked - ticket->read;
    if (ticket->tenant && ticket->expected >= TELLING) {
        double margin = margin_of(a, ticket->queue);
        margin += waited > margin * ticket->expected ? MARGIN_STEP : -MARGIN_STEP / IN_TIME;
        a->queue[ticket->queue].margin = fmin(fmax(margin, MARGIN_LEAST), MARGIN_MOST);
    }
    ticket->expected = 0;
}

void admit_begun(struct admit_ticket *ticket, uint64_t tokens)
{
    tokens = MIN(tokens, ticket->waiting);
    if (!ticket->tenant)
        return;
    ticket->waiting -= tokens;
    ticket->tenant->seat[ticket->queue].waiting_tokens -= tokens;
    ticket->tenant->seat[ticket->queue].of[ticket->priority].waiting_tokens -= tokens;
}

static void leave(struct admit *a, struct admit_ticket *ticket, uint32_t sequences)
{
    struct admit_seat *seat = &ticket->tenant->seat[ticket->queue];
    struct admit_queue *all = &a->queue[ticket->queue];
    trit_assert(ticket->sequences >= sequences && seat->held >= sequences &&
                all->held >= sequences);
    ticket->sequences -= sequences;
    seat->held -= sequences;
    seat->of[ticket->priority].held -= sequences;
    all->held -= sequences;
}

void admit_sequence_over(struct admit *a, struct admit_ticket *ticket)
{
    if (ticket->tenant)
        leave(a, ticket, 1);
}

void admit_end(struct admit *a, struct admit_ticket *ticket, uint64_t used, bool began, double now)
{
    struct tenant *t = ticket->tenant;
    if (!t)
        return;
    leave(a, ticket, ticket->sequences);
    admit_begun(ticket, ticket->waiting);
    trit_assert(t->in_flight > 0);
    t->in_flight--;
    if (!began)
        give_back(&t->requests, 1, now);
    give_back(&t->tokens, (double)(ticket->charged - (began ? MIN(used, ticket->charged) : 0)),
              now);
    *ticket = (struct admit_ticket){0};
}

double admit_retry(double estimate, double spread)
{
    return fmin(60, fmax(1, estimate * (0.8 + 0.4 * spread)));
}
