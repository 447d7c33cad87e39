/* SPDX-License-Identifier: MIT */
/*
 * check_gguf.c - a valid file opens and says what it holds; what is unusual but right is accepted.
 */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "gguf-files.h"

START_TEST(valid_file_opens)
{
    uint32_t version = _i ? 3 : 2;
    struct buf b = {0};
    struct gguf *g = NULL;
    struct trit_error err;
    valid_file(&b, version);
    put_file(&b);
    ck_assert_msg(open_it(&g, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(gguf_version(g), version);
    ck_assert_uint_eq(gguf_file_bytes(g), b.len);
    ck_assert_str_eq(gguf_path(g), path);
    ck_assert_uint_eq(gguf_n_keys(g), 17);
    ck_assert_str_eq(gguf_key_at(g, 1), "u32");
    ck_assert_uint_eq(gguf_n_tensors(g), 3);
    const struct gguf_tensor *t = gguf_tensor(g, "a");
    ck_assert_ptr_nonnull(t);
    ck_assert_ptr_eq(t, gguf_tensor_at(g, 0));
    ck_assert_uint_eq(t->bytes, 132);
    ck_assert_uint_eq(t->ne[0], 256);
    ck_assert_uint_eq(t->ne[1], 2);
    ck_assert_uint_eq(t->ne[3], 1);
    ck_assert_str_eq(t->quant->name, "TQ2_0");
    t = gguf_tensor(g, "odd");
    ck_assert(t && !t->quant && t->bytes == 0 && t->type == 4242);
    ck_assert_ptr_null(gguf_tensor(g, "c"));
    unsigned char got[5];
    t = gguf_tensor(g, "b");
    ck_assert_int_eq(gguf_read(g, t, 27, got, 5, &err), 0);
    ck_assert_int_eq(got[0], (160 + 27 + 1) & 255);
    ck_assert_int_eq(got[4], (160 + 31 + 1) & 255);
    /* The file shrinks under our hands: an error, not a signal. */
    ck_assert_int_eq(ftruncate(fd, (off_t)b.len - 64), 0);
    ck_assert_int_eq(gguf_read(g, t, 0, got, 5, &err), -TRIT_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "tensor b"));
    gguf_close(&g);
    ck_assert_ptr_null(g);
    gguf_close(&g);
    buf_free(&b);
}
END_TEST

START_TEST(getters)
{
    struct buf b = {0};
    struct gguf *g = NULL;
    struct trit_error err;
    valid_file(&b, 3);
    put_file(&b);
    ck_assert_int_eq(open_it(&g, &err), 0);
    uint64_t u = 1;
    static const struct {
        const char *key;
        uint64_t value;
    } ints[] = {{"u32", 4000000000u}, {"u8", 200},         {"u16", 0x201},
                {"i16", 16},          {"u64", UINT64_MAX}, {"i64", 1ull << 40}};
    for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
        ck_assert_int_eq(gguf_uint(g, ints[i].key, &u, &err), 0);
        ck_assert_uint_eq(u, ints[i].value);
    }
    ck_assert_int_eq(gguf_uint(g, "i8", &u, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "-3"));
    ck_assert_int_eq(gguf_uint(g, "i32", &u, &err), -TRIT_EFORMAT);
    u = 77;
    ck_assert_int_eq(gguf_uint(g, "absent", &u, &err), -TRIT_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "absent"));
    ck_assert_int_eq(gguf_uint(g, "absent", &u, NULL), -TRIT_ENOENT);
    ck_assert_uint_eq(u, 77);
    /* The wrong type names key, found and expected. */
    ck_assert_int_eq(gguf_uint(g, "ints", &u, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "key ints: found array of i32, expected an integer"));
    ck_assert_int_eq(gguf_uint(g, "f32", &u, &err), -TRIT_EFORMAT);
    ck_assert_int_eq(gguf_uint(g, "bool", &u, &err), -TRIT_EFORMAT);
    ck_assert_int_eq(gguf_uint(g, "general.architecture", &u, &err), -TRIT_EFORMAT);

    double d = 0;
    ck_assert_int_eq(gguf_float(g, "f32", &d, &err), 0);
    ck_assert(d == 1.5);
    ck_assert_int_eq(gguf_float(g, "f64", &d, &err), 0);
    ck_assert(d == -2.5);
    ck_assert_int_eq(gguf_float(g, "nan", &d, &err), -TRIT_EFORMAT);
    ck_assert_int_eq(gguf_float(g, "u32", &d, &err), -TRIT_EFORMAT);
    ck_assert_int_eq(gguf_float(g, "floats", &d, &err), -TRIT_EFORMAT);

    bool yes = false;
    ck_assert_int_eq(gguf_bool(g, "bool", &yes, &err), 0);
    ck_assert(yes);
    ck_assert_int_eq(gguf_bool(g, "u8", &yes, &err), -TRIT_EFORMAT);

    struct gguf_str s;
    ck_assert_int_eq(gguf_string(g, "general.architecture", &s, &err), 0);
    ck_assert(s.len == 5 && memcmp(s.data, "llama", 5) == 0);
    ck_assert_int_eq(gguf_string(g, "not.utf8", &s, &err), -TRIT_EFORMAT);
    ck_assert_int_eq(gguf_string(g, "strings", &s, &err), -TRIT_EFORMAT);

    size_t n = 0;
    struct gguf_strs strs;
    ck_assert_int_eq(gguf_strings(g, "strings", &strs, &err), 0);
    ck_assert_uint_eq(strs.n, 3);
    ck_assert_uint_eq(gguf_str_at(&strs, 0).len, 0);
    s = gguf_str_at(&strs, 1);
    ck_assert(s.len == 5 && memcmp(s.data, "zwei\n", 5) == 0);
    s = gguf_str_at(&strs, 2);
    ck_assert(s.len == 3 && memcmp(s.data, "d\0t", 3) == 0);
    ck_assert_int_eq(gguf_strings(g, "ints", &strs, &err), -TRIT_EFORMAT);

    const int32_t *v;
    const float *f;
    ck_assert_int_eq(gguf_float(g, "absent", &d, &err), -TRIT_ENOENT);
    ck_assert_int_eq(gguf_bool(g, "absent", &yes, &err), -TRIT_ENOENT);
    ck_assert_int_eq(gguf_string(g, "absent", &s, &err), -TRIT_ENOENT);
    ck_assert_int_eq(gguf_strings(g, "absent", &strs, &err), -TRIT_ENOENT);
    ck_assert_int_eq(gguf_ints(g, "absent", &v, &n, &err), -TRIT_ENOENT);
    ck_assert_int_eq(gguf_floats(g, "absent", &f, &n, &err), -TRIT_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "key absent: missing"));
    ck_assert_int_eq(gguf_ints(g, "ints", &v, &n, &err), 0);
    ck_assert(n == 4 && v[0] == -1 && v[3] == 2);
    ck_assert_int_eq(gguf_ints(g, "floats", &v, &n, &err), -TRIT_EFORMAT);
    ck_assert_int_eq(gguf_floats(g, "floats", &f, &n, &err), 0);
    ck_assert(n == 1 && f[0] == 1.0f);
    ck_assert_int_eq(gguf_floats(g, "f32", &f, &n, &err), -TRIT_EFORMAT);
    gguf_close(&g);
    buf_free(&b);
}
END_TEST

