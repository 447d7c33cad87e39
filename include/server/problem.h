/* SPDX-License-Identifier: MIT */
/*
 * problem.h - a refusal in the form that goes to the client: HTTP status and OpenAI's error object.
 *
 *     {"error":{"message":"...","type":"...","param":"temperature","code":null}}
 *
 * Status, type and code come from the table in base/base.h; where one code of ours stands for
 * several of OpenAI's, the fields are set afterwards.
 */
#ifndef TRIT_PROBLEM_H
#define TRIT_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct json_out;
struct trit_error;

struct problem {
    int status;       /* 0: no problem */
    const char *type; /* static text */
    const char *code; /* static text, or NULL */
    char param[96];   /* the field, as a path: "messages[2].content"; "" for null */
    char text[500];
    uint64_t n_prompt, n_ctx; /* for context_length_exceeded; n_ctx 0: not said */
    double wait;              /* of a 429: seconds to stay away; 0: as long as the queue needs */
    bool final;               /* trying again is of no use */
};

/* Fill *p and return -code.  param may be NULL.  The text must not hold what a prompt says. */
int problem_set(struct problem *p, int code, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with a text that some lower floor wrote; rc is its return value, negative. */
int problem_from(struct problem *p, int rc, const char *param, const struct trit_error *err);

/* The member "error" of an object. */
void problem_put(const struct problem *p, struct json_out *o);

/* Append the error object. */
void problem_write(const struct problem *p, struct buf *out);

#endif
