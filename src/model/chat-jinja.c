/* SPDX-License-Identifier: MIT */
/*
 * chat-jinja.c - conversations by the model's own template, see jinja.h.
 *
 * At load a template is tried on a short conversation.  That tells whether it runs at all, and in
 * which form it takes a message's text: as a string, or only as a list of parts.
 */
#include "config.h"
#include "model/chat-family.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/jinja-parts.h"
#include "model/tokenizer.h"

/* Roles that are no more than words: a template may make a control token of one ("<|" + role +
 * "|>"), which it may not of what a client thought up. */
static bool is_known_role(const char *role)
{
    static const char *const known[] = {"system",    "developer", "user",
                                        "assistant", "tool",      "function"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(role, known[i]) == 0)
            return true;
    return false;
}

/* The common ones, and what the template has in quotes ("ipython"): most write any role that they
 * are given, and a model knows only those that it was trained on. */
static bool takes_role(const struct jinja *t, const char *role)
{
    char quoted[40];
    if (is_known_role(role))
        return true;
    for (const char *mark = "'\""; *mark && *role; mark++) {
        int n = snprintf(quoted, sizeof quoted, "%c%s%c", *mark, role, *mark);
        if (n < (int)sizeof quoted && memmem(t->source.data, t->source.len, quoted, (size_t)n))
            return true;
    }
    return false;
}

static struct jinja_value name(struct jinja_pool *p, const char *text)
{
    return jinja_view(p, text, strlen(text), false);
}

/* Of a token, which a model may not have. */
static struct jinja_value token(struct jinja_pool *p, const char *text)
{
    return text ? name(p, text) : (struct jinja_value){.type = JINJA_UNDEFINED};
}

/* [{"type": "text", "text": ...}] */
static struct jinja_value parts(struct jinja_pool *p, struct jinja_value text)
{
    struct jinja_value list = jinja_list(p), part = jinja_dict(p);
    jinja_put_name(p, part, "type", name(p, "text"));
    jinja_put_name(p, part, "text", text);
    jinja_push(p, list, part);
    return list;
}

static struct jinja_value message(const struct chat *c, struct jinja_pool *p,
                                  const struct chat_message *m)
{
    struct jinja_value one = jinja_dict(p), text;
    const char *role = m->role;
    if (strcmp(role, "developer") == 0 && !c->knows_developer)
        role = "system";
    const struct jinja_value *more = m->more;
    text = jinja_view(p, m->content, m->content_len, true);
    if (c->wants_parts)
        text = parts(p, text);
    /* An assistant that only calls tools has said nothing, which some templates ask for. */
    if (!m->content && more && jinja_get(*more, "tool_calls").type == JINJA_LIST)
        text = jinja_none();
    jinja_put_name(p, one, "role", jinja_view(p, role, strlen(role), !is_known_role(role)));
    jinja_put_name(p, one, "content", text);
    for (size_t i = 0; more && i < jinja_len(*more); i++) {
        struct jinja_value key, value;
        jinja_member(*more, i, &key, &value);
        jinja_put(p, one, key, value);
    }
    return one;
}

int chat_jinja_render(const struct chat *c, const struct chat_talk *talk, struct buf *out,
                      struct tok_range **ranges, size_t *n_ranges, struct trit_error *err)
{
    const struct jinja *t = talk->tools && c->with_tools ? c->with_tools : c->jinja;
    struct jinja_pool pool = {0};
    struct jinja_value vars, messages, key, value;
    struct trit_error why = {0};
    int rc;
    for (size_t i = 0; i < talk->n; i++)
        if (!takes_role(t, talk->message[i].role))
            return chat_unknown_role(c, i, talk->message[i].role, err);
    vars = jinja_dict(&pool);
    messages = jinja_list(&pool);
    for (size_t i = 0; i < talk->n; i++)
        jinja_push(&pool, messages, message(c, &pool, &talk->message[i]));
    /* What a client calls like one of ours is ours: the first of a name counts. */
    jinja_put_name(&pool, vars, "messages", messages);
    jinja_put_name(&pool, vars, "add_generation_prompt", jinja_bool(talk->add_prompt));
    jinja_put_name(&pool, vars, "bos_token", token(&pool, c->bos));
    jinja_put_name(&pool, vars, "eos_token", token(&pool, c->eos));
    jinja_put_name(&pool, vars, "tools", talk->tools ? *talk->tools : jinja_none());
    for (size_t i = 0; talk->kwargs && i < jinja_len(*talk->kwargs); i++) {
        jinja_member(*talk->kwargs, i, &key, &value);
        if (!jinja_has(vars, key))
            jinja_put(&pool, vars, key, value);
    }
    /* transformers gives it to every template, as it does tools. */
    if (!jinja_has(vars, name(&pool, "documents")))
        jinja_put_name(&pool, vars, "documents", jinja_none());
    if (pool.failed)
        rc = trit_fail(err, TRIT_ENOMEM, "no memory for the conversation");
    else if ((rc = jinja_render(t, vars, talk->now, out, ranges, n_ranges, &why)))
        trit_fail(err, -rc, "messages: the chat template, %s", why.text);
    jinja_pool_free(&pool);
    return rc;
}

/* Whether the short conversation comes out, its words in it. */
static bool comes_out(const struct chat *c, struct trit_error *err)
{
    static const char words[] = "Sixteen small words";
    const struct chat_message m = {
        .role = "user", .content = words, .content_len = sizeof words - 1};
    const struct tm noon = {.tm_mday = 1, .tm_year = 126, .tm_hour = 12, .tm_wday = 4};
    const struct chat_talk talk = {.message = &m, .n = 1, .add_prompt = true, .now = &noon};
    struct buf text = {0};
    int rc = chat_jinja_render(c, &talk, &text, NULL, NULL, err);
    bool there = rc == 0 && memmem(text.data ? text.data : "", text.len, words, sizeof words - 1);
    if (rc == 0 && !there)
        trit_fail(err, TRIT_EFORMAT, "a message's text does not come out of it");
    buf_free(&text);
    return there;
}

static int try_forms(struct chat *c, struct trit_error *err)
{
    struct trit_error first = {0}, second = {0};
    c->wants_parts = false;
    if (comes_out(c, &first))
        return 0;
    c->wants_parts = true;
    if (first.code != TRIT_ENOMEM && comes_out(c, &second))
        return 0;
    if (second.code == TRIT_ENOMEM)
        first = second;
    return trit_fail(err, first.code == TRIT_ENOMEM ? TRIT_ENOMEM : TRIT_EFORMAT, "%s", first.text);
}

int chat_jinja_open(struct chat *c, const char *text, size_t len, struct trit_error *err)
{
    c->knows_developer = memmem(text, len, "developer", strlen("developer")) != NULL;
    int rc = jinja_open(text, len, &c->jinja, err);
    return rc ? rc : try_forms(c, err);
}

char *chat_jinja_read(const char *path, size_t *len, struct trit_error *err)
{
    struct buf text = {0};
    char piece[4096];
    FILE *f = fopen(path, "re");
    if (!f) {
        trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(errno));
        return NULL;
    }
    for (size_t n; text.len <= JINJA_SOURCE_BYTES && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        buf_add(&text, piece, n);
    bool broken = ferror(f) != 0;
    fclose(f);
    char *data = broken ? NULL : buf_take(&text, len);
    buf_free(&text);
    if (!data)
        trit_fail(err, broken ? TRIT_EIO : TRIT_ENOMEM, "%s: %s", path,
                  broken ? "cannot be read" : "no memory for it");
    return data;
}
