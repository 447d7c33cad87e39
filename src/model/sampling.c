/* SPDX-License-Identifier: MIT */
/*
 * sampling.c - how a model file recommends to choose tokens.
 *
 * Keys: general.sampling.* as llama.cpp writes and reads them.  Those of samplers that tritd does
 * not have (mirostat, xtc) have no effect.  A bad value is no reason to refuse a model that would
 * answer well without it.
 */
#include "config.h"
#include "model/load-parts.h"

#include "base/base.h"
#include "base/log.h"

/* *to keeps its value where there is no number within (above, most]. */
static void recommend(const struct gguf *g, const char *key, double above, double most, double *to)
{
    struct trit_error err = {0};
    double value;
    if (!gguf_has(g, key))
        return;
    if (gguf_float(g, key, &value, &err))
        log_warn("sampling-ignored %s", err.text);
    else if (value > above && value <= most)
        *to = value;
    else
        log_warn("sampling-ignored %s is %g, expected above %g, to %g", key, value, above, most);
}

void sampling_read(const struct gguf *g, struct model *m)
{
    static const char TOP_K[] = "general.sampling.top_k";
    struct model_sampling *s = &m->sampling;
    uint64_t top_k;
    *s = MODEL_SAMPLING_PLAIN;
    /* Ranges are the API's; 0 is a value for two of them. */
    recommend(g, "general.sampling.temp", -1e-9, 2, &s->temperature);
    recommend(g, "general.sampling.top_p", 0, 1, &s->top_p);
    recommend(g, "general.sampling.min_p", -1e-9, 1, &s->min_p);
    recommend(g, "general.sampling.penalty_repeat", 0, 2, &s->repetition_penalty);
    /* Negative values mean "off", as no value does. */
    if (gguf_has(g, TOP_K) && gguf_uint(g, TOP_K, &top_k, NULL) == 0)
        s->top_k = (int64_t)MIN(top_k, (uint64_t)m->hp.vocab);
}
