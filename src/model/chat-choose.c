/* SPDX-License-Identifier: MIT */
/*
 * chat-choose.c - the table of chat formats, and the choice of one for a model.
 *
 * The model's own template is run.  Without one the format is "plain", which a base model follows
 * as well as any:
 *
 *     System: You are terse.
 *
 *     User: Hi!
 *
 *     Assistant:
 *
 * that is, role, colon, space, trimmed content, empty line; BOS in front where the tokenizer adds
 * it; no stop but the tokens that end texts or turns in some vocabulary.
 *
 * A template that cannot be run is refused, with the hint that --chat-template chooses another; a
 * known-wrong one is overridden.  The family that a template belongs to is still looked for, for
 * the tokens that end its turns.
 */
#include "config.h"
#include "model/chat-family.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "model/jinja.h"
#include "model/tokenizer.h"

enum family_id { LLAMA3, BITNET, FALCON3, CHATML, PLAIN, N_FAMILIES };

static const struct chat_family families[N_FAMILIES] = {
    [LLAMA3] =
        {
            .name = "llama3",
            .before = "<|start_header_id|>",
            .between = "<|end_header_id|>\n\n",
            .after = "<|eot_id|>",
            .system = "system",
            .user = "user",
            .assistant = "assistant",
            .tool = "ipython",
            .prompt = "<|start_header_id|>assistant<|end_header_id|>\n\n",
            .bos = true,
            .trim = true,
            .stop = {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"},
        },
    [BITNET] =
        {
            .name = "bitnet",
            .before = "",
            .between = ": ",
            .after = "<|eot_id|>",
            .system = "System",
            .user = "User",
            .assistant = "Assistant",
            .prompt = "Assistant: ",
            .bos = true,
            .trim = true,
            .stop = {"<|eot_id|>", "<|end_of_text|>"},
        },
    [FALCON3] =
        {
            .name = "falcon3",
            .before = "<|",
            .between = "|>\n",
            .after = "\n",
            .system = "system",
            .user = "user",
            .assistant = "assistant",
            .prompt = "<|assistant|>\n",
            .stop = {"<|endoftext|>"},
        },
    [CHATML] =
        {
            .name = "chatml",
            .before = "<|im_start|>",
            .between = "\n",
            .after = "<|im_end|>\n",
            .system = "system",
            .user = "user",
            .assistant = "assistant",
            .prompt = "<|im_start|>assistant\n",
            .stop = {"<|im_end|>", "<|endoftext|>"},
        },
    [PLAIN] =
        {
            .name = "plain",
            .before = "",
            .between = ": ",
            .after = "\n\n",
            .system = "System",
            .user = "User",
            .assistant = "Assistant",
            .prompt = "Assistant:",
            .trim = true,
            .stop = {"<|end_of_text|>", "<|endoftext|>", "<|eot_id|>", "<|im_end|>"},
        },
};

const char *chat_families(void)
{
    return "llama3, bitnet, falcon3, chatml, plain";
}

static bool has(struct gguf_str s, const char *what)
{
    return memmem(s.data, s.len, what, strlen(what)) != NULL;
}

/* The template's expression that writes the turn of a role has this word in it. */
static bool turn_has(struct gguf_str s, const char *role, const char *word)
{
    const char *from = memmem(s.data, s.len, role, strlen(role));
    if (!from)
        return false;
    struct gguf_str rest = {from, s.len - (size_t)(from - s.data)};
    const char *end = memmem(rest.data, rest.len, "}}", 2);
    if (end)
        rest.len = (size_t)(end - from);
    return has(rest, word);
}

/* Which format a template writes; -1: none of ours. */
static int recognise(struct gguf_str s)
{
    if (has(s, "<|start_header_id|>") && has(s, "<|end_header_id|>") && has(s, "<|eot_id|>"))
        return LLAMA3;
    if (has(s, "BITNETAssistant") || (has(s, "capitalize") && has(s, "<|eot_id|>")))
        return BITNET;
    if (has(s, "<|im_start|>") && has(s, "<|im_end|>"))
        return CHATML;
    /* Phi and Zephyr have the same markers and close the user's turns too. */
    if (has(s, "<|user|>") && has(s, "<|assistant|>") && !has(s, "<|end|>") &&
        !turn_has(s, "<|user|>", "eos_token"))
        return FALCON3;
    return -1;
}

static int by_name(const char *name)
{
    for (int i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0)
            return i;
    return -1;
}

static void note(struct chat *c, const char *text)
{
    snprintf(c->note, sizeof c->note, "%s", text);
}

/* What the family's format takes from a template that belongs to it. */
static void follow(struct chat *c, struct gguf_str found)
{
    c->writes_bos = has(found, "bos_token") || (c->bos && has(found, c->bos));
    c->trims = has(found, "trim") || has(found, "strip()");
    c->closes_with_eos =
        c->family == &families[FALCON3] && turn_has(found, "<|assistant|>", "eos_token");
    c->last_is_open = has(found, "not loop.last");
}

/* A format by its name, its details by the model's template where that is one of it. */
static void use_family(struct chat *c, int id, struct gguf_str found)
{
    c->family = &families[id];
    c->writes_bos = c->family->bos;
    c->trims = c->family->trim;
    if (found.len > 0 && recognise(found) == id && !has(found, "BITNETAssistant"))
        follow(c, found);
    c->writes_bos = c->writes_bos && c->bos;
    c->closes_with_eos = c->closes_with_eos && c->eos;
}

/* A template to be run. */
static int use_template(struct chat *c, struct gguf_str text, struct trit_error *err)
{
    int id = recognise(text);
    c->family = &families[id < 0 ? PLAIN : id];
    c->is_family = id >= 0;
    return chat_jinja_open(c, text.data, text.len, err);
}

static int use_file(struct chat *c, const char *path, struct gguf_str *text, char **own,
                    struct trit_error *err)
{
    struct trit_error why = {0};
    path += *path == '@';
    *own = chat_jinja_read(path, &text->len, &why);
    if (!*own)
        return trit_fail(err, why.code, "chat-template: %s", why.text);
    text->data = *own;
    int rc = use_template(c, *text, &why);
    if (rc)
        return trit_fail(err, why.code, "chat-template: %s: %s", path, why.text);
    snprintf(c->note, sizeof c->note, "run from the file %.180s", path);
    return 0;
}

/* The template that the model has for conversations with tools, besides the other. */
static int use_tools(struct chat *c, const struct gguf *g, struct trit_error *err)
{
    static const char KEY[] = "tokenizer.chat_template.tool_use";
    struct trit_error why = {0};
    struct gguf_str text;
    if (!gguf_has(g, KEY))
        return 0;
    int rc = gguf_string(g, KEY, &text, err);
    if (rc)
        return rc;
    rc = jinja_open(text.data, text.len, &c->with_tools, &why);
    return rc ? gguf_fail(g, err, why.code, "key %s: %s", KEY, why.text) : 0;
}

/* The template in the model's file. */
static int use_own(struct chat *c, const struct gguf *g, struct gguf_str found,
                   struct trit_error *err)
{
    struct trit_error why = {0};
    if (has(found, "BITNETAssistant")) {
        use_family(c, BITNET, found);
        note(c, "the model's template is a legacy one that it was not trained on; overridden");
        return 0;
    }
    int rc = use_template(c, found, &why);
    if (rc == -TRIT_ENOMEM)
        return trit_fail(err, TRIT_ENOMEM, "%s", why.text);
    if (rc)
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "key tokenizer.chat_template: %s; choose another with --chat-template: a "
                         "file, or one of %s",
                         why.text, chat_families());
    note(c, "the model's own template");
    return use_tools(c, g, err);
}

