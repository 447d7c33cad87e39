/* SPDX-License-Identifier: MIT */
/*
 * trit-load.c - `trit bench`: a quick look at what many streams at once get from a server.
 *
 * The load, its counting and its report are those of `trit-bench load` (load.h), so the two cannot
 * disagree.  This one stays because whoever has the client at hand wants one line to type; what it
 * has no option for (rates, tenants, distributions, comparing servers) is asked there.
 */
#include "config.h"
#include "trit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "load.h"

static struct dist exactly(long n)
{
    return (struct dist){.kind = DIST_FIXED, .from = (uint32_t)n, .to = (uint32_t)n};
}

int bench(const struct options *o)
{
    struct load_group group = {.name = "all", .key = o->server.key};
    struct load_options load = {
        .url = o->server.url,
        .model = o->model,
        .group = &group,
        .n_groups = 1,
        .requests = (uint64_t)(o->requests ? o->requests : 4 * o->clients),
        .timeout_seconds = o->timeout_seconds,
        .temperature = o->temperature,
        .top_p = o->top_p,
        /* Words are what the user counts here: nothing is asked of the server to calibrate. */
        .work = {.prompt = exactly(o->prompt_words),
                 .output = exactly(o->max_tokens ? o->max_tokens : 64),
                 .words_per_token = 1,
                 .seed = o->seed >= 0 ? (uint64_t)o->seed : 1},
        .stop = &interrupted,
    };
    struct load_result result;
    struct trit_error err;
    group.clients = (uint32_t)MIN((uint64_t)o->clients, load.requests);
    int rc = load_run(&load, &result, &err);
    char *json = NULL;
    if (rc != 0) {
        fprintf(stderr, "trit: %s\n", err.text);
    } else if (o->json) {
        cJSON *tree = load_json(&load, &result);
        json = tree ? cJSON_PrintUnformatted(tree) : NULL;
        cJSON_Delete(tree);
        rc = json ? 0 : -TRIT_ENOMEM;
        puts(json ? json : "{}");
        cJSON_free(json);
        if (*result.problem)
            fprintf(stderr, "trit: the first failure: %s\n", result.problem);
    } else {
        load_print(&load, &result, stdout);
    }
    bool good = rc == 0 && result.total.ends[LOAD_COMPLETED] == result.total.requests;
    load_result_close(&result);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
