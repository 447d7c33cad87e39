/* SPDX-License-Identifier: MIT */
/*
 * check_admit.c - limits, buckets and shares under a clock of the test's own.
 *
 * The random walks hold a plain model of every promise beside the module and compare after each
 * step.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "server/admit.h"
#include "unit/unit.h"

static struct admit a;
static double wait_for;

static void list(const struct admit_grant *grant, size_t n)
{
    const struct admit_grant *each[8];
    ck_assert_uint_le(n, ARRAY_LEN(each));
    for (size_t i = 0; i < n; i++)
        each[i] = &grant[i];
    ck_assert_int_eq(admit_set_tenants(&a, each, n), 0);
}

START_TEST(one_tenant_may_fill_the_queue)
{
    struct admit_ticket t[10] = {{0}};
    admit_init(&a);
    admit_set_room(&a, 0, 2, 8, 1000);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(admit_ask(&a, 0, &a.nobody, 1, SEQ_NORMAL, 0, 0, &t[i], &wait_for),
                         ADMIT_YES);
    struct admit_ticket more = {0};
    ck_assert_int_eq(admit_ask(&a, 0, &a.nobody, 1, SEQ_NORMAL, 0, 0, &more, &wait_for),
                     ADMIT_QUEUE_REQUESTS);
    ck_assert_int_eq(admit_look(&a, 0, &a.nobody, 0, 0, &wait_for), ADMIT_QUEUE_REQUESTS);
    ck_assert_ptr_null(more.tenant);
    admit_sequence_over(&a, &t[0]);
    ck_assert_int_eq(admit_look(&a, 0, &a.nobody, 0, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, &a.nobody, 2, SEQ_NORMAL, 0, 0, &more, &wait_for),
                     ADMIT_QUEUE_REQUESTS);
    for (int i = 0; i < 10; i++)
        admit_end(&a, &t[i], 0, true, 0);
    admit_end(&a, &more, 0, true, 0); /* none: nothing happens */
    ck_assert_uint_eq(a.queue[0].held, 0);
    admit_fini(&a);
}
END_TEST

START_TEST(prompt_tokens_that_wait_are_bounded)
{
    struct admit_ticket t = {0}, u = {0};
    admit_init(&a);
    admit_set_room(&a, 0, 2, 8, 1000);
    /* Into an empty queue goes any prompt. */
    ck_assert_int_eq(admit_ask(&a, 0, &a.nobody, 1, SEQ_NORMAL, 0, 0, &t, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &t, 5000, 6000, 0, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, &a.nobody, 1, SEQ_NORMAL, 999, 0, &u, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &u, 2, 3, 999, 0, &wait_for), ADMIT_QUEUE_TOKENS);
    ck_assert_int_eq(admit_charge(&a, &u, 1, 3, 999, 0, &wait_for), ADMIT_YES);
    ck_assert_uint_eq(a.nobody.seat[0].waiting_tokens, 5001);
    ck_assert_int_eq(admit_look(&a, 0, &a.nobody, 1000, 0, &wait_for), ADMIT_QUEUE_TOKENS);
    admit_begun(&t, 5000);
    admit_begun(&t, 5000); /* told twice */
    ck_assert_uint_eq(a.nobody.seat[0].waiting_tokens, 1);
    admit_end(&a, &t, 1, true, 0);
    admit_end(&a, &u, 1, true, 0);
    ck_assert_uint_eq(a.nobody.seat[0].waiting_tokens, 0);
    admit_fini(&a);
}
END_TEST

