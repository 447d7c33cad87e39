/* SPDX-License-Identifier: MIT */
/*
 * grammar-plain.c - where a whole subtree of the vocabulary may follow, without looking at each
 * text.
 *
 * Inside of a string nearly everything may follow, and most of the vocabulary need not be walked to
 * know that.  A row is plain for some kinds of characters (grammar_kind_of) if each of them leads
 * to one and the same other row, be it the row itself; that row is plain for some too, and so on.
 * What is below a node may follow if its kinds of characters are among those, as many rows in a row
 * as it is high.  Rules that may be done on the way would be exits (grammar-parts.h), so there must
 * be none, but in walks that have none.
 */
#include "config.h"

#include "base/base.h"
#include "engine/grammar-parts.h"

enum { ROWS_AHEAD = 32 }; /* subtrees are rarely higher */

#define NO_ROOM ((uint32_t)GRAMMAR_NO_ROOM)

/* The two words about being plain. */
enum { KINDS, NEXT };

static uint32_t *plain_of(struct grammar_walk *w, uint32_t row)
{
    return &w->row[row + w->stacks.g->n_classes] +
           (w->lowest ? GRAMMAR_ROW_PLAIN_LOWEST : GRAMMAR_ROW_PLAIN);
}

static bool is_exit(const struct grammar_walk *w, uint32_t row)
{
    return !w->lowest &&
           (w->row[row + w->stacks.g->n_classes + GRAMMAR_ROW_FLAGS] & GRAMMAR_GROUNDED);
}

/* The row that all bytes from lo to hi lead to; 0: none, or not the same, or a rule may be done
 * there. */
static uint32_t leads_to(struct grammar_walk *w, uint32_t row, uint8_t lo, uint8_t hi)
{
    const uint8_t *class_of = w->stacks.g->class_of;
    uint32_t to = grammar_walk_step(w, row, lo);
    if (to == 0 || to == NO_ROOM || is_exit(w, to))
        return 0;
    for (unsigned byte = lo + 1u; byte <= hi; byte++)
        if (class_of[byte] != class_of[byte - 1] && grammar_walk_step(w, row, (uint8_t)byte) != to)
            return 0;
    return to;
}

/* Whether every character of two and more bytes leads to `next` (Unicode's table of well-formed
 * UTF-8). */
static bool beyond_leads_to(struct grammar_walk *w, uint32_t row, uint32_t next)
{
    static const struct {
        unsigned len;
        uint8_t lo[4], hi[4];
    } forms[] = {
        {2, {0xc2, 0x80}, {0xdf, 0xbf}},
        {3, {0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}},
        {3, {0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}},
        {3, {0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}},
        {3, {0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}},
        {4, {0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}},
        {4, {0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}},
        {4, {0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}},
    };
    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        uint32_t at = row;
        for (unsigned k = 0; k < forms[i].len && at; k++)
            at = leads_to(w, at, forms[i].lo[k], forms[i].hi[k]);
        if (at != next)
            return false;
    }
    return true;
}

/* Fill in which kinds of characters the row is plain for, and where they lead. */
static void look_at(struct grammar_walk *w, uint32_t row)
{
    uint32_t next = leads_to(w, row, 'a', 'z'), kinds = 0, bad = 0;
    for (unsigned c = 0; c < 0x80 && next; c++)
        *(grammar_walk_step(w, row, (uint8_t)c) == next ? &kinds : &bad) |=
            grammar_kind_of((uint8_t)c);
    kinds &= ~bad;
    if (next && beyond_leads_to(w, row, next))
        kinds |= GRAMMAR_BEYOND;
    uint32_t *plain = plain_of(w, row);
    plain[KINDS] = kinds;
    plain[NEXT] = next;
}

bool grammar_plain_below(struct grammar_walk *w, uint32_t row,
                         const struct grammar_vocab_node *node)
{
    if (node->below & GRAMMAR_BROKEN || node->height > ROWS_AHEAD)
        return false;
    for (unsigned i = 0; i < node->height; i++) {
        const uint32_t *plain = plain_of(w, row);
        if (plain[KINDS] == (uint32_t)GRAMMAR_NOT_YET)
            look_at(w, row);
        if (node->below & ~plain[KINDS])
            return false;
        if (plain[NEXT] == row)
            return true;
        row = plain[NEXT];
    }
    return true;
}
