/* SPDX-License-Identifier: MIT */
/*
 * params-readers.h - readers of the fields that a row of the table cannot describe by itself.
 * dst is a struct params, arg a struct params_model.
 */
#ifndef TRIT_PARAMS_READERS_H
#define TRIT_PARAMS_READERS_H

struct field_input;

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
int params_read_salt(const struct field_input *in);
int params_read_stream_options(const struct field_input *in);

/* Fields that may only ask for what happens anyway. */
int params_read_response_format(const struct field_input *in);
int params_read_empty_list(const struct field_input *in);
int params_read_tool_choice(const struct field_input *in);
int params_read_modalities(const struct field_input *in);
int params_read_store(const struct field_input *in);
int params_read_suffix(const struct field_input *in);

#endif
