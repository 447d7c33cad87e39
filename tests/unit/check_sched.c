/* SPDX-License-Identifier: MIT */
/*
 * check_sched.c - the scheduler, KV pages and prefix index under a model that costs nothing.
 *
 * The model of this test "computes" for a position a number that depends on all tokens up to it,
 * puts it where keys and values would lie, and reads all numbers before it as attention would: a
 * page that was shared, copied, kept, given up or computed again and does not hold what it should,
 * is found at once.  The next token is a function of that number, so the whole answer is known
 * beforehand. The clock is a variable.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "engine/sched.h"
#include "model/model.h"
#include "unit/unit.h"

static struct trit_error err;
static uint64_t seed;
static const struct model tiny = {.hp = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 16}};

/* ------------------------------------------------------------------ the model */

static uint64_t mix(uint64_t x, uint64_t y)
{
    x = (x ^ y) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

/* Of a text's first n tokens. */
static uint64_t value_of(const int32_t *text, uint32_t n)
{
    uint64_t v = 1;
    for (uint32_t i = 0; i < n; i++)
        v = mix(v, (uint64_t)text[i]);
    return v;
}

/* Few tokens, so that texts repeat and guesses are sometimes right. */
static int32_t next_token(uint64_t value, uint64_t salt)
{
    return (int32_t)(mix(value % 7, salt) >> 20) & 3;
}

static uint64_t *place(const struct kv *kv, const struct seq *s, uint32_t pos)
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
};

static void drive_open(struct drive *d, uint32_t pages, struct sched_options opt, bool keep)
{
    *d = (struct drive){.opt = opt, .now = 1, .check = 1};
    ck_assert_int_eq(
        kv_open(&tiny, KV_F32, pages * kv_page_bytes(&tiny, KV_F32), keep, &d->kv, &err), 0);
    d->opt.kv = &d->kv;
    ck_assert_int_eq(sched_open(&d->opt, &d->sched, &err), 0);
}

static void drive_close(struct drive *d)
{
    sched_close(&d->sched);
    kv_check(&d->kv);
    ck_assert_uint_eq(kv_used(&d->kv), 0);
    ck_assert_uint_eq(d->kv.n_reserved, 0);
    kv_close(&d->kv);
}

static void end(struct drive *d, struct seq *s, enum seq_end how)
{
    ck_assert_int_eq(s->end, SEQ_RUNNING);
    s->end = how;
    sched_leave(d->sched, s, how != SEQ_FAULT);
    d->n_ended++;
}

static void on_started(struct seq *s, void *arg)
{
    (void)s;
    ((struct drive *)arg)->n_started++;
}

/* Rows of an item: write what the model computes, and read what is before it. */
static void compute(struct drive *d, const struct sched_item *item)
{
    const struct seq *s = item->s;
    uint32_t n = item->n_rows + item->n_guesses, len = s->n_done + n;
    int32_t *text = mem_zalloc(len, sizeof *text);
    for (uint32_t i = 0; i < len; i++)
        text[i] = i < seq_len(s) ? seq_token_at(s, i) : item->guess[i - seq_len(s)];
    uint64_t v = 1;
    for (uint32_t i = 0; i < len; i++) {
        v = mix(v, (uint64_t)text[i]);
        if (i >= s->n_done)
            *place(&d->kv, s, i) = v;
        else if (d->steps % d->check == 0)
            ck_assert_msg(*place(&d->kv, s, i) == v, "position %u of %u", i, s->n_done);
    }
    mem_free(text);
    d->n_computed += n;
}

/* What the engine does with logits; returns how many positions became computed. */
static uint32_t choose(struct drive *d, const struct sched_item *item, enum seq_end *how)
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
        int32_t token = next_token(value_of(s->wish.prompt, seq_len(s)), s->wish.sampler.seed);
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

