/* SPDX-License-Identifier: MIT */
/*
 * x86_amx_head.c - the coarse head on matrix tiles, many tokens at once.
 *
 *   sums[row][token] += nibbles[row][64 inputs] * plane[64 inputs][token]
 *
 * Nibbles are spread to bytes, a stretch of 32 rows at a time, and are then an operand row by row;
 * the tokens' inputs are interleaved for it once for all rows of a call.
 */
#include "config.h"
#include "kernels/x86_amx.h"

enum {
    LEAST_LOGITS = 9, /* for which tiles pay */
    HEAD_TOKENS = 32, /* at a time */
    HEAD_ROWS = 32,   /* of the table, multiplied together */
    HEAD_GROUPS = 4,  /* of rows, that pass over a stretch of the inputs */
    HEAD_COLS = 1024, /* the stretch */
};

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
    struct head h;
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
        for (size_t part = 0; part < 4; part++) {
            size_t row = rows[g] + part / 2 * SIDE, late = part % 2 * SIDE;
            if (late && !second)
                continue;
            head_deliver(out + (token + late) * out_stride + row, out_stride,
                         h.sums[g] + part * TILE_INTS, t->scales + row, x, token + late,
                         late ? second : first);
        }
}

void amx_head_coarse(float *out, size_t out_stride, const struct table *t, size_t row0, size_t row1,
                     const struct planes *x, size_t n_tokens)
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
            n = even_share(n_tokens - token, HEAD_TOKENS);
            head_block(out, out_stride, t, rows, groups, x, token, n);
        }
    }
    _tile_release();
}
