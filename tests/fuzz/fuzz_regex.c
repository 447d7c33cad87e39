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
#include "server/regex.h"

FUZZ(regex)
{
    char *text = mem_strndup((const char *)bytes, len);
    if (!text || !utf8_valid(text, strlen(text)) || strlen(text) > REGEX_BYTES) {
        mem_free(text); /* The reader of fields has seen to that. */
        return 0;
    }
    struct shape s = {.kind = SHAPE_REGEX, .field = "s", .text = text};
    fuzz_shape(&s, bytes, len);
    return 0;
}
