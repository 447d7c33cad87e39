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

#include "base/base.h"
#include "base/buf.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/seq.h"
#include "engine/stats.h"
#include "server/metrics-text.h"

static void put(struct buf *out, const char *labels, const char *name, const char *type,
                const char *help, double value)
{
    text_head(out, name, type, help);
    buf_addf(out, "%s{%s} %.15g\n", name, labels, value);
}

static void put_histograms(struct buf *out, const char *labels, const struct engine_stats *st)
{
    const struct {
        const struct stats_histogram *h;
        const char *name;
    } list[] = {
        {&st->ttft, "vllm:time_to_first_token_seconds"},
        {&st->inter_token, "vllm:inter_token_latency_seconds"},
        {&st->e2e, "vllm:e2e_request_latency_seconds"},
        {&st->queue, "vllm:request_queue_time_seconds"},
        {&st->prefill, "vllm:request_prefill_time_seconds"},
        {&st->decode, "vllm:request_decode_time_seconds"},
        {&st->prompt_length, "vllm:request_prompt_tokens"},
        {&st->generated_length, "vllm:request_generation_tokens"},
        {&st->batch_tokens, "vllm:iteration_tokens_total"},
    };
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        text_head(out, list[i].name, "histogram", "As vLLM has it, in the buckets of tritd.");
        text_histogram(out, st, list[i].h, list[i].name, labels, NULL);
    }
}

void metrics_write_vllm(const struct metrics_page *page, struct buf *out)
{
    if (!page->engine)
        return;
    const struct engine_stats *st = engine_stats(page->engine);
    double pages = atomic_load(&st->kv_pages), used = atomic_load(&st->kv_used);
    struct buf own = {0};
    text_label(&own, "model_name", page->model_name);
    text_label(&own, "engine", "0");
    const char *labels = own.data ? own.data : "";
    put(out, labels, "vllm:num_requests_running", "gauge", "Sequences being worked on.",
        atomic_load(&st->running));
    put(out, labels, "vllm:num_requests_waiting", "gauge", "Sequences in the queue.",
        atomic_load(&st->waiting));
    put(out, labels, "vllm:kv_cache_usage_perc", "gauge",
        "Share of the KV pages that running sequences hold, 0 to 1.", pages > 0 ? used / pages : 0);
    put(out, labels, "vllm:prompt_tokens_total", "counter", "Prompt tokens processed.",
        (double)atomic_load(&st->prompt_tokens));
    double cached = (double)atomic_load(&st->cached_tokens);
    put(out, labels, "vllm:prefix_cache_queries_total", "counter",
        "Prompt tokens that were looked for in the prefix cache.",
        cached + (double)atomic_load(&st->prompt_tokens));
    put(out, labels, "vllm:prefix_cache_hits_total", "counter", "Of those, tokens that were there.",
        cached);
    put(out, labels, "vllm:num_preemptions_total", "counter",
        "Sequences that had to give their place to another for a while.",
        (double)atomic_load(&st->preempted));
    put(out, labels, "vllm:generation_tokens_total", "counter", "Tokens generated.",
        (double)atomic_load(&st->generated_tokens));
    text_head(out, "vllm:request_success_total", "counter", "Sequences that ended by themselves.");
    buf_addf(out, "vllm:request_success_total{%s,finished_reason=\"stop\"} %llu\n", labels,
             (unsigned long long)atomic_load(&st->ended[SEQ_STOP]));
    buf_addf(out, "vllm:request_success_total{%s,finished_reason=\"length\"} %llu\n", labels,
             (unsigned long long)atomic_load(&st->ended[SEQ_LENGTH]));
    text_head(out, "vllm:cache_config_info", "gauge", "KV pages: their size and number.");
    buf_addf(out, "vllm:cache_config_info{%s,block_size=\"%d\",num_gpu_blocks=\"%.0f\"} 1\n",
             labels, KV_PAGE_TOKENS, pages);
    put_histograms(out, labels, st);
    out->failed = out->failed || own.failed;
    buf_free(&own);
}
