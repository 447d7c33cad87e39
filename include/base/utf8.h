/* SPDX-License-Identifier: MIT */
/*
 * utf8.h - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef TRIT_UTF8_H
#define TRIT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the sequence at s[0, len), and its code point; 0 when it is invalid or cut short. */
unsigned utf8_decode(const char *s, size_t len, uint32_t *cp);

/* Write cp (valid, asserted) to dst[0..3]; how many bytes. */
unsigned utf8_encode(char *dst, uint32_t cp);

bool utf8_valid(const char *s, size_t len);

/*
 * How the bytes s[0, len) begin, len >= 1: a whole sequence of n bytes (returns n > 0); one that
 * may still become whole with more bytes (returns 0); or never (returns -n: drop n bytes, the
 * maximal invalid part, and show one U+FFFD for them, Unicode 15 section 3.9).
 */
int utf8_scan(const char *s, size_t len);

#endif
