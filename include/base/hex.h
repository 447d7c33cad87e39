/* SPDX-License-Identifier: MIT */
/*
 * hex.h - hexadecimal digits, read and written.
 */
#ifndef TRIT_HEX_H
#define TRIT_HEX_H

#include <stddef.h>
#include <stdint.h>

/* The value of a digit, upper or lower case; -1: it is none. */
int hex_digit(char c);

/* Two lower-case digits for each of n bytes, and a NUL, to dst[0, 2 * n + 1). */
void hex_put(char *dst, const uint8_t *bytes, size_t n);

#endif
