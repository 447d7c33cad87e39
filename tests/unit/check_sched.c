/* SPDX-License-Identifier: MIT */
/*
 * check_sched.c - who runs, and what of it in a step.
 */
#include "config.h"

#include "unit/sched-drive.h"

/* ------------------------------------------------------------------ who runs */

START_TEST(priorities_and_ageing)
{
    struct drive d;
    int32_t text[8];
    drive_fill(text, 8, 3);
    struct sched_options o = drive_plain;
    o.max_running = 1;
    drive_open(&d, 64, o, true);
    struct seq *low = drive_seq(text, 8, 100), *normal = drive_seq(text, 8, 100),
               *high = drive_seq(text, 8, 100), *aged = drive_seq(text, 8, 5);
    low->wish.priority = SEQ_LOW;
    high->wish.priority = SEQ_HIGH;
    aged->wish.priority = SEQ_LOW;
    aged->wish.tenant = 7; /* a queue of its own */
    drive_add(&d, low);
    drive_step(&d);
    drive_step(&d);
    ck_assert_uint_gt(low->n_generated, 0);
    drive_add(&d, normal);
    drive_step(&d);
    drive_step(&d);
    uint32_t said = low->n_generated;
    ck_assert_uint_gt(normal->n_generated, 0); /* took the place */
    drive_add(&d, high);
    drive_add(&d, aged);
    for (int i = 0; i < 50; i++)
        drive_step(&d);
    ck_assert_uint_gt(high->n_generated, 40);
    ck_assert_uint_eq(low->n_generated, said);

    /* Whoever of the others comes, the queue that was passed over for long enough is before them.
     */
    d.now += 2.5 * SCHED_AGEING;
    struct seq *late = drive_seq(text, 8, 5);
    late->wish.priority = SEQ_NORMAL;
    drive_add(&d, late);
    while (aged->end == SEQ_RUNNING && drive_step(&d))
        ;
    ck_assert_int_eq(late->end, SEQ_RUNNING);
    drive_out(&d);
    struct seq *all[] = {low, normal, high, aged, late};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(all[i]->end, SEQ_LENGTH);
        drive_check(all[i]);
        seq_free(all[i]);
    }
    drive_close(&d);
}
END_TEST

/* 32 sequences of one tenant, and then one of another: it does not wait for them. */
START_TEST(tenants_share_places)
{
    struct drive d;
    int32_t text[40];
    drive_fill(text, 40, 3);
    drive_open(&d, 200, drive_plain, false);
    struct seq *many[32];
    for (int i = 0; i < 32; i++) {
        many[i] = drive_seq(text, 40, 30);
        many[i]->wish.tenant = 1;
        drive_add(&d, many[i]);
    }
    for (int i = 0; i < 10; i++)
        drive_step(&d);
    struct seq *one = drive_seq(text, 40, 30);
    one->wish.tenant = 2;
    drive_add(&d, one);
    uint32_t steps = 0;
    for (; one->n_generated == 0 && steps < 100; steps++)
        drive_step(&d);
    ck_assert_uint_le(steps, 4);
    drive_out(&d);
    for (int i = 0; i < 32; i++) {
        drive_check(many[i]);
        seq_free(many[i]);
    }
    drive_check(one);
    seq_free(one);
    drive_close(&d);
}
END_TEST

/* Prompts of tenants with nothing else have a step of their own, if they fit into one; but never
 * two in a row. */
START_TEST(guests_come_first)
{
    struct drive d;
    static int32_t text[3000];
    drive_fill(text, 3000, 3);
    drive_open(&d, 400, drive_plain, false);
    struct seq *many[8], *guest[3];
    for (int i = 0; i < 8; i++) {
        many[i] = drive_seq(text, 8, 200);
        many[i]->wish.tenant = 1;
        drive_add(&d, many[i]);
    }
    for (int i = 0; i < 50; i++) /* It learns what steps cost. */
        drive_step(&d);
    for (int i = 0; i < 3; i++) {
        guest[i] = i == 2 ? drive_seq(text, 2000, 2) : drive_seq(text, 20, 2);
        guest[i]->wish.tenant = 2 + (uint64_t)i;
    }
    drive_add(&d, guest[0]);
    uint32_t said = many[0]->n_generated;
    drive_step(&d);
    ck_assert_uint_eq(guest[0]->n_generated, 1);
    ck_assert_uint_eq(many[0]->n_generated, said);
    drive_add(&d, guest[1]);
    drive_step(&d);
    ck_assert_uint_eq(many[0]->n_generated, said + 1);
    ck_assert_uint_ge(guest[1]->n_generated, 1);
    /* Too long for a step: those who talk do not wait for it. */
    drive_add(&d, guest[2]);
    drive_step(&d);
    for (int i = 0; i < 3; i++) {
        said = many[0]->n_generated;
        drive_step(&d);
        ck_assert_uint_eq(many[0]->n_generated, said + 1);
        ck_assert_uint_gt(guest[2]->n_done, 0);
    }
    drive_out(&d);
    for (int i = 0; i < 8; i++) {
        drive_check(many[i]);
        seq_free(many[i]);
    }
    for (int i = 0; i < 3; i++) {
        drive_check(guest[i]);
        seq_free(guest[i]);
    }
    drive_close(&d);
}
END_TEST

