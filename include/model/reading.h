/* SPDX-License-Identifier: MIT */
/*
 * reading.h - what a file does not say about its weights, as people write it: the order of its I2_S
 * and the tiles of its TL1 and TL2; and whether that was right.
 *
 * Options of trit-model, settings of tritd and fields of its API are the same words.
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

/* Zeroed: as the file says. */
struct reading {
    uint32_t i2s; /* as in struct gguf_reading */
    struct quant_tiles tiles[READING_TILES];
    size_t n_tiles;
    bool as_it_is; /* believe it, whatever the weights look like */
};

/* "published", "arm" or "four"; false: it is none. */
bool reading_order(struct reading *r, const char *text);

/* Whether this is a list of tiles, with blanks between them: "BM,BK,BMM", or "ROWSxCOLS=BM,BK,BMM"
 * for the tensors of one shape. */
bool reading_is_tiles(const char *text);

/*
 * Such a list, or the path of a kernel_config.ini of bitnet.cpp; more than one is added up.
 * -TRIT_EINVAL where it is neither, -TRIT_EFORMAT where the file is none, with *err.
 */
int reading_tiles(struct reading *r, const char *text, struct trit_error *err);

/* Let the view have its weights read so.  As gguf_read_as. */
int reading_apply(const struct reading *r, struct gguf *g, struct trit_error *err);

/*
 * After that: -TRIT_EINVAL where another order or other tiles explain the weights far better, or
 * where nothing is in order with the tiles; *err names what is better.  Looks at `layers` layers of
 * a large model's I2_S and at PLAUSIBLE_LAYERS of others.  note (may be NULL) tells what was seen,
 * "" where there was nothing to see.
 */
enum { READING_NOTE = 200 };
int reading_check(const struct reading *r, struct gguf *g, unsigned layers, char note[READING_NOTE],
                  struct trit_error *err);

/* All of it: open a file or folder, read it so, check.  Gives *g. */
int reading_open(const struct reading *r, const char *path, struct gguf **g,
                 char note[READING_NOTE], struct trit_error *err);

#endif
