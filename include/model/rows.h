/* SPDX-License-Identifier: MIT */
/*
 * rows.h - rows of a ternary tensor whose encoding is none of blocks: I2_S in its arrangements, the
 * packed linears of Hugging Face folders, encodings with a scale for a row, and tiles (quant.h).
 *
 * Of all but tiles the bytes of some rows lie together, or at a few places; of tiles they lie all
 * over the tensor, which is held in memory while it is read.
 *
 * Not here: encodings of blocks, which are decoded where they lie (quant_trits).
 */
#ifndef TRIT_ROWS_H
#define TRIT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct gguf_tensor;
struct quant_info;
struct trit_error;

/* Runs of rows are read from a multiple of this on, and are a multiple of it or end with the
 * tensor. */
enum { ROWS_RUN = 4 };

struct rows {
    const struct gguf *g;
    const struct gguf_tensor *t;
    float scale;    /* of the tensor; 1 where a row has one, or another tensor has it */
    uint8_t *whole; /* of tiles, the tensor's codes */
};

/* Whether this is how the encoding is read. */
bool rows_needed(const struct quant_info *q);

/* Gives *r up to rows_close; any number of threads may then read.  -TRIT_EUNSUPP: tiles that nobody
 * has told; -TRIT_EFORMAT: a scale that is not finite. */
int rows_open(const struct gguf *g, const struct gguf_tensor *t, struct rows *r,
              struct trit_error *err);

/* Bytes of `raw` that reading n rows needs. */
size_t rows_raw_bytes(const struct gguf_tensor *t, uint64_t n);

/*
 * Rows [row, row + n): trits[n][cols], and a scale for each.  -TRIT_EFORMAT on a code that is no
 * trit, named with its row and column; the call that meets it may have written the rest.
 */
int rows_read(const struct rows *r, uint64_t row, uint32_t n, uint8_t *raw, int8_t *trits,
              float *scales, struct trit_error *err);

/* Takes a zeroed one. */
void rows_close(struct rows *r);

#endif
