/* SPDX-License-Identifier: MIT */
/*
 * problem.c - from one row of the error table to one JSON object.
 */
#include "config.h"
#include "server/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/json.h"

static void fill(struct problem *p, int code, const char *param)
{
    *p = (struct problem){
        .status = trit_err_http(code), .type = trit_err_type(code), .code = trit_err_api(code)};
    if (param)
        snprintf(p->param, sizeof p->param, "%s", param);
}

int problem_set(struct problem *p, int code, const char *param, const char *fmt, ...)
{
    va_list ap;
    fill(p, code, param);
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof p->text, fmt, ap);
    va_end(ap);
    return -code;
}

int problem_from(struct problem *p, int rc, const char *param, const struct trit_error *err)
{
    trit_assert(rc < 0);
    fill(p, -rc, param);
    snprintf(p->text, sizeof p->text, "%s", err->text[0] ? err->text : trit_err_text(rc));
    return rc;
}

void problem_put(const struct problem *p, struct json_out *o)
{
    json_key(o, "error");
    json_open(o, '{');
    json_key(o, "message");
    json_str(o, p->text);
    json_key(o, "type");
    json_str(o, p->type);
    json_key(o, "param");
    json_str_or_null(o, p->param[0] ? p->param : NULL);
    json_key(o, "code");
    json_str_or_null(o, p->code);
    if (p->n_ctx) {
        json_key(o, "n_prompt_tokens");
        json_int(o, (int64_t)p->n_prompt);
        json_key(o, "n_ctx");
        json_int(o, (int64_t)p->n_ctx);
    }
    json_close(o, '}');
}

void problem_write(const struct problem *p, struct buf *out)
{
    struct json_out o = {.buf = out};
    json_open(&o, '{');
    problem_put(p, &o);
    json_close(&o, '}');
}
