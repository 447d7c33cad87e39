/* SPDX-License-Identifier: MIT */
/*
 * upgrade.h - a new process takes over from a running one, and no client notices: SIGUSR2.
 *
 * The old process starts the program anew, from the path it was started by, which may be another
 * version by now, with the same command line.  It hands it its listening sockets and its weights
 * (handed.h) and one end of a socket pair, over which they speak:
 *
 *     new:  R   I am ready to accept
 *     old:      tells the service manager MAINPID=, accepts no more, finishes what it has begun
 *           G   you are the daemon
 *     new:      accepts; tells the service manager
 *
 * Until then the new one accepts nobody, owns no file that others look for, and sends the manager
 * nothing: it would not be believed.  One that ends before, because its configuration is wrong for
 * example, was only tried; after R nothing is left that could keep it from serving.  When the old
 * one's end closes without G, the new one ends.
 *
 * All on the loop thread.
 */
#ifndef TRIT_UPGRADE_H
#define TRIT_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h" /* before uv.h */

#include <uv.h>

struct listeners;
struct notify;
struct upgrade;

typedef void (*upgrade_fn)(struct upgrade *u, void *arg);

/* ------------------------------------------------------------------ the old process */

/* Zeroed: none is going on. */
struct upgrade {
    uv_process_t process;
    uv_poll_t poll;
    int fd; /* our end */
    bool talks;
    bool given_up;
    unsigned n_handles; /* that are not closed yet */
    upgrade_fn ready;   /* it has said R */
    upgrade_fn ended;
    void *arg;
};

/* As long as this is so no other can be begun. */
bool upgrade_goes_on(const struct upgrade *u);

/*
 * Start the new process.  gift[n_gifts]: descriptors and the names under which it will look for
 * them.  ready(u, arg) is called when it is; ended(u, arg) when it has ended without a G, which the
 * log tells, or could not be started, and another can be begun.
 */
struct upgrade_gift {
    const char *name;
    int fd;
};
void upgrade_begin(struct upgrade *u, uv_loop_t *loop, const char *program, char **argv,
                   const struct listeners *l, const struct upgrade_gift *gift, size_t n_gifts,
                   const struct notify *n, upgrade_fn ready, upgrade_fn ended, void *arg);

int upgrade_pid(const struct upgrade *u);

/* G; or nothing, and it ends. */
void upgrade_go(struct upgrade *u);
void upgrade_give_up(struct upgrade *u);

/* ------------------------------------------------------------------ the new process */

struct upgrade_child {
    int fd; /* -1: nobody is replaced */
    uv_poll_t poll;
    void (*done)(bool go, void *arg);
    void *arg;
};

/* Whether this process was started to replace another: reads and unsets the variable. */
void upgrade_child_open(struct upgrade_child *c);

/* R; done(true) when the answer is G, done(false) when there will be none. */
void upgrade_child_ready(struct upgrade_child *c, uv_loop_t *loop, void (*done)(bool go, void *arg),
                         void *arg);

#endif
