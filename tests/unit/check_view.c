/* SPDX-License-Identifier: MIT */
/*
 * check_view.c - a view of a model as bytes: it comes back as it was, and a reader of models that
 * lies about any field of it is not believed.
 */
#include "config.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "model/quant.h"
#include "unit/unit.h"

enum { FILE_BYTES = 4096 };

/* As in gguf-view.c, whose bytes these are. */
struct head {
    char magic[8];
    uint32_t version, n_files, n_pairs, n_tensors;
};
struct pair {
    uint64_t key_at, key_len, bytes_at, bytes_len, ends_at, ends_len, count, scalar;
    uint32_t type, array;
};
struct tensor {
    uint64_t name_at, name_len, origin_at, origin_len, ne[4], offset, bytes, start;
    uint32_t n_dims, type, quant, file;
};

/* By key: "bool", "ints", "number", "text", "texts". */
enum { BOOL, INTS, NUMBER, TEXT, TEXTS, PAIRS, TENSORS = 2 };

static size_t pair_at(unsigned i)
{
    return sizeof(struct head) + i * sizeof(struct pair);
}

static size_t tensor_at(unsigned i)
{
    return pair_at(PAIRS) + i * sizeof(struct tensor);
}

/* Two tensors: a matrix of F32, and one of a type that nobody knows. */
static uint8_t *make(size_t *len)
{
    struct gguf *g;
    struct trit_error err;
    static const uint32_t last[] = {2, 2, 5};
    uint32_t *ends = mem_zalloc(3, sizeof *ends);
    ck_assert_int_eq(gguf_make("made", &g, &err), 0);
    gguf_make_bool(g, "bool", true);
    gguf_make_ints(g, "ints", (int32_t[]){5, -6, 7}, 3);
    gguf_make_uint(g, "number", 42);
    gguf_make_string(g, "text", "words", 5);
    memcpy(ends, last, sizeof last);
    gguf_make_strings(g, "texts", mem_strdup("abcde"), ends, 3);
    struct gguf_tensor t = {.name = "t",
                            .quant = quant_find(QUANT_F32),
                            .type = QUANT_F32,
                            .n_dims = 2,
                            .ne = {4, 2, 1, 1},
                            .offset = 64,
                            .bytes = 32};
    struct gguf_tensor u = {.name = "u", .type = 999, .n_dims = 1, .ne = {3, 1, 1, 1}};
    gguf_make_tensor(g, &t, "origin.of.t", -1, 128);
    gguf_make_tensor(g, &u, "u", -1, 256);
    ck_assert_int_eq(gguf_make_done(g, &err), 0);
    *len = gguf_view_bytes(g);
    uint8_t *at = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(at != MAP_FAILED);
    gguf_view_write(g, at);
    gguf_close(&g);
    return at;
}

/* The view is closed again; a refusal has taken nothing. */
static int read_back(uint8_t *at, size_t len, struct gguf **g, struct trit_error *err)
{
    struct gguf_view_file file = {mem_strdup("file"), open("/dev/null", O_RDONLY | O_CLOEXEC),
                                  FILE_BYTES};
    memset(err, 0, sizeof *err);
    *g = NULL;
    int rc = gguf_view_read(at, len, "made", &file, 1, g, err);
    if (rc) {
        ck_assert_ptr_null(*g);
        mem_free(file.path);
        ck_assert_int_eq(close(file.fd), 0);
    }
    return rc;
}

START_TEST(it_comes_back)
{
    struct gguf *g;
    struct trit_error err;
    struct gguf_str s;
    struct gguf_strs strs;
    const int32_t *ints;
    uint64_t u;
    size_t len, n;
    bool yes;
    uint8_t *at = make(&len);
    ck_assert_msg(read_back(at, len, &g, &err) == 0, "%s", err.text);
    ck_assert_int_eq(gguf_bool(g, "bool", &yes, &err), 0);
    ck_assert(yes);
    ck_assert_int_eq(gguf_ints(g, "ints", &ints, &n, &err), 0);
    ck_assert(n == 3 && ints[0] == 5 && ints[1] == -6 && ints[2] == 7);
    ck_assert_int_eq(gguf_uint(g, "number", &u, &err), 0);
    ck_assert_uint_eq(u, 42);
    ck_assert_int_eq(gguf_string(g, "text", &s, &err), 0);
    ck_assert(s.len == 5 && memcmp(s.data, "words", 5) == 0);
    ck_assert_int_eq(gguf_strings(g, "texts", &strs, &err), 0);
    ck_assert_uint_eq(strs.n, 3);
    ck_assert_uint_eq(gguf_str_at(&strs, 1).len, 0);
    ck_assert_mem_eq(gguf_str_at(&strs, 2).data, "cde", 3);
    const struct gguf_tensor *t = gguf_tensor(g, "t");
    ck_assert_str_eq(t->origin, "origin.of.t");
    ck_assert(t->ne[0] == 4 && t->ne[1] == 2 && t->n_dims == 2 && t->bytes == 32);
    ck_assert_ptr_null(gguf_tensor(g, "u")->quant);
    ck_assert_uint_eq(gguf_tensor(g, "u")->type, 999);
    ck_assert_uint_eq(gguf_file_bytes(g), FILE_BYTES);
    gguf_close(&g);
}
END_TEST

