/* SPDX-License-Identifier: MIT */
/*
 * conf-key.h - a row of the table of keys, for the bodies that read and print configurations.
 */
#ifndef TRIT_CONF_KEY_H
#define TRIT_CONF_KEY_H

#include "main/conf.h"

#include <stddef.h>

enum conf_type {
    CONF_TEXT,    /* const char * */
    CONF_WORD,    /* const char *, one of `choices` */
    CONF_COUNT,   /* uint32_t */
    CONF_SIZE,    /* uint64_t: bytes, with K, M, G or T */
    CONF_SECONDS, /* double */
    CONF_SWITCH,  /* bool: yes or no */
};

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t field;            /* offset in struct conf */
    const char *text;        /* the default, as one would write it */
    double min, max;         /* of numbers */
    const char *choices;     /* of words: "q8|f16" */
    const char *placeholder; /* in --help */
    bool reloadable;
    bool command_only; /* makes no sense inside the file */
    bool of_model;     /* each model may have its own */
    bool of_file;      /* and no other has it from there: it is about that one file */
    const char *help;  /* one sentence */
    const char *group; /* heading in --help, at the first row of a group */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_n_keys;

/* The row of that name, or NULL. */
const struct conf_key *conf_find(const char *name, size_t len);

/* The name nearest to a misspelt one, or NULL when none is near. */
const char *conf_nearest(const char *name, size_t len);

/*
 * Set one key from its text, unless a stronger origin has spoken.  `where` begins the error text:
 * "tritd.conf:3: port" or "--port".
 */
int conf_set(struct conf *c, const struct conf_key *key, const char *value, enum conf_origin origin,
             const char *where, struct trit_error *err);

/* Read `path` into *c. */
int conf_read_file(struct conf *c, const char *path, struct trit_error *err);

/* conf-models.c: one more model; NULL with *err.  name "": its own; where: what begins the
 * error. */
struct conf *conf_add_model(struct conf *c, const char *name, const char *where,
                            struct trit_error *err);

/* A name, or an error that begins with `where`. */
int conf_check_name(const char *name, const char *where, struct trit_error *err);

/* What they have not said, they have from *c. */
int conf_inherit(struct conf *c, struct trit_error *err);

/* The rules between keys, of one model. */
int conf_check_together(const struct conf *c, struct trit_error *err);

/* Read the command line into *c. */
int conf_read_args(struct conf *c, int argc, char **argv, enum conf_action *action,
                   struct trit_error *err);

#endif
