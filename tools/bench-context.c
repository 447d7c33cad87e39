/* SPDX-License-Identifier: MIT */
/*
 * bench-context.c - a whole model with a long context: what attention adds to a step.
 *
 * Steps of the forward pass run directly, without the engine: the pages of the context are filled
 * with random keys and values, as what they hold does not matter to the time.  The same steps
 * without context are measured beside them, so the difference is what the context costs.
 */
#include "config.h"
#include "bench.h"

#include <stdio.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/forward.h"
#include "engine/kv.h"

enum {
    CHUNK = 256,     /* rows of a prefill step, as the daemon's default */
    DECODE_STEPS = 4 /* behind each sample */
};

_Static_assert((int)CHUNK >= (int)BENCH_MAX_STREAMS, "a row for each stream");

struct stage {
    const struct bench_options *o;
    const struct model *model;
    struct team *team;
    struct kv kv;
    struct forward *forward;
    struct kv_lease leases[BENCH_MAX_STREAMS];
    struct forward_row rows[CHUNK];
    uint64_t random;
};

static uint32_t random_word(struct stage *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s->random >> 33);
}

/* Nothing is done with logits. */
static void ignore(void *ctx, uint32_t slot, enum head_use use, const float *logits,
                   unsigned worker)
{
    (void)ctx, (void)slot, (void)use, (void)logits, (void)worker;
}

/* Random keys and values for the context of one stream, from a few rows in turn. */
static void fill(struct stage *s, const struct kernels *k, const struct kv_lease *lease)
{
    enum { ROWS = 61 };
    const struct hparams *hp = &s->model->hp;
    float *x = mem_zalloc(ROWS, hp->head_dim * sizeof *x);
    for (size_t i = 0; x && i < (size_t)ROWS * hp->head_dim; i++)
        x[i] = (float)random_word(s) * 0x1p-30f - 1;
    size_t at = 0;
    for (uint32_t pos = 0; x && pos < s->o->context; pos++)
        for (uint32_t layer = 0; layer < hparams_kv_layers(hp); layer++)
            for (uint32_t h = 0; h < hp->n_kv_heads; h++, at++)
                kv_store(&s->kv, k, lease, layer, h, pos, x + at % ROWS * hp->head_dim,
                         x + (at + 1) % ROWS * hp->head_dim);
    mem_free(x);
}

static int open_stage(struct stage *s, const struct kernels *k, unsigned streams)
{
    struct trit_error err;
    uint32_t chunk = MIN(s->o->prompt, (uint32_t)CHUNK);
    uint32_t n_ctx = s->o->context + MAX(chunk, DECODE_STEPS * (s->o->repeat + 1));
    uint32_t pages = kv_pages_for(n_ctx);
    size_t bytes = (size_t)streams * pages * kv_page_bytes(s->model, s->o->kv_type);
    int rc = team_open(&s->team, s->o->threads, false, &err);
    if (rc == 0)
        rc = kv_open(s->model, s->o->kv_type, bytes, false, &s->kv, &err);
    if (rc == 0 && s->model->hp.delta.n_layers)
        rc = kv_open_states(&s->kv, s->model, streams, &err);
    if (rc == 0)
        rc = forward_open(s->model, k, s->team, &s->kv, s->o->acts, MAX(chunk, streams), streams,
                          n_ctx, &s->forward, &err);
    for (unsigned i = 0; rc == 0 && i < streams; i++) {
        struct kv_lease *lease = &s->leases[i];
        lease->cap = pages;
        lease->page = mem_zalloc(pages, sizeof *lease->page);
        if (!lease->page) {
            rc = trit_fail(&err, TRIT_ENOMEM, "no memory for a list of %u pages", pages);
            break;
        }
        uint32_t done;
        trit_assert(kv_begin(&s->kv, lease, 0, NULL, 0, NULL, &done));
        kv_grow(&s->kv, lease, n_ctx);
        fill(s, k, lease);
    }
    if (rc)
        fprintf(stderr, "trit-bench: %s\n", err.text);
    return rc ? 1 : 0;
}

static void close_stage(struct stage *s)
{
    for (unsigned i = 0; i < BENCH_MAX_STREAMS; i++)
        mem_free(s->leases[i].page);
    forward_close(&s->forward);
    kv_close(&s->kv);
    team_close(&s->team);
}

/* Seconds of a step of n rows: of one stream one after another, or of as many streams as rows. */
static double step(struct stage *s, uint32_t n, uint32_t pos, bool prefill)
{
    for (uint32_t i = 0; i < n; i++)
        s->rows[i] = (struct forward_row){.token = (int32_t)(random_word(s) % s->model->hp.vocab),
                                          .pos = prefill ? pos + i : pos,
                                          .lease = &s->leases[prefill ? 0 : i],
                                          .logits = prefill ? -1 : (int32_t)i,
                                          .use = HEAD_CHOOSE};
    double start = trit_now();
    forward_step(s->forward, s->rows, n, ignore, s);
    return trit_now() - start;
}

/* Rows n, with the context and without it in turn. */
static void measure(struct stage *s, uint32_t n, bool prefill)
{
    struct bench_samples with = {0}, without = {0};
    unsigned steps = prefill ? 1 : DECODE_STEPS;
    char what[64], note[96];
    for (unsigned i = 0; i <= s->o->repeat; i++) {
        double seconds = 0, bare = 0;
        for (unsigned j = 0; j < steps; j++) {
            seconds += step(s, n, s->o->context + (prefill ? 0 : i * steps + j), prefill);
            bare += step(s, n, 0, prefill);
        }
        if (i == 0) /* The first round warms up. */
            continue;
        bench_sample(&with, n * steps / seconds);
        bench_sample(&without, n * steps / bare);
    }
    double ms = 1e3 * n / bench_median(&with), bare_ms = 1e3 * n / bench_median(&without);
    if (prefill)
        snprintf(what, sizeof what, "prefill %u tokens behind %u", n, s->o->context);
    else
        snprintf(what, sizeof what, "decode, %u stream%s at %u", n, n == 1 ? "" : "s",
                 s->o->context);
    snprintf(note, sizeof note, "%.1f ms a step, %.1f without context: %.0f %%", ms, bare_ms,
             100 * (ms - bare_ms) / ms);
    bench_row(s->o, what, &with, "tokens/s", note);
}

int bench_context(const struct bench_options *o, const unsigned *streams, unsigned n)
{
    static struct stage s;
    unsigned most = 1;
    const struct kernels *k = bench_pick(o);
    struct model *m = k ? bench_open_model(o, k) : NULL;
    if (!m)
        return 1;
    for (unsigned i = 0; i < n; i++)
        most = MAX(most, streams[i]);
    s = (struct stage){.o = o, .model = m, .random = o->seed};
    int rc = open_stage(&s, k, most);
    if (rc == 0) {
        char title[256];
        snprintf(title, sizeof title, "%s, %s, keys and values %s, kernels %s", m->name,
                 m->encoding, o->kv_word, k->name);
        bench_begin(o, title);
        measure(&s, MIN(o->prompt, (uint32_t)CHUNK), true);
        for (unsigned i = 0; i < n; i++)
            measure(&s, streams[i], false);
        bench_end(o);
    }
    close_stage(&s);
    model_close(&m);
    return rc;
}
