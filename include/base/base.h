/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every file of tritd shares: error codes, assertions, small macros.
 *
 * Three kinds of trouble, three answers:
 *   a bug        trit_assert(): stays on in release, prints where and stops the process;
 *   bad input    (file, request, configuration) a negative code and a struct trit_error that names
 *                the field or tensor, what was found and what was expected; never an assertion;
 *   no resource  (memory, queue, KV pages) a negative code; new work is refused, the rest goes on.
 *
 * Functions that can fail return 0 or a negative -TRIT_E... code.  Only main may end the process.
 */
#ifndef TRIT_BASE_H
#define TRIT_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every error there is, once: name, HTTP status, OpenAI error type, OpenAI error code ("" means
 * null), and the text used where no better one is at hand.
 */
// clang-format off
#define TRIT_ERRORS(X)                                                                             \
    X(INVAL,     400, "invalid_request_error",     "",                        "invalid value")     \
    X(FORMAT,    400, "invalid_request_error",     "",                        "malformed input")   \
    X(UNSUPP,    400, "invalid_request_error",     "unsupported",             "not supported")     \
    X(CONTEXT,   400, "invalid_request_error",     "context_length_exceeded", "context too long")  \
    X(AUTH,      401, "invalid_request_error",     "invalid_api_key",         "no valid API key")  \
    X(NOENT,     404, "invalid_request_error",     "not_found",               "not found")         \
    X(TOOBIG,    413, "invalid_request_error",     "request_too_large",       "too large")         \
    X(BUSY,      429, "rate_limit_error",          "slow_down",               "queue is full")     \
    X(LIMIT,     429, "rate_limit_error",          "rate_limit_exceeded",     "over a limit")      \
    X(LATE,      429, "rate_limit_error",          "deadline_unreachable",    "not done in time")  \
    X(NOMEM,     503, "service_unavailable_error", "server_is_overloaded",    "out of memory")     \
    X(LOADING,   503, "service_unavailable_error", "loading",                 "model is loading")  \
    X(DRAINING,  503, "service_unavailable_error", "draining",                "shutting down")     \
    X(DEADLINE,  504, "server_error",              "deadline_exceeded",       "deadline exceeded") \
    X(CANCELLED, 499, "server_error",              "cancelled",               "cancelled")         \
    X(FAULT,     500, "server_error",              "engine_fault",            "engine fault")      \
    X(IO,        500, "server_error",              "io_error",                "input/output error")
// clang-format on

enum trit_errno {
    TRIT_OK = 0,
#define X(name, http, type, api, text) TRIT_E##name,
    TRIT_ERRORS(X)
#undef X
};

/* A failure in words, for a human to read.  Always NUL-terminated UTF-8; code is positive. */
struct trit_error {
    int code;
    char text[500];
};

/* The parts of the table above.  `code` may be given with either sign; an unknown one asserts. */
const char *trit_err_name(int code); /* "TRIT_EINVAL" */
const char *trit_err_text(int code);
const char *trit_err_type(int code);
const char *trit_err_api(int code); /* NULL where OpenAI's field is null */
int trit_err_http(int code);

/* Fill *err (NULL is allowed) and return -code, so that a check reads: return trit_fail(...). */
int trit_fail(struct trit_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Report a broken invariant on stderr and abort.  Used through the macros below. */
_Noreturn void trit_bug(const char *expr, const char *file, int line, const char *func);

#define trit_assert(cond)                                                                          \
    ((cond) ? (void)0 : trit_bug(#cond, __FILE__, __LINE__, __func__))
#define trit_unreachable(why) trit_bug("unreachable: " why, __FILE__, __LINE__, __func__)

/* Before a function whose sums wrap because they shall, for those who look for others
 * (tests/fuzz/fuzz.sh). */
#ifdef __clang__
#define TRIT_WRAPS __attribute__((no_sanitize("integer")))
#else
#define TRIT_WRAPS
#endif

/* Whether AddressSanitizer or ThreadSanitizer is built in; gcc has macros that say so, clang
 * features. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define TRIT_SANITIZED 1
#elif defined __clang__
#define TRIT_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define TRIT_SANITIZED 0
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#ifndef MIN /* sys/param.h, which libuv includes, has the same two */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

/* Round n up to a multiple of `to` (any positive number). */
static inline size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Monotonic time, for every deadline and every measured duration.  Seconds since some start. */
double trit_now(void);

#endif
