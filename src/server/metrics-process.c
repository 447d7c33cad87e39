/* SPDX-License-Identifier: MIT */
/*
 * metrics-process.c - the metrics every process has, under the names every client library uses.
 */
#include "config.h"
#include "server/metrics.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cgroup.h"
#include "base/file.h"

static void gauge(struct buf *out, const char *name, const char *type, const char *help,
                  double value)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

/* When the machine was booted, in seconds since 1970. */
static bool boot_time(double *when)
{
    char text[16384];
    unsigned long long seconds;
    if (!file_read("/proc/stat", text, sizeof text))
        return false;
    const char *line = strstr(text, "\nbtime ");
    if (!line || sscanf(line, "\nbtime %llu", &seconds) != 1)
        return false;
    *when = (double)seconds;
    return true;
}

static bool count_fds(unsigned *n)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return false;
    *n = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        *n += e->d_name[0] != '.';
    closedir(dir);
    *n -= 1; /* The one that reads the directory. */
    return true;
}

void metrics_write_process(struct buf *out)
{
    char text[2048];
    double ticks = (double)sysconf(_SC_CLK_TCK), boot;
    unsigned long long utime, stime, threads, start, vsize, rss;
    double throttled;
    unsigned fds;
    struct rlimit limit;
    /* The second field is the program's name, which may hold anything but is in parentheses. */
    const char *rest = file_read("/proc/self/stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    if (rest && sscanf(rest,
                       ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
                       "%llu %*d %llu %llu %llu",
                       &utime, &stime, &threads, &start, &vsize, &rss) == 6) {
        gauge(out, "process_cpu_seconds_total", "counter",
              "Total user and system CPU time spent in seconds.", (double)(utime + stime) / ticks);
        gauge(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
              (double)rss * (double)sysconf(_SC_PAGESIZE));
        gauge(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
              (double)vsize);
        gauge(out, "process_threads", "gauge", "Number of OS threads in the process.",
              (double)threads);
        if (boot_time(&boot))
            gauge(out, "process_start_time_seconds", "gauge",
                  "Start time of the process since unix epoch in seconds.",
                  boot + (double)start / ticks);
    }
    /* In use, from malloc's own books; weights, keys and values are mapped and not in it. */
    gauge(out, "process_heap_bytes", "gauge", "Process heap size in bytes.",
          (double)mallinfo2().uordblks);
    if (count_fds(&fds))
        gauge(out, "process_open_fds", "gauge", "Number of open file descriptors.", fds);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        gauge(out, "process_virtual_memory_max_bytes", "gauge",
              "Maximum amount of virtual memory available in bytes.", (double)limit.rlim_cur);
    if (cgroup_throttled(&throttled))
        gauge(out, "tritd_cpu_throttled_seconds_total", "counter",
              "Time that the control group was kept from running by its CPU quota.", throttled);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        gauge(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
              (double)limit.rlim_cur);
}
