/* SPDX-License-Identifier: MIT */
/*
 * jinja-expr.c - tokens to tree: expressions, in Jinja2's order of precedence:
 *
 *     a if b else c;  or;  and;  not;  == != < <= > >= in not-in;  + -;  ~;  * / // %;  **;
 *     + - before a value;  . [] ();  | is
 */
#include "config.h"
#include "model/jinja-parts.h"

#include "base/base.h"

/* ------------------------------------------------------------------ values */

static struct jinja_node *constant(struct jinja_parser *p, size_t at, struct jinja_value v)
{
    struct jinja_node *n = jinja_node(p, N_CONST, at);
    if (n)
        n->value = v;
    return n;
}

/* A name, which some are constants. */
static struct jinja_node *name(struct jinja_parser *p)
{
    const struct jinja_token *k = p->tok++;
    if (jinja_is_word(k, "true") || jinja_is_word(k, "True"))
        return constant(p, k->at, jinja_bool(true));
    if (jinja_is_word(k, "false") || jinja_is_word(k, "False"))
        return constant(p, k->at, jinja_bool(false));
    if (jinja_is_word(k, "none") || jinja_is_word(k, "None"))
        return constant(p, k->at, jinja_none());
    struct jinja_node *n = jinja_node(p, N_NAME, k->at);
    if (!n)
        return NULL;
    n->name = jinja_intern(p, k->text);
    const struct jinja_builtin *b = n->name ? jinja_find_function(n->name) : NULL;
    struct jinja_function *f = b ? jinja_alloc(&p->t->pool, 1, sizeof *f) : NULL;
    if (f) {
        f->builtin = b;
        n->value = (struct jinja_value){.type = JINJA_FUNCTION, .function = f};
    }
    return n;
}

/* Strings side by side are one. */
static struct jinja_node *literal(struct jinja_parser *p)
{
    const struct jinja_token *k = p->tok++;
    struct jinja_value v = k->value;
    while (v.type == JINJA_STRING && p->tok->type == T_CONST && p->tok->value.type == JINJA_STRING)
        v = jinja_concat(&p->t->pool, v.string, p->tok++->value.string);
    return constant(p, k->at, v);
}

/* Elements up to the closing bracket, which is taken; `pairs`: keys and values. */
static struct jinja_node *elements(struct jinja_parser *p, unsigned close, bool pairs)
{
    struct jinja_node *first = NULL, **last = &first;
    while (p->rc == 0 && !jinja_is_op(p, close)) {
        /* cppcheck-suppress compareBoolExpressionWithInt ; 0, and for pairs 1 */
        for (int half = 0; half <= pairs && p->rc == 0; half++) {
            if ((*last = jinja_expression(p)))
                last = &(*last)->next;
            if (pairs && half == 0)
                jinja_expect_op(p, ':');
        }
        if (!jinja_is_op(p, close))
            jinja_expect_op(p, ',');
    }
    jinja_expect_op(p, close);
    return first;
}

struct jinja_node *jinja_primary(struct jinja_parser *p)
{
    const struct jinja_token *k = p->tok;
    struct jinja_node *n = NULL;
    if (k->type == T_NAME)
        return name(p);
    if (k->type == T_CONST)
        return literal(p);
    if (!jinja_is_op(p, '(') && !jinja_is_op(p, '[') && !jinja_is_op(p, '{')) {
        jinja_unexpected(p, "a value");
        return NULL;
    }
    if (!jinja_enter(p))
        return NULL;
    p->tok++;
    if (k->op == '(') {
        if (jinja_skip_op(p, ')')) {
            n = jinja_node(p, N_TUPLE, k->at);
        } else {
            n = jinja_tuple(p);
            jinja_expect_op(p, ')');
        }
    } else if ((n = jinja_node(p, k->op == '[' ? N_LIST : N_DICT, k->at))) {
        n->a = elements(p, k->op == '[' ? ']' : '}', k->op == '{');
    }
    p->depth--;
    return n;
}

