/* SPDX-License-Identifier: MIT */
/*
 * check_tools.c - tools, tool_choice and earlier calls in requests: what comes of them, and that
 * each refusal names the place.
 */
#include "config.h"

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/jinja.h"
#include "engine/grammar.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/tools.h"
#include "unit/unit.h"

static struct params_model model = {.vocab = 1000, .sampling = {.temperature = 1, .top_p = 1}};
static struct params p;
static struct problem problem;
static struct buf ignored;

static int read_body(enum params_endpoint endpoint, const char *form, const char *body)
{
    problem = (struct problem){0};
    buf_reset(&ignored);
    model.calls = chat_calls_form(form);
    ck_assert_ptr_nonnull(model.calls);
    return params_read(&p, endpoint, body, strlen(body), &model, &ignored, &problem);
}

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define F    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}"
#define G    "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}"
#define FG   "\"tools\":[" F "," G "]"

static const char *chat(const char *fields)
{
    static char body[8192];
    snprintf(body, sizeof body, "{\"messages\":[" USER "],%s}", fields);
    return body;
}

/* ------------------------------------------------------------------ tool_choice */

static const struct {
    const char *fields;
    bool calls, must, many, f, g;
} choices[] = {
    {FG, true, false, true, true, true},
    {"\"tools\":[]", false, 0, 0, 0, 0},
    {"\"tools\":null,\"tool_choice\":null", false, 0, 0, 0, 0},
    {"\"tool_choice\":\"none\"", false, 0, 0, 0, 0},
    {"\"tool_choice\":\"auto\"", false, 0, 0, 0, 0},
    {FG ",\"tool_choice\":\"none\"", false, 0, 0, 0, 0},
    {FG ",\"tool_choice\":\"auto\"", true, false, true, true, true},
    {"\"tool_choice\":\"required\"," FG, true, true, true, true, true},
    {FG ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false", true, true, false, true,
     true},
    {FG ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}", true, true, false,
     false, true},
    {FG
     ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":"
     "[" G "]}}",
     true, false, true, false, true},
    {FG ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\","
        "\"tools\":[" G "," F "]}}",
     true, true, true, true, true},
};

START_TEST(test_choices)
{
    int rc = read_body(FOR_CHAT, "hermes", chat(choices[_i].fields));
    ck_assert_msg(rc == 0, "%s: %s", choices[_i].fields, problem.text);
    struct chat_talk talk = params_talk(&p, NULL);
    ck_assert_int_eq(talk.tools != NULL, choices[_i].calls);
    ck_assert_int_eq(p.shape.kind == SHAPE_CALLS, choices[_i].calls);
    ck_assert_int_eq(talk.opening != NULL, choices[_i].must);
    if (choices[_i].calls) {
        ck_assert_uint_eq(jinja_len(*talk.tools), 2);
        ck_assert_int_eq(p.tools->must, choices[_i].must);
        ck_assert_int_eq(p.tools->many, choices[_i].many);
        ck_assert_int_eq(p.tools->tool[0].allowed, choices[_i].f);
        ck_assert_int_eq(p.tools->tool[1].allowed, choices[_i].g);
        ck_assert_int_eq(tools_wait(p.tools), !choices[_i].must);
    }
    ck_assert_uint_eq(p.n_messages, 1);
    params_fini(&p);
}
END_TEST

/* ------------------------------------------------------------------ refusals */

#define TOOL(members) "\"tools\":[" F ",{\"type\":\"function\",\"function\":{" members "}}]"
#define CHOICE(value) FG ",\"tool_choice\":" value

