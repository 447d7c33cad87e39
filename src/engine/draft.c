/* SPDX-License-Identifier: MIT */
/*
 * draft.c - the last occurrence of the last few tokens, and what stood behind it.
 *
 * The method is prompt look-up decoding (A. Saxena, 2023), with the answer itself searched too.
 */
#include "config.h"
#include "engine/draft.h"

#include "base/base.h"
#include "engine/seq.h"

enum {
    LONGEST = 4,  /* tokens that must match, tried first: rare, but then nearly always right */
    SHORTEST = 2, /* one token matches everywhere and tells nothing */
    REACH = 8192, /* positions to look back */
    FIRST_LENGTH = 4,
    MOST_PAUSE = 64, /* steps */
};

/* Whether the n tokens before position `at` are the last n of the text. */
static bool matches(const struct seq *s, uint32_t at, uint32_t len, uint32_t n)
{
    for (uint32_t i = 1; i <= n; i++)
        if (seq_token_at(s, at - i) != seq_token_at(s, len - i))
            return false;
    return true;
}

/* The position behind the longest and, of those, latest match; 0: there is none. */
static uint32_t find(const struct seq *s, uint32_t len)
{
    uint32_t best = 0, best_n = SHORTEST - 1;
    uint32_t stop = len > REACH ? len - REACH : 0;
    for (uint32_t at = len - 1; at > stop && at > best_n && best_n < LONGEST; at--) {
        if (!matches(s, at, len, best_n + 1))
            continue;
        do
            best_n++;
        while (best_n < LONGEST && at > best_n && matches(s, at, len, best_n + 1));
        best = at;
    }
    return best;
}

uint32_t draft_guess(struct seq *s, uint32_t max, int32_t *token)
{
    struct draft *d = &s->draft;
    uint32_t len = seq_len(s);
    if (d->pause) {
        d->pause--;
        return 0;
    }
    max = MIN(max, d->length ? d->length : (uint32_t)FIRST_LENGTH);
    uint32_t from = max && len > SHORTEST ? find(s, len) : 0;
    if (from == 0)
        return 0;
    /* The text may be going round in a circle: then what follows is itself a guess. */
    for (uint32_t i = 0; i < max; i++)
        token[i] = from + i < len ? seq_token_at(s, from + i) : token[from + i - len];
    return max;
}

void draft_learn(struct draft *d, uint32_t n, uint32_t n_right)
{
    if (n == 0)
        return;
    if (n_right == 0) {
        d->misses++;
        d->pause = MIN(1u << MIN(d->misses, 6u), (uint32_t)MOST_PAUSE);
        d->length = 2;
        return;
    }
    d->misses = 0;
    d->length = n_right == n ? MIN(2 * n, (uint32_t)SEQ_DRAFT_MAX) : n_right + 1;
}
