/* SPDX-License-Identifier: MIT */
/*
 * sse.h - server-sent events out of bytes that arrive in any pieces.
 *
 * Of the event stream format (WHATWG HTML, "Server-sent events") this reads what OpenAI-style
 * servers send: lines of "data: TEXT", each an event, comments, blank lines.  A line ends with LF
 * or CRLF.
 */
#ifndef TRIT_CLIENT_SSE_H
#define TRIT_CLIENT_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A longer line is no event to us. */
enum { SSE_LINE_BYTES_MAX = 16 * 1024 * 1024 };

/* A zeroed struct is a stream of which nothing has come yet. */
struct sse {
    struct buf line; /* the one that has begun */
};

/* The data of one event, not terminated; it is gone after the call.  false: no more, please. */
typedef bool (*sse_data_fn)(const char *data, size_t len, void *arg);

/* Take the next bytes.  false: fn said so, no memory, or a line that is too long. */
bool sse_feed(struct sse *s, const char *bytes, size_t len, sse_data_fn fn, void *arg);
void sse_fini(struct sse *s);

#endif
