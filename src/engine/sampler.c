/* SPDX-License-Identifier: MIT */
/*
 * sampler.c - from logits to one token, reproducibly.
 *
 * Candidates are kept sorted by (logit descending, id ascending) wherever an order matters.  Only
 * as many as needed are ever sorted: top_p on a vocabulary of 128 k usually ends within a few
 * dozen.
 */
#include "config.h"
#include "engine/sampler.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "kernels/kernels.h"

struct candidate {
    float logit;
    int32_t id;
};

/* A worker's scratch, each part as long as the vocabulary. */
struct scratch {
    float *adjusted; /* logits after bias and penalties */
    float *prob;
    struct candidate *cand;
};

size_t sampler_scratch_bytes(size_t n)
{
    return 2 * round_up(n * sizeof(float), 64) + n * sizeof(struct candidate);
}

static struct scratch scratch_of(void *mem, size_t n)
{
    char *at = mem;
    size_t floats = round_up(n * sizeof(float), 64);
    return (struct scratch){
        .adjusted = mem, .prob = (void *)(at + floats), .cand = (void *)(at + 2 * floats)};
}

/* SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection that spreads every bit. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Uniform in [0, 1) with 53 bits, a function of seed and position alone. */
static double uniform(uint64_t seed, uint64_t position)
{
    return (double)(mix(mix(seed) ^ position) >> 11) * 0x1p-53;
}

static bool better(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate t = *a;
    *a = *b;
    *b = t;
}

/* Restore the heap property below i; the worst candidate is on top. */
static void sift(struct candidate *heap, size_t n, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(heap[child], heap[child + 1]))
            child++;
        if (!better(heap[i], heap[child]))
            return;
        swap(&heap[i], &heap[child]);
    }
}

static void sort_heap(struct candidate *heap, size_t n)
{
    while (n > 1) {
        swap(&heap[0], &heap[--n]);
        sift(heap, n, 0);
    }
}

/*
 * The k best of logits[n] in order, written to top.  -inf is never a candidate.  One pass with a
 * heap of k: nearly all elements fail the first comparison.
 */
static size_t best(const float *logits, size_t n, size_t k, struct candidate *top)
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        struct candidate c = {logits[i], (int32_t)i};
        if (c.logit == -INFINITY)
            continue;
        if (have < k) {
            top[have++] = c;
            if (have == k)
                for (size_t j = k / 2; j-- > 0;)
                    sift(top, k, j);
        } else if (better(c, top[0])) {
            top[0] = c;
            sift(top, k, 0);
        }
    }
    if (have < k)
        for (size_t j = have / 2; j-- > 0;)
            sift(top, have, j);
    sort_heap(top, have);
    return have;
}

bool sampler_past_init(struct sampler_past *past, uint32_t cap)
{
    *past = (struct sampler_past){.cap = cap};
    if (cap == 0)
        return true;
    size_t slots = 16;
    while (slots < 2 * (size_t)cap)
        slots *= 2;
    past->mask = (uint32_t)(slots - 1);
    past->seen = mem_zalloc(cap, sizeof *past->seen);
    past->slot = mem_zalloc(slots, sizeof *past->slot);
    if (past->seen && past->slot)
        return true;
    sampler_past_fini(past);
    return false;
}

void sampler_past_fini(struct sampler_past *past)
{
    mem_free(past->seen);
    mem_free(past->slot);
    *past = (struct sampler_past){0};
}

void sampler_past_add(struct sampler_past *past, int32_t id, bool generated)
{
    if (past->cap == 0)
        return;
    uint32_t i = (uint32_t)mix((uint32_t)id) & past->mask;
    while (past->slot[i] && past->seen[past->slot[i] - 1].id != id)
        i = (i + 1) & past->mask;
    if (!past->slot[i]) {
        trit_assert(past->n < past->cap);
        past->seen[past->n] = (struct sampler_seen){.id = id};
        past->slot[i] = ++past->n;
    }
    past->seen[past->slot[i] - 1].generated += generated;
}

bool sampler_uses_past(const struct sampler_params *p)
{
    return p->presence_penalty != 0.0f || p->frequency_penalty != 0.0f ||
           p->repetition_penalty != 1.0f;
}

/* The logits to choose from: the model's own where nothing is to be changed, else an adjusted copy.
 */
static const float *adjust(const struct sampler_params *p, const struct sampler_past *past,
                           const int32_t *banned, size_t n_banned, const uint64_t *allowed,
                           const float *logits, size_t n, float *copy)
{
    if (p->n_bias == 0 && past->n == 0 && n_banned == 0 && !allowed)
        return logits;
    memcpy(copy, logits, n * sizeof *copy);
    for (size_t i = 0; i < p->n_bias; i++)
        copy[p->bias[i].id] += p->bias[i].bias;
    for (size_t i = 0; i < past->n; i++) {
        struct sampler_seen s = past->seen[i];
        float x = copy[s.id];
        x = x > 0 ? x / p->repetition_penalty : x * p->repetition_penalty;
        if (s.generated)
            x -= (float)s.generated * p->frequency_penalty + p->presence_penalty;
        copy[s.id] = x;
    }
    for (size_t i = 0; i < n_banned; i++)
        copy[banned[i]] = -INFINITY;
    for (size_t i = 0; allowed && i < n; i++)
        if (!(allowed[i / 64] >> i % 64 & 1))
            copy[i] = -INFINITY;
    return copy;
}

