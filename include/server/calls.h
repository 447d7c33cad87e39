/* SPDX-License-Identifier: MIT */
/*
 * calls.h - an answer, as it comes, into what it says and what it calls.
 *
 * Calls are looked for in the model's form (model/chat.h, struct chat_calls).  What might be the
 * beginning of one is held back.  Whatever turns out to be none (no JSON, an unknown function,
 * arguments that are no object) was text and comes out as such, so nothing is lost or made up.  The
 * result depends on the bytes only, never on how they were cut into tokens.
 *
 * Where calls are bound by a grammar (tools_bound) the arguments of one come out as they grow, else
 * when it is complete.  They are the model's own text.
 */
#ifndef TRIT_CALLS_H
#define TRIT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/tokenizer.h"

struct tools;
struct tool;

struct call {
    char id[40]; /* "call_..." */
    const struct tool *tool;
    struct buf arguments; /* a JSON object, or as much of it as there is */
    bool whole;

    /* What the client has been told, for streams. */
    bool opened, closed;
    size_t told; /* bytes of arguments */
};

/* Where the first byte of what is not decided yet stands. */
enum calls_at {
    CALLS_TEXT,
    CALLS_OBJECT,    /* at the object of a call, or in it */
    CALLS_ARGUMENTS, /* at the arguments' object, or in it */
    CALLS_TAIL,      /* behind them */
    CALLS_AFTER,     /* behind the object of a call */
};

/* A walk through a JSON value, until it ends. */
struct calls_walk {
    uint32_t depth;
    bool in_string, escaped;
};

struct calls {
    const struct tools *tools;
    struct tok_stream utf8;
    enum calls_at at;
    struct buf held;    /* not decided yet */
    struct buf opening; /* in front of it: what opened the call, if it is one */
    size_t walked;      /* bytes of held, in CALLS_OBJECT */
    struct calls_walk walk;
    bool begun;  /* text came out */
    bool failed; /* no memory */
    struct call *call;
    size_t n, cap;
};

/* `tools` is borrowed. */
void calls_begin(struct calls *c, const struct tools *tools);

/* Take the bytes of the next token; append to *text what is text for sure. */
void calls_push(struct calls *c, const char *bytes, size_t len, struct buf *text);

/* There are no more. */
void calls_end(struct calls *c, struct buf *text);

/* A control token's name, as far as it opens or closes calls, is part of the text that is read. */
bool calls_name(const struct calls *c, const char *name, size_t len);

/* What was pushed last may turn out to be text, or of a call. */
bool calls_wait(const struct calls *c);

/* There is something of a call that the client does not know. */
bool calls_have_news(const struct calls *c);

void calls_fini(struct calls *c);

#endif
