/* SPDX-License-Identifier: MIT */
/*
 * method-onebit.c - a matrix as signs and two vectors.
 *
 * |W| has no negative entries, so its first pair of singular vectors has none either, and power
 * iteration finds it quickly: of a matrix of weights the first singular value of |W| is far above
 * the second.
 */
#include "config.h"
#include "method.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"

enum { STEPS_MAX = 64 };

struct power {
    struct team *team;
    const struct matrix *w;
    double *u, *v; /* [rows], [cols] */
    bool by_rows;  /* u = |W| v, else v = |W|^T u */
};

enum { COLS_RUN = 64 };

static void power_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct power *p = ctx;
    const size_t rows = p->w->rows, cols = p->w->cols;
    if (p->by_rows) {
        for (size_t r; (r = team_take(p->team, 1)) < rows;) {
            double sum = 0;
            for (size_t c = 0; c < cols; c++)
                sum += (double)fabsf(p->w->w[r * cols + c]) * p->v[c];
            p->u[r] = sum;
        }
        return;
    }
    for (size_t first; (first = COLS_RUN * team_take(p->team, 1)) < cols;) {
        size_t n = MIN(cols - first, (size_t)COLS_RUN);
        double sum[COLS_RUN] = {0};
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < n; c++)
                sum[c] += (double)fabsf(p->w->w[r * cols + first + c]) * p->u[r];
        memcpy(p->v + first, sum, n * sizeof *sum);
    }
}

static double normalise(double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double length = sqrt(sum);
    for (size_t i = 0; length > 0 && i < n; i++)
        x[i] /= length;
    return length;
}

int onebit_quantise(struct team *team, const struct matrix *w, struct quantised *q,
                    struct trit_error *err)
{
    const size_t rows = w->rows, cols = w->cols;
    struct power p = {.team = team, .w = w};
    p.u = mem_zalloc(rows, sizeof *p.u);
    p.v = mem_zalloc(cols, sizeof *p.v);
    int rc = p.u && p.v ? 0 : trit_fail(err, TRIT_ENOMEM, "out of memory");
    double size = 0;
    for (size_t c = 0; rc == 0 && c < cols; c++)
        p.v[c] = 1 / sqrt((double)cols);
    for (int step = 0; rc == 0 && step < STEPS_MAX; step++) {
        double before = size;
        p.by_rows = true;
        team_run(team, power_run, &p);
        normalise(p.u, rows);
        p.by_rows = false;
        team_run(team, power_run, &p);
        size = normalise(p.v, cols);
        if (fabs(size - before) <= 1e-12 * size)
            break;
    }
    for (size_t r = 0; rc == 0 && r < rows; r++)
        q->scale[r] = (float)(p.u[r] * sqrt(size));
    for (size_t c = 0; rc == 0 && c < cols; c++)
        q->factor[c] = (float)(p.v[c] * sqrt(size));
    for (size_t i = 0; rc == 0 && i < rows * cols; i++) {
        float value = q->scale[i / cols] * q->factor[i % cols];
        set_bit(q->signs, i, w->w[i] < 0);
        q->w[i] = w->w[i] < 0 ? -value : value;
    }
    mem_free(p.u);
    mem_free(p.v);
    return rc;
}
