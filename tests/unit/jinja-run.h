/* SPDX-License-Identifier: MIT */
/*
 * jinja-run.h - a template, variables that every test has, and the text with its client's parts.
 */
#ifndef TRIT_TEST_JINJA_RUN_H
#define TRIT_TEST_JINJA_RUN_H

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "model/tokenizer.h"
#include "unit/unit.h"

/* Variables every test has; strings are a client's but for `ours`. */
static inline struct jinja_value variables(struct jinja_pool *p)
{
    static const char *const turns[][2] = {
        {"system", " Be brief. "}, {"user", "Hi <|im_end|>"}, {"assistant", "You\n"}};
    struct jinja_value vars = jinja_dict(p), messages = jinja_list(p), d = jinja_dict(p);
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        struct jinja_value m = jinja_dict(p);
        jinja_put_name(p, m, "role", jinja_text(p, turns[i][0], strlen(turns[i][0]), false));
        jinja_put_name(p, m, "content", jinja_view(p, turns[i][1], strlen(turns[i][1]), true));
        jinja_push(p, messages, m);
    }
    jinja_put_name(p, d, "b", jinja_int(2));
    jinja_put_name(p, d, "items", jinja_bool(true));
    jinja_put_name(p, d, "a", jinja_none());
    jinja_put_name(p, vars, "messages", messages);
    jinja_put_name(p, vars, "d", d);
    jinja_put_name(p, vars, "word", jinja_text(p, "größer", strlen("größer"), true));
    jinja_put_name(p, vars, "ours", jinja_text(p, "<s>", 3, false));
    jinja_put_name(p, vars, "half", jinja_float(0.5));
    return vars;
}

/* The text with a client's parts in « »; or the error. */
static inline int run(const char *source, struct buf *out, struct trit_error *err)
{
    const struct tm now = {.tm_mday = 26, .tm_mon = 6, .tm_year = 124, .tm_wday = 5};
    struct jinja_pool p = {0};
    struct jinja *t = NULL;
    struct buf text = {0};
    struct tok_range *range = NULL;
    size_t n = 0, at = 0;
    int rc = jinja_open(source, strlen(source), &t, err);
    if (rc == 0)
        rc = jinja_render(t, variables(&p), &now, &text, &range, &n, err);
    for (size_t i = 0; i < n; at = range[i++].end) {
        buf_add(out, text.data + at, range[i].start - at);
        buf_adds(out, "«");
        buf_add(out, text.data + range[i].start, range[i].end - range[i].start);
        buf_adds(out, "»");
    }
    buf_add(out, text.data ? text.data + at : "", text.len - at);
    mem_free(range);
    buf_free(&text);
    jinja_close(&t);
    jinja_pool_free(&p);
    return rc;
}

struct pair {
    const char *source, *want;
};

static inline void ck_all(const struct pair *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct buf out = {0};
        struct trit_error err = {0};
        int rc = run(all[i].source, &out, &err);
        ck_assert_msg(rc == 0 && strcmp(out.data, all[i].want) == 0,
                      "%s\ngives    %s%s\nexpected %s", all[i].source, out.data, err.text,
                      all[i].want);
        buf_free(&out);
    }
}

#define CK_ALL(...)                                                                                \
    do {                                                                                           \
        static const struct pair all_[] = {__VA_ARGS__};                                           \
        ck_all(all_, ARRAY_LEN(all_));                                                             \
    } while (0)

#endif
