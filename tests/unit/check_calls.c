/* SPDX-License-Identifier: MIT */
/*
 * check_calls.c - calls in answers, in every form, cut at every byte; and that each grammar allows
 * what the model's form is, and nothing else.
 */
#include "config.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/chat.h"
#include "server/calls.h"
#include "server/tools.h"
#include "unit/shape-run.h"
#include "unit/unit.h"

static uint64_t seed;

/* Two functions: f with a schema, g without arguments. */
static struct tools *make(const char *form, bool must, bool many)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
        "\"b\":{\"type\":\"string\"}},\"required\":[\"a\"],"
        "\"additionalProperties\":false}";
    struct tools *t = mem_zalloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->tool = mem_zalloc(2, sizeof *t->tool);
    ck_assert_ptr_nonnull(t->tool);
    t->form = chat_calls_form(form);
    ck_assert_ptr_nonnull(t->form);
    t->n = 2;
    t->must = must;
    t->many = many && !t->form->single;
    strcpy(t->tool[0].name, "f");
    strcpy(t->tool[0].path, "tools[0].function.parameters");
    t->tool[0].schema = cJSON_Parse(schema);
    strcpy(t->tool[1].name, "get_time-2");
    t->tool[0].allowed = t->tool[1].allowed = true;
    return t;
}

/* ------------------------------------------------------------------ answers */

/* Text, then calls as "name(arguments)", one behind the other. */
static void feed(const struct tools *t, const char *answer, uint64_t cuts, bool all,
                 struct buf *out)
{
    struct calls c;
    size_t from = 0, len = strlen(answer), shown = 0;
    buf_reset(out);
    calls_begin(&c, t);
    for (size_t i = 0; i < len; i++) {
        if (!all && i + 1 < len && !(cuts >> i % 64 & 1))
            continue;
        calls_push(&c, answer + from, i + 1 - from, out);
        from = i + 1;
        ck_assert(utf8_valid(out->data ? out->data : "", out->len));
        ck_assert_uint_ge(out->len, shown); /* nothing is taken back */
        shown = out->len;
    }
    calls_end(&c, out);
    ck_assert(!c.failed && !out->failed);
    for (size_t i = 0; i < c.n; i++) {
        ck_assert_uint_eq(strncmp(c.call[i].id, "call_", 5) == 0, !t->form->short_ids);
        ck_assert_uint_eq(strlen(c.call[i].id), t->form->short_ids ? 9 : 31);
        buf_addf(out, "|%s(%s)%s", c.call[i].tool->name,
                 c.call[i].arguments.data ? c.call[i].arguments.data : "",
                 c.call[i].whole ? "" : "...");
    }
    buf_addc(out, '\0');
    calls_fini(&c);
}

#define CALL(json) "<tool_call>\n" json "\n</tool_call>"
#define F1         "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"
#define G          "{\"name\": \"get_time-2\", \"arguments\": {}}"
#define LLAMA_F    "{\"name\": \"f\", \"parameters\": {\"a\": 1}}"

