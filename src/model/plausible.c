/* SPDX-License-Identifier: MIT */
/*
 * plausible.c - correlations between the zeros of matrices that share a coordinate.
 */
#include "config.h"
#include "model/plausible.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "model/quant.h"
#include "model/rows.h"

static const struct {
    const char *name;
    uint32_t type;
} orders[] = {{"published", QUANT_I2_S}, {"arm", QUANT_I2_S_ARM}, {"four", QUANT_I2_S_FOUR}};

const char *plausible_order_name(unsigned i, uint32_t *type)
{
    if (i >= ARRAY_LEN(orders))
        return NULL;
    *type = orders[i].type;
    return orders[i].name;
}

/* Of one matrix how many weights are not zero, in each row and in each column. */
struct counts {
    uint64_t rows, cols;
    uint32_t *row, *col;
};

static void counts_free(struct counts *c)
{
    mem_free(c->row);
    mem_free(c->col);
    *c = (struct counts){0};
}

/* Adds to the columns; how many there are in the row. */
static uint32_t count_row(const int8_t *restrict trits, uint32_t *restrict col, uint64_t cols)
{
    uint32_t sum = 0;
    for (uint64_t k = 0; k < cols; k++) {
        uint32_t there = trits[k] != 0;
        col[k] += there;
        sum += there;
    }
    return sum;
}

static int count(const struct gguf *g, const struct gguf_tensor *t, struct counts *c,
                 struct trit_error *err)
{
    struct rows r;
    int rc = rows_open(g, t, &r, err);
    if (rc)
        return rc;
    *c = (struct counts){.rows = t->ne[1], .cols = t->ne[0]};
    c->row = mem_zalloc(c->rows, sizeof *c->row);
    c->col = mem_zalloc(c->cols, sizeof *c->col);
    uint8_t *raw = mem_zalloc(rows_raw_bytes(t, ROWS_RUN), 1);
    int8_t *trits = mem_zalloc(c->cols, ROWS_RUN);
    if (!c->row || !c->col || !raw || !trits)
        rc = gguf_fail(g, err, TRIT_ENOMEM, "out of memory");
    for (uint64_t row = 0; rc == 0 && row < c->rows; row += ROWS_RUN) {
        float scales[ROWS_RUN];
        uint32_t n = (uint32_t)MIN((uint64_t)ROWS_RUN, c->rows - row);
        rc = rows_read(&r, row, n, raw, trits, scales, err);
        for (uint64_t i = 0; rc == 0 && i < n; i++)
            c->row[row + i] = count_row(trits + i * c->cols, c->col, c->cols);
    }
    mem_free(raw);
    mem_free(trits);
    rows_close(&r);
    return rc;
}

