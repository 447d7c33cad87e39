/* SPDX-License-Identifier: MIT */
/*
 * batch.c - planning a step and sampling from it.
 *
 * Whatever is planned, a sequence's answer is the same: rows do not influence one another, and the
 * sampler's random numbers depend on seed and position alone.
 */
#include "config.h"
#include "engine/batch.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "engine/engine.h"
#include "engine/seq.h"
#include "model/model.h"
#include "model/tokenizer.h"

static bool in_prefill(const struct seq *s)
{
    return s->n_done < s->wish.n_prompt;
}

static struct forward_row *add_row(struct batch *b, struct seq *s, int32_t token, uint32_t pos)
{
    struct forward_row *row = &b->rows[b->n_rows++];
    *row = (struct forward_row){.token = token, .pos = pos, .lease = &s->lease, .logits = -1};
    return row;
}

static void want_logits(struct batch *b, struct forward_row *row, struct seq *s, uint32_t prompt_at)
{
    row->logits = (int32_t)b->n_slots;
    row->use = prompt_at ? HEAD_EXACT : HEAD_CHOOSE;
    if (s->wish.want_logprobs)
        row->use |= HEAD_EXACT;
    b->slots[b->n_slots++] = (struct batch_slot){.s = s, .prompt_at = prompt_at};
}

/* As much of a prompt as slots and the limit on rows allow. */
static void plan_prompt(struct batch *b, struct seq *s, uint32_t max_rows)
{
    const struct seq_wish *w = &s->wish;
    uint32_t n = MIN(max_rows - b->n_rows, w->n_prompt - s->n_done);
    uint32_t slots = b->max_slots - b->n_slots;
    if (w->want_prompt_logprobs)
        n = MIN(n, slots); /* Each row tells how likely the next prompt token was. */
    else if (s->n_done + n == w->n_prompt && slots == 0)
        n--;
    if (n == 0)
        return;
    kv_grow(b->kv, &s->lease, (uint64_t)s->n_done + n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t pos = s->n_done + i;
        struct forward_row *row = add_row(b, s, w->prompt[pos], pos);
        bool last = pos + 1 == w->n_prompt;
        if (last && w->max_new)
            want_logits(b, row, s, 0);
        else if (!last && w->want_prompt_logprobs)
            want_logits(b, row, s, pos + 1);
    }
    s->n_done += n;
}

/* Decode rows first, so that a long prompt never holds up those who are already talking. */
void batch_plan(struct batch *b, struct seq **running, uint32_t n)
{
    trit_assert(n <= b->max_slots);
    b->n_rows = b->n_slots = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct seq *s = running[i];
        if (in_prefill(s))
            continue;
        kv_grow(b->kv, &s->lease, (uint64_t)s->n_done + 1);
        want_logits(b, add_row(b, s, s->token[s->n_generated - 1], s->n_done), s, 0);
        s->n_done++;
    }
    b->n_decode = b->n_rows;
    /* While somebody waits for the next word, prompts get a quarter of the budget: a step is then
     * that much shorter, at nearly the same speed, since 64 rows already share the weights well. */
    uint32_t limit = b->n_decode ? b->n_decode + MAX(b->max_rows / 4, 1u) : b->max_rows;
    limit = MIN(limit, b->max_rows);
    for (uint32_t i = 0; i < n && b->n_rows < limit; i++)
        if (in_prefill(running[i]))
            plan_prompt(b, running[i], limit);
}

static struct seq_logprob *logprob_room(uint8_t *base, const struct seq *s, uint32_t i)
{
    struct seq_logprob *lp = (void *)(base + i * s->logprob_stride);
    lp->n_top = s->wish.n_top;
    return lp;
}

/* On a worker, with exact logits: how likely a token was. */
static void tell(struct batch *b, const struct batch_slot *slot, const float *logits, void *scratch)
{
    struct seq *s = slot->s;
    const struct seq_wish *w = &s->wish;
    struct seq_logprob *lp = slot->prompt_at ? logprob_room(s->prompt_logprob, s, slot->prompt_at)
                                             : logprob_room(s->logprob, s, s->n_generated);
    int32_t token = slot->prompt_at ? w->prompt[slot->prompt_at] : slot->token;
    sampler_logprobs(b->kernels, logits, b->n_vocab, token, &lp->logprob, lp->top, w->n_top,
                     scratch);
}

/* On a worker, for one slot: logits to a token, and then the logprobs that were asked for. */
static void sample(void *ctx, uint32_t i, enum head_use use, const float *logits, unsigned worker)
{
    struct batch *b = ctx;
    struct batch_slot *slot = &b->slots[i];
    struct seq *s = slot->s;
    const struct seq_wish *w = &s->wish;
    void *scratch = b->scratch + worker * b->scratch_stride;

    if (use == HEAD_CHOOSE)
        slot->rc = sampler_pick(b->kernels, &w->sampler, &s->past, w->stop_ids,
                                w->ignore_stop ? w->n_stop_ids : 0, s->n_generated, logits,
                                b->n_vocab, scratch, &slot->token);
    else if (slot->rc == 0)
        tell(b, slot, logits, scratch);
}

void batch_run(struct batch *b)
{
    trit_assert(b->n_rows > 0);
    forward_step(b->forward, b->rows, b->n_rows, sample, b);
}

int batch_open(struct batch *b, const struct engine_options *o, struct team *team, struct kv *kv,
               struct trit_error *err)
{
    const struct model *m = o->model;
    *b = (struct batch){.kernels = o->kernels,
                        .kv = kv,
                        .n_vocab = (uint32_t)MIN(tok_size(m->tok), (size_t)m->hp.vocab),
                        .max_rows = MAX(o->step_tokens, o->max_batch),
                        .max_slots = o->max_batch};
    int rc = forward_open(m, o->kernels, team, kv, b->max_rows, b->max_slots, o->n_ctx, &b->forward,
                          err);
    if (rc)
        return rc;
    b->rows = mem_zalloc(b->max_rows, sizeof *b->rows);
    b->slots = mem_zalloc(b->max_slots, sizeof *b->slots);
    b->scratch_stride = round_up(sampler_scratch_bytes(m->hp.vocab), 64);
    b->scratch_bytes = b->scratch_stride * team_size(team);
    b->scratch = mem_map(b->scratch_bytes);
    if (b->rows && b->slots && b->scratch)
        return 0;
    batch_close(b);
    return trit_fail(err, TRIT_ENOMEM, "no memory for batches of %u rows", b->max_rows);
}

void batch_close(struct batch *b)
{
    forward_close(&b->forward);
    mem_free(b->rows);
    mem_free(b->slots);
    mem_unmap(b->scratch, b->scratch_bytes);
    b->rows = NULL;
    b->slots = NULL;
    b->scratch = NULL;
}

size_t batch_bytes(const struct batch *b)
{
    return forward_bytes(b->forward) + b->scratch_bytes;
}
