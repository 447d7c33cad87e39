/* SPDX-License-Identifier: MIT */
/*
 * layout.c - packing ternary weights into run-time tiles, and the exact way back.
 *
 * Written for clarity, but for packing, for which a cold start waits: unpacking a tile serves only
 * the tests, and of rows a step looks up as many as it has tokens.  The fast readers are the
 * kernels.
 */
#include "config.h"
#include "model/layout.h"

#include <string.h>

#include "base/base.h"
#include "model/method.h"
#include "model/quant.h"

/* Byte lanes of a block: 16 rows side by side, four columns (j) each; lane = 4 * row + j. */
enum {
    ROW_LANES = 4,
    WORD_LANES = 8, /* lanes of a 64-bit word */
    WORDS = LAYOUT_TILE * ROW_LANES / WORD_LANES,
    T5_WORD_BYTES = 5, /* what T5 makes of such a word */
    SIGN_COLS = 32,      /* of a plane of signs */
    SIGN_BYTES = 64,
};

static const struct {
    const char *name;
    uint32_t block_cols;
    size_t block_bytes;
} layouts[] = {
    [LAYOUT_T2] = {"t2", 16, 64},
    [LAYOUT_T5] = {"t5", 12, 40},
    [LAYOUT_S1] = {"s1", 32, 64},
    [LAYOUT_S2] = {"s2", 32, 128},
};

static size_t known(enum layout_id id)
{
    trit_assert((size_t)id < ARRAY_LEN(layouts) && layouts[id].name);
    return (size_t)id;
}

const char *layout_name(enum layout_id id)
{
    return layouts[known(id)].name;
}

uint32_t layout_block_cols(enum layout_id id)
{
    return layouts[known(id)].block_cols;
}

size_t layout_block_bytes(enum layout_id id)
{
    return layouts[known(id)].block_bytes;
}

void layout_shape(struct linear *w, enum layout_id id, uint32_t rows, uint32_t cols, uint32_t group)
{
    trit_assert(rows >= 1 && cols >= 1 && cols <= LAYOUT_COLS_MAX);
    trit_assert(group == cols || (group % LAYOUT_GROUP == 0 && group > 0 && cols % group == 0));
    trit_assert(id != LAYOUT_S1 || group == cols);
    trit_assert(id != LAYOUT_S2 || group == BILLM_BLOCK);
    *w = (struct linear){
        .layout = id,
        .rows = rows,
        .cols = cols,
        .group = group,
        .n_groups = cols / group,
    };
    w->tile_bytes = layout_acts(w) / layout_block_cols(id) * layout_block_bytes(id);
}

uint32_t layout_tiles(const struct linear *w)
{
    return w->rows / LAYOUT_TILE + (w->rows % LAYOUT_TILE != 0);
}

uint32_t layout_acts(const struct linear *w)
{
    return (uint32_t)round_up(w->cols, layout_block_cols(w->layout));
}

size_t layout_code_bytes(const struct linear *w)
{
    return layout_tiles(w) * w->tile_bytes + LAYOUT_SLACK;
}

size_t layout_scale_bytes(const struct linear *w)
{
    size_t n = (size_t)layout_tiles(w) * w->n_groups * layout_levels(w) * LAYOUT_TILE;
    return n * (layout_one_scale(w) ? sizeof *w->scales : sizeof *w->group_scales);
}

uint32_t layout_levels(const struct linear *w)
{
    return w->layout == LAYOUT_S2 ? BILLM_LEVELS : 1;
}

/*
 * Two thousand million trits of a model become tiles while somebody waits, so this is done in
 * vectors of 16 bytes (GCC's, for every machine).  Lane l of a block's vector t is of row l / 4 and
 * column 4 t + l % 4; one vector here has the lanes of four rows.  Codes stay below 27, so that
 * words can be added and shifted for the sake of their bytes.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lane l of a word is its bits 8 l");

typedef uint8_t lanes __attribute__((vector_size(16)));
typedef uint32_t lanes32 __attribute__((vector_size(16)));
typedef uint64_t lanes64 __attribute__((vector_size(16)));

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else /* has that one too, but not before version 12 */
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lanes32){__VA_ARGS__})
#endif

enum {
    STRIP_COLS = 16, /* of a row, loaded at once */
    STRIP_VECTORS = STRIP_COLS / ROW_LANES,
    QUAD = 4, /* rows whose lanes are one vector */
    STRIPS_MOST = 3,
    BLOCKS_MOST = 4, /* 3 strips are 4 blocks of T5 */
};

/* Eight fields of five bits, one a byte, to 40 bits without gaps: pairs, pairs of pairs, halves. */
static lanes64 squeeze(lanes64 x)
{
    x = (x & 0x001f001f001f001f) | (x & 0x1f001f001f001f00) >> 3;
    x = (x & 0x000003ff000003ff) | (x & 0x03ff000003ff0000) >> 6;
    return (x & 0xfffff) | (x & 0xfffff00000000) >> 12;
}

