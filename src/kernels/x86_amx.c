/* SPDX-License-Identifier: MIT */
/*
 * x86_amx.c - the ternary product on matrix tiles, many tokens at once.
 *
 *   sums[token][row] += acts[token][64 inputs] * codes[64 inputs][row]
 *
 * The second operand of a tile instruction holds four consecutive inputs side by side, and so do
 * the vectors of 64 codes that a block of our layouts unpacks to, so a run of 16 unpacked vectors
 * is an operand as it stands.
 */
#include "config.h"
#include "kernels/x86_amx.h"

#include <string.h>

#include "kernels/variants.h"
#include "kernels/x86_avx512_t5.h"

enum {
    LEAST_TOKENS = 7, /* for which tiles pay */
    VECTORS = 384,    /* unpacked at a time, 24 KiB, for all weight tiles together */
    BLOCK_TOKENS = 32,
    BLOCKS = 8, /* of tokens, that pass over a stretch */
};

/*
 * The work of a call: `tiles` weight tiles at a time, 4 for up to 16 tokens, 2 for more, and the
 * tokens in blocks of equal size, the last of which overlaps the one before where they do not come
 * out even: it computes the same sums again.
 */
struct product {
    uint8_t codes[VECTORS * 64] ALIGNED; /* [tiles][stretch][64] */
    int32_t sums[BLOCKS][4 * TILE_INTS] ALIGNED;
    float y[BLOCKS][4 * TILE_INTS] ALIGNED; /* with several scales a row: the groups so far */
    const struct linear *w;
    const struct acts *a;
    unsigned tiles;
    size_t tile, tile_end; /* the weight tiles under way, and the end of the call's */
    size_t first, n;       /* the tokens under way, at most BLOCKS blocks */
    size_t block, n_blocks;
    size_t stretch; /* vectors of a weight tile unpacked at a time: whole operands and whole blocks,
                       or whole groups */
};

/* Vector v of weight tile i in the panel. */
static const uint8_t *codes_at(const struct product *p, unsigned i, size_t v)
{
    return p->codes + (i * p->stretch + v) * 64;
}

static size_t block_start(const struct product *p, size_t b)
{
    return p->first + MIN(b * p->block, p->n - p->block);
}

/* Up to 16 tokens by four weight tiles: sums of weight tile i in tile i. */
static void narrow_pass(const struct product *p, const int8_t *q, size_t v, size_t vectors)
{
    for (size_t end = v + vectors; v < end; v += SIDE, q += DEPTH) {
        _tile_loadd(4, q, p->a->q_stride);
        _tile_loadd(6, codes_at(p, 0, v), 64);
        _tile_dpbsud(0, 4, 6);
        _tile_loadd(7, codes_at(p, 1, v), 64);
        _tile_dpbsud(1, 4, 7);
        _tile_loadd(6, codes_at(p, 2, v), 64);
        _tile_dpbsud(2, 4, 6);
        _tile_loadd(7, codes_at(p, 3, v), 64);
        _tile_dpbsud(3, 4, 7);
    }
}

/* 17 to 32 tokens by two weight tiles: sums of weight tile i in tile i, those of the tokens from
 * the 17th on in tile 2 + i. */
