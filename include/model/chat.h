/* SPDX-License-Identifier: MIT */
/*
 * chat.h - a conversation to a prompt, in the words the model was trained on.
 *
 * The model's own template (`tokenizer.chat_template`) is run, see jinja.h; a model without one
 * gets the stated default.  A known-wrong template (the legacy one inside the official 2B-4T GGUF)
 * is overridden, and chat_note says so for the log.
 */
#ifndef TRIT_CHAT_H
#define TRIT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct chat;
struct gguf;
struct jinja_value;
struct tm;
struct tok;
struct tok_ids;
struct tok_range;
struct trit_error;

struct chat_message {
    const char *role;    /* "system", "developer", "user", "assistant", "tool" */
    const char *content; /* UTF-8; NULL: nothing was said */
    size_t content_len;
    const struct jinja_value *more; /* a dict of what else it has (name, tool_calls, tool_call_id,
                                       reasoning_content), or NULL; for the model's own template */
};

/*
 * How a model writes that it calls functions: open, lead, then for each call a JSON object
 * {"name": "...", ARGUMENTS: {...}} and `after`, with `between` from one to the next, and at the
 * end `close`.  White space may be more or less than that.
 */
struct chat_calls {
    const char *name;   /* of the form: "hermes", "llama", "mistral", "own" */
    const char *open;   /* what else would be text ends here */
    const char *lead, *after, *between, *close;
    const char *arguments; /* the member's name */
    bool bare;      /* a call may also be all of the answer, without `open` */
    bool single;    /* one call in an answer */
    bool short_ids; /* ids of calls are nine letters and digits */
    bool untold;    /* no template tells the model of this form or of its tools: whoever asks must */
};

/* That of the model's template; where it has no word about tools, "own". */
const struct chat_calls *chat_calls(const struct chat *c);

/* The template knows of thoughts, <think> to </think>: an answer may begin with one. */
bool chat_thinks(const struct chat *c);

/* By the name of the form; NULL: there is none. */
const struct chat_calls *chat_calls_form(const char *name);

struct chat_talk {
    const struct chat_message *message;
    size_t n;
    bool add_prompt; /* end with the opening of an assistant turn */
    /* For the model's own template only; each may be NULL. */
    const struct jinja_value *tools;  /* a list */
    const struct jinja_value *kwargs; /* a dict of further variables; ours come first */
    const struct tm *now;             /* for templates that write the date */
    const char *opening;              /* how the answer begins, in our words; NULL: as it will */
};

/*
 * Gives *c.  chosen: what to use instead of the file's template, or NULL: a name from
 * chat_families(), or a file with a template, told by a "/" in it or an "@" in front.
 * -TRIT_EFORMAT for a template that cannot be read or run, with its line.
 */
int chat_open(const struct gguf *g, const struct tok *t, const char *chosen, struct chat **c,
              struct trit_error *err);
void chat_close(struct chat **c);

/*
 * The same for a model whose chat is there already, with the template in that file, and without
 * looking into the model's: what else a chat has from there is taken from `old`.
 */
int chat_reopen(const struct chat *old, const struct tok *t, const char *file, struct chat **c,
                struct trit_error *err);

/* Whether a choice of a template is a file. */
bool chat_is_file(const char *chosen);

/* "llama3", "bitnet", "falcon3", "chatml", ...; "template" where a template of no family is run. */
const char *chat_family(const struct chat *c);
const char *chat_note(const struct chat *c); /* why this family; for the log */
const char *chat_families(void);             /* all names, for --help */

/*
 * Append the rendered conversation to *out.  It begins with the BOS token's name where the template
 * writes that; one that does not counts on the tokenizer to add it, as chat_encode does.  The text
 * is for TOK_PARSE_SPECIAL without TOK_ADD_SPECIAL.  -TRIT_EINVAL where the template refuses the
 * conversation or cannot run on it, and for a role that a built-in format does not know.
 *
 * *ranges receives the ranges of *out that a client wrote (gives, mem_free; NULL: not wanted; with an
 * error there is nothing to free);
 * names of special tokens in there are ordinary text, see tok_encode_ranges.
 */
int chat_render(const struct chat *c, const struct chat_talk *talk, struct buf *out,
                struct tok_range **ranges, size_t *n_ranges, struct trit_error *err);

/* The same, all the way to ids.  `max` as in tok_encode: -TRIT_ETOOBIG beyond it. */
int chat_encode(const struct chat *c, const struct tok *t, const struct chat_talk *talk, size_t max,
                struct tok_ids *ids, struct trit_error *err);

/* Tokens that end an answer, including the model's EOS; also used for plain completions. */
const int32_t *chat_stop_ids(const struct chat *c, size_t *n);

#endif
