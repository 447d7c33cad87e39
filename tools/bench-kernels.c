/* SPDX-License-Identifier: MIT */
/*
 * bench-kernels.c - each kernel variant on a matrix that no cache holds, beside the memory itself.
 */
#include "config.h"
#include "bench.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "kernels/kernels.h"

enum {
    COLS = 2560, /* hidden size of the 2B model */
    MAX_TOKENS = 32,
    MEMORY_BYTES = 512 << 20,
};

struct stage {
    struct team *team;
    const struct kernels *k;
    struct linear w;
    struct table t;
    struct acts acts;
    struct planes planes;
    float *out;
    size_t out_stride;
    size_t n_tokens;
    const uint64_t *words;
    size_t n_words;
    _Atomic uint64_t sum;
};

/* Plain reading at the pace of the memory: wide words, and prefetches far enough ahead that the
 * hardware's own prefetcher, which stops at pages, is not the limit. */
static void read_run(void *ctx, unsigned worker)
{
    (void)worker;
    typedef uint64_t wide __attribute__((vector_size(64)));
    struct stage *s = ctx;
    enum { GRAIN = 1 << 14, AHEAD = 64 }; /* in lines of 64 bytes: a megabyte, and 4 KiB */
    const wide *lines = (const void *)s->words;
    size_t n_lines = s->n_words * sizeof *s->words / sizeof(wide);
    wide sum[4] = {{0}};
    for (size_t i; (i = team_take(s->team, GRAIN)) < n_lines;)
        for (size_t j = i; j < i + GRAIN; j += 4)
            for (size_t l = 0; l < 4; l++) {
                __builtin_prefetch(&lines[j + l + AHEAD]);
                sum[l] += lines[j + l];
            }
    uint64_t total = 0;
    for (size_t l = 0; l < 4; l++)
        for (size_t k = 0; k < 8; k++)
            total += sum[l][k];
    atomic_fetch_add(&s->sum, total);
}

double bench_memory(unsigned threads, unsigned repeat)
{
    struct stage s = {.n_words = MEMORY_BYTES / sizeof(uint64_t)};
    struct bench_samples samples = {0};
    uint64_t *words = mem_map(MEMORY_BYTES);
    if (!words || team_open(&s.team, threads, false, NULL) != 0) {
        mem_unmap(words, MEMORY_BYTES);
        return 0;
    }
    for (size_t i = 0; i < s.n_words; i++)
        words[i] = i;
    s.words = words;
    for (unsigned i = 0; i <= repeat; i++) {
        double start = trit_now();
        team_run(s.team, read_run, &s);
        if (i > 0) /* The first round warms up. */
            bench_sample(&samples, MEMORY_BYTES / (trit_now() - start));
    }
    team_close(&s.team);
    mem_unmap(words, MEMORY_BYTES);
    return bench_median(&samples);
}

static void ternary_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct stage *s = ctx;
    size_t tiles = layout_tiles(&s->w);
    for (size_t i; (i = team_take(s->team, 8)) < tiles;)
        s->k->ternary(s->out, s->out_stride, &s->w, i, MIN(i + 8, tiles), &s->acts, s->n_tokens);
}

static void head_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct stage *s = ctx;
    for (size_t i; (i = team_take(s->team, 128)) < s->t.rows;)
        s->k->head_q8(s->out, s->out_stride, &s->t, i, MIN(i + 128, s->t.rows), &s->planes,
                      s->n_tokens);
}

static void coarse_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct stage *s = ctx;
    for (size_t i; (i = team_take(s->team, 128)) < s->t.rows;)
        s->k->head_coarse(s->out, s->out_stride, &s->t, i, MIN(i + 128, s->t.rows), &s->planes,
                          s->n_tokens);
}

/* Random bytes are as good as weights here: the work does not depend on them. */
static void *random_bytes(size_t n, uint64_t seed)
{
    uint64_t *p = mem_map(n);
    for (size_t i = 0; p && i < n / 8; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = seed ^ seed >> 29;
    }
    return p;
}

static void measure(const struct bench_options *o, struct stage *s, team_fn fn, const char *name,
                    double macs, double bytes, double memory)
{
    static const size_t tokens[] = {1, 4, 8, 16, 32};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct bench_samples gmacs = {0};
        char what[80], note[80];
        s->n_tokens = tokens[i];
        double best = 1e9;
        for (unsigned r = 0; r <= o->repeat; r++) {
            double start = trit_now();
            team_run(s->team, fn, s);
            double seconds = trit_now() - start;
            if (r > 0)
                bench_sample(&gmacs, macs * (double)tokens[i] / seconds / 1e9);
            best = MIN(best, seconds);
        }
        snprintf(what, sizeof what, "%s %s, %zu tokens", s->k->name, name, tokens[i]);
        snprintf(note, sizeof note, "%.1f GB/s, %.0f %% of memory", bytes / best / 1e9,
                 100 * bytes / best / memory);
        bench_row(o, what, &gmacs, "GMAC/s", note);
    }
}

