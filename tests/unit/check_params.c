/* SPDX-License-Identifier: MIT */
/*
 * check_params.c - every field of every endpoint: its edges, wrong types, and the rules between
 * fields; and that each refusal names the field.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "server/params.h"
#include "server/problem.h"
#include "unit/unit.h"

enum { VOCAB = 1000 };
static struct params_model model = {
    .vocab = VOCAB,
    .sampling =
        {.temperature = 0.7, .top_p = 0.9, .min_p = 0.1, .repetition_penalty = 1.1, .top_k = 40},
};

static struct params p;
static struct problem problem;
static struct buf ignored;

static int read_body(enum params_endpoint endpoint, const char *body)
{
    problem = (struct problem){0};
    buf_reset(&ignored);
    return params_read(&p, endpoint, body, strlen(body), &model, &ignored, &problem);
}

/* A body that would do without the field, and the field. */
static const char *with(enum params_endpoint endpoint, const char *field)
{
    static char body[4096];
    static const char messages[] = "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]";
    const char *base = endpoint == FOR_CHAT          ? messages
                       : endpoint == FOR_TEMPLATE    ? messages
                       : endpoint == FOR_RESPONSES   ? "\"input\":\"x\""
                       : endpoint == FOR_COMPLETIONS ? "\"prompt\":\"x\""
                       : endpoint == FOR_TOKENIZE    ? "\"content\":\"x\""
                                                     : "\"tokens\":[1]";
    snprintf(body, sizeof body, "{%s,%s}", base, field);
    return body;
}

static void accept(enum params_endpoint endpoint, const char *field)
{
    int rc = read_body(endpoint, with(endpoint, field));
    ck_assert_msg(rc == 0, "%s: %s", field, problem.text);
    ck_assert_msg(ignored.len == 0, "%s is unknown", field);
    params_fini(&p);
}

static void refuse(enum params_endpoint endpoint, const char *field, const char *param)
{
    int rc = read_body(endpoint, with(endpoint, field));
    ck_assert_msg(rc < 0, "accepted: %s", field);
    ck_assert_msg(strcmp(problem.param, param) == 0, "%s: param is \"%s\"", field, problem.param);
    ck_assert_int_eq(problem.status, 400);
    ck_assert_str_eq(problem.type, "invalid_request_error");
    ck_assert_ptr_nonnull(strstr(problem.text, param));
    params_fini(&p);
}

/* ------------------------------------------------------------------ numbers */

static const struct {
    const char *name;
    unsigned on;
    const char *good[6], *bad[8];
} numbers[] = {
    {"temperature", 3, {"0", "2", "1.5", "0.0"}, {"-0.1", "2.1", "1e308", "1e999", "-1e999"}},
    {"top_p", 3, {"1", "0.001", "1e-9"}, {"0", "-1", "1.001", "2147483648"}},
    {"min_p", 3, {"0", "1", "0.5"}, {"-0.001", "1.001"}},
    {"top_k", 3, {"-1", "0", "1", "1000"}, {"-2", "1001", "1.5", "2147483648", "1e18"}},
    {"presence_penalty", 3, {"-2", "2", "0"}, {"-2.01", "2.01"}},
    {"frequency_penalty", 3, {"-2", "2", "0"}, {"-2.01", "2.01"}},
    {"repetition_penalty", 3, {"2", "1", "0.1"}, {"0", "-1", "2.1"}},
    {"n", 3, {"1", "8", "2.0", "1e0"}, {"0", "-1", "9", "1.5", "5000000", "9007199254740993"}},
    {"max_tokens", 3, {"1", "2147483647"}, {"0", "-1", "2147483648", "1.5", "1e308"}},
    {"max_completion_tokens", 2, {"1", "2147483647"}, {"0", "-1", "2147483648", "0.5"}},
    {"timeout", 3, {"0.001", "86400"}, {"0", "-1", "86401"}},
    {"logprobs", 1, {"0", "20"}, {"-1", "21", "1.5", "1000000000"}},
    {"best_of", 1, {"1", "20"}, {"0", "21"}},
    {"priority", 3, {"0", "-1", "1", "-2147483648", "2147483647"}, {"0.5", "2147483648", "-1e10"}},
    {"seed",
     3,
     {"0", "-1", "9223372036854775807", "-9223372036854775808", "1e3", "9007199254740993"},
     {"0.5", "9223372036854775808", "-9223372036854775809", "1e300", "1e999"}},
};

static const char *const not_numbers[] = {"\"1\"", "[]", "[1]", "{}", "true", "false"};

START_TEST(test_numbers)
{
    char field[128];
    for (unsigned endpoint = 1; endpoint <= 2; endpoint *= 2) {
        if (!(numbers[_i].on & endpoint))
            continue;
        const char *name = numbers[_i].name;
        for (size_t k = 0; k < 6 && numbers[_i].good[k]; k++) {
            snprintf(field, sizeof field, "\"%s\":%s", name, numbers[_i].good[k]);
            accept(endpoint, field);
        }
        for (size_t k = 0; k < 8 && numbers[_i].bad[k]; k++) {
            snprintf(field, sizeof field, "\"%s\":%s", name, numbers[_i].bad[k]);
            refuse(endpoint, field, name);
        }
        for (size_t k = 0; k < ARRAY_LEN(not_numbers); k++) {
            snprintf(field, sizeof field, "\"%s\":%s", name, not_numbers[k]);
            refuse(endpoint, field, name);
        }
        snprintf(field, sizeof field, "\"%s\":null", name);
        accept(endpoint, field);
    }
}
END_TEST

