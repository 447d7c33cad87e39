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
#include "server/tools.h"

enum {
    T = FOR_COMPLETIONS,
    C = FOR_CHAT,
    R = FOR_RESPONSES,
    E = FOR_EMBEDDINGS,
    TC = T | C,
    CR = C | R,
    G = FOR_GENERATION,
    ALL = 127
};

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
/* Likewise, and repeated in the answer where that has a place for it. */
#define ECHOED(field, where, kind)                                                                 \
    {                                                                                              \
        .name = field, .on = where, .type = kind, .read = params_read_echoed                       \
    }
#define REFUSED(name, on, reason)                                                                  \
    {                                                                                              \
        name, on, FIELD_REFUSE, .why = reason                                                      \
    }

static const char no_search[] = "nothing is searched for; leave the field out";
static const char not_kept[] = "answers are not kept; send the whole conversation as input";
static const char no_audio[] = "only text is supported";

static const struct field rows[] = {
    {"model", ALL, FIELD_MIXED, .read = params_read_model},

    /* What to go on from. */
    {"messages", C | FOR_TEMPLATE, FIELD_LIST, .required = true, .read = params_read_messages},
    {"prompt", T, FIELD_MIXED, .required = true, .read = params_read_prompt},
    {"content", FOR_TOKENIZE, FIELD_STRING, .required = true, .read = params_read_content},
    {"tokens", FOR_DETOKENIZE, FIELD_LIST, .required = true, .read = params_read_tokens},
    {"input", R, FIELD_MIXED, .required = true, .read = params_read_input},
    {"instructions", R, FIELD_STRING, .read = params_read_instructions},
    BOOL("echo", T, echo),
    BOOL("add_special_tokens", T, add_special),
    BOOL("add_special", FOR_TOKENIZE, add_special),
    BOOL("parse_special", FOR_TOKENIZE, parse_special),
    BOOL("with_pieces", FOR_TOKENIZE, with_pieces),
    BOOL("add_generation_prompt", FOR_TEMPLATE, add_generation_prompt),
    {"chat_template_kwargs", CR | FOR_TEMPLATE, FIELD_OBJECT, .read = params_read_kwargs},

    /* Embeddings, with what else makes sense for them. */
    {"input", E, FIELD_MIXED, .required = true, .read = params_read_prompt},
    {"encoding_format", E, FIELD_STRING, .read = params_read_encoding},
    MIXED("dimensions", E, params_read_dimensions),
    BOOL("add_special_tokens", E, add_special),
    {"timeout", E, FIELD_NUMBER, .above = true, .max = PARAMS_TIMEOUT, .at = AT(timeout)},
    {"priority", E, FIELD_INT, .min = INT32_MIN, .max = INT32_MAX, .read = params_read_priority},
    {"service_tier", E, FIELD_STRING, .read = params_read_tier},
    {"cache_salt", E, FIELD_STRING, .read = params_read_salt},
    HARMLESS("user", E, FIELD_STRING),

    /* How long. */
    INTEGER("max_tokens", TC, 0, INT32_MAX, max_tokens),
    INTEGER("max_completion_tokens", C, 0, INT32_MAX, max_completion_tokens),
    INTEGER("max_output_tokens", R, 1, INT32_MAX, max_tokens),
    MIXED("stop", G, params_read_stop),
    {"stop_token_ids", G, FIELD_LIST, .read = params_read_stop_ids},
    BOOL("ignore_eos", G, ignore_eos),
    {"timeout", G, FIELD_NUMBER, .above = true, .max = PARAMS_TIMEOUT, .at = AT(timeout)},

    /* When, and beside whom. */
    {"priority", G, FIELD_INT, .min = INT32_MIN, .max = INT32_MAX, .read = params_read_priority},
    {"service_tier", G, FIELD_STRING, .read = params_read_tier},
    {"cache_salt", G, FIELD_STRING, .read = params_read_salt},

    /* How to choose. */
    INTEGER("n", TC, 1, PARAMS_CHOICES, n),
    INTEGER("n", R, 1, 1, n),
    NUMBER("temperature", G, 0, 2, temperature),
    {"top_p", G, FIELD_NUMBER, .above = true, .max = 1, .at = AT(top_p)},
    NUMBER("min_p", G, 0, 1, min_p),
    MIXED("top_k", G, params_read_top_k),
    NUMBER("presence_penalty", G, -2, 2, presence_penalty),
    NUMBER("frequency_penalty", G, -2, 2, frequency_penalty),
    {"repetition_penalty", G, FIELD_NUMBER, .above = true, .max = 2, .at = AT(repetition_penalty)},
    {"seed", G, FIELD_SEED, .at = AT(seed)},
    {"logit_bias", G, FIELD_OBJECT, .read = params_read_logit_bias},

    /* What to tell. */
    BOOL("stream", G, stream),
    {"stream_options", G, FIELD_OBJECT, .read = params_read_stream_options},
    {"reasoning_format", C, FIELD_STRING, .read = params_read_thoughts},
    BOOL("logprobs", C, want_logprobs),
    INTEGER("top_logprobs", CR, 0, PARAMS_TOP, top_logprobs),
    INTEGER("logprobs", T, 0, PARAMS_TOP, top_logprobs),
    {"include", R, FIELD_LIST, .read = params_read_include},
    BOOL("return_tokens_as_token_ids", G, as_token_ids),

    /* What to be bound to. */
    {"response_format", TC, FIELD_OBJECT, .read = params_read_response_format},
    MIXED("grammar", G, params_read_grammar),
    MIXED("regex", G, params_read_regex),
    MIXED("json_schema", G, params_read_json_schema),
    {"structured_outputs", G, FIELD_OBJECT, .read = params_read_structured_outputs},
    MIXED("guided_json", G, params_read_guided_json),
    MIXED("guided_regex", G, params_read_guided_regex),
    MIXED("guided_choice", G, params_read_guided_choice),
    MIXED("guided_grammar", G, params_read_guided_grammar),

    /* What to call. */
    {"tools", CR | FOR_TEMPLATE, FIELD_LIST, .read = params_read_tools},
    MIXED("tool_choice", CR | FOR_TEMPLATE, params_read_tool_choice),
    {"parallel_tool_calls", CR | FOR_TEMPLATE, FIELD_BOOL, .at = AT(parallel),
     .read = params_read_echoed},

    /* Of OpenAI's, with a value that asks for nothing or else refused. */
    {"functions", C, FIELD_LIST, .read = params_read_empty_list},
    MIXED("function_call", C, params_read_function_call),
    {"modalities", C, FIELD_LIST, .read = params_read_modalities},
    {"store", CR, FIELD_BOOL, .read = params_read_store},
    INTEGER("best_of", T, 1, PARAMS_BEST_OF, best_of),
    {"suffix", T, FIELD_STRING, .read = params_read_suffix},
    REFUSED("audio", C, no_audio),
    REFUSED("web_search_options", C, no_search),
    REFUSED("moderation", CR, "moderation is not supported"),

    /* Of the Responses API. */
    {"text", R, FIELD_OBJECT, .read = params_read_text},
    {"truncation", R, FIELD_STRING, .read = params_read_truncation},
    {"background", R, FIELD_BOOL, .read = params_read_background},
    {"context_management", R, FIELD_LIST, .read = params_read_context_management},
    {"reasoning", R, FIELD_OBJECT, .read = params_read_reasoning},
    REFUSED("previous_response_id", R, not_kept),
    REFUSED("conversation", R, not_kept),
    REFUSED("prompt", R, "prompts are not kept here; send the text as input and instructions"),
    REFUSED("messages", R, "its name here is input"),
    REFUSED("max_tokens", R, "its name here is max_output_tokens"),
    REFUSED("max_completion_tokens", R, "its name here is max_output_tokens"),
    REFUSED("response_format", R, "its name here is text.format"),
    REFUSED("reasoning_effort", R, "its name here is reasoning.effort"),

    /* Without effect; an answer of the Responses API repeats them. */
    ECHOED("user", G, FIELD_STRING),
    {"metadata", R, FIELD_OBJECT, .read = params_read_metadata},
    HARMLESS("metadata", TC, FIELD_OBJECT),
    ECHOED("safety_identifier", G, FIELD_STRING),
    ECHOED("prompt_cache_key", G, FIELD_STRING),
    ECHOED("prompt_cache_retention", G, FIELD_STRING),
    HARMLESS("prompt_cache_options", G, FIELD_OBJECT),
    HARMLESS("prediction", C, FIELD_OBJECT),
    HARMLESS("verbosity", C, FIELD_STRING),
    HARMLESS("reasoning_effort", C, FIELD_STRING),
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
        return problem_set(problem, TRIT_EINVAL, "top_logprobs", "top_logprobs: %s for it",
                           p->endpoint == FOR_CHAT
                               ? "logprobs must be true"
                               : "include must have \"message.output_text.logprobs\"");
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

static int check_together(struct params *p, const struct params_model *model,
                          struct problem *problem)
{
    int rc = 0;
    params_place_instructions(p);
    if (p->endpoint & (FOR_CONVERSATION | FOR_TEMPLATE))
        rc = params_settle_tools(p, model, problem);
    if (!(p->endpoint & FOR_GENERATION))
        return rc;
    if (rc == 0)
        rc = check_logprobs(p, problem);
    if (rc == 0)
        rc = check_max_tokens(p, problem);
    if (rc)
        return rc;
    if (p->has_stream_options && !p->stream)
        return problem_set(problem, TRIT_EINVAL, "stream_options",
                           "stream_options: only allowed together with \"stream\": true");
    if (p->best_of && p->best_of < p->n)
        return problem_set(problem, TRIT_EINVAL, "best_of",
                           "best_of: found %d, expected at least n, which is %d", (int)p->best_of,
                           (int)p->n);
    /* Which are the best is only known at the end. */
    if (p->suffix && p->echo)
        return problem_set(problem, TRIT_EINVAL, "suffix",
                           "suffix does not go together with echo: the answer is no end of a text");
    if (p->best_of > p->n && p->stream)
        return problem_set(problem, TRIT_EINVAL, "best_of",
                           "best_of: more than n does not go together with \"stream\": true");
    if (p->ignore_eos && p->n_stop_ids)
        return problem_set(problem, TRIT_EINVAL, "ignore_eos",
                           "ignore_eos does not go together with stop_token_ids");
    const char *tries = p->best_of > p->n ? "best_of" : "n";
    if ((uint64_t)params_tries(p) * p->n_prompts > PARAMS_SEQUENCES)
        return problem_set(problem, TRIT_EINVAL, tries,
                           "%s: %u answers to %zu prompts are more than %d in one request", tries,
                           params_tries(p), p->n_prompts, PARAMS_SEQUENCES);
    if (p->ignore_eos && p->shape.kind != SHAPE_FREE)
        return problem_set(problem, TRIT_EINVAL, "ignore_eos",
                           "ignore_eos does not go together with %s, whose text has an end",
                           p->shape.field);
    return 0;
}

static void set_defaults(struct params *p, enum params_endpoint endpoint,
                         const struct params_model *model)
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
        .add_special = endpoint == FOR_COMPLETIONS || endpoint == FOR_EMBEDDINGS,
        .parse_special = true,
        .add_generation_prompt = true,
        .parallel = true,
    };
}

