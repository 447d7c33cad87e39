/* SPDX-License-Identifier: MIT */
/*
 * head.c - the output head in blocks of rows that the workers deal among themselves.
 *
 * A block is BLOCK rows of the vocabulary.  head_choose has two phases: coarse logits of all rows,
 * where each block notes the best that it can promise; then each block asks which of its rows can
 * still reach the best promise of all, and computes those exactly.  On real texts and with random
 * weights these are a few hundred of 128 thousand rows.
 *
 * Not here: the arithmetic (kernels), sampling (sampler.c), which slot wants what (batch.c).
 */
#include "config.h"
#include "engine/head.h"

#include <math.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/acts.h"

enum {
    BLOCK = 128, /* rows; a sixth of a megabyte of nibbles, eight tiles of ternary weights */
    JOINED = 32, /* rows that are put together at a time for exact logits */
};

static const float DEVIATIONS = 6; /* see head.h */

/* Of a ternary head's inputs: it decides the tokens, and costs no more to read (engine/acts.h). */
static const unsigned PLANES = 2;

/* Rows on their way to exact logits, of one worker. */
struct joined {
    int8_t *bytes; /* [JOINED][stride] */
    float *scales; /* [JOINED] */
    float *out;    /* [slots][JOINED] */
    uint32_t row[JOINED];
    uint32_t n;
};

struct head {
    const struct model *proves; /* see head_prove */
    const struct table *t;
    const struct linear *tiles; /* of a ternary head, else NULL */
    const struct kernels *k;
    struct team *team;
    uint32_t dim, n_rows, n_blocks;

    uint8_t *memory; /* everything below, in one mapping */
    size_t memory_bytes;
    float *x;                 /* [slots][stride] of an f16 head */
    struct planes planes;     /* the same for a q8 head */
    float *reach;             /* [slots]: DEVIATIONS of a row with scale 1 */
    const uint64_t **allowed; /* [slots]: see head_allow */
    float *promise;           /* [slots][n_blocks]: the largest coarse logit less its reach */
    float *logits;            /* [slots][logits_stride] */
    size_t logits_stride;
    struct joined *joined; /* [workers] */

    /* A ternary head. */
    struct acts acts; /* [slots] in PLANES */
    float *rest;      /* [slots][dim] and */
    float *sums;      /* [workers][sums_stride]: scratch of acts_put and acts_multiply */
    size_t sums_stride;
};

static float *logits_of(const struct head *h, size_t slot)
{
    return h->logits + slot * h->logits_stride;
}

const float *head_logits(const struct head *h, uint32_t slot)
{
    return logits_of(h, slot);
}

void head_prove(struct head *h, const struct model *m)
{
    h->proves = m;
}

/* Rows [row, end), whole tiles, of what all rows are read of. */
static void prove_rows(const struct head *h, size_t row, size_t end)
{
    const struct table *t = h->t;
    const struct linear *w = h->tiles;
    if (!h->proves)
        return;
    size_t bytes = w                        ? w->tile_bytes / LAYOUT_TILE
                   : t->type == TABLE_F16 ? t->stride * sizeof(uint16_t)
                                            : table_nibble_stride(t);
    const uint8_t *from = w ? w->codes : t->data;
    model_prove(h->proves, from + row * bytes, (end - row) * bytes);
}

/* The planes from a slot on, as a token of their own. */
static struct planes planes_from(const struct head *h, size_t slot)
{
    const struct planes *p = &h->planes;
    return (struct planes){.hi = p->hi + slot * p->stride,
                           .lo = p->lo + slot * p->stride,
                           .step = p->step + slot,
                           .sum_hi = p->sum_hi + slot,
                           .sum_lo = p->sum_lo + slot,
                           .stride = p->stride};
}

/* Integers, and then operations that IEEE 754 rounds correctly: the same everywhere. */
static float reach_of(const struct planes *p, size_t n)
{
    int64_t hi = 0, lo = 0;
    for (size_t i = 0; i < n; i++) {
        hi += p->hi[i] * p->hi[i];
        lo += p->lo[i] * p->lo[i];
    }
    const float high = 128 * 4.61f, low = 127;
    float square = high * high * (float)hi + low * low * (float)lo;
    return DEVIATIONS * p->step[0] * sqrtf(square);
}

bool head_is_exact(const struct head *h)
{
    return h->tiles || h->t->type == TABLE_F16;
}

void head_set(struct head *h, uint32_t slot, const float *x)
{
    if (h->tiles) {
        acts_put(h->k, h->tiles, &h->acts, PLANES, slot, x, h->rest + (size_t)slot * h->dim);
        return;
    }
    if (h->t->type == TABLE_F16) {
        float *to = h->x + (size_t)slot * h->t->stride;
        for (uint32_t i = 0; i < h->t->stride; i++)
            to[i] = i < h->dim ? x[i] : 0;
        return;
    }
    h->k->head_split(&h->planes, slot, x, h->dim);
    struct planes p = planes_from(h, slot);
    h->reach[slot] = reach_of(&p, h->dim);
}

