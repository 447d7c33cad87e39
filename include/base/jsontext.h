/* SPDX-License-Identifier: MIT */
/*
 * jsontext.h - JSON as text: a strict scan, and a walk over what it let through, without a tree.
 *
 * The scan decides what is JSON: RFC 8259 to the letter, valid UTF-8, one document and nothing
 * behind it, bounded depth and number of values, no string with U+0000 and no lone surrogate.  It
 * allocates nothing.  The walk reads a checked text in place: a value is a range of it, an object
 * is gone through member by member.  A vocabulary of 300000 members then costs its own bytes, where
 * a tree would take a hundred for each.
 *
 * Not here: a tree (server/json.h), duplicate members in the scan (jsontext_member looks for them).
 */
#ifndef TRIT_JSONTEXT_H
#define TRIT_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct trit_error;

enum { JSONTEXT_MAX_DEPTH = 64 }; /* nested arrays and objects */

/* 0, or -TRIT_EFORMAT naming the byte, what was found and what was expected. */
int jsontext_check(const char *text, size_t len, size_t max_values, struct trit_error *err);

enum jsontext_kind {
    JSONTEXT_NULL,
    JSONTEXT_BOOL,
    JSONTEXT_NUMBER,
    JSONTEXT_STRING,
    JSONTEXT_ARRAY,
    JSONTEXT_OBJECT,
};

/* A value in a checked text, from its first byte to its last.  A string has its quotes. */
struct jsontext {
    const char *at;
    size_t len;
};

/* The document of a checked text. */
struct jsontext jsontext_document(const char *text, size_t len);

enum jsontext_kind jsontext_kind(struct jsontext v);
const char *jsontext_kind_name(enum jsontext_kind kind); /* "an object" */

/* Through the elements of an array or the members of an object.  key: its string, of an object. */
struct jsontext_walk {
    const char *at;
    bool object;
};
struct jsontext_walk jsontext_begin(struct jsontext v); /* an array or an object, asserted */
bool jsontext_next(struct jsontext_walk *w, struct jsontext *key, struct jsontext *value);

/* Whether a string spells `name`, whatever escapes it is written with. */
bool jsontext_is(struct jsontext string, const char *name);

/* Whether two strings spell the same. */
bool jsontext_equal(struct jsontext a, struct jsontext b);

/* Append what a string spells.  A buffer without memory remembers it. */
void jsontext_string(struct jsontext string, struct buf *out);

/* The value of a member: 0, -TRIT_ENOENT, -TRIT_EFORMAT where it stands twice.  *value is null
 * then, and where the value is. */
int jsontext_member(struct jsontext object, const char *name, struct jsontext *value);

/* A number written as digits only, which fits; else false. */
bool jsontext_uint(struct jsontext v, uint64_t *out);
double jsontext_number(struct jsontext v); /* a number, asserted; may be infinite */
bool jsontext_true(struct jsontext v);

#endif
