/* SPDX-License-Identifier: MIT */
/*
 * check_grammar.c - grammars: what is refused and where, what is accepted, against a matcher that
 * works in another way, and masks against trying every token.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/grammar.h"
#include "grammar-make.h"
#include "tok-file.h"

static uint64_t seed;

static uint32_t pick(uint32_t n)
{
    return (uint32_t)(unit_random(&seed) >> 33) % n;
}

static struct grammar *compile(const char *text)
{
    struct grammar *g;
    struct trit_error err;
    ck_assert_msg(grammar_compile(text, strlen(text), NULL, &g, &err) == 0, "%s in: %s", err.text,
                  text);
    return g;
}

static struct grammar_state *begin(const char *text)
{
    struct grammar *g = compile(text);
    struct grammar_state *st = grammar_state_new(g);
    ck_assert_ptr_nonnull(st);
    grammar_unref(g); /* the state has its own */
    return st;
}

/* ------------------------------------------------------------------ what is refused */

static const struct {
    const char *text, *place, *word;
} wrong[] = {
    {"", "line 1, column 1:", "no rule root"},
    {"a ::= \"x\"", "line 1, column 1:", "no rule root"},
    {"root ::= \"x\"\nroot ::= \"y\"", "line 2, column 1:", "defined twice"},
    {"root ::= \"x\"\n  | other", "line 2, column 5:", "other is not defined"},
    {"root \"x\"", "line 1, column 6:", "\"::=\""},
    {"root ::= \"x", "line 1, column 12:", "found the end"},
    {"root ::= \"\\q\"", "line 1, column 12:", "found 'q'"},
    {"root ::= \"\\x4\"", "line 1, column 14:", "hexadecimal"},
    {"root ::= \"\\ud800\"", "line 1, column 11:", "U+D800"},
    {"root ::= \"\\U00110000\"", "line 1, column 11:", "U+110000"},
    {"root ::= [a", "line 1, column 12:", "closing"},
    {"root ::= []", "line 1, column 10:", "no character"},
    {"root ::= [\\U00010000-\\U0010ffff] [^\\x00-\\U0010ffff]",
     "line 1, column 34:", "no character"},
    {"root ::= [z-a]", "line 1, column 11:", "wrong way round"},
    {"root ::= (\"a\"", "line 1, column 14:", "\")\""},
    {"root ::= \"a\")", "line 1, column 13:", "found ')'"},
    {"root ::= \"a\" { }", "line 1, column 16:", "a number"},
    {"root ::= \"a\"{2", "line 1, column 15:", "\"}\""},
    {"root ::= \"a\"{3,2}", "line 1, column 13:", "at least 3 times but at most 2"},
    {"root ::= \"a\"{70000}", "line 1, column 14:", "more than 65536"},
    {"root ::= \"a\"{99999999999999999999}", "line 1, column 14:", "more than 65536"},
    {"root ::= *", "line 1, column 10:", "found '*'"},
    {"root ::= \"\xc3\xa9\xc3\xa9\" %", "line 1, column 15:", "found '%'"},
    {"root ::= \"\xc3\"", "line 1, column 11:", "not UTF-8"},
    {"root ::= \"a\" \x01", "line 1, column 14:", "control character 0x01"},
    {"root ::= root \"a\" | \"b\"", "line 1, column 1:", "left-recursive"},
    {"root ::= a\na ::= e? b\nb ::= e* (\"x\"* a) | \"y\"\ne ::= \"\"",
     "line 2, column 1:", "a is left-recursive"},
    {"root ::= \"a\" root", "line 1, column 1:", "never comes to an end"},
    {"root ::= \"a\" | b\n# c\nb ::= \"b\" c\nc ::= [c] b",
     "line 4, column 1:", "c never comes to an end"},
};

START_TEST(refusals)
{
    struct trit_error err = {0};
    struct grammar *g = (struct grammar *)&err;
    int rc = grammar_compile(wrong[_i].text, strlen(wrong[_i].text), NULL, &g, &err);
    ck_assert_msg(rc == -TRIT_EINVAL || rc == -TRIT_ETOOBIG, "%d for: %s", rc, wrong[_i].text);
    ck_assert_ptr_null(g);
    ck_assert_msg(strncmp(err.text, wrong[_i].place, strlen(wrong[_i].place)) == 0,
                  "found \"%s\", expected %s for: %s", err.text, wrong[_i].place, wrong[_i].text);
    ck_assert_msg(strstr(err.text, wrong[_i].word) != NULL, "found \"%s\", expected \"%s\"",
                  err.text, wrong[_i].word);
}
END_TEST

