/* SPDX-License-Identifier: MIT */
/*
 * special.c - finds the names of special tokens in a text: leftmost first, there the longest.
 *
 * As Hugging Face tokenizers do with added tokens: user-defined ones are always cut out, whatever
 * stands around them, since to the model they are words ("<think>").  Control tokens ("<|eot_id|>")
 * are commands, so the caller says where they count.
 *
 * The sorted names are a trie without nodes: those that share the first d bytes with the text are a
 * range, which the next byte narrows.  Hence a position costs O(longest name), and most cost one
 * look at a table of first bytes.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <stdlib.h>
#include <string.h>

#include <unictype.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf-private.h"

/* Bounds the cost of a position; published names have 5 to 40 bytes. */
enum { LONGEST_NAME = 512 };

static int compare(const void *a, const void *b)
{
    const struct special_name *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, MIN(x->len, y->len));
    if (order)
        return order;
    return x->len < y->len ? -1 : x->len > y->len;
}

static bool is_special(const struct vocab *v, uint32_t id)
{
    enum vocab_kind kind = v->kind[id];
    return kind != VOCAB_NORMAL && kind != VOCAB_UNUSED && kind != VOCAB_BYTE &&
           v->start[id] != v->start[id + 1];
}

/*
 * The names as a text has them.  Those of SentencePiece mean spaces where they say U+2581; added
 * tokens of a tokenizer.json, whose merges go by rank, are looked for before spaces become U+2581,
 * so they mean what they say.
 */
static int take_names(const struct gguf *g, const struct vocab *v, struct special *s, uint32_t *n,
                      struct trit_error *err)
{
    struct gguf_strs tokens;
    size_t raw_bytes = 0, used = 0;
    bool raw = v->model == VOCAB_LLAMA && gguf_has(g, VOCAB_BY_RANK);
    int rc = raw ? gguf_strings(g, "tokenizer.ggml.tokens", &tokens, err) : 0;
    for (uint32_t i = 0; i < v->n && rc == 0; i++) {
        *n += is_special(v, i);
        raw_bytes += raw && v->kind[i] == VOCAB_USER ? gguf_str_at(&tokens, i).len : 0;
    }
    s->name = mem_zalloc(*n, sizeof *s->name);
    s->raw = mem_zalloc(raw_bytes, 1);
    if (rc == 0 && (!s->name || !s->raw))
        rc = gguf_fail(g, err, TRIT_ENOMEM, "no memory for %u special tokens", *n);
    *n = 0;
    for (uint32_t i = 0; i < v->n && rc == 0; i++) {
        if (!is_special(v, i))
            continue;
        size_t len;
        struct special_name *name = &s->name[(*n)++];
        name->bytes = vocab_piece(v, i, &len);
        name->id = i;
        if (raw && v->kind[i] == VOCAB_USER) {
            struct gguf_str text = gguf_str_at(&tokens, i);
            name->bytes = memcpy(s->raw + used, text.data, len = text.len);
            used += len;
        }
        name->len = (uint32_t)len;
        if (len > LONGEST_NAME)
            rc = gguf_fail(g, err, TRIT_EFORMAT,
                           "key tokenizer.ggml.tokens: special token %u has %zu bytes, expected "
                           "at most %d",
                           i, len, LONGEST_NAME);
        s->n_user += v->kind[i] == VOCAB_USER;
    }
    return rc;
}

/* Names are still by rising id, as the pairs are. */
static int take_borders(const struct gguf *g, struct special *s, uint32_t n, struct trit_error *err)
{
    const int32_t *pair;
    size_t count;
    if (!gguf_has(g, SPECIAL_BORDERS))
        return 0;
    int rc = gguf_ints(g, SPECIAL_BORDERS, &pair, &count, err);
    if (rc)
        return rc;
    for (size_t i = 0, k = 0; i + 1 < count; i += 2) {
        while (k < n && (int32_t)s->name[k].id < pair[i])
            k++;
        if (k < n && (int32_t)s->name[k].id == pair[i])
            s->name[k].borders = (uint32_t)pair[i + 1];
    }
    return 0;
}

int special_build(const struct gguf *g, const struct vocab *v, struct special *s,
                  struct trit_error *err)
{
    uint32_t n = 0;
    int rc = take_names(g, v, s, &n, err);
    if (rc || (rc = take_borders(g, s, n, err)))
        return rc;
    qsort(s->name, n, sizeof *s->name, compare);
    for (uint32_t k = 0; k < n; k++) {
        s->first[(unsigned char)s->name[k].bytes[0] + 1]++;
        if (k > 0 && compare(&s->name[k - 1], &s->name[k]) == 0)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "key tokenizer.ggml.tokens: special tokens %u and %u have the same "
                             "name, expected each once",
                             MIN(s->name[k - 1].id, s->name[k].id),
                             MAX(s->name[k - 1].id, s->name[k].id));
    }
    for (int b = 0; b < 256; b++)
        s->first[b + 1] += s->first[b];
    return 0;
}

