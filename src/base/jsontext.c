/* SPDX-License-Identifier: MIT */
/*
 * jsontext.c - the strict scan, and the walk behind it.
 *
 * The scan is a loop over "what may come next" with one byte of stack for each open bracket.  The
 * walk trusts it: it looks for the end of a value by brackets and quotes alone.
 */
#include "config.h"
#include "base/jsontext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/hex.h"
#include "base/utf8.h"

struct scan {
    const char *s;
    size_t len, at;
    unsigned depth;
    size_t values, max_values;
    char open[JSONTEXT_MAX_DEPTH]; /* '{' or '[' of every level */
    struct trit_error *err;
};

static char look(const struct scan *c)
{
    return c->at < c->len ? c->s[c->at] : '\0';
}

static int refuse(const struct scan *c, const char *what)
{
    if (c->at == c->len)
        return trit_fail(c->err, TRIT_EFORMAT, "not JSON: the text ends at byte %zu, expected %s",
                         c->at, what);
    unsigned char found = (unsigned char)c->s[c->at];
    if (found > 0x20 && found < 0x7f)
        return trit_fail(c->err, TRIT_EFORMAT, "not JSON: found '%c' at byte %zu, expected %s",
                         found, c->at, what);
    return trit_fail(c->err, TRIT_EFORMAT, "not JSON: found byte 0x%02x at byte %zu, expected %s",
                     found, c->at, what);
}

static void skip_space(struct scan *c)
{
    while (c->at < c->len && strchr(" \t\r\n", c->s[c->at]) && c->s[c->at])
        c->at++;
}

/* Four hexadecimal digits. */
static int scan_unit(struct scan *c, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        int d = hex_digit(look(c));
        if (d < 0)
            return refuse(c, "four hexadecimal digits after \\u");
        *unit = *unit * 16 + (unsigned)d;
    }
    return 0;
}

/* Behind a backslash. */
static int scan_escape(struct scan *c)
{
    char ch = look(c);
    if (ch != 'u') {
        if (!ch || !strchr("\"\\/bfnrt", ch))
            return refuse(c, "one of \" \\ / b f n r t u after a backslash");
        c->at++;
        return 0;
    }
    size_t start = c->at - 1;
    unsigned unit, low;
    c->at++;
    int rc = scan_unit(c, &unit);
    if (rc)
        return rc;
    if (unit == 0) {
        c->at = start;
        return refuse(c, "no \\u0000: texts with NUL are not accepted");
    }
    if (unit < 0xd800 || unit > 0xdfff)
        return 0;
    if (unit > 0xdbff || look(c) != '\\' || c->at + 1 >= c->len || c->s[c->at + 1] != 'u') {
        c->at = start;
        return refuse(c, "a high surrogate followed by \\u and a low one");
    }
    c->at += 2;
    rc = scan_unit(c, &low);
    if (rc == 0 && (low < 0xdc00 || low > 0xdfff)) {
        c->at = start;
        rc = refuse(c, "a low surrogate after the high one");
    }
    return rc;
}

static int scan_string(struct scan *c)
{
    c->at++; /* The opening quote. */
    while (c->at < c->len) {
        unsigned char ch = (unsigned char)c->s[c->at];
        if (ch == '"') {
            c->at++;
            return 0;
        }
        if (ch < 0x20)
            return refuse(c, "control characters in strings to be escaped");
        if (ch == '\\') {
            c->at++;
            int rc = scan_escape(c);
            if (rc)
                return rc;
        } else if (ch < 0x80) {
            c->at++;
        } else {
            int n = utf8_scan(c->s + c->at, c->len - c->at);
            if (n <= 0)
                return refuse(c, "valid UTF-8");
            c->at += (size_t)n;
        }
    }
    return refuse(c, "the closing quote of a string");
}

static int scan_digits(struct scan *c)
{
    if (look(c) < '0' || look(c) > '9')
        return refuse(c, "a digit");
    while (look(c) >= '0' && look(c) <= '9')
        c->at++;
    return 0;
}

static int scan_number(struct scan *c)
{
    if (look(c) == '-')
        c->at++;
    if (look(c) == '0') {
        c->at++;
        if (look(c) >= '0' && look(c) <= '9')
            return refuse(c, "no digit after a leading zero");
    } else {
        int rc = scan_digits(c);
        if (rc)
            return rc;
    }
    if (look(c) == '.') {
        c->at++;
        int rc = scan_digits(c);
        if (rc)
            return rc;
    }
    if (look(c) == 'e' || look(c) == 'E') {
        c->at++;
        if (look(c) == '+' || look(c) == '-')
            c->at++;
        return scan_digits(c);
    }
    return 0;
}

