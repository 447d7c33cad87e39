/* SPDX-License-Identifier: MIT */
/*
 * wide-avx2.c - wide.c for processors with AVX2: the same values.
 */
#include "config.h"
#include "model/wide.h"

#define WIDE_BYTES 32
#include "model/wide-loops.h"

void wide_halves_avx2(const uint8_t *src, float *dst, size_t n)
{
    loop_halves(src, dst, n);
}

int32_t wide_largest_avx2(const float *x, size_t n)
{
    return loop_largest(x, n);
}

void wide_codes_avx2(const float *x, float scale, uint8_t *high, uint8_t *low)
{
    loop_codes(x, scale, high, low);
}
