/* SPDX-License-Identifier: MIT */
/*
 * kv.c - a stack of free pages and a count of promised ones.
 */
#include "config.h"
#include "engine/kv.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"

/* K and V of one layer and KV head for the positions of a page. */
static size_t span_bytes(const struct hparams *hp, enum kv_type type)
{
    size_t numbers = (size_t)hp->head_dim * type, step = type == KV_Q8 ? sizeof(float) : 0;
    return 2 * KV_PAGE_TOKENS * (numbers + step);
}

size_t kv_page_bytes(const struct model *m, enum kv_type type)
{
    return span_bytes(&m->hp, type) * m->hp.n_layers * m->hp.n_kv_heads;
}

uint32_t kv_pages_for(uint64_t tokens)
{
    uint64_t pages = tokens / KV_PAGE_TOKENS + (tokens % KV_PAGE_TOKENS != 0);
    return (uint32_t)MIN(pages, (uint64_t)UINT32_MAX);
}

int kv_open(const struct model *m, enum kv_type type, size_t bytes, struct kv *kv,
            struct trit_error *err)
{
    *kv = (struct kv){.type = type,
                      .page_bytes = kv_page_bytes(m, type),
                      .span_bytes = span_bytes(&m->hp, type),
                      .n_kv_heads = m->hp.n_kv_heads,
                      .head_dim = m->hp.head_dim};
    size_t n = bytes / kv->page_bytes;
    if (n == 0 || n > UINT32_MAX)
        return trit_fail(err, TRIT_EINVAL,
                         "kv-bytes: %zu, expected at least %zu (one page of %d positions)", bytes,
                         kv->page_bytes, KV_PAGE_TOKENS);
    kv->n_pages = kv->n_free = (uint32_t)n;
    kv->pool_bytes = n * kv->page_bytes;
    kv->free_list = mem_zalloc(n, sizeof *kv->free_list);
    kv->pool = mem_map(kv->pool_bytes);
    if (!kv->free_list || !kv->pool) {
        kv_close(kv);
        return trit_fail(err, TRIT_ENOMEM, "no memory for a KV pool of %zu bytes", bytes);
    }
    /* Low pages on top of the stack: a lightly used pool stays small in memory. */
    for (uint32_t i = 0; i < kv->n_pages; i++)
        kv->free_list[i] = kv->n_pages - 1 - i;
    return 0;
}

void kv_close(struct kv *kv)
{
    mem_unmap(kv->pool, kv->pool_bytes);
    mem_free(kv->free_list);
    kv->pool = NULL;
    kv->free_list = NULL;
}

bool kv_reserve(struct kv *kv, struct kv_lease *lease)
{
    trit_assert(lease->n == 0);
    if (lease->cap > kv->n_free - kv->n_reserved)
        return false;
    kv->n_reserved += lease->cap;
    return true;
}

void kv_grow(struct kv *kv, struct kv_lease *lease, uint64_t tokens)
{
    uint32_t want = kv_pages_for(tokens);
    trit_assert(want <= lease->cap);
    while (lease->n < want) {
        lease->page[lease->n++] = kv->free_list[--kv->n_free];
        kv->n_reserved--;
    }
}

void kv_release(struct kv *kv, struct kv_lease *lease)
{
    kv->n_reserved -= lease->cap - lease->n;
    while (lease->n)
        kv->free_list[kv->n_free++] = lease->page[--lease->n];
}

uint32_t kv_used(const struct kv *kv)
{
    return kv->n_pages - kv->n_free;
}

struct kv_span kv_span(const struct kv *kv, const struct kv_lease *lease, uint32_t layer,
                       uint32_t head)
{
    size_t k = ((size_t)layer * kv->n_kv_heads + head) * kv->span_bytes, v = k + kv->span_bytes / 2;
    size_t numbers = (size_t)KV_PAGE_TOKENS * kv->head_dim * kv->type;
    return (struct kv_span){.type = kv->type,
                            .pool = kv->pool,
                            .pages = lease->page,
                            .page_bytes = kv->page_bytes,
                            .k_offset = k,
                            .v_offset = v,
                            .k_steps = k + numbers,
                            .v_steps = v + numbers,
                            .page_tokens = KV_PAGE_TOKENS};
}

/* x[head_dim] to place `slot` of the numbers and steps at these places of a page. */
static void store(const struct kv *kv, const struct kernels *k, uint8_t *numbers, uint8_t *steps,
                  uint32_t slot, const float *x)
{
    uint8_t *dst = numbers + (size_t)slot * kv->head_dim * kv->type;
    switch (kv->type) {
    case KV_Q8:
        ((float *)(void *)steps)[slot] = k->to_q8((int8_t *)dst, x, kv->head_dim);
        break;
    case KV_F16:
        k->to_f16((uint16_t *)(void *)dst, x, kv->head_dim);
        break;
    case KV_F32:
        memcpy(dst, x, kv->head_dim * sizeof *x);
        break;
    }
}

void kv_store(const struct kv *kv, const struct kernels *k, const struct kv_lease *lease,
              uint32_t layer, uint32_t head, uint32_t pos, const float *key, const float *value)
{
    struct kv_span s = kv_span(kv, lease, layer, head);
    uint8_t *page = kv->pool + lease->page[pos / KV_PAGE_TOKENS] * kv->page_bytes;
    uint32_t slot = pos % KV_PAGE_TOKENS;
    store(kv, k, page + s.k_offset, page + s.k_steps, slot, key);
    store(kv, k, page + s.v_offset, page + s.v_steps, slot, value);
}
