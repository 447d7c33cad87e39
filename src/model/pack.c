/* SPDX-License-Identifier: MIT */
/*
 * pack.c - decoding the file's tensors and packing them into the payload, on every processor.
 *
 * Tiles of 16 rows of a linear, or runs of rows of a table, are dealt over a team; each worker has
 * its own buffers, so memory stays small whatever the model's size.
 */
#include "config.h"
#include "model/load-parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/arch.h"
#include "model/gguf-private.h"
#include "model/quant.h"
#include "model/rows.h"
#include "model/wide.h"

enum {
    TABLE_RUN = 16,     /* rows of a table packed as one piece of work */
    FLOATS_GROUP = 128, /* inputs that may share a scale where a file has floats */
};

/* A worker's buffers, sized for 16 rows of the widest tensor. */
struct bench {
    uint8_t *raw;
    int8_t *trits, *second; /* the latter for LAYOUT_S2 */
    float *floats;          /* one row */
    float *scales;          /* of the blocks of one row */
};

struct packer {
    const struct gguf *g;
    const atomic_bool *stop;
    uint8_t *payload;
    struct team *team;
    struct bench *benches;
    const struct weights_item *item;
    float scale;      /* of the item, where it is of floats */
    float middle;     /* METHOD_B1: floats above it are +1 */
    struct rows rows; /* of an encoding that is read so */
    enum method_id method;
    atomic_int rc;
    atomic_flag error_taken; /* the first failure writes *err */
    struct trit_error *err;
};

/* Say what is wrong with row `row` of the tensor at hand; only the first failure is kept. */
static void complain(struct packer *p, int rc, const struct trit_error *why, uint64_t row,
                     const char *what)
{
    if (!atomic_flag_test_and_set(&p->error_taken)) {
        if (why)
            *p->err = *why;
        else
            gguf_fail(p->g, p->err, -rc, "tensor %s, row %" PRIu64 ": %s", p->item->t->origin, row,
                      what);
        atomic_store(&p->rc, rc);
    }
}

/* Of row `row`, number r of its tile: the scale that the blocks of each group share into that of
 * the group, of which a row has one in `scales` or several in `group_scales`.  A block of zeros has
 * scale 0, and its codes mean nothing. */
static bool take_scales(struct packer *p, struct bench *b, uint64_t row, size_t r, float *scales,
                        uint16_t *group_scales)
{
    const struct linear *w = p->item->linear;
    const size_t block = p->item->t->quant->block_values;
    float shared = 0;
    for (size_t k = 0; k < w->cols / block; k++) {
        float s = b->scales[k];
        shared = k * block % w->group ? shared : 0;
        if (!isfinite(s)) {
            complain(p, -TRIT_EUNSUPP, NULL, row, "a scale that is not finite");
            return false;
        }
        if (s != 0.0f && shared != 0.0f && s != shared) {
            complain(
                p, -TRIT_EUNSUPP, NULL, row,
                "scales differ between blocks of this row that share one in the rows that were "
                "looked at first");
            return false;
        }
        shared = s != 0.0f ? s : shared;
        if (s == 0.0f)
            memset(b->trits + r * w->cols + k * block, 0, block);
        uint16_t half = quant_f32_to_f16(shared);
        if (w->n_groups > 1 && quant_f16_to_f32(half) != shared) { /* only where it was a float */
            complain(p, -TRIT_EUNSUPP, NULL, row,
                     "a scale of a group of inputs that is no binary16, as which they are kept");
            return false;
        }
        if (w->n_groups > 1)
            group_scales[k * block / w->group * LAYOUT_TILE + r] = half;
        else
            scales[r] = shared;
    }
    return true;
}

