/* SPDX-License-Identifier: MIT */
/* check_base.c - errors, memory, buffers, the mailbox and the team. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/cgroup.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/team.h"
#include "base/utf8.h"
#include "unit/unit.h"

/* The sandbox and a reader's bounds stay away from a sanitizer, whichever compiler has put it
 * in. */
START_TEST(a_sanitizer_is_known)
{
    bool there = dlsym(RTLD_DEFAULT, "__asan_init") || dlsym(RTLD_DEFAULT, "__tsan_init");
    ck_assert_int_eq(TRIT_SANITIZED, there);
}
END_TEST

START_TEST(error_table)
{
    ck_assert_str_eq(trit_err_name(-TRIT_EBUSY), "TRIT_EBUSY");
    ck_assert_int_eq(trit_err_http(TRIT_EBUSY), 429);
    ck_assert_str_eq(trit_err_api(-TRIT_ECONTEXT), "context_length_exceeded");
    ck_assert_ptr_null(trit_err_api(TRIT_EINVAL));
    struct trit_error err;
    ck_assert_int_eq(trit_fail(&err, TRIT_EINVAL, "%s is %d", "n", 9), -TRIT_EINVAL);
    ck_assert_str_eq(err.text, "n is 9");
    ck_assert_int_eq(err.code, TRIT_EINVAL);
    ck_assert_int_eq(trit_fail(NULL, TRIT_EIO, "nobody listens"), -TRIT_EIO);
}
END_TEST

START_TEST(error_text_is_cut_not_overrun)
{
    struct trit_error err;
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    trit_fail(&err, TRIT_EINVAL, "%s", long_text);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
}
END_TEST

START_TEST(error_text_is_utf8)
{
    struct trit_error err;
    char long_text[2000] = "";
    trit_fail(&err, TRIT_EINVAL, "%.4s, \xff: %s", "a\xe2\x82\xac", "\xff\xc3(\xe2\x82");
    ck_assert_str_eq(err.text, "a\xe2\x82\xac, ?: ?" "?(??");
    trit_fail(&err, TRIT_EINVAL, "%.3s|", "a\xe2\x82\xac");
    ck_assert_str_eq(err.text, "a??|");
    for (size_t i = 0; i + 3 < sizeof long_text; i += 3)
        strcat(long_text, "\xe2\x82\xac");
    for (size_t from = 0; from < 3; from++) {
        trit_fail(&err, TRIT_EINVAL, "%.*s%s", (int)from, "xx", long_text);
        ck_assert(utf8_valid(err.text, strlen(err.text)));
        ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    }
}
END_TEST

START_TEST(memory_refuses_overflow)
{
    ck_assert_ptr_null(mem_zalloc(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mem_zalloc_line(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mem_resize(NULL, SIZE_MAX / 2, 3));
    void *p = mem_zalloc_line(3, 5);
    ck_assert_uint_eq((uintptr_t)p % 64, 0);
    mem_free(p);
}
END_TEST

START_TEST(memory_fails_on_demand)
{
    mem_fail_at(2);
    void *first = mem_zalloc(1, 1);
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(mem_fail_pending(), 1);
    ck_assert_ptr_null(mem_zalloc(1, 1));
    ck_assert_int_eq(mem_fail_pending(), 0);
    void *third = mem_zalloc(1, 1);
    ck_assert_ptr_nonnull(third);
    mem_free(first);
    mem_free(third);
}
END_TEST

/* The kernel reads for us: where it may not, write(2) says EFAULT and nobody dies. */
START_TEST(mapping_has_a_guard)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), sizes[] = {1, page, 3 * page - 5};
    int ends[2];
    ck_assert(pipe(ends) == 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t usable = round_up(sizes[i], page);
        uint8_t *p = mem_map(sizes[i]);
        ck_assert_ptr_nonnull(p);
        ck_assert(p[0] == 0 && p[usable - 1] == 0);
        p[usable - 1] = 1;
        ck_assert_int_eq(write(ends[1], p + usable - 1, 1), 1);
        errno = 0;
        ck_assert_int_eq(write(ends[1], p + usable, 1), -1);
        ck_assert_int_eq(errno, EFAULT);
        mem_unmap(p, sizes[i]);
    }
    ck_assert_ptr_null(mem_map(0));
    ck_assert_ptr_null(mem_map(SIZE_MAX));
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(buffer_builds_text)
{
    struct buf b = {0};
    buf_adds(&b, "one ");
    buf_addf(&b, "%d %s", 2, "two");
    buf_addc(&b, '\0');
    buf_add(&b, "x", 1);
    ck_assert_uint_eq(b.len, 11);
    ck_assert_int_eq(memcmp(b.data, "one 2 two\0x", 12), 0);
    buf_consume(&b, 4);
    ck_assert_str_eq(b.data, "2 two");
    size_t len;
    char *s = buf_take(&b, &len);
    ck_assert_uint_eq(len, 7);
    ck_assert_ptr_null(b.data);
    mem_free(s);
}
END_TEST

START_TEST(buffer_remembers_failure)
{
    struct buf b = {0};
    buf_adds(&b, "kept");
    mem_fail_at(1);
    for (int i = 0; i < 100; i++)
        buf_adds(&b, "0123456789");
    ck_assert(b.failed);
    ck_assert_uint_lt(b.len, 1000);
    ck_assert_ptr_null(buf_take(&b, NULL));
    ck_assert_ptr_null(b.data);
}
END_TEST

enum { PUTTERS = 4, PUTS = 5000 };

struct counted {
    struct mailbox_node node;
    atomic_uint raised;
    unsigned seen;
};

struct crowd {
    struct mailbox box;
    struct counted item[PUTTERS];
    atomic_uint rings, finished;
};

static void count_ring(void *arg)
{
    atomic_fetch_add(&((struct crowd *)arg)->rings, 1);
}

struct putter {
    struct crowd *crowd;
    unsigned index;
};

static void *put_many(void *arg)
{
    struct putter *p = arg;
    struct counted *c = &p->crowd->item[p->index];
    for (unsigned i = 1; i <= PUTS; i++) {
        atomic_store(&c->raised, i);
        mailbox_post(&p->crowd->box, &c->node);
    }
    atomic_fetch_add(&p->crowd->finished, 1);
    return NULL;
}

static void look(struct mailbox_node *node, void *arg)
{
    struct counted *c = CONTAINER_OF(node, struct counted, node);
    (void)arg;
    c->seen = atomic_load(&c->raised);
}

/* News raised while the owner looks at older news must not be lost: after the last drain the owner
 * has seen everybody's last value. */
START_TEST(mailbox_loses_nothing)
{
    struct crowd crowd = {0};
    pthread_t thread[PUTTERS];
    struct putter putter[PUTTERS];
    mailbox_init(&crowd.box, count_ring, &crowd);
    for (unsigned i = 0; i < PUTTERS; i++) {
        putter[i] = (struct putter){&crowd, i};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, put_many, &putter[i]), 0);
    }
    while (atomic_load(&crowd.finished) < PUTTERS)
        mailbox_drain(&crowd.box, look, NULL);
    for (unsigned i = 0; i < PUTTERS; i++)
        pthread_join(thread[i], NULL);
    mailbox_drain(&crowd.box, look, NULL);
    for (unsigned i = 0; i < PUTTERS; i++)
        ck_assert_uint_eq(crowd.item[i].seen, PUTS);
    ck_assert_uint_ge(atomic_load(&crowd.rings), 1);
    mailbox_fini(&crowd.box);
}
END_TEST

