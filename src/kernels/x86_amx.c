/* SPDX-License-Identifier: MIT */
/*
 * x86_amx.c - products on matrix tiles: AMX-INT8 (Sapphire Rapids and later), many tokens at once.
 *
 * A tile instruction multiplies 16 rows of 64 bytes with 64 rows of 16 and adds to 16 x 16 int32
 * sums (Intel SDM volume 2, TDPBSUD and TDPBUSD): eight times what vpdpbusd does in a cycle.  Its
 * second operand holds four consecutive inputs side by side, and so do the vectors of 64 codes that
 * a block of our layouts unpacks to, so a run of 16 unpacked vectors is an operand as it stands.
 *
 *   ternary:  sums[token][row] += acts[token][64 inputs] * codes[64 inputs][row]
 *   head:     sums[row][token] += nibbles[row][64 inputs] * plane[64 inputs][token]
 *
 * With few tokens vpdpbusd is no worse, so those calls go to AVX-512, as does everything that is
 * not a product.  All integers are exact, hence the same.
 *
 * The tiles are configured on entry and released on return, so that a thread that waits leaves
 * nothing to be saved.
 */
#include "config.h"
#include "kernels/x86_avx512.h"

#include <string.h>

#include "kernels/variants.h"

#define ALIGNED __attribute__((aligned(64)))

enum {
    LEAST_TOKENS = 7, /* for which tiles pay in a ternary product */
    LEAST_LOGITS = 9, /* and in the head */
    SIDE = 16,        /* rows and int32 columns of a tile */
    DEPTH = 64,       /* inputs a tile instruction takes */
    TILE_INTS = 256,  /* of sums */
    VECTORS = 384,    /* unpacked at a time, 24 KiB, for all weight tiles together */
    BLOCK_TOKENS = 32,
    BLOCKS = 8,       /* of tokens, that pass over a stretch */
    HEAD_ROWS = 32,   /* of the table, multiplied together */
    HEAD_GROUPS = 4,  /* of rows, that pass over a stretch of the planes */
    HEAD_COLS = 1024, /* the stretch */
};

/* Operand of LDTILECFG, palette 1. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static void configure(const uint8_t rows[8])
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = rows[i] ? 64 : 0; /* a tile that is not used has neither */
        c.rows[i] = rows[i];
    }
    _tile_loadconfig(&c);
}

/* ---------------------------------------------------------------- ternary */

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

INLINE void load_sums(const int32_t *sums)
{
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + 1 * TILE_INTS, 64);
    _tile_loadd(2, sums + 2 * TILE_INTS, 64);
    _tile_loadd(3, sums + 3 * TILE_INTS, 64);
}

INLINE void store_sums(int32_t *sums)
{
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + 1 * TILE_INTS, 64);
    _tile_stored(2, sums + 2 * TILE_INTS, 64);
    _tile_stored(3, sums + 3 * TILE_INTS, 64);
}

INLINE void zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
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

/* All inputs of the weight tiles under way, for all tokens under way.  The sums of a single block
 * stay in the tiles from the first stretch to the last. */
