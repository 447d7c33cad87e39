/* SPDX-License-Identifier: MIT */
/*
 * log.h - one line per event on stderr (which systemd files into the journal).
 *
 * Levels are named by who should care.  A line reads `event key=value ...`; it never holds prompt
 * text, answers or keys.  Control characters in values are replaced, so that nobody can forge a
 * line.  Any thread; a line is one write(2), never interleaved with another.  Nobody waits for who
 * reads: a line for which a pipe or socket has no room is dropped and counted.
 */
#ifndef TRIT_LOG_H
#define TRIT_LOG_H

enum log_level {
    LOG_ERROR,  /* the operator must act */
    LOG_WARN,   /* the operator may want to act */
    LOG_NOTICE, /* life cycle: started, ready, reloaded, stopped */
    LOG_INFO,   /* one line per request */
    LOG_DEBUG,  /* for the developer */
};

/* "error", "warn", "notice", "info", "debug"; -1 when `name` is none of them. */
int log_level_parse(const char *name);
const char *log_level_name(enum log_level level);

/* Lines above `level` are dropped.  `journal` prefixes each line with systemd's <priority>. */
void log_open(enum log_level level, int journal);

/* May be changed while running (SIGHUP). */
void log_set_level(enum log_level level);
int log_enabled(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

unsigned long log_dropped(void); /* lines since the start */

/*
 * A line of progress, redrawn in place on a terminal and silent elsewhere.  NULL erases it.  A
 * log_line in between erases it first.
 */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
