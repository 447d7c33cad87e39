/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tokenizer.c - a text to ids and back: the same bytes; what is no UTF-8 is refused.
 *
 * Two bytes for flags and a literal range go before the text.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "unit/tok-file.h"

static struct tok *make(const char *pre)
{
    struct tok_file *f = tok_file_init();
    f->pre = pre;
    tok_file_merge(f, "h", "e");
    tok_file_merge(f, "l", "l");
    tok_file_merge(f, "he", "ll");
    tok_file_merge(f, "hell", "o");
    tok_file_merge(f, "\xc4\xa0", "hello");
    tok_file_merge(f, "1", "2");
    tok_file_merge(f, "\xc4\xa0", "\xc4\xa0");
    tok_file_add(f, "<|end|>", 3);
    tok_file_add(f, "<|e", 3);
    tok_file_add(f, "<think>", 4);
    struct tok *t = tok_file_open(f);
    free(f);
    return t;
}

/* SentencePiece: spaces are U+2581, and characters without a piece are bytes. */
static struct tok *make_llama(void)
{
    static const char *const pieces[] = {"h",
                                         "e",
                                         "he",
                                         "ll",
                                         "hell",
                                         "o",
                                         "hello",
                                         "\xe2\x96\x81h",
                                         "\xe2\x96\x81hello",
                                         "12",
                                         "\xe2\x96\x81\xe2\x96\x81"};
    struct tok_file *f = tok_file_init_llama();
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        f->score[tok_file_add(f, pieces[i], 1)] = -(float)(i % 4);
    tok_file_add(f, "<|e", 3);
    tok_file_add(f, "<think>", 4);
    struct tok *t = tok_file_open(f);
    free(f);
    return t;
}

/* What decoding is to give; false: that is not to be told, since control tokens part the text. */
static bool expected(const struct tok *t, bool llama, const char *text, size_t len,
                     const struct tok_ids *ids, struct buf *out)
{
    for (size_t i = 0; llama && i < ids->n; i++)
        if (!tok_is_text(t, ids->id[i]) || ids->id[i] + 1 == (int32_t)tok_size(t))
            return false;
    for (size_t i = 0; i < len; i++) {
        bool space = llama && len - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        buf_addc(out, space ? ' ' : text[i]);
        i += space ? 2 : 0;
    }
    return true;
}

/* In pieces, as a stream would show it. */
static void stream(const struct tok *t, const struct tok_ids *ids)
{
    struct tok_stream s = {0};
    struct buf out = {0};
    size_t n;
    for (size_t i = 0; i < ids->n; i++) {
        const char *piece = tok_piece(t, ids->id[i], &n);
        tok_stream_push(&s, piece, n, &out);
        trit_assert(utf8_valid(out.len ? out.data : "", out.len));
    }
    tok_stream_end(&s, &out);
    trit_assert(utf8_valid(out.len ? out.data : "", out.len));
    buf_free(&out);
}

/* Any run of ids at all, which need not make text. */
static void any_ids(const struct tok *t, const uint8_t *bytes, size_t len)
{
    struct tok_ids ids = {0};
    for (size_t i = 0; i < MIN(len, 200u); i++)
        trit_assert(tok_ids_add(&ids, (int32_t)(bytes[i] * 5u % tok_size(t))) == 0);
    stream(t, &ids);
    tok_ids_free(&ids);
}

FUZZ(tokenizer)
{
    static struct tok *tok[4];
    if (!tok[0]) {
        tok[0] = make("llama-bpe");
        tok[1] = make("gpt-2");
        tok[2] = make_llama();
        tok[3] = make("punctuation-runs+gpt-2+letter-digit-runs+threes");
    }
    unsigned flags = fuzz_byte(&bytes, &len), cut = fuzz_byte(&bytes, &len);
    const unsigned which = (flags >> 2 & 1) | (flags >> 3 & 2);
    const struct tok *t = tok[which];
    const char *text = len ? (const char *)bytes : "";
    struct tok_range range = {MIN(cut & 15, len), MIN((cut & 15) + (cut >> 4), len)};
    struct tok_ids ids = {0};
    struct buf out = {0}, want = {0};
    any_ids(t, bytes, len);
    int rc = tok_encode_ranges(t, text, len, &range, flags >> 3 & 1, flags & 3, 0, &ids);
    if (!utf8_valid(text, len)) {
        trit_assert(rc == -TRIT_EINVAL && ids.n == 0);
        tok_ids_free(&ids);
        return 0;
    }
    trit_assert(rc == 0);
    tok_decode(t, ids.id, ids.n, true, &out);
    if (expected(t, which == 2, text, len, &ids, &want))
        trit_assert(out.len == want.len && (out.len == 0 || !memcmp(out.data, want.data, out.len)));
    buf_free(&want);
    stream(t, &ids);
    /* A limit is found before it is passed. */
    size_t n = ids.n;
    ids.n = 0;
    rc = tok_encode_ranges(t, text, len, &range, flags >> 3 & 1, flags & 3, n ? n : 1, &ids);
    trit_assert(rc == 0 && ids.n == n);
    if (n > 1) {
        ids.n = 0;
        rc = tok_encode_ranges(t, text, len, &range, flags >> 3 & 1, flags & 3, n - 1, &ids);
        trit_assert(rc == -TRIT_ETOOBIG && ids.n == 0);
    }
    tok_ids_free(&ids);
    buf_free(&out);
    return 0;
}
