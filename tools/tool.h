/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the commands of trit-model share: their table, their exits, reading weights.
 */
#ifndef TRIT_TOOL_H
#define TRIT_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "model/gguf.h"
#include "model/rows.h"

enum {
    TOOL_OK = 0,
    TOOL_FAILED = 1, /* the file is bad, or the work could not be done */
    TOOL_USAGE = 2,  /* the command line is wrong */
};

/* argv[0] is "trit-model NAME", argv[1] the first argument of the command. */
struct tool_command {
    const char *name, *summary, *help;
    int (*run)(int argc, char **argv);
};

extern const struct tool_command tool_inspect, tool_verify, tool_quantize, tool_synth,
    tool_segments;

/* Say what is wrong with the command line and where help is to be had; returns TOOL_USAGE.
 * `what` NULL: getopt has said it. */
int tool_usage(const struct tool_command *c, const char *what, ...)
    __attribute__((format(printf, 2, 3)));

/* Print the help on stdout; returns TOOL_OK. */
int tool_help(const struct tool_command *c);

/* Print *err on stderr; returns TOOL_FAILED. */
int tool_failed(const struct trit_error *err);

/* Of the commands that have these options (model/reading.h). */
#define TOOL_READING_HELP                                                                          \
    "      --order ORDER of I2_S: published (the default), or what bitnet.cpp writes where it\n"       \
    "                    quantises itself: arm, on ARM; four, where it was built without\n"            \
    "                    ACT_PARALLEL.  One that the weights of a trained model contradict is\n"       \
    "                    refused\n"                                                                    \
    "      --tiles TILES of TL1 and TL2, which no file tells: the kernel_config.ini of the\n"          \
    "                    bitnet.cpp that made it, or BM,BK,BMM, or ROWSxCOLS=BM,BK,BMM for each\n"     \
    "                    shape\n"                                                                      \
    "      --unchecked   read weights so though they look as if that were wrong\n"

/* "1.18 GB", decimal as file managers have it. */
const char *tool_bytes(uint64_t bytes, char *dst, size_t cap);

/* Is this one of the seven matrices of a layer that a ternary model holds as trits? */
bool tool_is_linear(const struct gguf_tensor *t);

/* Values of a tensor. */
uint64_t tool_values(const struct gguf_tensor *t);

/*
 * The values of one tensor of a known type, in order, in pieces of whole blocks: trits and scales
 * when it is ternary, floats when not.  Memory is bounded whatever the tensor.
 */
enum { TENSOR_PIECE = 65536 };

struct tensor_reader {
    const struct gguf *g;
    const struct gguf_tensor *t;
    uint64_t total, at; /* values; those before the current piece */
    size_t n;           /* values in the current piece */
    size_t n_scales;    /* and scales: one for each block, or the one of a tensor */
    unsigned char *raw; /* the piece as it lies in the file */
    int8_t *trits;
    float *scales; /* shares its memory with `floats` */
    float *floats;
    struct rows rows; /* of an encoding that is read so, and what was read last: */
    unsigned char *run_raw;
    int8_t *run; /* [ROWS_RUN][columns] */
    float run_scales[ROWS_RUN];
    uint64_t run_row; /* the first of them; UINT64_MAX: none */
};

/* Gives *w to be used up to tensor_reader_close. */
int tensor_reader_open(struct tensor_reader *w, const struct gguf *g, const struct gguf_tensor *t,
                       struct trit_error *err);

/* The next piece; w->n is 0 behind the last.  A code that is no trit: -TRIT_EFORMAT, naming row and
 * column; the next call goes on behind the piece. */
int tensor_reader_next(struct tensor_reader *w, struct trit_error *err);
void tensor_reader_rewind(struct tensor_reader *w);
void tensor_reader_close(struct tensor_reader *w);

#endif
