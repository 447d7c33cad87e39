/* SPDX-License-Identifier: MIT */
/*
 * x86_amx.c - the ternary product on matrix tiles, many tokens at once.
 *
 *   sums[token][row] += acts[token][64 inputs] * trits[64 inputs][row]
 *
 * The second operand of a tile instruction holds four consecutive inputs side by side, and so do
 * the vectors of 64 weights that a block of our layouts unpacks to, so a run of 16 unpacked vectors
 * is an operand as it stands.  Tiles take signed bytes on both sides, so the weights are unpacked
 * to trits rather than codes, and the sums of the activations need not come off again.
 *
 * With several scales a row the sums of a group leave the tiles when the next one begins, and are
 * scaled and added to the floats so far while the tiles multiply the groups that follow:
 * x86_amx_groups.h.
 */
#include "config.h"
#include "kernels/x86_amx.h"

#include <string.h>

#include "kernels/variants.h"
#include "kernels/x86_amx_groups.h"
#include "kernels/x86_avx512_t5.h"

enum {
    LEAST_TOKENS = 4,  /* for which tiles pay */
    LEAST_GROUPED = 9, /* with several scales a row */
    BLOCK_TOKENS = 32,
    BLOCKS = 8, /* of tokens, that pass over a stretch */
    WIDE_TILES = 2,
    NARROW_TILES = 4,
    OPERAND_BYTES = SIDE * 64,
    STRETCH = 54, /* operands of a weight tile that are unpacked together, 108 KiB of two */
};

/*
 * The work of a call: `tiles` weight tiles at a time, 4 for up to 16 tokens, 2 for more, and the
 * tokens in blocks of equal size, the last of which overlaps the one before where they do not come
 * out even: it computes the same sums again.
 */
struct product {
    int32_t sums[BLOCKS][4 * TILE_INTS] ALIGNED;
    float y[BLOCKS][4 * TILE_INTS] ALIGNED;  /* with several scales a row: the groups so far */
    int32_t ended[2][4 * TILE_INTS] ALIGNED; /* and sums of groups that have ended */
    const struct linear *w;
    const struct acts *a;
    float *out;
    size_t out_stride;
    unsigned tiles;
    size_t tile, tile_end; /* the weight tiles under way, and the end of the call's */
    size_t first, n;       /* the tokens under way, at most BLOCKS blocks */
    size_t block, n_blocks;
};

static size_t block_start(const struct product *p, size_t b)
{
    return p->first + MIN(b * p->block, p->n - p->block);
}

static float *out_at(const struct product *p, size_t token)
{
    return p->out + token * p->out_stride + p->tile * LAYOUT_TILE;
}

/* Operands that the inputs fill; what pads the last block of a row may need one more, of which
 * nothing would come. */
static size_t operands_of(const struct linear *w)
{
    return (w->cols + DEPTH - 1) / DEPTH;
}

/* Where token t of a block has its 16 sums of weight tile i: see multiply(). */
INLINE size_t sums_at(unsigned i, size_t t)
{
    return (i + t / SIDE * 2) * TILE_INTS + t % SIDE * 16;
}

/* ------------------------------------------------------------------ units */

/*
 * With a single block of tokens the weights are used once, so unpacking is most of the work.  It
 * goes through another port than the tiles' arithmetic: while a unit of the weight tiles is
 * multiplied, the next one is unpacked in between, a third of a unit after each multiplication. (An
 * operand is not unpacked right before it is loaded: a tile cannot be loaded from stores under
 * way.)
 *
 * A unit is 16 blocks of each weight tile, which are three operands.  The unit that follows the
 * last of a group of weight tiles is the first of the next group.
 */
enum {
    UNIT_BLOCKS = 16,
    UNIT_OPERANDS = UNIT_BLOCKS * T5_VECTORS / SIDE,
    UNIT_BYTES = UNIT_BLOCKS * T5_BYTES,
    UNIT_TRITS = UNIT_BLOCKS * T5_VECTORS * 64,
};

struct unit {
    const uint8_t *from[4]; /* of each weight tile */
    size_t ahead;           /* of that, what is fetched meanwhile: two units on */
    int8_t *to;             /* [tiles][UNIT_TRITS] */
    size_t blocks;          /* 0: there is none */
};

