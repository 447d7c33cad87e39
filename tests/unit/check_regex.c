/* SPDX-License-Identifier: MIT */
/*
 * check_regex.c - patterns and the texts that they match, as a whole answer and inside of a JSON
 * string; and what is refused, with the place.
 */
#include "config.h"

#include "base/buf.h"
#include "base/mem.h"
#include "server/regex.h"
#include "unit/shape-run.h"

static const struct {
    const char *pattern, *yes[6], *no[6];
} whole[] = {
    {"abc", {"abc"}, {"", "ab", "abcd", "xabc"}},
    {"^abc$", {"abc"}, {"^abc$", "ab"}},
    {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
    {"a*", {"", "a", "aaaaaaaa"}, {"b", "ab"}},
    {"a+?b??", {"a", "aab"}, {"", "b", "abb"}},
    {"[a-c]{2,3}", {"ab", "ccc"}, {"a", "abca", "ad"}},
    {"x{3}", {"xxx"}, {"xx", "xxxx"}},
    {"x{2,}", {"xx", "xxxxx"}, {"x", ""}},
    {"(?:ab){2}c?", {"abab", "ababc"}, {"ab", "abc", "ababab"}},
    {"(a(b(c)?)?)?", {"", "a", "ab", "abc"}, {"b", "ac"}},
    {"(?<year>\\d{4})-(?P<m>\\d\\d)", {"2024-05"}, {"024-05", "2024-5"}},
    {"[^abc]", {"d", "\n", "\xc3\xa9", "\xf0\x9f\x98\x80"}, {"a", "", "dd"}},
    {"[^\\n\\d]+", {"ab c"}, {"a1", "a\nb"}},
    {".", {"x", "\xe2\x82\xac"}, {"\n", "\r", "\xe2\x80\xa8", "xx"}},
    {"\\w+\\W\\D\\S", {"a_9-xy"}, {"a_9", "ab-1y", "ab-x "}},
    {"\\s", {" ", "\t", "\xc2\xa0", "\xef\xbb\xbf"}, {"x", ""}},
    {"\\x41\\u00e9\\u{1F600}\\uD83D\\uDE00", {"A\xc3\xa9\xf0\x9f\x98\x80\xf0\x9f\x98\x80"}, {"A"}},
    {"[\\u0400-\\u04ff]+", {"\xd0\xb6\xd1\x8f"}, {"a", "\xc3\xa9"}},
    {"[\\]\\-\\\\^]+", {"]-\\^"}, {"a", "["}},
    {"[a-]", {"a", "-"}, {"b"}},
    {"\\.\\*\\/\\$\\-\\\"", {".*/$-\""}, {"a"}},
    {"\"\\\\[\"\\\\]", {"\"\\\"", "\"\\\\"}, {"\""}},
    {"((a*)*)*b", {"b", "aaab"}, {"a"}},
    {"(a*b*)*c", {"c", "abbac"}, {"ab"}},
    {"(|a)+", {"", "a", "aaa"}, {"b"}},
    {"a{0}b", {"b"}, {"ab"}},
    {"}]", {"}]"}, {"}"}},
    {"", {""}, {"a"}},
};

START_TEST(test_whole)
{
    struct shape s = {.kind = SHAPE_REGEX, .field = "regex", .text = mem_strdup(whole[_i].pattern)};
    struct grammar *g = shape_must(&s, whole[_i].pattern);
    for (size_t k = 0; k < 6 && whole[_i].yes[k]; k++)
        ck_assert_msg(shape_matches(g, whole[_i].yes[k]), "%s does not match \"%s\"",
                      whole[_i].pattern, whole[_i].yes[k]);
    for (size_t k = 0; k < 6 && whole[_i].no[k]; k++)
        ck_assert_msg(!shape_matches(g, whole[_i].no[k]), "%s matches \"%s\"", whole[_i].pattern,
                      whole[_i].no[k]);
    grammar_unref(g);
    shape_fini(&s);
}
END_TEST

/* Inside of a JSON string, with lengths; the texts are those between the quotes. */
static const struct {
    const char *pattern;
    uint64_t min, max;
    const char *yes[6], *no[6];
} strings[] = {
    {"b", 0, UINT64_MAX, {"b", "abc", "\\\"b\\n"}, {"", "a", "\"b", "b\\"}},
    {"^b", 0, UINT64_MAX, {"b", "bcd"}, {"ab", ""}},
    {"b$", 0, UINT64_MAX, {"b", "ab"}, {"ba", ""}},
    {"^a$|b", 0, UINT64_MAX, {"a", "xbx"}, {"ax", "xa"}},
    {"^[^a]$", 0, UINT64_MAX, {"b", "\\\"", "\\\\", "\\n", "\\u001f"}, {"a", "\"", "\\", "\n"}},
    {"^\\s\\\\\"$", 0, UINT64_MAX, {" \\\\\\\"", "\\t\\\\\\\"", "\\u000b\\\\\\\""}, {" \\\""}},
    {"^[a-z]+$", 2, 4, {"ab", "abcd"}, {"a", "abcde"}},
    {"^[A-Z]([a-z]*)$", 0, 4, {"A", "Abcd"}, {"Abcde", ""}},
    {"^(a*)$", 0, 2, {"", "aa"}, {"aaa"}},
    {"^[a-z]{1,3}$", 1, 8, {"abc"}, {"", "abcd"}},
    {"x", 3, 5, {"xaa", "axaa"}, {"x", "aaaaax"}},
    {"^x", 3, 5, {"xaa", "xaaaa"}, {"xa", "xaaaaa"}},
    {"^(a|bb|ccc)$", 0, 3, {"a", "ccc"}, {"cccc"}},
};

START_TEST(test_strings)
{
    struct buf rules = {0}, expr = {0};
    struct trit_error err = {0};
    struct grammar *g;
    struct regex_want want = {.into = REGEX_STRING,
                              .search = true,
                              .prefix = "root-",
                              .min = strings[_i].min,
                              .max = strings[_i].max};
    int rc = regex_to_grammar(strings[_i].pattern, strlen(strings[_i].pattern), &want, &rules,
                              &expr, &err);
    ck_assert_msg(rc == 0, "%s: %s", strings[_i].pattern, err.text);
    buf_addf(&rules, "root ::= %s\n", expr.data);
    rc = grammar_compile(rules.data, rules.len, NULL, &g, &err);
    ck_assert_msg(rc == 0, "%s: %s in %s", strings[_i].pattern, err.text, rules.data);
    for (size_t k = 0; k < 6 && strings[_i].yes[k]; k++)
        ck_assert_msg(shape_matches(g, strings[_i].yes[k]), "%s does not match \"%s\"",
                      strings[_i].pattern, strings[_i].yes[k]);
    for (size_t k = 0; k < 6 && strings[_i].no[k]; k++)
        ck_assert_msg(!shape_matches(g, strings[_i].no[k]), "%s matches \"%s\"",
                      strings[_i].pattern, strings[_i].no[k]);
    grammar_unref(g);
    buf_free(&rules);
    buf_free(&expr);
}
END_TEST

static const struct {
    const char *pattern, *says;
} refused[] = {
    {"(a)\\1", "byte 3 of the pattern: back-references"},
    {"\\k<a>", "back-references"},
    {"a(?=b)", "byte 1 of the pattern: look-around"},
    {"(?<!a)b", "look-around"},
    {"\\bword", "word boundaries"},
    {"\\p{L}", "Unicode properties"},
    {"(?i)a", "inline flags"},
    {"(?>a)", "atomic groups"},
    {"a++", "possessive"},
    {"a^b", "anchor that is not at the beginning"},
    {"(a$)", "anchor that is not at the end"},
    {"a**", "a repeat of a repeat"},
    {"*a", "a repeat of nothing"},
    {"a{2,1}", "wrong order"},
    {"a{1000000}", "a repeat of more than 10000"},
    {"a{x}", "expected {m}"},
    {"(a", "without its closing parenthesis"},
    {"a)", "closing parenthesis without"},
    {"[a", "without its closing bracket"},
    {"[]", "empty class"},
    {"[z-a]", "a range"},
    {"[\\d-z]", "a range"},
    {"[[:alpha:]]", "POSIX"},
    {"[^\\s\\S]", "no character can match"},
    {"\\", "a backslash at the end"},
    {"\\q", "needs none"},
    {"\\uD83D", "surrogate"},
    {"\\u12", "four hexadecimal"},
    {"\\0", "U+0000"},
    {"\\uD83D\\u0041", "expected a low surrogate after the high one"},
    {"(?P=a)", "not supported"},
    {"(?<a", "a group's name without its '>'"},
    {"\\x4", "expected two hexadecimal digits after \\x"},
    {"\\u{110000}", "expected \\u{...} with a code point in it"},
    {"\\u{}", "a code point in it"},
    {"\\u{zz}", "a code point in it"},
    {"\\u{41", "a code point in it"},
    {"\\u{123456789}", "a code point in it"},
    {"\\uD83D\\u12", "expected a low surrogate"},
    {"\\uD83D\\uE000", "expected a low surrogate"},
    {"\\uDC00", "surrogate"},
    {"(?!a)", "look-around"},
    {"(?<=a)b", "look-around"},
    {"(?:a", "without its closing parenthesis"},
    {"a{10001,}", "a repeat of more than 10000"},
    {"a{1,10001}", "a repeat of more than 10000"},
    {"a{2}{3}", "a repeat of a repeat"},
    {"a{2}+", "possessive"},
};

START_TEST(test_refused)
{
    struct shape s = {
        .kind = SHAPE_REGEX, .field = "regex", .text = mem_strdup(refused[_i].pattern)};
    struct problem p = {0};
    struct grammar *g;
    ck_assert_msg(shape_compile(&s, &g, &p) < 0, "accepted: %s", refused[_i].pattern);
    ck_assert_msg(strstr(p.text, refused[_i].says), "%s: \"%s\" does not say \"%s\"",
                  refused[_i].pattern, p.text, refused[_i].says);
    ck_assert_str_eq(p.param, "regex");
    ck_assert_int_eq(p.status, 400);
    shape_fini(&s);
}
END_TEST

START_TEST(test_bombs)
{
    /* Nested groups; nested repeats; a long choice: each is refused, or compiles within limits. */
    struct buf b = {0};
    struct shape s = {.kind = SHAPE_REGEX, .field = "regex"};
    struct problem p = {0};
    struct grammar *g;
    for (int i = 0; i < 4000; i++)
        buf_addc(&b, '(');
    s.text = b.data;
    ck_assert_int_lt(shape_compile(&s, &g, &p), 0);
    ck_assert_ptr_nonnull(strstr(p.text, "nested deeper"));
    buf_reset(&b);
    buf_adds(&b, "((((((a{100}){100}){100}){100}){100}){100})");
    s.text = b.data;
    /* A hundred calls each: small. */
    g = shape_must(&s, b.data);
    ck_assert_uint_lt(grammar_bytes(g), 1 << 20);
    grammar_unref(g);
    buf_reset(&b);
    buf_adds(&b, "(");
    for (int i = 0; i < 20; i++)
        buf_adds(&b, "[^a]{9999}");
    buf_adds(&b, ")");
    s.text = b.data;
    ck_assert_int_lt(shape_compile(&s, &g, &p), 0);
    buf_reset(&b);
    for (int i = 0; i < REGEX_BYTES + 1; i++)
        buf_addc(&b, 'a');
    s.text = b.data;
    ck_assert_int_lt(shape_compile(&s, &g, &p), 0);
    buf_free(&b);
}
END_TEST

/* Without memory nothing is said but that, and no half of a grammar is taken for one. */
START_TEST(test_no_memory)
{
    bool inside = _i >= (int)ARRAY_LEN(whole);
    size_t k = (size_t)_i - (inside ? ARRAY_LEN(whole) : 0);
    const char *pattern = inside ? strings[k].pattern : whole[k].pattern;
    struct regex_want want = {.into = inside ? REGEX_STRING : REGEX_TEXT,
                              .search = inside,
                              .prefix = "root-",
                              .min = inside ? strings[k].min : 0,
                              .max = inside ? strings[k].max : UINT64_MAX};
    for (unsigned n = 1;; n++) {
        struct buf rules = {0}, expr = {0};
        struct trit_error err = {0};
        mem_fail_at(n);
        int rc = regex_to_grammar(pattern, strlen(pattern), &want, &rules, &expr, &err);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        bool good = rc == 0 && !rules.failed && !expr.failed;
        buf_free(&rules);
        buf_free(&expr);
        ck_assert_msg(rc == 0 || rc == -TRIT_ENOMEM, "%d %s", rc, err.text);
        ck_assert_msg(good == !struck, "%s: allocation %u", pattern, n);
        if (!struck)
            break;
    }
}
END_TEST

/* Patterns of random characters are refused or compile; nothing else happens. */
START_TEST(test_random)
{
    static const char letters[] = "ab01()[]{}|*+?.^$\\-,:=!<>dwsDWSbxu\"\xc3\xa9";
    uint64_t seed = unit_seed();
    unsigned good = 0;
    for (int i = 0; i < 20000; i++) {
        char text[24];
        size_t n = unit_random(&seed) % 23;
        for (size_t k = 0; k < n; k++)
            text[k] = letters[unit_random(&seed) % (sizeof letters - 1)];
        text[n] = '\0';
        struct shape s = {.kind = SHAPE_REGEX, .field = "regex", .text = text};
        struct problem p = {0};
        struct grammar *g;
        int rc = shape_compile(&s, &g, &p);
        ck_assert_msg(rc == 0 || (p.status == 400 && p.text[0]), "%s", text);
        ck_assert_msg(!strstr(p.text, "column"), "%s: grammar of our own refused: %s", text,
                      p.text);
        good += rc == 0;
        grammar_unref(g);
    }
    ck_assert_uint_gt(good, 500);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("regex");
    TCase *tc = tcase_create("regex");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_whole, 0, (int)ARRAY_LEN(whole));
    tcase_add_loop_test(tc, test_strings, 0, (int)ARRAY_LEN(strings));
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(tc, test_bombs);
    tcase_add_loop_test(tc, test_no_memory, 0, (int)(ARRAY_LEN(whole) + ARRAY_LEN(strings)));
    tcase_add_test(tc, test_random);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
