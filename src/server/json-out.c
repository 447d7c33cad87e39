/* SPDX-License-Identifier: MIT */
/*
 * json-out.c - writing JSON into a buffer, fast for the strings that make up most of an answer.
 */
#include "config.h"
#include "server/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"

static void separate(struct json_out *o)
{
    if (o->comma)
        buf_addc(o->buf, ',');
    o->comma = true;
}

void json_open(struct json_out *o, char bracket)
{
    separate(o);
    buf_addc(o->buf, bracket);
    o->comma = false;
}

void json_close(struct json_out *o, char bracket)
{
    buf_addc(o->buf, bracket);
    o->comma = true;
}

void json_key(struct json_out *o, const char *name)
{
    separate(o);
    buf_addc(o->buf, '"');
    buf_adds(o->buf, name);
    buf_add(o->buf, "\":", 2);
    o->comma = false;
}

static void put_control(struct buf *b, unsigned char ch)
{
    switch (ch) {
    case '\n':
        buf_add(b, "\\n", 2);
        break;
    case '\t':
        buf_add(b, "\\t", 2);
        break;
    case '\r':
        buf_add(b, "\\r", 2);
        break;
    default:
        buf_addf(b, "\\u%04x", ch);
    }
}

void json_strn(struct json_out *o, const char *s, size_t len)
{
    struct buf *b = o->buf;
    separate(o);
    buf_reserve(b, len + 2);
    buf_addc(b, '"');
    size_t from = 0, i = 0; /* s[from, i) goes out as it is */
    while (i < len) {
        unsigned char ch = (unsigned char)s[i];
        if (ch >= 0x20 && ch < 0x7f && ch != '"' && ch != '\\') {
            i++;
            continue;
        }
        int n = ch < 0x80 ? 1 : utf8_scan(s + i, len - i);
        if (ch >= 0x80 && n > 0) {
            i += (size_t)n;
            continue;
        }
        buf_add(b, s + from, i - from);
        if (n <= 0) {
            buf_add(b, "\xef\xbf\xbd", 3);
            i += n < 0 ? (size_t)-n : len - i;
        } else {
            if (ch == '"' || ch == '\\') {
                buf_addc(b, '\\');
                buf_addc(b, (char)ch);
            } else {
                put_control(b, ch);
            }
            i++;
        }
        from = i;
    }
    buf_add(b, s + from, i - from);
    buf_addc(b, '"');
}

void json_str(struct json_out *o, const char *s)
{
    json_strn(o, s, strlen(s));
}

void json_str_or_null(struct json_out *o, const char *s)
{
    if (s)
        json_str(o, s);
    else
        json_null(o);
}

void json_int(struct json_out *o, int64_t v)
{
    separate(o);
    buf_addf(o->buf, "%" PRId64, v);
}

void json_bool(struct json_out *o, bool v)
{
    separate(o);
    buf_adds(o->buf, v ? "true" : "false");
}

void json_raw(struct json_out *o, const char *json)
{
    separate(o);
    buf_adds(o->buf, json);
}

void json_null(struct json_out *o)
{
    separate(o);
    buf_adds(o->buf, "null");
}

void json_float(struct json_out *o, float v)
{
    char text[32] = "-9999.0";
    separate(o);
    if (isfinite(v))
        for (int digits = 6; digits <= 9; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, (double)v);
            if (strtof(text, NULL) == v)
                break;
        }
    buf_adds(o->buf, text);
}

void json_double(struct json_out *o, double v)
{
    char text[32] = "-9999.0";
    separate(o);
    if (isfinite(v))
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, v);
            if (strtod(text, NULL) == v)
                break;
        }
    buf_adds(o->buf, text);
}
