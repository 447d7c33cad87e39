/* SPDX-License-Identifier: MIT */
/*
 * regex.c - reading a pattern.
 *
 * Recursive descent with a bounded depth.  What is read becomes a small tree, because lengths and
 * anchors are known only at the end.
 */
#include "config.h"
#include "server/regex.h"

#include <string.h>

#include "base/base.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "server/regex-parts.h"

/* \s of ECMAScript: white space and line ends. */
static const struct regex_range spaces[] = {
    {'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
    {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff},
};
static const struct regex_range digits[] = {{'0', '9'}};
static const struct regex_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct regex_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

static int parse_choice(struct regex *r, uint32_t *node);

static int wrong(const struct regex *r, size_t at, const char *what)
{
    return trit_fail(r->err, TRIT_EINVAL, "at byte %zu of the pattern: %s", at, what);
}

static int unsupported(const struct regex *r, size_t at, const char *what)
{
    return trit_fail(r->err, TRIT_EUNSUPP, "at byte %zu of the pattern: %s not supported", at,
                     what);
}

static char look(const struct regex *r, size_t ahead)
{
    return ahead < r->len - r->at ? r->s[r->at + ahead] : '\0';
}

static bool begins_with(const struct regex *r, const char *word)
{
    size_t n = strlen(word);
    return r->len - r->at >= n && memcmp(r->s + r->at, word, n) == 0;
}

/* The set of the ranges from `from` on, which was read from `at` on. */
static int make_set(struct regex *r, uint32_t from, bool negated, size_t at, uint32_t *node)
{
    r->err->text[0] = '\0';
    int rc = regex_set(r, from, negated, node);
    return rc == -TRIT_EINVAL && !r->err->text[0] ? wrong(r, at, "no character can match") : rc;
}

/* ------------------------------------------------------------------ characters */

/* n hexadecimal digits at r->at; false when they are not there. */
static bool read_hex(struct regex *r, unsigned n, uint32_t *cp)
{
    *cp = 0;
    for (unsigned i = 0; i < n; i++) {
        int d = hex_digit(look(r, i));
        if (d < 0)
            return false;
        *cp = *cp * 16 + (uint32_t)d;
    }
    r->at += n;
    return true;
}

/* Behind \u. */
static int read_unicode(struct regex *r, size_t at, uint32_t *cp)
{
    uint32_t low;
    if (look(r, 0) == '{') {
        unsigned n = 1;
        while (hex_digit(look(r, n)) >= 0 && n < 8)
            n++;
        r->at++;
        if (n == 1 || !read_hex(r, n - 1, cp) || look(r, 0) != '}' || *cp > 0x10ffff)
            return wrong(r, at, "expected \\u{...} with a code point in it");
        r->at++;
    } else if (!read_hex(r, 4, cp)) {
        return wrong(r, at, "expected four hexadecimal digits after \\u");
    } else if (*cp >= 0xd800 && *cp <= 0xdbff && begins_with(r, "\\u")) {
        r->at += 2;
        if (!read_hex(r, 4, &low) || low < 0xdc00 || low > 0xdfff)
            return wrong(r, at, "expected a low surrogate after the high one");
        *cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
    }
    if (*cp >= 0xd800 && *cp <= 0xdfff)
        return wrong(r, at, "a surrogate alone is no character");
    return 0;
}

/*
 * Behind a backslash.  A class adds its ranges and sets *class; else the character is in *cp.
 */
static int read_escape(struct regex *r, uint32_t *cp, bool *class)
{
    static const char plain[] = "t\tn\nr\rf\fv\v";
    size_t at = r->at - 1;
    if (r->at == r->len)
        return wrong(r, at, "a backslash at the end");
    char ch = r->s[r->at++];
    *class = true;
    *cp = 0; /* a class is no single character */
    switch (ch) {
    case 'd':
    case 'D':
        return regex_add_class(r, digits, ARRAY_LEN(digits), ch == 'D');
    case 'w':
    case 'W':
        return regex_add_class(r, words, ARRAY_LEN(words), ch == 'W');
    case 's':
    case 'S':
        return regex_add_class(r, spaces, ARRAY_LEN(spaces), ch == 'S');
    case 'b':
    case 'B':
        return unsupported(r, at, "word boundaries are");
    case 'A':
    case 'Z':
    case 'z':
    case 'G':
        return unsupported(r, at, "anchors other than ^ and $ are");
    case 'p':
    case 'P':
        return unsupported(r, at, "Unicode properties are");
    case 'k':
        return unsupported(r, at, "back-references are");
    default:
        break;
    }
    if (ch >= '0' && ch <= '9')
        return unsupported(r, at, ch == '0' ? "U+0000 is" : "back-references are");
    *class = false;
    if (ch == 'u')
        return read_unicode(r, at, cp);
    if (ch == 'x')
        return read_hex(r, 2, cp) ? 0 : wrong(r, at, "expected two hexadecimal digits after \\x");
    for (size_t i = 0; plain[i]; i += 2)
        if (ch == plain[i]) {
            *cp = (unsigned char)plain[i + 1];
            return 0;
        }
    if ((unsigned char)ch >= 0x80 || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z'))
        return wrong(r, at, "a backslash before a character that needs none");
    *cp = (unsigned char)ch;
    return 0;
}

/* One character as it stands; the text is valid UTF-8. */
static void read_plain(struct regex *r, uint32_t *cp)
{
    r->at += utf8_decode(r->s + r->at, r->len - r->at, cp);
}

/* One element of a class in brackets. */
static int read_member(struct regex *r, uint32_t *cp, bool *class)
{
    *class = false;
    if (look(r, 0) == '\\') {
        r->at++;
        if (look(r, 0) == 'b') { /* which is a backspace here */
            r->at++;
            *cp = '\b';
            return 0;
        }
        return read_escape(r, cp, class);
    }
    if (begins_with(r, "[:"))
        return unsupported(r, r->at, "POSIX classes are");
    read_plain(r, cp);
    return 0;
}

/* Behind '['. */
static int parse_brackets(struct regex *r, uint32_t *node)
{
    size_t at = r->at - 1;
    uint32_t from = r->n_ranges, lo, hi;
    bool negated = look(r, 0) == '^', class;
    r->at += negated;
    if (look(r, 0) == ']')
        return wrong(r, at, "an empty class; a bracket in it is written \\]");
    while (r->at < r->len && look(r, 0) != ']') {
        size_t start = r->at;
        int rc = read_member(r, &lo, &class);
        if (rc)
            return rc;
        hi = lo;
        if (look(r, 0) == '-' && look(r, 1) != ']' && r->at + 1 < r->len) {
            if (class)
                return wrong(r, start, "a range cannot begin with a class");
            r->at++;
            rc = read_member(r, &hi, &class);
            if (rc)
                return rc;
            if (class || hi < lo)
                return wrong(r, start, "a range must end with a character not below its first");
        }
        if (!class && (rc = regex_add_range(r, lo, hi)))
            return rc;
    }
    if (r->at == r->len)
        return wrong(r, at, "a class without its closing bracket");
    r->at++;
    return make_set(r, from, negated, at, node);
}

/* ------------------------------------------------------------------ groups and repeats */

/* Behind '('. */
static int parse_group(struct regex *r, uint32_t *node)
{
    size_t at = r->at - 1;
    if (begins_with(r, "?:")) {
        r->at += 2;
    } else if (begins_with(r, "?=") || begins_with(r, "?!") || begins_with(r, "?<=") ||
               begins_with(r, "?<!")) {
        return unsupported(r, at, "look-around is");
    } else if (begins_with(r, "?<") || begins_with(r, "?P<")) {
        const char *end = memchr(r->s + r->at, '>', r->len - r->at);
        if (!end)
            return wrong(r, at, "a group's name without its '>'");
        r->at = (size_t)(end - r->s) + 1;
    } else if (begins_with(r, "?>")) {
        return unsupported(r, at, "atomic groups are");
    } else if (begins_with(r, "?P=")) {
        return unsupported(r, at, "back-references are");
    } else if (look(r, 0) == '?') {
        return unsupported(r, at, "inline flags are");
    }
    if (++r->depth > REGEX_DEPTH)
        return trit_fail(r->err, TRIT_EINVAL,
                         "at byte %zu of the pattern: groups are nested deeper than %d levels", at,
                         REGEX_DEPTH);
    int rc = parse_choice(r, node);
    if (rc)
        return rc;
    if (look(r, 0) != ')' || r->at == r->len)
        return wrong(r, at, "a group without its closing parenthesis");
    r->at++;
    r->depth--;
    return 0;
}

static int parse_atom(struct regex *r, uint32_t *node)
{
    size_t at = r->at;
    uint32_t from = r->n_ranges, cp;
    bool class = false;
    int rc = 0;
    switch (look(r, 0)) {
    case '(':
        r->at++;
        return parse_group(r, node);
    case '[':
        r->at++;
        return parse_brackets(r, node);
    case '*':
    case '+':
    case '?':
    case '{':
        return wrong(r, at, "a repeat of nothing");
    case '^':
        return unsupported(r, at, "an anchor that is not at the beginning is");
    case '$':
        return unsupported(r, at, "an anchor that is not at the end is");
    case '.':
        r->at++;
        rc = regex_add_class(r, line_ends, ARRAY_LEN(line_ends), true);
        break;
    case '\\':
        r->at++;
        rc = read_escape(r, &cp, &class);
        if (rc == 0 && !class)
            rc = regex_add_range(r, cp, cp);
        break;
    default:
        read_plain(r, &cp);
        rc = regex_add_range(r, cp, cp);
    }
    return rc ? rc : make_set(r, from, false, at, node);
}

/* Digits, at most REGEX_REPEAT; false when there are none. */
static bool read_count(struct regex *r, uint64_t *n)
{
    size_t start = r->at;
    for (*n = 0; look(r, 0) >= '0' && look(r, 0) <= '9'; r->at++)
        *n = MIN(*n * 10 + (uint64_t)(look(r, 0) - '0'), (uint64_t)REGEX_REPEAT + 1);
    return r->at > start;
}

/* Sets *least and *most; both 1 when there is no repeat here. */
static int read_repeat(struct regex *r, uint64_t *least, uint64_t *most)
{
    size_t at = r->at;
    char ch = look(r, 0);
    *least = *most = 1;
    if (ch != '*' && ch != '+' && ch != '?' && ch != '{')
        return 0;
    r->at++;
    if (ch != '{') {
        *least = ch == '+';
        *most = ch == '?' ? 1 : REGEX_ENDLESS;
    } else {
        if (!read_count(r, least))
            return wrong(r, at, "expected {m}, {m,} or {m,n}; a brace itself is written \\{");
        *most = *least;
        if (look(r, 0) == ',') {
            r->at++;
            if (!read_count(r, most))
                *most = REGEX_ENDLESS;
        }
        if (look(r, 0) != '}')
            return wrong(r, at, "expected {m}, {m,} or {m,n}; a brace itself is written \\{");
        r->at++;
        if (*least > REGEX_REPEAT || (*most > REGEX_REPEAT && *most != REGEX_ENDLESS))
            return trit_fail(r->err, TRIT_EINVAL,
                             "at byte %zu of the pattern: a repeat of more than %d", at,
                             REGEX_REPEAT);
        if (*most < *least)
            return wrong(r, at, "a repeat whose numbers are in the wrong order");
    }
    if (look(r, 0) == '?')
        r->at++; /* Lazy: the same texts. */
    else if (look(r, 0) == '+')
        return unsupported(r, r->at, "possessive repeats are");
    if (look(r, 0) == '*' || look(r, 0) == '+' || look(r, 0) == '?' || look(r, 0) == '{')
        return wrong(r, r->at, "a repeat of a repeat needs a group");
    return 0;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    return a == 0 || b == 0 ? 0 : a > REGEX_ENDLESS / b ? REGEX_ENDLESS : a * b;
}

static int parse_repeated(struct regex *r, uint32_t *node)
{
    uint64_t least, most;
    uint32_t inner;
    int rc = parse_atom(r, &inner);
    if (rc == 0)
        rc = read_repeat(r, &least, &most);
    if (rc)
        return rc;
    *node = inner;
    if (least == 1 && most == 1)
        return 0;
    rc = regex_add_node(r, REGEX_REPEATED, node);
    if (rc)
        return rc;
    struct regex_node *n = &r->node[*node], *of = &r->node[inner];
    n->child = inner;
    n->least = least;
    n->most = most;
    n->shortest = times(of->shortest, least);
    n->longest = times(of->longest, most);
    return 0;
}

/* One alternative.  Anchors belong to the whole: only there are they looked for. */
static int parse_sequence(struct regex *r, uint32_t *node)
{
    bool whole = r->depth == 0;
    int rc = regex_add_node(r, REGEX_SEQUENCE, node);
    if (rc)
        return rc;
    uint32_t last = 0, one;
    if (whole && look(r, 0) == '^') {
        r->node[*node].begins = true;
        r->at++;
    }
    while (r->at < r->len && look(r, 0) != '|' && look(r, 0) != ')') {
        if (whole && look(r, 0) == '$' && (r->at + 1 == r->len || look(r, 1) == '|')) {
            r->node[*node].ends = true;
            r->at++;
            break;
        }
        rc = parse_repeated(r, &one);
        if (rc)
            return rc;
        struct regex_node *n = &r->node[*node];
        if (last)
            r->node[last].next = one;
        else
            n->child = one;
        last = one;
        n->shortest = regex_plus(n->shortest, r->node[one].shortest);
        n->longest = regex_plus(n->longest, r->node[one].longest);
    }
    return 0;
}

static int parse_choice(struct regex *r, uint32_t *node)
{
    uint32_t last = 0, one;
    int rc = regex_add_node(r, REGEX_CHOICE, node);
    if (rc)
        return rc;
    r->node[*node].shortest = REGEX_ENDLESS;
    for (;;) {
        rc = parse_sequence(r, &one);
        if (rc)
            return rc;
        struct regex_node *n = &r->node[*node];
        if (last)
            r->node[last].next = one;
        else
            n->child = one;
        last = one;
        n->shortest = MIN(n->shortest, r->node[one].shortest);
        n->longest = MAX(n->longest, r->node[one].longest);
        if (look(r, 0) != '|')
            return 0;
        r->at++;
    }
}

int regex_to_grammar(const char *pattern, size_t len, const struct regex_want *want,
                     struct buf *rules, struct buf *expr, struct trit_error *err)
{
    struct trit_error none = {0};
    struct regex r = {.s = pattern, .len = len, .err = err ? err : &none};
    uint32_t top;
    if (len > REGEX_BYTES)
        return trit_fail(err, TRIT_EINVAL, "the pattern has %zu bytes, at most %d are allowed", len,
                         REGEX_BYTES);
    if (!utf8_valid(pattern, len))
        return trit_fail(err, TRIT_EINVAL, "the pattern is not UTF-8");
    int rc = regex_add_node(&r, REGEX_SEQUENCE, &top); /* node 0 */
    if (rc == 0)
        rc = parse_choice(&r, &top);
    if (rc == 0 && r.at < r.len)
        rc = wrong(&r, r.at, "a closing parenthesis without a group");
    if (rc == 0)
        rc = regex_write(&r, top, want, rules, expr);
    mem_free(r.node);
    mem_free(r.range);
    return rc;
}
