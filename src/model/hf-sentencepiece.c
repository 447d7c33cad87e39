/* SPDX-License-Identifier: MIT */
/*
 * hf-sentencepiece.c - tokenizer.model, a SentencePiece model, told as a tokenizer.json.
 *
 * A folder that has no tokenizer.json may have the file that it is made from: a protocol buffer
 * with the pieces, their scores and kinds, and how it was trained.  Here it becomes the text of a
 * tokenizer.json of the same meaning, with scores in place of merges, so that hf-tokenizer.c and
 * hf-pipeline.c are the one way in.  Tokens that were added later stand beside it, in
 * tokenizer_config.json or added_tokens.json.
 *
 * The file is hostile: lengths are checked against what is there, unknown fields are passed over,
 * groups are refused.  What would tokenise otherwise is refused by name.
 *
 * Source: google/sentencepiece (src/sentencepiece_model.proto); Protocol Buffers, "Encoding".
 */
#include "config.h"
#include "model/hf-parts.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/tokenizer-parts.h"

enum { BPE = 2 }; /* of trainer_spec.model_type; what is not stated is 1, unigram */

/* Bytes of a message that are still to be read. */
struct wire {
    const unsigned char *at, *end;
};

/* One field: its number, and its value as a number or as bytes. */
struct field {
    uint32_t number;
    bool is_bytes;
    uint64_t value; /* float: its bits */
    struct wire bytes;
};

struct reader {
    struct hf *h;
    const struct hf_text *t;
    struct buf vocab, scores, added;
    uint32_t n;
    uint64_t bos, eos; /* none where it is no piece */
    bool bpe, fallback, prefix, plain; /* plain: nothing is normalised */
};

static int bad(const struct reader *r, const char *what)
{
    return gguf_fail_at(r->t->path, r->h->err, TRIT_EFORMAT, "%s", what);
}

static int refuse(const struct reader *r, const char *what)
{
    return gguf_fail_at(r->t->path, r->h->err, TRIT_EUNSUPP, "%s", what);
}

static bool varint(struct wire *w, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        unsigned char byte = *w->at++;
        *v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool fixed(struct wire *w, size_t bytes, uint64_t *v)
{
    *v = 0;
    if ((size_t)(w->end - w->at) < bytes)
        return false;
    memcpy(v, w->at, bytes); /* little-endian, as this machine */
    w->at += bytes;
    return true;
}

/* The next field; false where there is none, or none that is sound: then w->at < w->end. */
static bool next_field(struct wire *w, struct field *f)
{
    enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };
    const unsigned char *start = w->at;
    uint64_t key;
    bool sound = w->at < w->end && varint(w, &key) && key >> 3 <= UINT32_MAX;
    if (sound) {
        *f = (struct field){.number = (uint32_t)(key >> 3), .is_bytes = (key & 7) == BYTES};
        switch (key & 7) {
        case VARINT:
            sound = varint(w, &f->value);
            break;
        case FIXED64:
            sound = fixed(w, 8, &f->value);
            break;
        case FIXED32:
            sound = fixed(w, 4, &f->value);
            break;
        case BYTES:
            sound = varint(w, &f->value) && f->value <= (uint64_t)(w->end - w->at);
            if (sound) {
                f->bytes = (struct wire){w->at, w->at + f->value};
                w->at = f->bytes.end;
            }
            break;
        default:
            sound = false;
        }
    }
    if (!sound && start < w->end)
        w->at = start;
    return sound;
}

static void add_string(struct buf *b, const char *s, size_t len)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20)
            buf_addf(b, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else
            buf_addc(b, (char)c);
    }
    buf_addc(b, '"');
}

/* ------------------------------------------------------------------ the messages */

