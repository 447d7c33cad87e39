/* SPDX-License-Identifier: MIT */
/* check_agent.c - what load balancers are told. */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "server/agent.h"
#include "unit/unit.h"

static const char *line(struct agent_load load)
{
    static char text[AGENT_LINE_BYTES + 1];
    text[agent_line(&load, text)] = '\0';
    return text;
}

static const struct agent_load idle = {
    .serving = true, .queue_requests = 128, .queue_tokens = 1000, .kv_pages = 100, .max_batch = 32};

START_TEST(states)
{
    struct agent_load l = idle;
    ck_assert_str_eq(line(l), "ready up 100% maxconn:64\n");
    l.draining = true;
    ck_assert_str_eq(line(l), "drain\n");
    ck_assert_str_eq(line((struct agent_load){.serving = false}), "down #loading\n");
    ck_assert_str_eq(line((struct agent_load){.draining = true}), "drain\n");
}
END_TEST

START_TEST(weights)
{
    struct agent_load l = idle;
    l.waiting_tokens = 250;
    l.waiting = 8;
    ck_assert_str_eq(line(l), "ready up 75% maxconn:28\n");
    l.waiting = 64; /* of 128: the fuller measure of the queue counts */
    l.queue_tokens = 100000;
    ck_assert_str_eq(line(l), "ready up 50% maxconn:64\n");
    l.kv_used = 100; /* half its say */
    ck_assert_str_eq(line(l), "ready up 25% maxconn:64\n");
    l.waiting = 500; /* full is not drained */
    ck_assert_str_eq(line(l), "ready up 1% maxconn:64\n");
    l = idle;
    l.queue_requests = 3;
    ck_assert_str_eq(line(l), "ready up 100% maxconn:35\n");
    l.max_batch = UINT32_MAX;
    l.queue_requests = UINT32_MAX;
    ck_assert_str_eq(line(l), "ready up 100% maxconn:8589934590\n");
}
END_TEST

/* Of prompts of 100 tokens the queue holds ten. */
START_TEST(long_prompts)
{
    struct agent_load l = idle;
    l.mean_prompt = 100;
    ck_assert_str_eq(line(l), "ready up 100% maxconn:8\n");
    l.running = 8; /* which are not in the queue any more */
    ck_assert_str_eq(line(l), "ready up 100% maxconn:14\n");
    l.waiting = 3;
    l.waiting_tokens = 300;
    ck_assert_str_eq(line(l), "ready up 70% maxconn:14\n");
    l.waiting_tokens = 600; /* those that wait are longer than others were */
    ck_assert_str_eq(line(l), "ready up 40% maxconn:10\n");
    l = idle;
    l.mean_prompt = 1e9;
    ck_assert_str_eq(line(l), "ready up 100% maxconn:1\n");
    l.mean_prompt = 0.5;
    ck_assert_str_eq(line(l), "ready up 100% maxconn:64\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("agent");
    TCase *tc = tcase_create("agent");
    tcase_add_test(tc, states);
    tcase_add_test(tc, weights);
    tcase_add_test(tc, long_prompts);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
