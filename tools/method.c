/* SPDX-License-Identifier: MIT */
/*
 * method.c - `trit-model quantize --type onebit` and `billm`: a Llama in floats, a layer at a time.
 *
 * For each layer: run the calibration text through it as it is, and sum up what each linear is
 * given; quantise the linears; write them; run the calibration text again with what became of them,
 * so that the next layer sees what it will see when the model is served.  The text of --perplexity
 * goes through twice side by side, once with each.
 *
 * Not here: the file that is written (method-file.c), the methods themselves (method-onebit.c,
 * method-billm.c).
 */
#include "config.h"
#include "method-parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "gguf-write.h"
#include "model/hf.h"
#include "model/quant.h"
#include "tool.h"

enum {
    CONTEXT = 512,
    SAMPLE = 128, /* rows of a matrix whose outputs are compared */
};

/* Which linear's inputs this one shares. */
static const unsigned input_of[LINEARS] = {0, 0, 0, 3, 4, 4, 6};

/* ------------------------------------------------------------------ what linears are given */

struct gram {
    struct team *team;
    double *h;
    const float *x;
    size_t n, cols;
};

enum { SIDE = 32 };

/* A square of x^T x: in floats over the rows of one sequence, then added to h. */
static void gram_square(const struct gram *s, size_t a0, size_t b0)
{
    float sum[SIDE][SIDE] = {{0}};
    size_t na = MIN(s->cols - a0, (size_t)SIDE), nb = MIN(s->cols - b0, (size_t)SIDE);
    for (size_t t = 0; t < s->n; t++) {
        const float *x = s->x + t * s->cols;
        float b[SIDE] = {0};
        memcpy(b, x + b0, nb * sizeof *b);
        for (size_t i = 0; i < na; i++)
            for (size_t k = 0; k < SIDE; k++)
                sum[i][k] += x[a0 + i] * b[k];
    }
    for (size_t i = 0; i < na; i++)
        for (size_t k = 0; k < nb; k++)
            s->h[(a0 + i) * s->cols + b0 + k] += (double)sum[i][k];
}

/* h += x^T x. */
static void gram_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct gram *s = ctx;
    for (size_t a; (a = SIDE * team_take(s->team, 1)) < s->cols;)
        for (size_t b = 0; b < s->cols; b += SIDE)
            gram_square(s, a, b);
}

static void see_input(void *ctx, unsigned linear, const float *x, size_t n)
{
    struct method_job *j = ctx;
    struct gram s = {j->f.team, j->h[linear], x, n, j->q[linear].cols};
    team_run(j->f.team, gram_run, &s);
}

/* |w - v| over |w|; with H in the norm that it makes, which is that of what comes out of the
 * linear, of a sample of the rows. */
static double relative(const double *h, const float *w, const float *v, size_t rows, size_t cols)
{
    double lost = 0, all = 0;
    const size_t step = h ? rows / SAMPLE + 1 : 1;
    for (size_t r = 0; r < rows; r += step)
        for (size_t a = 0; a < cols; a++) {
            double wa = (double)w[r * cols + a], da = wa - (double)v[r * cols + a];
            if (!h) {
                lost += da * da;
                all += wa * wa;
                continue;
            }
            double dh = 0, wh = 0;
            for (size_t b = 0; b < cols; b++) {
                double wb = (double)w[r * cols + b];
                dh += h[a * cols + b] * (wb - (double)v[r * cols + b]);
                wh += h[a * cols + b] * wb;
            }
            lost += da * dh;
            all += wa * wh;
        }
    return all > 0 ? sqrt(fmax(lost / all, 0)) : 0;
}

/* ------------------------------------------------------------------ a layer */

static void clear(const struct method_job *j, struct quantised *q)
{
    size_t bits = (size_t)q->rows * q->cols / 8;
    memset(q->signs, 0, bits);
    if (j->wish->method == METHOD_BILLM) {
        memset(q->second, 0, bits);
        memset(q->salient, 0, q->cols / 8);
    }
}

