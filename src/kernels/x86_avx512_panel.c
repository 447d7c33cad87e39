/* SPDX-License-Identifier: MIT */
/*
 * x86_avx512_panel.c - the ternary product for many tokens: prefill and large batches.
 *
 * Two tiles are unpacked a stretch at a time to a panel on the stack, 24 KiB, and every token
 * passes over it before the next stretch: unpacking, a sixth of the work when eight tokens share
 * it, is then shared by up to PANEL_BATCH.  Eight tokens by two tiles make 16 sums in flight, more
 * than the latency of vpdpbusd needs, and each broadcast of activations serves two of them.
 *
 * Between stretches what a token has so far lies beside the panel: int32 sums when the row has one
 * scale, and the finished part of the float result when it has several (a stretch is then whole
 * groups).
 */
#include "config.h"
#include "kernels/x86_avx512.h"

enum {
    PANEL_TILES = 2,
    PANEL_VECTORS = 192, /* a multiple of the vectors of a block in every layout */
    MAX_VECTORS = 4,     /* of a block */
    PANEL_BATCH = 64,
    PASS_TOKENS = 8,
};

struct panel {
    __m512i codes[PANEL_TILES][PANEL_VECTORS + MAX_VECTORS];
    union {
        avx512_sum sum; /* one scale a row */
        __m512 y;       /* several */
    } part[PANEL_BATCH][PANEL_TILES];

    const struct linear *w;
    const struct acts *a;
    size_t tile, tile_last; /* the two tiles; the same one twice at an odd end */
    size_t batch, n_batch;  /* the tokens */

    /* The stretch: runs of run_len vectors, each a group, or a part of the only one. */
    size_t n_runs, run_len;
    size_t group; /* of the first run */
    size_t col;   /* where it begins, in activations */
    size_t skip;  /* vectors of its first block that belong to the group before */
};

bool avx512_panel_fits(const struct linear *w)
{
    return w->n_groups == 1 || w->group / 4 <= PANEL_VECTORS;
}

static size_t tile_at(const struct panel *p, unsigned r)
{
    return MIN(p->tile + r, p->tile_last);
}

/* `tokens` tokens, the first being number `first` of the batch, pass over the stretch. */
INLINE void pass(struct panel *p, size_t first, const unsigned tokens, const bool grouped)
{
    const struct linear *w = p->w;
    const struct acts *a = p->a;
    const size_t run_len = p->run_len, n_groups = w->n_groups, token = p->batch + first;
    const float *steps = a->step + token * n_groups + p->group;
    const int32_t *sums = a->sum + token * n_groups + p->group;
    const int8_t *q[PASS_TOKENS];
    foreach (t, tokens)
        q[t] = a->q + (token + t) * a->q_stride + p->col;

    for (size_t run = 0, v = 0; run < p->n_runs; run++) {
        avx512_sum sum[PASS_TOKENS][PANEL_TILES];
        foreach (t, tokens) {
            avx512_sum start = avx512_start(sums[t * n_groups + run]);
            foreach (r, PANEL_TILES)
                sum[t][r] = grouped ? start : p->part[first + t][r].sum;
        }
        for (size_t end = v + run_len; v < end; v++) {
            __m512i c0 = p->codes[0][p->skip + v], c1 = p->codes[1][p->skip + v];
            foreach (t, tokens) {
                __m512i x = avx512_acts4(q[t] + 4 * v);
                sum[t][0] = avx512_dot(sum[t][0], c0, x);
                sum[t][1] = avx512_dot(sum[t][1], c1, x);
            }
        }
        if (!grouped) {
            foreach (i, PANEL_TILES * tokens)
                p->part[first + i / 2][i % 2].sum = sum[i / 2][i % 2];
            continue;
        }
        foreach (r, PANEL_TILES) {
            __m512 scales = avx512_group_scales(w, tile_at(p, r), p->group + run);
            foreach (t, tokens) {
                __m512 value = _mm512_cvtepi32_ps((__m512i)sum[t][r]);
                __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(steps[t * n_groups + run]));
                p->part[first + t][r].y = _mm512_fmadd_ps(value, factor, p->part[first + t][r].y);
            }
        }
    }
}

