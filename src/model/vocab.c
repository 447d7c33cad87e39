/* SPDX-License-Identifier: MIT */
/*
 * vocab.c - the pieces of a vocabulary: read from metadata, checked, found by their bytes.
 *
 * Files write ordinary pieces in the alphabet of GPT-2 (encoder.py of openai/gpt-2): every byte is
 * one printable character, so that no piece holds white space.  Those of SentencePiece write U+2581
 * for a space, and the pieces of single bytes as "<0x0A>".  We undo that once and keep bytes.
 * Special tokens are written as they are.
 *
 * Two repairs are made to the kinds that a file declares, since a wrong kind lets a user's text end
 * a turn: BOS and EOS are control tokens, and so is whatever looks like "<|name|>".  Pre-tokenizers
 * never leave such a piece in one, so no ordinary text is affected.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/base.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf-private.h"

static const char KEY_TOKENS[] = "tokenizer.ggml.tokens";
static const char KEY_TYPES[] = "tokenizer.ggml.token_type";

/* Bytes that print stand for themselves; the other 68 are U+0100 and up, in order. */
static int byte_of(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 256 || cp > 323)
        return -1;
    cp -= 256;
    return cp < 33 ? (int)cp : cp < 67 ? (int)(127 + cp - 33) : 173;
}

static ptrdiff_t unmap_spaces(const char *text, size_t len, char *dst)
{
    ptrdiff_t n = 0;
    if (!utf8_valid(text, len))
        return -1;
    for (size_t i = 0; i < len;) {
        bool space = len - i >= 3 && memcmp(text + i, VOCAB_SPACE, 3) == 0;
        dst[n++] = space ? ' ' : text[i];
        i += space ? 3 : 1;
    }
    return n;
}

ptrdiff_t vocab_unmap(enum vocab_model model, const char *text, size_t len, char *dst)
{
    if (model == VOCAB_LLAMA)
        return unmap_spaces(text, len, dst);
    ptrdiff_t n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = (unsigned char)text[i];
        unsigned step = cp < 0x80 ? 1 : utf8_decode(text + i, len - i, &cp);
        int byte = step ? byte_of(cp) : -1;
        if (byte < 0)
            return -1;
        dst[n++] = (char)byte;
        i += step;
    }
    return n;
}

/* Bits of the hash that a slot has room for. */
static uint32_t tag_of(const struct vocab *v, uint64_t h)
{
    return (uint32_t)(h >> 32) & ~v->mask;
}

/* The slot that holds this key, or the empty one where it would go. */
static uint32_t *slot_of(const struct vocab *v, const struct vocab_key *k)
{
    uint32_t tag = tag_of(v, k->hash);
    for (uint32_t at = (uint32_t)k->hash;; at++) {
        uint32_t *slot = &v->slot[at & v->mask];
        size_t have;
        if (*slot == 0)
            return slot;
        if ((*slot & ~v->mask) != tag)
            continue;
        const char *piece = vocab_piece(v, (*slot & v->mask) - 1, &have);
        if (have == k->len && memcmp(piece, k->bytes, have) == 0)
            return slot;
    }
}

struct vocab_key vocab_key(const struct vocab *v, const char *bytes, size_t len)
{
    struct vocab_key k = {bytes, len, vocab_hash(v, bytes, len)};
    __builtin_prefetch(&v->slot[k.hash & v->mask]);
    return k;
}

void vocab_fetch(const struct vocab *v, const struct vocab_key *k)
{
    uint32_t slot = v->slot[k->hash & v->mask];
    if (slot && (slot & ~v->mask) == tag_of(v, k->hash))
        __builtin_prefetch(v->bytes + v->start[(slot & v->mask) - 1]);
}

int32_t vocab_look(const struct vocab *v, const struct vocab_key *k)
{
    return k->bytes ? (int32_t)(*slot_of(v, k) & v->mask) - 1 : -1;
}

int32_t vocab_find(const struct vocab *v, const char *bytes, size_t len)
{
    const struct vocab_key k = {bytes, len, vocab_hash(v, bytes, len)};
    return vocab_look(v, &k);
}