static uint32_t drive_step(struct drive *d)
{
    const struct sched_plan *p = sched_plan(d->sched, d->now, on_started, d);
    sched_check(d->sched);
    uint32_t rows = 0, slots = 0, n = p->n_items;
    for (uint32_t i = 0; i < n; i++) {
        const struct sched_item *item = &p->item[i];
        ck_assert_uint_ge(item->n_rows, 1);
        for (uint32_t k = 0; k < i; k++)
            ck_assert_ptr_ne(p->item[k].s, item->s);
        rows += item->n_rows + item->n_guesses;
        slots += 1 + item->n_guesses;
        if (item->s->wish.want_prompt_logprobs)
            slots += item->n_rows - 1;
        compute(d, item);
    }
    ck_assert_uint_eq(rows, p->n_rows);
    ck_assert_uint_le(rows, d->opt.max_rows);
    ck_assert_uint_le(slots, d->opt.max_slots);
    d->now += 0.01 + 0.001 * rows;
    d->steps++;
    if (n)
        sched_learn(d->sched, 0.01 + 0.001 * rows);
    for (uint32_t i = 0; i < n; i++) {
        enum seq_end how;
        struct seq *s = p->item[i].s;
        uint32_t computed = choose(d, &p->item[i], &how);
        if (how != SEQ_FAULT)
            sched_computed(d->sched, s, computed);
        if (how != SEQ_RUNNING)
            end(d, s, how);
    }
    return n;
}

/* Until there is nothing left to do. */
static void drive_out(struct drive *d)
{
    while (drive_step(d))
        ;
}

static struct seq *seq_of(const int32_t *prompt, uint32_t n, uint32_t max_new)
{
    struct seq_wish w = {.n_prompt = n, .max_new = max_new, .priority = SEQ_NORMAL};
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1, .seed = max_new};
    w.prompt = mem_zalloc(n, sizeof *w.prompt);
    memcpy(w.prompt, prompt, n * sizeof *prompt);
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    return s;
}

static void add(struct drive *d, struct seq *s)
{
    s->t_submit = d->now;
    sched_add(d->sched, s);
}

static void check_answer(const struct seq *s)
{
    for (uint32_t i = 0; i < s->n_generated; i++)
        ck_assert_int_eq(s->token[i], next_token(value_of(s->wish.prompt, s->wish.n_prompt + i),
                                                 s->wish.sampler.seed));
}

static const struct sched_options plain = {
    .max_running = 4, .max_rows = 64, .max_slots = 12, .token_target = 0.05};

static void fill(int32_t *text, uint32_t n, int32_t step)
{
    for (uint32_t i = 0; i < n; i++)
        text[i] = (int32_t)i * step % 101;
}

/* ------------------------------------------------------------------ the prefix cache */

START_TEST(beginning_is_reused)
{
    struct drive d;
    int32_t text[200];
    fill(text, 200, 7);
    drive_open(&d, 64, plain, true);
    struct seq *a = seq_of(text, 200, 3);
    add(&d, a);
    drive_out(&d);
    ck_assert_uint_eq(a->n_cached, 0);
    ck_assert_uint_eq(d.kv.n_kept, 200 / KV_PAGE_TOKENS);

    /* The same text: all but the page that is not full.  Half of it: whole pages of that half; and
     * of a multiple of a page, one page less, since the last position's logits are wanted. */
    struct seq *b = seq_of(text, 200, 3), *c = seq_of(text, 100, 3), *e = seq_of(text, 96, 3);
    text[40] = 1000;
    struct seq *f = seq_of(text, 200, 3);
    add(&d, b);
    add(&d, c);
    add(&d, e);
    add(&d, f);
    drive_out(&d);
    ck_assert_uint_eq(b->n_cached, 192);
    ck_assert_uint_eq(c->n_cached, 96);
    ck_assert_uint_eq(e->n_cached, 64);
    ck_assert_uint_eq(f->n_cached, 32);
    struct seq *all[] = {a, b, c, e, f};
    for (int i = 0; i < 5; i++) {
        check_answer(all[i]);
        seq_free(all[i]);
    }
    drive_close(&d);
}
END_TEST

