/* SPDX-License-Identifier: MIT */
/*
 * check_gguf_bad.c - broken files are refused in words; no cut, no flipped bit and no lack of
 * memory crashes or leaks.
 */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "gguf-files.h"

/* --- broken files ------------------------------------------------------------------------------
 */

/* Each case writes a file; `says` must stand in the refusal. */
struct bad_file {
    const char *name, *says;
    void (*write)(struct buf *b);
};

#define BAD(id, words, ...)                                                                        \
    static void bad_##id(struct buf *b)                                                            \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* A pair with this value, inside an otherwise valid file. */
#define BAD_PAIR(id, words, ...)                                                                   \
    static void bad_##id(struct buf *b)                                                            \
    {                                                                                              \
        struct buf pair = {0}, *p = &pair;                                                         \
        __VA_ARGS__                                                                                \
        file_of_pair(b, p);                                                                        \
        buf_free(p);                                                                               \
    }

// clang-format off
#define BAD_FILES(BAD, BAD_PAIR)                                                                   \
    BAD(empty, "0 bytes", (void)b;)                                                                \
    BAD(three_bytes, "3 bytes", buf_adds(b, "GGU");)                                               \
    BAD(magic_only, "file ends at byte 4", buf_adds(b, "GGUF");)                                   \
    BAD(magic, "expected 47 47 55 46", buf_adds(b, "GGUX"); data(b, 60);)                          \
    BAD(lfs, "git-lfs", buf_adds(b, "version https://git-lfs.example/spec/v1\n");)                 \
    BAD(html, "web page", buf_adds(b, "<!DOCTYPE html><html></html>");)                            \
    BAD(ggjt, "before GGUF", buf_adds(b, "tjgg"); data(b, 60);)                                    \
    BAD(version_0, "version 0", gguf_put_head(b, 0, 0, 0);)                                        \
    BAD(version_1, "version 1", gguf_put_head(b, 1, 0, 0);)                                        \
    BAD(version_4, "version 4", gguf_put_head(b, 4, 0, 0);)                                        \
    BAD(big_endian, "big-endian", gguf_put_head(b, 0x03000000, 0, 0);)                             \
    BAD(no_counts, "file ends", gguf_put_head(b, 3, 0, 0); b->len -= 9;)                           \
    BAD(tensors_max, "18446744073709551615 tensors", gguf_put_head(b, 3, UINT64_MAX, 0);)          \
    BAD(pairs_max, "18446744073709551615 keys", gguf_put_head(b, 3, 0, UINT64_MAX);)               \
    BAD(tensors_cap, "65537 tensors", gguf_put_head(b, 3, 65537, 0); data(b, 65537 * 33);)         \
    BAD(pairs_cap, "65537 keys", gguf_put_head(b, 3, 0, 65537); data(b, 65537 * 13);)              \
    BAD(tensors_left, "are left", gguf_put_head(b, 3, 65536, 0); data(b, 1000);)                   \
    BAD(pairs_left, "are left", gguf_put_head(b, 3, 0, 65536); data(b, 1000);)                     \
    BAD(key_length_max, "string of", gguf_put_head(b, 3, 0, 1); gguf_put_u64(b, UINT64_MAX);       \
        data(b, 64);)                                                                              \
    BAD(key_length_cap, "at most 65535", gguf_put_head(b, 3, 0, 1); gguf_put_u64(b, 65536);        \
        data(b, 70000);)                                                                           \
    BAD(key_beyond, "are left", gguf_put_head(b, 3, 0, 1); gguf_put_u64(b, 100); data(b, 50);)     \
    BAD(key_half, "file ends", gguf_put_head(b, 3, 0, 1); gguf_put_text(b, "abcde", 5);            \
        gguf_put_u32(b, GGUF_U64); buf_addc(b, 0);)                                                \
    BAD_PAIR(key_empty, "empty name", gguf_put_key(p, "", GGUF_U8); buf_addc(p, 1);)               \
    BAD_PAIR(key_nul, "byte 0x00", gguf_put_text(p, "a\0b", 3); gguf_put_u32(p, GGUF_U8);          \
             buf_addc(p, 1);)                                                                      \
    BAD_PAIR(key_escape, "byte 0x1b", gguf_put_key(p, "\033[2J", GGUF_U8); buf_addc(p, 1);)        \
    BAD_PAIR(key_unicode, "byte 0xc3", gguf_put_key(p, "\303\244", GGUF_U8); buf_addc(p, 1);)      \
    BAD_PAIR(type_13, "type 13", gguf_put_key(p, "k", (enum gguf_type)13); data(p, 8);)            \
    BAD_PAIR(type_max, "key k: value of type 4294967295",                                          \
             gguf_put_key(p, "k", (enum gguf_type) - 1);)                                          \
    BAD_PAIR(bool_2, "bool of value 2", gguf_put_key(p, "k", GGUF_BOOL); buf_addc(p, 2);)          \
    BAD_PAIR(bool_255, "bool of value 255", gguf_put_key(p, "k", GGUF_BOOL);                       \
             buf_addc(p, (char)255);)                                                              \
    BAD_PAIR(bools, "bool of value 3", gguf_put_array(p, "k", GGUF_BOOL, 3);                       \
             buf_add(p, "\0\1\3", 3);)                                                             \
    BAD_PAIR(text_max, "string of 18446744073709551615", gguf_put_key(p, "k", GGUF_STRING);        \
             gguf_put_u64(p, UINT64_MAX);)                                                         \
    BAD_PAIR(text_cap, "at most 16777216", gguf_put_key(p, "k", GGUF_STRING);                      \
             gguf_put_u64(p, (16 << 20) + 1);)                                                     \
    BAD_PAIR(text_beyond, "are left", gguf_put_key(p, "k", GGUF_STRING); gguf_put_u64(p, 9999);)   \
    BAD_PAIR(array_nested, "array of arrays", gguf_put_array(p, "k", GGUF_ARRAY, 1);               \
             gguf_put_u32(p, GGUF_U8); gguf_put_u64(p, 1); buf_addc(p, 1);)                        \
    BAD_PAIR(array_type, "array of type 13", gguf_put_array(p, "k", (enum gguf_type)13, 1);)       \
    BAD_PAIR(array_max, "18446744073709551615 elements",                                           \
             gguf_put_array(p, "k", GGUF_U8, UINT64_MAX);)                                         \
    BAD_PAIR(array_2_63, "elements", gguf_put_array(p, "k", GGUF_U64, 1ull << 63);)                \
    BAD_PAIR(array_wraps, "elements", gguf_put_array(p, "k", GGUF_U64, (1ull << 61) + 1);          \
             data(p, 8);)                                                                          \
    BAD_PAIR(array_cap, "at most 16777216", gguf_put_array(p, "k", GGUF_U8, (1 << 24) + 1);)       \
    BAD_PAIR(array_left, "needs 40000 bytes", gguf_put_array(p, "k", GGUF_F32, 10000);)            \
    BAD_PAIR(texts_left, "needs 80000 bytes", gguf_put_array(p, "k", GGUF_STRING, 10000);)         \
    BAD_PAIR(texts_inner, "string of 999999", gguf_put_array(p, "k", GGUF_STRING, 2);              \
             gguf_put_text(p, "ok", 2); gguf_put_u64(p, 999999);)                                  \
    BAD_PAIR(texts_inner_max, "string of", gguf_put_array(p, "k", GGUF_STRING, 1);                 \
             gguf_put_u64(p, UINT64_MAX - 7);)                                                     \
    BAD(key_twice, "key k: found twice", gguf_put_head(b, 3, 0, 3); key_u32(b, "k", 1);            \
        key_u32(b, "j", 1); key_u32(b, "k", 2);)                                                   \
    BAD_PAIR(align_type, "expected u32", gguf_put_key(p, "general.alignment", GGUF_U64);           \
             gguf_put_u64(p, 32);)                                                                 \
    BAD_PAIR(align_text, "found string", gguf_put_key(p, "general.alignment", GGUF_STRING);        \
             gguf_put_text(p, "32", 2);)                                                           \
    BAD_PAIR(align_array, "array of u32", gguf_put_array(p, "general.alignment", GGUF_U32, 1);     \
             gguf_put_u32(p, 32);)                                                                 \
    BAD_PAIR(align_0, "found 0", key_u32(p, "general.alignment", 0);)                              \
    BAD_PAIR(align_1, "found 1", key_u32(p, "general.alignment", 1);)                              \
    BAD_PAIR(align_24, "power of two", key_u32(p, "general.alignment", 24);)                       \
    BAD_PAIR(align_128k, "found 131072", key_u32(p, "general.alignment", 131072);)                 \
    BAD_PAIR(align_2_31, "2147483648", key_u32(p, "general.alignment", 0x80000000);)               \
    BAD_PAIR(split, "of a split model", key_u32(p, "split.count", 3);)                             \
    BAD_PAIR(split_type, "split.count", gguf_put_key(p, "split.count", GGUF_STRING);               \
             gguf_put_text(p, "3", 1);)                                                            \
    BAD(name_empty, "empty name", gguf_put_head(b, 3, 1, 0);                                       \
        gguf_put_tensor(b, "", 1, one_row, 0, 0); data(b, 64);)                                    \
    BAD(name_long, "string of 128 bytes", gguf_put_head(b, 3, 1, 0); gguf_put_u64(b, 128);         \
        for (int i = 0; i < 128; i++) buf_addc(b, 'n'); data(b, 64);)                              \
    BAD(name_newline, "control character 0x0a", gguf_put_head(b, 3, 1, 0);                         \
        gguf_put_tensor(b, "a\nb", 1, one_row, 0, 0); data(b, 64);)                                \
    BAD(name_nul, "control character 0x00", gguf_put_head(b, 3, 1, 0);                             \
        gguf_put_text(b, "a\0b", 3); data(b, 64);)                                                 \
    BAD(name_utf8, "UTF-8", gguf_put_head(b, 3, 1, 0);                                             \
        gguf_put_tensor(b, "a\xc0\xaf", 1, one_row, 0, 0); data(b, 64);)                           \
    BAD(name_twice, "tensor t: found twice", gguf_put_head(b, 3, 2, 0);                            \
        gguf_put_tensor(b, "t", 1, one_row, 0, 0); gguf_put_tensor(b, "t", 1, one_row, 0, 32);     \
        pad_to(b, 32); data(b, 64);)                                                               \
    BAD(dims_0, "0 dimensions", file_of_tensor(b, 0, NULL, QUANT_F32, 0);)                         \
    BAD(dims_5, "5 dimensions", file_of_tensor(b, 5, NE(1, 1, 1, 1, 1), QUANT_F32, 0);)            \
    BAD(dims_max, "4294967295 dimensions", gguf_put_head(b, 3, 1, 0); gguf_put_text(b, "t", 1);    \
        gguf_put_u32(b, UINT32_MAX); data(b, 64);)                                                 \
    BAD(dim_0, "dimension 1 is 0", file_of_tensor(b, 2, NE(8, 0), QUANT_F32, 0);)                  \
    BAD(dim_0_first, "dimension 0 is 0", file_of_tensor(b, 1, NE(0), QUANT_F32, 0);)               \
    BAD(dim_negative, "64-bit", file_of_tensor(b, 1, NE(UINT64_MAX), QUANT_F32, 0);)               \
    BAD(dims_wrap, "64-bit", file_of_tensor(b, 2, NE(1ull << 33, 1ull << 31), QUANT_F32, 0);)      \
    BAD(dims_wrap_to_1, "64-bit",                                                                  \
        file_of_tensor(b, 3, NE(1ull << 32, 1ull << 32, 1), QUANT_F32, 0);)                        \
    BAD(bytes_wrap, "64-bit", file_of_tensor(b, 1, NE(1ull << 62), QUANT_F32, 0);)                 \
    BAD(block_q8, "multiple of 32", file_of_tensor(b, 1, NE(33), QUANT_Q8_0, 0);)                  \
    BAD(block_tq1, "multiple of 256", file_of_tensor(b, 2, NE(8640, 2), QUANT_TQ1_0, 0);)          \
    BAD(block_tq2, "block of TQ2_0", file_of_tensor(b, 2, NE(128, 2), QUANT_TQ2_0, 0);)            \
    BAD(block_i2s, "multiple of 128", file_of_tensor(b, 2, NE(100, 1), QUANT_I2_S, 0);)            \
    BAD(type_cut, "file ends", gguf_put_head(b, 3, 1, 0);                                          \
        gguf_put_tensor(b, "a.longer.name", 1, one_row, 0, 0); b->len -= 9;)                       \
    BAD(beyond, "beyond the file", file_of_tensor(b, 1, NE(17), QUANT_F32, 0);)                    \
    BAD(beyond_i2s, "64 bytes at offset 32", file_of_tensor(b, 1, NE(128), QUANT_I2_S, 32);)       \
    BAD(beyond_exabyte, "beyond the file",                                                         \
        file_of_tensor(b, 2, NE(1ull << 30, 1ull << 29), QUANT_F32, 0);)                           \
    BAD(offset_odd, "alignment 32", file_of_tensor(b, 1, NE(8), QUANT_F32, 8);)                    \
    BAD(offset_beyond, "beyond the file", file_of_tensor(b, 1, NE(8), QUANT_F32, 4096);)           \
    BAD(offset_wraps, "beyond the file", file_of_tensor(b, 1, NE(8), QUANT_F32, -32ull);)          \
    BAD(offset_wraps_start, "beyond the file", file_of_tensor(b, 1, NE(8), QUANT_F32, -64ull);)    \
    BAD(offset_unknown_type, "beyond the file", file_of_tensor(b, 1, NE(8), 77, 128);)             \
    BAD(overlap, "inside tensor t", gguf_put_head(b, 3, 2, 0);                                     \
        gguf_put_tensor(b, "u", 1, one_row, 0, 32); gguf_put_tensor(b, "t", 1, NE(16), 0, 0);      \
        pad_to(b, 32); data(b, 64);)                                                               \
    BAD(overlap_same, "inside tensor", gguf_put_head(b, 3, 2, 0);                                  \
        gguf_put_tensor(b, "u", 1, one_row, 0, 0); gguf_put_tensor(b, "t", 1, one_row, 0, 0);      \
        pad_to(b, 32); data(b, 64);)                                                               \
    BAD(overlap_unknown, "inside tensor t", gguf_put_head(b, 3, 2, 0);                             \
        gguf_put_tensor(b, "u", 1, one_row, 77, 0); gguf_put_tensor(b, "t", 1, one_row, 0, 0);     \
        pad_to(b, 32); data(b, 64);)                                                               \
    BAD(overlap_third, "inside tensor t", gguf_put_head(b, 3, 3, 0);                               \
        gguf_put_tensor(b, "t", 1, NE(32), 0, 0); gguf_put_tensor(b, "x", 1, one_row, 77, 160);    \
        gguf_put_tensor(b, "u", 1, one_row, 0, 96); pad_to(b, 32); data(b, 160);)                  \
    BAD(no_data, "beyond the file", file_of_tensor(b, 1, NE(8), QUANT_F32, 0); b->len -= 64;)      \
    BAD(no_padding, "beyond the file", gguf_put_head(b, 3, 1, 0);                                  \
        gguf_put_tensor(b, "t", 1, one_row, 0, 0);)
