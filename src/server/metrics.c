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
#include "base/log.h"
#include "base/rapl.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "server/admit.h"
#include "server/metrics-text.h"

static const char *const routes[N_ROUTES] = {
    [ROUTE_COMPLETIONS] = "/v1/completions",
    [ROUTE_CHAT] = "/v1/chat/completions",
    [ROUTE_RESPONSES] = "/v1/responses",
    [ROUTE_COUNT_CHAT] = "/v1/chat/completions/input_tokens",
    [ROUTE_COUNT_RESPONSES] = "/v1/responses/input_tokens",
    [ROUTE_EMBEDDINGS] = "/v1/embeddings",
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
    [ROUTE_PAGE] = "/",
    [ROUTE_PAGE_FILE] = "/page/{file}",
    [ROUTE_OTHER] = "other",
};
static const char *const finishes[N_FINISHES] = {"stop",     "length", "cancelled",
                                                 "deadline", "error",  "rejected"};
static const char *const rejections[N_REJECTIONS] = {
    "queue_requests", "queue_tokens", "concurrency", "rate_requests", "rate_tokens",
    "deadline",       "ttft_target",  "loading",     "draining",      "memory"};
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

/* ------------------------------------------------------------------ what the server counts */

static void write_requests(const struct metrics_page *page, struct buf *out)
{
    static const char *const endpoints[N_GENERATING] = {[ROUTE_COMPLETIONS] = "completions",
                                                        [ROUTE_CHAT] = "chat",
                                                        [ROUTE_RESPONSES] = "responses",
                                                        [ROUTE_EMBEDDINGS] = "embeddings"};
    const struct metrics *m = page->counted;
    text_head(out, "tritd_http_requests_total", "counter", "HTTP requests by route and status.");
    for (size_t r = 0; r < N_ROUTES; r++)
        for (size_t s = 0; s < METRICS_STATUSES; s++)
            if (m->http[r][s])
                buf_addf(out, "tritd_http_requests_total{route=\"%s\",status=\"%zu\"} %llu\n",
                         routes[r], s, (unsigned long long)m->http[r][s]);
    text_head(out, "tritd_requests_total", "counter", "Generating requests by how they ended.");
    for (size_t e = 0; e < ARRAY_LEN(endpoints); e++)
        for (size_t f = 0; f < N_FINISHES; f++)
            buf_addf(out, "tritd_requests_total{endpoint=\"%s\",finish_reason=\"%s\"} %llu\n",
                     endpoints[e], finishes[f], (unsigned long long)m->finished[e][f]);
    text_head(out, "tritd_requests_rejected_total", "counter",
              "Generating requests refused because of the server's state.");
    for (size_t i = 0; i < N_REJECTIONS; i++)
        text_labelled(out, "tritd_requests_rejected_total", "reason", rejections[i],
                      (double)m->rejected[i]);
    text_head(out, "tritd_cancelled_total", "counter",
              "Generating requests ended before their answer.");
    for (size_t i = 0; i < N_CANCELS; i++)
        text_labelled(out, "tritd_cancelled_total", "reason", cancels[i], (double)m->cancelled[i]);
    text_one(out, "tritd_unauthorized_total", "counter", "Requests without a valid API key.",
             (double)m->unauthorized);
    text_one(out, "tritd_http_timeouts_total", "counter",
             "Connections closed because a request did not come in time.", (double)m->timed_out);
    struct log_losses lost;
    log_get_losses(&lost);
    text_head(out, "tritd_log_dropped_total", "counter", "Lines that the log does not have.");
    text_labelled(out, "tritd_log_dropped_total", "reason", "blocked", (double)lost.blocked);
    text_labelled(out, "tritd_log_dropped_total", "reason", "failed", (double)lost.failed);
    text_labelled(out, "tritd_log_dropped_total", "reason", "limited", (double)lost.limited);
    text_one(out, "tritd_http_connections", "gauge", "Open connections.", page->connections);
}

/* ------------------------------------------------------------------ whom it serves */

/* One series for each name of the keys file; there may be a thousand, so the rest is one. */
enum { KEY_SERIES = 64 };

