/* SPDX-License-Identifier: MIT */
/*
 * admit.h - who may come in now: limits of each tenant, a queue that is fair between them, and
 * deadlines that can be held.
 *
 * A tenant is a name of the keys file, or the one nameless tenant of a server without keys.  It has
 * a bound of requests in flight and two buckets, of requests and of tokens a minute, that fill
 * steadily.  A request passes twice: admit_ask() before any work is done for it, admit_charge()
 * when its tokens are counted.  It leaves once, by admit_end().  Tokens are charged at their worst
 * (the prompt and all that may follow) and what was not used is given back at the end.  A request
 * of which nothing ever began to run costs nothing.
 *
 * The queue: each model has one, with a number below ADMIT_QUEUES, and limits of a tenant hold for
 * all of them together.  In a queue `room` sequences may run and wait.  Where there is one tenant
 * all of them are his.  Where there are several, a quarter of the waiting places is a reserve: it
 * is closed to a tenant that would hold more than its share (room / tenants that hold any, but at
 * most half), so nobody can fill the queue and keep away one who holds less.  The same holds for
 * prompt tokens that wait.
 *
 * Time is a number the caller gives, in seconds, never falling.  Loop thread only.
 */
#ifndef TRIT_ADMIT_H
#define TRIT_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/seq.h"

struct engine_claim;
struct engine_estimate;

enum {
    ADMIT_NAME = 33,    /* bytes of a name with its NUL */
    ADMIT_MODELS = 256, /* and of a list of models */
    ADMIT_QUEUES = 24,  /* models, those included that are ending */
};

/* What a tenant may have, as the operator wrote it.  0: no limit. */
struct admit_grant {
    char name[ADMIT_NAME];     /* letters, digits, "_.-"; a letter or digit first */
    enum seq_priority highest; /* that its requests may ask for */
    uint32_t concurrency;      /* requests in flight */
    uint32_t requests, tokens; /* a minute */
    char tenant[ADMIT_NAME];   /* with whose keys it shares cached prompts and its turn; "": its own */
    char models[ADMIT_MODELS]; /* that it may ask, with commas between; "": any */
    bool admin;                /* it may load models and take them out */
};

/* Of whom it is one. */
static inline const char *admit_tenant(const struct admit_grant *g)
{
    return *g->tenant ? g->tenant : g->name;
}

/* Fills at size / 60 a second up to size; size 0: never empty. */
struct admit_bucket {
    double size, level, at;
};

/* What a tenant has in one queue. */
struct admit_seat {
    uint32_t held;           /* sequences, running and waiting */
    uint64_t waiting_tokens; /* of prompts without an answer yet */
    struct {
        uint32_t held;
        uint64_t waiting_tokens;
    } of[SEQ_PRIORITIES]; /* the same by priority */
};

struct tenant {
    struct tenant *next;
    struct admit_grant grant;
    uint64_t id;   /* of the grant's tenant; 0 without a name */
    bool listed;   /* the keys file has it */
    unsigned refs; /* exchanges and jobs that point here */

    struct admit_bucket requests, tokens;
    uint32_t in_flight; /* requests */
    struct admit_seat seat[ADMIT_QUEUES];

    /* For the metrics; only ever growing. */
    uint64_t n_requests, n_refused, prompt_tokens, cached_tokens, generated_tokens;
    double joules;
};

struct admit_queue {
    uint32_t running, queue; /* sequences that run together, and that may wait */
    uint64_t queue_tokens;
    uint32_t held;
    double margin; /* what waiting is expected counts so many times; 0: as before anything is known */
};

struct admit {
    struct tenant nobody;   /* without a name */
    struct tenant *tenants; /* those with one */
    uint32_t n_listed;
    struct admit_queue queue[ADMIT_QUEUES];
};

/* What became of it; all but the first are refusals. */
enum admit_verdict {
    ADMIT_YES,
    ADMIT_QUEUE_REQUESTS, /* the queue's sequences */
    ADMIT_QUEUE_TOKENS,   /* the queue's prompt tokens */
    ADMIT_CONCURRENCY,    /* the tenant's own limits */
    ADMIT_RATE_REQUESTS,
    ADMIT_RATE_TOKENS,
    ADMIT_TOO_LARGE, /* more tokens than a minute ever brings */
    ADMIT_DEADLINE,  /* it would not be done in time */
    ADMIT_LATE,      /* its first token would come too late */
    N_VERDICTS,
};

/* One request inside.  A zeroed struct is none. */
struct admit_ticket {
    struct tenant *tenant; /* NULL: not inside */
    unsigned queue;
    enum seq_priority priority;
    uint32_t sequences;    /* still counted */
    uint64_t charged;      /* tokens */
    uint64_t waiting;      /* prompt tokens still counted as waiting */
    double asked, expected, read; /* when it came in, and the seconds till its first token: for others,
                                     and for its own prompt; `expected` 0: nothing to learn from it */
};

