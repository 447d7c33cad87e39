/* SPDX-License-Identifier: MIT */
/*
 * json.c - the strict scan, and cJSON behind it.
 *
 * The scan is a loop over "what may come next" with one byte of stack for each open bracket; it
 * allocates nothing.  It decides what is JSON; cJSON afterwards only builds the tree.
 */
#include "config.h"
#include "server/json.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"

struct scan {
    const char *s;
    size_t len, at;
    unsigned depth;
    size_t nodes;
    char open[JSON_MAX_DEPTH]; /* '{' or '[' of every level */
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

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return -1;
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
    if (c->depth == JSON_MAX_DEPTH)
        return trit_fail(c->err, TRIT_EFORMAT, "JSON is nested deeper than %d levels at byte %zu",
                         JSON_MAX_DEPTH, c->at);
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
            if (++c->nodes > JSON_MAX_NODES)
                return trit_fail(c->err, TRIT_EFORMAT, "JSON holds more than %d values",
                                 JSON_MAX_NODES);
            fresh = ch == '{' || ch == '[';
            rc = fresh ? open_bracket(c, ch) : scan_plain(c);
            want = ch == '{' ? KEY : ch == '[' ? VALUE : BEHIND;
        }
        if (rc)
            return rc;
    } while (c->depth > floor || want != BEHIND);
    return 0;
}

int json_check(const char *text, size_t len, struct trit_error *err)
{
    struct scan c = {.s = text, .len = len, .err = err};
    int rc = scan_value(&c);
    if (rc)
        return rc;
    skip_space(&c);
    return c.at == c.len ? 0 : refuse(&c, "nothing behind the document");
}

/* Whether the quoted raw[0, len), which may hold escapes, spells name (plain ASCII). */
static bool spells(const char *raw, size_t len, const char *name)
{
    size_t i = 1;
    for (; *name; name++) {
        char ch = raw[i++];
        if (ch == '\\' && raw[i] == 'u') {
            int high = hex_digit(raw[i + 3]), low = hex_digit(raw[i + 4]);
            if (raw[i + 1] != '0' || raw[i + 2] != '0')
                return false;
            ch = (char)(high * 16 + low);
            i += 5;
        }
        if (ch != *name || i >= len)
            return false;
    }
    return i + 1 == len;
}

const char *json_member_text(const char *text, size_t len, const char *name, size_t *value_len)
{
    struct scan c = {.s = text, .len = len};
    skip_space(&c);
    if (look(&c) != '{')
        return NULL;
    do {
        c.at++; /* The brace, or a comma. */
        skip_space(&c);
        size_t key = c.at;
        if (look(&c) != '"' || scan_string(&c))
            return NULL;
        size_t key_len = c.at - key;
        skip_space(&c);
        c.at++; /* The colon. */
        skip_space(&c);
        size_t start = c.at;
        if (scan_value(&c))
            return NULL;
        if (spells(text + key, key_len, name)) {
            *value_len = c.at - start;
            return text + start;
        }
        skip_space(&c);
    } while (look(&c) == ',');
    return NULL;
}

/* ------------------------------------------------------------------ the tree */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A member's name that occurs twice in this object, or NULL.  Names are sorted, because an object
 * of a hundred thousand members may come from anyone. */
static int find_twice(const cJSON *object, const char **twice)
{
    size_t n = 0, i = 0;
    *twice = NULL;
    for (const cJSON *m = object->child; m; m = m->next)
        n++;
    if (n < 2)
        return 0;
    const char **names = mem_zalloc(n, sizeof *names);
    if (!names)
        return -TRIT_ENOMEM;
    for (const cJSON *m = object->child; m; m = m->next)
        names[i++] = m->string;
    qsort(names, n, sizeof *names, by_name);
    for (i = 1; i < n && !*twice; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            *twice = names[i];
    mem_free(names);
    return 0;
}

/* Depth is bounded by the scan. */
static int check_members(const cJSON *v, struct trit_error *err)
{
    const char *twice = NULL;
    int rc = cJSON_IsObject(v) ? find_twice(v, &twice) : 0;
    if (rc)
        return trit_fail(err, TRIT_ENOMEM, "no memory to read the request");
    if (twice)
        return trit_fail(err, TRIT_EFORMAT, "the member \"%.60s\" stands twice in one object",
                         twice);
    for (const cJSON *m = v->child; m && rc == 0; m = m->next)
        if (m->child)
            rc = check_members(m, err);
    return rc;
}

static void *tree_alloc(size_t bytes)
{
    return mem_zalloc(1, bytes);
}

int json_parse(const char *text, size_t len, struct cJSON **doc, struct trit_error *err)
{
    *doc = NULL;
    int rc = json_check(text, len, err);
    if (rc)
        return rc;
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = tree_alloc, .free_fn = mem_free});
    cJSON *tree = cJSON_ParseWithLength(text, len);
    /* What the scan lets through is JSON, so only memory can be missing. */
    if (!tree)
        return trit_fail(err, TRIT_ENOMEM, "no memory to read the request");
    rc = check_members(tree, err);
    if (rc) {
        cJSON_Delete(tree);
        return rc;
    }
    *doc = tree;
    return 0;
}
