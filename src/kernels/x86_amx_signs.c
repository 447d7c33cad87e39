/* SPDX-License-Identifier: MIT */
/*
 * x86_amx_signs.c - the products of signs on matrix tiles, many tokens at once: scalar_signs.c says
 * what they compute, x86_amx.h what tiles are.
 *
 * A weight tile is unpacked to operands of 64 inputs, bits as codes of 0 and 1, and all tokens pass
 * over them in blocks of at most 16.  Blocks are of equal size; the last one overlaps the one
 * before where they do not come out even, and computes the same again.
 */
#include "config.h"
#include "kernels/x86_amx.h"

#include <string.h>

#include "kernels/billm.inc"

enum {
    LEAST_TOKENS = 16, /* for which tiles pay */
    MOST_BLOCKS = 32,  /* of tokens, that pass over an unpacked weight tile */
    PLANE = 64,
    BLOCK_VECTORS = 8, /* of 64 codes, in a block of a plane */
    OPERAND_BYTES = SIDE * 64,
    STRETCH = 64, /* operands of signs that are unpacked together */
};

/* The tokens under way: n of them from the first on. */
struct tokens {
    const struct acts *a;
    size_t first, n, block, n_blocks;
};

/* The first token of a block; behind the last block it is that of the last. */
static size_t block_start(const struct tokens *x, size_t b)
{
    return x->first + MIN(b * x->block, x->n - x->block);
}

static const int8_t *block_acts(const struct tokens *x, size_t b)
{
    return x->a->q + block_start(x, b) * x->a->q_stride;
}

/* The next of n_tokens tokens, and tiles that fit them; false when there are no more. */
static bool take_tokens(struct tokens *x, size_t n_tokens)
{
    x->first += x->n;
    if (x->first == n_tokens) {
        _tile_release();
        return false;
    }
    x->n = even_share(n_tokens - x->first, MOST_BLOCKS * SIDE);
    x->block = even_share(x->n, SIDE);
    x->n_blocks = (x->n + x->block - 1) / x->block;
    uint8_t rows = (uint8_t)x->block;
    configure((const uint8_t[]){rows, rows, rows, rows, rows, rows, rows, SIDE});
    return true;
}

/* ------------------------------------------------------------------ signs */

struct signs_work {
    int8_t codes[STRETCH][OPERAND_BYTES] ALIGNED;
    int32_t sums[MOST_BLOCKS][TILE_INTS] ALIGNED;
};

static void unpack_signs(const uint8_t *from, size_t n_operands, int8_t *to)
{
    const __m512i one = _mm512_set1_epi8(1);
    for (size_t i = 0; i < n_operands * SIDE / BLOCK_VECTORS; i++, from += PLANE) {
        __m512i v = _mm512_loadu_si512(from);
        _mm_prefetch((const char *)from + PANEL_AHEAD, _MM_HINT_T1);
        foreach (f, BLOCK_VECTORS)
            _mm512_store_si512(to + f * 64, _mm512_and_si512(_mm512_srli_epi16(v, f), one));
        to += BLOCK_VECTORS * 64;
    }
}

/* n operands by the activations of `blocks` blocks of tokens; sums of block i in tile i. */
INLINE void multiply_signs(const int8_t *codes, size_t n, const struct tokens *x, size_t b,
                           size_t col, const unsigned blocks)
{
    const size_t stride = x->a->q_stride;
    const int8_t *q[4];
    foreach (i, blocks)
        q[i] = block_acts(x, b + i) + col;
    for (size_t at = 0; at < n * DEPTH; at += DEPTH, codes += OPERAND_BYTES) {
        _tile_loadd(7, codes, 64);
        _tile_loadd(4, q[0] + at, stride);
        _tile_dpbssd(0, 4, 7);
        if (blocks > 1) {
            _tile_loadd(5, q[1] + at, stride);
            _tile_dpbssd(1, 5, 7);
        }
        if (blocks > 2) {
            _tile_loadd(6, q[2] + at, stride);
            _tile_dpbssd(2, 6, 7);
        }
        if (blocks > 3) {
            _tile_loadd(4, q[3] + at, stride);
            _tile_dpbssd(3, 4, 7);
        }
    }
}

static void deliver_signs(float *out, size_t out_stride, const struct linear *w, size_t tile,
                          const struct tokens *x, const int32_t sums[][TILE_INTS])
{
    const __mmask16 rows = avx512_rows(w, tile);
    const __m512 scales = avx512_scales(w, tile);
    for (size_t b = 0; b < x->n_blocks; b++)
        for (size_t t = 0; t < x->block; t++) {
            size_t token = block_start(x, b) + t;
            __m512i dot = _mm512_slli_epi32(_mm512_load_si512(sums[b] + t * 16), 1);
            dot = _mm512_sub_epi32(dot, _mm512_set1_epi32(x->a->sum[token]));
            __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(x->a->step[token]));
            _mm512_mask_storeu_ps(out + token * out_stride + tile * LAYOUT_TILE, rows,
                                  _mm512_mul_ps(_mm512_cvtepi32_ps(dot), factor));
        }
}