static void add_many(struct buf *b, const char *what, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        buf_adds(b, what);
}

/* What looks small and is not, and what is simply large. */
static void make_bomb(unsigned which, struct buf *b)
{
    static const char *const small[] = {
        "root ::= \"a\"{60000,}{60000,}",
        "root ::= (((((\"a\"{9}){9}){9}){9}){9}){9}",
        "root ::= (((((\"\"{60000}){60000}){60000}){60000}){60000}){60000}",
        "root ::= (((((e{60000}){60000}){60000}){60000}){60000}){60000}\ne ::= ",
        "root ::= (((\"a\"?){60000})*){60000}",
        "root ::= (\"a\"?){60000}",
        "root ::= .{60000}",
        "root ::= [^\\u0400-\\u0500]{9000}",
    };
    if (which < ARRAY_LEN(small)) {
        buf_adds(b, small[which]);
        return;
    }
    buf_adds(b, "root ::= ");
    switch (which - ARRAY_LEN(small)) {
    case 0:
        add_many(b, "(", 100000);
        break;
    case 1:
        buf_adds(b, "\"a\"");
        add_many(b, "?", 100000);
        break;
    case 2:
        add_many(b, "(\"a\"|", 100);
        break;
    case 3:
        for (unsigned i = 0; i < 5000; i++)
            buf_addf(b, "\"x\"\nr%u ::= ", i);
        break;
    case 4:
        add_many(b, "(\"a\"|\"\")", 30000);
        break;
    default:
        add_many(b, "[\\u0000-\\uffff]", 30000);
        break;
    }
}
enum { BOMBS = 14 };

START_TEST(bombs)
{
    struct buf b = {0};
    struct trit_error err = {0};
    struct grammar *g;
    make_bomb((unsigned)_i, &b);
    int rc = grammar_compile(b.data, b.len, NULL, &g, &err);
    ck_assert_msg(rc == -TRIT_ETOOBIG, "%d, %s", rc, err.text);
    ck_assert_msg(strncmp(err.text, "line ", 5) == 0, "%s", err.text);
    buf_free(&b);
}
END_TEST

START_TEST(no_memory)
{
    const char *text = "root ::= \"[\" (a (\",\" a)*)? \"]\"\na ::= [0-9]{1,3} | root";
    unsigned n = 0;
    for (bool struck = true; struck;) {
        struct trit_error err = {0};
        struct grammar *g = NULL;
        struct grammar_state *st = NULL;
        mem_fail_at(++n);
        int rc = grammar_compile(text, strlen(text), NULL, &g, &err);
        if (rc == 0)
            st = grammar_state_new(g);
        struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert(rc == 0 || (rc == -TRIT_ENOMEM && struck && g == NULL));
        ck_assert(struck || st);
        grammar_state_free(st);
        grammar_unref(g);
    }
    ck_assert_uint_gt(n, 20);
}
END_TEST

/* ------------------------------------------------------------------ what is accepted */

#define JSON                                                                                       \
    "root ::= object\n"                                                                            \
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"          \
    "object ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws value)*)? \"}\" ws\n"    \
    "array ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\n"                                     \
    "string ::= \"\\\"\" ([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" "            \
    "[0-9a-fA-F]{4}))* \"\\\"\" ws\n"                                                              \
    "number ::= \"-\"? ([0-9] | [1-9] [0-9]{0,15}) (\".\" [0-9]+)? ([eE] [-+]? [1-9] "             \
    "[0-9]{0,15})? ws\n"                                                                           \
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n"