/* The next run of slots [*first, ...) that have the use; its length, 0 at the end. */
static uint32_t next_run(const uint8_t *use, uint32_t n, enum head_use wanted, uint32_t *first)
{
    while (*first < n && !(use[*first] & wanted))
        ++*first;
    uint32_t end = *first;
    while (end < n && (use[end] & wanted))
        end++;
    return end - *first;
}

/* The largest of logit[n] - scale[n] * reach; in lanes, for compilers that make vectors of them. */
static float promise_of(const float *logit, const float *scale, float reach, size_t n)
{
    enum { LANES = 16 };
    float lane[LANES], best = -INFINITY;
    for (size_t l = 0; l < LANES; l++)
        lane[l] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float sure = logit[i + l] - scale[i + l] * reach;
            lane[l] = sure > lane[l] ? sure : lane[l];
        }
    for (; i < n; i++) {
        float sure = logit[i] - scale[i] * reach;
        lane[0] = sure > lane[0] ? sure : lane[0];
    }
    for (size_t l = 0; l < LANES; l++)
        best = lane[l] > best ? lane[l] : best;
    return best;
}

void head_allow(struct head *h, uint32_t slot, const uint64_t *allowed)
{
    if (!head_is_exact(h))
        h->allowed[slot] = allowed;
}

/* What may not be chosen neither promises anything nor is looked at again. */
static void strike_out(const struct head *h, uint32_t slot, size_t row, size_t end)
{
    const uint64_t *allowed = h->allowed[slot];
    float *logit = logits_of(h, slot);
    for (; allowed && row < end; row++)
        if (!(allowed[row / 64] >> row % 64 & 1))
            logit[row] = -INFINITY;
}

static void coarse_block(struct head *h, size_t block, uint32_t slot, uint32_t n)
{
    size_t row = block * BLOCK, end = MIN(row + BLOCK, (size_t)h->t->rows);
    struct planes p = planes_from(h, slot);
    h->k->head_coarse(logits_of(h, slot), h->logits_stride, h->t, row, end, &p, n);
    prove_rows(h, row, end);
    for (uint32_t s = slot; s < slot + n; s++) {
        strike_out(h, s, row, end);
        h->promise[s * h->n_blocks + block] =
            promise_of(logits_of(h, s) + row, h->t->scales + row, h->reach[s], end - row);
    }
}

/* The exact logits of the rows that were joined, for n slots from `slot` on. */
static void multiply_joined(struct head *h, struct joined *j, uint32_t slot, uint32_t n)
{
    struct table view = *h->t;
    view.type = TABLE_BYTES;
    view.rows = j->n;
    view.data = j->bytes;
    view.scales = j->scales;
    struct planes p = planes_from(h, slot);
    h->k->head_q8(j->out, JOINED, &view, 0, j->n, &p, n);
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t i = 0; i < j->n; i++)
            logits_of(h, slot + s)[j->row[i]] = j->out[s * JOINED + i];
}

static void join(struct head *h, struct joined *j, uint32_t row)
{
    table_join_row(h->t, row, j->bytes + (size_t)j->n * h->t->stride);
    j->scales[j->n] = h->t->scales[row];
    j->row[j->n++] = row;
}

/* Which of a block's rows may be the likeliest token of a slot; those become exact. */
static void settle_block(struct head *h, struct joined *j, size_t block, uint32_t slot, float best)
{
    size_t row = block * BLOCK, end = MIN(row + BLOCK, (size_t)h->t->rows);
    const float *logit = logits_of(h, slot);
    j->n = 0;
    for (size_t r = row; r < end; r++) {
        if (!(logit[r] + h->t->scales[r] * h->reach[slot] >= best) || logit[r] == -INFINITY)
            continue;
        if (j->n == JOINED) {
            multiply_joined(h, j, slot, 1);
            j->n = 0;
        }
        join(h, j, (uint32_t)r);
    }
    if (j->n)
        multiply_joined(h, j, slot, 1);
}

static float best_promise(const struct head *h, uint32_t slot)
{
    const float *promise = h->promise + (size_t)slot * h->n_blocks;
    float best = -INFINITY;
    for (size_t b = 0; b < h->n_blocks; b++)
        best = promise[b] > best ? promise[b] : best;
    return best;
}

void head_choose(struct head *h, const uint8_t *use, uint32_t n, unsigned worker)
{
    if (head_is_exact(h)) {
        head_exact(h, use, n, worker);
        return;
    }
    for (size_t block; (block = team_take(h->team, 1)) < h->n_blocks;)
        for (uint32_t s = 0, run; (run = next_run(use, n, HEAD_CHOOSE, &s)) > 0; s += run)
            coarse_block(h, block, s, run);
    team_barrier(h->team);
    /* Slot by slot, so that the best promise is looked up once for many blocks. */
    const size_t parts = 8, part = (h->n_blocks + parts - 1) / parts;
    for (size_t i; (i = team_take(h->team, 1)) < n * parts;) {
        uint32_t s = (uint32_t)(i / parts);
        if (!(use[s] & HEAD_CHOOSE))
            continue;
        float best = best_promise(h, s);
        size_t first = i % parts * part, end = MIN(first + part, (size_t)h->n_blocks);
        for (size_t block = first; block < end; block++)
            settle_block(h, &h->joined[worker], block, s, best);
    }
    team_barrier(h->team);
}