bool chat_is_file(const char *chosen)
{
    return *chosen == '@' || strchr(chosen, '/');
}

/* Set the family and what goes with it.  `found` is the template, of length 0 where there is none;
 * it becomes the one that is used. */
static int choose(const struct gguf *g, const char *chosen, struct gguf_str *found, char **own,
                  struct chat *c, struct trit_error *err)
{
    if (chosen && chat_is_file(chosen))
        return use_file(c, chosen, found, own, err);
    if (chosen) {
        int id = by_name(chosen);
        if (id < 0)
            return trit_fail(err, TRIT_EINVAL,
                             "chat-template: found \"%.80s\", expected one of %s, or a file: "
                             "path/to/template or @template",
                             chosen, chat_families());
        use_family(c, id, *found);
        note(c, "chosen by the configuration");
        return 0;
    }
    if (found->len > 0)
        return use_own(c, g, *found, err);
    use_family(c, PLAIN, *found);
    note(c, "the model has no template, so the default");
    return 0;
}

static void add_stop(struct chat *c, int32_t id)
{
    for (size_t i = 0; i < c->n_stop; i++)
        if (c->stop[i] == id)
            return;
    if (id >= 0 && c->n_stop < CHAT_STOPS_ALL)
        c->stop[c->n_stop++] = id;
}

