/* SPDX-License-Identifier: MIT */
/*
 * log-parts.h - what the bodies of the log share: log.c decides, log-format.c writes it down,
 * log-sink.c brings it away.
 */
#ifndef TRIT_LOG_PARTS_H
#define TRIT_LOG_PARTS_H

#include "base/log.h"

/* An entry whole, as it leaves the process; longer ones are cut. */
enum { LOG_ENTRY_BYTES = 6144 };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_PRIORITY, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

/* How JSON and priorities go together: an object behind systemd's prefix. */
struct log_style {
    enum log_format format;
    bool prefix; /* <priority> before a JSON object */
};

/*
 * Write one entry to dst[0, LOG_ENTRY_BYTES); its length.  message: what stands for the fields
 * where they have no place of their own; NULL: they make it.
 */
size_t log_format_entry(char *dst, struct log_style style, enum log_level level, const char *event,
                        const char *message, const struct log_field *fields, size_t n);

/* From a journal entry back to a line for stderr, in place of the socket that is not there. */
size_t log_format_rescue(char *dst, size_t cap, const char *entry, size_t len);

/* Bring one entry away: into the ring, or out at once where no thread writes. */
void log_sink_put(const char *entry, size_t len, enum log_level level, bool journal);

bool log_sink_open_journal(const char *socket);
bool log_sink_has_journal(void);
bool log_sink_start(void);
void log_sink_stop(double seconds);
void log_sink_get(struct log_losses *losses);

/* Say how many lines of which cause were not written in a second that is over, or (`all`) in this
 * one; called by the writing thread, and at the end; log.c. */
void log_tell_limited(bool all);

/* An entry that says that `lines` were lost; log.c. */
size_t log_lost_entry(char *dst, uint64_t lines, bool *journal);

#endif
