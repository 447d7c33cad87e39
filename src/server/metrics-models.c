/* SPDX-License-Identifier: MIT */
/*
 * metrics-models.c - what the engines count, a series for each model.
 *
 * running, waiting and KV use have exactly one series each, of all models together, because routers
 * look for them by name; so has memory, by what it is for.  A model that is ending counts in these
 * alone: under its name there may be another by now.
 */
#include "config.h"
#include "server/metrics.h"

#include <math.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "server/metrics-text.h"

/* The numbers of one model, in the order of the page. */
enum row {
    RUNNING,
    WAITING,
    QUEUE_TOKENS,
    QUEUE_OLDEST,
    QUEUE_LIMIT,
    KV_BLOCKS,
    KV_BLOCKS_USED,
    KV_BLOCKS_CACHED,
    CACHE_HITS,
    CACHE_EVICTIONS,
    CACHE_DAMAGED,
    CACHED_TOKENS,
    PREEMPTIONS,
    DRAFT_TOKENS,
    DRAFT_ACCEPTED,
    GRAMMAR_COMPILED,
    GRAMMAR_COMPILE_HITS,
    MASK_HITS,
    MASK_MISSES,
    MASK_EVICTIONS,
    MASK_BYTES,
    MASK_SECONDS,
    PROMPT_TOKENS,
    GENERATED_TOKENS,
    THREADS,
    STEPS,
    TURN_SECONDS,
    N_ROWS,
};

static const struct {
    const char *name, *type, *help;
} rows[N_ROWS] = {
    [RUNNING] = {"tritd_model_requests_running", "gauge", "Sequences of a model being worked on."},
    [WAITING] = {"tritd_model_requests_waiting", "gauge", "Sequences in the queue of a model."},
    [QUEUE_TOKENS] = {"tritd_queue_tokens", "gauge", "Prompt tokens in the queue."},
    [QUEUE_OLDEST] = {"tritd_queue_oldest_seconds", "gauge",
                      "The longest that a request waits for its first token."},
    [QUEUE_LIMIT] = {"tritd_queue_limit_tokens", "gauge", "Prompt tokens the queue takes."},
    [KV_BLOCKS] = {"tritd_kv_blocks", "gauge", "KV pages there are."},
    [KV_BLOCKS_USED] = {"tritd_kv_blocks_used", "gauge", "KV pages running sequences hold."},
    [KV_BLOCKS_CACHED] = {"tritd_kv_blocks_cached", "gauge",
                          "KV pages kept for texts that begin alike; given up when needed."},
    [CACHE_HITS] = {"tritd_prefix_cache_hits_total", "counter",
                    "KV pages found in the prefix cache."},
    [CACHE_EVICTIONS] = {"tritd_prefix_cache_evictions_total", "counter",
                         "Kept KV pages given up for others."},
    [CACHE_DAMAGED] = {"tritd_prefix_cache_damaged_total", "counter",
                       "KV pages of the process before that were not what it had computed, and not "
                       "used."},
    [CACHED_TOKENS] = {"tritd_cached_prompt_tokens_total", "counter",
                       "Prompt tokens that did not have to be computed."},
    [PREEMPTIONS] = {"tritd_preemptions_total", "counter",
                     "Sequences that had to give their place to another for a while."},
    [DRAFT_TOKENS] = {"tritd_draft_tokens_total", "counter", "Tokens guessed ahead."},
    [DRAFT_ACCEPTED] = {"tritd_draft_accepted_tokens_total", "counter",
                        "Guessed tokens that were right."},
    [GRAMMAR_COMPILED] = {"tritd_grammar_compiled_total", "counter", "Grammars compiled."},
    [GRAMMAR_COMPILE_HITS] = {"tritd_grammar_compile_hits_total", "counter",
                              "Requests whose grammar was compiled already."},
    [MASK_HITS] = {"tritd_grammar_mask_hits_total", "counter",
                   "Parts of token masks that were known."},
    [MASK_MISSES] = {"tritd_grammar_mask_misses_total", "counter",
                     "Parts of token masks that had to be found out."},
    [MASK_EVICTIONS] = {"tritd_grammar_mask_evictions_total", "counter",
                        "Parts of token masks given up for others."},
    [MASK_BYTES] = {"tritd_grammar_mask_bytes", "gauge", "Memory of known parts of masks."},
    [MASK_SECONDS] = {"tritd_grammar_mask_seconds_total", "counter",
                      "Time the engine has spent on token masks."},
    [PROMPT_TOKENS] = {"tritd_prompt_tokens_total", "counter", "Prompt tokens processed."},
    [GENERATED_TOKENS] = {"tritd_generated_tokens_total", "counter", "Tokens generated."},
    [THREADS] = {"tritd_threads", "gauge", "Threads that compute."},
    [STEPS] = {"tritd_steps_total", "counter", "Engine steps."},
    [TURN_SECONDS] = {"tritd_turn_wait_seconds_total", "counter",
                      "Time a model had work and waited for the threads, while another computed."},
};