#define P(i, field) sizeof(struct head) + (i) * sizeof(struct pair) + offsetof(struct pair, field)
#define T(i, field)                                                                                \
    sizeof(struct head) + PAIRS * sizeof(struct pair) + (i) * sizeof(struct tensor) +              \
        offsetof(struct tensor, field)
#define H(field) offsetof(struct head, field)
#define HEAD     "made: what was read of it has no valid head"
#define NO(what) "made: what was read of it is not valid at " what
#define BIG      (UINT64_C(1) << 62)

/* So many bytes of the view say something else: `add` more than they did, or `set`. */
static const struct {
    size_t at;
    unsigned bytes;
    bool add;
    uint64_t value;
    const char *says;
} lies[] = {
    {H(magic), 4, true, 1, HEAD},
    {H(n_files), 4, false, 0, HEAD},
    {H(n_files), 4, false, 2, HEAD},
    {H(n_pairs), 4, false, 65537, HEAD},
    {H(n_tensors), 4, false, 65537, HEAD},
    {H(n_pairs), 4, false, 65536, HEAD},
    {P(BOOL, key_at), 8, true, 4, NO("pair 0")},
    {P(BOOL, key_at), 8, false, BIG, NO("pair 0")},
    {P(BOOL, key_at), 8, false, UINT64_MAX - 7, NO("pair 0")},
    {P(BOOL, key_len), 8, false, 0, NO("pair 0")},
    {P(BOOL, key_len), 8, false, 65536, NO("pair 0")},
    {P(BOOL, key_len), 8, false, UINT64_MAX, NO("pair 0")},
    {P(BOOL, key_len), 8, true, (uint64_t)-1, NO("pair 0")}, /* no NUL behind it */
    {P(BOOL, key_len), 8, true, 1, NO("pair 0")},            /* a NUL in it */
    {P(BOOL, type), 4, false, GGUF_F64 + 1, NO("pair 0")},
    {P(BOOL, type), 4, false, GGUF_ARRAY, NO("pair 0")},
    {P(BOOL, array), 4, false, 2, NO("pair 0")},
    {P(BOOL, scalar), 8, false, 2, NO("pair 0")},
    {P(INTS, bytes_at), 8, false, BIG, NO("pair 1")},
    {P(INTS, bytes_len), 8, true, (uint64_t)-8, NO("pair 1")},
    {P(INTS, count), 8, true, 1, NO("pair 1")},
    {P(INTS, count), 8, false, (16 << 20) + 1, NO("pair 1")},
    {P(INTS, type), 4, false, GGUF_U64, NO("pair 1")},
    {P(INTS, type), 4, false, GGUF_BOOL, NO("pair 1")}, /* 5 is none */
    {P(INTS, type), 4, false, GGUF_STRING, NO("pair 1")},
    {P(TEXT, bytes_at), 8, true, 1, NO("pair 3")},
    {P(TEXT, count), 8, true, 1, NO("pair 3")},
    {P(TEXT, bytes_len), 8, false, BIG, NO("pair 3")},
    {P(TEXTS, ends_at), 8, false, BIG, NO("pair 4")},
    {P(TEXTS, ends_len), 8, false, 8, NO("pair 4")},
    {P(TEXTS, count), 8, false, 2, NO("pair 4")},
    {P(TEXTS, bytes_len), 8, false, 0, NO("pair 4")},
    {T(0, name_at), 8, false, BIG, NO("tensor 0")},
    {T(0, name_len), 8, false, 0, NO("tensor 0")},
    {T(0, name_len), 8, false, 128, NO("tensor 0")},
    {T(0, origin_at), 8, false, BIG, NO("tensor 0")},
    {T(0, origin_len), 8, false, 0, NO("tensor 0")},
    {T(0, ne), 8, false, 0, NO("tensor 0")},
    {T(0, ne), 8, false, 5, NO("tensor 0")},
    {T(0, ne[1]), 8, false, BIG, NO("tensor 0")},
    {T(0, ne[1]), 8, false, UINT64_MAX, NO("tensor 0")},
    {T(0, ne[2]), 8, false, 2, NO("tensor 0")}, /* it has two dimensions */
    {T(0, bytes), 8, true, 1, NO("tensor 0")},
    {T(0, start), 8, false, FILE_BYTES - 31, NO("tensor 0")},
    {T(0, start), 8, false, UINT64_MAX, NO("tensor 0")},
    {T(0, n_dims), 4, false, 0, NO("tensor 0")},
    {T(0, n_dims), 4, false, 5, NO("tensor 0")},
    {T(0, n_dims), 4, false, 1, NO("tensor 0")},
    {T(0, quant), 4, false, 998, NO("tensor 0")},
    {T(0, quant), 4, false, QUANT_TQ2_0, NO("tensor 0")}, /* rows of 4 */
    {T(0, quant), 4, false, UINT32_MAX, NO("tensor 0")},
    {T(0, file), 4, false, 1, NO("tensor 0")},
    {T(1, bytes), 8, false, 1, NO("tensor 1")},
};

