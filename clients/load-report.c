/* SPDX-License-Identifier: MIT */
/*
 * load-report.c - what a load was, for people and for programs.
 *
 * Rates are over the whole time, from the first request to the end of the last, so the start and
 * the end of a run, when not all clients are busy, are in them: a longer run has less of both.
 */
#include "config.h"
#include "load.h"

#include <math.h>

#include "base/base.h"

/* The rows of percentiles, in both forms. */
static const struct {
    const char *name, *title;
    size_t field;
} rows[] = {
    {"first_text_ms", "first text", offsetof(struct load_tally, first)},
    {"between_events_ms", "between events", offsetof(struct load_tally, gaps)},
    {"per_token_ms", "per token, by request", offsetof(struct load_tally, token)},
    {"request_ms", "whole request", offsetof(struct load_tally, whole)},
    {"refusal_ms", "until refused", offsetof(struct load_tally, refusal)},
};

static struct samples *samples_of(struct load_tally *t, size_t row)
{
    return (struct samples *)(void *)((char *)t + rows[row].field);
}

static const char *const held_names[N_HOLD_KINDS] = {"idle", "stuck"};

static double per_second(const struct load_result *r, double n)
{
    return n / MAX(r->seconds, 1e-9);
}

/* ------------------------------------------------------------------ for people */

static void print_ends(const struct load_tally *t, FILE *out)
{
    fprintf(out, "%llu requests: %llu completed, %llu refused, %llu failed",
            (unsigned long long)t->requests, (unsigned long long)t->ends[LOAD_COMPLETED],
            (unsigned long long)t->ends[LOAD_REFUSED], (unsigned long long)t->failed);
    if (t->unsent)
        fprintf(out, "; %llu arrivals not sent, too many under way", (unsigned long long)t->unsent);
    fputc('\n', out);
    for (size_t i = 0; i < t->n_statuses; i++)
        fprintf(out, "  refused with %ld: %llu, with Retry-After %llu\n", t->statuses[i].status,
                (unsigned long long)t->statuses[i].n,
                (unsigned long long)t->statuses[i].with_retry_after);
    for (int end = LOAD_FIRST_FAILURE; end < N_LOAD_ENDS; end++)
        if (t->ends[end])
            fprintf(out, "  failed, %s: %llu\n", load_end_name((enum load_end)end),
                    (unsigned long long)t->ends[end]);
}

static void print_rates(const struct load_options *o, const struct load_result *r,
                        const struct load_tally *t, FILE *out)
{
    if (o->first_within > 0)
        fprintf(out, "%10.1f tokens/s of the %llu completed whose first text came in %.4g s\n",
                per_second(r, t->in_time_tokens), (unsigned long long)t->in_time, o->first_within);
    fprintf(out, "%10.1f tokens/s goodput: %.0f of completed requests\n",
            per_second(r, t->completed_tokens), t->completed_tokens);
    fprintf(out, "%10.1f tokens/s generated: %.0f\n", per_second(r, t->generated_tokens),
            t->generated_tokens);
    fprintf(out, "%10.1f tokens/s of prompts: %.0f\n", per_second(r, t->prompt_tokens),
            t->prompt_tokens);
}

static void print_rows(struct load_tally *t, FILE *out)
{
    if (t->whole.n + t->first.n + t->refusal.n)
        fprintf(out, "%-22s %10s %10s %10s\n", "", "p50", "p90", "p99");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct samples *s = samples_of(t, i);
        if (s->n)
            fprintf(out, "%-22s %10.1f %10.1f %10.1f   ms, of %llu\n", rows[i].title,
                    samples_percentile(s, 50) * 1e3, samples_percentile(s, 90) * 1e3,
                    samples_percentile(s, 99) * 1e3, (unsigned long long)s->seen);
    }
}

/* What counts as a token and as an event, in this run's own figures. */
static void print_counting(const struct load_tally *t, FILE *out)
{
    uint64_t completed = t->ends[LOAD_COMPLETED];
    if (t->by_usage < completed)
        fprintf(out,
                "Tokens: the server told usage for %llu of %llu; for the others each event is "
                "counted as one.\n",
                (unsigned long long)t->by_usage, (unsigned long long)completed);
    if (t->completed_events)
        fprintf(out, "An event is a message with text; one had %.2f tokens here.\n",
                t->completed_tokens / (double)t->completed_events);
}

void load_print(const struct load_options *o, struct load_result *r, FILE *out)
{
    uint32_t clients = 0;
    for (size_t g = 0; g < o->n_groups; g++)
        clients += o->group[g].clients;
    if (o->rate > 0)
        fprintf(out, "%s, %.4g arrivals/s, %.2f s\n", o->url, o->rate, r->seconds);
    else
        fprintf(out, "%s, %u client%s, %.2f s\n", o->url, clients, clients == 1 ? "" : "s",
                r->seconds);
    print_ends(&r->total, out);
    print_rates(o, r, &r->total, out);
    print_rows(&r->total, out);
    print_counting(&r->total, out);
    for (size_t g = 0; o->n_groups > 1 && g < o->n_groups; g++) {
        fprintf(out, "\n%s, %u of %u clients: ", o->group[g].name, o->group[g].clients, clients);
        print_ends(&r->group[g], out);
        print_rates(o, r, &r->group[g], out);
        print_rows(&r->group[g], out);
    }
    for (int k = 0; k < N_HOLD_KINDS; k++) {
        const struct hold_tally *t = &r->held[k];
        if (t->wanted)
            fprintf(out,
                    "%u %s connections: %u open at the end (%u of them answered with 200), "
                    "%llu closed by the server, %llu refused\n",
                    t->wanted, held_names[k], t->open, t->answered, (unsigned long long)t->closed,
                    (unsigned long long)t->refused);
    }
    if (*r->problem)
        fprintf(out, "The first that was not completed: %s\n", r->problem);
}

