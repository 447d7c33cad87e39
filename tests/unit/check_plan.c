/* SPDX-License-Identifier: MIT */
/*
 * check_plan.c - how much memory the KV pool gets when nobody says.
 */
#include "config.h"

#include <sys/resource.h>

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
    tcase_add_test(c, this_machine_has_memory);
    tcase_add_test(c, connections_fit_into_the_open_files);
    suite_add_tcase(s, c);
    return unit_run(s);
}