static int scan_word(struct scan *c, const char *word)
{
    size_t n = strlen(word);
    if (c->len - c->at < n || memcmp(c->s + c->at, word, n) != 0)
        return refuse(c, "a value");
    c->at += n;
    return 0;
}

/* Anything but a bracket. */
static int scan_plain(struct scan *c)
{
    switch (look(c)) {
    case '"':
        return scan_string(c);
    case 't':
        return scan_word(c, "true");
    case 'f':
        return scan_word(c, "false");
    case 'n':
        return scan_word(c, "null");
    default:
        if (look(c) != '-' && (look(c) < '0' || look(c) > '9'))
            return refuse(c, "a value");
        return scan_number(c);
    }
}

static int scan_key(struct scan *c)
{
    if (look(c) != '"')
        return refuse(c, "a member name in quotes");
    int rc = scan_string(c);
    if (rc)
        return rc;
    skip_space(c);
    if (look(c) != ':')
        return refuse(c, "a colon");
    c->at++;
    return 0;
}

static int open_bracket(struct scan *c, char bracket)
{
    if (c->depth == JSONTEXT_MAX_DEPTH)
        return trit_fail(c->err, TRIT_EFORMAT, "JSON is nested deeper than %d levels at byte %zu",
                         JSONTEXT_MAX_DEPTH, c->at);
    c->open[c->depth++] = bracket;
    c->at++;
    return 0;
}

/* One value from c->at on, with all that is inside it. */
static int scan_value(struct scan *c)
{
    unsigned floor = c->depth;
    enum { VALUE, KEY, BEHIND } want = VALUE;
    bool fresh = false; /* behind an opening bracket, where a closing one may follow */
    do {
        skip_space(c);
        char ch = look(c);
        bool in_object = c->depth > floor && c->open[c->depth - 1] == '{';
        char closing = in_object ? '}' : ']';
        int rc = 0;
        if (c->depth > floor && ch == closing && (want == BEHIND || fresh)) {
            c->depth--;
            c->at++;
            want = BEHIND;
            fresh = false;
        } else if (want == BEHIND) {
            if (ch != ',')
                return refuse(c, in_object ? "a comma or '}'" : "a comma or ']'");
            c->at++;
            want = in_object ? KEY : VALUE;
        } else if (want == KEY) {
            rc = scan_key(c);
            want = VALUE;
            fresh = false;
        } else {
            if (++c->values > c->max_values)
                return trit_fail(c->err, TRIT_EFORMAT, "JSON holds more than %zu values",
                                 c->max_values);
            fresh = ch == '{' || ch == '[';
            rc = fresh ? open_bracket(c, ch) : scan_plain(c);
            want = ch == '{' ? KEY : ch == '[' ? VALUE : BEHIND;
        }
        if (rc)
            return rc;
    } while (c->depth > floor || want != BEHIND);
    return 0;
}

int jsontext_check(const char *text, size_t len, size_t max_values, struct trit_error *err)
{
    struct scan c = {.s = text, .len = len, .max_values = max_values, .err = err};
    int rc = scan_value(&c);
    if (rc)
        return rc;
    skip_space(&c);
    return c.at == c.len ? 0 : refuse(&c, "nothing behind the document");
}

/* ------------------------------------------------------------------ the walk */

static const char *skip(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
        p++;
    return p;
}

/* Behind the string that begins at p. */
static const char *behind_string(const char *p)
{
    for (p++; *p != '"'; p++)
        p += *p == '\\';
    return p + 1;
}

