/* SPDX-License-Identifier: MIT */
/*
 * grammar-parts.h - what the bodies of grammar.h share.
 *
 *   grammar-parse.c    GBNF text to a tree
 *   grammar-ranges.c   its sets of characters
 *   grammar-check.c    what the tree may not be: undefined, endless, left-recursive
 *   grammar-build.c    the tree to an automaton over bytes
 *   grammar.c          the compiled grammar, and where an answer stands in it
 *   grammar-stacks.c   sets of stacks, one byte further at a time
 *   grammar-vocab.c    the vocabulary as a tree of bytes
 *   grammar-walk.c     which texts of the vocabulary may follow a part of a stack
 *   grammar-plain.c    where a whole subtree of them may, without looking at each
 *   grammar-mask.c     which tokens may follow a state, and the cache of that
 */
#ifndef TRIT_GRAMMAR_PARTS_H
#define TRIT_GRAMMAR_PARTS_H

#include <stdatomic.h>

#include "engine/grammar.h"

/* ------------------------------------------------------------------ the tree of a text */

enum grammar_kind {
    GRAMMAR_EMPTY,   /* a literal without characters */
    GRAMMAR_LITERAL, /* the code points cp[at, at + n) */
    GRAMMAR_CLASS,   /* one of the ranges cp[at, at + 2 n): sorted, apart, inclusive, n >= 1 */
    GRAMMAR_REF,     /* the rule `at` */
    GRAMMAR_REPEAT,  /* its one child, min to max times */
    GRAMMAR_SEQ,     /* its children, one after the other; maybe none */
    GRAMMAR_ALT,     /* one of its children, at least one */
};

enum { GRAMMAR_NONE = 0, GRAMMAR_ENDLESS = UINT32_MAX };

/* Nodes are numbered from 1; children have higher numbers than their parent or lower, never equal.
 */
struct grammar_node {
    enum grammar_kind kind;
    uint32_t parent, child, next; /* 0: none; `next` of the same parent */
    uint32_t at, n, min, max;
    uint32_t place; /* byte in the text, for errors */
    uint32_t same;  /* GRAMMAR_REF: another reference to the same rule */
};

struct grammar_rule {
    const char *name; /* in the text */
    uint32_t name_len, place;
    uint32_t body;  /* node; 0: referred to, not defined */
    uint32_t refs;  /* the references to it, by `same` */
    uint32_t next;  /* in its bucket, + 1 */
    uint32_t start; /* grammar-build.c: its first state */
    bool used;      /* by root, at however many removes */
};

struct grammar_tree {
    const char *text;
    size_t len;
    const struct grammar_limits *limits;
    struct trit_error *err;

    struct grammar_node *node;
    uint32_t n_nodes, cap_nodes; /* the 0th is none */
    uint32_t *cp;
    uint32_t n_cp, cap_cp;
    struct grammar_rule *rule;
    uint32_t n_rules;
    uint32_t *bucket; /* of names: rule + 1 */
    uint32_t root;
};

