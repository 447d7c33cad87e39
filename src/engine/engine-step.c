/* SPDX-License-Identifier: MIT */
/*
 * engine-step.c - one step of the engine: plan, run, take over what was chosen, publish, count.
 *
 * A sequence begins when the scheduler first gives it rows, and ends here, by its own token or by
 * what others say; each turn is written down in the statistics and in the forecast.  Sampling runs
 * on the workers, one slot each, right after the head (batch.h).
 */
#include "config.h"
#include "engine/engine-parts.h"

#include "base/base.h"
#include "base/mailbox.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "engine/crew.h"
#include "engine/grammar.h"
#include "engine/sched.h"

/* ------------------------------------------------------------------ lives of sequences */

/* s is not, or no longer, among those who wait for their first turn. */
static void leave_queue(struct engine *e, struct seq *s)
{
    atomic_fetch_sub(&e->stats.waiting, 1);
    atomic_fetch_sub(&e->stats.waiting_tokens, s->wish.n_prompt);
    s->queue_seconds = trit_now() - s->t_submit;
}

static void on_started(struct seq *s, void *arg)
{
    struct engine *e = arg;
    atomic_fetch_add(&e->stats.running, 1); /* at once, so that nobody is in neither count */
    leave_queue(e, s);
    stats_observe(&e->stats, &e->stats.queue, s->queue_seconds);
    stats_observe(&e->stats, &e->stats.prompt_length, s->wish.n_prompt);
    atomic_fetch_add(&e->stats.cached_tokens, s->n_cached);
    atomic_store_explicit(&s->started, true, memory_order_release);
}

void engine_count_pages(struct engine *e)
{
    atomic_store(&e->stats.kv_used, kv_used(&e->kv));
    atomic_store(&e->stats.kv_kept, e->kv.n_kept);
    atomic_store(&e->stats.cache_hits, e->kv.n_hits);
    atomic_store(&e->stats.cache_evicted, e->kv.n_evicted);
    atomic_store(&e->stats.cache_damaged, e->kv.n_damaged);
}

void engine_finish(struct engine *e, struct seq *s, enum seq_end end)
{
    double now = trit_now();
    sched_leave(e->sched, s, end != SEQ_FAULT);
    engine_count_pages(e);
    if (s->t_start == 0)
        leave_queue(e, s);
    s->total_seconds = now - s->t_submit;
    s->ending = end;
    stats_observe(&e->stats, &e->stats.e2e, s->total_seconds);
    if (!s->wish.pool)
        stats_observe(&e->stats, &e->stats.generated_length, s->n_generated);
    if (s->n_generated)
        stats_observe(&e->stats, &e->stats.decode, now - s->t_submit - s->first_seconds);
    if (end == SEQ_STOP || end == SEQ_LENGTH)
        forecast_end(&e->forecast, now - s->t_start, s->wish.pool ? -1 : (int64_t)s->n_generated);
    atomic_fetch_add(&e->stats.ended[end], 1);
    atomic_fetch_sub(&e->in_flight, 1);
    mailbox_post(e->opt.events, &s->done);
}

/* ------------------------------------------------------------------ one step */

static bool is_stop(const struct seq *s, int32_t token)
{
    for (uint32_t i = 0; i < s->wish.n_stop_ids; i++)
        if (s->wish.stop_ids[i] == token)
            return true;
    return false;
}

/* Where the answer stands in its grammar after a token, and whether that is all. */
static enum seq_end follow_grammar(struct engine *e, struct seq *s, int32_t token)
{
    size_t len;
    const char *piece = tok_piece(e->opt.model->tok, token, &len);
    if (grammar_accept(s->grammar, piece, len) != 0)
        return SEQ_STUCK; /* too deep */
    return grammar_may_go_on(s->grammar) ? SEQ_RUNNING : SEQ_STOP;
}

/* Why nothing was chosen. */
static enum seq_end no_choice(const struct seq *s, int rc)
{
    if (rc != -TRIT_EUNSUPP)
        return SEQ_FAULT;
    return grammar_may_end(s->grammar) ? SEQ_STOP : SEQ_STUCK;
}

/* A token was chosen: remember it, tell the receiver, and say whether the sequence is over. */
static enum seq_end accept_token(struct engine *e, struct seq *s, int32_t token, double now)
{
    if (is_stop(s, token))
        return SEQ_STOP;
    s->token[s->n_generated++] = token;
    sampler_past_add(&s->past, token, true);
    atomic_fetch_add(&e->stats.generated_tokens, 1);
    if (s->n_generated == 1) {
        s->first_seconds = now - s->t_submit;
        stats_observe(&e->stats, &e->stats.ttft, s->first_seconds);
        stats_observe(&e->stats, &e->stats.prefill, now - s->t_start);
    } else {
        stats_observe(&e->stats, &e->stats.inter_token, now - s->t_last);
    }
    s->t_last = now;
    atomic_store_explicit(&s->published, s->n_generated, memory_order_release);
    enum seq_end end = s->grammar ? follow_grammar(e, s, token) : SEQ_RUNNING;
    return end == SEQ_RUNNING && s->n_generated == s->wish.max_new ? SEQ_LENGTH : end;
}

/*
 * Take over what the slots of one sequence, from the i-th on, have chosen: the first, and the next
 * as long as each was what had been guessed.  Returns the slot behind its last.
 */
