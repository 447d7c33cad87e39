/* SPDX-License-Identifier: MIT */
/*
 * kv.h - the KV cache: one pool of pages of KV_PAGE_TOKENS positions, shared by all sequences.
 *
 * A page holds keys and values of all layers that attend and KV heads for its positions, as
 * binary16, float or int8:
 *     [layer][kv head] { K[page_tokens][head_dim], V[page_tokens][head_dim] },      f16, f32
 *     [layer][kv head] { K[page_tokens][head_dim], float k_step[page_tokens],       q8
 *                        V[page_tokens][head_dim], float v_step[page_tokens] }.
 * An int8 stands for itself times the step of its position and head (kernels.h: to_q8).
 *
 * A page is in one of three states.
 *
 *     free   nothing of use is in it
 *     held   by one or more leases; a page that more than one holds is full and never written again
 *     kept   full, held by nobody, but in the prefix index: whoever begins with the same tokens may
 *            have it.  When no page is free, the one that has been kept longest is given up.
 *
 * Pages are reserved for the worst case when a sequence is admitted, so a running sequence never
 * fails for memory, and taken one by one as it grows: reserved <= free + kept at all times.
 * Owned by the engine thread.
 */
#ifndef TRIT_KV_H
#define TRIT_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "engine/pool.h"
#include "engine/prefix.h"

struct model;
struct states;
struct trit_error;

enum { KV_PAGE_TOKENS = PREFIX_TOKENS };

struct kv_page; /* what is known of one page */

struct kv {
    enum kv_type type;
    struct pool memory;
    uint8_t *pool; /* its pages */
    size_t pool_bytes, page_bytes;
    size_t span_bytes; /* K and V of one layer and head in a page */
    uint32_t n_kv_heads, head_dim;

    uint32_t n_pages;
    struct kv_page *pages;
    uint32_t *free_list; /* stack of free pages, n_free of them */
    uint32_t n_free;
    uint32_t oldest, newest; /* of the kept pages, n_kept of them */
    uint32_t n_kept;
    uint32_t n_reserved;   /* promised to admitted sequences, not yet taken */
    struct prefix *prefix; /* NULL: nothing is kept */
    struct states *states; /* a slot for each open lease; NULL: the model has none */

    uint64_t n_hits, n_evicted; /* pages found in the index; pages given up for others */
    uint64_t n_damaged;         /* pages of a predecessor that were not what he had computed */
};

/* A sequence's pages, in order of position.  page has room for `cap` entries, set at admission. */
struct kv_lease {
    uint32_t *page;
    uint32_t n, cap;
    bool open;           /* begun, and not given back */
    uint32_t state;      /* its slot of kv->states, while it is open */
    uint32_t n_entered;  /* pages that the index was told of, from the first on */
    struct prefix_at at; /* behind the last of them */
};

size_t kv_page_bytes(const struct model *m, enum kv_type type);
uint32_t kv_pages_for(uint64_t tokens);

/* keep: with a prefix index. */
int kv_open(const struct model *m, enum kv_type type, size_t bytes, bool keep, struct kv *kv,
            struct trit_error *err);

/* For a hybrid model, whose pool has no prefix index: at most n leases are open at a time, each
 * with a state of its own (engine/states.h). */
int kv_open_states(struct kv *kv, const struct model *m, uint32_t n, struct trit_error *err);

/*
 * With a prefix index, in memory that a successor can have: kv->memory.fd, for as long as anybody
 * keeps that descriptor.  fd is the one that a predecessor has left, or POOL_NEW; it is taken.  His
 * pages are kept pages then, if he computed as we do (struct pool_key; planes: acts_planes), all
 * that he had entered and that are whole, also if he was killed.
 * What he had computed is summed, and looked at before a page is used for the first time.
 */
int kv_open_lasting(const struct model *m, unsigned planes, enum kv_type type, size_t bytes, int fd,
                    struct kv *kv, struct trit_error *err);
void kv_close(struct kv *kv);

/*
 * Begin a lease, which holds nothing, for a text of tenant `salt` that begins with tokens[0, n):
 * hold the pages that have its beginning already, and promise the rest up to lease->cap pages.
 * *done is then the number of positions, at most n, that need not be computed.
 *
 * A page has it if it is in the index.  And if `twin`, a lease that holds all n positions of the
 * same text: then its pages are held too, but of a last one that is not full a copy is taken (copy
 * on write, done at once since a write follows at once).
 *
 * false, and nothing is held: fewer pages than needed are free or kept and unpromised, or no state
 * is left.  With states a twin must have computed n positions, no less and no more.
 */
bool kv_begin(struct kv *kv, struct kv_lease *lease, uint64_t salt, const int32_t *tokens,
              uint32_t n, const struct kv_lease *twin, uint32_t *done);

/* Take pages until the lease holds those for `tokens` positions; within the promise, asserted. */
void kv_grow(struct kv *kv, struct kv_lease *lease, uint64_t tokens);

/* The page lease->n_entered, which is full of computed positions, holds these KV_PAGE_TOKENS
 * tokens: others may use it from now on. */
void kv_enter(struct kv *kv, struct kv_lease *lease, const int32_t *tokens);

/* Give every page and the rest of the promise back; pages in the index are kept.  Nothing for a
 * lease that is not open. */
void kv_release(struct kv *kv, struct kv_lease *lease);

/* The same, for a text whose values are not to be trusted: nothing of it alone is kept. */
void kv_discard(struct kv *kv, struct kv_lease *lease);

/* Nothing that is kept is to be trusted, and no lease is open: every page is free from now on, also
 * to a successor. */
void kv_forget(struct kv *kv);

/* Pages that leases hold now. */
uint32_t kv_used(const struct kv *kv);

/* Every count agrees with every list, or it asserts.  For tests; reads every page's entry. */
void kv_check(const struct kv *kv);

/* Store key[head_dim] and value[head_dim] of one layer and KV head for position pos of the lease.
 */
void kv_store(const struct kv *kv, const struct kernels *k, const struct kv_lease *lease,
              uint32_t layer, uint32_t head, uint32_t pos, const float *key, const float *value);

/* Where K and V of (layer, kv head) lie, for kernels->attend. */
struct kv_span kv_span(const struct kv *kv, const struct kv_lease *lease, uint32_t layer,
                       uint32_t head);

#endif