static void write_per_key(const struct metrics_page *page, struct buf *out, const char *name,
                          const char *type, const char *help,
                          double (*value)(const struct tenant *t))
{
    double rest = 0;
    unsigned n = 0;
    text_head(out, name, type, help);
    for (const struct tenant *t = page->admit->tenants; t; t = t->next)
        if (n++ < KEY_SERIES)
            text_labelled(out, name, "key", t->grant.name, value(t));
        else
            rest += value(t);
    if (n > KEY_SERIES)
        text_labelled(out, name, "key", "_other", rest); /* no name begins so */
}

static double key_requests(const struct tenant *t)
{
    return (double)t->n_requests;
}

static double key_refused(const struct tenant *t)
{
    return (double)t->n_refused;
}

static double key_in_flight(const struct tenant *t)
{
    return t->in_flight;
}

static double key_prompt(const struct tenant *t)
{
    return (double)t->prompt_tokens;
}

static double key_cached(const struct tenant *t)
{
    return (double)t->cached_tokens;
}

static double key_generated(const struct tenant *t)
{
    return (double)t->generated_tokens;
}

static double key_joules(const struct tenant *t)
{
    return t->joules;
}

static bool has_energy(const struct metrics_page *page)
{
    for (size_t i = 0; page->rapl && i < page->rapl->n; i++)
        if (page->rapl->zone[i].readable)
            return true;
    return false;
}

static const double joule_bounds[] = {0.01, 0.1, 0.5, 1,   2,   5,    10,   20,
                                      50,   100, 200, 500, 1e3, 2000, 5000, 1e4};

void metrics_joules(struct metrics *m, double joules)
{
    stats_add(&m->joules, joule_bounds, ARRAY_LEN(joule_bounds), joules);
}

static void write_energy(const struct metrics_page *page, struct buf *out)
{
    if (!has_energy(page))
        return;
    text_head(out, "tritd_energy_joules_total", "counter",
              "Energy that the processor packages have used since the start, by all programs.");
    for (size_t i = 0; i < page->rapl->n; i++) {
        const struct rapl_zone *z = &page->rapl->zone[i];
        if (z->readable)
            buf_addf(out, "tritd_energy_joules_total{domain=\"package\",socket=\"%u\"} %.15g\n",
                     z->package, z->joules);
    }
    static const char each[] = "tritd_request_energy_joules";
    text_head(out, each, "histogram", "Share of a request that is over in the packages' energy.");
    text_buckets(out, joule_bounds, ARRAY_LEN(joule_bounds), &page->counted->joules, each, NULL,
                 NULL);
}

static void write_keys(const struct metrics_page *page, struct buf *out)
{
    if (!page->admit || !page->admit->tenants)
        return;
    write_per_key(page, out, "tritd_key_requests_total", "counter",
                  "Generating requests that are over, by API key.", key_requests);
    write_per_key(page, out, "tritd_key_rejected_total", "counter",
                  "Generating requests refused, by API key.", key_refused);
    write_per_key(page, out, "tritd_key_requests_in_progress", "gauge",
                  "Generating requests let in and not over, by API key.", key_in_flight);
    write_per_key(page, out, "tritd_key_prompt_tokens_total", "counter",
                  "Prompt tokens of requests that are over, by API key.", key_prompt);
    write_per_key(page, out, "tritd_key_cached_tokens_total", "counter",
                  "Those of them that had been computed before.", key_cached);
    write_per_key(page, out, "tritd_key_generated_tokens_total", "counter",
                  "Tokens generated for requests that are over, by API key.", key_generated);
    if (has_energy(page))
        write_per_key(page, out, "tritd_key_energy_joules_total", "counter",
                      "Share of requests that are over in the packages' energy, by API key.",
                      key_joules);
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
    struct buf labels = {0};
    text_label(&labels, "model", page->model_name);
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        text_head(out, list[i].name, "histogram", list[i].help);
        text_histogram(out, st, list[i].h, list[i].name, labels.data, NULL);
    }
    text_head(out, "tritd_step_seconds", "histogram",
              "Duration of an engine step by what was in it.");
    text_histogram(out, st, &st->step_prefill, "tritd_step_seconds", labels.data,
                   "kind=\"prefill\"");
    text_histogram(out, st, &st->step_decode, "tritd_step_seconds", labels.data, "kind=\"decode\"");
    text_histogram(out, st, &st->step_mixed, "tritd_step_seconds", labels.data, "kind=\"mixed\"");
    out->failed = out->failed || labels.failed;
    buf_free(&labels);
}

