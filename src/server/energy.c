/* SPDX-License-Identifier: MIT */
/*
 * energy.c - whose joules were these?
 *
 * While a request runs, the packages use some energy and the engine does some work: positions of
 * prompts and tokens.  The request's share of that energy is its share of that work.  Alone on the
 * machine it bears everything, idle power included; in a crowd a token is a token, which is near
 * the truth, because a step over many rows costs much the same for each.  So it is an estimate, and
 * what other programs use is in it.
 */
#include "config.h"
#include "server/job.h"

#include <math.h>

#include "base/base.h"
#include "engine/engine.h"
#include "engine/seq.h"
#include "engine/stats.h"

double energy_clock(struct server *s, double now)
{
    double joules;
    if (s->rapl.n == 0)
        return INFINITY;
    if (s->rapl_at <= now) {
        (void)rapl_read(&s->rapl, &joules);
        s->rapl_at = now + RAPL_SECONDS;
    }
    return s->rapl_at;
}

static uint64_t work_of(const struct job *j)
{
    uint64_t work = 0;
    for (uint32_t i = 0; i < j->n_choices; i++) {
        const struct choice *c = &j->choice[i];
        if (c->begun && (c->taken || c->seq->end != SEQ_RUNNING))
            work += c->taken + c->prompt->ids.n - MIN(c->seq->n_cached, c->prompt->ids.n);
    }
    return work;
}

void energy_begin(struct job *j)
{
    struct server *s = j->s;
    j->energy.running = rapl_read(&s->rapl, &j->energy.joules);
    j->energy.work = models_work(&s->models);
}

void energy_end(struct job *j)
{
    double joules;
    if (!j->energy.running)
        return;
    j->energy.running = false;
    j->energy.known = rapl_read(&j->s->rapl, &joules);
    double all = (double)(models_work(&j->s->models) - j->energy.work);
    double share = all > 0 ? fmin(1, (double)work_of(j) / all) : 0;
    j->energy.joules = (joules - j->energy.joules) * share;
}
