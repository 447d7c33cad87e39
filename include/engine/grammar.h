/* SPDX-License-Identifier: MIT */
/*
 * grammar.h - answers that follow a grammar: GBNF text to a push-down automaton over bytes, where
 * an answer stands in it, and which tokens may come next.
 *
 * The language is GBNF as llama.cpp made it known:
 *
 *     root   ::= "{" ws pair ("," ws pair)* "}"   # a comment
 *     pair   ::= ["] [^"\\\x00-\x1F]{1,64} ["] ":" ws ("true" | "false")
 *     ws     ::= [ \t\n]*
 *
 *   rules      name ::= alternatives; names are of letters, digits, '-' and '_'.  A rule ends where
 *              the next "name ::=" begins; line breaks mean nothing else.
 *   literals   "..." with \n \t \r \" \\ \' \] \[ \- \^ \/ \xHH \uHHHH \UHHHHHHHH; all of them are
 * code points, written as UTF-8: "\xE9" is the two bytes of U+00E9 classes    [a-z_], [^"\\]: of
 * code points; [^...] and . never match surrogates, which are none; . is any code point, a line
 * feed too repeats    x* x+ x? x{m} x{m,} x{m,n} after a literal, class, rule or group; a literal
 * repeats as a whole groups     ( ... | ... ), an alternative may be empty: ("a" | )
 *
 * The text begins with any rule, the start is `root`.  Refused, with line and column of the place:
 * what does not parse, rules that are missing, defined twice, left-recursive (also through what may
 * be empty) or without any finite text, and whatever is over a limit.  Rules that root does not use
 * are checked and left out.
 *
 * The automaton has a frame for each rule that is open, so its stack is as deep as the text is
 * nested.  Several stacks live at a time where the text so far can be read in several ways; they
 * end as soon as only one reading is left.
 */
#ifndef TRIT_GRAMMAR_H
#define TRIT_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tok;
struct trit_error;

/* ------------------------------------------------------------------ grammars */

/* A compiled grammar: immutable, counted, for any thread. */
struct grammar;

struct grammar_limits {
    size_t text_bytes;
    uint32_t rules;
    uint32_t states;  /* of all rules together, repetitions written out */
    uint32_t edges;   /* between them */
    uint32_t nesting; /* groups within groups */
};
extern const struct grammar_limits grammar_limits; /* the usual ones */

/*
 * Gives *g with one reference.  -TRIT_EINVAL: the text is wrong, "line 3, column 14: ...";
 * -TRIT_ETOOBIG: it is over a limit, likewise; -TRIT_ENOMEM.  Time and memory are bounded by the
 * limits: a few milliseconds for the usual ones.  limits NULL: the usual ones.
 */
int grammar_compile(const char *text, size_t len, const struct grammar_limits *limits,
                    struct grammar **g, struct trit_error *err);
struct grammar *grammar_ref(struct grammar *g);
void grammar_unref(struct grammar *g);         /* NULL is allowed */
size_t grammar_bytes(const struct grammar *g); /* memory held */

/* ------------------------------------------------------------------ where an answer stands */

/*
 * The state of one answer: the stacks that can still be right.  All its memory is taken at its
 * making; it holds a reference to the grammar.  One owner at a time.
 */
struct grammar_state;

/* At the beginning; NULL: no memory.  Of no grammar (g is NULL) only grammar_state_copy makes use.
 */
struct grammar_state *grammar_state_new(struct grammar *g);
void grammar_state_free(struct grammar_state *st); /* NULL is allowed */

/*
 * Let *st, which is at the beginning, wait for a text: what is read is accepted whatever it is, and
 * the grammar begins behind the first place where `marker` stands (borrowed, at least a byte).
 * Where the rest of a grammar_accept behind it is not of the grammar, it goes on waiting.
 */
void grammar_state_wait(struct grammar_state *st, const char *marker);
bool grammar_waits(const struct grammar_state *st);

/* Make *to, of any grammar, the same as *from, of the same grammar from now on. */
void grammar_state_copy(struct grammar_state *to, const struct grammar_state *from);

/*
 * Read further bytes.  0; -TRIT_EINVAL: no text of the grammar goes on like this; -TRIT_ETOOBIG:
 * more readings or a deeper nesting than there is room for.  After a failure the state is as it
 * was.
 */
int grammar_accept(struct grammar_state *st, const char *bytes, size_t len);

bool grammar_may_end(const struct grammar_state *st);   /* what was read is a whole text */
bool grammar_may_go_on(const struct grammar_state *st); /* and the beginning of a longer one */

/* ------------------------------------------------------------------ masks */

/*
 * The texts of a vocabulary as a tree of bytes; control tokens and those without a text are not in
 * it.  Immutable, for any thread.
 */
struct grammar_vocab;
int grammar_vocab_open(const struct tok *tok, uint32_t n, struct grammar_vocab **v,
                       struct trit_error *err); /* of the first n tokens */
void grammar_vocab_close(struct grammar_vocab **v);
size_t grammar_vocab_bytes(const struct grammar_vocab *v);

/*
 * What is known already about which tokens may follow, at most `bytes` of it, the latest used; and
 * the scratch of finding out.  One owner, one thread.
 */
struct grammar_masks;
int grammar_masks_open(const struct grammar_vocab *v, size_t bytes, struct grammar_masks **m,
                       struct trit_error *err);
void grammar_masks_close(struct grammar_masks **m);

/* Words of a mask of n tokens: bit (id % 64) of word id / 64 is set where the token may follow. */
#define GRAMMAR_MASK_WORDS(n) (((size_t)(n) + 63) / 64)

/*
 * Fill mask[GRAMMAR_MASK_WORDS(n)]: token i may follow exactly if grammar_accept would take its
 * bytes.  Says nothing of stop tokens, which have no text: see grammar_may_end.  Gives how many
 * may. -TRIT_ETOOBIG: more readings or a deeper nesting within one token than there is room or time
 * for, which does not depend on what the cache knows.  Allocates nothing but what the cache grows
 * by.
 */
int grammar_mask(struct grammar_masks *m, const struct grammar_state *st, uint64_t *mask,
                 uint32_t *n_allowed);

struct grammar_mask_counts {
    uint64_t hits, misses, evicted; /* parts of masks that were known, or found out, or dropped */
    size_t bytes;                   /* that the cache holds */
};
void grammar_masks_count(const struct grammar_masks *m, struct grammar_mask_counts *c);

#endif
