/* SPDX-License-Identifier: MIT */
/*
 * check_dispatch.c - the ladder of kernel variants, and the words of --cpu.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "base/base.h"
#include "kernels/kernels.h"
#include "unit.h"

START_TEST(scalar_is_the_last_resort)
{
    const struct kernels *first = kernels_at(0);
    ck_assert_str_eq(first->name, "scalar");
    ck_assert_uint_eq(first->cpu, 0);
    ck_assert_ptr_eq(kernels_pick(0), first);
}
END_TEST

START_TEST(the_ladder)
{
    size_t n = 0;
    for (const struct kernels *k; (k = kernels_at(n)); n++) {
        /* Each is picked for exactly what it needs, and never without it. */
        ck_assert_ptr_eq(kernels_pick(k->cpu), k);
        for (uint32_t bit = 1; bit <= k->cpu; bit <<= 1)
            if (k->cpu & bit)
                ck_assert_ptr_ne(kernels_pick(k->cpu & ~bit), k);
        for (size_t other = 0; other < n; other++)
            ck_assert_str_ne(kernels_at(other)->name, k->name);
        /* Every operation is there; a NULL would only be met at run time. */
        ck_assert(k->quantise && k->ternary && k->head_f16 && k->head_q8 && k->head_split);
        ck_assert(k->rmsnorm && k->glu && k->add && k->rope && k->to_f16);
        ck_assert(k->attend && k->exp_shift && k->argmax);
        ck_assert(k->layout == LAYOUT_T2 || k->layout == LAYOUT_T5);
    }
    ck_assert_ptr_null(kernels_at(n));
    ck_assert_ptr_null(kernels_at(n + 1000));
}
END_TEST

START_TEST(words)
{
    struct trit_error err;
    uint32_t cpu = kernels_cpu_detect(), mask = 12345;
    ck_assert_int_eq(kernels_mask_parse("auto", &mask, &err), 0);
    ck_assert_uint_eq(mask, cpu);
    ck_assert_int_eq(kernels_mask_parse("scalar", &mask, &err), 0);
    ck_assert_uint_eq(mask, 0);

    static const struct {
        const char *word;
        uint32_t needs, may;
    } sets[] = {
        {"avx2", CPU_AVX2, CPU_AVX2},
        {"avx512", CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI,
         CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI},
        {"amx", CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8,
         CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8},
        {"neon", CPU_NEON_DOTPROD, CPU_NEON_DOTPROD},
    };
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        mask = 12345;
        err.text[0] = 0;
        int rc = kernels_mask_parse(sets[i].word, &mask, &err);
        if ((sets[i].needs & ~cpu) == 0) {
            ck_assert_int_eq(rc, 0);
            ck_assert_uint_eq(mask, sets[i].may & cpu);
            ck_assert_ptr_nonnull(strstr(kernels_pick(mask)->name, sets[i].word));
        } else {
            ck_assert_int_eq(rc, -TRIT_EUNSUPP);
            ck_assert_ptr_nonnull(strstr(err.text, sets[i].word));
            ck_assert_uint_eq(mask, 12345);
        }
    }
}
END_TEST

START_TEST(other_words_are_refused)
{
    static const char *const bad[] = {"", "AVX2", "avx", "avx512vbmi", "auto ", "sse2"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct trit_error err;
        uint32_t mask = 12345;
        ck_assert_int_eq(kernels_mask_parse(bad[i], &mask, &err), -TRIT_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, bad[i]));
        ck_assert_ptr_nonnull(strstr(err.text, "avx512"));
        ck_assert_uint_eq(mask, 12345);
        ck_assert_int_eq(kernels_mask_parse(bad[i], &mask, NULL), -TRIT_EINVAL);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dispatch");
    TCase *c = tcase_create("dispatch");
    tcase_add_test(c, scalar_is_the_last_resort);
    tcase_add_test(c, the_ladder);
    tcase_add_test(c, words);
    tcase_add_test(c, other_words_are_refused);
    suite_add_tcase(s, c);
    return unit_run(s);
}
