/* SPDX-License-Identifier: MIT */
/*
 * reading-check.c - whether weights that can be read in several ways were read in the right one,
 * and which one is better.
 */
#include "config.h"
#include "model/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "model/gguf.h"
#include "model/plausible.h"

/* Models of fewer weights than this are looked at more closely. */
#define SMALL 200000000

/* The first linear of an encoding that can be read in several ways; NULL: there is none.  *values:
 * how many there are in all of them. */
static const struct gguf_tensor *ambiguous(const struct gguf *g, uint64_t *values)
{
    const struct gguf_tensor *first = NULL;
    *values = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (!t->quant || (t->type != QUANT_I2_S && t->type != QUANT_TL1 && t->type != QUANT_TL2))
            continue;
        first = first ? first : t;
        *values += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    return first;
}

/* Is another order of I2_S the right one? */
static int compare_orders(const struct gguf *g, unsigned layers, const struct plausible *seen,
                          struct trit_error *err)
{
    struct plausible best;
    uint32_t type, better = plausible_order(g, layers, seen, &best);
    const char *name = "";
    for (unsigned i = 0; better && (name = plausible_order_name(i, &type)) && type != better; i++)
        ;
    if (!better)
        return 0;
    return trit_fail(
        err, TRIT_EINVAL,
        "%.200s: read so its weights are out of order, and with --order %s they are not "
        "(%.0f against %.0f); use that, or --unchecked",
        gguf_path(g), name, best.score, seen->score);
}

/* ------------------------------------------------------------------ are other tiles better? */

/* What codes of bitnet.cpp were made with or might have been, and more. */
static const uint32_t bms[] = {32, 64, 96, 128, 160, 192, 256, 320, 384, 512},
                      bks[] = {32, 48, 64, 96, 128, 192, 256, 384}, bands[] = {32, 64};

struct search {
    const struct reading *how;
    struct gguf *g;
    unsigned layers;
    struct plausible seen, best;
    struct quant_tiles found; /* rows 0: none */
};

/* What the weights look like if the tensors of one shape have these tiles. */
static void try_tiles(struct search *s, const struct quant_tiles *tiles)
{
    struct quant_tiles all[READING_TILES + 1];
    struct plausible p;
    struct trit_error ignored;
    all[0] = *tiles; /* the first of a shape counts */
    memcpy(all + 1, s->how->tiles, s->how->n_tiles * sizeof *all);
    const struct gguf_reading r = {.tiles = all, .n_tiles = s->how->n_tiles + 1};
    if (gguf_read_as(s->g, &r, &ignored) == 0 &&
        plausible_look(s->g, 0, s->layers, &p, &ignored) == 0 &&
        plausible_is_better(&p, &s->seen) && p.score > s->best.score) {
        s->best = p;
        s->found = *tiles;
    }
}

static void try_shape(struct search *s, const struct gguf_tensor *t)
{
    for (size_t i = 0; i < ARRAY_LEN(bms) * ARRAY_LEN(bks) * ARRAY_LEN(bands); i++) {
        struct quant_tiles tiles = {.rows = t->ne[1],
                                    .cols = t->ne[0],
                                    .bm = bms[i % ARRAY_LEN(bms)],
                                    .bk = bks[i / ARRAY_LEN(bms) % ARRAY_LEN(bks)],
                                    .band = bands[i / ARRAY_LEN(bms) / ARRAY_LEN(bks)]};
        log_progress("looking whether other tiles are better  %" PRIu64 " x %" PRIu64
                     " as %u,%u,%u",
                     tiles.rows, tiles.cols, tiles.bm, tiles.bk, tiles.band);
        if (quant_tiles_problem(t->quant, &tiles, t->ne[1], t->ne[0]) == NULL)
            try_tiles(s, &tiles);
    }
}

/* Each shape with other tiles, the others as they were given. */
static int compare_tiles(const struct reading *how, struct gguf *g, unsigned layers,
                         struct trit_error *err)
{
    enum { SHAPES = 16 };
    const struct gguf_tensor *shape[SHAPES];
    size_t n = 0;
    struct search s = {.how = how, .g = g, .layers = layers};
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        size_t k = 0;
        if (!t->quant || !t->tiles)
            continue;
        while (k < n && (shape[k]->ne[0] != t->ne[0] || shape[k]->ne[1] != t->ne[1]))
            k++;
        if (k == n && n < SHAPES)
            shape[n++] = t;
    }
    int rc = plausible_look(g, 0, s.layers, &s.seen, err);
    if (rc)
        return rc;
    s.best = s.seen;
    for (size_t k = 0; s.seen.sums && k < n; k++)
        try_shape(&s, shape[k]);
    log_progress(NULL);
    rc = reading_apply(how, g, err); /* as it was */
    if (rc || !s.found.rows)
        return rc;
    return trit_fail(
        err, TRIT_EINVAL,
        "%.200s: with these tiles the weights are out of order, and with --tiles %" PRIu64
        "x%" PRIu64 "=%u,%u,%u less so (%.0f against %.0f); use that, or --unchecked",
        gguf_path(g), s.found.rows, s.found.cols, s.found.bm, s.found.bk, s.found.band,
        s.best.score, s.seen.score);
}

int reading_check(const struct reading *r, struct gguf *g, unsigned layers, char note[READING_NOTE],
                  struct trit_error *err)
{
    uint64_t values;
    const struct gguf_tensor *t = ambiguous(g, &values);
    struct plausible seen;
    if (note)
        note[0] = '\0';
    if (r->as_it_is || !t || (t->type != QUANT_I2_S && !t->tiles))
        return 0;
    bool tiled = t->type != QUANT_I2_S;
    layers = tiled || values < SMALL ? PLAUSIBLE_LAYERS : layers;
    int rc = plausible_look(g, tiled ? 0 : t->quant->type, layers, &seen, err);
    if (rc)
        return rc == -TRIT_ENOMEM ? rc : 0; /* What cannot be read is named by who reads it all. */
    if (tiled && (rc = compare_tiles(r, g, values < SMALL ? PLAUSIBLE_LAYERS : 1, err)))
        return rc;
    if (tiled && seen.sums && !plausible_is_whole(&seen))
        return trit_fail(
            err, TRIT_EINVAL,
            "%.200s: with these tiles the weights are out of order, as far as they tell "
            "(%.0f and %.0f, by chance %u and %u); with --unchecked they are read so",
            gguf_path(g), seen.score_of[PLAUSIBLE_RESIDUAL], seen.score_of[PLAUSIBLE_VALUES],
            seen.sums_of[PLAUSIBLE_RESIDUAL], seen.sums_of[PLAUSIBLE_VALUES]);
    if (!tiled)
        rc = compare_orders(g, layers, &seen, err);
    if (rc == 0 && seen.sums && note)
        snprintf(note, READING_NOTE,
                 plausible_is_order(&seen)
                     ? "the weights are in the order of a trained model (%.0f, by chance %u)"
                     : "nothing tells whether the weights are in order (%.0f, by chance %u)",
                 seen.score, seen.sums);
    return rc;
}
