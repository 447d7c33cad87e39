/* SPDX-License-Identifier: MIT */
/*
 * plan.c - threads, context and KV memory from configuration, model and machine.
 */
#include "config.h"
#include "main/plan.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/cgroup.h"
#include "base/log.h"
#include "base/team.h"
#include "model/model.h"
#include "engine/kv.h"
#include "engine/states.h"
#include "main/conf.h"

uint64_t plan_memory(void)
{
    /* sysinfo(2), not /proc/meminfo, which a hardened unit hides. */
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t limit = cgroup_memory();
    return machine ? MIN(machine, limit) : limit == UINT64_MAX ? 0 : limit;
}

size_t plan_kv_bytes(size_t page_bytes, uint32_t pages_per_context, uint64_t memory)
{
    trit_assert(page_bytes > 0 && pages_per_context > 0);
    uint64_t pages = (uint64_t)pages_per_context * PLAN_CONTEXTS;
    if (memory)
        pages = MIN(pages, memory / 4 / page_bytes);
    pages = MAX(pages, pages_per_context);
    size_t bytes;
    return __builtin_mul_overflow(pages, page_bytes, &bytes) ? SIZE_MAX : bytes;
}

unsigned plan_threads(const struct conf *c)
{
    return c->threads ? c->threads : team_usable_cpus();
}

unsigned plan_max_threads(unsigned threads)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return MAX(threads, (unsigned)MIN(MAX(online, 1), 1024));
}

void plan_types(const struct conf *c, struct plan *plan)
{
    plan->tables = strcmp(c->head_type, "f16") == 0  ? TABLE_F16
                   : strcmp(c->head_type, "q8") == 0 ? TABLE_Q8
                                                     : TABLE_TERNARY;
    plan->kv_type = strcmp(c->kv_type, "f32") == 0  ? KV_F32
                    : strcmp(c->kv_type, "q8") == 0 ? KV_Q8
                                                    : KV_F16;
    trit_assert(acts_type_parse(c->act_type, &plan->acts) == 0); /* conf.c knows the words */
}

int plan_sequences(size_t state_bytes, uint32_t wanted, bool said, const struct plan_room *room,
                   uint32_t *n, struct trit_error *err)
{
    *n = wanted;
    if (!state_bytes || !room->memory)
        return 0;
    uint64_t used = MIN(room->weights, UINT64_MAX - room->kv) + room->kv;
    uint64_t left = room->memory - MIN(room->memory, used), most = left / state_bytes;
    if (!said)
        *n = (uint32_t)MIN((uint64_t)wanted, MAX(MIN(most, room->memory / 4 / state_bytes), 1u));
    if (*n <= most)
        return 0;
    return trit_fail(err, TRIT_ENOMEM,
                     "max-batch: the states of %u sequences take %.0f MB, %.1f MB each, and of %.0f "
                     "MB of memory %.0f are left beside %.0f MB of weights and %.0f MB of keys and "
                     "values: room for %llu",
                     *n, (double)state_bytes * *n / 1e6, (double)state_bytes / 1e6,
                     (double)room->memory / 1e6, (double)left / 1e6, (double)room->weights / 1e6,
                     (double)room->kv / 1e6, (unsigned long long)most);
}

int plan_make(const struct conf *c, const struct model *m, unsigned n, struct plan *plan,
              struct trit_error *err)
{
    uint64_t memory = plan_memory() / MAX(n, 1u);
    plan->threads = plan_threads(c);
    plan->n_ctx = c->ctx ? c->ctx : MIN(m->hp.n_ctx, (uint32_t)PLAN_CTX_MAX);
    if (plan->n_ctx > m->hp.n_ctx) {
        /* Positions a model has never seen give nonsense, so the wish is cut, not refused: one
         * configuration may serve models with different contexts. */
        log_warn("ctx-cut wanted=%u used=%u reason=\"the model was trained for no more\"",
                 plan->n_ctx, m->hp.n_ctx);
        plan->n_ctx = m->hp.n_ctx;
    }
    plan->kv_bytes = c->kv_bytes ? c->kv_bytes
                                 : plan_kv_bytes(kv_page_bytes(m, plan->kv_type),
                                                 kv_pages_for(plan->n_ctx), memory);
    const struct plan_room room = {memory, m->segment.payload_bytes, plan->kv_bytes};
    size_t state_bytes = states_slot_bytes(m);
    int rc = plan_sequences(state_bytes, c->max_batch, conf_says(c, "max-batch"), &room,
                            &plan->max_batch, err);
    if (rc == 0 && plan->max_batch < c->max_batch)
        log_warn("max-batch-cut wanted=%u used=%u state_mb=%zu memory_mb=%llu reason=\"states of "
                 "sequences take a quarter of the memory at most, unless max-batch says more\"",
                 c->max_batch, plan->max_batch, state_bytes >> 20,
                 (unsigned long long)(memory >> 20));
    return rc;
}

uint32_t plan_connections(uint32_t wanted)
{
    enum { OWN_FILES = 64 }; /* the loop, the model, logs, what libraries open now and then */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= (rlim_t)wanted + OWN_FILES)
        return wanted;
    limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)wanted + OWN_FILES);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= (rlim_t)wanted + OWN_FILES)
        return wanted;
    /* Where there are few we are content with half of them: some twenty are in use. */
    uint32_t room = MAX((uint32_t)(limit.rlim_cur - MIN(limit.rlim_cur / 2, (rlim_t)OWN_FILES)), 1);
    log_warn("open-files limit=%llu max_connections=%u reduced_to=%u",
             (unsigned long long)limit.rlim_cur, wanted, room);
    return room;
}
