/* SPDX-License-Identifier: MIT */
/*
 * check_keys.c - the file of API keys: what is read, what is refused and how, and looking up.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/keys.h"
#include "unit/unit.h"

/* printf %s secret | sha256sum, and the same of "other" */
#define SECRET "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER  "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

static struct keys keys;
static struct trit_error err;
static char path[64];

static int load(const char *content)
{
    snprintf(path, sizeof path, "check_keys.%ld.tmp", (long)getpid());
    unlink(path);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(content, f), 0);
    ck_assert_int_eq(fchmod(fileno(f), 0640), 0);
    ck_assert_int_eq(fclose(f), 0);
    int rc = keys_load(path, &keys, &err);
    unlink(path);
    return rc;
}

START_TEST(a_file_is_read)
{
    ck_assert_int_eq(load("# users\n\n"
                          "alice " SECRET "\n"
                          "  bob.2\t" OTHER " priority=low concurrency=3  requests-per-minute=60 "
                          "tokens-per-minute=4294967295 # until May\n"),
                     0);
    ck_assert_uint_eq(keys.n, 2);
    const struct admit_grant *g = &keys.key[0].grant;
    ck_assert_str_eq(g->name, "alice");
    ck_assert_int_eq(g->highest, SEQ_NORMAL);
    ck_assert(g->concurrency == 0 && g->requests == 0 && g->tokens == 0);
    g = &keys.key[1].grant;
    ck_assert_str_eq(g->name, "bob.2");
    ck_assert_int_eq(g->highest, SEQ_LOW);
    ck_assert(g->concurrency == 3 && g->requests == 60 && g->tokens == UINT32_MAX);
    keys_free(&keys);
    ck_assert_int_eq(load("alice " SECRET " tenant=acme models=a/b:1,c\n"), 0);
    ck_assert_str_eq(admit_tenant(&keys.key[0].grant), "acme");
    ck_assert_str_eq(keys.key[0].grant.models, "a/b:1,c");
    keys_free(&keys);
    ck_assert_int_eq(load("alice " SECRET " priority=high"), 0); /* no end of the line */
    ck_assert_int_eq(keys.key[0].grant.highest, SEQ_HIGH);
    keys_free(&keys);
}
END_TEST

START_TEST(a_key_is_found_by_its_hash)
{
    ck_assert_int_eq(load("alice " SECRET "\nbob " OTHER "\n"), 0);
    ck_assert_ptr_eq(keys_find(&keys, "secret", 6), &keys.key[0]);
    ck_assert_ptr_eq(keys_find(&keys, "other", 5), &keys.key[1]);
    ck_assert_ptr_null(keys_find(&keys, "secret", 5));
    ck_assert_ptr_null(keys_find(&keys, "Secret", 6));
    ck_assert_ptr_null(keys_find(&keys, "", 0));
    ck_assert_ptr_null(keys_find(&keys, SECRET, strlen(SECRET)));
    keys_free(&keys);
    ck_assert_ptr_null(keys_find(&keys, "secret", 6));
}
END_TEST

