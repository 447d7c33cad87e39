/* SPDX-License-Identifier: MIT */
/*
 * check_rope.c - frequencies of the rotary embedding, against numbers computed elsewhere from the
 * papers' formulas.
 */
#include "config.h"

#include <check.h>
#include <math.h>

#include "base/base.h"
#include "model/model.h"
#include "unit.h"

static double freq[64];

static struct model plain_model(void)
{
    struct model m = {0};
    m.hp = (struct hparams){.rope_dims = 128, .rope_base = 1e6, .rope_scale = 1, .n_ctx = 32768};
    return m;
}

static void near(double got, double want)
{
    ck_assert_msg(fabs(got - want) <= 1e-12 * fabs(want), "found %.17g, expected %.17g", got, want);
}

START_TEST(plain_scaled_and_by_divisors)
{
    struct model m = plain_model();
    near(model_rope(&m, false, freq), 1);
    near(freq[0], 1);
    near(freq[32], 1e-3);
    near(freq[63], 1.2409377607517196e-06);
    m.hp.rope_scale = 8;
    near(model_rope(&m, false, freq), 1);
    near(freq[32], 1e-3 / 8);
    float divisors[64];
    for (int i = 0; i < 64; i++)
        divisors[i] = (float)(i + 1);
    m.rope_freqs = divisors;
    near(model_rope(&m, false, freq), 1);
    near(freq[32], 1e-3 / 8 / 33);
}
END_TEST

/* The long contexts of Qwen3: four times 32768.  Pairs up to 23 stay, from 40 on they are
 * scaled. */
START_TEST(yarn)
{
    struct model m = plain_model();
    static const struct {
        int pair;
        double freq;
    } want[] = {
        {0, 1.0},
        {10, 0.1154781984689458},
        {23, 0.006978305848598663},
        {24, 0.005375321490790102},
        {31, 0.0008029597275452302},
        {39, 6.490394320837028e-05},
        {40, 4.445698525097307e-05},
        {50, 5.133812566142866e-06},
        {63, 3.102344401879299e-07},
    };
    m.hp.rope_scale = 4;
    m.hp.yarn = (struct rope_yarn){
        .on = true, .n_ctx = 32768, .beta_fast = 32, .beta_slow = 1, .size = 1.138629436111989};
    near(model_rope(&m, false, freq), 1.138629436111989);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        near(freq[want[i].pair], want[i].freq);
    /* A ramp of one pair. */
    m.hp.yarn.beta_fast = m.hp.yarn.beta_slow = 8;
    model_rope(&m, false, freq);
    near(freq[0], 1);
    near(freq[63], 1.2409377607517196e-06 / 4);
    /* Local layers turn by a base of their own, and are not scaled. */
    m.hp.rope_base_local = 1e4;
    near(model_rope(&m, true, freq), 1);
    near(freq[0], 1);
    near(freq[32], 0.01);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rope");
    TCase *c = tcase_create("rope");
    tcase_add_test(c, plain_scaled_and_by_divisors);
    tcase_add_test(c, yarn);
    suite_add_tcase(s, c);
    return unit_run(s);
}
