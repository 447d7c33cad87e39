/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who runs: beginning, preempting, leaving.
 */
#include "config.h"
#include "engine/sched-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/queue.h"

int sched_open(const struct sched_options *opt, struct sched **out, struct trit_error *err)
{
    *out = NULL;
    trit_assert(opt->max_running >= 1 && opt->max_rows >= opt->max_running &&
                opt->max_slots >= opt->max_running && opt->draft_tokens <= SEQ_DRAFT_MAX);
    struct sched *sc = mem_zalloc(1, sizeof *sc);
    if (!sc)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the scheduler");
    sc->opt = *opt;
    sc->kv = opt->kv;
    sc->running = mem_zalloc(opt->max_running, sizeof *sc->running);
    sc->reading = mem_zalloc(opt->max_running, sizeof *sc->reading);
    sc->item = mem_zalloc(opt->max_running, sizeof *sc->item);
    sc->plan.item = sc->item;
    if (!sc->running || !sc->reading || !sc->item) {
        sched_close(&sc);
        return trit_fail(err, TRIT_ENOMEM, "no memory for %u sequences", opt->max_running);
    }
    *out = sc;
    return 0;
}

void sched_close(struct sched **sc)
{
    if (!*sc)
        return;
    trit_assert((*sc)->n_running == 0 && (*sc)->queue.n_waiting == 0);
    mem_free((*sc)->running);
    mem_free((*sc)->reading);
    mem_free((*sc)->item);
    mem_free(*sc);
    *sc = NULL;
}

/* ------------------------------------------------------------------ coming and going */

void sched_add(struct sched *sc, struct seq *s)
{
    queue_join(&sc->queue, s);
    queue_push(&sc->queue, s, false);
}

static bool stop_running(struct sched *sc, struct seq *s)
{
    for (uint32_t i = 0; i < sc->n_running; i++) {
        if (sc->running[i] != s)
            continue;
        memmove(&sc->running[i], &sc->running[i + 1], (--sc->n_running - i) * sizeof *sc->running);
        s->tenant->n_running--;
        return true;
    }
    return false;
}

void sched_leave(struct sched *sc, struct seq *s, bool trusted)
{
    if (!stop_running(sc, s))
        queue_remove(&sc->queue, s);
    if (trusted)
        kv_release(sc->kv, &s->lease);
    else
        kv_discard(sc->kv, &s->lease);
}

void sched_each(struct sched *sc, void (*fn)(struct seq *s, void *arg), void *arg)
{
    queue_each(&sc->queue, fn, arg);
    for (uint32_t i = sc->n_running; i-- > 0;)
        fn(sc->running[i], arg);
}

static void preempt(struct sched *sc, struct seq *s)
{
    stop_running(sc, s);
    queue_push(&sc->queue, s, true);
    sc->n_preempted++;
}

static void lose(struct seq *s, void *arg)
{
    struct sched *sc = arg;
    kv_release(sc->kv, &s->lease);
    s->n_done = s->n_cached = 0;
}

void sched_start_over(struct sched *sc)
{
    while (sc->n_running) {
        struct seq *last = sc->running[sc->n_running - 1];
        stop_running(sc, last);
        queue_push(&sc->queue, last, true);
    }
    queue_each(&sc->queue, lose, sc);
    kv_forget(sc->kv);
}

/* Whether s may take the place of v, and if several, who is the first to go. */
static bool may_take(const struct seq *s, const struct seq *v)
{
    if (v->level != s->wish.priority)
        return v->level > s->wish.priority;
    return queue_is_behind(s->tenant, v->tenant);
}

static bool goes_sooner(const struct seq *a, const struct seq *b)
{
    if (a->level != b->level)
        return a->level > b->level;
    if (a->tenant != b->tenant && a->tenant->n_running != b->tenant->n_running)
        return a->tenant->n_running > b->tenant->n_running;
    return a->t_start >= b->t_start;
}

/* Take a running place for s from somebody. */
static bool take_place(struct sched *sc, const struct seq *s)
{
    struct seq *victim = NULL;
    for (uint32_t i = 0; i < sc->n_running; i++)
        if (may_take(s, sc->running[i]) && (!victim || goes_sooner(sc->running[i], victim)))
            victim = sc->running[i];
    if (victim)
        preempt(sc, victim);
    return victim != NULL;
}

struct strip {
    const struct seq *but;
    struct seq *found;
};

/* Of those who were preempted and still have pages, the last in the queue. */
static void find_strip(struct seq *s, void *arg)
{
    struct strip *st = arg;
    if (s->lease.open && s != st->but)
        st->found = s;
}

/* Take pages for s, which is next, from somebody who waits; they must be computed again then. */
static bool take_pages(struct sched *sc, const struct seq *s)
{
    struct strip st = {.but = s};
    queue_each(&sc->queue, find_strip, &st);
    if (!st.found)
        return false;
    kv_release(sc->kv, &st.found->lease);
    st.found->n_done = 0;
    return true;
}

/* ------------------------------------------------------------------ beginning */

