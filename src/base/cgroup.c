/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - one walk from our group to the root, for any file of limits.
 */
#include "config.h"
#include "base/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"

#define ROOT "/sys/fs/cgroup"

/* One file's limit; false when it sets none ("max"). */
typedef bool (*read_fn)(FILE *f, uint64_t *limit);

static bool read_memory(FILE *f, uint64_t *limit)
{
    unsigned long long bytes;
    if (fscanf(f, "%llu", &bytes) != 1)
        return false;
    *limit = bytes;
    return true;
}

/* "150000 100000": microseconds of processor time in each period. */
static bool read_cpu(FILE *f, uint64_t *limit)
{
    unsigned long long quota, period;
    if (fscanf(f, "%llu %llu", &quota, &period) != 2 || period == 0)
        return false;
    *limit = MAX(quota / period, 1ull);
    return true;
}

static uint64_t least(const char *name, read_fn read)
{
    char path[512] = "", line[400];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, sizeof path, ROOT "%s", line + 3);
    }
    if (f)
        fclose(f);
    uint64_t smallest = UINT64_MAX, limit;
    for (char *slash; strlen(path) >= strlen(ROOT) && (slash = strrchr(path, '/')); *slash = '\0') {
        char file[sizeof path + 16];
        snprintf(file, sizeof file, "%s/%s", path, name);
        f = fopen(file, "re");
        if (f && read(f, &limit))
            smallest = MIN(smallest, limit);
        if (f)
            fclose(f);
    }
    return smallest;
}

uint64_t cgroup_memory(void)
{
    return least("memory.max", read_memory);
}

uint64_t cgroup_cpus(void)
{
    return least("cpu.max", read_cpu);
}
