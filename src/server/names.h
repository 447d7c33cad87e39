/* SPDX-License-Identifier: MIT */
/*
 * names.h - random names for requests and answers.
 */
#ifndef TRIT_NAMES_H
#define TRIT_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* What a name from outside may consist of, to be repeated in headers and logs. */
#define NAMES_SANE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+/=@"

enum { NAMES_RANDOM = 26 };

/* prefix and 26 random letters and digits; cap has room for them and the NUL. */
void names_random(char *dst, size_t cap, const char *prefix);

uint64_t names_random_u64(void);
void names_random_bytes(void *dst, size_t len); /* at most 256 */

#endif
