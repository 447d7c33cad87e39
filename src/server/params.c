/* SPDX-License-Identifier: MIT */
/*
 * params.c - the field table, and the rules between fields.
 *
 * The readers of fields that a row cannot describe are in params-readers.c.
 */
#include "config.h"
#include "server/params.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "server/json.h"
#include "server/params-readers.h"
#include "server/problem.h"

enum { T = FOR_COMPLETIONS, C = FOR_CHAT, TC = T | C, ALL = 31 };

#define AT(member) FIELD_AT(struct params, member)
#define INTEGER(name, on, lo, hi, to)                                                              \
    {                                                                                              \
        name, on, FIELD_INT, .min = (lo), .max = (hi), .at = AT(to)                                \
    }
#define NUMBER(name, on, lo, hi, to)                                                               \
    {                                                                                              \
        name, on, FIELD_NUMBER, .min = (lo), .max = (hi), .at = AT(to)                             \
    }
#define BOOL(name, on, to)                                                                         \
    {                                                                                              \
        name, on, FIELD_BOOL, .at = AT(to)                                                         \
    }
#define MIXED(name, on, reader)                                                                    \
    {                                                                                              \
        name, on, FIELD_MIXED, .read = reader                                                      \
    }
/* Known, of this type, and without effect on the answer. */
#define HARMLESS(field, where, kind)                                                               \
    {                                                                                              \
        .name = field, .on = where, .type = kind                                                   \
    }
#define REFUSED(name, on, reason)                                                                  \
    {                                                                                              \
        name, on, FIELD_REFUSE, .why = reason                                                      \
    }

static const char no_schema[] = "answers bound to a grammar or schema are not supported";
static const char no_tools[] = "tools are not supported; leave the field out";
static const char no_audio[] = "only text is supported";

