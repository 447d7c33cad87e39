/* SPDX-License-Identifier: MIT */
/*
 * work.c - distributions, and the words of prompts.
 */
#include "config.h"
#include "work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Short and common, so that most tokenizers have a token for each.  What they say does not matter:
 * the work of a model does not depend on it. */
static const char *const words[64] = {
    "river", "lamp",   "seven", "walks", "under", "green", "tower", "slow",  "bread", "and",
    "door",  "white",  "stone", "sings", "every", "night", "child", "finds", "small", "coin",
    "road",  "turns",  "left",  "where", "old",   "tree",  "stood", "water", "runs",  "cold",
    "hand",  "holds",  "bird",  "over",  "roof",  "then",  "light", "falls", "three", "boats",
    "come",  "home",   "late",  "rain",  "makes", "field", "dark",  "soft",  "bell",  "rings",
    "once",  "mother", "opens", "book",  "page",  "tells", "about", "king",  "who",   "lost",
    "his",   "red",    "horse", "again",
};
enum { WORD_BITS = 6, NUMBER_WORDS = 4, NUMBER_BITS = WORD_BITS * NUMBER_WORDS };
_Static_assert(ARRAY_LEN(words) == 1 << WORD_BITS, "a word is WORD_BITS random bits");

/* splitmix64 (Steele, Lea, Flood 2014): any state will do, neighbouring ones too. */
static uint64_t draw(uint64_t *random)
{
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double work_fraction(uint64_t *random)
{
    return (double)(draw(random) >> 11) * 0x1p-53;
}

/* ------------------------------------------------------------------ distributions */

/* A length at the beginning of *s, which moves behind it. */
static bool read_length(const char **s, uint32_t *n)
{
    char *end;
    unsigned long value = strtoul(*s, &end, 10);
    if (**s < '0' || **s > '9' || value < 1 || value > WORK_TOKENS_MAX)
        return false;
    *s = end;
    *n = (uint32_t)value;
    return true;
}

static bool read_lognormal(const char *s, struct dist *d)
{
    uint32_t median;
    char *end;
    if (!read_length(&s, &median) || *s++ != ':' || *s < '0' || *s > '9')
        return false;
    d->kind = DIST_LOGNORMAL;
    d->median = median;
    d->sigma = strtod(s, &end);
    d->from = 1;
    d->to = WORK_TOKENS_MAX;
    return *end == '\0' && d->sigma > 0 && d->sigma <= 4;
}

int dist_parse(const char *text, struct dist *d, struct trit_error *err)
{
    static const char name[] = "lognormal:";
    const char *s = text;
    *d = (struct dist){.kind = DIST_FIXED};
    if (strncmp(s, name, sizeof name - 1) == 0) {
        if (read_lognormal(s + sizeof name - 1, d))
            return 0;
    } else if (read_length(&s, &d->from)) {
        d->to = d->from;
        if (*s == '\0')
            return 0;
        d->kind = DIST_UNIFORM;
        if (s[0] == '.' && s[1] == '.' && (s += 2, read_length(&s, &d->to)) && *s == '\0' &&
            d->to >= d->from)
            return 0;
    }
    return trit_fail(err, TRIT_EINVAL,
                     "\"%.64s\", expected a length from 1 to %d (64), a range (32..512), or "
                     "lognormal:MEDIAN:SIGMA (lognormal:128:0.8)",
                     text, WORK_TOKENS_MAX);
}

uint32_t dist_draw(const struct dist *d, uint64_t *random)
{
    double a = work_fraction(random), b = work_fraction(random), x = d->from;
    switch (d->kind) {
    case DIST_FIXED:
        break;
    case DIST_UNIFORM:
        x = floor(d->from + a * (d->to - d->from + 1.0));
        break;
    case DIST_LOGNORMAL: /* Box and Muller's normal number; 1 - a is never 0. */
        x = round(d->median * exp(d->sigma * sqrt(-2 * log(1 - a)) * cos(2 * M_PI * b)));
        break;
    }
    return (uint32_t)MIN(MAX(x, (double)d->from), (double)d->to);
}

/* ------------------------------------------------------------------ prompts */

static void add_word(struct buf *text, uint64_t bits)
{
    if (text->len)
        buf_addc(text, ' ');
    buf_adds(text, words[bits % ARRAY_LEN(words)]);
}

static void add_words(uint64_t *random, uint32_t n, struct buf *text)
{
    while (n--)
        add_word(text, draw(random));
}

void work_words(uint64_t seed, uint32_t n, struct buf *text)
{
    add_words(&seed, n, text);
}

static uint32_t to_words(const struct work *w, uint32_t tokens)
{
    return (uint32_t)MAX(round(tokens * w->words_per_token), 1.0);
}

void work_item(const struct work *w, uint32_t group, uint64_t index, struct buf *prompt,
               uint32_t *max_tokens)
{
    uint64_t seed = w->seed, of_group = draw(&seed) ^ group, salt = draw(&of_group);
    uint64_t random = salt + index;
    random = draw(&random);
    uint32_t n = to_words(w, dist_draw(&w->prompt, &random));
    *max_tokens = dist_draw(&w->output, &random);
    if (w->shared_prefix)
        work_words(w->seed, to_words(w, w->shared_prefix), prompt);
    /* The request's number in words.  An odd factor and a sum are a permutation of the numbers, so
     * that all are different and no two neighbours begin alike. */
    uint64_t number = (index * 0x9e3779b1u + salt) % (1u << NUMBER_BITS);
    for (int shift = 0; n && shift < NUMBER_BITS; shift += WORD_BITS, n--)
        add_word(prompt, number >> shift);
    add_words(&random, n, prompt);
}
