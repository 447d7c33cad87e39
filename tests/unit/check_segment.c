/* SPDX-License-Identifier: MIT */
/* check_segment.c - segments built, attached, damaged, half-built and cleaned. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/segment-file.h"
#include "model/segment.h"
#include "unit/unit.h"

static char dir[64];
static int source_fd;
static char source_path[96];
static struct trit_error err;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/tritd-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    segment_set_dir(dir);
    snprintf(source_path, sizeof source_path, "%s/model", dir);
    source_fd = open(source_path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq((int)pwrite(source_fd, "the model", 9, 20 << 20), 9);
}

static void teardown(void)
{
    char cmd[128];
    close(source_fd);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static struct segment_source identify(void)
{
    struct segment_source src = {.layout = 2, .tables = 1};
    const struct segment_file file = {source_fd, source_path};
    ck_assert_msg(segment_identify(&file, 1, -1, &src, &err) == 0, "%s", err.text);
    return src;
}

enum { BYTES = 9 << 20 };

static void build(const struct segment_source *src, struct segment *seg, bool shared)
{
    ck_assert_msg(segment_create(src, BYTES, shared, seg, &err) == 0, "%s", err.text);
    for (size_t i = 0; i < BYTES; i += 4096)
        seg->payload[i] = (uint8_t)(i >> 12);
    ck_assert_msg(segment_seal(seg, &err) == 0, "%s", err.text);
    ck_assert_msg(segment_publish(seg, &err) == 0, "%s", err.text);
}

static void check_payload(const struct segment *seg)
{
    ck_assert_uint_eq(seg->payload_bytes, BYTES);
    ck_assert_uint_eq((uintptr_t)seg->payload % 4096, 0);
    for (size_t i = 0; i < BYTES; i += 4096)
        ck_assert_uint_eq(seg->payload[i], (uint8_t)(i >> 12));
}

static void only_segment(struct segment_info *info)
{
    struct segment_info *list;
    size_t n;
    ck_assert_int_eq(segment_list(&list, &n, &err), 0);
    ck_assert_uint_eq(n, 1);
    *info = list[0];
    mem_free(list);
}

START_TEST(built_then_attached)
{
    struct segment_source src = identify();
    struct segment a, b;
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &a, &err), -TRIT_ENOENT);
    build(&src, &a, true);
    check_payload(&a);
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &b, &err), 0);
    ck_assert(b.attached);
    check_payload(&b);
    struct segment_info info;
    only_segment(&info);
    ck_assert_uint_eq(info.users, 2);
    ck_assert(!info.stale && !info.building);
    segment_close(&a);
    segment_close(&b);
    only_segment(&info); /* it outlives its users */
    ck_assert_uint_eq(info.users, 0);
    ck_assert_int_eq(segment_remove(info.name, &err), 0);
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &b, &err), -TRIT_ENOENT);
}
END_TEST

START_TEST(users_are_counted)
{
    struct segment_source src = identify();
    struct segment a, own, more[20];
    build(&src, &a, true);
    for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
        ck_assert_uint_eq(segment_users(&a), 1 + i);
        ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &more[i], &err), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
        ck_assert_uint_eq(segment_users(&more[i]), 21 - i);
        segment_close(&more[i]);
    }
    build(&src, &own, false);
    ck_assert_uint_eq(segment_users(&own), 1);
    ck_assert_uint_eq(segment_users(&a), 1);
    segment_close(&own);
    segment_close(&a);
}
END_TEST

START_TEST(another_layout_is_another_segment)
{
    struct segment_source src = identify();
    struct segment a, b;
    build(&src, &a, true);
    src.layout = 5;
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &b, &err), -TRIT_ENOENT);
    segment_close(&a);
}
END_TEST

START_TEST(content_decides_not_the_name)
{
    struct segment_source one = identify(), two;
    ck_assert_int_eq((int)pwrite(source_fd, "X", 1, 17 << 20), 1);
    two = identify();
    ck_assert_int_ne(memcmp(one.digest, two.digest, sizeof one.digest), 0);
}
END_TEST

