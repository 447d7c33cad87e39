/* SPDX-License-Identifier: MIT */
/*
 * jinja-parts.h - what the bodies of jinja.h share: strings and their origin, tokens, the tree, the
 * state of a rendering.
 *
 *     jinja-lex.c    text -> tokens, white space control
 *     jinja-cursor.c the next token, nodes, failures
 *     jinja-expr.c   tokens -> tree, expressions
 *     jinja-parse.c  tokens -> tree, statements; opening and closing
 *     jinja-eval.c   the tree, walked: scopes, macros, calls
 *     jinja-exec.c   the tree, walked: statements; rendering
 *     jinja-ops.c    operators, comparison
 *     jinja-inside.c attributes, elements, slices
 *     jinja-text.c   text that is built with its origin; values as Python prints them
 *     jinja-json.c   values as json.dumps prints them
 *     jinja-string.c what is done to strings;  jinja-methods.c their methods
 *     jinja-filters.c, jinja-lists.c filters;  jinja-tests.c
 *     jinja-value.c  pools and values
 */
#ifndef TRIT_JINJA_PARTS_H
#define TRIT_JINJA_PARTS_H

#include "model/jinja.h"
#include "model/tokenizer.h"

/* ------------------------------------------------------------------ values */

/* The ranges are a client's bytes: sorted, apart, none empty. */
struct jinja_string {
    const char *data;
    size_t len;
    const struct tok_range *client;
    size_t n_client;
};

struct jinja_list {
    struct jinja_value *v;
    size_t n, cap;
    bool tuple;
};

struct jinja_pair {
    struct jinja_value key, value;
};

struct jinja_dict {
    struct jinja_pair *pair;
    size_t n, cap;
    bool name_space; /* its members may be set */
};

struct jinja_args {
    struct jinja_value *v;            /* positional ones first */
    const struct jinja_string **name; /* NULL for those */
    size_t n, n_positional;
};

struct jinja_run;

/* self: what a method was called on, a filter or test applied to. */
typedef struct jinja_value (*jinja_fn)(struct jinja_run *r, struct jinja_value self,
                                       const struct jinja_args *a);

/* The head of a jinja_fn; all are of one type, so not all use all. */
#define FILTER(name)                                                                               \
    static struct jinja_value name(__attribute__((unused)) struct jinja_run *r,                    \
                                   __attribute__((unused)) struct jinja_value self,                \
                                   __attribute__((unused)) const struct jinja_args *a)

/* A function, method, filter or test.  `params` names its parameters: "width first blank"; those up
 * to `least` must be given, "..." takes any. */
struct jinja_builtin {
    const char *name;
    jinja_fn call;
    unsigned least;
    const char *params;
};

/* Of the program, or a macro together with the scope that it was written in. */
struct jinja_function {
    const struct jinja_builtin *builtin;
    struct jinja_value self;
    const struct jinja_node *macro;
    struct jinja_scope *scope;
};

struct jinja_loop {
    const struct jinja_value *item;
    size_t n, i;
};

/* Memory of a pool: for structures (aligned), for bytes (not).  NULL: failed. */
void *jinja_alloc(struct jinja_pool *p, size_t n, size_t size);
char *jinja_bytes(struct jinja_pool *p, size_t len);
/* Whether `end` is the end of the bytes taken last and `more` could be added to them. */
bool jinja_extend(struct jinja_pool *p, const char *end, size_t more);

struct jinja_value jinja_of_string(const struct jinja_string *s);
struct jinja_value jinja_list_sized(struct jinja_pool *p, size_t n, bool tuple);

/* ------------------------------------------------------------------ text and its origin */

/* White space as str.strip of Python has it. */
bool jinja_is_space(uint32_t cp);
/* The bytes of white space at the beginning, and at the end. */
size_t jinja_space_before(const char *s, size_t len);
/* Where the line that begins at `from` ends, by what Python's splitlines takes for an end; *next:
 * behind that, s->len where the text ends without one. */
size_t jinja_line_end(const struct jinja_string *s, size_t from, size_t *next);
size_t jinja_space_after(const char *s, size_t len);

