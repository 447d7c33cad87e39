/* SPDX-License-Identifier: MIT */
/*
 * origin.c - words of lists, origins and hosts.
 *
 * Not here: what follows from them for a request (origin-check.c).
 */
#include "config.h"
#include "server/origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"

#define SEPARATORS " \t,"

const char *origin_next_word(const char **at, size_t *len)
{
    const char *word = *at + strspn(*at, SEPARATORS);
    *len = strcspn(word, SEPARATORS);
    *at = word + *len;
    return *len ? word : NULL;
}

static bool is_word(const char *word, size_t len, const char *s)
{
    return strlen(s) == len && strncasecmp(word, s, len) == 0;
}

bool origin_listed(const char *list, const char *s)
{
    size_t len;
    for (const char *at = list, *word; (word = origin_next_word(&at, &len));)
        if (is_word(word, len, "*") || is_word(word, len, s))
            return true;
    return false;
}

const char *origin_bad_word(const char *list, int *bad_len)
{
    size_t len;
    for (const char *at = list, *word; (word = origin_next_word(&at, &len));) {
        const char *host = memmem(word, len, "://", 3);
        size_t left = host ? len - (size_t)(host + 3 - word) : 0;
        bool good = host && host > word && left > 0 && !memchr(host + 3, '/', left);
        if (good || is_word(word, len, "*"))
            continue;
        *bad_len = (int)len;
        return word;
    }
    return NULL;
}

/* The name in front of the port: "[::1]:80" is "[::1]". */
static size_t name_len(const char *host)
{
    const char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;
    return bracket ? (size_t)(bracket + 1 - host) : strcspn(host, ":");
}

bool origin_host_allowed(const char *host, const char *list)
{
    char name[256];
    struct in_addr v4;
    size_t len = name_len(host);
    if (len >= sizeof name)
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
           (inet_pton(AF_INET, name, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127) ||
           origin_listed(list, name);
}

bool origin_is_same(const char *origin, const char *host)
{
    const char *theirs = strstr(origin, "://");
    return theirs && strcasecmp(theirs + 3, host) == 0;
}

bool origin_header_allowed(const char *name, int len)
{
    static const char *const names[] = {"authorization", "content-type",    "accept",
                                        "x-request-id",  "idempotency-key", "cache-control"};
    static const char *const prefixes[] = {"x-tritd-", "x-stainless-", "openai-"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (is_word(name, (size_t)len, names[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if ((size_t)len > strlen(prefixes[i]) &&
            strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}
