/* SPDX-License-Identifier: MIT */
/*
 * params-readers.h - readers of the fields that a row of the table cannot describe by itself.
 * dst is a struct params, arg a struct params_model.
 */
#ifndef TRIT_PARAMS_READERS_H
#define TRIT_PARAMS_READERS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/jinja.h"

struct buf;
struct cJSON;
struct field_input;
struct params;
struct params_model;
struct problem;

int params_read_model(const struct field_input *in);
int params_read_messages(const struct field_input *in);
int params_read_kwargs(const struct field_input *in);
int params_read_prompt(const struct field_input *in);
int params_read_content(const struct field_input *in);
int params_read_tokens(const struct field_input *in);
int params_read_stop(const struct field_input *in);
int params_read_stop_ids(const struct field_input *in);
int params_read_top_k(const struct field_input *in);
int params_read_logit_bias(const struct field_input *in);
int params_read_priority(const struct field_input *in);
int params_read_tier(const struct field_input *in);
int params_read_encoding(const struct field_input *in);
int params_read_thoughts(const struct field_input *in);
int params_read_dimensions(const struct field_input *in);
int params_read_salt(const struct field_input *in);
int params_read_stream_options(const struct field_input *in);

/* What the answer is bound to (params-shape.c). */
int params_read_response_format(const struct field_input *in);
int params_read_text_format(const struct field_input *in, const struct cJSON *format);
int params_read_grammar(const struct field_input *in);
int params_read_regex(const struct field_input *in);
int params_read_json_schema(const struct field_input *in);
int params_read_structured_outputs(const struct field_input *in);
int params_read_guided_json(const struct field_input *in);
int params_read_guided_regex(const struct field_input *in);
int params_read_guided_choice(const struct field_input *in);
int params_read_guided_grammar(const struct field_input *in);

/* Fields that may only ask for what happens anyway. */
int params_read_empty_list(const struct field_input *in);
int params_read_function_call(const struct field_input *in);
int params_read_modalities(const struct field_input *in);
int params_read_store(const struct field_input *in);
int params_read_suffix(const struct field_input *in);

/* Functions that may be called (params-tools.c). */
int params_read_tools(const struct field_input *in);
int params_read_tool_choice(const struct field_input *in);
int params_check_name(const struct field_input *in, const char *path, const struct cJSON *name);

/* After all fields: which may be called, what that binds the answer to, what the model is told. */
int params_settle_tools(struct params *p, const struct params_model *model,
                        struct problem *problem);

/* What a conversation, message by message, says of earlier calls (params-history.c).  Begins
 * zeroed. */
enum { PARAMS_CALLS = 128 }; /* of one message */
struct params_history {
    bool untold;               /* as in struct chat_calls: calls and results are put in words */
    bool flat;                 /* calls are items of their own, the first of them at `at` */
    const struct cJSON *calls; /* the latest; NULL: none that may still get a result */
    size_t at;                 /* in message */
    bool answered[PARAMS_CALLS];
    /* Of the message that was taken last: */
    bool has_calls, after_result;
    struct jinja_value more; /* for the template; a dict or undefined */
};
int params_read_message(const struct field_input *in, size_t i, const struct cJSON *m,
                        struct params_history *h, size_t *n); /* and remember it as the n-th */
int params_take_history(const struct field_input *in, size_t i, const struct cJSON *m,
                        const char *role, struct params_history *h);
int params_end_history(const struct field_input *in, const struct params_history *h);

/* Append the calls of the message that was taken last; `first`: nothing stands before them. */
void params_write_calls(const struct params_history *h, bool first, struct buf *words);

/* Responses. */
int params_read_input(const struct field_input *in);
int params_read_instructions(const struct field_input *in);
int params_read_text(const struct field_input *in);
int params_read_include(const struct field_input *in);
int params_read_metadata(const struct field_input *in);
int params_read_reasoning(const struct field_input *in);
int params_read_truncation(const struct field_input *in);
int params_read_background(const struct field_input *in);
int params_read_context_management(const struct field_input *in);
int params_read_echoed(const struct field_input *in); /* keep it for the answer */

/* Put the instructions in front of the messages. */
void params_place_instructions(struct params *p);

/*
 * Append the text of v, the content of the message at `path`, to words: a string, or the texts of
 * an array of parts whose types are in the list `kinds`, which ends with NULL.
 */
int params_add_content(const struct field_input *in, const char *path, const struct cJSON *v,
                       const char *const *kinds, struct buf *words);

/* Let n messages point at their words, role and content in turn, which are complete now. */
int params_place_messages(const struct field_input *in, size_t n);

#endif
