/* SPDX-License-Identifier: MIT */
/*
 * prefix.c - a chained hash table whose entries are the pages themselves.
 *
 * A place in a chain is the hash of everything before it, and so is the identity of a page's life:
 * a page that was given up and filled anew has another hash, so children of its former life, which
 * name both page and hash, do not match.  (Should 64 keyed bits ever agree by chance, the tokens of
 * every page on the way are still compared.)
 */
#include "config.h"
#include "engine/prefix.h"

#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "base/base.h"
#include "base/mem.h"

struct entry {
    struct prefix_at parent;
    uint64_t hash; /* of everything up to the end of this page */
    int32_t token[PREFIX_TOKENS];
    uint32_t next; /* in its bucket */
    bool used;
};

struct prefix {
    struct entry *entry; /* [n_pages] */
    uint32_t *bucket;    /* [mask + 1]: first page, or PREFIX_NONE */
    uint32_t mask;
    uint8_t secret[XXH3_SECRET_SIZE_MIN];
};

int prefix_open(uint32_t n_pages, struct prefix **out, struct trit_error *err)
{
    *out = NULL;
    struct prefix *p = mem_zalloc(1, sizeof *p);
    if (!p)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the prefix index");
    uint64_t buckets = 1;
    while (buckets < n_pages)
        buckets *= 2;
    p->mask = (uint32_t)(buckets - 1);
    p->entry = mem_zalloc(n_pages, sizeof *p->entry);
    p->bucket = mem_zalloc(buckets, sizeof *p->bucket);
    if (!p->entry || !p->bucket) {
        prefix_close(&p);
        return trit_fail(err, TRIT_ENOMEM, "no memory for a prefix index of %u pages", n_pages);
    }
    memset(p->bucket, 0xff, buckets * sizeof *p->bucket);
    if (getrandom(p->secret, sizeof p->secret, 0) != (ssize_t)sizeof p->secret) {
        prefix_close(&p);
        return trit_fail(err, TRIT_EIO, "no random bytes for the prefix index");
    }
    *out = p;
    return 0;
}

void prefix_close(struct prefix **p)
{
    if (!*p)
        return;
    mem_free((*p)->entry);
    mem_free((*p)->bucket);
    mem_free(*p);
    *p = NULL;
}

struct prefix_at prefix_root(const struct prefix *p, uint64_t tenant)
{
    return (struct prefix_at){
        .hash = XXH3_64bits_withSecret(&tenant, sizeof tenant, p->secret, sizeof p->secret),
        .page = PREFIX_NONE};
}

static uint64_t hash_behind(const struct prefix *p, uint64_t before, const int32_t *tokens)
{
    struct {
        uint64_t before;
        int32_t token[PREFIX_TOKENS];
    } text = {.before = before};
    memcpy(text.token, tokens, sizeof text.token);
    return XXH3_64bits_withSecret(&text, sizeof text, p->secret, sizeof p->secret);
}

/* Whether the page that *at stands behind still has the content it had. */
static bool is_alive(const struct prefix *p, const struct prefix_at *at)
{
    return at->page == PREFIX_NONE ||
           (p->entry[at->page].used && p->entry[at->page].hash == at->hash);
}

static uint32_t look_up(const struct prefix *p, const struct prefix_at *at, uint64_t hash,
                        const int32_t *tokens)
{
    for (uint32_t i = p->bucket[hash & p->mask]; i != PREFIX_NONE; i = p->entry[i].next) {
        const struct entry *e = &p->entry[i];
        if (e->hash == hash && e->parent.page == at->page && e->parent.hash == at->hash &&
            memcmp(e->token, tokens, sizeof e->token) == 0)
            return i;
    }
    return PREFIX_NONE;
}

uint32_t prefix_find(const struct prefix *p, struct prefix_at *at, const int32_t *tokens)
{
    if (!is_alive(p, at))
        return PREFIX_NONE;
    uint64_t hash = hash_behind(p, at->hash, tokens);
    uint32_t page = look_up(p, at, hash, tokens);
    if (page != PREFIX_NONE)
        *at = (struct prefix_at){.hash = hash, .page = page};
    return page;
}

bool prefix_add(struct prefix *p, struct prefix_at *at, const int32_t *tokens, uint32_t page)
{
    struct entry *e = &p->entry[page];
    if (!is_alive(p, at) || prefix_find(p, at, tokens) != PREFIX_NONE)
        return false;
    /* It may be in an entry behind a page that was given up meanwhile, where nobody can find it. */
    prefix_forget(p, page);
    uint64_t hash = hash_behind(p, at->hash, tokens);
    *e = (struct entry){
        .parent = *at, .hash = hash, .next = p->bucket[hash & p->mask], .used = true};
    memcpy(e->token, tokens, sizeof e->token);
    p->bucket[hash & p->mask] = page;
    *at = (struct prefix_at){.hash = hash, .page = page};
    return true;
}

void prefix_forget(struct prefix *p, uint32_t page)
{
    struct entry *e = &p->entry[page];
    if (!e->used)
        return;
    uint32_t *link = &p->bucket[e->hash & p->mask];
    while (*link != page)
        link = &p->entry[*link].next;
    *link = e->next;
    e->used = false;
}

bool prefix_holds(const struct prefix *p, uint32_t page)
{
    return p->entry[page].used;
}
