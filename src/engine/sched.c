/* SPDX-License-Identifier: MIT */
/*
 * sched.c - beginning, preempting, and cutting a step into rows.
 */
#include "config.h"
#include "engine/sched.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/queue.h"

enum {
    LEAST_ROWS = 4,  /* of prompts in a step that has any */
    MOST_SAVED = 16, /* steps without, after which they get so many whatever it costs */
    MOST_TIMES = 2,  /* the target, see sched.h */
    MOST_VISITS = 4, /* steps that a guest's prompt may take */
    MOST_MIXED = 64, /* steps with prompts, see choose_rows */
};
#define PATIENCE 1.0  /* seconds, of a prompt that is being read */
#define SLOWER   1.3  /* than a step without prompts, see sched.h */
#define LENGTH   0.01 /* seconds of waiting that weigh as much as one token to read */
#define ENOUGH   1.5  /* times what a guest may have, to be read in one go */
#define COMPANY  2.0  /* seconds that a tenant without requests is expected back */

struct sched {
    struct sched_options opt;
    struct kv *kv;
    struct queue queue;
    struct seq **running; /* [max_running], in the order they began or went on */
    uint32_t n_running;
    uint64_t n_preempted;
    struct pace pace;

    struct sched_plan plan;
    struct sched_item *item; /* [max_running] */
    struct seq **reading;    /* [max_running] for plan_prompts */
    uint32_t spare_slots;    /* of the step being planned, beyond one for each that runs */
    bool hosted;             /* the last step was its guests' */
    double t_company;        /* when there were several tenants last; 0: never */
    bool in_company;         /* that is not long ago */
    uint32_t n_mixed;        /* steps with prompts since the last of those who talk alone */
    const struct seq *saver; /* the oldest prompt, if too little time is left for it: */
    uint32_t n_saved;        /* so many steps went without it, */
    double saved;            /* which left it so many seconds together */
};

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

static uint32_t remaining(const struct seq *s)
{
    return seq_len(s) - s->n_done;
}

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

/* How much of its prompt s can have from one of its group, or leave to them; 0: every position has to
 * be computed.  The last always has, for its logits. */
static uint32_t shared_tokens(const struct seq *s)
{
    bool whole = s->wish.want_prompt_logprobs || s->wish.pool == SEQ_POOL_MEAN;
    return s->wish.group && !whole ? s->wish.n_prompt - 1 : 0;
}

