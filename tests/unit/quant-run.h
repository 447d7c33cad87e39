/* SPDX-License-Identifier: MIT */
/*
 * quant-run.h - what the programs of quant.h share: an encoding of the table, bits, random numbers.
 */
#ifndef TRIT_TEST_QUANT_RUN_H
#define TRIT_TEST_QUANT_RUN_H

#include <string.h>

#include "model/quant.h"
#include "unit/unit.h"

static uint64_t quant_seed; /* main sets it */

/* 31 random bits. */
static inline uint32_t rnd(void)
{
    return (uint32_t)(unit_random(&quant_seed) >> 33);
}

static inline uint32_t bits_of(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

static inline const struct quant_info *info(enum quant_type type)
{
    const struct quant_info *q = quant_find(type);
    ck_assert_ptr_nonnull(q);
    ck_assert_uint_eq(q->type, type);
    return q;
}

#endif