/* The size of a unit with which `left` blocks of each weight tile begin, and where to fetch from:
 * two units on may be the first or the second one of the weight tiles that come next. */
INLINE void set_unit(const struct product *p, struct unit *unit, size_t left)
{
    const size_t at = p->w->tile_bytes - left * T5_BYTES;
    unit->blocks = MIN(left, (size_t)UNIT_BLOCKS);
    if (left > 2 * UNIT_BLOCKS)
        unit->ahead = 2 * UNIT_BYTES;
    else
        unit->ahead = p->tiles * p->w->tile_bytes - at + (left > UNIT_BLOCKS ? 0 : UNIT_BYTES);
}

/* The first unit of the weight tiles from `tile` on, to be unpacked to `to`. */
INLINE void first_unit(const struct product *p, size_t tile, int8_t *to, struct unit *unit)
{
    unit->to = to;
    foreach (i, 4)
        unit->from[i] = p->w->codes + MIN(tile + i, p->tile_end - 1) * p->w->tile_bytes;
    set_unit(p, unit, tile < p->tile_end ? p->w->tile_bytes / T5_BYTES : 0);
}

/* The unit behind another one of the same weight tiles; `left` blocks follow that one. */
INLINE void next_unit(const struct product *p, const struct unit *now, size_t left, int8_t *to,
                      struct unit *unit)
{
    unit->to = to;
    foreach (i, 4)
        unit->from[i] = now->from[i] + UNIT_BYTES;
    set_unit(p, unit, left);
}

/* Part `part` of the three of weight tile i; trits up to the end of an operand are zero. */
INLINE void unpack_part(const struct unit *unit, unsigned i, unsigned part)
{
    size_t first = part * UNIT_BLOCKS / UNIT_OPERANDS;
    size_t end = (part + 1) * UNIT_BLOCKS / UNIT_OPERANDS;
    const uint8_t *from = unit->from[i] + first * T5_BYTES;
    int8_t *to = unit->to + i * UNIT_TRITS + first * T5_VECTORS * 64;
    if (__builtin_expect(end > unit->blocks, 0)) {
        end = MAX(first, unit->blocks);
        size_t zero = (UNIT_BLOCKS - end) * T5_VECTORS * 64;
        if (unit->blocks && part == UNIT_OPERANDS - 1)
            memset(unit->to + i * UNIT_TRITS + end * T5_VECTORS * 64, 0, zero);
    }
    for (size_t b = first; b < end; b++, from += T5_BYTES, to += T5_VECTORS * 64) {
        _mm_prefetch((const char *)from + unit->ahead, _MM_HINT_T1);
        unpack_t5_trits(from, to);
    }
}

/* All of unit `next` that the multiplications left: all of the first, and what a short unit before
 * it had no operands for. */
static void unpack_rest(const struct product *p, const struct unit *next, unsigned done)
{
    for (unsigned part = done; part < UNIT_OPERANDS; part++)
        for (unsigned i = 0; i < p->tiles; i++)
            unpack_part(next, i, part);
}

/* ------------------------------------------------------------------ products */

/* What is done between the products of weight tile i and those of the one that follows. */
INLINE void between(struct groups *g, const struct unit *next, unsigned i, unsigned part,
                    const bool wide, const bool grouped)
{
    if (next)
        unpack_part(next, i, part);
    if (grouped)
        groups_settle_part(g, i, wide);
}

/* Where a group begins, what tile k has of the one before is taken; a macro, because tiles are
 * numbered in the program. */
#define BEGIN_GROUP(k)                                                                             \
    do {                                                                                           \
        if (begins) {                                                                              \
            if (g->has_ended)                                                                      \
                _tile_stored(k, g->room + (k)*TILE_INTS, 64);                                      \
            _tile_zero(k);                                                                         \
        }                                                                                          \
    } while (0)

