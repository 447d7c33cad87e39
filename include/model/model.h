/* SPDX-License-Identifier: MIT */
/*
 * model.h - one loaded model: hyperparameters, weights in run-time form, tokenizer, chat format.
 *
 * Immutable after model_load; any thread may read it without a lock until model_close.
 * Shapes in comments are [rows, columns] = [outputs, inputs].
 */
#ifndef TRIT_MODEL_H
#define TRIT_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/layout.h"
#include "model/method.h"
#include "model/rotation.h"
#include "model/segment.h"
#include "model/table.h"

struct arch;
struct chat;
struct tok;
struct trit_error;

/* YaRN (arXiv 2309.00071): frequencies that turn more than beta_fast times within the context that
 * the model was trained for stay, those that turn less than beta_slow times are scaled, those
 * between are mixed. */
struct rope_yarn {
    bool on;
    uint32_t n_ctx; /* that the model was trained for */
    double beta_fast, beta_slow;
    double size; /* of the rotated heads: their scores are to grow with the context */
};

/* Llama 3.1: frequencies with waves longer than n_ctx / low are scaled, those with waves shorter
 * than n_ctx / high stay, those between are mixed. */
struct rope_bands {
    bool on;
    uint32_t n_ctx; /* that the model was trained for at first */
    double low, high;
};

/* How the file says that embeddings are made of hidden states, by GGUF's numbers. */
enum model_pooling {
    MODEL_POOLING_NONE, /* it does not say */
    MODEL_POOLING_MEAN,
    MODEL_POOLING_CLS, /* of the first position */
    MODEL_POOLING_LAST,
    MODEL_POOLING_RANK, /* a classifier's */
};

/*
 * A hybrid model (arch.h): every `interval`-th layer attends, and the others have a gated delta
 * rule (Yang et al., arXiv 2412.06464), whose memory is a state of fixed size.  doc/hybrid.md has
 * the graph.
 */
struct hparams_delta {
    uint32_t interval; /* 0: the model is none, all layers attend */
    uint32_t n_layers; /* with a state */
    uint32_t k_heads;  /* of queries and keys; divides v_heads */
    uint32_t v_heads;  /* of values; head h reads query and key h % k_heads, or, if they are */
    bool grouped;      /* grouped, h / (v_heads / k_heads) */
    uint32_t head_dim; /* of all of them, a multiple of DELTA_LANES */
    uint32_t conv;     /* positions that the convolution sees, its own the last */
};

struct hparams {
    uint32_t n_layers;
    uint32_t dim;        /* width of the residual stream */
    uint32_t ffn;        /* width of the feed-forward product */
    uint32_t n_heads;    /* query heads */
    uint32_t n_kv_heads; /* divides n_heads */
    uint32_t head_dim;
    uint32_t rope_dims; /* even, <= head_dim; the rest of a head is not rotated */
    uint32_t vocab;     /* rows of embedding and head */
    uint32_t n_ctx;     /* context length the model was trained for */
    float norm_eps;
    double rope_base;
    double rope_scale;     /* positions are divided by this; 1: not */
    struct rope_yarn yarn; /* .on: but not for all frequencies */
    struct rope_bands bands; /* likewise */
    float attn_scale;        /* of scores; 0: 1 / sqrt(head_dim) */
    /* Local layers see this many positions, their own the last of them; 0: there are no such
     * layers. They are all but every window_period-th; 0: all.  Their heads turn by a base of their
     * own, which is not scaled. */
    uint32_t window, window_period;
    double rope_base_local;
    float embedding_scale; /* embeddings are multiplied by it */
    bool in_norms;         /* linears norm what they read */
    uint32_t pooling;      /* enum model_pooling, or a number that is none of them */
    bool embeds_only;      /* the file is for embeddings: its head, if any, was not trained */
    bool absmean;          /* float linears are master weights, to be quantised */
    enum method_id method;
    bool output_norm; /* METHOD_ONEBIT: with the LayerNorm that it has as published */
    struct hparams_delta delta;
};

/* Layers with keys and values. */
static inline uint32_t hparams_kv_layers(const struct hparams *hp)
{
    return hp->n_layers - hp->delta.n_layers;
}

/* What takes the place of attention in the other layers of a hybrid model.  Widths: k = k_heads *
 * head_dim, v = v_heads * head_dim, conv = 2 k + v. */
struct delta {
    struct linear qkv; /* [conv, dim]: queries, keys, values */
    struct linear z;   /* [v, dim] */
    struct linear out; /* [dim, v] */
    const float *conv; /* [conv][hparams_delta.conv], of a channel the oldest position first */
    const float *alpha, *beta; /* [v_heads, dim], floats whatever the file has */
    const float *a;            /* [v_heads], negative: what the decay's exponent is multiplied by */
    const float *dt;           /* [v_heads] */
    const float *norm;         /* [head_dim] */
};

/* Whether a layer sees its window only. */
static inline bool hparams_is_local(const struct hparams *hp, uint32_t layer)
{
    return hp->window && (hp->window_period == 0 || (layer + 1) % hp->window_period != 0);
}

