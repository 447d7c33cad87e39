/* SPDX-License-Identifier: MIT */
/*
 * tokenizer-parts.h - the parts of a tokenizer, shared by its bodies.
 *
 *   vocab.c      pieces, their kinds, the table from bytes to ids
 *   special.c    where names of special tokens stand in a text
 *   normal.c     what is done to the text between them before it is cut
 *   pretok.c     the patterns that cut text into pieces
 *   bpe.c        pieces to ids: what the symbols of a piece are and which may be joined
 *   merger.c     joins symbols, best pair first
 *   tokenizer.c  the public functions, decoding
 *   tokenizer-tables.c  the tables of vocab.c and bpe.c as bytes in a segment
 *
 * Two alphabets of published files are undone once, so that pieces are bytes: that of GPT-2, and
 * that of SentencePiece, where U+2581 stands for a space.
 */
#ifndef TRIT_TOKENIZER_PARTS_H
#define TRIT_TOKENIZER_PARTS_H

#define XXH_INLINE_ALL /* pieces are short: a call would be half of it */
#include <xxhash.h>

#include "model/tokenizer.h"

struct buf;

/* tokenizer.ggml.token_type, as files have it. */
enum vocab_kind {
    VOCAB_NORMAL = 1,  /* written in the alphabet of the model */
    VOCAB_UNKNOWN = 2, /* these are written as they are */
    VOCAB_CONTROL = 3,
    VOCAB_USER = 4, /* of SentencePiece: in its alphabet */
    VOCAB_UNUSED = 5,
    VOCAB_BYTE = 6, /* "<0x0A>", of SentencePiece: a byte of a character that has no piece */
};

/* What `tokenizer.ggml.model` names, and which of the two alphabets the pieces are written in. */
enum vocab_model {
    VOCAB_GPT2,
    VOCAB_LLAMA, /* SentencePiece */
};

struct vocab {
    enum vocab_model model;
    uint32_t n;
    char *bytes;
    uint32_t *start;  /* [n + 1]; piece i is bytes[start[i], start[i + 1]) */
    uint8_t *kind;    /* [n], enum vocab_kind */
    uint32_t *slot;   /* [mask + 1]; of normal and user-defined pieces by hash, 0: empty; id + 1 in the
                         bits of the mask, above them bits of the hash */
    uint32_t mask;    /* a power of two less one; at least half of the slots are empty */
    uint32_t longest; /* bytes of the longest piece */
    uint32_t n_retyped;
    int32_t bos, eos;     /* -1: none */
    int32_t byte_id[256]; /* of VOCAB_LLAMA, the tokens of kind VOCAB_BYTE; -1: none */
    uint8_t secret[XXH3_SECRET_SIZE_MIN]; /* key of the hashes: no file can aim at one slot */
    bool borrowed; /* the arrays lie in a segment */
};

/* Of a table of this vocabulary. */
static inline uint64_t vocab_hash(const struct vocab *v, const void *bytes, size_t len)
{
    return XXH3_64bits_withSecret(bytes, len, v->secret, sizeof v->secret);
}

/* Read and check tokens, kinds, BOS and EOS; v->model is set.  A failure leaves what vocab_free can
 * take. */
int vocab_read(const struct gguf *g, uint32_t rows, struct vocab *v, struct trit_error *err);
void vocab_free(struct vocab *v);
size_t vocab_held(const struct vocab *v); /* bytes of memory */

/* A key that names one of n tokens; -1 where there is no such key. */
int vocab_id(const struct gguf *g, const char *key, uint32_t n, int32_t *id,
             struct trit_error *err);

static inline const char *vocab_piece(const struct vocab *v, uint32_t id, size_t *len)
{
    *len = v->start[id + 1] - v->start[id];
    return v->bytes + v->start[id];
}

/* The id of an ordinary piece (a normal one before a user-defined one), or -1. */
int32_t vocab_find(const struct vocab *v, const char *bytes, size_t len);

/* The same in three steps, for who looks for many: tables are larger than a near cache, and so each
 * step begins to fetch what the next one reads.  A key of no bytes (NULL) is not found. */