/* Of a Hugging Face folder: all of its eos_token_id. */
static int add_listed_stops(const struct gguf *g, const struct tok *t, struct chat *c,
                            struct trit_error *err)
{
    static const char KEY[] = "tokenizer.ggml.eos_token_ids";
    const int32_t *ids;
    size_t n;
    int rc = gguf_has(g, KEY) ? gguf_ints(g, KEY, &ids, &n, err) : -TRIT_ENOENT;
    if (rc)
        return rc == -TRIT_ENOENT ? 0 : rc;
    if (n > CHAT_LISTED)
        return gguf_fail(g, err, TRIT_EUNSUPP, "key %s: found %zu ids, expected at most %d", KEY, n,
                         CHAT_LISTED);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= tok_size(t))
            return gguf_fail(g, err, TRIT_EFORMAT, "key %s: found %d, expected less than %zu", KEY,
                             ids[i], tok_size(t));
        add_stop(c, ids[i]);
    }
    return 0;
}

/* EOS and the ends of turns that the file names. */
static int collect_own_stops(const struct gguf *g, const struct tok *t, struct chat *c,
                             struct trit_error *err)
{
    static const char KEY[] = "tokenizer.ggml.eot_token_id";
    uint64_t eot;
    add_stop(c, tok_eos(t));
    int rc = add_listed_stops(g, t, c, err);
    if (rc)
        return rc;
    if (gguf_has(g, KEY)) {
        rc = gguf_uint(g, KEY, &eot, err);
        if (rc)
            return rc;
        if (eot >= tok_size(t))
            return gguf_fail(g, err, TRIT_EFORMAT, "key %s: found %llu, expected less than %zu",
                             KEY, (unsigned long long)eot, tok_size(t));
        add_stop(c, (int32_t)eot);
    }
    c->n_own_stop = c->n_stop;
    return 0;
}

/* The family's, and those of common names that the template writes, as far as they exist. */
static void collect_stops(const struct tok *t, struct gguf_str template, struct chat *c)
{
    static const char *const common[] = {
        "<|im_end|>",    "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>",  "<|end|>",
        "<end_of_turn>", "<turn|>",    "<|eot|>",    "<|return|>",      "<|end_of_turn|>"};
    for (size_t i = 0; i < CHAT_STOPS && c->family->stop[i]; i++)
        add_stop(c, tok_find(t, c->family->stop[i]));
    for (size_t i = 0; c->jinja && i < ARRAY_LEN(common); i++)
        if (has(template, common[i]))
            add_stop(c, tok_find(t, common[i]));
    size_t len = strlen(c->note);
    if (c->family != &families[PLAIN] && tok_find(t, c->family->stop[0]) < 0)
        snprintf(c->note + len, sizeof c->note - len,
                 "; the vocabulary lacks %s, so answers may not end", c->family->stop[0]);
}

/* A copy of a token's name; NULL stays NULL. */
static int name_of(const struct tok *t, int32_t id, char **name)
{
    size_t len;
    if (id < 0)
        return 0;
    const char *piece = tok_piece(t, id, &len);
    *name = mem_strndup(piece, len);
    return *name ? 0 : -TRIT_ENOMEM;
}

int chat_open(const struct gguf *g, const struct tok *t, const char *chosen, struct chat **out,
              struct trit_error *err)
{
    static const char KEY[] = "tokenizer.chat_template";
    struct gguf_str found = {"", 0};
    char *own = NULL;
    *out = NULL;
    struct chat *c = mem_zalloc(1, sizeof *c);
    int rc = -TRIT_ENOMEM;
    if (!c || name_of(t, tok_bos(t), &c->bos) || name_of(t, tok_eos(t), &c->eos))
        gguf_fail(g, err, TRIT_ENOMEM, "no memory for the chat format");
    else if ((rc = gguf_has(g, KEY) ? gguf_string(g, KEY, &found, err) : 0) == 0 &&
             (rc = choose(g, chosen, &found, &own, c, err)) == 0 &&
             (rc = collect_own_stops(g, t, c, err)) == 0)
        collect_stops(t, found, c);
    mem_free(own);
    if (rc && c)
        chat_close(&c);
    *out = c;
    return rc;
}

int chat_reopen(const struct chat *old, const struct tok *t, const char *file, struct chat **out,
                struct trit_error *err)
{
    struct gguf_str found = {"", 0};
    char *own = NULL;
    *out = NULL;
    struct chat *c = mem_zalloc(1, sizeof *c);
    if (!c || name_of(t, tok_bos(t), &c->bos) || name_of(t, tok_eos(t), &c->eos)) {
        if (c)
            chat_close(&c);
        return trit_fail(err, TRIT_ENOMEM, "chat-template: no memory for the chat format");
    }
    int rc = use_file(c, file, &found, &own, err);
    if (rc == 0) {
        for (size_t i = 0; i < old->n_own_stop; i++)
            add_stop(c, old->stop[i]);
        c->n_own_stop = c->n_stop;
        collect_stops(t, found, c);
    } else {
        chat_close(&c);
    }
    mem_free(own);
    *out = c;
    return rc;
}
