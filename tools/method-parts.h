/* SPDX-License-Identifier: MIT */
/*
 * method-parts.h - one run of `trit-model quantize` for a method, for the bodies that share it:
 *
 *     method.c        layers, calibration, the report
 *     method-file.c   the file that is written
 */
#ifndef TRIT_TOOL_METHOD_PARTS_H
#define TRIT_TOOL_METHOD_PARTS_H

#include "method.h"

struct gguf;
struct gguf_writer;

struct method_job {
    const struct method_wish *wish;
    const struct gguf *g;
    struct gguf_writer *w;
    struct trit_error *err;
    struct float_model f;
    struct text calibration, before, after;
    struct quantised q[LINEARS];
    double *h[LINEARS]; /* of those that read something of their own */
    uint32_t layer;
    uint64_t bits, weights; /* written for linears, and how many these are */
};

/* Metadata: the source's, but for how that was stored, and ours. */
int method_write_head(struct method_job *j);

/* Every tensor that there will be, in order, and the end of the header; what linears have of bits.
 */
int method_declare(struct method_job *j);

/* The tensors that are copied, of a layer or, with NULL, outside of all. */
int method_write_copies(struct method_job *j, const uint32_t *layer);

int method_write_linear(struct method_job *j, const struct quantised *q);

#endif
