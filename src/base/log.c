/* SPDX-License-Identifier: MIT */
/*
 * log.c - formatting into a buffer on the stack, then one write(2); no lock is ever held.
 *
 * Not here: files, rotation, sockets.  stderr belongs to whoever started us.
 */
#include "config.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define LINE_BYTES 2048

static atomic_int current_level = LOG_NOTICE;
static bool to_journal;
static bool on_terminal;
static atomic_bool progress_shown;

static const char *const names[] = {"error", "warn", "notice", "info", "debug"};

/* syslog(3) priorities, which systemd reads from a <N> prefix. */
static const char priorities[] = {'3', '4', '5', '6', '7'};

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

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void write_all(const char *s, size_t len)
{
    while (len) {
        ssize_t n = write(STDERR_FILENO, s, len);
        if (n <= 0)
            return; /* Nobody reads us; there is nowhere left to complain. */
        s += n;
        len -= (size_t)n;
    }
}

/* "<6>" for the journal; local time and level for people. */
static int put_prefix(char *line, size_t cap, enum log_level level)
{
    if (to_journal)
        return snprintf(line, cap, "<%c>", priorities[level]);
    struct timespec now;
    struct tm local;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    return snprintf(line, cap, "%02d:%02d:%02d.%03ld %-6s ", local.tm_hour, local.tm_min,
                    local.tm_sec, now.tv_nsec / 1000000, names[level]);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char line[LINE_BYTES];
    int start = put_prefix(line, sizeof line, level);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line + start, sizeof line - (size_t)start - 1, fmt, ap);
    va_end(ap);
    size_t len = MIN((size_t)start + (size_t)MAX(n, 0), sizeof line - 2);
    for (size_t i = (size_t)start; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    if (atomic_load(&progress_shown))
        log_progress(NULL);
    write_all(line, len);
}

void log_progress(const char *fmt, ...)
{
    if (!on_terminal)
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
    atomic_store(&progress_shown, fmt != NULL);
    write_all(line, len);
}
