/* SPDX-License-Identifier: MIT */
/*
 * origin-check.c - what a request's Host and Origin decide, and CORS headers.
 */
#include "config.h"
#include "server/origin.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/parts.h"
#include "server/problem.h"

static const char *header(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, name);
}

static bool refuse(struct exchange *x, const char *code, const char *text)
{
    struct problem p;
    problem_set(&p, TRIT_EAUTH, NULL, "%s", text);
    p.status = 403;
    p.code = code;
    exchange_problem(x, &p);
    return true;
}

/* A browser says where a request comes from: by Origin when it posts, else by Sec-Fetch-Site. */
static bool is_foreign(const struct exchange *x)
{
    const char *origin = header(x, "Origin"), *host = header(x, "Host");
    const char *site = header(x, "Sec-Fetch-Site");
    if (origin && origin_listed(x->s->opt.limits.cors_origins, origin))
        return false;
    if (origin)
        return !host || !origin_is_same(origin, host);
    return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

bool origin_refuse(struct exchange *x, const char *method)
{
    const struct server *s = x->s;
    const char *host = header(x, "Host");
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
                 strcmp(method, "OPTIONS") == 0;
    if (s->keys.n)
        return false; /* Nobody else's page has a key. */
    if (host && x->conn->loopback && !origin_host_allowed(host, s->opt.limits.allowed_hosts))
        return refuse(x, "host_not_allowed",
                      "the Host of the request is not a name of this machine's loopback; "
                      "allowed-hosts lists others");
    if (!reads && is_foreign(x))
        return refuse(x, "origin_not_allowed",
                      "the request comes from a page of another origin; cors-origins lists those "
                      "that may");
    return false;
}

bool origin_preflight(struct exchange *x, const char *method)
{
    const char *list = x->s->opt.limits.cors_origins, *origin = header(x, "Origin");
    if (strcmp(method, "OPTIONS") != 0 || !*list || !origin ||
        !header(x, "Access-Control-Request-Method"))
        return false;
    if (!origin_listed(list, origin))
        return refuse(x, "origin_not_allowed", "cors-origins does not list this origin");
    x->preflight = true;
    exchange_whole(x, 204, NULL);
    return true;
}

/* Of the headers that a page wants to send, those that mean something here. */
static void put_allowed_headers(const struct exchange *x, struct MHD_Response *r)
{
    struct buf names = {0};
    const char *at = header(x, "Access-Control-Request-Headers"), *word;
    size_t len;
    while (at && (word = origin_next_word(&at, &len))) {
        if (!origin_header_allowed(word, (int)len))
            continue;
        if (names.len)
            buf_adds(&names, ", ");
        buf_add(&names, word, len);
    }
    if (names.len && !names.failed)
        MHD_add_response_header(r, "Access-Control-Allow-Headers", names.data);
    buf_free(&names);
}

void origin_put_headers(const struct exchange *x, struct MHD_Response *r)
{
    const char *list = x->s->opt.limits.cors_origins, *origin = header(x, "Origin");
    bool any = origin_listed(list, "*"); /* No origin reads so. */
    if (!*list)
        return;
    if (!any)
        MHD_add_response_header(r, "Vary", "Origin");
    if (!origin || !origin_listed(list, origin))
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Origin", any ? "*" : origin);
    if (!x->preflight) {
        MHD_add_response_header(
            r, "Access-Control-Expose-Headers",
            "x-request-id, openai-processing-ms, x-tritd-queue-ms, x-tritd-ignored-params, "
            "Retry-After, retry-after-ms, x-should-retry, x-ratelimit-limit-requests, "
            "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
            "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens");
        return;
    }
    MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE");
    MHD_add_response_header(r, "Access-Control-Max-Age", "7200");
    put_allowed_headers(x, r);
    if (header(x, "Access-Control-Request-Private-Network"))
        MHD_add_response_header(r, "Access-Control-Allow-Private-Network", "true");
}
