/* SPDX-License-Identifier: MIT */
/*
 * check_framing.c - headers whose end of request can be read in two ways are refused.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "server/framing.h"
#include "server/problem.h"
#include "unit/unit.h"

static const struct {
    const char *version;
    const char *field[7]; /* name, value, ... */
    bool good, body;
} cases[] = {
    {"HTTP/1.1", {"Host", "a"}, true, false},
    {"HTTP/1.1", {"host", "a", "CONTENT-LENGTH", "12"}, true, true},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "0"}, true, false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "chunked"}, true, true},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "CHUNKED"}, true, true},
    {"HTTP/1.0", {NULL}, true, false},
    {"HTTP/1.0", {"Content-Length", "3"}, true, true},
    {"HTTP/1.1", {NULL}, false, false},
    {"HTTP/1.1", {"Host", "a", "Host", "a"}, false, false},
    {"HTTP/1.0", {"Host", "a", "Host", "b"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "4", "Content-Length", "4"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "4", "content-length", "5"}, false, false},
    {"HTTP/1.1",
     {"Host", "a", "Content-Length", "4", "Transfer-Encoding", "chunked"},
     false,
     false},
    {"HTTP/1.1",
     {"Host", "a", "Transfer-Encoding", "chunked", "Content-Length", "0"},
     false,
     false},
    {"HTTP/1.1",
     {"Host", "a", "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"},
     false,
     false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "xchunked"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "chunked,"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "gzip, chunked"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "identity"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", ""}, false, false},
    {"HTTP/1.1", {"Host", "a", "Transfer-Encoding", "chunked\x0b"}, false, false},
    {"HTTP/1.0", {"Transfer-Encoding", "chunked"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "+4"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "-4"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "4 "}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "4, 4"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "0x4"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", ""}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length", "18446744073709551616"}, false, false},
    {"HTTP/1.1", {"Host", "a", "Content-Length ", "4"}, false, false},
    {"HTTP/1.1", {"Host", "a", "X\tY", "1"}, false, false},
    {"HTTP/1.1", {"Host", "a", "X\x01", "1"}, false, false},
    {"HTTP/1.1", {"Host", "a", "X\x7f", "1"}, false, false},
    {"HTTP/1.1", {"Host", "a", "", "1"}, false, false},
};

START_TEST(test_framing)
{
    struct framing f = {0};
    struct problem p = {0};
    for (size_t i = 0; i < 6 && cases[_i].field[i]; i += 2)
        framing_header(&f, cases[_i].field[i], cases[_i].field[i + 1]);
    int rc = framing_check(&f, cases[_i].version, &p);
    if (cases[_i].good) {
        ck_assert_msg(rc == 0, "%s", p.text);
        ck_assert_int_eq(framing_has_body(&f), cases[_i].body);
    } else {
        ck_assert_int_eq(rc, -TRIT_EFORMAT);
        ck_assert_int_eq(p.status, 400);
        ck_assert_uint_gt(strlen(p.text), 20);
    }
}
END_TEST

START_TEST(test_length)
{
    struct framing f = {0};
    framing_header(&f, "content-length", "18446744073709551615");
    ck_assert(!f.bad_length);
    ck_assert(f.length == UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("framing");
    TCase *tc = tcase_create("framing");
    tcase_add_loop_test(tc, test_framing, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, test_length);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
