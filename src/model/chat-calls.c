/* SPDX-License-Identifier: MIT */
/*
 * chat-calls.c - the forms in which models write calls of functions, told by the template's text;
 * and whether they think aloud, told likewise.
 *
 * A model whose template has no word about tools was perhaps never shown any.  It is told of the
 * form that most others have, in words: that is for whoever makes the messages.
 *
 * Sources: the templates of Qwen 2.5 and 3, Hermes 2 Pro, Falcon 3, Llama 3.1 and 3.2, Mistral 7B
 * v0.3.
 * Not here: forms that are not JSON, as of Qwen3-Coder.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "model/chat-family.h"
#include "model/jinja-parts.h"

enum { HERMES, LLAMA, MISTRAL, OWN };

static const struct chat_calls forms[] = {
    [HERMES] = {.name = "hermes",
                .open = "<tool_call>",
                .lead = "\n",
                .after = "\n</tool_call>",
                .between = "\n<tool_call>\n",
                .close = "",
                .arguments = "arguments"},
    [LLAMA] = {.name = "llama",
               .open = "<|python_tag|>",
               .lead = "",
               .after = "",
               .between = "; ",
               .close = "",
               .arguments = "parameters",
               .bare = true,
               .single = true},
    [MISTRAL] = {.name = "mistral",
                 .open = "[TOOL_CALLS]",
                 .lead = "[",
                 .after = "",
                 .between = ", ",
                 .close = "]",
                 .arguments = "arguments",
                 .short_ids = true},
    [OWN] = {.name = "own",
             .open = "<tool_call>",
             .lead = "\n",
             .after = "\n</tool_call>",
             .between = "\n<tool_call>\n",
             .close = "",
             .arguments = "arguments",
             .untold = true},
};

const struct chat_calls *chat_calls_form(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

const struct chat_calls *chat_calls(const struct chat *c)
{
    const struct jinja *t = c->with_tools ? c->with_tools : c->jinja;
    if (!t)
        return &forms[OWN];
    const char *s = t->source.data;
    size_t len = t->source.len;
#define HAS(text) (memmem(s, len, text, sizeof(text) - 1) != NULL)
    if (!HAS("tools") || HAS("<function="))
        return &forms[OWN];
    if (HAS("[TOOL_CALLS]"))
        return &forms[MISTRAL];
    if (HAS("<tool_call>"))
        return &forms[HERMES];
    if (HAS("\"parameters\"") && HAS("<|start_header_id|>"))
        return &forms[LLAMA];
#undef HAS
    return &forms[OWN];
}

bool chat_thinks(const struct chat *c)
{
    const struct jinja *t = c->with_tools ? c->with_tools : c->jinja;
    static const char word[] = "</think>";
    return t && memmem(t->source.data, t->source.len, word, sizeof word - 1);
}