struct jinja_node *jinja_tuple(struct jinja_parser *p)
{
    size_t at = p->tok->at;
    struct jinja_node *first = jinja_expression(p);
    if (!first || !jinja_is_op(p, ','))
        return first;
    struct jinja_node *n = jinja_node(p, N_TUPLE, at), **last = &first->next;
    while (jinja_skip_op(p, ',')) {
        if (p->tok->type == T_BLOCK_CLOSE || p->tok->type == T_PRINT_CLOSE || jinja_is_op(p, ')') ||
            jinja_is_op(p, '='))
            break;
        if ((*last = jinja_expression(p)))
            last = &(*last)->next;
    }
    if (n)
        n->a = first;
    return n;
}

/* ------------------------------------------------------------------ behind a value */

/* From "(" to ")", which are taken too: values, then names with values; "*" spreads a list among
 * the former, "**" a dict among the latter. */
struct jinja_node *jinja_arguments(struct jinja_parser *p)
{
    struct jinja_node *first = NULL, **last = &first;
    bool named = false;
    jinja_expect_op(p, '(');
    while (p->rc == 0 && !jinja_is_op(p, ')')) {
        struct jinja_node *n = jinja_node(p, N_ARG, p->tok->at);
        if (!n)
            return NULL;
        if (jinja_skip_op(p, '*')) {
            n->op = '*';
        } else if (jinja_skip_op(p, OP2('*', '*'))) {
            n->op = OP2('*', '*');
            named = true;
        } else if (p->tok->type == T_NAME && p->tok[1].type == T_OP && p->tok[1].op == '=') {
            n->name = jinja_expect_name(p);
            p->tok++;
            named = true;
        } else if (named) {
            jinja_parse_fail(p, n->at, "a value without a name follows one with a name");
        }
        n->a = jinja_expression(p);
        *last = n;
        last = &n->next;
        if (!jinja_is_op(p, ')'))
            jinja_expect_op(p, ',');
    }
    jinja_expect_op(p, ')');
    return first;
}

static struct jinja_node *subscript(struct jinja_parser *p, struct jinja_node *of, size_t at)
{
    struct jinja_node *part[3] = {NULL}, *n;
    unsigned colons = 0;
    while (p->rc == 0 && !jinja_is_op(p, ']')) {
        if (jinja_skip_op(p, ':')) {
            if (++colons == ARRAY_LEN(part))
                jinja_unexpected(p, "\"]\"");
        } else if (!part[colons]) {
            part[colons] = jinja_expression(p);
        } else {
            jinja_unexpected(p, "\"]\"");
        }
    }
    jinja_expect_op(p, ']');
    if (colons == 0 && !part[0])
        jinja_parse_fail(p, at, "found \"[]\", expected a key between the brackets");
    n = jinja_node(p, colons ? N_SLICE : N_ITEM, at);
    if (!n)
        return NULL;
    n->a = of;
    n->b = part[0];
    n->c = part[1];
    n->d = part[2];
    return n;
}

/* .name .0 [key] (arguments), as many as there are.  `filters`: |filter and is test as well. */
static struct jinja_node *postfix(struct jinja_parser *p, struct jinja_node *n)
{
    while (n && p->rc == 0) {
        size_t at = p->tok->at;
        struct jinja_node *of = n;
        if (jinja_skip_op(p, '.')) {
            if (p->tok->type == T_CONST && p->tok->value.type == JINJA_INT) {
                if ((n = jinja_node(p, N_ITEM, at))) {
                    n->b = constant(p, p->tok->at, p->tok->value);
                    p->tok++;
                }
            } else if ((n = jinja_node(p, N_ATTR, at))) {
                n->name = jinja_expect_name(p);
            }
            if (n)
                n->a = of;
        } else if (jinja_skip_op(p, '[')) {
            n = subscript(p, of, at);
        } else if (jinja_is_op(p, '(')) {
            if ((n = jinja_node(p, N_CALL, at))) {
                n->a = of;
                n->b = jinja_arguments(p);
            }
        } else {
            break;
        }
    }
    return n;
}