struct vocab_key {
    const char *bytes; /* borrowed */
    size_t len;
    uint64_t hash;
};
struct vocab_key vocab_key(const struct vocab *v, const char *bytes, size_t len);
void vocab_fetch(const struct vocab *v, const struct vocab_key *k);
int32_t vocab_look(const struct vocab *v, const struct vocab_key *k);

#define VOCAB_SPACE "\xe2\x96\x81" /* U+2581, how SentencePiece writes a space */

/* A key of what hf-tokenizer.c makes: EOS, where another token stands behind a text. */
#define TOK_OTHER_EOS "tritd.tokenizer.eos"

/* A key of what hf-pipeline.c makes: pieces are joined by the rank of merges, not by scores. */
#define VOCAB_BY_RANK "tritd.tokenizer.by_rank"

/* The byte that "<0x0A>" names, or -1. */
int vocab_byte_of(const char *name, size_t len);

/* The model's alphabet to bytes; dst has room for len.  How many, or -1: not in the alphabet. */
ptrdiff_t vocab_unmap(enum vocab_model model, const char *text, size_t len, char *dst);

/*
 * Names that are cut out of a text: control tokens where the caller asks for it and no literal
 * range is touched, user-defined ones always.  Sorted by bytes; those that begin with byte b are
 * name[first[b], first[b + 1]).
 */
struct special_name {
    const char *bytes; /* in a vocabulary, or in special.raw */
    uint32_t len, id;
    uint32_t borders; /* enum special_border */
};

/* What some added tokens of a tokenizer.json do with the text around them. */
enum special_border {
    SPECIAL_LSTRIP = 1, /* white space before it goes with it */
    SPECIAL_RSTRIP = 2, /* and behind it */
    SPECIAL_WORD = 4,   /* it counts only where no letter or digit touches it */
};

/* A key of what hf-tokenizer.c makes: i32 pairs, id and borders, by rising id. */
#define SPECIAL_BORDERS "tritd.tokenizer.borders"

struct special {
    struct special_name *name;
    uint32_t first[257];
    uint32_t n_user;
    char *raw; /* names that are not written as their pieces */
};

int special_build(const struct gguf *g, const struct vocab *v, struct special *s,
                  struct trit_error *err);
void special_free(struct special *s);
int32_t special_find(const struct special *s, const char *name, size_t len);

/* A walk over a text.  The caller sets the upper part. */
struct special_walk {
    const char *text;
    size_t len;
    const struct tok_range *literal;
    size_t n_literal;
    bool control;        /* control tokens count */
    size_t at;           /* looked at so far: behind the last match */
    size_t start, end;   /* the match, with the white space that goes with it */
    size_t literal_done; /* ranges that end at or before `at` */
};

/* The next match at or after w->at: the leftmost, there the longest.  Its id, or -1: none left. */
int32_t special_next(const struct special *s, const struct vocab *v, struct special_walk *w);

/*
 * What is done to the text between special tokens, before it is cut.  Files of SentencePiece put a
 * space in front, so that a word at a beginning is the word it is elsewhere.
 */
enum normal_space {
    NORMAL_SPACE_NONE,
    NORMAL_SPACE_EACH,    /* in front of every part */
    NORMAL_SPACE_FIRST,   /* in front of the first part, unless it begins with a space */
    NORMAL_SPACE_LACKING, /* in front of every part that does not begin with a space */
};

struct normal {
    bool nfc;    /* Unicode's Normalization Form C */
    bool spaces; /* U+2581 is another way to write a space */
    enum normal_space space;
};

int normal_read(const struct gguf *g, enum vocab_model model, bool nfc, struct normal *n,
                struct trit_error *err);

/* The part that begins the text (`first`) or another: *out is text itself where nothing changes,
 * else it lies in *held.  -TRIT_ENOMEM. */
int normal_apply(const struct normal *n, const char *text, size_t len, bool first, struct buf *held,
                 const char **out, size_t *out_len);

/* The stages of tokenizer.ggml.pre, compiled.  Immutable; a cutter is the state of one walk. */
struct pretok;
struct pretok_cutter;

enum { PRETOK_STAGES = 4 };

/* v: what a file without that key is judged by. */
int pretok_open(const struct gguf *g, const struct vocab *v, struct pretok **p,
                struct trit_error *err);