/* The codes of a strip of four rows.  Adds to bad what is none. */
static void gather(const int8_t *trits, size_t stride, lanes code[STRIP_VECTORS], lanes *bad)
{
    lanes32 row[QUAD], even[2], odd[2];
    for (unsigned r = 0; r < QUAD; r++) {
        lanes x;
        memcpy(&x, trits + r * stride, sizeof x);
        x += 1;
        *bad |= (lanes)(x > 2);
        row[r] = (lanes32)x;
    }
    for (unsigned i = 0; i < 2; i++) {
        /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): all four are written above. */
        even[i] = SHUFFLE(row[2 * i], row[2 * i + 1], 0, 4, 1, 5);
        odd[i] = SHUFFLE(row[2 * i], row[2 * i + 1], 2, 6, 3, 7);
    }
    /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): so has this one both. */
    code[0] = (lanes)SHUFFLE(even[0], even[1], 0, 1, 4, 5);
    code[1] = (lanes)SHUFFLE(even[0], even[1], 2, 3, 6, 7);
    /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): as above. */
    code[2] = (lanes)SHUFFLE(odd[0], odd[1], 0, 1, 4, 5);
    code[3] = (lanes)SHUFFLE(odd[0], odd[1], 2, 3, 6, 7);
}

static inline void pack_t2(const int8_t *trits, size_t stride, uint8_t *dst, lanes *bad)
{
    for (unsigned q = 0; q < LAYOUT_TILE / QUAD; q++, dst += sizeof(lanes)) {
        lanes c[STRIP_VECTORS];
        gather(trits + q * QUAD * stride, stride, c, bad);
        lanes64 x = (lanes64)c[0] | (lanes64)c[1] << 2 | (lanes64)c[2] << 4 | (lanes64)c[3] << 6;
        memcpy(dst, &x, sizeof x);
    }
}

/* No machine has products of bytes. */
static lanes thrice(lanes x)
{
    return x + x + x;
}

static inline void pack_t5(const int8_t *trits, size_t stride, uint8_t *dst, lanes *bad)
{
    enum { BLOCK = WORDS * T5_WORD_BYTES };
    for (unsigned q = 0; q < LAYOUT_TILE / QUAD; q++, dst += 2 * T5_WORD_BYTES) {
        lanes c[STRIPS_MOST * STRIP_VECTORS];
        for (unsigned s = 0; s < STRIPS_MOST; s++)
            gather(trits + q * QUAD * stride + s * STRIP_COLS, stride, c + s * STRIP_VECTORS, bad);
        for (unsigned k = 0; k < BLOCKS_MOST; k++) {
            lanes x = c[3 * k + 1] + thrice(c[3 * k + 2]);
            lanes64 bits = squeeze((lanes64)(c[3 * k] + thrice(x)));
            for (unsigned i = 0; i < 2; i++) {
                uint64_t word = bits[i];
                memcpy(dst + k * BLOCK + i * T5_WORD_BYTES, &word, T5_WORD_BYTES);
            }
        }
    }
}

/* As many columns as whole strips are whole blocks: four blocks of T5, one of T2. */
static uint32_t run_cols(enum layout_id id)
{
    return id == LAYOUT_T5 ? STRIPS_MOST * STRIP_COLS : STRIP_COLS;
}

static void pack_run(enum layout_id id, const int8_t *trits, size_t stride, uint8_t *dst,
                     lanes *bad)
{
    if (id == LAYOUT_T5)
        pack_t5(trits, stride, dst, bad);
    else
        pack_t2(trits, stride, dst, bad);
}

/* Lane by lane, as the format is told in layout.h: this is the specification of reading. */
static unsigned code_at(enum layout_id id, const uint8_t *block, unsigned t, unsigned lane)
{
    static const unsigned power[] = {1, 3, 9};
    if (id == LAYOUT_S1 || id == LAYOUT_S2) /* -1 or +1 */
        return 2 * (block[lane] >> t & 1);
    if (id == LAYOUT_T2)
        return block[lane] >> 2 * t & 3;
    uint64_t bits = 0;
    memcpy(&bits, block + lane / WORD_LANES * T5_WORD_BYTES, T5_WORD_BYTES);
    return (unsigned)(bits >> 5 * (lane % WORD_LANES) & 31) / power[t] % 3;
}