START_TEST(salts_are_apart)
{
    struct drive d;
    int32_t text[100];
    fill(text, 100, 3);
    drive_open(&d, 64, plain, true);
    struct seq *s[3];
    for (int i = 0; i < 3; i++) {
        s[i] = seq_of(text, 100, 2);
        s[i]->wish.salt = i == 2;
        add(&d, s[i]);
        drive_out(&d);
    }
    ck_assert_uint_eq(s[1]->n_cached, 96);
    ck_assert_uint_eq(s[2]->n_cached, 0);
    for (int i = 0; i < 3; i++)
        seq_free(s[i]);
    drive_close(&d);
}
END_TEST

/* Conversations: the answer is part of what the next request begins with. */
START_TEST(answers_are_reused)
{
    struct drive d;
    int32_t text[300];
    fill(text, 100, 3);
    drive_open(&d, 64, plain, true);
    struct seq *a = seq_of(text, 100, 60);
    add(&d, a);
    drive_out(&d);
    memcpy(text + 100, a->token, 60 * sizeof *text);
    fill(text + 160, 20, 5);
    struct seq *b = seq_of(text, 180, 5);
    add(&d, b);
    drive_out(&d);
    ck_assert_uint_eq(b->n_cached, 128); /* of 159 that were computed */
    check_answer(b);
    seq_free(a);
    seq_free(b);
    drive_close(&d);
}
END_TEST

/* A pool of few pages: what was used last stays, and beginnings stay longer than ends. */
START_TEST(oldest_are_given_up)
{
    struct drive d;
    int32_t old[96], new[96];
    fill(old, 96, 3);
    fill(new, 96, 5);
    drive_open(&d, 6, plain, true);
    struct seq *s[4] = {seq_of(old, 96, 2), seq_of(new, 96, 2), seq_of(new, 96, 2),
                        seq_of(old, 96, 2)};
    for (int i = 0; i < 4; i++) {
        add(&d, s[i]);
        drive_out(&d);
        check_answer(s[i]);
    }
    ck_assert_uint_eq(s[2]->n_cached, 64);
    ck_assert_uint_lt(s[3]->n_cached, 64); /* Some of the old were given up for the new ... */
    ck_assert_uint_ge(s[3]->n_cached, 32); /* ... but from the end. */
    ck_assert_uint_gt(d.kv.n_evicted, 0);
    for (int i = 0; i < 4; i++)
        seq_free(s[i]);
    drive_close(&d);
}
END_TEST

/* n > 1: the prompt is computed once, the others share its pages and copy the one that goes on. */
static void group_shares(uint32_t n_prompt, bool keep)
{
    struct drive d;
    int32_t text[200];
    fill(text, 200, 3);
    drive_open(&d, 64, plain, keep);
    struct seq *s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = seq_of(text, n_prompt, 20);
        s[i]->wish.group = 9;
        s[i]->wish.sampler.seed = (uint64_t)i;
        add(&d, s[i]);
    }
    drive_out(&d);
    ck_assert_uint_eq(d.n_computed, n_prompt + 3 + 4 * 19);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(s[i]->n_generated, 20);
        check_answer(s[i]);
        seq_free(s[i]);
    }
    drive_close(&d);
}

START_TEST(groups_share)
{
    static const uint32_t n[] = {2, 31, 32, 33, 64, 65, 95, 96, 97, 150};
    group_shares(n[_i / 2], _i % 2);
}
END_TEST

/* What was computed with a fault is nobody's beginning. */
START_TEST(faults_are_not_kept)
{
    struct drive d;
    int32_t text[100];
    fill(text, 100, 3);
    drive_open(&d, 64, plain, true);
    struct seq *a = seq_of(text, 100, 50), *b = seq_of(text, 100, 50);
    add(&d, a);
    for (int i = 0; i < 10; i++)
        drive_step(&d);
    d.faulty = a;
    drive_step(&d);
    ck_assert_int_eq(a->end, SEQ_FAULT);
    ck_assert_uint_eq(d.kv.n_kept, 0);
    d.faulty = NULL;
    add(&d, b);
    drive_out(&d);
    ck_assert_uint_eq(b->n_cached, 0);
    check_answer(b);
    seq_free(a);
    seq_free(b);
    drive_close(&d);
}
END_TEST

/* ------------------------------------------------------------------ who runs */

