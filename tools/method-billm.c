/* SPDX-License-Identifier: MIT */
/*
 * method-billm.c - BiLLM: salient columns, the bell split of the others, and errors made good.
 *
 * It follows the authors' code, in which the searches work on the metric of the weights, w^2 / d^2
 * with d from the diagonal of the factor of H's inverse, and not on the weights.  Per block of 128
 * columns:
 *
 *   - rank the columns by the sum of their metric; for every number of salient columns from 1 to
 * 49, the error of the metric itself when these get two planes of signs and so do the others; the
 * least wins;
 *   - for 81 quantiles of the metric of what is left, from 0.10 to 0.90: the error when what lies
 * below and what does not get a plane each; the least wins;
 *   - levels and signs of each row; its error over d, times the factor's rows, comes off the
 * columns behind.
 *
 * Two things differ: levels are rounded to the binary16 of the file before the error is taken, so
 * what is made good is what will be served; and a weight equal to its mean is taken for larger,
 * where theirs adds nothing, since a plane has no third value.
 */
#include "config.h"
#include "method.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/quant.h"

enum {
    BLOCK = BILLM_BLOCK,
    SALIENT_MAX = 50, /* columns looked at; one less is taken at most */
    SPLITS = 81,
};

static const double DAMP = 0.01; /* of the mean of H's diagonal, added to it */

/* ------------------------------------------------------------------ the factor of the inverse */

struct factor {
    struct team *team;
    double *h; /* [n][n], becomes R, upper triangular, with H = R R^T */
    double *u; /* [n][n], the transpose of R's inverse: row j holds column j of U, U^T U = H^-1 */
    size_t n, column;
};

/* Four sums, so that additions do not wait for each other. */
static double dot(const double *a, const double *b, size_t n)
{
    double lane[4] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t l = 0; l < 4; l++)
            lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum + ((lane[0] + lane[1]) + (lane[2] + lane[3]));
}

/* Column j of R from those behind it. */
static void column_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct factor *f = ctx;
    const size_t n = f->n, j = f->column;
    const double *of_j = f->h + j * n;
    for (size_t first; (first = 16 * team_take(f->team, 1)) < j;)
        for (size_t i = first; i < MIN(first + 16, j); i++) {
            double *of_i = f->h + i * n;
            of_i[j] = (of_i[j] - dot(of_i + j + 1, of_j + j + 1, n - j - 1)) / of_j[j];
        }
}

static void inverse_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct factor *f = ctx;
    const size_t n = f->n;
    for (size_t j; (j = team_take(f->team, 1)) < n;) {
        double *u = f->u + j * n;
        u[j] = 1 / f->h[j * n + j];
        for (size_t i = j; i-- > 0;)
            u[i] = -dot(f->h + i * n + i + 1, u + i + 1, j - i) / f->h[i * n + i];
    }
}

/* H = R R^T from the last column to the first; then U = R^-1 is the upper Cholesky factor of H^-1.
 */
static int factorise(struct factor *f, struct trit_error *err)
{
    const size_t n = f->n;
    for (size_t j = n; j-- > 0;) {
        double *row = f->h + j * n, d = row[j] - dot(row + j + 1, row + j + 1, n - j - 1);
        if (!(d > 0))
            return trit_fail(
                err, TRIT_EINVAL,
                "the inputs that the calibration text makes are degenerate: use more text");
        row[j] = sqrt(d);
        f->column = j;
        team_run(f->team, column_run, f);
    }
    team_run(f->team, inverse_run, f);
    return 0;
}

/* ------------------------------------------------------------------ a group of a row */

/* Mean and mean distance of those of x[BLOCK] that are chosen; 0 of none. */
struct group {
    double mean, size;
};

static struct group measure(const double *x, const uint8_t *chosen, uint8_t which)
{
    struct group g = {0, 0};
    unsigned n = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        if (chosen[i] == which) {
            g.mean += x[i];
            n++;
        }
    if (n == 0)
        return g;
    g.mean /= n;
    for (unsigned i = 0; i < BLOCK; i++)
        if (chosen[i] == which)
            g.size += fabs(x[i] - g.mean);
    g.size /= n;
    return g;
}

static double nearest(struct group g, double x)
{
    return x < g.mean ? g.mean - g.size : g.mean + g.size;
}

