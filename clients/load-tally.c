/* SPDX-License-Identifier: MIT */
/*
 * load-tally.c - counting requests by how they ended.
 */
#include "config.h"
#include "load.h"

#include "base/base.h"

static const char *const names[N_LOAD_ENDS] = {"completed",   "refused",    "connect",
                                               "timeout",     "broken",     "cut",
                                               "error_event", "unreadable", "given_up"};

const char *load_end_name(enum load_end end)
{
    return names[end];
}

static void count_status(struct load_tally *t, long status, bool retry_after)
{
    size_t i = 0;
    while (i < t->n_statuses && t->statuses[i].status != status)
        i++;
    if (i == LOAD_STATUSES_MAX)
        return; /* It is among the refused all the same. */
    if (i == t->n_statuses)
        t->statuses[t->n_statuses++].status = status;
    t->statuses[i].n++;
    t->statuses[i].with_retry_after += retry_after;
}

void load_tally_add(struct load_tally *t, const struct load_outcome *o)
{
    double tokens = o->answer_tokens >= 0 ? o->answer_tokens : (double)o->events;
    t->requests++;
    t->ends[o->end]++;
    t->prompt_tokens += o->prompt_tokens;
    t->generated_tokens += tokens;
    t->events += o->events;
    if (o->end >= LOAD_FIRST_FAILURE) {
        t->failed++;
    } else if (o->end == LOAD_REFUSED) {
        count_status(t, o->status, o->retry_after);
        samples_add(&t->refusal, o->seconds);
    } else {
        t->completed_tokens += tokens;
        t->in_time += o->in_time;
        t->in_time_tokens += o->in_time ? tokens : 0;
        t->completed_events += o->events;
        t->by_usage += o->answer_tokens >= 0;
        samples_add(&t->whole, o->seconds);
        /* With fewer events most tokens came unseen, before the first or after the last. */
        if (o->events > 1 && tokens > 1 && 2 * (double)o->events >= tokens)
            samples_add(&t->token, o->talking_seconds / (tokens - 1));
    }
}

void load_tally_fini(struct load_tally *t)
{
    samples_fini(&t->first);
    samples_fini(&t->gaps);
    samples_fini(&t->token);
    samples_fini(&t->whole);
    samples_fini(&t->refusal);
}
