/* SPDX-License-Identifier: MIT */
/*
 * fuzz_safetensors.c - any bytes as a safetensors file: refused, or a directory that adds up.
 *
 * libFuzzer; needs clang.  From the top of the source tree:
 *
 *     mkdir -p fuzz/corpus && touch fuzz/config.h
 *     clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         -Ifuzz -Iinclude -Isrc tests/fuzz/fuzz_safetensors.c src/model/safetensors.c \
 *         src/model/gguf*.c src/model/quant.c src/base/base.c src/base/mem.c src/base/buf.c \
 *         src/base/utf8.c src/base/jsontext.c -lm -o fuzz/fuzz_safetensors
 *     ASAN_OPTIONS=quarantine_size_mb=8 fuzz/fuzz_safetensors -max_total_time=600 -timeout=1 \
 *         -rss_limit_mb=256 fuzz/corpus
 *
 * Any .safetensors file in fuzz/corpus is a good beginning.
 */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
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
