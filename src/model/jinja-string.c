/* SPDX-License-Identifier: MIT */
/*
 * jinja-string.c - strings: letters' case, stripping, replacing, formatting with %.
 *
 * Positions are in code points where a template sees them and in bytes where we work.  The client's
 * ranges go with the bytes wherever these go.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <stdio.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

/* ------------------------------------------------------------------ case */

/* Upper or lower case in the scripts whose capitals lie at a fixed distance: Latin, Greek,
 * Cyrillic, Armenian.  Elsewhere, and where one letter becomes two, nothing changes. */
static uint32_t to_case(uint32_t cp, bool upper)
{
    static const struct {
        uint32_t first, last; /* of the small letters */
        uint32_t distance;
    } runs[] = {{'a', 'z', 32},     {0xe0, 0xf6, 32},   {0xf8, 0xfe, 32},   {0x3b1, 0x3c1, 32},
                {0x3c3, 0x3cb, 32}, {0x430, 0x44f, 32}, {0x450, 0x45f, 80}, {0x561, 0x586, 48}};
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        uint32_t shift = upper ? 0 : runs[i].distance;
        if (cp + shift >= runs[i].first && cp + shift <= runs[i].last)
            return upper ? cp - runs[i].distance : cp + shift;
    }
    /* Pairs of a capital and its small letter, side by side. */
    bool even = (cp >= 0x100 && cp <= 0x12f) || (cp >= 0x132 && cp <= 0x137) ||
                (cp >= 0x14a && cp <= 0x177) || (cp >= 0x460 && cp <= 0x481) ||
                (cp >= 0x48a && cp <= 0x4bf) || (cp >= 0x4d0 && cp <= 0x52f) ||
                (cp >= 0x1e00 && cp <= 0x1e95) || (cp >= 0x1ea0 && cp <= 0x1eff);
    bool odd = (cp >= 0x139 && cp <= 0x148) || (cp >= 0x179 && cp <= 0x17e);
    if (even)
        return upper ? cp & ~1u : cp | 1u;
    if (odd)
        return upper ? (cp - 1) | 1u : cp + (cp & 1u);
    if (cp == 0xff || cp == 0x178)
        return upper ? 0x178 : 0xff;
    return cp;
}

bool jinja_is_letter(uint32_t cp)
{
    return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || cp == 0xaa || cp == 0xb5 ||
           cp == 0xba ||
           (cp >= 0xc0 && cp != 0xd7 && cp != 0xf7 && !jinja_is_space(cp) &&
            !(cp >= 0x2000 && cp <= 0x2bff) && !(cp >= 0x3000 && cp <= 0x3004) &&
            !(cp >= 0x3008 && cp <= 0x3020) && !(cp >= 0xff01 && cp <= 0xff20) && cp < 0x1f000);
}

struct jinja_value jinja_cased(struct jinja_run *r, const struct jinja_string *s,
                               enum jinja_case how)
{
    struct jinja_out o = {.pool = &r->pool};
    size_t hint = 0;
    bool begins = true; /* a word, or the text */
    if (!jinja_charge(r, s->len / 8))
        return (struct jinja_value){0};
    for (size_t at = 0, n; at < s->len; at += n) {
        char bytes[4];
        uint32_t cp;
        n = utf8_decode(s->data + at, s->len - at, &cp);
        if (n == 0) {
            n = 1;
            cp = '?';
        }
        bool upper = how == CASE_UPPER || (how != CASE_LOWER && begins);
        if (how == CASE_CAPITAL)
            begins = false;
        else if (how == CASE_TITLE)
            begins = !jinja_is_letter(cp);
        else
            begins = cp < 0x80 && strchr("-({[<", (int)cp) ? cp != 0 : jinja_is_space(cp);
        jinja_add(&o, bytes, utf8_encode(bytes, to_case(cp, upper)), jinja_is_client(s, at, &hint));
    }
    return jinja_take(&o);
}

/* ------------------------------------------------------------------ pieces */

static bool has_code(const struct jinja_string *set, uint32_t cp)
{
    uint32_t have;
    for (size_t at = 0, n; (n = utf8_decode(set->data + at, set->len - at, &have)) > 0; at += n)
        if (have == cp)
            return true;
    return false;
}

