/* SPDX-License-Identifier: MIT */
/*
 * walk.h - a grammar that came out of a fuzzer's bytes, and a text that they choose.
 */
#ifndef TRIT_FUZZ_WALK_H
#define TRIT_FUZZ_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "engine/grammar.h"

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

#endif