START_TEST(priorities_and_ageing)
{
    struct drive d;
    int32_t text[8];
    fill(text, 8, 3);
    struct sched_options o = plain;
    o.max_running = 1;
    drive_open(&d, 64, o, true);
    struct seq *low = seq_of(text, 8, 100), *normal = seq_of(text, 8, 100),
               *high = seq_of(text, 8, 100), *aged = seq_of(text, 8, 5);
    low->wish.priority = SEQ_LOW;
    high->wish.priority = SEQ_HIGH;
    aged->wish.priority = SEQ_LOW;
    aged->wish.tenant = 7; /* a queue of its own */
    add(&d, low);
    drive_step(&d);
    drive_step(&d);
    ck_assert_uint_gt(low->n_generated, 0);
    add(&d, normal);
    drive_step(&d);
    drive_step(&d);
    uint32_t said = low->n_generated;
    ck_assert_uint_gt(normal->n_generated, 0); /* took the place */
    add(&d, high);
    add(&d, aged);
    for (int i = 0; i < 50; i++)
        drive_step(&d);
    ck_assert_uint_gt(high->n_generated, 40);
    ck_assert_uint_eq(low->n_generated, said);

    /* Whoever of the others comes, the queue that was passed over for long enough is before them.
     */
    d.now += 2.5 * SCHED_AGEING;
    struct seq *late = seq_of(text, 8, 5);
    late->wish.priority = SEQ_NORMAL;
    add(&d, late);
    while (aged->end == SEQ_RUNNING && drive_step(&d))
        ;
    ck_assert_int_eq(late->end, SEQ_RUNNING);
    drive_out(&d);
    struct seq *all[] = {low, normal, high, aged, late};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(all[i]->end, SEQ_LENGTH);
        check_answer(all[i]);
        seq_free(all[i]);
    }
    drive_close(&d);
}
END_TEST

/* 32 sequences of one tenant, and then one of another: it does not wait for them. */
START_TEST(tenants_share_places)
{
    struct drive d;
    int32_t text[40];
    fill(text, 40, 3);
    drive_open(&d, 200, plain, false);
    struct seq *many[32];
    for (int i = 0; i < 32; i++) {
        many[i] = seq_of(text, 40, 30);
        many[i]->wish.tenant = 1;
        add(&d, many[i]);
    }
    for (int i = 0; i < 10; i++)
        drive_step(&d);
    struct seq *one = seq_of(text, 40, 30);
    one->wish.tenant = 2;
    add(&d, one);
    uint32_t steps = 0;
    for (; one->n_generated == 0 && steps < 100; steps++)
        drive_step(&d);
    ck_assert_uint_le(steps, 4);
    drive_out(&d);
    for (int i = 0; i < 32; i++) {
        check_answer(many[i]);
        seq_free(many[i]);
    }
    check_answer(one);
    seq_free(one);
    drive_close(&d);
}
END_TEST

/* Prompts of tenants with nothing else have a step of their own, if they fit into one; but never
 * two in a row. */
START_TEST(guests_come_first)
{
    struct drive d;
    static int32_t text[3000];
    fill(text, 3000, 3);
    drive_open(&d, 400, plain, false);
    struct seq *many[8], *guest[3];
    for (int i = 0; i < 8; i++) {
        many[i] = seq_of(text, 8, 200);
        many[i]->wish.tenant = 1;
        add(&d, many[i]);
    }
    for (int i = 0; i < 50; i++) /* It learns what steps cost. */
        drive_step(&d);
    for (int i = 0; i < 3; i++) {
        guest[i] = i == 2 ? seq_of(text, 2000, 2) : seq_of(text, 20, 2);
        guest[i]->wish.tenant = 2 + (uint64_t)i;
    }
    add(&d, guest[0]);
    uint32_t said = many[0]->n_generated;
    drive_step(&d);
    ck_assert_uint_eq(guest[0]->n_generated, 1);
    ck_assert_uint_eq(many[0]->n_generated, said);
    add(&d, guest[1]);
    drive_step(&d);
    ck_assert_uint_eq(many[0]->n_generated, said + 1);
    ck_assert_uint_ge(guest[1]->n_generated, 1);
    /* Too long for a step: those who talk do not wait for it. */
    add(&d, guest[2]);
    drive_step(&d);
    for (int i = 0; i < 3; i++) {
        said = many[0]->n_generated;
        drive_step(&d);
        ck_assert_uint_eq(many[0]->n_generated, said + 1);
        ck_assert_uint_gt(guest[2]->n_done, 0);
    }
    drive_out(&d);
    for (int i = 0; i < 8; i++) {
        check_answer(many[i]);
        seq_free(many[i]);
    }
    for (int i = 0; i < 3; i++) {
        check_answer(guest[i]);
        seq_free(guest[i]);
    }
    drive_close(&d);
}
END_TEST

