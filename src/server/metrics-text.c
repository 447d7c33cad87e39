/* SPDX-License-Identifier: MIT */
/*
 * metrics-text.c - Prometheus' text format, version 0.0.4.
 */
#include "config.h"
#include "server/metrics-text.h"

#include "base/buf.h"
#include "engine/stats.h"

void text_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Quotes, backslashes and line ends are the format's own. */
void text_label_value(struct buf *out, const char *s)
{
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            buf_addf(out, "\\%c", *s);
        else if (*s == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, *s);
}

void text_label(struct buf *labels, const char *name, const char *value)
{
    buf_addf(labels, "%s%s=\"", labels->len ? "," : "", name);
    text_label_value(labels, value);
    buf_addc(labels, '"');
}

void text_one(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    text_head(out, name, type, help);
    buf_addf(out, "%s %.15g\n", name, value);
}

void text_labelled(struct buf *out, const char *name, const char *label, const char *value,
                   double number)
{
    buf_addf(out, "%s{%s=\"", name, label);
    text_label_value(out, value);
    buf_addf(out, "\"} %.15g\n", number);
}

void text_histogram(struct buf *out, const struct engine_stats *st, const struct stats_histogram *h,
                    const char *name, const char *labels, const char *more)
{
    size_t n;
    const double *bound = stats_bounds(st, h, &n);
    text_buckets(out, bound, n, h, name, labels, more);
}

void text_buckets(struct buf *out, const double *bound, size_t n, const struct stats_histogram *h,
                  const char *name, const char *labels, const char *more)
{
    unsigned long long count = 0;
    const char *a = labels ? labels : "", *b = more ? more : "", *comma = *a && *b ? "," : "";
    for (size_t i = 0; i <= n; i++) {
        count += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        buf_addf(out, "%s_bucket{%s%s%s%sle=\"", name, a, comma, b, *a || *b ? "," : "");
        if (i < n)
            buf_addf(out, "%.15g\"} %llu\n", bound[i], count);
        else
            buf_addf(out, "+Inf\"} %llu\n", count);
    }
    const char *open = *a || *b ? "{" : "", *close = *open ? "}" : "";
    buf_addf(out, "%s_sum%s%s%s%s%s %.15g\n", name, open, a, comma, b, close,
             atomic_load_explicit(&h->sum, memory_order_relaxed));
    buf_addf(out, "%s_count%s%s%s%s%s %llu\n", name, open, a, comma, b, close, count);
}
