/* SPDX-License-Identifier: MIT */
/*
 * load.h - many requests to one server, and what came of them.
 *
 * Closed loop: each client sends its next request when the last one is over, so a slow server is
 * asked less.  After a refusal a client waits as long as Retry-After says, or LOAD_RETRY_SECONDS.
 *
 * Open loop: requests arrive at a rate, at random moments (a Poisson process), whatever the server
 * does.  Every duration then counts from the moment the request was due, so that neither a slow
 * server nor a slow sender hides what a user would have waited.
 *
 * A request is a streamed /v1/completions that asks for its exact length ("ignore_eos") and for
 * "usage".  Its end is one of three:
 *   completed   status 200 and a whole stream, up to [DONE];
 *   refused     another status;
 *   failed      anything else; enum load_end has the kinds.
 *
 * An event is one message of the stream that carries text.  A server may put several tokens into
 * one, and a token may have no text of its own, so tokens are counted by the server's usage and
 * only without one by events.  The time for a token of a request is from its first event to its
 * last, divided by its tokens; where there are not half as many events as tokens that would say
 * little, and it is left out.
 */
#ifndef TRIT_CLIENT_LOAD_H
#define TRIT_CLIENT_LOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "hold.h"
#include "samples.h"
#include "trit-http.h"
#include "work.h"

struct trit_error;

enum {
    LOAD_GROUPS_MAX = 64,
    LOAD_CLIENTS_MAX = 16384,
    LOAD_STATUSES_MAX = 16, /* different ones; there are not that many */
};
#define LOAD_RETRY_SECONDS 0.1

enum load_end {
    LOAD_COMPLETED,
    LOAD_REFUSED,
    LOAD_CONNECT,     /* the first failure: no connection */
    LOAD_TIMEOUT,     /* took longer than it may */
    LOAD_BROKEN,      /* the connection ended in the middle of an answer */
    LOAD_CUT,         /* the stream ended without [DONE] */
    LOAD_ERROR_EVENT, /* the stream said what went wrong */
    LOAD_UNREADABLE,  /* status 200, but no stream of events as OpenAI has it */
    LOAD_GIVEN_UP,    /* we were interrupted */
    N_LOAD_ENDS,
    LOAD_FIRST_FAILURE = LOAD_CONNECT,
};
const char *load_end_name(enum load_end end); /* "completed", ... "connect", ... */

/* Clients of one tenant. */
struct load_group {
    char name[64];
    const char *key;  /* bearer token, or NULL */
    uint32_t clients; /* at a time; with a rate its share of the arrivals */
};

struct load_options {
    const char *url;
    const char *model; /* NULL: the server's */
    const struct load_group
        *group; /* 1..LOAD_GROUPS_MAX, with 1..LOAD_CLIENTS_MAX clients in all */
    size_t n_groups;
    double rate;               /* arrivals a second; 0: closed loop */
    uint32_t in_flight_max;    /* with a rate: more at a time are not sent, and counted */
    uint64_t requests;         /* 0: no end by number */
    double seconds;            /* no request begins later; 0: no end by time */
    double timeout_seconds;    /* of one request */
    double temperature, top_p; /* negative: the server's default */
    double first_within;       /* seconds to the first event that count as good; 0: any */
    uint32_t idle, stuck;      /* connections beside the clients */
    double settle_seconds;     /* that those are open before the first request */
    struct work work;
    const volatile sig_atomic_t *stop; /* nonzero: give up */
};

struct load_status {
    long status;
    uint64_t n, with_retry_after;
};

struct load_tally {
    uint64_t requests; /* that were sent: completed + refused + failed */
    uint64_t unsent;   /* arrivals for which there was no room here */
    uint64_t failed;   /* the sum of ends[LOAD_FIRST_FAILURE..] */
    uint64_t ends[N_LOAD_ENDS];
    struct load_status statuses[LOAD_STATUSES_MAX]; /* of the refused */
    size_t n_statuses;
    double prompt_tokens;    /* as far as the server told */
    double generated_tokens; /* of all requests */
    double completed_tokens; /* of the completed ones */
    uint64_t in_time;        /* completed requests whose first event came within first_within */
    double in_time_tokens;   /* theirs */
    uint64_t by_usage;       /* completed requests whose tokens the server counted */
    uint64_t events, completed_events;
    struct samples first;   /* to the first event */
    struct samples gaps;    /* between events */
    struct samples token;   /* of a request: the mean time for a token after the first */
    struct samples whole;   /* of completed requests */
    struct samples refusal; /* to the end of a refusal */
};

/* One request that is over. */
struct load_outcome {
    enum load_end end;
    long status; /* of a refused one */
    bool retry_after;
    double seconds;         /* from when it was due */
    bool in_time;           /* its first event was */
    double talking_seconds; /* from the first event to the last */
    uint64_t events;
    double prompt_tokens, answer_tokens; /* by usage; answer negative: not told */
};

/* load-tally.c.  A zeroed tally is empty. */
void load_tally_add(struct load_tally *t, const struct load_outcome *o);
void load_tally_fini(struct load_tally *t);

struct load_result {
    double seconds; /* from the first request to the end of the last */
    struct load_tally total, *group;
    size_t n_groups;
    struct hold_tally held[N_HOLD_KINDS];
    char problem[600]; /* of the first request that was refused or failed, or "" */
};

/*
 * Run.  0 also when every request failed; an error is only what kept it from being run at all.
 * *r is to be closed either way.
 */
int load_run(const struct load_options *o, struct load_result *r, struct trit_error *err);
void load_result_close(struct load_result *r);

/* What it took to learn how many words make a token for this server. */
struct load_calibration {
    double words_per_token; /* 1 when the server does not tell */
    double prompt_tokens, generated_tokens;
    bool told;
};
int load_calibrate(const struct load_options *o, struct load_calibration *c,
                   struct trit_error *err);

/* load-report.c: for people, and as JSON (NULL: no memory).  Percentiles sort the samples. */
void load_print(const struct load_options *o, struct load_result *r, FILE *out);
cJSON *load_json(const struct load_options *o, struct load_result *r);

#endif
