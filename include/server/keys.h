/* SPDX-License-Identifier: MIT */
/*
 * keys.h - the file of API keys: who may ask, and for how much.
 *
 * One key a line; a # at the start of a line or after a blank begins a comment:
 *
 *     NAME sha256:HEX [priority=high|normal|low] [concurrency=N] [requests-per-minute=N]
 *                     [tokens-per-minute=N] [tenant=NAME] [models=NAME,NAME...] [admin=yes|no]
 *
 * A key is "trit-" and 256 random bits in hexadecimal, so its plain SHA-256 tells nobody anything:
 * there is no dictionary to try.  The file holds no secret that opens the door, but it names users
 * and must not be readable by everybody; one that is, is refused.
 *
 * One name may stand on several lines with the same options: while a key is being replaced, the old
 * and the new one are the same user.
 *
 * Not here: what the limits do (server/admit.h), and which routes ask for a key (routes.c).
 */
#ifndef TRIT_KEYS_H
#define TRIT_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "server/admit.h"

struct trit_error;

enum {
    KEYS_MAX = 1024,      /* lines with a key */
    KEYS_HASH_BYTES = 32, /* SHA-256 */
    KEYS_TEXT = 70,       /* a key as we make it: "trit-", 64 digits, NUL */
    KEYS_LINE = 160,      /* the line for it that keys_make writes, at most */
};

struct key {
    struct admit_grant grant; /* the name and what it may ask for */
    uint8_t hash[KEYS_HASH_BYTES];
};

/* A zeroed struct holds no key. */
struct keys {
    struct key *key;
    size_t n;
};

/*
 * Read the whole file.  -TRIT_EINVAL, -TRIT_EFORMAT and others with *err, which names path and
 * line; *k holds nothing then.  "credential:NAME" is the file NAME in $CREDENTIALS_DIRECTORY, where
 * systemd puts what LoadCredential= names.
 */
int keys_load(const char *path, struct keys *k, struct trit_error *err);
void keys_free(struct keys *k);

/*
 * The key whose hash is that of text[0, len), or NULL.  Takes the same time whatever the text and
 * whichever key it is.
 */
const struct key *keys_find(const struct keys *k, const char *text, size_t len);

/* Make a new key for a name and the line that the file needs.  -TRIT_EINVAL: no such name can be.
 */
int keys_make(const char *name, char key[KEYS_TEXT], char line[KEYS_LINE], struct trit_error *err);

#endif