/* Who had the machine to himself has no debt from it when others come. */
START_TEST(time_alone_is_no_debt)
{
    struct drive d;
    static int32_t text[3000];
    drive_fill(text, 3000, 3);
    drive_open(&d, 200, drive_plain, false);
    struct seq *alone = drive_seq(text, 3000, 5), *many[32], *one = drive_seq(text, 40, 5);
    alone->wish.tenant = one->wish.tenant = 2;
    drive_add(&d, alone);
    drive_out(&d);
    for (int i = 0; i < 32; i++) {
        many[i] = drive_seq(text, 40, 30);
        many[i]->wish.tenant = 1;
        drive_add(&d, many[i]);
    }
    drive_step(&d);
    drive_add(&d, one);
    uint32_t steps = 0;
    for (; one->n_generated == 0 && steps < 100; steps++)
        drive_step(&d);
    ck_assert_uint_le(steps, 5);
    drive_out(&d);
    for (int i = 0; i < 32; i++)
        seq_free(many[i]);
    seq_free(alone);
    seq_free(one);
    drive_close(&d);
}
END_TEST

/* Who asks for one thing after the other has more than his share of tokens soon; he waits for a
 * step of the others each time, not for their tokens. */
START_TEST(one_after_the_other)
{
    struct drive d;
    int32_t text[64 + 20 * 80];
    drive_fill(text, ARRAY_LEN(text), 3);
    drive_open(&d, 200, drive_plain, false);
    struct seq *many[64];
    for (int i = 0; i < 64; i++) {
        many[i] = drive_seq(text, 40, 100);
        many[i]->wish.tenant = 1;
        drive_add(&d, many[i]);
    }
    drive_step(&d);
    for (int i = 0; i < 20; i++) {
        struct seq *one = drive_seq(text + 64 + 80 * (size_t)i, 80, 1);
        one->wish.tenant = 2;
        drive_step(&d);
        drive_add(&d, one);
        uint32_t steps = 0, ended = d.n_ended;
        for (; d.n_ended == ended && steps < 100; steps++)
            drive_step(&d);
        ck_assert_uint_eq(one->n_generated, 1);
        ck_assert_uint_le(steps, 2);
        seq_free(one);
    }
    drive_out(&d);
    for (int i = 0; i < 64; i++)
        seq_free(many[i]);
    drive_close(&d);
}
END_TEST

/* Two tenants who both always want more get the same number of tokens, however unlike their
 * requests are. */
START_TEST(tenants_share_tokens)
{
    struct drive d;
    int32_t text[300];
    drive_fill(text, 300, 3);
    drive_open(&d, 400, drive_plain, false);
    struct seq *all[400];
    uint64_t served[2] = {0};
    for (int i = 0; i < 400; i++) {
        all[i] = i % 2 ? drive_seq(text, 300, 2) : drive_seq(text, 10, 20);
        all[i]->wish.tenant = 1 + (uint64_t)i % 2;
        drive_add(&d, all[i]);
    }
    while (d.n_ended < 160)
        drive_step(&d);
    for (int i = 0; i < 400; i++)
        served[i % 2] += all[i]->n_done;
    ck_assert_double_gt((double)served[0] / (double)served[1], 0.8);
    ck_assert_double_lt((double)served[0] / (double)served[1], 1.25);
    drive_out(&d);
    for (int i = 0; i < 400; i++)
        seq_free(all[i]);
    drive_close(&d);
}
END_TEST

