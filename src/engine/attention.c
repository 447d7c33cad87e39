/* SPDX-License-Identifier: MIT */
/*
 * attention.c - tiles, items, and the parts that several workers leave for a row.
 *
 * Not here: the arithmetic (kernels.h: attend, attend_merge, attend_finish).
 */
#include "config.h"
#include "engine/attention.h"

#include <math.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "kernels/kernels.h"

enum {
    ITEMS_PER_WORKER = 4, /* so that the last one to finish is not far behind the others */
    RANGE_PAGES = ATTEND_RANGE / KV_PAGE_TOKENS,
};

_Static_assert(ATTEND_RANGE % KV_PAGE_TOKENS == 0, "a range is a number of whole pages");

struct tile {
    uint32_t row, n_rows;
    uint32_t first;    /* range that its rows begin in */
    uint32_t n_ranges; /* of each of its rows, from that one on */
    size_t items_end;  /* items of this tile and those before it */
    float *parts;      /* [kv head][n_ranges] parts, where ranges are dealt; else NULL */
};

/* The tiles of a step for layers of one kind; all kinds have the same room for parts, in turn. */
struct plan {
    size_t window;      /* of struct attend_tile */
    struct tile *tiles; /* [max_rows] */
    uint32_t *tile_of;  /* [max_rows] */
    uint32_t n_tiles;
    size_t n_items;
};

enum { ALL, WINDOW, PLANS };

struct attention {
    const struct hparams *hp;
    const struct kernels *k;
    struct team *team;
    const struct kv *kv;
    uint32_t n_kv_heads, n_q, head_dim; /* n_q query heads share a KV head */
    uint32_t row_floats;                /* n_kv_heads * n_q * head_dim */
    uint32_t max_rows, max_ranges, max_tile_rows;
    float scale;

    uint8_t *memory; /* everything below, in one mapping */
    size_t memory_bytes;
    struct plan plan[PLANS];
    unsigned n_plans; /* WINDOW only where the model has windows */
    float *parts;     /* [parts_cap] floats, where dealt ranges meet */
    size_t parts_cap;
    float *scratch; /* [workers][scratch_stride]: two parts of a tile, and the kernel's own */
    size_t scratch_stride;

    const struct forward_row *rows; /* of the step under way */
};

static const struct plan *plan_of(const struct attention *a, uint32_t layer)
{
    return &a->plan[hparams_is_local(a->hp, layer) ? WINDOW : ALL];
}

/* ---------------------------------------------------------------- parts */

/* Floats of a part for so many rows of a tile. */
static size_t part_floats(const struct attention *a, uint32_t n_rows)
{
    return (size_t)n_rows * a->n_q * attend_width(a->head_dim) +
           round_up(2 * (size_t)n_rows * a->n_q, 16);
}

static struct attend_part part_at(const struct attention *a, float *base, uint32_t n_rows)
{
    size_t queries = (size_t)n_rows * a->n_q;
    float *max = base + queries * attend_width(a->head_dim);
    return (struct attend_part){.mix = base, .max = max, .sum = max + queries};
}

/* The same for one row of it. */
static struct attend_part part_row(const struct attention *a, struct attend_part p, uint32_t row)
{
    size_t first = (size_t)row * a->n_q;
    return (struct attend_part){.mix = p.mix + first * attend_width(a->head_dim),
                                .max = p.max + first,
                                .sum = p.sum + first};
}

static struct attend_part dealt_part(const struct attention *a, const struct tile *t, uint32_t head,
                                     uint32_t range)
{
    size_t i = (size_t)head * t->n_ranges + range;
    return part_at(a, t->parts + i * part_floats(a, t->n_rows), t->n_rows);
}

/* ---------------------------------------------------------------- planning */

/* The range in which a row begins that stands at `pos`. */
static uint32_t first_range(const struct plan *p, uint32_t pos)
{
    return p->window && pos >= p->window ? (uint32_t)(pos + 1 - p->window) / ATTEND_RANGE : 0;
}

/* Whether row r goes on where the one before it stands, and both begin and end in one range. */
static bool continues(const struct plan *p, const struct forward_row *rows, uint32_t r)
{
    return rows[r].lease == rows[r - 1].lease && rows[r].pos == rows[r - 1].pos + 1 &&
           rows[r].pos % ATTEND_RANGE != 0 &&
           first_range(p, rows[r].pos) == first_range(p, rows[r - 1].pos);
}

/* The cost of an item of this tile, in ranges of one row. */
static size_t cost(const struct tile *t)
{
    return (size_t)t->n_ranges * t->n_rows;
}