/* ------------------------------------------------------------------ everything else */

static const struct {
    enum params_endpoint endpoint;
    const char *field;
} accepted[] = {
    {FOR_COMPLETIONS, "\"stream\":true"},
    {FOR_COMPLETIONS, "\"stream\":false,\"stream_options\":null"},
    {FOR_COMPLETIONS, "\"stream\":true,\"stream_options\":{}"},
    {FOR_COMPLETIONS, "\"stream\":true,\"stream_options\":{\"include_usage\":null}"},
    {FOR_CHAT,
     "\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":true}"},
    {FOR_COMPLETIONS, "\"echo\":true,\"max_tokens\":0"},
    {FOR_CHAT, "\"max_tokens\":5,\"max_completion_tokens\":5"},
    {FOR_CHAT, "\"logprobs\":true"},
    {FOR_CHAT, "\"logprobs\":true,\"top_logprobs\":20"},
    {FOR_CHAT, "\"logprobs\":false,\"top_logprobs\":0"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"text\"}"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"text\"},\"regex\":\"a\""},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_object\"}"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_object\",\"schema\":{\"type\":\"null\"}}"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a_1\","
               "\"strict\":true,\"description\":\"x\",\"schema\":{}}}"},
    {FOR_COMPLETIONS, "\"grammar\":\"root ::= x\""},
    {FOR_COMPLETIONS, "\"regex\":\"x\""},
    {FOR_COMPLETIONS, "\"json_schema\":{}"},
    {FOR_COMPLETIONS, "\"guided_json\":\"{}\""},
    {FOR_COMPLETIONS, "\"guided_json\":{}"},
    {FOR_COMPLETIONS, "\"guided_regex\":\"x\""},
    {FOR_RESPONSES, "\"grammar\":\"root ::= x\""},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"json_object\"}}"},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"a\",\"schema\":{}}}"},
    {FOR_COMPLETIONS, "\"guided_choice\":[\"x\",\"y\"]"},
    {FOR_COMPLETIONS, "\"guided_grammar\":\"root ::= x\""},
    {FOR_COMPLETIONS, "\"structured_outputs\":{\"choice\":[\"x\"],\"regex\":null}"},
    {FOR_CHAT, "\"tools\":[],\"tool_choice\":\"none\""},
    {FOR_CHAT, "\"tool_choice\":\"auto\""},
    {FOR_CHAT, "\"functions\":[],\"function_call\":\"none\""},
    {FOR_CHAT, "\"modalities\":[\"text\"]"},
    {FOR_CHAT, "\"store\":false,\"metadata\":{\"a\":\"b\"},\"user\":\"u\""},
    {FOR_CHAT, "\"service_tier\":\"auto\",\"safety_identifier\":\"s\",\"prompt_cache_key\":\"k\""},
    {FOR_CHAT, "\"verbosity\":\"low\",\"reasoning_effort\":\"high\",\"parallel_tool_calls\":true"},
    {FOR_CHAT, "\"audio\":null,\"web_search_options\":null,\"tools\":null"},
    {FOR_COMPLETIONS, "\"service_tier\":\"flex\",\"priority\":-3,\"cache_salt\":\"s\""},
    {FOR_COMPLETIONS, "\"suffix\":\"\""},
    {FOR_COMPLETIONS, "\"suffix\":null,\"best_of\":1"},
    {FOR_RESPONSES, "\"instructions\":\"i\",\"max_output_tokens\":1,\"store\":false"},
    {FOR_RESPONSES, "\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}"},
    {FOR_RESPONSES, "\"include\":[\"message.output_text.logprobs\"],\"top_logprobs\":20"},
    {FOR_RESPONSES, "\"include\":[\"reasoning.encrypted_content\"],\"top_logprobs\":0"},
    {FOR_RESPONSES, "\"text\":{},\"truncation\":\"disabled\",\"background\":false"},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"low\"}"},
    {FOR_RESPONSES, "\"metadata\":{\"a\":\"b\"},\"user\":\"u\",\"safety_identifier\":\"s\""},
    {FOR_RESPONSES, "\"prompt_cache_key\":\"k\",\"prompt_cache_retention\":\"24h\""},
    {FOR_RESPONSES, "\"reasoning\":{\"effort\":\"low\",\"summary\":null},\"tools\":[]"},
    {FOR_RESPONSES, "\"tool_choice\":\"none\",\"parallel_tool_calls\":false"},
    {FOR_RESPONSES, "\"previous_response_id\":null,\"conversation\":null,\"prompt\":null"},
    {FOR_RESPONSES, "\"service_tier\":\"flex\",\"top_k\":5,\"min_p\":0.1,\"seed\":1,\"n\":1"},
    {FOR_RESPONSES, "\"context_management\":[],\"stop\":[\"a\"],\"logit_bias\":{\"5\":1}"},
    {FOR_COMPLETIONS, "\"n\":3,\"best_of\":3,\"stream\":true"},
    {FOR_COMPLETIONS, "\"n\":3,\"best_of\":8"},
    {FOR_COMPLETIONS, "\"stop\":[]"},
    {FOR_COMPLETIONS, "\"stop\":\"a\""},
    {FOR_COMPLETIONS, "\"stop\":[\"a\",\"b\",\"c\",\"d\"]"},
    {FOR_COMPLETIONS, "\"logit_bias\":{}"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"0\":-100,\"999\":100,\"5\":0.5}"},
    {FOR_COMPLETIONS, "\"stop_token_ids\":[0,999]"},
    {FOR_COMPLETIONS, "\"ignore_eos\":true,\"stop_token_ids\":[]"},
    {FOR_COMPLETIONS, "\"return_tokens_as_token_ids\":true,\"add_special_tokens\":false"},
    {FOR_COMPLETIONS, "\"model\":\"m\""},
    {FOR_TOKENIZE, "\"add_special\":true,\"parse_special\":false,\"with_pieces\":true"},
    {FOR_TOKENIZE, "\"model\":\"m\""},
    {FOR_DETOKENIZE, "\"model\":null"},
    {FOR_TEMPLATE, "\"add_generation_prompt\":false"},
};

