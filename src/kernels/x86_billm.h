/* SPDX-License-Identifier: MIT */
/*
 * x86_billm.h - BiLLM's product for AVX2 and AVX-512: the walk over columns, written once.
 *
 * A file that includes it has said before what its registers are, beside what billm.h wants:
 *
 *     BILLM_TOKENS, BILLM_ROWS   tokens at once, and rows of a register
 *     billm_bits                 four bytes of each row, as a vector of uint16_t
 *     billm_part                 a sum of each row; all zeros is 0
 *     billm_dot(part, code, x)   and four codes of 0 or 1 of each row by four activations
 *     billm_sum(part)            a sum over a group, as floats
 *     billm_acts(q, mask)        four activations of a token, of which the mask leaves these, for
 *                                each row
 *     billm_each(x)              a float in every lane
 *     billm_whole(i)             an integer as a float in every lane
 *     billm_level(levels)        binary16 numbers of the rows
 *     billm_store(out, n, v)     to the first min(n, BILLM_ROWS) floats
 *     billm_prefetch(p)          a line that will be wanted after some blocks
 */
#ifndef TRIT_KERNELS_X86_BILLM_H
#define TRIT_KERNELS_X86_BILLM_H

#include "kernels/billm.h"

enum {
    BILLM_PLANE = 64, /* bytes of a block of a plane */
    BILLM_COLS = 32,  /* and columns */
    BILLM_BLOCKS = BILLM_BLOCK / BILLM_COLS,
};

INLINE billm_bits billm_load(const uint8_t *block)
{
    billm_bits bits;
    __builtin_memcpy(&bits, block, sizeof bits);
    return bits;
}

/* Columns [col, col + 4), of which the bits are the lowest of each byte; of the activations what
 * the mask leaves. */
INLINE void billm_add_four(billm_part part[BILLM_TOKENS][BILLM_SUMS], billm_bits first,
                           billm_bits second, const int8_t *const q[BILLM_TOKENS], size_t col,
                           uint32_t mask, const enum billm_kind kind, const unsigned tokens)
{
    const bool salient = kind == BILLM_SALIENT;
    billm_bits one = (billm_bits){0} + 0x0101, a = first & one, b = second & one;
    billm_bits code[BILLM_SUMS] = {salient ? one : a, salient ? a : b, salient ? b : a & b};
    foreach (t, tokens) {
        billm_bits x = billm_acts(q[t] + col, mask);
        foreach (i, BILLM_SUMS)
            part[t][i] = billm_dot(part[t][i], code[i], x);
    }
}

/* Of a block the last n of its eight vectors of four columns, or of salient columns the first n.
 * One jump into a straight line: loops of so few turns are mispredicted at their ends. */
INLINE void billm_add_vectors(billm_part part[BILLM_TOKENS][BILLM_SUMS], const uint8_t *block,
                              const int8_t *const q[BILLM_TOKENS], size_t col, unsigned n,
                              const enum billm_kind kind, const unsigned tokens)
{
    const billm_bits first = billm_load(block), second = billm_load(block + BILLM_PLANE);
    switch (n) {
#define VECTOR(left)                                                                               \
    case left: {                                                                                   \
        const unsigned f = kind == BILLM_SALIENT ? (left)-1 : 8 - (left);                          \
        billm_add_four(part, first >> f, second >> f, q, col + 4 * f, UINT32_MAX, kind, tokens);   \
    }                                                                                              \
        __attribute__((fallthrough))
        VECTOR(8);
        VECTOR(7);
        VECTOR(6);
        VECTOR(5);
        VECTOR(4);
        VECTOR(3);
        VECTOR(2);
        VECTOR(1);
#undef VECTOR
    case 0:
        break;
    }
}

/* The vector of four columns that n salient ones end in, n % 4 of it. */
INLINE void billm_add_shared(billm_part part[BILLM_TOKENS][BILLM_SUMS], const uint8_t *codes,
                             const int8_t *const q[BILLM_TOKENS], unsigned n,
                             const enum billm_kind kind, const unsigned tokens)
{
    const uint8_t *block = codes + n / BILLM_COLS * 2 * BILLM_PLANE;
    const uint16_t shift = n % BILLM_COLS / 4;
    const uint32_t others = UINT32_MAX << 8 * (n % 4);
    billm_add_four(part, billm_load(block) >> shift, billm_load(block + BILLM_PLANE) >> shift, q,
                   n & ~3u, kind == BILLM_SALIENT ? ~others : others, kind, tokens);
}

