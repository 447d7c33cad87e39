/* SPDX-License-Identifier: MIT */
/*
 * params-readers.h - readers of the fields that a row of the table cannot describe by itself.
 * dst is a struct params, arg a struct params_model.
 */
#ifndef TRIT_PARAMS_READERS_H
#define TRIT_PARAMS_READERS_H

#include <stddef.h>

struct buf;
struct cJSON;
struct field_input;
struct params;

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
int params_read_tool_choice(const struct field_input *in);
int params_read_modalities(const struct field_input *in);
int params_read_store(const struct field_input *in);
int params_read_suffix(const struct field_input *in);

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
 * Append the text of v, the content of the message at `path`, to words: a string, or the texts of an
 * array of parts whose types are in the list `kinds`, which ends with NULL.
 */
int params_add_content(const struct field_input *in, const char *path, const struct cJSON *v,
                       const char *const *kinds, struct buf *words);

/* Let n messages point at their words, role and content in turn, which are complete now. */
int params_place_messages(const struct field_input *in, size_t n);

#endif