static const struct {
    const char *fields, *param;
} refused[] = {
    {"\"tools\":{}", "tools"},
    {"\"tools\":[1]", "tools[0]"},
    {"\"tools\":[{}]", "tools[0].type"},
    {"\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"x\"}}]", "tools[0].type"},
    {"\"tools\":[{\"type\":\"function\"}]", "tools[0].function"},
    {"\"tools\":[{\"type\":\"function\",\"function\":1}]", "tools[0].function"},
    {TOOL(""), "tools[1].function.name"},
    {TOOL("\"name\":1"), "tools[1].function.name"},
    {TOOL("\"name\":\"\""), "tools[1].function.name"},
    {TOOL("\"name\":\"a b\""), "tools[1].function.name"},
    {TOOL("\"name\":\"f\""), "tools[1].function.name"},
    {TOOL("\"name\":\"g\",\"description\":1"), "tools[1].function.description"},
    {TOOL("\"name\":\"g\",\"strict\":1"), "tools[1].function.strict"},
    {TOOL("\"name\":\"g\",\"parameters\":[]"), "tools[1].function.parameters"},
    {TOOL("\"name\":\"g\",\"parameters\":true"), "tools[1].function.parameters"},
    {TOOL("\"name\":\"g\",\"parameters\":{\"type\":\"string\"}"),
     "tools[1].function.parameters.type"},
    {"\"tool_choice\":\"required\"", "tool_choice"},
    {"\"tools\":[],\"tool_choice\":\"required\"", "tool_choice"},
    {CHOICE("1"), "tool_choice"},
    {CHOICE("\"always\""), "tool_choice"},
    {CHOICE("{}"), "tool_choice"},
    {CHOICE("{\"type\":\"custom\"}"), "tool_choice"},
    {CHOICE("{\"type\":\"function\"}"), "tool_choice.function.name"},
    {CHOICE("{\"type\":\"function\",\"function\":{\"name\":\"h\"}}"), "tool_choice.function.name"},
    {CHOICE("{\"type\":\"allowed_tools\"}"), "tool_choice.allowed_tools.mode"},
    {CHOICE("{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"none\"}}"),
     "tool_choice.allowed_tools.mode"},
    {CHOICE("{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[]}}"),
     "tool_choice.allowed_tools.tools"},
    {CHOICE("{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[{\"type\":"
            "\"function\",\"function\":{\"name\":\"h\"}}]}}"),
     "tool_choice.allowed_tools.tools[0].function.name"},
    {FG ",\"parallel_tool_calls\":1", "parallel_tool_calls"},
    {FG ",\"ignore_eos\":true", "ignore_eos"},
    {FG ",\"regex\":\"a\"", "regex"},
    {"\"functions\":[{\"name\":\"f\"}]", "functions"},
    {"\"function_call\":{\"name\":\"f\"}", "function_call"},
};

START_TEST(test_refused)
{
    ck_assert_msg(read_body(FOR_CHAT, "hermes", chat(refused[_i].fields)) < 0, "accepted: %s",
                  refused[_i].fields);
    ck_assert_str_eq(problem.param, refused[_i].param);
    ck_assert_int_eq(problem.status, 400);
    ck_assert_ptr_nonnull(strstr(problem.text, refused[_i].param));
    params_fini(&p);
}
END_TEST

START_TEST(test_many)
{
    for (int n = TOOLS_MAX; n <= TOOLS_MAX + 1; n++) {
        struct buf b = {0};
        buf_adds(&b, "{\"messages\":[" USER "],\"tools\":[");
        for (int i = 0; i < n; i++)
            buf_addf(&b, "%s{\"type\":\"function\",\"function\":{\"name\":\"f%d\"}}", i ? "," : "",
                     i);
        buf_adds(&b, "]}");
        ck_assert_int_eq(read_body(FOR_CHAT, "own", b.data) == 0, n == TOOLS_MAX);
        if (n > TOOLS_MAX)
            ck_assert_str_eq(problem.param, "tools");
        params_fini(&p);
        buf_free(&b);
    }
}
END_TEST

/* ------------------------------------------------------------------ earlier calls */

#define CALLS                                                                                      \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"type\":"             \
    "\"function\","                                                                                \
    "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": "                                    \
    "[1]}\"}},{\"id\":\"2\",\"function\":"                                                         \
    "{\"name\":\"g\",\"arguments\":\"oh\"}}]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"r" id "\"}"
#define ONE(call)  "{\"role\":\"assistant\",\"tool_calls\":[" call "]}"

