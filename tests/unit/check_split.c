/* SPDX-License-Identifier: MIT */
/*
 * check_split.c - a model in several files: the same as in one, and refused in words where a part
 * is missing, of another model, out of place or broken.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/gguf-private.h"
#include "model/gguf.h"
#include "model/model.h"
#include "model/quant.h"
#include "unit/unit.h"

enum { PARTS = 3 };

static char dir[] = "/tmp/check-split.XXXXXX";
static struct gguf *whole;

/* What a part is to say, and whether it is to break off somewhere. */
struct part {
    unsigned no, count, tensors;
    size_t from, to; /* of the tensors of the whole file */
    const char *name;
    bool metadata;
    bool numbers; /* the three keys */
};

static const char *in_dir(const char *name)
{
    static char path[2][600];
    static unsigned turn;
    turn ^= 1;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void copy_pairs(struct gguf_writer *w)
{
    struct trit_error err;
    for (size_t i = 0; i < gguf_n_keys(whole); i++) {
        size_t len = gguf_pair_bytes(whole, i);
        char *pair = mem_zalloc(len, 1);
        ck_assert_int_eq(gguf_read_pair(whole, i, pair, &err), 0);
        gguf_write_pair(w, pair, len);
        mem_free(pair);
    }
}

static void write_part(const struct part *p)
{
    struct gguf_writer *w = NULL;
    struct trit_error err = {0};
    ck_assert_msg(gguf_write_open(in_dir(p->name), &w, &err) == 0, "%s", err.text);
    if (p->metadata)
        copy_pairs(w);
    if (p->numbers) {
        gguf_write_u32(w, "split.no", p->no);
        gguf_write_u32(w, "split.count", p->count);
        gguf_write_u32(w, "split.tensors.count", p->tensors);
    }
    for (size_t i = p->from; i < p->to; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(whole, i);
        bool plane = t->type == QUANT_SIGNS; /* stored as I8 with eight columns in each value */
        const uint64_t ne[4] = {plane ? t->ne[0] / 8 : t->ne[0], t->ne[1], t->ne[2], t->ne[3]};
        gguf_write_tensor(w, t->name, t->n_dims, ne, plane ? QUANT_I8 : t->type, t->bytes);
    }
    ck_assert_int_eq(gguf_write_begin(w, &err), 0);
    for (size_t i = p->from; i < p->to; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(whole, i);
        char *bytes = mem_zalloc(t->bytes, 1);
        ck_assert_int_eq(gguf_read(whole, t, 0, bytes, t->bytes, &err), 0);
        ck_assert_int_eq(gguf_write_data(w, bytes, t->bytes, &err), 0);
        mem_free(bytes);
    }
    ck_assert_msg(gguf_write_finish(w, &err) == 0, "%s", err.text);
    gguf_write_close(&w);
}

/* A third of the tensors each; the first part has none where `heads` says so. */
static struct part plain(unsigned no)
{
    static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf"};
    size_t n = gguf_n_tensors(whole);
    return (struct part){.no = no,
                         .count = PARTS,
                         .tensors = (unsigned)n,
                         .from = n * no / PARTS,
                         .to = n * (no + 1) / PARTS,
                         .name = names[no],
                         .metadata = no == 0,
                         .numbers = true};
}

static void write_all(void)
{
    for (unsigned i = 0; i < PARTS; i++) {
        struct part p = plain(i);
        write_part(&p);
    }
}

static void open_whole(const char *name)
{
    const char *srcdir = getenv("srcdir");
    char path[2048];
    struct trit_error err;
    snprintf(path, sizeof path, "%s/tests/golden/models/%s", srcdir ? srcdir : ".", name);
    ck_assert_msg(gguf_open(path, &whole, &err) == 0, "%s", err.text);
}

static void setup(void)
{
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    open_whole("b158.tq1_0.gguf");
    log_open(LOG_WARN, 0);
    write_all();
}

static void teardown(void)
{
    for (unsigned i = 0; i < PARTS; i++)
        unlink(in_dir(plain(i).name));
    unlink(in_dir("m.gguf"));
    ck_assert_int_eq(rmdir(dir), 0);
    gguf_close(&whole);
}

static struct model *load(const char *path)
{
    struct model *m = NULL;
    struct trit_error err = {0};
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_Q8};
    ck_assert_msg(model_load(path, &o, &m, &err) == 0, "%s", err.text);
    return m;
}