static const struct field rows[] = {
    {"model", ALL, FIELD_MIXED, .read = params_read_model},

    /* What to go on from. */
    {"messages", C | FOR_TEMPLATE, FIELD_LIST, .required = true, .read = params_read_messages},
    {"prompt", T, FIELD_MIXED, .required = true, .read = params_read_prompt},
    {"content", FOR_TOKENIZE, FIELD_STRING, .required = true, .read = params_read_content},
    {"tokens", FOR_DETOKENIZE, FIELD_LIST, .required = true, .read = params_read_tokens},
    BOOL("echo", T, echo),
    BOOL("add_special_tokens", T, add_special),
    BOOL("add_special", FOR_TOKENIZE, add_special),
    BOOL("parse_special", FOR_TOKENIZE, parse_special),
    BOOL("with_pieces", FOR_TOKENIZE, with_pieces),
    BOOL("add_generation_prompt", FOR_TEMPLATE, add_generation_prompt),
    {"chat_template_kwargs", C | FOR_TEMPLATE, FIELD_OBJECT, .read = params_read_kwargs},

    /* How long. */
    INTEGER("max_tokens", TC, 0, INT32_MAX, max_tokens),
    INTEGER("max_completion_tokens", C, 0, INT32_MAX, max_completion_tokens),
    MIXED("stop", TC, params_read_stop),
    {"stop_token_ids", TC, FIELD_LIST, .read = params_read_stop_ids},
    BOOL("ignore_eos", TC, ignore_eos),
    {"timeout", TC, FIELD_NUMBER, .above = true, .max = PARAMS_TIMEOUT, .at = AT(timeout)},

    /* When, and beside whom. */
    {"priority", TC, FIELD_INT, .min = INT32_MIN, .max = INT32_MAX, .read = params_read_priority},
    {"service_tier", TC, FIELD_STRING, .read = params_read_tier},
    {"cache_salt", TC, FIELD_STRING, .read = params_read_salt},

    /* How to choose. */
    INTEGER("n", TC, 1, PARAMS_CHOICES, n),
    NUMBER("temperature", TC, 0, 2, temperature),
    {"top_p", TC, FIELD_NUMBER, .above = true, .max = 1, .at = AT(top_p)},
    NUMBER("min_p", TC, 0, 1, min_p),
    MIXED("top_k", TC, params_read_top_k),
    NUMBER("presence_penalty", TC, -2, 2, presence_penalty),
    NUMBER("frequency_penalty", TC, -2, 2, frequency_penalty),
    {"repetition_penalty", TC, FIELD_NUMBER, .above = true, .max = 2, .at = AT(repetition_penalty)},
    {"seed", TC, FIELD_SEED, .at = AT(seed)},
    {"logit_bias", TC, FIELD_OBJECT, .read = params_read_logit_bias},

    /* What to tell. */
    BOOL("stream", TC, stream),
    {"stream_options", TC, FIELD_OBJECT, .read = params_read_stream_options},
    BOOL("logprobs", C, want_logprobs),
    INTEGER("top_logprobs", C, 0, PARAMS_TOP, top_logprobs),
    INTEGER("logprobs", T, 0, PARAMS_TOP, top_logprobs),
    BOOL("return_tokens_as_token_ids", TC, as_token_ids),

    /* Of OpenAI's, with a value that asks for nothing or else refused. */
    {"response_format", TC, FIELD_OBJECT, .read = params_read_response_format},
    {"tools", C, FIELD_LIST, .read = params_read_empty_list},
    {"functions", C, FIELD_LIST, .read = params_read_empty_list},
    MIXED("tool_choice", C, params_read_tool_choice),
    MIXED("function_call", C, params_read_tool_choice),
    {"modalities", C, FIELD_LIST, .read = params_read_modalities},
    {"store", C, FIELD_BOOL, .read = params_read_store},
    INTEGER("best_of", T, 1, 20, best_of),
    {"suffix", T, FIELD_STRING, .read = params_read_suffix},
    REFUSED("audio", C, no_audio),
    REFUSED("web_search_options", C, no_tools),
    REFUSED("moderation", C, "moderation is not supported"),

    /* Of other servers, refused because an answer that ignores them is a wrong one. */
    REFUSED("grammar", TC, no_schema),
    REFUSED("json_schema", TC, no_schema),
    REFUSED("structured_outputs", TC, no_schema),
    REFUSED("guided_json", TC, no_schema),
    REFUSED("guided_regex", TC, no_schema),
    REFUSED("guided_choice", TC, no_schema),
    REFUSED("guided_grammar", TC, no_schema),

    HARMLESS("user", TC, FIELD_STRING),
    HARMLESS("metadata", TC, FIELD_OBJECT),
    HARMLESS("safety_identifier", TC, FIELD_STRING),
    HARMLESS("prompt_cache_key", TC, FIELD_STRING),
    HARMLESS("prompt_cache_retention", TC, FIELD_STRING),
    HARMLESS("prompt_cache_options", TC, FIELD_OBJECT),
    HARMLESS("prediction", C, FIELD_OBJECT),
    HARMLESS("verbosity", C, FIELD_STRING),
    HARMLESS("reasoning_effort", C, FIELD_STRING),
    HARMLESS("parallel_tool_calls", C, FIELD_BOOL),
};

static const struct field_table table = {rows, ARRAY_LEN(rows)};

const struct field_table *params_table(void)
{
    return &table;
}

/* ------------------------------------------------------------------ rules between fields */

static int check_logprobs(struct params *p, struct problem *problem)
{
    if (p->endpoint == FOR_COMPLETIONS) {
        p->want_logprobs = p->top_logprobs >= 0;
    } else if (p->top_logprobs > 0 && !p->want_logprobs) {
        return problem_set(problem, TRIT_EINVAL, "top_logprobs",
                           "top_logprobs: logprobs must be true for it");
    }
    p->top_logprobs = MAX(p->top_logprobs, 0);
    return 0;
}

