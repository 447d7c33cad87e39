/* SPDX-License-Identifier: MIT */
/*
 * gguf-files.h - GGUF files in memory for check_gguf and check_gguf_bad: pieces of files, a valid
 * one, and opening what was written.
 */
#ifndef TRIT_TEST_GGUF_FILES_H
#define TRIT_TEST_GGUF_FILES_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "gguf-write.h"
#include "model/gguf.h"
#include "model/quant.h"
#include "unit/unit.h"

static uint64_t seed;

static inline uint32_t rnd(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* A file in memory with a path. */
static int fd = -1;
static char path[64];

static inline void setup(void)
{
    fd = memfd_create("check-gguf", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
}

static inline void teardown(void)
{
    close(fd);
}

static inline void put_file(const struct buf *b)
{
    ck_assert(!b->failed);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(pwrite(fd, b->data, b->len, 0), (ssize_t)b->len);
}

static inline int open_it(struct gguf **g, struct trit_error *err)
{
    memset(err, 0, sizeof *err);
    int rc = gguf_open(path, g, err);
    if (rc) {
        /* Every refusal names the file and agrees with its code. */
        ck_assert_int_eq(err->code, -rc);
        ck_assert_msg(strncmp(err->text, path, strlen(path)) == 0, "%s", err->text);
        ck_assert_msg(strlen(err->text) > strlen(path) + 8, "%s", err->text);
        ck_assert_ptr_null(*g);
    }
    return rc;
}

/* --- small pieces of files -------------------------------------------------------------------- */

static inline void pad_to(struct buf *b, size_t alignment)
{
    while (b->len % alignment)
        buf_addc(b, '\0');
}

static inline void data(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(b, (char)(i + 1));
}

/* Dimensions, on the spot. */
#define NE(...) ((const uint64_t[]){__VA_ARGS__})

static const uint64_t one_row[] = {8, 1, 1, 1};

static inline void key_u32(struct buf *b, const char *key, uint32_t v)
{
    gguf_put_key(b, key, GGUF_U32);
    gguf_put_u32(b, v);
}

/* A file of one pair whose value the caller has written to `pair`, and of one tensor. */
static inline void file_of_pair(struct buf *b, const struct buf *pair)
{
    gguf_put_head(b, 3, 1, 1);
    buf_add(b, pair->data, pair->len);
    gguf_put_tensor(b, "t", 1, one_row, QUANT_F32, 0);
    pad_to(b, 32);
    data(b, 32);
}

static inline void file_of_tensor(struct buf *b, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                                  uint64_t offset)
{
    gguf_put_head(b, 3, 1, 0);
    gguf_put_tensor(b, "blk.0.attn_q.weight", n_dims, ne, type, offset);
    pad_to(b, 32);
    data(b, 64);
}

/* --- the valid file ----------------------------------------------------------------------------
 */

static inline void valid_file(struct buf *b, uint32_t version)
{
    static const uint64_t ne[] = {256, 2};
    gguf_put_head(b, version, 3, 17);
    gguf_put_key(b, "general.architecture", GGUF_STRING);
    gguf_put_text(b, "llama", 5);
    key_u32(b, "u32", 4000000000u);
    gguf_put_key(b, "u8", GGUF_U8);
    buf_addc(b, (char)200);
    gguf_put_key(b, "i8", GGUF_I8);
    buf_addc(b, (char)-3);
    gguf_put_key(b, "u16", GGUF_U16);
    buf_add(b, "\x01\x02", 2);
    gguf_put_key(b, "i16", GGUF_I16);
    buf_add(b, "\x10\x00", 2);
    gguf_put_key(b, "i32", GGUF_I32);
    gguf_put_u32(b, (uint32_t)-7);
    gguf_put_key(b, "u64", GGUF_U64);
    gguf_put_u64(b, UINT64_MAX);
    gguf_put_key(b, "i64", GGUF_I64);
    gguf_put_u64(b, 1ull << 40);
    gguf_put_key(b, "f32", GGUF_F32);
    gguf_put_u32(b, 0x3fc00000); /* 1.5 */
    gguf_put_key(b, "f64", GGUF_F64);
    gguf_put_u64(b, 0xc004000000000000); /* -2.5 */
    gguf_put_key(b, "nan", GGUF_F32);
    gguf_put_u32(b, 0x7fc00000);
    gguf_put_key(b, "bool", GGUF_BOOL);
    buf_addc(b, 1);
    gguf_put_key(b, "not.utf8", GGUF_STRING);
    gguf_put_text(b, "a\xff\x1b[31m", 7);
    gguf_put_array(b, "strings", GGUF_STRING, 3);
    gguf_put_text(b, "", 0);
    gguf_put_text(b, "zwei\n", 5);
    gguf_put_text(b, "d\0t", 3);
    gguf_put_array(b, "ints", GGUF_I32, 4);
    for (uint32_t i = 0; i < 4; i++)
        gguf_put_u32(b, i - 1);
    gguf_put_array(b, "floats", GGUF_F32, 1);
    gguf_put_u32(b, 0x3f800000);
    gguf_put_tensor(b, "a", 2, ne, QUANT_TQ2_0, 0);
    gguf_put_tensor(b, "b", 1, one_row, QUANT_F32, 160);
    gguf_put_tensor(b, "odd", 1, one_row, 4242, 192);
    pad_to(b, 32);
    data(b, 160 + 32 + 32);
}

/* A valid file through the writer, with enough keys and tensors for the sorts to work. */
static inline void larger_file(const char *name)
{
    struct gguf_writer *w = NULL;
    struct trit_error err = {0};
    char text[32];
    uint64_t ne[] = {8, 2};
    ck_assert_msg(gguf_write_open(name, &w, &err) == 0, "%s", err.text);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "key.%u", i * 7919 % 40);
        gguf_write_u32(w, text, i);
    }
    gguf_write_strings(w, "texts", 500);
    for (unsigned i = 0; i < 500; i++)
        gguf_write_element(w, "some text", i % 10);
    gguf_write_i32s(w, "ints", (const int32_t[]){1, -2}, 2);
    gguf_write_f32(w, "f", 0.5f);
    gguf_write_bool(w, "b", true);
    gguf_write_string(w, "s", "text");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "tensor.%u", i * 7919 % 40);
        gguf_write_tensor(w, text, 2, ne, QUANT_F32, 64);
    }
    ck_assert_int_eq(gguf_write_begin(w, &err), 0);
    for (unsigned i = 0; i < 40 * 4; i++) {
        char piece[16];
        memset(piece, (int)i, sizeof piece);
        ck_assert_int_eq(gguf_write_data(w, piece, sizeof piece, &err), 0);
    }
    ck_assert_msg(gguf_write_finish(w, &err) == 0, "%s", err.text);
    gguf_write_close(&w);
}

/* One test case with the file of above, run; the exit status of main. */
static inline int run_gguf_tests(const char *name, void (*add)(TCase *c))
{
    const char *given = getenv("TRIT_SEED");
    seed = given ? strtoull(given, NULL, 0) : 20260114;
    printf("TRIT_SEED=%llu\n", (unsigned long long)seed);
    Suite *s = suite_create(name);
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    add(c);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
