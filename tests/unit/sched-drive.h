/* SPDX-License-Identifier: MIT */
/*
 * sched-drive.h - drives the scheduler, KV pages and prefix index with a model that costs nothing.
 *
 * The model "computes" for a position a number that depends on all tokens up to it, puts it where
 * keys and values would lie, and reads all numbers before it as attention would: a page that was
 * shared, copied, kept, given up or computed again and does not hold what it should, is found at
 * once.  Of a hybrid model the number is also all that its state remembers: one that was begun with
 * another's, or that a sequence has gone on from twice, shows.  The next token is a function of
 * that number, so the whole answer is known beforehand.  The clock is a variable.
 */
#ifndef TRIT_SCHED_DRIVE_H
#define TRIT_SCHED_DRIVE_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "engine/sched.h"
#include "engine/states.h"
#include "unit/unit.h"

static const struct model drive_model = {.hp = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 16}};
static const struct model drive_hybrid = {
    .hp = {
        .n_layers = 2,
        .n_kv_heads = 1,
        .head_dim = 16,
        .delta = {
            .interval = 2, .n_layers = 1, .k_heads = 1, .v_heads = 1, .head_dim = 16, .conv = 2}}};

/* ------------------------------------------------------------------ the model */

static inline uint64_t drive_mix(uint64_t x, uint64_t y)
{
    x = (x ^ y) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

/* Of a text's first n tokens. */
static inline uint64_t drive_value(const int32_t *text, uint32_t n)
{
    uint64_t v = 1;
    for (uint32_t i = 0; i < n; i++)
        v = drive_mix(v, (uint64_t)text[i]);
    return v;
}

/* Few tokens, so that texts repeat and guesses are sometimes right. */
static inline int32_t drive_token(uint64_t value, uint64_t salt)
{
    return (int32_t)(drive_mix(value % 7, salt) >> 20) & 3;
}

static inline uint64_t *drive_place(const struct kv *kv, const struct seq *s, uint32_t pos)
{
    uint8_t *page = kv->pool + s->lease.page[pos / KV_PAGE_TOKENS] * kv->page_bytes;
    return (uint64_t *)(void *)page + pos % KV_PAGE_TOKENS;
}

/* ------------------------------------------------------------------ the driver */

struct drive {
    struct kv kv;
    struct sched *sched;
    struct sched_options opt;
    double now;
    uint32_t n_started, n_ended, n_faults;
    uint64_t n_computed; /* rows */
    struct seq *faulty;  /* its next logits are not finite */
    unsigned check;      /* compare all that a row sees, every n-th step */
    uint64_t steps;

    double position_seconds; /* what a row looks at costs; a row 1 ms, a step 10 ms more */
    double seconds;          /* of the last step */
    bool mixed;              /* it had rows of those who talk and of prompts */
};

static inline void drive_open(struct drive *d, uint32_t pages, struct sched_options opt, bool keep)
{
    struct trit_error err;
    *d = (struct drive){.opt = opt, .now = 1, .check = 1};
    ck_assert_int_eq(kv_open(&drive_model, KV_F32, pages * kv_page_bytes(&drive_model, KV_F32),
                             keep, &d->kv, &err),
                     0);
    d->opt.kv = &d->kv;
    ck_assert_int_eq(sched_open(&d->opt, &d->sched, &err), 0);
}

/* The same with a state for each that runs. */
static inline void drive_open_hybrid(struct drive *d, uint32_t pages, struct sched_options opt)
{
    struct trit_error err;
    opt.draft_tokens = 0;
    drive_open(d, pages, opt, false);
    ck_assert_int_eq(kv_open_states(&d->kv, &drive_hybrid, opt.max_running, &err), 0);
}

static inline void drive_close(struct drive *d)
{
    sched_close(&d->sched);
    kv_check(&d->kv);
    ck_assert_uint_eq(kv_used(&d->kv), 0);
    ck_assert_uint_eq(d->kv.n_reserved, 0);
    kv_close(&d->kv);
}

static inline void drive_end(struct drive *d, struct seq *s, enum seq_end how)
{
    ck_assert_int_eq(s->end, SEQ_RUNNING);
    s->end = how;
    sched_leave(d->sched, s, how != SEQ_FAULT);
    d->n_ended++;
}

static inline void drive_started(struct seq *s, void *arg)
{
    (void)s;
    ((struct drive *)arg)->n_started++;
}

/* Rows of an item: write what the model computes, and read what is before it. */
static inline void drive_compute(struct drive *d, const struct sched_item *item)
{
    const struct seq *s = item->s;
    uint32_t n = item->n_rows + item->n_guesses, len = s->n_done + n;
    int32_t *text = mem_zalloc(len, sizeof *text);
    for (uint32_t i = 0; i < len; i++)
        text[i] = i < seq_len(s) ? seq_token_at(s, i) : item->guess[i - seq_len(s)];
    uint64_t v = 1;
    for (uint32_t i = 0; i < len; i++) {
        v = drive_mix(v, (uint64_t)text[i]);
        if (i >= s->n_done)
            *drive_place(&d->kv, s, i) = v;
        else if (d->steps % d->check == 0)
            ck_assert_msg(*drive_place(&d->kv, s, i) == v, "position %u of %u", i, s->n_done);
    }
    if (d->kv.states) {
        float *state = states_matrix(d->kv.states, s->lease.state, 0, 0);
        uint64_t was = 0, before = drive_value(text, s->n_done);
        memcpy(&was, state, sizeof was);
        ck_assert_msg(s->n_done == 0 || was == before, "the state at %u", s->n_done);
        memcpy(state, &v, sizeof v);
    }
    mem_free(text);
    d->n_computed += n;
}

/* What the engine does with logits; returns how many positions became computed. */
static inline uint32_t drive_choose(struct drive *d, const struct sched_item *item,
                                    enum seq_end *how)
{
    struct seq *s = item->s;
    uint32_t before = seq_len(s), n_right = 0;
    *how = SEQ_RUNNING;
    if (s->n_done + item->n_rows < before || s->wish.max_new == 0) {
        if (s->n_done + item->n_rows == before)
            *how = SEQ_LENGTH;
        return item->n_rows;
    }
    if (s == d->faulty) {
        *how = SEQ_FAULT;
        return 0;
    }
    for (uint32_t i = 0; i <= item->n_guesses && *how == SEQ_RUNNING; i++) {
        int32_t token = drive_token(drive_value(s->wish.prompt, seq_len(s)), s->wish.sampler.seed);
        s->token[s->n_generated++] = token;
        if (s->n_generated == s->wish.max_new)
            *how = SEQ_LENGTH;
        if (i == item->n_guesses || token != item->guess[i])
            break;
        n_right++;
    }
    draft_learn(&s->draft, item->n_guesses, n_right);
    return item->n_guesses ? seq_len(s) - 1 - s->n_done : item->n_rows;
}

static inline uint32_t drive_step(struct drive *d)
{
    const struct sched_plan *p = sched_plan(d->sched, d->now, drive_started, d);
    sched_check(d->sched);
    uint32_t rows = 0, slots = 0, n = p->n_items;
    double attention = 1e-5 + p->positions * d->position_seconds;
    for (uint32_t i = 0; i < n; i++) {
        const struct sched_item *item = &p->item[i];
        ck_assert_uint_ge(item->n_rows, 1);
        for (uint32_t k = 0; k < i; k++)
            ck_assert_ptr_ne(p->item[k].s, item->s);
        rows += item->n_rows + item->n_guesses;
        slots += 1 + item->n_guesses;
        if (item->s->wish.want_prompt_logprobs)
            slots += item->n_rows - 1;
        drive_compute(d, item);
    }
    ck_assert_uint_eq(rows, p->n_rows);
    ck_assert_uint_le(rows, d->opt.max_rows);
    ck_assert_uint_le(slots, d->opt.max_slots);
    d->seconds = 0.01 + 0.001 * rows + attention;
    d->mixed = p->n_talking > 0 && n > p->n_talking;
    d->now += d->seconds;
    d->steps++;
    if (n)
        sched_learn(d->sched, d->seconds, attention);
    for (uint32_t i = 0; i < n; i++) {
        enum seq_end how;
        struct seq *s = p->item[i].s;
        uint32_t computed = drive_choose(d, &p->item[i], &how);
        if (how != SEQ_FAULT)
            sched_computed(d->sched, s, computed);
        if (how != SEQ_RUNNING)
            drive_end(d, s, how);
    }
    return n;
}

/* Until there is nothing left to do. */
static inline void drive_out(struct drive *d)
{
    while (drive_step(d))
        ;
}

static inline struct seq *drive_seq(const int32_t *prompt, uint32_t n, uint32_t max_new)
{
    struct seq_wish w = {.n_prompt = n, .max_new = max_new, .priority = SEQ_NORMAL};
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1, .seed = max_new};
    w.prompt = mem_zalloc(n, sizeof *w.prompt);
    memcpy(w.prompt, prompt, n * sizeof *prompt);
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    return s;
}

static inline void drive_add(struct drive *d, struct seq *s)
{
    s->t_submit = d->now;
    sched_add(d->sched, s);
}

static inline void drive_check(const struct seq *s)
{
    for (uint32_t i = 0; i < s->n_generated; i++)
        ck_assert_int_eq(s->token[i], drive_token(drive_value(s->wish.prompt, s->wish.n_prompt + i),
                                                  s->wish.sampler.seed));
}

static const struct sched_options drive_plain = {
    .max_running = 4, .max_rows = 64, .max_slots = 12, .token_target = 0.05};

static inline void drive_fill(int32_t *text, uint32_t n, int32_t step)
{
    for (uint32_t i = 0; i < n; i++)
        text[i] = (int32_t)i * step % 101;
}

#endif