void special_free(struct special *s)
{
    mem_free(s->name);
    mem_free(s->raw);
    *s = (struct special){0};
}

/* Of the names [lo, hi), which share their first `depth` bytes, the first whose next byte is at
 * least `byte`.  A name that ends there comes before all. */
static uint32_t narrow(const struct special *s, uint32_t lo, uint32_t hi, size_t depth,
                       unsigned byte)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct special_name *name = &s->name[mid];
        if (name->len <= depth || (unsigned char)name->bytes[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* A control token counts when the caller wants it and it touches no literal range. */
static bool counts(const struct vocab *v, const struct special_walk *w, uint32_t id, size_t end)
{
    if (v->kind[id] == VOCAB_USER)
        return true;
    return w->control &&
           (w->literal_done == w->n_literal || w->literal[w->literal_done].start >= end);
}

/* The longest name at w->at that counts, or NULL; sets w->end. */
static const struct special_name *match_here(const struct special *s, const struct vocab *v,
                                             struct special_walk *w)
{
    unsigned byte = (unsigned char)w->text[w->at];
    uint32_t lo = s->first[byte], hi = s->first[byte + 1];
    const struct special_name *found = NULL;
    for (size_t depth = 1; lo < hi; depth++) {
        const struct special_name *name = &s->name[lo];
        if (name->len == depth && counts(v, w, name->id, w->at + depth)) {
            found = name;
            w->end = w->at + depth;
        }
        if (w->at + depth == w->len)
            break;
        byte = (unsigned char)w->text[w->at + depth];
        lo = narrow(s, lo, hi, depth, byte);
        hi = narrow(s, lo, hi, depth, byte + 1);
    }
    return found;
}

/* The character that ends at `end`, or begins at `at`; 0: none.  *n: its bytes. */
static uint32_t before(const struct special_walk *w, size_t end, size_t *n)
{
    uint32_t cp = 0;
    *n = MIN(end, (size_t)1);
    while (*n < end && ((unsigned char)w->text[end - *n] & 0xc0) == 0x80)
        ++*n;
    return utf8_decode(w->text + end - *n, *n, &cp) ? cp : 0;
}

static uint32_t behind(const struct special_walk *w, size_t at, size_t *n)
{
    uint32_t cp = 0;
    *n = utf8_decode(w->text + at, w->len - at, &cp);
    return cp;
}

/* As Unicode Technical Standard 18 defines \w. */
static bool is_word(uint32_t cp)
{
    return uc_is_property_alphabetic(cp) || uc_is_property_join_control(cp) ||
           uc_is_general_category_withtable(cp, UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_Nd |
                                                    UC_CATEGORY_MASK_Pc);
}

/* Take the match with its white space, of which none lies before `from`; or refuse it. */
static bool settle_borders(struct special_walk *w, uint32_t borders, size_t from)
{
    size_t n;
    w->start = w->at;
    if ((borders & SPECIAL_WORD) &&
        (is_word(before(w, w->start, &n)) || is_word(behind(w, w->end, &n))))
        return false;
    if (borders & SPECIAL_LSTRIP)
        while (w->start > from && uc_is_property_white_space(before(w, w->start, &n)))
            w->start -= n;
    if (borders & SPECIAL_RSTRIP)
        while (w->end < w->len && uc_is_property_white_space(behind(w, w->end, &n)))
            w->end += n;
    return true;
}

int32_t special_next(const struct special *s, const struct vocab *v, struct special_walk *w)
{
    const size_t from = w->at;
    if (!w->control && s->n_user == 0)
        w->at = w->len;
    while (w->at < w->len) {
        unsigned byte = (unsigned char)w->text[w->at];
        if (s->first[byte] == s->first[byte + 1]) {
            w->at++;
            continue;
        }
        while (w->literal_done < w->n_literal && w->literal[w->literal_done].end <= w->at)
            w->literal_done++;
        const struct special_name *name = match_here(s, v, w);
        bool taken = name && settle_borders(w, name->borders, from);
        w->at = name ? w->end : w->at + 1; /* What is refused is not looked at again. */
        if (taken)
            return (int32_t)name->id;
    }
    return -1;
}

int32_t special_find(const struct special *s, const char *name, size_t len)
{
    uint32_t lo = 0, hi = s->first[256];
    const struct special_name want = {.bytes = name, .len = (uint32_t)MIN(len, (size_t)UINT32_MAX)};
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = compare(&want, &s->name[mid]);
        if (order == 0)
            return (int32_t)s->name[mid].id;
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return -1;
}