/* Row `row`, which is at `raw`, has a code that is no trit, or a float. */
static void complain_of_code(struct packer *p, uint64_t row, const uint8_t *raw)
{
    const struct gguf_tensor *t = p->item->t;
    const struct quant_info *floats = quant_of_floats(t->quant);
    struct trit_error err;
    float w[FLOATS_GROUP], size = 0;
    size_t n = FLOATS_GROUP, odd = n, k = 0;
    if (!floats) {
        complain(p, -TRIT_EFORMAT, NULL, row, "a code that is no trit (3)");
        return;
    }
    for (; odd == n; k += n, raw += t->quant->block_bytes) {
        trit_assert(k < t->ne[0]);
        quant_floats(floats, raw, w, n);
        odd = quant_odd_value(w, n, &size);
    }
    gguf_fail(p->g, &err, TRIT_EUNSUPP,
              "tensor %s, row %" PRIu64 ", inputs %zu to %zu: found %g beside %g, expected -d, 0 "
              "and d alone, as in the rows that were looked at first",
              t->origin, row, k - n, k - 1, (double)w[odd], (double)size);
    complain(p, -TRIT_EUNSUPP, &err, row, NULL);
}

/* Rows [row, row + n) of the item as trits, of an encoding with a scale in every block. */
static bool read_blocks(struct packer *p, struct bench *b, uint64_t row, uint32_t n, float *scales,
                        uint16_t *group_scales)
{
    const struct gguf_tensor *t = p->item->t;
    const struct quant_info *q = t->quant;
    size_t cols = t->ne[0], blocks = cols / q->block_values;
    size_t row_bytes = blocks * q->block_bytes;
    struct trit_error err;
    int rc = gguf_read(p->g, t, row * row_bytes, b->raw, n * row_bytes, &err);
    if (rc) {
        complain(p, rc, &err, row, NULL);
        return false;
    }
    for (uint32_t r = 0; r < n; r++) {
        int8_t *trits = b->trits + r * cols;
        if (quant_trits(q, b->raw + r * row_bytes, trits, b->scales, cols) != 0) {
            complain_of_code(p, row + r, b->raw + r * row_bytes);
            return false;
        }
        if (!take_scales(p, b, row + r, r, scales, group_scales))
            return false;
    }
    return true;
}

/* Rows of the encodings of rows.h. */
static bool read_placed(struct packer *p, struct bench *b, uint64_t row, uint32_t n, float *scales)
{
    struct trit_error err;
    int rc = rows_read(&p->rows, row, n, b->raw, b->trits, scales, &err);
    if (rc)
        complain(p, rc, &err, row, NULL);
    return rc == 0;
}

/* Trits and scales of a row that is no linear's: the ternary embedding of a Bonsai model. */
static bool row_of_trits(struct packer *p, struct bench *b, uint64_t row)
{
    const struct gguf_tensor *t = p->item->t;
    if (quant_trits(t->quant, b->raw, b->trits, b->scales, t->ne[0]) != 0) {
        complain_of_code(p, row, b->raw);
        return false;
    }
    for (size_t i = 0; i < t->ne[0]; i++)
        b->floats[i] = (float)b->trits[i] * b->scales[i / t->quant->block_values];
    return true;
}

/* One row as floats, all finite. */
static bool read_floats(struct packer *p, struct bench *b, uint64_t row)
{
    const struct gguf_tensor *t = p->item->t;
    size_t cols = t->ne[0];
    size_t row_bytes = cols / t->quant->block_values * t->quant->block_bytes;
    struct trit_error err;
    int rc = gguf_read(p->g, t, row * row_bytes, b->raw, row_bytes, &err);
    if (rc) {
        complain(p, rc, &err, row, NULL);
        return false;
    }
    if (!t->quant->ternary)
        quant_floats(t->quant, b->raw, b->floats, cols);
    else if (!row_of_trits(p, b, row))
        return false;
    if (wide_largest(b->floats, cols) >= WIDE_INFINITE) {
        complain(p, -TRIT_EFORMAT, NULL, row, "a value that is not finite");
        return false;
    }
    return true;
}

