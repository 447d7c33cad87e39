/* SPDX-License-Identifier: MIT */
/* check_engine.c - the life of sequences: admission, ends, cancellation, limits.  Exactness of the
 * answers is golden's business. */
#include "config.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/stats.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "unit/unit.h"
#include "unit/engine-run.h"

static struct model *model;
static const struct kernels *k;
static struct trit_error err;

static void load(void)
{
    model = run_load(&k);
}

static void unload(void)
{
    model_close(&model);
}

static struct seq_wish wish(uint32_t n_prompt, uint32_t max_new)
{
    struct seq_wish w = {.n_prompt = n_prompt, .max_new = max_new};
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    w.prompt = mem_zalloc(n_prompt, sizeof *w.prompt);
    for (uint32_t i = 0; i < n_prompt; i++)
        w.prompt[i] = (int32_t)(i * 37 % 256);
    return w;
}

static struct seq *start(struct run *r, struct seq_wish w)
{
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    ck_assert_msg(engine_submit(r->engine, s, &err) == 0, "%s", err.text);
    r->open++;
    return s;
}

static unsigned pages_used(struct run *r)
{
    return atomic_load(&engine_stats(r->engine)->kv_used);
}

START_TEST(length_and_stop)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    run_open(&r, &o);
    struct seq *a = start(&r, wish(20, 10));
    run_wait(&r);
    ck_assert_int_eq(a->end, SEQ_LENGTH);
    ck_assert_uint_eq(atomic_load(&a->published), 10);

    /* The third token as a stop token: two remain, whatever else they are. */
    uint32_t at = 2;
    while (a->token[at] == a->token[0] && at < 9)
        at++;
    struct seq_wish w = wish(20, 10);
    w.stop_ids = mem_zalloc(1, sizeof *w.stop_ids);
    w.stop_ids[0] = a->token[at];
    w.n_stop_ids = 1;
    uint32_t first = 0;
    while (a->token[first] != a->token[at])
        first++;
    struct seq *b = start(&r, w);
    run_wait(&r);
    ck_assert_int_eq(b->end, SEQ_STOP);
    ck_assert_uint_eq(atomic_load(&b->published), first);
    ck_assert_int_eq(memcmp(a->token, b->token, first * sizeof *a->token), 0);

    /* ignore_stop: the same tokens are banned instead. */
    w = wish(20, 10);
    w.stop_ids = mem_zalloc(1, sizeof *w.stop_ids);
    w.stop_ids[0] = a->token[0];
    w.n_stop_ids = 1;
    w.ignore_stop = true;
    struct seq *c = start(&r, w);
    run_wait(&r);
    ck_assert_int_eq(c->end, SEQ_LENGTH);
    for (int i = 0; i < 10; i++)
        ck_assert_int_ne(c->token[i], a->token[0]);
    seq_free(a);
    seq_free(b);
    seq_free(c);
    run_close(&r);
}
END_TEST

START_TEST(prompt_logprobs_equal_one_by_one)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    o.step_tokens = 16;
    run_open(&r, &o);
    struct seq_wish w = wish(30, 0);
    w.want_prompt_logprobs = true;
    w.n_top = 3;
    struct seq *a = start(&r, w);
    run_wait(&r);
    ck_assert_int_eq(a->end, SEQ_LENGTH);
    ck_assert_uint_eq(atomic_load(&a->prompt_published), 30);
    for (uint32_t i = 1; i < 30; i += 7) {
        /* The logprob of prompt[i] is what a prompt of i tokens predicts for it. */
        struct seq_wish part = wish(i, 1);
        part.want_logprobs = true;
        part.n_top = 3;
        struct seq *b = start(&r, part);
        run_wait(&r);
        const struct seq_logprob *p = seq_prompt_logprob_at(a, i), *q = seq_logprob_at(b, 0);
        ck_assert_int_eq(memcmp(p->top, q->top, 3 * sizeof *p->top), 0);
        ck_assert(isfinite(p->logprob) && p->logprob <= p->top[0].logprob);
        seq_free(b);
    }
    seq_free(a);
    run_close(&r);
}
END_TEST

