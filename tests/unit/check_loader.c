/* SPDX-License-Identifier: MIT */
/*
 * check_loader.c - models read by a process of their own: the same model and the same errors as
 * without; and whatever happens in that process, a clear refusal, after which the next model loads.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/loader-parts.h"
#include "model/segment-file.h"
#include "model/tokenizer.h"
#include "main/sandbox.h"
#include "unit/unit.h"
#include "unit/engine-run.h"
#include "unit/loader-faults.h"

static struct trit_error err;
static char dir[64], bad[96];

/* In place of the C library's: a descriptor that is closed twice is by then somebody else's. */
static atomic_uint closed_twice;

int close(int fd)
{
    int rc = (int)syscall(SYS_close, fd);
    if (rc != 0 && errno == EBADF)
        atomic_fetch_add(&closed_twice, 1);
    return rc;
}

/* ------------------------------------------------------------------ loading */

static const struct kernels *kernels;
static atomic_bool stop;

static int load(const char *file, struct model **m)
{
    struct model_options o = {.layout = kernels->layout, .tables = TABLE_TERNARY, .stop = &stop};
    return model_load(file, &o, m, &err);
}

static void start(const struct loader_options *o)
{
    ck_assert_msg(loader_start(o, &err) == 0, "%s", err.text);
}

