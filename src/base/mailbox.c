/* SPDX-License-Identifier: MIT */
/*
 * mailbox.c - one mutex, held for a few instructions; the list is swapped out whole.
 */
#include "config.h"
#include "base/mailbox.h"

#include "base/base.h"

void mailbox_init(struct mailbox *box, void (*ring)(void *arg), void *arg)
{
    trit_assert(pthread_mutex_init(&box->lock, NULL) == 0);
    box->first = NULL;
    box->last = &box->first;
    box->ring = ring;
    box->arg = arg;
}

void mailbox_fini(struct mailbox *box)
{
    trit_assert(box->first == NULL);
    trit_assert(pthread_mutex_destroy(&box->lock) == 0);
}

void mailbox_post(struct mailbox *box, struct mailbox_node *node)
{
    if (atomic_exchange(&node->queued, true))
        return;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    node->next = NULL;
    *box->last = node;
    box->last = &node->next;
    pthread_mutex_unlock(&box->lock);
    if (was_empty)
        box->ring(box->arg);
}

unsigned mailbox_drain(struct mailbox *box, void (*fn)(struct mailbox_node *node, void *arg),
                       void *arg)
{
    pthread_mutex_lock(&box->lock);
    struct mailbox_node *node = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);

    unsigned n = 0;
    for (struct mailbox_node *next; node; node = next, n++) {
        next = node->next;
        /* From here on the sender may post the node again: news that arrives while fn looks at the
         * old state makes a second message instead of being lost. */
        atomic_store(&node->queued, false);
        fn(node, arg);
    }
    return n;
}
