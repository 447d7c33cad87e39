/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sentencepiece.c - any bytes as a tokenizer.model: refused, or a tokenizer that encodes.
 */
#include "config.h"
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/hf-parts.h"
#include "model/tokenizer.h"

/* What is taken does its work: text in, some tokens out. */
static void encode(const struct gguf *g)
{
    static const char TEXT[] = "Hello \xe2\x96\x81 <s>\xf0\x9f\x90\x88\n";
    struct trit_error err = {0};
    struct tok_ids ids = {0};
    struct tok *t;
    if (tok_open(g, INT32_MAX, &t, &err)) {
        trit_assert(!t && err.text[0]);
        return;
    }
    trit_assert(tok_encode(t, TEXT, strlen(TEXT), TOK_PARSE_SPECIAL, 0, &ids) == 0 && ids.n > 0);
    tok_ids_free(&ids);
    tok_close(&t);
}

FUZZ(sentencepiece)
{
    enum { VALUES = 1 << 20 };
    struct trit_error err = {0};
    struct hf *h = mem_zalloc(1, sizeof *h);
    trit_assert(h && gguf_make("fuzz", &h->g, &err) == 0);
    h->folder = "fuzz";
    h->err = &err;
    h->facts.bos = -1;
    h->tokenizer.path = mem_strdup("fuzz");
    h->tokenizer.text = mem_zalloc(len + 1, 1);
    h->tokenizer.len = len;
    trit_assert(h->tokenizer.path && h->tokenizer.text);
    if (len)
        memcpy(h->tokenizer.text, bytes, len);
    int rc = hf_sentencepiece(h, VALUES);
    if (rc == 0 && (rc = hf_tokenizer(h)) == 0 && (rc = gguf_make_done(h->g, &err)) == 0)
        encode(h->g);
    if (rc)
        trit_assert(err.code == -rc && strncmp(err.text, "fuzz: ", 6) == 0);
    mem_free(h->tokenizer.path);
    mem_free(h->tokenizer.text);
    mem_free(h->scores);
    gguf_close(&h->g);
    mem_free(h);
    return 0;
}