void admit_init(struct admit *a);
void admit_fini(struct admit *a); /* no ticket may be open, nobody may hold a tenant */

/* How much the engine behind queue q takes.  Before that there is no limit of the queue. */
void admit_set_room(struct admit *a, unsigned q, uint32_t running, uint32_t queue, uint64_t queue_tokens);

/* The sequences of the largest request that may ever come in. */
uint64_t admit_largest(const struct admit *a, unsigned q);

/*
 * The tenants there are from now on, by name; one name may stand there several times.  Who is there
 * already keeps counts, and as much of its buckets as the new size allows; who is no longer, goes
 * when its last request has.  -TRIT_ENOMEM: nothing was changed.
 */
int admit_set_tenants(struct admit *a, const struct admit_grant *const *grant, size_t n);

/* The tenant of a name, or NULL. */
struct tenant *admit_find(struct admit *a, const char *name);

/* Keep a tenant, also when it is no longer listed; and let it go. */
void admit_hold(struct tenant *t);
void admit_let_go(struct admit *a, struct tenant *t);

/*
 * May a request for so many sequences of a priority come into queue q?  `waiting` is how many
 * prompt tokens the engine's queue holds.  With ADMIT_YES *ticket is open and all of that is
 * counted.  Otherwise nothing is, and *wait is how long to stay away: seconds until the bucket has
 * enough, or 0 when only others know.
 */
enum admit_verdict admit_ask(struct admit *a, unsigned q, struct tenant *t, uint32_t sequences,
                             enum seq_priority priority, uint64_t waiting, double now,
                             struct admit_ticket *ticket, double *wait);

/* The same question for one sequence, and nothing is counted: is it worth reading the request? */
enum admit_verdict admit_look(struct admit *a, unsigned q, struct tenant *t, uint64_t waiting,
                              double now, double *wait);

/*
 * Its prompts turned out to have so many tokens (for each sequence its own), and may cost so many
 * in all.  What is refused stays open: admit_end() closes it.
 */
enum admit_verdict admit_charge(struct admit *a, struct admit_ticket *ticket, uint64_t prompt,
                                uint64_t cost, uint64_t waiting, double now, double *wait);

/*
 * What is ahead of the tenant's next request of a priority, for engine_estimate(): what is of that
 * priority or a better one, for what is of a worse one gives its place.  But for `ticket`, which is
 * that request, or NULL.
 */
struct engine_claim admit_claim(const struct admit *a, unsigned q, const struct tenant *t,
                                enum seq_priority priority, const struct admit_ticket *ticket);

/*
 * Whether it can be done in the `left` seconds to its deadline, as far as the engine can tell: the
 * estimate is for its prompts and the longest of its answers.  *wait: by how much it cannot.
 */
enum admit_verdict admit_deadline(const struct engine_estimate *e, double left, double *wait);

/*
 * Whether its first token is there in `target` seconds, as far as the engine behind queue q can
 * tell; 0: that does not matter.  A prompt that takes long by itself would never come in so, and
 * may wait for others half the target.  What waiting is expected counts with a margin, for it is a
 * mean and a promise is not: as much as it takes for 24 of 25 to come in time.  *wait: by how much
 * it is too late.
 */
enum admit_verdict admit_first(const struct admit *a, unsigned q, const struct engine_estimate *e,
                               double target, double *wait);

/* It came in with this estimate; its first token is there: the margin learns from the two. */
void admit_expect(struct admit_ticket *ticket, const struct engine_estimate *e, double now);
void admit_heard(struct admit *a, struct admit_ticket *ticket, double now);

/* So many prompt tokens wait no longer; a sequence is over. */
void admit_begun(struct admit_ticket *ticket, uint64_t tokens);
void admit_sequence_over(struct admit *a, struct admit_ticket *ticket);

/*
 * The request is over and has used so many tokens.  began false: nothing of it began to run;
 * then the request itself is given back too.  A ticket that is none is left alone.
 */
void admit_end(struct admit *a, struct admit_ticket *ticket, uint64_t used, bool began, double now);

/* A bucket at `now`: what is in it, and in how many seconds it is full. */
double admit_level(struct admit_bucket *b, double now);
double admit_full_in(struct admit_bucket *b, double now);

/*
 * Seconds a client is told to stay away: the estimate spread by a fifth to either side, `spread` in
 * [0, 1) choosing where, so that those who are sent away together do not come back together; never
 * less than 1, nor more than 60, which SDKs take for nonsense.
 */
double admit_retry(double estimate, double spread);

#endif
