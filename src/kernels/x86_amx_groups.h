/* SPDX-License-Identifier: MIT */
/*
 * x86_amx_groups.h - several scales a row on matrix tiles: from the sums of a group to floats.
 *
 * A group that has ended leaves its sums in the tiles until the group behind it begins: each tile
 * is stored right before it is used again.  Tile instructions are done in the order of the program,
 * and a store waits for the products before it: four stores behind the last product of a group cost
 * half as much as its products, and in this place nothing (doc/performance-log.md, "groups on
 * tiles").  Then the group is due: half of its weight tiles are settled, which makes their sums
 * terms of y, beside the second operand of the group under way, the others beside the first one of
 * the group behind that.  (A group of one operand: all of them beside the next operand.)
 *
 * A struct groups belongs to one loop, and stays in registers: the compiler must think that a float
 * which is stored may be any other memory.
 *
 * Not here: the products, x86_amx.c.
 */
#ifndef TRIT_KERNELS_X86_AMX_GROUPS_H
#define TRIT_KERNELS_X86_AMX_GROUPS_H

#include "kernels/x86_amx.h"

/* A group of a block of tokens and its weight tiles: four, or two where `wide` is said. */
struct group {
    const uint16_t *scales[4]; /* of each weight tile */
    const float *steps;        /* of the first token */
    float *y;                  /* of the block, in the order of sum tiles */
};

struct groups {
    size_t operands; /* of a group */
    size_t at;       /* the operands of the group under way that are done */
    size_t stride;   /* from the step of a token to that of the next one */
    size_t rows[2];  /* tokens of the upper sum tiles and of the lower ones */
    int32_t *taken;  /* [4 * TILE_INTS] sums of the due group */
    int32_t *room;   /* for those of the one that has ended */
    bool is_due, has_ended;
    struct group due, ended, now;
};

/* Start with blocks of `block` tokens; `sums` has room for two groups. */
INLINE struct groups groups_open(const struct linear *w, size_t block,
                                 int32_t sums[2][4 * TILE_INTS])
{
    struct groups g = {0};
    g.operands = w->group / DEPTH;
    g.stride = w->n_groups;
    g.rows[0] = MIN(block, (size_t)SIDE);
    g.rows[1] = block - g.rows[0];
    g.taken = sums[0];
    g.room = sums[1];
    return g;
}

/* Go on with operand `operand` of the weight tiles from `tile` on, for a block that begins with
 * `token` and has its floats at y. */
INLINE void groups_begin(struct groups *g, const struct linear *w, size_t tile, size_t tile_end,
                         const struct acts *a, size_t token, size_t operand, float *y)
{
    const size_t group = operand / g->operands;
    g->at = operand % g->operands;
    foreach (i, 4)
        g->now.scales[i] =
            w->group_scales + (MIN(tile + i, tile_end - 1) * g->stride + group) * LAYOUT_TILE;
    g->now.steps = a->step + token * g->stride + group;
    g->now.y = y;
}

INLINE void settle_row(const int32_t *sums, float *y, __m512 scales, float step)
{
    __m512 value = _mm512_cvtepi32_ps(_mm512_load_si512(sums));
    __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(step));
    _mm512_store_ps(y, _mm512_fmadd_ps(value, factor, _mm512_load_ps(y)));
}

INLINE void settle_tile(const int32_t *sums, float *y, __m512 scales, const float *step,
                        size_t stride, size_t rows)
{
    if (__builtin_expect(rows == SIDE, 1)) {
        foreach (r, SIDE)
            settle_row(sums + r * SIDE, y + r * SIDE, scales, step[r * stride]);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        settle_row(sums + r * SIDE, y + r * SIDE, scales, step[r * stride]);
}

/* The sums of weight tile i of the due group become terms of y, as kernels.h defines them. */
INLINE void settle(const struct groups *g, unsigned i, const bool wide)
{
    const struct group *due = &g->due;
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)due->scales[i]);
    const __m512 scales = _mm512_cvtph_ps(halves);
    settle_tile(g->taken + i * TILE_INTS, due->y + i * TILE_INTS, scales, due->steps, g->stride,
                g->rows[0]);
    if (wide)
        settle_tile(g->taken + (2 + i) * TILE_INTS, due->y + (2 + i) * TILE_INTS, scales,
                    due->steps + SIDE * g->stride, g->stride, g->rows[1]);
}

/* Whether weight tile i of the due group is still to be settled at the operand under way. */
INLINE bool is_unsettled(const struct groups *g, unsigned i, const bool wide)
{
    return i >= (wide ? 1u : 2u) || g->at == 1 || g->operands == 1;
}

/* What is settled beside weight tile i of an operand. */
INLINE void groups_settle_part(const struct groups *g, unsigned i, const bool wide)
{
    const bool first = i < (wide ? 1u : 2u);
    if (g->is_due && (first ? g->at == 1 || g->operands == 1 : g->at == 0))
        settle(g, i, wide);
}

/* The sums of the ended group have left the tiles. */
INLINE void make_due(struct groups *g)
{
    int32_t *sums = g->room;
    g->is_due = g->has_ended;
    if (!g->has_ended)
        return;
    g->due = g->ended;
    g->room = g->taken;
    g->taken = sums;
    g->has_ended = false;
}

/* An operand is through; the first one of a group took the sums of the group before it. */
INLINE void groups_end_operand(struct groups *g)
{
    if (g->at == 0)
        make_due(g);
    if (++g->at < g->operands)
        return;
    g->ended = g->now;
    g->has_ended = true;
    foreach (i, 4)
        g->now.scales[i] += LAYOUT_TILE;
    g->now.steps++;
    g->at = 0;
}

/* Settle what is left, of both groups. */
INLINE void groups_finish(struct groups *g, const bool wide)
{
    const unsigned n = wide ? 2 : 4;
    foreach (i, n)
        if (g->is_due && is_unsettled(g, i, wide))
            settle(g, i, wide);
    g->is_due = false;
    if (!g->has_ended)
        return;
    store_sums(g->room);
    make_due(g);
    foreach (i, n)
        settle(g, i, wide);
    g->is_due = false;
}

#endif