/* One weight tile, all tokens under way.  Inputs from the last one to the end of an operand are
 * zero, so whatever is unpacked there adds nothing; it is readable, LAYOUT_SLACK. */
static void signs_tile(float *out, size_t out_stride, const struct linear *w, size_t tile,
                       const struct tokens *x, struct signs_work *k)
{
    const size_t operands = (w->cols + DEPTH - 1) / DEPTH;
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    for (size_t op = 0; op < operands; op += STRETCH) {
        size_t n = MIN(operands - op, (size_t)STRETCH);
        unpack_signs(codes + op * 2 * PLANE, n, k->codes[0]);
        for (size_t b = 0; b < x->n_blocks; b += 4) {
            if (op == 0)
                zero_sums();
            else
                load_sums(k->sums[b]);
            SIZED(multiply_signs, MIN(x->n_blocks - b, 4u), 4, k->codes[0], n, x, b, op * DEPTH);
            store_sums(k->sums[b]);
        }
    }
    deliver_signs(out, out_stride, w, tile, x, k->sums);
}

/* Not inlined, like the other one below: a hardened build touches every page of a frame, and calls
 * that go elsewhere need not pay for it. */
static __attribute__((noinline)) void signs_on_tiles(float *out, size_t out_stride,
                                                     const struct linear *w, size_t tile0,
                                                     size_t tile1, const struct acts *a,
                                                     size_t n_tokens)
{
    struct signs_work k;
    struct tokens x = {.a = a};
    while (take_tokens(&x, n_tokens))
        for (size_t tile = tile0; tile < tile1; tile++)
            signs_tile(out, out_stride, w, tile, &x, &k);
}

void amx_signs(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
               const struct acts *a, size_t n_tokens)
{
    if (n_tokens < LEAST_TOKENS)
        avx512_signs(out, out_stride, w, tile0, tile1, a, n_tokens);
    else
        signs_on_tiles(out, out_stride, w, tile0, tile1, a, n_tokens);
}

/* ------------------------------------------------------------------ BiLLM */

/* The sums of billm.inc, as tiles are numbered. */
enum { U, E, F, A, B, AB, SUMS };
enum { OPERANDS = BILLM_BLOCK / DEPTH };

/* A block of tokens by a group: what is on its way to y while tiles multiply the next one. */
struct due {
    const uint16_t *levels; /* NULL: nothing */
    size_t b, g;
    unsigned turn;
};

struct billm_work {
    int8_t codes[2][SUMS][OPERANDS]
                [OPERAND_BYTES] ALIGNED;      /* of this group and the next, in turn */
    int32_t sums[2][SUMS][TILE_INTS] ALIGNED; /* of this block and the last, in turn */
    float y[MOST_BLOCKS][TILE_INTS] ALIGNED;  /* the groups so far */
    struct due due;
};

/* Vector v of a group of which n columns are salient: which of its bytes are.  Byte 4 r + j is
 * column 4 v + j. */
INLINE __m512i salient_bytes(unsigned v, unsigned n)
{
    unsigned bits = n > 4 * v ? MIN(n - 4 * v, 4u) * 8 : 0;
    return _mm512_set1_epi32((int32_t)((UINT64_C(1) << bits) - 1));
}

/* A group of a weight tile; what is of the other kind of columns becomes zero. */
static void unpack_billm(const uint8_t *from, unsigned n, int8_t *to)
{
    enum { APART = OPERANDS * OPERAND_BYTES };
    const __m512i one = _mm512_set1_epi8(1);
    for (unsigned block = 0; block < BILLM_BLOCK / 4; block += BLOCK_VECTORS, from += 2 * PLANE) {
        __m512i first = _mm512_loadu_si512(from), second = _mm512_loadu_si512(from + PLANE);
        const bool salient = block / SIDE * DEPTH < n; /* in this operand */
        foreach (f, BLOCK_VECTORS) {
            __m512i a = _mm512_and_si512(_mm512_srli_epi16(first, f), one);
            __m512i b = _mm512_and_si512(_mm512_srli_epi16(second, f), one);
            if (salient) {
                __m512i inside = salient_bytes(block + f, n);
                _mm512_store_si512(to + U * APART, _mm512_and_si512(inside, one));
                _mm512_store_si512(to + E * APART, _mm512_and_si512(inside, a));
                _mm512_store_si512(to + F * APART, _mm512_and_si512(inside, b));
                a = _mm512_andnot_si512(inside, a);
                b = _mm512_andnot_si512(inside, b);
            }
            _mm512_store_si512(to + A * APART, a);
            _mm512_store_si512(to + B * APART, b);
            _mm512_store_si512(to + AB * APART, _mm512_and_si512(a, b));
            to += 64;
        }
    }
}