START_TEST(parts_are_one_model)
{
    struct gguf *g = NULL;
    struct trit_error err;
    ck_assert_msg(gguf_open(in_dir("m-00001-of-00003.gguf"), &g, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(gguf_n_files(g), PARTS);
    ck_assert_int_eq(gguf_fd(g), -1);
    ck_assert_uint_eq(gguf_n_tensors(g), gguf_n_tensors(whole));
    uint64_t bytes = 0;
    for (size_t i = 0; i < gguf_n_tensors(whole); i++) {
        const struct gguf_tensor *a = gguf_tensor_at(whole, i), *b = gguf_tensor(g, a->name);
        ck_assert_ptr_nonnull(b);
        ck_assert_str_eq(b->origin, a->name);
        ck_assert_uint_eq(a->bytes, b->bytes);
        char *x = mem_zalloc(a->bytes, 1), *y = mem_zalloc(a->bytes, 1);
        ck_assert_int_eq(gguf_read(whole, a, 0, x, a->bytes, &err), 0);
        ck_assert_int_eq(gguf_read(g, b, 0, y, a->bytes, &err), 0);
        ck_assert_mem_eq(x, y, a->bytes);
        bytes += a->bytes;
        mem_free(x);
        mem_free(y);
    }
    ck_assert_uint_gt(gguf_file_bytes(g), bytes);
    gguf_close(&g);
}
END_TEST

/* The same weights, under a key of their own: one that a change of any part changes. */
START_TEST(weights_and_key)
{
    char source[2048];
    snprintf(source, sizeof source, "%s", gguf_path(whole));
    struct model *one = load(source), *parts = load(in_dir("m-00001-of-00003.gguf"));
    ck_assert_uint_eq(one->weight_bytes, parts->weight_bytes);
    ck_assert_mem_eq(one->segment.payload, parts->segment.payload, one->weight_bytes);
    ck_assert_str_ne(one->fingerprint, parts->fingerprint);
    for (unsigned i = 0; i < PARTS; i++) {
        struct part p = plain(i);
        FILE *f = fopen(in_dir(p.name), "r+b");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(fseek(f, -40, SEEK_END), 0); /* some weight, or padding behind it */
        int c = fgetc(f);
        ck_assert_int_eq(fseek(f, -40, SEEK_END), 0);
        fputc(c ^ 1, f);
        fclose(f);
        struct model *other = load(in_dir("m-00001-of-00003.gguf"));
        ck_assert_str_ne(other->fingerprint, parts->fingerprint);
        model_close(&other);
        write_part(&p);
    }
    model_close(&one);
    model_close(&parts);
}
END_TEST

/* Only the first part says that the model is of another method, and that I8 is planes of bits. */
START_TEST(other_methods)
{
    static const char *const names[] = {"onebit.gguf", "b1.gguf", "billm.gguf"};
    char source[2048];
    gguf_close(&whole);
    open_whole(names[_i]);
    write_all();
    snprintf(source, sizeof source, "%s", gguf_path(whole));
    struct model *one = load(source), *parts = load(in_dir("m-00001-of-00003.gguf"));
    ck_assert_uint_eq(one->weight_bytes, parts->weight_bytes);
    ck_assert_mem_eq(one->segment.payload, parts->segment.payload, one->weight_bytes);
    model_close(&one);
    model_close(&parts);
}
END_TEST

START_TEST(first_part_without_tensors)
{
    struct gguf *g = NULL;
    struct trit_error err;
    struct part first = plain(0), second = plain(1);
    second.from = first.from;
    first.to = first.from;
    write_part(&first);
    write_part(&second);
    ck_assert_msg(gguf_open(in_dir(first.name), &g, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(gguf_n_tensors(g), gguf_n_tensors(whole));
    gguf_close(&g);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

static void missing(void)
{
    unlink(in_dir("m-00002-of-00003.gguf"));
}

static void wrong_number(void)
{
    struct part p = plain(2);
    p.no = 1;
    write_part(&p);
}

static void wrong_count(void)
{
    struct part p = plain(1);
    p.count = 4;
    write_part(&p);
}

static void wrong_sum(void)
{
    for (unsigned i = 0; i < PARTS; i++) {
        struct part p = plain(i);
        p.tensors++;
        write_part(&p);
    }
}

static void other_sum(void)
{
    struct part p = plain(1);
    p.tensors--;
    write_part(&p);
}

static void tensor_twice(void)
{
    struct part p = plain(1), q = plain(2);
    p.to++;
    q.from++; /* so that the sum is right */
    p.from -= 1;
    p.to -= 1;
    write_part(&p);
    write_part(&q);
}

static void no_numbers(void)
{
    struct part p = plain(2);
    p.numbers = false;
    write_part(&p);
}

/* Another model's part: it says another name than the first. */
static void other_model(void)
{
    struct gguf_writer *w = NULL;
    struct trit_error err;
    ck_assert_int_eq(gguf_write_open(in_dir("m-00003-of-00003.gguf"), &w, &err), 0);
    gguf_write_string(w, "general.architecture", "llama");
    gguf_write_u32(w, "split.no", 2);
    gguf_write_u32(w, "split.count", PARTS);
    gguf_write_u32(w, "split.tensors.count", (unsigned)gguf_n_tensors(whole));
    ck_assert_int_eq(gguf_write_begin(w, &err), 0);
    ck_assert_int_eq(gguf_write_finish(w, &err), 0);
    gguf_write_close(&w);
}

static void cut_short(void)
{
    ck_assert_int_eq(truncate(in_dir("m-00003-of-00003.gguf"), 5000), 0);
}

static void no_gguf(void)
{
    ck_assert_int_eq(truncate(in_dir("m-00002-of-00003.gguf"), 0), 0);
}

static void too_many(void)
{
    struct part p = plain(0);
    p.count = 100000;
    write_part(&p);
}

static void beyond(void)
{
    struct part p = plain(0);
    p.no = 3;
    write_part(&p);
}

static void renamed(void)
{
    ck_assert_int_eq(rename(in_dir("m-00001-of-00003.gguf"), in_dir("m.gguf")), 0);
}

static const struct {
    void (*change)(void);
    const char *path, *says[2];
} bad[] = {
    {missing, NULL, {"part 2 of 3 is missing: ", "m-00002-of-00003.gguf: cannot open"}},
    {wrong_number, NULL, {"m-00003-of-00003.gguf: key split.no: found 1, expected 2", "another"}},
    {wrong_count, NULL, {"m-00002-of-00003.gguf: key split.count: found 4, expected 3", "another"}},
    {wrong_sum, NULL, {"m-00001-of-00003.gguf: the parts have ", "split.tensors.count"}},
    {other_sum, NULL, {"m-00002-of-00003.gguf: key split.tensors.count: found", "another model"}},
    {tensor_twice, NULL, {"m-00001-of-00003.gguf: tensor ", "found in part 1 and in part 2"}},
    {no_numbers, NULL, {"m-00003-of-00003.gguf: key split.no is missing", "no part of "}},
    {other_model, NULL, {"m-00003-of-00003.gguf: key general.architecture", "another model"}},
    {cut_short, NULL, {"part 3 of 3: ", "m-00003-of-00003.gguf: tensor "}},
    {no_gguf, NULL, {"part 2 of 3: ", "m-00002-of-00003.gguf: 0 bytes"}},
    {too_many, NULL, {"key split.count: found 100000", "at most 512"}},
    {beyond, NULL, {"key split.no: found 3", "less than split.count"}},
    {renamed, "m.gguf", {"m.gguf: the first of 3 parts", "-00001-of-00003.gguf"}},
    {NULL, "m-00002-of-00003.gguf", {"part 2 of 3 of a split model", "-00001-of-00003.gguf"}},
};

START_TEST(bad_parts_are_refused)
{
    struct gguf *g = NULL;
    struct trit_error err = {0};
    if (bad[_i].change)
        bad[_i].change();
    int rc = gguf_open(in_dir(bad[_i].path ? bad[_i].path : "m-00001-of-00003.gguf"), &g, &err);
    ck_assert_int_lt(rc, 0);
    ck_assert_int_eq(err.code, -rc);
    ck_assert_ptr_null(g);
    for (int i = 0; i < 2; i++)
        ck_assert_msg(strstr(err.text, bad[_i].says[i]), "\"%s\" lacks \"%s\"", err.text,
                      bad[_i].says[i]);
}
END_TEST

/* No lack of memory crashes or leaks, and none is taken for a broken file. */
START_TEST(memory_runs_out)
{
    struct gguf *g = NULL;
    struct trit_error err;
    for (unsigned n = 1;; n++) {
        mem_fail_at(n);
        int rc = gguf_open(in_dir("m-00001-of-00003.gguf"), &g, &err);
        if (rc == 0) {
            ck_assert_msg(mem_fail_pending(), "allocation %u failed and nobody noticed", n);
            mem_fail_at(0);
            break;
        }
        ck_assert_msg(rc == -TRIT_ENOMEM, "allocation %u: %d: %s", n, rc, err.text);
    }
    gguf_close(&g);
}
END_TEST

/* The names by which the parts of a model are known before any of them is read. */
START_TEST(names_of_parts)
{
    static const char first[] = "/m/x-00001-of-00003.gguf";
    static const struct {
        const char *path;
        bool part;
    } cases[] = {
        {"/m/x-00001-of-00003.gguf", true},   {"/m/x-00003-of-00003.gguf", true},
        {"/m/x-00002-of-00004.gguf", false},  {"/m/y-00002-of-00003.gguf", false},
        {"/m/x-0000a-of-00003.gguf", false},  {"/m/x_00002-of-00003.gguf", false},
        {"/m/x-00002-of-00003.gguf2", false}, {"", false},
    };
    char path[] = "/m/x-00001-of-00003.gguf", other[] = "/m/x-00002-of-00003.gguf", none[] = "x";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_msg(gguf_is_part(first, cases[i].path) == cases[i].part, "%s", cases[i].path);
    ck_assert(!gguf_is_part("/m/x.gguf", "/m/x.gguf"));
    ck_assert(gguf_name_part(path, 2));
    ck_assert_str_eq(path, "/m/x-00002-of-00003.gguf");
    ck_assert(!gguf_name_part(other, 3) && !gguf_name_part(none, 1));
    strcpy(path, first);
    ck_assert(gguf_name_part(path, 512) && !gguf_name_part(strcpy(path, first), 513));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("split");
    TCase *c = tcase_create("split");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, parts_are_one_model);
    tcase_add_test(c, weights_and_key);
    tcase_add_test(c, names_of_parts);
    tcase_add_loop_test(c, other_methods, 0, 3);
    tcase_add_test(c, first_part_without_tensors);
    tcase_add_loop_test(c, bad_parts_are_refused, 0, ARRAY_LEN(bad));
    tcase_add_test(c, memory_runs_out);
    suite_add_tcase(s, c);
    return unit_run(s);
}
