/* SPDX-License-Identifier: MIT */
/*
 * walk.h - a shape, or a grammar, that came out of a fuzzer's bytes, and a text that they choose.
 */
#ifndef TRIT_FUZZ_WALK_H
#define TRIT_FUZZ_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "engine/grammar.h"
#include "server/problem.h"
#include "server/shape.h"

/* Bytes that the grammar takes, from a few that often help. */
static inline void fuzz_walk(struct grammar *g, const uint8_t *bytes, size_t len)
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

/* A shape is refused with a reason, or becomes a grammar, which is walked; s is freed. */
static inline void fuzz_shape(struct shape *s, const uint8_t *bytes, size_t len)
{
    struct problem p = {0};
    struct grammar *g;
    int rc = shape_compile(s, &g, &p);
    trit_assert(rc ? !g && p.text[0] && p.status >= 400 : g != NULL);
    if (rc == 0)
        fuzz_walk(g, bytes, len);
    grammar_unref(g);
    shape_fini(s);
}

#endif