// clang-format on

BAD_FILES(BAD, BAD_PAIR)

static const struct bad_file bad_files[] = {
#define ROW(id, words, ...) {#id, words, bad_##id},
    BAD_FILES(ROW, ROW)
#undef ROW
};

START_TEST(bad_file_is_refused)
{
    const struct bad_file *f = &bad_files[_i];
    struct buf b = {0};
    struct gguf *g = NULL;
    struct trit_error err;
    f->write(&b);
    put_file(&b);
    int rc = open_it(&g, &err);
    ck_assert_msg(rc == -TRIT_EFORMAT || rc == -TRIT_EUNSUPP, "%s: accepted", f->name);
    ck_assert_msg(strstr(err.text, f->says), "%s: \"%s\" lacks \"%s\"", f->name, err.text, f->says);
    buf_free(&b);
}
END_TEST

/* --- cuts, flips, lack of memory ---------------------------------------------------------------
 */

START_TEST(every_cut_is_refused)
{
    struct buf b = {0};
    struct trit_error err;
    valid_file(&b, 3);
    /* The last 32 bytes are of a type whose length nobody knows, so they may be missing. */
    for (size_t len = b.len - 32; len-- > 0;) {
        struct gguf *g = NULL;
        struct buf cut = {.data = b.data, .len = len};
        put_file(&cut);
        ck_assert_msg(open_it(&g, &err) == -TRIT_EFORMAT, "cut at %zu", len);
    }
    buf_free(&b);
}
END_TEST

