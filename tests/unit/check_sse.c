/* SPDX-License-Identifier: MIT */
/*
 * check_sse.c - the same events, however the bytes are cut.
 */
#include "config.h"
#include "sse.h"

#include <string.h>

#include "base/base.h"
#include "unit/unit.h"

static const char stream[] =
    ": ping\n\ndata: {\"a\":1}\n\ndata:b\r\n\r\nevent: x\nid: 7\n\ndata:\n\n"
    "data:  two spaces\n\ndatum: no\n\ndata: [DONE]\n\ndata: not ended";
static const char expected[] = "<{\"a\":1}><b><>< two spaces><[DONE]>";

struct seen {
    struct buf text;
    int left; /* events until enough; negative: never */
};

static bool on_data(const char *data, size_t len, void *arg)
{
    struct seen *s = arg;
    buf_addc(&s->text, '<');
    buf_add(&s->text, data, len);
    buf_addc(&s->text, '>');
    return --s->left != 0;
}

START_TEST(test_cuts)
{
    /* Every pair of cuts, empty pieces too. */
    size_t n = sizeof stream - 1;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = i; j <= n; j++) {
            struct sse s = {0};
            struct seen seen = {.left = -1};
            ck_assert(sse_feed(&s, stream, i, on_data, &seen));
            ck_assert(sse_feed(&s, stream + i, j - i, on_data, &seen));
            ck_assert(sse_feed(&s, stream + j, n - j, on_data, &seen));
            ck_assert_str_eq(seen.text.data, expected);
            sse_fini(&s);
            buf_free(&seen.text);
        }
}
END_TEST

START_TEST(test_single_bytes)
{
    struct sse s = {0};
    struct seen seen = {.left = -1};
    for (size_t i = 0; i < sizeof stream - 1; i++)
        ck_assert(sse_feed(&s, stream + i, 1, on_data, &seen));
    ck_assert_str_eq(seen.text.data, expected);
    sse_fini(&s);
    buf_free(&seen.text);
}
END_TEST

START_TEST(test_enough)
{
    struct sse s = {0};
    struct seen seen = {.left = 2};
    ck_assert(!sse_feed(&s, stream, sizeof stream - 1, on_data, &seen));
    ck_assert_str_eq(seen.text.data, "<{\"a\":1}><b>");
    sse_fini(&s);
    buf_free(&seen.text);
}
END_TEST

START_TEST(test_too_long)
{
    static char piece[1 << 20];
    struct sse s = {0};
    struct seen seen = {.left = -1};
    memset(piece, 'x', sizeof piece);
    size_t fed = 0;
    while (fed < 2 * (size_t)SSE_LINE_BYTES_MAX &&
           sse_feed(&s, piece, sizeof piece, on_data, &seen))
        fed += sizeof piece;
    ck_assert_uint_eq(fed, SSE_LINE_BYTES_MAX);
    sse_fini(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sse");
    TCase *tc = tcase_create("sse");
    tcase_add_test(tc, test_cuts);
    tcase_add_test(tc, test_single_bytes);
    tcase_add_test(tc, test_enough);
    tcase_add_test(tc, test_too_long);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
