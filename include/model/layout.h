/* SPDX-License-Identifier: MIT */
/*
 * layout.h - how ternary weights, and those of other methods (model/method.h), lie in memory while
 * tritd runs, and the scales beside them.
 *
 * A linear layer W[rows, cols] is stored as tiles of 16 rows.  Inside a tile, 16 rows stand side by
 * side the way a vector register holds them: 64 code lanes of one byte, lane = 4 * row + j, so that
 * the four bytes of an int32 lane are four consecutive inputs of one output row.  A dot-product
 * instruction then needs no horizontal sum, and one unpacked register serves any number of tokens.
 *
 * Codes are trit + 1 in {0, 1, 2}; y = sum(code * q) - sum(q).
 *
 * LAYOUT_T2: a block is 16 rows x 16 columns in 64 bytes.  Bits 2f..2f+1 of byte 4r + j hold the
 *   code of row r, column 4f + j (f = 0..3).
 * LAYOUT_T5: a block is 16 rows x 12 columns in 40 bytes, five bits for three trits, 1.667 bits a
 *   weight.  The bytes form eight groups of five, little-endian 40-bit numbers; group g holds eight
 *   fields of five bits, field i at bits 5i..5i+4, for lane 8g + i = 4r + j.  A field is
 *   code(c) + 3 code(c + 4) + 9 code(c + 8) with c = j, columns counted from the block's first:
 *   trit t of the field belongs to column 4t + j.  It needs AVX512_VBMI to unpack at speed.
 *
 * LAYOUT_S1, of signs: a block is 16 rows x 32 columns in 64 bytes.  Bit f of byte 4r + j is that
 *   of row r, column 4f + j (f = 0..7), set for +1; y = 2 sum(bit * q) - sum(q).
 * LAYOUT_S2, of BiLLM: a block is 16 rows x 32 columns in 128 bytes: first the plane of the signs s
 *   as in LAYOUT_S1, then a second plane alike, set where t is +1 of a salient column, and where a
 *   weight is one of the large ones of another.  In each group the salient columns come first, in
 *   the order of the file, then the others: so a vector of four columns is of one kind, but for one
 *   of a group at most, and has the sums of that kind alone.  Inputs are put into the same order
 *   before they are quantised, kernels_arrange().
 *
 * Rows are cut in groups of `group` inputs that share one scale.  Either a row is one group, of any
 * length, or its groups are multiples of 64 inputs: what published models have, and what no vector
 * of codes and no operand of a matrix tile then crosses.  A block of LAYOUT_T5 may: groups follow
 * each other without a gap, 128 inputs being 32 vectors of four columns, ten blocks and two thirds.
 * A row as a whole is padded to whole blocks with trit 0; activations are padded alike with zeros
 * and thus add nothing.  Rows are padded to a multiple of 16.
 *
 * Blocks lie in order of column inside a tile, tiles in order of row.  The whole is followed by
 * LAYOUT_SLACK readable bytes, so that a kernel may load a full register at the last block.
 *
 * Scales, index (tile * n_groups + g) * 16 + row in tile: with one group f32, of which each row has
 * one even where the whole tensor shares it, 4 bytes against hundreds; with several binary16, as
 * the files have them, because they are read with every group: an eighth of a bit a weight for 128.
 * Of LAYOUT_S2 a group is BILLM_BLOCK inputs, also where it is the only one, and has seven
 * binary16, the levels of model/method.h, index ((tile * n_groups + g) * 7 + level) * 16 + row in
 * tile.
 */
#ifndef TRIT_LAYOUT_H
#define TRIT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum layout_id {
    LAYOUT_S1 = 1,
    LAYOUT_S2 = 3,
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
    const uint16_t *group_scales; /* several, and levels: binary16 */

    /* What other methods than ternary have beside: model/method.h.  Kernels read n_salient
     * alone. */
    const uint8_t *order;         /* LAYOUT_S2: [cols], which column of its group lies there */
    const uint8_t *n_salient;     /* LAYOUT_S2: [n_groups], how many of a group are salient */
    const float *in_factor;       /* [cols] or NULL: inputs are multiplied by it */
    const float *in_norm, *in_bias; /* [cols] or both NULL: LayerNorm of the inputs */
    const float *in_rms; /* [cols] or NULL: RMSNorm of the inputs, also of ternary linears */
    const float *signs;           /* [cols] or NULL: inputs are rotated, see model/rotation.h */
    bool out_norm;                /* LayerNorm of the outputs, without weights */
};

const char *layout_name(enum layout_id id); /* "t2", "t5", "s1", "s2" */
uint32_t layout_block_cols(enum layout_id id);
size_t layout_block_bytes(enum layout_id id);

/*
 * Fill the shape fields of *w (codes and scales NULL).  Asserted, so a loader checks before: rows
 * and cols are at least 1, cols is at most LAYOUT_COLS_MAX, group is cols or divides it and is a
 * multiple of LAYOUT_GROUP; of LAYOUT_S1 it is cols, of LAYOUT_S2 BILLM_BLOCK.
 */
void layout_shape(struct linear *w, enum layout_id id, uint32_t rows, uint32_t cols,
                  uint32_t group);

uint32_t layout_tiles(const struct linear *w);     /* rows / 16, rounded up */
uint32_t layout_acts(const struct linear *w);      /* cols in whole blocks: padded inputs */
size_t layout_code_bytes(const struct linear *w);  /* with slack */
size_t layout_scale_bytes(const struct linear *w);

/* dst[cols] = row `row` of ternary weights as floats, code by code: for a look-up. */
void layout_row(const struct linear *w, uint32_t row, float *dst);

/* Whether one scale serves a whole row. */
static inline bool layout_one_scale(const struct linear *w)
{
    return w->n_groups == 1 && w->layout != LAYOUT_S2;
}

/* Scales of a row and group: 1, or the levels of LAYOUT_S2. */
uint32_t layout_levels(const struct linear *w);

/*
 * Pack one tile: trits[16][cols], rows beyond the matrix zero; dst receives tile_bytes.  Of
 * LAYOUT_S1 the trits are signs, and what is not +1 counts as -1.  LAYOUT_S2 has layout_pack_planes
 * instead.  layout_unpack_tile is the exact inverse (the specification of reading, used by tests).
 */
void layout_pack_tile(const struct linear *w, const int8_t *trits, uint8_t *dst);
void layout_unpack_tile(const struct linear *w, const uint8_t *src, int8_t *trits);

/* Pack one tile of LAYOUT_S2: both planes [16][cols] of -1 and +1, of which +1 is set; their
 * columns are in the order of the layout. */
void layout_pack_planes(const struct linear *w, const int8_t *first, const int8_t *second,
                        uint8_t *dst);

#endif