struct deal {
    struct team *team;
    unsigned rounds;
    atomic_uint done[64];
    atomic_uint late; /* items of a later phase that began before an earlier one was over */
    atomic_uint finished_items;
};

/* What is done while waiting, until it has been done. */
static bool thrice(void *ctx)
{
    return ++*(unsigned *)ctx < 3;
}

static void deal_run(void *arg, unsigned worker)
{
    (void)worker;
    struct deal *d = arg;
    for (unsigned round = 0; round < d->rounds; round++) {
        for (size_t i; (i = team_take(d->team, 3)) < ARRAY_LEN(d->done);) {
            for (size_t k = i; k < MIN(i + 3, ARRAY_LEN(d->done)); k++) {
                if (atomic_fetch_add(&d->done[k], 1) != round)
                    atomic_fetch_add(&d->late, 1);
                atomic_fetch_add(&d->finished_items, 1);
            }
        }
        team_barrier(d->team);
        if (atomic_load(&d->finished_items) < (round + 1) * ARRAY_LEN(d->done))
            atomic_fetch_add(&d->late, 1);
        unsigned times = 0;
        team_barrier_idle(d->team, thrice, &times);
        if (times > 3)
            atomic_fetch_add(&d->late, 1);
    }
}

START_TEST(team_deals_every_item_once)
{
    struct trit_error err;
    for (unsigned n = 1; n <= 5; n++) {
        struct deal d = {.rounds = 200};
        ck_assert_int_eq(team_open(&d.team, n, false, &err), 0);
        ck_assert_uint_eq(team_size(d.team), n);
        team_run(d.team, deal_run, &d);
        for (size_t i = 0; i < ARRAY_LEN(d.done); i++)
            ck_assert_uint_eq(atomic_load(&d.done[i]), d.rounds);
        ck_assert_uint_eq(atomic_load(&d.late), 0);
        team_close(&d.team);
        ck_assert_ptr_null(d.team);
    }
}
END_TEST

START_TEST(team_changes_its_size)
{
    static const unsigned sizes[] = {1, 4, 4, 2, 3, 1, 4};
    struct trit_error err;
    struct team *team;
    ck_assert_int_eq(team_open(&team, 4, true, &err), 0);
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct deal d = {.team = team, .rounds = 20};
        ck_assert_uint_eq(team_resize(team, sizes[k]), sizes[k]);
        ck_assert_uint_eq(team_size(team), sizes[k]);
        ck_assert_uint_eq(team_room(team), 4);
        team_run(team, deal_run, &d);
        for (size_t i = 0; i < ARRAY_LEN(d.done); i++)
            ck_assert_uint_eq(atomic_load(&d.done[i]), d.rounds);
        ck_assert_uint_eq(atomic_load(&d.late), 0);
    }
    team_close(&team);
}
END_TEST