static bool read_float_trits(struct packer *p, struct bench *b, uint64_t row, uint32_t n)
{
    size_t cols = p->item->t->ne[0];
    for (uint32_t r = 0; r < n; r++) {
        int8_t *trits = b->trits + r * cols;
        if (!read_floats(p, b, row + r))
            return false;
        if (p->method == METHOD_TERNARY)
            quant_absmean_trits(p->scale, b->floats, trits, cols);
        for (size_t i = 0; p->method == METHOD_ONEBIT && i < cols; i++)
            trits[i] = b->floats[i] < 0 ? -1 : 1;
        for (size_t i = 0; p->method == METHOD_B1 && i < cols; i++)
            trits[i] = b->floats[i] > p->middle ? 1 : -1;
    }
    return true;
}

/* Rows [row, row + n) of a plane of bits as -1 and +1; rows of a tile beyond the matrix are 0. */
static bool read_plane(struct packer *p, struct bench *b, const struct gguf_tensor *t, uint64_t row,
                       size_t n, int8_t *signs)
{
    size_t cols = t->ne[0];
    struct trit_error err;
    int rc = gguf_read(p->g, t, row * cols / 8, b->raw, n * cols / 8, &err);
    if (rc) {
        complain(p, rc, &err, row, NULL);
        return false;
    }
    for (size_t r = 0; r < n; r++) /* a row at a time: as many scales as there is room for */
        quant_trits(t->quant, b->raw + r * cols / 8, signs + r * cols, b->scales, cols);
    memset(signs + n * cols, 0, (LAYOUT_TILE - n) * cols);
    return true;
}

/* The levels of those rows, from [row][block][level] to [block][level][row]. */
static bool read_levels(struct packer *p, struct bench *b, uint64_t row, size_t n, uint16_t *dst)
{
    const struct gguf_tensor *t = p->item->levels;
    size_t per_row = t->ne[0] * t->ne[1], bytes = per_row * sizeof *dst;
    struct trit_error err;
    for (size_t r = 0; r < n; r++) {
        int rc = gguf_read(p->g, t, (row + r) * bytes, b->raw, bytes, &err);
        if (rc) {
            complain(p, rc, &err, row + r, NULL);
            return false;
        }
        quant_floats(t->quant, b->raw, b->floats, per_row);
        for (size_t i = 0; i < per_row; i++) {
            if (!isfinite(b->floats[i])) {
                complain(p, -TRIT_EFORMAT, NULL, row + r, "a level that is not finite");
                return false;
            }
            dst[i * LAYOUT_TILE + r] = quant_f32_to_f16(b->floats[i]); /* exact */
        }
    }
    return true;
}

/* The columns of a plane of a tile in the order in which they will lie. */
static void put_in_order(int8_t *signs, const uint8_t *order, size_t cols)
{
    for (size_t i = 0; i < LAYOUT_TILE * cols; i += BILLM_BLOCK) {
        int8_t of_file[BILLM_BLOCK];
        memcpy(of_file, signs + i, sizeof of_file);
        for (size_t c = 0; c < BILLM_BLOCK; c++)
            signs[i + c] = of_file[order[i % cols + c]];
    }
}

/* A tile of LAYOUT_S2, whose bits are the opposite of the file's in both planes. */
static bool pack_planes(struct packer *p, struct bench *b, uint64_t tile)
{
    const struct weights_item *it = p->item;
    const struct linear *w = it->linear;
    uint64_t row = tile * LAYOUT_TILE;
    size_t n = MIN((uint64_t)LAYOUT_TILE, w->rows - row);
    uint16_t *levels = (void *)(p->payload + it->scales_at);
    const uint8_t *order = p->payload + it->order_at;
    if (!read_plane(p, b, it->t, row, n, b->trits) ||
        !read_plane(p, b, it->second, row, n, b->second) ||
        !read_levels(p, b, row, n, levels + row * w->n_groups * BILLM_LEVELS))
        return false;
    put_in_order(b->trits, order, w->cols);
    put_in_order(b->second, order, w->cols);
    layout_pack_planes(w, b->trits, b->second, p->payload + it->at + tile * w->tile_bytes);
    return true;
}