static const struct {
    const char *grammar, *text;
    bool whole;
} accepted[] = {
    {"root ::= \"\"", "", true},
    {"root ::= \"a\" | ", "", true},
    {"root ::= (\"a\" | )", "a", true},
    {"root::=\"a\"b # c\nb ::= \"\\x62\" |\n\n # d\n\"c\"", "ac", true},
    {"root ::= a a\na ::=\n[x-z] [-] [\\]^]", "x-]z-^", true},
    {"root ::= [^a]", "a", false},
    {"root ::= [^a]", "\xf0\x9f\x98\x80", true},
    {"root ::= .", "\n", true},
    {"root ::= .", "\xed\xa0\x80", false},
    {"root ::= .", "\xc0\x80", false},
    {"root ::= .", "\xf4\x90\x80\x80", false},
    {"root ::= .", "\xf4\x8f\xbf\xbf", true},
    {"root ::= \"\\u20AC\\U0001F600\\xE9\"", "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9", true},
    {"root ::= \"ab\"{2}", "abab", true},
    {"root ::= \"ab\"{2}", "abb", false},
    {"root ::= \"a\"{ 2 , 3 }", "aaa", true},
    {"root ::= \"a\"{2,3}", "aaaa", false},
    {"root ::= \"a\"{0}", "a", false},
    {"root ::= \"a\"+?", "aa", true},
    {"root ::= (a* b*)* \"c\"\na ::= \"x\"?\nb ::= a*", "xxxc", true},
    {"root ::= \"ab\" \"c\"* | \"abd\"", "abcd", false},
    {"root ::= (\"a\" \"b\"* | \"a\" \"c\")", "abc", false},
    {"root ::= \"(\" root \")\" | \"\"", "((()))", true},
    {"root ::= \"(\" root \")\" | \"\"", "(()))", false},
    {JSON, "{\"a\": [1, -2.5e+7, {\"\\u00e9\\n\": null}],\n  \"\xc3\xa9\":\"x\"}", true},
    {JSON, "{\"a\": [1, -2.5e+7, {\"\\u00e9\\n\": null}], }", false},
    {JSON, "{\"a\":01}", false},
    {JSON, "{\"a\":tru}", false},
};

/* Whether the whole text is one, with its bytes given in pieces of random length; -1: there are
 * more ways to read it than there is room for. */
static int accepts(struct grammar_state *st, const char *text, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = 1 + pick((uint32_t)(len - at));
        int rc = grammar_accept(st, text + at, n);
        if (rc)
            return rc == -TRIT_ETOOBIG ? -1 : 0;
        ck_assert(grammar_may_end(st) || grammar_may_go_on(st));
    }
    return grammar_may_end(st);
}

START_TEST(texts)
{
    for (unsigned round = 0; round < 20; round++) {
        struct grammar_state *st = begin(accepted[_i].grammar);
        ck_assert_msg(accepts(st, accepted[_i].text, strlen(accepted[_i].text)) ==
                          accepted[_i].whole,
                      "%s with %s", accepted[_i].grammar, accepted[_i].text);
        grammar_state_free(st);
    }
}
END_TEST

static size_t spell(const uint8_t *letter, unsigned n, char *out)
{
    size_t len = 0;
    for (unsigned i = 0; i < n; i++)
        len += utf8_encode(out + len, make_letter[letter[i]]);
    return len;
}

/* Texts of the grammar, such texts with one letter changed, and random ones. */
static unsigned random_text(struct make *m, uint8_t *text)
{
    unsigned len = 0;
    if (pick(4) == 0 || !make_text(m, m->rule[0], text, &len, 0)) {
        len = pick(8);
        for (unsigned i = 0; i < len; i++)
            text[i] = (uint8_t)pick(MAKE_LETTERS);
    } else if (len && pick(3) == 0) {
        text[pick(len)] = (uint8_t)pick(MAKE_LETTERS);
    }
    return len;
}

