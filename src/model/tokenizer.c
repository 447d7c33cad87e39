/* SPDX-License-Identifier: MIT */
/*
 * tokenizer.c - the public face: opening, encoding around special tokens, decoding.
 *
 * Encoding walks from one special token to the next and hands the text between to the model's own
 * encoder.  That text is cut as if it stood alone, as Hugging Face tokenizers do.
 */
#include "config.h"
#include "model/tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf-private.h"
#include "model/model.h"
#include "model/tokenizer-parts.h"

struct tok {
    struct vocab vocab;
    struct special special;
    struct bpe *bpe;
    struct normal normal;
    int32_t eos; /* ends an answer; behind a text, if any, stands vocab.eos */
    bool add_bos, add_eos;
};

void tok_ids_free(struct tok_ids *ids)
{
    mem_free(ids->id);
    *ids = (struct tok_ids){0};
}

int tok_ids_add(struct tok_ids *ids, int32_t id)
{
    if (ids->n == ids->cap) {
        size_t cap = MAX(2 * ids->cap, (size_t)64);
        int32_t *more = mem_resize(ids->id, cap, sizeof *more);
        if (!more)
            return -TRIT_ENOMEM;
        ids->id = more;
        ids->cap = cap;
    }
    ids->id[ids->n++] = id;
    return 0;
}

/* What the file says about an optional flag, else `otherwise`. */
static int read_flag(const struct gguf *g, const char *key, bool otherwise, bool *flag,
                     struct trit_error *err)
{
    *flag = otherwise;
    return gguf_has(g, key) ? gguf_bool(g, key, flag, err) : 0;
}

/* A file whose embeddings are those of the last token wants EOS there, and says so, or leaves it to
 * its graph's tokenizer, as BitNet's converter does for Gemma's. */
static bool pools_last(const struct gguf *g)
{
    struct gguf_str arch;
    char key[160];
    uint64_t pooling = MODEL_POOLING_LAST;
    if (gguf_string(g, "general.architecture", &arch, NULL) != 0 || arch.len > 100)
        return false;
    snprintf(key, sizeof key, "%.*s.pooling_type", (int)arch.len, arch.data);
    if (!gguf_has(g, key))
        return gguf_tensor(g, "blk.0.attn_q_norm_in.weight") != NULL;
    return gguf_uint(g, key, &pooling, NULL) == 0 && pooling == MODEL_POOLING_LAST;
}

static int read_model(const struct gguf *g, enum vocab_model *model, struct trit_error *err)
{
    static const char KEY[] = "tokenizer.ggml.model";
    struct gguf_str name;
    int rc = gguf_string(g, KEY, &name, err);
    if (rc)
        return rc;
    if (name.len == 4 && memcmp(name.data, "gpt2", 4) == 0)
        *model = VOCAB_GPT2;
    else if (name.len == 5 && memcmp(name.data, "llama", 5) == 0)
        *model = VOCAB_LLAMA;
    else
        return gguf_fail(g, err, TRIT_EUNSUPP,
                         "key %s: found \"%.*s\", expected \"gpt2\" (byte-level BPE) or \"llama\" "
                         "(SentencePiece)",
                         KEY, (int)MIN(name.len, (size_t)40), name.data);
    return 0;
}

/* bytes[len]: tables that may be of this tokenizer, else they are made. */
static int open_parts(const struct gguf *g, uint32_t vocab_rows, const void *bytes, size_t len,
                      struct tok *t, struct trit_error *err)
{
    struct bpe_tables made;
    int rc = read_model(g, &t->vocab.model, err);
    if (rc)
        return rc;
    const struct tables *tables = tables_fit(g, t->vocab.model, vocab_rows, bytes, len);
    if (tables) {
        tables_vocab(tables, &t->vocab);
        tables_bpe(tables, &made);
    } else {
        rc = vocab_read(g, vocab_rows, &t->vocab, err);
    }
    if (rc || (rc = vocab_id(g, TOK_OTHER_EOS, t->vocab.n, &t->eos, err)) ||
        (rc = special_build(g, &t->vocab, &t->special, err)) ||
        (rc = bpe_open(g, &t->vocab, tables ? &made : NULL, &t->bpe, err)))
        return rc;
    const struct pretok *p = bpe_pretok(t->bpe);
    bool bos = pretok_is_llama3(p) || t->vocab.model == VOCAB_LLAMA;
    if ((rc = normal_read(g, t->vocab.model, pretok_wants_nfc(p), &t->normal, err)) ||
        (rc = read_flag(g, "tokenizer.ggml.add_bos_token", bos, &t->add_bos, err)) ||
        (rc = read_flag(g, "tokenizer.ggml.add_eos_token", pools_last(g), &t->add_eos, err)))
        return rc;
    t->eos = t->eos >= 0 ? t->eos : t->vocab.eos;
    t->add_bos = t->add_bos && t->vocab.bos >= 0;
    t->add_eos = t->add_eos && t->vocab.eos >= 0;
    return 0;
}

