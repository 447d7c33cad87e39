/* SPDX-License-Identifier: MIT */
/*
 * fields.h - request bodies checked against one declarative table.
 *
 * A row says what a field is called, on which endpoints it is known, its type, its range, and where
 * its value goes.  What a row cannot say is a reader function in it.  JSON null is the same as
 * absent.  A wrong type or range is a problem whose param is the field; a field no row knows is
 * accepted and its name collected, so that the client can be told what had no effect.
 *
 * Not here: which fields there are (server/params.h).
 */
#ifndef TRIT_FIELDS_H
#define TRIT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct cJSON;
struct problem;

enum field_type {
    FIELD_BOOL,   /* -> bool */
    FIELD_INT,    /* min..max -> int64_t; |min| and |max| below 2^53 */
    FIELD_NUMBER, /* min..max, finite -> double */
    FIELD_SEED,   /* any int64 -> struct field_seed */
    FIELD_STRING, /* at most max bytes, if max is given -> const char *, borrowed from the tree */
    FIELD_LIST,   /* array; read by `read`, or only checked */
    FIELD_OBJECT, /* object; likewise */
    FIELD_MIXED,  /* several types; `read` knows */
    FIELD_REFUSE, /* would change the answer and is not offered: a problem that says `why` */
};

struct field_seed {
    bool given;
    uint64_t value;
};

/* What a reader function gets. */
struct field_input {
    const char *name;
    const struct cJSON *value; /* not null */
    void *dst;                 /* the structure of fields_read */
    const void *arg;           /* likewise */
    struct buf *ignored;       /* likewise */
    struct problem *problem;
};

struct field {
    const char *name;
    unsigned on; /* bits of the caller's: on which endpoints */
    enum field_type type;
    bool required;
    bool above; /* min itself is out of range */
    double min, max;
    size_t at; /* offset of the value in dst, + 1; 0: nothing is stored */
    int (*read)(const struct field_input *in);
    const char *why;
};

#define FIELD_AT(type, member) (offsetof(type, member) + 1)

struct field_table {
    const struct field *row;
    size_t n;
};

/*
 * Check and store every member of the object `body`, whose text is text[0, len).  Names no row
 * knows are appended to *ignored as a header value: "a,b,c", bounded, nothing but [A-Za-z0-9_.-].
 */
int fields_read(const struct field_table *table, unsigned endpoint, const struct cJSON *body,
                const char *text, size_t len, void *dst, const void *arg, struct buf *ignored,
                struct problem *problem);

/* For readers: a refusal that says "<param>: found ..., expected ...".  Returns negative. */
int fields_refuse(struct problem *p, const char *param, const struct cJSON *found,
                  const char *expected, ...) __attribute__((format(printf, 4, 5)));

/* For readers: the field could not be kept.  Returns negative. */
int fields_no_memory(const struct field_input *in);

/* For readers: the member `name` of in's value, or of something in it, has no effect. */
void fields_ignore(const struct field_input *in, const char *name);

/* A member that is there and not null, or NULL. */
const struct cJSON *fields_member(const struct cJSON *v, const char *name);

/* Whether v is this string. */
bool fields_is_text(const struct cJSON *v, const char *text);

/* Whether v is a number without fraction in [min, max]. */
bool fields_is_int(const struct cJSON *v, double min, double max);

#endif
