/* SPDX-License-Identifier: MIT */
/*
 * check_plan.c - how much memory the KV pool gets when nobody says.
 */
#include "config.h"

#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "main/plan.h"
#include "unit.h"

START_TEST(eight_contexts_where_there_is_room)
{
    ck_assert_uint_eq(plan_kv_bytes(4096, 128, 1ull << 40), 4096 * 128 * 8);
    ck_assert_uint_eq(plan_kv_bytes(4096, 128, 0), 4096 * 128 * 8);
}
END_TEST

START_TEST(a_quarter_of_little_memory_in_whole_pages)
{
    size_t bytes = plan_kv_bytes(1000, 10, 200001);
    ck_assert_uint_eq(bytes, 50000);
    ck_assert_uint_eq(plan_kv_bytes(1000, 10, 199999), 49000);
}
END_TEST

START_TEST(never_less_than_one_context)
{
    ck_assert_uint_eq(plan_kv_bytes(1 << 20, 128, 1 << 20), 128ull << 20);
}
END_TEST

START_TEST(nonsense_does_not_wrap)
{
    ck_assert_uint_eq(plan_kv_bytes(SIZE_MAX / 2, 4, 0), SIZE_MAX);
}
END_TEST

/* 157 MB a sequence, as of the 27B model; 16 GB of memory, of which weights have 7 and keys 4. */
START_TEST(states_of_sequences)
{
    enum { STATE = 157000000 };
    const struct plan_room room = {16000000000, 7000000000, 4000000000}, none = {0};
    struct trit_error err;
    uint32_t n;
    ck_assert_int_eq(plan_sequences(0, 1024, true, &room, &n, &err), 0);
    ck_assert_uint_eq(n, 1024); /* no hybrid model */
    ck_assert_int_eq(plan_sequences(STATE, 1024, true, &none, &n, &err), 0);
    ck_assert_uint_eq(n, 1024); /* nobody knows */
    ck_assert_int_eq(plan_sequences(STATE, 32, false, &room, &n, &err), 0);
    ck_assert_uint_eq(n, 25); /* a quarter */
    ck_assert_int_eq(plan_sequences(STATE, 8, false, &room, &n, &err), 0);
    ck_assert_uint_eq(n, 8);
    ck_assert_int_eq(plan_sequences(STATE, 31, true, &room, &n, &err), 0);
    ck_assert_uint_eq(n, 31); /* asked for, and there is room */
    ck_assert_int_eq(plan_sequences(STATE, 32, true, &room, &n, &err), -TRIT_ENOMEM);
    ck_assert_msg(strstr(err.text, "max-batch: the states of 32 sequences take 5024 MB, 157.0 MB "
                                   "each") != NULL,
                  "%s", err.text);
    ck_assert_msg(strstr(err.text, "room for 31") != NULL, "%s", err.text);
}
END_TEST

/* One is had where a quarter is less; none where nothing is left. */
START_TEST(states_of_one_sequence)
{
    struct plan_room room = {1000, 500, 100};
    struct trit_error err;
    uint32_t n;
    ck_assert_int_eq(plan_sequences(300, 32, false, &room, &n, &err), 0);
    ck_assert_uint_eq(n, 1);
    room.kv = 300;
    ck_assert_int_eq(plan_sequences(300, 32, false, &room, &n, &err), -TRIT_ENOMEM);
    room.kv = UINT64_MAX;
    ck_assert_int_eq(plan_sequences(300, 1, true, &room, &n, &err), -TRIT_ENOMEM);
}
END_TEST

START_TEST(this_machine_has_memory)
{
    ck_assert_uint_gt(plan_memory(), 16 << 20);
}
END_TEST

START_TEST(connections_fit_into_the_open_files)
{
    struct rlimit before, limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = 100; /* the hard limit stays: there is room to raise it */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(plan_connections(30), 30);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(limit.rlim_cur, 100);
    ck_assert_uint_eq(plan_connections(200), 200);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_ge(limit.rlim_cur, 200);
    limit.rlim_cur = limit.rlim_max =
        150; /* and now there is none; this test has its own process */
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        ck_assert_uint_eq(plan_connections(200), 150 - 64);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plan");
    TCase *c = tcase_create("plan");
    tcase_add_test(c, eight_contexts_where_there_is_room);
    tcase_add_test(c, a_quarter_of_little_memory_in_whole_pages);
    tcase_add_test(c, never_less_than_one_context);
    tcase_add_test(c, nonsense_does_not_wrap);
    tcase_add_test(c, states_of_sequences);
    tcase_add_test(c, states_of_one_sequence);
    tcase_add_test(c, this_machine_has_memory);
    tcase_add_test(c, connections_fit_into_the_open_files);
    suite_add_tcase(s, c);
    return unit_run(s);
}
