/* SPDX-License-Identifier: MIT */
/*
 * weights-parts.h - what the two bodies that plan the weights share.
 *
 *     weights.c        which tensors a model has, in which order, and that none is left over
 *     weights-items.c  what each of them may be, and its place in the payload
 */
#ifndef TRIT_WEIGHTS_PARTS_H
#define TRIT_WEIGHTS_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/load-parts.h"

/* A plan in the making. */
struct planner {
    const struct gguf *g;
    const struct model_options *opt;
    struct model *m;
    struct weights_plan *plan;
    struct trit_error *err;
    size_t n_used; /* tensors of the file that have found a role */
};

/*
 * Find a tensor, check it, and plan it as the next item: 0, or -TRIT_E... and an error that names
 * it.  Where one is not `required` and not there, nothing is planned, and that is no error.
 */

/* [n] floats. */
int weights_add_vector(struct planner *p, const char *name, uint32_t n, bool required,
                       const float **dst);

/* A norm of the residual stream or of heads, which the file may have less one. */
int weights_add_norm(struct planner *p, const char *name, uint32_t n, const float **dst);

/* A matrix of floats, [rows][cols], decoded from whatever encoding. */
int weights_add_matrix(struct planner *p, const char *name, uint32_t rows, uint32_t cols,
                       const float **dst);

/* Embedding or head, [vocab][dim]: `tiles` where it is ternary and may stay so, else a `table`. */
int weights_add_table(struct planner *p, const char *name, bool required, struct table *table,
                      struct linear *tiles);

/* "<stem>.weight", [rows][cols], by the model's method, and what stands beside it. */
int weights_add_linear(struct planner *p, const char *stem, uint32_t rows, uint32_t cols,
                       struct linear *w);

/* The type of a table that is not ternary. */
enum table_type weights_plain_table(const struct model_options *opt, const struct model *m);

#endif
