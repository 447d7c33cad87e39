/* SPDX-License-Identifier: MIT */
/*
 * fuzz_gguf.c - any bytes as a GGUF file: gguf_open must refuse them or hand out views that hold.
 *
 * libFuzzer; needs clang.  From the top of the source tree:
 *
 *     mkdir -p fuzz/corpus && touch fuzz/config.h
 *     clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         -Ifuzz -Iinclude -Isrc tests/fuzz/fuzz_gguf.c \
 *         src/model/gguf*.c src/model/quant.c src/base/base.c src/base/mem.c \
 *         src/base/buf.c src/base/utf8.c -lm -o fuzz/fuzz_gguf
 *     trit-model synth --shape tiny -o fuzz/corpus/tiny.gguf
 *     ASAN_OPTIONS=quarantine_size_mb=8 \
 *         fuzz/fuzz_gguf -max_total_time=600 -timeout=1 -rss_limit_mb=256 fuzz/corpus
 *
 * (Freed memory that the sanitizer keeps aside counts as ours, hence the small quarantine.)  A
 * finding is written to crash-<hash>; fuzz/fuzz_gguf crash-<hash> shows it again.
 */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "model/gguf.h"
#include "model/quant.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Read the end of a tensor and decode a block of it. */
static void use_tensor(const struct gguf *g, const struct gguf_tensor *t)
{
    unsigned char raw[256];
    float values[256];
    int8_t trits[256];
    size_t n = MIN(t->bytes, sizeof raw);
    trit_assert(gguf_read(g, t, t->bytes - n, raw, n, NULL) == 0);
    trit_assert(gguf_tensor(g, t->name) == t);
    if (!t->quant || t->quant->block_bytes == 0 || n < t->quant->block_bytes)
        return;
    if (t->quant->ternary)
        (void)quant_trits(t->quant, raw, trits, values, t->quant->block_values);
    else
        quant_floats(t->quant, raw, values, t->quant->block_values);
}

static void use_pair(const struct gguf *g, size_t i)
{
    const char *key = gguf_key_at(g, i);
    const int32_t *ints;
    const float *floats;
    struct gguf_str s;
    struct gguf_strs strs;
    uint64_t u;
    double d;
    bool yes;
    size_t n;
    char text[80];
    unsigned sum = 0;
    gguf_print_value(g, i, text, sizeof text);
    trit_assert(strlen(text) < sizeof text && gguf_has(g, key));
    trit_assert(gguf_pair_bytes(g, i) >= 13);
    (void)gguf_uint(g, key, &u, NULL);
    (void)gguf_float(g, key, &d, NULL);
    (void)gguf_bool(g, key, &yes, NULL);
    if (gguf_string(g, key, &s, NULL) == 0 && s.len)
        sum += (unsigned char)s.data[s.len - 1];
    if (gguf_ints(g, key, &ints, &n, NULL) == 0 && n)
        sum += (unsigned)ints[n - 1];
    if (gguf_floats(g, key, &floats, &n, NULL) == 0 && n)
        sum += floats[n - 1] > 0;
    if (gguf_strings(g, key, &strs, NULL) == 0)
        for (size_t k = 0; k < strs.n; k++) {
            s = gguf_str_at(&strs, k);
            sum += s.len ? (unsigned char)s.data[s.len - 1] : 0;
        }
    /* What was summed up must count as used. */
    __asm__ volatile("" : : "r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static int fd = -1;
    static char path[64];
    struct gguf *g = NULL;
    struct trit_error err = {0};
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
        return 0;
    int rc = gguf_open(path, &g, &err);
    if (rc) {
        trit_assert(!g && err.code == -rc && strlen(err.text) > strlen(path));
        return 0;
    }
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        use_pair(g, i);
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        use_tensor(g, gguf_tensor_at(g, i));
    gguf_close(&g);
    return 0;
}
