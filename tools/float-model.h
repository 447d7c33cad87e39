/* SPDX-License-Identifier: MIT */
/*
 * float-model.h - a transformer in plain floats, a layer at a time: what `trit-model quantize`
 * needs to see what a layer's inputs are like, and what becomes of a text's perplexity.
 *
 * It runs the graph that model/arch.h tells, on several sequences at once, with the weights of one
 * layer in memory.  Products go over all processors and round weights to binary16 on the way, which
 * the kernel is made for that they borrow from the head (kernels.h, head_f16); what is quantised is
 * not rounded.
 */
#ifndef TRIT_FLOAT_MODEL_H
#define TRIT_FLOAT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/team.h"
#include "kernels/kernels.h"
#include "model/model.h"

struct gguf;
struct tok;
struct trit_error;

enum { LINEARS = 7 };

/* The linears of a layer, in this order: q, k, v, attn_output, gate, up, down. */
struct matrix {
    uint32_t rows, cols;
    float *w;  /* [rows][cols] */
    bool norm; /* a LayerNorm of the outputs follows, model/method.h */
};

struct float_layer {
    struct matrix linear[LINEARS];
    float *attn_norm, *ffn_norm, *attn_sub_norm, *ffn_sub_norm, *q_norm, *k_norm; /* NULL: none */
};

struct float_model {
    const struct gguf *g;
    struct model m; /* arch, hp and rope_freqs alone */
    struct team *team;
    struct tok *tok;
    double *freq, rope_size;
    float *rope_freqs;
    struct float_layer layer; /* as the file has it */
    const struct kernels *k;
    uint16_t *halves; /* scratch of float_multiply: weights, and inputs padded to whole lines */
    float *padded;
    size_t halves_len, padded_len;
};

/* "attn_q" and so on. */
const char *linear_name(unsigned i);

/* Refuses what it cannot run.  Free with float_model_close, also after a failure. */
int float_model_open(struct float_model *f, const struct gguf *g, struct trit_error *err);
void float_model_close(struct float_model *f);

/* Read layer i into f->layer. */
int float_model_layer(struct float_model *f, uint32_t i, struct trit_error *err);

/* Row `row` of a tensor of floats, of a value encoding or ternary, as floats. */
int float_row(const struct gguf *g, const char *name, uint64_t row, float *dst,
              struct trit_error *err);

/* A text cut in sequences of `len` tokens, and where in the network it is. */
struct text {
    int32_t *ids; /* [n_seqs][len] */
    float *x;     /* [n_seqs][len][dim] */
    size_t n_seqs, len;
};

/*
 * Tokens of the file at `path` in at most max_seqs sequences of len tokens, each beginning with BOS
 * where the model wants it, and their embeddings.  A text too short for one sequence: -TRIT_EINVAL.
 */
int text_open(struct text *t, struct float_model *f, const char *path, size_t len, size_t max_seqs,
              struct trit_error *err);
int text_copy(struct text *t, const struct text *from, const struct float_model *f,
              struct trit_error *err);
void text_close(struct text *t);

/* What a linear is given: x[n][cols]; called for q (k and v read the same), output, gate (up) and
 * down. */
typedef void (*input_fn)(void *ctx, unsigned linear, const float *x, size_t n);

/* Run the layer over the text with these linears (norms are f->layer's).  `see` may be NULL; with
 * `keep` the text stays where it was. */
int text_layer(struct text *t, struct float_model *f, const struct matrix linear[LINEARS],
               input_fn see, void *ctx, bool keep, struct trit_error *err);

/* exp of the mean negative log-likelihood of all tokens but each sequence's first. */
int text_perplexity(const struct text *t, struct float_model *f, double *perplexity,
                    struct trit_error *err);

/* Room for products of n inputs with a matrix of this shape, before they are asked for. */
int float_reserve(struct float_model *f, const struct matrix *w, size_t n, struct trit_error *err);

/* y[n][rows] = x[n][cols] w^T, over the team, then the norm where there is one. */
void float_multiply(struct float_model *f, const struct matrix *w, const float *x, float *y,
                    size_t n);

#endif
