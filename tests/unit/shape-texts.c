/* SPDX-License-Identifier: MIT */
/*
 * shape-texts.c - random texts of the grammars of schemas, for another program to judge.
 *
 *     shape-texts SEED TEXTS <schemas
 *
 * Reads one schema a line.  For each it writes a line "ok", then TEXTS lines, each a text that the
 * grammar allows to end (or nothing, when chance did not find an end), or one line
 * "refused: PARAM: MESSAGE".  Texts are found by going on with random bytes that the automaton
 * takes.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "engine/grammar.h"
#include "server/json.h"
#include "server/problem.h"
#include "server/shape.h"
#include "unit/unit.h"

enum { MAX_BYTES = 4000, LONG = 60 };

/* What ends things; tried first once a text is long, so that it comes to an end. */
static const char closing[] = "\"}],:0tfn-T.@aZ1 u";

static bool go_on(struct grammar_state *st, char c, struct buf *text)
{
    if (grammar_accept(st, &c, 1) != 0)
        return false;
    buf_addc(text, c);
    return true;
}

static bool walk(struct grammar *g, uint64_t *seed, struct buf *text)
{
    struct grammar_state *st = grammar_state_new(g);
    bool done = false;
    trit_assert(st);
    while (text->len < MAX_BYTES) {
        bool moved = false;
        if (grammar_may_end(st) &&
            (!grammar_may_go_on(st) || text->len > LONG || unit_random(seed) % 4 == 0)) {
            done = true;
            break;
        }
        for (size_t i = 0; text->len > LONG && closing[i] && !moved; i++)
            moved = go_on(st, closing[i], text);
        for (int i = 0; i < 40 && !moved; i++)
            moved = go_on(st, (char)(0x20 + unit_random(seed) % 0x5f), text);
        unsigned first = (unsigned)(unit_random(seed) % 255);
        for (unsigned i = 0; i < 255 && !moved; i++)
            moved = go_on(st, (char)(1 + (first + i) % 255), text);
        if (!moved)
            break;
    }
    grammar_state_free(st);
    return done;
}

static void work(const char *line, uint64_t *seed, int n)
{
    struct shape s = {.kind = SHAPE_SCHEMA, .field = "schema"};
    struct problem p = {0};
    struct trit_error err = {0};
    struct grammar *g;
    if (json_parse(line, strlen(line), &s.tree, &err) || shape_compile(&s, &g, &p)) {
        printf("refused: %s: %s\n", p.param, p.status ? p.text : err.text);
    } else {
        puts("ok");
        for (int i = 0; i < n; i++) {
            struct buf text = {0};
            puts(walk(g, seed, &text) ? text.data : "");
            buf_free(&text);
        }
        grammar_unref(g);
    }
    shape_fini(&s);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc == 3 ? strtoull(argv[1], NULL, 0) : 0;
    int n = argc == 3 ? atoi(argv[2]) : 0;
    char *line = NULL;
    size_t cap = 0;
    if (n < 1) {
        fprintf(stderr, "usage: shape-texts SEED TEXTS <schemas\n");
        return 2;
    }
    while (getline(&line, &cap, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        work(line, &seed, n);
    }
    free(line);
    return ferror(stdin) ? 1 : 0;
}
