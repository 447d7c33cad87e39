/* SPDX-License-Identifier: MIT */
/*
 * tokenizer.h - text to token ids and back.
 *
 * A tokenizer is built from the metadata of a model file, checked completely, and immutable
 * afterwards: any thread may use it.  Token pieces are byte strings; a piece may hold part of a
 * UTF-8 sequence, only a run of tokens makes text.
 *
 * Special tokens are cut out first, where the caller wants them; what lies between is brought into
 * the model's normal form, split by the pre-tokenizer's patterns, and each piece is looked up whole
 * (ignore_merges) or merged pairwise, lowest rank first, leftmost on ties.  Two models
 * (`tokenizer.ggml.model`): "gpt2", byte-level BPE; "llama", SentencePiece, where a text gets a
 * space in front that its tokens then show: tok_decode and tok_piece_of leave it out again.
 */
#ifndef TRIT_TOKENIZER_H
#define TRIT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct gguf;
struct tok;
struct trit_error;

/* A growable run of ids.  A zeroed struct is empty; tok_ids_free gives the memory back. */
struct tok_ids {
    int32_t *id;
    size_t n, cap;
};
void tok_ids_free(struct tok_ids *ids);
int tok_ids_add(struct tok_ids *ids, int32_t id); /* 0 or -TRIT_ENOMEM */

/* Gives *t.  vocab_rows: rows of the embedding; more tokens than rows is an error, fewer is not. */
int tok_open(const struct gguf *g, uint32_t vocab_rows, struct tok **t, struct trit_error *err);
void tok_close(struct tok **t);

/*
 * What takes time to be made of a vocabulary, as bytes: for a segment, which other processes map.
 * tables is at a multiple of 64.  tok_open_tables borrows them if they were written by this version
 * of the program, of the same vocabulary and merges as g has; else it does as tok_open.  Their
 * bytes must be those that were written, which the segment's checksums tell.
 */
size_t tok_tables_bytes(const struct tok *t);
void tok_tables_write(const struct tok *t, const struct gguf *g, void *tables);
int tok_open_tables(const struct gguf *g, uint32_t vocab_rows, const void *tables, size_t len,
                    struct tok **t, struct trit_error *err);

enum {
    TOK_ADD_SPECIAL = 1,   /* BOS in front (and EOS behind) where the model asks for it */
    TOK_PARSE_SPECIAL = 2, /* "<|eot_id|>" in the text is the token, not ten characters */
};

/*
 * Append the ids of text[0, len) to *ids.  On failure *ids is as it was: -TRIT_ETOOBIG when more
 * than `max` ids (0: no limit) would come out, found out as early as can be; -TRIT_EINVAL when the
 * text is not UTF-8; -TRIT_ENOMEM; -TRIT_EFAULT when the pre-tokenizer's limits strike, a bug.
 */
int tok_encode(const struct tok *t, const char *text, size_t len, unsigned flags, size_t max,
               struct tok_ids *ids);

/*
 * The same for a text with literal ranges (sorted, not overlapping): a control token's name that
 * overlaps one is ordinary text there, whatever the flags.  Everything else, the pre-tokenizer's
 * cuts too, is as if the ranges were not marked.  This is how a chat message that contains
 * "<|eot_id|>" cannot end its turn.
 *
 * User-defined tokens ("<think>") are words, not commands: they are taken wherever they stand,
 * whatever the flags and ranges, as Hugging Face tokenizers do.
 */
struct tok_range {
    size_t start, end; /* bytes [start, end) of the text */
};
int tok_encode_ranges(const struct tok *t, const char *text, size_t len,
                      const struct tok_range *literal, size_t n_literal, unsigned flags, size_t max,
                      struct tok_ids *ids);

/* The bytes of one token; a control token has its name.  Borrowed.  id < tok_size, asserted. */
const char *tok_piece(const struct tok *t, int32_t id, size_t *len);

/* The same for the i-th token of a text that begins with ids[0], without the space that encoding
 * put in front of it.  An answer is no beginning: its first space separates it from the prompt. */
const char *tok_piece_of(const struct tok *t, const int32_t *ids, size_t i, size_t *len);
bool tok_is_control(const struct tok *t, int32_t id);
bool tok_is_text(const struct tok *t, int32_t id); /* neither a control token nor an unused one */
size_t tok_size(const struct tok *t);              /* tokens with a piece; ids above are padding */
int32_t tok_find(const struct tok *t, const char *piece); /* a special token by name, or -1 */
int32_t tok_bos(const struct tok *t);                     /* -1 where there is none */
/* The tokens in front of a beginning, an end, and the middle that is to be written; false: the
 * model has none such. */
bool tok_infill(const struct tok *t, int32_t id[3]);
int32_t tok_eos(const struct tok *t);   /* that ends an answer; -1 likewise */
bool tok_adds_bos(const struct tok *t); /* the model wants BOS in front; false where it has none */
size_t tok_bytes(const struct tok *t);  /* memory held */

/* Whole decoding: appends the bytes; control tokens add nothing unless `special`. */
void tok_decode(const struct tok *t, const int32_t *ids, size_t n, bool special, struct buf *out);

/*
 * Streaming decoding: at most three bytes are held back until the UTF-8 sequence they begin is
 * whole.  Bytes that can never become one turn into U+FFFD, one for each maximal invalid run as
 * Unicode recommends, so the output is always valid UTF-8.
 */
struct tok_stream {
    unsigned char held[4];
    unsigned n_held;
};
void tok_stream_push(struct tok_stream *s, const char *bytes, size_t len, struct buf *out);
void tok_stream_end(struct tok_stream *s, struct buf *out); /* what is still held: one U+FFFD */

#endif
