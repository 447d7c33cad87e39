/* SPDX-License-Identifier: MIT */
/*
 * kv.c - who holds which page: a stack of free ones, a list of kept ones, counts of holders.
 *
 * Not here: what is in a page beyond its place (kernels.h), which tokens it stands for (prefix.h).
 */
#include "config.h"
#include "engine/kv.h"

#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "engine/states.h"

#define NONE PREFIX_NONE

struct kv_page {
    uint32_t holders;      /* leases */
    uint32_t older, newer; /* neighbours in the list of kept pages */
    bool unproven;         /* computed by another process, and not looked at since */
};

/* K and V of one layer and KV head for the positions of a page. */
static size_t span_bytes(const struct hparams *hp, enum kv_type type)
{
    size_t numbers = (size_t)hp->head_dim * type, step = type == KV_Q8 ? sizeof(float) : 0;
    return 2 * KV_PAGE_TOKENS * (numbers + step);
}

size_t kv_page_bytes(const struct model *m, enum kv_type type)
{
    return span_bytes(&m->hp, type) * hparams_kv_layers(&m->hp) * m->hp.n_kv_heads;
}

uint32_t kv_pages_for(uint64_t tokens)
{
    uint64_t pages = tokens / KV_PAGE_TOKENS + (tokens % KV_PAGE_TOKENS != 0);
    return (uint32_t)MIN(pages, (uint64_t)UINT32_MAX);
}

/* ------------------------------------------------------------------ kept pages */

static void keep(struct kv *kv, uint32_t page)
{
    kv->pages[page].older = kv->newest;
    kv->pages[page].newer = NONE;
    if (kv->newest == NONE)
        kv->oldest = page;
    else
        kv->pages[kv->newest].newer = page;
    kv->newest = page;
    kv->n_kept++;
    prefix_touch(kv->prefix, page);
}

static void unkeep(struct kv *kv, uint32_t page)
{
    const struct kv_page *p = &kv->pages[page];
    if (p->older == NONE)
        kv->oldest = p->newer;
    else
        kv->pages[p->older].newer = p->newer;
    if (p->newer == NONE)
        kv->newest = p->older;
    else
        kv->pages[p->newer].older = p->older;
    kv->n_kept--;
}

/* The index does not have a kept page any more. */
static void give_up(struct kv *kv, uint32_t page)
{
    unkeep(kv, page);
    prefix_forget(kv->prefix, page);
    kv->pages[page].unproven = false;
}

/* ------------------------------------------------------------------ opening */

/* What the pages' content depends on, and how they are cut. */
static struct pool_key key_of(const struct kv *kv, const struct model *m, unsigned planes)
{
    struct pool_key key = {.program = PACKAGE_VERSION,
                           .tables = m->embedding.type,
                           .planes = planes,
                           .kv_type = kv->type,
                           .page_tokens = KV_PAGE_TOKENS,
                           .n_pages = kv->n_pages,
                           .page_bytes = kv->page_bytes,
                           .reading = m->segment.source.reading};
    memcpy(key.model, m->segment.source.digest, sizeof key.model);
    return key;
}

/* Every page is free, but for those that a predecessor has left in the index. */
static void sort_pages(struct kv *kv)
{
    uint32_t n = kv->prefix ? prefix_pages(kv->prefix, kv->free_list) : 0;
    for (uint32_t i = 0; i < n; i++) {
        keep(kv, kv->free_list[i]);
        kv->pages[kv->free_list[i]].unproven = true;
    }
    /* Low pages on top of the stack: a lightly used pool stays small in memory. */
    for (uint32_t i = kv->n_pages; i-- > 0;)
        if (!kv->prefix || !prefix_holds(kv->prefix, i))
            kv->free_list[kv->n_free++] = i;
}