/* ------------------------------------------------------------------ for programs */

/* Calls of cJSON that fail leave a tree with a hole; `whole` remembers it. */
struct tree {
    bool whole;
};

/* To three decimals: microseconds of a time in milliseconds. */
static void number(struct tree *t, cJSON *to, const char *name, double value)
{
    t->whole = cJSON_AddNumberToObject(to, name, round(value * 1e3) / 1e3) && t->whole;
}

static void text(struct tree *t, cJSON *to, const char *name, const char *value)
{
    t->whole = cJSON_AddStringToObject(to, name, value) && t->whole;
}

static cJSON *object(struct tree *t, cJSON *to, const char *name)
{
    cJSON *made = cJSON_AddObjectToObject(to, name);
    t->whole = made && t->whole;
    return made;
}

static cJSON *element(struct tree *t, cJSON *to)
{
    cJSON *made = cJSON_CreateObject();
    if (made && cJSON_AddItemToArray(to, made))
        return made;
    cJSON_Delete(made);
    t->whole = false;
    return NULL;
}

static cJSON *list(struct tree *t, cJSON *to, const char *name)
{
    cJSON *made = cJSON_AddArrayToObject(to, name);
    t->whole = made && t->whole;
    return made;
}

static void add_tally(struct tree *tree, cJSON *to, const struct load_result *r,
                      struct load_tally *t)
{
    number(tree, to, "requests", (double)t->requests);
    number(tree, to, "completed", (double)t->ends[LOAD_COMPLETED]);
    number(tree, to, "refused", (double)t->ends[LOAD_REFUSED]);
    number(tree, to, "failed", (double)t->failed);
    number(tree, to, "unsent", (double)t->unsent);
    cJSON *refusals = list(tree, to, "refusals");
    for (size_t i = 0; i < t->n_statuses; i++) {
        cJSON *e = element(tree, refusals);
        number(tree, e, "status", (double)t->statuses[i].status);
        number(tree, e, "n", (double)t->statuses[i].n);
        number(tree, e, "with_retry_after", (double)t->statuses[i].with_retry_after);
    }
    cJSON *failures = object(tree, to, "failures");
    for (int end = LOAD_FIRST_FAILURE; end < N_LOAD_ENDS; end++)
        if (t->ends[end])
            number(tree, failures, load_end_name((enum load_end)end), (double)t->ends[end]);
    number(tree, to, "prompt_tokens", t->prompt_tokens);
    number(tree, to, "generated_tokens", t->generated_tokens);
    number(tree, to, "completed_tokens", t->completed_tokens);
    number(tree, to, "in_time", (double)t->in_time);
    number(tree, to, "completed_with_usage", (double)t->by_usage);
    number(tree, to, "events", (double)t->events);
    number(tree, to, "goodput_tokens_per_second", per_second(r, t->completed_tokens));
    number(tree, to, "in_time_tokens_per_second", per_second(r, t->in_time_tokens));
    number(tree, to, "generated_tokens_per_second", per_second(r, t->generated_tokens));
    number(tree, to, "prompt_tokens_per_second", per_second(r, t->prompt_tokens));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct samples *s = samples_of(t, i);
        cJSON *row = object(tree, to, rows[i].name);
        static const int percents[] = {50, 90, 99};
        for (size_t p = 0; p < ARRAY_LEN(percents); p++) {
            char name[8];
            snprintf(name, sizeof name, "p%d", percents[p]);
            /* null, and not 0, where there is none */
            number(tree, row, name, s->n ? samples_percentile(s, percents[p]) * 1e3 : NAN);
        }
        number(tree, row, "n", (double)s->seen);
    }
}

cJSON *load_json(const struct load_options *o, struct load_result *r)
{
    struct tree tree = {.whole = true};
    cJSON *all = cJSON_CreateObject();
    text(&tree, all, "url", o->url);
    number(&tree, all, "rate", o->rate);
    number(&tree, all, "seconds", r->seconds);
    add_tally(&tree, all, r, &r->total);
    cJSON *groups = list(&tree, all, "groups");
    for (size_t g = 0; g < o->n_groups; g++) {
        cJSON *e = element(&tree, groups);
        text(&tree, e, "name", o->group[g].name);
        number(&tree, e, "clients", o->group[g].clients);
        add_tally(&tree, e, r, &r->group[g]);
    }
    for (int k = 0; k < N_HOLD_KINDS; k++) {
        cJSON *e = object(&tree, all, held_names[k]);
        number(&tree, e, "wanted", r->held[k].wanted);
        number(&tree, e, "open", r->held[k].open);
        number(&tree, e, "answered", r->held[k].answered);
        number(&tree, e, "closed", (double)r->held[k].closed);
        number(&tree, e, "refused", (double)r->held[k].refused);
    }
    if (*r->problem)
        text(&tree, all, "problem", r->problem);
    if (tree.whole)
        return all;
    cJSON_Delete(all);
    return NULL;
}
