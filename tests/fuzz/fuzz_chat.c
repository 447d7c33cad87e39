/* SPDX-License-Identifier: MIT */
/*
 * fuzz_chat.c - a conversation in every format: no message steps out of its turn.
 *
 * The first byte chooses the format; the rest is messages between NULs, the first byte of each its
 * role.  Whatever they say, there are as many control tokens as when they say "x".
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "model/chat.h"
#include "unit/tok-file.h"

enum { FAMILIES = 5, MESSAGES = 16 };

static const char *const family[FAMILIES] = {"llama3", "bitnet", "falcon3", "chatml", "plain"};
static struct tok *tok;
static struct chat *chat[FAMILIES];

static void set_up(void)
{
    static const char *const names[] = {
        "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>",
        "<|end_header_id|>", "<|im_start|>",    "<|im_end|>", "<|endoftext|>",
        "<|user|>",          "<|assistant|>",   "<|system|>",
    };
    struct trit_error err;
    struct tok_file *f = tok_file_init();
    f->bos = (int32_t)f->n_tokens;
    f->eos = f->bos + 1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        tok_file_add(f, names[i], 3);
    tok = tok_file_open(f);
    struct gguf *g = tok_file_gguf(f);
    for (size_t i = 0; i < FAMILIES; i++)
        trit_assert(chat_open(g, tok, family[i], &chat[i], &err) == 0);
    gguf_close(&g);
    free(f);
}

/* Control tokens of a conversation; -1 where it is refused. */
static int controls(const struct chat *c, const struct chat_message *m, size_t n, bool prompt)
{
    struct tok_ids ids = {0};
    struct trit_error err = {0};
    int count = 0;
    const struct chat_talk talk = {.message = m, .n = n, .add_prompt = prompt};
    int rc = chat_encode(c, tok, &talk, 0, &ids, &err);
    trit_assert(rc == 0 || (*err.text && ids.n == 0));
    for (size_t i = 0; i < ids.n; i++)
        count += tok_is_control(tok, ids.id[i]);
    tok_ids_free(&ids);
    return rc ? -1 : count;
}

FUZZ(chat)
{
    static const char *const role[] = {"user", "assistant", "system", "developer", "tool", "?"};
    struct chat_message m[MESSAGES], plain[MESSAGES];
    size_t n = 0;
    if (!tok)
        set_up();
    unsigned how = fuzz_byte(&bytes, &len);
    const struct chat *c = chat[how % 8 % FAMILIES];
    while (len && n < MESSAGES) {
        unsigned who = fuzz_byte(&bytes, &len);
        const uint8_t *nul = len ? memchr(bytes, 0, len) : NULL;
        size_t part = nul ? (size_t)(nul - bytes) : len;
        m[n] = (struct chat_message){.role = role[who % ARRAY_LEN(role)],
                                     .content = (const char *)bytes,
                                     .content_len = part};
        plain[n] = (struct chat_message){.role = m[n].role, .content = "x", .content_len = 1};
        if (!utf8_valid(m[n].content, part))
            return 0; /* The reader of requests has refused it. */
        n++;
        bytes += part + (nul != NULL);
        len -= part + (nul != NULL);
    }
    if (n)
        trit_assert(controls(c, m, n, how & 8) == controls(c, plain, n, how & 8));
    return 0;
}
