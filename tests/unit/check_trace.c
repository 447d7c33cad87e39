/* SPDX-License-Identifier: MIT */
/* check_trace.c - traceparent: what is one, and what is as none. */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "server/trace.h"
#include "unit/unit.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

START_TEST(a_trace)
{
    struct trace t, u;
    trace_read(&t, "00-" ID "-" PARENT "-01");
    ck_assert_str_eq(t.id, ID);
    ck_assert_str_eq(t.flags, "01");
    ck_assert_uint_eq(strlen(t.span), 16);
    trace_read(&u, "00-" ID "-" PARENT "-fe");
    ck_assert_str_eq(u.flags, "00"); /* of the flags only the one that is known */
    ck_assert_str_ne(t.span, u.span);
    trace_read(&t, "cc-" ID "-" PARENT "-03-what the future has");
    ck_assert_str_eq(t.id, ID);
    ck_assert_str_eq(t.flags, "01");
}
END_TEST

START_TEST(no_trace)
{
    static const char *const bad[] = {
        NULL,
        "",
        "00-" ID "-" PARENT,
        "00-" ID "-" PARENT "-0",
        "00-" ID "-" PARENT "-01-",
        "00-" ID "-" PARENT "-01x",
        "ff-" ID "-" PARENT "-01",
        "cc-" ID "-" PARENT "-01x",
        "0x-" ID "-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" ID "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473\n-" PARENT "-01",
        "00_" ID "-" PARENT "-01",
        "00-" ID "_" PARENT "-01",
        "00-" ID "-" PARENT "_01",
        "00-" ID "-" PARENT "-0g",
        "00-" ID "-00f067aa0ba902bx-01",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct trace t;
        trace_read(&t, bad[i]);
        ck_assert_msg(t.id[0] == '\0' && t.span[0] == '\0', "row %zu", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tc = tcase_create("trace");
    tcase_add_test(tc, a_trace);
    tcase_add_test(tc, no_trace);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