/*
 * One of the same group who runs and has, or will have, what s can have from it.  Keys and values stay
 * where they are; of a state there is only what it is now, so it must not have gone further, and who
 * is nearest is taken.
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
        if (v->n_done <= shared_tokens(s) && (!twin || v->n_done > twin->n_done))
            twin = v;
    }
    return twin;
}

/* The prompt of a group is computed once: the others wait until the first has it. */
static bool is_held(const struct seq *s, const void *arg)
{
    const struct sched *sc = arg;
    const struct seq *twin = s->lease.open ? NULL : find_twin(sc, s);
    return twin && twin->n_done < (sc->kv->states ? shared_tokens(s) : s->wish.n_prompt);
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
    if (s->n_generated == 0)
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

/* ------------------------------------------------------------------ rows */

static void add_item(struct sched *sc, struct seq *s, uint32_t n_rows, uint32_t n_guesses)
{
    struct sched_plan *p = &sc->plan;
    struct sched_item *item = &sc->item[p->n_items++];
    uint32_t n = n_rows + n_guesses;
    item->s = s;
    item->n_rows = n_rows;
    item->n_guesses = n_guesses;
    kv_grow(sc->kv, &s->lease, (uint64_t)s->n_done + n);
    p->n_rows += n;
    p->positions += (double)n * s->n_done + (double)n * (n + 1) / 2;
}

/* Guesses for s, whose item is the next; everyone whose turn is yet to come has a row left. */
static uint32_t guess(struct sched *sc, struct seq *s)
{
    uint32_t rows = sc->opt.max_rows - sc->plan.n_rows - (sc->n_running - sc->plan.n_items);
    uint32_t max = MIN(MIN(sc->opt.draft_tokens, sc->spare_slots), rows);
    /* What is penalised depends on what was said before, so nothing can be chosen ahead. */
    if (max == 0 || s->n_generated == 0 || sampler_uses_past(&s->wish.sampler))
        return 0;
    max = MIN(max, s->wish.max_new - s->n_generated - 1);
    uint32_t n = draft_guess(s, max, sc->item[sc->plan.n_items].guess);
    sc->spare_slots -= n;
    return n;
}

static void plan_talking(struct sched *sc)
{
    for (uint32_t i = 0; i < sc->n_running; i++) {
        struct seq *s = sc->running[i];
        if (remaining(s) == 1)
            add_item(sc, s, 1, guess(sc, s));
    }
    sc->plan.n_talking = sc->plan.n_items;
}

/* Who of two has the better right to rows for its prompt. */
static bool reads_before(const struct seq *a, const struct seq *b)
{
    if (a->level != b->level)
        return a->level < b->level;
    if (a->tenant->served != b->tenant->served)
        return a->tenant->served < b->tenant->served;
    return a->t_start + LENGTH * remaining(a) < b->t_start + LENGTH * remaining(b);
}

/* How long the step may take with n_reading prompts; without them *alone.  Other tenants are not to
 * wait long for the end of a step that one fills with his prompts. */
static double choose_seconds(const struct sched *sc, uint32_t n_reading, double *alone)
{
    const struct sched_plan *p = &sc->plan;
    *alone = 0;
    if (p->n_talking == 0)
        return INFINITY;
    *alone = pace_predict(&sc->pace, p->n_rows, p->positions);
    /* What a step takes without prompts must be seen now and then, or what they make of it becomes
     * the measure of how much longer they may make it. */
    if (sc->n_mixed >= MOST_MIXED)
        return *alone;
    double seconds = MAX(sc->opt.token_target, SLOWER * *alone);
    if (sc->in_company)
        return seconds;
    return seconds * MIN(MAX(n_reading / p->n_talking, 1u), (uint32_t)MOST_TIMES);
}

/* What the step takes with the next n rows of s. */
static double seconds_with(const struct sched *sc, const struct seq *s, uint32_t n)
{
    const struct sched_plan *p = &sc->plan;
    return pace_predict(&sc->pace, p->n_rows + n,
                        p->positions + (double)n * s->n_done + (double)n * (n + 1) / 2);
}

/* How many rows of s fit, at most `most`. */
static uint32_t rows_that_fit(const struct sched *sc, const struct seq *s, uint32_t most,
                              double seconds)
{
    const struct sched_plan *p = &sc->plan;
    most = MIN(most, remaining(s));
    if (isinf(seconds))
        return most;
    return pace_rows(&sc->pace, p->n_rows, p->positions, s->n_done + 1.0, p->n_rows + most,
                     seconds) -
           p->n_rows;
}

/* At most `rows` of s; every row of a prompt whose logprobs are wanted needs a slot. */
static void read_prompt(struct sched *sc, struct seq *s, uint32_t rows)
{
    uint32_t n = MIN(rows, remaining(s)), shared = shared_tokens(s);
    if (sc->kv->states && s->n_done < shared)
        n = MIN(n, shared - s->n_done); /* There its group copies the state. */
    if (s->wish.want_prompt_logprobs) {
        n = MIN(n, sc->spare_slots + 1);
        sc->spare_slots -= n > 0 ? n - 1 : 0;
    }
    if (n)
        add_item(sc, s, n, 0);
    sc->plan.more = sc->plan.more || n < remaining(s);
}

/*
 * Rows of the oldest prompt, with what it has saved up.  By itself a deep row may cost more than
 * there is time for, and those that look at the same positions with it little: few wait for more.
 */
static uint32_t oldest_rows(struct sched *sc, const struct seq *s, double seconds)
{
    uint32_t room = sc->opt.max_rows - sc->plan.n_rows;
    uint32_t least = MIN(MIN((uint32_t)LEAST_ROWS, remaining(s)), room);
    if (sc->saver != s || isinf(seconds)) {
        sc->saver = s;
        sc->n_saved = 0;
        sc->saved = 0;
    }
    uint32_t n = rows_that_fit(sc, s, room, seconds + sc->saved);
    if (n < least && sc->n_saved < MOST_SAVED) {
        sc->n_saved++;
        sc->saved += fmax(seconds - seconds_with(sc, s, 0), 0);
        return 0;
    }
    sc->n_saved = 0;
    sc->saved = 0;
    return MAX(n, least);
}

/* Rows for those n who read, in their order. */
static void share_rows(struct sched *sc, uint32_t n, const struct seq *oldest, double now)
{
    const struct sched_plan *p = &sc->plan;
    uint32_t kept_rows = 0;
    double alone, seconds = choose_seconds(sc, n, &alone), kept = 0;
    sc->plan.more = seconds <= alone;
    if (sc->plan.more)
        return;
    if (now - oldest->t_start >= PATIENCE) {
        kept_rows = MIN((sc->opt.max_rows - p->n_rows) / 2, remaining(oldest));
        kept = fmin((seconds - alone) / 2, fmax(seconds_with(sc, oldest, kept_rows) - alone, 0));
    }
    for (uint32_t i = 0; i < n; i++) {
        struct seq *s = sc->reading[i];
        uint32_t room = sc->opt.max_rows - p->n_rows, fit;
        if (s == oldest) {
            fit = oldest_rows(sc, s, seconds);
            kept_rows = 0;
            kept = 0;
        } else {
            fit = rows_that_fit(sc, s, room - MIN(room, kept_rows), seconds - kept);
            if (fit == 0 && i == 0) /* The best right is to be worth something. */
                fit = rows_that_fit(sc, s, MIN(room, 1u), seconds);
        }
        read_prompt(sc, s, fit);
    }
}

static void plan_prompts(struct sched *sc, double now)
{
    struct seq **reading = sc->reading, *oldest = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < sc->n_running; i++) {
        struct seq *s = sc->running[i];
        if (remaining(s) == 1)
            continue;
        if (!oldest || s->t_start < oldest->t_start)
            oldest = s;
        uint32_t at = n++;
        for (; at > 0 && reads_before(s, reading[at - 1]); at--)
            reading[at] = reading[at - 1];
        reading[at] = s;
    }
    if (n > 0)
        share_rows(sc, n, oldest, now);
}

