/* SPDX-License-Identifier: MIT */
/*
 * wide.c - the loops of wide.h for any machine, and the choice between them and those for AVX2.
 */
#include "config.h"
#include "model/wide.h"

#include "model/wide-loops.h"

#ifdef __x86_64__
#define CHOOSE(name, ...)                                                                          \
    (__builtin_cpu_supports("avx2") ? wide_##name##_avx2(__VA_ARGS__) : loop_##name(__VA_ARGS__))
#else
#define CHOOSE(name, ...) loop_##name(__VA_ARGS__)
#endif

void wide_halves(const uint8_t *src, float *dst, size_t n)
{
    CHOOSE(halves, src, dst, n);
}

int32_t wide_largest(const float *x, size_t n)
{
    return CHOOSE(largest, x, n);
}

void wide_codes(const float *x, float scale, uint8_t *high, uint8_t *low)
{
    CHOOSE(codes, x, scale, high, low);
}