static const struct {
    const char *messages, *param;
} histories[] = {
    {USER "," CALLS "," RESULT("1") "," RESULT("2"), NULL},
    {USER "," CALLS "," RESULT("2") "," RESULT("1") "," USER, NULL},
    {USER "," CALLS, "messages[1].tool_calls[0].id"},
    {USER "," CALLS "," RESULT("1"), "messages[1].tool_calls[1].id"},
    {USER "," CALLS "," USER, "messages[1].tool_calls[0].id"},
    {USER "," CALLS "," RESULT("1") "," RESULT("3"), "messages[3].tool_call_id"},
    {USER "," CALLS "," RESULT("1") "," RESULT("1"), "messages[3].tool_call_id"},
    {USER "," RESULT("1"), "messages[1].tool_call_id"},
    {USER "," CALLS "," RESULT("1") "," RESULT("2") "," USER "," RESULT("1"),
     "messages[5].tool_call_id"},
    {USER "," CALLS ",{\"role\":\"tool\",\"content\":\"x\"}", "messages[2].tool_call_id"},
    {USER "," CALLS ",{\"role\":\"tool\",\"tool_call_id\":1,\"content\":\"x\"}",
     "messages[2].tool_call_id"},
    {USER "," CALLS ",{\"role\":\"tool\",\"tool_call_id\":\"1\"}", "messages[2].content"},
    {"{\"role\":\"user\",\"content\":\"x\",\"tool_calls\":[{}]}", "messages[0].tool_calls"},
    {"{\"role\":\"assistant\",\"tool_calls\":{}}", "messages[0].tool_calls"},
    {ONE("1"), "messages[0].tool_calls[0]"},
    {ONE("{}"), "messages[0].tool_calls[0].id"},
    {ONE("{\"id\":\"\"}"), "messages[0].tool_calls[0].id"},
    {ONE("{\"id\":\"1\",\"type\":\"custom\"}"), "messages[0].tool_calls[0].type"},
    {ONE("{\"id\":\"1\"}"), "messages[0].tool_calls[0].function"},
    {ONE("{\"id\":\"1\",\"function\":{}}"), "messages[0].tool_calls[0].function.name"},
    {ONE("{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":{}}}"),
     "messages[0].tool_calls[0].function.arguments"},
};

START_TEST(test_histories)
{
    static const char *const forms[] = {"hermes", "own"};
    char body[4096];
    snprintf(body, sizeof body, "{\"messages\":[%s]}", histories[_i].messages);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        int rc = read_body(FOR_CHAT, forms[i], body);
        ck_assert_msg((rc == 0) == !histories[_i].param, "%s: %s", body, problem.text);
        if (rc)
            ck_assert_str_eq(problem.param, histories[_i].param);
        params_fini(&p);
    }
}
END_TEST

static const char *text_of(struct jinja_value v)
{
    static char text[4][200];
    static unsigned next;
    char *to = text[next++ % 4];
    struct jinja *t;
    struct trit_error err;
    struct jinja_pool pool = {0};
    struct buf out = {0};
    ck_assert_int_eq(jinja_open("{{ v | tojson }}", 16, &t, &err), 0);
    struct jinja_value vars = jinja_dict(&pool);
    jinja_put_name(&pool, vars, "v", v);
    ck_assert_int_eq(jinja_render(t, vars, NULL, &out, NULL, NULL, &err), 0);
    snprintf(to, sizeof text[0], "%s", out.data);
    buf_free(&out);
    jinja_close(&t);
    jinja_pool_free(&pool);
    return to;
}

/* Who calls and says "" has said that; who says nothing, nothing. */
START_TEST(test_said_nothing)
{
    static const char *const said[] = {"", "\"content\":null,", "\"content\":[],",
                                       "\"content\":\"\",",
                                       "\"content\":[{\"type\":\"text\",\"text\":\"\"}],"};
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        char body[1024];
        snprintf(
            body, sizeof body,
            "{\"messages\":[" USER ",{\"role\":\"assistant\",%s\"tool_calls\":[{\"id\":\"1\","
            "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}," RESULT(
                "1") "]}",
            said[i]);
        ck_assert_int_eq(read_body(FOR_CHAT, "hermes", body), 0);
        ck_assert_msg((p.message[1].content == NULL) == (i < 3), "%s", said[i]);
        ck_assert_uint_eq(p.message[1].content_len, 0);
        params_fini(&p);
    }
}
END_TEST

