/* SPDX-License-Identifier: MIT */
/*
 * pretok.c - the patterns that cut text into pieces before byte pair encoding.
 *
 * A pre-tokenizer is a row of stages: each cuts the pieces of the one before, as if a piece stood
 * alone.  `tokenizer.ggml.pre` names a published row ("llama-bpe"), or the stages themselves with a
 * '+' between ("digits+gpt-2"), which is how the pipelines of tokenizer.json come here.  A stage is
 * a pattern, executed by PCRE2: real Unicode categories, no recursion, no JIT (the service runs
 * with MemoryDenyWriteExecute).  Every pattern matches at every position, so the pieces lie end to
 * end and hold the whole text.
 *
 * Two things are spelled out because libraries differ.  Where the published patterns say \s they
 * mean Unicode's White_Space; PCRE2's own \s also takes U+180E, which lost that property in Unicode
 * 6.3.  And where they say (?i:'s) ASCII letters are meant; PCRE2 would take U+017F, the long s, as
 * well.
 *
 * Sources: tokenizer.json of Llama 3, Qwen2, GPT-2 and Falcon; huggingface/tokenizers
 * (pre_tokenizers) for Digits, Punctuation and Metaspace; llama.cpp (llama-vocab.cpp) for the
 * names. Not here: normalisation (normal.c), and characters younger than PCRE2's Unicode (14 in
 * Debian 12), which count as punctuation.
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

/* As Hugging Face's Punctuation: what ASCII calls so, symbols too, and Unicode's category P. */
#define PUNCTUATION "!-/:-@\\[-`{-~\\p{P}"

/* The bytes whose letters in the GPT-2 alphabet are digits: 0 to 9, and those of "²³¹¼½¾". */
#define LETTER_DIGITS "0-9\\xb2\\xb3\\xb9\\xbc-\\xbe"

/* A pattern of tokenizer.json is known by its text; `published` is NULL for stages that have a type
 * of their own there. */
