/* SPDX-License-Identifier: MIT */
/*
 * format.h - answers in OpenAI's shapes: whole objects, chunks of streams, usage, logprobs.
 *
 * Pure functions from plain data to bytes.  When they are called, and with how much of an answer,
 * is decided in the server's job.
 */
#ifndef TRIT_FORMAT_H
#define TRIT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct model;
struct json_out;
struct problem;
struct seq_logprob;
struct tok;
struct tok_stream;

/* What all chunks and the whole answer of one request have in common. */
struct format_head {
    bool chat;
    const char *id;
    int64_t created; /* seconds since 1970 */
    const char *model;
    const char *fingerprint;
    bool include_usage;       /* a stream whose chunks carry "usage" */
    bool obfuscate;           /* a stream whose chunks are filled up with noise */
    const char *service_tier; /* NULL: not said */
};

struct format_usage {
    uint64_t prompt, completion; /* tokens */
    uint64_t cached;             /* of the prompts, those that had been computed before */
    uint64_t thinking;           /* of the completion, those of thoughts */
    double joules;               /* negative: not known */
};

/* One token for the logprobs of an answer. */
struct format_token {
    int32_t id;
    const struct seq_logprob *logprob; /* NULL: not known, the first of a prompt */
    size_t offset;                     /* characters of the text before it; completions only */
};

struct format_logprobs {
    const struct tok *tok;
    bool as_ids; /* "token_id:17" in place of the token's text */
    uint32_t n_top;
    const struct format_token *token;
    size_t n;
};

/* A call of a function. */
struct format_call {
    const char *id, *name;
    const char *arguments; /* JSON, or the beginning of it */
    size_t len;
    bool whole; /* nothing is missing */
};

struct format_choice {
    uint32_t index;
    const char *text; /* of a delta: NULL, none */
    size_t len;
    const char *thought; /* chat: "reasoning_content", if it has a byte */
    size_t thought_len;
    const struct format_call *call; /* whole answers only; with calls an empty text is null */
    size_t n_calls;
    const struct format_logprobs *logprobs; /* NULL: null */
    const char *finish_reason;              /* NULL: null */
};

/* A whole answer is begin, choice for each, end; so is a chunk, with one choice or none. */
void format_begin(struct json_out *o, const struct format_head *h, bool chunk);
void format_choice(struct json_out *o, const struct format_head *h, const struct format_choice *c);
void format_end(struct json_out *o, const struct format_usage *u);

/* Events of a stream, complete with "data: " and the empty line. */
void format_role_event(struct buf *out, const struct format_head *h, uint32_t index);
void format_delta_event(struct buf *out, const struct format_head *h,
                        const struct format_choice *c);
/* The at-th call of a choice: `begins` tells its id and name, NULL: it goes on with these bytes. */
void format_call_event(struct buf *out, const struct format_head *h, uint32_t index, size_t at,
                       const struct format_call *begins, const char *arguments, size_t len);
void format_usage_event(struct buf *out, const struct format_head *h, const struct format_usage *u);
void format_problem_event(struct buf *out, const struct problem *p);
void format_done_event(struct buf *out);

/* Logprobs as a list of {"token", "logprob", "bytes", "top_logprobs"}; NULL: an empty one. */
void format_token_list(struct json_out *o, const struct format_logprobs *l);

/*
 * The last member of an object that began with its event at `start` of the buffer: as many random
 * characters as make the event's length a multiple of FORMAT_PAD bytes, so that who sees only
 * lengths, on an encrypted connection, learns less about the words.
 */
enum { FORMAT_PAD = 64 };
void format_obfuscation(struct json_out *o, size_t start);

/* The member "tritd" of a usage object, where the energy is known. */
void format_energy(struct json_out *o, const struct format_usage *u);

/* How many characters the bytes of one token add to a text, held-back bytes in *s.  A scratch that
 * failed stays so, for the caller to see. */
size_t format_count_chars(struct tok_stream *s, const char *bytes, size_t len, struct buf *scratch);

/* The bytes a token adds to an answer: none for a control token. */
const char *format_answer_piece(const struct tok *t, int32_t id, size_t *len);

/* The bytes it adds to an echoed prompt: control tokens by name, a BOS in front left out. */
const char *format_prompt_piece(const struct tok *t, const int32_t *ids, size_t at, size_t *len);

/* An entry of /v1/models. */
struct format_model {
    const char *id;
    int64_t created;
    uint32_t n_ctx;
    uint64_t kv_bytes_per_token;
    const struct model *model;
};
void format_model(struct json_out *o, const struct format_model *m);

#endif
