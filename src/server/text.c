/* SPDX-License-Identifier: MIT */
/*
 * text.c - one automaton for each stop string, run byte by byte over valid UTF-8.
 *
 * Its state is the length of the longest suffix of the text that begins the stop string, which is
 * exactly what must be held back for it.  Such a suffix begins with a lead byte, so what is let out
 * always ends at a whole character.
 */
#include "config.h"
#include "server/text.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"

bool text_stops_add(struct text_stops *t, const char *s, size_t len)
{
    trit_assert(t->n < TEXT_STOPS_MAX && len >= 1 && len <= TEXT_STOP_BYTES);
    char *copy = mem_strndup(s, len);
    uint16_t *fall = mem_zalloc(len, sizeof *fall);
    if (!copy || !fall) {
        mem_free(copy);
        mem_free(fall);
        return false;
    }
    for (size_t i = 1, k = 0; i < len; i++) {
        while (k > 0 && copy[i] != copy[k])
            k = fall[k - 1];
        if (copy[i] == copy[k])
            k++;
        fall[i] = (uint16_t)k;
    }
    t->stop[t->n].s = copy;
    t->stop[t->n].len = (uint16_t)len;
    t->stop[t->n].fall = fall;
    t->n++;
    return true;
}

void text_stops_fini(struct text_stops *t)
{
    for (size_t i = 0; i < t->n; i++) {
        mem_free(t->stop[i].s);
        mem_free(t->stop[i].fall);
    }
    t->n = 0;
}

/* Advance every automaton by one byte; the length of the longest stop string that ends here. */
static size_t advance(struct text *t, const struct text_stops *stops, char byte)
{
    size_t found = 0;
    for (size_t i = 0; i < stops->n; i++) {
        const char *s = stops->stop[i].s;
        const uint16_t *fall = stops->stop[i].fall;
        size_t len = stops->stop[i].len, k = t->matched[i];
        while (k > 0 && s[k] != byte)
            k = fall[k - 1];
        if (s[k] == byte)
            k++;
        if (k == len)
            found = MAX(found, len);
        else
            t->matched[i] = (uint16_t)k;
    }
    return found;
}

/* Look at held[from, len), new characters; let out what no stop string claims. */
static bool release(struct text *t, const struct text_stops *stops, size_t from, struct buf *out)
{
    if (t->held.failed)
        return false;
    for (size_t i = from; i < t->held.len; i++) {
        size_t found = advance(t, stops, t->held.data[i]);
        if (found) {
            buf_add(out, t->held.data, i + 1 - found);
            buf_reset(&t->held);
            t->stopped = true;
            return true;
        }
    }
    size_t keep = 0;
    for (size_t i = 0; i < stops->n; i++)
        keep = MAX(keep, (size_t)t->matched[i]);
    size_t free_bytes = t->held.len - keep;
    buf_add(out, t->held.data, free_bytes);
    buf_consume(&t->held, free_bytes);
    return false;
}

bool text_is_space(char ch)
{
    return ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t';
}

size_t text_spaces(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && text_is_space(s[n]))
        n++;
    return n;
}

bool text_push(struct text *t, const struct text_stops *stops, const char *bytes, size_t len,
               struct buf *out)
{
    trit_assert(!t->stopped);
    size_t from = t->held.len;
    tok_stream_push(&t->utf8, bytes, len, &t->held);
    return release(t, stops, from, out);
}

bool text_end(struct text *t, const struct text_stops *stops, struct buf *out)
{
    trit_assert(!t->stopped);
    size_t from = t->held.len;
    tok_stream_end(&t->utf8, &t->held);
    if (release(t, stops, from, out))
        return true;
    if (t->held.failed)
        return false;
    buf_add(out, t->held.data, t->held.len);
    buf_reset(&t->held);
    return false;
}

void text_fini(struct text *t)
{
    buf_free(&t->held);
}