static const struct {
    const char *form;
    bool must;
    const char *answer, *expected;
} answers[] = {
    /* Text alone, and text that looks like the beginning of a call. */
    {"hermes", false, "", ""},
    {"hermes", false, "Hello", "Hello"},
    {"hermes", false, " \n", " \n"},
    {"hermes", false, "a < b <tool", "a < b <tool"},
    {"hermes", false, "a <tool_calls> b ", "a <tool_calls> b "},
    {"hermes", false, "h\xc3\xa9 <tool_\xf0\x9f\x98\x80", "h\xc3\xa9 <tool_\xf0\x9f\x98\x80"},
    {"hermes", false, "{\"name\": \"f\", \"arguments\": {}}",
     "{\"name\": \"f\", \"arguments\": {}}"},
    /* Calls. */
    {"hermes", false, CALL(F1), "|f({\"a\": 1})"},
    {"hermes", false, "\n" CALL(F1) "\n", "|f({\"a\": 1})"},
    {"hermes", false, "Let me see.\n\n" CALL(F1), "Let me see.|f({\"a\": 1})"},
    {"hermes", false, CALL(F1) "\n" CALL(G), "|f({\"a\": 1})|get_time-2({})"},
    {"hermes", false, CALL(F1) CALL(G) CALL(F1), "|f({\"a\": 1})|get_time-2({})|f({\"a\": 1})"},
    {"hermes", false, CALL(F1) " and " CALL(G) " so", "and so|f({\"a\": 1})|get_time-2({})"},
    {"hermes", false, CALL(F1) "\nSo", "So|f({\"a\": 1})"},
    {"hermes", false, "<tool_call>" F1, "|f({\"a\": 1})"},
    {"hermes", false, "<tool_call>\n" F1 "\n</tool", "|f({\"a\": 1})"},
    {"hermes", false, "<<tool_call>" F1 "</tool_call>", "<|f({\"a\": 1})"},
    {"hermes", false,
     CALL("{\"name\" : \"f\",\n \"arguments\":{\"b\": \"}]\\\"{\\\\\", \"a\": [[1], {}]} }"),
     "|f({\"b\": \"}]\\\"{\\\\\", \"a\": [[1], {}]})"},
    {"hermes", false, CALL("{\"arguments\": {\"a\": 2}, \"name\": \"f\"}"), "|f({\"a\": 2})"},
    {"hermes", false, CALL("{\"name\": \"f\"}"), "|f({})"},
    {"hermes", false, CALL("{\"name\": \"f\", \"parameters\": {\"a\": 3}}"), "|f({\"a\": 3})"},
    {"hermes", false, CALL("{\"name\": \"f\", \"arguments\": {\"b\": \"\xf0\x9f\x98\x80\"}}"),
     "|f({\"b\": \"\xf0\x9f\x98\x80\"})"},
    /* What is none comes out as it was. */
    {"hermes", false, CALL("{\"name\": \"h\", \"arguments\": {}}"),
     CALL("{\"name\": \"h\", \"arguments\": {}}")},
    {"hermes", false, "x " CALL("hello"), "x " CALL("hello")},
    {"hermes", false, CALL("{\"name\": \"f\", \"arguments\": 1}"),
     CALL("{\"name\": \"f\", \"arguments\": 1}")},
    {"hermes", false, CALL("{\"name\": f, \"arguments\": {}}"),
     CALL("{\"name\": f, \"arguments\": {}}")},
    {"hermes", false, CALL("[1]") "\n" CALL(F1), CALL("[1]") "|f({\"a\": 1})"},
    {"hermes", false, "<tool_call>\n{\"name\": \"f\"", "<tool_call>\n{\"name\": \"f\""},
    {"hermes", false, "<tool_call>", "<tool_call>"},
    {"hermes", false, "<tool_call><tool_call>" F1, "<tool_call>|f({\"a\": 1})"},
    /* Cut by max_tokens. */
    {"hermes", false, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1",
     "|f({\"a\": 1)..."},
    /* The prompt has opened it. */
    {"hermes", true, F1 "\n</tool_call>", "|f({\"a\": 1})"},
    {"hermes", true, F1 "\n</tool_call>\n" CALL(G), "|f({\"a\": 1})|get_time-2({})"},
    {"hermes", true, "{\"na", "{\"na"},
    {"own", true, F1 "\n</tool_call>", "|f({\"a\": 1})"},
    {"own", false, "No " CALL(F1), "No|f({\"a\": 1})"},
    {"llama", false, LLAMA_F, "|f({\"a\": 1})"},
    {"llama", false, " \n" LLAMA_F "\n", "|f({\"a\": 1})"},
    {"llama", false, "<|python_tag|>" LLAMA_F, "|f({\"a\": 1})"},
    {"llama", false, "{\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"a\": 1}}",
     "|f({\"a\": 1})"},
    {"llama", false, "{\"x\": 1}", "{\"x\": 1}"},
    {"llama", false, "{oh", "{oh"},
    {"llama", false, "So " LLAMA_F, "So " LLAMA_F},
    {"llama", false, LLAMA_F "; " LLAMA_F, "; " LLAMA_F "|f({\"a\": 1})"},
    {"llama", false, "<|python_tag|>print(1)", "<|python_tag|>print(1)"},
    {"llama", true, LLAMA_F, "|f({\"a\": 1})"},
    {"mistral", false, "[TOOL_CALLS][" F1 "]", "|f({\"a\": 1})"},
    {"mistral", false, "[TOOL_CALLS] [" F1 ", " G "]", "|f({\"a\": 1})|get_time-2({})"},
    {"mistral", false, "[TOOL_CALLS]" F1, "|f({\"a\": 1})"},
    {"mistral", false, "[TOOL] [1]", "[TOOL] [1]"},
    {"mistral", false, "[TOOL_CALLS] [1]", "[TOOL_CALLS] [1]"},
    {"mistral", true, F1 ", " G "]", "|f({\"a\": 1})|get_time-2({})"},
};

