/* SPDX-License-Identifier: MIT */
/*
 * pretok.c - the patterns that cut text into pieces before byte-level BPE.
 *
 * A pattern is a row of a table, chosen by `tokenizer.ggml.pre` and executed by PCRE2: real Unicode
 * categories, no recursion, no JIT (the service runs with MemoryDenyWriteExecute).  Every row
 * matches at every position, so the pieces lie end to end and hold the whole text.
 *
 * Two things are spelled out because libraries differ.  Where the published patterns say \s they
 * mean Unicode's White_Space; PCRE2's own \s also takes U+180E, which lost that property in Unicode
 * 6.3.  And where they say (?i:'s) ASCII letters are meant; PCRE2 would take U+017F, the long s, as
 * well.
 *
 * Sources: tokenizer.json of Llama 3, Qwen2 and GPT-2; llama.cpp (llama-vocab.cpp) for the names.
 * Not here: normalisation (Qwen2 wants NFC; text is taken as it comes), and characters younger than
 * PCRE2's Unicode (14 in Debian 12), which count as punctuation.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"

#define SPACE  "\\t-\\r\\x{85}\\p{Z}"
#define SPACES "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

/* In order: contractions, words, digits, punctuation, line ends, white space. */
#define LLAMA3_LIKE(digits)                                                                        \
    "'(?:[sStTmMdD]|[rRvV][eE]|[lL][lL])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" SPACE      \
    "\\p{L}\\p{N}]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+|" SPACES

static const char LLAMA3[] = LLAMA3_LIKE("\\p{N}{1,3}");
static const char QWEN2[] = LLAMA3_LIKE("\\p{N}");
static const char GPT2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACES;

struct pretok_row {
    const char *name;
    const char *pattern;
    bool llama3; /* of that family: ignore_merges, and BOS in front, unless the file says otherwise */
};

/* The first row serves files that name none: official BitNet b1.58 2B-4T ones are like that. */
static const struct pretok_row rows[] = {
    {"llama-bpe", LLAMA3, true}, {"llama3", LLAMA3, true},   {"llama-v3", LLAMA3, true},
    {"falcon3", LLAMA3, true},   {"falcon_e", LLAMA3, true}, {"qwen2", QWEN2, false},
    {"gpt-2", GPT2, false},      {"default", GPT2, false},
};

struct pretok {
    const struct pretok_row *row;
    bool assumed;
    bool takes_words;
    pcre2_general_context *memory;
    pcre2_code *code;
};

struct pretok_cutter {
    const struct pretok *p;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    const char *text;
    size_t from, at, to;
};

static void *take(PCRE2_SIZE bytes, void *unused)
{
    (void)unused;
    return mem_zalloc(bytes, 1);
}

static void give(void *p, void *unused)
{
    (void)unused;
    mem_free(p);
}

static const struct pretok_row *find_row(struct gguf_str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == name.len && memcmp(rows[i].name, name.data, name.len) == 0)
            return &rows[i];
    return NULL;
}

static int unknown(const struct gguf *g, struct gguf_str name, struct trit_error *err)
{
    char known[128];
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        n += snprintf(known + n, sizeof known - (size_t)n, "%s%s", i ? ", " : "", rows[i].name);
    return gguf_fail(g, err, TRIT_EUNSUPP,
                     "key tokenizer.ggml.pre: found \"%.*s\", expected one of %s",
                     (int)MIN(name.len, (size_t)40), name.data, known);
}

