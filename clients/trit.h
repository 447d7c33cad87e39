/* SPDX-License-Identifier: MIT */
/*
 * trit.h - what the commands of the client share: the options.
 */
#ifndef TRIT_CLIENT_H
#define TRIT_CLIENT_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "trit-http.h"

struct options {
    struct server_address server;
    const char *model;         /* NULL: the server's */
    const char *system;        /* chat: the system message, or NULL */
    long max_tokens;           /* 0: the server's default */
    double temperature, top_p; /* negative: the server's default */
    long seed;                 /* negative: none */
    bool stream;

    /* pull, list, rm */
    const char *models, *hub, *sha256; /* NULL: not given */
    long connections;
    bool force;

    /* bench */
    long clients, requests, prompt_words;
    double timeout_seconds;
    bool json;

    const char *prices; /* costs: "prompt=0.02,kwh=0.3", or NULL */
};

/* Set by SIGINT; transfers look at it and give up. */
extern volatile sig_atomic_t interrupted;

/* trit-options.c.  options_read ends the program where they are wrong, and for --help. */
void options_read(struct options *o, int argc, char **argv);
void options_help(FILE *out);

/* Say on stderr what is wrong: EXIT_FAILURE. */
int complain(const char *what);

/* Close stdout, last of all: rc, or EXIT_FAILURE where something of it was lost. */
int close_output(int rc);

/* The fields that every generating request has in common.  NULL: no memory. */
cJSON *body_of(const struct options *o);

/* Exit status. */
int bench(const struct options *o);
int costs(const struct options *o);

#endif
