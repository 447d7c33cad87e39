/* SPDX-License-Identifier: MIT */
/*
 * trace.h - the trace that a request belongs to, as its sender tells in `traceparent`.
 *
 * Source: W3C Trace Context, sections 3.2 (traceparent) and, for what goes back, the draft of its
 * level 3 (traceresponse).  tritd records no spans; its log has the ids, so that a line can be
 * found from a trace and a trace from a line.
 */
#ifndef TRIT_TRACE_H
#define TRIT_TRACE_H

struct trace {
    char id[33];   /* 32 lower-case hexadecimal digits; "": the request belongs to none */
    char span[17]; /* of this request here: 16 such digits, made up */
    char flags[3]; /* as they came, but only the bit `sampled` */
};

/* Read a header's value (NULL: there is none).  A malformed one is as none, as the source asks. */
void trace_read(struct trace *t, const char *traceparent);

#endif
