/* SPDX-License-Identifier: MIT */
/*
 * quant-tiles.c - TL1 and TL2, the encodings for look-up tables of bitnet.cpp.
 *
 * Codes lie in the order in which the kernels of one build read them: in tiles whose sizes were
 * compiled in and that no file tells.  Digits below are named from the outside in, the slowest
 * first; M rows, K columns, tiles of bm rows and bk columns, inside them bands of `band` rows.
 *
 * TL1 (ARM): a pair of neighbours (a, b) is the nibble 3a + b + 4; a byte holds two pairs.  Digits:
 * tile of rows, tile of columns, band, and in it 256 / band columns at a time: 16 rows of the band,
 * four columns, row.
 *
 * TL2 (x86): all but the last K mod bk columns in triples (a, b, c), of which the nibble is
 * |9a + 3b + c| and a bit the sign; then the rest in pairs as above, in tiles of 32 columns.  First
 * all nibbles: tile of rows, tile of columns, band of 32 rows, six columns, row, where the second
 * and third run of eight rows are exchanged.  Then the signs, 16 bits for 24 columns: tile of rows,
 * tile of columns, band, 24 columns, row of the band modulo 16; the highest bit is that of the
 * first triple of the first row, the next that of the same triple 16 rows on.  Then the pairs: tile
 * of rows, 32 columns, band, four columns, row, exchanged likewise.  Zeros follow up to the length
 * that a tensor has whatever its tiles.
 *
 * Source: BitNet (utils/convert-hf-to-gguf-bitnet.py).
 */
#include "config.h"
#include "model/quant.h"

#include "base/base.h"

enum { NO_TRIT = 2, PAIR_COLS = 32 };

uint64_t quant_tl2_code_bytes(uint64_t rows, uint64_t cols)
{
    /* The products must fit, which the caller has seen to: rows * cols < 2^63. */
    return (cols - 256) * rows / 3 * 5 / 8 + 256 * rows / 2 * 4 / 8;
}

const char *quant_tiles_problem(const struct quant_info *q, const struct quant_tiles *t,
                                uint64_t rows, uint64_t cols)
{
    bool two = q->type == QUANT_TL2;
    if (!t->bm || !t->bk || !t->band || rows % t->bm || t->bm % t->band)
        return "the rows are no multiple of BM, or BM is none of BMM";
    if (!two && (t->band != 32 && t->band != 64))
        return "BMM is neither 32 nor 64";
    if (!two && (cols % t->bk || t->bk % (256 / t->band)))
        return "the columns are no multiple of BK, or BK is none of 256 / BMM";
    if (!two)
        return NULL;
    uint64_t rest = cols % t->bk, triples = cols - rest;
    if (t->band != 32 || t->bk % 24 || rest % PAIR_COLS)
        return "BMM is not 32, BK no multiple of 24, or columns mod BK none of 32";
    if (triples * rows / 6 + triples * rows / 24 + rest * rows / 4 >
        quant_tl2_code_bytes(rows, cols))
        return "the codes would be longer than the tensor";
    return NULL;
}

/* The trits of a nibble that is a pair, and of one that is the size of a triple. */
static const int8_t pairs_of[16][2] = {{-1, -1},
                                       {-1, 0},
                                       {-1, 1},
                                       {0, -1},
                                       {0, 0},
                                       {0, 1},
                                       {1, -1},
                                       {1, 0},
                                       {1, 1},
                                       {NO_TRIT, NO_TRIT},
                                       {NO_TRIT, NO_TRIT},
                                       {NO_TRIT, NO_TRIT},
                                       {NO_TRIT, NO_TRIT},
                                       {NO_TRIT, NO_TRIT},
                                       {NO_TRIT, NO_TRIT},
                                       {NO_TRIT, NO_TRIT}};
static const int8_t triples_of[16][3] = {{0, 0, 0},
                                         {0, 0, 1},
                                         {0, 1, -1},
                                         {0, 1, 0},
                                         {0, 1, 1},
                                         {1, -1, -1},
                                         {1, -1, 0},
                                         {1, -1, 1},
                                         {1, 0, -1},
                                         {1, 0, 0},
                                         {1, 0, 1},
                                         {1, 1, -1},
                                         {1, 1, 0},
                                         {1, 1, 1},
                                         {NO_TRIT, NO_TRIT, NO_TRIT},
                                         {NO_TRIT, NO_TRIT, NO_TRIT}};

