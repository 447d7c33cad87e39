/* SPDX-License-Identifier: MIT */
/*
 * chat-family.h - what a chat format consists of, shared by chat.c (renders) and chat-choose.c
 * (knows the formats and picks one).
 */
#ifndef TRIT_CHAT_FAMILY_H
#define TRIT_CHAT_FAMILY_H

#include "model/chat.h"

enum {
    CHAT_STOPS = 4,   /* of a family */
    CHAT_LISTED = 16, /* of a Hugging Face folder */
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
    bool writes_bos;      /* the text begins with BOS */
    bool trims;           /* white space around the content goes */
    bool closes_with_eos; /* EOS behind the content of assistant turns */
    bool last_is_open;    /* ... and then nothing more, when it is the last turn */
    char *bos, *eos;      /* names; NULL where the model has none */
    int32_t stop[CHAT_STOPS + 2 + CHAT_LISTED];
    size_t n_stop;
    char note[256];
};

#endif
