/* SPDX-License-Identifier: MIT */
/*
 * bench-load.c - `trit-bench load`: the same work for one server or several, in alternating rounds.
 *
 * Machines that are shared drift, so servers are compared within a round, and the medians over
 * rounds are what the ratios are of.  Prompts differ from round to round: no cache answers for the
 * engine.
 *
 * Not here: the load itself and its counting (clients/load.h).
 */
#include "config.h"
#include "bench.h"

#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "load.h"

enum { URLS_MAX = 8, ROUNDS_MAX = 64, CAPACITY_ROUNDS = 4 };

struct plan {
    const char *url[URLS_MAX];
    size_t n_urls;
    struct load_group group[LOAD_GROUPS_MAX];
    struct load_options load; /* of every run; url and seed change */
    double times_capacity;    /* 0: load.rate is what it is */
    double rate[URLS_MAX];
    unsigned rounds;
    bool json;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

/* ------------------------------------------------------------------ the command line */

static const char help[] =
    "trit-bench load measures what clients get from a running server.\n"
    "\n"
    "Usage: trit-bench load [OPTIONS]\n"
    "\n"
    "  --url URL            http://host:port or unix:/path (default http://127.0.0.1:8080); up to\n"
    "                       8 times: the same work for each in turn, and ratios to the first\n"
    "  --model NAME         model to ask for (default: none is named)\n"
    "\n"
    "How many requests, and when:\n"
    "  --clients N          requests at a time; a client asks again when it has its answer\n"
    "                       (default 8)\n"
    "  --rate R             instead: R requests arrive a second, at random moments, whatever the\n"
    "                       server does; times then count from the arrival\n"
    "  --rate Fx            F times what the server completes with --clients clients, which is\n"
    "                       measured first\n"
    "  --requests N         requests in all (default 4 for each client)\n"
    "  --seconds S          requests begin for so long (default with --rate 10)\n"
    "  --key NAME:N[:TOKEN] instead of --clients: N clients that send this bearer token (default\n"
    "                       the name itself), reported apart; once for each tenant\n"
    "  --in-flight N        with --rate: most requests at a time; what would be more is not sent\n"
    "                       and reported as such (default 1024)\n"
    "  --timeout S          of one request (default 300)\n"
    "  --first-within S     report also the goodput of requests whose first text came so soon\n"
    "\n"
    "What they ask for (every prompt is another one, made of words):\n"
    "  --prompt-tokens L    length: 64, or 32..512, or lognormal:MEDIAN:SIGMA (default 64)\n"
    "  --output-tokens L    the same for answers (default 64)\n"
    "  --shared-prefix N    N more tokens with which every prompt begins\n"
    "  --temperature X      0 to 2 (default 0)\n"
    "  --seed N             same seed, same requests (default 1)\n"
    "\n"
    "Beside them:\n"
    "  --idle N             connections that ask once and stay\n"
    "  --stuck N            readers that send a request and never read\n"
    "  --settle S           seconds that they are there before the first request (default 0)\n"
    "\n"
    "  --rounds N           measure N times, servers alternating (default 1)\n"
    "  --json               all figures as one JSON object\n"
    "  -h, --help           this text\n"
    "\n"
    "Examples:\n"
    "  trit-bench load --clients 16 --requests 64 --prompt-tokens 32..512\n"
    "      16 users; read the p99 of the first text and of the time between events\n"
    "  trit-bench load --rate 10x --seconds 20 --prompt-tokens lognormal:128:0.8\n"
    "      ten times too much: goodput should hold, refusals should be quick\n"
    "  trit-bench load --key modest:2 --key greedy:30 --seconds 20\n"
    "      does the one with 30 clients starve the one with 2?\n"
    "  trit-bench load --clients 4 --idle 1000 --stuck 50\n"
    "      do a thousand connections that do nothing cost those that do something?\n"
    "  trit-bench load --url http://127.0.0.1:8081 --url http://127.0.0.1:8080 --rounds 3\n"
    "      one server against another; the first is 1\n"
    "\n"
    "Exit status: 0 unless a request failed (a refusal is an answer) or nothing could be "
    "measured.\n";

enum {
    OPT_URL = 256,
    OPT_MODEL,
    OPT_CLIENTS,
    OPT_RATE,
    OPT_REQUESTS,
    OPT_SECONDS,
    OPT_KEY,
    OPT_IN_FLIGHT,
    OPT_TIMEOUT,
    OPT_FIRST_WITHIN,
    OPT_SETTLE,
    OPT_PROMPT,
    OPT_OUTPUT,
    OPT_PREFIX,
    OPT_TEMPERATURE,
    OPT_SEED,
    OPT_IDLE,
    OPT_STUCK,
    OPT_ROUNDS,
    OPT_JSON
};

static const struct option options[] = {
    {"url", required_argument, NULL, OPT_URL},
    {"model", required_argument, NULL, OPT_MODEL},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"key", required_argument, NULL, OPT_KEY},
    {"in-flight", required_argument, NULL, OPT_IN_FLIGHT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"first-within", required_argument, NULL, OPT_FIRST_WITHIN},
    {"settle", required_argument, NULL, OPT_SETTLE},
    {"prompt-tokens", required_argument, NULL, OPT_PROMPT},
    {"output-tokens", required_argument, NULL, OPT_OUTPUT},
    {"shared-prefix", required_argument, NULL, OPT_PREFIX},
    {"temperature", required_argument, NULL, OPT_TEMPERATURE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"idle", required_argument, NULL, OPT_IDLE},
    {"stuck", required_argument, NULL, OPT_STUCK},
    {"rounds", required_argument, NULL, OPT_ROUNDS},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* "12.5", or "10x" for a multiple of the capacity. */
static bool take_rate(struct plan *p, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    bool times = end[0] == 'x' && end[1] == '\0';
    if (end != text && (*end == '\0' || times) && value > 0 && value <= 1e6) {
        p->times_capacity = times ? value : 0;
        p->load.rate = times ? 0 : value;
        return true;
    }
    fprintf(stderr,
            "trit-bench: --rate: \"%.64s\", expected requests a second, or a multiple of the "
            "capacity as in 10x\n",
            text);
    return false;
}

static bool take_length(struct dist *d, const char *name, const char *text)
{
    struct trit_error err;
    if (dist_parse(text, d, &err) == 0)
        return true;
    fprintf(stderr, "trit-bench: --%s: %s\n", name, err.text);
    return false;
}

/* "NAME:CLIENTS[:TOKEN]". */
static bool take_key(struct plan *p, const char *text)
{
    struct load_group *g = &p->group[p->load.n_groups];
    size_t name = strcspn(text, ":");
    if (p->load.n_groups == LOAD_GROUPS_MAX) {
        fprintf(stderr, "trit-bench: --key: more than %d groups\n", LOAD_GROUPS_MAX);
        return false;
    }
    char *end = NULL;
    unsigned long clients = text[name] ? strtoul(text + name + 1, &end, 10) : 0;
    if (name == 0 || name >= sizeof g->name || clients < 1 || clients > LOAD_CLIENTS_MAX ||
        text[name + 1] == '-' || (*end != '\0' && *end != ':')) {
        fprintf(stderr, "trit-bench: --key: \"%.64s\", expected NAME:CLIENTS[:TOKEN]\n", text);
        return false;
    }
    memcpy(g->name, text, name);
    g->key = *end == ':' ? end + 1 : g->name;
    g->clients = (uint32_t)clients;
    p->load.n_groups++;
    return true;
}

static bool take_option(struct plan *p, int opt)
{
    struct load_options *o = &p->load;
    unsigned long n = 0;
    switch (opt) {
    case OPT_URL:
        if (p->n_urls < URLS_MAX)
            return p->url[p->n_urls++] = optarg, true;
        fprintf(stderr, "trit-bench: --url: at most %d servers\n", URLS_MAX);
        return false;
    case OPT_MODEL:
        return o->model = optarg, true;
    case OPT_CLIENTS:
        return bench_number("clients", optarg, 1, LOAD_CLIENTS_MAX, &n) &&
               (p->group[0].clients = (uint32_t)n, true);
    case OPT_RATE:
        return take_rate(p, optarg);
    case OPT_REQUESTS:
        return bench_number("requests", optarg, 1, 1UL << 32, &n) && (o->requests = n, true);
    case OPT_SECONDS:
        return bench_real("seconds", optarg, 0.01, 86400, &o->seconds);
    case OPT_KEY:
        return take_key(p, optarg);
    case OPT_IN_FLIGHT:
        return bench_number("in-flight", optarg, 1, LOAD_CLIENTS_MAX, &n) &&
               (o->in_flight_max = (uint32_t)n, true);
    case OPT_TIMEOUT:
        return bench_real("timeout", optarg, 0.01, 86400, &o->timeout_seconds);
    case OPT_FIRST_WITHIN:
        return bench_real("first-within", optarg, 0.001, 86400, &o->first_within);
    case OPT_SETTLE:
        return bench_real("settle", optarg, 0, 86400, &o->settle_seconds);
    case OPT_PROMPT:
        return take_length(&o->work.prompt, "prompt-tokens", optarg);
    case OPT_OUTPUT:
        return take_length(&o->work.output, "output-tokens", optarg);
    case OPT_PREFIX:
        return bench_number("shared-prefix", optarg, 1, WORK_TOKENS_MAX, &n) &&
               (o->work.shared_prefix = (uint32_t)n, true);
    case OPT_TEMPERATURE:
        return bench_real("temperature", optarg, 0, 2, &o->temperature);
    case OPT_SEED:
        return bench_number("seed", optarg, 0, UINT32_MAX, &n) && (o->work.seed = n, true);
    case OPT_IDLE:
        return bench_number("idle", optarg, 1, 65536, &n) && (o->idle = (uint32_t)n, true);
    case OPT_STUCK:
        return bench_number("stuck", optarg, 1, 65536, &n) && (o->stuck = (uint32_t)n, true);
    case OPT_ROUNDS:
        return bench_number("rounds", optarg, 1, ROUNDS_MAX, &n) && (p->rounds = (unsigned)n, true);
    case OPT_JSON:
        return p->json = true;
    default:
        return false; /* getopt has said what is wrong. */
    }
}

/* Fill in what was left out; how many clients there are in all. */
static uint32_t complete(struct plan *p)
{
    struct load_options *o = &p->load;
    uint32_t clients = 0;
    if (o->n_groups == 0) {
        memcpy(p->group[0].name, "all", sizeof "all");
        p->group[0].clients = p->group[0].clients ? p->group[0].clients : 8;
        o->n_groups = 1;
    }
    o->group = p->group;
    for (size_t g = 0; g < o->n_groups; g++)
        clients += p->group[g].clients;
    if (p->n_urls == 0)
        p->url[p->n_urls++] = "http://127.0.0.1:8080";
    bool open_loop = o->rate > 0 || p->times_capacity > 0;
    if (o->requests == 0 && o->seconds == 0) {
        o->seconds = open_loop ? 10 : 0;
        o->requests = open_loop ? 0 : (uint64_t)clients * 4;
    }
    return clients;
}

/* ------------------------------------------------------------------ comparing */

/* Figures of a run, by their names in its JSON. */
static const struct {
    const char *object, *name; /* object NULL: at the top */
    const char *title, *unit;
} figures[] = {
    {NULL, "goodput_tokens_per_second", "goodput", "tokens/s"},
    {NULL, "prompt_tokens_per_second", "prompts", "tokens/s"},
    {"first_text_ms", "p50", "first text, p50", "ms"},
    {"first_text_ms", "p99", "first text, p99", "ms"},
    {"between_events_ms", "p50", "between events, p50", "ms"},
    {"between_events_ms", "p99", "between events, p99", "ms"},
    {"per_token_ms", "p50", "per token, p50", "ms"},
    {"per_token_ms", "p99", "per token, p99", "ms"},
    {"request_ms", "p50", "whole request, p50", "ms"},
    {"request_ms", "p99", "whole request, p99", "ms"},
    {NULL, "completed", "completed", ""},
    {NULL, "refused", "refused", ""},
    {"refusal_ms", "p99", "until refused, p99", "ms"},
};

/* NAN: the run has no such figure, or no samples of it. */
static double figure_of(const cJSON *run, size_t i)
{
    if (figures[i].object)
        run = cJSON_GetObjectItemCaseSensitive(run, figures[i].object);
    return number_at(run, figures[i].name, NAN);
}

/* The median of a figure over the rounds of server u; NAN when there is none. */
static double median_of(const cJSON *runs, size_t n_urls, size_t u, size_t figure)
{
    struct bench_samples s = {0};
    const cJSON *run;
    size_t i = 0;
    cJSON_ArrayForEach(run, runs)
    {
        double value = figure_of(run, figure);
        if (i++ % n_urls == u && !isnan(value))
            bench_sample(&s, value);
    }
    return s.n ? bench_median(&s) : NAN;
}

/* One server's cell of the table; the first has no ratio. */
static void print_cell(double median, double first, bool with_ratio)
{
    if (isnan(median))
        printf(" %12s%7s", "-", "");
    else if (with_ratio && first > 0)
        printf(" %12.1f (%4.2f)", median, median / first);
    else
        printf(" %12.1f%7s", median, "");
}

/* The same as an element of *list; what there is not, is null. */
static bool add_cell(cJSON *list, const char *figure, const char *url, double median, double first)
{
    cJSON *e = cJSON_CreateObject();
    bool whole = e && cJSON_AddStringToObject(e, "figure", figure) &&
                 cJSON_AddStringToObject(e, "url", url) &&
                 cJSON_AddNumberToObject(e, "median", median) &&
                 cJSON_AddNumberToObject(e, "ratio", first > 0 ? median / first : NAN);
    if (whole && cJSON_AddItemToArray(list, e))
        return true;
    cJSON_Delete(e);
    return false;
}

/* Medians over the rounds, as a table, and in *all. */
static bool compare(const struct plan *p, const cJSON *runs, cJSON *all)
{
    cJSON *list = cJSON_AddArrayToObject(all, "compare");
    bool whole = list != NULL;
    if (!p->json)
        printf("\nMedians of %u round%s, and the ratio to %s\n", p->rounds,
               p->rounds == 1 ? "" : "s", p->url[0]);
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        double first = median_of(runs, p->n_urls, 0, i);
        if (!p->json)
            printf("%-22s %-9s", figures[i].title, figures[i].unit);
        for (size_t u = 0; u < p->n_urls; u++) {
            double median = median_of(runs, p->n_urls, u, i);
            whole = whole && add_cell(list, figures[i].title, p->url[u], median, first);
            if (!p->json)
                print_cell(median, first, u > 0);
        }
        if (!p->json)
            putchar('\n');
    }
    return whole;
}

