/* SPDX-License-Identifier: MIT */
/*
 * shape-run.h - whether a text is one that a shape allows, through the real grammar.
 */
#ifndef TRIT_TEST_SHAPE_RUN_H
#define TRIT_TEST_SHAPE_RUN_H

#include <string.h>

#include "base/base.h"
#include "engine/grammar.h"
#include "server/problem.h"
#include "server/shape.h"
#include "unit/unit.h"

static inline struct grammar *shape_must(const struct shape *s, const char *what)
{
    struct problem p = {0};
    struct grammar *g;
    int rc = shape_compile(s, &g, &p);
    ck_assert_msg(rc == 0, "%s: %s", what, p.text);
    return g;
}

static inline bool shape_matches(struct grammar *g, const char *text)
{
    struct grammar_state *st = grammar_state_new(g);
    ck_assert_ptr_nonnull(st);
    bool yes = grammar_accept(st, text, strlen(text)) == 0 && grammar_may_end(st);
    grammar_state_free(st);
    return yes;
}

#endif