START_TEST(buckets_fill_steadily)
{
    static const struct admit_grant grant[] = {{.name = "a", .requests = 2, .tokens = 600}};
    struct admit_ticket t[3] = {{0}};
    admit_init(&a);
    list(grant, 1);
    struct tenant *who = admit_find(&a, "a");
    ck_assert_int_eq(admit_ask(&a, 0, who, 1, SEQ_NORMAL, 0, 100, &t[0], &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &t[0], 100, 601, 0, 100, &wait_for), ADMIT_TOO_LARGE);
    ck_assert_int_eq(admit_charge(&a, &t[0], 100, 600, 0, 100, &wait_for), ADMIT_YES);
    /* The bucket of tokens is empty; 10 come in a second. */
    ck_assert_int_eq(admit_ask(&a, 0, who, 1, SEQ_NORMAL, 0, 100, &t[1], &wait_for),
                     ADMIT_RATE_TOKENS);
    ck_assert_double_eq_tol(wait_for, 0.1, 1e-9);
    ck_assert_int_eq(admit_ask(&a, 0, who, 1, SEQ_NORMAL, 0, 101, &t[1], &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &t[1], 10, 30, 0, 101, &wait_for), ADMIT_RATE_TOKENS);
    ck_assert_double_eq_tol(wait_for, 2, 1e-9);
    admit_end(&a, &t[1], 0, false, 101); /* refused: costs nothing */
    ck_assert_double_eq_tol(admit_level(&who->requests, 101), 1 + 1 / 30.0, 1e-9);
    /* Of 600 charged 250 were used. */
    admit_end(&a, &t[0], 250, true, 101);
    ck_assert_double_eq_tol(admit_level(&who->tokens, 101), 360, 1e-9);
    ck_assert_double_eq_tol(admit_full_in(&who->tokens, 101), 24, 1e-9);
    ck_assert_double_eq_tol(admit_level(&who->tokens, 125), 600, 1e-9);
    ck_assert_double_eq_tol(admit_level(&who->tokens, 1000), 600, 1e-9);
    ck_assert_double_eq(admit_full_in(&who->tokens, 1000), 0);
    /* The bucket of requests: two at once, then one in 30 s. */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(admit_ask(&a, 0, who, 1, SEQ_NORMAL, 0, 1000, &t[i], &wait_for),
                         ADMIT_YES);
        ck_assert_int_eq(admit_charge(&a, &t[i], 1, 1, 0, 1000, &wait_for), ADMIT_YES);
    }
    ck_assert_int_eq(admit_ask(&a, 0, who, 1, SEQ_NORMAL, 0, 1000, &t[2], &wait_for),
                     ADMIT_RATE_REQUESTS);
    ck_assert_double_eq_tol(wait_for, 30, 1e-9);
    admit_end(&a, &t[0], 1, true, 1000);
    admit_end(&a, &t[1], 1, true, 1000);
    admit_fini(&a);
}
END_TEST

START_TEST(a_reload_keeps_what_runs)
{
    static const struct admit_grant first[] = {{.name = "a", .concurrency = 1, .tokens = 100},
                                               {.name = "b"}};
    static const struct admit_grant second[] = {
        {.name = "a", .concurrency = 2, .tokens = 1000}, {.name = "c"}, {.name = "c"}};
    struct admit_ticket t = {0}, u = {0};
    admit_init(&a);
    list(first, 2);
    struct tenant *was_a = admit_find(&a, "a"), *was_b = admit_find(&a, "b");
    ck_assert_uint_ne(was_a->id, was_b->id);
    ck_assert_uint_ne(was_a->id, 0);
    uint64_t id = was_a->id;
    admit_hold(was_a);
    admit_hold(was_b);
    ck_assert_int_eq(admit_ask(&a, 0, was_a, 1, SEQ_NORMAL, 0, 0, &t, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &t, 1, 60, 0, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, was_b, 3, SEQ_NORMAL, 0, 0, &u, &wait_for), ADMIT_YES);
    list(second, 3);
    ck_assert_uint_eq(a.n_listed, 2);
    ck_assert_ptr_eq(admit_find(&a, "a"), was_a);
    ck_assert_ptr_eq(admit_find(&a, "b"), was_b); /* gone when its request has */
    ck_assert_ptr_nonnull(admit_find(&a, "c"));
    ck_assert_double_eq(admit_level(&was_a->tokens, 0), 40);
    ck_assert_uint_eq(was_a->in_flight, 1);
    admit_end(&a, &u, 0, true, 0);
    admit_let_go(&a, was_b);
    ck_assert_ptr_null(admit_find(&a, "b"));
    ck_assert_uint_eq(a.queue[0].held, 1);
    /* Smaller than what is in it: cut. */
    list(first, 1);
    ck_assert_double_eq_tol(admit_level(&was_a->tokens, 10), 56 + 2 / 3.0, 10);
    ck_assert_double_le(admit_level(&was_a->tokens, 1000), 100);
    admit_end(&a, &t, 60, true, 0);
    admit_let_go(&a, was_a);
    list(second, 1);
    ck_assert_uint_eq(admit_find(&a, "a")->id, id);
    /* No memory: everything as it was. */
    const struct admit_grant *each[] = {&second[1], &first[1]};
    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        ck_assert_int_eq(admit_set_tenants(&a, each, 2), -TRIT_ENOMEM);
        ck_assert_ptr_nonnull(admit_find(&a, "a"));
        ck_assert_ptr_null(admit_find(&a, "b"));
        ck_assert_ptr_null(admit_find(&a, "c"));
        ck_assert_uint_eq(a.n_listed, 1);
    }
    admit_fini(&a);
}
END_TEST

