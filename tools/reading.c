/* SPDX-License-Identifier: MIT */
/*
 * reading.c - how a file whose weights can be read in several ways is to be read, and whether that
 * was right.
 */
#include "config.h"
#include "reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "model/gguf.h"
#include "model/hf.h"
#include "model/plausible.h"
#include "tool.h"

bool reading_i2s(struct reading *r, const char *text)
{
    const char *name;
    for (unsigned i = 0; (name = plausible_order_name(i, &r->i2s)) != NULL; i++)
        if (strcmp(name, text) == 0)
            return true;
    return false;
}

static int add_tiles(struct reading *r, const struct quant_tiles *t, const char *text,
                     struct trit_error *err)
{
    if (r->n_tiles == READING_TILES)
        return trit_fail(err, TRIT_EINVAL, "--tiles %.80s: more than %d of them", text,
                         READING_TILES);
    r->tiles[r->n_tiles++] = *t;
    return 0;
}

/* Sections of a kernel_config.ini, each with m, k, bm, bk and bmm. */
static int read_config(struct reading *r, FILE *f, const char *path, struct trit_error *err)
{
    struct quant_tiles t = {0};
    char line[200], key[40];
    unsigned number = 0, seen = 0;
    int rc = 0;
    for (bool more = true; rc == 0 && more;) {
        unsigned value;
        more = fgets(line, sizeof line, f) != NULL;
        number += more;
        const char *at = more ? line + strspn(line, " \t\r\n") : "[";
        if (*at == '[' && seen) {
            if (seen != 31)
                return trit_fail(
                    err, TRIT_EFORMAT,
                    "%.200s: the section before line %u lacks one of m, k, bm, bk, bmm", path,
                    number);
            rc = add_tiles(r, &t, path, err);
            seen = 0;
        }
        if (*at == '[' || *at == '\0' || *at == '#' || *at == ';')
            continue;
        if (sscanf(at, "%39[a-zA-Z_] = %u", key, &value) != 2)
            return trit_fail(err, TRIT_EFORMAT, "%.200s: line %u: expected NAME = NUMBER", path,
                             number);
        static const char *const keys[] = {"m", "k", "bm", "bk", "bmm"};
        for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
            if (strcmp(keys[i], key) == 0) {
                seen |= 1u << i;
                t.rows = i == 0 ? value : t.rows;
                t.cols = i == 1 ? value : t.cols;
                t.bm = i == 2 ? value : t.bm;
                t.bk = i == 3 ? value : t.bk;
                t.band = i == 4 ? value : t.band;
            }
    }
    return rc;
}

int reading_tiles(struct reading *r, const char *text, struct trit_error *err)
{
    struct quant_tiles t = {0};
    int end = 0;
    bool shaped = strchr(text, '=') != NULL;
    int n = shaped ? sscanf(text, "%" SCNu64 "x%" SCNu64 "=%u,%u,%u%n", &t.rows, &t.cols, &t.bm,
                            &t.bk, &t.band, &end)
                   : sscanf(text, "%u,%u,%u%n", &t.bm, &t.bk, &t.band, &end);
    if (n == (shaped ? 5 : 3) && text[end] == '\0')
        return add_tiles(r, &t, text, err);
    size_t before = r->n_tiles;
    FILE *f = fopen(text, "re");
    if (!f)
        return trit_fail(err, TRIT_EINVAL,
                         "--tiles %.200s: expected BM,BK,BMM, ROWSxCOLS=BM,BK,BMM or the path of a "
                         "kernel_config.ini (%s)",
                         text, strerror(errno));
    int rc = read_config(r, f, text, err);
    fclose(f);
    if (rc == 0 && r->n_tiles == before)
        rc = trit_fail(err, TRIT_EFORMAT, "%.200s: there is no section with m, k, bm, bk and bmm",
                       text);
    return rc;
}

/* The first linear of an encoding that can be read in several ways; NULL: there is none. */
static const struct gguf_tensor *ambiguous(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->quant && (t->type == QUANT_I2_S || t->type == QUANT_TL1 || t->type == QUANT_TL2))
            return t;
    }
    return NULL;
}

/* Is another order of I2_S the right one? */
static int compare_orders(const struct gguf *g, const struct plausible *seen,
                          struct trit_error *err)
{
    struct plausible best;
    uint32_t type, better = plausible_order(g, PLAUSIBLE_LAYERS, seen, &best);
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
    const char *path;
    unsigned layers;
    struct plausible seen, best;
    struct quant_tiles found; /* rows 0: none */
};