START_TEST(test_answers)
{
    struct tools *t = make(answers[_i].form, answers[_i].must, true);
    const char *answer = answers[_i].answer, *expected = answers[_i].expected;
    struct buf out = {0};
    feed(t, answer, 0, true, &out);
    ck_assert_msg(strcmp(out.data, expected) == 0, "%s: %s\nexpected %s", answer, out.data,
                  expected);
    for (size_t i = 0; i <= strlen(answer); i++) { /* in two pieces */
        uint64_t cut = i < 64 ? (uint64_t)1 << i : 0;
        feed(t, answer, cut, false, &out);
        ck_assert_msg(strcmp(out.data, expected) == 0, "%s: cut at %zu: %s", answer, i, out.data);
    }
    for (unsigned i = 0; i < 200; i++) {
        feed(t, answer, unit_random(&seed) & unit_random(&seed), false, &out);
        ck_assert_msg(strcmp(out.data, expected) == 0, "%s: %s", answer, out.data);
    }
    buf_free(&out);
    tools_free(t);
}
END_TEST

/* An answer for which there was no memory says so: half of a call is not told for a whole one. */
START_TEST(test_no_memory)
{
    struct tools *t = make(answers[_i].form, answers[_i].must, true);
    const char *answer = answers[_i].answer;
    for (unsigned n = 1;; n++) {
        struct calls c;
        struct buf out = {0};
        mem_fail_at(n);
        calls_begin(&c, t);
        for (const char *s = answer; *s; s++)
            calls_push(&c, s, 1, &out);
        calls_end(&c, &out);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_msg((c.failed || out.failed) == struck, "%s: allocation %u", answer, n);
        calls_fini(&c);
        buf_free(&out);
        if (!struck)
            break;
    }
    tools_free(t);
}
END_TEST

/* One call is allowed: a second is text, as far as nothing keeps the model from it. */
START_TEST(test_single)
{
    struct tools *t = make("hermes", false, false);
    struct buf out = {0};
    feed(t, CALL(F1) CALL(G), 0, true, &out);
    ck_assert_str_eq(out.data, CALL(G) "|f({\"a\": 1})");
    t->tool[0].allowed = false;
    feed(t, CALL(F1) CALL(G), 0, true, &out);
    ck_assert_str_eq(out.data, CALL(F1) "|get_time-2({})");
    buf_free(&out);
    tools_free(t);
}
END_TEST

/* Arguments come out as they grow where a grammar holds, else all at once. */
START_TEST(test_growing)
{
    for (int bound = 0; bound < 2; bound++) {
        struct tools *t = make(bound ? "hermes" : "llama", false, true);
        const char *answer = bound ? "<tool_call>" F1 : LLAMA_F;
        struct calls c;
        struct buf out = {0};
        size_t most = 0, steps = 0;
        calls_begin(&c, t);
        for (const char *s = answer; *s; s++) {
            calls_push(&c, s, 1, &out);
            ck_assert_int_eq(calls_have_news(&c), c.n > 0);
            size_t now = c.n ? c.call[0].arguments.len : 0;
            steps += now > most;
            most = now;
        }
        ck_assert_uint_eq(most, strlen("{\"a\": 1}"));
        ck_assert_uint_eq(steps, bound ? most : 1);
        ck_assert_uint_eq(out.len, 0);
        buf_free(&out);
        calls_fini(&c);
        tools_free(t);
    }
}
END_TEST

