/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - giving up what a serving process does not need, for good, so that who finds a hole in
 * it gets little for it.
 *
 * Landlock (since Linux 5.13) takes the file system away but for a few places: to read, where the
 * files of the configuration and their neighbours lie, what the kernel tells of machine and
 * process, libraries; to write, the folder of shared weights, and those of port-file and sockets;
 * to run, the folder of our own binary, for an upgrade.  Since 6.7 it also forbids TCP bind and
 * connect: our sockets are open already.  A filter of system calls (seccomp) leaves those that
 * serving needs; others fail with EPERM, and the process lives.  No socket but AF_UNIX, no code
 * that was written to memory, no new namespace, and no new program unless Landlock says which.
 *
 * What a reload may read is therefore beside what the start has read; of a snapshot in the hub's
 * cache also what is fetched for the same model later.  Both are inherited by
 * threads that begin later and by a successor.
 */
#ifndef TRIT_SANDBOX_H
#define TRIT_SANDBOX_H

#include <stdbool.h>

struct conf;
struct recall;

/* What is in force. */
struct sandbox {
    int landlock;      /* version of its interface, 0: none */
    bool seccomp;      /* system calls are filtered */
    const char *lacks; /* why not all of it; NULL: all */
};

/*
 * Enter it: the calling thread and those it makes later.  To be called when sockets are open and
 * before any thread is started.  recalled: models beside those of the configuration, or NULL.
 * A successor that is in its predecessor's stays there and enters no other.  What this kernel does
 * not offer is left out.  Takes well under a millisecond.
 */
void sandbox_enter(const struct conf *c, const struct recall *recalled, bool successor,
                   struct sandbox *got);

/*
 * The one of a reader of models (model/loader.h), which has everything open that it needs: no place
 * of the file system at all, no socket, no process, no signal to another, no code that was written
 * to memory; of the kernel only memory, threads, and reading and writing what is open.
 */
void sandbox_enter_reader(void);

#endif
