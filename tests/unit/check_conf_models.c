/* SPDX-License-Identifier: MIT */
/*
 * check_conf_models.c - several models: sections of the file, a model given again, their names.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "main/conf-key.h"
#include "unit/conf-run.h"

START_TEST(sections_are_models)
{
    char *path = file_of("ctx = 512\nkv-type = q8\nalias = first\n"
                         "[model small one]  # a name with a blank\n"
                         "model = /m/small.gguf\nctx = 128\n"
                         "[model large]\nmodel = /m/large.gguf\n");
    ck_assert_msg(LOAD("--model=/m/a.gguf", "--config", path) == 0, "%s", err.text);
    ck_assert_uint_eq(conf_n_models(&conf), 3);
    ck_assert_ptr_eq(conf_model(&conf, 0), &conf);
    const struct conf *a = conf_model(&conf, 1), *b = conf_model(&conf, 2);
    ck_assert_str_eq(a->alias, "small one");
    ck_assert_str_eq(a->model, "/m/small.gguf");
    ck_assert_uint_eq(a->ctx, 128);
    ck_assert_str_eq(a->kv_type, "q8");
    ck_assert_str_eq(b->alias, "large");
    ck_assert_uint_eq(b->ctx, 512);
    ck_assert(!conf_same_model(a, b) && conf_same_model(b, b));
    conf_fini(&conf);
    /* Without a model of its own the rest is only what they share. */
    ck_assert_int_eq(LOAD("--config", path), 0);
    ck_assert_uint_eq(conf_n_models(&conf), 2);
    ck_assert_str_eq(conf_model(&conf, 0)->alias, "small one");
    ck_assert_int_eq(conf_check_model(&conf, &err), 0);
    conf_fini(&conf);
    drop_file();
}
END_TEST

START_TEST(sections_are_read_strictly)
{
    assert_refused("[models a]\n", "1: found \"[models a]\", expected [model NAME]");
    assert_refused("[model]\n", "1: found \"[model]\", expected [model NAME]");
    assert_refused("[model  ]\n", "1: found no name, expected [model NAME]");
    assert_refused("[model a\n", "1: found \"[model a\", expected [model NAME]");
    assert_refused("[model a,b]\n",
                   "1: found \"a,b\", expected a name of at most 100 bytes without "
                   "commas, brackets and #");
    assert_refused("[model a]\n", "1: the section has no line \"model = PATH\"");
    assert_refused("[model a]\nctx = 9\n[model b]\nmodel = m\n",
                   "1: the section has no line \"model = PATH\"");
    assert_refused("[model a]\nmodel = m\n[model a]\nmodel = m\n",
                   "3: there is a model \"a\" already");
    assert_refused("[model a]\nport = 1\n",
                   "2: port: is no model's own; it stands in front of the sections");
    assert_refused("[model a]\nalias = b\n", "2: alias: the section has a name, \"a\"");
    assert_refused("[model a]\nmodel =\n",
                   "2: model: found nothing, expected the path of its file");
    assert_refused("[model a]\nmodel = m\nctx = many\n",
                   "3: ctx: found \"many\", expected a whole number from 0 to 1048576");
    assert_refused("[model a]\nmodel = m\nmodel = m\n", "3: model: stands in line 2 already");
    char *path = file_of("[model a]\nmodel = m\nstep-tokens = 8\n");
    ck_assert_int_eq(LOAD("--model=m", "--config", path), -TRIT_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "step-tokens: found 8, expected at least max-batch"));
    path = file_of("[model a]\nmodel = m\n");
    ck_assert_int_eq(LOAD("--model=m", "--alias=a", "--config", path), -TRIT_EINVAL);
    ck_assert_str_eq(err.text, "alias: two models are called \"a\"");
    drop_file();
}
END_TEST

START_TEST(names)
{
    static const char *const good[] = {"a", "a b", "qwen3:8b", "gr\303\266\303\237er"};
    static const char *const bad[] = {"",   " a",  "a ",   "a,b",   "a[",
                                      "a]", "a#b", "a\nb", "a\x7f", "\xc3"};
    char longest[102];
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(conf_is_name(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!conf_is_name(bad[i]), "%s", bad[i]);
    memset(longest, 'x', sizeof longest - 1);
    longest[101] = '\0';
    ck_assert(!conf_is_name(longest));
    longest[100] = '\0';
    ck_assert(conf_is_name(longest));
}
END_TEST

START_TEST(a_model_given_again_is_one_more)
{
    ck_assert_msg(LOAD("--kv-type=q8", "--model=a", "--alias", "x", "--port=1", "--model", "b",
                       "--ctx=64", "--port=2", "--model=c") == 0,
                  "%s", err.text);
    ck_assert_uint_eq(conf_n_models(&conf), 3);
    ck_assert_uint_eq(conf.port, 2);
    ck_assert_str_eq(conf.alias, "x");
    ck_assert_uint_eq(conf.ctx, 0);
    ck_assert_uint_eq(conf_model(&conf, 1)->ctx, 64);
    ck_assert_str_eq(conf_model(&conf, 1)->alias, "");
    ck_assert_str_eq(conf_model(&conf, 2)->model, "c");
    ck_assert_str_eq(conf_model(&conf, 2)->kv_type, "q8");
    struct conf copy;
    ck_assert_int_eq(conf_copy_model(&conf, "y", "/p", &copy, &err), 0);
    ck_assert_str_eq(copy.alias, "y");
    ck_assert_str_eq(copy.model, "/p");
    ck_assert_str_eq(copy.kv_type, "q8");
    ck_assert_uint_eq(copy.n_more, 0);
    conf_fini(&copy);
    ck_assert_int_eq(conf_copy_model(&conf, "a,b", "/p", &copy, &err), -TRIT_EINVAL);
    conf_fini(&conf);
    char program[] = "tritd", option[] = "--model=m", *argv[CONF_MODELS_MAX + 3] = {program};
    for (int i = 1; i <= CONF_MODELS_MAX + 1; i++)
        argv[i] = option;
    ck_assert_int_eq(conf_load(CONF_MODELS_MAX + 1, argv, &conf, &action, &err), 0);
    conf_fini(&conf);
    ck_assert_int_eq(conf_load(CONF_MODELS_MAX + 2, argv, &conf, &action, &err), -TRIT_ETOOBIG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conf-models");
    TCase *t = tcase_create("conf-models");
    tcase_add_test(t, sections_are_models);
    tcase_add_test(t, sections_are_read_strictly);
    tcase_add_test(t, names);
    tcase_add_test(t, a_model_given_again_is_one_more);
    suite_add_tcase(suite, t);
    return unit_run(suite);
}