static void of_model(struct buf *out, const struct metrics_page *page, const char *name,
                     const char *type, const char *help, double value)
{
    text_head(out, name, type, help);
    text_labelled(out, name, "model", page->model_name, value);
}

/* Workers that have never run, which a larger quota would wake, have no series. */
static void write_workers(const struct metrics_page *page, struct buf *out)
{
    static const char name[] = "tritd_worker_seconds_total";
    double busy, wait;
    text_head(out, name, "counter",
              "Time of a worker within steps: computing, and waiting for the other workers.");
    for (unsigned i = 0; engine_worker(page->engine, i, &busy, &wait); i++)
        if (busy > 0) {
            buf_addf(out, "%s{worker=\"%u\",state=\"busy\"} %.15g\n", name, i, busy);
            buf_addf(out, "%s{worker=\"%u\",state=\"wait\"} %.15g\n", name, i, wait);
        }
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

    text_one(out, "tritd_requests_running", "gauge", "Sequences being worked on.",
             atomic_load(&st->running));
    text_one(out, "tritd_requests_waiting", "gauge", "Sequences in the queue.",
             atomic_load(&st->waiting));
    text_one(out, "tritd_kv_usage_ratio", "gauge",
             "Share of the KV pages that running sequences hold.", pages > 0 ? used / pages : 0);
    of_model(out, page, "tritd_queue_tokens", "gauge", "Prompt tokens in the queue.",
             (double)atomic_load(&st->waiting_tokens));
    of_model(out, page, "tritd_queue_oldest_seconds", "gauge",
             "The longest that a request waits for its first token.", page->oldest_seconds);
    of_model(out, page, "tritd_queue_limit_tokens", "gauge", "Prompt tokens the queue takes.",
             (double)o->queue_tokens);
    of_model(out, page, "tritd_kv_blocks", "gauge", "KV pages there are.", pages);
    of_model(out, page, "tritd_kv_blocks_used", "gauge", "KV pages running sequences hold.", used);
    of_model(out, page, "tritd_kv_blocks_cached", "gauge",
             "KV pages kept for texts that begin alike; given up when needed.",
             atomic_load(&st->kv_kept));
    of_model(out, page, "tritd_prefix_cache_hits_total", "counter",
             "KV pages found in the prefix cache.", (double)atomic_load(&st->cache_hits));
    of_model(out, page, "tritd_prefix_cache_evictions_total", "counter",
             "Kept KV pages given up for others.", (double)atomic_load(&st->cache_evicted));
    of_model(out, page, "tritd_prefix_cache_damaged_total", "counter",
             "KV pages of the process before that were not what it had computed, and not used.",
             (double)atomic_load(&st->cache_damaged));
    of_model(out, page, "tritd_cached_prompt_tokens_total", "counter",
             "Prompt tokens that did not have to be computed.",
             (double)atomic_load(&st->cached_tokens));
    of_model(out, page, "tritd_preemptions_total", "counter",
             "Sequences that had to give their place to another for a while.",
             (double)atomic_load(&st->preempted));
    of_model(out, page, "tritd_draft_tokens_total", "counter", "Tokens guessed ahead.",
             (double)atomic_load(&st->guessed));
    of_model(out, page, "tritd_draft_accepted_tokens_total", "counter",
             "Guessed tokens that were right.", (double)atomic_load(&st->guessed_right));
    of_model(out, page, "tritd_grammar_compiled_total", "counter", "Grammars compiled.",
             (double)page->grammars_compiled);
    of_model(out, page, "tritd_grammar_compile_hits_total", "counter",
             "Requests whose grammar was compiled already.", (double)page->grammars_known);
    of_model(out, page, "tritd_grammar_mask_hits_total", "counter",
             "Parts of token masks that were known.", (double)atomic_load(&st->grammar_hits));
    of_model(out, page, "tritd_grammar_mask_misses_total", "counter",
             "Parts of token masks that had to be found out.",
             (double)atomic_load(&st->grammar_misses));
    of_model(out, page, "tritd_grammar_mask_evictions_total", "counter",
             "Parts of token masks given up for others.",
             (double)atomic_load(&st->grammar_evicted));
    of_model(out, page, "tritd_grammar_mask_bytes", "gauge", "Memory of known parts of masks.",
             (double)atomic_load(&st->grammar_bytes));
    of_model(out, page, "tritd_grammar_mask_seconds_total", "counter",
             "Time the engine has spent on token masks.", atomic_load(&st->grammar_seconds));
    of_model(out, page, "tritd_prompt_tokens_total", "counter", "Prompt tokens processed.",
             (double)atomic_load(&st->prompt_tokens));
    of_model(out, page, "tritd_generated_tokens_total", "counter", "Tokens generated.",
             (double)atomic_load(&st->generated_tokens));
    of_model(out, page, "tritd_threads", "gauge", "Threads that compute.",
             atomic_load(&st->threads));
    of_model(out, page, "tritd_steps_total", "counter", "Engine steps.",
             (double)atomic_load(&st->steps));
    text_one(out, "tritd_last_step_timestamp_seconds", "gauge",
             "When the last engine step ended, in seconds since 1970.", now - (trit_now() - step));
    write_workers(page, out);
    write_histograms(page, st, out);
}

