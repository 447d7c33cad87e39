/* SPDX-License-Identifier: MIT */
/*
 * handed.h - the descriptors that a process is started with: by the service manager, or by the
 * process that it replaces.
 *
 * sd_listen_fds_with_names(3) without its library: LISTEN_FDS descriptors from the third on, meant
 * for the process LISTEN_PID, with LISTEN_FDNAMES between colons.  They are of two kinds: the
 * sockets of socket units, whatever their names are, and what tritd itself has given away to be
 * kept (notify_store), under the names below; weights and pools of further models have names that
 * go on with "-" and a number.  A process that starts its successor (upgrade.h) does not know its
 * number beforehand and names its own.
 */
#ifndef TRIT_HANDED_H
#define TRIT_HANDED_H

#include <stdbool.h>
#include <stddef.h>

#include "main/notify.h"

#define HANDED_WEIGHTS "tritd-weights" /* a sealed segment, model/segment.h */
#define HANDED_KV      "tritd-kv"      /* a KV pool, engine/pool.h */
#define HANDED_MODELS  "tritd-models"  /* what the API has changed, main/recall.h */
#define HANDED_LISTEN  "tritd-listen-" /* and a digit: a listening socket that tritd has opened */
#define HANDED_AGENT   "tritd-listen-agent" /* that of load balancers; no manager keeps it */

/* Where the protocol puts the first. */
#define HANDED_FIRST 3

enum {
    HANDED_MAX = 64,
    HANDED_NAME = 32, /* bytes of a name */
};

struct handed {
    struct {
        int fd;
        char name[HANDED_NAME];
    } at[HANDED_MAX];
    size_t n;
};

/*
 * Read and unset the variables.  from_parent: the process that started us is tritd itself, and
 * LISTEN_PID is its number.  The descriptors are made close-on-exec.  Never fails: what is
 * malformed is logged and ignored.
 */
void handed_open(struct handed *h, bool from_parent);

/* The first of that name, which stays or becomes the caller's; -1: there is none. */
int handed_look(const struct handed *h, const char *name);
int handed_take(struct handed *h, const char *name);

/* Sockets of socket units: how many; the first, which becomes the caller's. */
size_t handed_sockets(const struct handed *h);
int handed_take_socket(struct handed *h);

/* Close all of that name, and tell the manager, n or NULL, to do the same.  Whether there were any.
 */
bool handed_drop(struct handed *h, const char *name, struct notify *n);

/* Do that with the weights or the pools, HANDED_WEIGHTS or HANDED_KV, of every model; with all that
 * nobody has taken, and with the pools that only the manager has beside such weights, because a
 * predecessor that still runs does not hand its own over. */
void handed_drop_kind(struct handed *h, const char *kind, struct notify *n);
void handed_drop_models(struct handed *h, struct notify *n);

/* Close what nobody has taken. */
void handed_close(struct handed *h);

#endif