START_TEST(printing)
{
    struct buf b = {0};
    struct gguf *g = NULL;
    struct trit_error err;
    char text[100];
    static const struct {
        const char *key, *text;
    } expected[] = {
        {"u8", "200"},
        {"i8", "-3"},
        {"u64", "18446744073709551615"},
        {"f32", "1.5"},
        {"bool", "true"},
        {"not.utf8", "\"a\\xff\\x1b[31m\""},
        {"strings", "3 x string [\"\", \"zwei\\n\", \"d\\x00t\"]"},
        {"ints", "4 x i32 [-1, 0, 1, 2]"},
    };
    valid_file(&b, 3);
    put_file(&b);
    ck_assert_int_eq(open_it(&g, &err), 0);
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        for (size_t k = 0; k < ARRAY_LEN(expected); k++)
            if (strcmp(gguf_key_at(g, i), expected[k].key) == 0) {
                gguf_print_value(g, i, text, sizeof text);
                ck_assert_str_eq(text, expected[k].text);
                gguf_print_value(g, i, text, 12);
                ck_assert_uint_lt(strlen(text), 12);
            }
    enum gguf_type elem = 0;
    size_t count = 0;
    ck_assert_int_eq(gguf_type_at(g, 1, &elem, &count), GGUF_U32);
    ck_assert_int_eq(gguf_type_at(g, 15, &elem, &count), GGUF_ARRAY);
    ck_assert(elem == GGUF_I32 && count == 4);
    /* The second pair, "u32", as it lies in the file. */
    size_t first = 8 + 20 + 4 + 8 + 5;
    ck_assert_uint_eq(gguf_pair_bytes(g, 0), first);
    ck_assert_uint_eq(gguf_pair_bytes(g, 1), 8 + 3 + 4 + 4);
    ck_assert_int_eq(gguf_read_pair(g, 1, text, &err), 0);
    ck_assert_mem_eq(text, b.data + 24 + first, 8 + 3 + 4 + 4);
    ck_assert_uint_eq(gguf_pair_bytes(g, 16), 8 + 6 + 4 + 4 + 8 + 4);
    gguf_close(&g);
    buf_free(&b);
}
END_TEST