/* "line L, column C: ..." for the place in the text; -code. */
int grammar_fail(const struct grammar_tree *t, int code, size_t place, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The names of a rule for messages: printf's "%.*s". */
#define GRAMMAR_NAME(r) (int)((r)->name_len < 60 ? (r)->name_len : 60), (r)->name

/* t->text, len, limits and err are set.  A failure leaves what grammar_tree_free can take. */
int grammar_parse(struct grammar_tree *t);

/* grammar-ranges.c: t->cp has room for what grammar_parse adds.  lo..hi go without surrogates. */
enum { GRAMMAR_LAST_CP = 0x10ffff, GRAMMAR_SURROGATE = 0xd800, GRAMMAR_SURROGATE_END = 0xdfff };
void grammar_add_cp(struct grammar_tree *t, uint32_t cp);
void grammar_add_range(struct grammar_tree *t, uint32_t lo, uint32_t hi);

/* Sort and join n ranges, in place; how many are left. */
uint32_t grammar_join_ranges(uint32_t *cp, uint32_t n);

/* What the n ranges at cp[first], the last there are, leave out takes their place. */
void grammar_negate(struct grammar_tree *t, uint32_t first, uint32_t n);

int grammar_check(struct grammar_tree *t); /* sets `used` too */
void grammar_tree_free(struct grammar_tree *t);

/* ------------------------------------------------------------------ the automaton */

struct grammar_edge {
    uint8_t lo, hi; /* bytes, inclusive */
    uint32_t to;
};

/* A rule begins here, and when it is done it goes on at `back`. */
struct grammar_call {
    uint32_t start; /* the rule's first state */
    uint32_t back;  /* GRAMMAR_TAIL: nothing is left to do here then */
};
enum { GRAMMAR_TAIL = UINT32_MAX };

struct grammar_at {
    uint32_t edge, n_edges;
    uint32_t call, n_calls;
    bool final; /* the rule may be done here */
};

struct grammar {
    atomic_uint refs;
    uint64_t id; /* no other grammar of the process has it */
    struct grammar_at *state;
    struct grammar_edge *edge;
    struct grammar_call *call;
    uint32_t n_states, n_edges, n_calls;
    uint32_t start;        /* of root */
    uint8_t class_of[256]; /* bytes that no edge tells apart are of one class */
    uint8_t byte_of[256];  /* one byte of each class */
    uint32_t n_classes;
};

/* Fills in everything of *g but refs and id; mem_free for the arrays, also after a failure. */
int grammar_build(struct grammar_tree *t, struct grammar *g);

/* ------------------------------------------------------------------ sets of stacks */

/*
 * A cell is a stack: a state on top of another stack.  Equal stacks are one cell.  Cell 0 is the
 * empty stack, the ground.
 */
struct grammar_cell {
    uint32_t state, below;
    uint32_t next;  /* in its bucket */
    uint32_t stamp; /* of the latest walk that met it */
};

struct grammar_stacks {
    const struct grammar *g;
    struct grammar_cell *cell;
    uint32_t *bucket;
    uint32_t n_cells, cap_cells; /* cap: a power of two, and the number of buckets */
    uint32_t stamp;

    /* What the latest begin, add and step have found. */
    uint32_t *top; /* stacks whose top has edges, first met first */
    uint32_t n_met, cap_met, n_tops;
    uint32_t *met;
    bool grounded; /* the lowest rule may be done */
};

bool grammar_stacks_init(struct grammar_stacks *s, uint32_t cells, uint32_t met);
void grammar_stacks_fini(struct grammar_stacks *s);
void grammar_stacks_clear(struct grammar_stacks *s, const struct grammar *g); /* forget all cells */

/* The cell of `state` on `below`; 0: no room. */
uint32_t grammar_stacks_cell(struct grammar_stacks *s, uint32_t state, uint32_t below);

/* Begin a new set; add a state on a stack, and whatever follows from it without a byte; or all that
 * follows from a stack with this byte.  false: no room. */
void grammar_stacks_begin(struct grammar_stacks *s);
bool grammar_stacks_add(struct grammar_stacks *s, uint32_t state, uint32_t below);
bool grammar_stacks_step(struct grammar_stacks *s, uint32_t cell, uint8_t byte);

/* ------------------------------------------------------------------ states of answers */

struct grammar_state {
    struct grammar *g; /* a reference; NULL: none yet */
    struct grammar_stacks stacks;
    uint32_t *top; /* the stacks that can still be right */
    uint32_t n_tops;
    bool may_end;
    uint32_t *moved;    /* scratch of compaction */
    const char *marker; /* what it waits for; NULL: nothing */
    size_t met;         /* bytes of the marker that the text ends with */
};

/* ------------------------------------------------------------------ vocabularies */

/* A node of the tree, in the order in which a walk down the tree meets them.  Node 0 is the root.
 */
struct grammar_vocab_node {
    uint32_t end;   /* of its subtree: [self + 1, end) are below it */
    uint32_t first; /* texts that end before it; its own, if it has one, is the next */
    uint16_t depth;
    uint8_t byte;
    uint8_t height; /* of what is below it, in bytes; 255: at least that */
    uint16_t below; /* kinds of characters below it, grammar_kind_of; all of them, inside of one */
};

struct grammar_vocab {
    struct grammar_vocab_node *node; /* and one more behind the last */
    int32_t *text;                   /* tokens by their texts; two of one text are two nodes */
    uint32_t n_nodes, n_texts, n_tokens, deepest;
};

/* Kinds of characters, as bits: the first for groups of ASCII that grammars often treat alike. */
enum {
    GRAMMAR_LETTERS = 1,      /* a to z: what plain text has at the least */
    GRAMMAR_BEYOND = 1 << 14, /* whole characters of two and more bytes */
    GRAMMAR_BROKEN = 1 << 15, /* bytes that are no UTF-8 there */
};
uint16_t grammar_kind_of(uint8_t ascii);

/* ------------------------------------------------------------------ walks */

/*
 * The tree of the vocabulary walked down along the automaton from one state, with nothing known of
 * what is below it on the stack.  A token then may follow, or may not, or it depends: the rule may
 * be done at some node, and what comes below that node is for the stack to say.  Such a node is
 * called an exit here.  Sets of stacks that were met are kept with the ways between them, a
 * deterministic automaton made as it is needed (Thompson, again), so that a step is a look-up.
 */
struct grammar_walk {
    const struct grammar_vocab *v;
    struct grammar_stacks stacks;
    uint64_t grammar; /* id of the one that the sets are of; 0: none */

    struct grammar_set *set; /* the 0th is the empty one */
    uint32_t *bucket;
    uint32_t n_sets;
    uint32_t *tops; /* of all sets, one after the other */
    uint32_t n_tops;
    uint32_t
        *row;    /* [sets][classes + GRAMMAR_TAIL_WORDS]: the rows that a byte leads to; the rest */
    bool lowest; /* nothing is below the state: exits are of no use */
    bool sparing;  /* find out nothing that is not needed: room is short */
    uint32_t *way; /* [depth]: the row at each node on the way down */
    uint32_t run;
    uint64_t most; /* work that it may be */

    /* What the latest walk has found, and what it took, which is the same each time. */
    uint64_t work;
    uint64_t *bits; /* tokens that may follow */
    uint32_t *exit; /* nodes with something below them, ascending */
    uint32_t n_exits;
};

bool grammar_walk_init(struct grammar_walk *w, const struct grammar_vocab *v);
void grammar_walk_fini(struct grammar_walk *w);

/* Behind the bytes' classes in a row. */
enum {
    GRAMMAR_ROW_FLAGS,
    GRAMMAR_ROW_PLAIN, /* kinds of characters that all lead to one row; GRAMMAR_NOT_YET: who knows
                        */
    GRAMMAR_ROW_NEXT,  /* that row */
    GRAMMAR_ROW_PLAIN_LOWEST, /* the same for walks of the lowest state */
    GRAMMAR_ROW_NEXT_LOWEST,
    GRAMMAR_TAIL_WORDS,

    GRAMMAR_GROUNDED = 1, /* flag: the lowest rule may be done: an exit */
    GRAMMAR_GOES_ON = 2,
    GRAMMAR_NOT_YET = -1, /* in a row: not looked at yet */
    GRAMMAR_NO_ROOM = 1,  /* where a row is given; there is no row 1 */
};

/* The row that a byte leads to, found out if need be; GRAMMAR_NO_ROOM. */
uint32_t grammar_walk_step(struct grammar_walk *w, uint32_t row, uint8_t byte);

/* Whether from this row all that is below a node may follow, and ends no rule on its way. */
bool grammar_plain_below(struct grammar_walk *w, uint32_t row,
                         const struct grammar_vocab_node *node);

/*
 * Walk on from the nodes root[n], ascending, with a state of g: a top of a stack, or one where a
 * rule that is done goes on.  Nodes that are roots themselves are not looked at, what is below them
 * is.  With `lowest` there are no exits.  false: no room, or more work than `most`, which are about
 * as many nanoseconds.  root must not be w->exit.
 */
bool grammar_walk_run(struct grammar_walk *w, const struct grammar *g, uint32_t state, bool is_top,
                      bool lowest, const uint32_t *root, uint32_t n, uint64_t most);

#endif
