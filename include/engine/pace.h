/* SPDX-License-Identifier: MIT */
/*
 * pace.h - how long a step will take, learnt from the steps that were.
 *
 * What a step costs is the weights, which are read once, then something for every row, then
 * attention for every position that a row looks at.  How rows cost depends on processor, model and
 * what else the machine does, and is no straight line (memory-bound with few rows, compute-bound
 * with many), so nothing is assumed: for each size of step there is a running mean, between the
 * sizes seen lies a straight line, and beyond them the cost is taken to grow in proportion, or less
 * if it once did.
 * Attention is timed by itself: a prompt that is being read goes deeper step by step, so that at no
 * depth are there steps enough to tell its part from that of the rows and the noise.
 *
 * One owner, the engine thread.  No clock: the caller says what a step took.
 */
#ifndef TRIT_PACE_H
#define TRIT_PACE_H

#include <stdint.h>

enum { PACE_SIZES = 32 };

/* Zeroed: nothing known. */
struct pace {
    struct pace_size {
        double rows, seconds; /* running means of steps of this size, without attention */
        uint32_t seen;        /* saturates */
        uint64_t last;        /* step */
    } size[PACE_SIZES];
    uint64_t steps;
    double least; /* seconds of attention where there was hardly anything to look at */
    double attended, positions; /* running means of what it took beyond that, and of positions */
};

/* A step of this many rows (>= 1), whose rows looked at this many positions together, took that,
 * `attention` of it for looking. */
void pace_learn(struct pace *p, uint32_t rows, double positions, double seconds, double attention);

/* Seconds such a step will take; 0: nothing is known. */
double pace_predict(const struct pace *p, uint32_t rows, double positions);

/*
 * The most rows, at most `max`, that a step may have to take no longer than `seconds`: `rows` of
 * them with `positions` are given, and each further one looks at `each` positions.  At least
 * `rows`.
 */
uint32_t pace_rows(const struct pace *p, uint32_t rows, double positions, double each, uint32_t max,
                   double seconds);

#endif
