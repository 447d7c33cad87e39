/* SPDX-License-Identifier: MIT */
/* check_sampler.c - the sampler against plain definitions of what it should do. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "engine/sampler.h"
#include "unit/unit.h"

enum { N = 1000 };

static const struct kernels *k;
static void *scratch;
static uint64_t seed;

static struct sampler_params plain(void)
{
    return (struct sampler_params){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

static void setup(void)
{
    k = kernels_pick(0);
    scratch = mem_zalloc_line(sampler_scratch_bytes(N), 1);
    ck_assert_ptr_nonnull(scratch);
}

static void teardown(void)
{
    mem_free(scratch);
}

static void random_logits(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)(unit_random(&seed) >> 11) * 0x1p-53 * 12 - 6);
}

static int32_t pick(const struct sampler_params *p, uint64_t position, const float *x, size_t n)
{
    struct sampler_past none = {0};
    int32_t token = -1;
    ck_assert_int_eq(sampler_pick(k, p, &none, NULL, 0, NULL, position, x, n, scratch, &token), 0);
    return token;
}

START_TEST(greedy_takes_the_first_maximum)
{
    float x[N];
    random_logits(x, N);
    x[700] = x[300] = 50;
    struct sampler_params p = plain();
    p.temperature = 0;
    ck_assert_int_eq(pick(&p, 0, x, N), 300);
    p.temperature = 5;
    p.top_k = 1;
    ck_assert_int_eq(pick(&p, 0, x, N), 300);
}
END_TEST

START_TEST(same_seed_and_position_same_token)
{
    float x[N];
    random_logits(x, N);
    struct sampler_params p = plain();
    unsigned changed = 0;
    for (uint64_t pos = 0; pos < 50; pos++) {
        p.seed = 7;
        int32_t a = pick(&p, pos, x, N);
        ck_assert_int_eq(a, pick(&p, pos, x, N));
        p.seed = 8;
        changed += a != pick(&p, pos, x, N);
    }
    ck_assert_uint_gt(changed, 25);
}
END_TEST

/* Frequencies of many draws against the softmax, by chi-square with 7 degrees of freedom. */
START_TEST(draws_follow_the_distribution)
{
    const float x[8] = {0, 1, 2, 0.5f, -1, 1.5f, -0.5f, 0.2f};
    enum { DRAWS = 40000 };
    double prob[8], sum = 0, chi = 0;
    unsigned count[8] = {0};
    struct sampler_params p = plain();
    p.temperature = 0.8f;
    p.seed = unit_random(&seed);
    for (int i = 0; i < 8; i++)
        sum += prob[i] = exp((double)x[i] / 0.8);
    for (unsigned i = 0; i < DRAWS; i++)
        count[pick(&p, i, x, 8)]++;
    for (int i = 0; i < 8; i++) {
        double want = prob[i] / sum * DRAWS;
        chi += (count[i] - want) * (count[i] - want) / want;
    }
    ck_assert_double_lt(chi, 35); /* p = 1e-5 */
}
END_TEST

/* Which tokens may come out at all, by the definition, sorted naively. */
static unsigned allowed(const struct sampler_params *p, const float *x, size_t n, bool *may)
{
    int32_t order[N];
    double prob[N], total = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = (int32_t)i;
        prob[i] = exp((double)x[i] / (double)p->temperature);
        may[i] = false;
    }
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && x[order[j]] > x[order[j - 1]]; j--) {
            int32_t t = order[j];
            order[j] = order[j - 1];
            order[j - 1] = t;
        }
    size_t limit = p->top_k && p->top_k < n ? p->top_k : n;
    for (size_t i = 0; i < limit; i++)
        total += prob[order[i]];
    double run = 0;
    unsigned kept = 0;
    for (size_t i = 0; i < limit; i++) {
        bool enough = i > 0 && run >= (double)p->top_p * total;
        bool small = i > 0 && prob[order[i]] < (double)p->min_p * prob[order[0]];
        if (enough || small)
            break;
        may[order[i]] = true;
        kept++;
        run += prob[order[i]];
    }
    return kept;
}

START_TEST(filters_keep_what_they_should)
{
    float x[N];
    bool may[N];
    static const struct {
        uint32_t top_k;
        float top_p, min_p, temperature;
    } cases[] = {
        {5, 1, 0, 1},      {0, 0.5f, 0, 1},  {0, 0.95f, 0, 0.7f}, {0, 0.999f, 0, 2},
        {0, 1, 0.2f, 1},   {40, 0.9f, 0, 1}, {3, 1, 0.9f, 1},     {900, 0.99f, 0.001f, 1.5f},
        {5000, 0.3f, 0, 1}};
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        random_logits(x, N);
        struct sampler_params p = plain();
        p.top_k = cases[c].top_k;
        p.top_p = cases[c].top_p;
        p.min_p = cases[c].min_p;
        p.temperature = cases[c].temperature;
        p.seed = unit_random(&seed);
        unsigned kept = allowed(&p, x, N, may), seen = 0;
        bool out[N] = {false};
        for (uint64_t i = 0; i < 4000; i++) {
            int32_t t = pick(&p, i, x, N);
            ck_assert_msg(may[t], "case %zu let token %d through", c, t);
            seen += !out[t];
            out[t] = true;
        }
        if (kept <= 10)
            ck_assert_uint_eq(seen, kept);
    }
}
END_TEST

