/* SPDX-License-Identifier: MIT */
/* check_proof.c - weights that are proved while the first token is computed, and what becomes of
 * those who wait for it where they are damaged. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/segment.h"
#include "engine/stats.h"
#include "unit/unit.h"
#include "unit/engine-run.h"

static const struct kernels *k;
static struct trit_error err;
static char dir[64], file[2048];

static void setup(void)
{
    k = kernels_pick(kernels_cpu_detect());
    log_open(LOG_ERROR, 0);
    run_path(RUN_MODEL, file, sizeof file);
    snprintf(dir, sizeof dir, "/tmp/tritd-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    segment_set_dir(dir);
}

static void teardown(void)
{
    struct segment_info *list;
    size_t n;
    ck_assert_int_eq(segment_list(&list, &n, &err), 0);
    for (size_t at = 0; at < n; at++)
        ck_assert_int_eq(segment_remove(list[at].name, &err), 0);
    mem_free(list);
    segment_set_dir("/dev/shm");
    ck_assert_int_eq(rmdir(dir), 0);
}

static struct model_options options(enum table_type tables)
{
    return (struct model_options){
        .layout = k->layout, .tables = tables, .shared = true, .prove_later = true};
}

/* Attached to, with all left to be proved; path[200] of its segment. */
static struct model *attach(enum table_type tables, char *path)
{
    struct model_options o = options(tables);
    struct model *m;
    ck_assert_msg(model_load(file, &o, &m, &err) == 0, "%s", err.text);
    if (!m->segment.attached) { /* others rejected it, or it is the first */
        ck_assert_ptr_null(m->segment.proof);
        ck_assert_int_eq(model_publish(m, &err), 0);
        model_close(&m);
        ck_assert_msg(model_load(file, &o, &m, &err) == 0, "%s", err.text);
    }
    ck_assert(m->segment.attached && model_chunks(m) > 0 && !model_is_damaged(m));
    memset(m->segment.proof->done, 0, m->segment.proof->n); /* what the tokenizer's time was for */
    snprintf(path, 200, "%s/%s", dir, m->segment.name);
    return m;
}

