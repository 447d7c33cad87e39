/* SPDX-License-Identifier: MIT */
/*
 * forecast.c - running means, and what follows from them by Little's law.
 */
#include "config.h"
#include "engine/forecast.h"

#include <math.h>

#include "base/base.h"

static void smooth(_Atomic double *mean, double value)
{
    double old = *mean;
    *mean = old == 0 ? value : old + 0.1 * (value - old);
}

/* A step in which the whole process was held up says nothing about the next one. */
static void smooth_step(_Atomic double *mean, double value)
{
    double old = *mean;
    smooth(mean, old == 0 ? value : fmin(value, 4 * old));
}

void forecast_step(struct forecast *f, uint32_t prompt_rows, bool more, bool talking,
                   double seconds)
{
    if (talking)
        smooth_step(&f->step_seconds, seconds);
    if (prompt_rows == 0)
        return;
    /* A step that had room for more says how fast prompts are read at least: what it took may have
     * been for one token of a prompt that was cached. */
    double each = seconds / prompt_rows;
    if (more || f->read_seconds == 0 || each < f->read_seconds)
        smooth_step(&f->read_seconds, each);
}

void forecast_end(struct forecast *f, double seconds, int64_t tokens)
{
    smooth(&f->stay_seconds, seconds);
    if (tokens >= 0)
        smooth(&f->said_tokens, (double)tokens);
}

struct engine_estimate forecast_request(const struct forecast *f, const struct forecast_load *l,
                                        uint32_t n_prompt, uint32_t max_new)
{
    if (l->ahead == 0 && l->rest > FORECAST_REST)
        return (struct engine_estimate){0};
    /* Who has ended lately began when less was going on, if much has just arrived; the step is what
     * it is now.  Before anybody has ended others are taken to want as much as this one. */
    double said = f->said_tokens > 0 ? f->said_tokens : max_new;
    double stay = fmax(f->stay_seconds, said * f->step_seconds);
    double ahead = fmax(l->ahead + 1 - l->places, 0) * stay / l->places;
    struct engine_estimate x = {.start = ahead, .read = n_prompt * f->read_seconds};
    /* What waits is read while he waits for his place; what is read then is as much as now. */
    double others =
        fmax(x.start + l->reading * f->read_seconds, (l->reading + l->waiting) * f->read_seconds);
    x.first = others + x.read;
    x.end = x.first + fmin(max_new, 2 * f->said_tokens) * f->step_seconds;
    return x;
}
