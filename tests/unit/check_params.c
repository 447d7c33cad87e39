/* SPDX-License-Identifier: MIT */
/*
 * check_params.c - requests as a whole: prompts and messages, what comes of the fields together,
 * and the table of fields itself.
 */
#include "config.h"

#include "base/mem.h"
#include "unit/params-read.h"

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
        {"[{\"type\":\"web_search_call\",\"id\":\"w\"}]", "input[0].type"},
        {"[{\"type\":\"reasoning\",\"summary\":[]}]", "input"}, /* and nothing to answer */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[400];
        snprintf(body, sizeof body, "{\"input\":%s}", bad[i].input);
        refuse_body(FOR_RESPONSES, body, bad[i].param);
    }
    refuse_body(FOR_RESPONSES, "{\"instructions\":\"x\"}", "input");

    /* A thought of an earlier answer is left out, wherever it stands. */
    ck_assert_int_eq(
        read_body(FOR_RESPONSES,
                  "{\"input\":[{\"role\":\"user\",\"content\":\"a\"},"
                  "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"content\":["
                  "{\"type\":\"reasoning_text\",\"text\":\"hm\"}]},"
                  "{\"role\":\"assistant\",\"content\":\"b\"},"
                  "{\"role\":\"user\",\"content\":\"c\"}]}"),
        0);
    ck_assert_uint_eq(p.n_messages, 3);
    ck_assert_str_eq(p.message[1].content, "b");
    params_fini(&p);

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

/* Bodies that make all readers of fields take memory. */
#define PARAMETERS "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}"
static const struct {
    enum params_endpoint endpoint;
    const char *body;
} hungry[] = {
    {FOR_COMPLETIONS, "{\"prompt\":[\"a\",\"b\"],\"model\":\"m\",\"stop\":[\"x\",\"y\"],"
                      "\"logit_bias\":{\"1\":1},\"stop_token_ids\":[1],\"unknown\":1}"},
    {FOR_COMPLETIONS, "{\"prompt\":[[1,2],[3]]}"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"suffix\":\"y\",\"cache_salt\":\"s\","
                      "\"structured_outputs\":{\"choice\":[\"a\",\"b\"]}}"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"grammar\":\"root ::= [a-z]\",\"service_tier\":\"flex\"}"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"guided_regex\":\"a+\"}"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"s\"}]},"
     "{\"role\":\"user\",\"name\":\"n\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":"
     "null,"
     "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{\\\"a\\\":[1,\\\"x\\\"]}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\","
     "\"content\":\"r\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"description\":\"d\",\"parameters\":" PARAMETERS ",\"strict\":true}}],"
     "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
     "\"chat_template_kwargs\":{\"k\":[1,\"x\",{\"b\":null}]}}"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":"
               "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,"
               "\"schema\":" PARAMETERS "}}}"},
    {FOR_TEMPLATE, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                   "\"chat_template_kwargs\":{\"a\":1}}"},
    {FOR_RESPONSES, "{\"input\":[{\"role\":\"user\",\"content\":\"x\"}],\"instructions\":\"i\","
                    "\"metadata\":{\"a\":\"b\"},\"text\":{\"verbosity\":\"low\"},\"user\":\"u\"}"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"reasoning\":{\"effort\":\"low\",\"summary\":null}}"},
    {FOR_RESPONSES,
     "{\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
     "\"text\":\"x\"}]},{\"type\":\"reasoning\",\"summary\":[]},{\"type\":\"function_call\","
     "\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call\","
     "\"call_id\":\"c2\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\","
     "\"call_id\":\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":\"r\"}]},"
     "{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"r\"}],"
     "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":" PARAMETERS "}],"
     "\"tool_choice\":\"auto\",\"parallel_tool_calls\":false}"},
    {FOR_RESPONSES,
     "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\","
     "\"schema\":" PARAMETERS "}}}"},
    {FOR_EMBEDDINGS, "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\"}"},
    {FOR_EMBEDDINGS, "{\"input\":[1,2,3]}"},
    {FOR_TOKENIZE, "{\"content\":\"x\"}"},
    {FOR_DETOKENIZE, "{\"tokens\":[1,2]}"},
};

/* Every allocation may fail; nothing is lost, nothing is freed twice. */
START_TEST(test_no_memory)
{
    unsigned n = 1;
    model.calls = chat_calls_form("hermes");
    model.n_hidden = 64;
    model.infills = true;
    for (;; n++) {
        buf_free(&ignored);
        mem_fail_at(n);
        int rc = read_body(hungry[_i].endpoint, hungry[_i].body);
        bool pending = mem_fail_pending();
        mem_fail_at(0);
        params_fini(&p);
        if (pending) {
            ck_assert_msg(rc == 0, "%s: %s", hungry[_i].body, problem.text);
            break;
        }
        ck_assert_msg(rc == -TRIT_ENOMEM || ignored.failed, "allocation %u of %s: %d %s", n,
                      hungry[_i].body, rc, problem.text);
    }
    ck_assert_uint_gt(n, 4);
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
    tcase_add_test(tc, test_prompts);
    tcase_add_test(tc, test_messages);
    tcase_add_test(tc, test_input);
    tcase_add_test(tc, test_values);
    tcase_add_test(tc, test_priority);
    tcase_add_test(tc, test_ignored);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_choice_seeds);
    tcase_add_loop_test(tc, test_no_memory, 0, ARRAY_LEN(hungry));
    tcase_add_test(tc, test_table);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