void pretok_close(struct pretok **p);
const char *pretok_name(const struct pretok *p);
bool pretok_is_llama3(const struct pretok *p);   /* BOS in front unless the file says otherwise */
bool pretok_wants_nfc(const struct pretok *p);   /* likewise, normalisation */
bool pretok_takes_words(const struct pretok *p); /* ignore_merges */
size_t pretok_held(const struct pretok *p);

/* The stage that a Split with this pattern is, or NULL (for hf-pipeline.c). */
const char *pretok_stage_of(bool (*spells)(const void *pattern, const char *text),
                            const void *pattern);

/* Gives; NULL when there is no memory. */
struct pretok_cutter *pretok_cutter_open(const struct pretok *p);
void pretok_cutter_close(struct pretok_cutter *c);

/* Cut text[0, len), valid UTF-8. */
void pretok_cutter_set(struct pretok_cutter *c, const char *text, size_t len);

/* The next piece is [*start, *end): 1; none is left: 0; -TRIT_ENOMEM, -TRIT_EFAULT. */
int pretok_next(struct pretok_cutter *c, size_t *start, size_t *end);

/* ------------------------------------------------------------------ merging */

enum { MERGER_NONE = UINT32_MAX };

/* One symbol of the piece at work; those joined to their left neighbour are gone (id NONE). */
struct merger_symbol {
    uint32_t id;
    uint32_t prev, next;
    uint32_t start; /* in the piece, for those who look at its bytes */
};

/* Whether the symbol `at` and its next may be joined, with which rank (lower is earlier), to what.
 */
struct merger;
typedef bool merger_pair_fn(const struct merger *m, uint32_t at, uint32_t *rank, uint32_t *id);

struct merger {
    merger_pair_fn *pair;
    const void *model; /* for pair */
    const char *text;  /* likewise, the piece */
    uint32_t len;
    struct merger_symbol *sym;
    uint64_t *heap; /* rank << 32 | position */
    size_t cap;     /* sym has room for cap, heap for 2 * cap */
    size_t n_heap;
};

bool merger_reserve(struct merger *m, size_t n); /* room for n symbols; false: no memory */
void merger_free(struct merger *m);

/* Join sym[0, n), of which id and start are set.  What is left is found by `next` from sym[0]. */
void merger_run(struct merger *m, uint32_t n);

struct bpe;
struct bpe_scratch;

/* What was made of merges or scores; borrowed from a bpe, or from a segment. */
struct bpe_tables {
    void *slot; /* [slot_bytes]; NULL: there are none */
    uint64_t slot_bytes;
    uint32_t *order; /* [tokens of the vocabulary], or NULL */
    uint32_t mask, n;
    int32_t byte_id[256];
};

/* made: tables that need not be made, or NULL. */
int bpe_open(const struct gguf *g, const struct vocab *v, const struct bpe_tables *made,
             struct bpe **b, struct trit_error *err);
void bpe_tables(const struct bpe *b, struct bpe_tables *t);
void bpe_close(struct bpe **b);
const struct pretok *bpe_pretok(const struct bpe *b);
uint32_t bpe_n_merges(const struct bpe *b);
size_t bpe_held(const struct bpe *b);

/* Working memory for one text.  Gives, or NULL. */
struct bpe_scratch *bpe_begin(const struct bpe *b);
void bpe_end(struct bpe_scratch *s);

/* Append the ids of text[0, len), valid UTF-8; ids->n never passes `limit` (-TRIT_ETOOBIG). */
int bpe_encode(struct bpe_scratch *s, const char *text, size_t len, size_t limit,
               struct tok_ids *ids);

/* ------------------------------------------------------------------ tables in a segment */

struct tables;

size_t tables_bytes(const struct vocab *v, const struct bpe *b);

/* To dst[tables_bytes], at a multiple of 64.  g: what v and b were made from. */
void tables_write(const struct gguf *g, const struct vocab *v, const struct bpe *b, void *dst);

/* The tables at bytes[len], at a multiple of 64, if they are of this program and of what g holds;
 * else NULL. */
const struct tables *tables_fit(const struct gguf *g, enum vocab_model model, uint32_t rows,
                                const void *bytes, size_t len);

/* As vocab_read and the makers of struct bpe leave it, borrowed. */
void tables_vocab(const struct tables *t, struct vocab *v);
void tables_bpe(const struct tables *t, struct bpe_tables *b);

#endif
