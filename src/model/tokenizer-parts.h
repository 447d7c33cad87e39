/* SPDX-License-Identifier: MIT */
/*
 * tokenizer-parts.h - the parts of a tokenizer, shared by its bodies.
 *
 *   vocab.c      pieces, their kinds, the table from bytes to ids
 *   special.c    where names of special tokens stand in a text
 *   pretok.c     the patterns that cut text into pieces
 *   bpe.c        the pieces of the "gpt2" model: merging by rank
 *   tokenizer.c  the public functions, decoding
 *
 * A second model of tokenization ("llama", SentencePiece) is one more body beside bpe.c and one
 * more row in tokenizer.c; vocab and special serve it as they are, but for the alphabet of its
 * pieces.
 */
#ifndef TRIT_TOKENIZER_PARTS_H
#define TRIT_TOKENIZER_PARTS_H

#include "model/tokenizer.h"

/* tokenizer.ggml.token_type, as files have it.  6 (byte) belongs to SentencePiece. */
enum vocab_kind {
    VOCAB_NORMAL = 1,  /* written in the GPT-2 byte alphabet */
    VOCAB_UNKNOWN = 2, /* these and the following are written as they are */
    VOCAB_CONTROL = 3,
    VOCAB_USER = 4,
    VOCAB_UNUSED = 5,
};

struct vocab {
    uint32_t n;
    char *bytes;
    uint32_t *start;  /* [n + 1]; piece i is bytes[start[i], start[i + 1]) */
    uint8_t *kind;    /* [n], enum vocab_kind */
    uint32_t *slot;   /* [mask + 1]; id + 1 of normal and user-defined pieces by hash, 0: empty */
    uint32_t mask;    /* a power of two less one; at least half of the slots are empty */
    uint32_t longest; /* bytes of the longest piece */
    uint32_t n_retyped;
    int32_t bos, eos; /* -1: none */
};

/* Read and check tokens, kinds, BOS and EOS.  A failure leaves what vocab_free can take. */
int vocab_read(const struct gguf *g, uint32_t rows, struct vocab *v, struct trit_error *err);
void vocab_free(struct vocab *v);
size_t vocab_held(const struct vocab *v); /* bytes of memory */

static inline const char *vocab_piece(const struct vocab *v, uint32_t id, size_t *len)
{
    *len = v->start[id + 1] - v->start[id];
    return v->bytes + v->start[id];
}

/* The id of an ordinary piece (a normal one before a user-defined one), or -1. */
int32_t vocab_find(const struct vocab *v, const char *bytes, size_t len);

/* GPT-2 alphabet to bytes; dst has room for len.  How many, or -1 for a character outside of it. */
ptrdiff_t vocab_unmap(const char *text, size_t len, char *dst);

/*
 * Names that are cut out of a text: control tokens where the caller asks for it and no literal
 * range is touched, user-defined ones always.  Sorted by bytes; those that begin with byte b are
 * id[first[b], first[b + 1]).
 */
struct special {
    uint32_t *id;
    uint32_t first[257];
    uint32_t n_user;
};

int special_build(const struct gguf *g, const struct vocab *v, struct special *s,
                  struct trit_error *err);
void special_free(struct special *s);
int32_t special_find(const struct special *s, const struct vocab *v, const char *name, size_t len);

/* A walk over a text.  The caller sets the upper part. */
struct special_walk {
    const char *text;
    size_t len;
    const struct tok_range *literal;
    size_t n_literal;
    bool control;        /* control tokens count */
    size_t at;           /* looked at so far: behind the last match */
    size_t start, end;   /* the match */
    size_t literal_done; /* ranges that end at or before `at` */
};

/* The next match at or after w->at: the leftmost, there the longest.  Its id, or -1: none left. */
int32_t special_next(const struct special *s, const struct vocab *v, struct special_walk *w);

/* The pattern of tokenizer.ggml.pre, compiled.  Immutable; a cutter is the state of one walk. */
struct pretok;
struct pretok_cutter;

int pretok_open(const struct gguf *g, struct pretok **p, struct trit_error *err);
void pretok_close(struct pretok **p);
const char *pretok_name(const struct pretok *p);
bool pretok_is_llama3(const struct pretok *p);   /* BOS in front unless the file says otherwise */
bool pretok_takes_words(const struct pretok *p); /* ignore_merges */
size_t pretok_held(const struct pretok *p);

/* Gives; NULL when there is no memory.  text is valid UTF-8. */
struct pretok_cutter *pretok_cutter_open(const struct pretok *p, const char *text, size_t len);
void pretok_cutter_close(struct pretok_cutter *c);

/* Cut only text[from, to), as if nothing stood around it. */
void pretok_cutter_set(struct pretok_cutter *c, size_t from, size_t to);

/* The next piece is [*start, *end): 1; none is left: 0; -TRIT_ENOMEM, -TRIT_EFAULT. */
int pretok_next(struct pretok_cutter *c, size_t *start, size_t *end);

struct bpe;
struct bpe_scratch;

int bpe_open(const struct gguf *g, const struct vocab *v, struct bpe **b, struct trit_error *err);
void bpe_close(struct bpe **b);
bool bpe_adds_bos(const struct bpe *b); /* where the file does not say */
const char *bpe_pre(const struct bpe *b);
uint32_t bpe_n_merges(const struct bpe *b);
size_t bpe_held(const struct bpe *b);

/* Working memory for one text, all of which is valid UTF-8.  Gives, or NULL. */
struct bpe_scratch *bpe_begin(const struct bpe *b, const char *text, size_t len);
void bpe_end(struct bpe_scratch *s);

/* Append the ids of text[from, to); ids->n never passes `limit` (-TRIT_ETOOBIG). */
int bpe_encode(struct bpe_scratch *s, size_t from, size_t to, size_t limit, struct tok_ids *ids);

#endif
