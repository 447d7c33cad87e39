/* SPDX-License-Identifier: MIT */
/*
 * bench-grammar.c - what it takes to know which tokens may follow, in states that answers are in.
 *
 * Cold is the first mask of a state of a grammar that nobody has asked for yet, warm is the next
 * one. The last rows play answers: a stream for each, which go on with tokens that chance picks
 * among those that are allowed, so they are in stranger states than a model's answers are.
 *
 * The file need hold no more than a tokenizer: tests/golden/tokenizer/make-vocab.mjs makes such
 * ones of published tokenizers.
 */
#include "config.h"
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "engine/grammar.h"

enum { WARM = 100, MASKS_BYTES = 64 << 20, STEPS = 200 };

/* What every JSON grammar of tritd's schemas has (server/schema.c). */
#define JSON_RULES                                                                                 \
    "str ::= \"\\\"\" ch* \"\\\"\"\n"                                                              \
    "ch ::= [^\\x22\\x5C\\x00-\\x1F] | \"\\\\\" ([\\x22\\x5C/bfnrt] | \"u\" [0-9a-fA-F]{4})\n"     \
    "num ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14}) (\".\" [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?\n"   \
    "any ::= str | num | \"true\" | \"false\" | \"null\" | obj | arr\n"                            \
    "obj ::= \"{\" (pair (\",\" \" \"? pair)*)? \"}\"\n"                                           \
    "pair ::= str \":\" \" \"? any\n"                                                              \
    "arr ::= \"[\" (any (\",\" \" \"? any)*)? \"]\"\n"
#define PERSON                                                                                     \
    "root ::= \"{\\\"name\\\":\" \" \"? str \",\" \" \"? \"\\\"age\\\":\" \" \"? num \",\" \" "    \
    "\"? "                                                                                         \
    "\"\\\"tags\\\":\" \" \"? \"[\" (str (\",\" \" \"? str)*)? \"]\" \"}\"\n"

static const struct state {
    const char *what, *grammar, *before; /* what was said already */
} states[] = {
    {"free text", "root ::= [^\\x00]*\n", "Once"},
    {"JSON string", PERSON JSON_RULES, "{\"name\": \"A"},
    {"JSON string, deep in any JSON", "root ::= any\n" JSON_RULES, "{\"a\":[{\"b\":[[\"A"},
    {"JSON string of at most 40", "root ::= \"\\\"\" ch{0,40} \"\\\"\"\n" JSON_RULES, "\"A"},
    {"JSON number", PERSON JSON_RULES, "{\"name\": \"A\", \"age\": 1"},
    {"any JSON value", "root ::= any\n" JSON_RULES, ""},
    {"object key, any", "root ::= obj\n" JSON_RULES, "{\""},
    {"object key, one of a schema's", PERSON JSON_RULES, "{\"name\": \"A\", \""},
    {"e-mail address by a regex", "root ::= [a-z0-9._-]+ \"@\" ([a-z0-9-]+ \".\")+ [a-z]{2,6}\n",
     "jo"},
    {"enum of 1000 words", NULL, ""},
};

struct bench {
    const struct bench_options *o;
    struct gguf *file;
    struct tok *tok;
    struct grammar_vocab *vocab;
    struct grammar_masks *masks;
    uint64_t *mask;
    uint32_t n;
    uint64_t random;
};

static uint32_t pick(struct bench *b, uint32_t below)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((b->random >> 33) % below);
}

static void write_words(struct buf *text)
{
    uint64_t x = 1;
    buf_adds(text, "root ::= ");
    for (unsigned i = 0; i < 1000; i++) {
        buf_adds(text, i ? " | \"" : "\"");
        for (unsigned k = 0; k < 10; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            buf_addc(text, (char)('a' + (x >> 33) % 26));
        }
        buf_addc(text, '"');
    }
    buf_addc(text, '\n');
}

static struct grammar *compile(const char *text)
{
    struct grammar *g;
    struct trit_error err;
    struct buf words = {0};
    if (!text)
        write_words(&words);
    text = text ? text : words.data;
    if (!text || grammar_compile(text, strlen(text), NULL, &g, &err) != 0) {
        fprintf(stderr, "trit-bench: %s\n", text ? err.text : "no memory");
        g = NULL;
    }
    buf_free(&words);
    return g;
}

static void ask(struct bench *b, const struct grammar_state *st, uint32_t *allowed)
{
    if (grammar_mask(b->masks, st, b->mask, allowed) != 0)
        *allowed = 0;
}

static int measure_state(struct bench *b, const struct state *s)
{
    struct bench_samples cold = {0}, warm = {0};
    uint32_t allowed = 0;
    char what[80], note[64];
    for (unsigned i = 0; i < b->o->repeat; i++) {
        struct grammar *g = compile(s->grammar);
        struct grammar_state *st = g ? grammar_state_new(g) : NULL;
        grammar_unref(g);
        if (!st || grammar_accept(st, s->before, strlen(s->before)) != 0)
            return 1;
        double start = trit_now();
        ask(b, st, &allowed);
        double then = trit_now();
        for (unsigned k = 0; k < WARM; k++)
            ask(b, st, &allowed);
        bench_sample(&cold, 1e3 * (then - start));
        bench_sample(&warm, 1e3 * (trit_now() - then) / WARM);
        grammar_state_free(st);
    }
    snprintf(note, sizeof note, "%" PRIu32 " tokens may follow", allowed);
    snprintf(what, sizeof what, "%s: cold", s->what);
    bench_row(b->o, what, &cold, "ms", note);
    snprintf(what, sizeof what, "%s: warm", s->what);
    bench_row(b->o, what, &warm, "ms", NULL);
    return 0;
}

