/* SPDX-License-Identifier: MIT */
/*
 * models.h - the models that a server has: which of them a name means, and who still uses it.
 *
 * A request holds the model that it was given, so one that was taken out of the table, or replaced
 * under its name, serves those to their end who have it and is found by nobody else.  With the last
 * of them it is over, and its owner is told.  The first of the table is what a request gets that
 * names none.
 *
 * Each has a number for its counts in admit.h, a shelf of grammars (what is known about their masks
 * depends on the vocabulary), the secret of its salts, and a template that can be replaced: whoever
 * holds the old one goes on with it.
 *
 * Loop thread only.
 */
#ifndef TRIT_MODELS_H
#define TRIT_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/seq.h"
#include "server/grammars.h"
#include "server/server.h"

struct chat;
struct engine;
struct model;
struct trit_error;

/* A template in use. */
struct models_chat {
    struct chat *chat;
    bool own; /* not the one inside the model */
    unsigned refs;
};

struct served {
    struct served *next;
    struct server_model opt;
    char *alias, *path; /* copies */
    const char *name;   /* in the API */
    char fingerprint[96];
    int64_t created; /* when it was served first */
    unsigned queue;  /* its number in admit.h */
    unsigned refs;   /* the table's own, exchanges and jobs */
    struct models_chat *chat;
    struct grammars grammars; /* compiled lately */
    uint8_t secret[32];       /* for salts; of this process, or of its lasting KV pool */
    size_t huge_bytes;
    double huge_at; /* when huge_bytes was looked up */
};

/* A zeroed struct has none. */
struct models {
    struct served *first;  /* the table, in its order */
    struct served *ending; /* out of it, but held */
    uint32_t n;
    uint32_t queues;    /* numbers in use, one bit each */
    uint64_t past_work; /* tokens, of those that are over */
};

/*
 * Put it into the table, at the end or in the place of `replaces`, which leaves the table.  Its
 * name is the alias, else the model's own.  -TRIT_EINVAL: another one has that name; -TRIT_EBUSY:
 * there are as many as can be, those included that are still ending; -TRIT_ENOMEM.  Nothing was
 * changed then.
 */
int models_add(struct models *all, const struct server_model *opt, struct served *replaces,
               struct served **m, struct trit_error *err);

/* Out of the table; opt.gone is called when nobody holds it, perhaps before this returns. */
void models_remove(struct models *all, struct served *m);

/* Of the table: by its name in the API, or else by the model's own, which several may share: then
 * the first.  NULL: there is none. */
struct served *models_find(const struct models *all, const char *name);
bool models_is(const struct served *m, const char *name);

/* Whether a tenant, arg, may ask it. */
bool models_may_ask(const struct served *m, const void *arg);

struct served *models_hold(struct served *m);
void models_let_go(struct models *all, struct served *m); /* NULL is let go too */

/* Prompt tokens and generated ones of all there are and were. */
uint64_t models_work(const struct models *all);

/* The template of requests from now on.  Takes it.  -TRIT_ENOMEM: it was not, and is still the
 * caller's. */
int models_set_chat(struct served *m, struct chat *chat);
struct models_chat *models_hold_chat(struct served *m);
void models_let_go_chat(struct models_chat *c); /* NULL is let go too */

/* The server closes: no model, engine or owner is touched any more, though requests may still hold
 * an entry.  And when no request is left. */
void models_close(struct models *all);
void models_fini(struct models *all);

/* Every name of the table, "a, b, c", as far as dst[cap] has room and `may` allows. */
void models_list(const struct models *all, bool (*may)(const struct served *m, const void *arg),
                 const void *arg, char *dst, size_t cap);

#endif