/* One bit a column to the order of columns, salient ones first, and how many a group has. */
static bool pack_order(struct packer *p, struct bench *b)
{
    const struct linear *w = p->item->order;
    uint8_t *order = p->payload + p->item->at, *n_salient = order + w->cols;
    if (!read_plane(p, b, p->item->t, 0, 1, b->trits))
        return false;
    for (size_t g = 0; g < w->n_groups; g++, order += BILLM_BLOCK) {
        const int8_t *signs = b->trits + g * BILLM_BLOCK;
        uint8_t n = 0;
        for (size_t c = 0; c < BILLM_BLOCK; c++)
            n += signs[c] < 0;
        n_salient[g] = n;
        for (uint8_t c = 0, salient = 0; c < BILLM_BLOCK; c++)
            order[signs[c] < 0 ? salient++ : n++] = c;
    }
    return true;
}

static bool pack_tile(struct packer *p, struct bench *b, uint64_t tile)
{
    const struct weights_item *it = p->item;
    const struct linear *w = it->linear;
    if (w->layout == LAYOUT_S2)
        return pack_planes(p, b, tile);
    uint64_t row = tile * LAYOUT_TILE;
    uint32_t n = (uint32_t)MIN((uint64_t)LAYOUT_TILE, w->rows - row);
    float scales[LAYOUT_TILE] = {0}, *dst = (void *)(p->payload + it->scales_at);
    uint16_t *group_scales = (void *)(p->payload + it->scales_at);
    group_scales += tile * w->n_groups * LAYOUT_TILE; /* zero already where there is no row */
    for (uint32_t r = 0; r < n; r++)
        scales[r] = p->scale;
    memset(b->trits + (size_t)n * w->cols, 0, (size_t)(LAYOUT_TILE - n) * w->cols);
    bool ok = rows_needed(it->t->quant) ? read_placed(p, b, row, n, scales)
              : it->t->quant->ternary   ? read_blocks(p, b, row, n, scales, group_scales)
                                        : read_float_trits(p, b, row, n);
    if (!ok)
        return false;
    layout_pack_tile(w, b->trits, p->payload + it->at + tile * w->tile_bytes);
    if (w->n_groups == 1)
        memcpy(dst + tile * LAYOUT_TILE, scales, sizeof scales);
    return true;
}

static bool pack_rows(struct packer *p, struct bench *b, uint64_t run)
{
    const struct weights_item *it = p->item;
    uint64_t end = MIN((run + 1) * TABLE_RUN, it->t->n_dims > 1 ? it->t->ne[1] : 1);
    for (uint64_t row = run * TABLE_RUN; row < end; row++) {
        if (!read_floats(p, b, row))
            return false;
        uint8_t *dst = p->payload + it->at;
        for (size_t i = 0; it->plus_one && i < it->bytes / sizeof(float); i++)
            b->floats[i] += 1;
        for (size_t i = 0; it->decay && i < it->bytes / sizeof(float); i++)
            b->floats[i] = (float)-exp((double)b->floats[i]);
        if (it->vector) {
            memcpy(dst + row * it->t->ne[0] * sizeof(float), b->floats,
                   it->t->ne[0] * sizeof(float));
            continue;
        }
        const struct table *t = it->table;
        table_pack_row(t, (uint32_t)row, b->floats, dst, (void *)(p->payload + it->scales_at));
    }
    return true;
}

static uint64_t pieces_of(const struct weights_item *it)
{
    if (it->linear)
        return layout_tiles(it->linear);
    if (it->order)
        return 1;
    uint64_t rows = it->t->n_dims > 1 ? it->t->ne[1] : 1;
    return (rows + TABLE_RUN - 1) / TABLE_RUN;
}

