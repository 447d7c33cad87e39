/* SPDX-License-Identifier: MIT */
/*
 * grammar-walk.c - which texts of the vocabulary may follow a part of a stack.
 *
 * In a vocabulary of 128 thousand tokens the tree has some 350 thousand nodes.  Inside a string
 * nearly all of them are visited, so a step must be no more than a look-up: sets of stacks are
 * numbered by where their row of the table begins, the row says for each class of bytes where it
 * leads to, and at its end what is to be done at the node.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar-parts.h"

enum {
    WALK_CELLS = 1 << 16,
    WALK_MET = 1 << 13,
    WALK_SETS = 1 << 14,
    WALK_TOPS = 1 << 18,
    ROW_WORDS = 1 << 20,
    WORTH_A_LOOK = 8, /* nodes below one, before it is asked whether all of them may follow */
};

#define NOT_YET ((uint32_t)GRAMMAR_NOT_YET)
#define NO_ROOM ((uint32_t)GRAMMAR_NO_ROOM)

struct grammar_set {
    uint32_t top, n; /* in tops, ascending */
    uint32_t next;   /* in its bucket */
    uint32_t run;    /* the latest that has met it */
    bool grounded;
};

bool grammar_walk_init(struct grammar_walk *w, const struct grammar_vocab *v)
{
    *w = (struct grammar_walk){.v = v};
    w->set = mem_zalloc(WALK_SETS, sizeof *w->set);
    w->bucket = mem_zalloc(WALK_SETS, sizeof *w->bucket);
    w->tops = mem_zalloc(WALK_TOPS, sizeof *w->tops);
    w->row = mem_zalloc(ROW_WORDS, sizeof *w->row);
    w->way = mem_zalloc(v->deepest + 1, sizeof *w->way);
    w->bits = mem_zalloc(GRAMMAR_MASK_WORDS(v->n_tokens), sizeof *w->bits);
    w->exit = mem_zalloc(v->n_nodes, sizeof *w->exit);
    if (grammar_stacks_init(&w->stacks, WALK_CELLS, WALK_MET) && w->set && w->bucket && w->tops &&
        w->row && w->way && w->bits && w->exit)
        return true;
    grammar_walk_fini(w);
    return false;
}

void grammar_walk_fini(struct grammar_walk *w)
{
    grammar_stacks_fini(&w->stacks);
    mem_free(w->set);
    mem_free(w->bucket);
    mem_free(w->tops);
    mem_free(w->row);
    mem_free(w->way);
    mem_free(w->bits);
    mem_free(w->exit);
    *w = (struct grammar_walk){0};
}

/* ------------------------------------------------------------------ sets of stacks, numbered */

static uint32_t row_len(const struct grammar_walk *w)
{
    return w->stacks.g->n_classes + GRAMMAR_TAIL_WORDS;
}

/* Forget all sets, but for the empty one. */
static void forget(struct grammar_walk *w, const struct grammar *g)
{
    grammar_stacks_clear(&w->stacks, g);
    w->grammar = g->id;
    memset(w->bucket, 0, WALK_SETS * sizeof *w->bucket);
    w->n_sets = 1;
    w->n_tops = 0;
    memset(w->row, 0, (g->n_classes + GRAMMAR_TAIL_WORDS) * sizeof *w->row);
}

TRIT_WRAPS static uint32_t hash_set(const uint32_t *top, uint32_t n, bool grounded)
{
    uint64_t h = n * 2 + grounded;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ top[i]) * 0x9e3779b97f4a7c15u + (h >> 29);
    return (uint32_t)(h >> 40) & (WALK_SETS - 1);
}

static void sort(uint32_t *top, uint32_t n)
{
    for (uint32_t gap = n; gap > 1;) { /* Shell's, with the gaps of Ciura's ratio; mostly n < 10 */
        gap = MAX(gap * 4 / 9, 1u);
        for (uint32_t i = gap; i < n; i++) {
            uint32_t x = top[i], k = i;
            for (; k >= gap && top[k - gap] > x; k -= gap)
                top[k] = top[k - gap];
            top[k] = x;
        }
    }
}