START_TEST(nobody_can_write_afterwards)
{
    struct segment_source src = identify();
    for (int shared = 0; shared < 2; shared++) {
        struct segment a;
        build(&src, &a, shared);
        ck_assert(!a.writable);
        ck_assert_int_lt((int)pwrite(a.fd, "x", 1, 0), 0);
        ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0), MAP_FAILED);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);
            a.payload[0] = 1;
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
        segment_close(&a);
    }
}
END_TEST

static void flip(const char *path, size_t at, int bit)
{
    uint8_t byte;
    chmod(path, 0600);
    int fd = open(path, O_RDWR);
    ck_assert_int_eq((int)pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= (uint8_t)(1 << bit);
    ck_assert_int_eq((int)pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
    chmod(path, 0400);
}

/* A finished segment that nobody has open: its file, and where its payload begins there. */
static size_t leave(const struct segment_source *src, char *path, size_t cap, size_t *bytes)
{
    struct segment a;
    build(src, &a, true);
    snprintf(path, cap, "%s/%s", dir, a.name);
    size_t start = (size_t)(a.payload - a.map);
    *bytes = a.map_bytes;
    segment_close(&a);
    return start;
}

/* How many bits are flipped: 40, or $TRIT_FLIPS. */
static int n_flips(void)
{
    const char *given = getenv("TRIT_FLIPS");
    return given ? atoi(given) : 40;
}

/* Every damaged place must be found at attach, and the damaged segment removed. */
START_TEST(damage_is_detected)
{
    struct segment_source src = identify();
    struct segment a;
    uint64_t seed = unit_seed();
    const int n = n_flips();
    for (int i = 0; i < n; i++) {
        char path[160];
        size_t bytes, start = leave(&src, path, sizeof path, &bytes);
        /* Bits of the header and of the checksums, then of the payload; padding between does not
         * count. */
        size_t at = i < 10 ? (size_t)i * 16 : start + unit_random(&seed) % BYTES;
        ck_assert_uint_lt(at, bytes);
        flip(path, at, (int)(unit_random(&seed) % 8));
        ck_assert_msg(segment_attach(&src, SEGMENT_NOW, NULL, &a, &err) == -TRIT_ENOENT, "byte %zu",
                      at);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    printf("%d bits flipped\n", n);
}
END_TEST

/* The same where the payload is looked at chunk by chunk: a flipped bit is found in its chunk and
 * in no other, and a rejected segment is gone. */
START_TEST(damage_is_detected_later)
{
    struct segment_source src = identify();
    struct segment a;
    uint64_t seed = unit_seed();
    const int n = n_flips();
    for (int i = 0; i < n; i++) {
        char path[160];
        size_t bytes, start = leave(&src, path, sizeof path, &bytes);
        size_t at = unit_random(&seed) % BYTES, first, end;
        if (i > 0)
            flip(path, start + at, i % 8);
        ck_assert_int_eq(segment_attach(&src, SEGMENT_LATER, NULL, &a, &err), 0);
        ck_assert_ptr_nonnull(a.proof);
        ck_assert_uint_eq(a.proof->n, (BYTES + SEGMENT_CHUNK - 1) / SEGMENT_CHUNK);
        segment_chunks_in(at / SEGMENT_CHUNK * SEGMENT_CHUNK, BYTES, &first, &end);
        ck_assert_uint_eq(end, a.proof->n);
        for (size_t c = 0; c < a.proof->n; c++)
            if (c != first)
                segment_prove(&a, c);
        ck_assert(!atomic_load(&a.proof->damaged));
        segment_prove(&a, first);
        ck_assert(atomic_load(&a.proof->damaged) == (i > 0));
        for (size_t c = 0; c < a.proof->n; c++)
            ck_assert(a.proof->done[c]);
        if (i > 0)
            segment_reject(&a);
        else
            segment_close(&a);
        ck_assert_int_eq(access(path, F_OK), i > 0 ? -1 : 0);
        ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &a, &err),
                         i > 0 ? -TRIT_ENOENT : 0);
        segment_close(&a);
        unlink(path);
    }
}
END_TEST

/* Where chunks begin, and nothing twice: ranges without a gap have every chunk once. */
/* Another one of another content in the place of one: up to a byte its own, from there on as
 * before. */
START_TEST(one_lies_where_another_did)
{
    static const size_t keeps[] = {0,           1,           4096,  5 << 20, (5 << 20) + 64,
                                   BYTES - 4097, BYTES - 1, BYTES};
    struct segment_source src = identify();
    for (size_t i = 0; i < 2 * ARRAY_LEN(keeps); i++) {
        size_t keep = keeps[i / 2], wrong = 0;
        struct segment a, b;
        build(&src, &a, i % 2);
        struct segment_info info;
        if (i % 2)
            ck_assert_int_eq((only_segment(&info), segment_remove(info.name, &err)), 0);
        ck_assert_int_eq(segment_create(&src, BYTES, i % 2, &b, &err), 0);
        memset(b.payload, 0x5a, BYTES);
        ck_assert_int_eq(segment_seal(&b, &err), 0);
        const uint8_t *at = a.payload;
        int fd = b.fd;
        ck_assert_msg(segment_replace(&a, &b, keep, &err) == 0, "%s", err.text);
        ck_assert(a.payload == at && a.fd == fd && b.fd < 0 && !b.map && !a.writable);
        for (size_t k = 0; k < BYTES; k++)
            wrong += at[k] != (k < keep ? 0x5a : k % 4096 ? 0 : (uint8_t)(k >> 12));
        ck_assert_uint_eq(wrong, 0);
        segment_close(&b);
        ck_assert_int_eq(segment_publish(&a, &err), 0);
        if (i % 2) {
            ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &b, &err), 0);
            ck_assert_uint_eq(b.payload[BYTES - 1], 0x5a);
            segment_close(&b);
            ck_assert_int_eq(segment_remove(a.name, &err), 0);
        }
        segment_close(&a);
    }
}
END_TEST

