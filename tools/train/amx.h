/* SPDX-License-Identifier: MIT */
/*
 * amx.h - bfloat16 matrix products on Intel's matrix tiles, for training.
 *
 * Everything is built from three operations: transpose, pack, gemm.  Sizes are multiples of 32.
 * A product C[m][n] = A[m][k] B[k][n] takes A as it lies in memory and B packed: panels of 32
 * columns one after another, each [k / 2][32][2], that is pairs of rows side by side, as the tile
 * instruction TDPBF16PS wants them (Intel SDM, vol. 2).  Sums are float32.
 */
#ifndef TRAIN_AMX_H
#define TRAIN_AMX_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef uint16_t bf16;

static inline float widen(bf16 h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Round to nearest, ties to even; the input is finite. */
static inline bf16 narrow(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (bf16)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* Ask the kernel for the tiles; false: this machine has none.  Holds for threads started later. */
static inline bool amx_permitted(void)
{
    enum { REQUEST_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_XCOMP_PERM, XTILEDATA) == 0;
}

/* Each thread once: eight tiles of 16 rows of 64 bytes. */
static void amx_configure(void)
{
    static _Thread_local bool done;
    if (done)
        return;
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
    done = true;
}

/* Two rows of 32 as 32 pairs. */
static inline void amx_interleave(__m512i even, __m512i odd, __m512i *low, __m512i *high)
{
    static const uint16_t at[64] __attribute__((aligned(64))) = {
        0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
        11, 43, 12, 44, 13, 45, 14, 46, 15, 47, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53,
        22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63};
    *low = _mm512_permutex2var_epi16(even, _mm512_load_si512(at), odd);
    *high = _mm512_permutex2var_epi16(even, _mm512_load_si512(at + 32), odd);
}

/* Transpose 16 x 16 words of 32 bits in place. */
static inline void amx_transpose16(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

/* dst[n][m] = src[m][n] */
static void amx_transpose(size_t m, size_t n, const bf16 *src, size_t ld, bf16 *dst, size_t ld_dst)
{
    for (size_t i = 0; i < m; i += 32) {
        for (size_t j = 0; j < n; j += 32) {
            __m512i low[16], high[16];
            for (size_t r = 0; r < 16; r++) {
                const bf16 *even = src + (i + 2 * r) * ld + j;
                amx_interleave(_mm512_loadu_si512(even), _mm512_loadu_si512(even + ld), &low[r],
                               &high[r]);
            }
            amx_transpose16(low);
            amx_transpose16(high);
            for (size_t r = 0; r < 16; r++) {
                _mm512_storeu_si512(dst + (j + r) * ld_dst + i, low[r]);
                _mm512_storeu_si512(dst + (j + 16 + r) * ld_dst + i, high[r]);
            }
        }
    }
}

static inline __m512i amx_scale(__m512i row, float by)
{
    __m512 low = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(row)), 16));
    __m512 high = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(row, 1)), 16));
    __m512 s = _mm512_set1_ps(by);
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(high, s), _mm512_mul_ps(low, s));
}

/* Pack b[k][n], each row times scale[k] where scale is not NULL.  `dst` has k * n elements. */
static void amx_pack(size_t k, size_t n, const bf16 *b, size_t ld, const float *scale, bf16 *dst)
{
    for (size_t j = 0; j < n; j += 32) {
        for (size_t i = 0; i < k; i += 2) {
            __m512i even = _mm512_loadu_si512(b + i * ld + j);
            __m512i odd = _mm512_loadu_si512(b + (i + 1) * ld + j);
            if (scale) {
                even = amx_scale(even, scale[i]);
                odd = amx_scale(odd, scale[i + 1]);
            }
            __m512i low, high;
            amx_interleave(even, odd, &low, &high);
            _mm512_storeu_si512(dst, low);
            _mm512_storeu_si512(dst + 32, high);
            dst += 64;
        }
    }
}

/* Where a product goes: float32 (`f`) or bfloat16 (`h`), rows `ld` elements apart; times row[i]
 * and col[j] where these are given; added to what is there (`f` only). */
