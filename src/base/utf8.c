/* SPDX-License-Identifier: MIT */
/*
 * utf8.c - one scanner, from which the other functions follow.
 */
#include "config.h"
#include "base/utf8.h"

#include <string.h>

#include "base/base.h"

int utf8_scan(const char *bytes, size_t len)
{
    const unsigned char *s = (const unsigned char *)bytes;
    trit_assert(len >= 1);
    unsigned char lead = s[0], low = 0x80, high = 0xbf;
    unsigned need;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2)
        return -1; /* A continuation byte, or an overlong form of ASCII. */
    if (lead < 0xe0) {
        need = 2;
    } else if (lead < 0xf0) {
        need = 3;
        if (lead == 0xe0)
            low = 0xa0; /* Overlong below. */
        if (lead == 0xed)
            high = 0x9f; /* Surrogates above. */
    } else if (lead < 0xf5) {
        need = 4;
        if (lead == 0xf0)
            low = 0x90;
        if (lead == 0xf4)
            high = 0x8f;
    } else {
        return -1;
    }
    for (unsigned i = 1; i < need; i++) {
        if (i == len)
            return 0;
        if (s[i] < low || s[i] > high)
            return -(int)i;
        low = 0x80;
        high = 0xbf;
    }
    return (int)need;
}

unsigned utf8_decode(const char *bytes, size_t len, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)bytes;
    int n = len ? utf8_scan(bytes, len) : 0;
    switch (n) {
    case 1:
        *cp = s[0];
        return 1;
    case 2:
        *cp = (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
        return 2;
    case 3:
        *cp = (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
        return 3;
    case 4:
        *cp = (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 |
              (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
        return 4;
    default:
        return 0;
    }
}

unsigned utf8_encode(char *dst, uint32_t cp)
{
    trit_assert(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
    if (cp < 0x80) {
        dst[0] = (char)cp;
        return 1;
    }
    unsigned n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (unsigned i = n - 1; i > 0; i--, cp >>= 6)
        dst[i] = (char)(0x80 | (cp & 0x3f));
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    dst[0] = (char)(marks[n] | cp);
    return n;
}

bool utf8_valid(const char *s, size_t len)
{
    uint64_t eight;
    for (size_t i = 0; i < len;) {
        if (len - i >= sizeof eight) {
            memcpy(&eight, s + i, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                i += sizeof eight;
                continue;
            }
        }
        int n = (unsigned char)s[i] < 0x80 ? 1 : utf8_scan(s + i, len - i);
        if (n <= 0)
            return false;
        i += (size_t)n;
    }
    return true;
}
