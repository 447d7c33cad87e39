/* SPDX-License-Identifier: MIT */
/*
 * loader.h - model files are read in a process of their own.
 *
 *     daemon --- loader process ---- reader of one model
 *        \___________________________/
 *
 * The loader process is forked at the very start, before there are keys, clients or threads, so
 * that what a reader inherits is next to nothing.  It does one thing: fork a reader when it is
 * asked to, tell the daemon how that ended, and kill it when the daemon says so or is gone.  It has
 * a twin, forked from it at once, which takes its place should something end it, and forks a twin
 * in its turn: what the daemon has got meanwhile has never been in any of them.
 *
 * A reader parses the container (GGUF, or JSON and safetensors of a Hugging Face folder), matches
 * tensors and graph, tries tokenizer and chat template, and packs the weights.  It can open
 * nothing: the daemon opens the model's files for it, and no others, for reading; it writes to the
 * segment of the weights, and what it has read of the rest comes back in a sealed memfd
 * (gguf-view.c), which the daemon checks like a file.  It has bounds of memory and processor time,
 * and the daemon waits for it only so long.  Whatever becomes of it, loading that model fails with
 * "model rejected", and nothing else happens.
 *
 * What is left to the daemon: to check that view, to make tokenizer and template from it, which for
 * weights that are not packed yet a reader has done before without harm, to write the tokenizer's
 * tables behind the weights when the reader has ended, and to look at the scales of some rows.
 * Weights that a reader wrote are numbers to whoever multiplies with them, whatever they are.
 *
 * Without loader_start() model_load reads files itself, as tools and most tests do.
 */
#ifndef TRIT_LOADER_H
#define TRIT_LOADER_H

#include <stdbool.h>
#include <stdint.h>

struct trit_error;

/* 0: what is usual. */
struct loader_options {
    const char *expected;  /* the model that will be loaded first: its reader begins at once */
    void (*enter)(void);   /* into the sandbox, in every reader; NULL: none */
    unsigned most_silence; /* seconds that a reader may say nothing: 120 */
    unsigned cpu_seconds;  /* that it may use, and one for each MiB of its files: 60 */
    uint64_t most_memory;  /* bytes of its own: 1 GiB, and 32 MiB for each processor */
};

/* Start the loader process, once, before any thread.  -TRIT_EIO, -TRIT_ENOMEM. */
int loader_start(const struct loader_options *options, struct trit_error *err);

/* Whether model_load asks it. */
bool loader_runs(void);

/* End it, and with it every reader. */
void loader_stop(void);

#endif
