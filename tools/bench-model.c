/* SPDX-License-Identifier: MIT */
/*
 * bench-model.c - a whole model through the daemon's engine: prefill, and decode by streams.
 *
 * Decode is read from the engine's own clock: the mean time of its decode-only steps between the
 * first token of the last stream and its last wanted one, so that all of them talk: those that
 * began before it generate on until then.
 */
#include "config.h"
#include "bench.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "kernels/kernels.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/seq.h"
#include "engine/stats.h"

enum { DECODE_PROMPT = 16 };

struct session {
    const struct bench_options *o;
    struct model *model;
    struct engine *engine;
    struct mailbox events;
    sem_t bell;
    unsigned open;
    uint64_t random;
};

static void ring(void *arg)
{
    sem_post(&((struct session *)arg)->bell);
}

static void on_event(struct seq *s, void *arg)
{
    if (s->end != SEQ_RUNNING)
        ((struct session *)arg)->open--;
}

static void wait_event(struct session *b)
{
    while (sem_wait(&b->bell) != 0 && errno == EINTR)
        ;
    engine_events(&b->events, on_event, b);
}

static void wait_all(struct session *b)
{
    while (b->open)
        wait_event(b);
}

/* Random prompt tokens; no stop tokens, so every stream runs its full length. */
static struct seq *start(struct session *b, uint32_t prompt, uint32_t max_new)
{
    struct seq_wish w = {.n_prompt = prompt, .max_new = max_new};
    struct trit_error err;
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    w.prompt = mem_zalloc(prompt, sizeof *w.prompt);
    for (uint32_t i = 0; w.prompt && i < prompt; i++) {
        b->random = b->random * 6364136223846793005u + 1442695040888963407u;
        w.prompt[i] = (int32_t)((b->random >> 33) % tok_size(b->model->tok));
    }
    struct seq *s = w.prompt ? seq_new(&w) : NULL;
    if (!s || engine_submit(b->engine, s, &err) != 0) {
        fprintf(stderr, "trit-bench: %s\n", s ? err.text : "no memory");
        seq_free(s);
        return NULL;
    }
    b->open++;
    return s;
}

static int measure_prefill(struct session *b, uint32_t prompt)
{
    struct bench_samples rate = {0};
    char what[64], note[64];
    for (unsigned i = 0; i <= b->o->repeat; i++) {
        struct seq *s = start(b, prompt, 1);
        if (!s)
            return 1;
        wait_all(b);
        if (i > 0)
            bench_sample(&rate, prompt / s->first_seconds);
        seq_free(s);
    }
    snprintf(what, sizeof what, "prefill %u tokens", prompt);
    snprintf(note, sizeof note, "%.0f ms to the first token", 1e3 * prompt / bench_median(&rate));
    bench_row(b->o, what, &rate, "tokens/s", note);
    return 0;
}

/* Sum and count of the decode-only steps so far. */
static double decode_seconds(const struct engine_stats *st, uint64_t *steps)
{
    *steps = 0;
    for (int i = 0; i < STATS_BUCKETS; i++)
        *steps += st->step_decode.bucket[i];
    return st->step_decode.sum;
}

/* The fewest tokens that one of n streams has by now. */
static uint32_t fewest(struct seq *const *s, unsigned n)
{
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < n; i++)
        least = MIN(least, atomic_load_explicit(&s[i]->published, memory_order_acquire));
    return least;
}

/* Tokens that a stream generates beyond those that are wanted, while later ones still read their
 * prompts.  How long that takes is the scheduler's affair: a few steps each, at worst. */
static uint32_t spare_tokens(unsigned streams)
{
    return 4 * streams;
}

/* Bytes of weights that a step reads: all linear layers, of a q8 head the upper half
 * (engine/head.h), and of an embedding next to nothing. */
static double step_bytes(const struct model *m)
{
    double bytes = (double)m->weight_bytes;
    if (m->head.data != m->embedding.data || m->head_tiles.codes != m->embedding_tiles.codes)
        bytes -= m->embedding.data ? (double)table_data_bytes(&m->embedding)
                                   : (double)layout_code_bytes(&m->embedding_tiles);
    bool halved = m->head.data && m->head.type == TABLE_Q8;
    return halved ? bytes - (double)table_data_bytes(&m->head) / 2 : bytes;
}

