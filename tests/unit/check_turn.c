/* SPDX-License-Identifier: MIT */
/*
 * check_turn.c - the turnstile: one at a time, fair by the time that each says it has used.
 *
 * Time is invented, so nothing depends on the machine: a step lasts until the others stand in the
 * queue again, as one of an engine does.
 */
#include "config.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "base/turn.h"
#include "unit.h"

enum { PLACES = 3 };

struct runner {
    struct turn *turn;
    struct turn_place place;
    pthread_t thread;
    double step; /* seconds that each of its turns is said to take */
    double end;  /* it stops when it has had so much */
    double used; /* what it has had, by its own count */
    unsigned turns;
    const struct runner *all;
    unsigned n;
    atomic_uint *inside, *active;
    double widest; /* by which it was ahead of another that was there all the time */
};

static unsigned count_waiting(struct turn *t)
{
    unsigned n = 0;
    pthread_mutex_lock(&t->lock);
    for (const struct turn_place *p = t->first; p; p = p->next)
        n++;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* Until so many of those who are left stand in the queue. */
static void await_waiting(struct turn *t, atomic_uint *active, unsigned but)
{
    for (double end = trit_now() + 60; count_waiting(t) + but < atomic_load(active);) {
        ck_assert_msg(trit_now() < end, "nobody came");
        sched_yield();
    }
}

static void *run(void *arg)
{
    struct runner *r = arg;
    for (bool more = true; more;) {
        while (!turn_take(r->turn, &r->place, 30))
            ;
        ck_assert_uint_eq(atomic_fetch_add(r->inside, 1), 0);
        await_waiting(r->turn, r->active, 1);
        r->used += r->step;
        r->turns++;
        more = r->used < r->end;
        for (unsigned i = 0; i < r->n && atomic_load(r->active) == r->n; i++)
            r->widest = MAX(r->widest, r->used - r->all[i].used);
        if (!more)
            atomic_fetch_sub(r->active, 1);
        atomic_fetch_sub(r->inside, 1);
        turn_give(r->turn, &r->place, r->step, more);
    }
    return NULL;
}

/* Run all from the same moment on. */
static void run_all(struct turn *t, struct runner *r, unsigned n)
{
    atomic_uint inside = 0, active = n;
    struct turn_place starter;
    turn_place_init(&starter);
    ck_assert(turn_take(t, &starter, 1));
    for (unsigned i = 0; i < n; i++) {
        r[i].turn = t;
        r[i].all = r;
        r[i].n = n;
        r[i].inside = &inside;
        r[i].active = &active;
        turn_place_init(&r[i].place);
        ck_assert_int_eq(pthread_create(&r[i].thread, NULL, run, &r[i]), 0);
    }
    await_waiting(t, &active, 0);
    turn_give(t, &starter, 0, false);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_int_eq(pthread_join(r[i].thread, NULL), 0);
        turn_place_fini(&r[i].place);
    }
    turn_place_fini(&starter);
}

START_TEST(steps_of_any_length_share_time)
{
    struct turn t;
    struct runner r[PLACES] = {
        {.step = 0.004, .end = 2}, {.step = 0.04, .end = 2}, {.step = 0.1, .end = 2}};
    turn_init(&t);
    run_all(&t, r, PLACES);
    for (unsigned i = 0; i < PLACES; i++) {
        ck_assert_double_ge(r[i].used, r[i].end - 1e-9);
        /* Ahead by what it may be, and by the step during which it got there. */
        ck_assert_double_le(r[i].widest, r[i].step + TURN_QUANTUM + 1e-9);
    }
    ck_assert_uint_ge(r[0].turns, 10 * r[1].turns - 10);
    turn_fini(&t);
}
END_TEST

START_TEST(short_steps_are_not_torn_apart)
{
    struct turn t;
    struct runner r[2] = {{.step = TURN_QUANTUM / 20, .end = 1},
                          {.step = TURN_QUANTUM / 20, .end = 1}};
    turn_init(&t);
    run_all(&t, r, 2);
    ck_assert_double_le(r[0].widest, 1.1 * TURN_QUANTUM);
    ck_assert_double_ge(MAX(r[0].widest, r[1].widest), 0.9 * TURN_QUANTUM);
    turn_fini(&t);
}
END_TEST

struct late {
    struct turn *turn;
    struct turn_place *place;
    atomic_bool done;
};

static void *take_once(void *arg)
{
    struct late *l = arg;
    ck_assert(turn_take(l->turn, l->place, 30));
    turn_give(l->turn, l->place, 1, false);
    atomic_store(&l->done, true);
    return NULL;
}

