/* SPDX-License-Identifier: MIT */
/*
 * thought.c - four states, each of which takes from the front of what is held until it has to wait.
 */
#include "config.h"
#include "server/thought.h"

#include <string.h>

#include "base/base.h"
#include "server/text.h"

static const char open_word[] = "<think>", close_word[] = "</think>";

enum { OPEN_LEN = sizeof open_word - 1, CLOSE_LEN = sizeof close_word - 1 };

/* The first n bytes held are of the thought, but for white space in front of all of it. */
static void give(struct thought *t, size_t n, struct buf *out)
{
    size_t skip = t->begun ? 0 : MIN(text_spaces(t->held.data, t->held.len), n);
    if (n > skip) {
        tok_stream_push(&t->utf8, t->held.data + skip, n - skip, out);
        t->begun = true;
    }
    buf_consume(&t->held, n);
}

static void close_thought(struct thought *t, struct buf *out)
{
    tok_stream_end(&t->utf8, out);
    t->at = THOUGHT_BEHIND;
}

/* true: there is more to do. */
static bool at_begin(struct thought *t)
{
    size_t n = text_spaces(t->held.data, t->held.len), left = t->held.len - n;
    if (left == 0 || memcmp(t->held.data + n, open_word, MIN(left, (size_t)OPEN_LEN)) != 0) {
        t->at = left ? THOUGHT_OVER : t->at;
        return left;
    }
    if (left < OPEN_LEN)
        return false;
    buf_consume(&t->held, n + OPEN_LEN);
    t->at = THOUGHT_INSIDE;
    return true;
}

static bool inside(struct thought *t, struct buf *out)
{
    const char *s = t->held.data, *end = memmem(s, t->held.len, close_word, CLOSE_LEN);
    size_t n = end ? (size_t)(end - s) : t->held.len, part = 0;
    if (!end) { /* what may be a piece of the word waits */
        part = MIN(n, (size_t)CLOSE_LEN - 1);
        while (part > 0 && memcmp(s + n - part, close_word, part) != 0)
            part--;
        n -= part;
    }
    size_t text = n;
    while (text > 0 &&
           text_is_space(s[text - 1])) /* and so does white space, which may be the last */
        text--;
    give(t, text, out);
    if (!end)
        return false;
    buf_consume(&t->held, n - text + CLOSE_LEN);
    close_thought(t, out);
    return true;
}

static bool step(struct thought *t, struct buf *out, struct buf *rest)
{
    if (t->held.failed || t->held.len == 0)
        return false;
    switch (t->at) {
    case THOUGHT_BEGIN:
        return at_begin(t);
    case THOUGHT_INSIDE:
        return inside(t, out);
    case THOUGHT_BEHIND:
        buf_consume(&t->held, text_spaces(t->held.data, t->held.len));
        if (t->held.len)
            t->at = THOUGHT_OVER;
        return t->held.len;
    default:
        buf_add(rest, t->held.data, t->held.len);
        buf_reset(&t->held);
        return false;
    }
}

void thought_begin(struct thought *t, bool opened)
{
    *t = (struct thought){.at = opened ? THOUGHT_INSIDE : THOUGHT_BEGIN};
}

void thought_push(struct thought *t, const char *bytes, size_t len, struct buf *out,
                  struct buf *rest)
{
    buf_add(&t->held, bytes, len);
    while (step(t, out, rest))
        ;
}

void thought_end(struct thought *t, struct buf *out, struct buf *rest)
{
    if (t->at == THOUGHT_BEGIN) {
        t->at = THOUGHT_OVER;
        step(t, out, rest);
    } else if (t->at == THOUGHT_INSIDE) {
        size_t n = t->held.len;
        while (n > 0 && text_is_space(t->held.data[n - 1]))
            n--;
        give(t, n, out);
        close_thought(t, out);
        t->cut = true;
    }
    buf_reset(&t->held);
}

bool thought_name(const struct thought *t, const char *name, size_t len)
{
    return (t->at == THOUGHT_BEGIN && len == OPEN_LEN && memcmp(name, open_word, len) == 0) ||
           (t->at == THOUGHT_INSIDE && len == CLOSE_LEN && memcmp(name, close_word, len) == 0);
}

bool thought_goes_on(const struct thought *t)
{
    return t->at != THOUGHT_NONE && t->at != THOUGHT_OVER;
}

bool thought_is_open(const char *text, size_t len)
{
    while (len > 0 && text_is_space(text[len - 1]))
        len--;
    return len >= OPEN_LEN && memcmp(text + len - OPEN_LEN, open_word, OPEN_LEN) == 0;
}

void thought_fini(struct thought *t)
{
    buf_free(&t->held);
    *t = (struct thought){0};
}
