/* SPDX-License-Identifier: MIT */
/*
 * check_safetensors.c - the container of tensors: good files, and bad ones that say what is wrong.
 */
#include "config.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/safetensors.h"
#include "unit/unit.h"

static int fd;
static struct trit_error err;
static struct safetensors_entry *list;
static size_t n;

static void setup(void)
{
    fd = memfd_create("check-safetensors", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
}

static void teardown(void)
{
    mem_free(list);
    list = NULL; /* Without a process for each test the next one finds it. */
    close(fd);
}

/* A file of this directory and so many bytes of data. */
static size_t put(const char *head, size_t data)
{
    struct buf b = {0};
    uint64_t len = strlen(head);
    buf_add(&b, &len, sizeof len);
    buf_adds(&b, head);
    for (size_t i = 0; i < data; i++)
        buf_addc(&b, (char)i);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(pwrite(fd, b.data, b.len, 0), (ssize_t)b.len);
    size_t bytes = b.len;
    buf_free(&b);
    return bytes;
}

static int read_it(size_t bytes)
{
    memset(&err, 0, sizeof err);
    mem_free(list);
    list = NULL;
    int rc = safetensors_read(fd, "file", bytes, &list, &n, &err);
    ck_assert_int_eq(err.code, -rc);
    if (rc) {
        ck_assert_ptr_null(list);
        ck_assert_msg(strncmp(err.text, "file: ", 6) == 0, "%s", err.text);
    }
    return rc;
}

static const char GOOD[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
    "\"a\":{\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\"},"
    "\"\\u0063\":{\"dtype\":\"U8\",\"shape\":[1,1,2,2],\"data_offsets\":[16,20]}}  ";

START_TEST(good)
{
    size_t bytes = put(GOOD, 20), data = bytes - 20;
    ck_assert_msg(read_it(bytes) == 0, "%s", err.text);
    ck_assert_uint_eq(n, 3);
    /* In order of place. */
    ck_assert_str_eq(list[0].name, "a");
    ck_assert_uint_eq(list[0].n_dims, 0);
    ck_assert_uint_eq(list[0].start, data);
    ck_assert_str_eq(list[1].name, "b");
    ck_assert_str_eq(list[1].dtype, "BF16");
    ck_assert_uint_eq(list[1].n_dims, 2);
    ck_assert_uint_eq(list[1].shape[0], 2);
    ck_assert_uint_eq(list[1].shape[1], 3);
    ck_assert_uint_eq(list[1].start, data + 4);
    ck_assert_uint_eq(list[1].bytes, 12);
    ck_assert_str_eq(list[2].name, "c");
    ck_assert_uint_eq(list[2].n_dims, 4);
}
END_TEST

/* Cut at any byte the file is refused: nothing may be missing, nothing behind the last tensor. */
START_TEST(cut_anywhere)
{
    size_t bytes = put(GOOD, 20);
    for (size_t len = 0; len < bytes; len++)
        ck_assert_msg(read_it(len) == -TRIT_EFORMAT, "taken with %zu of %zu bytes", len, bytes);
    ck_assert_int_eq(ftruncate(fd, (off_t)bytes + 1), 0);
    ck_assert_int_eq(read_it(bytes + 1), -TRIT_EFORMAT);
    /* It shrinks after its size was taken. */
    for (size_t len = 0; len < bytes - 20; len += 7) {
        put(GOOD, 20);
        ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
        ck_assert_int_eq(read_it(bytes), -TRIT_EIO);
    }
}
END_TEST

/* Any byte of the directory may be another: refused, or a directory that still adds up. */
START_TEST(changed_anywhere)
{
    uint64_t state = unit_seed();
    for (int i = 0; i < 20000; i++) {
        size_t bytes = put(GOOD, 20);
        char byte = (char)unit_random(&state);
        off_t at = (off_t)(unit_random(&state) % (bytes - 20));
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        if (read_it(bytes) != 0)
            continue;
        uint64_t end = bytes - 20;
        for (size_t k = 0; k < n; k++) {
            ck_assert_uint_eq(list[k].start, end);
            end += list[k].bytes;
        }
        ck_assert_uint_eq(end, bytes);
    }
}
END_TEST

#define T(name, dtype, shape, range)                                                               \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"
#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    const char *head;
    size_t data;
    const char *says;
} bad[] = {
    {"", 0, "not JSON"},
    {"[]", 0, "found an array, expected an object"},
    {"{}", 0, "no tensors"},
    {"{" T("a", "F32", "[1]", "[0,4]") "} x", 4, "not JSON"},
    {"{" T("a", "F33", "[1]", "[0,4]") "}", 4, "tensor a: dtype \"F33\", expected one of BOOL"},
    {"{" T("a", "F32", "[1]", "[0,5]") "}", 5, "its range has 5 bytes, expected 4"},
    {"{" T("a", "F32", "[2]", "[0,4]") "}", 4, "its range has 4 bytes, expected 8"},
    {"{" T("a", "F32", "[1]", "[0,4]") "}", 3, "ends at byte 4 of the data, which has only 3"},
    {"{" T("a", "F32", "[1]", "[0,4]") "}", 5, "5 bytes of data, expected 4"},
    {"{" T("a", "F32", "[1]", "[1,5]") "}", 5, "begins at byte 1 of the data, expected 0"},
    {"{" T("a", "F32", "[1]", "[4,0]") "}", 4, "not two numbers in order"},
    {"{" T("a", "F32", "[1]", "[0,4,4]") "}", 4, "not two numbers in order"},
    {"{" T("a", "F32", "[1]", "[0,4.0]") "}", 4, "not two numbers in order"},
    {"{" T("a", "F32", "[1]", "[-4,0]") "}", 4, "not two numbers in order"},
    {"{" T("a", "F32", "[0]", "[0,0]") "}", 0, "dimension 0, expected a number of 1 or more"},
    {"{" T("a", "F32", "[-1]", "[0,4]") "}", 4, "dimension -1, expected"},
    {"{" T("a", "F32", "[1,1,1,1,1]", "[0,4]") "}", 4, "more than 4 dimensions"},
    {"{" T("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "more bytes than a 64-bit"},
    {"{" T("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, "dimension 9999"},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[4,8]") "}", 8,
     "tensor a: found twice"},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[0,4]") "}", 4,
     "begins at byte 0 of the data, expected 4"},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[5,9]") "}", 9,
     "tensor b: begins at byte 5 of the data, expected 4"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "its data_offsets are missing"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "its dtype is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "its shape is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, "dtype stands twice"},
    {"{\"a\":{\"more\":1}}", 4, "member \"more\", expected dtype, shape and data_offsets"},
    {"{\"a\":[]}", 4, "tensor a: no object"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ stands twice"},
    {"{" T("", "F32", "[1]", "[0,4]") "}", 4, "a name of 0 bytes, expected 1 to 127"},
    {"{" T(LONG LONG, "F32", "[1]", "[0,4]") "}", 4, "a name of 128 bytes, expected 1 to 127"},
    {"{" T("a\\u001bb", "F32", "[1]", "[0,4]") "}", 4, "control character 0x1b in the name"},
    {"{" T("a\xff", "F32", "[1]", "[0,4]") "}", 4, "expected valid UTF-8"},
};

