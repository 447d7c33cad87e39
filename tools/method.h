/* SPDX-License-Identifier: MIT */
/*
 * method.h - the commands of `trit-model quantize` for the methods of model/method.h: what they
 * share.
 */
#ifndef TRIT_TOOL_METHOD_H
#define TRIT_TOOL_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "float-model.h"

/* What the user asked for. */
struct method_wish {
    enum method_id method;
    const char *in, *out;
    const char *calibration; /* a text; BiLLM needs one, OneBit has no use for it */
    const char *perplexity;  /* a text, or NULL */
    size_t context;          /* tokens of a sequence, 0: 512 or what the model has */
    size_t sequences;        /* of the calibration, at most */
    bool output_norm;        /* OneBit with its LayerNorm */
};

/* One linear, quantised: planes in the bits of the file, and what they stand for. */
struct quantised {
    uint32_t rows, cols;
    uint8_t *signs;        /* [rows][cols / 8] */
    uint8_t *second;       /* BiLLM, likewise */
    uint8_t *salient;      /* BiLLM: [cols / 8] */
    uint16_t *levels;      /* BiLLM: [rows][cols / 128][7] */
    float *scale, *factor; /* OneBit: [rows], [cols] */
    float *w;              /* [rows][cols], what the planes stand for */
};

/*
 * OneBit's start, sign-value-independent decomposition (arXiv 2402.11295, 3.3): signs of w, and of
 * |w| the nearest matrix of rank one, scale factor^T, by power iteration.
 */
int onebit_quantise(struct team *team, const struct matrix *w, struct quantised *q,
                    struct trit_error *err);

/*
 * BiLLM (arXiv 2402.04291, and the authors' code): h [cols][cols] is the sum of x x^T over the
 * inputs, and is used up; w is changed, as errors of a block are made good in those behind it.
 */
int billm_quantise(struct team *team, struct matrix *w, double *h, struct quantised *q,
                   struct trit_error *err);

/* Read, quantise, write, report.  0, or an error with *err. */
int method_run(const struct method_wish *wish, struct trit_error *err);

static inline void set_bit(uint8_t *bits, size_t i, bool on)
{
    if (on)
        bits[i / 8] |= (uint8_t)(1 << i % 8);
}

#endif
