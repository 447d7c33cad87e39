/* SPDX-License-Identifier: MIT */
/*
 * pace.c - running means by size of step, and one for positions.
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
    return p->positions > 0 ? p->attended / p->positions : 0;
}

static void approach(double *mean, double value, double share)
{
    *mean += share * (value - *mean);
}

void pace_learn(struct pace *p, uint32_t rows, double positions, double seconds, double attention)
{
    struct pace_size *s = &p->size[size_of(rows)];
    p->least = p->steps ? fmin(p->least, attention) : attention;
    double bare = fmax(seconds - (attention - p->least), 0);
    /* A step in which the whole process was held up says nothing about the next one. */
    if (is_known(p, s))
        bare = fmin(bare, 4 * s->seconds);
    else
        *s = (struct pace_size){0};
    if (p->least > 0)
        attention = fmin(attention, 4 * (p->least + slope(p) * positions));
    approach(&p->attended, attention - p->least, 0.1);
    approach(&p->positions, positions, 0.1);
    s->last = ++p->steps;
    s->seen = MIN(s->seen + 1, 10u);
    double share = 1.0 / s->seen;
    approach(&s->rows, rows, share);
    approach(&s->seconds, bare, share);
}

/* On the straight line through two sizes. */
static double between(const struct pace_size *a, const struct pace_size *b, uint32_t rows)
{
    return a->seconds + (b->seconds - a->seconds) * (rows - a->rows) / (b->rows - a->rows);
}

double pace_predict(const struct pace *p, uint32_t rows, double positions)
{
    const struct pace_size *below = NULL, *above = NULL, *old = NULL;
    for (unsigned i = 0; i < PACE_SIZES; i++) {
        const struct pace_size *s = &p->size[i];
        if (is_known(p, s)) {
            if (s->rows <= rows)
                below = s;
            else if (!above)
                above = s;
        } else if (s->seen && s->rows > rows && !old) {
            old = s;
        }
    }
    if (!below && !above)
        return 0;
    double seconds;
    if (below && above)
        seconds = between(below, above, rows);
    else if (above)
        seconds = above->seconds;
    else
        seconds = below->seconds * rows / below->rows;
    /* What was forgotten may say that it is less, but not that it is more. */
    if (!above && old)
        seconds = fmin(seconds, between(below, old, rows));
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