/* Two tensors with the id of Q2_0 of so many rows of 256 values, then a vector; each of the two has
 * `bytes` of data, padded. */
static void file_of_q2(struct buf *b, uint64_t rows, size_t bytes)
{
    size_t padded = round_up(bytes, 32);
    gguf_put_head(b, 3, 3, 0);
    gguf_put_tensor(b, "a", 2, NE(256, rows), QUANT_Q2_0, 0);
    gguf_put_tensor(b, "b", 2, NE(256, rows), QUANT_Q2_0, padded);
    gguf_put_tensor(b, "v", 1, one_row, QUANT_F32, 2 * padded);
    pad_to(b, 32);
    for (size_t i = 0; i < 2 * padded + 32; i++)
        buf_addc(b, '\0');
}

START_TEST(blocks_of_q2_are_told_apart_by_length)
{
    struct trit_error err;
    for (uint64_t rows = 1; rows < 40; rows++)
        for (int kind = 0; kind < 3; kind++) {
            struct buf b = {0};
            struct gguf *g = NULL;
            size_t n = 256 * rows, bytes[] = {n / 64 * 18, n / 128 * 34, n / 64 * 18 + 64};
            bool alike = round_up(bytes[0], 32) == round_up(bytes[1], 32);
            file_of_q2(&b, rows, bytes[kind]);
            put_file(&b);
            int rc = open_it(&g, &err);
            if (kind == 2 || alike) {
                ck_assert_int_eq(rc, -TRIT_EFORMAT);
                ck_assert_ptr_nonnull(strstr(err.text, kind == 2 ? "neither" : "both"));
                ck_assert_msg(strstr(err.text, "tensor a: ") != NULL, "%s", err.text);
            } else {
                ck_assert_msg(rc == 0, "%s", err.text);
                const struct gguf_tensor *t = gguf_tensor(g, "b");
                ck_assert_str_eq(t->quant->name, kind ? "PQ2_0" : "Q2_0");
                ck_assert_uint_eq(t->bytes, bytes[kind]);
            }
            gguf_close(&g);
            buf_free(&b);
        }
}
END_TEST

/* What is unusual but right stays accepted: the neighbours of the cases above. */
START_TEST(odd_files_are_accepted)
{
    struct buf b[6] = {{0}};
    struct trit_error err;
    gguf_put_head(&b[0], 3, 0, 0);                          /* nothing at all */
    file_of_tensor(&b[1], 4, NE(2, 2, 2, 2), QUANT_F32, 0); /* all that is there */
    file_of_tensor(&b[2], 1, NE(8), QUANT_F32, 32);         /* a gap in front */
    file_of_tensor(&b[3], 2, NE(4, 32), QUANT_I2_S, 0);     /* rows of less than a block */
    gguf_put_head(&b[4], 2, 1, 1);
    key_u32(&b[4], "general.alignment", 65536);
    gguf_put_tensor(&b[4], "t", 1, one_row, 0, 0);
    pad_to(&b[4], 65536);
    data(&b[4], 32);
    gguf_put_head(&b[5], 3, 0, 2);
    key_u32(&b[5], "split.count", 1);
    gguf_put_array(&b[5], "none", GGUF_STRING, 0);
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        struct gguf *g = NULL;
        put_file(&b[i]);
        ck_assert_msg(open_it(&g, &err) == 0, "%zu: %s", i, err.text);
        gguf_close(&g);
        buf_free(&b[i]);
    }
}
END_TEST

