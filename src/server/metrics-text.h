/* SPDX-License-Identifier: MIT */
/*
 * metrics-text.h - pieces of Prometheus' text format.
 */
#ifndef TRIT_METRICS_TEXT_H
#define TRIT_METRICS_TEXT_H

#include <stddef.h>

struct buf;
struct engine_stats;
struct stats_histogram;

/* HELP and TYPE. */
void text_head(struct buf *out, const char *name, const char *type, const char *help);

/* A value of a label, without its quotes: any string. */
void text_label_value(struct buf *out, const char *s);

/* name="value", and a comma before it where there is something already. */
void text_label(struct buf *labels, const char *name, const char *value);

/* A metric with one series, without labels. */
void text_one(struct buf *out, const char *name, const char *type, const char *help, double value);

/* One series with one label. */
void text_labelled(struct buf *out, const char *name, const char *label, const char *value,
                   double number);

/* The series of one histogram.  labels and more are in the format, NULL: none. */
void text_histogram(struct buf *out, const struct engine_stats *st, const struct stats_histogram *h,
                    const char *name, const char *labels, const char *more);

/* The same for one that is not the engine's. */
void text_buckets(struct buf *out, const double *bound, size_t n, const struct stats_histogram *h,
                  const char *name, const char *labels, const char *more);

#endif
