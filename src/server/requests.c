/* SPDX-License-Identifier: MIT */
/*
 * requests.c - what is being worked on: GET /v1/tritd/requests, and DELETE to end one.
 *
 * Who has a key sees and ends what was asked with a key of the same name; without keys everybody
 * sees all.  Never any text of anybody.
 */
#include "config.h"
#include "server/job.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "server/json.h"

static bool is_visible(const struct exchange *x, const struct job *j)
{
    return j->state != JOB_FINISHED && j->x && j->kind == JOB_GENERATES &&
           (x->s->keys.n == 0 || x->tenant == j->tenant);
}

static const char *state_of(const struct job *j)
{
    if (j->state == JOB_ENCODING)
        return "encoding";
    for (uint32_t i = 0; i < j->n_choices; i++)
        if (j->choice[i].seq && atomic_load(&j->choice[i].seq->started))
            return "running";
    return "queued";
}

/* Seconds to the millisecond; null where there are none. */
static void put_seconds(struct json_out *o, const char *key, double seconds)
{
    json_key(o, key);
    if (isfinite(seconds))
        json_double(o, round(seconds * 1e3) / 1e3);
    else
        json_null(o);
}

static void put_request(struct json_out *o, const struct job *j, double now)
{
    static const char *const priorities[SEQ_PRIORITIES] = {
        [SEQ_HIGH] = "high", [SEQ_NORMAL] = "normal", [SEQ_LOW] = "low"};
    struct format_usage u;
    job_usage(j, &u);
    json_open(o, '{');
    json_key(o, "id");
    json_str(o, j->id);
    json_key(o, "request_id");
    json_str(o, j->x->id);
    json_key(o, "object");
    json_str(o, "tritd.request");
    json_key(o, "key");
    json_str_or_null(o, *j->tenant->grant.name ? j->tenant->grant.name : NULL);
    json_key(o, "model");
    json_str(o, j->m->name);
    json_key(o, "route");
    json_str(o, metrics_route_name(j->x->route));
    json_key(o, "state");
    json_str(o, state_of(j));
    json_key(o, "priority");
    json_str(o, priorities[j->priority]);
    json_key(o, "stream");
    json_bool(o, j->params.stream);
    json_key(o, "choices");
    json_int(o, j->n_choices);
    json_key(o, "prompt_tokens");
    json_int(o, (int64_t)u.prompt);
    json_key(o, "cached_tokens");
    json_int(o, (int64_t)u.cached);
    json_key(o, "generated_tokens");
    json_int(o, (int64_t)u.completion);
    put_seconds(o, "age_seconds", now - j->t_start);
    put_seconds(o, "since_token_seconds", j->t_first > 0 ? now - j->t_last : NAN);
    put_seconds(o, "deadline_seconds", fmax(0, j->deadline - now));
    json_close(o, '}');
}

void requests_list(struct exchange *x)
{
    struct json_out o = {.buf = &x->out};
    double now = trit_now();
    json_open(&o, '{');
    json_key(&o, "object");
    json_str(&o, "list");
    json_key(&o, "data");
    json_open(&o, '[');
    for (const struct job *j = x->s->jobs; j; j = j->next)
        if (is_visible(x, j))
            put_request(&o, j, now);
    json_close(&o, ']');
    json_close(&o, '}');
    exchange_whole(x, 200, "application/json");
}

/* A name of the client's own may stand for several; all of them end, and the answer shows the
 * newest. */
void requests_end(struct exchange *x)
{
    struct json_out o = {.buf = &x->out};
    struct problem p;
    double now = trit_now();
    unsigned n = 0;
    for (struct job *j = x->s->jobs; j; j = j->next) {
        if (!is_visible(x, j) || (strcmp(x->rest, j->id) != 0 && strcmp(x->rest, j->x->id) != 0))
            continue;
        if (n++ == 0)
            put_request(&o, j, now);
        log_notice("request ended id=%s by=%s key=%s", j->x->id, x->id,
                   *x->tenant->grant.name ? x->tenant->grant.name : "-");
        job_cancel(j);
    }
    if (n) {
        exchange_whole(x, 200, "application/json");
        return;
    }
    problem_set(&p, TRIT_ENOENT, NULL, "there is no such request in progress");
    exchange_problem(x, &p);
}
