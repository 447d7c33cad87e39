/* SPDX-License-Identifier: MIT */
/*
 * wide.h - what is done to every float of a table while somebody waits for a model to be packed:
 * hundreds of millions, so the loops are written in vectors (wide-loops.h), and compiled once more
 * for wider ones where the processor has them.  Results do not depend on it.
 */
#ifndef TRIT_WIDE_H
#define TRIT_WIDE_H

#include <stddef.h>
#include <stdint.h>

enum {
    WIDE_CODES = 128,           /* values of a Q8 table that 64 bytes of each plane hold */
    WIDE_INFINITE = 0x7f800000, /* what the bits of a float that is not finite have at least */
};

/* The n values of binary16 at src, little-endian, n a multiple of 8. */
void wide_halves(const uint8_t *src, float *dst, size_t n);

/* The largest of the n floats without their signs, as its bits, in whose order they are. */
int32_t wide_largest(const float *x, size_t n);

/*
 * q + 128, where q = x / scale, half to even, is held within -127 and 127, of WIDE_CODES values:
 * the upper and the lower nibbles as table.h has them.  What is no number becomes -127.
 */
void wide_codes(const float *x, float scale, uint8_t *high, uint8_t *low);

void wide_halves_avx2(const uint8_t *src, float *dst, size_t n); /* their bodies there */
int32_t wide_largest_avx2(const float *x, size_t n);
void wide_codes_avx2(const float *x, float scale, uint8_t *high, uint8_t *low);

#endif