START_TEST(test_accepted)
{
    accept(accepted[_i].endpoint, accepted[_i].field);
}
END_TEST

static const struct {
    enum params_endpoint endpoint;
    const char *field, *param;
} refused[] = {
    {FOR_COMPLETIONS, "\"stream\":1", "stream"},
    {FOR_COMPLETIONS, "\"stream\":\"true\"", "stream"},
    {FOR_COMPLETIONS, "\"stream_options\":{}", "stream_options"},
    {FOR_COMPLETIONS, "\"stream\":true,\"stream_options\":[]", "stream_options"},
    {FOR_COMPLETIONS, "\"stream\":true,\"stream_options\":{\"include_usage\":1}",
     "stream_options.include_usage"},
    {FOR_COMPLETIONS, "\"echo\":0", "echo"},
    {FOR_COMPLETIONS, "\"logprobs\":true", "logprobs"},
    {FOR_CHAT, "\"logprobs\":5", "logprobs"},
    {FOR_CHAT, "\"top_logprobs\":1", "top_logprobs"},
    {FOR_CHAT, "\"logprobs\":false,\"top_logprobs\":1", "top_logprobs"},
    {FOR_CHAT, "\"logprobs\":true,\"top_logprobs\":21", "top_logprobs"},
    {FOR_CHAT, "\"logprobs\":true,\"top_logprobs\":-1", "top_logprobs"},
    {FOR_CHAT, "\"max_tokens\":5,\"max_completion_tokens\":6", "max_completion_tokens"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}",
     "response_format.json_schema.schema"},
    {FOR_CHAT,
     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a b\","
     "\"schema\":{}}}",
     "response_format.json_schema.name"},
    {FOR_CHAT, "\"response_format\":{}", "response_format.type"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"xml\"}", "response_format.type"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_object\"},\"regex\":\"a\"", "regex"},
    {FOR_CHAT, "\"structured_outputs\":{\"regex\":\"a\",\"choice\":[\"a\"]}", "structured_outputs"},
    {FOR_CHAT, "\"structured_outputs\":{\"whitespace_pattern\":\"a\"}", "structured_outputs"},
    {FOR_CHAT, "\"guided_choice\":[]", "guided_choice"},
    {FOR_CHAT, "\"guided_choice\":[\"a\",1]", "guided_choice[1]"},
    {FOR_CHAT, "\"guided_json\":\"{\"", "guided_json"},
    {FOR_CHAT, "\"guided_json\":[]", "guided_json"},
    {FOR_CHAT, "\"json_schema\":\"x\"", "json_schema"},
    {FOR_CHAT, "\"grammar\":\"\"", "grammar"},
    {FOR_CHAT, "\"regex\":7", "regex"},
    {FOR_CHAT, "\"regex\":\"a\",\"ignore_eos\":true", "ignore_eos"},
    {FOR_CHAT, "\"service_tier\":\"urgent\"", "service_tier"},
    {FOR_CHAT, "\"service_tier\":1", "service_tier"},
    {FOR_CHAT, "\"service_tier\":\"\"", "service_tier"},
    {FOR_CHAT, "\"cache_salt\":\"\"", "cache_salt"},
    {FOR_CHAT, "\"cache_salt\":7", "cache_salt"},
    {FOR_CHAT, "\"prompt_cache_key\":7", "prompt_cache_key"},
    {FOR_CHAT, "\"response_format\":\"text\"", "response_format"},
    {FOR_CHAT, "\"tools\":[{}]", "tools[0].type"},
    {FOR_CHAT, "\"tools\":{}", "tools"},
    {FOR_CHAT, "\"tool_choice\":\"required\"", "tool_choice"},
    {FOR_CHAT, "\"tool_choice\":{\"type\":\"function\"}", "tool_choice"},
    {FOR_CHAT, "\"tool_choice\":1", "tool_choice"},
    {FOR_CHAT, "\"functions\":[{}]", "functions"},
    {FOR_CHAT, "\"function_call\":{\"name\":\"f\"}", "function_call"},
    {FOR_CHAT, "\"modalities\":[\"text\",\"audio\"]", "modalities"},
    {FOR_CHAT, "\"audio\":{}", "audio"},
    {FOR_CHAT, "\"web_search_options\":{}", "web_search_options"},
    {FOR_CHAT, "\"store\":true", "store"},
    {FOR_CHAT, "\"store\":\"no\"", "store"},
    {FOR_CHAT, "\"metadata\":1", "metadata"},
    {FOR_CHAT, "\"user\":1", "user"},
    {FOR_COMPLETIONS, "\"suffix\":\"x\"", "suffix"},
    {FOR_COMPLETIONS, "\"suffix\":1", "suffix"},
    {FOR_COMPLETIONS, "\"grammar\":\"\"", "grammar"},
    {FOR_COMPLETIONS, "\"guided_regex\":1", "guided_regex"},
    {FOR_COMPLETIONS, "\"stream\":true,\"stream_options\":{\"include_obfuscation\":1}",
     "stream_options.include_obfuscation"},
    {FOR_COMPLETIONS, "\"n\":3,\"best_of\":2", "best_of"},
    {FOR_COMPLETIONS, "\"best_of\":2,\"stream\":true", "best_of"},
    {FOR_RESPONSES, "\"instructions\":7", "instructions"},
    {FOR_RESPONSES, "\"max_output_tokens\":0", "max_output_tokens"},
    {FOR_RESPONSES, "\"max_tokens\":1", "max_tokens"},
    {FOR_RESPONSES, "\"max_completion_tokens\":1", "max_completion_tokens"},
    {FOR_RESPONSES, "\"messages\":[]", "messages"},
    {FOR_RESPONSES, "\"response_format\":{\"type\":\"text\"}", "response_format"},
    {FOR_RESPONSES, "\"n\":2", "n"},
    {FOR_RESPONSES, "\"store\":true", "store"},
    {FOR_RESPONSES, "\"background\":true", "background"},
    {FOR_RESPONSES, "\"previous_response_id\":\"resp_1\"", "previous_response_id"},
    {FOR_RESPONSES, "\"conversation\":{\"id\":\"c\"}", "conversation"},
    {FOR_RESPONSES, "\"prompt\":{\"id\":\"p\"}", "prompt"},
    {FOR_RESPONSES, "\"truncation\":\"auto\"", "truncation"},
    {FOR_RESPONSES, "\"truncation\":\"some\"", "truncation"},
    {FOR_RESPONSES, "\"include\":[\"message.output_text.logprobs\",\"x\"]", "include[1]"},
    {FOR_RESPONSES, "\"include\":[1]", "include[0]"},
    {FOR_RESPONSES, "\"top_logprobs\":1", "top_logprobs"},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"xml\"}}", "text.format.type"},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"json_schema\"}}", "text.format.schema"},
    {FOR_RESPONSES, "\"text\":{\"format\":\"text\"}", "text.format"},
    {FOR_RESPONSES, "\"text\":{\"verbosity\":1}", "text.verbosity"},
    {FOR_RESPONSES, "\"metadata\":{\"a\":1}", "metadata"},
    {FOR_RESPONSES, "\"reasoning\":{\"effort\":1}", "reasoning"},
    {FOR_RESPONSES, "\"context_management\":[{}]", "context_management"},
    {FOR_RESPONSES, "\"tools\":[{\"type\":\"function\"}]", "tools[0].name"},
    {FOR_RESPONSES, "\"grammar\":\"\"", "grammar"},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"json_object\"}},\"regex\":\"a\"", "regex"},
    {FOR_RESPONSES, "\"stream_options\":{}", "stream_options"},
    {FOR_COMPLETIONS, "\"stop\":\"\"", "stop"},
    {FOR_COMPLETIONS, "\"stop\":1", "stop"},
    {FOR_COMPLETIONS, "\"stop\":{}", "stop"},
    {FOR_COMPLETIONS, "\"stop\":[\"a\",\"\"]", "stop[1]"},
    {FOR_COMPLETIONS, "\"stop\":[\"a\",null]", "stop[1]"},
    {FOR_COMPLETIONS, "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop"},
    {FOR_COMPLETIONS, "\"logit_bias\":[]", "logit_bias"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"1000\":1}", "logit_bias"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"-1\":1}", "logit_bias"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"\":1}", "logit_bias"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"1x\":1}", "logit_bias"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"99999999999999999999\":1}", "logit_bias"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"5\":101}", "logit_bias.5"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"5\":-101}", "logit_bias.5"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"5\":1e999}", "logit_bias.5"},
    {FOR_COMPLETIONS, "\"logit_bias\":{\"5\":\"1\"}", "logit_bias.5"},
    {FOR_COMPLETIONS, "\"stop_token_ids\":1", "stop_token_ids"},
    {FOR_COMPLETIONS, "\"stop_token_ids\":[1000]", "stop_token_ids[0]"},
    {FOR_COMPLETIONS, "\"stop_token_ids\":[0,-1]", "stop_token_ids[1]"},
    {FOR_COMPLETIONS, "\"stop_token_ids\":[1.5]", "stop_token_ids[0]"},
    {FOR_COMPLETIONS, "\"stop_token_ids\":[1],\"ignore_eos\":true", "ignore_eos"},
    {FOR_COMPLETIONS, "\"model\":\"\"", "model"},
    {FOR_COMPLETIONS, "\"model\":7", "model"},
    {FOR_TOKENIZE, "\"add_special\":1", "add_special"},
    {FOR_TEMPLATE, "\"add_generation_prompt\":\"x\"", "add_generation_prompt"},
};