static void make_plan(struct attention *a, struct plan *p, const struct forward_row *rows,
                      uint32_t n)
{
    size_t wanted = (size_t)ITEMS_PER_WORKER * team_size(a->team), total = 0;
    uint32_t most = (uint32_t)MIN(MAX(n * (size_t)a->n_kv_heads / wanted, 1u), a->max_tile_rows);
    p->n_tiles = 0;
    for (uint32_t r = 0; r < n;) {
        struct tile *t = &p->tiles[p->n_tiles];
        *t = (struct tile){.row = r, .first = first_range(p, rows[r].pos)};
        t->n_ranges = rows[r].pos / ATTEND_RANGE + 1 - t->first;
        do
            p->tile_of[r++] = p->n_tiles;
        while (r < n && r - t->row < most && continues(p, rows, r));
        t->n_rows = r - t->row;
        total += cost(t) * a->n_kv_heads;
        p->n_tiles++;
    }
    size_t used = 0;
    p->n_items = 0;
    for (uint32_t i = 0; i < p->n_tiles; i++) {
        struct tile *t = &p->tiles[i];
        size_t floats = (size_t)a->n_kv_heads * t->n_ranges * part_floats(a, t->n_rows);
        if (t->n_ranges > 1 && cost(t) * wanted > total && floats <= a->parts_cap - used) {
            t->parts = a->parts + used;
            used += floats;
        }
        p->n_items += (size_t)a->n_kv_heads * (t->parts ? t->n_ranges : 1);
        t->items_end = p->n_items;
    }
}

void attention_plan(struct attention *a, const struct forward_row *rows, uint32_t n)
{
    a->rows = rows;
    for (unsigned i = 0; i < a->n_plans; i++)
        make_plan(a, &a->plan[i], rows, n);
}

/* ---------------------------------------------------------------- computing */

/* The tile's range number `range`, counted from its first. */
static void attend_range(const struct attention *a, const struct tile *t, uint32_t layer,
                         uint32_t head, uint32_t range, const float *q,
                         const struct attend_part *part, float *scratch)
{
    const struct forward_row *row = &a->rows[t->row];
    range += t->first;
    struct kv_span span = kv_span(a->kv, row->lease, layer, head);
    span.pages += range * RANGE_PAGES;
    size_t seen = row->pos + 1 - (size_t)range * ATTEND_RANGE;
    a->k->attend(part,
                 &(const struct attend_tile){.q = q + (size_t)t->row * a->row_floats +
                                                  (size_t)head * a->n_q * a->head_dim,
                                             .q_stride = a->row_floats,
                                             .n_rows = t->n_rows,
                                             .n_q = a->n_q,
                                             .head_dim = a->head_dim,
                                             .window = plan_of(a, layer)->window,
                                             .scale = a->scale},
                 &span, seen, scratch);
}

static void write_row(const struct attention *a, uint32_t row, uint32_t head,
                      const struct attend_part *part, float *out)
{
    size_t at = (size_t)row * a->row_floats + (size_t)head * a->n_q * a->head_dim;
    a->k->attend_finish(out + at, part, a->n_q, a->head_dim);
}

/* All ranges of a tile and a head, one after another. */
static void attend_whole(const struct attention *a, const struct tile *t, uint32_t layer,
                         uint32_t head, const float *q, float *out, float *scratch)
{
    struct attend_part sum = part_at(a, scratch, t->n_rows);
    scratch += part_floats(a, t->n_rows);
    struct attend_part part = part_at(a, scratch, t->n_rows);
    scratch += part_floats(a, t->n_rows);
    attend_range(a, t, layer, head, 0, q, &sum, scratch);
    for (uint32_t range = 1; range < t->n_ranges; range++) {
        attend_range(a, t, layer, head, range, q, &part, scratch);
        a->k->attend_merge(&sum, &part, (size_t)t->n_rows * a->n_q, a->head_dim);
    }
    for (uint32_t r = 0; r < t->n_rows; r++) {
        struct attend_part row = part_row(a, sum, r);
        write_row(a, t->row + r, head, &row, out);
    }
}

/* The tile that item i belongs to; the first one that ends behind it. */
static const struct tile *tile_of_item(const struct plan *p, size_t i)
{
    const struct tile *low = p->tiles;
    for (uint32_t n = p->n_tiles; n > 1;) {
        uint32_t half = n / 2;
        if (low[half - 1].items_end <= i)
            low += half;
        n -= half;
    }
    return low;
}