/* All rows of a block, for each run of slots that want them; where there are no others, for all. */
static void exact_block(struct head *h, unsigned worker, size_t block, const uint8_t *use,
                        uint32_t n)
{
    const struct table *t = h->t;
    size_t row = block * BLOCK, end = MIN(row + BLOCK, (size_t)h->n_rows);
    if (head_is_exact(h))
        prove_rows(h, row, end);
    if (h->tiles) {
        size_t tile = row / LAYOUT_TILE, tile_end = (end + LAYOUT_TILE - 1) / LAYOUT_TILE;
        acts_multiply(h->k, h->logits, h->logits_stride, h->tiles, tile, tile_end, &h->acts, PLANES,
                      n, h->sums + worker * h->sums_stride);
        return;
    }
    if (t->type == TABLE_F16) {
        h->k->head_f16(h->logits, h->logits_stride, t, row, end, h->x, t->stride, n);
        return;
    }
    struct joined *j = &h->joined[worker];
    while (row < end) {
        for (j->n = 0; row < end && j->n < JOINED; row++)
            join(h, j, (uint32_t)row);
        for (uint32_t s = 0, run; (run = next_run(use, n, HEAD_EXACT, &s)) > 0; s += run)
            multiply_joined(h, j, s, run);
    }
}

void head_exact(struct head *h, const uint8_t *use, uint32_t n, unsigned worker)
{
    for (size_t block; (block = team_take(h->team, 1)) < h->n_blocks;)
        exact_block(h, worker, block, use, n);
    team_barrier(h->team);
}

/* ---------------------------------------------------------------- room */

/* Lay all scratch out behind `base`; called once to measure and once in earnest. */
static size_t lay_out(struct head *h, uint8_t *base, size_t slots)
{
    size_t at = 0, stride = h->t->stride, workers = team_room(h->team);
    bool f16 = h->t->type == TABLE_F16;
    h->logits = mem_carve(base, &at, slots * h->logits_stride, sizeof(float));
    if (h->tiles) {
        h->sums_stride = acts_sums(PLANES, BLOCK / LAYOUT_TILE, slots);
        acts_carve(&h->acts, base, &at, PLANES, slots, round_up(layout_acts(h->tiles), 64),
                   h->tiles->n_groups);
        h->rest = mem_carve(base, &at, slots * h->dim, sizeof(float));
        h->sums = mem_carve(base, &at, workers * h->sums_stride, sizeof(float));
        return at;
    }
    h->x = mem_carve(base, &at, f16 ? slots * stride : 0, sizeof(float));
    if (f16)
        return at;
    h->planes.stride = stride;
    h->planes.hi = mem_carve(base, &at, slots, stride);
    h->planes.lo = mem_carve(base, &at, slots, stride);
    h->planes.step = mem_carve(base, &at, slots, sizeof(float));
    h->planes.sum_hi = mem_carve(base, &at, slots, sizeof(int32_t));
    h->planes.sum_lo = mem_carve(base, &at, slots, sizeof(int32_t));
    h->reach = mem_carve(base, &at, slots, sizeof(float));
    h->allowed = mem_carve(base, &at, slots, sizeof *h->allowed);
    h->promise = mem_carve(base, &at, slots * h->n_blocks, sizeof(float));
    h->joined = mem_carve(base, &at, workers, sizeof *h->joined);
    for (size_t w = 0; w < workers; w++) {
        int8_t *bytes = mem_carve(base, &at, JOINED, stride);
        float *scales = mem_carve(base, &at, JOINED, sizeof(float));
        float *joined = mem_carve(base, &at, slots * JOINED, sizeof(float));
        if (base)
            h->joined[w] = (struct joined){.bytes = bytes, .scales = scales, .out = joined};
    }
    return at;
}

int head_open(const struct model *m, const struct kernels *k, struct team *team, uint32_t max_slots,
              struct head **out, struct trit_error *err)
{
    *out = NULL;
    struct head *h = mem_zalloc(1, sizeof *h);
    if (!h)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the head");
    *h = (struct head){.t = &m->head,
                       .tiles = m->head_tiles.codes ? &m->head_tiles : NULL,
                       .k = k,
                       .team = team,
                       .dim = m->hp.dim,
                       .n_rows = m->hp.vocab,
                       .n_blocks = (m->hp.vocab + BLOCK - 1) / BLOCK,
                       .logits_stride = round_up(m->hp.vocab, 16)};
    h->memory_bytes = lay_out(h, NULL, max_slots);
    h->memory = mem_map(h->memory_bytes);
    if (!h->memory) {
        size_t bytes = h->memory_bytes;
        head_close(&h);
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu bytes of logits", bytes);
    }
    lay_out(h, h->memory, max_slots);
    *out = h;
    return 0;
}

void head_close(struct head **h)
{
    if (!*h)
        return;
    mem_unmap((*h)->memory, (*h)->memory_bytes);
    mem_free(*h);
    *h = NULL;
}

size_t head_bytes(const struct head *h)
{
    return h->memory_bytes;
}