START_TEST(ints_of_u32_beyond_int32)
{
    struct buf b = {0}, pair = {0};
    struct gguf *g = NULL;
    struct trit_error err;
    const int32_t *v;
    size_t n;
    gguf_put_array(&pair, "types", GGUF_U32, 2);
    gguf_put_u32(&pair, 1);
    gguf_put_u32(&pair, 0x80000000);
    file_of_pair(&b, &pair);
    put_file(&b);
    ck_assert_int_eq(open_it(&g, &err), 0);
    ck_assert_int_eq(gguf_ints(g, "types", &v, &n, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "element 1 is 2147483648"));
    gguf_close(&g);
    buf_free(&b);
    buf_free(&pair);
}
END_TEST

/* Values larger than what is read at a time, and one that begins inside such a piece. */
START_TEST(large_values)
{
    enum { N = 100000 };
    struct buf b = {0}, pair = {0};
    struct gguf *g = NULL;
    struct trit_error err;
    const int32_t *v;
    size_t n = 0;
    gguf_put_array(&pair, "large", GGUF_I32, N);
    for (uint32_t i = 0; i < N; i++)
        gguf_put_u32(&pair, i * 2654435761u);
    gguf_put_head(&b, 3, 0, 3);
    buf_add(&b, pair.data, pair.len);
    gguf_put_key(&b, "text", GGUF_STRING);
    gguf_put_text(&b, pair.data, pair.len);
    gguf_put_array(&b, "texts", GGUF_STRING, N);
    for (uint32_t i = 0; i < N; i++)
        gguf_put_text(&b, pair.data + i, i % 17);
    put_file(&b);
    ck_assert_msg(open_it(&g, &err) == 0, "%s", err.text);
    ck_assert_int_eq(gguf_ints(g, "large", &v, &n, &err), 0);
    ck_assert_uint_eq(n, N);
    for (uint32_t i = 0; i < N; i++)
        ck_assert_uint_eq((uint32_t)v[i], i * 2654435761u);
    struct gguf_strs texts;
    ck_assert_int_eq(gguf_strings(g, "texts", &texts, &err), 0);
    ck_assert_uint_eq(texts.n, N);
    for (uint32_t i = 0; i < N; i++) {
        struct gguf_str s = gguf_str_at(&texts, i);
        ck_assert_uint_eq(s.len, i % 17);
        ck_assert(memcmp(s.data, pair.data + i, s.len) == 0);
    }
    /* The bytes of a pair are those of the file. */
    ck_assert_uint_eq(gguf_pair_bytes(g, 0), pair.len);
    char *copy = mem_zalloc(pair.len, 1);
    ck_assert_int_eq(gguf_read_pair(g, 0, copy, &err), 0);
    ck_assert_mem_eq(copy, pair.data, pair.len);
    ck_assert_int_eq(ftruncate(fd, 100), 0);
    ck_assert_int_eq(gguf_read_pair(g, 0, copy, &err), -TRIT_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "key large: cannot read"));
    mem_free(copy);
    gguf_close(&g);
    buf_free(&b);
    buf_free(&pair);
}
END_TEST

START_TEST(what_is_not_a_file)
{
    struct gguf *g = NULL;
    struct trit_error err = {0};
    ck_assert_int_eq(gguf_open("/nonexistent/model.gguf", &g, &err), -TRIT_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/model.gguf: cannot open"));
    ck_assert_int_eq(gguf_open("/", &g, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "a directory"));
    char fifo[] = "/tmp/check-gguf-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(fifo));
    char name[100];
    snprintf(name, sizeof name, "%s/fifo", fifo);
    ck_assert_int_eq(mkfifo(name, 0600), 0);
    ck_assert_int_eq(gguf_open(name, &g, &err), -TRIT_EFORMAT);
    unlink(name);
    rmdir(fifo);
    ck_assert_ptr_null(g);
}
END_TEST

/* A long path is shortened at its head, so that the reason stays readable. */
START_TEST(long_path)
{
    char name[1000];
    struct gguf *g = NULL;
    struct trit_error err = {0};
    memset(name, 'd', sizeof name);
    for (int i = 0; i < 900; i += 100)
        name[i] = '/';
    strcpy(name + 950, "/model.gguf");
    ck_assert_int_eq(gguf_open(name, &g, &err), -TRIT_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "d/model.gguf: cannot open: "));
}
END_TEST

