/* SPDX-License-Identifier: MIT */
/*
 * sched-rows.c - cutting a step into rows: a token for who talks, guesses behind it, prompts as far
 * as time allows, and now and then a step for guests alone.
 */
#include "config.h"
#include "engine/sched-parts.h"

#include <math.h>

#include "base/base.h"

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
        if (sched_remaining(s) == 1)
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
    return a->t_start + LENGTH * sched_remaining(a) < b->t_start + LENGTH * sched_remaining(b);
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
    most = MIN(most, sched_remaining(s));
    if (isinf(seconds))
        return most;
    return pace_rows(&sc->pace, p->n_rows, p->positions, s->n_done + 1.0, p->n_rows + most,
                     seconds) -
           p->n_rows;
}

/* At most `rows` of s; every row of a prompt whose logprobs are wanted needs a slot. */
static void read_prompt(struct sched *sc, struct seq *s, uint32_t rows)
{
    uint32_t n = MIN(rows, sched_remaining(s)), shared = sched_shared(s);
    if (sc->kv->states && s->n_done < shared)
        n = MIN(n, shared - s->n_done); /* There its group copies the state. */
    if (s->wish.want_prompt_logprobs) {
        n = MIN(n, sc->spare_slots + 1);
        sc->spare_slots -= n > 0 ? n - 1 : 0;
    }
    if (n)
        add_item(sc, s, n, 0);
    sc->plan.more = sc->plan.more || n < sched_remaining(s);
}

/*
 * Rows of the oldest prompt, with what it has saved up.  By itself a deep row may cost more than
 * there is time for, and those that look at the same positions with it little: few wait for more.
 */
static uint32_t oldest_rows(struct sched *sc, const struct seq *s, double seconds)
{
    uint32_t room = sc->opt.max_rows - sc->plan.n_rows;
    uint32_t least = MIN(MIN((uint32_t)LEAST_ROWS, sched_remaining(s)), room);
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
        kept_rows = MIN((sc->opt.max_rows - p->n_rows) / 2, sched_remaining(oldest));
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
        if (sched_remaining(s) == 1)
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
    if (sched_remaining(s) == 1 || s->n_generated > 0 || s->wish.want_prompt_logprobs)
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
        if (sched_remaining(sc->running[i]) == 1) {
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
        double seconds = seconds_with(sc, s, sched_remaining(s));
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

void sched_share(struct sched *sc, double now)
{
    struct sched_plan *p = &sc->plan;
    *p = (struct sched_plan){.item = sc->item};
    sc->spare_slots = sc->opt.max_slots - sc->n_running;
    look_for_company(sc, now);
    if (plan_guests(sc))
        return;
    plan_talking(sc);
    plan_prompts(sc, now);
    if (p->n_talking > 0)
        sc->n_mixed = p->n_items > p->n_talking ? sc->n_mixed + 1 : 0;
}