/* A context of several ranges of attention: neither threads, chunks nor company change a bit. */
START_TEST(long_contexts_do_not_depend_on_the_way)
{
    static const struct {
        unsigned threads;
        uint32_t step_tokens;
        bool company;
    } ways[] = {{1, 512, false}, {3, 7, false}, {2, 64, true}, {5, 200, true}};
    static const enum kv_type types[] = {KV_F16, KV_Q8};
    enum { PROMPT = 530, NEW = 40 };
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        int32_t first[NEW];
        struct seq_logprob logprobs[NEW];
        for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
            struct run r;
            struct engine_options o = run_options(model, k);
            o.n_ctx = 1024;
            o.max_batch = 4;
            o.threads = ways[i].threads;
            o.step_tokens = ways[i].step_tokens;
            o.kv_type = types[t];
            run_open(&r, &o);
            struct seq_wish w = wish(PROMPT, NEW);
            w.want_logprobs = true;
            struct seq *others[2] = {NULL};
            if (ways[i].company)
                others[0] = start(&r, wish(300, 200));
            struct seq *s = start(&r, w);
            if (ways[i].company)
                others[1] = start(&r, wish(40, 200));
            run_wait(&r);
            ck_assert_uint_eq(atomic_load(&s->published), NEW);
            for (uint32_t j = 0; j < NEW; j++) {
                if (i == 0) {
                    first[j] = s->token[j];
                    logprobs[j] = *seq_logprob_at(s, j);
                }
                ck_assert_int_eq(s->token[j], first[j]);
                ck_assert(memcmp(&seq_logprob_at(s, j)->logprob, &logprobs[j].logprob,
                                 sizeof(float)) == 0);
            }
            seq_free(s);
            for (int j = 0; ways[i].company && j < 2; j++)
                seq_free(others[j]);
            run_close(&r);
        }
    }
}
END_TEST

START_TEST(cancel_frees_pages)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    o.max_batch = 2;
    run_open(&r, &o);
    struct seq *s[4];
    for (int i = 0; i < 4; i++)
        s[i] = start(&r, wish(40, 400)); /* two run, two wait */
    while (atomic_load(&s[0]->published) == 0)
        run_listen(&r);
    ck_assert_uint_gt(pages_used(&r), 0);
    engine_cancel(r.engine, s[3]); /* queued */
    engine_cancel(r.engine, s[0]); /* running */
    engine_cancel(r.engine, s[0]); /* twice is once */
    while (s[0]->end == SEQ_RUNNING || s[3]->end == SEQ_RUNNING)
        run_listen(&r);
    ck_assert_int_eq(s[0]->end, SEQ_CANCELLED);
    ck_assert_int_eq(s[3]->end, SEQ_CANCELLED);
    ck_assert_uint_eq(atomic_load(&s[3]->published), 0);
    engine_cancel(r.engine, s[1]);
    engine_cancel(r.engine, s[2]);
    run_wait(&r);
    ck_assert_uint_eq(pages_used(&r), 0);
    for (int i = 0; i < 4; i++)
        seq_free(s[i]);
    run_close(&r);
}
END_TEST

/* Who has all he wants of a sequence has had an answer like others, from which estimates learn. */
START_TEST(enough_is_a_stop)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    run_open(&r, &o);
    struct seq *s = start(&r, wish(40, 400));
    while (atomic_load(&s->published) < 10) /* until it is known how long a step takes, too */
        run_listen(&r);
    struct engine_estimate before = engine_estimate(r.engine, NULL, 40, 400);
    engine_enough(r.engine, s);
    engine_cancel(r.engine, s); /* too late to be anything else */
    run_wait(&r);
    ck_assert_int_eq(s->end, SEQ_STOP);
    ck_assert_uint_eq(atomic_load(&engine_stats(r.engine)->ended[SEQ_STOP]), 1);
    ck_assert_uint_eq(atomic_load(&engine_stats(r.engine)->ended[SEQ_CANCELLED]), 0);
    ck_assert_uint_eq(pages_used(&r), 0);
    struct engine_estimate after = engine_estimate(r.engine, NULL, 40, 400);
    ck_assert_double_eq(before.end, before.first); /* nothing is known of answers */
    ck_assert_double_gt(after.end, after.first);
    seq_free(s);
    run_close(&r);
}
END_TEST

START_TEST(queue_is_bounded)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    o.max_batch = 1;
    o.queue_requests = 2;
    o.queue_tokens = 100; /* not the engine's business */
    run_open(&r, &o);
    struct seq *s[3];
    s[0] = start(&r, wish(40, 300));
    while (atomic_load(&s[0]->published) == 0)
        run_listen(&r);
    s[1] = start(&r, wish(400, 1));
    s[2] = start(&r, wish(40, 1));
    ck_assert_uint_eq(atomic_load(&engine_stats(r.engine)->waiting_tokens), 440);
    struct seq_wish w = wish(40, 1);
    struct seq *over = seq_new(&w);
    ck_assert_int_eq(engine_submit(r.engine, over, &err), -TRIT_EBUSY);
    ck_assert_ptr_nonnull(strstr(err.text, "requests"));
    ck_assert_double_ge(engine_estimate(r.engine, NULL, 0, 0).start, 0);
    seq_free(over);
    run_wait(&r);
    for (int i = 0; i < 3; i++)
        seq_free(s[i]);
    run_close(&r);
}
END_TEST

