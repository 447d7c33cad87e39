/* SPDX-License-Identifier: MIT */
/*
 * team.c - a counting barrier whose waiters spin briefly, then sleep on a futex.
 *
 * A step of the engine has a few hundred phases of some ten microseconds to a millisecond, so a
 * waiter spins first; but the machine is shared, and a sibling may have lost its processor, so it
 * does not spin for long.
 */
#include "config.h"
#include "base/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/cgroup.h"
#include "base/mem.h"
#include "base/slice.h"

/* About 20 microseconds of PAUSE on current x86, longer than most phases are uneven. */
#define SPINS 1000

#define MAX_WORKERS 1024

struct gate {
    _Alignas(64) atomic_uint arrived;
    _Alignas(64) atomic_uint round; /* the futex word; moves on when all have arrived */
    atomic_uint sleepers;
};

struct worker {
    struct team *team;
    unsigned index;
    pthread_t thread;
    /* Since the team was opened; written by this worker, read by anybody. */
    _Alignas(64) _Atomic double busy, waited;
};

struct team {
    unsigned n, room;
    bool pin;
    team_fn fn; /* NULL ends the workers; written before the start gate opens */
    void *ctx;
    struct gate start, phase;
    _Alignas(64) atomic_size_t next;
    struct worker *workers;
};

/* Of this thread, in gates, since its run began. */
static _Thread_local double waited;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(atomic_uint *word, unsigned seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void gate_wait(struct gate *g, unsigned round, team_idle_fn idle, void *ctx)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&g->round, memory_order_acquire) != round)
            return;
        if (!idle || !idle(ctx)) {
            idle = NULL;
            relax();
        }
    }
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->round) == round)
        futex_wait(&g->round, round);
    atomic_fetch_sub(&g->sleepers, 1);
}

/* The last of n to arrive resets the dealing and opens the gate for all. */
static void gate_pass(struct team *t, struct gate *g, team_idle_fn idle, void *ctx)
{
    unsigned round = atomic_load_explicit(&g->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&g->arrived, 1, memory_order_acq_rel) + 1 < t->n) {
        double before = trit_now();
        gate_wait(g, round, idle, ctx);
        waited += trit_now() - before;
        return;
    }
    atomic_store_explicit(&g->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    /* Sequentially consistent with the sleeper's increment: either it sees the new round and does
     * not sleep, or we see the sleeper and wake it. */
    atomic_store(&g->round, round + 1);
    if (atomic_load(&g->sleepers))
        futex_wake_all(&g->round);
}

void team_barrier(struct team *t)
{
    team_barrier_idle(t, NULL, NULL);
}

void team_barrier_idle(struct team *t, team_idle_fn idle, void *ctx)
{
    if (t->n > 1)
        gate_pass(t, &t->phase, idle, ctx);
    else
        atomic_store_explicit(&t->next, 0, memory_order_relaxed);
}

size_t team_take(struct team *t, size_t grain)
{
    return atomic_fetch_add_explicit(&t->next, grain, memory_order_relaxed);
}

unsigned team_size(const struct team *t)
{
    return t->n;
}

/* Bind to the index-th processor that the process's first thread, which is never bound, may use; a
 * refusal costs speed, not correctness. */
static void pin_self(unsigned index)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(getpid(), sizeof allowed, &allowed) != 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || index-- != 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        return;
    }
}

static void add(_Atomic double *sum, double seconds)
{
    double old = atomic_load_explicit(sum, memory_order_relaxed);
    atomic_store_explicit(sum, old + seconds, memory_order_relaxed);
}

/* One worker's part of a run, up to its last barrier. */
static void work(struct worker *w)
{
    struct team *t = w->team;
    double begin = trit_now();
    waited = 0;
    t->fn(t->ctx, w->index);
    team_barrier(t);
    add(&w->busy, trit_now() - begin - waited);
    add(&w->waited, waited);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct team *t = w->team;
    char name[16];
    snprintf(name, sizeof name, "tritd-w%u", w->index);
    (void)pthread_setname_np(pthread_self(), name);
    (void)slice_behind();
    if (t->pin)
        pin_self(w->index);
    for (;;) {
        /* Spins a little: the next step often follows at once. */
        gate_pass(t, &t->start, NULL, NULL);
        if (!t->fn)
            return NULL;
        work(w);
    }
}

