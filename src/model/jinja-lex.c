/* SPDX-License-Identifier: MIT */
/*
 * jinja-lex.c - the text of a template to tokens.
 *
 * White space around tags is taken away here, as Jinja2 does with trim_blocks and lstrip_blocks:
 * the line break behind a block or comment goes, and so do the blanks in front of one that is first
 * in its line; "-" at either end of a tag takes all white space on that side, "+" keeps it.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

enum { NESTING = 256, NUMBER_BYTES = 64 };

struct lexer {
    struct jinja *t;
    struct trit_error *err;
    const char *s;
    size_t len, at;
    bool at_line_start; /* the tag before ended with a line break */
    struct jinja_token *token;
    size_t n, cap;
    int rc;
};

void jinja_place(const struct jinja *t, size_t at, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at && i < t->source.len; i++) {
        if (t->source.data[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)t->source.data[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

int jinja_refuse(const struct jinja *t, size_t at, struct trit_error *err, const char *fmt, ...)
{
    char text[300];
    unsigned line, column;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jinja_place(t, at, &line, &column);
    return trit_fail(err, TRIT_EFORMAT, "line %u, column %u: %s", line, column, text);
}

static void no_memory(struct lexer *x)
{
    if (x->rc == 0)
        x->rc = trit_fail(x->err, TRIT_ENOMEM, "no memory for the template");
}

#define LEX_FAIL(x, where, ...)                                                                    \
    do {                                                                                           \
        if ((x)->rc == 0)                                                                          \
            (x)->rc = jinja_refuse((x)->t, where, (x)->err, __VA_ARGS__);                          \
    } while (0)

static struct jinja_token *emit(struct lexer *x, enum jinja_token_type type, size_t at)
{
    if (x->n == x->cap) {
        size_t cap = MAX(2 * x->cap, (size_t)256);
        struct jinja_token *more = jinja_alloc(&x->t->pool, cap, sizeof *more);
        if (!more) {
            no_memory(x);
            return NULL;
        }
        if (x->n)
            memcpy(more, x->token, x->n * sizeof *more);
        x->token = more;
        x->cap = cap;
    }
    x->token[x->n] = (struct jinja_token){.type = type, .at = (uint32_t)at};
    return &x->token[x->n++];
}

static void emit_text(struct lexer *x, size_t from, size_t to)
{
    struct jinja_token *k = from < to ? emit(x, T_TEXT, from) : NULL;
    if (k)
        k->value = jinja_view(&x->t->pool, x->s + from, to - from, false);
}

static bool looking_at(const struct lexer *x, const char *what)
{
    size_t n = strlen(what);
    return x->len - x->at >= n && memcmp(x->s + x->at, what, n) == 0;
}

/* What a tag's beginning does to the text before it: where that ends now. */
static size_t cut_before(const struct lexer *x, size_t from, size_t tag)
{
    char sign = tag + 2 < x->len ? x->s[tag + 2] : '\0';
    if (sign == '-')
        return tag - jinja_space_after(x->s + from, tag - from);
    if (sign == '+' || x->s[tag + 1] == '{')
        return tag;
    const char *line = memrchr(x->s + from, '\n', tag - from);
    size_t start = line ? (size_t)(line - x->s) + 1 : from;
    bool at_start = line || x->at_line_start;
    return at_start && jinja_space_before(x->s + start, tag - start) == tag - start ? start : tag;
}

/* What a tag's end, at x->at, does to the text behind it.  `sign` is what stands before that. */
static void cut_after(struct lexer *x, char sign, bool block)
{
    size_t before = x->at;
    if (sign == '-')
        x->at += jinja_space_before(x->s + x->at, x->len - x->at);
    else if (block && sign != '+' && x->at < x->len && x->s[x->at] == '\n')
        x->at++;
    x->at_line_start = x->at > before && x->s[x->at - 1] == '\n';
}

/* ------------------------------------------------------------------ inside of tags */

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void lex_name(struct lexer *x)
{
    size_t from = x->at;
    while (x->at < x->len && (is_alpha(x->s[x->at]) || is_digit(x->s[x->at])))
        x->at++;
    struct jinja_token *k = emit(x, T_NAME, from);
    if (!k)
        return;
    struct jinja_value v = jinja_view(&x->t->pool, x->s + from, x->at - from, false);
    k->text = v.type == JINJA_STRING ? v.string : NULL;
}

static void lex_number(struct lexer *x)
{
    char digits[NUMBER_BYTES];
    size_t from = x->at, n = 0;
    bool real = false;
    while (x->at < x->len && n + 1 < sizeof digits) {
        char c = x->s[x->at], next = x->at + 1 < x->len ? x->s[x->at + 1] : '\0';
        bool exponent = (c == 'e' || c == 'E') && (is_digit(next) || next == '-' || next == '+');
        if (c == '_' && is_digit(next)) {
            x->at++;
            continue;
        }
        if (!is_digit(c) && !(c == '.' && !real && is_digit(next)) && !exponent)
            break;
        real = real || !is_digit(c);
        digits[n++] = c;
        x->at++;
        if (exponent && !is_digit(next)) {
            digits[n++] = next;
            x->at++;
        }
        if (n + 2 >= sizeof digits)
            break;
    }
    digits[n] = '\0';
    char *end;
    errno = 0;
    struct jinja_value v =
        real ? jinja_float(strtod(digits, &end)) : jinja_int(strtoll(digits, &end, 10));
    if (*end || errno == ERANGE || n + 2 >= sizeof digits ||
        (x->at < x->len && is_alpha(x->s[x->at]))) {
        LEX_FAIL(x, from, "found \"%.20s...\", expected a number", digits);
        return;
    }
    struct jinja_token *k = emit(x, T_CONST, from);
    if (k)
        k->value = v;
}

/* The digits of \x, \u, \U and octal escapes at x->at; false when they are not all there. */
static bool escaped_code(struct lexer *x, unsigned digits, unsigned base, bool all, uint32_t *cp)
{
    *cp = 0;
    unsigned n = 0;
    for (; n < digits && x->at < x->len; n++, x->at++) {
        char c = x->s[x->at];
        unsigned d = is_digit(c)            ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                            : 99;
        if (d >= base)
            break;
        *cp = *cp * base + d;
    }
    return n > 0 && (!all || n == digits) && *cp <= 0x10ffff && !(*cp >= 0xd800 && *cp <= 0xdfff);
}

/* What stands behind a backslash, as in Python. */
static void lex_escape(struct lexer *x, struct jinja_out *o)
{
    static const char letters[] = "abfnrtv\\'\"", codes[] = "\a\b\f\n\r\t\v\\'\"";
    char c = x->s[x->at];
    const char *found = memchr(letters, c, sizeof letters - 1);
    uint32_t cp;
    bool good;
    x->at++;
    if (found) {
        jinja_add(o, &codes[found - letters], 1, false);
        return;
    }
    if (c == '\n')
        return;
    if (c == 'x' || c == 'u' || c == 'U') {
        good = escaped_code(x, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, true, &cp);
    } else if (c >= '0' && c <= '7') {
        x->at--;
        good = escaped_code(x, 3, 8, false, &cp);
    } else {
        jinja_add(o, "\\", 1, false);
        jinja_add(o, &c, 1, false);
        return;
    }
    char bytes[4];
    if (good)
        jinja_add(o, bytes, utf8_encode(bytes, cp), false);
    else
        LEX_FAIL(x, x->at, "found an escape sequence that names no character");
}

static void lex_string(struct lexer *x)
{
    size_t from = x->at;
    char mark = x->s[x->at++];
    struct jinja_out o = {.pool = &x->t->pool};
    while (x->rc == 0 && x->at < x->len && x->s[x->at] != mark) {
        size_t start = x->at;
        while (x->at < x->len && x->s[x->at] != mark && x->s[x->at] != '\\')
            x->at++;
        jinja_add(&o, x->s + start, x->at - start, false);
        if (x->at + 1 < x->len && x->s[x->at] == '\\') {
            x->at++;
            lex_escape(x, &o);
        } else if (x->at < x->len && x->s[x->at] == '\\') {
            x->at++;
        }
    }
    if (x->at >= x->len)
        LEX_FAIL(x, from, "a string that begins here has no end");
    x->at++;
    struct jinja_token *k = emit(x, T_CONST, from);
    if (k)
        k->value = jinja_take(&o);
}

static void lex_operator(struct lexer *x, char open[NESTING], unsigned *depth)
{
    static const char pairs[][3] = {"**", "//", "==", "!=", "<=", ">="};
    size_t from = x->at;
    char c = x->s[x->at];
    unsigned op = (unsigned char)c;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (looking_at(x, pairs[i]))
            op = OP2(pairs[i][0], pairs[i][1]);
    if (c == '\0' || !strchr("+-*/%~()[]{}.,:|=<>!;", c) || op == '!') {
        LEX_FAIL(x, from, "found a character that no expression has");
        return;
    }
    x->at += op > 0xff ? 2 : 1;
    if (strchr("([{", c)) {
        if (*depth == NESTING)
            LEX_FAIL(x, from, "more than %d brackets within one another", NESTING);
        else
            open[(*depth)++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c)) {
        if (*depth == 0 || open[*depth - 1] != c)
            LEX_FAIL(x, from, "found \"%c\", which closes nothing", c);
        else
            --*depth;
    }
    struct jinja_token *k = emit(x, T_OP, from);
    if (k)
        k->op = op;
}

/* From behind the opening of a tag to behind its end. */
static void lex_tag(struct lexer *x, size_t tag)
{
    const bool block = x->s[tag + 1] == '%';
    const char *const end = block ? "%}" : "}}";
    char open[NESTING];
    unsigned depth = 0;
    emit(x, block ? T_BLOCK_OPEN : T_PRINT_OPEN, tag);
    while (x->rc == 0) {
        x->at += jinja_space_before(x->s + x->at, x->len - x->at);
        if (x->at >= x->len) {
            LEX_FAIL(x, tag, "a tag that begins here has no end");
            return;
        }
        char c = x->s[x->at], sign = '\0';
        if (depth == 0) {
            x->at++;
            if ((c == '-' || (c == '+' && block)) && looking_at(x, end))
                sign = c;
            else
                x->at--;
            if (looking_at(x, end)) {
                emit(x, block ? T_BLOCK_CLOSE : T_PRINT_CLOSE, x->at);
                x->at += 2;
                cut_after(x, sign, block);
                return;
            }
        }
        if (is_alpha(c))
            lex_name(x);
        else if (is_digit(c))
            lex_number(x);
        else if (c == '"' || c == '\'')
            lex_string(x);
        else
            lex_operator(x, open, &depth);
    }
}

/* ------------------------------------------------------------------ between tags */

static void lex_comment(struct lexer *x, size_t tag)
{
    const char *end = memmem(x->s + x->at, x->len - x->at, "#}", 2);
    if (!end) {
        LEX_FAIL(x, tag, "a comment that begins here has no end");
        return;
    }
    size_t close = (size_t)(end - x->s);
    char sign = close > tag + 2 ? x->s[close - 1] : '\0';
    x->at = close + 2;
    cut_after(x, sign, true);
}

/* Whether a block at `at` is the tag `word` alone; *end is behind it, *sign what stands before its
 * end. */
static bool is_tag(const struct lexer *x, size_t at, const char *word, size_t *end, char *sign)
{
    size_t n = strlen(word);
    at += 2;
    if (at < x->len && (x->s[at] == '-' || x->s[at] == '+'))
        at++;
    at += jinja_space_before(x->s + at, x->len - at);
    if (x->len - at < n || memcmp(x->s + at, word, n) != 0)
        return false;
    at += n;
    at += jinja_space_before(x->s + at, x->len - at);
    *sign = at < x->len ? x->s[at] : '\0';
    if (*sign == '-' || *sign == '+')
        at++;
    *end = at + 2;
    return x->len - at >= 2 && memcmp(x->s + at, "%}", 2) == 0;
}

static void lex_raw(struct lexer *x, size_t tag, size_t body, char sign)
{
    size_t end;
    char last;
    x->at = body;
    if (sign == '-')
        x->at += jinja_space_before(x->s + x->at, x->len - x->at);
    size_t from = x->at;
    for (const char *s; (s = memmem(x->s + x->at, x->len - x->at, "{%", 2)); x->at++) {
        x->at = (size_t)(s - x->s);
        if (!is_tag(x, x->at, "endraw", &end, &last))
            continue;
        x->at_line_start = false;
        emit_text(x, from, cut_before(x, from, x->at));
        x->at = end;
        cut_after(x, last, true);
        return;
    }
    LEX_FAIL(x, tag, "raw has no endraw");
}

static void lex_all(struct lexer *x)
{
    x->at_line_start = true;
    while (x->rc == 0 && x->at < x->len) {
        size_t from = x->at, tag = from, end;
        char sign;
        for (;; tag++) {
            const char *brace = memchr(x->s + tag, '{', x->len - tag);
            tag = brace ? (size_t)(brace - x->s) : x->len;
            if (!brace || (tag + 1 < x->len && strchr("{%#", x->s[tag + 1]) && x->s[tag + 1]))
                break;
        }
        if (tag == x->len) {
            emit_text(x, from, tag);
            break;
        }
        emit_text(x, from, cut_before(x, from, tag));
        if (x->s[tag + 1] == '%' && is_tag(x, tag, "raw", &end, &sign)) {
            lex_raw(x, tag, end, sign);
            continue;
        }
        x->at = tag + 2;
        if (x->at < x->len && (x->s[x->at] == '-' || (x->s[x->at] == '+' && x->s[tag + 1] != '{')))
            x->at++;
        if (x->s[tag + 1] == '#')
            lex_comment(x, tag);
        else
            lex_tag(x, tag);
    }
    emit(x, T_END, x->len);
}

const struct jinja_token *jinja_lex(struct jinja *t, struct trit_error *err)
{
    struct lexer x = {.t = t, .err = err, .s = t->source.data, .len = t->source.len};
    lex_all(&x);
    if (t->pool.failed)
        no_memory(&x);
    return x.rc ? NULL : x.token;
}