/*
 * An operand of each weight tile, `apart` bytes from one to the next, by the activations at q.
 * Narrow: up to 16 tokens by four weight tiles, sums of weight tile i in tile i.  Wide: 17 to 32
 * tokens by two, sums of weight tile i in tile i, those of the tokens from the 17th on in 2 + i.
 *
 * Wide, all is loaded before the first product: while another program has the other half of the
 * core, loads and products of tiles hardly overlap, and in this order more of them do.  Narrow,
 * where unpacking stands between them, the same order was slower.
 */
INLINE void multiply(struct product *p, struct groups *g, const int8_t *q, const int8_t *trits,
                     size_t apart, const struct unit *next, unsigned part, const bool wide,
                     const bool grouped)
{
    const size_t stride = p->a->q_stride;
    const bool begins = grouped && g->at == 0;
    _tile_loadd(4, q, stride);
    if (wide) {
        _tile_loadd(5, q + SIDE * stride, stride);
        _tile_loadd(6, trits, 64);
        _tile_loadd(7, trits + apart, 64);
        BEGIN_GROUP(0);
        _tile_dpbssd(0, 4, 6);
        BEGIN_GROUP(2);
        _tile_dpbssd(2, 5, 6);
        between(g, next, 0, part, wide, grouped);
        BEGIN_GROUP(1);
        _tile_dpbssd(1, 4, 7);
        BEGIN_GROUP(3);
        _tile_dpbssd(3, 5, 7);
        between(g, next, 1, part, wide, grouped);
    } else {
        _tile_loadd(6, trits, 64);
        BEGIN_GROUP(0);
        _tile_dpbssd(0, 4, 6);
        between(g, next, 0, part, wide, grouped);
        _tile_loadd(7, trits + apart, 64);
        BEGIN_GROUP(1);
        _tile_dpbssd(1, 4, 7);
        between(g, next, 1, part, wide, grouped);
        _tile_loadd(6, trits + 2 * apart, 64);
        BEGIN_GROUP(2);
        _tile_dpbssd(2, 4, 6);
        between(g, next, 2, part, wide, grouped);
        _tile_loadd(7, trits + 3 * apart, 64);
        BEGIN_GROUP(3);
        _tile_dpbssd(3, 4, 7);
        between(g, next, 3, part, wide, grouped);
    }
    if (grouped)
        groups_end_operand(g);
}

/*
 * Outputs of a block of tokens are lines far from one another that hardly any cache of this core
 * has.  They are fetched, to be written, beside the operands of which they are the result: for
 * operand `op` of n its share of the tokens.
 */
INLINE void fetch_outputs(const struct product *p, size_t b, size_t op, size_t n)
{
    const size_t share = (p->block + n - 1) / n, end = MIN((op + 1) * share, p->block);
    for (size_t t = op * share; t < end; t++) {
        const float *line = out_at(p, block_start(p, b) + t);
        for (unsigned i = 0; i < p->tiles; i++)
            __builtin_prefetch(line + i * LAYOUT_TILE, 1);
    }
}

/* Sums of block b to outputs, as kernels.h defines them. */
static void deliver(const struct product *p, size_t b)
{
    const bool grouped = p->w->n_groups > 1;
    for (unsigned i = 0; i < p->tiles && p->tile + i < p->tile_end; i++) {
        __mmask16 rows = avx512_rows(p->w, p->tile + i);
        __m512 scales = grouped ? _mm512_setzero_ps() : avx512_scales(p->w, p->tile + i);
        size_t token = block_start(p, b);
        float *dst = out_at(p, token) + i * LAYOUT_TILE;
        for (size_t t = 0; t < p->block; t++, token++, dst += p->out_stride) {
            __m512 y = _mm512_load_ps(p->y[b] + sums_at(i, t));
            if (!grouped) {
                __m512i sum = _mm512_load_si512(p->sums[b] + sums_at(i, t));
                __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(p->a->step[token]));
                y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), factor);
            }
            _mm512_mask_storeu_ps(dst, rows, y);
        }
    }
}

