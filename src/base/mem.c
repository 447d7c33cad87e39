/* SPDX-License-Identifier: MIT */
/*
 * mem.c - the only caller of malloc and of anonymous mmap in tritd's own code.
 */
#include "config.h"
#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

static atomic_uint fail_countdown;

void mem_fail_at(unsigned n)
{
    atomic_store(&fail_countdown, n);
}

int mem_fail_pending(void)
{
    return atomic_load(&fail_countdown) != 0;
}

/* True once, when the countdown set by a test reaches its end.  Costs one load in production. */
static bool must_fail(void)
{
    unsigned left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    return left != 0 && atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void *mem_zalloc(size_t n, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return calloc(bytes ? bytes : 1, 1);
}

void *mem_zalloc_line(size_t n, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 64)
        return NULL;
    bytes = round_up(bytes ? bytes : 1, 64);
    void *p = aligned_alloc(64, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *mem_resize(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

char *mem_strndup(const char *s, size_t len)
{
    char *copy = mem_zalloc(len + 1, 1);
    return copy ? memcpy(copy, s, len) : NULL;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

void mem_free(void *p)
{
    free(p);
}

void *mem_map(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (must_fail() || bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    size_t usable = round_up(bytes, page);
    uint8_t *p = mmap(NULL, usable + page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (mprotect(p + usable, page, PROT_NONE) != 0) {
        trit_assert(munmap(p, usable + page) == 0);
        return NULL;
    }
    (void)madvise(p, usable, MADV_HUGEPAGE); /* A wish: without it pages are merely small. */
    return p;
}

void mem_unmap(void *p, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (p)
        trit_assert(munmap(p, round_up(bytes, page) + page) == 0);
}

void *mem_map_file(int fd, size_t bytes, int prot)
{
    /* A mapping starts where it may have huge pages if it is as far from an extent's begin as its
     * file is, and that is our business: room for one more, of which we keep what is aligned. */
    size_t room = bytes + MEM_EXTENT, page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = round_up(bytes, page);
    if (room < bytes) {
        errno = ENOMEM;
        return NULL;
    }
    uint8_t *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    uint8_t *at = (uint8_t *)round_up((uintptr_t)p, MEM_EXTENT);
    size_t before = (size_t)(at - p);
    if (before)
        trit_assert(munmap(p, before) == 0);
    if (room - before > used)
        trit_assert(munmap(at + used, room - before - used) == 0);
    p = mmap(at, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0);
    if (p == MAP_FAILED) {
        int saved = errno;
        trit_assert(munmap(at, used) == 0);
        errno = saved;
        return NULL;
    }
    return p;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

bool mem_collapse(void *extents, size_t bytes)
{
    return madvise(extents, bytes, MADV_COLLAPSE) == 0;
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

int mem_memfd(const char *name)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    return fd < 0 && errno == EINVAL ? memfd_create(name, flags) : fd;
}

void *mem_carve(uint8_t *base, size_t *at, size_t n, size_t size)
{
    void *p = base ? base + *at : NULL;
    *at += round_up(n * size, 64);
    return p;
}
