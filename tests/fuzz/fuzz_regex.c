/* SPDX-License-Identifier: MIT */
/*
 * fuzz_regex.c - any text as a regular expression: it is refused with the byte, or becomes a
 * grammar that compiles or is refused by its size.
 *
 * libFuzzer; needs clang.  From the top of the source tree:
 *
 *     mkdir -p fuzz/regex && touch fuzz/config.h
 *     clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         -Ifuzz -Iinclude -Isrc tests/fuzz/fuzz_regex.c src/engine/grammar*.c \
 *         src/server/{schema,schema-flat,schema-object,schema-string,schema-number,regex}.c \
 *         src/server/{regex-out,gbnf,shape,json,problem,json-out}.c src/model/tok*.c
 * src/model/vocab.c \ src/base/{base,mem,buf,utf8}.c -lcjson -lm -o fuzz/fuzz_regex fuzz/fuzz_regex
 * -max_total_time=600 -timeout=5 -rss_limit_mb=2048 fuzz/regex
 */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/grammar.h"
#include "server/problem.h"
#include "server/regex.h"
#include "server/shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Bytes that the grammar takes, from a few that often help. */
static void walk(struct grammar *g, const uint8_t *bytes, size_t len)
{
    static const char usual[] = "\"{}[]:, 0a-.e";
    struct grammar_state *st = grammar_state_new(g);
    trit_assert(st);
    for (size_t i = 0; i < MIN(len, (size_t)64); i++) {
        char c = (char)bytes[i];
        if (grammar_accept(st, &c, 1) != 0)
            (void)grammar_accept(st, &usual[bytes[i] % (sizeof usual - 1)], 1);
        trit_assert(grammar_may_end(st) || grammar_may_go_on(st));
    }
    grammar_state_free(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
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
        walk(g, bytes, len);
    grammar_unref(g);
    shape_fini(&s);
    return 0;
}
