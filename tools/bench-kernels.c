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
    LAYER_ROWS = 6912,      /* of the 2B model's widest layer: outputs lie as far apart as there */
    ROWS = 76 * LAYER_ROWS, /* 280 MB of codes */
    CALL_TILES = 16,        /* tiles of a call, as the forward pass deals them */
    COLS = 2560,            /* hidden size of the 2B model */
    GROUP = 128,            /* inputs that share a scale in the Bonsai models */
    HEAD_ROWS = 128256,
    MAX_TOKENS = 128,
    MAX_SUBJECTS = 2,
    MEMORY_BYTES = 512 << 20,
};

struct stage {
    struct team *team;
    const struct kernels *k;
    const struct linear *w;
    const struct acts *acts;
    struct table t;
    struct planes planes;
    float *out; /* [MAX_TOKENS][HEAD_ROWS], or as many of LAYER_ROWS */
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

/* Layer i of the matrix, as a matrix of its own. */
static struct linear layer_of(const struct linear *all, size_t i)
{
    struct linear w = *all;
    size_t first = i * LAYER_ROWS / LAYOUT_TILE;
    size_t scales = first * w.n_groups * layout_levels(all) * LAYOUT_TILE;
    w.rows = LAYER_ROWS;
    w.codes += first * w.tile_bytes;
    if (layout_one_scale(all))
        w.scales += scales;
    else
        w.group_scales += scales;
    return w;
}

static void product_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct stage *s = ctx;
    void (*product)(float *out, size_t out_stride, const struct linear *w, size_t tile0,
                    size_t tile1, const struct acts *a, size_t n_tokens) =
        s->w->layout == LAYOUT_S1   ? s->k->signs
        : s->w->layout == LAYOUT_S2 ? s->k->billm
                                    : s->k->ternary;
    const size_t tiles = layout_tiles(s->w), of_layer = LAYER_ROWS / LAYOUT_TILE;
    _Static_assert(LAYER_ROWS % (CALL_TILES * LAYOUT_TILE) == 0, "a call belongs to one layer");
    for (size_t i; (i = team_take(s->team, CALL_TILES)) < tiles;) {
        struct linear w = layer_of(s->w, i / of_layer);
        size_t tile = i % of_layer;
        product(s->out, LAYER_ROWS, &w, tile, tile + CALL_TILES, s->acts, s->n_tokens);
    }
}

static void head_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct stage *s = ctx;
    for (size_t i; (i = team_take(s->team, 128)) < s->t.rows;)
        s->k->head_q8(s->out, HEAD_ROWS, &s->t, i, MIN(i + 128, s->t.rows), &s->planes,
                      s->n_tokens);
}

static void coarse_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct stage *s = ctx;
    for (size_t i; (i = team_take(s->team, 128)) < s->t.rows;)
        s->k->head_coarse(s->out, HEAD_ROWS, &s->t, i, MIN(i + 128, s->t.rows), &s->planes,
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

/* What the rows are put in proportion to. */
struct limits {
    double memory, dot, tiles; /* bytes and multiply-adds a second; 0: there is none */
};

/* One kind of work: a product of this variant, or its head. */
struct subject {
    const char *name;
    team_fn run;
    const struct linear *w; /* of a product */
    const struct acts *acts;
    double macs, bytes; /* for a token, and for any number of them */
};

static void show(const struct bench_options *o, const struct stage *s, const struct subject *what,
                 struct bench_samples *gmacs, double whole, const struct limits *limits)
{
    char title[80], note[120];
    bool on_tiles = s->k->cpu & CPU_AMX_INT8;
    double rate = bench_median(gmacs) * 1e9, peak = on_tiles ? limits->tiles : limits->dot;
    double bytes = what->bytes * rate / (what->macs * (double)s->n_tokens);
    snprintf(title, sizeof title, "%s %s, %zu tokens", s->k->name, what->name, s->n_tokens);
    int n = snprintf(note, sizeof note, "%.1f GB/s, %.0f %% of memory", bytes / 1e9,
                     100 * bytes / limits->memory);
    if (peak > 0 && (s->k->cpu & CPU_AVX512_VNNI))
        n += snprintf(note + n, sizeof note - (size_t)n, ", %.0f %% of %s", 100 * rate / peak,
                      on_tiles ? "tiles" : "vpdpbusd");
    if (whole > 0)
        snprintf(note + n, sizeof note - (size_t)n, ", %.0f %% of one scale", 100 * rate / whole);
    bench_row(o, title, gmacs, "GMAC/s", note);
}

/* n kinds of work in turn, so that a drift of the machine meets all of them; the others are
 * compared with the first. */
static void measure(const struct bench_options *o, struct stage *s, const struct subject *subjects,
                    size_t n, const struct limits *limits)
{
    static const size_t tokens[] = {1, 2, 4, 8, 16, 32, 128}; /* with 16 bits a row is two */
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct bench_samples gmacs[MAX_SUBJECTS] = {0};
        s->n_tokens = tokens[i];
        for (unsigned r = 0; r <= o->repeat; r++)
            for (size_t k = 0; k < n; k++) {
                s->w = subjects[k].w;
                s->acts = subjects[k].acts;
                double start = trit_now();
                team_run(s->team, subjects[k].run, s);
                if (r > 0) /* The first round warms up. */
                    bench_sample(&gmacs[k],
                                 subjects[k].macs * (double)tokens[i] / (trit_now() - start) / 1e9);
            }
        for (size_t k = 0; k < n; k++)
            show(o, s, &subjects[k], &gmacs[k], k > 0 ? bench_median(&gmacs[0]) * 1e9 : 0, limits);
    }
}

