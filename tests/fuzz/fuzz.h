/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - one harness, two lives: a libFuzzer program of clang's (fuzz.sh), and a function of
 * check_fuzz, which needs no clang and runs it over the seeds in corpus/ at every make check.
 *
 *     FUZZ(name)
 *     {
 *         ... bytes[0, len) ...
 *         return 0;
 *     }
 *
 * What must hold is asserted with trit_assert; memory is the sanitizers' to watch.
 */
#ifndef TRIT_FUZZ_H
#define TRIT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef FUZZ_REPLAY
#define FUZZ(name)                                                                                 \
    int fuzz_##name(const uint8_t *bytes, size_t len);                                             \
    int fuzz_##name(const uint8_t *bytes, size_t len)
#else
#define FUZZ(name)                                                                                 \
    int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);                                  \
    int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
#endif

/* The bytes as a file that only we may read: its path, in memory, the same at every call of one
 * harness; NULL when there is no room for it. */
static inline const char *fuzz_file(const uint8_t *bytes, size_t len)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0600) != 0)
            return NULL;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
        return NULL;
    return path;
}

/* Take a byte off the front; 0 when there is none. */
static inline unsigned fuzz_byte(const uint8_t **bytes, size_t *len)
{
    if (*len == 0)
        return 0;
    --*len;
    return *(*bytes)++;
}

#endif
