/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - the page that Prometheus reads.
 *
 * Base units, names tritd_..., no label whose values a client could choose.  running, waiting and
 * KV use have exactly one series each, because routers look for them by name.
 */
#include "config.h"
#include "server/metrics.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "model/model.h"
#include "model/tokenizer.h"

static const char *const routes[N_ROUTES] = {
    [ROUTE_COMPLETIONS] = "/v1/completions",
    [ROUTE_CHAT] = "/v1/chat/completions",
    [ROUTE_MODELS] = "/v1/models",
    [ROUTE_MODEL] = "/v1/models/{id}",
    [ROUTE_TOKENIZE] = "/tokenize",
    [ROUTE_DETOKENIZE] = "/detokenize",
    [ROUTE_TEMPLATE] = "/apply-template",
    [ROUTE_REQUESTS] = "/v1/tritd/requests",
    [ROUTE_REQUEST] = "/v1/tritd/requests/{id}",
    [ROUTE_HEALTHZ] = "/healthz",
    [ROUTE_READYZ] = "/readyz",
    [ROUTE_METRICS] = "/metrics",
    [ROUTE_OTHER] = "other",
};
static const char *const finishes[N_FINISHES] = {"stop",     "length", "cancelled",
                                                 "deadline", "error",  "rejected"};
static const char *const rejections[N_REJECTIONS] = {
    "queue_requests", "queue_tokens", "concurrency", "rate_requests", "rate_tokens",
    "deadline",       "loading",      "draining",    "memory"};
static const char *const cancels[N_CANCELS] = {"disconnect", "slow_reader", "deadline", "shutdown",
                                               "api"};

const char *metrics_route_name(enum metrics_route r)
{
    return routes[r];
}

const char *metrics_finish_name(enum metrics_finish f)
{
    return finishes[f];
}

/* ------------------------------------------------------------------ pieces of the format */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A value of a label: quotes, backslashes and line ends are the format's own. */
static void add_label_value(struct buf *out, const char *s)
{
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            buf_addf(out, "\\%c", *s);
        else if (*s == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, *s);
}

static void one(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    buf_addf(out, "%s %.15g\n", name, value);
}

static void labelled(struct buf *out, const char *name, const char *label, const char *value,
                     double number)
{
    buf_addf(out, "%s{%s=\"", name, label);
    add_label_value(out, value);
    buf_addf(out, "\"} %.15g\n", number);
}

/* The series of one histogram; `kind` is a second label or NULL. */
static void histogram_series(struct buf *out, const struct engine_stats *st,
                             const struct stats_histogram *h, const char *name, const char *model,
                             const char *kind)
{
    struct buf labels = {0};
    size_t n;
    const double *bound = stats_bounds(st, h, &n);
    unsigned long long count = 0;
    buf_adds(&labels, "model=\"");
    add_label_value(&labels, model);
    buf_addc(&labels, '"');
    if (kind)
        buf_addf(&labels, ",kind=\"%s\"", kind);
    const char *set = labels.data ? labels.data : "";
    for (size_t i = 0; i <= n; i++) {
        count += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        if (i < n)
            buf_addf(out, "%s_bucket{%s,le=\"%.15g\"} %llu\n", name, set, bound[i], count);
        else
            buf_addf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, set, count);
    }
    buf_addf(out, "%s_sum{%s} %.15g\n", name, set,
             atomic_load_explicit(&h->sum, memory_order_relaxed));
    buf_addf(out, "%s_count{%s} %llu\n", name, set, count);
    out->failed = out->failed || labels.failed;
    buf_free(&labels);
}

/* ------------------------------------------------------------------ what the server counts */

static void write_requests(const struct metrics_page *page, struct buf *out)
{
    static const char *const endpoints[] = {"completions", "chat"};
    const struct metrics *m = page->counted;
    head(out, "tritd_http_requests_total", "counter", "HTTP requests by route and status.");
    for (size_t r = 0; r < N_ROUTES; r++)
        for (size_t s = 0; s < METRICS_STATUSES; s++)
            if (m->http[r][s])
                buf_addf(out, "tritd_http_requests_total{route=\"%s\",status=\"%zu\"} %llu\n",
                         routes[r], s, (unsigned long long)m->http[r][s]);
    head(out, "tritd_requests_total", "counter", "Generating requests by how they ended.");
    for (size_t e = 0; e < ARRAY_LEN(endpoints); e++)
        for (size_t f = 0; f < N_FINISHES; f++)
            buf_addf(out, "tritd_requests_total{endpoint=\"%s\",finish_reason=\"%s\"} %llu\n",
                     endpoints[e], finishes[f], (unsigned long long)m->finished[e][f]);
    head(out, "tritd_requests_rejected_total", "counter",
         "Generating requests refused because of the server's state.");
    for (size_t i = 0; i < N_REJECTIONS; i++)
        labelled(out, "tritd_requests_rejected_total", "reason", rejections[i],
                 (double)m->rejected[i]);
    head(out, "tritd_cancelled_total", "counter", "Generating requests ended before their answer.");
    for (size_t i = 0; i < N_CANCELS; i++)
        labelled(out, "tritd_cancelled_total", "reason", cancels[i], (double)m->cancelled[i]);
    one(out, "tritd_unauthorized_total", "counter", "Requests without a valid API key.",
        (double)m->unauthorized);
    one(out, "tritd_http_timeouts_total", "counter",
        "Connections closed because a request did not come in time.", (double)m->timed_out);
    one(out, "tritd_http_connections", "gauge", "Open connections.", page->connections);
}

/* ------------------------------------------------------------------ what the engine counts */