static void set_up(void)
{
    const char *srcdir = getenv("srcdir");
    log_open(LOG_ERROR, 0);
    kernels = kernels_pick(kernels_cpu_detect());
    snprintf(path, sizeof path, "%s/tests/golden/models/b158.tq1_0.gguf", srcdir ? srcdir : ".");
    strcpy(dir, "/tmp/check-loader.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(bad, sizeof bad, "%s/bad.gguf", dir);
    fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(fault, MAP_FAILED);
    atomic_store(&stop, false);
}

static void tear_down(void)
{
    loader_stop();
    munmap(fault, sizeof *fault);
    unlink(bad);
    rmdir(dir);
}

static void expect_loads(void)
{
    struct model *m;
    *fault = (struct fault){0};
    ck_assert_msg(load(path, &m) == 0, "%s", err.text);
    ck_assert_uint_gt(m->n_params, 0);
    model_close(&m);
}

/* ------------------------------------------------------------------ as without */

START_TEST(same_model)
{
    static const char *const files[] = {"b158.tq1_0.gguf", "bonsai.q2_0_g128.gguf"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct model *a, *b;
        char *name = strrchr(path, '/') + 1;
        strcpy(name, files[i]);
        ck_assert_msg(load(path, &a) == 0, "%s", err.text);
        start(&(struct loader_options){.enter = sandbox_enter_reader, .expected = i ? path : NULL});
        ck_assert_msg(load(path, &b) == 0, "%s", err.text);
        ck_assert_str_eq(a->name, b->name);
        ck_assert_str_eq(a->encoding, b->encoding);
        ck_assert_str_eq(a->fingerprint, b->fingerprint);
        ck_assert_str_eq(chat_family(a->chat), chat_family(b->chat));
        ck_assert_mem_eq(&a->sampling, &b->sampling, sizeof a->sampling);
        ck_assert_uint_eq(a->n_params, b->n_params);
        ck_assert_uint_eq(a->weight_bytes, b->weight_bytes);
        ck_assert_int_eq(memcmp(a->segment.payload, b->segment.payload, a->weight_bytes),
                         0);
        ck_assert_int_eq(fcntl(b->segment.fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
        struct tok_ids x = {0}, y = {0};
        ck_assert_int_eq(tok_encode(a->tok, "Once upon a time", 16, 0, 0, &x), 0);
        ck_assert_int_eq(tok_encode(b->tok, "Once upon a time", 16, 0, 0, &y), 0);
        ck_assert_uint_eq(x.n, y.n);
        ck_assert_mem_eq(x.id, y.id, x.n * sizeof *x.id);
        tok_ids_free(&x);
        tok_ids_free(&y);
        model_close(&a);
        model_close(&b);
        loader_stop();
    }
}
END_TEST

static size_t read_model(uint8_t **bytes)
{
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    size_t len = (size_t)ftell(f);
    rewind(f);
    *bytes = malloc(len);
    ck_assert_uint_eq(fread(*bytes, 1, len, f), len);
    fclose(f);
    return len;
}

/* The same file cut at random, or with random bytes in its head. */
static void write_bad(const uint8_t *bytes, size_t len, uint64_t *state)
{
    uint8_t *copy = malloc(len);
    memcpy(copy, bytes, len);
    size_t n = unit_random(state) % 4 ? len : unit_random(state) % len;
    for (size_t i = unit_random(state) % 4; i > 0; i--)
        copy[unit_random(state) % (i == 3 ? len : 4000)] = (uint8_t)(unit_random(state) >> 40);
    FILE *f = fopen(bad, "we");
    ck_assert(f && fwrite(copy, 1, n, f) == n && fclose(f) == 0);
    free(copy);
}

START_TEST(same_errors)
{
    enum { FILES = 60 };
    uint64_t seed = unit_seed();
    struct trit_error *want = calloc(FILES + 3, sizeof *want);
    uint8_t *bytes;
    size_t len = read_model(&bytes);
    for (int with = 0; with < 2; with++) {
        uint64_t state = seed;
        if (with)
            start(&(struct loader_options){.enter = sandbox_enter_reader});
        for (int i = 0; i < FILES + 3; i++) {
            const char *file = i == FILES       ? "/nowhere/model.gguf"
                               : i == FILES + 1 ? dir
                               : i == FILES + 2 ? "/dev/zero"
                                                : bad;
            struct model *m;
            if (file == bad)
                write_bad(bytes, len, &state);
            err = (struct trit_error){0};
            if (load(file, &m) == 0)
                model_close(&m);
            if (!with)
                want[i] = err;
            ck_assert_int_eq(err.code, want[i].code);
            ck_assert_str_eq(err.text, want[i].text);
        }
    }
    free(bytes);
    free(want);
}
END_TEST

/* ------------------------------------------------------------------ and what may happen */

START_TEST(fault_is_refused)
{
    struct loader_options o = {.enter = sandbox_enter_reader,
                               .expected = _i % 2 ? path : NULL,
                               .most_silence = strstr(faults[_i].words, "stood still") ||
                                                       strstr(faults[_i].words, "does not end") ||
                                                       strstr(faults[_i].words, "too long")
                                                   ? 3
                                                   : 30,
                               .cpu_seconds = 1,
                               .most_memory = 256 << 20};
    struct model *m;
    if (TRIT_SANITIZED && (faults[_i].unbounded || faults[_i].act == act_segv))
        return;
    strcpy(fault->where, faults[_i].where);
    fault->act = faults[_i].act;
    start(&o);
    int rc = load(path, &m);
    ck_assert_int_lt(rc, 0);
    ck_assert_msg(strstr(err.text, faults[_i].words) != NULL, "%s", err.text);
    if (!strstr(err.text, "xxxx") && !strstr(err.text, "no valid head"))
        ck_assert_msg(strncmp(err.text, "model rejected: ", 16) == 0, "%s", err.text);
    ck_assert(strstr(err.text, path) || strstr(err.text, "xxxx"));
    expect_loads();
    ck_assert_uint_eq(atomic_load(&closed_twice), 0);
}
END_TEST

static void put_file(const char *name)
{
    char file[2200];
    snprintf(file, sizeof file, "%s/%s", dir, name);
    FILE *f = fopen(file, "we");
    ck_assert(f && fputs("{}", f) >= 0 && fclose(f) == 0);
}

/* Of a folder a reader gets the files in it and the one of those below that models have. */
START_TEST(door_is_narrow)
{
    static const char *const folders[] = {"model", "model/1_Pooling", "model/2_Dense"};
    static const char *const files[] = {"secret",
                                        "model/config.json",
                                        "model/.hidden",
                                        "model/1_Pooling/config.json",
                                        "model/1_Pooling/other.json",
                                        "model/2_Dense/config.json"};
    char name[2200];
    struct model *m;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(name, sizeof name, "%s/%s", dir, folders[i]);
        ck_assert_int_eq(mkdir(name, 0700), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put_file(files[i]);
    snprintf(path, sizeof path, "%s/model", dir);
    strcpy(fault->where, "read");
    fault->act = act_ask_around;
    start(&(struct loader_options){.enter = sandbox_enter_reader});
    ck_assert_int_lt(load(path, &m), 0);
    ck_assert_msg(strstr(err.text, "ended with status 0") != NULL, "%s", err.text);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        ck_assert_msg(fault->had[i] == asked[i].ours, "has \"%s\"", asked[i].name);
        ck_assert_msg(fault->opened[i] == asked[i].ours, "open \"%s\"", asked[i].name);
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(name, sizeof name, "%s/%s", dir, files[i]);
        unlink(name);
    }
    for (size_t i = ARRAY_LEN(folders); i > 0; i--) {
        snprintf(name, sizeof name, "%s/%s", dir, folders[i - 1]);
        rmdir(name);
    }
}
END_TEST

START_TEST(stop_is_obeyed)
{
    struct model *m;
    strcpy(fault->where, "pack");
    fault->act = act_sleep;
    start(&(struct loader_options){0});
    atomic_store(&stop, true);
    ck_assert_int_eq(load(path, &m), -TRIT_ECANCELLED);
    atomic_store(&stop, false);
    expect_loads();
}
END_TEST

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static bool is_loader(int pid)
{
    char name[64], comm[32] = "";
    snprintf(name, sizeof name, "/proc/%d/comm", pid);
    FILE *f = fopen(name, "re");
    bool is = f && fscanf(f, "%31s", comm) == 1 && strcmp(comm, "tritd-loader") == 0;
    if (f)
        fclose(f);
    return is;
}

/* The child that starts readers, when it is there; -1: in ten seconds it is not. */
static pid_t find_loader(pid_t parent)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    for (int i = 0; i < 1000; i++) {
        int child, found = -1;
        FILE *f = fopen(name, "re");
        while (f && found < 0 && fscanf(f, "%d", &child) == 1)
            if (is_loader(child))
                found = child;
        if (f)
            fclose(f);
        if (found > 0)
            return found;
        nap();
    }
    return -1;
}

/* Until it is a zombie or less. */
static void kill_for_good(pid_t pid)
{
    char name[64], state = 0;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 1000; i++) {
        FILE *f = fopen(name, "re");
        int found = f ? fscanf(f, "%*d %*s %c", &state) : 0;
        if (f)
            fclose(f);
        if (found != 1 || state == 'Z')
            return;
        nap();
    }
    ck_abort_msg("%d does not end", (int)pid);
}

/* The process that starts readers ends again and again: its twin takes its place, and has another.
 * The second time also a reader that had begun ends with it. */
START_TEST(host_is_gone)
{
    start(&(struct loader_options){.expected = _i ? path : NULL});
    pid_t pid = find_loader(getpid());
    ck_assert_int_gt(pid, 0);
    for (int i = 0; i < 3; i++) {
        pid_t twin = find_loader(pid);
        ck_assert_int_gt(twin, 0);
        kill_for_good(pid);
        expect_loads();
        pid = twin;
    }
    /* Nor does it ask anybody else when both have ended. */
    struct model *m;
    kill_for_good(find_loader(pid));
    kill_for_good(pid);
    ck_assert_int_eq(load(path, &m), -TRIT_EIO);
    ck_assert_msg(strstr(err.text, "has ended") != NULL, "%s", err.text);
    ck_assert_uint_eq(atomic_load(&closed_twice), 0);
}
END_TEST

static void multiply(struct model *m, uint64_t *state)
{
    struct run r = {0};
    struct engine_options o = run_options(m, kernels);
    sem_init(&r.bell, 0, 0);
    mailbox_init(&r.events, run_ring, &r);
    o.events = &r.events;
    /* It tries a token, and refuses weights that give no numbers. */
    if (engine_open(&o, &r.engine, &err) == 0) {
        struct seq_wish w = {.n_prompt = 40, .max_new = 8};
        w.sampler = (struct sampler_params){.top_p = 1, .temperature = 1, .repetition_penalty = 1};
        w.prompt = mem_zalloc(w.n_prompt, sizeof *w.prompt);
        for (uint32_t i = 0; i < w.n_prompt; i++)
            w.prompt[i] = (int32_t)(unit_random(state) % m->hp.vocab);
        struct seq *s = seq_new(&w);
        ck_assert_msg(engine_submit(r.engine, s, &err) == 0, "%s", err.text);
        r.open++;
        run_wait(&r);
        ck_assert_int_ne(s->end, SEQ_RUNNING);
        seq_free(s);
    }
    run_close(&r);
}

/* Whatever a reader writes as weights, multiplying with them stays inside of memory and ends. */
START_TEST(any_weights)
{
    static const unsigned one_in[] = {1, 64, 4096, 65536};
    uint64_t seed = unit_seed() + 1;
    uint32_t cpu = kernels_cpu_detect();
    start(&(struct loader_options){0});
    for (size_t i = 0; kernels_at(i); i++) {
        kernels = kernels_at(i);
        for (size_t k = 0; k < ARRAY_LEN(one_in) && !(kernels->cpu & ~cpu); k++) {
            struct model *m;
            strcpy(fault->where, "packed");
            fault->seed = seed + i;
            fault->one_in = one_in[k];
            ck_assert_msg(load(path, &m) == 0, "%s", err.text);
            multiply(m, &seed);
            model_close(&m);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *tc = tcase_create("loader");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, same_model);
    tcase_add_test(tc, same_errors);
    tcase_add_loop_test(tc, fault_is_refused, 0, (int)ARRAY_LEN(faults));
    tcase_add_test(tc, door_is_narrow);
    tcase_add_test(tc, stop_is_obeyed);
    tcase_add_loop_test(tc, host_is_gone, 0, 2);
    tcase_add_test(tc, any_weights);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
