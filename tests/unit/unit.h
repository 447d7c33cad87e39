/* SPDX-License-Identifier: MIT */
/*
 * unit.h - the few lines every Check program shares.
 */
#ifndef TRIT_UNIT_H
#define TRIT_UNIT_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <check.h>

/* Run one suite; the value for main to return. */
static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Add a test that must end in a failed trit_assert; it needs a process of its own, so that with
 * CK_FORK=no it is left out. */
static inline void unit_asserts(TCase *tcase, const TTest *test)
{
    const char *fork = getenv("CK_FORK");
    if (!fork || strcmp(fork, "no") != 0)
        tcase_add_test_raise_signal(tcase, test, SIGABRT);
}

/* Where the oracle's models are: ../shared beside the tree, or $TRIT_SHARED. */
static inline const char *unit_shared(void)
{
    const char *top = getenv("srcdir"), *given = getenv("TRIT_SHARED");
    static char dir[1000];
    if (given)
        return given;
    snprintf(dir, sizeof dir, "%s/../shared", top ? top : ".");
    return dir;
}

/* A random seed, printed so that a failure can be repeated with TRIT_SEED=. */
static inline uint64_t unit_seed(void)
{
    const char *given = getenv("TRIT_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("seed: TRIT_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* xorshift64*: the next pseudo-random number. */
static inline uint64_t unit_random(uint64_t *state)
{
    *state = *state ? *state : 88172645463325252u;
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

#endif