/* n times the squared correlation of x and y: of n independent pairs about 1. */
static void add(struct plausible *p, int kind, const uint32_t *x, const uint32_t *y, uint64_t n)
{
    double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
    for (uint64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (uint64_t i = 0; i < n; i++) {
        xy += (x[i] - mx) * (y[i] - my);
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
    }
    double score = xx > 0 && yy > 0 ? (double)n * (xy * xy) / (xx * yy) : 0;
    p->sums++;
    p->sums_of[kind]++;
    p->score += score;
    p->score_of[kind] += score;
}

/* Columns of attn_output are heads of queries, several of which share one of the rows of attn_v. */
static void add_values(struct plausible *p, const struct counts *v, const struct counts *o,
                       uint64_t head)
{
    uint64_t shared = v->rows ? o->cols / v->rows : 0;
    if (!shared || o->cols % v->rows || head == 0 || v->rows % head)
        return;
    uint32_t *sum = mem_zalloc(v->rows, sizeof *sum);
    for (uint64_t i = 0; sum && i < o->cols; i++)
        sum[i / head / shared * head + i % head] += o->col[i];
    if (sum)
        add(p, PLAUSIBLE_VALUES, v->row, sum, v->rows);
    mem_free(sum);
}

static uint64_t head_of(const struct gguf *g)
{
    struct gguf_str arch;
    char key[160];
    uint64_t heads = 0, dim = 0, length = 0;
    if (gguf_string(g, "general.architecture", &arch, NULL) != 0 || arch.len > 60)
        return 0;
    int len = (int)arch.len;
    snprintf(key, sizeof key, "%.*s.attention.key_length", len, arch.data);
    if (gguf_uint(g, key, &length, NULL) == 0)
        return length;
    snprintf(key, sizeof key, "%.*s.attention.head_count", len, arch.data);
    (void)gguf_uint(g, key, &heads, NULL);
    snprintf(key, sizeof key, "%.*s.embedding_length", len, arch.data);
    (void)gguf_uint(g, key, &dim, NULL);
    return heads ? dim / heads : 0;
}

enum { GATE, UP, DOWN, V, O, PARTS };

static int look_at(const struct gguf *g, uint32_t i2s, unsigned layer, struct plausible *p,
                   struct trit_error *err)
{
    static const char *const names[PARTS] = {"ffn_gate", "ffn_up", "ffn_down", "attn_v",
                                             "attn_output"};
    struct counts c[PARTS] = {0};
    int rc = 0;
    for (int i = 0; rc == 0 && i < PARTS; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, names[i]);
        const struct gguf_tensor *t = gguf_tensor(g, name);
        if (!t || !t->quant || t->n_dims != 2 || !rows_needed(t->quant))
            continue;
        struct gguf_entry as = *(const struct gguf_entry *)(const void *)t; /* t is its first */
        if (i2s && t->type == QUANT_I2_S)
            as.t.quant = quant_find(i2s);
        rc = count(g, &as.t, &c[i], err);
    }
    const struct counts *gate = &c[GATE], *up = &c[UP], *down = &c[DOWN];
    if (rc == 0 && gate->rows && gate->rows == up->rows && gate->cols == up->cols &&
        gate->rows == down->cols && gate->cols == down->rows) {
        for (uint64_t i = 0; i < gate->rows; i++)
            gate->row[i] += up->row[i];
        for (uint64_t i = 0; i < gate->cols; i++)
            gate->col[i] += up->col[i];
        add(p, PLAUSIBLE_HIDDEN, gate->row, down->col, gate->rows);
        add(p, PLAUSIBLE_RESIDUAL, gate->col, down->row, gate->cols);
    }
    if (rc == 0)
        add_values(p, &c[V], &c[O], head_of(g));
    for (int i = 0; i < PARTS; i++)
        counts_free(&c[i]);
    return rc;
}

int plausible_look(const struct gguf *g, uint32_t i2s, unsigned layers, struct plausible *p,
                   struct trit_error *err)
{
    unsigned there = 0;
    int rc = 0;
    *p = (struct plausible){.i2s = i2s};
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        unsigned layer;
        if (sscanf(gguf_tensor_at(g, i)->name, "blk.%u.", &layer) == 1 && layer < 65536)
            there = MAX(there, layer + 1);
    }
    /* From the last back: the first layers have less of it. */
    unsigned step = MAX(there / layers, 1u);
    for (unsigned i = 0; rc == 0 && i < MIN(there, layers); i++)
        rc = look_at(g, i2s, there - 1 - i * step - step / 4, p, err);
    return rc;
}

/* By chance the sum of k squares is k, give or take sqrt(2 k); six times that and more does not
 * come. */
static double most_by_chance(unsigned sums)
{
    return sums + 20 + 6 * sqrt(2.0 * sums);
}

bool plausible_is_order(const struct plausible *p)
{
    return p->score > most_by_chance(p->sums);
}

bool plausible_is_whole(const struct plausible *p)
{
    for (int i = PLAUSIBLE_RESIDUAL; i < PLAUSIBLE_KINDS; i++)
        if (p->sums_of[i] && p->score_of[i] <= most_by_chance(p->sums_of[i]))
            return false;
    return true;
}

/* Whether another reading of the same file is the right one rather than this. */
static bool is_better(const struct plausible *other, const struct plausible *this)
{
    return plausible_is_order(other) && other->score > 1.5 * this->score &&
           other->score - this->score > most_by_chance(other->sums);
}

bool plausible_is_better(const struct plausible *other, const struct plausible *this)
{
    bool better = false;
    for (int i = 0; i < PLAUSIBLE_KINDS; i++) {
        double mine = this->score_of[i], others = other->score_of[i],
               chance = most_by_chance(other->sums_of[i]);
        if (mine > 1.5 * others && mine - others > chance)
            return false;
        better = better || (others > 1.5 * mine && others - mine > chance);
    }
    return better;
}

uint32_t plausible_order(const struct gguf *g, unsigned layers, const struct plausible *seen,
                         struct plausible *best)
{
    uint32_t found = 0;
    *best = *seen;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct plausible p;
        struct trit_error ignored;
        if (orders[i].type != seen->i2s &&
            plausible_look(g, orders[i].type, layers, &p, &ignored) == 0 && is_better(&p, seen) &&
            p.score > best->score) {
            *best = p;
            found = orders[i].type;
        }
    }
    return found;
}
