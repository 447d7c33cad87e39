/* SPDX-License-Identifier: MIT */
/*
 * check_responses.c - the Response object and its events, to the byte.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/format.h"
#include "server/json.h"
#include "server/problem.h"
#include "server/responses.h"
#include "unit/unit.h"

static struct buf out;
static const char *echo[RESPONSES_ECHOES];
static const struct responses_head head = {.id = "resp_1",
                                           .item_id = "msg_1",
                                           .created = 7,
                                           .model = "m",
                                           .service_tier = "default",
                                           .echo = echo,
                                           .temperature = 0.5,
                                           .top_p = 1,
                                           .max_output_tokens = -1};

/* What every object has between its output and its usage. */
#define SETTINGS                                                                                   \
    "\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,"                          \
    "\"prompt_cache_key\":null,\"prompt_cache_retention\":null,"                                   \
    "\"reasoning\":{\"effort\":null,\"summary\":null},\"safety_identifier\":null,"                 \
    "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],"             \
    "\"truncation\":\"disabled\",\"user\":null,\"conversation\":null,"                             \
    "\"previous_response_id\":null,\"prompt\":null,\"background\":false,\"store\":false,"          \
    "\"temperature\":0.5,\"top_p\":1,\"presence_penalty\":0,\"frequency_penalty\":0,"              \
    "\"top_logprobs\":0,\"max_output_tokens\":null,\"service_tier\":\"default\""

#define ck_out(text)                                                                               \
    do {                                                                                           \
        ck_assert_str_eq(out.data, text);                                                          \
        buf_reset(&out);                                                                           \
    } while (0)

static void put(const struct responses_head *h, const struct responses_body *b)
{
    struct json_out o = {.buf = &out};
    responses_object(&o, h, b);
    ck_assert_int_eq(json_check(out.data, out.len, NULL), 0);
}

START_TEST(test_object)
{
    struct format_usage usage = {.prompt = 70, .completion = 2, .cached = 32, .joules = 0.0125};
    struct responses_body b = {.status = RESPONSES_COMPLETED,
                               .begun = true,
                               .text = "a\"b",
                               .len = 3,
                               .usage = &usage,
                               .completed = 9};
    put(&head, &b);
    ck_out("{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"completed_at\":9,"
           "\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"m\","
           "\"output\":[{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"status\":"
           "\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\\\"b\","
           "\"annotations\":[],\"logprobs\":[]}]}]," SETTINGS ",\"usage\":{\"input_tokens\":70,"
           "\"input_tokens_details\":{\"cached_tokens\":32,\"cache_write_tokens\":32},"
           "\"output_tokens\":2,\"output_tokens_details\":{\"reasoning_tokens\":0},"
           "\"total_tokens\":72,\"tritd\":{\"energy_joules\":0.013}}}");

    /* Cut short; and an answer without a word. */
    usage.joules = -1;
    b.status = RESPONSES_INCOMPLETE;
    b.text = NULL;
    b.len = 0;
    put(&head, &b);
    ck_assert_ptr_nonnull(strstr(out.data, "\"completed_at\":null,\"status\":\"incomplete\","
                                           "\"error\":null,\"incomplete_details\":{\"reason\":"
                                           "\"max_output_tokens\"}"));
    ck_assert_ptr_nonnull(strstr(out.data, "\"status\":\"incomplete\",\"content\":[{\"type\":"
                                           "\"output_text\",\"text\":\"\","));
    ck_assert_ptr_null(strstr(out.data, "tritd"));
    buf_reset(&out);

    struct problem p;
    problem_set(&p, TRIT_EFAULT, NULL, "broken");
    b.status = RESPONSES_FAILED;
    b.problem = &p;
    put(&head, &b);
    ck_assert_ptr_nonnull(strstr(out.data, "\"status\":\"failed\",\"error\":{\"code\":"
                                           "\"server_error\",\"message\":\"broken\"},"));
    ck_assert_ptr_nonnull(strstr(out.data, "\"role\":\"assistant\",\"status\":\"incomplete\""));
    buf_reset(&out);
    problem_set(&p, TRIT_EBUSY, NULL, "later");
    ck_assert_int_eq(p.status, 429);
    put(&head, &b);
    ck_assert_ptr_nonnull(strstr(out.data, "\"code\":\"rate_limit_exceeded\""));
    buf_reset(&out);
    problem_set(&p, TRIT_EINVAL, "input", "no");
    put(&head, &b);
    ck_assert_ptr_nonnull(strstr(out.data, "\"code\":\"invalid_prompt\""));
    buf_free(&out);
}
END_TEST

