/* SPDX-License-Identifier: MIT */
/*
 * synth.h - what the parts of `trit-model synth` share.
 *
 *   synth-options.c  the command line
 *   synth.c          the model, as a GGUF file
 *   synth-vocab.c    its tokenizer
 *   synth-method.c   its linears, of other methods than ternary
 *   synth-hf.c       the same model as a folder of Hugging Face files
 */
#ifndef TRIT_SYNTH_H
#define TRIT_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/method.h"

struct arch;
struct gguf_writer;
struct quant_info;
struct trit_error;

/* The fewest tokens that synth_vocab can do with: the bytes, and the special ones. */
enum { SYNTH_VOCAB_MIN = 256 + 10, SYNTH_VOCAB_MAX = 1 << 20, SYNTH_CTX_MAX = 1 << 20 };

#define SYNTH_UNNUMBERED UINT32_MAX /* general.file_type is left out */
#define SYNTH_SAME       UINT32_MAX /* embedding and head in the encoding of the linears */

struct synth_shape {
    const char *name, *arch;
    uint32_t layers, dim, ffn, heads, kv_heads, vocab, context;
    float rope_base, norm_eps;
    bool tied;    /* the head is the embedding */
    bool grouped; /* every block of a row has a scale of its own */
    uint32_t head_dim; /* 0: the width over the heads */
    bool embeds;       /* linears norm what they read, and the last token is the answer */
};

struct synth {
    struct synth_shape shape;
    const struct arch *arch;
    enum method_id method; /* METHOD_TERNARY: linears are of `type` */
    uint32_t type, id, file_type, head;
    uint64_t seed;
    const char *path;
    struct gguf_writer *w;
    struct trit_error *err;
    uint64_t total, done; /* values, for the progress line */
    int8_t *trits;        /* one piece */
    float *values;
    unsigned char *bytes;
    int8_t byte_to_trit[256];
};

/* Write it to s->path: a file, or a folder of Hugging Face files. */
int synth_file(struct synth *s);
int synth_in_folder(struct synth *s);

/* The values that share a scale in a shape with groups. */
uint32_t synth_group(const struct quant_info *q);

/* Write the metadata of a byte-level BPE tokenizer of `size` tokens, and of a chat template. */
int synth_vocab(struct gguf_writer *w, uint32_t size, struct trit_error *err);

/* The model of a GGUF file that synth made, linears in I2_S, as Hugging Face files in a folder that
 * exists. */
int synth_folder(const char *gguf, const char *path, struct trit_error *err);

/*
 * The tensors of a linear "blk.N.attn_q" of a method: declare them, or write their data from the
 * random stream that begins with `state`.  cols is a multiple of 8, of BILLM_BLOCK with
 * METHOD_BILLM.
 */
int synth_method(struct gguf_writer *w, enum method_id method, bool write, const char *stem,
                 uint32_t rows, uint32_t cols, uint64_t state, struct trit_error *err);

#endif
