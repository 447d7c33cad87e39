/* SPDX-License-Identifier: MIT */
/*
 * log.c - formatting into a buffer on the stack, then one write(2); no lock is ever held.
 *
 * Not here: files, rotation, sockets.  stderr belongs to whoever started us.
 */
#include "config.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define LINE_BYTES 2048

static atomic_int current_level = LOG_NOTICE;
static bool to_journal;
static bool on_terminal;
static bool to_socket;
static int log_fd = STDERR_FILENO;
static atomic_ulong n_dropped; /* lines, since the start ... */
static atomic_ulong n_told;    /* ... and how many of them the log speaks of */
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

    /* Who reads us may stop reading, and nobody here may wait for him.  Whether writing waits is a
     * property that stderr shares with whoever else has it, so a pipe is opened once more and of a
     * socket each write is told. */
    struct stat st;
    if (log_fd != STDERR_FILENO || fstat(STDERR_FILENO, &st) != 0)
        return;
    to_socket = S_ISSOCK(st.st_mode);
    if (S_ISFIFO(st.st_mode)) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            log_fd = fd;
    }
}

unsigned long log_dropped(void)
{
    return atomic_load(&n_dropped);
}

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static bool write_all(const char *s, size_t len)
{
    while (len) {
        ssize_t n =
            to_socket ? send(log_fd, s, len, MSG_DONTWAIT | MSG_NOSIGNAL) : write(log_fd, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; /* Nobody reads us; there is nowhere left to complain. */
        s += n;
        len -= (size_t)n;
    }
    return true;
}

/* Once there is room again, say what is missing. */
static void tell_dropped(void)
{
    char line[96];
    unsigned long dropped = atomic_load(&n_dropped), told = atomic_load(&n_told);
    if (dropped == told || !atomic_compare_exchange_strong(&n_told, &told, dropped))
        return;
    int n = snprintf(line, sizeof line, "%slog dropped_lines=%lu reason=\"nobody reads\"\n",
                     to_journal ? "<4>" : "", dropped - told);
    if (!write_all(line, (size_t)n))
        atomic_fetch_sub(&n_told, dropped - told);
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
    if (write_all(line, len))
        tell_dropped();
    else
        atomic_fetch_add(&n_dropped, 1);
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
