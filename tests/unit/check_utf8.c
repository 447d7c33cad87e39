/* SPDX-License-Identifier: MIT */
/*
 * check_utf8.c - the scanner against the table of well-formed sequences, exhaustively where it can
 * be.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"
#include "unit.h"

/* Table 3-7 of the Unicode standard, row by row: the ranges of each byte. */
static const struct {
    unsigned char low[4], high[4];
    int len;
} table[] = {
    {{0x00}, {0x7f}, 1},
    {{0xc2, 0x80}, {0xdf, 0xbf}, 2},
    {{0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}, 3},
    {{0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}, 3},
    {{0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}, 3},
    {{0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}, 3},
    {{0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}, 4},
    {{0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}, 4},
    {{0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}, 4},
};

/* What utf8_scan must say, by looking at every row. */
static int expected(const unsigned char *s, size_t len)
{
    int longest = 0;
    for (size_t row = 0; row < ARRAY_LEN(table); row++) {
        int n = 0;
        while (n < table[row].len && (size_t)n < len && s[n] >= table[row].low[n] &&
               s[n] <= table[row].high[n])
            n++;
        if (n == table[row].len)
            return n;
        longest = MAX(longest, n);
    }
    if ((size_t)longest == len)
        return 0;
    return -MAX(longest, 1);
}

static void check_scan(const unsigned char *s, size_t len)
{
    int want = expected(s, len), have = utf8_scan((const char *)s, len);
    if (want != have)
        ck_abort_msg("%02x %02x %02x %02x, %zu bytes: found %d, expected %d", s[0], s[1], s[2],
                     s[3], len, have, want);
}

START_TEST(scans_every_short_sequence)
{
    unsigned char s[4] = {0};
    for (unsigned v = 0; v < 1u << 24; v++) {
        s[0] = (unsigned char)(v >> 16);
        s[1] = (unsigned char)(v >> 8);
        s[2] = (unsigned char)v;
        if (s[1] == 0 && s[2] == 0)
            check_scan(s, 1);
        if (s[2] == 0)
            check_scan(s, 2);
        check_scan(s, 3);
    }
}
END_TEST

/* Fourth bytes at and around the ends of the range. */
START_TEST(scans_long_sequences)
{
    static const unsigned char last[] = {0x00, 0x41, 0x7f, 0x80, 0x9a, 0xbf, 0xc0, 0xff};
    for (unsigned v = 0; v < 1u << 20; v++) {
        for (size_t k = 0; k < sizeof last; k++) {
            unsigned char s[4] = {(unsigned char)(0xf0 | v >> 16), (unsigned char)(v >> 8),
                                  (unsigned char)v, last[k]};
            check_scan(s, 4);
        }
    }
}
END_TEST

/* Everything that must hold for one code point. */
static bool comes_back(uint32_t cp)
{
    char s[5] = "";
    uint32_t back = 0;
    unsigned n = utf8_encode(s, cp);
    bool good = n == (cp < 0x80      ? 1
                      : cp < 0x800   ? 2
                      : cp < 0x10000 ? 3
                                     : 4) &&
                s[n] == '\0' && utf8_decode(s, n, &back) == n && back == cp && utf8_valid(s, n);
    for (unsigned cut = 0; cut < n; cut++)
        good = good && utf8_decode(s, cut, &back) == 0 && (cut == 0 || !utf8_valid(s, cut));
    return good;
}

START_TEST(every_code_point_comes_back)
{
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++)
        if ((cp < 0xd800 || cp > 0xdfff) && !comes_back(cp))
            ck_abort_msg("U+%04X does not come back", cp);
}
END_TEST

START_TEST(invalid_text_is_seen)
{
    static const char *const bad[] = {
        "\x80",
        "a\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\xaf",
        "\xf4\x90\x80\x80",
        "\xf5",
        "\xff",
        "ok \xc3",
        "ok \xe2\x82 bad",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!utf8_valid(bad[i], strlen(bad[i])), "sequence %zu passes", i);
    ck_assert(utf8_valid("", 0));
    ck_assert(utf8_valid("nul \0 inside", 12));
    ck_assert(utf8_valid("\xef\xbf\xbf\xf4\x8f\xbf\xbf", 7));
}
END_TEST

START_TEST(surrogates_cannot_be_written)
{
    char s[4];
    utf8_encode(s, 0xd800);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, scans_every_short_sequence);
    tcase_add_test(all, scans_long_sequences);
    tcase_add_test(all, every_code_point_comes_back);
    tcase_add_test(all, invalid_text_is_seen);
    unit_asserts(all, surrogates_cannot_be_written);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
