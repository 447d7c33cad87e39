/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - limits that the control group (v2) of this process sets.
 *
 * A limit may sit on any level above us, and the smallest counts.  Where /sys is hidden (a strict
 * systemd unit) or there is no such limit, there is none for us.
 */
#ifndef TRIT_CGROUP_H
#define TRIT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* memory.max in bytes; UINT64_MAX: no limit. */
uint64_t cgroup_memory(void);

/* cpu.max as whole processors, rounded down but at least 1; UINT64_MAX: no limit. */
uint64_t cgroup_cpus(void);

/* How long the quotas of cpu.max have kept our group, or one above it, from running, in seconds.
 * false where nobody counts that. */
bool cgroup_throttled(double *seconds);

/* For tests: another directory instead of /sys/fs/cgroup; NULL brings that back. */
void cgroup_set_root(const char *dir);

#endif