static int check_max_tokens(struct params *p, struct problem *problem)
{
    const char *name = "max_tokens";
    if (p->max_completion_tokens >= 0) {
        name = "max_completion_tokens";
        if (p->max_tokens >= 0 && p->max_tokens != p->max_completion_tokens)
            return problem_set(problem, TRIT_EINVAL, name,
                               "max_tokens and max_completion_tokens are both given and differ");
        p->max_tokens = p->max_completion_tokens;
    }
    if (p->max_tokens == 0 && !p->echo)
        return problem_set(problem, TRIT_EINVAL, name,
                           "%s: found 0, expected at least 1 (0 only in a completion with echo)",
                           name);
    return 0;
}

static int check_together(struct params *p, struct problem *problem)
{
    if (p->endpoint != FOR_COMPLETIONS && p->endpoint != FOR_CHAT)
        return 0;
    int rc = check_logprobs(p, problem);
    if (rc == 0)
        rc = check_max_tokens(p, problem);
    if (rc)
        return rc;
    if (p->has_stream_options && !p->stream)
        return problem_set(problem, TRIT_EINVAL, "stream_options",
                           "stream_options: only allowed together with \"stream\": true");
    if (p->best_of > 1)
        return problem_set(problem, TRIT_EUNSUPP, "best_of",
                           "best_of: found %d, only 1 is supported", (int)p->best_of);
    if (p->ignore_eos && p->n_stop_ids)
        return problem_set(problem, TRIT_EINVAL, "ignore_eos",
                           "ignore_eos does not go together with stop_token_ids");
    if ((uint64_t)p->n * p->n_prompts > PARAMS_SEQUENCES)
        return problem_set(problem, TRIT_EINVAL, "n",
                           "n: %d answers to %zu prompts are more than %d in one request",
                           (int)p->n, p->n_prompts, PARAMS_SEQUENCES);
    return 0;
}

int params_read(struct params *p, enum params_endpoint endpoint, const char *text, size_t len,
                const struct params_model *model, struct buf *ignored, struct problem *problem)
{
    *p = (struct params){
        .endpoint = endpoint,
        .n = 1,
        .priority = SEQ_NORMAL,
        .max_tokens = -1,
        .max_completion_tokens = -1,
        .temperature = model->sampling.temperature,
        .top_p = model->sampling.top_p,
        .top_k = model->sampling.top_k,
        .min_p = model->sampling.min_p,
        .repetition_penalty = model->sampling.repetition_penalty,
        .top_logprobs = -1,
        .add_special = endpoint == FOR_COMPLETIONS,
        .parse_special = true,
        .add_generation_prompt = true,
    };
    struct trit_error err;
    cJSON *body;
    int rc = json_parse(text, len, &body, &err);
    if (rc)
        return problem_from(problem, rc, NULL, &err);
    rc = fields_read(&table, endpoint, body, text, len, p, model, ignored, problem);
    cJSON_Delete(body);
    return rc ? rc : check_together(p, problem);
}

void params_fini(struct params *p)
{
    for (size_t i = 0; i < p->n_prompts; i++) {
        mem_free(p->prompt[i].text);
        mem_free(p->prompt[i].ids);
    }
    mem_free(p->prompt);
    mem_free(p->message);
    buf_free(&p->words);
    jinja_pool_free(&p->values);
    mem_free(p->model);
    mem_free(p->cache_salt);
    mem_free(p->bias);
    mem_free(p->stop_ids);
    mem_free(p->tokens);
    text_stops_fini(&p->stops);
    *p = (struct params){0};
}

struct chat_talk params_talk(const struct params *p, const struct tm *now)
{
    return (struct chat_talk){
        .message = p->message,
        .n = p->n_messages,
        .add_prompt = p->add_generation_prompt,
        .kwargs = p->kwargs.type == JINJA_DICT ? &p->kwargs : NULL,
        .now = now,
    };
}

/* A step of splitmix64 for each choice; the first keeps the seed it was given. */
uint64_t params_choice_seed(uint64_t seed, uint32_t k)
{
    if (k == 0)
        return seed;
    uint64_t z = seed + k * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