/* The row of the set that stands in w->stacks. */
static uint32_t row_of_set(struct grammar_walk *w)
{
    struct grammar_stacks *s = &w->stacks;
    uint32_t n = s->n_tops, *top = s->top, *row;
    if (n == 0 && !s->grounded)
        return 0;
    sort(top, n);
    uint32_t *bucket = &w->bucket[hash_set(top, n, s->grounded)];
    for (uint32_t i = *bucket; i; i = w->set[i].next) {
        const struct grammar_set *set = &w->set[i];
        if (set->n == n && set->grounded == s->grounded &&
            memcmp(w->tops + set->top, top, n * sizeof *top) == 0)
            return i * row_len(w);
    }
    if (w->n_sets == WALK_SETS || n > WALK_TOPS - w->n_tops ||
        (w->n_sets + 1) * (size_t)row_len(w) > ROW_WORDS)
        return NO_ROOM;
    memcpy(w->tops + w->n_tops, top, n * sizeof *top);
    w->set[w->n_sets] =
        (struct grammar_set){.top = w->n_tops, .n = n, .next = *bucket, .grounded = s->grounded};
    w->n_tops += n;
    *bucket = w->n_sets;
    row = w->row + (size_t)w->n_sets * row_len(w);
    uint32_t classes = s->g->n_classes;
    for (uint32_t i = 0; i < classes; i++)
        row[i] = n ? NOT_YET : 0;
    row[classes + GRAMMAR_ROW_FLAGS] =
        (s->grounded ? GRAMMAR_GROUNDED : 0) | (n ? GRAMMAR_GOES_ON : 0);
    row[classes + GRAMMAR_ROW_PLAIN] = n && !w->sparing ? NOT_YET : 0;
    row[classes + GRAMMAR_ROW_PLAIN_LOWEST] = row[classes + GRAMMAR_ROW_PLAIN];
    return w->n_sets++ * row_len(w);
}

static struct grammar_set *set_of_row(const struct grammar_walk *w, uint32_t row)
{
    return &w->set[row / row_len(w)];
}

/* Where a byte of a class leads from a row: found out, and put there. */
static uint32_t find_step(struct grammar_walk *w, uint32_t row, uint32_t class)
{
    const struct grammar_set *set = set_of_row(w, row);
    grammar_stacks_begin(&w->stacks);
    for (uint32_t i = 0; i < set->n; i++)
        if (!grammar_stacks_step(&w->stacks, w->tops[set->top + i], w->stacks.g->byte_of[class]))
            return NO_ROOM;
    uint32_t to = row_of_set(w);
    if (to != NO_ROOM)
        w->row[row + class] = to;
    return to;
}

uint32_t grammar_walk_step(struct grammar_walk *w, uint32_t row, uint8_t byte)
{
    uint32_t class = w->stacks.g->class_of[byte], to = w->row[row + class];
    return to == NOT_YET ? find_step(w, row, class) : to;
}

static bool meet_all(struct grammar_walk *w, uint32_t row)
{
    struct grammar_stacks *s = &w->stacks;
    const struct grammar_set *set = set_of_row(w, row);
    for (uint32_t i = 0; i < set->n; i++) {
        uint32_t cell = w->tops[set->top + i];
        if (!grammar_stacks_add(s, s->cell[cell].state, s->cell[cell].below))
            return false;
    }
    s->grounded = s->grounded || set->grounded;
    return true;
}

/* Both sets together.  Their stacks are closed, so adding one brings nothing that is not there. */
static uint32_t join(struct grammar_walk *w, uint32_t row, uint32_t other)
{
    if (row == 0 || row == other)
        return other;
    grammar_stacks_begin(&w->stacks);
    return meet_all(w, row) && meet_all(w, other) ? row_of_set(w) : NO_ROOM;
}

static uint32_t first_row(struct grammar_walk *w, uint32_t state, bool is_top)
{
    struct grammar_stacks *s = &w->stacks;
    grammar_stacks_begin(s);
    if (is_top) {
        uint32_t cell = grammar_stacks_cell(s, state, 0);
        if (!cell)
            return NO_ROOM;
        s->top[s->n_tops++] = cell;
    } else if (!grammar_stacks_add(s, state, 0)) {
        return NO_ROOM;
    }
    return row_of_set(w);
}

/* ------------------------------------------------------------------ what it costs */

/*
 * Work is counted in nodes looked at, and in stacks: those of a set that is met for the first time
 * in this run as often as there are classes of bytes, for so many steps may be found out from it.
 * So the count does not ask what other runs have found out already: a mask that is too much work is
 * that whatever was asked before it.
 */
enum { STACK_WORK = 8 /* nodes */ };

static void count_set(struct grammar_walk *w, uint32_t row)
{
    struct grammar_set *set = set_of_row(w, row);
    if (set->run == w->run)
        return;
    set->run = w->run;
    w->work += (uint64_t)set->n * w->stacks.g->n_classes * STACK_WORK;
}

