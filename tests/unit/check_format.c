/* SPDX-License-Identifier: MIT */
/*
 * check_format.c - OpenAI's shapes, to the byte.
 *
 * Token pieces come from the tests' small model: ids 0 to 255 are the bytes, 270 is " w", 276 is
 * "ll", 507 and up are control tokens.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "engine/seq.h"
#include "server/format.h"
#include "server/json.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "unit/unit.h"

static struct tok *tok;
static struct buf out;
static const struct format_head chat = {.chat = true,
                                        .id = "chatcmpl-1",
                                        .created = 7,
                                        .model = "m",
                                        .fingerprint = "f",
                                        .service_tier = "flex"};
static const struct format_head completion = {
    .id = "cmpl-1", .created = 7, .model = "m", .fingerprint = "f"};

static void open_tok(void)
{
    const char *srcdir = getenv("srcdir");
    char path[512];
    struct gguf *g;
    struct trit_error err = {0};
    snprintf(path, sizeof path, "%s/tests/golden/models/b158.tq1_0.gguf", srcdir ? srcdir : ".");
    ck_assert_msg(gguf_open(path, &g, &err) == 0, "%s", err.text);
    ck_assert_msg(tok_open(g, 512, &tok, &err) == 0, "%s", err.text);
    gguf_close(&g);
}

static void close_tok(void)
{
    tok_close(&tok);
    buf_free(&out);
}

/* Compare with the start of what was written, and forget it. */
#define ck_out(text)                                                                               \
    do {                                                                                           \
        ck_assert_str_eq(out.data, text);                                                          \
        buf_reset(&out);                                                                           \
    } while (0)

static struct seq_logprob *make_logprob(float logprob, uint32_t n, const struct sampler_top *top)
{
    struct seq_logprob *lp = mem_zalloc(1, sizeof *lp + n * sizeof *top);
    lp->logprob = logprob;
    lp->n_top = n;
    if (n)
        memcpy(lp->top, top, n * sizeof *top);
    return lp;
}

START_TEST(test_whole)
{
    struct json_out o = {.buf = &out};
    struct format_usage usage = {.prompt = 3, .completion = 2, .cached = 1, .joules = 0.0125};
    format_begin(&o, &chat, false);
    format_choice(
        &o, &chat,
        &(struct format_choice){.index = 1, .text = "a\"b\n", .len = 4, .finish_reason = "stop"});
    format_end(&o, &usage);
    ck_out("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\","
           "\"system_fingerprint\":\"f\",\"service_tier\":\"flex\",\"choices\":[{\"index\":1,"
           "\"message\":{\"role\":"
           "\"assistant\",\"content\":\"a\\\"b\\n\",\"refusal\":null,\"annotations\":[]},"
           "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
           "\"completion_tokens\":2,\"total_tokens\":5,\"prompt_tokens_details\":{"
           "\"cached_tokens\":1,\"audio_tokens\":0},\"completion_tokens_details\":{"
           "\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
           "\"rejected_prediction_tokens\":0},"
           "\"tritd\":{\"energy_joules\":0.013}}}");

    o = (struct json_out){.buf = &out};
    format_begin(&o, &completion, false);
    for (uint32_t i = 0; i < 2; i++)
        format_choice(
            &o, &completion,
            &(struct format_choice){.index = i, .text = "x", .len = 1, .finish_reason = "length"});
    format_end(&o, &usage);
    ck_assert_ptr_nonnull(strstr(
        out.data, "\"object\":\"text_completion\",\"created\":7,\"model\":\"m\","
                  "\"system_fingerprint\":\"f\",\"choices\":[{\"index\":0,\"text\":\"x\",\"logprobs"
                  "\":null,\"finish_reason\":\"length\"},{\"index\":1,\"text\":\"x\","));
    ck_assert_int_eq(json_check(out.data, out.len, NULL), 0);
}
END_TEST

