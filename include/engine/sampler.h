/* SPDX-License-Identifier: MIT */
/*
 * sampler.h - logits to a token.  Pure: no clock, no global, no state but what is passed.
 *
 * Order: logit_bias and penalties, temperature, top_k, min_p, top_p, then one draw.  Candidates are
 * ordered by logit, ties by lower id, so every step is exactly reproducible.  The random number is
 * a function of (seed, position) only: an answer does not depend on what else the server is doing.
 */
#ifndef TRIT_SAMPLER_H
#define TRIT_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernels;

struct sampler_bias {
    int32_t id;
    float bias;
};

struct sampler_params {
    float temperature;        /* 0: the most likely token, always */
    float top_p;              /* (0, 1]; 1: off */
    float min_p;              /* [0, 1]; 0: off */
    uint32_t top_k;           /* 0: off */
    float presence_penalty;   /* OpenAI: logit -= count * frequency + (count > 0) * presence, */
    float frequency_penalty;  /* counted over generated tokens */
    float repetition_penalty; /* 1: off; divides positive, multiplies negative logits; prompt too */
    uint64_t seed;
    const struct sampler_bias *bias; /* borrowed */
    size_t n_bias;
};

/*
 * What has been said so far, for the penalties: each token once, with its count.  Room for cap
 * different tokens is taken at init (cap 0: a memory that remembers nothing); adding allocates
 * nothing.
 */
struct sampler_seen {
    int32_t id;
    uint32_t generated; /* times in the answer */
};
struct sampler_past {
    struct sampler_seen *seen; /* in order of first occurrence */
    uint32_t n, cap;
    uint32_t *slot; /* open addressing: index into seen + 1 */
    uint32_t mask;
};
bool sampler_past_init(struct sampler_past *past, uint32_t cap); /* false: no memory */
void sampler_past_fini(struct sampler_past *past);
void sampler_past_add(struct sampler_past *past, int32_t id, bool generated);

/* Whether these parameters need a past at all. */
bool sampler_uses_past(const struct sampler_params *p);

struct sampler_top {
    int32_t id;
    float logprob;
};

/* Scratch of one worker for a vocabulary of n: sampler_scratch_bytes(n), line-aligned. */
size_t sampler_scratch_bytes(size_t n);

/*
 * Choose a token from logits[n], which stay as they are.  position is the index of the generated
 * token, 0 for the first.  The n_banned ids are never chosen, nor is one whose bit in allowed[] is
 * not set (NULL: all may be): everything is taken among the others.  -TRIT_EFAULT when a logit is
 * NaN or +inf, or none is finite.
 */
int sampler_pick(const struct kernels *k, const struct sampler_params *p,
                 const struct sampler_past *past, const int32_t *banned, size_t n_banned,
                 const uint64_t *allowed, uint64_t position, const float *logits, size_t n,
                 void *scratch, int32_t *token);

/*
 * Log-probabilities under the model's own distribution (before bias, penalties and temperature):
 * that of `token`, and the n_top largest in descending order, ties by lower id.
 */
void sampler_logprobs(const struct kernels *k, const float *logits, size_t n, int32_t token,
                      float *logprob, struct sampler_top *top, size_t n_top, void *scratch);

#endif
