/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - a tritd of our own for a measurement: started, asked, stopped.
 *
 * Its weights live in a directory of its own below /dev/shm, so that no other daemon's segment is
 * touched and a cold start is cold.  Readiness is learnt from the daemon itself, as systemd learns
 * it (sd_notify), and then asked for at /readyz: a loop that asks all the time would take its
 * processor.
 */
#ifndef TRIT_DAEMON_H
#define TRIT_DAEMON_H

#include <signal.h>
#include <sys/types.h>

struct trit_error;

/* Where segments, port files and logs of a measurement lie. */
struct daemon_home {
    char dir[256];
};
int daemon_home_open(const char *parent, struct daemon_home *h, struct trit_error *err);
/* Remove the packed weights, so that the next start is cold; those who have them keep them. */
void daemon_home_forget(const struct daemon_home *h);
void daemon_home_close(struct daemon_home *h);

struct daemon_options {
    char *tritd; /* path, or a name to look for in $PATH */
    char *model;
    char *const *extra;                /* further arguments, up to a NULL */
    double ready_seconds;              /* longer than that is an error */
    const volatile sig_atomic_t *stop; /* nonzero: give up */
};

struct daemon {
    pid_t pid; /* 0: none */
    int notify_fd;
    const struct daemon_home *home;
    char url[64];
    double exec_at;  /* trit_now() just before the process was made */
    double ready_at; /* after the first 200 of /readyz */
};

/* A zeroed daemon is none.  On error none is left running, and what it said stands on stderr. */
int daemon_start(const struct daemon_options *o, const struct daemon_home *h, struct daemon *d,
                 struct trit_error *err);
/* SIGTERM and wait; SIGKILL after a minute. */
void daemon_stop(struct daemon *d);

/* Let it generate one token and wait for the answer. */
int daemon_first_token(const struct daemon *d, struct trit_error *err);

/* One value of its metrics page, by name and labels as printed there.  -TRIT_ENOENT. */
int daemon_metric(const struct daemon *d, const char *name, double *value, struct trit_error *err);

#endif
