/* SPDX-License-Identifier: MIT */
/*
 * layout.h - how ternary weights lie in memory while tritd runs, and the scales beside them.
 *
 * A linear layer W[rows, cols] is stored as tiles of 16 rows.  Inside a tile, 16 rows stand side by
 * side the way a vector register holds them: 64 code lanes of one byte, lane = 4 * row + j, so that
 * the four bytes of an int32 lane are four consecutive inputs of one output row.  A dot-product
 * instruction then needs no horizontal sum, and one unpacked register serves any number of tokens.
 *
 * Codes are trit + 1 in {0, 1, 2}; y = sum(code * q) - sum(q).
 *
 * LAYOUT_T2: a block is 16 rows x 16 columns in 64 bytes.  Bits 2f..2f+1 of byte 4r + j hold the code
 *   of row r, column 4f + j (f = 0..3).
 * LAYOUT_T5: a block is 16 rows x 12 columns in 40 bytes, five bits for three trits, 1.667 bits a
 *   weight.  The bytes form eight groups of five, little-endian 40-bit numbers; group g holds eight
 *   fields of five bits, field i at bits 5i..5i+4, for lane 8g + i = 4r + j.  A field is
 *   code(c) + 3 code(c + 4) + 9 code(c + 8) with c = j, columns counted from the block's first:
 *   trit t of the field belongs to column 4t + j.  It needs AVX512_VBMI to unpack at speed.
 *
 * Rows are cut in groups of `group` inputs that share one scale.  Either a row is one group, of any
 * length, or its groups are multiples of 64 inputs: what published models have, and what no vector of
 * codes and no operand of a matrix tile then crosses.  A block of LAYOUT_T5 may: groups follow each
 * other without a gap, 128 inputs being 32 vectors of four columns, ten blocks and two thirds.
 * A row as a whole is padded to whole blocks with trit 0; activations are padded alike with zeros and
 * thus add nothing.  Rows are padded to a multiple of 16.
 *
 * Blocks lie in order of column inside a tile, tiles in order of row.  The whole is followed by
 * LAYOUT_SLACK readable bytes, so that a kernel may load a full register at the last block.
 *
 * Scales, index (tile * n_groups + g) * 16 + row in tile: with one group f32, of which each row has
 * one even where the whole tensor shares it, 4 bytes against hundreds; with several binary16, as the
 * files have them, because they are read with every group: an eighth of a bit a weight for 128.
 */
#ifndef TRIT_LAYOUT_H
#define TRIT_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

enum layout_id {
    LAYOUT_T2 = 2,
    LAYOUT_T5 = 5,
};

enum {
    LAYOUT_TILE = 16,                /* rows of a tile */
    LAYOUT_SLACK = 64,               /* readable bytes behind the codes */
    LAYOUT_GROUP = 64,               /* what several groups are a multiple of */
    LAYOUT_COLS_MAX = (1 << 22) - 1, /* so that no int32 sum of code * activation can overflow */
};

/* A linear layer in run-time form.  codes and scales are borrowed from the segment, 64-aligned;
 * of the scales one is NULL. */
struct linear {
    enum layout_id layout;
    uint32_t rows, cols; /* outputs, inputs; cols is a multiple of group */
    uint32_t group;      /* inputs that share a scale */
    uint32_t n_groups;   /* cols / group */
    size_t tile_bytes;
    const uint8_t *codes;
    const float *scales;          /* one group */
    const uint16_t *group_scales; /* several: binary16 */
};

const char *layout_name(enum layout_id id); /* "t2", "t5" */
uint32_t layout_block_cols(enum layout_id id);
size_t layout_block_bytes(enum layout_id id);

/*
 * Fill the shape fields of *w (codes and scales NULL).  Asserted, so a loader checks before: rows and
 * cols are at least 1, cols is at most LAYOUT_COLS_MAX, group is cols or divides it and is a multiple
 * of LAYOUT_GROUP.
 */
void layout_shape(struct linear *w, enum layout_id id, uint32_t rows, uint32_t cols,
                  uint32_t group);

uint32_t layout_tiles(const struct linear *w);     /* rows / 16, rounded up */
uint32_t layout_acts(const struct linear *w);      /* cols in whole blocks: padded inputs */
size_t layout_code_bytes(const struct linear *w);  /* with slack */
size_t layout_scale_bytes(const struct linear *w);

/* dst[cols] = row `row` as floats, code by code: for a look-up. */
void layout_row(const struct linear *w, uint32_t row, float *dst);

/*
 * Pack one tile: trits[16][cols], rows beyond the matrix zero; dst receives tile_bytes.
 * layout_unpack_tile is the exact inverse (the specification of reading, used by tests).
 */
void layout_pack_tile(const struct linear *w, const int8_t *trits, uint8_t *dst);
void layout_unpack_tile(const struct linear *w, const uint8_t *src, int8_t *trits);

#endif