/* A bit of the packed weights, which lie in a file of their own. */
static void damage(const struct model *m, const char *path, uint64_t at)
{
    uint8_t byte;
    off_t place = (off_t)((size_t)(m->segment.payload - m->segment.map) + at);
    ck_assert_int_eq(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    ck_assert_int_eq((int)pread(fd, &byte, 1, place), 1);
    byte ^= 1;
    ck_assert_int_eq((int)pwrite(fd, &byte, 1, place), 1);
    close(fd);
    ck_assert_int_eq(chmod(path, 0400), 0);
}

static void all_are_proved(const struct model *m)
{
    for (size_t c = 0; c < model_chunks(m); c++)
        ck_assert_msg(m->segment.proof->done[c], "chunk %zu", c);
}

/* What was left for the first token to prove is proved by it, every chunk; and of damage anywhere,
 * done after the weights were attached to, no engine is the result. */
START_TEST(weights_are_proved_by_the_first_token)
{
    char path[200];
    uint64_t seed = unit_seed();
    for (int i = 0; i < 24; i++) {
        struct engine *e;
        struct model *m = attach(i % 2 ? TABLE_Q8 : TABLE_TERNARY, path);
        if (i >= 2)
            damage(m, path, unit_random(&seed) % m->segment.payload_bytes);
        struct engine_options eo = run_options(m, k);
        struct run r = {0};
        mailbox_init(&r.events, run_ring, &r);
        sem_init(&r.bell, 0, 0);
        eo.events = &r.events;
        int rc = engine_open(&eo, &e, &err);
        all_are_proved(m);
        ck_assert_int_eq(rc, i >= 2 ? -TRIT_EFORMAT : 0);
        ck_assert(model_is_damaged(m) == (i >= 2));
        engine_close(&e);
        mailbox_fini(&r.events);
        sem_destroy(&r.bell);
        if (model_is_damaged(m))
            model_reject(&m);
        else
            model_close(&m);
        ck_assert_int_eq(access(path, F_OK), i >= 2 ? -1 : 0);
    }
}
END_TEST

/* ------------------------------------------------------------------ clients before the proof */

enum { CLIENTS = 4, LONGEST = 12 };

/* Greedy, and `which` of several prompts. */
static struct seq *submit(struct run *r, struct seq_wish *w, int which)
{
    w->sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    w->prompt = mem_zalloc(w->n_prompt, sizeof *w->prompt);
    for (uint32_t i = 0; i < w->n_prompt; i++)
        w->prompt[i] = (int32_t)((i + (uint32_t)which) * 37 % 256);
    struct seq *s = seq_new(w);
    ck_assert_ptr_nonnull(s);
    ck_assert_msg(engine_submit(r->engine, s, &err) == 0, "%s", err.text);
    r->open++;
    return s;
}

/* An answer, one with its logprobs to a prompt of two steps, a vector, and one that is given up. */
static struct seq *ask(struct run *r, const struct model *m, int which)
{
    struct seq_wish w = {.n_prompt = which == 1 ? 100 : 9,
                         .max_new = which == 2 ? 0 : LONGEST,
                         .want_logprobs = which == 1,
                         .want_prompt_logprobs = which == 1,
                         .n_top = which == 1 ? 2 : 0,
                         .pool = which == 2 ? SEQ_POOL_MEAN : SEQ_POOL_NONE,
                         .n_hidden = which == 2 ? m->hp.dim : 0};
    return submit(r, &w, which);
}

static void same_answer(const struct seq *a, const struct seq *b)
{
    ck_assert_int_eq(a->end, b->end);
    uint32_t n = atomic_load(&a->published);
    ck_assert_uint_eq(n, atomic_load(&b->published));
    ck_assert_int_eq(memcmp(a->token, b->token, n * sizeof *a->token), 0);
    if (a->logprob_stride && a->wish.want_logprobs)
        ck_assert_int_eq(memcmp(a->logprob, b->logprob, n * a->logprob_stride), 0);
    for (uint32_t i = 1; a->wish.want_prompt_logprobs && i < a->wish.n_prompt; i++)
        ck_assert(seq_prompt_logprob_at(a, i)->logprob == seq_prompt_logprob_at(b, i)->logprob);
    if (a->wish.pool)
        ck_assert_int_eq(memcmp(a->hidden, b->hidden, a->wish.n_hidden * sizeof *a->hidden), 0);
}

static bool is_untold(const struct seq *s)
{
    return s->end == SEQ_RUNNING && atomic_load(&s->published) == 0 &&
           atomic_load(&s->prompt_published) == 0;
}

/* Whole weights in the place of damaged ones. */
static void renew(struct run *r, struct model *m, const char *path)
{
    struct model_options o = options(m->head.type);
    struct model *fresh;
    const uint8_t *payload = m->segment.payload;
    o.tables = (enum table_type)m->segment.source.tables;
    o.prove_later = false;
    ck_assert_msg(model_repack(m, file, &o, &fresh, &err) == 0, "%s", err.text);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(model_take_weights(m, &fresh, &err), 0);
    ck_assert(!fresh && !model_is_damaged(m) && m->segment.payload == payload);
    engine_mended(r->engine);
    ck_assert_msg(engine_await_proof(r->engine, &err) == 0, "%s", err.text);
    ck_assert_int_eq(model_publish(m, &err), 0);
    ck_assert_int_eq(access(path, F_OK), 0);
}

/* Damaged weights were proved, nothing was told: one gives up, one more comes, and then there are
 * whole ones. */
static void mend(struct run *r, struct model *m, const char *path, struct seq **s)
{
    ck_assert(model_is_damaged(m));
    all_are_proved(m);
    engine_events(&r->events, run_event, r);
    for (int c = 0; c < CLIENTS; c++) {
        ck_assert(!s[c] || is_untold(s[c]));
        s[c] = s[c] ? s[c] : ask(r, m, c);
    }
    engine_cancel(r->engine, s[3]);
    while (s[3]->end == SEQ_RUNNING)
        run_listen(r);
    ck_assert_int_eq(s[3]->end, SEQ_CANCELLED);
    ck_assert(is_untold(s[0]) && is_untold(s[1]) && is_untold(s[2]));
    renew(r, m, path);
}

START_TEST(whoever_is_first_proves_them)
{
    struct run r;
    char path[200];
    uint64_t seed = unit_seed();
    struct model_options plain = options(TABLE_TERNARY);
    struct model *m;
    struct seq *want[CLIENTS], *s[CLIENTS];
    plain.shared = plain.prove_later = false;
    ck_assert_int_eq(model_load(file, &plain, &m, &err), 0);
    struct engine_options eo = run_options(m, k);
    run_open(&r, &eo);
    ck_assert_int_eq(engine_await_proof(r.engine, &err), 0);
    for (int c = 0; c < CLIENTS; c++)
        want[c] = ask(&r, m, c);
    run_wait(&r);
    run_close(&r);
    model_close(&m);

    for (int i = 0; i < 32; i++) {
        bool is_damaged = i % 4, nobody = i % 8 == 7;
        m = attach(TABLE_TERNARY, path);
        if (is_damaged) /* but not the tokenizer's tables, which are proved before they are used */
            damage(m, path, unit_random(&seed) % m->weight_bytes);
        eo = run_options(m, k);
        eo.prove_later = true;
        run_open(&r, &eo);
        for (int c = 0; c < CLIENTS; c++)
            s[c] = nobody || c == i % CLIENTS ? NULL : ask(&r, m, c);
        int rc = engine_await_proof(r.engine, &err);
        ck_assert_int_eq(rc, is_damaged ? -TRIT_EFORMAT : 0);
        if (is_damaged)
            mend(&r, m, path, s);
        else
            all_are_proved(m);
        run_wait(&r);
        for (int c = 0; c < CLIENTS; c++) {
            if (s[c] && s[c]->end != SEQ_CANCELLED)
                same_answer(s[c], want[c]);
            seq_free(s[c]);
        }
        run_close(&r);
        model_close(&m);
        ck_assert_int_eq(access(path, F_OK), 0);
    }
    for (int c = 0; c < CLIENTS; c++)
        seq_free(want[c]);
}
END_TEST

/* ------------------------------------------------------------------ what a predecessor has left */

static struct seq *ask_long(struct run *r, int which)
{
    struct seq_wish w = {.n_prompt = 5 * KV_PAGE_TOKENS, .max_new = 4, .want_logprobs = true};
    return submit(r, &w, which);
}

static struct seq *answer_long(struct run *r, int which)
{
    struct seq *s = ask_long(r, which);
    run_wait(r);
    return s;
}

static struct engine_options lasting(const struct model *m, int fd)
{
    struct engine_options eo = run_options(m, k);
    eo.prefix_cache = eo.lasting = true;
    eo.kv_fd = fd;
    return eo;
}

/* Weights that are found damaged at a start were so already when the predecessor used them: the
 * pages that he has left are whole by their sums, but wrong. */
START_TEST(pages_of_damaged_weights_go_with_them)
{
    struct run r;
    char path[200];
    bool inherited;
    uint64_t seed = unit_seed();
    for (int i = 0; i < 4; i++) { /* with a client before the proof, and without */
        struct model *old = attach(TABLE_TERNARY, path), *m = attach(TABLE_TERNARY, path);
        struct engine_options eo = lasting(old, POOL_NEW);
        run_open(&r, &eo);
        struct seq *want = answer_long(&r, 1);
        seq_free(answer_long(&r, 0));
        for (int n = 0; n < 200; n++)
            damage(old, path, unit_random(&seed) % old->weight_bytes);
        struct seq *wrong = answer_long(&r, 2);
        int fd = dup(engine_kv_fd(r.engine, &inherited));
        run_close(&r);
        model_close(&old);

        eo = lasting(m, fd);
        eo.prove_later = true;
        run_open(&r, &eo);
        ck_assert(engine_kv_fd(r.engine, &inherited) >= 0 && inherited);
        struct seq *early = i % 2 ? ask_long(&r, 2) : NULL;
        ck_assert_int_eq(engine_await_proof(r.engine, &err), -TRIT_EFORMAT);
        ck_assert_uint_eq(atomic_load(&engine_stats(r.engine)->kv_kept), 0);
        renew(&r, m, path);
        run_wait(&r);
        struct seq *late = answer_long(&r, 2), *same = answer_long(&r, 1);
        ck_assert(!early || early->n_cached == 0);
        ck_assert_uint_eq(late->n_cached, early ? 4 * KV_PAGE_TOKENS : 0);
        ck_assert_uint_eq(same->n_cached, 0);
        same_answer(same, want);
        if (early)
            same_answer(early, late);
        ck_assert_int_ne(memcmp(wrong->logprob, late->logprob, late->logprob_stride), 0);
        run_close(&r);
        model_close(&m);
        seq_free(want);
        seq_free(wrong);
        seq_free(early);
        seq_free(late);
        seq_free(same);
    }
}
END_TEST

/* It ends like any other while it waits for whole weights, or for a first client. */
START_TEST(closing_before_the_proof)
{
    struct run r;
    char path[200];
    for (int i = 0; i < 4; i++) {
        struct model *m = attach(TABLE_TERNARY, path);
        if (i % 2)
            damage(m, path, m->segment.payload_bytes / 2);
        struct engine_options eo = run_options(m, k);
        eo.prove_later = true;
        run_open(&r, &eo);
        struct seq *s = i < 2 ? ask(&r, m, 0) : NULL;
        if (i % 2)
            ck_assert_int_eq(engine_await_proof(r.engine, &err), -TRIT_EFORMAT);
        engine_stop(r.engine);
        if (i % 2 == 0) {
            int rc = engine_await_proof(r.engine, &err);
            /* A client's token, or the dummy one where this thread has rested for so long. */
            ck_assert(rc == -TRIT_ECANCELLED || rc == 0);
        }
        run_close(&r);
        ck_assert(!s || s->end == SEQ_CANCELLED || (i == 0 && s->end != SEQ_RUNNING));
        seq_free(s);
        if (i % 2)
            model_reject(&m);
        else
            model_close(&m);
    }
}
END_TEST

/* Files that are others by now are no remedy. */
START_TEST(another_model_is_not_taken)
{
    char path[200], other[2048];
    struct model *m = attach(TABLE_TERNARY, path), *fresh;
    struct model_options o = options(TABLE_TERNARY);
    run_path("bonsai.q2_0_g128.gguf", other, sizeof other);
    ck_assert_int_eq(model_repack(m, other, &o, &fresh, &err), -TRIT_EFORMAT);
    ck_assert_ptr_null(fresh);
    ck_assert_ptr_nonnull(strstr(err.text, "has changed"));
    ck_assert_int_ne(access(path, F_OK), 0);
    model_close(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof");
    TCase *c = tcase_create("proof");
    tcase_set_timeout(c, 300);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, weights_are_proved_by_the_first_token);
    tcase_add_test(c, whoever_is_first_proves_them);
    tcase_add_test(c, pages_of_damaged_weights_go_with_them);
    tcase_add_test(c, closing_before_the_proof);
    tcase_add_test(c, another_model_is_not_taken);
    suite_add_tcase(s, c);
    return unit_run(s);
}
