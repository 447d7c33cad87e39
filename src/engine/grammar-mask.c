/* SPDX-License-Identifier: MIT */
/*
 * grammar-mask.c - which tokens may follow a state, and the cache of that.
 *
 * A state is some stacks, and a token may follow if it may follow one of them.  What may follow a
 * stack is mostly decided by the state on top of it: inside of a JSON string, whatever encloses it,
 * all tokens without a quote may follow.  Only those that end the rule and go on depend on the
 * state below, and only those of them that end that rule too on the next.  So what is kept is not
 * masks but parts: one for a state on top, which has the tokens that are decided by it and the
 * nodes of the vocabulary's tree where the rule may be done (exits); behind it one for each state
 * below, with what is decided by both; and so on.  A mask is the union of the parts on the way down
 * the stack, until a part has no exits.  (The split by what depends on the stack is that of Dong et
 * al., "XGrammar", 2024; the chain makes a cache of it that has the shortest keys there are.)
 *
 * Parts lie in blocks of one mapping; when there are none left, those that were used the longest
 * time ago are dropped.  A part whose predecessor was dropped is never found again and goes the
 * same way.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar-parts.h"

enum { BLOCK_WORDS = 128, NONE = UINT32_MAX, LOWEST = 1 << 30 /* beyond any state */ };

/* What a mask may cost, in the unit of walks: some tens of milliseconds, where a string of JSON
 * over 128 thousand tokens is one.  The engine waits for it, so a grammar that can be read in ever
 * more ways ends its answer and not the others'. */
enum { MASK_WORK = 1 << 24, PART_WORK = 64 /* to find it and add it up, beside its words */ };

struct block {
    uint32_t word[BLOCK_WORDS];
};

struct part {
    uint64_t above;        /* the part before it, or the grammar where the state is on top */
    uint64_t id;           /* no other part has it, nor has any grammar the same */
    uint32_t state;        /* with LOWEST */
    uint32_t next;         /* in its bucket; in the list of unused ones */
    uint32_t newer, older; /* by use */
    uint32_t block;        /* the first of its blocks */
    uint32_t n_words;      /* tokens, one by one; or a mask's words, two for each */
    uint32_t n_exits;      /* behind them */
    uint32_t work; /* whenever it is used, found out or not: the sum decides about answers */
    bool is_mask;
};

struct grammar_masks {
    const struct grammar_vocab *v;
    struct grammar_walk walk;
    size_t n_mask_words;

    struct block *block;
    uint32_t *block_next;
    uint32_t n_blocks, free_blocks, n_free_blocks;

    struct part *part;
    uint32_t *bucket; /* part + 1 */
    uint32_t n_parts, free_parts, newest, oldest;
    uint32_t mask;
    uint64_t last_id;

    uint32_t *root; /* exits of the part before */
    struct grammar_mask_counts counts;
};

int grammar_masks_open(const struct grammar_vocab *v, size_t bytes, struct grammar_masks **out,
                       struct trit_error *err)
{
    *out = NULL;
    struct grammar_masks *m = mem_zalloc(1, sizeof *m);
    if (!m)
        return trit_fail(err, TRIT_ENOMEM, "no memory for masks");
    m->v = v;
    m->n_mask_words = GRAMMAR_MASK_WORDS(v->n_tokens);
    /* The largest part there can be must find room. */
    size_t largest = m->n_mask_words * sizeof(uint64_t) + v->n_nodes * sizeof(uint32_t);
    m->n_blocks = (uint32_t)MIN(MAX(bytes, largest) / sizeof *m->block + 1, (size_t)1 << 24);
    for (m->n_parts = 64; m->n_parts < m->n_blocks; m->n_parts *= 2)
        ;
    m->mask = m->n_parts - 1;
    m->block = mem_map(m->n_blocks * sizeof *m->block);
    m->block_next = mem_zalloc(m->n_blocks, sizeof *m->block_next);
    m->part = mem_zalloc(m->n_parts, sizeof *m->part);
    m->bucket = mem_zalloc(m->n_parts, sizeof *m->bucket);
    m->root = mem_zalloc(v->n_nodes, sizeof *m->root);
    if (!grammar_walk_init(&m->walk, v) || !m->block || !m->block_next || !m->part || !m->bucket ||
        !m->root) {
        grammar_masks_close(&m);
        return trit_fail(err, TRIT_ENOMEM, "no memory for masks of %u tokens", v->n_tokens);
    }
    for (uint32_t i = 0; i < m->n_blocks; i++)
        m->block_next[i] = i + 1 < m->n_blocks ? i + 1 : NONE;
    m->n_free_blocks = m->n_blocks;
    for (uint32_t i = 0; i < m->n_parts; i++)
        m->part[i].next = i + 1 < m->n_parts ? i + 1 : NONE;
    m->newest = m->oldest = NONE;
    *out = m;
    return 0;
}

