/* SPDX-License-Identifier: MIT */
/*
 * check_samples.c - percentiles by their definition, and what is kept of too many.
 */
#include "config.h"
#include "samples.h"

#include "base/base.h"
#include "unit/unit.h"

START_TEST(test_known)
{
    struct samples s = {0};
    ck_assert(samples_percentile(&s, 50) == 0);
    samples_add(&s, 7);
    ck_assert(samples_percentile(&s, 0.1) == 7 && samples_percentile(&s, 100) == 7);
    samples_fini(&s);
    for (int i = 100; i >= 1; i--)
        samples_add(&s, i);
    ck_assert(samples_percentile(&s, 50) == 50);
    ck_assert(samples_percentile(&s, 90) == 90);
    ck_assert(samples_percentile(&s, 99) == 99);
    ck_assert(samples_percentile(&s, 99.5) == 100);
    samples_fini(&s);
}
END_TEST

/* The smallest sample that at least p % do not exceed, by counting. */
static double slowly(const double *value, size_t n, double p)
{
    double best = 0;
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        size_t below = 0;
        for (size_t k = 0; k < n; k++)
            below += value[k] <= value[i];
        if (100.0 * (double)below >= p * (double)n && (!found || value[i] < best)) {
            best = value[i];
            found = true;
        }
    }
    return best;
}

START_TEST(test_definition)
{
    static const double percents[] = {1, 25, 50, 75, 90, 99, 100};
    uint64_t seed = unit_seed();
    for (int round = 0; round < 40; round++) {
        double copy[200];
        size_t n = 1 + unit_random(&seed) % ARRAY_LEN(copy);
        struct samples s = {0};
        for (size_t i = 0; i < n; i++)
            samples_add(&s, copy[i] = (double)(unit_random(&seed) % 50));
        for (size_t i = 0; i < ARRAY_LEN(percents); i++)
            ck_assert(samples_percentile(&s, percents[i]) == slowly(copy, n, percents[i]));
        samples_fini(&s);
    }
}
END_TEST

/* Three times as many as are kept, ascending: what is kept must be of all thirds alike. */
START_TEST(test_reservoir)
{
    struct samples s = {0};
    uint64_t n = 3 * (uint64_t)SAMPLES_MAX;
    for (uint64_t i = 0; i < n; i++)
        samples_add(&s, (double)i / (double)n);
    ck_assert_uint_eq(s.n, SAMPLES_MAX);
    ck_assert_uint_eq(s.seen, n);
    for (int p = 10; p <= 90; p += 20)
        ck_assert_double_eq_tol(samples_percentile(&s, p), p / 100.0, 0.01);
    samples_fini(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("samples");
    TCase *tc = tcase_create("samples");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_known);
    tcase_add_test(tc, test_definition);
    tcase_add_test(tc, test_reservoir);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
