/* SPDX-License-Identifier: MIT */
/*
 * check_embed.c - pooled hidden states are what they are said to be: the last position's gives the
 * model's own logits, and the mean is that of the last positions of all beginnings.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/table.h"
#include "engine/stats.h"
#include "unit/unit.h"
#include "unit/engine-run.h"

enum { LEN = 75, DIM_MAX = 512, N_TOP = 8 };

static struct model *model;
static const struct kernels *k;
static struct run r;

static void open_all(void)
{
    model = run_load(&k);
    ck_assert_uint_le(model->hp.dim, DIM_MAX);
    struct engine_options o = run_options(model, k);
    o.prefix_cache = true;
    run_open(&r, &o);
}

static void close_all(void)
{
    run_close(&r);
    model_close(&model);
}

static struct seq *run_seq(struct seq_wish w, uint32_t n)
{
    struct trit_error err;
    w.n_prompt = n;
    w.prompt = mem_zalloc(n, sizeof *w.prompt);
    for (uint32_t i = 0; i < n; i++)
        w.prompt[i] = (int32_t)((i * 37 + 11) % 256);
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    ck_assert_msg(engine_submit(r.engine, s, &err) == 0, "%s", err.text);
    r.open++;
    run_wait(&r);
    return s;
}

/* The embedding of the first n tokens. */
static void embed(enum seq_pool pool, uint32_t n, float *out)
{
    struct seq *s = run_seq((struct seq_wish){.pool = pool, .n_hidden = model->hp.dim}, n);
    ck_assert_int_eq(s->end, SEQ_STOP);
    ck_assert_uint_eq(s->n_generated, 0);
    /* A mean needs every position, also where the cache has them. */
    ck_assert(s->n_cached == 0 || pool == SEQ_POOL_LAST);
    memcpy(out, s->hidden, model->hp.dim * sizeof *out);
    seq_free(s);
}

START_TEST(mean_of_last)
{
    float sum[DIM_MAX], last[DIM_MAX], mean[DIM_MAX];
    uint32_t dim = model->hp.dim;
    for (uint32_t n = 1; n <= LEN; n++) {
        embed(SEQ_POOL_LAST, n, last);
        for (uint32_t i = 0; i < dim; i++)
            sum[i] = n == 1 ? last[i] : sum[i] + last[i];
        if (n != 1 && n != 33 && n != LEN)
            continue;
        embed(SEQ_POOL_MEAN, n, mean);
        for (uint32_t i = 0; i < dim; i++)
            ck_assert_msg(mean[i] == sum[i] / (float)n, "%u tokens, dimension %u", n, i);
    }
    ck_assert_uint_gt(atomic_load(&engine_stats(r.engine)->cache_hits), 0);
    ck_assert_uint_eq(atomic_load(&engine_stats(r.engine)->generated_tokens), 0);
}
END_TEST

static double logit(const float *x, int32_t token)
{
    float row[DIM_MAX];
    double sum = 0;
    table_row(&model->head, (uint32_t)token, row);
    for (uint32_t i = 0; i < model->hp.dim; i++)
        sum += (double)row[i] * (double)x[i];
    return sum;
}

/* Differences of logprobs are differences of logits, but for what the head rounds. */
START_TEST(last_gives_logits)
{
    float x[DIM_MAX];
    embed(SEQ_POOL_LAST, LEN, x);
    struct seq *s =
        run_seq((struct seq_wish){.max_new = 1, .want_logprobs = true, .n_top = N_TOP}, LEN);
    const struct seq_logprob *lp = seq_logprob_at(s, 0);
    ck_assert_uint_eq(lp->n_top, N_TOP);
    double first = logit(x, lp->top[0].id);
    for (uint32_t i = 1; i < N_TOP; i++) {
        double here = first - logit(x, lp->top[i].id);
        double there = (double)lp->top[0].logprob - (double)lp->top[i].logprob;
        ck_assert_msg(fabs(here - there) < 0.02 * (1 + fabs(there)), "%u: %g and %g", i, here,
                      there);
    }
    seq_free(s);
}
END_TEST

START_TEST(cancelled)
{
    struct trit_error err;
    struct seq_wish w = {
        .n_prompt = 400, .pool = SEQ_POOL_MEAN, .n_hidden = model->hp.dim, .sampler = {.top_p = 1}};
    w.prompt = mem_zalloc(w.n_prompt, sizeof *w.prompt);
    struct seq *s = seq_new(&w);
    ck_assert_int_eq(engine_submit(r.engine, s, &err), 0);
    r.open++;
    engine_cancel(r.engine, s);
    run_wait(&r);
    ck_assert(s->end == SEQ_CANCELLED || s->end == SEQ_STOP);
    ck_assert_uint_eq(atomic_load(&engine_stats(r.engine)->kv_used), 0);
    seq_free(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("embed");
    TCase *c = tcase_create("embed");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, open_all, close_all);
    tcase_add_test(c, mean_of_last);
    tcase_add_test(c, last_gives_logits);
    tcase_add_test(c, cancelled);
    suite_add_tcase(s, c);
    return unit_run(s);
}