struct amx_out {
    float *f;
    bf16 *h;
    size_t ld;
    const float *row, *col;
    bool add;
};

/* 32 x 32 sums of the product, whose first is element (i0, j0). */
static inline void amx_store(const float *c, const struct amx_out *o, size_t i0, size_t j0)
{
    __m512 left = _mm512_set1_ps(1), right = left;
    if (o->col) {
        left = _mm512_loadu_ps(o->col + j0);
        right = _mm512_loadu_ps(o->col + j0 + 16);
    }
    for (size_t i = 0; i < 32; i++, c += 32) {
        __m512 by = _mm512_set1_ps(o->row ? o->row[i0 + i] : 1);
        __m512 x = _mm512_mul_ps(_mm512_mul_ps(_mm512_load_ps(c), by), left);
        __m512 y = _mm512_mul_ps(_mm512_mul_ps(_mm512_load_ps(c + 16), by), right);
        size_t at = (i0 + i) * o->ld + j0;
        if (o->h) {
            _mm512_storeu_si512(o->h + at, (__m512i)_mm512_cvtne2ps_pbh(y, x));
            continue;
        }
        if (o->add) {
            x = _mm512_add_ps(x, _mm512_loadu_ps(o->f + at));
            y = _mm512_add_ps(y, _mm512_loadu_ps(o->f + at + 16));
        }
        _mm512_storeu_ps(o->f + at, x);
        _mm512_storeu_ps(o->f + at + 16, y);
    }
}

/* Copy rows of A into the order in which their tiles are read: 32 rows of 32 after one another. */
static inline void amx_gather(size_t m, size_t k, const bf16 *a, size_t ld, bf16 *to)
{
    for (size_t i = 0; i < m; i += 32)
        for (size_t x = 0; x < k; x += 32)
            for (size_t r = 0; r < 32; r++, to += 32)
                _mm512_store_si512(to, _mm512_loadu_si512(a + (i + r) * ld + x));
}

/* c[32][32] = 32 rows of A, gathered, by a panel of B. */
static inline void amx_block(size_t k, const bf16 *a, const bf16 *b, float *c)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t x = 0; x < k; x += 32) {
        /* A streams past, so that the panel stays in the first-level cache. */
        _tile_stream_loadd(4, a + 32 * x, 64);
        _tile_stream_loadd(5, a + 32 * x + 16 * 32, 64);
        _tile_loadd(6, b + 32 * x, 128);
        _tile_loadd(7, b + 32 * x + 32, 128);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, 128);
    _tile_stored(1, c + 16, 128);
    _tile_stored(2, c + 16 * 32, 128);
    _tile_stored(3, c + 16 * 32 + 16, 128);
}

/* out[m][n] = a[m][k] b[k][n]; `b` is packed, its panels `panel` elements apart (32 times the rows
 * that were packed, which may be more than k). */
static void amx_gemm(size_t m, size_t n, size_t k, const bf16 *a, size_t ld, const bf16 *b,
                     size_t panel, struct amx_out out)
{
    enum { HELD = 512 * 1024, ROWS = 256 }; /* of A stay in the second-level cache */
    static _Thread_local bf16 held[HELD] __attribute__((aligned(64)));
    float c[32 * 32] __attribute__((aligned(64)));
    amx_configure();
    if (k > HELD / 32)
        abort();
    size_t rows = HELD / k / 32 * 32;
    rows = rows < ROWS ? rows : ROWS;
    for (size_t i0 = 0; i0 < m; i0 += rows) {
        size_t here = m - i0 < rows ? m - i0 : rows;
        amx_gather(here, k, a + i0 * ld, ld, held);
        for (size_t j = 0; j < n; j += 32) {
            for (size_t i = 0; i < here; i += 32) {
                amx_block(k, held + i * k, b + j / 32 * panel, c);
                amx_store(c, &out, i0 + i, j);
            }
        }
    }
}

#endif
