/* SPDX-License-Identifier: MIT */
/*
 * text.h - the pieces of tokens to text that may be shown, and where a stop string ends it.
 *
 * Two things are held back: the beginning of a UTF-8 sequence, and whatever might be the beginning
 * of a stop string.  The result depends on the bytes only, never on how they were cut into tokens:
 * the text ends before the stop string whose last byte comes first; of several that end at the same
 * byte the longest counts.
 */
#ifndef TRIT_TEXT_H
#define TRIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/tokenizer.h"

enum { TEXT_STOPS_MAX = 4, TEXT_STOP_BYTES = 256 };

/* The stop strings of a request, prepared; shared by its answers. */
struct text_stops {
    size_t n;
    struct {
        char *s; /* valid UTF-8, 1..TEXT_STOP_BYTES bytes */
        uint16_t len;
        uint16_t *fall; /* [len]: where matching goes on after a mismatch (Knuth, Morris, Pratt) */
    } stop[TEXT_STOPS_MAX];
};

/* Add one; copies.  false: no memory.  Bounds are the caller's to check, asserted. */
bool text_stops_add(struct text_stops *t, const char *s, size_t len);
void text_stops_fini(struct text_stops *t);

/* White space as JSON has it; how many bytes of it a text begins with. */
bool text_is_space(char ch);
size_t text_spaces(const char *s, size_t len);

/* One answer on its way out.  A zeroed struct is at the beginning. */
struct text {
    struct tok_stream utf8;
    struct buf held;                  /* whole characters, not shown yet */
    uint16_t matched[TEXT_STOPS_MAX]; /* bytes of each stop string that the text ends with */
    bool stopped;                     /* a stop string was found: nothing more comes out */
};

/*
 * Take the bytes of the next token and append to *out what may be shown.  true when they completed
 * a stop string.  Not called again after that.  A failed *out or held buffer is the caller's to
 * see.
 */
bool text_push(struct text *t, const struct text_stops *stops, const char *bytes, size_t len,
               struct buf *out);

/* No more tokens: what was held back comes out, unless even now it completes a stop string. */
bool text_end(struct text *t, const struct text_stops *stops, struct buf *out);

void text_fini(struct text *t);

#endif
