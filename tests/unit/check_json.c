/* SPDX-License-Identifier: MIT */
/*
 * check_json.c - what is JSON and what only looks like it; and that what we write reads back.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/jinja.h"
#include "server/json.h"
#include "server/values.h"
#include "unit/unit.h"

/* A text with its length, so that NUL can be in it. */
#define TEXT(s)                                                                                    \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
struct sample {
    const char *s;
    size_t len;
};

static const struct sample good[] = {
    TEXT("{}"),
    TEXT("[]"),
    TEXT(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"),
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("\"\""),
    TEXT("0"),
    TEXT("-0"),
    TEXT("-12.5e+10"),
    TEXT("1E400"),
    TEXT("0.0"),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\""),
    TEXT("\"\\ud83d\\ude00\""),
    TEXT("\"\xf0\x9f\x98\x80 \xc3\xa9 \xef\xbf\xbf \x7f\""),
    TEXT("{\"a\":{\"b\":{\"c\":[[],{}]}},\"A\":1}"),
    TEXT("[{},{\"x\":[]},[[]],\"\",0]"),
    TEXT("{\"\":0}"),
};

/* The classes of reliability: each was seen accepted by some reader. */
static const struct sample bad[] = {
    TEXT(""),
    TEXT("   "),
    TEXT("{"),
    TEXT("["),
    TEXT("}"),
    TEXT("]"),
    TEXT("{]"),
    TEXT("[}"),
    TEXT("{}}"),
    TEXT("{} {}"),
    TEXT("{}x"),
    TEXT("[1]]"),
    TEXT("{}\0"),
    TEXT("\0{}"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[1 2]"),
    TEXT("{\"a\":1,}"),
    TEXT("{,}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{1:1}"),
    TEXT("{\"a\":1,2}"),
    TEXT("{null:1}"),
    TEXT("\xef\xbb\xbf{}"), /* a byte order mark */
    TEXT("/* */{}"),
    TEXT("{}//"),
    TEXT("\f{}"),
    TEXT("\xc2\xa0{}"), /* a space, but not one of JSON's */
    TEXT("True"),
    TEXT("tru"),
    TEXT("truE"),
    TEXT("nul"),
    TEXT("NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("undefined"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("+1"),
    TEXT("-"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1.e5"),
    TEXT("0x10"),
    TEXT("1_000"),
    TEXT("1,"),
    TEXT("--1"),
    TEXT("\""),
    TEXT("\"abc"),
    TEXT("\"\\\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\a\""),
    TEXT("\"\\'\""),
    TEXT("\"\\u12\""),
    TEXT("\"\\u12g4\""),
    TEXT("\"\\u\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u0000\""),
    TEXT("\"x\\u0000y\""),
    TEXT("{\"\\u0000\":1}"),
    TEXT("\"a\0b\""),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\x01\""),
    TEXT("\"\x1f\""),
    TEXT("\"\\ud800\""),
    TEXT("\"\\ud800x\""),
    TEXT("\"\\ud800\\n\""),
    TEXT("\"\\ud800\\u0041\""),
    TEXT("\"\\ud800\\ud800\""),
    TEXT("\"\\udc00\""),
    TEXT("\"\\udc00\\ud800\""),
    TEXT("\"\\ud800\\u\""),
    TEXT("\"\x80\""),
    TEXT("\"\xff\""),
    TEXT("\"\xc0\xaf\""),         /* overlong */
    TEXT("\"\xe0\x80\xaf\""),     /* overlong */
    TEXT("\"\xf0\x80\x80\xaf\""), /* overlong */
    TEXT("\"\xed\xa0\x80\""),     /* a surrogate */
    TEXT("\"\xf4\x90\x80\x80\""), /* beyond Unicode */
    TEXT("\"\xc3\""),
    TEXT("\"\xe2\x82\""),
    TEXT("\"\xf0\x9f\x98\""),
    TEXT("{\"\xff\":1}"),
};

START_TEST(test_good)
{
    struct trit_error err;
    ck_assert_msg(json_check(good[_i].s, good[_i].len, &err) == 0, "%s: %s", good[_i].s, err.text);
    cJSON *doc;
    ck_assert_int_eq(json_parse(good[_i].s, good[_i].len, &doc, &err), 0);
    ck_assert_ptr_nonnull(doc);
    cJSON_Delete(doc);
}
END_TEST

START_TEST(test_bad)
{
    struct trit_error err = {0};
    cJSON *doc;
    ck_assert_msg(json_check(bad[_i].s, bad[_i].len, &err) == -TRIT_EFORMAT, "accepted: %s",
                  bad[_i].s);
    ck_assert_int_eq(err.code, TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "byte"));
    ck_assert(utf8_valid(err.text, strlen(err.text)));
    ck_assert_int_eq(json_parse(bad[_i].s, bad[_i].len, &doc, &err), -TRIT_EFORMAT);
    ck_assert_ptr_null(doc);
}
END_TEST

/* A text cut at any byte is no JSON any more; run in a block of exactly its size, so that a
 * sanitizer sees a byte too much. */
START_TEST(test_truncated)
{
    static const char whole[] =
        "{\"k\\u0041\":[1.5e-3,true,null,\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"],\"x\":{\"y\":false}}";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        char *part = mem_strndup(whole, len);
        char *exact = malloc(len ? len : 1);
        memcpy(exact, part, len);
        ck_assert_int_eq(json_check(exact, len, NULL), -TRIT_EFORMAT);
        free(exact);
        mem_free(part);
    }
    ck_assert_int_eq(json_check(whole, sizeof whole - 1, NULL), 0);
}
END_TEST

