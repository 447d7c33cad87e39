/* SPDX-License-Identifier: MIT */
/*
 * hf-tokenizer.c - tokenizer.json and what stands beside it to the keys tokenizer.*.
 *
 * Here are its tokens and merges, and the tokens at the ends of a text; what is done to the text
 * before is read by hf-pipeline.c.
 *
 * Tokens are taken by id: first those of the model's vocabulary, then the added ones, which may
 * name the same id again.  A special one is a control token, another a word that is cut out as it
 * stands.
 *
 * Source: huggingface/tokenizers (tokenizers/src/models/bpe, added_vocabulary.rs, processors).
 */
#include "config.h"
#include "model/hf-parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/tokenizer-parts.h"

enum {
    TOKENS_MAX = 1 << 22, /* ids */
    TEMPLATE_MAX = 1 << 20,
};

struct token {
    struct jsontext name; /* .at NULL: no token has this id */
    uint8_t kind;
    uint32_t borders;
};

struct maker {
    struct hf *h;
    const struct hf_text *t; /* tokenizer.json */
    struct jsontext model;
    struct hf_pipeline pipeline;
    struct token *token;
    size_t n, cap; /* ids that may have a token */
};

static int refuse(const struct maker *m, const char *what, struct jsontext found,
                  const char *expected)
{
    return hf_refuse(m->h, m->t, TRIT_EUNSUPP, what, found, expected);
}

/* ------------------------------------------------------------------ tokens */

static int no_memory(const struct maker *m)
{
    return gguf_fail_at(m->t->path, m->h->err, TRIT_ENOMEM, "no memory for the tokenizer");
}

static int take_token(struct maker *m, const char *where, struct jsontext name, struct jsontext id,
                      uint8_t kind)
{
    uint64_t i;
    if (!jsontext_uint(id, &i) || i >= TOKENS_MAX)
        return hf_refuse(m->h, m->t, TRIT_EFORMAT, where, id, "a token's id below 4194304");
    if (i >= m->cap) {
        size_t cap = MAX(2 * m->cap, round_up(i + 1, 1024));
        struct token *more = mem_resize(m->token, cap, sizeof *more);
        if (!more)
            return no_memory(m);
        memset(more + m->cap, 0, (cap - m->cap) * sizeof *more);
        m->token = more;
        m->cap = cap;
    }
    if (m->token[i].name.at && kind == VOCAB_NORMAL)
        return hf_refuse(m->h, m->t, TRIT_EFORMAT, where, id, "each id once");
    m->token[i] = (struct token){.name = name, .kind = kind};
    m->n = MAX(m->n, (size_t)i + 1);
    return 0;
}

static int read_vocab(struct maker *m)
{
    bool found;
    struct jsontext vocab = {"{}", 2}, name, id;
    int rc = hf_value(m->h, m->t, m->model, "vocab", JSONTEXT_OBJECT, true, &found, &vocab);
    struct jsontext_walk w = jsontext_begin(vocab);
    while (rc == 0 && jsontext_next(&w, &name, &id))
        rc = take_token(m, "model.vocab", name, id, VOCAB_NORMAL);
    return rc;
}

static uint32_t borders_of(struct jsontext e)
{
    return (hf_flag(e, "lstrip", false) ? SPECIAL_LSTRIP : 0u) |
           (hf_flag(e, "rstrip", false) ? SPECIAL_RSTRIP : 0u) |
           (hf_flag(e, "single_word", false) ? SPECIAL_WORD : 0u);
}

/*
 * "normalized" is for tokens that are looked for once the text is normalised.  For NFC that makes
 * no difference to names that are in Form C; behind a normalizer that writes spaces otherwise it is
 * had for special tokens only, whose names transformers looks for as they are.
 *
 * A token without a row of the embedding can never be given to the model, and is left out: Gemma 3
 * has one of images behind the last row of its models for text.  Where it is written out, it is
 * text like any other.
 */