/* Whatever comes before the marker is taken; behind it, also within one call, the grammar holds. */
START_TEST(waiting)
{
    static const struct {
        const char *marker;
        const char *pieces[5];
        int last; /* what the last piece comes to */
        bool waits, end;
    } cases[] = {
        {"<t>", {"any\xff <", "t", ">"}, 0, false, false},
        {"<t>", {"any <t", ">x"}, 0, false, false},
        {"<t>", {"any <t>xx"}, 0, false, true},
        {"<t>", {"any <t>", "y"}, -TRIT_EINVAL, false, false},
        {"<t>", {"any <t>xxx<t>", "x"}, 0, false, false}, /* the first was none */
        {"<t>", {"any <<t>x"}, 0, false, false},
        {"<t>", {"any < t>", "y"}, 0, true, true},
        {"aab", {"aaab", "x"}, 0, false, false},
        {"abab", {"abaabab", "xx"}, 0, false, true},
        {"ababac", {"abababac", "x"}, 0, false, false},
    };
    struct grammar_state *copy = begin("root ::= \"z\"");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grammar_state *st = begin("root ::= \"xx\"");
        int rc = 0;
        grammar_state_wait(st, cases[i].marker);
        ck_assert(grammar_waits(st) && grammar_may_end(st) && grammar_may_go_on(st));
        for (size_t k = 0; k < 5 && cases[i].pieces[k]; k++) {
            ck_assert_msg(rc == 0, "case %zu, piece %zu: %d", i, k, rc);
            grammar_state_copy(copy, st); /* which goes on alike */
            rc = grammar_accept(copy, cases[i].pieces[k], strlen(cases[i].pieces[k]));
            ck_assert_int_eq(rc, grammar_accept(st, cases[i].pieces[k],
                                                strlen(cases[i].pieces[k])));
        }
        ck_assert_msg(rc == cases[i].last, "case %zu: %d", i, rc);
        ck_assert_msg(grammar_waits(st) == cases[i].waits, "case %zu", i);
        ck_assert_msg(grammar_may_end(st) == cases[i].end, "case %zu", i);
        ck_assert_int_eq(grammar_waits(copy), grammar_waits(st));
        grammar_state_free(st);
    }
    grammar_state_free(copy);
}
END_TEST

START_TEST(random_grammars)
{
    static struct make m;
    unsigned n_yes = 0, n_no = 0, n_many = 0;
    for (unsigned round = 0; round < 400; round++) {
        make_grammar(&m, &seed);
        struct grammar_state *first = begin(m.text.data), *st = begin("root ::= \"x\"");
        for (unsigned i = 0; i < 30; i++) {
            uint8_t letter[MAKE_TEXT + 8];
            char text[4 * sizeof letter];
            unsigned n = random_text(&m, letter);
            size_t len = spell(letter, n, text);
            bool yes = make_matches(&m, letter, n);
            grammar_state_copy(st, first);
            int found = accepts(st, text, len);
            n_many += found < 0;
            ck_assert_msg(found < 0 || found == yes, "%.*s is %sof:\n%s", (int)len, text,
                          yes ? "" : "not ", m.text.data);
            n_yes += yes;
            n_no += !yes;
        }
        grammar_state_free(first);
        grammar_state_free(st);
    }
    buf_free(&m.text);
    ck_assert_uint_gt(n_yes, 2000);
    ck_assert_uint_gt(n_no, 1000);
    ck_assert_uint_lt(n_many, n_yes / 20);
}
END_TEST

START_TEST(long_and_deep)
{
    struct grammar_state *st = begin(JSON), *before = begin(JSON);
    ck_assert_int_eq(grammar_accept(st, "{\"a\":[", 6), 0);
    for (unsigned i = 0; i < 20000; i++)
        ck_assert_int_eq(
            grammar_accept(st, i % 2 ? "{\"x\":[]}," : "\"\xc3\xa9\", 1,", i % 2 ? 9 : 8), 0);
    unsigned depth = 0;
    int rc;
    for (;; depth++) {
        grammar_state_copy(before, st);
        if ((rc = grammar_accept(st, "[", 1)))
            break;
        ck_assert_uint_lt(depth, 100000);
    }
    ck_assert_int_eq(rc, -TRIT_ETOOBIG);
    ck_assert_uint_gt(depth, 500);
    /* As it was: it can still be brought to its end. */
    ck_assert_int_eq(grammar_accept(st, "\"\"", 2), 0);
    for (; depth; depth--)
        ck_assert_int_eq(grammar_accept(st, "]", 1), 0);
    ck_assert(!grammar_may_end(st));
    ck_assert_int_eq(grammar_accept(st, "]}", 2), 0);
    ck_assert(grammar_may_end(st));
    grammar_state_free(st);
    grammar_state_free(before);
}
END_TEST

/* ------------------------------------------------------------------ masks */

static void add_piece(struct tok_file *f, const char *bytes, size_t len)
{
    char text[64] = "", letter[5];
    for (size_t i = 0; i < len; i++) {
        tok_file_letter((unsigned char)bytes[i], letter);
        strcat(text, letter);
    }
    for (size_t i = 0; i < f->n_tokens; i++)
        if (strcmp(f->token[i], text) == 0)
            return;
    tok_file_add(f, text, 1);
}

