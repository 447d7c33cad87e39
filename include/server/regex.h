/* SPDX-License-Identifier: MIT */
/*
 * regex.h - regular expressions to grammar text (GBNF, engine/grammar.h).
 *
 * The syntax is ECMAScript's, as JSON Schema has it, as far as it is regular:
 *
 *   characters  any; \t \n \r \f \v, \xHH, \uHHHH (two of them may be a surrogate pair), \u{H...},
 * and a backslash before any other ASCII character that is no letter or digit classes     [a-z],
 * [^a-z], \d \w \s \D \W \S, and . for all but \n, \r, U+2028 and U+2029 groups      (...),
 * (?:...), (?<name>...), (?P<name>...): they only group choices     a|b, an alternative may be
 * empty repeats     * + ? {m} {m,} {m,n}, also lazy: which text is found first is not the question
 * here anchors     ^ before the first and $ behind the last element of an alternative of the whole
 *
 * Refused by name, with the byte where they stand: back-references, look-around, word boundaries,
 * Unicode properties, inline flags, atomic groups, possessive repeats, anchors elsewhere.  U+0000
 * matches nothing.  Case counts.
 *
 * Not here: what a grammar is, and its limits.
 */
#ifndef TRIT_REGEX_H
#define TRIT_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct trit_error;

enum {
    REGEX_BYTES = 8192,   /* of a pattern */
    REGEX_DEPTH = 64,     /* groups within groups */
    REGEX_REPEAT = 10000, /* the largest number of a repeat */
};

enum regex_into {
    REGEX_TEXT,   /* the text itself */
    REGEX_STRING, /* the inside of a JSON string: quotes, backslashes and controls are escaped */
};

struct regex_want {
    enum regex_into into;
    bool search;        /* a match may stand anywhere, unless anchored; else it is the whole text */
    const char *prefix; /* of the names of rules; a number follows */
    uint64_t min, max;  /* characters of the whole text; max UINT64_MAX: any number */
};

/*
 * Append to *expr an expression for the right side of a rule, with parentheses where it needs them,
 * and to *rules whole rules that it uses.  -TRIT_EINVAL says what is wrong and where;
 * -TRIT_EUNSUPP what is not offered.  A failed buffer is the caller's to notice.
 *
 * Lengths are exact where the pattern is a sequence of which one element, a repeated character,
 * varies; else the pattern must keep them by itself, or it is -TRIT_EUNSUPP.  Before and behind a
 * match that may stand anywhere fewer characters may be allowed than the lengths would.
 */
int regex_to_grammar(const char *pattern, size_t len, const struct regex_want *want,
                     struct buf *rules, struct buf *expr, struct trit_error *err);

#endif
