/* SPDX-License-Identifier: MIT */
/*
 * gbnf.h - the smallest pieces of grammar text (engine/grammar.h has the language).
 */
#ifndef TRIT_GBNF_H
#define TRIT_GBNF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Part of a literal, without its quotes: bytes of UTF-8. */
void gbnf_bytes(struct buf *out, const char *s, size_t len);

/* A literal. */
void gbnf_literal(struct buf *out, const char *s, size_t len);

/* A character within a class. */
void gbnf_class_char(struct buf *out, uint32_t cp);
void gbnf_class_range(struct buf *out, uint32_t lo, uint32_t hi);

/* What follows a repeated element: "", "?", "*", "+", "{m}", "{m,}" or "{m,n}"; most UINT64_MAX is
 * without end. */
void gbnf_repeat(struct buf *out, uint64_t least, uint64_t most);

/* A character as it stands in a JSON string, in the one spelling that is used here: raw where that
 * is allowed, else the short escape, else \u00xx.  How many bytes of dst[8]. */
size_t gbnf_json_char(char *dst, uint32_t cp);

#endif
