/* SPDX-License-Identifier: MIT */
/*
 * kv.h - the KV cache: one pool of pages of KV_PAGE_TOKENS positions, shared by all sequences.
 *
 * A page holds keys and values of all layers and KV heads for its positions, as binary16, float or
 * int8:
 *     [layer][kv head] { K[page_tokens][head_dim], V[page_tokens][head_dim] },      f16, f32
 *     [layer][kv head] { K[page_tokens][head_dim], float k_step[page_tokens],       q8
 *                        V[page_tokens][head_dim], float v_step[page_tokens] }.
 * An int8 stands for itself times the step of its position and head (kernels.h: to_q8).
 *
 * Pages are reserved for the worst case when a sequence is admitted, so a running sequence never
 * fails for memory, and taken one by one as it grows.  Owned by the engine thread.
 */
#ifndef TRIT_KV_H
#define TRIT_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

struct model;
struct trit_error;

enum { KV_PAGE_TOKENS = 32 };

struct kv {
    enum kv_type type;
    uint8_t *pool;
    size_t pool_bytes, page_bytes;
    size_t span_bytes; /* K and V of one layer and head in a page */
    uint32_t n_kv_heads, head_dim;
    uint32_t n_pages;
    uint32_t *free_list; /* stack of free pages, n_free of them */
    uint32_t n_free;
    uint32_t n_reserved; /* promised to admitted sequences, not yet taken */
};

/* A sequence's pages, in order of position.  page has room for `cap` entries, set at admission. */
struct kv_lease {
    uint32_t *page;
    uint32_t n, cap;
};

size_t kv_page_bytes(const struct model *m, enum kv_type type);
uint32_t kv_pages_for(uint64_t tokens);

int kv_open(const struct model *m, enum kv_type type, size_t bytes, struct kv *kv,
            struct trit_error *err);
void kv_close(struct kv *kv);

/* Promise `cap` pages to the lease; false when fewer are free and unpromised. */
bool kv_reserve(struct kv *kv, struct kv_lease *lease);

/* Take pages until the lease holds those for `tokens` positions; within the promise, asserted. */
void kv_grow(struct kv *kv, struct kv_lease *lease, uint64_t tokens);

/* Pages that leases hold now. */
uint32_t kv_used(const struct kv *kv);

/* Give every page and the rest of the promise back. */
void kv_release(struct kv *kv, struct kv_lease *lease);

/* Store key[head_dim] and value[head_dim] of one layer and KV head for position pos of the lease.
 */
void kv_store(const struct kv *kv, const struct kernels *k, const struct kv_lease *lease,
              uint32_t layer, uint32_t head, uint32_t pos, const float *key, const float *value);

/* Where K and V of (layer, kv head) lie, for kernels->attend. */
struct kv_span kv_span(const struct kv *kv, const struct kv_lease *lease, uint32_t layer,
                       uint32_t head);

#endif
