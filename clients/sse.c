/* SPDX-License-Identifier: MIT */
/*
 * sse.c - lines; only one that is cut by the end of a piece is ever copied.
 */
#include "config.h"
#include "sse.h"

#include <string.h>

/* One line without its LF. */
static bool take_line(const char *line, size_t len, sse_data_fn fn, void *arg)
{
    if (len && line[len - 1] == '\r')
        len--;
    if (len < 5 || memcmp(line, "data:", 5) != 0)
        return true; /* A comment, a blank line, or a field we do not use. */
    line += 5;
    len -= 5;
    if (len && *line == ' ') {
        line++;
        len--;
    }
    return fn(line, len, arg);
}

bool sse_feed(struct sse *s, const char *bytes, size_t len, sse_data_fn fn, void *arg)
{
    for (const char *end; len && (end = memchr(bytes, '\n', len));) {
        size_t n = (size_t)(end - bytes);
        bool go_on;
        if (s->line.len) {
            buf_add(&s->line, bytes, n);
            go_on = !s->line.failed && take_line(s->line.data, s->line.len, fn, arg);
            buf_reset(&s->line);
        } else {
            go_on = take_line(bytes, n, fn, arg);
        }
        if (!go_on)
            return false;
        bytes += n + 1;
        len -= n + 1;
    }
    buf_add(&s->line, bytes, len);
    return !s->line.failed && s->line.len <= SSE_LINE_BYTES_MAX;
}

void sse_fini(struct sse *s)
{
    buf_free(&s->line);
}