static int quantise_linear(struct method_job *j, unsigned k)
{
    struct quantised *q = &j->q[k];
    const struct matrix *w = &j->f.layer.linear[k];
    size_t n = (size_t)q->rows * q->cols;
    bool billm = j->wish->method == METHOD_BILLM;
    clear(j, q);
    log_progress("quantising layer %u of %u, %s", j->layer + 1, j->f.m.hp.n_layers, linear_name(k));
    if (!billm) {
        int rc = onebit_quantise(j->f.team, w, q, j->err);
        log_progress(NULL);
        if (rc == 0)
            printf("blk.%u.%-11s weights off by %.4f\n", j->layer, linear_name(k),
                   relative(NULL, w->w, q->w, q->rows, q->cols));
        return rc;
    }
    /* Both are used up, and H is shared. */
    size_t square = (size_t)q->cols * q->cols;
    const double *h = j->h[input_of[k]];
    double *own = mem_zalloc(square, sizeof *own);
    struct matrix copy = {.rows = q->rows, .cols = q->cols};
    copy.w = mem_zalloc(n, sizeof *copy.w);
    int rc = own && copy.w ? 0 : trit_fail(j->err, TRIT_ENOMEM, "no memory for %s", linear_name(k));
    if (rc == 0) {
        memcpy(own, h, square * sizeof *own);
        memcpy(copy.w, w->w, n * sizeof *copy.w);
        rc = billm_quantise(j->f.team, &copy, own, q, j->err);
    }
    log_progress(NULL);
    if (rc == 0) {
        unsigned salient = 0;
        for (size_t i = 0; i < q->cols; i++)
            salient += q->salient[i / 8] >> i % 8 & 1;
        printf(
            "blk.%u.%-11s weights off by %.4f, outputs by %.4f, %.1f %% of the columns salient\n",
            j->layer, linear_name(k), relative(NULL, w->w, q->w, q->rows, q->cols),
            relative(h, w->w, q->w, q->rows, q->cols), 100.0 * salient / q->cols);
    }
    mem_free(own);
    mem_free(copy.w);
    return rc;
}

/* A text through the layer, where there is one. */
static int advance(struct method_job *j, struct text *t, const struct matrix *linear, bool look)
{
    if (!t->ids)
        return 0;
    return text_layer(t, &j->f, linear, look ? see_input : NULL, j, look, j->err);
}

static int run_layer(struct method_job *j)
{
    struct matrix made[LINEARS];
    log_progress("reading layer %u of %u", j->layer + 1, j->f.m.hp.n_layers);
    int rc = float_model_layer(&j->f, j->layer, j->err);
    for (unsigned k = 0; k < LINEARS; k++) {
        size_t square = (size_t)j->q[k].cols * j->q[k].cols;
        if (j->h[k])
            memset(j->h[k], 0, square * sizeof *j->h[k]);
        made[k] = (struct matrix){j->q[k].rows, j->q[k].cols, j->q[k].w,
                                  j->wish->method == METHOD_ONEBIT && j->wish->output_norm};
    }
    if (rc == 0)
        rc = advance(j, &j->calibration, j->f.layer.linear, true);
    for (unsigned k = 0; rc == 0 && k < LINEARS; k++)
        rc = quantise_linear(j, k);
    if (rc == 0)
        rc = method_write_copies(j, &j->layer);
    for (unsigned k = 0; rc == 0 && k < LINEARS; k++)
        rc = method_write_linear(j, &j->q[k]);
    log_progress("running layer %u of %u", j->layer + 1, j->f.m.hp.n_layers);
    if (rc == 0 && (rc = advance(j, &j->calibration, made, false)) == 0 &&
        (rc = advance(j, &j->before, j->f.layer.linear, false)) == 0)
        rc = advance(j, &j->after, made, false);
    log_progress(NULL);
    fflush(stdout);
    return rc;
}

/* ------------------------------------------------------------------ all of it */