/* Bytes, pieces of JSON, runs of letters cut anywhere, special and user-defined tokens. */
static struct tok *vocabulary(void)
{
    static const char *const json[] = {
        "\"}", "\"]",   "\"},",   "\"}}",  "\"}]}", "}}}",  "]]",          "],[",
        "\":", "\":\"", "\", \"", "{\"",   "[{",    "true", "tr",          "null,",
        "1,",  "12]",   "\\\"",   "\\u00", "  ",    "\n  ", "}\n",         "a\"",
        "ab",  "a\":",  "0.5",    "e+1",   "-",     "abc",  "x\",\"y\":[", "alse}",
    };
    struct tok_file *f = tok_file_init();
    for (size_t i = 0; i < ARRAY_LEN(json); i++)
        add_piece(f, json[i], strlen(json[i]));
    for (unsigned i = 0; i < 250; i++) {
        uint8_t letter[5];
        char text[32];
        unsigned n = 1 + pick(4);
        for (unsigned k = 0; k < n; k++)
            letter[k] = (uint8_t)pick(MAKE_LETTERS);
        size_t len = spell(letter, n, text), from = pick(2) ? 0 : pick((uint32_t)len);
        add_piece(f, text + from, 1 + pick((uint32_t)MIN(len - from, (size_t)11)));
    }
    for (unsigned i = 0; i < 200; i++) { /* Words, now and then with something in them. */
        static const char *const odd[] = {"\"", "\\", "\n", "z", "\xc3\xa9", "\xe2\x82", "\xff", " ", "7"};
        char text[32] = "";
        unsigned n = 1 + pick(9);
        for (unsigned k = 0; k < n; k++)
            strcat(text, pick(8) ? (char[2]){(char)('a' + pick(3)), 0} : odd[pick(ARRAY_LEN(odd))]);
        add_piece(f, text, MIN(strlen(text), (size_t)12));
    }
    tok_file_add(f, "<|end|>", 3);
    tok_file_add(f, "<unused>", 5);
    tok_file_add(f, "aab", 4); /* user-defined; maybe the same as another */
    tok_file_add(f, "{\"b", 4);
    f->rows = (uint32_t)f->n_tokens;
    struct tok *t = tok_file_open(f);
    free(f);
    return t;
}

/* What the mask says of every token is what comes of trying it; false: too many ways. */
static bool ck_mask(struct grammar_masks *m, const struct tok *t, const struct grammar_state *st,
                    struct grammar_state *trial, const char *grammar)
{
    uint64_t mask[GRAMMAR_MASK_WORDS(TOK_FILE_MAX)];
    uint32_t n_allowed, n = 0;
    int rc = grammar_mask(m, st, mask, &n_allowed);
    for (uint32_t id = 0; rc == 0 && id < tok_size(t); id++) {
        size_t len;
        const char *piece = tok_piece(t, (int32_t)id, &len);
        grammar_state_copy(trial, st);
        rc = grammar_accept(trial, piece, len);
        bool may = tok_is_text(t, (int32_t)id) && rc == 0;
        if (rc == -TRIT_ETOOBIG)
            return false;
        rc = 0;
        ck_assert_msg((mask[id / 64] >> id % 64 & 1) == may,
                      "token %u \"%.*s\" may %sfollow in:\n%s", id, (int)len, piece,
                      may ? "" : "not ", grammar);
        n += may;
    }
    if (rc)
        return false;
    ck_assert_uint_eq(n_allowed, n);
    return true;
}

/* A token of those that may follow; -1: none. */
static int32_t choose(struct grammar_masks *m, const struct grammar_state *st)
{
    uint64_t mask[GRAMMAR_MASK_WORDS(TOK_FILE_MAX)];
    uint32_t n;
    ck_assert_int_eq(grammar_mask(m, st, mask, &n), 0);
    uint32_t skip = n ? pick(n) : 0;
    for (uint32_t id = 0; n && id < TOK_FILE_MAX; id++)
        if ((mask[id / 64] >> id % 64 & 1) && skip-- == 0)
            return (int32_t)id;
    return -1;
}

