/* SPDX-License-Identifier: MIT */
/*
 * plan.h - how much of the machine to use where the configuration says "0, choose for me".
 */
#ifndef TRIT_PLAN_H
#define TRIT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "engine/acts.h"
#include "kernels/kernels.h"

struct conf;
struct model;

enum {
    PLAN_CTX_MAX = 4096, /* default context, where the model could do more */
    PLAN_CONTEXTS = 8,   /* full contexts that the KV pool has room for by default */
};

struct plan {
    unsigned threads;
    uint32_t n_ctx;
    enum table_type tables;
    enum acts_type acts;
    enum kv_type kv_type;
    size_t kv_bytes;
};

/* Threads to compute with, now; and the most that a later wish may be for, with `threads` now. */
unsigned plan_threads(const struct conf *c);
unsigned plan_max_threads(unsigned threads);

/* What can be known before the model: the words of --head-type, --act-type and --kv-type. */
void plan_types(const struct conf *c, struct plan *plan);

/* The rest, for one of n models that share the memory.  A wish that the model cannot fulfil (a longer
 * context) is cut, and the log says so. */
void plan_make(const struct conf *c, const struct model *m, unsigned n, struct plan *plan);

/*
 * Bytes for the KV pool: PLAN_CONTEXTS contexts, at most a quarter of `memory`, but at least one
 * context; whole pages.  memory 0 means unknown.
 */
size_t plan_kv_bytes(size_t page_bytes, uint32_t pages_per_context, uint64_t memory);

/* Bytes this process may use: the machine's memory or the tightest cgroup limit above us. */
uint64_t plan_memory(void);

/*
 * How many connections the limit of open files leaves room for, at most `wanted`.  The soft limit
 * is raised for them as far as the hard one allows; what is lacking is logged.
 */
uint32_t plan_connections(uint32_t wanted);

#endif
