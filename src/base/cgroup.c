/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - one walk from our group to the root, for any of its files.
 */
#include "config.h"
#include "base/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"

static const char *root = "/sys/fs/cgroup";

void cgroup_set_root(const char *dir)
{
    root = dir ? dir : "/sys/fs/cgroup";
}

/* What one file says; false when it says nothing ("max"). */
typedef bool (*read_fn)(FILE *f, uint64_t *value);

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

/* Time that was lost to the quota, in microseconds, among other lines. */
static bool read_throttled(FILE *f, uint64_t *microseconds)
{
    char line[128];
    unsigned long long n;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "throttled_usec %llu", &n) == 1) {
            *microseconds = n;
            return true;
        }
    return false;
}

/* The least and the sum of what the files of that name say; false: none of them says anything. */
static bool walk(const char *name, read_fn read, uint64_t *least, uint64_t *sum)
{
    char path[512] = "", line[400];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        /* In the root group, the path is the root and nothing more. */
        snprintf(path, sizeof path, "%s%s", root, line + (line[4] ? 3 : 4));
    }
    if (f)
        fclose(f);
    uint64_t value;
    bool said = false;
    *least = UINT64_MAX;
    *sum = 0;
    for (char *slash; strlen(path) >= strlen(root) && (slash = strrchr(path, '/')); *slash = '\0') {
        char file[sizeof path + 16];
        snprintf(file, sizeof file, "%s/%s", path, name);
        f = fopen(file, "re");
        if (f && read(f, &value)) {
            said = true;
            *least = MIN(*least, value);
            *sum += value;
        }
        if (f)
            fclose(f);
    }
    return said;
}

uint64_t cgroup_memory(void)
{
    uint64_t least, sum;
    (void)walk("memory.max", read_memory, &least, &sum);
    return least;
}

uint64_t cgroup_cpus(void)
{
    uint64_t least, sum;
    (void)walk("cpu.max", read_cpu, &least, &sum);
    return least;
}

bool cgroup_throttled(double *seconds)
{
    uint64_t least, sum;
    bool said = walk("cpu.stat", read_throttled, &least, &sum);
    *seconds = (double)sum * 1e-6;
    return said;
}
