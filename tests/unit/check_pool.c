/* SPDX-License-Identifier: MIT */
/*
 * check_pool.c - a KV pool that outlives its process: what the next one finds in it, and what it
 * does not believe.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "engine/kv.h"
#include "unit.h"

static struct model tiny = {.hp = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 16}};
static struct trit_error err;

enum { PAGES = 12, TEXT = 5, TOKENS = TEXT * KV_PAGE_TOKENS };

static int32_t text[TOKENS];

static size_t pool_bytes(uint32_t pages)
{
    return pages * kv_page_bytes(&tiny, KV_F32);
}

static void open_pool(struct kv *kv, int fd)
{
    ck_assert_msg(kv_open_lasting(&tiny, 1, KV_F32, pool_bytes(PAGES), fd, kv, &err) == 0, "%s",
                  err.text);
}

/* Compute the text, that is, fill its pages with something, and enter them. */
static void compute(struct kv *kv, struct kv_lease *lease, uint64_t salt)
{
    uint32_t done;
    ck_assert(kv_begin(kv, lease, salt, text, TOKENS, NULL, &done));
    ck_assert_uint_eq(done, 0);
    kv_grow(kv, lease, TOKENS);
    for (uint32_t i = 0; i < TEXT; i++) {
        memset(kv->pool + lease->page[i] * kv->page_bytes, (int)(i + 1), kv->page_bytes);
        kv_enter(kv, lease, text + (size_t)i * KV_PAGE_TOKENS);
    }
}

/* How many pages of the text are found, each with what was computed. */
static uint32_t find(struct kv *kv, uint64_t salt)
{
    uint32_t page[TEXT], done;
    struct kv_lease lease = {.page = page, .cap = TEXT};
    ck_assert(kv_begin(kv, &lease, salt, text, TOKENS, NULL, &done));
    for (uint32_t i = 0; i < done / KV_PAGE_TOKENS; i++)
        for (size_t k = 0; k < kv->page_bytes; k++)
            ck_assert_uint_eq(kv->pool[page[i] * kv->page_bytes + k], i + 1);
    kv_release(kv, &lease);
    kv_check(kv);
    return done / KV_PAGE_TOKENS;
}

/* A pool as a process leaves it that is killed while it still holds the text's pages. */
static int leave(void)
{
    struct kv kv;
    uint32_t page[TEXT];
    struct kv_lease lease = {.page = page, .cap = TEXT};
    open_pool(&kv, POOL_NEW);
    ck_assert(!kv.memory.inherited);
    compute(&kv, &lease, 7);
    int fd = dup(kv.memory.fd);
    kv_close(&kv);
    return fd;
}

static void setup(void)
{
    for (int i = 0; i < TOKENS; i++)
        text[i] = i * 31 % 97;
}

/* Kilobytes of the mapping at `map` that are huge pages, by /proc/self/smaps. */
static long huge_kb(const void *map)
{
    char line[256], begin[32];
    long kb = -1;
    bool here = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    ck_assert_ptr_nonnull(f);
    snprintf(begin, sizeof begin, "%lx-", (unsigned long)(uintptr_t)map);
    while (kb < 0 && fgets(line, sizeof line, f)) {
        here = here || strncmp(line, begin, strlen(begin)) == 0;
        if (here)
            sscanf(line, "ShmemPmdMapped: %ld kB", &kb);
    }
    fclose(f);
    return kb;
}

/* Whether this kernel gives huge pages of a memfd to who asks for them. */
static bool has_huge_pages(void)
{
    int fd = mem_memfd("check");
    ck_assert(fd >= 0 && ftruncate(fd, MEM_EXTENT) == 0);
    char *p = mem_map_file(fd, MEM_EXTENT, PROT_READ | PROT_WRITE);
    ck_assert_ptr_nonnull(p);
    *p = 1;
    bool has = mem_collapse(p, MEM_EXTENT) && huge_kb(p) == MEM_EXTENT >> 10;
    ck_assert(munmap(p, MEM_EXTENT) == 0 && close(fd) == 0);
    return has;
}

