/* SPDX-License-Identifier: MIT */
/*
 * chat.h - a conversation to a prompt, in the words the model was trained on.
 *
 * The family is recognised by the model's own template text (`tokenizer.chat_template`); a model
 * without one gets the stated default.  A known-wrong template (the legacy one inside the official
 * 2B-4T GGUF) is overridden, and chat_note says so for the log.
 *
 * Not here: a Jinja interpreter (a sibling issue brings one behind the same functions).
 */
#ifndef TRIT_CHAT_H
#define TRIT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct chat;
struct gguf;
struct tok;
struct tok_ids;
struct tok_range;
struct trit_error;

struct chat_message {
    const char *role; /* "system", "developer", "user", "assistant", "tool" */
    const char *content;
    size_t content_len;
};

/* Gives *c.  family: a name from chat_families() to use instead of the file's template, or NULL. */
int chat_open(const struct gguf *g, const struct tok *t, const char *family, struct chat **c,
              struct trit_error *err);
void chat_close(struct chat **c);

const char *chat_family(const struct chat *c); /* "llama3", "bitnet", "falcon3", "chatml", ... */
const char *chat_note(const struct chat *c);   /* why this family; for the log */
const char *chat_families(void);               /* all names, for --help */

/*
 * Append the rendered conversation to *out: what the model's own template gives.  It begins with
 * the BOS token's name where the template writes that; one that does not counts on the tokenizer to
 * add it, as chat_encode does.  The text is for TOK_PARSE_SPECIAL without TOK_ADD_SPECIAL.
 * add_prompt: end with the opening of an assistant turn.  -TRIT_EINVAL for a role the family does
 * not know, naming the message's index.
 *
 * *ranges receives the ranges of *out that are message content (gives, mem_free; NULL: not wanted);
 * names of special tokens in there are ordinary text, see tok_encode_ranges.
 */
int chat_render(const struct chat *c, const struct chat_message *msg, size_t n, bool add_prompt,
                struct buf *out, struct tok_range **ranges, size_t *n_ranges,
                struct trit_error *err);

/* The same, all the way to ids.  `max` as in tok_encode: -TRIT_ETOOBIG beyond it. */
int chat_encode(const struct chat *c, const struct tok *t, const struct chat_message *msg, size_t n,
                bool add_prompt, size_t max, struct tok_ids *ids, struct trit_error *err);

/* Tokens that end an answer, including the model's EOS; also used for plain completions. */
const int32_t *chat_stop_ids(const struct chat *c, size_t *n);

#endif