/* The squared error of x[BLOCK] where it is chosen, in one plane or two. */
static double error_of(const double *x, const uint8_t *chosen, uint8_t which, bool twice)
{
    struct group first = measure(x, chosen, which), second = {0, 0};
    double rest[BLOCK], sum = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        rest[i] = x[i] - nearest(first, x[i]);
    if (twice)
        second = measure(rest, chosen, which);
    for (unsigned i = 0; i < BLOCK; i++)
        if (chosen[i] == which) {
            double left = twice ? rest[i] - nearest(second, rest[i]) : rest[i];
            sum += left * left;
        }
    return sum;
}

/* ------------------------------------------------------------------ one block of columns */

enum { SMALL, LARGE, SALIENT }; /* what a weight may be */

struct work {
    struct team *team;
    struct matrix *w;
    const struct factor *f;
    struct quantised *q;
    size_t first;          /* column of the block */
    unsigned order[BLOCK]; /* columns by their metric, the largest first */
    bool salient[BLOCK];
    unsigned n_salient;
    double splits[SPLITS], split;
    double *errors; /* [rows][SPLITS] */
    float *sorted;  /* [rows][BLOCK], metric of what is not salient */
};

static double metric(const struct work *k, size_t row, unsigned i)
{
    size_t c = k->first + i;
    double w = (double)k->w->w[row * k->w->cols + c], d = k->f->u[c * k->f->n + c];
    return w * w / (d * d);
}

static void count_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct work *k = ctx;
    for (size_t r; (r = team_take(k->team, 1)) < k->w->rows;) {
        uint8_t chosen[BLOCK] = {0};
        double x[BLOCK];
        for (unsigned i = 0; i < BLOCK; i++)
            x[i] = metric(k, r, i);
        for (unsigned n = 1; n < SALIENT_MAX; n++) {
            chosen[k->order[n - 1]] = 1;
            k->errors[r * SPLITS + n] = error_of(x, chosen, 1, true) + error_of(x, chosen, 0, true);
        }
    }
}

static void split_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct work *k = ctx;
    for (size_t r; (r = team_take(k->team, 1)) < k->w->rows;) {
        double x[BLOCK];
        for (unsigned i = 0; i < BLOCK; i++)
            x[i] = metric(k, r, i);
        for (unsigned s = 0; s < SPLITS; s++) {
            uint8_t chosen[BLOCK];
            for (unsigned i = 0; i < BLOCK; i++)
                chosen[i] = k->salient[i] ? SALIENT : x[i] >= k->splits[s] ? LARGE : SMALL;
            k->errors[r * SPLITS + s] =
                error_of(x, chosen, SMALL, false) + error_of(x, chosen, LARGE, false);
        }
    }
}