static int read_piece(struct reader *r, struct wire w)
{
    struct wire text = {0};
    struct field f;
    uint64_t kind = VOCAB_NORMAL;
    uint32_t bits = 0;
    float score;
    while (next_field(&w, &f)) {
        if (f.number == 1 && f.is_bytes)
            text = f.bytes;
        else if (f.number == 2 && !f.is_bytes)
            bits = (uint32_t)f.value;
        else if (f.number == 3 && !f.is_bytes)
            kind = f.value;
    }
    const char *s = (const char *)text.at;
    size_t len = (size_t)(text.end - text.at);
    memcpy(&score, &bits, sizeof score);
    if (w.at < w.end || !isfinite(score) || len == 0 || !utf8_valid(s, len) || memchr(s, 0, len))
        return gguf_fail_at(r->t->path, r->h->err, TRIT_EFORMAT,
                            "piece %u is broken, expected a text in UTF-8 and a finite score",
                            r->n);
    if (kind < VOCAB_NORMAL || kind > VOCAB_BYTE || kind == VOCAB_UNUSED)
        return gguf_fail_at(r->t->path, r->h->err, TRIT_EUNSUPP,
                            "piece %u is of type %llu, expected 1 to 4 or 6", r->n,
                            (unsigned long long)kind);
    if (kind != VOCAB_NORMAL && kind != VOCAB_BYTE) {
        buf_addf(&r->added, "%s{\"id\":%u,\"special\":%s,\"content\":", r->added.len ? "," : "",
                 r->n, kind == VOCAB_USER ? "false" : "true");
        add_string(&r->added, s, len);
        buf_addc(&r->added, '}');
    }
    buf_adds(&r->vocab, r->n ? "," : "");
    add_string(&r->vocab, s, len);
    buf_addf(&r->vocab, ":%u", r->n++);
    buf_add(&r->scores, &score, sizeof score);
    return 0;
}

static int read_trainer(struct reader *r, struct wire w)
{
    struct field f;
    while (next_field(&w, &f)) {
        if (f.number == 3)
            r->bpe = f.value == BPE;
        else if (f.number == 35)
            r->fallback = f.value;
        else if (f.number == 41)
            r->bos = f.value;
        else if (f.number == 42)
            r->eos = f.value;
        else if (f.number == 24 && f.value)
            return refuse(r, "trainer_spec.treat_whitespace_as_suffix is true, expected false");
    }
    return w.at < w.end ? bad(r, "trainer_spec is broken") : 0;
}

/* Nothing but the space in front and U+2581 for spaces. */
static int read_normalizer(struct reader *r, struct wire w)
{
    bool removes = true, escapes = true, rules = false;
    struct field f;
    while (next_field(&w, &f)) {
        if (f.number == 2 || f.number == 6)
            rules = rules || f.value > 0; /* the length of a map, of rules */
        else if (f.number == 3)
            r->prefix = f.value;
        else if (f.number == 4)
            removes = f.value;
        else if (f.number == 5)
            escapes = f.value;
    }
    if (w.at < w.end)
        return bad(r, "normalizer_spec is broken");
    r->plain = !removes && escapes && !rules;
    return 0;
}

static int read_model(struct reader *r)
{
    struct wire w = {(const unsigned char *)r->t->text,
                     (const unsigned char *)r->t->text + r->t->len};
    struct field f;
    int rc = 0;
    while (rc == 0 && next_field(&w, &f)) {
        if (f.number <= 3 && !f.is_bytes)
            return bad(r, "not a SentencePiece model");
        rc = f.number == 1   ? read_piece(r, f.bytes)
             : f.number == 2 ? read_trainer(r, f.bytes)
             : f.number == 3 ? read_normalizer(r, f.bytes)
                             : 0;
    }
    if (rc)
        return rc;
    if (w.at < w.end || r->n == 0)
        return bad(r, "not a SentencePiece model, or cut short");
    if (!r->bpe)
        return refuse(r, "trainer_spec.model_type is not BPE, expected that");
    if (!r->fallback)
        return refuse(r, "trainer_spec.byte_fallback is false, expected true");
    if (!r->plain)
        return refuse(r, "normalizer_spec changes more than spaces, expected the identity without "
                         "remove_extra_whitespaces");
    return 0;
}

/* ------------------------------------------------------------------ tokens beside it */

/* {"32000": {"content": ..., "special": ...}} of tokenizer_config.json. */
static void add_decoder(struct reader *r, struct jsontext decoder)
{
    struct jsontext key, value;
    for (struct jsontext_walk w = jsontext_begin(decoder); jsontext_next(&w, &key, &value);) {
        if (jsontext_kind(value) != JSONTEXT_OBJECT || key.len < 3)
            continue;
        /* The key's digits become the member "id"; what is no number is refused as one there. */
        buf_addf(&r->added, "%s{\"id\":%.*s,\"normalized\":false,", r->added.len ? "," : "",
                 (int)(key.len - 2), key.at + 1);
        static const char *const members[] = {"content", "special", "lstrip", "rstrip",
                                              "single_word"};
        for (size_t i = 0; i < ARRAY_LEN(members); i++) {
            struct jsontext v = hf_part(value, members[i]);
            buf_addf(&r->added, "%s\"%s\":%.*s", i ? "," : "", members[i], (int)v.len, v.at);
        }
        buf_addc(&r->added, '}');
    }
}

/* The names that tokenizer_config.json has a use for; how many. */
enum { ROLES = 4 };