static int open_pages(const struct model *m, unsigned planes, size_t bytes, bool index, int fd,
                      struct kv *kv, struct trit_error *err)
{
    size_t n = bytes / kv->page_bytes;
    if (n == 0 || n > UINT32_MAX) {
        if (fd >= 0)
            close(fd);
        return trit_fail(err, TRIT_EINVAL,
                         "kv-bytes: %zu, expected at least %zu (one page of %d positions)", bytes,
                         kv->page_bytes, KV_PAGE_TOKENS);
    }
    kv->n_pages = (uint32_t)n;
    kv->pool_bytes = n * kv->page_bytes;
    struct pool_key key = key_of(kv, m, planes);
    int rc = pool_open(&key, prefix_bytes(kv->n_pages), fd, &kv->memory, err);
    if (rc)
        return rc;
    kv->pool = kv->memory.pages;
    kv->free_list = mem_zalloc(n, sizeof *kv->free_list);
    kv->pages = mem_zalloc(n, sizeof *kv->pages);
    if (!kv->free_list || !kv->pages)
        return trit_fail(err, TRIT_ENOMEM, "no memory for a KV pool of %zu bytes", bytes);
    return index ? prefix_open(kv->n_pages, kv->memory.index, &kv->prefix, err) : 0;
}

static int open_any(const struct model *m, unsigned planes, enum kv_type type, size_t bytes,
                    bool index, int fd, struct kv *kv, struct trit_error *err)
{
    *kv = (struct kv){.type = type,
                      .memory.fd = -1,
                      .page_bytes = kv_page_bytes(m, type),
                      .span_bytes = span_bytes(&m->hp, type),
                      .n_kv_heads = m->hp.n_kv_heads,
                      .head_dim = m->hp.head_dim,
                      .oldest = NONE,
                      .newest = NONE};
    int rc = open_pages(m, planes, bytes, index, fd, kv, err);
    if (rc)
        kv_close(kv);
    else
        sort_pages(kv);
    return rc;
}

int kv_open(const struct model *m, enum kv_type type, size_t bytes, bool index, struct kv *kv,
            struct trit_error *err)
{
    return open_any(m, 0, type, bytes, index, POOL_ANONYMOUS, kv, err);
}

int kv_open_lasting(const struct model *m, unsigned planes, enum kv_type type, size_t bytes, int fd,
                    struct kv *kv, struct trit_error *err)
{
    return open_any(m, planes, type, bytes, true, fd, kv, err);
}

int kv_open_states(struct kv *kv, const struct model *m, uint32_t n, struct trit_error *err)
{
    trit_assert(!kv->prefix && !kv->states);
    return states_open(m, n, &kv->states, err);
}

void kv_close(struct kv *kv)
{
    states_close(&kv->states);
    prefix_close(&kv->prefix);
    pool_close(&kv->memory);
    mem_free(kv->free_list);
    mem_free(kv->pages);
    *kv = (struct kv){.memory.fd = -1};
}

/* ------------------------------------------------------------------ leases */

static void hold(struct kv *kv, struct kv_lease *lease, uint32_t page)
{
    if (kv->pages[page].holders++ == 0 && kv->prefix && prefix_holds(kv->prefix, page))
        unkeep(kv, page);
    lease->page[lease->n++] = page;
}

/* A page to write to: a free one, or else the one that was kept longest. */
static uint32_t take(struct kv *kv)
{
    uint32_t page = kv->oldest;
    if (kv->n_free) {
        page = kv->free_list[--kv->n_free];
        pool_prepare(&kv->memory, page * kv->page_bytes, kv->page_bytes);
        return page;
    }
    trit_assert(page != NONE);
    give_up(kv, page);
    kv->n_evicted++;
    return page;
}

/* Of what is in a page, where it may have to be proven one day. */
static uint64_t content_of(const struct kv *kv, uint32_t page)
{
    return kv->memory.map ? XXH3_64bits(kv->pool + page * kv->page_bytes, kv->page_bytes) : 0;
}

/*
 * The page that the index has for these tokens, or NONE.  A predecessor's is looked at first: he
 * may have ended because his memory was not in order.
 */
static uint32_t find(struct kv *kv, struct prefix_at *at, const int32_t *tokens)
{
    struct prefix_at before = *at;
    uint32_t page = prefix_find(kv->prefix, at, tokens);
    if (page == NONE || !kv->pages[page].unproven)
        return page;
    kv->pages[page].unproven = false;
    if (content_of(kv, page) == prefix_content(kv->prefix, page))
        return page;
    *at = before;
    give_up(kv, page); /* Nobody has held it yet. */
    kv->free_list[kv->n_free++] = page;
    kv->n_damaged++;
    return NONE;
}

/* Promise the pages that the lease lacks; or let go of what it holds. */
static bool promise(struct kv *kv, struct kv_lease *lease)
{
    lease->open = true;
    kv->n_reserved += lease->cap - lease->n;
    if (kv->n_reserved <= kv->n_free + kv->n_kept)
        return true;
    kv_release(kv, lease);
    return false;
}