START_TEST(lack_of_memory)
{
    char dir[] = "/tmp/check-gguf-XXXXXX", name[100];
    struct gguf *g = NULL;
    struct trit_error err;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(name, sizeof name, "%s/file.gguf", dir);
    larger_file(name);
    int open_before = open("/dev/null", O_RDONLY);
    close(open_before);
    unsigned n = 1;
    for (int rc = -1; rc != 0; n++) {
        memset(&err, 0, sizeof err);
        mem_fail_at(n);
        rc = gguf_open(name, &g, &err);
        if (rc == 0) {
            ck_assert_msg(mem_fail_pending(), "allocation %u failed and nobody noticed", n);
            mem_fail_at(0);
            gguf_close(&g);
            break;
        }
        ck_assert_int_eq(rc, -TRIT_ENOMEM);
        ck_assert_ptr_nonnull(strstr(err.text, "out of memory"));
        ck_assert_ptr_null(g);
    }
    ck_assert_uint_gt(n, 50); /* The loop saw every allocation, not just the first. */
    int open_after = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(open_after, open_before); /* No descriptor is left open. */
    close(open_after);
    unlink(name);
    rmdir(dir);
}
END_TEST

/* Flip random bits: any verdict will do, but what opens must be readable to its last byte. */
START_TEST(flipped_bits)
{
    struct buf b = {0};
    struct trit_error err;
    unsigned opened = 0, refused = 0;
    valid_file(&b, 3);
    for (int round = 0; round < 4000; round++) {
        struct gguf *g = NULL;
        size_t at[3];
        char was[3], text[64], bytes[64];
        int flips = 1 + (int)(rnd() % 3);
        for (int i = 0; i < flips; i++) {
            at[i] = rnd() % (b.len - 224);
            was[i] = b.data[at[i]];
            b.data[at[i]] = (char)(was[i] ^ 1 << rnd() % 8);
        }
        put_file(&b);
        if (open_it(&g, &err) == 0) {
            opened++;
            for (size_t i = 0; i < gguf_n_keys(g); i++)
                gguf_print_value(g, i, text, sizeof text);
            for (size_t i = 0; i < gguf_n_tensors(g); i++) {
                const struct gguf_tensor *t = gguf_tensor_at(g, i);
                size_t len = MIN(t->bytes, sizeof bytes);
                ck_assert_int_eq(gguf_read(g, t, t->bytes - len, bytes, len, &err), 0);
            }
            gguf_close(&g);
        } else {
            refused++;
        }
        for (int i = flips - 1; i >= 0; i--)
            b.data[at[i]] = was[i];
    }
    ck_assert_uint_gt(opened, 100);
    ck_assert_uint_gt(refused, 1000);
    buf_free(&b);
}
END_TEST