START_TEST(test_names)
{
    struct tools *t = make("hermes", false, true);
    struct calls c;
    calls_begin(&c, t);
    ck_assert(calls_name(&c, "<tool_call>", 11) && calls_name(&c, "</tool_call>", 12));
    ck_assert(!calls_name(&c, "<|im_end|>", 10) && !calls_name(&c, "<tool_call", 10));
    calls_fini(&c);
    tools_free(t);
}
END_TEST

/* ------------------------------------------------------------------ grammars */

static const struct {
    const char *form;
    bool must, many;
    const char *good[4], *bad[7];
} grammars[] = {
    {"hermes",
     true,
     false,
     {F1 "\n</tool_call>", G "\n</tool_call>"},
     {"", F1, "x", F1 "\n</tool_call>\n" CALL(G),
      "{\"name\": \"h\", \"arguments\": {}}\n</tool_call>",
      "{\"name\": \"get_time-2\", \"arguments\": {\"a\": 1}}\n</tool_call>",
      "{\"name\": \"f\", \"arguments\": {\"a\": \"1\"}}\n</tool_call>"}},
    {"hermes",
     true,
     true,
     {F1 "\n</tool_call>", F1 "\n</tool_call>\n" CALL(G),
      F1 "\n</tool_call>\n" CALL(G) "\n" CALL(F1)},
     {F1 "\n</tool_call>\n", F1 "\n</tool_call>" CALL(G)}},
    {"own",
     false,
     false,
     {"\n" F1 "\n</tool_call>", F1 "\n</tool_call>"},
     {"\n\n\n" F1 "\n</tool_call>", CALL(F1)}},
    {"llama", true, true, {LLAMA_F}, {F1, LLAMA_F "; " LLAMA_F, "<|python_tag|>" LLAMA_F}},
    {"mistral", true, true, {F1 "]", F1 ", " G "]"}, {"[" F1 "]", F1}},
    {"mistral", false, true, {"[" F1 "]", " [" F1 ", " G "]"}, {F1 "]", "[]"}},
};

START_TEST(test_grammars)
{
    struct tools *t = make(grammars[_i].form, grammars[_i].must, grammars[_i].many);
    struct shape s = {.kind = SHAPE_CALLS, .field = "tools", .tools = t};
    struct grammar *g = shape_must(&s, grammars[_i].form);
    for (size_t i = 0; i < 4 && grammars[_i].good[i]; i++)
        ck_assert_msg(shape_matches(g, grammars[_i].good[i]), "%s", grammars[_i].good[i]);
    for (size_t i = 0; i < 7 && grammars[_i].bad[i]; i++)
        ck_assert_msg(!shape_matches(g, grammars[_i].bad[i]), "%s", grammars[_i].bad[i]);
    grammar_unref(g);
    tools_free(t);
}
END_TEST

/* No more than so many calls, where there must be one. */
START_TEST(test_most)
{
    struct tools *t = make("mistral", true, true);
    struct shape s = {.kind = SHAPE_CALLS, .field = "tools", .tools = t};
    struct grammar *g = shape_must(&s, "mistral");
    for (int n = 1; n <= TOOLS_CALLS + 1; n++) {
        struct buf text = {0};
        for (int i = 0; i < n; i++)
            buf_adds(&text, i ? ", " G : G);
        buf_addc(&text, ']');
        ck_assert_int_eq(shape_matches(g, text.data), n <= TOOLS_CALLS);
        buf_free(&text);
    }
    grammar_unref(g);
    tools_free(t);
}
END_TEST

/* An answer that calls nothing may be bound too. */
START_TEST(test_content)
{
    struct tools *t = make("hermes", false, false);
    struct shape s = {.kind = SHAPE_CALLS, .field = "tools", .tools = t};
    t->content = (struct shape){.kind = SHAPE_SCHEMA,
                                .field = "response_format.json_schema.schema",
                                .tree = cJSON_Parse("{\"enum\":[\"yes\",7]}")};
    ck_assert(tools_bound(t) && !tools_wait(t));
    struct grammar *g = shape_must(&s, "content");
    ck_assert(shape_matches(g, "\"yes\"") && shape_matches(g, "7") && shape_matches(g, CALL(F1)));
    ck_assert(!shape_matches(g, "8") && !shape_matches(g, F1) && !shape_matches(g, "7" CALL(F1)));
    grammar_unref(g);
    tools_free(t);
}
END_TEST