/* Templates get arguments as objects, where they are some, and the name of what has answered. */
START_TEST(test_template)
{
    ck_assert_int_eq(read_body(FOR_CHAT, "hermes",
                               "{\"messages\":[" USER "," CALLS
                               "," RESULT("2") "," RESULT("1") "]}"),
                     0);
    ck_assert_uint_eq(p.n_messages, 4);
    ck_assert_ptr_null(p.message[0].more);
    ck_assert_ptr_null(p.message[1].content);
    ck_assert_str_eq(text_of(*p.message[1].more),
                     "{\"tool_calls\": [{\"id\": \"1\", \"type\": \"function\", \"function\": "
                     "{\"name\": \"f\", \"arguments\": {\"a\": [1]}}}, {\"id\": \"2\", \"type\": "
                     "\"function\", \"function\": {\"name\": \"g\", \"arguments\": \"oh\"}}]}");
    ck_assert_str_eq(p.message[2].role, "tool");
    ck_assert_str_eq(p.message[2].content, "r2");
    ck_assert_str_eq(text_of(*p.message[2].more), "{\"tool_call_id\": \"2\", \"name\": \"g\"}");
    ck_assert_str_eq(text_of(*p.message[3].more), "{\"tool_call_id\": \"1\", \"name\": \"f\"}");
    params_fini(&p);
}
END_TEST

/* Without a template that knows them, all of it is put in words. */
START_TEST(test_words)
{
    ck_assert_int_eq(read_body(FOR_CHAT, "own",
                               "{\"messages\":[" USER "," CALLS
                               "," RESULT("1") "," RESULT("2") "],"
                                                               "\"tools\":[" G "]}"),
                     0);
    ck_assert_uint_eq(p.n_messages, 4);
    ck_assert_str_eq(p.message[0].role, "system");
    ck_assert_ptr_nonnull(strstr(p.message[0].content, "<tools>\n" G "\n</tools>"));
    ck_assert_uint_eq(p.message[0].content_len, strlen(p.message[0].content));
    ck_assert_str_eq(p.message[1].content, "hi");
    ck_assert_str_eq(p.message[2].content,
                     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call>\n"
                     "<tool_call>\n{\"name\": \"g\", \"arguments\": \"oh\"}\n</tool_call>");
    ck_assert_str_eq(p.message[3].role, "user");
    ck_assert_str_eq(p.message[3].content, "<tool_response>\nr1\n</tool_response>\n"
                                           "<tool_response>\nr2\n</tool_response>");
    for (size_t i = 0; i < p.n_messages; i++) {
        ck_assert_uint_eq(p.message[i].content_len, strlen(p.message[i].content));
        ck_assert_ptr_null(p.message[i].more);
    }
    ck_assert_ptr_null(params_talk(&p, NULL).tools);
    params_fini(&p);

    ck_assert_int_eq(
        read_body(FOR_TEMPLATE, "own",
                  "{\"messages\":[{\"role\":\"developer\",\"content\":\"Be kind\"}," USER
                  "],\"tools\":[" G "],\"tool_choice\":\"required\"}"),
        0);
    ck_assert_uint_eq(p.n_messages, 2);
    ck_assert_str_eq(p.message[0].role, "developer");
    ck_assert_int_eq(strncmp(p.message[0].content, "Be kind\n\nYou can call", 21), 0);
    ck_assert_str_eq(params_talk(&p, NULL).opening, "<tool_call>\n");
    params_fini(&p);
}
END_TEST

/* ------------------------------------------------------------------ memory */

#define NAMED(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
static const struct {
    const char *form, *fields;
} shapes[] = {
    {"hermes", FG ",\"tool_choice\":\"required\""},
    {"llama", FG ",\"tool_choice\":\"required\""},
    {"mistral",
     TOOL("\"name\":\"g\",\"strict\":true,\"parameters\":{\"type\":\"object\",\"properties\":{"
          "\"a\":{\"type\":\"string\",\"pattern\":\"^a+$\"}}}")},
    {"own", FG ",\"tool_choice\":" NAMED("g")},
    {"own", "\"response_format\":{\"type\":\"json_object\"}"},
    {"own", "\"regex\":\"(a|[^b-d]{2,5}|\\\\d+)*x\""},
    {"own", "\"structured_outputs\":{\"choice\":[\"a\",\"b\"]}"},
    {"own", "\"grammar\":\"root ::= [a-z]+ | \\\"x\\\"\""},
    {"own",
     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":"
     "{\"type\":\"array\",\"items\":{\"enum\":[1,\"x\",null]}}}}"},
};

/* What an answer is bound to, with each allocation refused once: a grammar, or no memory, and never
 * an answer that is bound to nothing. */
