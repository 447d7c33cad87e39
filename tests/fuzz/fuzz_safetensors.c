/* SPDX-License-Identifier: MIT */
/*
 * fuzz_safetensors.c - any bytes as a safetensors file: refused, or a directory that adds up.
 */
#include "config.h"
#include "fuzz/fuzz.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/safetensors.h"

FUZZ(safetensors)
{
    static int fd = -1;
    struct safetensors_entry *list;
    struct trit_error err = {0};
    size_t n;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
        return 0;
    int rc = safetensors_read(fd, "fuzz", len, &list, &n, &err);
    if (rc) {
        trit_assert(!list && err.code == -rc && strncmp(err.text, "fuzz: ", 6) == 0);
        return 0;
    }
    trit_assert(n > 0);
    uint64_t end = list[0].start;
    for (size_t i = 0; i < n; i++) {
        trit_assert(list[i].start == end && list[i].dtype && *list[i].name);
        end += list[i].bytes;
    }
    trit_assert(end == len);
    mem_free(list);
    return 0;
}
