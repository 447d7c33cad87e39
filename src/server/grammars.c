/* SPDX-License-Identifier: MIT */
/*
 * grammars.c - a small shelf of grammars; the one that was used the longest time ago makes room.
 */
#include "config.h"
#include "server/grammars.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar.h"

TRIT_WRAPS static uint64_t hash(const char *text, size_t len)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h;
}

static struct grammars_entry *look_up(struct grammars *all, const char *text, size_t len)
{
    uint64_t h = hash(text, len);
    for (size_t i = 0; i < GRAMMARS_KEPT; i++) {
        struct grammars_entry *e = &all->entry[i];
        if (e->text && e->hash == h && e->len == len && memcmp(e->text, text, len) == 0)
            return e;
    }
    return NULL;
}

static void drop(struct grammars *all, struct grammars_entry *e)
{
    all->bytes -= e->bytes;
    mem_free(e->text);
    grammar_unref(e->g);
    *e = (struct grammars_entry){0};
}

struct grammar *grammars_find(struct grammars *all, const char *text, size_t len)
{
    struct grammars_entry *e = look_up(all, text, len);
    if (!e)
        return NULL;
    e->used = ++all->clock;
    all->hits++;
    return grammar_ref(e->g);
}

/* An empty entry, or the one that was used the longest time ago. */
static struct grammars_entry *oldest(struct grammars *all, bool held)
{
    struct grammars_entry *best = NULL;
    for (size_t i = 0; i < GRAMMARS_KEPT; i++) {
        struct grammars_entry *e = &all->entry[i];
        if ((!held || e->text) && (!best || e->used < best->used))
            best = e;
    }
    trit_assert(best); /* If a held one is asked for there are bytes, which are some entry's. */
    return best;
}

void grammars_add(struct grammars *all, const char *text, size_t len, struct grammar *g)
{
    all->compiled++;
    size_t bytes = len + grammar_bytes(g);
    if (bytes > GRAMMARS_BYTES || look_up(all, text, len)) /* two may have compiled it at once */
        return;
    char *copy = mem_strndup(text, len);
    if (!copy)
        return;
    while (all->bytes + bytes > GRAMMARS_BYTES)
        drop(all, oldest(all, true));
    struct grammars_entry *e = oldest(all, false);
    if (e->text)
        drop(all, e);
    *e = (struct grammars_entry){.hash = hash(text, len),
                                 .text = copy,
                                 .len = len,
                                 .bytes = bytes,
                                 .g = grammar_ref(g),
                                 .used = ++all->clock};
    all->bytes += bytes;
}

void grammars_fini(struct grammars *all)
{
    for (size_t i = 0; i < GRAMMARS_KEPT; i++)
        if (all->entry[i].text)
            drop(all, &all->entry[i]);
}
