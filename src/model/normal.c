/* SPDX-License-Identifier: MIT */
/*
 * normal.c - what is done to a text before it is cut: Unicode's Normalization Form C, a space in
 * front, U+2581 read as a space.
 *
 * Each part of a text between special tokens is treated by itself, as Hugging Face tokenizers do.
 * Most texts need no copy: what has no character above U+02FF is in Form C already, since only
 * those above combine.
 *
 * Sources: Unicode Standard Annex 15 (by libunistring, whose Unicode is 14 in Debian 12; later
 * characters stay as they are); huggingface/tokenizers (normalizers/prepend.rs, replace.rs,
 * pre_tokenizers/metaspace.rs); llama.cpp for add_space_prefix.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uninorm.h>

#include "base/base.h"
#include "base/buf.h"
#include "model/gguf-private.h"

static const char FORM[] = "tritd.tokenizer.normal_form", SPACE[] = "tritd.tokenizer.space",
                  PREFIX[] = "tokenizer.ggml.add_space_prefix";

static bool is(struct gguf_str s, const char *name)
{
    return s.len == strlen(name) && memcmp(s.data, name, s.len) == 0;
}

int normal_read(const struct gguf *g, enum vocab_model model, bool nfc, struct normal *n,
                struct trit_error *err)
{
    static const char *const spaces[] = {"none", "each", "first", "lacking"};
    struct gguf_str s;
    int rc;
    *n = (struct normal){.nfc = nfc, .spaces = model == VOCAB_LLAMA};
    if (gguf_has(g, FORM)) {
        if ((rc = gguf_string(g, FORM, &s, err)))
            return rc;
        n->nfc = is(s, "nfc");
        if (!n->nfc && !is(s, "none"))
            return gguf_fail(g, err, TRIT_EUNSUPP, "key %s: found \"%.*s\", expected nfc or none",
                             FORM, (int)MIN(s.len, (size_t)40), s.data);
    }
    if (!n->spaces)
        return 0;
    if (gguf_has(g, SPACE)) {
        if ((rc = gguf_string(g, SPACE, &s, err)))
            return rc;
        size_t i = 0;
        while (i < ARRAY_LEN(spaces) && !is(s, spaces[i]))
            i++;
        if (i == ARRAY_LEN(spaces))
            return gguf_fail(g, err, TRIT_EUNSUPP,
                             "key %s: found \"%.*s\", expected none, each, first or lacking", SPACE,
                             (int)MIN(s.len, (size_t)40), s.data);
        n->space = (enum normal_space)i;
        return 0;
    }
    bool prefix = true;
    rc = gguf_has(g, PREFIX) ? gguf_bool(g, PREFIX, &prefix, err) : 0;
    n->space = prefix ? NORMAL_SPACE_EACH : NORMAL_SPACE_NONE;
    return rc;
}

/* Whether every character is below U+0300: then none combines with another. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0xcc)
            return false;
    return true;
}

static int compose(const char *text, size_t len, struct buf *held)
{
    size_t n = 0;
    uint8_t *form = u8_normalize(UNINORM_NFC, (const uint8_t *)text, len, NULL, &n);
    if (!form)
        return -TRIT_ENOMEM; /* the text was checked */
    buf_add(held, (const char *)form, n);
    free(form);
    return held->failed ? -TRIT_ENOMEM : 0;
}

static bool wants_space(const struct normal *n, const char *text, size_t len, bool first)
{
    bool there = text[0] == ' ' || (len >= 3 && memcmp(text, VOCAB_SPACE, 3) == 0);
    switch (n->space) {
    case NORMAL_SPACE_EACH:
        return true;
    case NORMAL_SPACE_FIRST:
        return first && !there;
    case NORMAL_SPACE_LACKING:
        return !there;
    default:
        return false;
    }
}

int normal_apply(const struct normal *n, const char *text, size_t len, bool first, struct buf *held,
                 const char **out, size_t *out_len)
{
    *out = text;
    *out_len = len;
    if (len == 0)
        return 0;
    buf_reset(held);
    if (n->nfc && !is_plain(text, len)) {
        int rc = compose(text, len, held);
        *out = held->data;
        *out_len = held->len;
        return rc;
    }
    bool space = wants_space(n, text, len, first);
    const char *other = n->spaces ? memmem(text, len, VOCAB_SPACE, 3) : NULL;
    if (!space && !other)
        return 0;
    if (space)
        buf_addc(held, ' ');
    const char *end = text + len;
    for (; other; other = memmem(text, (size_t)(end - text), VOCAB_SPACE, 3)) {
        buf_add(held, text, (size_t)(other - text));
        buf_addc(held, ' ');
        text = other + 3;
    }
    buf_add(held, text, (size_t)(end - text));
    *out = held->data;
    *out_len = held->len;
    return held->failed ? -TRIT_ENOMEM : 0;
}
