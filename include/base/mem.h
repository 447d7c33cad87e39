/* SPDX-License-Identifier: MIT */
/*
 * mem.h - all memory of the program: checked sizes, alignment, large mappings.
 *
 * Every function that returns memory returns NULL when there is none (or when n * size overflows);
 * the caller turns that into -TRIT_ENOMEM.  Nothing here aborts, nothing here is called by a decode
 * step.
 *
 * Not here: pools and caches.  KV pages live in engine/kv.h, weights in model/segment.h.
 */
#ifndef TRIT_MEM_H
#define TRIT_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n * size zeroed bytes.  Gives; free with mem_free.  n * size == 0 yields a unique pointer. */
void *mem_zalloc(size_t n, size_t size);

/* Like mem_zalloc at a multiple of 64 bytes, one cache line and one AVX-512 register. */
void *mem_zalloc_line(size_t n, size_t size);

/* Grow *p to n * size bytes; on failure (NULL) the old block is untouched and still owned. */
void *mem_resize(void *p, size_t n, size_t size);

char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);
void mem_free(void *p);

/*
 * Zeroed pages straight from the kernel, for pools of many megabytes.  Transparent huge pages are
 * asked for.  Untouched pages cost no memory.  Behind them lies a page that nobody may touch: what
 * runs over the end stops there, and the kernel does not merge two pools into one mapping, so that
 * /proc/PID/smaps tells what each of them has.  Give back with mem_unmap and the same size.
 */
void *mem_map(size_t bytes);
void mem_unmap(void *p, size_t bytes);

enum { MEM_EXTENT = 2 << 20 }; /* a huge page on x86-64, and with pages of 4 KiB on arm64 */

/*
 * A shared mapping of the first `bytes` of a file, where its extents can be huge pages.  NULL with
 * errno; give back with munmap(2).
 */
void *mem_map_file(int fd, size_t bytes, int prot);

/*
 * Make whole extents of such a mapping huge now, whatever the policy of the machine; holes in them
 * are filled, but an extent without any page is passed over.  false: not all; nothing is lost.
 */
bool mem_collapse(void *extents, size_t bytes);

/* A memfd that can be sealed and, where the kernel can say so, never executed; -1 with errno. */
int mem_memfd(const char *name);

/*
 * For tests: let the n-th allocation from now fail (1 = the next one), once; 0 switches it off.
 * mem_fail_pending() tells whether it has not struck yet.  Process-wide.
 */
void mem_fail_at(unsigned n);
int mem_fail_pending(void);

/*
 * Cut one mapping into arrays: the next n * size bytes of the one that begins at `base`, from *at
 * on, which moves to the next line behind them.  With a NULL base this only measures.  Sizes are
 * the caller's to check.
 */
void *mem_carve(uint8_t *base, size_t *at, size_t n, size_t size);

#endif
