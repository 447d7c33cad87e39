/* SPDX-License-Identifier: MIT */
/*
 * grammar-stacks.c - sets of stacks, one byte further at a time.
 *
 * Equal stacks are one cell, so a set is a list of numbers, and what has been met once in a walk is
 * not looked at again: that ends every circle through rules that may be empty.  Rules are not
 * left-recursive, so no walk goes down for ever.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar-parts.h"

bool grammar_stacks_init(struct grammar_stacks *s, uint32_t cells, uint32_t met)
{
    trit_assert((cells & (cells - 1)) == 0);
    *s = (struct grammar_stacks){.cap_cells = cells, .cap_met = met, .n_cells = 1};
    s->cell = mem_zalloc(cells, sizeof *s->cell);
    s->bucket = mem_zalloc(cells, sizeof *s->bucket);
    s->met = mem_zalloc(met, sizeof *s->met);
    s->top = mem_zalloc(met, sizeof *s->top);
    if (s->cell && s->bucket && s->met && s->top)
        return true;
    grammar_stacks_fini(s);
    return false;
}

void grammar_stacks_fini(struct grammar_stacks *s)
{
    mem_free(s->cell);
    mem_free(s->bucket);
    mem_free(s->met);
    mem_free(s->top);
    *s = (struct grammar_stacks){0};
}

TRIT_WRAPS static uint32_t bucket_of(const struct grammar_stacks *s, uint32_t state, uint32_t below)
{
    uint64_t h = ((uint64_t)state << 32 | below) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) & (s->cap_cells - 1);
}

void grammar_stacks_clear(struct grammar_stacks *s, const struct grammar *g)
{
    if (s->n_cells < s->cap_cells / 8) /* Few were used: those buckets alone. */
        for (uint32_t i = 1; i < s->n_cells; i++)
            s->bucket[bucket_of(s, s->cell[i].state, s->cell[i].below)] = 0;
    else
        memset(s->bucket, 0, s->cap_cells * sizeof *s->bucket);
    s->g = g;
    s->n_cells = 1;
    s->n_met = s->n_tops = 0;
    s->grounded = false;
}

uint32_t grammar_stacks_cell(struct grammar_stacks *s, uint32_t state, uint32_t below)
{
    uint32_t *bucket = &s->bucket[bucket_of(s, state, below)];
    for (uint32_t c = *bucket; c; c = s->cell[c].next)
        if (s->cell[c].state == state && s->cell[c].below == below)
            return c;
    if (s->n_cells == s->cap_cells)
        return 0;
    s->cell[s->n_cells] = (struct grammar_cell){.state = state, .below = below, .next = *bucket};
    return *bucket = s->n_cells++;
}

void grammar_stacks_begin(struct grammar_stacks *s)
{
    s->n_met = s->n_tops = 0;
    s->grounded = false;
    if (++s->stamp ==
        0) { /* Once in four thousand million walks: no old stamp may look like new. */
        for (uint32_t i = 0; i < s->n_cells; i++)
            s->cell[i].stamp = 0;
        s->stamp = 1;
    }
}

static bool meet(struct grammar_stacks *s, uint32_t state, uint32_t below)
{
    uint32_t c = grammar_stacks_cell(s, state, below);
    if (!c)
        return false;
    if (s->cell[c].stamp == s->stamp)
        return true;
    if (s->n_met == s->cap_met)
        return false;
    s->cell[c].stamp = s->stamp;
    s->met[s->n_met++] = c;
    return true;
}

bool grammar_stacks_add(struct grammar_stacks *s, uint32_t state, uint32_t below)
{
    const struct grammar *g = s->g;
    uint32_t i = s->n_met;
    if (!meet(s, state, below))
        return false;
    for (; i < s->n_met; i++) {
        uint32_t c = s->met[i], under = s->cell[c].below;
        const struct grammar_at *at = &g->state[s->cell[c].state];
        if (at->n_edges)
            s->top[s->n_tops++] = c;
        for (uint32_t k = at->call; k < at->call + at->n_calls; k++) {
            uint32_t back = under;
            if (g->call[k].back != GRAMMAR_TAIL &&
                !(back = grammar_stacks_cell(s, g->call[k].back, under)))
                return false;
            if (!meet(s, g->call[k].start, back))
                return false;
        }
        if (at->final && under == 0)
            s->grounded = true;
        else if (at->final && !meet(s, s->cell[under].state, s->cell[under].below))
            return false;
    }
    return true;
}

bool grammar_stacks_step(struct grammar_stacks *s, uint32_t cell, uint8_t byte)
{
    const struct grammar_at *at = &s->g->state[s->cell[cell].state];
    uint32_t below = s->cell[cell].below;
    for (uint32_t e = at->edge; e < at->edge + at->n_edges; e++)
        if (byte >= s->g->edge[e].lo && byte <= s->g->edge[e].hi &&
            !grammar_stacks_add(s, s->g->edge[e].to, below))
            return false;
    return true;
}
