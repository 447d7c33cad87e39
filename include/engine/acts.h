/* SPDX-License-Identifier: MIT */
/*
 * acts.h - activations on their way into a linear layer: in one plane of int8, or in two.
 *
 * BitNet models were trained with activations of 8 bits (kernels.h, struct acts), and get those.
 * Models of which only the weights are so small (the Bonsai family, OneBit, BiLLM) expect floats.
 * They get a second plane, which quantises what the first one left:
 *
 *     q, step = quantise(x);  rest = (x - q * step) * 256;  q', step' = quantise(rest) / 256;
 *     y = W (q * step) + W (q' * step')
 *
 * That is 16 bits with two steps, whose rounding is a part in 65,000 of a group's largest value.
 * (256 is a power of two and so changes nothing but how far the rest is from quantise's floor.)
 *
 * The planes of a row are two tokens to the kernels, 2 r and 2 r + 1: they pass over a tile of
 * weights while it is in the nearest cache, so two planes cost twice the operations but no more
 * memory traffic, and one stream, which waits for memory, hardly notices.  Each plane's product is
 * what kernels.h defines, then they are added: a row's result depends on nothing but the row.
 */
#ifndef TRIT_ACTS_H
#define TRIT_ACTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

struct model;

enum { ACTS_PLANES_MAX = 2 };

/* --act-type */
enum acts_type {
    ACTS_AUTO, /* Q16 for OneBit, BiLLM, and weights that have several scales a row; else Q8 */
    ACTS_Q8,   /* one plane */
    ACTS_Q16,  /* two */
};

/* -TRIT_EINVAL for another word than "auto", "q8" and "q16". */
int acts_type_parse(const char *word, enum acts_type *type);

/* How many planes that makes for this model. */
unsigned acts_planes(const struct model *m, enum acts_type type);

/* Room for n_rows rows in front of w, carved from base (mem_carve). */
void acts_carve(struct acts *a, uint8_t *base, size_t *at, unsigned planes, size_t n_rows,
                size_t q_stride, uint32_t n_groups);

/* x[w->cols] becomes row `row` of *a, whose q_stride and n_groups are those of w.  rest[w->cols] is
 * scratch, and may be NULL with one plane. */
void acts_put(const struct kernels *k, const struct linear *w, struct acts *a, unsigned planes,
              size_t row, const float *x, float *rest);

/*
 * out[row][...] of tiles [tile0, tile1) for rows [0, n_rows), as kernels.h has it for `ternary`.
 * sums[acts_sums()] is scratch of this worker, and may be NULL with one plane.
 */
void acts_multiply(const struct kernels *k, float *out, size_t out_stride, const struct linear *w,
                   size_t tile0, size_t tile1, const struct acts *a, unsigned planes, size_t n_rows,
                   float *sums);

/* Floats of that scratch, for at most so many tiles and rows. */
static inline size_t acts_sums(unsigned planes, size_t n_tiles, size_t n_rows)
{
    return planes > 1 ? planes * n_rows * n_tiles * LAYOUT_TILE : 0;
}

#endif