struct layer {
    bool attends;   /* else `delta` stands for q, k, v, o and what belongs to them */
    uint32_t cache; /* which one it is of those with keys and values, or of those with a state */
    /* [n_heads * head_dim, dim]; hybrid: [2 * that, dim], of each head the query, then the gate of
     * its output. */
    struct linear q;
    struct linear k, v;                     /* [n_kv_heads * head_dim, dim] */
    struct linear o;                        /* [dim, n_heads * head_dim] */
    struct linear gate, up;                 /* [ffn, dim] */
    struct linear down;                     /* [dim, ffn] */
    const float *attn_norm, *ffn_norm;      /* [dim], NULL with METHOD_B1 */
    const float *attn_sub_norm;             /* [n_heads * head_dim], NULL without sub-norms */
    const float *ffn_sub_norm;              /* [ffn], NULL without sub-norms */
    const float *attn_q_norm, *attn_k_norm; /* [head_dim], NULL without q/k norms */
    const float *attn_post_norm, *ffn_post_norm; /* [dim], of the outputs of o and down, or NULL */
    struct delta delta;
};

/* How the file recommends to choose tokens; a request's own fields win (server/params.h has the
 * ranges and what each one does). */
struct model_sampling {
    double temperature, top_p, min_p, repetition_penalty;
    int64_t top_k; /* 0: off */
};

/* What holds where the file recommends nothing. */
#define MODEL_SAMPLING_PLAIN                                                                       \
    ((struct model_sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1})

struct model {
    const struct arch *arch;
    struct hparams hp;
    struct model_sampling sampling;
    char name[128];       /* general.name, or the file's name */
    char encoding[24];    /* of the linears in the file, "TQ2_0", or their method, "onebit" */
    char fingerprint[17]; /* first 8 bytes of the content digest, and how it is read, in hex */
    struct layer *layers; /* [n_layers] */
    /* [vocab, dim], both; the head equals the embedding when tied.  Each is a table, or stays
     * ternary as the file has it: then its tiles have codes, and the table has no data. */
    struct table embedding, head;
    struct linear embedding_tiles, head_tiles;
    struct rotation rotation;
    const float *embedding_signs, *head_signs; /* [dim], NULL: not rotated */
    const float *output_norm; /* [dim] */
    const float *rope_freqs;  /* [rope_dims / 2] divisors of the angles, or NULL */
    struct tok *tok;
    struct chat *chat;
    struct segment segment;
    uint64_t n_params;
    uint64_t file_bytes;
    size_t weight_bytes; /* payload of the segment */
    double load_seconds;
};

struct model_options {
    enum layout_id layout;  /* what the chosen kernels read */
    enum table_type tables; /* --head-type; TABLE_TERNARY: where the file is, else TABLE_Q8, or
                             * TABLE_F16 for a model that only embeds */
    const struct reading *reading; /* what the file does not tell (model/reading.h), or NULL */
    bool shared;            /* keep the packed weights in a named segment */
    bool adopt; /* a private segment that was left in kept_fd, if it fits; takes the descriptor */
    int kept_fd;
    bool mlock;
    bool prove_later; /* who loads it will call model_prove, while computing a token */
    const char *chat_template; /* instead of the file's own, see chat_open, or NULL */
    const atomic_bool *stop;   /* polled; loading gives up with -TRIT_ECANCELLED.  NULL: never */
};

/*
 * Load a GGUF file, or a folder of Hugging Face files: validate, attach to a packed segment or
 * build one, open tokenizer and template.  Gives *m.  On failure nothing is left behind and *err
 * names file, tensor or key.
 */
int model_load(const char *path, const struct model_options *opt, struct model **m,
               struct trit_error *err);

/* After its weights have been used with success: let others attach to them, where they are shared
 * and we have packed them.  Without this they go with the model. */
int model_publish(struct model *m, struct trit_error *err);
void model_close(struct model **m);

/*
 * Weights that were attached to with prove_later are compared with their checksums by who computes
 * the first token, shortly before they are used, so that memory is read once and a cache the second
 * time.  model_prove does so with `bytes` of weights, that is with the chunks of the segment that
 * begin in them, unless it was done: threads that prove at the same time prove different weights.
 * Of what no product reads, model_chunks() are to be gone through.  Nothing that was computed
 * leaves the engine before all of them are proved and model_is_damaged says no; if it says yes,
 * model_reject in place of model_close also sees to it that nobody attaches to them again.
 */
void model_prove(const struct model *m, const void *weights, size_t bytes);
size_t model_chunks(const struct model *m); /* 0: nothing is to be proved */
void model_prove_chunk(const struct model *m, size_t chunk);
void model_prove_ahead(const struct model *m, size_t i); /* see segment_prove_ahead */
bool model_is_damaged(const struct model *m);
void model_reject(struct model **m);

/*
 * The same where others hold the model already, as long as nobody computes with its weights:
 * model_repack gives a model of the same content, packed anew or by another process meanwhile, and
 * model_take_weights lets its weights lie where the damaged ones do, so that every pointer into
 * them holds; it closes *fresh, also on failure.  opt and path are those of model_load.  Errors of
 * that, and -TRIT_EFORMAT: the files are not what they were.
 */
int model_repack(const struct model *m, const char *path, const struct model_options *opt,
                 struct model **fresh, struct trit_error *err);
int model_take_weights(struct model *m, struct model **fresh, struct trit_error *err);

/* dst[dim] = the embedding of a token, as the first layer reads it; still rotated if there are
 * embedding_signs. */
void model_embed(const struct model *m, uint32_t token, float *dst);

/* Of the rotary embedding: freq[rope_dims / 2] receives radians a position, of local layers or of
 * the others.  Returns what cosines and sines are multiplied by. */
double model_rope(const struct model *m, bool local, double *freq);

#endif