void attention_run(struct attention *a, uint32_t layer, const float *q, float *out, unsigned worker)
{
    const struct plan *p = plan_of(a, layer);
    float *scratch = a->scratch + worker * a->scratch_stride;
    for (size_t i; (i = team_take(a->team, 1)) < p->n_items;) {
        const struct tile *t = tile_of_item(p, i);
        uint32_t left = (uint32_t)(t->items_end - i - 1);
        if (!t->parts) {
            attend_whole(a, t, layer, left, q, out, scratch);
            continue;
        }
        uint32_t head = left / t->n_ranges, range = left % t->n_ranges;
        struct attend_part part = dealt_part(a, t, head, range);
        attend_range(a, t, layer, head, range, q, &part, scratch);
    }
    team_barrier(a->team);
}

void attention_join(struct attention *a, uint32_t layer, uint32_t row, float *out)
{
    const struct plan *p = plan_of(a, layer);
    const struct tile *t = &p->tiles[p->tile_of[row]];
    for (uint32_t head = 0; t->parts && head < a->n_kv_heads; head++) {
        struct attend_part sum = part_row(a, dealt_part(a, t, head, 0), row - t->row);
        for (uint32_t range = 1; range < t->n_ranges; range++) {
            struct attend_part part = part_row(a, dealt_part(a, t, head, range), row - t->row);
            a->k->attend_merge(&sum, &part, a->n_q, a->head_dim);
        }
        write_row(a, row, head, &sum, out);
    }
}

/* ---------------------------------------------------------------- room */

/* Lay all scratch out behind `base`; called once to measure and once in earnest. */
static size_t lay_out(struct attention *a, uint8_t *base)
{
    size_t at = 0;
    for (unsigned i = 0; i < a->n_plans; i++) {
        a->plan[i].tiles = mem_carve(base, &at, a->max_rows, sizeof *a->plan[i].tiles);
        a->plan[i].tile_of = mem_carve(base, &at, a->max_rows, sizeof *a->plan[i].tile_of);
    }
    a->parts = mem_carve(base, &at, a->parts_cap, sizeof(float));
    a->scratch = mem_carve(base, &at, team_room(a->team) * a->scratch_stride, sizeof(float));
    return at;
}

int attention_open(const struct model *m, const struct kernels *k, struct team *team, struct kv *kv,
                   uint32_t max_rows, uint32_t n_ctx, struct attention **out,
                   struct trit_error *err)
{
    const struct hparams *hp = &m->hp;
    *out = NULL;
    struct attention *a = mem_zalloc(1, sizeof *a);
    if (!a)
        return trit_fail(err, TRIT_ENOMEM, "no memory for attention");
    *a = (struct attention){.hp = hp,
                            .k = k,
                            .team = team,
                            .kv = kv,
                            .n_kv_heads = hp->n_kv_heads,
                            .n_q = hp->n_heads / hp->n_kv_heads,
                            .head_dim = hp->head_dim,
                            .row_floats = hp->n_heads * hp->head_dim,
                            .max_rows = max_rows,
                            .max_ranges = (n_ctx - 1) / ATTEND_RANGE + 1,
                            .n_plans = hp->window ? PLANS : 1,
                            .scale = hp->attn_scale > 0 ? hp->attn_scale
                                                        : 1.0f / sqrtf((float)hp->head_dim)};
    a->plan[WINDOW].window = hp->window;
    a->max_tile_rows = MIN(MAX(ATTEND_QUERIES / a->n_q, 1u), max_rows);
    a->scratch_stride =
        2 * part_floats(a, a->max_tile_rows) +
        round_up(attend_scratch((size_t)a->max_tile_rows * a->n_q, a->head_dim), 16);
    /* Rows are dealt by ranges while they are too few for the team, so room for so many is enough;
     * without room they are items like the others.  Pages that are never used cost nothing. */
    size_t items = (size_t)ITEMS_PER_WORKER * team_room(team);
    size_t few = MAX((items - 1) / a->n_kv_heads + 1, a->max_tile_rows);
    if (a->max_ranges > 1)
        a->parts_cap =
            MIN(few, max_rows) * a->n_kv_heads * (size_t)a->max_ranges * part_floats(a, 1);
    a->memory_bytes = lay_out(a, NULL);
    a->memory = mem_map(a->memory_bytes);
    if (!a->memory) {
        size_t bytes = a->memory_bytes;
        attention_close(&a);
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu bytes of attention's scratch", bytes);
    }
    lay_out(a, a->memory);
    *out = a;
    return 0;
}

void attention_close(struct attention **a)
{
    if (!*a)
        return;
    mem_unmap((*a)->memory, (*a)->memory_bytes);
    mem_free(*a);
    *a = NULL;
}

size_t attention_bytes(const struct attention *a)
{
    return a->memory_bytes;
}
