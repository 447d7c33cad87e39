/* SPDX-License-Identifier: MIT */
/*
 * params-read.h - reads bodies of requests as the server does, for the tests of their fields.
 *
 * One request at a time: what was read is in p, what was wrong in problem, and which fields nobody
 * knows in ignored.  A test that accepts a body ends p with params_fini().
 */
#ifndef TRIT_PARAMS_READ_H
#define TRIT_PARAMS_READ_H

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/params.h"
#include "server/problem.h"
#include "unit/unit.h"

enum { VOCAB = 1000 };
static struct params_model model = {
    .vocab = VOCAB,
    .sampling =
        {.temperature = 0.7, .top_p = 0.9, .min_p = 0.1, .repetition_penalty = 1.1, .top_k = 40},
};

static struct params p;
static struct problem problem;
static struct buf ignored;

static inline int read_body(enum params_endpoint endpoint, const char *body)
{
    problem = (struct problem){0};
    buf_reset(&ignored);
    return params_read(&p, endpoint, body, strlen(body), &model, &ignored, &problem);
}

/* A body that would do without the field, and the field. */
static inline const char *with(enum params_endpoint endpoint, const char *field)
{
    static char body[4096];
    static const char messages[] = "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]";
    const char *base = endpoint == FOR_CHAT          ? messages
                       : endpoint == FOR_TEMPLATE    ? messages
                       : endpoint == FOR_RESPONSES   ? "\"input\":\"x\""
                       : endpoint == FOR_COMPLETIONS ? "\"prompt\":\"x\""
                       : endpoint == FOR_TOKENIZE    ? "\"content\":\"x\""
                                                     : "\"tokens\":[1]";
    snprintf(body, sizeof body, "{%s,%s}", base, field);
    return body;
}

static inline void accept(enum params_endpoint endpoint, const char *field)
{
    int rc = read_body(endpoint, with(endpoint, field));
    ck_assert_msg(rc == 0, "%s: %s", field, problem.text);
    ck_assert_msg(ignored.len == 0, "%s is unknown", field);
    params_fini(&p);
}

static inline void refuse(enum params_endpoint endpoint, const char *field, const char *param)
{
    int rc = read_body(endpoint, with(endpoint, field));
    ck_assert_msg(rc < 0, "accepted: %s", field);
    ck_assert_msg(strcmp(problem.param, param) == 0, "%s: param is \"%s\"", field, problem.param);
    ck_assert_int_eq(problem.status, 400);
    ck_assert_str_eq(problem.type, "invalid_request_error");
    ck_assert_ptr_nonnull(strstr(problem.text, param));
    params_fini(&p);
}

#endif