/* Pages that are used lie in huge pages, those beside them cost nothing, and nothing is lost. */
START_TEST(what_is_used_is_huge)
{
    struct kv kv;
    const uint32_t n = 5 * MEM_EXTENT / (uint32_t)kv_page_bytes(&tiny, KV_F32);
    const uint32_t used = n / 5 + 1; /* the first extent, and a page of the second */
    uint32_t *page = mem_zalloc(used, sizeof *page), done;
    int32_t *tokens = mem_zalloc((size_t)used * KV_PAGE_TOKENS, sizeof *tokens);
    struct kv_lease lease = {.page = page, .cap = used};
    ck_assert(kv_open_lasting(&tiny, 1, KV_F32, pool_bytes(n), POOL_NEW, &kv, &err) == 0);
    ck_assert(kv_begin(&kv, &lease, 0, tokens, used * KV_PAGE_TOKENS, NULL, &done));
    for (uint32_t i = 0; i < used; i++) {
        kv_grow(&kv, &lease, (uint64_t)(i + 1) * KV_PAGE_TOKENS);
        memset(kv.pool + page[i] * kv.page_bytes, (int)i, kv.page_bytes);
    }
    if (has_huge_pages())
        ck_assert_int_eq(huge_kb(kv.memory.map), 2 * MEM_EXTENT >> 10);
    for (uint32_t i = 0; i < used; i++)
        for (size_t k = 0; k < kv.page_bytes; k++)
            ck_assert_uint_eq(kv.pool[page[i] * kv.page_bytes + k], i & 255);
    kv_release(&kv, &lease);
    kv_close(&kv);
    mem_free(page);
    mem_free(tokens);
}
END_TEST

START_TEST(the_next_process_finds_it_warm)
{
    struct kv kv;
    int fd = leave();
    uint8_t secret[POOL_SECRET_BYTES];
    for (int round = 0; round < 3; round++) {
        int again = dup(fd);
        open_pool(&kv, fd);
        ck_assert(kv.memory.inherited);
        ck_assert_uint_eq(kv.n_kept, TEXT);
        ck_assert_uint_eq(kv.n_free, PAGES - TEXT);
        kv_check(&kv);
        if (round == 0)
            memcpy(secret, kv.memory.secret, sizeof secret);
        ck_assert_mem_eq(secret, kv.memory.secret, sizeof secret);
        ck_assert_uint_eq(find(&kv, 8), 0); /* of another tenant */
        ck_assert_uint_eq(find(&kv, 7), TEXT);
        ck_assert_uint_eq(kv.n_damaged, 0);
        kv_close(&kv);
        fd = again;
    }
    close(fd);
}
END_TEST

START_TEST(what_is_given_up_stays_given_up)
{
    struct kv kv;
    uint32_t page[PAGES], done;
    struct kv_lease all = {.page = page, .cap = PAGES};
    int fd = leave(), again = dup(fd);
    open_pool(&kv, fd);
    /* Another text needs every page: the kept ones are overwritten. */
    ck_assert(kv_begin(&kv, &all, 1, text, 1, NULL, &done));
    kv_grow(&kv, &all, (uint64_t)PAGES * KV_PAGE_TOKENS);
    memset(kv.pool, 0xff, kv.pool_bytes);
    kv_close(&kv); /* killed in the middle of it */
    open_pool(&kv, again);
    ck_assert(kv.memory.inherited);
    ck_assert_uint_eq(kv.n_kept, 0);
    ck_assert_uint_eq(find(&kv, 7), 0);
    ck_assert_uint_eq(kv.n_damaged, 0);
    kv_close(&kv);
}
END_TEST

START_TEST(a_damaged_page_is_not_used)
{
    struct kv kv;
    int fd = leave(), again = dup(fd);
    open_pool(&kv, fd);
    for (uint32_t i = 0; i < PAGES; i++) /* the text's third */
        if (kv.pool[i * kv.page_bytes] == 3)
            kv.pool[(i + 1) * kv.page_bytes - 1] ^= 0x10;
    kv_close(&kv);
    open_pool(&kv, again);
    ck_assert_uint_eq(kv.n_kept, TEXT);
    ck_assert_uint_eq(find(&kv, 7), 2);
    ck_assert_uint_eq(kv.n_damaged, 1);
    ck_assert_uint_eq(find(&kv, 7), 2);
    ck_assert_uint_eq(kv.n_damaged, 1);
    kv_close(&kv);
}
END_TEST

