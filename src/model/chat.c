/* SPDX-License-Identifier: MIT */
/*
 * chat.c - conversations to text and to ids; the built-in formats, which are rows of a table.
 *
 * A turn is: before, role, between, content, after.  What a row leaves open is read from the
 * template of the model: whether it writes BOS, trims the content, and closes the turns of the
 * assistant with EOS.  For user, system and assistant messages the text is what the template itself
 * gives.
 *
 * Sources: tokenizer_config.json of Llama 3 and BitNet b1.58 2B-4T; llama.cpp (llama-chat.cpp) for
 * Falcon3 and ChatML.  Choosing a row is chat-choose.c's, running a
 * template chat-jinja.c's.
 * Not here: tools, default system messages, dates: these are of the models' own templates only.
 */
#include "config.h"
#include "model/chat.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/chat-family.h"
#include "model/jinja-parts.h"
#include "model/tokenizer.h"

static void trim(const char **text, size_t *len)
{
    size_t n = jinja_space_before(*text, *len);
    *text += n;
    *len -= n;
    *len -= jinja_space_after(*text, *len);
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
int chat_unknown_role(const struct chat *c, size_t i, const char *role, struct trit_error *err)
{
    size_t plain = strspn(role, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
    return trit_fail(err, TRIT_EINVAL,
                     "messages[%zu].role: found \"%.40s\", expected one that the chat format %s "
                     "has: system, developer, user, assistant%s",
                     i, role[plain] ? "?" : role, chat_family(c),
                     c->jinja || c->family->tool ? ", tool" : "");
}

static int render_family(const struct chat *c, const struct chat_talk *talk, struct buf *out,
                         struct tok_range **ranges, size_t *n_ranges, struct trit_error *err)
{
    const struct chat_family *f = c->family;
    const struct chat_message *msg = talk->message;
    const size_t n = talk->n;
    const size_t before = out->len;
    struct tok_range *range = NULL;
    int rc = 0;
    if (ranges && !(range = mem_zalloc(n, sizeof *range)))
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu messages", n);
    if (c->writes_bos)
        buf_adds(out, c->bos);
    for (size_t i = 0; i < n; i++) {
        const char *word = role_word(f, msg[i].role);
        const char *content = msg[i].content ? msg[i].content : "";
        size_t len = msg[i].content_len;
        if (!word) {
            rc = chat_unknown_role(c, i, msg[i].role, err);
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
    if (talk->add_prompt)
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

int chat_render(const struct chat *c, const struct chat_talk *talk, struct buf *out,
                struct tok_range **ranges, size_t *n_ranges, struct trit_error *err)
{
    int rc = c->jinja ? chat_jinja_render(c, talk, out, ranges, n_ranges, err)
                      : render_family(c, talk, out, ranges, n_ranges, err);
    if (rc || !talk->opening)
        return rc;
    buf_adds(out, talk->opening);
    if (!out->failed)
        return 0;
    if (ranges) {
        mem_free(*ranges);
        *ranges = NULL;
        *n_ranges = 0;
    }
    return trit_fail(err, TRIT_ENOMEM, "no memory for the conversation");
}

/* BOS is the text's first word, and of ours. */
static bool begins_with_bos(const struct chat *c, const struct buf *text,
                            const struct tok_range *range, size_t n)
{
    size_t len = c->bos ? strlen(c->bos) : 0;
    return len > 0 && text->len >= len && memcmp(text->data, c->bos, len) == 0 &&
           (n == 0 || range[0].start >= len);
}

int chat_encode(const struct chat *c, const struct tok *t, const struct chat_talk *talk, size_t max,
                struct tok_ids *ids, struct trit_error *err)
{
    struct buf text = {0};
    struct tok_range *ranges = NULL;
    size_t n_ranges = 0, before = ids->n;
    int rc = chat_render(c, talk, &text, &ranges, &n_ranges, err);
    if (rc)
        goto out;
    /* A template that leaves BOS out counts on the tokenizer to add it. */
    size_t left = max;
    if (tok_adds_bos(t) && !begins_with_bos(c, &text, ranges, n_ranges)) {
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
    jinja_close(&(*c)->jinja);
    jinja_close(&(*c)->with_tools);
    mem_free((*c)->bos);
    mem_free((*c)->eos);
    mem_free(*c);
    *c = NULL;
}

const char *chat_family(const struct chat *c)
{
    return c->jinja && !c->is_family ? "template" : c->family->name;
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