static int read_added(struct maker *m)
{
    bool found;
    uint64_t i, rows = m->h->facts.rows;
    size_t left_out = 0;
    struct jsontext list = {"[]", 2}, none, e, id = {"null", 4}, name = {"null", 4};
    int rc = hf_value(m->h, m->t, m->t->doc, "added_tokens", JSONTEXT_ARRAY, false, &found, &list);
    struct jsontext_walk w = jsontext_begin(list);
    while (rc == 0 && jsontext_next(&w, &none, &e)) {
        if (jsontext_kind(e) != JSONTEXT_OBJECT)
            return hf_refuse(m->h, m->t, TRIT_EFORMAT, "an element of added_tokens", e,
                             "an object");
        bool special = hf_flag(e, "special", false);
        if (m->pipeline.normalizes_spaces && !special && hf_flag(e, "normalized", false))
            return refuse(m, "an element of added_tokens", e,
                          "\"normalized\": false, or a special token");
        if ((rc = hf_value(m->h, m->t, e, "id", JSONTEXT_NUMBER, true, &found, &id)) ||
            (rc = hf_value(m->h, m->t, e, "content", JSONTEXT_STRING, true, &found, &name)))
            return rc;
        if (rows && jsontext_uint(id, &i) && i >= rows) {
            left_out++;
            continue;
        }
        rc = take_token(m, "id of an added token", name, id, special ? VOCAB_CONTROL : VOCAB_USER);
        if (rc == 0 && jsontext_uint(id, &i))
            m->token[i].borders = borders_of(e);
    }
    if (rc == 0 && left_out)
        log_notice("tokens-ignored n=%zu reason=\"added behind the %" PRIu64
                   " rows of the embedding\"",
                   left_out, rows);
    return rc;
}

/* Those that have any, by rising id. */
static int put_borders(struct maker *m)
{
    size_t n = 0;
    int32_t *pair = mem_zalloc(2 * m->n, sizeof *pair);
    if (!pair)
        return no_memory(m);
    for (size_t i = 0; i < m->n; i++) {
        if (!m->token[i].borders)
            continue;
        pair[n++] = (int32_t)i;
        pair[n++] = (int32_t)m->token[i].borders;
    }
    if (n)
        gguf_make_ints(m->h->g, SPECIAL_BORDERS, pair, n);
    mem_free(pair);
    return 0;
}

static int put_tokens(struct maker *m)
{
    struct buf bytes = {0};
    uint32_t *ends = mem_zalloc(m->n, sizeof *ends);
    int32_t *kinds = mem_zalloc(m->n, sizeof *kinds);
    if (!ends || !kinds)
        goto no_memory;
    for (size_t i = 0; i < m->n; i++) {
        kinds[i] = m->token[i].name.at ? m->token[i].kind : VOCAB_UNUSED;
        size_t start = bytes.len;
        if (m->token[i].name.at)
            jsontext_string(m->token[i].name, &bytes);
        ends[i] = (uint32_t)bytes.len;
        if (m->pipeline.spaces && kinds[i] == VOCAB_NORMAL && !bytes.failed &&
            vocab_byte_of(bytes.data + start, bytes.len - start) >= 0)
            kinds[i] = VOCAB_BYTE;
    }
    buf_addc(&bytes, '\0');
    if (bytes.failed)
        goto no_memory;
    gguf_make_ints(m->h->g, "tokenizer.ggml.token_type", kinds, m->n);
    gguf_make_strings(m->h->g, "tokenizer.ggml.tokens", buf_take(&bytes, NULL), ends, m->n);
    mem_free(kinds);
    return 0;
no_memory:
    buf_free(&bytes);
    mem_free(ends);
    mem_free(kinds);
    return no_memory(m);
}

