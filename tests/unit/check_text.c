/* SPDX-License-Identifier: MIT */
/*
 * check_text.c - stop strings and half characters: the same text however it is cut into tokens.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "server/text.h"
#include "unit/unit.h"

struct outcome {
    struct buf shown;
    bool stopped;
    size_t used; /* bytes that had gone in when it stopped */
};

/* Feed text[0, len) in pieces that end where `cuts` has a bit, and compare nothing yet. */
static void feed(const struct text_stops *stops, const char *text, size_t len, uint64_t cuts,
                 struct outcome *o)
{
    struct text t = {0};
    *o = (struct outcome){0};
    size_t from = 0;
    for (size_t i = 0; i < len && !o->stopped; i++) {
        if (i + 1 < len && !(cuts >> i & 1))
            continue;
        o->stopped = text_push(&t, stops, text + from, i + 1 - from, &o->shown);
        from = i + 1;
        /* What has been let out never has to be taken back, and is whole characters. */
        ck_assert(utf8_valid(o->shown.data ? o->shown.data : "", o->shown.len));
    }
    o->used = from;
    if (!o->stopped)
        o->stopped = text_end(&t, stops, &o->shown);
    buf_addc(&o->shown, '\0');
    text_fini(&t);
}

/* What must come out, the slow way: the stop string that ends first, the longest of those. */
static void expect(const struct text_stops *stops, const char *text, size_t len, char *out,
                   bool *stopped)
{
    for (size_t end = 1; end <= len; end++) {
        size_t best = 0;
        for (size_t i = 0; i < stops->n; i++) {
            size_t n = stops->stop[i].len;
            if (n <= end && memcmp(text + end - n, stops->stop[i].s, n) == 0)
                best = MAX(best, n);
        }
        if (best) {
            memcpy(out, text, end - best);
            out[end - best] = '\0';
            *stopped = true;
            return;
        }
    }
    memcpy(out, text, len);
    out[len] = '\0';
    *stopped = false;
}

static void make_stops(struct text_stops *stops, const char *const *s)
{
    *stops = (struct text_stops){0};
    for (; *s; s++)
        ck_assert(text_stops_add(stops, *s, strlen(*s)));
}

static const struct {
    const char *text;
    const char *stop[TEXT_STOPS_MAX + 1];
    const char *shown;
    bool stopped;
} cases[] = {
    {"hello world", {NULL}, "hello world", false},
    {"hello world", {"wor"}, "hello ", true},
    {"hello wo", {"wor"}, "hello wo", false},
    {"hello", {"hello"}, "", true},
    {"aaab", {"aab"}, "a", true},
    {"abababac", {"ababac"}, "ab", true},
    {"abcd", {"abcd", "bc"}, "a", true}, /* "bc" ends first */
    {"abcd", {"bcd", "abcd"}, "", true}, /* both end together: the longer */
    {"xyz", {"yz", "z"}, "x", true},
    {"one\n\ntwo", {"\n\n"}, "one", true},
    {"caf\xc3\xa9!", {"\xc3\xa9"}, "caf", true},
    {"\xf0\x9f\x98\x80\xf0\x9f\x98\x81", {"\xf0\x9f\x98\x81"}, "\xf0\x9f\x98\x80", true},
    /* Begins with the same bytes as the stop string, ends as another character. */
    {"\xe2\x82\xac", {"\xe2\x82\xad"}, "\xe2\x82\xac", false},
    {"a\xff"
     "b",
     {"b"},
     "a\xef\xbf\xbd",
     true},
    {"ab\xe2\x82", {"x"}, "ab\xef\xbf\xbd", false}, /* cut off in the middle of a character */
    {"ab\xe2", {"\xef\xbf\xbd"}, "ab", true},
    {"", {"a"}, "", false},
    {"STO STOP", {"STOP"}, "STO ", true},
};

START_TEST(test_every_split)
{
    struct text_stops stops;
    make_stops(&stops, cases[_i].stop);
    size_t len = strlen(cases[_i].text);
    uint64_t splits = len ? UINT64_C(1) << (len - 1) : 1;
    size_t first_used = 0;
    for (uint64_t cuts = 0; cuts < splits; cuts++) {
        struct outcome o;
        feed(&stops, cases[_i].text, len, cuts, &o);
        ck_assert_str_eq(o.shown.data, cases[_i].shown);
        ck_assert_int_eq(o.stopped, cases[_i].stopped);
        /* Byte by byte it stops at the earliest byte of all; no other split can stop before. */
        if (cuts == splits - 1)
            first_used = o.used;
        buf_free(&o.shown);
    }
    for (uint64_t cuts = 0; cuts < splits; cuts++) {
        struct outcome o;
        feed(&stops, cases[_i].text, len, cuts, &o);
        ck_assert_uint_ge(o.used, first_used);
        buf_free(&o.shown);
    }
    text_stops_fini(&stops);
}
END_TEST

