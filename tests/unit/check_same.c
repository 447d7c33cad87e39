/* SPDX-License-Identifier: MIT */
/*
 * check_same.c - the promise: the same request gives the same bytes, whatever else goes on.
 *
 * A dozen requests are answered alone, cold, by one thread, and then in every other way there is:
 * among others, with a warm cache, in small chunks, with guesses ahead, pushed aside by others and
 * resumed, in a pool that is too small for all.  Tokens and logprobs must be the same bits, and so
 * must embeddings.
 *
 * TRIT_WAY=6 for one of the ways alone, under tools that make it slow.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "kernels/kernels.h"
#include "engine/grammar.h"
#include "engine/stats.h"
#include "unit/unit.h"
#include "unit/engine-run.h"

enum {
    ANSWERS = 12,
    EMBEDDINGS = 6,
    REQUESTS = ANSWERS + EMBEDDINGS,
    OTHERS = 31,
    MAX_NEW = 40,
    N_TOP = 3,
    DIM_MAX = 512
};

static struct model *model;
static const char *marker; /* a text that one of those who wait for it does say */
static const struct kernels *k;
static uint64_t seed;

static uint32_t pick(uint32_t n)
{
    return (uint32_t)(unit_random(&seed) >> 33) % n;
}

static void load_file(const char *file)
{
    model = run_load_file(file, &k);
    ck_assert_uint_le(model->hp.dim, DIM_MAX);
}

static void load(void)
{
    load_file("b158.tq1_0.gguf");
    marker = "1]"; /* of "[unused411]" */
}

/* Two planes of activations, and a head that is ternary. */
static void load_bonsai(void)
{
    load_file("bonsai.q2_0_g128.gguf");
    marker = "the"; /* of " t" and "he" */
    ck_assert_uint_eq(acts_planes(model, ACTS_AUTO), 2);
    ck_assert_ptr_nonnull(model->head_tiles.codes);
}

/* Layers with a state: nothing is found in a cache, and nothing guessed. */
static void load_hybrid(void)
{
    load_file("hybrid.q2_0.gguf");
    marker = "the";
    ck_assert_uint_gt(model->hp.delta.n_layers, 0);
}

static void unload(void)
{
    model_close(&model);
}

/* ------------------------------------------------------------------ requests and answers */

static const char grammar_text[] = "root ::= [a-z]{2,5} (\" \" (root | [0-9] {1,3} | \"ab\"+))?";

/* One in four follows a grammar; every time it is compiled anew. */
static struct grammar *grammar_for(uint32_t i)
{
    struct grammar *g = NULL;
    struct trit_error err;
    if (i % 4 == 3)
        ck_assert_int_eq(grammar_compile(grammar_text, strlen(grammar_text), NULL, &g, &err), 0);
    return g;
}

/* One in four waits for the model's marker and then follows it. */

static bool waits(uint32_t i)
{
    return i < ANSWERS && i % 4 == 1;
}

/* Prompts of 1 to 150 tokens, of which pairs begin alike; every kind of sampling, then of pool. */
static struct seq_wish request(uint32_t i)
{
    uint32_t n = i == 0 || i == ANSWERS ? 1 : 10 + 37 * i % 140;
    struct seq_wish w = {.n_prompt = n,
                         .max_new = MAX_NEW,
                         .priority = SEQ_LOW,
                         .tenant = 1,
                         .want_logprobs = true,
                         .n_top = N_TOP};
    if (i >= ANSWERS) {
        w.max_new = w.n_top = 0;
        w.want_logprobs = false;
        w.pool = i % 2 ? SEQ_POOL_LAST : SEQ_POOL_MEAN;
        w.n_hidden = model->hp.dim;
    }
    w.sampler = (struct sampler_params){.temperature = i % 3 ? 0.9f : 0,
                                        .top_p = i % 3 == 2 ? 0.8f : 1,
                                        .repetition_penalty = i % 5 == 4 ? 1.2f : 1,
                                        .seed = 1000 + i};
    w.prompt = mem_zalloc(n, sizeof *w.prompt);
    w.grammar = i < ANSWERS ? grammar_for(waits(i) ? 3 : i) : NULL;
    if (waits(i))
        ck_assert_ptr_nonnull(w.marker = mem_strdup(marker));
    for (uint32_t p = 0; p < n; p++)
        w.prompt[p] = (int32_t)((p < 70 ? p * (7 + i / 2) : p * (9 + i)) % 256);
    return w;
}

