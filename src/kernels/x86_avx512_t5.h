/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_t5.h - a block of the five-bit layout to three vectors of codes or trits, with VBMI.
 *
 * Five shuffles, which go through one port: what bounds the unpacking.
 */
#ifndef TRIT_KERNELS_X86_AVX512_T5_H
#define TRIT_KERNELS_X86_AVX512_T5_H

#include "kernels/x86_avx512.h"

enum {
    T5_BYTES = 40, /* of a block */
    T5_VECTORS = 3,
};

/* Bytes of a word of five, spread to eight; the last three are read as high bits that do not
 * matter. */
#define WORD(w) 5 * (w), 5 * (w) + 1, 5 * (w) + 2, 5 * (w) + 3, 5 * (w) + 4, 0, 0, 0
static const uint8_t t5_spread[64] ALIGNED = {WORD(0), WORD(1), WORD(2), WORD(3),
                                              WORD(4), WORD(5), WORD(6), WORD(7)};

/* Where the fields of a word begin. */
#define SHIFTS 0, 5, 10, 15, 20, 25, 30, 35
static const uint8_t t5_shifts[64] ALIGNED = {SHIFTS, SHIFTS, SHIFTS, SHIFTS,
                                              SHIFTS, SHIFTS, SHIFTS, SHIFTS};

/*
 * Digits of a field to base three.  vpermb looks at six bits of its index, of which the highest
 * belongs to the next field: the tables say everything twice.
 */
#define ONES   0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2
#define THREES 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2
#define NINES  0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2
#define UNUSED 0, 0, 0, 0, 0
static const uint8_t t5_ones[64] ALIGNED = {ONES, UNUSED, ONES, UNUSED};
static const uint8_t t5_threes[64] ALIGNED = {THREES, UNUSED, THREES, UNUSED};
static const uint8_t t5_nines[64] ALIGNED = {NINES, UNUSED, NINES, UNUSED};

/* The five-bit fields, one a byte.  Reads 64 bytes where the block has 40: hence LAYOUT_SLACK. */
INLINE __m512i t5_fields(const uint8_t *block)
{
    __m512i words =
        _mm512_permutexvar_epi8(_mm512_load_si512(t5_spread), _mm512_loadu_si512(block));
    return _mm512_multishift_epi64_epi8(_mm512_load_si512(t5_shifts), words);
}

INLINE void unpack_t5(const uint8_t *block, __m512i *codes)
{
    __m512i fields = t5_fields(block);
    codes[0] = _mm512_permutexvar_epi8(fields, _mm512_load_si512(t5_ones));
    codes[1] = _mm512_permutexvar_epi8(fields, _mm512_load_si512(t5_threes));
    codes[2] = _mm512_permutexvar_epi8(fields, _mm512_load_si512(t5_nines));
}

/* The same less one, for kernels that take signed weights. */
#define LOW -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1
#define MIDDLE                                                                                     \
    -1, -1, -1, 0, 0, 0, 1, 1, 1, -1, -1, -1, 0, 0, 0, 1, 1, 1, -1, -1, -1, 0, 0, 0, 1, 1, 1
#define HIGH                                                                                       \
    -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1
static const int8_t t5_low[64] ALIGNED = {LOW, UNUSED, LOW, UNUSED};
static const int8_t t5_middle[64] ALIGNED = {MIDDLE, UNUSED, MIDDLE, UNUSED};
static const int8_t t5_high[64] ALIGNED = {HIGH, UNUSED, HIGH, UNUSED};

/* To memory, because that is where tiles are loaded from. */
INLINE void unpack_t5_trits(const uint8_t *block, int8_t *to)
{
    __m512i fields = t5_fields(block);
    __m512i low = _mm512_permutexvar_epi8(fields, _mm512_load_si512(t5_low));
    __m512i middle = _mm512_permutexvar_epi8(fields, _mm512_load_si512(t5_middle));
    __m512i high = _mm512_permutexvar_epi8(fields, _mm512_load_si512(t5_high));
    _mm512_store_si512(to, low);
    _mm512_store_si512(to + 64, middle);
    _mm512_store_si512(to + 128, high);
}

#endif
