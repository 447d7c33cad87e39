/* SPDX-License-Identifier: MIT */
/*
 * chat-family.h - what a chat format consists of, shared by chat.c (renders), chat-choose.c (knows
 * the formats and picks one) and chat-jinja.c (runs templates).
 */
#ifndef TRIT_CHAT_FAMILY_H
#define TRIT_CHAT_FAMILY_H

#include "model/chat.h"

struct jinja;

enum {
    CHAT_STOPS = 4,      /* of a family */
    CHAT_LISTED = 16,    /* of a Hugging Face folder */
    CHAT_STOPS_ALL = 40, /* these, EOS and the end of a turn, and those of common names */
};

struct chat_family {
    const char *name;
    const char *before, *between, *after;         /* around role and content of a turn */
    const char *system, *user, *assistant, *tool; /* words for the roles; NULL: has none */
    const char *prompt;                           /* opens the assistant's answer */
    bool bos, trim;                               /* where no template of the model says */
    const char *stop[CHAT_STOPS];                 /* names of tokens that end an answer */
};

struct chat {
    const struct chat_family *family;
    struct jinja *jinja;      /* the template to run, or NULL: the family's format */
    struct jinja *with_tools; /* the one for conversations with tools, where there is another */
    bool wants_parts;         /* the template takes content as a list of parts only */
    bool knows_developer;     /* the template has a word about that role; else it is "system" */
    bool is_family;           /* the template is of the family, and not of one we do not know */
    /* For the family's format: */
    bool writes_bos;      /* the text begins with BOS */
    bool trims;           /* white space around the content goes */
    bool closes_with_eos; /* EOS behind the content of assistant turns */
    bool last_is_open;    /* ... and then nothing more, when it is the last turn */
    char *bos, *eos;      /* names; NULL where the model has none */
    int32_t stop[CHAT_STOPS_ALL];
    size_t n_stop, n_own_stop; /* the first n_own_stop are the model's, whatever the template */
    char note[256];
};

/* The refusal of message i for its role. */
int chat_unknown_role(const struct chat *c, size_t i, const char *role, struct trit_error *err);

int chat_jinja_render(const struct chat *c, const struct chat_talk *talk, struct buf *out,
                      struct tok_range **ranges, size_t *n_ranges, struct trit_error *err);
/* Parse a template and try it; c->bos and c->eos are set. */
int chat_jinja_open(struct chat *c, const char *text, size_t len, struct trit_error *err);
/* The bytes of a file with a template (mem_free); NULL with *err. */
char *chat_jinja_read(const char *path, size_t *len, struct trit_error *err);

#endif
