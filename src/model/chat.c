/* SPDX-License-Identifier: MIT */
/*
 * chat.c - the formats of conversations, as rows of a table, and their rendering.
 *
 * A turn is: before, role, between, content, after.  What a row leaves open is read from the
 * template of the model: whether it writes BOS, trims the content, and closes the turns of the
 * assistant with EOS.  For user, system and assistant messages the text is what the template itself
 * gives.
 *
 * Sources: tokenizer_config.json of Llama 3 and BitNet b1.58 2B-4T; llama.cpp (llama-chat.cpp) for
 * Falcon3 and ChatML.  Choosing a row is chat-choose.c's.
 * Not here: tools, default system messages, dates that some templates add.
 */
#include "config.h"
#include "model/chat.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/chat-family.h"
#include "model/tokenizer.h"

/* White space as str.strip of Python has it, which is what trims in a template. */
static bool is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static void trim(const char **text, size_t *len)
{
    uint32_t cp;
    for (unsigned n; (n = utf8_decode(*text, *len, &cp)) > 0 && is_space(cp); *len -= n)
        *text += n;
    while (*len > 0) {
        size_t n = 1;
        while (n < 4 && n < *len && ((unsigned char)(*text)[*len - n] & 0xc0) == 0x80)
            n++;
        if (utf8_decode(*text + *len - n, n, &cp) != n || !is_space(cp))
            break;
        *len -= n;
    }
}

/* The family's word for a role, or NULL. */
static const char *role_word(const struct chat_family *f, const char *role)
{
    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        return f->system;
    if (strcmp(role, "user") == 0)
        return f->user;
    if (strcmp(role, "assistant") == 0)
        return f->assistant;
    return strcmp(role, "tool") == 0 ? f->tool : NULL;
}

/* A role comes from a request; only what is harmless in a message is repeated in it. */
static int unknown_role(const struct chat *c, size_t i, const char *role, struct trit_error *err)
{
    size_t plain = strspn(role, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
    return trit_fail(err, TRIT_EINVAL,
                     "messages[%zu].role: found \"%.40s\", expected one that the chat format %s "
                     "has: system, developer, user, assistant%s",
                     i, role[plain] ? "?" : role, c->family->name, c->family->tool ? ", tool" : "");
}

int chat_render(const struct chat *c, const struct chat_message *msg, size_t n, bool add_prompt,
                struct buf *out, struct tok_range **ranges, size_t *n_ranges,
                struct trit_error *err)
{
    const struct chat_family *f = c->family;
    const size_t before = out->len;
    struct tok_range *range = NULL;
    int rc = 0;
    if (ranges && !(range = mem_zalloc(n, sizeof *range)))
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu messages", n);
    if (c->writes_bos)
        buf_adds(out, c->bos);
    for (size_t i = 0; i < n; i++) {
        const char *word = role_word(f, msg[i].role), *content = msg[i].content;
        size_t len = msg[i].content_len;
        if (!word) {
            rc = unknown_role(c, i, msg[i].role, err);
            goto out;
        }
        if (c->trims)
            trim(&content, &len);
        buf_adds(out, f->before);
        buf_adds(out, word);
        buf_adds(out, f->between);
        size_t start = out->len;
        buf_add(out, content, len);
        if (range)
            range[i] = (struct tok_range){start, out->len};
        bool closes = c->closes_with_eos && strcmp(msg[i].role, "assistant") == 0;
        if (closes)
            buf_adds(out, c->eos);
        if (!closes || !c->last_is_open || i + 1 < n)
            buf_adds(out, f->after);
    }
    if (add_prompt)
        buf_adds(out, f->prompt);
    if (out->failed)
        rc = trit_fail(err, TRIT_ENOMEM, "no memory for the conversation");
out:
    if (rc == 0 && ranges) {
        *ranges = range;
        *n_ranges = n;
        return 0;
    }
    mem_free(range);
    if (rc && !out->failed && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return rc;
}

int chat_encode(const struct chat *c, const struct tok *t, const struct chat_message *msg, size_t n,
                bool add_prompt, size_t max, struct tok_ids *ids, struct trit_error *err)
{
    struct buf text = {0};
    struct tok_range *ranges = NULL;
    size_t n_ranges = 0, before = ids->n;
    int rc = chat_render(c, msg, n, add_prompt, &text, &ranges, &n_ranges, err);
    if (rc)
        goto out;
    /* A template that leaves BOS out counts on the tokenizer to add it. */
    size_t left = max;
    if (!c->writes_bos && tok_adds_bos(t)) {
        rc = tok_ids_add(ids, tok_bos(t));
        left -= max > 0;
    }
    if (rc == 0 && max > 0 && left == 0 && text.len > 0)
        rc = -TRIT_ETOOBIG;
    if (rc == 0 && text.len > 0)
        rc = tok_encode_ranges(t, text.data, text.len, ranges, n_ranges, TOK_PARSE_SPECIAL, left,
                               ids);
    if (rc == -TRIT_ETOOBIG)
        trit_fail(err, TRIT_ETOOBIG, "messages: more than %zu tokens", max);
    else if (rc == -TRIT_EINVAL)
        trit_fail(err, TRIT_EINVAL, "messages: found bytes that are not UTF-8");
    else if (rc)
        trit_fail(err, -rc, "messages: %s", trit_err_text(rc));
out:
    if (rc)
        ids->n = before;
    mem_free(ranges);
    buf_free(&text);
    return rc;
}

void chat_close(struct chat **c)
{
    if (!*c)
        return;
    mem_free((*c)->bos);
    mem_free((*c)->eos);
    mem_free(*c);
    *c = NULL;
}

const char *chat_family(const struct chat *c)
{
    return c->family->name;
}

const char *chat_note(const struct chat *c)
{
    return c->note;
}

const int32_t *chat_stop_ids(const struct chat *c, size_t *n)
{
    *n = c->n_stop;
    return c->stop;
}