static size_t find_roles(const struct hf *h, struct jsontext name[ROLES])
{
    static const char *const roles[ROLES] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    size_t n = 0;
    for (size_t i = 0; i < ROLES && h->tokenizer_config.path; i++) {
        struct jsontext v = hf_part(h->tokenizer_config.doc, roles[i]);
        if (jsontext_kind(v) == JSONTEXT_OBJECT)
            v = hf_part(v, "content");
        if (jsontext_kind(v) == JSONTEXT_STRING)
            name[n++] = v;
    }
    return n;
}

/* {"<pad>": 32000} of added_tokens.json. */
static void add_list(struct reader *r, struct jsontext list)
{
    struct jsontext name, id, role[ROLES];
    size_t n = find_roles(r->h, role);
    for (struct jsontext_walk w = jsontext_begin(list); jsontext_next(&w, &name, &id);) {
        bool special = false;
        for (size_t i = 0; i < n; i++)
            special = special || jsontext_equal(role[i], name);
        buf_addf(&r->added, "%s{\"id\":%.*s,\"special\":%s,\"content\":%.*s}",
                 r->added.len ? "," : "", (int)id.len, id.at, special ? "true" : "false",
                 (int)name.len, name.at);
    }
}

static void add_tokens(struct reader *r)
{
    const struct hf *h = r->h;
    struct jsontext decoder = h->tokenizer_config.path
                                  ? hf_part(h->tokenizer_config.doc, "added_tokens_decoder")
                                  : (struct jsontext){"null", 4};
    if (jsontext_kind(decoder) == JSONTEXT_OBJECT)
        add_decoder(r, decoder);
    else if (h->added_tokens.path)
        add_list(r, h->added_tokens.doc);
}

/* Where a space is put in front: of every part of the text between special tokens, or as it is with
 * "legacy": false only where the text begins. */
static void put_spaces(const struct reader *r, struct buf *b)
{
    static const char REPLACE[] =
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" VOCAB_SPACE "\"}";
    static const char PREPEND[] = "{\"type\":\"Prepend\",\"prepend\":\"" VOCAB_SPACE "\"},";
    static const char FIRST[] = "{\"type\":\"Metaspace\",\"replacement\":\"" VOCAB_SPACE
                                "\",\"prepend_scheme\":\"first\",\"split\":false}";
    const struct hf_text *t = &r->h->tokenizer_config;
    if (r->prefix && t->path && !hf_flag(t->doc, "legacy", true))
        buf_addf(b, "\"pre_tokenizer\":%s", FIRST);
    else
        buf_addf(b, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s%s]}",
                 r->prefix ? PREPEND : "", REPLACE);
}

/* The document in place of the file. */
static int put_document(struct reader *r, size_t max_values)
{
    struct hf_text *t = &r->h->tokenizer;
    struct trit_error why = {0};
    struct buf b = {0};
    size_t len;
    buf_addc(&b, '{');
    put_spaces(r, &b);
    buf_adds(&b, ",\"added_tokens\":[");
    buf_add(&b, r->added.data, r->added.len);
    buf_adds(&b, "],\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{");
    buf_add(&b, r->vocab.data, r->vocab.len);
    buf_adds(&b, "}}}");
    if (b.failed || r->added.failed || r->vocab.failed || r->scores.failed) {
        buf_free(&b);
        return gguf_fail_at(t->path, r->h->err, TRIT_ENOMEM, "no memory for the tokenizer");
    }
    mem_free(t->text);
    t->text = buf_take(&b, &len);
    t->len = len;
    if (jsontext_check(t->text, t->len, max_values, &why) != 0)
        return gguf_fail_at(t->path, r->h->err, TRIT_EFORMAT, "added tokens: %s", why.text);
    t->doc = jsontext_document(t->text, t->len);
    return 0;
}

int hf_sentencepiece(struct hf *h, size_t max_values)
{
    struct reader r = {.h = h, .t = &h->tokenizer, .prefix = true, .bos = 1, .eos = 2};
    int rc = read_model(&r);
    if (rc == 0) {
        add_tokens(&r);
        rc = put_document(&r, max_values);
    }
    if (rc == 0)
        h->scores = (float *)(void *)buf_take(&r.scores, NULL);
    h->n_scores = r.n;
    /* Where config.json does not tell.  What tokenizer_config.json names counts before. */
    if (h->facts.bos < 0 && r.bos < r.n)
        h->facts.bos = (int32_t)r.bos;
    if (h->facts.n_eos == 0 && r.eos < r.n)
        h->facts.eos[h->facts.n_eos++] = (int32_t)r.eos;
    buf_free(&r.vocab);
    buf_free(&r.scores);
    buf_free(&r.added);
    return rc;
}