START_TEST(test_refused)
{
    refuse(refused[_i].endpoint, refused[_i].field, refused[_i].param);
}
END_TEST

/* ------------------------------------------------------------------ prompts and messages */

static void refuse_body(enum params_endpoint endpoint, const char *body, const char *param)
{
    ck_assert_msg(read_body(endpoint, body) < 0, "accepted: %s", body);
    ck_assert_msg(strcmp(problem.param, param) == 0, "%s: param is \"%s\"", body, problem.param);
    params_fini(&p);
}

START_TEST(test_prompts)
{
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":\"h\\u00e9\"}"), 0);
    ck_assert_uint_eq(p.n_prompts, 1);
    ck_assert_str_eq(p.prompt[0].text, "h\xc3\xa9");
    ck_assert_uint_eq(p.prompt[0].len, 3);
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":[\"a\",\"\",\"c\"]}"), 0);
    ck_assert_uint_eq(p.n_prompts, 3);
    ck_assert_str_eq(p.prompt[2].text, "c");
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":[0,999,5]}"), 0);
    ck_assert_uint_eq(p.n_prompts, 1);
    ck_assert_ptr_null(p.prompt[0].text);
    ck_assert_uint_eq(p.prompt[0].n_ids, 3);
    ck_assert_int_eq(p.prompt[0].ids[1], 999);
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":[[1],[2,3],[]]}"), 0);
    ck_assert_uint_eq(p.n_prompts, 3);
    ck_assert_int_eq(p.prompt[1].ids[1], 3);
    ck_assert_uint_eq(p.prompt[2].n_ids, 0);
    params_fini(&p);

    refuse_body(FOR_COMPLETIONS, "{}", "prompt");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":null}", "prompt");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":7}", "prompt");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":{}}", "prompt");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[]}", "prompt");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[\"a\",1]}", "prompt[1]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[1,\"a\"]}", "prompt[1]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[[1],2]}", "prompt[1]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[[1],[1000]]}", "prompt[1][0]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[-1]}", "prompt[0]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[1.5]}", "prompt[0]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[null]}", "prompt[0]");
    refuse_body(FOR_COMPLETIONS, "{\"prompt\":[[[1]]]}", "prompt[0][0]");
    refuse_body(FOR_COMPLETIONS, "[]", "");
    refuse_body(FOR_COMPLETIONS, "\"x\"", "");
    refuse_body(FOR_COMPLETIONS, "", "");
    refuse_body(FOR_TOKENIZE, "{\"content\":5}", "content");
    refuse_body(FOR_TOKENIZE, "{}", "content");
    refuse_body(FOR_DETOKENIZE, "{\"tokens\":\"x\"}", "tokens");
    refuse_body(FOR_DETOKENIZE, "{\"tokens\":[1,1000]}", "tokens[1]");

    /* Sixty-four prompts, and sequences. */
    struct buf b = {0};
    buf_adds(&b, "{\"n\":2,\"prompt\":[\"p\"");
    for (int i = 1; i < PARAMS_PROMPTS; i++)
        buf_adds(&b, ",\"p\"");
    size_t len = b.len;
    buf_adds(&b, "]}");
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, b.data), 0);
    params_fini(&p);
    b.data[5] = '3'; /* n */
    refuse_body(FOR_COMPLETIONS, b.data, "n");
    b.data[5] = '1';
    b.len = len;
    buf_adds(&b, ",\"p\"]}");
    refuse_body(FOR_COMPLETIONS, b.data, "prompt");
    buf_free(&b);
}
END_TEST