START_TEST(chunks_of_ranges)
{
    size_t at = 0, next = 0, first, end;
    uint64_t seed = 7;
    while (next < 100) {
        size_t to = at + unit_random(&seed) % (3 * SEGMENT_CHUNK);
        segment_chunks_in(at, to, &first, &end);
        ck_assert_uint_eq(first, next);
        for (size_t c = first; c < end; c++)
            ck_assert(c * SEGMENT_CHUNK >= at && c * SEGMENT_CHUNK < to);
        next = end;
        at = to;
    }
    ck_assert_uint_eq(next, (at + SEGMENT_CHUNK - 1) / SEGMENT_CHUNK);
}
END_TEST

/* kill -9 while building: the next one finds nothing to attach to, cleans up and builds. */
START_TEST(half_built_is_never_attached)
{
    struct segment_source src = identify();
    int ready[2];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct segment a;
        if (segment_create(&src, BYTES, true, &a, NULL) == 0)
            (void)!write(ready[1], "r", 1);
        pause();
        _exit(0);
    }
    char c;
    ck_assert_int_eq((int)read(ready[0], &c, 1), 1);
    struct segment_info info;
    only_segment(&info);
    ck_assert(info.building && !info.stale);
    ck_assert_uint_eq(segment_clean(), 0); /* its builder lives */
    struct segment a;
    ck_assert_int_eq(segment_create(&src, BYTES, true, &a, &err), -TRIT_EBUSY);
    /* Attaching would wait for it; whoever is told to stop does not. */
    atomic_bool stop = true;
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, &stop, &a, &err), -TRIT_ECANCELLED);

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    only_segment(&info);
    ck_assert(info.stale && !info.building);
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, NULL, &a, &err), -TRIT_ENOENT);
    ck_assert_uint_eq(segment_clean(), 1);
    build(&src, &a, true);
    check_payload(&a);
    segment_close(&a);
}
END_TEST

START_TEST(closing_unfinished_removes_it)
{
    struct segment_source src = identify();
    struct segment a;
    struct segment_info *list;
    size_t n;
    ck_assert_int_eq(segment_create(&src, BYTES, true, &a, &err), 0);
    segment_close(&a);
    ck_assert_int_eq(segment_list(&list, &n, &err), 0);
    ck_assert_uint_eq(n, 0);
    mem_free(list);
}
END_TEST

