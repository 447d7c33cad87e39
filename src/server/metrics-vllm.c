/* SPDX-License-Identifier: MIT */
/*
 * metrics-vllm.c - what vLLM's dashboards, scalers and routers look for, under vLLM's names.
 *
 * Only names and labels are vLLM's.  Buckets are ours, and the colon in the names, which Prometheus
 * keeps for its own rules, cannot be helped.
 */
#include "config.h"
#include "server/metrics.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/base.h"
#include "base/buf.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/seq.h"
#include "engine/stats.h"
#include "server/metrics-text.h"

enum row { RUNNING, WAITING, KV_USE, PROMPT, QUERIES, HITS, PREEMPTED, GENERATED, N_ROWS };

static const struct {
    const char *name, *type, *help;
} rows[N_ROWS] = {
    [RUNNING] = {"vllm:num_requests_running", "gauge", "Sequences being worked on."},
    [WAITING] = {"vllm:num_requests_waiting", "gauge", "Sequences in the queue."},
    [KV_USE] = {"vllm:kv_cache_usage_perc", "gauge",
                "Share of the KV pages that running sequences hold, 0 to 1."},
    [PROMPT] = {"vllm:prompt_tokens_total", "counter", "Prompt tokens processed."},
    [QUERIES] = {"vllm:prefix_cache_queries_total", "counter",
                 "Prompt tokens that were looked for in the prefix cache."},
    [HITS] = {"vllm:prefix_cache_hits_total", "counter", "Of those, tokens that were there."},
    [PREEMPTED] = {"vllm:num_preemptions_total", "counter",
                   "Sequences that had to give their place to another for a while."},
    [GENERATED] = {"vllm:generation_tokens_total", "counter", "Tokens generated."},
};

static double value(const struct engine_stats *st, enum row r)
{
    double pages = atomic_load(&st->kv_pages), used = atomic_load(&st->kv_used);
    double cached = (double)atomic_load(&st->cached_tokens);
    double prompt = (double)atomic_load(&st->prompt_tokens);
    double v[N_ROWS] = {[RUNNING] = atomic_load(&st->running),
                        [WAITING] = atomic_load(&st->waiting),
                        [KV_USE] = pages > 0 ? used / pages : 0,
                        [PROMPT] = prompt,
                        [QUERIES] = cached + prompt,
                        [HITS] = cached,
                        [PREEMPTED] = (double)atomic_load(&st->preempted),
                        [GENERATED] = (double)atomic_load(&st->generated_tokens)};
    return v[r];
}

/* A model that is served, and the labels of its series. */
struct series {
    const struct engine_stats *st;
    struct buf labels;
};

static void put_histograms(struct buf *out, const struct series *each, size_t n)
{
#define AT(member) offsetof(struct engine_stats, member)
    static const struct {
        size_t at;
        const char *name;
    } list[] = {
        {AT(ttft), "vllm:time_to_first_token_seconds"},
        {AT(inter_token), "vllm:inter_token_latency_seconds"},
        {AT(e2e), "vllm:e2e_request_latency_seconds"},
        {AT(queue), "vllm:request_queue_time_seconds"},
        {AT(prefill), "vllm:request_prefill_time_seconds"},
        {AT(decode), "vllm:request_decode_time_seconds"},
        {AT(prompt_length), "vllm:request_prompt_tokens"},
        {AT(generated_length), "vllm:request_generation_tokens"},
        {AT(batch_tokens), "vllm:iteration_tokens_total"},
    };
#undef AT
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        text_head(out, list[i].name, "histogram", "As vLLM has it, in the buckets of tritd.");
        for (size_t k = 0; k < n; k++) {
            const char *h = (const char *)each[k].st + list[i].at;
            text_histogram(out, each[k].st, (const struct stats_histogram *)(const void *)h,
                           list[i].name, each[k].labels.data, NULL);
        }
    }
}

static void put_others(struct buf *out, const struct series *each, size_t n)
{
    static const char ended[] = "vllm:request_success_total", config[] = "vllm:cache_config_info";
    text_head(out, ended, "counter", "Sequences that ended by themselves.");
    for (size_t k = 0; k < n; k++) {
        buf_addf(out, "%s{%s,finished_reason=\"stop\"} %llu\n", ended, each[k].labels.data,
                 (unsigned long long)atomic_load(&each[k].st->ended[SEQ_STOP]));
        buf_addf(out, "%s{%s,finished_reason=\"length\"} %llu\n", ended, each[k].labels.data,
                 (unsigned long long)atomic_load(&each[k].st->ended[SEQ_LENGTH]));
    }
    text_head(out, config, "gauge", "KV pages: their size and number.");
    for (size_t k = 0; k < n; k++)
        buf_addf(out, "%s{%s,block_size=\"%d\",num_gpu_blocks=\"%u\"} 1\n", config,
                 each[k].labels.data, KV_PAGE_TOKENS, atomic_load(&each[k].st->kv_pages));
}

void metrics_write_vllm(const struct metrics_page *page, struct buf *out)
{
    struct series each[METRICS_MODELS];
    size_t n = 0;
    for (size_t i = 0; i < page->n_models; i++) {
        if (page->model[i].ending)
            continue;
        struct series *s = &each[n++];
        *s = (struct series){.st = engine_stats(page->model[i].engine)};
        text_label(&s->labels, "model_name", page->model[i].name);
        text_label(&s->labels, "engine", "0");
        out->failed = out->failed || s->labels.failed;
    }
    for (size_t r = 0; r < N_ROWS && n && !out->failed; r++) {
        text_head(out, rows[r].name, rows[r].type, rows[r].help);
        for (size_t k = 0; k < n; k++)
            buf_addf(out, "%s{%s} %.15g\n", rows[r].name, each[k].labels.data,
                     value(each[k].st, (enum row)r));
    }
    if (n && !out->failed) {
        put_others(out, each, n);
        put_histograms(out, each, n);
    }
    for (size_t k = 0; k < n; k++)
        buf_free(&each[k].labels);
}