START_TEST(test_messages)
{
    ck_assert_int_eq(
        read_body(FOR_CHAT,
                  "{\"messages\":[{\"role\":\"system\",\"content\":\"be\"},"
                  "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                  "{\"type\":\"text\",\"text\":\"b\"}],\"name\":\"n\"},"
                  "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[],\"refusal\":null},"
                  "{\"role\":\"assistant\"},{\"role\":\"user\",\"content\":\"\"}]}"),
        0);
    ck_assert_uint_eq(p.n_messages, 5);
    ck_assert_str_eq(p.message[0].role, "system");
    ck_assert_str_eq(p.message[0].content, "be");
    ck_assert_str_eq(p.message[1].content, "ab");
    ck_assert_uint_eq(p.message[1].content_len, 2);
    ck_assert_str_eq(p.message[2].role, "assistant");
    ck_assert_str_eq(p.message[2].content, "");
    ck_assert_uint_eq(p.message[4].content_len, 0);
    params_fini(&p);

    static const struct {
        const char *messages, *param;
    } bad[] = {
        {"null", "messages"},
        {"[]", "messages"},
        {"{}", "messages"},
        {"\"hi\"", "messages"},
        {"[1]", "messages[0]"},
        {"[{\"role\":\"user\",\"content\":\"x\"},\"y\"]", "messages[1]"},
        {"[{\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":1,\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"user\"}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":null}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":\"x\",\"name\":7}]", "messages[0].name"},
        {"[{\"role\":\"user\",\"content\":1}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[]}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[\"x\"]}]", "messages[0].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "messages[0].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
         "{\"type\":\"image_url\",\"image_url\":{}}]}]",
         "messages[0].content[1]"},
        {"[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{}]}]",
         "messages[0].tool_calls[0].id"},
        {"[{\"role\":\"assistant\",\"function_call\":{}}]", "messages[0].function_call"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"messages\":%s}", bad[i].messages);
        refuse_body(FOR_CHAT, body, bad[i].param);
        refuse_body(FOR_TEMPLATE, body, bad[i].param);
    }
}
END_TEST