static uint32_t take_choices(struct engine *e, uint32_t i, double now)
{
    struct batch *b = &e->batch;
    struct seq *s = b->slots[i].s;
    uint32_t n_guesses = 0, n_right = 0;
    bool follow = true;
    for (; i < b->n_slots && b->slots[i].s == s; i++) {
        const struct batch_slot *slot = &b->slots[i];
        if (slot->prompt_at)
            continue;
        n_guesses += slot->guess >= 0;
        if (!follow)
            continue;
        s->ending = slot->rc ? no_choice(s, slot->rc) : accept_token(e, s, slot->token, now);
        follow = s->ending == SEQ_RUNNING && slot->token == slot->guess;
        n_right += follow;
    }
    draft_learn(&s->draft, n_guesses, n_right);
    atomic_fetch_add(&e->stats.guessed, n_guesses);
    atomic_fetch_add(&e->stats.guessed_right, n_right);
    return i;
}

/* The step is over: what it computed, what it chose, and who has ended with it. */
static void publish(struct engine *e, const struct sched_plan *plan, double now)
{
    for (uint32_t i = 0; i < e->batch.n_slots;)
        i = take_choices(e, i, now);
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const struct sched_item *item = &plan->item[i];
        struct seq *s = item->s;
        if (s->ending != SEQ_FAULT)
            /* Of the guesses those are computed whose tokens were right, and so became its text. */
            sched_computed(e->sched, s,
                           item->n_guesses ? seq_len(s) - 1 - s->n_done : item->n_rows);
        if (s->wish.want_prompt_logprobs)
            atomic_store_explicit(&s->prompt_published, MIN(s->n_done, s->wish.n_prompt),
                                  memory_order_release);
        if (s->wish.max_new == 0 && s->n_done == s->wish.n_prompt)
            s->ending = s->wish.pool ? SEQ_STOP : SEQ_LENGTH;
        if (s->ending != SEQ_RUNNING)
            engine_finish(e, s, s->ending);
        else if (s->n_done + 1 == seq_len(s))
            mailbox_post(e->opt.events, &s->news);
    }
}

void engine_count(struct engine *e)
{
    struct engine_stats *st = &e->stats;
    struct sched_counts c;
    sched_count(e->sched, &c);
    atomic_store(&st->running, c.running);
    atomic_store(&st->reading_tokens, c.prompt_tokens);
    atomic_store(&st->preempted, c.preempted);
    if (e->batch.masks) {
        struct grammar_mask_counts m;
        grammar_masks_count(e->batch.masks, &m);
        atomic_store(&st->grammar_hits, m.hits);
        atomic_store(&st->grammar_misses, m.misses);
        atomic_store(&st->grammar_evicted, m.evicted);
        atomic_store(&st->grammar_bytes, m.bytes);
        atomic_store(&st->grammar_seconds, e->batch.mask_seconds);
    }
}

/* A prompt of which all but the last token was cached is among those who talk, but its row is one
 * of a prompt. */
static uint32_t count_prompt_rows(const struct sched_plan *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_items; i++) {
        const struct seq *s = p->item[i].s;
        n += MIN(p->item[i].n_rows, s->wish.n_prompt - MIN(s->n_done, s->wish.n_prompt));
    }
    return n;
}

/* What a step takes of the time of those who wait begins when the turn was asked for.  An unusual
 * one says nothing of those to come. */
static void observe_step(struct engine *e, const struct sched_plan *p, double seconds,
                         double waited, bool usual)
{
    struct engine_stats *st = &e->stats;
    uint32_t prompt_rows = count_prompt_rows(p);
    stats_observe(st,
                  prompt_rows == 0    ? &st->step_decode
                  : p->n_talking == 0 ? &st->step_prefill
                                      : &st->step_mixed,
                  seconds);
    stats_observe(st, &st->batch_sequences, p->n_items);
    stats_observe(st, &st->batch_tokens, p->n_rows);
    if (usual)
        forecast_step(&e->forecast, prompt_rows, p->more, p->n_talking > 0, waited + seconds);
    atomic_store(&st->turn_seconds, atomic_load(&st->turn_seconds) + waited);
    atomic_fetch_add(&st->steps, 1);
    atomic_fetch_add(&st->prompt_tokens, prompt_rows);
}

/* The step does not count: what it has said of its sequences is forgotten. */
static void take_back(const struct sched_plan *p)
{
    for (uint32_t i = 0; i < p->n_items; i++)
        p->item[i].s->ending = SEQ_RUNNING;
}

bool engine_step(struct engine *e, double since)
{
    const struct sched_plan *p = sched_plan(e->sched, trit_now(), on_started, e);
    if (p->n_items == 0)
        return false;
    struct masks *masks = atomic_load(&e->masks);
    if (masks) {
        e->batch.masks = masks->masks;
        e->batch.ahead = masks->ahead;
    }
    double start = trit_now();
    batch_fill(&e->batch, p);
    bool proves = engine_begin_proof(e);
    batch_run(&e->batch, p);
    double now = trit_now();
    turn_give(&e->crew->turn, &e->place, now - start, true);
    if (proves && !engine_end_proof(e)) {
        take_back(p);
        return true;
    }
    if (!proves)
        sched_learn(e->sched, now - start, forward_attended(e->batch.forward));
    observe_step(e, p, now - start, start - since, !proves);
    engine_count_pages(e);
    publish(e, p, now);
    engine_count(e);
    e->stats.last_step = e->stats.heartbeat = now;
    return true;
}