static void pack_run(void *ctx, unsigned worker)
{
    struct packer *p = ctx;
    struct bench *b = &p->benches[worker];
    uint64_t n = pieces_of(p->item);
    for (uint64_t i; (i = team_take(p->team, 1)) < n && !atomic_load(&p->rc);) {
        if (p->stop && atomic_load_explicit(p->stop, memory_order_relaxed))
            complain(p, -TRIT_ECANCELLED, NULL, 0, "loading was cancelled");
        else if (p->item->linear  ? !pack_tile(p, b, i)
                 : p->item->order ? !pack_order(p, b)
                                  : !pack_rows(p, b, i))
            return;
    }
}

/* For float linears, before packing: what they are scaled by, and whether it is exact. */
static int scan_floats(struct packer *p, bool *exact)
{
    const struct gguf_tensor *t = p->item->t;
    struct bench *b = &p->benches[0];
    struct quant_absmean seen = {0};
    double sum = 0;
    for (uint64_t row = 0; row < t->ne[1]; row++) {
        if (!read_floats(p, b, row))
            return atomic_load(&p->rc);
        quant_absmean_add(&seen, b->floats, t->ne[0]);
        for (uint64_t i = 0; i < t->ne[0]; i++)
            sum += (double)b->floats[i];
    }
    p->middle = (float)(sum / (double)seen.n);
    if (p->method == METHOD_B1) /* beta; the mean that they are centred by is no part of it */
        p->scale = (float)(seen.sum / (double)seen.n);
    if (p->method != METHOD_TERNARY)
        return 0;
    *exact = quant_absmean_exact(&seen, &p->scale);
    if (!*exact)
        p->scale = quant_absmean_scale(&seen);
    return 0;
}

/* Floats of an architecture that has no master weights are not ternary: where. */
static int refuse_floats(struct packer *p, const struct model *m)
{
    const struct gguf_tensor *t = p->item->t;
    struct bench *b = &p->benches[0];
    size_t n = t->ne[0] % FLOATS_GROUP ? t->ne[0] : FLOATS_GROUP;
    float size;
    for (uint64_t row = 0; row < t->ne[1]; row++) {
        if (!read_floats(p, b, row))
            return atomic_load(&p->rc);
        for (size_t at = 0; at < t->ne[0]; at += n) {
            size_t odd = quant_odd_value(b->floats + at, n, &size);
            if (odd < n)
                return gguf_fail(
                    p->g, p->err, TRIT_EUNSUPP,
                    "tensor %s: its %s values are not ternary, expected -d, 0 and d alone in each "
                    "group of %zu, found %g beside %g in row %" PRIu64 ", inputs %zu to %zu; this "
                    "looks like an ordinary %s model, which tritd does not serve",
                    t->origin, t->quant->name, n, (double)b->floats[at + odd], (double)size, row,
                    at, at + n - 1, m->arch->name);
        }
    }
    return gguf_fail(
        p->g, p->err, TRIT_EUNSUPP,
        "tensor %s: its %s values have several sizes, which is for folders, in rows of a "
        "multiple of %d",
        t->origin, t->quant->name, FLOATS_GROUP);
}

/* Before a linear is packed: the scale of its floats, or what its encoding has for the tensor. */
static int begin_linear(struct packer *p, const struct model *m)
{
    const struct gguf_tensor *t = p->item->t;
    bool exact = true;
    if (rows_needed(t->quant))
        return rows_open(p->g, t, &p->rows, p->err);
    p->scale = m->hp.method == METHOD_ONEBIT; /* its own is the multiplier */
    int rc = t->quant->ternary ? 0 : scan_floats(p, &exact);
    return rc == 0 && !exact && !m->hp.absmean ? refuse_floats(p, m) : rc;
}

