/* SPDX-License-Identifier: MIT */
/*
 * grammars.h - compiled grammars that were asked for lately, by their text.
 *
 * The thousandth request with the same grammar compiles nothing, and shares what is known about its
 * masks.  Loop thread only.
 */
#ifndef TRIT_GRAMMARS_H
#define TRIT_GRAMMARS_H

#include <stddef.h>
#include <stdint.h>

struct grammar;

enum { GRAMMARS_KEPT = 64, GRAMMARS_BYTES = 64 << 20 /* of texts and automata */ };

struct grammars {
    struct grammars_entry {
        uint64_t hash;
        char *text; /* NULL: the entry is empty */
        size_t len, bytes;
        struct grammar *g;
        uint64_t used;
    } entry[GRAMMARS_KEPT];
    size_t bytes;
    uint64_t clock;
    uint64_t hits, compiled; /* since the beginning */
};

/* A reference to the grammar of this text; NULL: it is not here. */
struct grammar *grammars_find(struct grammars *all, const char *text, size_t len);

/* Remember a grammar under its text, which is copied; without memory it is just not remembered. */
void grammars_add(struct grammars *all, const char *text, size_t len, struct grammar *g);

void grammars_fini(struct grammars *all);

#endif