static void write_model(const struct metrics_page *page, struct buf *out)
{
    const struct model *m = page->model;
    const struct engine_stats *st = engine_stats(page->engine);
    double weights = (double)m->segment.payload_bytes;
    text_head(out, "tritd_model_info", "gauge", "The model being served.");
    buf_adds(out, "tritd_model_info{model=\"");
    text_label_value(out, page->model_name);
    buf_addf(out, "\",quant=\"%s\",n_ctx=\"%u\",digest=\"%s\"} 1\n", m->encoding,
             engine_options(page->engine)->n_ctx, m->fingerprint);
    text_head(out, "tritd_memory_bytes", "gauge", "Memory by what it is for.");
    text_labelled(out, "tritd_memory_bytes", "kind", "weights_shared",
                  m->segment.shared ? weights : 0);
    text_labelled(out, "tritd_memory_bytes", "kind", "weights_private",
                  m->segment.shared ? 0 : weights);
    text_labelled(out, "tritd_memory_bytes", "kind", "kv", (double)st->kv_pool_bytes);
    text_labelled(out, "tritd_memory_bytes", "kind", "scratch", (double)st->scratch_bytes);
    text_labelled(out, "tritd_memory_bytes", "kind", "tokenizer", (double)tok_bytes(m->tok));
    text_labelled(out, "tritd_memory_bytes", "kind", "http", (double)page->http_bytes);
    text_one(out, "tritd_weights_sharers", "gauge",
             "Processes that use the same weights in memory, this one among them.",
             segment_users(&m->segment));
    text_one(out, "tritd_weights_huge_bytes", "gauge", "Bytes of the weights that huge pages back.",
             (double)page->huge_bytes);
}

void metrics_write(const struct metrics_page *page, struct buf *out)
{
    text_head(out, "tritd_build_info", "gauge", "Version and kernels in use.");
    buf_addf(out, "tritd_build_info{version=\"%s\",kernel=\"%s\"} 1\n", PACKAGE_VERSION,
             page->kernels);
    text_one(out, "tritd_ready", "gauge", "1 while requests are served.", page->ready);
    text_one(out, "tritd_draining", "gauge", "1 while shutting down.", page->draining);
    write_requests(page, out);
    write_keys(page, out);
    write_energy(page, out);
    if (page->engine) {
        write_engine(page, out);
        write_model(page, out);
    }
}
