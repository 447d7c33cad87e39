/* SPDX-License-Identifier: MIT */
/*
 * jinja.h - chat templates: the subset of Jinja that published models use, in a closed room.
 *
 * A template is parsed once into an immutable tree and rendered any number of times, by any thread,
 * each with memory of its own.  It sees the values it is given and nothing else: no file, no
 * network, no clock but the caller's.  Steps, depth, memory and output are bounded.
 *
 * What a template means is what Jinja2 makes of it as Hugging Face's transformers sets that up:
 * trim_blocks, lstrip_blocks, an immutable sandbox, loop controls, `generation` blocks without
 * effect, tojson as json.dumps(ensure_ascii=False), raise_exception, strftime_now.
 *
 * Strings remember which of their bytes a client wrote, through every operation: concatenation,
 * slices, trim, replace, tojson.  So the caller learns which ranges of the output are words and may
 * not be commands (tokenizer.h, tok_encode_ranges).
 *
 * Sources: the documentation of Jinja 3.1; apply_chat_template of transformers.
 * Not here: include, import, extends, block; autoescape; integers beyond 64 bits; filters and
 * methods that no chat template uses.  Their use is an error when the template is parsed, or, for
 * methods, when it is rendered.
 */
#ifndef TRIT_JINJA_H
#define TRIT_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct jinja;
struct tm;
struct tok_range;
struct trit_error;

enum {
    JINJA_SOURCE_BYTES = 1 << 20, /* of a template */
    JINJA_PARSE_DEPTH = 300, /* nested blocks, brackets, operators; about a third as many of "(" */
    JINJA_STEPS = 1000000,   /* of a rendering: nodes, elements, and 32 bytes of text each */
    JINJA_DEPTH = 400,       /* nested evaluations, macros within macros */
    JINJA_POOL_BYTES = 256 << 20, /* memory of a rendering */
    JINJA_OUTPUT_BYTES = 64 << 20,
};

/* ------------------------------------------------------------------ values */

enum jinja_type {
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST, /* and tuples */
    JINJA_DICT, /* in order of insertion; and namespaces */
    JINJA_FUNCTION,
    JINJA_LOOP, /* the variable `loop` */
};

/* Copied freely; what it points to lies in a pool and does not change, namespaces excepted. */
struct jinja_value {
    enum jinja_type type;
    union {
        bool yes;
        int64_t number;
        double real;
        const struct jinja_string *string;
        struct jinja_list *list;
        struct jinja_dict *dict;
        const struct jinja_function *function;
        const struct jinja_loop *loop;
    };
};

/*
 * Memory for values, freed as a whole.  A zeroed struct is an empty pool without limit.  One that
 * could not grow remembers it in `failed`; what is made from then on is JINJA_UNDEFINED, so a
 * builder makes twenty calls and asks once.
 */
struct jinja_pool {
    struct jinja_chunk *chunk;
    size_t bytes;      /* taken from the system */
    size_t max_bytes;  /* 0: no limit */
    bool failed, full; /* full: failed at the limit and not for want of memory */
};
void jinja_pool_free(struct jinja_pool *p);

struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool yes);
struct jinja_value jinja_int(int64_t number);
struct jinja_value jinja_float(double real);

/* Text in UTF-8 (the caller's promise).  `client`: a client wrote it.  jinja_text copies,
 * jinja_view borrows the bytes for the life of the pool. */
struct jinja_value jinja_text(struct jinja_pool *p, const char *s, size_t len, bool client);
struct jinja_value jinja_view(struct jinja_pool *p, const char *s, size_t len, bool client);

/* Empty ones, and how they grow; without effect on anything but a list or a dict. */
struct jinja_value jinja_list(struct jinja_pool *p);
struct jinja_value jinja_dict(struct jinja_pool *p);
void jinja_push(struct jinja_pool *p, struct jinja_value list, struct jinja_value element);

/* The key must be a string that the dict does not have (jinja_get tells). */
void jinja_put(struct jinja_pool *p, struct jinja_value dict, struct jinja_value key,
               struct jinja_value value);
/* The same, for names that are ours. */
void jinja_put_name(struct jinja_pool *p, struct jinja_value dict, const char *name,
                    struct jinja_value value);

/* The member of a dict, or undefined. */
struct jinja_value jinja_get(struct jinja_value dict, const char *name);

/* Members of a dict in order, i < jinja_len (0 for anything but a list or dict). */
size_t jinja_len(struct jinja_value v);
void jinja_member(struct jinja_value dict, size_t i, struct jinja_value *key,
                  struct jinja_value *value);
bool jinja_has(struct jinja_value dict, struct jinja_value key); /* a string */

/* ------------------------------------------------------------------ templates */

/* Gives *t.  -TRIT_EFORMAT with "line L, column C: ..." when the text is not a template that we can
 * run; nothing of the text is borrowed. */
int jinja_open(const char *text, size_t len, struct jinja **t, struct trit_error *err);
void jinja_close(struct jinja **t);

/*
 * Append what the template makes of the variables `vars` (a dict) to *out.  `now` is what
 * strftime_now formats; NULL: the function is undefined, as older versions of transformers have it.
 *
 * *ranges (gives, mem_free; NULL: not wanted) receives the ranges of the *appended* text, counted
 * from the beginning of *out, that a client wrote; sorted, none touches the next.
 *
 * -TRIT_EINVAL: the template refused (raise_exception), or an operation in it failed on these
 * values, or a bound was met; "line L: ...".  -TRIT_ENOMEM.  *out is as it was then.
 */
int jinja_render(const struct jinja *t, struct jinja_value vars, const struct tm *now,
                 struct buf *out, struct tok_range **ranges, size_t *n_ranges,
                 struct trit_error *err);

#endif
