/* SPDX-License-Identifier: MIT */
/*
 * check_fuzz.c - every harness over its seeds in corpus/, which are also the inputs that once
 * failed: as they are, cut short, and with some bytes changed.  A fuzzer without feedback, but one
 * that every compiler has; `make fuzz-run` is the real one.
 */
#include "config.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "base/base.h"
#include "unit/unit.h"

enum { SEED_BYTES = 1 << 16, CUTS = 256, CHANGES = 400 };

typedef int fuzz_fn(const uint8_t *bytes, size_t len);

fuzz_fn fuzz_chat, fuzz_conf, fuzz_framing, fuzz_gguf, fuzz_grammar, fuzz_jinja, fuzz_keys,
    fuzz_params, fuzz_regex, fuzz_safetensors, fuzz_schema, fuzz_sentencepiece, fuzz_sse,
    fuzz_text, fuzz_tiles, fuzz_tokenizer, fuzz_view;

static const struct {
    const char *name;
    fuzz_fn *fn;
} harness[] = {
    {"chat", fuzz_chat},       {"conf", fuzz_conf},
    {"framing", fuzz_framing}, {"gguf", fuzz_gguf},
    {"grammar", fuzz_grammar}, {"jinja", fuzz_jinja},
    {"keys", fuzz_keys},       {"params", fuzz_params},
    {"regex", fuzz_regex},     {"safetensors", fuzz_safetensors},
    {"schema", fuzz_schema},   {"sentencepiece", fuzz_sentencepiece},
    {"sse", fuzz_sse},         {"text", fuzz_text},
    {"tiles", fuzz_tiles},     {"tokenizer", fuzz_tokenizer},
    {"view", fuzz_view},
};

static uint64_t seed;

/* A copy that ends where its memory does, so that a sanitizer sees a step too far. */
static void run(fuzz_fn *fn, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, len);
    ck_assert_int_eq(fn(copy, len), 0);
    free(copy);
}

static void run_seed(fuzz_fn *fn, uint8_t *bytes, size_t len)
{
    run(fn, bytes, len);
    size_t step = MAX(len / CUTS, 1u);
    for (size_t cut = 0; cut < len; cut += step)
        run(fn, bytes, cut);
    for (unsigned i = 0; i < CHANGES && len; i++) {
        uint8_t saved[4];
        size_t at[4];
        unsigned n = 1 + (unsigned)(unit_random(&seed) % 4);
        for (unsigned k = 0; k < n; k++) {
            uint64_t r = unit_random(&seed);
            at[k] = (size_t)(r >> 16) % len;
            saved[k] = bytes[at[k]];
            bytes[at[k]] = r & 256 ? (uint8_t)(bytes[at[k]] ^ (1u << (r & 7))) : (uint8_t)r;
        }
        run(fn, bytes, len);
        while (n--)
            bytes[at[n]] = saved[n];
    }
}

START_TEST(test_corpus)
{
    static uint8_t bytes[SEED_BYTES];
    const char *srcdir = getenv("srcdir");
    char dir[PATH_MAX / 2], path[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", harness[_i].name);
    DIR *d = opendir(dir);
    ck_assert_msg(d != NULL, "%s", dir);
    unsigned n = 0;
    for (const struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        FILE *f = fopen(path, "re");
        ck_assert_msg(f != NULL, "%s", path);
        size_t len = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        ck_assert_uint_lt(len, sizeof bytes);
        run_seed(harness[_i].fn, bytes, len);
        n++;
    }
    closedir(d);
    ck_assert_msg(n > 0, "no seeds in %s", dir);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *suite = suite_create("fuzz");
    TCase *tc = tcase_create("corpus");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_corpus, 0, (int)ARRAY_LEN(harness));
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
