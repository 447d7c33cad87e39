/* SPDX-License-Identifier: MIT */
/*
 * wide-loops.h - the loops of wide.h over vectors of WIDE_BYTES; for wide.c and wide-avx2.c only.
 */
#ifndef TRIT_WIDE_LOOPS_H
#define TRIT_WIDE_LOOPS_H

#include <string.h>

#include "model/wide.h"

#ifndef WIDE_BYTES
#define WIDE_BYTES 16 /* what every machine has */
#endif

enum { LANES = WIDE_BYTES / 4, HALF = WIDE_CODES / 2, Q8_MAX = 127, Q8_OFFSET = 128 };

typedef float floats __attribute__((vector_size(WIDE_BYTES)));
typedef int32_t ints __attribute__((vector_size(WIDE_BYTES)));
typedef uint32_t words __attribute__((vector_size(WIDE_BYTES)));
typedef uint16_t halves __attribute__((vector_size(WIDE_BYTES / 2)));

static inline words choose(ints yes, words a, words b)
{
    return ((words)yes & a) | (~(words)yes & b);
}

/* All three cases are computed and one is chosen, as in quant_f16_to_f32(). */
static inline void loop_halves(const uint8_t *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        halves h;
        memcpy(&h, src + i * sizeof(uint16_t), sizeof h);
        words x = __builtin_convertvector(h, words), sign = (x & 0x8000) << 16, rest = x & 0x7fff;
        floats tiny = __builtin_convertvector((ints)rest, floats) * 0x1p-24f;
        words normal = (rest << 13) + ((127 - 15) << 23), special = rest << 13 | WIDE_INFINITE;
        words bits = choose((ints)rest < 0x0400, (words)tiny, normal);
        bits = choose((ints)rest < 0x7c00, bits, special) | sign;
        memcpy(dst + i, &bits, sizeof bits);
    }
}

static inline int32_t loop_largest(const float *x, size_t n)
{
    ints most = {0};
    int32_t largest = 0;
    for (size_t i = 0; i < n; i += LANES) {
        ints v = {0};
        if (n - i >= LANES)
            memcpy(&v, x + i, sizeof v);
        else
            memcpy(&v, x + i, (n - i) * sizeof *x);
        v &= INT32_MAX;
        most = (ints)choose(v > most, (words)v, (words)most);
    }
    for (size_t k = 0; k < LANES; k++)
        largest = most[k] > largest ? most[k] : largest;
    return largest;
}

/*
 * Denormal scales are coarse and infinite ones give NaN: hold every value in range.  Adding
 * 1.5 * 2^23 rounds to a whole number, half to even, and leaves it in the lowest bits.
 */
static inline words codes_of(const float *x, floats scale)
{
    const floats least = (floats){0} - Q8_MAX, most = (floats){0} + Q8_MAX;
    floats v;
    memcpy(&v, x, sizeof v);
    v /= scale;
    v = (floats)choose(v > least, (words)v, (words)least);
    v = (floats)choose(v < most, (words)v, (words)most);
    return (words)(v + 0x1.8p23f) + Q8_OFFSET;
}

static inline void loop_codes(const float *x, float scale, uint8_t *restrict high,
                              uint8_t *restrict low)
{
    const floats by = (floats){0} + scale;
    uint32_t upper[HALF], lower[HALF];
    for (size_t i = 0; i < HALF; i += LANES) {
        words a = codes_of(x + i, by), b = codes_of(x + HALF + i, by);
        words u = (a >> 4 & 15) | (b & 0xf0), l = (a & 15) | (b << 4 & 0xf0);
        memcpy(upper + i, &u, sizeof u);
        memcpy(lower + i, &l, sizeof l);
    }
    for (size_t i = 0; i < HALF; i++)
        high[i] = (uint8_t)upper[i];
    for (size_t i = 0; i < HALF; i++)
        low[i] = (uint8_t)lower[i];
}

#endif