/* The candidate in [from, to) with the least error over all rows, summed in order. */
static unsigned least(const struct work *k, unsigned from, unsigned to)
{
    unsigned best = from;
    double least = INFINITY;
    for (unsigned s = from; s < to; s++) {
        double sum = 0;
        for (size_t r = 0; r < k->w->rows; r++)
            sum += k->errors[r * SPLITS + s];
        if (sum < least) {
            least = sum;
            best = s;
        }
    }
    return best;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void choose_salient(struct work *k)
{
    double sum[BLOCK] = {0};
    for (size_t r = 0; r < k->w->rows; r++)
        for (unsigned i = 0; i < BLOCK; i++)
            sum[i] += metric(k, r, i);
    for (unsigned i = 0; i < BLOCK; i++) { /* by insertion; ties keep their order */
        unsigned at = i;
        for (; at > 0 && sum[k->order[at - 1]] < sum[i]; at--)
            k->order[at] = k->order[at - 1];
        k->order[at] = i;
    }
    team_run(k->team, count_run, k);
    k->n_salient = least(k, 1, SALIENT_MAX);
    memset(k->salient, 0, sizeof k->salient);
    for (unsigned i = 0; i < k->n_salient; i++)
        k->salient[k->order[i]] = true;
}

/* Quantiles as numpy has them: between neighbours in proportion.  Salient weights count as zeros.
 */
static void choose_split(struct work *k)
{
    size_t n = (size_t)k->w->rows * BLOCK;
    for (size_t i = 0; i < n; i++)
        k->sorted[i] = k->salient[i % BLOCK] ? 0 : (float)metric(k, i / BLOCK, i % BLOCK);
    qsort(k->sorted, n, sizeof *k->sorted, by_size);
    for (unsigned s = 0; s < SPLITS; s++) {
        double at = (0.10 + 0.01 * s) * (double)(n - 1);
        size_t low = (size_t)at, high = MIN(low + 1, n - 1);
        k->splits[s] = (double)k->sorted[low] +
                       (at - (double)low) * ((double)k->sorted[high] - (double)k->sorted[low]);
    }
    team_run(k->team, split_run, k);
    k->split = k->splits[least(k, 0, SPLITS)];
}

static double level(struct quantised *q, size_t at, double value)
{
    q->levels[at] = quant_f32_to_f16((float)value);
    return (double)quant_f16_to_f32(q->levels[at]);
}

/* Levels and signs of a row, and its error taken off the columns behind. */
static void finish_row(struct work *k, size_t row)
{
    const size_t cols = k->w->cols, n = k->f->n;
    struct quantised *q = k->q;
    float *w = k->w->w + row * cols;
    uint8_t chosen[BLOCK];
    double x[BLOCK], rest[BLOCK], err[BLOCK];
    for (unsigned i = 0; i < BLOCK; i++) {
        x[i] = (double)w[k->first + i];
        chosen[i] = k->salient[i] ? SALIENT : metric(k, row, i) >= k->split ? LARGE : SMALL;
    }
    struct group g[] = {measure(x, chosen, SMALL), measure(x, chosen, LARGE),
                        measure(x, chosen, SALIENT)};
    for (unsigned i = 0; i < BLOCK; i++)
        rest[i] = x[i] - nearest(g[SALIENT], x[i]);
    struct group again = measure(rest, chosen, SALIENT);
    size_t at = (row * (cols / BLOCK) + k->first / BLOCK) * BILLM_LEVELS;
    double m1 = level(q, at, g[SMALL].mean), a1 = level(q, at + 1, g[SMALL].size);
    double m2 = level(q, at + 2, g[LARGE].mean), a2 = level(q, at + 3, g[LARGE].size);
    double m3 = level(q, at + 4, g[SALIENT].mean + again.mean);
    double a3 = level(q, at + 5, g[SALIENT].size), b3 = level(q, at + 6, again.size);
    for (unsigned i = 0; i < BLOCK; i++) {
        size_t bit = row * cols + k->first + i, c = k->first + i;
        bool below = x[i] < g[chosen[i]].mean, rest_below = rest[i] < again.mean;
        double s = below ? -1 : 1, value;
        if (chosen[i] == SALIENT)
            value = m3 + a3 * s + (rest_below ? -b3 : b3);
        else
            value = chosen[i] == LARGE ? m2 + a2 * s : m1 + a1 * s;
        set_bit(q->signs, bit, below);
        set_bit(q->second, bit, chosen[i] == SALIENT ? rest_below : chosen[i] == SMALL);
        q->w[bit] = (float)value;
        err[i] = (x[i] - value) / k->f->u[c * n + c];
    }
    for (size_t c = k->first + BLOCK; c < cols; c++)
        w[c] -= (float)dot(err, k->f->u + c * n + k->first, BLOCK);
}

static void finish_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct work *k = ctx;
    for (size_t r; (r = team_take(k->team, 1)) < k->w->rows;)
        finish_row(k, r);
}

int billm_quantise(struct team *team, struct matrix *w, double *h, struct quantised *q,
                   struct trit_error *err)
{
    const size_t n = w->cols, rows = w->rows;
    struct factor f = {.team = team, .h = h, .n = n};
    struct work k = {.team = team, .w = w, .f = &f, .q = q};
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        if (h[i * n + i] == 0) { /* an input that is never there */
            h[i * n + i] = 1;
            for (size_t r = 0; r < rows; r++)
                w->w[r * n + i] = 0;
        }
        mean += h[i * n + i] / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        h[i * n + i] += DAMP * mean;
    f.u = mem_zalloc(n, n * sizeof *f.u);
    k.errors = mem_zalloc(rows, SPLITS * sizeof *k.errors);
    k.sorted = mem_zalloc(rows, BLOCK * sizeof *k.sorted);
    int rc = f.u && k.errors && k.sorted
                 ? factorise(&f, err)
                 : trit_fail(err, TRIT_ENOMEM, "no memory for a matrix of %zu columns", n);
    for (k.first = 0; rc == 0 && k.first < n; k.first += BLOCK) {
        choose_salient(&k);
        choose_split(&k);
        for (unsigned i = 0; i < BLOCK; i++)
            set_bit(q->salient, k.first + i, k.salient[i]);
        team_run(team, finish_run, &k);
    }
    mem_free(f.u);
    mem_free(k.errors);
    mem_free(k.sorted);
    return rc;
}
