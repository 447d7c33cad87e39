/* SPDX-License-Identifier: MIT */
/*
 * check_jsontext.c - the strict scan: each refusal with its place and words; and what the walk says
 * of sound texts.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/jsontext.h"
#include "base/utf8.h"
#include "unit/unit.h"

static const char *const sound[] = {
    "0",
    " -0 ",
    "-1.5e+10",
    "1E-2",
    "10.25",
    "\"\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
    "\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"",
    "true",
    "false",
    "null",
    "[]",
    " [ ] ",
    "{}",
    "\t{\r}\n",
    "[1,[2,{}],{\"a\":[]}]",
    "{\"a\":{\"b\":null},\"c\":[true,false]}",
};

START_TEST(taken)
{
    struct trit_error err = {0};
    ck_assert_msg(jsontext_check(sound[_i], strlen(sound[_i]), 100, &err) == 0, "%s", err.text);
}
END_TEST

#define END(at) "not JSON: the text ends at byte " #at ", expected "

static const struct {
    const char *text, *says;
} bad[] = {
    {"", END(0) "a value"},
    {"  ", END(2) "a value"},
    {"]", "not JSON: found ']' at byte 0, expected a value"},
    {"[", END(1) "a value"},
    {"[1", END(2) "a comma or ']'"},
    {"[1 2]", "not JSON: found '2' at byte 3, expected a comma or ']'"},
    {"[1,]", "not JSON: found ']' at byte 3, expected a value"},
    {"[1}", "not JSON: found '}' at byte 2, expected a comma or ']'"},
    {"{", END(1) "a member name in quotes"},
    {"{a:1}", "not JSON: found 'a' at byte 1, expected a member name in quotes"},
    {"{\"a\"}", "not JSON: found '}' at byte 4, expected a colon"},
    {"{\"a\" 1}", "not JSON: found '1' at byte 5, expected a colon"},
    {"{\"a\":}", "not JSON: found '}' at byte 5, expected a value"},
    {"{\"a\":1", END(6) "a comma or '}'"},
    {"{\"a\":1]", "not JSON: found ']' at byte 6, expected a comma or '}'"},
    {"{\"a\":1,}", "not JSON: found '}' at byte 7, expected a member name in quotes"},
    {"{\"a\\q\":1}", "not JSON: found 'q' at byte 4, expected one of \" \\ / b f n r t u after a "
                     "backslash"},
    {"\"", END(1) "the closing quote of a string"},
    {"\"\\", END(2) "one of \" \\ / b f n r t u after a backslash"},
    {"\"\\u00g0\"", "not JSON: found 'g' at byte 5, expected four hexadecimal digits after \\u"},
    {"\"\\u12", END(5) "four hexadecimal digits after \\u"},
    {"\"\\u0000\"", "not JSON: found '\\' at byte 1, expected no \\u0000: texts with NUL are not "
                    "accepted"},
    {"\"\\udc00\"",
     "not JSON: found '\\' at byte 1, expected a high surrogate followed by \\u and a "
     "low one"},
    {"\"\\ud800\"",
     "not JSON: found '\\' at byte 1, expected a high surrogate followed by \\u and a "
     "low one"},
    {"\"\\ud800\\n\"",
     "not JSON: found '\\' at byte 1, expected a high surrogate followed by \\u and "
     "a low one"},
    {"\"\\ud800\\",
     "not JSON: found '\\' at byte 1, expected a high surrogate followed by \\u and a "
     "low one"},
    {"\"\\ud800\\u0041\"",
     "not JSON: found '\\' at byte 1, expected a low surrogate after the high "
     "one"},
    {"\"\\ud800\\ue000\"",
     "not JSON: found '\\' at byte 1, expected a low surrogate after the high "
     "one"},
    {"\"\\ud800\\uXYZW\"", "not JSON: found 'X' at byte 9, expected four hexadecimal digits after "
                           "\\u"},
    {"\"a\nb\"",
     "not JSON: found byte 0x0a at byte 2, expected control characters in strings to be "
     "escaped"},
    {"\"\xc3(\"", "not JSON: found byte 0xc3 at byte 1, expected valid UTF-8"},
    {"\"\xe2\x82", "not JSON: found byte 0xe2 at byte 1, expected valid UTF-8"},
    {"tru", "not JSON: found 't' at byte 0, expected a value"},
    {"falsy", "not JSON: found 'f' at byte 0, expected a value"},
    {"nul", "not JSON: found 'n' at byte 0, expected a value"},
    {"NaN", "not JSON: found 'N' at byte 0, expected a value"},
    {"+1", "not JSON: found '+' at byte 0, expected a value"},
    {"-", END(1) "a digit"},
    {"-a", "not JSON: found 'a' at byte 1, expected a digit"},
    {"01", "not JSON: found '1' at byte 1, expected no digit after a leading zero"},
    {"1.", END(2) "a digit"},
    {"1.e1", "not JSON: found 'e' at byte 2, expected a digit"},
    {"1e", END(2) "a digit"},
    {"1e+", END(3) "a digit"},
    {"\xef\xbb\xbf{}", "not JSON: found byte 0xef at byte 0, expected a value"},
    {"1 2", "not JSON: found '2' at byte 2, expected nothing behind the document"},
    {"{}\x7f", "not JSON: found byte 0x7f at byte 2, expected nothing behind the document"},
    {"[1,1,1,1]", "JSON holds more than 4 values"},
};

START_TEST(refused)
{
    struct trit_error err = {0};
    int rc = jsontext_check(bad[_i].text, strlen(bad[_i].text), 4, &err);
    ck_assert_int_eq(rc, -TRIT_EFORMAT);
    ck_assert_str_eq(err.text, bad[_i].says);
}
END_TEST

START_TEST(a_nul_is_no_white_space)
{
    struct trit_error err = {0};
    ck_assert_int_eq(jsontext_check("1\0 ", 3, 9, &err), -TRIT_EFORMAT);
    ck_assert_str_eq(err.text, "not JSON: found byte 0x00 at byte 1, expected nothing behind the "
                               "document");
    ck_assert_int_eq(jsontext_check("\"\0\"", 3, 9, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "found byte 0x00 at byte 1, expected control"));
}
END_TEST

START_TEST(depth)
{
    char text[2 * JSONTEXT_MAX_DEPTH + 3];
    char says[80];
    struct trit_error err = {0};
    memset(text, '[', JSONTEXT_MAX_DEPTH);
    memset(text + JSONTEXT_MAX_DEPTH, ']', JSONTEXT_MAX_DEPTH);
    ck_assert_int_eq(jsontext_check(text, 2 * JSONTEXT_MAX_DEPTH, 1000, &err), 0);
    memset(text, '[', JSONTEXT_MAX_DEPTH + 1);
    memset(text + JSONTEXT_MAX_DEPTH + 1, ']', JSONTEXT_MAX_DEPTH + 1);
    ck_assert_int_eq(jsontext_check(text, 2 * JSONTEXT_MAX_DEPTH + 2, 1000, &err), -TRIT_EFORMAT);
    snprintf(says, sizeof says, "JSON is nested deeper than %d levels at byte %d",
             JSONTEXT_MAX_DEPTH, JSONTEXT_MAX_DEPTH);
    ck_assert_str_eq(err.text, says);
}
END_TEST

/* ------------------------------------------------------------------ the walk */