static void fill(const struct metrics_model *m, double v[N_ROWS])
{
    const struct engine_stats *st = engine_stats(m->engine);
    v[RUNNING] = atomic_load(&st->running);
    v[WAITING] = atomic_load(&st->waiting);
    v[QUEUE_TOKENS] = (double)atomic_load(&st->waiting_tokens);
    v[QUEUE_OLDEST] = m->oldest_seconds;
    v[QUEUE_LIMIT] = (double)engine_options(m->engine)->queue_tokens;
    v[KV_BLOCKS] = atomic_load(&st->kv_pages);
    v[KV_BLOCKS_USED] = atomic_load(&st->kv_used);
    v[KV_BLOCKS_CACHED] = atomic_load(&st->kv_kept);
    v[CACHE_HITS] = (double)atomic_load(&st->cache_hits);
    v[CACHE_EVICTIONS] = (double)atomic_load(&st->cache_evicted);
    v[CACHE_DAMAGED] = (double)atomic_load(&st->cache_damaged);
    v[CACHED_TOKENS] = (double)atomic_load(&st->cached_tokens);
    v[PREEMPTIONS] = (double)atomic_load(&st->preempted);
    v[DRAFT_TOKENS] = (double)atomic_load(&st->guessed);
    v[DRAFT_ACCEPTED] = (double)atomic_load(&st->guessed_right);
    v[GRAMMAR_COMPILED] = (double)m->grammars_compiled;
    v[GRAMMAR_COMPILE_HITS] = (double)m->grammars_known;
    v[MASK_HITS] = (double)atomic_load(&st->grammar_hits);
    v[MASK_MISSES] = (double)atomic_load(&st->grammar_misses);
    v[MASK_EVICTIONS] = (double)atomic_load(&st->grammar_evicted);
    v[MASK_BYTES] = (double)atomic_load(&st->grammar_bytes);
    v[MASK_SECONDS] = atomic_load(&st->grammar_seconds);
    v[PROMPT_TOKENS] = (double)atomic_load(&st->prompt_tokens);
    v[GENERATED_TOKENS] = (double)atomic_load(&st->generated_tokens);
    v[THREADS] = atomic_load(&st->threads);
    v[STEPS] = (double)atomic_load(&st->steps);
    v[TURN_SECONDS] = atomic_load(&st->turn_seconds);
}

/* ------------------------------------------------------------------ of all together */

static void write_totals(const struct metrics_page *page, struct buf *out)
{
    double running = 0, waiting = 0, use = 0;
    for (size_t i = 0; i < page->n_models; i++) {
        const struct engine_stats *st = engine_stats(page->model[i].engine);
        double pages = atomic_load(&st->kv_pages), used = atomic_load(&st->kv_used);
        running += atomic_load(&st->running);
        waiting += atomic_load(&st->waiting);
        use = fmax(use, pages > 0 ? used / pages : 0);
    }
    text_one(out, "tritd_requests_running", "gauge", "Sequences being worked on.", running);
    text_one(out, "tritd_requests_waiting", "gauge", "Sequences in the queue.", waiting);
    text_one(out, "tritd_kv_usage_ratio", "gauge",
             "Share of the KV pages that running sequences hold; of the model with the least left.",
             use);
}

