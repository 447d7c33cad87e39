/* SPDX-License-Identifier: MIT */
/*
 * mailbox.h - a one-way door between threads.
 *
 * Any thread puts nodes; the one owner drains them, in order.  The bell is a hint: it may ring once
 * for many puts (uv_async coalesces), so the owner always empties the box.
 *
 * Nodes are embedded in the sender's structures, so a put allocates nothing.  A node that is
 * already in the box must not be put again: mailbox_post() does nothing then, which makes it fit
 * for "there is news about me" messages that may be raised many times before they are looked at.
 *
 * Not here: priorities, bounds, time-outs.  Admission bounds what can be sent.
 */
#ifndef TRIT_MAILBOX_H
#define TRIT_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mailbox_node {
    struct mailbox_node *next;
    atomic_bool queued;
    unsigned char tag; /* the sender's, to tell several messages of one structure apart */
};

struct mailbox {
    pthread_mutex_t lock;
    struct mailbox_node *first, **last;
    void (*ring)(void *arg);
    void *arg;
};

/* ring(arg) is called after a put that found the box empty, on the putting thread, lock not
 * held. */
void mailbox_init(struct mailbox *box, void (*ring)(void *arg), void *arg);

/* The box must be empty and nobody may put any more. */
void mailbox_fini(struct mailbox *box);

/* Put the node unless it is in the box already.  Any thread. */
void mailbox_post(struct mailbox *box, struct mailbox_node *node);

/*
 * Hand every node to fn, oldest first, outside the lock.  Owner only.  When fn runs the node is no
 * longer queued: it may be posted again, or freed by fn.  Returns how many there were.
 */
unsigned mailbox_drain(struct mailbox *box, void (*fn)(struct mailbox_node *node, void *arg),
                       void *arg);

#endif