static struct jinja_node *filter(struct jinja_parser *p, struct jinja_node *input)
{
    struct jinja_node *n = jinja_node(p, N_FILTER, p->tok->at);
    const struct jinja_string *name = jinja_expect_name(p);
    if (!n || !name)
        return NULL;
    n->a = input;
    n->builtin = jinja_find_filter(name);
    n->name = name;
    if (!n->builtin && !p->optional)
        jinja_parse_fail(p, n->at, "there is no filter \"%.*s\" here", (int)MIN(name->len, 40u),
                         name->data);
    if (jinja_is_op(p, '('))
        n->b = jinja_arguments(p);
    return n;
}

struct jinja_node *jinja_filters(struct jinja_parser *p, struct jinja_node *input)
{
    do
        input = filter(p, input);
    while (input && jinja_skip_op(p, '|'));
    return input;
}

/* What may be the argument of a test without brackets: `is divisibleby 3`. */
static bool begins_value(const struct jinja_parser *p)
{
    const struct jinja_token *k = p->tok;
    if (k->type == T_CONST)
        return true;
    if (k->type == T_OP)
        return k->op == '(' || k->op == '[' || k->op == '{';
    return k->type == T_NAME && !jinja_is_word(k, "else") && !jinja_is_word(k, "or") &&
           !jinja_is_word(k, "and") && !jinja_is_word(k, "is") && !jinja_is_word(k, "if") &&
           !jinja_is_word(k, "in") && !jinja_is_word(k, "not");
}

static struct jinja_node *test(struct jinja_parser *p, struct jinja_node *input)
{
    size_t at = p->tok->at;
    bool negated = jinja_skip_name(p, "not");
    struct jinja_node *n = jinja_node(p, N_TEST, p->tok->at);
    const struct jinja_string *name = jinja_expect_name(p);
    if (!n || !name)
        return NULL;
    n->a = input;
    n->builtin = jinja_find_test(name->data, name->len);
    n->name = name;
    if (!n->builtin && !p->optional)
        jinja_parse_fail(p, n->at, "there is no test \"%.*s\" here", (int)MIN(name->len, 40u),
                         name->data);
    if (jinja_is_op(p, '(')) {
        n->b = jinja_arguments(p);
    } else if (begins_value(p) && (n->b = jinja_node(p, N_ARG, p->tok->at))) {
        n->b->a = postfix(p, jinja_primary(p));
    }
    if (!negated)
        return n;
    struct jinja_node *opposite = jinja_node(p, N_NOT, at);
    if (opposite)
        opposite->a = n;
    return opposite;
}

/* Filters and tests, and what may follow them. */
static struct jinja_node *filters_and_tests(struct jinja_parser *p, struct jinja_node *n)
{
    while (n && p->rc == 0) {
        if (jinja_skip_op(p, '|'))
            n = filter(p, n);
        else if (jinja_skip_name(p, "is"))
            n = test(p, n);
        else if (jinja_is_op(p, '('))
            n = postfix(p, n);
        else
            break;
    }
    return n;
}

/* ------------------------------------------------------------------ operators */

static struct jinja_node *two(struct jinja_parser *p, enum jinja_kind kind, size_t at, unsigned op,
                              struct jinja_node *a, struct jinja_node *b)
{
    struct jinja_node *n = jinja_node(p, kind, at);
    if (!n)
        return NULL;
    n->op = op;
    n->a = a;
    n->b = b;
    return n;
}

