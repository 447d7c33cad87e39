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
 * index: nobody can construct texts that collide.
 *
 * Fixed memory, one entry a page; nothing allocates after prefix_open.  Engine thread only.
 *
 * The entries and the secret may lie in memory that outlives the process (engine/pool.h).  They
 * hold no pointers, only numbers of pages, and each has a sum of its own, so a process that was
 * killed in the middle of anything leaves entries that are whole and entries that are not, and
 * which is which can be told.
 *
 * Not here: who holds a page and when it is given up (engine/kv.h).
 */
#ifndef TRIT_PREFIX_H
#define TRIT_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
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

/*
 * An index for pages [0, n_pages).  memory: NULL, or prefix_bytes(n_pages) bytes at a multiple of
 * 8, borrowed until prefix_close: zeros for a new index, or what another process left of one for as
 * many pages, of which every entry is taken whose sum holds.
 */
size_t prefix_bytes(uint32_t n_pages);
int prefix_open(uint32_t n_pages, void *memory, struct prefix **p, struct trit_error *err);
void prefix_close(struct prefix **p);

/* The beginning of all texts of one tenant. */
struct prefix_at prefix_root(const struct prefix *p, uint64_t tenant);

/* The page that holds these PREFIX_TOKENS tokens behind *at, and *at moves behind it; or
 * PREFIX_NONE, and it stays. */
uint32_t prefix_find(const struct prefix *p, struct prefix_at *at, const int32_t *tokens);

/*
 * From now on `page` holds these tokens behind *at, and *at moves behind it.  false: nothing is
 * entered, because this page or another holds them already, and *at moves behind that; or because
 * the chain is broken: the page that *at stands behind is forgotten.  content is the caller's sum
 * of what is in the page.
 */
bool prefix_add(struct prefix *p, struct prefix_at *at, const int32_t *tokens, uint32_t page,
                uint64_t content);

/* The page will hold something else.  What hangs behind it is found no more. */
void prefix_forget(struct prefix *p, uint32_t page);

bool prefix_holds(const struct prefix *p, uint32_t page);
uint64_t prefix_content(const struct prefix *p, uint32_t page); /* of one that it holds */

/* The page was of use just now: in the order of the next it comes last. */
void prefix_touch(struct prefix *p, uint32_t page);

/* Every page that the index holds to page[n_pages], the longest unused first; how many. */
uint32_t prefix_pages(const struct prefix *p, uint32_t *page);

#endif
