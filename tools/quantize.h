/* SPDX-License-Identifier: MIT */
/*
 * quantize.h - what the parts of `trit-model quantize` share: the work for ternary encodings
 * (quantize.c), the metadata beside them (quantize-keys.c), the command line (quantize-options.c).
 */
#ifndef TRIT_QUANTIZE_H
#define TRIT_QUANTIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/reading.h"

struct quantize_target;
struct quantize_embedding;
struct gguf;
struct gguf_writer;
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

/* The metadata of g for what is written; file_type: llama.cpp's number, 0: none. */
int quantize_keys(const struct gguf *g, struct gguf_writer *w, uint32_t file_type,
                  struct trit_error *err);

/* Read, re-encode, write, report.  0, or an error with *err. */
int quantize_run(const struct quantize_wish *wish, struct trit_error *err);

#endif
