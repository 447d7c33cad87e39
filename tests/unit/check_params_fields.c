/* SPDX-License-Identifier: MIT */
/*
 * check_params_fields.c - every field of every endpoint by itself: its edges and wrong types, and
 * that each refusal names the field.
 */
#include "config.h"

#include "unit/params-read.h"

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
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_object\",\"schema\":null}"},
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"strict\":null,"
               "\"schema\":{}}}"},
    {FOR_CHAT, "\"function_call\":\"auto\""},
    {FOR_CHAT, "\"reasoning_format\":\"auto\""},
    {FOR_CHAT, "\"reasoning_format\":\"deepseek\""},
    {FOR_CHAT, "\"reasoning_format\":\"none\""},
    {FOR_COMPLETIONS, "\"structured_outputs\":{\"grammar\":\"root ::= x\"}"},
    {FOR_COMPLETIONS, "\"structured_outputs\":{\"json_object\":true}"},
    {FOR_COMPLETIONS, "\"structured_outputs\":{\"json_object\":false,\"choice\":[\"x\"]}"},
    {FOR_RESPONSES, "\"text\":{\"format\":null,\"verbosity\":null}"},
    {FOR_RESPONSES, "\"include\":[\"message.output_text.logprobs\","
                    "\"reasoning.encrypted_content\"]"},
    {FOR_COMPLETIONS, "\"grammar\":\"root ::= x\""},
    {FOR_COMPLETIONS, "\"regex\":\"x\""},
    {FOR_COMPLETIONS, "\"json_schema\":{}"},
    {FOR_COMPLETIONS, "\"guided_json\":\"{}\""},
    {FOR_COMPLETIONS, "\"guided_json\":{}"},
    {FOR_COMPLETIONS, "\"guided_regex\":\"x\""},
    {FOR_RESPONSES, "\"grammar\":\"root ::= x\""},
    {FOR_RESPONSES, "\"text\":{\"format\":{\"type\":\"json_object\"}}"},
    {FOR_RESPONSES,
     "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"a\",\"schema\":{}}}"},
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
    {FOR_CHAT, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":null}}",
     "response_format.json_schema.schema"},
    {FOR_CHAT, "\"function_call\":\"f\"", "function_call"},
    {FOR_CHAT, "\"modalities\":[1]", "modalities"},
    {FOR_CHAT, "\"reasoning_format\":\"raw\"", "reasoning_format"},
    {FOR_COMPLETIONS, "\"structured_outputs\":{\"json_object\":1}",
     "structured_outputs.json_object"},
    {FOR_COMPLETIONS, "\"guided_choice\":\"x\"", "guided_choice"},
    {FOR_RESPONSES, "\"metadata\":{\"a\":1}", "metadata"},
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

int main(void)
{
    Suite *suite = suite_create("params_fields");
    TCase *tc = tcase_create("params_fields");
    model.calls = chat_calls_form("hermes");
    tcase_add_loop_test(tc, test_numbers, 0, (int)ARRAY_LEN(numbers));
    tcase_add_loop_test(tc, test_accepted, 0, (int)ARRAY_LEN(accepted));
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
