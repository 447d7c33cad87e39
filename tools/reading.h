/* SPDX-License-Identifier: MIT */
/*
 * reading.h - the options of trit-model that say what a file does not: --order and --tiles.
 */
#ifndef TRIT_READING_H
#define TRIT_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/quant.h"

struct gguf;
struct trit_error;

enum { READING_TILES = 64 };

struct reading {
    uint32_t i2s; /* as in struct gguf_reading */
    struct quant_tiles tiles[READING_TILES];
    size_t n_tiles;
    bool as_it_is; /* --unchecked: believe it */
};

/* "published", "arm" or "four"; false: it is none. */
bool reading_i2s(struct reading *r, const char *text);

/* "BM,BK,BMM", "ROWSxCOLS=BM,BK,BMM", or the path of a kernel_config.ini. */
int reading_tiles(struct reading *r, const char *text, struct trit_error *err);

/*
 * Open a file or folder and read it so.  Where its I2_S, TL1 or TL2 is in an order that another
 * arrangement explains far better, that is an error which says so.  *note says what was seen, ""
 * where there was nothing to see.
 */
int reading_open(const struct reading *r, const char *path, struct gguf **g, char note[200],
                 struct trit_error *err);

/* Of both commands that have these options. */
#define READING_HELP                                                                               \
    "      --order ORDER of I2_S: published (the default), or what bitnet.cpp writes where it\n"       \
    "                    quantises itself: arm, on ARM; four, where it was built without\n"            \
    "                    ACT_PARALLEL.  One that the weights of a trained model contradict is\n"       \
    "                    refused\n"                                                                    \
    "      --tiles TILES of TL1 and TL2, which no file tells: the kernel_config.ini of the\n"          \
    "                    bitnet.cpp that made it, or BM,BK,BMM, or ROWSxCOLS=BM,BK,BMM for each\n"     \
    "                    shape\n"                                                                      \
    "      --unchecked   read weights so though they look as if that were wrong\n"

#endif