/* The grammar of a call of one function with this schema; shape_compile's status.  *t is the
 * caller's. */
static int compile_with(const char *schema, bool must, bool strict, struct tools **t,
                        struct grammar **g, struct problem *p)
{
    *t = make("hermes", must, false);
    cJSON_Delete((*t)->tool[0].schema);
    (*t)->tool[0].schema = cJSON_Parse(schema);
    (*t)->tool[0].strict = strict;
    struct shape s = {.kind = SHAPE_CALLS, .field = "tools", .tools = *t};
    return shape_compile(&s, g, p);
}

/* What cannot be enforced is refused by its path, unless nothing was promised. */
START_TEST(test_loose)
{
    static const char odd[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"not\":{}}}}";
    static const struct {
        bool must, strict, good;
    } cases[] = {
        {true, false, false}, {true, true, false}, {false, true, false}, {false, false, true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tools *t;
        struct problem p = {0};
        struct grammar *g = NULL;
        int rc = compile_with(odd, cases[i].must, cases[i].strict, &t, &g, &p);
        ck_assert_int_eq(rc == 0, cases[i].good);
        if (rc) {
            ck_assert_str_eq(p.param, "tools[0].function.parameters.properties.a.not");
            ck_assert_str_eq(p.code, "invalid_schema");
        } else {
            ck_assert(
                shape_matches(g, "{\"name\": \"f\", \"arguments\": {\"z\": [1]}}\n</tool_call>"));
            ck_assert(!shape_matches(g, "{\"name\": \"f\", \"arguments\": 1}\n</tool_call>"));
        }
        grammar_unref(g);
        tools_free(t);
    }
}
END_TEST

/* Nor what is too large for a grammar. */
START_TEST(test_too_large)
{
    static const char large[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
                                "\"maxLength\":90000000}},\"required\":[\"a\"]}";
    static const struct {
        bool must, strict, good;
    } cases[] = {{true, false, false}, {false, true, false}, {false, false, true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tools *t;
        struct problem p = {0};
        struct grammar *g = NULL;
        int rc = compile_with(large, cases[i].must, cases[i].strict, &t, &g, &p);
        ck_assert_int_eq(rc == 0, cases[i].good);
        if (cases[i].good)
            ck_assert(
                shape_matches(g, "{\"name\": \"f\", \"arguments\": {\"z\": [1]}}\n</tool_call>"));
        else
            ck_assert_int_eq(p.status, 400);
        grammar_unref(g);
        tools_free(t);
    }
}
END_TEST

/* The same key is the same grammar. */
START_TEST(test_keys)
{
    struct tools *t = make("hermes", true, true), *u = make("hermes", true, true);
    struct buf a = {0}, b = {0};
    tools_key(t, &a);
    for (int i = 0; i < 5; i++) {
        buf_reset(&b);
        u->must = i != 1;
        u->many = i != 2;
        u->tool[1].allowed = i != 3;
        u->tool[0].strict = i == 4;
        tools_key(u, &b);
        ck_assert_int_eq(a.len == b.len && memcmp(a.data, b.data, a.len) == 0, i == 0);
    }
    buf_free(&a);
    buf_free(&b);
    tools_free(t);
    tools_free(u);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls");
    TCase *tc = tcase_create("calls");
    seed = unit_seed();
    tcase_add_loop_test(tc, test_answers, 0, (int)ARRAY_LEN(answers));
    tcase_add_loop_test(tc, test_no_memory, 0, (int)ARRAY_LEN(answers));
    tcase_add_test(tc, test_single);
    tcase_add_test(tc, test_growing);
    tcase_add_test(tc, test_names);
    tcase_add_loop_test(tc, test_grammars, 0, (int)ARRAY_LEN(grammars));
    tcase_add_test(tc, test_most);
    tcase_add_test(tc, test_content);
    tcase_add_test(tc, test_loose);
    tcase_add_test(tc, test_too_large);
    tcase_add_test(tc, test_keys);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