void grammar_masks_close(struct grammar_masks **masks)
{
    struct grammar_masks *m = *masks;
    if (!m)
        return;
    grammar_walk_fini(&m->walk);
    mem_unmap(m->block, m->n_blocks * sizeof *m->block);
    mem_free(m->block_next);
    mem_free(m->part);
    mem_free(m->bucket);
    mem_free(m->root);
    mem_free(m);
    *masks = NULL;
}

void grammar_masks_count(const struct grammar_masks *m, struct grammar_mask_counts *c)
{
    *c = m->counts;
    c->bytes = (m->n_blocks - m->n_free_blocks) * sizeof *m->block;
}

/* ------------------------------------------------------------------ blocks */

/* A place in a part's words: the next one is word `at` of `block`. */
struct cursor {
    uint32_t block, at;
};

static uint32_t read_word(const struct grammar_masks *m, struct cursor *c)
{
    if (c->at == BLOCK_WORDS)
        *c = (struct cursor){.block = m->block_next[c->block]};
    return m->block[c->block].word[c->at++];
}

static void write_word(struct grammar_masks *m, struct cursor *c, uint32_t word)
{
    if (c->at == BLOCK_WORDS)
        *c = (struct cursor){.block = m->block_next[c->block]};
    m->block[c->block].word[c->at++] = word;
}

static uint32_t blocks_for(uint32_t words)
{
    return MAX((words + BLOCK_WORDS - 1) / BLOCK_WORDS, 1u);
}

/* n blocks in a row, of those that are free, which are enough. */
static uint32_t take_blocks(struct grammar_masks *m, uint32_t n)
{
    uint32_t first = m->free_blocks, last = first;
    for (uint32_t i = 1; i < n; i++)
        last = m->block_next[last];
    m->free_blocks = m->block_next[last];
    m->block_next[last] = NONE;
    m->n_free_blocks -= n;
    return first;
}

static void give_blocks(struct grammar_masks *m, uint32_t first)
{
    uint32_t last = first, n = 1;
    for (; m->block_next[last] != NONE; n++)
        last = m->block_next[last];
    m->block_next[last] = m->free_blocks;
    m->free_blocks = first;
    m->n_free_blocks += n;
}

/* ------------------------------------------------------------------ parts */

TRIT_WRAPS static uint32_t *bucket_of(const struct grammar_masks *m, uint64_t above, uint32_t state,
                                      bool is_top)
{
    uint64_t h = (above * 2 + is_top) * 0xff51afd7ed558ccdu;
    h = (h ^ state ^ h >> 31) * 0x9e3779b97f4a7c15u;
    return &m->bucket[(uint32_t)(h >> 33) & m->mask];
}

/* Grammars and parts both count from one: parts have even numbers here and grammars odd ones. */
static uint64_t above_of_grammar(const struct grammar *g)
{
    return g->id * 2 + 1;
}

static void unlink_part(struct grammar_masks *m, uint32_t i)
{
    struct part *p = &m->part[i];
    *(p->newer == NONE ? &m->newest : &m->part[p->newer].older) = p->older;
    *(p->older == NONE ? &m->oldest : &m->part[p->older].newer) = p->newer;
}

static void link_part(struct grammar_masks *m, uint32_t i)
{
    struct part *p = &m->part[i];
    p->newer = NONE;
    p->older = m->newest;
    *(p->older == NONE ? &m->oldest : &m->part[p->older].newer) = i;
    m->newest = i;
}

static void drop_oldest(struct grammar_masks *m)
{
    uint32_t i = m->oldest;
    struct part *p = &m->part[i];
    uint32_t *at = bucket_of(m, p->above, p->state, p->above & 1);
    while (*at != i + 1)
        at = &m->part[*at - 1].next;
    *at = p->next;
    unlink_part(m, i);
    give_blocks(m, p->block);
    p->next = m->free_parts;
    m->free_parts = i;
    m->counts.evicted++;
}

static uint32_t find_part(struct grammar_masks *m, uint64_t above, uint32_t state)
{
    for (uint32_t i = *bucket_of(m, above, state, above & 1); i; i = m->part[i - 1].next)
        if (m->part[i - 1].above == above && m->part[i - 1].state == state) {
            unlink_part(m, i - 1);
            link_part(m, i - 1);
            m->counts.hits++;
            return i - 1;
        }
    return NONE;
}

