/* SPDX-License-Identifier: MIT */
/*
 * hold.h - connections that are there only to be there: idle ones, and readers that never read.
 *
 * An idle one asks one question, reads the answer and stays; when the server closes it, it comes
 * again a second later, so that the number holds.  A stuck one sends a request for a stream and
 * never reads a byte, with the smallest window there is; when the server cuts it off it stays away.
 *
 * Plain sockets: curl reads by itself, which is just what must not happen here.
 */
#ifndef TRIT_CLIENT_HOLD_H
#define TRIT_CLIENT_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct trit_error;
struct hold;

enum hold_kind { HOLD_IDLE, HOLD_STUCK, N_HOLD_KINDS };

/* What became of the connections of one kind. */
struct hold_tally {
    uint32_t wanted;
    uint32_t open;     /* now */
    uint64_t refused;  /* attempts to connect that failed */
    uint64_t closed;   /* connections that the server ended */
    uint32_t answered; /* those that are open, and have an answer with status 200 */
};

/*
 * Connections to a server ("http://host:port", "unix:/path"; no TLS), at most `cap` of them.  Their
 * events arrive in the epoll set `epoll_fd` with `mark` | number as data; mark has no bits in its
 * lower half.  Gives *h.
 */
int hold_open(const char *url, uint32_t cap, int epoll_fd, uint64_t mark, struct hold **h,
              struct trit_error *err);

/* One more connection, which sends `request`, HTTP as it goes over the wire.  Takes it (mem_free).
 */
void hold_add(struct hold *h, enum hold_kind kind, char *request);

/* An event of connection `number`; and about once a second, for those that come again. */
void hold_event(struct hold *h, uint32_t number, uint32_t events);
void hold_tick(struct hold *h);

void hold_tally(const struct hold *h, enum hold_kind kind, struct hold_tally *t);
void hold_close(struct hold **h);

#endif
