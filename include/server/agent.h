/* SPDX-License-Identifier: MIT */
/*
 * agent.h - what a load balancer wants to know, in the words of HAProxy's agent-check.
 *
 * Whoever connects to the agent's port gets one line and the connection is closed:
 *
 *     ready up 75% maxconn:64     serving; its share of new requests, and how many at a time
 *     drain                       shutting down: what runs goes on, nothing new
 *     down #loading               not yet
 *
 * Who connects while clients are let wait (server_accept) waits likewise.  Of a process and its
 * successor one answers: who serves.
 *
 * Nothing of it needs the engine to answer.  Source: HAProxy's configuration manual, "agent-check".
 */
#ifndef TRIT_AGENT_H
#define TRIT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the answer is made of. */
struct agent_load {
    bool serving, draining;
    uint32_t running;
    uint32_t waiting, queue_requests;      /* sequences in the queue, and how many may be */
    uint64_t waiting_tokens, queue_tokens; /* prompt tokens likewise */
    uint32_t kv_used, kv_pages;            /* pages that running sequences hold, of all */
    uint32_t max_batch;                    /* sequences computed together */
    double mean_prompt;                    /* tokens of the requests of late; 0: there were none */
};

enum { AGENT_LINE_BYTES = 64 };

/*
 * The line, with its end, to dst[0, AGENT_LINE_BYTES); its length.  The weight is what the queue
 * and, with half its say, the KV cache have left, 1 to 100: 0 would mean drain.  maxconn is one
 * batch and one more that waits, so that what comes beyond waits at the balancer, where any daemon
 * that is free first can have it; less where prompts are so long that the queue would refuse some
 * of them.  A refusal is over at once, and the balancer has sent the next before there is room: one
 * too many would have its whole queue refused.
 */
size_t agent_line(const struct agent_load *load, char *dst);

#endif
