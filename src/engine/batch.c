/* SPDX-License-Identifier: MIT */
/*
 * batch.c - a plan as rows, and sampling from what comes out.
 *
 * Whatever is planned, a sequence's answer is the same: rows do not influence one another, and the
 * sampler's random numbers depend on seed and position alone.
 */
#include "config.h"
#include "engine/batch.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/sched.h"
#include "engine/seq.h"

/* Logits beyond one for each sequence: for guesses, and for the logprobs of prompts. */
enum { SPARE_SLOTS = 8 };

static struct forward_row *add_row(struct batch *b, struct seq *s, int32_t token, uint32_t pos)
{
    trit_assert(b->n_rows < b->max_rows);
    struct forward_row *row = &b->rows[b->n_rows++];
    *row = (struct forward_row){.token = token, .pos = pos, .lease = &s->lease, .logits = -1};
    return row;
}

static struct batch_slot *want_logits(struct batch *b, struct forward_row *row, struct seq *s,
                                      uint32_t prompt_at)
{
    trit_assert(b->n_slots < b->max_slots);
    row->logits = (int32_t)b->n_slots;
    row->use = prompt_at ? HEAD_EXACT : HEAD_CHOOSE;
    if (s->wish.want_logprobs)
        row->use |= HEAD_EXACT;
    struct batch_slot *slot = &b->slots[b->n_slots++];
    *slot = (struct batch_slot){.s = s, .prompt_at = prompt_at, .guess = -1};
    return slot;
}

/* Rows of the text that there is; the last token's logits choose the next one. */
static void fill_text(struct batch *b, struct seq *s, uint32_t n)
{
    const struct seq_wish *w = &s->wish;
    uint32_t told = atomic_load_explicit(&s->prompt_published, memory_order_relaxed);
    for (uint32_t pos = s->n_done; pos < s->n_done + n; pos++) {
        struct forward_row *row = add_row(b, s, seq_token_at(s, pos), pos);
        uint32_t next = pos + 1;
        row->keep = w->pool == SEQ_POOL_MEAN || (w->pool == SEQ_POOL_LAST && next == w->n_prompt);
        if (next == seq_len(s) && w->max_new)
            want_logits(b, row, s, 0)->index = s->n_generated;
        else if (w->want_prompt_logprobs && next < w->n_prompt && next >= told)
            want_logits(b, row, s, next);
    }
}

/* Rows of what may come behind it. */
static void fill_guesses(struct batch *b, const struct sched_item *item)
{
    struct seq *s = item->s;
    for (uint32_t i = 0; i < item->n_guesses; i++) {
        b->slots[b->n_slots - 1].guess = item->guess[i];
        struct forward_row *row = add_row(b, s, item->guess[i], seq_len(s) + i);
        want_logits(b, row, s, 0)->index = s->n_generated + 1 + i;
    }
}

/* What may follow `st`, stop tokens among it; -TRIT_EUNSUPP: nothing. */
static int fill_mask(struct batch *b, const struct seq *s, const struct grammar_state *st,
                     uint64_t *mask)
{
    const struct seq_wish *w = &s->wish;
    uint32_t n;
    if (grammar_mask(b->masks, st, mask, &n) != 0)
        return -TRIT_EUNSUPP;
    bool stops = grammar_may_end(st) && !w->ignore_stop;
    for (uint32_t i = 0; i < w->n_stop_ids; i++) {
        uint32_t id = (uint32_t)w->stop_ids[i];
        uint64_t bit = (uint64_t)1 << id % 64;
        if (id >= b->n_vocab)
            continue;
        n += stops && !(mask[id / 64] & bit);
        n -= !stops && (mask[id / 64] & bit);
        mask[id / 64] = stops ? mask[id / 64] | bit : mask[id / 64] & ~bit;
    }
    return n ? 0 : -TRIT_EUNSUPP;
}

/*
 * What the grammar of s allows in its slots from the first on.  A slot behind a guess is for the
 * state that the guess leads to; behind one that is not allowed nothing will be chosen.
 */
static void fill_masks(struct batch *b, struct seq *s, uint32_t first)
{
    double start = trit_now();
    const struct grammar_state *st = s->grammar;
    for (uint32_t i = first; i < b->n_slots; i++) {
        struct batch_slot *slot = &b->slots[i];
        if (slot->prompt_at)
            continue;
        uint64_t *mask = b->allowed + i * b->mask_words;
        bool bound = !grammar_waits(st);
        if (bound) {
            slot->rc = fill_mask(b, s, st, mask);
            slot->allowed = mask;
        }
        if (slot->rc || slot->guess < 0 ||
            (bound && !(mask[slot->guess / 64] >> slot->guess % 64 & 1)))
            break;
        size_t len;
        const char *piece = tok_piece(b->tok, slot->guess, &len);
        if (st != b->ahead)
            grammar_state_copy(b->ahead, st);
        st = b->ahead;
        if ((bound && !tok_is_text(b->tok, slot->guess)) ||
            grammar_accept(b->ahead, piece, len) != 0)
            break;
    }
    b->mask_seconds += trit_now() - start;
}