/* ------------------------------------------------------------------ measuring */

static bool fail(const char *url, const struct trit_error *err)
{
    fprintf(stderr, "trit-bench: %s: %s\n", url, err->text);
    return false;
}

/* Ask every server for one token: are they there, how long is a word, and first pages are touched.
 */
static bool calibrate(struct plan *p, cJSON *all)
{
    cJSON *list = cJSON_AddArrayToObject(all, "calibrations");
    struct trit_error err;
    bool whole = list != NULL;
    for (size_t u = 0; u < p->n_urls; u++) {
        struct load_calibration c;
        p->load.url = p->url[u];
        if (load_calibrate(&p->load, &c, &err) != 0)
            return fail(p->url[u], &err);
        /* The first server's tokenizer counts for all: they get the same texts. */
        if (u == 0)
            p->load.work.words_per_token = c.words_per_token;
        if (!c.told)
            fprintf(stderr,
                    "trit-bench: %s does not tell how many tokens a prompt has: lengths are in "
                    "words\n",
                    p->url[u]);
        cJSON *e = cJSON_CreateObject();
        whole = whole && e && cJSON_AddStringToObject(e, "url", p->url[u]) &&
                cJSON_AddNumberToObject(e, "words_per_token", c.words_per_token) &&
                cJSON_AddNumberToObject(e, "prompt_tokens", c.prompt_tokens) &&
                cJSON_AddNumberToObject(e, "generated_tokens", c.generated_tokens);
        if (!e || !cJSON_AddItemToArray(list, e))
            cJSON_Delete(e);
    }
    return whole;
}

