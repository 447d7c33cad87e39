/* SPDX-License-Identifier: MIT */
/*
 * sandbox-parts.h - the two halves of the sandbox, for sandbox.c.
 */
#ifndef TRIT_SANDBOX_PARTS_H
#define TRIT_SANDBOX_PARTS_H

#include <stdbool.h>

/* Filter the system calls of this thread and of those to come; false with errno when the kernel
 * refuses.  may_execute: leave execve, which Landlock watches over. */
bool sandbox_filter(bool may_execute);

/* The same for a reader of models. */
bool sandbox_filter_reader(void);

#endif
