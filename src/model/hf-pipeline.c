/* SPDX-License-Identifier: MIT */
/*
 * hf-pipeline.c - the pipeline of a tokenizer.json: normalizer, pre_tokenizer, model, decoder.
 *
 * The parts can be put together freely, and tritd has two shapes of what comes of it: byte-level
 * BPE behind stages that cut, and SentencePiece, where U+2581 stands for a space.  Each part is
 * either told to the tokenizer as a key, or refused by name.
 *
 * A stage behind ByteLevel cuts what ByteLevel made: not the text but the GPT-2 letters of its
 * bytes, of which some are digits ("½" is the letter of byte 0xBD).  Those stages have byte
 * patterns of their own.
 *
 * Source: huggingface/tokenizers (normalizers, pre_tokenizers, decoders).
 */
#include "config.h"
#include "model/hf-parts.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "model/tokenizer-parts.h"

enum { PARTS_MAX = 6 };

struct pipeline {
    struct hf *h;
    const struct hf_text *t;
    struct jsontext model;
    bool nfc;
    bool spaces; /* some part writes U+2581 for spaces: SentencePiece */
    bool normalizes_spaces;
    const char *space; /* of normal.c; NULL: not stated yet */
    size_t n_stages;
    char pre[80]; /* their names with '+' between */
};

static int refuse(const struct pipeline *p, const char *what, struct jsontext found,
                  const char *expected)
{
    return hf_refuse(p->h, p->t, TRIT_EUNSUPP, what, found, expected);
}

bool hf_is_type(struct jsontext part, const char *type)
{
    struct jsontext v = {0};
    return jsontext_kind(part) == JSONTEXT_OBJECT && jsontext_member(part, "type", &v) == 0 &&
           jsontext_kind(v) == JSONTEXT_STRING && jsontext_is(v, type);
}

struct jsontext hf_part(struct jsontext object, const char *name)
{
    struct jsontext v;
    (void)jsontext_member(object, name, &v);
    return v;
}

bool hf_flag(struct jsontext part, const char *name, bool otherwise)
{
    struct jsontext v = hf_part(part, name);
    return jsontext_kind(v) == JSONTEXT_BOOL ? jsontext_true(v) : otherwise;
}

size_t hf_unfold(struct jsontext part, const char *list, struct jsontext *out, size_t max)
{
    struct jsontext none, elements, e;
    size_t n = 0;
    if (jsontext_kind(part) == JSONTEXT_NULL)
        return 0;
    if (!hf_is_type(part, "Sequence")) {
        out[0] = part;
        return 1;
    }
    elements = hf_part(part, list);
    if (jsontext_kind(elements) != JSONTEXT_ARRAY)
        return max + 1;
    for (struct jsontext_walk w = jsontext_begin(elements); jsontext_next(&w, &none, &e); n++)
        if (n < max)
            out[n] = e;
    return n;
}

/* Whether a member is this string. */
static bool says(struct jsontext part, const char *name, const char *text)
{
    struct jsontext v = hf_part(part, name);
    return jsontext_kind(v) == JSONTEXT_STRING && jsontext_is(v, text);
}

/* Whether the pattern is this plain string. */
static bool is_string_pattern(struct jsontext part, const char *text)
{
    struct jsontext pattern = hf_part(part, "pattern");
    return jsontext_kind(pattern) == JSONTEXT_OBJECT && says(pattern, "String", text);
}

/* ------------------------------------------------------------------ normalizer */

static int read_normalizer(struct pipeline *p)
{
    struct jsontext v = hf_part(p->t->doc, "normalizer"), part[PARTS_MAX];
    size_t n = hf_unfold(v, "normalizers", part, PARTS_MAX);
    if (n > PARTS_MAX)
        return refuse(p, "normalizer", v, "a list of at most six parts");
    for (size_t i = 0; i < n; i++) {
        if (hf_is_type(part[i], "NFC")) {
            p->nfc = true;
        } else if (hf_is_type(part[i], "Prepend") && says(part[i], "prepend", VOCAB_SPACE) &&
                   !p->normalizes_spaces) {
            p->space = "each";
        } else if (hf_is_type(part[i], "Replace") && is_string_pattern(part[i], " ") &&
                   says(part[i], "content", VOCAB_SPACE)) {
            p->spaces = p->normalizes_spaces = true;
        } else {
            return refuse(p, "normalizer", part[i],
                          "NFC, or Prepend and Replace that write U+2581 for spaces");
        }
    }
    if ((p->space && !p->spaces) || (p->spaces && p->nfc))
        return refuse(p, "normalizer", v,
                      "null, NFC, or Prepend and Replace that write U+2581 for spaces");
    return 0;
}