/* Workers that have never run, which a larger quota would wake, have no series. */
static void write_workers(const struct metrics_page *page, struct buf *out)
{
    static const char name[] = "tritd_worker_seconds_total";
    double busy, wait;
    text_head(out, name, "counter",
              "Time of a worker within steps: computing, and waiting for the other workers.");
    for (unsigned i = 0; engine_worker(page->model[0].engine, i, &busy, &wait); i++)
        if (busy > 0) {
            buf_addf(out, "%s{worker=\"%u\",state=\"busy\"} %.15g\n", name, i, busy);
            buf_addf(out, "%s{worker=\"%u\",state=\"wait\"} %.15g\n", name, i, wait);
        }
}

static void write_last_step(const struct metrics_page *page, struct buf *out)
{
    struct timespec wall;
    double last = 0;
    clock_gettime(CLOCK_REALTIME, &wall);
    for (size_t i = 0; i < page->n_models; i++)
        last = fmax(last, atomic_load(&engine_stats(page->model[i].engine)->last_step));
    text_one(out, "tritd_last_step_timestamp_seconds", "gauge",
             "When the last engine step ended, in seconds since 1970.",
             (double)wall.tv_sec + (double)wall.tv_nsec * 1e-9 - (trit_now() - last));
}

/* ------------------------------------------------------------------ of each model */

static void write_histogram(const struct metrics_page *page, size_t at, const char *name,
                            const char *more, struct buf *out)
{
    for (size_t i = 0; i < page->n_models; i++) {
        const struct metrics_model *m = &page->model[i];
        const struct engine_stats *st = engine_stats(m->engine);
        struct buf labels = {0};
        if (m->ending)
            continue;
        text_label(&labels, "model", m->name);
        text_histogram(out, st,
                       (const struct stats_histogram *)(const void *)((const char *)st + at), name,
                       labels.data, more);
        out->failed = out->failed || labels.failed;
        buf_free(&labels);
    }
}

static void write_histograms(const struct metrics_page *page, struct buf *out)
{
#define AT(member) offsetof(struct engine_stats, member)
    static const struct {
        size_t at;
        const char *name, *help;
    } list[] = {
        {AT(ttft), "tritd_time_to_first_token_seconds", "From submission to the first token."},
        {AT(inter_token), "tritd_inter_token_latency_seconds",
         "Between tokens of one answer, at the engine's steps."},
        {AT(queue), "tritd_queue_seconds", "From submission to admission."},
        {AT(prefill), "tritd_prefill_seconds", "From admission to the first token."},
        {AT(decode), "tritd_decode_seconds", "From the first token to the end."},
        {AT(e2e), "tritd_e2e_request_seconds", "From submission to the end."},
        {AT(prompt_length), "tritd_request_prompt_tokens", "Prompt lengths."},
        {AT(generated_length), "tritd_request_generated_tokens", "Answer lengths."},
        {AT(batch_sequences), "tritd_batch_sequences", "Sequences in a step."},
        {AT(batch_tokens), "tritd_batch_tokens", "Tokens in a step."},
    };
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        text_head(out, list[i].name, "histogram", list[i].help);
        write_histogram(page, list[i].at, list[i].name, NULL, out);
    }
    static const char step[] = "tritd_step_seconds";
    text_head(out, step, "histogram", "Duration of an engine step by what was in it.");
    write_histogram(page, AT(step_prefill), step, "kind=\"prefill\"", out);
    write_histogram(page, AT(step_decode), step, "kind=\"decode\"", out);
    write_histogram(page, AT(step_mixed), step, "kind=\"mixed\"", out);