/* Whatever one bit of header or index is: the pool is refused, or entries are, and nothing else. */
START_TEST(a_damaged_index_is_not_believed)
{
    uint64_t seed = unit_seed();
    uint32_t less = 0;
    for (int i = 0; i < 300; i++) {
        struct kv kv;
        int fd = leave();
        size_t at = unit_random(&seed) % (256 + prefix_bytes(PAGES));
        uint8_t byte;
        ck_assert_int_eq((int)pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= (uint8_t)(1u << unit_random(&seed) % 8);
        ck_assert_int_eq((int)pwrite(fd, &byte, 1, (off_t)at), 1);
        open_pool(&kv, fd);
        kv_check(&kv);
        less += find(&kv, 7) < TEXT;
        kv_close(&kv);
    }
    ck_assert_uint_gt(less, 10); /* else it has hit nothing */
}
END_TEST

START_TEST(what_does_not_fit_is_made_anew)
{
    struct kv kv;
    ck_assert_int_eq(kv_open_lasting(&tiny, 1, KV_F16, pool_bytes(PAGES), leave(), &kv, &err), 0);
    ck_assert(!kv.memory.inherited && kv.n_kept == 0);
    kv_close(&kv);
    ck_assert_int_eq(kv_open_lasting(&tiny, 1, KV_F32, pool_bytes(PAGES + 1), leave(), &kv, &err),
                     0);
    ck_assert(!kv.memory.inherited && kv.n_kept == 0);
    kv_close(&kv);

    ck_assert_int_eq(kv_open_lasting(&tiny, 2, KV_F32, pool_bytes(PAGES), leave(), &kv, &err), 0);
    ck_assert(!kv.memory.inherited && kv.n_kept == 0);
    kv_close(&kv);

    int fd = leave();
    tiny.segment.source.digest[31] = 1;
    open_pool(&kv, fd);
    ck_assert(!kv.memory.inherited && kv.n_kept == 0);
    kv_close(&kv);
    tiny.segment.source.digest[31] = 0;

    /* The right bytes, but anybody could cut them short under our feet. */
    fd = leave();
    int loose = memfd_create("loose", MFD_CLOEXEC);
    char block[4096];
    for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;)
        ck_assert_int_eq(write(loose, block, (size_t)n), n);
    close(fd);
    open_pool(&kv, loose);
    ck_assert(!kv.memory.inherited);
    kv_close(&kv);

    open_pool(&kv, open("/dev/null", O_RDWR | O_CLOEXEC));
    ck_assert(!kv.memory.inherited);
    kv_close(&kv);
    ck_assert_int_lt(kv_open_lasting(&tiny, 1, KV_F32, 1, leave(), &kv, &err), 0);
}
END_TEST

START_TEST(one_process_at_a_time)
{
    struct kv kv, mine;
    char word = 0;
    int fd = leave(), to[2], from[2], status;
    ck_assert(pipe(to) == 0 && pipe(from) == 0);
    pid_t child = fork();
    if (child == 0) {
        int rc = kv_open_lasting(&tiny, 1, KV_F32, pool_bytes(PAGES), dup(fd), &kv, &err);
        word = rc == 0 && kv.memory.inherited ? 'y' : 'n';
        _exit(write(to[1], &word, 1) == 1 && read(from[0], &word, 1) == 1 ? 0 : 1);
    }
    ck_assert_int_eq((int)read(to[0], &word, 1), 1);
    ck_assert_int_eq(word, 'y');
    open_pool(&mine, dup(fd));
    ck_assert(!mine.memory.inherited);
    kv_close(&mine);
    ck_assert_int_eq((int)write(from[1], "e", 1), 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    /* It is gone, without a word, and the pool is to be had. */
    open_pool(&mine, fd);
    ck_assert(mine.memory.inherited);
    ck_assert_uint_eq(find(&mine, 7), TEXT);
    kv_close(&mine);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *c = tcase_create("pool");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, the_next_process_finds_it_warm);
    tcase_add_test(c, what_is_used_is_huge);
    tcase_add_test(c, what_is_given_up_stays_given_up);
    tcase_add_test(c, a_damaged_page_is_not_used);
    tcase_add_test(c, a_damaged_index_is_not_believed);
    tcase_add_test(c, what_does_not_fit_is_made_anew);
    tcase_add_test(c, one_process_at_a_time);
    suite_add_tcase(s, c);
    return unit_run(s);
}
