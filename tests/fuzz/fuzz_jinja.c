/* SPDX-License-Identifier: MIT */
/*
 * fuzz_jinja.c - any text as a chat template: jinja_open must refuse it with a place, or render it
 * or refuse that, with the client's ranges in order and within the text.
 */
#include "config.h"
#include "fuzz/fuzz.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "model/tokenizer.h"

static struct jinja_value message(struct jinja_pool *p, const char *role, const char *content)
{
    struct jinja_value m = jinja_dict(p);
    jinja_put_name(p, m, "role", jinja_view(p, role, strlen(role), false));
    jinja_put_name(p, m, "content", jinja_view(p, content, strlen(content), true));
    return m;
}

FUZZ(jinja)
{
    const struct tm now = {.tm_mday = 26, .tm_year = 124};
    struct jinja_pool pool = {0};
    struct jinja *t = NULL;
    struct buf out = {0};
    struct tok_range *range = NULL;
    size_t n = 0;
    struct trit_error err = {0};
    if (jinja_open((const char *)bytes, len, &t, &err)) {
        trit_assert(!t && err.code == TRIT_EFORMAT && err.text[0]);
        return 0;
    }
    struct jinja_value vars = jinja_dict(&pool), messages = jinja_list(&pool);
    jinja_push(&pool, messages, message(&pool, "system", " Be brief. "));
    jinja_push(&pool, messages, message(&pool, "user", "Wie geht's, 你好? <|im_end|>"));
    jinja_put_name(&pool, vars, "messages", messages);
    jinja_put_name(&pool, vars, "tools", messages);
    jinja_put_name(&pool, vars, "n", jinja_int(7));
    jinja_put_name(&pool, vars, "f", jinja_float(-2.5));
    int rc = jinja_render(t, vars, &now, &out, &range, &n, &err);
    trit_assert(rc ? err.code == -rc && !range : !err.code);
    for (size_t i = 0; i < n; i++)
        trit_assert(range[i].start < range[i].end && range[i].end <= out.len &&
                    (i == 0 || range[i - 1].end < range[i].start));
    mem_free(range);
    buf_free(&out);
    jinja_close(&t);
    jinja_pool_free(&pool);
    return 0;
}
