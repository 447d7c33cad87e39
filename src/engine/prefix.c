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

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "base/base.h"
#include "base/mem.h"

/* Without holes, so that a sum over it is one over its fields. */
struct entry {
    uint64_t before; /* hash of everything before this page */
    uint64_t hash;   /* of everything up to its end */
    uint64_t content;
    int32_t token[PREFIX_TOKENS];
    uint32_t parent; /* the page before it, or PREFIX_NONE */
    uint32_t used;   /* this page's number + 1; 0: nothing is entered */
    uint64_t sum;    /* of all above */
    uint64_t stamp;  /* when it was last of use; a wrong one costs nothing but order */
};

/* What may outlive the process. */
struct shelf {
    uint8_t secret[XXH3_SECRET_SIZE_MIN]; /* zeros: the index is new */
    struct entry entry[];                 /* [n_pages] */
};
_Static_assert(sizeof(struct shelf) % sizeof(uint64_t) == 0, "entries are aligned");

struct prefix {
    struct shelf *shelf;
    struct entry *entry; /* of the shelf */
    void *own;           /* the shelf, where it is ours */
    uint32_t *bucket;    /* [mask + 1]: first page, or PREFIX_NONE */
    uint32_t *next;      /* [n_pages]: in its bucket */
    uint32_t mask, n_pages;
    uint64_t clock;
};

size_t prefix_bytes(uint32_t n_pages)
{
    return sizeof(struct shelf) + n_pages * sizeof(struct entry);
}

static uint64_t sum_of(const struct prefix *p, const struct entry *e)
{
    return XXH3_64bits_withSecret(e, offsetof(struct entry, sum), p->shelf->secret,
                                  sizeof p->shelf->secret);
}

static void link_entry(struct prefix *p, uint32_t page)
{
    uint32_t *first = &p->bucket[p->entry[page].hash & p->mask];
    p->next[page] = *first;
    *first = page;
}

/* Take over what another process has entered, as far as it is whole.  An entry behind a page that
 * is not there any more does no harm: nobody can arrive at it. */
static void take_over(struct prefix *p)
{
    for (uint32_t i = 0; i < p->n_pages; i++) {
        struct entry *e = &p->entry[i];
        if (e->used == i + 1 && e->sum == sum_of(p, e) &&
            (e->parent < p->n_pages || e->parent == PREFIX_NONE)) {
            link_entry(p, i);
            p->clock = MAX(p->clock, e->stamp);
        } else {
            e->used = 0;
        }
    }
}

int prefix_open(uint32_t n_pages, void *memory, struct prefix **out, struct trit_error *err)
{
    static const uint8_t zeros[XXH3_SECRET_SIZE_MIN];
    *out = NULL;
    struct prefix *p = mem_zalloc(1, sizeof *p);
    if (!p)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the prefix index");
    uint64_t buckets = 1;
    while (buckets < n_pages)
        buckets *= 2;
    p->mask = (uint32_t)(buckets - 1);
    p->n_pages = n_pages;
    p->own = memory ? NULL : mem_zalloc(prefix_bytes(n_pages), 1);
    p->shelf = memory ? memory : p->own;
    p->bucket = mem_zalloc(buckets, sizeof *p->bucket);
    p->next = mem_zalloc(n_pages, sizeof *p->next);
    if (!p->shelf || !p->bucket || !p->next) {
        prefix_close(&p);
        return trit_fail(err, TRIT_ENOMEM, "no memory for a prefix index of %u pages", n_pages);
    }
    p->entry = p->shelf->entry;
    memset(p->bucket, 0xff, buckets * sizeof *p->bucket);
    if (memcmp(p->shelf->secret, zeros, sizeof zeros) != 0) {
        take_over(p);
    } else if (getrandom(p->shelf->secret, sizeof zeros, 0) != (ssize_t)sizeof zeros) {
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
    mem_free((*p)->own);
    mem_free((*p)->bucket);
    mem_free((*p)->next);
    mem_free(*p);
    *p = NULL;
}

struct prefix_at prefix_root(const struct prefix *p, uint64_t tenant)
{
    return (struct prefix_at){.hash =
                                  XXH3_64bits_withSecret(&tenant, sizeof tenant, p->shelf->secret,
                                                         sizeof p->shelf->secret),
                              .page = PREFIX_NONE};
}

static uint64_t hash_behind(const struct prefix *p, uint64_t before, const int32_t *tokens)
{
    struct {
        uint64_t before;
        int32_t token[PREFIX_TOKENS];
    } text = {.before = before};
    memcpy(text.token, tokens, sizeof text.token);
    return XXH3_64bits_withSecret(&text, sizeof text, p->shelf->secret, sizeof p->shelf->secret);
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
    for (uint32_t i = p->bucket[hash & p->mask]; i != PREFIX_NONE; i = p->next[i]) {
        const struct entry *e = &p->entry[i];
        if (e->hash == hash && e->parent == at->page && e->before == at->hash &&
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

bool prefix_add(struct prefix *p, struct prefix_at *at, const int32_t *tokens, uint32_t page,
                uint64_t content)
{
    struct entry *e = &p->entry[page];
    if (!is_alive(p, at) || prefix_find(p, at, tokens) != PREFIX_NONE)
        return false;
    /* It may be in an entry behind a page that was given up meanwhile, where nobody can find it. */
    prefix_forget(p, page);
    *e = (struct entry){.before = at->hash,
                        .hash = hash_behind(p, at->hash, tokens),
                        .content = content,
                        .parent = at->page,
                        .used = page + 1,
                        .stamp = ++p->clock};
    memcpy(e->token, tokens, sizeof e->token);
    e->sum = sum_of(p, e);
    link_entry(p, page);
    *at = (struct prefix_at){.hash = e->hash, .page = page};
    return true;
}

void prefix_forget(struct prefix *p, uint32_t page)
{
    struct entry *e = &p->entry[page];
    if (!e->used)
        return;
    uint32_t *link = &p->bucket[e->hash & p->mask];
    while (*link != page)
        link = &p->next[*link];
    *link = p->next[page];
    /* Before anything is written to the page: whoever is killed in between must not leave an entry
     * for what the page has no longer. */
    e->used = 0;
    atomic_signal_fence(memory_order_seq_cst);
}

bool prefix_holds(const struct prefix *p, uint32_t page)
{
    return p->entry[page].used;
}

uint64_t prefix_content(const struct prefix *p, uint32_t page)
{
    return p->entry[page].content;
}

void prefix_touch(struct prefix *p, uint32_t page)
{
    p->entry[page].stamp = ++p->clock;
}

static int by_stamp(const void *a, const void *b, void *arg)
{
    const struct prefix *p = arg;
    uint64_t x = p->entry[*(const uint32_t *)a].stamp, y = p->entry[*(const uint32_t *)b].stamp;
    return (x > y) - (x < y);
}

uint32_t prefix_pages(const struct prefix *p, uint32_t *page)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_pages; i++)
        if (p->entry[i].used)
            page[n++] = i;
    qsort_r(page, n, sizeof *page, by_stamp, (void *)(uintptr_t)p);
    return n;
}
