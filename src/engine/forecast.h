/* SPDX-License-Identifier: MIT */
/*
 * forecast.h - how long a request will take, from what steps and answers took lately.
 *
 * One writer, the engine thread; any thread may read, number by number, which is exact enough for
 * what is a guess in any case.  No clock: the caller says what took how long.
 */
#ifndef TRIT_FORECAST_H
#define TRIT_FORECAST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* Running means, in seconds and tokens; zeroed: nothing is known. */
struct forecast {
    _Atomic double read_seconds; /* for a prompt token, while more are wanted than a step takes */
    _Atomic double step_seconds; /* from token to token of those who talk */
    _Atomic double stay_seconds; /* that a sequence keeps its place */
    _Atomic double said_tokens;  /* by a sequence */
};

/* What is ahead of a request. */
struct forecast_load {
    double places;           /* that run together, for him and those ahead */
    double ahead;            /* sequences, running and waiting */
    double reading, waiting; /* prompt tokens: of those who run, of those who wait */
    double rest;             /* seconds since a step, if nobody runs or waits; else 0 */
};

/* After a longer rest nothing is known of what the next steps will take: the last may have been
 * slow for a reason that is gone, and who is refused for that does not show that it is. */
#define FORECAST_REST 10.0

/* A step with so many rows of prompts; `more`: they want more than it had room for; `talking`:
 * somebody got his next token. */
void forecast_step(struct forecast *f, uint32_t prompt_rows, bool more, bool talking,
                   double seconds);

/* A sequence has ended by itself. */
void forecast_end(struct forecast *f, double seconds, int64_t tokens); /* < 0: it does not talk */

/* See engine_estimate. */
struct engine_estimate forecast_request(const struct forecast *f, const struct forecast_load *l,
                                        uint32_t n_prompt, uint32_t max_new);

#endif
