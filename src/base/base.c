/* SPDX-License-Identifier: MIT */
/*
 * base.c - the error table, the last words of a failed assertion, the clock.
 */
#include "config.h"
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/utf8.h"

static const struct {
    const char *name, *type, *api, *text;
    int http;
} errors[] = {
    [TRIT_OK] = {"TRIT_OK", "", "", "success", 200},
#define X(name, http, type, api, text) [TRIT_E##name] = {"TRIT_E" #name, type, api, text, http},
    TRIT_ERRORS(X)
#undef X
};

static size_t error_index(int code)
{
    size_t i = (size_t)(code < 0 ? -code : code);
    trit_assert(i < ARRAY_LEN(errors));
    return i;
}

const char *trit_err_name(int code)
{
    return errors[error_index(code)].name;
}

const char *trit_err_text(int code)
{
    return errors[error_index(code)].text;
}

const char *trit_err_type(int code)
{
    return errors[error_index(code)].type;
}

const char *trit_err_api(int code)
{
    const char *api = errors[error_index(code)].api;
    return *api ? api : NULL;
}

int trit_err_http(int code)
{
    return errors[error_index(code)].http;
}

/* A value that was cut short, a name from a file system: what is no UTF-8 becomes '?'. */
static void keep_utf8(char *s)
{
    for (size_t len = strlen(s); len > 0;) {
        int n = utf8_scan(s, len);
        size_t bytes = n > 0 ? (size_t)n : n < 0 ? (size_t)-n : len;
        if (n <= 0)
            memset(s, '?', bytes);
        s += bytes;
        len -= bytes;
    }
}

int trit_fail(struct trit_error *err, int code, const char *fmt, ...)
{
    trit_assert(code > 0 && (size_t)code < ARRAY_LEN(errors));
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        keep_utf8(err->text);
    }
    return -code;
}

_Noreturn void trit_bug(const char *expr, const char *file, int line, const char *func)
{
    char thread[16] = "?";
    prctl(PR_GET_NAME, thread, 0, 0, 0);
    fprintf(stderr,
            "tritd: bug: %s\n  in %s at %s:%d, thread %s\n"
            "  Please report this line together with what was running.\n",
            expr, func, file, line, thread);
    abort();
}

double trit_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