/* "left right", or in newer files ["left", "right"]. */
static bool add_merge(struct jsontext v, struct buf *out)
{
    struct jsontext none, part;
    size_t n = 0;
    if (jsontext_kind(v) == JSONTEXT_STRING) {
        jsontext_string(v, out);
        return true;
    }
    if (jsontext_kind(v) != JSONTEXT_ARRAY)
        return false;
    for (struct jsontext_walk w = jsontext_begin(v); jsontext_next(&w, &none, &part); n++) {
        if (n == 2 || jsontext_kind(part) != JSONTEXT_STRING)
            return false;
        if (n == 1)
            buf_addc(out, ' ');
        size_t start = out->len;
        jsontext_string(part, out);
        /* Neither alphabet has a space. */
        if (out->len > start && memchr(out->data + start, ' ', out->len - start))
            return false;
    }
    return n == 2;
}

/* Of a tokenizer.model; tokens that were added have none and need none. */
static int put_scores(struct maker *m)
{
    float *score = mem_zalloc(m->n, sizeof *score);
    if (!score)
        return no_memory(m);
    memcpy(score, m->h->scores, MIN(m->n, m->h->n_scores) * sizeof *score);
    gguf_make_floats(m->h->g, "tokenizer.ggml.scores", score, m->n);
    mem_free(score);
    return 0;
}

static int read_merges(struct maker *m)
{
    bool found;
    struct jsontext list = {"[]", 2}, none, e;
    struct buf bytes = {0};
    size_t n = 0, i = 0;
    int rc = hf_value(m->h, m->t, m->model, "merges", JSONTEXT_ARRAY, true, &found, &list);
    if (rc)
        return rc;
    for (struct jsontext_walk w = jsontext_begin(list); jsontext_next(&w, &none, &e);)
        n++;
    uint32_t *ends = mem_zalloc(n, sizeof *ends);
    for (struct jsontext_walk w = jsontext_begin(list); ends && jsontext_next(&w, &none, &e);) {
        if (!add_merge(e, &bytes)) {
            rc = hf_refuse(m->h, m->t, TRIT_EFORMAT, "an element of model.merges", e,
                           "\"left right\" or [\"left\", \"right\"]");
            break;
        }
        ends[i++] = (uint32_t)bytes.len;
    }
    buf_addc(&bytes, '\0');
    if (rc == 0 && (!ends || bytes.failed))
        rc = no_memory(m);
    if (rc) {
        buf_free(&bytes);
        mem_free(ends);
        return rc;
    }
    gguf_make_strings(m->h->g, "tokenizer.ggml.merges", buf_take(&bytes, NULL), ends, n);
    return 0;
}

/* ------------------------------------------------------------------ BOS, EOS, chat template */

/* The id of a token by its name: the last one, as an added one comes last.  -1: none. */
static int32_t find_token(const struct maker *m, struct jsontext name)
{
    for (size_t i = m->n; i > 0; i--)
        if (m->token[i - 1].name.at && jsontext_equal(m->token[i - 1].name, name))
            return (int32_t)(i - 1);
    return -1;
}

/* A token named in tokenizer_config.json, as a string or as an object with its content. */
static int named_token(const struct maker *m, const char *member, int32_t *id)
{
    const struct hf_text *t = &m->h->tokenizer_config;
    struct jsontext v = t->path ? hf_part(t->doc, member) : (struct jsontext){"null", 4};
    if (jsontext_kind(v) == JSONTEXT_OBJECT)
        v = hf_part(v, "content");
    if (jsontext_kind(v) == JSONTEXT_NULL)
        return 0;
    if (jsontext_kind(v) != JSONTEXT_STRING || (*id = find_token(m, v)) < 0)
        return hf_refuse(m->h, t, TRIT_EFORMAT, member, v, "the name of a token");
    return 0;
}

/* Which of the ends of a text the post-processor puts a token to. */
struct ends {
    bool known; /* there is a post-processor */
    bool first, last;
    struct jsontext first_name, last_name;
};