/*
 * Draw from candidates in order, whose weights are prob[0, n) summing to `total`: the first whose
 * running sum passes u * total.  Rounding may leave the last one out of reach; it takes the rest.
 */
static size_t draw(const float *prob, size_t n, double total, double u)
{
    double target = u * total, run = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        run += (double)prob[i];
        if (run > target)
            return i;
    }
    return n - 1;
}

/* The nucleus: the shortest run of best candidates with at least share p of the whole. */
static size_t nucleus(const float *prob, size_t n, double total, float p)
{
    double run = 0;
    for (size_t i = 0; i < n; i++) {
        run += (double)prob[i];
        if (run >= (double)p * total)
            return i + 1;
    }
    return n;
}

int sampler_pick(const struct kernels *k, const struct sampler_params *p,
                 const struct sampler_past *past, const int32_t *banned, size_t n_banned,
                 const uint64_t *allowed, uint64_t position, const float *model_logits, size_t n,
                 void *scratch, int32_t *token)
{
    struct scratch s = scratch_of(scratch, n);
    const float *logits = adjust(p, past, banned, n_banned, allowed, model_logits, n, s.adjusted);
    float max;
    size_t first = k->argmax(logits, n, &max);
    if (first == SIZE_MAX || !isfinite(max))
        return -TRIT_EFAULT;
    if (p->temperature == 0.0f || p->top_k == 1) {
        *token = (int32_t)first;
        return 0;
    }

    double u = uniform(p->seed, position);
    float inv_t = 1.0f / fmaxf(p->temperature, 1e-4f); /* Smaller would only overflow. */
    bool plain = p->top_k == 0 && p->min_p == 0.0f && p->top_p >= 1.0f;
    for (size_t i = 0; i < n; i++)
        s.prob[i] = logits[i] * inv_t;
    k->exp_shift(s.prob, s.prob, max * inv_t, n);
    if (plain) {
        double total = 0;
        for (size_t i = 0; i < n; i++)
            total += (double)s.prob[i];
        *token = (int32_t)draw(s.prob, n, total, u);
        return 0;
    }

    /* Without top_k the nucleus is sought among the best 256, and only if they do not hold it among
     * four times as many, and so on.  The total is over the whole vocabulary. */
    double total = 0;
    size_t limit = p->top_k ? MIN(p->top_k, n) : n;
    if (limit == n)
        for (size_t i = 0; i < n; i++)
            total += (double)s.prob[i];
    size_t have, keep;
    for (size_t k_try = p->top_k ? limit : MIN(n, 256);; k_try = MIN(n, 4 * k_try)) {
        have = best(logits, n, k_try, s.cand);
        double seen = 0;
        for (size_t i = 0; i < have; i++)
            seen += (double)s.prob[s.cand[i].id];
        if (limit < n)
            total = seen;
        float least = s.prob[s.cand[have - 1].id];
        bool whole = have < k_try || k_try == limit;
        bool min_done = p->min_p > 0 && least < p->min_p;
        bool top_done = p->top_p < 1 && seen >= (double)p->top_p * total;
        if (whole || min_done || top_done)
            break;
    }
    /* exp_shift has made the best candidate's weight exactly 1, which min_p is relative to. */
    keep = have;
    while (keep > 1 && s.prob[s.cand[keep - 1].id] < p->min_p)
        keep--;
    for (size_t i = 0; i < keep; i++) /* Ids ascend in no order; weights move to a dense run. */
        s.cand[i].logit = s.prob[s.cand[i].id];
    for (size_t i = 0; i < keep; i++)
        s.prob[i] = s.cand[i].logit;
    if (p->top_p < 1.0f)
        keep = nucleus(s.prob, keep, total, p->top_p);
    double mass = 0;
    for (size_t i = 0; i < keep; i++)
        mass += (double)s.prob[i];
    *token = s.cand[draw(s.prob, keep, mass, u)].id;
    return 0;
}

void sampler_logprobs(const struct kernels *k, const float *logits, size_t n, int32_t token,
                      float *logprob, struct sampler_top *top, size_t n_top, void *scratch)
{
    struct scratch s = scratch_of(scratch, n);
    float max;
    if (k->argmax(logits, n, &max) == SIZE_MAX)
        max = NAN;
    k->exp_shift(s.prob, logits, max, n);
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)s.prob[i];
    /* cppcheck-suppress invalidFunctionArg ; the largest adds 1 */
    double shift = (double)max + log(total);
    *logprob = (float)((double)logits[token] - shift);
    size_t have = n_top ? best(logits, n, n_top, s.cand) : 0;
    for (size_t i = 0; i < n_top; i++)
        top[i] = i < have
                     ? (struct sampler_top){s.cand[i].id, (float)((double)s.cand[i].logit - shift)}
                     : (struct sampler_top){-1, -INFINITY};
}
