/* SPDX-License-Identifier: MIT */
/*
 * params.h - what a request asks for: every field of every endpoint, checked and in our own memory.
 *
 * Nothing in here points into the JSON tree, so it may outlive the request body and be read by
 * another thread.
 */
#ifndef TRIT_PARAMS_H
#define TRIT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/chat.h"
#include "model/jinja.h"
#include "model/model.h"
#include "engine/sampler.h"
#include "engine/seq.h"
#include "server/fields.h"
#include "server/responses.h"
#include "server/shape.h"
#include "server/text.h"

struct cJSON;
struct problem;
struct tools;

enum params_endpoint {
    FOR_COMPLETIONS = 1,
    FOR_CHAT = 2,
    FOR_TOKENIZE = 4,
    FOR_DETOKENIZE = 8,
    FOR_TEMPLATE = 16,
    FOR_RESPONSES = 32,
    FOR_EMBEDDINGS = 64,
    FOR_GENERATION = FOR_COMPLETIONS | FOR_CHAT | FOR_RESPONSES,
    FOR_CONVERSATION = FOR_CHAT | FOR_RESPONSES, /* that is answered */
};

enum {
    PARAMS_CHOICES = 8,     /* n */
    PARAMS_PROMPTS = 64,    /* prompts in one request */
    PARAMS_INPUTS = 2048,   /* texts to embed in one, as OpenAI has it */
    PARAMS_SEQUENCES = 128, /* tries * prompts */
    PARAMS_BEST_OF = 20,    /* best_of */
    PARAMS_BIASES = 300,    /* logit_bias */
    PARAMS_STOP_IDS = 64,   /* stop_token_ids */
    PARAMS_TOP = 20,        /* top_logprobs, logprobs */
    PARAMS_TIMEOUT = 86400, /* seconds */
    PARAMS_SALT = 256,      /* bytes of cache_salt */
};

/* A prompt: a text, or ids. */
struct params_prompt {
    char *text; /* NUL-terminated copy; NULL when ids were given */
    size_t len;
    int32_t *ids;
    size_t n_ids;
};

struct params {
    enum params_endpoint endpoint;
    char *model; /* NULL: not named */

    /* Completions, chat and responses. */
    bool stream, include_usage, has_stream_options, obfuscate;
    bool echo, ignore_eos, as_token_ids;
    int64_t n;
    int64_t best_of;    /* tries, of which the n best are answered; 0: as many as n */
    int64_t max_tokens; /* -1: not said */
    int64_t max_completion_tokens;
    double temperature, top_p, min_p;
    int64_t top_k; /* -1 and 0: off */
    double presence_penalty, frequency_penalty, repetition_penalty;
    struct field_seed seed;
    double timeout;             /* seconds; 0: none */
    enum seq_priority priority; /* that it asks for */
    bool has_priority;          /* by number, which counts more than service_tier */
    char *cache_salt;           /* NULL: none */
    bool thoughts_as_text; /* <think> and all */
    bool want_logprobs;
    int64_t top_logprobs; /* alternatives for each token; -1: not said */
    struct text_stops stops;
    struct shape shape; /* what the answer is bound to */
    struct sampler_bias *bias;
    size_t n_bias;
    int32_t *stop_ids;
    size_t n_stop_ids;

    /* Completions, tokenize and embeddings: texts and how to read them. */
    struct params_prompt *prompt;
    size_t n_prompts;
    bool one_prompt; /* it was not in an array */
    char *suffix;    /* what comes behind the answer; NULL: nothing */
    bool add_special, parse_special, with_pieces;

    /* Embeddings. */
    bool base64;        /* else numbers */
    int64_t dimensions; /* 0: all */

    /* Chat, responses and apply-template. */
    struct chat_message *message; /* role and content lie in words */
    size_t n_messages;
    struct buf words;
    bool add_generation_prompt;
    struct jinja_pool values; /* of what a template is given besides: */
    struct jinja_value kwargs; /* chat_template_kwargs, or undefined */
    struct jinja_value *more;  /* of messages */

    /* Functions that may be called. */
    struct tools *tools;          /* NULL: there are none */
    struct jinja_value tool_list; /* for the template */
    struct buf tool_text;         /* a line of JSON for each */
    struct cJSON *tool_choice;    /* as it came, or NULL */
    bool parallel, no_calls;
    char *told; /* content of the system message that tells of them, or NULL */

    /* Responses. */
    char *instructions; /* content of the first message; NULL: none */
    char *echoes[RESPONSES_ECHOES];

    /* Detokenize. */
    int32_t *tokens;
    size_t n_tokens;
};

/* What the model allows, and what it recommends. */
struct params_model {
    int32_t vocab;    /* ids are below this */
    int32_t n_hidden; /* dimensions of an embedding */
    struct model_sampling sampling;
    const struct chat_calls *calls; /* how it writes calls of functions */
    bool infills;                   /* it has tokens for a suffix */
};

/*
 * Read the body text[0, len) of a request to `endpoint` into *p, which is uninitialised; p is to be
 * given to params_fini also on failure.  Unknown names go to *ignored.  Negative with *problem:
 * not JSON, or a field that is wrong, missing, or does not go with another.
 */
int params_read(struct params *p, enum params_endpoint endpoint, const char *text, size_t len,
                const struct params_model *model, struct buf *ignored, struct problem *problem);

/*
 * The same where what is allowed depends on the body's field "model": choose(arg, name) gives it,
 * once, before any field is looked at; name is NULL where the body has no such text.
 */
typedef const struct params_model *(*params_choose_fn)(void *arg, const char *name);
int params_read_for(struct params *p, enum params_endpoint endpoint, const char *text, size_t len,
                    params_choose_fn choose, void *arg, struct buf *ignored,
                    struct problem *problem);

void params_fini(struct params *p);

/* Answers to be generated for each prompt: n or more. */
uint32_t params_tries(const struct params *p);

/* What the client calls the prompt, and the limit of the answer. */
const char *params_prompt_name(const struct params *p);
const char *params_max_name(const struct params *p);

/* The conversation, which points into p; `now` for templates that write the date. */
struct chat_talk params_talk(const struct params *p, const struct tm *now);

/* The seed of choice k: its own, and the same whatever else is asked for. */
uint64_t params_choice_seed(uint64_t seed, uint32_t k);

/* The table, for tests and documentation. */
const struct field_table *params_table(void);

#endif
