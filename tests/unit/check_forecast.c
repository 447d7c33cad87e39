/* SPDX-License-Identifier: MIT */
/*
 * check_forecast.c - what a request may expect, from what others got.
 */
#include "config.h"

#include <stdlib.h>

#include "engine/forecast.h"
#include "unit/unit.h"

static const struct forecast_load idle = {.places = 4};

START_TEST(nothing_is_known)
{
    struct forecast f = {0};
    struct forecast_load l = {.places = 1, .ahead = 100, .reading = 1000, .waiting = 1000};
    struct engine_estimate e = forecast_request(&f, &l, 100, 100);
    ck_assert_double_eq(e.start, 0);
    ck_assert_double_eq(e.first, 0);
    ck_assert_double_eq(e.end, 0);
}
END_TEST

/* 4 places, each for 2 seconds: one is free every half second. */
START_TEST(places_come_free_one_by_one)
{
    struct forecast f = {0};
    for (int i = 0; i < 10; i++)
        forecast_end(&f, 2, 20);
    struct forecast_load l = idle;
    ck_assert_double_eq(forecast_request(&f, &l, 1, 20).start, 0);
    l.ahead = 3;
    ck_assert_double_eq(forecast_request(&f, &l, 1, 20).start, 0);
    l.ahead = 4;
    ck_assert_double_eq_tol(forecast_request(&f, &l, 1, 20).start, 0.5, 1e-9);
    l.ahead = 11;
    ck_assert_double_eq_tol(forecast_request(&f, &l, 1, 20).start, 4, 1e-9);
    /* Steps have become slower since: whoever runs now stays longer. */
    for (int i = 0; i < 200; i++)
        forecast_step(&f, 0, false, true, 0.2);
    ck_assert_double_eq_tol(forecast_request(&f, &l, 1, 20).start, 8, 1e-6);
}
END_TEST

/* Nobody has ended yet: the others are taken to want what this one wants. */
START_TEST(the_first_crowd)
{
    struct forecast f = {0};
    forecast_step(&f, 0, false, true, 0.1);
    struct forecast_load l = {.places = 4, .ahead = 7};
    ck_assert_double_eq_tol(forecast_request(&f, &l, 1, 40).start, 4, 1e-9);
}
END_TEST

START_TEST(prompts_are_read_in_turn)
{
    struct forecast f = {0};
    forecast_step(&f, 100, true, false, 1);
    struct forecast_load l = {.places = 4, .reading = 300, .waiting = 100};
    struct engine_estimate e = forecast_request(&f, &l, 50, 1);
    ck_assert_double_eq_tol(e.read, 0.5, 1e-9);
    ck_assert_double_eq_tol(e.first, 4.5, 1e-9);
    /* What waits is read before his turn comes: it does not count twice. */
    forecast_end(&f, 4, 1);
    l.ahead = 5;
    e = forecast_request(&f, &l, 50, 1);
    ck_assert_double_eq_tol(e.start, 2, 1e-9);
    ck_assert_double_eq_tol(e.first, 5.5, 1e-9);
    l.waiting = 1000;
    ck_assert_double_eq_tol(forecast_request(&f, &l, 50, 1).first, 13.5, 1e-9);
}
END_TEST

/* A step that had room for more does not say how slowly prompts are read, but how fast at least. */
START_TEST(a_cached_prompt_says_little)
{
    struct forecast f = {0};
    for (int i = 0; i < 50; i++)
        forecast_step(&f, 100, true, true, 1);
    for (int i = 0; i < 50; i++)
        forecast_step(&f, 1, false, true, 0.9);
    ck_assert_double_eq_tol(forecast_request(&f, &idle, 100, 1).read, 1, 1e-9);
    for (int i = 0; i < 200; i++)
        forecast_step(&f, 200, false, true, 1);
    ck_assert_double_eq_tol(forecast_request(&f, &idle, 100, 1).read, 0.5, 1e-6);
    for (int i = 0; i < 200; i++)
        forecast_step(&f, 50, true, true, 1);
    ck_assert_double_eq_tol(forecast_request(&f, &idle, 100, 1).read, 2, 1e-6);
}
END_TEST

START_TEST(an_answer_is_at_most_twice_the_usual)
{
    struct forecast f = {0};
    for (int i = 0; i < 10; i++)
        forecast_end(&f, 1, 20);
    forecast_step(&f, 0, false, true, 0.1);
    ck_assert_double_eq_tol(forecast_request(&f, &idle, 1, 10).end, 1, 1e-9);
    ck_assert_double_eq_tol(forecast_request(&f, &idle, 1, 10000).end, 4, 1e-9);
}
END_TEST

/* The process stood still during one step: to those who come now that says little, and were they
 * refused for it, no step could say better. */
START_TEST(one_step_is_not_the_world)
{
    struct forecast f = {0};
    for (int i = 0; i < 50; i++)
        forecast_step(&f, 10, true, true, 0.1);
    forecast_end(&f, 1, 20);
    forecast_step(&f, 10, true, true, 30);
    ck_assert_double_le(forecast_request(&f, &idle, 1, 10).end, 1.5);
    ck_assert_double_le(forecast_request(&f, &idle, 10, 1).read, 0.15);
    /* But all of them have become slower. */
    for (int i = 0; i < 50; i++)
        forecast_step(&f, 10, true, true, 30);
    ck_assert_double_ge(forecast_request(&f, &idle, 1, 10).end, 250);
    ck_assert_double_ge(forecast_request(&f, &idle, 10, 1).read, 25);
}
END_TEST

/* Whoever comes after a rest finds out how things are now. */
START_TEST(a_rest_makes_forget)
{
    struct forecast f = {0};
    forecast_step(&f, 10, true, true, 30);
    forecast_end(&f, 300, 10);
    struct forecast_load l = idle;
    l.rest = FORECAST_REST / 2;
    ck_assert_double_ge(forecast_request(&f, &l, 10, 10).end, 300);
    l.rest = FORECAST_REST + 1;
    ck_assert_double_eq(forecast_request(&f, &l, 10, 10).end, 0);
    l.ahead = 1; /* It is found out. */
    ck_assert_double_ge(forecast_request(&f, &l, 10, 10).end, 300);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("forecast");
    TCase *tc = tcase_create("forecast");
    tcase_add_test(tc, nothing_is_known);
    tcase_add_test(tc, places_come_free_one_by_one);
    tcase_add_test(tc, the_first_crowd);
    tcase_add_test(tc, prompts_are_read_in_turn);
    tcase_add_test(tc, a_cached_prompt_says_little);
    tcase_add_test(tc, an_answer_is_at_most_twice_the_usual);
    tcase_add_test(tc, one_step_is_not_the_world);
    tcase_add_test(tc, a_rest_makes_forget);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