static int measure_variant(const struct bench_options *o, struct team *team,
                           const struct kernels *k, double memory)
{
    struct stage s = {.team = team, .k = k};
    const uint32_t rows = 512 * 1024, head_rows = 128256;
    layout_shape(&s.w, k->layout, rows, COLS, COLS);
    table_shape(&s.t, TABLE_Q8, head_rows, COLS);
    size_t code_bytes = layout_code_bytes(&s.w), scale_bytes = layout_scale_bytes(&s.w);
    s.out_stride = round_up(rows, 16);
    size_t out_bytes = s.out_stride * MAX_TOKENS * sizeof(float);
    uint8_t *codes = random_bytes(code_bytes, o->seed);
    float *scales = mem_map(scale_bytes), *head_scales = mem_map(head_rows * sizeof(float));
    uint8_t *head = random_bytes(table_data_bytes(&s.t), o->seed);
    s.out = mem_map(out_bytes);
    s.acts.q_stride = round_up(layout_acts(&s.w), 64);
    s.acts.n_groups = 1;
    s.acts.q = mem_zalloc_line(MAX_TOKENS, s.acts.q_stride);
    s.acts.step = mem_zalloc_line(MAX_TOKENS, sizeof(float));
    s.acts.sum = mem_zalloc_line(MAX_TOKENS, sizeof(int32_t));
    s.planes.stride = s.t.stride;
    s.planes.hi = mem_zalloc_line(MAX_TOKENS, s.t.stride);
    s.planes.lo = mem_zalloc_line(MAX_TOKENS, s.t.stride);
    s.planes.step = mem_zalloc_line(MAX_TOKENS, sizeof(float));
    s.planes.sum_hi = mem_zalloc_line(MAX_TOKENS, sizeof(int32_t));
    s.planes.sum_lo = mem_zalloc_line(MAX_TOKENS, sizeof(int32_t));
    bool whole = codes && scales && head && head_scales && s.out && s.acts.q && s.acts.step &&
                 s.acts.sum && s.planes.hi && s.planes.lo && s.planes.step && s.planes.sum_hi &&
                 s.planes.sum_lo;
    if (whole) {
        s.w.codes = codes;
        s.w.scales = scales;
        s.t.data = head;
        s.t.scales = head_scales;
        float x[COLS];
        for (size_t t = 0; t < MAX_TOKENS; t++) {
            for (size_t i = 0; i < COLS; i++)
                x[i] = (float)((i * 2654435761u + t * 40503u) % 2001) / 1000 - 1;
            k->quantise(&s.w, &s.acts, t, x);
            k->head_split(&s.planes, t, x, COLS);
        }
        measure(o, &s, ternary_run, layout_name(k->layout), (double)rows * COLS, (double)code_bytes,
                memory);
        /* What a step reads of the head, and what it would read to have all logits exactly. */
        double bytes = (double)table_data_bytes(&s.t), macs = (double)head_rows * COLS;
        measure(o, &s, coarse_run, "head, coarse", macs, bytes / 2, memory);
        s.t.type = TABLE_BYTES;
        measure(o, &s, head_run, "head, exact", macs, bytes, memory);
    } else {
        fprintf(stderr, "trit-bench: no memory for %s\n", k->name);
    }
    mem_unmap(codes, code_bytes);
    mem_unmap(scales, scale_bytes);
    mem_unmap(head, table_data_bytes(&s.t));
    mem_unmap(head_scales, head_rows * sizeof(float));
    mem_unmap(s.out, out_bytes);
    mem_free(s.acts.q);
    mem_free(s.acts.step);
    mem_free(s.acts.sum);
    mem_free(s.planes.hi);
    mem_free(s.planes.lo);
    mem_free(s.planes.step);
    mem_free(s.planes.sum_hi);
    mem_free(s.planes.sum_lo);
    return whole ? 0 : 1;
}

int bench_kernels(const struct bench_options *o)
{
    const struct kernels *only = strcmp(o->cpu, "auto") == 0 ? NULL : bench_pick(o);
    if (!only && strcmp(o->cpu, "auto") != 0)
        return 1;
    struct team *team;
    struct trit_error err;
    if (team_open(&team, o->threads, false, &err) != 0) {
        fprintf(stderr, "trit-bench: %s\n", err.text);
        return 1;
    }
    bench_begin(o, "kernels");
    double memory = bench_memory(o->threads, o->repeat);
    struct bench_samples limit = {0};
    bench_sample(&limit, memory / 1e9);
    bench_row(o, "memory read", &limit, "GB/s", NULL);
    int rc = 0;
    for (size_t i = 0; rc == 0 && kernels_at(i); i++) {
        const struct kernels *k = kernels_at(i);
        /* The scalar specification would take minutes, so it runs only when asked for. */
        bool wanted = only ? k == only : k->cpu != 0;
        if (wanted && !(k->cpu & ~kernels_cpu_detect()))
            rc = measure_variant(o, team, k, memory);
    }
    bench_end(o);
    team_close(&team);
    return rc;
}
