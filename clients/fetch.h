/* SPDX-License-Identifier: MIT */
/*
 * fetch.h - one large file over HTTP, in parts that several connections bring, so that neither a
 * cut connection nor the end of the program costs what has been received.
 *
 * While it is not whole the file is called PATH.part, and PATH.part.map says which parts are there.
 * It gets its name when its length is right and, where one is known, its digest.
 */
#ifndef TRIT_CLIENT_FETCH_H
#define TRIT_CLIENT_FETCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct trit_error;

enum { FETCH_HEX = 65 }; /* a SHA-256 as text */

enum fetch_phase { FETCH_LOADING, FETCH_CHECKING };

struct fetch_job {
    const char *url;
    const char *path;
    const char *token;                 /* bearer, for the host of url only; NULL: none */
    uint64_t size;                     /* that it must have; 0: what the server says */
    const char *sha256;                /* that it must have, in hex; NULL: unknown */
    unsigned connections;              /* 1..16 */
    const volatile sig_atomic_t *stop; /* set: give up with -TRIT_ECANCELLED */
    /* Now and then: bytes that are there, of all (0: unknown); where it began this time. */
    void (*progress)(enum fetch_phase phase, uint64_t done, uint64_t all, uint64_t from, void *arg);
    void *arg;
};

/*
 * Directories must exist.  Waits for nobody: -TRIT_EBUSY when another process is at the same file.
 * After any other failure what has come stays for the next call, but for a wrong digest, with which
 * all of it goes.
 */
int fetch_file(const struct fetch_job *j, struct trit_error *err);

/* The SHA-256 of what lies at j->path already, which this reads whole. */
int fetch_digest(const struct fetch_job *j, char hex[FETCH_HEX], struct trit_error *err);

#endif