static void nest(struct buf *b, int depth, const char *open, const char *inside, const char *close)
{
    buf_reset(b);
    for (int i = 0; i < depth; i++)
        buf_adds(b, open);
    buf_adds(b, inside);
    for (int i = 0; i < depth; i++)
        buf_adds(b, close);
}

START_TEST(test_depth)
{
    struct buf b = {0};
    nest(&b, JSON_MAX_DEPTH, "[", "", "]");
    ck_assert_int_eq(json_check(b.data, b.len, NULL), 0);
    nest(&b, JSON_MAX_DEPTH + 1, "[", "", "]");
    ck_assert_int_eq(json_check(b.data, b.len, NULL), -TRIT_EFORMAT);
    nest(&b, JSON_MAX_DEPTH, "{\"a\":", "1", "}");
    ck_assert_int_eq(json_check(b.data, b.len, NULL), 0);
    nest(&b, JSON_MAX_DEPTH + 1, "{\"a\":", "1", "}");
    ck_assert_int_eq(json_check(b.data, b.len, NULL), -TRIT_EFORMAT);
    nest(&b, 60000, "[", "", "]");
    ck_assert_int_eq(json_check(b.data, b.len, NULL), -TRIT_EFORMAT);
    buf_free(&b);
}
END_TEST

START_TEST(test_nodes)
{
    struct buf b = {0};
    buf_adds(&b, "[0");
    for (int i = 2; i < JSON_MAX_NODES; i++)
        buf_adds(&b, ",0");
    size_t before = b.len;
    buf_adds(&b, "]");
    ck_assert_int_eq(json_check(b.data, b.len, NULL), 0);
    b.len = before;
    buf_adds(&b, ",0]");
    struct trit_error err;
    ck_assert_int_eq(json_check(b.data, b.len, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "100000"));
    buf_free(&b);
}
END_TEST

START_TEST(test_twice)
{
    static const char *const twice[] = {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"\\u0061\":3}",
                                        "[{\"x\":{\"\":0,\"\":0}}]",
                                        "{\"x\":[[{\"k\":1,\"k\":2}]]}"};
    static const char *const once[] = {"{\"a\":{\"a\":{\"a\":1}}}", "{\"a\":1,\"A\":1}",
                                       "[{\"a\":1},{\"a\":1}]"};
    cJSON *doc;
    struct trit_error err;
    for (size_t i = 0; i < ARRAY_LEN(twice); i++) {
        ck_assert_int_eq(json_parse(twice[i], strlen(twice[i]), &doc, &err), -TRIT_EFORMAT);
        ck_assert_ptr_nonnull(strstr(err.text, "twice"));
    }
    for (size_t i = 0; i < ARRAY_LEN(once); i++) {
        ck_assert_int_eq(json_parse(once[i], strlen(once[i]), &doc, &err), 0);
        cJSON_Delete(doc);
    }
    /* Many members must not take quadratic time. */
    struct buf b = {0};
    buf_adds(&b, "{\"m0\":0");
    for (int i = 1; i < 90000; i++)
        buf_addf(&b, ",\"m%d\":0", i);
    buf_adds(&b, ",\"m77777\":0}");
    ck_assert_int_eq(json_parse(b.data, b.len, &doc, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "m77777"));
    buf_free(&b);
}
END_TEST

