/* SPDX-License-Identifier: MIT */
/*
 * trit-load.c - what many streams at once get from a server.
 *
 * `clients` requests are always in flight until `requests` have been sent.  Every prompt is
 * different, so that no server can answer one from another's cache.  Latencies are taken when an
 * event with text arrives here; tokens are counted by the server's own usage, because an event may
 * carry several.
 *
 * Not here: a fixed arrival rate.  This is a closed loop, so a slow server is asked less.
 */
#include "config.h"
#include "trit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"

/* Enough for percentiles; later gaps are not recorded. */
#define SAMPLES_MAX (1 << 20)

struct samples {
    double *value;
    size_t n, cap;
};

struct flight {
    struct request request;
    struct run *run;
    double sent, first, last; /* trit_now(); first 0: no text yet */
    bool failed;
};

struct run {
    const struct options *o;
    CURLM *multi;
    long started, finished, failed;
    double prompt_tokens, answer_tokens;
    struct samples first, gaps, whole;
    char problem[600]; /* the first one */
};

static void sample(struct samples *s, double value)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1024;
        double *grown = s->n < SAMPLES_MAX ? mem_resize(s->value, cap, sizeof *grown) : NULL;
        if (!grown)
            return;
        s->value = grown;
        s->cap = cap;
    }
    s->value[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort(struct samples *s)
{
    if (s->n)
        qsort(s->value, s->n, sizeof *s->value, compare);
}

/* The p-th percentile in milliseconds, nearest rank; the samples must be sorted. */
static double percentile(const struct samples *s, double p)
{
    if (s->n == 0)
        return 0;
    size_t rank = (size_t)ceil(p / 100 * (double)s->n);
    return s->value[MAX(rank, 1) - 1] * 1e3;
}

static bool on_event(const cJSON *event, void *arg)
{
    struct flight *f = arg;
    const char *message = error_message(event);
    if (message) {
        f->failed = true;
        if (!*f->run->problem)
            snprintf(f->run->problem, sizeof f->run->problem, "%s", message);
        return false;
    }
    const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(event, "choices"), 0);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(choice, "text"));
    if (text && *text) {
        double now = trit_now();
        if (f->first == 0) {
            f->first = now;
            sample(&f->run->first, now - f->sent);
        } else {
            sample(&f->run->gaps, now - f->last);
        }
        f->last = now;
    }
    const cJSON *usage = cJSON_GetObjectItemCaseSensitive(event, "usage");
    f->run->prompt_tokens += number_at(usage, "prompt_tokens", 0);
    f->run->answer_tokens += number_at(usage, "completion_tokens", 0);
    return true;
}

/* A prompt of n words that no other request has; the words themselves do not matter. */
static char *make_prompt(long n, long index)
{
    static const char *const words[] = {"river", "lamp",  "seven", "walks", "under",
                                        "green", "tower", "slow",  "bread", "and"};
    struct buf text = {0};
    buf_addf(&text, "%ld", index);
    unsigned long state = (unsigned long)index * 2654435761u + 1;
    for (long i = 1; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        buf_addf(&text, " %s", words[(state >> 33) % ARRAY_LEN(words)]);
    }
    return buf_take(&text, NULL);
}

/* Put the next request into a free flight. */
static bool launch(struct run *run, struct flight *f)
{
    const struct options *o = run->o;
    char *prompt = make_prompt(o->prompt_words, run->started);
    cJSON *body = body_of(o), *usage = NULL;
    bool ok = prompt && body && cJSON_AddStringToObject(body, "prompt", prompt) &&
              (usage = cJSON_AddObjectToObject(body, "stream_options")) &&
              cJSON_AddBoolToObject(usage, "include_usage", true) &&
              /* Answers of one length make runs comparable; servers that do not know it say so. */
              cJSON_AddBoolToObject(body, "ignore_eos", true);
    *f = (struct flight){.run = run, .sent = trit_now()};
    ok = ok && request_open(&f->request, &o->server, "/v1/completions", body, on_event, f) &&
         curl_multi_add_handle(run->multi, f->request.easy) == CURLM_OK;
    mem_free(prompt);
    cJSON_Delete(body);
    run->started += ok;
    return ok;
}