/* What the weights look like if the tensors of one shape have these tiles. */
static void try_tiles(struct search *s, const struct quant_tiles *tiles)
{
    static struct quant_tiles all[READING_TILES + 1];
    struct gguf *g = NULL;
    struct plausible p;
    struct trit_error ignored;
    all[0] = *tiles; /* the first of a shape counts */
    memcpy(all + 1, s->how->tiles, s->how->n_tiles * sizeof *all);
    const struct gguf_reading r = {.tiles = all, .n_tiles = s->how->n_tiles + 1};
    if (gguf_open(s->path, &g, &ignored) != 0)
        return;
    if (gguf_read_as(g, &r, &ignored) == 0 && plausible_look(g, 0, s->layers, &p, &ignored) == 0 &&
        plausible_is_better(&p, &s->seen) && p.score > s->best.score) {
        s->best = p;
        s->found = *tiles;
    }
    gguf_close(&g);
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
static int compare_tiles(const struct reading *how, const struct gguf *g, struct trit_error *err)
{
    enum { SMALL = 200000000, SHAPES = 16 };
    const struct gguf_tensor *shape[SHAPES];
    size_t n = 0;
    uint64_t values = 0;
    struct search s = {.how = how, .path = gguf_path(g)};
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        size_t k = 0;
        if (!t->quant || !t->tiles)
            continue;
        values += tool_values(t);
        while (k < n && (shape[k]->ne[0] != t->ne[0] || shape[k]->ne[1] != t->ne[1]))
            k++;
        if (k == n && n < SHAPES)
            shape[n++] = t;
    }
    s.layers = values < SMALL ? PLAUSIBLE_LAYERS : 1;
    int rc = plausible_look(g, 0, s.layers, &s.seen, err);
    if (rc)
        return rc;
    s.best = s.seen;
    for (size_t k = 0; s.seen.sums && k < n; k++)
        try_shape(&s, shape[k]);
    log_progress(NULL);
    if (!s.found.rows)
        return 0;
    return trit_fail(
        err, TRIT_EINVAL,
        "%.200s: with these tiles the weights are out of order, and with --tiles %" PRIu64
        "x%" PRIu64 "=%u,%u,%u less so (%.0f against %.0f); use that, or --unchecked",
        gguf_path(g), s.found.rows, s.found.cols, s.found.bm, s.found.bk, s.found.band,
        s.best.score, s.seen.score);
}

static int check(const struct reading *r, const struct gguf *g, char note[200],
                 struct trit_error *err)
{
    const struct gguf_tensor *t = ambiguous(g);
    struct plausible seen;
    if (!t || (t->type != QUANT_I2_S && !t->tiles))
        return 0;
    int rc = plausible_look(g, 0, PLAUSIBLE_LAYERS, &seen, err);
    if (rc)
        return rc == -TRIT_ENOMEM ? rc : 0; /* What cannot be read is named by who reads it all. */
    if (t->type != QUANT_I2_S && (rc = compare_tiles(r, g, err)))
        return rc;
    if (t->type != QUANT_I2_S && seen.sums && !plausible_is_whole(&seen))
        return trit_fail(
            err, TRIT_EINVAL,
            "%.200s: with these tiles the weights are out of order, as far as they tell "
            "(%.0f and %.0f, by chance %u and %u); with --unchecked they are read so",
            gguf_path(g), seen.score_of[PLAUSIBLE_RESIDUAL], seen.score_of[PLAUSIBLE_VALUES],
            seen.sums_of[PLAUSIBLE_RESIDUAL], seen.sums_of[PLAUSIBLE_VALUES]);
    if (t->type == QUANT_I2_S)
        rc = compare_orders(g, &seen, err);
    if (rc == 0 && seen.sums)
        snprintf(note, 200,
                 plausible_is_order(&seen)
                     ? "the weights are in the order of a trained model (%.0f, by chance %u)"
                     : "nothing tells whether the weights are in order (%.0f, by chance %u)",
                 seen.score, seen.sums);
    return rc;
}

int reading_open(const struct reading *r, const char *path, struct gguf **g, char note[200],
                 struct trit_error *err)
{
    const struct gguf_reading how = {.i2s = r->i2s, .tiles = r->tiles, .n_tiles = r->n_tiles};
    note[0] = '\0';
    int rc = hf_open_any(path, g, err);
    if (rc == 0)
        rc = gguf_read_as(*g, &how, err);
    if (rc == 0 && !r->as_it_is)
        rc = check(r, *g, note, err);
    if (rc)
        gguf_close(g);
    return rc;
}