/* All weight tiles of the call for one block of tokens. */
INLINE void stream(struct product *p, size_t tile0, const bool wide, const bool grouped)
{
    int8_t trits[2 * NARROW_TILES * UNIT_TRITS] ALIGNED;
    const size_t blocks = p->w->tile_bytes / T5_BYTES, operands = operands_of(p->w);
    int8_t *other = trits + p->tiles * UNIT_TRITS;
    struct unit units[2] = {0}, *now = &units[0], *next = &units[1];
    struct groups groups = {0}, *g = &groups;
    if (grouped)
        groups = groups_open(p->w, p->block, p->ended);
    first_unit(p, tile0, trits, now);
    unpack_rest(p, now, 0);
    for (p->tile = tile0; p->tile < p->tile_end; p->tile += p->tiles) {
        const int8_t *q = p->a->q + p->first * p->a->q_stride;
        if (grouped) {
            memset(p->y[0], 0, sizeof p->y[0]);
            groups_begin(g, p->w, p->tile, p->tile_end, p->a, p->first, 0, p->y[0]);
        } else {
            zero_sums();
        }
        for (size_t left = blocks, wanted = operands; left; wanted -= MIN(wanted, UNIT_OPERANDS)) {
            left -= now->blocks;
            if (left)
                next_unit(p, now, left, other, next);
            else
                first_unit(p, p->tile + p->tiles, other, next);
            unsigned n = (unsigned)MIN(wanted, UNIT_OPERANDS);
            for (unsigned op = 0; op < n; op++, q += DEPTH) {
                if (wide) /* with up to 16 tokens it was no gain */
                    fetch_outputs(p, 0, operands - wanted + op, operands);
                multiply(p, g, q, now->to + op * OPERAND_BYTES, UNIT_TRITS, next, op, wide,
                         grouped);
            }
            if (n < UNIT_OPERANDS)
                unpack_rest(p, next, n);
            struct unit *done = now;
            now = next;
            next = done;
            other = done->to;
        }
        if (grouped)
            groups_finish(g, wide);
        else
            store_sums(p->sums[0]);
        deliver(p, 0);
    }
}

/* ------------------------------------------------------------------ many tokens */

/* Unpack n blocks of the two weight tiles under way, the first of them being number `at`, and zeros
 * to the end of an operand.  The next stretch is fetched meanwhile: of these tiles, or behind their
 * end the first one of the tiles that come next. */
static void unpack(const struct product *p, size_t at, size_t n, int8_t *trits)
{
    const struct linear *w = p->w;
    size_t zero = (round_up(n * T5_VECTORS, SIDE) - n * T5_VECTORS) * 64;
    size_t soon = (at + n) * T5_BYTES;
    soon = (soon < w->tile_bytes ? soon : WIDE_TILES * w->tile_bytes) - at * T5_BYTES;
    for (unsigned i = 0; i < WIDE_TILES; i++) {
        int8_t *to = trits + i * STRETCH * OPERAND_BYTES;
        const uint8_t *from = w->codes + MIN(p->tile + i, p->tile_end - 1) * w->tile_bytes;
        from += at * T5_BYTES;
        for (size_t b = 0; b < n; b++, from += T5_BYTES, to += T5_VECTORS * 64) {
            _mm_prefetch((const char *)from + soon, _MM_HINT_T1);
            unpack_t5_trits(from, to);
        }
        memset(to, 0, zero);
    }
}

/*
 * Two weight tiles for several blocks of tokens, which pass over a stretch of the inputs before the
 * next one is unpacked.  Mostly there is one stretch, and no sum leaves its tile before its time:
 * to put sums aside costs more than to read operands from the second cache instead of the first.
 */
