/* SPDX-License-Identifier: MIT */
/*
 * framing.h - is it beyond doubt where this request ends?
 *
 * libmicrohttpd before 1.0.5 takes requests whose length can be read in two ways (CWE-444).  Behind
 * a proxy that reads the other way a second request could be smuggled in, so whatever is ambiguous
 * is refused, and the connection with it.  RFC 9112 sections 3.2 and 6.3.
 */
#ifndef TRIT_FRAMING_H
#define TRIT_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

struct problem;

/* What the header says, gathered field by field.  A zeroed struct is an empty header. */
struct framing {
    unsigned lengths, encodings, hosts;
    bool bad_name;     /* a control character or a space in a field name */
    bool bad_length;   /* not plain digits */
    bool bad_encoding; /* not exactly "chunked" */
    uint64_t length;
};

void framing_header(struct framing *f, const char *name, const char *value);

/* After the last header; version as in the request line, "HTTP/1.1".  Negative with *problem. */
int framing_check(const struct framing *f, const char *version, struct problem *problem);

/* Whether a body follows. */
bool framing_has_body(const struct framing *f);

#endif
