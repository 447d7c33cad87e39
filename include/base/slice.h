/* SPDX-License-Identifier: MIT */
/*
 * slice.h - a thread that works briefly and wants its turn soon.
 *
 * Workers fill the processors for seconds on end, and Linux lets whoever runs finish a slice of
 * some milliseconds before one that wakes gets its turn.  A thread that asks for shorter slices
 * goes before that (since 6.12; earlier kernels take no notice).  It gets no more of the processor
 * in all, so no privilege is needed.  Source: sched_setattr(2),
 * Documentation/scheduler/sched-eevdf.rst.
 */
#ifndef TRIT_SLICE_H
#define TRIT_SLICE_H

#include <stdbool.h>

/* For the calling thread and those that it starts from now on.  false: refused, which costs speed
 * only. */
bool slice_short(void);

/*
 * The other side: the calling thread computes for as long as it is let, and others of this program,
 * in whose way it is, go first.  Its niceness is that of the process's first thread, which is never
 * behind, and 5 more: a third of the weight.  Beside programs of other cgroups, as services are,
 * that counts for nothing.
 */
bool slice_behind(void);

#endif