struct jinja_value jinja_stripped(struct jinja_run *r, const struct jinja_string *s,
                                  const struct jinja_value *chars, bool left, bool right)
{
    size_t from = 0, to = s->len;
    uint32_t cp;
    if (!jinja_charge_bytes(r, s->len))
        return (struct jinja_value){0};
    if (!chars || chars->type != JINJA_STRING) {
        from = left ? jinja_space_before(s->data, s->len) : 0;
        to -= right ? jinja_space_after(s->data + from, to - from) : 0;
        return jinja_part(&r->pool, s, from, to - from);
    }
    for (unsigned n; left && (n = utf8_decode(s->data + from, to - from, &cp)) > 0 &&
                     has_code(chars->string, cp) && jinja_charge(r, 1);)
        from += n;
    while (right && to > from && jinja_charge(r, 1)) {
        size_t n = 1;
        while (n < 4 && n < to - from && ((unsigned char)s->data[to - n] & 0xc0) == 0x80)
            n++;
        if (utf8_decode(s->data + to - n, n, &cp) != n || !has_code(chars->string, cp))
            break;
        to -= n;
    }
    return jinja_part(&r->pool, s, from, to - from);
}

struct jinja_value jinja_replaced(struct jinja_run *r, const struct jinja_string *s,
                                  const struct jinja_string *old, const struct jinja_string *with,
                                  int64_t times)
{
    struct jinja_out o = {.pool = &r->pool};
    size_t from = 0;
    if (!jinja_charge_bytes(r, s->len))
        return (struct jinja_value){0};
    while (times != 0 && jinja_charge(r, 1)) {
        /* Nothing stands before each character, and at the end. */
        size_t gap = from;
        if (old->len == 0) {
            jinja_add_string(&o, with);
            if (from == s->len)
                break;
            gap++;
            while (gap < s->len && ((unsigned char)s->data[gap] & 0xc0) == 0x80)
                gap++;
        } else {
            const char *at = memmem(s->data + from, s->len - from, old->data, old->len);
            if (!at)
                break;
            gap = (size_t)(at - s->data);
        }
        jinja_add_part(&o, s, from, gap - from);
        if (old->len)
            jinja_add_string(&o, with);
        from = gap + old->len;
        times -= times > 0;
    }
    jinja_add_part(&o, s, from, s->len - from);
    return jinja_take(&o);
}

/* printf-like, as far as templates have it: %s %r %d %i %%. */
struct jinja_value jinja_percent(struct jinja_run *r, const struct jinja_string *format,
                                 const struct jinja_value *v, size_t n)
{
    struct jinja_out o = {.pool = &r->pool};
    size_t used = 0, from = 0;
    for (size_t i = 0; i < format->len && jinja_charge(r, 1); i++) {
        if (format->data[i] != '%')
            continue;
        char c = i + 1 < format->len ? format->data[i + 1] : '\0';
        jinja_add_part(&o, format, from, i - from);
        from = i + 2;
        i++;
        if (c == '%') {
            jinja_adds(&o, "%");
        } else if ((c == 's' || c == 'r' || c == 'd' || c == 'i') && used < n) {
            if ((c == 'd' || c == 'i') && !jinja_is_number(v[used]))
                return jinja_fail(r, "%%%c formats %s", c, jinja_type_name(v[used]));
            struct jinja_value one = v[used++];
            if ((c == 'd' || c == 'i') && one.type == JINJA_BOOL)
                one = jinja_int(one.yes);
            if ((c == 'd' || c == 'i') && one.type == JINJA_FLOAT) {
                if (!(fabs(one.real) < 9.2e18))
                    return jinja_fail(r, "%%%c formats a number that is no integer of 64 bits", c);
                one = jinja_int((int64_t)one.real);
            }
            jinja_print(r, &o, one, c == 'r');
        } else {
            return jinja_fail(r, used < n ? "only %%s, %%r, %%d and %%%% are supported in a format"
                                          : "a format has more places than values");
        }
    }
    if (used < n)
        return jinja_fail(r, "a format has fewer places than values");
    if (from < format->len)
        jinja_add_part(&o, format, from, format->len - from);
    return jinja_take(&o);
}