START_TEST(a_deadline_is_held_or_refused)
{
    struct engine_estimate e = {.start = 1, .first = 2, .end = 5};
    ck_assert_int_eq(admit_deadline(&e, 5, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_deadline(&e, 4.5, &wait_for), ADMIT_DEADLINE);
    ck_assert_double_eq_tol(wait_for, 0.5, 1e-9);
    ck_assert_int_eq(admit_deadline(&e, INFINITY, &wait_for), ADMIT_YES);
    e = (struct engine_estimate){0}; /* nothing is known yet */
    ck_assert_int_eq(admit_deadline(&e, 0.001, &wait_for), ADMIT_YES);
}
END_TEST

START_TEST(a_first_token_is_in_time_or_refused)
{
    struct engine_estimate e = {.start = 1, .first = 2, .read = 0.5};
    admit_init(&a);
    ck_assert_int_eq(admit_first(&a, 0, &e, 2.46, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_first(&a, 0, &e, 2.35, &wait_for), ADMIT_LATE);
    ck_assert_double_eq_tol(wait_for, 0.1, 1e-9);
    ck_assert_int_eq(admit_first(&a, 0, &e, 0, &wait_for), ADMIT_YES);
    /* A long prompt comes in when nothing is ahead of it, and when little is. */
    e = (struct engine_estimate){.first = 30, .read = 30};
    ck_assert_int_eq(admit_first(&a, 0, &e, 2, &wait_for), ADMIT_YES);
    e.first = 30.7;
    ck_assert_int_eq(admit_first(&a, 0, &e, 2, &wait_for), ADMIT_YES);
    e.first = 31.5;
    ck_assert_int_eq(admit_first(&a, 0, &e, 2, &wait_for), ADMIT_LATE);
    ck_assert_double_eq_tol(wait_for, 0.95, 1e-9);
}
END_TEST

/* Where more than one in 25 comes later than the margin allows it grows, and else it shrinks. */
START_TEST(margins_learn)
{
    static const struct {
        unsigned late_of; /* every so-maniest waits three times as long as expected; 0: none */
        double least, most;
    } cases[] = {{0, 1.09, 1.11}, {100, 1.09, 1.3}, {10, 2.5, 3.01}, {1, 2.9, 3.01}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        admit_init(&a);
        admit_set_room(&a, 1, 4, 400, 10000);
        struct engine_estimate e = {.first = 1.5, .read = 0.5},
                               short_one = {.first = 0.6, .read = 0.5};
        for (unsigned k = 1; k <= 3000; k++) {
            struct admit_ticket t = {0};
            double now = k;
            ck_assert_int_eq(admit_ask(&a, 1, &a.nobody, 1, SEQ_NORMAL, 0, now, &t, &wait_for),
                             ADMIT_YES);
            admit_expect(&t, &e, now);
            admit_heard(&a, &t,
                        now + 0.5 + (cases[i].late_of && k % cases[i].late_of == 0 ? 2.9 : 0.9));
            admit_heard(&a, &t, now + 100); /* is not its first */
            admit_expect(&t, &short_one, now);
            admit_heard(&a, &t, now + 100); /* says nothing about waiting */
            admit_end(&a, &t, 0, true, now);
        }
        double margin = (2 + 1e-9 - 0.5) / (e.first - e.read);
        ck_assert_double_ge(a.queue[1].margin, cases[i].least);
        ck_assert_double_le(a.queue[1].margin, cases[i].most);
        ck_assert_int_eq(admit_first(&a, 1, &e, 2, &wait_for),
                         a.queue[1].margin <= margin ? ADMIT_YES : ADMIT_LATE);
        ck_assert_int_eq(admit_first(&a, 0, &e, 2, &wait_for),
                         ADMIT_YES); /* that is another engine */
        admit_fini(&a);
    }
}
END_TEST

/* What is ahead of the next request is what is his own, and how many share with him. */
START_TEST(a_claim_is_ones_own)
{
    static const struct admit_grant grant[] = {{.name = "greedy"}, {.name = "modest"}};
    struct admit_ticket many = {0}, first = {0}, next = {0};
    admit_init(&a);
    list(grant, 2);
    admit_set_room(&a, 0, 4, 40, 10000);
    struct tenant *greedy = admit_find(&a, "greedy"), *modest = admit_find(&a, "modest");
    ck_assert_int_eq(admit_ask(&a, 0, greedy, 20, SEQ_NORMAL, 0, 0, &many, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &many, 5000, 6000, 0, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, modest, 2, SEQ_NORMAL, 5000, 0, &first, &wait_for),
                     ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &first, 70, 80, 5000, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, modest, 1, SEQ_NORMAL, 5000, 0, &next, &wait_for), ADMIT_YES);
    struct engine_claim c = admit_claim(&a, 0, modest, SEQ_NORMAL, &next);
    ck_assert_uint_eq(c.sequences, 2);
    ck_assert_uint_eq(c.tokens, 70);
    ck_assert_uint_eq(c.tenants, 2);
    ck_assert_uint_eq(admit_claim(&a, 0, modest, SEQ_NORMAL, NULL).sequences, 3);
    admit_end(&a, &many, 0, false, 0);
    ck_assert_uint_eq(admit_claim(&a, 0, modest, SEQ_NORMAL, &next).tenants, 1);
    admit_end(&a, &first, 0, false, 0);
    ck_assert_uint_eq(admit_claim(&a, 0, modest, SEQ_NORMAL, &next).sequences, 0);
    admit_end(&a, &next, 0, false, 0);
    admit_fini(&a);
}
END_TEST

/* What is of a worse priority gives its place, so it is not ahead. */
START_TEST(a_claim_is_of_its_priority)
{
    static const struct admit_grant grant[] = {{.name = "one"}, {.name = "two"}};
    struct admit_ticket low = {0}, normal = {0}, other = {0}, next = {0};
    admit_init(&a);
    list(grant, 2);
    admit_set_room(&a, 0, 4, 40, 10000);
    struct tenant *one = admit_find(&a, "one"), *two = admit_find(&a, "two");
    ck_assert_int_eq(admit_ask(&a, 0, one, 5, SEQ_LOW, 0, 0, &low, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &low, 500, 600, 0, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, one, 2, SEQ_NORMAL, 500, 0, &normal, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_charge(&a, &normal, 70, 80, 500, 0, &wait_for), ADMIT_YES);
    ck_assert_int_eq(admit_ask(&a, 0, two, 1, SEQ_LOW, 500, 0, &other, &wait_for), ADMIT_YES);
    static const struct engine_claim want[SEQ_PRIORITIES] = {
        [SEQ_HIGH] = {.tenants = 1},
        [SEQ_NORMAL] = {.sequences = 2, .tokens = 70, .tenants = 1},
        [SEQ_LOW] = {.sequences = 7, .tokens = 570, .tenants = 2},
    };
    for (int p = 0; p < SEQ_PRIORITIES; p++) {
        struct engine_claim c = admit_claim(&a, 0, one, (enum seq_priority)p, NULL);
        ck_assert_uint_eq(c.sequences, want[p].sequences);
        ck_assert_uint_eq(c.tokens, want[p].tokens);
        ck_assert_uint_eq(c.tenants, want[p].tenants);
    }
    ck_assert_int_eq(admit_ask(&a, 0, one, 1, SEQ_HIGH, 500, 0, &next, &wait_for), ADMIT_YES);
    ck_assert_uint_eq(admit_claim(&a, 0, one, SEQ_HIGH, NULL).sequences, 1);
    ck_assert_uint_eq(admit_claim(&a, 0, one, SEQ_HIGH, &next).sequences, 0);
    admit_begun(&low, 500);
    ck_assert_uint_eq(admit_claim(&a, 0, one, SEQ_LOW, &next).tokens, 70);
    admit_sequence_over(&a, &low);
    ck_assert_uint_eq(admit_claim(&a, 0, one, SEQ_LOW, &next).sequences, 6);
    struct admit_ticket *all[] = {&low, &normal, &other, &next};
    for (int i = 0; i < 4; i++)
        admit_end(&a, all[i], 0, true, 0);
    for (int p = 0; p < SEQ_PRIORITIES; p++)
        ck_assert(one->seat[0].of[p].held == 0 && one->seat[0].of[p].waiting_tokens == 0 &&
                  two->seat[0].of[p].held == 0);
    admit_fini(&a);
}
END_TEST

START_TEST(clients_are_spread)
{
    ck_assert_double_eq_tol(admit_retry(10, 0), 8, 1e-9);
    ck_assert_double_eq_tol(admit_retry(10, 0.999999), 12, 1e-3);
    ck_assert_double_eq(admit_retry(0, 0.5), 1);
    ck_assert_double_eq(admit_retry(1e9, 0.5), 60);
}
END_TEST

/* ------------------------------------------------------------------ random walks */

enum { TENANTS = 4, TICKETS = 64, RUNNING = 4, QUEUE = 40 };

/* What the test knows of a tenant. */
struct known {
    uint32_t in_flight, held;
    double tokens, requests; /* exact levels at `now` */
};

static struct admit_ticket ticket[TICKETS];
static uint64_t charged[TICKETS];
static int owner[TICKETS];
static struct known known[TENANTS];

static void fill(const struct admit_grant *g, double seconds)
{
    for (int i = 0; i < TENANTS; i++) {
        known[i].tokens = fmin(g[i].tokens, known[i].tokens + seconds * g[i].tokens / 60);
        known[i].requests = fmin(g[i].requests, known[i].requests + seconds * g[i].requests / 60);
    }
}

static void compare(const struct admit_grant *g, struct tenant *const *t, double now)
{
    uint32_t held = 0;
    for (int i = 0; i < TENANTS; i++) {
        held += known[i].held;
        ck_assert_uint_eq(t[i]->in_flight, known[i].in_flight);
        ck_assert_uint_eq(t[i]->seat[0].held, known[i].held);
        if (g[i].concurrency)
            ck_assert_uint_le(t[i]->in_flight, g[i].concurrency);
        if (g[i].tokens) {
            ck_assert_double_eq_tol(admit_level(&t[i]->tokens, now), known[i].tokens, 1e-6);
            ck_assert_double_ge(known[i].tokens, -1e-6);
        }
        if (g[i].requests)
            ck_assert_double_eq_tol(admit_level(&t[i]->requests, now), known[i].requests, 1e-6);
    }
    ck_assert_uint_eq(a.queue[0].held, held);
    ck_assert_uint_le(held, RUNNING + QUEUE);
}

/* One who holds less than a share is only kept away when not even the reserve has room; and nobody
 * who holds more gets into the reserve. */
static void check_share(enum admit_verdict verdict, int who, uint32_t n)
{
    uint32_t active = 0, held = 0, room = RUNNING + QUEUE;
    for (int i = 0; i < TENANTS; i++) {
        active += i == who || known[i].held > 0;
        held += known[i].held;
    }
    bool modest = known[who].held + n <= room / MAX(active, 2u);
    if (verdict == ADMIT_QUEUE_REQUESTS)
        ck_assert_uint_gt(held + n, modest ? room : room - QUEUE / 4);
    if (verdict == ADMIT_YES)
        ck_assert_uint_le(held + n, modest ? room : room - QUEUE / 4);
}

START_TEST(promises_hold_in_any_order)
{
    static const struct admit_grant grant[TENANTS] = {
        {.name = "free"},
        {.name = "few", .concurrency = 3},
        {.name = "slow", .requests = 40, .tokens = 300000},
        {.name = "all", .concurrency = 20, .requests = 2000, .tokens = 3000},
    };
    uint64_t random = unit_seed();
    double now = 1000;
    uint32_t verdicts[N_VERDICTS] = {0};
    struct tenant *t[TENANTS];
    admit_init(&a);
    admit_set_room(&a, 0, RUNNING, QUEUE, 100000);
    list(grant, TENANTS);
    memset(ticket, 0, sizeof ticket);
    for (int i = 0; i < TENANTS; i++) {
        t[i] = admit_find(&a, grant[i].name);
        known[i] = (struct known){.tokens = grant[i].tokens, .requests = grant[i].requests};
    }
    for (int step = 0; step < 200000; step++) {
        int k = (int)(unit_random(&random) % TICKETS);
        struct known *o = &known[ticket[k].tenant ? owner[k] : 0];
        if (unit_random(&random) % 8 == 0) {
            double seconds = (double)(unit_random(&random) % 1000) / 1000;
            now += seconds;
            fill(grant, seconds);
        } else if (!ticket[k].tenant) {
            int who = (int)(unit_random(&random) % TENANTS);
            uint32_t n = 1 + (uint32_t)(unit_random(&random) % 8) / 5 * 3;
            enum admit_verdict v =
                admit_ask(&a, 0, t[who], n, SEQ_NORMAL, 0, now, &ticket[k], &wait_for);
            verdicts[v]++;
            check_share(v, who, n);
            if (v != ADMIT_YES)
                continue;
            owner[k] = who;
            charged[k] = 0;
            o = &known[who];
            o->in_flight++;
            o->held += n;
            o->requests -= grant[who].requests > 0;
        } else if (charged[k] == 0) {
            uint64_t prompt = 1 + unit_random(&random) % 500,
                     cost = prompt + unit_random(&random) % 900;
            enum admit_verdict v = admit_charge(&a, &ticket[k], prompt, cost, 0, now, &wait_for);
            verdicts[v]++;
            if (v == ADMIT_YES) {
                charged[k] = cost;
                o->tokens -= grant[owner[k]].tokens > 0 ? (double)cost : 0;
            } else { /* A refusal costs nothing. */
                o->held -= ticket[k].sequences;
                o->in_flight--;
                o->requests = fmin(grant[owner[k]].requests, o->requests + 1);
                admit_end(&a, &ticket[k], 0, false, now);
            }
        } else if (ticket[k].sequences > 1) {
            admit_begun(&ticket[k], 100);
            admit_sequence_over(&a, &ticket[k]);
            o->held--;
        } else {
            uint64_t used = unit_random(&random) % (charged[k] + 1);
            o->held -= ticket[k].sequences;
            o->in_flight--;
            o->tokens = fmin(grant[owner[k]].tokens, o->tokens + (double)(charged[k] - used));
            admit_end(&a, &ticket[k], used, true, now);
        }
        compare(grant, t, now);
    }
    /* The walk has seen what it is about. */
    ck_assert_uint_gt(verdicts[ADMIT_YES], 1000);
    ck_assert_uint_gt(verdicts[ADMIT_CONCURRENCY], 100);
    ck_assert_uint_gt(verdicts[ADMIT_RATE_REQUESTS], 100);
    ck_assert_uint_gt(verdicts[ADMIT_RATE_TOKENS], 100);
    ck_assert_uint_gt(verdicts[ADMIT_QUEUE_REQUESTS], 100);
    for (int k = 0; k < TICKETS; k++)
        admit_end(&a, &ticket[k], 0, true, now);
    for (int i = 0; i < TENANTS; i++)
        ck_assert(t[i]->in_flight == 0 && t[i]->seat[0].held == 0 &&
                  t[i]->seat[0].waiting_tokens == 0);
    admit_fini(&a);
}
END_TEST

/* A greedy tenant takes all it can get; one who comes late still gets in, up to the reserve, and as
 * places fall free, up to its share. */
START_TEST(who_comes_late_gets_a_share)
{
    static const struct admit_grant grant[] = {{.name = "greedy"}, {.name = "late"}};
    struct admit_ticket mine[64] = {{0}}, theirs[64] = {{0}};
    admit_init(&a);
    admit_set_room(&a, 0, RUNNING, QUEUE, 100000);
    list(grant, 2);
    struct tenant *greedy = admit_find(&a, "greedy"), *late = admit_find(&a, "late");
    int n = 0, m = 0;
    while (admit_ask(&a, 0, greedy, 1, SEQ_NORMAL, 0, 0, &theirs[n], &wait_for) == ADMIT_YES)
        n++;
    ck_assert_int_eq(n, RUNNING + QUEUE - QUEUE / 4);
    ck_assert_uint_eq(admit_largest(&a, 0), (unsigned)n);
    while (m < QUEUE / 4)
        ck_assert_int_eq(admit_ask(&a, 0, late, 1, SEQ_NORMAL, 0, 0, &mine[m++], &wait_for),
                         ADMIT_YES);
    ck_assert_int_eq(admit_look(&a, 0, late, 0, 0, &wait_for), ADMIT_QUEUE_REQUESTS);
    while (m < (RUNNING + QUEUE) / 2) {
        admit_end(&a, &theirs[--n], 0, true, 0);
        ck_assert_int_eq(admit_look(&a, 0, greedy, 0, 0, &wait_for), ADMIT_QUEUE_REQUESTS);
        ck_assert_int_eq(admit_ask(&a, 0, late, 1, SEQ_NORMAL, 0, 0, &mine[m++], &wait_for),
                         ADMIT_YES);
    }
    ck_assert_int_eq(admit_look(&a, 0, late, 0, 0, &wait_for), ADMIT_QUEUE_REQUESTS);
    while (n > 0)
        admit_end(&a, &theirs[--n], 0, true, 0);
    while (m > 0)
        admit_end(&a, &mine[--m], 0, true, 0);
    admit_fini(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admit");
    TCase *tc = tcase_create("admit");
    tcase_add_test(tc, one_tenant_may_fill_the_queue);
    tcase_add_test(tc, prompt_tokens_that_wait_are_bounded);
    tcase_add_test(tc, buckets_fill_steadily);
    tcase_add_test(tc, a_reload_keeps_what_runs);
    tcase_add_test(tc, a_deadline_is_held_or_refused);
    tcase_add_test(tc, a_first_token_is_in_time_or_refused);
    tcase_add_test(tc, margins_learn);
    tcase_add_test(tc, a_claim_is_ones_own);
    tcase_add_test(tc, a_claim_is_of_its_priority);
    tcase_add_test(tc, clients_are_spread);
    tcase_add_test(tc, promises_hold_in_any_order);
    tcase_add_test(tc, who_comes_late_gets_a_share);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