static struct seq_wish other(void)
{
    struct seq_wish w = {.n_prompt = 1 + pick(200),
                         .max_new = 1 + pick(30),
                         .tenant = pick(3),
                         .priority = (enum seq_priority)pick(SEQ_PRIORITIES)};
    w.sampler = (struct sampler_params){
        .temperature = 1, .top_p = 0.9f, .repetition_penalty = 1, .seed = pick(1000)};
    w.grammar = grammar_for(pick(8));
    w.prompt = mem_zalloc(w.n_prompt, sizeof *w.prompt);
    for (uint32_t i = 0; i < w.n_prompt; i++)
        w.prompt[i] = (int32_t)pick(256);
    return w;
}

struct answer {
    enum seq_end end;
    uint32_t n;
    int32_t token[MAX_NEW];
    uint8_t logprob[MAX_NEW][sizeof(struct seq_logprob) + N_TOP * sizeof(struct sampler_top)];
    float hidden[DIM_MAX];
};

static struct seq *start(struct run *r, struct seq_wish w)
{
    struct trit_error err;
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    ck_assert_msg(engine_submit(r->engine, s, &err) == 0, "%s", err.text);
    r->open++;
    return s;
}

static void take(struct seq *s, struct answer *a)
{
    memset(a, 0, sizeof *a);
    a->end = s->end;
    a->n = atomic_load(&s->published);
    for (uint32_t i = 0; i < a->n; i++) {
        a->token[i] = s->token[i];
        memcpy(a->logprob[i], seq_logprob_at(s, i), sizeof a->logprob[i]);
    }
    if (s->hidden)
        memcpy(a->hidden, s->hidden, s->wish.n_hidden * sizeof *s->hidden);
    seq_free(s);
}

/* ------------------------------------------------------------------ ways to answer */

struct way {
    const char *name;
    unsigned threads, step_tokens, max_batch, pages;
    bool cache, together;
    unsigned drafts, others, rounds;
};

static const struct way alone = {"alone, cold", 1, 256, 1, 64, false, false, 0, 0, 1};

enum { WAYS_OF_BOTH = 3 };
static const struct way ways[] = {
    /* WAYS_OF_BOTH models. */
    {"small chunks", 2, 8, 1, 64, false, false, 0, 0, 1},
    {"together", 2, 64, 16, 256, false, true, 0, 0, 1},
    {"among others, few places", 2, 40, 4, 512, true, true, 3, OTHERS, 2},
    {"two threads", 2, 256, 1, 64, false, false, 0, 0, 1},
    {"three threads, one token at a time", 3, 1, 1, 64, false, false, 0, 0, 1},
    {"warm cache", 2, 64, 4, 256, true, false, 0, 0, 2},
    {"guessing", 2, 64, 1, 64, false, false, 7, 0, 1},
    {"among others", 2, 64, 32, 512, true, true, 0, OTHERS, 2},
    {"among others, few pages", 2, 40, 8, 16, true, true, 15, OTHERS, 2},
};

/* The counts of what happened go to *st. */
static void answer_all(const struct way *w, struct answer *out, uint64_t *preempted, uint64_t *hits,
                       uint64_t *right)
{
    struct run r;
    struct engine_options o = run_options(model, k);
    struct seq *mine[REQUESTS], *others[OTHERS];
    o.threads = w->threads;
    o.step_tokens = w->step_tokens;
    o.max_batch = w->max_batch;
    o.kv_bytes = w->pages * kv_page_bytes(model, KV_F16);
    o.prefix_cache = w->cache;
    o.draft_tokens = w->drafts;
    o.token_target = 0.001;
    run_open(&r, &o);
    for (unsigned round = 0; round < w->rounds; round++) {
        for (uint32_t i = 0; i < REQUESTS; i++) {
            mine[i] = start(&r, request(i));
            if (!w->together)
                run_wait(&r);
            for (uint32_t j = i; w->others && j < w->others; j += REQUESTS)
                others[j] = start(&r, other());
        }
        run_wait(&r);
        for (uint32_t i = 0; i < REQUESTS; i++)
            take(mine[i], &out[i]);
        for (uint32_t j = 0; j < w->others; j++)
            seq_free(others[j]);
    }
    const struct engine_stats *st = engine_stats(r.engine);
    *preempted = atomic_load(&st->preempted);
    *hits = atomic_load(&st->cache_hits);
    *right = atomic_load(&st->guessed_right);
    run_close(&r);
}

