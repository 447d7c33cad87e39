/* SPDX-License-Identifier: MIT */
/*
 * check_work.c - distributions are read and drawn as they say; prompts differ and can be repeated.
 */
#include "config.h"
#include "work.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "samples.h"
#include "unit/unit.h"

/* ------------------------------------------------------------------ distributions */

static const struct {
    const char *text;
    enum dist_kind kind;
    uint32_t from, to;
    double median, sigma;
} good[] = {
    {"1", DIST_FIXED, 1, 1, 0, 0},
    {"64", DIST_FIXED, 64, 64, 0, 0},
    {"131072", DIST_FIXED, WORK_TOKENS_MAX, WORK_TOKENS_MAX, 0, 0},
    {"32..512", DIST_UNIFORM, 32, 512, 0, 0},
    {"7..7", DIST_UNIFORM, 7, 7, 0, 0},
    {"lognormal:128:0.8", DIST_LOGNORMAL, 1, WORK_TOKENS_MAX, 128, 0.8},
    {"lognormal:1:4", DIST_LOGNORMAL, 1, WORK_TOKENS_MAX, 1, 4},
};
static const char *const bad[] = {
    "",
    "0",
    "-1",
    "+3",
    " 4",
    "131073",
    "64x",
    "1e2",
    "99999999999999999999",
    "..",
    "1..",
    "..4",
    "4..3",
    "0..3",
    "1...3",
    "1..2..3",
    "1..131073",
    "1..-2",
    "lognormal",
    "lognormal:",
    "lognormal:1",
    "lognormal:1:",
    "lognormal:0:1",
    "lognormal:8:0",
    "lognormal:8:4.1",
    "lognormal:8:-1",
    "lognormal:8:nan",
    "lognormal:8:inf",
    "lognormal:8:1x",
    "lognormal:8:1:2",
    "normal:8:1",
};

START_TEST(test_good)
{
    struct dist d;
    struct trit_error err;
    ck_assert_msg(dist_parse(good[_i].text, &d, &err) == 0, "%s: %s", good[_i].text, err.text);
    ck_assert_int_eq(d.kind, good[_i].kind);
    ck_assert_uint_eq(d.from, good[_i].from);
    ck_assert_uint_eq(d.to, good[_i].to);
    ck_assert(d.median == good[_i].median && d.sigma == good[_i].sigma);
}
END_TEST

START_TEST(test_bad)
{
    struct dist d;
    struct trit_error err;
    ck_assert_msg(dist_parse(bad[_i], &d, &err) == -TRIT_EINVAL, "\"%s\" was taken", bad[_i]);
    ck_assert(strstr(err.text, "expected"));
}
END_TEST

START_TEST(test_draw)
{
    struct dist d;
    uint64_t random = unit_seed();
    enum { N = 20000 };
    ck_assert(dist_parse("3..6", &d, NULL) == 0);
    unsigned seen[4] = {0};
    for (int i = 0; i < N; i++) {
        uint32_t n = dist_draw(&d, &random);
        ck_assert(n >= 3 && n <= 6);
        seen[n - 3]++;
    }
    for (int i = 0; i < 4; i++) /* Ten deviations of a binomial. */
        ck_assert_double_eq_tol(seen[i], N / 4.0, 10 * sqrt(N * 3.0 / 16));

    /* Median, and the share above one deviation: 15.87 %. */
    ck_assert(dist_parse("lognormal:1000:0.5", &d, NULL) == 0);
    unsigned above = 0, far = 0;
    for (int i = 0; i < N; i++) {
        uint32_t n = dist_draw(&d, &random);
        above += n > 1000;
        far += n > 1000 * exp(0.5);
    }
    ck_assert_double_eq_tol(above, N / 2.0, 10 * sqrt(N / 4.0));
    ck_assert_double_eq_tol(far, N * 0.15866, 10 * sqrt(N * 0.1335));

    ck_assert(dist_parse("lognormal:1:4", &d, NULL) == 0);
    for (int i = 0; i < N; i++) {
        uint32_t n = dist_draw(&d, &random);
        ck_assert(n >= 1 && n <= WORK_TOKENS_MAX);
    }
}
END_TEST

/* ------------------------------------------------------------------ prompts */

static unsigned count_words(const char *s)
{
    unsigned n = *s != '\0';
    for (; *s; s++)
        n += *s == ' ';
    return n;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

START_TEST(test_prompts_differ)
{
    enum { N = 20000 };
    static char *prompt[N];
    struct work w = {.prompt = {.from = 4, .to = 4},
                     .output = {.from = 5, .to = 5},
                     .words_per_token = 1,
                     .seed = unit_seed()};
    for (uint32_t i = 0; i < N; i++) {
        struct buf text = {0};
        uint32_t max_tokens = 0;
        work_item(&w, 0, i, &text, &max_tokens);
        ck_assert_uint_eq(max_tokens, 5);
        ck_assert_uint_eq(count_words(text.data), 4);
        prompt[i] = buf_take(&text, NULL);
    }
    qsort(prompt, N, sizeof *prompt, by_text);
    for (uint32_t i = 1; i < N; i++)
        ck_assert_str_ne(prompt[i - 1], prompt[i]);
    for (uint32_t i = 0; i < N; i++)
        free(prompt[i]);
}
END_TEST

static char *prompt_of(const struct work *w, uint32_t group, uint64_t index, uint32_t *max_tokens)
{
    struct buf text = {0};
    work_item(w, group, index, &text, max_tokens);
    return buf_take(&text, NULL);
}

START_TEST(test_repeat)
{
    struct work w = {.words_per_token = 0.5, .seed = unit_seed(), .shared_prefix = 20};
    ck_assert(dist_parse("10..100", &w.prompt, NULL) == 0);
    ck_assert(dist_parse("lognormal:50:1", &w.output, NULL) == 0);
    uint32_t a_tokens, b_tokens;
    char *first = prompt_of(&w, 0, 0, &a_tokens);
    size_t prefix = 0;
    for (unsigned words = 0; words < 10; prefix++)
        words += first[prefix] == ' ';
    for (uint32_t i = 0; i < 100; i++) {
        char *a = prompt_of(&w, i % 3, i, &a_tokens), *b = prompt_of(&w, i % 3, i, &b_tokens);
        ck_assert_str_eq(a, b);
        ck_assert_uint_eq(a_tokens, b_tokens);
        ck_assert_msg(strncmp(a, first, prefix) == 0, "\"%s\" does not begin like \"%s\"", a,
                      first);
        unsigned words = count_words(a);
        ck_assert_msg(words >= 10 + 5 && words <= 10 + 50, "%u words", words);
        free(b);
        b = prompt_of(&w, i % 3 + 1, i, &b_tokens);
        ck_assert_str_ne(a, b);
        free(b);
        struct work other = w;
        other.seed++;
        b = prompt_of(&other, i % 3, i, &b_tokens);
        ck_assert_str_ne(a, b);
        free(b);
        free(a);
    }
    free(first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work");
    TCase *tc = tcase_create("work");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_good, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(tc, test_bad, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(tc, test_draw);
    tcase_add_test(tc, test_prompts_differ);
    tcase_add_test(tc, test_repeat);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