static void wide_pass(const struct product *p, const int8_t *q, size_t v, size_t vectors)
{
    const int8_t *lower = q + SIDE * p->a->q_stride;
    for (size_t end = v + vectors; v < end; v += SIDE, q += DEPTH, lower += DEPTH) {
        _tile_loadd(4, q, p->a->q_stride);
        _tile_loadd(5, lower, p->a->q_stride);
        _tile_loadd(6, codes_at(p, 0, v), 64);
        _tile_loadd(7, codes_at(p, 1, v), 64);
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
}

/* Vectors [v, v + vectors) of the panel by the activations that begin at q. */
static void pass(const struct product *p, const int8_t *q, size_t v, size_t vectors)
{
    if (p->tiles == 4)
        narrow_pass(p, q, v, vectors);
    else
        wide_pass(p, q, v, vectors);
}

/* Unpack vectors [at, at + n) of the weight tiles under way; returns n rounded up to whole
 * operands, the rest being zero codes.  The next stretch is fetched meanwhile: of these tiles, or
 * behind their end the first one of the tiles that come next. */
static size_t unpack(struct product *p, size_t at, size_t n)
{
    const struct linear *w = p->w;
    size_t whole = round_up(n, SIDE), block_vectors = layout_block_cols(w->layout) / 4;
    size_t block_bytes = layout_block_bytes(w->layout), offset = at / block_vectors * block_bytes;
    size_t next = (at + n) / block_vectors * block_bytes;
    next = next < w->tile_bytes ? next : p->tiles * w->tile_bytes;
    for (unsigned i = 0; i < p->tiles; i++) {
        uint8_t *to = p->codes + i * p->stretch * 64;
        const uint8_t *from = w->codes + MIN(p->tile + i, p->tile_end - 1) * w->tile_bytes;
        avx512vbmi_unpack_run(from + offset, n, (__m512i *)to, from + next);
        memset(to + n * 64, 0, (whole - n) * 64);
    }
    return whole;
}

/* All inputs of the weight tiles under way, for all tokens under way. */
static void accumulate(struct product *p)
{
    size_t vectors = layout_acts(p->w) / 4;
    for (size_t v = 0; v < vectors; v += p->stretch) {
        size_t n = unpack(p, v, MIN(p->stretch, vectors - v));
        for (size_t b = 0; b < p->n_blocks; b++) {
            if (v == 0)
                zero_sums();
            else
                load_sums(p->sums[b]);
            pass(p, p->a->q + block_start(p, b) * p->a->q_stride + 4 * v, 0, n);
            store_sums(p->sums[b]);
        }
    }
}

/* Where token t of a block has its 16 sums of weight tile i: see narrow_pass and wide_pass. */
INLINE size_t sums_at(unsigned i, size_t t)
{
    return (i + t / SIDE * 2) * TILE_INTS + t % SIDE * 16;
}

/* The sums of a block for one group become a term of y, as kernels.h defines it. */
static void add_group(struct product *p, size_t b, size_t group)
{
    const struct acts *a = p->a;
    size_t n_groups = p->w->n_groups, token = block_start(p, b);
    for (unsigned i = 0; i < p->tiles; i++) {
        __m512 scales = avx512_scales(p->w, MIN(p->tile + i, p->tile_end - 1), group);
        for (size_t t = 0; t < p->block; t++) {
            size_t at = (token + t) * n_groups + group;
            float *y = p->y[b] + sums_at(i, t);
            __m512i sum = _mm512_load_si512(p->sums[b] + sums_at(i, t));
            sum = _mm512_sub_epi32(sum, _mm512_set1_epi32(a->sum[at]));
            __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(a->step[at]));
            __m512 so_far = group ? _mm512_load_ps(y) : _mm512_setzero_ps();
            _mm512_store_ps(y, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, so_far));
        }
    }
}

/* The same as accumulate() for several scales a row.  What pads a group in the layout is skipped.
 */
static void accumulate_groups(struct product *p)
{
    const struct linear *w = p->w;
    size_t group_vectors = w->group_pad / 4, vectors = layout_acts(w) / 4;
    for (size_t v = 0; v < vectors; v += p->stretch) {
        size_t n = MIN(p->stretch, vectors - v);
        unpack(p, v, n);
        for (size_t b = 0; b < p->n_blocks; b++) {
            const int8_t *q = p->a->q + block_start(p, b) * p->a->q_stride + 4 * v;
            for (size_t g = 0; g < n; g += group_vectors) {
                zero_sums();
                pass(p, q + 4 * g, g, w->group / 4);
                store_sums(p->sums[b]);
                add_group(p, b, (v + g) / group_vectors);
            }
        }
    }
}

/* Sums to outputs, as kernels.h defines them. */
static void deliver(const struct product *p, float *out, size_t out_stride)
{
    const struct acts *a = p->a;
    for (unsigned i = 0; i < p->tiles && p->tile + i < p->tile_end; i++) {
        __mmask16 rows = avx512_rows(p->w, p->tile + i);
        __m512 scales = avx512_scales(p->w, p->tile + i, 0);
        for (size_t b = 0; b < p->n_blocks; b++) {
            size_t token = block_start(p, b);
            float *dst = out + token * out_stride + (p->tile + i) * LAYOUT_TILE;
            for (size_t t = 0; t < p->block; t++, token++, dst += out_stride) {
                __m512 y = _mm512_load_ps(p->y[b] + sums_at(i, t));
                if (p->w->n_groups == 1) {
                    __m512i sum = _mm512_load_si512(p->sums[b] + sums_at(i, t));
                    sum = _mm512_sub_epi32(sum, _mm512_set1_epi32(a->sum[token]));
                    __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(a->step[token]));
                    y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), factor);
                }
                _mm512_mask_storeu_ps(dst, rows, y);
            }
        }
    }
}

