/* SPDX-License-Identifier: MIT */
/*
 * origin.h - what a browser may do with this server on behalf of a page from elsewhere.
 *
 * Two doors that a browser opens to strangers:
 *
 *  - CORS (the Fetch standard): a page of another origin may read answers only if the operator has
 *    listed that origin.  Never with credentials: a key is a header that the page itself knows.
 *  - What needs no permission to read: a page may post a form to any address, and a name that was
 *    rebound to 127.0.0.1 makes a page of the attacker's "the same origin".  A server without keys
 *    would obey both.  So without keys a request that says it comes from another origin, by Origin
 *    or Sec-Fetch-Site, changes nothing here, and on loopback the Host must be a name of loopback
 * or one that the operator has listed.  Programs that are no browsers send neither.
 *
 * Lists are texts of words between blanks or commas.
 */
#ifndef TRIT_ORIGIN_H
#define TRIT_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

/* The next word of a list at or behind *at, which moves behind it; NULL: there is none. */
const char *origin_next_word(const char **at, size_t *len);

/* Whether a word is in a list, upper and lower case alike; "*" in the list is any. */
bool origin_listed(const char *list, const char *word);

/* The first word of a list that is no origin ("https://host", "http://host:port") and not "*";
 * NULL: all are.  It points into the list and ends at *len. */
const char *origin_bad_word(const char *list, int *len);

/* Whether the value of a Host field is a name of loopback, or in the list; a port is not looked
 * at. */
bool origin_host_allowed(const char *host, const char *list);

/* Whether an Origin names the host and port that a Host field names. */
bool origin_is_same(const char *origin, const char *host);

/* Whether a request header may be sent by a page. */
bool origin_header_allowed(const char *name, int len);

#endif