/* "<|name|>", where the name is of letters, digits, '_' and '-'. */
static bool looks_like_control(struct gguf_str s)
{
    if (s.len < 5 || memcmp(s.data, "<|", 2) != 0 || memcmp(s.data + s.len - 2, "|>", 2) != 0)
        return false;
    for (size_t i = 2; i < s.len - 2; i++) {
        char c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* Upper case, as SentencePiece writes them: others are words. */
static int upper_hex(char c)
{
    return c < 'a' ? hex_digit(c) : -1;
}

int vocab_byte_of(const char *name, size_t len)
{
    if (len != 6 || memcmp(name, "<0x", 3) != 0 || name[5] != '>' || upper_hex(name[3]) < 0 ||
        upper_hex(name[4]) < 0)
        return -1;
    return 16 * upper_hex(name[3]) + upper_hex(name[4]);
}

int vocab_id(const struct gguf *g, const char *key, uint32_t n, int32_t *id, struct trit_error *err)
{
    uint64_t value;
    *id = -1;
    if (!gguf_has(g, key))
        return 0;
    int rc = gguf_uint(g, key, &value, err);
    if (rc)
        return rc;
    if (value >= n)
        return gguf_fail(g, err, TRIT_EFORMAT, "key %s: found %" PRIu64 ", expected less than %u",
                         key, value, n);
    *id = (int32_t)value;
    return 0;
}

static int read_kinds(const struct gguf *g, const struct gguf_strs *tokens, struct vocab *v,
                      struct trit_error *err)
{
    const int32_t *types = NULL;
    size_t count;
    if (gguf_has(g, KEY_TYPES)) {
        int rc = gguf_ints(g, KEY_TYPES, &types, &count, err);
        if (rc)
            return rc;
        if (count != v->n)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "key %s: found %zu elements, expected %u, one for each token",
                             KEY_TYPES, count, v->n);
    }
    for (uint32_t i = 0; i < v->n; i++) {
        struct gguf_str s = gguf_str_at(tokens, i);
        bool llama = v->model == VOCAB_LLAMA;
        int byte = llama ? vocab_byte_of(s.data, s.len) : -1;
        int32_t kind = types ? types[i] : byte >= 0 ? VOCAB_BYTE : VOCAB_NORMAL;
        int32_t last = llama ? VOCAB_BYTE : VOCAB_UNUSED;
        if (kind < VOCAB_NORMAL || kind > last)
            return gguf_fail(g, err, TRIT_EFORMAT, "key %s: element %u is %d, expected 1 to %d",
                             KEY_TYPES, i, kind, last);
        if (kind == VOCAB_BYTE && (byte < 0 || v->byte_id[byte] >= 0))
            return gguf_fail(
                g, err, TRIT_EFORMAT,
                "key %s: element %u is the byte token \"%.*s\", expected \"<0x00>\" to "
                "\"<0xFF>\", each once",
                KEY_TOKENS, i, (int)MIN(s.len, (size_t)40), s.data);
        if (kind == VOCAB_BYTE)
            v->byte_id[byte] = (int32_t)i;
        bool ordinary = kind == VOCAB_NORMAL || kind == VOCAB_USER;
        if (ordinary && s.len == 0) {
            kind = VOCAB_UNUSED;
        } else if (ordinary &&
                   ((int32_t)i == v->bos || (int32_t)i == v->eos || looks_like_control(s))) {
            kind = VOCAB_CONTROL;
            v->n_retyped++;
        }
        v->kind[i] = (uint8_t)kind;
    }
    return 0;
}

/* Copy the pieces, ordinary ones as the bytes they stand for: never longer than in the file. */
static int read_pieces(const struct gguf *g, const struct gguf_strs *tokens, struct vocab *v,
                       struct trit_error *err)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        struct gguf_str s = gguf_str_at(tokens, i);
        ptrdiff_t len = (ptrdiff_t)s.len;
        v->start[i] = used;
        bool llama = v->model == VOCAB_LLAMA;
        if (v->kind[i] == VOCAB_BYTE) {
            v->bytes[used] = (char)vocab_byte_of(s.data, s.len);
            len = 1;
        } else if (v->kind[i] == VOCAB_NORMAL || (v->kind[i] == VOCAB_USER && llama)) {
            len = vocab_unmap(v->model, s.data, s.len, v->bytes + used);
            if (len < 0)
                return gguf_fail(g, err, TRIT_EFORMAT,
                                 llama ? "key %s: element %u holds bytes that are not UTF-8"
                                       : "key %s: element %u has a character outside of the GPT-2 "
                                         "byte alphabet, expected none in a normal token",
                                 KEY_TOKENS, i);
        } else {
            if (!utf8_valid(s.data, s.len))
                return gguf_fail(g, err, TRIT_EFORMAT,
                                 "key %s: element %u holds bytes that are not UTF-8", KEY_TOKENS,
                                 i);
            if (s.len)
                memcpy(v->bytes + used, s.data, s.len);
        }
        used += (uint32_t)len;
        v->longest = MAX(v->longest, (uint32_t)len);
    }
    v->start[v->n] = used;
    return 0;
}