/* Whether the step is for s rather than for those who talk: a tenant with many places has filled it
 * before he came. */
static bool is_guest(const struct sched *sc, const struct seq *s)
{
    if (remaining(s) == 1 || s->n_generated > 0 || s->wish.want_prompt_logprobs)
        return false;
    for (uint32_t i = 0; i < sc->n_running; i++) {
        const struct seq *v = sc->running[i];
        if (v->level >= s->level && queue_is_behind(s->tenant, v->tenant))
            return true;
    }
    return false;
}

/* The longest that a step may take which those who talk have to wait for. */
static double longest_step(const struct sched *sc)
{
    uint32_t rows = 0;
    double positions = 0;
    for (uint32_t i = 0; i < sc->n_running; i++)
        if (remaining(sc->running[i]) == 1) {
            rows++;
            positions += seq_len(sc->running[i]);
        }
    double alone = rows ? pace_predict(&sc->pace, rows, positions) : 0;
    return MOST_TIMES * MAX(sc->opt.token_target, alone);
}

/* Prompts of guests, as much of them as the time allows.  false: there is none, or it was their
 * turn just now. */
static bool plan_guests(struct sched *sc)
{
    const struct sched_plan *p = &sc->plan;
    double most = longest_step(sc);
    for (uint32_t i = 0; !sc->hosted && i < sc->n_running; i++) {
        struct seq *s = sc->running[i];
        if (!is_guest(sc, s))
            continue;
        double seconds = seconds_with(sc, s, remaining(s));
        if (seconds <= MOST_VISITS * most)
            read_prompt(sc, s,
                        rows_that_fit(sc, s, sc->opt.max_rows - p->n_rows,
                                      seconds > ENOUGH * most ? most : seconds));
    }
    sc->hosted = p->n_items > 0;
    return sc->hosted;
}

/* Who asks again as soon as he is answered is not there for a moment each time. */
static void look_for_company(struct sched *sc, double now)
{
    if (queue_active(&sc->queue) > 1)
        sc->t_company = now;
    sc->in_company = sc->t_company > 0 && now - sc->t_company < COMPANY;
}

const struct sched_plan *sched_plan(struct sched *sc, double now, sched_started_fn started,
                                    void *arg)
{
    let_begin(sc, now, started, arg);
    struct sched_plan *p = &sc->plan;
    *p = (struct sched_plan){.item = sc->item};
    sc->spare_slots = sc->opt.max_slots - sc->n_running;
    look_for_company(sc, now);
    if (plan_guests(sc))
        return p;
    plan_talking(sc);
    plan_prompts(sc, now);
    if (p->n_talking > 0)
        sc->n_mixed = p->n_items > p->n_talking ? sc->n_mixed + 1 : 0;
    return p;
}

/* ------------------------------------------------------------------ after the step */

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
        if (remaining(sc->running[i]) > 1)
            c->prompt_tokens += remaining(sc->running[i]);
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