/*
 * With a single block of tokens the codes are used once, so unpacking is most of the work.  It goes
 * through another port than the tiles' arithmetic: while a unit of the weight tiles is multiplied,
 * the next one is unpacked in between, a third of a unit after each multiplication.  (An operand is
 * not unpacked right before it is loaded: a tile cannot be loaded from stores under way.)
 *
 * A unit is 16 blocks of each weight tile, which are three operands.  The unit that follows the
 * last of a group of weight tiles is the first of the next group.
 */
enum {
    UNIT_BLOCKS = 16,
    UNIT_OPERANDS = UNIT_BLOCKS * T5_VECTORS / SIDE,
    UNIT_BYTES = UNIT_BLOCKS * T5_BYTES,
    UNIT_CODES = UNIT_BLOCKS * T5_VECTORS * 64,
};

struct unit {
    const uint8_t *from[4]; /* of each weight tile */
    uint8_t *to;            /* [tiles][UNIT_CODES] */
    size_t blocks;          /* 0: there is none */
};

/* The first unit of the weight tiles from `tile` on, to be unpacked to `to`. */
INLINE void first_unit(const struct product *p, size_t tile, uint8_t *to, struct unit *unit)
{
    size_t blocks = p->w->tile_bytes / T5_BYTES;
    unit->to = to;
    unit->blocks = tile < p->tile_end ? MIN(blocks, (size_t)UNIT_BLOCKS) : 0;
    foreach (i, 4)
        unit->from[i] = p->w->codes + MIN(tile + i, p->tile_end - 1) * p->w->tile_bytes;
}

/* The unit behind another one of the same weight tiles; `left` blocks follow that one. */
INLINE void next_unit(const struct unit *now, size_t left, uint8_t *to, struct unit *unit)
{
    unit->to = to;
    unit->blocks = MIN(left, (size_t)UNIT_BLOCKS);
    foreach (i, 4)
        unit->from[i] = now->from[i] + UNIT_BYTES;
}

/* Part `part` of the three of weight tile i; codes up to the end of an operand are zero. */
INLINE void unpack_part(const struct unit *unit, unsigned i, unsigned part)
{
    size_t first = part * UNIT_BLOCKS / UNIT_OPERANDS;
    size_t end = (part + 1) * UNIT_BLOCKS / UNIT_OPERANDS;
    const uint8_t *from = unit->from[i] + first * T5_BYTES;
    __m512i *to = (__m512i *)(unit->to + i * UNIT_CODES) + first * T5_VECTORS;
    if (__builtin_expect(end > unit->blocks, 0)) {
        end = MAX(first, unit->blocks);
        size_t zero = (UNIT_BLOCKS - end) * T5_VECTORS * 64;
        if (unit->blocks && part == UNIT_OPERANDS - 1)
            memset(unit->to + i * UNIT_CODES + end * T5_VECTORS * 64, 0, zero);
    }
    for (size_t b = first; b < end; b++, from += T5_BYTES, to += T5_VECTORS) {
        _mm_prefetch((const char *)from + 2 * UNIT_BYTES, _MM_HINT_T0);
        unpack_t5(from, to);
    }
}

INLINE const uint8_t *operand(const struct unit *unit, unsigned i, unsigned op)
{
    return unit->to + i * UNIT_CODES + op * SIDE * 64;
}

/* Up to 16 tokens by four weight tiles, as narrow_pass has it. */
static void narrow_unit(const struct product *p, const struct unit *now, const struct unit *next,
                        const int8_t *q, unsigned operands)
{
    for (unsigned op = 0; op < operands; op++, q += DEPTH) {
        _tile_loadd(4, q, p->a->q_stride);
        _tile_loadd(6, operand(now, 0, op), 64);
        _tile_dpbsud(0, 4, 6);
        unpack_part(next, 0, op);
        _tile_loadd(7, operand(now, 1, op), 64);
        _tile_dpbsud(1, 4, 7);
        unpack_part(next, 1, op);
        _tile_loadd(6, operand(now, 2, op), 64);
        _tile_dpbsud(2, 4, 6);
        unpack_part(next, 2, op);
        _tile_loadd(7, operand(now, 3, op), 64);
        _tile_dpbsud(3, 4, 7);
        unpack_part(next, 3, op);
    }
}