static void write_histograms(const struct metrics_page *page, const struct engine_stats *st,
                             struct buf *out)
{
    const struct {
        const struct stats_histogram *h;
        const char *name, *help;
    } list[] = {
        {&st->ttft, "tritd_time_to_first_token_seconds", "From submission to the first token."},
        {&st->inter_token, "tritd_inter_token_latency_seconds",
         "Between tokens of one answer, at the engine's steps."},
        {&st->queue, "tritd_queue_seconds", "From submission to admission."},
        {&st->prefill, "tritd_prefill_seconds", "From admission to the first token."},
        {&st->decode, "tritd_decode_seconds", "From the first token to the end."},
        {&st->e2e, "tritd_e2e_request_seconds", "From submission to the end."},
        {&st->prompt_length, "tritd_request_prompt_tokens", "Prompt lengths."},
        {&st->generated_length, "tritd_request_generated_tokens", "Answer lengths."},
        {&st->batch_sequences, "tritd_batch_sequences", "Sequences in a step."},
        {&st->batch_tokens, "tritd_batch_tokens", "Tokens in a step."},
    };
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        head(out, list[i].name, "histogram", list[i].help);
        histogram_series(out, st, list[i].h, list[i].name, page->model_name, NULL);
    }
    head(out, "tritd_step_seconds", "histogram", "Duration of an engine step by what was in it.");
    histogram_series(out, st, &st->step_prefill, "tritd_step_seconds", page->model_name, "prefill");
    histogram_series(out, st, &st->step_decode, "tritd_step_seconds", page->model_name, "decode");
    histogram_series(out, st, &st->step_mixed, "tritd_step_seconds", page->model_name, "mixed");
}

static void of_model(struct buf *out, const struct metrics_page *page, const char *name,
                     const char *type, const char *help, double value)
{
    head(out, name, type, help);
    labelled(out, name, "model", page->model_name, value);
}

static void write_engine(const struct metrics_page *page, struct buf *out)
{
    const struct engine_stats *st = engine_stats(page->engine);
    const struct engine_options *o = engine_options(page->engine);
    double pages = atomic_load(&st->kv_pages), used = atomic_load(&st->kv_used);
    double step = atomic_load(&st->last_step);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    double now = (double)wall.tv_sec + (double)wall.tv_nsec * 1e-9;

    one(out, "tritd_requests_running", "gauge", "Sequences being worked on.",
        atomic_load(&st->running));
    one(out, "tritd_requests_waiting", "gauge", "Sequences in the queue.",
        atomic_load(&st->waiting));
    one(out, "tritd_kv_usage_ratio", "gauge", "Share of the KV pages that running sequences hold.",
        pages > 0 ? used / pages : 0);
    of_model(out, page, "tritd_queue_tokens", "gauge", "Prompt tokens in the queue.",
             (double)atomic_load(&st->waiting_tokens));
    of_model(out, page, "tritd_queue_limit_tokens", "gauge", "Prompt tokens the queue takes.",
             (double)o->queue_tokens);
    of_model(out, page, "tritd_kv_blocks", "gauge", "KV pages there are.", pages);
    of_model(out, page, "tritd_kv_blocks_used", "gauge", "KV pages running sequences hold.", used);
    of_model(out, page, "tritd_prompt_tokens_total", "counter", "Prompt tokens processed.",
             (double)atomic_load(&st->prompt_tokens));
    of_model(out, page, "tritd_generated_tokens_total", "counter", "Tokens generated.",
             (double)atomic_load(&st->generated_tokens));
    of_model(out, page, "tritd_steps_total", "counter", "Engine steps.",
             (double)atomic_load(&st->steps));
    one(out, "tritd_last_step_timestamp_seconds", "gauge",
        "When the last engine step ended, in seconds since 1970.", now - (trit_now() - step));
    write_histograms(page, st, out);
}

static void write_model(const struct metrics_page *page, struct buf *out)
{
    const struct model *m = page->model;
    const struct engine_stats *st = engine_stats(page->engine);
    double weights = (double)m->segment.payload_bytes;
    head(out, "tritd_model_info", "gauge", "The model being served.");
    buf_adds(out, "tritd_model_info{model=\"");
    add_label_value(out, page->model_name);
    buf_addf(out, "\",quant=\"%s\",n_ctx=\"%u\",digest=\"%s\"} 1\n", m->encoding,
             engine_options(page->engine)->n_ctx, m->fingerprint);
    head(out, "tritd_memory_bytes", "gauge", "Memory by what it is for.");
    labelled(out, "tritd_memory_bytes", "kind", "weights_shared", m->segment.shared ? weights : 0);
    labelled(out, "tritd_memory_bytes", "kind", "weights_private", m->segment.shared ? 0 : weights);
    labelled(out, "tritd_memory_bytes", "kind", "kv", (double)st->kv_pool_bytes);
    labelled(out, "tritd_memory_bytes", "kind", "scratch", (double)st->scratch_bytes);
    labelled(out, "tritd_memory_bytes", "kind", "tokenizer", (double)tok_bytes(m->tok));
    one(out, "tritd_weights_huge_bytes", "gauge", "Bytes of the weights that huge pages back.",
        (double)page->huge_bytes);
}

void metrics_write(const struct metrics_page *page, struct buf *out)
{
    head(out, "tritd_build_info", "gauge", "Version and kernels in use.");
    buf_addf(out, "tritd_build_info{version=\"%s\",kernel=\"%s\"} 1\n", PACKAGE_VERSION,
             page->kernels);
    one(out, "tritd_ready", "gauge", "1 while requests are served.", page->ready);
    one(out, "tritd_draining", "gauge", "1 while shutting down.", page->draining);
    write_requests(page, out);
    if (page->engine) {
        write_engine(page, out);
        write_model(page, out);
    }
}
