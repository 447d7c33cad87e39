/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what the kernel tells about another process of ours: memory by kind, processor time.
 */
#ifndef TRIT_PROC_H
#define TRIT_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct trit_error;

/*
 * Resident bytes of a daemon by what they are.  `weights`, `kv` and the rest add up to `rss`.
 * Pages of files count in full here, although other processes have them too.
 */
struct proc_memory {
    uint64_t rss;
    uint64_t weights;   /* mappings of files whose path begins with the given prefix */
    uint64_t kv;        /* of the anonymous mapping that is just large enough for the KV pool */
    uint64_t files;     /* program, libraries, other files */
    uint64_t heap;      /* the main arena of malloc */
    uint64_t anonymous; /* other anonymous memory: scratch, further arenas, stacks of threads */
    uint64_t pss;       /* rss, each page divided by the number of processes that have it */
};

/* kv_bytes: size of the pool, 0 when it is not known. */
int proc_memory(pid_t pid, const char *weights_prefix, uint64_t kv_bytes, struct proc_memory *m,
                struct trit_error *err);

/* Processor time of all threads so far: in clock ticks as accounted, and in seconds as scheduled.
 */
struct proc_cpu {
    uint64_t ticks;
    double seconds;
};
int proc_cpu(pid_t pid, struct proc_cpu *cpu, struct trit_error *err);

/* Share of a file that is in the page cache, 0 to 1; and ask the kernel to forget it. */
int proc_cached(const char *path, double *share, struct trit_error *err);
int proc_uncache(const char *path, struct trit_error *err);

#endif