/* TemplateProcessing's "single": special tokens, the text "A", special tokens. */
static int read_template(const struct maker *m, struct jsontext part, struct ends *e)
{
    struct jsontext single = hf_part(part, "single"), none, piece;
    bool text = false;
    if (jsontext_kind(single) != JSONTEXT_ARRAY)
        return refuse(m, "post_processor.single", single, "an array");
    for (struct jsontext_walk w = jsontext_begin(single); jsontext_next(&w, &none, &piece);) {
        struct jsontext special = jsontext_kind(piece) == JSONTEXT_OBJECT
                                      ? hf_part(piece, "SpecialToken")
                                      : (struct jsontext){"null", 4};
        bool is_text = jsontext_kind(piece) == JSONTEXT_OBJECT &&
                       jsontext_kind(hf_part(piece, "Sequence")) == JSONTEXT_OBJECT;
        bool *there = text ? &e->last : &e->first;
        if (is_text && !text) {
            text = true;
            continue;
        }
        struct jsontext name = jsontext_kind(special) == JSONTEXT_OBJECT
                                   ? hf_part(special, "id")
                                   : (struct jsontext){"null", 4};
        if (jsontext_kind(name) != JSONTEXT_STRING || *there)
            return refuse(m, "post_processor.single", single,
                          "at most one special token, the text, at most one special token");
        *there = true;
        *(text ? &e->last_name : &e->first_name) = name;
    }
    return 0;
}

static int read_post_processor(const struct maker *m, struct ends *e)
{
    enum { PARTS = 2 };
    struct jsontext v = hf_part(m->t->doc, "post_processor"), part[PARTS];
    *e = (struct ends){.known = jsontext_kind(v) != JSONTEXT_NULL};
    if (!e->known)
        return 0;
    size_t n = hf_unfold(v, "processors", part, PARTS);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (n > PARTS ||
            !(hf_is_type(part[i], "ByteLevel") || hf_is_type(part[i], "TemplateProcessing")))
            return refuse(m, "post_processor", v, "ByteLevel or TemplateProcessing");
        if (hf_is_type(part[i], "TemplateProcessing"))
            rc = read_template(m, part[i], e);
    }
    return rc;
}

/* Whether a token stands at an end of the text: as the post-processor does it; where there is none,
 * as tokenizer_config.json says; else it is left to the tokenizer's own default.  *id: which, -1
 * where only the post-processor knows. */
static int put_end(const struct maker *m, const struct ends *e, bool there, struct jsontext name,
                   const char *member, const char *key, int32_t *id)
{
    const struct hf_text *t = &m->h->tokenizer_config;
    bool found = false, wanted = false;
    int rc = t->path ? hf_bool(m->h, t, t->doc, member, &found, &wanted) : 0;
    if (rc)
        return rc;
    int32_t at = there ? find_token(m, name) : -1;
    if (there && (at < 0 || (*id >= 0 && *id != at)))
        return refuse(m, "a token of post_processor.single", name,
                      at < 0 ? "the name of a token" : "the one that tokenizer_config.json names");
    if (there)
        *id = at;
    if (e->known)
        gguf_make_bool(m->h->g, key, there);
    else if (found)
        gguf_make_bool(m->h->g, key, wanted);
    return 0;
}