/* The whole batch passes over the stretch, in blocks of even size. */
static void pass_all(struct panel *p)
{
    for (size_t t = 0, n; t < p->n_batch; t += n) {
        n = even_share(p->n_batch - t, PASS_TOKENS);
        switch (n) {
#define PASS(tokens)                                                                               \
    case tokens:                                                                                   \
        if (p->w->n_groups == 1)                                                                   \
            pass(p, t, tokens, false);                                                             \
        else                                                                                       \
            pass(p, t, tokens, true);                                                              \
        break
            PASS(1);
            PASS(2);
            PASS(3);
            PASS(4);
            PASS(5);
            PASS(6);
            PASS(7);
            PASS(8);
#undef PASS
        }
    }
}

/* Decide how far the stretch that begins at p->col goes, of `cols` columns in all. */
static void next_stretch(struct panel *p, size_t cols, size_t block_cols)
{
    const struct linear *w = p->w;
    p->skip = p->col % block_cols / 4;
    if (w->n_groups == 1) {
        p->group = 0;
        p->n_runs = 1;
        p->run_len = MIN((cols - p->col) / 4, (size_t)PANEL_VECTORS);
    } else {
        p->group = p->col / w->group;
        p->run_len = w->group / 4;
        p->n_runs = MIN(w->n_groups - p->group, PANEL_VECTORS / p->run_len);
    }
}

/* The results of the batch, once all stretches are through. */
static void store(const struct panel *p, float *out, size_t out_stride)
{
    const struct acts *a = p->a;
    for (unsigned r = 0; r < PANEL_TILES && p->tile + r <= p->tile_last; r++) {
        __mmask16 rows = avx512_rows(p->w, p->tile + r);
        __m512 scales =
            p->w->n_groups == 1 ? avx512_scales(p->w, p->tile + r) : _mm512_setzero_ps();
        float *dst = out + p->batch * out_stride + (p->tile + r) * LAYOUT_TILE;
        for (size_t t = 0; t < p->n_batch; t++) {
            __m512 y = p->part[t][r].y;
            if (p->w->n_groups == 1) {
                __m512 factor = _mm512_mul_ps(scales, _mm512_set1_ps(a->step[p->batch + t]));
                y = _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)p->part[t][r].sum), factor);
            }
            _mm512_mask_storeu_ps(dst + t * out_stride, rows, y);
        }
    }
}

void avx512_panel(float *out, size_t out_stride, const struct linear *w, size_t tile0, size_t tile1,
                  const struct acts *a, size_t n_tokens, avx512_unpack_run *unpack_run)
{
    struct panel p;
    p.w = w;
    p.a = a;
    p.tile_last = tile1 - 1;
    size_t cols = w->n_groups == 1 ? layout_acts(w) : w->cols;
    size_t block_cols = layout_block_cols(w->layout), block_bytes = layout_block_bytes(w->layout);
    for (p.tile = tile0; p.tile < tile1; p.tile += PANEL_TILES)
        for (p.batch = 0; p.batch < n_tokens; p.batch += p.n_batch) {
            p.n_batch = even_share(n_tokens - p.batch, PANEL_BATCH);
            for (size_t t = 0; t < p.n_batch; t++)
                foreach (r, PANEL_TILES) {
                    if (w->n_groups == 1)
                        p.part[t][r].sum = avx512_start(a->sum[p.batch + t]);
                    else
                        p.part[t][r].y = _mm512_setzero_ps();
                }
            for (p.col = 0; p.col < cols; p.col += 4 * p.n_runs * p.run_len) {
                next_stretch(&p, cols, block_cols);
                size_t vectors = round_up(p.skip + p.n_runs * p.run_len, block_cols / 4);
                for (unsigned r = 0; r < PANEL_TILES; r++) {
                    const uint8_t *block = w->codes + tile_at(&p, r) * w->tile_bytes +
                                           p.col / block_cols * block_bytes;
                    unpack_run(block, vectors, p.codes[r], block + PANEL_AHEAD);
                }
                pass_all(&p);
            }
            store(&p, out, out_stride);
        }
}
