/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the parts of trit-bench: what is measured, and how a row of figures is shown.
 */
#ifndef TRIT_BENCH_H
#define TRIT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "engine/acts.h"

struct model;

enum { BENCH_MAX_STREAMS = 256 };

struct bench_options {
    const char *model; /* path, for the model benchmarks */
    const char *cpu;   /* as tritd --cpu */
    unsigned threads;  /* 0: what the process may use */
    unsigned repeat;   /* samples behind each median */
    uint32_t prompt, new_tokens;
    const char *streams; /* "1,4,8,16" */
    uint32_t context; /* positions before what is measured; 0: none, and through the engine */
    const char *kv_word;
    enum kv_type kv_type; /* the same, understood */
    enum table_type tables; /* --head-type */
    enum acts_type acts;    /* --act-type */
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
int bench_grammar(const struct bench_options *o);

/* The other commands read their own options; argv[0] is the command's name.  Exit status. */
int bench_load(int argc, char **argv);
int bench_start(int argc, char **argv);

/* An option's number from min to max, or false and a message. */
bool bench_number(const char *name, const char *text, unsigned long min, unsigned long max,
                  unsigned long *out);
bool bench_real(const char *name, const char *text, double min, double max, double *out);

/* Say where help is to be had; the exit status for it. */
int bench_usage(const char *what);
/* The same with o->context positions before, for n numbers of streams. */
int bench_context(const struct bench_options *o, const unsigned *streams, unsigned n);

/* Bytes a second that `threads` workers read from memory together, summing 64-bit words. */
double bench_memory(unsigned threads, unsigned repeat);

/* Multiply-adds a second of vpdpbusd (AVX-512 VNNI) and of int8 tiles (AMX), `threads` workers
 * together; 0 where the processor lacks them. */
double bench_peak_dot(unsigned threads, unsigned repeat);
double bench_peak_tiles(unsigned threads, unsigned repeat);

const struct kernels *bench_pick(const struct bench_options *o);

/* The model of o->model, packed for k; NULL with a message on stderr. */
struct model *bench_open_model(const struct bench_options *o, const struct kernels *k);

#endif
