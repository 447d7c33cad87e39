/* SPDX-License-Identifier: MIT */
/*
 * thought.h - an answer, as it comes, into what the model thinks aloud and what it says.
 *
 * A model that thinks begins with <think>, ends that with </think>, and then answers; some
 * templates open the thought themselves, so the answer begins inside.  White space around the words
 * belongs to neither side.  Anything else in front, and the words further on, are text.  The result
 * depends on the bytes only, never on how they were cut into tokens.
 *
 * Source: the chat templates of Qwen3 and DeepSeek-R1, which write it so.
 */
#ifndef TRIT_THOUGHT_H
#define TRIT_THOUGHT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "model/tokenizer.h"

enum thought_at {
    THOUGHT_NONE, /* not looked for; a zeroed struct */
    THOUGHT_BEGIN,
    THOUGHT_INSIDE,
    THOUGHT_BEHIND, /* at the white space behind it */
    THOUGHT_OVER,
};

struct thought {
    enum thought_at at;
    struct tok_stream utf8;
    struct buf held; /* not decided yet */
    bool begun;      /* something of it came out */
    bool cut;        /* the answer ended within it */
};

/* inside: the prompt has opened it. */
void thought_begin(struct thought *t, bool inside);

/*
 * Take the bytes of the next token; append whole characters of the thought to *out, and the bytes
 * that are none of it to *rest.  A failed buffer, held among them, is the caller's to see.
 */
void thought_push(struct thought *t, const char *bytes, size_t len, struct buf *out,
                  struct buf *rest);

/* There are no more. */
void thought_end(struct thought *t, struct buf *out, struct buf *rest);

/* The name of a control token that is looked for now is part of what is read. */
bool thought_name(const struct thought *t, const char *name, size_t len);

/* It goes on, or may still begin: tokens are to be pushed. */
bool thought_goes_on(const struct thought *t);

/* Whether a text, the end of a prompt, leaves a thought open. */
bool thought_is_open(const char *text, size_t len);

void thought_fini(struct thought *t);

#endif
