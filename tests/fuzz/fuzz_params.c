/* SPDX-License-Identifier: MIT */
/*
 * fuzz_params.c - a body for an endpoint: the first byte says which, the rest is read by the scan,
 * cJSON and the table of fields.  What they accept is within the limits that the engine counts on.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "model/chat.h"
#include "server/json.h"
#include "server/params.h"
#include "server/problem.h"

enum { VOCAB = 1000 };

static void check(const struct params *p)
{
    trit_assert(p->n >= 1 && p->n <= PARAMS_CHOICES);
    trit_assert(p->n_prompts <= MAX((int)PARAMS_PROMPTS, (int)PARAMS_INPUTS));
    trit_assert(p->temperature >= 0 && p->temperature <= 2);
    trit_assert(p->top_p > 0 && p->top_p <= 1 && p->min_p >= 0 && p->min_p <= 1);
    trit_assert(p->repetition_penalty > 0 && p->repetition_penalty <= 2);
    trit_assert(fabs(p->presence_penalty) <= 2 && fabs(p->frequency_penalty) <= 2);
    trit_assert(p->max_tokens >= -1 && p->max_tokens <= INT32_MAX);
    trit_assert(p->timeout >= 0 && p->timeout <= PARAMS_TIMEOUT);
    trit_assert(p->n_bias <= PARAMS_BIASES && p->n_stop_ids <= PARAMS_STOP_IDS);
    trit_assert(p->top_logprobs >= -1 && p->top_logprobs <= PARAMS_TOP);
    for (size_t i = 0; i < p->n_prompts; i++) {
        const struct params_prompt *q = &p->prompt[i];
        trit_assert(!q->text || utf8_valid(q->text, q->len));
        for (size_t k = 0; k < q->n_ids; k++)
            trit_assert(q->ids[k] >= 0 && q->ids[k] < VOCAB);
    }
    for (size_t i = 0; i < p->n_stop_ids; i++)
        trit_assert(p->stop_ids[i] >= 0 && p->stop_ids[i] < VOCAB);
    for (size_t i = 0; i < p->n_tokens; i++)
        trit_assert(p->tokens[i] >= 0 && p->tokens[i] < VOCAB);
    for (size_t i = 0; i < p->n_messages; i++)
        trit_assert(p->message[i].role &&
                    utf8_valid(p->message[i].content, p->message[i].content_len));
}

FUZZ(params)
{
    static const char *const forms[] = {"hermes", "llama", "mistral", "own"};
    const struct params_model model = {
        .vocab = VOCAB,
        .n_hidden = 64,
        .calls = chat_calls_form(forms[len % ARRAY_LEN(forms)]),
        .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}};
    unsigned endpoint = 1u << fuzz_byte(&bytes, &len) % 7;
    const char *text = (const char *)bytes;
    struct params p;
    struct problem problem = {0};
    struct buf ignored = {0};
    struct trit_error err;
    int scan = json_check(text, len, &err);
    int rc = params_read(&p, endpoint, text, len, &model, &ignored, &problem);
    if (rc == 0) {
        trit_assert(scan == 0);
        check(&p);
    } else {
        struct buf out = {0};
        trit_assert(problem.status >= 400 && *problem.text);
        problem_write(&problem, &out);
        trit_assert(json_check(out.data, out.len, &err) == 0);
        buf_free(&out);
    }
    for (size_t i = 0; i < ignored.len; i++)
        trit_assert(ignored.data[i] > ' ' && ignored.data[i] < 127);
    buf_free(&ignored);
    params_fini(&p);
    return 0;
}