/* ------------------------------------------------------------------ what comes of it */

/* The input and the instructions of a response become a conversation. */
START_TEST(test_input)
{
    ck_assert_int_eq(read_body(FOR_RESPONSES, "{\"input\":\"h\\u00e9\",\"instructions\":\"be\"}"),
                     0);
    ck_assert_uint_eq(p.n_messages, 2);
    ck_assert_str_eq(p.message[0].role, "system");
    ck_assert_str_eq(p.message[0].content, "be");
    ck_assert_str_eq(p.message[1].role, "user");
    ck_assert_str_eq(p.message[1].content, "h\xc3\xa9");
    ck_assert_uint_eq(p.message[1].content_len, 3);
    ck_assert_str_eq(p.echoes[responses_echo("instructions")], "\"be\"");
    ck_assert_ptr_null(p.echoes[responses_echo("user")]);
    params_fini(&p);

    /* Easy messages, messages, and what an answer had as output. */
    ck_assert_int_eq(
        read_body(
            FOR_RESPONSES,
            "{\"instructions\":\"first\",\"input\":[{\"role\":\"developer\",\"content\":\"d\"},"
            "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
            "\"text\":\"a\"},{\"type\":\"input_text\",\"text\":\"b\"}]},{\"type\":\"message\","
            "\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"
            "\"type\":\"output_text\",\"text\":\"c\",\"annotations\":[]}]}]}"),
        0);
    ck_assert_uint_eq(p.n_messages, 4);
    ck_assert_str_eq(p.message[0].content, "first");
    ck_assert_str_eq(p.message[1].role, "developer");
    ck_assert_str_eq(p.message[2].content, "ab");
    ck_assert_str_eq(p.message[3].role, "assistant");
    ck_assert_str_eq(p.message[3].content, "c");
    params_fini(&p);

    /* What is repeated is JSON on one line, whatever white space it came with. */
    ck_assert_int_eq(read_body(FOR_RESPONSES,
                               "{\"input\":\"x\",\"metadata\":{ \"a\":\n\"b\\n\" },\"tool_choice\":"
                               " \"none\",\"parallel_tool_calls\" : false,\"text\":{\"verbosity\": "
                               "\"low\"}}"),
                     0);
    ck_assert_str_eq(p.echoes[responses_echo("metadata")], "{\"a\":\"b\\n\"}");
    ck_assert_str_eq(p.echoes[responses_echo("tool_choice")], "\"none\"");
    ck_assert_str_eq(p.echoes[responses_echo("parallel_tool_calls")], "false");
    ck_assert_str_eq(p.echoes[responses_echo("text")],
                     "{\"format\":{\"type\":\"text\"},\"verbosity\":\"low\"}");
    params_fini(&p);

    static const struct {
        const char *input, *param;
    } bad[] = {
        {"null", "input"},
        {"[]", "input"},
        {"{}", "input"},
        {"7", "input"},
        {"[\"hi\"]", "input[0]"},
        {"[{\"content\":\"x\"}]", "input[0].role"},
        {"[{\"role\":\"tool\",\"content\":\"x\"}]", "input[0].role"},
        {"[{\"role\":7,\"content\":\"x\"}]", "input[0].role"},
        {"[{\"role\":\"user\"}]", "input[0].content"},
        {"[{\"role\":\"user\",\"content\":null}]", "input[0].content"},
        {"[{\"role\":\"user\",\"content\":[]}]", "input[0].content"},
        {"[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":[{\"type\":"
         "\"input_image\"}]}]",
         "input[1].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]", "input[0].content[0]"},
        {"[{\"type\":7,\"role\":\"user\",\"content\":\"x\"}]", "input[0].type"},
        {"[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]",
         "input[0].call_id"},
        {"[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\"}]", "input[0].arguments"},
        {"[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"\"}]",
         "input[0].call_id"},
        {"[{\"type\":\"reasoning\",\"summary\":[]}]", "input[0].type"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[400];
        snprintf(body, sizeof body, "{\"input\":%s}", bad[i].input);
        refuse_body(FOR_RESPONSES, body, bad[i].param);
    }
    refuse_body(FOR_RESPONSES, "{\"instructions\":\"x\"}", "input");

    struct buf b = {0};
    buf_adds(&b, "{\"input\":\"x\",\"metadata\":{\"k0\":\"v\"");
    for (int i = 1; i <= 16; i++)
        buf_addf(&b, ",\"k%d\":\"v\"", i);
    buf_adds(&b, "}}");
    refuse_body(FOR_RESPONSES, b.data, "metadata");
    buf_free(&b);
}
END_TEST

START_TEST(test_values)
{
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":\"x\"}"), 0);
    /* What the model recommends. */
    ck_assert(p.temperature == 0.7 && p.top_p == 0.9 && p.min_p == 0.1 && p.top_k == 40);
    ck_assert(p.repetition_penalty == 1.1);
    ck_assert(p.presence_penalty == 0 && p.frequency_penalty == 0);
    ck_assert_int_eq(p.n, 1);
    ck_assert_int_eq(p.max_tokens, -1);
    ck_assert(!p.stream && !p.echo && !p.want_logprobs && !p.seed.given && p.add_special);
    ck_assert(p.timeout == 0);
    params_fini(&p);

    ck_assert_int_eq(read_body(FOR_COMPLETIONS,
                               "{\"prompt\":\"x\",\"logprobs\":0,\"seed\":-9223372036854775807,"
                               "\"top_k\":-1,\"logit_bias\":{\"007\":-1.5,\"8\":2},\"stop\":"
                               "[\"\\n\",\"END\"],\"temperature\":0.25,\"model\":\"a/b\","
                               "\"stop_token_ids\":[3],\"n\":2,\"timeout\":2.5}"),
                     0);
    ck_assert(p.want_logprobs && p.top_logprobs == 0);
    ck_assert(p.seed.given);
    ck_assert_int_eq((int64_t)p.seed.value, -INT64_C(9223372036854775807));
    ck_assert_int_eq(p.top_k, 0);
    ck_assert_uint_eq(p.n_bias, 2);
    ck_assert_int_eq(p.bias[0].id, 7);
    ck_assert(p.bias[0].bias == -1.5f && p.bias[1].bias == 2);
    ck_assert_uint_eq(p.stops.n, 2);
    ck_assert_mem_eq(p.stops.stop[1].s, "END", 3);
    ck_assert(p.temperature == 0.25 && p.timeout == 2.5);
    ck_assert_str_eq(p.model, "a/b");
    ck_assert_int_eq(p.stop_ids[0], 3);
    params_fini(&p);

    ck_assert_int_eq(read_body(FOR_CHAT, with(FOR_CHAT, "\"max_completion_tokens\":9")), 0);
    ck_assert_int_eq(p.max_tokens, 9);
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_CHAT, with(FOR_CHAT, "\"seed\":9007199254740993")), 0);
    ck_assert_int_eq((int64_t)p.seed.value, INT64_C(9007199254740993));
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_CHAT, with(FOR_CHAT, "\"seed\":1.5e3")), 0);
    ck_assert_int_eq((int64_t)p.seed.value, 1500);
    params_fini(&p);
}
END_TEST

