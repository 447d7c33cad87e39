/* SPDX-License-Identifier: MIT */
/*
 * json.h - JSON from strangers, and JSON to them.
 *
 * cJSON is lenient where a server must not be, so every text passes a strict scan (base/jsontext.h)
 * first: RFC 8259 to the letter, valid UTF-8, one document and nothing behind it, bounded depth and
 * size, no string with U+0000 (cJSON would cut it there) and no lone surrogate.  An object that
 * names a member twice is refused, because two readers would disagree about which counts.
 *
 * Writing is a few functions over struct buf, which remembers a failed allocation.
 */
#ifndef TRIT_JSON_H
#define TRIT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct cJSON;
struct trit_error;

enum {
    JSON_MAX_DEPTH = 64,     /* nested arrays and objects */
    JSON_MAX_NODES = 100000, /* values; a prompt as ids needs one for each */
};

/* The scan alone.  0, or -TRIT_EFORMAT naming the byte, what was found and what was expected. */
int json_check(const char *text, size_t len, struct trit_error *err);

/*
 * Scan, parse, look for duplicate members.  Gives *doc (cJSON_Delete).  Of a number that says more
 * than its double, which is one of more than 15 bytes or with a fraction or exponent, valuestring
 * is the text.  Loop thread only.
 */
int json_parse(const char *text, size_t len, struct cJSON **doc, struct trit_error *err);

/*
 * The text of the value of a member of the outermost object, for numbers that a double cannot hold.
 * The text has passed json_check.  NULL when there is no such member.
 */
const char *json_member_text(const char *text, size_t len, const char *name, size_t *value_len);

/* A writer; commas are its own business.  A zeroed struct with buf set is at the beginning. */
struct json_out {
    struct buf *buf;
    bool comma; /* something precedes at this level */
};
void json_open(struct json_out *o, char bracket);    /* '{' or '[' */
void json_close(struct json_out *o, char bracket);   /* '}' or ']' */
void json_key(struct json_out *o, const char *name); /* a plain name, written as it is */
void json_str(struct json_out *o, const char *s);
void json_strn(struct json_out *o, const char *s, size_t len); /* invalid UTF-8: U+FFFD */
void json_str_or_null(struct json_out *o, const char *s);
void json_int(struct json_out *o, int64_t v);
void json_bool(struct json_out *o, bool v);
void json_raw(struct json_out *o, const char *json); /* a value that is JSON already */
void json_null(struct json_out *o);

/* The shortest digits that read back as the same float or double; -9999.0 when it is not finite,
 * which is OpenAI's floor for log-probabilities. */
void json_float(struct json_out *o, float v);
void json_double(struct json_out *o, double v);

#endif
