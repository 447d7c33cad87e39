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

static bool put_pair(unsigned nibble, int8_t *dst)
{
    if (nibble > 8) {
        dst[0] = dst[1] = NO_TRIT;
        return false;
    }
    dst[0] = (int8_t)((int)(nibble / 3) - 1);
    dst[1] = (int8_t)((int)(nibble % 3) - 1);
    return true;
}

/* A sign without a value is none that a writer makes: what is read there is something else. */
static bool put_triple(unsigned nibble, bool negative, int8_t *dst)
{
    int v = negative ? -(int)nibble : (int)nibble;
    if (nibble > 13 || (negative && nibble == 0)) {
        dst[0] = dst[1] = dst[2] = NO_TRIT;
        return false;
    }
    for (int k = 2; k >= 0; k--) { /* balanced digits, the last one first */
        int digit = ((v % 3) + 4) % 3 - 1;
        dst[k] = (int8_t)digit;
        v = (v - digit) / 3;
    }
    return true;
}

static bool tl1_row(const uint8_t *codes, const struct quant_tiles *t, uint64_t cols, uint64_t row,
                    int8_t *dst)
{
    uint64_t mb = row / t->bm, mo = row % t->bm / t->band, g = row % t->band / 16, lane = row % 16;
    uint64_t by = 256 / t->band;
    bool good = true;
    for (uint64_t c = 0; c < cols; c += 4) {
        uint64_t kb = c / t->bk, qo = c % t->bk / by, qh = c % by / 4;
        uint64_t at = mb;
        at = at * (cols / t->bk) + kb;
        at = at * (t->bm / t->band) + mo;
        at = at * (t->bk / by) + qo;
        at = at * (t->band / 16) + g;
        at = at * (by / 4) + qh;
        uint8_t byte = codes[at * 16 + lane];
        good &= put_pair(byte >> 4, dst + c);
        good &= put_pair(byte & 15, dst + c + 2);
    }
    return good;
}

/* Where a row of a band of 32 stands: the runs of eight 0, 2, 1, 3. */
static uint64_t tl2_lane(uint64_t row)
{
    static const uint8_t run[4] = {0, 2, 1, 3};
    return 8 * run[row % 32 / 8] + row % 8;
}

static bool tl2_row(const uint8_t *codes, const struct quant_tiles *t, uint64_t rows, uint64_t cols,
                    uint64_t row, int8_t *dst)
{
    uint64_t rest = cols % t->bk, triples = cols - rest, bands = t->bm / 32;
    const uint8_t *signs = codes + rows * triples / 6, *pairs = signs + rows * triples / 24;
    uint64_t mb = row / t->bm, mo = row % t->bm / 32, lane = tl2_lane(row);
    unsigned half = row % 32 / 16;
    bool good = true;
    for (uint64_t c = 0; c < triples; c += 3) {
        uint64_t tile = (mb * (triples / t->bk) + c / t->bk) * bands + mo, in = c % t->bk;
        uint8_t byte = codes[(tile * (t->bk / 6) + in / 6) * 32 + lane];
        const uint8_t *word = signs + ((tile * (t->bk / 24) + in / 24) * 16 + row % 16) * 2;
        unsigned bit = 15 - (2 * (unsigned)(in % 24 / 3) + half);
        bool negative = (word[0] | word[1] << 8) >> bit & 1;
        good &= put_triple(in % 6 ? byte & 15 : byte >> 4, negative, dst + c);
    }
    for (uint64_t c = 0; c < rest; c += 4) {
        uint64_t tile = (mb * (rest / PAIR_COLS) + c / PAIR_COLS) * bands + mo;
        uint8_t byte = pairs[(tile * (PAIR_COLS / 4) + c % PAIR_COLS / 4) * 32 + lane];
        good &= put_pair(byte >> 4, dst + triples + c);
        good &= put_pair(byte & 15, dst + triples + c + 2);
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
