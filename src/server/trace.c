/* SPDX-License-Identifier: MIT */
/*
 * trace.c - reading traceparent: version "-" trace-id "-" parent-id "-" flags.
 */
#include "config.h"
#include "server/trace.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "server/names.h"

enum { ID_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LEN = 55 };

static bool is_hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") >= n;
}

/* Zeros alone are none. */
static bool is_id(const char *s, size_t n)
{
    return is_hex(s, n) && strspn(s, "0") < n;
}

/* A higher version may have more behind a dash, which is not ours to know. */
static bool is_traceparent(const char *s)
{
    if (strnlen(s, LEN) < LEN || s[2] != '-' || s[PARENT_AT - 1] != '-' || s[FLAGS_AT - 1] != '-')
        return false;
    bool first = strncmp(s, "00", 2) == 0;
    if (!is_hex(s, 2) || strncmp(s, "ff", 2) == 0)
        return false;
    if (first ? s[LEN] != '\0' : s[LEN] != '\0' && s[LEN] != '-')
        return false;
    return is_id(s + ID_AT, 32) && is_id(s + PARENT_AT, 16) && is_hex(s + FLAGS_AT, 2);
}

void trace_read(struct trace *t, const char *traceparent)
{
    memset(t, 0, sizeof *t);
    if (!traceparent || !is_traceparent(traceparent))
        return;
    uint64_t span = names_random_u64();
    memcpy(t->id, traceparent + ID_AT, 32);
    /* Zero is no id. */
    snprintf(t->span, sizeof t->span, "%016llx", (unsigned long long)(span ? span : 1));
    char low = traceparent[FLAGS_AT + 1];
    int value = low <= '9' ? low - '0' : low - 'a' + 10;
    snprintf(t->flags, sizeof t->flags, "0%d", value & 1);
}