START_TEST(no_lie_is_believed)
{
    struct gguf *g;
    struct trit_error err;
    uint64_t value = 0;
    size_t len;
    uint8_t *at = make(&len);
    memcpy(&value, at + lies[_i].at, lies[_i].bytes);
    value = lies[_i].value + (lies[_i].add ? value : 0);
    memcpy(at + lies[_i].at, &value, lies[_i].bytes);
    ck_assert_int_eq(read_back(at, len, &g, &err), -TRIT_EFORMAT);
    ck_assert_str_eq(err.text, lies[_i].says);
    ck_assert_int_eq(munmap(at, len), 0);
}
END_TEST

/* What the fields point to. */
START_TEST(no_lie_behind_the_fields)
{
    static const struct {
        size_t field; /* holds the place */
        size_t more;
        char byte;
        const char *says;
    } cases[] = {
        {P(BOOL, key_at), 1, ' ', NO("pair 0")},    {P(BOOL, key_at), 1, '\n', NO("pair 0")},
        {P(BOOL, key_at), 0, '\x7f', NO("pair 0")}, {P(BOOL, key_at), 0, '\xc3', NO("pair 0")},
        {P(BOOL, key_at), 4, 'x', NO("pair 0")}, /* in place of the NUL */
        {P(TEXTS, ends_at), 0, 3, NO("pair 4")},    {P(TEXTS, ends_at), 8, 9, NO("pair 4")},
        {T(0, name_at), 0, '\n', NO("tensor 0")},   {T(0, origin_at), 3, '\xff', NO("tensor 0")},
    };
    struct gguf *g;
    struct trit_error err;
    uint64_t place;
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t *at = make(&len);
        memcpy(&place, at + cases[i].field, sizeof place);
        at[place + cases[i].more] = (uint8_t)cases[i].byte;
        ck_assert_msg(read_back(at, len, &g, &err) == -TRIT_EFORMAT, "case %zu", i);
        ck_assert_str_eq(err.text, cases[i].says);
        ck_assert_int_eq(munmap(at, len), 0);
    }
}
END_TEST

START_TEST(the_same_name_twice)
{
    struct gguf *g;
    struct trit_error err;
    size_t len;
    uint8_t *at = make(&len);
    memcpy(at + pair_at(TEXT), at + pair_at(NUMBER), 2 * sizeof(uint64_t));
    ck_assert_int_eq(read_back(at, len, &g, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "number: found twice"));
    ck_assert_int_eq(munmap(at, len), 0);
    at = make(&len);
    memcpy(at + tensor_at(1), at + tensor_at(0), 2 * sizeof(uint64_t));
    ck_assert_int_eq(read_back(at, len, &g, &err), -TRIT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "tensor t: found twice"));
    ck_assert_int_eq(munmap(at, len), 0);
}
END_TEST

START_TEST(cut_anywhere)
{
    struct gguf *g;
    struct trit_error err;
    size_t len;
    uint8_t *at = make(&len);
    for (size_t n = 0; n < len - 8; n++)
        ck_assert_msg(read_back(at, n, &g, &err) == -TRIT_EFORMAT, "%zu", n);
    ck_assert_int_eq(munmap(at, len), 0);
}
END_TEST

START_TEST(no_memory)
{
    struct gguf *g;
    struct trit_error err;
    size_t len;
    unsigned n = 1;
    uint8_t *at = make(&len);
    for (;; n++) {
        struct gguf_view_file file = {mem_strdup("file"), open("/dev/null", O_RDONLY | O_CLOEXEC),
                                      FILE_BYTES};
        mem_fail_at(n);
        int rc = gguf_view_read(at, len, "made", &file, 1, &g, &err);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        if (!struck) {
            ck_assert_int_eq(rc, 0);
            gguf_close(&g);
            break;
        }
        ck_assert_int_eq(rc, -TRIT_ENOMEM);
        ck_assert_ptr_nonnull(strstr(err.text, "out of memory"));
        mem_free(file.path);
        close(file.fd);
    }
    ck_assert_uint_gt(n, 5);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("view");
    TCase *c = tcase_create("view");
    tcase_add_test(c, it_comes_back);
    tcase_add_loop_test(c, no_lie_is_believed, 0, ARRAY_LEN(lies));
    tcase_add_test(c, no_lie_behind_the_fields);
    tcase_add_test(c, the_same_name_twice);
    tcase_add_test(c, cut_anywhere);
    tcase_add_test(c, no_memory);
    suite_add_tcase(s, c);
    return unit_run(s);
}