/* The answer is a text of the grammar if it ended by itself, and in any case the beginning of one;
 * or else that stands behind the marker.  Whether the grammar was reached. */
static bool ck_follows(const struct answer *a, bool after_marker)
{
    struct grammar *g = grammar_for(3);
    struct grammar_state *st = grammar_state_new(g);
    if (after_marker)
        grammar_state_wait(st, marker);
    for (uint32_t i = 0; i < a->n; i++) {
        size_t len;
        const char *piece = tok_piece(model->tok, a->token[i], &len);
        ck_assert(grammar_waits(st) || tok_is_text(model->tok, a->token[i]));
        ck_assert_int_eq(grammar_accept(st, piece, len), 0);
    }
    ck_assert(a->end == SEQ_LENGTH ? a->n == MAX_NEW : a->end == SEQ_STOP);
    ck_assert(a->end == SEQ_LENGTH || grammar_may_end(st));
    bool reached = !grammar_waits(st);
    grammar_state_free(st);
    grammar_unref(g);
    return reached;
}

START_TEST(same_bytes)
{
    static struct answer base[REQUESTS], now[REQUESTS];
    const struct way *w = &ways[_i];
    uint64_t preempted, hits, right;
    unsigned reached = 0;
    answer_all(&alone, base, &preempted, &hits, &right);
    for (uint32_t i = 0; i < REQUESTS; i++)
        if (i < ANSWERS && i % 4 == 3)
            ck_follows(&base[i], false);
        else if (waits(i))
            reached += ck_follows(&base[i], true);
        else
            ck_assert_int_eq(base[i].end, i < ANSWERS ? SEQ_LENGTH : SEQ_STOP);
    /* Those of the others do not say the marker. */
    if (!model->arch->qk_norms)
        ck_assert_uint_gt(reached, 0);
    ck_assert_int_ne(memcmp(&base[1], &base[2], sizeof base[1]), 0);
    ck_assert_int_ne(memcmp(&base[ANSWERS], &base[ANSWERS + 2], sizeof base[1]), 0);

    answer_all(w, now, &preempted, &hits, &right);
    for (uint32_t i = 0; i < REQUESTS; i++)
        ck_assert_msg(memcmp(&base[i], &now[i], sizeof now[i]) == 0, "%s: request %u differs",
                      w->name, i);
    /* What the way is about did happen. */
    bool hybrid = model->arch->hybrid;
    if (w->cache)
        ck_assert_int_eq(hits > 0, !hybrid);
    if (w->drafts && w->others == 0)
        ck_assert_int_eq(right > 0, !hybrid);
    if (w->others && w->max_batch == 4)
        ck_assert_uint_gt(preempted, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("same");
    TCase *c = tcase_create("same");
    const char *only = getenv("TRIT_WAY");
    seed = unit_seed();
    tcase_set_timeout(c, 300);
    tcase_add_checked_fixture(c, load, unload);
    int from = 0, to = ARRAY_LEN(ways);
    if (only) {
        from = MIN(MAX(atoi(only), 0), to - 1);
        to = from + 1;
    }
    tcase_add_loop_test(c, same_bytes, from, to);
    suite_add_tcase(s, c);
    TCase *b = tcase_create("bonsai");
    tcase_set_timeout(b, 300);
    tcase_add_checked_fixture(b, load_bonsai, unload);
    tcase_add_loop_test(b, same_bytes, 0, WAYS_OF_BOTH);
    suite_add_tcase(s, b);
    TCase *h = tcase_create("hybrid");
    tcase_set_timeout(h, 300);
    tcase_add_checked_fixture(h, load_hybrid, unload);
    tcase_add_loop_test(h, same_bytes, from, to);
    suite_add_tcase(s, h);
    return unit_run(s);
}