static int put_ids(const struct maker *m)
{
    struct hf_facts *f = &m->h->facts;
    struct gguf *g = m->h->g;
    struct ends e;
    int32_t bos = f->bos, eos = f->n_eos ? f->eos[0] : -1, last = -1;
    int rc;
    if ((rc = named_token(m, "bos_token", &bos)) || (rc = named_token(m, "eos_token", &eos)) ||
        (rc = read_post_processor(m, &e)) ||
        (rc = put_end(m, &e, e.first, e.first_name, "add_bos_token", "tokenizer.ggml.add_bos_token",
                      &bos)) ||
        (rc = put_end(m, &e, e.last, e.last_name, "add_eos_token", "tokenizer.ggml.add_eos_token",
                      &last)))
        return rc;
    /* GGUF's EOS is what stands behind a text: to Qwen3-Embedding another than ends an answer. */
    if (last >= 0 && eos >= 0 && eos != last)
        gguf_make_uint(g, TOK_OTHER_EOS, (uint64_t)eos);
    eos = last >= 0 ? last : eos;
    if (bos >= 0)
        gguf_make_uint(g, "tokenizer.ggml.bos_token_id", (uint64_t)bos);
    if (eos >= 0)
        gguf_make_uint(g, "tokenizer.ggml.eos_token_id", (uint64_t)eos);
    gguf_make_ints(g, "tokenizer.ggml.eos_token_ids", f->eos, f->n_eos);
    return 0;
}

static int put_template(const struct maker *m, const char *key, struct jsontext v)
{
    struct buf text = {0};
    jsontext_string(v, &text);
    buf_addc(&text, '\0');
    if (text.failed)
        return no_memory(m);
    gguf_make_string(m->h->g, key, text.data, text.len - 1);
    buf_free(&text);
    return 0;
}

/* Several, by name: "default", and "tool_use" for conversations with tools; others are not asked
 * for. */
static int read_templates(const struct maker *m, struct jsontext list)
{
    const struct hf_text *t = &m->h->tokenizer_config;
    struct jsontext none, e, name = {"null", 4}, text = {"null", 4};
    bool found;
    int rc = 0;
    for (struct jsontext_walk w = jsontext_begin(list); rc == 0 && jsontext_next(&w, &none, &e);) {
        if (jsontext_kind(e) != JSONTEXT_OBJECT)
            return hf_refuse(m->h, t, TRIT_EFORMAT, "an element of chat_template", e, "an object");
        if ((rc = hf_value(m->h, t, e, "name", JSONTEXT_STRING, true, &found, &name)) ||
            (rc = hf_value(m->h, t, e, "template", JSONTEXT_STRING, true, &found, &text)))
            return rc;
        if (jsontext_is(name, "default"))
            rc = put_template(m, "tokenizer.chat_template", text);
        else if (jsontext_is(name, "tool_use"))
            rc = put_template(m, "tokenizer.chat_template.tool_use", text);
    }
    return rc;
}

/* A file of its own counts before a member of tokenizer_config.json. */
static int read_chat_template(const struct maker *m)
{
    const struct hf_text *t = &m->h->tokenizer_config, *own = &m->h->template;
    if (own->path) {
        gguf_make_string(m->h->g, "tokenizer.chat_template", own->text, own->len);
        return 0;
    }
    if (!t->path)
        return 0;
    struct jsontext v = hf_part(t->doc, "chat_template");
    switch (jsontext_kind(v)) {
    case JSONTEXT_NULL:
        return 0;
    case JSONTEXT_STRING:
        return put_template(m, "tokenizer.chat_template", v);
    case JSONTEXT_ARRAY:
        return read_templates(m, v);
    default:
        return hf_refuse(m->h, t, TRIT_EFORMAT, "chat_template", v, "a string or an array");
    }
}

int hf_tokenizer(struct hf *h)
{
    struct maker m = {.h = h, .t = &h->tokenizer};
    bool found;
    int rc;
    if ((rc = hf_value(h, m.t, m.t->doc, "model", JSONTEXT_OBJECT, true, &found, &m.model)) ||
        (rc = hf_pipeline(h, m.model, &m.pipeline)) || (rc = read_vocab(&m)) ||
        (rc = read_added(&m)) || (rc = put_tokens(&m)) || (rc = put_borders(&m)) ||
        (rc = h->scores ? put_scores(&m) : read_merges(&m)) || (rc = put_ids(&m)) ||
        (rc = read_chat_template(&m))) {
        mem_free(m.token);
        return rc;
    }
    mem_free(m.token);
    return 0;
}