/* The six sums of a block of tokens. */
static void multiply_billm(int8_t codes[SUMS][OPERANDS][OPERAND_BYTES], const int8_t *q,
                           size_t stride, unsigned n, int32_t sums[SUMS][TILE_INTS])
{
    zero_sums();
    _tile_zero(4);
    _tile_zero(5);
    for (unsigned op = 0; op < OPERANDS; op++) {
        _tile_loadd(6, q + op * DEPTH, stride);
        if (op * DEPTH < n) {
            _tile_loadd(7, codes[U][op], 64);
            _tile_dpbssd(0, 6, 7);
            _tile_loadd(7, codes[E][op], 64);
            _tile_dpbssd(1, 6, 7);
            _tile_loadd(7, codes[F][op], 64);
            _tile_dpbssd(2, 6, 7);
        }
        _tile_loadd(7, codes[A][op], 64);
        _tile_dpbssd(3, 6, 7);
        _tile_loadd(7, codes[B][op], 64);
        _tile_dpbssd(4, 6, 7);
        _tile_loadd(7, codes[AB][op], 64);
        _tile_dpbssd(5, 6, 7);
    }
    store_sums(sums[0]);
    _tile_stored(4, sums[4], 64);
    _tile_stored(5, sums[5], 64);
}

/* What a group adds to a block of tokens. */
static void settle_billm(struct billm_work *k, const struct tokens *x)
{
    const uint16_t *levels = k->due.levels;
    if (!levels)
        return;
    billm_floats m[BILLM_LEVELS];
    foreach (i, BILLM_LEVELS)
        m[i] = billm_level(levels + i * LAYOUT_TILE);
    const size_t first = block_start(x, k->due.b);
    float *y = k->y[k->due.b];
    const int32_t *sums = k->sums[k->due.turn][0];
    for (size_t t = 0; t < x->block; t++, y += 16, sums += 16) {
        size_t at = (first + t) * x->a->n_groups + k->due.g;
        billm_floats s[SUMS], all = billm_whole(x->a->sum[at]);
        foreach (i, SUMS)
            s[i] = _mm512_cvtepi32_ps(_mm512_load_si512(sums + i * TILE_INTS));
        billm_floats v = billm_others(billm_salient(m, s + U, all), m, s + A);
        _mm512_store_ps(y, billm_fma(v, _mm512_set1_ps(x->a->step[at]), _mm512_load_ps(y)));
    }
}

/* One weight tile, all tokens under way. */
static void billm_tile(float *out, size_t out_stride, const struct linear *w, size_t tile,
                       const struct tokens *x, struct billm_work *k)
{
    const size_t group_bytes = w->tile_bytes / w->n_groups;
    const uint8_t *codes = w->codes + tile * w->tile_bytes;
    const uint16_t *levels = w->group_scales + tile * w->n_groups * BILLM_LEVELS * LAYOUT_TILE;
    memset(k->y, 0, x->n_blocks * sizeof k->y[0]);
    k->due = (struct due){0};
    unpack_billm(codes, w->n_salient[0], k->codes[0][0][0]);
    for (size_t g = 0; g < w->n_groups; g++) {
        codes += group_bytes;
        for (size_t i = 0; i < group_bytes; i += 64)
            _mm_prefetch((const char *)codes + group_bytes + i, _MM_HINT_T0);
        if (g + 1 < w->n_groups)
            unpack_billm(codes, w->n_salient[g + 1], k->codes[(g + 1) % 2][0][0]);
        for (size_t b = 0; b < x->n_blocks; b++) {
            unsigned turn = !k->due.turn;
            multiply_billm(k->codes[g % 2], block_acts(x, b) + g * BILLM_BLOCK, x->a->q_stride,
                           w->n_salient[g], k->sums[turn]);
            settle_billm(k, x);
            k->due = (struct due){levels, b, g, turn};
        }
        levels += BILLM_LEVELS * LAYOUT_TILE;
    }
    settle_billm(k, x);
    for (size_t b = 0; b < x->n_blocks; b++)
        for (size_t t = 0; t < x->block; t++)
            _mm512_mask_storeu_ps(out + (block_start(x, b) + t) * out_stride + tile * LAYOUT_TILE,
                                  avx512_rows(w, tile), _mm512_load_ps(k->y[b] + t * 16));
}

static __attribute__((noinline)) void billm_on_tiles(float *out, size_t out_stride,
                                                     const struct linear *w, size_t tile0,
                                                     size_t tile1, const struct acts *a,
                                                     size_t n_tokens)
{
    struct billm_work k;
    struct tokens x = {.a = a};
    while (take_tokens(&x, n_tokens))
        for (size_t tile = tile0; tile < tile1; tile++)
            billm_tile(out, out_stride, w, tile, &x, &k);
}

void amx_billm(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
               const struct acts *a, size_t n_tokens)
{
    if (n_tokens < LEAST_TOKENS)
        avx512_billm(out, out_stride, w, tile0, tile1, a, n_tokens);
    else
        billm_on_tiles(out, out_stride, w, tile0, tile1, a, n_tokens);
}