START_TEST(test_priority)
{
    static const struct {
        const char *fields;
        enum seq_priority expected;
    } cases[] = {
        {"\"user\":\"u\"", SEQ_NORMAL},
        {"\"priority\":null,\"service_tier\":null", SEQ_NORMAL},
        {"\"priority\":0", SEQ_NORMAL},
        {"\"priority\":-7", SEQ_HIGH},
        {"\"priority\":1", SEQ_LOW},
        {"\"service_tier\":\"auto\"", SEQ_NORMAL},
        {"\"service_tier\":\"scale\"", SEQ_NORMAL},
        {"\"service_tier\":\"default\"", SEQ_NORMAL},
        {"\"service_tier\":\"flex\"", SEQ_LOW},
        {"\"service_tier\":\"priority\"", SEQ_HIGH},
        /* The number counts, in whichever order they stand. */
        {"\"service_tier\":\"flex\",\"priority\":0", SEQ_NORMAL},
        {"\"priority\":-1,\"service_tier\":\"flex\"", SEQ_HIGH},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_int_eq(read_body(FOR_CHAT, with(FOR_CHAT, cases[i].fields)), 0);
        ck_assert_int_eq(p.priority, cases[i].expected);
        ck_assert_ptr_null(p.cache_salt);
        params_fini(&p);
    }
    char field[2 * PARAMS_SALT];
    memset(field, 's', sizeof field - 1);
    field[sizeof field - 1] = '\0';
    memcpy(field, "\"cache_salt\":\"", 14);
    strcpy(field + 14 + PARAMS_SALT, "\"");
    ck_assert_int_eq(read_body(FOR_CHAT, with(FOR_CHAT, field)), 0);
    ck_assert_uint_eq(strlen(p.cache_salt), PARAMS_SALT);
    params_fini(&p);
    strcpy(field + 14 + PARAMS_SALT, "s\"");
    refuse(FOR_CHAT, field, "cache_salt");
}
END_TEST

START_TEST(test_ignored)
{
    ck_assert_int_eq(
        read_body(FOR_CHAT, with(FOR_CHAT, "\"foo\":1,\"a b\\r\\nX: y\":{},\"mirostat\":"
                                           "[1],\"Temperature\":9,\"echo\":1")),
        0);
    ck_assert_str_eq(ignored.data, "foo,a?b??X??y,mirostat,Temperature,echo");
    params_fini(&p);

    struct buf b = {0};
    buf_adds(&b, "{\"prompt\":\"x\"");
    for (int i = 0; i < 2000; i++)
        buf_addf(&b, ",\"unknown_field_number_%d\":0", i);
    buf_adds(&b, "}");
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, b.data), 0);
    ck_assert_uint_lt(ignored.len, 1100);
    ck_assert_uint_gt(ignored.len, 900);
    params_fini(&p);
    buf_free(&b);
    /* null asks for nothing, but the name is still not known. */
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":\"x\",\"bar\":null}"), 0);
    ck_assert_str_eq(ignored.data, "bar");
    params_fini(&p);
    /* Inside of fields that are known; each path once. */
    ck_assert_int_eq(
        read_body(FOR_CHAT,
                  "{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"name\":\"n\"},{\"role\":"
                  "\"user\",\"content\":\"b\",\"name\":\"m\"},{\"role\":\"user\",\"content\":\"c\","
                  "\"name\":null}],\"stream\":true,\"stream_options\":{\"new\":1}}"),
        0);
    ck_assert_str_eq(ignored.data, "messages.name,stream_options.new");
    params_fini(&p);
    ck_assert_int_eq(read_body(FOR_RESPONSES, "{\"input\":\"x\",\"stream\":true,\"stream_options\":"
                                              "{\"include_usage\":true}}"),
                     0);
    ck_assert_str_eq(ignored.data, "stream_options.include_usage");
    params_fini(&p);
}
END_TEST