int params_read_for(struct params *p, enum params_endpoint endpoint, const char *text, size_t len,
                    params_choose_fn choose, void *arg, struct buf *ignored,
                    struct problem *problem)
{
    struct trit_error err;
    cJSON *body;
    *p = (struct params){0};
    int rc = json_parse(text, len, &body, &err);
    if (rc)
        return problem_from(problem, rc, NULL, &err);
    const struct params_model *model =
        choose(arg, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "model")));
    set_defaults(p, endpoint, model);
    rc = fields_read(&table, endpoint, body, text, len, p, model, ignored, problem);
    cJSON_Delete(body);
    return rc ? rc : check_together(p, model, problem);
}

static const struct params_model *known(void *arg, const char *name)
{
    (void)name;
    return arg;
}

int params_read(struct params *p, enum params_endpoint endpoint, const char *text, size_t len,
                const struct params_model *model, struct buf *ignored, struct problem *problem)
{
    return params_read_for(p, endpoint, text, len, known, (void *)(uintptr_t)model, ignored,
                           problem);
}

void params_fini(struct params *p)
{
    for (size_t i = 0; i < p->n_prompts; i++) {
        mem_free(p->prompt[i].text);
        mem_free(p->prompt[i].ids);
    }
    mem_free(p->prompt);
    mem_free(p->message);
    mem_free(p->more);
    tools_free(p->tools);
    buf_free(&p->tool_text);
    cJSON_Delete(p->tool_choice);
    mem_free(p->told);
    buf_free(&p->words);
    mem_free(p->instructions);
    for (size_t i = 0; i < RESPONSES_ECHOES; i++)
        mem_free(p->echoes[i]);
    jinja_pool_free(&p->values);
    mem_free(p->model);
    mem_free(p->cache_salt);
    mem_free(p->suffix);
    mem_free(p->bias);
    mem_free(p->stop_ids);
    mem_free(p->tokens);
    text_stops_fini(&p->stops);
    shape_fini(&p->shape);
    *p = (struct params){0};
}

