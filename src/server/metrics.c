/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - the page that Prometheus reads.
 *
 * Base units, names tritd_..., no label whose values a client could choose.  What is counted for
 * each model is in metrics-models.c.
 */
#include "config.h"
#include "server/metrics.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/rapl.h"
#include "engine/stats.h"
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
    [ROUTE_ADMIN_MODELS] = "/v1/tritd/models",
    [ROUTE_ADMIN_MODEL] = "/v1/tritd/models/{id}",
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

/* ------------------------------------------------------------------ the page */

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
    if (page->n_models)
        metrics_write_models(page, out);
}
