/* SPDX-License-Identifier: MIT */
/*
 * check.h - Check's assertions for the fuzzers, where no test is running and Check would give up.
 */
#ifndef TRIT_FUZZ_CHECK_H
#define TRIT_FUZZ_CHECK_H

#include "base/base.h"

#define ck_assert(x) trit_assert(x)
#define ck_assert_msg(x, ...) trit_assert(x)
#define ck_assert_ptr_nonnull(p) trit_assert((p) != NULL)
#define ck_assert_int_eq(a, b) trit_assert((a) == (b))
#define ck_assert_int_ge(a, b) trit_assert((a) >= (b))
#define ck_assert_int_gt(a, b) trit_assert((a) > (b))
#define ck_assert_uint_eq(a, b) trit_assert((a) == (b))
#define ck_assert_uint_lt(a, b) trit_assert((a) < (b))

#endif
