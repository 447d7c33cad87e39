/* SPDX-License-Identifier: MIT */
/*
 * framing.c - counting the header fields that say how long a request is.
 */
#include "config.h"
#include "server/framing.h"

#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "server/problem.h"

static bool parse_length(const char *s, uint64_t *length)
{
    uint64_t n = 0;
    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            return false;
    }
    *length = n;
    return true;
}

void framing_header(struct framing *f, const char *name, const char *value)
{
    for (const char *s = name; *s; s++)
        if ((unsigned char)*s <= 0x20 || *s == 0x7f)
            f->bad_name = true;
    if (!*name)
        f->bad_name = true;
    if (!value)
        value = "";
    if (strcasecmp(name, "content-length") == 0) {
        f->lengths++;
        if (!parse_length(value, &f->length))
            f->bad_length = true;
    } else if (strcasecmp(name, "transfer-encoding") == 0) {
        f->encodings++;
        if (strcasecmp(value, "chunked") != 0)
            f->bad_encoding = true;
    } else if (strcasecmp(name, "host") == 0) {
        f->hosts++;
    }
}

int framing_check(const struct framing *f, const char *version, struct problem *problem)
{
    bool one_zero = strcmp(version, "HTTP/1.0") == 0;
    const char *why = NULL;
    if (f->bad_name)
        why = "a header field's name holds a space or a control character";
    else if (f->lengths > 1)
        why = "more than one Content-Length";
    else if (f->encodings > 1)
        why = "more than one Transfer-Encoding";
    else if (f->lengths && f->encodings)
        why = "both Content-Length and Transfer-Encoding";
    else if (f->bad_length)
        why = "a Content-Length that is not a number";
    else if (f->bad_encoding)
        why = "a Transfer-Encoding that is not exactly \"chunked\"";
    else if (f->encodings && one_zero)
        why = "a Transfer-Encoding in HTTP/1.0";
    else if (f->hosts > 1 || (f->hosts == 0 && !one_zero))
        why = "not exactly one Host";
    if (!why)
        return 0;
    return problem_set(problem, TRIT_EFORMAT, NULL, "the request's header has %s", why);
}

bool framing_has_body(const struct framing *f)
{
    return f->encodings || f->length;
}