/* 17 to 32 tokens by two weight tiles, as wide_pass has it. */
static void wide_unit(const struct product *p, const struct unit *now, const struct unit *next,
                      const int8_t *q, unsigned operands)
{
    for (unsigned op = 0; op < operands; op++, q += DEPTH) {
        _tile_loadd(4, q, p->a->q_stride);
        _tile_loadd(5, q + SIDE * p->a->q_stride, p->a->q_stride);
        _tile_loadd(6, operand(now, 0, op), 64);
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(2, 5, 6);
        unpack_part(next, 0, op);
        _tile_loadd(7, operand(now, 1, op), 64);
        _tile_dpbsud(1, 4, 7);
        _tile_dpbsud(3, 5, 7);
        unpack_part(next, 1, op);
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

/* All weight tiles of the call for one block of tokens. */
static void stream(struct product *p, float *out, size_t out_stride, size_t tile0)
{
    const size_t blocks = p->w->tile_bytes / T5_BYTES;
    uint8_t *other = p->codes + p->tiles * UNIT_CODES;
    struct unit units[2] = {0}, *now = &units[0], *next = &units[1];
    first_unit(p, tile0, p->codes, now);
    unpack_rest(p, now, 0);
    for (p->tile = tile0; p->tile < p->tile_end; p->tile += p->tiles) {
        const int8_t *q = p->a->q + p->first * p->a->q_stride;
        zero_sums();
        for (size_t left = blocks; left; q += UNIT_BLOCKS * T5_VECTORS * 4) {
            left -= now->blocks;
            if (left)
                next_unit(now, left, other, next);
            else
                first_unit(p, p->tile + p->tiles, other, next);
            unsigned operands = (unsigned)((now->blocks * T5_VECTORS + SIDE - 1) / SIDE);
            if (p->tiles == 4)
                narrow_unit(p, now, next, q, operands);
            else
                wide_unit(p, now, next, q, operands);
            if (operands < UNIT_OPERANDS)
                unpack_rest(p, next, operands);
            struct unit *done = now;
            now = next;
            next = done;
            other = done->to;
        }
        store_sums(p->sums[0]);
        deliver(p, out, out_stride);
    }
}

/* Weight tiles at a time: narrow_pass or wide_pass. */
static unsigned tiles_for(size_t n_tokens)
{
    return even_share(n_tokens, BLOCK_TOKENS) <= SIDE ? 4 : 2;
}

/* Vectors of a weight tile to unpack at a time; 0: the layer is not cut as tiles need it. */
static size_t stretch_of(const struct linear *w, unsigned tiles)
{
    size_t most = VECTORS / tiles, group_vectors = w->group_pad / 4;
    if (w->n_groups == 1)
        return most;
    return w->group % DEPTH == 0 ? most / group_vectors * group_vectors : 0;
}

/* Not inlined: a hardened build touches every page of a frame, and the calls that go elsewhere
 * need not pay for this one's 90 KiB. */
static __attribute__((noinline)) void on_tiles(float *out, size_t out_stride,
                                               const struct linear *w, size_t tile0, size_t tile1,
                                               const struct acts *a, size_t n_tokens)
{
    struct product p UNINITIALISED;
    p.w = w;
    p.a = a;
    p.tile_end = tile1;
    p.block = even_share(n_tokens, BLOCK_TOKENS);
    p.tiles = tiles_for(n_tokens);
    p.stretch = stretch_of(w, p.tiles);
    uint8_t upper = (uint8_t)MIN(p.block, SIDE), lower = (uint8_t)(p.block - upper);
    if (p.tiles == 4)
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
        if (p.n_blocks == 1 && w->n_groups == 1) {
            stream(&p, out, out_stride, tile0);
            continue;
        }
        for (p.tile = tile0; p.tile < tile1; p.tile += p.tiles) {
            if (w->n_groups == 1)
                accumulate(&p);
            else
                accumulate_groups(&p);
            deliver(&p, out, out_stride);
        }
    }
    _tile_release();
}

static void ternary(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens)
{
    if (n_tokens < LEAST_TOKENS || stretch_of(w, tiles_for(n_tokens)) == 0)
        avx512vbmi_ternary(out, out_stride, w, tile0, tile1, a, n_tokens);
    else
        on_tiles(out, out_stride, w, tile0, tile1, a, n_tokens);
}

const struct kernels kernels_amx = {
    .name = "amx",
    .layout = LAYOUT_T5,
    .cpu = CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8,
    .ternary = ternary,
    .head_coarse = amx_head_coarse,
    AVX512_SHARED,
};