/* One number for all rows, or one for each. */
static int apply_multiplier(struct packer *p)
{
    const struct weights_item *it = p->item;
    const struct quant_info *q = it->multiplier->quant;
    uint8_t raw[sizeof(float)];
    float by = 1, *scales = (void *)(p->payload + it->scales_at);
    uint64_t n = it->multiplier->ne[0];
    for (size_t i = 0; i < it->scale_bytes / sizeof *scales; i++) {
        if (i < n) {
            int rc =
                gguf_read(p->g, it->multiplier, i * q->block_bytes, raw, q->block_bytes, p->err);
            if (rc)
                return rc;
            quant_floats(q, raw, &by, 1);
            by = it->divides ? 1 / by : by;
        }
        if (!isfinite(by))
            return gguf_fail(p->g, p->err, TRIT_EFORMAT,
                             "tensor %s is %s, expected a finite number", it->multiplier->origin,
                             it->divides ? "zero or not finite" : "not finite");
        scales[i] *= by;
    }
    return 0;
}

static int open_benches(struct packer *p, const struct weights_plan *plan, unsigned n)
{
    size_t raw = 0, cols = 0;
    bool planes = false;
    for (size_t i = 0; i < plan->n; i++) {
        const struct gguf_tensor *t = plan->items[i].t, *levels = plan->items[i].levels;
        size_t rows = plan->items[i].linear ? LAYOUT_TILE : 1;
        planes = planes || levels;
        cols = MAX(cols, t->ne[0]);
        /* Four bytes a value is the widest encoding. */
        raw = MAX(raw, rows_needed(t->quant) ? rows_raw_bytes(t, rows) : rows * t->ne[0] * 4);
    }
    p->benches = mem_zalloc(n, sizeof *p->benches);
    if (!p->benches)
        return -TRIT_ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        struct bench *b = &p->benches[i];
        b->raw = mem_zalloc_line(raw, 1);
        b->trits = mem_zalloc_line(LAYOUT_TILE * cols, 1);
        b->second = planes ? mem_zalloc_line(LAYOUT_TILE * cols, 1) : NULL;
        b->floats = mem_zalloc_line(cols, sizeof *b->floats);
        b->scales = mem_zalloc_line(cols, sizeof *b->scales);
        if (!b->raw || !b->trits || (planes && !b->second) || !b->floats || !b->scales)
            return -TRIT_ENOMEM;
    }
    return 0;
}

static void close_benches(struct packer *p, unsigned n)
{
    for (unsigned i = 0; p->benches && i < n; i++) {
        mem_free(p->benches[i].raw);
        mem_free(p->benches[i].trits);
        mem_free(p->benches[i].second);
        mem_free(p->benches[i].floats);
        mem_free(p->benches[i].scales);
    }
    mem_free(p->benches);
}

int weights_pack(const struct gguf *g, const struct weights_plan *plan, const struct model *m,
                 const atomic_bool *stop, uint8_t *payload, struct trit_error *err)
{
    struct trit_error ignored = {0};
    struct packer p = {.g = g,
                       .method = m->hp.method,
                       .stop = stop,
                       .payload = payload,
                       .error_taken = ATOMIC_FLAG_INIT,
                       .err = err ? err : &ignored};
    unsigned n = team_usable_cpus();
    int rc = team_open(&p.team, n, false, err);
    if (rc)
        return rc;
    if (open_benches(&p, plan, n) != 0)
        rc = trit_fail(err, TRIT_ENOMEM, "no memory to pack the weights");
    for (size_t i = 0; rc == 0 && i < plan->n; i++) {
        p.item = &plan->items[i];
        log_progress("packing the weights: %zu of %zu tensors, %zu MiB", i + 1, plan->n,
                     p.item->at >> 20);
        if (p.item->linear)
            rc = begin_linear(&p, m);
        if (rc == 0) {
            team_run(p.team, pack_run, &p);
            rc = atomic_load(&p.rc);
        }
        if (rc == 0 && p.item->multiplier)
            rc = apply_multiplier(&p);
        rows_close(&p.rows);
    }
    log_progress(NULL);
    close_benches(&p, n);
    team_close(&p.team);
    return rc;
}