/* Small alphabets make many near misses. */
START_TEST(test_random)
{
    static const char *const letters[] = {"a",        "b",        "c",
                                          "\xc3\xa9", "\xc3\xa8", "\xf0\x9f\x98\x80"};
    uint64_t state = unit_seed();
    for (int round = 0; round < 3000; round++) {
        struct text_stops stops = {0};
        size_t n = 1 + unit_random(&state) % TEXT_STOPS_MAX;
        for (size_t i = 0; i < n; i++) {
            char s[64] = "";
            for (size_t k = 1 + unit_random(&state) % 5; k; k--)
                strcat(s, letters[unit_random(&state) % 6]);
            ck_assert(text_stops_add(&stops, s, strlen(s)));
        }
        char text[256] = "", want[256];
        for (size_t k = unit_random(&state) % 40; k; k--)
            strcat(text, letters[unit_random(&state) % 6]);
        bool stopped;
        expect(&stops, text, strlen(text), want, &stopped);
        for (int split = 0; split < 4; split++) {
            struct text t = {0};
            struct buf shown = {0};
            bool found = false;
            size_t at = 0, len = strlen(text);
            while (at < len && !found) {
                size_t piece = MIN(len - at, 1 + unit_random(&state) % 7);
                found = text_push(&t, &stops, text + at, piece, &shown);
                at += piece;
            }
            if (!found)
                found = text_end(&t, &stops, &shown);
            buf_addc(&shown, '\0');
            ck_assert_str_eq(shown.data, want);
            ck_assert_int_eq(found, stopped);
            buf_free(&shown);
            text_fini(&t);
        }
        text_stops_fini(&stops);
    }
}
END_TEST

/* What cannot be the beginning of a stop string any more is not held back. */
START_TEST(test_held_back)
{
    struct text_stops stops = {0};
    struct text t = {0};
    struct buf out = {0};
    ck_assert(text_stops_add(&stops, "STOP", 4));
    ck_assert(!text_push(&t, &stops, "ab ST", 5, &out));
    ck_assert_str_eq(out.data, "ab ");
    ck_assert(!text_push(&t, &stops, "O", 1, &out));
    ck_assert_str_eq(out.data, "ab ");
    ck_assert(!text_push(&t, &stops, "S", 1, &out));
    ck_assert_str_eq(out.data, "ab STO");
    ck_assert(!text_push(&t, &stops, "\xc3", 1, &out));
    ck_assert_str_eq(out.data, "ab STO");
    ck_assert(!text_push(&t, &stops, "\xa9", 1, &out));
    ck_assert_str_eq(out.data, "ab STOS\xc3\xa9");
    text_fini(&t);
    buf_free(&out);
    text_stops_fini(&stops);
}
END_TEST

/* The longest stop strings, and the worst text for them. */
START_TEST(test_long_stops)
{
    struct text_stops stops = {0};
    char s[TEXT_STOP_BYTES];
    for (int i = 0; i < TEXT_STOPS_MAX; i++) {
        memset(s, 'a', sizeof s);
        s[sizeof s - 1] = (char)('b' + i);
        ck_assert(text_stops_add(&stops, s, sizeof s));
    }
    struct text t = {0};
    struct buf out = {0};
    for (int i = 0; i < 20000; i++)
        ck_assert(!text_push(&t, &stops, "a", 1, &out));
    ck_assert_uint_eq(out.len, 20000 - (TEXT_STOP_BYTES - 1));
    ck_assert_uint_eq(t.held.len, TEXT_STOP_BYTES - 1);
    ck_assert(text_push(&t, &stops, "d", 1, &out));
    ck_assert_uint_eq(out.len, 20000 - (TEXT_STOP_BYTES - 1));
    text_fini(&t);
    buf_free(&out);
    text_stops_fini(&stops);
}
END_TEST

START_TEST(test_no_memory)
{
    for (unsigned n = 1; n <= 2; n++) {
        struct text_stops stops = {0};
        mem_fail_at(n);
        ck_assert(!text_stops_add(&stops, "abc", 3));
        mem_fail_at(0);
        ck_assert_uint_eq(stops.n, 0);
    }
    struct text_stops stops = {0};
    struct text t = {0};
    struct buf out = {0};
    mem_fail_at(1);
    ck_assert(!text_push(&t, &stops, "abc", 3, &out));
    mem_fail_at(0);
    ck_assert(t.held.failed || out.failed);
    text_fini(&t);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tc = tcase_create("text");
    tcase_add_loop_test(tc, test_every_split, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, test_random);
    tcase_add_test(tc, test_held_back);
    tcase_add_test(tc, test_long_stops);
    tcase_add_test(tc, test_no_memory);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
