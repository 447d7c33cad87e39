/* SPDX-License-Identifier: MIT */
/*
 * gbnf.c - literals, classes, repeats.
 */
#include "config.h"
#include "server/gbnf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

void gbnf_bytes(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (ch == '"' || ch == '\\') {
            buf_addc(out, '\\');
            buf_addc(out, (char)ch);
        } else if (ch < 0x20 || ch == 0x7f) {
            buf_addf(out, "\\x%02X", ch);
        } else {
            buf_addc(out, (char)ch);
        }
    }
}

void gbnf_literal(struct buf *out, const char *s, size_t len)
{
    buf_addc(out, '"');
    gbnf_bytes(out, s, len);
    buf_addc(out, '"');
}

void gbnf_class_char(struct buf *out, uint32_t cp)
{
    bool plain = (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
    if (plain)
        buf_addc(out, (char)cp);
    else if (cp < 0x80)
        buf_addf(out, "\\x%02X", (unsigned)cp);
    else
        buf_addf(out, cp <= 0xffff ? "\\u%04X" : "\\U%08X", (unsigned)cp);
}

void gbnf_class_range(struct buf *out, uint32_t lo, uint32_t hi)
{
    gbnf_class_char(out, lo);
    if (hi == lo)
        return;
    if (hi > lo + 1)
        buf_addc(out, '-');
    gbnf_class_char(out, hi);
}

void gbnf_repeat(struct buf *out, uint64_t least, uint64_t most)
{
    if (most == UINT64_MAX && least <= 1)
        buf_addc(out, least ? '+' : '*');
    else if (most == UINT64_MAX)
        buf_addf(out, "{%" PRIu64 ",}", least);
    else if (least == 0 && most == 1)
        buf_addc(out, '?');
    else if (least == most && least != 1)
        buf_addf(out, "{%" PRIu64 "}", least);
    else if (most != 1)
        buf_addf(out, "{%" PRIu64 ",%" PRIu64 "}", least, most);
}

size_t gbnf_json_char(char *dst, uint32_t cp)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; shorts[i]; i += 2)
        if (cp == (unsigned char)shorts[i]) {
            dst[0] = '\\';
            dst[1] = shorts[i + 1];
            return 2;
        }
    if (cp < 0x20)
        return (size_t)snprintf(dst, 8, "\\u%04x", (unsigned)cp);
    return utf8_encode(dst, cp);
}
