/* SPDX-License-Identifier: MIT */
/*
 * trit-http.h - one request to an OpenAI-style server, its answer whole or as a stream of events.
 */
#ifndef TRIT_CLIENT_HTTP_H
#define TRIT_CLIENT_HTTP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "base/buf.h"
#include "sse.h"

/* Where requests go, from the command line. */
struct server_address {
    const char *url; /* "http://host:port", or "unix:/path/of/a/socket" */
    const char *key; /* sent as a bearer token; NULL: none */
};

/*
 * Called for every event of a stream, as JSON, until "[DONE]".  The tree is freed after the call.
 * false ends the transfer.
 */
typedef bool (*event_fn)(const cJSON *event, void *arg);

struct request {
    CURL *easy;
    struct curl_slist *headers;
    char *url;
    char *body;        /* sent; NULL: GET */
    struct buf answer; /* what is no stream, whole */
    struct sse sse;    /* what is one */
    size_t n_received; /* bytes of the body */
    event_fn event;
    void *arg;
    bool streams; /* the answer turned out to be one */
    bool done;    /* "[DONE]" was seen */
    bool stopped; /* by event(), or garbled */
    bool garbled; /* an event was no JSON */
};

/*
 * Prepare a request for server + path.  body is sent as JSON (NULL: GET) and only read.  event:
 * NULL when no stream is expected.  false when there is no memory; *r is to be closed all the same.
 */
bool request_open(struct request *r, const struct server_address *server, const char *path,
                  const cJSON *body, event_fn event, void *arg);
void request_close(struct request *r);

/* Let redirections be followed: not many, and none from https to http. */
void request_follow(CURL *easy, const char *url);

/* So long a server may be silent that has to compute nothing for its answer. */
enum { SILENT_SECONDS = 30 };

/*
 * Run it to its end, or until *stop is set, or until silent_seconds have brought no byte (0: for as
 * long as it takes).  What request_problem says of it.
 */
const char *request_run(struct request *r, const volatile sig_atomic_t *stop, long silent_seconds,
                        char *text, size_t text_bytes);

/*
 * After the transfer: NULL when the server answered 200 and, for a stream, finished it; else a text
 * for people in `text`, taken from the server's error object where there is one.
 */
const char *request_problem(struct request *r, CURLcode code, char *text, size_t text_bytes);

/* The text of an error object {"error": {"message": ...}}, or NULL. */
const char *error_message(const cJSON *answer);

/* object[name] as a number, or `otherwise`. */
double number_at(const cJSON *object, const char *name, double otherwise);

#endif
