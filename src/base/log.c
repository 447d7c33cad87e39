/* SPDX-License-Identifier: MIT */
/*
 * log.c - what is logged: levels, and how often one cause may speak.
 *
 * The lock guards the table of causes and is held for a look into it.
 */
#include "config.h"
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log-parts.h"

enum { LINE_BYTES = 2048, CAUSES = 64, CAUSE_BYTES = 64 };

static atomic_int current_level = LOG_NOTICE;
static atomic_bool as_json;
static bool to_journal;
static bool on_terminal;
static atomic_bool progress_shown;
static log_divert_fn diverted; /* NULL: we log ourselves */

/* One second of one cause. */
struct cause {
    char name[CAUSE_BYTES]; /* "": free */
    double since;
    uint64_t lines, suppressed;
    enum log_level level;
};
static pthread_mutex_t causes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cause causes[CAUSES];
static atomic_uint_fast64_t n_limited;
static atomic_bool some_suppressed; /* the table is worth a look */

static const char *const names[] = {"error", "warn", "notice", "info", "debug"};

int log_level_parse(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return -1;
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

void log_open(enum log_level level, int journal)
{
    atomic_store(&current_level, (int)level);
    to_journal = journal != 0;
    on_terminal = isatty(STDERR_FILENO) == 1;
}

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

void log_set_json(bool json)
{
    atomic_store(&as_json, json);
}

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_to_journal(const char *socket)
{
    return log_sink_open_journal(socket);
}

bool log_start(void)
{
    return log_sink_start();
}

void log_stop(double seconds)
{
    log_tell_limited(true);
    log_sink_stop(seconds);
}

void log_get_losses(struct log_losses *losses)
{
    log_sink_get(losses);
    losses->limited = atomic_load(&n_limited);
}

void log_divert(log_divert_fn fn)
{
    diverted = fn;
}

static struct log_style style_now(void)
{
    if (atomic_load(&as_json))
        return (struct log_style){.format = LOG_FORMAT_JSON, .prefix = to_journal};
    if (log_sink_has_journal())
        return (struct log_style){.format = LOG_FORMAT_JOURNAL};
    return (struct log_style){.format = to_journal ? LOG_FORMAT_PRIORITY : LOG_FORMAT_TEXT};
}

static void emit(enum log_level level, const char *event, const char *message,
                 const struct log_field *fields, size_t n)
{
    char entry[LOG_ENTRY_BYTES];
    struct log_style style = style_now();
    if (diverted) {
        diverted(level, false, message ? message : event);
        return;
    }
    size_t len = log_format_entry(entry, style, level, event, message, fields, n);
    if (atomic_load(&progress_shown))
        log_progress(NULL);
    log_sink_put(entry, len, level, style.format == LOG_FORMAT_JOURNAL);
}

size_t log_lost_entry(char *dst, uint64_t lines, bool *journal)
{
    struct log_style style = style_now();
    struct log_field f = LOG_COUNT("lines", lines);
    *journal = style.format == LOG_FORMAT_JOURNAL;
    return log_format_entry(dst, style, LOG_WARN, "log-lost", NULL, &f, 1);
}

/* ------------------------------------------------------------------ causes */

static void emit_suppressed(const struct cause *c)
{
    struct log_field f[] = {LOG_TEXT("cause", c->name), LOG_COUNT("lines", c->suppressed)};
    emit(c->level, "log-suppressed", NULL, f, ARRAY_LEN(f));
}

/* The row of this name: its own, or a free one, or that of the cause that has been silent longest.
 */
static struct cause *find_cause(const char *name)
{
    struct cause *best = &causes[0];
    for (size_t i = 0; i < CAUSES; i++) {
        struct cause *c = &causes[i];
        if (strncmp(c->name, name, CAUSE_BYTES - 1) == 0)
            return c;
        if (!*c->name || (*best->name && c->since < best->since))
            best = c;
    }
    return best;
}

/* Whether another line may be written.  A second that is over and had too many is told first. */
static bool may_speak(const char *name, enum log_level level)
{
    double now = trit_now();
    struct cause over = {.suppressed = 0};
    pthread_mutex_lock(&causes_lock);
    struct cause *c = find_cause(name);
    if (strncmp(c->name, name, CAUSE_BYTES - 1) != 0 || now - c->since >= 1) {
        over = *c;
        *c = (struct cause){.since = now, .level = level};
        snprintf(c->name, sizeof c->name, "%s", name);
    }
    bool may = c->lines < LOG_PER_SECOND;
    if (may)
        c->lines++;
    else
        c->suppressed++;
    if (!may)
        atomic_store(&some_suppressed, true);
    pthread_mutex_unlock(&causes_lock);
    if (over.suppressed)
        emit_suppressed(&over);
    if (!may)
        atomic_fetch_add(&n_limited, 1);
    return may;
}

void log_tell_limited(bool all)
{
    double now = trit_now();
    bool left = false;
    /* At the end the table is looked at whatever the flag says: the log's own thread may have taken
     * it and be about to put it back. */
    if (!atomic_exchange(&some_suppressed, false) && !all)
        return;
    for (size_t i = 0; i < CAUSES; i++) {
        struct cause over = {.suppressed = 0};
        pthread_mutex_lock(&causes_lock);
        if (causes[i].suppressed && (all || now - causes[i].since >= 1)) {
            over = causes[i];
            causes[i].suppressed = 0;
        }
        left = left || causes[i].suppressed;
        pthread_mutex_unlock(&causes_lock);
        if (over.suppressed)
            emit_suppressed(&over);
    }
    if (left)
        atomic_store(&some_suppressed, true);
}

/* ------------------------------------------------------------------ lines */

__attribute__((format(printf, 2, 0))) static void emit_line(enum log_level level, const char *fmt,
                                                            va_list ap)
{
    char line[LINE_BYTES], event[32];
    vsnprintf(line, sizeof line, fmt, ap);
    snprintf(event, sizeof event, "%.*s", (int)strcspn(line, " "), line);
    emit(level, event, line, NULL, 0);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    va_list ap;
    va_start(ap, fmt);
    emit_line(level, fmt, ap);
    va_end(ap);
}

void log_limited(enum log_level level, const char *cause, const char *fmt, ...)
{
    if (!log_enabled(level) || !may_speak(cause, level))
        return;
    va_list ap;
    va_start(ap, fmt);
    emit_line(level, fmt, ap);
    va_end(ap);
}

void log_fields(enum log_level level, const char *cause, const char *event,
                const struct log_field *fields, size_t n)
{
    if (log_enabled(level) && (!cause || may_speak(cause, level)))
        emit(level, event, NULL, fields, n);
}

void log_progress(const char *fmt, ...)
{
    if (!on_terminal && !diverted)
        return;
    char line[LINE_BYTES] = "\r\033[K";
    size_t start = strlen(line), len = start;
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(line + start, sizeof line - start, fmt, ap);
        va_end(ap);
        len = MIN(start + (size_t)MAX(n, 0), sizeof line - 1);
    }
    if (diverted) {
        diverted(LOG_NOTICE, true, fmt ? line + start : NULL);
        return;
    }
    atomic_store(&progress_shown, fmt != NULL);
    log_sink_put(line, len, LOG_NOTICE, false);
}