/* A token that may follow, by chance; -1: none. */
static int32_t choose(struct bench *b, uint32_t allowed)
{
    if (!allowed)
        return -1;
    uint32_t k = pick(b, allowed);
    for (size_t i = 0;; i++) {
        uint64_t bits = b->mask[i];
        uint32_t n = (uint32_t)__builtin_popcountll(bits);
        if (k >= n) {
            k -= n;
            continue;
        }
        while (k--)
            bits &= bits - 1;
        return (int32_t)(64 * i) + __builtin_ctzll(bits);
    }
}

/* All streams one token further; an answer that is whole begins anew. */
static double play_step(struct bench *b, struct grammar *g, struct grammar_state **st, unsigned n)
{
    double seconds = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t allowed;
        double start = trit_now();
        ask(b, st[i], &allowed);
        int32_t token = choose(b, allowed);
        size_t len = 0;
        const char *piece = token < 0 ? NULL : tok_piece(b->tok, token, &len);
        bool on = piece && grammar_accept(st[i], piece, len) == 0 && grammar_may_go_on(st[i]);
        seconds += trit_now() - start;
        if (!on) {
            grammar_state_free(st[i]);
            st[i] = grammar_state_new(g);
            if (!st[i])
                return -1;
        }
    }
    return seconds;
}

static int measure_answers(struct bench *b, const char *what, const char *text)
{
    enum { STREAMS = 16 };
    struct bench_samples mean = {0};
    struct grammar_mask_counts before, after;
    char row[80], note[64];
    double worst = 0;
    grammar_masks_count(b->masks, &before);
    for (unsigned i = 0; i < b->o->repeat; i++) {
        struct grammar_state *st[STREAMS] = {0};
        struct grammar *g = compile(text);
        bool sound = g != NULL;
        for (unsigned k = 0; sound && k < STREAMS; k++)
            sound = (st[k] = grammar_state_new(g)) != NULL;
        double sum = 0;
        for (unsigned k = 0; sound && k < STEPS; k++) {
            double seconds = play_step(b, g, st, STREAMS);
            sound = seconds >= 0;
            sum += seconds;
            worst = MAX(worst, seconds);
        }
        for (unsigned k = 0; k < STREAMS; k++)
            grammar_state_free(st[k]);
        grammar_unref(g);
        if (!sound)
            return 1;
        bench_sample(&mean, 1e3 * sum / STEPS);
    }
    grammar_masks_count(b->masks, &after);
    double misses = (double)(after.misses - before.misses);
    snprintf(note, sizeof note, "the longest %.2f ms, %.1f %% of parts were new", 1e3 * worst,
             100 * misses / (misses + (double)(after.hits - before.hits)));
    snprintf(row, sizeof row, "a step of %d streams, %s", STREAMS, what);
    bench_row(b->o, row, &mean, "ms", note);
    return 0;
}

static int open_all(struct bench *b)
{
    struct trit_error err;
    struct gguf_strs tokens;
    int rc = gguf_open(b->o->model, &b->file, &err);
    if (rc == 0)
        rc = gguf_strings(b->file, "tokenizer.ggml.tokens", &tokens, &err);
    if (rc == 0)
        rc = tok_open(b->file, (uint32_t)MIN(tokens.n, (size_t)UINT32_MAX), &b->tok, &err);
    if (rc == 0) {
        b->n = (uint32_t)tok_size(b->tok);
        rc = grammar_vocab_open(b->tok, b->n, &b->vocab, &err);
    }
    if (rc == 0)
        rc = grammar_masks_open(b->vocab, MASKS_BYTES, &b->masks, &err);
    b->mask = mem_zalloc(GRAMMAR_MASK_WORDS(b->n), sizeof *b->mask);
    if (rc == 0 && !b->mask)
        rc = trit_fail(&err, TRIT_ENOMEM, "no memory for masks");
    if (rc)
        fprintf(stderr, "trit-bench: %s\n", err.text);
    return rc;
}

int bench_grammar(const struct bench_options *o)
{
    struct bench b = {.o = o, .random = o->seed};
    int rc = open_all(&b) ? 1 : 0;
    if (rc == 0) {
        char title[128];
        snprintf(title, sizeof title, "masks of %" PRIu32 " tokens, %.1f MB as a tree", b.n,
                 (double)grammar_vocab_bytes(b.vocab) / 1e6);
        bench_begin(o, title);
        for (size_t i = 0; rc == 0 && i < ARRAY_LEN(states); i++)
            rc = measure_state(&b, &states[i]);
        if (rc == 0)
            rc = measure_answers(&b, "a schema", PERSON JSON_RULES);
        if (rc == 0)
            rc = measure_answers(&b, "any JSON", "root ::= any\n" JSON_RULES);
        bench_end(o);
    }
    mem_free(b.mask);
    grammar_masks_close(&b.masks);
    grammar_vocab_close(&b.vocab);
    tok_close(&b.tok);
    gguf_close(&b.file);
    return rc;
}