/* Thoughts and calls stand around the message; what is not whole says so. */
START_TEST(test_items)
{
    struct responses_head h = head;
    struct format_call call[] = {
        {.id = "call_a", .name = "f", .arguments = "{}", .len = 2, .whole = true},
        {.id = "b", .name = "g", .arguments = "{\"x", .len = 3}};
    struct responses_body b = {.status = RESPONSES_INCOMPLETE,
                               .begun = true,
                               .thought = "hm",
                               .thought_len = 2,
                               .thought_cut = true,
                               .call = call,
                               .n_calls = 2};
    h.thought = true;
    h.item_id = "7";
    h.message_at = 1;
    put(&h, &b);
    const char *thought = strstr(out.data, "\"id\":\"rs_7\",\"type\":\"reasoning\"");
    const char *whole = strstr(out.data, "\"id\":\"fc_a\",\"type\":\"function_call\"");
    const char *message = strstr(out.data, "\"id\":\"7\",\"type\":\"message\"");
    const char *cut = strstr(out.data, "\"id\":\"fc_b\",\"type\":\"function_call\"");
    ck_assert_ptr_nonnull(thought);
    ck_assert(thought < whole && whole < message && message < cut);
    ck_assert_ptr_nonnull(strstr(thought, "\"status\":\"incomplete\"},{\"id\":\"fc_a\""));
    ck_assert_ptr_nonnull(strstr(whole, "\"arguments\":\"{}\",\"status\":\"completed\"}"));
    ck_assert_ptr_nonnull(strstr(cut, "\"arguments\":\"{\\\"x\",\"status\":\"incomplete\"}"));
    /* Without a word the message is left out. */
    b.begun = b.thought_cut = false;
    b.thought = NULL;
    b.thought_len = 0;
    buf_reset(&out);
    put(&h, &b);
    ck_assert_ptr_null(strstr(out.data, "\"type\":\"message\""));
    ck_assert_ptr_nonnull(strstr(out.data, "\"text\":\"\"}],\"status\":\"completed\"}"));
    buf_free(&out);
}
END_TEST

START_TEST(test_echoes)
{
    struct responses_head h = head;
    const char *given[RESPONSES_ECHOES] = {0};
    ck_assert_int_eq(responses_echo("temperature"), -1);
    given[responses_echo("metadata")] = "{\"k\":\"v\"}";
    given[responses_echo("user")] = "\"u\"";
    h.echo = given;
    h.max_output_tokens = 5;
    put(&h, &(struct responses_body){.status = RESPONSES_IN_PROGRESS});
    ck_assert_ptr_nonnull(strstr(out.data, "\"metadata\":{\"k\":\"v\"},\"parallel_tool_calls\":"));
    ck_assert_ptr_nonnull(strstr(out.data, "\"user\":\"u\",\"conversation\":null"));
    ck_assert_ptr_nonnull(strstr(out.data, "\"max_output_tokens\":5,"));
    ck_assert_ptr_nonnull(strstr(out.data, "\"output\":[],"));
    ck_assert_ptr_nonnull(strstr(out.data, ",\"usage\":null}"));
    buf_free(&out);
}
END_TEST