int tok_open(const struct gguf *g, uint32_t vocab_rows, struct tok **out, struct trit_error *err)
{
    return tok_open_tables(g, vocab_rows, NULL, 0, out, err);
}

size_t tok_tables_bytes(const struct tok *t)
{
    return tables_bytes(&t->vocab, t->bpe);
}

void tok_tables_write(const struct tok *t, const struct gguf *g, void *dst)
{
    tables_write(g, &t->vocab, t->bpe, dst);
}

int tok_open_tables(const struct gguf *g, uint32_t vocab_rows, const void *tables, size_t len,
                    struct tok **out, struct trit_error *err)
{
    *out = NULL;
    struct tok *t = mem_zalloc(1, sizeof *t);
    if (!t)
        return gguf_fail(g, err, TRIT_ENOMEM, "no memory for the tokenizer");
    int rc = open_parts(g, vocab_rows, tables, len, t, err);
    if (rc) {
        tok_close(&t);
        return rc;
    }
    log_notice("tokenizer model=%s pre=\"%s\" tokens=%u merges=%u special=%u retyped=%u bos=%d "
               "eos=%d add_bos=%s nfc=%s tables=%s",
               t->vocab.model == VOCAB_LLAMA ? "llama" : "gpt2", pretok_name(bpe_pretok(t->bpe)),
               t->vocab.n, bpe_n_merges(t->bpe), t->special.first[256], t->vocab.n_retyped,
               t->vocab.bos, t->eos, t->add_bos ? "yes" : "no", t->normal.nfc ? "yes" : "no",
               t->vocab.borrowed ? "attached" : "made");
    *out = t;
    return 0;
}

void tok_close(struct tok **t)
{
    if (!*t)
        return;
    bpe_close(&(*t)->bpe);
    special_free(&(*t)->special);
    vocab_free(&(*t)->vocab);
    mem_free(*t);
    *t = NULL;
}

static int add_within(struct tok_ids *ids, int32_t id, size_t limit)
{
    return ids->n < limit ? tok_ids_add(ids, id) : -TRIT_ETOOBIG;
}

/* What one text takes while it is encoded. */
struct work {
    struct bpe_scratch *bpe;
    struct buf held; /* a part in its normal form */
    struct special_walk walk;
    size_t limit;
    struct tok_ids *ids;
};

/* The text between two special tokens. */
static int encode_part(const struct tok *t, struct work *w, size_t from, size_t to)
{
    const char *part;
    size_t len;
    int rc =
        normal_apply(&t->normal, w->walk.text + from, to - from, from == 0, &w->held, &part, &len);
    return rc ? rc : bpe_encode(w->bpe, part, len, w->limit, w->ids);
}

static int encode(const struct tok *t, struct work *w, unsigned flags)
{
    struct special_walk *walk = &w->walk;
    int rc = 0;
    if ((flags & TOK_ADD_SPECIAL) && t->add_bos)
        rc = add_within(w->ids, t->vocab.bos, w->limit);
    while (rc == 0) {
        size_t from = walk->at;
        int32_t id = special_next(&t->special, &t->vocab, walk);
        if ((rc = encode_part(t, w, from, id < 0 ? walk->len : walk->start)))
            break;
        if (id < 0)
            break;
        rc = add_within(w->ids, id, w->limit);
    }
    if (rc == 0 && (flags & TOK_ADD_SPECIAL) && t->add_eos)
        rc = add_within(w->ids, t->vocab.eos, w->limit);
    return rc;
}

int tok_encode_ranges(const struct tok *t, const char *text, size_t len,
                      const struct tok_range *literal, size_t n_literal, unsigned flags, size_t max,
                      struct tok_ids *ids)
{
    size_t before = ids->n, limit;
    if (max == 0 || __builtin_add_overflow(before, max, &limit))
        limit = SIZE_MAX;
    /* However well it is packed, the text holds at least so many tokens.  Normal forms make it
     * shorter: three bytes of U+2581 are one of a space, nine of Hangul letters three. */
    size_t shrinks = t->normal.nfc || t->normal.spaces ? 3 : 1;
    if (len / shrinks / t->vocab.longest > limit - before)
        return -TRIT_ETOOBIG;
    if (!utf8_valid(text, len))
        return -TRIT_EINVAL;
    struct work w = {
        .bpe = bpe_begin(t->bpe),
        .walk =
            {
                .text = text,
                .len = len,
                .literal = literal,
                .n_literal = n_literal,
                .control = flags & TOK_PARSE_SPECIAL,
            },
        .limit = limit,
        .ids = ids,
    };
    if (!w.bpe)
        return -TRIT_ENOMEM;
    int rc = encode(t, &w, flags);
    bpe_end(w.bpe);
    buf_free(&w.held);
    if (rc)
        ids->n = before;
    return rc;
}