START_TEST(writer_and_reader_agree)
{
    char dir[] = "/tmp/check-gguf-XXXXXX", name[100], text[32];
    struct gguf *g = NULL;
    struct trit_error err = {0};
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(name, sizeof name, "%s/file.gguf", dir);
    larger_file(name);
    ck_assert_msg(gguf_open(name, &g, &err) == 0, "%s", err.text);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t u = 99;
        unsigned char bytes[64];
        snprintf(text, sizeof text, "key.%u", i * 7919 % 40);
        ck_assert_int_eq(gguf_uint(g, text, &u, &err), 0);
        ck_assert_uint_eq(u, i);
        snprintf(text, sizeof text, "tensor.%u", i * 7919 % 40);
        const struct gguf_tensor *t = gguf_tensor(g, text);
        ck_assert_ptr_nonnull(t);
        ck_assert_int_eq(gguf_read(g, t, 0, bytes, 64, &err), 0);
        ck_assert_int_eq(bytes[0], (int)(4 * i));
        ck_assert_int_eq(bytes[63], (int)(4 * i + 3));
    }
    struct gguf_strs texts;
    ck_assert_int_eq(gguf_strings(g, "texts", &texts, &err), 0);
    ck_assert_uint_eq(gguf_str_at(&texts, 499).len, 9);
    gguf_close(&g);
    unlink(name);
    ck_assert_msg(rmdir(dir) == 0, "the writer left something behind");
}
END_TEST

/* Else they are refused at once, and the fuzzer that begins with them finds nothing. */
START_TEST(seeds_of_views_are_views)
{
    static const char *const names[] = {"model", "folder", "method", "tokenizer",
                                        "blank-in-key"};
    const char *srcdir = getenv("srcdir");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char from[2048];
        snprintf(from, sizeof from, "%s/tests/fuzz/corpus/view/%s", srcdir ? srcdir : ".",
                 names[i]);
        FILE *f = fopen(from, "re");
        ck_assert_msg(f != NULL, "%s", from);
        ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
        size_t len = (size_t)ftell(f) - 1, n = 1;
        rewind(f);
        n += fgetc(f) & 1;
        void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(at, MAP_FAILED);
        ck_assert_uint_eq(fread(at, 1, len, f), len);
        fclose(f);
        struct gguf_view_file files[2];
        for (size_t k = 0; k < n; k++)
            files[k] = (struct gguf_view_file){
                mem_strdup("x"), open("/dev/null", O_RDONLY | O_CLOEXEC), 1 << 21};
        struct gguf *g = NULL;
        struct trit_error err;
        bool good = strcmp(names[i], "blank-in-key") != 0;
        int rc = gguf_view_read(at, len, "x", files, n, &g, &err);
        ck_assert_msg(rc == (good ? 0 : -TRIT_EFORMAT), "%s: %d %s", names[i], rc, err.text);
        gguf_close(&g);
        for (size_t k = 0; k < n && rc; k++) {
            mem_free(files[k].path);
            close(files[k].fd);
        }
        if (rc)
            munmap(at, len);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, valid_file_opens, 0, 2);
    tcase_add_test(c, getters);
    tcase_add_test(c, printing);
    tcase_add_test(c, blocks_of_q2_are_told_apart_by_length);
    tcase_add_test(c, odd_files_are_accepted);
    tcase_add_test(c, ints_of_u32_beyond_int32);
    tcase_add_test(c, large_values);
    tcase_add_test(c, what_is_not_a_file);
    tcase_add_test(c, long_path);
    tcase_add_test(c, writer_and_reader_agree);
    tcase_add_test(c, seeds_of_views_are_views);
}

int main(void)
{
    return run_gguf_tests("gguf", add);
}