void batch_fill(struct batch *b, const struct sched_plan *plan)
{
    b->n_rows = b->n_slots = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct seq *s = plan->item[i].s;
        uint32_t first = b->n_slots;
        fill_text(b, s, plan->item[i].n_rows);
        fill_guesses(b, &plan->item[i]);
        if (s->grammar && b->n_slots > first)
            fill_masks(b, s, first);
    }
    for (uint32_t r = 0; r < b->n_rows; r++)
        if (b->rows[r].logits >= 0)
            b->rows[r].allowed = b->slots[b->rows[r].logits].allowed;
    trit_assert(b->n_rows == plan->n_rows);
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
                                             : logprob_room(s->logprob, s, slot->index);
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

    if (slot->rc)
        return;
    if (use == HEAD_CHOOSE)
        slot->rc = sampler_pick(b->kernels, &w->sampler, &s->past, w->stop_ids,
                                w->ignore_stop ? w->n_stop_ids : 0, slot->allowed, slot->index,
                                logits, b->n_vocab, scratch, &slot->token);
    else
        tell(b, slot, logits, scratch);
}

/*
 * Take hidden states into the pools of their sequences, in the order of their positions whatever
 * steps they came in, so that the sums are always the same.  Position 0 begins a pool, also when a
 * sequence that was pushed aside has to begin anew.  `first` is the row of the item's first.
 */
static void pool_item(struct batch *b, const struct sched_item *item, uint32_t first)
{
    struct seq *s = item->s;
    const struct seq_wish *w = &s->wish;
    for (uint32_t r = first; r < first + item->n_rows; r++) {
        if (!b->rows[r].keep)
            continue;
        const float *x = forward_hidden(b->forward, r);
        if (b->rows[r].pos == 0 || w->pool == SEQ_POOL_LAST)
            memcpy(s->hidden, x, w->n_hidden * sizeof *x);
        else
            b->kernels->add(s->hidden, x, w->n_hidden);
    }
    if (s->n_done + item->n_rows < w->n_prompt)
        return;
    for (uint32_t i = 0; i < w->n_hidden; i++) {
        if (w->pool == SEQ_POOL_MEAN)
            s->hidden[i] /= (float)w->n_prompt;
        if (!isfinite(s->hidden[i]))
            s->ending = SEQ_FAULT;
    }
}

void batch_run(struct batch *b, const struct sched_plan *plan)
{
    trit_assert(b->n_rows > 0);
    forward_step(b->forward, b->rows, b->n_rows, sample, b);
    uint32_t row = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const struct sched_item *item = &plan->item[i];
        if (item->s->wish.pool)
            pool_item(b, item, row);
        row += item->n_rows + item->n_guesses;
    }
}

int batch_open(struct batch *b, const struct engine_options *o, struct team *team, struct kv *kv,
               struct trit_error *err)
{
    const struct model *m = o->model;
    *b = (struct batch){.kernels = o->kernels,
                        .kv = kv,
                        .tok = m->tok,
                        .n_vocab = (uint32_t)MIN(tok_size(m->tok), (size_t)m->hp.vocab),
                        .max_rows = MAX(o->step_tokens, o->max_batch),
                        .max_slots = o->max_batch + SPARE_SLOTS};
    int rc = forward_open(m, o->kernels, team, kv, o->acts, b->max_rows, b->max_slots, o->n_ctx,
                          &b->forward, err);
    if (rc)
        return rc;
    b->rows = mem_zalloc(b->max_rows, sizeof *b->rows);
    b->slots = mem_zalloc(b->max_slots, sizeof *b->slots);
    b->scratch_stride = round_up(sampler_scratch_bytes(m->hp.vocab), 64);
    b->scratch_bytes = b->scratch_stride * team_room(team);
    b->scratch = mem_map(b->scratch_bytes);
    b->mask_words = GRAMMAR_MASK_WORDS(m->hp.vocab); /* the head looks at padding too */
    b->allowed_bytes = b->max_slots * b->mask_words * sizeof *b->allowed;
    b->allowed = mem_map(b->allowed_bytes);
    if (b->rows && b->slots && b->scratch && b->allowed)
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
    mem_unmap(b->allowed, b->allowed_bytes);
    b->rows = NULL;
    b->slots = NULL;
    b->scratch = NULL;
    b->allowed = NULL;
}

size_t batch_bytes(const struct batch *b)
{
    return forward_bytes(b->forward) + b->scratch_bytes;
}
