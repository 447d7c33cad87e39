/* SPDX-License-Identifier: MIT */
/*
 * check_prefix.c - what is computed once and used again: beginnings, answers, groups.
 */
#include "config.h"

#include "unit/sched-drive.h"

START_TEST(beginning_is_reused)
{
    struct drive d;
    int32_t text[200];
    drive_fill(text, 200, 7);
    drive_open(&d, 64, drive_plain, true);
    struct seq *a = drive_seq(text, 200, 3);
    drive_add(&d, a);
    drive_out(&d);
    ck_assert_uint_eq(a->n_cached, 0);
    ck_assert_uint_eq(d.kv.n_kept, 200 / KV_PAGE_TOKENS);

    /* The same text: all but the page that is not full.  Half of it: whole pages of that half; and
     * of a multiple of a page, one page less, since the last position's logits are wanted. */
    struct seq *b = drive_seq(text, 200, 3), *c = drive_seq(text, 100, 3),
               *e = drive_seq(text, 96, 3);
    text[40] = 1000;
    struct seq *f = drive_seq(text, 200, 3);
    drive_add(&d, b);
    drive_add(&d, c);
    drive_add(&d, e);
    drive_add(&d, f);
    drive_out(&d);
    ck_assert_uint_eq(b->n_cached, 192);
    ck_assert_uint_eq(c->n_cached, 96);
    ck_assert_uint_eq(e->n_cached, 64);
    ck_assert_uint_eq(f->n_cached, 32);
    struct seq *all[] = {a, b, c, e, f};
    for (int i = 0; i < 5; i++) {
        drive_check(all[i]);
        seq_free(all[i]);
    }
    drive_close(&d);
}
END_TEST

START_TEST(salts_are_apart)
{
    struct drive d;
    int32_t text[100];
    drive_fill(text, 100, 3);
    drive_open(&d, 64, drive_plain, true);
    struct seq *s[3];
    for (int i = 0; i < 3; i++) {
        s[i] = drive_seq(text, 100, 2);
        s[i]->wish.salt = i == 2;
        drive_add(&d, s[i]);
        drive_out(&d);
    }
    ck_assert_uint_eq(s[1]->n_cached, 96);
    ck_assert_uint_eq(s[2]->n_cached, 0);
    for (int i = 0; i < 3; i++)
        seq_free(s[i]);
    drive_close(&d);
}
END_TEST

/* Conversations: the answer is part of what the next request begins with. */
START_TEST(answers_are_reused)
{
    struct drive d;
    int32_t text[300];
    drive_fill(text, 100, 3);
    drive_open(&d, 64, drive_plain, true);
    struct seq *a = drive_seq(text, 100, 60);
    drive_add(&d, a);
    drive_out(&d);
    memcpy(text + 100, a->token, 60 * sizeof *text);
    drive_fill(text + 160, 20, 5);
    struct seq *b = drive_seq(text, 180, 5);
    drive_add(&d, b);
    drive_out(&d);
    ck_assert_uint_eq(b->n_cached, 128); /* of 159 that were computed */
    drive_check(b);
    seq_free(a);
    seq_free(b);
    drive_close(&d);
}
END_TEST

/* A pool of few pages: what was used last stays, and beginnings stay longer than ends. */
START_TEST(oldest_are_given_up)
{
    struct drive d;
    int32_t old[96], new[96];
    drive_fill(old, 96, 3);
    drive_fill(new, 96, 5);
    drive_open(&d, 6, drive_plain, true);
    struct seq *s[4] = {drive_seq(old, 96, 2), drive_seq(new, 96, 2), drive_seq(new, 96, 2),
                        drive_seq(old, 96, 2)};
    for (int i = 0; i < 4; i++) {
        drive_add(&d, s[i]);
        drive_out(&d);
        drive_check(s[i]);
    }
    ck_assert_uint_eq(s[2]->n_cached, 64);
    ck_assert_uint_lt(s[3]->n_cached, 64); /* Some of the old were given up for the new ... */
    ck_assert_uint_ge(s[3]->n_cached, 32); /* ... but from the end. */
    ck_assert_uint_gt(d.kv.n_evicted, 0);
    for (int i = 0; i < 4; i++)
        seq_free(s[i]);
    drive_close(&d);
}
END_TEST

/* n > 1: the prompt is computed once, the others share its pages and copy the one that goes on. */
static void group_shares(uint32_t n_prompt, bool keep)
{
    struct drive d;
    int32_t text[200];
    drive_fill(text, 200, 3);
    drive_open(&d, 64, drive_plain, keep);
    struct seq *s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = drive_seq(text, n_prompt, 20);
        s[i]->wish.group = 9;
        s[i]->wish.sampler.seed = (uint64_t)i;
        drive_add(&d, s[i]);
    }
    drive_out(&d);
    ck_assert_uint_eq(d.n_computed, n_prompt + 3 + 4 * 19);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(s[i]->n_generated, 20);
        drive_check(s[i]);
        seq_free(s[i]);
    }
    drive_close(&d);
}

START_TEST(groups_share)
{
    static const uint32_t n[] = {2, 31, 32, 33, 64, 65, 95, 96, 97, 150};
    group_shares(n[_i / 2], _i % 2);
}
END_TEST

/* Who lost his pages before his first word finds some of them again: those were not there when he
 * came. */
START_TEST(ones_own_are_not_cached)
{
    struct drive d;
    int32_t text[300];
    struct sched_options o = drive_plain;
    o.max_running = 1;
    drive_fill(text, 300, 3);
    drive_open(&d, 12, o, true);
    struct seq *low = drive_seq(text, 300, 4), *high = drive_seq(text + 1, 150, 4);
    low->wish.priority = SEQ_LOW;
    high->wish.priority = SEQ_HIGH;
    drive_add(&d, low);
    while (low->n_done < 100)
        drive_step(&d);
    drive_add(&d, high);
    drive_step(&d);
    ck_assert(!low->lease.open && high->lease.open && low->n_generated == 0);
    drive_out(&d);
    ck_assert_uint_lt(d.n_computed, 300 + 100 + 150 + 6); /* some were found */
    ck_assert_uint_eq(low->n_cached, 0);
    ck_assert_uint_eq(high->n_cached, 0);
    drive_check(low);
    drive_check(high);
    seq_free(low);
    seq_free(high);
    drive_close(&d);
}
END_TEST

/* What was computed with a fault is nobody's beginning. */
START_TEST(faults_are_not_kept)
{
    struct drive d;
    int32_t text[100];
    drive_fill(text, 100, 3);
    drive_open(&d, 64, drive_plain, true);
    struct seq *a = drive_seq(text, 100, 50), *b = drive_seq(text, 100, 50);
    drive_add(&d, a);
    for (int i = 0; i < 10; i++)
        drive_step(&d);
    d.faulty = a;
    drive_step(&d);
    ck_assert_int_eq(a->end, SEQ_FAULT);
    ck_assert_uint_eq(d.kv.n_kept, 0);
    d.faulty = NULL;
    drive_add(&d, b);
    drive_out(&d);
    ck_assert_uint_eq(b->n_cached, 0);
    drive_check(b);
    seq_free(a);
    seq_free(b);
    drive_close(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prefix");
    TCase *c = tcase_create("prefix");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, beginning_is_reused);
    tcase_add_test(c, salts_are_apart);
    tcase_add_test(c, answers_are_reused);
    tcase_add_test(c, oldest_are_given_up);
    tcase_add_loop_test(c, groups_share, 0, 20);
    tcase_add_test(c, ones_own_are_not_cached);
    tcase_add_test(c, faults_are_not_kept);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