bool kv_begin(struct kv *kv, struct kv_lease *lease, uint64_t salt, const int32_t *tokens,
              uint32_t n, const struct kv_lease *twin, uint32_t *done)
{
    uint32_t full = n / KV_PAGE_TOKENS, page;
    trit_assert(!lease->open && lease->n == 0 && (!twin || kv_pages_for(n) <= twin->n));
    if (kv->states && !states_take(kv->states, &lease->state))
        return false;
    if (kv->prefix)
        lease->at = prefix_root(kv->prefix, salt);
    while (kv->prefix && lease->n < full) {
        page = find(kv, &lease->at, tokens + (size_t)lease->n * KV_PAGE_TOKENS);
        if (page == NONE)
            break;
        hold(kv, lease, page);
    }
    uint32_t hits = lease->n_entered = lease->n;
    while (twin && lease->n < full)
        hold(kv, lease, twin->page[lease->n]);
    if (!promise(kv, lease))
        return false;
    *done = lease->n * KV_PAGE_TOKENS;
    kv->n_hits += hits;
    if (twin && kv->states)
        states_copy(kv->states, lease->state, twin->state);
    if (twin && n % KV_PAGE_TOKENS) {
        kv_grow(kv, lease, n);
        memcpy(kv->pool + lease->page[full] * kv->page_bytes,
               kv->pool + twin->page[full] * kv->page_bytes, kv->page_bytes);
        *done = n;
    }
    return true;
}

void kv_grow(struct kv *kv, struct kv_lease *lease, uint64_t tokens)
{
    uint32_t want = kv_pages_for(tokens);
    trit_assert(want <= lease->cap);
    while (lease->n < want) {
        hold(kv, lease, take(kv));
        kv->n_reserved--;
    }
}

void kv_enter(struct kv *kv, struct kv_lease *lease, const int32_t *tokens)
{
    trit_assert(lease->n_entered < lease->n);
    uint32_t page = lease->page[lease->n_entered++];
    if (kv->prefix)
        (void)prefix_add(kv->prefix, &lease->at, tokens, page, content_of(kv, page));
}

/* Back to front, so that the end of a text is given up before its beginning: without the beginning
 * the rest is of no use. */
void kv_release(struct kv *kv, struct kv_lease *lease)
{
    if (!lease->open)
        return;
    lease->open = false;
    if (kv->states)
        states_give(kv->states, lease->state);
    kv->n_reserved -= lease->cap - lease->n;
    while (lease->n) {
        uint32_t page = lease->page[--lease->n];
        if (--kv->pages[page].holders)
            continue;
        if (kv->prefix && prefix_holds(kv->prefix, page))
            keep(kv, page);
        else
            kv->free_list[kv->n_free++] = page;
    }
}

void kv_discard(struct kv *kv, struct kv_lease *lease)
{
    for (uint32_t i = 0; kv->prefix && i < lease->n; i++)
        if (kv->pages[lease->page[i]].holders == 1)
            prefix_forget(kv->prefix, lease->page[i]);
    kv_release(kv, lease);
}

void kv_forget(struct kv *kv)
{
    trit_assert(kv_used(kv) == 0);
    while (kv->oldest != NONE) {
        uint32_t page = kv->oldest;
        give_up(kv, page);
        kv->free_list[kv->n_free++] = page;
    }
}

uint32_t kv_used(const struct kv *kv)
{
    return kv->n_pages - kv->n_free - kv->n_kept;
}

void kv_check(const struct kv *kv)
{
    uint32_t held = 0, kept = 0, last = NONE;
    for (uint32_t i = 0; i < kv->n_pages; i++)
        held += kv->pages[i].holders > 0;
    for (uint32_t i = kv->oldest; i != NONE; last = i, i = kv->pages[i].newer, kept++)
        trit_assert(kv->pages[i].holders == 0 && kv->pages[i].older == last &&
                    prefix_holds(kv->prefix, i));
    for (uint32_t i = 0; i < kv->n_free; i++) {
        uint32_t page = kv->free_list[i];
        trit_assert(kv->pages[page].holders == 0);
        trit_assert(!kv->prefix || !prefix_holds(kv->prefix, page));
    }
    trit_assert(last == kv->newest && kept == kv->n_kept);
    trit_assert(held == kv_used(kv) && kv->n_reserved <= kv->n_free + kv->n_kept);
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