/* While others talk, a long prompt gets what the target leaves; a short one passes it. */
START_TEST(long_prompt_is_in_nobodys_way)
{
    struct drive d;
    static int32_t text[3000];
    drive_fill(text, 3000, 3);
    struct sched_options o = drive_plain;
    o.max_rows = 256;
    o.max_slots = 20;
    drive_open(&d, 400, o, false);
    struct seq *talker = drive_seq(text, 5, 2000), *deep = drive_seq(text, 3000, 2),
               *brief = drive_seq(text, 60, 2);
    drive_add(&d, talker);
    for (int i = 0; i < 20; i++)
        drive_step(&d);
    drive_add(&d, deep);
    double longest = 0;
    for (int i = 0; i < 20; i++) {
        double before = d.now;
        drive_step(&d);
        if (i > 10) /* It has learnt by now what rows cost. */
            longest = MAX(longest, d.now - before);
    }
    ck_assert_double_le(longest, 0.06); /* the target is 0.05 */
    ck_assert_double_ge(longest, 0.03);
    drive_add(&d, brief);
    while (brief->end == SEQ_RUNNING)
        drive_step(&d);
    ck_assert_uint_eq(deep->n_generated, 0);
    drive_out(&d);
    ck_assert_uint_eq(deep->n_generated, 2);
    seq_free(talker);
    seq_free(deep);
    seq_free(brief);
    drive_close(&d);
}
END_TEST

/* What became of a prompt that was read beside others. */
struct beside {
    uint32_t steps, plain; /* that it took; of those, the ones without rows of it */
    uint32_t brief_steps;  /* the most that a short prompt took */
    double mean, longest;  /* step, in times of what it would be without prompts */
    double plain_mean;
};

enum { TALKERS = 8, LONG = 3000 };

/*
 * A prompt of 3,000 tokens beside eight who talk, where a position costs so many seconds, and short
 * prompts come meanwhile.
 */
static struct beside read_beside(double position_seconds, bool others)
{
    struct drive d;
    struct beside b = {0};
    static int32_t text[LONG];
    drive_fill(text, LONG, 3);
    struct sched_options o = {
        .max_running = 16, .max_rows = 256, .max_slots = 20, .token_target = 0.001};
    drive_open(&d, 2600, o, false);
    d.check = 50;
    struct seq *talker[TALKERS], *deep = drive_seq(text, LONG, 2), *brief = NULL;
    for (int i = 0; i < TALKERS; i++) {
        talker[i] = drive_seq(text, 5, 8000);
        drive_add(&d, talker[i]);
    }
    d.position_seconds = position_seconds;
    for (int i = 0; i < 20; i++)
        drive_step(&d);
    drive_add(&d, deep);
    double began = d.now;
    uint32_t brief_began = 0;
    while (deep->n_generated == 0) {
        if (others && !brief && b.steps % 200 == 100) {
            brief = drive_seq(text, 40, 1);
            drive_add(&d, brief);
            brief_began = b.steps;
        }
        uint32_t done = deep->n_done;
        drive_step(&d);
        double times = d.seconds / (0.018 + position_seconds * TALKERS * talker[0]->n_done);
        b.steps++;
        b.mean += times;
        if (deep->n_done == done && !brief) {
            b.plain++;
            b.plain_mean += times;
        } else if (d.now - began > 0.5) { /* It has learnt by then what rows cost. */
            b.longest = MAX(b.longest, times);
        }
        if (brief && brief->end != SEQ_RUNNING) {
            b.brief_steps = MAX(b.brief_steps, b.steps - brief_began);
            seq_free(brief);
            brief = NULL;
        }
        ck_assert_uint_lt(b.steps, 7900);
    }
    b.mean /= b.steps;
    b.plain_mean /= b.plain;
    for (int i = 0; i < TALKERS; i++) {
        drive_end(&d, talker[i], SEQ_CANCELLED);
        seq_free(talker[i]);
    }
    drive_out(&d);
    seq_free(deep);
    if (brief)
        seq_free(brief);
    drive_close(&d);
    return b;
}

/* While four rows fit into what a step may take, every step has some and none is longer than it
 * may; nor does it make slow steps the measure for slower ones. */
START_TEST(long_prompt_is_read_in_every_step)
{
    struct beside b = read_beside(1e-7, false);
    ck_assert_double_le(b.longest, 1.4);
    ck_assert_double_le(b.mean, 1.32);
    ck_assert_uint_le(b.plain, b.steps / 50 + 1);
    ck_assert_double_eq_tol(b.plain_mean, 1, 0.01);
    ck_assert_uint_le(b.steps, LONG / 4);
}
END_TEST

