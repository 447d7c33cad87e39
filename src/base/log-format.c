/* SPDX-License-Identifier: MIT */
/*
 * log-format.c - an event as a line of text, a JSON object, or an entry of systemd's journal.
 *
 * Every writer here works in a fixed buffer and stops at its end; a JSON object is closed whatever
 * did not fit.
 */
#include "config.h"
#include "base/log-parts.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/utf8.h"

/* Room that is kept for a closing brace, a line's end and a NUL. */
enum { TAIL = 8, MESSAGE_BYTES = 2048 };

/* syslog(3) priorities. */
static const char priorities[] = {'3', '4', '5', '6', '7'};

struct out {
    char *at, *end; /* end: of what may be used */
    bool cut;
};

/* All of s or nothing, so that no escape and no sequence is ever cut in two. */
static void put(struct out *o, const char *s, size_t len)
{
    if (o->cut || (size_t)(o->end - o->at) < len) {
        o->cut = true;
        return;
    }
    memcpy(o->at, s, len);
    o->at += len;
}

static void puts_(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

static void putf(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void putf(struct out *o, const char *fmt, ...)
{
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put(o, text, MIN((size_t)MAX(n, 0), sizeof text - 1));
}

/* Text without anything that ends a line or moves a cursor: C0, DEL, C1, broken UTF-8.  escape:
 * quotes and backslashes get a backslash. */
static void put_clean(struct out *o, const char *s, bool escape)
{
    size_t len = strlen(s);
    while (len && !o->cut) {
        uint32_t cp;
        unsigned n = utf8_decode(s, len, &cp);
        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029)
            put(o, "?", 1);
        else if (escape && (cp == '"' || cp == '\\'))
            putf(o, "\\%c", (char)cp);
        else
            put(o, s, n);
        n = MAX(n, 1u);
        s += n;
        len -= n;
    }
}

static bool is_absent(const struct log_field *f)
{
    return (f->type == LOG_TEXT_FIELD && !f->text) ||
           (f->type == LOG_NUMBER_FIELD && !isfinite(f->number));
}

static void put_number(struct out *o, const struct log_field *f)
{
    if (f->type == LOG_COUNT_FIELD)
        putf(o, "%llu", (unsigned long long)f->count);
    else
        putf(o, "%.*f", f->decimals, f->number);
}

/* key=value, the value in quotes where it would be read as two words otherwise. */
static void put_text_fields(struct out *o, const struct log_field *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_absent(&f[i]))
            continue;
        putf(o, " %s=", f[i].name);
        if (f[i].type != LOG_TEXT_FIELD) {
            put_number(o, &f[i]);
            continue;
        }
        bool quote = !*f[i].text || strpbrk(f[i].text, " \"\\=");
        puts_(o, quote ? "\"" : "");
        put_clean(o, f[i].text, quote);
        puts_(o, quote ? "\"" : "");
    }
}

static void put_message(struct out *o, const char *event, const char *message,
                        const struct log_field *f, size_t n)
{
    if (message) {
        put_clean(o, message, false);
        return;
    }
    puts_(o, event);
    put_text_fields(o, f, n);
}

/* "17:55:56.123 info   ", for people and in their time. */
static void put_clock(struct out *o, enum log_level level)
{
    struct timespec now;
    struct tm local;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    putf(o, "%02d:%02d:%02d.%03ld %-6s ", local.tm_hour, local.tm_min, local.tm_sec,
         now.tv_nsec / 1000000, log_level_name(level));
}

/* RFC 3339, in UTC. */
static void put_utc(struct out *o)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    putf(o, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
         utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
}

static void put_json_text(struct out *o, const char *name, const char *value)
{
    char *start = o->at;
    putf(o, ",\"%s\":\"", name);
    put_clean(o, value, true);
    puts_(o, "\"");
    if (o->cut)
        o->at = start; /* A member whole or not at all. */
}

static void put_json(struct out *o, enum log_level level, const char *event, const char *message,
                     const struct log_field *f, size_t n)
{
    puts_(o, "{\"time\":\"");
    put_utc(o);
    putf(o, "\",\"level\":\"%s\"", log_level_name(level));
    put_json_text(o, "event", event);
    if (message)
        put_json_text(o, "message", message);
    for (size_t i = 0; i < n; i++) {
        if (is_absent(&f[i]))
            continue;
        if (f[i].type == LOG_TEXT_FIELD) {
            put_json_text(o, f[i].name, f[i].text);
            continue;
        }
        putf(o, ",\"%s\":", f[i].name);
        put_number(o, &f[i]);
    }
    o->end += 1;
    o->cut = false;
    puts_(o, "}");
}

/* Lines NAME=value: no value here has a line's end in it, so the form with lengths is not needed.
 * The message comes first, where log_format_rescue finds it. */
static void put_journal(struct out *o, enum log_level level, const char *event, const char *message,
                        const struct log_field *f, size_t n)
{
    struct out line = {.at = o->at, .end = o->at + MESSAGE_BYTES};
    puts_(&line, "MESSAGE=");
    put_message(&line, event, message, f, n);
    o->at = line.at;
    putf(o, "\nPRIORITY=%c\nSYSLOG_IDENTIFIER=tritd\nTRITD_EVENT=", priorities[level]);
    put_clean(o, event, false);
    puts_(o, "\n");
    for (size_t i = 0; i < n; i++) {
        char *start = o->at;
        if (is_absent(&f[i]))
            continue;
        puts_(o, "TRITD_");
        for (const char *p = f[i].name; *p; p++)
            putf(o, "%c", toupper((unsigned char)*p));
        puts_(o, "=");
        if (f[i].type == LOG_TEXT_FIELD)
            put_clean(o, f[i].text, false);
        else
            put_number(o, &f[i]);
        puts_(o, "\n");
        if (o->cut)
            o->at = start;
    }
}

size_t log_format_entry(char *dst, struct log_style style, enum log_level level, const char *event,
                        const char *message, const struct log_field *fields, size_t n)
{
    struct out o = {.at = dst, .end = dst + LOG_ENTRY_BYTES - TAIL};
    if (style.format == LOG_FORMAT_JOURNAL) {
        put_journal(&o, level, event, message, fields, n);
        return (size_t)(o.at - dst);
    }
    if (style.format == LOG_FORMAT_PRIORITY || style.prefix)
        putf(&o, "<%c>", priorities[level]);
    if (style.format == LOG_FORMAT_JSON) {
        put_json(&o, level, event, message, fields, n);
    } else {
        o.end = dst + MESSAGE_BYTES;
        if (style.format == LOG_FORMAT_TEXT)
            put_clock(&o, level);
        put_message(&o, event, message, fields, n);
    }
    *o.at++ = '\n';
    return (size_t)(o.at - dst);
}

size_t log_format_rescue(char *dst, size_t cap, const char *entry, size_t len)
{
    static const char first[] = "MESSAGE=", second[] = "\nPRIORITY=";
    const char *end = memmem(entry, len, second, sizeof second - 1);
    const char *text = entry + sizeof first - 1;
    trit_assert(end && end >= text);
    int n = snprintf(dst, cap, "<%c>%.*s\n", end[sizeof second - 1], (int)(end - text), text);
    return MIN((size_t)n, cap - 1);
}
