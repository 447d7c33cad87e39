/* SPDX-License-Identifier: MIT */
/*
 * names.c - randomness from the kernel.
 */
#include "config.h"
#include "server/names.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/base.h"

void names_random_bytes(void *dst, size_t len)
{
    ssize_t n;
    /* Up to 256 bytes come whole once the kernel's pool is ready. */
    trit_assert(len <= 256);
    do
        n = getrandom(dst, len, 0);
    while (n < 0 && errno == EINTR);
    trit_assert(n == (ssize_t)len);
}

void names_random(char *dst, size_t cap, const char *prefix)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char r[NAMES_RANDOM];
    size_t n = strlen(prefix);
    trit_assert(cap > n + NAMES_RANDOM);
    memcpy(dst, prefix, n);
    names_random_bytes(r, sizeof r);
    for (size_t i = 0; i < NAMES_RANDOM; i++)
        dst[n + i] = digits[r[i] % 62];
    dst[n + NAMES_RANDOM] = '\0';
}

uint64_t names_random_u64(void)
{
    uint64_t v;
    names_random_bytes(&v, sizeof v);
    return v;
}
