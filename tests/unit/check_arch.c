/* SPDX-License-Identifier: MIT */
/*
 * check_arch.c - the table of architectures against the published graphs.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "model/arch.h"

static const struct arch expected[] = {
    {"bitnet", ROPE_NEOX, ACT_SILU, HEAD_TIED, true, false, .absmean = true},
    {"bitnet-25", ROPE_NEOX, ACT_RELU2, HEAD_OPTIONAL, true, false, .absmean = true},
    {"bitnet-b1.58", ROPE_NEOX, ACT_RELU2, HEAD_OPTIONAL, true, false, .absmean = true},
    {"llama", ROPE_NORM, ACT_SILU, HEAD_OPTIONAL, false, false, .absmean = false},
    {"qwen3", ROPE_NEOX, ACT_SILU, HEAD_OPTIONAL, false, true, .absmean = false},
    {"qwen35", ROPE_NEOX, ACT_SILU, HEAD_OPTIONAL, false, true, .hybrid = true},
    {"gemma3", ROPE_NEOX, ACT_GELU, HEAD_OPTIONAL, false, true, .post_norms = true,
     .scaled_embedding = true, .windows = true},
    {"llama-neox", ROPE_NEOX, ACT_SILU, HEAD_OPTIONAL, false, false, .absmean = false},
    {"bitnet-silu", ROPE_NEOX, ACT_SILU, HEAD_OPTIONAL, true, false, .absmean = true},
    {"gemma3-offset", ROPE_NEOX, ACT_GELU, HEAD_OPTIONAL, false, true, .post_norms = true,
     .scaled_embedding = true, .windows = true, .norms_less_one = true},
    {"qwen35-grouped", ROPE_NEOX, ACT_SILU, HEAD_OPTIONAL, false, true, .hybrid = true,
     .norms_less_one = true, .grouped_values = true},
};

START_TEST(rows)
{
    const struct arch *want = &expected[_i];
    const struct arch *a = arch_find(want->name, strlen(want->name));
    ck_assert_ptr_nonnull(a);
    ck_assert_str_eq(a->name, want->name);
    ck_assert_int_eq(a->rope, want->rope);
    ck_assert_int_eq(a->act, want->act);
    ck_assert_int_eq(a->head, want->head);
    ck_assert_int_eq(a->sub_norms, want->sub_norms);
    ck_assert_int_eq(a->qk_norms, want->qk_norms);
    ck_assert_int_eq(a->absmean, want->absmean);
    ck_assert_int_eq(a->post_norms, want->post_norms);
    ck_assert_int_eq(a->scaled_embedding, want->scaled_embedding);
    ck_assert_int_eq(a->windows, want->windows);
    ck_assert_int_eq(a->norms_less_one, want->norms_less_one);
    ck_assert_int_eq(a->hybrid, want->hybrid);
    ck_assert_int_eq(a->grouped_values, want->grouped_values);
}
END_TEST

START_TEST(names_are_whole)
{
    ck_assert_ptr_null(arch_find("bitne", 5));
    ck_assert_ptr_null(arch_find("bitnet-", 7));
    ck_assert_ptr_null(arch_find("Llama", 5));
    ck_assert_ptr_null(arch_find("", 0));
    ck_assert_ptr_nonnull(arch_find("bitnet-b1.58", 6)); /* its first six bytes: "bitnet" */
}
END_TEST

/* The list for messages names what the table finds, each once. */
START_TEST(the_list_agrees)
{
    char names[500];
    size_t n = 0;
    ck_assert_uint_lt(strlen(arch_names()), sizeof names);
    strcpy(names, arch_names());
    for (char *save, *name = strtok_r(names, ", ", &save); name;
         name = strtok_r(NULL, ", ", &save)) {
        ck_assert_msg(arch_find(name, strlen(name)) != NULL, "%s", name);
        n++;
    }
    ck_assert_uint_ge(n, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        ck_assert_ptr_nonnull(strstr(arch_names(), expected[i].name));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("arch");
    TCase *c = tcase_create("arch");
    tcase_add_loop_test(c, rows, 0, ARRAY_LEN(expected));
    tcase_add_test(c, names_are_whole);
    tcase_add_test(c, the_list_agrees);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
