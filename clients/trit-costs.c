/* SPDX-License-Identifier: MIT */
/*
 * trit-costs.c - `trit costs`: tokens and joules of each API key since the server started, from its
 * /metrics, and what they cost at given prices.
 *
 * Prompt tokens of a key include those found in the prefix cache; here they are told apart, because
 * they are cheaper to make.  Joules are the request's share of the whole packages' energy.
 */
#include "config.h"
#include "trit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "server/keys.h"

enum { ROWS_MAX = 4 * KEYS_MAX, NAME_BYTES = 80 }; /* also those whose lines are gone */

enum what { REQUESTS, PROMPT, CACHED, GENERATED, JOULES, N_WHATS };

static const struct {
    const char *metric, *price; /* price: its name in --prices; NULL: it has none */
    double unit;                /* of how many the price is */
} whats[N_WHATS] = {
    [REQUESTS] = {"tritd_key_requests_total", NULL, 1},
    [PROMPT] = {"tritd_key_prompt_tokens_total", "prompt", 1e6},
    [CACHED] = {"tritd_key_cached_tokens_total", "cached", 1e6},
    [GENERATED] = {"tritd_key_generated_tokens_total", "generated", 1e6},
    [JOULES] = {"tritd_key_energy_joules_total", "kwh", 3.6e6},
};

struct row {
    char name[NAME_BYTES];
    double value[N_WHATS];
};

struct sheet {
    struct row row[ROWS_MAX];
    size_t n;
    bool has_joules, has_more; /* more: than there is room for */
};

/* "prompt=0.02,generated=0.08": the price of each, 0 where none is named. */
static bool read_prices(const char *text, double price[N_WHATS])
{
    while (*text) {
        size_t i = 0, len = strcspn(text, "=");
        while (i < N_WHATS && !(whats[i].price && strlen(whats[i].price) == len &&
                                strncmp(whats[i].price, text, len) == 0))
            i++;
        char *end;
        if (i == N_WHATS || text[len] != '=')
            return false;
        price[i] = strtod(text + len + 1, &end);
        if (end == text + len + 1 || !(price[i] >= 0 && price[i] < 1e12) || (*end && *end != ','))
            return false;
        text = end + (*end == ',');
    }
    return true;
}

/* One line of the page: `metric{key="NAME"} VALUE`.  Names have no character that is escaped. */
static void take_line(struct sheet *t, const char *line)
{
    char name[NAME_BYTES], metric[64];
    double value;
    if (sscanf(line, "%63[a-z_]{key=\"%79[^\"]\"} %lf", metric, name, &value) != 3)
        return;
    size_t w = 0, r = 0;
    while (w < N_WHATS && strcmp(whats[w].metric, metric) != 0)
        w++;
    while (r < t->n && strcmp(t->row[r].name, name) != 0)
        r++;
    t->has_more = t->has_more || (w < N_WHATS && r == ROWS_MAX);
    if (w == N_WHATS || r == ROWS_MAX)
        return;
    if (r == t->n)
        memcpy(t->row[t->n++].name, name, sizeof name);
    t->row[r].value[w] = value;
    t->has_joules = t->has_joules || w == JOULES;
}

static double cost_of(const struct row *r, const double price[N_WHATS])
{
    double sum = 0;
    for (size_t w = 0; w < N_WHATS; w++)
        sum += r->value[w] * price[w] / whats[w].unit;
    return sum;
}

static void print_table(const struct sheet *t, const double price[N_WHATS])
{
    struct row all = {.name = "all"};
    printf("%-24s %10s %14s %14s %14s %12s %12s\n", "key", "requests", "prompt", "from cache",
           "generated", "joules", "cost");
    for (size_t i = 0; i <= t->n; i++) {
        const struct row *r = i < t->n ? &t->row[i] : &all;
        for (size_t w = 0; i < t->n && w < N_WHATS; w++)
            all.value[w] += r->value[w];
        char joules[32] = "-";
        if (t->has_joules)
            snprintf(joules, sizeof joules, "%.1f", r->value[JOULES]);
        printf("%-24s %10.0f %14.0f %14.0f %14.0f %12s %12.4f\n", r->name, r->value[REQUESTS],
               r->value[PROMPT], r->value[CACHED], r->value[GENERATED], joules, cost_of(r, price));
    }
}

int costs(const struct options *o)
{
    struct request r;
    char why[600];
    double price[N_WHATS] = {0};
    int rc = EXIT_FAILURE;
    if (o->prices && !read_prices(o->prices, price)) {
        fprintf(stderr,
                "trit: --prices: found \"%.64s\", expected some of prompt=X,cached=X,"
                "generated=X,kwh=X\n",
                o->prices);
        return EXIT_FAILURE;
    }
    struct sheet *t = mem_zalloc(1, sizeof *t);
    if (!t || !request_open(&r, &o->server, "/metrics", NULL, NULL, NULL)) {
        mem_free(t);
        return complain("out of memory");
    }
    const char *problem = request_run(&r, &interrupted, SILENT_SECONDS, why, sizeof why);
    if (problem) {
        complain(problem);
    } else {
        char *save = NULL, *text = r.answer.data;
        for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
             l = strtok_r(NULL, "\n", &save))
            take_line(t, l);
        for (size_t i = 0; i < t->n; i++) /* what had to be computed */
            t->row[i].value[PROMPT] -= t->row[i].value[CACHED];
        if (t->has_more)
            complain("there are more keys than these, and their sum is larger");
        else if (t->n == 0)
            complain("the server has no API keys, or is not tritd");
        else
            rc = EXIT_SUCCESS;
        if (t->n)
            print_table(t, price);
    }
    request_close(&r);
    mem_free(t);
    return rc;
}
