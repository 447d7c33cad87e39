/* SPDX-License-Identifier: MIT */
/*
 * quant.h - the tensor encodings found in model files, as pure functions over bytes.
 *
 * Two families: value encodings (floats, and the block quantisations used for embeddings and heads)
 * decode to float; ternary encodings decode to trits in {-1, 0, +1} and scales.  Sources: the GGUF
 * sources of llama.cpp (ggml-common.h, ggml-quants.c), for I2_S those of bitnet.cpp
 * (ggml-bitnet-mad.cpp), for Q1_0, PQ2_0 and PTQ1_0 those of PrismML's llama.cpp, in which the
 * Bonsai models are published.  All little-endian.
 *
 * Q2_0 and PQ2_0 differ in nothing but the values that share a scale, 64 and 128.  Before PQ2_0 had
 * an id of its own it was written under that of Q2_0, so files with this id are of one kind or the
 * other; gguf_open tells them apart by the length of their tensors.
 *
 * IQ1_BN, IQ2_BN and IQ2_BN_R4 are those of ik_llama.cpp (ggml-common.h, iqk_quantize.cpp), TL1 and
 * TL2 those of bitnet.cpp (convert-hf-to-gguf-bitnet.py).
 *
 * Not here: files, shapes, where a tensor lies.
 */
#ifndef TRIT_QUANT_H
#define TRIT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trit_error;

/* Type ids as GGUF writes them.  Ids 36 and up mean different things in different forks; ours are
 * the meanings that published ternary files use. */
enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q8_0 = 8,
    QUANT_Q4_K = 12,
    QUANT_Q6_K = 14,
    QUANT_I8 = 24,
    QUANT_BF16 = 30,
    QUANT_TQ1_0 = 34,
    QUANT_TQ2_0 = 35,
    QUANT_I2_S = 36,
    QUANT_TL1 = 38,
    QUANT_TL2 = 39,
    QUANT_Q1_0 = 41,
    QUANT_Q2_0 = 42,
    QUANT_IQ1_BN = 134,
    QUANT_IQ2_BN = 135,
    QUANT_PQ2_0 = 142,
    QUANT_PTQ1_0 = 143,
    QUANT_IQ2_BN_R4 = 335,
    QUANT_INNER = 0x10000, /* from here on ids are ours, and no GGUF file may use them */
    QUANT_HF_U8 = QUANT_INNER,
    QUANT_I2_S_ARM, /* what other builds of bitnet.cpp write under the id of I2_S (gguf_read_as) */
    QUANT_I2_S_FOUR,
    QUANT_SIGNS, /* of the methods in model/method.h */
    QUANT_F32_TERNARY, /* floats that are -d, 0 and d in each group of 128; d is the scale */
    QUANT_F16_TERNARY,
    QUANT_BF16_TERNARY,
    QUANT_NONE = UINT32_MAX, /* no type at all */
};

struct quant_info {
    const char *name;      /* "TQ1_0" */
    uint32_t type;         /* enum quant_type */
    uint32_t block_values; /* values in a block; the row length must be a multiple */
    uint32_t block_bytes;  /* bytes of a block; 0: not a row of blocks with a scale in each, but one
                            * of the encodings for model/rows.h, which have one for a row or
                            * tensor */
    bool ternary;          /* decodes to trits rather than with quant_floats */
    uint8_t row_bytes;     /* where a row has its scale: bytes of that in front of it, */
    uint8_t row_block;     /* and for block_values of its values; */
    uint8_t row_run;       /* and so many rows lie together */
};

/* NULL when tritd does not know the type. */
const struct quant_info *quant_find(uint32_t type);

/*
 * Bytes of a tensor of `rows` rows of `cols` values, both >= 1.  I2_S and TL1: rows * cols / 4 +
 * 32, HF_U8: rows / 4 * cols.  -TRIT_EFORMAT when cols is not a multiple of the block or rows not
 * of what lies together, -TRIT_ETOOBIG on overflow.
 */
int quant_tensor_bytes(const struct quant_info *q, uint64_t rows, uint64_t cols, uint64_t *bytes);

/* Decode n values (a multiple of block_values) of a value encoding. */
void quant_floats(const struct quant_info *q, const void *src, float *dst, size_t n);

/*
 * Decode n trits (a multiple of block_values) of a ternary encoding with block_bytes.  scales
 * receives one float for each block.  -TRIT_EFORMAT on a code that stands for no trit.  Q1_0 and
 * SIGNS have no zeros; the scales of SIGNS are 1.
 */
int quant_trits(const struct quant_info *q, const void *src, int8_t *trits, float *scales,
                size_t n);

/* The scale alone of such a block. */
float quant_block_scale(const struct quant_info *q, const void *block);

/*
 * Floats that are ternary already, a scale for each group of 128: how the Ternary Bonsai family is
 * published for training and for other engines.  F32, F16 or BF16 read so, and back; NULL for any
 * other encoding.
 */
const struct quant_info *quant_ternary_floats(const struct quant_info *q);
const struct quant_info *quant_of_floats(const struct quant_info *q);

/* The first of n values that is neither 0 nor of the size of the first that is not 0; n: there is
 * none.  size: that one's, 0 of zeros. */
size_t quant_odd_value(const float *w, size_t n, float *size);

/*
 * I2_S, canonical layout: blocks of 128 values over the flattened tensor.  Decodes the values
 * [first, first + n) of a tensor of `total` values whose code bytes start at `codes` (the whole
 * code area, total / 4 bytes); any phase is allowed.  -TRIT_EFORMAT on code 3.
 */