/* The sums of the columns of one kind in a group, of which n are salient. */
INLINE void billm_add_columns(billm_part part[BILLM_TOKENS][BILLM_SUMS], const uint8_t *codes,
                              const int8_t *const q[BILLM_TOKENS], unsigned n,
                              const enum billm_kind kind, const unsigned tokens)
{
    foreach (i, tokens * BILLM_SUMS)
        part[i / BILLM_SUMS][i % BILLM_SUMS] = (billm_part){0};
    unsigned col = kind == BILLM_SALIENT ? 0 : (n + 3) / 4 * 4;
    unsigned end = kind == BILLM_SALIENT ? n / 4 * 4 : BILLM_BLOCK;
    while (col < end) {
        unsigned block = col / BILLM_COLS, stop = MIN(end, (block + 1) * BILLM_COLS);
        billm_add_vectors(part, codes + block * 2 * BILLM_PLANE, q, block * BILLM_COLS,
                          (stop - col) / 4, kind, tokens);
        col = stop;
    }
    if (n % 4 != 0)
        billm_add_shared(part, codes, q, n, kind, tokens);
}

/* Rows [first, first + BILLM_ROWS) of one tile, tokens [token, token + tokens). */
INLINE void billm_block(float *out, size_t out_stride, const struct linear *w, size_t tile,
                        const unsigned first, const struct acts *acts, size_t token,
                        const unsigned tokens)
{
    const uint8_t *codes = w->codes + tile * w->tile_bytes + 4 * first;
    const uint16_t *levels =
        w->group_scales + tile * w->n_groups * BILLM_LEVELS * LAYOUT_TILE + first;
    billm_floats acc[BILLM_TOKENS];
    foreach (t, tokens)
        acc[t] = (billm_floats){0};
    for (size_t g = 0; g < w->n_groups; g++) {
        const int8_t *q[BILLM_TOKENS];
        billm_part part[BILLM_TOKENS][BILLM_SUMS];
        billm_floats m[BILLM_LEVELS], v[BILLM_TOKENS];
        foreach (i, BILLM_BLOCKS * 2)
            billm_prefetch(codes + i * BILLM_PLANE);
        foreach (i, BILLM_LEVELS * LAYOUT_TILE * sizeof *levels / 64)
            billm_prefetch((const uint8_t *)levels + i * 64);
        foreach (t, tokens)
            q[t] = acts->q + (token + t) * acts->q_stride + g * BILLM_BLOCK;

        billm_add_columns(part, codes, q, w->n_salient[g], BILLM_SALIENT, tokens);
        foreach (i, BILLM_LEVELS)
            m[i] = billm_level(levels + i * LAYOUT_TILE);
        foreach (t, tokens) {
            int32_t all = acts->sum[(token + t) * acts->n_groups + g];
            billm_floats sum[BILLM_SUMS];
            foreach (i, BILLM_SUMS)
                sum[i] = billm_sum(part[t][i]);
            v[t] = billm_salient(m, sum, billm_whole(all));
        }
        billm_add_columns(part, codes, q, w->n_salient[g], BILLM_OTHERS, tokens);
        foreach (t, tokens) {
            float step = acts->step[(token + t) * acts->n_groups + g];
            billm_floats sum[BILLM_SUMS];
            foreach (i, BILLM_SUMS)
                sum[i] = billm_sum(part[t][i]);
            v[t] = billm_others(v[t], m, sum);
            acc[t] = billm_fma(v[t], billm_each(step), acc[t]);
        }
        codes += BILLM_BLOCKS * 2 * BILLM_PLANE;
        levels += BILLM_LEVELS * LAYOUT_TILE;
    }
    size_t row = tile * LAYOUT_TILE + first;
    foreach (t, tokens)
        if (w->rows > row)
            billm_store(out + (token + t) * out_stride + row, w->rows - row, acc[t]);
}

/* The `billm` of an instruction set. */
INLINE void billm_walk(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                       size_t tile1, const struct acts *a, size_t n_tokens)
{
    for (size_t tile = tile0; tile < tile1; tile++)
        for (unsigned first = 0; first < LAYOUT_TILE; first += BILLM_ROWS)
            for (size_t token = 0, n; token < n_tokens; token += n) {
                n = even_share(n_tokens - token, BILLM_TOKENS);
                SIZED(billm_block, n, BILLM_TOKENS, out, out_stride, w, tile, first, a, token);
            }
}

#endif
