/* SPDX-License-Identifier: MIT */
/*
 * fuzz_view.c - any bytes as what a reader of a model has found in one file, or in two: refused, or
 * a view of which all that gguf.h promises holds.
 */
#include "config.h"
#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"

enum { FILE_BYTES = 1 << 21 };

/* The files, which a view takes. */
static size_t open_files(struct gguf_view_file *files, bool folder)
{
    static int fd = -1;
    if (fd < 0 && ((fd = memfd_create("fuzz", MFD_CLOEXEC)) < 0 || ftruncate(fd, FILE_BYTES) != 0))
        return 0;
    for (size_t i = 0; i < 1 + (size_t)folder; i++) {
        files[i] = (struct gguf_view_file){
            .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .bytes = FILE_BYTES, .path = mem_strdup("file")};
        trit_assert(files[i].fd >= 0 && files[i].path);
    }
    return 1 + (size_t)folder;
}

static unsigned use_pair(const struct gguf *g, const char *key)
{
    const int32_t *ints;
    const float *floats;
    struct gguf_str s;
    struct gguf_strs strs;
    uint64_t u = 0;
    double d;
    bool yes;
    size_t n;
    unsigned sum = 0;
    trit_assert(gguf_has(g, key));
    for (const char *p = key; *p; p++)
        trit_assert(*p > ' ' && *p <= '~');
    if (gguf_uint(g, key, &u, NULL) == 0)
        sum += (unsigned)u;
    (void)gguf_float(g, key, &d, NULL);
    (void)gguf_bool(g, key, &yes, NULL);
    if (gguf_string(g, key, &s, NULL) == 0)
        sum += (unsigned)strlen(s.data) + (s.len ? (unsigned char)s.data[s.len - 1] : 0);
    if (gguf_ints(g, key, &ints, &n, NULL) == 0)
        for (size_t i = 0; i < n; i++)
            sum += (unsigned)ints[i];
    if (gguf_floats(g, key, &floats, &n, NULL) == 0)
        for (size_t i = 0; i < n; i++)
            sum += floats[i] > 0;
    if (gguf_strings(g, key, &strs, NULL) == 0)
        for (size_t i = 0; i < strs.n; i++) {
            s = gguf_str_at(&strs, i);
            for (size_t k = 0; k < s.len; k++)
                sum += (unsigned char)s.data[k];
        }
    return sum;
}

static void use(const struct gguf *g)
{
    unsigned sum = 0;
    char text[80];
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        sum += use_pair(g, gguf_key_at(g, i));
        gguf_print_value(g, i, text, sizeof text);
        trit_assert(strlen(text) < sizeof text);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char raw[16];
        size_t n = MIN(t->bytes, sizeof raw);
        trit_assert(strlen(t->name) >= 1 && strlen(t->origin) >= 1);
        trit_assert(gguf_tensor(g, t->name) == t);
        trit_assert(t->bytes <= FILE_BYTES && gguf_read(g, t, t->bytes - n, raw, n, NULL) == 0);
    }
    /* What was summed up must count as used. */
    __asm__ volatile("" : : "r"(sum));
}

FUZZ(view)
{
    struct gguf *g = NULL;
    struct gguf_view_file files[2];
    struct trit_error err = {0};
    bool folder = fuzz_byte(&bytes, &len) & 1;
    size_t n = len ? open_files(files, folder) : 0;
    if (n == 0)
        return 0;
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    trit_assert(at != MAP_FAILED);
    memcpy(at, bytes, len);
    int rc = gguf_view_read(at, len, "model", files, n, &g, &err);
    if (rc == 0) {
        use(g);
        gguf_close(&g);
        return 0;
    }
    trit_assert(!g && err.code == -rc && strncmp(err.text, "model: ", 7) == 0);
    munmap(at, len);
    for (size_t i = 0; i < n; i++) {
        mem_free(files[i].path);
        close(files[i].fd);
    }
    return 0;
}
