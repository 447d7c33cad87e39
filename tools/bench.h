/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the parts of trit-bench: what is measured, and how a row of figures is shown.
 */
#ifndef TRIT_BENCH_H
#define TRIT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernels;

struct bench_options {
    const char *model; /* path, for the model benchmarks */
    const char *cpu;   /* as tritd --cpu */
    unsigned threads;  /* 0: what the process may use */
    unsigned repeat;   /* samples behind each median */
    uint32_t prompt, new_tokens;
    const char *streams; /* "1,4,8,16" */
    bool f16_head;
    bool json;
    uint64_t seed;
};

/* Samples of one quantity. */
struct bench_samples {
    double value[64];
    unsigned n;
};
void bench_sample(struct bench_samples *s, double value);
double bench_median(struct bench_samples *s);

/*
 * One row: what was measured, its median with the smallest and largest sample, the unit, and a
 * second figure that puts it in proportion ("% of memory limit"), or NULL.
 */
void bench_row(const struct bench_options *o, const char *what, struct bench_samples *s,
               const char *unit, const char *note);
void bench_begin(const struct bench_options *o, const char *title);
void bench_end(const struct bench_options *o);

/* 0, or 1 with a message on stderr. */
int bench_kernels(const struct bench_options *o);
int bench_model(const struct bench_options *o);

/* Bytes a second that `threads` workers read from memory together, summing 64-bit words. */
double bench_memory(unsigned threads, unsigned repeat);

/* Multiply-adds a second of vpdpbusd (AVX-512 VNNI) and of int8 tiles (AMX), `threads` workers
 * together; 0 where the processor lacks them. */
double bench_peak_dot(unsigned threads, unsigned repeat);
double bench_peak_tiles(unsigned threads, unsigned repeat);

const struct kernels *bench_pick(const struct bench_options *o);

#endif
