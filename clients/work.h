/* SPDX-License-Identifier: MIT */
/*
 * work.h - what the requests of a load ask for: lengths from a distribution, prompts of words.
 *
 * Everything follows from a seed, a group and the number of the request in it, so that two servers
 * can be given the same work, and the same server the same work twice.
 */
#ifndef TRIT_CLIENT_WORK_H
#define TRIT_CLIENT_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct trit_error;

/* No request of a load is longer than this many tokens. */
enum { WORK_TOKENS_MAX = 1 << 17 };

struct dist {
    enum dist_kind { DIST_FIXED, DIST_UNIFORM, DIST_LOGNORMAL } kind;
    uint32_t from, to; /* bounds of what is drawn, both included */
    double median, sigma;
};

/*
 * "64", "32..512" (each length equally likely), or "lognormal:MEDIAN:SIGMA" (the logarithm is
 * normal with deviation SIGMA, above 0 to 4; cut to 1..WORK_TOKENS_MAX).  -TRIT_EINVAL says what
 * was found.
 */
int dist_parse(const char *text, struct dist *d, struct trit_error *err);

/* The next length.  *random is any number, and advances. */
uint32_t dist_draw(const struct dist *d, uint64_t *random);

/* A number in [0, 1) with 53 random bits. */
double work_fraction(uint64_t *random);

struct work {
    struct dist prompt, output;
    uint32_t shared_prefix; /* tokens with which every prompt begins, besides its own; 0: none */
    double words_per_token; /* of the server's tokenizer; prompts are made of words */
    uint64_t seed;
};

/*
 * Append the prompt of request `index` of `group` to *prompt (memory: prompt->failed), and set the
 * length of its answer.  Prompts of a group differ in their first four words after the shared
 * prefix, as long as they have that many, and there are fewer than 2^24.
 */
void work_item(const struct work *w, uint32_t group, uint64_t index, struct buf *prompt,
               uint32_t *max_tokens);

/* Append n words that follow from `seed` alone. */
void work_words(uint64_t seed, uint32_t n, struct buf *text);

#endif