START_TEST(penalties_follow_openai)
{
    float x[4] = {2.0f, 1.9f, -1.0f, 0.0f};
    struct sampler_params p = plain();
    struct sampler_past past;
    int32_t token;
    p.temperature = 0;
    ck_assert(!sampler_uses_past(&p));
    p.frequency_penalty = 0.04f;
    p.presence_penalty = 0.03f;
    ck_assert(sampler_uses_past(&p));
    ck_assert(sampler_past_init(&past, 10));
    /* 2.0 - 0.04 - 0.03 = 1.93 still wins; a second time 2.0 - 0.08 - 0.03 = 1.89 does not. */
    sampler_past_add(&past, 0, true);
    sampler_pick(k, &p, &past, NULL, 0, NULL, 0, x, 4, scratch, &token);
    ck_assert_int_eq(token, 0);
    sampler_past_add(&past, 0, true);
    sampler_pick(k, &p, &past, NULL, 0, NULL, 0, x, 4, scratch, &token);
    ck_assert_int_eq(token, 1);
    sampler_past_fini(&past);

    /* A prompt token counts for the repetition penalty only. */
    ck_assert(sampler_past_init(&past, 10));
    sampler_past_add(&past, 0, false);
    sampler_pick(k, &p, &past, NULL, 0, NULL, 0, x, 4, scratch, &token);
    ck_assert_int_eq(token, 0);
    p.repetition_penalty = 1.2f;
    sampler_pick(k, &p, &past, NULL, 0, NULL, 0, x, 4, scratch, &token);
    ck_assert_int_eq(token, 1);
    sampler_past_fini(&past);
    ck_assert_float_eq(x[0], 2.0f); /* the model's logits are left alone */
}
END_TEST

START_TEST(bias_and_bans)
{
    float x[4] = {2, 1, 0, -1};
    const struct sampler_bias bias[] = {{3, 100}, {0, -100}};
    const int32_t banned[] = {3};
    struct sampler_params p = plain();
    struct sampler_past none = {0};
    int32_t token;
    p.temperature = 0;
    p.bias = bias;
    p.n_bias = 2;
    ck_assert_int_eq(pick(&p, 0, x, 4), 3);
    sampler_pick(k, &p, &none, banned, 1, NULL, 0, x, 4, scratch, &token);
    ck_assert_int_eq(token, 1);
}
END_TEST

START_TEST(past_counts_each_token_once)
{
    struct sampler_past past;
    ck_assert(sampler_past_init(&past, 500));
    for (int i = 0; i < 5000; i++)
        sampler_past_add(&past, i % 500 * 257, i % 3 == 0);
    ck_assert_uint_eq(past.n, 500);
    uint32_t total = 0;
    for (uint32_t i = 0; i < past.n; i++)
        total += past.seen[i].generated;
    ck_assert_uint_eq(total, 1667);
    sampler_past_fini(&past);
    ck_assert(sampler_past_init(&past, 0));
    sampler_past_add(&past, 1, true); /* remembers nothing, and takes no memory */
    ck_assert_uint_eq(past.n, 0);
    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        ck_assert(!sampler_past_init(&past, 10));
    }
}
END_TEST

START_TEST(broken_logits_are_a_fault)
{
    float x[4] = {1, NAN, 0, 0};
    struct sampler_params p = plain();
    struct sampler_past none = {0};
    int32_t token;
    ck_assert_int_eq(sampler_pick(k, &p, &none, NULL, 0, NULL, 0, x, 4, scratch, &token),
                     -TRIT_EFAULT);
    x[1] = INFINITY;
    ck_assert_int_eq(sampler_pick(k, &p, &none, NULL, 0, NULL, 0, x, 4, scratch, &token),
                     -TRIT_EFAULT);
    x[0] = x[1] = x[2] = x[3] = -INFINITY;
    ck_assert_int_eq(sampler_pick(k, &p, &none, NULL, 0, NULL, 0, x, 4, scratch, &token),
                     -TRIT_EFAULT);
}
END_TEST

START_TEST(logprobs_are_the_log_softmax)
{
    float x[N], lp;
    struct sampler_top top[20];
    random_logits(x, N);
    x[10] = x[20] = 7; /* a tie at the top: the lower id comes first */
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += exp((double)x[i]);
    sampler_logprobs(k, x, N, 123, &lp, top, 20, scratch);
    ck_assert_double_eq_tol((double)lp, (double)x[123] - log(sum), 1e-5);
    ck_assert_int_eq(top[0].id, 10);
    ck_assert_int_eq(top[1].id, 20);
    for (int i = 0; i < 20; i++) {
        ck_assert_double_eq_tol((double)top[i].logprob, (double)x[top[i].id] - log(sum), 1e-5);
        ck_assert(i == 0 || top[i].logprob <= top[i - 1].logprob);
    }
    unsigned larger = 0;
    for (size_t i = 0; i < N; i++)
        larger += x[i] > x[top[19].id];
    ck_assert_uint_le(larger, 19);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *s = suite_create("sampler");
    TCase *c = tcase_create("sampler");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, greedy_takes_the_first_maximum);
    tcase_add_test(c, same_seed_and_position_same_token);
    tcase_add_test(c, draws_follow_the_distribution);
    tcase_add_test(c, filters_keep_what_they_should);
    tcase_add_test(c, penalties_follow_openai);
    tcase_add_test(c, bias_and_bans);
    tcase_add_test(c, past_counts_each_token_once);
    tcase_add_test(c, broken_logits_are_a_fault);
    tcase_add_test(c, logprobs_are_the_log_softmax);
    suite_add_tcase(s, c);
    return unit_run(s);
}