START_TEST(test_events)
{
    uint64_t n = 0;
    struct responses_body b = {
        .status = RESPONSES_COMPLETED, .begun = true, .text = "hi", .len = 2, .completed = 8};
    responses_created_events(&out, &head, &n);
#define BEGUN                                                                                      \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"completed_at\":null,"           \
    "\"status\":\"in_progress\",\"error\":null,\"incomplete_details\":null,\"model\":\"m\","       \
    "\"output\":[]," SETTINGS ",\"usage\":null}"
    ck_out("event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,"
           "\"response\":" BEGUN "}\n\n"
           "event: response.in_progress\ndata: {\"type\":\"response.in_progress\","
           "\"sequence_number\":1,\"response\":" BEGUN "}\n\n");
    responses_added_events(&out, &head, &n);
    ck_out("event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\","
           "\"sequence_number\":2,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":"
           "\"message\",\"role\":\"assistant\",\"status\":\"in_progress\",\"content\":[]}}\n\n"
           "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\","
           "\"sequence_number\":3,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"
           "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],\"logprobs\":[]}}"
           "\n\n");
    responses_delta_event(&out, &head, "hi\n", 3, NULL, &n);
    ck_out("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
           "\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"
           "\"delta\":\"hi\\n\",\"logprobs\":[]}\n\n");
    responses_end_event(&out, &head, &b, RESPONSES_TEXT_DONE, &n);
    ck_out("event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\","
           "\"sequence_number\":5,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"
           "\"text\":\"hi\",\"logprobs\":[]}\n\n");
    responses_end_event(&out, &head, &b, RESPONSES_PART_DONE, &n);
    ck_out("event: response.content_part.done\ndata: {\"type\":\"response.content_part.done\","
           "\"sequence_number\":6,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"
           "\"part\":{\"type\":\"output_text\",\"text\":\"hi\",\"annotations\":[],\"logprobs\":[]}}"
           "\n\n");
    responses_end_event(&out, &head, &b, RESPONSES_ITEM_DONE, &n);
    ck_out("event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\","
           "\"sequence_number\":7,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":"
           "\"message\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":"
           "\"output_text\",\"text\":\"hi\",\"annotations\":[],\"logprobs\":[]}]}}\n\n");
    static const struct {
        enum responses_status status;
        const char *begins;
    } ends[] = {
        {RESPONSES_COMPLETED, "event: response.completed\ndata: {\"type\":\"response.completed\","},
        {RESPONSES_INCOMPLETE, "event: response.incomplete\ndata: {\"type\":\"response.inc"},
        {RESPONSES_FAILED, "event: response.failed\ndata: {\"type\":\"response.failed\","}};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        b.status = ends[i].status;
        responses_end_event(&out, &head, &b, RESPONSES_DONE, &n);
        ck_assert(strncmp(out.data, ends[i].begins, strlen(ends[i].begins)) == 0);
        buf_reset(&out);
    }
    ck_assert_uint_eq(n, 11);
    buf_free(&out);
}
END_TEST

/* OpenAI's fields, and the member for which the SDKs raise an exception. */
START_TEST(test_error)
{
    uint64_t n = 0;
    struct problem p;
    problem_set(&p, TRIT_EINVAL, "input", "input: \"bad\"");
    responses_error_event(&out, &p, &n);
    ck_out("event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":null,"
           "\"message\":\"input: \\\"bad\\\"\",\"param\":\"input\",\"error\":{\"message\":"
           "\"input: \\\"bad\\\"\",\"type\":\"invalid_request_error\",\"param\":\"input\","
           "\"code\":null}}\n\n");
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("responses");
    TCase *tc = tcase_create("responses");
    tcase_add_test(tc, test_object);
    tcase_add_test(tc, test_items);
    tcase_add_test(tc, test_echoes);
    tcase_add_test(tc, test_events);
    tcase_add_test(tc, test_error);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