/* ------------------------------------------------------------------ pre_tokenizer */

static bool spells(const void *pattern, const char *text)
{
    return jsontext_is(*(const struct jsontext *)pattern, text);
}

/* The name of a Split that leaves all of the text in pieces, or NULL. */
static const char *split_stage(struct jsontext part)
{
    struct jsontext pattern = hf_part(part, "pattern");
    bool invert = hf_flag(part, "invert", false);
    if (jsontext_kind(pattern) != JSONTEXT_OBJECT)
        return NULL;
    struct jsontext regex = hf_part(pattern, "Regex");
    const char *stage =
        jsontext_kind(regex) == JSONTEXT_STRING ? pretok_stage_of(spells, &regex) : NULL;
    /* Most patterns match everywhere: then what lies between their matches is empty. */
    bool everywhere = stage && strcmp(stage, "threes") != 0;
    bool isolated = says(part, "behavior", "Isolated") && !invert;
    bool removed = says(part, "behavior", "Removed") && invert && everywhere;
    return isolated || removed ? stage : NULL;
}

/* The name of a part that cuts, or NULL.  behind: ByteLevel came before it. */
static const char *stage_of(struct jsontext part, bool behind)
{
    if (hf_is_type(part, "Split")) {
        const char *stage = split_stage(part);
        return behind && stage && strcmp(stage, "threes") != 0 ? NULL : stage;
    }
    if (hf_is_type(part, "Digits")) {
        bool each = hf_flag(part, "individual_digits", false);
        if (behind)
            return each ? "letter-digits" : "letter-digit-runs";
        return each ? "digits" : "digit-runs";
    }
    if (hf_is_type(part, "Punctuation") && !behind) {
        bool isolated = jsontext_kind(hf_part(part, "behavior")) == JSONTEXT_NULL ||
                        says(part, "behavior", "Isolated");
        return isolated                               ? "punctuation"
               : says(part, "behavior", "Contiguous") ? "punctuation-runs"
                                                      : NULL;
    }
    return NULL;
}

static void add_stage(struct pipeline *p, const char *name)
{
    size_t len = strlen(p->pre);
    snprintf(p->pre + len, sizeof p->pre - len, "%s%s", p->n_stages++ ? "+" : "", name);
}

static int refuse_stage(const struct pipeline *p, struct jsontext part)
{
    return refuse(p, "pre_tokenizer", part,
                  "ByteLevel without a prefix space, Digits, Punctuation that is isolated or "
                  "contiguous, or a Split with the pattern of Llama 3, Qwen2, GPT-2 or Falcon");
}

static int read_byte_level(struct pipeline *p, const struct jsontext *part, size_t n)
{
    bool behind = false;
    for (size_t i = 0; i < n; i++) {
        if (hf_is_type(part[i], "ByteLevel")) {
            if (hf_flag(part[i], "add_prefix_space", true) || behind)
                return refuse_stage(p, part[i]);
            if (hf_flag(part[i], "use_regex", true))
                add_stage(p, "gpt-2");
            behind = true;
            continue;
        }
        const char *stage = stage_of(part[i], behind);
        if (!stage)
            return refuse_stage(p, part[i]);
        add_stage(p, stage);
    }
    if (!behind || p->n_stages == 0 || p->n_stages > PRETOK_STAGES)
        return refuse(p, "pre_tokenizer", hf_part(p->t->doc, "pre_tokenizer"),
                      "ByteLevel, and one to four parts that cut");
    /* GGUF's names for what is a single stage. */
    if (strcmp(p->pre, "llama-3") == 0)
        strcpy(p->pre, "llama-bpe");
    else if (strcmp(p->pre, "qwen-2") == 0)
        strcpy(p->pre, "qwen2");
    return 0;
}

/* prepend_scheme, or what older files have instead. */
static const char *metaspace_prefix(struct jsontext part)
{
    if (jsontext_kind(hf_part(part, "prepend_scheme")) == JSONTEXT_NULL)
        return hf_flag(part, "add_prefix_space", true) ? "lacking" : "none";
    return says(part, "prepend_scheme", "first")    ? "first"
           : says(part, "prepend_scheme", "always") ? "lacking"
           : says(part, "prepend_scheme", "never")  ? "none"
                                                    : NULL;
}