static void land(struct run *run, struct flight *f, CURLcode code)
{
    char text[sizeof run->problem];
    const char *problem = request_problem(&f->request, code, text, sizeof text);
    if (problem && !*run->problem)
        snprintf(run->problem, sizeof run->problem, "%s", problem);
    run->finished++;
    if (problem || f->failed)
        run->failed++;
    else
        sample(&run->whole, trit_now() - f->sent);
    curl_multi_remove_handle(run->multi, f->request.easy);
    request_close(&f->request);
}

/* Keep the flights going until all have landed or time is up.  false: gave up. */
static bool fly(struct run *run, struct flight *flights)
{
    const struct options *o = run->o;
    double deadline = trit_now() + o->timeout_seconds;
    for (long i = 0; i < o->clients && run->started < o->requests; i++)
        if (!launch(run, &flights[i]))
            return false;
    while (run->finished < run->started) {
        int running, left;
        if (interrupted || trit_now() > deadline ||
            curl_multi_perform(run->multi, &running) != CURLM_OK)
            return false;
        for (CURLMsg *m; (m = curl_multi_info_read(run->multi, &left));) {
            if (m->msg != CURLMSG_DONE)
                continue;
            struct request *r = NULL;
            CURLcode code = m->data.result;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
            struct flight *f = CONTAINER_OF(r, struct flight, request);
            land(run, f, code);
            if (run->started < o->requests && !launch(run, f))
                return false;
        }
        if (curl_multi_poll(run->multi, NULL, 0, 200, NULL) != CURLM_OK)
            return false;
    }
    return true;
}

static void print_row(const char *name, const struct samples *s)
{
    printf("%-22s %10.1f %10.1f %10.1f   ms, of %zu\n", name, percentile(s, 50), percentile(s, 90),
           percentile(s, 99), s->n);
}

static void print_json(const char *name, const struct samples *s)
{
    printf("\"%s\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"n\":%zu}", name, percentile(s, 50),
           percentile(s, 90), percentile(s, 99), s->n);
}

static void report(const struct run *run, double seconds)
{
    const struct options *o = run->o;
    if (o->json) {
        printf("{\"clients\":%ld,\"requests\":%ld,\"failed\":%ld,\"seconds\":%.3f,"
               "\"prompt_tokens\":%.0f,\"completion_tokens\":%.0f,\"tokens_per_second\":%.2f,",
               o->clients, run->finished, run->failed, seconds, run->prompt_tokens,
               run->answer_tokens, run->answer_tokens / seconds);
        print_json("first_token_ms", &run->first);
        putchar(',');
        print_json("between_events_ms", &run->gaps);
        putchar(',');
        print_json("request_ms", &run->whole);
        printf("}\n");
        return;
    }
    printf("%ld requests (%ld failed), %ld at a time, %.2f s\n", run->finished, run->failed,
           o->clients, seconds);
    printf("%.1f generated tokens/s (%.0f), %.0f prompt tokens\n\n", run->answer_tokens / seconds,
           run->answer_tokens, run->prompt_tokens);
    printf("%-22s %10s %10s %10s\n", "", "p50", "p90", "p99");
    print_row("first token", &run->first);
    print_row("between events", &run->gaps);
    print_row("whole request", &run->whole);
}

int bench(const struct options *given)
{
    struct options o = *given;
    o.stream = true;
    o.max_tokens = o.max_tokens ? o.max_tokens : 64;
    o.requests = o.requests ? o.requests : 4 * o.clients;
    o.clients = MIN(o.clients, o.requests);
    struct run run = {.o = &o, .multi = curl_multi_init()};
    struct flight *flights = mem_zalloc((size_t)o.clients, sizeof *flights);
    double begin = trit_now();
    bool whole = run.multi && flights && fly(&run, flights);
    double seconds = MAX(trit_now() - begin, 1e-9);

    sort(&run.first);
    sort(&run.gaps);
    sort(&run.whole);
    report(&run, seconds);
    if (*run.problem)
        fprintf(stderr, "trit: the first failure: %s\n", run.problem);
    if (!whole)
        fprintf(stderr, "trit: gave up with %ld of %ld requests done\n", run.finished, o.requests);

    for (long i = 0; flights && i < o.clients; i++) {
        if (flights[i].request.easy)
            curl_multi_remove_handle(run.multi, flights[i].request.easy);
        request_close(&flights[i].request);
    }
    curl_multi_cleanup(run.multi);
    mem_free(flights);
    mem_free(run.first.value);
    mem_free(run.gaps.value);
    mem_free(run.whole.value);
    return whole && run.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