/* One run, printed, and added to the list.  *failed: a request was neither completed nor refused.
 */
static bool measure(const struct load_options *o, const char *title, bool json, cJSON *list,
                    bool *failed)
{
    struct load_result r;
    struct trit_error err;
    bool ok = load_run(o, &r, &err) == 0;
    if (!ok)
        fail(o->url, &err);
    if (ok && !json) {
        printf("%s: ", title);
        load_print(o, &r, stdout);
        putchar('\n');
        fflush(stdout);
    }
    *failed = *failed || (ok && r.total.failed > 0);
    cJSON *run = ok ? load_json(o, &r) : NULL;
    ok = run && cJSON_AddStringToObject(run, "title", title) && cJSON_AddItemToArray(list, run);
    if (!ok)
        cJSON_Delete(run);
    load_result_close(&r);
    return ok;
}

/* Requests a second that each server completes in a closed loop, hence the rates. */
static bool measure_capacity(struct plan *p, uint32_t clients, cJSON *all, bool *failed)
{
    cJSON *list = cJSON_AddArrayToObject(all, "capacities");
    struct load_options o = p->load;
    bool ok = list != NULL;
    o.seconds = 0;
    o.idle = o.stuck = 0;
    o.settle_seconds = 0;
    o.requests = (uint64_t)clients * CAPACITY_ROUNDS;
    o.work.seed += 1u << 31; /* Prompts that no round has. */
    for (size_t u = 0; ok && u < p->n_urls; u++) {
        o.url = p->url[u];
        ok = measure(&o, "capacity", p->json, list, failed);
        const cJSON *run = cJSON_GetArrayItem(list, (int)u);
        double completed = number_at(run, "completed", 0);
        p->rate[u] = p->times_capacity * completed / MAX(number_at(run, "seconds", 0), 1e-3);
        if (ok && completed == 0) {
            fprintf(stderr, "trit-bench: %s completed nothing: it has no capacity to multiply\n",
                    o.url);
            ok = false;
        }
    }
    return ok;
}

