/* SPDX-License-Identifier: MIT */
/*
 * inline.h - how the vector files are written: a loop body with constant sizes, made several times.
 *
 * A function marked INLINE takes its block sizes as constants; with every loop over them unrolled,
 * small arrays of registers become registers.
 */
#ifndef TRIT_KERNELS_INLINE_H
#define TRIT_KERNELS_INLINE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))

/* foreach (i, n) is a loop over i = 0 .. n - 1, n a constant, that is unrolled. */
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 32")
#endif
#define foreach(i, n) UNROLLED for (unsigned i = 0; i < (n); i++)

/* A table or a buffer that is read a line at a time. */
#define ALIGNED __attribute__((aligned(64)))

/* How many of n items the next block of at most `most` takes, so that blocks are of even size. */
INLINE size_t even_share(size_t n, size_t most)
{
    size_t blocks = (n + most - 1) / most;
    return (n + blocks - 1) / blocks;
}

/* f(..., n), with an n that the compiler knows; it is at most `most`, a constant up to 5. */
#define SIZED(f, n, most, ...)                                                                     \
    do {                                                                                           \
        _Static_assert((most) <= 5, "a case for each");                                            \
        switch (n) {                                                                               \
        case 1:                                                                                    \
            f(__VA_ARGS__, 1);                                                                     \
            break;                                                                                 \
        case 2:                                                                                    \
            if ((most) >= 2)                                                                       \
                f(__VA_ARGS__, 2);                                                                 \
            break;                                                                                 \
        case 3:                                                                                    \
            if ((most) >= 3)                                                                       \
                f(__VA_ARGS__, 3);                                                                 \
            break;                                                                                 \
        case 4:                                                                                    \
            if ((most) >= 4)                                                                       \
                f(__VA_ARGS__, 4);                                                                 \
            break;                                                                                 \
        case 5:                                                                                    \
            if ((most) >= 5)                                                                       \
                f(__VA_ARGS__, 5);                                                                 \
        }                                                                                          \
    } while (0)

/* K or V (at `offset` in its page) of position p. */
INLINE const uint8_t *kv_row(const struct kv_span *kv, size_t offset, size_t p, size_t row_bytes)
{
    const uint8_t *page = kv->pool + kv->pages[p / kv->page_tokens] * kv->page_bytes;
    return page + offset + p % kv->page_tokens * row_bytes;
}

#endif
