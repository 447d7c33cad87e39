/* SPDX-License-Identifier: MIT */
/*
 * sched-parts.h - between sched.c, who runs, and sched-rows.c, what each of them computes in a
 * step.
 */
#ifndef TRIT_SCHED_PARTS_H
#define TRIT_SCHED_PARTS_H

#include "engine/sched.h"

#include "engine/queue.h"

struct sched {
    struct sched_options opt;
    struct kv *kv;
    struct queue queue;
    struct seq **running; /* [max_running], in the order they began or went on */
    uint32_t n_running;
    uint64_t n_preempted;
    struct pace pace;

    struct sched_plan plan;
    struct sched_item *item; /* [max_running] */
    struct seq **reading;    /* [max_running] for plan_prompts */
    uint32_t spare_slots;    /* of the step being planned, beyond one for each that runs */
    bool hosted;             /* the last step was its guests' */
    double t_company;        /* when there were several tenants last; 0: never */
    bool in_company;         /* that is not long ago */
    uint32_t n_mixed;        /* steps with prompts since the last of those who talk alone */
    const struct seq *saver; /* the oldest prompt, if too little time is left for it: */
    uint32_t n_saved;        /* so many steps went without it, */
    double saved;            /* which left it so many seconds together */
};

/* Tokens of s that are not computed yet: one, if all that is missing is the next logits. */
static inline uint32_t sched_remaining(const struct seq *s)
{
    return seq_len(s) - s->n_done;
}

/* How much of its prompt s can have from one of its group, or leave to them; 0: every position has
 * to be computed.  The last always has, for its logits. */
static inline uint32_t sched_shared(const struct seq *s)
{
    bool whole = s->wish.want_prompt_logprobs || s->wish.pool == SEQ_POOL_MEAN;
    return s->wish.group && !whole ? s->wish.n_prompt - 1 : 0;
}

/* Fill in sc->plan: the rows of a step, for those who run. */
void sched_share(struct sched *sc, double now);

#endif
