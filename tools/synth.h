/* SPDX-License-Identifier: MIT */
/*
 * synth.h - what the two halves of `trit-model synth` share.
 */
#ifndef TRIT_SYNTH_H
#define TRIT_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/method.h"

struct gguf_writer;
struct trit_error;

/* The fewest tokens that synth_vocab can do with: the bytes, and the special ones. */
enum { SYNTH_VOCAB_MIN = 256 + 10, SYNTH_VOCAB_MAX = 1 << 20, SYNTH_CTX_MAX = 1 << 20 };

/* Write the metadata of a byte-level BPE tokenizer of `size` tokens, and of a chat template. */
int synth_vocab(struct gguf_writer *w, uint32_t size, struct trit_error *err);

/* The model of a GGUF file that synth made, linears in I2_S, as Hugging Face files in a folder that
 * exists. */
int synth_folder(const char *gguf, const char *path, struct trit_error *err);
/*
 * The tensors of a linear "blk.N.attn_q" of a method: declare them, or write their data from the random
 * stream that begins with `state`.  cols is a multiple of 8, of BILLM_BLOCK with METHOD_BILLM.
 */
int synth_method(struct gguf_writer *w, enum method_id method, bool write, const char *stem,
                 uint32_t rows, uint32_t cols, uint64_t state, struct trit_error *err);

#endif