static const struct stage {
    const char *name, *pattern, *published;
    bool bytes; /* the pattern is of bytes, and may cut a character */
} stages[] = {
    {"llama-3", LLAMA3_LIKE("\\p{N}{1,3}"),
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     false},
    {"qwen-2", LLAMA3_LIKE("\\p{N}"),
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     false},
    {"qwen-3.5",
     "'(?:[sStTmMdD]|[rRvV][eE]|[lL][lL])|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" SPACE
     "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+|" SPACES,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
     "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     false},
    {"gpt-2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACES,
     "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", false},
    {"threes", "[0-9]{3}|(?:[^0-9]++|(?![0-9]{3})[0-9])++", "[0-9][0-9][0-9]", true},
    {"digits", "\\p{N}|\\P{N}+", NULL, false},
    {"digit-runs", "\\p{N}+|\\P{N}+", NULL, false},
    {"punctuation", "[" PUNCTUATION "]|[^" PUNCTUATION "]+", NULL, false},
    {"punctuation-runs", "[" PUNCTUATION "]+|[^" PUNCTUATION "]+", NULL, false},
    {"letter-digits", "[" LETTER_DIGITS "]|[^" LETTER_DIGITS "]+", NULL, true},
    {"letter-digit-runs", "[" LETTER_DIGITS "]+|[^" LETTER_DIGITS "]+", NULL, true},
    {"words", " [^ ]*|[^ ]+", NULL, false},
};

/* Published rows. */
static const struct pretok_row {
    const char *name, *stages;
    bool llama3; /* of that family: ignore_merges, and BOS in front, unless the file says otherwise
                  */
    bool nfc;    /* the published tokenizer normalises */
} rows[] = {
    {"llama-bpe", "llama-3", true, false},
    {"llama3", "llama-3", true, false},
    {"llama-v3", "llama-3", true, false},
    {"falcon3", "llama-3", true, false},
    {"falcon_e", "llama-3", true, false},
    {"falcon-h1", "llama-3", true, false},
    {"qwen2", "qwen-2", false, true},
    {"qwen35", "qwen-3.5", false, true},
    {"gpt-2", "gpt-2", false, false},
    {"default", "gpt-2", false, false},
    {"olmo", "gpt-2", false, true}, /* GPT-NeoX's, TriLM has it */
    {"starcoder", "digits+gpt-2", false, false},
    {"smollm", "digits+gpt-2", false, false},
};

struct pretok {
    const struct pretok_row *row; /* NULL: stages by their own names */
    char name[80];
    bool takes_words;
    bool cuts_bytes; /* the last stage does; one of characters cannot follow */
    pcre2_general_context *memory;
    size_t n;
    pcre2_code *code[PRETOK_STAGES];
};

/* One stage of a walk: the piece it cuts, and how far it is. */
struct level {
    size_t from, at, to;
};

struct pretok_cutter {
    const struct pretok *p;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    const char *text;
    struct level level[PRETOK_STAGES];
    size_t depth; /* levels below it have a piece at work */
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

static bool is(struct gguf_str s, const char *name)
{
    return strlen(name) == s.len && memcmp(name, s.data, s.len) == 0;
}

static const struct pretok_row *find_row(struct gguf_str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

static const struct stage *find_stage(struct gguf_str name)
{
    for (size_t i = 0; i < ARRAY_LEN(stages); i++)
        if (is(name, stages[i].name))
            return &stages[i];
    return NULL;
}

const char *pretok_stage_of(bool (*spells)(const void *pattern, const char *text),
                            const void *pattern)
{
    for (size_t i = 0; i < ARRAY_LEN(stages); i++)
        if (stages[i].published && spells(pattern, stages[i].published))
            return stages[i].name;
    return NULL;
}

static int unknown(const struct gguf *g, struct gguf_str name, struct trit_error *err)
{
    char known[160];
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        n += snprintf(known + n, sizeof known - (size_t)n, "%s%s", i ? ", " : "", rows[i].name);
    return gguf_fail(g, err, TRIT_EUNSUPP,
                     "key tokenizer.ggml.pre: found \"%.*s\", expected one of %s",
                     (int)MIN(name.len, (size_t)40), name.data, known);
}

static int no_memory(const struct gguf *g, struct trit_error *err)
{
    return gguf_fail(g, err, TRIT_ENOMEM, "no memory for the pre-tokenizer");
}

static int compile(const struct gguf *g, struct pretok *p, const struct stage *s,
                   struct trit_error *err)
{
    int error;
    PCRE2_SIZE where;
    pcre2_compile_context *compile = pcre2_compile_context_create(p->memory);
    if (!compile)
        return no_memory(g, err);
    p->code[p->n] =
        pcre2_compile((PCRE2_SPTR)s->pattern, PCRE2_ZERO_TERMINATED,
                      s->bytes ? PCRE2_ANCHORED : PCRE2_ANCHORED | PCRE2_UTF | PCRE2_UCP, &error,
                      &where, compile);
    pcre2_compile_context_free(compile);
    if (p->code[p->n]) {
        p->n++;
        return 0;
    }
    trit_assert(error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED);
    return no_memory(g, err);
}

/* The stages of a list with '+' between; `name` is what an error tells. */
static int compile_all(const struct gguf *g, struct pretok *p, struct gguf_str list,
                       struct gguf_str name, struct trit_error *err)
{
    int rc = 0;
    while (list.len > 0 && rc == 0) {
        const char *plus = memchr(list.data, '+', list.len);
        size_t len = plus ? (size_t)(plus - list.data) : list.len;
        const struct stage *s = find_stage((struct gguf_str){list.data, len});
        if (!s || p->n == PRETOK_STAGES || len + 1 == list.len || (p->cuts_bytes && !s->bytes))
            return unknown(g, name, err);
        p->cuts_bytes = s->bytes;
        rc = compile(g, p, s, err);
        list.data += len + (plus != NULL);
        list.len -= len + (plus != NULL);
    }
    return rc;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ASCII that is neither a letter, a digit, a space nor the apostrophe of contractions. */
static bool is_mark(char c)
{
    return c > ' ' && c < 0x7f && c != '\'' && !is_letter(c) && !is_digit(c);
}

/*
 * The name that a file should have had.  What is cut apart before merging never becomes one piece,
 * so the pieces tell: only GPT-2's pattern joins a digit to the space before it, Llama 3's and
 * Qwen2's join a letter to the mark before it, and Qwen2's no two digits.  Where nothing is told it
 * is Llama 3's, as that of the official BitNet b1.58 2B-4T files.
 */
static const char *guess(const struct vocab *v)
{
    enum { MANY = 100 };
    uint32_t spaced = 0, marked = 0, numbers = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        size_t len;
        const char *piece = vocab_piece(v, i, &len);
        if (len < 2 || v->kind[i] != VOCAB_NORMAL)
            continue;
        spaced += piece[0] == ' ' && is_digit(piece[1]);
        marked += is_mark(piece[0]) && is_letter(piece[1]);
        numbers += is_digit(piece[0]) && is_digit(piece[1]);
    }
    return spaced > marked ? "gpt-2" : marked > MANY && numbers == 0 ? "qwen2" : "llama-bpe";
}

/* A model of SentencePiece has stages only where a list names them: its files carry the key without
 * a meaning. */
static int read_name(const struct gguf *g, const struct vocab *v, struct pretok *p,
                     struct gguf_str *list, struct trit_error *err)
{
    static const char KEY[] = "tokenizer.ggml.pre";
    const char *guessed = NULL;
    *list = (struct gguf_str){"", 0};
    if (gguf_has(g, KEY)) {
        int rc = gguf_string(g, KEY, list, err);
        if (rc)
            return rc;
        p->row = find_row(*list);
        if (!p->row && (list->len == 0 || list->len >= sizeof p->name) && v->model == VOCAB_GPT2)
            return unknown(g, *list, err);
    } else if (v->model == VOCAB_GPT2) {
        guessed = guess(v);
        p->row = find_row((struct gguf_str){guessed, strlen(guessed)});
    }
    if (v->model == VOCAB_LLAMA && (p->row || !find_stage(*list))) {
        p->row = NULL;
        list->len = 0;
    }
    if (guessed)
        snprintf(p->name, sizeof p->name, "%s (by its pieces, the file names none)", guessed);
    else
        snprintf(p->name, sizeof p->name, "%.*s", (int)list->len, list->data);
    return 0;
}

int pretok_open(const struct gguf *g, const struct vocab *v, struct pretok **out,
                struct trit_error *err)
{
    static const char WORDS[] = "tokenizer.ggml.ignore_merges";
    struct gguf_str name, list;
    *out = NULL;
    struct pretok *p = mem_zalloc(1, sizeof *p);
    if (!p)
        return no_memory(g, err);
    int rc = read_name(g, v, p, &name, err);
    p->takes_words = p->row && p->row->llama3;
    if (rc == 0 && gguf_has(g, WORDS))
        rc = gguf_bool(g, WORDS, &p->takes_words, err);
    if (rc == 0 && !(p->memory = pcre2_general_context_create(take, give, NULL)))
        rc = no_memory(g, err);
    list = p->row ? (struct gguf_str){p->row->stages, strlen(p->row->stages)} : name;
    if (rc == 0)
        rc = compile_all(g, p, list, name, err);
    if (rc)
        pretok_close(&p);
    *out = p;
    return rc;
}

void pretok_close(struct pretok **p)
{
    if (!*p)
        return;
    for (size_t i = 0; i < (*p)->n; i++)
        pcre2_code_free((*p)->code[i]);
    pcre2_general_context_free((*p)->memory);
    mem_free(*p);
    *p = NULL;
}

const char *pretok_name(const struct pretok *p)
{
    return p->name;
}

bool pretok_is_llama3(const struct pretok *p)
{
    return p->row && p->row->llama3;
}

bool pretok_wants_nfc(const struct pretok *p)
{
    return p->row && p->row->nfc;
}

bool pretok_takes_words(const struct pretok *p)
{
    return p->takes_words;
}

size_t pretok_held(const struct pretok *p)
{
    size_t total = sizeof *p, bytes = 0;
    for (size_t i = 0; i < p->n; i++, total += bytes)
        pcre2_pattern_info(p->code[i], PCRE2_INFO_SIZE, &bytes);
    return total;
}

struct pretok_cutter *pretok_cutter_open(const struct pretok *p)
{
    struct pretok_cutter *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->p = p;
    c->match = pcre2_match_data_create(1, p->memory);
    c->limits = pcre2_match_context_create(p->memory);
    if (!c->match || !c->limits) {
        pretok_cutter_close(c);
        return NULL;
    }
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

void pretok_cutter_set(struct pretok_cutter *c, const char *text, size_t len)
{
    /*
     * The patterns need a few steps for each byte at most (a run of spaces that no line end follows
     * is walked back once) and no depth.  Both limits only turn a mistake into an error.
     */
    enum { STEPS = 16, HEAP_KIB = 1024 };
    pcre2_set_match_limit(c->limits, (uint32_t)MIN(1000 + STEPS * len, (size_t)UINT32_MAX));
    pcre2_set_heap_limit(c->limits, HEAP_KIB);
    c->text = text;
    c->level[0] = (struct level){.to = len};
    c->depth = 1;
}

/* The next piece of the stage's own piece. */
static int cut(struct pretok_cutter *c, size_t stage, struct level *piece)
{
    struct level *l = &c->level[stage];
    /* The text was checked once; PCRE2 would check it again for every piece. */
    int n = pcre2_match(c->p->code[stage], (PCRE2_SPTR)c->text + l->from, l->to - l->from,
                        l->at - l->from, PCRE2_NO_UTF_CHECK, c->match, c->limits);
    if (n == PCRE2_ERROR_NOMEMORY)
        return -TRIT_ENOMEM;
    if (n < 0)
        return -TRIT_EFAULT;
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(c->match);
    trit_assert(span[1] > span[0]);
    *piece = (struct level){l->at, l->at, l->from + span[1]};
    l->at = piece->to;
    return 0;
}

int pretok_next(struct pretok_cutter *c, size_t *start, size_t *end)
{
    struct level piece = c->level[0];
    while (c->depth > 0 && c->level[c->depth - 1].at == c->level[c->depth - 1].to)
        c->depth--;
    if (c->depth == 0)
        return 0;
    if (c->p->n == 0)
        c->level[0].at = c->level[0].to; /* no stages: the text is one piece */
    for (; c->depth <= c->p->n; c->depth++) {
        int rc = cut(c, c->depth - 1, &piece);
        if (rc)
            return rc;
        if (c->depth == c->p->n)
            break;
        c->level[c->depth] = piece;
    }
    *start = piece.from;
    *end = piece.to;
    return 1;
}