uint32_t params_tries(const struct params *p)
{
    return (uint32_t)MAX(p->n, p->best_of);
}

const char *params_prompt_name(const struct params *p)
{
    return p->endpoint == FOR_RESPONSES     ? "input"
           : p->endpoint & FOR_CONVERSATION ? "messages"
                                            : "prompt";
}

const char *params_max_name(const struct params *p)
{
    return p->endpoint == FOR_RESPONSES    ? "max_output_tokens"
           : p->max_completion_tokens >= 0 ? "max_completion_tokens"
                                           : "max_tokens";
}

struct chat_talk params_talk(const struct params *p, const struct tm *now)
{
    bool calls = p->tools && !p->no_calls, told = calls && !p->tools->form->untold;
    return (struct chat_talk){
        .message = p->message,
        .n = p->n_messages,
        .add_prompt = p->add_generation_prompt,
        .kwargs = p->kwargs.type == JINJA_DICT ? &p->kwargs : NULL,
        .tools = told ? &p->tool_list : NULL,
        .now = now,
        .opening = p->add_generation_prompt && calls ? p->tools->opening : NULL,
    };
}

/* A step of splitmix64 for each choice; the first keeps the seed it was given. */
TRIT_WRAPS uint64_t params_choice_seed(uint64_t seed, uint32_t k)
{
    if (k == 0)
        return seed;
    uint64_t z = seed + k * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
