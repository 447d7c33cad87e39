/* SPDX-License-Identifier: MIT */
/*
 * acts.c - activations in one plane or two, and the products of both.
 *
 * Not here: the arithmetic (kernels), whose rows they are (forward-phases.c, head.c).
 */
#include "config.h"
#include "engine/acts.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"

static const float MAGNIFIED = KERNELS_REST;

int acts_type_parse(const char *word, enum acts_type *type)
{
    static const char *const words[] = {[ACTS_AUTO] = "auto", [ACTS_Q8] = "q8", [ACTS_Q16] = "q16"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(word, words[i]) == 0) {
            *type = (enum acts_type)i;
            return 0;
        }
    return -TRIT_EINVAL;
}

unsigned acts_planes(const struct model *m, enum acts_type type)
{
    if (type != ACTS_AUTO)
        return type == ACTS_Q16 ? 2 : 1;
    bool floats = m->hp.method == METHOD_ONEBIT || m->hp.method == METHOD_BILLM;
    return floats || m->layers[0].down.n_groups > 1 ? 2 : 1;
}

void acts_carve(struct acts *a, uint8_t *base, size_t *at, unsigned planes, size_t n_rows,
                size_t q_stride, uint32_t n_groups)
{
    size_t tokens = planes * n_rows;
    *a = (struct acts){.q_stride = q_stride, .n_groups = n_groups};
    a->q = mem_carve(base, at, tokens, q_stride);
    a->step = mem_carve(base, at, tokens * n_groups, sizeof *a->step);
    a->sum = mem_carve(base, at, tokens * n_groups, sizeof *a->sum);
}

void acts_put(const struct kernels *k, const struct linear *w, struct acts *a, unsigned planes,
              size_t row, const float *x, float *rest)
{
    k->quantise(w, a, planes * row, x);
    if (planes == 1)
        return;
    size_t second = planes * row + 1;
    kernels_rest(w, a, planes * row, x, rest);
    k->quantise(w, a, second, rest);
    for (uint32_t g = 0; g < a->n_groups; g++)
        a->step[second * a->n_groups + g] /= MAGNIFIED;
}

/* The tiles [tile0, tile1) of w as a layer of their own. */
static struct linear tiles_of(const struct linear *w, size_t tile0, size_t tile1)
{
    struct linear part = *w;
    size_t row = tile0 * LAYOUT_TILE, scale = row * w->n_groups * layout_levels(w);
    part.rows = (uint32_t)MIN(w->rows - row, (tile1 - tile0) * LAYOUT_TILE);
    part.codes += tile0 * w->tile_bytes;
    if (w->scales)
        part.scales += scale;
    if (w->group_scales)
        part.group_scales += scale;
    return part;
}

/* The kernel that reads w. */
static void product(const struct kernels *k, float *out, size_t out_stride, const struct linear *w,
                    size_t tile0, size_t tile1, const struct acts *a, size_t n_tokens)
{
    if (w->layout == LAYOUT_S1)
        k->signs(out, out_stride, w, tile0, tile1, a, n_tokens);
    else if (w->layout == LAYOUT_S2)
        k->billm(out, out_stride, w, tile0, tile1, a, n_tokens);
    else
        k->ternary(out, out_stride, w, tile0, tile1, a, n_tokens);
}

void acts_multiply(const struct kernels *k, float *out, size_t out_stride, const struct linear *w,
                   size_t tile0, size_t tile1, const struct acts *a, unsigned planes, size_t n_rows,
                   float *sums)
{
    if (planes == 1) {
        product(k, out, out_stride, w, tile0, tile1, a, n_rows);
        return;
    }
    struct linear part = tiles_of(w, tile0, tile1);
    size_t stride = (tile1 - tile0) * LAYOUT_TILE;
    product(k, sums, stride, &part, 0, tile1 - tile0, a, planes * n_rows);
    out += tile0 * LAYOUT_TILE;
    for (size_t r = 0; r < n_rows; r++, out += out_stride, sums += planes * stride) {
        memcpy(out, sums, part.rows * sizeof *out);
        k->add(out, sums + stride, part.rows);
    }
}
