/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - what the server counts, and the page that Prometheus reads.
 *
 * Counters live on the loop thread.  The engine's numbers are read one by one while it runs, so the
 * page never waits for it.  Format: Prometheus text, version 0.0.4.
 */
#ifndef TRIT_METRICS_H
#define TRIT_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/stats.h"

struct admit;
struct buf;
struct engine;
struct model;
struct rapl;

/* Routes as the label `route` names them. */
enum metrics_route {
    ROUTE_COMPLETIONS,
    ROUTE_CHAT,
    ROUTE_RESPONSES,
    ROUTE_EMBEDDINGS, /* up to here they are work for the engine */
    ROUTE_COUNT_CHAT,
    ROUTE_COUNT_RESPONSES,
    ROUTE_MODELS,
    ROUTE_MODEL,
    ROUTE_TOKENIZE,
    ROUTE_DETOKENIZE,
    ROUTE_TEMPLATE,
    ROUTE_REQUESTS,
    ROUTE_REQUEST,
    ROUTE_ADMIN_MODELS,
    ROUTE_ADMIN_MODEL,
    ROUTE_HEALTHZ,
    ROUTE_READYZ,
    ROUTE_METRICS,
    ROUTE_PAGE,
    ROUTE_PAGE_FILE,
    ROUTE_OTHER,
    N_ROUTES,
    N_GENERATING = ROUTE_EMBEDDINGS + 1,
};
const char *metrics_route_name(enum metrics_route r);

/* How a request to one of them ended. */
enum metrics_finish {
    FINISH_STOP,
    FINISH_LENGTH,
    FINISH_CANCELLED,
    FINISH_DEADLINE,
    FINISH_ERROR,
    FINISH_REJECTED,
    N_FINISHES,
};
const char *metrics_finish_name(enum metrics_finish f);

enum metrics_rejected {
    REJECTED_QUEUE_REQUESTS,
    REJECTED_QUEUE_TOKENS,
    REJECTED_CONCURRENCY,
    REJECTED_RATE_REQUESTS,
    REJECTED_RATE_TOKENS,
    REJECTED_DEADLINE,
    REJECTED_LATE, /* for ttft-target */
    REJECTED_LOADING,
    REJECTED_DRAINING,
    REJECTED_MEMORY,
    N_REJECTIONS,
};

enum metrics_cancelled {
    CANCELLED_DISCONNECT,
    CANCELLED_SLOW_READER,
    CANCELLED_DEADLINE,
    CANCELLED_SHUTDOWN,
    CANCELLED_API,
    N_CANCELS,
};

enum { METRICS_STATUSES = 600 };

struct metrics {
    uint64_t http[N_ROUTES][METRICS_STATUSES];
    uint64_t finished[N_GENERATING][N_FINISHES];
    uint64_t rejected[N_REJECTIONS];
    uint64_t cancelled[N_CANCELS];
    struct stats_histogram joules; /* of a request that is over, where that is known */
    uint64_t unauthorized;         /* no valid key */
    uint64_t timed_out;            /* connections closed for a header, body or idle deadline */
};

/* A request is over, and so much energy is its share. */
void metrics_joules(struct metrics *m, double joules);

/* One model of the page. */
struct metrics_model {
    const char *name; /* in the API */
    bool ending;      /* out of the table: another may have its name */
    const struct engine *engine;
    const struct model *model;
    size_t huge_bytes;     /* of the weights, on huge pages */
    double oldest_seconds; /* the longest that a request waits for its first token */
    uint64_t grammars_compiled, grammars_known;
};

enum { METRICS_MODELS = 24 };

/* What else the page tells. */
struct metrics_page {
    const struct metrics *counted;
    struct metrics_model model[METRICS_MODELS];
    size_t n_models; /* 0: not serving yet */
    const char *kernels;
    bool ready, draining;
    uint32_t connections;
    size_t http_bytes;         /* of connections and what passes through them */
    const struct admit *admit; /* tenants */
    const struct rapl *rapl;   /* energy, as it was last read */
};
void metrics_write(const struct metrics_page *page, struct buf *out);

/* The part of it that is about models, at least one. */
void metrics_write_models(const struct metrics_page *page, struct buf *out);

/* The same under vLLM's names, as far as there is one. */
void metrics_write_vllm(const struct metrics_page *page, struct buf *out);

/* process_*: the standard metrics about this process, from /proc. */
void metrics_write_process(struct buf *out);

#endif
