/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_vbmi.c - the five-bit layout for AVX-512 with VNNI and VBMI (Ice Lake, Zen 4 and
 * later).
 *
 * Three trits in five bits are a sixth less to read than two bits a trit, and cost the same to
 * unpack.  Everything else is what x86_avx512.c has.
 */
#include "config.h"
#include "kernels/x86_avx512_t5.h"

#include "kernels/variants.h"

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
    .signs = avx512_signs,
    .billm = avx512_billm,
    .head_coarse = avx512_head_coarse,
    AVX512_SHARED,
};
