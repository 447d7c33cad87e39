/* SPDX-License-Identifier: MIT */
/*
 * pull.h - `trit pull`: models from a hub, or files from an address, into the shelf (shelf.h).
 */
#ifndef TRIT_CLIENT_PULL_H
#define TRIT_CLIENT_PULL_H

#include <signal.h>
#include <stdbool.h>

struct trit_error;

struct pull_options {
    const char *hub;       /* base URL; NULL: $TRIT_HUB or the usual one */
    const char *token;     /* for private models; NULL: $TRIT_TOKEN, if set, and to the hub only */
    const char *directory; /* of the shelf */
    const char *sha256;    /* of a file from an address; NULL: unknown */
    unsigned connections;
    bool force; /* also what is there already */
    const volatile sig_atomic_t *stop;
};

/*
 * what: "OWNER/NAME[@REVISION][:FILE]" or "https://...".  A FILE may be a part of its name that
 * only one has.  Says on stderr what it does, and on stdout where the model lies.
 */
int pull(const struct pull_options *o, const char *what, struct trit_error *err);

#endif