static int read_metaspace(struct pipeline *p, struct jsontext part)
{
    const char *space = metaspace_prefix(part);
    if (p->spaces || !space || !says(part, "replacement", VOCAB_SPACE))
        return refuse(p, "pre_tokenizer", part, "Metaspace with U+2581 and no Replace before it");
    p->spaces = true;
    p->space = space;
    if (hf_flag(part, "split", true))
        add_stage(p, "words");
    return 0;
}

static int read_pre_tokenizer(struct pipeline *p)
{
    struct jsontext v = hf_part(p->t->doc, "pre_tokenizer"), part[PARTS_MAX];
    size_t n = hf_unfold(v, "pretokenizers", part, PARTS_MAX);
    if (n > PARTS_MAX)
        return refuse(p, "pre_tokenizer", v, "a list of at most six parts");
    if (n == 1 && hf_is_type(part[0], "Metaspace"))
        return read_metaspace(p, part[0]);
    if (!p->spaces)
        return read_byte_level(p, part, n);
    /* Where no spaces are left there is nothing to split at. */
    bool idle = n == 1 && hf_is_type(part[0], "Split") && is_string_pattern(part[0], " ");
    return n == 0 || idle ? 0
                          : refuse(p, "pre_tokenizer", v,
                                   "null, or a Split at the spaces that the normalizer replaced");
}

/* ------------------------------------------------------------------ model and decoder */

/* Merging by rank and nothing that changes its pieces. */
static int check_model(struct pipeline *p)
{
    static const char *const none[] = {"dropout", "continuing_subword_prefix",
                                       "end_of_word_suffix"};
    struct jsontext type = hf_part(p->model, "type");
    if (!hf_is_type(p->model, "BPE") && jsontext_kind(type) != JSONTEXT_NULL)
        return refuse(p, "model.type", type, "\"BPE\"");
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct jsontext v = hf_part(p->model, none[i]);
        if (jsontext_kind(v) != JSONTEXT_NULL &&
            !(jsontext_kind(v) == JSONTEXT_STRING && jsontext_is(v, "")))
            return refuse(p, none[i], v, "null");
    }
    /* Both need no unknown token: every byte has a piece. */
    if (hf_flag(p->model, "byte_fallback", false) != p->spaces)
        return refuse(p, "model.byte_fallback", hf_part(p->model, "byte_fallback"),
                      p->spaces ? "true, as some part writes U+2581 for spaces"
                                : "false, as no part writes U+2581 for spaces");
    return 0;
}

/* What decodes is told by the model; a decoder that does more is not had. */
static int check_decoder(struct pipeline *p)
{
    static const char *const pieces[] = {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"};
    struct jsontext v = hf_part(p->t->doc, "decoder"), part[PARTS_MAX];
    size_t n = hf_unfold(v, "decoders", part, PARTS_MAX);
    bool fine = n <= PARTS_MAX;
    for (size_t i = 0; i < n && fine; i++) {
        fine = !p->spaces && hf_is_type(part[i], "ByteLevel");
        for (size_t k = 0; k < ARRAY_LEN(pieces) && p->spaces; k++)
            fine = fine || hf_is_type(part[i], pieces[k]);
    }
    return fine ? 0
                : refuse(p, "decoder", v,
                         p->spaces ? "Replace, ByteFallback, Fuse, Strip or Metaspace"
                                   : "ByteLevel");
}

static void put_string(struct gguf *g, const char *key, const char *s)
{
    gguf_make_string(g, key, s, strlen(s));
}

int hf_pipeline(struct hf *h, struct jsontext model, struct hf_pipeline *out)
{
    struct pipeline p = {.h = h, .t = &h->tokenizer, .model = model};
    int rc;
    if ((rc = read_normalizer(&p)) || (rc = read_pre_tokenizer(&p)) || (rc = check_model(&p)) ||
        (rc = check_decoder(&p)))
        return rc;
    put_string(h->g, "tokenizer.ggml.model", p.spaces ? "llama" : "gpt2");
    put_string(h->g, "tritd.tokenizer.normal_form", p.nfc ? "nfc" : "none");
    gguf_make_bool(h->g, "tokenizer.ggml.ignore_merges", hf_flag(model, "ignore_merges", false));
    if (p.n_stages)
        put_string(h->g, "tokenizer.ggml.pre", p.pre);
    if (p.spaces) {
        put_string(h->g, "tritd.tokenizer.space", p.space ? p.space : "none");
        if (!h->scores)
            gguf_make_bool(h->g, VOCAB_BY_RANK, true);
    }
    *out = (struct hf_pipeline){.spaces = p.spaces, .normalizes_spaces = p.normalizes_spaces};
    return 0;
}
