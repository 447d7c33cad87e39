/* SPDX-License-Identifier: MIT */
/*
 * check_thought.c - thoughts in answers, cut at every byte and at random.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"
#include "server/thought.h"
#include "unit/unit.h"

static uint64_t seed;

struct want {
    const char *answer, *thought, *text;
    bool inside; /* the prompt has opened it */
};

static const struct want wants[] = {
    {"<think>\nA b.\n</think>\n\nHello", "A b.", "Hello", false},
    {"<think>a</think>b", "a", "b", false},
    {"\n <think> a\n\nb </think>\n c ", "a\n\nb", "c ", false},
    {"Hello", "", "Hello", false},
    {"", "", "", false},
    {" \n", "", " \n", false},
    {" <thin", "", " <thin", false},
    {"<thinker>a</thinker>", "", "<thinker>a</thinker>", false},
    {" a <think>b</think>", "", " a <think>b</think>", false},
    {"<think>\n\n</think>\n\nb", "", "b", false},
    {"<think></think>", "", "", false},
    {"<think>a </thin", "a </thin", "", false},
    {"<think>a \n", "a", "", false},
    {"<think>a</think> <think>b</think>", "a", "<think>b</think>", false},
    {"<think>a < b </ think> </think>c", "a < b </ think>", "c", false},
    {"<think>a </thi</think>c", "a </thi", "c", false},
    {"<think>\xc3\xa4\xe2\x82\xac \xf0\x9f\x99\x82</think>\xc3\xb6",
     "\xc3\xa4\xe2\x82\xac \xf0\x9f\x99\x82", "\xc3\xb6", false},
    {"<think>a\xe2\x82</think>b", "a\xef\xbf\xbd", "b", false},
    {"a b\n</think>\n\nc", "a b", "c", true},
    {"\n\na", "a", "", true},
    {"a <think> b</think>c", "a <think> b", "c", true},
    {"</think>c", "", "c", true},
};

/* `cuts`: bit i % 64 says whether a token ends behind byte i. */
static void check(const struct want *w, uint64_t cuts)
{
    struct thought t;
    struct buf out = {0}, rest = {0};
    size_t len = strlen(w->answer), from = 0;
    thought_begin(&t, w->inside);
    for (size_t i = 0; i < len; i++) {
        if (i + 1 < len && !(cuts >> i % 64 & 1))
            continue;
        thought_push(&t, w->answer + from, i + 1 - from, &out, &rest);
        from = i + 1;
        ck_assert_msg(utf8_valid(out.data ? out.data : "", out.len), "half a character came out");
    }
    thought_end(&t, &out, &rest);
    ck_assert(!thought_goes_on(&t) || t.at == THOUGHT_BEHIND);
    ck_assert_msg(out.len == strlen(w->thought) &&
                      memcmp(w->thought, out.data ? out.data : "", out.len) == 0,
                  "\"%s\" cut by %llx: thought \"%.*s\", expected \"%s\"", w->answer,
                  (unsigned long long)cuts, (int)out.len, out.data ? out.data : "", w->thought);
    ck_assert_msg(rest.len == strlen(w->text) &&
                      memcmp(w->text, rest.data ? rest.data : "", rest.len) == 0,
                  "\"%s\" cut by %llx: text \"%.*s\", expected \"%s\"", w->answer,
                  (unsigned long long)cuts, (int)rest.len, rest.data ? rest.data : "", w->text);
    thought_fini(&t);
    buf_free(&out);
    buf_free(&rest);
}

START_TEST(it_does_not_depend_on_the_cuts)
{
    uint64_t state = seed;
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        check(&wants[i], 0);
        check(&wants[i], UINT64_MAX);
        for (int k = 0; k < 200; k++)
            check(&wants[i], unit_random(&state) & unit_random(&state));
    }
}
END_TEST

/* Nothing waits longer than it must: a stream shows a thought while it is thought. */
START_TEST(it_comes_out_as_it_comes)
{
    struct thought t;
    struct buf out = {0}, rest = {0};
    thought_begin(&t, false);
    thought_push(&t, "<think>\nfirst", 13, &out, &rest);
    ck_assert_uint_eq(out.len, 5);
    thought_push(&t, " second\n", 8, &out, &rest);
    ck_assert_uint_eq(out.len, 12);
    thought_push(&t, "</thi", 5, &out, &rest);
    ck_assert_uint_eq(out.len, 12);
    thought_push(&t, "s", 1, &out, &rest);
    ck_assert_uint_eq(out.len, 19);
    thought_push(&t, "</think>\n\nsaid", 14, &out, &rest);
    ck_assert_uint_eq(rest.len, 4);
    ck_assert(!thought_goes_on(&t));
    thought_fini(&t);
    buf_free(&out);
    buf_free(&rest);
}
END_TEST

START_TEST(names_of_control_tokens)
{
    struct thought t;
    thought_begin(&t, false);
    ck_assert(thought_name(&t, "<think>", 7) && !thought_name(&t, "</think>", 8));
    thought_begin(&t, true);
    ck_assert(!thought_name(&t, "<think>", 7) && thought_name(&t, "</think>", 8));
    ck_assert(!thought_name(&t, "<|im_end|>", 10));
    t = (struct thought){0};
    ck_assert(!thought_goes_on(&t) && !thought_name(&t, "<think>", 7));
}
END_TEST

START_TEST(what_a_prompt_leaves_open)
{
    static const char *const open[] = {"<think>", "assistant\n<think>\n", "<think> \n\n"};
    static const char *const shut[] = {"", "\n", "think>", "<think>\n\n</think>\n\n", "<think>a"};
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        ck_assert(thought_is_open(open[i], strlen(open[i])));
    for (size_t i = 0; i < ARRAY_LEN(shut); i++)
        ck_assert(!thought_is_open(shut[i], strlen(shut[i])));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("thought");
    TCase *c = tcase_create("thought");
    seed = unit_seed();
    tcase_add_test(c, it_does_not_depend_on_the_cuts);
    tcase_add_test(c, it_comes_out_as_it_comes);
    tcase_add_test(c, names_of_control_tokens);
    tcase_add_test(c, what_a_prompt_leaves_open);
    suite_add_tcase(s, c);
    return unit_run(s);
}