INLINE void panel(struct product *p, int8_t *trits, const bool grouped)
{
    const size_t blocks = p->w->tile_bytes / T5_BYTES, operands = operands_of(p->w);
    const size_t stretch = round_up(even_share(operands, STRETCH), UNIT_OPERANDS);
    struct groups groups = {0}, *g = &groups;
    if (grouped) {
        groups = groups_open(p->w, p->block, p->ended);
        memset(p->y, 0, p->n_blocks * sizeof p->y[0]);
    }
    for (size_t first = 0; first < operands; first += stretch) {
        size_t block = first * SIDE / T5_VECTORS, n = MIN(stretch, operands - first);
        const bool last = first + n == operands;
        /* A group that goes on in another stretch: its sums are put aside. */
        const bool within = grouped && (first % g->operands || (first + n) % g->operands);
        unpack(p, block, MIN(stretch * SIDE / T5_VECTORS, blocks - block), trits);
        for (size_t b = 0; b < p->n_blocks; b++) {
            const int8_t *q = p->a->q + block_start(p, b) * p->a->q_stride + first * DEPTH;
            if (grouped) {
                if (within)
                    groups_finish(g, true);
                groups_begin(g, p->w, p->tile, p->tile_end, p->a, block_start(p, b), first,
                             p->y[b]);
            }
            if (!grouped && first == 0)
                zero_sums();
            else if (!grouped || g->at)
                load_sums(p->sums[b]);
            for (size_t op = 0; op < n; op++, q += DEPTH) {
                if (last)
                    fetch_outputs(p, b, op, n);
                multiply(p, g, q, trits + op * OPERAND_BYTES, STRETCH * OPERAND_BYTES, NULL, 0,
                         true, grouped);
            }
            if (!grouped || g->at)
                store_sums(p->sums[b]);
            if (last && !grouped)
                deliver(p, b);
        }
    }
    if (!grouped)
        return;
    groups_finish(g, true);
    for (size_t b = 0; b < p->n_blocks; b++)
        deliver(p, b);
}

/* All weight tiles of the call for several blocks of tokens. */
static __attribute__((noinline)) void panels(struct product *p, size_t tile0)
{
    int8_t trits[WIDE_TILES * STRETCH * OPERAND_BYTES] ALIGNED;
    for (p->tile = tile0; p->tile < p->tile_end; p->tile += p->tiles) {
        if (p->w->n_groups > 1)
            panel(p, trits, true);
        else
            panel(p, trits, false);
    }
}

/* Not inlined: a hardened build touches every page of a frame, and the calls that go elsewhere
 * need not pay for this one's 100 KiB. */
static __attribute__((noinline)) void on_tiles(float *out, size_t out_stride,
                                               const struct linear *w, size_t tile0, size_t tile1,
                                               const struct acts *a, size_t n_tokens)
{
    struct product p;
    const bool grouped = w->n_groups > 1;
    p.w = w;
    p.a = a;
    p.out = out;
    p.out_stride = out_stride;
    p.tile_end = tile1;
    p.block = even_share(n_tokens, BLOCK_TOKENS);
    p.tiles = p.block <= SIDE ? NARROW_TILES : WIDE_TILES;
    uint8_t upper = (uint8_t)MIN(p.block, SIDE), lower = (uint8_t)(p.block - upper);
    if (p.tiles == NARROW_TILES)
        configure((const uint8_t[]){upper, upper, upper, upper, upper, 0, SIDE, SIDE});
    else
        configure((const uint8_t[]){upper, upper, lower, lower, upper, lower, SIDE, SIDE});
    for (p.first = 0; p.first < n_tokens; p.first += p.n) {
        p.n = MIN(n_tokens - p.first, BLOCKS * p.block);
        if (p.n < p.block) { /* the blocks of the rest overlap those before */
            p.first -= p.block - p.n;
            p.n = p.block;
        }
        p.n_blocks = (p.n + p.block - 1) / p.block;
        if (p.tiles == NARROW_TILES) {
            if (grouped)
                stream(&p, tile0, false, true);
            else
                stream(&p, tile0, false, false);
        } else if (p.n_blocks == 1) {
            if (grouped)
                stream(&p, tile0, true, true);
            else
                stream(&p, tile0, true, false);
        } else {
            panels(&p, tile0);
        }
    }
    _tile_release();
}

static void ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens)
{
    if (n_tokens < (w->n_groups == 1 ? LEAST_TOKENS : LEAST_GROUPED))
        avx512vbmi_ternary(out, out_stride, w, tile0, tile1, a, n_tokens);
    else
        on_tiles(out, out_stride, w, tile0, tile1, a, n_tokens);
}

const struct kernels kernels_amx = {
    .name = "amx",
    .layout = LAYOUT_T5,
    .cpu = CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8,
    .ternary = ternary,
    .signs = amx_signs,
    .billm = amx_billm,
    .head_coarse = amx_head_coarse,
    AVX512_SHARED,
};