int pretok_open(const struct gguf *g, struct pretok **out, struct trit_error *err)
{
    static const char KEY[] = "tokenizer.ggml.pre", WORDS[] = "tokenizer.ggml.ignore_merges";
    struct gguf_str name;
    const struct pretok_row *row = &rows[0];
    int rc = 0;
    *out = NULL;
    if (gguf_has(g, KEY)) {
        if ((rc = gguf_string(g, KEY, &name, err)))
            return rc;
        row = find_row(name);
        if (!row)
            return unknown(g, name, err);
    }
    struct pretok *p = mem_zalloc(1, sizeof *p);
    if (!p)
        goto no_memory;
    p->row = row;
    p->assumed = !gguf_has(g, KEY);
    p->takes_words = row->llama3;
    if (gguf_has(g, WORDS) && (rc = gguf_bool(g, WORDS, &p->takes_words, err))) {
        pretok_close(&p);
        return rc;
    }
    p->memory = pcre2_general_context_create(take, give, NULL);
    pcre2_compile_context *compile = p->memory ? pcre2_compile_context_create(p->memory) : NULL;
    if (!compile)
        goto no_memory;
    int error;
    PCRE2_SIZE where;
    p->code = pcre2_compile((PCRE2_SPTR)row->pattern, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &where, compile);
    pcre2_compile_context_free(compile);
    if (p->code) {
        *out = p;
        return 0;
    }
    trit_assert(error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED);
no_memory:
    pretok_close(&p);
    return gguf_fail(g, err, TRIT_ENOMEM, "no memory for the pre-tokenizer");
}

void pretok_close(struct pretok **p)
{
    if (!*p)
        return;
    pcre2_code_free((*p)->code);
    pcre2_general_context_free((*p)->memory);
    mem_free(*p);
    *p = NULL;
}

const char *pretok_name(const struct pretok *p)
{
    return p->assumed ? "llama-bpe (assumed, the file names none)" : p->row->name;
}

bool pretok_is_llama3(const struct pretok *p)
{
    return p->row->llama3;
}

bool pretok_takes_words(const struct pretok *p)
{
    return p->takes_words;
}

size_t pretok_held(const struct pretok *p)
{
    size_t bytes = 0;
    pcre2_pattern_info(p->code, PCRE2_INFO_SIZE, &bytes);
    return sizeof *p + bytes;
}

struct pretok_cutter *pretok_cutter_open(const struct pretok *p, const char *text, size_t len)
{
    struct pretok_cutter *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->p = p;
    c->text = text;
    c->to = len;
    c->match = pcre2_match_data_create(1, p->memory);
    c->limits = pcre2_match_context_create(p->memory);
    if (!c->match || !c->limits) {
        pretok_cutter_close(c);
        return NULL;
    }
    /*
     * The patterns need a few steps for each byte at most (a run of spaces that no line end follows
     * is walked back once) and no depth.  Both limits only turn a mistake into an error.
     */
    enum { STEPS = 16, HEAP_KIB = 1024 };
    pcre2_set_match_limit(c->limits, (uint32_t)MIN(1000 + STEPS * len, (size_t)UINT32_MAX));
    pcre2_set_heap_limit(c->limits, HEAP_KIB);
    return c;
}

void pretok_cutter_close(struct pretok_cutter *c)
{
    if (!c)
        return;
    pcre2_match_data_free(c->match);
    pcre2_match_context_free(c->limits);
    mem_free(c);
}

void pretok_cutter_set(struct pretok_cutter *c, size_t from, size_t to)
{
    c->from = c->at = from;
    c->to = to;
}

int pretok_next(struct pretok_cutter *c, size_t *start, size_t *end)
{
    if (c->at == c->to)
        return 0;
    /* The text was checked once; PCRE2 would check it again for every piece. */
    int n = pcre2_match(c->p->code, (PCRE2_SPTR)c->text + c->from, c->to - c->from, c->at - c->from,
                        PCRE2_NO_UTF_CHECK, c->match, c->limits);
    if (n == PCRE2_ERROR_NOMEMORY)
        return -TRIT_ENOMEM;
    if (n < 0)
        return -TRIT_EFAULT;
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(c->match);
    trit_assert(span[1] > span[0]);
    *start = c->at;
    *end = c->at = c->from + span[1];
    return 1;
}