static int measure_decode(struct session *b, unsigned streams, double memory)
{
    struct bench_samples rate = {0};
    char what[64], note[64];
    struct seq *s[BENCH_MAX_STREAMS];
    for (unsigned i = 0; i <= b->o->repeat; i++) {
        for (unsigned k = 0; k < streams; k++)
            if (!(s[k] = start(b, DECODE_PROMPT, b->o->new_tokens + spare_tokens(streams))))
                return 1;
        uint64_t before, after;
        while (fewest(s, streams) == 0 && b->open == streams)
            wait_event(b);
        double sum = -decode_seconds(engine_stats(b->engine), &before);
        while (fewest(s, streams) < b->o->new_tokens && b->open == streams)
            wait_event(b);
        sum += decode_seconds(engine_stats(b->engine), &after);
        for (unsigned k = 0; k < streams; k++)
            engine_cancel(b->engine, s[k]);
        wait_all(b);
        if (i > 0 && after > before)
            bench_sample(&rate, streams * (double)(after - before) / sum);
        for (unsigned k = 0; k < streams; k++)
            seq_free(s[k]);
    }
    if (rate.n == 0) {
        fprintf(stderr, "trit-bench: %u streams never talked all at once; more --new is needed\n",
                streams);
        return 1;
    }
    const struct model *m = b->model;
    double step = streams / bench_median(&rate);
    snprintf(what, sizeof what, "decode, %u stream%s together", streams, streams == 1 ? "" : "s");
    snprintf(note, sizeof note, "%.1f ms a step, %.0f MB, %.0f %% of memory", 1e3 * step,
             step_bytes(m) / 1e6, 100 * step_bytes(m) / step / memory);
    bench_row(b->o, what, &rate, "tokens/s", note);
    return 0;
}

struct model *bench_open_model(const struct bench_options *o, const struct kernels *k)
{
    struct trit_error err;
    struct model *m;
    struct model_options mo = {.layout = k->layout, .tables = o->tables, .shared = false};
    if (model_load(o->model, &mo, &m, &err) == 0)
        return m;
    fprintf(stderr, "trit-bench: %s\n", err.text);
    return NULL;
}

static int open_session(struct session *b, const struct kernels *k, unsigned max_streams)
{
    const struct bench_options *o = b->o;
    struct trit_error err;
    b->model = bench_open_model(o, k);
    if (!b->model)
        return 1;
    uint32_t talk = DECODE_PROMPT + o->new_tokens + spare_tokens(max_streams);
    uint32_t longest = MAX(o->prompt + 1, talk);
    size_t pages = MAX(kv_pages_for(longest), max_streams * (size_t)kv_pages_for(talk));
    struct engine_options eo = {.model = b->model,
                                .kernels = k,
                                .threads = o->threads,
                                .kv_type = o->kv_type,
                                .acts = o->acts,
                                .kv_bytes = pages * kv_page_bytes(b->model, o->kv_type),
                                .n_ctx = longest,
                                .max_batch = max_streams,
                                .step_tokens = 256,
                                .queue_requests = max_streams,
                                .queue_tokens = 1 << 24,
                                .events = &b->events};
    if (engine_open(&eo, &b->engine, &err) != 0) {
        fprintf(stderr, "trit-bench: %s\n", err.text);
        return 1;
    }
    return 0;
}

/* "1,4,8" to numbers; how many, 0 when it is not such a list. */
static unsigned parse_streams(const char *list, unsigned *out, unsigned cap)
{
    unsigned n = 0;
    for (const char *s = list; n < cap;) {
        char *end;
        unsigned long value = strtoul(s, &end, 10);
        if (end == s || value < 1 || value > BENCH_MAX_STREAMS || (*end != ',' && *end != '\0'))
            return 0;
        out[n++] = (unsigned)value;
        if (*end == '\0')
            return n;
        s = end + 1;
    }
    return 0;
}

int bench_model(const struct bench_options *o)
{
    unsigned streams[16], max_streams = 1, n = parse_streams(o->streams, streams, 16);
    if (n == 0) {
        fprintf(stderr, "trit-bench: --streams: \"%s\", expected up to 16 numbers from 1 to %d\n",
                o->streams, BENCH_MAX_STREAMS);
        return 2;
    }
    if (o->context)
        return bench_context(o, streams, n);
    for (unsigned i = 0; i < n; i++)
        max_streams = MAX(max_streams, streams[i]);
    const struct kernels *k = bench_pick(o);
    if (!k)
        return 1;
    double memory = bench_memory(o->threads, o->repeat);
    struct session b = {.o = o, .random = o->seed};
    sem_init(&b.bell, 0, 0);
    mailbox_init(&b.events, ring, &b);
    int rc = open_session(&b, k, max_streams);
    if (rc == 0) {
        char title[256];
        struct bench_samples limit = {0};
        snprintf(title, sizeof title, "%s, %s, %zu MiB of weights, kernels %s", b.model->name,
                 b.model->encoding, b.model->weight_bytes >> 20, k->name);
        bench_begin(o, title);
        bench_sample(&limit, memory / 1e9);
        bench_row(o, "memory read", &limit, "GB/s", NULL);
        rc = measure_prefill(&b, o->prompt);
        for (unsigned i = 0; rc == 0 && i < n; i++)
            rc = measure_decode(&b, streams[i], memory);
        bench_end(o);
    }
    engine_close(&b.engine);
    engine_events(&b.events, on_event, &b);
    mailbox_fini(&b.events);
    sem_destroy(&b.bell);
    model_close(&b.model);
    return rc;
}