static struct jinja_node *unary(struct jinja_parser *p, bool filters)
{
    size_t at = p->tok->at;
    struct jinja_node *n;
    if (!jinja_enter(p))
        return NULL;
    if (jinja_is_op(p, '-') || jinja_is_op(p, '+')) {
        /* cppcheck-suppress legacyUninitvar ; it is a token that has been read */
        unsigned op = p->tok++->op;
        n = two(p, N_SIGN, at, op, unary(p, false), NULL);
    } else {
        n = postfix(p, jinja_primary(p));
    }
    if (filters)
        n = filters_and_tests(p, n);
    p->depth--;
    return n;
}

/* Levels of operators that bind alike, from the loosest: + -; ~; * / // %; **. */
static struct jinja_node *arithmetic(struct jinja_parser *p, unsigned level)
{
    static const unsigned ops[4][5] = {
        {'+', '-'}, {'~'}, {'*', '/', OP2('/', '/'), '%'}, {OP2('*', '*')}};
    if (level == ARRAY_LEN(ops))
        return unary(p, true);
    struct jinja_node *n = arithmetic(p, level + 1);
    while (n && p->rc == 0) {
        size_t at = p->tok->at;
        unsigned op = 0;
        for (size_t i = 0; ops[level][i] && !op; i++)
            op = jinja_skip_op(p, ops[level][i]) ? ops[level][i] : 0;
        if (!op)
            break;
        n = two(p, N_BINARY, at, op, n, arithmetic(p, level + 1));
    }
    return n;
}

static unsigned comparison_op(struct jinja_parser *p)
{
    static const unsigned ops[] = {OP2('=', '='), OP2('!', '='), '<',
                                   OP2('<', '='), '>',           OP2('>', '=')};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (jinja_skip_op(p, ops[i]))
            return ops[i];
    if (jinja_skip_name(p, "in"))
        return OP_IN;
    if (jinja_is_name(p, "not") && jinja_is_word(p->tok + 1, "in")) {
        p->tok += 2;
        return OP_NOT_IN;
    }
    return 0;
}

static struct jinja_node *comparison(struct jinja_parser *p)
{
    size_t at = p->tok->at;
    struct jinja_node *n = arithmetic(p, 0), *first = NULL, **last = &first;
    while (n && p->rc == 0) {
        size_t here = p->tok->at;
        unsigned op = comparison_op(p);
        if (!op)
            break;
        if ((*last = two(p, N_OPERAND, here, op, arithmetic(p, 0), NULL)))
            last = &(*last)->next;
    }
    return first ? two(p, N_COMPARE, at, 0, n, first) : n;
}

static struct jinja_node *negation(struct jinja_parser *p)
{
    size_t at = p->tok->at;
    if (!jinja_is_name(p, "not"))
        return comparison(p);
    if (!jinja_enter(p))
        return NULL;
    p->tok++;
    struct jinja_node *n = two(p, N_NOT, at, 0, negation(p), NULL);
    p->depth--;
    return n;
}

static struct jinja_node *conjunction(struct jinja_parser *p)
{
    struct jinja_node *n = negation(p);
    for (size_t at = p->tok->at; n && jinja_skip_name(p, "and"); at = p->tok->at)
        n = two(p, N_AND, at, 0, n, negation(p));
    return n;
}

struct jinja_node *jinja_expression_uncond(struct jinja_parser *p)
{
    struct jinja_node *n = conjunction(p);
    for (size_t at = p->tok->at; n && jinja_skip_name(p, "or"); at = p->tok->at)
        n = two(p, N_OR, at, 0, n, conjunction(p));
    return n;
}

struct jinja_node *jinja_expression(struct jinja_parser *p)
{
    if (!jinja_enter(p))
        return NULL;
    struct jinja_node *n = jinja_expression_uncond(p);
    for (size_t at = p->tok->at; n && jinja_skip_name(p, "if"); at = p->tok->at) {
        struct jinja_node *cond = jinja_expression_uncond(p);
        n = two(p, N_COND, at, 0, cond, n);
        if (n && jinja_skip_name(p, "else"))
            n->c = jinja_expression(p);
    }
    p->depth--;
    return n;
}
