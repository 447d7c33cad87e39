/* SPDX-License-Identifier: MIT */
/*
 * forward-parts.h - the forward pass from the inside: what its two bodies share.
 *
 *     forward.c         the phases in order, layer by layer; steps, opening and closing
 *     forward-phases.c  each of the phases
 *
 * The arrays that they write and read:
 *
 *   x      [rows, dim]                 residual stream
 *   q,k,v  [rows, heads * head_dim]
 *   att    [rows, n_heads * head_dim]  attention output
 *   gate   [rows, ffn], up alike       the product replaces gate
 *   y      [rows, dim]                 output of attn_output and ffn_down, which the next phase
 *                                      norms where the model wants that, and adds to x
 *   mixed  [rows, mixed_stride]        of hybrid models: queries with their gates, or queries, keys
 *                                      and values of a gated delta rule; z its gates
 */
#ifndef TRIT_FORWARD_PARTS_H
#define TRIT_FORWARD_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "engine/acts.h"
#include "engine/forward.h"
#include "engine/head.h"

struct attention;
struct kernels;
struct recurrence;

enum {
    GRAIN = 16,            /* tiles dealt to a worker at a time, at most */
    INPUTS = 3,            /* linears that read the same rows, at most: q, k and v */
    FETCH_BYTES = 1 << 17, /* of weights, ahead of time, at most: part of a second cache */
};

struct forward {
    const struct model *m;
    const struct kernels *k;
    struct team *team;
    struct kv *kv;
    struct head *head;
    struct attention *attention;
    struct recurrence *recurrence; /* NULL: the model is no hybrid */
    uint32_t max_rows, max_logits, n_ctx;
    uint32_t q_dim, kv_dim; /* n_heads * head_dim, n_kv_heads * head_dim */

    uint8_t *memory; /* everything below, in one mapping */
    size_t memory_bytes;
    float *x, *q, *k_rows, *v, *att, *gate, *up, *y;
    float *mixed, *z;
    size_t mixed_stride, z_stride; /* 0: the model is no hybrid */
    unsigned n_turns;    /* 2 where local layers turn heads in a way of their own, else 1 */
    float *angles;       /* [max_rows][n_turns][rope_dims]: cosines, then sines */
    double *freq;        /* [n_turns][rope_dims / 2] radians a position */
    double rope_size[2]; /* what cosines and sines are multiplied by */
    unsigned planes;     /* of activations: engine/acts.h */
    unsigned n_acts;     /* INPUTS where linears that read the same rows make inputs of their own */
    struct acts acts[INPUTS]; /* room for the widest layer */
    size_t acts_cap;          /* its bytes a row */
    uint32_t groups_cap;      /* its groups */
    float *temp;              /* [workers][TEMPS][temp_stride] one row on its way to quantisation */
    size_t temp_stride;
    float *sums; /* [workers][sums_stride] of two planes: products on their way to one */
    size_t sums_stride;

    /* The step under way. */
    const struct forward_row *rows;
    uint32_t n_rows, n_logits;
    bool any_kept;   /* hidden states */
    bool proves;     /* weights as well */
    double attended; /* seconds, written by worker 0 */
    uint8_t *use;    /* [max_logits] of the slots */
    uint8_t any_use; /* of all slots together */
    forward_after_fn after;
    void *after_ctx;
};

/* Of temp: a row that was normed, the input that one linear makes of it, scratch of acts_put. */
enum { TEMP_NORMED, TEMP_INPUT, TEMP_REST, TEMPS };

/* A matrix product of a phase: the same rows read, one output array each. */
struct product {
    const struct linear *w;
    float *out;
    size_t stride;
};

/* Linears that read the same rows. */
struct readers {
    const struct linear *w[INPUTS];
    unsigned n;
};

/*
 * Each worker calls each of these, in the same order, and returns when all have done their part.
 * `before` is the linear whose product lies in y (NULL: none): it is added to x first, through
 * `post_norm` where there is one.
 */

/* Run n products over all rows. */
void forward_multiply(struct forward *f, const struct product *p, unsigned n, unsigned worker);

/* Embedding look-up, and the angles of each row's position, which all layers share. */
void forward_phase_embed(struct forward *f);

/* Norm x, and quantise it for those who read it. */
void forward_phase_norm(struct forward *f, const float *norm, const struct readers *to,
                        const struct linear *before, const float *post_norm, unsigned worker);

/* That; what was normed stays in y, for those who read it as floats. */
void forward_phase_norm_kept(struct forward *f, const float *norm, const struct readers *to,
                             const struct linear *before, unsigned worker);

/* Norm and rotate q and k, and put k and v where attention will read them. */
void forward_phase_rope(struct forward *f, uint32_t layer);

/* Quantise what attention found, through a sub-norm where the model has one. */
void forward_phase_attended(struct forward *f, uint32_t layer, unsigned worker);

/* Norm, gate and quantise what the heads of a gated delta rule say. */
void forward_phase_recalled(struct forward *f, const struct layer *l, unsigned worker);

/* Gate and up to one, through a sub-norm where the model has one, and quantise it. */
void forward_phase_glu(struct forward *f, const struct layer *l, unsigned worker);

/* The rows whose logits or hidden states are wanted: last residual, final norm. */
void forward_phase_final(struct forward *f, unsigned worker);

/* What the caller does with the logits of the slots that have this use. */
void forward_phase_after(struct forward *f, enum head_use use, unsigned worker);

#endif
