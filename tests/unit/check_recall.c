/* SPDX-License-Identifier: MIT */
/*
 * check_recall.c - what the API has changed, written and read again; and lists that nobody has
 * written so.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "main/recall.h"
#include "unit.h"

static struct trit_error err;
static struct conf rest;
static struct recall list;

static void open_rest(void)
{
    char program[] = "tritd", option[] = "--model", model[] = "/m/first.gguf", ctx[] = "--ctx",
         value[] = "512";
    char *argv[] = {program, option, model, ctx, value, NULL};
    enum conf_action action;
    ck_assert_int_eq(conf_load(5, argv, &rest, &action, &err), 0);
}

static void close_rest(void)
{
    conf_fini(&rest);
}

static struct conf model_of(const char *name, const char *path)
{
    struct conf c;
    ck_assert_int_eq(conf_copy_model(&rest, name, path, &c, &err), 0);
    return c;
}

static int read_bytes(const void *bytes, size_t len)
{
    int fd = mem_memfd("check");
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    int rc = recall_read(fd, &rest, &list, NULL, &err);
    close(fd);
    return rc;
}

START_TEST(what_is_written_is_read)
{
    /* Names and paths that a configuration file could not have. */
    struct conf file = model_of("one", "/m/one.gguf");
    struct conf api = model_of("one", "/m/a b #c\n=\t.gguf");
    struct conf beside = model_of("zwölf = 12", "/m/two.gguf");
    struct buf text = {0}, again = {0};
    recall_add(&text, &file, &api);
    recall_add(&text, &rest, NULL);
    recall_add(&text, NULL, &beside);
    int fd = recall_save(&text);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ne(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, 0);
    ck_assert_int_eq(recall_read(fd, &rest, &list, &again, &err), 0);
    ck_assert_mem_eq(again.data, text.data, text.len);
    ck_assert_uint_eq(again.len, text.len);
    ck_assert_uint_eq(list.n, 3);

    const struct recall_change *c = recall_find(&list, &file);
    ck_assert_ptr_eq(c, &list.at[0]);
    ck_assert(c->has_file && c->has_api);
    ck_assert(conf_same_model(&c->api, &api));
    ck_assert_str_eq(c->api.model, api.model);
    ck_assert_uint_eq(c->api.ctx, 512);
    c = recall_find(&list, &rest);
    ck_assert_ptr_eq(c, &list.at[1]);
    ck_assert(c->has_file && !c->has_api);
    ck_assert_ptr_null(recall_find(&list, &beside));
    ck_assert(list.at[2].has_api && !list.at[2].has_file);
    ck_assert_str_eq(list.at[2].api.alias, "zwölf = 12");

    close(fd);
    recall_free(&list);
    buf_free(&text);
    buf_free(&again);
    conf_fini(&file);
    conf_fini(&api);
    conf_fini(&beside);
}
END_TEST

START_TEST(another_word_of_the_configuration_is_another_model)
{
    struct conf file = model_of("one", "/m/one.gguf"), other = model_of("one", "/m/other.gguf");
    struct buf text = {0};
    recall_add(&text, &file, NULL);
    ck_assert_int_eq(read_bytes(text.data, text.len), 0);
    ck_assert_ptr_nonnull(recall_find(&list, &file));
    ck_assert_ptr_null(recall_find(&list, &other));
    recall_free(&list);
    buf_free(&text);
    conf_fini(&file);
    conf_fini(&other);
}
END_TEST

/* Of another version: a key that is not there any more, and one that was not there yet. */
START_TEST(other_versions)
{
    static const char text[] = RECALL_MAGIC "\0api\0alias=x\0model=/m/x\0colour=blue\0end";
    ck_assert_int_eq(read_bytes(text, sizeof text), 0);
    ck_assert_uint_eq(list.n, 1);
    ck_assert_str_eq(list.at[0].api.alias, "x");
    ck_assert_uint_eq(list.at[0].api.ctx, 512);
    recall_free(&list);
}
END_TEST

#define BAD(text, code, says)                                                                      \
    {                                                                                              \
        text, sizeof text, code, says                                                              \
    }
static const struct {
    const char *text;
    size_t len;
    int code;
    const char *says;
} bad[] = {
    BAD("", TRIT_EFORMAT, "expected \"tritd-models 1\""),
    BAD("tritd-models 2", TRIT_EFORMAT, "found \"tritd-models 2\""),
    BAD(RECALL_MAGIC "\0colour=blue\0end", TRIT_EFORMAT, "found \"colour=blue\""),
    BAD(RECALL_MAGIC "\0end", TRIT_EFORMAT, "says nothing"),
    BAD(RECALL_MAGIC "\0file", TRIT_EFORMAT, "has no end"),
    BAD(RECALL_MAGIC "\0file\0file\0end", TRIT_EFORMAT, "one thing twice"),
    BAD(RECALL_MAGIC "\0api\0model=/m\0end", TRIT_EINVAL, "expected a name"),
    BAD(RECALL_MAGIC "\0api\0alias=a,b\0model=/m\0end", TRIT_EINVAL, "expected a name"),
    BAD(RECALL_MAGIC "\0api\0alias=a\0model=\0end", TRIT_EINVAL, "model: found nothing"),
    BAD(RECALL_MAGIC "\0api\0alias=a\0ctx=many\0end", TRIT_EINVAL, "ctx"),
    BAD(RECALL_MAGIC "\0api\0alias=a\0max-batch=9999\0end", TRIT_EINVAL, "max-batch"),
    BAD(RECALL_MAGIC "\0api\0hello\0end", TRIT_EFORMAT, "found \"hello\""),
};

START_TEST(what_nobody_has_written_so)
{
    ck_assert_int_eq(read_bytes(bad[_i].text, bad[_i].len), -bad[_i].code);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
    ck_assert_uint_eq(list.n, 0);
}
END_TEST

START_TEST(too_much_and_too_little)
{
    struct buf text = {0};
    struct conf file = model_of("one", "/m/one.gguf");
    ck_assert_int_eq(read_bytes("", 0), -TRIT_EFORMAT);
    for (int i = 0; i <= RECALL_MAX; i++)
        recall_add(&text, &file, NULL);
    ck_assert_int_eq(read_bytes(text.data, text.len), -TRIT_ETOOBIG);
    /* A list that was cut off anywhere is none, unless a change ends there. */
    buf_reset(&text);
    recall_add(&text, &file, &file);
    for (size_t len = 0; len < text.len; len++) {
        bool whole = len == sizeof RECALL_MAGIC;
        ck_assert_int_eq(read_bytes(text.data, len) == 0, whole);
        recall_free(&list);
    }
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(recall_read(ends[0], &rest, &list, NULL, &err), -TRIT_EFORMAT);
    close(ends[0]);
    close(ends[1]);
    buf_free(&text);
    conf_fini(&file);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("recall");
    TCase *t = tcase_create("list");
    tcase_add_checked_fixture(t, open_rest, close_rest);
    tcase_add_test(t, what_is_written_is_read);
    tcase_add_test(t, another_word_of_the_configuration_is_another_model);
    tcase_add_test(t, other_versions);
    tcase_add_loop_test(t, what_nobody_has_written_so, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(t, too_much_and_too_little);
    suite_add_tcase(s, t);
    return unit_run(s);
}