/* Who had the machine to himself has no debt from it when others come. */
START_TEST(time_alone_is_no_debt)
{
    struct drive d;
    static int32_t text[3000];
    fill(text, 3000, 3);
    drive_open(&d, 200, plain, false);
    struct seq *alone = seq_of(text, 3000, 5), *many[32], *one = seq_of(text, 40, 5);
    alone->wish.tenant = one->wish.tenant = 2;
    add(&d, alone);
    drive_out(&d);
    for (int i = 0; i < 32; i++) {
        many[i] = seq_of(text, 40, 30);
        many[i]->wish.tenant = 1;
        add(&d, many[i]);
    }
    drive_step(&d);
    add(&d, one);
    uint32_t steps = 0;
    for (; one->n_generated == 0 && steps < 100; steps++)
        drive_step(&d);
    ck_assert_uint_le(steps, 5);
    drive_out(&d);
    for (int i = 0; i < 32; i++)
        seq_free(many[i]);
    seq_free(alone);
    seq_free(one);
    drive_close(&d);
}
END_TEST

/* Two tenants who both always want more get the same number of tokens, however unlike their
 * requests are. */
START_TEST(tenants_share_tokens)
{
    struct drive d;
    int32_t text[300];
    fill(text, 300, 3);
    drive_open(&d, 400, plain, false);
    struct seq *all[400];
    uint64_t served[2] = {0};
    for (int i = 0; i < 400; i++) {
        all[i] = i % 2 ? seq_of(text, 300, 2) : seq_of(text, 10, 20);
        all[i]->wish.tenant = 1 + (uint64_t)i % 2;
        add(&d, all[i]);
    }
    while (d.n_ended < 160)
        drive_step(&d);
    for (int i = 0; i < 400; i++)
        served[i % 2] += all[i]->n_done;
    ck_assert_double_gt((double)served[0] / (double)served[1], 0.8);
    ck_assert_double_lt((double)served[0] / (double)served[1], 1.25);
    drive_out(&d);
    for (int i = 0; i < 400; i++)
        seq_free(all[i]);
    drive_close(&d);
}
END_TEST

/* While others talk, a long prompt gets what the target leaves; a short one passes it. */
START_TEST(long_prompt_is_in_nobodys_way)
{
    struct drive d;
    static int32_t text[3000];
    fill(text, 3000, 3);
    struct sched_options o = plain;
    o.max_rows = 256;
    o.max_slots = 20;
    drive_open(&d, 400, o, false);
    struct seq *talker = seq_of(text, 5, 2000), *deep = seq_of(text, 3000, 2),
               *brief = seq_of(text, 60, 2);
    add(&d, talker);
    for (int i = 0; i < 20; i++)
        drive_step(&d);
    add(&d, deep);
    double longest = 0;
    for (int i = 0; i < 20; i++) {
        double before = d.now;
        drive_step(&d);
        if (i > 10) /* It has learnt by now what rows cost. */
            longest = MAX(longest, d.now - before);
    }
    ck_assert_double_le(longest, 0.06); /* the target is 0.05 */
    ck_assert_double_ge(longest, 0.03);
    add(&d, brief);
    while (brief->end == SEQ_RUNNING)
        drive_step(&d);
    ck_assert_uint_eq(deep->n_generated, 0);
    drive_out(&d);
    ck_assert_uint_eq(deep->n_generated, 2);
    seq_free(talker);
    seq_free(deep);
    seq_free(brief);
    drive_close(&d);
}
END_TEST

/* ------------------------------------------------------------------ anything at all */