/*
 * One of the same group who runs and has, or will have, what s can have from it.  Keys and values
 * stay where they are; of a state there is only what it is now, so it must not have gone further,
 * and who is nearest is taken.
 */
static const struct seq *find_twin(const struct sched *sc, const struct seq *s)
{
    const struct seq *twin = NULL;
    for (uint32_t i = 0; s->wish.group && i < sc->n_running; i++) {
        const struct seq *v = sc->running[i];
        if (v->wish.group != s->wish.group)
            continue;
        if (!sc->kv->states)
            return v;
        if (v->n_done <= sched_shared(s) && (!twin || v->n_done > twin->n_done))
            twin = v;
    }
    return twin;
}

/* The prompt of a group is computed once: the others wait until the first has it. */
static bool is_held(const struct seq *s, const void *arg)
{
    const struct sched *sc = arg;
    const struct seq *twin = s->lease.open ? NULL : find_twin(sc, s);
    return twin && twin->n_done < (sc->kv->states ? sched_shared(s) : s->wish.n_prompt);
}

/* Promise s its pages, with what of its text is there already. */
static bool begin(struct sched *sc, struct seq *s)
{
    if (s->lease.open)
        return true;
    const struct seq *twin = find_twin(sc, s);
    uint32_t n = seq_len(s) - 1, done;
    if (s->wish.want_prompt_logprobs || s->wish.pool == SEQ_POOL_MEAN)
        n = 0; /* Every position has to be computed. */
    else if (twin)
        n = s->wish.n_prompt - 1;
    if (!kv_begin(sc->kv, &s->lease, s->wish.salt, s->wish.prompt, n,
                  twin && n ? &twin->lease : NULL, &done))
        return false;
    s->n_done = done;
    if (s->t_start == 0) /* Later it may find pages of its own. */
        s->n_cached = done;
    return true;
}

static void let_begin(struct sched *sc, double now, sched_started_fn started, void *arg)
{
    struct seq *s;
    while ((s = queue_next(&sc->queue, now, is_held, sc))) {
        if (sc->n_running == sc->opt.max_running && !take_place(sc, s))
            return;
        /* Strictly in turn: one that needs many pages waits for them, and is not overtaken for ever
         * by those that need few. */
        while (!begin(sc, s))
            if (!take_pages(sc, s) && !take_place(sc, s))
                return;
        s->level = queue_level(s, now);
        queue_begin(&sc->queue, s, now);
        sc->running[sc->n_running++] = s;
        s->tenant->n_running++;
        if (s->t_start == 0) {
            s->t_start = s->t_last = now;
            started(s, arg);
        }
    }
}

/* ------------------------------------------------------------------ the step */

const struct sched_plan *sched_plan(struct sched *sc, double now, sched_started_fn started,
                                    void *arg)
{
    let_begin(sc, now, started, arg);
    sched_share(sc, now);
    return &sc->plan;
}

void sched_computed(struct sched *sc, struct seq *s, uint32_t n)
{
    struct kv_lease *l = &s->lease;
    s->n_done += n;
    s->tenant->served += n;
    trit_assert(s->n_done <= seq_len(s));
    while ((l->n_entered + 1) * KV_PAGE_TOKENS <= s->n_done)
        kv_enter(sc->kv, l, s->wish.prompt + (size_t)l->n_entered * KV_PAGE_TOKENS);
}

void sched_learn(struct sched *sc, double seconds, double attention)
{
    pace_learn(&sc->pace, sc->plan.n_rows, sc->plan.positions, seconds, attention);
}

/* ------------------------------------------------------------------ looking */

bool sched_is_empty(const struct sched *sc)
{
    return sc->queue.n_waiting == 0 && sc->n_running == 0;
}

void sched_count(const struct sched *sc, struct sched_counts *c)
{
    *c = (struct sched_counts){.running = sc->n_running, .preempted = sc->n_preempted};
    for (uint32_t i = 0; i < sc->n_running; i++)
        if (sched_remaining(sc->running[i]) > 1)
            c->prompt_tokens += sched_remaining(sc->running[i]);
}

static void check_seq(struct seq *s, void *arg)
{
    uint32_t *waiting = arg;
    trit_assert(!s->lease.open || kv_pages_for(s->n_done) <= s->lease.n);
    trit_assert(s->lease.open || (s->n_done == 0 && s->lease.n == 0));
    ++*waiting;
}

void sched_check(const struct sched *sc)
{
    uint32_t waiting = 0, running = 0, listed = 0;
    queue_each(&sc->queue, check_seq, &waiting);
    trit_assert(waiting == sc->queue.n_waiting);
    for (uint32_t i = 0; i < sc->n_running; i++) {
        check_seq(sc->running[i], &running);
        trit_assert(sc->running[i]->lease.open);
    }
    waiting = running = 0;
    for (unsigned i = 0; i < SCHED_TENANTS; i++) {
        waiting += sc->queue.tenant[i].n_waiting;
        listed += sc->queue.tenant[i].n_running;
    }
    trit_assert(waiting == sc->queue.n_waiting && listed == sc->n_running);
    kv_check(sc->kv);
}