static void free_acts(struct acts *a)
{
    mem_free(a->q);
    mem_free(a->step);
    mem_free(a->sum);
}

/* Activations for all tokens; false: no memory. */
static bool make_acts(const struct kernels *k, const struct linear *w, struct acts *a)
{
    float x[COLS];
    a->q_stride = round_up(layout_acts(w), 64);
    a->n_groups = w->n_groups;
    a->q = mem_zalloc_line(MAX_TOKENS, a->q_stride);
    a->step = mem_zalloc_line(MAX_TOKENS * (size_t)w->n_groups, sizeof(float));
    a->sum = mem_zalloc_line(MAX_TOKENS * (size_t)w->n_groups, sizeof(int32_t));
    if (!a->q || !a->step || !a->sum)
        return false;
    for (size_t t = 0; t < MAX_TOKENS; t++) {
        for (size_t i = 0; i < COLS; i++)
            x[i] = (float)((i * 2654435761u + t * 40503u) % 2001) / 1000 - 1;
        k->quantise(w, a, t, x);
    }
    return true;
}

/* Products of one layout with groups of so many inputs, the n of them in turn. */
static int measure_products(const struct bench_options *o, struct stage *s,
                            const struct limits *limits, enum layout_id layout,
                            const uint32_t *groups, size_t n)
{
    struct linear w[MAX_SUBJECTS];
    struct acts acts[MAX_SUBJECTS] = {0};
    struct subject subjects[MAX_SUBJECTS];
    char name[MAX_SUBJECTS][24];
    uint8_t n_salient[COLS / BILLM_BLOCK];
    size_t code_bytes = 0, scale_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        layout_shape(&w[i], layout, ROWS, COLS, groups[i]);
        code_bytes = MAX(code_bytes, layout_code_bytes(&w[i]));
        scale_bytes = MAX(scale_bytes, layout_scale_bytes(&w[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(n_salient); i++)
        n_salient[i] = (uint8_t)(1 + i * 7 % 32); /* quantise finds between 1 and 50 */
    uint8_t *codes = random_bytes(code_bytes, o->seed), *scales = mem_map(scale_bytes);
    bool whole = codes && scales;
    for (size_t i = 0; whole && i < n; i++)
        whole = make_acts(s->k, &w[i], &acts[i]);
    if (whole) {
        memset(scales, 0, scale_bytes); /* so that there are pages to be read */
        for (size_t i = 0; i < n; i++) {
            w[i].codes = codes;
            w[i].n_salient = n_salient;
            if (layout_one_scale(&w[i]))
                w[i].scales = (const void *)scales;
            else
                w[i].group_scales = (const void *)scales;
            if (i == 0)
                snprintf(name[i], sizeof name[i], "%s", layout_name(layout));
            else
                snprintf(name[i], sizeof name[i], "%s, groups of %u", layout_name(layout),
                         groups[i]);
            subjects[i] = (struct subject){
                name[i],
                product_run,
                &w[i],
                &acts[i],
                (double)ROWS * COLS,
                (double)(layout_code_bytes(&w[i]) + layout_scale_bytes(&w[i])),
            };
        }
        measure(o, s, subjects, n, limits);
    }
    mem_unmap(codes, code_bytes);
    mem_unmap(scales, scale_bytes);
    for (size_t i = 0; i < n; i++)
        free_acts(&acts[i]);
    return whole ? 0 : -TRIT_ENOMEM;
}

/* Ternary weights with one scale a row and with one for each group of inputs; signs; BiLLM. */
static int measure_layouts(const struct bench_options *o, struct stage *s,
                           const struct limits *limits)
{
    static const uint32_t whole_rows = COLS, groups[] = {COLS, GROUP}, blocks = BILLM_BLOCK;
    int rc = measure_products(o, s, limits, s->k->layout, groups, ARRAY_LEN(groups));
    if (rc == 0)
        rc = measure_products(o, s, limits, LAYOUT_S1, &whole_rows, 1);
    if (rc == 0)
        rc = measure_products(o, s, limits, LAYOUT_S2, &blocks, 1);
    return rc;
}

static int measure_heads(const struct bench_options *o, struct stage *s,
                         const struct limits *limits)
{
    struct planes *p = &s->planes;
    table_shape(&s->t, TABLE_Q8, HEAD_ROWS, COLS);
    size_t bytes = table_data_bytes(&s->t);
    uint8_t *head = random_bytes(bytes, o->seed);
    float *scales = mem_map(HEAD_ROWS * sizeof(float)), x[COLS];
    p->stride = s->t.stride;
    p->hi = mem_zalloc_line(MAX_TOKENS, p->stride);
    p->lo = mem_zalloc_line(MAX_TOKENS, p->stride);
    p->step = mem_zalloc_line(MAX_TOKENS, sizeof(float));
    p->sum_hi = mem_zalloc_line(MAX_TOKENS, sizeof(int32_t));
    p->sum_lo = mem_zalloc_line(MAX_TOKENS, sizeof(int32_t));
    bool whole = head && scales && p->hi && p->lo && p->step && p->sum_hi && p->sum_lo;
    if (whole) {
        s->t.data = head;
        s->t.scales = scales;
        for (size_t t = 0; t < MAX_TOKENS; t++) {
            for (size_t i = 0; i < COLS; i++)
                x[i] = (float)((i * 2654435761u + t * 40503u) % 2001) / 1000 - 1;
            s->k->head_split(p, t, x, COLS);
        }
        /* What a step reads of the head, and what it would read to have all logits exactly. */
        double macs = (double)HEAD_ROWS * COLS;
        measure(o, s,
                &(struct subject){"head, coarse", coarse_run, NULL, NULL, macs, (double)bytes / 2},
                1, limits);
        s->t.type = TABLE_BYTES;
        measure(o, s, &(struct subject){"head, exact", head_run, NULL, NULL, macs, (double)bytes},
                1, limits);
    }
    mem_unmap(head, bytes);
    mem_unmap(scales, HEAD_ROWS * sizeof(float));
    mem_free(p->hi);
    mem_free(p->lo);
    mem_free(p->step);
    mem_free(p->sum_hi);
    mem_free(p->sum_lo);
    return whole ? 0 : -TRIT_ENOMEM;
}

static int measure_variant(const struct bench_options *o, struct team *team,
                           const struct kernels *k, const struct limits *limits)
{
    struct stage s = {.team = team, .k = k};
    const size_t out_bytes = (size_t)HEAD_ROWS * MAX_TOKENS * sizeof(float);
    s.out = mem_map(out_bytes);
    int rc = s.out ? measure_layouts(o, &s, limits) : -TRIT_ENOMEM;
    if (rc == 0)
        rc = measure_heads(o, &s, limits);
    if (rc)
        fprintf(stderr, "trit-bench: no memory for %s\n", k->name);
    mem_unmap(s.out, out_bytes);
    return rc ? 1 : 0;
}

static double show_limit(const struct bench_options *o, const char *what, double rate,
                         const char *unit)
{
    struct bench_samples limit = {0};
    bench_sample(&limit, rate / 1e9);
    if (rate > 0)
        bench_row(o, what, &limit, unit, NULL);
    return rate;
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
    struct limits limits = {
        show_limit(o, "memory read", bench_memory(o->threads, o->repeat), "GB/s"),
        show_limit(o, "vpdpbusd", bench_peak_dot(o->threads, o->repeat), "GMAC/s"),
        show_limit(o, "int8 tiles", bench_peak_tiles(o->threads, o->repeat), "GMAC/s"),
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && kernels_at(i); i++) {
        const struct kernels *k = kernels_at(i);
        /* The scalar specification would take minutes, so it runs only when asked for. */
        bool wanted = only ? k == only : k->cpu != 0;
        if (wanted && !(k->cpu & ~kernels_cpu_detect()))
            rc = measure_variant(o, team, k, &limits);
    }
    bench_end(o);
    team_close(&team);
    return rc;
}