static void accumulate(struct product *p)
{
    size_t vectors = layout_acts(p->w) / 4;
    for (size_t v = 0; v < vectors; v += p->stretch) {
        size_t n = unpack(p, v, MIN(p->stretch, vectors - v));
        bool begins = v == 0, ends = v + p->stretch >= vectors;
        for (size_t b = 0; b < p->n_blocks; b++) {
            const int8_t *q = p->a->q + block_start(p, b) * p->a->q_stride + 4 * v;
            if (begins)
                zero_sums();
            else if (p->n_blocks > 1)
                load_sums(p->sums[b]);
            pass(p, q, 0, n);
            if (ends || p->n_blocks > 1)
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

/* ---------------------------------------------------------------- head */

struct head {
    uint8_t high[HEAD_ROWS][HEAD_COLS] ALIGNED;       /* nibbles of the table, a byte each */
    int32_t acts[2][HEAD_COLS / 4][SIDE] ALIGNED;     /* four inputs of each token, side by side */
    int32_t sums[HEAD_GROUPS][4 * TILE_INTS] ALIGNED; /* [rows' half][tokens' half] */
};

/* Columns [col, col + n) of up to 16 tokens' upper plane as an operand; missing tokens are zero. */
static void interleave(int32_t to[][SIDE], const int8_t *plane, size_t stride, size_t col, size_t n,
                       size_t n_tokens)
{
    for (size_t c = 0; c < n; c += DEPTH) {
        __m512i r[SIDE];
        for (unsigned t = 0; t < SIDE; t++)
            r[t] = t < n_tokens ? _mm512_load_si512(plane + t * stride + col + c)
                                : _mm512_setzero_si512();
        avx512_transpose(r);
        for (unsigned i = 0; i < SIDE; i++)
            _mm512_store_si512(to[c / 4 + i], r[i]);
    }
}

/* Columns [col, col + n) of 32 rows to bytes. */
static void spread(struct head *h, const struct table *t, size_t row, size_t col, size_t n)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    const size_t bytes = table_nibble_stride(t);
    const uint8_t *from = table_high(t) + row * bytes + col / 2;
    for (size_t r = 0; r < HEAD_ROWS; r++, from += bytes)
        for (size_t c = 0; c < n; c += 128) {
            __m512i v = _mm512_load_si512(from + c / 2);
            _mm_prefetch((const char *)from + c / 2 + HEAD_ROWS * bytes, _MM_HINT_T1);
            _mm512_store_si512(h->high[r] + c, _mm512_and_si512(v, nibble));
            v = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
            _mm512_store_si512(h->high[r] + c + 64, v);
        }
}

/* n columns of 32 rows by 16 or 32 tokens. */
static void head_pass(const struct head *h, size_t n, bool wide)
{
    for (size_t c = 0; c < n; c += DEPTH) {
        _tile_loadd(4, h->high[0] + c, HEAD_COLS);
        _tile_loadd(5, h->high[SIDE] + c, HEAD_COLS);
        _tile_loadd(6, h->acts[0][c / 4], 64);
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(2, 5, 6);
        if (wide) {
            _tile_loadd(7, h->acts[1][c / 4], 64);
            _tile_dpbusd(1, 4, 7);
            _tile_dpbusd(3, 5, 7);
        }
    }
}

/* Sixteen rows' sums to logits of up to 16 tokens, as kernels.h defines them. */
static void head_deliver(float *out, size_t out_stride, const int32_t *sums, const float *scales,
                         const struct planes *x, size_t token, size_t n_tokens)
{
    const __mmask16 lanes = avx512_lanes(n_tokens);
    const __m512 steps = _mm512_maskz_loadu_ps(lanes, x->step + token);
    const __m512i total = _mm512_maskz_loadu_epi32(lanes, x->sum_hi + token);
    const __m512i over = _mm512_mullo_epi32(total, _mm512_set1_epi32(120));
    __m512i y[SIDE];
    for (unsigned r = 0; r < SIDE; r++) {
        __m512i dot = _mm512_slli_epi32(_mm512_load_si512(sums + SIDE * r), 4);
        __m512 value =
            _mm512_mul_ps(_mm512_set1_ps(128.0f), _mm512_cvtepi32_ps(_mm512_sub_epi32(dot, over)));
        value = _mm512_fmadd_ps(_mm512_set1_ps(-64.0f), _mm512_cvtepi32_ps(total), value);
        value = _mm512_mul_ps(value, _mm512_mul_ps(_mm512_set1_ps(scales[r]), steps));
        y[r] = _mm512_castps_si512(value);
    }
    avx512_transpose(y);
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_storeu_si512(out + t * out_stride, y[t]);
}

/* Up to 32 tokens over row groups that begin at rows[0, groups).  Not inlined for its frame. */
static __attribute__((noinline)) void head_block(float *out, size_t out_stride,
                                                 const struct table *t, const size_t *rows,
                                                 size_t groups, const struct planes *x,
                                                 size_t token, size_t n_tokens)
{
    struct head h UNINITIALISED;
    const int8_t *upper = x->hi + token * x->stride;
    const size_t first = MIN(n_tokens, (size_t)SIDE), second = n_tokens - first;
    for (size_t col = 0; col < t->stride; col += HEAD_COLS) {
        size_t n = MIN(t->stride - col, (size_t)HEAD_COLS);
        interleave(h.acts[0], upper, x->stride, col, n, first);
        if (second)
            interleave(h.acts[1], upper + SIDE * x->stride, x->stride, col, n, second);
        for (size_t g = 0; g < groups; g++) {
            if (col == 0)
                zero_sums();
            else
                load_sums(h.sums[g]);
            spread(&h, t, rows[g], col, n);
            head_pass(&h, n, second > 0);
            store_sums(h.sums[g]);
        }
    }
    for (size_t g = 0; g < groups; g++)
        for (size_t part = 0; part < (second ? 4 : 3); part++) {
            size_t row = rows[g] + part / 2 * SIDE, late = part % 2 * SIDE;
            if (late && !second)
                continue;
            head_deliver(out + (token + late) * out_stride + row, out_stride,
                         h.sums[g] + part * TILE_INTS, t->scales + row, x, token + late,
                         late ? second : first);
        }
}

static void head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0,
                        size_t row1, const struct planes *x, size_t n_tokens)
{
    if (n_tokens < LEAST_LOGITS || row1 - row0 < HEAD_ROWS) {
        avx512_head_coarse(out, out_stride, t, row0, row1, x, n_tokens);
        return;
    }
    configure((const uint8_t[]){SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE});
    for (size_t row = row0; row < row1; row += HEAD_GROUPS * HEAD_ROWS) {
        size_t rows[HEAD_GROUPS], groups = 0;
        /* The last group overlaps the one before where the rows do not come out even. */
        for (size_t r = row; r < row1 && groups < HEAD_GROUPS; r += HEAD_ROWS)
            rows[groups++] = MIN(r, row1 - HEAD_ROWS);
        for (size_t token = 0, n; token < n_tokens; token += n) {
            n = even_share(n_tokens - token, BLOCK_TOKENS);
            head_block(out, out_stride, t, rows, groups, x, token, n);
        }
    }
    _tile_release();
}

const struct kernels kernels_amx = {
    .name = "amx",
    .layout = LAYOUT_T5,
    .cpu = CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8,
    .ternary = ternary,
    .head_coarse = head_coarse,
    AVX512_SHARED,
};
