/* SPDX-License-Identifier: MIT */
/*
 * schema-parts.h - what the bodies of schema.h share.
 *
 * What is written is never a schema but a view: the conjunction of some schemas, its parts.  It is
 * mostly one; allOf, and keywords beside $ref or anyOf, make more.  Each different view becomes a
 * rule.  Views that a rule needs are put on a list and written later, so nothing here recurses
 * along a schema, and recursive schemas are recursive grammars.
 */
#ifndef TRIT_SCHEMA_PARTS_H
#define TRIT_SCHEMA_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "server/schema.h"

enum { VIEW_PARTS = 32 };

/* Between members and between elements, as grammar. */
#define SCHEMA_COMMA "\",\" \" \"? "

/* What of a part is taken care of already. */
enum { DONE_REF = 1, DONE_ALL = 2, DONE_ANY = 4, DONE_ONE = 8 };

struct part {
    const cJSON *schema; /* an object, or true, or false */
    unsigned done;
};

struct parts {
    struct part part[VIEW_PARTS];
    unsigned n;
    bool never; /* nothing can match */
};

/* Types as bits; numbers are of two kinds. */
enum {
    IS_NULL = 1,
    IS_BOOL = 2,
    IS_INTEGER = 4,
    IS_FRACTION = 8,
    IS_STRING = 16,
    IS_ARRAY = 32,
    IS_OBJECT = 64,
    IS_NUMBER = IS_INTEGER | IS_FRACTION,
    IS_ANY = 127,
};

struct view {
    size_t part; /* index of its first one in the pool */
    unsigned n;
    uint64_t hash;
};

struct work {
    const cJSON *root;
    const char *path, *prefix;
    const struct schema_limits *limits;
    struct problem *problem;
    struct buf *out;
    size_t start; /* of out */
    uint64_t steps;

    struct view *view;
    uint32_t n_views, cap_views;
    struct part *pool;
    size_t n_pool, cap_pool;

    /* Common rules that are used. */
    bool any, string, ch, number, integer, key;
};

/* ---- schema.c */

/* A problem with a keyword of a schema (or, NULL, with the schema).  Returns negative. */
int schema_refuse(struct work *w, const cJSON *schema, const char *keyword, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int schema_no_memory(struct work *w);

/* Count n steps; negative when there are too many. */
int schema_steps(struct work *w, uint64_t n);

/* The number of the rule for these parts. */
int schema_view(struct work *w, const struct parts *parts, uint32_t *number);

/* The name of rule `number`. */
void schema_name(const struct work *w, uint32_t number, struct buf *out);

/* ---- schema-flat.c */

const cJSON *schema_get(const cJSON *schema, const char *keyword); /* NULL: not there */

/* Append to `to` what really counts of `from`: references followed, allOf taken apart, keywords
 * checked.  Sets to->never. */
int schema_flatten(struct work *w, const struct parts *from, struct parts *to);

/* Add a part, unless it says nothing or is there. */
int schema_add_part(struct work *w, struct parts *to, const cJSON *schema, unsigned done);

/* The types that all of them allow; `inferred`: or, if none names one, that their keywords are
 * about. */
unsigned schema_types(const struct parts *parts, bool inferred);

/* Whether it is plain that nothing can match these flattened parts. */
bool schema_is_never(const struct parts *parts);

/* The part with a pending anyOf or oneOf, and its list; NULL: none. */
const cJSON *schema_choice(const struct parts *parts, unsigned *part, unsigned *bit);

/* The enum of these parts as an array, or a const as itself (*single); NULL: neither. */
const cJSON *schema_values(const struct parts *parts, bool *single, unsigned *part);

bool schema_same_value(const cJSON *a, const cJSON *b);
unsigned schema_type_of(const cJSON *value);

/* As schema_view; or *never: nothing can match, and there is no rule. */
int schema_view_or_never(struct work *w, const struct parts *parts, bool *never, uint32_t *number);

/* ---- schema-apart.c */

/* Whether no value can be valid under both. */
int schema_told_apart(struct work *w, const struct parts *a, const struct parts *b, bool *apart);

/* ---- writers: append an expression to *expr, and further rules to w->out. */

int schema_write_enum(struct work *w, const struct parts *p, unsigned types, struct buf *expr);
int schema_write_string(struct work *w, const struct parts *p, uint32_t number, struct buf *expr);
int schema_write_number(struct work *w, const struct parts *p, bool fractions, struct buf *expr);
int schema_write_object(struct work *w, const struct parts *p, uint32_t number, struct buf *expr);
int schema_write_array(struct work *w, const struct parts *p, uint32_t number, struct buf *expr);
void schema_write_any(struct work *w, struct buf *expr);
void schema_common_rules(struct work *w);                        /* those that were used */
void schema_put_json_string(struct buf *literal, const char *s); /* inside a literal */

/* The largest of a keyword's numbers over all parts (or the smallest, if negative); the schema it
 * is in.  NULL: it is nowhere. */
const cJSON *schema_bound(const struct parts *p, const char *keyword, bool largest,
                          const cJSON **where);

#endif