/* Grammars in which whole subtrees of the vocabulary may follow, or nearly: the end of a count, a
 * rule that may be done, a letter or a form of UTF-8 that is missing. */
static const char *const plain[] = {
    JSON,
    "root ::= [^\\x00]*",
    "root ::= line+\nline ::= [^\\n]{0,7} \"\\n\"",
    "root ::= \"\\\"\" ch{2,9} \"\\\"\"\nch ::= [^\\x22\\x5C\\x00-\\x1F] | \"\\\\\" [a-z]",
    "root ::= [a-z]+ \",\" [a-z\u00e9]* (\"1\" | root)",
    "root ::= word (\" \" word)*\nword ::= [^ ]+",
    "root ::= ([a-y] | \"z\" \"!\")*",
    "root ::= ([\\x01-\\x7F] | [\\u0080-\\uFFFF])*",
    "root ::= (\"a\" [a-z]* | [a-z]* \"b\")+",
};

/* With room for everything (0) and with next to none (1). */
START_TEST(masks_are_what_trying_says)
{
    static struct make m;
    struct trit_error err;
    struct tok *t = vocabulary();
    struct grammar_vocab *v;
    struct grammar_masks *masks;
    struct grammar_mask_counts counts;
    ck_assert_int_eq(grammar_vocab_open(t, (uint32_t)tok_size(t), &v, &err), 0);
    ck_assert_int_eq(grammar_masks_open(v, _i ? 0 : 16 << 20, &masks, &err), 0);
    struct grammar_state *trial = begin("root ::= \"x\"");
    unsigned seen = 0;
    for (unsigned round = 0; round < 200; round++) {
        make_grammar(&m, &seed);
        const char *text = round % 4 ? m.text.data : plain[round / 4 % ARRAY_LEN(plain)];
        struct grammar_state *st = begin(text);
        for (unsigned i = 0; i < 25; i++, seen++) {
            if (!ck_mask(masks, t, st, trial, text))
                break;
            int32_t id = choose(masks, st);
            if (id < 0) {
                ck_assert(!grammar_may_go_on(st)); /* All bytes are tokens. */
                break;
            }
            size_t len;
            const char *piece = tok_piece(t, id, &len);
            ck_assert_int_eq(grammar_accept(st, piece, len), 0);
        }
        grammar_state_free(st);
    }
    grammar_masks_count(masks, &counts);
    ck_assert_uint_gt(seen, 1000);
    ck_assert_uint_gt(counts.hits, 1000);
    ck_assert_uint_gt(counts.misses, 100);
    ck_assert_uint_gt(counts.bytes, 0);
    ck_assert((counts.evicted > 0) == (_i == 1));
    buf_free(&m.text);
    grammar_state_free(trial);
    grammar_masks_close(&masks);
    grammar_vocab_close(&v);
    tok_close(&t);
}
END_TEST

START_TEST(no_memory_for_masks)
{
    struct tok *t = vocabulary();
    unsigned n = 0;
    for (bool struck = true; struck;) {
        struct trit_error err;
        struct grammar_vocab *v = NULL;
        struct grammar_masks *masks = NULL;
        mem_fail_at(++n);
        int rc = grammar_vocab_open(t, (uint32_t)tok_size(t), &v, &err);
        if (rc == 0)
            rc = grammar_masks_open(v, 1 << 20, &masks, &err);
        struck = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert(rc == 0 || (rc == -TRIT_ENOMEM && struck && !masks));
        grammar_masks_close(&masks);
        grammar_vocab_close(&v);
    }
    ck_assert_uint_gt(n, 10);
    tok_close(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grammar");
    TCase *c = tcase_create("grammar");
    log_open(LOG_WARN, 0);
    seed = unit_seed();
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, refusals, 0, (int)ARRAY_LEN(wrong));
    tcase_add_loop_test(c, bombs, 0, BOMBS);
    tcase_add_test(c, no_memory);
    tcase_add_loop_test(c, texts, 0, (int)ARRAY_LEN(accepted));
    tcase_add_test(c, waiting);
    tcase_add_test(c, random_grammars);
    tcase_add_test(c, long_and_deep);
    tcase_add_loop_test(c, masks_are_what_trying_says, 0, 2);
    tcase_add_test(c, no_memory_for_masks);
    suite_add_tcase(s, c);
    return unit_run(s);
}
