/* SPDX-License-Identifier: MIT */
/*
 * stats.h - what the engine counts.  One writer, the engine thread; readers on any thread take each
 * number by itself and never wait.
 */
#ifndef TRIT_STATS_H
#define TRIT_STATS_H

#include <stdatomic.h>
#include <stddef.h>

enum { STATS_BUCKETS = 24 };
struct stats_histogram {
    atomic_ullong bucket[STATS_BUCKETS]; /* not cumulative; the last is +Inf */
    _Atomic double sum;
};

struct engine_stats {
    atomic_uint running, waiting; /* waiting: for their first turn */
    atomic_ullong waiting_tokens, reading_tokens; /* of prompts: of those, and of those who run */
    atomic_uint threads; /* that compute */
    atomic_ullong steps, prompt_tokens, generated_tokens;
    atomic_ullong ended[6]; /* by enum seq_end */
    atomic_ullong preempted;
    atomic_ullong cached_tokens; /* of prompts, that did not have to be computed */
    atomic_ullong cache_hits, cache_evicted; /* pages */
    atomic_ullong cache_damaged;             /* pages of another process that were not used */
    atomic_ullong guessed, guessed_right;    /* tokens, see engine/draft.h */
    atomic_ullong grammar_hits, grammar_misses, grammar_evicted; /* parts of masks */
    atomic_ullong grammar_bytes;                                 /* that they take */
    _Atomic double grammar_seconds;                              /* spent on masks */
    atomic_uint kv_pages, kv_used, kv_kept;
    size_t kv_page_bytes, kv_pool_bytes, scratch_bytes;
    size_t states_bytes; /* of all sequences of a hybrid model; taken when they are first used */
    _Atomic double turn_seconds; /* had work, and waited for another's step to end, see crew.h */
    _Atomic double last_step; /* trit_now() at the end of the last step */
    _Atomic double heartbeat; /* trit_now() of the last sign of life, also when idle */
    struct stats_histogram ttft, inter_token, queue, e2e, prefill, decode, step_prefill,
        step_decode, step_mixed, batch_sequences, batch_tokens, prompt_length, generated_length;
};

/* Upper bounds of a histogram's buckets, ascending; *n of them (the +Inf bucket is not listed). */
const double *stats_bounds(const struct engine_stats *s, const struct stats_histogram *h,
                           size_t *n);

/* Engine thread: one observation. */
void stats_observe(struct engine_stats *s, struct stats_histogram *h, double value);

/* The same for a histogram of somebody else's, who is its one writer; n < STATS_BUCKETS bounds. */
void stats_add(struct stats_histogram *h, const double *bound, size_t n, double value);

#endif