START_TEST(idleness_is_no_credit)
{
    struct turn t;
    struct turn_place busy, idle;
    atomic_uint one = 1;
    pthread_t thread;
    turn_init(&t);
    turn_place_init(&busy);
    turn_place_init(&idle);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(turn_take(&t, &busy, 1));
        turn_give(&t, &busy, 1, true);
        ck_assert_msg(!turn_has(&busy), "nobody waits, so it is free");
    }
    ck_assert(turn_take(&t, &busy, 1));
    struct late l = {.turn = &t, .place = &idle};
    ck_assert_int_eq(pthread_create(&thread, NULL, take_once, &l), 0);
    await_waiting(&t, &one, 0);
    ck_assert_double_eq_tol(idle.used, 100, 1e-9);
    turn_give(&t, &busy, 1, true); /* 101 against 100 */
    ck_assert(!turn_has(&busy));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(atomic_load(&l.done));
    /* Who only comes back late is owed what he did not have. */
    ck_assert_double_eq_tol(busy.used, 101, 1e-9);
    ck_assert(turn_take(&t, &busy, 1));
    ck_assert_double_eq_tol(busy.used, 101, 1e-9);
    turn_give(&t, &busy, 0, false);
    turn_place_fini(&busy);
    turn_place_fini(&idle);
    turn_fini(&t);
}
END_TEST

/* Who lost the turn with his last step says afterwards that he wants no more, and rests then. */
START_TEST(a_rest_after_a_lost_turn_is_no_credit)
{
    struct turn t;
    struct turn_place busy, idle;
    turn_init(&t);
    turn_place_init(&busy);
    turn_place_init(&idle);
    ck_assert(turn_take(&t, &idle, 1));
    turn_give(&t, &idle, 1, true);
    ck_assert(!turn_has(&idle));
    turn_give(&t, &idle, 0, false);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(turn_take(&t, &busy, 1));
        turn_give(&t, &busy, 1, true);
    }
    ck_assert(turn_take(&t, &idle, 1));
    ck_assert_double_ge(idle.used, 99);
    turn_give(&t, &idle, 0, false);
    turn_place_fini(&busy);
    turn_place_fini(&idle);
    turn_fini(&t);
}
END_TEST

START_TEST(a_kept_turn_can_be_given_up)
{
    struct turn t;
    struct turn_place a, b;
    atomic_uint one = 1;
    pthread_t thread;
    turn_init(&t);
    turn_place_init(&a);
    turn_place_init(&b);
    ck_assert(turn_take(&t, &a, 1));
    struct late l = {.turn = &t, .place = &b};
    ck_assert_int_eq(pthread_create(&thread, NULL, take_once, &l), 0);
    await_waiting(&t, &one, 0);
    turn_give(&t, &a, TURN_QUANTUM / 2, true);
    ck_assert(turn_has(&a));
    ck_assert(turn_take(&t, &a, 1));
    turn_give(&t, &a, 0, false);
    ck_assert(!turn_has(&a));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    turn_place_fini(&a);
    turn_place_fini(&b);
    turn_fini(&t);
}
END_TEST

static void *take_in_vain(void *arg)
{
    struct late *l = arg;
    ck_assert(!turn_take(l->turn, l->place, 0.01));
    atomic_store(&l->done, true);
    return NULL;
}

START_TEST(a_wait_can_end_in_vain)
{
    struct turn t;
    struct turn_place a, b;
    pthread_t thread;
    turn_init(&t);
    turn_place_init(&a);
    turn_place_init(&b);
    ck_assert(turn_take(&t, &a, 1));
    struct late l = {.turn = &t, .place = &b};
    ck_assert_int_eq(pthread_create(&thread, NULL, take_in_vain, &l), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(count_waiting(&t), 0);
    turn_give(&t, &a, 1, true);
    ck_assert_msg(!turn_has(&a), "nobody waits any more");
    turn_place_fini(&a);
    turn_place_fini(&b);
    turn_fini(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turn");
    TCase *tc = tcase_create("turn");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, steps_of_any_length_share_time);
    tcase_add_test(tc, short_steps_are_not_torn_apart);
    tcase_add_test(tc, idleness_is_no_credit);
    tcase_add_test(tc, a_rest_after_a_lost_turn_is_no_credit);
    tcase_add_test(tc, a_kept_turn_can_be_given_up);
    tcase_add_test(tc, a_wait_can_end_in_vain);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
