/* SPDX-License-Identifier: MIT */
/*
 * x86_amx.h - matrix tiles: AMX-INT8 (Sapphire Rapids and later).
 *
 * A tile instruction multiplies 16 rows of 64 bytes with 64 rows of 16 and adds to 16 x 16 int32
 * sums (Intel SDM volume 2, TDPBSUD and TDPBUSD): eight times what vpdpbusd does in a cycle.  With
 * few tokens vpdpbusd is no worse, so those calls go to AVX-512, as does everything that is not a
 * product.  All integers are exact, hence the same.
 *
 * The tiles are configured on entry and released on return, so that a thread that waits leaves
 * nothing to be saved.  Tiles 0 to 3 hold sums.
 */
#ifndef TRIT_KERNELS_X86_AMX_H
#define TRIT_KERNELS_X86_AMX_H

#include "kernels/x86_avx512.h"

enum {
    SIDE = 16,       /* rows and int32 columns of a tile */
    DEPTH = 64,      /* inputs a tile instruction takes */
    TILE_INTS = 256, /* of sums */
};

/* Operand of LDTILECFG, palette 1. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

INLINE void configure(const uint8_t rows[8])
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = rows[i] ? 64 : 0; /* a tile that is not used has neither */
        c.rows[i] = rows[i];
    }
    _tile_loadconfig(&c);
}

INLINE void load_sums(const int32_t *sums)
{
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + 1 * TILE_INTS, 64);
    _tile_loadd(2, sums + 2 * TILE_INTS, 64);
    _tile_loadd(3, sums + 3 * TILE_INTS, 64);
}

INLINE void store_sums(int32_t *sums)
{
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + 1 * TILE_INTS, 64);
    _tile_stored(2, sums + 2 * TILE_INTS, 64);
    _tile_stored(3, sums + 3 * TILE_INTS, 64);
}

INLINE void zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* x86_amx_signs.c */
void amx_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
               const struct acts *a, size_t n_tokens);
void amx_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
               const struct acts *a, size_t n_tokens);

/* x86_amx_head.c */
void amx_head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                     const struct planes *x, size_t n_tokens);

#endif