/* Where attention to what was read makes rows dear, at the end ten times as dear as at the
 * beginning, the others wait as long on average, and it gets on. */
START_TEST(deep_prompt_saves_up)
{
    struct beside b = read_beside(3e-6, false);
    ck_assert_uint_gt(b.plain, b.steps / 4);
    ck_assert_uint_le(b.steps, LONG);
}
END_TEST

/* Short prompts pass it, and it still gets on. */
START_TEST(short_prompts_pass_a_deep_one)
{
    struct beside b = read_beside(3e-6, true);
    ck_assert_uint_le(b.brief_steps, 30);
    ck_assert_double_le(b.mean, 1.4);
    ck_assert_uint_le(b.steps, LONG * 2);
}
END_TEST

/* ------------------------------------------------------------------ hybrid models */

enum { GROUP = 6, GROUP_PROMPT = 150, GROUP_NEW = 5 };

static void run_group(uint32_t n, uint32_t places, struct drive *d)
{
    int32_t text[GROUP_PROMPT];
    struct seq *all[GROUP];
    struct sched_options o = drive_plain;
    o.max_running = places;
    drive_fill(text, GROUP_PROMPT, 3);
    drive_open_hybrid(d, 200, o);
    for (uint32_t i = 0; i < n; i++) {
        all[i] = drive_seq(text, GROUP_PROMPT, GROUP_NEW);
        all[i]->wish.group = 1;
        all[i]->wish.sampler.seed = i;
        drive_add(d, all[i]);
    }
    drive_out(d);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_int_eq(all[i]->end, SEQ_LENGTH);
        drive_check(all[i]);
        ck_assert_uint_eq(all[i]->n_cached, i % places ? GROUP_PROMPT - 1 : 0);
        seq_free(all[i]);
    }
}

/* One reads the prompt but for its last token, and the others begin with its state. */
START_TEST(group_copies_a_state)
{
    struct drive d;
    run_group(4, 4, &d);
    ck_assert_uint_eq(d.n_computed, GROUP_PROMPT - 1 + 4 * GROUP_NEW);
    drive_close(&d);
}
END_TEST

/* Who has no place then finds a state that has gone on: the next one reads, for those beside
 * him. */
START_TEST(group_is_larger_than_the_batch)
{
    struct drive d;
    run_group(GROUP, 2, &d);
    ck_assert_uint_eq(d.n_computed, 3 * (GROUP_PROMPT - 1) + GROUP * GROUP_NEW);
    drive_close(&d);
}
END_TEST

/* A prompt of one token has no beginning, and logprobs of a prompt need all of it. */
START_TEST(group_with_nothing_to_copy)
{
    struct drive d;
    int32_t text[40];
    drive_fill(text, 40, 3);
    drive_open_hybrid(&d, 64, drive_plain);
    struct seq *all[4];
    for (int i = 0; i < 4; i++) {
        all[i] = drive_seq(text, i < 2 ? 1 : 40, 3);
        all[i]->wish.group = 1 + (uint64_t)i / 2;
        all[i]->wish.want_prompt_logprobs = i >= 2;
        drive_add(&d, all[i]);
    }
    drive_out(&d);
    ck_assert_uint_eq(d.n_computed, 2 * (1 + 40) + 4 * 2);
    for (int i = 0; i < 4; i++) {
        drive_check(all[i]);
        ck_assert_uint_eq(all[i]->n_cached, 0);
        seq_free(all[i]);
    }
    drive_close(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sched");
    TCase *c = tcase_create("sched");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, priorities_and_ageing);
    tcase_add_test(c, tenants_share_places);
    tcase_add_test(c, guests_come_first);
    tcase_add_test(c, time_alone_is_no_debt);
    tcase_add_test(c, tenants_share_tokens);
    tcase_add_test(c, one_after_the_other);
    tcase_add_test(c, long_prompt_is_in_nobodys_way);
    tcase_add_test(c, long_prompt_is_read_in_every_step);
    tcase_add_test(c, deep_prompt_saves_up);
    tcase_add_test(c, short_prompts_pass_a_deep_one);
    tcase_add_test(c, group_copies_a_state);
    tcase_add_test(c, group_is_larger_than_the_batch);
    tcase_add_test(c, group_with_nothing_to_copy);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