/* A text that is being written.  A zeroed struct with its pool set is empty. */
struct jinja_out {
    struct jinja_pool *pool;
    char *data;
    size_t len, cap;
    struct tok_range *client;
    size_t n_client, cap_client;
};
void jinja_add(struct jinja_out *o, const char *bytes, size_t len, bool client);
void jinja_adds(struct jinja_out *o, const char *s); /* ours */
/* The bytes [from, from + len) of s, with their origin. */
void jinja_add_part(struct jinja_out *o, const struct jinja_string *s, size_t from, size_t len);
void jinja_add_string(struct jinja_out *o, const struct jinja_string *s);
struct jinja_value jinja_take(struct jinja_out *o);

struct jinja_value jinja_part(struct jinja_pool *p, const struct jinja_string *s, size_t from,
                              size_t len);
struct jinja_value jinja_concat(struct jinja_pool *p, const struct jinja_string *a,
                                const struct jinja_string *b);
/* Whether a client wrote byte `at`; *hint, at first 0, follows rising positions. */
bool jinja_is_client(const struct jinja_string *s, size_t at, size_t *hint);

void jinja_float_text(char out[32], double v); /* as Python's repr */
/* As str() or, with `quoted`, repr() of Python. */
void jinja_print(struct jinja_run *r, struct jinja_out *o, struct jinja_value v, bool quoted);
/* str(v), never NULL. */
const struct jinja_string *jinja_str(struct jinja_run *r, struct jinja_value v);

/* ------------------------------------------------------------------ tokens */

enum jinja_token_type {
    T_END,
    T_TEXT,
    T_PRINT_OPEN,
    T_PRINT_CLOSE,
    T_BLOCK_OPEN,
    T_BLOCK_CLOSE,
    T_NAME,
    T_CONST, /* a number or a string */
    T_OP,
};

/* The code of an operator: its character, or two. */
#define OP2(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

struct jinja_token {
    enum jinja_token_type type;
    unsigned op;
    uint32_t at; /* offset in the source */
    const struct jinja_string *text;
    struct jinja_value value;
};

/* The source's tokens, ended by T_END.  t->source is set.  NULL with *err. */
const struct jinja_token *jinja_lex(struct jinja *t, struct trit_error *err);