/*
 * Two normal pieces with the same bytes would make encoding a matter of taste.  One of
 * SentencePiece with a space as it stands is never found: where it looks, spaces are U+2581.
 */
static int index_pieces(const struct gguf *g, const struct gguf_strs *tokens, struct vocab *v,
                        struct trit_error *err)
{
    for (int kind = VOCAB_NORMAL; kind <= VOCAB_USER; kind += VOCAB_USER - VOCAB_NORMAL) {
        for (uint32_t i = 0; i < v->n; i++) {
            size_t len;
            const char *piece = vocab_piece(v, i, &len);
            struct gguf_str s = gguf_str_at(tokens, i);
            bool hidden = v->model == VOCAB_LLAMA && kind == VOCAB_NORMAL && s.len &&
                          memchr(s.data, ' ', s.len);
            if (v->kind[i] != kind || hidden)
                continue;
            const struct vocab_key k = vocab_key(v, piece, len);
            uint32_t *slot = slot_of(v, &k);
            if (*slot == 0)
                *slot = tag_of(v, k.hash) | (i + 1);
            else if (kind == VOCAB_NORMAL)
                return gguf_fail(g, err, TRIT_EFORMAT,
                                 "key %s: elements %u and %u are the same, expected each once",
                                 KEY_TOKENS, (*slot & v->mask) - 1, i);
        }
    }
    return 0;
}

int vocab_read(const struct gguf *g, uint32_t rows, struct vocab *v, struct trit_error *err)
{
    struct gguf_strs tokens;
    size_t total = 0;
    int rc = gguf_strings(g, KEY_TOKENS, &tokens, err);
    if (rc)
        return rc;
    size_t count = tokens.n;
    if (count == 0 || count > rows || count > INT32_MAX / 4)
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "key %s: found %zu tokens, expected 1 to %u, the rows of the embedding",
                         KEY_TOKENS, count, rows);
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(total, gguf_str_at(&tokens, i).len, &total) || total > INT32_MAX)
            return gguf_fail(g, err, TRIT_EFORMAT, "key %s: more than 2 GiB of text", KEY_TOKENS);
    v->n = (uint32_t)count;
    memset(v->byte_id, -1, sizeof v->byte_id);
    for (v->mask = 1; v->mask < 2 * v->n; v->mask = 2 * v->mask + 1)
        ;
    v->bytes = mem_zalloc(total, 1);
    v->start = mem_zalloc(count + 1, sizeof *v->start);
    v->kind = mem_zalloc(count, 1);
    v->slot = mem_zalloc((size_t)v->mask + 1, sizeof *v->slot);
    if (!v->bytes || !v->start || !v->kind || !v->slot)
        return gguf_fail(g, err, TRIT_ENOMEM, "no memory for %zu tokens", count);
    if (getrandom(v->secret, sizeof v->secret, 0) != (ssize_t)sizeof v->secret)
        return gguf_fail(g, err, TRIT_EIO, "no random bytes for the tables of tokens");
    if ((rc = vocab_id(g, "tokenizer.ggml.bos_token_id", v->n, &v->bos, err)) ||
        (rc = vocab_id(g, "tokenizer.ggml.eos_token_id", v->n, &v->eos, err)) ||
        (rc = read_kinds(g, &tokens, v, err)) || (rc = read_pieces(g, &tokens, v, err)))
        return rc;
    return index_pieces(g, &tokens, v, err);
}

void vocab_free(struct vocab *v)
{
    if (!v->borrowed) {
        mem_free(v->bytes);
        mem_free(v->start);
        mem_free(v->kind);
        mem_free(v->slot);
    }
    *v = (struct vocab){.bos = -1, .eos = -1};
}

size_t vocab_held(const struct vocab *v)
{
    if (v->borrowed)
        return 0;
    return v->start[v->n] + (v->n + 1) * sizeof *v->start + v->n +
           ((size_t)v->mask + 1) * sizeof *v->slot;
}
