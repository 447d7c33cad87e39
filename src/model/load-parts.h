/* SPDX-License-Identifier: MIT */
/*
 * load-parts.h - the steps of loading, shared by load.c, hparams.c, sampling.c and weights.c; of
 * planning the weights see weights-parts.h.
 */
#ifndef TRIT_LOAD_PARTS_H
#define TRIT_LOAD_PARTS_H

#include "model/gguf.h"
#include "model/model.h"

struct trit_error;

/* Read and check every hyperparameter; sets m->arch and m->hp.  Allocates nothing. */
int hparams_read(const struct gguf *g, struct model *m, struct trit_error *err);

/* m->sampling.  A recommendation that is of no use is named in the log and left out. */
void sampling_read(const struct gguf *g, struct model *m);

/* One thing to be packed: a tensor of the file and its place in the payload. */
struct weights_item {
    const struct gguf_tensor *t;
    const struct gguf_tensor *multiplier; /* "<tensor>.scale" or "<tensor>.divisor", or NULL */
    bool divides;                         /* it is the latter */
    const struct gguf_tensor *second, *levels; /* of LAYOUT_S2, model/method.h, or NULL */
    struct linear *linear;                /* exactly one of these four */
    struct table *table;
    const float **vector;
    bool plus_one; /* of a vector: the file has it less one */
    bool decay;    /* of a vector: -exp of what the file has */
    struct linear *order; /* of which it is order and n_salient */
    size_t at, bytes;              /* codes, table data or floats */
    size_t order_at;               /* of a linear of LAYOUT_S2, packed before it */
    size_t scales_at, scale_bytes; /* scales of linears and q8 tables */
};

struct weights_plan {
    struct weights_item *items;
    size_t n, cap;
    size_t payload_bytes;
    enum table_type tables; /* TABLE_TERNARY if embedding or head is so, else what was asked for */
};

/*
 * Match the file's tensors with the graph: each one that is needed is there, has the expected shape
 * and an encoding fit for its role; none is left over.  Allocates m->layers and the plan, whose
 * arrangement depends on nothing but the shapes, so that a process that attaches finds everything
 * where the one that packed has put it.
 */
int weights_plan(const struct gguf *g, const struct model_options *opt, struct model *m,
                 struct weights_plan *plan, struct trit_error *err);
void weights_plan_free(struct weights_plan *plan);

/* Decode and pack every item into the payload. */
int weights_pack(const struct gguf *g, const struct weights_plan *plan, const struct model *m,
                 const atomic_bool *stop, uint8_t *payload, struct trit_error *err);

/* Once there is a plan, and before weights are packed: whether they are in the order in which they
 * are read.  reading NULL: as the file says.  -TRIT_EINVAL where the weights say otherwise. */
int load_check_order(const struct reading *reading, struct gguf *g, struct trit_error *err);

/* Point the model's layers, tables and vectors into the payload. */
void weights_point(const struct weights_plan *plan, struct model *m, const uint8_t *payload);

#endif