START_TEST(bad_files)
{
    int rc = read_it(put(bad[_i].head, bad[_i].data));
    ck_assert_msg(rc == -TRIT_EFORMAT, "%s: taken", bad[_i].head);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s: %s", bad[_i].head, err.text);
}
END_TEST

/* Whatever the length says, no more memory is asked for than the file could fill. */
START_TEST(bad_lengths)
{
    static const struct {
        const char bytes[9];
        const char *says;
    } heads[] = {
        {"\xff\xff\xff\xff\xff\xff\xff\xff", "expected at most 16777216"},
        {"\x01\x00\x00\x01\x00\x00\x00\x00", "a directory of 16777217 bytes"},
        {"\x00\x00\x00\x01\x00\x00\x00\x00", "but only 0 are left"},
        {"version ", "git-lfs pointer"},
        {"<!DOCTYP", "web page"},
        {"PK\3\4....", "PyTorch"},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        ck_assert_int_eq(pwrite(fd, heads[i].bytes, 8, 0), 8);
        ck_assert_int_eq(read_it(8), -TRIT_EFORMAT);
        ck_assert_msg(strstr(err.text, heads[i].says) != NULL, "%zu: %s", i, err.text);
    }
}
END_TEST

START_TEST(no_memory)
{
    size_t bytes = put(GOOD, 20);
    for (unsigned at = 1;; at++) {
        mem_fail_at(at);
        int rc = read_it(bytes);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        if (!struck)
            break;
        ck_assert_int_eq(rc, -TRIT_ENOMEM);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors");
    TCase *c = tcase_create("safetensors");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, good);
    tcase_add_test(c, cut_anywhere);
    tcase_add_test(c, changed_anywhere);
    tcase_add_loop_test(c, bad_files, 0, ARRAY_LEN(bad));
    tcase_add_test(c, bad_lengths);
    tcase_add_test(c, no_memory);
    suite_add_tcase(s, c);
    return unit_run(s);
}