static void first_sleeps(void *arg, unsigned worker)
{
    atomic_uint *here = arg;
    atomic_fetch_add(here, 1);
    while (atomic_load(here) % 2 != 0)
        sched_yield();
    if (worker == 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Time between runs is nobody's.  The others' part of a run is counted when the next begins. */
START_TEST(team_counts_its_time)
{
    struct trit_error err;
    struct team *team;
    atomic_uint here = 0;
    double busy, wait, begin = trit_now();
    ck_assert_int_eq(team_open(&team, 2, false, &err), 0);
    for (int i = 0; i < 3; i++)
        team_run(team, first_sleeps, &here);
    team_seconds(team, 0, &busy, &wait);
    ck_assert_double_ge(busy, 0.0599);
    ck_assert_double_le(busy + wait, trit_now() - begin);
    team_seconds(team, 1, &busy, &wait);
    ck_assert_double_ge(busy + wait, 0.0399);
    ck_assert_double_gt(wait, 0);
    ck_assert_double_le(busy + wait, trit_now() - begin);
    team_close(&team);
}
END_TEST

static void note_nice(void *ctx, unsigned worker)
{
    ((int *)ctx)[worker] = getpriority(PRIO_PROCESS, 0);
}

/* As an engine's thread does: it starts workers, and later others. */
static void *engine_like(void *arg)
{
    struct team *team;
    struct trit_error err;
    ck_assert(slice_behind());
    ck_assert_int_eq(team_open(&team, 3, false, &err), 0);
    ck_assert_uint_eq(team_resize(team, 1), 1);
    ck_assert_uint_eq(team_resize(team, 3), 3);
    team_run(team, note_nice, arg);
    team_close(&team);
    return NULL;
}

START_TEST(team_is_one_step_behind)
{
    int nice[3], want = MIN(getpriority(PRIO_PROCESS, 0) + 5, 19);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, engine_like, nice), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(nice[i], want);
}
END_TEST

START_TEST(team_refuses_nonsense)
{
    struct trit_error err = {0};
    struct team *t;
    ck_assert_int_eq(team_open(&t, 0, false, &err), -TRIT_EINVAL);
    ck_assert(strstr(err.text, "expected 1 to"));
    ck_assert_ptr_null(t);
    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        ck_assert_int_eq(team_open(&t, 2, false, &err), -TRIT_ENOMEM);
        ck_assert_ptr_null(t);
    }
    ck_assert_uint_ge(team_usable_cpus(), 1);
}
END_TEST

START_TEST(log_levels)
{
    ck_assert_int_eq(log_level_parse("warn"), LOG_WARN);
    ck_assert_int_eq(log_level_parse("loud"), -1);
    ck_assert_str_eq(log_level_name(LOG_DEBUG), "debug");
    log_open(LOG_WARN, 0);
    ck_assert(log_enabled(LOG_ERROR));
    ck_assert(!log_enabled(LOG_INFO));
    log_set_level(LOG_INFO);
    ck_assert(log_enabled(LOG_INFO));
}
END_TEST

START_TEST(throttling_is_summed_up_to_the_root)
{
    char dir[] = "/tmp/check_base.XXXXXX", path[64];
    double seconds;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    cgroup_set_root(dir);
    ck_assert(!cgroup_throttled(&seconds));
    snprintf(path, sizeof path, "%s/cpu.stat", dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs("usage_usec 99\nnr_throttled 3\nthrottled_usec 2500000\nnr_bursts 0\n", f);
    fclose(f);
    /* Whichever our group is, above it is the root. */
    f = fopen("/proc/self/cgroup", "r");
    char line[400];
    bool v2 = false;
    while (f && fgets(line, sizeof line, f))
        v2 = v2 || strncmp(line, "0::/", 4) == 0;
    fclose(f);
    ck_assert_int_eq(cgroup_throttled(&seconds), v2);
    ck_assert_double_eq_tol(seconds, v2 ? 2.5 : 0, 1e-9);
    cgroup_set_root(NULL);
    unlink(path);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *c = tcase_create("base");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_sanitizer_is_known);
    tcase_add_test(c, error_table);
    tcase_add_test(c, error_text_is_cut_not_overrun);
    tcase_add_test(c, error_text_is_utf8);
    tcase_add_test(c, memory_refuses_overflow);
    tcase_add_test(c, memory_fails_on_demand);
    tcase_add_test(c, mapping_has_a_guard);
    tcase_add_test(c, buffer_builds_text);
    tcase_add_test(c, buffer_remembers_failure);
    tcase_add_test(c, mailbox_loses_nothing);
    tcase_add_test(c, team_deals_every_item_once);
    tcase_add_test(c, team_changes_its_size);
    tcase_add_test(c, team_counts_its_time);
    tcase_add_test(c, team_is_one_step_behind);
    tcase_add_test(c, team_refuses_nonsense);
    tcase_add_test(c, log_levels);
    tcase_add_test(c, throttling_is_summed_up_to_the_root);
    suite_add_tcase(s, c);
    return unit_run(s);
}
