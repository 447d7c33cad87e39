/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - what the parts of the training step by hand share: the model's sizes, its weights as the
 * products want them, what the forward pass leaves for the way back, and the work of single rows.
 * cpu.c explains the whole.
 */
#ifndef TRAIN_CPU_H
#define TRAIN_CPU_H

#include <math.h>

#include "amx.h"

enum {
    HEAD = 64,    /* dimensions of an attention head */
    QUERIES = 64, /* that attend at a time */
    ROWS = 256,   /* tokens that go through a layer at a time */
    CHUNK = 512,  /* tokens summed at a time in a weight's gradient */
    STRIP = 64,   /* outputs of a weight whose gradients a thread turns at a time */
    THREADS = 64,
};

struct shape {
    int32_t vocab, dim, ffn, layers, heads, kv_heads;
    int32_t context; /* tokens in a row of the batch */
    int32_t rows;    /* of the batch */
    int32_t ternary; /* 0: the full-precision twin */
    int32_t learns;  /* 0: a teacher, which has no way back */
    float eps, rope_base;
};

/* A weight in the forms that the products want: W^T for x W^T, and W with its scale for dy W (NULL
 * in a teacher). */
struct matrix {
    size_t out, in;
    bf16 *forward, *backward;
    float *scale; /* [out] */
};

/* What the forward pass leaves for the backward pass.  The x* are inputs of products: 8-bit
 * integers with a step a token, in bfloat16.  All but the weights is one memory for all layers of a
 * teacher. */
struct layer {
    struct matrix qkv, o, up, down;
    float *before, *between; /* [tokens][dim], the stream before attention and before the FFN */
    bf16 *qkv_out;           /* [tokens][dim + 2 kv], rotated */
    bf16 *heads_out;         /* [tokens][dim] */
    bf16 *up_out;            /* [tokens][2 ffn], gate and up */
    float *lse;              /* [tokens][heads], logarithm of the sum of the exponentials */
    bf16 *x_qkv, *x_o, *x_up, *x_down;
    float *step[4]; /* [tokens], of the four */
    float *rstd[4]; /* [tokens], of their norms */
};

struct scratch {
    bf16 *kt, *kn, *vt, *vn, *p, *ds, *turned, *side, *strip;
    float *s, *dp, *dk, *dv, *wide, *narrow, *gains;
};

struct cpu {
    struct shape s;
    size_t tokens, kv, qkv_n, n_gains;
    struct layer *layer;
    struct matrix head;
    float *last;   /* [tokens][dim], the stream after the last layer */
    float *rstd;   /* [tokens], of the last norm */
    bf16 *x_head;  /* [tokens][dim] */
    bf16 *dlogits; /* [tokens][vocab] */
    float *dx;     /* [tokens][dim], the gradient of the stream */
    bf16 *d_down, *d_o, *d_heads, *d_up, *d_qkv;
    bf16 *packed;         /* [CHUNK][max(dim, ffn)] */
    float *cosine, *sine; /* [context][HEAD / 2] */
    const float *params;
    uint32_t drop; /* dropout: a share of 2^32 */
    uint32_t seed; /* of the dropout of this step */
    struct cpu **teachers;
    int n_teachers;
    float listen; /* share of the loss that is the teachers'; 0 where there are none */
    int n_threads;
    struct scratch scratch[THREADS];
};

/* ---------------------------------------------------------------- rows */

/* h = x * rstd * gain, quantised to 8 bits where the model is ternary. */
static inline void norm(const struct cpu *c, size_t n, const float *x, const float *gain,
                        bool quantise, bf16 *out, float *rstd, float *step)
{
    float sum = 0, most = 1e-5f;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    float r = 1 / sqrtf(sum / (float)n + c->s.eps);
    *rstd = r;
    if (!quantise) {
        for (size_t i = 0; i < n; i++)
            out[i] = narrow(x[i] * r * gain[i]);
        if (step)
            *step = 1;
        return;
    }
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i] * r * gain[i]));
    float scale = 127 / most;
    *step = most / 127;
    for (size_t i = 0; i < n; i++)
        out[i] = narrow(fminf(fmaxf(nearbyintf(x[i] * r * gain[i] * scale), -128), 127));
}

/* dx += the gradient of x through the norm; dgain += that of the gain. */
static inline void norm_back(size_t n, const float *x, const float *gain, float r, const float *dh,
                             float *dx, float *dgain)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += dh[i] * gain[i] * x[i];
    float k = sum * r * r * r / (float)n;
    for (size_t i = 0; i < n; i++) {
        dgain[i] += dh[i] * x[i] * r;
        dx[i] += dh[i] * gain[i] * r - x[i] * k;
    }
}

static inline void to_float(size_t n, const bf16 *from, float *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = widen(from[i]);
}

static inline void to_bf16(size_t n, const float *from, bf16 *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = narrow(from[i]);
}

/* Rotate pairs (i, i + HEAD / 2); sign -1 is the way back. */
static inline void rotate(const struct cpu *c, size_t position, float sign, bf16 *x)
{
    const float *cosine = c->cosine + position * HEAD / 2, *sine = c->sine + position * HEAD / 2;
    for (size_t i = 0; i < HEAD / 2; i++) {
        float a = widen(x[i]), b = widen(x[i + HEAD / 2]), s = sign * sine[i];
        x[i] = narrow(a * cosine[i] - b * s);
        x[i + HEAD / 2] = narrow(b * cosine[i] + a * s);
    }
}

/*
 * Dropout of what a branch (0: attention, 1: FFN) adds to the stream, rows [i0, i0 + ROWS):
 * elements are zero with probability drop / 2^32, the others are larger to make up for it.  Which
 * ones is a hash of seed, layer, branch and place (murmur3's finaliser), so that the way back need
 * not remember it and model.py drops the same.
 */
static inline void dropped(const struct cpu *c, int layer, int branch, size_t i0, const float *from,
                           float *to, bool add)
{
    size_t n = ROWS * (size_t)c->s.dim, first = i0 * (size_t)c->s.dim;
    uint32_t key = c->seed * 0x9e3779b1u + (uint32_t)(2 * layer + branch) * 0x7feb352du;
    float kept = (float)(1 / (1 - (double)c->drop * 0x1p-32));
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (uint32_t)(first + i) ^ key;
        h = (h ^ h >> 16) * 0x85ebca6bu;
        h = (h ^ h >> 13) * 0xc2b2ae35u;
        h ^= h >> 16;
        float x = h >= c->drop ? from[i] * kept : 0;
        to[i] = add ? to[i] + x : x;
    }
}

/* ReLU(gate)^2 * up */
static inline void relu2_glu(size_t n, const bf16 *gate_up, float *to)
{
    for (size_t i = 0; i < n; i++) {
        float g = fmaxf(widen(gate_up[i]), 0);
        to[i] = g * g * widen(gate_up[n + i]);
    }
}

/* Attention of one key-value head in one row of the batch, and its way back (attention.c): from
 * y->qkv_out to y->heads_out, from c->d_heads to c->d_qkv.  Called by one thread each. */
void attend(struct cpu *c, struct layer *y, const int32_t *begin, size_t row, size_t kv_head);
void attend_back(struct cpu *c, struct layer *y, const int32_t *begin, size_t row, size_t kv_head);

#endif