/* Behind the value that begins at p.  Only brackets outside of strings count. */
static const char *behind(const char *p)
{
    unsigned depth = 0;
    do {
        if (*p == '"') {
            p = behind_string(p);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else if (depth) {
            p++;
        } else {
            p += strspn(p, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
        }
    } while (depth);
    return p;
}

static struct jsontext value_at(const char *p)
{
    return (struct jsontext){p, (size_t)(behind(p) - p)};
}

struct jsontext jsontext_document(const char *text, size_t len)
{
    struct jsontext v = value_at(skip(text));
    trit_assert(v.at + v.len <= text + len);
    return v;
}

enum jsontext_kind jsontext_kind(struct jsontext v)
{
    switch (*v.at) {
    case '{':
        return JSONTEXT_OBJECT;
    case '[':
        return JSONTEXT_ARRAY;
    case '"':
        return JSONTEXT_STRING;
    case 't':
    case 'f':
        return JSONTEXT_BOOL;
    case 'n':
        return JSONTEXT_NULL;
    default:
        return JSONTEXT_NUMBER;
    }
}

const char *jsontext_kind_name(enum jsontext_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}

struct jsontext_walk jsontext_begin(struct jsontext v)
{
    trit_assert(*v.at == '{' || *v.at == '[');
    return (struct jsontext_walk){v.at + 1, *v.at == '{'};
}

bool jsontext_next(struct jsontext_walk *w, struct jsontext *key, struct jsontext *value)
{
    const char *p = skip(w->at);
    if (*p == ',')
        p = skip(p + 1);
    if (*p == '}' || *p == ']')
        return false;
    if (w->object) {
        *key = value_at(p);
        p = skip(skip(p + key->len) + 1); /* The colon. */
    }
    *value = value_at(p);
    w->at = p + value->len;
    return true;
}

/* The four digits behind \u, which are there. */
static uint32_t unit_at(const char *p)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit * 16 + (uint32_t)hex_digit(p[i]);
    return unit;
}

/* The character at *p of a string, escaped or not, as UTF-8; how many bytes. */
static unsigned take_char(const char **p, char dst[4])
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    uint32_t cp;
    if (**p != '\\') {
        dst[0] = *(*p)++;
        return 1;
    }
    char ch = (*p)[1];
    *p += 2;
    if (ch != 'u') {
        const char *letter = strchr(letters, ch);
        dst[0] = letter ? meant[letter - letters] : ch;
        return 1;
    }
    cp = unit_at(*p);
    *p += 4;
    if (cp >= 0xd800 && cp <= 0xdbff) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + (unit_at(*p + 2) - 0xdc00);
        *p += 6;
    }
    return utf8_encode(dst, cp);
}

bool jsontext_is(struct jsontext string, const char *name)
{
    const char *p = string.at + 1, *end = string.at + string.len - 1;
    char bytes[4];
    while (p < end) {
        unsigned n = take_char(&p, bytes);
        if (strncmp(name, bytes, n) != 0)
            return false;
        name += n;
    }
    return *name == '\0';
}

bool jsontext_equal(struct jsontext a, struct jsontext b)
{
    const char *p = a.at + 1, *p_end = a.at + a.len - 1, *q = b.at + 1, *q_end = b.at + b.len - 1;
    char x[4], y[4];
    unsigned n = 0, m = 0, i = 0, k = 0;
    /* A byte of each at a time: one may have escapes where the other has not. */
    for (;; i++, k++) {
        if (i == n && p < p_end) {
            n = take_char(&p, x);
            i = 0;
        }
        if (k == m && q < q_end) {
            m = take_char(&q, y);
            k = 0;
        }
        if (i == n || k == m)
            return i == n && k == m;
        if (x[i] != y[k])
            return false;
    }
}

void jsontext_string(struct jsontext string, struct buf *out)
{
    const char *p = string.at + 1, *end = string.at + string.len - 1;
    char bytes[4];
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p)), *plain = escape ? escape : end;
        buf_add(out, p, (size_t)(plain - p));
        p = plain;
        if (p < end) {
            unsigned n = take_char(&p, bytes);
            buf_add(out, bytes, n);
        }
    }
}

int jsontext_member(struct jsontext object, const char *name, struct jsontext *value)
{
    struct jsontext key = {"\"\"", 2}, v; /* A walk over an object sets both. */
    bool found = false;
    *value = (struct jsontext){"null", 4};
    if (jsontext_kind(object) != JSONTEXT_OBJECT)
        return -TRIT_ENOENT;
    struct jsontext_walk w = jsontext_begin(object);
    while (jsontext_next(&w, &key, &v)) {
        if (!jsontext_is(key, name))
            continue;
        if (found)
            return -TRIT_EFORMAT;
        found = true;
        *value = v;
    }
    return found ? 0 : -TRIT_ENOENT;
}

bool jsontext_uint(struct jsontext v, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.at[i] < '0' || v.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(v.at[i] - '0'), &n))
            return false;
    }
    *out = n;
    return true;
}

double jsontext_number(struct jsontext v)
{
    trit_assert(jsontext_kind(v) == JSONTEXT_NUMBER);
    return strtod(v.at, NULL); /* The locale is "C": nobody calls setlocale. */
}

bool jsontext_true(struct jsontext v)
{
    return *v.at == 't';
}
