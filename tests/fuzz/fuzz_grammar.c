/* SPDX-License-Identifier: MIT */
/*
 * fuzz_grammar.c - a text as a grammar, and another that is read by it: "GRAMMAR \0 TEXT".
 *
 * What the mask allows is what the grammar takes, at every byte of the text: of all tokens at its
 * beginning, then of some, others at each byte.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "engine/grammar.h"
#include "fuzz/fuzz.h"
#include "unit/tok-file.h"

enum { STEPS = 24, WHOLE = 2, STRIDE = 16 };

static struct tok *tok;
static struct grammar_vocab *vocab;
static uint32_t n;

static void set_up(void)
{
    struct trit_error err;
    struct tok_file *f = tok_file_init();
    tok_file_merge(f, "a", "b");
    tok_file_merge(f, "ab", "c");
    tok_file_merge(f, "1", "2");
    tok_file_add(f, "{\"", 1);
    tok_file_add(f, "\":", 1);
    tok = tok_file_open(f);
    free(f);
    n = (uint32_t)tok_size(tok);
    trit_assert(grammar_vocab_open(tok, n, &vocab, &err) == 0);
}

/* Whether token `id` may follow, the slow way. */
static int follows(const struct grammar_state *st, struct grammar_state *scratch, uint32_t id)
{
    size_t len;
    const char *piece = tok_piece(tok, (int32_t)id, &len);
    grammar_state_copy(scratch, st);
    return grammar_accept(scratch, piece, len);
}

static void walk(struct grammar *g, const char *text, size_t len)
{
    struct trit_error err;
    struct grammar_masks *masks = NULL;
    struct grammar_state *st = grammar_state_new(g), *scratch = grammar_state_new(g);
    uint64_t mask[GRAMMAR_MASK_WORDS(512)];
    uint32_t n_allowed;
    trit_assert(st && scratch && n <= 512);
    trit_assert(grammar_masks_open(vocab, 1 << 16, &masks, &err) == 0);
    for (size_t i = 0; i <= MIN(len, STEPS); i++) {
        /* More readings than there is room for: an answer ends here. */
        if (grammar_mask(masks, st, mask, &n_allowed) != 0)
            break;
        uint32_t count = 0;
        for (uint32_t id = 0; id < n; id++) {
            bool may = mask[id / 64] >> (id % 64) & 1;
            count += may;
            if (i >= WHOLE && id % STRIDE != i % STRIDE)
                continue;
            int rc = follows(st, scratch, id);
            trit_assert(rc == -TRIT_ETOOBIG || may == (rc == 0));
        }
        trit_assert(count == n_allowed);
        if (i == len || grammar_accept(st, text + i, 1) != 0)
            break;
    }
    (void)grammar_may_end(st);
    (void)grammar_may_go_on(st);
    grammar_masks_close(&masks);
    grammar_state_free(st);
    grammar_state_free(scratch);
}

FUZZ(grammar)
{
    struct grammar *g = NULL;
    struct trit_error err = {0};
    if (!tok)
        set_up();
    const uint8_t *nul = len ? memchr(bytes, 0, len) : NULL;
    size_t text_len = nul ? (size_t)(nul - bytes) : len;
    int rc = grammar_compile((const char *)bytes, text_len, NULL, &g, &err);
    if (rc) {
        trit_assert(!g && err.code == -rc && *err.text);
        return 0;
    }
    const char *text = nul ? (const char *)nul + 1 : "";
    walk(g, text, nul ? len - text_len - 1 : 0);
    grammar_unref(g);
    return 0;
}
