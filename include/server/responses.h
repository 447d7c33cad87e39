/* SPDX-License-Identifier: MIT */
/*
 * responses.h - answers in the shapes of OpenAI's Responses API: the Response object, and the
 * events of its stream.
 *
 * Pure functions from plain data to bytes, as those of server/format.h.  A response has a reasoning
 * item in front, if the model thought aloud; an item for each call of a function; and one more, a
 * message with one part of text, if it says something or calls nothing.  Nothing is stored, so a
 * response cannot be asked for again.
 *
 * An event is a line "event: TYPE", a line "data: {...}" and an empty one; the object repeats the
 * type and counts the events of its stream from 0.  There is no [DONE].
 *
 * Source: the types of the official package for Node, openai 6.49.0, resources/responses.
 */
#ifndef TRIT_RESPONSES_H
#define TRIT_RESPONSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct format_call;
struct format_logprobs;
struct format_usage;
struct json_out;
struct problem;

/* Fields of the request that the answer repeats as they came. */
enum { RESPONSES_ECHOES = 12 };

/* The place of a field among them, or -1. */
int responses_echo(const char *name);

/* What all events and the whole answer of one request have in common. */
struct responses_head {
    const char *id, *item_id;
    int64_t created; /* seconds since 1970 */
    const char *model;
    const char *service_tier;
    const char *const *echo; /* [RESPONSES_ECHOES] JSON; NULL: what holds when it is not given */
    double temperature, top_p;
    double presence_penalty, frequency_penalty;
    int64_t max_output_tokens; /* -1: not given */
    int64_t top_logprobs;      /* alternatives of each token */
    bool obfuscate;            /* deltas are filled up, see format_obfuscation */
    bool thought;              /* a reasoning item comes first */
    size_t message_at;         /* calls in front of the message */
};

enum responses_status {
    RESPONSES_IN_PROGRESS,
    RESPONSES_COMPLETED,
    RESPONSES_INCOMPLETE, /* max_output_tokens were not enough */
    RESPONSES_FAILED,
};

/* How far the answer has come. */
struct responses_body {
    enum responses_status status;
    bool begun;                    /* there is a message */
    const char *thought;           /* of the reasoning item, where there is one */
    size_t thought_len;
    bool thought_cut;               /* nothing comes behind it */
    const struct format_call *call; /* items of their own */
    size_t n_calls;
    const char *text;
    size_t len;
    const struct format_logprobs *logprobs; /* NULL: not asked for */
    const struct format_usage *usage;       /* NULL: not known yet */
    int64_t completed;                      /* seconds since 1970, once it is completed */
    const struct problem *problem;          /* why it failed */
};

void responses_object(struct json_out *o, const struct responses_head *h,
                      const struct responses_body *b);

/* The events, in the order of a stream; *n counts them. */
void responses_created_events(struct buf *out, const struct responses_head *h, uint64_t *n);
void responses_added_events(struct buf *out, const struct responses_head *h, uint64_t *n);
void responses_delta_event(struct buf *out, const struct responses_head *h, const char *text,
                           size_t len, const struct format_logprobs *logprobs, uint64_t *n);

/* The events of the reasoning item: its beginning, a piece of it, its end with all of it. */
void responses_thought_event(struct buf *out, const struct responses_head *h, uint64_t *n);
void responses_thought_delta_event(struct buf *out, const struct responses_head *h,
                                   const char *text, size_t len, uint64_t *n);
void responses_thought_end_events(struct buf *out, const struct responses_head *h,
                                  const struct responses_body *b, uint64_t *n);

/* What ends the text, the part, the item, and the response as its status says: one of these each
 * time, since each holds the whole text. */
enum responses_end {
    RESPONSES_TEXT_DONE,
    RESPONSES_PART_DONE,
    RESPONSES_ITEM_DONE,
    RESPONSES_DONE,
};
void responses_end_event(struct buf *out, const struct responses_head *h,
                         const struct responses_body *b, enum responses_end end, uint64_t *n);

/* The events of a call that is item `at`: its beginning, a piece of its arguments, its end. */
void responses_call_event(struct buf *out, const struct format_call *call, size_t at, uint64_t *n);
void responses_call_delta_event(struct buf *out, const struct responses_head *h,
                                const struct format_call *call, size_t at, const char *text,
                                size_t len, uint64_t *n);
void responses_call_end_events(struct buf *out, const struct format_call *call, size_t at,
                               uint64_t *n);

/* A failure before the response was created. */
void responses_error_event(struct buf *out, const struct problem *p, uint64_t *n);

#endif
