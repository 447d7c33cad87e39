/* SPDX-License-Identifier: MIT */
/*
 * log.h - one line per event on stderr, or one entry in systemd's journal.
 *
 * Levels are named by who should care.  A line reads `event key=value ...`; it never holds prompt
 * text, answers or keys.  Control characters and broken UTF-8 in values are replaced, so that
 * nobody can forge a line or speak to the terminal it is read on.  Any thread.
 *
 * Until log_start() a line is written by who logs it.  From then on a thread of its own writes, and
 * nobody who logs ever waits: lines go into a buffer of LOG_RING_BYTES, and what does not fit while
 * the reader of the log sleeps is dropped and counted.
 */
#ifndef TRIT_LOG_H
#define TRIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_ERROR,  /* the operator must act */
    LOG_WARN,   /* the operator may want to act */
    LOG_NOTICE, /* life cycle: started, ready, reloaded, stopped */
    LOG_INFO,   /* one line per request */
    LOG_DEBUG,  /* for the developer */
};

enum {
    LOG_RING_BYTES = 256 * 1024,
    LOG_PER_SECOND = 10, /* lines of one cause, see log_fields */
};

/* "error", "warn", "notice", "info", "debug"; -1 when `name` is none of them. */
int log_level_parse(const char *name);
const char *log_level_name(enum log_level level);

/* Lines above `level` are dropped.  `journal` prefixes each line with systemd's <priority>. */
void log_open(enum log_level level, int journal);

/* These two may be changed while running (SIGHUP).  JSON is one object a line, RFC 8259. */
void log_set_level(enum log_level level);
void log_set_json(bool json);
int log_enabled(enum log_level level);

/*
 * Send entries with their fields to the journal's socket (NULL: where systemd has it) rather than
 * lines to stderr, unless JSON is wanted.  Entries that cannot be delivered go to stderr.
 * Source: systemd.io/JOURNAL_NATIVE_PROTOCOL.  false: there is no such socket.
 */
bool log_to_journal(const char *socket);

/* Start the thread that writes.  false: there is none, and lines are written as before. */
bool log_start(void);

/* Write what is left, for at most `seconds`; then lines are written by who logs them again, or lost
 * where the thread still sleeps over one. */
void log_stop(double seconds);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One value of an event. */
struct log_field {
    const char *name; /* as in C, lower case */
    enum { LOG_TEXT_FIELD, LOG_COUNT_FIELD, LOG_NUMBER_FIELD } type;
    union {
        const char *text; /* NULL: the field is left out */
        uint64_t count;
        double number; /* not finite: the field is left out */
    };
    int decimals; /* of the number */
};
#define LOG_TEXT(n, v)  ((struct log_field){.name = (n), .type = LOG_TEXT_FIELD, .text = (v)})
#define LOG_COUNT(n, v) ((struct log_field){.name = (n), .type = LOG_COUNT_FIELD, .count = (v)})
#define LOG_NUMBER(n, v, d)                                                                        \
    ((struct log_field){.name = (n), .type = LOG_NUMBER_FIELD, .number = (v), .decimals = (d)})

/*
 * An event with its fields.  cause: what makes such lines come, in a few words (at most 63 bytes);
 * of each cause LOG_PER_SECOND lines are written in a second, and one that says how many were not.
 * NULL: every line counts.
 */
void log_fields(enum log_level level, const char *cause, const char *event,
                const struct log_field *fields, size_t n);

/* log_line, limited by `cause`. */
void log_limited(enum log_level level, const char *cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines that nobody will read, since the process started. */
struct log_losses {
    uint64_t blocked; /* there was no room: the log is not read fast enough */
    uint64_t failed;  /* could not be written: a full disk, a reader that has gone */
    uint64_t limited; /* too many of one cause */
};
void log_get_losses(struct log_losses *losses);

/*
 * A line of progress, redrawn in place on a terminal and silent elsewhere.  NULL erases it.  A
 * log_line in between erases it first.
 */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* From now on and in this process, which has no log of its own: lines, and progress (NULL: none any
 * more), go to fn.  Before there are threads; fn may be called by any. */
typedef void (*log_divert_fn)(enum log_level level, bool progress, const char *line);
void log_divert(log_divert_fn fn);

#define log_error(...)  log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)   log_line(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)   log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)  log_line(LOG_DEBUG, __VA_ARGS__)

#endif