/* Two pairs of a byte; true: both are some. */
static bool put_pairs(uint8_t byte, int8_t *dst)
{
    dst[0] = pairs_of[byte >> 4][0];
    dst[1] = pairs_of[byte >> 4][1];
    dst[2] = pairs_of[byte & 15][0];
    dst[3] = pairs_of[byte & 15][1];
    return (byte >> 4) < 9 && (byte & 15) < 9;
}

/* A sign without a value is none that a writer makes: what is read there is something else. */
static bool put_triple(unsigned nibble, bool negative, int8_t *dst)
{
    bool good = nibble < 14 && !(negative && nibble == 0);
    for (int k = 0; k < 3; k++)
        dst[k] = (int8_t)(!good      ? NO_TRIT
                          : negative ? -triples_of[nibble][k]
                                     : triples_of[nibble][k]);
    return good;
}

static bool tl1_row(const uint8_t *codes, const struct quant_tiles *t, uint64_t cols, uint64_t row,
                    int8_t *dst)
{
    uint64_t mb = row / t->bm, mo = row % t->bm / t->band, g = row % t->band / 16, lane = row % 16;
    uint64_t by = 256 / t->band, bands = t->bm / t->band, runs = t->bk / by;
    bool good = true;
    for (uint64_t kb = 0; kb < cols / t->bk; kb++)
        for (uint64_t ko = 0; ko < runs; ko++) {
            uint64_t run = ((mb * (cols / t->bk) + kb) * bands + mo) * runs + ko;
            const uint8_t *p = codes + (run * (t->band / 16) + g) * (by / 4) * 16 + lane;
            for (uint64_t c = 0; c < by; c += 4, p += 16, dst += 4)
                good &= put_pairs(*p, dst);
        }
    return good;
}

/* Where a row of a band of 32 stands: the runs of eight 0, 2, 1, 3. */
static uint64_t tl2_lane(uint64_t row)
{
    static const uint8_t run[4] = {0, 2, 1, 3};
    return 8 * run[row % 32 / 8] + row % 8;
}

/* 24 columns, of which the signs of a row are in one word. */
static bool tl2_triples(const uint8_t *sizes, const uint8_t *word, unsigned half, int8_t *dst)
{
    unsigned signs = (unsigned)(word[0] | word[1] << 8) << half;
    bool good = true;
    for (int i = 0; i < 4; i++, sizes += 32, dst += 6, signs <<= 4) {
        good &= put_triple(*sizes >> 4, signs >> 15 & 1, dst);
        good &= put_triple(*sizes & 15, signs >> 13 & 1, dst + 3);
    }
    return good;
}

static bool tl2_row(const uint8_t *codes, const struct quant_tiles *t, uint64_t rows, uint64_t cols,
                    uint64_t row, int8_t *dst)
{
    uint64_t rest = cols % t->bk, triples = cols - rest, bands = t->bm / 32;
    const uint8_t *signs = codes + rows * triples / 6, *pairs = signs + rows * triples / 24;
    uint64_t mb = row / t->bm, mo = row % t->bm / 32, lane = tl2_lane(row);
    unsigned half = row % 32 / 16;
    bool good = true;
    for (uint64_t kb = 0; kb < triples / t->bk; kb++)
        for (uint64_t so = 0; so < t->bk / 24; so++, dst += 24) {
            uint64_t at = ((mb * (triples / t->bk) + kb) * bands + mo) * (t->bk / 24) + so;
            good &= tl2_triples(codes + at * 4 * 32 + lane, signs + (at * 16 + row % 16) * 2, half,
                                dst);
        }
    for (uint64_t kb = 0; kb < rest / PAIR_COLS; kb++) {
        uint64_t at = (mb * (rest / PAIR_COLS) + kb) * bands + mo;
        const uint8_t *p = pairs + at * (PAIR_COLS / 4) * 32 + lane;
        for (int c = 0; c < PAIR_COLS; c += 4, p += 32, dst += 4)
            good &= put_pairs(*p, dst);
    }
    return good;
}

int quant_tile_trits(const struct quant_info *q, const uint8_t *codes, const struct quant_tiles *t,
                     uint64_t rows, uint64_t cols, uint64_t row, uint32_t n, int8_t *trits)
{
    bool good = true;
    trit_assert(row <= rows && n <= rows - row && !quant_tiles_problem(q, t, rows, cols));
    for (uint32_t r = 0; r < n; r++)
        good &= q->type == QUANT_TL1 ? tl1_row(codes, t, cols, row + r, trits + r * cols)
                                     : tl2_row(codes, t, rows, cols, row + r, trits + r * cols);
    return good ? 0 : -TRIT_EFORMAT;
}