/* What a predecessor has left is the engine's, whatever becomes of it. */
START_TEST(a_pool_is_taken_in_any_case)
{
    struct engine_options o = run_options(model, k);
    struct engine *e;
    struct mailbox events;
    mailbox_init(&events, run_ring, &(struct run){0});
    o.events = &events;
    o.lasting = true;
    for (int i = 0; i < 4; i++) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        o.kv_fd = fd;
        o.threads = i == 0 ? 100000 : 2; /* more than there may be */
        o.kv_bytes = i == 1 ? 1 : 64 * kv_page_bytes(model, KV_F16);
        o.prefix_cache = i != 2;
        int rc = engine_open(&o, &e, &err);
        ck_assert_int_eq(rc, i < 2 ? -TRIT_EINVAL : 0);
        engine_close(&e);
        ck_assert_msg(fcntl(fd, F_GETFD) < 0, "%d is still open", i);
    }
    mailbox_fini(&events);
}
END_TEST

START_TEST(what_can_never_fit_is_refused)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    o.kv_bytes = 2 * kv_page_bytes(model, KV_F16);
    run_open(&r, &o);
    struct seq_wish w = wish(500, 13);
    struct seq *s = seq_new(&w);
    ck_assert_int_eq(engine_submit(r.engine, s, &err), -TRIT_ECONTEXT);
    seq_free(s);
    w = wish(70, 1);
    s = seq_new(&w);
    ck_assert_int_eq(engine_submit(r.engine, s, &err), -TRIT_ECONTEXT);
    ck_assert_ptr_nonnull(strstr(err.text, "KV pool of 64"));
    seq_free(s);
    run_close(&r);
}
END_TEST

/* More than the pool holds at once: they take turns, and all come to their end. */
START_TEST(pages_are_shared_in_turns)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    o.kv_bytes = 4 * kv_page_bytes(model, KV_F16);
    run_open(&r, &o);
    struct seq *s[12];
    for (int i = 0; i < 12; i++)
        s[i] = start(&r, wish(20 + (uint32_t)i * 5, 30));
    run_wait(&r);
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(s[i]->end, SEQ_LENGTH);
        ck_assert_uint_eq(atomic_load(&s[i]->published), 30);
        seq_free(s[i]);
    }
    ck_assert_uint_eq(pages_used(&r), 0);
    run_close(&r);
}
END_TEST

START_TEST(closing_ends_everything)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    o.max_batch = 2;
    run_open(&r, &o);
    struct seq *s[6];
    for (int i = 0; i < 6; i++)
        s[i] = start(&r, wish(30, 400));
    run_close(&r);
    ck_assert_uint_eq(r.open, 0);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_ne(s[i]->end, SEQ_RUNNING);
        seq_free(s[i]);
    }
}
END_TEST

START_TEST(opening_fails_cleanly)
{
    struct engine *e;
    struct engine_options o = run_options(model, k);
    o.kv_bytes = 1;
    ck_assert_int_eq(engine_open(&o, &e, &err), -TRIT_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "kv-bytes"));
    o = run_options(model, k);
    unsigned n = 1;
    for (; n < 100; n++) {
        mem_fail_at(n);
        if (engine_open(&o, &e, &err) == 0)
            break;
        ck_assert_int_eq(err.code, TRIT_ENOMEM);
        ck_assert_ptr_null(e);
    }
    mem_fail_at(0);
    ck_assert_uint_gt(n, 5);
    engine_close(&e);
}
END_TEST

START_TEST(sequences_fail_cleanly)
{
    for (unsigned n = 1; n < 20; n++) {
        struct seq_wish w = wish(10, 10);
        w.want_logprobs = w.want_prompt_logprobs = true;
        w.sampler.frequency_penalty = 1;
        mem_fail_at(n);
        struct seq *s = seq_new(&w);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert(struck == (s == NULL));
        if (!struck) {
            seq_free(s);
            ck_assert_uint_gt(n, 4);
            return;
        }
    }
    ck_abort_msg("twenty allocations for a sequence");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine");
    TCase *c = tcase_create("engine");
    tcase_set_timeout(c, 300);
    tcase_add_checked_fixture(c, load, unload);
    tcase_add_test(c, length_and_stop);
    tcase_add_test(c, prompt_logprobs_equal_one_by_one);
    tcase_add_test(c, long_contexts_do_not_depend_on_the_way);
    tcase_add_test(c, cancel_frees_pages);
    tcase_add_test(c, enough_is_a_stop);
    tcase_add_test(c, queue_is_bounded);
    tcase_add_test(c, a_pool_is_taken_in_any_case);
    tcase_add_test(c, what_can_never_fit_is_refused);
    tcase_add_test(c, pages_are_shared_in_turns);
    tcase_add_test(c, closing_ends_everything);
    tcase_add_test(c, opening_fails_cleanly);
    tcase_add_test(c, sequences_fail_cleanly);
    suite_add_tcase(s, c);
    return unit_run(s);
}