void team_run(struct team *t, team_fn fn, void *ctx)
{
    trit_assert(fn);
    t->fn = fn;
    t->ctx = ctx;
    if (t->n > 1)
        gate_pass(t, &t->start, NULL, NULL);
    else
        atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    work(&t->workers[0]);
}

void team_seconds(const struct team *t, unsigned worker, double *busy, double *wait)
{
    trit_assert(worker < t->room);
    *busy = atomic_load_explicit(&t->workers[worker].busy, memory_order_relaxed);
    *wait = atomic_load_explicit(&t->workers[worker].waited, memory_order_relaxed);
}

/* Workers 1 to n - 1; fewer when a thread cannot be had, with its error as the result. */
static int start_workers(struct team *t, unsigned n)
{
    /* None may pass the gate before it is known how many there will be: it waits for t->n. */
    t->n = n;
    for (unsigned i = 1; i < n; i++) {
        t->workers[i].team = t;
        t->workers[i].index = i;
        int rc = pthread_create(&t->workers[i].thread, NULL, worker_main, &t->workers[i]);
        if (rc == 0)
            continue;
        t->n = i;
        return rc;
    }
    return 0;
}

static void stop_workers(struct team *t)
{
    t->fn = NULL;
    if (t->n > 1)
        gate_pass(t, &t->start, NULL, NULL);
    for (unsigned i = 1; i < t->n; i++)
        trit_assert(pthread_join(t->workers[i].thread, NULL) == 0);
    t->n = 1;
}

int team_open(struct team **out, unsigned n, bool pin, struct trit_error *err)
{
    int rc = team_open_room(out, n, n, pin, err);
    if (rc == 0 && pin)
        team_bind(*out);
    return rc;
}

int team_open_room(struct team **out, unsigned n, unsigned room, bool pin, struct trit_error *err)
{
    *out = NULL;
    if (n < 1 || n > MAX_WORKERS)
        return trit_fail(err, TRIT_EINVAL, "threads: %u, expected 1 to %d", n, MAX_WORKERS);
    trit_assert(room >= n && room <= MAX_WORKERS);
    struct team *t = mem_zalloc_line(1, sizeof *t);
    if (!t)
        return trit_fail(err, TRIT_ENOMEM, "no memory for a team of %u threads", n);
    t->pin = pin;
    t->room = room;
    t->workers = mem_zalloc_line(room, sizeof *t->workers);
    if (!t->workers) {
        mem_free(t);
        return trit_fail(err, TRIT_ENOMEM, "no memory for a team of %u threads", n);
    }
    t->workers[0].team = t;
    int rc = start_workers(t, n);
    if (rc) {
        unsigned failed = t->n;
        team_close(&t);
        return trit_fail(err, TRIT_ENOMEM, "cannot start worker thread %u of %u: %s", failed, n,
                         strerror(rc));
    }
    *out = t;
    return 0;
}

unsigned team_resize(struct team *t, unsigned n)
{
    trit_assert(n >= 1 && n <= t->room);
    stop_workers(t);
    (void)start_workers(t, n);
    return t->n;
}

void team_bind(const struct team *t)
{
    (void)t;
    pin_self(0);
}

unsigned team_room(const struct team *t)
{
    return t->room;
}

void team_close(struct team **team)
{
    struct team *t = *team;
    if (!t)
        return;
    *team = NULL;
    stop_workers(t);
    mem_free(t->workers);
    mem_free(t);
}

static unsigned most_cpus = UINT_MAX;

void team_limit_cpus(unsigned n)
{
    most_cpus = n;
}

unsigned team_usable_cpus(void)
{
    cpu_set_t allowed;
    unsigned n = 1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        n = (unsigned)MAX(CPU_COUNT(&allowed), 1);
    return (unsigned)MIN((uint64_t)MIN(n, most_cpus), cgroup_cpus());
}
