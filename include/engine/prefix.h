/* SPDX-License-Identifier: MIT */
/*
 * prefix.h - which page holds which beginning of a text: an index of KV pages by token ids.
 *
 * Keys and values of a position depend on the tokens up to it and on nothing else, so a page that
 * is full can serve every sequence that begins with the same tokens.  An entry says: page `page`
 * holds the tokens token[0, PREFIX_TOKENS) where page `parent` holds those before them.  The chain
 * begins at a root, which is a number that keeps the caches of different tenants apart: what one
 * tenant has cached is not there for another, in content or in time.
 *
 * Hashes find entries and comparison proves them: the tokens of an entry are compared, and its
 * parent is the very page (and the very life of that page) in which the look-up has just arrived,
 * so the whole beginning is proven, one page at a time.  Hashing is keyed by a secret of the
 * process: nobody can construct texts that collide.
 *
 * Fixed memory, one entry a page; nothing allocates after prefix_open.  Engine thread only.
 * Not here: who holds a page and when it is given up (engine/kv.h).
 */
#ifndef TRIT_PREFIX_H
#define TRIT_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

struct prefix;
struct trit_error;

enum { PREFIX_TOKENS = 32 }; /* of a page */
#define PREFIX_NONE UINT32_MAX

/* Where a look-up stands: at a root, or behind a page. */
struct prefix_at {
    uint64_t hash;
    uint32_t page; /* PREFIX_NONE: at the root */
};

/* An index for pages [0, n_pages). */
int prefix_open(uint32_t n_pages, struct prefix **p, struct trit_error *err);
void prefix_close(struct prefix **p);

/* The beginning of all texts of one tenant. */
struct prefix_at prefix_root(const struct prefix *p, uint64_t tenant);

/* The page that holds these PREFIX_TOKENS tokens behind *at, and *at moves behind it; or
 * PREFIX_NONE, and it stays. */
uint32_t prefix_find(const struct prefix *p, struct prefix_at *at, const int32_t *tokens);

/*
 * From now on `page` holds these tokens behind *at, and *at moves behind it.  false: nothing is
 * entered, because this page or another holds them already, and *at moves behind that; or because
 * the chain is broken: the page that *at stands behind is forgotten.
 */
bool prefix_add(struct prefix *p, struct prefix_at *at, const int32_t *tokens, uint32_t page);

/* The page will hold something else.  What hangs behind it is found no more. */
void prefix_forget(struct prefix *p, uint32_t page);

bool prefix_holds(const struct prefix *p, uint32_t page);

#endif