struct chaos {
    struct drive d;
    struct seq *all[200];
    uint32_t n;
};

static uint32_t pick(uint32_t n)
{
    return (uint32_t)(unit_random(&seed) >> 33) % n;
}

static struct seq *random_seq(uint32_t pages)
{
    int32_t text[500];
    uint32_t n = 1 + pick(pick(4) ? 100 : 400), max_new = pick(40);
    fill(text, n, 1 + (int32_t)(pick(3)));
    if (pick(2))
        text[pick(n)] = 999;
    if (kv_pages_for(n + max_new) > pages)
        n = 10;
    struct seq *s = seq_of(text, n, max_new);
    s->wish.tenant = pick(5);
    s->wish.salt = pick(2);
    s->wish.priority = (enum seq_priority)(pick(SEQ_PRIORITIES));
    s->wish.want_prompt_logprobs = pick(8) == 0;
    return s;
}

static void arrive(struct chaos *c)
{
    struct seq *s = random_seq(c->d.kv.n_pages);
    uint32_t twins = pick(4) == 0 ? 1 + pick(3) : 0;
    s->wish.group = twins ? 1 + c->n : 0;
    add(&c->d, c->all[c->n++] = s);
    for (; twins && c->n < ARRAY_LEN(c->all); twins--) {
        struct seq *t = seq_of(s->wish.prompt, s->wish.n_prompt, s->wish.max_new);
        t->wish.tenant = s->wish.tenant;
        t->wish.salt = s->wish.salt;
        t->wish.priority = s->wish.priority;
        t->wish.group = s->wish.group;
        t->wish.sampler.seed = twins;
        add(&c->d, c->all[c->n++] = t);
    }
}

START_TEST(random_days)
{
    struct chaos c = {0};
    seed += (uint64_t)_i * 2654435761u;
    struct sched_options o = {.max_running = 1 + pick(8), .token_target = 0.03};
    o.max_rows = o.max_running + pick(100);
    o.max_slots = o.max_running + pick(10);
    o.draft_tokens = pick(3) ? pick(SEQ_DRAFT_MAX + 1) : 0;
    drive_open(&c.d, 5 + pick(60), o, pick(4) != 0);
    uint32_t busy = 1 + pick(20), wanted = 20 + pick(150);
    while (c.n < wanted || c.d.n_ended < c.n) {
        if (c.n < wanted && pick(busy) == 0)
            arrive(&c);
        struct seq *s = c.n ? c.all[pick(c.n)] : NULL;
        c.d.faulty = NULL;
        if (s && s->end == SEQ_RUNNING && pick(50) == 0)
            c.d.faulty = s;
        if (s && s->end == SEQ_RUNNING && pick(60) == 0)
            end(&c.d, s, SEQ_CANCELLED);
        if (drive_step(&c.d) == 0) {
            ck_assert_uint_eq(c.d.n_ended, c.n); /* Idle only when there is nobody. */
            c.d.now += 1;
        }
        ck_assert_uint_lt(c.d.steps, 200000);
    }
    for (uint32_t i = 0; i < c.n; i++) {
        ck_assert_int_ne(c.all[i]->end, SEQ_RUNNING);
        check_answer(c.all[i]);
        seq_free(c.all[i]);
    }
    drive_close(&c.d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sched");
    TCase *c = tcase_create("sched");
    seed = unit_seed();
    tcase_set_timeout(c, 300);
    tcase_add_test(c, beginning_is_reused);
    tcase_add_test(c, salts_are_apart);
    tcase_add_test(c, answers_are_reused);
    tcase_add_test(c, oldest_are_given_up);
    tcase_add_loop_test(c, groups_share, 0, 20);
    tcase_add_test(c, faults_are_not_kept);
    tcase_add_test(c, priorities_and_ageing);
    tcase_add_test(c, tenants_share_places);
    tcase_add_test(c, guests_come_first);
    tcase_add_test(c, time_alone_is_no_debt);
    tcase_add_test(c, tenants_share_tokens);
    tcase_add_test(c, long_prompt_is_in_nobodys_way);
    tcase_add_loop_test(c, random_days, 0, 200);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
