/* SPDX-License-Identifier: MIT */
/*
 * check_origin.c - lists of origins, names of loopback, headers that pages may send.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "server/origin.h"
#include "unit/unit.h"

START_TEST(lists)
{
    static const char list[] = " https://a.example,http://localhost:3000\thttps://B.example ";
    ck_assert(origin_listed(list, "https://a.example"));
    ck_assert(origin_listed(list, "http://localhost:3000"));
    ck_assert(origin_listed(list, "https://b.example"));
    ck_assert(!origin_listed(list, "https://a.example.evil"));
    ck_assert(!origin_listed(list, "https://a.exampl"));
    ck_assert(!origin_listed(list, "http://localhost"));
    ck_assert(!origin_listed(list, "null") && !origin_listed(list, "") && !origin_listed("", ""));
    ck_assert(origin_listed("*", "null") && !origin_listed("", "https://a.example"));
}
END_TEST

START_TEST(bad_words)
{
    static const char *const bad[] = {"a.example", "https://a.example/", "://a", "https://", "a b"};
    int len = 0;
    ck_assert_ptr_null(origin_bad_word("", &len));
    ck_assert_ptr_null(origin_bad_word("*", &len));
    ck_assert_ptr_null(origin_bad_word("https://a.example:8443, app://obsidian.md", &len));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(origin_bad_word(bad[i], &len) && len > 0, "%s", bad[i]);
    ck_assert_int_eq(strncmp(origin_bad_word("https://a https://b/ c", &len), "https://b/", 10), 0);
    ck_assert_int_eq(len, 10);
}
END_TEST

START_TEST(hosts)
{
    static const char *const ours[] = {"localhost", "LOCALHOST:8080", "127.0.0.1:8080",
                                       "127.1.2.3", "[::1]",          "[::1]:8080",
                                       "gpu.lan",   "GPU.lan:80"};
    static const char *const others[] = {"",
                                         "evil.example",
                                         "127.0.0.1.evil.example:80",
                                         "128.0.0.1",
                                         "[::2]:80",
                                         "localhost.evil",
                                         "10.0.0.1",
                                         "[::1",
                                         "0.0.0.0",
                                         "gpu.lan.evil"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        ck_assert_msg(origin_host_allowed(ours[i], "gpu.lan"), "%s", ours[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(!origin_host_allowed(others[i], "gpu.lan"), "%s", others[i]);
    ck_assert(origin_host_allowed("evil.example", "*"));
    ck_assert(origin_is_same("http://127.0.0.1:8080", "127.0.0.1:8080"));
    ck_assert(!origin_is_same("http://127.0.0.1:8081", "127.0.0.1:8080"));
    ck_assert(!origin_is_same("null", "null") && !origin_is_same("http://a", "b"));
}
END_TEST

START_TEST(headers)
{
    ck_assert(origin_header_allowed("Authorization", 13));
    ck_assert(origin_header_allowed("x-stainless-os", 14));
    ck_assert(origin_header_allowed("X-Tritd-Deadline-Ms", 19));
    ck_assert(!origin_header_allowed("x-stainless-", 12));
    ck_assert(!origin_header_allowed("cookie", 6) && !origin_header_allowed("", 0));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("origin");
    TCase *c = tcase_create("origin");
    tcase_add_test(c, lists);
    tcase_add_test(c, bad_words);
    tcase_add_test(c, hosts);
    tcase_add_test(c, headers);
    suite_add_tcase(s, c);
    return unit_run(s);
}
