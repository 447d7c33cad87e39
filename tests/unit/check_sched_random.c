/* SPDX-License-Identifier: MIT */
/*
 * check_sched_random.c - the scheduler on any day: whoever comes, leaves or fails, answers are what
 * they should be.
 *
 * TRIT_DAYS=10 for fewer of them, under tools that make it slow.
 */
#include "config.h"

#include "unit/sched-drive.h"

static uint64_t seed;

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
    drive_fill(text, n, 1 + (int32_t)(pick(3)));
    if (pick(2))
        text[pick(n)] = 999;
    if (kv_pages_for(n + max_new) > pages)
        n = 10;
    struct seq *s = drive_seq(text, n, max_new);
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
    drive_add(&c->d, c->all[c->n++] = s);
    for (; twins && c->n < ARRAY_LEN(c->all); twins--) {
        struct seq *t = drive_seq(s->wish.prompt, s->wish.n_prompt, s->wish.max_new);
        t->wish.tenant = s->wish.tenant;
        t->wish.salt = s->wish.salt;
        t->wish.priority = s->wish.priority;
        t->wish.group = s->wish.group;
        t->wish.sampler.seed = twins;
        drive_add(&c->d, c->all[c->n++] = t);
    }
}

/* All that is computed turns out to be wrong. */
static void spoil(struct drive *d)
{
    memset(d->kv.pool, 0x77, d->kv.pool_bytes);
    sched_start_over(d->sched);
    sched_check(d->sched);
    ck_assert_uint_eq(d->kv.n_free, d->kv.n_pages);
}

START_TEST(random_days)
{
    struct chaos c = {0};
    seed += (uint64_t)_i * 2654435761u;
    struct sched_options o = {.max_running = 1 + pick(8), .token_target = 0.03};
    o.max_rows = o.max_running + pick(100);
    o.max_slots = o.max_running + pick(10);
    o.draft_tokens = pick(3) ? pick(SEQ_DRAFT_MAX + 1) : 0;
    if (pick(3))
        drive_open(&c.d, 5 + pick(60), o, pick(4) != 0);
    else
        drive_open_hybrid(&c.d, 5 + pick(60), o);
    uint32_t busy = 1 + pick(20), wanted = 20 + pick(150);
    while (c.n < wanted || c.d.n_ended < c.n) {
        if (c.n < wanted && pick(busy) == 0)
            arrive(&c);
        struct seq *s = c.n ? c.all[pick(c.n)] : NULL;
        c.d.faulty = NULL;
        if (s && s->end == SEQ_RUNNING && pick(50) == 0)
            c.d.faulty = s;
        if (s && s->end == SEQ_RUNNING && pick(60) == 0)
            drive_end(&c.d, s, SEQ_CANCELLED);
        if (pick(300) == 0)
            spoil(&c.d);
        if (drive_step(&c.d) == 0) {
            ck_assert_uint_eq(c.d.n_ended, c.n); /* Idle only when there is nobody. */
            c.d.now += 1;
        }
        ck_assert_uint_lt(c.d.steps, 200000);
    }
    for (uint32_t i = 0; i < c.n; i++) {
        ck_assert_int_ne(c.all[i]->end, SEQ_RUNNING);
        drive_check(c.all[i]);
        seq_free(c.all[i]);
    }
    drive_close(&c.d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sched_random");
    TCase *c = tcase_create("sched_random");
    const char *days = getenv("TRIT_DAYS");
    seed = unit_seed();
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, random_days, 0, days ? atoi(days) : 200);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
