/* SPDX-License-Identifier: MIT */
/* check_pace.c - what a step will take, and guesses at the next tokens. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/pace.h"
#include "engine/seq.h"
#include "unit/unit.h"

static uint64_t seed;

/* A machine: memory up to 6 rows, then computing; and attention, of which there is always a little.
 */
static double attention(double positions)
{
    return 0.0002 + 1e-7 * positions;
}

static double truth(uint32_t rows, double positions)
{
    return fmax(0.040, 0.007 * rows) + attention(positions);
}

static double noise(void)
{
    return 0.95 + 0.1 * ((double)(unit_random(&seed) >> 11) * 0x1p-53);
}

START_TEST(pace_learns)
{
    struct pace p = {0};
    ck_assert_double_eq(pace_predict(&p, 3, 100), 0);
    for (int i = 0; i < 4000; i++) {
        uint32_t rows = 1 + (uint32_t)(unit_random(&seed) >> 40) % 100;
        double positions = rows * (double)((unit_random(&seed) >> 40) % 2000);
        double times = noise();
        pace_learn(&p, rows, positions, truth(rows, positions) * times,
                   attention(positions) * times);
    }
    for (uint32_t rows = 1; rows <= 90; rows += 3)
        for (double each = 100; each < 2000; each += 600) {
            double want = truth(rows, rows * each), is = pace_predict(&p, rows, rows * each);
            ck_assert_msg(fabs(is - want) < 0.12 * want + 0.004, "%u rows: %g, not %g", rows, is,
                          want);
        }
    /* 0.2 s are (0.2 - 4e-4) / 0.007 rows. */
    uint32_t rows = pace_rows(&p, 4, 4000, 10, 256, 0.2);
    ck_assert_uint_ge(rows, 24);
    ck_assert_uint_le(rows, 33);
    ck_assert_uint_eq(pace_rows(&p, 50, 4000, 10, 256, 0.2), 50);
    ck_assert_uint_eq(pace_rows(&p, 4, 4000, 10, 10, 0.2), 10);
}
END_TEST

/* A prompt goes deeper with every step, always with as many rows beside those who talk: what its
 * attention takes is not taken for what rows cost, nor the other way round. */
START_TEST(pace_tells_depth_from_rows)
{
    struct pace p = {0};
    for (int i = 0; i < 30; i++)
        pace_learn(&p, 8, 800, truth(8, 800) * noise(), attention(800));
    for (uint32_t done = 0; done < 8000; done += 7) {
        if (done % 64 == 0) /* as the scheduler has it */
            pace_learn(&p, 8, 800, truth(8, 800) * noise(), attention(800));
        double positions = 800 + 7.0 * done, times = noise();
        pace_learn(&p, 15, positions, truth(15, positions) * times, attention(positions) * times);
        if (done < 1000)
            continue;
        double want = truth(15, positions), is = pace_predict(&p, 15, positions);
        ck_assert_msg(fabs(is - want) < 0.08 * want, "at %u: %g, not %g", done, is, want);
        want = truth(12, 800 + 4.0 * done);
        is = pace_predict(&p, 12, 800 + 4.0 * done);
        ck_assert_msg(fabs(is - want) < 0.1 * want, "at %u, 4 rows: %g, not %g", done, is, want);
    }
}
END_TEST

/* One step in which the machine stood still does not keep prompts small for ever. */
START_TEST(pace_forgets)
{
    struct pace p = {0};
    for (int i = 0; i < 50; i++) {
        pace_learn(&p, 4, 0, 0.04, 0.001);
        pace_learn(&p, 20, 0, 0.1, 0.001);
    }
    pace_learn(&p, 24, 0, 5, 0.001);
    int steps = 0;
    for (; steps < 3000; steps++) {
        uint32_t rows = pace_rows(&p, 4, 0, 0, 64, 0.13);
        if (rows >= 24)
            break;
        pace_learn(&p, rows, 0, rows * 0.005, 0.001);
    }
    ck_assert_int_lt(steps, 3000);
}
END_TEST

static struct seq *text_of(const char *text)
{
    struct seq_wish w = {.n_prompt = (uint32_t)strlen(text), .max_new = 20};
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    w.prompt = mem_zalloc(w.n_prompt, sizeof *w.prompt);
    for (uint32_t i = 0; i < w.n_prompt; i++)
        w.prompt[i] = text[i];
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    return s;
}

static void guesses(const char *text, const char *want)
{
    int32_t token[SEQ_DRAFT_MAX];
    struct seq *s = text_of(text);
    uint32_t n = draft_guess(s, 4, token);
    ck_assert_uint_eq(n, strlen(want));
    for (uint32_t i = 0; i < n; i++)
        ck_assert_int_eq(token[i], want[i]);
    seq_free(s);
}

START_TEST(drafts)
{
    guesses("a", "");
    guesses("abcd", "");
    guesses("abxa", "");             /* one token tells nothing */
    guesses("abxyzab", "xyza");      /* two do */
    guesses("ababab", "abab");       /* a circle */
    guesses("abcQ bcR abc", "Q bc"); /* the longer match, not the later */
    guesses("abQ abR ab", "R ab");   /* of equals the later */
}
END_TEST

START_TEST(drafts_learn)
{
    int32_t token[SEQ_DRAFT_MAX];
    struct seq *s = text_of("abcdefghijklmnopqrstuvwxyzabc");
    ck_assert_uint_eq(draft_guess(s, 15, token), 4);
    draft_learn(&s->draft, 4, 4);
    ck_assert_uint_eq(draft_guess(s, 15, token), 8);
    draft_learn(&s->draft, 8, 2);
    ck_assert_uint_eq(draft_guess(s, 15, token), 3);
    draft_learn(&s->draft, 3, 0);
    uint32_t idle = 0;
    while (draft_guess(s, 15, token) == 0)
        idle++;
    ck_assert_uint_ge(idle, 1);
    draft_learn(&s->draft, 2, 0);
    uint32_t longer = 0;
    while (draft_guess(s, 15, token) == 0)
        longer++;
    ck_assert_uint_gt(longer, idle);
    seq_free(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pace");
    TCase *c = tcase_create("pace");
    seed = unit_seed();
    tcase_add_test(c, pace_learns);
    tcase_add_test(c, pace_tells_depth_from_rows);
    tcase_add_test(c, pace_forgets);
    tcase_add_test(c, drafts);
    tcase_add_test(c, drafts_learn);
    suite_add_tcase(s, c);
    return unit_run(s);
}
