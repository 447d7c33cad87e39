/* SPDX-License-Identifier: MIT */
/*
 * check_proc.c - this process's own memory, told apart.
 */
#include "config.h"
#include "proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "unit/unit.h"

enum { MIB = 1 << 20 };

static uint64_t sum(const struct proc_memory *m)
{
    return m->weights + m->kv + m->files + m->heap + m->anonymous;
}

START_TEST(test_memory)
{
    char path[] = "/tmp/tritd-check-proc.XXXXXX", prefix[64];
    struct proc_memory m, before;
    struct trit_error err;
    /* A mapping of a file in the role of the weights, half of it touched; and a pool of which two
     * of seven MiB are in use. */
    int fd = mkstemp(path);
    ck_assert(fd >= 0 && ftruncate(fd, 4 * MIB) == 0);
    snprintf(prefix, sizeof prefix, "%.*s", (int)strlen(path) - 3, path);
    ck_assert_int_eq(proc_memory(getpid(), prefix, 7 * MIB, &before, &err), 0);
    ck_assert_uint_eq(before.weights, 0);
    ck_assert_uint_eq(before.rss, sum(&before));
    uint8_t *file = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *pool = mmap(NULL, 7 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(file != MAP_FAILED && pool != MAP_FAILED);
    /* Nothing but what is asked for: pages one by one, and no merging with a neighbour. */
    madvise(pool, 7 * MIB, MADV_NOHUGEPAGE);
    madvise(file, 4 * MIB, MADV_RANDOM);
    memset(file, 1, 2 * MIB);
    memset(pool, 1, 2 * MIB);
    ck_assert_int_eq(proc_memory(getpid(), prefix, 7 * MIB, &m, &err), 0);
    ck_assert_uint_eq(m.weights, 2 * MIB);
    ck_assert_uint_eq(m.kv, 2 * MIB);
    ck_assert_uint_eq(m.rss, sum(&m));
    ck_assert(m.files > 0 && m.anonymous > 0 && m.pss > 0 && m.pss <= m.rss);
    /* A pool larger than anything mapped is not found, and nothing is taken for it. */
    ck_assert_int_eq(proc_memory(getpid(), prefix, UINT64_MAX / 2, &m, &err), 0);
    ck_assert_uint_eq(m.kv, 0);
    munmap(file, 4 * MIB);
    munmap(pool, 7 * MIB);
    close(fd);
    unlink(path);
    ck_assert_int_eq(proc_memory(-1, prefix, 0, &m, &err), -TRIT_ENOENT);
}
END_TEST

START_TEST(test_cpu)
{
    struct proc_cpu before, after;
    struct trit_error err;
    ck_assert_int_eq(proc_cpu(getpid(), &before, &err), 0);
    /* Until the clock has ticked: bounded, because this loop is what makes it tick. */
    volatile uint64_t n = 0;
    do {
        for (int i = 0; i < 1000000; i++)
            n++;
        ck_assert_int_eq(proc_cpu(getpid(), &after, &err), 0);
    } while (after.ticks == before.ticks && n < 10000000000u);
    ck_assert_uint_gt(after.ticks, before.ticks);
    ck_assert(after.seconds >= before.seconds);
    ck_assert_int_eq(proc_cpu(-1, &after, &err), -TRIT_ENOENT);
}
END_TEST

START_TEST(test_cache)
{
    char path[] = "/tmp/tritd-check-proc.XXXXXX";
    static uint8_t bytes[3 * MIB + 5];
    struct trit_error err;
    double share;
    int fd = mkstemp(path);
    ck_assert(fd >= 0);
    ck_assert_int_eq(proc_cached(path, &share, &err), 0);
    ck_assert(share == 0);
    ck_assert(write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    ck_assert_int_eq(proc_cached(path, &share, &err), 0);
    ck_assert(share == 1);
    ck_assert_int_eq(proc_uncache(path, &err), 0);
    ck_assert_int_eq(proc_cached(path, &share, &err), 0);
    ck_assert(share >= 0 && share <= 1); /* A wish; a tmpfs does not grant it. */
    close(fd);
    unlink(path);
    ck_assert_int_eq(proc_cached(path, &share, &err), -TRIT_ENOENT);
    ck_assert_int_eq(proc_uncache(path, &err), -TRIT_ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proc");
    TCase *tc = tcase_create("proc");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_memory);
    tcase_add_test(tc, test_cpu);
    tcase_add_test(tc, test_cache);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
