/* SPDX-License-Identifier: MIT */
/*
 * slice.c - one system call for which glibc has no name yet, and an old one.
 */
#include "config.h"
#include "base/slice.h"

#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool slice_short(void)
{
    /* struct sched_attr, first version; policy 0 is SCHED_OTHER. */
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = sizeof attr,
              .nice = getpriority(PRIO_PROCESS, 0), /* as it is */
              .runtime = (uint64_t)100 * 1000 /* ns: the least that is granted */};
    _Static_assert(sizeof attr == 48, "SCHED_ATTR_SIZE_VER0");
    return syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
}

bool slice_behind(void)
{
    /* 0: this thread.  Who started it may be behind already. */
    return setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, (id_t)getpid()) + 5) == 0;
}
