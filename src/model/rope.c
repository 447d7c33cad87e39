/* SPDX-License-Identifier: MIT */
/*
 * rope.c - the frequencies of the rotary embedding: plain, scaled as a whole, by divisors of the
 * file, by YaRN or as Llama 3.1 does; those of local layers are always plain.
 *
 * In double precision, once for a model: everyone who turns a head uses the same numbers.
 */
#include "config.h"
#include "model/model.h"

#include <math.h>

#include "base/base.h"

static const double PI = 3.14159265358979323846;

/* Which pair of a head turns `turns` times over the trained context; a fraction. */
static double pair_of(const struct hparams *hp, double turns)
{
    double longest = hp->yarn.n_ctx / (turns * 2 * PI);
    return hp->rope_dims * log(longest) / (2 * log(hp->rope_base));
}

/* How much of a frequency is scaled, by the length of its wave in positions. */
static double share_of_band(const struct rope_bands *b, double freq)
{
    double turns = b->n_ctx * freq / (2 * PI);
    return fmin(fmax((b->high - turns) / (b->high - b->low), 0), 1);
}

double model_rope(const struct model *m, bool local, double *freq)
{
    const struct hparams *hp = &m->hp;
    const struct rope_yarn *y = &hp->yarn;
    double low = 0, high = 0;
    if (local) {
        for (uint32_t i = 0; i < hp->rope_dims / 2; i++)
            freq[i] = pow(hp->rope_base_local, -2.0 * i / hp->rope_dims);
        return 1;
    }
    if (y->on) {
        low = fmax(floor(pair_of(hp, y->beta_fast)), 0);
        high = fmin(ceil(pair_of(hp, y->beta_slow)), hp->rope_dims - 1);
    }
    for (uint32_t i = 0; i < hp->rope_dims / 2; i++) {
        double plain = pow(hp->rope_base, -2.0 * i / hp->rope_dims),
               scaled = plain / hp->rope_scale;
        /* How much of pair i is scaled; otherwise all of it. */
        double share = y->on ? fmin(fmax((i - low) / fmax(high - low, 0.001), 0), 1) : 1;
        if (hp->bands.on)
            share = share_of_band(&hp->bands, plain);
        freq[i] = scaled * share + plain * (1 - share);
        if (m->rope_freqs)
            freq[i] /= (double)m->rope_freqs[i];
    }
    return y->on ? y->size : 1;
}