/* Whatever the text, an event's length is a multiple; the whole is JSON with one more member. */
START_TEST(test_obfuscation)
{
    struct format_head h = chat;
    char text[200];
    memset(text, '"', sizeof text);
    h.obfuscate = true;
    buf_adds(&out, ": ping\n\n"); /* what is there already does not count */
    for (size_t len = 0; len < sizeof text; len++) {
        size_t start = out.len;
        format_delta_event(&out, &h, &(struct format_choice){.text = text, .len = len});
        size_t n = out.len - start;
        ck_assert_uint_eq(n % FORMAT_PAD, 0);
        ck_assert_int_eq(json_check(out.data + start + 6, n - 8, NULL), 0);
        ck_assert_ptr_nonnull(strstr(out.data + start, "],\"obfuscation\":\""));
    }
}
END_TEST

START_TEST(test_chat_stream)
{
    struct format_head h = chat;
    format_role_event(&out, &h, 0);
    ck_out("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,"
           "\"model\":\"m\",\"system_fingerprint\":\"f\",\"service_tier\":\"flex\",\"choices\":[{"
           "\"index\":0,\"delta\":{"
           "\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}"
           "\n\n");
    h.include_usage = true;
    format_delta_event(&out, &h, &(struct format_choice){.index = 2, .text = "Hel", .len = 3});
    ck_out("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,"
           "\"model\":\"m\",\"system_fingerprint\":\"f\",\"service_tier\":\"flex\",\"choices\":[{"
           "\"index\":2,\"delta\":{"
           "\"content\":\"Hel\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
    format_delta_event(&out, &h, &(struct format_choice){.text = "", .finish_reason = "stop"});
    ck_out("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,"
           "\"model\":\"m\",\"system_fingerprint\":\"f\",\"service_tier\":\"flex\",\"choices\":[{"
           "\"index\":0,\"delta\":{},"
           "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null}\n\n");
    format_usage_event(&out, &h,
                       &(struct format_usage){.prompt = 1, .completion = 2, .joules = -1});
    ck_out("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,"
           "\"model\":\"m\",\"system_fingerprint\":\"f\",\"service_tier\":\"flex\",\"choices\":[],"
           "\"usage\":{"
           "\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,"
           "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
           "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
           "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}\n\n");
    format_done_event(&out);
    ck_out("data: [DONE]\n\n");
}
END_TEST

START_TEST(test_completion_stream)
{
    format_delta_event(&out, &completion, &(struct format_choice){.text = "a\nb", .len = 3});
    ck_out("data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\","
           "\"system_fingerprint\":\"f\",\"choices\":[{\"index\":0,\"text\":\"a\\nb\","
           "\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    format_delta_event(&out, &completion,
                       &(struct format_choice){.text = "", .finish_reason = "length"});
    ck_assert_ptr_nonnull(
        strstr(out.data, "\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n"));
}
END_TEST

/* The part of a delta between "logprobs": and ,"finish_reason". */
static const char *logprobs_of(const struct format_head *h, const struct format_logprobs *l)
{
    static char text[4096];
    buf_reset(&out);
    format_delta_event(&out, h, &(struct format_choice){.text = "x", .len = 1, .logprobs = l});
    const char *from = strstr(out.data, "\"logprobs\":") + strlen("\"logprobs\":");
    const char *to = strstr(from, ",\"finish_reason\"");
    snprintf(text, sizeof text, "%.*s", (int)(to - from), from);
    ck_assert_int_eq(json_check(text, strlen(text), NULL), 0);
    return text;
}

START_TEST(test_chat_logprobs)
{
    open_tok();
    static const struct sampler_top top[] = {{276, -0.5f}, {0xc3, -INFINITY}};
    struct seq_logprob *with = make_logprob(-0.5f, 2, top), *without = make_logprob(NAN, 0, NULL);
    struct format_token token[] = {{.id = 276, .logprob = with}, {.id = 270, .logprob = without}};
    struct format_logprobs l = {.tok = tok, .n_top = 2, .token = token, .n = 2};
    ck_assert_str_eq(
        logprobs_of(&chat, &l),
        "{\"content\":[{\"token\":\"ll\",\"logprob\":-0.5,\"bytes\":[108,108],\"top_logprobs\":["
        "{\"token\":\"ll\",\"logprob\":-0.5,\"bytes\":[108,108]},"
        "{\"token\":\"\xef\xbf\xbd\",\"logprob\":-9999.0,\"bytes\":[195]}]},"
        "{\"token\":\" w\",\"logprob\":-9999.0,\"bytes\":[32,119],\"top_logprobs\":[]}],"
        "\"refusal\":null}");
    l.as_ids = true;
    l.n = 1;
    ck_assert_str_eq(
        logprobs_of(&chat, &l),
        "{\"content\":[{\"token\":\"token_id:276\",\"logprob\":-0.5,\"bytes\":[108,108],"
        "\"top_logprobs\":[{\"token\":\"token_id:276\",\"logprob\":-0.5,\"bytes\":[108,108]},"
        "{\"token\":\"token_id:195\",\"logprob\":-9999.0,\"bytes\":[195]}]}],\"refusal\":null}");
    mem_free(with);
    mem_free(without);
    close_tok();
}
END_TEST

START_TEST(test_completion_logprobs)
{
    open_tok();
    static const struct sampler_top top[] = {{'a', -0.25f}, {0xc3, -1}, {0xe2, -2}, {'b', -3}};
    struct seq_logprob *among = make_logprob(-1, 4, top), *outside = make_logprob(-9, 1, top);
    struct seq_logprob *none = make_logprob(-0.125f, 0, NULL);
    struct format_token token[] = {{.id = 507},
                                   {.id = 0xc3, .logprob = among, .offset = 4},
                                   {.id = 'z', .logprob = outside, .offset = 5},
                                   {.id = 276, .logprob = none, .offset = 6}};
    struct format_logprobs l = {.tok = tok, .n_top = 4, .token = token, .n = 4};
    /* The two lone lead bytes have one name, which stands for the more likely; the token itself is
     * added where it is not among the alternatives. */
    ck_assert_str_eq(logprobs_of(&completion, &l),
                     "{\"tokens\":[\"<|begin_of_text|>\",\"\xef\xbf\xbd\",\"z\",\"ll\"],"
                     "\"token_logprobs\":[null,-1,-9,-0.125],"
                     "\"top_logprobs\":[null,{\"a\":-0.25,\"\xef\xbf\xbd\":-1,\"b\":-3},"
                     "{\"a\":-0.25,\"z\":-9},{\"ll\":-0.125}],\"text_offset\":[0,4,5,6]}");
    l.as_ids = true;
    l.token = &token[1];
    l.n = 1;
    ck_assert_str_eq(logprobs_of(&completion, &l),
                     "{\"tokens\":[\"token_id:195\"],\"token_logprobs\":[-1],\"top_logprobs\":[{"
                     "\"token_id:97\":-0.25,\"token_id:195\":-1,\"token_id:226\":-2,"
                     "\"token_id:98\":-3}],\"text_offset\":[4]}");
    /* Fewer alternatives asked for than there are. */
    l.as_ids = false;
    l.n_top = 1;
    ck_assert_str_eq(logprobs_of(&completion, &l),
                     "{\"tokens\":[\"\xef\xbf\xbd\"],\"token_logprobs\":[-1],\"top_logprobs\":[{"
                     "\"a\":-0.25,\"\xef\xbf\xbd\":-1}],\"text_offset\":[4]}");
    mem_free(among);
    mem_free(outside);
    mem_free(none);
    close_tok();
}
END_TEST

START_TEST(test_pieces)
{
    open_tok();
    size_t len;
    ck_assert_mem_eq(format_answer_piece(tok, 276, &len), "ll", 2);
    ck_assert_uint_eq(len, 2);
    (void)format_answer_piece(tok, 509, &len);
    ck_assert_uint_eq(len, 0); /* a control token says nothing in an answer */
    const int32_t twice[] = {tok_bos(tok), tok_bos(tok)}, eot[] = {509};
    (void)format_prompt_piece(tok, twice, 0, &len);
    ck_assert_uint_eq(len, 0);
    ck_assert_mem_eq(format_prompt_piece(tok, twice, 1, &len), "<|begin_of_text|>", 17);
    ck_assert_uint_eq(len, 17);
    ck_assert_mem_eq(format_prompt_piece(tok, eot, 0, &len), "<|eot_id|>", 10);

    struct tok_stream s = {0};
    ck_assert_uint_eq(format_count_chars(&s, "ab\xc3", 3, &out), 2);
    ck_assert_uint_eq(format_count_chars(&s, "\xa9", 1, &out), 1);
    ck_assert_uint_eq(format_count_chars(&s, "\xf0\x9f", 2, &out), 0);
    ck_assert_uint_eq(format_count_chars(&s, "x", 1, &out), 2);
    close_tok();
}
END_TEST

START_TEST(test_problem)
{
    struct problem p;
    ck_assert_int_eq(problem_set(&p, TRIT_EINVAL, "a.b", "found \"%s\"", "x\n\xff"), -TRIT_EINVAL);
    problem_write(&p, &out);
    ck_out("{\"error\":{\"message\":\"found \\\"x\\n\xef\xbf\xbd\\\"\",\"type\":"
           "\"invalid_request_error\",\"param\":\"a.b\",\"code\":null}}");
    problem_set(&p, TRIT_ECONTEXT, NULL, "too long");
    p.n_prompt = 9;
    p.n_ctx = 8;
    problem_write(&p, &out);
    ck_out("{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"param\":null,"
           "\"code\":\"context_length_exceeded\",\"n_prompt_tokens\":9,\"n_ctx\":8}}");
    struct trit_error err = {.text = "from below"};
    ck_assert_int_eq(problem_from(&p, -TRIT_EBUSY, NULL, &err), -TRIT_EBUSY);
    ck_assert_int_eq(p.status, 429);
    format_problem_event(&out, &p);
    ck_out("data: {\"error\":{\"message\":\"from below\",\"type\":\"rate_limit_error\",\"param\":"
           "null,\"code\":\"slow_down\"}}\n\n");
    char param[300];
    memset(param, 'p', sizeof param - 1);
    param[sizeof param - 1] = '\0';
    problem_set(&p, TRIT_EINVAL, param, "%s%s", param, param);
    problem_write(&p, &out);
    ck_assert_int_eq(json_check(out.data, out.len, NULL), 0);
    buf_free(&out);
}
END_TEST

/* Before there is an engine the page is short, but whole. */
START_TEST(test_metrics)
{
    static struct metrics m;
    m.http[ROUTE_CHAT][200] = 3;
    m.finished[1][FINISH_STOP] = 2;
    m.cancelled[CANCELLED_DISCONNECT] = 1;
    struct metrics_page page = {.counted = &m, .kernels = "scalar"};
    metrics_write(&page, &out);
    metrics_write_process(&out);
    ck_assert(!out.failed);
    static const char *const lines[] = {
        "\ntritd_ready 0\n",
        "\ntritd_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 3\n",
        "\ntritd_requests_total{endpoint=\"chat\",finish_reason=\"stop\"} 2\n",
        "\ntritd_requests_total{endpoint=\"completions\",finish_reason=\"stop\"} 0\n",
        "\ntritd_cancelled_total{reason=\"disconnect\"} 1\n",
        "\nprocess_open_fds ",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_start_time_seconds ",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        ck_assert_msg(strstr(out.data, lines[i]) != NULL, "no line %s", lines[i]);
    ck_assert_ptr_null(strstr(out.data, "tritd_requests_running"));
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *tc = tcase_create("format");
    tcase_add_test(tc, test_whole);
    tcase_add_test(tc, test_chat_stream);
    tcase_add_test(tc, test_obfuscation);
    tcase_add_test(tc, test_completion_stream);
    tcase_add_test(tc, test_chat_logprobs);
    tcase_add_test(tc, test_completion_logprobs);
    tcase_add_test(tc, test_pieces);
    tcase_add_test(tc, test_problem);
    tcase_add_test(tc, test_metrics);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