/* "line L, column C: ..." */
int jinja_refuse(const struct jinja *t, size_t at, struct trit_error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void jinja_place(const struct jinja *t, size_t at, unsigned *line, unsigned *column);

/* ------------------------------------------------------------------ the tree */

enum jinja_kind {
    /* Statements.  `next` is the one after. */
    N_TEXT,         /* value */
    N_PRINT,        /* a */
    N_IF,           /* a: condition, b: then, c: else */
    N_FOR,          /* a: target, b: iterable, c: body, d: else, e: condition or NULL */
    N_SET,          /* a: target, b: value */
    N_SET_BLOCK,    /* a: target, b: body, c: filters around a N_HOLE or NULL */
    N_MACRO,        /* name, a: parameters, b: body */
    N_CALL_BLOCK,   /* a: parameters of caller, b: body, c: the call */
    N_FILTER_BLOCK, /* b: body, c: filters around a N_HOLE */
    N_WITH,         /* a: list of N_SET, b: body */
    N_BREAK,
    N_CONTINUE,
    /* Expressions. */
    N_CONST,  /* value */
    N_NAME,   /* name; value: the program's function of this name, if any */
    N_LIST,   /* a: elements, linked by next */
    N_TUPLE,  /* a: elements */
    N_DICT,   /* a: keys and values in turn */
    N_ATTR,   /* a, name */
    N_ITEM,   /* a, b: key */
    N_SLICE,  /* a, b: start, c: stop, d: step; NULL where left out */
    N_CALL,   /* a: function, b: arguments, in N_ARG */
    N_ARG,    /* a: value, name: or NULL, op: * or ** spreads; of a parameter: a: default or NULL */
    N_FILTER, /* a: input, b: arguments, name, builtin: NULL for one that there is not, which fails
                 where it is reached, as in Jinja2, when only some conversations lead there */
    N_TEST,   /* the same */
    N_NOT,    /* a */
    N_SIGN,   /* a, op */
    N_AND,    /* a, b */
    N_OR,     /* a, b */
    N_COND,   /* a: condition, b: then, c: else or NULL */
    N_BINARY, /* a, op, b */
    N_COMPARE, /* a, b: list of N_OPERAND */
    N_OPERAND, /* op, a */
    N_HOLE,    /* the body of a block, where a filter expects its input */
};

/* op of a N_OPERAND, beside those that are written with signs. */
enum { OP_IN = 1, OP_NOT_IN };

struct jinja_node {
    enum jinja_kind kind;
    uint32_t at; /* offset in the source */
    unsigned op;
    struct jinja_node *next;
    struct jinja_node *a, *b, *c, *d, *e;
    const struct jinja_string *name; /* interned: equal names are one pointer */
    const struct jinja_builtin *builtin;
    struct jinja_value value;
};

struct jinja {
    struct jinja_pool pool; /* everything below */
    struct jinja_string source;
    struct jinja_name *names;
    struct jinja_node *body;
};

struct jinja_name {
    struct jinja_name *next;
    struct jinja_string text;
};

struct jinja_parser {
    struct jinja *t;
    const struct jinja_token *tok; /* the next */
    struct trit_error *err;
    int rc; /* the first failure; the tokens are at an end from then on */
    unsigned depth, loops;
    unsigned optional; /* within this many bodies that may never run */
};

void jinja_parse_fail(struct jinja_parser *p, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The next token is not what stands in `expected`. */
void jinja_unexpected(struct jinja_parser *p, const char *expected);
/* Counts nesting; false: too deep, or failed before. */
bool jinja_enter(struct jinja_parser *p);
struct jinja_node *jinja_node(struct jinja_parser *p, enum jinja_kind kind, size_t at);
const struct jinja_string *jinja_intern(struct jinja_parser *p, const struct jinja_string *s);
bool jinja_is_word(const struct jinja_token *k, const char *name);
bool jinja_is_name(const struct jinja_parser *p, const char *name);
bool jinja_is_op(const struct jinja_parser *p, unsigned op);
bool jinja_skip_name(struct jinja_parser *p, const char *name); /* takes it if it is next */
bool jinja_skip_op(struct jinja_parser *p, unsigned op);
void jinja_expect_op(struct jinja_parser *p, unsigned op);
const struct jinja_string *jinja_expect_name(struct jinja_parser *p);

/* All may return NULL when they have failed. */
struct jinja_node *jinja_expression(struct jinja_parser *p);
struct jinja_node *jinja_expression_uncond(struct jinja_parser *p); /* without `a if b` */
struct jinja_node *jinja_tuple(struct jinja_parser *p); /* or one expression without a comma */
struct jinja_node *jinja_primary(struct jinja_parser *p);
struct jinja_node *jinja_arguments(struct jinja_parser *p);
struct jinja_node *jinja_filters(struct jinja_parser *p, struct jinja_node *input);

const struct jinja_builtin *jinja_find_filter(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_list_filter(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_test(const char *name, size_t len);
const struct jinja_builtin *jinja_find_function(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_method(enum jinja_type type,
                                              const struct jinja_string *name);
const struct jinja_builtin *jinja_find_string_method(const struct jinja_string *name);
const struct jinja_builtin *jinja_builtin_in(const struct jinja_builtin *table, size_t n,
                                             const char *name, size_t len);

/* ------------------------------------------------------------------ rendering */

struct jinja_var {
    struct jinja_var *next;
    const struct jinja_string *name;
    struct jinja_value value;
};

struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_var *vars;
};

/* A rendering that has failed remembers its first error; what follows it is harmless. */
struct jinja_run {
    const struct jinja *t;
    struct jinja_pool pool;
    struct jinja_out *out;
    struct jinja_scope *scope;
    const struct tm *now;
    uint64_t steps;
    unsigned depth;
    size_t at; /* offset in the source of what is being evaluated */
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
    int rc;
    struct trit_error *err;
};

struct jinja_value jinja_fail(struct jinja_run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* undefined */
/* So many steps more; false: too many, or failed before. */
bool jinja_charge(struct jinja_run *r, size_t steps);
bool jinja_charge_bytes(struct jinja_run *r, size_t bytes);
bool jinja_descend(struct jinja_run *r); /* one level; false as above, and then no ascend */
void jinja_ascend(struct jinja_run *r);

struct jinja_value jinja_eval(struct jinja_run *r, const struct jinja_node *n);
struct jinja_value jinja_call(struct jinja_run *r, const struct jinja_node *n,
                              const struct jinja_function *caller);
struct jinja_value jinja_call_builtin(struct jinja_run *r, const struct jinja_builtin *b,
                                      struct jinja_value self, const struct jinja_args *a);
struct jinja_scope *jinja_scope_push(struct jinja_run *r, struct jinja_scope *parent);
void jinja_assign(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v);
void jinja_bind(struct jinja_run *r, struct jinja_scope *s, const struct jinja_string *name,
                struct jinja_value v);
void jinja_exec(struct jinja_run *r, const struct jinja_node *n);
/* The text that statements write. */
struct jinja_value jinja_capture(struct jinja_run *r, const struct jinja_node *body);

const char *jinja_type_name(struct jinja_value v);
bool jinja_truth(struct jinja_value v);
bool jinja_is_number(struct jinja_value v); /* bool, int or float */
double jinja_real(struct jinja_value v);    /* of a number */
int64_t jinja_whole(struct jinja_value v);  /* of a bool or an int */
bool jinja_same(struct jinja_run *r, struct jinja_value a, struct jinja_value b);
/* Below, at or above 0; fails for what has no order. */
int jinja_order(struct jinja_run *r, struct jinja_value a, struct jinja_value b);
bool jinja_contains(struct jinja_run *r, struct jinja_value all, struct jinja_value one);
struct jinja_value jinja_binary(struct jinja_run *r, unsigned op, struct jinja_value a,
                                struct jinja_value b);
struct jinja_value jinja_attr(struct jinja_run *r, struct jinja_value v,
                              const struct jinja_string *name);
struct jinja_value jinja_item(struct jinja_run *r, struct jinja_value v, struct jinja_value key);
struct jinja_value jinja_slice(struct jinja_run *r, struct jinja_value v, struct jinja_value from,
                               struct jinja_value to, struct jinja_value step);
/* "a.b.0" as filters take it. */
struct jinja_value jinja_path(struct jinja_run *r, struct jinja_value v, struct jinja_value path);
/* The elements of anything that can be walked, as a list; fails for what cannot. */
const struct jinja_list *jinja_elements(struct jinja_run *r, struct jinja_value v);
bool jinja_same_string(const struct jinja_string *a, const struct jinja_string *b);
size_t jinja_codes(const struct jinja_string *s); /* code points */
bool jinja_dict_find(struct jinja_run *r, const struct jinja_dict *d, struct jinja_value key,
                     struct jinja_value *v);
/* A key that comes again replaces the value, not the place. */
void jinja_dict_set(struct jinja_run *r, struct jinja_value dict, struct jinja_value key,
                    struct jinja_value value);
struct jinja_value jinja_method(struct jinja_run *r, const struct jinja_builtin *b,
                                struct jinja_value self);

/* Argument i, or the one of this name; NULL where neither is given. */
const struct jinja_value *jinja_arg(const struct jinja_args *a, size_t i, const char *name);
int64_t jinja_arg_int(struct jinja_run *r, const struct jinja_args *a, size_t i, const char *name,
                      int64_t otherwise);
bool jinja_arg_truth(const struct jinja_args *a, size_t i, const char *name, bool otherwise);

/* Changes of letters, and of strings, that filters and methods share. */
enum jinja_case { CASE_UPPER, CASE_LOWER, CASE_CAPITAL, CASE_TITLE, CASE_TITLE_FILTER };
bool jinja_is_letter(uint32_t cp);
struct jinja_value jinja_cased(struct jinja_run *r, const struct jinja_string *s,
                               enum jinja_case how);
struct jinja_value jinja_stripped(struct jinja_run *r, const struct jinja_string *s,
                                  const struct jinja_value *chars, bool left, bool right);
struct jinja_value jinja_replaced(struct jinja_run *r, const struct jinja_string *s,
                                  const struct jinja_string *old, const struct jinja_string *with,
                                  int64_t times);
struct jinja_value jinja_percent(struct jinja_run *r, const struct jinja_string *format,
                                 const struct jinja_value *v, size_t n);
struct jinja_value jinja_tojson(struct jinja_run *r, struct jinja_value v,
                                const struct jinja_args *a);

#endif