int tok_encode(const struct tok *t, const char *text, size_t len, unsigned flags, size_t max,
               struct tok_ids *ids)
{
    return tok_encode_ranges(t, text, len, NULL, 0, flags, max, ids);
}

const char *tok_piece(const struct tok *t, int32_t id, size_t *len)
{
    trit_assert(id >= 0 && (uint32_t)id < t->vocab.n);
    return vocab_piece(&t->vocab, (uint32_t)id, len);
}

bool tok_is_control(const struct tok *t, int32_t id)
{
    trit_assert(id >= 0 && (uint32_t)id < t->vocab.n);
    return t->vocab.kind[id] == VOCAB_CONTROL || t->vocab.kind[id] == VOCAB_UNKNOWN;
}

bool tok_is_text(const struct tok *t, int32_t id)
{
    trit_assert(id >= 0 && (uint32_t)id < t->vocab.n);
    return t->vocab.kind[id] == VOCAB_NORMAL || t->vocab.kind[id] == VOCAB_USER ||
           t->vocab.kind[id] == VOCAB_BYTE;
}

size_t tok_size(const struct tok *t)
{
    return t->vocab.n;
}

int32_t tok_find(const struct tok *t, const char *piece)
{
    return special_find(&t->special, piece, strlen(piece));
}

bool tok_infill(const struct tok *t, int32_t id[3])
{
    static const char *const names[][3] = {
        {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}, /* Qwen */
        {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},       /* StarCoder */
        {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool all = true;
        for (size_t k = 0; k < 3; k++) {
            id[k] = tok_find(t, names[i][k]);
            all = all && id[k] >= 0;
        }
        if (all)
            return true;
    }
    return false;
}

int32_t tok_bos(const struct tok *t)
{
    return t->vocab.bos;
}

int32_t tok_eos(const struct tok *t)
{
    return t->eos;
}

bool tok_adds_bos(const struct tok *t)
{
    return t->add_bos;
}

size_t tok_bytes(const struct tok *t)
{
    return sizeof *t + vocab_held(&t->vocab) + t->special.first[256] * sizeof *t->special.name +
           bpe_held(t->bpe);
}

const char *tok_piece_of(const struct tok *t, const int32_t *ids, size_t i, size_t *len)
{
    const char *piece = tok_piece(t, ids[i], len);
    if (t->normal.space == NORMAL_SPACE_NONE || *len == 0 || piece[0] != ' ' ||
        t->vocab.kind[ids[i]] != VOCAB_NORMAL)
        return piece;
    /* Only control tokens may stand before the first word, and few do. */
    enum { FEW = 8 };
    for (size_t k = 0; k < i; k++)
        if (k == FEW || (uint32_t)ids[k] >= t->vocab.n || !tok_is_control(t, ids[k]))
            return piece;
    --*len;
    return piece + 1;
}

void tok_decode(const struct tok *t, const int32_t *ids, size_t n, bool special, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        /* Rows of the embedding above the last token are padding: nothing to show. */
        if (ids[i] < 0 || (uint32_t)ids[i] >= t->vocab.n)
            continue;
        size_t len;
        const char *piece = tok_piece_of(t, ids, i, &len);
        if (special || !tok_is_control(t, ids[i]))
            buf_add(out, piece, len);
    }
}

static void add_replacement(struct buf *out)
{
    buf_add(out, "\xef\xbf\xbd", 3);
}

/* The held bytes and the next one: whole, still cut short, or beyond repair.  In the last case the
 * byte is not used up, since it may begin something new. */
static bool continue_held(struct tok_stream *s, char byte, struct buf *out)
{
    char seq[4];
    memcpy(seq, s->held, s->n_held);
    seq[s->n_held] = byte;
    int n = utf8_scan(seq, s->n_held + 1);
    if (n == 0) {
        s->held[s->n_held++] = (unsigned char)byte;
        return true;
    }
    s->n_held = 0;
    if (n > 0)
        buf_add(out, seq, (size_t)n);
    else
        add_replacement(out);
    return n > 0;
}

void tok_stream_push(struct tok_stream *s, const char *bytes, size_t len, struct buf *out)
{
    size_t i = 0, good;
    if (len == 0)
        return;
    while (i < len && s->n_held > 0)
        i += continue_held(s, bytes[i], out);
    for (good = i; i < len;) {
        int n = utf8_scan(bytes + i, len - i);
        if (n > 0) {
            i += (size_t)n;
            continue;
        }
        buf_add(out, bytes + good, i - good);
        if (n == 0) {
            s->n_held = (unsigned)(len - i);
            memcpy(s->held, bytes + i, s->n_held);
            return;
        }
        add_replacement(out);
        good = i += (size_t)-n;
    }
    buf_add(out, bytes + good, len - good);
}

void tok_stream_end(struct tok_stream *s, struct buf *out)
{
    if (s->n_held > 0)
        add_replacement(out);
    s->n_held = 0;
}