#undef AT
}

static void write_infos(const struct metrics_page *page, struct buf *out)
{
    text_head(out, "tritd_model_info", "gauge", "The models being served.");
    for (size_t i = 0; i < page->n_models; i++) {
        const struct metrics_model *m = &page->model[i];
        if (m->ending)
            continue;
        buf_adds(out, "tritd_model_info{model=\"");
        text_label_value(out, m->name);
        buf_addf(out, "\",quant=\"%s\",n_ctx=\"%u\",digest=\"%s\"} 1\n", m->model->encoding,
                 engine_options(m->engine)->n_ctx, m->model->fingerprint);
    }
}

/* ------------------------------------------------------------------ memory */

enum { WEIGHTS_SHARED, WEIGHTS_PRIVATE, KV, STATES, SCRATCH, TOKENIZER, N_KINDS };
static const char *const kinds[N_KINDS] = {"weights_shared", "weights_private", "kv", "states",
                                           "scratch", "tokenizer"};

static void weigh(const struct metrics_model *m, double bytes[N_KINDS])
{
    const struct engine_stats *st = engine_stats(m->engine);
    const struct segment *w = &m->model->segment;
    bytes[WEIGHTS_SHARED] = w->shared ? (double)w->payload_bytes : 0;
    bytes[WEIGHTS_PRIVATE] = w->shared ? 0 : (double)w->payload_bytes;
    bytes[KV] = (double)st->kv_pool_bytes;
    bytes[STATES] = (double)st->states_bytes;
    bytes[SCRATCH] = (double)st->scratch_bytes;
    bytes[TOKENIZER] = (double)tok_bytes(m->model->tok);
}

static void write_memory(const struct metrics_page *page, struct buf *out)
{
    double bytes[N_KINDS], sum[N_KINDS] = {0}, sharers = 0, huge = 0;
    text_head(out, "tritd_model_memory_bytes", "gauge", "Memory of a model by what it is for.");
    for (size_t i = 0; i < page->n_models; i++) {
        const struct metrics_model *m = &page->model[i];
        weigh(m, bytes);
        sharers = fmax(sharers, segment_users(&m->model->segment));
        huge += (double)m->huge_bytes;
        for (size_t k = 0; k < N_KINDS; k++) {
            sum[k] += bytes[k];
            if (m->ending)
                continue;
            buf_adds(out, "tritd_model_memory_bytes{model=\"");
            text_label_value(out, m->name);
            buf_addf(out, "\",kind=\"%s\"} %.15g\n", kinds[k], bytes[k]);
        }
    }
    text_head(out, "tritd_memory_bytes", "gauge", "Memory by what it is for.");
    for (size_t k = 0; k < N_KINDS; k++)
        text_labelled(out, "tritd_memory_bytes", "kind", kinds[k], sum[k]);
    text_labelled(out, "tritd_memory_bytes", "kind", "http", (double)page->http_bytes);
    text_one(out, "tritd_weights_sharers", "gauge",
             "Processes that use the same weights in memory, this one among them.", sharers);
    text_one(out, "tritd_weights_huge_bytes", "gauge", "Bytes of the weights that huge pages back.",
             huge);
}

void metrics_write_models(const struct metrics_page *page, struct buf *out)
{
    double v[METRICS_MODELS][N_ROWS];
    write_totals(page, out);
    for (size_t i = 0; i < page->n_models; i++)
        fill(&page->model[i], v[i]);
    for (size_t r = 0; r < N_ROWS; r++) {
        text_head(out, rows[r].name, rows[r].type, rows[r].help);
        for (size_t i = 0; i < page->n_models; i++)
            if (!page->model[i].ending)
                text_labelled(out, rows[r].name, "model", page->model[i].name, v[i][r]);
    }
    write_last_step(page, out);
    write_workers(page, out);
    write_histograms(page, out);
    write_infos(page, out);
    write_memory(page, out);
}
