/* SPDX-License-Identifier: MIT */
/*
 * quantize.h - what the two halves of `trit-model quantize` share: the work for ternary encodings
 * (quantize.c) and the command line (quantize-options.c).
 */
#ifndef TRIT_QUANTIZE_H
#define TRIT_QUANTIZE_H

#include <stdbool.h>

#include "model/reading.h"

struct quantize_target;
struct quantize_embedding;
struct trit_error;

/* What --type and --embedding say; NULL: it is none of them. */
const struct quantize_target *quantize_target(const char *name);
const struct quantize_embedding *quantize_embedding(const char *name);

/* What the user asked for. */
struct quantize_wish {
    const char *in, *out;
    const struct quantize_target *target;
    const struct quantize_embedding *embedding; /* NULL: it stays what it is */
    bool master;                                /* floats are master weights */
    struct reading how;
};

/* Read, re-encode, write, report.  0, or an error with *err. */
int quantize_run(const struct quantize_wish *wish, struct trit_error *err);

#endif