static int open_linears(struct method_job *j)
{
    bool billm = j->wish->method == METHOD_BILLM;
    for (unsigned k = 0; k < LINEARS; k++) {
        const struct matrix *w = &j->f.layer.linear[k];
        struct quantised *q = &j->q[k];
        size_t n = (size_t)w->rows * w->cols, block = billm ? BILLM_BLOCK : 8;
        *q = (struct quantised){.rows = w->rows, .cols = w->cols};
        if (w->cols % block)
            return trit_fail(j->err, TRIT_EUNSUPP,
                             "%s: %s has %u inputs, expected a multiple of %zu", gguf_path(j->g),
                             linear_name(k), w->cols, block);
        q->signs = mem_zalloc(n / 8, 1);
        q->w = mem_zalloc(n, sizeof *q->w);
        bool there = q->signs && q->w;
        if (billm) {
            q->second = mem_zalloc(n / 8, 1);
            q->salient = mem_zalloc(w->cols / 8, 1);
            q->levels = mem_zalloc(n / BILLM_BLOCK, BILLM_LEVELS * sizeof *q->levels);
            there = there && q->second && q->salient && q->levels;
            if (input_of[k] == k)
                there = there && (j->h[k] = mem_zalloc(w->cols, w->cols * sizeof *j->h[k]));
        } else {
            q->scale = mem_zalloc(w->rows, sizeof *q->scale);
            q->factor = mem_zalloc(w->cols, sizeof *q->factor);
            there = there && q->scale && q->factor;
        }
        if (!there)
            return trit_fail(j->err, TRIT_ENOMEM, "%s: no memory for a layer", gguf_path(j->g));
    }
    return 0;
}

static void close_linears(struct method_job *j)
{
    for (unsigned k = 0; k < LINEARS; k++) {
        mem_free(j->q[k].signs);
        mem_free(j->q[k].second);
        mem_free(j->q[k].salient);
        mem_free(j->q[k].levels);
        mem_free(j->q[k].scale);
        mem_free(j->q[k].factor);
        mem_free(j->q[k].w);
        mem_free(j->h[k]);
    }
}

static int open_texts(struct method_job *j)
{
    const struct method_wish *wish = j->wish;
    size_t n_ctx = j->f.m.hp.n_ctx,
           len = wish->context ? wish->context : MIN(n_ctx, (size_t)CONTEXT);
    int rc = 0;
    if (len < 2 || len > n_ctx)
        return trit_fail(j->err, TRIT_EINVAL,
                         "--context %zu: expected 2 to %zu, what the model has", len, n_ctx);
    if (wish->method == METHOD_BILLM)
        rc = text_open(&j->calibration, &j->f, wish->calibration, len, wish->sequences, j->err);
    if (rc == 0 && wish->perplexity) {
        rc = text_open(&j->before, &j->f, wish->perplexity, len, SIZE_MAX, j->err);
        if (rc == 0)
            rc = text_copy(&j->after, &j->before, &j->f, j->err);
    }
    return rc;
}

static int report(struct method_job *j)
{
    double before = 0, after = 0;
    printf("%s: %s, %.3f bits a weight in the layers\n", j->wish->out, method_name(j->wish->method),
           (double)j->bits / (double)j->weights);
    if (!j->before.ids)
        return 0;
    log_progress("measuring perplexity");
    int rc = text_perplexity(&j->before, &j->f, &before, j->err);
    if (rc == 0)
        rc = text_perplexity(&j->after, &j->f, &after, j->err);
    log_progress(NULL);
    if (rc == 0)
        printf("%s: perplexity %.4f before, %.4f after, over %zu sequences of %zu tokens\n",
               j->wish->perplexity, before, after, j->before.n_seqs, j->before.len);
    return rc;
}

int method_run(const struct method_wish *wish, struct trit_error *err)
{
    struct method_job j = {.wish = wish, .err = err};
    struct gguf *g = NULL;
    int rc = hf_open_any(wish->in, &g, err);
    j.g = g;
    if (rc == 0 && (rc = float_model_open(&j.f, g, err)) == 0 && (rc = open_linears(&j)) == 0 &&
        (rc = open_texts(&j)) == 0 && (rc = gguf_write_open(wish->out, &j.w, err)) == 0 &&
        (rc = method_write_head(&j)) == 0 && (rc = method_declare(&j)) == 0)
        rc = method_write_copies(&j, NULL);
    for (; rc == 0 && j.layer < j.f.m.hp.n_layers; j.layer++)
        rc = run_layer(&j);
    if (rc == 0)
        rc = gguf_write_finish(j.w, err);
    if (rc == 0)
        rc = report(&j);
    gguf_write_close(&j.w);
    close_linears(&j);
    text_close(&j.calibration);
    text_close(&j.before);
    text_close(&j.after);
    float_model_close(&j.f);
    gguf_close(&g);
    return rc;
}
