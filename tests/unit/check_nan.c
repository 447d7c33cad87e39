/* SPDX-License-Identifier: MIT */
/*
 * check_nan.c - a NaN in one row of a batch ends that request and no other.
 *
 * It is put in where keys and queries are rotated, of one position that only one sequence reaches,
 * so that it goes through attention, the layers behind it and the head, and stands in a page of KV.
 * What the others say is what they say without, bit for bit; and who asks the same again, with the
 * pages that the prefix cache may have kept, gets a right answer.
 *
 * TRIT_NAN_ROUNDS=1000 for that many rounds; TRIT_SEED repeats a run.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "unit/unit.h"
#include "unit/engine-run.h"

enum {
    ROWS = 16,
    OTHERS = 12,  /* tokens of the prompt of those that nothing happens to, */
    VICTIM = 40,  /* and of the one, which is further than the others come */
    MORE = 10,    /* tokens that each generates */
    NOWHERE = -1, /* a position */
};

static const struct kernels *k;
static struct model *model;
static _Atomic int target = NOWHERE; /* the position */
static _Atomic unsigned hits;

/* Position p is rotated by p radians in its first pair; up to 355 no two are alike. */
static bool is_at(const float *cs, size_t half, int p)
{
    return p >= 0 && fabs((double)cs[0] - cos(p)) < 1e-3 && fabs((double)cs[half] - sin(p)) < 1e-3;
}

static void rope_that_spoils(float *x, const float *cs, enum rope_style style, size_t n_heads,
                             size_t head_dim, size_t half)
{
    k->rope(x, cs, style, n_heads, head_dim, half);
    if (is_at(cs, half, atomic_load(&target))) {
        x[head_dim * n_heads - 1] = NAN;
        atomic_fetch_add(&hits, 1);
    }
}

static struct seq *start(struct run *r, uint64_t salt, unsigned row, uint32_t n_prompt)
{
    struct trit_error err;
    struct seq_wish w = {.n_prompt = n_prompt, .max_new = MORE};
    w.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    w.prompt = mem_zalloc(n_prompt, sizeof *w.prompt);
    for (uint32_t i = 0; i < n_prompt; i++)
        w.prompt[i] = (int32_t)((i * 37 + row * 11 + salt * 101) % 256);
    struct seq *s = seq_new(&w);
    ck_assert_ptr_nonnull(s);
    ck_assert_msg(engine_submit(r->engine, s, &err) == 0, "%s", err.text);
    r->open++;
    return s;
}

/* All rows together, one of them the victim. */
static void go(struct run *r, uint64_t salt, unsigned victim, struct seq *s[ROWS])
{
    for (unsigned i = 0; i < ROWS; i++)
        s[i] = start(r, salt, i, i == victim ? VICTIM : OTHERS);
    run_wait(r);
}

static void expect_same(const struct seq *a, const struct seq *b, unsigned row)
{
    ck_assert_msg(a->end == SEQ_LENGTH && b->end == SEQ_LENGTH, "row %u ends with %d and %d", row,
                  (int)a->end, (int)b->end);
    ck_assert_msg(memcmp(a->token, b->token, MORE * sizeof *a->token) == 0, "row %u differs", row);
}

static void one_round(struct run *r, const struct engine_options *o, uint64_t *seed)
{
    struct seq *s[ROWS], *right[ROWS], *again[ROWS];
    unsigned victim = (unsigned)(unit_random(seed) % ROWS);
    uint64_t salt = unit_random(seed) % 1000000;
    /* In its prompt, or of what it generates, the last of which is never put in again. */
    int first = OTHERS + MORE, last = VICTIM + MORE - 2;
    int at = first + (int)(unit_random(seed) % (unsigned)(last - first + 1));

    atomic_store(&hits, 0);
    atomic_store(&target, at);
    go(r, salt, victim, s);
    atomic_store(&target, NOWHERE);
    ck_assert_msg(atomic_load(&hits) > 0, "position %d was not there", at);
    ck_assert_msg(s[victim]->end == SEQ_FAULT, "the victim ends with %d", (int)s[victim]->end);

    /* By an engine that has seen nothing of it, and by the one that has. */
    struct run fresh;
    run_open(&fresh, o);
    go(&fresh, salt, victim, right);
    run_close(&fresh);
    go(r, salt, victim, again);
    for (unsigned i = 0; i < ROWS; i++) {
        if (i != victim)
            expect_same(s[i], right[i], i);
        expect_same(again[i], right[i], i);
        seq_free(s[i]);
        seq_free(right[i]);
        seq_free(again[i]);
    }
}

START_TEST(a_nan_stays_in_its_row)
{
    const char *given = getenv("TRIT_NAN_ROUNDS");
    unsigned rounds = given ? (unsigned)atoi(given) : 20;
    uint64_t seed = unit_seed();
    struct kernels spoiled = *k;
    struct run r;
    spoiled.rope = rope_that_spoils;
    struct engine_options o = run_options(model, &spoiled);
    o.max_batch = ROWS;
    o.kv_bytes = 128 * kv_page_bytes(model, KV_F16);
    run_open(&r, &o);
    for (unsigned i = 0; i < rounds; i++)
        one_round(&r, &o, &seed);
    run_close(&r);
    printf("%u rounds of %d rows\n", rounds, ROWS);
}
END_TEST

static void load(void)
{
    model = run_load(&k);
}

static void unload(void)
{
    model_close(&model);
}

int main(void)
{
    Suite *s = suite_create("nan");
    TCase *c = tcase_create("nan");
    tcase_set_timeout(c, 600);
    tcase_add_checked_fixture(c, load, unload);
    tcase_add_test(c, a_nan_stays_in_its_row);
    suite_add_tcase(s, c);
    return unit_run(s);
}