START_TEST(test_no_memory)
{
    int rc = read_body(FOR_CHAT, shapes[_i].form, chat(shapes[_i].fields));
    ck_assert_msg(rc == 0, "%s: %s", shapes[_i].fields, problem.text);
    unsigned n = 1;
    for (bool struck = true; struck; n++) {
        struct grammar *g;
        problem = (struct problem){0};
        mem_fail_at(n);
        rc = shape_compile(&p.shape, &g, &problem);
        struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || (struck && rc == -TRIT_ENOMEM), "allocation %u: %d %s", n, rc,
                      problem.text);
        ck_assert_msg((rc == 0) == (g != NULL), "allocation %u: %d, %p", n, rc, (void *)g);
        grammar_unref(g);
    }
    ck_assert_uint_gt(n, 5);
    for (n = 1;; n++) {
        struct buf key = {0};
        mem_fail_at(n);
        shape_key(&p.shape, &key);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_int_eq(key.failed, struck);
        buf_free(&key);
        if (!struck)
            break;
    }
    params_fini(&p);
}
END_TEST

/* The Responses API has them flat; templates get them wrapped all the same. */
START_TEST(test_responses)
{
    ck_assert_int_eq(
        read_body(FOR_RESPONSES, "hermes",
                  "{\"input\":\"x\",\"instructions\":\"y\",\"tools\":[{\"type\":"
                  "\"function\",\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":"
                  "\"object\"}}],\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}}"),
        0);
    ck_assert_str_eq(text_of(p.tool_list),
                     "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"strict\": true, "
                     "\"parameters\": {\"type\": \"object\"}}}]");
    ck_assert(p.tools->must && p.tools->tool[0].strict);
    ck_assert_str_eq(p.tools->tool[0].path, "tools[0].parameters");
    params_fini(&p);
    static const struct {
        const char *fields, *param;
    } bad[] = {
        {"\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "tools[0].name"},
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],\"tool_choice\":{\"type\":"
         "\"function\","
         "\"name\":\"g\"}",
         "tool_choice.name"},
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],\"tool_choice\":{\"type\":"
         "\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"function\"}]}",
         "tool_choice.tools[0].name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"input\":\"x\",%s}", bad[i].fields);
        ck_assert_msg(read_body(FOR_RESPONSES, "hermes", body) < 0, "accepted: %s", body);
        ck_assert_str_eq(problem.param, bad[i].param);
        params_fini(&p);
    }
}
END_TEST

/* What the text is bound to besides. */
START_TEST(test_shapes)
{
    ck_assert_int_eq(
        read_body(FOR_CHAT, "hermes", chat(FG ",\"response_format\":{\"type\":\"json_object\"}")),
        0);
    ck_assert(p.shape.kind == SHAPE_CALLS && p.tools->content.kind == SHAPE_OBJECT);
    params_fini(&p);
    ck_assert_int_eq(
        read_body(FOR_CHAT, "hermes", chat("\"regex\":\"a\"," FG ",\"tool_choice\":\"required\"")),
        0);
    ck_assert(p.shape.kind == SHAPE_CALLS && p.tools->content.kind == SHAPE_FREE);
    params_fini(&p);
    ck_assert_int_eq(
        read_body(FOR_CHAT, "hermes", chat("\"regex\":\"a\"," FG ",\"tool_choice\":\"none\"")), 0);
    ck_assert(p.shape.kind == SHAPE_REGEX);
    params_fini(&p);
    /* Calls without an opening are read as they come. */
    ck_assert_int_eq(read_body(FOR_CHAT, "llama", chat(FG)), 0);
    ck_assert(p.shape.kind == SHAPE_FREE && !p.tools->many);
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_CHAT, "llama", chat(FG ",\"tool_choice\":\"required\"")), 0);
    ck_assert(p.shape.kind == SHAPE_CALLS && !params_talk(&p, NULL).opening);
    params_fini(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools");
    TCase *tc = tcase_create("tools");
    tcase_add_loop_test(tc, test_choices, 0, (int)ARRAY_LEN(choices));
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(tc, test_histories, 0, (int)ARRAY_LEN(histories));
    tcase_add_test(tc, test_many);
    tcase_add_loop_test(tc, test_no_memory, 0, ARRAY_LEN(shapes));
    tcase_add_test(tc, test_said_nothing);
    tcase_add_test(tc, test_template);
    tcase_add_test(tc, test_words);
    tcase_add_test(tc, test_responses);
    tcase_add_test(tc, test_shapes);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