/* --- a made model --------------------------------------------------------------------------- */

START_TEST(oracle_model_and_its_cuts)
{
    char name[1100];
    struct gguf *g = NULL;
    struct trit_error err = {0};
    snprintf(name, sizeof name, "%s/oracle/models/b158.tq2_0.gguf", unit_shared());
    int rc = gguf_open(name, &g, &err);
    if (rc == -TRIT_ENOENT) {
        printf("skipped: no %s (set TRIT_SHARED)\n", name);
        return;
    }
    ck_assert_msg(rc == 0, "%s", err.text);
    struct gguf_str arch;
    struct gguf_strs tokens;
    ck_assert_int_eq(gguf_string(g, "general.architecture", &arch, &err), 0);
    ck_assert(arch.len == 12 && memcmp(arch.data, "bitnet-b1.58", 12) == 0);
    ck_assert_int_eq(gguf_strings(g, "tokenizer.ggml.tokens", &tokens, &err), 0);
    ck_assert_uint_eq(tokens.n, 512);
    ck_assert_uint_eq(gguf_n_tensors(g), 2 + 4 * 11);
    /* The bytes of the file, from the last tensor's end backwards. */
    uint64_t end = 0, size = gguf_file_bytes(g), tail = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->offset + t->bytes > end) {
            end = t->offset + t->bytes;
            tail = (32 - t->bytes % 32) % 32;
        }
    }
    struct buf b = {0};
    ck_assert(buf_reserve(&b, size));
    ck_assert_int_eq(pread(gguf_fd(g), b.data, size, 0), (ssize_t)size);
    b.len = size;
    size_t head = size - (end + tail);
    gguf_close(&g);
    put_file(&b);
    for (size_t len = size - tail; len-- > 0;) {
        /* Data is cut at some thousand places, the head at every one. */
        if (len > head)
            len -= MIN(len - head, rnd() % 1000);
        ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
        ck_assert_msg(open_it(&g, &err) == -TRIT_EFORMAT, "cut at %zu", len);
    }
    buf_free(&b);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, bad_file_is_refused, 0, ARRAY_LEN(bad_files));
    tcase_add_test(c, every_cut_is_refused);
    tcase_add_test(c, lack_of_memory);
    tcase_add_test(c, flipped_bits);
    tcase_add_test(c, oracle_model_and_its_cuts);
}

int main(void)
{
    return run_gguf_tests("gguf_bad", add);
}