/* Numbers that a double cannot tell have their text, behind strings that look like some, too. */
START_TEST(test_numbers)
{
    static const char text[] =
        "{\"1\":[\"2\\\"3\\\\\",-0,[],{\"4\":[1e2,\"5\"]}],\"\\\\\":1767890123456789012,\"x\":1.0,"
        "\"y\":[999999999999999,-9223372036854775808,9223372036854775808]}";
    static const char *const all =
        "{\"1\": [\"2\\\"3\\\\\", 0, [], {\"4\": [100.0, \"5\"]}], \"\\\\\": 1767890123456789012, "
        "\"x\": 1.0, \"y\": [999999999999999, -9223372036854775808, 9.223372036854776e+18]}";
    cJSON *doc;
    struct trit_error err;
    ck_assert_msg(json_parse(text, sizeof text - 1, &doc, &err) == 0, "%s", err.text);
    ck_assert_str_eq(cJSON_GetObjectItem(doc, "x")->valuestring, "1.0");
    struct jinja_pool pool = {0};
    struct jinja_value vars = jinja_dict(&pool);
    struct jinja *t;
    struct buf out = {0};
    jinja_put_name(&pool, vars, "v", values_from_json(&pool, doc));
    ck_assert_int_eq(jinja_open("{{ v|tojson }}", 14, &t, &err), 0);
    ck_assert_msg(jinja_render(t, vars, NULL, &out, NULL, NULL, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(out.len, strlen(all));
    ck_assert_mem_eq(out.data, all, out.len);
    buf_free(&out);
    jinja_close(&t);
    jinja_pool_free(&pool);
    cJSON_Delete(doc);
    /* At the very end of a text that goes on, with what is none of its own. */
    ck_assert_int_eq(json_parse("12345678901234567890", 17, &doc, &err), 0);
    ck_assert_str_eq(doc->valuestring, "12345678901234567");
    cJSON_Delete(doc);
}
END_TEST

START_TEST(test_no_memory)
{
    static const char text[] = "{\"a\":[1.5,\"two\",{\"b\":null,\"c\":[]}],\"d\":true}";
    cJSON *doc;
    struct trit_error err;
    unsigned n = 1;
    for (;; n++) {
        mem_fail_at(n);
        int rc = json_parse(text, sizeof text - 1, &doc, &err);
        bool pending = mem_fail_pending();
        mem_fail_at(0);
        if (pending) {
            ck_assert_int_eq(rc, 0);
            cJSON_Delete(doc);
            break;
        }
        ck_assert_int_eq(rc, -TRIT_ENOMEM);
        ck_assert_ptr_null(doc);
    }
    ck_assert_uint_gt(n, 5);
}
END_TEST

START_TEST(test_member_text)
{
    static const char text[] = " { \"x\": {\"seed\": 1, \"y\":[\"seed\"]}, \"s\\u0065ed\" : "
                               "-9223372036854775808 , \"last\":[1, {}] } ";
    size_t len;
    const char *v = json_member_text(text, sizeof text - 1, "seed", &len);
    ck_assert_uint_eq(len, 20);
    ck_assert_mem_eq(v, "-9223372036854775808", 20);
    v = json_member_text(text, sizeof text - 1, "last", &len);
    ck_assert_uint_eq(len, 7);
    ck_assert_mem_eq(v, "[1, {}]", 7);
    ck_assert_ptr_null(json_member_text(text, sizeof text - 1, "see", &len));
    ck_assert_ptr_null(json_member_text(text, sizeof text - 1, "seeds", &len));
    ck_assert_ptr_null(json_member_text("[]", 2, "seed", &len));
    ck_assert_ptr_null(json_member_text("{}", 2, "seed", &len));
}
END_TEST

/* ------------------------------------------------------------------ writing */

START_TEST(test_write)
{
    struct buf b = {0};
    struct json_out o = {.buf = &b};
    json_open(&o, '{');
    json_key(&o, "a");
    json_open(&o, '[');
    json_int(&o, INT64_MIN);
    json_int(&o, 7);
    json_bool(&o, true);
    json_bool(&o, false);
    json_null(&o);
    json_open(&o, '{');
    json_close(&o, '}');
    json_close(&o, ']');
    json_key(&o, "b");
    json_str_or_null(&o, NULL);
    json_key(&o, "c");
    json_str(&o, "\"\\\n\t\r\x01\x7f/\xc3\xa9");
    json_close(&o, '}');
    ck_assert_str_eq(b.data, "{\"a\":[-9223372036854775808,7,true,false,null,{}],\"b\":null,"
                             "\"c\":\"\\\"\\\\\\n\\t\\r\\u0001\\u007f/\xc3\xa9\"}");
    buf_free(&b);
}
END_TEST

START_TEST(test_write_invalid_utf8)
{
    static const struct {
        struct sample in;
        const char *out;
    } cases[] = {
        {TEXT("\xff"), "\"\xef\xbf\xbd\""},
        {TEXT("a\xe2\x82z"), "\"a\xef\xbf\xbdz\""},
        {TEXT("\xe2\x82"), "\"\xef\xbf\xbd\""},
        {TEXT("\xc3\xa9\xc3"), "\"\xc3\xa9\xef\xbf\xbd\""},
        {TEXT("\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {TEXT("a\0b"), "\"a\\u0000b\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        struct json_out o = {.buf = &b};
        json_strn(&o, cases[i].in.s, cases[i].in.len);
        ck_assert_str_eq(b.data, cases[i].out);
        buf_free(&b);
    }
}
END_TEST

START_TEST(test_write_numbers)
{
    static const float floats[] = {0.0f,  -0.0f, 1.0f,       0.1f,          -3.5f, 1e-45f,
                                   3e38f, 1e-5f, 16777216.f, -0.000393095f, 1e20f, 123456.78f};
    for (size_t i = 0; i < ARRAY_LEN(floats); i++) {
        struct buf b = {0};
        struct json_out o = {.buf = &b};
        json_float(&o, floats[i]);
        ck_assert_int_eq(json_check(b.data, b.len, NULL), 0);
        ck_assert(strtof(b.data, NULL) == floats[i]);
        buf_free(&b);
    }
    static const double doubles[] = {0.1, 1.0 / 3, 1e300, 5e-324, -2.5, 9007199254740993.0};
    for (size_t i = 0; i < ARRAY_LEN(doubles); i++) {
        struct buf b = {0};
        struct json_out o = {.buf = &b};
        json_double(&o, doubles[i]);
        ck_assert_int_eq(json_check(b.data, b.len, NULL), 0);
        ck_assert(strtod(b.data, NULL) == doubles[i]);
        buf_free(&b);
    }
    struct buf b = {0};
    struct json_out o = {.buf = &b};
    json_open(&o, '[');
    json_float(&o, NAN);
    json_float(&o, -INFINITY);
    json_double(&o, INFINITY);
    json_float(&o, 0.1f);
    json_close(&o, ']');
    ck_assert_str_eq(b.data, "[-9999.0,-9999.0,-9999.0,0.1]");
    buf_free(&b);
}
END_TEST

/* Whatever bytes go in: what comes out is JSON, and valid text comes back unchanged. */
START_TEST(test_write_random)
{
    uint64_t state = unit_seed();
    for (int round = 0; round < 3000; round++) {
        char in[64];
        size_t len = unit_random(&state) % sizeof in;
        bool ascii = round % 2;
        for (size_t i = 0; i < len; i++)
            in[i] = ascii ? (char)(1 + unit_random(&state) % 127) : (char)unit_random(&state);
        struct buf b = {0};
        struct json_out o = {.buf = &b};
        json_strn(&o, in, len);
        ck_assert_int_eq(b.failed, 0);
        if (!memchr(in, 0, len)) {
            cJSON *doc;
            struct trit_error err;
            ck_assert_msg(json_parse(b.data, b.len, &doc, &err) == 0, "%s", err.text);
            if (utf8_valid(in, len)) {
                ck_assert_uint_eq(strlen(doc->valuestring), len);
                ck_assert_mem_eq(doc->valuestring, in, len);
            }
            cJSON_Delete(doc);
        }
        buf_free(&b);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *scan = tcase_create("scan");
    tcase_add_loop_test(scan, test_good, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(scan, test_bad, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(scan, test_truncated);
    tcase_add_test(scan, test_depth);
    tcase_add_test(scan, test_nodes);
    tcase_add_test(scan, test_twice);
    tcase_add_test(scan, test_numbers);
    tcase_add_test(scan, test_no_memory);
    tcase_add_test(scan, test_member_text);
    suite_add_tcase(suite, scan);
    TCase *write = tcase_create("write");
    tcase_add_test(write, test_write);
    tcase_add_test(write, test_write_invalid_utf8);
    tcase_add_test(write, test_write_numbers);
    tcase_add_test(write, test_write_random);
    suite_add_tcase(suite, write);
    return unit_run(suite);
}
