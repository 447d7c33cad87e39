/* SPDX-License-Identifier: MIT */
/*
 * proc.c - reading /proc, as proc(5) describes it.
 */
#include "config.h"
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"

static int failed(const char *path, struct trit_error *err)
{
    return trit_fail(err, errno == ENOENT ? TRIT_ENOENT : TRIT_EIO, "%s: %s", path,
                     strerror(errno));
}

/* ------------------------------------------------------------------ memory */

/* Which sum a mapping belongs to, from the first line of its paragraph in smaps. */
static uint64_t *kind_of(struct proc_memory *m, const char *line, const char *weights_prefix,
                         bool *anonymous)
{
    int path = 0;
    *anonymous = false;
    sscanf(line, "%*s %*s %*s %*s %*s %n", &path);
    if (line[path] == '/')
        return strncmp(line + path, weights_prefix, strlen(weights_prefix)) == 0 ? &m->weights
                                                                                 : &m->files;
    if (strncmp(line + path, "[heap]", 6) == 0)
        return &m->heap;
    *anonymous = line[path] == '\0' || line[path] == '\n';
    return &m->anonymous;
}

int proc_memory(pid_t pid, const char *weights_prefix, uint64_t kv_bytes, struct proc_memory *m,
                struct trit_error *err)
{
    char path[64], line[4352]; /* a path, and what stands before it */
    snprintf(path, sizeof path, "/proc/%ld/smaps", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return failed(path, err);
    *m = (struct proc_memory){0};
    uint64_t *sum = &m->anonymous, size = 0, kv_size = UINT64_MAX, kb;
    bool anonymous = false;
    while (fgets(line, sizeof line, f)) {
        /* Fields begin with a capital letter, mappings with a hexadecimal number. */
        if ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f')) {
            sum = kind_of(m, line, weights_prefix, &anonymous);
        } else if (sscanf(line, "Size: %lu kB", &kb) == 1) {
            size = kb << 10;
        } else if (sscanf(line, "Pss: %lu kB", &kb) == 1) {
            m->pss += kb << 10;
        } else if (sscanf(line, "Rss: %lu kB", &kb) == 1) {
            *sum += kb << 10;
            m->rss += kb << 10;
            if (kv_bytes && anonymous && size >= kv_bytes && size < kv_size) {
                kv_size = size;
                m->kv = MIN(kb << 10, kv_bytes);
            }
        }
    }
    m->anonymous -= m->kv;
    fclose(f);
    return 0;
}

/* ------------------------------------------------------------------ processor time */

/* Nanoseconds that one thread has run; 0 where the kernel does not count them. */
static double task_seconds(pid_t pid, const char *task)
{
    char path[320];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%ld/task/%.200s/schedstat", (long)pid, task);
    FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return (double)ns * 1e-9;
}

int proc_cpu(pid_t pid, struct proc_cpu *cpu, struct trit_error *err)
{
    char path[64], text[1024];
    unsigned long long user, system;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return failed(path, err);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    /* The second field is the program's name, which may hold anything but is in parentheses. */
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                        &system) != 2)
        return trit_fail(err, TRIT_EFORMAT, "%s: not what proc(5) says", path);
    *cpu = (struct proc_cpu){.ticks = user + system};

    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return failed(path, err);
    for (const struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            cpu->seconds += task_seconds(pid, e->d_name);
    closedir(dir);
    return 0;
}

/* ------------------------------------------------------------------ the page cache */

int proc_cached(const char *path, double *share, struct trit_error *err)
{
    struct stat st;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), found = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    *share = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = failed(path, err);
    } else if (st.st_size > 0) {
        size_t pages = round_up((size_t)st.st_size, page) / page;
        unsigned char *resident = mem_zalloc(pages, 1);
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (!resident || map == MAP_FAILED || mincore(map, (size_t)st.st_size, resident) != 0)
            rc = trit_fail(err, TRIT_EIO, "%s: cannot see what is cached", path);
        for (size_t i = 0; rc == 0 && i < pages; i++)
            found += resident[i] & 1;
        if (map != MAP_FAILED)
            munmap(map, (size_t)st.st_size);
        mem_free(resident);
        *share = (double)found / (double)pages;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int proc_uncache(const char *path, struct trit_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed(path, err);
    /* Pages that are still to be written cannot be forgotten. */
    (void)fdatasync(fd);
    int rc = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return rc == 0 ? 0 : trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(rc));
}
