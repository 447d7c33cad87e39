/* SPDX-License-Identifier: MIT */
/*
 * check_rapl.c - energy counters of a made powercap tree.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/rapl.h"
#include "unit/unit.h"

static char root[] = "/tmp/check_rapl.XXXXXX";
static struct rapl r;
static double joules;

static void put(const char *zone, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, zone);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f, "%s\n", text);
    fclose(f);
}

static void put_zone(const char *zone, const char *name, const char *energy)
{
    put(zone, "name", name);
    put(zone, "max_energy_range_uj", "1000000000");
    put(zone, "energy_uj", energy);
}

static void make(void)
{
    strcpy(root + strlen(root) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void drop(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(packages_are_found_and_summed)
{
    put_zone("intel-rapl:0", "package-0", "999000000");
    put_zone("intel-rapl:1", "psys", "5");
    put_zone("intel-rapl:2", "package-1", "0");
    put_zone("intel-rapl:0:0", "core", "7");
    rapl_open(&r, root);
    ck_assert_uint_eq(r.n, 2);
    ck_assert_uint_eq(r.zone[1].package, 1);
    ck_assert(rapl_read(&r, &joules));
    ck_assert_double_eq(joules, 0);
    put("intel-rapl:0", "energy_uj", "999500000");
    put("intel-rapl:2", "energy_uj", "2000000");
    ck_assert(rapl_read(&r, &joules));
    ck_assert_double_eq_tol(joules, 2.5, 1e-9);
    /* Round the end of the counter. */
    put("intel-rapl:0", "energy_uj", "250000");
    ck_assert(rapl_read(&r, &joules));
    ck_assert_double_eq_tol(joules, 3.25, 1e-9);
    ck_assert(rapl_read(&r, &joules));
    ck_assert_double_eq_tol(joules, 3.25, 1e-9);
}
END_TEST

START_TEST(what_cannot_be_read_is_not_there)
{
    rapl_open(&r, root);
    ck_assert_uint_eq(r.n, 0);
    ck_assert(!rapl_read(&r, &joules));
    rapl_open(&r, "");
    ck_assert(!rapl_read(&r, &joules));
    rapl_open(&r, "/nonexistent");
    ck_assert(!rapl_read(&r, &joules));
    static const char *const nonsense[] = {"",          "-1", "x", "1x", "18446744073709551616",
                                           "1000000001"};
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
        put_zone("intel-rapl:0", "package-0", nonsense[i]);
        rapl_open(&r, root);
        ck_assert_msg(!rapl_read(&r, &joules), "read: %s", nonsense[i]);
    }
    /* One that goes away, and comes back: nothing is made up, nothing is lost. */
    put_zone("intel-rapl:0", "package-0", "1000000");
    rapl_open(&r, root);
    ck_assert_uint_eq(r.n, 1);
    put("intel-rapl:0", "energy_uj", "none");
    ck_assert(!rapl_read(&r, &joules));
    put("intel-rapl:0", "energy_uj", "4000000");
    ck_assert(rapl_read(&r, &joules));
    ck_assert_double_eq_tol(joules, 3, 1e-9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rapl");
    TCase *tc = tcase_create("rapl");
    tcase_add_checked_fixture(tc, make, drop);
    tcase_add_test(tc, packages_are_found_and_summed);
    tcase_add_test(tc, what_cannot_be_read_is_not_there);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
