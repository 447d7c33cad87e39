/* SPDX-License-Identifier: MIT */
/*
 * pool.c - making, checking and locking the memfd of a KV pool.
 *
 * Not here: which of its pages are whole (prefix.c), and whether they are what they were (kv.c).
 */
#include "config.h"
#include "engine/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"

#define MAGIC "TRITKV\0" /* with its NUL: eight bytes */

enum {
    FORMAT = 2, /* of the header, of the index's entries and of where they lie */
    SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
};

struct header {
    char magic[8];
    uint64_t format;
    struct pool_key key;
    uint8_t secret[POOL_SECRET_BYTES];
    uint64_t sum; /* of all above */
};

static uint64_t sum_of(const struct header *h)
{
    return XXH3_64bits(h, offsetof(struct header, sum));
}

/* Where the pages begin, and with that the size; false: more than can be counted. */
static bool arrange(const struct pool_key *key, size_t index_bytes, struct pool *p, size_t *at)
{
    *at = round_up(sizeof(struct header) + index_bytes, MEM_EXTENT);
    return !__builtin_mul_overflow((size_t)key->n_pages, (size_t)key->page_bytes,
                                   &p->pages_bytes) &&
           !__builtin_add_overflow(*at, p->pages_bytes, &p->map_bytes) &&
           p->map_bytes < SIZE_MAX / 2;
}

/* For this process alone, while it lives. */
static bool lock(int fd)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &all) == 0;
}

static bool map(struct pool *p, size_t pages_at)
{
    uint8_t *m = mem_map_file(p->fd, p->map_bytes, PROT_READ | PROT_WRITE);
    if (!m)
        return false;
    (void)madvise(m, p->map_bytes, MADV_HUGEPAGE);
    p->extents = mem_zalloc(p->map_bytes / MEM_EXTENT + 1, 1);
    p->map = m;
    p->secret = ((const struct header *)(const void *)m)->secret;
    p->index = m + sizeof(struct header);
    p->pages = m + pages_at;
    return true;
}

/* Why the memfd of another process is of no use; NULL: it is. */
static const char *refuse(const struct pool *p, const struct pool_key *key)
{
    struct stat st;
    struct header h;
    int seals = fcntl(p->fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return "it is not sealed";
    if (fstat(p->fd, &st) != 0 || (uint64_t)st.st_size != p->map_bytes)
        return "its size is another";
    if (pread(p->fd, &h, sizeof h, 0) != (ssize_t)sizeof h || memcmp(h.magic, MAGIC, 8) != 0 ||
        h.format != FORMAT || h.sum != sum_of(&h))
        return "it has no header of this format";
    if (memcmp(&h.key, key, sizeof h.key) != 0)
        return "it is of another model, version or layout";
    return lock(p->fd) ? NULL : "another process uses it";
}

static bool take_over(const struct pool_key *key, size_t pages_at, int fd, struct pool *p)
{
    p->fd = fd;
    const char *why = refuse(p, key);
    if (!why && !map(p, pages_at))
        why = "it cannot be mapped";
    if (!why) {
        p->inherited = true;
        return true;
    }
    log_notice("kv-pool kept=no reason=\"%s\"", why);
    close(fd);
    p->fd = -1;
    return false;
}

static int make(const struct pool_key *key, size_t pages_at, struct pool *p, struct trit_error *err)
{
    struct header h = {.magic = MAGIC, .format = FORMAT, .key = *key};
    if (getrandom(h.secret, sizeof h.secret, 0) != (ssize_t)sizeof h.secret)
        return trit_fail(err, TRIT_EIO, "no random bytes for the KV pool");
    h.sum = sum_of(&h);
    p->fd = mem_memfd("tritd-kv");
    if (p->fd >= 0 && ftruncate(p->fd, (off_t)p->map_bytes) == 0 &&
        fcntl(p->fd, F_ADD_SEALS, SEALS) == 0 && lock(p->fd) && map(p, pages_at)) {
        memcpy(p->map, &h, sizeof h);
        return 0;
    }
    int saved = errno;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    return trit_fail(err, TRIT_ENOMEM, "no memory for a KV pool of %zu bytes: %s", p->pages_bytes,
                     strerror(saved));
}

int pool_open(const struct pool_key *key, size_t index_bytes, int fd, struct pool *p,
              struct trit_error *err)
{
    size_t pages_at;
    *p = (struct pool){.fd = -1};
    if (!arrange(key, index_bytes, p, &pages_at)) {
        if (fd >= 0)
            close(fd);
        return trit_fail(err, TRIT_ENOMEM, "no memory for a KV pool of %u pages", key->n_pages);
    }
    if (fd == POOL_ANONYMOUS) {
        p->pages = mem_map(p->pages_bytes);
        return p->pages ? 0
                        : trit_fail(err, TRIT_ENOMEM, "no memory for a KV pool of %zu bytes",
                                    p->pages_bytes);
    }
    return fd >= 0 && take_over(key, pages_at, fd, p) ? 0 : make(key, pages_at, p, err);
}

void pool_prepare(struct pool *p, size_t at, size_t bytes)
{
    if (!p->extents)
        return;
    size_t first = (size_t)(p->pages - p->map) + at, end = first + bytes;
    for (size_t e = first / MEM_EXTENT; p->extents && e * MEM_EXTENT < end; e++) {
        uint8_t *extent = p->map + e * MEM_EXTENT;
        if (p->extents[e] || p->map_bytes - e * MEM_EXTENT < MEM_EXTENT)
            continue;
        p->extents[e] = 1;
        (void)*(volatile const uint8_t *)extent; /* that it has a page */
        if (!mem_collapse(extent, MEM_EXTENT)) {
            mem_free(p->extents); /* Not here, or not any more. */
            p->extents = NULL;
        }
    }
}

void pool_close(struct pool *p)
{
    mem_free(p->extents);
    if (p->map) {
        trit_assert(munmap(p->map, p->map_bytes) == 0);
        close(p->fd);
    } else {
        mem_unmap(p->pages, p->pages_bytes);
    }
    *p = (struct pool){.fd = -1};
}