/* A plane of signs of one tile, in blocks that lie `stride` bytes apart. */
static void pack_signs(const struct linear *w, const int8_t *signs, uint8_t *dst, size_t stride)
{
    uint32_t cols = w->cols;
    for (uint32_t first = 0; first < cols; first += SIGN_COLS, dst += stride) {
        memset(dst, 0, SIGN_BYTES);
        for (uint32_t r = 0; r < LAYOUT_TILE; r++)
            for (uint32_t c = 0; c < MIN(cols - first, (uint32_t)SIGN_COLS); c++) {
                bool set = signs[(size_t)r * cols + first + c] > 0;
                dst[ROW_LANES * r + c % ROW_LANES] |= (uint8_t)(set << c / ROW_LANES);
            }
    }
}

void layout_pack_planes(const struct linear *w, const int8_t *first, const int8_t *second,
                        uint8_t *dst)
{
    trit_assert(w->layout == LAYOUT_S2);
    pack_signs(w, first, dst, 2 * SIGN_BYTES);
    pack_signs(w, second, dst + SIGN_BYTES, 2 * SIGN_BYTES);
}

void layout_pack_tile(const struct linear *w, const int8_t *trits, uint8_t *dst)
{
    trit_assert(w->layout != LAYOUT_S2);
    if (w->layout == LAYOUT_S1) {
        pack_signs(w, trits, dst, SIGN_BYTES);
        return;
    }
    uint32_t cols = run_cols(w->layout), first = 0;
    size_t bytes = cols / layout_block_cols(w->layout) * layout_block_bytes(w->layout);
    lanes bad = {0};
    for (; first + cols <= w->cols; first += cols, dst += bytes)
        pack_run(w->layout, trits + first, w->cols, dst, &bad);
    if (first < w->cols) {
        int8_t last[LAYOUT_TILE][STRIPS_MOST * STRIP_COLS] = {{0}}; /* trit 0 is the padding */
        uint8_t run[BLOCKS_MOST * WORDS * T5_WORD_BYTES];
        for (unsigned r = 0; r < LAYOUT_TILE; r++)
            memcpy(last[r], trits + (size_t)r * w->cols + first, w->cols - first);
        pack_run(w->layout, last[0], sizeof last[0], run, &bad);
        memcpy(dst, run, w->tile_bytes - first / cols * bytes);
    }
    const lanes64 any = (lanes64)bad;
    trit_assert(!(any[0] | any[1]));
}

/* The codes of a lane, one for each vector of its block, four columns apart. */
static void lane_codes(enum layout_id id, const uint8_t *block, unsigned lane, uint8_t code[4])
{
    if (id == LAYOUT_T2) {
        for (unsigned t = 0; t < 4; t++)
            code[t] = block[lane] >> 2 * t & 3;
        return;
    }
    uint64_t bits = 0;
    memcpy(&bits, block + lane / WORD_LANES * T5_WORD_BYTES, T5_WORD_BYTES);
    unsigned field = (unsigned)(bits >> 5 * (lane % WORD_LANES) & 31);
    for (unsigned t = 0; t < 3; t++, field /= 3)
        code[t] = (uint8_t)(field % 3);
}

void layout_row(const struct linear *w, uint32_t row, float *dst)
{
    trit_assert(w->layout == LAYOUT_T2 || w->layout == LAYOUT_T5);
    size_t tile = row / LAYOUT_TILE, r = row % LAYOUT_TILE;
    size_t at = tile * w->n_groups * LAYOUT_TILE + r;
    uint32_t block_cols = layout_block_cols(w->layout), vectors = block_cols / ROW_LANES;
    const uint8_t *block = w->codes + tile * w->tile_bytes;
    for (uint32_t c = 0; c < w->cols; c += block_cols, block += layout_block_bytes(w->layout))
        for (unsigned j = 0; j < ROW_LANES; j++) {
            uint8_t code[4] = {0};
            lane_codes(w->layout, block, (unsigned)(ROW_LANES * r + j), code);
            for (unsigned t = 0; t < vectors; t++)
                if (c + ROW_LANES * t + j < w->cols)
                    dst[c + ROW_LANES * t + j] = (float)(code[t] - 1);
        }
    for (uint32_t g = 0; g < w->n_groups; g++, dst += w->group, at += LAYOUT_TILE) {
        float scale = w->scales ? w->scales[at] : quant_f16_to_f32(w->group_scales[at]);
        for (uint32_t i = 0; i < w->group; i++)
            dst[i] *= scale;
    }
}

void layout_unpack_tile(const struct linear *w, const uint8_t *src, int8_t *trits)
{
    uint32_t block_cols = layout_block_cols(w->layout);
    for (unsigned r = 0; r < LAYOUT_TILE; r++)
        for (uint32_t c = 0; c < w->cols; c++) {
            unsigned t = c % block_cols / ROW_LANES, lane = ROW_LANES * r + c % ROW_LANES;
            const uint8_t *block = src + c / block_cols * layout_block_bytes(w->layout);
            trits[(size_t)r * w->cols + c] = (int8_t)(code_at(w->layout, block, t, lane) - 1);
        }
}