START_TEST(what_was_made_is_found)
{
    char key[KEYS_TEXT], line[KEYS_LINE], again[KEYS_TEXT], file[3 * KEYS_LINE];
    ck_assert_int_eq(keys_make("carol-7", key, line, &err), 0);
    ck_assert_uint_eq(strlen(key), KEYS_TEXT - 1);
    ck_assert_uint_eq(strspn(key + 5, "0123456789abcdef"), 64);
    ck_assert_ptr_null(strstr(line, key + 5));
    snprintf(file, sizeof file, "%s concurrency=1\n", line);
    ck_assert_int_eq(keys_make("carol-7", again, line, &err), 0);
    ck_assert_str_ne(key, again);
    /* An old and a new key of one user. */
    snprintf(file + strlen(file), sizeof file - strlen(file), "%s concurrency=1\n", line);
    ck_assert_int_eq(load(file), 0);
    ck_assert_ptr_eq(keys_find(&keys, key, strlen(key)), &keys.key[0]);
    ck_assert_ptr_eq(keys_find(&keys, again, strlen(again)), &keys.key[1]);
    ck_assert_str_eq(keys.key[1].grant.name, "carol-7");
    keys_free(&keys);
    static const char *const bad[] = {
        "", "-a", "a b", "a=b", "\xc3\xa4", "a\n", "a23456789012345678901234567890123"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_int_eq(keys_make(bad[i], key, line, &err), -TRIT_EINVAL);
}
END_TEST

#define TWICE(a, b) "alice " SECRET " " a "\nalice " OTHER " " b "\n"
#define SIXTEEN     "0123456789abcdef"
#define QUARTER     SIXTEEN SIXTEEN SIXTEEN SIXTEEN
#define LONG        QUARTER QUARTER QUARTER QUARTER

static const struct {
    const char *content, *text;
} refused[] = {
    {"", ": there is no key in it"},
    {"# nobody\n", ": there is no key in it"},
    {"alice\n", ":1: alice: expected sha256:HEX"},
    {"alice secret\n", ":1: alice: expected sha256:HEX"},
    {"\n\nalice sha256:12\n", ":3: alice: expected sha256:HEX"},
    {"alice " SECRET "0\n", ":1: alice: expected sha256:HEX"},
    {"alice sha256:2BB80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n",
     ":1: alice: expected sha256:HEX"},
    {"trit-0123456789abcdef0123456789abcdef0123456789abcdef\n", ":1: expected a name first"},
    {"_a " SECRET "\n", ":1: expected a name first"},
    {"alice " SECRET "\nbob " SECRET "\n", ":2: bob: the same key as alice"},
    {"alice " SECRET "\nalice " OTHER " concurrency=1\n", ":2: alice: stands above with other"},
    {TWICE("requests-per-minute=1", "requests-per-minute=2"), ":2: alice: stands above with other"},
    {TWICE("tokens-per-minute=1", "tokens-per-minute=2"), ":2: alice: stands above with other"},
    {TWICE("tenant=a", "tenant=b"), ":2: alice: stands above with other"},
    {TWICE("models=a", "models=b"), ":2: alice: stands above with other"},
    {TWICE("admin=yes", "admin=no"), ":2: alice: stands above with other"},
    {TWICE("priority=low", "priority=high"), ":2: alice: stands above with other"},
    {"alice " SECRET " speed=1\n", ":1: found \"speed\", expected priority="},
    {"alice " SECRET " concurrency\n", ":1: found \"concurrency\", expected priority="},
    {"alice " SECRET " concurrency=0\n", ":1: concurrency: found \"0\""},
    {"alice " SECRET " concurrency=\n", ":1: concurrency: found \"\""},
    {"alice " SECRET " concurrency=-1\n", ":1: concurrency: found \"-1\""},
    {"alice " SECRET " tenant=\n", ":1: tenant: found \"\""},
    {"alice " SECRET " tenant=a/b\n", ":1: tenant: found \"a/b\""},
    {"alice " SECRET " models=\n", ":1: models: found \"\""},
    {"alice " SECRET " models=a,,b\n", ":1: models: found \"a,,b\""},
    {"alice " SECRET " models=,a\n", ":1: models: found \",a\""},
    {"alice " SECRET " models=a,\n", ":1: models: found \"a,\""},
    {"alice " SECRET " models=" LONG "\n", ":1: models: found \"" SIXTEEN SIXTEEN "\", expected"},
    {"alice " SECRET " admin=maybe\n", ":1: admin: found \"maybe\", expected yes or no"},
    {"alice " SECRET " models=a models=b\n", ":1: models: stands there twice"},
    {"alice " SECRET " tokens-per-minute=4294967296\n", ":1: tokens-per-minute: found"},
    {"alice " SECRET " tokens-per-minute=42949672950\n", ":1: tokens-per-minute: found"},
    {"alice " SECRET " tokens-per-minute=1k\n", ":1: tokens-per-minute: found \"1k\""},
    {"alice " SECRET " priority=urgent\n", ":1: priority: found \"urgent\""},
    {"alice " SECRET " priority=low priority=low\n", ":1: priority: stands there twice"},
};

START_TEST(a_bad_file_is_refused_whole)
{
    ck_assert_int_lt(load(refused[_i].content), 0);
    ck_assert_ptr_null(keys.key);
    ck_assert_uint_eq(keys.n, 0);
    char expected[200];
    snprintf(expected, sizeof expected, "%s%s", path, refused[_i].text);
    ck_assert_msg(strncmp(err.text, expected, strlen(expected)) == 0, "found: %s", err.text);
}
END_TEST

START_TEST(long_lines_are_refused)
{
    char line[1200];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    memcpy(line, "alice " SECRET " #", strlen("alice " SECRET " #"));
    ck_assert_int_eq(load(line), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, ":1: expected text of at most"));
}
END_TEST

START_TEST(others_must_not_read_it)
{
    snprintf(path, sizeof path, "check_keys.%ld.tmp", (long)getpid());
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs("alice " SECRET "\n", f);
    fclose(f);
    static const mode_t open_to_all[] = {0644, 0604, 0602, 0601};
    for (size_t i = 0; i < ARRAY_LEN(open_to_all); i++) {
        ck_assert_int_eq(chmod(path, open_to_all[i]), 0);
        ck_assert_int_eq(keys_load(path, &keys, &err), -TRIT_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "chmod o="));
    }
    ck_assert_int_eq(chmod(path, 0400), 0);
    ck_assert_int_eq(keys_load(path, &keys, &err), 0);
    keys_free(&keys);

    /* The same file as a credential of systemd's. */
    char name[128], dir[512];
    snprintf(name, sizeof name, "credential:%s", path);
    unsetenv("CREDENTIALS_DIRECTORY");
    ck_assert_int_eq(keys_load(name, &keys, &err), -TRIT_EINVAL);
    ck_assert_ptr_nonnull(getcwd(dir, sizeof dir));
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    ck_assert_int_eq(keys_load(name, &keys, &err), 0);
    keys_free(&keys);
    ck_assert_int_eq(keys_load("credential:../x", &keys, &err), -TRIT_EINVAL);
    unlink(path);
    ck_assert_int_eq(keys_load(name, &keys, &err), -TRIT_ENOENT);
    ck_assert_int_eq(keys_load(".", &keys, &err), -TRIT_EINVAL);
}
END_TEST

START_TEST(no_memory_is_no_crash)
{
    for (unsigned n = 1;; n++) {
        mem_fail_at(n);
        int rc = load("alice " SECRET "\nbob " OTHER "\n");
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_int_eq(rc, struck ? -TRIT_ENOMEM : 0);
        keys_free(&keys);
        if (!struck)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keys");
    TCase *tc = tcase_create("keys");
    tcase_add_test(tc, a_file_is_read);
    tcase_add_test(tc, a_key_is_found_by_its_hash);
    tcase_add_test(tc, what_was_made_is_found);
    tcase_add_loop_test(tc, a_bad_file_is_refused_whole, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(tc, long_lines_are_refused);
    tcase_add_test(tc, others_must_not_read_it);
    tcase_add_test(tc, no_memory_is_no_crash);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