static bool measure_rounds(struct plan *p, cJSON *runs, bool *failed)
{
    char title[64];
    uint64_t seed = p->load.work.seed;
    bool ok = true;
    for (unsigned round = 0; ok && round < p->rounds && !interrupted; round++) {
        p->load.work.seed = seed + round;
        for (size_t u = 0; ok && u < p->n_urls && !interrupted; u++) {
            p->load.url = p->url[u];
            if (p->times_capacity > 0)
                p->load.rate = p->rate[u];
            snprintf(title, sizeof title, "round %u of %u", round + 1, p->rounds);
            ok = measure(&p->load, title, p->json, runs, failed);
        }
    }
    return ok;
}

int bench_load(int argc, char **argv)
{
    struct plan p = {
        .load = {.in_flight_max = 1024,
                 .timeout_seconds = 300,
                 .temperature = 0,
                 .top_p = -1,
                 .work = {.prompt = {.from = 64, .to = 64},
                          .output = {.from = 64, .to = 64},
                          .seed = 1},
                 .stop = &interrupted},
        .rounds = 1,
    };
    for (int opt; (opt = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (opt == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!take_option(&p, opt))
            return bench_usage("load");
    }
    if (optind != argc) {
        fprintf(stderr, "trit-bench load: \"%.64s\", expected options only\n", argv[optind]);
        return bench_usage("load");
    }
    uint32_t clients = complete(&p);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);

    bool failed = false;
    cJSON *all = cJSON_CreateObject(), *runs = cJSON_CreateArray();
    bool ok = all && runs && cJSON_AddNumberToObject(all, "seed", (double)p.load.work.seed) &&
              calibrate(&p, all) &&
              (p.times_capacity == 0 || measure_capacity(&p, clients, all, &failed)) &&
              measure_rounds(&p, runs, &failed) &&
              ((p.n_urls == 1 && p.rounds == 1) || compare(&p, runs, all)) &&
              cJSON_AddItemToObject(all, "runs", runs);
    if (p.json) {
        char *text = ok ? cJSON_PrintUnformatted(all) : NULL;
        ok = text && puts(text) >= 0;
        cJSON_free(text);
    }
    if (!cJSON_GetObjectItemCaseSensitive(all, "runs"))
        cJSON_Delete(runs);
    cJSON_Delete(all);
    return ok && !failed && !interrupted ? 0 : 1;
}
