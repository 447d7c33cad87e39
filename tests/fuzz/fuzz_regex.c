/* SPDX-License-Identifier: MIT */
/*
 * fuzz_regex.c - any text as a regular expression: it is refused with the byte, or becomes a
 * grammar that compiles or is refused by its size.
 */
#include "config.h"
#include "fuzz/fuzz.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz/walk.h"
#include "server/problem.h"
#include "server/regex.h"
#include "server/shape.h"

FUZZ(regex)
{
    char *text = mem_strndup((const char *)bytes, len);
    if (!text || !utf8_valid(text, strlen(text)) || strlen(text) > REGEX_BYTES) {
        mem_free(text); /* The reader of fields has seen to that. */
        return 0;
    }
    struct shape s = {.kind = SHAPE_REGEX, .field = "s", .text = text};
    struct problem p = {0};
    struct grammar *g;
    int rc = shape_compile(&s, &g, &p);
    trit_assert(rc ? !g && p.text[0] && p.status >= 400 : g != NULL);
    if (rc == 0)
        fuzz_walk(g, bytes, len);
    grammar_unref(g);
    shape_fini(&s);
    return 0;
}