/* Sealed, but its builder has not said that it is of use: nobody gets it, and it goes with him. */
START_TEST(unpublished_is_never_attached)
{
    struct segment_source src = identify();
    struct segment a, b;
    struct segment_info info, *list;
    size_t n;
    atomic_bool stop = true;
    ck_assert_int_eq(segment_create(&src, BYTES, true, &a, &err), 0);
    ck_assert_msg(segment_seal(&a, &err) == 0, "%s", err.text);
    only_segment(&info);
    ck_assert(info.building && !info.stale);
    ck_assert_int_eq(segment_attach(&src, SEGMENT_NOW, &stop, &b, &err), -TRIT_ECANCELLED);
    ck_assert_uint_eq(segment_clean(), 0);
    ck_assert_int_lt((int)pwrite(a.fd, "x", 1, 0), 0);
    segment_close(&a);
    ck_assert_int_eq(segment_list(&list, &n, &err), 0);
    ck_assert_uint_eq(n, 0);
    mem_free(list);
}
END_TEST

/* Private ones lie in tmpfs, where their pages are huge if the kernel can. */
START_TEST(begins_zeroed)
{
    struct segment_source src = identify();
    for (int shared = 0; shared < 2; shared++) {
        struct segment a;
        ck_assert_msg(segment_create(&src, BYTES, shared, &a, &err) == 0, "%s", err.text);
        for (size_t i = 0; i < BYTES; i++)
            if (a.payload[i] != 0)
                ck_abort_msg("byte %zu", i);
        memset(a.payload, 0xa5, BYTES);
        ck_assert_msg(segment_seal(&a, &err) == 0, "%s", err.text);
        for (size_t i = 0; i < BYTES; i++)
            if (a.payload[i] != 0xa5)
                ck_abort_msg("byte %zu after sealing", i);
        segment_close(&a);
    }
}
END_TEST

START_TEST(no_room_is_an_error)
{
    struct segment_source src = identify();
    struct segment a;
    ck_assert_int_lt(segment_create(&src, (size_t)1 << 50, true, &a, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "--no-shared"));
    struct segment_info *list;
    size_t n;
    ck_assert_int_eq(segment_list(&list, &n, &err), 0);
    ck_assert_uint_eq(n, 0);
    mem_free(list);
}
END_TEST

START_TEST(names_are_not_paths)
{
    ck_assert_int_eq(segment_remove("../../etc/passwd", &err), -TRIT_ENOENT);
    ck_assert_int_eq(segment_remove("model", &err), -TRIT_ENOENT);
    ck_assert_int_eq(access(source_path, F_OK), 0);
}
END_TEST

/* Whatever it is compiled for, a sum is the one that the library makes: segments outlive
 * programs. */
START_TEST(sums_are_the_library_s)
{
    enum { LONGEST = 4 << 20 };
    static const size_t lens[] = {0,    1,    16,     128,           240,    241,
                                  1024, 4095, 100003, SEGMENT_CHUNK, LONGEST};
    uint8_t *bytes = mem_zalloc(LONGEST + 1, 1);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i <= LONGEST; i++)
        bytes[i] = (uint8_t)(i * 0x9e3779b97f4a7c15u >> 56);
    for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
        uint64_t want = XXH3_64bits(bytes + 1, lens[k]); /* at no multiple of anything */
        ck_assert_uint_eq(segment_sum(bytes + 1, lens[k]), want);
    }
    mem_free(bytes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("segment");
    TCase *c = tcase_create("segment");
    tcase_set_timeout(c, 600);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, built_then_attached);
    tcase_add_test(c, users_are_counted);
    tcase_add_test(c, another_layout_is_another_segment);
    tcase_add_test(c, content_decides_not_the_name);
    tcase_add_test(c, nobody_can_write_afterwards);
    tcase_add_test(c, damage_is_detected);
    tcase_add_test(c, damage_is_detected_later);
    tcase_add_test(c, one_lies_where_another_did);
    tcase_add_test(c, chunks_of_ranges);
    tcase_add_test(c, half_built_is_never_attached);
    tcase_add_test(c, closing_unfinished_removes_it);
    tcase_add_test(c, unpublished_is_never_attached);
    tcase_add_test(c, begins_zeroed);
    tcase_add_test(c, no_room_is_an_error);
    tcase_add_test(c, names_are_not_paths);
    tcase_add_test(c, sums_are_the_library_s);
    suite_add_tcase(s, c);
    return unit_run(s);
}
