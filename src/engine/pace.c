/* SPDX-License-Identifier: MIT */
/*
 * pace.c - running means by size of step, and a slope for positions.
 */
#include "config.h"
#include "engine/pace.h"

#include <math.h>

#include "base/base.h"

enum {
    SINGLE = 8,    /* sizes up to here have a mean of their own */
    FORGET = 1000, /* steps after which a size that was not seen again is tried as if for the first
                      time: it may have been slow for a reason that is gone */
};

/* Beyond them two for each power of two. */
static unsigned size_of(uint32_t rows)
{
    if (rows <= SINGLE)
        return rows - 1;
    unsigned log = 31u - (unsigned)__builtin_clz(rows), half = rows >> (log - 1) & 1;
    return MIN(SINGLE + 2 * (log - 3) + half, PACE_SIZES - 1u);
}

static bool is_known(const struct pace *p, const struct pace_size *s)
{
    return s->seen && p->steps - s->last < FORGET;
}

/* Seconds for one position. */
static double slope(const struct pace *p)
{
    return p->square > 0 ? fmax(p->both / p->square, 0) : 0;
}

static void approach(double *mean, double value, double share)
{
    *mean += share * (value - *mean);
}

void pace_learn(struct pace *p, uint32_t rows, double positions, double seconds)
{
    struct pace_size *s = &p->size[size_of(rows)];
    if (is_known(p, s)) {
        /* A step in which the whole process was held up says nothing about the next one. */
        seconds = fmin(seconds, 4 * s->seconds);
        double away = positions - s->positions;
        approach(&p->both, away * (seconds - s->seconds), 0.05);
        approach(&p->square, away * away, 0.05);
    }
    if (!is_known(p, s))
        *s = (struct pace_size){0};
    s->last = ++p->steps;
    s->seen = MIN(s->seen + 1, 10u);
    double share = 1.0 / s->seen;
    approach(&s->rows, rows, share);
    approach(&s->positions, positions, share);
    approach(&s->seconds, seconds, share);
}

/* What a size costs without its attention. */
static double bare(const struct pace *p, const struct pace_size *s)
{
    return fmax(s->seconds - slope(p) * s->positions, 0);
}

double pace_predict(const struct pace *p, uint32_t rows, double positions)
{
    const struct pace_size *below = NULL, *above = NULL;
    for (unsigned i = 0; i < PACE_SIZES; i++) {
        const struct pace_size *s = &p->size[i];
        if (!is_known(p, s))
            continue;
        if (s->rows <= rows)
            below = s;
        else if (!above)
            above = s;
    }
    if (!below && !above)
        return 0;
    double seconds;
    if (!above)
        seconds = bare(p, below) * rows / below->rows;
    else if (!below)
        seconds = bare(p, above);
    else
        seconds = bare(p, below) + (bare(p, above) - bare(p, below)) * (rows - below->rows) /
                                       (above->rows - below->rows);
    return seconds + slope(p) * positions;
}

uint32_t pace_rows(const struct pace *p, uint32_t rows, double positions, double each, uint32_t max,
                   double seconds)
{
    /* Costs grow with rows but for noise in the means; the first that is too long decides. */
    while (rows < max && pace_predict(p, rows + 1, positions + each) <= seconds) {
        rows++;
        positions += each;
    }
    return rows;
}