/* Put what the walk has found into a part of its own. */
static uint32_t keep_part(struct grammar_masks *m, uint64_t above, uint32_t state)
{
    const struct grammar_walk *w = &m->walk;
    uint32_t n_tokens = 0;
    for (size_t i = 0; i < m->n_mask_words; i++)
        n_tokens += (uint32_t)__builtin_popcountll(w->bits[i]);
    bool is_mask = n_tokens > 2 * m->n_mask_words;
    uint32_t n_words = is_mask ? 2 * (uint32_t)m->n_mask_words : n_tokens;
    uint32_t n_blocks = blocks_for(n_words + w->n_exits);
    while (m->n_free_blocks < n_blocks || m->free_parts == NONE)
        drop_oldest(m);
    uint32_t i = m->free_parts, *bucket = bucket_of(m, above, state, above & 1);
    struct part *p = &m->part[i];
    m->free_parts = p->next;
    *p = (struct part){.above = above,
                       .id = 2 * ++m->last_id,
                       .state = state,
                       .next = *bucket,
                       .block = take_blocks(m, n_blocks),
                       .n_words = n_words,
                       .n_exits = w->n_exits,
                       .work = (uint32_t)w->work + n_words + PART_WORK,
                       .is_mask = is_mask};
    *bucket = i + 1;
    link_part(m, i);
    struct cursor c = {.block = p->block};
    for (size_t k = 0; k < m->n_mask_words; k++) {
        uint64_t bits = w->bits[k];
        if (is_mask) {
            write_word(m, &c, (uint32_t)bits);
            write_word(m, &c, (uint32_t)(bits >> 32));
        } else {
            for (; bits; bits &= bits - 1)
                write_word(m, &c, (uint32_t)(64 * k) + (uint32_t)__builtin_ctzll(bits));
        }
    }
    for (uint32_t k = 0; k < w->n_exits; k++)
        write_word(m, &c, w->exit[k]);
    return i;
}

/* The part for a state below `before`; where that is NONE, for a state on top.  The lowest state of
 * a stack has parts of its own, without exits.  NONE: no room, or too much work. */
static uint32_t get_part(struct grammar_masks *m, const struct grammar *g, uint32_t before,
                         uint32_t state, bool lowest, uint64_t most)
{
    uint64_t above = before == NONE ? above_of_grammar(g) : m->part[before].id;
    uint32_t key = lowest ? state | LOWEST : state;
    uint32_t i = find_part(m, above, key);
    if (i != NONE)
        return i;
    m->counts.misses++;
    uint32_t n = 1;
    m->root[0] = 0;
    if (before != NONE) {
        const struct part *p = &m->part[before];
        struct cursor c = {.block = p->block};
        for (uint32_t k = 0; k < p->n_words; k++)
            read_word(m, &c);
        for (n = 0; n < p->n_exits; n++)
            m->root[n] = read_word(m, &c);
    }
    return grammar_walk_run(&m->walk, g, state, before == NONE, lowest, m->root, n, most)
               ? keep_part(m, above, key)
               : NONE;
}

static void add_part(const struct grammar_masks *m, const struct part *p, uint64_t *mask)
{
    struct cursor c = {.block = p->block};
    if (!p->is_mask) {
        for (uint32_t i = 0; i < p->n_words; i++) {
            uint32_t token = read_word(m, &c);
            mask[token / 64] |= (uint64_t)1 << token % 64;
        }
        return;
    }
    for (uint32_t i = 0; i < p->n_words / 2; i++) {
        uint64_t low = read_word(m, &c);
        mask[i] |= low | (uint64_t)read_word(m, &c) << 32;
    }
}

int grammar_mask(struct grammar_masks *m, const struct grammar_state *st, uint64_t *mask,
                 uint32_t *n_allowed)
{
    const struct grammar_cell *cell = st->stacks.cell;
    uint64_t work = 0;
    memset(mask, 0, m->n_mask_words * sizeof *mask);
    for (uint32_t i = 0; i < st->n_tops; i++) {
        uint32_t part = NONE;
        for (uint32_t c = st->top[i]; c; c = cell[c].below) {
            part = get_part(m, st->g, part, cell[c].state, cell[c].below == 0, MASK_WORK - work);
            if (part == NONE || (work += m->part[part].work) > MASK_WORK)
                return -TRIT_ETOOBIG;
            add_part(m, &m->part[part], mask);
            if (m->part[part].n_exits == 0)
                break;
        }
    }
    uint32_t n = 0;
    for (size_t i = 0; i < m->n_mask_words; i++)
        n += (uint32_t)__builtin_popcountll(mask[i]);
    *n_allowed = n;
    return 0;
}
