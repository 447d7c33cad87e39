/* SPDX-License-Identifier: MIT */
/*
 * plan.h - how much of the machine to use where the configuration says "0, choose for me".
 */
#ifndef TRIT_PLAN_H
#define TRIT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "engine/acts.h"

struct conf;
struct model;
struct trit_error;

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
    uint32_t max_batch;
};

/* Threads to compute with, now; and the most that a later wish may be for, with `threads` now. */
unsigned plan_threads(const struct conf *c);
unsigned plan_max_threads(unsigned threads);

/* What can be known before the model: the words of --head-type, --act-type and --kv-type. */
void plan_types(const struct conf *c, struct plan *plan);

/* The rest, for one of n models that share the memory.  A wish that the model cannot fulfil (a
 * longer context) is cut, and the log says so.  -TRIT_ENOMEM where the states of a hybrid model
 * leave none. */
int plan_make(const struct conf *c, const struct model *m, unsigned n, struct plan *plan,
              struct trit_error *err);

/* What the states of sequences have to fit into; bytes. */
struct plan_room {
    uint64_t memory;      /* 0: unknown */
    uint64_t weights, kv; /* that are there already */
};

/*
 * How many sequences a hybrid model may have, each with a state of state_bytes, of `wanted`.  Where
 * nobody has asked for so many (said), their states take a quarter of the memory at most, but one
 * is had; otherwise as many as asked for, or -TRIT_ENOMEM where they do not fit beside the rest.
 */
int plan_sequences(size_t state_bytes, uint32_t wanted, bool said, const struct plan_room *room,
                   uint32_t *n, struct trit_error *err);

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