static struct jsontext member(struct jsontext object, const char *name)
{
    struct jsontext v;
    ck_assert_int_eq(jsontext_member(object, name, &v), 0);
    return v;
}

START_TEST(walk)
{
    static const char text[] =
        " { \"n\" : -1.5e1 , \"u\":18446744073709551615,\"o\":18446744073709551616, \"t\":true,"
        "\"f\":false,\"x\":null,\"s\":\"a\\u0062\\n\\ud83d\\ude00\xc3\xa9\\/\","
        "\"e\\u0061\":[1,\"]\",[\"}\\\"\"],{}], \"two\":1,\"\\u0074wo\":2 } ";
    struct trit_error err = {0};
    struct jsontext v, key, value;
    struct buf b = {0};
    uint64_t u;
    ck_assert_msg(jsontext_check(text, strlen(text), 100, &err) == 0, "%s", err.text);
    struct jsontext doc = jsontext_document(text, strlen(text));
    ck_assert_int_eq(jsontext_kind(doc), JSONTEXT_OBJECT);
    ck_assert_double_eq(jsontext_number(member(doc, "n")), -15);
    ck_assert(!jsontext_uint(member(doc, "n"), &u));
    ck_assert(jsontext_uint(member(doc, "u"), &u) && u == UINT64_MAX);
    ck_assert(!jsontext_uint(member(doc, "o"), &u));
    ck_assert(jsontext_true(member(doc, "t")) && !jsontext_true(member(doc, "f")));
    ck_assert_int_eq(jsontext_kind(member(doc, "x")), JSONTEXT_NULL);

    v = member(doc, "s");
    ck_assert(jsontext_is(v, "ab\n\xf0\x9f\x98\x80\xc3\xa9/"));
    ck_assert(!jsontext_is(v, "ab\n\xf0\x9f\x98\x80\xc3\xa9") && !jsontext_is(v, "b"));
    jsontext_string(v, &b);
    ck_assert_str_eq(b.data, "ab\n\xf0\x9f\x98\x80\xc3\xa9/");
    buf_free(&b);

    size_t n = 0;
    v = member(doc, "ea");
    for (struct jsontext_walk w = jsontext_begin(v); jsontext_next(&w, &key, &value);)
        n++;
    ck_assert_uint_eq(n, 4);
    ck_assert_int_eq(jsontext_member(doc, "two", &v), -TRIT_EFORMAT);
    ck_assert_int_eq(jsontext_member(doc, "none", &v), -TRIT_ENOENT);
    ck_assert_int_eq(jsontext_kind(v), JSONTEXT_NULL);
    ck_assert_int_eq(jsontext_member(member(doc, "n"), "none", &v), -TRIT_ENOENT);
    for (int k = JSONTEXT_NULL; k <= JSONTEXT_OBJECT; k++)
        ck_assert_ptr_nonnull(jsontext_kind_name((enum jsontext_kind)k));
    ck_assert_str_eq(jsontext_kind_name(jsontext_kind(doc)), "an object");
}
END_TEST

START_TEST(equal)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"\"\"", "\"\"", true},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"\\u00e9\"", "\"\xc3\xa9\"", true},
        {"\"a\"", "\"ab\"", false},
        {"\"ab\"", "\"a\"", false},
        {"\"a\"", "\"b\"", false},
        {"\"\"", "\"a\"", false},
        {"\"\\n\"", "\"\\u000a\"", true},
        {"\"\\u20ac\"", "\"\\u20ad\"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct jsontext a = {cases[i].a, strlen(cases[i].a)}, b = {cases[i].b, strlen(cases[i].b)};
        ck_assert_msg(jsontext_equal(a, b) == cases[i].same, "%s and %s", cases[i].a, cases[i].b);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jsontext");
    TCase *c = tcase_create("jsontext");
    tcase_add_loop_test(c, taken, 0, ARRAY_LEN(sound));
    tcase_add_loop_test(c, refused, 0, ARRAY_LEN(bad));
    tcase_add_test(c, a_nul_is_no_white_space);
    tcase_add_test(c, depth);
    tcase_add_test(c, walk);
    tcase_add_test(c, equal);
    suite_add_tcase(s, c);
    return unit_run(s);
}