static void count_join(struct grammar_walk *w, uint32_t row, uint32_t other)
{
    w->work += ((uint64_t)set_of_row(w, row)->n + set_of_row(w, other)->n) * STACK_WORK;
}

/* ------------------------------------------------------------------ the way down */

/* The tokens with these texts may follow. */
static void allow(struct grammar_walk *w, uint32_t from, uint32_t to)
{
    for (const int32_t *t = w->v->text + from, *end = w->v->text + to; t < end; t++)
        w->bits[*t / 64] |= (uint64_t)1 << *t % 64;
}

/* From one root to the end of its subtree, other roots in it included; *r is the next root. */
static bool walk_down(struct grammar_walk *w, uint32_t start, const uint32_t *root,
                      uint32_t n_roots, uint32_t *r)
{
    const struct grammar *g = w->stacks.g;
    const struct grammar_vocab_node *node = w->v->node;
    const uint32_t *row = w->row, flags = g->n_classes + GRAMMAR_ROW_FLAGS;
    uint32_t *way = w->way, first = root[(*r)++], end = node[first].end;
    uint32_t good = node[first + 1].first; /* texts from here to where the walk is may follow */
    way[node[first].depth] = start;
    const uint32_t exits = w->lowest ? 0 : GRAMMAR_GROUNDED;
    if (row[start + flags] & exits)
        w->exit[w->n_exits++] = first;
    for (uint32_t i = first + 1; i < end;) {
        if (++w->work > w->most)
            return false;
        uint32_t from = way[node[i].depth - 1], class = g->class_of[node[i].byte];
        uint32_t at = row[from + class];
        if (at == NOT_YET && (at = find_step(w, from, class)) == NO_ROOM)
            return false;
        bool more = *r < n_roots && root[*r] < node[i].end;
        if (!at) { /* Its own text may not follow, whatever is below. */
            allow(w, good, node[i].first);
            good = node[more ? i + 1 : node[i].end].first;
        }
        if (more && root[*r] == i) {
            count_join(w, at, start);
            if ((at = join(w, at, start)) == NO_ROOM)
                return false;
            more = ++*r < n_roots && root[*r] < node[i].end;
        }
        count_set(w, at);
        uint32_t flag = row[at + flags];
        bool leaf = node[i].end == i + 1;
        if ((flag & exits) && !leaf)
            w->exit[w->n_exits++] = i;
        way[node[i].depth] = at;
        if (more || leaf) {
            i++;
        } else if (!(flag & GRAMMAR_GOES_ON)) {
            if (at) {
                allow(w, good, node[i + 1].first);
                good = node[node[i].end].first;
            }
            i = node[i].end;
        } else if (node[i].end - i > WORTH_A_LOOK && grammar_plain_below(w, at, &node[i])) {
            i = node[i].end;
        } else {
            i++;
        }
    }
    allow(w, good, node[end].first);
    return true;
}

/* Whether room and work were enough. */
static bool walk(struct grammar_walk *w, const struct grammar *g, uint32_t state, bool is_top,
                 const uint32_t *root, uint32_t n)
{
    w->stacks.g = g;
    memset(w->bits, 0, GRAMMAR_MASK_WORDS(w->v->n_tokens) * sizeof *w->bits);
    w->n_exits = 0;
    w->work = 0;
    w->run++;
    uint32_t start = first_row(w, state, is_top);
    if (start != NO_ROOM)
        count_set(w, start);
    for (uint32_t r = 0; r < n && start != NO_ROOM;)
        if (!walk_down(w, start, root, n, &r))
            start = NO_ROOM;
    return start != NO_ROOM;
}

bool grammar_walk_run(struct grammar_walk *w, const struct grammar *g, uint32_t state, bool is_top,
                      bool lowest, const uint32_t *root, uint32_t n, uint64_t most)
{
    w->lowest = lowest;
    w->most = most;
    if (w->grammar != g->id || w->n_sets > WALK_SETS / 2 || w->n_tops > WALK_TOPS / 2 ||
        w->stacks.n_cells > WALK_CELLS / 2 ||
        (size_t)w->n_sets * (g->n_classes + GRAMMAR_TAIL_WORDS) > ROW_WORDS / 2)
        forget(w, g);
    if (walk(w, g, state, is_top, root, n))
        return true;
    if (w->work > most)
        return false;
    /* Once more from nothing, and then without what is found out for speed alone. */
    forget(w, g);
    if (walk(w, g, state, is_top, root, n))
        return true;
    forget(w, g);
    w->sparing = true;
    bool found = walk(w, g, state, is_top, root, n);
    w->sparing = false;
    w->grammar = 0;
    return found;
}