int quant_i2s_trits(const uint8_t *codes, uint64_t total, uint64_t first, int8_t *trits, size_t n);

/*
 * HF_U8, the packed linears of Hugging Face folders (transformers, integrations/bitnet.py): rows in
 * four quarters that lie over each other.  Packed row p of `cols` bytes holds in bits 2i..2i+1 of
 * byte c the code of row i * rows / 4 + p, column c.  Decodes n values of the field `quarter`, 0 to
 * 3.  -TRIT_EFORMAT on code 3.
 */
int quant_hf_u8_trits(const uint8_t *packed, unsigned quarter, int8_t *trits, size_t n);

/*
 * Two more arrangements of I2_S, of builds of bitnet.cpp: for ARM blocks of 64 values and 16 bytes,
 * values [first, first + n) of the flattened tensor; without ACT_PARALLEL the codes of four rows in
 * a byte, n rows of `cols` from a multiple of four on, of which `codes` is the beginning.
 * -TRIT_EFORMAT on code 3, for which the trit is 2; so it is in all that follows here.
 */
int quant_i2s_arm_trits(const uint8_t *codes, uint64_t first, int8_t *trits, size_t n);
int quant_i2s_four_trits(const uint8_t *codes, uint64_t cols, uint32_t n, int8_t *trits);

/*
 * IQ1_BN, IQ2_BN, IQ2_BN_R4: rows with a scale each.  n rows, a multiple of q->row_run, from such a
 * multiple on; `rows` is where they begin.
 */
bool quant_by_rows(const struct quant_info *q);
uint64_t quant_row_bytes(const struct quant_info *q, uint64_t cols); /* the mean of a run's */
int quant_row_trits(const struct quant_info *q, const uint8_t *rows, uint64_t cols, uint32_t n,
                    int8_t *trits, float *scales);

/* Tiles of TL1 and TL2: BM rows by BK columns, in bands of BMM rows, as bitnet.cpp's
 * kernel_config.ini calls them; of tensors of this shape, or of any where rows is 0. */
struct quant_tiles {
    uint64_t rows, cols;
    uint32_t bm, bk, band;
};

/* Why a tensor of this shape cannot have these tiles; NULL: it can. */
const char *quant_tiles_problem(const struct quant_info *q, const struct quant_tiles *t,
                                uint64_t rows, uint64_t cols);

/* Bytes of the codes of TL2 before padding; cols is at least 256. */
uint64_t quant_tl2_code_bytes(uint64_t rows, uint64_t cols);

/* Rows [row, row + n) of a tensor whose codes, all of them, are at `codes`; it can have the
 * tiles. */
int quant_tile_trits(const struct quant_info *q, const uint8_t *codes, const struct quant_tiles *t,
                     uint64_t rows, uint64_t cols, uint64_t row, uint32_t n, int8_t *trits);

/* IEEE binary16 and bfloat16.  To f16 rounds to nearest even. */
float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f);
float quant_bf16_to_f32(uint16_t h);

/*
 * Float weights to trits.  Call add for every piece of the tensor, then trits for every piece with
 * one of two scales:
 *   exact    when all values are -s, 0 or s already: s (0 for a tensor of zeros);
 *   absmean  for master weights (BitNet b1.58, arXiv 2402.17764): m = max(mean |w|, 1e-5).
 * trit = clamp(round_half_even(w / scale), -1, 1); of a tensor of zeros all trits are 0.
 */
struct quant_absmean {
    double sum;
    uint64_t n;
    float size;  /* of the first value that is not zero */
    bool uneven; /* another value has another size */
};
void quant_absmean_add(struct quant_absmean *a, const float *w, size_t n);
bool quant_absmean_exact(const struct quant_absmean *a, float *scale); /* false: *scale untouched */
float quant_absmean_scale(const struct quant_absmean *a);
void quant_absmean_trits(float scale, const float *w, int8_t *trits, size_t n);

/* The writers, for trit-model: the exact inverses of the decoders above.  n as there. */
void quant_write_tq1(const int8_t *trits, float scale, void *dst, size_t n);
void quant_write_tq2(const int8_t *trits, float scale, void *dst, size_t n);
void quant_write_ptq1(const int8_t *trits, float scale, void *dst, size_t n);
void quant_write_q1(const int8_t *trits, float scale, void *dst, size_t n); /* no trit is 0 */
void quant_write_q2(const struct quant_info *q, const int8_t *trits, float scale, void *dst,
                    size_t n); /* q: Q2_0 or PQ2_0 */
void quant_write_i2s(const int8_t *trits, float scale, void *dst, size_t total);

void quant_write_signs(const int8_t *trits, void *dst, size_t n); /* what is negative is -1 */

/* trits[rows][cols], rows a multiple of four. */
void quant_write_hf_u8(const int8_t *trits, void *dst, size_t rows, size_t cols);

/*
 * Writers of value encodings, which round.  F16: to nearest even.  Q8_0: as ggml's
 * quantize_row_q8_0_ref, with a step of the largest of 32 values over 127; a value comes back
 * within half a step, and what the step lost as a binary16.  Values must be finite; those of 65520
 * (F16) or 127 * 65520 (Q8_0) and more come back infinite.
 */
void quant_write_f32(const float *x, void *dst, size_t n);
void quant_write_f16(const float *x, void *dst, size_t n);
void quant_write_q8_0(const float *x, void *dst, size_t n);

#endif