START_TEST(test_limits)
{
    char stop[TEXT_STOP_BYTES + 2], body[1024];
    memset(stop, 's', sizeof stop);
    stop[TEXT_STOP_BYTES] = '\0';
    snprintf(body, sizeof body, "{\"prompt\":\"x\",\"stop\":\"%s\"}", stop);
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, body), 0);
    params_fini(&p);
    stop[TEXT_STOP_BYTES] = 's';
    stop[TEXT_STOP_BYTES + 1] = '\0';
    snprintf(body, sizeof body, "{\"prompt\":\"x\",\"stop\":[\"%s\"]}", stop);
    refuse_body(FOR_COMPLETIONS, body, "stop[0]");

    struct buf b = {0};
    buf_adds(&b, "{\"prompt\":\"x\",\"logit_bias\":{\"0\":0");
    for (int i = 1; i < PARAMS_BIASES; i++)
        buf_addf(&b, ",\"%d\":0", i);
    size_t len = b.len;
    buf_adds(&b, "}}");
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, b.data), 0);
    ck_assert_uint_eq(p.n_bias, PARAMS_BIASES);
    params_fini(&p);
    b.len = len;
    buf_adds(&b, ",\"700\":0}}");
    refuse_body(FOR_COMPLETIONS, b.data, "logit_bias");
    buf_free(&b);
}
END_TEST

START_TEST(test_choice_seeds)
{
    uint64_t seen[PARAMS_CHOICES];
    ck_assert_uint_eq(params_choice_seed(42, 0), 42);
    for (uint32_t k = 0; k < PARAMS_CHOICES; k++) {
        seen[k] = params_choice_seed(42, k);
        ck_assert_uint_eq(seen[k], params_choice_seed(42, k));
        for (uint32_t i = 0; i < k; i++)
            ck_assert_uint_ne(seen[i], seen[k]);
        if (k)
            ck_assert_uint_ne(seen[k], params_choice_seed(43, k));
    }
}
END_TEST

/* Every allocation may fail; nothing is lost, nothing is freed twice. */
START_TEST(test_no_memory)
{
    static const char many[] = "{\"prompt\":[\"a\",\"b\"],\"model\":\"m\",\"stop\":[\"x\",\"y\"],"
                               "\"logit_bias\":{\"1\":1},\"stop_token_ids\":[1],\"unknown\":1}";
    static const char *const bodies[] = {
        many, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "{\"prompt\":[[1,2],[3]]}",
        "{\"input\":[{\"role\":\"user\",\"content\":\"x\"}],\"instructions\":\"i\","
        "\"metadata\":{\"a\":\"b\"},\"text\":{\"verbosity\":\"low\"},\"user\":\"u\"}"};
    static const enum params_endpoint endpoints[] = {FOR_COMPLETIONS, FOR_CHAT, FOR_COMPLETIONS,
                                                     FOR_RESPONSES};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        unsigned n = 1;
        for (;; n++) {
            buf_free(&ignored);
            mem_fail_at(n);
            int rc = read_body(endpoints[i], bodies[i]);
            bool pending = mem_fail_pending();
            mem_fail_at(0);
            params_fini(&p);
            if (pending) {
                ck_assert_int_eq(rc, 0);
                break;
            }
            ck_assert_msg(rc == -TRIT_ENOMEM || ignored.failed, "allocation %u of %s: %d", n,
                          bodies[i], rc);
        }
        ck_assert_uint_gt(n, 8);
    }
    buf_free(&ignored);
}
END_TEST

/* The table itself: no name twice on one endpoint, every row makes sense. */
START_TEST(test_table)
{
    const struct field_table *t = params_table();
    ck_assert_uint_gt(t->n, 50);
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->row[i];
        ck_assert_uint_ne(f->on, 0);
        if (f->type == FIELD_INT || f->type == FIELD_NUMBER)
            ck_assert(f->min <= f->max && (f->at || f->read));
        if (f->type == FIELD_MIXED)
            ck_assert_ptr_nonnull(f->read);
        if (f->type == FIELD_REFUSE)
            ck_assert_ptr_nonnull(f->why);
        for (size_t k = 0; k < i; k++)
            ck_assert(strcmp(f->name, t->row[k].name) != 0 || !(f->on & t->row[k].on));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params");
    TCase *tc = tcase_create("params");
    model.calls = chat_calls_form("hermes");
    tcase_add_loop_test(tc, test_numbers, 0, (int)ARRAY_LEN(numbers));
    tcase_add_loop_test(tc, test_accepted, 0, (int)ARRAY_LEN(accepted));
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(tc, test_prompts);
    tcase_add_test(tc, test_messages);
    tcase_add_test(tc, test_input);
    tcase_add_test(tc, test_values);
    tcase_add_test(tc, test_priority);
    tcase_add_test(tc, test_ignored);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_choice_seeds);
    tcase_add_test(tc, test_no_memory);
    tcase_add_test(tc, test_table);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
