/* SPDX-License-Identifier: MIT */
/*
 * seq.c - the memory of a sequence: everything it can ever need, taken at once.
 */
#include "config.h"
#include "engine/seq.h"

#include "base/base.h"
#include "base/mem.h"
#include "engine/grammar.h"

static void wish_free(struct seq_wish *w)
{
    mem_free(w->prompt);
    mem_free(w->stop_ids);
    mem_free(w->bias);
    mem_free(w->marker);
    grammar_unref(w->grammar);
}

struct seq *seq_new(const struct seq_wish *wish)
{
    trit_assert(wish->n_prompt >= 1 && wish->n_top <= SEQ_TOP_MAX);
    trit_assert(wish->pool == SEQ_POOL_NONE || (wish->max_new == 0 && wish->n_hidden > 0));
    struct seq *s = mem_zalloc(1, sizeof *s);
    if (!s) {
        struct seq_wish w = *wish;
        wish_free(&w);
        return NULL;
    }
    s->wish = *wish;
    s->wish.sampler.bias = wish->bias;
    s->logprob_stride = round_up(
        sizeof(struct seq_logprob) + wish->n_top * sizeof(struct sampler_top), sizeof(float));
    s->lease.cap = kv_pages_for(seq_positions(s));
    s->lease.page = mem_zalloc(s->lease.cap, sizeof *s->lease.page);
    int32_t *text = mem_resize(wish->prompt, (size_t)wish->n_prompt + wish->max_new, sizeof *text);
    if (text) {
        s->wish.prompt = text;
        s->token = text + wish->n_prompt;
    }
    bool remembers = sampler_uses_past(&wish->sampler);
    bool whole = s->lease.page && text &&
                 sampler_past_init(&s->past, remembers ? wish->n_prompt + wish->max_new : 0);
    if (wish->grammar)
        whole = whole && (s->grammar = grammar_state_new(wish->grammar));
    if (s->grammar && wish->marker)
        grammar_state_wait(s->grammar, wish->marker);
    if (wish->want_logprobs)
        whole = whole && (s->logprob = mem_zalloc(wish->max_new, s->logprob_stride));
    if (wish->want_prompt_logprobs)
        whole = whole && (s->prompt_logprob = mem_zalloc(wish->n_prompt, s->logprob_stride));
    if (wish->pool)
        whole = whole && (s->hidden = mem_zalloc(wish->n_hidden, sizeof *s->hidden));
    if (!whole) {
        seq_free(s);
        return NULL;
    }
    if (wish->sampler.repetition_penalty != 1.0f)
        for (uint32_t i = 0; i < wish->n_prompt; i++)
            sampler_past_add(&s->past, text[i], false);
    return s;
}

void seq_free(struct seq *s)
{
    if (!s)
        return;
    trit_assert(!s->lease.open);
    wish_free(&s->wish);
    sampler_past_fini(&s->past);
    grammar_state_free(s->grammar);
    mem_free(s->lease.page);
    mem_free(s->logprob);
    mem_free(s->prompt_logprob);
    mem_free(s->hidden);
    mem_free(s);
}

/* The last token of an answer is never fed back, so it needs no place in the cache. */
uint64_t seq_positions(const struct seq *s)
{
    return (uint64_t)s->wish.n_prompt + (s->wish.max_new ? s->wish.max_new - 1 : 0);
}

uint32_t seq_len(const struct seq *s)
{
    return s->wish.n_prompt + s->n_generated;
}

int32_t seq_token_at(const struct seq *s, uint32_t pos)
{
    trit_assert(pos < seq_len(s));
    return s->wish.prompt[pos];
}

const struct seq_logprob *seq_logprob_at(const struct seq *s, uint32_t i)
{
    trit_assert(s->logprob && i < s->wish.max_new);
    return (const void *)(s->logprob + i * s->logprob_stride);
}

const struct seq_logprob *seq_prompt_logprob_at(const struct seq *s, uint32_t i)
{
    trit_assert(s->prompt_logprob && i < s->wish.n_prompt);
    return (const void *)(s->prompt_logprob + i * s->logprob_stride);
}

const char *seq_end_name(enum seq_end end)
{
    static const char *const names[] = {"running", "stop", "length", "cancelled", "fault", "stuck"};
    trit_assert((size_t)end < ARRAY_LEN(names));
    return names[end];
}
