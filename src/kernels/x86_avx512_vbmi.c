/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_vbmi.c - the five-bit layout for AVX-512 with VNNI and VBMI (Ice Lake, Zen 4 and
 * later).
 *
 * Three trits in five bits are a sixth less to read than two bits a trit, and cost the same to
 * unpack.  Everything else is what x86_avx512.c has.
 */
#include "config.h"
#include "kernels/x86_avx512.h"

#include "kernels/variants.h"

#define ALIGNED __attribute__((aligned(64)))

/* Bytes of a word of five, spread to eight; the last three are read as high bits that do not
 * matter. */
#define WORD(w) 5 * (w), 5 * (w) + 1, 5 * (w) + 2, 5 * (w) + 3, 5 * (w) + 4, 0, 0, 0
static const uint8_t spread[64] ALIGNED = {WORD(0), WORD(1), WORD(2), WORD(3),
                                           WORD(4), WORD(5), WORD(6), WORD(7)};

/* Where the fields of a word begin. */
#define SHIFTS 0, 5, 10, 15, 20, 25, 30, 35
static const uint8_t shifts[64] ALIGNED = {SHIFTS, SHIFTS, SHIFTS, SHIFTS,
                                           SHIFTS, SHIFTS, SHIFTS, SHIFTS};

/*
 * Digits of a field to base three.  vpermb looks at six bits of its index, of which the highest
 * belongs to the next field: the tables say everything twice.
 */
#define ONES   0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2
#define THREES 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2
#define NINES  0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2
#define UNUSED 0, 0, 0, 0, 0
static const uint8_t ones[64] ALIGNED = {ONES, UNUSED, ONES, UNUSED};
static const uint8_t threes[64] ALIGNED = {THREES, UNUSED, THREES, UNUSED};
static const uint8_t nines[64] ALIGNED = {NINES, UNUSED, NINES, UNUSED};

/* Reads 64 bytes where the block has 40: hence LAYOUT_SLACK. */
INLINE void unpack_t5(const uint8_t *block, __m512i *codes)
{
    __m512i words = _mm512_permutexvar_epi8(_mm512_load_si512(spread), _mm512_loadu_si512(block));
    __m512i fields = _mm512_multishift_epi64_epi8(_mm512_load_si512(shifts), words);
    codes[0] = _mm512_permutexvar_epi8(fields, _mm512_load_si512(ones));
    codes[1] = _mm512_permutexvar_epi8(fields, _mm512_load_si512(threes));
    codes[2] = _mm512_permutexvar_epi8(fields, _mm512_load_si512(nines));
}

void avx512vbmi_unpack_run(const uint8_t *block, size_t n_vectors, __m512i *codes,
                           const uint8_t *soon)
{
    for (size_t i = 0; i < n_vectors; i += 3, block += 40, soon += 40) {
        _mm_prefetch((const char *)soon, _MM_HINT_T1);
        unpack_t5(block, codes + i);
    }
}

void avx512vbmi_ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                        size_t tile1, const struct acts *a, size_t n_tokens)
{
    avx512_ternary(out, out_stride, w, tile0, tile1, a, n_tokens,
                   (struct avx512_layout){.unpack = unpack_t5,
                                          .unpack_run = avx512vbmi_unpack_run,
                                          .vectors = 3,
                                          .block_bytes = 40});
}

const struct kernels kernels_avx512vbmi = {
    .name = "avx512vbmi",
    .layout = LAYOUT_T5,
    .cpu = CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI,
    .ternary = avx512vbmi_ternary,
    .head_coarse = avx512_head_coarse,
    AVX512_SHARED,
};
